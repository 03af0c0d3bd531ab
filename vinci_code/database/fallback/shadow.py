"""What the dialect for Databricks would hold of each statement that runs on the standby.

A statement is compiled and executed by that very dialect, on a connection that can send nothing: so
a value that the warehouse would not take, or a write that could not be guarded, is refused here in
the same words, and what is held at the end is what the warehouse is to be sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, insert
from sqlalchemy.pool import NullPool

from vinci_code.database.dialect.dberrors import NotSupportedError
from vinci_code.database.dialect.options import UPSERT
from vinci_code.database.dialect.text.scanning import ANY_VIEW
from vinci_code.database.dialect.units.key_ranges import ReservedKeys

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

    from vinci_code.database.dialect.compiler import VinciCompiler
    from vinci_code.database.dialect.driver.announcing import UnitOfWork
    from vinci_code.database.dialect.units.held import Held, HeldMark
    from vinci_code.database.dialect.units.unit import Unit

# What says how a connection or a result is used, and nothing of what a statement means.
_OF_CONNECTIONS = frozenset(
    {"isolation_level", "logging_token", "max_row_buffer", "stream_results", "yield_per"}
)


class Shadow:
    """The unit of work of one connection of the standby, as the warehouse would see it.

    Its engine is what ``shadow_engine`` has made.
    """

    def __init__(self, engine: Engine) -> None:
        self._connection: Connection = engine.connect()
        opened: Any = self._connection.connection.dbapi_connection
        self.unit: Unit = opened.unit
        self.unit.is_for_later = True
        self._is_used = False

    @property
    def connection(self) -> Connection:
        """The connection, for savepoints."""
        self._is_used = True
        return self._connection

    def hold(
        self, statement: Any, rows: Sequence[Mapping[str, Any]], options: Mapping[str, Any]
    ) -> None:
        """Hold what a statement writes, with the execution options that it has on the standby.

        Raises:
            DBAPIError: The warehouse would refuse it.
            CompileError: The same.
        """
        self._is_used = True
        kept = {name: value for name, value in options.items() if name not in _OF_CONNECTIONS}
        if UPSERT in kept:
            # That says what becomes of rows that are there, and not ON CONFLICT.
            values, statement = statement._values, insert(statement.table)
            statement._values = values
        self._connection.execute(statement, list(rows), execution_options=kept).close()

    def mark(self) -> HeldMark:
        """The place where it is now."""
        return self.unit.held.mark()

    def back_to(self, mark: HeldMark) -> None:
        """Drop what was held since: the standby has refused it."""
        self.unit.held.back_to(mark)

    def held(self) -> list[Held]:
        """What the unit holds, in order."""
        return list(self.unit.held)

    def end(self) -> None:
        """Begin another unit, where one has begun.

        The transaction of SQLAlchemy's connection stays: nothing asks for it, and to end and to
        begin it took a tenth of what a unit of one row costs.
        """
        if self._is_used:
            self.unit.rollback()
            self._is_used = False

    def close(self) -> None:
        """End it for good."""
        self._connection.close()


def shadow_engine(online: Engine, compiler: type[VinciCompiler]) -> Engine:
    """An engine like the one of the warehouse, whose connections send nothing."""
    dialect: Any = online.dialect
    engine = create_engine(
        online.url,
        creator=_Unreachable,
        poolclass=NullPool,
        # No question is asked for it: it is known when the warehouse is back.
        transactions="off" if dialect.transactions == "off" else "auto",
        atomicity=dialect.atomicity,
        enforce_keys=dialect.enforce_keys,
        enforce_foreign_keys=dialect.enforce_foreign_keys,
        compare_and_set=dialect.compare_and_set,
        hide_keys=dialect.hide_keys,
        case_sensitive_like=dialect.case_sensitive_like,
        json_serializer=dialect._json_serializer,
        json_deserializer=dialect._json_deserializer,
        hide_parameters=True,
        keys=dialect.keys,
    )
    shadow: Any = engine.dialect
    shadow.key_ranges = ReservedKeys(dialect.key_ranges)
    shadow.announcer = _Nobody()
    engine.dialect.statement_compiler = compiler
    return engine


class _Nobody:
    """Is told of units that are held here alone, which are told of when they are sent."""

    def unit_begins(self, unit: UnitOfWork) -> None:
        """Nothing begins."""

    def unit_ends(self, unit: UnitOfWork, of: Callable[[], str]) -> None:
        """Nothing ends."""


class _Unreachable:
    """A connection of the DB-API module that has no warehouse behind it."""

    autocommit = False
    closed = False
    in_transaction = False
    initial_schema = "default"
    is_as_found = True
    is_foreign = False
    session_changed = False
    # Nobody can be asked which names are views.
    temporary_views = frozenset({ANY_VIEW})

    def cursor(self) -> _Nowhere:
        """A cursor that runs nothing."""
        return _Nowhere(self)

    def begin_use(self) -> None:
        """Nothing was changed before."""

    def observe(self, observer: object) -> None:
        """Nothing is sent that could be told of."""

    def require_transaction(self) -> None:
        """There is none to be lost."""

    def commit(self) -> None:
        """Nothing was sent."""

    rollback = close = commit


class _Nowhere:
    """A cursor on which writes are held."""

    arraysize = 1
    description = None
    query_tags: Mapping[str, str] = {}
    timeout = None

    def __init__(self, connection: _Unreachable) -> None:
        self.connection = connection
        self.rowcount = -1

    def execute(self, *_: Any, **__: Any) -> None:
        """Refuse what cannot be held.

        Raises:
            NotSupportedError: Always.
        """
        raise NotSupportedError(
            "the warehouse is away, and this statement can only be run by it, at once; nothing was "
            "written\nTo fix it: run it when the warehouse is back (`vinci fallback status`)."
        )

    def close(self) -> None:
        """There is nothing to be closed."""
