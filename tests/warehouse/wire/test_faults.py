"""Scripted faults: each fires as often as asked, and the log tells whom it hit."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3
from databricks import sql
from databricks.sql import exc
from databricks.sql.client import Connection, Cursor
from databricks.sql.thrift_api.TCLIService import ttypes

from tests.patience import FOR_LONG_S, SHORT_S, HeldClock, hold_clock
from tests.warehouse.wire.client import WireClient, message
from tests.warehouse.wire.engine import FakeWarehouse
from vinci_code.warehouse import Fault
from vinci_code.warehouse.faults import KINDS, FaultScriptError, read_faults
from vinci_code.warehouse.wire import rest

EXECUTE = "ExecuteStatement"


@pytest.fixture
def once(wire: FakeWarehouse) -> Iterator[Connection]:
    """A connection whose driver sends nothing twice: one send, and no wait before a retry."""
    arguments = wire.connect_args | {
        "_enable_v3_retries": False,
        "_retry_delay_min": 0.1,
        "_retry_stop_after_attempts_count": 3,
    }
    connection = sql.connect(**arguments)
    wire.clear_requests()
    yield connection
    wire.faults.clear()
    connection.close()


@pytest.fixture
def cursor(once: Connection) -> Iterator[Cursor]:
    with once.cursor() as opened:
        yield opened


def shown(wire: FakeWarehouse) -> list[tuple[str, int | None, str | None, bool | None]]:
    """What the log says of the requests: operation, status, fault, executed."""
    return [(item.operation, item.status, item.fault, item.executed) for item in wire.requests]


# --- HTTP statuses ------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
def test_a_status_with_retry_after_is_retried_by_the_driver(
    wire: FakeWarehouse, cursor: Cursor, status: int
) -> None:
    wire.inject(Fault.http(status, retry_after=0, operation=EXECUTE, times=2))
    assert cursor.execute("SELECT 1").fetchall() == [(1,)]
    assert shown(wire) == [
        (EXECUTE, status, f"http:{status}", False),
        (EXECUTE, status, f"http:{status}", False),
        (EXECUTE, 200, None, True),
    ]
    assert wire.engine.executed == ["SELECT 1"]
    assert wire.faults.pending == ()


def test_retry_after_is_sent_only_when_asked_for(wire: FakeWarehouse) -> None:
    wire.inject(Fault.http(503, retry_after=7), Fault.http(503), Fault.http(503, retry_after=0.5))
    with WireClient(wire) as client:
        body = message("OpenSession", client_protocol_i64=42247)
        answers = [client.post(body) for _ in range(3)]
    assert [status for status, _, _ in answers] == [503, 503, 503]
    assert [headers.get("retry-after") for _, headers, _ in answers] == ["7", None, "0.5"]
    text = "TEMPORARILY_UNAVAILABLE: Cluster local is temporarily unavailable"
    assert answers[0][1]["x-thriftserver-error-message"] == text


def test_the_message_of_a_status_reaches_the_user(wire: FakeWarehouse, cursor: Cursor) -> None:
    wire.inject(Fault.http(500, message="Something broke", operation=EXECUTE))
    with pytest.raises(exc.RequestError, match="Something broke"):
        cursor.execute("SELECT 1")
    assert wire.engine.executed == []


def test_a_status_after_execution(wire: FakeWarehouse, cursor: Cursor) -> None:
    wire.inject(Fault.http(504, executed=True, operation=EXECUTE))
    with pytest.raises(exc.RequestError):
        cursor.execute("INSERT INTO t VALUES (1)")
    assert shown(wire) == [(EXECUTE, 504, "http:504", True)]
    assert wire.engine.executed == ["INSERT INTO t VALUES (1)"]


# --- which requests, and how often --------------------------------------------------------------


def test_a_fault_hits_the_statements_it_is_for(wire: FakeWarehouse, cursor: Cursor) -> None:
    wire.inject(Fault.http(500, statement=r"^insert\b", times=1))
    cursor.execute("SELECT 1")
    with pytest.raises(exc.RequestError):
        cursor.execute("INSERT INTO t VALUES (1)")
    cursor.execute("INSERT INTO t VALUES (2)")
    assert [item.fault for item in wire.requests] == [None, "http:500", None]


def test_a_fault_can_skip_requests(wire: FakeWarehouse, cursor: Cursor) -> None:
    wire.inject(Fault.http(500, operation=EXECUTE, skip=2, times=1))
    cursor.execute("SELECT 1")
    cursor.execute("SELECT 2")
    with pytest.raises(exc.RequestError):
        cursor.execute("SELECT 3")
    cursor.execute("SELECT 4")
    assert wire.engine.executed == ["SELECT 1", "SELECT 2", "SELECT 4"]


def test_faults_fire_in_the_order_in_which_they_were_added(
    wire: FakeWarehouse, cursor: Cursor
) -> None:
    wire.inject(Fault.http(500, operation=EXECUTE), Fault.http(502, operation=EXECUTE))
    for _ in range(2):
        with pytest.raises(exc.RequestError):
            cursor.execute("SELECT 1")
    assert [item.status for item in wire.requests] == [500, 502]


def test_a_fault_fires_exactly_as_often_as_asked_however_many_ask(wire: FakeWarehouse) -> None:
    wire.inject(Fault.http(500, operation="OpenSession", times=20))
    statuses: list[int] = []

    def ask() -> None:
        with WireClient(wire) as client:
            body = message("OpenSession", client_protocol_i64=1)
            statuses.extend(client.post(body)[0] for _ in range(10))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses.count(500) == 20
    assert statuses.count(200) == 60
    assert sum(item.fault == "http:500" for item in wire.requests) == 20


def test_faults_can_be_taken_back(wire: FakeWarehouse, cursor: Cursor) -> None:
    fault = Fault.http(500, times=5)
    wire.inject(fault)
    assert wire.faults.pending == (fault,)
    wire.faults.clear()
    assert cursor.execute("SELECT 1").fetchall() == [(1,)]


def test_a_fault_for_any_request_leaves_the_rest_endpoints_alone(wire: FakeWarehouse) -> None:
    path = f"/api/2.0/sql/warehouses/{wire.warehouse_id}"
    wire.inject(Fault.http(500), Fault.http(429, retry_after=1, operation=f"GET {path}"))
    with WireClient(wire) as client:
        status, headers, _ = client.request("GET", path)
        assert (status, headers["retry-after"]) == (429, "1")
        assert client.request("GET", path)[0] == 200
    assert [fault.status for fault in wire.faults.pending] == [500]


# --- the warehouse starts -----------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HeldClock:
    """The clock of the warehouse that starts."""
    return hold_clock(monkeypatch, rest)


def test_a_cold_start_refuses_until_the_warehouse_runs(
    wire: FakeWarehouse, clock: HeldClock
) -> None:
    wire.inject(Fault.cold_start(0.4, stopped=0.2, retry_after=3))
    body = message("OpenSession", client_protocol_i64=42247)
    states: list[str] = []
    answers: list[tuple[int, dict[str, str], bytes]] = []
    with WireClient(wire) as client:
        for seconds in (0.3, 0.2, 0.2, 0.0):
            answers.append(client.post(body))
            states.append(wire.state)
            clock.move_on(seconds)
    assert [status for status, _, _ in answers] == [503, 503, 503, 200]
    assert answers[0][1]["retry-after"] == "3"
    assert answers[0][1]["x-thriftserver-error-message"].startswith("TEMPORARILY_UNAVAILABLE")
    assert states == ["STOPPED", "STARTING", "STARTING", "RUNNING"]
    assert {item.fault for item in wire.requests[:-1]} == {"cold_start"}
    assert wire.requests[-1].fault is None


def test_a_cold_start_that_shows_on_the_session(
    wire: FakeWarehouse, cursor: Cursor, clock: HeldClock
) -> None:
    wire.inject(Fault.cold_start(0.5, style="session"))
    pattern = (
        r"requirement failed: Session handle: SessionHandle \[[0-9a-f-]{36}\] has not been "
        r"initialized or had already closed\."
    )
    with pytest.raises(exc.DatabaseError, match=pattern):
        cursor.execute("SELECT 1")
    with WireClient(wire) as client:
        assert client.open_session() is not None
    clock.move_on(0.6)
    assert cursor.execute("SELECT 1").fetchall() == [(1,)]
    assert wire.requests[0].status == 200
    assert wire.requests[0].executed is False


def test_a_start_through_rest_shortens_the_stop(wire: FakeWarehouse, clock: HeldClock) -> None:
    path = f"/api/2.0/sql/warehouses/{wire.warehouse_id}"
    wire.inject(Fault.cold_start(0.1, stopped=60))
    with WireClient(wire) as client:
        assert client.post(message("OpenSession", client_protocol_i64=42247))[0] == 503
        assert wire.state == "STOPPED"
        client.json("POST", path + "/start")
        clock.move_on(0.15)
        assert client.post(message("OpenSession", client_protocol_i64=42247))[0] == 200


# --- sessions and tokens ------------------------------------------------------------------------


def test_a_lost_session_stays_lost(wire: FakeWarehouse, once: Connection, cursor: Cursor) -> None:
    wire.inject(Fault.session_lost(operation=EXECUTE))
    identifier = once.get_session_id_hex()
    for _ in range(2):
        with pytest.raises(exc.DatabaseError) as caught:
            cursor.execute("INSERT INTO t VALUES (1)")
        assert str(caught.value) == f"Invalid SessionHandle: SessionHandle [{identifier}]"
    assert [(item.fault, item.executed) for item in wire.requests] == [
        ("session_lost", False),
        (None, False),
    ]
    assert wire.engine.executed == []
    assert wire.engine.sessions[-1].closed


def test_a_lost_session_in_other_words(wire: FakeWarehouse, cursor: Cursor) -> None:
    wire.inject(Fault.session_lost(message="Invalid Session Handle: Session [x] is Closed"))
    with pytest.raises(exc.DatabaseError, match=r"Session \[x\] is Closed"):
        cursor.execute("SELECT 1")


def test_an_expired_token_is_refused_as_often_as_asked(wire: FakeWarehouse, cursor: Cursor) -> None:
    wire.inject(Fault.token_expired(operation=EXECUTE))
    with pytest.raises(exc.RequestError, match="Invalid access token"):
        cursor.execute("SELECT 1")
    assert cursor.execute("SELECT 1").fetchall() == [(1,)]
    assert shown(wire) == [
        (EXECUTE, 403, "token_expired", False),
        (EXECUTE, 200, None, True),
    ]


def test_a_revoked_token_is_refused_until_it_is_reinstated(
    wire: FakeWarehouse, cursor: Cursor
) -> None:
    wire.inject(Fault.token_revoked(operation=EXECUTE))
    for _ in range(2):
        with pytest.raises(exc.RequestError, match="Invalid access token"):
            cursor.execute("SELECT 1")
    assert [item.fault for item in wire.requests] == ["token_revoked", None]
    wire.credentials.reinstate()
    assert cursor.execute("SELECT 1").fetchall() == [(1,)]


def test_a_revoked_oauth_token_leaves_the_others(wire: FakeWarehouse) -> None:
    first, second = wire.credentials.issue(), wire.credentials.issue()
    wire.inject(Fault.token_revoked())
    with WireClient(wire) as client:
        body = message("OpenSession", client_protocol_i64=42247)
        path = wire.http_path
        assert client.request("POST", path, body, token=first)[0] == 403
        assert client.request("POST", path, body, token=first)[0] == 403
        assert client.request("POST", path, body, token=second)[0] == 200


# --- connections --------------------------------------------------------------------------------


def test_a_reset_before_the_request_executes_nothing(wire: FakeWarehouse, cursor: Cursor) -> None:
    wire.inject(Fault.reset("before", operation=EXECUTE))
    with pytest.raises((exc.Error, urllib3.exceptions.HTTPError)):
        cursor.execute("INSERT INTO t VALUES (1)")
    assert shown(wire) == [(EXECUTE, None, "reset:before", False)]
    assert wire.engine.executed == []
    assert wire.requests[0].bytes_out == 0


def test_a_reset_after_execution_loses_the_reply(wire: FakeWarehouse, cursor: Cursor) -> None:
    wire.inject(Fault.reset("after", operation=EXECUTE))
    with pytest.raises((exc.Error, urllib3.exceptions.HTTPError)):
        cursor.execute("INSERT INTO t VALUES (1)")
    assert shown(wire) == [(EXECUTE, None, "reset:after", True)]
    assert wire.engine.executed == ["INSERT INTO t VALUES (1)"]


def test_a_reset_in_the_middle_of_the_reply(wire: FakeWarehouse, cursor: Cursor) -> None:
    wire.inject(Fault.reset("mid_reply", operation=EXECUTE))
    with pytest.raises((exc.Error, urllib3.exceptions.HTTPError)):
        cursor.execute("INSERT INTO t VALUES (1)")
    assert shown(wire) == [(EXECUTE, 200, "reset:mid_reply", True)]
    assert wire.requests[0].bytes_out > 0
    assert cursor.execute("SELECT 1").fetchall() == [(1,)]


def test_the_driver_s_own_policy_sends_a_lost_write_again(wire: FakeWarehouse) -> None:
    # What an application has to guard against: the driver re-sends after a lost reply.
    wire.inject(Fault.reset("after", operation=EXECUTE))
    with sql.connect(**wire.connect_args) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO t VALUES (1)")
    assert wire.engine.executed == ["INSERT INTO t VALUES (1)"] * 2


def test_a_delayed_reply(wire: FakeWarehouse, cursor: Cursor) -> None:
    wire.inject(Fault.delay(0.5, operation=EXECUTE))
    started = time.monotonic()
    assert cursor.execute("SELECT 1").fetchall() == [(1,)]
    assert time.monotonic() - started >= 0.5
    duration = wire.requests[0].duration
    assert duration is not None
    assert duration >= 0.5
    assert shown(wire) == [(EXECUTE, 200, "delay", True)]


def test_a_socket_timeout_on_a_delayed_reply(wire: FakeWarehouse) -> None:
    arguments = wire.connect_args | {"_enable_v3_retries": False, "_socket_timeout": SHORT_S}
    with sql.connect(**arguments) as connection, connection.cursor() as cursor:
        wire.inject(Fault.delay(FOR_LONG_S, operation=EXECUTE))
        with pytest.raises((exc.Error, urllib3.exceptions.HTTPError)):
            cursor.execute("INSERT INTO t VALUES (1)")
        assert wire.engine.executed == ["INSERT INTO t VALUES (1)"]


# --- statements ---------------------------------------------------------------------------------


def test_a_commit_conflict(wire: FakeWarehouse, cursor: Cursor) -> None:
    wire.inject(Fault.commit_conflict(statement="^COMMIT"))
    cursor.execute("SELECT 1")
    with pytest.raises(exc.ServerOperationError, match=r"\[DELTA_CONCURRENT_APPEND.*2D521"):
        cursor.execute("COMMIT")
    assert shown(wire)[1] == (EXECUTE, 200, "commit_conflict", False)
    assert "COMMIT" not in wire.engine.executed
    cursor.execute("COMMIT")


def test_a_warehouse_without_thrift(wire: FakeWarehouse) -> None:
    wire.inject(Fault.protocol_unsupported())
    with WireClient(wire) as client:
        response = client.call("OpenSession", client_protocol_i64=42247)
        assert response.status.statusCode == ttypes.TStatusCode.ERROR_STATUS
        assert response.status.sqlState == "KP001"
        assert response.sessionHandle is None
        response = client.call("OpenSession", client_protocol_i64=42247)
        assert response.status.statusCode == ttypes.TStatusCode.SUCCESS_STATUS


def test_a_slow_statement_is_polled_for(wire: FakeWarehouse, cursor: Cursor) -> None:
    wire.inject(Fault.slow_poll(2.5, operation=EXECUTE))
    started = time.monotonic()
    assert cursor.execute("SELECT 5").fetchall() == [(5,)]
    assert time.monotonic() - started >= 2.5
    assert wire.requests[0].fault == "slow_poll"
    assert "GetOperationStatus" in [item.operation for item in wire.requests]
    assert wire.requests[0].executed is True


# --- scripts ------------------------------------------------------------------------------------


def test_a_file_of_faults(wire: FakeWarehouse, cursor: Cursor, tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    script = [
        {"kind": "http", "status": 500, "operation": EXECUTE, "statement": "SELECT 1"},
        {"kind": "delay", "seconds": 0.1, "times": 2},
    ]
    path.write_text(json.dumps(script), encoding="utf-8")
    wire.faults.load(path)
    assert wire.faults.pending == (
        Fault.http(500, operation=EXECUTE, statement="SELECT 1"),
        Fault.delay(0.1, times=2),
    )
    with pytest.raises(exc.RequestError):
        cursor.execute("SELECT 1")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{}", "must hold a JSON list"),
        ("[1]", "fault 1: expected an object, found int"),
        ('[{"kind": "http"}, {"kind": "earthquake"}]', "fault 2: unknown kind 'earthquake'"),
        ('[{"status": 503}]', "fault 1: 'kind' is missing"),
        ('[{"kind": "http", "stauts": 503}]', "unknown 'stauts'"),
        ('[{"kind": "http", "status": 200}]', "'status' must be a whole number from 400 to 599"),
        ('[{"kind": "http", "times": 0}]', "'times' must be a whole number"),
        ('[{"kind": "reset", "when": "never"}]', "'when' must be one of"),
        ('[{"kind": "cold_start", "style": "x"}]', "'style' must be one of"),
        ('[{"kind": "delay", "seconds": "1"}]', "'seconds' must be a number"),
        ('[{"kind": "delay", "statement": "("}]', "not a regular expression"),
        ('[{"kind": "http", "message": "a\\nb"}]', "must be printable"),
        ('[{"kind": "http", "executed": "yes"}]', "'executed' must be true or false"),
        ("not json", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_understood_says_where_and_why(
    tmp_path: Path, content: str, problem: str
) -> None:
    path = tmp_path / "faults.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(FaultScriptError) as caught:
        read_faults(path)
    assert problem in str(caught.value)
    assert str(path) in str(caught.value)


def test_every_kind_has_a_way_to_make_it() -> None:
    made = [
        Fault.http(503),
        Fault.cold_start(1),
        Fault.session_lost(),
        Fault.token_expired(),
        Fault.token_revoked(),
        Fault.reset(),
        Fault.delay(1),
        Fault.commit_conflict(),
        Fault.protocol_unsupported(),
        Fault.slow_poll(1),
        Fault.history_late(1),
        Fault.history_hidden(),
        Fault.link_expired(),
        Fault.short_file(),
        Fault.missing_rows(),
        Fault.broken_file(),
    ]
    assert tuple(fault.kind for fault in made) == KINDS
