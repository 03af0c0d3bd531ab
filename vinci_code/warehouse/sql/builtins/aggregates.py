"""Aggregate functions; with an OVER clause they are window functions as well."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from vinci_code.warehouse.sql.binder import unexpected_input
from vinci_code.warehouse.sql.builtins.registry import Builder, FunctionCall, function
from vinci_code.warehouse.sql.coercion import comparable, precision_scale
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.rewrites.operators import sort_key
from vinci_code.warehouse.sql.types import (
    BIGINT,
    BOOLEAN,
    DOUBLE,
    STRING,
    SqlType,
    array,
    decimal,
)
from vinci_code.warehouse.sql.values import Typed, cast_sql


def aggregate(names: str, low: int, high: int | None = -1) -> Callable[[Builder], Builder]:
    """Register an aggregate."""
    return function(names, low, high, "aggregate")


@aggregate("count", 0, None)
def build_count(call: FunctionCall) -> Typed:
    """Rows, or rows in which no argument is NULL."""
    if not call.nodes or isinstance(call.nodes[0], exp.Star):
        return Typed(f"count(*){call.suffix}", BIGINT, "count(1)", False)
    name = f"count({call.distinct}{', '.join(arg.name for arg in call.args)})"
    if len(call.args) == 1:
        value = call.args[0].sql if call.distinct else call.args[0].computed
        return Typed(f"count({call.distinct}{value}){call.suffix}", BIGINT, name, False)
    known = " AND ".join(f"{arg.computed} IS NOT NULL" for arg in call.args)
    row = ", ".join(f"'c{i}': {arg.sql}" for i, arg in enumerate(call.args))
    sql = f"count({call.distinct}CASE WHEN {known} THEN {{{row}}} END){call.suffix}"
    return Typed(sql, BIGINT, name, False)


@aggregate("count_if", 1)
def build_count_if(call: FunctionCall) -> Typed:
    """Rows for which the condition holds."""
    test = call.argument(0, BOOLEAN).sql
    value = f"CASE WHEN {test} THEN 1 END"
    if call.distinct:
        return Typed(f"count(DISTINCT {value}){call.suffix}", BIGINT, call.shown, False)
    return Typed(f"count({value}){call.suffix}", BIGINT, call.shown, False)


@aggregate("sum try_sum", 1)
def build_sum(call: FunctionCall) -> Typed:
    """BIGINT for integers, ten more digits for decimals, DOUBLE for floats."""
    if call.args[0].type.is_interval:
        return _sum_interval(call)
    value = call.number('"NUMERIC" or "ANSI INTERVAL"')
    inner = f"sum({call.distinct}{value.sql}){call.suffix}"
    attempt = call.name == "try_sum"
    if value.type.is_integral:
        sql = f"TRY_CAST({inner} AS BIGINT)" if attempt else f"CAST({inner} AS BIGINT)"
        return Typed(sql, BIGINT, call.shown)
    if value.type.name == "DECIMAL":
        precision, scale = precision_scale(value.type)
        kind = decimal(min(precision + 10, 38), scale)
        if attempt and precision > 28:
            raise unsupported("try_sum of a decimal that could overflow")
        return Typed(f"CAST({inner} AS {kind.duckdb()})", kind, call.shown)
    sql = f"sum({call.distinct}CAST({value.sql} AS DOUBLE)){call.suffix}"
    return Typed(sql, DOUBLE, call.shown)


def _sum_interval(call: FunctionCall) -> Typed:
    value = call.args[0]
    if value.type.is_month_interval:
        raise unsupported("sum of intervals of months")
    sql = f"to_microseconds(CAST(sum({call.distinct}epoch_us({value.sql})){call.suffix} AS BIGINT))"
    return Typed(sql, value.type, call.shown)


@aggregate("avg mean try_avg", 1)
def build_avg(call: FunctionCall) -> Typed:
    """DOUBLE, or a decimal with four more digits after the point."""
    value = call.number('"NUMERIC" or "ANSI INTERVAL"')
    name = call.shown
    if value.type.name != "DECIMAL":
        inner = f"avg({call.distinct}CAST({value.sql} AS DOUBLE)){call.suffix}"
        if value.type.is_integral:
            inner = f"avg({call.distinct}{value.sql}){call.suffix}"
        return Typed(inner, DOUBLE, name)
    precision, scale = precision_scale(value.type)
    kind = decimal(min(precision + 4, 38), min(scale + 4, 38))
    total = f"sum({call.distinct}{value.sql}){call.suffix}"
    count = f"count({call.distinct}{value.sql}){call.suffix}"
    sql = (
        f"vinci_decimal(CAST({total} AS VARCHAR), CAST(nullif({count}, 0) AS VARCHAR), '!/', "
        f"{kind.precision}, {kind.scale})"
    )
    return Typed(cast_sql(sql, kind), kind, name)


@aggregate("min max", 1)
def build_extreme(call: FunctionCall) -> Typed:
    """The least or greatest value that is not NULL."""
    value = call.args[0]
    if not comparable(value.type):
        raise SqlError(
            "DATATYPE_MISMATCH.INVALID_ORDERING_TYPE",
            "42K09",
            f'Cannot resolve "{call.shown}" due to data type mismatch: The `{call.name}` does not '
            f'support ordering on type "{value.type.text}".',
        )
    if value.type.is_nested:
        key = sort_key(value.sql, value.type)
        sql = f"arg_{call.name}({value.sql}, {key}){call.suffix}"
        return Typed(sql, value.type, call.shown)
    return Typed(f"{call.name}({value.sql}){call.suffix}", value.type, call.shown)


@aggregate("min_by max_by", 2)
def build_extreme_by(call: FunctionCall) -> Typed:
    """The value of the row in which another is least or greatest."""
    value, key = call.args
    if key.type.is_nested:
        key = Typed(sort_key(key.sql, key.type), key.type, key.name)
    verb = "arg_min_null" if call.name == "min_by" else "arg_max_null"
    return Typed(f"{verb}({value.sql}, {key.sql}){call.suffix}", value.type, call.shown)


@aggregate("first first_value any_value last last_value", 1, 2)
def build_first(call: FunctionCall) -> Typed:
    """The first or last value of the group, NULLs included unless they are to be ignored."""
    value = call.args[0]
    ignore = call.ignore_nulls
    if len(call.args) == 2:
        ignore = bool(call.constant(1, "ignoreNull"))
    name = f"{call.name}({value.name})"
    last = call.name.startswith("last")
    if call.windowed:
        verb = "last_value" if last else "first_value"
        nulls = " IGNORE NULLS" if ignore else ""
        return Typed(f"{verb}({value.sql}{nulls}){call.suffix}", value.type, name)
    verb = "last" if last else "first"
    condition = f"{value.sql} IS NOT NULL" if ignore else ""
    return Typed(f"{verb}({value.sql}){call.suffixed(condition)}", value.type, name)


@aggregate("collect_list array_agg", 1)
def build_collect_list(call: FunctionCall) -> Typed:
    """The values that are not NULL; an empty array where there are none."""
    value = call.args[0]
    suffix = call.suffixed(f"{value.sql} IS NOT NULL")
    sql = f"coalesce(list({call.distinct}{value.sql}){suffix}, [])"
    name = f"collect_list({call.distinct}{value.name})"
    return Typed(sql, array(value.type), name, False)


@aggregate("collect_set", 1)
def build_collect_set(call: FunctionCall) -> Typed:
    """The distinct values that are not NULL."""
    value = call.args[0]
    if not comparable(value.type):
        raise unexpected_input("collect_set", 1, "a type that is not MAP", value)
    suffix = call.suffixed(f"{value.sql} IS NOT NULL")
    sql = f"coalesce(list(DISTINCT {value.sql}){suffix}, [])"
    return Typed(sql, array(value.type), call.shown, False)


@aggregate("listagg string_agg", 1, 2)
def build_listagg(call: FunctionCall) -> Typed:
    """Joins the texts that are not NULL, in the order of WITHIN GROUP."""
    value = call.binder.as_string(call.args[0], call.name)
    # NULL joins as the empty text does.
    separator = f"coalesce({call.text(1)}, '')" if len(call.args) == 2 else "''"
    order = f" ORDER BY {call.order}" if call.order else ""
    sql = f"string_agg({call.distinct}{value.sql}, {separator}{order}){call.suffix}"
    shown = call.shown if len(call.args) == 2 else f"{call.shown[:-1]}, NULL)"
    return Typed(sql, STRING, shown)


_STATISTICS = {
    "stddev": "stddev_samp",
    "std": "stddev_samp",
    "stddev_samp": "stddev_samp",
    "stddev_pop": "stddev_pop",
    "variance": "var_samp",
    "var_samp": "var_samp",
    "var_pop": "var_pop",
    "kurtosis": "kurtosis_pop",
}


@aggregate(" ".join(_STATISTICS), 1)
def build_statistic(call: FunctionCall) -> Typed:
    """Variance, standard deviation and kurtosis."""
    value = call.argument(0, DOUBLE).sql
    verb = _STATISTICS[call.name]
    return Typed(f"{verb}({call.distinct}{value}){call.suffix}", DOUBLE, call.shown)


@aggregate("skewness", 1)
def build_skewness(call: FunctionCall) -> Typed:
    """The skewness of the population, computed from its moments."""
    if call.windowed or call.distinct:
        raise unsupported("skewness with DISTINCT or OVER")
    x = call.argument(0, DOUBLE).sql
    suffix = call.suffix
    n, mean = f"count({x}){suffix}", f"avg({x}){suffix}"
    square, cube = f"avg({x} * {x}){suffix}", f"avg({x} * {x} * {x}){suffix}"
    variance = f"var_pop({x}){suffix}"
    third = f"({cube} - 3 * {mean} * {square} + 2 * {mean} * {mean} * {mean})"
    sql = f"(CASE WHEN {n} > 0 AND {variance} > 0 THEN {third} / power({variance}, 1.5) END)"
    return Typed(sql, DOUBLE, call.shown)


@aggregate(
    "corr covar_pop covar_samp regr_slope regr_intercept regr_r2 regr_count regr_avgx "
    "regr_avgy regr_sxx regr_syy regr_sxy",
    2,
)
def build_two_statistics(call: FunctionCall) -> Typed:
    """Statistics of pairs."""
    one, two = call.argument(0, DOUBLE).sql, call.argument(1, DOUBLE).sql
    sql = f"{call.name}({one}, {two}){call.suffix}"
    if call.name in ("regr_slope", "regr_intercept"):
        # DuckDB divides by zero where the second values are all alike.
        sql = f"(CASE WHEN regr_sxx({one}, {two}){call.suffix} <> 0 THEN {sql} END)"
    if call.name == "regr_count":
        return Typed(f"CAST({sql} AS BIGINT)", BIGINT, call.shown, False)
    return Typed(sql, DOUBLE, call.shown)


def _share(call: FunctionCall, index: int = 1) -> tuple[str, bool]:
    node = call.nodes[index]
    if isinstance(node, exp.Anonymous) and str(node.this).lower() == "array":
        values = call.binder.expressions(node.expressions, call.scope)
        return f"[{', '.join(_constant_share(call, value) for value in values)}]", True
    return _constant_share(call, call.args[index]), False


def _constant_share(call: FunctionCall, value: Typed) -> str:
    if not value.is_constant or value.constant is None or not value.type.is_numeric:
        raise SqlError(
            "DATATYPE_MISMATCH.NON_FOLDABLE_INPUT",
            "42K09",
            f'Cannot resolve "{call.shown}" due to data type mismatch: the input '
            f'`percentage` should be a foldable "DOUBLE" expression; however, got "{value.name}".',
        )
    share = float(str(value.constant))
    if not 0 <= share <= 1:
        raise SqlError(
            "DATATYPE_MISMATCH.VALUE_OUT_OF_RANGE",
            "42K09",
            f'Cannot resolve "{call.shown}" due to data type mismatch: The `percentage` must be '
            f"between [0.0, 1.0] (current value = {share}).",
        )
    return repr(share)


@aggregate("percentile", 2, 3)
def build_percentile(call: FunctionCall) -> Typed:
    """The exact percentile, interpolated."""
    if len(call.args) == 3:
        raise unsupported("percentile with a frequency")
    share, many = _share(call)
    value = call.argument(0, DOUBLE).sql
    name = f"percentile({call.args[0].name}, {call.args[1].name}, 1)"
    sql = f"quantile_cont({call.distinct}{value}, {share}){call.suffix}"
    return Typed(sql, array(DOUBLE) if many else DOUBLE, name)


@aggregate("median", 1)
def build_median(call: FunctionCall) -> Typed:
    """The percentile of one half."""
    value = call.argument(0, DOUBLE).sql
    return Typed(f"quantile_cont({call.distinct}{value}, 0.5){call.suffix}", DOUBLE, call.shown)


@aggregate("percentile_cont percentile_disc", 1)
def build_percentile_within(call: FunctionCall) -> Typed:
    """``percentile_cont(p) WITHIN GROUP (ORDER BY x)``."""
    if len(call.order_values) != 1:
        raise SqlError(
            "INVALID_WITHIN_GROUP_EXPRESSION.WITHIN_GROUP_MISSING",
            "42K0K",
            f"Invalid function `{call.name}` with WITHIN GROUP. WITHIN GROUP is required for the "
            "function.",
        )
    share, many = _share(call, 0)
    value = call.binder.cast(call.order_values[0], DOUBLE).sql
    if " DESC " in call.order:
        raise unsupported(f"{call.name} in descending order")
    verb = "quantile_cont" if call.name == "percentile_cont" else "quantile_disc"
    name = f"{call.name}({call.args[0].name}) WITHIN GROUP (ORDER BY {call.order_values[0].name})"
    return Typed(f"{verb}({value}, {share}){call.suffix}", array(DOUBLE) if many else DOUBLE, name)


@aggregate("approx_percentile percentile_approx", 2, 3)
def build_approx_percentile(call: FunctionCall) -> Typed:
    """The exact element at the percentile, which every accuracy allows."""
    value = call.number('"NUMERIC" or "ANSI INTERVAL"')
    share, many = _share(call)
    accuracy = call.args[2].name if len(call.args) == 3 else "10000"
    name = f"{call.name}({call.args[0].name}, {call.args[1].name}, {accuracy})"
    sql = f"quantile_disc({value.sql}, {share}){call.suffix}"
    return Typed(sql, array(value.type) if many else value.type, name)


@aggregate("approx_count_distinct", 1, 2)
def build_approx_count_distinct(call: FunctionCall) -> Typed:
    """The exact count, which every relative error allows."""
    return Typed(f"count(DISTINCT {call.args[0].sql}){call.suffix}", BIGINT, call.shown, False)


@aggregate("mode", 1, 2)
def build_mode(call: FunctionCall) -> Typed:
    """The most frequent value; of several the least one where that is asked for."""
    if len(call.args) == 2 and call.constant(1, "deterministic"):
        # DuckDB takes the first of several.
        sql = f"list_aggregate(list_sort(list({call.args[0].sql}){call.suffix}), 'mode')"
        return Typed(sql, call.args[0].type, call.shown)
    return Typed(f"mode({call.args[0].sql}){call.suffix}", call.args[0].type, call.shown)


@aggregate("bool_and every bool_or any some", 1)
def build_bool(call: FunctionCall) -> Typed:
    """Whether all, or any, of the values hold."""
    verb = "bool_and" if call.name in ("bool_and", "every") else "bool_or"
    test = call.argument(0, BOOLEAN).sql
    return Typed(f"{verb}({call.distinct}{test}){call.suffix}", BOOLEAN, call.shown)


@aggregate("bit_and bit_or bit_xor", 1)
def build_bits(call: FunctionCall) -> Typed:
    """All values joined bit by bit."""
    value = call.args[0]
    if not value.type.is_integral:
        raise unexpected_input(call.name, 1, "INTEGRAL", value)
    return Typed(f"{call.name}({call.distinct}{value.sql}){call.suffix}", value.type, call.shown)


@aggregate("grouping", 1)
def build_grouping(call: FunctionCall) -> Typed:
    """1 where the column was rolled up, else 0."""
    return Typed(
        f"CAST(grouping({call.args[0].sql}) AS TINYINT)", SqlType("TINYINT"), call.shown, False
    )


@aggregate("grouping_id", 1, None)
def build_grouping_id(call: FunctionCall) -> Typed:
    """The bits of ``grouping`` for several columns."""
    inner = ", ".join(arg.sql for arg in call.args)
    return Typed(f"CAST(grouping({inner}) AS BIGINT)", BIGINT, call.shown, False)
