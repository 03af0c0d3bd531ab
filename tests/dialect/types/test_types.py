"""Types: what is written is read, on SQLite and on the warehouse alike."""

from __future__ import annotations

import datetime as dt
import enum
import json
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    JSON,
    REAL,
    VARCHAR,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Engine,
    Enum,
    Float,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    PickleType,
    SmallInteger,
    String,
    Table,
    Text,
    Time,
    TypeDecorator,
    Unicode,
    Uuid,
    cast,
    func,
    insert,
    literal,
    null,
    select,
    types,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, StatementError

from tests.dialect.sides import Sides, sides_of
from tests.full import part
from vinci_code.core.errors import ValueRefusedError
from vinci_code.database.dialect import (
    ARRAY,
    MAP,
    STRUCT,
    TIMESTAMP,
    TIMESTAMP_NTZ,
    TINYINT,
    VARIANT,
)
from vinci_code.database.dialect.base import VinciDialect
from vinci_code.database.models.types import StrictText, UtcDateTime

pytestmark = part(2)


class Colour(enum.Enum):
    RED = "it's \\ red"
    BLUE = "b"


class Reversed(TypeDecorator[str]):
    """A type of an application's own."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        return None if value is None else value[::-1]

    process_result_value = process_bind_param


UTC = dt.timezone.utc
TEXTS = [
    "",
    " ",
    "a",
    "it's",
    'say "x"',
    "back\\slash",
    "\\",
    "\\'",
    "\\n",
    "\n\r\t",
    "nul\0in",
    "\x01\x1a",
    "ü",
    "😀",
    "e\u0301",
    "%",
    "_",
    "?",
    ":name",
    "`tick`",
    "-- x",
    "/* x */",
    ";",
    "${x}",
    "{}",
    "NULL",
    "'" * 10,
    "\\" * 11,
    "x" * 100_000,
]
CASES: dict[str, tuple[Any, list[Any]]] = {
    "integer": (Integer(), [0, 1, -1, 2**31, -(2**31) - 1, 2**63 - 1, -(2**63)]),
    "small integer": (SmallInteger(), [0, 40_000, -40_000]),
    "big integer": (BigInteger(), [2**63 - 1, -(2**63)]),
    "boolean": (Boolean(), [True, False]),
    "float": (
        Float(),
        [0.0, 0.1, -2.5, 1e300, 5e-324, 1.7976931348623157e308, 1 / 3, 123456789.12345678],
    ),
    "double": (Double(), [0.1, 1e-300]),
    "numeric": (
        Numeric(10, 2),
        [Decimal(0), Decimal("1.25"), Decimal("-99999999.99"), Decimal("1E+3")],
    ),
    "numeric of floats": (Numeric(10, 2, asdecimal=False), [1.25, -0.5]),
    "numeric without precision": (
        Numeric(),
        [Decimal("1.5"), Decimal("0.0000000001"), Decimal(-7)],
    ),
    "string": (String(), TEXTS),
    "string of a length": (String(3), ["longer than three"]),
    "text": (Text(), TEXTS[:5]),
    "unicode": (Unicode(), TEXTS[:5]),
    "uuid": (Uuid(), [uuid.UUID(int=0), uuid.UUID(int=2**128 - 1), uuid.uuid4()]),
    "uuid as text": (Uuid(as_uuid=False), [str(uuid.uuid4())]),
    "binary": (LargeBinary(), [b"", b"\0", b"\xff\xfe", bytes(range(256)), b"'\\", b"x" * 5000]),
    "pickle": (PickleType(), [{"a": [1, (2, 3)]}, {1, 2}, "x"]),
    "date": (Date(), [dt.date(1, 1, 1), dt.date(1582, 10, 10), dt.date(9999, 12, 31)]),
    "time": (Time(), [dt.time(0), dt.time(23, 59, 59, 999999), dt.time(1, 2, 3)]),
    "datetime": (
        DateTime(),
        [
            dt.datetime(1, 1, 1),
            dt.datetime(1969, 12, 31, 23, 59, 59, 999999),
            dt.datetime(2024, 2, 29, 12, 0, 0, 1),
            dt.datetime(2021, 10, 31, 2, 30, fold=1),
            dt.datetime(9999, 12, 31, 23, 59, 59, 999999),
        ],
    ),
    "interval": (
        Interval(),
        [dt.timedelta(0), dt.timedelta(microseconds=1), dt.timedelta(days=-400, seconds=5)],
    ),
    "enum": (Enum(Colour), [Colour.RED, Colour.BLUE]),
    "enum of values": (
        Enum(Colour, values_callable=lambda colours: [colour.value for colour in colours]),
        [Colour.RED, Colour.BLUE],
    ),
    "json": (
        JSON(),
        [{}, [], "", 0, 1.5, True, False, None, {"a": {"b": [1, None, "it's \\ 😀\n"]}}, "text"],
    ),
    "json with null as NULL": (JSON(none_as_null=True), [{}, None, {"a": None}]),
    "own type": (Reversed(), TEXTS[:8]),
}


@pytest.fixture(scope="module")
def sides(local_warehouse_server: Any, tmp_path_factory: Any) -> Iterator[Sides]:
    from sqlalchemy import create_engine

    server = local_warehouse_server
    server.sql("CREATE SCHEMA test_types")
    engine = create_engine(
        f"databricks+vinci://{server.host}:{server.port}?http_path={server.http_path}"
        f"&catalog={server.catalog}&schema=test_types",
        connect_args={
            "access_token": server.access_token,
            "_tls_trusted_ca_file": str(server.ca_file),
        },
    )
    with sides_of(engine, Path(tmp_path_factory.mktemp("types")), METADATA) as made:
        yield made
    engine.dispose()
    server.sql("DROP SCHEMA test_types CASCADE")


METADATA = MetaData()
TABLES = {
    name: Table(
        f"of_{name.replace(' ', '_')}",
        METADATA,
        Column("k", Integer, primary_key=True),
        Column("v", kind),
    )
    for name, (kind, _) in CASES.items()
}


@pytest.mark.filterwarnings("ignore:Dialect sqlite\\+pysqlite does.*support Decimal")
@pytest.mark.parametrize("name", CASES)
def test_what_is_written_is_read(sides: Sides, name: str) -> None:
    table, values = TABLES[name], [*CASES[name][1], None]
    rows = [{"k": number, "v": value} for number, value in enumerate(values)]
    sides.write(insert(table), rows)
    found = sides.rows(select(table.c.v).order_by(table.c.k))
    assert [value for [value] in found] == values
    assert all(type(one) is type(two) for [one], two in zip(found, values, strict=True))


@pytest.mark.filterwarnings("ignore:Dialect sqlite\\+pysqlite does.*support Decimal")
@pytest.mark.parametrize("name", [name for name in CASES if name != "pickle"])
def test_what_is_compared_is_found(sides: Sides, name: str) -> None:
    kind, values = CASES[name]
    if name.startswith("json"):
        return
    for value in values[:6]:
        with sides.warehouse.connect() as connection:
            assert connection.scalar(select(literal(value, kind) == literal(value, kind))) is True


@pytest.mark.parametrize("name", CASES)
def test_a_literal_in_the_statement_is_the_same_value(sides: Sides, name: str) -> None:
    kind, values = CASES[name]
    if isinstance(kind, (PickleType, JSON)):
        return
    with sides.warehouse.connect() as connection:
        for value in values:
            if isinstance(value, str) and len(value) > 1000:
                continue
            statement = select(literal(value, kind, literal_execute=True))
            assert connection.scalar(statement) == value
            compiled = select(literal(value, kind)).compile(
                dialect=sides.warehouse.dialect, compile_kwargs={"literal_binds": True}
            )
            raw = connection.exec_driver_sql(str(compiled)).scalar()
            process = kind.dialect_impl(sides.warehouse.dialect).result_processor(
                sides.warehouse.dialect, None
            )
            assert (process(raw) if process else raw) == value


# --- instants -------------------------------------------------------------------------------------

INSTANT = Table(
    "instant",
    MetaData(),
    Column("k", Integer, primary_key=True),
    Column("at", DateTime(timezone=True)),
    Column("own", TIMESTAMP),
    Column("wall", TIMESTAMP_NTZ),
)


def test_an_aware_datetime_is_an_instant(engine: Engine) -> None:
    INSTANT.create(engine)
    east = dt.timezone(dt.timedelta(hours=5, minutes=30))
    values = [
        dt.datetime(2024, 1, 1, 12, 0, 0, 1, UTC),
        dt.datetime(2024, 1, 1, 12, 0, 0, 1, east),
        dt.datetime(1900, 1, 1, tzinfo=UTC),
    ]
    with engine.begin() as connection:
        connection.execute(
            insert(INSTANT), [{"k": key, "at": at, "own": at} for key, at in enumerate(values)]
        )
        rows = connection.execute(select(INSTANT.c.at, INSTANT.c.own).order_by(INSTANT.c.k)).all()
        assert [tuple(row) for row in rows] == [(at, at) for at in values]
        assert {row.at.utcoffset() for row in rows} == {dt.timedelta(0)}
        found = select(INSTANT.c.k).where(INSTANT.c.at == values[1].astimezone(UTC))
        assert connection.scalars(found).all() == [1]


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (DateTime(timezone=True), dt.datetime(2024, 1, 1), "no time zone"),
        (DateTime(), dt.datetime(2024, 1, 1, tzinfo=UTC), "has a time zone"),
        (Time(), dt.time(1, tzinfo=UTC), "has a time zone"),
        (Numeric(), Decimal("NaN"), "no number"),
        (Numeric(), Decimal(10) ** 38, "38 digits"),
        (
            DateTime(timezone=True),
            dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=5))),
            "years 1 to 9999",
        ),
    ],
)
def test_values_that_cannot_be_kept_are_refused(
    engine: Engine, kind: Any, value: Any, message: str
) -> None:
    with engine.connect() as connection:
        with pytest.raises(StatementError, match=message) as caught:
            connection.execute(select(literal(value, kind)))
        assert isinstance(caught.value.orig, ValueRefusedError)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Date(), "2024-01-01"),
        (DateTime(), "2024-01-01"),
        (Time(), "12:00"),
        (LargeBinary(), "text"),
        (Integer(), 2**63),
        (Boolean(), 5),
    ],
)
def test_values_of_another_type_are_refused_as_on_sqlite(
    sides: Sides, kind: Any, value: Any
) -> None:
    with sides.warehouse.connect() as connection, pytest.raises((StatementError, OverflowError)):
        connection.execute(select(literal(value, kind)))


# --- numbers --------------------------------------------------------------------------------------

EXACT = Table(
    "exact",
    MetaData(),
    Column("k", Integer, primary_key=True),
    Column("n", Numeric),
    Column("two", Numeric(10, 2)),
    Column("big", Numeric(38, 0)),
    Column("small", Numeric(38, 38)),
)


def test_decimals_of_38_digits(engine: Engine) -> None:
    EXACT.create(engine)
    row = {
        "k": 1,
        "n": Decimal("12345678901234567890.123456789012345678"),
        "two": Decimal("99999999.99"),
        "big": Decimal("1234567890" * 3 + "12345678"),
        "small": Decimal("0." + "0" * 37 + "1"),
    }
    with engine.begin() as connection:
        connection.execute(insert(EXACT), row)
        assert connection.execute(select(EXACT)).mappings().one() == row


def test_digits_that_a_column_has_not_are_refused_on_write(engine: Engine) -> None:
    EXACT.create(engine)
    with engine.begin() as connection:
        for bad in ({"two": Decimal("1.005")}, {"n": Decimal("1E-19")}, {"big": Decimal("0.5")}):
            for statement in (insert(EXACT), insert(EXACT).values(bad)):
                parameters = bad if not statement._values else None
                with pytest.raises(StatementError, match="round it"):
                    connection.execute(statement, parameters)
        with pytest.raises(StatementError, match="round it"):
            connection.execute(EXACT.update().values(two=Decimal("0.001")))
        # Zeros at the end are no digits, and a float is rounded, as SQLite shows it.
        connection.execute(insert(EXACT), {"two": Decimal("1.50000"), "k": 1})
        connection.execute(insert(EXACT), {"two": 0.1 + 0.2, "k": 2})
        found = connection.scalars(select(EXACT.c.two).order_by(EXACT.c.k)).all()
        assert found == [Decimal("1.50"), Decimal("0.30")]
        # A comparison may be with anything.
        assert connection.scalar(select(EXACT.c.k).where(EXACT.c.two > Decimal("1.499"))) == 1


def test_too_large_for_a_column_is_refused_before_it_is_held(engine: Engine) -> None:
    EXACT.create(engine)
    with (
        engine.begin() as connection,
        pytest.raises(StatementError, match=r"exact\.two: .* room for 8") as caught,
    ):
        connection.execute(insert(EXACT), {"two": Decimal(10**9)})
    assert isinstance(caught.value.orig, ValueRefusedError)


def test_float_as_decimal(sides: Sides) -> None:
    with sides.warehouse.connect() as connection:
        value = connection.scalar(select(literal(15.7563, Float(asdecimal=True))))
    assert value == Decimal("15.7563")


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_infinities(sides: Sides, value: float) -> None:
    assert sides.value(select(cast(literal(value, Float()), Float()))) == value


# --- JSON -----------------------------------------------------------------------------------------

DOCUMENT = Table(
    "document",
    METADATA,
    Column("k", Integer, primary_key=True),
    Column("j", JSON),
    Column("strict", JSON(none_as_null=True)),
)
DOCUMENTS: list[Any] = [
    {"a": 1, "b": {"c": [10, 20, {"d": "deep"}]}, "s": "text", "f": 1.5, "t": True, "n": None},
    {"a": 2, "s": "it's \\ \" 😀", "with space": 1, "it's": 2, "dot.ted": 3, "t": False},
    [1, 2, 3],
    "a string",
    None,
]
J = DOCUMENT.c.j


@pytest.fixture(scope="module")
def documents(sides: Sides) -> Sides:
    sides.write(
        insert(DOCUMENT),
        [{"k": key, "j": value, "strict": value} for key, value in enumerate(DOCUMENTS)],
    )
    return sides


@pytest.mark.parametrize(
    "expression",
    [
        J["a"],
        J["a"].as_integer(),
        J["s"],
        J["s"].as_string(),
        J["f"].as_float(),
        J["t"].as_boolean(),
        J["b"],
        J["b"]["c"],
        J["b"]["c"][2]["d"].as_string(),
        J[("b", "c", 1)].as_integer(),
        J[("b", "c")],
        J["with space"].as_integer(),
        J["it's"].as_integer(),
        J["dot.ted"].as_integer(),
        J["n"],
        J["missing"],
        J["missing"].as_string(),
        J[1],
    ],
    ids=str,
)
def test_paths_into_json(documents: Sides, expression: Any) -> None:
    documents.rows(select(DOCUMENT.c.k, expression).order_by(DOCUMENT.c.k))


@pytest.mark.parametrize(
    "condition",
    [
        J["a"].as_integer() == 1,
        J["s"].as_string() == "it's \\ \" 😀",
        J["s"] == "text",
        J["t"].as_boolean(),
        J["f"].as_float() > 1,
        J[("b", "c", 0)].as_integer() == 10,
        J.is_(None),
        J == JSON.NULL,
        DOCUMENT.c.strict.is_(None),
        J["a"].as_integer().in_([1, 5]),
        func.coalesce(J["missing"].as_integer(), 7) == 7,
    ],
    ids=str,
)
def test_conditions_on_json(documents: Sides, condition: Any) -> None:
    documents.rows(select(DOCUMENT.c.k).where(condition).order_by(DOCUMENT.c.k))


def test_what_is_of_another_type_matches_nothing_and_is_not_read_as_null(
    documents: Sides,
) -> None:
    documents.rows(select(DOCUMENT.c.k).where(J["s"].as_integer() == 1))
    with documents.warehouse.connect() as connection, pytest.raises(DBAPIError, match="CAST"):
        connection.execute(select(J["s"].as_integer())).all()


def test_null_of_json_and_of_sql(documents: Sides) -> None:
    raw = select(cast(DOCUMENT.c.j, String), cast(DOCUMENT.c.strict, String)).where(
        DOCUMENT.c.k == 4
    )
    assert documents.rows(raw) == [("null", None)]


def test_a_serializer_of_the_applications_own(engine_url: Any, engine_args: Any) -> None:
    from sqlalchemy import create_engine

    engine = create_engine(
        engine_url,
        connect_args=engine_args,
        json_serializer=lambda value: json.dumps({"wrapped": value}),
        json_deserializer=lambda value: json.loads(value)["wrapped"],
    )
    with engine.connect() as connection:
        assert connection.scalar(select(literal([1], JSON))) == [1]
        assert connection.scalar(select(cast(literal([1], JSON), String))) == '{"wrapped": [1]}'
    engine.dispose()


def test_variant(engine: Engine) -> None:
    table = Table("v", MetaData(), Column("k", Integer, primary_key=True), Column("j", VARIANT))
    table.create(engine)
    with engine.begin() as connection:
        connection.execute(insert(table), {"k": 1, "j": {"a": [1, {"b": "it's"}]}})
        connection.execute(insert(table), {"k": 2, "j": null()})
        assert connection.scalars(select(table.c.j).order_by(table.c.k)).all() == [
            {"a": [1, {"b": "it's"}]},
            None,
        ]
        assert (
            connection.scalar(
                select(table.c.k).where(table.c.j[("a", 1, "b")].as_string() == "it's")
            )
            == 1
        )


# --- nested ---------------------------------------------------------------------------------------

NESTED_KIND = ARRAY(STRUCT(("a b", Integer), ("tags", MAP(String, Numeric(10, 2)))))
NESTED: dict[str, tuple[Any, list[Any]]] = {
    "array of integers": (ARRAY(Integer), [[], [1, None, 2**62]]),
    "array of text": (ARRAY(String), [TEXTS[:-1]]),
    "array of arrays": (ARRAY(Integer, dimensions=2), [[[1], [], [2, None]]]),
    "array of decimals": (ARRAY(Numeric(38, 18)), [[Decimal("1.000000000000000001"), None]]),
    "array of floats": (ARRAY(Float), [[0.1, 1e300, float("inf")]]),
    "array of dates": (ARRAY(Date), [[dt.date(2024, 2, 29), None]]),
    "array of datetimes": (ARRAY(DateTime), [[dt.datetime(2024, 2, 29, 1, 2, 3, 4)]]),
    "array of instants": (ARRAY(TIMESTAMP), [[dt.datetime(2024, 1, 1, 1, 2, 3, 4, UTC)]]),
    "array of booleans": (ARRAY(Boolean), [[True, False, None]]),
    "array of bytes": (ARRAY(LargeBinary), [[b"\0\xff", b""]]),
    "array of uuids": (ARRAY(Uuid), [[uuid.UUID(int=7)]]),
    "map": (MAP(String, Integer), [{}, {"a": 1, "it's \\": None}]),
    "map with integers as keys": (MAP(Integer, String), [{1: "x", -5: None}]),
    "struct": (
        STRUCT(("street", String), ("number", Integer), ("odd name", Boolean)),
        [{"street": "it's \\ 😀", "number": None, "odd name": True}],
    ),
    "nested": (NESTED_KIND, [[{"a b": 1, "tags": {"x": Decimal("1.25")}}, None]]),
}


@pytest.mark.parametrize("name", NESTED)
def test_nested_values(engine: Engine, tmp_path: Path, name: str) -> None:
    kind, values = NESTED[name]
    metadata = MetaData()
    table = Table("n", metadata, Column("k", Integer, primary_key=True), Column("v", kind))
    with sides_of(engine, tmp_path, metadata) as both:
        rows = [{"k": number, "v": value} for number, value in enumerate([*values, None])]
        both.write(insert(table), rows)
        found = both.rows(select(table.c.v).order_by(table.c.k))
    assert [value for [value] in found] == [*values, None]


WALL = dt.datetime(2024, 2, 29, 1, 2, 3, 4)
PARTS: list[tuple[Any, list[Any]]] = [
    (Integer, [2**62, -1]),
    (TINYINT, [-128]),
    (Boolean, [True, False]),
    (Float, [0.1, float("-inf"), 2.0]),
    (REAL, [0.5]),
    (Numeric(10, 2), [Decimal("1.25")]),
    (Numeric(10, 2, asdecimal=False), [1.25]),
    (String, ["it's \\ 😀", ""]),
    (VARCHAR(3), ["abc"]),
    (Enum(Colour), list(Colour)),
    (Uuid, [uuid.UUID(int=7)]),
    (Uuid(as_uuid=False), [str(uuid.UUID(int=7))]),
    (LargeBinary, [b"\0\xff", b""]),
    (Date, [dt.date(1, 1, 1), dt.date(9999, 12, 31)]),
    (Time, [dt.time(23, 59, 59, 999999), dt.time()]),
    (DateTime, [WALL, dt.datetime(1, 1, 1)]),
    (DateTime(timezone=True), [WALL.replace(tzinfo=UTC)]),
    (TIMESTAMP, [WALL.replace(tzinfo=UTC)]),
    (TIMESTAMP_NTZ, [WALL]),
    (Interval, [dt.timedelta(days=-400, microseconds=1), dt.timedelta()]),
    (JSON, [{"a": [1, None]}, "x", 1.5]),
    (PickleType, [{1, 2}]),
    (StrictText, ["x"]),
    (UtcDateTime, [WALL.replace(tzinfo=UTC)]),
    (STRUCT(("i", Interval)), [{"i": dt.timedelta(1)}, {"i": None}]),
]


@pytest.mark.parametrize(("part", "values"), PARTS, ids=[repr(part) for part, _ in PARTS])
def test_each_type_within_a_nested_one(
    engine: Engine, tmp_path: Path, part: Any, values: list[Any]
) -> None:
    metadata = MetaData()
    table = Table(
        "n",
        metadata,
        Column("k", Integer, primary_key=True),
        Column("a", ARRAY(part)),
        Column("m", MAP(String, part)),
        Column("s", STRUCT(("x", part), ("y", String))),
    )
    rows = [
        {"k": number, "a": [value, None], "m": {"x": value, "y": None}, "s": {"x": value, "y": "z"}}
        for number, value in enumerate([*values, None])
    ]
    with sides_of(engine, tmp_path, metadata) as both:
        both.write(insert(table), rows)
        found = both.rows(select(table).order_by(table.c.k))
    assert found == [tuple(row.values()) for row in rows]


def test_a_variant_within_a_nested_type_is_refused(engine: Engine, tmp_path: Path) -> None:
    metadata = MetaData()
    table = Table("n", metadata, Column("a", ARRAY(VARIANT)))
    with sides_of(engine, tmp_path, metadata) as both:
        for side in both.engines:
            with side.connect() as connection, pytest.raises(StatementError, match="make it JSON"):
                connection.execute(insert(table), {"a": [{"x": 1}]})


def test_types_in_capitals_on_both(engine: Engine, tmp_path: Path) -> None:
    metadata = MetaData()
    table = Table(
        "c",
        metadata,
        Column("k", Integer, primary_key=True),
        Column("small", TINYINT),
        Column("at", TIMESTAMP),
        Column("wall", TIMESTAMP_NTZ),
        Column("doc", VARIANT),
    )
    east = dt.timezone(dt.timedelta(hours=5, minutes=30))
    row = {
        "k": 1,
        "small": -128,
        "at": dt.datetime(2024, 1, 1, 1, 2, 3, 4, east),
        "wall": dt.datetime(2024, 1, 1, 1, 2, 3, 4),
        "doc": {"a": [1, "it's"]},
    }
    with sides_of(engine, tmp_path, metadata) as both:
        both.write(insert(table), row)
        assert both.rows(select(table)) == [tuple(row.values())]
        assert both.rows(select(table.c.k).where(table.c.at == row["at"])) == [(1,)]
        for side in both.engines:
            with side.connect() as connection, pytest.raises(StatementError, match="no time zone"):
                connection.execute(select(literal(row["wall"], TIMESTAMP)))


def test_parts_of_nested_values(engine: Engine) -> None:
    table = Table(
        "n",
        MetaData(),
        Column("k", Integer, primary_key=True),
        Column("a", ARRAY(Integer)),
        Column("m", MAP(String, Integer)),
        Column("s", STRUCT(("x y", Integer))),
    )
    table.create(engine)
    with engine.begin() as connection:
        connection.execute(insert(table), {"k": 1, "a": [10, 20], "m": {"x": 5}, "s": {"x y": 7}})
        found = connection.execute(
            select(table.c.a[1], table.c.a[9], table.c.m["x"], table.c.m["?"], table.c.s["x y"])
        ).one()
    assert tuple(found) == (10, None, 5, None, 7)


def test_a_part_that_there_is_not() -> None:
    table = Table("n", MetaData(), Column("s", STRUCT(("a", Integer))))
    with pytest.raises(ArgumentError, match="no field 'b'; it has a"):
        table.c.s["b"]


def test_structs_are_distinguished_in_the_cache() -> None:
    one, two = STRUCT(("a", Integer)), STRUCT(("a", String))
    assert one._static_cache_key != two._static_cache_key
    assert one._static_cache_key == STRUCT(("a", Integer()))._static_cache_key


def test_maps_within_others_have_text_as_keys(engine: Engine) -> None:
    kind = ARRAY(MAP(Integer, Integer))
    with engine.connect() as connection, pytest.raises(StatementError, match="have to be text"):
        connection.execute(select(literal([{1: 2}], kind)))


def test_a_field_that_a_struct_has_not(engine: Engine) -> None:
    kind = STRUCT(("a", Integer))
    with engine.connect() as connection, pytest.raises(StatementError, match="no field 'b'"):
        connection.execute(select(literal({"a": 1, "b": 2}, kind)))


# --- arithmetic with time -------------------------------------------------------------------------


def test_arithmetic_with_time(sides: Sides) -> None:
    at, day = dt.datetime(2024, 2, 28, 23, 0), dt.date(2024, 2, 28)
    two = dt.timedelta(hours=2, microseconds=5)
    moment, date, length = literal(at), literal(day), literal(two)
    cases: dict[Any, Any] = {
        moment + two: at + two,
        moment - two: at - two,
        length + moment: at + two,
        moment - literal(at - two): two,
        length + length: two * 2,
        length - literal(two * 3): -two * 2,
        date + two: dt.datetime(2024, 2, 28) + two,
        date - literal(dt.date(2024, 2, 1)): 27,
        date + 2: dt.date(2024, 3, 1),
        date - 28: dt.date(2024, 1, 31),
    }
    with sides.warehouse.connect() as connection:
        for expression, expected in cases.items():
            assert connection.scalar(select(expression)) == expected, str(expression)


def test_now_is_naive_utc_in_a_datetime(sides: Sides) -> None:
    with sides.warehouse.connect() as connection:
        now = connection.scalar(select(func.now()))
        aware = connection.scalar(select(func.now(type_=DateTime(timezone=True))))
    assert now is not None
    assert abs(now - dt.datetime.now(UTC).replace(tzinfo=None)) < dt.timedelta(minutes=1)
    assert aware is not None
    assert aware.tzinfo is UTC


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Integer(), "BIGINT"),
        (types.INTEGER(), "INT"),
        (types.SMALLINT(), "SMALLINT"),
        (types.BIGINT(), "BIGINT"),
        (TINYINT(), "TINYINT"),
        (Float(), "DOUBLE"),
        (types.FLOAT(), "FLOAT"),
        (types.REAL(), "FLOAT"),
        (types.DOUBLE(), "DOUBLE"),
        (types.DOUBLE_PRECISION(), "DOUBLE"),
        (Numeric(), "DECIMAL(38,18)"),
        (Numeric(10), "DECIMAL(10,0)"),
        (types.DECIMAL(), "DECIMAL(38,18)"),
        (types.NUMERIC(5, 2), "DECIMAL(5,2)"),
        (String(5), "STRING"),
        (types.VARCHAR(5), "VARCHAR(5)"),
        (types.VARCHAR(), "STRING"),
        (types.CHAR(5), "VARCHAR(5)"),
        (types.TEXT(), "STRING"),
        (Enum("a", "b"), "STRING"),
        (Uuid(), "STRING"),
        (types.UUID(), "STRING"),
        (LargeBinary(), "BINARY"),
        (types.BLOB(), "BINARY"),
        (types.BINARY(4), "BINARY"),
        (types.VARBINARY(4), "BINARY"),
        (PickleType(), "BINARY"),
        (DateTime(), "TIMESTAMP_NTZ"),
        (DateTime(timezone=True), "TIMESTAMP"),
        (types.TIMESTAMP(), "TIMESTAMP_NTZ"),
        (types.TIMESTAMP(timezone=True), "TIMESTAMP"),
        (types.DATETIME(), "TIMESTAMP_NTZ"),
        (TIMESTAMP(), "TIMESTAMP"),
        (TIMESTAMP_NTZ(), "TIMESTAMP_NTZ"),
        (Date(), "DATE"),
        (Time(), "STRING"),
        (Interval(), "TIMESTAMP_NTZ"),
        (JSON(), "STRING"),
        (VARIANT(), "VARIANT"),
        (types.ARRAY(Integer), "ARRAY<BIGINT>"),
        (ARRAY(String, dimensions=2), "ARRAY<ARRAY<STRING>>"),
        (MAP(String, Numeric(5, 2)), "MAP<STRING, DECIMAL(5,2)>"),
        (STRUCT(("a b", Integer), ("c", Date)), "STRUCT<`a b`: BIGINT, c: DATE>"),
        (String().with_variant(types.VARCHAR(9), "databricks"), "VARCHAR(9)"),
        (Reversed(), "STRING"),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value),
)
def test_names_in_databricks(kind: Any, name: str) -> None:
    assert VinciDialect().type_compiler_instance.process(kind) == name


def test_names_are_ours_beside_the_vendors_dialect() -> None:
    pytest.importorskip("databricks.sqlalchemy")
    process = VinciDialect().type_compiler_instance.process
    assert [process(kind) for kind in (Integer(), Numeric(), Float(), DateTime(timezone=True))] == [
        "BIGINT",
        "DECIMAL(38,18)",
        "DOUBLE",
        "TIMESTAMP",
    ]


# --- any value ------------------------------------------------------------------------------------

_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)
ANY = Table(
    "any_",
    METADATA,
    Column("k", Integer, primary_key=True),
    Column("i", Integer),
    Column("f", Float),
    Column("s", String),
    Column("b", LargeBinary),
    Column("d", Date),
    Column("t", Time),
    Column("ts", DateTime),
    Column("u", Uuid),
    Column("iv", Interval),
    Column("j", JSON(none_as_null=True)),
)
_ROW = st.fixed_dictionaries(
    {
        "i": st.none() | st.integers(-(2**63), 2**63 - 1),
        "f": st.none() | st.floats(allow_nan=False),
        "s": st.none() | _TEXT,
        "b": st.none() | st.binary(),
        "d": st.none() | st.dates(),
        "t": st.none() | st.times(),
        "ts": st.none() | st.datetimes(),
        "u": st.none() | st.uuids(),
        "iv": st.none() | st.timedeltas(dt.timedelta(days=-100_000), dt.timedelta(days=100_000)),
        "j": _JSON,
    }
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(_ROW, min_size=1, max_size=12))
def test_any_value_is_the_same_after_a_write_and_a_read(
    sides: Sides, rows: list[dict[str, Any]]
) -> None:
    keyed = [{"k": key, **row} for key, row in enumerate(rows)]
    sides.write(ANY.delete())
    sides.write(insert(ANY).values(keyed))
    columns = [column for column in ANY.columns if column.name != "k"]
    found = sides.rows(select(*columns).order_by(ANY.c.k))
    assert found == [tuple(row[column.name] for column in columns) for row in rows]
