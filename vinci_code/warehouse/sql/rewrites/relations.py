"""Rewrites of FROM: tables, sub-queries, joins, lateral views, samples."""

# ruff: noqa: S608 - the SQL is made of translated parts only, user data is bound
from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from vinci_code.warehouse.sql.binder import Binder, only, refused
from vinci_code.warehouse.sql.builtins.documented import DOCUMENTED
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.rewrites.common_tables import LEVEL, rename
from vinci_code.warehouse.sql.rewrites.generators import (
    Generator,
    apply_generator,
    bind_generator,
    generator_call,
)
from vinci_code.warehouse.sql.rewrites.identifiers import identifier_parts
from vinci_code.warehouse.sql.rewrites.operators import compare
from vinci_code.warehouse.sql.rewrites.pivots import apply_pivot
from vinci_code.warehouse.sql.scope import (
    BoundQuery,
    Scope,
    Source,
    SourceColumn,
    column_value,
    make_source,
)
from vinci_code.warehouse.sql.types import Column
from vinci_code.warehouse.sql.values import Typed, quote


def bind_from(binder: Binder, node: exp.Select, scope: Scope) -> str:
    """Translate FROM, its joins and lateral views; the scope then holds the sources."""
    sql = ""
    start = node.args.get("from_")
    if start is not None:
        sql = _relation(binder, start.this, scope, "")
    for join in node.args.get("joins") or []:
        sql = _join(binder, join, scope, sql)
    for view in node.args.get("laterals") or []:
        sql = _lateral_view(binder, view, scope, sql)
    return sql


def _lateral_view(binder: Binder, view: exp.Lateral, scope: Scope, sql: str) -> str:
    only(view, "this", "view", "outer", "alias")
    call = generator_call(view.this)
    if call is None:
        raise refused(view.this)
    alias = view.args.get("alias")
    generator = bind_generator(binder, call, scope)
    if view.args.get("outer"):
        generator = replace(generator, outer=True)
    names = [column.name for column in alias.args.get("columns") or []] if alias else []
    qualifier = (alias.name,) if alias is not None and alias.name else ()
    return apply_generator(binder, scope, sql, generator.renamed(names), qualifier)


def _relation(binder: Binder, node: exp.Expr, scope: Scope, before: str) -> str:
    """Return the FROM text after adding one relation (``before`` is what stands there so far)."""
    if isinstance(node, exp.Table) and isinstance(node.this, exp.Anonymous):
        return _function_relation(binder, node, scope, before)
    if isinstance(node, exp.Lateral):
        return _lateral(binder, node, scope, before)
    sql, sources = _operand(binder, node, scope)
    scope.sources.extend(sources)
    text = f"{before} CROSS JOIN {sql}" if before else sql
    for join in node.args.get("joins") or []:
        text = _join(binder, join, scope, text)
    return text


def _operand(binder: Binder, node: exp.Expr, scope: Scope) -> tuple[str, list[Source]]:
    """Return one side of a join: a relation, or a join in parentheses with all its sources."""
    if _is_parenthesised(node):
        return _parenthesised(binder, node, scope)
    sql, source = _plain_relation(binder, node, scope)
    return sql, [source]


def _is_parenthesised(node: exp.Expr) -> bool:
    if not isinstance(node, exp.Subquery):
        return False
    inner = node.this
    if isinstance(inner, exp.Subquery):
        return bool(inner.args.get("joins")) or _is_parenthesised(inner)
    return isinstance(inner, exp.Table)


def _parenthesised(binder: Binder, node: exp.Expr, scope: Scope) -> tuple[str, list[Source]]:
    only(node, "this", "joins")
    # The conditions within see what is joined within, and the queries around.
    inner = Scope(parent=scope.parent, tables=scope.tables)
    text = _relation(binder, node.this, inner, "")
    if inner.level:
        raise unsupported("a recursive reference in a parenthesised join")
    if inner.merged:
        if scope.sources:
            raise unsupported("USING in a parenthesised join that is not the first")
        scope.merged = inner.merged
    return f"({text})", inner.sources


def _plain_relation(binder: Binder, node: exp.Expr, scope: Scope) -> tuple[str, Source]:
    if isinstance(node, exp.Table):
        return _table(binder, node, scope)
    if isinstance(node, exp.Subquery):
        return _subquery(binder, node, scope)
    if isinstance(node, exp.Values):
        only(node, "expressions", "alias", "pivots", "sample", "joins")
        # A copy would be slow for thousands of rows, and a new parent would take the rows away.
        bound = binder.query(node, scope.parent)
        if node.args.get("pivots") or node.args.get("sample"):
            return _finished(binder, node, scope, bound, ())
        return _derived(binder, bound, node.args.get("alias"), "rows")
    raise refused(node)


def _subquery(binder: Binder, node: exp.Subquery, scope: Scope) -> tuple[str, Source]:
    only(node, "this", "alias", "joins", "pivots", "sample", "order", "limit", "offset", "with_")
    inner = node if _has_modifiers(node) else node.this
    if inner is node:
        inner = exp.Subquery(
            **{key: node.args.get(key) for key in ("this", "order", "limit", "offset", "with_")}
        )
    bound = binder.query(inner, Scope(parent=scope.parent, tables=scope.tables))
    return _finished(binder, node, scope, bound, ())


def _has_modifiers(node: exp.Expr) -> bool:
    return any(node.args.get(key) for key in ("order", "limit", "offset", "with_"))


def _table(binder: Binder, node: exp.Table, scope: Scope) -> tuple[str, Source]:
    only(node, "this", "db", "catalog", "alias", "joins", "pivots", "sample", "version")
    common = scope.table(node.name) if not node.args.get("db") else None
    if common is not None:
        if common.recursive:
            return _recursive(binder, node, scope)
        columns, physical = common.columns, common.physical
        name: tuple[str, ...] = (node.name,)
        sql = quote(common.sql_name)
    else:
        relation = binder.context.resolve(node)
        columns, name = tuple(relation.columns), relation.name
        physical = relation.physical or tuple(column.name for column in columns)
        sql = relation.sql
    plain = not node.args.get("pivots") and not node.args.get("sample")
    if plain:
        return _aliased(binder, sql, columns, physical, node.args.get("alias"), name)
    items = ", ".join(quote(one) for one in physical)
    bound = BoundQuery(f"SELECT {items} FROM {sql}", columns, physical)
    return _finished(binder, node, scope, bound, name)


def _recursive(binder: Binder, node: exp.Table, scope: Scope) -> tuple[str, Source]:
    common = scope.table(node.name)
    if common is None or scope.level:
        raise unsupported("a recursive reference that occurs twice in one step")
    alias = binder.alias(node.name)
    scope.level = f"{quote(alias)}.{quote(LEVEL)}"
    label = node.args.get("alias")
    columns = rename(common.columns, label)
    qualifier = (label.name,) if label is not None and label.name else (node.name,)
    return (
        f"{quote(common.sql_name)} AS {quote(alias)}",
        make_source(qualifier, columns, common.physical, alias),
    )


def _finished(
    binder: Binder, node: exp.Expr, scope: Scope, bound: BoundQuery, name: tuple[str, ...]
) -> tuple[str, Source]:
    """Apply TABLESAMPLE and PIVOT, and give the result its alias."""
    sample = node.args.get("sample")
    if sample is not None:
        bound = replace(bound, sql=_sampled(binder, bound, sample))
    alias = node.args.get("alias")
    for pivot in node.args.get("pivots") or []:
        bound = replace(bound, columns=rename(bound.columns, alias))
        bound, label = apply_pivot(
            binder, pivot, bound, name or ((alias.name,) if alias else ()), scope
        )
        alias = label
    return _derived(binder, bound, alias, name[-1] if name else "rows", name)


def _sampled(binder: Binder, bound: BoundQuery, sample: exp.TableSample) -> str:
    only(sample, "percent", "size", "seed")
    seed = sample.args.get("seed")
    if seed is not None:
        raise unsupported("TABLESAMPLE with REPEATABLE")
    rows = sample.args.get("size")
    name = binder.alias("rows")
    if rows is not None:
        return f"SELECT * FROM ({bound.sql}) AS {quote(name)} LIMIT {_count(binder, rows)}"
    percent = sample.args.get("percent")
    if percent is None:
        raise refused(sample)
    share = _count(binder, percent)
    return f"SELECT * FROM ({bound.sql}) AS {quote(name)} USING SAMPLE {share} PERCENT (bernoulli)"


def _count(binder: Binder, node: exp.Expr) -> str:
    value = binder.expression(node, Scope())
    if not value.is_constant or not value.type.is_numeric:
        raise refused(node)
    return str(value.constant)


def _derived(
    binder: Binder,
    bound: BoundQuery,
    alias: exp.TableAlias | None,
    fallback: str,
    name: tuple[str, ...] = (),
) -> tuple[str, Source]:
    return _aliased(binder, f"({bound.sql})", bound.columns, bound.physical, alias, name, fallback)


def _aliased(
    binder: Binder,
    sql: str,
    columns: tuple[Column, ...],
    physical: tuple[str, ...],
    alias: exp.TableAlias | None,
    name: tuple[str, ...],
    fallback: str = "rows",
) -> tuple[str, Source]:
    label = alias.name if alias is not None and alias.name else ""
    qualifier = (label,) if label else name
    own = binder.alias(label or (name[-1] if name else fallback))
    source = make_source(qualifier, rename(columns, alias), physical, own)
    return f"{sql} AS {quote(own)}", source


def _function_relation(binder: Binder, node: exp.Table, scope: Scope, before: str) -> str:
    only(node, "this", "alias", "joins")
    call = node.this
    name = call.this if isinstance(call.this, str) else call.this.name
    if name.lower() == "identifier":
        return _relation(binder, _identified(binder, node, call), scope, before)
    generator = _table_function(binder, call, name, scope)
    alias = node.args.get("alias")
    names = [column.name for column in alias.args.get("columns") or []] if alias else []
    if alias is not None and alias.name:
        qualifier: tuple[str, ...] = (alias.name,)
    else:
        qualifier = ()
    generator = generator.renamed(names)
    if generator.series:
        text = _series(binder, scope, before, generator, qualifier)
    else:
        text = apply_generator(binder, scope, before, generator, qualifier)
    for join in node.args.get("joins") or []:
        text = _join(binder, join, scope, text)
    return text


def _series(
    binder: Binder, scope: Scope, before: str, generator: Generator, qualifier: tuple[str, ...]
) -> str:
    """Read a range from DuckDB's table function, row by row."""
    alias = quote(binder.alias("rows"))
    name, kind, _ = generator.columns[0]
    scope.sources.append(Source(qualifier, (SourceColumn(name, kind, f'{alias}."range"'),)))
    sql = f"range({generator.series}) AS {alias}"
    return f"{before} CROSS JOIN {sql}" if before else sql


def _table_function(binder: Binder, call: exp.Anonymous, name: str, scope: Scope) -> Generator:
    found = generator_call(call)
    if found is not None:
        return bind_generator(binder, found, scope)
    if name.lower() in DOCUMENTED:
        raise unsupported(f"the table function {name.lower()}")
    raise SqlError(
        "UNRESOLVABLE_TABLE_VALUED_FUNCTION",
        "42883",
        f"Could not resolve `{name}` to a table-valued function. Please make sure that `{name}` is "
        "defined as a table-valued function and that all required parameters are provided "
        "correctly.",
    )


def _identified(binder: Binder, node: exp.Table, call: exp.Anonymous) -> exp.Table:
    """``IDENTIFIER('a.b.c')`` names a table by a constant text."""
    parts = identifier_parts(binder, call)
    table = exp.Table(
        **dict(
            zip(
                ("this", "db", "catalog"),
                (exp.to_identifier(p, quoted=True) for p in reversed(parts)),
                strict=False,
            )
        )
    )
    for key in ("alias", "joins"):
        if node.args.get(key):
            value = node.args[key]
            table.set(
                key, [one.copy() for one in value] if isinstance(value, list) else value.copy()
            )
    return table


def _lateral(binder: Binder, node: exp.Lateral, scope: Scope, before: str, side: str = "") -> str:
    only(node, "this", "alias", "view", "outer")
    call = generator_call(node.this)
    alias = node.args.get("alias")
    if call is not None:
        names = [column.name for column in alias.args.get("columns") or []] if alias else []
        generator = bind_generator(binder, call, scope)
        if side == "LEFT":
            generator = replace(generator, outer=True)
        qualifier = (alias.name,) if alias is not None and alias.name else ()
        return apply_generator(binder, scope, before, generator.renamed(names), qualifier)
    inner = node.this
    bound = binder.query(inner.this if isinstance(inner, exp.Subquery) else inner, scope)
    sql, source = _derived(binder, bound, alias or inner.args.get("alias"), "rows")
    scope.sources.append(source)
    if not before:
        return sql
    if side == "LEFT":
        return f"{before} LEFT JOIN LATERAL {sql} ON TRUE"
    return f"{before} CROSS JOIN LATERAL {sql}"


_SIDES = {"": "INNER JOIN", "LEFT": "LEFT JOIN", "RIGHT": "RIGHT JOIN", "FULL": "FULL JOIN"}


def _join(binder: Binder, join: exp.Join, scope: Scope, before: str) -> str:
    only(join, "this", "side", "kind", "on", "using", "method")
    side = (join.side or "").upper()
    kind = (join.kind or "").upper()
    method = (join.method or "").upper()
    target = join.this
    function = isinstance(target, exp.Table) and isinstance(target.this, exp.Anonymous)
    if function and not _names_table(target) and not _is_trivial(join, side):
        # Of the columns before it a table function without LATERAL sees none.
        target, function = _as_query(target), False
    elif isinstance(target, exp.Lateral) or (function and not _names_table(target)):
        return _lateral_join(binder, join, scope, before, side)
    if method not in ("", "NATURAL"):
        raise refused(join, method)
    if function:
        target = _identified(binder, target, target.this)
    left = list(scope.sources)
    sql, sources = _operand(binder, target, scope)
    if target.args.get("joins"):
        raise unsupported("a join in a join without parentheses")
    special = kind in ("SEMI", "ANTI") or method or join.args.get("using")
    if special and _is_parenthesised(target):
        raise unsupported("USING, NATURAL, SEMI or ANTI with a parenthesised join")
    if kind in ("SEMI", "ANTI"):
        return _semi_join(binder, join, scope, before, sql, sources[0], kind)
    names = _using_names(join, left, sources[0], method)
    if names:
        return _using(binder, scope, before, sql, sources[0], side, names)
    scope.sources.extend(sources)
    condition = join.args.get("on")
    if condition is None:
        word = "CROSS JOIN" if not side else f"{_SIDES[side]}"
        return f"{before} {word} {sql}" + (" ON TRUE" if side else "")
    test = binder.condition(condition, scope, "Join")
    return f"{before} {_SIDES[side]} {sql} ON {test.sql}"


def _is_trivial(join: exp.Join, side: str) -> bool:
    on = join.args.get("on")
    always = on is None or (isinstance(on, exp.Boolean) and bool(on.this))
    plain = (join.kind or "").upper() not in ("SEMI", "ANTI") and not join.method
    return always and plain and not side and not join.args.get("using")


def _as_query(function: exp.Table) -> exp.Subquery:
    """``range(3) AS r(n)`` as ``(SELECT * FROM range(3)) AS r(n)``."""
    call = exp.Table(this=function.this.copy())
    alias = function.args.get("alias")
    query = exp.select("*").from_(call)
    return exp.Subquery(this=query, alias=alias.copy() if alias is not None else None)


def _names_table(table: exp.Table) -> bool:
    name = table.this.this
    return (name if isinstance(name, str) else name.name).lower() == "identifier"


def _lateral_join(binder: Binder, join: exp.Join, scope: Scope, before: str, side: str) -> str:
    on = join.args.get("on")
    trivial = on is None or (isinstance(on, exp.Boolean) and on.this)
    if not trivial or side in ("RIGHT", "FULL") or join.args.get("using"):
        raise unsupported("a join condition on a lateral relation")
    target = join.this
    if isinstance(target, exp.Lateral):
        return _lateral(binder, target, scope, before, side)
    if side:
        raise unsupported("an outer join with a table function that is not LATERAL")
    return _function_relation(binder, target, scope, before)


def _semi_join(
    binder: Binder, join: exp.Join, scope: Scope, before: str, sql: str, source: Source, kind: str
) -> str:
    names = [name.name for name in join.args.get("using") or []]
    if names:
        tests = [_equal(binder, scope, source, name)[2] for name in names]
        return f"{before} {kind} JOIN {sql} ON {' AND '.join(tests)}"
    scope.sources.append(source)
    condition = join.args.get("on")
    test = binder.condition(condition, scope, "Join").sql if condition is not None else "TRUE"
    scope.sources.remove(source)
    return f"{before} {kind} JOIN {sql} ON {test}"


def _using_names(join: exp.Join, left: list[Source], source: Source, method: str) -> list[str]:
    if method == "NATURAL":
        known = {column.name.lower() for one in left for column in one.columns}
        return [column.name for column in source.columns if column.name.lower() in known]
    return [name.name for name in join.args.get("using") or []]


def _equal(
    binder: Binder, scope: Scope, source: Source, name: str
) -> tuple[Typed, SourceColumn, str]:
    found = scope.find([name])
    right = next((one for one in source.columns if one.name.lower() == name.lower()), None)
    if found is None or right is None:
        side = "left" if found is None else "right"
        raise SqlError(
            "UNRESOLVED_USING_COLUMN_FOR_JOIN",
            "42703",
            f"USING column `{name}` cannot be resolved on the {side} side of the join. The "
            f"{side}-side columns: "
            "["
            + ", ".join(
                f"`{column.name}`"
                for one in ([source] if side == "right" else scope.sources)
                for column in one.columns
            )
            + "].",
        )
    return found[0], right, compare(binder, found[0], column_value(right), "=").sql


def _using(
    binder: Binder,
    scope: Scope,
    before: str,
    sql: str,
    source: Source,
    side: str,
    names: list[str],
) -> str:
    """``USING`` joins on equal names and leaves one column for each."""
    tests = []
    merged: dict[str, SourceColumn] = {}
    for name in names:
        left, right, test = _equal(binder, scope, source, name)
        tests.append(test)
        other = column_value(right)
        values, kind = binder.unify([left, other], name)
        text = {"RIGHT": values[1].sql, "FULL": f"coalesce({values[0].sql}, {values[1].sql})"}
        merged[name.lower()] = SourceColumn(left.name, kind, text.get(side, values[0].sql))
    hidden = frozenset(merged)
    scope.sources = [replace(one, hidden=one.hidden | hidden) for one in scope.sources]
    scope.sources.append(replace(source, hidden=hidden))
    scope.merged = {**scope.merged, **merged}
    return f"{before} {_SIDES[side]} {sql} ON {' AND '.join(tests)}"
