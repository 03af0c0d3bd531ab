"""Sessions on whichever database the configuration chooses.

Nothing is opened by importing this module: settings, engine and file come into being when the first
session, or ``get_engine()``, asks for them.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from vinci_code.core.config import DatabaseSettings, Settings, get_settings
from vinci_code.database.databricks_connector import create_databricks_engine
from vinci_code.database.sqlite import create_sqlite_engine, explain, file_of, is_in_memory

if TYPE_CHECKING:
    from sqlalchemy.engine import ExceptionContext

    from vinci_code.database.fallback import DatabaseState, Fallback
    from vinci_code.database.fallback.records import Entry
    from vinci_code.database.fallback.replay import OnParked

Backend = Literal["sqlite", "databricks"]

_log = logging.getLogger(__name__)


def backend() -> Backend:
    """Say which database the configuration chooses.

    Raises:
        ConfigurationError: The configuration cannot be used.
    """
    return "databricks" if get_settings().database.use_databricks else "sqlite"


def create_configured_engine(settings: Settings | DatabaseSettings | None = None) -> Engine:
    """Create the engine that the settings choose, leaving the tables as they are.

    It is for applications with tables of their own; nothing of this package's is made or asked for.
    Nothing is opened yet.

    Args:
        settings: The settings to use instead of those of the environment.

    Raises:
        ConfigurationError: The settings cannot be used, or a part that they need is not installed.
        DatabaseFileError: The SQLite file lies in a folder that does not exist.
    """
    if settings is None:
        settings = get_settings()
    if isinstance(settings, Settings):
        settings = settings.database
    if settings.use_databricks:
        # As the engine on SQLite does: what JSON would change is refused on both.
        from vinci_code.database.models.types import dump_json

        return create_databricks_engine(settings, json_serializer=dump_json)
    return create_sqlite_engine(settings.database_url, echo=settings.database_echo)


def create_configured_fallback(
    engine: Engine, settings: DatabaseSettings, on_parked: OnParked | None = None
) -> Fallback:
    """Create the fallback of an engine that the settings choose; the warehouse is not asked.

    ``on_parked`` is called with each unit of work that cannot arrive, and why.

    Raises:
        FallbackFileError: Its file cannot be used.
    """
    from vinci_code.database.fallback import Fallback
    from vinci_code.database.migrations import apply_pending, require_head
    from vinci_code.database.models import Base

    return Fallback(
        engine,
        settings.databricks_fallback_file,
        Base.metadata,
        create_tables=apply_pending,
        reads=settings.databricks_fallback_reads,
        on_parked=on_parked,
        # The application starts while the warehouse is away; this is asked before it goes there.
        check=require_head,
    )


def get_engine() -> Engine:
    """Return the engine of this process, creating it at the first call.

    On SQLite the migrations are applied then, so that the tables are there. On Databricks they are
    never applied by themselves. After ``reload_settings()`` the old engine is disposed of and a new
    one created.

    With ``DATABRICKS_FALLBACK=sqlite`` it is the warehouse's engine, too, while that is away.

    Raises:
        ConfigurationError: The configuration cannot be used.
        DatabaseFileError: The SQLite file cannot be used.
        FallbackFileError: The file of the fallback cannot be used.
        MigrationsPendingError: Databricks has no tables of this release; names the command.
    """
    return _the_engine.get(get_settings()).engine


def get_fallback() -> Fallback | None:
    """Return the fallback of this process, for schedulers; ``None`` where there is none.

    Raises:
        Exception: What ``get_engine`` raises.
    """
    return _the_engine.get(get_settings()).fallback


def database_state() -> DatabaseState:
    """Say where units of work go now, and what has not arrived yet; nothing is opened for it.

    ``backend()`` says what is configured.

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
    fallback = _the_engine.fallback_of(settings)
    if fallback is not None:
        return fallback.state()
    if not database.databricks_fallback_file.exists():
        return DatabaseState("databricks")
    with opened(database.databricks_fallback_file) as journal:
        return state_of(journal)


def on_parked(tell: OnParked | None) -> None:
    """Have a call made in this process for each unit of work that cannot arrive, as it is parked.

    The process that sends what waits gets a call for all that it parks, whoever committed it. What
    the call raises is logged, and stops nothing.

    Args:
        tell: Is given the unit and the reason; ``None`` ends it.
    """
    _the_engine.on_parked = tell


def dispose_engine() -> None:
    """Close every connection that is not in use and forget the engine."""
    _the_engine.forget()


class _ConfiguredSessionmaker(sessionmaker[Session]):
    """A ``sessionmaker`` that finds its engine when a session is made."""

    def __call__(self, **local_kw: Any) -> Session:
        # Not even created where the caller brings an engine: it might be a file that nobody wants.
        if self.kw.get("bind") is None and "bind" not in local_kw:
            made = _the_engine.get(get_settings())
            local_kw["bind"] = made.engine
            if made.fallback is not None:
                return self._routed(made.fallback, local_kw)
        return super().__call__(**local_kw)

    def _routed(self, fallback: Fallback, local_kw: dict[str, Any]) -> Session:
        from vinci_code.database.fallback.making import routed

        options = {**self.kw, **local_kw}
        if "info" in local_kw:
            options["info"] = {**self.kw.get("info", {}), **local_kw["info"]}
        # A class that inherits from ours, so that who listens to ``SessionLocal`` hears of it.
        return routed(self.class_)(fallback=lambda: fallback, **options)


SessionLocal = _ConfiguredSessionmaker(expire_on_commit=False)
"""Makes sessions: ``SessionLocal()``, or ``with SessionLocal.begin() as session: …``.

Objects keep their values after a commit instead of being read again at the next access, which would
be a statement for each of them.
"""


@contextmanager
def session_scope() -> Iterator[Session]:
    """A session for one unit of work: committed at the end, rolled back on any error, closed.

    ::

        with session_scope() as session:
            session.add(Event(event_type="login", source="web"))
    """
    with SessionLocal() as session, session.begin():
        yield session


def get_db() -> Iterator[Session]:
    """A session for one request, as FastAPI's ``Depends(get_db)`` wants it; always closed.

    What the request does not commit itself is rolled back.
    """
    with SessionLocal() as session:
        yield session


class _Made(NamedTuple):
    """The engine of the process, its fallback, and the settings that both were made from."""

    settings: Settings
    engine: Engine
    fallback: Fallback | None = None

    def dispose(self) -> None:
        if self.fallback is not None:
            self.fallback.dispose()
        self.engine.dispose()


class _EngineHolder:
    """The engine of the process, together with the settings it was made from."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        # One attribute, so that who reads without the lock never sees an engine of other settings.
        self._current: _Made | None = None
        self.on_parked: OnParked | None = None

    def tell_of_parked(self, unit: Entry, reason: str) -> None:
        if self.on_parked is not None:
            self.on_parked(unit, reason)

    def get(self, settings: Settings) -> _Made:
        current = self._current  # asked for at every session: no lock once it is there
        if current is not None and current.settings is settings:
            return current
        with self._lock:
            current = self._current
            if current is None or current.settings is not settings:
                self._dispose()
                made = _make(settings)
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
        if self._current is not None and not is_in_memory(self._current.engine):
            self._current.engine.dispose(close=False)

    def _dispose(self) -> None:
        if self._current is not None:
            self._current.dispose()
        self._current = None


_the_engine = _EngineHolder()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_the_engine.after_fork)


def _make(settings: Settings) -> _Made:
    database = settings.database
    made = _Made(settings, create_configured_engine(database))
    try:
        if not database.use_databricks:
            _make_tables(made.engine, database)
        elif database.databricks_fallback == "off":
            _start_without_fallback(made.engine, database)
        else:
            tell = _the_engine.tell_of_parked
            made = made._replace(fallback=create_configured_fallback(made.engine, database, tell))
            _find_out(made.fallback)
    except BaseException:
        made.dispose()
        raise
    return made


def _make_tables(engine: Engine, settings: DatabaseSettings) -> None:
    # Not at the top: models and Alembic's runner are loaded by those who use a database, not by
    # those who import a name.
    from vinci_code.database.migrations import apply_pending

    try:
        apply_pending(engine)
    except DBAPIError as error:
        raise explain(error, file_of(settings.database_url)) from error


def _find_out(fallback: Fallback | None) -> None:
    """Find out now whether the warehouse is there; it is as the application needs it, or an error.

    While it is known to be away it is not asked before its time has come.
    """
    if fallback is not None:
        fallback.place()


def _start_without_fallback(engine: Engine, settings: DatabaseSettings) -> None:
    from vinci_code.database.migrations import require_head

    _warn_of_what_waits(settings.databricks_fallback_file)
    event.listen(engine, "handle_error", _tell_of_fallback)
    require_head(engine)


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
