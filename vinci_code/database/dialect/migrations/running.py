"""Runs the statements of a migration, and writes down which are done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alembic.ddl.base import AlterTable
from alembic.ddl.impl import DefaultImpl
from sqlalchemy import Connection, Table, text
from sqlalchemy.sql.ddl import ExecutableDDLElement
from sqlalchemy.sql.dml import UpdateBase

from vinci_code.database.dialect.dberrors import Error
from vinci_code.database.dialect.migrations.progress import (
    RevisionProgress,
    changes_rows,
    changes_tables,
)
from vinci_code.database.dialect.options import AT_ONCE
from vinci_code.database.dialect.sql.constructs import RenderedDDL, described
from vinci_code.database.dialect.text.scanning import DEFINITION, QUERY, StatementTraits

if TYPE_CHECKING:
    from vinci_code.database.dialect.sql.ddl import Script


class RunningImpl(DefaultImpl):
    """Runs statements one by one; or writes them, where SQL is asked for."""

    _progress: RevisionProgress | None = None

    def start_migrations(self) -> None:
        """Write down from here on which statements are done.

        Raises:
            PendingWritesError: The caller's unit of work has written something, which would be
                committed by the way; nothing was sent.
        """
        super().start_migrations()
        if self.connection is not None and not self.as_sql:
            try:
                _unit(self.connection).before_other("a migration")
            except Error as error:
                self.connection._handle_dbapi_exception(error, None, None, None, None)
            schema = self.context_opts.get("version_table_schema")
            self._progress = RevisionProgress(
                self.connection, self._name(self._version_table, schema)
            )

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
        if self.as_sql:
            return self._write_text(construct, multiparams, params)
        self._send_held()
        if self._progress is None:
            return super()._exec(_at_once(construct), *given)
        if isinstance(construct, UpdateBase) and self._is_version_table(construct):
            result = super()._exec(_at_once(construct), *given)
            self._progress.finish()
            return result
        return self._run_text(construct, given)

    def _send_held(self) -> None:
        """Send what the revision has written over ``op.get_bind()``, and is held.

        There is no transaction around a migration, and its next statement takes effect at once.
        """
        connection = self.connection
        # Of operations outside of a migration the unit of work is the caller's, and refuses them.
        if connection is None or self._progress is None or not _unit(connection).is_open:
            return
        opened: Any = connection.connection
        try:
            connection.dialect.do_commit(opened)
        except Error as error:
            connection._handle_dbapi_exception(error, None, None, None, None)

    def _write_text(self, construct: Any, multiparams: Any, params: Any) -> None:
        """Write a statement to the script, and every sign of its literals.

        Alembic's own writes four blanks for a tab.
        """
        if multiparams is not None or params:
            raise TypeError("SQL parameters not allowed with as_sql")
        statement = text(construct) if isinstance(construct, str) else construct
        options = {"literal_binds": True} if self.literal_binds else {}
        compiled = statement.compile(dialect=self.dialect, compile_kwargs=options)
        self.static_output(str(compiled).strip() + self.command_terminator)

    def _run_ddl(self, construct: ExecutableDDLElement) -> None:
        """Run the statements of a construct: a CHECK is a statement behind CREATE TABLE."""
        compiled: Any = construct.compile(dialect=self.dialect)
        script: Script = compiled.script
        # Of an application's own construct only the text is known.
        own = isinstance(construct, AlterTable) and type(construct).__module__.startswith(
            "alembic."
        )
        traits = DEFINITION if own else script.described
        for statement in script.all:
            self.run_statement(statement.strip(), traits)

    def run_statement(self, statement: str, traits: StatementTraits | None = DEFINITION) -> None:
        """Run a statement, unless the revision that was interrupted has run it.

        ``traits`` are ``None`` where only its text is known.
        """
        if self.as_sql:
            self.static_output(statement + self.command_terminator)
            return
        connection = self.connection
        assert connection is not None  # noqa: S101 - there is one unless SQL is written to a file
        self._send_held()
        rendered = RenderedDDL(statement, traits)
        if self._progress is None:
            connection.execute(rendered)
        else:
            self._progress.run(statement, lambda: connection.execute(rendered), repeatable=True)

    def _run_text(self, construct: Any, given: tuple[Any, ...]) -> Any:
        run = super()._exec
        if described(construct) == QUERY:
            return run(_at_once(construct), *given)
        sql = str(construct.compile(dialect=self.dialect) if _compiles(construct) else construct)
        writes = isinstance(construct, UpdateBase)
        tables = not writes and changes_tables(sql)
        if self._progress is None or not (writes or tables or changes_rows(sql)):
            return run(_at_once(construct), *given)
        return self._progress.run(sql, lambda: run(_at_once(construct), *given), repeatable=tables)

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

    def _quoted(self, name: str) -> str:
        return self.dialect.identifier_preparer.quote(name)

    def _name(self, table: str, schema: str | None) -> str:
        return table_name_of(self.dialect, table, schema)


def table_name_of(dialect: Any, table: str, schema: str | None) -> str:
    """The name of a table, as SQL."""
    preparer = dialect.identifier_preparer
    prefix = "" if schema is None else preparer.quote_schema(schema) + "."
    return f"{prefix}{preparer.quote(table)}"


def _unit(connection: Connection) -> Any:
    """The unit of work of a connection."""
    opened: Any = connection.connection.dbapi_connection
    return opened.unit


def _at_once(construct: Any) -> Any:
    """A statement that is sent when it is run, and not held.

    The statement says it, and not the connection, which is the application's to go on with.
    """
    statement = text(construct) if isinstance(construct, str) else construct
    return statement.execution_options(**{AT_ONCE: True})


def _compiles(construct: Any) -> bool:
    return hasattr(construct, "compile")
