"""Events and their numbers, for people and for machines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from itertools import islice
from typing import TYPE_CHECKING, Any

from vinci_code.cli.output import render, say
from vinci_code.cli.tables import bar_chart, one_line_table

if TYPE_CHECKING:
    from rich.table import Table

    from vinci_code.database.events import EventStatistics
    from vinci_code.database.models import Event

_DAYS = 31
_NAMES = 15


def record_of(event: Event) -> dict[str, Any]:
    """An event for a machine."""
    return {
        "id": event.id,
        "event_key": event.event_key,
        "event_type": event.event_type,
        "source": event.source,
        "description": event.description,
        "payload": event.payload,
        "occurred_at": _instant(event.occurred_at),
        "created_at": _instant(event.created_at),
    }


def events_table(events: Sequence[Event], room: int | None, *, with_ids: bool = True) -> Table:
    """Events for people, one a line of at most ``room`` characters."""
    rows = [
        (
            *((event.id,) if with_ids else ()),
            event.occurred_at.strftime("%Y-%m-%d %H:%M:%S"),
            event.event_type,
            event.source,
            event.description,
        )
        for event in events
    ]
    ids = ("id",) if with_ids else ()
    titles = (*ids, "occurred (UTC)", "type", "source", "description")
    return one_line_table(titles, rows, room)


def statistics_record(found: EventStatistics) -> dict[str, Any]:
    """Numbers for a machine."""
    return {
        "total": found.total,
        "by_type": found.by_type,
        "by_source": found.by_source,
        "by_day": {day.isoformat(): count for day, count in found.by_day.items()},
    }


def show_statistics(found: EventStatistics) -> None:
    """Print numbers for people: totals, and a bar chart per day."""
    say(f"{found.total:,} event{'' if found.total == 1 else 's'}")
    if not found.total:
        return
    _show_counts("By type", found.by_type)
    _show_counts("By source", found.by_source)
    days = list(found.by_day.items())
    earlier = days[:-_DAYS]
    say(f"\nBy day (UTC){f', the last {_DAYS}' if earlier else ''}")
    render(bar_chart(dict(days[-_DAYS:])))
    if earlier:
        say(f"and {sum(count for _, count in earlier):,} on {len(earlier):,} earlier days")


def _show_counts(title: str, counts: dict[str, int]) -> None:
    say(f"\n{title}")
    render(bar_chart(dict(islice(counts.items(), _NAMES))))
    rest = len(counts) - _NAMES
    if rest > 0:
        say(f"and {sum(islice(counts.values(), _NAMES, None)):,} of {rest:,} others")


def _instant(value: datetime) -> str:
    return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
