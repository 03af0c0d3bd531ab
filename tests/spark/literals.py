"""Values as SQL that the local warehouse and Spark both read back exactly."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from vinci_code.warehouse.sql.types import SqlType

_PLAIN_NUMBERS = ("TINYINT", "SMALLINT", "INT", "BIGINT")
_BY_CAST = ("FLOAT", "DOUBLE", "DECIMAL")
UNSEEN = re.compile(r"[\x00-\x1f\x7f-\xa0\u2028\u2029\ufeff]")
"""Characters that end a line, or cannot be seen."""

_SPECIAL = re.compile(rf"[\\']|{UNSEEN.pattern}")
_SHORT = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def literal(value: Any, kind: SqlType) -> str:
    """The literal of a value as Arrow gives it.

    Raises:
        ValueError: For a type of which no value can be written.
    """
    if value is None:
        return f"CAST(NULL AS {kind.text})"
    if kind.element is not None:
        items = ", ".join(literal(item, kind.element) for item in value)
        return f"ARRAY({items})" if items else f"CAST(ARRAY() AS {kind.text})"
    if kind.key is not None and kind.value is not None:
        items = ", ".join(
            f"{literal(name, kind.key)}, {literal(item, kind.value)}" for name, item in value
        )
        return f"MAP({items})" if items else f"CAST(MAP() AS {kind.text})"
    if kind.fields:
        items = ", ".join(
            f"{string(field.name)}, {literal(value[field.name], field.type)}"
            for field in kind.fields
        )
        return f"NAMED_STRUCT({items})"
    return _scalar(value, kind)


def string(text: str) -> str:
    """A text as a literal in one line."""
    return "'" + _SPECIAL.sub(_escape, text) + "'"


def _escape(found: re.Match[str]) -> str:
    return _SHORT.get(found[0]) or f"\\u{ord(found[0]):04x}"


def _scalar(value: Any, kind: SqlType) -> str:
    if kind.is_string:
        return string(value)
    if kind.name in _PLAIN_NUMBERS:
        # The smallest BIGINT is no literal: its digits without the sign are too large.
        return str(value) if value > -(2**63) else f"CAST('{value}' AS BIGINT)"
    if kind.name in _BY_CAST:
        return f"CAST('{value}' AS {kind.text})"
    if kind.name == "BOOLEAN":
        return "TRUE" if value else "FALSE"
    if kind.name == "BINARY":
        return f"X'{value.hex().upper()}'"
    if kind.name == "DATE":
        return f"DATE'{value.isoformat()}'"
    if kind.name == "TIMESTAMP":
        return f"TIMESTAMP'{value.astimezone(dt.timezone.utc).isoformat(' ')}'"
    if kind.name == "TIMESTAMP_NTZ":
        return f"TIMESTAMP_NTZ'{value.isoformat(' ')}'"
    if kind.name == "VARIANT":
        return f"PARSE_JSON({string(value)})"
    raise ValueError(f"no literal for the type {kind.text}")
