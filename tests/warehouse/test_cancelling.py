"""Every way to end a statement ends the work on it: its session takes the next one."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from databricks import sql
from databricks.sql import exc
from databricks.sql.thrift_api.TCLIService import ttypes

from tests.full import part
from tests.patience import PATIENCE_S, soon, wait_until
from tests.served_elsewhere import served_process
from tests.warehouse.test_hostile_statements import HOSTILE
from tests.warehouse.wire.client import WireClient
from tests.warehouse.wire.engine import FakeWarehouse
from vinci_code.warehouse import LocalWarehouse
from vinci_code.warehouse.engine import select
from vinci_code.warehouse.wire import operations

RUNNING = ttypes.TOperationState.RUNNING_STATE
FINISHED = ttypes.TOperationState.FINISHED_STATE
SUCCESS = ttypes.TStatusCode.SUCCESS_STATUS
ENDLESS = {
    name: HOSTILE[name]
    for name in ("range", "range of rows", "rows, and then none", "cross join", "recursion", "IN")
}
FOR_EVER = ENDLESS["cross join"]
# More rows than are read ahead come soon, the next one never.
LATE = "SELECT id FROM range(1000000000000000) WHERE id < 1000000 OR id = -1"
READ_AHEAD = 1024 * 1024
RUN_S = 0.5
CANCEL_S = 1.0


class Server:
    """A warehouse in a process of its own, by its address and what the driver needs."""

    def __init__(self, url: str, arguments: dict[str, Any]) -> None:
        parts = urlsplit(url)
        http_path = parse_qs(parts.query)["http_path"][0]
        self.address: Any = SimpleNamespace(
            host=parts.hostname,
            port=parts.port,
            http_path=http_path,
            access_token=arguments["access_token"],
            ca_file=arguments["_tls_trusted_ca_file"],
        )
        self.warehouse_id = http_path.rsplit("/", 1)[1]
        self.arguments = {
            "server_hostname": parts.hostname,
            "_port": parts.port,
            "http_path": http_path,
            "enable_telemetry": False,
            **arguments,
        }


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with served_process() as (url, arguments, _):
        yield Server(url, arguments)


def _by_cancel_operation(server: Server, client: WireClient, statement: str) -> float:
    session, operation = _begun(client, statement)
    begun = time.monotonic()
    client.call("CancelOperation", operationHandle=operation)
    return _free_after(client, session, begun)


def _by_close_operation(server: Server, client: WireClient, statement: str) -> float:
    session, operation = _begun(client, statement)
    begun = time.monotonic()
    client.call("CloseOperation", operationHandle=operation)
    return _free_after(client, session, begun)


def _by_close_session(server: Server, client: WireClient, statement: str) -> float:
    session, _ = _begun(client, statement)
    begun = time.monotonic()
    # It is answered when the session's engine is free.
    client.call("CloseSession", sessionHandle=session)
    return time.monotonic() - begun


def _by_timeout_of_the_statement(server: Server, client: WireClient, statement: str) -> float:
    session = client.open_session()
    begun = time.monotonic()
    client.call(
        "ExecuteStatement",
        sessionHandle=session,
        statement=statement,
        queryTimeout=1,
        runAsync=True,
    )
    return _free_after(client, session, begun + 1)


def _by_rest(server: Server, client: WireClient, statement: str) -> float:
    statements = "/api/2.0/sql/statements"
    warehouse = {"warehouse_id": server.warehouse_id}
    _, opened = client.json("POST", "/api/2.0/sql/sessions", json.dumps(warehouse).encode())
    session = {**warehouse, "session_id": opened["session_id"]}
    form = {"disposition": "EXTERNAL_LINKS", "format": "ARROW_STREAM"}  # of any size
    body = json.dumps({"statement": statement, "wait_timeout": "0s", **form, **session}).encode()
    _, answer = client.json("POST", statements, body)
    time.sleep(RUN_S)
    begun = time.monotonic()
    status, _, _ = client.request("POST", f"{statements}/{answer['statement_id']}/cancel", b"{}")
    assert status == 200
    body = json.dumps({"statement": "SELECT 1", "wait_timeout": "50s", **session}).encode()
    _, next_one = client.json("POST", statements, body)
    took = time.monotonic() - begun
    assert next_one["status"]["state"] == "SUCCEEDED"
    _, answer = client.json("GET", f"{statements}/{answer['statement_id']}")
    assert answer["status"]["state"] == "CANCELED"
    path = f"/api/2.0/sql/sessions/{opened['session_id']}?warehouse_id={server.warehouse_id}"
    assert client.request("DELETE", path)[0] == 200
    return took


WAYS: dict[str, Callable[[Server, WireClient, str], float]] = {
    "CancelOperation": _by_cancel_operation,
    "CloseOperation": _by_close_operation,
    "CloseSession": _by_close_session,
    "REST": _by_rest,
    "time-out": _by_timeout_of_the_statement,
}


def _begun(client: WireClient, statement: str) -> tuple[Any, Any]:
    session = client.open_session()
    answer = client.call(
        "ExecuteStatement", sessionHandle=session, statement=statement, runAsync=True
    )
    time.sleep(RUN_S)
    return session, answer.operationHandle


def _free_after(client: WireClient, session: Any, begun: float) -> float:
    """How long after a moment the session had done another statement."""
    # Without runAsync its answer is the end.
    answer = client.call("ExecuteStatement", sessionHandle=session, statement="SELECT 1")
    took = time.monotonic() - begun
    assert answer.status.statusCode == SUCCESS, answer.status
    client.call("CloseSession", sessionHandle=session)
    return took


@part(5)
@pytest.mark.parametrize("name", ENDLESS)
@pytest.mark.parametrize("way", WAYS)
def test_it_ends_the_work(server: Server, way: str, name: str) -> None:
    with WireClient(server.address) as client:
        took = WAYS[way](server, client, ENDLESS[name])
    print(f"{way}, {name}: the work ended after {took:.2f} s")


@pytest.mark.soak
@pytest.mark.parametrize("name", ENDLESS)
@pytest.mark.parametrize("way", WAYS)
def test_it_ends_the_work_within_a_second(server: Server, way: str, name: str) -> None:
    with WireClient(server.address) as client:
        assert WAYS[way](server, client, ENDLESS[name]) < CANCEL_S


def _by_the_driver(server: Server, *, after: float) -> float:
    """The seconds from the first cancel of another thread to the end of ``execute``."""
    ended = threading.Event()
    with sql.connect(**server.arguments) as connection, connection.cursor() as cursor:

        def run() -> None:
            with contextlib.suppress(exc.Error):
                cursor.execute(FOR_EVER)
            ended.set()

        thread = threading.Thread(target=run, name="test: executes")
        thread.start()
        time.sleep(after)
        begun = time.monotonic()
        while not ended.is_set() and time.monotonic() < begun + PATIENCE_S:
            # It does nothing but warn before the server has named the operation.
            cursor.cancel()
            ended.wait(0.02)
        took = time.monotonic() - begun
        thread.join()
    return took


def test_the_drivers_cancel_ends_the_work(server: Server) -> None:
    with soon():
        took = _by_the_driver(server, after=0.0)
    print(f"Cursor.cancel: execute() ended after {took:.2f} s")


@pytest.mark.soak
@pytest.mark.parametrize("after", [0.0, 0.3, 0.6, 1.5])
def test_the_drivers_cancel_ends_the_work_within_a_second(server: Server, after: float) -> None:
    assert _by_the_driver(server, after=after) < CANCEL_S


@pytest.mark.parametrize("fetches", [True, False])
@pytest.mark.parametrize("way", ["CancelOperation", "CloseOperation", "CloseSession"])
def test_it_ends_the_reading_of_rows_that_come_late(
    monkeypatch: pytest.MonkeyPatch, way: str, fetches: bool
) -> None:
    monkeypatch.setattr(select, "EAGER_BYTES", READ_AHEAD)
    monkeypatch.setattr(operations, "READ_AHEAD_BYTES", READ_AHEAD)
    answers: list[Any] = []
    with (
        LocalWarehouse() as warehouse,
        WireClient(warehouse) as client,
        WireClient(warehouse) as other,
    ):
        session = client.open_session()
        handle = client.call(
            "ExecuteStatement",
            sessionHandle=session,
            statement=LATE,
            runAsync=True,
            canReadArrowResult=True,
        ).operationHandle
        status = "GetOperationStatus"
        wait_until(lambda: client.call(status, operationHandle=handle).operationState == FINISHED)

        def fetch() -> None:
            while not answers or answers[-1].status.statusCode == SUCCESS:
                answers.append(
                    client.call(
                        "FetchResults", operationHandle=handle, orientation=0, maxRows=1_000_000
                    )
                )

        thread = threading.Thread(target=fetch, name="test: fetches")
        if fetches:
            thread.start()
            time.sleep(RUN_S)
        with soon():
            if way == "CloseSession":
                other.call(way, sessionHandle=session)
            else:
                other.call(way, operationHandle=handle)
            if fetches:
                thread.join(PATIENCE_S)
        assert not thread.is_alive()
    if fetches:
        # What was closed is not there for a fetch that comes after it.
        told = str(answers[-1].status.errorMessage)
        assert "OPERATION_CANCELED" in told or "Invalid OperationHandle" in told, told


def test_a_query_whose_client_has_hung_up_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "ABANDONED_SECONDS", 0.1)
    with FakeWarehouse() as warehouse:
        client = WireClient(warehouse)
        handle = client.open_session()
        session = warehouse.engine.sessions[-1]
        session.only_reads = True
        _hang_up_during(client, handle, warehouse)
        wait_until(lambda: _states(warehouse) == ["CANCELED"])


def test_a_write_whose_client_has_hung_up_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "ABANDONED_SECONDS", 0.1)
    with FakeWarehouse() as warehouse:
        client = WireClient(warehouse)
        handle = client.open_session()
        _hang_up_during(client, handle, warehouse)
        with pytest.raises(AssertionError):
            _wait_shortly(lambda: _states(warehouse) == ["CANCELED"])
        assert _states(warehouse) == ["RUNNING"]


def test_a_query_that_is_asked_for_again_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "ABANDONED_SECONDS", 0.5)
    with FakeWarehouse() as warehouse, WireClient(warehouse) as again:
        client = WireClient(warehouse)
        session = client.open_session()
        warehouse.engine.sessions[-1].only_reads = True
        running = client.call(
            "ExecuteStatement",
            sessionHandle=session,
            statement=f"SELECT sleep({PATIENCE_S})",
            runAsync=True,
        )
        handle = running.operationHandle
        client.send("GetOperationStatus", operationHandle=handle)
        client.http.close()
        for _ in range(8):
            answer = again.call("GetOperationStatus", operationHandle=handle)
            assert answer.operationState == RUNNING


def _hang_up_during(client: WireClient, session: Any, warehouse: FakeWarehouse) -> None:
    """Send a statement that takes for ever, and close the connection before its answer."""
    client.send("ExecuteStatement", sessionHandle=session, statement=f"SELECT sleep({PATIENCE_S})")
    wait_until(lambda: warehouse.engine.executed)
    client.http.close()


def _states(warehouse: FakeWarehouse) -> list[str]:
    with WireClient(warehouse) as client:
        _, answer = client.json("GET", "/api/2.0/sql/history/queries")
    return [entry["status"] for entry in answer["res"]]


def _wait_shortly(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 1.5
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.1)
