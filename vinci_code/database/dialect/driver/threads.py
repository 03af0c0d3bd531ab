"""A thread for each connection, so that an event loop need not wait for the warehouse.

The driver waits for its answers. What a task of an event loop wants of a connection is done in the
connection's own thread, one thing after the other, and the task waits as tasks do. Nothing of a
connection is sent by another thread: the loop's own is refused.

Where a task is cancelled, the thread is asked to stop (``stopping``): it cancels its statement and
sends nothing more. Nobody waits for what has only read. Where something may have been written, the
task waits until it is known what became of it, and is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import os
import queue
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from vinci_code.database.dialect import forking
from vinci_code.database.dialect.dberrors import (
    AmbiguousWriteError,
    InterfaceError,
    PartialCommitError,
    SessionLostError,
    WrittenAnyway,
)
from vinci_code.database.dialect.driver import dbapi
from vinci_code.database.dialect.driver.connecting import Arguments
from vinci_code.database.dialect.driver.stopping import Stop
from vinci_code.database.dialect.driver.transport import Call

CUT_AFTER = 10.0
"""Seconds that an answer is waited for by who may have written, before it is taken for lost."""

OPENING_EVERY = 0.05
"""Seconds from the beginning of one opening to the next, in this process.

The driver reads the certificates of the system for each connection, which takes about 40 ms of a
processor. Twenty threads that did so at once held an event loop up for 300 ms.
"""

# How often a thread that has nothing to do looks whether its event loop is still there: nobody
# tells it when a loop ends.
_LOOK_EVERY = 1.0

# How long the disposal of an engine waits for threads before and after it cuts them off, and how
# often it looks.
_PATIENCE = 6.0
_SOON = 0.005

_log = logging.getLogger(__name__)

_Given = TypeVar("_Given")

# What a cancelled task is told instead of its cancellation: it would be taken for "not written".
_TOLD = (AmbiguousWriteError, PartialCommitError)


class _Openings:
    """Has the openings of a process begin one after the other; in asyncio many come at once."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        forking.renew_lock_in_child(self)
        self._next = 0.0

    def delay(self) -> float:
        """How many seconds this one is to wait."""
        with self._lock:
            now = time.monotonic()
            begins = max(now, self._next)
            self._next = begins + OPENING_EVERY
            return begins - now


_openings = _Openings()


class OwnedConnection(dbapi.Connection):
    """A connection that sends from the thread that has opened it, and from no other."""

    def __init__(self, arguments: Arguments, stop: Stop) -> None:
        self._owner = threading.get_ident()
        super().__init__(arguments, stop)

    def _call(self, repeatable: bool, *limit: Any) -> Call:
        if threading.get_ident() != self._owner:
            raise InterfaceError(
                "a request would have been sent from another thread than the connection's own, "
                "and an event loop would have waited for it; nothing was sent\n"
                "To fix it: use it through AsyncConnection or AsyncSession, or by their run_sync()."
            )
        return super()._call(repeatable, *limit)


class ConnectionThread:
    """The thread of one connection.

    It ends when the connection is closed, or left, and by itself soon after its event loop has
    ended; the session on the warehouse ends with it.

    Attributes:
        connection: The connection, once it is open.
    """

    connection: OwnedConnection

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._stop = Stop()
        self._is_closing = self._is_left = False
        self._thread = threading.Thread(target=self._work, name="vinci: a connection", daemon=True)
        self._thread.start()

    def open(self, arguments: dict[str, Any]) -> None:
        """Open the connection; the dictionary is empty afterwards. Work for ``run``."""
        stop = self._stop
        stop.pause(_openings.delay())
        self.connection = dbapi.opened(arguments, lambda found: OwnedConnection(found, stop))

    @property
    def is_current(self) -> bool:
        """Whether it is this thread."""
        return threading.get_ident() == self._thread.ident

    @property
    def is_over(self) -> bool:
        """Whether nothing can be done in it any more."""
        return self._is_closing or self.is_foreign

    @property
    def is_foreign(self) -> bool:
        """Whether it is one of the process that this one was forked from, which has no copy."""
        return self._process != os.getpid()

    @property
    def has_lost_its_loop(self) -> bool:
        """Whether the event loop that has opened the connection has ended."""
        return self._loop.is_closed()

    async def run(self, work: Callable[[], _Given]) -> _Given:
        """What some work gives, or raises, that is done in the thread.

        Raises:
            CancelledError: asyncio's. Its cause says what became of the work, where it is known:
                an error of it, or ``WrittenAnyway``.
            AmbiguousWriteError: The task was cancelled, and whether it has written is not known.
        """
        self._require_usable()
        job = _Job(work)
        self._jobs.put(job)
        try:
            await asyncio.shield(job.done)
        except asyncio.CancelledError as cancelled:
            await self._cancelled(job, cancelled)
        given: _Given = job.outcome()
        return given

    def post(self, work: Callable[[], object]) -> None:
        """Have something done in the thread that nobody waits for."""
        if not self.is_over:
            self._jobs.put(_Job(work, waited_for=False))

    def leave(self) -> None:
        """Have the thread stop what it does, close the connection, and end; nobody waits for it.

        It may be called from anywhere, by the garbage collector too.
        """
        if self.is_foreign or self._is_left:
            return
        self._is_closing = self._is_left = True
        self._stop.ask()
        self._jobs.put(None)

    def finish(self) -> None:
        """Have the thread close the connection, and end, once it has done what it was given.

        Nobody waits for it: a cancellation that met who waits would hide that a commit, right
        before, was successful.
        """
        if not self.is_over:
            self._is_closing = True
            self._jobs.put(None)

    async def ended(self, seconds: float) -> bool:
        """Whether the thread, which was told to end, has ended within so many seconds."""
        until = time.monotonic() + seconds
        while self._thread.is_alive() and not self.is_foreign:
            if time.monotonic() >= until:
                return False
            await asyncio.sleep(_SOON)
        forking.await_end(self._thread)
        return True

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended yet."""
        return self._thread.is_alive() and not self.is_foreign

    def cut(self) -> None:
        """Have the request that the thread waits for fail, as where the network is lost."""
        opened = getattr(self, "connection", None)
        if opened is not None:
            opened.cut()

    def _require_usable(self) -> None:
        if self.is_foreign:
            raise SessionLostError(
                "the connection was opened before this process was forked, and is its parent's; "
                "nothing was sent\nTo fix it: open a connection in the child."
            )
        if self.is_over:
            raise InterfaceError("the connection is closed")

    async def _cancelled(self, job: _Job, cancelled: asyncio.CancelledError) -> NoReturn:
        if not job.stop.ask():
            self.leave()
            raise cancelled
        await self._settled(job)
        error = job.error
        if isinstance(error, _TOLD):
            raise error
        if error is None and not self.connection.in_transaction:
            raise cancelled from WrittenAnyway(
                "what was cancelled had been written before the warehouse was told"
            )
        raise cancelled from error

    async def _settled(self, job: _Job) -> None:
        """Wait until it is known what became of work that may have written."""
        until = time.monotonic() + CUT_AFTER
        is_cut = False
        while not job.done.done():
            left = until - time.monotonic()
            if left <= 0 and not is_cut:
                is_cut = True
                self.cut()
            try:
                await asyncio.wait({job.done}, timeout=None if is_cut else left)
            except asyncio.CancelledError:
                continue  # once more: it is asked to end already

    def _work(self) -> None:
        while not self._loop.is_closed():
            try:
                job = self._jobs.get(timeout=_LOOK_EVERY)
            except queue.Empty:
                continue
            if job is None:
                break
            self._do(job)
            del job  # and with it what it refers to
        self._is_closing = True
        opened = getattr(self, "connection", None)
        if opened is not None:
            opened.close()
        self._refuse_what_waits()

    def _do(self, job: _Job) -> None:
        self._stop = job.stop
        opened = getattr(self, "connection", None)
        if opened is not None:
            opened.stop = job.stop
        if self._is_left or job.stop.asked:
            job.refuse(InterfaceError("the connection is closed"))
        else:
            job.run()

    def _refuse_what_waits(self) -> None:
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return
            if job is not None:
                job.refuse(InterfaceError("the connection is closed"))


class ThreadsOfEngine:
    """The threads of an engine's connections, which nothing keeps here."""

    def __init__(self) -> None:
        self._threads: weakref.WeakSet[ConnectionThread] = weakref.WeakSet()

    def add(self, thread: ConnectionThread) -> None:
        """Keep a thread in mind."""
        self._threads.add(thread)

    @property
    def are_alive(self) -> bool:
        """Whether one of them has not ended yet."""
        return any(thread.is_alive for thread in self._threads)

    async def ended(self) -> None:
        """Wait for the threads that were told to end, those that nobody waits for among them.

        One that waits for an answer is cut off from it after a while. What cannot be cut off, such
        as the resolution of a name, is left behind, and is said.
        """
        ending = [thread for thread in self._threads if thread.is_over]
        late = [thread for thread in ending if not await thread.ended(_PATIENCE)]
        for thread in late:
            thread.cut()
        left = [thread for thread in late if not await thread.ended(_PATIENCE)]
        if left:
            _log.warning(
                "%d connections could not be closed in time; they go on closing", len(left)
            )


class _Job:
    """Something to be done in a thread, for a task."""

    def __init__(self, work: Callable[[], Any], *, waited_for: bool = True) -> None:
        self.stop = Stop()
        self.error: BaseException | None = None
        # What of it is the task's, such as the flush that runs, is seen in the thread too.
        self._context = contextvars.copy_context()
        self._work = work
        self._given: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        if waited_for:
            self._loop = asyncio.get_running_loop()
            self.done: asyncio.Future[None] = self._loop.create_future()

    def run(self) -> None:
        """Do it, in the thread, and tell the task."""
        try:
            self._given = self._context.run(self._work)
        except BaseException as error:  # noqa: BLE001 - raised by the task that waits
            self.error = error
        self._tell()

    def refuse(self, error: Exception) -> None:
        """Have it fail without being done."""
        self.error = error
        self._tell()

    def outcome(self) -> Any:
        """What the work has given, or raised."""
        error, self.error = self.error, None
        if error is None:
            return self._given
        try:
            raise error
        finally:
            del error  # which refers to this frame

    def _tell(self) -> None:
        if self._loop is not None:
            # The loop may have ended, so that nobody waits.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._set_done)

    def _set_done(self) -> None:
        if not self.done.done():
            self.done.set_result(None)
