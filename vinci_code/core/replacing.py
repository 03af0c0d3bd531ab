"""A file that appears under its name when it is whole: what was there before stays until then."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def written_whole(file: str, *, private: bool = False) -> Iterator[IO[bytes]]:
    """Write beside a file, and put the result in its place when the block has ended well.

    What a link points to is replaced, not the link. A pipe or a device is written to as it is.

    Args:
        file: The file's name.
        private: Whether the file is to be its owner's alone. Otherwise one that is there keeps its
            mode, and a new one has that of the process.

    Raises:
        OSError: It cannot be written.
    """
    path = Path(file)
    # A folder is an error of open().
    if path.exists() and not path.is_file():
        with path.open("wb") as raw:
            yield raw
        return
    target = path.resolve()
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.unfinished")
    with _made(unfinished, file, 0o600 if private else 0o666) as raw:
        try:
            if not private and target.exists():
                shutil.copymode(target, unfinished)  # what was closed to others stays closed
            yield raw
            raw.flush()
            os.fsync(raw.fileno())  # or a crash could leave the name without the content
            raw.close()
            unfinished.replace(target)
        finally:
            raw.close()
            unfinished.unlink(missing_ok=True)


def _made(path: Path, told: str, mode: int) -> IO[bytes]:
    """A new file: what somebody else has put under its name, such as a link, is not written to."""
    try:
        path.unlink(missing_ok=True)  # of a process of the same number that was killed
        return open(path, "xb", opener=lambda name, flags: os.open(name, flags, mode))
    except OSError as error:
        raise type(error)(error.errno, error.strerror, told) from error
