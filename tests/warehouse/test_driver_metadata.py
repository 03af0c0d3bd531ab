"""The metadata calls of the unmodified driver: catalogs, schemas, tables, columns."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from databricks import sql

from tests.warehouse.driver import Cursor
from vinci_code.warehouse.pytest_plugin import TestWarehouse

# java.sql.Types, as JDBC's getColumns tells them.
INTEGER, BIGINT, DECIMAL, VARCHAR, DATE, TIMESTAMP, DOUBLE, BOOLEAN = 4, -5, 3, 12, 91, 93, 8, 16

ALPHA = """
CREATE TABLE alpha (
    id BIGINT NOT NULL COMMENT 'key', d DECIMAL(10,2), s STRING, t TIMESTAMP, n DOUBLE, b BOOLEAN,
    i INT, dd DATE, st STRUCT<x: INT, y: STRING>
) COMMENT 'first'
"""

GET_TABLES = [
    "TABLE_CAT", "TABLE_SCHEM", "TABLE_NAME", "TABLE_TYPE", "REMARKS",
    "TYPE_CAT", "TYPE_SCHEM", "TYPE_NAME", "SELF_REFERENCING_COL_NAME", "REF_GENERATION",
]  # fmt: skip
GET_COLUMNS = [
    "TABLE_CAT", "TABLE_SCHEM", "TABLE_NAME", "COLUMN_NAME", "DATA_TYPE", "TYPE_NAME",
    "COLUMN_SIZE", "BUFFER_LENGTH", "DECIMAL_DIGITS", "NUM_PREC_RADIX", "NULLABLE", "REMARKS",
    "COLUMN_DEF", "SQL_DATA_TYPE", "SQL_DATETIME_SUB", "CHAR_OCTET_LENGTH", "ORDINAL_POSITION",
    "IS_NULLABLE", "SCOPE_CATALOG", "SCOPE_SCHEMA", "SCOPE_TABLE", "SOURCE_DATA_TYPE",
    "IS_AUTO_INCREMENT",
]  # fmt: skip


@pytest.fixture
def cursor(local_warehouse: TestWarehouse) -> Iterator[Cursor]:
    with sql.connect(**local_warehouse.connect_args) as connection, connection.cursor() as opened:
        opened.execute(ALPHA)
        opened.execute("CREATE TABLE beta_x (id INT)")
        opened.execute("CREATE VIEW gamma AS SELECT 1 AS one")
        yield opened


def test_catalogs(local_warehouse: TestWarehouse, cursor: Cursor) -> None:
    cursor.catalogs()
    assert [column[0] for column in cursor.description or []] == ["TABLE_CAT"]
    assert local_warehouse.catalog in [row.TABLE_CAT for row in cursor.fetchall()]


def test_schemas(local_warehouse: TestWarehouse, cursor: Cursor) -> None:
    cursor.schemas(catalog_name=local_warehouse.catalog)
    assert [column[0] for column in cursor.description or []] == ["TABLE_SCHEM", "TABLE_CATALOG"]
    found = [tuple(row) for row in cursor.fetchall()]
    assert (local_warehouse.schema, local_warehouse.catalog) in found
    assert ("information_schema", local_warehouse.catalog) in found


def test_schemas_by_pattern(local_warehouse: TestWarehouse, cursor: Cursor) -> None:
    pattern = local_warehouse.schema[:-2] + "%"
    cursor.schemas(catalog_name=local_warehouse.catalog, schema_name=pattern)
    assert [row.TABLE_SCHEM for row in cursor.fetchall()] == [local_warehouse.schema]


def test_tables(local_warehouse: TestWarehouse, cursor: Cursor) -> None:
    cursor.tables(catalog_name=local_warehouse.catalog, schema_name=local_warehouse.schema)
    assert [column[0] for column in cursor.description or []] == GET_TABLES
    found = {row.TABLE_NAME: (row.TABLE_TYPE, row.REMARKS) for row in cursor.fetchall()}
    assert found["alpha"] == ("TABLE", "first")
    assert found["gamma"][0] == "VIEW"
    assert set(found) == {"alpha", "beta_x", "gamma"}


def test_tables_by_pattern_and_type(local_warehouse: TestWarehouse, cursor: Cursor) -> None:
    cursor.tables(local_warehouse.catalog, local_warehouse.schema, table_name="%a%")
    assert {row.TABLE_NAME for row in cursor.fetchall()} == {"alpha", "beta_x", "gamma"}
    cursor.tables(local_warehouse.catalog, local_warehouse.schema, table_name="beta\\_x")
    assert [row.TABLE_NAME for row in cursor.fetchall()] == ["beta_x"]
    cursor.tables(local_warehouse.catalog, local_warehouse.schema, table_types=["VIEW"])
    assert [row.TABLE_NAME for row in cursor.fetchall()] == ["gamma"]
    cursor.tables(local_warehouse.catalog, local_warehouse.schema, table_name="nothing")
    assert cursor.fetchall() == []


def test_columns(local_warehouse: TestWarehouse, cursor: Cursor) -> None:
    cursor.columns(local_warehouse.catalog, local_warehouse.schema, "alpha")
    assert [column[0] for column in cursor.description or []] == GET_COLUMNS
    rows = cursor.fetchall()
    assert [(row.COLUMN_NAME, row.TYPE_NAME, row.DATA_TYPE) for row in rows[:-1]] == [
        ("id", "BIGINT", BIGINT),
        ("d", "DECIMAL(10,2)", DECIMAL),
        ("s", "STRING", VARCHAR),
        ("t", "TIMESTAMP", TIMESTAMP),
        ("n", "DOUBLE", DOUBLE),
        ("b", "BOOLEAN", BOOLEAN),
        ("i", "INT", INTEGER),
        ("dd", "DATE", DATE),
    ]
    assert rows[-1].TYPE_NAME == "STRUCT<x: INT, y: STRING>"
    first, second = rows[0], rows[1]
    assert (first.NULLABLE, first.IS_NULLABLE, first.REMARKS) == (0, "NO", "key")
    assert (second.NULLABLE, second.IS_NULLABLE, second.DECIMAL_DIGITS) == (1, "YES", 2)


def test_columns_by_pattern(local_warehouse: TestWarehouse, cursor: Cursor) -> None:
    cursor.columns(local_warehouse.catalog, local_warehouse.schema, "%", "i%")
    assert {(row.TABLE_NAME, row.COLUMN_NAME) for row in cursor.fetchall()} == {
        ("alpha", "id"),
        ("alpha", "i"),
        ("beta_x", "id"),
    }
