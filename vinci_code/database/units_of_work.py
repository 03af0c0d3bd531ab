"""Units of work that are run again where somebody else was faster."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, InvalidRequestError
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncSession

    from vinci_code.database.dialect.units.statistics import Statistics

_Result = TypeVar("_Result")

FIRST_PAUSE = 0.1
"""Seconds: the longest pause before the first repetition; it doubles with each."""

LONGEST_PAUSE = 5.0
"""Seconds that no pause exceeds."""

# What sqlite3 says; Python gives its error codes from 3.11 on only.
_LOCKED = frozenset({"database is locked", "database table is locked"})

_log = logging.getLogger(__name__)


def run_unit(
    work: Callable[[Session], _Result],
    *,
    retries: int = 5,
    sessions: Callable[[], Session] | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> _Result:
    """Run a unit of work, and run all of it again with fresh reads if somebody else was faster.

    ::

        def book(session: Session) -> int:
            account = session.get(Account, 7)
            account.balance -= 10
            return account.balance

        balance = run_unit(book)

    It is run again after a conflict that the warehouse reports, after a ``StaleDataError``, and
    where SQLite says that the database is locked: each means that nothing was written. It is not
    run again after any other error, an ``AmbiguousWriteError`` least of all.

    So that it does mean that, a session that would write by parts is refused when it begins to: one
    whose connection is in AUTOCOMMIT, and one that uses a second connection, which is committed by
    itself (``binds`` to several engines).

    Args:
        work: Is given a new session each time, and must not commit; what it does beside the
            session is done again too.
        retries: How often it is run again at most; 0 for never.
        sessions: Makes the sessions; ``SessionLocal`` by default.
        pause: Waits for so many seconds; they are random, up to a bound that doubles.

    Returns:
        What ``work`` returned, after the commit.

    Raises:
        InvalidRequestError: The session would write by parts.
    """
    _require_number(retries)
    if sessions is None:
        # Not at the top: the configured database is not wanted where others are given.
        from vinci_code.database.session import SessionLocal

        sessions = SessionLocal
    for attempt in range(retries):
        try:
            return _once(work, sessions)
        except (DBAPIError, StaleDataError) as error:
            seconds = _pause_after(error, attempt)
        pause(seconds)
    return _once(work, sessions)


async def run_unit_async(
    work: Callable[[AsyncSession], Awaitable[_Result]],
    *,
    retries: int = 5,
    sessions: Callable[[], AsyncSession] | None = None,
    pause: Callable[[float], Awaitable[object]] | None = None,
) -> _Result:
    """Run a unit of work of a task, and run it again as ``run_unit`` does.

    ::

        async def book(session: AsyncSession) -> int:
            account = await session.get(Account, 7)
            account.balance -= 10
            return account.balance

        balance = await run_unit_async(book)

    A unit whose task was cancelled is never run again.

    Args:
        work: As of ``run_unit``; it is awaited.
        retries: How often it is run again at most; 0 for never.
        sessions: Makes the sessions; ``AsyncSessionLocal`` by default.
        pause: Waits for so many seconds; ``asyncio.sleep`` by default.

    Returns:
        What ``work`` returned, after the commit.

    Raises:
        InvalidRequestError: The session would write by parts.
    """
    _require_number(retries)
    if sessions is None:
        from vinci_code.database.async_session import AsyncSessionLocal

        sessions = AsyncSessionLocal
    if pause is None:
        import asyncio

        pause = asyncio.sleep
    for attempt in range(retries):
        try:
            return await _once_async(work, sessions)
        except (DBAPIError, StaleDataError) as error:
            seconds = _pause_after(error, attempt)
        await pause(seconds)
    return await _once_async(work, sessions)


def was_outrun(error: Exception) -> bool:
    """Whether an error says that somebody else was faster.

    Nothing was written then by a commit of one connection, as all are that ``run_unit`` lets
    through.
    """
    if isinstance(error, StaleDataError):
        return True
    original = getattr(error, "orig", None)
    if str(original) in _LOCKED:
        return True
    # By name: on SQLite the dialect for Databricks is not even imported.
    return any(kind.__name__ == "ConflictError" for kind in type(original).__mro__)


def statistics(engine: Engine) -> Statistics:
    """What an engine for Databricks has sent to write rows: statements, rows, bytes, retries.

    Raises:
        TypeError: The engine is one of another database.
    """
    counter = getattr(engine.dialect, "statistics", None)
    if counter is None:
        raise TypeError(f"an engine of databricks+vinci is wanted, found one of {engine.name}")
    counted: Statistics = counter.read()
    return counted


def _require_number(retries: int) -> None:
    if retries < 0:
        raise ValueError(f"retries={retries}: it is 0 or more")


def _pause_after(error: DBAPIError | StaleDataError, attempt: int) -> float:
    """How many seconds to wait before a unit is run again; raises the error where it is not."""
    if not was_outrun(error):
        raise error
    bound = min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE)
    _log.info("unit of work, attempt %d: %s; it is run again", attempt + 1, _kind(error))
    # Of random length, so that those who collided do not collide again.
    return random.uniform(0, bound)  # noqa: S311 - no secret


def _once(work: Callable[[Session], _Result], sessions: Callable[[], Session]) -> _Result:
    with sessions() as session, _whole(session), session.begin():
        return work(session)


async def _once_async(
    work: Callable[[AsyncSession], Awaitable[_Result]], sessions: Callable[[], AsyncSession]
) -> _Result:
    session = sessions()
    try:
        with _whole(session.sync_session):
            async with session.begin():
                return await work(session)
    finally:
        # Not by ``async with``: see ``async_session_scope``.
        await session.close()


@contextmanager
def _whole(session: Session) -> Iterator[None]:
    """See to it that a session writes one unit of work."""
    require = _Whole().require
    event.listen(session, "after_begin", require)
    try:
        yield
    finally:
        event.remove(session, "after_begin", require)


class _Whole:
    """Sees to it that what a session commits is one unit of work.

    A first engine had been committed when the commit of a second one failed, and what was run again
    wrote the rows of the first one twice.
    """

    def __init__(self) -> None:
        self._connection: Connection | None = None

    def require(self, session: Session, transaction: object, connection: Connection) -> None:
        """Refuse a connection that would be committed by itself."""
        del transaction
        if self._connection not in (None, connection) and not self._has_left(session):
            raise InvalidRequestError(
                f"run_unit: the session uses {connection.engine} beside another engine; they are "
                "committed one after the other, so that a unit of work may be written in part and "
                "cannot be run again; nothing was written\n"
                "To fix it: use one engine in a unit of work, and a session of its own for the "
                "other."
            )
        self._connection = connection
        if _commits_each_statement(connection):
            raise InvalidRequestError(
                f"run_unit: {connection.engine} is in AUTOCOMMIT, where each statement is "
                "committed as it runs, so that no unit of work can be run again; nothing was "
                "written\n"
                "To fix it: give run_unit sessions without isolation_level='AUTOCOMMIT'."
            )

    def _has_left(self, session: Session) -> bool:
        """Whether the unit goes on in a standby, and had done nothing before.

        A first SELECT that found the warehouse away is answered there; the connection that it had
        got is closed.
        """
        gone = self._connection is not None and self._connection.closed
        return gone and "standby" in session.info


def _commits_each_statement(connection: Connection) -> bool:
    asked: object = connection.get_execution_options().get("isolation_level")
    # What create_engine was given.
    level = asked or getattr(connection.dialect, "_on_connect_isolation_level", None)
    return level == "AUTOCOMMIT"


def _kind(error: Exception) -> str:
    return type(getattr(error, "orig", None) or error).__name__
