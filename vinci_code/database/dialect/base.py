"""The dialect ``databricks+vinci``: Databricks SQL for SQLAlchemy, over the vendor's driver.

Connecting::

    create_engine(
        "databricks+vinci://HOST?http_path=/sql/1.0/warehouses/ID&catalog=main&schema=default",
        connect_args={"access_token": …},  # and whatever else databricks.sql.connect() takes
    )

Arguments of ``create_engine``:

``transactions``
    Whether tables are made with catalog commits, which let transactions write to them: ``"auto"``
    (the default) where the workspace takes it, ``"on"``, ``"off"``.
``case_sensitive_like``
    Whether ``like()``, ``contains()`` and ``startswith()`` tell ``a`` from ``A``. SQLite does not,
    unless a pragma of this name is set, so neither does this dialect; ``ilike()`` never does.
``json_serializer``, ``json_deserializer``
    As in SQLAlchemy's other dialects; ``json.dumps`` and ``json.loads`` by default.
``atomicity``
    What a unit of work is that takes more than one statement, where there are no transactions:
    ``"unit"`` (the default) refuses it before the first write, ``"per_table"`` sends one statement
    after the other and raises ``PartialCommitError`` if one fails in the middle.
``enforce_keys``
    Whether a statement that writes checks PRIMARY KEY and UNIQUE, which Databricks does not, and
    fails with ``IntegrityError``. ``execution_options(enforce_keys=False)`` switches it off for one
    statement, ``guards`` says what it can promise while others write.
``enforce_foreign_keys``
    Whether it checks FOREIGN KEY too, as SQLite does with ``PRAGMA foreign_keys=ON``; there is no
    ON DELETE CASCADE. Off by default.
``hide_keys``
    Whether ``IntegrityError``, ``StaleDataError`` and ``ConflictError`` leave out the values of the
    key that they are about (off by default), as ``hide_parameters`` does with the parameters of a
    statement. They name the constraint, or the table, then. What the warehouse itself says of a
    CHECK constraint has the values of its columns all the same.
``compare_and_set``
    Whether a flush makes sure that the columns that it changes still hold what the object was
    loaded with, and fails with ``StaleDataError`` where somebody else has changed them. On by
    default; ``__compare_and_set__ = False`` in a mapped class switches it off for that class, and
    ``loaded`` says what is left out.
``history_timeout``
    Seconds that the warehouse's query history is asked what became of a commit whose answer was
    lost (30); 0 does not ask it. It takes that long only where the history does not show the
    commit. Whoever connects needs no more than to see the own statements there; ``recovery`` has
    the rule.
``held_read_bytes``
    How many bytes of held rows a SELECT brings along, so that it sees them (500,000). With more,
    and always with 0, what is held is sent within a transaction instead.
``check_at``
    When the ORM's writes are checked: ``"commit"`` (the default), or ``"flush"``, for applications
    that catch ``IntegrityError`` there: each flush that writes asks the warehouse once, and the
    commit checks again. The release of a savepoint checks in any case.
``keys``
    How the integer keys are made that SQLite would give out: ``"time_ordered"`` (the default), with
    63 bits and no question to the warehouse; or ``"blocks"``, small ones, of which a process
    reserves ranges on the warehouse (``key_ranges``). ``databricks_keys=`` of a ``Table`` says it
    for one table.
``keys_block_size``
    How many keys the first range of a table has that a process reserves (1,000). Each further one
    is twice as long, up to 64 times as long as the first.
``volume``
    The volume that ``load()`` stages files in, ``catalog.schema.volume`` or its path.
``query_tags``
    Query tags of all that is sent, names with values; ``listeners`` and ``query_tags`` say more.
``slow_statement``
    Seconds above which a statement, and a unit of work, is logged at WARNING; never by default.
``on_progress``
    A function that is called with a ``statistics.Progress`` after each statement of a commit.

Execution options, of a statement, a connection or an engine:

``databricks_timeout``
    Seconds after which a statement is cancelled on the warehouse, and ``StatementTimeout`` raised;
    fetching more of its rows has as long. ``None`` lets it run. Without the option, the connect
    argument ``timeout`` counts, which is never by default. A write that is held is sent by the
    commit, for which ``timeout`` counts alone. Other dialects take no notice of it::

        connection.execute(select(Event).execution_options(databricks_timeout=5))
        with engine.connect().execution_options(databricks_timeout=5) as connection: …

``query_tags``
    Query tags of a statement, of a unit of work, or of all statements of an engine. Those of a
    write that is held go with the commit. ``Session.info["query_tags"]`` has those of a session.

Units of work: INSERT, UPDATE and DELETE are held until the commit, which sends all of them as one
statement, or as one ``BEGIN ATOMIC … END``; errors of a write, such as ``IntegrityError``, are
raised by the commit. A rollback sends nothing. A SELECT on tables with held writes brings these
along (``laid_over``), or begins a transaction where that would not be the same for certain.
``isolation_level="REPEATABLE READ"`` begins one with the first statement of each unit,
``"AUTOCOMMIT"`` holds nothing. The default is called ``"READ COMMITTED"``.

Arguments of ``Table``:

``databricks_cluster_by=["column", …]``, or ``"auto"``
    Liquid clustering.
``databricks_partition_by=["column", …]``
    Partitions.
``databricks_tblproperties={"name": "value"}``
    Table properties. Those that a table needs, for defaults and for names with spaces, are added.

``databricks_keys="blocks"``, or ``"time_ordered"``
    How its keys are made, where that is not as the argument ``keys`` of the engine says.

Keys: a row of a table whose primary key SQLite would give out gets a key that is made in the
client, and is known after the flush, also where it is declared ``Identity()``;
``Identity(always=True)`` has the warehouse number the rows.

Types: ``Integer`` and its kin have 64 bits, ``Float`` is a DOUBLE, ``Numeric`` without a precision
DECIMAL(38, 18), ``String`` of any length STRING, ``DateTime`` a TIMESTAMP_NTZ and with
``timezone=True`` a TIMESTAMP; JSON, ``Uuid``, ``Time`` and ``Enum`` are kept as text.

RETURNING is answered from what is held, and FOR UPDATE made sure of by the commit (``locks``). What
else Databricks lacks, CREATE INDEX, ON CONFLICT, sequences, is refused when a statement is
compiled, with a message that names the alternative.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

from sqlalchemy import event, exc, schema
from sqlalchemy.dialects import registry
from sqlalchemy.engine import URL, ExceptionContext, default

from vinci_code.core.redaction import redact_exception
from vinci_code.database.dialect import cursor_events, selfcheck, unit_tags
from vinci_code.database.dialect.compiler import VinciCompiler
from vinci_code.database.dialect.context import VinciExecutionContext
from vinci_code.database.dialect.dberrors import ConnectionLostError, Error
from vinci_code.database.dialect.driver import connecting, pooling, query_history, urls
from vinci_code.database.dialect.driver.pooling import SessionPool, look_after
from vinci_code.database.dialect.driver.query_tags import checked_tags
from vinci_code.database.dialect.driver.volume_names import FORM, volume_path
from vinci_code.database.dialect.forking import renew_lock_in_child
from vinci_code.database.dialect.listeners import Announcer
from vinci_code.database.dialect.reflection import spelling
from vinci_code.database.dialect.reflection.inspection import ReflectionMixin
from vinci_code.database.dialect.sql.ddl import VinciDDLCompiler
from vinci_code.database.dialect.sql.identifiers import VinciIdentifierPreparer
from vinci_code.database.dialect.sql.key_blocks import KINDS, TIME_ORDERED
from vinci_code.database.dialect.sql.views import KnownViews
from vinci_code.database.dialect.types import COLSPECS
from vinci_code.database.dialect.types.typecompiler import VinciTypeCompiler
from vinci_code.database.dialect.units import flushed_keys, flushes, loaded
from vinci_code.database.dialect.units import unit as units
from vinci_code.database.dialect.units.key_ranges import BLOCK_SIZE, KeyRanges, ReservedKeys
from vinci_code.database.dialect.units.statistics import Counter, OnProgress, Progress

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine
    from sqlalchemy.engine.interfaces import (
        ConnectArgsType,
        DBAPIConnection,
        DBAPICursor,
        Dialect,
    )
    from sqlalchemy.pool import Pool

_TRANSACTIONS = ("auto", "on", "off")
_ATOMICITY = ("unit", "per_table")
_CHECK_AT = ("commit", "flush")
_lock = threading.RLock()
renew_lock_in_child(sys.modules[__name__])


class VinciDialect(ReflectionMixin, default.DefaultDialect):  # type: ignore[misc]
    """Databricks SQL, over the vendor's driver."""

    name = "databricks"
    driver = "vinci"
    default_paramstyle = "qmark"
    supports_statement_cache = True
    max_identifier_length = 255

    statement_compiler = VinciCompiler
    ddl_compiler = VinciDDLCompiler
    type_compiler_cls = VinciTypeCompiler
    preparer = VinciIdentifierPreparer  # type: ignore[assignment]
    execution_ctx_cls = VinciExecutionContext
    colspecs = COLSPECS
    construct_arguments = [  # noqa: RUF012 - declared by SQLAlchemy
        (
            schema.Table,
            {"cluster_by": None, "keys": None, "partition_by": None, "tblproperties": None},
        )
    ]

    # What the warehouse has.
    supports_alter = True
    supports_schemas = True
    supports_views = True
    supports_comments = True
    inline_comments = True
    supports_identity_columns = True
    supports_native_boolean = True
    supports_native_decimal = True
    supports_multivalues_insert = True
    supports_is_distinct_from = True
    cte_follows_insert = True
    # Rendered by the compiler as a row of DEFAULT.
    supports_default_values = True

    # What it lacks.
    supports_native_enum = False
    supports_native_uuid = False
    supports_sequences = False
    supports_empty_insert = False
    supports_for_update_of = False
    postfetch_lastrowid = False
    use_insertmanyvalues = False
    supports_server_side_cursors = False

    # Of a write that is held: what it gives is known, or read, before anything is sent.
    insert_returning = True
    insert_executemany_returning = True
    insert_executemany_returning_sort_by_parameter_order = True
    # ``returning()`` is possible with these, too. For synchronize_session="fetch" the ORM asks by a
    # SELECT then, which may have any condition.
    update_returning = False
    delete_returning = False

    # What is held counts as matched: the statement that sends it fails where it is not.
    supports_sane_rowcount = True
    supports_sane_multi_rowcount = True

    # 7 / 2 is 3.5 there; ``//`` and ``%`` are rendered by the compiler.
    div_is_floordiv = False

    def __init__(
        self,
        transactions: str = "auto",
        case_sensitive_like: bool = False,
        json_serializer: Callable[[Any], str] | None = None,
        json_deserializer: Callable[[str], Any] | None = None,
        atomicity: str = "unit",
        enforce_keys: bool = True,
        enforce_foreign_keys: bool = False,
        hide_keys: bool = False,
        compare_and_set: bool = True,
        on_progress: OnProgress | None = None,
        history_timeout: float = query_history.TIMEOUT,
        held_read_bytes: int = 500_000,
        check_at: str = "commit",
        keys: str = TIME_ORDERED,
        keys_block_size: int = BLOCK_SIZE,
        volume: str | None = None,
        query_tags: Mapping[str, str] | None = None,
        slow_statement: float | None = None,
        **kwargs: Any,
    ) -> None:
        if transactions not in _TRANSACTIONS:
            raise exc.ArgumentError(
                f"transactions={transactions!r}: it is one of {', '.join(map(repr, _TRANSACTIONS))}"
            )
        if atomicity not in _ATOMICITY:
            raise exc.ArgumentError(
                f"atomicity={atomicity!r}: it is one of {', '.join(map(repr, _ATOMICITY))}"
            )
        if check_at not in _CHECK_AT:
            raise exc.ArgumentError(
                f"check_at={check_at!r}: it is one of {', '.join(map(repr, _CHECK_AT))}"
            )
        if keys not in KINDS:
            raise exc.ArgumentError(f"keys={keys!r}: it is one of {', '.join(map(repr, KINDS))}")
        if type(keys_block_size) is not int or keys_block_size < 1:
            raise exc.ArgumentError(
                f"keys_block_size={keys_block_size!r}: it is a number of keys, 1 or more"
            )
        if volume is not None and volume_path(volume) is None:
            raise exc.ArgumentError(f"volume={volume!r} names no volume; wanted is {FORM}")
        slow = connecting.checked_seconds("slow_statement", slow_statement)
        try:
            self.query_tags = checked_tags(query_tags or {})
        except Error as error:
            raise exc.ArgumentError(str(error)) from error
        waited = connecting.checked_seconds("history_timeout", history_timeout)
        super().__init__(**kwargs)
        self.history_timeout = waited or 0.0
        # Keeps what could not be sent, where somebody does.
        self.unsent: units.Unsent | None = None
        self.before_commit: units.BeforeCommit | None = None
        # The dialect that holds what is written on a connection, for whoever listens to mappers.
        self.held_by = self
        self.atomicity = atomicity
        self.enforce_keys = enforce_keys
        self.enforce_foreign_keys = enforce_foreign_keys
        self.hide_keys = hide_keys
        self.compare_and_set = compare_and_set
        # What is checked of a mapped class, by its mapper.
        self.loaded_plans: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
        self.on_progress = on_progress
        if held_read_bytes < 0:
            raise exc.ArgumentError(
                f"held_read_bytes={held_read_bytes!r}: it is a number of bytes, 0 or more"
            )
        self.held_read_bytes = held_read_bytes
        self.check_at = check_at
        self.keys = keys
        self.volume = volume
        self.key_ranges: KeyRanges | ReservedKeys = KeyRanges(keys_block_size)
        self.statistics = Counter()
        self.announcer = Announcer(self.statistics, slow)
        self.views = KnownViews()
        self.transactions = transactions
        self.case_sensitive_like = case_sensitive_like
        self._json_serializer = json_serializer
        self._json_deserializer = json_deserializer
        # Whether the workspace takes the property; taken for granted until it refuses.
        self.catalog_commits = transactions != "off"
        # The indexes that the CREATE TABLE of their tables has dealt with.
        self.settled_indexes: WeakSet[schema.Index] = WeakSet()
        # The foreign keys whose ON DELETE and ON UPDATE were reported to have no effect.
        self.reported_actions: WeakSet[schema.ForeignKeyConstraint] = WeakSet()
        # Those that were reported to be left out.
        self.reported_keys: WeakSet[schema.ForeignKeyConstraint] = WeakSet()

    @classmethod
    def import_dbapi(cls) -> ModuleType:
        """Import the DB-API module over the driver."""
        from vinci_code.database.dialect.driver import dbapi

        return dbapi

    @classmethod
    def get_async_dialect_cls(cls, url: URL) -> type[Dialect]:  # noqa: ARG003 - asked by SQLAlchemy
        """Have ``create_async_engine("databricks+vinci://…")`` take the dialect for asyncio."""
        # By its name: it inherits from this one.
        found: type[Dialect] = registry.load("databricks.vinci_async")
        return found

    @classmethod
    def get_pool_class(cls, url: URL) -> type[Pool]:  # noqa: ARG003 - asked by SQLAlchemy
        """Use a pool that gives idle sessions back, and shows no connect arguments."""
        return SessionPool

    @classmethod
    def engine_created(cls, engine: Engine) -> None:
        """Take a token that was given in the URL out of it; the connect arguments have it."""
        # One by one: the check maps a class for a moment, which who listens to mappers would meet.
        with _lock:
            flushed_keys.listen()
            flushes.listen()
            loaded.listen()
            spelling.listen()
            unit_tags.listen()
            selfcheck.check(engine.dialect)
        cursor_events.attach(engine)
        engine.dialect.announcer.attach(engine)  # type: ignore[attr-defined]
        pooling.require_reset(engine)
        look_after(engine)
        engine.dialect.key_ranges.attach(engine)  # type: ignore[attr-defined]
        engine.url = urls.without_credentials(engine.url)

    def create_connect_args(self, url: URL) -> ConnectArgsType:
        """Take the driver's arguments out of a URL."""
        arguments = urls.create_connect_args(url)
        self.default_schema_name = connecting.initial_schema(arguments)
        return [], arguments

    def initialize(self, connection: Connection) -> None:
        """Ask the warehouse nothing, unless it has to have transactions.

        What it was connected with tells all that is needed.

        Raises:
            NotSupportedError: It has none, and ``transactions="on"`` wants them.
        """
        self.default_isolation_level = units.DEFAULT  # type: ignore[assignment]
        opened: Any = connection.connection.dbapi_connection
        self.default_schema_name = opened.initial_schema
        if self.transactions == "on":
            self.run_on(opened, _unit(opened).require_transactions)

    # --- connections ----------------------------------------------------------------------------

    def is_disconnect(self, e: Exception, connection: Any, cursor: Any) -> bool:
        """Whether an error says that the session is gone."""
        return isinstance(e, ConnectionLostError)

    def do_ping(self, dbapi_connection: DBAPIConnection) -> bool:
        """Send nothing: a session that is gone is found out, and replaced, when it is used."""
        return True

    def on_connect(self) -> Callable[[Any], None]:
        """Give each connection a unit of work."""

        def connected(dbapi_connection: Any) -> None:
            dbapi_connection.unit = units.Unit(dbapi_connection, self)
            dbapi_connection.observe(self.announcer)

        return connected

    def get_isolation_level_values(self, dbapi_conn: DBAPIConnection) -> Sequence[Any]:
        """The levels that can be asked for."""
        return list(units.LEVELS)

    def get_isolation_level(self, dbapi_connection: DBAPIConnection) -> Any:
        """The level of a connection."""
        return _unit(dbapi_connection).level

    def get_default_isolation_level(self, dbapi_conn: DBAPIConnection) -> Any:
        """The level of a new connection."""
        return units.DEFAULT

    def set_isolation_level(self, dbapi_connection: DBAPIConnection, level: Any) -> None:
        """Set the level, which needs no statement."""
        _unit(dbapi_connection).level = level

    def reset_isolation_level(self, dbapi_conn: DBAPIConnection) -> None:
        """Set the level that connections of this engine begin with.

        SQLAlchemy's own asserts that it is AUTOCOMMIT or the default of the warehouse.
        """
        level = self._on_connect_isolation_level or units.DEFAULT
        self._assert_and_set_isolation_level(dbapi_conn, level)  # type: ignore[no-untyped-call]

    def detect_autocommit_setting(self, dbapi_conn: DBAPIConnection) -> bool:
        """Whether a connection holds nothing."""
        return _unit(dbapi_conn).level == units.AUTOCOMMIT

    # --- units of work --------------------------------------------------------------------------

    def run_on(self, dbapi_connection: Any, work: Callable[[], Any]) -> Any:
        """What some work on a connection gives, which may wait for the warehouse."""
        return work()

    def do_commit(self, dbapi_connection: Any) -> None:
        """Send what is held, as a whole."""
        self.run_on(dbapi_connection, _unit(dbapi_connection).commit)

    def do_rollback(self, dbapi_connection: Any) -> None:
        """Drop what is held; nothing is sent unless a transaction was begun."""
        self.run_on(dbapi_connection, _unit(dbapi_connection).rollback)

    def do_savepoint(self, connection: Connection, name: str) -> None:
        """Mark a place in what is held."""
        opened: Any = connection.connection.dbapi_connection
        try:
            self.run_on(opened, partial(_unit(opened).savepoint, name))
        except Error as error:
            # SQLAlchemy makes its own of what cursors and commits raise, and not of this.
            connection._handle_dbapi_exception(error, None, None, None, None)

    def do_rollback_to_savepoint(self, connection: Connection, name: str) -> None:
        """Drop what was held since."""
        opened: Any = connection.connection.dbapi_connection
        try:
            self.run_on(opened, partial(_unit(opened).rollback_to, name))
        except Error as error:
            connection._handle_dbapi_exception(error, None, None, None, None)

    def do_release_savepoint(self, connection: Connection, name: str) -> None:
        """Forget the mark."""
        opened: Any = connection.connection.dbapi_connection
        try:
            self.run_on(opened, partial(_unit(opened).release, name))
        except Error as error:
            connection._handle_dbapi_exception(error, None, None, None, None)

    def tell(self, progress: Progress) -> None:
        """Tell how far the sending of a unit of work has come."""
        if self.on_progress is not None:
            self.on_progress(progress)

    # --- statements -----------------------------------------------------------------------------

    def do_execute(
        self, cursor: DBAPICursor, statement: str, parameters: Any, context: Any = None
    ) -> None:
        """Run a statement, or hold it; of DDL run each of the statements that it is."""
        if context is not None:
            context.run(cursor, statement, [parameters])
        else:
            cursor.execute(statement, parameters)

    def do_executemany(
        self, cursor: DBAPICursor, statement: str, parameters: Any, context: Any = None
    ) -> None:
        """Run a statement for each set of parameters, or hold all of them."""
        if context is not None:
            context.run(cursor, statement, parameters)
        else:
            cursor.executemany(statement, parameters)

    def wants_catalog_commits(self, table: schema.Table) -> bool:
        """Whether a table is to be made so that transactions can write to it.

        Identity columns rule that out: Delta numbers rows one transaction at a time.
        """
        return self.catalog_commits and not any(
            column.identity is not None for column in table.columns
        )


@event.listens_for(VinciDialect, "handle_error")
def _mask_error(context: ExceptionContext) -> None:
    """Mask the text that SQLAlchemy wraps an error in: the statement stands in it."""
    if context.sqlalchemy_exception is not None:
        redact_exception(context.sqlalchemy_exception)


def _unit(dbapi_connection: Any) -> units.Unit:
    unit: units.Unit = dbapi_connection.unit
    return unit
