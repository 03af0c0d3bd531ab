"""The example for Databricks Apps: two users of one application, each of whom is who they are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from examples.users_app import app
from vinci_code.core.config import reload_settings
from vinci_code.core.redaction import redact
from vinci_code.database import close_user_pools, user_pools
from vinci_code.database.migrations import upgrade
from vinci_code.database.session import create_configured_engine
from vinci_code.warehouse import LocalWarehouse

ADA, BOB = "ada@example.com", "bob@example.com"
ADAS, BOBS = "token/of/ada/0123456789", "token/of/bob/9876543210"
HEADER = "x-forwarded-access-token"  # as a proxy may write it


@pytest.fixture(scope="module")
def server() -> Iterator[LocalWarehouse]:
    with LocalWarehouse(tokens={ADAS: ADA, BOBS: BOB}) as warehouse:
        yield warehouse


@pytest.fixture
def warehouse(server: LocalWarehouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalWarehouse]:
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    engine = create_configured_engine(reload_settings().database)
    upgrade(engine)
    engine.dispose()
    server.clear_requests()
    yield server
    close_user_pools()
    server.credentials.reinstate()


Call = tuple[str, str, str | None]


def call(*calls: Call) -> list[httpx.Response]:
    """Send requests at once: method, path and token of each."""

    async def send() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            return await asyncio.gather(
                *(
                    client.request(method, path, headers={} if token is None else {HEADER: token})
                    for method, path, token in calls
                )
            )

    return asyncio.run(send())


def test_each_user_is_who_they_are(warehouse: LocalWarehouse) -> None:
    tokens = [ADAS, BOBS] * 8
    answers = call(*(("GET", "/me", token) for token in tokens))
    assert [answer.json()["user"] for answer in answers] == [ADA, BOB] * 8
    users = [found.user for found in warehouse.requests if found.statement is not None]
    assert sorted(map(str, users)) == [ADA] * 8 + [BOB] * 8
    assert user_pools().status().users == 2


def test_events_are_written_as_their_user(warehouse: LocalWarehouse) -> None:
    (created,) = call(("POST", "/events?event_type=login&source=ada", ADAS))
    assert created.status_code == 201
    (listed,) = call(("GET", "/events", BOBS))
    assert {"source": "ada", "event_type": "login"} in listed.json()
    users = [found.user for found in warehouse.requests if found.statement is not None]
    assert users == [ADA, BOB]


@pytest.mark.parametrize("token", [None, "", "Bearer of/news/0123456789", "unknown/token/012345"])
def test_who_is_nobody_is_told_so(warehouse: LocalWarehouse, token: str | None) -> None:
    (answer,) = call(("GET", "/me", token))
    assert (answer.status_code, answer.json()) == (401, {"detail": "Sign in again."})
    assert all(found.statement is None for found in warehouse.requests)


def test_a_user_whose_token_ends_signs_in_again(warehouse: LocalWarehouse) -> None:
    call(("GET", "/me", ADAS), ("GET", "/me", BOBS))
    warehouse.credentials.revoke(ADAS)
    ada, bob = call(("GET", "/me", ADAS), ("GET", "/me", BOBS))
    assert (ada.status_code, bob.status_code) == (401, 200)
    assert user_pools().status().users == 1
    new = "new/token/of/ada/0123456789"
    warehouse.credentials.add(new, ADA)
    (ada,) = call(("GET", "/me", new))
    assert ada.json() == {"user": ADA}


def test_who_signs_out_leaves_nothing_open(warehouse: LocalWarehouse) -> None:
    call(("GET", "/me", ADAS), ("GET", "/me", BOBS))
    (answer,) = call(("POST", "/sign-out", ADAS))
    assert answer.status_code == 204
    assert user_pools().status().users == 1
    assert redact(f"{ADAS} {BOBS}").startswith(f"{ADAS} *")
