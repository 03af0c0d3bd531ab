"""``information_schema`` of each catalog, and ``system.information_schema`` over all of them.

https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-information-schema
"""

# ruff: noqa: S608 - the names and values in this SQL are made by the engine itself

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from vinci_code.warehouse.engine.catalog import INFORMATION_SCHEMA, SYSTEM_CATALOG
from vinci_code.warehouse.engine.catalog_view import (
    CatalogView,
    ColumnInfo,
    ConstraintInfo,
    TableInfo,
)
from vinci_code.warehouse.engine.names import TableName
from vinci_code.warehouse.sql.query import Relation
from vinci_code.warehouse.sql.types import BIGINT, INT, STRING, TIMESTAMP, Column, SqlType

if TYPE_CHECKING:
    from vinci_code.warehouse.engine.work import Work

_Rows = Callable[[CatalogView, list[str]], Iterator[tuple[Any, ...]]]
_OWNER_ID = "System user"


def relation(work: Work, name: TableName) -> Relation | None:
    """Return a table of ``information_schema`` as a staged relation, or ``None``."""
    if name.schema != INFORMATION_SCHEMA:
        return None
    view = CatalogView(work.catalogs)
    known = view.catalogs()
    table = TABLES.get(name.name)
    if name.catalog not in known or table is None:
        return None
    chosen = known if name.catalog == SYSTEM_CATALOG else [name.catalog]
    columns, rows = table
    arrow = _arrow(columns, list(rows(view, chosen)))
    label = f"is_{id(arrow)}"
    work.cursor.register(label, arrow)
    try:
        staged = work.transaction.stage(f"SELECT * FROM {label}")
    finally:
        work.cursor.unregister(label)
    full = (name.catalog, name.schema, name.name)
    return Relation(staged, tuple(columns), full, tuple(item.name for item in columns))


def _arrow(columns: list[Column], rows: list[tuple[Any, ...]]) -> pa.Table:
    schema = pa.schema([pa.field(item.name, item.type.arrow()) for item in columns])
    arrays = [
        pa.array([row[index] for row in rows], type=field.type)
        for index, field in enumerate(schema)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _columns(*described: str | tuple[str, SqlType]) -> list[Column]:
    return [
        Column(item, STRING) if isinstance(item, str) else Column(item[0], item[1])
        for item in described
    ]


def _all_tables(view: CatalogView, catalogs: list[str]) -> Iterator[TableInfo]:
    for catalog in catalogs:
        for schema in view.schemas(catalog):
            yield from view.tables(catalog, schema.name)


def _all_columns(view: CatalogView, catalogs: list[str]) -> Iterator[ColumnInfo]:
    for table in _all_tables(view, catalogs):
        yield from view.columns(table.catalog, table.schema, table.name)


def _all_constraints(view: CatalogView, catalogs: list[str]) -> Iterator[ConstraintInfo]:
    for table in _all_tables(view, catalogs):
        yield from view.constraints(table.catalog, table.schema, table.name)


def _catalogs(view: CatalogView, catalogs: list[str]) -> Iterator[tuple[Any, ...]]:
    for name in view.catalogs():
        if name in catalogs:
            yield name, _OWNER_ID, None, None, None, None, None


def _schemata(view: CatalogView, catalogs: list[str]) -> Iterator[tuple[Any, ...]]:
    for catalog in catalogs:
        for item in view.schemas(catalog):
            yield (
                catalog, item.name, item.owner, item.comment,
                item.created, item.owner, item.created, item.owner,
            )  # fmt: skip


def _tables(view: CatalogView, catalogs: list[str]) -> Iterator[tuple[Any, ...]]:
    for item in _all_tables(view, catalogs):
        is_view = item.type == "VIEW"
        yield (
            item.catalog, item.schema, item.name, "VIEW" if is_view else "MANAGED",
            "NO" if is_view else "YES", "NO", item.owner, item.comment,
            item.created, item.owner, item.altered, item.owner,
            "UNKNOWN_DATA_SOURCE_FORMAT" if is_view else "DELTA", None, None,
        )  # fmt: skip


def _views(view: CatalogView, catalogs: list[str]) -> Iterator[tuple[Any, ...]]:
    for item in _all_tables(view, catalogs):
        if item.type == "VIEW":
            yield (
                item.catalog, item.schema, item.name, item.view_text,
                "NONE", "NO", "NO", "false", None,
            )  # fmt: skip


def _column_rows(view: CatalogView, catalogs: list[str]) -> Iterator[tuple[Any, ...]]:
    for item in _all_columns(view, catalogs):
        kind = item.type
        generated = item.generated is not None
        yield (
            item.table.catalog, item.table.schema, item.table.name, item.name,
            item.position, item.default, "YES" if item.nullable else "NO",
            kind.text.upper(), _short(kind),
            kind.length, _octets(kind), _precision(kind), _radix(kind), kind.scale,
            "YES" if item.identity else "NO", item.identity,
            _text(item.identity_start), _text(item.identity_step), None, None,
            "NO" if item.identity else None,
            "ALWAYS" if generated else "NEVER", item.generated, "NO", "YES",
            item.partition_index, item.comment,
        )  # fmt: skip


def _short(kind: SqlType) -> str:
    return "INTERVAL" if kind.is_interval else kind.name


def _octets(kind: SqlType) -> int | None:
    sizes = {"TINYINT": 1, "SMALLINT": 2, "INT": 4, "BIGINT": 8, "FLOAT": 4, "DOUBLE": 8}
    return None if kind.name in sizes or kind.length is None else kind.length * 4


def _precision(kind: SqlType) -> int | None:
    fixed = {"TINYINT": 3, "SMALLINT": 5, "INT": 10, "BIGINT": 19, "FLOAT": 24, "DOUBLE": 53}
    return fixed.get(kind.name, kind.precision)


def _radix(kind: SqlType) -> int | None:
    return {"FLOAT": 2, "DOUBLE": 2}.get(kind.name, 10 if kind.is_numeric else None)


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)


def _table_constraints(view: CatalogView, catalogs: list[str]) -> Iterator[tuple[Any, ...]]:
    for item in _all_constraints(view, catalogs):
        table = item.table
        enforced = "YES" if item.type == "CHECK" else "NO"
        yield (
            table.catalog, table.schema, item.name,
            table.catalog, table.schema, table.name, item.type, "NO", "NO", enforced,
        )  # fmt: skip


def _key_column_usage(view: CatalogView, catalogs: list[str]) -> Iterator[tuple[Any, ...]]:
    for item in _all_constraints(view, catalogs):
        if item.key is None:
            continue
        table, key = item.table, item.key
        foreign = key.kind == "FOREIGN KEY"
        for index, name in enumerate(key.columns):
            yield (
                table.catalog, table.schema, key.name,
                table.catalog, table.schema, table.name, name,
                index + 1, index + 1 if foreign else None,
            )  # fmt: skip


def _constraint_column_usage(view: CatalogView, catalogs: list[str]) -> Iterator[tuple[Any, ...]]:
    for item in _all_constraints(view, catalogs):
        if item.key is None:
            continue
        table, key = item.table, item.key
        place = (table.catalog, table.schema, table.name)
        names = key.columns
        if key.parent is not None:
            place = (key.parent.catalog, key.parent.schema, key.parent.name)
            names = key.parent_columns
        for name in names:
            yield (*place, name, table.catalog, table.schema, key.name)


def _constraint_table_usage(view: CatalogView, catalogs: list[str]) -> Iterator[tuple[Any, ...]]:
    for item in _all_constraints(view, catalogs):
        if item.key is None:
            continue
        table, parent = item.table, item.key.parent
        place = (table.catalog, table.schema, table.name)
        if parent is not None:
            place = (parent.catalog, parent.schema, parent.name)
        yield (*place, table.catalog, table.schema, item.name)


def _referential_constraints(view: CatalogView, catalogs: list[str]) -> Iterator[tuple[Any, ...]]:
    for item in _all_constraints(view, catalogs):
        if item.key is None or item.key.parent is None:
            continue
        table, parent = item.table, item.key.parent
        wanted = sorted(name.lower() for name in item.key.parent_columns)
        unique = next(
            (
                found.name
                for found in view.constraints(parent.catalog, parent.schema, parent.name)
                if found.key is not None
                and found.key.parent is None
                and sorted(name.lower() for name in found.key.columns) == wanted
            ),
            None,
        )
        yield (
            table.catalog, table.schema, item.name,
            parent.catalog, parent.schema, unique, "FULL", "NO ACTION", "NO ACTION",
        )  # fmt: skip


def _check_constraints(view: CatalogView, catalogs: list[str]) -> Iterator[tuple[Any, ...]]:
    for item in _all_constraints(view, catalogs):
        if item.check is not None:
            table = item.table
            yield table.catalog, table.schema, item.name, item.check.condition, None


def _catalog_name(_view: CatalogView, catalogs: list[str]) -> Iterator[tuple[Any, ...]]:
    yield (catalogs[0] if len(catalogs) == 1 else SYSTEM_CATALOG,)


TABLES: dict[str, tuple[list[Column], _Rows]] = {
    "catalogs": (
        _columns(
            "catalog_name", "catalog_owner", "comment", ("created", TIMESTAMP), "created_by",
            ("last_altered", TIMESTAMP), "last_altered_by",
        ),
        _catalogs,
    ),
    "information_schema_catalog_name": (_columns("catalog_name"), _catalog_name),
    "schemata": (
        _columns(
            "catalog_name", "schema_name", "schema_owner", "comment", ("created", TIMESTAMP),
            "created_by", ("last_altered", TIMESTAMP), "last_altered_by",
        ),
        _schemata,
    ),
    "tables": (
        _columns(
            "table_catalog", "table_schema", "table_name", "table_type", "is_insertable_into",
            "commit_action", "table_owner", "comment", ("created", TIMESTAMP), "created_by",
            ("last_altered", TIMESTAMP), "last_altered_by", "data_source_format",
            "storage_sub_directory", "storage_path",
        ),
        _tables,
    ),
    "views": (
        _columns(
            "table_catalog", "table_schema", "table_name", "view_definition", "check_option",
            "is_updatable", "is_insertable_into", "is_materialized", "sql_path",
        ),
        _views,
    ),
    "columns": (
        _columns(
            "table_catalog", "table_schema", "table_name", "column_name",
            ("ordinal_position", INT), "column_default", "is_nullable", "full_data_type",
            "data_type", ("character_maximum_length", BIGINT), ("character_octet_length", BIGINT),
            ("numeric_precision", INT), ("numeric_precision_radix", INT), ("numeric_scale", INT),
            "is_identity", "identity_generation", "identity_start", "identity_increment",
            "identity_maximum", "identity_minimum", "identity_cycle", "is_generated",
            "generation_expression", "is_system_time_period_start", "is_updatable",
            ("partition_index", INT), "comment",
        ),
        _column_rows,
    ),
    "table_constraints": (
        _columns(
            "constraint_catalog", "constraint_schema", "constraint_name", "table_catalog",
            "table_schema", "table_name", "constraint_type", "is_deferrable",
            "initially_deferred", "enforced",
        ),
        _table_constraints,
    ),
    "key_column_usage": (
        _columns(
            "constraint_catalog", "constraint_schema", "constraint_name", "table_catalog",
            "table_schema", "table_name", "column_name", ("ordinal_position", INT),
            ("position_in_unique_constraint", INT),
        ),
        _key_column_usage,
    ),
    "constraint_column_usage": (
        _columns(
            "table_catalog", "table_schema", "table_name", "column_name", "constraint_catalog",
            "constraint_schema", "constraint_name",
        ),
        _constraint_column_usage,
    ),
    "constraint_table_usage": (
        _columns(
            "table_catalog", "table_schema", "table_name", "constraint_catalog",
            "constraint_schema", "constraint_name",
        ),
        _constraint_table_usage,
    ),
    "referential_constraints": (
        _columns(
            "constraint_catalog", "constraint_schema", "constraint_name",
            "unique_constraint_catalog", "unique_constraint_schema", "unique_constraint_name",
            "match_option", "update_rule", "delete_rule",
        ),
        _referential_constraints,
    ),
    "check_constraints": (
        _columns(
            "constraint_catalog", "constraint_schema", "constraint_name", "check_clause",
            "sql_path",
        ),
        _check_constraints,
    ),
}  # fmt: skip
