"""The pool of one user, which lends nothing once the token has ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vinci_code.database.dialect.driver.async_pooling import AsyncSessionPool
from vinci_code.database.dialect.driver.pooling import SessionPool

if TYPE_CHECKING:
    from sqlalchemy.pool import ConnectionPoolEntry

    from vinci_code.database.users.places import User


class OfUser(SessionPool):
    """What the pool of a user adds to that of an engine.

    A connection is lent where its user has a place (``admit``), and closed as it is given back
    where the token has ended. What is waited for is waited for there, and never here. No timer
    looks for idle sessions: whoever asks any pool of them does.

    Args:
        creator: Opens a connection.
        user: Whose it is.
        admit: Gives the user a place, or raises.
        released: Is told that a connection was given back.
        **arguments: What ``SessionPool`` takes.
    """

    def __init__(
        self,
        creator: Callable[..., Any],
        user: User | None = None,
        admit: Callable[[User], None] | None = None,
        released: Callable[[User], None] | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(creator, **arguments)
        assert user is not None and admit is not None and released is not None  # noqa: S101, PT018
        self._user = user
        self._admit = admit
        self._released = released

    def recreate(self) -> OfUser:
        """A new pool of the same user, for after a ``dispose``."""
        return self.__class__(
            self._creator,
            user=self._user,
            admit=self._admit,
            released=self._released,
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

    def close_idle(self) -> None:
        """End the sessions that nobody uses."""
        while (record := self._take()) is not None:
            self._end(record)

    def _do_get(self) -> ConnectionPoolEntry:
        self._admit(self._user)
        try:
            record = super()._do_get()
            if self._user.has_ended():  # meanwhile
                self._end(record)
                raise self._user.error()
        except BaseException:
            self._released(self._user)
            raise
        return record

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        if not self._has_lent(record):
            super()._do_return_conn(record)
            return
        try:
            super()._do_return_conn(record)
            if self.checkedin() > 1:
                self._close_stale()
            # Asked afterwards: who ends the token may have looked before this one was there. Nobody
            # is lent it meanwhile, since who gets one asks, too.
            if self._user.has_ended():
                self.close_idle()
        finally:
            self._released(self._user)

    def _close_stale(self) -> None:
        with self._user.places.trimming(self._user) as alone:
            if alone:
                self.give_back_idle()

    def _look_again_later(self) -> None:
        """Start nothing in the background."""


class UserPool(OfUser):
    """The pool of a user."""


class AsyncUserPool(OfUser, AsyncSessionPool):
    """The pool of a user, for an event loop."""
