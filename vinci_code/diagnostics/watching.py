"""Watch the state of a warehouse, without waking it and without keeping it awake.

Nothing is asked but ``GET /api/2.0/sql/warehouses/{id}``
(https://docs.databricks.com/api/workspace/warehouses/get): it runs nothing on the warehouse, opens
no session, and starts nothing. A statement, and the opening of a session, would.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vinci_code.core.config.normalise import warehouse_id_of
from vinci_code.core.errors import AuthenticationError, DatabricksConnectionError
from vinci_code.diagnostics.asking import WAREHOUSE, ask_once, content_of, refused

if TYPE_CHECKING:
    from vinci_code.database.databricks_connector import DatabricksConnector

INTERVAL = 15.0
"""Seconds between two questions, unless something else is asked for."""

_WHAT = "the state of the warehouse"
_RIGHT = "ask the warehouse's owner for the permission CAN VIEW or CAN USE on it"
# Nothing that is asked again can change these.
_FINAL = frozenset({400, 401, 403, 404})
_STATES = frozenset({"DELETED", "DELETING", "RUNNING", "STARTING", "STOPPED", "STOPPING"})


@dataclass(frozen=True)
class WarehouseState:
    """What a warehouse does now.

    Attributes:
        state: ``RUNNING``, ``STARTING``, ``STOPPED``, ``STOPPING``, ``DELETED``, ``DELETING``;
            ``unknown`` where the workspace did not tell it.
        clusters: How many clusters it has.
        sessions: How many sessions are open on it.
        auto_stop: After how long without a statement it stops; ``None`` where that is not known,
            0 where it never does.
        reason: Why the state is not known.
    """

    state: str
    clusters: int | None = None
    sessions: int | None = None
    auto_stop: dt.timedelta | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Change:
    """A state that is not the one before.

    Attributes:
        at: When it was seen, in UTC.
        now: The state.
        before: The state before; ``None`` for the first.
        lasted: For how long the state before was seen.
    """

    at: dt.datetime
    now: WarehouseState
    before: WarehouseState | None = None
    lasted: dt.timedelta | None = None


def state_of_warehouse(connector: DatabricksConnector) -> WarehouseState:
    """Ask once for the state.

    Raises:
        AuthenticationError: The credentials are not accepted, or may not see it.
        DatabricksConnectionError: The workspace could not be asked, knows no such warehouse, or
            answered with something else.
    """
    reply = ask_once(connector, WAREHOUSE + warehouse_id_of(connector.http_path))
    if not reply.ok:
        raise refused(connector, reply, _WHAT, _RIGHT)
    return _read(content_of(connector, reply, _WHAT))


def watch_warehouse(
    connector: DatabricksConnector,
    on_change: Callable[[Change], object],
    *,
    interval: float = INTERVAL,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.timezone.utc),
) -> None:
    """Tell of each change of the state, until the process is interrupted.

    A workspace that cannot be reached for a while is a state, too: ``unknown``.

    Args:
        connector: The warehouse.
        on_change: Called with the first state, and with each other one.
        interval: Seconds between two questions.
        sleep: Waits between them.
        clock: Tells the time.

    Raises:
        AuthenticationError: The credentials are not accepted, or may not see it.
        DatabricksConnectionError: The workspace knows no such warehouse.
    """
    before: WarehouseState | None = None
    since = clock()
    while True:
        now = _now(connector)
        if before is None or _differs(now, before):
            at = clock()
            on_change(Change(at, now, before, None if before is None else at - since))
            since = at
        before = now
        sleep(interval)


def _now(connector: DatabricksConnector) -> WarehouseState:
    """The state; ``unknown`` where what went wrong may be over when it is asked again."""
    try:
        reply = ask_once(connector, WAREHOUSE + warehouse_id_of(connector.http_path))
        if reply.ok:
            return _read(content_of(connector, reply, _WHAT))
    except AuthenticationError:
        raise
    except DatabricksConnectionError as error:
        return WarehouseState("unknown", reason=str(error))
    refusal = refused(connector, reply, _WHAT, _RIGHT)
    if reply.status in _FINAL:
        raise refusal
    return WarehouseState("unknown", reason=str(refusal))


def _differs(now: WarehouseState, before: WarehouseState) -> bool:
    """Whether there is something to tell: numbers of sessions go up and down all day."""
    return (now.state, now.clusters) != (before.state, before.clusters)


def _read(content: dict[str, Any]) -> WarehouseState:
    state, minutes = content.get("state"), _number(content, "auto_stop_mins")
    is_known = isinstance(state, str) and state in _STATES
    return WarehouseState(
        str(state) if is_known else "unknown",
        clusters=_number(content, "num_clusters"),
        sessions=_number(content, "num_active_sessions"),
        auto_stop=None if minutes is None else dt.timedelta(minutes=minutes),
        reason=None if is_known else f"the workspace calls its state {ascii(state)[:100]}",
    )


def _number(content: dict[str, Any], name: str) -> int | None:
    value = content.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < 10**6 else None
