"""The connector as long as nothing is contacted."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from tests.fakes.certificates import Authority
from vinci_code.core.config import DatabaseSettings, reload_settings
from vinci_code.core.errors import ConfigurationError
from vinci_code.database.databricks_connector import (
    DatabricksConnector,
    create_databricks_engine,
    validate_databricks_connection,
)

HOST = "dbc-a1b2c3d4-e5f6.cloud.databricks.com"
PATH = "/sql/1.0/warehouses/1a2b3c4d5e6f7a8b"
TOKEN = "dapi0f1e2d3c4b5a69788796a5b4c3d2e1f0"
SECRET = "dose9f8e7d6c5b4a39281706f5e4d3c2b1a0"


def settings(**arguments: Any) -> DatabaseSettings:
    given = {
        "use_databricks": True,
        "databricks_server_hostname": HOST,
        "databricks_http_path": PATH,
        "databricks_access_token": TOKEN,
        **arguments,
    }
    return DatabaseSettings(**{name: v for name, v in given.items() if v is not None})


def test_the_arguments_bear_the_drivers_own_names() -> None:
    arguments = DatabricksConnector(settings(databricks_catalog="main")).connect_arguments()
    assert arguments["server_hostname"] == HOST
    assert arguments["http_path"] == PATH
    assert arguments["catalog"] == "main"
    assert arguments["enable_telemetry"] is False
    assert "_port" not in arguments
    assert "access_token" not in arguments
    assert not any("no_verify" in name or "verify_hostname" in name for name in arguments)


def test_a_port_of_this_machine_and_a_ca_file_are_passed_on(tmp_path: Any) -> None:
    ca_file = Authority(tmp_path).file
    arguments = DatabricksConnector(
        settings(databricks_server_hostname="localhost:8443", databricks_ca_file=ca_file)
    ).connect_arguments()
    assert arguments["server_hostname"] == "localhost"
    assert arguments["_port"] == 8443
    assert arguments["_tls_trusted_ca_file"] == str(ca_file)


def test_the_wait_for_a_connection_is_bounded() -> None:
    arguments = DatabricksConnector(settings(), connect_timeout=10).connect_arguments()
    assert arguments["connect_timeout"] == 10


@pytest.mark.parametrize(
    "credentials",
    [
        {},
        {
            "databricks_access_token": None,
            "databricks_client_id": "6f1c0d9e-52b7-4a3c-8e1d-7b9a0c2e4f68",
            "databricks_client_secret": SECRET,
        },
    ],
    ids=["token", "oauth"],
)
def test_nothing_that_can_be_printed_or_kept_holds_the_secret(credentials: Any) -> None:
    connector = DatabricksConnector(settings(**credentials))
    arguments = connector.connect_arguments()
    provider = arguments["credentials_provider"]
    shown = [repr(connector), str(connector), repr(arguments), repr(provider), repr(provider())]
    assert HOST in repr(connector)
    assert PATH in repr(connector)
    for text in shown:
        assert TOKEN not in text
        assert SECRET not in text
    for thing in (connector, provider, arguments):
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(thing)
    assert copy.deepcopy(provider) is provider
    assert copy.copy(provider) is provider


def test_the_header_factory_is_what_the_driver_expects() -> None:
    provider = DatabricksConnector(settings()).connect_arguments()["credentials_provider"]
    assert provider()() == {"Authorization": f"Bearer {TOKEN}"}
    assert provider.auth_type() == "pat"


def test_databricks_has_to_be_switched_on() -> None:
    with pytest.raises(ConfigurationError, match="USE_DATABRICKS: found false"):
        DatabricksConnector(DatabaseSettings())


def test_without_settings_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USE_DATABRICKS", "true")
    monkeypatch.setenv("DATABRICKS_HOST", f"https://{HOST}/")
    monkeypatch.setenv("DATABRICKS_WAREHOUSE_ID", "1a2b3c4d5e6f7a8b")
    monkeypatch.setenv("DATABRICKS_TOKEN", TOKEN)
    assert DatabricksConnector(reload_settings()).host == HOST
    assert DatabricksConnector().http_path == PATH


def test_a_missing_configuration_is_a_result_and_not_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("USE_DATABRICKS", "true")
    monkeypatch.setenv("DATABRICKS_TOKEN", "your-token")
    result = validate_databricks_connection()
    assert not result
    assert result.host is None
    assert result.error is not None
    assert "DATABRICKS_SERVER_HOSTNAME" in result.error
    assert "DATABRICKS_TOKEN" in result.error
    assert result.next_step
    assert "cannot be used" in str(result)


def test_the_engine_is_made_of_the_settings_and_contacts_nobody() -> None:
    engine = create_databricks_engine(settings())
    try:
        assert engine.dialect.name == "databricks"
        assert engine.url.render_as_string(hide_password=False).startswith(
            f"databricks+vinci://{HOST}?"
        )
        assert engine.url.query["http_path"] == PATH
        assert TOKEN not in f"{engine!r} {vars(engine)} {vars(engine.dialect)} {vars(engine.pool)}"
    finally:
        engine.dispose()
    with pytest.raises(ConfigurationError):
        create_databricks_engine(DatabaseSettings())


def test_close_may_be_called_twice_and_the_connector_is_a_context_manager() -> None:
    with DatabricksConnector(settings()) as connector:
        connector.close()
    connector.close()
