"""Whether other users of this machine can read or change a file that something depends on."""

from __future__ import annotations

import os
import shlex
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vinci_code.core.errors import InsecureFileWarning


def warn_if_exposed(path: Path, secrets: str = "", *, stacklevel: int = 2) -> None:
    """Warn where others can read the secrets of a file, or can write it and so decide what it says.

    Who can write a file of settings can send its token elsewhere; so can who may rename files in
    its folder, which is everybody where that is writable for all and has no sticky bit. Nothing is
    said of a file that is not there, nor on Windows, where a mode tells nothing.

    Args:
        path: The file.
        secrets: What it holds that nobody else may read, in words; ``""`` for nothing.
        stacklevel: As of ``warnings.warn``.
    """
    for exposed in _exposed(path, secrets):
        warnings.warn(exposed, InsecureFileWarning, stacklevel=stacklevel + 1)


@contextmanager
def private_files() -> Iterator[None]:
    """Have each file that is made meanwhile be its owner's alone, whoever makes it.

    For libraries that make files by themselves, and take no mode for them. The mask is that of the
    process: what other threads make meanwhile is private, too, so let it be short.
    """
    with _lock:
        if not _within:
            _mask_before.append(os.umask(0o077))
        _within.append(None)
    try:
        yield
    finally:
        with _lock:
            _within.pop()
            if not _within:
                os.umask(_mask_before.pop())


_lock = threading.Lock()
# One entry for each thread within, since the last one to leave sets the mask back.
_within: list[None] = []
_mask_before: list[int] = []


def _exposed(path: Path, secrets: str) -> Iterator[str]:
    if os.name == "nt":
        return
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        # The name may be a link, and the file is where it leads.
        folder = Path(os.path.realpath(path)).parent
        around = stat.S_IMODE(folder.stat().st_mode)
    except OSError:
        return
    readable = bool(secrets) and bool(mode & (stat.S_IRGRP | stat.S_IROTH))
    writable = bool(mode & (stat.S_IWGRP | stat.S_IWOTH))
    if readable or writable:
        can = " and ".join(
            word for word, is_so in (("read", readable), ("changed", writable)) if is_so
        )
        holds = f" holds {secrets} and" if secrets else ""
        yield (
            f"{path}{holds} can be {can} by other users of this machine (mode {mode:04o}). "
            f"Close it: chmod {'600' if secrets else 'go-w'} {shlex.quote(str(path))}"
        )
    if around & stat.S_IWOTH and not around & stat.S_ISVTX:
        yield (
            f"{path} can be replaced by other users of this machine: everybody can write its "
            f"folder (mode {around:04o}). Close that: chmod o-w {shlex.quote(str(folder))}"
        )
