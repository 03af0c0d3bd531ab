"""Parameters of every type, by name and by position, as the unmodified driver sends them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from databricks import sql

from tests.warehouse.driver import Cursor
from tests.warehouse.driver import parameters as typed
from vinci_code.warehouse.pytest_plugin import TestWarehouse

UTC = dt.timezone.utc
MOMENT = dt.datetime(2024, 2, 29, 12, 34, 56, 789012)  # noqa: DTZ001 (a wall clock is meant)
WHOLE = MOMENT.replace(microsecond=0)
TEXT = 'it\'s "quoted" \\back\\ `tick` 😀\n\t; -- /* :x ? %s ${y} \0end'

# What Python sends: value -> type the server must see, value that must come back.
INFERRED: dict[str, tuple[Any, str, Any]] = {
    "int": (7, "int", 7),
    "negative": (-2147483648, "int", -2147483648),
    "bigint": (2147483648, "bigint", 2147483648),
    "bigint_ends": (-9223372036854775808, "bigint", -9223372036854775808),
    "str": ("x", "string", "x"),
    "str_empty": ("", "string", ""),
    "str_hard": (TEXT, "string", TEXT),
    "bool_true": (True, "boolean", True),
    "bool_false": (False, "boolean", False),
    "float": (1.1, "double", 1.1),
    "float_small": (5e-324, "double", 5e-324),
    "float_large": (1.7976931348623157e308, "double", 1.7976931348623157e308),
    "float_inf": (float("-inf"), "double", float("-inf")),
    "date": (dt.date(2024, 2, 29), "date", dt.date(2024, 2, 29)),
    "date_first": (dt.date(1, 1, 1), "date", dt.date(1, 1, 1)),
    "datetime": (MOMENT, "timestamp", MOMENT.replace(tzinfo=UTC)),
    "datetime_whole": (WHOLE, "timestamp", WHOLE.replace(tzinfo=UTC)),
    "datetime_zone": (
        MOMENT.replace(tzinfo=dt.timezone(dt.timedelta(hours=2))),
        "timestamp",
        (MOMENT - dt.timedelta(hours=2)).replace(tzinfo=UTC),
    ),
    "decimal": (Decimal("12.340"), "decimal", Decimal("12.340")),
    "decimal_negative_fraction": (Decimal("-0.05"), "decimal", Decimal("-0.05")),
    "decimal_38": (Decimal("1" * 38), "decimal", Decimal("1" * 38)),
    "none": (None, "null", None),
}

TYPED: dict[str, tuple[Any, str, Any]] = {
    "tinyint": (typed.TinyIntParameter(5), "tinyint", 5),
    "smallint": (typed.SmallIntParameter(-300), "smallint", -300),
    "int": (typed.IntegerParameter(5), "int", 5),
    "bigint": (typed.BigIntegerParameter(5), "bigint", 5),
    "float": (typed.FloatParameter(1.5), "float", 1.5),
    "double": (typed.DoubleParameter(1.5), "double", 1.5),
    "string": (typed.StringParameter("a"), "string", "a"),
    "boolean": (typed.BooleanParameter(True), "boolean", True),
    "date": (typed.DateParameter(dt.date(2024, 1, 1)), "date", dt.date(2024, 1, 1)),
    "timestamp": (typed.TimestampParameter(MOMENT), "timestamp", MOMENT.replace(tzinfo=UTC)),
    "timestamp_ntz": (typed.TimestampNTZParameter(MOMENT), "timestamp", MOMENT),
    "void": (typed.VoidParameter(None), "null", None),
    "decimal": (typed.DecimalParameter(Decimal("1.5")), "decimal", Decimal("1.5")),
    # The driver swaps the two names: scale is the precision (parameters/native.py).
    "decimal_wide": (
        typed.DecimalParameter(Decimal("1.5"), scale=10, precision=4),
        "decimal",
        Decimal("1.5000"),
    ),
}


@pytest.fixture
def cursor(local_warehouse: TestWarehouse) -> Iterator[Cursor]:
    with sql.connect(**local_warehouse.connect_args) as connection, connection.cursor() as opened:
        yield opened


@pytest.mark.parametrize(("value", "type_code", "expected"), INFERRED.values(), ids=INFERRED)
def test_inferred_by_name(cursor: Cursor, value: object, type_code: str, expected: object) -> None:
    cursor.execute("SELECT :p AS v", {"p": value})
    _check(cursor, type_code, expected)


@pytest.mark.parametrize(("value", "type_code", "expected"), INFERRED.values(), ids=INFERRED)
def test_inferred_by_position(
    cursor: Cursor, value: object, type_code: str, expected: object
) -> None:
    cursor.execute("SELECT ? AS v", [value])
    _check(cursor, type_code, expected)


@pytest.mark.parametrize(("value", "type_code", "expected"), TYPED.values(), ids=TYPED)
def test_typed_by_position(cursor: Cursor, value: object, type_code: str, expected: object) -> None:
    cursor.execute("SELECT ? AS v", [value])
    _check(cursor, type_code, expected)


@pytest.mark.parametrize("name", INFERRED)
def test_a_value_bound_into_a_table_is_the_value_read(cursor: Cursor, name: str) -> None:
    value, type_code, expected = INFERRED[name]
    column = {"null": "STRING", "decimal": "DECIMAL(38,0)"}.get(type_code, type_code.upper())
    if isinstance(value, Decimal) and value != value.to_integral_value():
        column = "DECIMAL(20,3)"
    cursor.execute(f"CREATE TABLE t (v {column})")
    cursor.execute("INSERT INTO t VALUES (?)", [value])
    cursor.execute("SELECT v, v <=> ? AS same FROM t", [value])
    row = cursor.fetchall_arrow().to_pylist()[0]
    assert row == {"v": expected, "same": True}


def test_positions_are_counted_by_order(cursor: Cursor) -> None:
    # The driver numbers every positional parameter 1: only their order tells them apart.
    cursor.execute("SELECT ? AS a, ? AS b, ? AS c", ["x", 2, None])
    assert tuple(cursor.fetchone()) == ("x", 2, None)


def test_names_may_come_in_any_order(cursor: Cursor) -> None:
    cursor.execute("SELECT :b AS b, :a AS a, :b AS again", {"a": 1, "b": "two"})
    assert tuple(cursor.fetchone()) == ("two", 1, "two")


def test_pyformat_markers_are_named_ones(cursor: Cursor) -> None:
    cursor.execute("SELECT %(a)s AS a", {"a": "x"})
    assert cursor.fetchone().a == "x"


def test_array_of_each_kind(cursor: Cursor) -> None:
    cursor.execute("SELECT ? AS i, ? AS s, ? AS f", [[1, 2, 3], ["a", "it's"], [1.5]])
    found = cursor.fetchall_arrow().to_pylist()
    assert found == [{"i": [1, 2, 3], "s": ["a", "it's"], "f": [1.5]}]


def test_nested_arrays(cursor: Cursor) -> None:
    cursor.execute("SELECT :a AS a, size(:a) AS n", {"a": [[1, 2], [3]]})
    assert cursor.fetchall_arrow().to_pylist() == [{"a": [[1, 2], [3]], "n": 2}]


def test_map(cursor: Cursor) -> None:
    cursor.execute("SELECT :m AS m, :m['b'] AS b", {"m": {"a": 1, "b": 2}})
    assert cursor.fetchall_arrow().to_pylist() == [{"m": [("a", 1), ("b", 2)], "b": 2}]


def test_map_of_arrays(cursor: Cursor) -> None:
    cursor.execute("SELECT :m AS m", {"m": {"a": [1, 2]}})
    assert cursor.fetchall_arrow().to_pylist() == [{"m": [("a", [1, 2])]}]


def test_array_parameter_in_a_query(cursor: Cursor) -> None:
    cursor.execute(
        "SELECT id FROM range(9) WHERE array_contains(CAST(:ids AS ARRAY<BIGINT>), id) ORDER BY 1",
        {"ids": [2, 5]},
    )
    assert [row.id for row in cursor.fetchall()] == [2, 5]


def _check(cursor: Cursor, type_code: str, expected: object) -> None:
    assert [column[1] for column in cursor.description or []] == [type_code]
    table = cursor.fetchall_arrow()
    assert table.to_pylist() == [{"v": expected}]
