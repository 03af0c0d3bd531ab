"""What a commit means: transactions that the application begins, raw cursors, SET AUTOCOMMIT."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, event, insert, select, text

from tests.dialect.held import rows_of
from vinci_code.database.dialect.driver import dbapi
from vinci_code.database.dialect.text.scanning import describe
from vinci_code.warehouse import Fault
from vinci_code.warehouse.faults import HISTORY
from vinci_code.warehouse.pytest_plugin import TestWarehouse

METADATA = MetaData()
ACCOUNT = Table(
    "account", METADATA, Column("id", Integer, primary_key=True), Column("v", String(10))
)
OTHER = Table("other", METADATA, Column("id", Integer, primary_key=True), Column("v", String(10)))
DEBIT, CREDIT = {"id": 1, "v": "debit"}, {"id": 2, "v": "credit"}
LEVELS = ["READ COMMITTED", "AUTOCOMMIT"]


@pytest.fixture
def engine(connected: Callable[..., Engine]) -> Iterator[Engine]:
    """An engine with the tables."""
    engine = connected()
    METADATA.create_all(engine)
    yield engine
    engine.dispose()


# --- an answer that is lost within a transaction --------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after", "mid_reply"])
@pytest.mark.parametrize("level", LEVELS)
def test_a_lost_answer_ends_a_transaction_of_the_application_s_own(
    level: str, when: str, engine: Engine, local_warehouse: TestWarehouse
) -> None:
    local_warehouse.inject(
        Fault.reset(when, operation="ExecuteStatement", statement="INSERT", skip=1)
    )
    with engine.connect().execution_options(isolation_level=level) as connection:
        connection.execute(text("BEGIN TRANSACTION"))
        connection.execute(insert(ACCOUNT), DEBIT)
        with pytest.raises(sa.exc.OperationalError, match="nothing was written") as caught:
            connection.execute(insert(ACCOUNT), CREDIT)
        assert type(caught.value.orig) is dbapi.OperationalError
        with pytest.raises(sa.exc.OperationalError, match=r"call rollback\(\)"):
            connection.commit()
        connection.rollback()
        connection.execute(insert(ACCOUNT), {"id": 3, "v": "new"})
        connection.commit()
    assert rows_of(engine, ACCOUNT) == [(3, "new")]


@pytest.mark.parametrize("level", LEVELS)
def test_nothing_runs_after_a_lost_transaction_until_a_rollback(
    level: str, engine: Engine, local_warehouse: TestWarehouse
) -> None:
    for statement in (insert(ACCOUNT).values(CREDIT), select(ACCOUNT), text("ROLLBACK")):
        local_warehouse.inject(
            Fault.reset("after", operation="ExecuteStatement", statement="INSERT")
        )
        with engine.connect().execution_options(isolation_level=level) as connection:
            connection.execute(text("BEGIN TRANSACTION"))
            with pytest.raises(sa.exc.OperationalError):
                connection.execute(insert(ACCOUNT), DEBIT)
            with pytest.raises(sa.exc.OperationalError, match="nothing was sent now"):
                connection.execute(statement)
        assert rows_of(engine, ACCOUNT) == []


# --- a transaction that does not begin ------------------------------------------------------------

REFUSALS = {
    "403": Fault.http(
        403, message="no permission", operation="ExecuteStatement", statement="BEGIN"
    ),
    "400": Fault.http(400, operation="ExecuteStatement", statement="BEGIN"),
    "429": Fault.http(429, retry_after=900, operation="ExecuteStatement", statement="BEGIN"),
    "token": Fault.token_expired(operation="ExecuteStatement", statement="BEGIN"),
    "lost": Fault.reset("after", operation="ExecuteStatement", statement="BEGIN"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("how", ["REPEATABLE READ", "own"])
def test_a_transaction_that_did_not_begin_is_none(
    how: str, refusal: str, engine: Engine, local_warehouse: TestWarehouse
) -> None:
    level = how if how != "own" else "READ COMMITTED"
    with engine.connect().execution_options(isolation_level=level) as connection:
        local_warehouse.inject(REFUSALS[refusal])
        with pytest.raises(sa.exc.OperationalError):
            connection.execute(text("BEGIN TRANSACTION") if how == "own" else select(ACCOUNT))
        connection.execute(insert(ACCOUNT), DEBIT)
        connection.rollback()
        assert rows_of(engine, ACCOUNT) == []
        connection.execute(insert(ACCOUNT), CREDIT)
        connection.commit()
    assert rows_of(engine, ACCOUNT) == [(2, "credit")]


def test_a_second_begin_that_is_refused_does_not_end_the_first(engine: Engine) -> None:
    with engine.connect() as connection:
        raw: Any = connection.connection.dbapi_connection
        connection.execute(text("BEGIN TRANSACTION"))
        with pytest.raises(sa.exc.DBAPIError):
            connection.execute(text("BEGIN TRANSACTION"))
        assert raw.in_transaction
        connection.rollback()
        assert not raw.in_transaction
        connection.execute(insert(ACCOUNT), DEBIT)
        connection.commit()
    assert rows_of(engine, ACCOUNT) == [(1, "debit")]


def test_a_unit_that_only_read_is_committed_whatever_became_of_its_commit(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    local_warehouse.inject(
        Fault.http(403, operation=HISTORY),
        Fault.reset("after", operation="ExecuteStatement", statement="^COMMIT"),
    )
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        assert connection.execute(select(ACCOUNT)).all() == []
        connection.commit()
        connection.execute(insert(ACCOUNT), DEBIT)
        connection.commit()
    assert rows_of(engine, ACCOUNT) == [(1, "debit")]


# --- SET AUTOCOMMIT -------------------------------------------------------------------------------

SPELLINGS = [
    "SET AUTOCOMMIT = FALSE",
    "set autocommit=false",
    "/* now */ SET -- this\n AUTOCOMMIT FALSE",
    "SET `autocommit` = off",
    "SET 'autocommit' = false",
    "SET AUTOCOMMIT = TRUE",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_set_autocommit_is_refused(
    spelling: str, engine: Engine, local_warehouse: TestWarehouse
) -> None:
    with engine.connect() as connection:
        before = len(local_warehouse.statements)
        with pytest.raises(sa.exc.NotSupportedError, match=r"(?s)AUTOCOMMIT.*isolation_level"):
            connection.execute(text(spelling))
        assert local_warehouse.statements[before:] == []
        connection.rollback()
        connection.execute(insert(ACCOUNT), DEBIT)
        connection.commit()
    assert rows_of(engine, ACCOUNT) == [(1, "debit")]


def test_set_autocommit_is_refused_in_a_listener(connected: Callable[..., Engine]) -> None:
    engine = connected()
    opened: list[dbapi.Connection] = []

    @event.listens_for(engine, "connect")
    def changed(connection: Any, record: object) -> None:
        opened.append(connection)
        connection.cursor().execute("SET AUTOCOMMIT = FALSE")

    with pytest.raises(dbapi.NotSupportedError, match="AUTOCOMMIT"):
        engine.raw_connection()
    # SQLAlchemy 2.0 leaves a connection whose listener has failed to the garbage collector.
    opened.pop().close()


def test_set_autocommit_is_refused_among_the_connect_arguments(
    connect: Callable[..., dbapi.Connection],
) -> None:
    with pytest.raises(dbapi.InterfaceError, match="AUTOCOMMIT"):
        connect(session_configuration={"autocommit": "false"})


@pytest.mark.parametrize(
    "harmless", ["SET AUTOCOMMIT", "SET VAR autocommit = 1", "SET TIMEZONE=UTC"]
)
def test_what_only_looks_like_it(harmless: str) -> None:
    assert not describe(harmless).sets_autocommit


# --- raw cursors ----------------------------------------------------------------------------------


def test_what_a_raw_cursor_writes_belongs_to_the_unit(engine: Engine) -> None:
    with engine.connect() as connection:
        for end, expected in ((connection.rollback, []), (connection.commit, [(1, "x"), (2, "y")])):
            connection.execute(insert(ACCOUNT), {"id": 1, "v": "x"})
            cursor = connection.connection.cursor()
            cursor.execute("INSERT INTO account VALUES (?, ?)", (2, "y"))
            assert rows_of(engine, ACCOUNT) == []
            end()
            assert rows_of(engine, ACCOUNT) == expected


def test_a_raw_cursor_sees_what_is_held(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(insert(ACCOUNT), DEBIT)
        cursor = connection.connection.cursor()
        cursor.execute("SELECT v FROM account")
        assert cursor.fetchall() == [("debit",)]
    assert rows_of(engine, ACCOUNT) == []


@pytest.mark.parametrize("statement", ["BEGIN TRANSACTION", "CREATE TABLE more (a INT)"])
def test_a_raw_cursor_runs_nothing_at_once_between_held_writes(
    statement: str, engine: Engine
) -> None:
    with engine.connect() as connection:
        connection.execute(insert(ACCOUNT), DEBIT)
        with pytest.raises(dbapi.PendingWritesError):
            connection.connection.cursor().execute(statement)
        connection.commit()
    assert rows_of(engine, ACCOUNT) == [(1, "debit")]


@pytest.mark.parametrize("begin", [None, "BEGIN TRANSACTION"])
def test_a_raw_connection_is_committed_and_rolled_back(begin: str | None, engine: Engine) -> None:
    raw = engine.raw_connection()
    cursor = raw.cursor()
    for number, end in enumerate((raw.rollback, raw.commit), 1):
        if begin:
            cursor.execute(begin)
        cursor.execute("INSERT INTO account VALUES (?, 'x')", (number,))
        assert rows_of(engine, ACCOUNT) == []
        end()
    raw.close()
    assert rows_of(engine, ACCOUNT) == [(2, "x")]


def test_the_commit_of_a_raw_connection_commits_the_unit(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(insert(ACCOUNT), DEBIT)
        connection.connection.commit()
        connection.execute(insert(ACCOUNT), CREDIT)
        connection.connection.rollback()
        connection.commit()
    assert rows_of(engine, ACCOUNT) == [(1, "debit")]


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_transaction_on_a_connection_without_a_dialect(
    end: str, engine: Engine, connect: Callable[..., dbapi.Connection]
) -> None:
    connection = connect()
    cursor = connection.cursor()
    cursor.execute("BEGIN TRANSACTION")
    cursor.execute("INSERT INTO account VALUES (1, 'x')")
    getattr(connection, end)()
    assert not connection.in_transaction
    assert rows_of(engine, ACCOUNT) == ([(1, "x")] if end == "commit" else [])


def test_a_pool_that_commits_what_is_given_back_is_refused(
    connected: Callable[..., Engine],
) -> None:
    with pytest.raises(sa.exc.ArgumentError, match="pool_reset_on_return='commit'"):
        connected(pool_reset_on_return="commit")


# --- temporary views ------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [False, True])
def test_a_temporary_view_is_known_of_the_session_that_has_it(
    lost: bool, engine: Engine, local_warehouse: TestWarehouse
) -> None:
    with engine.connect() as connection:
        connection.execute(select(OTHER)).all()  # its session is not the first statement's
        connection.commit()
        if lost:
            local_warehouse.inject(
                Fault.session_lost(operation="ExecuteStatement", statement="TEMPORARY")
            )
        connection.execute(text("CREATE TEMPORARY VIEW other AS SELECT id, v FROM account"))
        connection.execute(insert(ACCOUNT), DEBIT)
        assert connection.execute(select(OTHER)).all() == [(1, "debit")]
