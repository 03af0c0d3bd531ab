"""Pools of users for asyncio: the same promises, and nothing that waits in the loop's thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import InvalidRequestError

from tests.database.users.conftest import ADA, ADAS, BOB, BOBS
from tests.patience import PATIENCE_S
from vinci_code.core.config import DatabaseSettings
from vinci_code.core.errors import (
    ConfigurationError,
    UserPoolsBusyError,
    UserTokenEndedError,
    UserTokenError,
)
from vinci_code.core.redaction import redact
from vinci_code.database import AsyncUserPools, create_async_user_pools
from vinci_code.database.migrations import upgrade
from vinci_code.database.models import Event
from vinci_code.database.session import create_configured_engine
from vinci_code.warehouse import Fault, LocalWarehouse

WHO = text("SELECT current_user()")
Act = Callable[[AsyncUserPools], Awaitable[None]]


def run(settings: DatabaseSettings, act: Act, **limits: Any) -> None:
    async def main() -> None:
        async with create_async_user_pools(settings, **limits) as pools:
            await asyncio.wait_for(act(pools), PATIENCE_S)

    asyncio.run(main())
    assert not [thread for thread in threading.enumerate() if "vinci" in thread.name]


async def who(pools: AsyncUserPools, token: str) -> str:
    async with pools.connection_for(token) as connection:
        return str(await connection.scalar(WHO))


def test_each_acts_as_who_they_are(settings: DatabaseSettings, served: LocalWarehouse) -> None:
    async def act(pools: AsyncUserPools) -> None:
        found = await asyncio.gather(*(who(pools, token) for token in (ADAS, BOBS) * 6))
        assert found == [ADA, BOB] * 6
        async with pools.session_for(BOBS) as session:
            assert await session.scalar(WHO) == BOB
        assert (pools.status().users, pools.status().busy) == (2, 0)
        assert redact(ADAS) != ADAS

    run(settings, act, wait=PATIENCE_S)
    opened = [found.user for found in served.requests if found.operation == "OpenSession"]
    assert sorted(map(str, opened)) == [ADA, ADA, BOB, BOB]
    closed = [found.user for found in served.requests if found.operation == "CloseSession"]
    assert sorted(map(str, closed)) == [ADA, ADA, BOB, BOB]
    assert redact(ADAS + BOBS) == ADAS + BOBS


def test_a_unit_of_work_is_written_as_its_user(
    settings: DatabaseSettings, served: LocalWarehouse
) -> None:
    engine = create_configured_engine(settings)
    upgrade(engine)
    engine.dispose()
    served.clear_requests()

    async def act(pools: AsyncUserPools) -> None:
        async with pools.session_for(ADAS) as session, session.begin():
            session.add(Event(event_type="login", source="async"))
        async with pools.session_for(BOBS) as session:
            query = select(Event.source).where(Event.source == "async")
            assert (await session.scalars(query)).all() == ["async"]

    run(settings, act)
    users = [found.user for found in served.requests if found.statement is not None]
    assert users == [ADA, BOB]


def test_a_token_that_is_refused_ends_for_its_user_alone(
    settings: DatabaseSettings, served: LocalWarehouse
) -> None:
    async def act(pools: AsyncUserPools) -> None:
        await asyncio.gather(who(pools, ADAS), who(pools, BOBS))
        served.credentials.revoke(ADAS)
        for _ in range(2):
            with pytest.raises(UserTokenEndedError, match="did not accept it"):
                await who(pools, ADAS)
            assert pools.status().users == 1
        assert await who(pools, BOBS) == BOB

    run(settings, act)
    assert redact(ADAS) == ADAS


def test_what_is_in_use_is_closed_as_it_is_given_back(
    settings: DatabaseSettings, served: LocalWarehouse
) -> None:
    before = served.session_count

    async def act(pools: AsyncUserPools) -> None:
        await who(pools, ADAS)
        async with pools.connection_for(ADAS) as connection:
            await pools.forget(ADAS)
            assert await connection.scalar(WHO) == ADA
        assert pools.status().users == 0
        with pytest.raises(UserTokenError):
            await pools.forget("")
        await pools.give_back_idle()
        assert served.session_count == before
        assert redact(ADAS) == ADAS
        past = datetime.now(timezone.utc) - timedelta(seconds=1)
        with pytest.raises(UserTokenEndedError, match="expired"):
            async with pools.connection_for(ADAS, expires_at=past):
                pass

    run(settings, act)


def test_a_forgotten_token_leaves_nothing_open(
    settings: DatabaseSettings, served: LocalWarehouse
) -> None:
    before = served.session_count

    async def act(pools: AsyncUserPools) -> None:
        await asyncio.gather(who(pools, ADAS), who(pools, BOBS))
        await pools.forget(ADAS)
        assert served.session_count == before + 1
        assert (redact(ADAS), redact(BOBS) == BOBS) == (ADAS, False)

    run(settings, act)
    assert served.session_count == before


def test_places_are_bounded_and_waited_for(
    settings: DatabaseSettings, served: LocalWarehouse
) -> None:
    async def act(pools: AsyncUserPools) -> None:
        connection = pools.connection_for(ADAS)
        await connection.__aenter__()
        waiting = asyncio.ensure_future(who(pools, BOBS))
        done, _ = await asyncio.wait([waiting], timeout=0.1)
        assert not done
        assert pools.status().users == 1
        await connection.__aexit__(None, None, None)
        assert await waiting == BOB
        assert pools.status().users == 1

    run(settings, act, max_users=1, wait=PATIENCE_S)


def test_where_all_are_busy_who_comes_is_told(
    settings: DatabaseSettings, served: LocalWarehouse
) -> None:
    async def act(pools: AsyncUserPools) -> None:
        async with pools.connection_for(ADAS):
            for token in (ADAS, BOBS):
                with pytest.raises(UserPoolsBusyError):
                    await who(pools, token)

    run(settings, act, max_users=1, connections_per_user=1, wait=0)


def test_pools_are_of_one_event_loop(settings: DatabaseSettings, served: LocalWarehouse) -> None:
    pools = create_async_user_pools(settings)

    async def use() -> None:
        await who(pools, ADAS)
        await pools.forget(ADAS)

    asyncio.run(use())
    with pytest.raises(InvalidRequestError, match="another event loop's"):
        asyncio.run(use())


def test_a_fallback_is_refused(settings: DatabaseSettings) -> None:
    changed = settings.model_copy(update={"databricks_fallback": "sqlite"})
    with pytest.raises(ConfigurationError, match="sent with the credentials of the application"):
        create_async_user_pools(changed)


def test_tasks_that_are_cancelled_leave_places_free(
    settings: DatabaseSettings, served: LocalWarehouse
) -> None:
    async def act(pools: AsyncUserPools) -> None:
        await asyncio.gather(who(pools, ADAS), who(pools, BOBS))
        served.inject(Fault.delay(0.5, operation="ExecuteStatement"))
        late = asyncio.ensure_future(who(pools, ADAS))
        await asyncio.sleep(0.1)
        late.cancel()
        with pytest.raises(asyncio.CancelledError):
            await late
        assert pools.status().busy == 0
        assert [await who(pools, token) for token in (ADAS, BOBS)] == [ADA, BOB]

    run(settings, act)
