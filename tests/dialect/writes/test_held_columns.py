"""Every column that a statement writes is checked: named, set to its default, or computed.

SQLite is the truth: the same unit runs there, and leaves the same rows, or fails as it does.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import (
    Boolean,
    Column,
    Computed,
    Connection,
    Engine,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    bindparam,
    column,
    delete,
    event,
    func,
    insert,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, NotSupportedError

from tests.dialect.held import rows_of, run_and_commit
from tests.dialect.sides import sides_of
from tests.full import part
from vinci_code.database import upsert

pytestmark = part(2)


CODE = Table(
    "code",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("code", String, server_default="x", unique=True),
    Column("n", Integer),
)
KEYED = Table(
    "keyed",
    MetaData(),
    Column("id", String, primary_key=True, server_default="k"),
    Column("u", Integer, unique=True),
    Column("n", Integer),
)
PAIR = Table(
    "pair",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("a", Integer),
    Column("s", Integer, server_default="1"),
    UniqueConstraint("a", "s"),
)
LIVE = Table(
    "live",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("mail", String),
    Column("active", Boolean, server_default="1"),
)
Index("live_mail", LIVE.c.mail, unique=True, sqlite_where=LIVE.c.active.is_(True))
FOLDED = Table(
    "folded",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("mail", String),
    Index("folded_mail", func.lower(column("mail")), unique=True),
)
NAME: Column[str] = Column("name", String)
TITLE = Table(
    "title",
    MetaData(),
    Column("id", Integer, primary_key=True),
    NAME,
    Column("n", Integer),
    Column("full", String, Computed(func.lower(NAME).concat("!")), unique=True),
)
REFERRED = MetaData()
PARENT = Table(
    "parent",
    REFERRED,
    Column("id", Integer, primary_key=True),
    Column("a", Integer),
    Column("u", Integer, Computed("a"), unique=True),
    Column("code", Integer, unique=True),
)
CHILD = Table(
    "child",
    REFERRED,
    Column("id", Integer, primary_key=True),
    Column("u", Integer, ForeignKey("parent.u")),
    Column("code", Integer, ForeignKey("parent.code")),
    Column("b", Integer),
    Column("of", Integer, Computed("b"), ForeignKey("parent.id")),
)
NODE = Table(
    "node",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("code", String, unique=True),
    Column("of", String, ForeignKey("node.code")),
)
TREE = Table(
    "tree",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("a", Integer),
    Column("code", Integer, server_default="1", unique=True),
    Column("u", Integer, Computed("a"), unique=True),
    Column("of", Integer, ForeignKey("tree.code")),
    Column("next", Integer, ForeignKey("tree.u")),
)
DEFAULTS = Table(
    "defaults",
    MetaData(),
    Column("id", String, primary_key=True, server_default="k"),
    Column("a", Integer, server_default="2"),
    Column("c", Integer, Computed("a + 1"), unique=True),
)


class Unit(NamedTuple):
    """Statements, the last of which is looked at, and whether SQLite refuses it."""

    before: tuple[Any, ...]
    last: Any
    refused: bool = True


def rows(table: Table, *given: dict[str, Any]) -> Callable[[Connection], Any]:
    return lambda connection: connection.execute(insert(table), list(given))


PARENTS = (rows(PARENT, {"id": 1, "a": 1, "code": 5}), rows(CHILD, {"id": 1, "u": 1, "code": 5}))
_RENAMED = {"id": 1, "code": "B", "of": None}
UNITS: dict[str, Unit] = {
    "the default of what is unique, twice": Unit(
        (), upsert(CODE, [{"id": 1, "n": 1}, {"id": 2, "n": 1}], keys=["id"])
    ),
    "the default of what is unique, which is there": Unit(
        (rows(CODE, {"id": 1, "code": "x"}),), upsert(CODE, [{"id": 2, "n": 1}], keys=["id"])
    ),
    "the default is that of the row itself": Unit(
        (rows(CODE, {"id": 1, "code": "x"}),),
        upsert(CODE, [{"id": 1, "n": 7}], keys=["id"]),
        refused=False,
    ),
    "the default of a key, twice": Unit(
        (), upsert(KEYED, [{"u": 1, "n": 1}, {"u": 2, "n": 1}], keys=["u"])
    ),
    "the default of a key, which is there": Unit(
        (rows(KEYED, {"id": "k", "u": 1}),), upsert(KEYED, [{"u": 2, "n": 1}], keys=["u"])
    ),
    "a part of a key becomes its default": Unit(
        (rows(PAIR, {"id": 1, "a": 1, "s": 1}, {"id": 2, "a": 1, "s": 2}),),
        upsert(PAIR, [{"id": 2}], keys=["id"], update=["s"]),
    ),
    "a part of a key becomes its default, and is free": Unit(
        (rows(PAIR, {"id": 1, "a": 1, "s": 3}, {"id": 2, "a": 1, "s": 2}),),
        upsert(PAIR, [{"id": 2}], keys=["id"], update=["s"]),
        refused=False,
    ),
    "what a condition asks for becomes its default": Unit(
        (
            rows(LIVE, {"id": 1, "mail": "m", "active": True}),
            rows(LIVE, {"id": 2, "mail": "m", "active": False}),
        ),
        upsert(LIVE, [{"id": 2}], keys=["id"], update=["active"]),
    ),
    "an index of a column that is only named": Unit(
        (rows(FOLDED, {"id": 1, "mail": "a"}, {"id": 2, "mail": "b"}),),
        update(FOLDED).where(FOLDED.c.id == 2).values(mail="A"),
    ),
    "what is computed by an expression": Unit(
        (rows(TITLE, {"id": 1, "name": "a"}, {"id": 2, "name": "b"}),),
        update(TITLE).where(TITLE.c.id == 2).values(name="A"),
    ),
    "what is computed, beside it": Unit(
        (rows(TITLE, {"id": 1, "name": "a"}),),
        upsert(TITLE, [{"id": 1, "n": 2}], keys=["id"]),
        refused=False,
    ),
    "what is computed is referred to": Unit(
        PARENTS, update(PARENT).where(PARENT.c.id == 1).values(a=9)
    ),
    "what is computed is referred to, and stays": Unit(
        PARENTS, update(PARENT).where(PARENT.c.id == 1).values(a=PARENT.c.a + 0), refused=False
    ),
    "an upsert changes what is referred to by computing": Unit(
        PARENTS, upsert(PARENT, [{"id": 1, "a": 9}], keys=["id"])
    ),
    "an upsert changes what is referred to by default": Unit(
        PARENTS, upsert(PARENT, [{"id": 1, "a": 1}], keys=["id"], update=["code"])
    ),
    "a computed reference that is inserted": Unit(
        PARENTS, insert(CHILD).values({"id": 2, "b": 7})
    ),
    "a computed reference that is changed": Unit(
        PARENTS, update(CHILD).where(CHILD.c.id == 1).values(b=7)
    ),
    "a computed reference of an upsert": Unit(
        PARENTS, upsert(CHILD, [{"id": 1, "b": 7}], keys=["id"])
    ),
    "a computed reference that is there": Unit(
        PARENTS, update(CHILD).where(CHILD.c.id == 1).values(b=1), refused=False
    ),
    "a row without a key, beside one that refers to nothing": Unit(
        (),
        (insert(NODE), [{"id": 1, "code": "A", "of": None}, {"id": 2, "code": None, "of": "A"}]),
        refused=False,
    ),
    "a row refers to the default of its own": Unit(
        (), (insert(TREE), [{"id": 1, "of": 1}]), refused=False
    ),
    "a row refers to what is computed of its own": Unit(
        (), (insert(TREE), [{"id": 1, "a": 7, "next": 7}]), refused=False
    ),
    "a row comes to refer to what is computed of its own": Unit(
        (rows(TREE, {"id": 1}),),
        (update(TREE).where(TREE.c.id == 1), {"a": 7, "next": 7}),
        refused=False,
    ),
    "a row refers to the default of none": Unit(
        (), (insert(TREE), [{"id": 1, "code": 5, "of": 1}])
    ),
    "nothing but defaults, of which others are computed": Unit((), insert(DEFAULTS), refused=False),
    "nothing but defaults, twice": Unit((rows(DEFAULTS, {}),), insert(DEFAULTS)),
    "an upsert inserts what refers to a key that it changes": Unit(
        (rows(NODE, {"id": 1, "code": "A"}),),
        upsert(NODE, [_RENAMED, {"id": 2, "code": "C", "of": "A"}], keys=["id"]),
    ),
    "an upsert inserts what refers to a key that it makes": Unit(
        (rows(NODE, {"id": 1, "code": "A"}),),
        upsert(NODE, [_RENAMED, {"id": 2, "code": "C", "of": "B"}], keys=["id"]),
        refused=False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNITS)
def test_as_on_sqlite(name: str, engine: Engine, tmp_path: Path) -> None:
    unit = UNITS[name]
    strict = engine.execution_options(enforce_foreign_keys=True)
    statement = unit.last if isinstance(unit.last, tuple) else (unit.last,)
    metadata = statement[0].table.metadata
    with sides_of(strict, tmp_path, metadata) as sides:
        event.listen(sides.sqlite, "connect", _switch_on)
        sides.sqlite.dispose()
        found = []
        for side in sides.engines:
            for before in unit.before:
                with side.begin() as connection:
                    before(connection)
            said = _said(side, *statement)
            found.append((said, [rows_of(side, table) for table in metadata.sorted_tables]))
    assert found[0][0] == ("refused" if unit.refused else "committed")
    assert found[1] == found[0]


def _switch_on(connection: Any, _: Any) -> None:
    connection.execute("PRAGMA foreign_keys = ON")


def _said(engine: Engine, *statement: Any) -> str:
    try:
        with engine.begin() as connection:
            connection.execute(*statement)
    except IntegrityError:
        return "refused"
    return "committed"


def test_what_is_computed_is_written_by_an_alias_too(engine: Engine) -> None:
    REFERRED.create_all(engine, checkfirst=False)
    other: Any = PARENT.alias()
    with engine.connect() as connection:
        with pytest.raises(NotSupportedError, match="by an alias of parent"):
            connection.execute(update(other).values(a=9))
        connection.rollback()


def test_a_key_of_another_type_may_be_referred_to(engine: Engine) -> None:
    strict = engine.execution_options(enforce_foreign_keys=True)
    REFERRED.create_all(engine, checkfirst=False)
    with strict.connect() as connection:
        for change in (update(PARENT).values(a=9), delete(PARENT)):
            with pytest.raises(DBAPIError, match="not of its column's type"):
                connection.execute(change.where(PARENT.c.id == bindparam("key")), {"key": "1.5"})
        connection.rollback()


LATER = MetaData()
OWNER = Table("owner", LATER, Column("id", Integer, primary_key=True))
OWNED = Table(
    "owned",
    LATER,
    Column("id", Integer, primary_key=True),
    Column("owner", Integer, ForeignKey("owner.id", deferrable=True, initially="DEFERRED")),
    Column("next", Integer, ForeignKey("owned.id", deferrable=True, initially="DEFERRED")),
)


def test_a_deferred_reference_is_looked_for_by_each_statement(engine: Engine) -> None:
    strict = engine.execution_options(enforce_foreign_keys=True)
    LATER.create_all(engine, checkfirst=False)
    expected = "DEFERRED, but each statement"
    own, owned = insert(OWNER).values(id=1), insert(OWNED).values(id=1, owner=1)
    with strict.connect() as connection, pytest.raises(IntegrityError, match=expected):
        run_and_commit(connection, owned, own)
    with strict.connect() as connection:
        run_and_commit(connection, own, owned)
    with strict.connect() as connection, pytest.raises(IntegrityError, match=expected):
        run_and_commit(connection, delete(OWNER), delete(OWNED))
    two: list[dict[str, Any]] = [{"id": 2, "next": 3}, {"id": 3, "next": None}]
    with strict.begin() as connection:
        connection.execute(insert(OWNED), two)
    assert rows_of(engine, OWNED) == [(1, 1, None), (2, None, 3), (3, None, None)]
