"""What a signal handler raises while the driver waits: it comes through, whatever its class."""

from __future__ import annotations

import functools
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import sqlalchemy as sa
import urllib3
from databricks.sql import session as driver_session
from pydantic import SecretStr
from sqlalchemy import Column, Engine, Integer, MetaData, Table

from tests.client_sockets import closing_those_left
from tests.dialect.held import run_and_commit
from tests.fakes.certificates import Authority
from tests.fakes.dead_ends import silent_server
from tests.patience import FOR_LONG_S, signal_once, wait_until
from vinci_code.core.config import DatabaseSettings
from vinci_code.database.databricks_connector import DatabricksConnector
from vinci_code.database.dialect.driver import dbapi
from vinci_code.database.dialect.interruptions import is_foreign, is_from_signal
from vinci_code.warehouse.faults import HISTORY, Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse
from vinci_code.warehouse.wire import thrift_service

pytestmark = pytest.mark.skipif(
    not hasattr(signal, "setitimer"), reason="this system has no interval timer"
)

T = Table("t", MetaData(), Column("id", Integer, primary_key=True), Column("x", Integer))


class Soft(Exception):  # noqa: N818 - as Celery's
    """A time limit of the application."""


# What applications raise there; of the last two, only where they come from tells what they are.
RAISED: list[type[Exception]] = [Soft, TimeoutError, dbapi.StatementTimeout]


@contextmanager
def limit(raised: type[Exception], once: Callable[[], object] = lambda: False) -> Iterator[None]:
    """Raise an exception in this thread once something has happened, wherever the thread is.

    The time limit is the test's to pass: on a busy machine one of so many seconds would be over
    before what it is to interrupt.
    """

    def handler(number: int, frame: FrameType | None) -> None:
        raise raised("time is up")

    before = signal.signal(signal.SIGALRM, handler)
    try:
        with signal_once(once, signal.SIGALRM):
            yield
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def table(engine: Engine) -> Table:
    with engine.connect() as connection:
        run_and_commit(connection, sa.schema.CreateTable(T), sa.insert(T).values(id=1, x=1))
    return T


def operations(warehouse: TestWarehouse, since: int = 0) -> list[str]:
    return [record.operation for record in warehouse.requests[since:]]


def asked(warehouse: TestWarehouse, operation: str, statement: str = "") -> Callable[[], bool]:
    """Whether from now on such a request has come, which then waits for its answer."""
    since = len(warehouse.requests)
    return lambda: any(
        record.operation == operation and statement in (record.statement or "")
        for record in warehouse.requests[since:]
    )


@pytest.mark.parametrize("raised", RAISED)
@pytest.mark.parametrize("named", [False, True], ids=["before it has a name", "after that"])
def test_a_time_limit_comes_through_a_commit(
    raised: type[Exception],
    named: bool,
    engine: Engine,
    table: Table,
    local_warehouse: TestWarehouse,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if named:
        monkeypatch.setattr(thrift_service, "DIRECT_RESULTS_SECONDS", 0.0)
        local_warehouse.inject(Fault.slow_poll(FOR_LONG_S, statement="INSERT"))
        waits = asked(local_warehouse, "GetOperationStatus")
    else:
        slow = Fault.delay(FOR_LONG_S, operation="ExecuteStatement", statement="INSERT")
        local_warehouse.inject(slow)
        waits = asked(local_warehouse, "ExecuteStatement", "INSERT")
    connection = engine.connect()
    connection.execute(sa.insert(table).values(id=2, x=2))
    since = len(local_warehouse.requests)
    with (
        limit(raised, once=waits),
        pytest.raises((raised, sa.exc.DBAPIError), match="time is up") as caught,
    ):
        connection.commit()
    # SQLAlchemy makes an exception of its own of one of ours.
    error: Any = caught.value
    assert type(getattr(error, "orig", error)) is raised
    connection.rollback()
    # What ends a session takes long on a busy machine, and then goes on by itself.
    wait_until(lambda: "CloseSession" in operations(local_warehouse, since))
    sent = operations(local_warehouse, since)
    assert sent.count("ExecuteStatement") == 1
    assert "CloseSession" in sent
    assert ("CancelOperation" in sent) == named
    # The next use of the connection opens a session.
    assert connection.scalar(sa.text("SELECT 7")) == 7
    connection.close()


@pytest.mark.parametrize("raised", RAISED)
def test_a_time_limit_comes_through_while_a_request_is_sent(
    raised: type[Exception], engine: Engine, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = engine.connect()
    connection.execute(sa.insert(table).values(id=2, x=2))
    request = urllib3.connection.HTTPSConnection.request

    def interrupted(*arguments: Any, **named: Any) -> None:
        request(*arguments, **named)
        monkeypatch.undo()
        signal.raise_signal(signal.SIGALRM)

    monkeypatch.setattr(urllib3.connection.HTTPSConnection, "request", interrupted)
    with limit(raised), pytest.raises((raised, sa.exc.DBAPIError)) as caught:
        connection.commit()
    error: Any = caught.value
    assert type(getattr(error, "orig", error)) is raised
    connection.rollback()
    connection.close()


@pytest.mark.parametrize("during", ["the history", "ROLLBACK"])
@pytest.mark.parametrize("raised", RAISED)
def test_a_time_limit_comes_through_what_follows_a_lost_answer(
    raised: type[Exception],
    during: str,
    engine: Engine,
    table: Table,
    local_warehouse: TestWarehouse,
) -> None:
    connection = engine.connect()
    if during == "ROLLBACK":
        connection.execute(sa.insert(table).values(id=2, x=2))
        assert connection.scalar(sa.text(f"SELECT count(*) FROM {table.name}")) == 2
        slow = Fault.delay(FOR_LONG_S, operation="ExecuteStatement", statement="ROLLBACK")
        local_warehouse.inject(slow)
        waits = asked(local_warehouse, "ExecuteStatement", "ROLLBACK")
        end = connection.rollback
    else:
        connection.execute(sa.insert(table).values(id=2, x=2))
        local_warehouse.inject(
            Fault.reset("after", operation="ExecuteStatement", statement="INSERT"),
            Fault.delay(FOR_LONG_S, operation=HISTORY),
        )
        waits = asked(local_warehouse, HISTORY)
        end = connection.commit
    with limit(raised, once=waits), pytest.raises((raised, sa.exc.DBAPIError)) as caught:
        end()
    error: Any = caught.value
    assert type(getattr(error, "orig", error)) is raised
    connection.invalidate()
    connection.close()


@pytest.mark.parametrize("raised", RAISED)
def test_a_time_limit_comes_through_a_query(
    raised: type[Exception], engine: Engine, local_warehouse: TestWarehouse
) -> None:
    slow = Fault.delay(FOR_LONG_S, operation="ExecuteStatement", statement="SELECT 5")
    local_warehouse.inject(slow)
    waits = asked(local_warehouse, "ExecuteStatement", "SELECT 5")
    since = len(local_warehouse.requests)
    with engine.connect() as connection:
        with limit(raised, once=waits), pytest.raises((raised, sa.exc.DBAPIError)) as caught:
            connection.execute(sa.text("SELECT 5"))
        error: Any = caught.value
        assert type(getattr(error, "orig", error)) is raised
    assert operations(local_warehouse, since).count("ExecuteStatement") == 1


def test_a_transaction_that_was_interrupted_is_not_gone_on_with(
    engine: Engine, table: Table, local_warehouse: TestWarehouse
) -> None:
    connection = engine.connect()
    connection.execute(sa.text("BEGIN TRANSACTION"))
    connection.execute(sa.insert(table).values(id=2, x=2))
    slow = Fault.delay(FOR_LONG_S, operation="ExecuteStatement", statement="UPDATE")
    local_warehouse.inject(slow)
    waits = asked(local_warehouse, "ExecuteStatement", "UPDATE")
    with limit(Soft, once=waits), pytest.raises(Soft):
        connection.execute(sa.update(table).where(table.c.id == 1).values(x=5))
    with pytest.raises(sa.exc.OperationalError, match="the transaction that was begun in it"):
        connection.execute(sa.select(table.c.id))
    connection.rollback()
    found = connection.execute(sa.select(table.c.id, table.c.x)).all()
    assert [tuple(row) for row in found] == [(1, 1)]
    connection.close()


def test_a_commit_of_a_transaction_that_was_interrupted_fails(
    engine: Engine, table: Table, local_warehouse: TestWarehouse
) -> None:
    connection = engine.connect()
    connection.execute(sa.text("BEGIN TRANSACTION"))
    slow = Fault.delay(FOR_LONG_S, operation="ExecuteStatement", statement="INSERT")
    local_warehouse.inject(slow)
    waits = asked(local_warehouse, "ExecuteStatement", "INSERT")
    with limit(Soft, once=waits), pytest.raises(Soft):
        connection.execute(sa.insert(table).values(id=2, x=2))
    with pytest.raises(sa.exc.OperationalError, match="nothing of it was written"):
        connection.commit()
    connection.rollback()
    assert connection.execute(sa.select(table.c.id)).all() == [(1,)]
    connection.close()


@pytest.mark.parametrize("raised", RAISED)
def test_a_time_limit_comes_through_the_end_of_a_session(
    raised: type[Exception], connect_args: dict[str, Any], local_warehouse: TestWarehouse
) -> None:
    connection = dbapi.connect(**connect_args)
    local_warehouse.inject(Fault.delay(FOR_LONG_S, operation="CloseSession"))
    with limit(raised, once=asked(local_warehouse, "CloseSession")), pytest.raises(raised):
        connection.close()


def test_a_time_limit_comes_through_the_asking_for_credentials(
    connect_args: dict[str, Any],
) -> None:
    waits, over = threading.Event(), threading.Event()

    def provider() -> Callable[[], dict[str, str]]:
        waits.set()
        over.wait(FOR_LONG_S)
        raise AssertionError("nobody has interrupted it")

    arguments = {**connect_args, "access_token": None, "credentials_provider": provider}
    try:
        with limit(Soft, once=waits.is_set), pytest.raises(Soft):
            dbapi.connect(**arguments)
    finally:
        over.set()  # its thread would go on for that long


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "taken off by itself"])
def test_a_handler_may_take_itself_off(
    kept: bool, engine: Engine, table: Table, local_warehouse: TestWarehouse
) -> None:
    def handler(number: int, frame: FrameType | None) -> None:
        if not kept:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
        raise TimeoutError("time is up")

    slow = Fault.delay(FOR_LONG_S, operation="ExecuteStatement", statement="INSERT")
    local_warehouse.inject(slow)
    waits = asked(local_warehouse, "ExecuteStatement", "INSERT")
    before = signal.signal(signal.SIGALRM, handler)
    try:
        with engine.connect() as connection:
            connection.execute(sa.insert(table).values(id=2, x=2))
            with (
                pytest.raises(TimeoutError, match="time is up"),
                signal_once(waits, signal.SIGALRM),
            ):
                connection.commit()
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("raised", [Soft, TimeoutError])
def test_a_time_limit_comes_through_what_the_driver_does_beside_a_request(
    raised: type[Exception], connect_args: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = dbapi.connect(**connect_args)
    backend: Any = connection.driver_connection.session.backend

    def interrupted() -> None:
        monkeypatch.undo()
        signal.raise_signal(signal.SIGALRM)

    monkeypatch.setattr(backend._transport, "startRetryTimer", interrupted)
    with limit(raised), pytest.raises(raised, match="time is up"):
        connection.cursor().execute("SELECT 1")
    connection.close()


@pytest.mark.parametrize("raised", RAISED)
def test_a_time_limit_comes_through_the_making_of_a_session(
    raised: type[Exception], connect_args: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    dbapi.connect(**connect_args).close()
    made = driver_session.Session.__init__

    def interrupted(*arguments: Any, **named: Any) -> None:
        signal.raise_signal(signal.SIGALRM)
        made(*arguments, **named)

    monkeypatch.setattr(driver_session.Session, "__init__", interrupted)
    with limit(raised), pytest.raises(raised, match="time is up"):
        dbapi.connect(**connect_args)


def test_a_session_that_comes_when_nobody_waits_for_it_is_ended(
    connect_args: dict[str, Any], local_warehouse: TestWarehouse
) -> None:
    before = local_warehouse.warehouse.session_count
    since = len(local_warehouse.requests)
    local_warehouse.inject(Fault.delay(0.8, operation="OpenSession"))
    with limit(Soft, once=asked(local_warehouse, "OpenSession")), pytest.raises(Soft):
        dbapi.connect(**connect_args)
    wait_until(lambda: "CloseSession" in operations(local_warehouse, since))
    wait_until(lambda: local_warehouse.warehouse.session_count == before)


@pytest.mark.parametrize("sent", ["SELECT 2", None], ids=["a statement", "the end"])
def test_half_a_request_is_not_sent_with_the_next_one(
    sent: str | None,
    connect_args: dict[str, Any],
    local_warehouse: TestWarehouse,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connection = dbapi.connect(**connect_args)
    connection.cursor().execute("CREATE TABLE half (id INT)")
    backend: Any = connection.driver_connection.session.backend
    protocol: Any = backend._client._oprot

    def interrupted() -> None:
        monkeypatch.undo()
        signal.raise_signal(signal.SIGALRM)

    monkeypatch.setattr(protocol, "writeMessageEnd", interrupted)
    since = len(local_warehouse.requests)
    with limit(Soft), pytest.raises(Soft):
        connection.cursor().execute("INSERT INTO half VALUES (1)")
    if sent is not None:
        assert connection.cursor().execute(sent).fetchall() == [(2,)]
    connection.close()
    other = dbapi.connect(**connect_args)
    assert other.cursor().execute("SELECT count(*) FROM half").fetchall() == [(0,)]
    other.close()
    statements = [record.statement for record in local_warehouse.requests[since:]]
    assert not any(statement and "INSERT" in statement for statement in statements)


def test_what_a_callback_raises_comes_through(
    connect_args: dict[str, Any], local_warehouse: TestWarehouse
) -> None:
    def on_waiting(_: object) -> None:
        raise Soft("enough")

    connection = dbapi.connect(**connect_args, on_waiting=on_waiting)
    local_warehouse.inject(Fault.http(503, retry_after=1, operation="ExecuteStatement"))
    with pytest.raises(Soft, match="enough"):
        connection.cursor().execute("SELECT 1")
    assert connection.cursor().execute("SELECT 1").fetchall() == [(1,)]
    connection.close()


# --- how it is reported --------------------------------------------------------------------------


class Handler:
    """A handler that is an object."""

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.fail(number, frame)

    def fail(self, number: int, frame: FrameType | None) -> None:
        raise TimeoutError("time is up")


def _fail(word: str, number: int, frame: FrameType | None) -> None:
    raise TimeoutError(word)


@pytest.mark.parametrize("handler", [Handler(), Handler().fail, functools.partial(_fail, "up")])
def test_handlers_of_any_sort_are_known(handler: Any) -> None:
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with pytest.raises(TimeoutError) as caught:
            signal.raise_signal(signal.SIGUSR1)
        assert is_from_signal(caught.value)
        assert not is_from_signal(TimeoutError())
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_the_class_tells_where_it_comes_from() -> None:
    assert is_foreign(Soft())
    assert not any(map(is_foreign, [OSError(), TimeoutError(), KeyError(), dbapi.Error("x")]))


def test_an_error_that_is_handled_meanwhile_is_none_of_it(
    connect_args: dict[str, Any], local_warehouse: TestWarehouse
) -> None:
    connection = dbapi.connect(**connect_args)
    try:
        raise Soft("earlier")
    except Soft:
        with pytest.raises(dbapi.ProgrammingError):
            connection.cursor().execute("SELECT nosuch")
        local_warehouse.inject(Fault.reset("after", statement="INSERT"))
        with pytest.raises(dbapi.AmbiguousWriteError):
            connection.cursor().execute("INSERT INTO nosuch VALUES (1)")
    connection.close()


@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
@pytest.mark.parametrize("raised", RAISED)
def test_a_connector_that_waits_lets_it_through(raised: type[Exception], tmp_path: Path) -> None:
    """A soft limit is no trouble with the connection, which ``validate()`` would tell of."""

    earlier = set(threading.enumerate())

    def opening() -> set[threading.Thread]:
        of_requests = {t for t in threading.enumerate() if t.name == "vinci: a request"}
        return of_requests - earlier

    with closing_those_left():
        with silent_server() as port:
            settings = DatabaseSettings(
                use_databricks=True,
                databricks_server_hostname=f"localhost:{port}",
                databricks_http_path="/sql/1.0/warehouses/0123456789abcdef",
                databricks_access_token=SecretStr("dapi" + "3" * 30 + "ef"),
                databricks_ca_file=Authority(tmp_path).file,
            )
            connector = DatabricksConnector(settings)
            for wait in (connector.connect, connector.validate):
                before = opening()  # and not their numbers, which the system gives out again
                with (
                    pytest.raises(raised, match="time is up"),
                    limit(raised, once=lambda: opening() - before),  # noqa: B023 - asked within
                ):
                    wait()
        wait_until(lambda: not opening(), "the end of what nobody waits for any more")
