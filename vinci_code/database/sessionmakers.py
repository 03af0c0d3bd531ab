"""Sessions on whichever database the configuration chooses, for the tables of any application.

Nothing is opened by making a sessionmaker: settings, engine and file come into being when the first
session is made, or the engine is asked for.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar, cast, overload

from sqlalchemy import Engine, MetaData, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from vinci_code.core.config import DatabaseSettings, Settings, get_settings
from vinci_code.database.dialect.forking import in_child
from vinci_code.database.engines import create_configured_engine

if TYPE_CHECKING:
    from sqlalchemy.engine import ExceptionContext

    from vinci_code.database.fallback import DatabaseState, Fallback
    from vinci_code.database.fallback.records import Entry
    from vinci_code.database.fallback.replay import OnParked

_S = TypeVar("_S", bound=Session)
_log = logging.getLogger(__name__)

Migrate = str | PathLike[str] | Callable[[Engine], object]
"""An ``alembic.ini``, or what makes tables with the engine that it is given."""


class HasMetadata(Protocol):
    """A class of SQLAlchemy's that models inherit from."""

    @property
    def metadata(self) -> MetaData:
        """The tables of its models."""


class Tables(Protocol):
    """The tables of an application, as its sessions need them."""

    def metadata(self) -> MetaData:
        """What they are."""

    def make(self, engine: Engine) -> None:
        """Make those that are not there, on SQLite, or bring them to the newest revision."""

    def require(self, engine: Engine) -> None:
        """Make sure that the warehouse has them, changing nothing.

        Raises:
            MigrationsPendingError: It has not.
        """


@overload
def create_configured_sessionmaker(
    base: HasMetadata | MetaData,
    *,
    migrate: Migrate | None = ...,
    check: Callable[[Engine], object] | None = ...,
    on_parked: OnParked | None = ...,
    class_: type[_S],
    **options: Any,
) -> ConfiguredSessionmaker[_S]: ...


@overload
def create_configured_sessionmaker(
    base: HasMetadata | MetaData,
    *,
    migrate: Migrate | None = ...,
    check: Callable[[Engine], object] | None = ...,
    on_parked: OnParked | None = ...,
    **options: Any,
) -> ConfiguredSessionmaker[Session]: ...


def create_configured_sessionmaker(
    base: HasMetadata | MetaData,
    *,
    migrate: Migrate | None = None,
    check: Callable[[Engine], object] | None = None,
    on_parked: OnParked | None = None,
    class_: type[Any] = Session,
    **options: Any,
) -> ConfiguredSessionmaker[Any]:
    """Make a ``sessionmaker`` for tables of one's own, on the database that the settings choose.

    ::

        Session = create_configured_sessionmaker(Base, migrate="alembic.ini")

        with Session.begin() as session:
            session.add(Order(customer="Ada"))

    Nothing is opened by the call. The first session makes the engine; after ``reload_settings()``
    the next one makes another. With ``DATABRICKS_FALLBACK=sqlite`` units of work go on locally
    while the warehouse is away.

    Args:
        base: The class that the models inherit from, or their ``MetaData``.
        migrate: How the tables come into being on SQLite, at the first use, and in the standby of
            the fallback. The path of an ``alembic.ini``: its pending revisions are applied; on
            Databricks they are never applied by themselves, and the tables have to be at its heads.
            A callable: it is called with the engine; on Databricks it never is. ``None``: what is
            missing is created as the models have it, and nothing is asked of Databricks.
        check: Is called with the engine on Databricks, before its first use, in place of what
            ``migrate`` would ask; what it raises is raised.
        on_parked: Is called with each unit of work that cannot arrive after an outage, and why.
        class_: The class of the sessions.
        **options: What ``sessionmaker`` takes. ``expire_on_commit`` is false unless it is given:
            objects would be read again after a commit, by a statement for each.
    """
    metadata = base if isinstance(base, MetaData) else base.metadata
    options.setdefault("expire_on_commit", False)
    made: ConfiguredSessionmaker[Any] = ConfiguredSessionmaker(
        _tables(metadata, migrate, check), class_=class_, **options
    )
    made.on_parked = on_parked
    return made


class ConfiguredSessionmaker(sessionmaker[_S]):
    """A ``sessionmaker`` that finds its engine when a session is made.

    Attributes:
        on_parked: Is called with each unit of work that cannot arrive, and why, in the process that
            sends what waits. What it raises is logged, and stops nothing.
    """

    def __init__(self, tables: Tables, **options: Any) -> None:
        super().__init__(**options)
        self.on_parked: OnParked | None = None
        self._holder = _EngineHolder(tables, self._tell_of_parked)

    def __call__(self, **local_kw: Any) -> _S:
        """Make a session; ``bind=`` gives it an engine of the caller's."""
        # Not even created where the caller brings an engine: it might be a file that nobody wants.
        if self.kw.get("bind") is None and "bind" not in local_kw:
            made = self._holder.get(get_settings())
            local_kw["bind"] = made.engine
            if made.fallback is not None:
                return self._routed(made.fallback, local_kw)
        return super().__call__(**local_kw)

    @property
    def engine(self) -> Engine:
        """The engine of this process; it is created where it is not there.

        Raises:
            ConfigurationError: The configuration cannot be used.
            DatabaseFileError: The SQLite file cannot be used.
            FallbackFileError: The file of the fallback cannot be used.
            MigrationsPendingError: Databricks has not the tables; names the command.
            SchemaError: The migrations cannot be applied.
        """
        return self._holder.get(get_settings()).engine

    @property
    def fallback(self) -> Fallback | None:
        """The fallback of this process, for schedulers; ``None`` where there is none.

        Raises:
            Exception: What ``engine`` raises.
        """
        return self._holder.get(get_settings()).fallback

    def state(self) -> DatabaseState:
        """Where units of work go now, and what has not arrived yet; nothing is opened for it.

        Raises:
            ConfigurationError: The configuration cannot be used.
            FallbackFileError: The file of the fallback cannot be read.
        """
        from vinci_code.database.fallback.states import DatabaseState, opened, state_of

        settings = get_settings()
        database = settings.database
        if not database.use_databricks:
            return DatabaseState("sqlite")
        if database.databricks_fallback == "off":
            return DatabaseState("databricks")
        fallback = self._holder.fallback_of(settings)
        if fallback is not None:
            return fallback.state()
        if not database.databricks_fallback_file.exists():
            return DatabaseState("databricks")
        with opened(database.databricks_fallback_file) as journal:
            return state_of(journal)

    def dispose(self) -> None:
        """Close every connection that is not in use and forget the engine."""
        self._holder.forget()

    def _routed(self, fallback: Fallback, local_kw: dict[str, Any]) -> _S:
        from vinci_code.database.fallback.making import routed

        options = {**self.kw, **local_kw}
        if "info" in local_kw:
            options["info"] = {**self.kw.get("info", {}), **local_kw["info"]}
        # A class that inherits from ours, so that who listens to the sessionmaker hears of it.
        return cast("_S", routed(self.class_)(fallback=lambda: fallback, **options))

    def _tell_of_parked(self, unit: Entry, reason: str) -> None:
        if self.on_parked is not None:
            self.on_parked(unit, reason)


def create_configured_fallback(
    engine: Engine, settings: DatabaseSettings, tables: Tables, on_parked: OnParked | None = None
) -> Fallback:
    """Create the fallback of an engine that the settings choose; the warehouse is not asked.

    ``on_parked`` is called with each unit of work that cannot arrive, and why.

    Raises:
        FallbackFileError: Its file cannot be used.
    """
    from vinci_code.database.fallback import Fallback

    return Fallback(
        engine,
        settings.databricks_fallback_file,
        tables.metadata(),
        create_tables=tables.make,
        reads=settings.databricks_fallback_reads,
        on_parked=on_parked,
        # The application starts while the warehouse is away; this is asked before it goes there.
        check=tables.require,
    )


class _Declared(NamedTuple):
    """Tables that are made by a callable."""

    declared: MetaData
    create: Callable[[Engine], object]
    check: Callable[[Engine], object]

    def metadata(self) -> MetaData:
        return self.declared

    def make(self, engine: Engine) -> None:
        self.create(engine)

    def require(self, engine: Engine) -> None:
        self.check(engine)


def _tables(
    metadata: MetaData, migrate: Migrate | None, check: Callable[[Engine], object] | None
) -> Tables:
    if migrate is None:
        return _Declared(metadata, metadata.create_all, check or _ask_nothing)
    if callable(migrate):
        return _Declared(metadata, migrate, check or _ask_nothing)
    # Where the application goes to afterwards, the path is still that of the call.
    path = Path(migrate).absolute()
    return _Declared(metadata, partial(_upgrade, path), check or partial(_require_heads, path))


def _ask_nothing(engine: Engine) -> None:
    """What is asked of a warehouse whose tables nobody has said how to check."""


def _upgrade(path: Path, engine: Engine) -> None:
    # Here, as Alembic is loaded by those who use a database, not by those who import a name.
    from vinci_code.database.migrations.project import AlembicProject

    AlembicProject(path).apply_pending(engine)


def _require_heads(path: Path, engine: Engine) -> None:
    from vinci_code.database.migrations.project import AlembicProject

    AlembicProject(path).require_heads(engine)


class _Made(NamedTuple):
    """The engine of a process, its fallback, and the settings that both were made from."""

    settings: Settings
    engine: Engine
    fallback: Fallback | None = None

    def dispose(self) -> None:
        if self.fallback is not None:
            self.fallback.dispose()
        self.engine.dispose()


class _EngineHolder:
    """The engine of a process, together with the settings it was made from."""

    def __init__(self, tables: Tables, on_parked: OnParked) -> None:
        self._tables = tables
        self._on_parked = on_parked
        self._lock = threading.RLock()
        # One attribute, so that who reads without the lock never sees an engine of other settings.
        self._current: _Made | None = None
        in_child(self, _EngineHolder.after_fork)

    def get(self, settings: Settings) -> _Made:
        current = self._current  # asked for at every session: no lock once it is there
        if current is not None and current.settings is settings:
            return current
        with self._lock:
            current = self._current
            if current is None or current.settings is not settings:
                self._dispose()
                made = self._make(settings)
                self._dispose()  # of what a finaliser in this thread may have made meanwhile
                current = self._current = made
            return current

    def fallback_of(self, settings: Settings) -> Fallback | None:
        """The fallback that is there already; nothing is made for the question."""
        current = self._current
        return current.fallback if current is not None and current.settings is settings else None

    def forget(self) -> None:
        with self._lock:
            self._dispose()

    def after_fork(self) -> None:
        """Leave the parent's connections to the parent: they cannot be shared with a child.

        A database in memory was copied with the rest of the process, and is the child's own. The
        fallback sees to its own.
        """
        self._lock = threading.RLock()
        if self._current is None:
            return
        from vinci_code.database.sqlite import is_in_memory

        if not is_in_memory(self._current.engine):
            self._current.engine.dispose(close=False)

    def _make(self, settings: Settings) -> _Made:
        database = settings.database
        made = _Made(settings, create_configured_engine(database))
        try:
            if not database.use_databricks:
                _make_tables(made.engine, self._tables)
            elif database.databricks_fallback == "off":
                _start_without_fallback(made.engine, database, self._tables)
            else:
                fallback = create_configured_fallback(
                    made.engine, database, self._tables, self._on_parked
                )
                made = made._replace(fallback=fallback)
                # Find out now whether the warehouse is there; it is as the application needs it, or
                # an error. While it is known to be away it is not asked before its time has come.
                fallback.place()
        except BaseException:
            made.dispose()
            raise
        return made

    def _dispose(self) -> None:
        if self._current is not None:
            self._current.dispose()
        self._current = None


def _make_tables(engine: Engine, tables: Tables) -> None:
    from vinci_code.database.sqlite import explain, file_of, is_of_file

    try:
        tables.make(engine)
    except DBAPIError as error:
        if not is_of_file(error):
            raise
        raise explain(error, file_of(engine.url)) from error


def _start_without_fallback(engine: Engine, settings: DatabaseSettings, tables: Tables) -> None:
    _warn_of_what_waits(settings.databricks_fallback_file)
    event.listen(engine, "handle_error", _tell_of_fallback)
    tables.require(engine)


def _tell_of_fallback(context: ExceptionContext) -> None:
    """Say how to go on where the warehouse is away."""
    from vinci_code.database.databricks.failures import MEANWHILE
    from vinci_code.database.fallback.away import is_away

    if not is_away(context.original_exception):
        return
    for error in (context.original_exception, context.sqlalchemy_exception):
        # One that was raised before, and comes by again, says so already.
        if error is not None and error.args and MEANWHILE not in str(error.args[0]):
            error.args = (f"{error.args[0]}\nT{MEANWHILE[1:]}.", *error.args[1:])


def _warn_of_what_waits(file: Path) -> None:
    """Say where units of work wait for a fallback that was switched off."""
    if not file.exists():
        return
    from vinci_code.core.errors import FallbackFileError
    from vinci_code.database.fallback.states import opened, state_of

    try:
        with opened(file) as journal:
            state = state_of(journal)
    except FallbackFileError as error:
        _log.warning("the fallback is off, and its file is there: %s", error)
        return
    if kept := state.waiting + state.in_doubt + state.parked + state.damaged:
        _log.warning(
            "the fallback is off, and %d units of work have not arrived that are in %s; "
            "`vinci fallback status` shows them, and DATABRICKS_FALLBACK=sqlite sends them",
            kept,
            file,
        )
