"""Lost updates are found without a version column, at no further request."""

from __future__ import annotations

import datetime as dt
import enum
import pickle
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import (
    JSON,
    Column,
    DateTime,
    Engine,
    Enum,
    ForeignKey,
    Integer,
    LargeBinary,
    Numeric,
    String,
    Table,
    Uuid,
    event,
    func,
    insert,
    null,
    select,
    text,
    update,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from sqlalchemy.orm.attributes import flag_modified
from sqlalchemy.orm.exc import StaleDataError
from sqlalchemy.types import TypeDecorator

from tests.dialect.held import Of, value_of
from tests.full import full, part
from vinci_code.database import run_unit
from vinci_code.database.dialect.writes.compared import LONGEST
from vinci_code.warehouse.pytest_plugin import TestWarehouse

pytestmark = part(4)


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


class Values:
    """A column of each type that is checked."""

    balance: Mapped[int | None]
    note: Mapped[str | None]
    raw: Mapped[bytes | None] = mapped_column(LargeBinary)
    price: Mapped[Decimal | None] = mapped_column(Numeric(12, 2))
    ratio: Mapped[float | None]
    at: Mapped[dt.datetime | None]
    instant: Mapped[dt.datetime | None] = mapped_column(DateTime(timezone=True))
    day: Mapped[dt.date | None]
    done: Mapped[bool | None]


class Account(Values, Base):
    __tablename__ = "account"
    id: Mapped[int] = mapped_column(primary_key=True)
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


class Item(Values, Base):
    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True)
    mark: Mapped[str | None]
    count: Mapped[int | None]


class ByFunction(Base):
    __tablename__ = "by_function"
    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int | None]
    mark: Mapped[str | None] = mapped_column(onupdate=func.upper("renewed"))


class ByTime(Base):
    __tablename__ = "by_time"
    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int | None]
    mark: Mapped[dt.datetime | None] = mapped_column(onupdate=func.localtimestamp())


class ByText(Base):
    __tablename__ = "by_text"
    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int | None]
    mark: Mapped[dt.datetime | None] = mapped_column(
        DateTime(timezone=True), onupdate=text("current_timestamp")
    )


class Listening(Base):
    """One whose own listener changes it, which is called after those of all mappers."""

    __tablename__ = "listening"
    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int | None]
    note: Mapped[str | None]


@event.listens_for(Listening, "before_update")
def _count_up(mapper: Any, connection: Any, target: Listening) -> None:
    target.balance = (target.balance or 0) + 1


class Person(Base):
    __tablename__ = "person"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    friend_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    friend: Mapped[Person | None] = relationship(remote_side=[id], post_update=True)


class Pair(Base):
    """One whose attributes are not called as its columns, and whose key is not in their order."""

    __tablename__ = "pair"
    last: Mapped[int] = mapped_column("b", primary_key=True)
    first: Mapped[int] = mapped_column("a", primary_key=True)
    content: Mapped[int | None] = mapped_column("v")
    mark: Mapped[str | None] = mapped_column("m")


class Word(str, enum.Enum):
    ONE = "one"


class Number(enum.IntEnum):
    ONE = 1


class Color(enum.Enum):
    RED = 1
    CRIMSON = 1  # noqa: PIE796 - what is tested
    BLUE = 2


class Painted(Base):
    """One of whose colours two are the same."""

    __tablename__ = "painted"
    id: Mapped[int] = mapped_column(primary_key=True)
    color: Mapped[Color] = mapped_column(Enum(Color, omit_aliases=False))


class Named(Base):
    """One of a table that has no primary key."""

    __table__ = Table(
        "named",
        Base.metadata,
        Column("code", String, unique=True, nullable=False),
        Column("balance", Integer),
    )
    __mapper_args__ = {"primary_key": [__table__.c.code]}


@pytest.fixture
def items(engine: Engine) -> Engine:
    """An engine on a warehouse with one row of each of the tables that tests change."""
    kinds: list[Any] = [Item, ByFunction, ByTime, ByText, Listening, Person, Animal, Dog]
    for kind in kinds:
        kind.__table__.create(engine)
    with Session(engine) as session:
        session.add_all([kind(id=7, balance=100) for kind in kinds[1:5]])
        session.add_all([Item(id=7, mark="x", **FIRST), Dog(id=7, name="Rex", tricks=1)])
        session.add_all([Person(id=n, name="p") for n in (5, 6, 7)])
        session.commit()
    return engine


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


@part(2)
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


BACK: dict[str, Callable[[Session], Any]] = {
    "a row of Core": lambda session: session.execute(insert(Account).values(id=2, balance=1)),
    "raw text": lambda session: session.execute(text("DELETE FROM account WHERE id = 5")),
    "a change in bulk": lambda session: session.bulk_update_mappings(
        Account.__mapper__, [{"id": 1, "balance": 5}]
    ),
}


@pytest.mark.parametrize("write", BACK.values(), ids=list(BACK))
def test_what_is_rolled_back_to_a_savepoint_leaves_the_checks(
    stored: Engine, write: Callable[[Session], Any]
) -> None:
    with Session(stored) as session:
        account = session.get_one(Account, 1)
        savepoint = session.begin_nested()
        write(session)
        savepoint.rollback()
        assert account.balance == 100
        _set(stored, "balance", 80)
        account.balance = 90
        with pytest.raises(StaleDataError):
            session.commit()


def by_core(session: Session) -> None:
    session.connection().execute(update(Account).values(balance=Account.balance + 7))


def by_another_object(session: Session) -> None:
    account = session.get_one(Account, 1)
    account.balance = Account.balance + 7
    session.flush()
    session.expunge(account)


OWN = [by_core, by_another_object]


@pytest.mark.parametrize("write", OWN)
def test_what_was_read_after_a_write_of_its_own_is_checked(
    stored: Engine, write: Callable[[Session], None]
) -> None:
    with Session(stored) as session:
        write(session)
        account = session.get_one(Account, 1)
        assert account.balance == 107
        account.balance = account.balance * 2
        session.flush()
        _set(stored, "balance", 80)
        with pytest.raises(StaleDataError, match="changed or deleted by somebody else"):
            session.commit()
    with Session(stored) as session:
        write(session)
        account = session.get_one(Account, 1)
        account.balance = account.balance * 2
        session.commit()
        assert account.balance == 174


def as_it_was(session: Session, account: Account) -> Account:
    return account


def read_in_part(session: Session, account: Account) -> Account:
    session.refresh(account, ["note"])
    return account


def read_by_a_query(session: Session, account: Account) -> Account:
    assert session.scalars(select(Account)).all() == [account]
    return account


def changed_in_bulk(session: Session, account: Account) -> Account:
    # SQLAlchemy computes the balance by itself, as a float may not be computed by the warehouse.
    session.execute(update(Account).values(balance=Account.balance + 0))
    return account


def from_elsewhere(session: Session, account: Account) -> Account:
    session.expunge(account)
    with Session(session.get_bind(), expire_on_commit=False) as other:
        account = other.get_one(Account, 1)
    session.add(account)
    return account


def pickled(session: Session, account: Account) -> Account:
    session.expunge(account)
    account = pickle.loads(pickle.dumps(account))
    session.add(account)
    return account


SEEN = [as_it_was, read_in_part, read_by_a_query, changed_in_bulk, from_elsewhere, pickled]


@pytest.mark.parametrize("write", OWN)
@pytest.mark.parametrize("seen", SEEN)
def test_what_was_read_before_a_write_of_its_own_is_no_false_alarm(
    stored: Engine,
    write: Callable[[Session], None],
    seen: Callable[[Session, Account], Account],
) -> None:
    with Session(stored) as session:
        account = session.get_one(Account, 1)
        if write is by_another_object:
            with Session(session.connection()) as second:
                by_another_object(second)
        else:
            write(session)
        account = seen(session, account)
        account.balance = 5
        session.commit()
        assert account.balance == 5


READ: dict[str, Callable[[Session], Any]] = {
    "by a query": lambda session: session.scalars(select(Account)).one(),
    "by key": lambda session: session.get_one(Account, 1),
    "by RETURNING": lambda session: session.scalars(
        update(Account).values(balance=7).returning(Account)
    ).one(),
}


@pytest.mark.parametrize("read", READ.values(), ids=list(READ))
def test_an_object_that_was_loaded_with_what_was_undone_is_no_lost_update(
    stored: Engine, read: Callable[[Session], Any]
) -> None:
    with Session(stored) as session:
        savepoint = session.begin_nested()
        session.connection().execute(update(Account).values(balance=5))
        account = read(session)
        assert account.balance in (5, 7)
        savepoint.rollback()
        account.balance = 90
        session.commit()
        assert account.balance == 90


def test_what_was_written_before_a_savepoint_is_no_lost_update(stored: Engine) -> None:
    with Session(stored) as session:
        account = session.get_one(Account, 1)
        session.bulk_update_mappings(Account.__mapper__, [{"id": 1, "balance": 5}])
        with session.begin_nested() as savepoint:
            savepoint.rollback()
        account.balance = 90
        session.commit()
        assert account.balance == 90


@part(2)
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


# --- beside what no set can write, with parts of the key not loaded, and written by others -------


def _beside_a_function(session: Session) -> None:
    item = session.get_one(Item, 7)
    item.balance = (item.balance or 0) + 1
    item.mark = func.md5("x")


def _beside_a_sub_select(session: Session) -> None:
    item = session.get_one(Item, 7)
    item.balance = (item.balance or 0) + 1
    item.count = select(func.count()).select_from(Item).scalar_subquery()


def _null_beside_a_function(session: Session) -> None:
    item = session.get_one(Item, 7)
    assert item.id == 7
    item.balance = null()
    item.mark = func.md5("x")


def _beside_onupdate(kind: Any) -> Callable[[Session], None]:
    def change(session: Session) -> None:
        row = session.get_one(kind, 7)
        row.balance += 1

    change.__name__ = f"_beside_onupdate_{kind.__tablename__}"
    return change


def _key_not_loaded(session: Session) -> None:
    item = session.get_one(Item, 7)
    session.commit()
    session.refresh(item, ["balance"])
    item.balance = (item.balance or 0) + 1


def _key_expired(session: Session) -> None:
    item = session.get_one(Item, 7)
    session.expire(item, ["id"])
    item.balance = (item.balance or 0) + 1


def _key_of_a_second_table_expired(session: Session) -> None:
    dog = session.get_one(Dog, 7)
    session.expire(dog, ["id"])
    dog.tricks = (dog.tricks or 0) + 1


def _key_changed(session: Session) -> None:
    item = session.get_one(Item, 7)
    item.id = 8
    item.balance = (item.balance or 0) + 1


def _by_its_own_listener(session: Session) -> None:
    row = session.get_one(Listening, 7)
    row.note = "theirs"


def _by_post_update(session: Session) -> None:
    person = session.get_one(Person, 7)
    person.friend = session.get_one(Person, 6 if person.friend_id == 5 else 5)


def _by_post_update_after_another_change(session: Session) -> None:
    _by_post_update(session)
    session.get_one(Person, 7).name += "q"  # type: ignore[operator]


def _flagged(session: Session) -> None:
    item = session.get_one(Item, 7)
    flag_modified(item, "balance")


def _flagged_and_changed(session: Session) -> None:
    item = session.get_one(Item, 7)
    flag_modified(item, "balance")
    item.balance = 3


def _changed_and_flagged(session: Session) -> None:
    item = session.get_one(Item, 7)
    item.balance = 3
    flag_modified(item, "balance")
    flag_modified(item, "balance")


FORMS = [
    (_beside_a_function, "item.balance"),
    (_beside_a_sub_select, "item.balance"),
    (_null_beside_a_function, "item.balance"),
    (_beside_onupdate(ByFunction), "by_function.balance"),
    (_beside_onupdate(ByTime), "by_time.balance"),
    (_beside_onupdate(ByText), "by_text.balance"),
    (_key_not_loaded, "item.balance"),
    (_key_expired, "item.balance"),
    (_key_of_a_second_table_expired, "dog.tricks"),
    (_key_changed, "item.balance"),
    (_by_its_own_listener, "listening.balance"),
    (_by_post_update, "person.friend_id"),
    (_by_post_update_after_another_change, "person.friend_id"),
    (_flagged, "item.balance"),
    (_flagged_and_changed, "item.balance"),
    (_changed_and_flagged, "item.balance"),
]
IN_FORMS = pytest.mark.parametrize(
    ("change", "column"), FORMS, ids=[change.__name__ for change, _ in FORMS]
)


def _by_somebody_else(engine: Engine, column: str, value: Any = 6) -> None:
    table, _, name = column.partition(".")
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {table} SET {name} = :v WHERE id = 7"), {"v": value})


def _now(engine: Engine, column: str) -> Any:
    table, _, name = column.partition(".")
    with engine.connect() as connection:
        return connection.scalar(text(f"SELECT {name} FROM {table} WHERE id IN (7, 8)"))


@IN_FORMS
def test_a_change_by_somebody_else_is_found_in_each_form(
    items: Engine, change: Callable[[Session], None], column: str
) -> None:
    with Session(items) as session:
        change(session)
        _by_somebody_else(items, column)
        with pytest.raises(StaleDataError, match="changed or deleted by somebody else"):
            session.commit()
    assert _now(items, column) == 6


@full
@IN_FORMS
def test_nobody_else_is_no_false_alarm_in_any_form(
    items: Engine,
    connected: Callable[..., Engine],
    local_warehouse: TestWarehouse,
    change: Callable[[Session], None],
    column: str,
) -> None:
    sent = []
    for engine in (connected(compare_and_set=False), items):
        _by_somebody_else(items, column, 6 if column == "person.friend_id" else 100)
        with Session(engine) as session:
            # A second change of the same object is one of what the first has written.
            change(session)
            session.flush()
            if change is not _key_changed:
                change(session)
            session.rollback()
            before = len(local_warehouse.statements)
            change(session)
            session.commit()
            sent.append(len(local_warehouse.statements) - before)
            if change is not _key_changed:
                change(session)
                session.commit()
        with items.begin() as connection:
            connection.execute(text("UPDATE item SET id = 7"))
    assert sent[0] == sent[1]


@IN_FORMS
def test_changes_of_a_unit_follow_each_other_in_each_form(
    items: Engine, change: Callable[[Session], None], column: str
) -> None:
    with Session(items) as session:
        change(session)
        session.flush()
        if change is not _key_changed:
            change(session)
        session.commit()


@full
@pytest.mark.parametrize(("name", "before", "other"), CHANGES)
def test_each_type_is_checked_beside_a_function(
    items: Engine, name: str, before: Any, other: Any
) -> None:
    third = 5 if name == "balance" else FIRST[name] if before != FIRST[name] else None
    for alarm in (False, True):
        with Session(items) as session:
            session.execute(update(Item).values({name: before}))
            session.commit()
            item = session.get_one(Item, 7)
            assert getattr(item, name) == before
            if alarm:
                with items.begin() as connection:
                    connection.execute(update(Item).values({name: other}))
            setattr(item, name, third)
            item.mark = func.md5("x")
            if not alarm:
                session.commit()
                assert getattr(item, name) == third
                continue
            with pytest.raises(StaleDataError, match="changed or deleted by somebody else"):
                session.commit()
    with Session(items) as session:
        assert getattr(session.get_one(Item, 7), name) == other


def test_several_objects_beside_a_function_are_checked_each(items: Engine) -> None:
    with Session(items) as session:
        session.add_all([ByFunction(id=n, balance=n) for n in (1, 2, 3)])
        session.commit()
        for alarm in (False, True):
            rows = session.scalars(select(ByFunction).order_by(ByFunction.id)).all()
            for row in rows:
                row.balance = (row.balance or 0) + 1
            if not alarm:
                session.commit()
                continue
            _by_somebody_else(items, "by_function.balance")
            with pytest.raises(StaleDataError):
                session.commit()
            session.rollback()
        found = session.scalars(select(ByFunction.balance).order_by(ByFunction.id)).all()
        assert found == [2, 3, 4, 6]


@pytest.mark.parametrize("expired", [[], ["last"], ["first"], ["last", "first"]])
@pytest.mark.parametrize("mark", ["a", func.md5("x")], ids=["plain", "function"])
def test_a_key_of_two_columns_that_is_not_loaded(
    engine: Engine, expired: list[str], mark: Any
) -> None:
    Pair.__table__.create(engine)  # type: ignore[attr-defined]
    with Session(engine) as session:
        session.add_all([Pair(first=1, last=2, content=10), Pair(first=2, last=1, content=20)])
        session.commit()
        for alarm in (False, True):
            pair = session.get_one(Pair, (2, 1))
            assert pair.content is not None
            if expired:
                session.expire(pair, expired)
            pair.content, pair.mark = pair.content + 1, mark
            if not alarm:
                session.commit()
                continue
            with engine.begin() as connection:
                connection.execute(text("UPDATE pair SET v = 6 WHERE a = 1"))
            with pytest.raises(StaleDataError):
                session.commit()


def test_a_table_without_a_primary_key(engine: Engine) -> None:
    Named.__table__.create(engine)
    with Session(engine) as session:
        session.add_all([Named(code="x", balance=1), Named(code="y", balance=1)])
        session.commit()
        for alarm in (False, True):
            named: Any = session.get_one(Named, "x")
            named.balance = named.balance + 1
            if not alarm:
                session.commit()
                continue
            with engine.begin() as connection:
                connection.execute(text("UPDATE named SET balance = 6"))
            with pytest.raises(StaleDataError):
                session.commit()


def _that_was_flagged_before_it_expired(session: Session, engine: Engine) -> None:
    item = session.get_one(Item, 7)
    flag_modified(item, "balance")
    session.expire(item, ["balance"])
    _by_somebody_else(engine, "item.balance")
    item.balance = 9


def _of_another_column_beside_a_function(session: Session, engine: Engine) -> None:
    _beside_a_function(session)
    _by_somebody_else(engine, "item.note", "theirs")


def _not_loaded_beside_a_function(session: Session, engine: Engine) -> None:
    item = session.get_one(Item, 7)
    session.expire(item)
    _by_somebody_else(engine, "item.balance")
    item.balance, item.mark = 9, func.md5("x")


def _beside_a_function_after_a_statement(session: Session, engine: Engine) -> None:
    item = session.get_one(Item, 7)
    own = update(Item).values(balance=50)
    session.execute(own, execution_options={"synchronize_session": False})
    item.balance, item.mark = 9, func.md5("x")


def _by_bulk_in_a_listener(session: Session, engine: Engine) -> None:
    item = session.get_one(Item, 7)

    def bulk(*_: Any) -> None:
        session.bulk_update_mappings(Item, [{"id": 7, "note": "bulk"}])

    event.listen(session, "after_flush", bulk)
    item.balance = 9
    session.flush()
    event.remove(session, "after_flush", bulk)
    item.note = "mine"


@pytest.mark.parametrize(
    "change",
    [
        _that_was_flagged_before_it_expired,
        _of_another_column_beside_a_function,
        _not_loaded_beside_a_function,
        _beside_a_function_after_a_statement,
        _by_bulk_in_a_listener,
    ],
    ids=lambda change: change.__name__,
)
def test_what_is_not_checked_in_other_forms(
    items: Engine, change: Callable[[Session, Engine], None]
) -> None:
    with Session(items) as session:
        change(session, items)
        session.commit()


# --- objects that were written and are still at hand ---------------------------------------------


GIVEN: list[tuple[str, Any]] = [
    ("note", Word.ONE),
    ("note", Of("numpy", "str_", "one")),
    ("balance", Number.ONE),
    ("balance", 2.0),
    ("balance", Of("numpy", "int64", 3)),
    ("ratio", Of("numpy", "float64", 0.5)),
    ("ratio", Of("numpy", "float64", "nan")),
    ("ratio", 2),
    ("price", 2),
    ("price", 1.1),
    ("at", Of("pandas", "Timestamp", "2024-01-01")),
    ("at", dt.date(2024, 1, 1)),
    ("instant", Of("pandas", "Timestamp", "2024-01-01T00:00+01:00")),
    ("day", Of("pandas", "Timestamp", "2024-01-01")),
    ("day", dt.datetime(2024, 1, 1)),
    ("done", 1),
    ("done", Of("numpy", "bool_", True)),
]


@pytest.mark.parametrize("beside", ["", pytest.param("a function", marks=full)])
@pytest.mark.parametrize(("name", "value"), GIVEN, ids=lambda value: repr(value))
def test_a_change_of_what_was_given_as_another_type_is_found(
    items: Engine, name: str, value: Any, beside: str
) -> None:
    theirs = False if name == "done" else SECOND[name]
    for alarm in (False, True):
        with Session(items, expire_on_commit=False) as session:
            item = session.get_one(Item, 7)
            setattr(item, name, value_of(value))
            session.commit()
            if alarm:
                with items.begin() as connection:
                    connection.execute(update(Item).values({name: theirs}))
            setattr(item, name, LATER[name])
            if beside:
                item.mark = func.md5("x")
            if not alarm:
                session.commit()
                continue
            with pytest.raises(StaleDataError, match="changed or deleted by somebody else"):
                session.commit()
    with Session(items) as session:
        assert getattr(session.get_one(Item, 7), name) == theirs


LATER = {**FIRST, "balance": 7, "done": None}


@pytest.mark.parametrize(("name", "value"), GIVEN, ids=lambda value: repr(value))
def test_what_was_given_as_another_type_is_changed_in_the_same_unit(
    items: Engine, name: str, value: Any
) -> None:
    with Session(items) as session:
        item = session.get_one(Item, 7)
        setattr(item, name, value_of(value))
        session.flush()
        setattr(item, name, LATER[name])
        session.commit()
        assert getattr(item, name) == LATER[name]


@pytest.mark.parametrize("kind", [bytearray, lambda data: memoryview(bytearray(data))])
def test_a_buffer_that_is_used_again_is_no_change_by_somebody_else(
    items: Engine, kind: Callable[[bytes], Any]
) -> None:
    with Session(items, expire_on_commit=False) as session:
        item = session.get_one(Item, 7)
        item.raw = buffer = kind(b"abc")
        session.commit()
        buffer[0:1] = b"x"
        item.raw = b"new"
        session.commit()
        buffer = bytearray(b"abc")
        item.raw = buffer  # type: ignore[assignment]
        session.flush()
        buffer.extend(b"def")
        flag_modified(item, "raw")
        session.commit()
        session.refresh(item)
        assert item.raw == b"abcdef"


def test_a_name_for_the_same_member_is_no_change_by_somebody_else(items: Engine) -> None:
    Painted.__table__.create(items)  # type: ignore[attr-defined]
    with items.begin() as connection:
        connection.execute(text("INSERT INTO painted (id, color) VALUES (1, 'CRIMSON')"))
    with Session(items) as session:
        painted = session.get_one(Painted, 1)
        assert painted.color is Color.RED
        painted.color = Color.BLUE
        session.commit()
        assert painted.color is Color.BLUE


@pytest.mark.parametrize("beside", ["", "a function"])
def test_two_sessions_on_one_connection_change_a_row(items: Engine, beside: str) -> None:
    with items.begin() as connection:
        one, other = Session(connection), Session(connection)
        first, second = one.get_one(Item, 7), other.get_one(Item, 7)
        first.balance = 1
        one.flush()
        second.balance = 2
        if beside:
            second.mark = func.md5("x")
        other.flush()
    assert _now(items, "item.balance") == 2


def test_the_second_of_two_sessions_is_checked_for_other_columns(items: Engine) -> None:
    with items.connect() as connection:
        one, other = Session(connection), Session(connection)
        first, second = one.get_one(Item, 7), other.get_one(Item, 7)
        first.balance = 1
        one.flush()
        _by_somebody_else(items, "item.count")
        second.count = 2
        other.flush()
        with pytest.raises(StaleDataError, match="changed or deleted by somebody else"):
            connection.commit()
