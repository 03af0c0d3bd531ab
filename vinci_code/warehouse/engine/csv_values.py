"""Fields of CSV as values of a type, as Spark's ``UnivocityParser`` converts them.

A field that is the text of NULL is NULL. One that is no value of its type is malformed; one of
which it is not known what Spark makes of it is refused: with dates it depends on what the parser of
old versions could read (``LEGACY_TIME_PARSER_POLICY`` is EXCEPTION).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation, localcontext
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from vinci_code.warehouse.engine.text_files import BLANK, excerpt
from vinci_code.warehouse.sql.errors import unsupported
from vinci_code.warehouse.sql.patterns import parse_datetime
from vinci_code.warehouse.sql.texts import parse_timestamp
from vinci_code.warehouse.sql.types import Column, SqlType

INTEGRAL_RANGES = {"TINYINT": 2**7, "SMALLINT": 2**15, "INT": 2**31, "BIGINT": 2**63}
FORMAT_OPTIONS = {
    "TIMESTAMP": "timestampformat",
    "TIMESTAMP_NTZ": "timestampntzformat",
    "DATE": "dateformat",
}


class MalformedError(ValueError):
    """A field is no value of its column's type."""


@dataclass(frozen=True)
class ValueRules:
    """What else decides about values.

    Attributes:
        null: The text of NULL.
        zone: The time zone of times that name none.
        formats: Patterns of dates and times, by the names of their options.
        exact: Whether a value is taken only where a cast gives the same.
    """

    null: str
    zone: str
    formats: Mapping[str, str] = field(default_factory=dict)
    exact: bool = False


def check_types(columns: Sequence[Column]) -> None:
    """Refuse columns of types that CSV has no values of."""
    for column in columns:
        name = column.type.name
        if not (column.type.is_integral or name == "STRING" or name in _READERS):
            raise unsupported(f"a column of type {column.type.text} in CSV: `{column.name}`")


def values_of(
    texts: Sequence[str | None], kind: SqlType, rules: ValueRules
) -> tuple[pa.Array, list[int]]:
    """Return a column of fields as values, NULL for what is malformed, and the places of that.

    ``None`` stands for a field that is not there.
    """
    null = rules.null
    given = pa.array([None if text == null else text for text in texts], pa.string())
    if kind.name == "STRING":
        return given, []
    fast = _at_once(given, kind, rules)
    if fast is not None:
        return fast, []
    found: list[Any] = []
    malformed: list[int] = []
    for place, text in enumerate(given.to_pylist()):
        try:
            found.append(None if text is None else read_value(text, kind, rules))
        except MalformedError:
            found.append(None)
            malformed.append(place)
    return pa.array(found, kind.arrow()), malformed


def read_value(text: str, kind: SqlType, rules: ValueRules) -> Any:
    """Return one field as a value.

    Raises:
        MalformedError: It is none of this type.
        SqlError: It is not known what Spark makes of it.
    """
    if kind.is_integral:
        return _integer(text, INTEGRAL_RANGES[kind.name])
    return _READERS[kind.name](text, kind, rules)


# ---- a whole column at once, where no value in it is unusual

_USUAL = {
    "BIGINT": r"^-?[0-9]{1,18}$",
    "INT": r"^-?[0-9]{1,9}$",
    "SMALLINT": r"^-?[0-9]{1,4}$",
    "TINYINT": r"^-?[0-9]{1,2}$",
    "DOUBLE": r"^-?[0-9]{1,15}(\.[0-9]{1,15})?$",
    "BOOLEAN": r"^(true|false)$",
    "DATE": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
    "TIMESTAMP_NTZ": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?$",
}
_USUAL["TIMESTAMP"] = _USUAL["TIMESTAMP_NTZ"]
_UTC = ("UTC", "Etc/UTC")


def _at_once(given: pa.Array, kind: SqlType, rules: ValueRules) -> pa.Array | None:
    pattern = _USUAL.get(kind.name)
    if pattern is None or FORMAT_OPTIONS.get(kind.name) in rules.formats:
        return None
    if kind.name == "TIMESTAMP" and rules.zone not in _UTC:
        return None
    if pc.all(pc.match_substring_regex(given, pattern), min_count=0).as_py() is not True:
        return None
    try:
        if kind.name == "TIMESTAMP":
            given = given.cast(pa.timestamp("us"))
        found: pa.Array = given.cast(kind.arrow())
    except pa.ArrowInvalid:
        return None
    # Arrow knows the year 0, and Python's dates do not.
    if kind.name in FORMAT_OPTIONS and pc.any(pc.less(pc.year(found), 1)).as_py():
        return None
    return found


# ---- one value


def _integer(text: str, limit: int) -> int:
    if not text.isascii() and any(letter.isdigit() for letter in text):
        raise unsupported(f"digits of another script in CSV: {excerpt(text)}")
    match = _INTEGER.fullmatch(text)
    if match is None or len(match[2]) > _LONGEST_INTEGER:
        raise MalformedError
    value = int(match[1] + (match[2] or "0"))
    if not -limit <= value < limit:
        raise MalformedError
    return value


_INTEGER = re.compile(r"([+-]?)(?=[0-9])0*(|[1-9][0-9]*)")
_LONGEST_INTEGER = 19


def _float(text: str, kind: SqlType, rules: ValueRules) -> float:
    if text in _WORDS:
        return _WORDS[text]
    trimmed = text.strip(BLANK)
    word = _JAVA_WORDS.get(trimmed)
    if word is not None and not rules.exact:
        return word
    if _HEXADECIMAL.match(trimmed) or word is not None:
        raise unsupported(f"the number {excerpt(text)} in CSV")
    match = _FLOAT.fullmatch(trimmed)
    if match is None:
        raise MalformedError
    return float(match[1]) if kind.name == "DOUBLE" else _single(match[1])


def _single(text: str) -> float:
    try:
        value: float = pa.scalar(text.lstrip("+")).cast(pa.float32()).as_py()
    except pa.ArrowInvalid:
        value = float(text)
    return value


_WORDS = {"NaN": float("nan"), "Inf": float("inf"), "-Inf": float("-inf")}
_JAVA_WORDS = {
    "NaN": float("nan"),
    "+NaN": float("nan"),
    "-NaN": float("nan"),
    "Infinity": float("inf"),
    "+Infinity": float("inf"),
    "-Infinity": float("-inf"),
}
_HEXADECIMAL = re.compile(r"[+-]?0[xX]")
_FLOAT = re.compile(r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)[dDfF]?")


def _decimal(text: str, kind: SqlType, rules: ValueRules) -> Decimal:
    if "," in text and rules.exact:
        raise unsupported(f"the number {excerpt(text)} in CSV")
    # Spark takes the separators of thousands away first.
    plain = text.replace(",", "")
    if not _DECIMAL.fullmatch(plain):
        if not plain.isascii() and any(letter.isdigit() for letter in plain):
            raise unsupported(f"digits of another script in CSV: {excerpt(text)}")
        raise MalformedError
    precision, scale = kind.precision or 10, kind.scale or 0
    with localcontext() as context:
        context.prec = _DIGITS
        try:
            value = Decimal(plain).quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP)
        except InvalidOperation:
            raise MalformedError from None
    if value.copy_abs() >= Decimal(10) ** (precision - scale):
        raise MalformedError
    return value


_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DIGITS = 120


def _boolean(text: str, _kind: SqlType, _rules: ValueRules) -> bool:
    word = text.lower()
    if word not in ("true", "false"):
        raise MalformedError
    return word == "true"


def _date(text: str, kind: SqlType, rules: ValueRules) -> date:
    pattern = rules.formats.get(FORMAT_OPTIONS[kind.name])
    if pattern is not None:
        return _by_pattern(text, pattern, "UTC").date()
    if not _DATE.fullmatch(text):
        raise _no_time(text, kind)
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise _no_time(text, kind) from None


def _timestamp(text: str, kind: SqlType, rules: ValueRules) -> datetime:
    zone = rules.zone if kind.name == "TIMESTAMP" else "UTC"
    pattern = rules.formats.get(FORMAT_OPTIONS[kind.name])
    if pattern is not None:
        return _by_pattern(text, pattern, zone)
    match = _TIMESTAMP.fullmatch(text)
    if match is None or (match[1] and kind.name == "TIMESTAMP_NTZ"):
        raise _no_time(text, kind)
    found = parse_timestamp(text, zone)
    if found is None:
        raise _no_time(text, kind)
    return found


def _by_pattern(text: str, pattern: str, zone: str) -> datetime:
    found = parse_datetime(text, pattern, zone)
    if found is None:
        raise _no_time(text, SqlType(f"the pattern '{pattern}'"))
    return found


def _no_time(text: str, kind: SqlType) -> Exception:
    if not any(letter.isdigit() for letter in text):
        return MalformedError(text)
    return unsupported(f"the text '{excerpt(text)}' in a file as {kind.name}")


_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[ T][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})?)?"
)


_READERS: dict[str, Callable[[str, SqlType, ValueRules], Any]] = {
    "FLOAT": _float,
    "DOUBLE": _float,
    "DECIMAL": _decimal,
    "BOOLEAN": _boolean,
    "DATE": _date,
    "TIMESTAMP": _timestamp,
    "TIMESTAMP_NTZ": _timestamp,
}
