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
from collections.abc import Collection, Iterable
from typing import Any

from vinci_code.database.dialect.forking import renew_lock_in_child
from vinci_code.database.dialect.text import raw

# 41 bits of milliseconds last until the year 2093; 22 bits tell the processes apart.
NODE_BITS = 22
_EPOCH_MS = 1_704_067_200_000  # 2024-01-01T00:00:00Z
_TICKS = 1 << 41
Place = tuple[str, str]
"""A column, by the bare name of its table and its own, in lower case."""

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

    _tick: int

    def __init__(self) -> None:
        self._lock = threading.RLock()
        renew_lock_in_child(self)
        self._renew()

    def __call__(self) -> int:
        """Return the next key."""
        with self._lock:
            return self._next()

    def for_row(self) -> int:
        """Return the next key, and remember that it was made for a row that is about to be sent."""
        with self._lock:
            key = self._next()
            self._made[key] = None
            if len(self._made) > 2 * _REMEMBERED:
                _forget(self._made)
            return key

    def claim(self, keys: Iterable[object], place: Place) -> None:
        """Note that the INSERT of plain rows holds these keys.

        Those that were not made for a row do not count. A second write with one of them at the same
        place takes its proof away.
        """
        given = set(keys)
        with self._lock:
            self._own()
            for key in self._claimed.keys() & given:
                if self._claimed[key] == place:
                    self._claimed.pop(key, None)
            for key in [key for key in list(self._made) if key in given]:
                self._made.pop(key, None)
                self._claimed[key] = place
                self._places.add(place)
            _forget(self._claimed)

    def doubt(
        self, places: Collection[Place] | None = None, keys: Iterable[object] | None = None
    ) -> None:
        """Note that another write may hold keys: they prove nothing any more.

        Without ``places`` it may have written them anywhere, without ``keys`` it may have been any.
        """
        given = None if keys is None else set(keys)
        with self._lock:
            self._own()
            # A key that no write holds has no place yet.
            for key in list(self._made) if places is None or places else ():
                if given is None or key in given:
                    self._made.pop(key, None)
            for key, place in list(self._claimed.items()):
                if (places is None or place in places) and (given is None or key in given):
                    self._claimed.pop(key, None)

    def proves_at(self, place: Place) -> bool:
        """Whether there may be a key that was made for a row and is held at a place."""
        return place in self._places

    def written_once(self, keys: Iterable[object], place: Place) -> list[int]:
        """Return those of the keys that were made for a row and claimed by one write, ever.

        Only the newest are remembered, so that some may be left out.
        """
        given = dict.fromkeys(keys)
        with self._lock:
            claimed = self._claimed
            if len(given) < len(claimed):
                return [key for key in given if key in claimed and claimed[key] == place]
            return [key for key, at in claimed.items() if key in given and at == place]

    def base(self) -> int:
        """Return a number under which a statement makes keys of its own: see ``ROW_STEP``.

        Each call has a random number that is not this maker's, so that however many rows the
        statement has, its keys are none of ours.
        """
        with self._lock:
            self._own()
            node = secrets.randbelow((1 << NODE_BITS) - 1)
            return _key(_now(), node + (node >= self._node))

    def _next(self) -> int:
        self._own()
        while True:
            before = self._tick
            tick = max(before + 1, _now())
            # A finaliser that the garbage collector runs in this thread may have made one.
            if self._tick == before:
                self._tick = tick
                return _key(tick, self._node)

    def _own(self) -> None:
        if self._process != os.getpid():
            self._renew()  # what was made before a fork is the parent's

    def _renew(self) -> None:
        self._process = os.getpid()
        self._node = secrets.randbits(NODE_BITS)
        self._tick = 0
        # Keys that were made for rows: those that no write holds yet, and those that one does, with
        # the place.
        self._made: dict[int, None] = {}
        self._claimed: dict[int, Place] = {}
        self._places: set[Place] = set()  # those of all that were ever claimed


ROW_STEP = 1 << NODE_BITS
"""How far the keys of two rows are apart: the key of row n is ``base() + n * ROW_STEP``."""

next_key = KeyMaker()
"""The maker of this process."""

raw.when_written(next_key.doubt)

if hasattr(os, "register_at_fork"):
    # The child may write a key that it has got from its parent, who would not know of that.
    os.register_at_fork(after_in_parent=next_key.doubt)


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


def _forget(keys: dict[int, Any]) -> None:
    """Forget all but the newest."""
    for key in list(keys)[:-_REMEMBERED]:
        keys.pop(key, None)


def _now() -> int:
    tick = time.time_ns() // 1_000_000 - _EPOCH_MS
    if not 0 < tick < _TICKS:
        raise OverflowError("this machine's clock is outside of the years 2024 to 2093")
    return tick


def _key(tick: int, node: int) -> int:
    return tick << NODE_BITS | node
