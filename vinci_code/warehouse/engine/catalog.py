"""The catalogs of an engine: found by name, changed under one lock, kept in the store."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

import duckdb

from vinci_code.warehouse.engine import model
from vinci_code.warehouse.engine.model import (
    Catalog,
    Schema,
    Table,
    TableState,
    View,
    Volume,
)
from vinci_code.warehouse.engine.names import TableName, backtick, object_name
from vinci_code.warehouse.engine.store import Store
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.types import Column, parse_type

DEFAULT_CATALOG = "main"
DEFAULT_SCHEMA = "default"
INFORMATION_SCHEMA = "information_schema"
SYSTEM_CATALOG = "system"


class CatalogStore:
    """Every catalog, schema, table, view and volume.

    Readers take ``lock`` for as long as they look; whoever changes something holds the store's
    commit lock as well, writes to DuckDB first and then here.
    """

    def __init__(self, store: Store, owner: str) -> None:
        """Read the catalogs from the store; an empty store gets ``main.default``.

        ``owner`` is the user that owns what is created by default.
        """
        self.lock = threading.RLock()
        self.store = store
        self.catalogs: dict[str, Catalog] = {}
        self.identity: dict[tuple[int, str], int] = {}
        self._next_table = 1
        self._load()
        if not self.catalogs:
            self._initialise(owner)

    # ---- looking up

    def catalog(self, name: str) -> Catalog:
        """Return a catalog.

        Raises:
            SqlError: ``NO_SUCH_CATALOG_EXCEPTION`` where there is none.
        """
        with self.lock:
            try:
                return self.catalogs[name.lower()]
            except KeyError:
                raise no_such_catalog(name) from None

    def schema(self, catalog: str, name: str) -> Schema:
        """Return a schema.

        Raises:
            SqlError: ``SCHEMA_NOT_FOUND`` where there is none.
        """
        with self.lock:
            found = self.catalog(catalog).schemas.get(name.lower())
            if found is None:
                raise schema_not_found(catalog, name)
            return found

    def find_table(self, name: TableName) -> Table | None:
        """Return a table, or ``None``."""
        with self.lock:
            schema = self._find_schema(name)
            return None if schema is None else schema.tables.get(name.name)

    def find_view(self, name: TableName) -> View | None:
        """Return a view, or ``None``."""
        with self.lock:
            schema = self._find_schema(name)
            return None if schema is None else schema.views.get(name.name)

    def table(self, name: TableName) -> Table:
        """Return a table that must be one.

        Raises:
            SqlError: ``TABLE_OR_VIEW_NOT_FOUND``, or ``EXPECT_TABLE_NOT_VIEW`` for a view.
        """
        found = self.find_table(name)
        if found is not None:
            return found
        if self.find_view(name) is not None:
            raise expect_table(name)
        raise table_not_found(name)

    def all_tables(self) -> list[Table]:
        """Return every table."""
        with self.lock:
            return [table for schema in self._schemas() for table in schema.tables.values()]

    def tables_of(self, catalog: str, schema: str) -> list[Table]:
        """Return the tables of a schema by name."""
        with self.lock:
            return [item for _, item in sorted(self.schema(catalog, schema).tables.items())]

    def _find_schema(self, name: TableName) -> Schema | None:
        catalog = self.catalogs.get(name.catalog)
        return None if catalog is None else catalog.schemas.get(name.schema)

    def _schemas(self) -> Iterator[Schema]:
        for catalog in self.catalogs.values():
            yield from catalog.schemas.values()

    # ---- changing; the caller holds the commit lock and has a DuckDB transaction open

    def new_table_number(self) -> int:
        """Return the number for a new table."""
        with self.lock:
            number, self._next_table = self._next_table, self._next_table + 1
            return number

    def write_catalog(self, cursor: duckdb.DuckDBPyConnection, catalog: Catalog) -> None:
        """Write a catalog's record."""
        self.store.put(cursor, "catalog", catalog.name, _record(catalog))

    def write_schema(self, cursor: duckdb.DuckDBPyConnection, catalog: str, schema: Schema) -> None:
        """Write a schema's record."""
        self.store.put(cursor, "schema", f"{catalog}.{schema.name}", _record(schema))

    def write_table(self, cursor: duckdb.DuckDBPyConnection, table: Table) -> None:
        """Write a table's record; its versions are written by its commits."""
        data = {
            "id": table.state.id,
            "owner": table.owner,
            "created": table.created.isoformat(),
        }
        self.store.put(cursor, "table", str(table.name), data)

    def write_view(self, cursor: duckdb.DuckDBPyConnection, view: View) -> None:
        """Write a view's record."""
        data = {
            "text": view.text,
            "columns": [
                [item.name, item.type.text, item.nullable, item.comment] for item in view.columns
            ],
            "outputs": view.outputs,
            "catalog": view.catalog,
            "schema": view.schema,
            "comment": view.comment,
            "properties": dict(view.properties),
            "created": view.created.isoformat(),
            "owner": view.owner,
        }
        self.store.put(cursor, "view", str(view.name), data)

    def write_volume(self, cursor: duckdb.DuckDBPyConnection, volume: Volume) -> None:
        """Write a volume's record; its files have records of their own."""
        data = {
            "id": volume.id,
            "owner": volume.owner,
            "comment": volume.comment,
            "created": volume.created.isoformat(),
            "altered": volume.altered.isoformat(),
        }
        self.store.put(cursor, "volume", str(volume.name), data)

    def drop_tables(self, cursor: duckdb.DuckDBPyConnection, tables: Iterable[Table]) -> None:
        """Remove tables and their rows from the store."""
        for table in tables:
            self.store.drop(cursor, table.state.id)
            self.store.remove(cursor, "table", str(table.name))

    def drop_schemas(
        self, cursor: duckdb.DuckDBPyConnection, catalog: str, schemas: Iterable[Schema]
    ) -> None:
        """Remove schemas with all that is in them from the store."""
        for schema in schemas:
            self.drop_tables(cursor, schema.tables.values())
            for view in schema.views.values():
                self.store.remove(cursor, "view", str(view.name))
            for volume in schema.volumes.values():
                self.store.remove(cursor, "volume", str(volume.name))
            self.store.remove(cursor, "schema", f"{catalog}.{schema.name}")

    # ---- reading at the start

    def _initialise(self, owner: str) -> None:
        catalog = Catalog(DEFAULT_CATALOG, owner)
        catalog.schemas[DEFAULT_SCHEMA] = Schema(DEFAULT_SCHEMA, owner, "Default schema")
        with self.store.transaction(self.store.root):
            self.write_catalog(self.store.root, catalog)
            self.write_schema(self.store.root, catalog.name, catalog.schemas[DEFAULT_SCHEMA])
        self.catalogs[catalog.name] = catalog

    def _load(self) -> None:
        for name, data in self.store.objects("catalog"):
            self.catalogs[name] = Catalog(name, **_from_record(data))
        for name, data in self.store.objects("schema"):
            catalog, _, schema = name.partition(".")
            self.catalogs[catalog].schemas[schema] = Schema(schema, **_from_record(data))
        reclaimed = self.store.reclaimed()
        for name, data in self.store.objects("table"):
            self._load_table(TableName(*name.split(".")), data, reclaimed)
        for name, data in self.store.objects("view"):
            self._load_view(TableName(*name.split(".")), data)
        for name, data in self.store.objects("volume"):
            self._load_volume(TableName(*name.split(".")), data)
        for number, physical, value in self.store.identities():
            self.identity[number, physical] = int(value)

    def _load_table(
        self, name: TableName, data: dict[str, Any], reclaimed: Mapping[int, int]
    ) -> None:
        number = int(str(data["id"]))
        schemas = [
            (version, model.schema_from_json(item)) for version, item in self.store.schemas(number)
        ]
        commits = self.store.commits(number)
        changed, schema = schemas[-1]
        state = TableState(number, name, commits[-1].version, schema, changed)
        table = Table(
            state,
            datetime.fromisoformat(str(data["created"])),
            str(data["owner"]),
            commits,
            schemas,
            commits[-1].timestamp,
            self.store.loaded(number),
            reclaimed.get(number, 0),
        )
        table.count_removed()
        self.catalogs[name.catalog].schemas[name.schema].tables[name.name] = table
        self._next_table = max(self._next_table, number + 1)

    def _load_view(self, name: TableName, data: dict[str, Any]) -> None:
        columns = tuple(
            Column(label, parse_type(kind), nullable, comment)
            for label, kind, nullable, comment in data.pop("columns")
        )
        created = datetime.fromisoformat(str(data.pop("created")))
        outputs = tuple(data.pop("outputs"))
        view = View(name=name, columns=columns, outputs=outputs, created=created, **data)
        self.catalogs[name.catalog].schemas[name.schema].views[name.name] = view

    def _load_volume(self, name: TableName, data: dict[str, Any]) -> None:
        created = datetime.fromisoformat(str(data.pop("created")))
        altered = datetime.fromisoformat(str(data.pop("altered")))
        volume = Volume(name=name, created=created, altered=altered, **data)
        self.catalogs[name.catalog].schemas[name.schema].volumes[name.name] = volume


def no_such_catalog(name: str) -> SqlError:
    """Return ``NO_SUCH_CATALOG_EXCEPTION``."""
    return SqlError(
        "NO_SUCH_CATALOG_EXCEPTION",
        "42704",
        f"Catalog '{name}' was not found. Please verify the catalog name and then retry the query "
        "or command again.",
    )


def schema_not_found(catalog: str, name: str) -> SqlError:
    """Return ``SCHEMA_NOT_FOUND``."""
    return SqlError(
        "SCHEMA_NOT_FOUND",
        "42704",
        f"The schema {backtick(catalog)}.{backtick(name)} cannot be found. Verify the spelling and "
        "correctness of the schema and catalog. If you did not qualify the name with a catalog, "
        "verify the current_schema() output, or qualify the name with the correct catalog. To "
        "tolerate the error on drop use DROP SCHEMA IF EXISTS.",
    )


def table_not_found(name: TableName | str) -> SqlError:
    """Return ``TABLE_OR_VIEW_NOT_FOUND``."""
    shown = name.quoted if isinstance(name, TableName) else name
    return SqlError(
        "TABLE_OR_VIEW_NOT_FOUND",
        "42P01",
        f"The table or view {shown} cannot be found. Verify the spelling and correctness of the "
        "schema and catalog. If you did not qualify the name with a schema, verify the "
        "current_schema() output, or qualify the name with the correct schema and catalog. To "
        "tolerate the error on drop use DROP VIEW IF EXISTS or DROP TABLE IF EXISTS.",
    )


def expect_table(name: TableName) -> SqlError:
    """Return the error for a view where a table is needed."""
    return SqlError(
        "EXPECT_TABLE_NOT_VIEW.NO_ALTERNATIVE",
        "42809",
        f"The operation expects a table but {name.quoted} is a view.",
    )


def wrong_command(operation: str, required: str, name: TableName, found: str) -> SqlError:
    """Return the error of DROP for a table or view that the other DROP is for."""
    other = "DROP VIEW" if operation == "DROP TABLE" else "DROP TABLE"
    return SqlError(
        "WRONG_COMMAND_FOR_OBJECT_TYPE",
        "42809",
        f"The operation {operation} requires a {required}. But {name} is a {found}. Use {other} "
        "instead.",
    )


def expect_view(name: TableName) -> SqlError:
    """Return the error for a table where a view is needed."""
    return SqlError(
        "EXPECT_VIEW_NOT_TABLE.NO_ALTERNATIVE",
        "42809",
        f"The table {name.quoted} does not support the operation on a view.",
    )


def already_exists(name: TableName) -> SqlError:
    """Return ``TABLE_OR_VIEW_ALREADY_EXISTS``."""
    return SqlError(
        "TABLE_OR_VIEW_ALREADY_EXISTS",
        "42P07",
        f"Cannot create table or view {name.quoted} because it already exists. Choose a different "
        "name, drop or replace the existing object, or add the IF NOT EXISTS clause to tolerate "
        "pre-existing objects.",
    )


def check_name(name: str) -> str:
    """Return the stored form of a name that is to be created."""
    return object_name(name)


def _record(item: Catalog | Schema) -> dict[str, object]:
    return {
        "owner": item.owner,
        "comment": item.comment,
        "properties": item.properties,
        "created": item.created.astimezone(timezone.utc).isoformat(),
    }


def _from_record(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "created": datetime.fromisoformat(str(data["created"]))}
