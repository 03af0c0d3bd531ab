"""Connections that count who uses them, in place of a driver's: for a hundred thousand of them."""

from __future__ import annotations

import os
import threading
from collections import Counter
from typing import Any

from sqlalchemy import Engine, create_engine

from vinci_code.database.users.pools import UserLimits, UserPools
from vinci_code.database.users.tokens import UserCredentials

URL = "databricks+vinci://localhost?http_path=/sql/1.0/warehouses/abc"


class CountedConnection:
    """What the pool needs of a connection, and the token that it was opened with."""

    initial_schema = "default"
    in_transaction = False

    def __init__(self, world: CountedWorld, credentials: UserCredentials) -> None:
        self.world = world
        self.credentials = credentials
        self.token = credentials.headers()["Authorization"].partition(" ")[2]
        self.process = os.getpid()
        self.unit: Any = None
        self.changed = False
        self.closed = False
        # The thread that uses it just now.
        self.user_of_now: int | None = None
        with world.lock:
            world.opened[self.token] += 1
            world.open[self.token] += 1
            world.most = max(world.most, sum(world.open.values()))
            world.open_of[credentials] += 1
            world.most_users = max(world.most_users, len(+world.open_of))
            world.most_of_one = max(world.most_of_one, world.open_of[credentials])

    @property
    def is_foreign(self) -> bool:
        return self.process != os.getpid()

    @property
    def is_as_found(self) -> bool:
        return not self.changed

    def observe(self, observer: object) -> None:
        """Tell nobody: nothing is sent."""

    def begin_use(self) -> None:
        self.changed = False

    def rollback(self) -> None:
        self.world.rolled_back += 1

    def commit(self) -> None:
        raise AssertionError("nothing is committed here")

    def cursor(self) -> Any:
        raise AssertionError("nothing is executed here")

    def close(self) -> None:
        if self.is_foreign:
            return
        assert not self.closed, "closed twice"
        self.closed = True
        with self.world.lock:
            self.world.open[self.token] -= 1
            self.world.open_of[self.credentials] -= 1


class CountedWorld:
    """How many connections there were, by token.

    Attributes:
        open: How many are open.
        opened: How many were opened.
        most: How many were open at one time.
        most_users: Of how many pools.
        most_of_one: Of one pool.
        failures: How many of the next openings fail.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.open: Counter[str] = Counter()
        # By what they are signed with: a token that was forgotten in use, and came again, has two.
        self.open_of: Counter[UserCredentials] = Counter()
        self.opened: Counter[str] = Counter()
        self.most = self.most_users = self.most_of_one = 0
        self.rolled_back = 0
        self.failures = 0

    def engine(self, credentials: UserCredentials, pool: dict[str, Any]) -> Engine:
        def create() -> CountedConnection:
            with self.lock:
                fails, self.failures = self.failures > 0, max(0, self.failures - 1)
            if fails:
                raise ConnectionRefusedError("scripted")
            return CountedConnection(self, credentials)

        return create_engine(URL, creator=create, **pool)

    def pools(self, **limits: Any) -> UserPools:
        return UserPools(self.engine, UserLimits(**{"wait": 0.0, **limits}))

    def open_now(self) -> dict[str, int]:
        return dict(+self.open)


def token_of(connection: Any) -> str:
    """The token that a connection was opened with."""
    opened: CountedConnection = connection.connection.dbapi_connection
    return opened.token
