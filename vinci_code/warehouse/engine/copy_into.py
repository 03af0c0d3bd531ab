"""COPY INTO: files into a table, each of them once.

https://docs.databricks.com/aws/en/sql/language-manual/delta-copy-into. A table remembers the paths
of the files that it has loaded; a file is skipped by its path, also where it was changed since.
"""

# ruff: noqa: S608 - the names and values in this SQL are made by the engine itself

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp

from vinci_code.warehouse.engine import conflicts, file_reading
from vinci_code.warehouse.engine.catalog import expect_table, table_not_found
from vinci_code.warehouse.engine.columns import check_columns
from vinci_code.warehouse.engine.file_formats import format_of
from vinci_code.warehouse.engine.file_reading import FileFormat, StagedFiles
from vinci_code.warehouse.engine.file_relations import relation_of
from vinci_code.warehouse.engine.globs import Glob
from vinci_code.warehouse.engine.insert import InsertPlan, write_query
from vinci_code.warehouse.engine.model import Table, TableColumn, TableSchema, TableState
from vinci_code.warehouse.engine.names import TableName, backtick
from vinci_code.warehouse.engine.read_files import refuse_metadata
from vinci_code.warehouse.engine.reader import Reader
from vinci_code.warehouse.engine.result import Result, counts_result
from vinci_code.warehouse.engine.rows import refuse_identity
from vinci_code.warehouse.engine.select import run as run_query
from vinci_code.warehouse.engine.store import Change
from vinci_code.warehouse.engine.text_options import TextReading
from vinci_code.warehouse.engine.transactions import Effect
from vinci_code.warehouse.engine.volume_paths import VolumePath, VolumePathError
from vinci_code.warehouse.engine.work import Work
from vinci_code.warehouse.sql import parse
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.query import TranslatedQuery
from vinci_code.warehouse.sql.types import STRING, Column, SqlType

_MAX_FILES = 1000
_MAX_PREVIEW = 49
"""VALIDATE n ROWS gives a preview where n is less than 50."""

OPERATION = "COPY INTO"


@dataclass
class _Request:
    """What a statement says; options by their names in small letters.

    Attributes:
        select: The expressions that are selected from the files; ``None`` for all of their columns.
        by_position: Whether the files' columns are for those of the table, one by one.
        names: For which columns of the table they are, one by one.
    """

    table: list[str]
    path: str = ""
    format: str = ""
    select: str | None = None
    by_position: bool = False
    names: list[str] | None = None
    preview: int | None = None
    files: list[str] | None = None
    pattern: str | None = None
    format_options: dict[str, str] = field(default_factory=dict)
    copy_options: dict[str, str] = field(default_factory=dict)


def copy_into(work: Work, reader: Reader) -> Result:
    """Run COPY INTO."""
    request = _read(reader)
    force = _flag(request.copy_options, "force")
    merge_table = _flag(request.copy_options, "mergeschema")
    _refuse_left("COPY_OPTIONS", request.copy_options)
    merge_files = _flag(request.format_options, "mergeschema")
    name = work.name(request.table)
    table, state = _target(work, name)
    reading = _reading(work, state, request)
    file_format = format_of(request.format, request.format_options, reading)
    files = _chosen(work, request, file_format)
    if not force:
        files = [path for path in files if str(path) not in table.loaded]
    if not files:
        return _counts(0)
    volumes = work.room.volumes
    columns = file_reading.columns_of(volumes, file_format, files, merge=merge_files)
    staged = file_reading.stage(
        volumes, work.transaction, file_format, files, columns, limit=request.preview
    )
    source = _source(work, request, staged)
    schema, added = _schema_for(work, state, source.columns, may_grow=merge_table)
    effect = _stage(work, replace(state, schema=schema), source)
    if effect.inserted != staged.count:
        raise unsupported("COPY INTO from a query that gives other rows than those of the files")
    if request.preview is not None:
        return run_query(work.session, source)
    load = _Load(state, schema, added, effect, [str(path) for path in files], force)
    _commit(work, name, load)
    return _counts(effect.inserted)


@dataclass(frozen=True)
class _Load:
    """What is to be committed."""

    state: TableState
    schema: TableSchema
    added: list[TableColumn]
    effect: Effect
    files: list[str]
    force: bool


# ---- reading the statement


def _read(reader: Reader) -> _Request:
    reader.expect("COPY", "INTO")
    table = reader.name_parts()
    request = _Request(table)
    if reader.accept("BY", "POSITION"):
        request.by_position = True
    elif reader.peek("("):
        request.names = reader.identifier_list()
    reader.expect("FROM")
    if reader.peek("("):
        request.select, request.path = _read_query(Reader(reader.enclosed()))
    else:
        request.path = _read_source(reader)
    reader.expect("FILEFORMAT", "=")
    request.format = reader.identifier()
    if reader.accept("VALIDATE"):
        request.preview = _preview_rows(reader)
    if reader.accept("FILES"):
        reader.expect("=")
        request.files = _strings(reader)
    elif reader.accept("PATTERN"):
        reader.expect("=")
        request.pattern = reader.string()
    if reader.accept("FORMAT_OPTIONS"):
        request.format_options = _options(reader)
    if reader.accept("COPY_OPTIONS"):
        request.copy_options = _options(reader)
    reader.end()
    return request


def _read_query(reader: Reader) -> tuple[str, str]:
    """Read ``SELECT expression_list FROM source``: the list and the path."""
    reader.expect("SELECT")
    if reader.peek("DISTINCT") or reader.peek("ALL"):
        raise unsupported("COPY INTO from SELECT DISTINCT, or from SELECT ALL")
    listed = reader.until("FROM")
    reader.expect("FROM")
    path = _read_source(reader)
    reader.end()
    return listed, path


def _read_source(reader: Reader) -> str:
    path = reader.string()
    if reader.accept("WITH"):
        raise unsupported("COPY INTO with a credential or an encryption")
    return path


def _preview_rows(reader: Reader) -> int:
    if reader.done or reader.at_name:
        raise unsupported("VALIDATE of all rows, of which the answer is not documented")
    count = reader.integer()
    reader.expect("ROWS")
    if count < 1:
        raise SqlError(
            "COPY_INTO_SYNTAX_ERROR.VALIDATE_INVALID_ROWS",
            "42601",
            "Failed to parse COPY INTO command. VALIDATE must be followed by a positive number of "
            "rows.",
        )
    if count > _MAX_PREVIEW:
        raise unsupported(
            f"VALIDATE of {count} rows: from {_MAX_PREVIEW + 1} on the answer is not documented"
        )
    return count


def _strings(reader: Reader) -> list[str]:
    reader.expect("(")
    found = [reader.string()]
    while reader.accept(","):
        found.append(reader.string())
    reader.expect(")")
    if len(found) > _MAX_FILES:
        raise unsupported(f"COPY INTO of {len(found)} FILES; there may be {_MAX_FILES}")
    return found


def _options(reader: Reader) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in reader.properties().items():
        if key.lower() in found:
            raise SqlError("DUPLICATE_KEY", "23505", f"Found duplicate keys `{key}`.")
        found[key.lower()] = value
    return found


def _flag(options: dict[str, str], name: str) -> bool:
    """Take an option that is true or false out of the others."""
    value = options.pop(name, "false").lower()
    if value not in ("true", "false"):
        raise unsupported(f"'{name}' = '{value}': it is 'true' or 'false'")
    return value == "true"


def _refuse_left(clause: str, options: dict[str, str]) -> None:
    if options:
        raise unsupported(f"the option '{next(iter(options))}' in {clause}")


# ---- the table and the files


def _target(work: Work, name: TableName) -> tuple[Table, TableState]:
    if work.catalogs.find_view(name) is not None:
        raise expect_table(name)
    table = work.catalogs.find_table(name)
    if table is None:
        raise SqlError(
            "DELTA_MISSING_DELTA_TABLE_COPY_INTO",
            "42P01",
            f"Table doesn't exist. Create an empty Delta table first using CREATE TABLE {name}.",
        )
    return table, work.transaction.target(name)


def _chosen(work: Work, request: _Request, file_format: FileFormat) -> list[VolumePath]:
    volumes = work.room.volumes
    path = file_reading.locate(volumes, request.path)
    if request.files is not None:
        try:
            chosen = [path.child(name) for name in dict.fromkeys(request.files)]
        except VolumePathError as error:
            raise unsupported(f"a path in FILES: of each one, {error}") from error
        found = [
            one for item in chosen for one in file_reading.discover(volumes, item, recursive=False)
        ]
    elif request.pattern is not None:
        glob = Glob(request.pattern)
        start = len(path.inner) + 1 if path.inner else 0
        found = [
            item
            for item in file_reading.discover(volumes, path, recursive=True)
            if glob.matches(item.inner[start:])
        ]
    else:
        found = file_reading.discover(volumes, path, recursive=False)
    if not found:
        raise SqlError(
            "COPY_INTO_SOURCE_SCHEMA_INFERENCE_FAILED",
            "42KD9",
            "The source directory did not contain any parsable files of type "
            f"{file_format.name}. Please check the contents of '{path}'.",
        )
    return found


# ---- the columns


def _reading(work: Work, state: TableState, request: _Request) -> TextReading:
    """Return how files of text are read.

    Where columns go by position they are those of the table, save for those that it computes:
    https://docs.databricks.com/aws/en/sql/language-manual/delta-copy-into.
    """
    zone, check = str(work.session.configuration["TIMEZONE"]), work.session.check_interrupt
    if not request.by_position and request.names is None:
        return TextReading(zone=zone, all_columns=request.select is None, check_interrupt=check)
    if request.select is not None:
        raise unsupported("COPY INTO by position, or with a list of columns, from a query")
    if request.format.upper() != "CSV":
        raise unsupported("COPY INTO by position, or with a list of columns, of any format but CSV")
    if request.names is None:
        targets = [item for item in state.schema.columns if not _computed(item)]
    else:
        targets = [state.schema.column(name) for name in request.names]
        if any(_computed(item) for item in targets):
            raise unsupported("COPY INTO with a list that has an IDENTITY or GENERATED column")
    columns = [Column(item.name, STRING if item.type.is_string else item.type) for item in targets]
    file_reading.refuse_repeated(columns)
    return TextReading(
        zone=zone,
        schema=tuple(columns),
        all_columns=True,
        by_position=True,
        check_interrupt=check,
    )


def _computed(column: TableColumn) -> bool:
    return column.identity is not None or column.generated is not None


def _source(work: Work, request: _Request, staged: StagedFiles) -> TranslatedQuery:
    """Return what is loaded as a query."""
    relation = relation_of(staged)
    if request.select is None:
        listed = ", ".join(staged.physical)
        return TranslatedQuery(
            f"SELECT {listed} FROM {relation.sql}", staged.columns, {}, staged.physical
        )
    name = f"known_{len(work.resolver.known)}"
    work.resolver.known[name] = relation
    expression = parse.parse_statement(f"SELECT {request.select} FROM {name}")
    if not isinstance(expression, exp.Select):
        raise unsupported("COPY INTO from a query of this form")
    refuse_metadata(expression)
    for kind in (exp.AggFunc, exp.Window, exp.Subquery):
        if expression.find(kind) is not None:
            raise unsupported("COPY INTO from a query with an aggregate, a window or a query in it")
    translated = work.translate(expression.copy())
    file_reading.refuse_repeated(translated.columns)
    return translated


def _schema_for(
    work: Work, state: TableState, columns: Sequence[Column], *, may_grow: bool
) -> tuple[TableSchema, list[TableColumn]]:
    """Return the table's metadata for these columns, and those that it gets.

    Raises:
        SqlError: ``COPY_INTO_SCHEMA_MISMATCH_WITH_TARGET_TABLE`` where a type differs, or a column
            is missing and the table may not get it.
    """
    schema, added, wrong = state.schema, [], []
    number = schema.next_physical
    for column in columns:
        own = schema.find(column.name)
        if own is None and may_grow:
            added.append(TableColumn(column.name, column.type, f"c{number}"))
            number += 1
        elif own is None:
            wrong.append(f"+ {column.name}: {column.type.text}")
        elif _plain(own.type) != _plain(column.type):
            wrong.append(f"  {own.name}: {own.type.text} in the table, {column.type.text} in files")
    if wrong:
        listed = "\n".join(wrong)
        raise SqlError(
            "COPY_INTO_SCHEMA_MISMATCH_WITH_TARGET_TABLE",
            "42KDG",
            "A schema mismatch was detected while copying into the Delta table (Table: "
            f"{state.name}).\nThis may indicate an issue with the incoming data, or the Delta "
            "table schema can be evolved automatically by setting:\nCOPY_OPTIONS ('mergeSchema' = "
            f"'true')\nSchema difference:\n{listed}",
        )
    if not added:
        return schema, []
    grown = replace(schema, columns=(*schema.columns, *added), next_physical=number)
    check_columns(work, state.name, grown)
    return grown, added


def _plain(kind: SqlType) -> str:
    """What two types have in common that hold the same values: the length of a text apart."""
    return STRING.simple if kind.is_string else kind.simple.lower()


# ---- the rows


def _stage(work: Work, state: TableState, source: TranslatedQuery) -> Effect:
    targets = [state.schema.column(column.name) for column in source.columns]
    refuse_identity(targets)
    # Of equal types: a field of a struct may be spelled otherwise, and nothing else.
    columns = tuple(
        replace(column, type=target.type if not target.type.is_string else column.type)
        for column, target in zip(source.columns, targets, strict=True)
    )
    plan = InsertPlan(replace(source, columns=columns), targets, list(range(len(targets))))
    return write_query(work, state, plan)[1]


def _commit(work: Work, name: TableName, load: _Load) -> None:
    room, state, effect = work.room, load.state, load.effect
    with room.store.commit_lock:
        table = work.catalogs.find_table(name)
        if table is None or table.state.id != state.id:
            raise table_not_found(name)
        again = [path for path in load.files if path in table.loaded]
        if again and not load.force:
            raise SqlError(
                "COPY_INTO_DUPLICATED_FILES_COPY_NOT_ALLOWED",
                "25000",
                "Duplicated files were committed in a concurrent COPY INTO operation: "
                f"{backtick(again[0])}. Please try again later.",
            )
        attempt = conflicts.Attempt(state, None, False, False, True, False)
        conflicts.check(work.cursor, table, attempt)
        commit = replace(
            room.next_commit(table, state, OPERATION),
            metrics={"numFiles": str(len(load.files)), "numOutputRows": str(effect.inserted)},
            blind_append=True,
            added=effect.inserted,
            inserted=bool(effect.inserted),
            metadata=bool(load.added or effect.identity),
        )
        listed = ", ".join(item.physical for item in load.schema.columns)
        change = Change(
            state,
            commit,
            f"(SELECT {listed} FROM {effect.rows})",
            schema=load.schema if load.added else None,
            new_columns=load.added,
            identity=effect.identity,
        )
        new = [path for path in load.files if path not in table.loaded]

        def persist() -> None:
            if new:
                room.store.note_loaded(work.cursor, state.id, new)

        work.session.check_interrupt()
        with work.session.shielded():
            room.publish(work.cursor, [change], persist, lambda: table.loaded.update(new))


def _counts(count: int) -> Result:
    return counts_result(
        "COPY",
        [
            ("num_affected_rows", count),
            ("num_inserted_rows", count),
            ("num_skipped_corrupt_files", 0),
        ],
    )
