"""Sessions on the database that the environment names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from vinci_code.database import create_configured_async_engine, run_unit_async

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class Database:
    """Sessions, and units of work, on one engine.

    Attributes:
        sessions: Makes sessions, for what only reads.
    """

    def __init__(self) -> None:
        self._engine = create_configured_async_engine()
        self.sessions = async_sessionmaker(self._engine, expire_on_commit=False)

    async def run(
        self,
        work: Callable[Concatenate[AsyncSession, _Arguments], Awaitable[_Result]],
        *arguments: _Arguments.args,
        **named: _Arguments.kwargs,
    ) -> _Result:
        """Run what writes, and commit it; all of it again where somebody else was faster."""

        async def unit(session: AsyncSession) -> _Result:
            return await work(session, *arguments, **named)

        return await run_unit_async(unit, sessions=self.sessions)

    async def dispose(self) -> None:
        """Close all connections."""
        await self._engine.dispose()
