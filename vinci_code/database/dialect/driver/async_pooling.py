"""The pool of ``pooling``, for event loops: who waits for a connection waits as a task does."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable
from typing import Any

from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry

from vinci_code.database.dialect.driver.pooling import SessionPool

_loops = itertools.count(1)


class AsyncSessionPool(SessionPool, AsyncAdaptedQueuePool):
    """SQLAlchemy's ``AsyncAdaptedQueuePool``, with what ``SessionPool`` adds to its ``QueuePool``.

    It serves one event loop at a time. Where that has ended, the pool begins anew with the next
    one: the connections of the first were closed with it.
    """

    def __init__(self, creator: Callable[..., Any], **arguments: Any) -> None:
        super().__init__(creator, **arguments)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._number = next(_loops)

    def _do_get(self) -> ConnectionPoolEntry:
        # Outside of a loop there is nobody to serve: the connection refuses to be opened.
        with contextlib.suppress(RuntimeError):
            self._serve(asyncio.get_running_loop())
        return super()._do_get()

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        """Serve an event loop, and no other.

        Raises:
            InvalidRequestError: It serves another one that has not ended.
        """
        before, self._loop = self._loop, self._loop or loop
        if before is None or before is loop:
            return
        if not before.is_closed():
            raise InvalidRequestError(
                "the engine is used by two event loops at one time, and its pool serves one; no "
                "connection was taken\n"
                "To fix it: make an engine in each loop, or one with poolclass=NullPool, which "
                "opens a connection for each use."
            )
        self._loop = loop
        self._number = next(_loops)
        self._pool = self._queue_class(self._pool.maxsize, use_lifo=self._pool.use_lifo)
        self._overflow = -self._pool.maxsize

    def _lender(self) -> object:
        return super()._lender(), self._number

    def _runs(self, timer: Any) -> bool:
        return bool(timer.runs)

    def _made_timer(self, seconds: float) -> Any:
        return _LoopTimer(seconds, self._look)


class _LoopTimer:
    """What ``threading.Timer`` does, in the thread of an event loop; it ends with that."""

    def __init__(self, seconds: float, call: Callable[[], object]) -> None:
        self._seconds = seconds
        self._call = call
        self._handle: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin to wait, where a loop runs."""
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # given back as the last of it is collected
        self._handle = self._loop.call_later(self._seconds, self._run)

    @property
    def runs(self) -> bool:
        """Whether it is still to come."""
        return (
            self._handle is not None
            and not self._handle.cancelled()
            and self._loop is not None
            and not self._loop.is_closed()
        )

    def cancel(self) -> None:
        """Do not come."""
        if self._handle is not None:
            self._handle.cancel()

    def _run(self) -> None:
        self._handle = None
        self._call()
