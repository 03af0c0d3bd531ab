"""Queries and expressions of Databricks SQL, translated to DuckDB SQL with their types.

The translation binds as Databricks does: it resolves every column, table and function itself and
knows the Databricks type of every expression. Only what has been translated reaches DuckDB, so no
syntax and no function of DuckDB's own is reachable from a statement.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlglot import exp

from vinci_code.warehouse.sql.parameters import Parameter
from vinci_code.warehouse.sql.types import Column, SqlType


@dataclass(frozen=True)
class Relation:
    """A table or view as the engine can read it.

    Attributes:
        sql: DuckDB SQL that can stand in FROM: a quoted table name, or ``(SELECT …)``.
        columns: Its columns as the user sees them, in order.
        name: Full name: ``(catalog, schema, table)``, or ``(view,)`` for a temporary view.
        physical: Names of the columns in ``sql``; those of ``columns`` where empty.
        binds: Values of the parameters in ``sql`` (a view has none).
    """

    sql: str
    columns: tuple[Column, ...]
    name: tuple[str, ...]
    physical: tuple[str, ...] = ()


@dataclass
class QueryContext:
    """What a translation needs to know about the session.

    Attributes:
        resolve: Called for every table that is not a CTE, with the sqlglot table (``this``, ``db``,
            ``catalog``, ``version`` for time travel); returns the relation or raises ``SqlError``
            (``TABLE_OR_VIEW_NOT_FOUND`` …). For a view it calls ``translate_query`` on the view's
            own text with a context of its own and wraps ``duckdb_sql`` in parentheses.
        catalog: Current catalog.
        schema: Current schema.
        user: What ``current_user()`` answers.
        configuration: Session configuration; ``TIMEZONE`` is read here.
        parameters: The statement's parameters in the order sent.
        now: The instant of ``current_timestamp()``, fixed for the statement; with time zone.
    """

    resolve: Callable[[exp.Table], Relation]
    catalog: str = "main"
    schema: str = "default"
    user: str = "local@warehouse"
    configuration: Mapping[str, str] = field(default_factory=dict)
    parameters: Sequence[Parameter] = ()
    now: datetime | None = None


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


def translate_query(expression: exp.Expression, context: QueryContext) -> TranslatedQuery:
    """Translate a SELECT, a set operation, VALUES or a WITH.

    Values of VARIANT columns are JSON text, intervals are DuckDB intervals (``output_sql`` makes
    them text for the client).
    """
    raise NotImplementedError


def translate_expression(
    expression: exp.Expression,
    context: QueryContext,
    relations: Sequence[tuple[str, Relation]] = (),
) -> TranslatedExpression:
    """Translate a scalar expression over the given relations.

    Args:
        expression: As sqlglot read it.
        context: Of the session.
        relations: ``(alias, relation)``: the alias is both the user's qualifier and the alias under
            which the DuckDB SQL around the expression must expose the relation. Sub-queries within
            the expression are resolved through ``context``.
    """
    raise NotImplementedError


def store_assignment(sql: str, source: SqlType, target: SqlType, column: str) -> str:
    """Return DuckDB SQL that stores a value of type ``source`` in a column of type ``target``.

    ANSI store assignment (https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-ansi-compliance):
    overflow is ``CAST_OVERFLOW_IN_TABLE_INSERT``, a type that cannot be stored at all is
    ``INCOMPATIBLE_DATA_FOR_TABLE`` / ``DATATYPE_MISMATCH``, a text too long for VARCHAR(n) is
    ``EXCEED_LIMIT_LENGTH``.

    Raises:
        SqlError: Where no value of ``source`` may be stored in ``target``.
    """
    raise NotImplementedError


def output_sql(query: TranslatedQuery) -> str:
    """Return the SQL of the query with every column in the form of ``SqlType.arrow()``."""
    raise NotImplementedError
