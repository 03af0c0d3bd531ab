"""Schemas of JSON texts and of VARIANTs, as Spark infers them.

https://docs.databricks.com/aws/en/sql/language-manual/functions/schema_of_json and
https://docs.databricks.com/aws/en/sql/language-manual/functions/schema_of_variant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from typing import Any

from vinci_code.warehouse.sql.coercion import as_decimal, precision_scale
from vinci_code.warehouse.sql.errors import malformed_record
from vinci_code.warehouse.sql.json_reading import Number, load, pairs, read
from vinci_code.warehouse.sql.types import (
    BIGINT,
    BOOLEAN,
    DOUBLE,
    MAX_PRECISION,
    STRING,
    VARIANT,
    VOID,
    Field,
    SqlType,
    array,
    decimal,
)

_LONG = 2**63


@dataclass(frozen=True)
class _Rules:
    """What the two functions do each in its own way.

    Attributes:
        leaf: The type of a value that holds no others.
        record: What an object is called.
        otherwise: The type of items that have none in common.
    """

    leaf: Callable[[Any], SqlType]
    record: str
    otherwise: SqlType


def schema_of_json(text: str) -> str:
    """Return the DDL of a JSON text's schema.

    Raises:
        SqlError: ``MALFORMED_RECORD_IN_PARSING`` where it is not JSON.
    """
    if not text.strip():
        return STRING.text
    try:
        return _outermost(_inferred(read(text, words=True), _OF_JSON)).text
    except ValueError:
        raise malformed_record(text) from None


def schema_of_variant(text: str | None) -> str | None:
    """Return the schema of a VARIANT as ``schema_of_variant`` writes it.

    A VARIANT is kept as JSON text, in which the decimal 1.0 is the integer 1 and the double 1.5 is
    the decimal 1.5: these two get the wrong name.
    """
    if text is None:
        return None
    return _inferred(load(text), _OF_VARIANT).text


def row_type(value: dict[str, Any]) -> SqlType:
    """Return the STRUCT of one record of a file; what is NULL or empty in it is VOID."""
    return _inferred(value, _OF_JSON)


def merged_rows(kinds: Iterable[SqlType]) -> SqlType:
    """Return the STRUCT that records of several types are of."""
    return reduce(lambda one, other: _merged(one, other, _OF_JSON), kinds, SqlType("STRUCT"))


def usable_row(kind: SqlType) -> SqlType:
    """Return a STRUCT without what no column can have; it may be left with no field."""
    return _usable(kind) or SqlType("STRUCT")


def _inferred(value: Any, rules: _Rules) -> SqlType:
    if value is None:
        return VOID
    if isinstance(value, dict):
        return _record([Field(key, _inferred(item, rules)) for key, item in pairs(value)], rules)
    if isinstance(value, list):
        kinds = [_inferred(item, rules) for item in value]
        return array(reduce(lambda one, other: _merged(one, other, rules), kinds, VOID))
    return rules.leaf(value)


def _record(fields: list[Field], rules: _Rules) -> SqlType:
    return SqlType(rules.record, fields=tuple(sorted(fields, key=lambda item: item.name)))


def _json_leaf(value: Any) -> SqlType:
    if isinstance(value, bool):
        return BOOLEAN
    if isinstance(value, int):
        return _integer(value)
    return DOUBLE if isinstance(value, Number) else STRING


def _json_leaf_or_empty(value: Any) -> SqlType:
    # An empty text may stand for a NULL: JsonInferSchema lets the other values decide.
    return VOID if value == "" else _json_leaf(value)


def _variant_leaf(value: Any) -> SqlType:
    # The end of a number tells a double from a decimal: decimals are kept without zeros at theirs.
    if isinstance(value, Number) and "e" not in value.lower() and not value.endswith(".0"):
        digits, exponent = Decimal(value).as_tuple()[1:]
        scale = -int(exponent)
        return decimal(max(len(digits), scale), scale)
    return _json_leaf(value)


_OF_JSON = _Rules(_json_leaf_or_empty, "STRUCT", STRING)
_OF_VARIANT = _Rules(_variant_leaf, "OBJECT", VARIANT)


def _integer(value: int) -> SqlType:
    if -_LONG <= value < _LONG:
        return BIGINT
    digits = len(str(abs(value)))
    return decimal(digits, 0) if digits <= MAX_PRECISION else DOUBLE


def _merged(one: SqlType, other: SqlType, rules: _Rules) -> SqlType:
    if one == other or other == VOID:
        return one
    if one == VOID:
        return other
    if one.is_numeric and other.is_numeric:
        return _number(one, other)
    if one.element is not None and other.element is not None:
        return array(_merged(one.element, other.element, rules))
    if one.name == other.name == rules.record:
        left, right = ({item.name: item.type for item in kind.fields} for kind in (one, other))
        names = {**left, **right}
        return _record(
            [Field(n, _merged(left.get(n, VOID), right.get(n, VOID), rules)) for n in names], rules
        )
    return rules.otherwise


def _number(one: SqlType, other: SqlType) -> SqlType:
    if DOUBLE in (one, other):
        return DOUBLE
    (p1, s1), (p2, s2) = (precision_scale(as_decimal(kind)) for kind in (one, other))
    scale, whole = max(s1, s2), max(p1 - s1, p2 - s2)
    return decimal(whole + scale, scale) if whole + scale <= MAX_PRECISION else DOUBLE


def _outermost(kind: SqlType) -> SqlType:
    """Return a type without what no column can have: a null is text, an empty struct is left out.

    Only the outermost struct, or the struct that an array is made of, may be empty.
    """
    if kind.name == "STRUCT":
        return _usable(kind) or SqlType("STRUCT")
    if kind.element is not None and kind.element.name == "STRUCT":
        return array(_usable(kind.element) or SqlType("STRUCT"))
    return _usable(kind) or STRING


def _usable(kind: SqlType) -> SqlType | None:
    if kind == VOID:
        return STRING
    if kind.element is not None:
        element = _usable(kind.element)
        return None if element is None else array(element)
    if kind.name != "STRUCT":
        return kind
    fields = [(item.name, _usable(item.type)) for item in kind.fields]
    kept = [Field(name, found) for name, found in fields if found is not None]
    return _record(kept, _OF_JSON) if kept else None
