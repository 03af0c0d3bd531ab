"""Where rows live: one DuckDB table per Delta table, holding the rows of every version.

Each physical table has the columns ``_added`` (the version that added the row) and ``_removed``
(the version that removed it, NULL while the row is live). Rows are never deleted, so a version can
be read for as long as the table exists, and a row keeps its ``rowid``.

Two databases are attached: ``wh`` holds what lasts (a file, or memory), ``memory`` what a statement
or a transaction has staged. A commit is one DuckDB transaction on ``wh``: after a crash the file
holds whole commits only.
"""

# ruff: noqa: S608 - the names and values in this SQL are made by the engine itself

from __future__ import annotations

import itertools
import json
import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from vinci_code.core.files import private_files, warn_if_exposed
from vinci_code.warehouse.engine.data_file import (
    not_opened,
    of_another_application,
    require_data_file,
)
from vinci_code.warehouse.engine.model import (
    Commit,
    TableColumn,
    TableSchema,
    TableState,
    schema_to_json,
)
from vinci_code.warehouse.engine.names import duckdb_literal, duckdb_name
from vinci_code.warehouse.sql import functions

DATABASE = "wh"
MEMORY_LIMIT = 512 * 1024 * 1024
"""How many bytes of memory tables, sorts, joins and aggregates may take, where nothing is said."""
TEMPORARY_LIMIT = 16 * 1024**3
"""How many bytes temporary files may take."""
ADDED = "_added"
REMOVED = "_removed"

_LAYOUT = f"""
CREATE TABLE IF NOT EXISTS {DATABASE}.meta_object (kind VARCHAR, name VARCHAR, data VARCHAR);
CREATE TABLE IF NOT EXISTS {DATABASE}.meta_commit (id BIGINT, version BIGINT, data VARCHAR);
CREATE TABLE IF NOT EXISTS {DATABASE}.meta_schema (id BIGINT, version BIGINT, data VARCHAR);
CREATE TABLE IF NOT EXISTS {DATABASE}.meta_identity (id BIGINT, physical VARCHAR, value HUGEINT);
CREATE TABLE IF NOT EXISTS {DATABASE}.meta_loaded (id BIGINT, path VARCHAR);
"""


@dataclass
class Change:
    """What a commit does to one table.

    Attributes:
        base: The state it was computed from.
        commit: The entry of the history; its version is that of the commit.
        added: A staged relation with the physical columns, or ``None``.
        removed: A staged relation with the column ``rid``, or ``None``.
        remove_all: Whether every row of ``base`` is removed.
        schema: The new metadata, where it changes.
        new_columns: Physical columns that have to be made first.
        copied: What the rows that are there get in physical columns, in the SQL of DuckDB.
        identity: The next value of each identity column that gave values.
    """

    base: TableState
    commit: Commit
    added: str | None = None
    removed: str | None = None
    remove_all: bool = False
    schema: TableSchema | None = None
    new_columns: Sequence[TableColumn] = ()
    copied: Mapping[str, str] = field(default_factory=dict)
    identity: Mapping[str, int] = field(default_factory=dict)


class Store:
    """The DuckDB instance of an engine."""

    def __init__(
        self,
        path: str | Path | None,
        memory_limit: int = MEMORY_LIMIT,
        temporary_limit: int = TEMPORARY_LIMIT,
    ) -> None:
        """Open the store in a file; without one it is kept in memory.

        What exceeds ``memory_limit`` bytes lies in temporary files, of ``temporary_limit`` bytes
        together; a statement that needs more fails.

        A file that is made, and what DuckDB puts beside it, can be read by their owner alone; one
        that is there keeps its mode, and that others can read or change it is a warning.

        Raises:
            DatabaseFileError: The file cannot be used; it is left as it is.
        """
        self._made_private = nullcontext if path is None else private_files
        if path is not None:
            require_data_file(Path(path))
            warn_if_exposed(Path(path), "the rows of its tables")
        self.commit_lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._idle: list[duckdb.DuckDBPyConnection] = []
        self._idle_lock = threading.Lock()
        self._closed = False
        # What does not fit into memory: DuckDB would put it into the working directory.
        spilled = tempfile.mkdtemp(prefix="vinci-warehouse-")
        # Also where nobody closes it.
        self._forget_spilled = weakref.finalize(self, _remove, spilled, os.getpid())
        self.root = duckdb.connect(
            ":memory:",
            config={
                "python_enable_replacements": False,
                "temp_directory": spilled,
                "memory_limit": f"{memory_limit}B",
                "max_temp_directory_size": f"{temporary_limit}B",
                # Nothing is got from the network.
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )
        try:
            self._attach(None if path is None else Path(path))
        except BaseException:
            self.root.close()
            self._forget_spilled()
            raise

    def _attach(self, path: Path | None) -> None:
        target = duckdb_literal(":memory:" if path is None else str(path))
        with self._made_private():
            try:
                self.root.execute(f"ATTACH {target} AS {DATABASE} (TYPE duckdb)")
            except duckdb.Error as error:
                if path is None:
                    raise
                raise not_opened(path, error) from error
            if path is not None and self._is_foreign():
                raise of_another_application(path)
            self.root.execute(_LAYOUT)
        functions.register(self.root)
        self.root.execute("SET enable_external_access = false")
        self.root.execute("SET TimeZone = 'UTC'")
        # DuckDB 2.0.0 takes a comparison with an aggregate that it knows to be NULL for a proof of
        # one row at most: LIMIT 1 gave three of them, and EXISTS was false.
        self.root.execute("SET disabled_optimizers = 'statistics_propagation'")

    def _is_foreign(self) -> bool:
        """Whether the file holds something, and nothing of a warehouse's."""
        tables = self.root.execute(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = ? UNION ALL "
            "SELECT view_name FROM duckdb_views() WHERE database_name = ? AND NOT internal",
            [DATABASE, DATABASE],
        ).fetchall()
        return bool(tables) and ("meta_object",) not in tables

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a connection of one's own; each runs one statement at a time."""
        with self._idle_lock:
            if self._idle:
                return self._idle.pop()
        cursor = self.root.cursor()
        cursor.execute("SET TimeZone = 'UTC'")
        return cursor

    def give_back(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Return a connection that has no open result and no open transaction."""
        with self._idle_lock:
            if not self._closed and len(self._idle) < _MAX_IDLE:
                self._idle.append(cursor)
                return
        cursor.close()

    def stage_name(self) -> str:
        """Return the name of a new relation for staged rows."""
        return f"memory.s{next(self._numbers)}"

    def close(self) -> None:
        """Write what lasts to the file and close it."""
        with self._idle_lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for cursor in idle:
            cursor.close()
        with self.commit_lock, self._made_private():
            self.root.execute(f"CHECKPOINT {DATABASE}")
            self.root.execute(f"DETACH {DATABASE}")
            self.root.close()
            self._forget_spilled()

    @contextmanager
    def transaction(self, cursor: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Run the body as one DuckDB transaction: all of it lasts, or nothing."""
        cursor.execute("BEGIN")
        try:
            yield
            with self._made_private():  # DuckDB makes the log anew after each checkpoint
                cursor.execute("COMMIT")
        except BaseException:
            _roll_back(cursor)
            raise

    def create(self, cursor: duckdb.DuckDBPyConnection, state: TableState) -> None:
        """Make the physical table of a new table."""
        columns = [*map(_definition, state.schema.columns), f"{ADDED} BIGINT", f"{REMOVED} BIGINT"]
        cursor.execute(f"CREATE TABLE {DATABASE}.{state.physical} ({', '.join(columns)})")

    def drop(self, cursor: duckdb.DuckDBPyConnection, number: int) -> None:
        """Remove a table's rows and everything recorded about it."""
        cursor.execute(f"DROP TABLE {DATABASE}.t{number}")
        self.remove(cursor, _RECLAIMED, str(number))
        for name in ("meta_commit", "meta_schema", "meta_identity", "meta_loaded"):
            cursor.execute(f"DELETE FROM {DATABASE}.{name} WHERE id = ?", [number])

    def apply(self, cursor: duckdb.DuckDBPyConnection, change: Change) -> None:
        """Write one table's part of a commit; the caller holds the transaction and the lock."""
        table, version = f"{DATABASE}.{change.base.physical}", change.commit.version
        for item in change.new_columns:
            cursor.execute(f"ALTER TABLE {table} ADD COLUMN {_definition(item)}")
        for physical, value in change.copied.items():
            cursor.execute(f"UPDATE {table} SET {physical} = {value}")
        if change.remove_all:
            cursor.execute(
                f"UPDATE {table} SET {REMOVED} = {version} WHERE {visible(change.base.version)}"
            )
        if change.removed is not None:
            cursor.execute(
                f"UPDATE {table} SET {REMOVED} = {version} "
                f"WHERE rowid IN (SELECT rid FROM {change.removed})"
            )
        if change.added is not None:
            columns = (change.schema or change.base.schema).columns
            listed = ", ".join(item.physical for item in columns)
            cursor.execute(
                f"INSERT INTO {table} ({listed}, {ADDED}) "
                f"SELECT {listed}, {version} FROM {change.added}"
            )
        self.record(cursor, change)

    def reclaim(self, cursor: duckdb.DuckDBPyConnection, state: TableState, oldest: int) -> None:
        """Forget the rows that were removed in a version up to ``oldest``.

        The table is written anew: DuckDB keeps the place of a deleted row. So every row gets
        another ``rowid``, and nobody may hold one. The caller holds the transaction and the lock.
        """
        table, fresh = f"{DATABASE}.{state.physical}", f"{state.physical}_kept"
        cursor.execute(
            f"CREATE TABLE {DATABASE}.{fresh} AS SELECT * FROM {table} "
            f"WHERE {REMOVED} IS NULL OR {REMOVED} > {oldest}"
        )
        cursor.execute(f"DROP TABLE {table}")
        cursor.execute(f"ALTER TABLE {DATABASE}.{fresh} RENAME TO {state.physical}")
        self.put(cursor, _RECLAIMED, str(state.id), {"oldest": oldest})

    def reclaimed(self) -> dict[int, int]:
        """Return the oldest readable version of each table that lost older ones."""
        return {int(name): int(data["oldest"]) for name, data in self.objects(_RECLAIMED)}

    def record(self, cursor: duckdb.DuckDBPyConnection, change: Change) -> None:
        """Write the history, the metadata and the identity values of a commit."""
        number, version = change.base.id, change.commit.version
        cursor.execute(
            f"INSERT INTO {DATABASE}.meta_commit VALUES (?, ?, ?)",
            [number, version, json.dumps(commit_to_json(change.commit))],
        )
        if change.schema is not None:
            cursor.execute(
                f"INSERT INTO {DATABASE}.meta_schema VALUES (?, ?, ?)",
                [number, version, json.dumps(schema_to_json(change.schema))],
            )
        for physical, value in change.identity.items():
            cursor.execute(
                f"DELETE FROM {DATABASE}.meta_identity WHERE id = ? AND physical = ?",
                [number, physical],
            )
            cursor.execute(
                f"INSERT INTO {DATABASE}.meta_identity VALUES (?, ?, ?)", [number, physical, value]
            )

    def note_loaded(
        self, cursor: duckdb.DuckDBPyConnection, number: int, paths: Sequence[str]
    ) -> None:
        """Remember files that were loaded into a table."""
        cursor.executemany(
            f"INSERT INTO {DATABASE}.meta_loaded VALUES (?, ?)", [[number, path] for path in paths]
        )

    def put(
        self, cursor: duckdb.DuckDBPyConnection, kind: str, name: str, data: Mapping[str, Any]
    ) -> None:
        """Write the record of a catalog, schema, table, view, volume or file of a volume."""
        self.remove(cursor, kind, name)
        cursor.execute(
            f"INSERT INTO {DATABASE}.meta_object VALUES (?, ?, ?)", [kind, name, json.dumps(data)]
        )

    def remove(self, cursor: duckdb.DuckDBPyConnection, kind: str, name: str) -> None:
        """Remove such a record."""
        cursor.execute(
            f"DELETE FROM {DATABASE}.meta_object WHERE kind = ? AND name = ?", [kind, name]
        )

    def objects(self, kind: str) -> list[tuple[str, dict[str, Any]]]:
        """Return the records of one kind by name."""
        rows = self.root.execute(
            f"SELECT name, data FROM {DATABASE}.meta_object WHERE kind = ? ORDER BY name", [kind]
        ).fetchall()
        return [(name, json.loads(data)) for name, data in rows]

    def commits(self, number: int) -> list[Commit]:
        """Return a table's history, oldest first."""
        rows = self.root.execute(
            f"SELECT data FROM {DATABASE}.meta_commit WHERE id = ? ORDER BY version", [number]
        ).fetchall()
        return [commit_from_json(json.loads(data)) for (data,) in rows]

    def schemas(self, number: int) -> list[tuple[int, dict[str, Any]]]:
        """Return every metadata of a table with the version that made it, oldest first."""
        rows = self.root.execute(
            f"SELECT version, data FROM {DATABASE}.meta_schema WHERE id = ? ORDER BY version",
            [number],
        ).fetchall()
        return [(version, json.loads(data)) for version, data in rows]

    def loaded(self, number: int) -> set[str]:
        """Return the files that were loaded into a table."""
        rows = self.root.execute(
            f"SELECT path FROM {DATABASE}.meta_loaded WHERE id = ?", [number]
        ).fetchall()
        return {path for (path,) in rows}

    def identities(self) -> list[tuple[int, str, int]]:
        """Return the next value of every identity column."""
        return self.root.execute(f"SELECT * FROM {DATABASE}.meta_identity").fetchall()


_MAX_IDLE = 16
_RECLAIMED = "reclaimed"


def visible(version: int) -> str:
    """Return the condition for the rows of a version."""
    return f"{ADDED} <= {version} AND ({REMOVED} IS NULL OR {REMOVED} > {version})"


def select_rows(state: TableState, *extra: str) -> str:
    """Return the SELECT of a table's rows at its version, its columns by their physical names."""
    listed = ", ".join([*extra, *(item.physical for item in state.schema.columns)])
    return f"SELECT {listed} FROM {DATABASE}.{state.physical} WHERE {visible(state.version)}"


def commit_to_json(commit: Commit) -> dict[str, Any]:
    """Return a history entry as it is stored."""
    data = dict(vars(commit))
    data["timestamp"] = commit.timestamp.isoformat()
    data["parameters"], data["metrics"] = dict(commit.parameters), dict(commit.metrics)
    del data["sequence"]
    return data


def commit_from_json(data: dict[str, Any]) -> Commit:
    """Return a history entry from its stored form."""
    return Commit(**{**data, "timestamp": datetime.fromisoformat(data["timestamp"])})


def _definition(column: TableColumn) -> str:
    return f"{duckdb_name(column.physical)} {column.type.duckdb()}"


def _roll_back(cursor: duckdb.DuckDBPyConnection) -> None:
    try:
        cursor.execute("ROLLBACK")
    except duckdb.TransactionException:
        return  # DuckDB has already ended the transaction by itself


def _remove(folder: str, process: int) -> None:
    """Remove a folder; a forked child leaves that of its parent."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)
