"""How tables are changed by migrations, and how Databricks words it."""

from __future__ import annotations

import logging
from typing import Any

from alembic.ddl.base import (
    AddColumn,
    ColumnComment,
    ColumnDefault,
    ColumnName,
    alter_column,
    alter_table,
    format_column_name,
)
from sqlalchemy import Column, Index
from sqlalchemy.exc import CompileError, NoSuchTableError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import String

from vinci_code.database.dialect.migrations.compare import same_type
from vinci_code.database.dialect.migrations.keys import KeyedImpl
from vinci_code.database.dialect.migrations.running import RunningImpl
from vinci_code.database.dialect.sql.constructs import TRAITS, RenderedDDL
from vinci_code.database.dialect.text.literals import quote_text
from vinci_code.database.dialect.text.scanning import DEFINITION, LOOK, WRITE

_log = logging.getLogger(__name__)

_COLUMN_MAPPING = ("delta.columnMapping.mode", "name", ("name", "id"))
_COLUMN_DEFAULTS = (
    "delta.feature.allowColumnDefaults",
    "supported",
    ("supported", "enabled"),
)
_TYPE_WIDENING = ("delta.enableTypeWidening", "true", ("true",))
_Property = tuple[str, str, tuple[str, ...]]


class ChangingImpl(KeyedImpl, RunningImpl):
    """Changes tables, setting first the table properties that a change needs."""

    def add_column(
        self,
        table_name: str,
        column: Column[Any],
        *,
        schema: str | None = None,
        if_not_exists: bool | None = None,
        **kw: Any,
    ) -> None:
        """Add a column, then its default to it and to the rows that are there, then NOT NULL."""
        if if_not_exists and self._has_column(table_name, schema, column.name):
            return
        if column.computed is not None or column.identity is not None:
            # To be refused by the warehouse in its own words, should it still do that.
            self._exec(AddColumn(table_name, column, schema=schema))
            return
        plain: Column[Any] = Column(column.name, column.type, comment=column.comment)
        self._exec(AddColumn(table_name, plain, schema=schema))
        if column.server_default is not None:
            self.alter_column(
                table_name,
                column.name,
                schema=schema,
                server_default=column.server_default,
                existing_type=column.type,
            )
            name, table = self._quoted(column.name), self._name(table_name, schema)
            text = f"UPDATE {table} SET {name} = DEFAULT WHERE {name} IS NULL"  # noqa: S608 - names
            self.run_statement(text, WRITE)
        if not column.nullable:
            self.alter_column(table_name, column.name, schema=schema, nullable=False)

    def drop_column(
        self, table_name: str, column: Column[Any], *, schema: str | None = None, **kw: Any
    ) -> None:
        """Drop a column, mapping columns by name first."""
        self._require(table_name, schema, _COLUMN_MAPPING)
        super().drop_column(table_name, column, schema=schema, **kw)

    def alter_column(
        self,
        table_name: str,
        column_name: str,
        *,
        name: str | None = None,
        type_: Any = None,
        server_default: Any = False,
        schema: str | None = None,
        **kw: Any,
    ) -> None:
        """Change a column, setting first the table properties that this needs."""
        if type_ is not None and same_type(self.dialect, type_, kw.get("existing_type")):
            type_ = None
        if type_ is not None:
            self._require(table_name, schema, _TYPE_WIDENING)
        if server_default is not False and server_default is not None:
            self._require(table_name, schema, _COLUMN_DEFAULTS)
        if name is not None:
            self._require(table_name, schema, _COLUMN_MAPPING)
        super().alter_column(
            table_name,
            column_name,
            name=name,
            type_=type_,
            server_default=server_default,
            schema=schema,
            **kw,
        )
        if name is not None:
            self._renamed(table_name, schema, column_name, name)

    def create_index(self, index: Index, **kw: Any) -> None:
        """Create a unique index as a UNIQUE constraint; leave any other out."""
        if index.unique:
            super().create_index(index, **kw)
        else:
            _log.info("index %s is left out: Databricks has no indexes", index.name)

    def drop_index(self, index: Index, **kw: Any) -> None:
        """Drop the UNIQUE constraint that a unique index is; any other was left out."""
        table = index.table
        if table is None or table.name == "no_table":
            raise CompileError(
                f"The index {index.name} cannot be dropped without its table: name it with "
                "op.drop_index(…, table_name=…)"
            )
        place = self._name(table.name, table.schema)
        constraint = self._quoted(str(index.name))
        self.run_statement(f"ALTER TABLE {place} DROP CONSTRAINT IF EXISTS {constraint}")

    def _require(self, table_name: str, schema: str | None, wanted: _Property) -> None:
        """Set a property of a table, unless it has it."""
        key, value, accepted = wanted
        table = self._name(table_name, schema)
        statement = f"ALTER TABLE {table} SET TBLPROPERTIES ('{key}' = '{value}')"
        connection = self.connection
        if self.as_sql or connection is None:
            self.run_statement(statement)
            return

        def execute() -> None:
            found = connection.exec_driver_sql(
                f"SHOW TBLPROPERTIES {table} ('{key}')", execution_options={TRAITS: LOOK}
            )
            if not any(row[1] in accepted for row in found):
                connection.execute(RenderedDDL(statement, DEFINITION))

        # As one step: later in its revision the table may go by another name.
        if self._progress is None:
            execute()
        else:
            self._progress.run(statement, execute, repeatable=True)

    def _has_column(self, table_name: str, schema: str | None, column: str) -> bool:
        if self.as_sql or self.connection is None:
            return False
        try:
            found = self.dialect.get_columns(self.connection, table_name, schema)
        except NoSuchTableError:
            if self._progress is not None and self._progress.resumes:
                return True  # it was renamed since, later in this revision
            raise
        return any(item["name"].lower() == column.lower() for item in found)


@compiles(ColumnName, "databricks")
def _rename_column(element: ColumnName, compiler: Any, **_: Any) -> str:
    return (
        f"{alter_table(compiler, element.table_name, element.schema)} RENAME COLUMN "
        f"{format_column_name(compiler, element.column_name)} TO "
        f"{format_column_name(compiler, element.newname)}"
    )


@compiles(ColumnComment, "databricks")
def _comment_column(element: ColumnComment, compiler: Any, **_: Any) -> str:
    return (
        f"{alter_table(compiler, element.table_name, element.schema)} "
        f"{alter_column(compiler, element.column_name)} COMMENT {quote_text(element.comment or '')}"
    )


@compiles(ColumnDefault, "databricks")
def _column_default(element: ColumnDefault, compiler: Any, **_: Any) -> str:
    change = "DROP DEFAULT"
    if element.default is not None:
        kind = element.existing_type or String()
        column: Column[Any] = Column("x", kind, server_default=element.default)
        change = f"SET DEFAULT {compiler.get_column_default_string(column)}"
    return (
        f"{alter_table(compiler, element.table_name, element.schema)} "
        f"{alter_column(compiler, element.column_name)} {change}"
    )
