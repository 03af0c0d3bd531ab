"""Whether a commit happened whose answer was lost.

A commit is atomic, so one row of it decides: a row that was inserted with a key that the table did
not have, or a version counter that only this unit has set. Where nothing decides, it is enough that
every row is as the unit wanted it.
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
    verdicts = []
    for number, write in enumerate(held):
        if isinstance(write, Rows):
            verdicts.append(_verdict(write, held[number + 1 :], dialect, ask))
        else:
            verdicts.append(_Verdict.UNKNOWN)
        if verdicts[-1] is _Verdict.DONE:
            return Outcome.COMMITTED
        if verdicts[-1] is _Verdict.NOT_DONE:
            return Outcome.ABSENT
    if all(verdict is _Verdict.AS_WANTED for verdict in verdicts):
        return Outcome.COMMITTED
    return Outcome.UNKNOWN


class _Verdict(Enum):
    DONE = "it was done, and with it all of the unit"
    NOT_DONE = "it was not done, and none of the unit"
    AS_WANTED = "the rows are as it wanted them"
    UNKNOWN = "nothing can be said"


def _verdict(write: Rows, later: Sequence[Held], dialect: Any, ask: Ask) -> _Verdict:
    if write.shape.key is None or _changed_again(write, later):
        return _Verdict.UNKNOWN
    decides = _decides(write)
    counts = [0, 0, 0]
    rows = write.rows[:_SAMPLE] if decides else write.rows
    for statement in _probes(write, rows, dialect):
        counts = [total + found for total, found in zip(counts, ask(statement), strict=True)]
    there, as_wanted, as_before = counts
    if write.shape.kind is Kind.DELETE:
        # Who may go on only if the row was there does not want somebody else to have deleted it.
        gone = there == 0 and not write.checks.matched
        return _Verdict.AS_WANTED if gone else _Verdict.UNKNOWN
    if as_wanted == len(rows):
        return _Verdict.DONE if decides else _Verdict.AS_WANTED
    untouched = there == 0 if write.shape.kind is Kind.INSERT else as_before == len(rows)
    return _Verdict.NOT_DONE if decides and untouched else _Verdict.UNKNOWN


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
    for payload in payloads(rows, write.shape.width):
        part = rows[begin : begin + payload.rows]
        begin += payload.rows
        yield SetWriter(write.shape, payload, part, write.checks, dialect).probe()
