"""CREATE TABLE in its forms: with columns, AS SELECT, LIKE, IF NOT EXISTS and OR REPLACE."""

# ruff: noqa: S608 - the names and values in this SQL are made by the engine itself

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp

from vinci_code.warehouse.engine import properties, read_files
from vinci_code.warehouse.engine.catalog import (
    INFORMATION_SCHEMA,
    SYSTEM_CATALOG,
    already_exists,
)
from vinci_code.warehouse.engine.columns import (
    ColumnSpec,
    KeySpec,
    check_columns,
    column_names,
    read_column,
    read_key,
    resolve_key,
)
from vinci_code.warehouse.engine.insert import by_position
from vinci_code.warehouse.engine.model import (
    CATALOG_MANAGED,
    CATALOG_OWNED_PREVIEW,
    Commit,
    Table,
    TableColumn,
    TableSchema,
    TableState,
)
from vinci_code.warehouse.engine.names import TableName, duckdb_name
from vinci_code.warehouse.engine.reader import Reader, qualify
from vinci_code.warehouse.engine.result import Result, empty_result
from vinci_code.warehouse.engine.rows import check_rows, select_list, staged_action
from vinci_code.warehouse.engine.store import Change
from vinci_code.warehouse.engine.transactions import INSERT
from vinci_code.warehouse.engine.work import Work
from vinci_code.warehouse.sql import parse
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.query import TranslatedQuery
from vinci_code.warehouse.sql.types import with_nullable_fields

_MAX_CLUSTER_COLUMNS = 4


@dataclass
class _Definition:
    """What a CREATE TABLE statement says."""

    columns: list[ColumnSpec] = field(default_factory=list)
    keys: list[KeySpec] = field(default_factory=list)
    like: list[str] | None = None
    properties: dict[str, str] = field(default_factory=dict)
    comment: str | None = None
    partition_by: list[str] = field(default_factory=list)
    cluster_by: list[str] = field(default_factory=list)
    cluster_auto: bool = False
    query: str | None = None


def create(work: Work, reader: Reader, *, replace: bool, must_exist: bool = False) -> Result:
    """Run CREATE [OR REPLACE] TABLE, or REPLACE TABLE."""
    tolerant = not must_exist and reader.if_not_exists()
    if tolerant and replace:
        raise reader.error()
    name = qualify(reader.name_parts(), work.session.catalog, work.session.schema)
    definition = _read(reader)
    if name.schema == INFORMATION_SCHEMA or name.catalog == SYSTEM_CATALOG:
        raise SqlError("PERMISSION_DENIED", "42501", f"{name.quoted} cannot be created.")
    creation = _Creation(work, name, definition)
    mode = _Mode(tolerant, replace, must_exist)
    if mode.goes_on(name, _existing(work, name)):
        schema = creation.schema()
        staged = creation.stage(schema)
        with work.room.store.commit_lock:
            # Another session may have made or dropped the table in the meantime.
            found = _existing(work, name)
            if mode.goes_on(name, found):
                creation.run(found, schema, staged)
    return empty_result()


@dataclass(frozen=True)
class _Mode:
    """What is to happen where the table exists, or does not."""

    tolerant: bool
    replace: bool
    must_exist: bool

    def goes_on(self, name: TableName, existing: Table | None) -> bool:
        """Return whether there is something to do.

        Raises:
            SqlError: Where the table exists and may not, or does not and should.
        """
        if existing is not None and not self.replace:
            if self.tolerant:
                return False
            raise already_exists(name)
        if existing is None and self.must_exist:
            raise SqlError(
                "DELTA_CANNOT_REPLACE_MISSING_TABLE",
                "42P01",
                f"Table {name} cannot be replaced as it does not exist. Use CREATE OR REPLACE "
                "TABLE to create the table.",
            )
        return True


def _existing(work: Work, name: TableName) -> Table | None:
    work.catalogs.schema(name.catalog, name.schema)
    if work.catalogs.find_view(name) is not None:
        raise already_exists(name)
    return work.catalogs.find_table(name)


# ---- reading


def _read(reader: Reader) -> _Definition:
    definition = _Definition()
    if reader.accept("LIKE"):
        definition.like = reader.name_parts()
    elif reader.peek("("):
        _read_columns(reader, definition)
    while not reader.done and definition.query is None:
        _read_clause(reader, definition)
    return definition


def _read_columns(reader: Reader, definition: _Definition) -> None:
    reader.expect("(")
    while True:
        if reader.peek("CHECK", "("):
            raise reader.error()
        if reader.peek("CONSTRAINT") or (
            reader.peek("PRIMARY", "KEY")
            or reader.peek("FOREIGN", "KEY")
            or reader.peek("UNIQUE", "(")
        ):
            definition.keys.append(read_key(reader))
        else:
            spec = read_column(reader, f"c{len(definition.columns)}")
            definition.columns.append(spec)
            definition.keys += spec.keys
        if not reader.accept(","):
            break
    reader.expect(")")


def _read_clause(reader: Reader, definition: _Definition) -> None:
    if reader.accept("USING"):
        _check_word(reader, "DELTA", "tables in the format")
    elif reader.accept("COMMENT"):
        definition.comment = reader.string()
    elif reader.accept("TBLPROPERTIES"):
        definition.properties = reader.properties()
    elif reader.accept("PARTITIONED", "BY"):
        definition.partition_by = reader.identifier_list()
    elif reader.accept("CLUSTER", "BY"):
        _read_cluster(reader, definition)
    elif reader.accept("DEFAULT", "COLLATION"):
        _check_word(reader, "UTF8_BINARY", "DEFAULT COLLATION")
    elif reader.accept("AS"):
        definition.query = reader.rest()
    else:
        _refuse_clause(reader)


def _check_word(reader: Reader, wanted: str, what: str) -> None:
    word = reader.identifier().upper()
    if word != wanted:
        raise unsupported(f"{what} {word}")


def _read_cluster(reader: Reader, definition: _Definition) -> None:
    if reader.accept("AUTO"):
        definition.cluster_auto = True
    elif not reader.accept("NONE"):
        definition.cluster_by = reader.identifier_list()
        if len(definition.cluster_by) > _MAX_CLUSTER_COLUMNS:
            raise SqlError(
                "DELTA_CLUSTER_BY_INVALID_NUM_COLUMNS",
                "54000",
                f"CLUSTER BY supports up to {_MAX_CLUSTER_COLUMNS} clustering columns, but the "
                f"table has {len(definition.cluster_by)} clustering columns. Please remove the "
                "extra clustering columns.",
            )


def _refuse_clause(reader: Reader) -> None:
    word = reader.accept_any("LOCATION", "OPTIONS", "CLONE", "SHALLOW", "DEEP", "WITH", "CLUSTERED")
    if word is None:
        raise reader.error()
    raise unsupported(f"CREATE TABLE … {word}")


# ---- making


class _Creation:
    """The table that a statement describes, first by itself, then beside what there is."""

    def __init__(self, work: Work, name: TableName, definition: _Definition) -> None:
        self.work = work
        self.name = name
        self.definition = definition
        self.translated: TranslatedQuery | None = None

    def run(self, found: Table | None, schema: TableSchema, staged: tuple[str, int] | None) -> None:
        """Make the table, or the next version of the one that is replaced; the lock is held."""
        with self.work.session.shielded():
            if found is None:
                self._create(schema, staged)
            else:
                first = found.state.schema.next_physical
                self._replace(found, _moved(schema, first), _moved_rows(staged, schema, first))

    def schema(self) -> TableSchema:
        """Return the metadata of the table.

        Raises:
            SqlError: For whatever cannot be.
        """
        definition = self.definition
        if definition.like is not None:
            return self._like(definition.like)
        columns = _renumbered(self._columns())
        if not columns:
            raise unsupported("a table without columns")
        kept = properties.checked(definition.properties)
        next_physical = int(columns[-1].physical[1:]) + 1
        schema = TableSchema(columns, kept, definition.comment, next_physical=next_physical)
        schema = replace(
            schema,
            partition_by=column_names(schema, definition.partition_by),
            cluster_by=column_names(schema, definition.cluster_by),
            cluster_auto=definition.cluster_auto,
        )
        if schema.partition_by and (schema.cluster_by or schema.cluster_auto):
            raise SqlError(
                "DELTA_CLUSTER_BY_WITH_PARTITIONED_BY",
                "42613",
                "Clustering and partitioning cannot both be specified. Please remove partitionedBy "
                "if you want to create a Delta table with clustering.",
            )
        if len(schema.partition_by) == len(columns):
            raise SqlError(
                "DELTA_CANNOT_USE_ALL_COLUMNS_FOR_PARTITION",
                "428FT",
                "Cannot use all columns for partition columns",
            )
        check_columns(self.work, self.name, schema)
        return self._with_keys(schema, definition.keys)

    def _columns(self) -> list[TableColumn]:
        definition = self.definition
        if definition.query is None:
            return [spec.column for spec in definition.columns]
        if definition.columns:
            raise SqlError(
                "INVALID_STATEMENT_OR_CLAUSE",
                "42601",
                "Schema may not be specified in a Create Table As Select (CTAS) statement.",
            )
        query = parse.parse_statement(definition.query).copy()
        if not isinstance(query, (exp.Query, exp.Values)):
            raise SqlError("PARSE_SYNTAX_ERROR", "42601", "Syntax error: a query was expected.")
        read_files.stage_calls(self.work, query)
        self.translated = self.work.translate(query)
        return [
            TableColumn(column.name, with_nullable_fields(column.type), "", comment=column.comment)
            for column in self.translated.columns
        ]

    def _like(self, parts: list[str]) -> TableSchema:
        name = qualify(parts, self.work.session.catalog, self.work.session.schema)
        source = self.work.catalogs.table(name).state.schema
        columns = _renumbered(source.columns)
        added = properties.checked(self.definition.properties)
        return TableSchema(
            columns,
            {**source.properties, **added},
            self.definition.comment or source.comment,
            source.partition_by,
            source.cluster_by,
            source.cluster_auto,
            next_physical=int(columns[-1].physical[1:]) + 1,
        )

    def _with_keys(self, schema: TableSchema, specs: Sequence[KeySpec]) -> TableSchema:
        for spec in specs:
            if spec.kind == "PRIMARY KEY":
                if schema.primary_key is not None:
                    raise SqlError(
                        "MULTIPLE_PRIMARY_KEYS", "42P16", "Multiple primary keys are defined."
                    )
                for name in spec.columns:
                    schema = schema.with_column(replace(schema.column(name), nullable=False))
            key = resolve_key(self.work, self.name, schema, spec)
            schema = replace(schema, keys=(*schema.keys, key))
        return schema

    def stage(self, schema: TableSchema) -> tuple[str, int] | None:
        """Stage the rows of the query, if there is one; return where they are and how many."""
        if self.translated is None:
            return None
        work, translated = self.work, self.translated
        state = TableState(0, self.name, 0, schema, 0)
        plan = by_position(state, translated)
        values: dict[str, str | None] = {
            column.physical: work.stored(
                f'"_q".{duckdb_name(translated.physical[index])}',
                translated.columns[index].type,
                column,
            )
            for column, index in zip(plan.columns, plan.order, strict=True)
        }
        rows, count = work.stage(
            f"SELECT {staged_action(INSERT)}, {select_list(state, values)} "
            f'FROM ({translated.duckdb_sql}) AS "_q"'
        )
        check_rows(work, state, rows)
        listed = ", ".join(item.physical for item in schema.columns)
        return f"SELECT {listed} FROM {rows}", count

    def _create(self, schema: TableSchema, staged: tuple[str, int] | None) -> None:
        work, room = self.work, self.work.room
        state = TableState(work.catalogs.new_table_number(), self.name, 0, schema, 0)
        now = room.clock.now()
        table = Table(state, now, work.session.user)
        commit = Commit(
            0,
            now,
            "CREATE TABLE" if staged is None else "CREATE TABLE AS SELECT",
            _parameters(schema),
            {} if staged is None else {"numOutputRows": str(staged[1])},
            blind_append=True,
            added=0 if staged is None else staged[1],
            metadata=True,
        )
        change = Change(state, commit, staged and f"({staged[0]})", schema=schema)

        def persist() -> None:
            room.store.create(work.cursor, state)
            work.catalogs.write_table(work.cursor, table)

        def show() -> None:
            work.catalogs.schema(self.name.catalog, self.name.schema).tables[self.name.name] = table

        room.publish(work.cursor, [change], persist, show)

    def _replace(self, table: Table, schema: TableSchema, staged: tuple[str, int] | None) -> None:
        room, base = self.work.room, table.state
        managed = base.schema.catalog_managed
        if schema.catalog_managed and not managed:
            raise SqlError(
                "DELTA_REPLACE_TABLE_WITH_CATALOG_MANAGED_NOT_SUPPORTED",
                "0A000",
                f"Cannot enable catalog commits on the existing table {self.name} with REPLACE "
                "TABLE. Please use ALTER TABLE … SET TBLPROPERTIES.",
            )
        if managed:
            kept = {
                key: value
                for key, value in base.schema.properties.items()
                if key in (CATALOG_MANAGED, CATALOG_OWNED_PREVIEW)
            }
            schema = replace(schema, properties={**schema.properties, **kept})
        operation = "CREATE OR REPLACE TABLE" + ("" if staged is None else " AS SELECT")
        gone = self.work.run(f"SELECT count(*) FROM wh.{base.physical} WHERE _removed IS NULL")[0][
            0
        ]
        commit = replace(
            room.next_commit(table, base, operation),
            parameters=_parameters(schema),
            metadata=True,
            added=0 if staged is None else staged[1],
            removed=gone,
        )
        change = Change(
            base,
            commit,
            staged and f"({staged[0]})",
            remove_all=True,
            schema=schema,
            new_columns=schema.columns,
        )
        room.publish(self.work.cursor, [change])


def _renumbered(columns: Sequence[TableColumn], first: int = 0) -> tuple[TableColumn, ...]:
    return tuple(
        replace(column, physical=f"c{first + index}") for index, column in enumerate(columns)
    )


def _moved(schema: TableSchema, first: int) -> TableSchema:
    """Return metadata whose physical columns come after those the table has had so far."""
    columns = _renumbered(schema.columns, first)
    return replace(schema, columns=columns, next_physical=first + len(columns))


def _moved_rows(
    staged: tuple[str, int] | None, schema: TableSchema, first: int
) -> tuple[str, int] | None:
    if staged is None:
        return None
    rows, count = staged
    listed = ", ".join(
        f"{old.physical} AS {new.physical}"
        for old, new in zip(schema.columns, _renumbered(schema.columns, first), strict=True)
    )
    return f"SELECT {listed} FROM ({rows})", count


def _parameters(schema: TableSchema) -> dict[str, str]:
    return {
        "description": schema.comment or "",
        "isManaged": "true",
        "partitionBy": json.dumps(list(schema.partition_by)),
        "clusterBy": json.dumps(list(schema.cluster_by)),
        "properties": json.dumps(dict(schema.properties)),
    }
