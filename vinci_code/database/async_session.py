"""Sessions for asyncio, on whichever database the configuration chooses.

Nothing is opened by importing this module. The tables are made, or asked for, at the first
connection, as ``session`` does it at the first call; and nothing of it waits in the thread of the
event loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.util.concurrency import await_only

from vinci_code.core.config import DatabaseSettings, Settings, get_settings
from vinci_code.core.errors import ConfigurationError, ConfigurationProblem
from vinci_code.database.databricks_connector import (
    create_async_databricks_engine,
    create_databricks_engine,
)
from vinci_code.database.sqlite import (
    create_async_sqlite_engine,
    create_sqlite_engine,
    explain,
    file_of,
)


def create_configured_async_engine(
    settings: Settings | DatabaseSettings | None = None,
) -> AsyncEngine:
    """Create the engine for asyncio that the settings choose, leaving the tables as they are.

    It is for applications with tables of their own; nothing of this package's is made or asked for.
    Nothing is opened yet. An engine serves one event loop at a time.

    Args:
        settings: The settings to use instead of those of the environment.

    Raises:
        ConfigurationError: The settings cannot be used, or a part that they need is not installed.
        DatabaseFileError: The SQLite file lies in a folder that does not exist.
    """
    return _configured(_database_settings(settings))


def get_async_engine() -> AsyncEngine:
    """Return the engine for asyncio of this process, creating it at the first call.

    Its first connection applies the migrations on SQLite, and makes sure on Databricks that none is
    pending, as ``session.get_engine()`` does; what that raises, the first use raises. After
    ``reload_settings()``, and in an event loop that follows one that has ended, there is a new one.

    Raises:
        ConfigurationError: The configuration cannot be used, or has a fallback switched on.
        DatabaseFileError: The SQLite file lies in a folder that does not exist.
        InvalidRequestError: Another event loop uses it, and has not ended.
    """
    return _the_engine.get(get_settings())


async def dispose_async_engine() -> None:
    """Close every connection that is not in use, wait for their threads, and forget the engine."""
    await _the_engine.dispose()


class _ConfiguredAsyncSessionmaker(async_sessionmaker[AsyncSession]):
    """An ``async_sessionmaker`` that finds its engine when a session is made."""

    def __call__(self, **local_kw: Any) -> AsyncSession:
        # Not even created where the caller brings an engine: it might be a file that nobody wants.
        if self.kw.get("bind") is None and "bind" not in local_kw:
            local_kw["bind"] = get_async_engine()
        return super().__call__(**local_kw)


AsyncSessionLocal = _ConfiguredAsyncSessionmaker(expire_on_commit=False)
"""Makes sessions: ``async with AsyncSessionLocal() as session: …``, or ``.begin()``.

Objects keep their values after a commit: to read them again at the next access is something that a
task could not wait for.
"""


@asynccontextmanager
async def async_session_scope() -> AsyncIterator[AsyncSession]:
    """A session for one unit of work: committed at the end, rolled back on any error, closed.

    ::

        async with async_session_scope() as session:
            session.add(Event(event_type="login", source="web"))
    """
    session = AsyncSessionLocal()
    try:
        async with session.begin():
            yield session
    finally:
        # Not by ``async with``, which waits for a task: a cancellation that met it there would hide
        # that the commit was successful.
        await session.close()


async def get_async_db() -> AsyncIterator[AsyncSession]:
    """A session for one request, as FastAPI's ``Depends(get_async_db)`` wants it; always closed.

    What the request does not commit itself is rolled back.
    """
    async with AsyncSessionLocal() as session:
        yield session


class _AsyncMade(NamedTuple):
    """The engine of the process, what it was made from, and the event loop that uses it."""

    settings: Settings
    engine: AsyncEngine
    readiness: _Readiness


class _AsyncEngineHolder:
    """The engine of the process, together with the settings it was made from."""

    def __init__(self) -> None:
        self._current: _AsyncMade | None = None

    def get(self, settings: Settings) -> AsyncEngine:
        current = self._current
        if current is not None and current.settings is settings and current.readiness.serves():
            return current.engine
        # The connections of another one end with their event loop, or as they are collected.
        engine, readiness = _made(settings.database)
        self._current = _AsyncMade(settings, engine, readiness)
        return engine

    async def dispose(self) -> None:
        current, self._current = self._current, None
        if current is not None:
            await current.engine.dispose()

    def after_fork(self) -> None:
        """Leave the parent's connections to the parent: their threads are not in a child."""
        current, self._current = self._current, None
        if current is not None:
            current.engine.sync_engine.dispose(close=False)
            # Never collected: a connection of aiosqlite would speak to its thread.
            _left_to_parent.append(current)


_left_to_parent: list[_AsyncMade] = []
_the_engine = _AsyncEngineHolder()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_the_engine.after_fork)


class _Readiness:
    """Makes the database ready once, before the first connection of an engine is opened.

    Args:
        prepare: Does it, in a thread of its own; ``None`` where there is nothing to do.
    """

    def __init__(self, prepare: Callable[[], object] | None) -> None:
        self._prepare = prepare
        self._loop: asyncio.AbstractEventLoop | None = None
        self._preparing: asyncio.Future[BaseException | None] | None = None

    def serves(self) -> bool:
        """Whether the engine can be used here: by the loop that runs, or by any yet.

        Raises:
            InvalidRequestError: Another loop uses it, and has not ended.
        """
        if self._loop is None:
            return True
        if self._loop.is_closed():
            return False
        with suppress(RuntimeError):
            if asyncio.get_running_loop() is not self._loop:
                raise InvalidRequestError(
                    "the engine of this process is used by another event loop, which has not "
                    "ended; nothing was opened\n"
                    "To fix it: make an engine in each loop, by create_configured_async_engine()."
                )
        return True

    def before_connect(self, *_: Any) -> None:
        """Listen to SQLAlchemy, which is about to open a connection."""
        await_only(self._ready())

    async def _ready(self) -> None:
        self._loop = asyncio.get_running_loop()
        while self._prepare is not None:
            if self._preparing is None:
                self._preparing = _in_thread(self._prepare)
            preparing = self._preparing
            # What was begun is ended, whoever was cancelled that waits for it.
            error = await asyncio.shield(preparing)
            if self._preparing is not preparing:
                continue  # another task has tried again since
            self._preparing = None
            if error is not None:
                raise error
            self._prepare = None


def _in_thread(work: Callable[[], object]) -> asyncio.Future[BaseException | None]:
    """Do something in a thread of its own; the future has the error of it."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[BaseException | None] = loop.create_future()
    context = contextvars.copy_context()

    def run() -> None:
        error: BaseException | None = None
        try:
            context.run(work)
        except BaseException as raised:  # noqa: BLE001 - raised by the task that waits
            error = raised
        # The loop may have ended, so that nobody waits.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(done.set_result, error)

    threading.Thread(target=run, name="vinci: makes the database ready", daemon=True).start()
    return done


def _made(database: DatabaseSettings) -> tuple[AsyncEngine, _Readiness]:
    _refuse_fallback(database)
    if database.use_databricks:
        engine = _configured(database)
        readiness = _Readiness(lambda: _require_tables(database))
    elif file_of(database.database_url) is None:
        # Another connection would migrate another database.
        url, echo = database.database_url, database.database_echo
        engine = create_async_sqlite_engine(url, echo=echo, fill=_fill)
        readiness = _Readiness(None)
    else:
        engine = _configured(database)
        readiness = _Readiness(lambda: _make_tables(database))
    event.listen(engine.sync_engine, "do_connect", readiness.before_connect)
    return engine, readiness


def _configured(database: DatabaseSettings) -> AsyncEngine:
    if database.use_databricks:
        # As the engine on SQLite does: what JSON would change is refused on both.
        from vinci_code.database.models.types import dump_json

        return create_async_databricks_engine(database, json_serializer=dump_json)
    return create_async_sqlite_engine(database.database_url, echo=database.database_echo)


def _refuse_fallback(database: DatabaseSettings) -> None:
    if database.use_databricks and database.databricks_fallback != "off":
        raise ConfigurationError(
            [
                ConfigurationProblem(
                    variable="DATABRICKS_FALLBACK",
                    found=f"{database.databricks_fallback}, with an engine for asyncio",
                    accepted="off, where sessions for asyncio are used: the fallback writes its "
                    "file, and sends what waits, in the thread of the caller",
                    fix="set DATABRICKS_FALLBACK=off, or use SessionLocal in threads "
                    "(asyncio.to_thread, or a FastAPI route without async)",
                )
            ]
        )


def _make_tables(database: DatabaseSettings) -> None:
    from vinci_code.database.migrations import apply_pending

    engine = create_sqlite_engine(database.database_url)
    try:
        apply_pending(engine)
    except DBAPIError as error:
        raise explain(error, file_of(database.database_url)) from error
    finally:
        engine.dispose()


def _require_tables(database: DatabaseSettings) -> None:
    from vinci_code.database.migrations import require_head

    engine = create_databricks_engine(database)
    try:
        require_head(engine)
    finally:
        engine.dispose()


def _fill(connection: Any) -> None:
    """Copy the migrated tables into a database in memory."""
    from vinci_code.database.migrations import apply_pending

    engine = create_sqlite_engine("sqlite://")
    try:
        apply_pending(engine)
        with engine.connect() as migrated:
            source: Any = migrated.connection.driver_connection
            source.backup(connection)
    finally:
        engine.dispose()


def _database_settings(settings: Settings | DatabaseSettings | None) -> DatabaseSettings:
    if isinstance(settings, DatabaseSettings):
        return settings
    return (get_settings() if settings is None else settings).database
