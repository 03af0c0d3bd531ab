"""The application's engine with a service principal: tokens that end, and tokens taken away."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError

from tests.patience import HeldClock, hold_clock, in_rounds
from vinci_code.core.config import reload_settings
from vinci_code.core.redaction import Secret
from vinci_code.database.databricks.auth import OAuthTokens
from vinci_code.database.databricks.failures import Target
from vinci_code.database.databricks_connector import create_databricks_engine
from vinci_code.warehouse import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse
from vinci_code.warehouse.wire import rest
from vinci_code.warehouse.wire.recording import RequestRecord


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HeldClock:
    """The clock of the warehouse's tokens, and of who asks for them."""
    clock = hold_clock(monkeypatch, rest)
    monkeypatch.setattr(OAuthTokens.__init__, "__defaults__", ("all-apis", clock.monotonic))
    return clock


@pytest.fixture
def engine(local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine of the settings, with OAuth instead of a token."""
    credentials = local_warehouse.warehouse.credentials
    for name, value in local_warehouse.env.items():
        if name != "DATABRICKS_ACCESS_TOKEN":
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATABRICKS_CLIENT_ID", credentials.client_id)
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", credentials.client_secret)
    reload_settings()
    engine = create_databricks_engine(pool_size=20)
    yield engine
    engine.dispose()


def revoke_tokens(local_warehouse: TestWarehouse) -> None:
    credentials = local_warehouse.warehouse.credentials
    for token in set(credentials.secrets) - {credentials.client_secret}:
        credentials.revoke(token)


def token_requests(local_warehouse: TestWarehouse) -> list[RequestRecord]:
    """The requests for a token, in the order of arrival."""
    return [record for record in local_warehouse.requests if "/oidc/v1/token" in record.path]


def together(records: list[RequestRecord]) -> list[tuple[RequestRecord, RequestRecord]]:
    """Those that came before the one before them was answered."""
    pairs = itertools.pairwise(records)
    return [(a, b) for a, b in pairs if b.started < a.started + (a.duration or 0.0)]


def slow_token_endpoint(local_warehouse: TestWarehouse) -> None:
    """Let every request for a token take a while, so that threads meet there if they can."""
    local_warehouse.inject(Fault.delay(0.1, operation="POST /oidc/v1/token", times=1000))


def ask_in_threads(engine: Engine, clock: HeldClock, rounds: int = 1) -> list[object]:
    """What 20 threads are answered that ask at one time, once a second."""

    def ask() -> object:
        with engine.connect() as connection:
            return connection.scalar(select(1))

    return in_rounds(ask, clock, rounds=rounds, seconds=1.0)


def test_twenty_threads_share_one_token(
    local_warehouse: TestWarehouse, clock: HeldClock, engine: Engine
) -> None:
    slow_token_endpoint(local_warehouse)
    assert ask_in_threads(engine, clock) == [1] * 20
    assert len(token_requests(local_warehouse)) == 1


@pytest.mark.parametrize(("lifetime", "kept"), [(5, 4.0), (100, 80.0), (3600, 3560.0)])
def test_a_token_is_kept_for_most_of_its_life(
    lifetime: int,
    kept: float,
    local_warehouse: TestWarehouse,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    warehouse = local_warehouse.warehouse
    monkeypatch.setattr(warehouse.credentials, "token_lifetime", float(lifetime))
    now = 1000.0
    tokens = OAuthTokens(
        Target("localhost", warehouse.port, warehouse.http_path, "OAuth", warehouse.ca_file),
        warehouse.credentials.client_id,
        Secret(warehouse.credentials.client_secret),
        clock=lambda: now,
    )
    first = tokens.headers()
    now += kept - 0.01
    assert tokens.headers() == first
    assert len(token_requests(local_warehouse)) == 1
    now += 0.02
    assert tokens.headers() != first
    assert len(token_requests(local_warehouse)) == 2


@pytest.mark.slow
def test_tokens_that_live_for_five_seconds(
    local_warehouse: TestWarehouse,
    clock: HeldClock,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local_warehouse.warehouse.credentials, "token_lifetime", 5.0)
    slow_token_endpoint(local_warehouse)
    assert ask_in_threads(engine, clock, rounds=24) == [1] * 480
    requests = token_requests(local_warehouse)
    assert together(requests) == []
    # One every four seconds, and no more where a thread waited for the one that asks.
    assert len(requests) == 6
    refused = [record for record in local_warehouse.requests if record.status in (401, 403)]
    assert refused == []


def test_a_revoked_token_is_renewed_once(local_warehouse: TestWarehouse, engine: Engine) -> None:
    with engine.connect() as connection:
        assert connection.scalar(select(1)) == 1
        revoke_tokens(local_warehouse)
        assert connection.scalar(select(1)) == 1
    assert len(token_requests(local_warehouse)) == 2


def test_a_principal_that_is_gone_is_a_clear_error(
    local_warehouse: TestWarehouse, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine.connect() as connection:
        assert connection.scalar(select(1)) == 1
        credentials = local_warehouse.warehouse.credentials
        revoke_tokens(local_warehouse)
        monkeypatch.setattr(credentials, "client_secret", "changed")
        with pytest.raises(DBAPIError, match="AuthenticationFailed") as refused:
            connection.scalar(select(1))
    assert "dose" not in str(refused.value)


def test_a_principal_whose_tokens_are_all_refused_is_a_clear_error(
    local_warehouse: TestWarehouse, engine: Engine
) -> None:
    with engine.connect() as connection:
        assert connection.scalar(select(1)) == 1
        local_warehouse.inject(Fault.token_revoked(statement="SELECT 1", times=10))
        with pytest.raises(DBAPIError, match="neither expired nor been revoked"):
            connection.scalar(select(1))
    assert len(token_requests(local_warehouse)) == 2


def test_a_token_that_twenty_threads_share_is_renewed_once_when_revoked(
    local_warehouse: TestWarehouse, clock: HeldClock, engine: Engine
) -> None:
    slow_token_endpoint(local_warehouse)
    assert ask_in_threads(engine, clock) == [1] * 20
    revoke_tokens(local_warehouse)
    assert ask_in_threads(engine, clock) == [1] * 20
    assert len(token_requests(local_warehouse)) == 2
