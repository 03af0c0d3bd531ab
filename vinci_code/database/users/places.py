"""Who is connected: as many users as there may be, the least recently used of the idle ones last.

A user has a place from the first connection on, until the pool was idle for too long, was closed
for another user, or the token has ended. Nothing runs in the background: what is due is found out
when something is asked for.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from vinci_code.core.errors import UserTokenEndedError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from vinci_code.database.users.tokens import UserCredentials

EXPIRED = "it has expired, as 'expires_at' has said"
FORGOTTEN = "it was ended by the application, by forget() or close()"


class User:
    """A token, as its pool and its engine know it.

    Attributes:
        digest: What the token is told from others by.
        name: What messages call the user: the beginning of the digest.
        credentials: What requests are signed with.
        places: Where a place is to be had.
        engine: Its engine, once there.
        expires: When the token ends, in seconds since the epoch; ``None`` where nobody has said it.
        ended: Why the token is good no longer; ``None`` while it is.
        leases: How many connections are in use, or are just being opened.
        closings: How many close its idle connections just now; meanwhile nobody is lent one.
        used: When one was lent or given back last, on the clock of ``UserPlaces``.
    """

    engine: Engine

    def __init__(self, digest: bytes, credentials: UserCredentials, places: UserPlaces) -> None:
        self.digest = digest
        self.name = name_of(digest)
        self.credentials = credentials
        self.places = places
        self.expires: float | None = None
        self.ended: str | None = None
        self.leases = self.closings = 0
        self.used = 0.0

    @property
    def pool(self) -> Any:
        """The pool of its engine, ``pooling.OfUser``; another one after that was disposed of."""
        return self.engine.pool

    def has_ended(self) -> bool:
        """Whether the token is good no longer, as far as is known now."""
        return self.places.has_ended(self)

    @property
    def is_idle(self) -> bool:
        """Whether nobody uses a connection of it, nor closes any."""
        return not self.leases and not self.closings

    def error(self) -> UserTokenEndedError:
        """What who asks for a connection is told."""
        return UserTokenEndedError(
            f"the token of user {self.name} is good no longer: {self.ended}; its connections were "
            "closed, and those of other users were not\n"
            "To fix it: answer the request with 401, so that the user signs in again, and use the "
            "token of the next request. Where it is new, check that the app has the scope 'sql', "
            "and that the user may use the warehouse.",
            self.name,
        )

    def __repr__(self) -> str:
        return f"<User {self.name}, {self.ended or 'good'}>"


def name_of(digest: bytes) -> str:
    """What messages call the user of a token."""
    return digest[:4].hex()


class UserPlaces:
    """The places of users, safe to use from several threads.

    Args:
        most: How many users may be connected at one time.
        most_of_one: How many connections each of them may use.
        idle_timeout: Seconds after which the pool of a user is closed that nobody uses.

    Attributes:
        freed: The lock; who waits for a place waits here for ``changes`` to be another number.
    """

    def __init__(self, most: int, most_of_one: int, idle_timeout: float) -> None:
        self.most = most
        self.most_of_one = most_of_one
        self.idle_timeout = idle_timeout
        self._renew()
        # In the order in which they were used last.
        self._placed: dict[User, None] = {}
        # Those without a place, too, as long as a session knows them.
        self._known: weakref.WeakValueDictionary[bytes, User] = weakref.WeakValueDictionary()

    def _renew(self) -> None:
        # Taken twice by one thread where a session is collected that nobody has closed: see
        # ``forking``.
        self.freed = threading.Condition(threading.RLock())
        self.changes = 0

    def after_fork(self) -> None:
        """In a child: what is in use belongs to the parent."""
        self._renew()
        for user in list(self._known.values()):
            user.leases = user.closings = 0

    def now(self) -> float:
        """The clock that idle time is measured by."""
        return time.monotonic()

    def wall_clock(self) -> float:
        """The clock that tokens end by, in seconds since the epoch."""
        return time.time()

    def find(self, digest: bytes) -> User | None:
        """The user of a token that has not ended."""
        found = self._known.get(digest)
        return None if found is None or found.ended is not None else found

    def add(self, user: User) -> User:
        """Know a user from now on; the one that is known already, where another was faster."""
        with self.freed:
            known = self.find(user.digest)
            if known is not None:
                return known
            self._known[user.digest] = user
            return user

    def limit(self, user: User, expires: float | None) -> None:
        """Note when a token ends; of two who say it, the earlier is believed."""
        with self.freed:
            if expires is not None and (user.expires is None or expires < user.expires):
                user.expires = expires

    def claim(self, user: User) -> User | bool:
        """Lend a connection to a user, who needs a place for it.

        Returns:
            ``True`` if there is one; ``False`` if all are in use; or somebody whose idle
            connections are to be closed first (``closed``), after which it is asked again.

        Raises:
            UserTokenEndedError: The token is good no longer.
        """
        with self.freed:
            due = self.due()
            if due is not None:
                return due
            self._expire(user, self.wall_clock())
            if user.ended is not None:
                raise user.error()
            if user.closings or user.leases >= self.most_of_one:
                return False
            if user not in self._placed and len(self._placed) >= self.most:
                idle = next((other for other in list(self._placed) if other.is_idle), None)
                return False if idle is None else self._reserved(idle)
            user.leases += 1
            self._touch(user)
            return True

    def due(self) -> User | None:
        """Somebody whose idle connections are to be closed (``closed``), as their time is over."""
        with self.freed:
            limit, wall = self.now() - self.idle_timeout, self.wall_clock()
            for user in list(self._placed):
                self._expire(user, wall)
                if user.is_idle and (user.used <= limit or user.ended is not None):
                    return self._reserved(user)
            return None

    def closed(self, user: User) -> bool:
        """Take note that the idle connections of a user were closed.

        Returns:
            Whether nothing of the user is open any more, so that there is a place for another one.
        """
        with self.freed:
            user.closings -= 1
            return self._left(user)

    def release(self, user: User) -> bool:
        """Take note that a connection was given back.

        Returns:
            Whether it was the last one of a token that has ended; then the idle connections are to
            be closed (``closed``), since it may have ended after who gave it back has looked.
        """
        with self.freed:
            user.leases -= 1
            if user in self._placed:
                self._touch(user)
            is_last = user.ended is not None and user.is_idle
            if is_last:
                self._reserved(user)
            self._tell()
            return is_last

    @contextmanager
    def trimming(self, user: User) -> Iterator[bool]:
        """Whether who gives back a connection is the only one who could use any of the user's.

        Meanwhile nobody is lent one.
        """
        with self.freed:
            alone = user.leases == 1 and not user.closings
            user.closings += alone
        try:
            yield alone
        finally:
            with self.freed:
                user.closings -= alone
                self._tell()

    def end(self, user: User, reason: str) -> bool:
        """Take a token as good no longer.

        Returns:
            Whether it was good until now; then its idle connections are to be closed (``closed``).
        """
        with self.freed:
            if user.ended is not None:
                return False
            self._note_end(user, reason)
            user.closings += 1
            return True

    def has_ended(self, user: User) -> bool:
        """Whether a token is good no longer, as far as is known now."""
        with self.freed:
            self._expire(user, self.wall_clock())
            return user.ended is not None

    def all(self) -> list[User]:
        """Every user that is known, and every one that has a place."""
        with self.freed:
            return list({**dict.fromkeys(self._known.values()), **self._placed})

    def count(self) -> tuple[int, int]:
        """How many users have a place, and how many of these are busy."""
        with self.freed:
            placed = list(self._placed)
            return len(placed), sum(user.leases > 0 for user in placed)

    def has_place(self, user: User) -> bool:
        """Whether a user has a place."""
        return user in self._placed

    def _tell(self) -> None:
        self.changes += 1
        self.freed.notify_all()

    def _reserved(self, user: User) -> User:
        user.closings += 1
        return user

    def _left(self, user: User) -> bool:
        """Take the place of a user of whom nothing is open."""
        is_over = not user.leases and not user.closings
        if is_over:
            self._placed.pop(user, None)
        self._tell()
        return is_over

    def _note_end(self, user: User, reason: str) -> None:
        user.ended = reason
        if self._known.get(user.digest) is user:
            del self._known[user.digest]
        self._tell()  # who waits for it is told

    def _expire(self, user: User, wall: float) -> None:
        if user.ended is None and user.expires is not None and user.expires <= wall:
            self._note_end(user, EXPIRED)

    def _touch(self, user: User) -> None:
        user.used = self.now()
        self._placed.pop(user, None)
        self._placed[user] = None
