"""A row that the unit has inserted with plain values is known without a request."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import (
    BigInteger,
    DateTime,
    Engine,
    Numeric,
    String,
    bindparam,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.types import TypeDecorator

from tests.dialect.held import first_words, sending
from tests.full import part
from vinci_code.warehouse.pytest_plugin import TestWarehouse


class Base(DeclarativeBase):
    """Of the models."""


class Upper(TypeDecorator[str]):
    """Text that is stored in capitals, and read in small letters."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return value and value.upper()

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return value and value.lower()


class Plain(Base):
    """A row of which all is known."""

    __tablename__ = "plain"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    code: Mapped[str | None] = mapped_column(Upper)
    at: Mapped[dt.datetime | None] = mapped_column(DateTime(timezone=True))
    state: Mapped[str] = mapped_column(server_default="new")


class Named(Base):
    """A row that has to differ from others by its name, too."""

    __tablename__ = "named"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)


class Other(Base):
    """A row with what is not known, or not as it will be read."""

    __tablename__ = "other_values"
    id: Mapped[int] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(server_default=text("7"))
    amount: Mapped[Decimal | None] = mapped_column(Numeric(10, 3))


@pytest.fixture
def engine(connected: Callable[..., Engine]) -> Engine:
    """An engine whose reads bring along what is held."""
    made = connected(held_read_bytes=1_000_000)
    Base.metadata.create_all(made)
    return made


def values(row: Plain) -> tuple[Any, ...]:
    return row.id, row.name, row.code, row.at, row.state


AT = dt.datetime(2026, 1, 2, 3, tzinfo=dt.timezone(dt.timedelta(hours=2)))


def test_refresh_and_get_ask_nobody(engine: Engine, local_warehouse: TestWarehouse) -> None:
    with (
        Session(engine) as session,
        sending(lambda: local_warehouse.statements) as sent,
    ):
        first, second = Plain(name="a", code="X", at=AT), Plain()
        session.add_all([first, second])
        session.flush()
        keys = first.id, second.id
        session.refresh(first)
        seen = [values(first)]
        session.expire_all()
        seen.append(values(session.get_one(Plain, keys[1])))
        first.name = "b"
        session.flush()
        session.expire_all()
        seen.append(values(first))
        session.expunge_all()
        seen.append(values(session.get_one(Plain, keys[0])))
        assert sent == []
        session.commit()
    assert first_words(sent) == ["INSERT"]
    with Session(engine) as session:
        stored = [values(session.get_one(Plain, key)) for key in keys]
    assert stored == [seen[2], seen[1]]
    assert seen == [
        (keys[0], "a", "x", AT, "new"),
        (keys[1], None, None, None, "new"),
        (keys[0], "b", "x", AT, "new"),
        (keys[0], "b", "x", AT, "new"),
    ]


KEY = bindparam("key", type_=BigInteger)
BY_KEY = select(Plain.name).where(Plain.id == KEY)
ASKED: dict[str, tuple[list[Any], Any]] = {
    "another key": ([], select(Plain.name).where(Plain.id == 9)),
    "a computed value": (
        [update(Plain).where(Plain.id == KEY).values(name=Plain.name + "!")],
        BY_KEY,
    ),
    "a condition": ([update(Plain).where(Plain.name == "a").values(name="z")], BY_KEY),
    "a removal": ([Plain.__table__.delete().where(Plain.id == KEY)], BY_KEY),  # type: ignore[attr-defined]
    "a further condition": ([], BY_KEY.where(Plain.name == "b")),
    "an expression": ([], select(func.upper(Plain.name)).where(Plain.id == KEY)),
    "a list": ([], select(Plain.name).where(Plain.id.in_([KEY]))),
    "an aggregate": ([], select(func.count()).select_from(Plain).where(Plain.id == KEY)),
    "a limit": ([], BY_KEY.limit(0)),
    "a stored row": ([], select(Plain.name).where(Plain.id == 5)),
}


@part(2)
@pytest.mark.parametrize("what", ASKED)
def test_what_is_not_known_is_asked_for(
    what: str, engine: Engine, local_warehouse: TestWarehouse
) -> None:
    writes, read = ASKED[what]
    with engine.begin() as connection:
        connection.execute(insert(Plain).values(id=5, name="stored"))
    with engine.connect() as connection:
        key = connection.scalar(insert(Plain).values(name="a").returning(Plain.id))
        given = {"key": key}
        for write in writes:
            connection.execute(write, given)
        with sending(lambda: local_warehouse.statements) as sent:
            carried = connection.execute(read, given).all()
        assert first_words(sent) == ["WITH"]
        connection.commit()
        assert connection.execute(read, given).all() == carried


def test_a_key_that_somebody_else_may_have_is_asked_for(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    with (
        engine.connect() as connection,
        sending(lambda: local_warehouse.statements) as sent,
    ):
        connection.execute(insert(Plain).values(id=1, name="given"))
        assert connection.execute(BY_KEY, {"key": 1}).scalar() == "given"
        key = connection.scalar(insert(Named).values(name="unique").returning(Named.id))
        assert connection.scalar(select(Named.name).where(Named.id == key)) == "unique"
        connection.rollback()
    assert first_words(sent) == ["WITH", "WITH"]


def test_defaults_and_digits_are_asked_for(engine: Engine, local_warehouse: TestWarehouse) -> None:
    with (
        Session(engine) as session,
        sending(lambda: local_warehouse.statements) as sent,
    ):
        row = Other(amount=Decimal("1.5"))
        session.add(row)
        session.flush()
        session.refresh(row)
        assert (row.size, str(row.amount)) == (7, "1.500")
    assert first_words(sent) == ["WITH"]


def test_keys_that_were_made_here_are_not_asked_for(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    before = len(local_warehouse.statements)
    with Session(engine) as session:
        with session.begin_nested():
            session.add_all([Plain(name="a"), Plain(name="b")])
        assert len(local_warehouse.statements) == before
        assert session.scalar(select(func.count()).select_from(Plain)) == 2
        assert "raise_error" not in local_warehouse.statements[-1]
        with session.begin_nested():
            session.add_all([Named(name="c"), Plain(id=7)])
        session.commit()
    sent = local_warehouse.statements[before:]
    assert first_words(sent) == ["WITH", "WITH", "BEGIN"]


class Doubled(TypeDecorator[int]):
    """A number of which the warehouse gives twice as much."""

    impl = BigInteger
    cache_ok = True

    def column_expression(self, column: Any) -> Any:
        return column * 2


class Computed(Base):
    """A row that is not read as it was sent."""

    __tablename__ = "computed_as_read"
    id: Mapped[int] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(Doubled)


def test_what_the_warehouse_makes_of_a_column_is_asked_for(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    before = len(local_warehouse.statements)
    with Session(engine) as session:
        made = Computed(size=7)
        session.add(made)
        session.flush()
        session.refresh(made)
        assert made.size == 14
        returned = insert(Computed).values(size=8).returning(Computed.size)
        assert session.scalar(returned) == 16
    assert first_words(local_warehouse.statements[before:]) == ["WITH", "WITH"]
