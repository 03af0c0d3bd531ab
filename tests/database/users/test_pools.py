"""Pools of users through the vendor's driver: whose each statement is, and how a token ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from tests.database.users.conftest import ADA, ADAS, BOB, BOBS
from tests.patience import PATIENCE_S
from vinci_code.core.config import DatabaseSettings, reload_settings
from vinci_code.core.errors import ConfigurationError, UserTokenEndedError, UserTokenError
from vinci_code.core.redaction import redact
from vinci_code.database import (
    close_user_pools,
    connection_for,
    create_user_pools,
    forget_user,
    session_for,
    user_pools,
)
from vinci_code.database.dialect.dberrors import AuthenticationFailed, PermissionDenied
from vinci_code.database.migrations import upgrade
from vinci_code.database.models import Event
from vinci_code.database.session import create_configured_engine
from vinci_code.warehouse import Fault, LocalWarehouse

WHO = text("SELECT current_user()")


def users_of_statements(served: LocalWarehouse) -> list[str | None]:
    return [found.user for found in served.requests if found.statement is not None]


def test_each_acts_as_who_they_are(settings: DatabaseSettings, served: LocalWarehouse) -> None:
    with create_user_pools(settings) as pools:
        for token, user in ((ADAS, ADA), (BOBS, BOB), (ADAS, ADA)):
            with pools.connection_for(token) as connection:
                assert connection.scalar(WHO) == user
        with pools.session_for(BOBS) as session:
            assert isinstance(session, Session)
            assert session.scalar(WHO) == BOB
        assert users_of_statements(served) == [ADA, BOB, ADA, BOB]
        assert [found.operation for found in served.requests].count("OpenSession") == 2
    closed = [found.user for found in served.requests if found.operation == "CloseSession"]
    assert sorted(map(str, closed)) == [ADA, BOB]
    # The application's own token was not used.
    assert {found.user for found in served.requests} == {ADA, BOB}


def test_a_unit_of_work_is_written_as_its_user(
    settings: DatabaseSettings, served: LocalWarehouse
) -> None:
    engine = create_configured_engine(settings)
    upgrade(engine)
    engine.dispose()
    served.clear_requests()
    with create_user_pools(settings) as pools:
        with pools.session_for(ADAS) as ada, ada.begin():
            ada.add(Event(event_type="login", source="web"))
            with pools.session_for(BOBS) as bob:
                assert bob.scalars(select(Event)).all() == []
        with pools.session_for(BOBS) as bob:
            assert [event.source for event in bob.scalars(select(Event))] == ["web"]
    assert users_of_statements(served) == [BOB, ADA, BOB]


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_refused_ends_for_its_user_alone(
    settings: DatabaseSettings, served: LocalWarehouse, status: int
) -> None:
    with create_user_pools(settings) as pools:
        for token in (ADAS, BOBS):
            with pools.connection_for(token) as connection:
                connection.scalar(WHO)
        served.inject(Fault.http(status, operation="ExecuteStatement", times=1))
        with pools.connection_for(ADAS) as connection:
            with pytest.raises(UserTokenEndedError, match="did not accept it") as caught:
                connection.scalar(WHO)
            assert pools.status().users == 2
        assert isinstance(caught.value.__cause__, AuthenticationFailed)
        assert "answer the request with 401" in str(caught.value)
        assert pools.status().users == 1
        served.clear_requests()
        with pools.connection_for(BOBS) as connection:
            assert connection.scalar(WHO) == BOB
        assert [found.operation for found in served.requests] == ["ExecuteStatement"]
        # The workspace is asked anew where the token comes again.
        with pools.connection_for(ADAS) as connection:
            assert connection.scalar(WHO) == ADA


def test_a_revoked_token_ends_wherever_it_is_met(
    settings: DatabaseSettings, served: LocalWarehouse
) -> None:
    with create_user_pools(settings) as pools, pools.session_for(ADAS) as session:
        session.add(Event(event_type="login", source="web"))
        session.flush()
        served.credentials.revoke(ADAS)
        with pytest.raises(UserTokenEndedError):
            session.commit()
        with pytest.raises(UserTokenEndedError):
            pools.connection_for(ADAS)
        session.rollback()
        assert pools.status().users == 0
        with pytest.raises(UserTokenEndedError):
            session.scalar(WHO)
        assert redact(ADAS) == ADAS


def test_one_connection_cannot_use_the_session_of_another_user(
    settings: DatabaseSettings, served: LocalWarehouse
) -> None:
    # What would happen to a crossing: the warehouse refuses it by name.
    with (
        create_user_pools(settings) as pools,
        pools.connection_for(ADAS) as ada,
        pools.connection_for(BOBS) as bob,
    ):
        assert (ada.scalar(WHO), bob.scalar(WHO)) == (ADA, BOB)
        opened: list[Any] = [each.connection.dbapi_connection for each in (ada, bob)]
        sessions = [each.driver_connection.session for each in opened]
        handles = [each._session_id for each in sessions]
        sessions[0]._session_id = handles[1]
        try:
            with pytest.raises(DBAPIError, match="belongs to another user") as caught:
                ada.scalar(WHO)
            assert isinstance(caught.value.orig, PermissionDenied)
        finally:
            sessions[0]._session_id = handles[0]
        # Which says nothing of the token.
        ada.rollback()
        assert (ada.scalar(WHO), pools.status().users) == (ADA, 2)


# --- those of the process ------------------------------------------------------------------------


@pytest.fixture
def process(served: LocalWarehouse, monkeypatch: pytest.MonkeyPatch) -> LocalWarehouse:
    for name, value in served.env.items():
        monkeypatch.setenv(name, value)
    reload_settings()
    return served


def test_the_pools_of_a_process(process: LocalWarehouse) -> None:
    forget_user(ADAS)  # of whom nothing is known yet
    with connection_for(ADAS) as connection:
        assert connection.scalar(WHO) == ADA
    with session_for(BOBS) as session:
        assert session.scalar(WHO) == BOB
    first = user_pools()
    assert first.status().users == 2
    forget_user(ADAS)
    assert first.status().users == 1
    reload_settings()
    assert user_pools() is not first
    assert first.status().users == 0
    close_user_pools()
    assert user_pools().status().users == 0
    with pytest.raises(UserTokenError):
        connection_for("")


def test_sqlite_knows_no_users() -> None:
    reload_settings()
    with pytest.raises(ConfigurationError, match="USE_DATABRICKS") as caught:
        connection_for(ADAS)
    assert ADAS not in str(caught.value)


def test_a_fallback_would_write_under_another_identity(
    process: LocalWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_FALLBACK", "sqlite")
    reload_settings()
    with pytest.raises(ConfigurationError, match="sent with the credentials of the application"):
        connection_for(ADAS)
    assert process.requests == ()
    assert not Path("vinci_fallback.db").exists()


MANY_AT_ONCE = """
import threading
from tests.database.users.counted import CountedWorld
world, start, failed = CountedWorld(), threading.Barrier(12), []
with world.pools() as pools:
    def act(number):
        start.wait()
        try:
            pools.connection_for(f"token-number-{number}").close()
        except BaseException as error:
            failed.append(error)
    threads = [threading.Thread(target=act, args=(number,)) for number in range(12)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
print(failed)
"""


def test_the_first_engines_of_a_process_can_be_made_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MANY_AT_ONCE],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert done.stdout == "[]\n", done.stdout
