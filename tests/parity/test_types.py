"""A value that is written and read again is the same value of the same type, and is found by it."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from tests.full import part
from tests.parity.backends import same
from vinci_code.database.models.types import UtcDateTime

# SQLite has no exact numbers, and SQLAlchemy says so.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Dialect sqlite.pysqlite does .not. support Decimal"),
    part(3),
]

METADATA = sa.MetaData()


class Colour(enum.Enum):
    RED = "r"
    DARK_BLUE = "dark 'blue'"


UTC = dt.timezone.utc
EAST = dt.timezone(dt.timedelta(hours=5, minutes=30))

everything = sa.Table(
    "everything",
    METADATA,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("small", sa.SmallInteger),
    sa.Column("number", sa.Integer),
    sa.Column("big", sa.BigInteger),
    sa.Column("money", sa.Numeric(12, 2)),
    sa.Column("exact", sa.Numeric(14, 4)),
    sa.Column("approximate", sa.Float),
    sa.Column("double", sa.Double),
    sa.Column("flag", sa.Boolean),
    sa.Column("text", sa.String),
    sa.Column("short", sa.String(40)),
    sa.Column("long", sa.Text),
    sa.Column("unicode", sa.Unicode(40)),
    sa.Column("day", sa.Date),
    sa.Column("time", sa.Time),
    sa.Column("wall", sa.DateTime),
    sa.Column("instant", UtcDateTime),
    sa.Column("span", sa.Interval),
    sa.Column("uid", sa.Uuid),
    sa.Column("uid_text", sa.Uuid(as_uuid=False)),
    sa.Column("data", sa.LargeBinary),
    sa.Column("colour", sa.Enum(Colour)),
    sa.Column("size", sa.Enum("small", "large", name="size")),
    sa.Column("document", sa.JSON),
    sa.Column("object", sa.PickleType),
)

NULLABLE = [column.name for column in everything.columns if not column.primary_key]

VALUES: dict[str, list[Any]] = {
    "small": [0, 1, -1, 32767, -32768],
    "number": [0, 1, -1, 2147483647, -2147483648],
    "big": [0, 2147483648, -2147483649, 9223372036854775807, -9223372036854775808, 2**53 + 1],
    "money": [Decimal(text) for text in ("0.00", "1.50", "-0.01", "9999999.99", "-123456.78")],
    "exact": [Decimal(text) for text in ("0.0001", "-0.0001", "1.0000", "1234567.8901", "1E+3")],
    "approximate": [0.0, 0.1, -0.1, 1e-7, 3.141592653589793, 1e300, 5e-324, 2.0**60],
    "double": [0.0, 0.1, 1 / 3, -1e-300, 1.7976931348623157e308, float("inf"), float("-inf")],
    "flag": [True, False],
    "text": [
        "",
        " ",
        "plain",
        "it's",
        'say "hi"',
        "back\\slash",
        "\\n",
        "\\'",
        "line\nbreak\ttab\r",
        "ünïcödé",
        "日本語",
        "😀 four bytes",
        "e\u0301 combining",
        "%like_",
        ":name",
        "?",
        "-- comment",
        "/* comment */",
        "`tick`",
        "{{brace}}",
        "${var}",
        "NULL",
        "0",
        "x" * 10_000,
        "trailing ",
        "\u00a0",
        "\ufeffbom",
    ],
    "short": ["", "forty characters at the very most......."],
    "long": ["", "paragraph\n\nparagraph", "y" * 50_000],
    "unicode": ["Ωμέγα", "🇩🇪"],
    "day": [
        dt.date(1970, 1, 1),
        dt.date(2024, 2, 29),
        dt.date(1, 1, 1),
        dt.date(9999, 12, 31),
        dt.date(1582, 10, 10),
        dt.date(1900, 1, 1),
    ],
    "time": [dt.time(0, 0), dt.time(23, 59, 59, 999999), dt.time(12, 34, 56), dt.time(1, 2, 3, 4)],
    "wall": [
        dt.datetime(2024, 2, 29, 12, 34, 56, 789012),
        dt.datetime(1970, 1, 1),
        dt.datetime(1969, 12, 31, 23, 59, 59, 999999),
        dt.datetime(2024, 3, 31, 2, 30),
        dt.datetime(1, 1, 1),
        dt.datetime(9999, 12, 31, 23, 59, 59, 999999),
        dt.datetime(1582, 10, 10, 1, 2, 3),
        dt.datetime(2024, 1, 1, 0, 0, 0, 1),
    ],
    "instant": [
        dt.datetime(2024, 2, 29, 12, 34, 56, 789012, tzinfo=UTC),
        dt.datetime(2024, 2, 29, 12, 34, 56, tzinfo=EAST),
        dt.datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        dt.datetime(1900, 1, 1, tzinfo=UTC),
    ],
    "span": [
        dt.timedelta(0),
        dt.timedelta(microseconds=1),
        dt.timedelta(days=400, seconds=3, microseconds=7),
        dt.timedelta(days=-1),
        dt.timedelta(hours=26, minutes=3),
    ],
    "uid": [
        uuid.UUID(int=0),
        uuid.UUID("0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"),
        uuid.UUID(int=2**128 - 1),
    ],
    "uid_text": ["0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"],
    "data": [
        b"",
        b"\x00",
        b"\x00\x01\xfe\xff",
        bytes(range(256)),
        b"it's \\ `",
        b"\xf0\x28" * 5000,
    ],
    "colour": [Colour.RED, Colour.DARK_BLUE],
    "size": ["small", "large"],
    "document": [
        {},
        [],
        "",
        "text",
        0,
        1.5,
        True,
        False,
        {"a": 1},
        {"a": None},
        {"b": 1, "a": 2},
        [1, [2, [3, None]]],
        {"quote": 'it\'s "x" \\ \n', "ünï": "😀"},
        {"big": 2**53 + 1, "small": 5e-324, "minus": -0.5},
        {"deep": {"er": [{"x": [True, False, None]}]}},
    ],
    "object": [{"a": (1, 2)}, {1, 2, 3}, b"bytes", dt.date(2024, 1, 1)],
}

# What cannot be compared in a WHERE clause: documents by their text, pickles by their bytes.
NOT_COMPARED = {"document", "object"}

CASES = [(name, value) for name, values in VALUES.items() for value in values]


@pytest.mark.parametrize(
    ("name", "value"), CASES, ids=[f"{name}-{number}" for number, (name, _) in enumerate(CASES)]
)
def test_round_trip(connection: sa.Connection, key: int, name: str, value: Any) -> None:
    column = everything.c[name]
    connection.execute(sa.insert(everything).values({"id": key, name: value}))
    query = sa.select(column).where(everything.c.id == key)
    if name not in NOT_COMPARED:
        query = query.where(column == value)
    found = connection.execute(query).all()
    assert len(found) == 1
    assert same(found[0][0], value) or (name == "instant" and found[0][0] == value)


@pytest.mark.parametrize("name", NULLABLE)
def test_null(connection: sa.Connection, key: int, name: str) -> None:
    column = everything.c[name]
    value = sa.null() if name == "document" else None
    connection.execute(sa.insert(everything).values({"id": key, name: value}))
    query = sa.select(column, column.is_(None)).where(everything.c.id == key, column.is_(None))
    assert connection.execute(query).all() == [(None, True)]


def test_default_is_null(connection: sa.Connection, key: int) -> None:
    connection.execute(sa.insert(everything).values(id=key))
    found = connection.execute(sa.select(everything).where(everything.c.id == key)).one()
    assert tuple(found) == (key, *[None] * len(NULLABLE))


def test_json_null_is_not_sql_null(connection: sa.Connection, key: int) -> None:
    connection.execute(sa.insert(everything).values(id=key, document=sa.JSON.NULL))
    column = everything.c.document
    query = sa.select(column, column.is_(None)).where(everything.c.id == key)
    assert connection.execute(query).all() == [(None, False)]


def test_instants_come_back_in_utc(connection: sa.Connection, key: int) -> None:
    moment = dt.datetime(2024, 7, 1, 12, tzinfo=EAST)
    connection.execute(sa.insert(everything).values(id=key, instant=moment))
    found = connection.scalar(sa.select(everything.c.instant).where(everything.c.id == key))
    assert found == dt.datetime(2024, 7, 1, 6, 30, tzinfo=UTC)
    assert found is not None
    assert found.utcoffset() == dt.timedelta(0)


@pytest.mark.parametrize(
    "name", ["number", "money", "double", "text", "day", "wall", "uid", "flag"]
)
def test_in_a_list(connection: sa.Connection, key: int, name: str) -> None:
    chosen = VALUES[name][:2]
    connection.execute(sa.insert(everything).values({"id": key, name: chosen[1]}))
    column = everything.c[name]
    query = sa.select(sa.func.count()).where(everything.c.id == key, column.in_(chosen))
    assert connection.scalar(query) == 1
    query = sa.select(sa.func.count()).where(everything.c.id == key, column.not_in(chosen))
    assert connection.scalar(query) == 0


@pytest.mark.parametrize("name", [name for name in VALUES if name not in NOT_COMPARED])
def test_update(connection: sa.Connection, key: int, name: str) -> None:
    old, new = VALUES[name][0], VALUES[name][-1]
    column = everything.c[name]
    connection.execute(sa.insert(everything).values({"id": key, name: old}))
    change = sa.update(everything).where(everything.c.id == key, column == old)
    assert connection.execute(change.values({name: new})).rowcount == 1
    found = connection.scalar(sa.select(column).where(everything.c.id == key))
    assert found == new


@pytest.mark.parametrize("name", ["number", "money", "text", "day", "wall", "data", "uid"])
def test_of_a_bound_value_alone(connection: sa.Connection, name: str) -> None:
    value = VALUES[name][-1]
    query = sa.select(sa.bindparam("v", value, type_=everything.c[name].type))
    assert connection.scalar(query) == value


@pytest.mark.parametrize("name", ["number", "text", "day", "wall", "flag", "double"])
def test_literal_execute(connection: sa.Connection, key: int, name: str) -> None:
    column = everything.c[name]
    value = VALUES[name][0]
    connection.execute(sa.insert(everything).values({"id": key, name: value}))
    bound = sa.bindparam("v", value, type_=column.type, literal_execute=True)
    query = sa.select(column).where(everything.c.id == key, column == bound)
    assert connection.scalar(query) == value


def test_several_rows_in_one_statement(connection: sa.Connection) -> None:
    rows: list[dict[str, Any]] = [
        {"id": -1, "number": 1, "text": "one", "money": Decimal("1.10"), "flag": True},
        {"id": -2, "number": None, "text": None, "money": None, "flag": None},
        {"id": -3, "number": 3, "text": "", "money": Decimal("-3.00"), "flag": False},
    ]
    connection.execute(sa.insert(everything).values(rows))
    columns = [everything.c[name] for name in rows[0]]
    query = sa.select(*columns).where(everything.c.id < 0).order_by(everything.c.id.desc())
    assert same(
        connection.execute(query).all(),
        [
            (-1, 1, "one", Decimal("1.10"), True),
            (-2, None, None, None, None),
            (-3, 3, "", Decimal("-3.00"), False),
        ],
    )


def test_several_sets_of_parameters(connection: sa.Connection) -> None:
    rows = [{"id": -10 - n, "number": n, "text": f"row {n}"} for n in range(3)]
    connection.execute(sa.insert(everything), rows)
    query = (
        sa.select(everything.c.number, everything.c.text)
        .where(everything.c.id <= -10)
        .order_by(everything.c.number)
    )
    assert connection.execute(query).all() == [(0, "row 0"), (1, "row 1"), (2, "row 2")]
