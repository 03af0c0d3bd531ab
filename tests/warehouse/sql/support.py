"""What the tests of the translation share: a DuckDB database with the functions, and helpers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import duckdb
from sqlglot import exp

from vinci_code.warehouse.sql.errors import SqlError, from_duckdb
from vinci_code.warehouse.sql.functions import register
from vinci_code.warehouse.sql.parameters import Parameter
from vinci_code.warehouse.sql.parse import parse_statement
from vinci_code.warehouse.sql.query import TranslatedQuery, output_sql, translate_query
from vinci_code.warehouse.sql.query_context import QueryContext, Relation
from vinci_code.warehouse.sql.types import Column, SqlType, parse_type

NOW = datetime(2024, 2, 29, 12, 30, 15, 250_000, tzinfo=timezone.utc)
TABLES = {
    "t": "a INT, b STRING, c DECIMAL(10,2), d DATE, e TIMESTAMP, f DOUBLE, g BIGINT, h BOOLEAN",
    "n": "id INT, arr ARRAY<INT>, m MAP<STRING, INT>, s STRUCT<x: INT, y: STRING>, v VARIANT",
}


@dataclass
class Answer:
    """What a query answered."""

    query: TranslatedQuery
    rows: list[tuple[Any, ...]]

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.query.columns]

    @property
    def types(self) -> list[str]:
        return [column.type.text for column in self.query.columns]

    @property
    def value(self) -> Any:
        assert len(self.rows) == 1
        assert len(self.rows[0]) == 1
        return self.rows[0][0]


def resolve(table: exp.Table) -> Relation:
    """Know the tables of ``TABLES`` and nothing else."""
    schema = TABLES.get(table.name.lower())
    if schema is None or table.args.get("version"):
        raise SqlError(
            "TABLE_OR_VIEW_NOT_FOUND", "42P01", f"The table or view `{table.name}` cannot be found."
        )
    fields = parse_type(f"STRUCT<{schema}>").fields
    columns = tuple(Column(item.name, item.type) for item in fields)
    return Relation(f'"{table.name.lower()}"', columns, ("main", "default", table.name.lower()))


def context(
    parameters: Sequence[Parameter] = (), configuration: dict[str, str] | None = None
) -> QueryContext:
    return QueryContext(resolve, parameters=parameters, configuration=configuration or {}, now=NOW)


def translate(sql: str, *parameters: Parameter, **configuration: str) -> TranslatedQuery:
    return translate_query(parse_statement(sql).copy(), context(parameters, configuration))


class Database:
    """A DuckDB database to run translated queries on."""

    def __init__(self) -> None:
        self.connection = duckdb.connect(
            config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
        )
        register(self.connection)
        self.connection.execute("SET TimeZone='UTC'").fetchall()
        for name, schema in TABLES.items():
            fields = parse_type(f"STRUCT<{schema}>").fields
            columns = ", ".join(f'"{item.name}" {item.type.duckdb()}' for item in fields)
            self.connection.execute(f"CREATE TABLE {name} ({columns})").fetchall()

    def run(self, sql: str, *parameters: Parameter, **configuration: str) -> Answer:
        query = translate(sql, *parameters, **configuration)
        cursor = self.connection.cursor()
        try:
            relation = cursor.sql(output_sql(query), params=dict(query.binds))
            rows = relation.to_arrow_table().to_pylist()
        except duckdb.Error as error:
            raise from_duckdb(error, query.duckdb_sql) from error
        finally:
            cursor.close()
        return Answer(query, [tuple(row[name] for name in query.physical) for row in rows])

    def value(self, sql: str, *parameters: Parameter, **configuration: str) -> Any:
        return self.run(f"SELECT {sql}", *parameters, **configuration).value

    def close(self) -> None:
        self.connection.close()


def plain(value: Any, kind: SqlType) -> Any:
    """Return a value in the JSON form of the recorded answers."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if kind.element is not None:
        return [plain(item, kind.element) for item in value]
    if kind.key is not None and kind.value is not None:
        return [[plain(key, kind.key), plain(item, kind.value)] for key, item in value]
    if kind.name == "STRUCT":
        return {item.name: plain(value[item.name], item.type) for item in kind.fields}
    if isinstance(value, bytes):
        return "b:" + value.hex()
    if isinstance(value, float):
        return "f:" + repr(value)
    if isinstance(value, datetime):
        return str(value.replace(tzinfo=None))
    return str(value)
