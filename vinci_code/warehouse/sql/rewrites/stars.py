"""Rewrites of ``*``, ``t.*``, ``s.*`` for a struct, and ``* EXCEPT``."""

from __future__ import annotations

from sqlglot import exp

from vinci_code.warehouse.sql.binder import Binder, only, refused
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.rewrites.predicates import field
from vinci_code.warehouse.sql.scope import Scope, column_value, qualifies
from vinci_code.warehouse.sql.values import Typed


def expand_star(binder: Binder, node: exp.Expr, scope: Scope) -> list[Typed] | None:
    """Return the columns that a star stands for, ``None`` where the node is no star."""
    if isinstance(node, exp.Star):
        star, qualifier = node, []
    elif isinstance(node, exp.Column) and isinstance(node.this, exp.Star):
        star = node.this
        qualifier = [
            node.args[key].name for key in ("catalog", "db", "table") if node.args.get(key)
        ]
    elif isinstance(node, exp.Dot) and isinstance(node.expression, exp.Star):
        return _except(_struct_star(binder.expression(node.this, scope)), node.expression)
    else:
        return None
    only(star, "except_")
    values = _qualified(qualifier, scope) if qualifier else _all_columns(scope)
    return _except(values, star)


def _all_columns(scope: Scope) -> list[Typed]:
    if not scope.sources:
        raise SqlError(
            "INVALID_USAGE_OF_STAR_OR_REGEX",
            "42000",
            "Invalid usage of '*' in a query without FROM.",
        )
    values = [column_value(column) for column in scope.merged.values()]
    for source in scope.sources:
        values += [
            column_value(column)
            for column in source.columns
            if column.name.lower() not in source.hidden
        ]
    return values


def _qualified(qualifier: list[str], scope: Scope) -> list[Typed]:
    matches = [source for source in scope.sources if qualifies(source.qualifier, qualifier)]
    if matches:
        return [column_value(column) for column in matches[0].columns]
    try:
        value, rest = scope.resolve(qualifier)
    except SqlError:
        raise SqlError(
            "CANNOT_RESOLVE_STAR_EXPAND",
            "42704",
            f"Cannot resolve {'.'.join(f'`{part}`' for part in qualifier)}.* given input columns "
            + ", ".join(f"`{column.name}`" for source in scope.sources for column in source.columns)
            + ". Please check that the specified table or struct exists and is accessible in the "
            "input columns.",
        ) from None
    for name in rest:
        value = field(value, name)
    return _struct_star(value)


def _struct_star(value: Typed) -> list[Typed]:
    if value.type.name != "STRUCT":
        raise SqlError(
            "CANNOT_RESOLVE_STAR_EXPAND",
            "42704",
            f"Cannot resolve `{value.name}`.* given input columns. Please check that the specified "
            "table or struct exists and is accessible in the input columns.",
        )
    return [field(value, item.name).named(item.name) for item in value.type.fields]


def _except(values: list[Typed], star: exp.Expr) -> list[Typed]:
    left_out = star.args.get("except_") or []
    for node in left_out:
        if not isinstance(node, (exp.Column, exp.Identifier)):
            raise refused(node)
        name = node.name.lower()
        kept = [value for value in values if value.name.lower() != name]
        if len(kept) == len(values):
            raise SqlError(
                "UNRESOLVED_COLUMN.WITH_SUGGESTION",
                "42703",
                f"A column, variable, or function parameter with name `{node.name}` cannot be "
                "resolved. Did you mean one of the following? "
                f"[{', '.join(f'`{value.name}`' for value in values)}].",
            )
        values = kept
    return values
