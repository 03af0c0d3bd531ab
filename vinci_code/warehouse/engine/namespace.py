"""What a name in a query means: a temporary view, a table, a view, ``information_schema``."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Protocol

from sqlglot import exp

from vinci_code.warehouse.engine import time_travel
from vinci_code.warehouse.engine import transaction_errors as errors
from vinci_code.warehouse.engine.catalog import (
    INFORMATION_SCHEMA,
    SYSTEM_CATALOG,
    CatalogStore,
    expect_table,
    table_not_found,
)
from vinci_code.warehouse.engine.model import TableState, View
from vinci_code.warehouse.engine.names import TableName, backtick
from vinci_code.warehouse.engine.reader import too_many_parts
from vinci_code.warehouse.engine.store import select_rows
from vinci_code.warehouse.engine.transactions import Transaction
from vinci_code.warehouse.sql import parse, query
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.query_context import QueryContext, Relation
from vinci_code.warehouse.sql.types import Column

_MAX_VIEW_DEPTH = 100
_FORMATS = ("delta", "parquet", "json", "csv", "text")


class LookupContext(Protocol):
    """What a statement gives to the lookup of names."""

    @property
    def context(self) -> QueryContext:
        """The context of the statement's own text."""

    @property
    def transaction(self) -> Transaction:
        """The transaction the statement runs in."""

    @property
    def catalogs(self) -> CatalogStore:
        """Where names are found."""

    @property
    def temporary_views(self) -> dict[str, View]:
        """The session's temporary views."""

    def information_schema(self, name: TableName) -> Relation | None:
        """Return a table of ``information_schema``, or ``None``."""

    def files(self, name: str, path: str) -> Relation:
        """Return the rows of the files at a path, in the format of a name."""

    def evaluate_timestamp(self, expression: exp.Expression) -> datetime | None:
        """Return the instant that an expression without columns means."""


class Resolver:
    """Finds the relations of one statement.

    Those in ``known`` the statement itself has staged, by a name that only it uses.
    """

    def __init__(self, scope: LookupContext) -> None:
        self._scope = scope
        self._inside: list[QueryContext] = []
        self.known: dict[str, Relation] = {}

    def __call__(self, table: exp.Table) -> Relation:
        """Return what a table of the query stands for.

        Raises:
            SqlError: ``TABLE_OR_VIEW_NOT_FOUND`` and others.
        """
        context = self._inside[-1] if self._inside else self._scope.context
        parts = [part.name for part in table.parts]
        if len(parts) == 1 and parts[0] in self.known:
            return self.known[parts[0]]
        if len(parts) == 1 and not self._inside:
            view = self._scope.temporary_views.get(parts[0].lower())
            if view is not None:
                return self._view(view, (parts[0].lower(),))
        if len(parts) == 2 and parts[0].lower() in _FORMATS:
            return self._files(parts[0].lower(), parts[1], table)
        name = full_name(parts, context.catalog, context.schema)
        if name.schema == INFORMATION_SCHEMA or name.catalog == SYSTEM_CATALOG:
            return self._information_schema(name)
        version = table.args.get("version")
        if version is not None:
            return self._past(name, version)
        return self._present(name, parts)

    def relation(self, state: TableState) -> Relation:
        """Return the rows of a table as the transaction sees them."""
        return relation(state, self._scope.transaction.rows_sql(state))

    def _files(self, name: str, path: str, table: exp.Table) -> Relation:
        if name in ("delta", "text") or table.args.get("version") is not None:
            raise unsupported(f"reading files by path: {name}.{backtick(path)}")
        return self._scope.files(name, path)

    def _present(self, name: TableName, parts: list[str]) -> Relation:
        state = self._scope.transaction.state(name)
        if state is not None:
            return self.relation(state)
        view = self._scope.catalogs.find_view(name)
        if view is None:
            raise table_not_found(".".join(backtick(part) for part in parts))
        return self._view(view, (name.catalog, name.schema, name.name))

    def _past(self, name: TableName, version: exp.Expression) -> Relation:
        if self._scope.transaction.interactive:
            raise errors.time_travel_query(name)
        table = self._scope.catalogs.find_table(name)
        if table is None:
            if self._scope.catalogs.find_view(name) is not None:
                raise expect_table(name)
            raise table_not_found(name)
        if str(version.this).upper() == "VERSION":
            state = time_travel.at_version(table, _version_number(version.expression))
        else:
            moment = self._scope.evaluate_timestamp(version.expression)
            if moment is None:
                raise invalid_time_travel(version.expression)
            state = time_travel.at_timestamp(table, moment.astimezone(timezone.utc))
        # Old versions hold still: neither staged rows nor conflicts concern them.
        return relation(state, select_rows(state))

    def _information_schema(self, name: TableName) -> Relation:
        if self._scope.transaction.interactive:
            raise errors.information_schema_table(name)
        found = self._scope.information_schema(name)
        if found is None:
            raise table_not_found(name)
        return found

    def _view(self, view: View, name: tuple[str, ...]) -> Relation:
        if len(self._inside) >= _MAX_VIEW_DEPTH:
            raise SqlError(
                "VIEW_EXCEED_MAX_NESTED_DEPTH",
                "54K00",
                f"The depth of view {backtick(name[-1])} exceeds the maximum view resolution depth "
                f"({_MAX_VIEW_DEPTH}). Analysis is aborted to avoid errors.",
            )
        context = replace(
            self._scope.context, catalog=view.catalog, schema=view.schema, parameters=()
        )
        self._inside.append(context)
        try:
            translated = query.translate_query(parse.parse_statement(view.text).copy(), context)
        finally:
            self._inside.pop()
        columns, physical = match_columns(view, translated.columns, translated.physical)
        return Relation(f"({translated.duckdb_sql})", columns, name, physical)


def full_name(parts: list[str], catalog: str, schema: str) -> TableName:
    """Return the full name of a table that is looked up, in whatever letters."""
    if len(parts) > 3:
        raise too_many_parts(parts)
    full = [catalog, schema][: 3 - len(parts)] + parts
    return TableName(*(part.lower() for part in full))


def relation(state: TableState, rows: str) -> Relation:
    """Return a table's rows as a relation of a query."""
    name = state.name
    return Relation(
        f"({rows})",
        tuple(state.columns),
        (name.catalog, name.schema, name.name),
        tuple(item.physical for item in state.schema.columns),
    )


def match_columns(
    view: View, columns: tuple[Column, ...], physical: tuple[str, ...]
) -> tuple[tuple[Column, ...], tuple[str, ...]]:
    """Return a view's columns with today's types; columns that its query has gained are left out.

    Raises:
        SqlError: ``INCOMPATIBLE_VIEW_SCHEMA_CHANGE`` where a column has gone.
    """
    names = [column.name.lower() for column in columns]
    if len(set(names)) < len(names):
        order = list(range(len(view.columns)))
    else:
        order = [names.index(item) if item in names else -1 for item in view.outputs]
    if -1 in order or max(order, default=0) >= len(columns):
        raise SqlError(
            "INCOMPATIBLE_VIEW_SCHEMA_CHANGE",
            "51024",
            f"The SQL query of view {view.name.quoted} has an incompatible schema change and one "
            "or more of its columns cannot be resolved. Please recreate the view.",
        )
    matched = tuple(
        replace(own, type=columns[index].type, nullable=columns[index].nullable)
        for own, index in zip(view.columns, order, strict=True)
    )
    return matched, tuple(physical[index] for index in order)


def invalid_time_travel(expression: exp.Expression) -> SqlError:
    """Return the error for a timestamp that is none."""
    return SqlError(
        "INVALID_TIME_TRAVEL_TIMESTAMP_EXPR.INPUT",
        "42K0E",
        "The time travel timestamp expression "
        f'"{expression.sql(dialect="databricks")}" is invalid. Cannot be casted to the "TIMESTAMP" '
        "type.",
    )


def _version_number(expression: exp.Expression) -> int:
    text = expression.name
    if not isinstance(expression, exp.Literal) or not text.isdigit():
        raise SqlError(
            "INVALID_TIME_TRAVEL_SPEC",
            "42K0E",
            "Cannot specify the version of a table by anything but a number.",
        )
    return int(text)
