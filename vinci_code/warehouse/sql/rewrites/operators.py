"""Rewrites of arithmetic, comparison and logic."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from vinci_code.warehouse.sql.binder import Binder, only, unexpected_input
from vinci_code.warehouse.sql.bounds import bytes_checked, items_checked
from vinci_code.warehouse.sql.casts import let, local_sql, variable
from vinci_code.warehouse.sql.coercion import (
    INTEGER_DECIMALS,
    arithmetic_decimal,
    common_interval,
    common_of_two,
    comparable,
    interval_type,
    interval_units,
    precision_scale,
    tightest_of_two,
)
from vinci_code.warehouse.sql.errors import (
    SqlError,
    arithmetic_overflow,
    divide_by_zero,
    remainder_by_zero,
)
from vinci_code.warehouse.sql.scope import Scope
from vinci_code.warehouse.sql.types import (
    BIGINT,
    BINARY,
    BOOLEAN,
    DATE,
    DOUBLE,
    INT,
    INTERVAL_DAY_SECOND,
    STRING,
    TIMESTAMP,
    TIMESTAMP_NTZ,
    VOID,
    SqlType,
    decimal,
)
from vinci_code.warehouse.sql.values import (
    MISSING,
    Typed,
    cast_sql,
    fail_sql,
    literal,
    months_sql,
    quote,
)

_DATETIMES = ("DATE", "TIMESTAMP", "TIMESTAMP_NTZ")


def rewrite_add(binder: Binder, node: exp.Add, scope: Scope) -> Typed:
    """``+`` on numbers, dates, timestamps and intervals, with ANSI overflow."""
    return add(binder, *_operands(binder, node, scope))


def rewrite_subtract(binder: Binder, node: exp.Sub, scope: Scope) -> Typed:
    """``-`` on numbers, dates, timestamps and intervals, with ANSI overflow."""
    return subtract(binder, *_operands(binder, node, scope))


def rewrite_multiply(binder: Binder, node: exp.Mul, scope: Scope) -> Typed:
    """``*`` on numbers, and on an interval and a number."""
    return multiply(binder, *_operands(binder, node, scope))


def rewrite_divide(binder: Binder, node: exp.Div, scope: Scope) -> Typed:
    """``/`` is fractional for integers, exact for decimals, and raises on zero."""
    only(node, "this", "expression", "typed", "safe")
    left, right = binder.expression(node.this, scope), binder.expression(node.expression, scope)
    return divide(binder, left, right)


def rewrite_integer_divide(binder: Binder, node: exp.IntDiv, scope: Scope) -> Typed:
    """``div`` is BIGINT, cuts towards zero, and raises on zero."""
    return integer_divide(binder, *_operands(binder, node, scope))


def rewrite_modulo(binder: Binder, node: exp.Mod, scope: Scope) -> Typed:
    """``%`` has the sign of the dividend, and raises on zero."""
    return modulo(binder, *_operands(binder, node, scope))


def _operands(binder: Binder, node: exp.Expr, scope: Scope) -> tuple[Typed, Typed]:
    only(node, "this", "expression")
    return binder.expression(node.this, scope), binder.expression(node.expression, scope)


def add(binder: Binder, left: Typed, right: Typed) -> Typed:
    """Return ``left + right``."""
    name = f"({left.name} + {right.name})"
    if right.type.name in _DATETIMES and left.type.name not in _DATETIMES:
        left, right = right, left
    if left.type.name in _DATETIMES:
        return shift(binder, left, right, 1, name)
    if left.type.is_interval or right.type.is_interval:
        return _interval_sum(binder, left, right, "+", name)
    return _numeric(binder, "+", left, right, name)


def subtract(binder: Binder, left: Typed, right: Typed) -> Typed:
    """Return ``left - right``."""
    name = f"({left.name} - {right.name})"
    times = {left.type.name, right.type.name}
    if times & set(_DATETIMES) and times <= {*_DATETIMES, "STRING", "VOID"}:
        return _difference(binder, left, right, name)
    if right.type.name in _DATETIMES:
        raise unexpected_input(name, 1, "(TIMESTAMP OR TIMESTAMP WITHOUT TIME ZONE)", left)
    if left.type.name in ("TIMESTAMP", "TIMESTAMP_NTZ") and right.type.is_numeric:
        raise unexpected_input(name, 2, "(TIMESTAMP OR TIMESTAMP WITHOUT TIME ZONE)", right)
    if left.type.name in _DATETIMES:
        return shift(binder, left, right, -1, name)
    if left.type.is_interval or right.type.is_interval:
        return _interval_sum(binder, left, right, "-", name)
    return _numeric(binder, "-", left, right, name)


def shift(binder: Binder, moment: Typed, by: Typed, sign: int, name: str) -> Typed:
    """Return a date or timestamp moved by an interval or by days."""
    operator = "+" if sign > 0 else "-"
    if by.type.name == "VOID":
        return Typed(cast_sql("NULL", TIMESTAMP), TIMESTAMP, name)
    if by.type.name in ("TINYINT", "SMALLINT", "INT") and moment.type == DATE:
        verb = "date_add" if sign > 0 else "date_sub"
        return Typed(
            f"CAST({moment.sql} {operator} CAST({by.sql} AS INTEGER) AS DATE)",
            DATE,
            f"{verb}({moment.name}, {by.name})",
        )
    if not by.type.is_interval:
        raise _no_shift(moment, by, name)
    name = f"{moment.name} {operator} {by.name}"
    if moment.type == DATE:
        return _shift_date(binder, moment, by, operator, name)
    if moment.type == TIMESTAMP_NTZ:
        return Typed(f"({moment.sql} {operator} {by.sql})", TIMESTAMP_NTZ, name)
    if by.type.is_month_interval or binder.zone != "UTC":
        local = f"({local_sql(moment.sql, binder.zone)} {operator} {by.sql})"
        return Typed(local_sql(local, binder.zone), TIMESTAMP, name)
    return Typed(f"({moment.sql} {operator} {by.sql})", TIMESTAMP, name)


def _no_shift(moment: Typed, by: Typed, name: str) -> SqlError:
    days = '("INT" or "SMALLINT" or "TINYINT")'
    if moment.type == DATE:
        return unexpected_input(name, 2, days, by)
    if by.type.is_string:
        return _wrong_type(name, '"NUMERIC"', moment)
    if by.type == DATE:
        return unexpected_input(name, 2, days, moment)
    if by.type == moment.type:
        return _wrong_type(name, '"NUMERIC" or "INTERVAL"', moment)
    return _different(name, moment, by)


def _shift_date(binder: Binder, day: Typed, by: Typed, operator: str, name: str) -> Typed:
    whole_days = by.type.is_month_interval or interval_units(by.type) == ("DAY", "DAY")
    if whole_days:
        return Typed(f"CAST({day.sql} {operator} {by.sql} AS DATE)", DATE, name)
    moment = binder.cast(day, TIMESTAMP)
    return shift(binder, moment, by, 1 if operator == "+" else -1, name)


def _difference(binder: Binder, left: Typed, right: Typed, name: str) -> Typed:
    if right.type.name in ("STRING", "VOID"):
        right = binder.cast(right, left.type)
    if left.type.name in ("STRING", "VOID"):
        left = binder.cast(left, right.type)
    if left.type == right.type == DATE:
        days = f"to_microseconds(CAST(({left.sql} - {right.sql}) AS BIGINT) * 86400000000)"
        return Typed(days, interval_type("DAY", "DAY"), name)
    kind = common_of_two(left.type, right.type) or TIMESTAMP
    one, two = binder.cast(left, kind), binder.cast(right, kind)
    sql = f"to_microseconds(epoch_us({one.sql}) - epoch_us({two.sql}))"
    return Typed(sql, INTERVAL_DAY_SECOND, name)


def _interval_sum(binder: Binder, left: Typed, right: Typed, operator: str, name: str) -> Typed:
    kind = None
    if left.type == VOID:
        left = binder.cast(left, right.type)
    if right.type == VOID:
        right = binder.cast(right, left.type)
    if left.type.is_interval and right.type.is_interval:
        kind = common_interval(left.type, right.type)
    if kind is None:
        # What an interval of days is added to is the moment that is moved, whatever its type.
        for moment, by in ((left, right), (right, left))[: 2 if operator == "+" else 1]:
            if by.type.is_interval and not by.type.is_month_interval:
                return _shift_text(binder, moment, by, operator, name)
        raise _different(name, left, right)
    return Typed(f"({left.sql} {operator} {right.sql})", kind, name)


def _shift_text(binder: Binder, moment: Typed, by: Typed, operator: str, name: str) -> Typed:
    if not moment.type.is_string:
        raise unexpected_input(name, 1, "(TIMESTAMP OR TIMESTAMP WITHOUT TIME ZONE)", moment)
    parsed = binder.cast(moment, TIMESTAMP)
    shifted = shift(binder, parsed, by, 1 if operator == "+" else -1, name)
    return binder.cast(shifted, STRING)


def multiply(binder: Binder, left: Typed, right: Typed) -> Typed:
    """Return ``left * right``."""
    name = f"({left.name} * {right.name})"
    if right.type.is_interval:
        left, right = right, left
    if left.type.is_interval:
        return _scaled(binder, left, right, "*", name)
    return _numeric(binder, "*", left, right, name)


def _scaled(binder: Binder, interval: Typed, factor: Typed, operator: str, name: str) -> Typed:
    if not (factor.type.is_numeric or factor.type.is_string):
        raise unexpected_input(name, 2, "NUMERIC", factor)
    if factor.type.is_string:
        factor = binder.cast(factor, DOUBLE)
    months = interval.type.is_month_interval
    count = months_sql(interval.sql) if months else f"epoch_us({interval.sql})"
    divisor = factor.sql
    if operator == "/":
        divisor = _nonzero(factor, _interval_by_zero())
    exact = factor.type.is_integral and operator == "*"
    number = (
        f"({count} * {divisor})"
        if exact
        else f"round({count} {operator} CAST({divisor} AS DOUBLE))"
    )
    if months:
        return Typed(f"to_months(CAST({number} AS INTEGER))", interval_type("YEAR", "MONTH"), name)
    return Typed(f"to_microseconds(CAST({number} AS BIGINT))", INTERVAL_DAY_SECOND, name)


def _interval_by_zero() -> SqlError:
    return SqlError(
        "INTERVAL_DIVIDED_BY_ZERO",
        "22012",
        "Division by zero. Use `try_divide` to tolerate divisor being 0 and return NULL instead.",
    )


def divide(binder: Binder, left: Typed, right: Typed, *, attempt: bool = False) -> Typed:
    """Return ``left / right``; with ``attempt`` NULL where it cannot be computed."""
    name = f"try_divide({left.name}, {right.name})" if attempt else f"({left.name} / {right.name})"
    if left.type.is_interval:
        if attempt:
            right = replace(right, sql=f"nullif({right.sql}, 0)", constant=MISSING)
        return _scaled(binder, left, right, "/", name)
    left, right = _numbers(binder, left, right, name)
    if _is_decimal(left, right):
        return _decimal_operation("/", left, right, name, attempt)
    one, two = binder.cast(left, DOUBLE), binder.cast(right, DOUBLE)
    if attempt:
        return Typed(f"({one.sql} / nullif({two.sql}, 0))", DOUBLE, name)
    if right.is_constant and right.constant not in (0, None):
        return Typed(f"({one.sql} / {two.sql})", DOUBLE, name)
    return Typed(f"({one.sql} / {_nonzero(two, divide_by_zero())})", DOUBLE, name)


def integer_divide(binder: Binder, left: Typed, right: Typed) -> Typed:
    """Return ``left div right``."""
    name = f"({left.name} div {right.name})"
    if left.type.is_interval and right.type.is_interval:
        sql = f"(epoch_us({left.sql}) // {_nonzero(_micros(right), divide_by_zero())})"
        return Typed(sql, BIGINT, name)
    texts = left.type.is_string or right.type.is_string
    left, right = _numbers(binder, left, right, name)
    if _is_decimal(left, right):
        quotient = _decimal_call("div", left, right, decimal(38, 0), False)
        return Typed(f"CAST({quotient} AS BIGINT)", BIGINT, name)
    if not (left.type.is_integral and right.type.is_integral):
        # By then an integer has become a BIGINT, a decimal a DOUBLE, and a text what is beside it.
        kinds = {_KINDS_OF_DIV.get(one.type.name, one.type.name) for one in (left, right)}
        if len(kinds) > 1 and not texts:
            raise _different(name, left, right)
        raise _wrong_type(name, '"DECIMAL" or "INTEGRAL"', left)
    one, two = binder.cast(left, BIGINT), binder.cast(right, BIGINT)
    return Typed(f"({one.sql} // {_nonzero(two, divide_by_zero())})", BIGINT, name)


_KINDS_OF_DIV = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INT"), "BIGINT"),
    "DECIMAL": "DOUBLE",
}


def _micros(value: Typed) -> Typed:
    return Typed(f"epoch_us({value.sql})", BIGINT, value.name)


def modulo(binder: Binder, left: Typed, right: Typed, *, attempt: bool = False) -> Typed:
    """Return ``left % right``; with ``attempt`` NULL for a divisor of zero."""
    name = f"try_mod({left.name}, {right.name})" if attempt else f"({left.name} % {right.name})"
    left, right = _numbers(binder, left, right, name)
    if _is_decimal(left, right):
        return _decimal_operation("%", left, right, name, attempt)
    kind = common_of_two(left.type, right.type) or DOUBLE
    one, two = binder.cast(left, kind), binder.cast(right, kind)
    divisor = f"nullif({two.sql}, 0)" if attempt else _nonzero(two, remainder_by_zero())
    return Typed(f"({one.sql} % {divisor})", kind, name)


def negate(binder: Binder, value: Typed) -> Typed:
    """Return ``- value``."""
    name = f"(- {value.name})"
    if value.type.is_string or value.type.name == "VOID":
        value = binder.cast(value, DOUBLE)
    if value.type.is_interval:
        return Typed(f"(-{value.sql})", value.type, name)
    if not value.type.is_numeric and value.type.name != "VOID":
        raise unexpected_input(name, 1, "NUMERIC", value)
    if value.type.name in _SMALLEST:
        # The subtraction of so small integers has an error class of its own.
        return Typed(let(value.sql, lambda v: _negated(v, value.type)), value.type, name)
    if value.type.is_integral:
        sql = f"{_CHECKED['-']}({cast_sql('0', value.type)}, {value.sql})"
        return Typed(sql, value.type, name)
    return Typed(f"(-{value.sql})", value.type, name)


_SMALLEST = {"TINYINT": -(2**7), "SMALLINT": -(2**15)}


def _negated(value: str, kind: SqlType) -> str:
    failure = fail_sql(arithmetic_overflow())
    return f"CASE WHEN {value} = {_SMALLEST[kind.name]} THEN {failure} ELSE -{value} END"


def rewrite_bitwise_not(binder: Binder, node: exp.BitwiseNot, scope: Scope) -> Typed:
    """``~`` on integers."""
    only(node, "this")
    value = binder.expression(node.this, scope)
    if not value.type.is_integral:
        raise unexpected_input(f"~{value.name}", 1, "INTEGRAL", value)
    # Brackets: DuckDB reads ~- as one operator.
    return Typed(f"(~({value.sql}))", value.type, f"~{value.name}")


def rewrite_bitwise(binder: Binder, node: exp.Binary, scope: Scope) -> Typed:
    """``&``, ``|`` and ``^`` on integers of the wider type (DuckDB's ``^`` is a power)."""
    left, right = _operands(binder, node, scope)
    symbol = _BITWISE[type(node)]
    name = f"({left.name} {symbol} {right.name})"
    kind = common_of_two(left.type, right.type)
    if kind is None or not kind.is_integral:
        raise _different(name, left, right)
    one, two = binder.cast(left, kind), binder.cast(right, kind)
    if symbol == "^":
        return Typed(f"xor({one.sql}, {two.sql})", kind, name)
    return Typed(f"({one.sql} {symbol} {two.sql})", kind, name)


_BITWISE = {exp.BitwiseAnd: "&", exp.BitwiseOr: "|", exp.BitwiseXor: "^"}


def rewrite_shift(binder: Binder, node: exp.Binary, scope: Scope) -> Typed:
    """``<<`` and ``>>`` wrap around, as in Java."""
    left, right = _operands(binder, node, scope)
    name = "shiftleft" if isinstance(node, exp.BitwiseLeftShift) else "shiftright"
    return bit_shift(binder, name, left, right)


def bit_shift(binder: Binder, function: str, left: Typed, right: Typed) -> Typed:
    """Return a shift of the bits of INT or BIGINT."""
    symbol = {"shiftleft": "<<", "shiftright": ">>", "shiftrightunsigned": ">>>"}[function]
    name = f"({left.name} {symbol} {right.name})"
    kind = BIGINT if left.type == BIGINT else INT
    value = binder.argument(left, kind, function, 1)
    count = binder.argument(right, INT, function, 2)
    bits = 64 if kind == BIGINT else 32
    sql = f"vinci_shift({cast_sql(value.sql, BIGINT)}, {count.sql}, '{symbol}', {bits})"
    return Typed(cast_sql(sql, kind), kind, name)


def rewrite_compare(binder: Binder, node: exp.Binary, scope: Scope) -> Typed:
    """``=``, ``<>``, ``<``, ``<=``, ``>``, ``>=`` on values of the least common type."""
    only(node, "this", "expression")
    if isinstance(node.expression, (exp.Any, exp.All)):
        from vinci_code.warehouse.sql.binder import refused

        raise refused(node.expression)
    left, right = binder.expression(node.this, scope), binder.expression(node.expression, scope)
    return compare(binder, left, right, COMPARISONS[type(node)])


def rewrite_null_safe(binder: Binder, node: exp.Binary, scope: Scope) -> Typed:
    """``<=>`` and ``IS [NOT] DISTINCT FROM`` take NULL for a value."""
    left, right = _operands(binder, node, scope)
    if isinstance(node, exp.NullSafeNEQ):
        value = compare(binder, left, right, "<=>")
        return Typed(f"(NOT {value.sql})", BOOLEAN, f"(NOT {value.name})", False)
    return compare(binder, left, right, "<=>")


COMPARISONS = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}


def compare(binder: Binder, left: Typed, right: Typed, symbol: str) -> Typed:
    """Return a comparison of two values."""
    name = f"({left.name} {symbol} {right.name})"
    if symbol == "<>":
        name = f"(NOT ({left.name} = {right.name}))"
    common = tightest_of_two if left.type.is_nested else common_of_two
    kind = common(left.type, right.type)
    if kind is None:
        raise _different(name, left, right)
    if not comparable(kind):
        raise SqlError(
            "DATATYPE_MISMATCH.INVALID_ORDERING_TYPE",
            "42K09",
            f'Cannot resolve "{name}" due to data type mismatch: The `{symbol}` does not support '
            f'ordering on type "{kind.text}".',
        )
    one, two = binder.cast(padded(left, right), kind), binder.cast(padded(right, left), kind)
    if kind.is_nested and symbol in ("<", "<=", ">", ">="):
        one = Typed(sort_key(one.sql, kind), kind, one.name)
        two = Typed(sort_key(two.sql, kind), kind, two.name)
    operator = "IS NOT DISTINCT FROM" if symbol == "<=>" else symbol
    nullable = symbol != "<=>" and (left.nullable or right.nullable)
    return Typed(f"({one.sql} {operator} {two.sql})", BOOLEAN, name, nullable)


def padded(value: Typed, other: Typed) -> Typed:
    """Return a value with the blanks that it is compared with: a CHAR has its own at its end.

    Only literals and other CHARs are filled up, not texts that the query makes.
    """
    length = other.type.length if other.type.name == "CHAR" else None
    if length is None:
        return value
    if isinstance(value.constant, str) and value.type.is_string:
        return replace(literal(value.constant.ljust(length)), name=value.name)
    if value.type.name == "CHAR" and (value.type.length or 0) < length:
        return replace(value, sql=f"rpad({value.sql}, {length}, ' ')")
    return value


def sort_key(sql: str, kind: SqlType) -> str:
    """Return SQL that DuckDB orders as Databricks orders the value: NULL inside comes first."""
    if not kind.is_nested:
        return f"{{'n': {sql} IS NOT NULL, 'v': {sql}}}"
    if kind.element is not None:
        name = variable(sql)
        return f"list_transform({sql}, lambda {name}: {sort_key(name, kind.element)})"
    fields = ", ".join(
        f"'f{index}': {sort_key(f'({sql}).{quote(item.name)}', item.type)}"
        for index, item in enumerate(kind.fields)
    )
    return f"CASE WHEN {sql} IS NOT NULL THEN {{{fields}}} END"


def rewrite_logic(binder: Binder, node: exp.Connector, scope: Scope) -> Typed:
    """``AND`` and ``OR`` on BOOLEAN."""
    only(node, "this", "expression")
    word = "AND" if isinstance(node, exp.And) else "OR"
    parts = [_truth(binder, part, scope, word) for part in _flatten(node, type(node))]
    sql = f" {word} ".join(part.sql for part in parts)
    name = _balanced([part.name for part in parts], word)
    return Typed(f"({sql})", BOOLEAN, name, any(part.nullable for part in parts))


def _balanced(names: list[str], word: str) -> str:
    """The name of a chain: Spark's parser makes a balanced tree of it."""
    if len(names) == 1:
        return names[0]
    middle = (len(names) + 1) // 2
    return f"({_balanced(names[:middle], word)} {word} {_balanced(names[middle:], word)})"


def _flatten(node: exp.Expr, kind: type) -> list[exp.Expr]:
    parts: list[exp.Expr] = []
    while isinstance(node, kind):
        parts.append(node.expression)
        node = node.this
    return [node, *reversed(parts)]


def _truth(binder: Binder, node: exp.Expr, scope: Scope, word: str) -> Typed:
    value = binder.expression(node, scope)
    if value.type.name not in ("BOOLEAN", "VOID", "STRING"):
        raise _wrong_type(f"({value.name} {word} …)", '"BOOLEAN"', value)
    return binder.cast(value, BOOLEAN)


def rewrite_not(binder: Binder, node: exp.Not, scope: Scope) -> Typed:
    """``NOT`` on BOOLEAN; ``IS NOT NULL`` keeps its own name."""
    only(node, "this")
    value = binder.expression(node.this, scope)
    if value.type.name not in ("BOOLEAN", "VOID", "STRING"):
        raise unexpected_input(f"(NOT {value.name})", 1, "BOOLEAN", value)
    value = binder.cast(value, BOOLEAN)
    name = f"(NOT {value.name})"
    inner = node.this
    if isinstance(inner, exp.Is) and isinstance(inner.expression, exp.Null):
        name = value.name.replace(" IS NULL)", " IS NOT NULL)")
    return Typed(f"(NOT {value.sql})", BOOLEAN, name, value.nullable)


def rewrite_concat(binder: Binder, node: exp.DPipe, scope: Scope) -> Typed:
    """``||`` joins strings, binaries or arrays; NULL gives NULL."""
    only(node, "this", "expression", "safe")
    parts = binder.expressions(_flatten(node, exp.DPipe), scope)
    return concat(binder, parts)


def concat(binder: Binder, parts: list[Typed]) -> Typed:
    """Return the concatenation of strings, binaries or arrays."""
    name = f"concat({', '.join(part.name for part in parts)})"
    if not parts:
        return Typed("''", STRING, name, False, "")
    if any(part.type.name == "ARRAY" for part in parts):
        values, kind = binder.unify(parts, name)
        joined = values[0].sql
        if len(values) > 1 and not all(value.is_constant for value in values):
            size = " + ".join(f"coalesce(len({value.sql}), 0)" for value in values)
            joined = items_checked("concat", size, joined)
        for value in values[1:]:
            joined = f"list_concat({joined}, {value.sql})"
        # list_concat takes NULL for an empty list.
        nulls = " OR ".join(f"{value.sql} IS NULL" for value in values)
        return Typed(f"CASE WHEN NOT ({nulls}) THEN {joined} END", kind, name)
    if all(part.type == BINARY for part in parts):
        return Typed(f"({' || '.join(part.sql for part in parts)})", BINARY, name)
    texts = [binder.as_string(part, "concat", index + 1) for index, part in enumerate(parts)]
    return Typed(
        _joined(texts, [part.type.is_string for part in parts]),
        STRING,
        name,
        any(part.nullable for part in parts),
    )


def _joined(texts: list[Typed], sized: list[bool]) -> str:
    """Join texts, each computed once, where the sum of their sizes is within bounds.

    Those that are not ``sized`` are made of values of other types, and are short.
    """
    names = [text.sql for text in texts]
    unknown = [index for index, text in enumerate(texts) if sized[index] and not text.is_constant]
    once = [index for index in unknown if not texts[index].is_atom]

    def body(computed: str) -> str:
        # One list of all: DuckDB takes twice the memory for each lambda within a lambda.
        for place, index in enumerate(once, 1):
            names[index] = f"{computed}[{place}]"
        return _within_bounds(names, unknown)

    if not once:
        return _within_bounds(names, unknown)
    return let(f"[{', '.join(names[index] for index in once)}]", body)


def _within_bounds(names: list[str], unknown: list[int]) -> str:
    first, *rest = names
    if unknown:
        size = " + ".join(f"strlen({names[index]})" for index in unknown)
        first = bytes_checked("concat", size, first)
    return f"({' || '.join([first, *rest])})"


def _numbers(binder: Binder, left: Typed, right: Typed, name: str) -> tuple[Typed, Typed]:
    """Give both operands numeric types: text becomes the other's kind, VOID too."""
    same = left.type == right.type and not left.type.is_numeric and left.type.name != "VOID"
    if same or (left.type.is_string and right.type.is_string):
        raise _wrong_type(name, '"NUMERIC"', left)
    for text, other in ((left, right), (right, left)):
        # The text becomes what the other is, and that is no number.
        if text.type.is_string and not (other.type.is_numeric or other.type.name == "VOID"):
            raise _wrong_type(name, '"NUMERIC"', other)
    return _number(binder, left, right, name), _number(binder, right, left, name)


def _number(binder: Binder, value: Typed, other: Typed, name: str) -> Typed:
    if value.type.is_numeric:
        return value
    if value.type.is_string and (other.type.is_numeric or other.type.name == "VOID"):
        return binder.cast(value, BIGINT if other.type.is_integral else DOUBLE)
    if value.type.name == "VOID":
        return binder.cast(value, other.type if other.type.is_numeric else DOUBLE)
    raise _different(name, value, other)


def _numeric(binder: Binder, operator: str, left: Typed, right: Typed, name: str) -> Typed:
    left, right = _numbers(binder, left, right, name)
    if _is_decimal(left, right):
        return _decimal_operation(operator, left, right, name, False)
    kind = common_of_two(left.type, right.type) or DOUBLE
    one, two = binder.cast(left, kind), binder.cast(right, kind)
    # Two integer literals: DuckDB would choose a type of its own for them.
    first = cast_sql(one.sql, kind) if one.is_constant and kind == INT else one.sql
    sql = f"({first} {operator} {two.sql})"
    if kind.is_integral:
        sql = f"{_CHECKED[operator]}({first}, {two.sql})"
    return Typed(sql, kind, name, left.nullable or right.nullable)


# DuckDB's optimiser takes `a + 1 > 5` for `a > 4` and `sum(a + 1)` for `sum(a) + count(a)`, which
# loses the overflow of `a + 1`. It knows the operators only, not the functions of the same meaning.
_CHECKED = {"+": "add", "-": "subtract", "*": "multiply"}


def try_arithmetic(binder: Binder, operator: str, left: Typed, right: Typed, name: str) -> Typed:
    """Return ``+``, ``-`` or ``*`` with NULL where it overflows."""
    if left.type.name in _DATETIMES or left.type.is_interval or right.type.is_interval:
        build = {"+": add, "-": subtract, "*": multiply}[operator]
        return build(binder, left, right).named(name)
    left, right = _numbers(binder, left, right, name)
    if _is_decimal(left, right):
        return _decimal_operation(operator, left, right, name, True)
    kind = common_of_two(left.type, right.type) or DOUBLE
    one, two = binder.cast(left, kind), binder.cast(right, kind)
    if not kind.is_integral:
        return Typed(f"({one.sql} {operator} {two.sql})", kind, name)
    wide = f"(CAST({one.sql} AS HUGEINT) {operator} CAST({two.sql} AS HUGEINT))"
    return Typed(f"TRY_CAST({wide} AS {kind.duckdb()})", kind, name)


def _is_decimal(left: Typed, right: Typed) -> bool:
    names = (left.type.name, right.type.name)
    return "DECIMAL" in names and not {"FLOAT", "DOUBLE"} & set(names)


def _decimal_form(value: Typed) -> Typed:
    if value.type.name == "DECIMAL":
        return value
    kind = INTEGER_DECIMALS[value.type.name]
    # Spark narrows the literals of every integer type but the smallest.
    if value.is_constant and value.constant is not None and value.type.name != "TINYINT":
        kind = decimal(max(len(str(abs(int(str(value.constant))))), 1), 0)
    return Typed(cast_sql(value.sql, kind), kind, value.name, value.nullable, value.constant)


def _decimal_operation(operator: str, left: Typed, right: Typed, name: str, attempt: bool) -> Typed:
    left, right = _decimal_form(left), _decimal_form(right)
    kind = arithmetic_decimal(operator, left.type, right.type)
    nullable = left.nullable or right.nullable or attempt
    sql = None if attempt else _native_decimal(operator, left, right, kind)
    if sql is None:
        sql = _decimal_call(operator, left, right, kind, attempt)
    return Typed(sql, kind, name, nullable)


def _native_decimal(operator: str, left: Typed, right: Typed, kind: SqlType) -> str | None:
    """Return DuckDB's own arithmetic where it is exact: the result fits without rounding."""
    (p1, s1), (p2, s2) = precision_scale(left.type), precision_scale(right.type)
    whole, scale = max(p1 - s1, p2 - s2), max(s1, s2)
    if operator in ("+", "-") and whole + scale + 1 <= 38:
        return (
            f"({cast_sql(left.sql, kind)} {operator} {cast_sql(right.sql, kind)})::{kind.duckdb()}"
        )
    if operator == "*" and p1 + p2 <= 37:
        # DuckDB multiplies in 64 bits where both have at most 18 digits.
        one, two = (cast_sql(v.sql, decimal(38, s)) for v, s in ((left, s1), (right, s2)))
        return f"({one} * {two})::{kind.duckdb()}"
    return None


def _decimal_call(operator: str, left: Typed, right: Typed, kind: SqlType, attempt: bool) -> str:
    """Return arithmetic by exact decimals where DuckDB would round or overflow."""
    mode = "?" if attempt else "!"
    result = (
        f"vinci_decimal(CAST({left.sql} AS VARCHAR), CAST({right.sql} AS VARCHAR), "
        f"'{mode}{operator}', {kind.precision}, {kind.scale})"
    )
    return cast_sql(result, kind)


def _nonzero(value: Typed, error: SqlError) -> str:
    if value.is_constant and value.constant not in (0, None):
        return value.sql
    failure = fail_sql(error)
    return let(
        value.sql, lambda v: f"CASE WHEN {v} = 0 THEN {failure} ELSE {v} END", atom=value.is_atom
    )


def absolute(binder: Binder, value: Typed) -> Typed:
    """Return ``abs(value)``, which overflows for the smallest integer."""
    name = f"abs({value.name})"
    if value.type.is_string:
        value = binder.cast(value, DOUBLE)
    if value.type.is_interval:
        return Typed(
            let(value.sql, lambda v: f"CASE WHEN {v} < INTERVAL 0 SECOND THEN -{v} ELSE {v} END"),
            value.type,
            name,
        )
    if value.type.name == "VOID":
        value = binder.cast(value, DOUBLE)
    if not value.type.is_numeric:
        raise unexpected_input(name, 1, "NUMERIC", value)
    return Typed(f"abs({value.sql})", value.type, name)


def _different(name: str, left: Typed, right: Typed) -> SqlError:
    return SqlError(
        "DATATYPE_MISMATCH.BINARY_OP_DIFF_TYPES",
        "42K09",
        f'Cannot resolve "{name}" due to data type mismatch: the left and right operands of the '
        f'binary operator have incompatible types ("{left.type.text}" and "{right.type.text}").',
    )


def _wrong_type(name: str, wanted: str, value: Typed) -> SqlError:
    return SqlError(
        "DATATYPE_MISMATCH.BINARY_OP_WRONG_TYPE",
        "42K09",
        f'Cannot resolve "{name}" due to data type mismatch: the binary operator requires the '
        f'input type ({wanted}), not "{value.type.text}".',
    )
