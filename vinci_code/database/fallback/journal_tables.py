"""The journal's tables: each row is written with its seal, and believed only with it.

Bytes are asked for as bytes: one bit of damage makes a BLOB a TEXT of the same bytes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vinci_code.core.errors import JournalError
from vinci_code.database.fallback.journal_file import JournalFile
from vinci_code.database.fallback.records import (
    Batch,
    BrokenRecordError,
    Counts,
    EndedRun,
    Entry,
    Ledger,
    Mirror,
    Standing,
    State,
    seal,
    unpack,
)

SALVAGED = "salvaged"
"""What names the batch of a unit of which nobody knows whether, and as what, it was sent."""

_SOME = 500


@dataclass(frozen=True)
class Place:
    """Where a unit stands: what changes of it, and what is counted.

    Attributes:
        batch: The identity of the statement in which it was sent, of which it is not known whether
            it was written; ``SALVAGED`` for a unit that was found in a damaged file; else ``None``.
    """

    seq: int
    state: State
    reason: str | None
    batch: str | None
    committed_at: str
    rows: int
    size: int


def take_write_lock(connection: sqlite3.Connection) -> None:
    """Have nobody else write until the transaction ends."""
    connection.execute("UPDATE vinci_journal SET one = one")


def read_ledger(file: JournalFile, connection: sqlite3.Connection) -> Ledger:
    """The ledger; the file is damaged where it is not as it was written."""
    found = connection.execute(
        "SELECT CAST(ledger AS BLOB) FROM vinci_journal WHERE one = 1"
    ).fetchone()
    known = file.ledger
    if known is not None and found == (known.packed,):
        return known
    try:
        file.ledger = Ledger.unpack(found and found[0])
        return file.ledger
    except BrokenRecordError as error:
        raise file.damaged(str(error)) from error


def check_end(file: JournalFile, ledger: Ledger, noted: Ledger | None) -> None:
    """See that the file goes as far as its mark; it is damaged where it does not."""
    if noted is None or noted.file != ledger.file or noted.version <= ledger.version:
        return
    gone = noted.appended - ledger.appended
    lost = f"{gone} units of work that were committed" if gone else "what became of some units"
    raise file.damaged(f"its end is gone, and with it {lost}")


def write_ledger(connection: sqlite3.Connection, ledger: Ledger) -> None:
    """Write the ledger."""
    connection.execute("UPDATE vinci_journal SET ledger = ? WHERE one = 1", (ledger.packed,))


def _read_record(connection: sqlite3.Connection, seq: int) -> object:
    """What stands in the place of a unit's record."""
    found = connection.execute(
        "SELECT CAST(record AS BLOB) FROM vinci_journal_units WHERE seq = ?", (seq,)
    ).fetchone()
    return found and found[0]


def write_record(connection: sqlite3.Connection, seq: int, record: bytes) -> None:
    """Write a unit's record, which was not there."""
    connection.execute("INSERT INTO vinci_journal_units VALUES (?, ?)", (seq, record))


def read_place(connection: sqlite3.Connection, seq: int) -> Place | None:
    """Where a unit stands."""
    found = connection.execute(
        "SELECT * FROM vinci_journal_places WHERE seq = ?", (seq,)
    ).fetchone()
    return found and _place(found)


def write_place(connection: sqlite3.Connection, place: Place) -> None:
    """Write where a unit stands."""
    values = (
        place.seq,
        place.state.value,
        place.reason,
        place.batch,
        place.committed_at,
        place.rows,
        place.size,
    )
    connection.execute(
        "INSERT OR REPLACE INTO vinci_journal_places VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (*values, seal(*values)),
    )


def places_that_wait(connection: sqlite3.Connection, after: int) -> Iterator[Place]:
    """Where units stand that wait, in their order; and those of which that is not known."""
    # "waiting" is not asked for: a unit whose state is damaged would be passed over.
    for found in connection.execute(
        "SELECT * FROM vinci_journal_places WHERE seq > ? AND "
        "(state IS NULL OR state NOT IN ('in doubt', 'parked', 'damaged')) ORDER BY seq",
        (after,),
    ):
        yield _place(found)


def some_places_after(connection: sqlite3.Connection, after: int) -> list[Place]:
    """Where the next units stand."""
    found = connection.execute(
        "SELECT * FROM vinci_journal_places WHERE seq > ? ORDER BY seq LIMIT ?", (after, _SOME)
    )
    return [_place(row) for row in found]


def all_seqs(connection: sqlite3.Connection) -> Iterator[int]:
    """Every unit that has a place or a record."""
    for (seq,) in connection.execute(
        "SELECT seq FROM vinci_journal_places UNION SELECT seq FROM vinci_journal_units"
    ):
        yield seq


def read_entry(connection: sqlite3.Connection, place: Place) -> Entry:
    """The unit at a place, or that it is damaged."""
    reason = place.reason
    if place.state is not State.DAMAGED:
        try:
            entry = unpack(_read_record(connection, place.seq), place.state, place.reason)
        except BrokenRecordError as error:
            reason = str(error)
        else:
            if entry.seq == place.seq:
                return replace(entry, may_be_there=place.batch is not None)
            reason = f"the record of unit {entry.seq} stands in its place"
    return Entry(place.seq, "", place.committed_at, place.rows, State.DAMAGED, reason, b"")


def read_batches(file: JournalFile, connection: sqlite3.Connection) -> list[Batch]:
    """The batches and their units; the file is damaged where they do not fit each other."""
    seqs: dict[str, list[int]] = {}
    for seq, identity in connection.execute(
        "SELECT seq, batch FROM vinci_journal_places WHERE batch IS NOT NULL ORDER BY seq"
    ):
        place = read_place(connection, seq)
        if place is not None and place.state is State.PARKED:
            continue  # its batch has ended with no outcome
        if place is None or place.state is not State.IN_DOUBT:
            raise file.damaged(f"unit {seq}, which was sent, cannot be read")
        seqs.setdefault(identity, []).append(seq)
    batches = []
    for identity, *values in _sealed(file, connection, "vinci_journal_batches"):
        verb, began, copies, reason = values
        units = tuple(seqs.pop(identity, ()))
        batches.append(Batch(identity, units, verb, began, copies, reason))
    if seqs or not all(batch.seqs for batch in batches):
        raise file.damaged("what was sent of it cannot be read")
    return sorted(batches, key=lambda batch: batch.seqs)


def write_batch(connection: sqlite3.Connection, batch: Batch) -> None:
    """Write a batch, without its units: their places name it."""
    values = (batch.identity, batch.verb, float(batch.began), batch.copies, batch.reason)
    connection.execute(
        "INSERT OR REPLACE INTO vinci_journal_batches VALUES (?, ?, ?, ?, ?, ?)",
        (*values, seal(*values)),
    )


def remove_batch(connection: sqlite3.Connection, identity: str) -> None:
    """Remove a batch whose outcome is noted."""
    connection.execute("DELETE FROM vinci_journal_batches WHERE identity = ?", (identity,))


def remove(file: JournalFile, connection: sqlite3.Connection, seqs: Sequence[int]) -> None:
    """Remove units, in their order, and note the runs that have left."""
    for seq in seqs:
        connection.execute("DELETE FROM vinci_journal_units WHERE seq = ?", (seq,))
        connection.execute("DELETE FROM vinci_journal_places WHERE seq = ?", (seq,))
    for first, last in _runs(seqs):
        end_run(file, connection, first, last)


def end_run(file: JournalFile, connection: sqlite3.Connection, first: int, last: int) -> None:
    """Note that a run of units has left; runs that touch each other become one."""
    for row in connection.execute(
        "SELECT first, last, CAST(run AS BLOB) FROM vinci_journal_ended "
        "WHERE last >= ? AND first <= ?",
        (first - 1, last + 1),
    ).fetchall():
        found_first, found_last = _run(file, row)
        if found_first <= last and found_last >= first:
            raise JournalError(
                f"Unit {max(first, found_first)} of {file.path} arrived or was discarded already. "
                "Nothing was changed."
            )
        connection.execute("DELETE FROM vinci_journal_ended WHERE first = ?", (found_first,))
        first, last = min(first, found_first), max(last, found_last)
    connection.execute(
        "INSERT INTO vinci_journal_ended VALUES (?, ?, ?)",
        (first, last, EndedRun(first, last).pack()),
    )


def _runs(seqs: Sequence[int]) -> list[tuple[int, int]]:
    """Runs of neighbours (first, last) among numbers that are in order."""
    found: list[tuple[int, int]] = []
    for seq in seqs:
        if found and found[-1][1] == seq - 1:
            found[-1] = found[-1][0], seq
        else:
            found.append((seq, seq))
    return found


def count(file: JournalFile, connection: sqlite3.Connection, ledger: Ledger) -> Counts:
    """Count what is in the journal; what is neither in it nor has left it is missing."""
    # In one pass with no sorting: this is asked often while many wait.
    kept, waiting, in_doubt, parked, rows = connection.execute(
        "SELECT count(*), count(CASE state WHEN 'waiting' THEN 1 END), "
        "count(CASE state WHEN 'in doubt' THEN 1 END), count(CASE state WHEN 'parked' THEN 1 END), "
        "CAST(total(rows) AS INTEGER) FROM vinci_journal_places"
    ).fetchone()
    missing: tuple[tuple[int, int], ...] = ()
    ended = _ended(file, connection)
    if sum(last - first + 1 for first, last in ended) != ledger.ended:
        raise file.damaged("what has left it cannot be read")
    if kept != ledger.kept:
        missing = _missing(connection, ended, ledger.appended)
    oldest = connection.execute(
        "SELECT committed_at FROM vinci_journal_places ORDER BY seq LIMIT 1"
    ).fetchone()
    return Counts(
        waiting,
        in_doubt,
        parked,
        kept - waiting - in_doubt - parked,
        rows,
        oldest and str(oldest[0]),
        ledger.appended,
        ledger.done,
        ledger.discarded,
        ledger.lost,
        missing,
    )


def read_standing(file: JournalFile, connection: sqlite3.Connection) -> Standing | None:
    """Where units of work go."""
    for _, *values in _sealed(file, connection, "vinci_journal_standing"):
        return Standing(*values)
    return None


def write_standing(connection: sqlite3.Connection, standing: Standing) -> None:
    """Write where units of work go."""
    next_try = None if standing.next_try is None else float(standing.next_try)
    since = float(standing.since)
    values = (1, standing.word, since, standing.reason, standing.attempt, next_try)
    connection.execute(
        "INSERT OR REPLACE INTO vinci_journal_standing VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*values, seal(*values)),
    )


def read_mirrors(file: JournalFile, connection: sqlite3.Connection) -> dict[str, Mirror]:
    """The tables that were copied."""
    mirrors = (Mirror(*values) for values in _sealed(file, connection, "vinci_journal_mirrors"))
    return {mirror.table: mirror for mirror in mirrors}


def write_mirror(connection: sqlite3.Connection, mirror: Mirror) -> None:
    """Write that a table was copied."""
    values = (mirror.table, mirror.as_of, mirror.version, mirror.rows)
    connection.execute(
        "INSERT OR REPLACE INTO vinci_journal_mirrors VALUES (?, ?, ?, ?, ?)",
        (*values, seal(*values)),
    )


def _place(found: tuple[Any, ...]) -> Place:
    seq, word, reason, batch, committed_at, rows, size, sealed = found
    if sealed == seal(*found[:-1]):
        return Place(seq, State(word), reason, batch, committed_at, rows, size)
    why = "where it stands is not as it was stored"
    return Place(seq, State.DAMAGED, why, None, "", 0, 0)


def _sealed(file: JournalFile, connection: sqlite3.Connection, table: str) -> list[Any]:
    """The rows of a table without their seals; the file is damaged where one is wrong."""
    found = connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608
    if any(sealed != seal(*values) for *values, sealed in found):
        raise file.damaged(f"a row of {table} is not as it was stored")
    return [values for *values, _ in found]


def _ended(file: JournalFile, connection: sqlite3.Connection) -> list[tuple[int, int]]:
    found = connection.execute(
        "SELECT first, last, CAST(run AS BLOB) FROM vinci_journal_ended ORDER BY first"
    ).fetchall()
    return [_run(file, row) for row in found]


def _run(file: JournalFile, found: tuple[Any, ...]) -> tuple[int, int]:
    first, last, packed = found
    try:
        run = EndedRun.unpack(packed)
    except BrokenRecordError as error:
        raise file.damaged(str(error)) from error
    if (run.first, run.last) != (first, last):
        raise file.damaged("what has left it is not what was stored")
    return run.first, run.last


def _missing(
    connection: sqlite3.Connection, ended: list[tuple[int, int]], appended: int
) -> tuple[tuple[int, int], ...]:
    places = connection.execute("SELECT seq FROM vinci_journal_places ORDER BY seq")
    known = sorted([*ended, *((seq, seq) for (seq,) in places)])
    missing = []
    expected = 1
    for first, last in [*known, (appended + 1, appended + 1)]:
        if first > expected:
            missing.append((expected, first - 1))
        expected = max(expected, last + 1)
    return tuple(missing)
