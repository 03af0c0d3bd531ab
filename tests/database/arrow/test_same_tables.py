"""The same statement gives equal tables on SQLite and on Databricks: schema and values."""

from __future__ import annotations

import datetime as dt
import enum
import json
import uuid
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.full import part, some
from vinci_code.database import read_arrow, read_batches
from vinci_code.database.dialect.types import (
    ARRAY,
    MAP,
    STRUCT,
    TIMESTAMP,
    TIMESTAMP_NTZ,
    TINYINT,
    VARIANT,
)
from vinci_code.database.models.types import StrictText, UtcDateTime

pytestmark = pytest.mark.filterwarnings("ignore:Dialect sqlite.pysqlite does .not. support Decimal")


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
INSTANTS = st.datetimes(
    dt.datetime(2, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    dt.datetime(9998, 12, 31),  # noqa: DTZ001
    timezones=st.timezones(),
)
DOCUMENTS = st.lists(st.none() | st.booleans() | TEXT, max_size=3) | st.dictionaries(
    TEXT, st.integers(-99, 99) | TEXT, max_size=3
)
STREET = STRUCT(("name", sa.String), ("at", TIMESTAMP), ("colour", sa.Enum(Colour)))
UTC = pa.timestamp("us", "UTC")

# A type of a column, its type in Arrow, and its values.
TYPES: dict[str, tuple[Any, pa.DataType, st.SearchStrategy[Any]]] = {
    "tiny": (TINYINT(), pa.int64(), st.integers(-128, 127)),
    "small": (sa.SmallInteger(), pa.int64(), st.integers(-(2**15), 2**15 - 1)),
    "int": (sa.INTEGER(), pa.int64(), st.integers(-(2**31), 2**31 - 1)),
    "integer": (sa.Integer(), pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "boolean": (sa.Boolean(), pa.bool_(), st.booleans()),
    "double": (sa.Double(), pa.float64(), st.floats(allow_nan=False)),
    "single": (sa.REAL(), pa.float64(), st.floats(allow_nan=False, width=32)),
    "numeric": (
        sa.Numeric(15, 4),
        pa.decimal128(15, 4),
        st.decimals(-(10**10), 10**10, places=4),
    ),
    "unbounded": (sa.Numeric(), pa.decimal128(38, 18), st.decimals(-9999, 9999, places=3)),
    "as_float": (
        sa.Numeric(10, 2, asdecimal=False),
        pa.float64(),
        st.integers(-9999, 9999).map(lambda number: number / 4),
    ),
    "text": (sa.Text(), pa.string(), TEXT),
    "strict": (StrictText(), pa.string(), TEXT),
    "enum": (sa.Enum(Colour), pa.string(), st.sampled_from(Colour)),
    "names": (sa.Enum("x", "y"), pa.string(), st.sampled_from(["x", "y"])),
    "uuid": (sa.Uuid(), pa.string(), st.uuids()),
    "uuid_text": (sa.Uuid(as_uuid=False), pa.string(), st.uuids().map(str)),
    "json": (sa.JSON(none_as_null=True), pa.string(), DOCUMENTS),
    "binary": (sa.LargeBinary(), pa.binary(), st.binary(max_size=20)),
    "date": (sa.Date(), pa.date32(), st.dates()),
    "time": (sa.Time(), pa.time64("us"), st.times()),
    "wall clock": (sa.DateTime(), pa.timestamp("us"), st.datetimes()),
    "ntz": (TIMESTAMP_NTZ(), pa.timestamp("us"), st.datetimes()),
    "instant": (UtcDateTime(), UTC, INSTANTS),
    "timestamp": (TIMESTAMP(), UTC, INSTANTS),
    "interval": (
        sa.Interval(),
        pa.duration("us"),
        st.timedeltas(dt.timedelta(days=-200_000), dt.timedelta(days=2_000_000)),
    ),
    "array": (ARRAY(sa.Integer), pa.list_(pa.int64()), st.lists(st.none() | st.integers(-9, 9))),
    "texts": (ARRAY(sa.String), pa.list_(pa.string()), st.lists(TEXT, max_size=3)),
    "matrix": (
        ARRAY(sa.Numeric(9, 2), dimensions=2),
        pa.list_(pa.list_(pa.decimal128(9, 2))),
        st.lists(st.lists(st.decimals(-999, 999, places=2), max_size=2), max_size=2),
    ),
    "map": (
        MAP(sa.String, sa.Date),
        pa.map_(pa.string(), pa.date32()),
        st.dictionaries(TEXT, st.none() | st.dates(), max_size=3),
    ),
    "struct": (
        STREET,
        pa.struct({"name": pa.string(), "at": UTC, "colour": pa.string()}),
        st.fixed_dictionaries(
            {
                "name": st.none() | TEXT,
                "at": st.none() | INSTANTS,
                "colour": st.none() | st.sampled_from(Colour),
            }
        ),
    ),
    # Names as nobody wants them.
    "a b": (sa.String(), pa.string(), TEXT),
    "Größe%": (sa.String(), pa.string(), TEXT),
    'sem;col`on"': (sa.Integer(), pa.int64(), st.integers(0, 9)),
    "select": (sa.Integer(), pa.int64(), st.integers(0, 9)),
}
COLUMNS = [sa.Column(name, kind, key=f"c{n}") for n, (name, (kind, *_)) in enumerate(TYPES.items())]
METADATA = sa.MetaData()
KINDS = sa.Table(
    "kinds",
    METADATA,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    *COLUMNS,
)
SCHEMA = pa.schema(
    [pa.field("id", pa.int64()), *(pa.field(name, kind) for name, (_, kind, _) in TYPES.items())]
)
ROWS = st.lists(
    st.fixed_dictionaries({column.key: st.none() | TYPES[column.name][2] for column in COLUMNS}),
    max_size=6,
)


def wanted(value: Any) -> Any:
    """What Arrow gives back for a value that SQLAlchemy has read."""
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, dict):
        return {key: wanted(item) for key, item in value.items()}
    return value


def test_random_rows(engines: tuple[sa.Engine, ...]) -> None:
    for engine in engines:
        METADATA.create_all(engine)

    @settings(max_examples=some(40, 5), deadline=None, suppress_health_check=list(HealthCheck))
    @given(ROWS)
    def run(rows: list[dict[str, Any]]) -> None:
        numbered = [{"id": number, **row} for number, row in enumerate(rows)]
        found = [read(engine, numbered) for engine in engines]
        assert found[0].schema == found[1].schema == SCHEMA
        assert found[0].equals(found[1])

    run()


def read(engine: sa.Engine, rows: list[dict[str, Any]]) -> pa.Table:
    """The table of some rows, which no commit ever sees, by each of the ways to it."""
    query = sa.select(KINDS).order_by(KINDS.c.id)
    with engine.connect() as connection:
        if rows:
            connection.execute(sa.insert(KINDS), rows)
        expected = connection.execute(query).all()
        table = read_arrow(connection, query)
        with read_batches(connection, query, batch_rows=2) as batches:
            assert batches.schema == table.schema
            parts = list(batches)
        connection.rollback()
    assert [part.num_rows for part in parts[:-1]] == [2] * (len(parts) - 1)
    assert pa.Table.from_batches(parts, table.schema).equals(table)
    for name, values in zip(table.column_names, zip(*expected, strict=True), strict=False):
        given = table[name].to_pylist(maps_as_pydicts="strict")
        if name == "json":
            given = [None if text is None else json.loads(text) for text in given]
        assert given == list(map(wanted, values)), name
    assert table.num_rows == len(expected) == len(rows)
    return table


def test_a_result_without_rows_keeps_its_schema(engines: tuple[sa.Engine, ...]) -> None:
    for engine in engines:
        METADATA.create_all(engine)
        table = read_arrow(engine, sa.select(KINDS))
        assert (table.num_rows, table.schema) == (0, SCHEMA)
        with read_batches(engine, sa.select(KINDS)) as batches:
            assert batches.schema == SCHEMA
            assert list(batches) == []


SALES = sa.Table(
    "sales",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("price", sa.Numeric(5, 2)),
    sa.Column("at", UtcDateTime),
    sa.Column("day", sa.Date),
    sa.Column("note", sa.String),
    sa.Column("document", sa.JSON),
)
DAY = dt.date(2024, 2, 29)
NOON = dt.datetime(2024, 2, 29, 12, tzinfo=dt.timezone.utc)
SALE = {"price": Decimal("999.99"), "at": NOON, "day": DAY, "note": "n", "document": {"a": [1]}}

EXPRESSIONS: dict[str, tuple[Any, Any]] = {
    "a sum has more digits": (sa.func.sum(SALES.c.price), pa.decimal128(38, 2)),
    "greatest": (sa.func.max(SALES.c.at), UTC),
    "count": (sa.func.count(), pa.int64()),
    "another name": (SALES.c.price.label("price"), pa.decimal128(5, 2)),
    "a subquery": (sa.select(SALES.c.price).subquery().c.price, pa.decimal128(5, 2)),
    "comparison": (SALES.c.id > 1, pa.bool_()),
    "cast": (sa.cast(SALES.c.note, sa.String(3)), pa.string()),
    "concatenation": (SALES.c.note + "x", pa.string()),
    "text of a document": (SALES.c.document["a"][0].as_integer(), pa.int64()),
    "part of a document": (SALES.c.document["a"], pa.string()),
    "named type": (sa.type_coerce(sa.literal_column("1"), sa.Integer), pa.int64()),
    "no type": (sa.literal_column("'x'"), pa.string()),
    "nothing": (sa.null(), pa.null()),
    "case": (sa.case((SALES.c.id > 1, SALES.c.day), else_=None), pa.date32()),
}

ROWS_OF = {"a sum has more digits": 1, "greatest": 1, "count": 1}


@part(2)
@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_expression(name: str, engines: tuple[sa.Engine, ...]) -> None:
    expression, kind = EXPRESSIONS[name]
    query = sa.select(expression.label("value"))
    if name != "a subquery":
        query = query.select_from(SALES)
    tables = []
    for engine in engines:
        SALES.create(engine)
        with engine.begin() as connection:
            connection.execute(sa.insert(SALES), [{"id": n, **SALE} for n in range(3)])
        tables.append(read_arrow(engine, query))
        assert (tables[-1].schema.types, tables[-1].num_rows) == ([kind], ROWS_OF.get(name, 3))
    assert sorted(map(str, tables[0]["value"])) == sorted(map(str, tables[1]["value"]))


TEXTS: dict[str, Any] = {
    "no types": sa.text("SELECT 1 AS a, 'x' AS b, NULL AS c, 1.5e0 AS d"),
    "by name": sa.text("SELECT 1 AS a, '2024-01-02' AS b").columns(a=sa.BigInteger),
    "by position": sa.text("SELECT id, price FROM sales").columns(SALES.c.id, SALES.c.price),
    "with parameters": sa.text("SELECT :x AS a").bindparams(x="y").columns(a=sa.String),
}


@pytest.mark.parametrize("name", TEXTS)
def test_text(name: str, engines: tuple[sa.Engine, ...]) -> None:
    tables = []
    for engine in engines:
        SALES.create(engine)
        with engine.begin() as connection:
            connection.execute(sa.insert(SALES), [{"id": 1, **SALE}])
        table = read_arrow(engine, TEXTS[name])
        # Of a literal the warehouse says how wide it is.
        tables.append(table.cast(tables[0].schema) if tables and name == "no types" else table)
    assert tables[0].num_rows == 1
    assert tables[0].equals(tables[1])


def test_a_document_of_variant_is_text(engines: tuple[sa.Engine, ...]) -> None:
    table = sa.Table("v", sa.MetaData(), sa.Column("a", sa.Integer), sa.Column("v", VARIANT))
    found = []
    for engine in engines:
        table.create(engine)
        with engine.begin() as connection:
            connection.execute(sa.insert(table), [{"a": 1, "v": {"b": [1, 2]}}])
        found.append(read_arrow(engine, sa.select(table.c.v)))
    assert found[0].schema == found[1].schema == pa.schema({"v": pa.string()})
    assert [json.loads(one["v"][0].as_py()) for one in found] == [{"b": [1, 2]}] * 2
