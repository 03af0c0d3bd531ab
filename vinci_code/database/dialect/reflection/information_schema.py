"""What ``information_schema`` says of the tables of one schema, in few statements.

Each function asks one question of all tables, or of those named, with bound parameters:
https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-information-schema

What it has no answer to is asked of one table at a time: identity columns and computed ones
(``generated``), table properties and clustering.
"""

# ruff: noqa: S608 - values are bound; names are in backticks, and those of tables are constants

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy.engine import Connection

from vinci_code.database.dialect.reflection.generated import Computed, Identity, parse_generated
from vinci_code.database.dialect.reflection.names import Namespace, stored
from vinci_code.database.dialect.sql.constructs import TRAITS
from vinci_code.database.dialect.text.scanning import LOOK

MAX_NAMES = 200
"""How many tables are asked for by name; a statement takes at most 255 parameters."""

_VIEWS = ("VIEW", "METRIC_VIEW", "TEMPORARY VIEW")
_MATERIALIZED = "MATERIALIZED_VIEW"


class Relation(NamedTuple):
    """A table or view."""

    name: str
    type: str
    comment: str | None
    format: str | None

    @property
    def is_delta(self) -> bool:
        """Whether it is a table of Delta."""
        return self.is_table and self.format == "DELTA"

    @property
    def is_table(self) -> bool:
        """Whether it is no view of any kind."""
        return not self.type.endswith("VIEW")

    @property
    def is_view(self) -> bool:
        """Whether it is a view without rows of its own."""
        return self.type in _VIEWS

    @property
    def is_materialized(self) -> bool:
        """Whether it is a view whose rows are kept."""
        return self.type == _MATERIALIZED


class ColumnRow(NamedTuple):
    """A column."""

    name: str
    type: str
    nullable: bool
    default: str | None
    comment: str | None


@dataclass
class Constraint:
    """A key or a CHECK.

    Attributes:
        name: Its name.
        kind: ``PRIMARY KEY``, ``UNIQUE``, ``FOREIGN KEY`` or ``CHECK``.
        columns: Its columns, in order.
        condition: That of a CHECK; ``None`` where the view lacks it.
        parent: Catalog, schema and name of the table that a foreign key refers to.
        parent_columns: The columns it refers to there, in the order of its own.
        positions: Where each of them stands in the parent's primary key, from 1.
        in_catalog: Whether the parent lies in the session's own catalog.
        in_schema: Whether it lies in the session's own schema besides.
    """

    name: str
    kind: str
    columns: list[str] = field(default_factory=list)
    condition: str | None = None
    parent: tuple[str, str, str] | None = None
    parent_columns: list[str] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    in_catalog: bool = False
    in_schema: bool = False


class Details(NamedTuple):
    """What only the table itself tells.

    Attributes:
        properties: Its properties, without those that Delta keeps for itself.
        cluster_by: The columns it is clustered by.
        checks: The conditions of its CHECK constraints by name.
        features: Its table features, as the properties that switch them on.
    """

    properties: dict[str, str] = {}  # noqa: RUF012 - never changed
    cluster_by: tuple[str, ...] = ()
    checks: dict[str, str] = {}  # noqa: RUF012 - never changed
    features: dict[str, str] = {}  # noqa: RUF012 - never changed


class Catalog:
    """Asks one connection; names are exact, and in the case in which Unity Catalog keeps them."""

    def __init__(self, connection: Connection, quote: Callable[[str], str]) -> None:
        self._connection = connection
        self._quote = quote

    # --- many tables at once ---------------------------------------------------------------------

    def schemas(self, catalog: str | None) -> list[str]:
        """The schemas of a catalog."""
        source = self._source(catalog, "schemata")
        return [row[0] for row in self._ask(f"SELECT schema_name FROM {source} ORDER BY 1")]

    def has_schema(self, place: Namespace) -> bool:
        """Whether there is such a schema."""
        source, (schema, value) = self._source(place.catalog, "schemata"), _schema_value(place)
        question = f"SELECT schema_name FROM {source} WHERE schema_name = {schema}"
        return bool(self._ask(question, value))

    def relations(self, place: Namespace, names: Collection[str] | None) -> dict[str, Relation]:
        """Tables and views by name; all of the schema without ``names``."""
        where, values = _where("t", place, names)
        rows = self._ask(
            f"""
            SELECT t.table_name, t.table_type, t.comment, t.data_source_format
            FROM {self._source(place.catalog, "tables")} AS t
            WHERE {where}
            ORDER BY t.table_name
            """,
            values,
        )
        return {row[0]: Relation(row[0], row[1], row[2] or None, row[3]) for row in rows}

    def columns(
        self, place: Namespace, names: Collection[str] | None
    ) -> dict[str, list[ColumnRow]]:
        """The columns of each table, in order."""
        where, values = _where("c", place, names)
        rows = self._ask(
            f"""
            SELECT c.table_name, c.column_name, c.full_data_type, c.is_nullable,
              c.column_default, c.comment
            FROM {self._source(place.catalog, "columns")} AS c
            WHERE {where}
            ORDER BY c.table_name, c.ordinal_position
            """,
            values,
        )
        return {
            table: [
                ColumnRow(row[1], row[2], row[3] == "YES", row[4], row[5] or None) for row in found
            ]
            for table, found in _grouped(rows)
        }

    def constraints(
        self, place: Namespace, names: Collection[str] | None
    ) -> dict[str, list[Constraint]]:
        """The keys and CHECK constraints of each table."""
        where, values = _where("tc", place, names)
        source = {name: self._source(place.catalog, name) for name in _CONSTRAINT_TABLES}
        schema, value = _schema_value(place)
        rows = self._ask(
            _CONSTRAINTS.format(**source, where=where, schema=schema), [*value, *value, *values]
        )
        found = {
            table: [
                _constraint(list(parts)) for _, parts in groupby(keys, key=lambda row: row[1:3])
            ]
            for table, keys in _grouped(rows)
        }
        self._complete_parents(constraint for keys in found.values() for constraint in keys)
        return found

    def _complete_parents(self, constraints: Iterable[Constraint]) -> None:
        """Ask other catalogs for the columns of their keys, which ours does not list."""
        unknown: dict[str, list[Constraint]] = {}
        for item in constraints:
            if item.parent is not None and len(item.parent_columns) < len(item.columns):
                unknown.setdefault(item.parent[0], []).append(item)
        for catalog, found in unknown.items():
            for item in found:
                key = self._key_columns(catalog, item)
                # None of them may be visible to this user.
                item.parent_columns = [key[position - 1] for position in item.positions if key]

    def _key_columns(self, catalog: str, constraint: Constraint) -> list[str]:
        assert constraint.parent is not None  # noqa: S101 - the caller has looked
        rows = self._ask(
            f"""
            SELECT k.column_name
            FROM {self._source(catalog, "table_constraints")} AS c
            JOIN {self._source(catalog, "key_column_usage")} AS k
              ON k.constraint_schema = c.constraint_schema
              AND k.constraint_name = c.constraint_name AND k.table_name = c.table_name
            WHERE c.table_schema = ? AND c.table_name = ? AND c.constraint_type = 'PRIMARY KEY'
            ORDER BY k.ordinal_position
            """,
            constraint.parent[1:],
        )
        return [row[0] for row in rows]

    def view_definition(self, place: Namespace, name: str) -> str | None:
        """The text of a view's query; ``None`` where there is no such view."""
        where, values = _where("v", place, [stored(name)])
        rows = self._ask(
            f"SELECT v.view_definition FROM {self._source(place.catalog, 'views')} AS v "
            f"WHERE {where}",
            values,
        )
        return str(rows[0][0] or "") if rows else None

    # --- what information_schema does not tell ---------------------------------------------------

    def has_table(self, place: Namespace, name: str) -> bool:
        """Whether there is a table or view, a temporary view included."""
        # The pattern knows * and |, and takes the rest as a regular expression: what is found is
        # compared with the name.
        pattern = re.sub(r"\W", "*", name, flags=re.ASCII)
        where = "" if place.schema is None else f" IN {self.schema_name(place)}"
        rows = self._ask(f"SHOW TABLES{where} LIKE '{pattern}'")
        # Temporary views are listed with any schema, and belong to none.
        return any(
            stored(row[1]) == stored(name) and (place.schema is None or not row[2]) for row in rows
        )

    def temporary_views(self) -> list[str]:
        """The temporary views of the session."""
        return [row[1] for row in self._ask("SHOW VIEWS") if row[2]]

    def temporary_view_columns(self, name: str) -> list[ColumnRow]:
        """The columns of a temporary view."""
        rows = self._ask(f"DESCRIBE TABLE {self._quote(name)}")
        return [ColumnRow(row[0], row[1], True, None, row[2] or None) for row in rows]

    def temporary_view_definition(self, name: str) -> str:
        """The text of a temporary view's query."""
        rows = self._ask(f"DESCRIBE TABLE EXTENDED {self._quote(name)}")
        return next((row[1] for row in rows if row[0] == "View Text"), "")

    def details(self, place: Namespace, name: str) -> Details:
        """Properties, clustering and CHECK constraints of one table."""
        described = self._connection.exec_driver_sql(
            f"DESCRIBE DETAIL {self.table_name(place, name)}", execution_options={TRAITS: LOOK}
        )
        row = described.mappings().one()
        properties = {str(key): str(value) for key, value in dict(row["properties"] or ()).items()}
        checks = {
            key[len(_CHECK) :]: value
            for key, value in properties.items()
            if key.lower().startswith(_CHECK)
        }
        return Details(
            {key: value for key, value in properties.items() if not _is_internal(key)},
            tuple(_texts(row.get("clusteringColumns"))),
            checks,
            {f"delta.feature.{name}": "supported" for name in _texts(row.get("tableFeatures"))},
        )

    def generated(self, place: Namespace, name: str) -> dict[str, Identity | Computed]:
        """The identity columns and the computed ones of one table, by name."""
        rows = self._ask(f"SHOW CREATE TABLE {self.table_name(place, name)}")
        return parse_generated(str(rows[0][0]))

    # --- names -----------------------------------------------------------------------------------

    def schema_name(self, place: Namespace) -> str:
        """The full name of a schema, as SQL."""
        parts = [part for part in place if part is not None]
        return ".".join(self._quote(part) for part in parts)

    def table_name(self, place: Namespace, name: str) -> str:
        """The full name of a table, as SQL."""
        return ".".join(self._quote(part) for part in (*place, name) if part is not None)

    def _source(self, catalog: str | None, table: str) -> str:
        prefix = "" if catalog is None else self._quote(stored(catalog)) + "."
        return f"{prefix}information_schema.{table}"

    def _ask(self, statement: str, values: Sequence[str] = ()) -> Sequence[Sequence[Any]]:
        text = " ".join(statement.split())
        return self._connection.exec_driver_sql(
            text, tuple(values), execution_options={"vinci_definitions": True, TRAITS: LOOK}
        ).fetchall()


def plain_condition(condition: str) -> str:
    """The condition of a CHECK as the application wrote it.

    The dialect writes ``(condition) IS NOT FALSE``, since Delta refuses rows for which a condition
    is NULL, as no other database does.
    """
    text = condition.strip()
    if not (text.startswith("(") and text.endswith(_NOT_FALSE)):
        return condition
    inside = text[1 : -len(_NOT_FALSE)]
    depth = 0
    for sign in re.findall(r"[()]", _QUOTED.sub("", inside)):
        depth += 1 if sign == "(" else -1
        if depth < 0:  # the parenthesis that it begins with ends before
            return condition
    # Delta may keep a condition with spaces between all of its words and signs.
    return inside.strip()


_NOT_FALSE = ") IS NOT FALSE"
_QUOTED = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|`(?:[^`]|``)*`", re.DOTALL)

_CHECK = "delta.constraints."
# Set by Delta itself, and refused in CREATE TABLE or changed by it.
_INTERNAL = (
    "delta.constraints.",
    "delta.columnmapping.maxcolumnid",
    "delta.minreaderversion",
    "delta.minwriterversion",
    "delta.feature.",
    "delta.lastcommittimestamp",
    "delta.lastupdateversion",
    "delta.rowtracking.materialized",
    "delta.incommittimestampenablement",
    "io.unitycatalog.",
    "uctableid",
    "clusterbyauto",
)


def _texts(values: Any) -> list[str]:
    """The texts of an array; it may be one of numpy, which has no truth value."""
    return [] if values is None else [str(value) for value in values]


def _is_internal(name: str) -> bool:
    return name.lower().startswith(_INTERNAL)


def _where(alias: str, place: Namespace, names: Collection[str] | None) -> tuple[str, list[str]]:
    schema, values = _schema_value(place)
    where = f"{alias}.table_schema = {schema}"
    if names is not None:
        where += f" AND {alias}.table_name IN ({', '.join('?' * len(names))})"
        values += names
    return where, values


def _schema_value(place: Namespace) -> tuple[str, list[str]]:
    """What a schema's name is compared with, and the parameters in it."""
    return ("current_schema()", []) if place.schema is None else ("?", [place.schema])


def _grouped(rows: Sequence[Sequence[Any]]) -> Iterator[tuple[str, Iterator[Sequence[Any]]]]:
    return groupby(rows, key=lambda row: str(row[0]))


# The name of a CHECK is unique within its table alone, and check_constraints does not name the
# table: a condition that could belong to another one is not taken (the counts tell).
_CONSTRAINT_TABLES = (
    "table_constraints",
    "key_column_usage",
    "referential_constraints",
    "constraint_column_usage",
    "check_constraints",
)
_CONSTRAINTS = """
    SELECT tc.table_name, tc.constraint_type, tc.constraint_name, k.column_name,
      p.table_catalog, p.table_schema, p.table_name AS parent_name,
      CASE WHEN p.columns = 1 THEN p.column_name ELSE pk.column_name END AS parent_column,
      CASE WHEN cc.clauses = 1 THEN cc.check_clause END AS check_clause,
      p.table_catalog = current_catalog() AS in_catalog,
      p.table_schema = current_schema() AS in_schema, k.position_in_unique_constraint
    FROM {table_constraints} AS tc
    LEFT JOIN {key_column_usage} AS k
      ON k.constraint_schema = tc.constraint_schema
      AND k.constraint_name = tc.constraint_name AND k.table_name = tc.table_name
    LEFT JOIN (
      SELECT constraint_schema, constraint_name, min(table_catalog) AS table_catalog,
        min(table_schema) AS table_schema, min(table_name) AS table_name,
        min(column_name) AS column_name, count(*) AS columns
      FROM {constraint_column_usage}
      WHERE constraint_schema = {schema}
      GROUP BY constraint_schema, constraint_name
    ) AS p
      ON tc.constraint_type = 'FOREIGN KEY' AND p.constraint_schema = tc.constraint_schema
      AND p.constraint_name = tc.constraint_name
    LEFT JOIN {referential_constraints} AS r
      ON tc.constraint_type = 'FOREIGN KEY' AND r.constraint_schema = tc.constraint_schema
      AND r.constraint_name = tc.constraint_name
    LEFT JOIN {key_column_usage} AS pk
      ON pk.constraint_catalog = r.unique_constraint_catalog
      AND pk.constraint_schema = r.unique_constraint_schema
      AND pk.constraint_name = r.unique_constraint_name
      AND pk.table_name = p.table_name
      AND pk.ordinal_position = k.position_in_unique_constraint
    LEFT JOIN (
      SELECT constraint_schema, constraint_name, min(check_clause) AS check_clause,
        count(DISTINCT check_clause) AS clauses
      FROM {check_constraints}
      WHERE constraint_schema = {schema}
      GROUP BY constraint_schema, constraint_name
    ) AS cc
      ON tc.constraint_type = 'CHECK' AND cc.constraint_schema = tc.constraint_schema
      AND cc.constraint_name = tc.constraint_name
    WHERE {where}
    ORDER BY tc.table_name, tc.constraint_type, tc.constraint_name, k.ordinal_position
"""


def _constraint(rows: Sequence[Sequence[Any]]) -> Constraint:
    first = rows[0]
    parent = (first[4], first[5], first[6]) if first[4] is not None else None
    return Constraint(
        name=first[2],
        kind=first[1],
        columns=[row[3] for row in rows if row[3] is not None],
        condition=first[8],
        parent=parent,
        parent_columns=[row[7] for row in rows if row[7] is not None],
        positions=[row[11] for row in rows if row[11] is not None],
        in_catalog=bool(first[9]),
        in_schema=bool(first[9] and first[10]),
    )
