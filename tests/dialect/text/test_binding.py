"""Values: each arrives as it was, as a parameter and as a literal, alone and inside others."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import math
import uuid
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.full import part
from vinci_code.database.dialect.dberrors import DataError, LimitExceeded, ProgrammingError
from vinci_code.database.dialect.driver import dbapi
from vinci_code.database.dialect.text import binding
from vinci_code.database.dialect.text.binding import (
    Parameter,
    Struct,
    Typed,
    bind,
    literal,
    parameter,
)
from vinci_code.database.dialect.text.scanning import describe, markers
from vinci_code.warehouse.pytest_plugin import TestWarehouse

pytestmark = part(2)


UTC = dt.timezone.utc
EAST = dt.timezone(dt.timedelta(hours=5, minutes=45))


class Color(str, enum.Enum):
    RED = "r"


class Level(enum.IntEnum):
    HIGH = 3


MARKERS = {
    "none": ("SELECT 1", []),
    "plain": ("SELECT ?, ?", [7, 10]),
    "in a string": ("SELECT '?', ?", [12]),
    "after an escaped quote": (r"SELECT 'a\'?', ?", [15]),
    "after a backslash at the end": (r"SELECT 'a\\', ?", [14]),
    "in a double-quoted string": ('SELECT "?\\"?", ?', [15]),
    "in a raw string": (r"SELECT r'\', ?", [13]),
    "in a name": ("SELECT `a?``?`, ?", [16]),
    "in a line comment": ("SELECT -- ?\n ?", [13]),
    "in a comment": ("SELECT /* ? */ ?", [15]),
    "in a nested comment": ("SELECT /* /* ? */ ? */ ?", [23]),
    "in a hint": ("SELECT /*+ COALESCE(1) */ ?", [26]),
    "in a function's body": ("CREATE FUNCTION f() AS $$ a ? b $$ ?", [35]),
    "in a string without an end": ("SELECT 'a ?", []),
    "in a comment without an end": ("SELECT /* ?", []),
    "before a cast": ("SELECT ?::INT", [7]),
    "try_cast is none": ("SELECT a?::INT, (b) ?::INT, ?", [28]),
    "quotes side by side": ("SELECT 'a''?', ?", [15]),
}


@pytest.mark.parametrize(("text", "expected"), MARKERS.values(), ids=list(MARKERS))
def test_markers_are_found_where_code_is(text: str, expected: list[int]) -> None:
    assert markers(text) == expected
    assert all(text[place] == "?" for place in expected)


READS = {
    "SELECT 1": True,
    "  -- a comment\n select 1": True,
    "(SELECT 1) UNION (SELECT 2)": True,
    "VALUES (1)": True,
    "SHOW TABLES": True,
    "DESCRIBE TABLE t": True,
    "EXPLAIN DELETE FROM t": True,
    "WITH a AS (SELECT 1) SELECT * FROM a": True,
    "WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a": False,
    "FROM t INSERT INTO u SELECT *": False,
    "INSERT INTO t SELECT 1": False,
    "MERGE INTO t USING u ON a = b WHEN MATCHED THEN DELETE": False,
    "CREATE TABLE t AS SELECT 1": False,
    "BEGIN ATOMIC INSERT INTO t VALUES (1); END": False,
    "COMMIT": False,
    "CALL p()": False,
    "": False,
}


@pytest.mark.parametrize(("text", "reads"), READS.items(), ids=list(READS))
def test_what_changes_nothing_is_known(text: str, reads: bool) -> None:
    assert describe(text).reads is reads


@pytest.mark.parametrize(
    "text",
    ["USE SCHEMA a", "SET TIMEZONE = 'UTC'", "CREATE OR REPLACE TEMP VIEW v AS SELECT 1"],
)
def test_what_the_session_keeps_is_known(text: str) -> None:
    assert describe(text).changes_session
    assert not describe("CREATE TABLE temporary_things (a INT)").changes_session


PARAMETERS: dict[str, tuple[Any, Parameter]] = {
    "null": (None, Parameter("VOID", None)),
    "true": (True, Parameter("BOOLEAN", "true")),
    "int": (-(2**31), Parameter("INT", "-2147483648")),
    "bigint": (2**31, Parameter("BIGINT", "2147483648")),
    "least bigint": (-(2**63), Parameter("BIGINT", "-9223372036854775808")),
    "beyond bigint": (2**63, Parameter("DECIMAL(19,0)", "9223372036854775808")),
    "38 digits": (10**38 - 1, Parameter("DECIMAL(38,0)", "9" * 38)),
    "float": (0.1, Parameter("DOUBLE", "0.1")),
    "small float": (5e-324, Parameter("DOUBLE", "5e-324")),
    "nan": (math.nan, Parameter("DOUBLE", "NaN")),
    "infinity": (-math.inf, Parameter("DOUBLE", "-Infinity")),
    "decimal": (Decimal("-1.50"), Parameter("DECIMAL(3,2)", "-1.50")),
    "decimal below one": (Decimal("0.05"), Parameter("DECIMAL(2,2)", "0.05")),
    "small decimal": (Decimal("1E-10"), Parameter("DECIMAL(10,10)", "0.0000000001")),
    "decimal with exponent": (Decimal("1E+5"), Parameter("DECIMAL(6,0)", "100000")),
    "zero": (Decimal("0.00"), Parameter("DECIMAL(2,2)", "0.00")),
    "zero with exponent": (Decimal("0E+99"), Parameter("DECIMAL(1,0)", "0")),
    "finest zero": (Decimal("0E-60"), Parameter("DECIMAL(38,38)", "0." + "0" * 38)),
    "longest decimal": (Decimal("9" * 38), Parameter("DECIMAL(38,0)", "9" * 38)),
    "zeros without room": (
        Decimal("123." + "0" * 50),
        Parameter("DECIMAL(3,0)", "123"),
    ),
    "text": ("it's", Parameter("STRING", "it's")),
    "enum of texts": (Color.RED, Parameter("STRING", "r")),
    "enum of integers": (Level.HIGH, Parameter("INT", "3")),
    "bytes": (b"\x00\xff", Parameter("STRING", "AP8=", "unbase64(?)")),
    "date": (dt.date(1, 2, 3), Parameter("DATE", "0001-02-03")),
    "naive": (dt.datetime(2024, 1, 2, 3), Parameter("TIMESTAMP_NTZ", "2024-01-02 03:00:00")),
    "aware": (
        dt.datetime(2024, 1, 2, 3, 0, 0, 1, EAST),
        Parameter("TIMESTAMP", "2024-01-01 21:15:00.000001+00:00"),
    ),
    "time": (dt.time(1, 2, 3, 4), Parameter("STRING", "01:02:03.000004")),
    "uuid": (uuid.UUID(int=5), Parameter("STRING", "00000000-0000-0000-0000-000000000005")),
    "typed": (Typed(1, "TINYINT"), Parameter("INT", "1", "CAST(? AS TINYINT)")),
}


@pytest.mark.parametrize(("value", "expected"), PARAMETERS.values(), ids=PARAMETERS)
def test_a_value_is_bound_with_its_type(value: Any, expected: Parameter) -> None:
    assert parameter(value) == expected


REFUSED = {
    "object": (object(), ProgrammingError, "object"),
    "set": ({1}, ProgrammingError, "set"),
    "complex": (1j, ProgrammingError, "complex"),
    "long integer": (10**38, DataError, "38 digits"),
    "long decimal": (Decimal("1E+38"), DataError, "39 digits"),
    "huge decimal": (Decimal("1E+999999"), DataError, "1000000 digits"),
    "decimal of 39 digits": (Decimal("1" * 39), DataError, "39 digits"),
    "fine decimal": (Decimal("1E-39"), DataError, "finer"),
    "decimal nan": (Decimal("NaN"), DataError, "NaN"),
    "half a character": ("a\ud800", DataError, "position 1"),
    "beyond the calendar": (
        dt.datetime.max.replace(tzinfo=dt.timezone(-dt.timedelta(hours=1))),
        DataError,
        "9999",
    ),
    "inside a list": ([object()], ProgrammingError, "object"),
    "inside a dictionary": ({"a": Decimal("NaN")}, DataError, "NaN"),
}


@pytest.mark.parametrize(("value", "kind", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_held_is_refused_with_its_position(
    value: Any, kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said) as caught:
        bind("SELECT ?, ?", [1, value])
    assert "parameter 2" in str(caught.value)


def test_the_number_of_values_has_to_fit() -> None:
    with pytest.raises(ProgrammingError, match="1 parameter markers, and 2 values"):
        bind("SELECT ?", [[1], [2]])
    with pytest.raises(ProgrammingError, match="sequence"):
        bind("SELECT ?", {"a": 1})  # type: ignore[arg-type]


def test_few_values_are_bound_and_the_text_is_left_alone() -> None:
    text = "SELECT * FROM t WHERE a = ? -- ?"
    assert bind(text, [1]) == (text, [Parameter("INT", "1")])
    assert bind(text, ()) == (text, [])


def test_what_cannot_be_bound_is_written_and_the_rest_is_bound() -> None:
    text, bound = bind("SELECT ?, ?, ?", ["a", [1, None], b"b"])
    assert text == "SELECT ?, array(1, NULL), unbase64(?)"
    assert [item.value for item in bound] == ["a", "Yg=="]


def test_more_than_255_values_are_written() -> None:
    text, bound = bind(f"SELECT {', '.join('?' * 255)}", range(255))
    assert len(bound) == 255
    text, bound = bind(f"SELECT {', '.join('?' * 256)}", range(256))
    assert bound == []
    assert text == f"SELECT {', '.join(map(str, range(256)))}"


def test_values_of_more_than_a_megabyte_are_written() -> None:
    text, bound = bind("SELECT ?, ?", ["ä" * 500_000, 1])
    assert bound == []
    assert text == f"SELECT '{'ä' * 500_000}', 1"


def test_a_statement_that_is_too_long_is_refused_before_it_is_sent() -> None:
    with pytest.raises(LimitExceeded, match="16,777,216"):
        bind("SELECT ?", ["a" * 17_000_000])


LITERALS: dict[str, tuple[Any, str]] = {
    "null": (None, "NULL"),
    "false": (False, "FALSE"),
    "int": (5, "5"),
    "negative": (-5, "(-5)"),
    "beyond bigint": (2**63, "CAST('9223372036854775808' AS DECIMAL(19,0))"),
    "float": (1.5, "1.5E0"),
    "small float": (1e-7, "1E-07"),
    "negative zero": (-0.0, "CAST('-0.0' AS DOUBLE)"),
    "nan": (math.nan, "CAST('NaN' AS DOUBLE)"),
    "decimal": (Decimal("-1.50"), "CAST('-1.50' AS DECIMAL(3,2))"),
    "text": ("a'b\\c", r"'a\'b\\c'"),
    "bytes": (b"\x01\xab", "X'01AB'"),
    "date": (dt.date(2024, 1, 2), "DATE'2024-01-02'"),
    "naive": (dt.datetime(2024, 1, 2), "TIMESTAMP_NTZ'2024-01-02 00:00:00'"),
    "aware": (dt.datetime(2024, 1, 2, tzinfo=UTC), "TIMESTAMP'2024-01-02 00:00:00+00:00'"),
    "interval": (
        dt.timedelta(days=-1, microseconds=1),
        "INTERVAL '-0 23:59:59.999999' DAY TO SECOND",
    ),
    "list": ([1, "a"], "array(1, 'a')"),
    "empty list": ([], "array()"),
    "map": ({"a": 1}, "map('a', 1)"),
    "struct": (Struct(a=1), "named_struct('a', 1)"),
    "typed": (Typed([], "ARRAY<INT>"), "CAST(array() AS ARRAY<INT>)"),
}


@pytest.mark.parametrize(("value", "expected"), LITERALS.values(), ids=LITERALS)
def test_a_value_is_written_as_a_literal(value: Any, expected: str) -> None:
    assert literal(value) == expected


def test_a_marker_after_a_minus_does_not_become_a_comment() -> None:
    text, _ = bind("SELECT 1 -?, ?", [-1, []])
    assert markers(text) == [10]
    assert bind(f"SELECT 1 -?{', ?' * 300}", [-1, *range(300)])[0].startswith("SELECT 1 -(-1), 0")


# --- on the warehouse -------------------------------------------------------------------------

decimals = st.decimals(
    min_value=Decimal(-(10**20)), max_value=Decimal(10**20), allow_nan=False, places=18
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "int": st.integers(-(2**63), 2**63 - 1),
    "wide int": st.integers(-(10**28) + 1, 10**28 - 1),
    "float": st.floats(allow_nan=False),
    "decimal": decimals,
    "text": st.text(st.characters(exclude_categories=["Cs"])),
    "bytes": st.binary(max_size=100),
    "date": st.dates(),
    "naive": st.datetimes(),
    "aware": st.datetimes(
        min_value=dt.datetime(2, 1, 1), max_value=dt.datetime(9998, 1, 1), timezones=st.just(EAST)
    ),
    "time": st.times(),
    "uuid": st.uuids(),
}


def as_read(value: Any) -> Any:
    if isinstance(value, (dt.time, uuid.UUID)):
        return value.isoformat() if isinstance(value, dt.time) else str(value)
    return value


@pytest.mark.parametrize("family", VALUES)
def test_every_value_comes_back_equal(family: str, connection: dbapi.Connection) -> None:
    """As a parameter, as a literal, and inside an array."""
    cursor = connection.cursor()

    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(VALUES[family], min_size=1, max_size=20))
    def check(values: list[Any]) -> None:
        expected = tuple(map(as_read, values))
        cursor.execute(f"SELECT {', '.join('?' * len(values))}", values)
        assert cursor.fetchone() == expected
        cursor.execute(f"SELECT {', '.join(map(literal, values))}")
        assert cursor.fetchone() == expected
        if family != "wide int":
            cursor.execute("SELECT ?", [[*values, None]])
            assert cursor.fetchall() == [([*expected, None],)]

    check()


def test_special_floats_come_back(connection: dbapi.Connection) -> None:
    cursor = connection.cursor()
    values = [math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308]
    for text, parameters in (
        ("SELECT ?, ?, ?, ?, ?, ?", values),
        (f"SELECT {', '.join(map(literal, values))}", []),
    ):
        found = cursor.execute(text, parameters).fetchone()
        assert found is not None
        assert list(map(repr, found)) == list(map(repr, values))


def test_nested_values_come_back(connection: dbapi.Connection) -> None:
    cursor = connection.cursor()
    moment = dt.datetime(2024, 1, 2, 3, tzinfo=UTC)
    value = [{"a": [1, None, 2**40], "b": []}, {"ä": [3]}]
    cursor.execute("SELECT ?, ?, ?", [value, [b"\x00", None], Struct(x=Decimal("1.50"), t=moment)])
    assert cursor.fetchone() == (value, [b"\x00", None], {"x": Decimal("1.50"), "t": moment})


def test_hundreds_of_values_are_one_statement(
    connection: dbapi.Connection, local_warehouse: TestWarehouse
) -> None:
    cursor = connection.cursor()
    sent = len(local_warehouse.statements)
    values = [f"it's \\ {number} \n\t\0 ?" for number in range(5_000)]
    cursor.execute(f"SELECT array({', '.join('?' * 5_000)})", values)
    assert cursor.fetchall() == [(values,)]
    assert len(local_warehouse.statements) == sent + 1


def test_a_megabyte_of_bytes_comes_back(connection: dbapi.Connection) -> None:
    value = bytes(range(256)) * 4096
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE blobs (a BINARY)")
    cursor.execute("INSERT INTO blobs VALUES (?)", [value])
    assert cursor.execute("SELECT a FROM blobs").fetchall() == [(value,)]
    assert cursor.execute("SELECT count(*) FROM blobs WHERE a = ?", [value]).fetchone() == (1,)


def test_numpy_and_pandas_values_are_bound_as_what_they_are() -> None:
    numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    assert parameter(numpy.int64(5)) == Parameter("INT", "5")
    assert parameter(numpy.float64(0.5)) == Parameter("DOUBLE", "0.5")
    assert parameter(numpy.bool_(True)) == Parameter("BOOLEAN", "true")
    assert parameter(pandas.NaT) == Parameter("VOID", None)
    with pytest.raises(DataError, match="nanoseconds"):
        parameter(pandas.Timestamp("2024-01-01T00:00:00.000000001"))


def test_the_context_of_decimals_changes_nothing() -> None:
    with decimal.localcontext() as context:
        context.prec = 3
        assert parameter(Decimal("1.23456789")) == Parameter("DECIMAL(9,8)", "1.23456789")
        assert parameter(2**63 + 1) == Parameter("DECIMAL(19,0)", "9223372036854775809")
    assert binding.MAX_PARAMETERS == 255
