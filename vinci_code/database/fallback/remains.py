"""What is left of a damaged journal: records, ledgers and runs, found by their magic bytes.

The bytes of the file and of its log are searched, whatever SQLite says of their pages. A record
tells its length, from which follows how much of it stands in its page and where the next page's
number is (https://www.sqlite.org/fileformat2.html, 1.6); its digest tells whether all was found.
"""

from __future__ import annotations

import mmap
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from vinci_code.database.fallback.journal_file import PAGE_SIZE
from vinci_code.database.fallback.records import (
    HEAD_SIZE,
    LEDGER_MAGIC,
    LEDGER_SIZE,
    RECORD_MAGIC,
    RUN_MAGIC,
    RUN_SIZE,
    BrokenRecordError,
    EndedRun,
    Entry,
    Ledger,
    State,
    length,
    seq_of,
    unpack,
)


@dataclass(frozen=True)
class Spot:
    """Where a record begins: in a frame of the log, or in the main file (frame -1)."""

    frame: int
    offset: int


class Remains:
    """The bytes of a damaged journal and its log."""

    def __init__(self, main: mmap.mmap | bytes, log: mmap.mmap | bytes) -> None:
        self._main = main
        self._log = log
        self._frames: dict[int, list[int]] = {}  # by page: the frames that hold it, in order
        self._ends: list[int] = []  # frames that end a transaction
        for frame in range(max(0, len(log) - _LOG_HEADER) // _FRAME):
            page, size = _FRAME_HEAD.unpack_from(log, _LOG_HEADER + frame * _FRAME)
            self._frames.setdefault(page, []).append(frame)
            if size:
                self._ends.append(frame)

    def spots(self, magic: bytes) -> Iterator[Spot]:
        """Where a magic stands, in the log first, the newest frame first."""
        found = []
        at = self._log.find(magic)
        while at >= 0:
            frame, offset = divmod(at - _LOG_HEADER, _FRAME)
            if frame >= 0 and offset >= _FRAME_HEADER:
                found.append(Spot(frame, offset - _FRAME_HEADER))
            at = self._log.find(magic, at + 1)
        yield from reversed(found)
        at = self._main.find(magic)
        while at >= 0:
            yield Spot(-1, at)
            at = self._main.find(magic, at + 1)

    def ledgers(self) -> Iterator[Ledger]:
        """Every ledger that is whole."""
        for spot in self.spots(LEDGER_MAGIC):
            with suppress(BrokenRecordError):
                yield Ledger.unpack(self._rest_of_page(spot)[:LEDGER_SIZE])

    def left(self) -> Left:
        """The units that have left the journal, by every run that is whole."""
        found = []
        for spot in self.spots(RUN_MAGIC):
            with suppress(BrokenRecordError):
                found.append(EndedRun.unpack(self._rest_of_page(spot)[:RUN_SIZE]))
        return Left(found)

    def seq(self, spot: Spot) -> int:
        """The seq that stands in a record, whole or not."""
        return seq_of(self._rest_of_page(spot))

    def entry(self, spot: Spot) -> Entry:
        """The unit whose record begins there.

        Raises:
            BrokenRecordError: It is not whole.
        """
        first = self._rest_of_page(spot)
        if len(first) < HEAD_SIZE:
            raise BrokenRecordError("its record is not whole")
        size = length(first)
        here = _size_in_page(size)
        if here == size:
            return unpack(first[:size], State.PARKED)
        error = BrokenRecordError("its record is not whole")
        for until in self._views(spot.frame):
            try:
                return unpack(self._chained(first, here, size, until), State.PARKED)
            except BrokenRecordError as broken:
                error = broken
        raise error

    def _views(self, frame: int) -> list[int]:
        """Up to which frame of the log pages are looked for: -1 is none."""
        last = len(self._log) // _FRAME
        if frame < 0:
            return [-1, last]
        # The transaction that wrote this frame may have written the others behind it.
        end = bisect_left(self._ends, frame)
        return [self._ends[end] if end < len(self._ends) else last, last, -1]

    def _chained(self, first: bytes, here: int, size: int, until: int) -> bytes:
        if size > len(self._main) + len(self._log) or len(first) < here + 4:
            raise BrokenRecordError("its length cannot be right")
        parts, left = [first[:here]], size - here
        page = int.from_bytes(first[here : here + 4], "big")
        while left > 0:
            content = self._page(page, until)
            if len(content) < 4:
                raise BrokenRecordError("a page of it is gone")
            page = int.from_bytes(content[:4], "big")
            part = content[4 : 4 + left]
            parts.append(part)
            left -= len(part)
            if not part:
                raise BrokenRecordError("a page of it is gone")
        return b"".join(parts)

    def _page(self, page: int, until: int) -> bytes:
        frames = self._frames.get(page, [])
        newest = bisect_right(frames, until) - 1
        if newest >= 0:
            return self._rest_of_page(Spot(frames[newest], 0))
        return self._rest_of_page(Spot(-1, (page - 1) * PAGE_SIZE)) if page > 0 else b""

    def _rest_of_page(self, spot: Spot) -> bytes:
        if spot.frame < 0:
            return bytes(self._main[spot.offset : (spot.offset // PAGE_SIZE + 1) * PAGE_SIZE])
        begin = _LOG_HEADER + spot.frame * _FRAME
        return bytes(self._log[begin + _FRAME_HEADER + spot.offset : begin + _FRAME])


_LOG_HEADER = 32
_FRAME_HEADER = 24
_FRAME = _FRAME_HEADER + PAGE_SIZE
_FRAME_HEAD = struct.Struct(">II")  # the page's number; the file's pages where a transaction ends


class Left:
    """The units that have left the former journal, as far as is found."""

    def __init__(self, found: list[EndedRun]) -> None:
        self._runs: list[EndedRun] = []  # in order, and apart from each other
        for run in sorted(found, key=lambda run: run.first):
            before = self._runs[-1] if self._runs else None
            if before is not None and run.first <= before.last + 1:
                self._runs[-1] = EndedRun(before.first, max(before.last, run.last))
            else:
                self._runs.append(run)

    @property
    def last(self) -> int:
        """The last of them."""
        return self._runs[-1].last if self._runs else 0

    def __len__(self) -> int:
        return sum(map(len, self._runs))

    def __contains__(self, seq: int) -> bool:
        at = bisect_right(self._runs, seq, key=lambda run: run.first) - 1
        return at >= 0 and seq <= self._runs[at].last


def find_units(remains: Remains, left: Left) -> tuple[list[tuple[int, Spot]], int]:
    """Every unit that is whole, once, with its seq; and how many records are broken."""
    units: dict[tuple[int, str], Spot] = {}
    broken: set[int] = set()
    for spot in remains.spots(RECORD_MAGIC):
        try:
            entry = remains.entry(spot)
        except BrokenRecordError:
            broken.add(remains.seq(spot))
        else:
            if entry.seq not in left:
                units.setdefault((entry.seq, entry.identity), spot)
    found: dict[int, Spot] = {}
    others: list[Spot] = []
    for seq, identity in sorted(units):
        # Of two units with one seq one was rolled back; which of them, nothing tells.
        spot = units[seq, identity]
        if found.setdefault(seq, spot) is not spot:
            others.append(spot)
    last = max(left.last, *found, 0)
    whole = [*found.items(), *enumerate(others, last + 1)]
    return whole, sum(seq not in found and seq not in left for seq in broken)


def _size_in_page(size: int) -> int:
    """How many bytes of a record stand in the page of its cell."""
    # The record of SQLite: a header of its own length, NULL for seq, the length of our record.
    header = 2 + _varint_size(2 * size + 12)
    payload, most = size + header, PAGE_SIZE - 35
    if payload <= most:
        return size
    least = (PAGE_SIZE - 12) * 32 // 255 - 23
    here = least + (payload - least) % (PAGE_SIZE - 4)
    return (here if here <= most else least) - header


def _varint_size(number: int) -> int:
    return max(1, -(-number.bit_length() // 7))


@contextmanager
def opened(path: Path) -> Iterator[mmap.mmap | bytes]:
    """The bytes of a file, which are read as they are asked for."""
    if not path.exists() or not path.stat().st_size:
        yield b""
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as opened:
        yield opened
