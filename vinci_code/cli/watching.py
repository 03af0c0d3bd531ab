"""The warehouse's state, watched: a line for each change."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from vinci_code.cli.output import flush, masked, say, shown
from vinci_code.cli.ran import duration, instant

if TYPE_CHECKING:
    from vinci_code.diagnostics.watching import Change


def watch_state(interval: float | None, *, as_json: bool) -> None:
    """Print each change of the warehouse's state, until the process is interrupted.

    Args:
        interval: Seconds between two questions; ``None`` for the default.
        as_json: Whether to print one JSON document a line.

    Raises:
        ConfigurationError: The settings name no warehouse.
        DatabricksConnectionError: The workspace does not show it.
    """
    from vinci_code.database.databricks_connector import DatabricksConnector
    from vinci_code.diagnostics.watching import INTERVAL, watch_warehouse

    def tell(change: Change) -> None:
        say(json.dumps(masked(_document(change))) if as_json else _line(change))
        flush()

    with DatabricksConnector() as connector:
        watch_warehouse(connector, tell, interval=INTERVAL if interval is None else interval)


def _document(change: Change) -> dict[str, Any]:
    now = change.now
    return {
        "at": instant(change.at),
        "state": now.state,
        "clusters": now.clusters,
        "sessions": now.sessions,
        "auto_stop_s": None if now.auto_stop is None else now.auto_stop.total_seconds(),
        "before": None if change.before is None else change.before.state,
        "lasted_s": None if change.lasted is None else round(change.lasted.total_seconds(), 3),
        "reason": now.reason,
    }


def _line(change: Change) -> str:
    now = change.now
    told = []
    if now.clusters is not None:
        told.append(f"{now.clusters:,} cluster{'' if now.clusters == 1 else 's'}")
    if now.sessions is not None:
        told.append(f"{now.sessions:,} session{'' if now.sessions == 1 else 's'}")
    if change.before is None and now.auto_stop is not None:
        minutes = now.auto_stop.total_seconds() / 60
        told.append(f"auto-stop after {minutes:g} min" if minutes else "no auto-stop")
    if change.before is not None and change.lasted is not None:
        lasted = duration(change.lasted.total_seconds() * 1000)
        told.append(f"was {change.before.state} for {lasted}")
    if now.reason is not None:
        told.append(shown(now.reason))
    details = f"  {', '.join(told)}" if told else ""
    return f"{change.at:%Y-%m-%d %H:%M:%S}Z  {now.state}{details}"
