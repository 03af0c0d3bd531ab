"""Where units of work go, in numbers and words for people and health checks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from vinci_code.database.fallback.journal import Journal

State = Literal["online", "away", "returning"]


@dataclass(frozen=True)
class DatabaseState:
    """Where units of work go, and what has not arrived yet.

    Attributes:
        goes_to: ``databricks``, ``standby``, or ``sqlite`` where Databricks is off.
        state: ``online``, ``away`` or ``returning``.
        since: Since when, aware, in UTC; ``None`` where it was never anything else.
        reason: Why.
        waiting: How many units wait for the warehouse.
        in_doubt: Of how many it is not known whether they have arrived.
        parked: How many could not arrive, and wait for somebody to decide.
        damaged: How many are not whole in the file.
        oldest: When the oldest of these was committed, in UTC.
        next_try: When the warehouse is tried again, at the earliest.
    """

    goes_to: Literal["databricks", "standby", "sqlite"]
    state: State = "online"
    since: datetime | None = None
    reason: str | None = None
    waiting: int = 0
    in_doubt: int = 0
    parked: int = 0
    damaged: int = 0
    oldest: str | None = None
    next_try: datetime | None = None


def state_of(journal: Journal) -> DatabaseState:
    """What a journal tells; the warehouse is not asked.

    Raises:
        FallbackFileError: It cannot be read.
    """
    standing, counts = journal.state(), journal.counts()
    word = "online" if standing is None else standing.word
    if word == "online" and counts.waiting:
        word = "returning"
    return DatabaseState(
        goes_to="databricks" if word == "online" else "standby",
        state=word,  # type: ignore[arg-type]
        since=None if standing is None else moment_of(standing.since),
        reason=None if standing is None else standing.reason,
        waiting=counts.waiting,
        in_doubt=counts.in_doubt,
        parked=counts.parked,
        damaged=counts.damaged,
        oldest=counts.oldest,
        next_try=moment_of(standing.next_try) if standing and standing.next_try else None,
    )


@contextmanager
def opened(file: Path) -> Iterator[Journal]:
    """The journal in a file, with no engine; it is made where it is not there.

    Raises:
        FallbackFileError: It cannot be used.
    """
    journal = Journal(file)
    try:
        journal.prepare()
        yield journal
    finally:
        journal.close()


def moment_of(seconds: float) -> datetime:
    """A time that the journal tells in seconds since the epoch."""
    return datetime.fromtimestamp(seconds, timezone.utc)
