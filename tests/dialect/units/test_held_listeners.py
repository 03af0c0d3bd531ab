"""What listeners and types of the application's own add to a flush loses none of its checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    Delete,
    Engine,
    ForeignKey,
    String,
    Update,
    create_engine,
    event,
    exists,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import NotSupportedError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.orm.exc import StaleDataError
from sqlalchemy.sql import operators
from sqlalchemy.types import TypeDecorator

from tests.dialect.held import first_words, sending
from tests.full import full, part
from vinci_code.warehouse.pytest_plugin import TestWarehouse

pytestmark = part(5)


class AnyCase(TypeDecorator[str]):
    """Text that is equal in whatever case it is written."""

    impl = String
    cache_ok = True

    class Comparator(String.Comparator[str]):
        """Compares texts in small letters."""

        def operate(self, op: Any, *other: Any, **kwargs: Any) -> Any:
            """Return a comparison."""
            if op is operators.eq:
                return func.lower(self.expr) == func.lower(other[0])
            return super().operate(op, *other, **kwargs)

    comparator_factory = Comparator


class Base(DeclarativeBase):
    pass


class Tenant(Base):
    __tablename__ = "tenant"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]


class Plain(Base):
    __tablename__ = "plain"
    id: Mapped[int] = mapped_column(primary_key=True)
    n: Mapped[int]
    by: Mapped[str] = mapped_column(default="-")
    tenant: Mapped[int] = mapped_column(ForeignKey("tenant.id"), default=1)


class Versioned(Base):
    __tablename__ = "versioned"
    id: Mapped[int] = mapped_column(primary_key=True)
    n: Mapped[int]
    by: Mapped[str] = mapped_column(default="-")
    tenant: Mapped[int] = mapped_column(default=1)
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}


class Named(Base):
    __tablename__ = "named"
    id: Mapped[str] = mapped_column(AnyCase, primary_key=True)
    n: Mapped[int]
    by: Mapped[str] = mapped_column(default="-")
    tenant: Mapped[int] = mapped_column(default=1)


Change = Callable[[Any, Any], Any]
"""What a listener makes of a statement on a table."""

CONDITIONS: dict[str, Change] = {
    "value": lambda statement, table: statement.where(table.c.tenant == 1),
    "other": lambda statement, table: statement.where(table.c.tenant > 0),
    "key": lambda statement, table: statement.where(table.c.id.is_not(None)),
    "several": lambda s, table: s.where(table.c.tenant == 1, table.c.by == "-"),
    "exists": lambda statement, table: statement.where(
        exists(select(Tenant.id).where(Tenant.id == table.c.tenant))
    ),
}
VALUES: dict[str, Change] = {
    "value": lambda s, table: s.values(by="me") if isinstance(s, Update) else s,
    "function": lambda s, table: s.values(by=func.lower("ME")) if isinstance(s, Update) else s,
}


@contextmanager
def changed(engine: Engine, change: Change) -> Iterator[None]:
    """Have a listener change each UPDATE and DELETE of an engine."""

    def listener(conn: Any, statement: Any, several: Any, one: Any, options: Any) -> Any:
        if isinstance(statement, (Update, Delete)):
            statement = change(statement, statement.table)
        return statement, several, one

    event.listen(engine, "before_execute", listener, retval=True)
    yield
    event.remove(engine, "before_execute", listener)


def with_parameters(conn: Any, statement: Any, several: Any, one: Any, options: Any) -> Any:
    """A listener that writes one column more, by the parameters of an UPDATE."""
    if not isinstance(statement, Update):
        return statement, several, one
    return statement, [{**row, "by": "me"} for row in several or [one]], {}


@pytest.fixture(params=["transactions", "none"])
def warehouse(
    request: pytest.FixtureRequest,
    local_warehouse: TestWarehouse,
    without_transactions: TestWarehouse,
    connected: Callable[..., Engine],
) -> Engine:
    """An engine on a warehouse with transactions, and on one without."""
    with_or_without = local_warehouse if request.param == "transactions" else without_transactions
    return ready(connected(with_or_without))


@pytest.fixture
def transactional(connected: Callable[..., Engine]) -> Engine:
    """An engine on a warehouse with transactions."""
    return ready(connected())


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Engine]:
    """An engine on SQLite."""
    engine = create_engine(f"sqlite:///{tmp_path / 'side.db'}")
    yield ready(engine)
    engine.dispose()


def ready(engine: Engine) -> Engine:
    """The engine with tables and rows."""
    Base.metadata.create_all(engine)
    rows: dict[Any, list[Any]] = {Tenant: [{"id": 1}]}
    rows |= {kind: [{"id": n, "n": 100} for n in range(1, 9)] for kind in (Plain, Versioned)}
    rows[Versioned] = [{**row, "version": 1} for row in rows[Versioned]]
    rows[Named] = [{"id": name, "n": 100} for name in ("Bob", "Eve", "Ann")]
    for kind, values in rows.items():
        with engine.begin() as connection:
            connection.execute(insert(kind), values)
    return engine


def outcome(engine: Engine, kind: Any, key: Any, before: Change, unit: Change) -> tuple[Any, Any]:
    """How a unit ends that changes an object, where somebody else was there before.

    Args:
        engine: The engine.
        kind: The class of the object.
        key: Its key.
        before: What somebody else does with it, in another session.
        unit: What the unit does with it.
    """
    ending = "committed"
    with Session(engine, expire_on_commit=False) as session:
        mine = session.get(kind, key)
        session.commit()
        with Session(engine) as other:
            before(other, other.get(kind, key))
            other.commit()
        try:
            unit(session, mine)
            session.commit()
        except StaleDataError:
            ending = "StaleDataError"
    with Session(engine) as session:
        return ending, session.scalar(select(kind.n).where(kind.id == key))


def set_to(number: int) -> Change:
    """What changes an object."""
    return lambda session, item: setattr(item, "n", number)


def delete_it(session: Session, item: Any) -> None:
    """Delete an object."""
    session.delete(item)


def leave_it(session: Session, item: Any) -> None:
    """Do nothing."""


@pytest.mark.parametrize("change", CONDITIONS.values(), ids=CONDITIONS)
def test_a_listener_that_adds_a_condition_leaves_the_version_checked(
    warehouse: Engine, sqlite: Engine, change: Change
) -> None:
    found = []
    units = list(product([set_to(80), delete_it, leave_it], [set_to(90), delete_it]))
    for engine in (sqlite, warehouse):
        with changed(engine, change):
            found.append([outcome(engine, Versioned, n, *pair) for n, pair in enumerate(units, 1)])
    assert found[1] == found[0]


@pytest.mark.parametrize("change", CONDITIONS.values(), ids=CONDITIONS)
@pytest.mark.parametrize("kind", [Plain, pytest.param(Named, marks=full)])
def test_a_row_that_is_gone_is_missed_whatever_the_condition(
    warehouse: Engine, sqlite: Engine, kind: Any, change: Change
) -> None:
    key = "Bob" if kind is Named else 1
    found = []
    for engine in (sqlite, warehouse):
        with changed(engine, change):
            found.append(outcome(engine, kind, key, delete_it, set_to(90)))
    assert found == [("StaleDataError", None)] * 2


@pytest.mark.parametrize("unit", [set_to(90), delete_it], ids=["set", "delete"])
def test_a_row_that_the_condition_leaves_out_is_missed(warehouse: Engine, unit: Change) -> None:
    # SQLite only warns of the DELETE.
    with changed(warehouse, lambda statement, table: statement.where(table.c.tenant == 2)):
        assert outcome(warehouse, Plain, 1, leave_it, unit) == ("StaleDataError", 100)


def test_a_row_that_was_inserted_for_another_tenant_is_missed(transactional: Engine) -> None:
    with (
        changed(transactional, lambda statement, table: statement.where(table.c.tenant == 2)),
        Session(transactional) as session,
    ):
        item = Plain(id=9, n=1)
        session.add(item)
        session.flush()
        item.n = 2
        with pytest.raises(StaleDataError):
            session.commit()


@pytest.mark.parametrize("change", CONDITIONS.values(), ids=CONDITIONS)
@pytest.mark.parametrize("kind", [Plain, pytest.param(Named, marks=full)])
def test_a_lost_update_is_found_whatever_the_condition(
    warehouse: Engine, kind: Any, change: Change
) -> None:
    key = "Bob" if kind is Named else 1
    with changed(warehouse, change):
        assert outcome(warehouse, kind, key, set_to(80), set_to(90)) == ("StaleDataError", 80)
        assert outcome(warehouse, kind, key, leave_it, set_to(70)) == ("committed", 70)


@pytest.mark.parametrize("change", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize("kind", [Plain, Named])
def test_a_lost_update_is_found_where_a_listener_writes_more(
    warehouse: Engine, kind: Any, change: Change
) -> None:
    key = "Bob" if kind is Named else 1
    with changed(warehouse, change):
        assert outcome(warehouse, kind, key, set_to(80), set_to(90)) == ("StaleDataError", 80)
        assert outcome(warehouse, kind, key, leave_it, set_to(70)) == ("committed", 70)
    with Session(warehouse) as session:
        assert session.get_one(kind, key).by == "me"


def test_a_lost_update_is_found_where_a_listener_adds_a_parameter(warehouse: Engine) -> None:
    event.listen(warehouse, "before_execute", with_parameters, retval=True)
    assert outcome(warehouse, Plain, 1, set_to(80), set_to(90)) == ("StaleDataError", 80)
    assert outcome(warehouse, Plain, 1, leave_it, set_to(70)) == ("committed", 70)


def test_a_lost_update_is_found_after_one_that_a_listener_has_added_to(warehouse: Engine) -> None:
    with changed(warehouse, VALUES["value"]), Session(warehouse) as session:
        mine = session.get_one(Plain, 1)
        mine.n = 90
        session.flush()
        with Session(warehouse) as other:
            other.get_one(Plain, 1).n = 80
            other.commit()
        mine.n = 91
        with pytest.raises(StaleDataError):
            session.commit()


def test_a_condition_that_is_replaced_is_refused(warehouse: Engine) -> None:
    def change(statement: Any, table: Any) -> Any:
        return update(table).where(table.c.id == 1).values(n=5)

    with changed(warehouse, change), Session(warehouse) as session:
        session.get_one(Plain, 1).n = 5
        with pytest.raises(NotSupportedError, match="nothing tells of which object the row is"):
            session.commit()


@pytest.mark.parametrize("listening", [False, True])
def test_conditions_of_the_application_may_leave_rows_out(
    transactional: Engine, sqlite: Engine, listening: bool
) -> None:
    own = update(Plain).where(Plain.n > 50)
    unknown: Change = lambda statement, table: statement  # noqa: E731
    for engine in (sqlite, transactional):
        with changed(engine, CONDITIONS["value"] if listening else unknown):
            with Session(engine) as session:
                session.get_one(Plain, 1).n = 1
                session.commit()
            with Session(engine) as session:
                rows = [{"id": n, "n": 60} for n in (1, 2, 30)]
                options = {"synchronize_session": None}
                session.execute(own, rows, execution_options=options)
                session.commit()
            assert outcome(engine, Plain, 1, leave_it, leave_it) == ("committed", 1)


def test_rows_that_only_their_key_identifies_have_to_be_there(
    transactional: Engine, sqlite: Engine
) -> None:
    for engine in (sqlite, transactional):
        with changed(engine, CONDITIONS["other"]), Session(engine) as session:
            rows = [{"id": 1, "n": 60}, {"id": 30, "n": 60}]
            with pytest.raises(StaleDataError):  # noqa: PT012 - SQLite raises it at once
                session.execute(update(Plain), rows)
                session.commit()
        assert outcome(engine, Plain, 1, leave_it, leave_it) == ("committed", 100)


def test_a_flush_with_a_condition_is_one_request(
    local_warehouse: TestWarehouse, connected: Callable[..., Engine]
) -> None:
    engine = ready(connected(local_warehouse))
    with engine.begin() as connection:
        connection.execute(insert(Plain), [{"id": n, "n": n} for n in range(20, 30)])
    with changed(engine, CONDITIONS["value"]), Session(engine) as session:
        for item in session.scalars(select(Plain)).all():
            item.n += 1
        with sending(lambda: local_warehouse.statements) as sent:
            session.commit()
    assert first_words(sent) == ["MERGE"]
