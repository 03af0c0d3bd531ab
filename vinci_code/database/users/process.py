"""The pools of users of this process, made from its settings when they are first asked for."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from vinci_code.core.config import Settings, get_settings
from vinci_code.database.dialect.forking import renew_lock_in_child
from vinci_code.database.users.pools import UserPools, create_user_pools

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session


def connection_for(user_token: str, *, expires_at: datetime | None = None) -> Connection:
    """A connection of this process that acts for a user, which its ``with`` block gives back.

    ::

        with connection_for(request.headers["X-Forwarded-Access-Token"]) as connection:
            connection.execute(select(Order))

    The limits are those of ``create_user_pools``; who needs others makes pools by that.

    Args:
        user_token: The token of the user.
        expires_at: When it ends, where that is known; with a time zone.

    Raises:
        ConfigurationError: The configuration cannot be used.
        Exception: What ``UserPools.connection_for`` raises.
    """
    try:
        return user_pools().connection_for(user_token, expires_at=expires_at)
    finally:
        del user_token  # or a report that shows the locals of a failure would show it


def session_for(user_token: str, *, expires_at: datetime | None = None, **options: Any) -> Session:
    """A session of this process that acts for a user; its first statement takes a connection.

    Args:
        user_token: The token of the user.
        expires_at: When it ends, where that is known; with a time zone.
        **options: What ``Session`` takes beside.

    Raises:
        ConfigurationError: The configuration cannot be used.
        Exception: What ``UserPools.session_for`` raises.
    """
    try:
        return user_pools().session_for(user_token, expires_at=expires_at, **options)
    finally:
        del user_token


def forget_user(user_token: str) -> None:
    """End a token in this process, as its user signs out: its pool is closed at once.

    Raises:
        UserTokenError: It can be no token.
    """
    current = _holder.current
    try:
        if current is not None:
            current.pools.forget(user_token)
    finally:
        del user_token


def user_pools() -> UserPools:
    """The pools of this process; after ``reload_settings()`` there are others.

    Raises:
        ConfigurationError: The configuration cannot be used.
    """
    return _holder.get(get_settings())


def close_user_pools() -> None:
    """Close the pools of this process; the next use makes others."""
    _holder.close()


class _PoolsMade(NamedTuple):
    settings: Settings
    pools: UserPools


class _PoolsHolder:
    """The pools of a process, together with the settings that they were made from."""

    def __init__(self) -> None:
        self.current: _PoolsMade | None = None
        self._lock = threading.RLock()
        renew_lock_in_child(self)

    def get(self, settings: Settings) -> UserPools:
        current = self.current
        if current is not None and current.settings is settings:
            return current.pools
        with self._lock:
            current = self.current
            if current is None or current.settings is not settings:
                self.close()
                current = self.current = _PoolsMade(settings, create_user_pools(settings))
            return current.pools

    def close(self) -> None:
        with self._lock:
            current, self.current = self.current, None
        if current is not None:
            current.pools.close()


_holder = _PoolsHolder()
