"""Transactions: snapshots of tables, staged changes, and their commit.

Every statement that writes runs in a transaction, be it one of that single statement. A transaction
pins each table at the version that it has at first access, stages what its statements change, shows
its own changes to its own reads, and commits all tables in one step.
"""

# ruff: noqa: S608 - the names and values in this SQL are made by the engine itself

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

import duckdb
import pyarrow as pa

from vinci_code.warehouse.engine import conflicts
from vinci_code.warehouse.engine import transaction_errors as errors
from vinci_code.warehouse.engine.catalog import CatalogStore, table_not_found
from vinci_code.warehouse.engine.clock import Clock
from vinci_code.warehouse.engine.model import Commit, Table, TableState
from vinci_code.warehouse.engine.names import TableName
from vinci_code.warehouse.engine.store import Change, Store, select_rows, visible
from vinci_code.warehouse.engine.time_travel import KEPT_ROWS
from vinci_code.warehouse.engine.volumes import Volumes
from vinci_code.warehouse.sql.errors import unsupported

logger = logging.getLogger(__name__)

ROW_ID = "_rid"
ACTION = "_action"
INSERT, UPDATE, DELETE = 0, 1, 2


@dataclass(frozen=True)
class Effect:
    """What one statement does to a table.

    Attributes:
        state: The table as the statement saw it.
        rows: A staged relation: ``_action`` (0 insert, 1 update, 2 delete), ``_rid`` (the row that
            is updated or deleted) and the physical columns (the new values); ``None`` for no such
            row.
        remove_all: Whether all rows that were there are removed.
        inserted: Rows inserted.
        updated: Rows updated.
        deleted: Rows deleted.
        read: Whether the statement read the table it writes to.
        operation: The name of the operation in the history.
        parameters: Its parameters in the history.
        identity: The next value of each identity column that gave values, by physical name.
    """

    state: TableState
    rows: str | None
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    remove_all: bool = False
    read: bool = False
    operation: str = "WRITE"
    parameters: Mapping[str, str] = field(default_factory=dict)
    identity: Mapping[str, int] = field(default_factory=dict)

    @property
    def changes_something(self) -> bool:
        """Whether a version is due: Delta makes none for DML that found no row, save INSERT."""
        found = self.inserted or self.updated or self.deleted
        return bool(found) or self.operation in ("WRITE", "TRUNCATE")


@dataclass
class _Writes:
    """What a transaction has done to one table so far."""

    base: TableState
    effects: list[Effect] = field(default_factory=list)
    added: str | None = None
    removed: str | None = None


class Engineroom:
    """The parts of an engine that a transaction works with.

    Attributes:
        store: Rows.
        catalog: Names.
        volumes: Files.
        clock: Commit timestamps.
        appends_conflict: Whether blind appends of two transactions to a table conflict.
        sequence: The number of the last commit to any table.
    """

    def __init__(
        self, store: Store, catalog: CatalogStore, volumes: Volumes, appends_conflict: bool
    ) -> None:
        self.store = store
        self.catalog = catalog
        self.volumes = volumes
        self.clock = Clock()
        self.appends_conflict = appends_conflict
        self.sequence = 0
        self.pins_lock = threading.Lock()
        self._pinned: set[Transaction] = set()
        for table in catalog.all_tables():
            self.clock.advance(table.commits[-1].timestamp)

    def publish(
        self,
        cursor: duckdb.DuckDBPyConnection,
        changes: list[Change],
        persist: Callable[[], None] | None = None,
        show: Callable[[], None] | None = None,
    ) -> None:
        """Make changes last and visible, all at once; the caller holds the commit lock.

        The cursor can see the staged rows. ``persist`` makes further writes of the same DuckDB
        transaction, and ``show`` the matching changes to the catalog in memory, both first.
        """
        with self.store.transaction(cursor):
            if persist is not None:
                persist()
            for change in changes:
                self.store.apply(cursor, change)
        with self.catalog.lock:
            self.sequence += 1
            if show is not None:
                show()
            for change in changes:
                self._show(change)

    def pin(self, transaction: Transaction) -> None:
        """Keep the rows of every version while a transaction holds versions and row numbers."""
        with self.pins_lock:
            self._pinned.add(transaction)

    def unpin(self, transaction: Transaction) -> None:
        """Let removed rows be reclaimed; nothing where it is not pinned."""
        with self.pins_lock:
            self._pinned.discard(transaction)

    def reclaim(
        self,
        cursor: duckdb.DuckDBPyConnection,
        changes: list[Change],
        transaction: Transaction,
    ) -> None:
        """Forget removed rows of the tables just changed, where too many are kept.

        The caller holds the commit lock, and its transaction is the one that has just ended. Where
        another is open, a later commit does it.
        """
        for change in changes:
            table = self.catalog.find_table(change.base.name)
            if table is None or table.state.id != change.base.id:
                continue
            oldest = _oldest_to_keep(table)
            if oldest == table.oldest:
                continue
            with self.pins_lock:
                if self._pinned - {transaction}:
                    return
                try:
                    with self.store.transaction(cursor):
                        self.store.reclaim(cursor, table.state, oldest)
                except duckdb.Error as error:
                    # What was committed is committed; a later commit tries again.
                    logger.warning("Removed rows of %s were not reclaimed: %s", table.name, error)
                    return
                with self.catalog.lock:
                    table.oldest = oldest
                    table.count_removed()

    def _show(self, change: Change) -> None:
        table = self.catalog.table(change.base.name)
        commit = replace(change.commit, sequence=self.sequence)
        state = replace(table.state, version=commit.version)
        if change.schema is not None:
            table.schemas.append((commit.version, change.schema))
            state = replace(state, schema=change.schema, schema_version=commit.version)
        for physical, value in change.identity.items():
            self.catalog.identity[change.base.id, physical] = value
        table.commits.append(commit)
        table.removed_rows += commit.removed
        table.altered = commit.timestamp
        table.state = state

    def next_commit(self, table: Table, base: TableState, operation: str) -> Commit:
        """Return the history entry for the table's next version."""
        return Commit(
            version=table.state.version + 1,
            timestamp=self.clock.now(),
            operation=operation,
            read_version=base.version,
            isolation=conflicts.isolation_level(base.schema),
        )


def _oldest_to_keep(table: Table) -> int:
    """The oldest version that stays readable, by the number of removed rows that this takes."""
    kept = 0
    if table.removed_rows <= KEPT_ROWS:
        return table.oldest
    for commit in reversed(table.commits):
        kept += commit.removed
        # Half of them, so that not every commit writes the table anew.
        if kept > KEPT_ROWS // 2:
            return commit.version
    return table.oldest


class Transaction:
    """A transaction of one session."""

    def __init__(
        self,
        room: Engineroom,
        cursor: duckdb.DuckDBPyConnection,
        shield: Callable[[], AbstractContextManager[None]],
        *,
        interactive: bool,
    ) -> None:
        """Begin; ``shield`` keeps the body of its block from being interrupted.

        An ``interactive`` one has several statements: ``BEGIN TRANSACTION``, an implicit one, or
        ``BEGIN ATOMIC``.
        """
        self.room = room
        self.cursor = cursor
        self.interactive = interactive
        self._shield = shield
        self._states: dict[TableName, TableState] = {}
        self._read: set[int] = set()
        self._writes: dict[int, _Writes] = {}
        self._staged: list[str] = []
        self._sequence = room.sequence

    def begin_statement(self) -> None:
        """Let tables that are accessed for the first time from here on be seen as they are now.

        What the statements before have staged and the commit does not need is freed.
        """
        self._sequence = self.room.sequence
        needed = {name for item in self._writes.values() for name in (item.added, item.removed)}
        self._free([name for name in self._staged if name not in needed])

    def state(self, name: TableName, *, read: bool = True) -> TableState | None:
        """Return the table as this transaction sees it, pinning it; ``None`` where there is none.

        If rows are ``read``, later changes to the table are conflicts.
        """
        state = self._states.get(name)
        if state is None:
            table = self.room.catalog.find_table(name)
            if table is None:
                return None
            if not self._states:
                self.room.pin(self)
                if not self.interactive:
                    # What came between its begin and this may have reclaimed what it would see.
                    self._sequence = self.room.sequence
            with self.room.catalog.lock:
                state = table.as_of(self._sequence)
            if state.version < table.oldest:
                raise unsupported(
                    f"reading {name} as it was before its removed rows were reclaimed: begin the "
                    "transaction again"
                )
            self._states[name] = state
        if read:
            self._read.add(state.id)
        return state

    def target(self, name: TableName) -> TableState:
        """Return the table that a statement writes to.

        Raises:
            SqlError: Where there is none, or where it may not be written to in a transaction.
        """
        state = self.state(name, read=False)
        if state is None:
            self.room.catalog.table(name)
            raise table_not_found(name)
        if self.interactive and not state.schema.catalog_managed:
            raise errors.write_without_catalog_commits(name)
        return state

    def has_read(self, state: TableState) -> bool:
        """Return whether rows of a table were read."""
        return state.id in self._read

    def rows_sql(self, state: TableState, *, row_id: bool = False) -> str:
        """Return the SELECT of a table's rows as this transaction sees them.

        With ``row_id`` the first column is ``_rid``: the row's number, negative for a row that
        this transaction added.
        """
        base = select_rows(state, *([f"rowid AS {ROW_ID}"] if row_id else []))
        writes = self._writes.get(state.id)
        if writes is None or writes.added is None:
            return base
        listed = [f"-1 - rowid AS {ROW_ID}"] if row_id else []
        listed += [item.physical for item in state.schema.columns]
        return (
            f"{base} AND rowid NOT IN (SELECT rid FROM {writes.removed}) "
            f"UNION ALL SELECT {', '.join(listed)} FROM {writes.added}"
        )

    def stage(self, select: str, binds: Mapping[str, object] | None = None) -> str:
        """Run a SELECT into a new staged relation and return its name."""
        return self.stage_counted(select, binds)[0]

    def stage_counted(
        self, select: str, binds: Mapping[str, object] | None = None
    ) -> tuple[str, int]:
        """Run a SELECT into a new staged relation; return its name and the number of its rows."""
        name = self.room.store.stage_name()
        rows = self.cursor.execute(f"CREATE TABLE {name} AS {select}", binds or None).fetchall()
        self._staged.append(name)
        return name, int(rows[0][0])

    def stage_arrow(self, arrow: pa.Table | pa.RecordBatchReader) -> str:
        """Copy rows that are at hand into a new staged relation and return its name."""
        name = self.room.store.stage_name()
        self.cursor.from_arrow(arrow).create(name)
        self._staged.append(name)
        return name

    def next_identity(self, state: TableState, physical: str, start: int) -> int:
        """Return the next value of an identity column as this transaction sees it."""
        writes = self._writes.get(state.id)
        for effect in reversed(writes.effects if writes else []):
            if physical in effect.identity:
                return effect.identity[physical]
        return self.room.catalog.identity.get((state.id, physical), start)

    def apply(self, effect: Effect) -> None:
        """Take in what a statement does."""
        if not effect.changes_something:
            return
        writes = self._writes.setdefault(effect.state.id, _Writes(effect.state))
        writes.effects.append(effect)
        if self.interactive:
            self._stage_effect(writes, effect)

    def commit(self) -> None:
        """Commit every table at once, and end the transaction.

        Raises:
            SqlError: For a conflict; nothing is committed then.
        """
        try:
            if self._writes:
                with self.room.store.commit_lock:
                    changes = [self._change(writes) for writes in self._writes.values()]
                    with self._shield():
                        self.room.publish(self.cursor, changes)
                        self._free(self._staged)
                        self.room.reclaim(self.cursor, changes, self)
        finally:
            self.discard()

    def discard(self) -> None:
        """Forget everything that was staged, and end the transaction."""
        self._free(self._staged)
        self._writes.clear()
        self._states.clear()
        self._read.clear()
        self.room.unpin(self)

    def _free(self, relations: list[str]) -> None:
        self._staged = [name for name in self._staged if name not in relations]
        with self._shield():
            for name in relations:
                self.cursor.execute(f"DROP TABLE IF EXISTS {name}")

    # ---- what is staged

    def _stage_effect(self, writes: _Writes, effect: Effect) -> None:
        if writes.added is None or writes.removed is None:
            columns = ", ".join(item.physical for item in writes.base.schema.columns)
            source = select_rows(writes.base)
            writes.added = self.stage(f"SELECT {columns} FROM ({source}) LIMIT 0")
            writes.removed = self.stage("SELECT 0::BIGINT AS rid LIMIT 0")
        if effect.remove_all:
            self._remove_everything(writes)
        if effect.rows is not None:
            self._merge_rows(writes, effect, effect.rows)

    def _remove_everything(self, writes: _Writes) -> None:
        base = writes.base
        self.cursor.execute(
            f"INSERT INTO {writes.removed} SELECT rowid FROM wh.{base.physical} "
            f"WHERE {visible(base.version)} AND rowid NOT IN (SELECT rid FROM {writes.removed})"
        )
        self.cursor.execute(f"DELETE FROM {writes.added}")

    def _merge_rows(self, writes: _Writes, effect: Effect, rows: str) -> None:
        columns = ", ".join(item.physical for item in writes.base.schema.columns)
        gone = f"{ACTION} > {INSERT} AND {ROW_ID}"
        if effect.updated or effect.deleted:
            self.cursor.execute(
                f"DELETE FROM {writes.added} WHERE rowid IN "
                f"(SELECT -1 - {ROW_ID} FROM {rows} WHERE {gone} < 0)"
            )
            self.cursor.execute(
                f"INSERT INTO {writes.removed} SELECT {ROW_ID} FROM {rows} WHERE {gone} >= 0"
            )
        if effect.inserted or effect.updated:
            self.cursor.execute(
                f"INSERT INTO {writes.added} SELECT {columns} FROM {rows} WHERE {ACTION} < {DELETE}"
            )

    # ---- what is committed

    def _change(self, writes: _Writes) -> Change:
        base, effects = writes.base, writes.effects
        table = self.room.catalog.find_table(base.name)
        if table is None or table.state.id != base.id:
            raise table_not_found(base.name)
        added, removed, remove_all = self._rows(writes)
        scanned = base.id in self._read
        read = scanned or any(effect.read for effect in effects)
        inserted = any(effect.inserted for effect in effects)
        counts = self._counts(writes)
        attempt = conflicts.Attempt(
            base,
            self._all_rows(base) if remove_all else removed,
            read,
            scanned,
            inserted,
            self.interactive,
            self.interactive and self.room.appends_conflict,
        )
        conflicts.check(self.cursor, table, attempt)
        commit = replace(
            self.room.next_commit(table, base, _operation(effects)),
            parameters=dict(effects[-1].parameters),
            metrics=_metrics(effects),
            blind_append=attempt.blind,
            added=counts[0],
            removed=counts[1],
            inserted=inserted,
            # The next identity value is metadata, so tables that have one take no concurrent
            # writers.
            metadata=any(effect.identity for effect in effects),
        )
        identity: dict[str, int] = {}
        for effect in effects:
            identity.update(effect.identity)
        return Change(base, commit, added, removed, remove_all, identity=identity)

    def _rows(self, writes: _Writes) -> tuple[str | None, str | None, bool]:
        if self.interactive:
            keeps = not any(item.updated or item.deleted for item in writes.effects)
            return writes.added, None if keeps else writes.removed, False
        effect = writes.effects[0]
        if effect.rows is None:
            return None, None, effect.remove_all
        columns = ", ".join(item.physical for item in writes.base.schema.columns)
        added = removed = None
        if effect.inserted or effect.updated:
            added = f"(SELECT {columns} FROM {effect.rows} WHERE {ACTION} < {DELETE})"
        if effect.updated or (effect.deleted and not effect.remove_all):
            removed = f"(SELECT {ROW_ID} AS rid FROM {effect.rows} WHERE {ACTION} > {INSERT})"
        return added, removed, effect.remove_all

    def _counts(self, writes: _Writes) -> tuple[int, int]:
        if not self.interactive:
            effect = writes.effects[0]
            return effect.inserted + effect.updated, effect.updated + effect.deleted
        query = (
            f"SELECT (SELECT count(*) FROM {writes.added}), (SELECT count(*) FROM {writes.removed})"
        )
        added, removed = self.cursor.execute(query).fetchall()[0]
        return added, removed

    @staticmethod
    def _all_rows(base: TableState) -> str:
        return f"(SELECT rowid AS rid FROM wh.{base.physical} WHERE {visible(base.version)})"


def _operation(effects: list[Effect]) -> str:
    names = {effect.operation for effect in effects}
    return names.pop() if len(names) == 1 else "TRANSACTION"


def _metrics(effects: list[Effect]) -> dict[str, str]:
    inserted = sum(effect.inserted for effect in effects)
    updated = sum(effect.updated for effect in effects)
    deleted = sum(effect.deleted for effect in effects)
    return {
        "WRITE": {"numOutputRows": str(inserted)},
        "UPDATE": {"numUpdatedRows": str(updated)},
        "DELETE": {"numDeletedRows": str(deleted)},
        "MERGE": {
            "numTargetRowsInserted": str(inserted),
            "numTargetRowsUpdated": str(updated),
            "numTargetRowsDeleted": str(deleted),
        },
    }.get(_operation(effects), {})
