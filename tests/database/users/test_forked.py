"""Pools of users in a forked child: it begins with empty ones, and waits for no lock."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Callable

import pytest

from tests.database.users.counted import CountedWorld, token_of
from tests.patience import PATIENCE_S
from vinci_code.core.errors import UserTokenEndedError
from vinci_code.database.users.pools import UserPools, UserPoolsStatus

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]
ADA, BOB = "token-of-ada", "token-of-bob"


def in_child(work: Callable[[], object]) -> None:
    """Do something in a forked child, and see it end well."""
    child = os.fork()
    if not child:
        try:
            signal.alarm(int(PATIENCE_S))
            work()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - a child must not go on as its parent
            traceback.print_exc()
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


def use(pools: UserPools, token: str) -> None:
    with pools.connection_for(token) as connection:
        assert token_of(connection) == token


def test_a_child_begins_with_empty_pools() -> None:
    world = CountedWorld()
    with world.pools(max_users=1, connections_per_user=1) as pools:
        connection = pools.connection_for(ADA)

        def work() -> None:
            assert pools.status().busy == 0
            before = world.opened[ADA]
            use(pools, BOB)  # the parent's connection takes no place here
            use(pools, ADA)
            assert world.opened[ADA] == before + 1
            connection.close()
            assert pools.status().busy == 0
            use(pools, ADA)
            pools.close()

        in_child(work)
        assert token_of(connection) == ADA
        connection.close()
        assert pools.status() == UserPoolsStatus(users=1, busy=0, max_users=1)
        assert world.open_now() == {ADA: 1}


def test_an_idle_connection_stays_with_the_parent() -> None:
    world = CountedWorld()
    with world.pools() as pools:
        use(pools, ADA)

        def work() -> None:
            use(pools, ADA)
            assert world.opened[ADA] == 2
            pools.forget(ADA)

        in_child(work)
        use(pools, ADA)
        assert world.opened[ADA] == 1


def test_a_token_that_has_ended_has_ended_in_the_child() -> None:
    world = CountedWorld()
    with world.pools() as pools:
        session = pools.session_for(ADA)
        session.connection()
        pools.forget(ADA)

        def work() -> None:
            session.invalidate()
            with pytest.raises(UserTokenEndedError):
                session.connection()

        in_child(work)
        session.close()
        assert world.open_now() == {}


def test_a_lock_that_another_thread_held_is_no_lock_in_the_child() -> None:
    world = CountedWorld()
    with world.pools() as pools:
        held, go = threading.Event(), threading.Event()

        def hold() -> None:
            with pools._places.freed:
                held.set()
                go.wait(PATIENCE_S)

        holder = threading.Thread(target=hold)
        holder.start()
        assert held.wait(PATIENCE_S)
        in_child(lambda: use(pools, ADA))
        go.set()
        holder.join()
        use(pools, ADA)
