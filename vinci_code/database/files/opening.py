"""Files, pipes and standard input as streams of bytes, unpacked on the way, with their position."""

from __future__ import annotations

import gzip
import io
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from vinci_code.core.errors import InputDataError
from vinci_code.database.dialect.driver.rows import require_pyarrow
from vinci_code.database.files.names import Codec

DAMAGE = (OSError, EOFError, zlib.error)
"""What a stream raises at a place that cannot be read or unpacked."""

_PIECE_BYTES = 64 * 1024


@dataclass(frozen=True)
class OpenFile:
    """An open file.

    Attributes:
        name: What it is called in messages.
        stream: What is in it, unpacked. What stands before a damaged place is read before it; the
            place itself raises one of ``DAMAGE``.
        total_bytes: The size of the file, ``None`` where it is not known (standard input, a pipe).
        position: The number of bytes read from the file so far, to be compared with
            ``total_bytes``; 0 where that is not known.
    """

    name: str
    stream: IO[bytes]
    total_bytes: int | None
    position: Callable[[], int]


@contextmanager
def opened(file: str, codec: Codec | None = None) -> Iterator[OpenFile]:
    """Open a file by its path.

    Args:
        file: Its path.
        codec: What it is packed with.

    Raises:
        InputDataError: It cannot be opened.
        MissingExtraError: It is packed with zstd, and pyarrow is not installed.
    """
    if codec == "zstd":
        require_pyarrow("a file that is packed with zstd")
    with ExitStack() as stack:
        raw, total = _open(file)
        stack.enter_context(raw)
        stream = raw
        if codec is not None:
            stream = stack.enter_context(_unpacked(raw, codec))
        yield OpenFile(file, stream, total, raw.tell if total is not None else int)


def standard_input() -> OpenFile:
    """What the process is given, as it comes; it stays open."""
    return OpenFile("<stdin>", cast("IO[bytes]", sys.stdin.buffer), None, int)


def _open(file: str) -> tuple[IO[bytes], int | None]:
    path = Path(file)
    try:
        if path.is_dir():
            raise InputDataError(
                file, None, "is a folder; name a file in it, or - for standard input"
            )
        raw = path.open("rb")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputDataError(file, None, f"cannot be opened: {reason}") from error
    found = os.fstat(raw.fileno())
    # A pipe, as `<(…)` of a shell is one, has neither a size nor a position.
    return raw, found.st_size if stat.S_ISREG(found.st_mode) else None


def _unpacked(raw: IO[bytes], codec: Codec) -> IO[bytes]:
    if codec == "gzip":
        return cast("IO[bytes]", io.BufferedReader(_Gunzipped(raw), _PIECE_BYTES))
    import pyarrow as pa

    return cast(
        "IO[bytes]", io.BufferedReader(pa.input_stream(raw, compression=codec), _PIECE_BYTES)
    )


class _Gunzipped(io.RawIOBase):
    """What a ``.gz`` holds, in pieces: what stands before a damaged place is read before it."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._file = gzip.GzipFile(fileobj=raw, mode="rb")

    def readable(self) -> bool:
        """It is there to be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the next piece."""
        piece = self._file.read1(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)
