"""Two hundred users, twenty threads: never a connection of one under the token of another.

Most of it is with connections that count, in place of a driver; some thousand check-outs go through
the vendor's driver, and what the local warehouse has recorded of each statement says whose it was.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests.database.users.counted import CountedWorld, token_of
from tests.full import full
from tests.patience import PATIENCE_S
from vinci_code.core.config import DatabaseSettings
from vinci_code.core.errors import UserPoolsBusyError, UserTokenEndedError
from vinci_code.core.redaction.text import exact_values
from vinci_code.database.users.pools import UserPools, create_user_pools
from vinci_code.warehouse import Fault, LocalWarehouse

SEED = 20260131
REFUSALS = (UserTokenEndedError, UserPoolsBusyError)


class Crowd:
    """Users whose tokens are renewed now and then, and threads that act for them.

    Attributes:
        done: What became of the check-outs.
        crossings: What went wrong.
    """

    def __init__(self, seed: int, users: int, threads: int, checkouts: int) -> None:
        self.seed, self.threads, self.checkouts = seed, threads, checkouts
        self.names = [f"user-{number:03}@example.com" for number in range(users)]
        # One lock for each: a token that was renewed is one that nobody uses any more.
        self.generations = Counter[str]()
        self.done = Counter[str]()
        self.crossings: list[str] = []
        self._lock = threading.Lock()

    def someone(self, chance: random.Random) -> str:
        """A user: four times out of five one of the fifth that comes often."""
        often = self.names[: len(self.names) // 5]
        return chance.choice(often if chance.random() < 0.8 else self.names)

    def token(self, name: str) -> str:
        return f"token/{name}/{self.generations[name]}"

    def renew(self, name: str) -> str:
        """Give a user another token, and return the one before."""
        with self._lock:
            before = self.token(name)
            self.generations[name] += 1
            return before

    def note(self, what: str) -> None:
        with self._lock:
            self.done[what] += 1

    def check(self, wanted: str, found: str) -> None:
        if wanted != found:
            with self._lock:
                self.crossings.append(f"{wanted} was given what is of {found}")

    def run(self, act: Callable[[random.Random], None]) -> None:
        print(f"seed {self.seed}")  # shown where a test fails
        share = self.checkouts // self.threads

        def work(number: int) -> None:
            chance = random.Random(self.seed * 1000 + number)
            for _ in range(share):
                act(chance)

        with ThreadPoolExecutor(self.threads) as executor:
            for done in [executor.submit(work, number) for number in range(self.threads)]:
                done.result(PATIENCE_S * 20)


def name_in(token: str) -> str:
    return token.split("/")[1]


class CountedCrowd:
    """Acts with connections that count."""

    def __init__(self, crowd: Crowd, world: CountedWorld, pools: UserPools) -> None:
        self.crowd, self.world, self.pools = crowd, world, pools

    def act(self, chance: random.Random) -> None:
        crowd = self.crowd
        name = crowd.someone(chance)
        token = crowd.token(name)
        event = chance.random()
        if event < 0.01:
            self.pools.forget(token if event < 0.005 else crowd.renew(name))
        elif event < 0.02:
            with self.world.lock:
                self.world.failures += 1
        expires = None
        if event > 0.99:
            expires = datetime.now(timezone.utc) + timedelta(seconds=chance.uniform(-0.01, 0.05))
        try:
            connection = self.pools.connection_for(token, expires_at=expires)
        except (*REFUSALS, ConnectionRefusedError) as error:
            crowd.note(type(error).__name__)
            return
        with connection:
            crowd.note("lent")
            crowd.check(token, token_of(connection))
            opened: Any = connection.connection.dbapi_connection
            if opened.closed or opened.user_of_now is not None:
                crowd.crossings.append(f"{token} was given one that is closed, or in use")
            opened.user_of_now = threading.get_ident()
            if chance.random() < 0.05:
                self.pools.forget(token)  # in the middle
            elif chance.random() < 0.05:
                opened.changed = True
            elif chance.random() < 0.02:
                opened.user_of_now = None
                connection.invalidate()
                return
            crowd.check(token, token_of(connection))
            opened.user_of_now = None


def counted(checkouts: int, users: int, threads: int, max_users: int) -> None:
    crowd, world = Crowd(SEED, users, threads, checkouts), CountedWorld()
    pools = world.pools(max_users=max_users, connections_per_user=2, wait=0.01, idle_timeout=0.5)
    with pools:
        crowd.run(CountedCrowd(crowd, world, pools).act)
        assert pools.status().busy == 0
    assert crowd.crossings == []
    assert sum(crowd.done.values()) == checkouts // threads * threads
    assert crowd.done["lent"] > checkouts * 0.7, crowd.done
    assert crowd.done["ConnectionRefusedError"] > 0
    assert crowd.done["UserTokenEndedError"] > 0
    assert world.most_users <= max_users
    assert world.most_of_one <= 2
    assert sum(world.open.values()) == 0
    assert len(exact_values) == 0


def test_a_few_thousand_check_outs_never_cross() -> None:
    counted(2_000, users=40, threads=8, max_users=12)


@full
@pytest.mark.slow
def test_a_hundred_thousand_check_outs_never_cross() -> None:
    counted(100_000, users=200, threads=20, max_users=50)


class ServedCrowd:
    """Acts through the vendor's driver."""

    def __init__(self, crowd: Crowd, warehouse: LocalWarehouse, pools: UserPools) -> None:
        self.crowd, self.warehouse, self.pools = crowd, warehouse, pools
        for name in crowd.names:
            warehouse.credentials.add(crowd.token(name), name)

    def act(self, chance: random.Random) -> None:
        crowd, credentials = self.crowd, self.warehouse.credentials
        name = crowd.someone(chance)
        event = chance.random()
        if event < 0.04:
            before = crowd.renew(name)
            credentials.add(crowd.token(name), name)
            # The workspace ends it, the application does, or both.
            if event < 0.03:
                credentials.revoke(before)
            if event > 0.015:
                self.pools.forget(before)
        elif event < 0.08:
            self.warehouse.inject(chance.choice(FAULTS))
        token = crowd.token(name)
        statement = text(f"SELECT current_user() /* for {name} */")
        try:
            with self.pools.connection_for(token) as connection:
                found = connection.scalar(statement)
                if chance.random() < 0.05:
                    self.pools.forget(token)
                crowd.check(name, str(connection.scalar(statement)))
        except (*REFUSALS, DBAPIError) as error:
            crowd.note(type(error).__name__)
            return
        crowd.note("lent")
        crowd.check(name, str(found))


FAULTS = (
    Fault.http(500, operation="OpenSession"),
    Fault.session_lost(operation="ExecuteStatement"),
    Fault.http(403, operation="ExecuteStatement"),
    Fault.reset(operation="ExecuteStatement"),
)


def served(checkouts: int, users: int, threads: int, max_users: int) -> None:
    crowd = Crowd(SEED, users, threads, checkouts)
    with LocalWarehouse() as warehouse:
        database = DatabaseSettings(_env_file=None, **variables(warehouse))
        pools = create_user_pools(
            database, max_users=max_users, connections_per_user=2, wait=PATIENCE_S
        )
        with pools:
            crowd.run(ServedCrowd(crowd, warehouse, pools).act)
        recorded = [found for found in warehouse.requests if found.statement is not None]
    assert crowd.crossings == []
    assert crowd.done["lent"] > checkouts * 0.7, crowd.done
    users_of = Counter(
        (found.user, (found.statement or "").partition("for ")[2].partition(" ")[0])
        for found in recorded
        if found.user is not None
    )
    assert sum(users_of.values()) > checkouts
    crossed = {pair: count for pair, count in users_of.items() if pair[0] != pair[1]}
    assert crossed == {}
    # A session of one user was not named under another's token either.
    of_session: dict[str | None, set[str | None]] = {}
    for found in warehouse.requests:
        if found.session_id is not None and found.user is not None:
            of_session.setdefault(found.session_id, set()).add(found.user)
    assert all(len(names) == 1 for names in of_session.values())
    assert len(exact_values) <= 1  # the application's own token


def variables(warehouse: LocalWarehouse) -> dict[str, str]:
    return warehouse.env


def test_some_check_outs_through_the_driver_never_cross() -> None:
    served(80, users=8, threads=4, max_users=4)


@full
@pytest.mark.slow
def test_thousands_of_check_outs_through_the_driver_never_cross() -> None:
    served(4_000, users=200, threads=20, max_users=40)
