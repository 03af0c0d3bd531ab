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


@aggregate("count", 1, None)
def build_count(call: FunctionCall) -> Typed:
    """Rows, or rows in which no argument is NULL."""
    if any(node.find(exp.Star) for node in call.nodes):
        if len(call.nodes) > 1 or call.nodes[0] != exp.Star():
            raise unsupported("count of a star with EXCEPT, of a table, or beside other arguments")
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
        given = call.constant(1, "ignoreNull", BOOLEAN)
        if call.modifiers.ignore_nulls is not None:
            raise unsupported(f"{call.name} with ignoreNull beside IGNORE NULLS or RESPECT NULLS")
        ignore = bool(given)
    shown = call.name
    if call.modifiers.ignore_nulls is not None:
        # With the words first_value is shown as first.
        shown = shown.removesuffix("_value") if shown != "any_value" else shown
    name = f"{shown}({value.name})"
    last = call.name.startswith("last")
    if call.windowed:
        verb = "last_value" if last else "first_value"
        nulls = " IGNORE NULLS" if ignore else ""
        return Typed(f"{verb}({value.sql}{nulls}){call.suffix}", value.type, name)
    verb = "last" if last else "first"
    condition = f"{value.sql} IS NOT NULL" if ignore else ""
    return Typed(f"{verb}({value.sql}){call.suffixed(condition)}", value.type, name)


def _refuse_nulls(call: FunctionCall) -> None:
    call.looked_at.add("IGNORE NULLS")
    if call.modifiers.ignore_nulls is False:
        raise unsupported(f"RESPECT NULLS of {call.name}")


@aggregate("collect_list array_agg", 1)
def build_collect_list(call: FunctionCall) -> Typed:
    """The values that are not NULL; an empty array where there are none."""
    _refuse_nulls(call)
    value = call.args[0]
    suffix = call.suffixed(f"{value.sql} IS NOT NULL")
    sql = f"coalesce(list({call.distinct}{value.sql}){suffix}, [])"
    name = f"collect_list({call.distinct}{value.name})"
    return Typed(sql, array(value.type), name, False)


@aggregate("collect_set", 1)
def build_collect_set(call: FunctionCall) -> Typed:
    """The distinct values that are not NULL."""
    _refuse_nulls(call)
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
    if call.distinct and any(one.sql != value.sql for one in call.modifiers.order_values):
        raise SqlError(
            "INVALID_WITHIN_GROUP_EXPRESSION.MISMATCH_WITH_DISTINCT_INPUT",
            "42K0K",
            f"Invalid function `{call.name}` with WITHIN GROUP. The function is invoked with "
            f"DISTINCT and WITHIN GROUP but expressions `{call.args[0].name}` and "
            f"`{call.modifiers.order_shown}` do not match. The WITHIN GROUP ordering expression "
            "must be picked from the function inputs.",
        )
    sql = f"string_agg({call.distinct}{value.sql}, {separator}{order}){call.suffix}"
    shown = call.shown if len(call.args) == 2 else f"{call.shown[:-1]}, NULL)"
    within = call.modifiers.order_shown
    return Typed(sql, STRING, f"{shown} WITHIN GROUP (ORDER BY {within})" if within else shown)


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
    if call.windowed:
        raise unsupported("OVER of skewness")
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
        if not values:
            raise unsupported(f"{call.name} of no percentage")
        return f"[{', '.join(_constant_share(call, index, value) for value in values)}]", True
    if call.args[index].type.element is not None:
        raise unsupported(f"{call.name} with percentages that are not written as array(…)")
    return _constant_share(call, index, call.args[index]), False


def _constant_share(call: FunctionCall, index: int, value: Typed) -> str:
    if value.constant is None:
        raise _unexpected_null(call, "percentage")
    if not value.is_constant or not (value.type.is_numeric or value.type.is_string):
        raise call.not_foldable(index, "percentage", DOUBLE)
    try:
        share = float(str(value.constant))
    except ValueError:
        raise unexpected_input(call.name, index + 1, "DOUBLE", value) from None
    if not 0 <= share <= 1:
        raise SqlError(
            "DATATYPE_MISMATCH.VALUE_OUT_OF_RANGE",
            "42K09",
            f'Cannot resolve "{call.shown}" due to data type mismatch: The `percentage` must be '
            f"between [0.0, 1.0] (current value = {share}).",
        )
    return repr(share)


def _unexpected_null(call: FunctionCall, what: str) -> SqlError:
    return SqlError(
        "DATATYPE_MISMATCH.UNEXPECTED_NULL",
        "42K09",
        f'Cannot resolve "{call.shown}" due to data type mismatch: The {what} must not be null.',
    )


@aggregate("percentile", 2, 3)
def build_percentile(call: FunctionCall) -> Typed:
    """The exact percentile, interpolated."""
    if len(call.args) == 3:
        raise unsupported("percentile with a frequency")
    share, many = _share(call)
    value = call.argument(0, DOUBLE).sql
    name = f"percentile({call.distinct}{call.args[0].name}, {call.args[1].name}, 1)"
    sql = f"quantile_cont({call.distinct}{value}, {share}){call.suffix}"
    return Typed(sql, array(DOUBLE) if many else DOUBLE, name)


def _refuse_frame(call: FunctionCall) -> None:
    """These are computed over the whole partition alone."""
    if call.modifiers.framed:
        raise SqlError(
            "INVALID_WINDOW_SPEC_FOR_AGGREGATION_FUNC",
            "42601",
            f'Cannot specify ORDER BY or a window frame for "{call.shown}".',
        )


@aggregate("median", 1)
def build_median(call: FunctionCall) -> Typed:
    """The percentile of one half."""
    _refuse_frame(call)
    value = call.argument(0, DOUBLE).sql
    return Typed(f"quantile_cont({call.distinct}{value}, 0.5){call.suffix}", DOUBLE, call.shown)


def _within_group(call: FunctionCall, wanted: int) -> None:
    """Check the orderings of WITHIN GROUP, which stands without DISTINCT."""
    found = len(call.modifiers.order_values)
    detail, text = "", ""
    if call.modifiers.distinct:
        detail = "DISTINCT_UNSUPPORTED"
        text = "The function does not support DISTINCT with WITHIN GROUP."
    elif wanted and not found:
        detail = "WITHIN_GROUP_MISSING"
        text = "WITHIN GROUP is required for the function."
    elif wanted != found:
        detail = "WRONG_NUM_ORDERINGS"
        text = f"The function requires {wanted} orderings in WITHIN GROUP but got {found}."
    if detail:
        raise SqlError(
            f"INVALID_WITHIN_GROUP_EXPRESSION.{detail}",
            "42K0K",
            f"Invalid function `{call.name}` with WITHIN GROUP. {text}",
        )


@aggregate("percentile_cont percentile_disc", 1)
def build_percentile_within(call: FunctionCall) -> Typed:
    """``percentile_cont(p) WITHIN GROUP (ORDER BY x)``."""
    _within_group(call, 1)
    _refuse_frame(call)
    share, many = _share(call, 0)
    ordered = call.modifiers.order_values[0]
    value = call.binder.cast(ordered, DOUBLE).sql
    if " DESC " in call.order:
        raise unsupported(f"{call.name} in descending order")
    verb = "quantile_cont" if call.name == "percentile_cont" else "quantile_disc"
    name = f"{call.name}({call.args[0].name}) WITHIN GROUP (ORDER BY {ordered.name})"
    return Typed(f"{verb}({value}, {share}){call.suffix}", array(DOUBLE) if many else DOUBLE, name)


@aggregate("approx_percentile percentile_approx", 2, 3)
def build_approx_percentile(call: FunctionCall) -> Typed:
    """The exact element at the percentile, which every accuracy allows."""
    value = call.number('"NUMERIC" or "ANSI INTERVAL"')
    share, many = _share(call)
    accuracy = "10000"
    if len(call.args) == 3:
        _check_accuracy(call)
        accuracy = call.args[2].name
    inner = f"{call.args[0].name}, {call.args[1].name}, {accuracy}"
    sql = f"quantile_disc({call.distinct}{value.sql}, {share}){call.suffix}"
    name = f"{call.name}({call.distinct}{inner})"
    return Typed(sql, array(value.type) if many else value.type, name)


def _check_accuracy(call: FunctionCall) -> None:
    value = call.args[2]
    if value.constant is None:
        raise _unexpected_null(call, "accuracy")
    if not value.type.is_integral:
        raise unexpected_input(call.shown, 3, "INTEGRAL", value)
    number = call.constant(2, "accuracy")
    if not isinstance(number, int) or not 0 < number < 2**31:
        raise SqlError(
            "DATATYPE_MISMATCH.VALUE_OUT_OF_RANGE",
            "42K09",
            f'Cannot resolve "{call.shown}" due to data type mismatch: The accuracy must be '
            f"between (0, 2147483647] (current value = {number}).",
        )


@aggregate("approx_count_distinct", 1, 2)
def build_approx_count_distinct(call: FunctionCall) -> Typed:
    """The exact count, which every relative error allows."""
    if len(call.args) == 2:
        error = call.constant(1, "relativeSD")
        if call.args[1].type.name not in ("DECIMAL", "DOUBLE") or error is None:
            raise unsupported("approx_count_distinct with an error that is not a DOUBLE")
    name = f"{call.name}({call.modifiers.distinct}{call.args[0].name})"
    return Typed(f"count(DISTINCT {call.args[0].sql}){call.suffix}", BIGINT, name, False)


@aggregate("mode", 0, 2)
def build_mode(call: FunctionCall) -> Typed:
    """The most frequent value: any of several, the least one, or the first in WITHIN GROUP."""
    _within_group(call, 0 if call.nodes else 1)
    if not call.nodes:
        return _first_mode(call, call.modifiers.order_values[0], " DESC " in call.order)
    value = call.args[0]
    if len(call.args) == 2 and call.constant(1, "deterministic", BOOLEAN):
        return _first_mode(call, value, False)
    return Typed(f"mode({value.sql}){call.suffix}", value.type, f"mode({value.name})")


def _first_mode(call: FunctionCall, value: Typed, descending: bool) -> Typed:
    if not comparable(value.type) or value.type.is_nested:
        raise unsupported(f"the first mode of values of type {value.type.text}")
    # DuckDB takes the first of several. Its lists of NULLs alone have no mode.
    kept = call.suffixed(f"{value.sql} IS NOT NULL")
    sort = "list_reverse_sort" if descending else "list_sort"
    sql = f"list_aggregate({sort}(list({value.sql}){kept}), 'mode')"
    # The order is shown turned round, as by Spark, which takes the last in it.
    shown = f"mode() WITHIN GROUP (ORDER BY {value.name}{'' if descending else ' DESC'})"
    return Typed(sql, value.type, shown)


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
    columns = _grouping_columns(call)
    sql = call.args[0].sql
    if columns and sql not in columns:
        raise SqlError(
            "GROUPING_COLUMN_MISMATCH",
            "42803",
            f"Column of grouping ({call.args[0].name}) can't be found in the grouping columns.",
        )
    value = f"grouping({sql})" if columns else "0"
    return Typed(f"CAST({value} AS TINYINT)", SqlType("TINYINT"), call.shown, False)


@aggregate("grouping_id", 0, None)
def build_grouping_id(call: FunctionCall) -> Typed:
    """The bits of ``grouping`` of all columns that are grouped by, in their order."""
    columns = _grouping_columns(call)
    if columns and call.args and [arg.sql for arg in call.args] != columns:
        raise SqlError(
            "GROUPING_ID_COLUMN_MISMATCH",
            "42803",
            f"Columns of grouping_id ({', '.join(arg.name for arg in call.args)}) does not match "
            "the grouping columns.",
        )
    value = f"grouping({', '.join(columns)})" if columns else "0"
    return Typed(f"CAST({value} AS BIGINT)", BIGINT, call.shown, False)


def _grouping_columns(call: FunctionCall) -> list[str]:
    if call.scope.grouping is None:
        raise SqlError(
            "UNSUPPORTED_GROUPING_EXPRESSION",
            "42K0E",
            "grouping()/grouping_id() can only be used with GroupingSets/Cube/Rollup.",
        )
    return call.scope.grouping
