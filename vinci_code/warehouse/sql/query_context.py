"""What a translation needs to know about the session and the tables around a query."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa
from sqlglot import exp

from vinci_code.warehouse.sql.parameters import Parameter
from vinci_code.warehouse.sql.types import Column

USER = "local@warehouse"
"""Who owns what is created, and what ``current_user()`` answers."""


@dataclass(frozen=True)
class Relation:
    """A table or view as the engine can read it.

    Attributes:
        sql: DuckDB SQL that can stand in FROM: a quoted table name, or ``(SELECT …)``.
        columns: Its columns as the user sees them, in order.
        name: Full name: ``(catalog, schema, table)``, or ``(view,)`` for a temporary view.
        physical: Names of the columns in ``sql``; those of ``columns`` where empty.
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
        stage: Makes a relation of rows that the statement carries and returns its name in DuckDB;
            ``None`` where the SQL must stand alone.
    """

    resolve: Callable[[exp.Table], Relation]
    catalog: str = "main"
    schema: str = "default"
    user: str = USER
    configuration: Mapping[str, str] = field(default_factory=dict)
    parameters: Sequence[Parameter] = ()
    now: datetime | None = None
    stage: Callable[[pa.Table], str] | None = None
