"""Locks on files between processes; each ends with the process that has it.

A lock belongs to the open file (``flock``), so that two of one process keep each other out as two
processes do, and SQLite's locks on its own file are not touched. A child that was forked has the
open file as well, and would keep the lock after its parent's end: it closes its copy of a lock that
is its parent's alone, which leaves the parent's as it is.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from weakref import WeakSet

_PAUSE_S = 0.01


def open_private(path: Path) -> int:
    """Open a file beside the journal for reading and writing, made where it is not there.

    Nobody else of the machine may read it, from its first moment on.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
    return os.open(path, flags | getattr(os, "O_BINARY", 0), 0o600)


if sys.platform == "win32":
    import msvcrt

    _BYTE = 4096  # beyond what is written into the file: others could not read a locked byte

    def try_lock(number: int, *, shared: bool = False) -> bool:
        """Take the lock of an open file at once, or say that somebody else has it."""
        if shared:
            return True  # Windows has none by msvcrt; a file that is open cannot be renamed there
        os.lseek(number, _BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def share(number: int) -> None:
        """Turn the lock of an open file into a shared one."""
        os.lseek(number, _BYTE, os.SEEK_SET)
        with suppress(OSError):
            msvcrt.locking(number, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def try_lock(number: int, *, shared: bool = False) -> bool:
        """Take the lock of an open file at once, or say that somebody else has it."""
        try:
            fcntl.flock(number, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def share(number: int) -> None:
        """Turn the lock of an open file into a shared one."""
        fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)


def lock_within(number: int, seconds: float, *, shared: bool = False) -> bool:
    """Take the lock of an open file; whether that was possible within so many seconds."""
    deadline = time.monotonic() + seconds
    while not try_lock(number, shared=shared):
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE_S)
    return True


@contextmanager
def owned(path: Path) -> Iterator[bool]:
    """Own a lock meanwhile; ``False`` at once where somebody else has it.

    Its file is made where it is not there, and never removed.
    """
    lock = _Owned(open_private(path))
    _all_owned.add(lock)
    try:
        yield try_lock(lock.number)
    finally:
        lock.close()


class _Owned:
    """An open file of a lock; ``number`` is below 0 once it is closed."""

    def __init__(self, number: int) -> None:
        self.number = number

    def close(self) -> None:
        number, self.number = self.number, -1
        if number >= 0:
            os.close(number)


_all_owned: WeakSet[_Owned] = WeakSet()


def _leave_to_parent() -> None:
    for lock in list(_all_owned):
        lock.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)
