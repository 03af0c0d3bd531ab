"""The application's engine with a service principal: tokens that end, and tokens taken away."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError

from vinci_code.core.config import reload_settings
from vinci_code.database.databricks_connector import create_databricks_engine
from vinci_code.warehouse.pytest_plugin import TestWarehouse


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


def token_requests(local_warehouse: TestWarehouse) -> int:
    return sum("/oidc/v1/token" in record.path for record in local_warehouse.requests)


def test_twenty_threads_share_one_token(local_warehouse: TestWarehouse, engine: Engine) -> None:
    answers: list[int | None] = []

    def ask() -> None:
        with engine.connect() as connection:
            answers.append(connection.scalar(select(1)))

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [1] * 20
    assert token_requests(local_warehouse) == 1


def test_a_revoked_token_is_renewed_once(local_warehouse: TestWarehouse, engine: Engine) -> None:
    with engine.connect() as connection:
        assert connection.scalar(select(1)) == 1
        revoke_tokens(local_warehouse)
        assert connection.scalar(select(1)) == 1
    assert token_requests(local_warehouse) == 2


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
