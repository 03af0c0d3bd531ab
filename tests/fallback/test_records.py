"""The bytes in which something stands in the journal: they come back whole, or not at all."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from vinci_code.database.fallback import records
from vinci_code.database.fallback.records import (
    HEAD_SIZE,
    LEDGER_SIZE,
    RUN_SIZE,
    BrokenRecordError,
    EndedRun,
    Entry,
    Ledger,
    State,
)

RECORD = records.pack(
    seq=7, identity="an identity", committed_at="a time, ü", rows=3, document=b"\x00 a document"
)
LEDGER = Ledger(b"sixteen bytes ok", 9, 8, 3, 2, 1)
RUN = EndedRun(4, 11)


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def test_a_unit_comes_back_as_it_was_packed() -> None:
    assert records.unpack(RECORD, State.PARKED, "a reason") == Entry(
        7, "an identity", "a time, ü", 3, State.PARKED, "a reason", b"\x00 a document"
    )
    assert records.length(RECORD[:HEAD_SIZE]) == len(RECORD)


def test_a_unit_may_be_empty() -> None:
    record = records.pack(seq=1, identity="", committed_at="", rows=0, document=b"")
    assert len(record) == HEAD_SIZE
    assert records.unpack(record, State.WAITING) == Entry(1, "", "", 0, State.WAITING, None, b"")


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (None, "cannot be read"),
        ("a text" * 100, "cannot be read"),
        (b"", "cannot be read"),
        (RECORD[: HEAD_SIZE - 1], "cannot be read"),
        (RECORD[:HEAD_SIZE], "not whole"),
        (RECORD[:-1], "not whole"),
        (RECORD + b" ", "not whole"),
        (flipped(RECORD, 0), "not whole"),
        (flipped(RECORD, HEAD_SIZE - 1), "digest"),
        (flipped(RECORD, len(RECORD) - 1), "digest"),
    ],
)
def test_what_is_wrong_with_a_unit_is_named(found: object, reason: str) -> None:
    with pytest.raises(BrokenRecordError, match=reason):
        records.unpack(found, State.WAITING)


def test_no_byte_of_a_unit_changes_unseen() -> None:
    for at in range(len(RECORD)):
        with pytest.raises(BrokenRecordError):
            records.unpack(flipped(RECORD, at), State.WAITING)


def test_the_seq_is_read_of_a_unit_that_is_not_whole() -> None:
    packed = 36  # the numbers, without the digest over them
    assert records.seq_of(RECORD) == 7
    assert records.seq_of(flipped(RECORD[:packed], packed - 1)) == 7
    assert records.seq_of(RECORD[: packed - 1]) == 0


def test_the_ledger_comes_back_with_whatever_behind_it() -> None:
    assert len(LEDGER.packed) == LEDGER_SIZE
    assert Ledger.unpack(LEDGER.packed) == LEDGER
    assert Ledger.unpack(LEDGER.packed + b"behind it") == LEDGER
    assert (LEDGER.ended, LEDGER.kept) == (6, 2)
    assert Ledger.unpack(Ledger(LEDGER.file).packed) == Ledger(LEDGER.file, 0, 0, 0, 0, 0)


def test_a_run_comes_back_with_whatever_behind_it() -> None:
    assert len(RUN.pack()) == RUN_SIZE
    assert EndedRun.unpack(RUN.pack()) == RUN
    assert EndedRun.unpack(RUN.pack() + b"behind it") == RUN
    assert len(RUN) == 8


@pytest.mark.parametrize("kind", [Ledger, EndedRun])
@pytest.mark.parametrize("found", [None, "a text" * 100, b""])
def test_what_is_no_bytes_is_none_of_them(
    kind: type[Ledger] | type[EndedRun], found: object
) -> None:
    with pytest.raises(BrokenRecordError, match="cannot be read"):
        kind.unpack(found)


@pytest.mark.parametrize(("kind", "packed"), [(Ledger, LEDGER.packed), (EndedRun, RUN.pack())])
def test_no_byte_of_them_changes_unseen(kind: type[Ledger] | type[EndedRun], packed: bytes) -> None:
    for at in range(len(packed)):
        with pytest.raises(BrokenRecordError, match=r"not (what was|those that were) stored"):
            kind.unpack(flipped(packed, at))
        with pytest.raises(BrokenRecordError, match="cannot be read"):
            kind.unpack(packed[:at])


def test_one_of_them_is_not_taken_for_another() -> None:
    """The seal alone does not distinguish them from what else is sealed."""
    for kind, packed, magic in (
        (Ledger, LEDGER.packed, records.LEDGER_MAGIC),
        (EndedRun, RUN.pack(), records.RUN_MAGIC),
    ):
        body = records.RECORD_MAGIC + packed[len(magic) : -len(records.seal(b""))]
        with pytest.raises(BrokenRecordError):
            kind.unpack(body + records.seal(body))


def test_a_seal_is_over_each_value_and_its_place() -> None:
    seals = {
        records.seal("a", "b"),
        records.seal("b", "a"),
        records.seal("ab"),
        records.seal("a", b"b"),
        records.seal("a", "b", None),
        records.seal("a", 1),
        records.seal("a", "1"),
    }
    assert len(seals) == 7
    assert records.seal("a", 1) == records.seal("a", 1)


def test_the_present_is_in_utc_to_the_microsecond() -> None:
    made = records.now()
    assert made == datetime.fromisoformat(made).isoformat(timespec="microseconds")
    assert datetime.fromisoformat(made).utcoffset() == timedelta(0)
