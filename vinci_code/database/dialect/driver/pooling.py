"""A pool that gives idle sessions back, and lets no credentials into tracebacks.

And what every pool of the dialect's engines does, whatever its class: see ``look_after``.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy import event, exc
from sqlalchemy.pool import QueuePool
from sqlalchemy.pool.base import reset_commit
from sqlalchemy.util import queue as sqla_queue
from sqlalchemy.util.concurrency import AsyncAdaptedLock

from vinci_code.core.redaction import redact_exception
from vinci_code.database.dialect.forking import in_child

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine
    from sqlalchemy.pool import ConnectionPoolEntry

IDLE_TIMEOUT = 600.0
"""Seconds after which an idle session is given back."""

_IDLE_SINCE = "vinci_idle_since"
_BEGUN = "vinci_begun"
_LENDER = "vinci_lender"

_log = logging.getLogger(__name__)


def look_after(engine: Engine) -> None:
    """Have nobody be given a connection that is not as it was when it was opened.

    * A connection that was opened before a fork is never used in the child: the child begins with
      an empty pool, and what finds its way into it all the same is replaced.
    * A connection whose session was changed while it was in use (USE, SET, temporary objects, a
      transaction or held writes that are still there) is closed when it is given back. What
      listeners of the pool's ``connect`` have changed is taken for what connections are to be like.
    """
    event.listen(engine, "checkout", _checked_out)
    event.listen(engine, "checkin", _checked_in)
    in_child(engine, _begin_anew)


def require_reset(engine: Engine) -> None:
    """Refuse a pool that commits what is given back: no caller would see an error.

    Raises:
        ArgumentError: It is one.
    """
    if engine.pool._reset_on_return is reset_commit:
        raise exc.ArgumentError(
            "pool_reset_on_return='commit' (reset_on_return of a pool): what is held would be "
            "written when a connection is closed, and an error of that would be told to nobody\n"
            "To fix it: leave it out, and commit what is to be written."
        )


class SessionPool(QueuePool):
    """SQLAlchemy's ``QueuePool``, whose connections do not outlive their use for ever.

    A session that nobody uses is ended after ``idle_timeout`` seconds, and a new one is opened when
    it is wanted. The most recently used is taken first, so that the others become idle. Nothing is
    asked of the warehouse meanwhile.

    Args:
        creator: Opens a connection.
        idle_timeout: Seconds; ``None`` keeps sessions for ever. ``create_engine`` takes it too.
        use_lifo: As of ``QueuePool``, and on where that has it off.
        **arguments: What ``QueuePool`` takes.
    """

    def __init__(
        self,
        creator: Callable[..., Any],
        # By position too: create_engine looks for no other arguments of a pool.
        idle_timeout: float | None = IDLE_TIMEOUT,
        use_lifo: bool = True,
        **arguments: Any,
    ) -> None:
        super().__init__(creator, use_lifo=use_lifo, **arguments)
        self._idle_timeout = idle_timeout
        self._timer_lock = threading.RLock()
        self._timer: Any = None
        self._disposed = False
        # SQLAlchemy's own is a plain one; see ``forking``.
        self._overflow_lock = threading.RLock()  # type: ignore[assignment]

    def recreate(self) -> SessionPool:
        """A new pool with the same settings, for after a ``dispose``."""
        return self.__class__(
            self._creator,
            idle_timeout=self._idle_timeout,
            pool_size=self._pool.maxsize,
            max_overflow=self._max_overflow,
            timeout=self._timeout,
            recycle=self._recycle,
            echo=self.echo,
            logging_name=self._orig_logging_name,
            use_lifo=self._pool.use_lifo,
            reset_on_return=self._reset_on_return,
            pre_ping=self._pre_ping,
            _dispatch=self.dispatch,
            dialect=self._dialect,
        )

    def dispose(self) -> None:
        """End the idle sessions, and stop looking for them; those in use end when they come back.

        An engine has another pool afterwards: nobody would take a session out of this one.
        """
        self._disposed = True
        with self._timer_lock:
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        super().dispose()

    def _lender(self) -> object:
        """What lends connections here; one that was lent by another is not taken back."""
        return os.getpid()

    def give_back_idle(self) -> int:
        """End the sessions that have been idle for too long.

        Returns:
            How many there were.
        """
        if self._idle_timeout is None:
            return 0
        limit = self._now() - self._idle_timeout
        waiting: list[ConnectionPoolEntry] = []
        # While they are here, nobody can be given one that is just being closed.
        while (record := self._take()) is not None:
            waiting.append(record)
        ended = 0
        for record in reversed(waiting) if self._pool.use_lifo else waiting:
            if record.info.get(_IDLE_SINCE, limit + 1) <= limit:
                self._end(record)
                ended += 1
            else:
                super()._do_return_conn(record)
        return ended

    def _should_wrap_creator(self, creator: Any) -> Callable[[ConnectionPoolEntry], Any]:
        """The same creator, whose exceptions hold nothing of the connect arguments.

        SQLAlchemy keeps these, the token among them, in the frames that a failure to connect goes
        through; a report that shows local variables would show it.
        """
        open_connection = super()._should_wrap_creator(creator)

        def create(record: ConnectionPoolEntry) -> Any:
            try:
                return open_connection(record)
            except BaseException as error:  # noqa: BLE001 - it goes on, without those locals
                raise redact_exception(error)  # noqa: B904 - the same object

        return create

    def _create_connection(self) -> ConnectionPoolEntry:
        record = super()._create_connection()
        assert record.record_info is not None  # noqa: S101 - entries of a pool have one
        record.record_info[_LENDER] = self._lender()
        return record

    def _now(self) -> float:
        return time.monotonic()

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        if not self._has_lent(record):
            # Lent by the parent's pool: this one has not counted it, and its locks may be held for
            # ever.
            record.close()
            return
        record.info[_IDLE_SINCE] = self._now()
        super()._do_return_conn(record)
        if self._disposed:
            while (kept := self._take()) is not None:
                self._end(kept)
        self._look_again_later()

    def _has_lent(self, record: ConnectionPoolEntry) -> bool:
        info = record.record_info
        return info is not None and info.get(_LENDER) == self._lender()

    def _take(self) -> ConnectionPoolEntry | None:
        try:
            return self._pool.get(False)
        except sqla_queue.Empty:
            return None

    def _end(self, record: ConnectionPoolEntry) -> None:
        try:
            record.close()
        except Exception as error:  # noqa: BLE001 - it is given up either way
            _log.debug("an idle session was not closed: %s", type(error).__name__)
        finally:
            self._dec_overflow()

    def _look_again_later(self) -> None:
        if self._idle_timeout is None:
            return
        with self._timer_lock:
            before = self._timer
            if before is not None and self._runs(before):
                return
            timer = self._made_timer(self._idle_timeout + 0.01)
            # The finaliser of a session may have begun to look meanwhile, in this thread.
            if self._disposed or self._timer is not before:
                return
            self._timer = timer
            timer.start()

    def _runs(self, timer: Any) -> bool:
        """Whether a timer is still to come: it does not survive a fork."""
        return bool(timer.is_alive())

    def _made_timer(self, seconds: float) -> Any:
        timer = threading.Timer(seconds, self._look)
        timer.daemon = True
        timer.name = "vinci: idle sessions"
        return timer

    def _look(self) -> None:
        with self._timer_lock:
            self._timer = None
        self.give_back_idle()
        if self.checkedin():
            self._look_again_later()


def _checked_out(connection: Any, record: ConnectionPoolEntry, proxy: Any) -> None:
    if connection.is_foreign:
        # SQLAlchemy's recipe for forks: without them, it closes neither and opens another one.
        record.dbapi_connection = proxy.dbapi_connection = None  # type: ignore[misc]
        raise exc.DisconnectionError(
            "the connection was opened before this process was forked, or by an event loop that "
            "has ended"
        )
    if record.info.get(_BEGUN) is not connection:
        record.info[_BEGUN] = connection
        connection.begin_use()


def _checked_in(connection: Any, record: ConnectionPoolEntry) -> None:
    if connection is not None and not connection.is_as_found:
        # The next one who wants it gets a new session, by the pool's own ``connect``.
        record.close()


def _begin_anew(engine: Engine) -> None:
    engine.dispose(close=False)
    opened: Any = engine.pool.dispatch.connect
    if hasattr(opened, "_exec_once_mutex"):
        # Held by a thread that was opening the engine's first connection.
        opened._exec_once_mutex = AsyncAdaptedLock() if opened._is_asyncio else threading.Lock()
