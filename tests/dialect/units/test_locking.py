"""SELECT … FOR UPDATE: the commit makes sure that the rows are as they were read."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Engine,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    Uuid,
    delete,
    func,
    insert,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.exc import CompileError, NotSupportedError, OperationalError
from sqlalchemy.orm import Session

from tests.dialect.held import first_words, sending
from tests.full import part
from tests.integration.own_writes import Author, Base, Book, Item
from tests.parity.backends import warehouse_engine
from vinci_code.database.dialect import dberrors
from vinci_code.database.units_of_work import run_unit
from vinci_code.warehouse import LocalWarehouse
from vinci_code.warehouse.pytest_plugin import TestWarehouse

METADATA = MetaData()
VALUES = Table(
    "of_many_types",
    METADATA,
    Column("name", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("amount", Numeric(12, 3)),
    Column("share", Float),
    Column("is_on", Boolean),
    Column("at", DateTime),
    Column("since", DateTime(timezone=True)),
    Column("day", DateTime),
    Column("data", LargeBinary),
    Column("note", String),
    Column("document", JSON),
    Column("unique_id", Uuid),
)
ROW: dict[str, Any] = {
    "name": "o'brien",
    "number": 7,
    "amount": Decimal("1.500"),
    "share": 0.1,
    "is_on": True,
    "at": dt.datetime(2026, 1, 2, 3, 4, 5, 6),
    "since": dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.timezone.utc),
    "day": None,
    "data": b"\x00\xff" * 200,
    "note": "€" * 300,
    "document": {"a": [1, None]},
    "unique_id": None,
}
KEYLESS = Table("keyless", METADATA, Column("n", Integer))


@pytest.fixture
def engine(connected: Callable[..., Engine]) -> Engine:
    """An engine with three items, and an author with two books."""
    made = connected(held_read_bytes=1_000_000)
    Base.metadata.create_all(made)
    METADATA.create_all(made)
    books = [Book(id=n, title=f"t{n}") for n in (1, 2)]
    with Session(made) as session, session.begin():
        session.add_all([Item(id=n, name=f"n{n}", price=n) for n in (1, 2, 3)])
        session.add(Author(id=1, name="a", books=books))
    return made


def somebody_else(engine: Engine, statement: Any) -> None:
    with engine.begin() as connection:
        connection.execute(statement)


def by_key(number: int) -> Any:
    return select(Item).where(Item.id == number).with_for_update()


def test_a_row_that_is_as_it_was_is_changed(engine: Engine, local_warehouse: TestWarehouse) -> None:
    with (
        Session(engine) as session,
        sending(lambda: local_warehouse.warehouse.statements) as sent,
    ):
        item = session.scalars(by_key(1)).one()
        assert item.price == 1
        item.price = 10
        session.commit()
    assert first_words(sent) == ["SELECT", "MERGE"]
    with Session(engine) as session:
        assert session.get_one(Item, 1).price == 10


CHANGES = {
    "another column": update(Item).where(Item.id == 1).values(name="other"),
    "removed": delete(Item).where(Item.id == 1),
}
WRITES: dict[str, Callable[[Session], object]] = {
    "the row": lambda s: setattr(s.get_one(Item, 1), "price", 9),
    "another row": lambda s: setattr(s.get_one(Item, 2), "price", 9),
    "a new row": lambda s: s.add(Item(id=9, name="new")),
    "a removal": lambda s: s.delete(s.get_one(Item, 1)),
    "another table": lambda s: s.add(Author(id=9, name="new")),
    "two tables": lambda s: s.add_all([Author(id=9, name="new"), Item(id=9, name="new")]),
    "a condition": lambda s: s.execute(
        update(Item).where(Item.price > 2).values(price=0),
        execution_options={"synchronize_session": False},
    ),
    "a text": lambda s: s.execute(text("UPDATE item SET price = 0 WHERE id = 3")),
}


@part(3)
@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("change", CHANGES)
def test_a_row_that_somebody_else_has_changed_ends_the_unit(
    change: str, write: str, engine: Engine
) -> None:
    with Session(engine) as session:
        session.scalars(by_key(1)).one()
        WRITES[write](session)
        somebody_else(engine, CHANGES[change])
        with pytest.raises(OperationalError) as raised:
            session.commit()
        error = raised.value.orig
        assert isinstance(error, dberrors.ConflictError)
        assert "(1) was changed or deleted by somebody else" in str(error)
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(Author)) == 1
        assert connection.scalar(select(Item.price).where(Item.id == 3)) == 3


@part(3)
@pytest.mark.parametrize("write", WRITES)
def test_a_unit_is_committed_where_nobody_has_changed_it(write: str, engine: Engine) -> None:
    with Session(engine) as session:
        session.scalars(by_key(1)).one()
        WRITES[write](session)
        session.commit()


def test_a_unit_that_writes_nothing_sends_nothing(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    with (
        Session(engine) as session,
        sending(lambda: local_warehouse.warehouse.statements) as sent,
    ):
        session.scalars(by_key(1)).one()
        somebody_else(engine, CHANGES["removed"])
        session.commit()
    assert first_words(sent) == ["SELECT", "DELETE"] or first_words(sent) == ["SELECT", "MERGE"]


def test_one_after_the_other_without_a_transaction(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    with (
        Session(engine) as session,
        sending(lambda: local_warehouse.warehouse.statements) as sent,
    ):
        for number in (1, 2, 3, 1):
            item = session.get_one(Item, number, with_for_update=True)
            item.price = (item.price or 0) + 100
        session.commit()
    assert "BEGIN" not in first_words(sent)
    with Session(engine) as session:
        assert session.scalars(select(Item.price).order_by(Item.id)).all() == [201, 102, 103]


def test_what_the_unit_has_written_itself_is_no_conflict(engine: Engine) -> None:
    with Session(engine) as session:
        session.add(Item(id=5, name="new", price=5))
        session.execute(update(Item).where(Item.id == 2).values(price=20))
        prices = session.scalars(select(Item).order_by(Item.id).with_for_update()).all()
        assert [item.price for item in prices] == [1, 20, 3, 5]
        session.get_one(Item, 3).price = 30
        session.commit()
    with Session(engine) as session:
        session.execute(update(Item).where(Item.id == 2).values(price=21))
        session.scalars(by_key(2)).one()
        somebody_else(engine, update(Item).where(Item.id == 2).values(name="other"))
        with pytest.raises(Exception, match="read FOR UPDATE"):
            session.commit()


def test_in_a_transaction(engine: Engine) -> None:
    with Session(engine.execution_options(isolation_level="REPEATABLE READ")) as session:
        session.scalars(by_key(1)).one().price = 11
        session.flush()
        assert session.scalars(by_key(1)).one().price == 11
        session.get_one(Item, 1).price = 12
        session.commit()
    with Session(engine) as session:
        session.add(Item(id=6, name="six", price=6))
        session.execute(text("SELECT count(*) FROM item"))
        session.scalars(by_key(6)).one().price = 7
        session.commit()
        assert session.get_one(Item, 1).price == 12
        assert session.get_one(Item, 6).price == 7


@part(2)
@pytest.mark.parametrize("column", [c.name for c in VALUES.columns if not c.primary_key])
def test_each_type_is_compared(column: str, engine: Engine) -> None:
    other: dict[str, Any] = {
        "amount": Decimal("1.501"),
        "share": 0.30000000000000004,
        "is_on": None,
        "at": ROW["at"] + dt.timedelta(microseconds=1),
        "since": ROW["since"] + dt.timedelta(microseconds=1),
        "day": ROW["at"],
        "data": ROW["data"] + b"\x00",
        "note": ROW["note"] + "!",
        "document": {"a": [1]},
        "unique_id": uuid.UUID(int=1),
    }
    somebody_else(engine, insert(VALUES).values(ROW))
    query = select(VALUES.c.number).with_for_update()
    for changed in (False, True):
        with engine.connect() as connection:
            assert connection.execute(query).all() == [(7,)]
            connection.execute(insert(KEYLESS).values(n=1))
            if changed:
                somebody_else(engine, update(VALUES).values({column: other[column]}))
                with pytest.raises(Exception, match=r"\(o'brien, 7\) was changed"):
                    connection.commit()
            else:
                connection.commit()


def test_savepoints(engine: Engine) -> None:
    with Session(engine) as session:
        nested = session.begin_nested()
        session.scalars(by_key(1)).one()
        nested.rollback()
        session.add(Item(id=9, name="nine"))
        somebody_else(engine, CHANGES["another column"])
        session.commit()


def test_of_a_join_the_tables_that_are_named(engine: Engine) -> None:
    renamed = update(Author).values(name="b")
    for of, fails in ((None, True), ([Book], False), ([Author.name], True)):
        with Session(engine) as session:
            statement = select(Book).join(Book.author).order_by(Book.id)
            found = session.scalars(statement.with_for_update(of=of)).all()
            assert [book.title for book in found] == ["t1", "t2"]
            session.add(Item(name="x"))
            somebody_else(engine, renamed)
            if fails:
                with pytest.raises(Exception, match="author"):
                    session.commit()
            else:
                session.commit()
        somebody_else(engine, update(Author).values(name="a"))


def test_an_alias(engine: Engine) -> None:
    other = Item.__table__.alias("other")
    with engine.connect() as connection:
        statement = select(other.c.name).where(other.c.id == 1).with_for_update(of=other)
        assert connection.scalar(statement) == "n1"
        connection.execute(insert(KEYLESS).values(n=1))
        somebody_else(engine, CHANGES["another column"])
        with pytest.raises(Exception, match="read FOR UPDATE"):
            connection.commit()


def test_run_unit_repeats_it(engine: Engine) -> None:
    tries: list[int] = []

    def take(session: Session) -> None:
        item = session.scalars(by_key(1)).one()
        tries.append(item.price or 0)
        if len(tries) == 1:
            somebody_else(engine, update(Item).where(Item.id == 1).values(price=50))
        session.add(Item(id=20 + len(tries), name="taken"))

    run_unit(take, sessions=lambda: Session(engine), pause=lambda _: None)
    assert tries == [1, 50]


REFUSED = {
    "skip locked": (select(Item).with_for_update(skip_locked=True), "SKIP LOCKED"),
    "distinct": (select(Item.name).distinct().with_for_update(), "one row of several"),
    "groups": (select(Item.name).group_by(Item.name).with_for_update(), "one row of several"),
    "an aggregate": (select(func.count(Item.id)).with_for_update(), "one row of several"),
    "a sub-query": (
        select(select(Item).with_for_update().subquery().c.id),
        "within another statement",
    ),
    "of a sub-query": (select(select(Item.id).subquery().c.id).with_for_update(), "rows of tables"),
    "of no table": (select(literal_column("1")).with_for_update(of=Item), "rows of tables"),
    "no key": (select(KEYLESS).with_for_update(), "no primary key"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_made_sure_of_is_refused(
    what: str, engine: Engine, local_warehouse: TestWarehouse
) -> None:
    statement, why = REFUSED[what]
    with (
        sending(lambda: local_warehouse.warehouse.statements) as sent,
        engine.connect() as connection,
        pytest.raises(CompileError, match=why),
    ):
        connection.execute(statement)
    assert sent == []


def test_nowait_and_shares_are_taken(engine: Engine) -> None:
    with Session(engine) as session:
        known: list[dict[str, Any]] = [{"nowait": True}, {"read": True}, {"key_share": True}]
        for options in known:
            session.scalars(select(Item).with_for_update(**options)).all()


def test_without_transactions() -> None:
    with LocalWarehouse(transactions=False) as warehouse:
        warehouse.sql("CREATE SCHEMA locks")
        engine = warehouse_engine(warehouse, "locks", held_read_bytes=1_000_000)
        Base.metadata.create_all(engine, checkfirst=False)
        with Session(engine) as session, session.begin():
            session.add(Item(id=1, name="a", price=1))
        with Session(engine) as session:
            session.scalars(by_key(1)).one()
            session.add(Author(id=1, name="a"))
            session.commit()
        engine.dispose()


def test_a_transaction_of_the_applications_own_is_refused(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    with engine.connect() as connection:
        connection.execute(text("BEGIN TRANSACTION"))
        before = len(local_warehouse.statements)
        with pytest.raises(NotSupportedError, match="BEGIN TRANSACTION out"):
            connection.execute(by_key(1))
        assert len(local_warehouse.statements) == before
        connection.rollback()


def test_tables_of_another_schema(engine: Engine, local_warehouse: TestWarehouse) -> None:
    moved = engine.execution_options(schema_translate_map={None: local_warehouse.schema})
    with moved.connect() as connection:
        assert connection.execute(by_key(1)).one().price == 1
        connection.execute(insert(KEYLESS).values(n=1))
        somebody_else(engine, CHANGES["another column"])
        with pytest.raises(OperationalError, match="read FOR UPDATE"):
            connection.commit()
