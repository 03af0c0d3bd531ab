"""Frames of pandas and polars, and what Arrow has: as portions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from vinci_code.core.errors import LoadRefusedError
from vinci_code.database.dialect.types.base import plain
from vinci_code.database.loading.portions import ROWS, Portion, Source, of_batch

BATCH_ROWS = 65_536
"""How many rows of a table or a frame are taken at a time."""


def source_of_frame(given: Any) -> Source:
    """The source that a frame, or something of Arrow, is.

    Raises:
        LoadRefusedError: It is none.
    """
    try:
        return _source_of(given)
    except pa.ArrowException as error:
        raise LoadRefusedError(
            f"{type(given).__module__}.{type(given).__name__}",
            f"Arrow does not have the types of all its columns ({type(error).__name__})",
            "cast these to other types",
        ) from error


def _source_of(given: Any) -> Source:
    kind = type(given)
    package = kind.__module__.partition(".")[0]
    if package == "pandas":
        return _of_pandas(given)
    if package == "polars":
        if kind.__name__ != "DataFrame":
            raise LoadRefusedError(
                f"a polars {kind.__name__}", "it is no DataFrame", "call collect(), or to_frame()"
            )
        return _of_table(given.to_arrow(), "a polars DataFrame")
    if isinstance(given, pa.Table):
        return _of_table(given, "a pyarrow.Table")
    if isinstance(given, pa.RecordBatch):
        return _of_table(pa.Table.from_batches([given]), "a pyarrow.RecordBatch")
    if isinstance(given, pa.RecordBatchReader):
        return _of_reader(given, "a pyarrow.RecordBatchReader")
    if hasattr(given, "__arrow_c_stream__"):
        name = f"{kind.__module__}.{kind.__name__}"
        return _of_reader(pa.RecordBatchReader.from_stream(given), f"the Arrow stream of {name}")
    raise LoadRefusedError(
        f"{kind.__module__}.{kind.__name__}",
        "it has no rows with names",
        "make a pyarrow.Table of it, or a RecordBatchReader",
    )


def source_of_batches(begin: Callable[[], Iterator[Any]], first: Any, *, is_once: bool) -> Source:
    """The source of batches of Arrow, one after the other.

    Raises:
        LoadRefusedError: The first is none.
    """
    if not isinstance(first, (pa.RecordBatch, pa.Table)):
        raise LoadRefusedError(
            f"an iterable of {type(first).__name__}", "it is of no batches", "pass RecordBatches"
        )
    schema = first.schema

    def portions() -> Iterator[Portion]:
        for number, item in enumerate(begin(), 1):
            if not isinstance(item, (pa.RecordBatch, pa.Table)) or not item.schema.equals(schema):
                raise LoadRefusedError(
                    f"batch {number:,}", "it has not the schema of the first", "cast it to that"
                )
            for batch in item.to_batches() if isinstance(item, pa.Table) else [item]:
                yield from _cut(batch)

    return Source("batches of Arrow", portions, schema, tuple(schema.names), is_once=is_once)


def _of_table(table: Any, told: str) -> Source:
    def portions() -> Iterator[Portion]:
        for batch in table.to_batches(max_chunksize=BATCH_ROWS):
            yield of_batch(batch)

    return Source(told, portions, table.schema, tuple(table.schema.names), table.num_rows)


def _of_reader(reader: Any, told: str) -> Source:
    def portions() -> Iterator[Portion]:
        for batch in reader:
            yield from _cut(batch)

    return Source(told, portions, reader.schema, tuple(reader.schema.names), is_once=True)


def _cut(batch: Any) -> Iterator[Portion]:
    for begin in range(0, batch.num_rows, BATCH_ROWS):
        yield of_batch(batch.slice(begin, BATCH_ROWS))


def _of_pandas(frame: Any) -> Source:
    """The source that a frame of pandas is, without its index.

    Columns of objects are taken as they are, unless all of these are text.
    """
    if type(frame).__name__ != "DataFrame":
        raise LoadRefusedError(
            f"a pandas {type(frame).__name__}", "it is no DataFrame", "call to_frame()"
        )
    names = list(frame.columns)
    if not all(type(name) is str for name in names):
        raise LoadRefusedError(
            "a pandas DataFrame",
            "its columns have names that are no texts",
            "rename them: frame.columns = […]",
        )
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise LoadRefusedError(
            "a pandas DataFrame", f"two columns are called {twice[0]!r}", "rename one of them"
        )
    objects = {name for name in names if frame[name].dtype == object and not _is_text(frame[name])}
    typed = frame[[name for name in names if name not in objects]]
    schema = pa.Schema.from_pandas(typed.iloc[:ROWS], preserve_index=False)
    for name in typed.columns:
        if frame[name].dtype == object:
            schema = schema.set(schema.get_field_index(name), pa.field(name, pa.string()))
    schema = schema.remove_metadata()

    def portions() -> Iterator[Portion]:
        for begin in range(0, len(frame), ROWS):
            part = frame.iloc[begin : begin + ROWS]
            columns: dict[str, Any] = {}
            for name in names:
                if name in objects:
                    columns[name] = [_plain(value) for value in part[name].tolist()]
                else:
                    columns[name] = _array(part[name], schema.field(name).type)
            size = int(part.memory_usage(index=False).sum())
            yield Portion(columns, len(part), size, objects=True)

    told = "a pandas DataFrame"
    own = schema if not objects else None
    return Source(told, portions, own, tuple(names), len(frame))


def _is_text(column: Any) -> bool:
    """Whether a column of objects is one of text, and of nothing else but NULL."""
    kinds = {type(value) for value in column.tolist() if not _is_missing(value)}
    return kinds == {str}


def _is_missing(value: Any) -> bool:
    """Whether a value is one of those by which pandas says that there is none."""
    if value is None:
        return True
    if isinstance(value, (float, dt.datetime, dt.timedelta)):
        return value != value
    return type(value).__module__.startswith("pandas.") and type(value).__name__ in {
        "NAType",
        "NaTType",
    }


def _plain(value: Any) -> Any:
    found: Any = plain(value)
    if type(found).__name__ == "ndarray" and type(found).__module__ == "numpy":
        return found.tolist()
    return None if _is_missing(found) else found


def _array(column: Any, wanted: Any) -> Any:
    found = pa.array(column, type=wanted, from_pandas=True)
    if isinstance(found, pa.ChunkedArray):
        found = found.combine_chunks()
    if pa.types.is_floating(found.type):
        # NaN of a type of Arrow's is none, either, for those who use pandas.
        found = pc.if_else(pc.is_nan(found), pa.scalar(None, found.type), found)
    return found
