"""Rewrites of whole queries: SELECT, set operations, VALUES and WITH."""

# ruff: noqa: S608 - the SQL is made of translated parts only, user data is bound
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from sqlglot import exp

from vinci_code.warehouse.sql.binder import Binder, only, refused
from vinci_code.warehouse.sql.coercion import common_of_two, comparable
from vinci_code.warehouse.sql.errors import SqlError, syntax_error, unsupported
from vinci_code.warehouse.sql.rewrites.aligned import retyped
from vinci_code.warehouse.sql.rewrites.calls import call_name, direction
from vinci_code.warehouse.sql.rewrites.common_tables import LEVEL, bind_with
from vinci_code.warehouse.sql.rewrites.generators import (
    Generator,
    bind_generator,
    generator_call,
)
from vinci_code.warehouse.sql.rewrites.grouping import GroupBy, has_aggregate, ordinal
from vinci_code.warehouse.sql.rewrites.operators import sort_key
from vinci_code.warehouse.sql.rewrites.relations import bind_from
from vinci_code.warehouse.sql.rewrites.stars import expand_star
from vinci_code.warehouse.sql.scope import BoundQuery, Scope, Source
from vinci_code.warehouse.sql.types import INT, Column
from vinci_code.warehouse.sql.values import Typed, cast_sql, quote


def bind_query(binder: Binder, node: exp.Expr, parent: Scope | None) -> BoundQuery:
    """Translate a query of any kind; ``parent`` is what it can see around it."""
    scope = Scope(parent=parent)
    prefix = bind_with(binder, node.args.get("with_"), scope)
    if isinstance(node, exp.Select):
        bound = bind_select(binder, node, scope)
    elif isinstance(node, exp.SetOperation):
        bound = _bind_set_operation(binder, node, scope)
    elif isinstance(node, exp.Subquery):
        bound = _bind_parenthesised(binder, node, scope)
    elif isinstance(node, exp.Values):
        bound = bind_values(binder, node, scope)
    else:
        raise refused(node)
    return replace(bound, sql=prefix + bound.sql) if prefix else bound


@dataclass
class Item:
    """One item of a select list: an expression, or the columns of a generator."""

    value: Typed | None
    generator: Generator | None = None


def bind_select(binder: Binder, node: exp.Select, scope: Scope) -> BoundQuery:
    """Translate one SELECT."""
    only(
        node,
        "expressions",
        "from_",
        "joins",
        "laterals",
        "where",
        "group",
        "having",
        "qualify",
        "windows",
        "distinct",
        "order",
        "limit",
        "offset",
        "sort",
        "distribute",
        "cluster",
        "with_",
    )
    if not node.expressions:
        raise syntax_error("", node.sql("databricks"))
    from_sql = bind_from(binder, node, scope)
    tail = f" FROM {from_sql}" if from_sql else ""
    where = node.args.get("where")
    if where is not None:
        _no_aggregate(where.this, "WHERE")
        _no_window(where.this)
        tail += f" WHERE {binder.condition(where.this, scope).sql}"
    for window in node.args.get("windows") or []:
        scope.windows[window.this.name.lower()] = window
    group = node.args.get("group")
    if group is not None:
        scope.queries = {}
        scope.grouping = [] if _has_sets(group) else None
    items = _bind_items(binder, node.expressions, scope)
    if group is not None:
        values = [item.value for item in items if item.value is not None]
        grouped = GroupBy(binder, node.expressions, values, scope)
        tail += grouped.clause(group)
        if scope.grouping is not None:
            # What grouping() says depends on the sets, which may name items by their position.
            scope.grouping = grouped.columns
            scope.aliases.clear()
            items = _bind_items(binder, node.expressions, scope)
    tail += _conditions(binder, node, scope, guarded=_has_sets(group))
    generators = [item for item in items if item.generator is not None]
    if generators:
        return _with_generator(binder, node, scope, items, tail)
    values = [item.value for item in items if item.value]
    if scope.level:
        values.append(Typed(f"({scope.level} + 1)", INT, LEVEL, False))
    return _finish(binder, node, scope, values, tail)


def _has_sets(group: exp.Expr | None) -> bool:
    return group is not None and group.find(exp.Rollup, exp.Cube, exp.GroupingSets) is not None


def _conditions(binder: Binder, node: exp.Select, scope: Scope, *, guarded: bool) -> str:
    # Grouping sets of no rows have no total: DuckDB would give one.
    tests = ["count(*) > 0"] if guarded else []
    having = node.args.get("having")
    if having is not None:
        tests.append(binder.condition(having.this, scope).sql)
    text = f" HAVING {' AND '.join(tests)}" if tests else ""
    qualify = node.args.get("qualify")
    if qualify is not None:
        text += f" QUALIFY {binder.condition(qualify.this, scope).sql}"
    return text


def _no_window(node: exp.Expr) -> None:
    if isinstance(node, exp.Window):
        raise SqlError(
            "WINDOW_FUNCTION_NOT_ALLOWED_IN_CLAUSE",
            "42601",
            "It is not allowed to use window functions inside WHERE clause.",
        )
    if not isinstance(node, exp.Query):
        for child in node.iter_expressions():
            _no_window(child)


def _no_aggregate(node: exp.Expr, clause: str) -> None:
    if has_aggregate(node):
        raise SqlError(
            f"INVALID_{clause}_CONDITION",
            "42903",
            f"The {clause} condition contains invalid expressions: aggregate functions. "
            f"Rewrite the "
            "query to avoid window functions, aggregate functions, and generator functions in the "
            f"{clause} clause.",
        )


def _bind_items(binder: Binder, nodes: Sequence[exp.Expr], scope: Scope) -> list[Item]:
    items: list[Item] = []
    for node in nodes:
        star = expand_star(binder, node, scope)
        if star is not None:
            items += [Item(value) for value in star]
            continue
        generator = _generator_item(binder, node, scope)
        if generator is not None:
            if any(item.generator for item in items):
                raise SqlError(
                    "UNSUPPORTED_GENERATOR.MULTI_GENERATOR",
                    "42K0E",
                    "The generator is not supported: only one generator allowed per SELECT clause.",
                )
            items.append(Item(None, generator))
            continue
        items.append(Item(_bind_item(binder, node, scope)))
    return items


def _bind_item(binder: Binder, node: exp.Expr, scope: Scope) -> Typed:
    if isinstance(node, exp.Alias):
        only(node, "this", "alias")
        value = binder.expression(node.this, scope).named(node.alias)
        # A later item can name an earlier one where no column has that name.
        scope.aliases.setdefault(node.alias.lower(), []).append(value)
        return value
    value = binder.expression(node, scope)
    if isinstance(node, exp.Column):
        # ORDER BY can name an output column; the same name twice is only ambiguous if they differ.
        scope.aliases.setdefault(value.name.lower(), []).append(value)
    return value


def _generator_item(binder: Binder, node: exp.Expr, scope: Scope) -> Generator | None:
    names: list[str] = []
    inner = node
    if isinstance(node, exp.Alias):
        names, inner = [node.alias], node.this
    elif isinstance(node, exp.Aliases):
        names, inner = [name.name for name in node.expressions], node.this
    call = generator_call(inner)
    if call is None:
        if isinstance(node, exp.Aliases):
            raise refused(node)
        return None
    return bind_generator(binder, call, scope).renamed(names)


def _finish(
    binder: Binder, node: exp.Select, scope: Scope, values: list[Typed], tail: str
) -> BoundQuery:
    """Assemble a SELECT of plain expressions."""
    if not values:
        raise unsupported("a SELECT without columns")
    physical = distinct_names([value.name for value in values])
    distinct = node.args.get("distinct")
    if distinct is not None:
        only(distinct)
        _check_distinct(values)
    # A query of no table answers with its one row as it is.
    write = _with_one_zero if distinct is not None and tail else _as_it_is
    items = ", ".join(
        f"{write(value)} AS {quote(name)}" for value, name in zip(values, physical, strict=True)
    )
    if distinct is not None:
        bound = BoundQuery(f"SELECT DISTINCT {items}{tail}", _columns(values), tuple(physical))
        return _ordered_distinct(binder, node, scope, values, bound)
    order = _order(binder, node, scope, values, distinct=False)
    sql = f"SELECT {items}{tail}{order}{_limit(binder, node)}"
    return BoundQuery(sql, _columns(values), tuple(physical))


def _ordered_distinct(
    binder: Binder, node: exp.Select, scope: Scope, values: list[Typed], bound: BoundQuery
) -> BoundQuery:
    """Order distinct rows, by their columns or by what is computed of these."""
    try:
        order = _order(binder, node, scope, values, distinct=True)
    except SqlError as error:
        if not error.error_class.startswith("UNRESOLVED_COLUMN"):
            raise
        try:
            return _wrapped(binder, node, scope, bound, plain=values)
        except SqlError as second:
            same = second.error_class.startswith("UNRESOLVED_COLUMN")
            raise (error if same else second) from None
    return replace(bound, sql=f"{bound.sql}{order}{_limit(binder, node)}")


def _columns(values: Sequence[Typed]) -> tuple[Column, ...]:
    return tuple(Column(value.name, value.type, value.nullable) for value in values)


def _check_distinct(values: Sequence[Typed]) -> None:
    for value in values:
        if not comparable(value.type):
            raise SqlError(
                "UNSUPPORTED_FEATURE.SET_OPERATION_ON_MAP_TYPE",
                "0A000",
                "The feature is not supported: Cannot have MAP type columns in DataFrame "
                "which calls "
                "set operations (INTERSECT, EXCEPT, etc.), but the type of column "
                f"`{value.name}` is "
                f'"{value.type.text}".',
            )


def _as_it_is(value: Typed) -> str:
    return value.sql


def _with_one_zero(value: Typed) -> str:
    """-0.0 and 0.0 are one value to DISTINCT, which answers with 0.0."""
    return f"({value.sql} + 0)" if value.type.name in ("FLOAT", "DOUBLE") else value.sql


def _with_generator(
    binder: Binder, node: exp.Select, scope: Scope, items: list[Item], tail: str
) -> BoundQuery:
    """A generator in the select list: compute the rest, unnest, then name its columns."""
    inner_name, outer_name = binder.alias("rows"), binder.alias("rows")
    first_item = items[0].generator
    if len(items) == 1 and first_item is not None and first_item.rows is not None and not tail:
        rows = first_item.rows
        return _finish_generated(
            binder,
            node,
            scope,
            rows.values(outer_name, first_item.columns),
            f"{rows.relation} AS {quote(outer_name)}",
        )
    inner, values = [], []
    generator: Generator | None = None
    for index, item in enumerate(items):
        if item.generator is not None:
            generator = item.generator
            values += generator.values(outer_name)
            continue
        if item.value is None:
            continue
        inner.append(f'{item.value.sql} AS "c{index}"')
        values.append(replace(item.value, sql=f'{quote(outer_name)}."c{index}"'))
    if generator is None:
        raise refused(node)
    kept = [f'{quote(inner_name)}."c{index}"' for index, item in enumerate(items) if item.value]
    first = ", ".join([*inner, f'{generator.list_sql} AS "g"'])
    second = ", ".join([*kept, *generator.unnest(f'{quote(inner_name)}."g"')])
    source = (
        f"(SELECT {second} FROM (SELECT {first}{tail}) AS {quote(inner_name)}) AS "
        f"{quote(outer_name)}"
    )
    return _finish_generated(binder, node, scope, values, source)


def _finish_generated(
    binder: Binder, node: exp.Select, scope: Scope, values: list[Typed], source: str
) -> BoundQuery:
    outer = Scope(parent=scope.parent, tables=scope.tables)
    for value in values:
        outer.aliases.setdefault(value.name.lower(), []).append(value)
    return _finish(binder, node, outer, values, f" FROM {source}")


_LONGEST_NAME = 255


def distinct_names(names: Sequence[str]) -> list[str]:
    """Return names that differ regardless of the case of letters."""
    taken: set[str] = set()
    result = []
    for index, name in enumerate(names):
        if len(name) > _LONGEST_NAME or "\0" in name:
            # DuckDB need not carry what only the client wants to see.
            name = f"column {index + 1}"
        candidate, number = name or " ", 1
        while candidate.lower() in taken:
            candidate = f"{name}:{number}"
            number += 1
        taken.add(candidate.lower())
        result.append(candidate)
    return result


def _order(
    binder: Binder, node: exp.Expr, scope: Scope, values: Sequence[Typed], *, distinct: bool
) -> str:
    order = node.args.get("order") or node.args.get("sort") or node.args.get("cluster")
    if order is None:
        return ""
    parts = []
    for item in order.expressions:
        ordered = (
            item if isinstance(item, exp.Ordered) else exp.Ordered(this=item, nulls_first=True)
        )
        if isinstance(ordered.this, exp.Var) and ordered.this.name.upper() == "ALL":
            parts += [f"{index + 1}{direction(ordered)}" for index in range(len(values))]
            continue
        key = _order_item(binder, ordered, scope, values, distinct)
        if key is not None:
            parts.append(key + direction(ordered))
    return " ORDER BY " + ", ".join(parts) if parts else ""


def _order_item(
    binder: Binder, item: exp.Ordered, scope: Scope, values: Sequence[Typed], distinct: bool
) -> str | None:
    """Return what DuckDB orders by: ``None`` for a constant, which orders nothing."""
    node = item.this
    position = ordinal(node, binder)
    if position is not None:
        if not 1 <= position <= len(values):
            raise SqlError(
                "ORDER_BY_POS_OUT_OF_RANGE",
                "42805",
                f"ORDER BY position {position} is not in select list (valid range is "
                f"[1, {len(values)}]).",
            )
        return str(position)
    before = scope.aliases_first
    scope.aliases_first = not has_aggregate(node)
    try:
        value = binder.expression(node, scope)
    finally:
        scope.aliases_first = before
    if not comparable(value.type):
        raise SqlError(
            "DATATYPE_MISMATCH.INVALID_ORDERING_TYPE",
            "42K09",
            f'Cannot resolve "{value.name}" due to data type mismatch: The `sortorder` does not '
            f'support ordering on type "{value.type.text}".',
        )
    if value.type.is_nested and not distinct:
        return sort_key(value.sql, value.type)
    for index, output in enumerate(values):
        if output.sql == value.sql and not value.type.is_nested:
            return str(index + 1)
    if distinct and not value.is_constant:
        raise SqlError(
            "UNRESOLVED_COLUMN.WITH_SUGGESTION",
            "42703",
            f"A column, variable, or function parameter with name `{value.name}` cannot be "
            f"resolved. "
            "Did you mean one of the following? "
            f"[{', '.join(f'`{output.name}`' for output in values)}].",
        )
    return None if value.is_constant else value.sql


def _limit(binder: Binder, node: exp.Expr) -> str:
    text = ""
    limit = node.args.get("limit")
    if limit is not None:
        only(limit, "expression")
        count = limit.expression
        if not (isinstance(count, exp.Var) and count.name.upper() == "ALL"):
            text += f" LIMIT {_row_count(binder, count, 'limit')}"
    offset = node.args.get("offset")
    if offset is not None:
        only(offset, "expression")
        text += f" OFFSET {_row_count(binder, offset.expression, 'offset')}"
    return text


def _row_count(binder: Binder, node: exp.Expr, clause: str) -> str:
    value = binder.expression(node, Scope())
    problem = ""
    if value.type.name not in ("INT", "BIGINT", "SMALLINT", "TINYINT"):
        problem = "DATA_TYPE" if value.constant is not None else "IS_NULL"
    elif isinstance(value.constant, int) and value.constant < 0:
        problem = "IS_NEGATIVE"
    elif value.constant is None:
        problem = "IS_NULL"
    if problem:
        tail = {
            "DATA_TYPE": f'must be integer type, but got "{value.type.text}"',
            "IS_NULL": "must not be null",
            "IS_NEGATIVE": f"must be equal to or greater than 0, but got {value.constant}",
        }[problem]
        raise SqlError(
            f"INVALID_LIMIT_LIKE_EXPRESSION.{problem}",
            "42K0E",
            f'The limit like expression "{value.name}" is invalid. The evaluated expression '
            f"{clause} {tail}.",
        )
    return (
        value.sql
        if value.is_constant and value.sql.isdigit()
        else f"({cast_sql(value.sql, INT) if value.type == INT else value.sql})"
    )


def _bind_parenthesised(binder: Binder, node: exp.Subquery, scope: Scope) -> BoundQuery:
    only(node, "this", "with_", "order", "limit", "offset", "alias", "sort", "distribute")
    bound = bind_query(binder, node.this, scope)
    if any(node.args.get(key) for key in ("order", "limit", "offset", "sort")):
        return _wrapped(binder, node, scope, bound)
    return bound


def _wrapped(
    binder: Binder,
    node: exp.Expr,
    scope: Scope,
    bound: BoundQuery,
    write: Callable[[Typed], str] = _as_it_is,
    plain: Sequence[Typed] = (),
) -> BoundQuery:
    """Put ORDER BY and LIMIT around a query that has none of its own at this level.

    Args:
        binder: Of the statement.
        node: What has the ORDER BY and the LIMIT.
        scope: Of the query.
        bound: The query.
        write: Writes an item.
        plain: What the query selects, where the columns among it keep what qualifies their names.
    """
    name = binder.alias("rows")
    values = [
        Typed(f"{quote(name)}.{quote(physical)}", column.type, column.name, column.nullable)
        for column, physical in zip(bound.columns, bound.physical, strict=True)
    ]
    outer = Scope(parent=scope.parent, tables=scope.tables)
    for value in values:
        outer.aliases.setdefault(value.name.lower(), []).append(value)
    outer.sources = _kept_sources(scope, plain, values)
    items = ", ".join(
        f"{write(value)} AS {quote(physical)}"
        for value, physical in zip(values, bound.physical, strict=True)
    )
    order = _order(binder, node, outer, values, distinct=False)
    limit = _limit(binder, node)
    sql = f"SELECT {items} FROM ({bound.sql}) AS {quote(name)}{order}{limit}"
    return replace(bound, sql=sql)


def _kept_sources(scope: Scope, inner: Sequence[Typed], outer: Sequence[Typed]) -> list[Source]:
    """Return what of the sources is selected under its own name, read from outside."""
    read = {(one.sql, one.name): other for one, other in zip(inner, outer, strict=False)}
    kept = []
    for source in scope.sources:
        columns = [
            replace(column, sql=read[column.sql, column.name].sql)
            for column in source.columns
            if (column.sql, column.name) in read
        ]
        if columns:
            kept.append(replace(source, columns=tuple(columns)))
    return kept


def _bind_set_operation(binder: Binder, node: exp.SetOperation, scope: Scope) -> BoundQuery:
    only(node, "this", "expression", "distinct", "with_", "order", "limit", "offset", "sort")
    left = bind_query(binder, node.this, scope)
    right = bind_query(binder, node.expression, scope)
    word = {exp.Union: "UNION", exp.Intersect: "INTERSECT", exp.Except: "EXCEPT"}[type(node)]
    left, right = _aligned(binder, left, right, word)
    compares_rows = word != "UNION" or bool(node.args.get("distinct"))
    if compares_rows:
        _check_distinct([Typed("", column.type, column.name) for column in left.columns])
    every = "" if node.args.get("distinct") else " ALL"
    columns = tuple(
        replace(one, nullable=one.nullable or other.nullable)
        for one, other in zip(left.columns, right.columns, strict=True)
    )
    bound = BoundQuery(f"({left.sql}) {word}{every} ({right.sql})", columns, left.physical)
    return _wrapped(binder, node, scope, bound, _with_one_zero if compares_rows else _as_it_is)


def _aligned(
    binder: Binder, left: BoundQuery, right: BoundQuery, word: str
) -> tuple[BoundQuery, BoundQuery]:
    if len(left.columns) != len(right.columns):
        raise SqlError(
            "NUM_COLUMNS_MISMATCH",
            "42826",
            f"{word} can only be performed on inputs with the same number of columns, but the "
            f"first "
            f"input has {len(left.columns)} columns and the second input has {len(right.columns)} "
            "columns.",
        )
    kinds = []
    for index, (one, other) in enumerate(zip(left.columns, right.columns, strict=True)):
        kind = common_of_two(one.type, other.type)
        if kind is None:
            raise SqlError(
                "INCOMPATIBLE_COLUMN_TYPE",
                "42825",
                f"{word} can only be performed on tables with compatible column types. The "
                f'{_ordinal(index)} column of the second table is "{other.type.text}" type which '
                f'is not compatible with "{one.type.text}" at the same column of the first table.',
            )
        kinds.append(kind)
    return retyped(binder, left, kinds), retyped(binder, right, kinds)


def _ordinal(index: int) -> str:
    names = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
    return names[index] if index < len(names) else f"{index + 1}th"


def bind_values(binder: Binder, node: exp.Values, scope: Scope) -> BoundQuery:
    """``VALUES`` has columns col1, col2 … of the least common types."""
    only(
        node,
        "expressions",
        "alias",
        "with_",
        "order",
        "limit",
        "offset",
        "pivots",
        "sample",
        "joins",
    )
    rows = []
    for row in node.expressions:
        cells = row.expressions if isinstance(row, exp.Tuple) else [row]
        if not cells:
            raise SqlError("PARSE_SYNTAX_ERROR", "42601", "Syntax error at or near ')'.")
        if (
            len(cells) == 1
            and isinstance(cells[0], exp.Anonymous)
            and call_name(cells[0]) == "struct"
        ):
            # A row of nothing but struct(…) is the row of its fields.
            cells = cells[0].expressions
        rows.append([_cell(binder, cell, scope) for cell in cells])
    if len({len(row) for row in rows}) != 1:
        raise SqlError(
            "INVALID_INLINE_TABLE.NUM_COLUMNS_MISMATCH",
            "42000",
            f"Invalid inline table: Inline table expected {len(rows[0])} columns but found "
            f"{next(len(row) for row in rows if len(row) != len(rows[0]))} columns in row "
            f"{next(i for i, row in enumerate(rows) if len(row) != len(rows[0]))}.",
        )
    return _values_query(binder, node, scope, rows)


def _cell(binder: Binder, node: exp.Expr, scope: Scope) -> Typed:
    return binder.expression(node.this if isinstance(node, exp.Alias) else node, scope)


# From this many rows on, literals are bound as columns instead of being written into the SQL.
_BOUND_ROWS = 50


def _values_query(
    binder: Binder, node: exp.Values, scope: Scope, rows: list[list[Typed]]
) -> BoundQuery:
    names = [f"col{index + 1}" for index in range(len(rows[0]))]
    columns, unified = [], []
    for index, name in enumerate(names):
        cells, kind = binder.unify([row[index] for row in rows], f"inline table {name}")
        unified.append(cells)
        columns.append(Column(name, kind, any(cell.nullable for cell in cells)))
    alias = binder.alias("rows")
    source = _bound_columns(binder, unified, columns, alias) or _written_rows(
        unified, columns, alias
    )
    items = ", ".join(f"{quote(alias)}.{quote(name)} AS {quote(name)}" for name in names)
    bound = BoundQuery(f"SELECT {items} FROM {source}", tuple(columns), tuple(names))
    if any(node.args.get(key) for key in ("order", "limit", "offset")):
        return _wrapped(binder, node, scope, bound)
    return bound


def _written_rows(unified: list[list[Typed]], columns: list[Column], alias: str) -> str:
    cells = [
        [cell.sql if cell.sql != "NULL" else cast_sql("NULL", column.type) for cell in column_cells]
        for column_cells, column in zip(unified, columns, strict=True)
    ]
    text = ", ".join(f"({', '.join(row)})" for row in zip(*cells, strict=True))
    labels = ", ".join(quote(column.name) for column in columns)
    return f"(VALUES {text}) AS {quote(alias)}({labels})"


def _bound_columns(
    binder: Binder, unified: list[list[Typed]], columns: list[Column], alias: str
) -> str | None:
    """Return many rows of literals as unnested lists, which DuckDB need not parse."""
    if len(unified[0]) < _BOUND_ROWS:
        return None
    lists = []
    for cells in unified:
        values = [cell.constant for cell in cells]
        if not all(
            value is None or isinstance(value, (str, int, Decimal, date)) for value in values
        ):
            return None
        lists.append([_bindable(value) for value in values])
    items = []
    for values, column in zip(lists, columns, strict=True):
        bound = f"CAST({binder.bind_value(values)} AS {column.type.duckdb()}[])"
        items.append(f"unnest({bound}) AS {quote(column.name)}")
    return f"(SELECT {', '.join(items)}) AS {quote(alias)}"


def _bindable(value: object) -> object:
    return str(value) if isinstance(value, (Decimal, date)) else value
