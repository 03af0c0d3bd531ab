"""Migrations with Alembic.

Importing this module tells Alembic how tables are changed on Databricks. Creating an engine does
that by itself where Alembic is loaded already, as it is in an ``env.py``; where an engine that was
made before is handed to Alembic, import it::

    import vinci_code.database.dialect.alembic

What differs from other databases:

- Columns are renamed and dropped only where they are mapped by name: the table property
  ``delta.columnMapping.mode`` is set first, where it is not yet; in the same way the properties for
  column defaults and for wider types are set where a change needs them.
- A column is added without its default and may be NULL; its default, the values of the rows that
  are there already, and NOT NULL follow, so that it ends as on SQLite.
- Plain indexes are left out, unique ones are UNIQUE constraints.
- There is no transaction around DDL. A revision that was interrupted between two of its statements
  is taken up where it ended: see ``alembic_progress``, ``settle_interrupted``. What a revision
  sends by itself over ``op.get_bind()`` is not written down, and is sent again.
- Two processes must not migrate at once: ``claimed`` lets one in and has the others wait.
- ``alembic revision --autogenerate`` also compares ``databricks_tblproperties=`` and
  ``databricks_cluster_by=`` of the tables that declare them. Properties that Delta keeps for itself
  (``delta.…``) are compared where they are declared, others also where they are not.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, cast

from alembic.autogenerate import comparators, render
from alembic.ddl.base import (
    AddColumn,
    ColumnComment,
    ColumnDefault,
    ColumnName,
    alter_column,
    alter_table,
    format_column_name,
)
from alembic.ddl.impl import DefaultImpl
from alembic.operations import ops
from sqlalchemy import Column, Index, MetaData, Table
from sqlalchemy.exc import CompileError, NoSuchTableError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.ddl import ExecutableDDLElement
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.types import NullType, String

from vinci_code.database.dialect import types
from vinci_code.database.dialect.alembic_claim import MigrationRunningError, claimed
from vinci_code.database.dialect.alembic_progress import (
    Progress,
    changes_rows,
    changes_tables,
    settle_interrupted,
)
from vinci_code.database.dialect.ddl import SEPARATOR, table_properties
from vinci_code.database.dialect.information_schema import Details
from vinci_code.database.dialect.literals import quote_text

__all__ = [
    "LayoutOp",
    "MigrationRunningError",
    "VinciImpl",
    "claimed",
    "register",
    "settle_interrupted",
]

_log = logging.getLogger(__name__)

_COLUMN_MAPPING = ("delta.columnMapping.mode", "name", ("name", "id"))
_COLUMN_DEFAULTS = (
    "delta.feature.allowColumnDefaults",
    "supported",
    ("supported", "enabled"),
)
_TYPE_WIDENING = ("delta.enableTypeWidening", "true", ("true",))
_Property = tuple[str, str, tuple[str, ...]]


class VinciImpl(DefaultImpl):
    """Runs and compares migrations on Databricks."""

    __dialect__ = "databricks"
    transactional_ddl = False

    _progress: Progress | None = None

    # --- running ---------------------------------------------------------------------------------

    def start_migrations(self) -> None:
        """Write down from here on which statements are done."""
        super().start_migrations()
        if self.connection is not None and not self.as_sql:
            schema = self.context_opts.get("version_table_schema")
            self._progress = Progress(self.connection, self._name(self._version_table, schema))

    def _exec(
        self,
        construct: Any,
        execution_options: Any = None,
        multiparams: Any = None,
        params: Any = None,
    ) -> Any:
        given = (execution_options, multiparams, params or {})
        if isinstance(construct, ExecutableDDLElement):
            return self._run_ddl(construct)
        if self._progress is None:
            return super()._exec(construct, *given)
        if isinstance(construct, UpdateBase) and self._is_version_table(construct):
            result = super()._exec(construct, *given)
            self._progress.finish()
            return result
        return self._run_text(construct, given)

    def _run_ddl(self, construct: ExecutableDDLElement) -> None:
        """Run the statements of a construct: a CHECK is a statement behind CREATE TABLE."""
        for statement in str(construct.compile(dialect=self.dialect)).split(SEPARATOR):
            if statement.strip():
                self._run_statement(statement.strip())

    def _run_statement(self, statement: str) -> None:
        if self.as_sql:
            self.static_output(statement + self.command_terminator)
            return
        connection = self.connection
        assert connection is not None  # noqa: S101 - there is one unless SQL is written to a file
        if self._progress is None:
            connection.execute(_Statement(statement))
        else:
            self._progress.run(
                statement, lambda: connection.execute(_Statement(statement)), repeatable=True
            )

    def _run_text(self, construct: Any, given: tuple[Any, ...]) -> Any:
        text = str(construct.compile(dialect=self.dialect) if _compiles(construct) else construct)
        run = super()._exec
        if self._progress is None or not (changes_rows(text) or changes_tables(text)):
            return run(construct, *given)
        return self._progress.run(
            text, lambda: run(construct, *given), repeatable=changes_tables(text)
        )

    @property
    def _version_table(self) -> str:
        return str(self.context_opts.get("version_table", "alembic_version"))

    def _is_version_table(self, construct: UpdateBase) -> bool:
        schema = self.context_opts.get("version_table_schema")
        table = construct.table
        return isinstance(table, Table) and (table.name, table.schema) == (
            self._version_table,
            schema,
        )

    # --- changing tables -------------------------------------------------------------------------

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
            self._run_statement(f"UPDATE {table} SET {name} = DEFAULT WHERE {name} IS NULL")  # noqa: S608 - names
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
        if type_ is not None and self._is_same(type_, kw.get("existing_type")):
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
        self._run_statement(f"ALTER TABLE {place} DROP CONSTRAINT IF EXISTS {constraint}")

    def _require(self, table_name: str, schema: str | None, wanted: _Property) -> None:
        """Set a property of a table, unless it has it."""
        key, value, accepted = wanted
        table = self._name(table_name, schema)
        statement = f"ALTER TABLE {table} SET TBLPROPERTIES ('{key}' = '{value}')"
        connection = self.connection
        if self.as_sql or connection is None:
            self._run_statement(statement)
            return

        def execute() -> None:
            found = connection.exec_driver_sql(f"SHOW TBLPROPERTIES {table} ('{key}')")
            if not any(row[1] in accepted for row in found):
                connection.execute(_Statement(statement))

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

    def _quoted(self, name: str) -> str:
        return self.dialect.identifier_preparer.quote(name)

    def _name(self, table: str, schema: str | None) -> str:
        return table_name_of(self.dialect, table, schema)

    # --- writing revisions -----------------------------------------------------------------------

    def render_type(self, type_obj: Any, autogen_context: Any) -> str | Literal[False]:
        """Write the types of Databricks by the names that this package exports."""
        name = type(type_obj).__name__
        if type(type_obj) is not getattr(types, name, None):
            return False
        autogen_context.imports.add(f"from vinci_code.database.dialect import {name}")

        def inner(kind: Any) -> str:
            return str(render._repr_type(kind, autogen_context))

        if isinstance(type_obj, types.ARRAY):
            dimensions = f", dimensions={type_obj.dimensions}" if type_obj.dimensions else ""
            return f"ARRAY({inner(type_obj.item_type)}{dimensions})"
        if isinstance(type_obj, types.MAP):
            return f"MAP({inner(type_obj.key_type)}, {inner(type_obj.value_type)})"
        if isinstance(type_obj, types.STRUCT):
            fields = (f"({field!r}, {inner(kind)})" for field, kind in type_obj.fields)
            return f"STRUCT({', '.join(fields)})"
        return f"{name}()"

    # --- comparing -------------------------------------------------------------------------------

    def compare_type(self, inspector_column: Column[Any], metadata_column: Column[Any]) -> bool:
        """Whether the types would be written differently in DDL."""
        return not self._is_same(inspector_column.type, metadata_column.type)

    def _is_same(self, one: Any, other: Any) -> bool:
        if other is None:
            return False
        if isinstance(one, NullType) or isinstance(other, NullType):
            return True  # nobody knows
        process = self.dialect.type_compiler_instance.process
        return process(one).upper() == process(other).upper()

    def compare_server_default(
        self,
        inspector_column: Any,
        metadata_column: Any,
        rendered_metadata_default: str | None,
        rendered_inspector_default: str | None,
    ) -> bool:
        """Whether the defaults would be written differently in DDL."""
        compiler = cast("Any", self.dialect).ddl_compiler(self.dialect, None)
        wanted = compiler.get_column_default_string(metadata_column)
        found = compiler.get_column_default_string(inspector_column)
        return _plain(wanted) != _plain(found)

    def autogen_column_reflect(self, inspector: Any, table: Any, column_info: Any) -> None:
        """Ask how an identity column counts, where one is expected."""
        if "identity" in column_info or not self._expects_identity(table, column_info["name"]):
            return
        found = self.dialect.identities_of(  # type: ignore[attr-defined]
            inspector.bind, table.name, table.schema, info_cache=inspector.info_cache
        )
        if column_info["name"] in found:
            column_info["identity"] = found[column_info["name"]]

    def _expects_identity(self, table: Any, column: str) -> bool:
        metadata = self.context_opts.get("target_metadata")
        for one in metadata if isinstance(metadata, Sequence) else [metadata]:
            known = one.tables.get(table.key) if isinstance(one, MetaData) else None
            if known is not None and column in known.c and known.c[column].identity is not None:
                return True
        return False

    def correct_for_autogen_constraints(
        self,
        conn_uniques: set[Any],
        conn_indexes: set[Any],
        metadata_unique_constraints: set[Any],
        metadata_indexes: set[Any],
    ) -> None:
        """Compare unique indexes with the UNIQUE constraints that they are."""
        by_name = {item.name: item for item in conn_uniques if item.name}
        for index in list(metadata_indexes):
            constraint = by_name.get(index.name)
            if not index.unique:
                metadata_indexes.discard(index)
            elif constraint is not None and _column_names(constraint) == _column_names(index):
                metadata_indexes.discard(index)
                conn_uniques.discard(constraint)


def register() -> None:
    """Have Alembic use this implementation, whoever has registered another one since."""
    # Alembic takes note of a class when it is made.
    type("VinciImpl", (VinciImpl,), {"__dialect__": VinciImpl.__dialect__})


def table_name_of(dialect: Any, table: str, schema: str | None) -> str:
    """The name of a table, as SQL."""
    preparer = dialect.identifier_preparer
    prefix = "" if schema is None else preparer.quote_schema(schema) + "."
    return f"{prefix}{preparer.quote(table)}"


def _column_names(constraint: Any) -> list[str]:
    return [column.name for column in constraint.columns]


def _compiles(construct: Any) -> bool:
    return hasattr(construct, "compile")


def _plain(default: str | None) -> str | None:
    """A default in a form that can be compared: current_timestamp() is CURRENT_TIMESTAMP."""
    if default is None or "'" in default:
        return default
    return default.strip().removesuffix("()").casefold()


class _Statement(ExecutableDDLElement):
    """DDL that is rendered already."""

    def __init__(self, text: str) -> None:
        self.text = text


@compiles(_Statement)
def _render(element: _Statement, _: Any, **__: Any) -> str:
    return element.text


# --- DDL that Databricks words differently -------------------------------------------------------


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


# --- properties and clustering -------------------------------------------------------------------


class LayoutOp(ops.ExecuteSQLOp):
    """A statement that changes a table's properties or clustering, and the one that undoes it."""

    def __init__(self, table: str, schema: str | None, sqltext: str, undo: str) -> None:
        super().__init__(sqltext)
        self._table = table
        self._schema = schema
        self._undo = undo

    def reverse(self) -> LayoutOp:
        """The statement that undoes this one."""
        return LayoutOp(self._table, self._schema, self._undo, str(self.sqltext))

    def to_diff_tuple(self) -> tuple[Any, ...]:
        """What ``compare_metadata`` shows of it."""
        return ("alter_table_layout", self._schema, self._table, self.sqltext)


@comparators.dispatch_for("table", qualifier="databricks")
def _compare_layout(
    context: Any,
    changes: Any,
    schema: str | None,
    name: str,
    found: Table | None,
    wanted: Table | None,
) -> None:
    """Compare the properties and the clustering of a table that declares them."""
    if found is not None and wanted is not None:
        declared = wanted.dialect_kwargs
        properties = declared.get("databricks_tblproperties")
        cluster_by = declared.get("databricks_cluster_by")
        if properties is not None or cluster_by is not None:
            inspector = context.inspector
            details = context.dialect.details_of(
                inspector.bind, name, schema, info_cache=inspector.info_cache
            )
            table = table_name_of(context.dialect, name, schema)
            statements = [
                *_property_changes(
                    table, None if properties is None else table_properties(wanted), details
                ),
                *_cluster_changes(context.dialect, table, cluster_by, details),
            ]
            changes.ops += [LayoutOp(name, schema, *statement) for statement in statements]


def _property_changes(
    table: str, wanted: Mapping[str, str] | None, details: Details
) -> Iterator[tuple[str, str]]:
    """The statements that set and unset properties, each with the one that undoes it."""
    if wanted is None:
        return
    found = {**details.features, **details.properties}
    for key, value in wanted.items():
        before = found.get(key)
        if before == value or (key in details.features and value in _COLUMN_DEFAULTS[2]):
            continue
        undo = _unset(table, key) if before is None else _set(table, key, before)
        yield _set(table, key, value), undo
    for key, value in found.items():
        if key not in wanted and not key.lower().startswith("delta."):
            yield _unset(table, key), _set(table, key, value)


def _cluster_changes(
    dialect: Any, table: str, declared: Any, details: Details
) -> Iterator[tuple[str, str]]:
    """The statement that changes the clustering, with the one that undoes it."""
    if declared is None or str(declared).upper() == "AUTO":
        return
    compiler = dialect.ddl_compiler(dialect, None)
    wanted = compiler.cluster_clause(declared or "none")
    found = compiler.cluster_clause(list(details.cluster_by) or "none")
    if wanted.casefold() != found.casefold():
        yield f"ALTER TABLE {table} {wanted}", f"ALTER TABLE {table} {found}"


def _set(table: str, key: str, value: str) -> str:
    return f"ALTER TABLE {table} SET TBLPROPERTIES ({quote_text(key)} = {quote_text(value)})"


def _unset(table: str, key: str) -> str:
    return f"ALTER TABLE {table} UNSET TBLPROPERTIES IF EXISTS ({quote_text(key)})"
