"""PEP 249: what a cursor gives, and the Python values that rows are made of."""

from __future__ import annotations

import datetime as dt
import math
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from vinci_code.database.dialect.driver import dbapi
from vinci_code.warehouse.pytest_plugin import TestWarehouse

UTC = dt.timezone.utc


@pytest.fixture
def cursor(connection: dbapi.Connection) -> dbapi.Cursor:
    return connection.cursor()


@pytest.fixture
def three(cursor: dbapi.Cursor) -> dbapi.Cursor:
    return cursor.execute("SELECT id, CAST(id AS STRING) AS name FROM range(3) ORDER BY id")


def test_the_module_says_what_it_is() -> None:
    assert (dbapi.apilevel, dbapi.paramstyle, dbapi.threadsafety) == ("2.0", "qmark", 1)
    assert set(dbapi.__all__) <= set(dir(dbapi))


def test_importing_the_module_does_not_import_the_driver() -> None:
    code = (
        "import sys, vinci_code.database.dialect.driver.dbapi\n"
        "heavy = {'databricks.sql', 'urllib3', 'thrift', 'pyarrow', 'pandas', 'numpy'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_rows_are_tuples(three: dbapi.Cursor) -> None:
    assert three.description is not None
    assert [column[:2] for column in three.description] == [("id", "bigint"), ("name", "string")]
    assert three.rowcount == -1
    assert three.lastrowid is None
    assert three.fetchall() == [(0, "0"), (1, "1"), (2, "2")]
    assert three.fetchall() == []
    assert three.fetchone() is None


def test_rows_can_be_taken_in_any_portion(three: dbapi.Cursor) -> None:
    assert three.fetchone() == (0, "0")
    assert three.fetchmany() == [(1, "1")]
    three.arraysize = 5
    assert three.fetchmany() == [(2, "2")]
    assert three.fetchmany(3) == []


def test_a_cursor_can_be_iterated_over(three: dbapi.Cursor) -> None:
    assert [row[0] for row in three] == [0, 1, 2]


@pytest.mark.parametrize("count", [0, 1, 9_999, 10_000, 10_001, 250_001])
def test_no_row_is_lost_or_doubled_between_portions(count: int, cursor: dbapi.Cursor) -> None:
    cursor.execute(f"SELECT id FROM range({count}) ORDER BY id")
    first = cursor.fetchone()
    some = cursor.fetchmany(5_000)
    one = cursor.fetchone()
    rows = [row for row in [first, *some, one, *cursor.fetchall()] if row is not None]
    assert rows == [(number,) for number in range(count)]


def test_a_write_tells_how_many_rows_and_returns_none(cursor: dbapi.Cursor) -> None:
    cursor.execute("CREATE TABLE t (a INT)")
    assert (cursor.description, cursor.rowcount) == (None, -1)
    cursor.execute("INSERT INTO t VALUES (1), (2), (3)")
    assert (cursor.description, cursor.rowcount) == (None, 3)
    assert cursor.statement_id
    cursor.execute("UPDATE t SET a = 5 WHERE a > 1")
    assert cursor.rowcount == 2
    cursor.execute("DELETE FROM t WHERE a = 7")
    assert cursor.rowcount == 0
    with pytest.raises(dbapi.InterfaceError, match="no rows"):
        cursor.fetchone()


def test_executemany_runs_each_in_order(
    cursor: dbapi.Cursor, local_warehouse: TestWarehouse
) -> None:
    cursor.execute("CREATE TABLE t (a INT, b STRING)")
    cursor.executemany("INSERT INTO t VALUES (?, ?)", [(1, "x"), (2, None)])
    assert cursor.rowcount == 2
    assert cursor.execute("SELECT * FROM t ORDER BY a").fetchall() == [(1, "x"), (2, None)]
    cursor.executemany("INSERT INTO t VALUES (?, ?)", [])
    assert cursor.rowcount == 0


def test_columns_may_have_one_name(cursor: dbapi.Cursor) -> None:
    assert cursor.execute("SELECT 1 AS a, 2 AS a").fetchall() == [(1, 2)]


def test_what_is_closed_cannot_be_used(connection: dbapi.Connection) -> None:
    cursor = connection.cursor()
    cursor.close()
    cursor.close()
    with pytest.raises(dbapi.InterfaceError, match="cursor is closed"):
        cursor.execute("SELECT 1")
    with pytest.raises(dbapi.InterfaceError, match="cursor is closed"):
        cursor.fetchall()
    other = connection.cursor()
    with connection:
        pass
    assert connection.closed
    for use in (connection.commit, connection.rollback, other.fetchone):
        with pytest.raises(dbapi.InterfaceError, match="closed"):
            use()


def test_nothing_was_run_yet(cursor: dbapi.Cursor) -> None:
    with pytest.raises(dbapi.InterfaceError):
        cursor.fetchall()


def test_an_error_leaves_the_cursor_usable(cursor: dbapi.Cursor) -> None:
    with pytest.raises(dbapi.ProgrammingError):
        cursor.execute("SELEC")
    assert cursor.description is None
    assert cursor.execute("SELECT 1").fetchall() == [(1,)]


def test_a_cursor_forgets_its_last_result(cursor: dbapi.Cursor) -> None:
    cursor.execute("SELECT id FROM range(250000)").fetchone()
    assert cursor.execute("SELECT 'a'").fetchall() == [("a",)]


@pytest.mark.parametrize(
    "statement", ["SHOW TABLES", "DESCRIBE TABLE t", "SET TIMEZONE", "VALUES (1), (2)"]
)
def test_what_returns_rows_has_a_description(statement: str, cursor: dbapi.Cursor) -> None:
    cursor.execute("CREATE TABLE t (a INT)")
    cursor.execute(statement)
    assert cursor.description
    assert {len(row) for row in cursor.fetchall()} == {len(cursor.description)}


VALUES: dict[str, tuple[str, Any]] = {
    "null": ("CAST(NULL AS INT)", None),
    "boolean": ("true", True),
    "tinyint": ("CAST(-128 AS TINYINT)", -128),
    "bigint": ("9223372036854775807", 2**63 - 1),
    "double": ("CAST('0.1' AS DOUBLE)", 0.1),
    "float": ("CAST('0.5' AS FLOAT)", 0.5),
    "infinity": ("CAST('-Infinity' AS DOUBLE)", -math.inf),
    "decimal": ("CAST('1.50' AS DECIMAL(10,2))", Decimal("1.50")),
    "long decimal": (
        "CAST('12345678901234567890123456789012345.678' AS DECIMAL(38,3))",
        Decimal("12345678901234567890123456789012345.678"),
    ),
    "string": ("'ä\\n\\'𝄞'", "ä\n'𝄞"),
    "empty string": ("''", ""),
    "binary": ("X'00FF'", b"\x00\xff"),
    "date": ("DATE'0001-01-01'", dt.date(1, 1, 1)),
    "timestamp": (
        "TIMESTAMP'2024-03-31 02:30:00.123456+02:00'",
        dt.datetime(2024, 3, 31, 0, 30, 0, 123456, UTC),
    ),
    "timestamp_ntz": (
        "TIMESTAMP_NTZ'9999-12-31 23:59:59.999999'",
        dt.datetime(9999, 12, 31, 23, 59, 59, 999999),
    ),
    "array": ("array(1, NULL)", [1, None]),
    "empty array": ("CAST(array() AS ARRAY<INT>)", []),
    "map": ("map('a', array(1))", {"a": [1]}),
    "struct": ("named_struct('a', 1, 'b', NULL)", {"a": 1, "b": None}),
    "nested moments": (
        "map('k', named_struct('t', array(TIMESTAMP'2024-01-01 00:00:00+01:00')))",
        {"k": {"t": [dt.datetime(2023, 12, 31, 23, tzinfo=UTC)]}},
    ),
}


@pytest.mark.parametrize(("expression", "value"), VALUES.values(), ids=list(VALUES))
def test_a_value_is_read_as_what_it_is(expression: str, value: Any, cursor: dbapi.Cursor) -> None:
    """Alone, and beside NULL, which takes another way through Arrow."""
    assert cursor.execute(f"SELECT {expression}").fetchall() == [(value,)]
    cursor.execute(f"SELECT {expression} AS a UNION ALL SELECT NULL")
    found = [row[0] for row in cursor.fetchall()]
    assert sorted(found, key=lambda item: item is None) == [value, None]
    assert {type(item) for item in found} == {type(value), type(None)}


def test_nan_is_not_null(cursor: dbapi.Cursor) -> None:
    cursor.execute("SELECT CAST('NaN' AS DOUBLE) AS a UNION ALL SELECT NULL")
    found = {repr(row[0]) for row in cursor.fetchall()}
    assert found == {"nan", "None"}


def test_moments_are_in_utc_whatever_the_session(connect: Callable[..., dbapi.Connection]) -> None:
    cursor = connect(session_configuration={"TIMEZONE": "Asia/Tokyo"}).cursor()
    row = cursor.execute("SELECT TIMESTAMP'2024-01-01 09:00:00'").fetchone()
    assert row == (dt.datetime(2024, 1, 1, tzinfo=UTC),)
    assert row[0].tzinfo is UTC


def test_one_query_is_one_request(cursor: dbapi.Cursor, local_warehouse: TestWarehouse) -> None:
    local_warehouse.warehouse.clear_requests()
    assert len(cursor.execute("SELECT id FROM range(5000)").fetchall()) == 5000
    cursor.close()
    assert [record.operation for record in local_warehouse.requests] == ["ExecuteStatement"]
