"""Queries and expressions of Databricks SQL, translated to DuckDB SQL with their types.

The translation binds as Databricks does: it resolves every column, table and function itself and
knows the Databricks type of every expression. Only what has been translated reaches DuckDB, so no
syntax and no function of DuckDB's own is reachable from a statement.
"""

# ruff: noqa: S608 - the SQL is made of translated parts only, user data is bound
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from vinci_code.warehouse.sql.binder import Binder
from vinci_code.warehouse.sql.bounds import has_variable_size, makes_much, result_checked
from vinci_code.warehouse.sql.casts import cast, let, variable
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.query_context import QueryContext, Relation
from vinci_code.warehouse.sql.rewrites import REWRITERS
from vinci_code.warehouse.sql.rewrites.queries import bind_query
from vinci_code.warehouse.sql.scope import Scope, make_source
from vinci_code.warehouse.sql.types import STRING, Column, SqlType
from vinci_code.warehouse.sql.values import Typed, fail_sql, months_sql, quote


@dataclass(frozen=True)
class TranslatedQuery:
    """A query in DuckDB SQL.

    Attributes:
        duckdb_sql: One SELECT (with CTEs where needed) without a semicolon. Its output columns are
            named ``columns[i].name`` where these are distinct regardless of case; a repeated name
            is made distinct in ``physical``.
        columns: Name and Databricks type of every output column.
        binds: Values for ``cursor.execute(duckdb_sql, binds)``: exactly the ``$names`` in the text.
        physical: The names of the output columns in ``duckdb_sql``.
    """

    duckdb_sql: str
    columns: tuple[Column, ...]
    binds: Mapping[str, object]
    physical: tuple[str, ...]


@dataclass(frozen=True)
class TranslatedExpression:
    """A scalar expression in DuckDB SQL, with its Databricks type."""

    sql: str
    type: SqlType
    nullable: bool
    name: str
    binds: Mapping[str, object]


def translate_query(expression: exp.Expr, context: QueryContext) -> TranslatedQuery:
    """Translate a SELECT, a set operation, VALUES or a WITH.

    Values of VARIANT columns are JSON text, intervals are DuckDB intervals (``output_sql`` makes
    them text for the client).

    Raises:
        SqlError: Whatever a warehouse would answer when it analyses the query.
    """
    binder = Binder(context, REWRITERS, bind_query)
    bound = bind_query(binder, expression, None)
    return TranslatedQuery(bound.sql, bound.columns, binder.binds, bound.physical)


def translate_expression(
    expression: exp.Expr,
    context: QueryContext,
    relations: Sequence[tuple[str, Relation]] = (),
    *,
    bind_prefix: str = "",
) -> TranslatedExpression:
    """Translate a scalar expression over the given relations.

    Args:
        expression: As sqlglot read it.
        context: Of the session.
        relations: ``(alias, relation)``: the alias is both the user's qualifier and the alias under
            which the DuckDB SQL around the expression must expose the relation. Where it equals the
            last part of the relation's name, the full name qualifies too. Sub-queries within the
            expression are resolved through ``context``.
        bind_prefix: Put before the names of bound values, so that several expressions of one
            statement do not share them.
    """
    binder = Binder(context, REWRITERS, bind_query, bind_prefix)
    scope = Scope()
    for alias, relation in relations:
        own = bool(relation.name) and relation.name[-1].lower() == alias.lower()
        physical = relation.physical or tuple(column.name for column in relation.columns)
        qualifier = relation.name if own else (alias,)
        scope.sources.append(make_source(qualifier, relation.columns, physical, alias))
    value = binder.expression(expression, scope)
    return TranslatedExpression(value.sql, value.type, value.nullable, value.name, binder.binds)


def store_assignment(
    sql: str, source: SqlType, target: SqlType, column: str, zone: str = "UTC"
) -> str:
    """Return DuckDB SQL that stores a value of type ``source`` in a column of type ``target``.

    ANSI store assignment
    (https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-datatype-rules#store-assignment):
    a number that does not fit raises, a type that cannot be stored at all is refused, a text too
    long for VARCHAR(n), its blanks counted, raises ``DELTA_EXCEED_CHAR_VARCHAR_LIMIT``.

    Raises:
        SqlError: Where no value of ``source`` may be stored in ``target``.
    """
    if not can_store(source, target):
        raise SqlError(
            "INCOMPATIBLE_DATA_FOR_TABLE.CANNOT_SAFELY_CAST",
            "KD000",
            f"Cannot write incompatible data for the table: Cannot safely cast `{column}` "
            f'"{source.text}" to "{target.text}".',
        )
    if _has_length(target):
        plain = _without_lengths(target)
        return _within_lengths(cast(Typed(sql, source, column), plain, zone), target, zone)
    return cast(Typed(sql, source, column), target, zone).sql


def can_store(source: SqlType, target: SqlType) -> bool:
    """Return whether ANSI store assignment allows values of ``source`` in ``target``."""
    if source == target or source.name == "VOID":
        return True
    if source.is_nested or target.is_nested:
        return _can_store_nested(source, target)
    if target.is_string:
        return source.name != "VARIANT"
    if source.is_string:
        # Databricks casts text on insert, with CAST_INVALID_INPUT for what does not fit.
        return target.name != "VARIANT"
    if source.is_numeric and target.is_numeric:
        return True
    if source.name in _DATETIMES and target.name in _DATETIMES:
        return True
    return source.is_interval and target.is_interval


_DATETIMES = ("DATE", "TIMESTAMP", "TIMESTAMP_NTZ")


def _can_store_nested(source: SqlType, target: SqlType) -> bool:
    if source.element and target.element:
        return can_store(source.element, target.element)
    if source.key and target.key and source.value and target.value:
        return can_store(source.key, target.key) and can_store(source.value, target.value)
    if source.name != "STRUCT" or target.name != "STRUCT":
        return False
    return len(source.fields) == len(target.fields) and all(
        can_store(one.type, other.type)
        for one, other in zip(source.fields, target.fields, strict=True)
    )


def _within_lengths(value: Typed, target: SqlType, zone: str) -> str:
    error = SqlError(
        "DELTA_EXCEED_CHAR_VARCHAR_LIMIT",
        "22001",
        f'Value "{{}}" exceeds char/varchar type length limitation of {target.text}.',
    )

    def body(text: str) -> str:
        fitting = cast(Typed(text, value.type, value.name), target, zone).sql
        failure = fail_sql(error, text)
        return f"CASE WHEN {_too_long(text, target)} THEN {failure} ELSE {fitting} END"

    return let(value.sql, body)


def _without_lengths(kind: SqlType) -> SqlType:
    if kind.is_string:
        return STRING
    return replace(
        kind,
        element=kind.element and _without_lengths(kind.element),
        key=kind.key and _without_lengths(kind.key),
        value=kind.value and _without_lengths(kind.value),
        fields=tuple(replace(item, type=_without_lengths(item.type)) for item in kind.fields),
    )


def _has_length(kind: SqlType) -> bool:
    inner = [kind.element, kind.key, kind.value, *(item.type for item in kind.fields)]
    return kind.length is not None or any(_has_length(one) for one in inner if one is not None)


def _too_long(sql: str, kind: SqlType) -> str:
    """Return the condition that a text in a value is too long for its type."""
    if kind.length is not None:
        return f"length({sql}) > {kind.length}"
    name = variable(sql)
    if kind.element is not None and _has_length(kind.element):
        return f"len(list_filter({sql}, lambda {name}: {_too_long(name, kind.element)})) > 0"
    parts: list[tuple[str, SqlType]] = []
    if kind.key is not None and kind.value is not None:
        parts = [(f"{name}.key", kind.key), (f"{name}.value", kind.value)]
        test = _any_too_long(parts)
        return f"len(list_filter(map_entries({sql}), lambda {name}: {test})) > 0"
    return _any_too_long([(f"({sql}).{quote(item.name)}", item.type) for item in kind.fields])


def _any_too_long(parts: Sequence[tuple[str, SqlType]]) -> str:
    tests = [f"({_too_long(sql, kind)})" for sql, kind in parts if _has_length(kind)]
    return " OR ".join(tests) or "FALSE"


def output_sql(query: TranslatedQuery) -> str:
    """Return the SQL of the query with every column in the form of ``SqlType.arrow()``.

    Only intervals differ: they leave as text, in the form of the Thrift server.
    """
    checked = makes_much(query.duckdb_sql)
    sized = checked and any(has_variable_size(column.type) for column in query.columns)
    if not sized and not any(_has_interval(column.type) for column in query.columns):
        return query.duckdb_sql
    items = []
    for column, physical in zip(query.columns, query.physical, strict=True):
        value = f'"out".{quote(physical)}'
        output = _output(value, column.type)
        if sized and has_variable_size(column.type):
            output = result_checked(output, column.type)
        items.append(f"{output} AS {quote(physical)}")
    return f'SELECT {", ".join(items)} FROM ({query.duckdb_sql}) AS "out"'


def _has_interval(kind: SqlType) -> bool:
    inner = [kind.element, kind.key, kind.value, *(item.type for item in kind.fields)]
    return kind.is_interval or any(_has_interval(one) for one in inner if one is not None)


def _output(sql: str, kind: SqlType) -> str:
    if kind.is_interval:
        if kind.is_month_interval:
            return f"vinci_hive_interval(CAST({months_sql(sql)} AS BIGINT), TRUE)"
        return f"vinci_hive_interval(epoch_us({sql}), FALSE)"
    if _has_interval(kind):
        raise unsupported("intervals inside arrays, maps or structs of a result")
    return sql
