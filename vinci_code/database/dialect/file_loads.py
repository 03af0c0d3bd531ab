"""Rows that lie in files of a volume, written as one guarded statement of a unit of work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, TypeVar

from sqlalchemy import Connection
from sqlalchemy.schema import Column, Table

from vinci_code.database.dialect.dberrors import Error, NotSupportedError
from vinci_code.database.dialect.text.literals import quote_text
from vinci_code.database.dialect.units.held import HeldFiles, bare_name
from vinci_code.database.dialect.units.recovery import place_of
from vinci_code.database.dialect.units.unit import Unit
from vinci_code.database.dialect.writes.guards import (
    RESERVED,
    foreign_keys,
    referring,
    refuse_unchecked,
)
from vinci_code.database.dialect.writes.payload import Payload
from vinci_code.database.dialect.writes.sets import Checks, OnConflict, SetWriter
from vinci_code.database.dialect.writes.shapes import (
    OWN,
    ROWS,
    Field,
    Shape,
    WriteKind,
    letters,
)

_FILES = "vinci_files"
_Given = TypeVar("_Given")


@dataclass(frozen=True)
class FileRows:
    """Rows in files of Parquet, whose columns are called ``letters(0)`` and so on.

    Attributes:
        columns: The columns of the table that they are for, in the order of those of the files.
        made: For each, SQL over the file's column, ``{}`` standing for its name, that gives what is
            stored.
        paths: The files, ``/Volumes/…``.
        count: How many rows there are.
    """

    columns: Sequence[Column[Any]]
    made: Sequence[str]
    paths: Sequence[str]
    count: int


def refuses_files(connection: Connection, table: Table) -> str | None:
    """Why rows of files cannot be loaded by a connection now; ``None`` where they can.

    Where the unit of work is in a transaction of the warehouse, or would take one.
    """
    found: str | None = _unit(connection).refuses_files(bare_name(table))
    return found


def require_files(connection: Connection, table: Table) -> None:
    """Return if rows of files can be loaded now, and begin a transaction of SQLAlchemy's.

    Raises:
        NotSupportedError: They cannot.
    """

    def refuse() -> None:
        reason = refuses_files(connection, table)
        if reason is not None:
            raise NotSupportedError(
                f"rows of files cannot be loaded into {table.fullname} now: {reason}; nothing was "
                "sent\nTo fix it: commit before the load, on a connection with the default "
                "isolation level."
            )
        if bare_name(table) in RESERVED:
            raise NotSupportedError(
                f"rows cannot be written to a table called {table}, since statements use this name "
                "for their own\nTo fix it: give the table another name."
            )

    _raised(connection, refuse)
    if not connection.in_transaction():
        connection.begin()


def list_files(
    connection: Connection, folder: str, limit: int, explain: Callable[[Error], Error | None]
) -> list[tuple[Any, ...]]:
    """What lies in a folder of a volume: path, name, size and time of change, in milliseconds.

    Args:
        connection: The connection.
        folder: The folder, ``/Volumes/…``.
        limit: How much is told at most.
        explain: Gives what is to be raised of an error; ``None`` where nothing lies there then.

    Raises:
        DBAPIError: The folder cannot be listed.
    """

    def listed(unit: Unit) -> list[tuple[Any, ...]]:
        try:
            return unit.look(f"LIST {quote_text(folder)} LIMIT {limit}")
        except Error as error:
            explained = explain(error)
            if explained is None:
                return []
            raise explained from error.__cause__

    return _on(connection, listed)


def put_file(
    connection: Connection,
    path: str,
    file: BinaryIO,
    size: int,
    explain: Callable[[Error], Error],
) -> None:
    """Send a file to a volume; it is removed from there when the unit of work has ended.

    Args:
        connection: The connection.
        path: Where to, ``/Volumes/…``.
        file: The file, open for reading.
        size: How many bytes it has.
        explain: Gives what is to be raised of an error.

    Raises:
        DBAPIError: It could not be sent.
    """

    def put(unit: Unit) -> None:
        try:
            unit.put_file(path, file, size)
        except Error as error:
            raise explain(error) from error.__cause__

    _on(connection, put)


def remove_file(connection: Connection, path: str) -> None:
    """Remove a file from a volume; that it is not there is no error.

    Raises:
        DBAPIError: It cannot be removed.
    """
    _on(connection, lambda unit: unit.remove_file(path))


def remove_files(connection: Connection, paths: Sequence[str]) -> None:
    """Remove files from a volume; of what cannot be removed there is a warning in the log."""
    _on(connection, lambda unit: unit.remove_files(paths))


def hold_files(
    connection: Connection,
    table: Table,
    rows: FileRows,
    *,
    upsert: OnConflict | None = None,
    replaces: bool = False,
    enforce_keys: bool = True,
) -> HeldFiles:
    """Write rows of files to a table as a part of the unit of work.

    It is one statement, with the guards that the same rows have in a commit. Of those, two with one
    key are refused, also where the rows that are there are changed.

    Args:
        connection: The connection, of which ``require_files`` was asked.
        table: The table.
        rows: The rows.
        upsert: What is done with a row that is there already; by default that is an error.
        replaces: Whether they take the place of all rows that are there.
        enforce_keys: Whether PRIMARY KEY and UNIQUE are checked.

    Raises:
        NotSupportedError: A key of the table cannot be checked.
        DBAPIError: As of a commit, where nothing is held on the connection.
    """
    dialect: Any = connection.dialect
    options = connection.get_execution_options()
    checks = Checks(
        keys=enforce_keys and options.get("enforce_keys", dialect.enforce_keys),
        foreign_keys=options.get("enforce_foreign_keys", dialect.enforce_foreign_keys),
        hide_keys=dialect.hide_keys,
    )
    schemas: Mapping[Any, Any] = options.get("schema_translate_map") or {}

    def hold() -> HeldFiles:
        if checks.keys:
            refuse_unchecked(table)
        write = _write(dialect, table, rows, checks, schemas, upsert, replaces=replaces)
        opened = connection.connection.dbapi_connection
        dialect.run_on(opened, partial(_unit(connection).hold_files, write))
        return write

    return _raised(connection, hold)


def _write(
    dialect: Any,
    table: Table,
    rows: FileRows,
    checks: Checks,
    schemas: Mapping[Any, Any],
    upsert: OnConflict | None,
    *,
    replaces: bool,
) -> HeldFiles:
    payload = Payload((), rows.count, None, _query(dialect, rows))
    shape = _shape(dialect, table, rows.columns, schemas)
    writer = SetWriter(shape, checks, dialect, replaces=replaces)
    text = writer.statement(payload, upsert, bound=False).text
    used = {bare_name(table)}
    if checks.foreign_keys:
        used |= {bare_name(key.referred_table) for key in foreign_keys(table)}
        used |= {bare_name(key.table) for key in referring(table)}
    return HeldFiles(
        text,
        (),
        frozenset(used),
        shape.target,
        frozenset({bare_name(table)}),
        certain=rows.count if upsert is None else None,
        sets=frozenset(place_of(table, column) for column in table.columns),
        shape=shape,
        payload=payload,
        checks=checks,
        upsert=upsert,
        replaces=replaces,
    )


def _query(dialect: Any, rows: FileRows) -> str:
    """The query that gives the rows. Each file is named: one that is not there is an error."""
    names = [letters(number) for number, _ in enumerate(rows.columns)]
    quote = dialect.identifier_preparer.quote_identifier
    files = [f"parquet.{quote(path)}" for path in rows.paths]
    source = files[0]
    if len(files) > 1:
        each = (f"SELECT {', '.join(names)} FROM {file}" for file in files)
        source = f"({' UNION ALL '.join(each)}) AS {_FILES}"
    made = ", ".join(
        name if text == "{}" else f"{text.format(name)} AS {name}"
        for name, text in zip(names, rows.made, strict=True)
    )
    return f"SELECT {made} FROM {source}"


def _shape(
    dialect: Any, table: Table, columns: Sequence[Column[Any]], schemas: Mapping[Any, Any]
) -> Shape:
    preparer = dialect.identifier_preparer
    fields = tuple(
        Field(
            column,
            str(preparer.format_column(column)),
            f"{ROWS}.{letters(number)}",
            f"{OWN}.{letters(number)}",
            laid=f"{ROWS}.{letters(number)}",
        )
        for number, column in enumerate(columns)
    )
    schema = schemas.get(table.schema, table.schema)
    target = str(preparer.format_table(table, use_schema=False))
    if schema:
        target = f"{preparer.quote_schema(schema)}.{target}"
    return Shape(WriteKind.INSERT, table, target, fields, (), schemas=schemas or None)


def _unit(connection: Connection) -> Unit:
    opened: Any = connection.connection.dbapi_connection
    unit: Unit = opened.unit
    return unit


def _on(connection: Connection, work: Callable[[Unit], _Given]) -> _Given:
    """What some work on the unit of work gives, which may wait for the warehouse."""
    dialect: Any = connection.dialect

    def run() -> _Given:
        opened = connection.connection.dbapi_connection
        given: _Given = dialect.run_on(opened, partial(work, _unit(connection)))
        return given

    return _raised(connection, run)


def _raised(connection: Connection, work: Callable[[], _Given]) -> _Given:
    """What some work gives; what it raises is raised as SQLAlchemy raises errors of statements."""
    try:
        return work()
    except Error as error:
        connection._handle_dbapi_exception(error, None, None, None, None)
