"""Rewrites of literals, parameters and casts."""

# ruff: noqa: ARG001 - every rewrite has the same parameters
from __future__ import annotations

import sys
from decimal import Decimal

from sqlglot import exp

from vinci_code.warehouse.sql.binder import Binder, only, refused
from vinci_code.warehouse.sql.casts import cast, interval_sql
from vinci_code.warehouse.sql.coercion import common_interval, interval_type, interval_units
from vinci_code.warehouse.sql.dialect import SUFFIXES
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.scope import Scope
from vinci_code.warehouse.sql.texts import (
    MICROS,
    MONTHS,
    interval_text,
    java_float,
    parse_date,
    parse_interval,
    parse_interval_words,
    parse_timestamp,
    parse_timestamp_ntz,
)
from vinci_code.warehouse.sql.types import (
    BIGINT,
    BINARY,
    DATE,
    DOUBLE,
    FLOAT,
    TIMESTAMP,
    TIMESTAMP_NTZ,
    SqlType,
    from_sqlglot,
    parse_type,
    precision_exceeded,
)
from vinci_code.warehouse.sql.values import Typed, literal, text_sql


def rewrite_literal(binder: Binder, node: exp.Literal, scope: Scope) -> Typed:
    """``1`` is INT, ``1.5`` DECIMAL(2,1), ``1e3`` DOUBLE, ``1L`` BIGINT; text is STRING."""
    if node.is_string:
        value = literal(node.this)
        return Typed(binder.text(node.this), value.type, node.this, False, node.this)
    return number(node.this)


def rewrite_negative(binder: Binder, node: exp.Neg, scope: Scope) -> Typed:
    """``-9223372036854775808`` is one literal; any other minus is an operator."""
    only(node, "this")
    if isinstance(node.this, exp.Literal) and not node.this.is_string:
        return number(f"-{node.this.this}")
    from vinci_code.warehouse.sql.rewrites.operators import negate

    return negate(binder, binder.expression(node.this, scope))


def number(text: str) -> Typed:
    """Return a numeric literal; the suffix, the point and the exponent decide its type."""
    if len(text) > _LONGEST_NUMBER:
        raise precision_exceeded(len(text))
    upper = text.upper()
    for suffix in ("BD", "L", "S", "Y", "D", "F"):
        if upper.endswith(suffix):
            return _suffixed(text[: -len(suffix)], suffix)
    if "E" in upper:
        return _double(text, DOUBLE)
    if "." in text:
        return literal(Decimal(text))
    return literal(int(text))


_LONGEST_NUMBER = 4_000  # characters; Python reads whole numbers of 4,300 digits


def _suffixed(text: str, suffix: str) -> Typed:
    if suffix == "BD":
        return literal(Decimal(text))
    kind = parse_type(SUFFIXES[suffix])
    if kind in (DOUBLE, FLOAT):
        return _double(text, kind)
    bits = {"L": 63, "S": 15, "Y": 7}[suffix]
    if not -(2**bits) <= int(text) < 2**bits:
        raise _out_of_literal_range(text, kind, str(-(2**bits)), str(2**bits - 1))
    return literal(int(text), kind)


def _out_of_literal_range(text: str, kind: SqlType, low: str, high: str) -> SqlError:
    return SqlError(
        "INVALID_NUMERIC_LITERAL_RANGE",
        "22003",
        f"Numeric literal {text} is outside the valid range for {kind.text.lower()} with minimum "
        f"value of {low} and maximum value of {high}. Please adjust the value accordingly.",
    )


_LARGEST = {
    "DOUBLE": Decimal(sys.float_info.max),
    "FLOAT": Decimal(2**128 - 2**104),
}


def _double(text: str, kind: SqlType) -> Typed:
    value = float(text)
    limit = _LARGEST[kind.name]
    if abs(Decimal(text)) > limit:
        shown = java_float(repr(float(limit)))
        raise _out_of_literal_range(text, kind, f"-{shown}", shown)
    return Typed(
        f"CAST('{value!r}' AS {kind.duckdb()})", kind, java_float(repr(value)), False, value
    )


def rewrite_boolean(binder: Binder, node: exp.Boolean, scope: Scope) -> Typed:
    """``TRUE`` and ``FALSE``."""
    return literal(bool(node.this))


def rewrite_null(binder: Binder, node: exp.Null, scope: Scope) -> Typed:
    """``NULL`` has the type VOID until something gives it another."""
    return literal(None)


def rewrite_hex(binder: Binder, node: exp.HexString, scope: Scope) -> Typed:
    """``X'4142'`` is BINARY."""
    digits = node.this.upper()
    padded = digits if len(digits) % 2 == 0 else "0" + digits
    return Typed(f"unhex('{padded}')", BINARY, f"X'{padded}'", False)


def rewrite_parameter(binder: Binder, node: exp.Placeholder, scope: Scope) -> Typed:
    """``:name`` and ``?`` become bound values, never text."""
    return binder.parameter(node)


def rewrite_paren(binder: Binder, node: exp.Paren, scope: Scope) -> Typed:
    """Parentheses group; every translated expression brings its own."""
    only(node, "this")
    return binder.expression(node.this, scope)


def rewrite_cast(binder: Binder, node: exp.Cast, scope: Scope) -> Typed:
    """``CAST``, ``::`` and typed literals, with ANSI errors."""
    only(node, "this", "to", "safe")
    if node.meta.get("typed_literal"):
        return typed_literal(node.this.this, from_sqlglot(node.args["to"]), binder.zone)
    value = binder.expression(node.this, scope)
    # A path keeps its own name: value:a.b::int is the column b.
    name = value.name if isinstance(node.this, exp.JSONExtract) else ""
    return cast(value, _target(node), binder.zone, name=name)


def rewrite_try_cast(binder: Binder, node: exp.TryCast, scope: Scope) -> Typed:
    """``TRY_CAST`` and ``?::`` give NULL where CAST raises."""
    only(node, "this", "to", "safe")
    value = binder.expression(node.this, scope)
    target = _target(node)
    name = f"TRY_CAST({value.name} AS {target.text})"
    return cast(value, target, binder.zone, attempt=True, name=name)


def _target(node: exp.Expr) -> SqlType:
    return from_sqlglot(node.args["to"])


def typed_literal(text: str, kind: SqlType, zone: str) -> Typed:
    """``DATE '2020-01-01'`` and the like: a constant, refused when it is malformed."""
    if kind == DATE:
        day = parse_date(text)
        if day is not None:
            return Typed(f"DATE '{day.isoformat()}'", DATE, f"DATE '{day.isoformat()}'", False, day)
    elif kind == TIMESTAMP:
        instant = parse_timestamp(text, zone)
        if instant is not None:
            sql = f"timezone('UTC', TIMESTAMP '{instant.isoformat(' ')}')"
            return Typed(sql, TIMESTAMP, f"TIMESTAMP '{_shown(instant.isoformat(' '))}'", False)
    elif kind == TIMESTAMP_NTZ:
        clock = parse_timestamp_ntz(text)
        if clock is not None:
            shown = clock.isoformat(" ")
            return Typed(f"TIMESTAMP '{shown}'", kind, f"TIMESTAMP_NTZ '{_shown(shown)}'", False)
    raise SqlError(
        "INVALID_TYPED_LITERAL",
        "42604",
        f"The value of the typed literal \"{kind.text}\" is invalid: '{text}'.",
    )


def _shown(text: str) -> str:
    return text.rstrip("0") if "." in text else text


def rewrite_interval(binder: Binder, node: exp.Interval, scope: Scope) -> Typed:
    """``INTERVAL '1' DAY``, ``INTERVAL n HOURS``, ``INTERVAL '1-2' YEAR TO MONTH``."""
    only(node, "this", "unit")
    unit = node.args.get("unit")
    value = node.this
    if unit is None:
        return _interval_words(value.this)
    if isinstance(unit, exp.IntervalSpan):
        return _interval_constant(value.this, unit.this.name, unit.expression.name)
    if isinstance(value, exp.Literal) and unit.name in (*MONTHS, *_DAY_ORDER):
        return _interval_constant(value.this, unit.name, unit.name)
    return _interval_value(binder, binder.expression(value, scope), unit.name)


def rewrite_intervals(binder: Binder, parts: list[exp.Expr], scope: Scope) -> Typed:
    """``INTERVAL 1 DAY 2 HOURS`` is the sum of its parts."""
    values = [binder.expression(part, scope) for part in parts]
    kind = values[0].type
    for value in values[1:]:
        joined = common_interval(kind, value.type)
        if joined is None:
            raise _malformed(" ".join(part.name for part in values))
        kind = joined
    if all(value.is_constant for value in values):
        total = sum(int(str(value.constant)) for value in values)
        return _interval_literal(total, *interval_units(kind))
    name = "INTERVAL " + " + ".join(value.name for value in values)
    return Typed(f"({' + '.join(value.sql for value in values)})", kind, name)


_DAY_ORDER = ("DAY", "HOUR", "MINUTE", "SECOND")


def _interval_constant(text: str, first: str, last: str) -> Typed:
    count = parse_interval(text, first, last)
    if count is None:
        raise _malformed(text)
    return _interval_literal(count, first, last)


def _interval_literal(count: int, first: str, last: str) -> Typed:
    kind = interval_type(first, last)
    sql = f"to_months({count})" if first in MONTHS else f"to_microseconds({count})"
    return Typed(sql, kind, interval_text(count, first, last), False, count)


def _interval_value(binder: Binder, value: Typed, unit: str) -> Typed:
    if unit in MONTHS or unit in _DAY_ORDER:
        kind = interval_type(unit, unit)
    else:
        kind = interval_type(*(("DAY", "DAY") if unit == "WEEK" else ("SECOND", "SECOND")))
    if value.is_constant and value.type.is_integral:
        return _interval_literal(
            int(str(value.constant)) * (MONTHS.get(unit) or MICROS[unit]), *interval_units(kind)
        )
    target = value if value.type.is_integral else binder.cast(value, BIGINT)
    return Typed(interval_sql(target.sql, unit), kind, f"INTERVAL {value.name} {unit}")


def _interval_words(text: str) -> Typed:
    units = parse_interval_words(text)
    if not units:
        raise _malformed(text)
    months = [unit for unit in units if unit in MONTHS]
    if months and len(months) != len(units):
        raise refused(exp.Interval(), "both months and days in one interval")
    if months:
        total = sum(int(units[unit]) * MONTHS[unit] for unit in units)
        first = "YEAR" if "YEAR" in units else "MONTH"
        return _interval_literal(total, first, "MONTH" if "MONTH" in units else "YEAR")
    total = int(sum(value * MICROS[unit] for unit, value in units.items()))
    names = {_FOLDED.get(unit, unit) for unit in units}
    first = min(names, key=_DAY_ORDER.index)
    return _interval_literal(total, first, max(names, key=_DAY_ORDER.index))


_FOLDED = {"WEEK": "DAY", "MILLISECOND": "SECOND", "MICROSECOND": "SECOND"}


def _malformed(text: str) -> SqlError:
    return SqlError(
        "INVALID_INTERVAL_FORMAT.UNMATCHED_FORMAT_STRING",
        "22006",
        f"Error parsing '{text}' to interval. Please ensure that the value provided is in a valid "
        f"format for defining an interval. {text_sql(text)} does not match the format.",
    )
