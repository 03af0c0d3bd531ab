"""Forked children: what their parent has opened is neither used by them nor ended."""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import signal
import ssl
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, Table, create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool, Pool, QueuePool, StaticPool

from tests.full import some
from tests.history import forks
from tests.patience import PATIENCE_S
from tests.served_elsewhere import served_elsewhere
from vinci_code.core.config import DatabaseSettings
from vinci_code.core.config import settings as settings_module
from vinci_code.core.redaction import Secret, exact, hooks
from vinci_code.core.redaction.exact import ExactValues
from vinci_code.database.databricks.auth import OAuthTokens
from vinci_code.database.databricks.profile import _UnifiedAuth
from vinci_code.database.databricks_connector import DatabricksConnector, create_databricks_engine
from vinci_code.database.dialect import forking
from vinci_code.database.dialect.driver import credentials, dbapi
from vinci_code.database.dialect.sql import keys
from vinci_code.database.dialect.sql.keys import KeyMaker, next_key
from vinci_code.database.migrations import writing
from vinci_code.database.session import SessionLocal
from vinci_code.warehouse.pytest_plugin import TestWarehouse

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]

SECONDS = int(PATIENCE_S)
"""A child that takes longer hangs, and is killed."""


def in_child(work: Callable[[], object]) -> int:
    """Do something in a forked child, and return its process id."""
    child = os.fork()
    if child:
        return child
    try:
        signal.alarm(SECONDS)
        work()
        os._exit(0)
    except BaseException:  # noqa: BLE001 - a child must not go on as its parent
        traceback.print_exc()
    finally:
        os._exit(1)


def wait_for(*children: int) -> None:
    """Wait until children have ended well."""
    ended = [os.waitpid(child, 0)[1] for child in children]
    assert ended == [0] * len(ended)


def number_of(engine: Engine, number: int) -> Any:
    with engine.connect() as connection:
        return connection.scalar(text(f"SELECT {number}"))


def session_of(engine: Engine) -> str:
    with engine.connect() as connection:
        opened: Any = connection.connection.dbapi_connection
        return str(opened.session_id)


def closings(warehouse: TestWarehouse) -> int:
    return sum(record.operation == "CloseSession" for record in warehouse.requests)


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[tuple[URL, dict[str, Any]]]:
    """A warehouse in another process: its URL, and the arguments to connect with."""
    with served_elsewhere() as (url, arguments):
        yield make_url(url), arguments


@pytest.mark.parametrize("pool", [None, QueuePool, StaticPool, NullPool])
def test_children_get_their_own_answers(
    pool: type[Pool] | None, elsewhere: tuple[URL, dict[str, Any]]
) -> None:
    url, arguments = elsewhere
    options = {} if pool is None else {"poolclass": pool}
    engine = create_engine(url, connect_args=arguments, **options)
    assert number_of(engine, 1) == 1
    session = session_of(engine)

    def ask(first: int) -> None:
        for number in range(first, first + 10):
            assert number_of(engine, number) == number
        assert session_of(engine) != session
        engine.dispose()

    wait_for(*[in_child(functools.partial(ask, 100 * n)) for n in range(5)])
    assert number_of(engine, 2) == 2
    assert pool is NullPool or session_of(engine) == session
    engine.dispose()


def test_a_connection_that_is_in_use_is_its_parents(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    connection = engine.connect()
    connection.execute(text("CREATE TABLE t (a INT)"))
    connection.commit()
    connection.execute(text("INSERT INTO t VALUES (1)"))
    before = len(local_warehouse.requests)

    def use() -> None:
        with pytest.raises(OperationalError, match="before this process was forked") as caught:
            connection.execute(text("SELECT 1"))
        assert isinstance(caught.value.orig, dbapi.SessionLostError)
        assert caught.value.connection_invalidated
        connection.rollback()
        assert connection.scalar(text("SELECT 2")) == 2
        connection.close()
        engine.dispose()

    wait_for(in_child(use))
    operations = [record.operation for record in local_warehouse.requests[before:]]
    # All of them are of the child's own session.
    assert operations.count("OpenSession") == operations.count("CloseSession") == 1
    connection.commit()
    assert connection.scalar(text("SELECT count(*) FROM t")) == 1
    connection.close()


def test_what_is_held_is_committed_by_the_parent_alone(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    connection = engine.connect()
    connection.execute(text("CREATE TABLE t (a INT)"))
    connection.commit()
    connection.execute(text("INSERT INTO t VALUES (1)"))

    def commit() -> None:
        with pytest.raises(DBAPIError, match="before this process was forked"):
            connection.commit()

    wait_for(in_child(commit))
    connection.commit()
    assert connection.scalar(text("SELECT count(*) FROM t")) == 1
    connection.close()


def test_neither_closing_nor_collecting_in_a_child_ends_a_session(
    connect_args: dict[str, Any], local_warehouse: TestWarehouse
) -> None:
    closed, collected, fetched = (dbapi.connect(**connect_args) for _ in range(3))
    opened = [closed, collected, fetched]
    cursors = [fetched.cursor().execute("SELECT id FROM range(3)")]
    before = len(local_warehouse.requests)

    def end() -> None:
        closed.close()
        assert all(connection.closed for connection in opened)
        with pytest.raises(dbapi.SessionLostError):
            cursors[0].fetchall()
        cursors.pop().close()
        with pytest.raises(dbapi.SessionLostError):
            fetched.cursor()
        nonlocal collected
        del collected
        opened.clear()
        gc.collect()

    wait_for(in_child(end))
    assert local_warehouse.requests[before:] == ()
    for connection in opened:
        assert connection.cursor().execute("SELECT 7").fetchall() == [(7,)]
        connection.close()


def _locked() -> list[Any]:
    """What has a lock that a thread may hold while another one forks."""
    target: Any = None
    return [
        credentials,
        writing,
        OAuthTokens(target, "client", Secret("a secret of a test")),
        _UnifiedAuth(target, target),
    ]


@pytest.mark.parametrize("number", range(4))
def test_a_lock_that_a_thread_of_the_parent_holds_is_free_in_a_child(number: int) -> None:
    thing = _locked()[number]
    with thing._lock:
        child = in_child(lambda: thing._lock.acquire(timeout=PATIENCE_S) or os._exit(1))
    wait_for(child)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="tells which threads there are")
def test_a_helping_thread_is_gone_when_its_work_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    # How long it is waited for, which an application does no longer than it must.
    monkeypatch.setattr(forking, "_EXIT_SECONDS", PATIENCE_S)
    # As it ends it takes a lock of OpenSSL's, after Python's last word of it: of 300 threads that
    # were joined, 124 were still there. A child that is forked then waits for that lock for ever.
    for _ in range(100):
        found: list[int] = []

        def work(found: list[int] = found) -> None:
            ssl.RAND_bytes(1)
            found.append(threading.get_native_id())

        forking.in_helper(work, "test: a helper", PATIENCE_S)
        assert not Path(f"/proc/self/task/{found[0]}").exists()


def test_nobody_begins_what_must_not_be_disturbed_while_a_fork_waits() -> None:
    gate = forking._gate
    busy, end, forked, entered = (threading.Event() for _ in range(4))

    def works() -> None:
        with forking.undisturbed():
            busy.set()
            end.wait(PATIENCE_S)

    def forks_a_child() -> None:
        gate.close()
        forked.set()
        end.wait(PATIENCE_S)
        gate.open()

    def comes_late() -> None:
        with forking.undisturbed():
            entered.set()

    threads = [threading.Thread(target=work) for work in (works, forks_a_child, comes_late)]
    threads[0].start()
    assert busy.wait(PATIENCE_S)
    threads[1].start()
    while not gate.forks:
        pass
    threads[2].start()
    was_let_in = entered.wait(0.3)
    was_waited_for = not forked.is_set()
    end.set()
    for thread in threads:
        thread.join()
    assert was_waited_for
    assert not was_let_in
    assert entered.is_set()


def settings_of(warehouse: TestWarehouse) -> DatabaseSettings:
    served = warehouse.warehouse
    return DatabaseSettings(
        use_databricks=True,
        databricks_server_hostname=f"localhost:{served.port}",
        databricks_http_path=served.http_path,
        databricks_access_token=served.access_token,
        databricks_ca_file=served.ca_file,
    )


def test_the_connectors_engine(elsewhere: tuple[URL, dict[str, Any]]) -> None:
    url, arguments = elsewhere
    engine = create_databricks_engine(
        DatabaseSettings(
            use_databricks=True,
            databricks_server_hostname=f"{url.host}:{url.port}",
            databricks_http_path=str(url.query["http_path"]),
            databricks_access_token=arguments["access_token"],
            databricks_ca_file=arguments["_tls_trusted_ca_file"],
        )
    )
    assert number_of(engine, 1) == 1

    def ask(number: int) -> None:
        assert number_of(engine, number) == number
        engine.dispose()

    wait_for(*[in_child(functools.partial(ask, n)) for n in range(5)])
    engine.dispose()


def test_the_connectors_own_connections(local_warehouse: TestWarehouse) -> None:
    connector = DatabricksConnector(settings_of(local_warehouse))
    connection = connector.connect()
    before = len(local_warehouse.requests)

    def use() -> None:
        with pytest.raises(Exception, match="before this process was forked"):
            connection.cursor()
        connector.close()

    wait_for(in_child(use))
    assert local_warehouse.requests[before:] == ()
    with connection.cursor() as cursor:
        assert cursor.execute("SELECT 7").fetchall()[0][0] == 7
    connector.close()


def test_forks_under_load() -> None:
    count = some(25, few=12)
    report = forks.run(count=count, seed=5, threads=3)
    assert report.wrong == []
    assert report.asked_by_children == (count - report.hung) * forks.ASKED
    # What hangs got nobody's answer; the command counts and reports it.
    assert report.hung <= 2
    assert report.asked_by_parent > 0


# --- locks that a finaliser may want, in the thread that holds them ------------------------------


def _locks_of(engine: Engine) -> list[Any]:
    pool: Any = engine.pool
    dialect: Any = engine.dialect
    known: list[Any] = [*_locked(), settings_module, hooks, ExactValues(), SessionLocal._holder]
    engines: list[Any] = [dialect.statistics, dialect.views, next_key]
    locks = [thing._lock for thing in [*known, *engines]]
    return [*locks, pool._timer_lock, pool._overflow_lock]


def test_a_session_may_be_collected_within_any_lock(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    Table("t", MetaData(), Column("id", Integer)).create(engine)

    def forget_a_session() -> None:
        session: Any = Session(engine)
        session.execute(text("INSERT INTO t VALUES (1)"))
        session.execute(text("SELECT * FROM t")).all()
        session.me = session  # only the garbage collector ends it

    gc.collect()
    gc.disable()
    try:
        forget_a_session()
        with contextlib.ExitStack() as held:
            for lock in _locks_of(engine):
                held.enter_context(lock)
                assert lock.acquire(blocking=False), "it would be waited for for ever"
                lock.release()
            gc.collect()
    finally:
        gc.enable()
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    with engine.connect() as connection:
        assert connection.execute(text("SELECT * FROM t")).all() == []


def test_what_a_finaliser_does_within_a_lock_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    values = ExactValues()
    make = exact._Finder

    def interrupted(value: str) -> Any:
        monkeypatch.undo()
        values.add("another secret")
        values.hold("what is held")
        return make(value)

    monkeypatch.setattr(exact, "_Finder", interrupted)
    values.add("the first secret")
    assert values.mask("the first secret, another secret, what is held", "*") == "*, *, *"
    maker = KeyMaker()
    inner: list[int] = []
    now = keys._now

    def interrupted_clock() -> int:
        monkeypatch.undo()
        inner.append(maker())
        return now()

    monkeypatch.setattr(keys, "_now", interrupted_clock)
    assert maker() not in inner
