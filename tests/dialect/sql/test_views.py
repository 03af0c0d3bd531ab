"""Views, temporary views and functions: what reads them reads the tables below."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    Table,
    and_,
    cast,
    column,
    delete,
    extract,
    func,
    insert,
    literal_column,
    select,
    table,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    column_property,
    foreign,
    mapped_column,
    relationship,
)
from sqlalchemy.sql.elements import ColumnElement, UnaryExpression, quoted_name
from sqlalchemy.sql.operators import custom_op
from sqlalchemy.types import UserDefinedType

from tests.dialect.held import first_words, rows_of, sending
from tests.full import part
from vinci_code.database.dialect.base import VinciDialect
from vinci_code.database.dialect.dberrors import PendingWritesError
from vinci_code.database.dialect.sql.views import KnownViews, Name, questions
from vinci_code.database.dialect.units.held import joined
from vinci_code.warehouse.pytest_plugin import TestWarehouse

pytestmark = part(2)


metadata = MetaData()
t = Table("t", metadata, Column("id", Integer, primary_key=True), Column("x", Integer))
q = Table("q", metadata, Column("id", Integer, primary_key=True), Column("x", Integer))
# Not among the tables that are created.
seen = Table("seen", MetaData(), Column("id", Integer), Column("x", Integer))


@pytest.fixture
def tables(engine: Engine) -> Engine:
    metadata.create_all(engine)
    return engine


def _view(engine: Engine, statement: str = "CREATE VIEW seen AS SELECT id, x FROM t") -> None:
    with engine.connect() as connection:
        connection.execute(text(statement))


# --- reads ----------------------------------------------------------------------------------------


def test_a_temporary_view_shows_what_is_held(tables: Engine) -> None:
    with tables.connect() as connection:
        connection.execute(text("CREATE TEMPORARY VIEW seen AS SELECT id, x FROM t"))
        connection.execute(insert(t), {"id": 9, "x": 1})
        assert connection.execute(select(seen)).all() == [(9, 1)]


def test_a_temporary_view_hides_a_table_that_is_known(tables: Engine) -> None:
    with tables.connect() as connection:
        connection.execute(insert(t), {"id": 1, "x": 1})
        assert connection.execute(select(q)).all() == []
        connection.rollback()
        connection.execute(text("CREATE TEMPORARY VIEW Q AS SELECT id, x FROM t"))
        connection.execute(insert(t), {"id": 9, "x": 1})
        assert connection.execute(select(q)).all() == [(9, 1)]


def test_a_temporary_view_is_known_to_the_driver_s_own_users(tables: Engine) -> None:
    with tables.connect() as connection:
        raw: Any = connection.connection.dbapi_connection
        raw.cursor().execute("CREATE OR REPLACE TEMP VIEW seen AS SELECT id, x FROM t")
        connection.execute(insert(t), {"id": 9, "x": 1})
        assert connection.execute(select(seen)).all() == [(9, 1)]


def test_another_session_knows_nothing_of_it(tables: Engine) -> None:
    with tables.connect() as one, tables.connect() as other:
        one.execute(text("CREATE TEMPORARY VIEW q AS SELECT id, x FROM t"))
        other.execute(insert(t), {"id": 9, "x": 1})
        assert other.execute(select(q)).all() == []
        raw: Any = other.connection.dbapi_connection
        assert not raw.in_transaction
        assert not raw.temporary_views


def test_what_may_have_made_any_view_makes_each_name_one(tables: Engine) -> None:
    with tables.connect() as connection:
        raw: Any = connection.connection.dbapi_connection
        with pytest.raises(DBAPIError):
            connection.execute(text("CALL make_views()"))
        connection.rollback()
        assert raw.temporary_views
        connection.execute(insert(t), {"id": 9, "x": 1})
        connection.execute(select(q))
        assert raw.in_transaction
        connection.rollback()


def test_a_view_that_somebody_else_makes_after_we_have_asked_is_found(
    tables: Engine, connected: Callable[..., Engine]
) -> None:
    with tables.connect() as connection:
        connection.execute(insert(t), {"id": 8, "x": 1})
        with pytest.raises(DBAPIError, match="seen"):
            connection.execute(select(seen))
        connection.rollback()
        _view(connected())
        connection.execute(insert(t), {"id": 9, "x": 1})
        assert connection.execute(select(seen)).all() == [(9, 1)]


def test_a_view_has_the_name_of_a_table_of_another_schema(
    tables: Engine, connected: Callable[..., Engine], local_warehouse: TestWarehouse
) -> None:
    other = f"{local_warehouse.schema}_b"
    local_warehouse.warehouse.sql(f"CREATE SCHEMA {other}")
    there = Table("q", MetaData(), Column("id", Integer), Column("x", Integer), schema=other)
    try:
        with tables.connect() as connection:
            connection.execute(insert(t), {"id": 8, "x": 1})
            assert connection.execute(select(q)).all() == []
            connection.rollback()
            _view(
                connected(),
                f"CREATE VIEW {other}.q AS SELECT id, x FROM {local_warehouse.schema}.t",
            )
            connection.execute(insert(t), {"id": 9, "x": 1})
            assert connection.execute(select(there)).all() == [(9, 1)]
            connection.rollback()
            here = Table("t", MetaData(), *[c._copy() for c in t.columns], schema="here")
            translated = connection.execution_options(
                schema_translate_map={None: other, "here": local_warehouse.schema}
            )
            translated.execute(insert(here), {"id": 9, "x": 1})
            assert translated.execute(select(q)).all() == [(9, 1)]
            translated.rollback()
    finally:
        local_warehouse.warehouse.sql(f"DROP SCHEMA {other} CASCADE")


def test_after_use_a_name_is_asked_for_again(
    tables: Engine, local_warehouse: TestWarehouse
) -> None:
    other = f"{local_warehouse.schema}_b"
    local_warehouse.warehouse.sql(f"CREATE SCHEMA {other}")
    here = Table("t", MetaData(), *[c._copy() for c in t.columns], schema=local_warehouse.schema)
    try:
        _view(tables, f"CREATE VIEW {other}.q AS SELECT id, x FROM {local_warehouse.schema}.t")
        with tables.connect() as connection, tables.connect() as another:
            connection.execute(text(f"USE SCHEMA {other}"))
            another.execute(insert(t), {"id": 8, "x": 1})
            assert another.execute(select(q)).all() == []
            another.rollback()
            connection.execute(insert(here), {"id": 9, "x": 1})
            assert connection.execute(select(q)).all() == [(9, 1)]
    finally:
        local_warehouse.warehouse.sql(f"DROP SCHEMA {other} CASCADE")


def test_a_table_is_asked_for_once(tables: Engine, local_warehouse: TestWarehouse) -> None:
    with sending(lambda: local_warehouse.statements) as sent:
        for key in (1, 2):
            with tables.connect() as connection:
                connection.execute(insert(t), {"id": key, "x": 1})
                connection.execute(select(q))
                connection.execute(insert(q).from_select(["id", "x"], select(t.c.id, t.c.x)))
                connection.rollback()
    assert ["information_schema" in text for text in sent] == [True, False, True, False]


# --- writes ---------------------------------------------------------------------------------------

READS: dict[str, Any] = {
    "INSERT … SELECT": insert(q).from_select(["id", "x"], select(seen.c.id, seen.c.x)),
    "a sub-select": update(q).values(x=select(func.max(seen.c.x)).scalar_subquery()),
    "IN": update(q).where(q.c.id.in_(select(seen.c.id).where(seen.c.x == 1))).values(x=1),
    "DELETE": delete(q).where(q.c.id.in_(select(seen.c.id).where(seen.c.x == 5))),
}


def _program(connection: Connection, write: Any) -> list[tuple[Any, ...]]:
    if not (isinstance(write, type(READS["INSERT … SELECT"])) and write.select is not None):
        connection.execute(insert(q), {"id": 9, "x": 0})
    connection.execute(insert(t), {"id": 9, "x": 1})
    connection.execute(write)
    connection.execute(update(t).where(t.c.id == 9).values(x=5))
    connection.commit()
    return [tuple(row) for row in connection.execute(select(q.c.x))]


@pytest.mark.parametrize("write", READS.values(), ids=list(READS))
@pytest.mark.parametrize("temporary", [False, True], ids=["view", "temporary view"])
def test_later_writes_do_not_overtake_a_write_that_reads_a_view(
    tables: Engine, write: Any, temporary: bool
) -> None:
    with tables.connect() as connection:
        kind = "TEMPORARY VIEW" if temporary else "VIEW"
        connection.execute(text(f"CREATE {kind} seen AS SELECT id, x FROM t"))
        found = _program(connection, write)
    assert found == [(0,)] if write is READS["DELETE"] else found == [(1,)]
    assert rows_of(tables, t) == [(9, 5)]


def test_writes_that_read_tables_are_overtaken_as_before(
    tables: Engine, local_warehouse: TestWarehouse
) -> None:
    other = Table("other", metadata, Column("id", Integer, primary_key=True), Column("x", Integer))
    try:
        other.create(tables)
        copy = insert(q).from_select(["id", "x"], select(other.c.id, other.c.x))
        with sending(lambda: local_warehouse.statements) as sent, tables.connect() as connection:
            connection.execute(insert(t), {"id": 1, "x": 1})
            connection.execute(copy)
            connection.execute(update(t).where(t.c.id == 1).values(x=5))
            connection.commit()
        assert first_words(sent) == ["SELECT", "BEGIN"]
        assert "MERGE" not in sent[1]
    finally:
        metadata.remove(other)


def test_without_transactions_a_read_of_what_is_held_is_refused(
    without_transactions: TestWarehouse, connected: Callable[..., Engine]
) -> None:
    engine = connected(without_transactions, transactions="off")
    metadata.create_all(engine)
    with engine.connect() as connection:
        connection.execute(text("CREATE TEMPORARY VIEW seen AS SELECT id, x FROM t"))
        connection.execute(insert(t), {"id": 9, "x": 1})
        with pytest.raises(DBAPIError) as refused:
            connection.execute(select(seen))
        assert isinstance(refused.value.orig, PendingWritesError)
        connection.commit()
    assert rows_of(engine, t) == [(9, 1)]


# --- functions ------------------------------------------------------------------------------------

FUNCTIONS: dict[str, tuple[Any, bool]] = {
    "built in": (select(func.upper(q.c.x), func.Coalesce(q.c.x, 1)), False),
    "of SQLite": (select(func.group_concat(q.c.x), func.strftime("%Y", "now")), False),
    "of SQLAlchemy": (select(func.count(), func.now(), func.random()), False),
    "a window": (select(func.row_number().over(order_by=q.c.x)), False),
    "in a condition": (select(q.c.x).where(func.price_of(q.c.id) > 1), True),
    "its own": (select(func.price_of(q.c.id)), True),
    "with a schema": (select(func.shop.upper(q.c.x)), True),
    "of a table": (select(func.items_of(1).table_valued("id").c.id), True),
    "that reads a table": (select(func.table_changes("t", 0).table_valued("id").c.id), True),
    "of an array": (select(func.explode(func.array(1, 2)).table_valued("id").c.id), False),
    "in a literal column": (select(literal_column("price_of(id)")).select_from(q), True),
    "in a text": (select(q.c.x).where(text("price_of(id) > 1")), True),
    "built in, in a text": (select(q.c.x).where(text("abs(id) IN (1, 2)")), False),
}


@pytest.mark.parametrize(("statement", "unknown"), FUNCTIONS.values(), ids=list(FUNCTIONS))
def test_a_function_that_is_not_built_in_may_read_tables(statement: Any, unknown: bool) -> None:
    compiled = statement.compile(dialect=VinciDialect())
    assert (compiled.tables_used is None) is unknown


class Made(UserDefinedType[Any]):
    """A type of the application's own."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "INT) + (SELECT max(id) FROM t) + CAST(1 AS INT"


class Highest(ColumnElement[Any]):
    """An element that an application renders itself."""

    inherit_cache = True
    type = Integer()


@compiles(Highest)
def _highest(*_: Any, **__: Any) -> str:
    return "(SELECT max(id) FROM t)"


class Base(DeclarativeBase):
    pass


class Owner(Base):
    __tablename__ = "owner"
    id: Mapped[int] = mapped_column(primary_key=True)
    highest: Mapped[int] = column_property(Highest() + 1)
    items: Mapped[list[Item]] = relationship(
        primaryjoin=lambda: and_(foreign(Item.owner) == Owner.id, Item.owner.bool_op(MAXIMUM)(0))
    )


class Item(Base):
    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[int]


defaulted = Table(
    "defaulted",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("x", Integer, default=Highest() + 1),
)
MAXIMUM = "+ (SELECT max(id) FROM t) +"
TEXTS: dict[str, tuple[Any, bool]] = {
    "an operator": (select(q.c.x.op(MAXIMUM)(0)), True),
    "an operator of truth": (select(q.c.x).where(q.c.x.bool_op("= ANY (SELECT 1) OR 1=")(1)), True),
    "an operator alone": (select(q.c.x.op("%%")(2), q.c.x.op("div")(2), q.c.x.op("<=>")(1)), False),
    "before an operand": (
        select(UnaryExpression(q.c.x, operator=custom_op("(SELECT 1 FROM t) +"))),
        True,
    ),
    "behind an operand": (
        select(UnaryExpression(q.c.x, modifier=custom_op("+ (SELECT 1 FROM t)"))),
        True,
    ),
    "an order": (select(q.c.x).order_by(q.c.x.op(MAXIMUM)(0)), True),
    "a join": (select(q.c.x).join(t, q.c.id.op(MAXIMUM)(0) == t.c.id), True),
    "a sub-select": (select(select(q.c.x.op(MAXIMUM)(0).label("y")).subquery().c.y), True),
    "a hint": (select(q.c.x).with_statement_hint("UNION ALL SELECT id FROM t"), True),
    "a hint for others": (select(q.c.x).with_statement_hint("FOR SQLITE", "sqlite"), False),
    "a prefix": (select(q.c.x).prefix_with("(SELECT 1 FROM t), "), True),
    "a suffix": (select(q.c.x).suffix_with("UNION ALL SELECT id FROM t"), True),
    "a suffix of a CTE": (
        select(select(q.c.x).cte("c").suffix_with(", d AS (SELECT 1 FROM t)").c.x),
        True,
    ),
    "a part of a moment": (select(extract("year FROM (SELECT 1 FROM t)), (1", q.c.x)), True),
    "the year": (select(extract("year", q.c.x)), False),
    "a type": (select(cast(q.c.x, Made)), True),
    "a type that is known": (select(cast(q.c.x, Integer)), False),
    "a name": (select(column(quoted_name("(SELECT 1 FROM t)", quote=False))), True),
    "a name of a table": (select(table(quoted_name("q, t", quote=False), column("x"))), True),
    "a name without quotes": (select(table(quoted_name("q", quote=False), column("x"))), False),
    "a column property": (select(Owner.highest), True),
    "a relationship": (select(Item.id).select_from(Owner).join(Owner.items), True),
    "a default": (insert(defaulted).values(id=1), True),
    "a changed value": (update(q).where(q.c.id == 1).values(x=q.c.x.op(MAXIMUM)(0)), True),
    "a changed row": (delete(q).where(q.c.id.op(MAXIMUM)(0) == 1), True),
}


@pytest.mark.parametrize(("statement", "unknown"), TEXTS.values(), ids=list(TEXTS))
def test_a_text_of_the_applications_own_may_read_tables(statement: Any, unknown: bool) -> None:
    compiled = statement.compile(dialect=VinciDialect())
    assert (compiled.tables_used is None) is unknown


def test_an_operator_reads_what_is_held(tables: Engine) -> None:
    own = q.c.x.op("IN (SELECT id FROM t) AND 1 =")(1)
    with tables.begin() as connection:
        connection.execute(insert(q), {"id": 1, "x": 9})
    with tables.begin() as connection:
        connection.execute(insert(t), {"id": 9, "x": 1})
        connection.execute(update(q).where(own).values(x=10))
        connection.execute(update(q).where(q.c.id == 1).values(x=q.c.x.op(MAXIMUM)(0)))
        connection.execute(delete(t).where(t.c.id == 9))
        connection.execute(insert(t), {"id": 8, "x": 1})
        assert connection.scalar(select(q.c.x.op(MAXIMUM)(0))) == 27
    assert rows_of(tables, q) == [(1, 19)]


CALLS: dict[str, Any] = {
    "a SELECT": insert(q).from_select(["id", "x"], select(q.c.id, func.price_of(q.c.id))),
    "a value": insert(q).values(id=1, x=func.price_of(9)),
    "a change": update(q).where(q.c.id == 1).values(x=func.price_of(9)),
    "a condition": delete(q).where(q.c.x == func.price_of(9)),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
def test_a_write_that_calls_one_is_not_overtaken(tables: Engine, call: Any) -> None:
    with tables.connect() as connection:
        connection.execute(insert(t), {"id": 9, "x": 1})
        connection.execute(call)
        raw: Any = connection.connection.dbapi_connection
        connection.execute(update(t).where(t.c.id == 9).values(x=5))
        held = list(raw.unit.held)
        assert [write.tables for write in held] == [frozenset({"t"}), None, frozenset({"t"})]
        planned = joined(held)
        assert [write.tables for write in planned] == [write.tables for write in held]
        connection.rollback()


def test_a_write_that_calls_what_is_built_in_is_passed_as_before(tables: Engine) -> None:
    with tables.connect() as connection:
        connection.execute(insert(t), {"id": 9, "x": 1})
        connection.execute(insert(q).values(id=1, x=func.abs(-5)))
        connection.execute(update(t).where(t.c.id == 9).values(x=5))
        raw: Any = connection.connection.dbapi_connection
        assert len(joined(raw.unit.held)) == 2
        connection.commit()
    assert (rows_of(tables, t), rows_of(tables, q)) == ([(9, 5)], [(1, 5)])


# --- what is known --------------------------------------------------------------------------------


def test_only_tables_and_views_are_remembered() -> None:
    names = [Name(None, "a"), Name("s", "a"), Name("s", "b"), Name("c.s", "a"), Name(None, "gone")]
    asked = list(questions(names, lambda name: f"`{name}`"))
    assert [question.names for question in asked] == [
        [Name(None, "a"), Name(None, "gone"), Name("s", "a"), Name("s", "b")],
        [Name("c.s", "a")],
    ]
    assert "FROM information_schema.tables" in asked[0].text
    assert "FROM `c`.information_schema.tables" in asked[1].text
    assert asked[0].parameters == ["a", "b", "gone"]
    known = KnownViews()
    rows = [("here", "a", "MANAGED", "here"), ("s", "a", "VIEW", "here"), ("s", "b", "NEW", "here")]
    known.note(asked[0].answer(rows))
    assert known.unknown(names) == [Name("c.s", "a"), Name(None, "gone")]
    assert not known.any_of([Name(None, "a")])
    for name in names[1:]:
        assert known.any_of([name]), name
