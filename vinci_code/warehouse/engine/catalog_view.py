"""A read-only listing of the catalogs, for metadata calls and ``information_schema``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from vinci_code.warehouse.engine.catalog import INFORMATION_SCHEMA, SYSTEM_CATALOG, CatalogStore
from vinci_code.warehouse.engine.model import (
    CheckConstraint,
    KeyConstraint,
    Schema,
    Table,
    TableColumn,
    TableSchema,
    View,
    Volume,
)
from vinci_code.warehouse.engine.names import TableName
from vinci_code.warehouse.sql.types import Column, SqlType


@dataclass(frozen=True)
class SchemaInfo:
    """A schema."""

    catalog: str
    name: str
    owner: str
    comment: str | None
    created: datetime


@dataclass(frozen=True)
class TableInfo:
    """A table or view.

    Attributes:
        kind: ``TABLE`` or ``VIEW``.
        view_text: The text of a view's query.
    """

    catalog: str
    schema: str
    name: str
    kind: str
    owner: str
    comment: str | None
    created: datetime
    altered: datetime
    view_text: str | None = None


@dataclass(frozen=True)
class ColumnInfo:
    """A column of a table or view.

    Attributes:
        position: Its place, counted from 0.
        default: The SQL text of its default, if any.
        identity: ``ALWAYS`` or ``BY DEFAULT`` for an identity column.
        generated: The SQL text of a generated column's expression.
        partition_index: Its place among the partition columns, counted from 0.
    """

    table: TableInfo
    name: str
    position: int
    type: SqlType
    nullable: bool
    default: str | None
    comment: str | None
    identity: str | None = None
    generated: str | None = None
    partition_index: int | None = None


class CatalogView:
    """The catalogs as they are now. Names are exact, in any case; patterns are the caller's."""

    def __init__(self, catalogs: CatalogStore) -> None:
        self._catalogs = catalogs

    def catalogs(self) -> list[str]:
        """Return the names of all catalogs, ``system`` included."""
        with self._catalogs.lock:
            return sorted([*self._catalogs.catalogs, SYSTEM_CATALOG])

    def schemas(self, catalog: str) -> list[str]:
        """Return the names of a catalog's schemas; none for a catalog that is not there."""
        return [item.name for item in self.schema_infos(catalog)]

    def schema_infos(self, catalog: str) -> list[SchemaInfo]:
        """Return the schemas of a catalog; none for a catalog that is not there."""
        catalog = catalog.lower()
        with self._catalogs.lock:
            found = self._catalogs.catalogs.get(catalog)
            created = datetime.fromtimestamp(0).astimezone() if found is None else found.created
            if found is None and catalog != SYSTEM_CATALOG:
                return []
            own = [
                SchemaInfo(catalog, item.name, item.owner, item.comment, item.created)
                for item in (found.schemas.values() if found else ())
            ]
        own.append(
            SchemaInfo(catalog, INFORMATION_SCHEMA, "System user", "Information schema", created)
        )
        return sorted(own, key=lambda item: item.name)

    def tables(self, catalog: str, schema: str) -> list[TableInfo]:
        """Return the tables and views of a schema; none for a schema that is not there."""
        with self._catalogs.lock:
            holder = self._holder(catalog, schema)
            if holder is None:
                return []
            listed = [_table_info(item) for item in holder.tables.values()]
            listed += [_view_info(item) for item in holder.views.values()]
        return sorted(listed, key=lambda item: item.name)

    def volumes(self, catalog: str, schema: str) -> list[Volume]:
        """Return the volumes of a schema; none for a schema that is not there."""
        with self._catalogs.lock:
            holder = self._holder(catalog, schema)
            found = [] if holder is None else list(holder.volumes.values())
        return sorted(found, key=lambda item: item.name)

    def columns(self, catalog: str, schema: str, table: str) -> list[ColumnInfo]:
        """Return the columns of a table or view; none where there is no such one."""
        with self._catalogs.lock:
            holder = self._holder(catalog, schema)
            if holder is None:
                return []
            name = table.lower()
            if name in holder.tables:
                return _table_columns(holder.tables[name])
            if name in holder.views:
                return _view_columns(holder.views[name])
        return []

    def _holder(self, catalog: str, schema: str) -> Schema | None:
        found = self._catalogs.catalogs.get(catalog.lower())
        return None if found is None else found.schemas.get(schema.lower())

    def constraints(self, catalog: str, schema: str, table: str) -> list[KeyConstraint]:
        """Return the keys of a table; none where there is no such table."""
        found = self._schema_of(catalog, schema, table)
        return [] if found is None else list(found.keys)

    def checks(self, catalog: str, schema: str, table: str) -> list[CheckConstraint]:
        """Return the CHECK constraints of a table; none where there is no such table."""
        found = self._schema_of(catalog, schema, table)
        return [] if found is None else list(found.checks)

    def _schema_of(self, catalog: str, schema: str, table: str) -> TableSchema | None:
        name = TableName(catalog.lower(), schema.lower(), table.lower())
        found = self._catalogs.find_table(name)
        return None if found is None else found.state.schema


def _table_info(table: Table) -> TableInfo:
    name = table.name
    return TableInfo(
        name.catalog,
        name.schema,
        name.name,
        "TABLE",
        table.owner,
        table.state.schema.comment,
        table.created,
        table.altered or table.created,
    )


def _view_info(view: View) -> TableInfo:
    name = view.name
    return TableInfo(
        name.catalog,
        name.schema,
        name.name,
        "VIEW",
        view.owner,
        view.comment,
        view.created,
        view.created,
        view.text,
    )


def _table_columns(table: Table) -> list[ColumnInfo]:
    info, schema = _table_info(table), table.state.schema
    partitions = [name.lower() for name in schema.partition_by]
    return [
        _column_info(info, index, column, partitions) for index, column in enumerate(schema.columns)
    ]


def _column_info(
    info: TableInfo, index: int, column: TableColumn, partitions: list[str]
) -> ColumnInfo:
    identity, lowered = column.identity, column.name.lower()
    kind = None
    if identity is not None:
        kind = "ALWAYS" if identity.always else "BY DEFAULT"
    return ColumnInfo(
        info,
        column.name,
        index,
        column.type,
        column.nullable,
        column.default,
        column.comment,
        kind,
        column.generated,
        partitions.index(lowered) if lowered in partitions else None,
    )


def _view_columns(view: View) -> list[ColumnInfo]:
    info = _view_info(view)
    return [_plain_column(info, index, item) for index, item in enumerate(view.columns)]


def _plain_column(info: TableInfo, index: int, column: Column) -> ColumnInfo:
    return ColumnInfo(info, column.name, index, column.type, column.nullable, None, column.comment)
