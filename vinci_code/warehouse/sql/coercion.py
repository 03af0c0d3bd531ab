"""Which type two Databricks types have in common, and the types of decimal arithmetic.

https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-datatype-rules and, for the decimals,
Apache Spark's ``DecimalPrecision`` / ``DecimalType.adjustPrecisionScale``.
"""

from __future__ import annotations

from collections.abc import Iterable

from vinci_code.warehouse.sql.types import (
    BIGINT,
    BOOLEAN,
    DATE,
    DOUBLE,
    FLOAT,
    INTEGRAL,
    MAX_PRECISION,
    STRING,
    TIMESTAMP,
    TIMESTAMP_NTZ,
    VOID,
    Field,
    SqlType,
    array,
    decimal,
    map_of,
)

_MINIMUM_SCALE = 6
# The decimal that holds every value of an integer type.
INTEGER_DECIMALS = {
    "TINYINT": decimal(3, 0),
    "SMALLINT": decimal(5, 0),
    "INT": decimal(10, 0),
    "BIGINT": decimal(20, 0),
}
_DAY_UNITS = ("DAY", "HOUR", "MINUTE", "SECOND")
_MONTH_UNITS = ("YEAR", "MONTH")


def as_decimal(kind: SqlType) -> SqlType:
    """Return the decimal for an integer or decimal type."""
    return kind if kind.name == "DECIMAL" else INTEGER_DECIMALS[kind.name]


def precision_scale(kind: SqlType) -> tuple[int, int]:
    """Return precision and scale of a DECIMAL."""
    return kind.precision or 10, kind.scale or 0


def wider_decimal(left: SqlType, right: SqlType) -> SqlType:
    """Return the decimal that holds the values of both, bounded to 38 digits."""
    (p1, s1), (p2, s2) = precision_scale(left), precision_scale(right)
    scale = max(s1, s2)
    whole = max(p1 - s1, p2 - s2)
    if whole + scale <= MAX_PRECISION:
        return decimal(whole + scale, scale)
    # The integral digits are kept, and the scale gives way.
    return decimal(MAX_PRECISION, max(0, MAX_PRECISION - whole))


def adjusted(precision: int, scale: int) -> SqlType:
    """Return the decimal for an exact result, scaled down where it exceeds 38 digits."""
    if precision <= MAX_PRECISION:
        return decimal(precision, scale)
    whole = precision - scale
    return decimal(MAX_PRECISION, max(MAX_PRECISION - whole, min(scale, _MINIMUM_SCALE)))


def arithmetic_decimal(operator: str, left: SqlType, right: SqlType) -> SqlType:
    """Return the type of ``left operator right`` for decimals."""
    (p1, s1), (p2, s2) = precision_scale(left), precision_scale(right)
    if operator in ("+", "-"):
        scale = max(s1, s2)
        return adjusted(max(p1 - s1, p2 - s2) + scale + 1, scale)
    if operator == "*":
        return adjusted(p1 + p2 + 1, s1 + s2)
    if operator == "%":
        scale = max(s1, s2)
        return adjusted(min(p1 - s1, p2 - s2) + scale, scale)
    scale = max(_MINIMUM_SCALE, s1 + p2 + 1)
    return adjusted(p1 - s1 + s2 + scale, scale)


def common_type(types: Iterable[SqlType]) -> SqlType | None:
    """Return the least common type, or ``None`` where there is none."""
    result: SqlType | None = VOID
    for kind in types:
        result = common_of_two(result, kind) if result is not None else None
    return result


def common_of_two(left: SqlType, right: SqlType) -> SqlType | None:
    """Return the least common type of two types, or ``None``."""
    if left == right:
        return left
    if left.name == "VOID":
        return right
    if right.name == "VOID":
        return left
    if left.is_numeric and right.is_numeric:
        return _common_numeric(left, right)
    if left.is_string or right.is_string:
        return _common_with_string(left, right)
    if left.is_nested and left.name == right.name:
        return _common_nested(left, right)
    if left.is_interval and right.is_interval:
        return common_interval(left, right)
    return _common_datetime(left, right)


def tightest_of_two(left: SqlType, right: SqlType) -> SqlType | None:
    """Return the type of which both are, so that neither changes its nature; or ``None``.

    The array functions take an element so: no text for a number, no decimal for an integer that it
    cannot hold.
    """
    if left == right or VOID in (left, right):
        return common_of_two(left, right)
    if left.element is not None and right.element is not None:
        element = tightest_of_two(left.element, right.element)
        return None if element is None else array(element)
    if left.fields and right.fields:
        pairs = zip(left.fields, right.fields, strict=False)
        if any(tightest_of_two(one.type, other.type) is None for one, other in pairs):
            return None
    if left.is_string != right.is_string:
        return None
    kind = common_of_two(left, right)
    if "DECIMAL" not in (left.name, right.name):
        return kind
    return (
        kind if kind in (left, right) and {left.name, right.name} & set(INTEGER_DECIMALS) else None
    )


def _common_numeric(left: SqlType, right: SqlType) -> SqlType:
    if "DOUBLE" in (left.name, right.name):
        return DOUBLE
    if left.name == right.name == "FLOAT":
        return FLOAT
    if "FLOAT" in (left.name, right.name):
        return DOUBLE
    if "DECIMAL" in (left.name, right.name):
        return wider_decimal(as_decimal(left), as_decimal(right))
    return left if INTEGRAL.index(left.name) >= INTEGRAL.index(right.name) else right


def _common_with_string(left: SqlType, right: SqlType) -> SqlType | None:
    other = right if left.is_string else left
    if other.is_string:
        return STRING
    if other.is_integral:
        return BIGINT
    if other.is_numeric:
        return DOUBLE
    if other.name in ("DATE", "TIMESTAMP", "TIMESTAMP_NTZ", "BOOLEAN", "BINARY"):
        return other
    # A text could be any kind of interval, so that it becomes none.
    return None


def _common_nested(left: SqlType, right: SqlType) -> SqlType | None:
    if left.element is not None and right.element is not None:
        element = common_of_two(left.element, right.element)
        return None if element is None else array(element)
    if left.key and left.value and right.key and right.value:
        key, value = common_of_two(left.key, right.key), common_of_two(left.value, right.value)
        return None if key is None or value is None else map_of(key, value)
    if len(left.fields) != len(right.fields):
        return None
    fields = []
    for one, other in zip(left.fields, right.fields, strict=True):
        kind = common_of_two(one.type, other.type)
        if kind is None or one.name.lower() != other.name.lower():
            return None
        fields.append(Field(one.name, kind, one.nullable or other.nullable))
    return SqlType("STRUCT", fields=tuple(fields))


def interval_units(kind: SqlType) -> tuple[str, str]:
    """Return first and last unit of an interval type."""
    first, _, last = kind.name.removeprefix("INTERVAL ").partition(" TO ")
    return first, last or first


def interval_type(first: str, last: str) -> SqlType:
    """Return the interval type from one unit to another."""
    return SqlType(f"INTERVAL {first}" if first == last else f"INTERVAL {first} TO {last}")


def common_interval(left: SqlType, right: SqlType) -> SqlType | None:
    """Return the interval type that holds both, or ``None`` for months against days."""
    if left.is_month_interval != right.is_month_interval:
        return None
    units = _MONTH_UNITS if left.is_month_interval else _DAY_UNITS
    ends = [interval_units(left), interval_units(right)]
    first = min((one for one, _ in ends), key=units.index)
    last = max((one for _, one in ends), key=units.index)
    return interval_type(first, last)


_DATETIMES = ("DATE", "TIMESTAMP_NTZ", "TIMESTAMP")


def _common_datetime(left: SqlType, right: SqlType) -> SqlType | None:
    if left.name in _DATETIMES and right.name in _DATETIMES:
        names = (left.name, right.name)
        return (
            TIMESTAMP
            if "TIMESTAMP" in names
            else TIMESTAMP_NTZ
            if "TIMESTAMP_NTZ" in names
            else DATE
        )
    return None


def comparable(kind: SqlType) -> bool:
    """Return whether values of the type can be compared."""
    if kind.name in ("MAP", "VARIANT"):
        return False
    if kind.element is not None:
        return comparable(kind.element)
    return all(comparable(item.type) for item in kind.fields)


def is_boolean(kind: SqlType) -> bool:
    """Return whether a value of the type can stand where a condition must."""
    return kind in (BOOLEAN, VOID)
