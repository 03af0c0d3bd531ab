"""What becomes of a connection's session: replaced, changed, given back, interrupted by a fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Column, Engine, Integer, MetaData, Table, event, text
from sqlalchemy.pool import NullPool, QueuePool, StaticPool

from tests.dialect.held import rows_of, run_and_commit
from tests.history import replacements
from tests.patience import FOR_LONG_S, SHORT_S
from vinci_code.database.dialect.driver import dbapi
from vinci_code.database.dialect.text.scanning import describe
from vinci_code.warehouse.faults import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse

Connected = Callable[..., Engine]

T = Table("t", MetaData(), Column("id", Integer, primary_key=True), Column("x", Integer))


@pytest.fixture
def table(engine: Engine) -> Table:
    with engine.connect() as connection:
        run_and_commit(connection, sa.schema.CreateTable(T), sa.insert(T).values(id=1, x=1))
    return T


def operations(warehouse: TestWarehouse) -> list[str]:
    return [record.operation for record in warehouse.requests]


# --- a replacement that fails --------------------------------------------------------------------

FAILURES: dict[str, Fault] = {
    "503 for a minute": Fault.http(503, retry_after=60, operation="OpenSession"),
    "reset": Fault.reset("before", operation="OpenSession", times=2),
    "500": Fault.http(500, operation="OpenSession", times=2),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=list(FAILURES))
def test_a_replacement_that_fails_leaves_the_connection_fit(
    failure: Fault, connect_args: dict[str, Any], local_warehouse: TestWarehouse
) -> None:
    connection = dbapi.connect(**connect_args, start_timeout=0.2)
    local_warehouse.inject(Fault.session_lost(operation="ExecuteStatement"), failure)
    with pytest.raises(dbapi.OperationalError):
        connection.cursor().execute("SELECT 1")
    connection.rollback()
    for number in (2, 3):
        assert connection.cursor().execute(f"SELECT {number}").fetchall() == [(number,)]
    connection.close()


def test_a_session_that_was_ended_at_a_deadline_is_opened_again(
    connect_args: dict[str, Any], local_warehouse: TestWarehouse
) -> None:
    connection = dbapi.connect(**connect_args)
    local_warehouse.inject(
        Fault.delay(FOR_LONG_S, operation="ExecuteStatement", statement="SELECT 1")
    )
    cursor = connection.cursor()
    cursor.timeout = SHORT_S
    with pytest.raises(dbapi.StatementTimeout):
        cursor.execute("SELECT 1")
    assert connection.cursor().execute("SELECT 2").fetchall() == [(2,)]
    connection.close()


def test_a_transaction_that_a_deadline_has_ended_is_not_gone_on_with(
    engine: Engine, table: Table, local_warehouse: TestWarehouse
) -> None:
    connection = engine.connect()
    connection.execute(text("BEGIN TRANSACTION"))
    connection.execute(sa.insert(table).values(id=2, x=2))
    local_warehouse.inject(
        Fault.delay(FOR_LONG_S, operation="ExecuteStatement", statement="SELECT 1")
    )
    late = connection.execution_options(databricks_timeout=SHORT_S)
    with pytest.raises(sa.exc.OperationalError):
        late.execute(text("SELECT 1"))
    with pytest.raises(sa.exc.OperationalError, match="the transaction that was begun in it"):
        connection.execute(text("SELECT 2"))
    connection.rollback()
    assert connection.execute(sa.select(table.c.id)).all() == [(1,)]
    connection.close()


def test_replacements_of_lost_sessions_that_fail() -> None:
    report = replacements.run(12, seed=3)
    assert report.broken == []
    assert report.schedules == 12


# --- what a session was changed to ---------------------------------------------------------------

CHANGES = [
    "USE SCHEMA default",
    "SET TIME ZONE 'Asia/Tokyo'",
    "SET STATEMENT_TIMEOUT = 77",
    "CREATE TEMPORARY VIEW mine AS SELECT 1 AS a",
]


def state_of(connection: sa.Connection) -> list[Any]:
    found: list[Any] = [
        connection.scalar(text("SELECT current_schema()")),
        connection.scalar(text("SELECT current_timezone()")),
    ]
    for question in ("SELECT * FROM mine", "SET STATEMENT_TIMEOUT"):
        try:
            found.append(connection.execute(text(question)).all())
        except sa.exc.DBAPIError as error:
            found.append(type(error.orig).__name__)
        connection.rollback()
    return found


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_session_was_changed_to_ends_with_its_user(
    change: str, engine: Engine, local_warehouse: TestWarehouse
) -> None:
    with engine.connect() as connection:
        before = state_of(connection)
    engine.dispose()
    with engine.connect() as connection:
        connection.execute(text(change))
        connection.commit()
        assert state_of(connection) != before
    local_warehouse.warehouse.clear_requests()
    with engine.connect() as connection:
        assert operations(local_warehouse) == ["OpenSession"]
        assert state_of(connection) == before


@pytest.mark.parametrize("pool", [StaticPool, NullPool])
def test_that_is_so_with_other_pools(pool: Any, connected: Connected) -> None:
    engine = connected(poolclass=pool)
    with engine.connect() as connection:
        schema = connection.scalar(text("SELECT current_schema()"))
        connection.execute(text("USE SCHEMA default"))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT current_schema()")) == schema


def test_a_session_that_was_not_changed_is_kept(
    engine: Engine, table: Table, local_warehouse: TestWarehouse
) -> None:
    local_warehouse.warehouse.clear_requests()
    for number in range(2, 5):
        with engine.connect() as connection:
            run_and_commit(
                connection,
                sa.insert(table).values(id=number, x=1),
                sa.update(table).where(table.c.id == 1).values(x=number),
            )
            connection.scalar(sa.select(sa.func.count()).select_from(table))
    assert not {"OpenSession", "CloseSession"} & set(operations(local_warehouse))


def test_what_listeners_of_connect_have_set_is_there_for_all(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    @event.listens_for(engine, "connect")
    def set_zone(connection: Any, _: object) -> None:
        connection.cursor().execute("SET TIME ZONE 'Asia/Tokyo'")

    zone = text("SELECT current_timezone()")
    with engine.connect() as connection:
        assert connection.scalar(zone) == "Asia/Tokyo"
    local_warehouse.warehouse.clear_requests()
    with engine.connect() as connection:
        assert connection.scalar(zone) == "Asia/Tokyo"
        assert "OpenSession" not in operations(local_warehouse)
        connection.execute(text("SET TIME ZONE 'Europe/Berlin'"))
    with engine.connect() as connection:
        assert connection.scalar(zone) == "Asia/Tokyo"


@pytest.mark.parametrize(
    ("statement", "changes"),
    [
        ("EXECUTE IMMEDIATE 'USE SCHEMA default'", True),
        ("CALL main.default.p()", True),
        ("BEGIN USE SCHEMA default; END", True),
        ("DECLARE VARIABLE v INT DEFAULT 5", True),
        ("WHATEVER NEXT", True),
        ("CREATE OR REPLACE GLOBAL TEMPORARY VIEW v AS SELECT 1", True),
        ("BEGIN ATOMIC INSERT INTO t VALUES (1); END", False),
        ("BEGIN TRANSACTION", False),
        ("BEGIN", False),
        ("START TRANSACTION", False),
        ("CREATE TABLE t (a INT)", False),
        ("WITH a AS (SELECT 1) SELECT * FROM a", False),
        ("OPTIMIZE t", False),
    ],
)
def test_what_is_not_known_to_leave_a_session_as_it_is_counts_as_a_change(
    statement: str, changes: bool
) -> None:
    assert describe(statement).changes_session is changes


# --- levels and savepoints -----------------------------------------------------------------------


def test_one_connection_may_have_another_level_than_its_engine(connected: Connected) -> None:
    engine = connected(isolation_level="REPEATABLE READ")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        assert connection.scalar(text("SELECT 1")) == 1
        assert connection.get_isolation_level() == "AUTOCOMMIT"
    with engine.connect() as connection:
        assert connection.get_isolation_level() == "REPEATABLE READ"


def test_a_savepoint_where_nothing_is_held_is_refused(engine: Engine, table: Table) -> None:
    with (
        engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        pytest.raises(sa.exc.NotSupportedError, match="AUTOCOMMIT each statement is commit"),
    ):
        connection.begin_nested()
    with engine.connect() as connection:
        connection.execute(text("BEGIN TRANSACTION"))
        with pytest.raises(sa.exc.NotSupportedError, match="a BEGIN of your own"):
            connection.begin_nested()
        connection.rollback()
        with connection.begin_nested() as savepoint:
            connection.execute(sa.insert(table).values(id=9, x=9))
            savepoint.rollback()
        connection.commit()
        assert connection.execute(sa.select(table.c.id)).all() == [(1,)]


# --- what is left of a unit of work --------------------------------------------------------------


@pytest.mark.parametrize("left", ["a read", "nothing sent", "a transaction"])
@pytest.mark.parametrize("pool", [None, QueuePool, StaticPool])
def test_what_a_stopped_commit_leaves_is_nobody_elses(
    pool: Any, left: str, connected: Connected, table: Table
) -> None:
    engine = connected(**({} if pool is None else {"poolclass": pool}))
    stops = [RuntimeError("not now")]

    def stop(connection: sa.Connection) -> None:
        if stops:
            raise stops.pop()

    event.listen(engine, "commit", stop)
    with engine.connect() as connection:
        if left == "a read":
            connection.execute(sa.select(table))
        connection.execute(sa.insert(table).values(id=2, x=2))
        if left == "a transaction":
            connection.execute(sa.select(table))
        with pytest.raises(RuntimeError, match="not now"):
            connection.commit()
    with engine.begin() as connection:
        connection.execute(sa.insert(table).values(id=3, x=3))
    assert rows_of(engine, table) == [(1, 1), (3, 3)]


@pytest.mark.parametrize(
    "fault",
    [
        Fault.reset("before", operation="ExecuteStatement", statement="BEGIN TRANS"),
        Fault.http(403, operation="ExecuteStatement", statement="BEGIN TRANS"),
        Fault.http(400, operation="ExecuteStatement", statement="BEGIN TRANS"),
    ],
    ids=["lost", "403", "400"],
)
def test_a_raw_connection_whose_unit_has_failed_says_so_at_commit_and_is_fit_afterwards(
    fault: Fault, engine: Engine, table: Table, local_warehouse: TestWarehouse
) -> None:
    raw = engine.raw_connection()
    cursor = raw.cursor()
    cursor.execute("INSERT INTO t (id, x) VALUES (2, 2)")
    local_warehouse.inject(fault)
    with pytest.raises(dbapi.Error):
        cursor.execute("SELECT count(*) FROM t")
    with pytest.raises(dbapi.OperationalError, match="nothing was written"):
        raw.commit()
    raw.rollback()
    raw.cursor().execute("INSERT INTO t (id, x) VALUES (3, 3)")
    raw.commit()
    raw.close()
    assert rows_of(engine, table) == [(1, 1), (3, 3)]


def test_a_raw_connection_that_has_lost_a_savepoint_says_so_at_commit(
    engine: Engine, table: Table
) -> None:
    raw = engine.raw_connection()
    unit: Any = raw.dbapi_connection.unit  # type: ignore[union-attr]
    unit.savepoint("here")
    raw.cursor().execute("INSERT INTO t (id, x) VALUES (2, 2)")
    raw.cursor().execute("SELECT count(*) FROM t")
    unit.rollback_to("here")
    with pytest.raises(dbapi.NotSupportedError, match="nothing was written"):
        raw.commit()
    raw.cursor().execute("INSERT INTO t (id, x) VALUES (3, 3)")
    raw.commit()
    raw.close()
    assert rows_of(engine, table) == [(1, 1), (3, 3)]


def test_the_release_of_a_savepoint_of_a_failed_unit_is_an_error_of_sqlalchemy(
    engine: Engine, table: Table, local_warehouse: TestWarehouse
) -> None:
    with engine.connect() as connection:
        connection.execute(sa.insert(table).values(id=2, x=2))
        savepoint = connection.begin_nested()
        local_warehouse.inject(
            Fault.http(403, operation="ExecuteStatement", statement="BEGIN TRANS")
        )
        # Not to be laid over what is held, so that a transaction is begun.
        with pytest.raises(sa.exc.DBAPIError):
            connection.execute(text("SELECT count(*) FROM t"))
        with pytest.raises(sa.exc.OperationalError, match="nothing was written"):
            savepoint.commit()
