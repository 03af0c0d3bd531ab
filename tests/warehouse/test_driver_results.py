"""Results of every type through every way of fetching that the unmodified driver has."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.full import full
from tests.patience import PATIENCE_S
from tests.warehouse.driver import Cursor, sql
from vinci_code.warehouse.pytest_plugin import TestWarehouse

UTC = dt.timezone.utc

# name -> (expression, type code, the value in a row, the value without pyarrow)
SCALARS: dict[str, tuple[str, str, Any, Any]] = {
    "tinyint": ("CAST(-128 AS TINYINT)", "tinyint", -128, -128),
    "smallint": ("CAST(32767 AS SMALLINT)", "smallint", 32767, 32767),
    "int": ("-2147483648", "int", -2147483648, -2147483648),
    "bigint": ("9223372036854775807", "bigint", 9223372036854775807, 9223372036854775807),
    "float": ("CAST(1.5 AS FLOAT)", "float", 1.5, 1.5),
    "double": ("0.1D", "double", 0.1, 0.1),
    "decimal": ("CAST('-12.340' AS DECIMAL(10,3))", "decimal", Decimal("-12.340"), "-12.340"),
    "string": ("'é😀\\n\\'x'", "string", "é😀\n'x", "é😀\n'x"),
    "boolean": ("true", "boolean", True, True),
    "binary": ("X'00FF'", "binary", b"\x00\xff", None),
    "date": ("DATE'2024-02-29'", "date", dt.date(2024, 2, 29), "2024-02-29"),
    "timestamp": (
        "TIMESTAMP'2024-02-29 12:34:56.789012'",
        "timestamp",
        dt.datetime(2024, 2, 29, 12, 34, 56, 789012, UTC),
        "2024-02-29 12:34:56.789012",
    ),
    "timestamp_ntz": (
        "TIMESTAMP_NTZ'2024-02-29 12:34:56'",
        "timestamp",
        dt.datetime(2024, 2, 29, 12, 34, 56),  # noqa: DTZ001 (a wall clock)
        "2024-02-29 12:34:56",
    ),
    "variant": ("parse_json('{\"a\": [1]}')", "variant", '{"a":[1]}', None),
    "interval_ym": ("INTERVAL '1-2' YEAR TO MONTH", "interval_year_month", "1-2", "1-2"),
    "interval_dt": (
        "INTERVAL '1 02:03:04' DAY TO SECOND",
        "interval_day_time",
        "1 02:03:04.000000000",
        "1 02:03:04.000000000",
    ),
}  # fmt: skip

NESTED = (
    "SELECT array(1, NULL) AS a, map('k', 1.5D) AS m, named_struct('x', 1, 'y', array('z')) AS s"
)

WITHOUT_ARROW = """
import json, sys
sys.modules["pyarrow"] = None
from databricks import sql
with sql.connect(**json.loads(sys.argv[1])) as connection, connection.cursor() as cursor:
    cursor.execute(sys.argv[2])
    print(json.dumps([list(row) for row in cursor.fetchall()], default=str))
"""


@pytest.fixture
def cursor(local_warehouse: TestWarehouse) -> Iterator[Cursor]:
    with sql.connect(**local_warehouse.connect_args) as connection, connection.cursor() as opened:
        yield opened


@pytest.mark.parametrize("name", SCALARS)
def test_value_and_null_as_rows_and_as_arrow(cursor: Cursor, name: str) -> None:
    expression, type_code, expected, _ = SCALARS[name]
    statement = f"SELECT {expression} AS v UNION ALL SELECT NULL"
    cursor.execute(statement)
    assert [column[:2] for column in cursor.description or []] == [("v", type_code)]
    assert sorted((row.v for row in cursor.fetchall()), key=lambda v: v is None) == [expected, None]
    cursor.execute(statement)
    found = cursor.fetchall_arrow().column("v").to_pylist()
    assert sorted(found, key=lambda v: v is None) == [expected, None]


def test_void(cursor: Cursor) -> None:
    cursor.execute("SELECT NULL AS v")
    assert [column[1] for column in cursor.description or []] == ["null"]
    assert [row.v for row in cursor.fetchall()] == [None]


def test_special_doubles(cursor: Cursor) -> None:
    cursor.execute("SELECT CAST('NaN' AS DOUBLE) AS a, CAST('-Infinity' AS DOUBLE) AS b")
    table = cursor.fetchall_arrow()
    assert str(table.column("a")[0].as_py()) == "nan"
    assert table.column("b")[0].as_py() == float("-inf")


def test_nested_types_as_arrow(cursor: Cursor) -> None:
    cursor.execute(NESTED)
    assert [column[1] for column in cursor.description or []] == ["array", "map", "struct"]
    assert cursor.fetchall_arrow().to_pylist() == [
        {"a": [1, None], "m": [("k", 1.5)], "s": {"x": 1, "y": ["z"]}}
    ]


def test_nested_types_as_text(local_warehouse: TestWarehouse) -> None:
    args = local_warehouse.connect_args | {"_use_arrow_native_complex_types": False}
    with sql.connect(**args) as connection, connection.cursor() as cursor:
        cursor.execute(NESTED)
        row = cursor.fetchone()
    assert [json.loads(value) for value in row] == [[1, None], {"k": 1.5}, {"x": 1, "y": ["z"]}]


def test_a_client_without_pyarrow_reads_columns(local_warehouse: TestWarehouse) -> None:
    names = [name for name, case in SCALARS.items() if case[3] is not None]
    columns = ", ".join(f"{SCALARS[name][0]} AS `{name}`" for name in names)
    nulls = ", ".join("NULL" for _ in names)
    statement = f"SELECT * FROM (SELECT {columns} UNION ALL SELECT {nulls}) ORDER BY 1 DESC"
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_ARROW, json.dumps(local_warehouse.connect_args), statement],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert dict(zip(names, found[0], strict=True)) == {name: SCALARS[name][3] for name in names}
    assert set(found[1]) == {None}


def test_an_empty_result_keeps_its_columns(cursor: Cursor) -> None:
    cursor.execute("SELECT id, 'x' AS s FROM range(5) WHERE id > 10")
    assert [column[:2] for column in cursor.description or []] == [
        ("id", "bigint"),
        ("s", "string"),
    ]
    assert cursor.fetchall() == []
    cursor.execute("SELECT id, 'x' AS s FROM range(5) WHERE id > 10")
    assert cursor.fetchall_arrow().num_rows == 0


def test_fetchone_fetchmany_fetchall_share_one_position(cursor: Cursor) -> None:
    cursor.execute("SELECT id FROM range(10) ORDER BY id")
    assert cursor.fetchone().id == 0
    assert [row.id for row in cursor.fetchmany(3)] == [1, 2, 3]
    assert cursor.fetchmany_arrow(2).column("id").to_pylist() == [4, 5]
    assert [row.id for row in cursor.fetchall()] == [6, 7, 8, 9]
    assert cursor.fetchone() is None


def test_pages_smaller_than_the_result(cursor: Cursor) -> None:
    cursor.arraysize = 1000
    cursor.execute("SELECT id, repeat('x', 10) AS s FROM range(10500) ORDER BY id")
    rows = cursor.fetchall()
    assert [row.id for row in rows] == list(range(10500))


def test_pages_bounded_by_bytes(local_warehouse: TestWarehouse) -> None:
    args = local_warehouse.connect_args | {"use_cloud_fetch": False}
    with (
        sql.connect(**args) as connection,
        connection.cursor(buffer_size_bytes=100_000) as cursor,
    ):
        cursor.execute("SELECT id, repeat('x', 1000) AS s FROM range(2000) ORDER BY id")
        assert [row.id for row in cursor.fetchall()] == list(range(2000))
    fetches = [r for r in local_warehouse.requests if r.operation == "FetchResults"]
    assert len(fetches) > 3


def test_iteration(cursor: Cursor) -> None:
    cursor.execute("SELECT id FROM range(3) ORDER BY id")
    assert [row.id for row in cursor] == [0, 1, 2]


def test_columns_of_one_name(cursor: Cursor) -> None:
    cursor.execute("SELECT 1 AS a, 'x' AS a")
    assert tuple(cursor.fetchone()) == (1, "x")


def test_one_wide_value(cursor: Cursor) -> None:
    cursor.execute("SELECT repeat('é', 5000000) AS s")
    assert cursor.fetchone().s == "é" * 5_000_000


@pytest.mark.slow
def test_a_million_rows_as_arrow(cursor: Cursor) -> None:
    cursor.execute("SELECT id, id * 2 AS twice, concat('name-', id) AS name FROM range(1000000)")
    table = cursor.fetchall_arrow()
    assert table.num_rows == 1_000_000
    ids = table.column("id").to_numpy()
    assert ids.sum() == 499_999_500_000
    assert len(set(table.column("name").to_pylist())) == 1_000_000
    assert (table.column("twice").to_numpy() == ids * 2).all()


@full
@pytest.mark.slow
def test_a_million_rows_by_rows(cursor: Cursor) -> None:
    cursor.execute("SELECT id, concat('name-', id) AS name FROM range(1000000) ORDER BY id")
    count = 0
    while rows := cursor.fetchmany(50_000):
        assert rows[0].id == count
        assert rows[-1].name == f"name-{count + len(rows) - 1}"
        count += len(rows)
    assert count == 1_000_000


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("CASE WHEN id = 900000 THEN raise_error('late') END", "USER_RAISED_EXCEPTION] late"),
        ("1 / (id - 900000)", "DIVIDE_BY_ZERO"),
        ("CAST(id * 3000 AS INT)", "CAST_OVERFLOW"),
    ],
)
def test_an_error_of_a_late_row_is_that_of_an_early_one(
    value: str, error: str, cursor: Cursor
) -> None:
    with pytest.raises(sql.exc.ServerOperationError, match=error):
        cursor.execute(f"SELECT {value} FROM range(1000000)").fetchall()
