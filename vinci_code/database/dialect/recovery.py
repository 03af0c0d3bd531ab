"""Whether a commit happened whose answer was lost.

A commit is atomic, so one row of it decides: a row that was inserted with a key that the table did
not have, or a version counter that this unit has set. Somebody else may have written the very same
row, so what the rest of the unit wanted must not be otherwise. Where nothing decides, it is enough
that every row is as the unit wanted it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import Any

from vinci_code.database.dialect.payload import payloads
from vinci_code.database.dialect.sets import SetStatement, SetWriter
from vinci_code.database.dialect.shapes import Kind
from vinci_code.database.dialect.writes import Held, Rows, bare_name

Ask = Callable[[SetStatement], tuple[int, int, int]]
"""Asks for the counts of ``SetWriter.probe()``."""

# Enough rows of a unit to be asked for where one would do.
_SAMPLE = 100


class Outcome(Enum):
    """What became of a unit of work."""

    COMMITTED = "committed"
    """It is there, or everything is as it wanted it."""
    ABSENT = "absent"
    """It is not there, and sending it again fails if it should come after all."""
    UNKNOWN = "unknown"


def find_out(held: Sequence[Held], dialect: Any, ask: Ask) -> Outcome:
    """Find out what became of a unit of work.

    Args:
        held: What was sent, in order.
        dialect: The dialect.
        ask: Runs a query on a new session, after the old one was ended.
    """
    verdicts = {
        _verdict(write, held[number + 1 :], dialect, ask)
        if isinstance(write, Rows)
        else _Verdict.UNKNOWN
        for number, write in enumerate(held)
    }
    if _Verdict.DONE in verdicts:
        against = verdicts & {_Verdict.NOT_DONE, _Verdict.OTHERWISE}
        return Outcome.UNKNOWN if against else Outcome.COMMITTED
    if _Verdict.NOT_DONE in verdicts:
        return Outcome.ABSENT
    return Outcome.COMMITTED if verdicts == {_Verdict.AS_WANTED} else Outcome.UNKNOWN


class _Verdict(Enum):
    DONE = "it was done, and with it all of the unit"
    NOT_DONE = "it was not done, and none of the unit"
    AS_WANTED = "the rows are as it wanted them"
    OTHERWISE = "the rows are not as it wanted them"
    UNKNOWN = "nothing can be said"


def _verdict(write: Rows, later: Sequence[Held], dialect: Any, ask: Ask) -> _Verdict:
    if write.shape.key is None or _changed_again(write, later):
        return _Verdict.UNKNOWN
    decides = _decides(write)
    counts = [0, 0, 0]
    if not decides and not all(field.is_plain for field in write.shape.values):
        return _Verdict.UNKNOWN
    rows = write.rows[:_SAMPLE] if decides else write.rows
    for statement in _probes(write, rows, dialect):
        counts = [total + found for total, found in zip(counts, ask(statement), strict=True)]
    there, as_wanted, as_before = counts
    if write.shape.kind is Kind.DELETE:
        if there == 0:
            # Who may go on only if the row was there does not want somebody else to have deleted
            # it.
            return _Verdict.UNKNOWN if write.checks.matched else _Verdict.AS_WANTED
        still = write.checks.matched and as_before == len(rows)
        return _Verdict.NOT_DONE if still else _Verdict.OTHERWISE
    if as_wanted == len(rows):
        return _Verdict.DONE if decides else _Verdict.AS_WANTED
    untouched = there == 0 if write.shape.kind is Kind.INSERT else as_before == len(rows)
    if decides and untouched:
        return _Verdict.NOT_DONE
    # Of a row that was there already an upsert changes a part, or nothing.
    return _Verdict.OTHERWISE if write.upsert is None else _Verdict.UNKNOWN


def _decides(write: Rows) -> bool:
    """Whether a row of it is there only if the unit was committed, and cannot come twice."""
    if write.upsert is not None:
        return False
    if write.shape.kind is Kind.INSERT:
        return write.checks.keys
    return write.checks.matched and version_of(write) is not None


def version_of(write: Rows) -> int | None:
    """The position of a version counter among the parameters that say which row it is."""
    changed = {field.name for field in write.shape.values if field.is_plain}
    for field in write.shape.matches:
        if field.name in changed and not field.column.primary_key:
            return field.first
    return None


def _changed_again(write: Rows, later: Sequence[Held]) -> bool:
    name = bare_name(write.shape.table)
    return any(other.tables is None or name in other.tables for other in later)


def _probes(write: Rows, rows: Sequence[Any], dialect: Any) -> Iterator[SetStatement]:
    begin = 0
    for payload in payloads(rows, write.shape.transports):
        part = rows[begin : begin + payload.rows]
        begin += payload.rows
        yield SetWriter(write.shape, write.checks, dialect, rows=part).probe(payload)
