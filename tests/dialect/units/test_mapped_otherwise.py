"""Classes that are mapped to something else than a table, and targets that are no ``Table``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    column,
    delete,
    insert,
    join,
    select,
    table,
    update,
)
from sqlalchemy.ext.declarative import AbstractConcreteBase
from sqlalchemy.orm import DeclarativeBase, Session, column_property, configure_mappers
from sqlalchemy.orm.exc import StaleDataError

from tests.dialect.sides import Sides, sides_of

metadata = MetaData()


class Base(DeclarativeBase):
    """The base of the classes."""

    metadata = metadata


a = Table("a", metadata, Column("id", Integer, primary_key=True), Column("x", Integer))
b = Table(
    "b",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("a_id", ForeignKey("a.id")),
    Column("y", Integer),
)


class Joined(Base):
    """Rows of two tables."""

    __table__ = join(a, b)
    x: Any = a.c.x
    y: Any = b.c.y
    id = column_property(a.c.id, b.c.a_id)
    b_id = b.c.id


class OfSelect(Base):
    """Rows of a sub-query."""

    __table__ = select(a.c.id, a.c.x).where(a.c.x > 5).subquery("large")
    __mapper_args__ = {"primary_key": [__table__.c.id]}


class OfAlias(Base):
    """Rows of an alias."""

    __table__ = a.alias("other")


class Person(AbstractConcreteBase, Base):
    """Rows of two tables without a common one."""


class Manager(Person):
    """One of them."""

    __tablename__ = "manager"
    id: Any = Column(Integer, primary_key=True)
    name: Any = Column(String)
    __mapper_args__ = {"polymorphic_identity": "m", "concrete": True}


class Worker(Person):
    """The other."""

    __tablename__ = "worker"
    id: Any = Column(Integer, primary_key=True)
    name: Any = Column(String)
    __mapper_args__ = {"polymorphic_identity": "w", "concrete": True}


configure_mappers()


@pytest.fixture
def sides(engine: Engine, tmp_path: Path) -> Iterator[Sides]:
    with sides_of(engine, tmp_path, metadata) as sides:
        yield sides


def joined(session: Session) -> None:
    session.add_all([Joined(x=1, y=2), Joined(x=3, y=4)])


def joined_and_changed(session: Session) -> None:
    session.add_all([Joined(x=1, y=2), Joined(x=3, y=4)])
    session.commit()
    for row in session.scalars(select(Joined)):
        row.x += 10
        row.y += 10
    session.commit()
    session.delete(session.scalars(select(Joined).where(Joined.x == 11)).one())


def of_select(session: Session) -> None:
    session.add_all([OfSelect(x=7), OfSelect(x=8)])


def of_alias(session: Session) -> None:
    session.add_all([OfAlias(x=7), OfAlias(x=8)])


def concrete(session: Session) -> None:
    session.add_all([Manager(name="a"), Worker(name="b"), Worker(name="c")])


FLUSHES: dict[str, tuple[Callable[[Session], None], Any, list[tuple[Any, ...]]]] = {
    "a join": (joined, select(a.c.x, b.c.y).join(b), [(1, 2), (3, 4)]),
    "a join, changed": (joined_and_changed, select(a.c.x, b.c.y).join(b), [(13, 14)]),
    "a sub-query": (of_select, select(a.c.x), [(7,), (8,)]),
    "an alias": (of_alias, select(a.c.x), [(7,), (8,)]),
    "no common table": (concrete, select(Worker.name), [("b",), ("c",)]),
}


@pytest.mark.parametrize(("write", "read", "expected"), FLUSHES.values(), ids=list(FLUSHES))
def test_a_flush_writes_to_the_tables_below(
    sides: Sides,
    write: Callable[[Session], None],
    read: Any,
    expected: list[tuple[Any, ...]],
) -> None:
    for engine in sides.engines:
        with Session(engine) as session:
            write(session)
            session.commit()
    first = next(iter(read.selected_columns))
    assert sides.rows(read.order_by(first)) == expected


def test_objects_of_a_join_know_their_keys_after_the_flush(engine: Engine) -> None:
    metadata.create_all(engine)
    with Session(engine) as session:
        made = [Joined(x=1, y=2), Joined(x=3, y=4)]
        session.add_all(made)
        session.flush()
        keys = [(row.id, row.b_id) for row in made]
        session.commit()
        found = session.execute(select(a.c.id, b.c.id).join(b).order_by(a.c.x)).all()
    assert [tuple(row) for row in found] == keys


def test_names_alone_can_be_written_to(sides: Sides) -> None:
    light = table("a", column("id"), column("x"))

    def run(connection: Connection) -> None:
        connection.execute(insert(light), [{"id": 1, "x": 1}, {"id": 2, "x": 2}, {"id": 3, "x": 3}])
        connection.execute(update(light).where(light.c.id == 2).values(x=9))
        connection.execute(delete(light).where(light.c.id == 1))

    sides.both(run)
    assert sides.rows(select(a.c.id, a.c.x).order_by(a.c.id)) == [(2, 9), (3, 3)]


def test_an_alias_can_be_written_to(sides: Sides) -> None:
    sides.write(insert(a), [{"id": 1, "x": 1}, {"id": 2, "x": 2}])
    other: Any = a.alias("o")
    sides.write(update(other).where(other.c.x == 2).values(x=9))
    sides.write(delete(other).where(other.c.x == 1))
    assert sides.rows(select(a.c.id, a.c.x)) == [(2, 9)]


class Keyless(Base):
    """Rows of a table whose key only the mapper knows."""

    __table__ = Table(
        "keyless", metadata, Column("k", Integer), Column("x", String), Column("y", String)
    )
    __mapper_args__ = {"primary_key": [__table__.c.k]}


KEYLESS = Keyless.__table__


def _keyless(session: Session, key: int) -> Any:
    return session.get_one(Keyless, key)


def _changed_twice(session: Session) -> None:
    row = _keyless(session, 1)
    row.x = "b"
    session.flush()
    row.x = "c"
    _keyless(session, 2).y = "d"
    session.commit()


def _key_changed(session: Session) -> None:
    _keyless(session, 1).k = 7
    session.commit()
    _keyless(session, 7).x = "b"
    session.commit()


def _deleted(session: Session) -> None:
    session.delete(_keyless(session, 1))
    session.commit()


def _inserted_and_changed(session: Session) -> None:
    row: Any = Keyless(k=9, x="a")
    session.add(row)
    session.flush()
    row.x = "b"
    session.commit()


@pytest.mark.parametrize("change", [_changed_twice, _key_changed, _deleted, _inserted_and_changed])
def test_the_key_of_a_mapper_alone(sides: Sides, change: Callable[[Session], None]) -> None:
    sides.write(insert(KEYLESS), [{"k": 1, "x": "a"}, {"k": 2, "x": "a"}])
    for engine in sides.engines:
        with Session(engine) as session:
            change(session)
    sides.rows(select(KEYLESS).order_by(KEYLESS.c.k))


def test_the_key_of_a_mapper_that_several_rows_have(sides: Sides) -> None:
    sides.write(insert(KEYLESS), [{"k": 1, "x": "a"}, {"k": 1, "x": "b"}, {"k": 2, "x": "a"}])
    for engine in sides.engines:
        with Session(engine) as session:
            row: Any = session.scalars(select(Keyless).where(KEYLESS.c.x == "b")).one()
            row.y = "c"
            with pytest.raises(StaleDataError):
                session.commit()
    assert len(sides.rows(select(KEYLESS).where(KEYLESS.c.y.is_(None)).order_by("k", "x"))) == 3


def test_the_key_of_a_mapper_and_what_was_loaded(engine: Engine) -> None:
    metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Keyless(k=1, x="a"))
        session.commit()
        row = _keyless(session, 1)
        assert row.x == "a"
        with Session(engine) as other:
            _keyless(other, 1).x = "b"
            other.commit()
        row.x = "c"
        with pytest.raises(StaleDataError, match="keyless"):
            session.commit()
