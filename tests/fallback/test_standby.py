"""Units of work on the standby: what they write arrives as it would have been written."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import (
    JSON,
    SMALLINT,
    CheckConstraint,
    Computed,
    Engine,
    FetchedValue,
    ForeignKey,
    Identity,
    LargeBinary,
    Numeric,
    String,
    bindparam,
    case,
    column,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    table,
    text,
    update,
)
from sqlalchemy.exc import (
    CompileError,
    IntegrityError,
    NotSupportedError,
    OperationalError,
    StatementError,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from sqlalchemy.orm.exc import StaleDataError

from tests.fallback.circle import Circle, Work, circle, on_sqlite
from tests.full import part
from vinci_code.core.errors import StandbyReadError
from vinci_code.database.fallback.mirror import refresh
from vinci_code.database.fallback.records import State
from vinci_code.database.models.types import UtcDateTime
from vinci_code.database.upserts import upsert
from vinci_code.warehouse.pytest_plugin import TestWarehouse

pytestmark = part(3)


class Base(DeclarativeBase):
    pass


class Size(Enum):
    SMALL = "s"
    LARGE = "l"


class Item(Base):
    __tablename__ = "items"
    __table_args__ = (CheckConstraint("n < 1000", name="ck_n"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)
    n: Mapped[int] = mapped_column(default=3)
    price: Mapped[Decimal] = mapped_column(Numeric(10, 2), default=Decimal("1.50"))
    size: Mapped[Size | None]
    document: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    content: Mapped[bytes | None] = mapped_column(LargeBinary)
    at: Mapped[dt.datetime | None]
    instant: Mapped[dt.datetime | None] = mapped_column(UtcDateTime)
    day: Mapped[dt.date | None]
    ratio: Mapped[float | None]
    ok: Mapped[bool | None]
    tag: Mapped[uuid.UUID | None]
    parts: Mapped[list[Part]] = relationship(back_populates="item", cascade="all, delete-orphan")


class Part(Base):
    __tablename__ = "parts"
    id: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    item: Mapped[Item] = relationship(back_populates="parts")


class Counted(Base):
    __tablename__ = "counted"
    a: Mapped[str] = mapped_column(primary_key=True)
    b: Mapped[int] = mapped_column(primary_key=True)
    n: Mapped[int]
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}


class Numbered(Base):
    __tablename__ = "numbered"
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    twice: Mapped[int | None] = mapped_column(Computed("n * 2"))
    n: Mapped[int]
    made: Mapped[int | None] = mapped_column(server_default=FetchedValue())
    kind: Mapped[str] = mapped_column(server_default="k")


class Always(Base):
    __tablename__ = "always"
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    n: Mapped[int]


class Moment(Base):
    __tablename__ = "moments"
    id: Mapped[int] = mapped_column(primary_key=True)
    n: Mapped[int]
    made: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    changed: Mapped[dt.datetime | None] = mapped_column(onupdate=func.now())


class Narrow(Base):
    __tablename__ = "narrow"
    id: Mapped[int] = mapped_column(SMALLINT, primary_key=True)
    n: Mapped[int | None]


class Wider(Base):
    __tablename__ = "wider"
    id: Mapped[int] = mapped_column(primary_key=True)
    # As the parameter of the key of a second row is called.
    id_m1: Mapped[int | None]


# Of any type: mypy takes it for no table.
ITEM: Any = Item.__table__
PART: Any = Part.__table__
COUNTED: Any = Counted.__table__
MOMENT: Any = Moment.__table__
NARROW: Any = Narrow.__table__
WIDER: Any = Wider.__table__
NUMBERED: Any = Numbered.__table__


def filled(session: Session) -> None:
    """What is there before the outage."""
    session.add_all([Item(id=1, name="one", n=1), Item(id=2, name="two", n=2)])
    session.add_all([Part(id=1, item_id=1), Part(id=2, item_id=2)])
    session.add_all([Counted(a="x", b=1, n=5), Counted(a="y", b=2, n=6)])


@pytest.fixture
def made(
    local_warehouse: TestWarehouse, connected: Callable[..., Engine], tmp_path: Path
) -> Iterator[Circle]:
    with circle(local_warehouse, connected(), tmp_path / "standby.db", Base.metadata) as found:
        yield found


# --- what is written ------------------------------------------------------------------------------


def _objects(session: Session) -> None:
    session.add(
        Item(
            id=3,
            name="thrée \U0001f600",
            n=-(2**62),
            price=Decimal("99999999.99"),
            size=Size.LARGE,
            document={"a": [1, None, "x"], "b": {}},
            content=b"\x00\xff",
            at=dt.datetime(2024, 2, 29, 1, 2, 3, 456789),
            instant=dt.datetime(2024, 2, 29, 1, 2, 3, tzinfo=dt.timezone.utc),
            day=dt.date(1970, 1, 1),
            ratio=0.1,
            ok=False,
            tag=uuid.UUID(int=7),
            parts=[Part(id=5), Part(id=6)],
        )
    )


def _changes(session: Session) -> None:
    session.get_one(Item, 1).n = 7
    session.get_one(Counted, ("x", 1)).n = 9


def _expression(session: Session) -> None:
    session.get_one(Item, 1).n = Item.n + 10


def _removal(session: Session) -> None:
    session.delete(session.get_one(Item, 2))


def _by_condition(session: Session) -> None:
    session.execute(update(Item).where(Item.n >= 1).values(n=Item.n * 2))
    session.execute(delete(Part).where(Part.item_id == 2))


def _rows_in_statement(session: Session) -> None:
    session.execute(insert(ITEM).values([{"id": 8, "name": "a"}, {"id": 9, "name": "b", "n": 4}]))


def _many(session: Session) -> None:
    session.execute(insert(Item), [{"id": 100 + n, "name": f"m{n}"} for n in range(50)])
    session.execute(
        update(Item), [{"id": 100 + n, "n": n, "ok": n % 2 == 0} for n in range(0, 50, 2)]
    )


def _values_computed(session: Session) -> None:
    session.execute(
        insert(ITEM).values(
            id=10,
            name=literal("x").concat("y"),
            n=case((exists(select(PART.c.id).where(PART.c.id == 1)), 1), else_=0),
        )
    )


def _upserts(session: Session) -> None:
    rows = [{"id": 1, "name": "one", "n": 50}, {"id": 11, "name": "new", "n": 51}]
    session.execute(upsert(Item, rows, keys=["id"], update=["n"]))
    session.execute(upsert(Item, [{"id": 12, "name": "two", "n": 1}], keys=["name"], update=[]))


def _savepoint(session: Session) -> None:
    session.add(Item(id=20, name="kept"))
    session.flush()
    with session.begin_nested() as point:
        session.add(Item(id=21, name="dropped"))
        session.execute(update(Item).values(n=99))
        point.rollback()
    with session.begin_nested():
        session.add(Item(id=22, name="kept too"))


def _bulk(session: Session) -> None:
    session.bulk_save_objects([Item(id=30, name="bulk")])
    session.bulk_insert_mappings(Item, [{"id": 31, "name": "mapped"}])
    session.bulk_update_mappings(Item, [{"id": 1, "n": 33}])


def _key_changes(session: Session) -> None:
    session.execute(update(COUNTED).where(COUNTED.c.a == "y").values(b=3))
    session.execute(delete(PART).where(PART.c.item_id == 2))
    session.execute(delete(ITEM).where(ITEM.c.id == 2))
    session.add(Item(id=2, name="two again"))


WORKS: tuple[Work, ...] = (
    _objects,
    _changes,
    _expression,
    _removal,
    _by_condition,
    _rows_in_statement,
    _many,
    _values_computed,
    _upserts,
    _savepoint,
    _bulk,
    _key_changes,
)


@pytest.mark.parametrize("work", WORKS, ids=lambda work: work.__name__.strip("_"))
def test_what_is_written_arrives(made: Circle, work: Work) -> None:
    """Standby, and later the warehouse, hold what SQLite holds."""
    expected = on_sqlite(Base.metadata, filled, work)
    made.begin()
    made.run(filled, work)
    with made.fallback.standby.connect() as connection:
        for table in (ITEM, PART, COUNTED):
            found = connection.execute(select(table).order_by(*table.primary_key)).all()
            assert list(map(tuple, found)) == expected[table.name]
    made.end()
    made.run(lambda session: session.scalars(select(Item.id)).all())
    assert made.units() == []
    for stored in (ITEM, PART, COUNTED):
        assert made.rows(stored) == expected[stored.name]


def test_all_of_it_one_after_the_other(made: Circle) -> None:
    """What was committed while the warehouse was there, and what was not, in one order."""
    works = [work for work in WORKS if work not in (_removal, _key_changes)]
    expected = on_sqlite(Base.metadata, filled, *works)
    made.run(filled)
    made.begin()
    made.fallback.standby  # noqa: B018 - its tables
    with made.fallback.standby.connect() as connection:
        _copy(made, connection)
    made.run(*works)
    assert len(made.units(State.WAITING)) == len(works)
    made.end()
    assert made.is_back()
    for stored in (ITEM, PART, COUNTED):
        assert made.rows(stored) == expected[stored.name]


def _copy(made: Circle, connection: Any) -> None:
    """Have the standby hold what was written before."""
    raw = connection.connection.dbapi_connection
    raw.execute("INSERT INTO items (id, name, n, price) VALUES (1,'one',1,1.5), (2,'two',2,1.5)")
    raw.execute("INSERT INTO parts (id, item_id) VALUES (1, 1), (2, 2)")
    raw.execute("INSERT INTO counted (a, b, n, version) VALUES ('x',1,5,1), ('y',2,6,1)")
    raw.commit()


def test_a_key_that_was_made_stays(made: Circle) -> None:
    """The row has the key on the warehouse that its object has got."""
    made.begin()
    with made.session() as session:
        item = Item(name="new", parts=[Part()])
        session.add(item)
        session.commit()
        keys = item.id, item.parts[0].id
        session.execute(insert(ITEM).values([{"name": "p"}, {"name": "q"}]))
        session.execute(insert(ITEM), [{"name": "r"}, {"name": "s"}])
        session.commit()
        here = session.execute(select(Item.id, Item.name).order_by(Item.id)).all()
    made.end()
    assert made.is_back()
    assert [row[:2] for row in made.rows(ITEM)] == list(map(tuple, here))
    assert made.rows(PART) == [(keys[1], keys[0])]


def test_the_present_is_that_of_the_commit(made: Circle, monkeypatch: pytest.MonkeyPatch) -> None:
    """``func.now()`` is not the time at which the warehouse is back."""
    past = dt.datetime(2020, 1, 1, 12, 0, 0)
    monkeypatch.setattr("vinci_code.database.fallback.moments.moment", lambda: past)
    made.begin()
    made.run(lambda session: session.add(Moment(id=1, n=1)))

    def change(session: Session) -> None:
        session.get_one(Moment, 1).n = 2
        session.execute(insert(Moment), [{"id": 2, "n": 2}, {"id": 3, "n": 3}])
        session.execute(insert(MOMENT).values([{"id": 4, "n": 4}, {"id": 5, "n": 5}]))
        session.execute(insert(Moment).values(id=6, n=6, changed=func.now()))

    made.run(change)
    made.end()
    assert made.is_back()
    assert made.rows(MOMENT) == [
        (1, 2, past, past),
        *((key, key, past, None) for key in (2, 3, 4, 5)),
        (6, 6, past, past),
    ]


def test_each_statement_has_a_present_of_its_own(
    made: Circle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is compiled once has another present each time it is executed."""
    presents = [dt.datetime(2020, 1, 1, 12, 0, second) for second in range(4)]
    clock = iter([present.replace(tzinfo=dt.timezone.utc) for present in presents])
    held = SimpleNamespace(
        datetime=SimpleNamespace(now=lambda _: next(clock)), timezone=dt.timezone
    )
    made.begin()
    with made.session() as session:
        monkeypatch.setattr("vinci_code.database.fallback.moments.dt", held)
        for key in (1, 2):
            session.execute(insert(MOMENT), [{"id": key, "n": key}])
        for key in (3, 4):
            session.execute(insert(MOMENT).values([{"id": key, "n": key}]))
        monkeypatch.undo()
        session.commit()
        assert session.scalars(select(MOMENT.c.made).order_by(MOMENT.c.id)).all() == presents
    made.end()
    assert made.is_back()
    assert [row[2] for row in made.rows(MOMENT)] == presents


def test_a_write_that_is_only_looked_at_shows_the_present(made: Circle) -> None:
    """In a thread that has executed nothing."""
    compiled = insert(MOMENT).values(id=1, n=1).compile(made.fallback.standby)
    with ThreadPoolExecutor(1) as pool:
        shown = pool.submit(lambda: compiled.params).result()
    assert any(isinstance(value, dt.datetime) for value in shown.values())


def test_what_was_rolled_back_to_a_savepoint_keeps_the_lock_to_write(made: Circle) -> None:
    """The unit goes on, and is kept, with nothing of what was dropped."""
    made.begin()
    with made.session() as session, made.session() as other:
        with session.begin_nested() as point:
            session.execute(insert(ITEM).values(id=1, name="dropped"))
            point.rollback()
        opened: Any = other.connection().connection.dbapi_connection
        opened.execute("PRAGMA busy_timeout = 100")
        with pytest.raises(OperationalError, match="locked"):
            other.execute(insert(ITEM).values(id=2, name="too early"))
        session.execute(insert(ITEM).values(id=3, name="kept"))
        session.commit()
    made.end()
    assert made.is_back()
    assert [row[:2] for row in made.rows(ITEM)] == [(3, "kept")]


def test_keys_of_rows_in_a_statement_are_made_at_each_execution(made: Circle) -> None:
    """The parameter of a key is not taken for a column that is called like it."""
    made.begin()
    first: list[dict[str, Any]]
    first = [{"id_m1": None}, {"id": 7, "id_m1": None}, {"id": None, "id_m1": None}, {"id_m1": 5}]
    with made.session() as session:
        others: list[list[dict[str, Any]]]
        others = [
            [{"id": 8, "id_m1": None}, {"id_m1": None}],
            [{"id_m1": 6}] * 2,
            [{"id": None}] * 2,
        ]
        for rows in (first, *others):
            session.execute(insert(WIDER).values(rows))
        several = insert(WIDER).values([{"id_m1": bindparam("n")}, {"id_m1": bindparam("m")}])
        session.execute(several, [{"n": 11, "m": 12}, {"n": 13, "m": 14}])
        session.commit()
        here = session.execute(select(WIDER.c.id, WIDER.c.id_m1).order_by(WIDER.c.id)).all()
    made.end()
    assert made.is_back()
    assert made.rows(WIDER) == list(map(tuple, here))
    assert sorted((number for _, number in here), key=str) == [11, 12, 13, 14, 5, 6, 6, *[None] * 7]
    assert {7, 8} < {key for key, _ in here}


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "error", "says"),
    [
        (
            text("INSERT INTO items (id, name, n) VALUES (5, 'x', 1)"),
            NotSupportedError,
            "construct",
        ),
        (text("CREATE TABLE other (id INT)"), NotSupportedError, "construct"),
        (insert(ITEM).values(id=5, name=func.random()), CompileError, "random"),
        (insert(ITEM).values(id=5, name=func.system.builtin.uuid()), CompileError, "uuid"),
        (insert(ITEM).values(id=5, name=func.system.builtin.now()), CompileError, "now"),
        (
            insert(ITEM).values(id=5, name=func.date("now")),
            StatementError,
            "date of 'now'",
        ),
        (insert(ITEM).values(id=5, name=func.strftime("%Y")), CompileError, "date of 'now'"),
        (insert(PART).from_select(["item_id"], select(ITEM.c.id)), NotSupportedError, "parts.id"),
        (insert(ITEM).values(id=5).returning(func.upper("a")), NotSupportedError, "RETURNING"),
        (update(ITEM).values(n=1).returning(ITEM.c.id), NotSupportedError, "RETURNING"),
        (select(ITEM.c.id).with_for_update(), CompileError, "read FOR UPDATE"),
        (insert(ITEM).values(id=5, name=b"bytes"), StatementError, "text is wanted"),
        (insert(NARROW), StatementError, r"narrow\.id .* BigInteger"),
        (insert(NARROW).values([{"n": 1}, {"n": 2}]), StatementError, r"narrow\.id .* BigInteger"),
    ],
    ids=[
        "text",
        "ddl",
        "by chance",
        "by chance, by the full name",
        "of a moment, by the full name",
        "a date of now",
        "a date of nothing",
        "keys of a select",
        "returning of an insert",
        "returning of an update",
        "for update",
        "value",
        "narrow key",
        "narrow keys of rows",
    ],
)
def test_what_the_warehouse_would_not_take_is_refused(
    made: Circle, statement: Any, error: type[Exception], says: str
) -> None:
    made.begin()
    with made.session() as session:
        with pytest.raises(error, match=says):
            session.execute(statement)
        session.rollback()
    assert made.units() == []


def test_returning_gives_what_the_client_knows(made: Circle) -> None:
    made.begin()
    statement = insert(ITEM).values(id=5, name="x").returning(ITEM.c.name, ITEM.c.id)
    with made.session() as session:
        assert session.execute(statement).all() == [("x", 5)]
        session.commit()
    made.end()
    assert made.is_back()
    assert [row[0] for row in made.rows(ITEM)] == [5]


@pytest.mark.parametrize(("model", "lacks"), [(Always, "always.id"), (Numbered, "made")])
def test_a_value_that_the_warehouse_would_make_is_asked_for(
    made: Circle, model: type[Base], lacks: str
) -> None:
    """Of what an IDENTITY or a trigger would make nothing is known here."""
    made.begin()
    with made.session() as session, pytest.raises(NotSupportedError, match=lacks):
        session.execute(insert(model).values(n=1))
    made.run(lambda session: session.execute(insert(Numbered).values(id=7, n=3, made=1)))
    made.end()
    assert made.is_back()
    assert made.rows(NUMBERED) == [(7, 6, 3, 1, "k")]


def test_a_statement_that_sqlite_refuses_is_not_kept(made: Circle) -> None:
    """A transaction may go on after an error; what has failed is no part of it."""
    made.begin()
    with made.session() as session:
        connection = session.connection()
        connection.execute(insert(ITEM).values(id=1, name="one"))
        with pytest.raises(IntegrityError):
            connection.execute(insert(ITEM).values(id=2, name="one"))
        connection.execute(insert(ITEM).values(id=3, name="three"))
        session.commit()
    made.end()
    assert made.is_back()
    assert [row[0] for row in made.rows(ITEM)] == [1, 3]


def test_autocommit_is_refused(made: Circle) -> None:
    made.begin()
    with made.session() as session, pytest.raises(Exception, match="AUTOCOMMIT"):
        session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})


def test_rows_that_are_not_here_are_not_changed(
    local_warehouse: TestWarehouse, connected: Callable[..., Engine], tmp_path: Path
) -> None:
    """A table that was never mirrored has none of its rows here but those written since."""
    with circle(local_warehouse, connected(), tmp_path / "s.db", Base.metadata, "mirrored") as made:
        made.run(filled)
        with made.session() as session:
            before = session.get_one(Item, 1)
            session.commit()
            made.begin()
            before.n = 77
            with pytest.raises((StandbyReadError, StaleDataError)):
                session.commit()
        with made.session() as session:
            new = Item(id=50, name="new")
            session.add(new)
            session.commit()
            new.n = 78
            session.commit()
            with pytest.raises(StandbyReadError, match="items"):
                session.execute(update(Item).where(Item.n > 5).values(n=1))
            session.rollback()
            with pytest.raises(StandbyReadError, match="items"):
                session.scalars(select(Item)).all()
        made.end()
        assert made.is_back()
        assert [(row[0], row[2]) for row in made.rows(ITEM)] == [(1, 1), (2, 2), (50, 78)]


@pytest.mark.parametrize("make", [update, delete])
def test_a_table_of_no_more_than_names_is_known_by_its_name(
    make: Any, local_warehouse: TestWarehouse, connected: Callable[..., Engine], tmp_path: Path
) -> None:
    named = table("items", column("id"), column("n"))
    statement = make(named).where(named.c.n > 1)
    if make is update:
        statement = statement.values(n=7)
    with circle(local_warehouse, connected(), tmp_path / "s.db", Base.metadata, "mirrored") as made:
        made.run(filled)
        made.begin()
        with made.session() as session, pytest.raises(StandbyReadError):
            session.execute(statement)
        assert made.units() == []
        made.end()
        assert made.is_back()
        refresh(made.fallback)
        made.begin()
        made.run(lambda session: session.execute(statement))
        made.end()
        assert made.is_back()
        left = [(1, 1), (2, 7)] if make is update else [(1, 1)]
        assert [(row[0], row[2]) for row in made.rows(ITEM)] == left


def test_an_object_is_not_changed_behind_a_statement_that_changes_its_table(made: Circle) -> None:
    """What it was loaded with could not be compared when the unit is sent."""
    made.begin()
    made.run(filled)
    with made.session() as session:
        item = session.get_one(Item, 1)
        session.execute(update(Item).where(Item.n > 1).values(n=Item.n + 1))
        item.price = Decimal("7.00")
        with pytest.raises(NotSupportedError, match="commit first"):
            session.commit()
        session.rollback()
        session.add(Item(id=60, name="another"))
        session.commit()
    assert len(made.units()) == 2


# --- what cannot arrive ---------------------------------------------------------------------------


def _somebody_else(made: Circle, *statements: str) -> None:
    for statement in statements:
        made.of.warehouse.sql(statement.format(schema=made.of.schema))


def test_a_key_that_somebody_else_took_is_parked_with_what_follows(made: Circle) -> None:
    reported: list[tuple[int, str]] = []
    made.fallback._on_parked = lambda entry, reason: reported.append((entry.seq, reason))
    made.run(filled)
    made.begin()
    made.run(
        lambda session: session.add(Item(id=40, name="taken")),
        lambda session: session.add(Item(id=41, name="free")),
        lambda session: session.execute(update(ITEM).where(ITEM.c.id == 40).values(n=9)),
        lambda session: session.add(Part(id=9, item_id=40)),
        lambda session: session.add(Part(id=10, item_id=41)),
    )
    made.of.warehouse.faults.clear()
    _somebody_else(
        made, "INSERT INTO {schema}.items (id, name, n, price) VALUES (39, 'taken', 1, 1)"
    )
    made.end()
    assert made.is_back()
    parked = made.units(State.PARKED)
    assert [entry.seq for entry in parked] == [1, 3, 4] == [seq for seq, _ in reported]
    assert "IntegrityError" in (parked[0].reason or "")
    assert "parked" in (parked[1].reason or "")
    assert [row[0] for row in made.rows(ITEM)] == [1, 2, 39, 41]
    assert [row[0] for row in made.rows(PART)] == [1, 2, 10]
    state = made.fallback.state()
    assert (state.goes_to, state.parked, state.waiting) == ("databricks", 3, 0)


def test_a_parked_unit_arrives_when_it_is_tried_again(made: Circle) -> None:
    made.begin()
    made.run(lambda session: session.add(Item(id=40, name="taken")))
    made.of.warehouse.faults.clear()
    _somebody_else(made, "INSERT INTO {schema}.items (id, name, n, price) VALUES (40, 'x', 1, 1)")
    made.end()
    assert made.is_back()
    (entry,) = made.units(State.PARKED)
    _somebody_else(made, "DELETE FROM {schema}.items WHERE id = 40")
    made.fallback.journal.retry([entry.seq])
    done = made.fallback.bring_back()
    assert done is not None
    assert done.units == 1
    assert made.units() == []
    assert [row[:2] for row in made.rows(ITEM)] == [(40, "taken")]


def test_a_lost_update_is_found_at_the_return(made: Circle) -> None:
    """What the object was loaded with is not there any more."""
    made.begin()
    made.run(filled, lambda session: setattr(session.get_one(Item, 1), "n", 100))
    made.of.warehouse.faults.clear()
    made.fallback.journal.park([2], "the test has it wait")
    made.end()
    assert made.is_back()
    _somebody_else(made, "UPDATE {schema}.items SET n = 90 WHERE id = 1")
    made.fallback.journal.retry([2])
    made.fallback.bring_back()
    (entry,) = made.units(State.PARKED)
    assert "StaleDataError" in (entry.reason or "")
    assert made.rows(ITEM)[0][2] == 90
