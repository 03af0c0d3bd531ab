"""SHOW TABLES and SHOW COLUMNS of a whole catalog, by which drivers list metadata without Thrift.

Databricks does not document these forms. How they are written, and which columns of the answer
drivers read, is known from the drivers: ``CommandConstants`` and ``MetadataResultConstants`` of
databricks-jdbc, ``backend/sea`` of databricks-sql-connector, and databricks-sql-kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vinci_code.warehouse.engine.catalog_view import CatalogView, ColumnInfo, TableInfo
from vinci_code.warehouse.engine.reader import Reader
from vinci_code.warehouse.engine.result import Result, rows_result, typed_columns
from vinci_code.warehouse.engine.work import Work
from vinci_code.warehouse.sql.types import BOOLEAN, INT, STRING

Pattern = Callable[[Reader], Callable[[str], bool]]
"""Reads ``[LIKE] 'pattern'``, if it is there."""

# The drivers for Python take the kind of a table from the sixth column.
_TABLES = (
    ("namespace", STRING),
    ("tableName", STRING),
    ("isTemporary", BOOLEAN),
    ("information", STRING),
    ("catalogName", STRING),
    ("tableType", STRING),
    ("remarks", STRING),
)
_COLUMNS = (
    ("col_name", STRING),
    ("catalogName", STRING),
    ("namespace", STRING),
    ("tableName", STRING),
    ("columnType", STRING),
    ("columnSize", INT),
    ("decimalDigits", INT),
    ("radix", INT),
    ("isNullable", STRING),
    ("remarks", STRING),
    ("ordinalPosition", INT),
    ("isAutoIncrement", STRING),
    ("isGenerated", STRING),
)


def show_tables(work: Work, reader: Reader, catalog: str | None, pattern: Pattern) -> Result:
    """Run ``SHOW TABLES IN CATALOG c | ALL CATALOGS [SCHEMA LIKE 's'] [LIKE 't']``."""
    schema_matches = _named(reader, "SCHEMA", pattern)
    table_matches = pattern(reader)
    reader.end()
    rows = [
        (item.schema, item.name, False, "", item.catalog, item.kind, item.comment or "")
        for item in _tables(work, catalog, schema_matches)
        if table_matches(item.name)
    ]
    return rows_result("SHOW", typed_columns(*_TABLES), rows)


def show_columns(work: Work, reader: Reader, catalog: str | None, pattern: Pattern) -> Result:
    """Run ``SHOW COLUMNS IN CATALOG c [SCHEMA LIKE 's'] [TABLE LIKE 't'] [LIKE 'c']``."""
    schema_matches = _named(reader, "SCHEMA", pattern)
    table_matches = _named(reader, "TABLE", pattern)
    column_matches = pattern(reader)
    reader.end()
    view = CatalogView(work.catalogs)
    rows = [
        _column(column)
        for item in _tables(work, catalog, schema_matches)
        if table_matches(item.name)
        for column in view.columns(item.catalog, item.schema, item.name)
        if column_matches(column.name)
    ]
    return rows_result("SHOW", typed_columns(*_COLUMNS), rows)


def _named(reader: Reader, word: str, pattern: Pattern) -> Callable[[str], bool]:
    """The pattern after a word; every name, where the word is not there."""
    return pattern(reader) if reader.accept(word) else lambda _name: True


def _tables(
    work: Work, catalog: str | None, schema_matches: Callable[[str], bool]
) -> Iterator[TableInfo]:
    view = CatalogView(work.catalogs)
    if catalog is not None and catalog.lower() not in view.catalogs():
        work.catalogs.catalog(catalog)  # raises: there is none
    for name in view.catalogs() if catalog is None else [catalog]:
        for schema in filter(schema_matches, view.schemas(name)):
            yield from view.tables(name, schema)


def _column(item: ColumnInfo) -> tuple[object, ...]:
    kind = item.type
    return (
        item.name,
        item.table.catalog,
        item.table.schema,
        item.table.name,
        "STRING" if kind.is_string else kind.text,
        kind.precision if kind.name == "DECIMAL" else None,
        kind.scale if kind.name == "DECIMAL" else None,
        10 if kind.is_numeric else None,
        "true" if item.nullable else "false",
        item.comment or "",
        item.position,
        "NO" if item.identity is None else "YES",
        "NO" if item.generated is None else "YES",
    )
