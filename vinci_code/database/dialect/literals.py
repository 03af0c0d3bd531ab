"""Values in the form of Databricks literals."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

# Databricks reads backslashes in a literal, and joins neighbouring literals, so that '' is no way
# to write a quote: https://docs.databricks.com/aws/en/sql/language-manual/data-types/string-type
_ESCAPES = str.maketrans(
    {"\\": "\\\\", "'": "\\'", "\0": "\\0", "\n": "\\n", "\r": "\\r", "\x1a": "\\Z"}
)


def quote_text(value: str) -> str:
    """Return a string literal that means exactly this text."""
    return f"'{value.translate(_ESCAPES)}'"


def python_literal(value: object) -> str:
    """Return a literal that means exactly this value.

    Raises:
        TypeError: There is no literal for values of this type.
    """
    if value is None:
        return "NULL"
    for kind, write in _WRITERS:
        if isinstance(value, kind):
            return write(value)
    raise TypeError(f"a {type(value).__name__} cannot be written into a statement")


def _decimal(value: Decimal) -> str:
    if not value.is_finite():
        raise ValueError(f"{value} is no DECIMAL")
    return f"{value:f}BD"


def _float(value: float) -> str:
    if math.isfinite(value):
        return f"{value!r}D"
    return f"DOUBLE({quote_text(str(value))})"


def _timestamp(value: dt.datetime) -> str:
    kind = "TIMESTAMP_NTZ" if value.tzinfo is None else "TIMESTAMP"
    return f"{kind} '{value.isoformat(' ')}'"


# The more specific first: a bool is an int, a datetime a date.
_WRITERS: tuple[tuple[type, Callable[[Any], str]], ...] = (
    (bool, lambda value: "TRUE" if value else "FALSE"),
    (int, str),
    (str, quote_text),
    (float, _float),
    (Decimal, _decimal),
    (dt.datetime, _timestamp),
    (dt.date, lambda value: f"DATE '{value.isoformat()}'"),
    (bytes, lambda value: f"X'{value.hex()}'"),
)
