"""``information_schema`` of each catalog, and ``system.information_schema`` over all of them.

https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-information-schema
"""

# ruff: noqa: S608 - the names and values in this SQL are made by the engine itself

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import pyarrow as pa

from vinci_code.warehouse.engine.catalog import INFORMATION_SCHEMA, SYSTEM_CATALOG, CatalogStore
from vinci_code.warehouse.engine.catalog_view import (
    CatalogView,
    ColumnInfo,
    TableInfo,
)
from vinci_code.warehouse.engine.model import CheckConstraint, KeyConstraint
from vinci_code.warehouse.engine.names import TableName
from vinci_code.warehouse.engine.transactions import Transaction
from vinci_code.warehouse.sql.errors import unsupported
from vinci_code.warehouse.sql.query_context import Relation
from vinci_code.warehouse.sql.types import BIGINT, INT, STRING, TIMESTAMP, Column, SqlType

_RowsOf = Callable[[CatalogView, list[str]], Iterator[tuple[Any, ...]]]
_OWNER_ID = "System user"


# Documented views about things of which the local warehouse has none; their columns are not known.
_REFUSED = frozenset(
    "catalog_privileges catalog_provider_share_usage connection_privileges connections "
    "credential_privileges credentials external_location_privileges external_locations "
    "metastore_privileges metastores parameters providers recipient_allowed_ip_ranges "
    "recipient_tokens recipients routine_columns routine_privileges routines schema_privileges "
    "schema_share_usage share_recipient_privileges shares storage_credential_privileges "
    "storage_credentials table_privileges table_share_usage volume_privileges".split()
)


def relation(
    name: TableName,
    catalogs: CatalogStore,
    cursor: duckdb.DuckDBPyConnection,
    transaction: Transaction,
) -> Relation | None:
    """Return a table of ``information_schema`` as a staged relation, or ``None``."""
    if name.schema != INFORMATION_SCHEMA:
        return None
    view = CatalogView(catalogs)
    known = view.catalogs()
    table = TABLES.get(name.name)
    if table is None and name.name in _REFUSED:
        raise unsupported(f"the view information_schema.{name.name}")
    if name.catalog not in known or table is None:
        return None
    chosen = known if name.catalog == SYSTEM_CATALOG else [name.catalog]
    columns, rows = table
    arrow = _arrow(columns, list(rows(view, chosen)))
    label = f"is_{id(arrow)}"
    cursor.register(label, arrow)
    try:
        staged = transaction.stage(f"SELECT * FROM {label}")
    finally:
        cursor.unregister(label)
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
            yield from view.tables(catalog, schema)


def _all_columns(view: CatalogView, catalogs: list[str]) -> Iterator[ColumnInfo]:
    for table in _all_tables(view, catalogs):
        yield from view.columns(table.catalog, table.schema, table.name)


def _all_keys(view: CatalogView, catalogs: list[str]) -> Iterator[tuple[TableInfo, KeyConstraint]]:
    for table in _all_tables(view, catalogs):
        for key in view.constraints(table.catalog, table.schema, table.name):
            yield table, key


def _all_checks(
    view: CatalogView, catalogs: list[str]
) -> Iterator[tuple[TableInfo, CheckConstraint]]:
    for table in _all_tables(view, catalogs):
        for check in view.checks(table.catalog, table.schema, table.name):
            yield table, check


def _catalogs(view: CatalogView, catalogs: list[str]) -> Iterator[tuple[Any, ...]]:
    for name in view.catalogs():
        if name in catalogs:
            yield name, _OWNER_ID, None, None, None, None, None


def _schemata(view: CatalogView, catalogs: list[str]) -> Iterator[tuple[Any, ...]]:
    for catalog in catalogs:
        for item in view.schema_infos(catalog):
            yield (
                catalog, item.name, item.owner, item.comment,
                item.created, item.owner, item.created, item.owner,
            )  # fmt: skip


def _tables(view: CatalogView, catalogs: list[str]) -> Iterator[tuple[Any, ...]]:
    for item in _all_tables(view, catalogs):
        is_view = item.kind == "VIEW"
        yield (
            item.catalog, item.schema, item.name, "VIEW" if is_view else "MANAGED",
            "NO" if is_view else "YES", "NO", item.owner, item.comment,
            item.created, item.owner, item.altered, item.owner,
            "UNKNOWN_DATA_SOURCE_FORMAT" if is_view else "DELTA", None, None,
        )  # fmt: skip


def _views(view: CatalogView, catalogs: list[str]) -> Iterator[tuple[Any, ...]]:
    for item in _all_tables(view, catalogs):
        if item.kind == "VIEW":
            yield (
                item.catalog, item.schema, item.name, item.view_text,
                "NONE", "NO", "NO", "false", None,
            )  # fmt: skip


def _volumes(view: CatalogView, catalogs: list[str]) -> Iterator[tuple[Any, ...]]:
    for catalog in catalogs:
        for schema in view.schemas(catalog):
            for item in view.volumes(catalog, schema):
                yield (
                    catalog, schema, item.name.name, "MANAGED", item.owner, item.comment,
                    item.created, item.owner, item.altered, item.owner, "",
                )  # fmt: skip


def _column_rows(view: CatalogView, catalogs: list[str]) -> Iterator[tuple[Any, ...]]:
    for item in _all_columns(view, catalogs):
        kind, partition = item.type, item.partition_index
        yield (
            item.table.catalog, item.table.schema, item.table.name, item.name,
            item.position + 1, item.default, "YES" if item.nullable else "NO",
            kind.simple, "INTERVAL" if kind.is_interval else kind.name,
            None, None, _precision(kind), _radix(kind), 0 if kind.is_integral else kind.scale,
            _DATETIME_PRECISION.get(kind.name), None, None, None,
            "NO", None, None, None, None, None, None,
            None, None, "NO", "NO", None, "YES",
            None if partition is None else partition + 1, item.comment,
        )  # fmt: skip


_BITS = {"TINYINT": 8, "SMALLINT": 16, "INT": 32, "BIGINT": 64, "FLOAT": 24, "DOUBLE": 53}
_DATETIME_PRECISION = {"DATE": 0, "TIMESTAMP": 3, "TIMESTAMP_NTZ": 3}


def _precision(kind: SqlType) -> int | None:
    return _BITS.get(kind.name, kind.precision)


def _radix(kind: SqlType) -> int | None:
    if kind.name == "DECIMAL":
        return 10
    return 2 if kind.name in _BITS else None


def _table_constraints(view: CatalogView, catalogs: list[str]) -> Iterator[tuple[Any, ...]]:
    listed = [(table, key.name, key.kind, "NO") for table, key in _all_keys(view, catalogs)]
    listed += [(table, item.name, "CHECK", "YES") for table, item in _all_checks(view, catalogs)]
    for table, name, kind, enforced in listed:
        yield (
            table.catalog, table.schema, name,
            table.catalog, table.schema, table.name, kind, "NO", "NO", enforced,
        )  # fmt: skip


def _key_column_usage(view: CatalogView, catalogs: list[str]) -> Iterator[tuple[Any, ...]]:
    for table, key in _all_keys(view, catalogs):
        places = _referenced_places(view, key)
        for position, name in enumerate(key.columns, 1):
            yield (
                table.catalog, table.schema, key.name,
                table.catalog, table.schema, table.name, name,
                position, places[position - 1] if places else None,
            )  # fmt: skip


def _referenced_places(view: CatalogView, key: KeyConstraint) -> list[int]:
    """Return the place of each referenced column in the key of the parent; empty without one."""
    found = _unique_key(view, key)
    names = [name.lower() for name in (found.columns if found else key.parent_columns)]
    if key.parent is None:
        return []
    return [names.index(name.lower()) + 1 for name in key.parent_columns]


def _referenced(table: TableInfo, key: KeyConstraint) -> tuple[str, str, str]:
    if key.parent is not None:
        return key.parent.catalog, key.parent.schema, key.parent.name
    return table.catalog, table.schema, table.name


def _constraint_column_usage(view: CatalogView, catalogs: list[str]) -> Iterator[tuple[Any, ...]]:
    for table, key in _all_keys(view, catalogs):
        for name in key.columns if key.parent is None else key.parent_columns:
            yield (*_referenced(table, key), name, table.catalog, table.schema, key.name)


def _constraint_table_usage(view: CatalogView, catalogs: list[str]) -> Iterator[tuple[Any, ...]]:
    for table, key in _all_keys(view, catalogs):
        yield (*_referenced(table, key), table.catalog, table.schema, key.name)


def _referential_constraints(view: CatalogView, catalogs: list[str]) -> Iterator[tuple[Any, ...]]:
    for table, key in _all_keys(view, catalogs):
        if key.parent is None:
            continue
        parent = key.parent
        yield (
            table.catalog, table.schema, key.name,
            parent.catalog, parent.schema, _unique_name(view, key), "FULL", "NO ACTION",
            "NO ACTION",
        )  # fmt: skip


def _unique_name(view: CatalogView, key: KeyConstraint) -> str | None:
    found = _unique_key(view, key)
    return found.name if found else None


def _unique_key(view: CatalogView, key: KeyConstraint) -> KeyConstraint | None:
    if key.parent is None:
        return None
    wanted = sorted(name.lower() for name in key.parent_columns)
    for found in view.constraints(key.parent.catalog, key.parent.schema, key.parent.name):
        if found.parent is None and sorted(name.lower() for name in found.columns) == wanted:
            return found
    return None


def _check_constraints(view: CatalogView, catalogs: list[str]) -> Iterator[tuple[Any, ...]]:
    for table, check in _all_checks(view, catalogs):
        yield table.catalog, table.schema, check.name, check.condition, None


def _catalog_name(_view: CatalogView, catalogs: list[str]) -> Iterator[tuple[Any, ...]]:
    yield (catalogs[0] if len(catalogs) == 1 else SYSTEM_CATALOG,)


def _nothing(_view: CatalogView, _catalogs: list[str]) -> Iterator[tuple[Any, ...]]:
    """No rows: SQL that makes such things is refused, so that there is none."""
    yield from ()


TABLES: dict[str, tuple[list[Column], _RowsOf]] = {
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
    "volumes": (
        _columns(
            "volume_catalog", "volume_schema", "volume_name", "volume_type", "volume_owner",
            "comment", ("created", TIMESTAMP), "created_by", ("last_altered", TIMESTAMP),
            "last_altered_by", "storage_location",
        ),
        _volumes,
    ),
    "columns": (
        _columns(
            "table_catalog", "table_schema", "table_name", "column_name",
            ("ordinal_position", INT), "column_default", "is_nullable", "full_data_type",
            "data_type", ("character_maximum_length", INT), "character_octet_length",
            ("numeric_precision", INT), ("numeric_precision_radix", INT), ("numeric_scale", INT),
            ("datetime_precision", INT), "interval_type", ("interval_precision", INT),
            ("maximum_cardinality", BIGINT), "is_identity", "identity_generation",
            "identity_start", "identity_increment", "identity_maximum", "identity_minimum",
            "identity_cycle", "is_generated", "generation_expression",
            "is_system_time_period_start", "is_system_time_period_end",
            "system_time_period_timestamp_generation", "is_updatable",
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
    # Of these two the documentation has other names than the statements of dbt-databricks, which
    # run on every workspace; both can be read.
    "row_filters": (
        _columns(
            "table_catalog", "table_schema", "table_name", "filter_name", "target_columns",
            "catalog_name", "schema_name", "filter_catalog", "filter_schema", "filter_col_usage",
        ),
        _nothing,
    ),
    "column_masks": (
        _columns(
            "table_catalog", "table_schema", "table_name", "column_name", "mask_name",
            "using_columns", "catalog_name", "schema_name", "mask_catalog", "mask_schema",
            "mask_col_usage",
        ),
        _nothing,
    ),
    "catalog_tags": (_columns("catalog_name", "tag_name", "tag_value"), _nothing),
    "schema_tags": (_columns("catalog_name", "schema_name", "tag_name", "tag_value"), _nothing),
    "table_tags": (
        _columns("catalog_name", "schema_name", "table_name", "tag_name", "tag_value"),
        _nothing,
    ),
    "column_tags": (
        _columns(
            "catalog_name", "schema_name", "table_name", "column_name", "tag_name", "tag_value",
        ),
        _nothing,
    ),
    "volume_tags": (
        _columns("catalog_name", "schema_name", "volume_name", "tag_name", "tag_value"),
        _nothing,
    ),
}  # fmt: skip
