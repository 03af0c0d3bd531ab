"""Writes that may not pass each other: the same programs on SQLite and on the warehouse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Computed,
    Connection,
    Engine,
    ForeignKey,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    delete,
    event,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from tests.dialect.sides import Sides
from tests.full import part
from vinci_code.database.dialect.units.held import joined

pytestmark = part(2)


class Base(DeclarativeBase):
    pass


class Node(Base):
    __tablename__ = "node"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str | None]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("node.id"))
    best_id: Mapped[int | None] = mapped_column(ForeignKey("node.id"))
    parent: Mapped[Node | None] = relationship(remote_side=id, foreign_keys=parent_id)
    best: Mapped[Node | None] = relationship(remote_side=id, foreign_keys=best_id, post_update=True)


class Parent(Base):
    __tablename__ = "parent"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class Child(Base):
    __tablename__ = "child"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    parent_id: Mapped[int] = mapped_column(ForeignKey("parent.id"))


NODE: Any = Node.__table__
PARENT: Any = Parent.__table__
CHILD: Any = Child.__table__
BADGE = Table(
    "badge",
    Base.metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("code", String, unique=True),
    Column("boss", String, ForeignKey("badge.code")),
)
DERIVED = Table(
    "derived",
    Base.metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("a", Integer),
    Column("u", Integer, Computed("a"), unique=True),
)
PAIR = Table(
    "pair",
    Base.metadata,
    Column("a", Integer, primary_key=True, autoincrement=False),
    Column("b", Integer, primary_key=True, autoincrement=False),
    Column("c", Integer),
)
OTHERS = MetaData()
TURNED = Table(
    "pair",
    OTHERS,
    Column("a", Integer),
    Column("b", Integer),
    Column("c", Integer),
    PrimaryKeyConstraint("b", "a"),
)
PART = Table("PAIR", MetaData(), Column("a", Integer, primary_key=True), Column("c", Integer))
# It knows nothing of what refers to it.
LONELY = Table("parent", OTHERS, Column("id", Integer, primary_key=True, autoincrement=False))


@pytest.fixture
def sides(connected: Callable[..., Engine], tmp_path: Path) -> Iterator[Sides]:
    """SQLite and the warehouse, both with foreign keys."""
    both = Sides(connected(enforce_foreign_keys=True), tmp_path, MetaData())

    @event.listens_for(both.sqlite, "connect")
    def _enforce(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA foreign_keys=ON")

    both.sqlite.dispose()
    for engine in both.engines:
        Base.metadata.create_all(engine, checkfirst=False)
        with engine.begin() as connection:
            connection.execute(
                insert(NODE),
                [
                    {"id": 1, "parent_id": None},
                    {"id": 2, "parent_id": 1},
                    {"id": 3, "parent_id": None},
                    {"id": 9, "parent_id": None},
                ],
            )
            connection.execute(insert(PARENT), [{"id": 1}, {"id": 2}])
            connection.execute(
                insert(CHILD), [{"id": 1, "parent_id": 1}, {"id": 2, "parent_id": 2}]
            )
            connection.execute(
                insert(DERIVED), [{"id": 1, "a": 3}, {"id": 3, "a": 8}, {"id": 4, "a": 9}]
            )
            connection.execute(insert(PAIR), [{"a": 1, "b": 2, "c": 0}, {"a": 2, "b": 1, "c": 0}])
    yield both
    both.close()


def _set(table: Table, key: int, **values: Any) -> Any:
    return update(table).where(table.c.id == key).values(**values)


def _gone(table: Table, key: int) -> Any:
    return delete(table).where(table.c.id == key)


def _pair(table: Table, c: int) -> Any:
    return update(table).where(table.c.a == 1, table.c.b == 2).values(c=c)


PROGRAMS = {
    "a key in another order": [_pair(TURNED, 5), _pair(PAIR, 6), _pair(TURNED, 7)],
    "a part of the key": [
        _pair(PAIR, 5),
        update(PART).where(PART.c.a == 1).values(c=6),
        _pair(PAIR, 7),
    ],
    "a key in another order goes and comes": [
        delete(TURNED).where(TURNED.c.a == 1, TURNED.c.b == 2),
        insert(PAIR).values(a=1, b=2, c=5),
        delete(TURNED).where(TURNED.c.a == 1, TURNED.c.b == 2),
        insert(PAIR).values(a=1, b=2, c=6),
    ],
    "a row is moved below a new one": [
        _set(NODE, 2, parent_id=3),
        insert(NODE).values(id=50),
        _set(NODE, 3, parent_id=50),
    ],
    "a new row is moved below a later one": [
        insert(NODE).values(id=50, parent_id=None),
        insert(NODE).values(id=51, parent_id=None),
        _set(NODE, 50, parent_id=51),
    ],
    "a row is freed before it goes": [
        _gone(NODE, 9),
        _set(NODE, 2, parent_id=None),
        _gone(NODE, 1),
    ],
    "a key that is no primary key": [
        insert(BADGE).values(id=1, code="a", boss=None),
        insert(BADGE).values(id=2, code="z", boss=None),
        _set(BADGE, 2, code="b"),
        _set(BADGE, 1, boss="b"),
        insert(BADGE).values(id=3, code="c", boss="b"),
    ],
    "a parent of another Table": [
        insert(CHILD).values(id=10, parent_id=1),
        insert(LONELY).values(id=7),
        insert(CHILD).values(id=11, parent_id=7),
    ],
    "parents of a SELECT": [
        insert(CHILD).values(id=10, parent_id=1),
        insert(PARENT).from_select(["id"], select(literal(7))),
        insert(CHILD).values(id=11, parent_id=7),
    ],
    "children by a condition": [
        statement
        for key in (1, 2)
        for statement in (delete(CHILD).where(CHILD.c.parent_id == key), _gone(PARENT, key))
    ],
    "a computed value is free": [
        _set(DERIVED, 1, a=5),
        _gone(DERIVED, 4),
        _set(DERIVED, 3, a=9),
    ],
    "a computed value is changed where it was inserted": [
        insert(DERIVED).values(id=2, a=100),
        _set(DERIVED, 1, a=6),
        _set(DERIVED, 2, a=3),
    ],
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_writes_keep_their_order(name: str, sides: Sides) -> None:
    def run(connection: Connection) -> None:
        for statement in PROGRAMS[name]:
            connection.execute(statement)

    sides.both(run)
    for table in Base.metadata.sorted_tables:
        sides.rows(select(table).order_by(*table.primary_key))


def test_objects_that_refer_to_each_other(sides: Sides) -> None:
    for engine in sides.engines:
        with Session(engine) as session:
            first, second = Node(id=11), Node(id=12)
            session.add_all([first, second])
            session.flush()
            first.parent, first.best, second.best = second, second, first
            session.commit()
    assert (11, None, 12, 12) in sides.rows(select(NODE).order_by(NODE.c.id))


def test_what_refers_to_nothing_is_changed_where_it_was_inserted(sides: Sides) -> None:
    connection = sides.warehouse.connect()
    with connection, connection.begin():
        connection.execute(insert(NODE).values(id=50, name="before"))
        connection.execute(_set(NODE, 50, name="n"))
        held: Any = connection.connection.dbapi_connection
        assert len(joined(held.unit.held)) == 1
