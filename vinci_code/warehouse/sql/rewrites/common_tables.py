"""Rewrites of WITH: common table expressions, recursive ones too."""

# ruff: noqa: S608 - the SQL is made of translated parts only, user data is bound
from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from vinci_code.warehouse.sql.binder import Binder, only
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.scope import BoundQuery, CommonTable, Scope
from vinci_code.warehouse.sql.types import Column
from vinci_code.warehouse.sql.values import Typed, fail_sql, quote

# https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-qry-select-cte
MAX_RECURSION = 100
LEVEL = "#level"


def bind_with(binder: Binder, node: exp.With | None, scope: Scope) -> str:
    """Declare the tables of a WITH in ``scope`` and return the clause, empty without one."""
    if node is None:
        return ""
    only(node, "expressions", "recursive")
    parts = []
    for table in node.expressions:
        only(table, "this", "alias")
        if table.alias.lower() in scope.tables:
            raise SqlError(
                "DUPLICATED_CTE_NAMES",
                "42602",
                f"CTE definition can't have duplicate names: `{table.alias}`.",
            )
        recursive = bool(node.args.get("recursive")) and _names_itself(table)
        bind = _bind_recursive if recursive else _bind_plain
        parts.append(bind(binder, table, scope))
    word = "WITH RECURSIVE" if node.args.get("recursive") else "WITH"
    return f"{word} {', '.join(parts)} "


def _names_itself(table: exp.CTE) -> bool:
    name = table.alias.lower()
    return any(
        one.name.lower() == name and not one.args.get("db")
        for one in table.this.find_all(exp.Table)
    )


def _bind_plain(binder: Binder, table: exp.CTE, scope: Scope) -> str:
    bound = binder.query(table.this, scope)
    name = binder.alias(table.alias)
    columns = rename(bound.columns, table.args["alias"])
    scope.tables[table.alias.lower()] = CommonTable(name, columns, bound.physical)
    return f"{quote(name)} AS ({bound.sql})"


def rename(columns: tuple[Column, ...], alias: exp.TableAlias | None) -> tuple[Column, ...]:
    """Return columns under the names of ``AS t(a, b)``.

    Raises:
        SqlError: ``ASSIGNMENT_ARITY_MISMATCH`` where there are more or fewer names than columns.
    """
    names = [column.name for column in alias.args.get("columns") or []] if alias is not None else []
    if not names:
        return columns
    if len(names) != len(columns):
        raise SqlError(
            "ASSIGNMENT_ARITY_MISMATCH",
            "42802",
            f"The number of columns or variables assigned or aliased: {len(names)} does not match "
            f"the number of source expressions: {len(columns)}.",
        )
    return tuple(replace(one, name=name) for one, name in zip(columns, names, strict=True))


def _bind_recursive(binder: Binder, table: exp.CTE, scope: Scope) -> str:
    union = table.this
    while isinstance(union, (exp.Subquery, exp.Paren)):
        union = union.this
    if not isinstance(union, exp.Union) or union.args.get("distinct"):
        raise SqlError(
            "INVALID_RECURSIVE_CTE",
            "42836",
            "Invalid recursive definition found. Recursive queries must contain an UNION or "
            "an UNION "
            "ALL statement with 2 children. The first child needs to be the anchor term "
            "without any "
            "recursive references.",
        )
    anchor = binder.query(union.this, scope)
    name = binder.alias(table.alias)
    columns = tuple(
        replace(one, nullable=True) for one in rename(anchor.columns, table.args["alias"])
    )
    labels = [quote(physical) for physical in anchor.physical]
    scope.tables[table.alias.lower()] = CommonTable(name, columns, (*anchor.physical,), True)
    step = _fit_step(binder, _bind_step(binder, union.expression, scope), columns)
    scope.tables[table.alias.lower()] = CommonTable(name, columns, anchor.physical)
    first = f'SELECT {", ".join(labels)}, 0 AS {quote(LEVEL)} FROM ({anchor.sql}) AS "anchor"'
    declared = ", ".join([*labels, quote(LEVEL)])
    return f"{quote(name)}({declared}) AS ({first} UNION ALL {step})"


def _bind_step(binder: Binder, node: exp.Expr, scope: Scope) -> BoundQuery:
    bound = binder.query(node, scope)
    if LEVEL not in bound.physical:
        raise unsupported("a recursive common table expression whose step is not one plain SELECT")
    return replace(bound, physical=bound.physical[:-1], columns=bound.columns[:-1])


def _fit_step(binder: Binder, step: BoundQuery, columns: tuple[Column, ...]) -> str:
    if len(step.columns) != len(columns):
        raise SqlError(
            "NUM_COLUMNS_MISMATCH",
            "42826",
            "UNION can only be performed on inputs with the same number of columns, but the first "
            f"input has {len(columns)} columns and the second input has {len(step.columns)} "
            f"columns.",
        )
    items = []
    for column, physical, wanted in zip(step.columns, step.physical, columns, strict=True):
        value = Typed(f'"step".{quote(physical)}', column.type, column.name)
        items.append(binder.cast(value, wanted.type).sql)
    limit = SqlError(
        "RECURSION_LEVEL_LIMIT_EXCEEDED",
        "42836",
        f"Recursion level limit {MAX_RECURSION} reached but query has not exhausted, try "
        f"increasing "
        'it like "WITH RECURSIVE t(col) MAX RECURSION LEVEL 200".',
    )
    level = f'"step".{quote(LEVEL)}'
    items.append(f"CASE WHEN {level} > {MAX_RECURSION} THEN {fail_sql(limit)} ELSE {level} END")
    return f'SELECT {", ".join(items)} FROM ({step.sql}) AS "step"'
