"""A commit whose answer was lost: never doubled, never reported wrongly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.orm.exc import StaleDataError

from tests.dialect.held import rows_of, run_and_commit, wait_for_history
from vinci_code.database import statistics, upsert
from vinci_code.database.dialect import dberrors
from vinci_code.warehouse.faults import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse

METADATA = MetaData()
ONE = Table("one", METADATA, Column("id", Integer, primary_key=True), Column("v", String))
TWO = Table("two", METADATA, Column("id", Integer, primary_key=True), Column("n", Integer))
BARE = Table("bare", METADATA, Column("line", String))


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "account"
    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int]
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}


@pytest.fixture
def tables(engine: Engine) -> Engine:
    """The engine, with the tables and a row in each."""
    METADATA.create_all(engine, checkfirst=False)
    Base.metadata.create_all(engine, checkfirst=False)
    with engine.begin() as connection:
        connection.execute(insert(ONE), {"id": 1, "v": "there"})
        connection.execute(insert(TWO), {"id": 1, "n": 0})
    return engine


_ADD = insert(ONE).values(id=2, v="new")
_COUNT = update(TWO).where(TWO.c.id == 1).values(n=TWO.c.n + 1)
_SET = update(TWO).where(TWO.c.id == 1).values(n=7)


@pytest.mark.parametrize("when", ["before", "after", "mid_reply"])
@pytest.mark.parametrize(
    "statements",
    [(_ADD,), (_ADD, _SET), (_SET,), (_ADD, _COUNT), (_COUNT,)],
    ids=["insert", "insert and update", "update", "insert and sum", "sum"],
)
def test_a_lost_reply(
    when: str, statements: Sequence[Any], tables: Engine, local_warehouse: TestWarehouse
) -> None:
    before = rows_of(tables, ONE), rows_of(tables, TWO)
    wait_for_history(tables, when)
    local_warehouse.inject(
        Fault.reset(when, operation="ExecuteStatement", statement="INSERT|MERGE")
    )
    outcome = "committed"
    with tables.connect() as connection:
        try:
            run_and_commit(connection, *statements)
        except OperationalError as error:
            assert isinstance(error.orig, dberrors.AmbiguousWriteError)  # noqa: PT017
            outcome = "ambiguous"
    found = rows_of(tables, ONE), rows_of(tables, TWO)
    # Of what has not arrived the query history has no entry, and what rows say is no proof of it.
    assert (found == before) == (when == "before")
    assert outcome == ("ambiguous" if when == "before" else "committed")
    assert ((2, "new") in found[0]) == (_ADD in statements and when != "before")


def test_the_same_row_of_somebody_else_is_not_taken_for_ones_own(
    tables: Engine, local_warehouse: TestWarehouse
) -> None:
    local_warehouse.inject(Fault.reset("after", operation="ExecuteStatement", statement="INSERT"))
    # The query history says that it has failed, and why.
    with pytest.raises(IntegrityError, match="PRIMARY KEY"), tables.connect() as connection:
        run_and_commit(connection, insert(ONE).values(id=1, v="there"), _SET)
    assert rows_of(tables, TWO) == [(1, 0)]


@pytest.mark.parametrize("when", ["before", "after"])
def test_each_statement_of_a_write_is_found_out_by_its_own_rows(
    when: str,
    tables: Engine,
    local_warehouse: TestWarehouse,
    connected: Callable[..., Engine],
) -> None:
    engine = connected(transactions="off", atomicity="per_table")
    loose = Table("one", MetaData(), Column("id", Integer, primary_key=True), Column("v"))
    # A text and a number have no form in common: two statements, of which the second is lost.
    local_warehouse.inject(
        Fault.reset(when, operation="ExecuteStatement", statement="INSERT", skip=1)
    )
    wait_for_history(engine, when)
    rows: list[dict[str, Any]] = [{"id": 5, "v": "text"}, {"id": 6, "v": 6}]
    with engine.connect() as connection:
        if when == "before":
            with pytest.raises(DBAPIError) as caught:
                run_and_commit(
                    connection, insert(loose).values(rows[0]), insert(loose).values(rows[1])
                )
            assert isinstance(caught.value.orig, dberrors.PartialCommitError)
            assert isinstance(caught.value.orig.__cause__, dberrors.AmbiguousWriteError)
        else:
            run_and_commit(connection, insert(loose).values(rows[0]), insert(loose).values(rows[1]))
    second = [] if when == "before" else [(6, "6")]
    assert rows_of(tables, ONE) == [(1, "there"), (5, "text"), *second]


def test_a_key_twice_is_refused_before_anything_is_lost(
    tables: Engine, local_warehouse: TestWarehouse
) -> None:
    local_warehouse.inject(Fault.reset("before", operation="ExecuteStatement", statement="INSERT"))
    with pytest.raises(IntegrityError), tables.connect() as connection:
        run_and_commit(connection, insert(ONE).values([{"id": 5}, {"id": 6}]), _set_key(6))
    assert rows_of(tables, ONE) == [(1, "there")]


def _set_key(key: int) -> Any:
    return insert(ONE).values(id=key)


def test_what_nothing_decides_is_ambiguous(tables: Engine, local_warehouse: TestWarehouse) -> None:
    wait_for_history(tables, "before")
    for statement in (
        insert(BARE).values(line="x"),
        text("INSERT INTO bare VALUES ('x')"),
        upsert(ONE, [{"id": 1, "v": "there"}, {"id": 3, "v": "x"}], keys=["id"], update=[]),
    ):
        local_warehouse.inject(
            Fault.reset("before", operation="ExecuteStatement", statement="INSERT")
        )
        with pytest.raises(OperationalError) as caught, tables.connect() as connection:
            run_and_commit(connection, statement)
        assert isinstance(caught.value.orig, dberrors.AmbiguousWriteError)
    assert rows_of(tables, BARE) == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_changed_row_with_a_version_counter(
    when: str, tables: Engine, local_warehouse: TestWarehouse
) -> None:
    with Session(tables) as session:
        account = Account(id=1, balance=1)
        session.add(account)
        session.commit()
        assert account.balance == 1
        local_warehouse.inject(
            Fault.reset(when, operation="ExecuteStatement", statement="MERGE INTO account")
        )
        account.balance = 2
        wait_for_history(tables, when)
        if when == "before":
            # Others may have deleted the row and inserted it again: its version proves nothing.
            with pytest.raises(OperationalError) as caught:
                session.commit()
            assert isinstance(caught.value.orig, dberrors.AmbiguousWriteError)
        else:
            session.commit()
            assert (account.balance, account.version) == (2, 2)
    stored = (1, 1, 1) if when == "before" else (1, 2, 2)
    assert rows_of(tables, Account.metadata.tables["account"]) == [stored]
    assert statistics(tables).retries == 0


def test_a_version_counter_of_somebody_else(tables: Engine, local_warehouse: TestWarehouse) -> None:
    with Session(tables) as session:
        account = Account(id=1, balance=1)
        session.add(account)
        session.commit()
        assert account.balance == 1
        with Session(tables) as other:
            other.get_one(Account, 1).balance = 50
            other.commit()
        local_warehouse.inject(
            Fault.reset("before", operation="ExecuteStatement", statement="MERGE INTO account")
        )
        account.balance = 2
        wait_for_history(tables, "before")
        with pytest.raises((StaleDataError, OperationalError)):
            session.commit()
    assert rows_of(tables, Account.metadata.tables["account"]) == [(1, 50, 2)]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lost_commit_of_a_transaction(
    when: str, tables: Engine, local_warehouse: TestWarehouse
) -> None:
    local_warehouse.inject(Fault.reset(when, operation="ExecuteStatement", statement="^COMMIT"))
    wait_for_history(tables, when)
    committed = True
    with tables.connect() as connection:
        connection.execute(_ADD)
        assert len(connection.execute(select(ONE)).all()) == 2
        try:
            connection.commit()
        except OperationalError as error:
            assert isinstance(error.orig, dberrors.AmbiguousWriteError)  # noqa: PT017
            committed = False
    assert ((2, "new") in rows_of(tables, ONE)) == committed == (when == "after")


def test_a_reply_lost_within_a_transaction(tables: Engine, local_warehouse: TestWarehouse) -> None:
    local_warehouse.inject(Fault.reset("after", operation="ExecuteStatement", statement="INSERT"))
    with tables.connect() as connection:
        connection.execute(_ADD)
        with pytest.raises(OperationalError, match="nothing was written"):
            connection.execute(select(ONE))
        with pytest.raises(OperationalError, match="has failed before"):
            connection.execute(select(TWO))
        connection.rollback()
        assert connection.execute(select(ONE)).all() == [(1, "there")]
