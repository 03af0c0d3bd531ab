"""The state of a warehouse, watched: what changes is told, and nothing is woken by it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator

import pytest

from tests.diagnostics.stopping import stopped
from tests.fakes.certificates import Authority
from tests.fakes.workspace import WAREHOUSE_ID, FakeWorkspace
from vinci_code.core.config import Settings
from vinci_code.core.errors import AuthenticationError, DatabricksConnectionError
from vinci_code.database.databricks_connector import DatabricksConnector
from vinci_code.diagnostics.watching import (
    Change,
    WarehouseState,
    state_of_warehouse,
    watch_warehouse,
)
from vinci_code.warehouse.pytest_plugin import TestWarehouse

PATH = f"/api/2.0/sql/warehouses/{WAREHOUSE_ID}"
NOON = dt.datetime(2026, 11, 30, 12, tzinfo=dt.timezone.utc)


class EnoughError(Exception):
    """Ends the watching."""


class Clock:
    """A clock that goes on by waiting alone, and does something between two questions."""

    def __init__(self, *between: Callable[[], object]) -> None:
        self.now = NOON
        self.left = list(between)

    def sleep(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=seconds)
        if not self.left:
            raise EnoughError
        self.left.pop(0)()

    def __call__(self) -> dt.datetime:
        return self.now


def watch(connector: DatabricksConnector, *between: Callable[[], object]) -> list[Change]:
    """The changes that are told, with something done between any two questions."""
    clock, told = Clock(*between), list[Change]()
    with pytest.raises(EnoughError):
        watch_warehouse(connector, told.append, interval=30, sleep=clock.sleep, clock=clock)
    return told


@pytest.fixture
def connector(workspace: FakeWorkspace, authority: Authority) -> Iterator[DatabricksConnector]:
    with DatabricksConnector(Settings(database=workspace.settings(authority))) as opened:
        yield opened


def answers(workspace: FakeWorkspace, content: object, status: int = 200) -> Callable[[], object]:
    """Have the workspace answer so from then on."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return lambda: workspace.answers.update({PATH: lambda _: (status, body, {})})


def nothing() -> None:
    """Nothing happens between two questions."""


def test_each_change_is_told_once(workspace: FakeWorkspace, connector: DatabricksConnector) -> None:
    def become(state: str) -> Callable[[], object]:
        return lambda: setattr(workspace, "state", state)

    told = watch(connector, nothing, become("STOPPING"), nothing, become("STOPPED"), nothing)
    assert [(change.now.state, change.at) for change in told] == [
        ("RUNNING", NOON),
        ("STOPPING", NOON + dt.timedelta(seconds=60)),
        ("STOPPED", NOON + dt.timedelta(seconds=120)),
    ]
    assert [change.before and change.before.state for change in told] == [
        None,
        "RUNNING",
        "STOPPING",
    ]
    assert [change.lasted for change in told] == [None, *[dt.timedelta(seconds=60)] * 2]


def test_nothing_but_the_state_is_asked_and_a_stopped_warehouse_stays_so(
    local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in local_warehouse.env.items():
        monkeypatch.setenv(name, value)
    warehouse = local_warehouse.warehouse
    with DatabricksConnector() as own, stopped(own):
        warehouse.clear_requests()
        (told,) = watch(own, *[nothing] * 20)
        assert told.now == WarehouseState("STOPPED", clusters=0, auto_stop=dt.timedelta())
        assert warehouse.state == "STOPPED"
        path = f"/api/2.0/sql/warehouses/{warehouse.warehouse_id}"
        assert [request.operation for request in warehouse.requests] == [f"GET {path}"] * 21


def test_what_may_be_over_is_a_state_of_its_own(
    workspace: FakeWorkspace, connector: DatabricksConnector
) -> None:
    told = watch(
        connector,
        answers(workspace, {"message": "busy"}, 503),
        nothing,
        answers(workspace, {"message": "broken"}, 500),
        answers(workspace, b"<html>"),
        answers(workspace, {"state": "RUNNING", "num_clusters": 2, "num_active_sessions": 3}),
        answers(workspace, {"state": "RUNNING", "num_clusters": 2, "num_active_sessions": 4}),
        answers(workspace, {"state": "ODD\x1b[31m" * 100}),
    )
    assert [change.now.state for change in told] == ["RUNNING", "unknown", "RUNNING", "unknown"]
    assert "takes no question" in str(told[1].now.reason)
    assert (told[2].now.clusters, told[2].now.sessions) == (2, 3)
    assert "\\x1b" in str(told[3].now.reason)
    assert len(str(told[3].now.reason)) < 200


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_what_stays_ends_it(
    workspace: FakeWorkspace, connector: DatabricksConnector, status: int
) -> None:
    answers(workspace, {"message": "no"}, status)()
    kind = AuthenticationError if status in (401, 403) else DatabricksConnectionError
    clock = Clock()
    with pytest.raises(kind, match="To fix it: "):
        watch_warehouse(connector, print, sleep=clock.sleep, clock=clock)
    assert clock.now == NOON
    with pytest.raises(kind):
        state_of_warehouse(connector)


def test_a_workspace_that_is_gone_for_a_while(
    workspace: FakeWorkspace, connector: DatabricksConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vinci_code.diagnostics import asking

    def gone() -> None:
        def refuse(*_: object, **__: object) -> object:
            raise ConnectionRefusedError(111, "Connection refused")

        monkeypatch.setattr(asking, "request", refuse)

    told = watch(connector, gone, nothing, monkeypatch.undo)
    assert [change.now.state for change in told] == ["RUNNING", "unknown", "RUNNING"]
    assert "cannot be reached" in str(told[1].now.reason)


STRANGE: list[object] = [None, True, -1, 10**30, "7", [], {}]


@pytest.mark.parametrize("value", STRANGE, ids=repr)
def test_a_field_that_is_not_what_it_should_be_is_not_known(
    workspace: FakeWorkspace, connector: DatabricksConnector, value: object
) -> None:
    names = ("num_clusters", "num_active_sessions", "auto_stop_mins")
    answers(workspace, dict.fromkeys(names, value) | {"state": "STOPPED"})()
    assert state_of_warehouse(connector) == WarehouseState("STOPPED")
    answers(workspace, {"state": value})()
    assert state_of_warehouse(connector).state == "unknown"
