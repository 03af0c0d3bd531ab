"""The pools of users: bounded, and one for each token.

::

    with create_user_pools() as pools:
        with pools.connection_for(token) as connection:
            connection.execute(select(Order))
        with pools.session_for(token) as session, session.begin():
            session.add(Order(customer="Ada"))

Which user it is, the warehouse alone says: ``SELECT current_user()``. Nothing in a token is read.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Session

from vinci_code.core.config import DatabaseSettings, Settings, get_settings
from vinci_code.core.errors import (
    ConfigurationError,
    ConfigurationProblem,
    UserPoolsBusyError,
    UserTokenError,
)
from vinci_code.core.redaction import redact_exception
from vinci_code.database.databricks_connector import engine_arguments
from vinci_code.database.dialect.dberrors import AuthenticationFailed
from vinci_code.database.dialect.forking import in_child
from vinci_code.database.users.places import FORGOTTEN, User, UserPlaces, name_of
from vinci_code.database.users.pooling import UserPool
from vinci_code.database.users.tokens import (
    TokenDigests,
    UserCredentials,
    checked_end,
    checked_token,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.engine import ExceptionContext
    from typing_extensions import Self

MAX_USERS = 100
"""How many users may be connected at one time."""

CONNECTIONS_PER_USER = 2
"""How many connections each user may have."""

IDLE_TIMEOUT = 600.0
"""Seconds after which the pool of a user is closed that nobody uses."""

WAIT = 10.0
"""Seconds that a place, or a connection of one's own, is waited for."""

MakeEngine = Callable[[UserCredentials, dict[str, Any]], Engine]
"""Makes the engine of a user: of the credentials, and of what is to be given to create_engine."""


@dataclass(frozen=True)
class UserLimits:
    """How much is open at one time.

    Attributes:
        max_users: How many users may be connected.
        connections_per_user: How many connections each of them may have.
        idle_timeout: Seconds after which the pool of a user is closed that nobody uses.
        wait: Seconds that is waited where all places, or all of a user's connections, are in use.

    Raises:
        ValueError: One of them is no such number.
    """

    max_users: int = MAX_USERS
    connections_per_user: int = CONNECTIONS_PER_USER
    idle_timeout: float = IDLE_TIMEOUT
    wait: float = WAIT

    def __post_init__(self) -> None:
        for name in ("max_users", "connections_per_user"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ValueError(f"{name}={value!r}: it is a number, 1 or more")
        for name in ("idle_timeout", "wait"):
            value = getattr(self, name)
            if type(value) not in (int, float) or not 0 <= value < float("inf"):
                raise ValueError(f"{name}={value!r}: it is a number of seconds, 0 or more")


@dataclass(frozen=True)
class UserPoolsStatus:
    """What is open.

    Attributes:
        users: How many users have a pool.
        busy: How many of them use a connection.
        max_users: How many there may be.
    """

    users: int
    busy: int
    max_users: int


class AnyUserPools:
    """What the pools of users are, whatever waits in them.

    Args:
        make_engine: Makes the engine of a user.
        limits: How much is open at one time.
    """

    _pool_class: type[Any]

    def __init__(self, make_engine: MakeEngine, limits: UserLimits) -> None:
        self.limits = limits
        self._make_engine = make_engine
        self._places = UserPlaces(
            limits.max_users, limits.connections_per_user, limits.idle_timeout
        )
        self._digests = TokenDigests()
        self._is_closed = False
        in_child(self, AnyUserPools._after_fork)

    def status(self) -> UserPoolsStatus:
        """What is open now; nothing is asked of the warehouse."""
        users, busy = self._places.count()
        return UserPoolsStatus(users, busy, self.limits.max_users)

    def __repr__(self) -> str:
        state = self.status()
        closed = ", closed" if self._is_closed else ""
        return f"<{type(self).__name__}: {state.users} of {state.max_users} users{closed}>"

    def __reduce_ex__(self, protocol: object) -> Any:
        """Refuse to be pickled.

        Raises:
            TypeError: Always.
        """
        raise TypeError(
            f"{type(self).__name__} cannot be pickled: it holds the tokens of users, and their "
            "connections; make another one in the other process"
        )

    def _user(self, token: object, expires_at: datetime | None) -> User:
        """The user of a token, who is made where there is none.

        Raises:
            UserTokenError: It can be no token.
            InvalidRequestError: The pools were closed.
        """
        try:
            expires = checked_end(expires_at)
            if self._is_closed:
                raise InvalidRequestError(
                    "the pools of users were closed; nothing was contacted\n"
                    "To fix it: make others, by create_user_pools()."
                )
            digest = self._digest(token)
            user = self._places.find(digest) or self._places.add(self._made(digest, str(token)))
        except Exception as error:  # noqa: BLE001 - it goes on, without the locals of its frames
            raise redact_exception(error)  # noqa: B904 - the same object
        finally:
            del token
        self._places.limit(user, expires)
        return user

    def _find(self, token: object) -> User | None:
        """The user of a token, where there is one.

        Raises:
            UserTokenError: It can be no token.
        """
        try:
            return self._places.find(self._digest(token))
        finally:
            del token

    def _digest(self, token: object) -> bytes:
        try:
            return self._digests.digest(checked_token(token))
        except UserTokenError as error:
            raise redact_exception(error)  # noqa: B904 - the same object
        finally:
            del token

    def _made(self, digest: bytes, token: str) -> User:
        user = User(digest, UserCredentials(token, name_of(digest)), self._places)
        pool = {
            "poolclass": self._pool_class,
            "user": user,
            "admit": self._admit,
            "released": self._released,
            "pool_size": self.limits.connections_per_user,
            "max_overflow": 0,
            "pool_timeout": self.limits.wait,
            "idle_timeout": self.limits.idle_timeout,
        }
        user.engine = self._make_engine(user.credentials, pool)

        def handle(context: ExceptionContext) -> Exception | None:
            if not isinstance(context.original_exception, AuthenticationFailed):
                return None
            said = context.original_exception.args[0] if context.original_exception.args else ""
            self._end(user, f"the workspace did not accept it ({_first_line(said)})")
            return user.error()

        event.listen(user.engine, "handle_error", handle, retval=True)
        return user

    def _admit(self, user: User) -> None:
        """Give a user a place, which is waited for where all are busy.

        Raises:
            UserTokenEndedError: The token has ended.
            UserPoolsBusyError: All were busy for too long.
        """
        until: float | None = None
        while True:
            if self._is_closed:
                self._end(user, FORGOTTEN)
            seen = self._places.changes
            found = self._places.claim(user)
            if found is True:
                user.credentials.hold()
                return
            if found is not False:
                self._close(found)
                continue
            now = time.monotonic()
            until = now + self.limits.wait if until is None else until
            if now >= until:
                raise self._busy(user)
            self._wait(until - now, seen)

    def _wait(self, seconds: float, seen: int) -> None:
        """Wait until there were changes since ``seen``, at most for so long."""
        raise NotImplementedError

    def _busy(self, user: User) -> UserPoolsBusyError:
        if self._places.has_place(user):
            return UserPoolsBusyError(
                f"all {self.limits.connections_per_user} connections of user {user.name} are in "
                f"use, and none was given back within {self.limits.wait:g} s; nothing was sent\n"
                "To fix it: give connections back earlier, or allow for more with "
                "connections_per_user."
            )
        return UserPoolsBusyError(
            f"{self.limits.max_users} users are connected, which is as many as there may be, and "
            f"each of them has used a connection for {self.limits.wait:g} s; nothing was sent\n"
            "To fix it: answer the request with 503, give connections back earlier, or allow for "
            "more with max_users."
        )

    def _released(self, user: User) -> None:
        if self._places.release(user):
            self._close(user)

    def _close(self, user: User) -> None:
        """Close the idle connections of a user, as ``UserPlaces`` has asked for."""
        is_over = False
        try:
            user.pool.close_idle()
        finally:
            is_over = self._places.closed(user)
        if is_over:
            self._settle(user)

    def _end(self, user: User, reason: str) -> None:
        """Close what a token has open, and whatever is given back of it from now on."""
        if self._places.end(user, reason):
            self._close(user)

    def _settle(self, user: User) -> None:
        """Forget the secret of a user of whom nothing is open."""
        if user.ended is None:
            user.credentials.release()
        else:
            user.credentials.forget()

    def _due(self) -> int:
        """Close the pools that were idle for too long, and those of tokens that have expired."""
        count = 0
        while (user := self._places.due()) is not None:
            self._close(user)
            count += 1
        return count

    def _after_fork(self) -> None:
        self._places.after_fork()


class UserPools(AnyUserPools):
    """Connections of users, each from a pool of its token's own.

    As a context manager it closes all of them. It is safe to use from several threads; a forked
    child begins with empty pools. The other way to one is ``create_user_pools``.

    Args:
        make_engine: Makes the engine of a user.
        limits: How much is open at one time.
    """

    _pool_class = UserPool

    def __init__(self, make_engine: MakeEngine, limits: UserLimits | None = None) -> None:
        super().__init__(make_engine, limits or UserLimits())

    def connection_for(self, user_token: str, *, expires_at: datetime | None = None) -> Connection:
        """A connection that acts for a user, which its ``with`` block gives back.

        Args:
            user_token: The token, as the header ``X-Forwarded-Access-Token`` has it.
            expires_at: When it ends, where that is known; with a time zone.

        Raises:
            UserTokenError: It can be no token.
            UserTokenEndedError: It has ended, or the workspace does not accept it.
            UserPoolsBusyError: All places, or all connections of this user, were in use for too
                long.
            sqlalchemy.exc.DBAPIError: The warehouse could not be reached.
        """
        try:
            user = self._user(user_token, expires_at)
        finally:
            del user_token  # or a report that shows the locals of a failure would show it
        return user.engine.connect()

    def session_for(
        self,
        user_token: str,
        *,
        expires_at: datetime | None = None,
        **options: Any,
    ) -> Session:
        """A session that acts for a user; its first statement takes a connection.

        Args:
            user_token: As of ``connection_for``.
            expires_at: As of ``connection_for``.
            **options: What ``Session`` takes beside; objects keep their values after a commit
                unless ``expire_on_commit`` says otherwise.

        Raises:
            UserTokenError: It can be no token.
            UserTokenEndedError: It has ended; later, each statement may raise it.
        """
        try:
            user = self._user(user_token, expires_at)
        finally:
            del user_token
        return Session(user.engine, **{"expire_on_commit": False, **options})

    def forget(self, user_token: str) -> None:
        """End a token, as its user signs out: its pool is closed at once.

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

    def give_back_idle(self) -> int:
        """Close the pools that were idle for too long, and those of tokens that have expired.

        Each use of a pool does so; this is for schedulers of applications that nobody uses.

        Returns:
            How many there were.
        """
        return self._due()

    def close(self) -> None:
        """Close all pools for good; what is in use is closed as it is given back."""
        self._is_closed = True
        for user in self._places.all():
            self._end(user, FORGOTTEN)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _wait(self, seconds: float, seen: int) -> None:
        places = self._places
        with places.freed:
            places.freed.wait_for(lambda: places.changes != seen, seconds)


def create_user_pools(
    settings: Settings | DatabaseSettings | None = None,
    *,
    max_users: int = MAX_USERS,
    connections_per_user: int = CONNECTIONS_PER_USER,
    idle_timeout: float = IDLE_TIMEOUT,
    wait: float = WAIT,
    **options: Any,
) -> UserPools:
    """Make the pools for users of the warehouse that the settings name; nothing is contacted.

    The credentials of the settings are the application's own, and are not used here.

    Args:
        settings: The settings to use instead of those of the environment.
        max_users: How many users may be connected at one time. Where there would be one more, the
            pool that is idle for longest is closed.
        connections_per_user: How many connections each of them may have.
        idle_timeout: Seconds after which the pool of a user is closed that nobody uses.
        wait: Seconds that is waited where all places, or all of a user's connections, are in use.
        **options: What ``sqlalchemy.create_engine`` takes beside, for the engine of each user.

    Raises:
        ConfigurationError: The configuration cannot be used, has Databricks switched off, or a
            fallback switched on.
        MissingExtraError: The driver is not installed.
        ValueError: A limit is no such number.
    """
    limits = UserLimits(max_users, connections_per_user, idle_timeout, wait)
    return UserPools(engines_from(settings, options, "databricks+vinci", create_engine), limits)


def engines_from(
    settings: Settings | DatabaseSettings | None,
    options: dict[str, Any],
    drivername: str,
    create: Callable[..., Engine],
) -> MakeEngine:
    """What makes engines of users, by the settings and with their tokens.

    Raises:
        ConfigurationError: As of ``create_user_pools``.
    """
    if settings is None:
        settings = get_settings()
    database = settings.database if isinstance(settings, Settings) else settings
    _refuse_fallback(database)
    # As every engine of the house does: what JSON would change is refused.
    from vinci_code.database.models.types import dump_json

    url, arguments = engine_arguments(
        database, {"json_serializer": dump_json, **options}, drivername
    )
    connect_args = dict(arguments.pop("connect_args"))
    del connect_args["credentials_provider"]

    def make_engine(credentials: UserCredentials, pool: dict[str, Any]) -> Engine:
        signed = {**connect_args, "credentials_provider": credentials}
        return create(url, connect_args=signed, **{**arguments, **pool})

    return make_engine


def _refuse_fallback(database: DatabaseSettings) -> None:
    """Refuse what would run under the application's own identity what a user has asked for."""
    if database.use_databricks and database.databricks_fallback != "off":
        raise ConfigurationError(
            [
                ConfigurationProblem(
                    variable="DATABRICKS_FALLBACK",
                    found=f"{database.databricks_fallback}, with connections for users",
                    accepted="off, where users have connections of their own: what waits in the "
                    "file of the fallback is sent with the credentials of the application, and "
                    "what its mirror holds was read with them",
                    fix="set DATABRICKS_FALLBACK=off",
                )
            ]
        )


def _first_line(text: object) -> str:
    return str(text).partition("\n")[0]
