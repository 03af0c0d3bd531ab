"""What columns of Arrow become, and what of them is refused with its row and column."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import math
import uuid
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator

from tests.dialect.held import rows_of
from vinci_code.core.errors import LoadRefusedError, RowRefusedError
from vinci_code.database import load
from vinci_code.database.dialect.types import TIMESTAMP
from vinci_code.database.models.types import StrictText, UtcDateTime

pytestmark = pytest.mark.filterwarnings("ignore:Dialect sqlite.pysqlite does .not. support Decimal")

NOON = dt.datetime(2024, 2, 29, 12, 0, 0, 5)  # noqa: DTZ001
UTC = dt.timezone.utc
KEY = uuid.UUID(int=7)


class Colour(enum.Enum):
    RED = "r"


class Doubled(TypeDecorator[int]):
    """A type of the application's, which stores other values than it is given."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Any) -> int | None:
        """Store twice as much."""
        if value == 13:
            raise ValueError("no luck")
        return None if value is None else 2 * value

    def process_result_value(self, value: int | None, dialect: Any) -> int | None:
        """Give it as it is stored."""
        return value


KINDS: dict[str, Any] = {
    "integer": sa.BigInteger(),
    "boolean": sa.Boolean(),
    "double": sa.Double(),
    "numeric": sa.Numeric(8, 2),
    "text": sa.String(),
    "strict": StrictText(),
    "enum": sa.Enum(Colour),
    "uuid": sa.Uuid(),
    "uuid_text": sa.Uuid(as_uuid=False),
    "json": sa.JSON(),
    "binary": sa.LargeBinary(),
    "date": sa.Date(),
    "time": sa.Time(),
    "moment": sa.DateTime(),
    "instant": UtcDateTime(),
    "timestamp": TIMESTAMP(),
    "interval": sa.Interval(),
    "own": Doubled(),
}
TABLE = sa.Table(
    "kinds",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    *(sa.Column(name, kind) for name, kind in KINDS.items()),
)


@pytest.fixture(autouse=True)
def table(request: pytest.FixtureRequest) -> None:
    if "engine" in request.fixturenames:
        TABLE.create(request.getfixturevalue("engine"))


def test_what_is_taken(engine: sa.Engine) -> None:
    """All in one load, since each takes a while on a warehouse."""
    given: list[tuple[str, Any, Any]] = [
        ("integer", pa.array([2, None], pa.uint64()), 2),
        ("integer", pa.array([2.0, None], pa.float32()), 2),
        ("integer", pa.array([Decimal(2), None], pa.decimal128(5, 2)), 2),
        ("integer", pa.array([2, None]).dictionary_encode(), 2),
        ("integer", pa.RunEndEncodedArray.from_arrays([1, 2], pa.array([2, None])), 2),
        ("boolean", pa.array([1, None], pa.int8()), True),
        ("double", pa.array([2, None]), 2.0),
        ("double", pa.array([math.inf, None]), math.inf),
        ("numeric", pa.array([Decimal("1.5"), None], pa.decimal256(50, 10)), Decimal("1.50")),
        ("numeric", pa.array([1.5, None]), Decimal("1.50")),
        ("numeric", pa.array([3, None]), Decimal("3.00")),
        ("text", pa.array(["é\U0001f600", None], pa.string_view()), "é\U0001f600"),
        ("strict", pa.array(["x", None], pa.large_string()), "x"),
        ("enum", pa.array(["RED", None]), Colour.RED),
        ("uuid", pa.array([str(KEY).upper(), None]), KEY),
        ("uuid", pa.array([KEY.bytes, None], pa.binary(16)), KEY),
        ("uuid_text", pa.array([KEY.hex, None]), str(KEY)),
        ("json", pa.array(['{"a": [1, null, 1e2]}', None]), {"a": [1, None, 100.0]}),
        ("json", pa.array([{"a": [1]}, None]), {"a": [1]}),
        ("json", pa.array([5, None]), 5),
        ("binary", pa.array([b"\x00\xff", None], pa.large_binary()), b"\x00\xff"),
        ("date", pa.array([NOON.date(), None], pa.date64()), NOON.date()),
        ("date", pa.array([dt.datetime(2024, 2, 29), None]), NOON.date()),  # noqa: DTZ001
        ("time", pa.array([NOON.time(), None], pa.time64("ns")), NOON.time()),
        ("moment", pa.array([NOON, None], pa.timestamp("ns")), NOON),
        ("moment", pa.array([NOON.date(), None]), NOON.replace(hour=0, microsecond=0)),
        ("moment", pa.array([dt.datetime(1, 1, 1), None]), dt.datetime(1, 1, 1)),  # noqa: DTZ001
        ("instant", pa.array([NOON, None], pa.timestamp("us", "UTC")), NOON.replace(tzinfo=UTC)),
        (
            "timestamp",
            pa.array([NOON, None], pa.timestamp("ns", "Europe/Rome")),
            NOON.replace(tzinfo=UTC),
        ),
        (
            "interval",
            pa.array([dt.timedelta(days=-2), None], pa.duration("s")),
            dt.timedelta(days=-2),
        ),
        ("own", pa.array([5, None], pa.int16()), 10),
        ("text", pa.nulls(2), None),
    ]
    count = 0
    expected: list[tuple[Any, ...]] = []
    while given:
        # Each column once at a time.
        columns = {name: (column, value) for name, column, value in reversed(given)}
        given = [one for one in given if columns[one[0]][0] is not one[1]]
        source = {name: column for name, (column, _) in columns.items()}
        load(engine, TABLE, pa.table({"id": [count, count + 1], **source}))
        expected += [
            (count, *(columns[name][1] if name in columns else None for name in KINDS)),
            (count + 1, *([None] * len(KINDS))),
        ]
        count += 2
    with engine.connect() as connection:
        found = connection.execute(sa.select(TABLE).order_by(TABLE.c.id)).all()
        nulls = connection.scalar(
            sa.select(sa.func.count()).where(sa.cast(TABLE.c.json, sa.String).is_(None))
        )
    for row, wanted in zip(found, expected, strict=True):
        assert tuple(row) == wanted
    assert nulls == count - 3


def test_not_a_number_is_stored_as_by_a_commit(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.insert(TABLE), [{"id": 1, "double": math.nan}])
    load(engine, TABLE, pa.table({"id": [2], "double": [math.nan]}))
    first, second = (row[3] for row in rows_of(engine, TABLE))
    assert (first is None) == (second is None) == (engine.dialect.name == "sqlite")


REFUSED: list[tuple[str, Any, str]] = [
    ("integer", pa.array([1, 2**63], pa.uint64()), "no whole number of 64 bits"),
    ("integer", pa.array([1, 1.5]), "no whole number"),
    ("integer", pa.array([1, math.nan]), "no whole number"),
    ("boolean", pa.array([1, 2]), "True, False, 1 or 0"),
    ("double", pa.array([1, 2**60 + 1]), "more digits than a float"),
    ("double", pa.array([Decimal(1), Decimal("0.12345678901234567890")]), "more digits"),
    ("numeric", pa.array([Decimal(1), Decimal("1.234")]), "more digits after the point"),
    ("numeric", pa.array([Decimal(1), Decimal(10_000_000)]), "digits before the point"),
    ("numeric", pa.array([1, math.nan]), "no number"),
    ("enum", pa.array(["RED", "BLUE"]), "is wanted here"),
    ("uuid", pa.array([KEY.hex, "x"]), "no UUID"),
    ("uuid", pa.array([KEY.bytes, b"x"]), "does not hold"),
    ("json", pa.array(["1", "{"]), "no JSON document"),
    ("json", pa.array(["1", "NaN"]), "no JSON document"),
    ("date", pa.array([dt.datetime(2024, 1, 1), NOON]), "time of day"),  # noqa: DTZ001
    ("date", pa.array([0, 2932897], pa.date32()), "years 1 to 9999"),
    ("time", pa.array([0, 1], pa.time64("ns")), "microseconds"),
    ("moment", pa.array([0, 1], pa.timestamp("ns")), "microseconds"),
    ("moment", pa.array([0, 10**18], pa.timestamp("us")), "years 1 to 9999"),
    ("moment", pa.array([0, 10**17], pa.timestamp("s")), "microseconds|years"),
    ("instant", pa.array([0, 1], pa.timestamp("ns", "UTC")), "microseconds"),
    ("interval", pa.array([0, 1], pa.duration("ns")), "microseconds"),
    (
        "text",
        pa.StringArray.from_buffers(
            2, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xff")
        ),
        "no Unicode",
    ),
    ("own", pa.array([1, 13]), "does not take"),
]


@pytest.mark.parametrize(("name", "column", "message"), REFUSED)
def test_a_value_is_refused_with_its_row(
    sqlite: sa.Engine, name: str, column: Any, message: str
) -> None:
    TABLE.create(sqlite)
    before = pa.table({"id": [0], name: column.slice(0, 1)})
    source = pa.concat_tables([before, pa.table({"id": [1, 2], name: column})])
    with pytest.raises(RowRefusedError, match=message) as caught:
        load(sqlite, TABLE, source)
    assert (caught.value.row, caught.value.column) == (3, name)
    assert rows_of(sqlite, TABLE) == []


def test_the_same_is_refused_where_it_is_staged(staged: sa.Engine) -> None:
    TABLE.create(staged)
    for name, column, message in REFUSED:
        before = pa.table({"id": [0], name: column.slice(0, 1)})
        source = pa.concat_tables([before, pa.table({"id": [1, 2], name: column})])
        with pytest.raises(RowRefusedError, match=message) as caught:
            load(staged, TABLE, source)
        assert (caught.value.row, caught.value.column) == (3, name)
    # What its type makes of a text, and no BIGINT is.
    with pytest.raises(RowRefusedError, match="found a str") as caught:
        load(staged, TABLE, pa.table({"id": [1, 2], "own": ["a", "b"]}))
    assert (caught.value.row, caught.value.column) == (1, "own")
    assert rows_of(staged, TABLE) == []


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("integer", pa.string(), "holds whole numbers"),
        ("integer", pa.bool_(), "holds whole numbers"),
        ("text", pa.int64(), "holds text"),
        ("text", pa.binary(), "holds text"),
        ("binary", pa.string(), "holds bytes"),
        ("instant", pa.timestamp("us"), r"assume_timezone"),
        ("timestamp", pa.timestamp("us"), r"dt\.tz_localize of pandas"),
        ("moment", pa.timestamp("us", "UTC"), r"local_timestamp"),
        ("date", pa.timestamp("us", "UTC"), r"local_timestamp"),
        ("time", pa.int64(), "holds times of day"),
        ("interval", pa.month_day_nano_interval(), "month_day_nano"),
        ("json", pa.timestamp("us"), "holds JSON documents"),
        ("uuid", pa.int64(), "holds UUIDs"),
    ],
)
def test_a_type_is_refused_before_anything_is_read(
    sqlite: sa.Engine, name: str, kind: pa.DataType, message: str
) -> None:
    TABLE.create(sqlite)

    def batches() -> Any:
        raise AssertionError("it was read")
        yield

    schema = pa.schema([("id", pa.int64()), (name, kind)])
    with pytest.raises(LoadRefusedError, match=message) as caught:
        load(sqlite, TABLE, pa.RecordBatchReader.from_batches(schema, batches()))
    assert caught.value.what == f"the column {name!r}"


def test_no_value_is_in_a_message(sqlite: sa.Engine) -> None:
    table = sa.Table("t", sa.MetaData(), sa.Column("key", sa.Uuid), sa.Column("own", Doubled))
    table.create(sqlite)
    secret = "dapi0123456789abcdef"
    for rows in ([{"key": secret}], pa.table({"key": [secret]}), [{"own": decimal.Context}]):
        with pytest.raises(RowRefusedError) as caught:
            load(sqlite, table, rows)
        assert secret not in str(caught.value)


def test_rows_of_one_commit_are_counted_from_one(sqlite: sa.Engine) -> None:
    TABLE.create(sqlite)
    rows = [{"id": number, "uuid": KEY} for number in range(10_005)]
    rows[10_003]["uuid"] = 5
    with pytest.raises(RowRefusedError, match=r"row 10,004, column 'uuid'"):
        load(sqlite, TABLE, rows)
    assert rows_of(sqlite, TABLE) == []
