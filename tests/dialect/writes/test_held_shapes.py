"""What a compiled write does to which rows, and what is a statement of its own, with its guards."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy
from hypothesis import assume, settings
from hypothesis import given as for_any
from hypothesis import strategies as st
from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import Insert

from tests.full import some
from vinci_code.database.dialect.base import VinciDialect
from vinci_code.database.dialect.dberrors import NotSupportedError
from vinci_code.database.dialect.writes.sets import Checks
from vinci_code.database.dialect.writes.shapes import Shape, WriteKind

DIALECT = VinciDialect()
METADATA = MetaData()
T = Table(
    "t",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("a", Integer),
    Column("b", String),
    Column("version", Integer),
)
PAIR = Table(
    "pair",
    METADATA,
    Column("left", Integer, primary_key=True),
    Column("right", Integer, primary_key=True),
    Column("v", Integer),
)
BARE = Table("bare", METADATA, Column("a", Integer), Column("b", Integer))
UNIQUE = Table("unique", METADATA, Column("a", Integer, unique=True))


def shape_of(statement: Any, *keys: str) -> Shape | None:
    shape: Shape | None = statement.compile(dialect=DIALECT, column_keys=keys or None).shape
    return shape


_KEY = T.c.id == bindparam("key")

READ: dict[str, tuple[Any, WriteKind, list[str], list[str], tuple[int, ...] | None]] = {
    "insert": (insert(T).values(id=1, a=2), WriteKind.INSERT, ["id=R.a", "a=R.b"], [], (0,)),
    "insert of expressions": (
        insert(T).values(id=1, b=func.lower("X")),
        WriteKind.INSERT,
        ["id=R.a", "b=lower(R.b)"],
        [],
        (0,),
    ),
    "insert with a comment": (
        insert(T).prefix_with("/* job */").values(id=1),
        WriteKind.INSERT,
        ["id=R.a"],
        [],
        (0,),
    ),
    "insert without a key": (insert(BARE).values(a=1), WriteKind.INSERT, ["a=R.a"], [], None),
    "insert with a key of an expression": (
        insert(T).values(id=func.abs(5)),
        WriteKind.INSERT,
        ["id=abs(R.a)"],
        [],
        None,
    ),
    "update": (update(T).where(_KEY).values(a=1), WriteKind.UPDATE, ["a=R.a"], ["id"], (1,)),
    "update of a sum": (
        update(T).where(_KEY).values(a=T.c.a + 1),
        WriteKind.UPDATE,
        ["a=(t.a + R.a)"],
        ["id"],
        (1,),
    ),
    "update with a version": (
        update(T).where(_KEY, T.c.version == 1).values(a=1, version=2),
        WriteKind.UPDATE,
        ["a=R.a", "version=R.b"],
        ["id", "version"],
        (2,),
    ),
    "update of a composite key": (
        update(PAIR).where(PAIR.c.right == 1, PAIR.c.left == 2).values(v=1),
        WriteKind.UPDATE,
        ["v=R.a"],
        ["right", "left"],
        (2, 1),
    ),
    "delete": (delete(T).where(_KEY), WriteKind.DELETE, [], ["id"], (0,)),
    "delete without a key": (
        delete(BARE).where(BARE.c.a == 1, BARE.c.b == 2),
        WriteKind.DELETE,
        [],
        ["a", "b"],
        None,
    ),
}


@pytest.mark.parametrize("name", READ)
def test_what_is_read(name: str) -> None:
    statement, kind, values, matches, key = READ[name]
    shape = shape_of(statement)
    assert shape is not None
    assert shape.kind is kind
    made = [f"{item.column.name}={item.made}" for item in shape.values]
    assert [text.replace("vinci_rows", "R") for text in made] == values
    own = [f"{item.column.name}={item.own}" for item in shape.values]
    assert [text.replace("vinci_own", "R") for text in own] == values
    assert [item.column.name for item in shape.matches] == matches
    assert shape.key == key


OF_ITS_OWN: dict[str, Any] = {
    "insert from select": insert(T).from_select(["id"], select(T.c.a)),
    "insert of a sub-select": insert(T).values(id=1, a=select(func.max(T.c.a)).scalar_subquery()),
    "insert of rows of which one has an expression": insert(T).values(
        [{"id": 1, "a": 1}, {"id": 2, "a": func.abs(1)}]
    ),
    "update without a condition": update(T).values(a=1),
    "update by another column": update(T).where(T.c.a == 1).values(b="x"),
    "update by a range": update(T).where(T.c.id > 1).values(b="x"),
    "update by either": update(T).where((T.c.id == 1) | (T.c.id == 2)).values(b="x"),
    "update by a list": update(T).where(T.c.id.in_([1, 2])).values(b="x"),
    "update by half a key": update(PAIR).where(PAIR.c.left == 1).values(v=1),
    "update by a key twice": update(T).where(T.c.id == 1, T.c.id == 2).values(b="x"),
    "update by NULL": update(T).where(T.c.id == 1, T.c.a.is_(None)).values(b="x"),
    "update by a column": update(T).where(T.c.id == T.c.a).values(b="x"),
    "update by a literal": update(T).where(T.c.id == text("1")).values(b="x"),
    "update by an expression": update(T).where(T.c.id == func.abs(1)).values(b="x"),
    "update of a sub-select": (
        update(T).where(_KEY).values(a=select(func.max(BARE.c.a)).scalar_subquery())
    ),
    "update of a bare name": update(T).where(_KEY).values(a=literal_column("a + 1")),
    "update of a bare name in text": update(T).where(_KEY).values(a=text("b")),
    "update without a primary key": update(BARE).where(BARE.c.a == 1).values(b=2),
    "delete of everything": delete(T),
    "delete by another column": delete(T).where(T.c.a == 1),
    "delete by a negation": delete(T).where(T.c.id != 1),
    "delete by a sub-select": delete(T).where(T.c.id == select(BARE.c.a).scalar_subquery()),
}


@pytest.mark.parametrize("name", OF_ITS_OWN)
def test_what_is_a_statement_of_its_own(name: str) -> None:
    compiled: Any = OF_ITS_OWN[name].compile(dialect=DIALECT)
    assert compiled.shape is None
    # Where it may write a key, the statement checks it.
    is_guarded = "raise_error" in compiled.guarded(Checks()).string
    assert is_guarded == name.startswith("insert")


WRITES_KEYS: dict[str, Any] = {
    "insert of DEFAULT": insert(T).values(id=1, a=text("DEFAULT")),
    "insert of a literal column": insert(T).values(id=literal_column("1")),
    "insert of a window": insert(T).values(id=func.row_number().over()),
    "insert of EXISTS": insert(T).values(id=1, a=exists(select(BARE.c.a))),
    "insert of a CASE over a sub-select": insert(T).values(
        id=1, a=case((BARE.c.a > 1, select(BARE.c.a).scalar_subquery()), else_=1)
    ),
    "insert with a CTE": insert(T).values(
        id=select(select(BARE.c.a).cte("c").c.a).scalar_subquery()
    ),
    "insert of a function that nobody knows": insert(T).values(id=func.mine(1)),
    "update of a key by another column": update(T).where(T.c.a == 1).values(id=5),
    "update of all keys": update(T).values(id=T.c.id + 1),
    "update of a key by a list": update(T).where(T.c.id.in_([1, 2])).values(id=5),
    "update of a key from another table": (
        update(T).where(T.c.id == BARE.c.a).values(id=BARE.c.b.cast(Integer))
    ),
    "update of a key with a sub-select": (
        update(T).where(_KEY).values(id=select(func.max(T.c.id)).scalar_subquery())
    ),
}


@pytest.mark.parametrize("name", WRITES_KEYS)
def test_whatever_writes_a_key_is_guarded(name: str) -> None:
    compiled: Any = WRITES_KEYS[name].compile(dialect=DIALECT)
    assert compiled.shape is None
    assert "raise_error" in compiled.guarded(Checks()).string
    unguarded = compiled.guarded(Checks(keys=False)).string
    assert unguarded == compiled.string


REFUSED: dict[str, tuple[Any, str]] = {
    "no key": (update(UNIQUE).values(a=1), "neither a primary key nor a UNIQUE"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_guarded_is_refused(name: str) -> None:
    statement, expected = REFUSED[name]
    compiled: Any = statement.compile(dialect=DIALECT)
    with pytest.raises(NotSupportedError, match=expected):
        compiled.guarded(Checks())


def test_what_somebody_else_has_compiled_is_not_known() -> None:
    class Own(Insert):
        inherit_cache = False

    @compiles(Own, "databricks")
    def _compile(element: Any, compiler: Any, **kw: Any) -> str:
        return f"{compiler.visit_insert(element, **kw)} -- mine"

    compiled: Any = Own(T).values(id=1).compile(dialect=DIALECT)
    assert compiled.write is None
    assert compiled.shape is None


def test_several_rows_in_one_statement() -> None:
    shape = shape_of(insert(T).values([{"id": 1, "a": 1}, {"id": 2, "a": 2}]))
    assert shape is not None
    assert shape.places == ((0, 1), (2, 3))
    assert shape.rows([(1, 2, 3, 4)]) == [(1, 2), (3, 4)]


@pytest.mark.parametrize(
    ("places", "rows"),
    [
        (((0, 1, 2),), [(1, 2, 3), (4, 5, 6)]),
        (((2, 0, 1),), [(3, 1, 2), (6, 4, 5)]),
        (((0, 1), (2, 1)), [(1, 2), (3, 2), (4, 5), (6, 5)]),
        (((1,), (2,)), [(2,), (3,), (5,), (6,)]),
        (((2,),), [(3,), (6,)]),
        (((0, None, 2),), [(1, None, 3), (4, None, 6)]),
        (((None, 1),), [(None, 2), (None, 5)]),
        (((None,),), [(None,), (None,)]),
        (((),), [(), ()]),
    ],
)
def test_a_row_is_what_stands_at_its_places(places: Any, rows: Any) -> None:
    shape = replace(Shape(WriteKind.INSERT, T, "t", (), ()), places=places)
    parameters = [(1, 2, 3), (4, 5, 6)] if any(places) else [(), ()]
    assert shape.rows(parameters) == rows


def test_statements_that_can_be_sent_together() -> None:
    same = [shape_of(insert(T).values(id=n, a=n)) for n in (1, 2)]
    other = shape_of(insert(T).values(id=1, b="x"))
    more = [shape_of(update(T).where(_KEY).values(a=T.c.a + n)) for n in (1, 2)]
    less = shape_of(update(T).where(_KEY).values(a=T.c.a - 1))
    signatures = [shape.signature for shape in (*same, other, *more, less) if shape]
    assert signatures[0] == signatures[1]
    assert signatures[3] == signatures[4]
    assert len(set(signatures)) == 4


IS_2_1 = not sqlalchemy.__version__.startswith("2.0.")
_AWKWARD = st.text(
    st.sampled_from("ab`'\"?(), .=\n\\AND WHERESETVALUES:é\U0001f600"), min_size=1, max_size=8
)


@settings(max_examples=some(300, few=80))
@for_any(
    table=_AWKWARD,
    names=st.lists(_AWKWARD, min_size=2, max_size=5, unique_by=str.lower),
    schema=st.none() | _AWKWARD,
)
def test_any_names(table: str, names: list[str], schema: str | None) -> None:
    schema = schema if schema is None else schema.replace(".", "")
    # Before 2.1 SQLAlchemy gives names such as "A" and "(" one parameter.
    escapes = str.maketrans(dict(SQLCompiler.bindname_escape_characters))
    assume(IS_2_1 or len({name.translate(escapes) for name in names}) == len(names))
    key, *others = names
    built = Table(
        table,
        MetaData(),
        Column(key, Integer, primary_key=True),
        *(Column(name, Integer) for name in others),
        schema=schema or None,
    )
    inserted = shape_of(insert(built), *names)
    assert inserted is not None
    assert [item.column.name for item in inserted.values] == names
    assert inserted.key == (0,)
    values: dict[str, Any] = {name: bindparam(f"v{n}") for n, name in enumerate(others)}
    changed = shape_of(update(built).where(built.c[key] == bindparam("k")).values(values))
    assert changed is not None
    assert [item.column.name for item in changed.values] == others
    assert changed.key == (len(others),)
    sums = {name: built.c[name] + bindparam(f"v{n}") for n, name in enumerate(others)}
    summed = shape_of(update(built).where(built.c[key] == bindparam("k")).values(sums))
    assert summed is not None
    assert [len(item.binds) for item in summed.values] == [1] * len(others)
    gone = shape_of(delete(built).where(built.c[key] == bindparam("k")))
    assert gone is not None
    assert [item.column.name for item in gone.matches] == [key]
