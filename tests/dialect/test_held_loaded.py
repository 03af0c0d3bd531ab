"""Lost updates are found without a version column, at no further request."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import (
    JSON,
    DateTime,
    Engine,
    ForeignKey,
    LargeBinary,
    Numeric,
    String,
    Uuid,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.orm.exc import StaleDataError
from sqlalchemy.types import TypeDecorator

from vinci_code.database import run_unit
from vinci_code.database.dialect.loaded import LONGEST
from vinci_code.warehouse.pytest_plugin import TestWarehouse


class Encrypted(TypeDecorator[str]):
    """Text that is stored otherwise each time."""

    impl = String
    cache_ok = True
    count = 0

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        Encrypted.count += 1
        return None if value is None else f"{Encrypted.count}:{value}"

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return None if value is None else value.partition(":")[2]


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "account"
    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int | None]
    note: Mapped[str | None]
    raw: Mapped[bytes | None] = mapped_column(LargeBinary)
    price: Mapped[Decimal | None] = mapped_column(Numeric(12, 2))
    ratio: Mapped[float | None]
    at: Mapped[dt.datetime | None]
    instant: Mapped[dt.datetime | None] = mapped_column(DateTime(timezone=True))
    day: Mapped[dt.date | None]
    done: Mapped[bool | None]
    secret: Mapped[str | None] = mapped_column(Encrypted)
    document: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    token: Mapped[Any] = mapped_column(Uuid, nullable=True)


class Unchecked(Base):
    __tablename__ = "unchecked"
    __compare_and_set__ = False
    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int]


class Animal(Base):
    __tablename__ = "animal"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str | None]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}


class Dog(Animal):
    __tablename__ = "dog"
    id: Mapped[int] = mapped_column(ForeignKey("animal.id"), primary_key=True)
    tricks: Mapped[int | None]
    __mapper_args__ = {"polymorphic_identity": "dog"}


@pytest.fixture
def stored(engine: Engine) -> Engine:
    """An engine on a warehouse with one account."""
    Account.__table__.create(engine)  # type: ignore[attr-defined]
    Unchecked.__table__.create(engine)  # type: ignore[attr-defined]
    with Session(engine) as session:
        session.add_all([Account(id=1, **FIRST), Unchecked(id=1, balance=100)])
        session.commit()
    return engine


NOW = dt.datetime(2024, 5, 6, 7, 8, 9, 123456)
FIRST: dict[str, Any] = {
    "balance": 100,
    "note": "first",
    "raw": b"\x00\xff",
    "price": Decimal("1.10"),
    "ratio": 0.1,
    "at": NOW,
    "instant": NOW.replace(tzinfo=dt.timezone.utc),
    "day": NOW.date(),
    "done": False,
}
SECOND: dict[str, Any] = {
    "balance": 90,
    "note": "second",
    "raw": b"\x01",
    "price": Decimal("1.11"),
    "ratio": 0.2,
    "at": NOW + dt.timedelta(microseconds=1),
    "instant": NOW.replace(tzinfo=dt.timezone(dt.timedelta(hours=1))),
    "day": NOW.date() + dt.timedelta(days=1),
    "done": True,
}
LONG = {"note": "é" * (LONGEST + 1), "raw": b"\xff" * (LONGEST + 1)}
CHANGES = [(name, FIRST[name], value) for name, value in SECOND.items()]
CHANGES += [(name, value, SECOND[name]) for name, value in LONG.items()]
CHANGES += [(name, SECOND[name], value) for name, value in LONG.items()]
CHANGES += [(name, None, value) for name, value in SECOND.items()]
CHANGES += [(name, value, None) for name, value in SECOND.items()]


def _set(engine: Engine, name: str, value: Any) -> None:
    with engine.begin() as connection:
        connection.execute(update(Account).values({name: value}))


@pytest.mark.parametrize(("name", "before", "other"), CHANGES)
def test_a_change_by_somebody_else_is_found(
    stored: Engine, name: str, before: Any, other: Any
) -> None:
    _set(stored, name, before)
    third = 5 if name == "balance" else FIRST[name] if before != FIRST[name] else None
    with Session(stored) as session:
        account = session.get_one(Account, 1)
        assert getattr(account, name) == before
        _set(stored, name, other)
        setattr(account, name, third)
        with pytest.raises(StaleDataError, match="changed or deleted by somebody else"):
            session.commit()
    with Session(stored) as session:
        assert getattr(session.get_one(Account, 1), name) == other


@pytest.mark.parametrize(("name", "before", "other"), CHANGES)
def test_nobody_else_is_no_false_alarm(
    local_warehouse: TestWarehouse, stored: Engine, name: str, before: Any, other: Any
) -> None:
    _set(stored, name, before)
    with Session(stored) as session:
        account = session.get_one(Account, 1)
        setattr(account, name, other)
        sent = len(local_warehouse.statements)
        session.commit()
        assert len(local_warehouse.statements) == sent + 1
        assert getattr(account, name) == other
        setattr(account, name, before)
        session.flush()
        setattr(account, name, other)
        session.flush()
        setattr(account, name, before)
        sent = len(local_warehouse.statements)
        session.commit()
        assert len(local_warehouse.statements) == sent + 1
        assert getattr(account, name) == before


def test_run_unit_repeats_a_lost_update(stored: Engine) -> None:
    others = iter([90])

    def withdraw(session: Session) -> None:
        account = session.get_one(Account, 1)
        assert account.balance is not None
        balance = account.balance
        for other in others:
            _set(stored, "balance", other)
        account.balance = balance - 10

    run_unit(withdraw, sessions=lambda: Session(stored))
    with Session(stored) as session:
        assert session.get_one(Account, 1).balance == 80


def _of_another_column(session: Session, engine: Engine) -> None:
    account = session.get_one(Account, 1)
    _set(engine, "note", "theirs")
    account.balance = 5


def _by_an_expression(session: Session, engine: Engine) -> None:
    account = session.get_one(Account, 1)
    _set(engine, "balance", 90)
    account.balance = Account.balance + 1


def _that_is_encrypted(session: Session, engine: Engine) -> None:
    account = session.get_one(Account, 1)
    account.secret = "one"
    session.flush()
    account.secret = "two"


def _of_a_document(session: Session, engine: Engine) -> None:
    account = session.get_one(Account, 1)
    _set(engine, "document", {"a": 1})
    account.document = {"b": 2}


def _that_was_not_loaded(session: Session, engine: Engine) -> None:
    account = session.get_one(Account, 1)
    session.expire(account)
    _set(engine, "balance", 90)
    account.balance = 5


def _after_a_statement_of_its_own(session: Session, engine: Engine) -> None:
    account = session.get_one(Account, 1)
    own = update(Account).where(Account.id == 1).values(balance=50)
    session.execute(own, execution_options={"synchronize_session": False})
    account.balance = 60


def _after_text(session: Session, engine: Engine) -> None:
    account = session.get_one(Account, 1)
    session.execute(text("UPDATE account SET balance = 50"))
    account.balance = 60


def _of_a_class_that_is_not_checked(session: Session, engine: Engine) -> None:
    other = session.get_one(Unchecked, 1)
    with engine.begin() as connection:
        connection.execute(update(Unchecked).values(balance=90))
    other.balance = 5


def _by_primary_key(session: Session, engine: Engine) -> None:
    session.execute(update(Account), [{"id": 1, "balance": 5}])


@pytest.mark.parametrize(
    "change",
    [
        _of_another_column,
        _by_an_expression,
        _that_is_encrypted,
        _of_a_document,
        _that_was_not_loaded,
        _after_a_statement_of_its_own,
        _after_text,
        _of_a_class_that_is_not_checked,
        _by_primary_key,
    ],
    ids=lambda change: change.__name__,
)
def test_a_change_that_is_not_checked(
    stored: Engine, change: Callable[[Session, Engine], None]
) -> None:
    with Session(stored) as session:
        change(session, stored)
        session.commit()


def test_an_engine_that_does_not_check(connected: Callable[..., Engine], stored: Engine) -> None:
    engine = connected(compare_and_set=False)
    with Session(engine) as session:
        account = session.get_one(Account, 1)
        _set(stored, "balance", 90)
        account.balance = 5
        session.commit()


def test_objects_some_of_which_were_loaded_are_one_statement(
    local_warehouse: TestWarehouse, stored: Engine
) -> None:
    with Session(stored) as session:
        session.execute(insert(Account), [{"id": n, "balance": n} for n in range(2, 9)])
        session.commit()
        accounts = session.scalars(select(Account).order_by(Account.id)).all()
        for number, account in enumerate(accounts):
            if number % 2:
                session.expire(account, ["balance"])
            account.balance = 1000 + number
        sent = len(local_warehouse.statements)
        session.commit()
        assert len(local_warehouse.statements) == sent + 1
        found = session.scalars(select(Account.balance).order_by(Account.id)).all()
        assert found == [1000 + number for number in range(8)]


def test_one_of_many_was_changed_by_somebody_else(stored: Engine) -> None:
    with Session(stored) as session:
        session.execute(insert(Account), [{"id": n, "balance": n} for n in range(2, 9)])
        session.commit()
        accounts = session.scalars(select(Account).order_by(Account.id)).all()
        with stored.begin() as connection:
            connection.execute(update(Account).where(Account.id == 5).values(balance=0))
        for account in accounts:
            account.balance = -1
        with pytest.raises(StaleDataError, match=r"the row \(5\)"):
            session.commit()
    with Session(stored) as session:
        found = session.scalars(select(Account.balance).order_by(Account.id)).all()
        assert found == [100, 2, 3, 4, 0, 6, 7, 8]


def test_the_columns_of_each_table_of_a_class(engine: Engine) -> None:
    for kind in (Animal, Dog):
        kind.__table__.create(engine)  # type: ignore[attr-defined]
    with Session(engine) as session:
        session.add(Dog(id=1, name="Rex", tricks=1))
        session.commit()
    for table, column in (("animal", "name"), ("dog", "tricks")):
        with Session(engine) as session:
            dog = session.get_one(Dog, 1)
            dog.name, dog.tricks = "Bo", (dog.tricks or 0) + 1
            with engine.begin() as connection:
                other = "'Al'" if column == "name" else "77"
                connection.execute(text(f"UPDATE {table} SET {column} = {other}"))
            with pytest.raises(StaleDataError):
                session.commit()
