"""Each fault of the warehouse at each operation: the right result or the right error, in time.

Whatever happens to a write, the table holds it exactly once or not at all, as the outcome says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.full import part
from tests.patience import FOR_LONG_S, PATIENCE_S, SHORT_S, hold_clock, runs_again, soon
from vinci_code.database.dialect.driver import dbapi, waiting
from vinci_code.warehouse.faults import (
    BROKEN_FILE,
    KINDS,
    LINK_EXPIRED,
    MISSING_ROWS,
    SHORT_FILE,
    Fault,
)
from vinci_code.warehouse.pytest_plugin import TestWarehouse
from vinci_code.warehouse.wire import rest

OK = None
LOST = dbapi.ConnectionLostError
SLOW = dbapi.ConnectTimeout
UNSURE = dbapi.AmbiguousWriteError
START = dbapi.WarehouseStartTimeout
REFUSED = dbapi.AuthenticationFailed

CONNECT, READ, WRITE, FETCH = "connect", "read", "write", "fetch"
ARROW = "fetch as Arrow"
HIT = {
    CONNECT: "OpenSession",
    READ: "ExecuteStatement",
    WRITE: "ExecuteStatement",
    FETCH: "FetchResults",
    ARROW: "FetchResults",
}

Expected = type[dbapi.Error] | None
Case = tuple[Callable[..., Fault], dict[str, Expected]]

# A fault, and how each operation ends that it hits.
MATRIX: dict[str, Case] = {
    "400": (
        lambda **scope: Fault.http(400, **scope),
        dict.fromkeys(HIT, dbapi.OperationalError),
    ),
    "401": (lambda **scope: Fault.http(401, **scope), dict.fromkeys(HIT, REFUSED)),
    "403": (lambda **scope: Fault.http(403, **scope), dict.fromkeys(HIT, REFUSED)),
    "403, no permission": (
        lambda **scope: Fault.http(403, message="no permission to use it", **scope),
        dict.fromkeys(HIT, dbapi.PermissionDenied),
    ),
    "429 with Retry-After": (
        lambda **scope: Fault.http(429, retry_after=1, **scope),
        dict.fromkeys(HIT, OK),
    ),
    "429": (
        lambda **scope: Fault.http(429, **scope),
        {CONNECT: OK, READ: OK, WRITE: UNSURE, FETCH: OK},
    ),
    "429 for ever": (
        lambda **scope: Fault.http(429, retry_after=0.5, times=99, **scope),
        dict.fromkeys(HIT, dbapi.LimitExceeded),
    ),
    "500 once": (
        lambda **scope: Fault.http(500, **scope),
        {CONNECT: OK, READ: OK, WRITE: UNSURE, FETCH: OK},
    ),
    "500 for ever": (
        lambda **scope: Fault.http(500, times=99, **scope),
        {CONNECT: LOST, READ: LOST, WRITE: UNSURE, FETCH: LOST},
    ),
    "500 after execution": (
        lambda **scope: Fault.http(500, executed=True, **scope),
        {CONNECT: OK, READ: OK, WRITE: UNSURE, FETCH: LOST},
    ),
    "502 in the words of a warehouse": (
        lambda **scope: Fault.http(
            502, executed=True, message="TEMPORARILY_UNAVAILABLE: try again", **scope
        ),
        {READ: OK, WRITE: UNSURE},
    ),
    "504 in the words of a lost session": (
        lambda **scope: Fault.http(504, executed=True, message="Invalid SessionHandle", **scope),
        {READ: OK, WRITE: UNSURE},
    ),
    "501": (
        lambda **scope: Fault.http(501, **scope),
        dict.fromkeys(HIT, dbapi.NotSupportedError),
    ),
    "503 with Retry-After": (
        lambda **scope: Fault.http(503, retry_after=1, **scope),
        dict.fromkeys(HIT, OK),
    ),
    "503 after execution": (
        lambda **scope: Fault.http(503, executed=True, **scope),
        {CONNECT: OK, READ: OK, WRITE: UNSURE, FETCH: LOST},
    ),
    "503 for ever": (
        lambda **scope: Fault.http(503, times=99, **scope),
        {CONNECT: START, READ: START, WRITE: UNSURE, FETCH: START},
    ),
    "504 after execution": (
        lambda **scope: Fault.http(504, executed=True, **scope),
        {CONNECT: SLOW, READ: OK, WRITE: UNSURE, FETCH: LOST},
    ),
    "cold start, HTTP": (
        lambda **scope: Fault.cold_start(1.0, retry_after=1, **scope),
        {CONNECT: OK, READ: OK, WRITE: OK},
    ),
    "cold start, sessions": (
        lambda **scope: Fault.cold_start(1.0, style="session", **scope),
        {CONNECT: OK, READ: OK, WRITE: OK},
    ),
    "session lost": (
        lambda **scope: Fault.session_lost(**scope),
        {READ: OK, WRITE: OK, FETCH: dbapi.SessionLostError},
    ),
    "token expired": (
        lambda **scope: Fault.token_expired(**scope),
        dict.fromkeys(HIT, REFUSED),
    ),
    "token revoked": (
        lambda **scope: Fault.token_revoked(**scope),
        dict.fromkeys(HIT, REFUSED),
    ),
    "reset before": (
        lambda **scope: Fault.reset("before", **scope),
        {CONNECT: OK, READ: OK, WRITE: UNSURE, FETCH: OK},
    ),
    "reset after": (
        lambda **scope: Fault.reset("after", **scope),
        {CONNECT: OK, READ: OK, WRITE: UNSURE, FETCH: LOST},
    ),
    "reset in the reply": (
        lambda **scope: Fault.reset("mid_reply", **scope),
        {CONNECT: OK, READ: OK, WRITE: UNSURE, FETCH: LOST},
    ),
    "resets for ever": (
        lambda **scope: Fault.reset("after", times=99, **scope),
        {CONNECT: LOST, READ: LOST, WRITE: UNSURE, FETCH: LOST},
    ),
    "a short delay": (lambda **scope: Fault.delay(0.5, **scope), dict.fromkeys(HIT, OK)),
    "a long delay": (
        lambda **scope: Fault.delay(FOR_LONG_S, **scope),
        {CONNECT: SLOW, READ: dbapi.StatementTimeout, WRITE: UNSURE, FETCH: dbapi.StatementTimeout},
    ),
    "slow": (
        lambda **scope: Fault.slow_poll(2.5, **scope),
        {READ: OK, WRITE: OK},
    ),
    "too slow": (
        lambda **scope: Fault.slow_poll(FOR_LONG_S, **scope),
        {READ: dbapi.StatementTimeout, WRITE: UNSURE},
    ),
    "conflict": (
        lambda **scope: Fault.commit_conflict(**scope),
        {WRITE: dbapi.ConflictError},
    ),
    "late in the query history": (
        lambda **scope: Fault.history_late(0.5, **scope),
        {WRITE: OK},
    ),
    "never in the query history": (
        lambda **scope: Fault.history_hidden(**scope),
        {WRITE: OK},
    ),
    "another protocol": (
        lambda **scope: Fault.protocol_unsupported(**scope),
        {CONNECT: dbapi.ProtocolUnsupported},
    ),
}

# They hit a file of a large result, which is no operation of this matrix: test_downloads.py has
# each of them.
OF_FILES = frozenset({BROKEN_FILE, LINK_EXPIRED, MISSING_ROWS, SHORT_FILE})

CASES = [
    pytest.param(make, operation, expected, id=f"{name}: {operation}")
    for name, (make, outcomes) in MATRIX.items()
    # Arrow is fetched as rows are.
    for operation, expected in (
        {**outcomes, ARROW: outcomes[FETCH]} if FETCH in outcomes else outcomes
    ).items()
]


class Scene:
    """A table, and the operations that a fault may hit; results come inline, also large ones."""

    def __init__(self, warehouse: TestWarehouse, arguments: dict[str, Any]) -> None:
        self.warehouse = warehouse
        self.arguments = {**arguments, "use_cloud_fetch": False}
        self.connection: dbapi.Connection | None = None

    def prepare(self, operation: str, timeout: float) -> None:
        self.warehouse.warehouse.sql("CREATE TABLE t (a INT)", schema=self.warehouse.schema)
        if operation != CONNECT:
            self.connection = dbapi.connect(**self.arguments)
            self.connection.timeout = PATIENCE_S if operation in (FETCH, ARROW) else timeout
        if operation in (FETCH, ARROW):
            assert self.connection is not None
            # More than the driver takes along with the answer to the statement.
            self.cursor = self.connection.cursor()
            self.cursor.execute("SELECT id FROM range(250000)")
            self.cursor.timeout = timeout

    def act(self, operation: str) -> object:
        if operation == CONNECT:
            self.connection = dbapi.connect(**self.arguments)
            return None
        assert self.connection is not None
        if operation == FETCH:
            return len(self.cursor.fetchall())
        if operation == ARROW:
            return self.cursor.fetchall_arrow().num_rows
        cursor = self.connection.cursor()
        if operation == READ:
            return cursor.execute("SELECT 7").fetchall()
        return cursor.execute("INSERT INTO t VALUES (1)").rowcount

    def written(self) -> int:
        """How many rows the table holds, by a connection that no fault hits."""
        self.warehouse.warehouse.faults.clear()
        self.warehouse.warehouse.credentials.reinstate()
        with dbapi.connect(**self.arguments) as connection:
            row = connection.cursor().execute("SELECT count(*) FROM t").fetchone()
        assert row is not None
        return int(row[0])

    def executed(self) -> int:
        return sum(
            record.executed is True
            for record in self.warehouse.requests
            if record.statement == "INSERT INTO t VALUES (1)"
        )


@part(3)
@pytest.mark.parametrize(("make", "operation", "expected"), CASES)
def test_a_fault_at_an_operation(
    make: Callable[..., Fault],
    operation: str,
    expected: Expected,
    local_warehouse: TestWarehouse,
    connect_args: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fault = make(operation=HIT[operation])
    # Short where it is to pass; a busy machine could take it for too long elsewhere.
    timeout = SHORT_S if fault.seconds == FOR_LONG_S else PATIENCE_S
    scene = Scene(
        local_warehouse, {**connect_args, "connect_timeout": timeout, "start_timeout": 2.0}
    )
    scene.prepare(operation, timeout)
    # What starts, and who waits for that, have a clock of their own.
    hold_clock(monkeypatch, waiting, rest)
    local_warehouse.inject(fault)
    error: dbapi.Error | None = None
    result: object = None
    try:
        with soon():
            result = scene.act(operation)
    except dbapi.Error as caught:
        error = caught
    try:
        assert error is None if expected is None else isinstance(error, expected), repr(error)
        if error is None:
            assert result == {CONNECT: None, READ: [(7,)], WRITE: 1}.get(operation, 250_000)
        runs_again(local_warehouse.warehouse)
        rows = scene.written()
        assert rows == scene.executed()
        if operation == WRITE:
            # Sure of it, sure of the contrary, or not sure.
            allowed = {True: {1}, False: {0, 1} if isinstance(error, UNSURE) else {0}}
            assert rows in allowed[error is None]
    finally:
        runs_again(local_warehouse.warehouse)
        if scene.connection is not None:
            scene.connection.close()


def test_every_fault_is_in_the_matrix() -> None:
    covered = {make(operation=None).kind for make, _ in MATRIX.values()}
    assert covered.isdisjoint(OF_FILES)
    assert covered | OF_FILES == set(KINDS)


@pytest.mark.parametrize("when", ["before", "after", "mid_reply"])
def test_an_insert_is_delivered_once_whatever_breaks(
    when: str, local_warehouse: TestWarehouse, connect_args: dict[str, Any]
) -> None:
    with dbapi.connect(**connect_args) as connection:
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE t (a INT)")
        local_warehouse.inject(Fault.reset(when, statement="INSERT", times=5))
        with pytest.raises(dbapi.AmbiguousWriteError, match="once, or not at all"):
            cursor.execute("INSERT INTO t VALUES (1)")
        delivered = [r for r in local_warehouse.requests if r.statement and "INSERT" in r.statement]
        assert len(delivered) == 1
        local_warehouse.warehouse.faults.clear()
        rows = cursor.execute("SELECT * FROM t").fetchall()
        assert rows == ([] if when == "before" else [(1,)])


def test_no_row_is_skipped_after_a_fetch_that_failed(
    local_warehouse: TestWarehouse, connect_args: dict[str, Any]
) -> None:
    # Inline, a page that was lost is not sent again; links to it are.
    with dbapi.connect(**connect_args, use_cloud_fetch=False) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT id FROM range(350000)")
        assert cursor.fetchmany(2) == [(0,), (1,)]
        local_warehouse.inject(Fault.reset("after", operation="FetchResults"))
        with pytest.raises(dbapi.ConnectionLostError, match="skipped"):
            cursor.fetchall()
        for fetch in (cursor.fetchall, cursor.fetchone, cursor.fetchmany):
            with pytest.raises(dbapi.ResultExpired, match="run the query again"):
                fetch()
        assert cursor.execute("SELECT 1").fetchall() == [(1,)]


def test_a_write_whose_state_cannot_be_asked_names_its_statement(
    local_warehouse: TestWarehouse, connect_args: dict[str, Any]
) -> None:
    with dbapi.connect(**connect_args) as connection:
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE t (a INT)")
        local_warehouse.inject(
            Fault.slow_poll(FOR_LONG_S, statement="INSERT"),
            Fault.reset("before", operation="GetOperationStatus", times=20),
        )
        with pytest.raises(dbapi.AmbiguousWriteError) as caught:
            cursor.execute("INSERT INTO t VALUES (1)")
        (sent,) = [r for r in local_warehouse.requests if r.statement and "INSERT" in r.statement]
        assert caught.value.statement_id == sent.operation_id
        assert str(sent.operation_id) in str(caught.value)


def test_a_lost_poll_is_asked_again(
    local_warehouse: TestWarehouse, connect_args: dict[str, Any]
) -> None:
    with dbapi.connect(**connect_args) as connection:
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE t (a INT)")
        local_warehouse.inject(
            Fault.slow_poll(3.0, statement="INSERT"),
            Fault.reset("after", operation="GetOperationStatus"),
            Fault.http(500, operation="GetOperationStatus"),
        )
        assert cursor.execute("INSERT INTO t VALUES (1)").rowcount == 1
        assert cursor.execute("SELECT * FROM t").fetchall() == [(1,)]


def test_a_write_that_is_done_is_done_though_its_result_is_lost(
    local_warehouse: TestWarehouse, connect_args: dict[str, Any]
) -> None:
    with dbapi.connect(**connect_args) as connection:
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE t (a INT)")
        local_warehouse.inject(
            Fault.slow_poll(2.5, statement="INSERT"),
            Fault.reset("after", operation="GetResultSetMetadata", times=20),
            Fault.reset("after", operation="FetchResults", times=20),
        )
        assert cursor.execute("INSERT INTO t VALUES (1), (2)").rowcount == 2
        local_warehouse.warehouse.faults.clear()
        assert cursor.execute("SELECT count(*) FROM t").fetchall() == [(2,)]
