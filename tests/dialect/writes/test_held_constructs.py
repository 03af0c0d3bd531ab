"""Every compiled write keeps what is unique, whatever its values and conditions are.

SQLite is the truth: the same unit runs there, and leaves the same rows, or fails as it does.
"""

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
    bindparam,
    case,
    create_engine,
    delete,
    event,
    exists,
    func,
    insert,
    literal_column,
    null,
    select,
    text,
    update,
)
from sqlalchemy.exc import CompileError, DBAPIError, IntegrityError, NotSupportedError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.sql.dml import Insert

from tests.dialect.held import rows_of
from tests.full import part
from vinci_code.database.upserts import upsert
from vinci_code.warehouse.pytest_plugin import TestWarehouse

pytestmark = part(5)


METADATA = MetaData()
THING = Table(
    "thing",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("u", Integer, unique=True),
    Column("x", Integer),
    Column("s", String),
)
OTHER = Table(
    "other",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("x", Integer),
    Column("thing_id", ForeignKey("thing.id")),
)
NODE = Table(
    "node",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("parent_id", ForeignKey("node.id")),
)
KEYLESS = Table("keyless", METADATA, Column("u", Integer, unique=True))
ALL = (THING, OTHER, NODE)
T, P = THING.c, OTHER.c
HIGHEST = select(func.max(T.x)).scalar_subquery()
LOWEST_ID = select(func.min(T.id)).scalar_subquery()
FIRST_OF_CTE = select(select(T.id).cte("c").c.id).limit(1).scalar_subquery()
HIGHEST_U = select(func.max(T.u)).scalar_subquery()

Unit = Callable[[Connection], Any]


def run(*statements: Any) -> Unit:
    """A unit of statements; a tuple is a statement with its parameters."""

    def unit(connection: Connection) -> None:
        for statement in statements:
            if isinstance(statement, tuple):
                connection.execute(*statement)
            else:
                connection.execute(statement)

    return unit


@pytest.fixture(params=["transactions", "none"])
def warehouse(
    request: pytest.FixtureRequest,
    local_warehouse: TestWarehouse,
    without_transactions: TestWarehouse,
) -> TestWarehouse:
    """A warehouse with transactions, and one without."""
    return local_warehouse if request.param == "transactions" else without_transactions


@pytest.fixture
def sides(
    warehouse: TestWarehouse, connected: Callable[..., Engine], tmp_path: Path
) -> Iterator[tuple[Engine, Engine]]:
    """SQLite and the warehouse, with the same rows."""
    sqlite = create_engine(f"sqlite:///{tmp_path / 'side.db'}")
    event.listen(sqlite, "connect", lambda c, _: c.execute("PRAGMA foreign_keys=ON"))
    engines = (sqlite, connected(warehouse, enforce_foreign_keys=True))
    for engine in engines:
        METADATA.create_all(engine)
        with engine.begin() as connection:
            rows = [{"id": n, "u": n, "x": n, "s": "ab"[n - 1]} for n in (1, 2)]
            connection.execute(insert(THING), rows)
        with engine.begin() as connection:
            connection.execute(insert(OTHER), [{"id": 1, "x": 4, "thing_id": 1}])
    yield engines
    sqlite.dispose()


def outcome(engine: Engine, unit: Unit) -> tuple[str, list[Any]]:
    """How a unit ends, and the rows that there are then."""
    try:
        with engine.begin() as connection:
            unit(connection)
        ending = "committed"
    except IntegrityError:
        ending = "IntegrityError"
    except DBAPIError as error:
        ending = type(error.orig).__name__
    return ending, [rows_of(engine, table) for table in ALL]


BROKEN: dict[str, Unit] = {
    "scalar sub-select": run(insert(THING).values(id=1, x=HIGHEST)),
    "rows of differing form": run(
        insert(THING).values([{"id": 1, "x": func.abs(-5)}, {"id": 8, "x": 7}])
    ),
    "key twice among rows of differing form": run(
        insert(THING).values([{"id": 7, "x": func.abs(-5)}, {"id": 7, "x": 7}])
    ),
    "sub-select for the key": run(insert(THING).values(id=LOWEST_ID)),
    "EXISTS": run(insert(THING).values(id=1, x=exists(select(T.id)))),
    "CASE": run(insert(THING).values(id=case((HIGHEST > 1, 2), else_=9))),
    "function that is not known": run(insert(THING).values(id=func.length(func.hex("a")))),
    "DEFAULT": run(insert(THING).values(id=1, x=literal_column("NULL"))),
    "literal column": run(insert(THING).values(id=literal_column("1"), x=2)),
    "text": run(insert(THING).values(id=text("1 + 1"))),
    "CTE": run(insert(THING).values(id=FIRST_OF_CTE)),
    "comment": run(insert(THING).prefix_with("/* job */").values(id=1)),
    "INSERT … SELECT": run(insert(THING).from_select(["id", "x"], select(P.id, P.x))),
    "INSERT … SELECT of what is unique twice": run(
        insert(THING).from_select(["id", "u"], select(T.id + 10, T.id - T.id + 7))
    ),
    "INSERT … SELECT with a CTE": run(
        insert(THING).from_select(["id"], select(select(P.id).cte("c").c.id))
    ),
    "INSERT … UNION": run(
        insert(THING).from_select(["id"], select(P.id).union_all(select(P.id + 5)))
    ),
    "UPDATE with a sub-select": run(update(THING).where(T.id == 1).values(u=HIGHEST_U)),
    "UPDATE by a list": run(update(THING).where(T.id.in_([1, 2])).values(u=9)),
    "UPDATE of all": run(update(THING).values(u=9)),
    "UPDATE by another column": run(update(THING).where(T.x == 1).values(u=2)),
    "UPDATE of the key": run(update(THING).where(T.x == 2).values(id=1)),
    "UPDATE by a range": run(update(THING).where(T.x > 1).values(u=1)),
    "UPDATE with a literal column": run(
        update(THING).where(T.x == 1).values(u=literal_column("2"))
    ),
    "UPDATE by EXISTS": run(
        update(THING).where(exists().where(P.thing_id == T.id)).values(u=2)
    ),
    "UPDATE with EXISTS": run(
        update(THING).values(u=case((exists().where(P.x == 4), 2), else_=T.u))
    ),
    "UPDATE by key, computed": run(update(THING).where(T.id == 1).values(u=T.u + 1)),
    "UPDATE by key, of another column": run(update(THING).where(T.id == 1).values(u=T.x + 1)),
    "UPDATE of many by key": run(
        (update(THING).where(T.id == bindparam("k")).values(u=bindparam("v")),
         [{"k": 1, "v": 5}, {"k": 2, "v": 5}])
    ),
    "reference that is computed": run(
        insert(OTHER).values(id=5, thing_id=select(func.max(T.id) + 5).scalar_subquery())
    ),
    "reference changed by a condition": run(update(OTHER).where(P.x == 4).values(thing_id=77)),
    "DELETE by a condition of what is referred to": run(delete(THING).where(T.x == 1)),
    "DELETE of all": run(delete(THING)),
    "UPDATE by a condition of what is referred to": run(
        update(THING).where(T.x == 1).values(id=9)
    ),
    "upsert that changes what is referred to": lambda connection: connection.execute(
        upsert(THING, [{"u": 1, "id": 9}], keys=["u"], update=["id"])
    ),
    "child before its parent": run(
        (insert(NODE), [{"id": 2, "parent_id": 1}, {"id": 1, "parent_id": None}])
    ),
    "upsert of a child before its parent": lambda connection: connection.execute(
        upsert(NODE, [{"id": 3, "parent_id": 2}, {"id": 2, "parent_id": 3}], keys=["id"])
    ),
    "upsert of a reference": lambda connection: connection.execute(
        upsert(OTHER, [{"id": 1, "thing_id": 99}], keys=["id"])
    ),
    "child before its parent, in two statements": run(
        insert(NODE).values(id=2, parent_id=1), insert(NODE).values(id=1, parent_id=None)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_constraint_is_an_error(sides: tuple[Engine, Engine], name: str) -> None:
    sqlite, warehouse = (outcome(engine, BROKEN[name]) for engine in sides)
    assert sqlite[0] == "IntegrityError"
    if warehouse[0] == "AtomicityError" and name.startswith("upsert"):
        # Several statements, and no transactions: refused, with nothing written.
        warehouse = (sqlite[0], warehouse[1])
    assert warehouse == sqlite


KEPT: dict[str, Unit] = {
    "scalar sub-select": run(insert(THING).values(id=3, u=5, x=HIGHEST)),
    "rows of differing form": run(
        insert(THING).values([{"id": 3, "x": func.abs(-5)}, {"id": 8, "x": 7}])
    ),
    "literal column": run(insert(THING).values(id=literal_column("7"), x=2)),
    "INSERT … SELECT": run(insert(THING).from_select(["id", "x"], select(P.id + 6, P.x))),
    "INSERT … SELECT with NULL for what is unique": run(
        insert(THING).from_select(["id"], select(T.id + 10))
    ),
    "UPDATE with a sub-select": run(
        update(THING).where(T.id == 1).values(u=select(func.max(T.u) + 1).scalar_subquery())
    ),
    "UPDATE by a list": run(update(THING).where(T.id.in_([1, 7])).values(u=9)),
    "UPDATE with EXISTS of what is there": run(
        update(THING).where(T.x == 1).values(u=case((exists().where(T.x == 2), 33)))
    ),
    "UPDATE with EXISTS of what is not there": run(
        update(THING).where(T.x == 1).values(u=case((~exists(select(P.id).where(P.x == 99)), 34)))
    ),
    "UPDATE with EXISTS of the same row": run(
        update(THING).values(
            u=case((exists().where(P.thing_id == T.id, P.x == HIGHEST), T.u), else_=T.id)
        )
    ),
    "UPDATE by a list that is empty": run(update(THING).where(T.id.in_([])).values(u=9)),
    "UPDATE of the key": run(update(THING).where(T.x == 2).values(id=5)),
    "UPDATE of itself": run(update(THING).where(T.x > 0).values(u=T.u, id=T.id)),
    "UPDATE by a key that is text": run(
        insert(THING).values(id=9, x=1),
        update(THING).where(T.id == "9").values(x=8),
        update(THING).where(T.id == 9).values(x=3),
    ),
    "UPDATE by what is NULL": run(
        insert(THING).values(id=9, x=None),
        (update(THING).where(T.id == 9, T.x == bindparam("q")).values(s="new"), {"q": None}),
    ),
    "UPDATE of NULL by NULL, of a row of its own": run(
        insert(THING).values(id=9, x=None, s="a"),
        (update(THING).where(T.id == bindparam("k"), T.x == bindparam("q")).values(s="b"),
         [{"k": 9, "q": None}, {"k": 1, "q": 1}]),
    ),
    "DELETE by a condition": run(delete(THING).where(T.x == 2)),
    "DELETE that takes nothing that is referred to": run(delete(THING).where(T.x > 1)),
    "upsert without a column that it changes": lambda connection: connection.execute(
        upsert(THING, [{"id": 1, "s": "z"}, {"id": 7, "s": "y"}], keys=["id"], update=["x"])
    ),
    "child and parent in one statement": run(
        insert(NODE).values([{"id": 2, "parent_id": 1}, {"id": 1, "parent_id": None}])
    ),
    "row that refers to itself": run((insert(NODE), [{"id": 2, "parent_id": 2}])),
    "row that refers to itself, computed": run(
        insert(NODE).values([{"id": 4, "parent_id": literal_column("4")}])
    ),
    "reference of a row that is not there": run(update(OTHER).where(P.id == 9).values(thing_id=99)),
    "reference of a row that is not there, with its key": run(
        update(NODE).where(NODE.c.id == 8).values(id=NODE.c.id - 1, parent_id=None)
    ),
    "key of a row that is not there": run(update(OTHER).where(P.id == 9).values(id=1)),
    "NULL as an expression": run(insert(THING).values(id=7, s=null())),
    "NULL by key as an expression": run(update(THING).where(T.id == 1).values(s=null())),
    "column by key": run(update(THING).where(T.id == 1).values(x=T.id)),
    "upsert of a row whose parent comes later and is there": lambda connection: (
        connection.execute(insert(NODE).values(id=2)),
        connection.execute(
            upsert(
                NODE, [{"id": 3, "parent_id": 2}, {"id": 2, "parent_id": 3}], keys=["id"]
            )
        ),
    ),
    "upsert that leaves a row with another reference as it is": lambda connection: (
        connection.execute(
            upsert(OTHER, [{"id": 1, "thing_id": 99}], keys=["id"], update=[])
        )
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KEPT)
def test_what_breaks_nothing_is_written(sides: tuple[Engine, Engine], name: str) -> None:
    before = outcome(sides[1], run())[1]
    sqlite, warehouse = (outcome(engine, KEPT[name]) for engine in sides)
    assert sqlite[0] == "committed"
    if warehouse[0] == "AtomicityError" and name.startswith(("UPDATE", "upsert")):
        # Several statements, and no transactions: refused, with nothing written.
        assert warehouse[1] == before
        return
    assert warehouse == sqlite


TWICE = (
    update(THING).where(T.id == bindparam("k")).values(x=bindparam("v")),
    [{"k": 1, "v": 5}, {"k": 2, "v": 6}, {"k": 1, "v": 7}],
)


@pytest.mark.parametrize("way", ["commit", "rowcount", "AUTOCOMMIT"])
def test_one_row_changed_twice_by_one_statement(
    local_warehouse: TestWarehouse, connected: Callable[..., Engine], way: str
) -> None:
    engine = connected(**({"isolation_level": "AUTOCOMMIT"} if way == "AUTOCOMMIT" else {}))
    METADATA.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(THING), [{"id": 1}, {"id": 2}])
    with engine.begin() as connection:
        result = connection.execute(*TWICE)
        if way != "commit":
            assert result.rowcount == 3
    assert [row[2] for row in rows_of(engine, THING)] == [7, 6]


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str | None] = mapped_column(unique=True)
    pos: Mapped[int | None] = mapped_column(unique=True)


class Numbered(Base):
    __tablename__ = "numbered"
    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    number: Mapped[int] = mapped_column(
        default=select(func.coalesce(func.max(Item.pos), 0) + 1).scalar_subquery()
    )


def _taken_key(session: Session) -> None:
    session.add(Item(id=1, pos=select(func.coalesce(func.max(Item.pos), 0) + 1).scalar_subquery()))


def _taken_code(session: Session) -> None:
    item = session.get_one(Item, 2)
    item.code = "a"
    item.pos = select(func.max(Item.pos) + 1).scalar_subquery()


def _taken_beside_a_default(session: Session) -> None:
    session.add(Numbered(id=2, code="a"))


def _lowered(session: Session) -> None:
    session.get_one(Item, 2).pos = Item.pos - 1


@pytest.mark.parametrize(
    "unit",
    [_taken_key, _taken_code, _taken_beside_a_default, _lowered],
    ids=lambda unit: unit.__name__,
)
def test_an_object_with_an_expression_keeps_what_is_unique(
    warehouse: TestWarehouse, connected: Callable[..., Engine], unit: Callable[[Session], None]
) -> None:
    engine = connected(warehouse)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([Item(id=1, code="a", pos=1), Item(id=2, code="b", pos=2)])
        session.commit()
    with Session(engine) as session:
        session.add(Numbered(id=1, code="a"))
        session.commit()
    with Session(engine) as session:
        unit(session)
        with pytest.raises(IntegrityError):
            session.commit()
    with Session(engine) as session:
        items = session.execute(select(Item.id, Item.code, Item.pos).order_by(Item.id)).all()
        assert [tuple(row) for row in items] == [(1, "a", 1), (2, "b", 2)]


def test_an_object_with_an_expression_is_one_request(
    local_warehouse: TestWarehouse, engine: Engine
) -> None:
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([Item(id=1, code="a", pos=1), Item(id=2, code="b", pos=2)])
        session.commit()
    with Session(engine) as session:
        item = session.get_one(Item, 2)
        item.pos = Item.pos + 5
        item.code = func.concat("c", select(func.max(Item.id)).scalar_subquery())
        before = len(local_warehouse.statements)
        session.commit()
        assert len(local_warehouse.statements) == before + 1
        assert (item.pos, item.code) == (7, "c2")


class Unknown(Insert):
    inherit_cache = False


@compiles(Unknown, "databricks")
def _compiled(element: Any, compiler: Any, **kw: Any) -> str:
    return f"{compiler.visit_insert(element, **kw)} -- by somebody else"


REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "compiled by the application": (
        Unknown(THING).values(id=1),
        NotSupportedError,
        "compiled by the application",
    ),
    "with a prefix": (
        insert(THING).prefix_with("OVERWRITE").values(id=1),
        CompileError,
        "nothing is known",
    ),
    "of a table without a key": (
        update(KEYLESS).values(u=3),
        NotSupportedError,
        "neither a primary key nor a UNIQUE",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_known_is_refused_before_it_is_held(
    local_warehouse: TestWarehouse, engine: Engine, name: str
) -> None:
    METADATA.create_all(engine)
    statement, kind, expected = REFUSED[name]
    before = len(local_warehouse.statements)
    with engine.begin() as connection:
        with pytest.raises(kind, match=expected):
            connection.execute(statement)
        connection.execute(insert(THING).values(id=2))
    assert len(local_warehouse.statements) == before + 1
    assert [row[0] for row in rows_of(engine, THING)] == [2]


def test_keys_that_are_not_enforced_need_no_guards(
    local_warehouse: TestWarehouse, engine: Engine
) -> None:
    METADATA.create_all(engine)
    with engine.begin() as connection:
        options = {"enforce_keys": False}
        connection.execute(insert(THING).values(id=1, x=HIGHEST), execution_options=options)
        connection.execute(Unknown(THING).values(id=2), execution_options=options)
    assert "raise_error" not in "".join(local_warehouse.statements[-2:])


@pytest.mark.parametrize("beside", ["2.345678", None])
def test_the_text_of_a_decimal_depends_on_no_other_row(engine: Engine, beside: str | None) -> None:
    from decimal import Decimal

    from sqlalchemy import Numeric

    table = Table(
        "amount", MetaData(), Column("id", Integer, primary_key=True), Column("n", Numeric)
    )
    table.create(engine)
    values = [text for text in ("1.10", beside) if text is not None]
    with engine.begin() as connection:
        connection.execute(
            insert(table), [{"id": n, "n": Decimal(value)} for n, value in enumerate(values)]
        )
    assert rows_of(engine, table)[0][1] == Decimal("1.10")
