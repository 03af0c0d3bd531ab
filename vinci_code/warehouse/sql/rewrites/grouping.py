"""Rewrites of GROUP BY: ordinals, aliases, ALL, ROLLUP, CUBE and GROUPING SETS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from vinci_code.warehouse.sql.binder import Binder, only
from vinci_code.warehouse.sql.builtins.registry import FUNCTIONS
from vinci_code.warehouse.sql.coercion import comparable
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.scope import Scope
from vinci_code.warehouse.sql.types import INT
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


def ordinal(node: exp.Expr, binder: Binder) -> int | None:
    """Return the position in the select list that a bare number means, also one below zero.

    A parameter of type INT is such a number: its marker stands for a literal.
    """
    node = node.unnest()
    if isinstance(node, exp.Neg):
        position = ordinal(node.this, binder)
        return None if position is None else -position
    if isinstance(node, exp.Placeholder):
        value = binder.parameter(node)
        return value.constant if value.type == INT and isinstance(value.constant, int) else None
    if isinstance(node, exp.Literal) and not node.is_string and node.this.isdigit():
        return int(node.this)
    return None


@dataclass(frozen=True)
class GroupBy:
    """The GROUP BY of one query.

    Attributes:
        binder: Of the statement.
        nodes: The select list as it was read.
        values: The select list translated, stars expanded.
        scope: Of the query.
        columns: The SQL of what is grouped by, each once, in the order written.
    """

    binder: Binder
    nodes: Sequence[exp.Expr]
    values: Sequence[Typed]
    scope: Scope
    columns: list[str] = field(default_factory=list)

    def clause(self, group: exp.Group) -> str:
        """Return the SQL of the clause."""
        only(group, "expressions", "all", "rollup", "cube", "grouping_sets")
        if group.args.get("all"):
            return self._all()
        parts = [self._part(node) for node in group.expressions]
        text = _with_words(group, parts)
        if text is None:
            for key in ("rollup", "cube", "grouping_sets"):
                parts += map(self._part, group.args.get(key) or [])
            text = ", ".join(parts)
        return f" GROUP BY {text}" if text else ""

    def _all(self) -> str:
        if len(self.nodes) == len(self.values):
            keys = [
                value.sql
                for node, value in zip(self.nodes, self.values, strict=True)
                if not has_aggregate(node) and not value.is_constant
            ]
        else:
            aggregates = {_alias_of(node) for node in self.nodes if has_aggregate(node)}
            keys = [
                value.sql
                for value in self.values
                if value.name not in aggregates and not value.is_constant
            ]
        return f" GROUP BY {', '.join(keys)}" if keys else ""

    def _part(self, node: exp.Expr) -> str:
        if isinstance(node, (exp.Rollup, exp.Cube)):
            return self._rolled(node)
        if isinstance(node, exp.GroupingSets):
            return f"GROUPING SETS ({', '.join(map(self._grouping_set, node.expressions))})"
        return self._item(node)

    def _rolled(self, node: exp.Rollup | exp.Cube) -> str:
        word = "ROLLUP" if isinstance(node, exp.Rollup) else "CUBE"
        return f"{word} ({', '.join(map(self._set, node.expressions))})"

    def _grouping_set(self, node: exp.Expr) -> str:
        if isinstance(node, (exp.Rollup, exp.Cube)):
            return self._rolled(node)
        text = self._set(node)
        return text if text.startswith("(") and isinstance(node, exp.Tuple) else f"({text})"

    def _set(self, node: exp.Expr) -> str:
        if isinstance(node, exp.Tuple):
            return f"({', '.join(map(self._item, node.expressions))})"
        if isinstance(node, exp.Paren):
            return f"({self._item(node.this)})"
        return self._item(node)

    def _item(self, node: exp.Expr) -> str:
        position = ordinal(node, self.binder)
        if position is not None:
            value = self._at(position)
        elif has_aggregate(node):
            raise SqlError(
                "GROUP_BY_AGGREGATE", "42903", "Aggregate functions are not allowed in GROUP BY."
            )
        else:
            value = self.binder.expression(node, self.scope)
        if not comparable(value.type):
            raise SqlError(
                "GROUP_EXPRESSION_TYPE_IS_NOT_ORDERABLE",
                "42822",
                f'The expression "{value.name}" cannot be used as a grouping expression because '
                f'its data type "{value.type.text}" is not an orderable data type.',
            )
        # DuckDB would take a bare number for the position of a column.
        sql = f"CAST({value.sql} AS {value.type.duckdb()})" if value.is_constant else value.sql
        if sql not in self.columns:
            self.columns.append(sql)
        return sql

    def _at(self, position: int) -> Typed:
        nodes, values = self.nodes, self.values
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
                "contains an aggregate function. Aggregate functions are not allowed in GROUP BY.",
            )
        return values[position - 1]


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


def _alias_of(node: exp.Expr) -> str:
    return node.alias or node.sql("databricks")
