"""The engine on the standby: SQLite, on which units of work go on while the warehouse is away.

What is executed on it runs on SQLite, and is held by a ``Shadow`` at the same time: by the dialect
for Databricks, on a connection that sends nothing. At COMMIT what is held is kept, in the very
transaction that writes the rows; so both are there, or neither. ROLLBACK and savepoints concern
both.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from sqlalchemy import create_engine
from sqlalchemy import types as sqltypes
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.base import (
    DATETIME,
    SQLiteCompiler,
    SQLiteExecutionContext,
    SQLiteIdentifierPreparer,
)
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.exc import CompileError, DBAPIError
from sqlalchemy.pool import QueuePool
from sqlalchemy.sql.elements import TextClause
from sqlalchemy.sql.selectable import TextualSelect

from vinci_code.database.dialect import dberrors
from vinci_code.database.dialect.sql.inserts import (
    InsertKeys,
    as_declared,
    executions,
    generated_key,
)
from vinci_code.database.dialect.sql.key_blocks import needing
from vinci_code.database.dialect.sql.tables_used import TablesUsed
from vinci_code.database.dialect.text.scanning import describe
from vinci_code.database.dialect.units import flushes
from vinci_code.database.dialect.units.held import Held, HeldText, bare_name, joined
from vinci_code.database.dialect.units.steps import refuse_duplicates
from vinci_code.database.dialect.units.unit import AUTOCOMMIT, LEVELS
from vinci_code.database.dialect.writes.shapes import Shape
from vinci_code.database.fallback.moments import (
    Moments,
    ShadowCompiler,
    begin_moment,
    presents,
    unknown_default,
    with_moments,
)
from vinci_code.database.fallback.parameters import WholeRows
from vinci_code.database.fallback.shadow import Shadow, shadow_engine

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

    from vinci_code.database.fallback.journal import Journal

Keep = Callable[["StandbyConnection", Sequence[Held]], int]
"""Keeps what a unit of work holds, within the transaction of a connection; gives its number."""

_NAME = "vinci_standby"
_LEVEL = "SERIALIZABLE"


class Reads(Protocol):
    """Says which tables the standby can answer for."""

    def require(self, tables: frozenset[str] | None) -> None:
        """Refuse to read tables that it cannot answer for; ``None`` for any.

        Raises:
            StandbyReadError: It cannot.
        """

    def knows(self, table: str) -> bool:
        """Whether it has the rows that a table has on the warehouse."""


def standby_engine(journal: Journal, online: Engine, keep: Keep, reads: Reads) -> Engine:
    """An engine on the file of the standby, in which the tables are.

    Nothing is asked of ``online``, the engine of the warehouse.
    """
    shadow = shadow_engine(online, ShadowCompiler)
    dialect: Any = shadow.dialect
    return create_engine(
        f"sqlite+{_NAME}://",
        creator=lambda: journal.connect(StandbyConnection),
        poolclass=QueuePool,
        shadow=shadow,
        keep=keep,
        journal=journal,
        reads=reads,
        echo=online.echo,
        hide_parameters=True,
        json_serializer=dialect._json_serializer,
        json_deserializer=dialect._json_deserializer,
    )


class StandbyConnection(sqlite3.Connection):
    """A connection with what the warehouse would hold of its transaction."""

    shadow: Shadow
    # Of all that it has changed since it was opened, what was before its transaction.
    _changes_before = 0
    # Keeps it in place of what keeps any unit.
    _instead: Callable[[], int] | None = None

    def begin(self) -> None:
        """Begin a transaction."""
        self.execute("BEGIN")
        self._changes_before = self.total_changes

    @property
    def has_changed(self) -> bool:
        """Whether its transaction has changed rows, so that nobody else can until it ends."""
        return self.total_changes > self._changes_before

    def keep(self, keep: Keep) -> int | None:
        """Keep what is held; returns its number, or ``None`` where nothing is."""
        if self._instead is not None:
            return self._instead()
        held = self.held()
        return keep(self, held) if held else None

    def held(self) -> list[Held]:
        """What is held, in as few writes as its order allows.

        Raises:
            IntegrityError: Rows of it have one key.
        """
        held = joined(self.shadow.held())
        refuse_duplicates(held)
        return held

    def keep_instead(self, keep: Callable[[], int]) -> None:
        """Have the unit of work that goes on kept by something else."""
        self._instead = keep

    def end(self) -> None:
        """Begin another unit."""
        self._instead = None
        self.shadow.end()

    @property
    def unit(self) -> Any:
        """The unit of work, where the dialect looks for that of its own connections."""
        return self.shadow.unit

    def close(self) -> None:
        """Close both."""
        try:
            if hasattr(self, "shadow"):
                self.shadow.close()
        finally:
            super().close()


class StandbyCompiler(WholeRows, Moments, InsertKeys, TablesUsed, SQLiteCompiler):  # type: ignore[misc]
    """Compiles for SQLite; the keys of new rows are made in the client, as for the warehouse.

    Attributes:
        is_known_insert: Whether each value of its rows was found to be known here.
    """

    is_known_insert = False

    def visit_insert(self, insert_stmt: Any, *args: Any, **kw: Any) -> str:
        """Render INSERT, with the present and a key where the database would make them."""
        statement = self.with_key(with_moments(insert_stmt))
        text: str = super().visit_insert(statement, *args, **kw)  # type: ignore[no-untyped-call]
        return text

    def for_update_clause(self, select: Any, **kw: Any) -> str:
        """Refuse it: what is written now is sent when others may have changed the rows.

        Raises:
            CompileError: It is FOR UPDATE.
        """
        raise CompileError(
            "while the warehouse is away, nobody can make sure that rows which are read FOR UPDATE "
            "stay as they are; nothing was read\nTo fix it: repeat the unit of work when the "
            "warehouse is back (`vinci fallback status`)."
        )

    def may_read(self, func: Any) -> bool:
        """Whether a function may read tables: SQLite has none that does."""
        return False


class StandbyDateTime(DATETIME):
    """A date and time, and an instant where ``timezone=True``: kept, and read, in UTC.

    SQLite's own drops the zone, and reads another instant, or none.
    """

    def bind_processor(self, dialect: Any) -> Any:
        """Bring an instant to UTC."""
        process: Any = super().bind_processor(dialect)
        if not self.timezone:
            return process

        def in_utc(value: Any) -> Any:
            if getattr(value, "tzinfo", None) is not None:
                value = value.astimezone(dt.timezone.utc).replace(tzinfo=None)
            return process(value)

        return in_utc

    def result_processor(self, dialect: Any, coltype: object) -> Any:
        """Give an instant, aware, in UTC."""
        process: Any = super().result_processor(dialect, coltype)
        if not self.timezone:
            return process

        def in_utc(value: Any) -> Any:
            found = process(value)
            return None if found is None else found.replace(tzinfo=dt.timezone.utc)

        return in_utc


class _BareNames(SQLiteIdentifierPreparer):
    """Names tables without their schemas, of which a SQLite file has none."""

    schema_for_object: Any = staticmethod(lambda _: None)


class StandbyContext(SQLiteExecutionContext):
    """One execution, of which the shadow holds what it writes."""

    @classmethod
    def _init_compiled(
        cls,
        dialect: Any,
        connection: Any,
        dbapi_connection: Any,
        execution_options: Any,
        compiled: Any,
        parameters: Any,
        *args: Any,
        **kw: Any,
    ) -> Any:
        """Make the execution of a compiled statement, with a present and keys of its own."""
        begin_moment()
        need = compiled.key_need(execution_options.get("schema_translate_map"), parameters)
        with nullcontext() if need is None else needing(need):
            return super()._init_compiled(
                dialect,
                connection,
                dbapi_connection,
                execution_options,
                compiled,
                parameters,
                *args,
                **kw,
            )

    def run(self, cursor: sqlite3.Cursor, execute: Callable[[], None]) -> None:
        """Run a statement on both; ``execute`` runs it on SQLite, by ``cursor``."""
        connection: Any = cursor.connection
        shadow: Shadow = connection.shadow
        if not (self.isinsert or self.isupdate or self.isdelete):
            self._require_read()
            execute()
            return
        self._require_known()
        mark = shadow.mark()
        try:
            compiled, parameters = self.compiled, self.compiled_parameters
            for statement, rows in executions(self.invoked_statement, compiled, parameters):
                shadow.hold(statement, rows, self.execution_options)
            execute()
            self._require_found(cursor)
        except BaseException:
            shadow.back_to(mark)
            raise

    @property
    def _is_raw(self) -> bool:
        """Whether it is a text of the application's own."""
        compiled: Any = self.compiled
        return compiled is None or isinstance(compiled.statement, (TextClause, TextualSelect))

    @property
    def _standby(self) -> StandbyDialect:
        dialect: StandbyDialect = self.dialect  # type: ignore[assignment]
        return dialect

    def _require_read(self) -> None:
        """Refuse what reads tables that are not known, and what is no SELECT."""
        compiled: Any = self.compiled
        if self.isddl or (self._is_raw and not describe(str(self.statement)).reads):
            _refuse("what is not known by its construct, or changes tables themselves, ")
        self._standby.reads.require(None if self._is_raw else compiled.tables_used)

    def _require_known(self) -> None:
        """Refuse a write whose effect depends on rows that are not here."""
        compiled: Any = self.compiled
        table = as_declared(getattr(compiled.compile_state, "dml_table", None))
        own = frozenset() if table is None else {bare_name(table)}
        if compiled.tables_used is None or compiled.tables_used - own:
            self._standby.reads.require(compiled.tables_used)
        if self.isinsert and not compiled.is_known_insert:
            self._require_insert(compiled, table)
            compiled.is_known_insert = True

    def _require_insert(self, compiled: Any, table: Any) -> None:
        # Not that of the compiler, which has its keys.
        statement: Any = self.invoked_statement
        if statement.select is not None and table is not None:
            column = generated_key(table)
            if column is not None and column.key not in (statement._select_names or ()):
                _refuse(f"INSERT … SELECT without {column}, whose keys would be made, ")
        known = {getattr(c, "key", c) for c in (statement._values or ())}
        known |= {c.key for c in compiled.insert_prefetch} | set(compiled.column_keys or ())
        known |= set(statement._select_names or ())
        if statement.select is None:
            known |= {column.key for column in presents(table)}
        for within in statement._multi_values:
            known |= {getattr(key, "key", key) for key in (within[0] if within else ())}
        if self._has_rows_within or statement.select is not None:
            for column in compiled.insert_prefetch:
                if getattr(column.default, "is_callable", False):
                    _refuse(f"values([…]) or a SELECT without {column}, which Python makes, ")
        unknown = unknown_default(table, known)
        if unknown is not None:
            _refuse(f"a row without {unknown}, whose value the warehouse would make, ")

    def _require_found(self, cursor: sqlite3.Cursor) -> None:
        """Refuse to change rows of a table that is not here, unless these are."""
        compiled: Any = self.compiled
        table = as_declared(getattr(compiled.compile_state, "dml_table", None))
        if self.isinsert:
            return
        if table is None:
            self._standby.reads.require(None)
            return
        if self._standby.reads.knows(bare_name(table)):
            return
        if flushes.is_flush(self.execution_options) and cursor.rowcount == len(self.parameters):
            return  # rows that were written since
        self._standby.reads.require(frozenset({bare_name(table)}))

    @property
    def _has_rows_within(self) -> bool:
        """Whether it is an INSERT of rows that stand in the statement."""
        state: Any = self.compiled.compile_state  # type: ignore[union-attr]
        return bool(self.isinsert and state.statement._multi_values)


class StandbyDialect(SQLiteDialect_pysqlite):
    """SQLite, as the warehouse is used.

    ``shadow`` is the engine of the shadows. What SQLAlchemy's own takes is taken too.

    Attributes:
        held_by: The dialect that holds what is written.
    """

    supports_statement_cache = True
    statement_compiler = StandbyCompiler
    execution_ctx_cls = StandbyContext
    preparer = _BareNames
    colspecs = {  # noqa: RUF012 - SQLAlchemy's form
        **SQLiteDialect_pysqlite.colspecs,
        sqltypes.DateTime: StandbyDateTime,
        sqltypes.TIMESTAMP: StandbyDateTime,
    }
    # What the warehouse has not: a statement that asks for it would fail there.
    insert_returning = False
    update_returning = False
    delete_returning = False
    use_insertmanyvalues = False

    def __init__(
        self,
        shadow: Any = None,
        keep: Any = None,
        journal: Any = None,
        reads: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.shadow: Engine = shadow
        self.held_by: Any = shadow.dialect
        self.reads: Reads = reads
        self._keep: Keep = keep
        self._journal: Journal = journal
        for name in ("insert_returning", "update_returning", "delete_returning"):
            setattr(self, name, False)

    def on_connect(self) -> Callable[[Any], None]:
        """Give each connection a shadow."""
        before = super().on_connect()

        def connected(connection: Any) -> None:
            if before is not None:
                before(connection)
            # SQLAlchemy says BEGIN, and nobody guesses it.
            connection.isolation_level = None
            connection.shadow = Shadow(self.shadow)

        return connected

    def get_isolation_level_values(self, dbapi_conn: Any) -> list[Any]:
        """All but AUTOCOMMIT, which has no unit of work that could be kept; SQLite has the last."""
        return [*(level for level in LEVELS if level != AUTOCOMMIT), _LEVEL]

    def set_isolation_level(self, dbapi_connection: Any, level: Any) -> None:
        """Any level is kept by SQLite's, which is stronger."""

    def do_begin(self, dbapi_connection: Any) -> None:
        """Begin a transaction."""
        dbapi_connection.begin()

    def do_commit(self, dbapi_connection: Any) -> None:
        """Keep what is held, and commit it with the rows, as a whole."""
        try:
            number = dbapi_connection.keep(self._keep)
        except dberrors.Error as error:
            raise as_raised(error, self.held_by) from error
        with self._journal.explained():
            super().do_commit(dbapi_connection)  # type: ignore[no-untyped-call]
        dbapi_connection.end()
        if number is not None:
            self._journal.acknowledged(number)

    def do_rollback(self, dbapi_connection: Any) -> None:
        """Drop both."""
        dbapi_connection.end()
        super().do_rollback(dbapi_connection)  # type: ignore[no-untyped-call]

    def do_savepoint(self, connection: Connection, name: str) -> None:
        """Mark a place in both."""
        super().do_savepoint(connection, name)  # type: ignore[no-untyped-call]
        shadow = _shadow(connection)
        self.held_by.do_savepoint(shadow.connection, name)

    def do_rollback_to_savepoint(self, connection: Connection, name: str) -> None:
        """Go back to it in both."""
        super().do_rollback_to_savepoint(connection, name)  # type: ignore[no-untyped-call]
        shadow = _shadow(connection)
        self.held_by.do_rollback_to_savepoint(shadow.connection, name)

    def do_release_savepoint(self, connection: Connection, name: str) -> None:
        """Forget it in both."""
        super().do_release_savepoint(connection, name)  # type: ignore[no-untyped-call]
        shadow = _shadow(connection)
        self.held_by.do_release_savepoint(shadow.connection, name)

    def do_execute(self, cursor: Any, statement: Any, parameters: Any, context: Any = None) -> None:
        """Run a statement on both."""
        run: Any = super().do_execute
        context.run(cursor, lambda: run(cursor, statement, parameters, context))

    def do_executemany(
        self, cursor: Any, statement: Any, parameters: Any, context: Any = None
    ) -> None:
        """Run a statement for each set of parameters on both."""
        run: Any = super().do_executemany
        context.run(cursor, lambda: run(cursor, statement, parameters, context))

    def do_execute_no_params(self, cursor: Any, statement: Any, context: Any = None) -> None:
        """Run a statement on both."""
        context.run(cursor, lambda: cursor.execute(statement))


def is_alike(some: Sequence[Held], others: Sequence[Held]) -> bool:
    """Whether writes are the same but for what objects were loaded with."""
    return len(some) == len(others) and all(map(_is_like, some, others))


registry.register(f"sqlite.{_NAME}", __name__, StandbyDialect.__name__)


def _shadow(connection: Connection) -> Shadow:
    opened: Any = connection.connection.dbapi_connection
    shadow: Shadow = opened.shadow
    return shadow


def _is_like(one: Held, other: Held) -> bool:
    if isinstance(one, HeldText) or isinstance(other, HeldText):
        return (
            isinstance(one, HeldText)
            and isinstance(other, HeldText)
            and (one.text, one.parameters) == (other.text, other.parameters)
        )
    own, width = _without_loaded(one.shape)
    theirs, their_width = _without_loaded(other.shape)
    return (
        own == theirs
        and one.upsert == other.upsert
        and one.checks == other.checks
        and len(one) == len(other)
        and all(
            tuple(a[:width]) == tuple(b[:their_width])
            for a, b in zip(one.rows, other.rows, strict=True)
        )
    )


def _without_loaded(shape: Shape) -> tuple[tuple[Any, ...], int]:
    """What a shape does, and how many values its rows have before those that were loaded."""
    width = min((item.first for item in shape.loaded), default=shape.width)
    alone = replace(shape, loaded=(), transports=shape.transports[:width])
    return alone.signature, width


def _refuse(what: str) -> NoReturn:
    raise as_raised(
        dberrors.NotSupportedError(
            f"while the warehouse is away, {what}cannot be kept until it is back; nothing was "
            "written\nTo fix it: write it as a construct of SQLAlchemy with values from Python, or "
            "run it when the warehouse is back (`vinci fallback status`)."
        )
    )


def as_raised(error: BaseException, dialect: Any = None) -> BaseException:
    """The error as SQLAlchemy's engines raise those of a database."""
    if not isinstance(error, dberrors.Error):
        return error
    made = DBAPIError.instance(
        None, None, error, dberrors.Error, hide_parameters=True, dialect=dialect
    )
    assert isinstance(made, DBAPIError)  # noqa: S101 - it is one of that base
    return made
