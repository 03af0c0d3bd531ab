"""Sessions on whichever database the configuration chooses.

Nothing is opened by importing this module: settings, engine and file come into being when the first
session, or ``get_engine()``, asks for them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from vinci_code.core.config import DatabaseSettings, Settings, get_settings
from vinci_code.database.databricks_connector import create_databricks_engine
from vinci_code.database.sqlite import create_sqlite_engine, explain, file_of, is_in_memory

Backend = Literal["sqlite", "databricks"]


def backend() -> Backend:
    """Say which database the configuration chooses.

    Raises:
        ConfigurationError: The configuration cannot be used.
    """
    return "databricks" if get_settings().database.use_databricks else "sqlite"


def create_configured_engine(settings: DatabaseSettings) -> Engine:
    """Create the engine that the settings choose, leaving the tables as they are.

    Raises:
        ConfigurationError: The settings cannot be used, or a part that they need is not installed.
        DatabaseFileError: The SQLite file lies in a folder that does not exist.
    """
    if settings.use_databricks:
        # As the engine on SQLite does: what JSON would change is refused on both.
        from vinci_code.database.models.types import dump_json

        return create_databricks_engine(settings, json_serializer=dump_json)
    return create_sqlite_engine(settings.database_url, echo=settings.database_echo)


def get_engine() -> Engine:
    """Return the engine of this process, creating it at the first call.

    On SQLite the migrations are applied then, so that the tables are there. On Databricks they are
    never applied by themselves. After ``reload_settings()`` the old engine is disposed of and a new
    one created.

    Raises:
        ConfigurationError: The configuration cannot be used.
        DatabaseFileError: The SQLite file cannot be used.
        MigrationsPendingError: Databricks has no tables of this release; names the command.
    """
    return _the_engine.get(get_settings())


def dispose_engine() -> None:
    """Close every connection that is not in use and forget the engine."""
    _the_engine.forget()


class _ConfiguredSessionmaker(sessionmaker[Session]):
    """A ``sessionmaker`` that finds its engine when a session is made."""

    def __call__(self, **local_kw: Any) -> Session:
        # Not even created where the caller brings an engine: it might be a file that nobody wants.
        if self.kw.get("bind") is None and "bind" not in local_kw:
            local_kw["bind"] = get_engine()
        return super().__call__(**local_kw)


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


class _EngineHolder:
    """The engine of the process, together with the settings it was made from."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        # One attribute, so that who reads without the lock never sees an engine of other settings.
        self._current: tuple[Settings, Engine] | None = None

    def get(self, settings: Settings) -> Engine:
        current = self._current  # asked for at every session: no lock once it is there
        if current is not None and current[0] is settings:
            return current[1]
        with self._lock:
            current = self._current
            if current is None or current[0] is not settings:
                self._dispose()
                made = settings, _create_with_tables(settings.database)
                self._dispose()  # of what a finaliser in this thread may have made meanwhile
                current = self._current = made
            return current[1]

    def forget(self) -> None:
        with self._lock:
            self._dispose()

    def after_fork(self) -> None:
        """Leave the parent's connections to the parent: they cannot be shared with a child.

        A database in memory was copied with the rest of the process, and is the child's own.
        """
        self._lock = threading.RLock()
        if self._current is not None and not is_in_memory(self._current[1]):
            self._current[1].dispose(close=False)

    def _dispose(self) -> None:
        if self._current is not None:
            self._current[1].dispose()
        self._current = None


_the_engine = _EngineHolder()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_the_engine.after_fork)


def _create_with_tables(settings: DatabaseSettings) -> Engine:
    # Not at the top: models and Alembic's runner are loaded by those who use a database, not by
    # those who import a name.
    from vinci_code.database.migrations import apply_pending, require_head

    engine = create_configured_engine(settings)
    try:
        if settings.use_databricks:
            require_head(engine)
        else:
            apply_pending(engine)
    except DBAPIError as error:
        engine.dispose()
        if settings.use_databricks:
            raise
        raise explain(error, file_of(settings.database_url)) from error
    except BaseException:
        engine.dispose()
        raise
    return engine
