"""Keys that are made here, not by the warehouse.

Databricks gives out keys with IDENTITY only, which nobody learns after an INSERT and which switches
concurrent transactions off for the table. So a key that SQLite would have given out is made in the
client, before the row is sent.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
import uuid
from collections.abc import Iterable

from vinci_code.database.dialect.forking import renew_lock_in_child

# 41 bits of milliseconds last until the year 2093; 22 bits tell the processes apart.
NODE_BITS = 22
_EPOCH_MS = 1_704_067_200_000  # 2024-01-01T00:00:00Z
_TICKS = 1 << 41
# How many keys that were made for rows are remembered.
_REMEMBERED = 4096


class KeyMaker:
    """Makes integer keys of 63 bits that grow with time and do not need a server.

    The upper 41 bits are a tick: the milliseconds since 2024, but never one twice, so that a burst
    of keys runs ahead of the clock. The lower 22 bits are a random number that this maker keeps for
    its life, and takes anew in a forked child.

    Within one maker no key comes twice, and each is greater than the one before. Two makers can
    only make the same key if they drew the same random number, which happens to a pair of them once
    in 4,194,304 times, and then in the same millisecond. Of 8 processes that write at the same time
    two share a number once in 150,000 times, of 100 once in 850.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        renew_lock_in_child(self)
        self._process = 0
        self._node = 0
        self._tick = 0
        self._renew()

    def __call__(self) -> int:
        """Return the next key."""
        with self._lock:
            if self._process != os.getpid():
                self._renew()
            self._tick = max(self._tick + 1, _now())
            return _key(self._tick, self._node)

    def for_row(self) -> int:
        """Return the next key, and remember that it was made for a row that is about to be sent."""
        key = self()
        with self._lock:
            _remember(self._made, [key])
        return key

    def claim(self, keys: Iterable[object]) -> None:
        """Note that a write holds these keys; those that were not made for a row do not count."""
        given = set(keys)
        with self._lock:
            if self._process != os.getpid():
                self._renew()  # what was made before a fork is the parent's
            for key in self._claimed.keys() & given:
                del self._claimed[key]
            claimed = [key for key in self._made if key in given]
            for key in claimed:
                del self._made[key]
            _remember(self._claimed, claimed)

    def written_once(self, keys: Iterable[object]) -> list[int]:
        """Return those of the keys that were made for a row and claimed by one write, ever.

        Only the newest are remembered, so that some may be left out.
        """
        given = set(keys)
        with self._lock:
            return [key for key in self._claimed if key in given]

    def base(self) -> int:
        """Return a number under which a statement makes keys of its own: see ``ROW_STEP``.

        Each call has a random number that is not this maker's, so that however many rows the
        statement has, its keys are none of ours.
        """
        with self._lock:
            if self._process != os.getpid():
                self._renew()
            node = secrets.randbelow((1 << NODE_BITS) - 1)
            return _key(_now(), node + (node >= self._node))

    def _renew(self) -> None:
        self._process = os.getpid()
        self._node = secrets.randbits(NODE_BITS)
        self._tick = 0
        # Keys that were made for rows: those that no write holds yet, and those that one does.
        self._made: dict[int, None] = {}
        self._claimed: dict[int, None] = {}


ROW_STEP = 1 << NODE_BITS
"""How far the keys of two rows are apart: the key of row n is ``base() + n * ROW_STEP``."""

next_key = KeyMaker()
"""The maker of this process."""


def uuid7() -> uuid.UUID:
    """Return a UUID of version 7 (RFC 9562): 48 bits of milliseconds, then 74 random bits.

    Such keys grow with time, so that Delta skips the files of older ones::

        id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7)
    """
    milliseconds = time.time_ns() // 1_000_000
    number = (milliseconds & ((1 << 48) - 1)) << 80 | secrets.randbits(80)
    number = number & ~(0xF << 76) | 0x7 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    return uuid.UUID(int=number)


def _remember(keys: dict[int, None], more: Iterable[int]) -> None:
    for key in more:
        keys[key] = None
    while len(keys) > _REMEMBERED:
        del keys[next(iter(keys))]


def _now() -> int:
    tick = time.time_ns() // 1_000_000 - _EPOCH_MS
    if not 0 < tick < _TICKS:
        raise OverflowError("this machine's clock is outside of the years 2024 to 2093")
    return tick


def _key(tick: int, node: int) -> int:
    return tick << NODE_BITS | node
