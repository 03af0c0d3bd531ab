"""Units of work: reads, rollbacks, savepoints, levels, and warehouses without transactions."""

from __future__ import annotations

import gc
import logging
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    delete,
    func,
    insert,
    inspect,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    ResourceClosedError,
)
from sqlalchemy.orm import Session
from sqlalchemy.schema import CreateTable

from tests.dialect.held import count_of, first_words, rows_of, run_and_commit, sending, sorted_rows
from tests.full import part
from vinci_code.database.dialect import dberrors, listeners
from vinci_code.warehouse.faults import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse

pytestmark = part(2)


METADATA = MetaData()
ONE = Table(
    "one", METADATA, Column("id", Integer, primary_key=True), Column("v", String, unique=True)
)
TWO = Table("two", METADATA, Column("id", Integer, primary_key=True), Column("v", Integer))
COUNT = select(func.count()).select_from(ONE)
# What a text reads is not known, so that what is held has to be sent.
BY_TEXT = text("SELECT count(*) FROM one")


@pytest.fixture
def tables(engine: Engine) -> Engine:
    """The engine, with the tables."""
    METADATA.create_all(engine, checkfirst=False)
    return engine


@pytest.fixture
def poor(without_transactions: TestWarehouse, connected: Callable[..., Engine]) -> Engine:
    """An engine on a warehouse that knows no transactions, with the tables."""
    engine = connected(without_transactions)
    METADATA.create_all(engine, checkfirst=False)
    return engine


# --- reads ---------------------------------------------------------------------------------------


def test_a_read_of_another_table_sends_nothing_else(
    tables: Engine, local_warehouse: TestWarehouse
) -> None:
    with tables.begin() as connection:
        connection.execute(insert(ONE), {"id": 1})
        # The first time it is asked whether this is a view, which might read what is held.
        connection.execute(select(TWO))
        with sending(lambda: local_warehouse.statements) as sent:
            assert connection.execute(select(TWO)).all() == []
            assert connection.scalar(select(1)) == 1
    assert first_words(sent) == ["SELECT", "SELECT"]


def test_a_read_of_a_written_table_begins_a_transaction(
    tables: Engine, local_warehouse: TestWarehouse
) -> None:
    with sending(lambda: local_warehouse.statements) as sent, tables.begin() as connection:
        connection.execute(insert(ONE), {"id": 1})
        assert connection.scalar(BY_TEXT) == 1
        connection.execute(insert(ONE), {"id": 2})
        connection.execute(update(ONE).where(ONE.c.id == 1).values(v="x"))
        assert sorted_rows(connection, ONE) == [(1, "x"), (2, None)]
        with tables.connect() as other:
            assert other.scalar(COUNT) == 0
    words = ["BEGIN", "INSERT", "SELECT", "INSERT", "MERGE", "SELECT", "SELECT", "COMMIT"]
    assert first_words(sent) == words
    assert count_of(tables, ONE) == 2


_ALIAS = ONE.alias("other")
READS: dict[str, Any] = {
    "alias": select(func.count()).select_from(_ALIAS),
    "sub-select": select(func.count()).select_from(select(ONE.c.id).subquery()),
    "cte": select(func.count()).select_from(select(ONE.c.id).cte("c")),
    "scalar sub-select": select(COUNT.scalar_subquery()),
    "exists": select(literal_column("1")).where(select(ONE).exists()),
    "join": select(func.count()).select_from(
        ONE.outerjoin(TWO, ONE.c.id == TWO.c.id).outerjoin(_ALIAS, _ALIAS.c.id == 7)
    ),
    "union": select(func.count()).select_from(
        select(TWO.c.id).union_all(select(ONE.c.id)).subquery()
    ),
    "text": text("SELECT count(*) FROM one"),
    "text with columns": text("SELECT count(*) AS n FROM one").columns(Column("n", Integer)),
    "text within": select(text("(SELECT count(*) FROM one)")),
    "literal column": select(literal_column("(SELECT count(*) FROM one)")),
    "text as a source": select(func.count()).select_from(text("one")),
}


@pytest.mark.parametrize("name", READS)
def test_every_form_of_a_read_sees_what_is_held(name: str, tables: Engine) -> None:
    with tables.begin() as connection:
        connection.execute(insert(ONE), {"id": 1})
        assert connection.scalar(READS[name]) == 1


def test_a_read_by_a_view(tables: Engine) -> None:
    with tables.begin() as connection:
        connection.execute(text("CREATE VIEW seen AS SELECT id FROM one"))
    view = Table("seen", MetaData(), Column("id", Integer), info={"reads": ["one"]})
    with tables.begin() as connection:
        connection.execute(insert(ONE), {"id": 1})
        assert connection.execute(select(view)).all() == [(1,)]


def test_definitions_can_be_looked_at_between_writes(tables: Engine) -> None:
    with tables.begin() as connection:
        connection.execute(insert(ONE), {"id": 1})
        assert inspect(connection).has_table("two")
        assert len(inspect(connection).get_columns("one")) == 2
    assert count_of(tables, ONE) == 1


def test_definitions_are_refused_within_a_transaction(tables: Engine) -> None:
    with tables.begin() as connection:
        connection.execute(insert(ONE), {"id": 1})
        connection.scalar(BY_TEXT)
        with pytest.raises(NotSupportedError, match="a connection of its own"):
            inspect(connection).has_table("two")
        connection.execute(insert(ONE), {"id": 2})
    assert count_of(tables, ONE) == 2


# --- order ---------------------------------------------------------------------------------------


def test_what_cannot_be_joined_keeps_its_place(tables: Engine) -> None:
    with tables.begin() as connection:
        connection.execute(insert(TWO), [{"id": n, "v": n} for n in (1, 2, 3)])
        connection.execute(update(TWO).where(TWO.c.v > 1).values(v=TWO.c.v + 10))
        connection.execute(insert(TWO), {"id": 4, "v": 4})
        connection.execute(insert(ONE).from_select(["id"], select(TWO.c.id)))
        connection.execute(text("DELETE FROM two WHERE v < :least"), {"least": 4})
        connection.execute(insert(TWO), {"id": 1, "v": 100})
        connection.exec_driver_sql("UPDATE two SET v = v + 1 WHERE v > ?", (12,))
        connection.execute(delete(TWO).where(TWO.c.v.between(4, 5)))
    assert rows_of(tables, TWO) == [(1, 101), (2, 12), (3, 14)]
    assert [row[0] for row in rows_of(tables, ONE)] == [1, 2, 3, 4]


def test_definitions_are_not_changed_between_writes(
    tables: Engine, local_warehouse: TestWarehouse
) -> None:
    other = Table("other", MetaData(), Column("id", Integer))
    with tables.begin() as connection:
        connection.execute(insert(ONE), {"id": 1})
        with (
            sending(lambda: local_warehouse.statements) as sent,
            pytest.raises(NotSupportedError, match=r"takes effect at once(?s:.*)commit first"),
        ):
            connection.execute(CreateTable(other))
        assert sent == []
    assert count_of(tables, ONE) == 1


@pytest.mark.parametrize("end", ["", ";", " ;;\n", " -- a comment", " /* a comment */"])
def test_however_a_text_ends(end: str, tables: Engine) -> None:
    with tables.begin() as connection:
        for number in (1, 2, 3):
            connection.execute(text(f"INSERT INTO one VALUES ({number}, '{number};b')" + end))
    assert rows_of(tables, ONE) == [(n, f"{n};b") for n in (1, 2, 3)]


def test_what_is_changed_after_it_was_written(tables: Engine) -> None:
    raw = bytearray(b"as it was")
    with tables.begin() as connection:
        connection.exec_driver_sql("INSERT INTO one VALUES (1, decode(?, 'UTF-8'))", (raw,))
        raw[:] = b"later"
    assert rows_of(tables, ONE) == [(1, "as it was")]


# --- rowcount ------------------------------------------------------------------------------------


def test_rowcount(tables: Engine, local_warehouse: TestWarehouse) -> None:
    by_key = update(TWO).where(TWO.c.id == bindparam("key")).values(v=5)
    with tables.begin() as connection:
        inserted = connection.execute(insert(TWO), [{"id": n} for n in (1, 2, 3)])
        assert inserted.rowcount == 3
        assert connection.execute(by_key, [{"key": 1}, {"key": 2}, {"key": 9}]).rowcount == 2
        assert connection.execute(delete(TWO).where(TWO.c.v == 5)).rowcount == 2
        assert connection.execute(delete(TWO).where(TWO.c.id == 7)).rowcount == 0
        copied = insert(ONE).from_select(["id"], select(TWO.c.id))
        assert connection.execute(copied).rowcount == 1
    with sending(lambda: local_warehouse.statements) as sent, tables.begin() as connection:
        result = connection.execute(update(TWO).where(TWO.c.id == 3).values(v=1))
    assert result.rowcount == 1
    assert first_words(sent) == ["MERGE"]


def test_rowcount_of_what_was_joined_is_not_guessed(tables: Engine) -> None:
    by_key = update(TWO).where(TWO.c.id == bindparam("key")).values(v=5)
    with tables.begin() as connection:
        connection.execute(insert(TWO), [{"id": 1, "v": 0}])
    with tables.begin() as connection:
        connection.execute(insert(TWO), [{"id": 2, "v": 0}])
        mixed = connection.execute(by_key, [{"key": 1}, {"key": 2}])
        other = connection.execute(by_key, [{"key": 1}])
        inserted = connection.execute(by_key, [{"key": 2}])
    assert (mixed.rowcount, other.rowcount) == (-1, -1)
    assert inserted.rowcount == 1
    assert rows_of(tables, TWO) == [(1, 5), (2, 5)]


def test_each_is_counted_once_one_is_asked_for(tables: Engine) -> None:
    with tables.begin() as connection:
        connection.execute(insert(TWO), [{"id": n} for n in (1, 2, 3)])
    with tables.begin() as connection:
        changed = [
            connection.execute(update(TWO).where(TWO.c.id == key).values(v=9))
            for key in (1, 2, 3, 99)
        ]
        gone = [connection.execute(delete(TWO).where(TWO.c.id == key)) for key in (99, 1, 2)]
        assert [result.rowcount for result in reversed(gone)] == [1, 1, 0]
        assert [result.rowcount for result in changed] == [1, 1, 1, 0]
    assert rows_of(tables, TWO) == [(3, 9)]


def test_rowcount_with_a_compiled_cache_of_ones_own(tables: Engine) -> None:
    with tables.connect().execution_options(compiled_cache={}) as connection:
        result = connection.execute(update(TWO).where(TWO.c.id == 5).values(v=1))
        connection.commit()
        assert result.rowcount == 0


# --- rollback and savepoints ---------------------------------------------------------------------


def test_rollback_of_a_transaction(tables: Engine) -> None:
    with tables.connect() as connection:
        connection.execute(insert(ONE), {"id": 1})
        assert connection.scalar(COUNT) == 1
        connection.rollback()
        assert connection.scalar(COUNT) == 0
        connection.execute(insert(ONE), {"id": 2})
        connection.commit()
    assert [row[0] for row in rows_of(tables, ONE)] == [2]


@pytest.mark.parametrize("which", ["tables", "poor"])
def test_savepoints(which: str, request: pytest.FixtureRequest) -> None:
    engine: Engine = request.getfixturevalue(which)
    with engine.begin() as connection:
        connection.execute(insert(ONE), {"id": 1})
        outer = connection.begin_nested()
        connection.execute(insert(ONE), {"id": 2})
        inner = connection.begin_nested()
        connection.execute(insert(ONE), {"id": 3})
        connection.execute(update(ONE).where(ONE.c.id == 1).values(v="x"))
        inner.rollback()
        released = connection.begin_nested()
        connection.execute(insert(ONE), {"id": 4})
        released.commit()
        outer.commit()
        undone = connection.begin_nested()
        connection.execute(insert(ONE), {"id": 5})
        with connection.begin_nested():
            connection.execute(insert(ONE), {"id": 6})
        undone.rollback()
        connection.execute(insert(ONE), {"id": 7})
    assert rows_of(engine, ONE) == [(1, None), (2, None), (4, None), (7, None)]


def test_a_savepoint_after_a_read(tables: Engine) -> None:
    with tables.begin() as connection:
        connection.execute(insert(ONE), {"id": 1})
        assert connection.scalar(BY_TEXT) == 1
        savepoint = connection.begin_nested()
        connection.execute(insert(ONE), {"id": 2})
        savepoint.rollback()
        connection.execute(insert(ONE), {"id": 3})
    assert [row[0] for row in rows_of(tables, ONE)] == [1, 3]


def test_a_savepoint_that_was_sent_is_an_error(tables: Engine) -> None:
    with tables.connect() as connection:
        connection.execute(insert(ONE), {"id": 1})
        savepoint = connection.begin_nested()
        connection.execute(insert(ONE), {"id": 2})
        assert connection.scalar(BY_TEXT) == 2
        savepoint.rollback()
        with pytest.raises(NotSupportedError, match="no savepoints"):
            connection.execute(insert(ONE), {"id": 3})
        with pytest.raises(NotSupportedError, match="no savepoints"):
            connection.scalar(BY_TEXT)
        with pytest.raises(NotSupportedError, match="no savepoints"):
            connection.commit()
        connection.rollback()
        connection.execute(insert(ONE), {"id": 4})
        connection.commit()
    assert [row[0] for row in rows_of(tables, ONE)] == [4]


def test_an_error_within_a_savepoint_that_was_sent_is_the_applications_own(tables: Engine) -> None:
    def unit() -> None:
        with Session(tables) as session:
            session.begin_nested()
            session.execute(insert(ONE), {"id": 2})
            assert session.scalar(BY_TEXT) == 1
            try:
                raise LookupError("of the application")
            except LookupError:
                session.rollback()
                raise

    with pytest.raises(LookupError):
        unit()
    assert count_of(tables, ONE) == 0


def test_a_savepoint_that_was_sent_may_be_released(tables: Engine) -> None:
    with tables.begin() as connection:
        with connection.begin_nested():
            connection.execute(insert(ONE), {"id": 2})
            assert connection.scalar(BY_TEXT) == 1
        connection.execute(insert(ONE), {"id": 3})
    assert [row[0] for row in rows_of(tables, ONE)] == [2, 3]


def test_what_fails_within_a_savepoint_that_was_sent_is_reported(tables: Engine) -> None:
    with tables.begin() as connection:
        connection.execute(insert(ONE), {"id": 1})

    def unit() -> None:
        with tables.begin() as connection, connection.begin_nested():
            connection.execute(insert(ONE), [{"id": 2}, {"id": 1}])
            connection.scalar(BY_TEXT)

    with pytest.raises(IntegrityError, match="PRIMARY KEY"):
        unit()
    assert count_of(tables, ONE) == 1


# --- levels --------------------------------------------------------------------------------------


def test_repeatable_read(tables: Engine, local_warehouse: TestWarehouse) -> None:
    with tables.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        with sending(lambda: local_warehouse.statements) as sent:
            assert connection.scalar(COUNT) == 0
            with tables.begin() as other:
                other.execute(insert(ONE), {"id": 1})
            assert connection.scalar(COUNT) == 0
            connection.commit()
        assert first_words(sent) == ["BEGIN", "SELECT", "INSERT", "SELECT", "COMMIT"]
        assert connection.scalar(COUNT) == 1
        connection.execute(insert(TWO), {"id": 1})
        connection.rollback()
    assert count_of(tables, TWO) == 0


def test_autocommit(tables: Engine, local_warehouse: TestWarehouse) -> None:
    with (
        sending(lambda: local_warehouse.statements) as sent,
        tables.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
    ):
        assert connection.execute(insert(ONE), [{"id": 1}, {"id": 2}]).rowcount == 2
        assert connection.scalar(COUNT) == 2
        with pytest.raises(IntegrityError):
            connection.execute(insert(ONE), {"id": 1})
        result = connection.execute(update(ONE).where(ONE.c.id == 1).values(v="x"))
        assert result.rowcount == 1
        connection.rollback()
    assert first_words(sent) == ["INSERT", "SELECT", "INSERT", "MERGE"]
    # The next user of the connection holds its writes again.
    with tables.connect() as connection:
        connection.execute(insert(ONE), {"id": 3})
    assert rows_of(tables, ONE) == [(1, "x"), (2, None)]


# --- without transactions ------------------------------------------------------------------------


def test_one_statement_needs_no_transaction(poor: Engine) -> None:
    with poor.begin() as connection:
        connection.execute(insert(ONE), [{"id": 1}, {"id": 2}])
        connection.execute(insert(ONE), {"id": 3})
        assert connection.execute(select(TWO)).all() == []
    with pytest.raises(IntegrityError), poor.begin() as connection:
        connection.execute(insert(ONE), [{"id": 4}, {"id": 1}])
    assert count_of(poor, ONE) == 3


def _both(connection: Any) -> None:
    connection.execute(insert(ONE), {"id": 1})
    connection.execute(insert(TWO), {"id": 1})


@pytest.mark.parametrize("transactions", ["auto", "off"])
@pytest.mark.parametrize("has_them", [True, False])
def test_two_tables_are_refused(
    transactions: str,
    has_them: bool,
    local_warehouse: TestWarehouse,
    without_transactions: TestWarehouse,
    connected: Callable[..., Engine],
) -> None:
    engine = connected(
        local_warehouse if has_them else without_transactions, transactions=transactions
    )
    METADATA.create_all(engine, checkfirst=False)
    if has_them and transactions == "auto":
        with engine.begin() as connection:
            _both(connection)
        assert count_of(engine, ONE) == count_of(engine, TWO) == 1
        return
    with pytest.raises(NotSupportedError) as caught, engine.begin() as connection:
        _both(connection)
    assert isinstance(caught.value.orig, dberrors.AtomicityError)
    message = str(caught.value.orig)
    assert all(word in message for word in ("one, two", "catalogManaged", "per_table"))
    assert count_of(engine, ONE) == count_of(engine, TWO) == 0


def test_a_table_that_is_not_transactional(engine: Engine) -> None:
    METADATA.create_all(engine, checkfirst=False)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE two"))
        connection.execute(text("CREATE TABLE two (id BIGINT NOT NULL, v BIGINT)"))
    with pytest.raises(NotSupportedError) as caught, engine.begin() as connection:
        _both(connection)
    assert isinstance(caught.value.orig, dberrors.AtomicityError)
    assert count_of(engine, ONE) == count_of(engine, TWO) == 0


def test_reading_what_is_held_is_refused_and_nothing_is_lost(poor: Engine) -> None:
    with poor.connect() as connection:
        connection.execute(insert(ONE), {"id": 1})
        savepoint = connection.begin_nested()
        connection.execute(insert(ONE), {"id": 2})
        for _ in range(2):
            with pytest.raises(NotSupportedError) as caught:
                connection.scalar(BY_TEXT)
            assert isinstance(caught.value.orig, dberrors.PendingWritesError)
            assert "commit before reading" in str(caught.value)
        savepoint.rollback()
        assert connection.execute(delete(ONE).where(ONE.c.id == 1)).rowcount == 1
        connection.execute(insert(ONE), {"id": 3})
        assert connection.execute(select(TWO)).all() == []
        connection.execute(text("UPDATE one SET v = 'x'"))
        result = connection.execute(delete(ONE).where(ONE.c.id == 3))
        with pytest.raises(NotSupportedError, match="PendingWritesError"):
            _ = result.rowcount
        connection.rollback()
        connection.execute(insert(ONE), {"id": 4})
        connection.commit()
    assert [row[0] for row in rows_of(poor, ONE)] == [4]


class TestPerTable:
    @pytest.fixture
    def engine(
        self, without_transactions: TestWarehouse, connected: Callable[..., Engine]
    ) -> Engine:
        engine = connected(without_transactions, atomicity="per_table")
        METADATA.create_all(engine, checkfirst=False)
        return engine

    def test_one_after_the_other(self, engine: Engine, without_transactions: TestWarehouse) -> None:
        with sending(lambda: without_transactions.statements) as sent, engine.begin() as c:
            _both(c)
        assert [statement.split()[2] for statement in sent] == ["one", "two"]
        assert count_of(engine, ONE) == count_of(engine, TWO) == 1

    def test_a_failure_in_the_middle_tells_what_was_written(self, engine: Engine) -> None:
        with engine.begin() as connection:
            connection.execute(insert(TWO), {"id": 1})
        with pytest.raises(OperationalError) as caught, engine.connect() as connection:
            run_and_commit(
                connection,
                insert(ONE).values(id=1),
                insert(TWO).values(id=1),
                delete(ONE).where(ONE.c.v == "none"),
            )
        error: Any = caught.value.orig
        assert isinstance(error, dberrors.PartialCommitError)
        assert (error.written, error.not_written) == (("one",), ("two", "one"))
        assert "Written: INSERT 1 rows of one. Not written: INSERT 1 rows of two, " in str(error)
        assert "nothing was written" not in str(error)
        assert isinstance(error.__cause__, dberrors.IntegrityError)
        assert (count_of(engine, ONE), count_of(engine, TWO)) == (1, 1)

    def test_a_key_twice_is_refused_before_anything_is_sent(
        self, engine: Engine, without_transactions: TestWarehouse
    ) -> None:
        with (
            sending(lambda: without_transactions.statements) as sent,
            pytest.raises(IntegrityError, match="nothing was written"),
            engine.connect() as c,
        ):
            run_and_commit(c, insert(TWO).values(id=1), insert(ONE).values([{"id": 1}] * 2))
        assert sent == []

    def test_a_failure_at_the_beginning_has_written_nothing(self, engine: Engine) -> None:
        with engine.begin() as connection:
            connection.execute(insert(ONE), {"id": 1})
        with pytest.raises(IntegrityError), engine.begin() as connection:
            _both(connection)
        assert count_of(engine, TWO) == 0


# --- what goes wrong in between ------------------------------------------------------------------


def test_after_a_commit_that_failed(tables: Engine) -> None:
    with tables.begin() as connection:
        connection.execute(insert(ONE), {"id": 1})
    with tables.connect() as connection:
        for attempt in (2, 3):
            connection.execute(insert(ONE), [{"id": attempt}, {"id": 1}])
            with pytest.raises(IntegrityError):
                connection.commit()
            connection.rollback()
        connection.execute(insert(ONE), {"id": 4})
        connection.commit()
    assert [row[0] for row in rows_of(tables, ONE)] == [1, 4]


def test_after_a_statement_that_failed_in_a_transaction(tables: Engine) -> None:
    with tables.connect() as connection:
        connection.execute(insert(ONE), {"id": 1})
        assert connection.scalar(COUNT) == 1
        with pytest.raises(DBAPIError):
            connection.execute(text("SELECT 1 / 0"))
        with pytest.raises(DBAPIError):
            connection.commit()
        connection.rollback()
        assert connection.scalar(COUNT) == 0
        connection.execute(insert(ONE), {"id": 2})
        connection.commit()
    assert [row[0] for row in rows_of(tables, ONE)] == [2]


@pytest.mark.parametrize("how", ["close", "invalidate", "detach", "dispose", "leak", "raw"])
def test_nothing_leaks_into_the_next_user(
    how: str, tables: Engine, connected: Callable[..., Engine]
) -> None:
    engine = connected(pool_size=1, max_overflow=0)
    connection = engine.connect()
    connection.execute(insert(ONE), {"id": 1})
    if how == "close":
        connection.close()
    elif how == "invalidate":
        connection.invalidate()
        connection.close()
    elif how == "detach":
        connection.detach()
        connection.close()
    elif how == "dispose":
        engine.dispose()
        connection.close()
    elif how == "leak":
        del connection
        gc.collect()
    else:
        connection.close()
        raw: Any = engine.raw_connection()
        raw.cursor().execute("INSERT INTO two VALUES (5, 5)")
        raw.close()
    with engine.begin() as connection:
        connection.execute(insert(ONE), {"id": 2})
    assert [row[0] for row in rows_of(tables, ONE)] == [2]


@pytest.mark.parametrize("how", ["rollback", None])
def test_nothing_leaks_whatever_the_pool_does(
    how: Any, tables: Engine, connected: Callable[..., Engine]
) -> None:
    engine = connected(pool_size=1, max_overflow=0, pool_reset_on_return=how)
    with engine.connect() as connection:
        connection.execute(insert(ONE), {"id": 1})
    with engine.begin() as connection:
        connection.execute(insert(ONE), {"id": 2})
    assert [row[0] for row in rows_of(tables, ONE)] == [2]


def test_an_invalidated_connection_has_to_be_rolled_back(tables: Engine) -> None:
    with tables.connect() as connection:
        connection.execute(insert(ONE), {"id": 1})
        connection.invalidate()
        with pytest.raises(Exception, match=r"rolled back|reconnect"):
            connection.execute(insert(ONE), {"id": 2})
        connection.rollback()
        connection.execute(insert(ONE), {"id": 3})
        connection.commit()
    assert [row[0] for row in rows_of(tables, ONE)] == [3]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, RuntimeError])
@pytest.mark.parametrize("where", ["held", "transaction", "commit"])
def test_interrupted(
    kind: type[BaseException], where: str, tables: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unit() -> None:
        with tables.begin() as connection:
            connection.execute(insert(ONE), {"id": 1})
            if where == "transaction":
                connection.scalar(COUNT)
            if where == "commit":
                raw: Any = connection.connection.dbapi_connection
                monkeypatch.setattr(raw.unit, "_commit_held", _raises(kind))
                return
            raise kind

    with pytest.raises(kind):
        unit()
    monkeypatch.undo()
    with tables.begin() as connection:
        connection.execute(insert(ONE), {"id": 2})
    assert [row[0] for row in rows_of(tables, ONE)] == [2]


def _raises(kind: type[BaseException]) -> Callable[..., Any]:
    def raises(*_: Any) -> None:
        raise kind

    return raises


def test_a_closed_connection_tells_what_it_knows(tables: Engine) -> None:
    with tables.connect() as connection:
        result = connection.execute(update(TWO).where(TWO.c.id == 1).values(v=1))
    assert result.rowcount == -1
    with pytest.raises(ResourceClosedError):
        connection.execute(insert(TWO), {"id": 1})


def test_a_transaction_of_ones_own(tables: Engine, local_warehouse: TestWarehouse) -> None:
    with sending(lambda: local_warehouse.statements) as sent, tables.connect() as connection:
        connection.execute(text("BEGIN TRANSACTION"))
        connection.execute(insert(ONE), {"id": 1})
        connection.execute(insert(ONE), {"id": 2})
        assert connection.scalar(COUNT) == 2
        connection.commit()
    assert first_words(sent) == ["BEGIN", "INSERT", "INSERT", "SELECT", "COMMIT"]
    with tables.connect() as connection:
        connection.execute(text("BEGIN TRANSACTION"))
        connection.execute(insert(ONE), {"id": 3})
        connection.rollback()
    assert count_of(tables, ONE) == 2


def test_a_block_of_ones_own_between_writes_is_refused(tables: Engine) -> None:
    with tables.begin() as connection:
        connection.execute(insert(ONE), {"id": 1})
        for word in ("BEGIN TRANSACTION", "COMMIT", "ROLLBACK"):
            with pytest.raises(NotSupportedError, match="commit first"):
                connection.execute(text(word))
        assert connection.scalar(COUNT) == 1
        with pytest.raises(NotSupportedError, match="commit first"):
            connection.execute(text("COMMIT"))
    assert count_of(tables, ONE) == 1


def test_many_threads(tables: Engine) -> None:
    failed: list[BaseException] = []

    def write(key: int) -> None:
        with tables.connect() as connection:
            connection.execute(insert(ONE), {"id": key})
            connection.execute(update(ONE).where(ONE.c.id == key).values(v=str(key)))
            (connection.commit if key % 2 else connection.rollback)()

    def work(number: int) -> None:
        try:
            for step in range(5):
                _until_no_conflict(lambda: write(number * 100 + step))  # noqa: B023
        except BaseException as error:  # noqa: BLE001 - it is looked at below
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    keys = [number * 100 + step for number in range(4) for step in (1, 3)]
    assert rows_of(tables, ONE) == [(key, str(key)) for key in keys]


def _until_no_conflict(run: Callable[[], None]) -> None:
    while True:
        try:
            return run()
        except OperationalError as error:
            if not isinstance(error.orig, dberrors.ConflictError):
                raise


@pytest.mark.parametrize(
    ("fault", "rows"),
    [
        (Fault.reset("after", operation="ExecuteStatement", statement="^BEGIN"), [{"id": 1}]),
        (Fault.http(500, operation="ExecuteStatement", statement="^BEGIN"), [{"id": 1}]),
        (Fault.http(500, operation="ExecuteStatement", statement="^INSERT"), [{"id": 1}]),
        (None, [{"id": 1}, {"id": 1}]),
    ],
)
def test_what_could_not_be_sent_for_a_read_is_not_forgotten(
    fault: Fault | None, rows: list[dict[str, Any]], tables: Engine, local_warehouse: TestWarehouse
) -> None:
    with tables.connect() as connection:
        connection.execute(insert(ONE), rows)
        if fault is not None:
            local_warehouse.inject(fault)
        with pytest.raises(DBAPIError) as caught:
            connection.execute(BY_TEXT)
        assert not isinstance(caught.value.orig, dberrors.AmbiguousWriteError)
        with pytest.raises(Exception, match=r"has failed before|rolled back"):
            connection.commit()
        connection.rollback()
        connection.execute(insert(ONE), {"id": 2})
        connection.commit()
    assert [row[0] for row in rows_of(tables, ONE)] == [2]


def test_a_conflict_is_reported_and_nothing_is_written(
    tables: Engine, local_warehouse: TestWarehouse
) -> None:
    local_warehouse.inject(Fault.commit_conflict(statement="INSERT"))
    with pytest.raises(OperationalError) as caught, tables.begin() as connection:
        connection.execute(insert(ONE), {"id": 1})
    assert isinstance(caught.value.orig, dberrors.ConflictError)
    assert count_of(tables, ONE) == 0


def test_a_table_that_is_not_there(tables: Engine) -> None:
    nowhere = Table("nowhere", MetaData(), Column("id", Integer, primary_key=True))
    with pytest.raises(ProgrammingError, match="TABLE_OR_VIEW_NOT_FOUND"), tables.connect() as c:
        run_and_commit(c, insert(ONE).values(id=1), insert(nowhere).values(id=1))
    assert count_of(tables, ONE) == 0


def test_translated_schemas(tables: Engine, local_warehouse: TestWarehouse) -> None:
    other = f"{local_warehouse.schema}_b"
    local_warehouse.warehouse.sql(f"CREATE SCHEMA {other}")
    translated = {None: other}
    with tables.connect().execution_options(schema_translate_map=translated) as connection:
        METADATA.create_all(connection, checkfirst=False)
        connection.commit()
    try:
        with tables.begin() as connection:
            there = {"schema_translate_map": translated}
            connection.execute(insert(ONE), [{"id": 1, "v": "here"}])
            connection.execute(insert(ONE), [{"id": 1, "v": "there"}], execution_options=there)
            named = update(ONE).where(ONE.c.id == 1)
            connection.execute(named.values(v="changed"), execution_options=there)
        assert rows_of(tables, ONE) == [(1, "here")]
        with tables.connect().execution_options(schema_translate_map=translated) as connection:
            assert sorted_rows(connection, ONE) == [(1, "changed")]
    finally:
        local_warehouse.warehouse.sql(f"DROP SCHEMA {other} CASCADE")


def test_a_commit_is_logged_with_what_it_took(
    tables: Engine, caplog: pytest.LogCaptureFixture, local_warehouse: TestWarehouse
) -> None:
    local_warehouse.inject(Fault.delay(0.25, operation="ExecuteStatement"))
    with caplog.at_level(logging.DEBUG, listeners.__name__), tables.begin() as connection:
        connection.execute(insert(ONE), {"id": 1})
        connection.execute(insert(TWO), {"id": 1})
    (message,) = (r.message for r in caplog.records if r.name == listeners.__name__)
    counted = r"1 statements, 2 rows, [1-9]\d+ bytes, 0 retries, (\d+) ms"
    found = re.fullmatch(rf"unit \S+ committed: INSERT .*; {counted}", message)
    assert found is not None
    assert int(found.group(1)) >= 250
