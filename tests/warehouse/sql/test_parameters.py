"""Parameters: limits, and values of every type that the driver sends."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, datetime, timezone
from decimal import Decimal

import pytest

from tests.warehouse.sql.support import Database
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.parameters import MAX_PARAMETER_BYTES, Parameter, check_limits


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    database = Database()
    yield database
    database.close()


def test_255_parameters_are_taken() -> None:
    check_limits([Parameter(None, "INT", "1")] * 255)


def test_256_parameters_are_refused_in_the_servers_words() -> None:
    with pytest.raises(SqlError) as caught:
        check_limits([Parameter(None, "INT", "1")] * 256)
    assert caught.value.error_class == "BAD_REQUEST"
    assert caught.value.message == (
        "Parameterized query has too many parameters: 256 parameters were given but the limit is "
        "256."
    )


def test_one_megabyte_of_values_is_the_limit() -> None:
    check_limits([Parameter(None, "STRING", "a" * MAX_PARAMETER_BYTES)])
    for too_much in ("a" * (MAX_PARAMETER_BYTES + 1), "é" * (MAX_PARAMETER_BYTES // 2 + 1)):
        with pytest.raises(SqlError, match="too large parameters"):
            check_limits([Parameter(None, "STRING", too_much)])


def test_elements_count_towards_the_limit() -> None:
    half = Parameter(None, "STRING", "a" * (MAX_PARAMETER_BYTES // 2 + 1))
    with pytest.raises(SqlError, match="too large parameters"):
        check_limits([Parameter("x", "ARRAY", arguments=(half, half))])


VALUES = [
    ("STRING", "it's", "it's", "STRING"),
    ("STRING", "", "", "STRING"),
    ("BOOLEAN", "True", True, "BOOLEAN"),
    ("TINYINT", "-128", -128, "TINYINT"),
    ("SMALLINT", "5", 5, "SMALLINT"),
    ("INT", "2147483647", 2147483647, "INT"),
    ("BIGINT", "-9223372036854775808", -(2**63), "BIGINT"),
    ("FLOAT", "1.5", 1.5, "FLOAT"),
    ("DOUBLE", "1e-300", 1e-300, "DOUBLE"),
    ("DOUBLE", "inf", math.inf, "DOUBLE"),
    ("DECIMAL(5,2)", "123.456", Decimal("123.46"), "DECIMAL(5,2)"),
    ("DECIMAL(5,0)", "1E-10", Decimal(0), "DECIMAL(5,0)"),
    ("DECIMAL(38,10)", "-1234567890123456789012345678.0123456789", None, "DECIMAL(38,10)"),
    ("DATE", "2020-02-29", date(2020, 2, 29), "DATE"),
    (
        "TIMESTAMP",
        "2020-01-01 00:00:00.5+02:00",
        datetime(2019, 12, 31, 22, 0, 0, 500_000, timezone.utc),
        "TIMESTAMP",
    ),
    ("TIMESTAMP_NTZ", "2020-01-01 00:00:00", datetime(2020, 1, 1), "TIMESTAMP_NTZ"),  # noqa: DTZ001
    ("INTERVAL DAY TO SECOND", "1 02:03:04", "1 02:03:04.000000000", "INTERVAL DAY TO SECOND"),
    ("INTERVAL YEAR TO MONTH", "1-2", "1-2", "INTERVAL YEAR TO MONTH"),
    ("BINARY", "abc", b"abc", "BINARY"),
]


@pytest.mark.parametrize(("kind", "text", "expected", "type_text"), VALUES)
def test_value(database: Database, kind: str, text: str, expected: object, type_text: str) -> None:
    answer = database.run("SELECT :p AS x", Parameter("p", kind, text))
    wanted = Decimal(text) if expected is None else expected
    assert answer.value == wanted
    assert answer.types == [type_text]


def test_nan(database: Database) -> None:
    assert math.isnan(database.value(":p", Parameter("p", "DOUBLE", "nan")))


def test_null_of_any_type(database: Database) -> None:
    for kind in ("VOID", "STRING", "INT", "DECIMAL(5,2)", "ARRAY<INT>"):
        assert database.value("? IS NULL", Parameter(None, kind)) is True


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("BIGINT", "9223372036854775808"),
        ("INT", "1.5"),
        ("TINYINT", "128"),
        ("BOOLEAN", "maybe"),
        ("DATE", "2020-13-01"),
        ("TIMESTAMP", "yesterday"),
        ("DECIMAL(3,0)", "NaN"),
        ("DECIMAL(3,0)", "1000"),
        ("DOUBLE", "one"),
        ("INTERVAL DAY", "x"),
    ],
)
def test_malformed_value(database: Database, kind: str, text: str) -> None:
    with pytest.raises(SqlError) as caught:
        database.value(":p", Parameter("p", kind, text))
    assert caught.value.error_class == "INVALID_PARAMETER_MARKER_VALUE.INVALID_VALUE_FOR_DATA_TYPE"
    assert caught.value.sqlstate == "22023"


def test_decimal_of_more_than_38_digits(database: Database) -> None:
    with pytest.raises(SqlError, match="DECIMAL_PRECISION_EXCEEDS_MAX_PRECISION"):
        database.value(":p", Parameter("p", "DECIMAL(40,10)", "1"))


def test_arrays_and_maps(database: Database) -> None:
    numbers = tuple(Parameter(None, kind, v) for kind, v in (("INT", "1"), ("VOID", None)))
    answer = database.run("SELECT :p AS x", Parameter("p", "ARRAY", arguments=numbers))
    assert answer.value == [1, None]
    assert answer.types == ["ARRAY<INT>"]
    pairs = (Parameter(None, "STRING", "k"), Parameter(None, "BIGINT", "2"))
    answer = database.run("SELECT :p AS x", Parameter("p", "MAP", arguments=pairs))
    assert answer.value == [("k", 2)]
    assert answer.types == ["MAP<STRING, BIGINT>"]


def test_nested_arrays(database: Database) -> None:
    inner = Parameter(None, "ARRAY", arguments=(Parameter(None, "STRING", "a'b"),))
    assert database.value(":p", Parameter("p", "ARRAY", arguments=(inner, inner))) == [["a'b"]] * 2


def test_markers_by_position_and_by_name(database: Database) -> None:
    one, two = Parameter(None, "INT", "1"), Parameter(None, "INT", "2")
    assert database.run("SELECT ? - ?", two, one).value == 1
    assert database.value(":a || :A", Parameter("a", "STRING", "x")) == "xx"


@pytest.mark.parametrize("sql", ["SELECT ?", "SELECT :missing"])
def test_unbound_marker(database: Database, sql: str) -> None:
    with pytest.raises(SqlError) as caught:
        database.run(sql)
    assert (caught.value.error_class, caught.value.sqlstate) == ("UNBOUND_SQL_PARAMETER", "42P02")


def test_limit_takes_a_parameter(database: Database) -> None:
    answer = database.run(
        "SELECT id FROM range(5) ORDER BY id LIMIT :n OFFSET :m",
        Parameter("n", "INT", "2"),
        Parameter("m", "INT", "1"),
    )
    assert answer.rows == [(1,), (2,)]


def test_long_text_never_reaches_the_sql(database: Database) -> None:
    answer = database.run(f"SELECT length('{'a' * 100_000}')")
    assert answer.value == 100_000
    assert len(answer.query.duckdb_sql) < 1_000


@pytest.mark.parametrize("text", ["SELECT :a, ?", "SELECT * FROM VALUES (?) AS t(x) WHERE x = :a"])
def test_named_and_unnamed_markers_are_never_mixed(database: Database, text: str) -> None:
    with pytest.raises(SqlError) as caught:
        database.run(text, Parameter("a", "INT", "1"), Parameter(None, "INT", "2"))
    assert caught.value.error_class == "INVALID_QUERY_MIXED_QUERY_PARAMETERS"


def test_an_unnamed_marker_takes_no_value_that_has_a_name(database: Database) -> None:
    with pytest.raises(SqlError) as caught:
        database.run("SELECT ?", Parameter("id", "INT", "1"))
    assert caught.value.error_class == "UNBOUND_SQL_PARAMETER"
