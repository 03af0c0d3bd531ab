"""The database that the environment names, and units of work on it."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm.exc import StaleDataError

_P = ParamSpec("_P")
_Result = TypeVar("_Result")


def create_engine() -> AsyncEngine:
    """Create the engine."""
    url = os.environ["DATABASE_URL"].replace("sqlite:", "sqlite+aiosqlite:")
    return create_async_engine(url)


class Database:
    """Sessions on one engine.

    Attributes:
        sessions: Makes sessions, for what only reads.
    """

    def __init__(self) -> None:
        self._engine = create_engine()
        self.sessions = async_sessionmaker(self._engine, expire_on_commit=False)

    async def run(
        self,
        work: Callable[Concatenate[AsyncSession, _P], Awaitable[_Result]],
        *arguments: _P.args,
        **named: _P.kwargs,
    ) -> _Result:
        """Run what writes, and commit it; all of it again where somebody else was faster."""
        for attempt in range(5):
            try:
                async with self.sessions.begin() as session:
                    return await work(session, *arguments, **named)
            except (OperationalError, StaleDataError):
                if attempt == 4:
                    raise
                await asyncio.sleep(random.uniform(0, 0.1 * 2**attempt))
        raise AssertionError

    async def dispose(self) -> None:
        """Close all connections."""
        await self._engine.dispose()
