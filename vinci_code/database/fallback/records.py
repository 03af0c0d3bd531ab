"""What stands in the journal, and the bytes in which it stands there.

A unit of work is one record: its magic bytes, its numbers, its texts, a digest over all of them and
over its document, and the document. A record tells its own length, so it can be found and proved
whole wherever its bytes lie, with no help of SQLite's pages (salvage.py). It is written once and
never changed.

What changes (the state of a unit, a batch, the ledger) is small, and stands in rows beside it; each
row carries a seal over its values, since SQLite has no checksums: a state that flipped from "in
doubt" to another word would be a unit that is sent twice.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum
from functools import cached_property
from typing import Any


class State(str, Enum):
    """Where a unit of work stands in the journal."""

    WAITING = "waiting"
    """It goes to the warehouse in its turn."""
    IN_DOUBT = "in doubt"
    """It was sent, and what became of it is not known yet."""
    PARKED = "parked"
    """It could not arrive; somebody decides about it."""
    DAMAGED = "damaged"
    """What is read of it is not what was stored."""


@dataclass(frozen=True)
class Entry:
    """A unit of work in the journal.

    Attributes:
        seq: Its place in the order of commits, given by the journal, never by a clock.
        identity: The uuid of the unit.
        committed_at: When it was committed, UTC, ISO 8601; for people only.
        rows: How many rows it writes.
        state: Where it stands.
        reason: Why it stands there.
        document: What was stored, as it was given; nothing where the entry is damaged.
        may_be_there: Whether it may be on the warehouse, since it was sent and its outcome is not
            known, or since it was found in what was left of a damaged file.
    """

    seq: int
    identity: str
    committed_at: str
    rows: int
    state: State
    reason: str | None
    document: bytes = field(repr=False)
    may_be_there: bool = False


@dataclass(frozen=True)
class Batch:
    """Units that were sent to the warehouse as one statement whose outcome is not noted.

    Attributes:
        identity: The identity that the statement was sent with.
        seqs: The units in it, in their order.
        verb: The statement's first word.
        began: When it was first sent, in seconds since the epoch.
        copies: How many times it was sent at most.
        reason: Why its outcome is in doubt; ``None`` where the process ended before it was noted.
    """

    identity: str
    seqs: tuple[int, ...]
    verb: str
    began: float
    copies: int
    reason: str | None


@dataclass(frozen=True)
class Sent:
    """How a unit was sent to the warehouse before its answer was lost.

    Attributes:
        verb: The statement's first word.
        began: When it was first sent, in seconds since the epoch.
        reason: What happened to the answer.
        copies: How many times it was sent at most.
    """

    verb: str
    began: float
    reason: str
    copies: int = 1


@dataclass(frozen=True)
class Counts:
    """What a journal holds.

    Attributes:
        waiting: Units that go to the warehouse in their turn.
        in_doubt: Units that were sent, with no outcome that is known.
        parked: Units that somebody has to decide about.
        damaged: Units that were found not to be whole when they were to be sent.
        rows: The rows of all of these.
        oldest: When the oldest of all of these was committed, for people only.
        appended: Units that were ever stored.
        done: Units of those that arrived.
        discarded: Units of those that somebody discarded.
        lost: Units of those that an earlier damage took, as far as is known.
        missing: Runs of units (first, last) that should be here and are gone.
    """

    waiting: int
    in_doubt: int
    parked: int
    damaged: int
    rows: int
    oldest: str | None
    appended: int
    done: int
    discarded: int
    lost: int
    missing: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Standing:
    """Where units of work go, as the processes of this machine tell each other.

    Attributes:
        word: The state's name.
        since: Since when, in seconds since the epoch.
        reason: Why.
        attempt: How many times the warehouse was tried since then.
        next_try: When it is tried next, in seconds since the epoch.
    """

    word: str
    since: float
    reason: str | None = None
    attempt: int = 0
    next_try: float | None = None


@dataclass(frozen=True)
class Mirror:
    """A table that was copied from the warehouse.

    Attributes:
        table: Its name.
        as_of: The time that its rows are of.
        version: The table's version there, where it is known.
        rows: How many rows were copied.
    """

    table: str
    as_of: str
    version: int | None
    rows: int


@dataclass(frozen=True)
class Ledger:
    """The numbers that make a missing unit a gap that can be seen.

    Each transaction of the journal changes them with what it does.

    Attributes:
        file: Which file it is, by 16 random bytes.
        version: How many transactions of the journal there were.
        appended: Units that were ever stored; the last one's seq.
        done: Units of those that arrived.
        discarded: Units of those that somebody discarded.
        lost: Units of those that an earlier damage took.
    """

    file: bytes
    version: int = 0
    appended: int = 0
    done: int = 0
    discarded: int = 0
    lost: int = 0

    @property
    def kept(self) -> int:
        """How many units have to be in the journal."""
        return self.appended - self.ended

    @property
    def ended(self) -> int:
        """How many units have left the journal."""
        return self.done + self.discarded + self.lost

    @cached_property
    def packed(self) -> bytes:
        """Its bytes."""
        numbers = (self.version, self.appended, self.done, self.discarded, self.lost)
        body = _LEDGER.pack(LEDGER_MAGIC, self.file, *numbers)
        return body + seal(body)

    @classmethod
    def unpack(cls, found: object) -> Ledger:
        """A ledger of its bytes; what comes after them is not looked at.

        Raises:
            BrokenRecordError: They are not those of a ledger.
        """
        if not isinstance(found, bytes) or len(found) < LEDGER_SIZE:
            raise BrokenRecordError("its numbers cannot be read")
        body = found[: _LEDGER.size]
        magic, file, *numbers = _LEDGER.unpack(body)
        if magic != LEDGER_MAGIC or found[_LEDGER.size : LEDGER_SIZE] != seal(body):
            raise BrokenRecordError("its numbers are not those that were stored")
        return cls(file, *numbers)


@dataclass(frozen=True)
class EndedRun:
    """Neighbours that have left the journal: what is true once is true for ever."""

    first: int
    last: int

    def pack(self) -> bytes:
        """Its bytes."""
        body = _RUN.pack(RUN_MAGIC, self.first, self.last)
        return body + seal(body)

    @classmethod
    def unpack(cls, found: object) -> EndedRun:
        """A run of its bytes; what comes after them is not looked at.

        Raises:
            BrokenRecordError: They are not those of a run.
        """
        if not isinstance(found, bytes) or len(found) < RUN_SIZE:
            raise BrokenRecordError("what has left it cannot be read")
        body = found[: _RUN.size]
        magic, first, last = _RUN.unpack(body)
        if magic != RUN_MAGIC or found[_RUN.size : RUN_SIZE] != seal(body):
            raise BrokenRecordError("what has left it is not what was stored")
        return cls(first, last)

    def __len__(self) -> int:
        return self.last - self.first + 1


class BrokenRecordError(ValueError):
    """Bytes that are not a record as it was stored."""


RECORD_MAGIC = b"\xf5VINCIU\x01"  # no text in UTF-8 has it, so it is in no document of JSON
LEDGER_MAGIC = b"\xf5VINCIL\x01"
RUN_MAGIC = b"\xf5VINCIR\x01"

_HEAD = struct.Struct(">8sQQHHQ")  # magic, seq, rows, lengths of identity, committed_at, document
_LEDGER = struct.Struct(">8s16s5Q")
_RUN = struct.Struct(">8sQQ")
_DIGEST_SIZE = 32
_SEAL_SIZE = 16
LEDGER_SIZE = _LEDGER.size + _SEAL_SIZE
RUN_SIZE = _RUN.size + _SEAL_SIZE
HEAD_SIZE = _HEAD.size + _DIGEST_SIZE


def pack(*, seq: int, identity: str, committed_at: str, rows: int, document: bytes) -> bytes:
    """The record of a unit of work."""
    texts = identity.encode(), committed_at.encode()
    head = _HEAD.pack(RECORD_MAGIC, seq, rows, len(texts[0]), len(texts[1]), len(document))
    return b"".join((head, _digest(head, *texts, document), *texts, document))


def length(head: bytes) -> int:
    """How long a record is, by its first ``HEAD_SIZE`` bytes."""
    lengths: tuple[int, ...] = _HEAD.unpack_from(head)[3:]
    return HEAD_SIZE + sum(lengths)


def seq_of(head: bytes) -> int:
    """The seq in a record, whole or not, by its first bytes; 0 where there are too few."""
    return int(_HEAD.unpack_from(head)[1]) if len(head) >= _HEAD.size else 0


def unpack(record: object, state: State, reason: str | None = None) -> Entry:
    """The unit of work that a record holds, which may be anything that was found in its place.

    Raises:
        BrokenRecordError: It is not as it was stored.
    """
    if not isinstance(record, bytes) or len(record) < HEAD_SIZE:
        raise BrokenRecordError("its record cannot be read")
    magic, seq, rows, *lengths = _HEAD.unpack_from(record)
    if magic != RECORD_MAGIC or length(record) != len(record):
        raise BrokenRecordError("its record is not whole")
    texts_at = HEAD_SIZE + lengths[0]
    identity, committed_at = record[HEAD_SIZE:texts_at], record[texts_at : texts_at + lengths[1]]
    document = record[texts_at + lengths[1] :]
    digest = _digest(record[: _HEAD.size], identity, committed_at, document)
    if digest != record[_HEAD.size : HEAD_SIZE]:
        raise BrokenRecordError("its digest is not that of what is read")
    return Entry(seq, identity.decode(), committed_at.decode(), rows, state, reason, document)


def seal(*values: Any) -> bytes:
    """The seal of a row of the journal, over all of its values."""
    return hashlib.blake2b(repr(values).encode("utf-8", "replace"), digest_size=_SEAL_SIZE).digest()


def now() -> str:
    """The present time as an entry tells it."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")


def _digest(*parts: bytes) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()
