"""A SQLite database as one side of a copy: values as they are stored, and nothing in between."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection

from vinci_code.core.errors import CopyRefusedError, DatabaseFileError
from vinci_code.database.moving import hashing
from vinci_code.database.moving.canonical import as_stored, canonical
from vinci_code.database.moving.errors import NoPlainValueError
from vinci_code.database.moving.forms import Form, reader, writer
from vinci_code.database.moving.plans import (
    CHUNK_BYTES,
    Chunk,
    ColumnPlan,
    RowMark,
    TablePlan,
    TableProof,
)

_AT_ONCE = 1_000
_LONG = frozenset({"text", "json", "binary"})


class SqliteSide:
    """Reads and writes tables of a SQLite database.

    Attributes:
        is_target: Whether it is the side that is written to.
    """

    word = "SQLite"

    def __init__(self, *, is_target: bool) -> None:
        self.is_target = is_target

    def chunks(
        self, connection: Connection, table: TablePlan, after: Sequence[Any] | None, most: int
    ) -> Generator[Chunk, None, None]:
        """The rows in the order of the key, from behind a key on, some at a time.

        Raises:
            CopyRefusedError: A value is none of its column's kind.
        """
        where, values = "", tuple(after or ())
        if after is not None:
            marks = ", ".join("?" * len(values))
            where = f" WHERE ({self._keys(table)}) > ({marks})"
        order = f" ORDER BY {self._keys(table)}" if table.key else ""
        readers = self._readers(table)
        done = 0
        for rows in self._selected(connection, table, where + order, values, most):
            columns = self._plain(table, readers, rows, done)
            last = [rows[-1][index] for index in table.keys] if table.key else None
            done += len(rows)
            yield Chunk(columns, last)

    def count(self, connection: Connection, table: TablePlan) -> int:
        """How many rows a table has."""
        return int(
            connection.exec_driver_sql(f"SELECT count(*) FROM {self._table(table)}").scalar_one()  # noqa: S608
        )

    def proof(self, connection: Connection, table: TablePlan) -> TableProof:
        """Count and sum the table.

        Raises:
            CopyRefusedError: A value is none of its column's kind.
        """
        forms = self._canonical(table)
        found = hashing.Sums(len(table.columns), table.keys)
        for rows in self._selected(connection, table, "", (), _AT_ONCE):
            for texts in self._texts(table, forms, rows, found.rows):
                found.add(texts)
        return found.proof()

    def buckets(
        self, connection: Connection, table: TablePlan, count: int
    ) -> dict[int, tuple[int, int]]:
        """For each bucket of keys how many rows it has, and the sum of their numbers."""
        found: dict[int, tuple[int, int]] = {}
        for bucket, number, _, _ in self._hashed(connection, table, count):
            rows, total = found.get(bucket, (0, 0))
            found[bucket] = rows + 1, total + number
        return found

    def marks(
        self, connection: Connection, table: TablePlan, count: int, wanted: frozenset[int]
    ) -> dict[str, RowMark]:
        """The rows of some buckets, by the texts of their keys."""
        return {
            text: RowMark(number, key)
            for bucket, number, text, key in self._hashed(connection, table, count)
            if bucket in wanted
        }

    def fetch(
        self, connection: Connection, table: TablePlan, keys: Sequence[tuple[Any, ...]]
    ) -> Chunk:
        """The rows with some keys."""
        where, values = self._among(table, keys)
        rows = [
            row
            for part in self._selected(connection, table, where, values, _AT_ONCE)
            for row in part
        ]
        return Chunk(self._plain(table, self._readers(table), rows, 0))

    def insert(self, connection: Connection, table: TablePlan, chunk: Chunk) -> None:
        """Write new rows.

        Raises:
            CopyRefusedError: SQLite would change a value.
        """
        self._write(connection, table, chunk, "")

    def insert_all(self, connection: Connection, table: TablePlan, chunks: Iterable[Chunk]) -> int:
        """Write all rows of a table in the transaction that is going on; return their number."""
        rows = 0
        for chunk in chunks:
            rows += chunk.rows
            self.insert(connection, table, chunk)
        return rows

    def insert_missing(self, connection: Connection, table: TablePlan, chunk: Chunk) -> None:
        """Write rows whose key is not there."""
        self._write(connection, table, chunk, f" ON CONFLICT ({self._keys(table)}) DO NOTHING")

    def upsert(self, connection: Connection, table: TablePlan, chunk: Chunk) -> None:
        """Write rows, in the place of those with the same key."""
        # The key too: by its collation it may be the same in other letters.
        names = [self.quoted(self._name(one)) for one in table.columns]
        changes = ", ".join(f"{name} = excluded.{name}" for name in names)
        suffix = f" ON CONFLICT ({self._keys(table)}) DO UPDATE SET {changes}"
        self._write(connection, table, chunk, suffix)

    def delete(
        self, connection: Connection, table: TablePlan, keys: Sequence[tuple[Any, ...]]
    ) -> None:
        """Delete the rows with some keys."""
        where, values = self._among(table, keys)
        connection.exec_driver_sql(f"DELETE FROM {self._table(table)}{where}", values)  # noqa: S608

    @staticmethod
    def quoted(name: str) -> str:
        """A name as SQL has it."""
        return '"' + name.replace('"', '""') + '"'

    def _write(self, connection: Connection, table: TablePlan, chunk: Chunk, suffix: str) -> None:
        if not chunk.rows:
            return
        stored = [
            self._column(
                table,
                column,
                _same if column.as_stored else writer(column.kind),
                values,
                0,
                side="",
            )
            for column, values in zip(table.columns, chunk.columns, strict=True)
        ]
        names = ", ".join(self.quoted(name) for name in table.names(on_target=self.is_target))
        marks = ", ".join("?" * len(stored))
        connection.exec_driver_sql(
            f"INSERT INTO {self._table(table)} ({names}) VALUES ({marks}){suffix}",  # noqa: S608
            list(zip(*stored, strict=True)),
        )

    def _selected(
        self, connection: Connection, table: TablePlan, rest: str, values: Any, most: int
    ) -> Iterator[list[Any]]:
        names = ", ".join(self.quoted(name) for name in table.names(on_target=self.is_target))
        result = connection.exec_driver_sql(
            f"SELECT {names} FROM {self._table(table)}{rest}",  # noqa: S608 - quoted
            tuple(values),
        )
        rows, size = [], 0
        long = [place for place, one in enumerate(table.columns) if one.kind.name in _LONG]
        cursor: Any = result.cursor
        try:
            for row in readable(cursor, table.named(on_target=self.is_target)):
                rows.append(row)
                for place in long:
                    value = row[place]
                    size += len(value) if type(value) in (str, bytes) else 0
                if len(rows) >= most or size >= CHUNK_BYTES:
                    yield rows
                    rows, size = [], 0
            if rows:
                yield rows
        finally:
            result.close()

    def _plain(
        self, table: TablePlan, readers: list[Form], rows: list[Any], done: int
    ) -> list[list[Any]]:
        columns = zip(*rows, strict=True) if rows else ([] for _ in table.columns)
        return [
            self._column(table, column, read, values, done)
            for column, read, values in zip(table.columns, readers, columns, strict=True)
        ]

    def _column(
        self,
        table: TablePlan,
        column: ColumnPlan,
        form: Form,
        values: Any,
        done: int,
        *,
        side: str | None = None,
    ) -> list[Any]:
        if side is None:
            side = " from the target" if self.is_target else ""
        try:
            return [None if value is None else form(value) for value in values]
        except NoPlainValueError as error:
            reason = str(error)
        for number, value in enumerate(values, done + 1):  # noqa: B007 - it is told
            try:
                if value is not None:
                    form(value)
            except NoPlainValueError:
                break
        place = f"{table.named(on_target=False)}.{column.name}, row {number:,} of those read{side}"
        raise CopyRefusedError([f"{place}: {reason}; to fix it: {_FIX.format(column.kind)}"])

    def _texts(
        self, table: TablePlan, forms: list[Form], rows: list[Any], done: int
    ) -> Iterator[Any]:
        columns = [
            self._column(table, column, form, values, done)
            for column, form, values in zip(
                table.columns, forms, zip(*rows, strict=True), strict=True
            )
        ]
        return zip(*columns, strict=True)

    def _hashed(
        self, connection: Connection, table: TablePlan, count: int
    ) -> Iterator[tuple[int, int, str, tuple[Any, ...]]]:
        forms, places, done = self._canonical(table), table.keys, 0
        for rows in self._selected(connection, table, "", (), _AT_ONCE):
            for row, texts in zip(rows, self._texts(table, forms, rows, done), strict=True):
                key = hashing.key_text(texts, places)
                bucket, number = hashing.bucket_of(key, count), hashing.row_number(texts)
                yield bucket, number, key, tuple(row[place] for place in places)
            done += len(rows)

    def _canonical(self, table: TablePlan) -> list[Form]:
        return [
            as_stored if one.as_stored else _joined(reader(one.kind), canonical(one.kind))
            for one in table.columns
        ]

    def _readers(self, table: TablePlan) -> list[Form]:
        # What is not of its kind was refused in the plan, of the same moment.
        return [_same if one.as_stored else reader(one.kind) for one in table.columns]

    def _among(self, table: TablePlan, keys: Sequence[tuple[Any, ...]]) -> tuple[str, Any]:
        one = f"({', '.join('?' * len(table.key))})"
        listed = ", ".join([one] * len(keys))
        where = f" WHERE ({self._keys(table)}) IN (VALUES {listed})"
        return where, tuple(value for key in keys for value in key)

    def _keys(self, table: TablePlan) -> str:
        return ", ".join(self.quoted(self._name(table.columns[place])) for place in table.keys)

    def _name(self, column: ColumnPlan) -> str:
        return column.target_name if self.is_target else column.name

    def _table(self, table: TablePlan) -> str:
        # Of the file itself: a temporary table of the same name would be taken before it.
        return f"main.{self.quoted(table.named(on_target=self.is_target))}"


def readable(cursor: Any, table: str) -> Iterator[Any]:
    """The rows of a cursor of sqlite3, whose errors are of no statement, and named here.

    Raises:
        DatabaseFileError: A row cannot be read: the file is damaged, or a text is no Unicode.
    """
    try:
        # "yield from" would close the cursor, maybe after its connection.
        for row in cursor:  # noqa: UP028
            yield row
    except sqlite3.Error as error:
        reason = str(error).partition(" with text ")[0]  # of what is stored, nothing is told
        raise DatabaseFileError(
            f"The rows of the table {table} cannot be read from the SQLite file: {reason}. To fix "
            "it: see with PRAGMA integrity_check whether the file is damaged, and store text as "
            "UTF-8, or anything else as a BLOB."
        ) from None


_FIX = "change the value, or name another kind than {} for the column (--as)"


def _same(value: Any) -> Any:
    return value


def _joined(first: Form, second: Form) -> Form:
    return lambda value: second(first(value))
