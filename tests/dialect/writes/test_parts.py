"""What is written in parts: what is reported of each, and what is never run again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine, bindparam, insert, text, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.orm.exc import StaleDataError

from tests.dialect.held import rows_of
from vinci_code.database import run_unit
from vinci_code.database.dialect.driver import dbapi
from vinci_code.database.sqlite import create_sqlite_engine
from vinci_code.warehouse import Fault
from vinci_code.warehouse.faults import HISTORY
from vinci_code.warehouse.pytest_plugin import TestWarehouse


class Base(DeclarativeBase):
    """The classes of this file."""


class Account(Base):
    """A balance."""

    __tablename__ = "account"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    v: Mapped[int]


class Line(Base):
    """A line of a log."""

    __tablename__ = "line"
    id: Mapped[int] = mapped_column(primary_key=True)
    said: Mapped[str]


ACCOUNT: Any = Account.__table__
LINE: Any = Line.__table__


@pytest.fixture
def engine(connected: Callable[..., Engine]) -> Iterator[Engine]:
    """An engine with the tables."""
    engine = connected()
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


# --- several sets of parameters in AUTOCOMMIT -----------------------------------------------------

SETS: dict[str, Callable[[sa.Connection], object]] = {
    "text": lambda c: c.execute(
        text("INSERT INTO account VALUES (:id, :v)"),
        [{"id": 11, "v": 1}, {"id": 12, "v": 1}, {"id": 13, "v": None}],
    ),
    "driver": lambda c: c.exec_driver_sql(
        "INSERT INTO account VALUES (?, ?)", [(11, 1), (12, 1), (13, None)]
    ),
    "core": lambda c: c.execute(
        update(ACCOUNT).where(ACCOUNT.c.v == bindparam("old")).values(id=bindparam("new")),
        [{"old": 1, "new": 11}, {"old": 2, "new": 12}, {"old": 3, "new": 11}],
    ),
}


@pytest.mark.parametrize("way", SETS)
def test_a_set_of_parameters_that_fails_is_reported_with_those_that_were_written(
    way: str, engine: Engine
) -> None:
    with engine.begin() as connection:
        connection.execute(insert(ACCOUNT), [{"id": i, "v": i} for i in (1, 2, 3)])
    with (
        engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        pytest.raises(sa.exc.OperationalError, match="written in part") as caught,
    ):
        SETS[way](connection)
    assert isinstance(caught.value.orig, dbapi.PartialCommitError)
    assert {11, 12} <= {row[0] for row in rows_of(engine, ACCOUNT)}


@pytest.mark.parametrize("way", SETS)
def test_within_a_transaction_of_the_application_s_own_nothing_is_written(
    way: str, engine: Engine
) -> None:
    with engine.begin() as connection:
        connection.execute(insert(ACCOUNT), [{"id": i, "v": i} for i in (1, 2, 3)])
    with engine.connect() as connection:
        connection.execute(text("BEGIN TRANSACTION"))
        with pytest.raises(sa.exc.IntegrityError):
            SETS[way](connection)
        connection.rollback()
    assert [row[0] for row in rows_of(engine, ACCOUNT)] == [1, 2, 3]


def test_two_equal_writes_are_distinguished(engine: Engine, local_warehouse: TestWarehouse) -> None:
    again = [{"id": 1, "v": 1}, {"id": 1, "v": 1}, {"id": 1, "v": 1}]
    local_warehouse.inject(
        Fault.http(400, operation="ExecuteStatement", statement="INSERT", skip=1)
    )
    with (
        engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        pytest.raises(sa.exc.OperationalError) as caught,
    ):
        connection.execute(text("INSERT INTO account VALUES (:id, :v)"), again)
    one = "a statement on tables not known"
    assert f"Written: {one}. Not written: {one}, {one}." in str(caught.value)
    assert rows_of(engine, ACCOUNT) == [(1, 1)]


# --- statements that are sent one by one ----------------------------------------------------------


@pytest.mark.parametrize("lost", ["account", "line"])
def test_what_is_known_of_each_statement_is_reported(
    lost: str, without_transactions: TestWarehouse, connected: Callable[..., Engine]
) -> None:
    engine = connected(without_transactions, atomicity="per_table")
    Base.metadata.create_all(engine)
    without_transactions.inject(
        Fault.http(403, operation=HISTORY),
        Fault.reset("before", operation="ExecuteStatement", statement=f"INSERT INTO {lost}"),
    )
    with pytest.raises(sa.exc.OperationalError) as caught:
        _write_two(engine, "INSERT INTO line VALUES (1, 'x')")
    message = str(caught.value.orig)
    first, second = "INSERT 1 rows of account", "a statement on tables not known"
    if lost == "account":
        assert isinstance(caught.value.orig, dbapi.AmbiguousWriteError)
        assert f"Not known: {first}. Not written: {second}" in message
    else:
        assert isinstance(caught.value.orig, dbapi.PartialCommitError)
        assert f"Written: {first}. Not known: {second}. Not written: nothing else" in message
    assert "vinci_commit = " in message
    assert "FINISHED means committed" in message
    assert "only where it was not committed" not in message
    assert message.count("To fix it") == 1


def test_a_statement_that_is_known_to_have_failed_is_reported_with_one_way_out(
    without_transactions: TestWarehouse, connected: Callable[..., Engine]
) -> None:
    engine = connected(without_transactions, atomicity="per_table", history_timeout=60)
    Base.metadata.create_all(engine)
    without_transactions.inject(
        Fault.reset("after", operation="ExecuteStatement", statement="INSERT INTO nowhere")
    )
    with pytest.raises(sa.exc.OperationalError, match="written in part") as caught:
        _write_two(engine, "INSERT INTO nowhere VALUES (1, 'x')")
    assert str(caught.value.orig).count("To fix it") == 1
    assert "Nothing was written" not in str(caught.value.orig)


def _write_two(engine: Engine, second: str) -> None:
    with engine.begin() as connection:
        connection.execute(insert(ACCOUNT), {"id": 1, "v": 1})
        connection.execute(text(second))


# --- a flush in AUTOCOMMIT ------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["after", "mid_reply"])
def test_a_flush_that_is_proved_to_be_committed_is_not_stale(
    when: str, connected: Callable[..., Engine], local_warehouse: TestWarehouse
) -> None:
    engine = connected(history_timeout=60)
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(ACCOUNT), {"id": 1, "v": 0})
    local_warehouse.inject(
        Fault.reset(when, operation="ExecuteStatement", statement="^(MERGE|UPDATE)")
    )
    with Session(engine.execution_options(isolation_level="AUTOCOMMIT")) as session:
        account = session.get_one(Account, 1)
        account.v += 1
        session.commit()
    assert rows_of(engine, ACCOUNT) == [(1, 1)]


# --- run_unit -------------------------------------------------------------------------------------


def test_run_unit_refuses_autocommit(engine: Engine) -> None:
    def unit(session: Session) -> None:
        session.add(Line(said="twice"))
        session.flush()

    everywhere = engine.execution_options(isolation_level="AUTOCOMMIT")
    with pytest.raises(sa.exc.InvalidRequestError, match="AUTOCOMMIT"):
        run_unit(unit, sessions=lambda: Session(everywhere))
    assert rows_of(engine, LINE) == []


@pytest.mark.parametrize("side", ["sqlite", "warehouse"])
def test_run_unit_refuses_a_second_engine(
    side: str, connected: Callable[..., Engine], tmp_path: Path
) -> None:
    if side == "sqlite":
        engines = [create_sqlite_engine(f"sqlite:///{tmp_path / name}.db") for name in "ab"]
    else:
        engines = [connected(), connected()]
    for engine in engines:
        Base.metadata.create_all(engine)
    calls = []

    def unit(session: Session) -> None:
        calls.append(session)
        session.add(Line(said="once"))
        session.flush()
        session.add(Account(id=1, v=1))

    binds: Any = {Line: engines[0], Account: engines[1]}
    with pytest.raises(sa.exc.InvalidRequestError, match="beside another engine"):
        run_unit(unit, sessions=lambda: Session(binds=binds))
    assert len(calls) == 1
    assert rows_of(engines[0], LINE) == rows_of(engines[1], ACCOUNT) == []
    for engine in engines:
        assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
        engine.dispose()


def test_run_unit_takes_one_session_again(engine: Engine) -> None:
    session = Session(engine)
    calls = []

    def unit(given: Session) -> None:
        calls.append(given)
        with given.begin_nested():
            given.add(Line(said="once"))
        if len(calls) == 1:
            raise StaleDataError("somebody else was faster")

    run_unit(unit, sessions=lambda: session, pause=lambda seconds: None)
    assert len(calls) == 2
    assert [row[1] for row in rows_of(engine, LINE)] == ["once"]
