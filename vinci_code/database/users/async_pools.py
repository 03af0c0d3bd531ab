"""The pools of users for SQLAlchemy's asyncio: what waits, waits as a task does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.util.concurrency import await_only

from vinci_code.core.config import DatabaseSettings, Settings
from vinci_code.database.dialect.asynchronous import require_greenlet
from vinci_code.database.users.places import FORGOTTEN, User
from vinci_code.database.users.pooling import AsyncUserPool
from vinci_code.database.users.pools import (
    CONNECTIONS_PER_USER,
    IDLE_TIMEOUT,
    MAX_USERS,
    WAIT,
    AnyUserPools,
    MakeEngine,
    UserLimits,
    engines_from,
)

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from typing_extensions import Self

# How often a task that waits for a place looks for one.
_SOON = 0.01


class AsyncUserPools(AnyUserPools):
    """Connections of users for one event loop, each from a pool of its token's own.

    As an asynchronous context manager it closes all of them. The other way to one is
    ``create_async_user_pools``.

    Args:
        make_engine: Makes the engine of a user.
        limits: How much is open at one time.
    """

    _pool_class = AsyncUserPool

    def __init__(self, make_engine: MakeEngine, limits: UserLimits | None = None) -> None:
        super().__init__(make_engine, limits or UserLimits())
        self._loop: asyncio.AbstractEventLoop | None = None
        # Those of whom threads may still end sessions.
        self._leaving: dict[User, None] = {}

    @asynccontextmanager
    async def connection_for(
        self, user_token: str, *, expires_at: datetime | None = None
    ) -> AsyncIterator[AsyncConnection]:
        """A connection that acts for a user, for an ``async with`` block.

        Args:
            user_token: The token, as the header ``X-Forwarded-Access-Token`` has it.
            expires_at: When it ends, where that is known; with a time zone.

        Raises:
            UserTokenError: It can be no token.
            UserTokenEndedError: It has ended, or the workspace does not accept it.
            UserPoolsBusyError: All places, or all connections of this user, were in use for too
                long.
            sqlalchemy.exc.DBAPIError: The warehouse could not be reached.
            InvalidRequestError: Another event loop uses these pools.
        """
        self._require_loop()
        try:
            user = self._user(user_token, expires_at)
        finally:
            del user_token  # or a report that shows the locals of a failure would show it
        async with AsyncEngine(user.engine).connect() as connection:
            yield connection

    def session_for(
        self,
        user_token: str,
        *,
        expires_at: datetime | None = None,
        **options: Any,
    ) -> AsyncSession:
        """A session that acts for a user; its first statement takes a connection.

        Args:
            user_token: As of ``connection_for``.
            expires_at: As of ``connection_for``.
            **options: What ``AsyncSession`` takes beside; objects keep their values after a commit
                unless ``expire_on_commit`` says otherwise.

        Raises:
            UserTokenError: It can be no token.
            UserTokenEndedError: It has ended; later, each statement may raise it.
        """
        try:
            user = self._user(user_token, expires_at)
        finally:
            del user_token
        return AsyncSession(AsyncEngine(user.engine), **{"expire_on_commit": False, **options})

    async def forget(self, user_token: str) -> None:
        """End a token, as its user signs out: its pool is closed before this returns.

        What is in use is closed as it is given back. A token that is not known is no error.

        Raises:
            UserTokenError: It can be no token.
        """
        try:
            user = self._find(user_token)
        finally:
            del user_token
        if user is not None:
            self._end(user, FORGOTTEN)
            await self._await_end(user)

    async def give_back_idle(self) -> int:
        """Close the pools that were idle for too long, and those of tokens that have expired.

        Returns:
            How many there were.
        """
        count = self._due()
        for user in list(self._leaving):
            await self._await_end(user)
        return count

    async def close(self) -> None:
        """Close all pools for good; what is in use is closed as it is given back."""
        self._is_closed = True
        for user in self._places.all():
            self._end(user, FORGOTTEN)
        for user in list(self._leaving):
            await self._await_end(user)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    def _admit(self, user: User) -> None:
        self._require_loop()
        for other in list(self._leaving):
            if not _has_threads(other.engine):
                self._settle_now(other)
        super()._admit(user)

    def _wait(self, seconds: float, seen: int) -> None:
        await_only(asyncio.sleep(min(seconds, _SOON)))

    def _settle(self, user: User) -> None:
        # A thread may be ending a session, for which it needs the token.
        self._leaving[user] = None

    def _settle_now(self, user: User) -> None:
        self._leaving.pop(user, None)
        if user.ended is not None or not self._places.has_place(user):
            super()._settle(user)

    async def _await_end(self, user: User) -> None:
        if not user.is_idle:
            return  # whoever gives its last connection back is waited for by who comes next
        # An engine for asyncio waits for the threads of its connections as it is disposed of.
        await AsyncEngine(user.engine).dispose()
        self._settle_now(user)

    def _require_loop(self) -> None:
        loop = asyncio.get_running_loop()
        self._loop = self._loop or loop
        if loop is not self._loop:
            raise InvalidRequestError(
                "the pools of users are another event loop's; nothing was contacted\n"
                "To fix it: make some in each loop, by create_async_user_pools()."
            )


def create_async_user_pools(
    settings: Settings | DatabaseSettings | None = None,
    *,
    max_users: int = MAX_USERS,
    connections_per_user: int = CONNECTIONS_PER_USER,
    idle_timeout: float = IDLE_TIMEOUT,
    wait: float = WAIT,
    **options: Any,
) -> AsyncUserPools:
    """The pools of ``create_user_pools``, for SQLAlchemy's asyncio; nothing is contacted.

    Args:
        settings: The settings to use instead of those of the environment.
        max_users: As of ``create_user_pools``, like the others.
        connections_per_user: As above.
        idle_timeout: As above.
        wait: As above.
        **options: What ``create_async_engine`` takes beside, for the engine of each user.

    Raises:
        ConfigurationError: As of ``create_user_pools``.
        MissingExtraError: The driver, or greenlet, is not installed.
        ValueError: A limit is no such number.
    """
    limits = UserLimits(max_users, connections_per_user, idle_timeout, wait)
    require_greenlet()

    def create(*arguments: Any, **named: Any) -> Engine:
        return create_async_engine(*arguments, **named).sync_engine

    return AsyncUserPools(engines_from(settings, options, "databricks+vinci_async", create), limits)


def _has_threads(engine: Engine) -> bool:
    dialect: Any = engine.dialect
    return bool(dialect.threads.are_alive)
