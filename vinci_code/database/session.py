"""Sessions of this package's own tables, on whichever database the configuration chooses.

Nothing is opened by importing this module: settings, engine and file come into being when the first
session, or ``get_engine()``, asks for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from sqlalchemy import Engine, MetaData
from sqlalchemy.orm import Session

from vinci_code.core.config import DatabaseSettings, get_settings
from vinci_code.database import sessionmakers
from vinci_code.database.engines import create_configured_engine

if TYPE_CHECKING:
    from vinci_code.database.fallback import DatabaseState, Fallback
    from vinci_code.database.fallback.replay import OnParked

__all__ = [
    "Backend",
    "SessionLocal",
    "backend",
    "create_configured_engine",
    "create_configured_fallback",
    "database_state",
    "dispose_engine",
    "get_db",
    "get_engine",
    "get_fallback",
    "on_parked",
    "session_scope",
]

Backend = Literal["sqlite", "databricks"]


def backend() -> Backend:
    """Say which database the configuration chooses.

    Raises:
        ConfigurationError: The configuration cannot be used.
    """
    return "databricks" if get_settings().database.use_databricks else "sqlite"


def create_configured_fallback(engine: Engine, settings: DatabaseSettings) -> Fallback:
    """Create the fallback of an engine that the settings choose; the warehouse is not asked.

    Raises:
        FallbackFileError: Its file cannot be used.
    """
    return sessionmakers.create_configured_fallback(engine, settings, _OurTables())


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
    return SessionLocal.engine


def get_fallback() -> Fallback | None:
    """Return the fallback of this process, for schedulers; ``None`` where there is none.

    Raises:
        Exception: What ``get_engine`` raises.
    """
    return SessionLocal.fallback


def database_state() -> DatabaseState:
    """Say where units of work go now, and what has not arrived yet; nothing is opened for it.

    ``backend()`` says what is configured.

    Raises:
        ConfigurationError: The configuration cannot be used.
        FallbackFileError: The file of the fallback cannot be read.
    """
    return SessionLocal.state()


def on_parked(tell: OnParked | None) -> None:
    """Have a call made in this process for each unit of work that cannot arrive, as it is parked.

    The process that sends what waits gets a call for all that it parks, whoever committed it. What
    the call raises is logged, and stops nothing.

    Args:
        tell: Is given the unit and the reason; ``None`` ends it.
    """
    SessionLocal.on_parked = tell


def dispose_engine() -> None:
    """Close every connection that is not in use and forget the engine."""
    SessionLocal.dispose()


class _OurTables:
    """The tables of this package."""

    # Models and Alembic's runner are loaded by those who use a database, not by those who import a
    # name.

    def metadata(self) -> MetaData:
        from vinci_code.database.models import Base

        return Base.metadata

    def make(self, engine: Engine) -> None:
        from vinci_code.database.migrations import apply_pending

        apply_pending(engine)

    def require(self, engine: Engine) -> None:
        from vinci_code.database.migrations import require_head

        require_head(engine)


SessionLocal: sessionmakers.ConfiguredSessionmaker[Session] = sessionmakers.ConfiguredSessionmaker(
    _OurTables(), expire_on_commit=False
)
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
