"""Functions on numbers."""

from __future__ import annotations

from vinci_code.warehouse.sql.binder import unexpected_input
from vinci_code.warehouse.sql.builtins.registry import FunctionCall, function, simple
from vinci_code.warehouse.sql.casts import decimal_text, let
from vinci_code.warehouse.sql.coercion import INTEGER_DECIMALS, precision_scale
from vinci_code.warehouse.sql.errors import SqlError, arithmetic_overflow, unsupported
from vinci_code.warehouse.sql.types import BIGINT, DOUBLE, INT, SqlType, decimal
from vinci_code.warehouse.sql.values import Typed, cast_sql, fail_sql, months_sql

for _name in ("atan", "degrees", "radians"):
    simple(_name, (DOUBLE,), DOUBLE, f"{_name}({{0}})", shown=_name.upper())
# DuckDB before 2.0 refuses the angle that has no end.
_OF_AN_ANGLE = {
    name: f"CASE WHEN isinf({{0}}) THEN 'NaN'::DOUBLE ELSE {name}({{0}}) END"
    for name in ("sin", "cos", "tan")
}
for _name, _template in _OF_AN_ANGLE.items():
    simple(_name, (DOUBLE,), DOUBLE, _template, shown=_name.upper())
for _name, _of in (("cot", "tan"), ("sec", "cos"), ("csc", "sin")):
    simple(_name, (DOUBLE,), DOUBLE, f"(1 / {_OF_AN_ANGLE[_of]})", shown=_name.upper())
simple("asin", (DOUBLE,), DOUBLE, "vinci_math('asin', {0})", shown="ASIN")
simple("acos", (DOUBLE,), DOUBLE, "vinci_math('acos', {0})", shown="ACOS")
simple("sinh", (DOUBLE,), DOUBLE, "sinh({0})", shown="SINH")
simple("cosh", (DOUBLE,), DOUBLE, "cosh({0})", shown="COSH")
simple("tanh", (DOUBLE,), DOUBLE, "tanh({0})", shown="TANH")
simple("asinh", (DOUBLE,), DOUBLE, shown="ASINH", template="asinh({0})")
simple("acosh", (DOUBLE,), DOUBLE, shown="ACOSH", template="vinci_math('acosh', {0})")
simple("atanh", (DOUBLE,), DOUBLE, shown="ATANH", template="vinci_math('atanh', {0})")
simple("atan2", (DOUBLE, DOUBLE), DOUBLE, "atan2({0}, {1})", shown="ATAN2")
# DuckDB before 2.0 refuses what has no root.
simple(
    "sqrt",
    (DOUBLE,),
    DOUBLE,
    "CASE WHEN {0} < 0 THEN 'NaN'::DOUBLE ELSE sqrt({0}) END",
    shown="SQRT",
)
simple("cbrt", (DOUBLE,), DOUBLE, "vinci_math('cbrt', {0})", shown="CBRT")
simple("exp", (DOUBLE,), DOUBLE, "exp({0})", shown="EXP")
simple("expm1", (DOUBLE,), DOUBLE, "vinci_math('expm1', {0})", shown="EXPM1")
simple("ln", (DOUBLE,), DOUBLE, "CASE WHEN {0} > 0 THEN ln({0}) END")
simple("log10", (DOUBLE,), DOUBLE, "CASE WHEN {0} > 0 THEN log10({0}) END", shown="LOG10")
simple("log2", (DOUBLE,), DOUBLE, "CASE WHEN {0} > 0 THEN log2({0}) END", shown="LOG2")
simple(
    "log1p",
    (DOUBLE,),
    DOUBLE,
    "CASE WHEN {0} > -1 THEN vinci_math('log1p', {0}) END",
    shown="LOG1P",
)
simple("power pow", (DOUBLE, DOUBLE), DOUBLE, "power({0}, {1})", shown="POWER")
simple("hypot", (DOUBLE, DOUBLE), DOUBLE, "vinci_hypot({0}, {1})", shown="HYPOT")
simple("rint", (DOUBLE,), DOUBLE, "round_even({0}, 0)")
simple("pi", (), DOUBLE, "pi()", shown="PI")
simple("e", (), DOUBLE, "exp(1.0::DOUBLE)", shown="E")


@function("sign signum", 1)
def build_sign(call: FunctionCall) -> Typed:
    """-1, 0 or 1 as DOUBLE, of a number or of an interval."""
    kind = call.args[0].type
    if kind.is_interval:
        value = call.args[0].sql
        count = months_sql(value) if kind.is_month_interval else f"epoch_us({value})"
        return Typed(f"CAST(sign({count}) AS DOUBLE)", DOUBLE, call.shown)
    value = call.argument(0, DOUBLE).sql
    kept = f"isnan({value}) OR {value} = 0"  # -0.0 has its sign in Java
    sql = f"(CASE WHEN {kept} THEN {value} ELSE CAST(sign({value}) AS DOUBLE) END)"
    return Typed(sql, DOUBLE, call.shown)


@function("log", 1, 2)
def build_log(call: FunctionCall) -> Typed:
    """``log(x)`` is natural; ``log(base, x)`` is NULL where either is not positive."""
    values = [call.argument(index, DOUBLE).sql for index in range(len(call.args))]
    if len(values) == 1:
        return Typed(
            f"(CASE WHEN {values[0]} > 0 THEN ln({values[0]}) END)",
            DOUBLE,
            f"LOG(E(), {call.args[0].name})",
        )
    base, value = values
    sql = f"(CASE WHEN {base} > 0 AND {value} > 0 THEN ln({value}) / ln({base}) END)"
    return Typed(sql, DOUBLE, f"LOG({call.args[0].name}, {call.args[1].name})")


def _rounded_type(kind: SqlType, scale: int) -> SqlType:
    precision, old = precision_scale(kind)
    whole = precision - old + 1
    if scale < 0:
        return decimal(min(max(whole, -scale + 1), 38), 0)
    new = min(old, scale)
    return decimal(min(whole + new, 38), new)


def _scale(call: FunctionCall) -> int | None:
    if len(call.args) == 1:
        return 0
    value = call.constant(1, "scale")
    return None if value is None else int(str(value))


@function("round bround", 1, 2)
def build_round(call: FunctionCall) -> Typed:
    """Half up (``round``) or half even (``bround``), decimal by decimal digits."""
    value = call.number("NUMERIC")
    scale = _scale(call)
    name = call.shown if len(call.args) == 2 else f"{call.name}({value.name}, 0)"
    if scale is None:
        kind = value.type if value.type.name != "DECIMAL" else _rounded_type(value.type, 0)
        return Typed(cast_sql("NULL", kind), kind, name)
    mode = "up" if call.name == "round" else "even"
    if value.type.name == "DECIMAL":
        kind = _rounded_type(value.type, scale)
        text = f"vinci_round_text({decimal_text(value.sql, value.type)}, {scale}, '{mode}')"
        if mode == "up" and scale >= 0:
            return Typed(cast_sql(value.sql, kind), kind, name)
        return Typed(cast_sql(text, kind), kind, name)
    if value.type.is_integral:
        if scale >= 0:
            return value.named(name)
        text = f"vinci_round_text(CAST({value.sql} AS VARCHAR), {scale}, '{mode}')"
        checked = let(
            cast_sql(text, decimal(38, 0)),
            lambda n: (
                f"CASE WHEN TRY_CAST({n} AS {value.type.duckdb()}) IS NULL AND {n} IS NOT NULL "
                f"THEN {fail_sql(arithmetic_overflow('Overflow'))} ELSE {n} END"
            ),
        )
        return Typed(cast_sql(checked, value.type), value.type, name)
    kind = value.type
    text = f"CAST({value.sql} AS VARCHAR)"
    return Typed(cast_sql(f"vinci_round_text({text}, {scale}, '{mode}')", kind), kind, name)


@function("ceil ceiling floor", 1, 2)
def build_ceil(call: FunctionCall) -> Typed:
    """BIGINT for floats and integers, a decimal without fraction for decimals."""
    value = call.number("NUMERIC")
    verb = "floor" if call.name == "floor" else "ceil"
    name = f"{verb.upper()}({value.name})" if len(call.args) == 1 else call.shown
    if len(call.args) == 2:
        return _scaled_ceil(call, value, verb, name)
    if value.type.name == "DECIMAL":
        precision, scale = precision_scale(value.type)
        kind = decimal(min(precision - scale + (1 if scale else 0), 38), 0)
        return Typed(cast_sql(f"{verb}({value.sql})", kind), kind, name)
    if value.type.is_integral:
        return Typed(cast_sql(value.sql, BIGINT), BIGINT, name)
    sql = let(
        value.sql,
        lambda v: (
            f"CASE WHEN isnan({v}) THEN 0 "
            f"WHEN abs({v}) < 9223372036854775807 THEN CAST({verb}({v}) AS BIGINT) "
            f"WHEN {v} IS NOT NULL THEN {fail_sql(arithmetic_overflow('overflow'))} END"
        ),
    )
    return Typed(f"CAST({sql} AS BIGINT)", BIGINT, name)


def _scaled_ceil(call: FunctionCall, value: Typed, verb: str, name: str) -> Typed:
    scale = _scale(call)
    if value.type.name != "DECIMAL":
        holders = INTEGER_DECIMALS | {"FLOAT": decimal(14, 7), "DOUBLE": decimal(30, 15)}
        value = call.binder.cast(value, holders[value.type.name])
    if scale is None:
        raise unsupported(f"{verb} to NULL digits")
    kind = _rounded_type(value.type, scale)
    text = f"vinci_round_text({decimal_text(value.sql, value.type)}, {scale}, '{verb}')"
    return Typed(cast_sql(text, kind), kind, name)


@function("factorial", 1)
def build_factorial(call: FunctionCall) -> Typed:
    """Up to 20; NULL beyond."""
    value = call.argument(0, INT).sql
    sql = f"(CASE WHEN {value} BETWEEN 0 AND 20 THEN CAST(factorial({value}) AS BIGINT) END)"
    return Typed(sql, BIGINT, call.shown)


@function("width_bucket", 4)
def build_width_bucket(call: FunctionCall) -> Typed:
    """The number of the bucket a value falls into."""
    values = [call.argument(index, DOUBLE).sql for index in range(3)]
    count = call.argument(3, BIGINT).sql
    return Typed(f"vinci_width_bucket({', '.join(values)}, {count})", BIGINT, call.shown)


@function("getbit bit_get", 2)
def build_getbit(call: FunctionCall) -> Typed:
    """One bit of an integer."""
    if not call.args[0].type.is_integral and call.args[0].type.name != "VOID":
        raise unexpected_input(call.name, 1, "INTEGRAL", call.args[0])
    bits = {"TINYINT": 8, "SMALLINT": 16, "INT": 32}.get(call.args[0].type.name, 64)
    value, place = call.argument(0, BIGINT).sql, call.argument(1, INT).sql
    error = SqlError(
        "INVALID_PARAMETER_VALUE.BIT_POSITION_RANGE",
        "22023",
        f"The value of parameter(s) `pos` in `{call.name}` is invalid: expects an "
        f"integer value in [0, {bits}), but got {{}}.",
    )
    guard = (
        f"CASE WHEN {place} < 0 OR {place} >= {bits} THEN {fail_sql(error, place)} ELSE {place} END"
    )
    return Typed(f"CAST((({value} >> ({guard})) & 1) AS TINYINT)", SqlType("TINYINT"), call.shown)
