"""Chunks as Arrow, in which many rows are loaded into a warehouse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from vinci_code.database.moving.errors import NoPlainValueError
from vinci_code.database.moving.kinds import ValueKind
from vinci_code.database.moving.nested import arrow_type, value_of
from vinci_code.database.moving.plans import Chunk


def arrow_table(columns: Sequence[tuple[str, ValueKind, Any]], chunk: Chunk) -> Any:
    """A chunk as a ``pyarrow.Table``, with the types that its kinds have in Arrow.

    Args:
        columns: For each column its name, its kind, and the nested type that documents become.
        chunk: The values.

    Raises:
        NoPlainValueError: A document is none of its nested type.
    """
    # Not at the top: what is only read, or copied to SQLite, is no Arrow.
    import pyarrow as pa

    arrays = [
        _array(values, kind, nested, pa)
        for values, (_, kind, nested) in zip(chunk.columns, columns, strict=True)
    ]
    return pa.Table.from_arrays(arrays, names=[name for name, _, _ in columns])


def arrow_reader(tables: Iterator[Any]) -> Any:
    """Tables, one after the other, as a ``pyarrow.RecordBatchReader``.

    Args:
        tables: At least one, all with the same columns.
    """
    import pyarrow as pa

    first = next(tables)
    batches = (batch for one in tables for batch in one.to_batches())
    return pa.RecordBatchReader.from_batches(first.schema, batches)


def _array(values: Sequence[Any], kind: ValueKind, nested: Any, pa: Any) -> Any:
    if nested is None:
        return pa.array(values, type=_type_of(kind, pa))
    read = value_of(nested)
    made = [None if value is None else read(value) for value in values]
    try:
        return pa.array(made, type=arrow_type(nested, pa))
    except (pa.ArrowInvalid, OverflowError):
        raise NoPlainValueError("found a number that its nested type has no room for") from None


def _type_of(kind: ValueKind, pa: Any) -> Any:
    if kind.name == "decimal":
        return pa.decimal128(kind.digits, kind.scale)
    made = {
        "integer": pa.int64(),
        "boolean": pa.bool_(),
        "double": pa.float64(),
        "binary": pa.binary(),
        "date": pa.date32(),
        "moment": pa.timestamp("us"),
        "instant": pa.timestamp("us", tz="UTC"),
    }
    return made.get(kind.name, pa.string())
