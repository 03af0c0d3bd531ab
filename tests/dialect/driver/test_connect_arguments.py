"""Connect arguments that would fail late, or show a secret: refused at once."""

from __future__ import annotations

import gc
import logging
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, exc
from sqlalchemy.engine import URL

from tests.patience import soon
from vinci_code.core.config import DatabaseSettings
from vinci_code.core.errors import DatabricksConnectionError
from vinci_code.core.redaction import MASK, forget_secrets, redact
from vinci_code.core.redaction.text import exact_values
from vinci_code.database.databricks_connector import DatabricksConnector, create_databricks_engine
from vinci_code.database.dialect.driver import dbapi
from vinci_code.database.dialect.driver.credentials import take_credentials
from vinci_code.warehouse.pytest_plugin import TestWarehouse

Connect = Callable[..., dbapi.Connection]
HOST = "example.cloud.databricks.com"


@pytest.fixture
def fresh_masks() -> Iterator[None]:
    forget_secrets()
    yield
    forget_secrets()


# --- tokens --------------------------------------------------------------------------------------


@pytest.mark.parametrize("spoil", ["{}\n", "\n{}", "{} ", "{}\r\n", "{0}\n{0}", "{}é"])
def test_a_token_that_no_header_can_hold_is_refused_at_once(
    spoil: str, connect: Connect, local_warehouse: TestWarehouse
) -> None:
    token = local_warehouse.warehouse.access_token
    with (
        soon(),
        pytest.raises(dbapi.InterfaceError, match="'access_token' cannot be sent") as caught,
    ):
        connect(access_token=spoil.format(token))
    assert token not in str(caught.value)
    assert local_warehouse.requests == ()


def test_so_is_a_header_of_a_provider(connect: Connect, local_warehouse: TestWarehouse) -> None:
    token = local_warehouse.warehouse.access_token

    def provider() -> Callable[[], dict[str, str]]:
        return lambda: {"Authorization": f"Bearer {token}\n"}

    with pytest.raises(dbapi.InterfaceError, match="the header Authorization cannot") as caught:
        connect(access_token=None, credentials_provider=provider)
    assert token not in str(caught.value)
    assert local_warehouse.requests == ()


# --- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_a_ca_file_that_cannot_be_used_is_named(
    content: str | None,
    engine_url: URL,
    engine_args: dict[str, Any],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    engine = create_engine(
        engine_url, connect_args={**engine_args, "_tls_trusted_ca_file": str(path)}
    )
    with pytest.raises(exc.InterfaceError, match=str(path)):
        engine.connect()
    gc.collect()
    assert capfd.readouterr().err == ""


def test_a_certificate_of_ones_own_that_is_missing_is_named(
    connect: Connect, tmp_path: Path
) -> None:
    path = tmp_path / "own.pem"
    with pytest.raises(dbapi.InterfaceError, match=str(path)):
        connect(_tls_client_cert_file=str(path))


def test_the_ca_file_of_the_settings_is_named(
    local_warehouse: TestWarehouse, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    served = local_warehouse.warehouse
    path = tmp_path / "missing.pem"
    path.write_bytes(served.ca_file.read_bytes())
    settings = DatabaseSettings(
        use_databricks=True,
        databricks_server_hostname=f"localhost:{served.port}",
        databricks_http_path=served.http_path,
        databricks_access_token=served.access_token,
        databricks_ca_file=path,
    )
    engine, connector = create_databricks_engine(settings), DatabricksConnector(settings)
    path.unlink()
    with pytest.raises(exc.InterfaceError, match=str(path)):
        engine.connect()
    with pytest.raises(DatabricksConnectionError, match=str(path)):
        connector.connect()
    gc.collect()
    assert capfd.readouterr().err == ""


# --- which headers are secrets -------------------------------------------------------------------


def test_credentials_alone_are_masked(fresh_masks: None) -> None:
    values = {
        name: secrets.token_hex(16)
        for name in (
            "X-Databricks-Azure-SP-Management-Token",
            "X-Databricks-GCP-SA-Access-Token",
            "X-Api-Key",
            "Proxy-Authorization",
        )
    }
    bearer, cookie = secrets.token_hex(16), secrets.token_hex(16)
    plain = {
        "Content-Type": "application/json",
        "X-Request-Id": "0f0e0d0c-0b0a-0908-0706-050403020100",
        "X-Databricks-Azure-Workspace-Resource-Id": "/subscriptions/a/resourceGroups/b",
        "X-Databricks-Org-Id": "1234567890123456",
        "Idempotency-Key": "monthly-report-2024-01",
        "User-Agent": "vinci_code/1",
    }
    headers = {**values, **plain, "authorization": f"Bearer {bearer}", "Cookie": f"a=1; s={cookie}"}
    found = take_credentials({"credentials_provider": lambda: lambda: headers}, HOST)
    assert found is not None
    found.headers()
    for secret in (*values.values(), bearer, cookie):
        assert redact(f"see <{secret}>") == f"see <{MASK}>"
    for value in plain.values():
        assert redact(f"see <{value}>") == f"see <{value}>"


def test_three_hundred_tokens_leave_few_behind(fresh_masks: None) -> None:
    tokens = [secrets.token_hex(16) for _ in range(300)]
    asked = iter(tokens)

    def headers() -> dict[str, str]:
        return {"Authorization": f"Bearer {next(asked)}", "X-Request-Id": secrets.token_hex(16)}

    found = take_credentials({"credentials_provider": lambda: headers}, HOST)
    assert found is not None
    for _ in tokens:
        found.headers()
    assert len(exact_values) == 24
    assert [token for token in tokens if MASK in redact(token)] == tokens[-24:]


def test_a_token_that_is_still_in_use_is_kept(fresh_masks: None) -> None:
    kept = secrets.token_hex(16)
    tokens = iter(secrets.token_hex(16) for _ in range(100))
    found = take_credentials(
        {"credentials_provider": lambda: lambda: {"Authorization": f"Bearer {kept}"}}, HOST
    )
    others = take_credentials(
        {"credentials_provider": lambda: lambda: {"Authorization": f"Bearer {next(tokens)}"}}, HOST
    )
    assert found is not None
    assert others is not None
    for _ in range(100):
        others.headers()
        found.headers()
    assert redact(kept) == MASK


def test_a_token_that_does_not_rotate_is_never_forgotten(fresh_masks: None) -> None:
    token = "dose" + secrets.token_hex(16)
    assert take_credentials({"access_token": token}, HOST) is not None
    tokens = iter(secrets.token_hex(16) for _ in range(100))
    others = take_credentials(
        {"credentials_provider": lambda: lambda: {"Authorization": f"Bearer {next(tokens)}"}}, HOST
    )
    assert others is not None
    for _ in range(100):
        others.headers()
    assert redact(token.removeprefix("dose")) != MASK
    assert redact(f"<{token}>") == f"<{MASK}>"


def test_a_log_of_three_hundred_statements_masks_nothing_else(
    fresh_masks: None,
    connect: Connect,
    local_warehouse: TestWarehouse,
    caplog: pytest.LogCaptureFixture,
) -> None:
    token = local_warehouse.warehouse.access_token

    def headers() -> dict[str, str]:
        return {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/x-thrift",
            "X-Request-Id": secrets.token_hex(16),
        }

    connection = connect(access_token=None, credentials_provider=lambda: headers)
    for _ in range(30):
        connection.cursor().execute("SELECT 1").fetchall()
    assert len(exact_values) == 1
    with caplog.at_level(logging.INFO):
        logging.getLogger("vinci_code").info("sent application/x-thrift with %s", token)
    # By name: with a handler of pytest on the driver's own loggers, those write out each request.
    logged = [record.getMessage() for record in caplog.records if record.name == "vinci_code"]
    assert logged == [f"sent application/x-thrift with {MASK}"]
