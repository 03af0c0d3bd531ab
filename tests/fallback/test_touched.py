"""Which rows a unit of work touches, and whether another one may depend on it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Engine,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    UniqueConstraint,
    bindparam,
    delete,
    func,
    insert,
    select,
    text,
    update,
)

from tests.fallback.documents import held_of
from vinci_code.database import upsert
from vinci_code.database.fallback.coding import encode
from vinci_code.database.fallback.touched import Touched, touched

METADATA = MetaData()
USER = Table(
    "user_",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("mail", String, unique=True),
    Column("name", String),
)
ITEM = Table(
    "item",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("owner", ForeignKey("user_.id")),
    Column("n", Integer),
)
LINE = Table(
    "line",
    METADATA,
    Column("a", Integer, primary_key=True, autoincrement=False),
    Column("b", String, primary_key=True),
    Column("x", Integer),
    Column("y", Integer),
    UniqueConstraint("x", "y"),
)
NOTE = Table(
    "note",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("mail", ForeignKey("user_.mail")),
)
OF_LINE = Table(
    "of_line",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("of_b", String),
    Column("of_a", Integer),
    ForeignKeyConstraint(["of_b", "of_a"], ["line.b", "line.a"]),
)
FOLDED = Table(
    "folded",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("mail", String),
)
Index("folded_mail", func.lower(FOLDED.c.mail), unique=True)
RATIO = Table("ratio", METADATA, Column("r", Float, primary_key=True), Column("n", Integer))
PRICE = Table("price", METADATA, Column("p", Numeric(6, 2), primary_key=True), Column("n", Integer))
BARE = Table("bare", METADATA, Column("line", String))

_USER_1 = insert(USER).values(id=1, mail="a", name="x")
_NAME_1 = update(USER).where(USER.c.id == 1).values(name="y")


def _touched(engine: Engine, *statements: Any) -> Touched:
    held = held_of(engine, *(lambda c, s=s: c.execute(s) for s in statements))
    return touched(encode(held), METADATA.tables)


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [
        (_USER_1, _NAME_1, True),
        (_USER_1, insert(USER).values(id=2, mail="b"), False),
        (_NAME_1, delete(USER).where(USER.c.id == 1), True),
        (_NAME_1, update(USER).where(USER.c.id == 2).values(name="y"), False),
        # What is unique.
        (_USER_1, insert(USER).values(id=2, mail="a"), True),
        (_USER_1, update(USER).where(USER.c.id == 2).values(mail="a"), True),
        (insert(USER).values(id=1), insert(USER).values(id=2), False),
        (
            insert(LINE).values(a=1, b="x", x=1, y=2),
            insert(LINE).values(a=2, b="x", x=1, y=2),
            True,
        ),
        (
            insert(LINE).values(a=1, b="x", x=1, y=2),
            insert(LINE).values(a=2, b="x", x=2, y=2),
            False,
        ),
        (insert(LINE).values(a=1, b="x", x=1), insert(LINE).values(a=2, b="x", x=1), False),
        (
            update(LINE).where(LINE.c.a == 1, LINE.c.b == "x").values(x=1),
            insert(LINE).values(a=2, b="x", x=1, y=1),
            True,
        ),
        (insert(FOLDED).values(id=1, mail="A"), insert(FOLDED).values(id=2, mail="b"), True),
        # Keys that change.
        (update(ITEM).where(ITEM.c.id == 1).values(id=2), insert(ITEM).values(id=2), True),
        (update(ITEM).where(ITEM.c.id == 1).values(id=2), insert(ITEM).values(id=1), True),
        (update(ITEM).where(ITEM.c.id == 1).values(id=2), insert(ITEM).values(id=3), False),
        (
            update(ITEM).where(ITEM.c.id == 1).values(id=ITEM.c.id + 1),
            insert(ITEM).values(id=9),
            True,
        ),
        # Composite keys.
        (
            insert(LINE).values(a=1, b="x"),
            delete(LINE).where(LINE.c.b == "x", LINE.c.a == 1),
            True,
        ),
        (
            insert(LINE).values(a=1, b="x"),
            delete(LINE).where(LINE.c.b == "y", LINE.c.a == 1),
            False,
        ),
        # Foreign keys.
        (_USER_1, insert(ITEM).values(id=1, owner=1), True),
        (_USER_1, insert(ITEM).values(id=1, owner=2), False),
        (_USER_1, insert(ITEM).values(id=1), False),
        (_USER_1, update(ITEM).where(ITEM.c.id == 1).values(owner=1), True),
        (_USER_1, update(ITEM).where(ITEM.c.id == 1).values(n=1), False),
        (insert(ITEM).values(id=1, owner=1), insert(ITEM).values(id=2, owner=1), False),
        (insert(ITEM).values(id=1, owner=1), delete(USER).where(USER.c.id == 1), True),
        (delete(ITEM).where(ITEM.c.id == 1), delete(USER).where(USER.c.id == 1), True),
        (delete(ITEM).where(ITEM.c.id == 1), update(USER).where(USER.c.id == 1).values(id=2), True),
        (_USER_1, update(ITEM).where(ITEM.c.n > 5).values(owner=1), True),
        (_USER_1, insert(ITEM).values(id=1, owner=func.abs(2)), True),
        # By another key than the primary one, all of the table is referred to.
        (_USER_1, insert(NOTE).values(id=1, mail="b"), True),
        (_USER_1, insert(NOTE).values(id=1), False),
        (insert(LINE).values(a=1, b="x"), insert(OF_LINE).values(id=1, of_a=1, of_b="x"), True),
        (insert(LINE).values(a=1, b="x"), insert(OF_LINE).values(id=1, of_a=2, of_b="x"), False),
        # Half a key is not looked into.
        (insert(LINE).values(a=1, b="x"), insert(OF_LINE).values(id=1, of_a=2), True),
        # The table as a whole.
        (insert(ITEM).values(id=1), update(ITEM).where(ITEM.c.n > 5).values(n=1), True),
        (insert(ITEM).values(id=1), insert(BARE).from_select(["line"], select(ITEM.c.n)), True),
        (insert(BARE).values(line="x"), insert(BARE).values(line="y"), True),
        (insert(BARE).values(line="x"), insert(ITEM).values(id=1), False),
        (insert(ITEM).values(id=1), text("UPDATE what SET x = 1"), True),
        # Values that Python compares in another way.
        (insert(RATIO).values(r=1.0), insert(RATIO).values(r=2.0), True),
        (insert(PRICE).values(p=1), insert(PRICE).values(p=2), False),
        (insert(PRICE).values(p=1), insert(PRICE).values(p=1), True),
        # Upserts.
        (
            upsert(USER, [{"id": 1, "name": "x"}], keys=["id"]),
            update(USER).where(USER.c.id == 2).values(name="y"),
            False,
        ),
        (upsert(USER, [{"id": 1, "name": "x"}], keys=["id"]), _NAME_1, True),
        (
            upsert(USER, [{"id": 1, "mail": "q"}], keys=["mail"]),
            update(USER).where(USER.c.id == 2).values(name="y"),
            True,
        ),
    ],
)
def test_whether_units_may_depend_on_each_other(
    one: Any, other: Any, wanted: bool, engine: Engine
) -> None:
    first, second = _touched(engine, one), _touched(engine, other)
    assert first.meets(second) is wanted
    assert second.meets(first) is wanted
    both = Touched()
    assert not both.meets(first)
    both.update(first)
    both.update(_touched(engine, insert(ITEM).values(id=100)))
    assert both.meets(second) is (
        wanted or second.written.anything or "item" in second.written.tables
    )


def test_what_is_read_may_be_a_view_unless_the_warehouse_says_that_it_is_none(
    engine: Engine,
) -> None:
    copy = insert(BARE).from_select(["line"], select(ITEM.c.n))
    line = _touched(engine, insert(LINE).values(a=1, b="x"))
    assert _touched(engine, copy).meets(line)
    ITEM.metadata.create_all(engine, tables=[USER, ITEM, BARE], checkfirst=False)
    assert not _touched(engine, copy).meets(line)
    assert _touched(engine, copy).meets(_touched(engine, insert(ITEM).values(id=1)))


def test_a_key_that_is_null_is_any_row(engine: Engine) -> None:
    statement = update(ITEM).where(ITEM.c.id == bindparam("k")).values(n=1)
    held = held_of(engine, lambda c: c.execute(statement, {"k": None}))
    assert touched(encode(held), METADATA.tables).meets(_touched(engine, insert(ITEM).values(id=1)))


def test_a_table_that_is_not_known_is_touched_as_a_whole(engine: Engine) -> None:
    document = encode(held_of(engine, lambda c: c.execute(_USER_1)))
    other = {name: table for name, table in METADATA.tables.items() if table is not USER}
    found = touched(document, other)
    assert found.meets(_touched(engine, insert(USER).values(id=7)))
    assert not found.meets(_touched(engine, insert(LINE).values(a=1, b="x")))


def test_what_cannot_be_read_may_be_anything(engine: Engine) -> None:
    found = touched(b"{}", METADATA.tables)
    assert found.meets(_touched(engine, insert(BARE).values(line="x")))
    assert not found.meets(Touched())
