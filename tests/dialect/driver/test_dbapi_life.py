"""The life of a connection: lost sessions, waiting, deadlines, cancelling, interruptions."""

from __future__ import annotations

import gc
import logging
import math
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.full import part
from tests.patience import (
    FOR_LONG_S,
    PATIENCE_S,
    SHORT_S,
    HeldClock,
    hold_clock,
    runs_again,
    signal_once,
    soon,
    wait_until,
)
from vinci_code.database.dialect.driver import dbapi, execution, transport, waiting
from vinci_code.database.dialect.driver.waiting import Waiting, seconds_in
from vinci_code.warehouse.faults import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse
from vinci_code.warehouse.wire import rest, thrift_service

pytestmark = part(3)


Connect = Callable[..., dbapi.Connection]

POLL = "GetOperationStatus"

_BEFORE: dict[str, int] = {}


@pytest.fixture(autouse=True)
def sessions_before(local_warehouse: TestWarehouse) -> None:
    """Other tests share the warehouse, and may have left sessions behind."""
    gc.collect()  # closes what nobody holds any more, before it is counted
    _BEFORE["count"] = local_warehouse.warehouse.session_count


def open_sessions(local_warehouse: TestWarehouse) -> int:
    return local_warehouse.warehouse.session_count - _BEFORE["count"]


def sent(warehouse: TestWarehouse, text: str) -> list[bool | None]:
    """For each time that a statement was sent, whether it was executed."""
    return [r.executed for r in warehouse.requests if r.statement and text in r.statement]


def operations(warehouse: TestWarehouse) -> list[str]:
    return [record.operation for record in warehouse.requests]


def count(connection: dbapi.Connection, table: str = "t") -> int:
    row = connection.cursor().execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def clock(local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldClock]:
    """The clock of the dialect's driver, and of the warehouse that starts."""
    yield hold_clock(monkeypatch, dbapi, execution, transport, waiting, rest)
    runs_again(local_warehouse.warehouse)  # the next test has another clock


@pytest.fixture
def named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a statement that runs on named at once, and not after two seconds."""
    monkeypatch.setattr(thrift_service, "DIRECT_RESULTS_SECONDS", 0.0)


@pytest.fixture
def table(connection: dbapi.Connection) -> dbapi.Connection:
    connection.cursor().execute("CREATE TABLE t (a INT)")
    connection.commit()
    return connection


# --- sessions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("statement", ["SELECT a FROM t", "INSERT INTO t VALUES (1)"])
def test_a_lost_session_is_replaced_for_the_first_statement_of_a_unit(
    statement: str, table: dbapi.Connection, local_warehouse: TestWarehouse
) -> None:
    before = table.session_id
    local_warehouse.inject(Fault.session_lost(operation="ExecuteStatement"))
    table.cursor().execute(statement)
    assert table.session_id != before
    assert sent(local_warehouse, statement) == [False, True]
    assert count(table) == statement.startswith("INSERT")


def test_a_lost_session_is_reported_later_in_a_unit(
    table: dbapi.Connection, local_warehouse: TestWarehouse
) -> None:
    cursor = table.cursor()
    cursor.execute("INSERT INTO t VALUES (1)")
    local_warehouse.inject(Fault.session_lost(statement="VALUES \\(2\\)"))
    with pytest.raises(dbapi.SessionLostError) as caught:
        cursor.execute("INSERT INTO t VALUES (2)")
    assert caught.value.retryable
    assert sent(local_warehouse, "VALUES (2)") == [False]
    table.rollback()
    assert count(table) == 1


def test_in_autocommit_every_statement_is_a_unit(
    table: dbapi.Connection, local_warehouse: TestWarehouse
) -> None:
    table.autocommit = True
    cursor = table.cursor()
    cursor.execute("INSERT INTO t VALUES (1)")
    local_warehouse.inject(Fault.session_lost(statement="VALUES \\(2\\)"))
    cursor.execute("INSERT INTO t VALUES (2)")
    assert count(table) == 2


@pytest.mark.parametrize(
    "change",
    ["USE SCHEMA default", "SET TIMEZONE = 'Asia/Tokyo'", "CREATE TEMP VIEW v AS SELECT 1"],
)
def test_a_session_that_holds_something_is_not_replaced(
    change: str, table: dbapi.Connection, local_warehouse: TestWarehouse
) -> None:
    table.cursor().execute(change)
    table.commit()
    local_warehouse.inject(Fault.session_lost(operation="ExecuteStatement"))
    with pytest.raises(dbapi.SessionLostError):
        table.cursor().execute("SELECT 1")


def test_closing_ends_the_session_once_and_asks_nothing_of_a_lost_one(
    connect: Connect, local_warehouse: TestWarehouse
) -> None:
    connection = connect()
    connection.close()
    connection.close()
    assert operations(local_warehouse).count("CloseSession") == 1
    assert open_sessions(local_warehouse) == 0
    with pytest.raises(dbapi.InterfaceError, match="closed"):
        connection.cursor()

    lost = connect()
    lost.cursor().execute("SELECT 1")
    local_warehouse.inject(Fault.session_lost(operation="ExecuteStatement"))
    with pytest.raises(dbapi.SessionLostError):
        lost.cursor().execute("SELECT 1")
    local_warehouse.warehouse.clear_requests()
    lost.close()
    assert operations(local_warehouse) == []


def test_an_idle_connection_sends_nothing_and_cursors_leave_nothing(
    table: dbapi.Connection, local_warehouse: TestWarehouse
) -> None:
    for _ in range(5):
        cursor = table.cursor()
        cursor.execute("SELECT 1").fetchall()
        cursor.close()
    assert table.driver_connection._cursors == []
    local_warehouse.warehouse.clear_requests()
    table.commit()
    table.rollback()
    assert operations(local_warehouse) == []


# --- waiting -------------------------------------------------------------------------------------


def test_a_warehouse_that_starts_is_waited_for_with_one_line_and_a_callback(
    connect: Connect,
    local_warehouse: TestWarehouse,
    caplog: pytest.LogCaptureFixture,
    clock: HeldClock,
) -> None:
    waits: list[Waiting] = []
    local_warehouse.inject(Fault.cold_start(2.0, retry_after=1))
    with caplog.at_level(logging.INFO, "vinci_code"):
        connect(on_waiting=waits.append).cursor().execute("SELECT 1")
    assert 2.0 <= clock.passed < 3.0
    assert [r.levelname for r in caplog.records if "not ready" in r.message] == ["INFO"]
    assert [waiting.pause for waiting in waits] == clock.pauses
    assert len(waits) == 2
    assert all(1.0 <= waiting.pause < 1.5 and waiting.budget == 300 for waiting in waits)


def test_sessions_that_a_starting_warehouse_does_not_know_are_opened_again(
    connect: Connect, local_warehouse: TestWarehouse
) -> None:
    connection = connect()
    local_warehouse.inject(Fault.cold_start(1.5, style="session"))
    assert connection.cursor().execute("SELECT 1").fetchall() == [(1,)]


def test_the_budget_ends_the_wait(
    connect: Connect, local_warehouse: TestWarehouse, clock: HeldClock
) -> None:
    # As a warehouse answers that starts; one that does would go on starting in the next test.
    local_warehouse.inject(Fault.http(503, times=50))
    with pytest.raises(dbapi.WarehouseStartTimeout, match="start_timeout") as caught:
        connect(start_timeout=1.0)
    assert clock.passed == pytest.approx(1.0)
    assert caught.value.retryable


def test_a_wait_longer_than_the_budget_is_not_begun(
    connect: Connect, local_warehouse: TestWarehouse, clock: HeldClock
) -> None:
    local_warehouse.inject(Fault.http(503, retry_after=60))
    with pytest.raises(dbapi.WarehouseStartTimeout, match="60 s more"):
        connect(start_timeout=10)
    assert clock.pauses == []


def test_a_busy_warehouse_is_waited_for_as_long_as_it_asks(
    table: dbapi.Connection, local_warehouse: TestWarehouse, clock: HeldClock
) -> None:
    local_warehouse.inject(
        Fault.http(429, retry_after=1, operation="ExecuteStatement", message="too many requests")
    )
    table.cursor().execute("INSERT INTO t VALUES (1)")
    (pause,) = clock.pauses
    assert 1.0 <= pause < 1.5
    assert sent(local_warehouse, "INSERT") == [False, True]


def test_a_warehouse_that_stays_busy_is_a_limit(
    table: dbapi.Connection, connect: Connect, local_warehouse: TestWarehouse
) -> None:
    connection = connect(start_timeout=1.0)
    local_warehouse.inject(Fault.http(429, operation="ExecuteStatement", times=50))
    with pytest.raises(dbapi.LimitExceeded, match="took no request"):
        connection.cursor().execute("SELECT 1")


def test_a_deadline_holds_while_waiting(
    connect: Connect, local_warehouse: TestWarehouse, clock: HeldClock
) -> None:
    connection = connect(timeout=20.0)
    local_warehouse.inject(Fault.http(503, operation="ExecuteStatement", times=50))
    with pytest.raises(dbapi.StatementTimeout):
        connection.cursor().execute("SELECT 1")
    assert clock.passed == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("3", 3.0),
        ("0.5", 0.5),
        ("-1", 0.0),
        (None, None),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", math.inf),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
    ],
)
def test_retry_after_is_a_number_or_a_date(header: str | None, seconds: float | None) -> None:
    assert seconds_in(header) == seconds


# --- deadlines and cancelling --------------------------------------------------------------------


def test_a_statement_is_cancelled_at_its_deadline(
    connect: Connect, local_warehouse: TestWarehouse, clock: HeldClock, named_at_once: None
) -> None:
    connection = connect(timeout=PATIENCE_S)
    local_warehouse.inject(Fault.slow_poll(FOR_LONG_S))
    clock.move_on(PATIENCE_S, once=lambda: operations(local_warehouse).count(POLL) == 2)
    with pytest.raises(dbapi.StatementTimeout, match="timeout") as caught:
        connection.cursor().execute("SELECT 1")
    assert operations(local_warehouse).count(POLL) == 2
    assert caught.value.statement_id
    # What takes long goes on by itself.
    wait_until(lambda: "CancelOperation" in operations(local_warehouse))
    cancelled = [r for r in local_warehouse.requests if r.operation == "CancelOperation"]
    assert [record.operation_id for record in cancelled] == [caught.value.statement_id]
    connection.cursor().execute("SELECT 1")


def test_a_statement_without_a_name_is_ended_with_its_session(
    connect: Connect, local_warehouse: TestWarehouse
) -> None:
    connection = connect(timeout=SHORT_S)
    local_warehouse.inject(Fault.delay(FOR_LONG_S, operation="ExecuteStatement"))
    with soon(), pytest.raises(dbapi.StatementTimeout):
        connection.cursor().execute("SELECT 1")
    wait_until(lambda: "CloseSession" in operations(local_warehouse))


def test_a_running_write_is_cancelled_and_leaves_nothing(
    table: dbapi.Connection,
    connect: Connect,
    local_warehouse: TestWarehouse,
    clock: HeldClock,
    named_at_once: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A busy machine may take longer to cancel than an application is to wait.
    monkeypatch.setattr(execution, "_CANCEL_SECONDS", PATIENCE_S)
    monkeypatch.setattr(execution, "_STATE_SECONDS", PATIENCE_S)
    connection = connect(timeout=PATIENCE_S)
    clock.move_on(PATIENCE_S, once=lambda: POLL in operations(local_warehouse))
    slow = "INSERT INTO t SELECT count(*) FROM range(100000) a, range(1000000) b WHERE a.id <> b.id"
    with pytest.raises(dbapi.StatementTimeout):
        connection.cursor().execute(slow)
    assert sent(local_warehouse, slow) == [False]
    assert count(table) == 0


def test_a_write_that_was_faster_than_its_cancellation_is_not_called_cancelled(
    table: dbapi.Connection,
    connect: Connect,
    local_warehouse: TestWarehouse,
    clock: HeldClock,
    named_at_once: None,
) -> None:
    connection = connect(timeout=PATIENCE_S)
    local_warehouse.inject(Fault.slow_poll(FOR_LONG_S, statement="INSERT"))
    clock.move_on(PATIENCE_S, once=lambda: POLL in operations(local_warehouse))
    with pytest.raises(dbapi.AmbiguousWriteError) as caught:
        connection.cursor().execute("INSERT INTO t VALUES (1)")
    assert caught.value.statement_id
    assert count(table) == 1


def test_another_thread_can_cancel(
    connection: dbapi.Connection, local_warehouse: TestWarehouse, named_at_once: None
) -> None:
    cursor = connection.cursor()
    local_warehouse.inject(Fault.slow_poll(4.0))

    def cancel() -> None:
        wait_until(lambda: POLL in operations(local_warehouse))
        cursor.cancel()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    with pytest.raises(dbapi.CancelledError):
        cursor.execute("SELECT count(*) FROM range(100000) a, range(1000000) b WHERE a.id <> b.id")
    canceller.join()
    assert "CancelOperation" in operations(local_warehouse)


@pytest.mark.parametrize(
    ("named", "ended_by"), [(False, "CloseSession"), (True, "CancelOperation")]
)
def test_ctrl_c_ends_the_statement_on_the_warehouse(
    named: bool,
    ended_by: str,
    table: dbapi.Connection,
    connect: Connect,
    local_warehouse: TestWarehouse,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before the statement has a name, and after."""
    connection = connect()
    slow = "INSERT INTO t SELECT count(*) FROM range(100000) a, range(1000000) b WHERE a.id <> b.id"
    unnamed_for = 0.0 if named else FOR_LONG_S
    monkeypatch.setattr(thrift_service, "DIRECT_RESULTS_SECONDS", unnamed_for)

    def runs() -> bool:
        return POLL in operations(local_warehouse) if named else bool(sent(local_warehouse, slow))

    with (
        soon(),
        pytest.raises(KeyboardInterrupt),
        signal_once(runs, signal.SIGINT),
    ):
        connection.cursor().execute(slow)
    wait_until(lambda: ended_by in operations(local_warehouse))
    wait_until(lambda: sent(local_warehouse, slow) != [None])
    assert sent(local_warehouse, slow) == [False]
    assert count(table) == 0


def test_a_fetch_ends_at_the_deadline(connect: Connect, local_warehouse: TestWarehouse) -> None:
    connection = connect()
    cursor = connection.cursor()
    cursor.execute("SELECT id, repeat('x', 900) FROM range(250000)")
    cursor.timeout = 0.5
    local_warehouse.inject(Fault.delay(FOR_LONG_S, operation="FetchResults"))
    with soon(), pytest.raises(dbapi.OperationalError):
        cursor.fetchall()


def test_statement_timeout_of_the_session_is_a_timeout(
    connection: dbapi.Connection,
) -> None:
    cursor = connection.cursor()
    cursor.execute("SET STATEMENT_TIMEOUT = 1")
    with pytest.raises(dbapi.StatementTimeout, match="STATEMENT_TIMEOUT"):
        cursor.execute("SELECT count(*) FROM range(100000) a, range(1000000) b WHERE a.id <> b.id")


# --- connecting ----------------------------------------------------------------------------------


def test_a_wrong_token_fails_at_once(connect: Connect, local_warehouse: TestWarehouse) -> None:
    with (
        soon(),
        pytest.raises(dbapi.AuthenticationFailed, match="Invalid access token") as caught,
    ):
        connect(access_token="dapi" + "0" * 32)
    assert "dapi0000" not in str(caught.value)
    assert len(local_warehouse.requests) == 1


def test_a_host_that_does_not_answer_is_given_up(connect: Connect) -> None:
    # TEST-NET-1, RFC 5737: routed nowhere.
    with soon(), pytest.raises(dbapi.ConnectionLostError):
        connect(server_hostname="192.0.2.1", _port=443, connect_timeout=1.0)


def test_a_name_that_is_not_resolved_in_time_is_given_up(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()
    resolve = socket.getaddrinfo

    def slow(*arguments: Any, **named: Any) -> Any:
        released.wait(FOR_LONG_S)
        return resolve(*arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    try:
        with soon(), pytest.raises(dbapi.ConnectTimeout, match="connect_timeout"):
            connect(connect_timeout=0.5)
    finally:
        released.set()


def test_parameters_are_not_logged(
    connection: dbapi.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "databricks.sql.client"):
        connection.cursor().execute("SELECT ?", ["my private text"])
    # The driver's "unsafe" logger goes nowhere; pytest listens to it all the same.
    logged = [r.getMessage() for r in caplog.records if r.name == "databricks.sql.client"]
    assert any("Cursor.execute" in message for message in logged)
    assert not any("my private text" in message for message in logged)


def test_a_refused_connection_is_reported_at_once(connect: Connect) -> None:
    with soon(), pytest.raises(dbapi.ConnectionLostError, match="localhost"):
        connect(_port=9)


def test_a_certificate_of_somebody_else_is_refused(
    connect: Connect, local_warehouse: TestWarehouse
) -> None:
    with pytest.raises(dbapi.ConnectionLostError, match="signed by a CA that is not in"):
        connect(_tls_trusted_ca_file=None)
    assert local_warehouse.requests == ()


def test_a_warehouse_that_speaks_another_protocol_is_named(
    connect: Connect, local_warehouse: TestWarehouse
) -> None:
    local_warehouse.inject(Fault.protocol_unsupported())
    with pytest.raises(dbapi.ProtocolUnsupported, match="serverless, pro or classic"):
        connect()
    assert operations(local_warehouse) == ["OpenSession"]


def test_a_path_that_does_not_exist_is_reported_at_once(connect: Connect) -> None:
    with pytest.raises(dbapi.OperationalError, match="status 40"):
        connect(http_path="/sql/1.0/warehouses/0123456789abcdef")


REFUSED: dict[str, dict[str, Any]] = {
    "no credentials": {"access_token": None},
    "no verification": {"_tls_no_verify": True},
    "no host name": {"_tls_verify_hostname": False},
    "another backend": {"use_kernel": True},
    "another address": {"_connection_uri": "http://localhost"},
    "a password": {"username": "me", "password": "secret-word"},
    "no path": {"http_path": ""},
    "a timeout that is none": {"timeout": "soon"},
    "a provider that is none": {"credentials_provider": "token"},
}


@pytest.mark.parametrize("arguments", REFUSED.values(), ids=list(REFUSED))
def test_what_cannot_be_used_is_refused_before_anything_is_sent(
    arguments: dict[str, Any], connect: Connect, local_warehouse: TestWarehouse
) -> None:
    with pytest.raises(dbapi.InterfaceError):
        connect(**arguments)
    assert local_warehouse.requests == ()


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="this system lists no open files")
def test_closed_connections_leave_no_socket_to_the_garbage_collector(
    connect_args: dict[str, Any],
) -> None:
    def sockets() -> int:
        links = [
            str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()
        ]
        return sum(link.startswith("socket:") for link in links)

    gc.collect()
    gc.disable()
    try:
        before = sockets()
        for _ in range(10):
            connection = dbapi.connect(**connect_args)
            connection.cursor().execute("SELECT 1")
            connection.close()
        # The warehouse is in this process too, and closes its ends a little later.
        wait_until(lambda: sockets() <= before + 2, "the closing of the sockets")
    finally:
        gc.enable()
