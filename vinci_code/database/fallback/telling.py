"""What a unit of work in the journal would write, for people.

It is read from the unit's document alone, by the names of tables and columns that stand in it, so
that also a unit of a table that is not known any more can be looked at, and kept elsewhere. Nothing
reads it again: values that JSON has not are written as texts.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from vinci_code.core.errors import DocumentError
from vinci_code.database.fallback.coding import FORMAT
from vinci_code.database.fallback.records import Entry
from vinci_code.database.fallback.values import unpacked

_JsonObject = dict[str, Any]


def described(entry: Entry) -> _JsonObject:
    """A unit of work, and what it would write, as JSON has it.

    Where its document cannot be read, ``error`` says why, and there are no ``writes``.
    """
    unit: _JsonObject = {
        "unit": entry.seq,
        "identity": entry.identity,
        "committed_at": entry.committed_at,
        "state": entry.state.value,
        "reason": entry.reason,
        "may_be_there": entry.may_be_there,
        "rows": entry.rows,
    }
    if not entry.document:
        return {**unit, "error": entry.reason or "nothing of it can be read"}
    try:
        return {**unit, "writes": _writes_of(entry.document)}
    except DocumentError as error:
        return {**unit, "error": str(error)}


def _writes_of(document: bytes) -> list[_JsonObject]:
    """The writes of a document, in order.

    Raises:
        DocumentError: It is damaged, or of a later release.
    """
    try:
        read = orjson.loads(document)
        if not 1 <= read["format"] <= FORMAT:
            raise ValueError(f"its format is {read['format']}, and this release knows {FORMAT}")
        return [_write(write, read["shapes"]) for write in read["writes"]]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, ArithmeticError) as error:
        raise DocumentError(f"what was kept of a unit of work cannot be read: {error}") from error


def _write(write: Mapping[str, Any], shapes: Sequence[Mapping[str, Any]]) -> _JsonObject:
    if "text" in write:
        return {
            "kind": "STATEMENT",
            "table": write["written"],
            "statement": write["text"],
            "parameters": [_plain(value) for value in unpacked(write["parameters"])],
        }
    shape = shapes[write["shape"]]
    columns = [unpacked(column) for column in write["columns"]]
    rows = list(zip(*columns, strict=True)) if columns else [()] * write["rows"]
    schema, name = shape["table"]
    made: _JsonObject = {
        "kind": shape["kind"],
        "table": name if schema is None else f"{schema}.{name}",
        "rows": [_row(shape, row) for row in rows],
    }
    if write["upsert"] is not None:
        keys, update = write["upsert"]
        made["where_the_key_is_there"] = {"key": keys, "update": update}
    return made


def _row(shape: Mapping[str, Any], row: Sequence[Any]) -> _JsonObject:
    values, matches = (
        {item[0]: _value(item, row) for item in shape[part]} for part in ("values", "matches")
    )
    if shape["kind"] == "INSERT":
        return values
    return {"where": matches, "set": values} if values else {"where": matches}


def _value(item: Sequence[Any], row: Sequence[Any]) -> Any:
    _, _, made, _, binds, is_plain = item
    if is_plain:
        return _plain(row[binds[0]])
    return {"expression": made, "parameters": [_plain(row[number]) for number in binds]}


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode("ascii")}
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
