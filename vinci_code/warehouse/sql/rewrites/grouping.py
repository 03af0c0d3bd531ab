"""Rewrites of GROUP BY: ordinals, aliases, ALL, ROLLUP, CUBE and GROUPING SETS."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from vinci_code.warehouse.sql.binder import Binder, only
from vinci_code.warehouse.sql.builtins.registry import FUNCTIONS
from vinci_code.warehouse.sql.coercion import comparable
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.scope import Scope
from vinci_code.warehouse.sql.values import Typed


def has_aggregate(node: exp.Expr) -> bool:
    """Return whether an aggregate stands in the expression, outside of windows and sub-queries."""
    if isinstance(node, exp.Window):
        parts = [*node.args.get("partition_by", []), node.args.get("order")]
        inner = node.this
        while isinstance(inner, (exp.Filter, exp.IgnoreNulls, exp.RespectNulls)):
            inner = inner.this
        return any(has_aggregate(part) for part in (*parts, *inner.expressions) if part is not None)
    if isinstance(node, exp.Query):
        return False
    if isinstance(node, exp.Anonymous):
        name = node.this if isinstance(node.this, str) else node.this.name
        found = FUNCTIONS.get(name.lower())
        if found is not None and found.kind == "aggregate":
            return True
    return any(has_aggregate(child) for child in node.iter_expressions())


def ordinal(node: exp.Expr) -> int | None:
    """Return the position in the select list that a bare number means, also one below zero."""
    node = node.unnest()
    if isinstance(node, exp.Neg):
        position = ordinal(node.this)
        return None if position is None else -position
    if isinstance(node, exp.Literal) and not node.is_string and node.this.isdigit():
        return int(node.this)
    return None


def bind_group(
    binder: Binder,
    group: exp.Group,
    nodes: Sequence[exp.Expr],
    values: Sequence[Typed],
    scope: Scope,
) -> str:
    """Return the GROUP BY clause.

    ``nodes`` is the select list as it was read, ``values`` translated, stars expanded.
    """
    only(group, "expressions", "all", "rollup", "cube", "grouping_sets")
    if group.args.get("all"):
        return _group_all(nodes, values)
    parts = [_group_part(binder, node, values, nodes, scope) for node in group.expressions]
    text = _with_words(group, parts)
    if text is None:
        for key in ("rollup", "cube", "grouping_sets"):
            parts += [
                _group_part(binder, item, values, nodes, scope)
                for item in group.args.get(key) or []
            ]
        text = ", ".join(parts)
    return f" GROUP BY {text}" if text else ""


def _group_part(
    binder: Binder,
    node: exp.Expr,
    values: Sequence[Typed],
    nodes: Sequence[exp.Expr],
    scope: Scope,
) -> str:
    if isinstance(node, (exp.Rollup, exp.Cube)):
        word = "ROLLUP" if isinstance(node, exp.Rollup) else "CUBE"
        inner = [_set(binder, one, values, nodes, scope) for one in node.expressions]
        return f"{word} ({', '.join(inner)})"
    if isinstance(node, exp.GroupingSets):
        return _grouping_sets(binder, node, values, nodes, scope)
    return _group_item(binder, node, values, nodes, scope)


def _with_words(group: exp.Group, parts: list[str]) -> str | None:
    """``GROUP BY a, b WITH ROLLUP`` is the older way to write it."""
    for word, key in (("ROLLUP", "rollup"), ("CUBE", "cube")):
        for item in group.args.get(key) or []:
            if not item.expressions:
                return f"{word} ({', '.join(parts)})"
    sets = group.args.get("grouping_sets")
    if sets and parts:
        # GROUP BY a, b GROUPING SETS (…): the list only repeats the columns of the sets.
        parts.clear()
    return None


def _group_all(nodes: Sequence[exp.Expr], values: Sequence[Typed]) -> str:
    if len(nodes) == len(values):
        keys = [
            value.sql
            for node, value in zip(nodes, values, strict=True)
            if not has_aggregate(node) and not value.is_constant
        ]
    else:
        aggregates = {_alias_of(node) for node in nodes if has_aggregate(node)}
        keys = [
            value.sql for value in values if value.name not in aggregates and not value.is_constant
        ]
    return f" GROUP BY {', '.join(keys)}" if keys else ""


def _alias_of(node: exp.Expr) -> str:
    return node.alias or node.sql("databricks")


def _grouping_sets(
    binder: Binder,
    item: exp.Expr,
    values: Sequence[Typed],
    nodes: Sequence[exp.Expr],
    scope: Scope,
) -> str:
    sets = []
    for one in item.expressions:
        if isinstance(one, (exp.Rollup, exp.Cube)):
            word = "ROLLUP" if isinstance(one, exp.Rollup) else "CUBE"
            inner = [_set(binder, part, values, nodes, scope) for part in one.expressions]
            sets.append(f"{word} ({', '.join(inner)})")
            continue
        text = _set(binder, one, values, nodes, scope)
        sets.append(text if text.startswith("(") and isinstance(one, exp.Tuple) else f"({text})")
    return f"GROUPING SETS ({', '.join(sets)})"


def _set(
    binder: Binder,
    node: exp.Expr,
    values: Sequence[Typed],
    nodes: Sequence[exp.Expr],
    scope: Scope,
) -> str:
    if isinstance(node, exp.Tuple):
        inner = [_group_item(binder, one, values, nodes, scope) for one in node.expressions]
        return f"({', '.join(inner)})"
    if isinstance(node, exp.Paren):
        return f"({_group_item(binder, node.this, values, nodes, scope)})"
    return _group_item(binder, node, values, nodes, scope)


def _group_item(
    binder: Binder,
    node: exp.Expr,
    values: Sequence[Typed],
    nodes: Sequence[exp.Expr],
    scope: Scope,
) -> str:
    value = None
    position = ordinal(node)
    if position is not None:
        value = _at(position, values, nodes)
    if value is None:
        if has_aggregate(node):
            raise _aggregate_in_group()
        value = binder.expression(node, scope)
    if not comparable(value.type):
        raise SqlError(
            "GROUP_EXPRESSION_TYPE_IS_NOT_ORDERABLE",
            "42822",
            f'The expression "{value.name}" cannot be used as a grouping expression because its '
            f'data type "{value.type.text}" is not an orderable data type.',
        )
    # DuckDB would take a bare number for the position of a column.
    return f"CAST({value.sql} AS {value.type.duckdb()})" if value.is_constant else value.sql


def _at(position: int, values: Sequence[Typed], nodes: Sequence[exp.Expr]) -> Typed:
    if not 1 <= position <= len(values):
        raise SqlError(
            "GROUP_BY_POS_OUT_OF_RANGE",
            "42805",
            f"GROUP BY position {position} is not in select list (valid range is "
            f"[1, {len(values)}]).",
        )
    if len(nodes) == len(values) and has_aggregate(nodes[position - 1]):
        raise SqlError(
            "GROUP_BY_POS_AGGREGATE",
            "42903",
            f"GROUP BY {position} refers to an expression {values[position - 1].name} that "
            f"contains "
            "an aggregate function. Aggregate functions are not allowed in GROUP BY.",
        )
    return values[position - 1]


def _aggregate_in_group() -> SqlError:
    return SqlError(
        "GROUP_BY_AGGREGATE", "42903", "Aggregate functions are not allowed in GROUP BY."
    )
