"""Writing the rows of a table: each chunk together with its mark, or neither of them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from vinci_code.core.errors import CopyRefusedError
from vinci_code.database.dialect.dberrors import AtomicityError
from vinci_code.database.loading.volumes import volume_for
from vinci_code.database.moving.databricks_side import DatabricksSide
from vinci_code.database.moving.marks import Marks, TableMark
from vinci_code.database.moving.plans import Chunk, TablePlan
from vinci_code.database.moving.snapshots import Side

KEYLESS_MOST = 1_000_000
"""How many rows of a table without a key are written to Databricks without a volume."""

# Each table that they make is of an engine with transactions.
_TRANSACTIONAL = ("sqlite", "databricks", "postgresql", "oracle", "mssql")

Moved = Callable[[int], None]
Chunks = Generator[Chunk, None, None]


class Writer:
    """Writes chunks to the target.

    Where the target has no transactions of several tables, a chunk is written by key, so that a
    second time changes nothing, and its mark afterwards.
    """

    def __init__(self, connection: Connection, side: Side, marks: Marks) -> None:
        self._connection = connection
        self._side = side
        self._marks = marks

    def prepare(self) -> None:
        """Ask for no transaction where a unit of work is sent in parts."""
        dialect = self._connection.dialect
        is_known = dialect.name in _TRANSACTIONAL
        if getattr(dialect, "atomicity", "unit") != "unit" or not is_known:
            self._marks.go_by_key()

    def require_whole(self, table: TablePlan) -> None:
        """Refuse a table that is not known to be written as one.

        Raises:
            CopyRefusedError: Its database has no transactions, or takes so many rows as a file.
        """
        name = self._connection.dialect.name
        fix = "give it a primary key, or leave it out with --table of the others"
        reason = None
        if name not in _TRANSACTIONAL:
            reason = f"it is not known whether {name} writes all of its rows or none"
        elif isinstance(self._side, DatabricksSide) and table.rows > KEYLESS_MOST:
            chosen = volume_for(self._connection, None)
            self._connection.rollback()
            if chosen.volume is None:
                many = f"it has {table.rows:,} rows, which are written as one file"
                reason = f"{many}, and {chosen.reason}"
                fix = f"name a volume by DATABRICKS_VOLUME, {fix}"
        if reason is not None:
            raise CopyRefusedError([f"{table.name}: it has no key, and {reason}; to fix it: {fix}"])

    def by_key(
        self, table: TablePlan, chunks: Iterator[Chunk], mark: TableMark, on_moved: Moved
    ) -> int:
        """Write the chunks of a table with a key; return how many rows are there in all."""
        if self._connection.dialect.name == "sqlite":
            copied = self._one_by_one(table, chunks, mark.copied, on_moved)
        else:
            copied = self._meanwhile(table, chunks, mark.copied, on_moved)
        self._finish(table, copied)
        return copied

    def _one_by_one(
        self, table: TablePlan, chunks: Iterator[Chunk], copied: int, on_moved: Moved
    ) -> int:
        for chunk in chunks:
            copied += chunk.rows
            self._keyed(table, chunk, copied)
            on_moved(chunk.rows)
        return copied

    def _meanwhile(
        self, table: TablePlan, chunks: Iterator[Chunk], copied: int, on_moved: Moved
    ) -> int:
        """Write each chunk while the next one is read.

        One chunk is written at a time, in their order: a mark says of all before it that they are
        there. What is written by another thread, is on no connection that is used meanwhile.
        """
        waiting: list[tuple[Future[None], int]] = []

        def settle() -> None:
            while waiting:
                written, rows = waiting.pop()
                written.result()
                on_moved(rows)

        with ThreadPoolExecutor(1, "vinci-copy") as pool:
            try:
                for chunk in chunks:
                    settle()
                    copied += chunk.rows
                    waiting.append((pool.submit(self._keyed, table, chunk, copied), chunk.rows))
            finally:
                settle()  # also where the next one could not be read: it is told of what is there
        return copied

    def as_whole(
        self, table: TablePlan, chunks: Callable[[], Chunks], stored: int, on_moved: Moved
    ) -> int:
        """Write a table without a key, all of it or nothing.

        Args:
            table: The table.
            chunks: Reads all of its rows.
            stored: How many rows the target has: where there are some, it is whole already.
            on_moved: Is told how many rows were written.
        """
        if stored:
            self._finish(table, stored)
            return stored
        try:
            rows = self._whole(table, chunks)
        except DBAPIError as error:
            if not isinstance(error.orig, AtomicityError):
                raise
            self._marks.go_by_key()
            rows = self._whole(table, chunks)
        if not self._marks.is_atomic:
            self._finish(table, rows)
        on_moved(rows)
        return rows

    def _whole(self, table: TablePlan, chunks: Callable[[], Chunks]) -> int:
        with self._connection.begin(), closing(chunks()) as read:
            if self._connection.dialect.name == "sqlite":
                # Its one writer: what another copy has written before is seen, and not doubled.
                self._marks.note(table.target_name, None, 0)
                stored = self._side.count(self._connection, table)
                if stored:
                    self._marks.finish(table.target_name, stored)
                    return stored
            elif self._is_claimable() and not self._marks.claim(table.target_name):
                return self._side.count(self._connection, table)
            rows = self._side.insert_all(self._connection, table, read)
            if self._marks.is_atomic:
                self._marks.finish(table.target_name, rows)
        return rows

    def _is_claimable(self) -> bool:
        # On Databricks two units that change one mark conflict by themselves.
        return self._marks.is_atomic and self._connection.dialect.name != "databricks"

    def _keyed(self, table: TablePlan, chunk: Chunk, copied: int) -> None:
        if self._marks.is_atomic:
            try:
                with self._connection.begin():
                    self._side.insert(self._connection, table, chunk)
                    self._note(table, chunk, copied)
            except DBAPIError as error:
                # Nothing was written: the unit was refused as a whole.
                if not isinstance(error.orig, AtomicityError):
                    raise
                self._marks.go_by_key()
            else:
                return
        with self._connection.begin():
            self._side.insert_missing(self._connection, table, chunk)
        with self._connection.begin():
            self._note(table, chunk, copied)

    def _note(self, table: TablePlan, chunk: Chunk, copied: int) -> None:
        self._marks.note(table.target_name, chunk.last, copied)

    def _finish(self, table: TablePlan, copied: int) -> None:
        with self._connection.begin():
            self._marks.finish(table.target_name, copied)
