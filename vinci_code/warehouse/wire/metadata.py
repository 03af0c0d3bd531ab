"""The metadata calls: GetCatalogs, GetSchemas, GetTables, GetColumns and their relatives.

Columns and values follow Spark's thrift server (``SparkGetColumnsOperation`` and its siblings) with
the three-level names of Databricks; the column lists are those that the driver's own tests check
(databricks-sql-python, ``tests/e2e/test_driver.py``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import pyarrow as pa
from databricks.sql.thrift_api.TCLIService import ttypes

from vinci_code.warehouse.engine.catalog_view import CatalogView, ColumnInfo, TableInfo
from vinci_code.warehouse.engine.model import KeyConstraint
from vinci_code.warehouse.engine.result import Column, Result, text_columns, typed_columns
from vinci_code.warehouse.sql.regular_expressions import Wildcard, wildcards
from vinci_code.warehouse.sql.types import (
    BOOLEAN,
    INT,
    SMALLINT,
    STRING,
    TINYINT,
    SqlType,
)
from vinci_code.warehouse.wire.operations import EngineSessionLike

TABLE_TYPES = ("TABLE", "VIEW", "SYSTEM TABLE")


class _TablePatterns(Protocol):
    catalogName: str | None  # noqa: N815 (Thrift's names)
    schemaName: str | None  # noqa: N815
    tableName: str | None  # noqa: N815


def catalogs(session: EngineSessionLike, _request: ttypes.TGetCatalogsReq) -> Result:
    """List the catalogs."""
    return _result(_CATALOG_COLUMNS, [(name,) for name in session.catalog_view().catalogs()])


def schemas(session: EngineSessionLike, request: ttypes.TGetSchemasReq) -> Result:
    """List the schemas whose catalog and name match the patterns."""
    found = _schemas(session.catalog_view(), request.catalogName, request.schemaName)
    return _result(_SCHEMA_COLUMNS, [(schema, catalog) for catalog, schema in found])


def tables(session: EngineSessionLike, request: ttypes.TGetTablesReq) -> Result:
    """List the tables and views that match the patterns and are of one of the types."""
    kinds = {kind.upper() for kind in request.tableTypes or ()}
    rows = [
        (catalog, schema, table.name, table.kind, table.comment or "", *[None] * 5)
        for catalog, schema, table in _tables(session.catalog_view(), request)
        if not kinds or table.kind in kinds
    ]
    return _result(_TABLE_COLUMNS, rows)


def columns(session: EngineSessionLike, request: ttypes.TGetColumnsReq) -> Result:
    """List the columns that match the patterns."""
    view = session.catalog_view()
    wanted = _pattern(request.columnName)
    rows = [
        _column_row(catalog, schema, table.name, column)
        for catalog, schema, table in _tables(view, request)
        for column in view.columns(catalog, schema, table.name)
        if wanted(column.name)
    ]
    return _result(_COLUMN_COLUMNS, rows)


def primary_keys(session: EngineSessionLike, request: ttypes.TGetPrimaryKeysReq) -> Result:
    """List the columns of one table's primary key."""
    rows = [
        (*place, column, position, key.name)
        for place, key in _keys(session, request.catalogName, request.schemaName, request.tableName)
        if key.kind == "PRIMARY KEY"
        for position, column in enumerate(key.columns, 1)
    ]
    return _result(_PRIMARY_KEY_COLUMNS, rows)


def cross_reference(session: EngineSessionLike, request: ttypes.TGetCrossReferenceReq) -> Result:
    """List the foreign keys of one table, those to another table where one is named."""
    wanted = [
        name.lower()
        for name in (request.parentCatalogName, request.parentSchemaName, request.parentTableName)
        if name
    ]
    rows: list[tuple[Any, ...]] = []
    found = _keys(
        session, request.foreignCatalogName, request.foreignSchemaName, request.foreignTableName
    )
    for place, key in found:
        if key.kind != "FOREIGN KEY" or key.parent is None:
            continue
        parent = (key.parent.catalog, key.parent.schema, key.parent.name)
        if wanted and list(parent[-len(wanted) :]) != wanted:
            continue
        pairs = zip(key.parent_columns, key.columns, strict=True)
        for position, (parent_column, column) in enumerate(pairs, 1):
            # 3 and 7: java.sql.DatabaseMetaData's importedKeyNoAction, importedKeyNotDeferrable.
            rows.append((*parent, parent_column, *place, column, position, 3, 3, key.name, None, 7))
    return _result(_CROSS_REFERENCE_COLUMNS, rows)


def table_types(_session: EngineSessionLike, _request: ttypes.TGetTableTypesReq) -> Result:
    """List the kinds of tables."""
    return _result([Column("TABLE_TYPE", STRING)], [(kind,) for kind in TABLE_TYPES])


def type_info(_session: EngineSessionLike, _request: ttypes.TGetTypeInfoReq) -> Result:
    """List the types."""
    return _result(_TYPE_INFO_COLUMNS, [_type_row(*item) for item in _TYPE_INFO])


def functions(_session: EngineSessionLike, _request: ttypes.TGetFunctionsReq) -> Result:
    """List the user's functions: there are none, since CREATE FUNCTION is refused."""
    return _result(_FUNCTION_COLUMNS, [])


_OPERATIONS = ttypes.TOperationType
CALLS: dict[str, tuple[int, Callable[[Any, Any], Result]]] = {
    "GetCatalogs": (_OPERATIONS.GET_CATALOGS, catalogs),
    "GetSchemas": (_OPERATIONS.GET_SCHEMAS, schemas),
    "GetTables": (_OPERATIONS.GET_TABLES, tables),
    "GetColumns": (_OPERATIONS.GET_COLUMNS, columns),
    "GetTableTypes": (_OPERATIONS.GET_TABLE_TYPES, table_types),
    "GetTypeInfo": (_OPERATIONS.GET_TYPE_INFO, type_info),
    "GetFunctions": (_OPERATIONS.GET_FUNCTIONS, functions),
    "GetPrimaryKeys": (_OPERATIONS.UNKNOWN, primary_keys),
    "GetCrossReference": (_OPERATIONS.UNKNOWN, cross_reference),
}
"""Each call, with its ``TOperationType`` and the function that lists what it asks for."""


def like(pattern: str) -> Any:
    r"""A metadata pattern, compiled by RE2: ``%``, ``_``, and ``\`` before either.

    Raises:
        SqlError: It is too long.
    """
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    wild = {"%": Wildcard.TEXT, "_": Wildcard.CHARACTER}
    return wildcards([wild.get(part) or (part[1:] if len(part) == 2 else part) for part in parts])


def _pattern(text: str | None) -> Callable[[str], bool]:
    if not text:
        return lambda _name: True
    expression = like(text)
    return lambda name: expression.fullmatch(name) is not None


def _schemas(
    view: CatalogView, catalog_pattern: str | None, schema_pattern: str | None
) -> Iterator[tuple[str, str]]:
    catalog_matches, schema_matches = _pattern(catalog_pattern), _pattern(schema_pattern)
    for catalog in view.catalogs():
        if catalog_matches(catalog):
            for schema in view.schemas(catalog):
                if schema_matches(schema):
                    yield catalog, schema


def _tables(view: CatalogView, request: _TablePatterns) -> Iterator[tuple[str, str, TableInfo]]:
    table_matches = _pattern(request.tableName)
    for catalog, schema in _schemas(view, request.catalogName, request.schemaName):
        for table in view.tables(catalog, schema):
            if table_matches(table.name):
                yield catalog, schema, table


def _keys(
    session: EngineSessionLike, catalog: str | None, schema: str | None, table: str | None
) -> Iterator[tuple[tuple[str, str, str], KeyConstraint]]:
    if not table:
        return
    place = (
        (catalog or session.catalog).lower(),
        (schema or session.schema).lower(),
        table.lower(),
    )
    for key in session.catalog_view().constraints(*place):
        yield place, key


def _result(columns: list[Column], rows: Sequence[tuple[Any, ...]]) -> Result:
    values = list(zip(*rows, strict=True)) if rows else [() for _ in columns]
    arrays = [
        pa.array(list(items), column.type.arrow())
        for items, column in zip(values, columns, strict=True)
    ]
    batch = pa.RecordBatch.from_arrays(arrays, names=[column.name for column in columns])
    return Result(columns, iter([batch]), None, "SHOW")


def _column_row(catalog: str, schema: str, table: str, column: ColumnInfo) -> tuple[Any, ...]:
    kind = column.type
    return (
        catalog,
        schema,
        table,
        column.name,
        java_type(kind),
        "STRING" if kind.is_string else kind.text,
        _column_size(kind),
        None,
        _decimal_digits(kind),
        10 if kind.is_numeric else None,
        1 if column.nullable else 0,
        column.comment or "",
        None,
        None,
        None,
        None,
        column.position,
        "YES" if column.nullable else "NO",
        None,
        None,
        None,
        None,
        "NO" if column.identity is None else "YES",
    )


# java.sql.Types, which DATA_TYPE is given in.
_JAVA_TYPES = {
    "VOID": 0,
    "BOOLEAN": 16,
    "TINYINT": -6,
    "SMALLINT": 5,
    "INT": 4,
    "BIGINT": -5,
    "FLOAT": 6,
    "DOUBLE": 8,
    "DECIMAL": 3,
    "STRING": 12,
    "VARCHAR": 12,
    "CHAR": 1,
    "BINARY": -2,
    "DATE": 91,
    "TIMESTAMP": 93,
    "TIMESTAMP_NTZ": 93,
    "ARRAY": 2003,
    "MAP": 2000,
    "STRUCT": 2002,
}
_JAVA_OTHER = 1111

# Spark's DataType.defaultSize, which SparkGetColumnsOperation gives as COLUMN_SIZE.
_SIZES = {
    "BOOLEAN": 1,
    "TINYINT": 1,
    "SMALLINT": 2,
    "INT": 4,
    "BIGINT": 8,
    "FLOAT": 4,
    "DOUBLE": 8,
    "DATE": 4,
    "TIMESTAMP": 8,
    "TIMESTAMP_NTZ": 8,
}
_DIGITS = {
    "BOOLEAN": 0,
    "TINYINT": 0,
    "SMALLINT": 0,
    "INT": 0,
    "BIGINT": 0,
    "FLOAT": 7,
    "DOUBLE": 15,
    "TIMESTAMP": 6,
    "TIMESTAMP_NTZ": 6,
}
_LONG_DECIMAL = 18


def java_type(kind: SqlType) -> int:
    """The type as one of ``java.sql.Types``."""
    return _JAVA_TYPES.get(kind.name, _JAVA_OTHER)


def _column_size(kind: SqlType) -> int | None:
    if kind.name == "DECIMAL":
        return 8 if (kind.precision or 0) <= _LONG_DECIMAL else 16
    return _SIZES.get(kind.name)


def _decimal_digits(kind: SqlType) -> int | None:
    return kind.scale if kind.name == "DECIMAL" else _DIGITS.get(kind.name)


_CATALOG_COLUMNS = text_columns("TABLE_CAT")
_SCHEMA_COLUMNS = text_columns("TABLE_SCHEM", "TABLE_CATALOG")
_TABLE_COLUMNS = text_columns(
    "TABLE_CAT",
    "TABLE_SCHEM",
    "TABLE_NAME",
    "TABLE_TYPE",
    "REMARKS",
    "TYPE_CAT",
    "TYPE_SCHEM",
    "TYPE_NAME",
    "SELF_REFERENCING_COL_NAME",
    "REF_GENERATION",
)
_COLUMN_COLUMNS = typed_columns(
    ("TABLE_CAT", STRING),
    ("TABLE_SCHEM", STRING),
    ("TABLE_NAME", STRING),
    ("COLUMN_NAME", STRING),
    ("DATA_TYPE", INT),
    ("TYPE_NAME", STRING),
    ("COLUMN_SIZE", INT),
    ("BUFFER_LENGTH", TINYINT),
    ("DECIMAL_DIGITS", INT),
    ("NUM_PREC_RADIX", INT),
    ("NULLABLE", INT),
    ("REMARKS", STRING),
    ("COLUMN_DEF", STRING),
    ("SQL_DATA_TYPE", INT),
    ("SQL_DATETIME_SUB", INT),
    ("CHAR_OCTET_LENGTH", INT),
    ("ORDINAL_POSITION", INT),
    ("IS_NULLABLE", STRING),
    ("SCOPE_CATALOG", STRING),
    ("SCOPE_SCHEMA", STRING),
    ("SCOPE_TABLE", STRING),
    ("SOURCE_DATA_TYPE", SMALLINT),
    ("IS_AUTO_INCREMENT", STRING),
)
_PRIMARY_KEY_COLUMNS = typed_columns(
    ("TABLE_CAT", STRING),
    ("TABLE_SCHEM", STRING),
    ("TABLE_NAME", STRING),
    ("COLUMN_NAME", STRING),
    ("KEY_SEQ", INT),
    ("PK_NAME", STRING),
)
_CROSS_REFERENCE_COLUMNS = typed_columns(
    ("PKTABLE_CAT", STRING),
    ("PKTABLE_SCHEM", STRING),
    ("PKTABLE_NAME", STRING),
    ("PKCOLUMN_NAME", STRING),
    ("FKTABLE_CAT", STRING),
    ("FKTABLE_SCHEM", STRING),
    ("FKTABLE_NAME", STRING),
    ("FKCOLUMN_NAME", STRING),
    ("KEY_SEQ", INT),
    ("UPDATE_RULE", INT),
    ("DELETE_RULE", INT),
    ("FK_NAME", STRING),
    ("PK_NAME", STRING),
    ("DEFERRABILITY", INT),
)
_FUNCTION_COLUMNS = typed_columns(
    ("FUNCTION_CAT", STRING),
    ("FUNCTION_SCHEM", STRING),
    ("FUNCTION_NAME", STRING),
    ("REMARKS", STRING),
    ("FUNCTION_TYPE", INT),
    ("SPECIFIC_NAME", STRING),
)
_TYPE_INFO_COLUMNS = typed_columns(
    ("TYPE_NAME", STRING),
    ("DATA_TYPE", INT),
    ("PRECISION", INT),
    ("LITERAL_PREFIX", STRING),
    ("LITERAL_SUFFIX", STRING),
    ("CREATE_PARAMS", STRING),
    ("NULLABLE", SMALLINT),
    ("CASE_SENSITIVE", BOOLEAN),
    ("SEARCHABLE", SMALLINT),
    ("UNSIGNED_ATTRIBUTE", BOOLEAN),
    ("FIXED_PREC_SCALE", BOOLEAN),
    ("AUTO_INCREMENT", BOOLEAN),
    ("LOCAL_TYPE_NAME", STRING),
    ("MINIMUM_SCALE", SMALLINT),
    ("MAXIMUM_SCALE", SMALLINT),
    ("SQL_DATA_TYPE", INT),
    ("SQL_DATETIME_SUB", INT),
    ("NUM_PREC_RADIX", INT),
)

# Name, java.sql.Types, precision: what SparkGetTypeInfoOperation lists.
_TYPE_INFO: tuple[tuple[str, int, int | None], ...] = (
    ("VOID", 0, None),
    ("BOOLEAN", 16, None),
    ("TINYINT", -6, 3),
    ("SMALLINT", 5, 5),
    ("INT", 4, 10),
    ("BIGINT", -5, 19),
    ("FLOAT", 6, 7),
    ("DOUBLE", 8, 15),
    ("STRING", 12, None),
    ("BINARY", -2, None),
    ("DECIMAL", 3, 38),
    ("DATE", 91, None),
    ("TIMESTAMP", 93, None),
    ("ARRAY", 2003, None),
    ("MAP", 2000, None),
    ("STRUCT", 2002, None),
)
_NUMBERS = frozenset({"TINYINT", "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL"})
_NOT_SEARCHABLE = frozenset({"BINARY", "ARRAY", "MAP", "STRUCT"})


def _type_row(name: str, java: int, precision: int | None) -> tuple[Any, ...]:
    number = name in _NUMBERS
    return (
        name,
        java,
        precision,
        None,
        None,
        None,
        1,
        name == "STRING",
        0 if name in _NOT_SEARCHABLE else 3,
        not number,
        False,
        False,
        None,
        0,
        0,
        None,
        None,
        10 if number else None,
    )
