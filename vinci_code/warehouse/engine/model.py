"""What the catalog holds: schemas, tables with columns and constraints, views, and volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from vinci_code.warehouse.engine.names import TableName
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.types import Column, SqlType, parse_type

CATALOG_MANAGED = "delta.feature.catalogManaged"
CATALOG_OWNED_PREVIEW = "delta.feature.catalogOwned-preview"
COLUMN_DEFAULTS = "delta.feature.allowColumnDefaults"
COLUMN_MAPPING = "delta.columnMapping.mode"
_ENABLED = ("supported", "enabled")


@dataclass(frozen=True)
class Identity:
    """``GENERATED … AS IDENTITY``."""

    always: bool
    start: int = 1
    step: int = 1


@dataclass(frozen=True)
class TableColumn:
    """A column of a table.

    Attributes:
        name: The name as written.
        type: The Databricks type.
        physical: The name of the DuckDB column that holds it; never used again for another one.
        nullable: Whether NULL may be written.
        comment: The comment, if any.
        default: The SQL text of the default, if any.
        identity: How values are generated, for an identity column.
        generated: The SQL text of a generated column's expression, if any.
    """

    name: str
    type: SqlType
    physical: str
    nullable: bool = True
    comment: str | None = None
    default: str | None = None
    identity: Identity | None = None
    generated: str | None = None

    @property
    def column(self) -> Column:
        """The column as a query sees it."""
        return Column(self.name, self.type, self.nullable, self.comment)


@dataclass(frozen=True)
class KeyConstraint:
    """A constraint that is kept and never enforced.

    Attributes:
        name: Its name, in small letters.
        kind: ``PRIMARY KEY``, ``UNIQUE`` or ``FOREIGN KEY``.
        columns: The columns it is about.
        rely: Whether ``RELY`` was asked for.
        parent: The table a foreign key refers to.
        parent_columns: The columns it refers to there.
    """

    name: str
    kind: str
    columns: tuple[str, ...]
    rely: bool = False
    parent: TableName | None = None
    parent_columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckConstraint:
    """A CHECK constraint: a name in small letters, and the SQL text of the condition."""

    name: str
    condition: str


@dataclass(frozen=True)
class TableSchema:
    """All of a table's metadata; one is valid from a version until the next change of metadata."""

    columns: tuple[TableColumn, ...]
    properties: Mapping[str, str] = field(default_factory=dict)
    comment: str | None = None
    partition_by: tuple[str, ...] = ()
    cluster_by: tuple[str, ...] = ()
    cluster_auto: bool = False
    keys: tuple[KeyConstraint, ...] = ()
    checks: tuple[CheckConstraint, ...] = ()
    next_physical: int = 0

    def find(self, name: str) -> TableColumn | None:
        """Return the column of this name, in any case."""
        lower = name.lower()
        return next((item for item in self.columns if item.name.lower() == lower), None)

    def column(self, name: str) -> TableColumn:
        """Return the column of this name, in any case.

        Raises:
            SqlError: ``UNRESOLVED_COLUMN`` where there is none.
        """
        found = self.find(name)
        if found is None:
            raise unresolved_column(name, [item.name for item in self.columns])
        return found

    def with_column(self, changed: TableColumn) -> TableSchema:
        """Return the schema with the column of the same physical name replaced."""
        columns = tuple(
            changed if item.physical == changed.physical else item for item in self.columns
        )
        return replace(self, columns=columns)

    @property
    def primary_key(self) -> KeyConstraint | None:
        """The primary key, if there is one."""
        return next((key for key in self.keys if key.kind == "PRIMARY KEY"), None)

    @property
    def catalog_managed(self) -> bool:
        """Whether the table has catalog commits, so that transactions may write to it."""
        names = (CATALOG_MANAGED, CATALOG_OWNED_PREVIEW)
        return any(self.properties.get(name) in _ENABLED for name in names)

    @property
    def column_defaults(self) -> bool:
        """Whether the table feature for column defaults is on."""
        return self.properties.get(COLUMN_DEFAULTS) in _ENABLED

    @property
    def column_mapping(self) -> bool:
        """Whether columns can be renamed and dropped."""
        return self.properties.get(COLUMN_MAPPING, "none") != "none"

    def enabled(self, name: str, default: bool = False) -> bool:
        """Return a property that is true or false."""
        value = self.properties.get(name)
        return default if value is None else value.lower() == "true"


@dataclass(frozen=True)
class Commit:
    """One version of a table: an entry of its history.

    Attributes:
        version: The version that it made.
        timestamp: When, in UTC.
        operation: ``WRITE``, ``UPDATE``, ``DELETE``, ``MERGE``, ``CREATE TABLE`` …
        parameters: What DESCRIBE HISTORY shows as ``operationParameters``.
        metrics: What DESCRIBE HISTORY shows as ``operationMetrics``.
        read_version: The version that it was computed from; ``None`` for the first.
        blind_append: Whether it added rows without having read the table.
        added: Rows added.
        removed: Rows removed.
        inserted: Whether it added rows that are not new versions of rows it removed.
        metadata: Whether it changed the table's metadata.
        protocol: Whether it changed the table's protocol, that is its features.
        isolation: ``WriteSerializable`` or ``Serializable``.
        sequence: Its place among the commits to all tables since the engine started.
    """

    version: int
    timestamp: datetime
    operation: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    read_version: int | None = None
    blind_append: bool = False
    added: int = 0
    removed: int = 0
    inserted: bool = False
    metadata: bool = False
    protocol: bool = False
    isolation: str = "WriteSerializable"
    sequence: int = 0


@dataclass(frozen=True)
class TableState:
    """A table at one of its versions.

    Attributes:
        id: The table's number, which names its rows' physical table.
        name: Its full name.
        version: The version.
        schema: Its metadata at that version.
        schema_version: The version that made this metadata.
    """

    id: int
    name: TableName
    version: int
    schema: TableSchema
    schema_version: int

    @property
    def columns(self) -> list[Column]:
        """The columns as a query sees them."""
        return [item.column for item in self.schema.columns]

    @property
    def physical(self) -> str:
        """The name of the DuckDB table that holds the rows of every version."""
        return f"t{self.id}"


@dataclass
class Table:
    """A table and its past; replaced states are kept for time travel.

    ``loaded`` are the paths of the files that COPY INTO has loaded into it. ``oldest`` is the first
    version whose rows can be read: what was removed before was reclaimed. ``removed_rows`` is how
    many removed rows are kept for the versions since then.
    """

    state: TableState
    created: datetime
    owner: str
    commits: list[Commit] = field(default_factory=list)
    schemas: list[tuple[int, TableSchema]] = field(default_factory=list)
    altered: datetime | None = None
    loaded: set[str] = field(default_factory=set)
    oldest: int = 0
    removed_rows: int = 0

    def count_removed(self) -> None:
        """Count the removed rows that are kept."""
        kept = (commit.removed for commit in self.commits if commit.version > self.oldest)
        self.removed_rows = sum(kept)

    @property
    def name(self) -> TableName:
        """The full name."""
        return self.state.name

    def as_of(self, sequence: int) -> TableState:
        """Return the table as it was before any commit later than the given one."""
        for commit in reversed(self.commits):
            if commit.sequence <= sequence:
                return (
                    self.state if commit.version == self.state.version else self.at(commit.version)
                )
        return self.state

    def at(self, version: int) -> TableState:
        """Return the table as it was at a version that exists."""
        start, schema = next(item for item in reversed(self.schemas) if item[0] <= version)
        return replace(self.state, version=version, schema=schema, schema_version=start)


@dataclass(frozen=True)
class View:
    """A view: its query's text and the namespace in which its names are looked up.

    Attributes:
        name: Its full name; for a temporary view the last part alone counts.
        text: The text of its query.
        columns: Its columns.
        outputs: The names, in lower case, that the query itself gives to these columns.
        catalog: The catalog in which its names are looked up.
        schema: The schema in which its names are looked up.
        comment: Its comment, if any.
        properties: Its properties.
        created: When it was created.
        owner: Who created it.
    """

    name: TableName
    text: str
    columns: tuple[Column, ...]
    outputs: tuple[str, ...]
    catalog: str
    schema: str
    comment: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    created: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    owner: str = ""


@dataclass(frozen=True)
class Volume:
    """A managed volume: a place for files.

    Attributes:
        name: Its full name.
        id: What its files are kept by; never used again for another volume.
        owner: Who created it.
        comment: Its comment, if any.
        created: When it was created.
        altered: When its comment was changed last.
    """

    name: TableName
    id: str
    owner: str
    comment: str | None
    created: datetime
    altered: datetime


@dataclass
class Schema:
    """A schema and the tables, views and volumes in it, by name."""

    name: str
    owner: str
    comment: str | None = None
    properties: dict[str, str] = field(default_factory=dict)
    created: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    tables: dict[str, Table] = field(default_factory=dict)
    views: dict[str, View] = field(default_factory=dict)
    volumes: dict[str, Volume] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in it."""
        return not (self.tables or self.views or self.volumes)


@dataclass
class Catalog:
    """A catalog and its schemas, by name."""

    name: str
    owner: str
    comment: str | None = None
    properties: dict[str, str] = field(default_factory=dict)
    created: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    schemas: dict[str, Schema] = field(default_factory=dict)


def unresolved_column(name: str, candidates: Sequence[str]) -> SqlError:
    """Return ``UNRESOLVED_COLUMN.WITH_SUGGESTION``, naming the columns that there are."""
    listed = ", ".join(f"`{item}`" for item in candidates[:5])
    return SqlError(
        "UNRESOLVED_COLUMN.WITH_SUGGESTION",
        "42703",
        f"A column, variable, or function parameter with name `{name}` cannot be resolved. "
        f"Did you mean one of the following? [{listed}].",
    )


def column_to_json(item: TableColumn) -> dict[str, Any]:
    """Return a column as it is stored."""
    identity = item.identity
    return {
        "name": item.name,
        "type": item.type.text,
        "physical": item.physical,
        "nullable": item.nullable,
        "comment": item.comment,
        "default": item.default,
        "identity": identity and [identity.always, identity.start, identity.step],
        "generated": item.generated,
    }


def column_from_json(data: Mapping[str, Any]) -> TableColumn:
    """Return a column from its stored form."""
    identity = data["identity"]
    return TableColumn(
        data["name"],
        parse_type(data["type"]),
        data["physical"],
        data["nullable"],
        data["comment"],
        data["default"],
        Identity(*identity) if identity else None,
        data["generated"],
    )


def schema_to_json(schema: TableSchema) -> dict[str, Any]:
    """Return a table's metadata as it is stored."""
    return {
        "columns": [column_to_json(item) for item in schema.columns],
        "properties": dict(schema.properties),
        "comment": schema.comment,
        "partition_by": schema.partition_by,
        "cluster_by": schema.cluster_by,
        "cluster_auto": schema.cluster_auto,
        "keys": [
            {
                "name": key.name,
                "kind": key.kind,
                "columns": key.columns,
                "rely": key.rely,
                "parent": key.parent and [key.parent.catalog, key.parent.schema, key.parent.name],
                "parent_columns": key.parent_columns,
            }
            for key in schema.keys
        ],
        "checks": [[check.name, check.condition] for check in schema.checks],
        "next_physical": schema.next_physical,
    }


def schema_from_json(data: Mapping[str, Any]) -> TableSchema:
    """Return a table's metadata from its stored form."""
    return TableSchema(
        columns=tuple(column_from_json(item) for item in data["columns"]),
        properties=data["properties"],
        comment=data["comment"],
        partition_by=tuple(data["partition_by"]),
        cluster_by=tuple(data["cluster_by"]),
        cluster_auto=data["cluster_auto"],
        keys=tuple(
            KeyConstraint(
                key["name"],
                key["kind"],
                tuple(key["columns"]),
                key["rely"],
                TableName(*key["parent"]) if key["parent"] else None,
                tuple(key["parent_columns"]),
            )
            for key in data["keys"]
        ),
        checks=tuple(CheckConstraint(*item) for item in data["checks"]),
        next_physical=data["next_physical"],
    )
