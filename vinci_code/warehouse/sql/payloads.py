"""Rows that a statement carries as one constant JSON text: ``inline(from_json('[…]', '…'))``.

A write of thousands of rows sends them this way. Where the text is an array of plain objects whose
values have exactly the types of the schema, all of it is read into columns at once. Anything else
gives ``None``, and ``documents.from_json`` decides: it knows every rule and every error.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence
from typing import Any

import orjson
import pyarrow as pa
from sqlglot import exp

from vinci_code.warehouse.sql.binder import Binder
from vinci_code.warehouse.sql.documents import BadRecordError
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.scalars import unbase64
from vinci_code.warehouse.sql.types import SqlType

_PYTHON_TYPES: dict[str, type] = {
    "BIGINT": int,
    "INT": int,
    "SMALLINT": int,
    "TINYINT": int,
    "STRING": str,
    "BOOLEAN": bool,
}


def constant_json(binder: Binder, node: exp.Expr) -> str | bytes | None:
    """Return what a right call of ``from_json`` is given, where the statement itself holds it.

    It is text, or bytes in UTF-8 where ``decode(unbase64('…'), 'UTF-8')`` gives it; ``None`` where
    it is not constant.
    """
    if _name(node) != "from_json":
        return None
    return _text(binder, node.expressions[0])


def read_rows(text: str | bytes, row: SqlType) -> pa.Table | None:
    """Return the objects of a JSON array as columns ``c0``, ``c1`` … in the order of the fields.

    ``row`` is the STRUCT of one object. ``None`` where the general reader must decide.
    """
    kinds = [_PYTHON_TYPES.get(item.type.name) for item in row.fields]
    if None in kinds or not row.fields:
        return None
    try:
        rows = orjson.loads(text)
        if not isinstance(rows, list) or set(map(type, rows)) - {dict}:
            return None
        columns = [
            _column([one.get(item.name) for one in rows], kind, item.type.arrow())
            for item, kind in zip(row.fields, kinds, strict=True)
        ]
    except (ValueError, OverflowError):
        return None
    return pa.Table.from_arrays(columns, names=names(row))


def names(row: SqlType) -> list[str]:
    """Return the names of the columns of ``read_rows``."""
    return [f"c{index}" for index in range(len(row.fields))]


def _column(values: Sequence[Any], kind: type | None, arrow: pa.DataType) -> pa.Array:
    # A boolean is an int to Python and a float may pass for one to Arrow: neither is one to Spark.
    if set(map(type, values)) - {kind, type(None)}:
        raise BadRecordError(arrow)
    return pa.array(values, type=arrow)


def _text(binder: Binder, node: exp.Expr) -> str | bytes | None:
    if _name(node) == "decode" and len(node.expressions) == 2:
        return _decoded(binder, *node.expressions)
    return _string(binder, node)


def _string(binder: Binder, node: exp.Expr) -> str | None:
    if isinstance(node, exp.Literal):
        return str(node.this) if node.is_string else None
    if isinstance(node, exp.Placeholder):
        value = binder.parameter(node).constant
        return value if isinstance(value, str) else None
    return None


def _decoded(binder: Binder, data: exp.Expr, charset: exp.Expr) -> bytes | None:
    """Return the bytes of ``decode(unbase64(text), 'UTF-8')``; the reader checks that they are."""
    if str(_string(binder, charset)).upper() != "UTF-8" or _name(data) != "unbase64":
        return None
    text = _string(binder, data.expressions[0])
    if text is None:
        return None
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return _loosely(text)


def _loosely(text: str) -> bytes | None:
    try:
        return unbase64(text)
    except SqlError:
        return None


def _name(node: exp.Expr) -> str:
    if not isinstance(node, exp.Anonymous):
        return ""
    return (node.this if isinstance(node.this, str) else node.this.name).lower()
