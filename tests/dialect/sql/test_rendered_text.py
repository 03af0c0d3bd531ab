"""What was made of a construct is known from it: nobody looks at the text that it became."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import (
    DDL,
    CheckConstraint,
    Column,
    DateTime,
    Engine,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    delete,
    event,
    exists,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from vinci_code.database import upsert
from vinci_code.database.dialect.sql.constructs import described
from vinci_code.database.dialect.text import binding, scanning
from vinci_code.warehouse.pytest_plugin import TestWarehouse

metadata = MetaData()
thing = Table(
    "thing",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", String, unique=True),
    Column("at", DateTime),
    Column("x", Integer),
    CheckConstraint("x >= 0", name="x_is_positive"),
)
other = Table("other", metadata, Column("id", Integer), Column("x", Integer), prefixes=["  "])
FRAGMENTS = {"x >= 0", "*"}
"""What is given as text: a condition of the model, and what EXISTS selects, by SQLAlchemy."""
AT = dt.datetime(2024, 5, 1)


class Base(DeclarativeBase):
    metadata = MetaData()


class Account(Base):
    __tablename__ = "account"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    balance: Mapped[int]


class OwnSelect(Select[Any]):
    """A query of the application's own, whose text nothing is known of."""

    inherit_cache = True


@compiles(OwnSelect)
def _own(element: OwnSelect, compiler: Any, **options: Any) -> str:
    return "SELECT 1 AS one"


def _use() -> Any:
    return DDL("USE default")  # type: ignore[no-untyped-call]


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The texts that were looked at; PEP 249 wants the markers of any text to be found."""
    found: list[str] = []
    tokens, markers = scanning._tokens, scanning.markers

    def noted(given: str, pattern: Any) -> Any:
        found.append(given)
        return tokens(given, pattern)

    def marked(given: str) -> list[int]:
        before = len(found)
        places = markers(given)
        del found[before:]
        return places

    scanning._describe_short.cache_clear()
    monkeypatch.setattr(scanning, "_tokens", noted)
    monkeypatch.setattr(binding, "markers", marked)
    yield found
    scanning._describe_short.cache_clear()


def _core(engine: Engine) -> None:
    metadata.tables["thing"].create(engine)
    row = {"id": 1, "name": "a", "at": AT, "x": 1}
    newest = select(func.max(thing.c.x)).scalar_subquery()
    units: list[Any] = [
        insert(thing).values([row, {**row, "id": 2, "name": "b"}]),
        insert(thing).values(id=3, name="c", x=newest),
        update(thing).where(thing.c.id == 1).values(x=thing.c.x + 1),
        update(thing).where(exists().where(thing.c.id == 2)).values(at=AT),
        upsert(thing, [{**row, "x": 5}], keys=["id"]),
        select(thing).where(thing.c.at == AT),
        delete(thing).where(thing.c.id.in_([2, 3])),
    ]
    for statement in units:
        with engine.begin() as connection:
            connection.execute(statement)
    metadata.tables["thing"].drop(engine)


def _orm(engine: Engine) -> None:
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([Account(id=n, balance=100) for n in range(3)])
        session.commit()
        accounts = session.scalars(select(Account).order_by(Account.id)).all()
        accounts[1].balance -= 10
        with session.begin_nested() as savepoint:
            session.delete(accounts[2])
            session.flush()
            savepoint.rollback()
        session.commit()
    Base.metadata.drop_all(engine)


@pytest.mark.parametrize("work", [_core, _orm])
def test_of_what_we_render_nothing_is_looked_at(
    engine: Engine, looked_at: list[str], work: Callable[[Engine], None]
) -> None:
    work(engine)
    assert set(looked_at) <= FRAGMENTS


@pytest.mark.parametrize("work", [_core, _orm])
def test_nor_without_transactions(
    without_transactions: TestWarehouse,
    connected: Callable[..., Engine],
    looked_at: list[str],
    work: Callable[[Engine], None],
) -> None:
    work(connected(without_transactions, transactions="off"))
    assert set(looked_at) <= FRAGMENTS


def test_text_of_the_application_is_looked_at(engine: Engine, looked_at: list[str]) -> None:
    metadata.create_all(engine)
    statements: list[Any] = [text("SELECT 1"), OwnSelect(thing.c.id), _use()]
    with engine.connect() as connection:
        for statement in statements:
            looked_at.clear()
            connection.execute(statement)
            assert looked_at, statement


def test_a_text_that_an_event_put_there_is_looked_at(engine: Engine, looked_at: list[str]) -> None:
    metadata.create_all(engine)

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def replaced(*given: Any) -> tuple[str, Any]:
        return ("SELECT 7 AS id", ())

    looked_at.clear()
    with engine.connect() as connection:
        assert connection.execute(select(thing.c.id)).scalars().all() == [7]
    assert looked_at == ["SELECT 7 AS id"]


def test_a_table_with_prefixes_may_be_temporary() -> None:
    from sqlalchemy.schema import CreateTable, DropTable

    assert described(CreateTable(thing)) == scanning.DEFINITION
    assert described(DropTable(other)) == scanning.DEFINITION
    assert described(CreateTable(other)) is None
