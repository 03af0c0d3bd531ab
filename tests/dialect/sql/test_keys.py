"""Keys: made in the client where SQLite would give them out, and left alone elsewhere."""

from __future__ import annotations

import multiprocessing
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import (
    INTEGER,
    SMALLINT,
    Column,
    Engine,
    ForeignKey,
    Identity,
    Integer,
    MetaData,
    Sequence,
    String,
    Table,
    create_engine,
    event,
    func,
    insert,
    select,
)
from sqlalchemy.exc import CompileError, InvalidRequestError, StatementError
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Mapper,
    Session,
    mapped_column,
    relationship,
    validates,
)

from tests.dialect.sides import Sides, sides_of
from tests.full import part
from vinci_code.database.dialect.sql import keys
from vinci_code.database.dialect.sql.keys import NODE_BITS, ROW_STEP, KeyMaker, next_key, uuid7
from vinci_code.warehouse.pytest_plugin import TestWarehouse

pytestmark = part(2)


METADATA = MetaData()
ROW = Table(
    "row_",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", String),
)


class Base(DeclarativeBase):
    pass


class Parent(Base):
    __tablename__ = "parent"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    children: Mapped[list[Child]] = relationship(back_populates="parent")


class Child(Base):
    __tablename__ = "child"

    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int] = mapped_column(ForeignKey("parent.id"))
    parent: Mapped[Parent] = relationship(back_populates="children")


class Named(Base):
    __tablename__ = "named"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7)


@pytest.fixture
def sides(engine: Engine, tmp_path: Path) -> Iterator[Sides]:
    with sides_of(engine, tmp_path, METADATA) as made:
        yield made


# --- the numbers ----------------------------------------------------------------------------------


def test_each_key_is_greater_than_the_one_before() -> None:
    made = KeyMaker()
    keys = [made() for _ in range(20_000)]
    assert sorted(set(keys)) == keys
    assert all(0 < key < 1 << 63 for key in keys)


def test_keys_grow_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    before = KeyMaker()()
    later = time.time_ns() + 5_000_000
    monkeypatch.setattr(time, "time_ns", lambda: later)
    assert KeyMaker()() > before


def test_a_burst_runs_ahead_of_the_clock_and_stays_unique() -> None:
    made = KeyMaker()
    first = made()
    for _ in range(5000):
        last = made()
    assert (last >> NODE_BITS) - (first >> NODE_BITS) >= 5000


def test_the_keys_of_a_statement_are_none_of_the_makers() -> None:
    made = KeyMaker()
    own = made() & (ROW_STEP - 1)
    assert all(made.base() & (ROW_STEP - 1) != own for _ in range(1000))


def _keys(count: int) -> list[int]:
    return [next_key() for _ in range(count)]


def test_no_key_comes_twice_in_eight_processes() -> None:
    # Forked, so that every child begins with the state of this process.
    next_key()
    with multiprocessing.get_context("fork").Pool(8) as pool:
        made = pool.map(_keys, [10_000] * 8)
    assert len({key for keys in made for key in keys}) == 80_000


PLACE, OTHER = ("t", "id"), ("t", "other")


def test_keys_that_one_write_has_claimed_prove_it() -> None:
    made = KeyMaker()
    first, second, third = (made.for_row() for _ in range(3))
    assert not made.proves_at(PLACE)
    made.claim([first, 1, second, None], PLACE)
    assert made.proves_at(PLACE)
    assert not made.proves_at(OTHER)
    # By fewer and by more keys than are remembered.
    assert made.written_once([first], PLACE) == [first]
    assert made.written_once([third], PLACE) == []
    assert made.written_once([first], OTHER) == []
    assert made.written_once([4, 3, third, second, 1], PLACE) == [second]
    assert made.written_once([4, 3, third, second, 1], OTHER) == []
    assert made.written_once([made(), made()], PLACE) == []


def test_keys_that_two_writes_have_claimed_prove_neither() -> None:
    made = KeyMaker()
    first, second = made.for_row(), made.for_row()
    made.claim([first, second], PLACE)
    made.claim([first], OTHER)
    assert made.written_once([first, second], PLACE) == [first, second]
    made.claim([first], PLACE)
    assert made.written_once([first, second], PLACE) == [second]
    made.claim([first], PLACE)
    assert made.written_once([first, second], PLACE) == [second]


@pytest.mark.parametrize(
    ("doubted", "left"),
    [
        ({}, []),
        ({"places": []}, [0, 1, 2]),
        ({"places": [PLACE]}, []),
        ({"places": [OTHER]}, [0, 1]),
        ({"keys": []}, [0, 1, 2]),
        ({"keys": [0]}, [1, 2]),
        ({"keys": [2]}, [0, 1]),
        ({"places": [PLACE], "keys": [1, 2]}, [0]),
        ({"places": [OTHER], "keys": [1, 2]}, [0, 1]),
        ({"places": [], "keys": [0, 2]}, [0, 1, 2]),
    ],
)
def test_what_is_doubted_proves_nothing(doubted: dict[str, Any], left: list[int]) -> None:
    made = KeyMaker()
    all_keys = [made.for_row() for _ in range(3)]
    made.claim(all_keys[:2], PLACE)
    if "keys" in doubted:
        doubted = {**doubted, "keys": [all_keys[number] for number in doubted["keys"]]}
    made.doubt(**doubted)
    made.claim(all_keys[2:], PLACE)  # no write held it before
    assert made.written_once(all_keys, PLACE) == [all_keys[number] for number in left]


def test_the_newest_keys_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_REMEMBERED", 3)
    made = KeyMaker()
    # Those that no write holds yet are forgotten when there are twice as many.
    all_keys = [made.for_row() for _ in range(6)]
    made.claim(all_keys[:2], PLACE)
    assert made.written_once(all_keys, PLACE) == all_keys[:2]
    all_keys += [made.for_row() for _ in range(3)]
    made.claim(all_keys[2:], PLACE)
    assert made.written_once(all_keys, PLACE) == all_keys[-3:]


def _proofs(key: int) -> list[int]:
    next_key.claim([key], PLACE)
    return next_key.written_once([key], PLACE)


def test_a_key_that_was_made_before_a_fork_proves_nothing_in_either_process() -> None:
    key, other = next_key.for_row(), next_key.for_row()
    assert _proofs(other) == [other]
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(_proofs, (key,)) == []
    assert _proofs(key) == []


def test_a_clock_that_is_wrong_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    with pytest.raises(OverflowError, match="clock"):
        KeyMaker()()


@pytest.mark.parametrize("bit", [0, 1])
def test_a_uuid_of_version_7_is_a_time_and_otherwise_random(
    bit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 0x0123_4567_89AB * 1_000_000 + 999_999)
    randbits = SimpleNamespace(randbits=lambda count: bit * ((1 << count) - 1))
    monkeypatch.setattr(keys, "secrets", randbits)
    made = uuid7()
    assert str(made) == (
        "01234567-89ab-7fff-bfff-ffffffffffff" if bit else "01234567-89ab-7000-8000-000000000000"
    )
    assert (made.version, made.variant) == (7, uuid.RFC_4122)


def test_uuids_of_version_7_grow_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    first = uuid7()
    later = time.time_ns() + 2_000_000
    monkeypatch.setattr(time, "time_ns", lambda: later)
    second = uuid7()
    assert (first.version, first.variant) == (7, uuid.RFC_4122)
    assert str(second) > str(first)
    assert abs((first.int >> 80) - time.time() * 1000) < 60_000


# --- INSERT ---------------------------------------------------------------------------------------


def test_the_key_is_known_after_an_insert(engine: Engine) -> None:
    METADATA.create_all(engine)
    with engine.begin() as connection:
        result = connection.execute(insert(ROW), {"name": "a"})
        [key] = tuple(result.inserted_primary_key or ())
        assert connection.execute(select(ROW)).all() == [(key, "a")]
        assert key > 1 << 40


def test_values_in_the_statement(sides: Sides) -> None:
    sides.write(insert(ROW).values(name="a"))
    sides.write(insert(ROW).values(name=func.lower("B")))
    assert sides.rows(select(ROW.c.name).order_by(ROW.c.id)) == [("a",), ("b",)]


def test_many_rows(sides: Sides) -> None:
    sides.write(insert(ROW), [{"name": f"n{number:03}"} for number in range(300)])
    rows = sides.rows(select(ROW.c.name).order_by(ROW.c.id))
    assert [name for [name] in rows] == [f"n{number:03}" for number in range(300)]
    assert sides.value(select(func.count(func.distinct(ROW.c.id)))) == 300


def test_rows_in_the_statement(sides: Sides) -> None:
    statement = insert(ROW).values([{"name": "a"}, {"name": "b"}])
    for _ in range(2):
        sides.write(statement)
    assert sides.value(select(func.count(func.distinct(ROW.c.id)))) == 4


def test_rows_of_which_some_have_keys(sides: Sides) -> None:
    sides.write(insert(ROW).values([{"id": 1, "name": "a"}, {"id": None, "name": "b"}]))
    assert sides.value(select(func.count(func.distinct(ROW.c.id)))) == 2
    assert sides.value(select(ROW.c.name).where(ROW.c.id == 1)) == "a"


def test_rows_that_are_tuples(sides: Sides) -> None:
    sides.write(insert(ROW).values([(None, "a"), (None, "b")]))
    sides.write(insert(ROW).values([[5, "c"], [None, "d"]]))
    sides.write(insert(ROW).values((None, "e")))
    assert sides.value(select(func.count(func.distinct(ROW.c.id)))) == 5
    assert sides.rows(select(ROW.c.name).order_by(ROW.c.name)) == [(name,) for name in "abcde"]
    assert sides.value(select(ROW.c.name).where(ROW.c.id == 5)) == "c"


NARROW = Table(
    "narrow", MetaData(), Column("id", INTEGER, primary_key=True), Column("name", String)
)


class Narrow(DeclarativeBase):
    pass


class Short(Narrow):
    __tablename__ = "short"

    id: Mapped[int] = mapped_column(SMALLINT, primary_key=True)
    name: Mapped[str]


@pytest.mark.parametrize(
    "statement",
    [
        (insert(NARROW), {"name": "a"}),
        (insert(NARROW), [{"id": 1, "name": "a"}, {"id": None, "name": "b"}]),
        (insert(NARROW).values([{"name": "a"}, {"name": "b"}]),),
        (insert(NARROW).from_select(["name"], select(NARROW.c.name)),),
    ],
)
def test_a_key_that_its_column_cannot_hold_is_not_made(
    engine: Engine, statement: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING"):
        NARROW.metadata.create_all(engine, checkfirst=False)
    assert "the key narrow.id has less than the 63 bits" in caplog.text
    with engine.connect() as connection:
        with pytest.raises((CompileError, StatementError), match=r"narrow\.id .* BigInteger"):
            connection.execute(*statement)
        connection.execute(insert(NARROW), {"id": 7, "name": "given"})
        connection.commit()
        assert connection.execute(select(NARROW)).all() == [(7, "given")]


def test_a_flush_makes_no_key_that_its_column_cannot_hold(engine: Engine) -> None:
    Narrow.metadata.create_all(engine, checkfirst=False)
    with Session(engine) as session:
        session.add(Short(name="a"))
        with pytest.raises(CompileError, match=r"short\.id .* BigInteger"):
            session.flush()
        session.rollback()
        session.add(Short(id=1, name="a"))
        session.commit()


def test_a_given_key_is_taken(sides: Sides) -> None:
    sides.write(insert(ROW), {"id": 5, "name": "a"})
    sides.write(insert(ROW).values(id=6, name="b"))
    sides.write(insert(ROW), [{"id": 7, "name": "c"}, {"id": 8, "name": "d"}])
    assert sides.rows(select(ROW).order_by(ROW.c.id)) == [(5, "a"), (6, "b"), (7, "c"), (8, "d")]


def test_none_is_no_key(sides: Sides) -> None:
    sides.write(insert(ROW), [{"id": None, "name": "a"}, {"id": 3, "name": "b"}])
    sides.write(insert(ROW).values(id=None, name="c"))
    assert sides.value(select(func.count(ROW.c.id))) == 3


def test_a_row_of_defaults(sides: Sides) -> None:
    sides.write(insert(ROW))
    assert sides.rows(select(ROW.c.name)) == [(None,)]


def test_keys_for_the_rows_of_a_select(sides: Sides) -> None:
    sides.write(insert(ROW), [{"name": "a"}, {"name": "b"}])
    for _ in range(3):
        sides.write(insert(ROW).from_select(["name"], select(ROW.c.name)))
    assert sides.value(select(func.count(func.distinct(ROW.c.id)))) == 16
    assert sides.rows(select(ROW.c.name, func.count()).group_by(ROW.c.name).order_by("name")) == [
        ("a", 8),
        ("b", 8),
    ]


def test_the_same_statement_makes_new_keys_each_time(engine: Engine) -> None:
    METADATA.create_all(engine)
    with engine.begin() as connection:
        for name in "abc":
            connection.execute(insert(ROW).values(name=name))
        assert connection.scalar(select(func.count(func.distinct(ROW.c.id)))) == 3


# --- ORM ------------------------------------------------------------------------------------------


def test_the_orm_knows_the_keys_after_the_flush(engine: Engine) -> None:
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        parent = Parent(name="p", children=[Child(), Child()])
        session.add(parent)
        session.flush()
        assert parent.id > 0
        assert {child.parent_id for child in parent.children} == {parent.id}
        session.commit()
        key = parent.id
    with Session(engine) as session:
        found = session.get_one(Parent, key)
        assert len(found.children) == 2


def test_the_orm_inserts_in_bulk(engine: Engine) -> None:
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.execute(insert(Parent), [{"name": f"{number}"} for number in range(20)])
        session.execute(insert(Parent).values([{"name": "x"}, {"name": "y"}]))
        session.bulk_save_objects([Parent(name="z")])
        session.commit()
        assert session.scalar(select(func.count(func.distinct(Parent.id)))) == 23


def test_uuid_keys(engine: Engine) -> None:
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([Named(), Named()])
        session.commit()
        assert {named.id.version for named in session.scalars(select(Named))} == {7}


# --- IDENTITY and sequences -----------------------------------------------------------------------


def test_identity_is_left_to_the_warehouse(engine: Engine, local_warehouse: TestWarehouse) -> None:
    metadata = MetaData()
    table = Table(
        "numbered",
        metadata,
        Column("id", Integer, Identity(always=True, start=100, increment=10), primary_key=True),
        Column("name", String),
    )
    metadata.create_all(engine)
    [create] = [text for text in local_warehouse.statements if "CREATE" in text]
    assert "id BIGINT GENERATED ALWAYS AS IDENTITY (START WITH 100 INCREMENT BY 10)" in create
    assert "catalogManaged" not in create
    with engine.begin() as connection:
        connection.execute(insert(table), [{"name": "a"}, {"name": "b"}])
        assert connection.execute(insert(table), {"name": "c"}).inserted_primary_key == (None,)
    with engine.connect() as connection:
        keys = connection.scalars(select(table.c.id).order_by(table.c.id)).all()
    assert len(set(keys)) == 3
    assert all(key >= 100 and key % 10 == 0 for key in keys)


def test_a_flush_that_cannot_learn_its_key_writes_nothing(engine: Engine) -> None:
    class Own(DeclarativeBase):
        pass

    class Numbered(Own):
        __tablename__ = "numbered"
        id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
        name: Mapped[str | None]

    Own.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Numbered())
        with pytest.raises(InvalidRequestError, match="Leave always=True out"):
            session.flush()
        session.rollback()
        assert session.scalar(select(func.count()).select_from(Numbered)) == 0
        # What the message advises works, for one row as for many.
        session.execute(insert(Numbered), [{"name": "a"}])
        session.execute(insert(Numbered), [{"name": "b"}, {"name": "c"}])
        session.execute(insert(Numbered).values(name="d"))
        session.commit()
        assert session.scalar(select(func.count(func.distinct(Numbered.id)))) == 4


def test_an_identity_that_takes_keys_gets_those_of_the_client(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    class Own(DeclarativeBase):
        pass

    class Numbered(Own):
        __tablename__ = "numbered"
        id: Mapped[int] = mapped_column(Identity(start=5), primary_key=True)
        name: Mapped[str | None]

    Own.metadata.create_all(engine)
    assert any("GENERATED BY DEFAULT AS IDENTITY" in text for text in local_warehouse.statements)
    with Session(engine) as session:
        objects = [Numbered(name="a"), Numbered(name="b"), Numbered(id=7, name="c")]
        session.add_all(objects)
        session.flush()
        keys = [item.id for item in objects]
        assert keys[0] < keys[1]
        assert keys[2] == 7
        session.execute(insert(Numbered), [{"name": "d"}, {"name": "e"}])
        table = Own.metadata.tables["numbered"]
        made = session.connection().execute(insert(table), {"name": "f"}).inserted_primary_key
        session.commit()
        found = {row.name: row.id for row in session.execute(select(Numbered.name, Numbered.id))}
        assert [found["a"], found["b"], found["c"]] == keys
        assert made == (found["f"],)
        assert len(set(found.values())) == 6
        objects[0].name = "changed"
        session.commit()
        assert session.get_one(Numbered, keys[0]).name == "changed"


def test_a_sequence_is_refused_with_the_reason(engine: Engine) -> None:
    metadata = MetaData()
    table = Table("s", metadata, Column("id", Integer, Sequence("seq"), primary_key=True))
    with pytest.raises(CompileError, match="no sequences"):
        metadata.create_all(engine)
    with engine.connect() as connection, pytest.raises(CompileError, match="Identity"):
        connection.execute(insert(table))


def test_an_optional_sequence_is_none(engine: Engine) -> None:
    metadata = MetaData()
    table = Table(
        "s",
        metadata,
        Column("id", Integer, Sequence("seq", optional=True), primary_key=True),
        Column("name", String),
    )
    metadata.create_all(engine)
    with engine.begin() as connection:
        result: Any = connection.execute(insert(table), {"name": "a"})
        assert result.inserted_primary_key[0] > 0


# --- beside the application's own listeners ------------------------------------------------------


class Listened(Base):
    __tablename__ = "listened"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    number: Mapped[int | None]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "listened"}

    @validates("id")
    def _refuse(self, name: str, value: int) -> int:
        if value < 0:
            raise ValueError("a key is no negative number")
        if value > 1 << 20:
            raise ValueError("the database gives out the keys")
        return value


class ListenedToo(Listened):
    __mapper_args__ = {"polymorphic_identity": "too"}


def _own_key(mapper: Any, connection: Any, target: Any) -> None:
    if type(target).__name__.startswith("Listened") and target.id is None and target.number:
        target.id = 7000 + target.number


@pytest.fixture(params=["sqlite", "warehouse"])
def either(request: pytest.FixtureRequest, engine: Engine, tmp_path: Path) -> Iterator[Engine]:
    """An engine on either database, with the table of the classes that are listened to."""
    on_sqlite = request.param == "sqlite"
    made = create_engine(f"sqlite:///{tmp_path / 'keys.db'}") if on_sqlite else engine
    Listened.__table__.create(made)  # type: ignore[attr-defined]
    yield made
    made.dispose()


@pytest.mark.parametrize("kind", [Listened, ListenedToo])
@pytest.mark.parametrize("propagate", [True, False])
@pytest.mark.parametrize("of_all", [True, False])
def test_a_key_that_a_listener_makes_stays(
    either: Engine, kind: type[Listened], propagate: bool, of_all: bool
) -> None:
    on: Any = Mapper if of_all else Listened if propagate else kind
    with Session(either) as session:
        # The listener comes after a first flush, and so is the last one that was registered.
        session.add(kind())
        session.flush()
        event.listen(on, "before_insert", _own_key, propagate=propagate and not of_all)
        try:
            session.add_all([kind(number=1), kind(number=2), kind()])
            session.commit()
        finally:
            event.remove(on, "before_insert", _own_key)
        found = session.execute(
            select(Listened.id, Listened.number).where(Listened.number.is_not(None))
        )
        assert sorted(map(tuple, found)) == [(7001, 1), (7002, 2)]
        assert session.scalar(select(func.count()).select_from(Listened)) == 4


def test_nobody_hears_of_a_key_that_is_made(either: Engine) -> None:
    heard: list[Any] = []

    def hear(*arguments: Any) -> None:
        heard.append(arguments[1:])

    def look(mapper: Any, connection: Any, target: Any) -> None:
        heard.append(target.id)

    event.listen(Listened.id, "set", hear)
    event.listen(Listened, "before_insert", look)
    try:
        with Session(either) as session:
            session.add_all([row := Listened(), Listened()])
            session.flush()
            assert heard == [None, None]
            assert row.id is not None
            session.commit()
            assert session.get_one(Listened, row.id) is row
    finally:
        event.remove(Listened.id, "set", hear)
        event.remove(Listened, "before_insert", look)


def test_a_class_that_is_mapped_later_gets_its_keys(engine: Engine) -> None:
    class Later(DeclarativeBase):
        pass

    class Late(Later):
        __tablename__ = "late"

        id: Mapped[int] = mapped_column(primary_key=True)

    Later.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([Late(), Late()])
        session.flush()
        session.commit()
        assert session.scalar(select(func.count()).select_from(Late)) == 2
