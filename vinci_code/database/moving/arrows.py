"""Chunks as Arrow, in which many rows are loaded into a warehouse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vinci_code.database.moving.kinds import ValueKind
from vinci_code.database.moving.plans import Chunk


def arrow_table(names: Sequence[str], kinds: Sequence[ValueKind], chunk: Chunk) -> Any:
    """A chunk as a ``pyarrow.Table``, with the types that its kinds have in Arrow."""
    # Not at the top: what is only read, or copied to SQLite, is no Arrow.
    import pyarrow as pa

    arrays = [
        pa.array(values, type=_type_of(kind, pa))
        for values, kind in zip(chunk.columns, kinds, strict=True)
    ]
    return pa.Table.from_arrays(arrays, names=list(names))


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
