"""Rows as files of Parquet in a volume, and one statement that writes them to a table.

The files of a load lie in the folder ``vinci_load`` of the volume, by a name that begins with the
time and an id of the load. They are sent one after the other, each as soon as it is whole; the
statement, which names each of them, is held by the unit of work as any other write. When the unit
has ended, whichever way, they are removed. What a process leaves that was killed is removed by
later loads, when it is older than ``STALE``: nobody waits so long between a load and its commit,
and whose files are gone cannot commit.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy.exc import ArgumentError, DBAPIError

from vinci_code.database.dialect.dberrors import (
    AmbiguousWriteError,
    Error,
    OperationalError,
    PermissionDenied,
)
from vinci_code.database.dialect.driver.rows import require_pyarrow
from vinci_code.database.dialect.file_loads import (
    FileRows,
    hold_files,
    list_files,
    put_file,
    refuses_files,
    remove_file,
    remove_files,
    require_files,
)
from vinci_code.database.dialect.writes.sets import OnConflict
from vinci_code.database.dialect.writes.shapes import letters
from vinci_code.database.loading.results import left_over
from vinci_code.database.loading.volumes import NO_VOLUME, OURS, Volume

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import Connection, Table

    from vinci_code.database.dialect.units.held import HeldFiles
    from vinci_code.database.loading.stored import StoredColumn

STALE = timedelta(hours=24)
"""Files that are older are no load's that could still be committed."""

_MODES = ("append", "replace", "upsert", "insert_missing")
# How many files of others a load removes, each of which takes two requests.
_MOST_REMOVED = 20
_LISTED = 1001
"""The most that LIST tells."""
_NAME = re.compile(r"(?P<time>[0-9a-f]{12})-[0-9a-f]{20}-\d+\.parquet")
_MISSING = "PATH_NOT_FOUND"

_log = logging.getLogger(__name__)

Report = Callable[[int, int], object]
"""Is given the rows, and the bytes, that lie in the volume."""


@dataclass(frozen=True)
class StagedOutcome:
    """What a load has sent, and, after its commit, what has become of it.

    Attributes:
        rows: How many rows.
        files: How many files.
        bytes: How many bytes these had.
        mode: What became of rows whose key is there.
        is_checked: Whether each key stands for one row.
    """

    rows: int
    files: int
    bytes: int
    mode: str
    is_checked: bool = True
    _write: HeldFiles | None = None

    @property
    def inserted(self) -> int | None:
        """How many rows are new; ``None`` where the warehouse has not told."""
        if self.mode in ("append", "replace") or self.rows == 0:
            return self.rows
        return self._counted("num_inserted_rows")

    @property
    def changed(self) -> int | None:
        """How many rows were there, and are changed; ``None`` where the warehouse has not told."""
        if self.mode != "upsert" or self.rows == 0:
            return 0
        return self._counted("num_updated_rows")

    @property
    def skipped(self) -> int | None:
        """How many rows were there and are as before; ``None`` where that is not known."""
        inserted, changed = self.inserted, self.changed
        if inserted is None or changed is None:
            return None
        return left_over(self.rows, inserted, changed, is_checked=self.is_checked)

    def _counted(self, name: str) -> int | None:
        return None if self._write is None else self._write.counts.get(name)


def staging_refused(connection: Connection, table: Table) -> str | None:
    """Why the unit of work of a connection takes no staged load now; ``None`` where it does."""
    return refuses_files(connection, table)


def load_staged(
    connection: Connection,
    table: Table,
    columns: Sequence[StoredColumn],
    batches: Iterator[pa.RecordBatch],
    *,
    mode: str,
    keys: Sequence[str] = (),
    update: Sequence[str] = (),
    enforce_keys: bool = True,
    volume: Volume,
    progress: Report | None = None,
) -> StagedOutcome:
    """Load batches into a table by files in a volume, as a part of the unit of work.

    Args:
        connection: The connection, of an engine on Databricks.
        table: The table.
        columns: Its columns that are given.
        batches: The rows; their columns stand in the order of ``columns``, and are called
            ``letters(0)`` and so on. What they raise is raised when the files are removed.
        mode: ``append``, ``replace``, ``upsert`` or ``insert_missing``.
        keys: The columns that say which row it is, of ``upsert`` and ``insert_missing``.
        update: The columns that an upsert changes in a row that is there.
        enforce_keys: Whether PRIMARY KEY and UNIQUE are checked.
        volume: Where the files are to lie.
        progress: Called after each file.

    Raises:
        ArgumentError: The mode, or its keys, make no sense; nothing was sent.
        MissingExtraError: pyarrow is not installed; nothing was sent.
        NotSupportedError: The unit of work is in a transaction, or would take one.
        DBAPIError: The volume is not there, or the right to it is missing; or a file could not be
            sent. No file is left.
    """
    require_pyarrow("load()")
    _check_mode(mode, keys, update)
    require_files(connection, table)
    _make_room(connection, volume)
    load = f"{int(time.time() * 1000):012x}-{secrets.token_hex(10)}"
    paths: list[str] = []
    try:
        begin = f"{volume.path}/{OURS}/{load}"
        rows, size = _send(connection, volume, begin, columns, batches, paths, progress)
        if not rows:
            if mode == "replace":
                connection.execute(table.delete().execution_options(enforce_keys=enforce_keys))
            return StagedOutcome(0, 0, 0, mode, enforce_keys)
    except BaseException:
        _remove_after_error(connection, paths)
        raise
    try:
        write = hold_files(
            connection,
            table,
            FileRows([c.column for c in columns], [c.made for c in columns], paths, rows),
            upsert=OnConflict(tuple(keys), tuple(update)) if keys else None,
            replaces=mode == "replace",
            enforce_keys=enforce_keys,
        )
    except Exception as error:
        # It is sent at once where nothing is held, and may be executed still.
        if not isinstance(getattr(error, "orig", error), AmbiguousWriteError):
            _remove_after_error(connection, paths)
        raise
    return StagedOutcome(rows, len(paths), size, mode, enforce_keys, write)


def remove_staged(
    connection: Connection, volume: Volume | str, *, older_than: timedelta = STALE
) -> int:
    """Remove the files that loads have left in a volume: those of processes that were killed.

    Args:
        connection: A connection to Databricks.
        volume: The volume, ``catalog.schema.volume`` or its path.
        older_than: How old they have to be. The load that a file belongs to fails, and writes
            nothing, if it is going on.

    Returns:
        How many were removed.

    Raises:
        ArgumentError: The text names no volume.
        DBAPIError: The volume is not there, the right to it is missing, or a file could not be
            removed.
    """
    wanted = volume if isinstance(volume, Volume) else Volume.parse(volume)
    removed = 0
    while True:
        found = _stale(connection, wanted, older_than)
        for path in found:
            remove_file(connection, path)
        removed += len(found)
        if len(found) < _LISTED:
            return removed


# --- the parts of a load --------------------------------------------------------------------------


def _check_mode(mode: str, keys: Sequence[str], update: Sequence[str]) -> None:
    if mode not in _MODES:
        raise ArgumentError(f"mode={mode!r}: it is one of {', '.join(map(repr, _MODES))}")
    by_key = mode in ("upsert", "insert_missing")
    if by_key != bool(keys) or (bool(update) and mode != "upsert"):
        raise ArgumentError(
            f"mode={mode!r} with keys={list(keys)} and update={list(update)}: upsert and "
            "insert_missing have keys, the others none, and only upsert changes columns"
        )


def _make_room(connection: Connection, volume: Volume) -> None:
    """Look whether the volume is there, and remove what others have left in it.

    Raises:
        DBAPIError: It is not there, or the right to it is missing.
    """
    found = _stale(connection, volume, STALE, is_needed=False)
    if found:
        _log.info("%d files of loads that have ended are removed from %s", len(found), volume)
        remove_files(connection, found[:_MOST_REMOVED])


def _explained(error: Error, volume: Volume) -> Error:
    """An error over the folder of a volume, with what is to be done."""
    if error.error_class == NO_VOLUME:
        text = (
            f"the volume {volume}, in which loads stage their files, does not exist; nothing was "
            f"sent\nTo fix it: CREATE VOLUME {volume}; or name another one by volume= or "
            "DATABRICKS_VOLUME."
        )
    elif isinstance(error, PermissionDenied):
        text = (
            f"the volume {volume}, in which loads stage their files, may not be used "
            f"({error.happened}); nothing was loaded\nTo fix it: GRANT READ VOLUME, WRITE VOLUME "
            f"ON VOLUME {volume} TO the user or service principal, with USE CATALOG and USE SCHEMA."
        )
    else:
        return error
    return type(error)(
        text,
        sqlstate=error.sqlstate,
        error_class=error.error_class,
        statement_id=error.statement_id,
    )


def _stale(
    connection: Connection, volume: Volume, older_than: timedelta, *, is_needed: bool = True
) -> list[str]:
    """The files of a volume's loads that are older, by their names and by when they were written.

    Unless that is needed, another refusal than those below is a warning: in what words a workspace
    says that a folder is not there is not documented, and before the first load it is not there.

    Raises:
        DBAPIError: The volume is not there, or the right to it is missing.
    """

    def explain(error: Error) -> Error | None:
        if error.error_class == _MISSING:
            return None
        explained = _explained(error, volume)
        is_refused = error.error_class is not None and not isinstance(error, OperationalError)
        if is_needed or explained is not error or not is_refused:
            return explained
        _log.warning("what loads have left in %s cannot be listed: %s", volume, error.happened)
        return None

    listed = list_files(connection, f"{volume.path}/{OURS}", _LISTED, explain)
    until = (time.time() - older_than.total_seconds()) * 1000
    found = []
    for path, name, _, written in listed:
        known = _NAME.fullmatch(name)
        if known is not None and max(int(known["time"], 16), written) < until:
            found.append(str(path))
    return found


def _send(
    connection: Connection,
    volume: Volume,
    begin: str,
    columns: Sequence[StoredColumn],
    batches: Iterator[pa.RecordBatch],
    paths: list[str],
    progress: Report | None,
) -> tuple[int, int]:
    """Send batches as files, whose paths are noted before; how many rows and bytes these have."""
    import pyarrow as pa

    from vinci_code.database.loading.parquet import whole_files

    schema = pa.schema([(letters(number), item.arrow) for number, item in enumerate(columns)])
    rows = size = 0
    for whole in whole_files(batches, schema):
        path = f"{begin}-{len(paths)}.parquet"
        paths.append(path)
        put_file(connection, path, whole.file, whole.size, lambda e: _explained(e, volume))
        rows, size = rows + whole.rows, size + whole.size
        if progress is not None:
            progress(rows, size)
    return rows, size


def _remove_after_error(connection: Connection, paths: Sequence[str]) -> None:
    if not paths or connection.closed or connection.invalidated:
        return
    try:
        remove_files(connection, paths)
    except DBAPIError as error:
        _log.warning("files of a load may be left: %s", type(error.orig).__name__)
