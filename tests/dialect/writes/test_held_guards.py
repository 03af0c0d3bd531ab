"""PRIMARY KEY, UNIQUE and FOREIGN KEY: what SQLite refuses is refused, and leaves the same rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Computed,
    Connection,
    DateTime,
    Engine,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    UniqueConstraint,
    bindparam,
    create_engine,
    delete,
    event,
    func,
    insert,
    update,
)
from sqlalchemy.exc import IntegrityError, NotSupportedError
from sqlalchemy.orm import Session, registry

from tests.dialect.held import count_of, rows_of
from tests.full import part
from vinci_code.warehouse.pytest_plugin import TestWarehouse

pytestmark = part(3)


METADATA = MetaData()
USER = Table(
    "user",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", String, unique=True),
    Column("first", String),
    Column("last", String),
    Column("city", String),
    Column("code", Integer),
    Column("n", Integer, nullable=False, server_default="0"),
    UniqueConstraint("first", "last", name="whole_name"),
    Index("code_index", "code", unique=True),
)
PAIR = Table(
    "pair",
    METADATA,
    Column("a", Integer, primary_key=True),
    Column("b", String, primary_key=True),
    Column("c", String),
)
TENANT = Table(
    "tenant",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", String),
    Column("deleted", Integer, server_default="0"),
    Column("folded", String, Computed("lower(name)")),
    UniqueConstraint("name", "deleted", name="live"),
    Index("folded_index", "folded", "deleted", unique=True),
)
U, P, T = USER.c, PAIR.c, TENANT.c

Unit = Callable[[Connection], Any]


def run(statement: Any, *rows: Any) -> Unit:
    """A unit of one statement."""
    return lambda connection: connection.execute(statement, list(rows) or None)


def several(*units: Unit) -> Unit:
    """A unit of several."""

    def all_of_them(connection: Connection) -> None:
        for unit in units:
            unit(connection)

    return all_of_them


def users(*ids: int, **values: Any) -> Unit:
    return run(insert(USER), *({"id": number, **values} for number in ids))


class User:
    """A row of ``USER`` as an object."""


class Tenant:
    """A row of ``TENANT`` as an object."""


for kind, table in ((User, USER), (Tenant, TENANT)):
    registry().map_imperatively(kind, table)


def flushed(kind: type[Any], key: int, **values: Any) -> Unit:
    """A unit that changes an object, whose row is known to be there."""

    def change(connection: Connection) -> None:
        with Session(connection) as session:
            changed = session.get_one(kind, key)
            for name, value in values.items():
                setattr(changed, name, value)
            session.commit()

    return change


_BY_ID = U.id == bindparam("key")
_RENAME = update(USER).where(_BY_ID).values(name=bindparam("to"))

SCENARIOS: dict[str, Sequence[Unit]] = {
    # PRIMARY KEY
    "a key twice in a statement": [users(1, 1)],
    "a key twice in a unit": [several(users(1), users(1))],
    "a key that is there": [users(1), users(2, 1)],
    "a key of other columns": [users(1), several(users(2), users(1, city="x"))],
    "a composite key": [
        run(insert(PAIR), {"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "x"}),
        run(insert(PAIR), {"a": 2, "b": "x"}),
    ],
    "a key after its deletion": [
        users(1),
        several(run(delete(USER).where(U.id == 1)), users(1, city="new")),
    ],
    "inserted, deleted, inserted": [
        several(users(1), run(delete(USER).where(U.id == 1)), users(1, city="new")),
    ],
    "a key changed to a free one": [users(1), run(update(USER).where(U.id == 1).values(id=2))],
    "a key changed to a taken one": [
        users(1, 2),
        run(update(USER).where(U.id == 1).values(id=2)),
    ],
    "a key changed to itself": [users(1), run(update(USER).where(U.id == 1).values(id=1))],
    "a key changed, and its row": [
        users(1),
        several(
            run(update(USER).where(U.id == 1).values(id=2)),
            run(update(USER).where(U.id == 2).values(city="x")),
            run(update(USER).where(U.id == 1).values(city="y")),
        ),
    ],
    "keys that move up": [
        users(1, 2, 3),
        run(
            update(USER).where(_BY_ID).values(id=bindparam("to")),
            {"key": 3, "to": 4},
            {"key": 2, "to": 3},
            {"key": 1, "to": 2},
        ),
    ],
    "a key of half a composite one": [
        run(insert(PAIR), {"a": 1, "b": "x"}, {"a": 2, "b": "x"}),
        run(update(PAIR).where(P.a == 1, P.b == "x").values(a=2)),
    ],
    "a computed key": [users(1, 2), run(update(USER).where(U.id == 1).values(id=U.id + 1))],
    "a computed key that is free": [
        users(1, 2),
        run(update(USER).where(U.id == 1).values(id=U.id + 10)),
    ],
    "computed keys in a row": [
        users(1),
        run(
            update(USER).where(_BY_ID).values(id=U.id + bindparam("more")),
            {"key": 1, "more": 1},
            {"key": 2, "more": 1},
        ),
    ],
    # UNIQUE
    "unique": [users(1, name="a"), users(2, name="a")],
    "unique in a statement": [users(1, 2, name="a")],
    "unique in a unit": [several(users(1, name="a"), users(2, name="a", city="x"))],
    "unique, NULL twice": [users(1, 2, name=None), users(3, name=None)],
    "unique, the empty text is one": [users(1, name=""), users(2, name="")],
    "unique, case": [users(1, name="a"), users(2, name="A")],
    "unique, space": [users(1, name="a"), users(2, name="a ")],
    "unique index": [users(1, code=7), users(2, code=7)],
    "composite": [users(1, first="a", last="b"), users(2, first="a", last="b")],
    "composite, half": [users(1, first="a", last="b"), users(2, first="a", last="c")],
    "composite, NULL": [users(1, first="a", last=None), users(2, first="a", last=None)],
    "changed to what is taken": [
        run(insert(USER), {"id": 1, "name": "a"}, {"id": 2, "name": "b"}),
        run(_RENAME, {"key": 2, "to": "a"}),
    ],
    "changed to itself": [users(1, name="a"), run(_RENAME, {"key": 1, "to": "a"})],
    "two changed to one": [
        users(1, 2),
        run(_RENAME, {"key": 1, "to": "a"}, {"key": 2, "to": "a"}),
    ],
    "two that are not there changed to one": [
        run(_RENAME, {"key": 1, "to": "a"}, {"key": 2, "to": "a"}),
    ],
    "one there and one not changed to one": [
        users(1),
        run(_RENAME, {"key": 1, "to": "a"}, {"key": 2, "to": "a"}),
    ],
    "handed on": [
        run(insert(USER), {"id": 1, "name": "a"}, {"id": 2, "name": "b"}),
        run(_RENAME, {"key": 1, "to": "c"}, {"key": 2, "to": "a"}),
    ],
    "given up and taken": [
        users(1, name="a"),
        several(run(delete(USER).where(U.id == 1)), users(2, name="a")),
    ],
    "given up by a change and taken": [
        users(1, name="a"),
        several(run(_RENAME, {"key": 1, "to": "b"}), users(2, name="a")),
    ],
    "taken before it is given up": [
        users(1, name="a"),
        several(users(2, name="a"), run(delete(USER).where(U.id == 1))),
    ],
    "half of a composite changed": [
        run(
            insert(USER),
            {"id": 1, "first": "a", "last": "x"},
            {"id": 2, "first": "b", "last": "x"},
        ),
        run(update(USER).where(U.id == 2).values(first="a")),
    ],
    "half of a composite changed, well": [
        run(
            insert(USER),
            {"id": 1, "first": "a", "last": "x"},
            {"id": 2, "first": "b", "last": "y"},
        ),
        run(update(USER).where(U.id == 2).values(first="a")),
    ],
    "halves changed to one": [
        run(
            insert(USER),
            {"id": 1, "first": "a", "last": "x"},
            {"id": 2, "first": "b", "last": "x"},
        ),
        run(
            update(USER).where(_BY_ID).values(first=bindparam("to")),
            {"key": 1, "to": "c"},
            {"key": 2, "to": "c"},
        ),
    ],
    "expression": [
        several(
            run(insert(USER).values(id=1, name=func.lower("A"))),
            run(insert(USER).values(id=2, name=func.lower("a"))),
        ),
    ],
    "expression that is there": [
        users(1, name="a"),
        run(insert(USER).values(id=2, name=func.lower("A"))),
    ],
    "expression in a change": [
        run(insert(USER), {"id": 1, "code": 1}, {"id": 2, "code": 2}),
        run(update(USER).where(U.id == 1).values(code=U.code + 1)),
    ],
    "expression in a change, well": [
        run(insert(USER), {"id": 1, "code": 1}, {"id": 2, "code": 2}),
        run(update(USER).where(U.id == 2).values(code=U.code + 1)),
    ],
    "condition not fulfilled by the row that is in the way": [
        run(
            insert(USER),
            {"id": 1, "name": "a", "n": 1},
            {"id": 2, "name": "b", "n": 1},
        ),
        run(
            update(USER).where(_BY_ID, U.n == bindparam("was")).values(name=bindparam("to")),
            {"key": 1, "was": 1, "to": "b"},
            {"key": 2, "was": 9, "to": "c"},
        ),
    ],
    "default": [
        run(insert(TENANT), {"id": 1, "name": "a"}),
        run(insert(TENANT), {"id": 2, "name": "a"}),
    ],
    "default in a statement": [
        run(insert(TENANT), {"id": 1, "name": "a"}, {"id": 2, "name": "a"}),
    ],
    "default against a value": [
        run(insert(TENANT), {"id": 1, "name": "a", "deleted": 1}),
        run(insert(TENANT), {"id": 2, "name": "a"}),
        run(insert(TENANT), {"id": 3, "name": "a", "deleted": 0}),
    ],
    "computed": [
        run(insert(TENANT), {"id": 1, "name": "Anna"}),
        run(insert(TENANT), {"id": 2, "name": "ANNA"}),
    ],
    "computed in a statement": [
        run(insert(TENANT), {"id": 1, "name": "Anna"}, {"id": 2, "name": "ANNA"}),
    ],
    "computed in a change": [
        run(insert(TENANT), {"id": 1, "name": "Anna"}, {"id": 2, "name": "Bert"}),
        run(update(TENANT).where(T.id == 2).values(name="anna")),
    ],
    "computed, well": [
        run(insert(TENANT), {"id": 1, "name": "Anna"}, {"id": 2, "name": "Bert"}),
        run(update(TENANT).where(T.id == 2).values(name="Carl")),
    ],
    # Objects
    "an object's name that is taken": [users(1, name="a"), users(2), flushed(User, 2, name="a")],
    "an object's name that is free": [users(1, name="a"), users(2), flushed(User, 2, name="b")],
    "half of a composite of an object": [
        users(1, first="a", last="x"),
        users(2, first="b", last="x"),
        flushed(User, 2, first="a"),
    ],
    "half of a composite of an object, well": [
        users(1, first="a", last="x"),
        users(2, first="b", last="y"),
        flushed(User, 2, first="a"),
    ],
    "an expression for an object": [
        run(insert(USER), {"id": 1, "code": 1}, {"id": 2, "code": 2}),
        flushed(User, 1, code=U.code + 1),
    ],
    "an expression for an object, well": [
        run(insert(USER), {"id": 1, "code": 1}, {"id": 2, "code": 2}),
        flushed(User, 2, code=U.code + 1),
    ],
    "computed of an object": [
        run(insert(TENANT), {"id": 1, "name": "Anna"}, {"id": 2, "name": "Bert"}),
        flushed(Tenant, 2, name="anna"),
    ],
    "computed of an object, well": [
        run(insert(TENANT), {"id": 1, "name": "Anna"}, {"id": 2, "name": "Bert"}),
        flushed(Tenant, 2, name="Carl"),
    ],
    # Whose type is not the column's
    "a float for a number": [run(insert(USER), {"id": 1}, {"id": 1.0})],
    "a float for a number that is there": [users(1), run(insert(USER), {"id": 1.0})],
    # What fails takes all of the unit with it
    "with others": [
        users(1, name="a"),
        several(
            run(insert(PAIR), {"a": 1, "b": "x"}),
            run(update(USER).where(U.id == 1).values(city="x")),
            users(2, name="a"),
        ),
    ],
}


def _outcome(engine: Engine, units: Sequence[Unit]) -> list[Any]:
    said = []
    for unit in units:
        try:
            with engine.begin() as connection:
                unit(connection)
            said.append("committed")
        except IntegrityError:
            said.append("refused")
    return [said, *(rows_of(engine, table) for table in METADATA.sorted_tables)]


@pytest.mark.parametrize("name", SCENARIOS)
def test_as_on_sqlite(name: str, tmp_path: Path, engine: Engine) -> None:
    file = create_engine(f"sqlite:///{tmp_path / 'file.db'}")
    METADATA.create_all(file)
    METADATA.create_all(engine, checkfirst=False)
    wanted = _outcome(file, SCENARIOS[name])
    file.dispose()
    assert _outcome(engine, SCENARIOS[name]) == wanted


# --- what the errors say -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        (users(1), r"UNIQUE constraint failed: user\.id \(PRIMARY KEY\): the key \(1\) is in"),
        (users(5, 5), r"user\.id \(PRIMARY KEY\): the key \(5\) is written twice"),
        (users(2, name="it's"), r"user\.name \(UNIQUE\): the key \(it's\) is in the table"),
        (
            users(2, first="a", last="b\nc"),
            r"user\.first, user\.last \(whole_name\): the key \(a, b\nc\) is in the table",
        ),
        (users(2, code=7), r"user\.code \(code_index\): the key \(7\) is in the table"),
    ],
)
def test_what_the_error_says(unit: Unit, expected: str, engine: Engine) -> None:
    METADATA.create_all(engine, checkfirst=False)
    with engine.begin() as connection:
        users(1, name="it's", first="a", last="b\nc", code=7)(connection)
    with pytest.raises(IntegrityError, match=expected) as caught, engine.begin() as connection:
        unit(connection)
    original: Any = caught.value.orig
    assert original.sqlstate == "23505"
    assert count_of(engine, USER) == 1


def test_bytes_and_moments_as_keys(engine: Engine) -> None:
    metadata = MetaData()
    table = Table(
        "kept",
        metadata,
        Column("raw", LargeBinary, primary_key=True),
        Column("at", DateTime(timezone=True), unique=True),
        Column("exact", Numeric(20, 3), unique=True),
    )
    metadata.create_all(engine, checkfirst=False)
    row: dict[str, Any] = {"raw": b"\x00\xff", "exact": Decimal("1.50")}
    with engine.begin() as connection:
        connection.execute(insert(table), [row, {"raw": bytearray(b"b"), "exact": 2}])
    with pytest.raises(IntegrityError, match=r"kept\.raw .*00FF"), engine.begin() as connection:
        connection.execute(insert(table), {**row, "exact": 9})
    with pytest.raises(IntegrityError, match=r"kept\.exact"), engine.begin() as connection:
        connection.execute(insert(table), {"raw": b"c", "exact": Decimal("1.5")})


# --- switched off --------------------------------------------------------------------------------


def test_switched_off_for_a_statement(engine: Engine, local_warehouse: TestWarehouse) -> None:
    METADATA.create_all(engine, checkfirst=False)
    for _ in range(2):
        with engine.begin() as connection:
            connection.execute(insert(USER), [{"id": 1}], execution_options={"enforce_keys": False})
    assert count_of(engine, USER) == 2
    assert "raise_error" not in local_warehouse.statements[-2]
    # What is there twice is changed twice, also in the unit that has inserted it.
    with engine.begin() as connection:
        options = {"enforce_keys": False}
        connection.execute(insert(USER), [{"id": 2}, {"id": 2}], execution_options=options)
        connection.execute(update(USER).where(U.id == 2).values(city="x"))
    assert [row[4] for row in rows_of(engine, USER)] == [None, None, "x", "x"]


def test_switched_off_for_an_engine(connected: Callable[..., Engine]) -> None:
    engine = connected(enforce_keys=False)
    METADATA.create_all(engine, checkfirst=False)
    with engine.begin() as connection:
        connection.execute(insert(USER), [{"id": 1}, {"id": 1}])
    assert count_of(engine, USER) == 2
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(insert(USER), [{"id": 1}], execution_options={"enforce_keys": True})


def test_a_name_that_statements_use(engine: Engine) -> None:
    table = Table("vinci_rows", MetaData(), Column("id", Integer, primary_key=True))
    table.create(engine)
    with (
        pytest.raises(NotSupportedError, match="another name"),
        engine.begin() as connection,
    ):
        connection.execute(insert(table), {"id": 1})


# --- FOREIGN KEY ---------------------------------------------------------------------------------

FAMILY = MetaData()
PARENT = Table(
    "parent", FAMILY, Column("id", Integer, primary_key=True), Column("name", String, unique=True)
)
CHILD = Table(
    "child",
    FAMILY,
    Column("id", Integer, primary_key=True),
    Column("parent_id", ForeignKey("parent.id")),
    Column("parent_name", ForeignKey("parent.name")),
)
NODE = Table(
    "node",
    FAMILY,
    Column("id", Integer, primary_key=True),
    Column("parent_id", ForeignKey("node.id")),
)
PLACE = Table(
    "place",
    FAMILY,
    Column("x", Integer, primary_key=True),
    Column("y", Integer, primary_key=True),
)
PIECE = Table(
    "piece",
    FAMILY,
    Column("id", Integer, primary_key=True),
    Column("x", Integer),
    Column("y", Integer),
    ForeignKeyConstraint(["x", "y"], ["place.x", "place.y"]),
)

FAMILIES: dict[str, Sequence[Unit]] = {
    "no parent": [run(insert(CHILD), {"id": 1, "parent_id": 1})],
    "NULL": [run(insert(CHILD), {"id": 1, "parent_id": None})],
    "both in a unit": [
        several(
            run(insert(PARENT), {"id": 1}),
            run(insert(CHILD), {"id": 1, "parent_id": 1}),
            run(insert(PARENT), {"id": 2}),
            run(insert(CHILD), {"id": 2, "parent_id": 2}),
        )
    ],
    "the child first": [
        several(run(insert(CHILD), {"id": 1, "parent_id": 1}), run(insert(PARENT), {"id": 1}))
    ],
    "a column that is unique": [
        run(insert(PARENT), {"id": 1, "name": "a"}),
        run(insert(CHILD), {"id": 1, "parent_name": "a"}),
        run(insert(CHILD), {"id": 2, "parent_name": "b"}),
    ],
    "changed to no parent": [
        run(insert(PARENT), {"id": 1}),
        run(insert(CHILD), {"id": 1, "parent_id": 1}),
        run(update(CHILD).where(CHILD.c.id == 1).values(parent_id=2)),
    ],
    "changed to another": [
        run(insert(PARENT), {"id": 1}, {"id": 2}),
        run(insert(CHILD), {"id": 1, "parent_id": 1}),
        run(update(CHILD).where(CHILD.c.id == 1).values(parent_id=2)),
        run(delete(PARENT).where(PARENT.c.id == 1)),
    ],
    "a parent with children": [
        run(insert(PARENT), {"id": 1}),
        run(insert(CHILD), {"id": 1, "parent_id": 1}),
        run(delete(PARENT).where(PARENT.c.id == 1)),
    ],
    "a parent after its children": [
        run(insert(PARENT), {"id": 1}, {"id": 2}),
        run(insert(CHILD), {"id": 1, "parent_id": 1}),
        several(
            run(delete(CHILD).where(CHILD.c.id == 1)), run(delete(PARENT).where(PARENT.c.id == 1))
        ),
    ],
    "a parent before its children": [
        run(insert(PARENT), {"id": 1}),
        run(insert(CHILD), {"id": 1, "parent_id": 1}),
        several(
            run(delete(PARENT).where(PARENT.c.id == 1)), run(delete(CHILD).where(CHILD.c.id == 1))
        ),
    ],
    "a tree": [
        run(insert(NODE), {"id": 1}, {"id": 2, "parent_id": 1}, {"id": 3, "parent_id": 2}),
        run(insert(NODE), {"id": 4, "parent_id": 9}),
        run(delete(NODE).where(NODE.c.id == 2)),
        run(delete(NODE).where(NODE.c.id == 3)),
    ],
    "a root of its own": [run(insert(NODE), {"id": 1, "parent_id": 1})],
    "a tree from its leaves": [
        run(insert(NODE), {"id": 1}, {"id": 2, "parent_id": 1}, {"id": 3, "parent_id": 2}),
        run(delete(NODE).where(NODE.c.id == bindparam("key")), {"key": 3}, {"key": 2}, {"key": 1}),
    ],
    "composite": [
        run(insert(PLACE), {"x": 1, "y": 2}),
        run(insert(PIECE), {"id": 1, "x": 1, "y": 2}, {"id": 2, "x": 5, "y": None}),
        run(insert(PIECE), {"id": 3, "x": 2, "y": 1}),
        run(delete(PLACE).where(PLACE.c.x == 1, PLACE.c.y == 2)),
    ],
    "half of a composite": [
        run(insert(PLACE), {"x": 1, "y": 2}),
        run(insert(PIECE), {"id": 1, "x": 1, "y": 2}),
        run(update(PIECE).where(PIECE.c.id == 1).values(x=9)),
    ],
    "a key that is referred to, changed": [
        run(insert(PARENT), {"id": 1}),
        run(insert(CHILD), {"id": 1, "parent_id": 1}),
        run(update(PARENT).where(PARENT.c.id == 1).values(id=2)),
    ],
    "computed": [
        run(insert(PARENT), {"id": 1}),
        run(insert(CHILD), {"id": 1, "parent_id": 1}),
        run(update(CHILD).where(CHILD.c.id == 1).values(parent_id=CHILD.c.parent_id + 1)),
    ],
}


@pytest.mark.parametrize("name", FAMILIES)
def test_foreign_keys_as_on_sqlite(
    name: str, tmp_path: Path, connected: Callable[..., Engine]
) -> None:
    file = create_engine(f"sqlite:///{tmp_path / 'file.db'}")
    event.listen(file, "connect", lambda raw, _: raw.execute("PRAGMA foreign_keys=ON"))
    engine = connected(enforce_foreign_keys=True)
    outcomes = []
    for side in (file, engine):
        FAMILY.create_all(side, checkfirst=False)
        said = []
        for unit in FAMILIES[name]:
            try:
                with side.begin() as connection:
                    unit(connection)
                said.append("committed")
            except IntegrityError:
                said.append("refused")
        outcomes.append([said, *(rows_of(side, table) for table in FAMILY.sorted_tables)])
    file.dispose()
    assert outcomes[1] == outcomes[0]


def test_foreign_keys_are_not_looked_at_unless_asked(engine: Engine) -> None:
    FAMILY.create_all(engine, checkfirst=False)
    with engine.begin() as connection:
        connection.execute(insert(CHILD), {"id": 1, "parent_id": 9})
    with (
        pytest.raises(IntegrityError, match=r"child\.parent_id: the key \(9\) is not in parent"),
        engine.begin() as connection,
    ):
        connection.execute(
            insert(CHILD),
            {"id": 2, "parent_id": 9},
            execution_options={"enforce_foreign_keys": True},
        )
