"""Rewrites of function calls, aggregates and windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlglot import exp

from vinci_code.warehouse.sql.binder import Binder, only, refused
from vinci_code.warehouse.sql.builtins.documented import DOCUMENTED
from vinci_code.warehouse.sql.builtins.registry import (
    FUNCTIONS,
    Builtin,
    FunctionCall,
    Modifiers,
    check_arity,
)
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.rewrites.grouping import has_aggregate
from vinci_code.warehouse.sql.rewrites.identifiers import identifier_parts
from vinci_code.warehouse.sql.rewrites.literals import rewrite_intervals
from vinci_code.warehouse.sql.rewrites.operators import sort_key
from vinci_code.warehouse.sql.rewrites.predicates import resolve_name
from vinci_code.warehouse.sql.scope import Scope
from vinci_code.warehouse.sql.values import Typed


def rewrite_no_paren_call(binder: Binder, node: exp.Expr, scope: Scope) -> Typed:
    """``current_date`` and the like stand without parentheses."""
    name = _NO_PAREN[type(node)]
    return rewrite_call(binder, exp.Anonymous(this=name, expressions=[]), scope)


_NO_PAREN: dict[type, str] = {
    exp.CurrentDate: "current_date",
    exp.CurrentTimestamp: "current_timestamp",
    exp.CurrentUser: "current_user",
    exp.SessionUser: "session_user",
    exp.Localtimestamp: "localtimestamp",
    exp.CurrentTime: "current_time",
}


def call_name(node: exp.Expr) -> str:
    """Return a called function's name in lower case."""
    this = node.this
    return (this.name if isinstance(this, exp.Expr) else str(this)).lower()


def find_function(name: str, binder: Binder) -> Builtin:
    """Return a function of the allow-list.

    Raises:
        SqlError: ``UNSUPPORTED_BY_LOCAL_WAREHOUSE`` where Databricks documents it,
            ``UNRESOLVED_ROUTINE`` where it does not.
    """
    found = FUNCTIONS.get(name)
    if found is not None:
        return found
    if name in DOCUMENTED:
        raise unsupported(f"the function {name}")
    context = binder.context
    raise SqlError(
        "UNRESOLVED_ROUTINE",
        "42883",
        f"Cannot resolve routine `{name}` on search path [`system`.`builtin`, `system`.`session`, "
        f"`{context.catalog}`.`{context.schema}`].",
    )


def rewrite_call(
    binder: Binder, node: exp.Anonymous, scope: Scope, modifiers: Modifiers | None = None
) -> Typed:
    """A function is looked up in the allow-list; nothing of DuckDB's own is reachable."""
    modifiers = modifiers or Modifiers()
    name = call_name(node)
    if name == "#interval":
        return rewrite_intervals(binder, node.expressions, scope)
    if name == "identifier":
        return _identified(binder, node, scope)
    builtin = find_function(name, binder)
    nodes, distinct = _arguments(node.expressions)
    modifiers = replace(modifiers, distinct=distinct)
    _check_modifiers(name, builtin.kind, modifiers)
    check_arity(name, builtin, len(nodes))
    if builtin.kind in ("generator", "table"):
        raise SqlError(
            "UNSUPPORTED_GENERATOR.NESTED_IN_EXPRESSIONS",
            "42K0E",
            f'The generator is not supported: nested in expressions "{name}(…)".',
        )
    if builtin.kind == "window" and not modifiers.over:
        raise SqlError(
            "WINDOW_FUNCTION_WITHOUT_OVER_CLAUSE",
            "42601",
            f'Window function "{name}()" requires an OVER clause.',
        )
    if builtin.kind == "aggregate" and not modifiers.over:
        _refuse_nested(nodes)
    call = FunctionCall(binder, name, nodes, scope, modifiers)
    value = builtin.build(call)
    _refuse_lost(call)
    return value


# What no function of a kind takes; the rest is asked for by those that take it.
_NEVER = {
    "scalar": ("DISTINCT", "FILTER", "WITHIN GROUP", "IGNORE NULLS"),
    "window": ("DISTINCT", "FILTER", "WITHIN GROUP"),
    "generator": ("DISTINCT", "FILTER", "WITHIN GROUP", "IGNORE NULLS"),
    "table": ("DISTINCT", "FILTER", "WITHIN GROUP", "IGNORE NULLS"),
}
_SHOWN = {"FILTER": "FILTER CLAUSE", "WITHIN GROUP": "WITHIN GROUP (ORDER BY ...)"}


def _check_modifiers(name: str, kind: str, modifiers: Modifiers) -> None:
    given = modifiers.given
    for word in _NEVER.get(kind, ()):
        if word in given:
            raise _unsupported_syntax(name, word)
    if kind == "scalar" and modifiers.over:
        raise SqlError(
            "UNSUPPORTED_EXPR_FOR_WINDOW",
            "42P20",
            f'Expression "{name}" not supported within a window function.',
        )
    if modifiers.distinct and modifiers.over:
        raise SqlError(
            "DISTINCT_WINDOW_FUNCTION_UNSUPPORTED",
            "0A000",
            f'Distinct window functions are not supported: "{name}(DISTINCT …)".',
        )


# Where an equal value more changes nothing.
_OF_A_SET = frozenset(
    "min max bit_and bit_or bool_and every bool_or any some collect_set approx_count_distinct "
    "count_if".split()
)


def _refuse_lost(call: FunctionCall) -> None:
    """Refuse a call of which something was not looked at: the answer would be another's.

    RESPECT NULLS is what each function does that takes no IGNORE NULLS; collect_list and
    collect_set ask for it.
    """
    lost = call.lost - {"RESPECT NULLS"}
    if "DISTINCT" in lost and call.name in _OF_A_SET:
        lost.remove("DISTINCT")
    for word in ("IGNORE NULLS", "WITHIN GROUP"):
        if word in lost:
            raise _unsupported_syntax(call.name, word)
    if lost:
        raise unsupported(f"{' and '.join(sorted(lost))} of {call.name}")


def _unsupported_syntax(name: str, word: str) -> SqlError:
    return SqlError(
        "INVALID_SQL_SYNTAX.FUNCTION_WITH_UNSUPPORTED_SYNTAX",
        "42000",
        f"Invalid SQL syntax: The function `{name}` does not support {_SHOWN.get(word, word)}.",
    )


def _identified(binder: Binder, node: exp.Anonymous, scope: Scope) -> Typed:
    """``IDENTIFIER('a.b')`` names a column by a constant text."""
    return resolve_name(identifier_parts(binder, node), scope)


def _refuse_nested(nodes: Sequence[exp.Expr]) -> None:
    if any(_has_window(node) for node in nodes):
        raise unsupported("a window function inside of an aggregate function")
    if any(_is_grouping(one) for node in nodes for one in node.find_all(exp.Anonymous)):
        raise unsupported("grouping inside of an aggregate function")
    if any(has_aggregate(node) for node in nodes):
        raise SqlError(
            "NESTED_AGGREGATE_FUNCTION",
            "42607",
            "It is not allowed to use an aggregate function in the argument of another aggregate "
            "function. Please use the inner aggregate function in a sub-query.",
        )


def _is_grouping(node: exp.Anonymous) -> bool:
    return call_name(node) in ("grouping", "grouping_id")


def _arguments(nodes: Sequence[exp.Expr]) -> tuple[Sequence[exp.Expr], str]:
    if len(nodes) == 1 and isinstance(nodes[0], exp.Distinct):
        only(nodes[0], "expressions")
        return nodes[0].expressions, "DISTINCT "
    return nodes, ""


def rewrite_window(binder: Binder, node: exp.Window, scope: Scope) -> Typed:
    """``f(…) OVER (…)`` with Databricks' order of NULLs and default frame."""
    _refuse_nested_window(node)
    if node.args.get("alias") is not None:
        spec = _named_window(node, scope)
        only(node, "this", "alias", "over")
    else:
        spec = node
        only(node, "this", "partition_by", "order", "spec", "over", "first")
    over, shown = _over(binder, spec, scope)
    inner = node.this.this if isinstance(node.this, exp.IgnoreNulls) else node.this
    name = call_name(inner) if isinstance(inner, exp.Anonymous) else ""
    ordered = spec.args.get("order") is not None
    ranking = name in FUNCTIONS and FUNCTIONS[name].kind == "window"
    if ranking and spec.args.get("spec") is not None and name != "nth_value":
        _check_frame(binder, name, spec.args["spec"], scope)
    if not ordered and ranking:
        raise SqlError(
            "WINDOW_FUNCTION_FRAME_NOT_ORDERED",
            "42601",
            f"Window function {name}() requires window to be ordered, please add ORDER BY clause.",
        )
    framed = ordered or spec.args.get("spec") is not None
    modifiers = Modifiers(over=f" OVER ({over})", framed=framed)
    return rewrite_modified_call(binder, node.this, scope, modifiers, f" OVER ({shown})")


def _refuse_nested_window(node: exp.Window) -> None:
    """Refuse a window function inside of another; one in a sub-query is not inside."""
    if any(_has_window(child) for child in node.iter_expressions()):
        raise unsupported("a window function inside of a window function")


def _has_window(node: exp.Expr) -> bool:
    if isinstance(node, exp.Window):
        return True
    if isinstance(node, exp.Query):
        return False
    return any(_has_window(child) for child in node.iter_expressions())


def _check_frame(binder: Binder, name: str, spec: exp.WindowSpec, scope: Scope) -> None:
    frame = _frame(binder, spec, scope)
    required = "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
    if name in ("lag", "lead") or frame != required:
        raise SqlError(
            "WINDOW_FUNCTION_AND_FRAME_MISMATCH",
            "42K0E",
            f"{name}() function can only be evaluated in an ordered row-based window frame with a "
            "single offset.",
        )


def _named_window(node: exp.Window, scope: Scope) -> exp.Window:
    name = node.args["alias"].name.lower()
    found = scope.windows.get(name)
    if not isinstance(found, exp.Window):
        raise SqlError(
            "MISSING_WINDOW_SPECIFICATION",
            "42P20",
            f"Window specification is not defined in the WINDOW clause for {name}.",
        )
    return found


def rewrite_modified_call(
    binder: Binder,
    node: exp.Expr,
    scope: Scope,
    modifiers: Modifiers | None = None,
    shown: str = "",
) -> Typed:
    """``FILTER (WHERE …)``, ``IGNORE NULLS`` and ``WITHIN GROUP`` belong to the call inside."""
    modifiers = modifiers or Modifiers()
    label = shown
    while not isinstance(node, exp.Anonymous):
        if isinstance(node, exp.Filter) and not modifiers.filter:
            test = binder.condition(node.expression.this, scope, "Filter")
            modifiers = replace(modifiers, filter=test.sql)
            label = f" FILTER (WHERE {test.name}){shown}"
        elif (
            isinstance(node, (exp.IgnoreNulls, exp.RespectNulls)) and modifiers.ignore_nulls is None
        ):
            modifiers = replace(modifiers, ignore_nulls=isinstance(node, exp.IgnoreNulls))
        elif isinstance(node, exp.WithinGroup) and not modifiers.order:
            ordered = node.expression.expressions
            modifiers = replace(
                modifiers,
                order=order_sql(binder, ordered, scope),
                order_values=tuple(binder.expression(item.this, scope) for item in ordered),
                order_shown=order_name(binder, ordered, scope),
            )
        else:
            raise refused(node)
        node = node.this
    value = rewrite_call(binder, node, scope, modifiers)
    if call_name(node) in _ROW_FRAMED:
        label = label.replace(_DEFAULT_FRAME, "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW")
    return value.named(value.name + label)


_DEFAULT_FRAME = "RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
# Functions of the row's place: their frame is one of rows, and a name shows it so.
_ROW_FRAMED = ("row_number", "rank", "dense_rank", "percent_rank", "ntile")


def _over(binder: Binder, node: exp.Window, scope: Scope) -> tuple[str, str]:
    parts, shown = [], []
    partition = binder.expressions(node.args.get("partition_by") or [], scope)
    if partition:
        parts.append("PARTITION BY " + ", ".join(value.sql for value in partition))
        shown.append("PARTITION BY " + ", ".join(value.name for value in partition))
    order = node.args.get("order")
    if order is not None:
        parts.append("ORDER BY " + order_sql(binder, order.expressions, scope))
        shown.append("ORDER BY " + order_name(binder, order.expressions, scope))
    spec = node.args.get("spec")
    frame = _frame(binder, spec, scope) if spec is not None else ""
    if frame:
        parts.append(frame)
    default = _DEFAULT_FRAME if order is not None else ""
    shown.append(frame or (default or "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING"))
    return " ".join(parts), " ".join(shown)


def _frame(binder: Binder, spec: exp.WindowSpec, scope: Scope) -> str:
    only(spec, "kind", "start", "start_side", "end", "end_side")
    kind = str(spec.args["kind"]).upper()
    if kind not in ("ROWS", "RANGE"):
        raise refused(spec, kind)
    start = _bound(binder, spec.args.get("start"), spec.args.get("start_side"), scope)
    end = _bound(binder, spec.args.get("end") or "CURRENT ROW", spec.args.get("end_side"), scope)
    return f"{kind} BETWEEN {start} AND {end}"


def _bound(binder: Binder, value: object, side: object, scope: Scope) -> str:
    word = str(side or "").upper()
    if isinstance(value, exp.Expr):
        return f"{binder.expression(value, scope).sql} {word}"
    return f"{str(value).upper()} {word}".strip()


def order_sql(binder: Binder, ordered: Sequence[exp.Expr], scope: Scope) -> str:
    """Return the items of an ORDER BY with NULLs where Databricks puts them."""
    return ", ".join(
        _key(binder.expression(item.this, scope)) + direction(item) for item in ordered
    )


def _key(value: Typed) -> str:
    return sort_key(value.sql, value.type) if value.type.is_nested else value.sql


def order_name(binder: Binder, ordered: Sequence[exp.Expr], scope: Scope) -> str:
    """Return the items of an ORDER BY as they show in a column's name."""
    return ", ".join(binder.expression(item.this, scope).name + direction(item) for item in ordered)


def direction(item: exp.Expr) -> str:
    """Return the direction of an ORDER BY item: NULLs come first when ascending, else last."""
    only(item, "this", "desc", "nulls_first", "explicit_null_ordering")
    word = "DESC" if item.args.get("desc") else "ASC"
    nulls = "FIRST" if item.args.get("nulls_first") else "LAST"
    return f" {word} NULLS {nulls}"
