"""What is stored: totals, days, the newest events."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlalchemy import ColumnElement, String, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from vinci_code.database.models import Event


@dataclass(frozen=True)
class EventStatistics:
    """How many events there are.

    Attributes:
        total: All of them.
        by_type: Their number for each type, the largest first.
        by_source: Their number for each source, the largest first.
        by_day: Their number for each day (UTC) on which any occurred, the earliest first.
    """

    total: int
    by_type: dict[str, int]
    by_source: dict[str, int]
    by_day: dict[date, int]


def statistics(session: Session) -> EventStatistics:
    """Count what is stored."""
    total = session.scalar(select(func.count()).select_from(Event)) or 0
    return EventStatistics(
        total=total,
        by_type=_count_by(session, Event.event_type),
        by_source=_count_by(session, Event.source),
        by_day=_count_by_day(session),
    )


def newest_events(
    session: Session,
    limit: int = 10,
    *,
    event_type: str | None = None,
    source: str | None = None,
) -> list[Event]:
    """The events that occurred last, the newest first, of one type or source if asked for."""
    query = select(Event).order_by(Event.occurred_at.desc(), Event.id.desc()).limit(limit)
    if event_type is not None:
        query = query.where(Event.event_type == event_type)
    if source is not None:
        query = query.where(Event.source == source)
    return list(session.scalars(query))


def _count_by(session: Session, column: InstrumentedAttribute[str]) -> dict[str, int]:
    number = func.count()
    query = select(column, number).group_by(column).order_by(number.desc(), column)
    return {row[0]: row[1] for row in session.execute(query)}


def _count_by_day(session: Session) -> dict[date, int]:
    day: ColumnElement[str] = func.date(Event.occurred_at, type_=String)
    query = select(day, func.count()).group_by(day).order_by(day)
    return {date.fromisoformat(str(value)): count for value, count in session.execute(query)}
