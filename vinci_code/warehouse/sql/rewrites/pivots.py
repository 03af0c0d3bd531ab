"""Rewrites of PIVOT and UNPIVOT."""

# ruff: noqa: ARG001, S608 - the SQL is made of translated parts only, user data is bound
from __future__ import annotations

from sqlglot import exp

from vinci_code.warehouse.sql.binder import Binder, only, refused
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.rewrites.operators import compare
from vinci_code.warehouse.sql.scope import BoundQuery, Scope, column_value, make_source
from vinci_code.warehouse.sql.types import STRING, Column
from vinci_code.warehouse.sql.values import Typed, quote, text_sql


def apply_pivot(
    binder: Binder, pivot: exp.Pivot, bound: BoundQuery, name: tuple[str, ...], scope: Scope
) -> tuple[BoundQuery, exp.TableAlias | None]:
    """Return the pivoted relation and the alias that follows PIVOT."""
    alias = binder.alias("rows")
    inner = Scope(parent=scope.parent, tables=scope.tables)
    inner.sources = [make_source(name, bound.columns, bound.physical, alias)]
    source = f"({bound.sql}) AS {quote(alias)}"
    if len(pivot.args.get("fields") or []) != 1:
        raise refused(pivot)
    build = _unpivot if pivot.args.get("unpivot") else _pivot
    return build(binder, pivot, inner, source), pivot.args.get("alias")


def _pivot(binder: Binder, pivot: exp.Pivot, scope: Scope, source: str) -> BoundQuery:
    field = pivot.args["fields"][0]
    only(field, "this", "expressions")
    if isinstance(field.this, exp.Tuple):
        raise unsupported("PIVOT over several columns")
    key = binder.expression(field.this, scope)
    used = {
        column.name.lower() for item in pivot.expressions for column in item.find_all(exp.Column)
    }
    used |= {column.name.lower() for column in field.this.find_all(exp.Column)}
    kept = [
        column_value(column)
        for column in scope.sources[0].columns
        if column.name.lower() not in used
    ]
    values = list(kept)
    for item in field.expressions:
        test, label = _pivot_value(binder, key, item, scope)
        count = len(pivot.expressions)
        values += [_pivoted(binder, one, test, label, count, scope) for one in pivot.expressions]
    items = ", ".join(f"{value.sql} AS {quote(value.name)}" for value in values)
    group = f" GROUP BY {', '.join(value.sql for value in kept)}" if kept else ""
    columns = tuple(Column(value.name, value.type) for value in values)
    return BoundQuery(
        f"SELECT {items} FROM {source}{group}", columns, tuple(value.name for value in values)
    )


def _pivot_value(binder: Binder, key: Typed, node: exp.Expr, scope: Scope) -> tuple[str, str]:
    label = ""
    if isinstance(node, (exp.PivotAlias, exp.Alias)):
        label = node.args["alias"].name
        node = node.this
    value = binder.expression(node, Scope())
    return compare(binder, key, value, "<=>").sql, label or value.name


def _pivoted(
    binder: Binder, node: exp.Expr, test: str, label: str, count: int, scope: Scope
) -> Typed:
    suffix = ""
    if isinstance(node, exp.Alias):
        suffix, node = node.alias, node.this
    value = binder.expression(
        exp.Filter(this=node.copy(), expression=exp.Where(this=_Raw(this=test))), scope
    )
    name = label
    if count > 1:
        name = f"{label}_{suffix or binder.expression(node, scope).name}"
    # A value that no row has gives NULL, even for count.
    sql = f"CASE WHEN count(*) FILTER (WHERE {test}) > 0 THEN {value.sql} END"
    return Typed(f"({sql})", value.type, name)


class _Raw(exp.Expression):
    """A condition that is DuckDB SQL already."""


def rewrite_raw(binder: Binder, node: exp.Expr, scope: Scope) -> Typed:
    """The condition on a pivoted value was translated before."""
    from vinci_code.warehouse.sql.types import BOOLEAN

    return Typed(node.this, BOOLEAN, "pivot")


RAW = _Raw


def _unpivot(binder: Binder, pivot: exp.Pivot, scope: Scope, source: str) -> BoundQuery:
    field = pivot.args["fields"][0]
    if len(pivot.expressions) != 1 or isinstance(pivot.expressions[0], exp.Tuple):
        raise unsupported("UNPIVOT of several value columns")
    values, labels = [], []
    for item in field.expressions:
        label = ""
        if isinstance(item, (exp.PivotAlias, exp.Alias)):
            label, item = item.args["alias"].name, item.this
        value = binder.expression(item, scope)
        values.append(value)
        labels.append(label or value.name)
    unified, kind = binder.unify(values, "unpivot")
    names = {value.sql for value in values}
    kept = [column_value(c) for c in scope.sources[0].columns if c.sql not in names]
    entries = ", ".join(
        f"{{'n': {text_sql(label)}, 'v': {value.sql}}}"
        for label, value in zip(labels, unified, strict=True)
    )
    columns = [Column(value.name, value.type, value.nullable) for value in kept]
    columns += [Column(field.this.name, STRING, False), Column(pivot.expressions[0].name, kind)]
    inner = ", ".join(
        [f"{value.sql} AS {quote(value.name)}" for value in kept] + [f'unnest([{entries}]) AS "e:"']
    )
    outer = ", ".join(
        [quote(value.name) for value in kept]
        + [f'("e:").n AS {quote(columns[-2].name)}', f'("e:").v AS {quote(columns[-1].name)}']
    )
    sql = f'SELECT {outer} FROM (SELECT {inner} FROM {source}) AS "pairs"'
    if not pivot.args.get("include_nulls"):
        sql += ' WHERE ("e:").v IS NOT NULL'
    duplicates = {column.name.lower() for column in columns}
    if len(duplicates) != len(columns):
        raise SqlError("COLUMN_ALREADY_EXISTS", "42711", "A column of UNPIVOT already exists.")
    return BoundQuery(sql, tuple(columns), tuple(column.name for column in columns))
