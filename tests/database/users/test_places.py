"""How many users, how many connections of each, and for how long; with connections that count."""

from __future__ import annotations

import gc
import pickle
import threading
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy.exc import InvalidRequestError

from tests.database.users.counted import CountedWorld, token_of
from tests.patience import PATIENCE_S
from vinci_code.core.errors import UserPoolsBusyError, UserTokenEndedError
from vinci_code.core.redaction import redact
from vinci_code.database.users.places import User, UserPlaces
from vinci_code.database.users.pools import UserLimits, UserPools, UserPoolsStatus

ADA, BOB, EVE = "token-of-ada", "token-of-bob", "token-of-eve"


class Clock:
    """Time that passes when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 1000.0
        monkeypatch.setattr(UserPlaces, "now", lambda _: self.seconds)
        monkeypatch.setattr(UserPlaces, "wall_clock", lambda _: self.seconds)

    def moment(self, seconds: float) -> datetime:
        return datetime.fromtimestamp(self.seconds, timezone.utc) + timedelta(seconds=seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def use(pools: UserPools, *tokens: str) -> None:
    for token in tokens:
        with pools.connection_for(token) as connection:
            assert token_of(connection) == token


def test_each_token_has_a_pool_of_its_own() -> None:
    world = CountedWorld()
    with world.pools() as pools:
        use(pools, ADA, BOB, ADA, BOB)
        assert world.open_now() == {ADA: 1, BOB: 1}
        assert world.opened == {ADA: 1, BOB: 1}
        with pools.connection_for(ADA) as one, pools.connection_for(ADA) as two:
            assert token_of(one) == token_of(two) == ADA
            assert one.connection.dbapi_connection is not two.connection.dbapi_connection
            assert pools.status() == UserPoolsStatus(users=2, busy=1, max_users=100)
    assert world.open_now() == {}


def test_the_least_recently_used_of_the_idle_is_closed_for_another() -> None:
    world = CountedWorld()
    with world.pools(max_users=2) as pools:
        use(pools, ADA, BOB, ADA, EVE)
        assert world.open_now() == {ADA: 1, EVE: 1}
        with pools.connection_for(ADA):
            use(pools, BOB)
            assert world.open_now() == {ADA: 1, BOB: 1}
        assert world.most_users == 2


def test_where_all_are_busy_who_comes_is_told() -> None:
    world = CountedWorld()
    with world.pools(max_users=2) as pools, pools.connection_for(ADA), pools.connection_for(BOB):
        with pytest.raises(UserPoolsBusyError, match="2 users are connected"):
            pools.connection_for(EVE)
        use(pools, ADA)
        assert world.open_now() == {ADA: 2, BOB: 1}
        assert world.opened[EVE] == 0


def test_where_all_are_busy_a_place_is_waited_for() -> None:
    world = CountedWorld()
    with world.pools(max_users=1, wait=PATIENCE_S) as pools:
        connection = pools.connection_for(ADA)
        waiting = threading.Thread(target=use, args=(pools, BOB))
        waiting.start()
        assert world.open_now() == {ADA: 1}
        connection.close()
        waiting.join(PATIENCE_S)
        assert world.open_now() == {BOB: 1}


def test_a_user_has_so_many_connections() -> None:
    world = CountedWorld()
    with world.pools(connections_per_user=2) as pools:
        with (
            pools.connection_for(ADA),
            pools.connection_for(ADA),
            pytest.raises(UserPoolsBusyError, match="all 2 connections of user"),
        ):
            pools.connection_for(ADA)
        use(pools, ADA)
        assert world.most_of_one == 2
        assert pools.status().busy == 0


def test_a_pool_that_is_idle_for_too_long_is_closed(clock: Clock) -> None:
    world = CountedWorld()
    with world.pools(idle_timeout=60.0) as pools:
        use(pools, ADA, BOB)
        clock.seconds += 59
        use(pools, BOB)
        assert world.open_now() == {ADA: 1, BOB: 1}
        clock.seconds += 2
        use(pools, BOB)
        assert world.open_now() == {BOB: 1}
        clock.seconds += 61
        use(pools, BOB)  # by itself, too
        assert world.opened == {ADA: 1, BOB: 2}
        clock.seconds += 61
        assert pools.give_back_idle() == 1
        assert pools.give_back_idle() == 0
        assert world.open_now() == {}


def test_what_is_in_use_is_not_idle(clock: Clock) -> None:
    world = CountedWorld()
    with world.pools(idle_timeout=60.0) as pools, pools.connection_for(ADA):
        clock.seconds += 600
        assert pools.give_back_idle() == 0
        assert world.open_now() == {ADA: 1}


def test_a_second_connection_that_is_idle_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    world = CountedWorld()
    with world.pools(idle_timeout=60.0) as pools:
        with pools.connection_for(ADA) as one:
            seconds = [1000.0]
            monkeypatch.setattr(type(one.engine.pool), "_now", lambda _: seconds[0])
            use(pools, ADA)
        assert world.open_now() == {ADA: 2}
        seconds[0] += 61
        use(pools, ADA)
        assert world.open_now() == {ADA: 1}


# --- the end of a token --------------------------------------------------------------------------


def test_a_token_that_is_forgotten_is_closed_at_once() -> None:
    world = CountedWorld()
    with world.pools() as pools:
        use(pools, ADA, BOB)
        pools.forget(ADA)
        pools.forget(ADA)
        pools.forget(EVE)
        assert world.open_now() == {BOB: 1}
        assert pools.status().users == 1
        use(pools, ADA)  # the platform has sent it again
        assert world.opened[ADA] == 2


def test_what_is_in_use_is_closed_as_it_is_given_back() -> None:
    world = CountedWorld()
    with world.pools() as pools:
        kept = pools.session_for(ADA)
        with pools.connection_for(ADA) as connection:
            pools.forget(ADA)
            assert world.open_now() == {ADA: 1}
            assert token_of(connection) == ADA
            assert redact(ADA) != ADA
        assert world.open_now() == {}
        assert pools.status().users == 0
        assert redact(ADA) == ADA
        with pytest.raises(UserTokenEndedError, match="ended by the application"):
            kept.connection()
        assert world.open_now() == {}


def test_who_waits_as_the_token_ends_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = CountedWorld()
    with world.pools(connections_per_user=1, wait=PATIENCE_S) as pools:
        first = pools.connection_for(ADA)
        found: list[Any] = []

        def wait() -> None:
            try:
                found.append(pools.connection_for(ADA))
            except UserTokenEndedError as error:
                found.append(error)

        waits = threading.Event()
        wait_for_place = pools._wait

        def noted(seconds: float, seen: int) -> None:
            waits.set()
            wait_for_place(seconds, seen)

        monkeypatch.setattr(pools, "_wait", noted)
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert waits.wait(PATIENCE_S)
        pools.forget(ADA)
        waiting.join(PATIENCE_S)
        assert [type(item) for item in found] == [UserTokenEndedError]
        first.close()
        assert world.opened == {ADA: 1}
        assert world.open_now() == {}


def test_a_token_expires(clock: Clock) -> None:
    world = CountedWorld()
    with world.pools() as pools:
        with pools.connection_for(ADA, expires_at=clock.moment(60)) as connection:
            clock.seconds += 61
            assert token_of(connection) == ADA
        assert world.open_now() == {}
        with pytest.raises(UserTokenEndedError, match="it has expired"):
            pools.connection_for(ADA, expires_at=clock.moment(-1))
        assert world.opened[ADA] == 1


def test_an_idle_token_that_has_expired_is_closed_by_whoever_comes(clock: Clock) -> None:
    world = CountedWorld()
    with world.pools() as pools:
        with pools.connection_for(ADA, expires_at=clock.moment(60)):
            pass
        clock.seconds += 60
        use(pools, BOB)
        assert world.open_now() == {BOB: 1}


def test_the_earlier_of_two_ends_is_believed(clock: Clock) -> None:
    world = CountedWorld()
    with world.pools() as pools:
        session = pools.session_for(ADA, expires_at=clock.moment(60))
        use(pools, ADA)
        with pools.connection_for(ADA, expires_at=clock.moment(600)):
            pass
        clock.seconds += 61
        with pytest.raises(UserTokenEndedError, match="it has expired"):
            session.connection()


def two_idle(pools: UserPools, **given: Any) -> Any:
    """The pool of a user with two connections that are idle."""
    with pools.connection_for(ADA, **given) as one, pools.connection_for(ADA):
        return one.engine.pool


def test_a_token_that_expires_as_it_is_lent_leaves_nothing_open(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = CountedWorld()
    with world.pools() as pools:
        two_idle(pools, expires_at=clock.moment(60))
        assert world.open_now() == {ADA: 2}
        has_ended = UserPlaces.has_ended

        def late(places: UserPlaces, user: User) -> bool:
            clock.seconds += 61
            return has_ended(places, user)

        monkeypatch.setattr(UserPlaces, "has_ended", late)
        with pytest.raises(UserTokenEndedError, match="it has expired"):
            pools.connection_for(ADA)
        assert world.open_now() == {}


def test_a_token_that_ends_as_idle_connections_are_looked_through_leaves_nothing_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = CountedWorld()
    with world.pools() as pools:
        pool = two_idle(pools)
        take = pool._take

        def taken() -> Any:
            record = take()
            if record is None:  # all of them are in hand, and none is in the queue
                pools.forget(ADA)
            return record

        monkeypatch.setattr(pool, "_take", taken)
        use(pools, ADA)
        assert world.open_now() == {}
        assert pools.status().users == 0


def test_a_new_token_of_the_same_user_has_a_new_pool() -> None:
    world = CountedWorld()
    with world.pools() as pools:
        use(pools, "token-of-ada/1", "token-of-ada/2")
        pools.forget("token-of-ada/1")
        assert world.open_now() == {"token-of-ada/2": 1}


# --- what goes wrong -----------------------------------------------------------------------------


def test_a_connection_that_cannot_be_opened_takes_no_place() -> None:
    world = CountedWorld()
    with world.pools(max_users=1) as pools:
        world.failures = 3
        for _ in range(3):
            with pytest.raises(ConnectionRefusedError):
                pools.connection_for(ADA)
        assert pools.status().busy == 0
        use(pools, BOB, ADA)


def test_a_connection_that_was_changed_is_not_lent_again() -> None:
    world = CountedWorld()
    with world.pools() as pools:
        with pools.connection_for(ADA) as connection:
            opened: Any = connection.connection.dbapi_connection
            opened.changed = True
        assert world.open_now() == {}
        assert pools.status().busy == 0
        use(pools, ADA)


def test_an_invalidated_and_a_detached_connection_are_given_back() -> None:
    world = CountedWorld()
    with world.pools() as pools:
        with pools.connection_for(ADA) as connection:
            connection.invalidate()
        with pools.connection_for(ADA) as connection:
            connection.detach()
            detached = connection
            assert pools.status().busy == 0
        assert detached.closed
        assert world.open_now() == {}


def test_a_connection_that_nobody_closed_is_given_back_by_the_garbage_collector() -> None:
    world = CountedWorld()
    with world.pools(max_users=1) as pools:
        lost: Any = pools.connection_for(ADA)
        assert pools.status().busy == 1
        del lost
        gc.collect()
        assert pools.status().busy == 0
        use(pools, BOB)
        assert world.open_now() == {BOB: 1}


def test_an_engine_that_was_disposed_of_is_still_its_users() -> None:
    world = CountedWorld()
    with world.pools() as pools:
        with pools.connection_for(ADA) as connection:
            connection.engine.dispose()
            use(pools, ADA)
        assert world.open_now() == {ADA: 1}
        pools.forget(ADA)
        assert world.open_now() == {}
        assert pools.status() == UserPoolsStatus(0, 0, 100)


def test_pools_that_were_closed_stay_closed() -> None:
    world = CountedWorld()
    pools = world.pools()
    session = pools.session_for(BOB)
    with pools.connection_for(ADA):
        pools.close()
        assert world.open_now() == {ADA: 1}
    assert world.open_now() == {}
    for _ in range(2):
        pools.close()
        with pytest.raises(InvalidRequestError, match="were closed"):
            pools.connection_for(ADA)
    with pytest.raises(UserTokenEndedError):
        session.connection()
    assert redact(ADA + BOB) == ADA + BOB


def test_pools_show_and_give_away_nothing() -> None:
    world = CountedWorld()
    with world.pools() as pools:
        use(pools, ADA)
        (user,) = pools._places.all()
        shown = f"{pools!r} {user!r} {user.engine!r} {user.pool!r} {user.pool.status()}"
        assert repr(pools) == "<UserPools: 1 of 100 users>"
        assert ADA not in shown
        for thing in (pools, user):
            with pytest.raises(TypeError, match="cannot be pickled"):
                pickle.dumps(thing)
    assert repr(pools) == "<UserPools: 0 of 100 users, closed>"


@pytest.mark.parametrize(
    "limits",
    [
        {"max_users": 0},
        {"max_users": 1.5},
        {"max_users": True},
        {"connections_per_user": 0},
        {"idle_timeout": -1},
        {"idle_timeout": float("nan")},
        {"wait": float("inf")},
        {"wait": "10"},
    ],
)
def test_what_is_no_limit_is_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(limits))}="):
        UserLimits(**limits)


def test_a_token_that_nobody_uses_is_known_no_longer() -> None:
    world = CountedWorld()
    with world.pools(max_users=1) as pools:
        pools.session_for(ADA).close()
        gc.collect()
        assert pools._places.all() == []
        use(pools, ADA, BOB)
        gc.collect()
        assert len(pools._places.all()) == 1
        assert redact(f"{ADA} {BOB}").startswith(ADA)
