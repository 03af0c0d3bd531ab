"""What happens in a schedule, as plain values: what units are shown, and how they end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.history.model import Row, Write
from tests.history.schedules import Schedule
from vinci_code.database.dialect.driver import dbapi

ACKNOWLEDGED, FAILED, AMBIGUOUS = "acknowledged", "failed", "ambiguous"
PARTIAL, ROLLED_BACK, INTERRUPTED = "partial", "rolled back", "interrupted"


@dataclass(frozen=True)
class Read:
    """A unit has read a row.

    Attributes:
        unit: The unit.
        table: The table.
        key: The row.
        found: What it holds; ``None`` where there is none.
        pending: What the unit has written before.
    """

    unit: int
    table: str
    key: int
    found: Row | None
    pending: tuple[Write, ...]


@dataclass(frozen=True)
class Counted:
    """A unit was told how many rows a change of one row has matched."""

    unit: int
    table: str
    key: int
    rows: int
    pending: tuple[Write, ...]


@dataclass(frozen=True)
class Began:
    """A unit has begun."""

    unit: int


@dataclass(frozen=True)
class Refused:
    """A step was refused, and the unit goes on without it."""

    unit: int
    error: Exception


@dataclass(frozen=True)
class Ended:
    """A unit has ended.

    Attributes:
        unit: The unit.
        outcome: What its session was told.
        error: The error that reported it.
        writes: What it has written, without what was rolled back to a savepoint.
        snapshot: Whether it may have read from a snapshot of its own.
        mishaps: What was to go wrong during any of its steps.
        during: The step in which it failed, where that is not the commit.
        meanwhile: What happened within its commit.
        withheld: Whether the query history did not tell what became of a statement of it: it was
            made not to, or did not see all copies of it arrive.
        signalled: Whether the handler of a signal has raised an exception within it.
        back: Whether it has gone back to a savepoint.
    """

    unit: int
    outcome: str
    error: Exception | None
    writes: tuple[Write, ...]
    snapshot: bool
    mishaps: tuple[str, ...]
    during: str | None = None
    meanwhile: tuple[Event, ...] = ()
    withheld: bool = False
    signalled: bool = False
    back: bool = False


Event = Began | Read | Counted | Refused | Ended


@dataclass(frozen=True)
class History:
    """What happened in a schedule.

    Attributes:
        schedule: The schedule.
        transactions: Whether the warehouse has transactions.
        events: What happened, in order.
        rows: The rows afterwards, as a clean connection reads them: table, key, what it holds.
        found_out: What became of the commits whose answer was lost.
        broken: An error that was raised where none may be, and ended the schedule.
    """

    schedule: Schedule
    transactions: bool
    events: tuple[Event, ...]
    rows: tuple[tuple[str, int, Row], ...]
    found_out: tuple[str, ...] = ()
    broken: Exception | None = None


class Log:
    """What happens, in order."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def note(self, event: Event) -> None:
        """Note that something has happened."""
        self.events.append(event)

    @contextmanager
    def apart(self) -> Iterator[list[Event]]:
        """Note what happens within a commit apart: it is reported as a part of its end."""
        before, self.events = self.events, []
        try:
            yield self.events
        except BaseException:
            before += self.events  # there is no end that would tell it
            raise
        finally:
            self.events = before


def original(error: Exception) -> Exception:
    """The error that SQLAlchemy has wrapped, or the error itself."""
    found = getattr(error, "orig", None)
    return found if isinstance(found, Exception) else error


def outcome_of(error: Exception) -> str:
    """The outcome that the error of a commit tells."""
    error = original(error)
    if isinstance(error, dbapi.AmbiguousWriteError):
        return AMBIGUOUS
    return PARTIAL if isinstance(error, dbapi.PartialCommitError) else FAILED
