"""One statement at work: its context, its names, its translations and what it stages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import duckdb
import pyarrow as pa
from sqlglot import exp

from vinci_code.warehouse.engine import file_relations, information_schema
from vinci_code.warehouse.engine.catalog import CatalogStore
from vinci_code.warehouse.engine.model import TableColumn, View
from vinci_code.warehouse.engine.names import TableName, used_binds
from vinci_code.warehouse.engine.namespace import Resolver, full_name
from vinci_code.warehouse.engine.session import EngineSession
from vinci_code.warehouse.engine.transactions import Transaction
from vinci_code.warehouse.sql import parse, query
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.lexemes import parse_name
from vinci_code.warehouse.sql.parameters import Parameter
from vinci_code.warehouse.sql.query import TranslatedExpression, TranslatedQuery
from vinci_code.warehouse.sql.query_context import QueryContext, Relation
from vinci_code.warehouse.sql.types import TIMESTAMP, Column, SqlType

_CHANCE = frozenset(("RAND", "RANDOM", "RANDN", "UUID", "UNIFORM", "RANDSTR", "SHUFFLE"))


def refuse_chance(operation: str, expression: exp.Expression) -> None:
    """Refuse a condition whose value is left to chance.

    Raises:
        SqlError: ``DELTA_NON_DETERMINISTIC_FUNCTION_NOT_SUPPORTED``.
    """
    for call in expression.find_all(exp.Func):
        name = call.name if isinstance(call, exp.Anonymous) else call.sql_name()
        if name.upper() in _CHANCE:
            raise SqlError(
                "DELTA_NON_DETERMINISTIC_FUNCTION_NOT_SUPPORTED",
                "0AKDC",
                f"Non-deterministic functions are not supported in the {operation} "
                f"{expression.sql(dialect='databricks')}",
            )


class Work:
    """The surroundings of one statement of a session."""

    def __init__(
        self, session: EngineSession, transaction: Transaction, parameters: Sequence[Parameter]
    ) -> None:
        self.session = session
        self.transaction = transaction
        self.room = session.room
        self.binds: dict[str, object] = {}
        self._fragments = 0
        self.resolver = Resolver(self)
        self.context = QueryContext(
            resolve=self.resolver,
            catalog=session.catalog,
            schema=session.schema,
            user=session.user,
            configuration=session.configuration,
            parameters=parameters,
            now=datetime.now(timezone.utc),
            stage=self.transaction.stage_arrow,
        )

    @property
    def catalogs(self) -> CatalogStore:
        """Where names are found."""
        return self.session.room.catalog

    @property
    def temporary_views(self) -> dict[str, View]:
        """The session's temporary views."""
        return self.session.temporary_views

    @property
    def cursor(self) -> duckdb.DuckDBPyConnection:
        """The session's own connection."""
        return self.session.cursor

    def name(self, parts: list[str]) -> TableName:
        """Return the full name of a table or view, looked up from the session's namespace."""
        return full_name(parts, self.session.catalog, self.session.schema)

    def table_parts(self, table: exp.Table) -> list[str]:
        """Return the parts of the name of a table that is written to.

        Raises:
            SqlError: For a function, save ``IDENTIFIER('name')``.
        """
        call = table.this
        if isinstance(call, exp.Identifier):
            return [part.name for part in table.parts]
        if not isinstance(call, exp.Anonymous) or call.name.upper() != "IDENTIFIER":
            raise unsupported("writing to the result of a function")
        translated = query.translate_expression(call.expressions[0].copy(), self.context)
        value = self.run(f"SELECT {translated.sql}", translated.binds)[0][0]
        return parse_name(str(value))

    def known(self, columns: list[Column], batches: Iterator[pa.RecordBatch]) -> exp.Table:
        """Stage rows that are at hand, and return a table by which a query can read them."""
        schema = pa.schema([pa.field(item.name, item.type.arrow()) for item in columns])
        arrow = pa.Table.from_batches(list(batches), schema=schema)
        staged = self.transaction.stage_arrow(arrow)
        name = f"known_{len(self.resolver.known)}"
        physical = tuple(item.name for item in columns)
        self.resolver.known[name] = Relation(staged, tuple(columns), (name,), physical)
        return exp.to_table(name)

    def information_schema(self, name: TableName) -> Relation | None:
        """Return a table of ``information_schema``, or ``None``."""
        return information_schema.relation(name, self.catalogs, self.cursor, self.transaction)

    def files(self, name: str, path: str) -> Relation:
        """Return the rows of the files at a path, in the format of a name."""
        check = self.session.check_interrupt
        return file_relations.by_path(self.room.volumes, self.transaction, name, path, check)

    def translate(self, expression: exp.Expression) -> TranslatedQuery:
        """Translate a query; its parameters are kept for the statement that it becomes part of."""
        translated = query.translate_query(expression, self.context)
        self.binds.update(translated.binds)
        return translated

    def translate_text(self, text: str) -> TranslatedQuery:
        """Translate the text of a query."""
        expression = parse.parse_statement(text)
        if not isinstance(expression, (exp.Query, exp.Values)):
            raise SqlError("PARSE_SYNTAX_ERROR", "42601", "Syntax error: a query was expected.")
        return self.translate(expression.copy())

    def expression(
        self, expression: exp.Expression, *relations: tuple[str, Relation]
    ) -> TranslatedExpression:
        """Translate a scalar expression over relations."""
        self._fragments += 1
        translated = query.translate_expression(
            expression, self.context, relations, bind_prefix=f"e{self._fragments}_"
        )
        self.binds.update(translated.binds)
        return translated

    def condition(
        self, operation: str, expression: exp.Expression, *relations: tuple[str, Relation]
    ) -> str:
        """Translate a condition of DML.

        Raises:
            SqlError: ``DATATYPE_MISMATCH.FILTER_NOT_BOOLEAN`` where it is not BOOLEAN,
                ``DELTA_NON_DETERMINISTIC_FUNCTION_NOT_SUPPORTED`` where it is left to chance.
        """
        refuse_chance(operation, expression)
        translated = self.expression(expression, *relations)
        if translated.type.name not in ("BOOLEAN", "VOID"):
            shown = expression.sql(dialect="databricks")
            raise SqlError(
                "DATATYPE_MISMATCH.FILTER_NOT_BOOLEAN",
                "42K09",
                f'Cannot resolve "{shown}" due to data type mismatch: Filter expression "{shown}" '
                f'of type "{translated.type.text}" is not a boolean.',
            )
        if translated.type.name == "VOID":
            return f"CAST({translated.sql} AS BOOLEAN)"
        return translated.sql

    def text_expression(self, text: str, *relations: tuple[str, Relation]) -> TranslatedExpression:
        """Translate the text of a scalar expression over relations."""
        return self.expression(parse.parse_expression(text).copy(), *relations)

    def evaluate_timestamp(self, expression: exp.Expression) -> datetime | None:
        """Return the instant that an expression without columns means; ``None`` for no instant."""
        cast = exp.Cast(this=expression.copy(), to=exp.DataType.build("TIMESTAMP"))
        translated = query.translate_expression(cast, self.context)
        if translated.type != TIMESTAMP:
            return None
        rows = self.run(f"SELECT epoch_us({translated.sql})", translated.binds)
        micros = rows[0][0]
        return None if micros is None else datetime.fromtimestamp(micros / 1e6, timezone.utc)

    def stored(self, sql: str, source: SqlType, column: TableColumn) -> str:
        """Return SQL that stores a value in a column of a table."""
        if source.name == "VOID":
            # A NULL of any type; it is evaluated all the same, since raise_error() has this type.
            return f"CASE WHEN {sql} IS NULL THEN CAST(NULL AS {column.type.duckdb()}) END"
        zone = self.session.configuration["TIMEZONE"]
        return query.store_assignment(sql, source, column.type, column.name, zone)

    def run(self, sql: str, binds: Mapping[str, object] | None = None) -> list[tuple[Any, ...]]:
        """Run DuckDB SQL on the session's connection and return its rows."""
        used = used_binds(sql, binds or {})
        return self.cursor.execute(sql, used or None).fetchall()

    def stage(self, select: str) -> tuple[str, int]:
        """Run a SELECT, with the parameters collected so far, into a staged relation.

        Returns:
            The relation's name and the number of its rows.
        """
        self.session.check_interrupt()
        binds, self.binds = self.binds, {}
        return self.transaction.stage_counted(select, used_binds(select, binds))
