"""The mark beside the journal: how far it had come, so that a lost end of it is seen.

SQLite reads a write-ahead log up to the first frame that is not whole and takes that for its end.
After a power loss it is: what comes behind was never acknowledged. After a damage it is not, and
what was acknowledged would be gone without a word, and with it that units had been sent already. So
the last ledger whose commit has returned stands here too, in a file of its own. It is written
without a sync, after the commit: it may lag behind the journal, which means nothing, and is never
ahead of it. A journal that lags behind its mark has lost its end.

Each process that has the journal open shares a lock on this file. Who replaces the journal takes it
alone: a process that had the former file open would go on to commit to it, under its other name.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

from vinci_code.database.fallback.locks import lock_within, open_private, share, try_lock
from vinci_code.database.fallback.records import LEDGER_SIZE, BrokenRecordError, Ledger

PATIENCE_S = 30.0
"""Seconds that one waits for another process that is making or replacing the journal."""


class Mark:
    """The mark of a journal; opened at its first use."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._number = -1
        # What was noted here last, and its bytes: most of the time nobody else has since.
        self._noted: Ledger | None = None
        self._lock = threading.Lock()

    def renew_lock(self) -> None:
        """In a forked child: the lock as it was could be another thread's, which is not there."""
        self._lock = threading.Lock()

    def read(self) -> Ledger | None:
        """The ledger of the last commit that was noted; ``None`` where there is none."""
        with self._lock:
            return self._read()

    def note(self, ledger: Ledger, *, anew: bool = False) -> None:
        """Note a ledger that was committed, once that has returned.

        ``anew`` says whether it is that of another file, which took the former one's place.
        """
        with self._lock, suppress(OSError):  # a mark that lags behind means nothing
            noted = None if anew else self._read()
            if noted is None or noted.file != ledger.file or noted.version < ledger.version:
                self._noted = ledger
                os.pwrite(self._open(), ledger.packed, 0)

    def share(self) -> bool:
        """Say that this process uses the journal; ``False`` where somebody is replacing it."""
        return lock_within(self._open(), PATIENCE_S, shared=True)

    def take(self) -> bool:
        """Be the only one that uses the journal; ``False`` at once where somebody else does."""
        return try_lock(self._open())

    def give_back(self) -> None:
        """Share the journal that was taken."""
        share(self._open())

    def close(self) -> None:
        """Use the journal no more."""
        with self._lock:
            number, self._number = self._number, -1
            if number >= 0:
                os.close(number)

    def _open(self) -> int:
        if self._number < 0:
            self._number = open_private(self.path)
        return self._number

    def _read(self) -> Ledger | None:
        found = os.pread(self._open(), LEDGER_SIZE, 0)
        if self._noted is not None and self._noted.packed == found:
            return self._noted
        try:
            return Ledger.unpack(found)
        except BrokenRecordError:
            return None
