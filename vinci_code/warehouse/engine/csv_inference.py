"""Types of the columns of CSV, as Spark's ``CSVInferSchema`` finds them.

A column is INT where every field is one, else BIGINT, DECIMAL without a scale, DOUBLE, BOOLEAN or
STRING. Whether a text that looks like a date or a time is one depends on ``preferDate``, whose
default the documentation and Spark tell differently: such a column is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from vinci_code.warehouse.engine.csv_values import INTEGRAL_RANGES
from vinci_code.warehouse.engine.text_files import BLANK, excerpt
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.texts import parse_date, parse_timestamp
from vinci_code.warehouse.sql.types import (
    BIGINT,
    BOOLEAN,
    DOUBLE,
    INT,
    MAX_PRECISION,
    STRING,
    VOID,
    SqlType,
    decimal,
)

_NUMBERS = ("INT", "BIGINT", "DECIMAL", "DOUBLE")
_SMALL = r"^-?[0-9]{1,9}$"


class ColumnInference:
    """Finds the types of columns from their fields, which come many at a time.

    Args:
        names: The columns, for messages.
        null: The text of NULL.
    """

    def __init__(self, names: Sequence[str], null: str) -> None:
        self._names = list(names)
        self._null = null
        self._types = [VOID] * len(names)
        self._times: dict[int, str] = {}
        self._numbers: dict[int, str] = {}

    def add(self, place: int, texts: Sequence[str | None]) -> None:
        """Take in fields of one column."""
        given = {text for text in texts if text} - {self._null}
        kind = self._types[place]
        if kind in (VOID, INT) and given:
            values = pa.array(list(given), pa.string())
            if pc.all(pc.match_substring_regex(values, _SMALL)).as_py():
                self._types[place] = INT
                return
        for text in given if kind != STRING else ():
            kind = together(kind, self._type(text, place))
        self._types[place] = kind

    def types(self) -> list[SqlType]:
        """Return the types of all columns; VOID where there was no value.

        Raises:
            SqlError: It is not known what Spark makes of the values of one.
        """
        return [self._final(place, kind) for place, kind in enumerate(self._types)]

    def _final(self, place: int, kind: SqlType) -> SqlType:
        if kind == STRING:
            return kind
        time, number = self._times.get(place), self._numbers.get(place)
        if number is None and (time is None or kind != VOID):
            # A time beside anything else is text.
            return kind if time is None else STRING
        raise unsupported(
            f"the type of the column `{self._names[place]}` by its value "
            f"{excerpt(number or time or '')!r}; a schema says it"
        )

    def _type(self, text: str, place: int) -> SqlType:
        if _INTEGER.fullmatch(text):
            return _integer(text)
        trimmed = text.strip(BLANK)
        if _FLOAT.fullmatch(trimmed) or trimmed in _WORDS or text in ("Inf", "-Inf"):
            return DOUBLE
        if text.lower() in ("true", "false"):
            return BOOLEAN
        if _UNSURE_NUMBER.match(trimmed) or (
            not trimmed.isascii() and any(letter.isdigit() for letter in trimmed)
        ):
            self._numbers[place] = text
            return VOID
        if _is_time(text):
            self._times[place] = text
            return VOID
        return STRING


def together(one: SqlType, other: SqlType) -> SqlType:
    """Return the type of a column whose values are of both."""
    if one == other or other == VOID:
        return one
    if one == VOID:
        return other
    if one.name in _NUMBERS and other.name in _NUMBERS:
        return _number(one, other)
    return STRING


def as_columns(types: Iterable[SqlType]) -> list[SqlType]:
    """Return the types that columns get: one without a value is STRING."""
    return [STRING if kind == VOID else kind for kind in types]


def _integer(text: str) -> SqlType:
    digits = text.lstrip("+-").lstrip("0") or "0"
    if len(digits) > MAX_PRECISION:
        return DOUBLE
    value = int(text)
    for kind in (INT, BIGINT):
        limit = INTEGRAL_RANGES[kind.name]
        if -limit <= value < limit:
            return kind
    return decimal(len(Decimal(digits).as_tuple().digits), 0)


def _number(one: SqlType, other: SqlType) -> SqlType:
    if DOUBLE in (one, other):
        return DOUBLE
    if BIGINT in (one, other) and INT in (one, other):
        return BIGINT
    precision = max(_PRECISIONS.get(kind.name, kind.precision or 0) for kind in (one, other))
    return decimal(precision, 0)


_PRECISIONS = {"INT": 10, "BIGINT": 20}


def _is_time(text: str) -> bool:
    if not any(letter.isdigit() for letter in text):
        return False
    try:
        return parse_date(text) is not None or parse_timestamp(text, "UTC") is not None
    except SqlError:
        return True  # a year, or a time alone, that is known and refused


_INTEGER = re.compile(r"[+-]?[0-9]+")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WORDS = ("NaN", "+NaN", "-NaN", "Infinity", "+Infinity", "-Infinity")
# Hexadecimal digits, separators of thousands, the suffixes of Java.
_UNSURE_NUMBER = re.compile(
    r"[+-]?(?:0[xX]|(?=[0-9.]*,)(?=[0-9.,]*[0-9])[0-9.,]+(?:[eE][+-]?[0-9]+)?\Z|"
    r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[dDfF]\Z)"
)
