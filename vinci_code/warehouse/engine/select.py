"""Running a query and giving its rows as Arrow batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import duckdb
import pyarrow as pa
from sqlglot import exp

from vinci_code.warehouse.engine.names import used_binds
from vinci_code.warehouse.engine.result import Column, Result
from vinci_code.warehouse.engine.session import EngineSession
from vinci_code.warehouse.engine.transaction_errors import from_engine
from vinci_code.warehouse.engine.work import Work
from vinci_code.warehouse.sql import query
from vinci_code.warehouse.sql.bounds import has_variable_size, makes_much
from vinci_code.warehouse.sql.query import TranslatedQuery

BATCH_ROWS = 122_880  # a row group of DuckDB
# Texts and lists of 2,048 rows may have 64 MiB together, which is what a batch is a multiple of.
SIZED_BATCH_ROWS = 8_192
# A warehouse computes the whole result before it answers, so an error in the last row is an error
# of the statement. Results up to this size behave the same here; the rest of a larger one is read
# later.
EAGER_BYTES = 256 * 1024 * 1024
# DuckDB's Python API parses and binds the text of a query twice before rows come as Arrow, and that
# of any other statement once. For a text of this length this takes longer than keeping the rows.
LONG_TEXT = 2_000
_KEPT = "vinci_result"
# How the text of an error begins, by its class, where Arrow has taken its place.
_FOUND_LATE: dict[str, type[duckdb.Error]] = {
    "INTERRUPT Error": duckdb.InterruptException,
    "Conversion Error": duckdb.ConversionException,
    "Invalid Input Error": duckdb.InvalidInputException,
    "Out of Range Error": duckdb.OutOfRangeException,
}


def select(work: Work, expression: exp.Expression) -> Result:
    """Run a query."""
    translated = work.translate(expression)
    return run(work.session, translated)


def run(session: EngineSession, translated: TranslatedQuery) -> Result:
    """Run a translated query on a connection of its own, so that its rows can be read later."""
    sql = query.output_sql(translated)
    session.check_interrupt()
    source = _Batches(session, sql, used_binds(sql, translated.binds), translated.columns)
    return Result(
        list(translated.columns),
        iter(source),
        None,
        "SELECT",
        source.close,
        on_interrupt=source.interrupt,
    )


class _Batches:
    """The batches of one query; gives its connection back when they are read or not wanted."""

    def __init__(
        self,
        session: EngineSession,
        sql: str,
        binds: dict[str, object],
        columns: Sequence[Column],
    ) -> None:
        self._session = session
        self._sql = sql
        self._schema = pa.schema(
            [pa.field(column.name, column.type.arrow(), nullable=True) for column in columns]
        )
        self._store = session.room.store
        self._cursor: duckdb.DuckDBPyConnection | None = self._store.cursor()
        self._reader: pa.RecordBatchReader | None = None
        self._ready: list[pa.RecordBatch] = []
        self._keeps = len(sql) >= LONG_TEXT
        try:
            with session.interruptible(self._cursor):
                if self._keeps:
                    names = ", ".join(f"c{number}" for number in range(len(columns)))
                    made = f"CREATE TEMP TABLE {_KEPT} ({names}) AS {sql}"
                    self._cursor.execute(made, binds or None)
                    sql, binds = f"FROM temp.{_KEPT}", {}
                sized = any(has_variable_size(column.type) for column in columns)
                rows = SIZED_BATCH_ROWS if sized and makes_much(self._sql) else BATCH_ROWS
                relation = self._cursor.sql(sql, params=binds or None)
                self._reader = relation.to_arrow_reader(rows)
                del relation
                self._read_ahead()
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        ready, self._ready = self._ready, []
        return chain(ready, self._remaining())

    def interrupt(self) -> None:
        """Stop the query, from another thread than the one that reads."""
        cursor = self._cursor
        if cursor is not None:
            cursor.interrupt()

    def close(self) -> None:
        """Drop what was not read and give the connection back."""
        self._ready = []
        # Else DuckDB ends the query before the reader goes, however long that takes.
        self.interrupt()
        self._reader = None
        cursor, self._cursor = self._cursor, None
        if cursor is not None:
            try:
                if self._keeps:
                    cursor.execute(f"DROP TABLE IF EXISTS temp.{_KEPT}")
            except duckdb.Error:
                # With the connection its temporary tables go, too.
                cursor.close()
            else:
                self._store.give_back(cursor)

    def _read_ahead(self) -> None:
        size = 0
        while size < EAGER_BYTES:
            batch = self._next()
            if batch is None:
                return
            size += batch.nbytes
            self._ready.append(batch)

    def _remaining(self) -> Iterator[pa.RecordBatch]:
        while True:
            try:
                batch = self._next()
            except duckdb.Error as error:
                raise from_engine(error, self._sql) from error
            if batch is None:
                return
            yield batch

    def _next(self) -> pa.RecordBatch | None:
        if self._reader is None:
            return None
        try:
            batch = self._reader.read_next_batch()
        except StopIteration:
            self.close_reader()
            return None
        except OSError as error:
            # What DuckDB finds only as rows are read comes by way of Arrow, as text.
            text = str(error)
            kind = next((kind for name, kind in _FOUND_LATE.items() if name in text), duckdb.Error)
            raise kind(text) from error
        return as_schema(batch, self._schema)

    def close_reader(self) -> None:
        """Give the connection back; what was read ahead stays."""
        ready = self._ready
        self.close()
        self._ready = ready


def as_schema(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return a batch with these names and types."""
    arrays = [
        as_type(array, field.type) for array, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def as_type(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    """Return an array as this type; DuckDB has no type for VOID, and carries INTEGER in its place.

    Raises:
        TypeError: Where a VOID has a value, which cannot be.
    """
    if array.type == wanted:
        return array
    if pa.types.is_null(wanted):
        if array.null_count != len(array):
            raise TypeError("A column of type VOID has a value.")
        return pa.nulls(len(array))
    if pa.types.is_list(wanted):
        values = as_type(array.values, wanted.value_type)
        return pa.ListArray.from_arrays(
            array.offsets, values, type=wanted, mask=array.is_null() if array.null_count else None
        )
    if pa.types.is_struct(wanted):
        fields = [wanted.field(index) for index in range(wanted.num_fields)]
        parts = [as_type(array.field(index), item.type) for index, item in enumerate(fields)]
        mask = array.is_null() if array.null_count else None
        return pa.StructArray.from_arrays(parts, fields=fields, mask=mask)
    if pa.types.is_map(wanted):
        keys, items = array.keys, array.items
        return pa.MapArray.from_arrays(
            array.offsets,
            as_type(keys, wanted.key_type),
            as_type(items, wanted.item_type),
            type=wanted,
            mask=array.is_null() if array.null_count else None,
        )
    return array.cast(wanted)
