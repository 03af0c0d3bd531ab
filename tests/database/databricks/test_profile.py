"""Profiles of ~/.databrickscfg: real files, read by the real databricks-sdk."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from vinci_code.core.config import DatabaseSettings
from vinci_code.core.errors import ConfigurationError
from vinci_code.core.redaction import MASK, redact
from vinci_code.database.databricks_connector import DatabricksConnector

HOST = "dbc-a1b2c3d4-e5f6.cloud.databricks.com"
ELSEWHERE = "dbc-0000aaaa-bbbb.cloud.databricks.com"
WAREHOUSE = "1a2b3c4d5e6f7a8b"
PATH = f"/sql/1.0/warehouses/{WAREHOUSE}"
TOKEN = "dapi0f1e2d3c4b5a69788796a5b4c3d2e1f0"
OTHER_TOKEN = "dapi99998888777766665555444433332222"
SECRET = "dose9f8e7d6c5b4a39281706f5e4d3c2b1a0"
CLIENT = "6f1c0d9e-52b7-4a3c-8e1d-7b9a0c2e4f68"


def write(text: str, name: str = ".databrickscfg") -> Path:
    file = Path.home() / name
    file.write_text(textwrap.dedent(text))
    file.chmod(0o600)
    return file


def connector(profile: str = "work", **arguments: Any) -> DatabricksConnector:
    given = {
        "use_databricks": True,
        "databricks_server_hostname": HOST,
        "databricks_http_path": PATH,
        "databricks_profile": profile,
        **arguments,
    }
    return DatabricksConnector(
        DatabaseSettings(**{name: v for name, v in given.items() if v is not None})
    )


def bearer(made: DatabricksConnector) -> str:
    return made.credentials.headers()["Authorization"]


def problem_of(profile: str = "work", **arguments: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        connector(profile, **arguments)
    return str(caught.value)


def test_a_token_in_the_named_profile_is_used() -> None:
    write(
        f"""
        [DEFAULT]
        host = https://{ELSEWHERE}
        token = {OTHER_TOKEN}
        [work]
        host = https://{HOST}/
        token = {TOKEN}
        """
    )
    made = connector()
    assert bearer(made) == f"Bearer {TOKEN}"
    assert made.auth_method == "pat"
    assert "'work'" in repr(made)
    assert TOKEN not in repr(made)


def test_the_default_profile_can_be_named() -> None:
    write(f"[DEFAULT]\nhost = {HOST}\ntoken = {TOKEN}\n")
    assert bearer(connector("DEFAULT")) == f"Bearer {TOKEN}"


def test_default_values_are_not_inherited_by_other_profiles() -> None:
    write(f"[DEFAULT]\ntoken = {TOKEN}\n[work]\nhost = {HOST}\nclient_id = {CLIENT}\n")
    assert connector().auth_method == "profile"


def test_another_file_can_be_named(tmp_path: Path) -> None:
    write(f"[work]\nhost = {HOST}\ntoken = {OTHER_TOKEN}\n")
    file = write(f"[work]\nhost = {HOST}\ntoken = {TOKEN}\n", "other.cfg")
    assert bearer(connector(databricks_config_file=file)) == f"Bearer {TOKEN}"


def test_the_secrets_of_a_profile_are_masked_from_then_on() -> None:
    secret = "Xy7-not-of-any-known-shape"
    write(
        f"[work]\nhost = {HOST}\nazure_tenant_id = {CLIENT}\n"
        f"azure_client_id = {CLIENT}\nazure_client_secret = {secret}\n"
    )
    assert connector().auth_method == "profile"
    assert redact(f"x {secret} y") == f"x {MASK} y"


def test_a_service_principal_in_a_profile_is_oauth() -> None:
    write(f"[work]\nhost = {HOST}\nclient_id = {CLIENT}\nclient_secret = {SECRET}\n")
    assert connector().auth_method == "oauth-m2m"


@pytest.mark.parametrize(
    "variables",
    [
        {"DATABRICKS_TOKEN": OTHER_TOKEN},
        {"DATABRICKS_HOST": ELSEWHERE},
        {"DATABRICKS_AUTH_TYPE": "azure-cli"},
        {"DATABRICKS_CLIENT_ID": CLIENT, "DATABRICKS_CLIENT_SECRET": SECRET},
        {"ARM_CLIENT_ID": CLIENT, "ARM_CLIENT_SECRET": SECRET, "ARM_TENANT_ID": CLIENT},
        {"DATABRICKS_WAREHOUSE_ID": "ffffffffffffffff"},
        {"DATABRICKS_CONFIG_PROFILE": "other"},
        {"DATABRICKS_USERNAME": "ada", "DATABRICKS_PASSWORD": "lovelace-and-babbage"},
        {"GOOGLE_CREDENTIALS": "{}"},
        {"DATABRICKS_METADATA_SERVICE_URL": "http://localhost:1"},
    ],
    ids=lambda variables: next(iter(variables)),
)
def test_the_environment_neither_overrides_nor_contradicts_the_profile(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    write(
        f"""
        [work]
        host = https://{HOST}
        token = {TOKEN}
        warehouse_id = {WAREHOUSE}
        [other]
        host = https://{ELSEWHERE}
        token = {OTHER_TOKEN}
        """
    )
    settings = DatabaseSettings(
        use_databricks=True,
        databricks_server_hostname=HOST,
        databricks_http_path=PATH,
        databricks_profile="work",
    )
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    made = DatabricksConnector(settings)
    assert bearer(made) == f"Bearer {TOKEN}"
    assert made.host == HOST
    assert made.http_path == PATH


def test_a_host_that_differs_from_the_settings_is_refused_naming_both() -> None:
    write(f"[work]\nhost = https://{ELSEWHERE}\ntoken = {TOKEN}\n")
    text = problem_of()
    assert HOST in text
    assert ELSEWHERE in text
    assert "'work'" in text


def test_a_warehouse_that_differs_from_the_settings_is_refused_naming_both() -> None:
    write(f"[work]\nhost = {HOST}\ntoken = {TOKEN}\nwarehouse_id = ffffffffffffffff\n")
    text = problem_of()
    assert WAREHOUSE in text
    assert "ffffffffffffffff" in text


@pytest.mark.parametrize(
    "found",
    ["your-warehouse-id", "<warehouse-id>", "not an id", "", WAREHOUSE, f"https://{HOST}{PATH}"],
)
def test_a_warehouse_that_is_none_or_the_same_is_in_nobodys_way(found: str) -> None:
    write(f"[work]\nhost = {HOST}\ntoken = {TOKEN}\nwarehouse_id = {found}\n")
    assert connector().http_path == PATH


def test_a_profile_without_a_host_takes_that_of_the_settings() -> None:
    write(f"[work]\ntoken = {TOKEN}\n")
    assert connector().host == HOST


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"[work]\nhost = {HOST}\ntoken = your-token\n", "token: found a placeholder"),
        (f"[work]\nhost = {HOST}\ntoken = <personal-access-token>\n", "token: found a template"),
        (f"[work]\nhost = {HOST}\ntoken = dapi********\n", "token: found masked"),
        ("[work]\nhost = https://your-workspace.cloud.databricks.com\ntoken = x\n", "host: found"),
        (
            f"[work]\nhost = {HOST}\nclient_id = {CLIENT}\nclient_secret = changeme\n",
            "client_secret",
        ),
        ("[other]\nhost = h\n", "has no work profile configured"),
        (f"token = {TOKEN}\n", "not in INI form"),
        (f"[work]\nhost = {HOST}\n  {TOKEN}\n[work]\n", "not in INI form"),
        (
            (
                f"[work]\nhost = {HOST}\ntoken = {TOKEN}\n"
                f"client_id = {CLIENT}\nclient_secret = {SECRET}\n"
            ),
            "more than one authorization method",
        ),
        (f"[work]\nhost = {HOST}\nauth_type = external-browser\n", "opens a browser"),
        (f"[work]\nhost = not a host\ntoken = {TOKEN}\n", "host"),
    ],
)
def test_an_error_about_a_profile_holds_none_of_its_secrets(text: str, expected: str) -> None:
    write(text)
    problem = problem_of()
    assert expected in problem
    assert "'work'" in problem
    assert TOKEN not in problem
    assert SECRET not in problem


def test_a_file_that_is_not_there_is_reported() -> None:
    assert "no such file" in problem_of()


def test_an_error_about_an_unreadable_file_holds_no_token_anywhere() -> None:
    write(f"[work]\n{TOKEN}\n")
    with pytest.raises(ConfigurationError) as caught:
        connector()
    current: BaseException | None = caught.value
    while current is not None:
        assert TOKEN not in repr(vars(current)) + repr(current.args)
        current = current.__cause__ or current.__context__


def test_the_reserved_section_does_not_override_the_name() -> None:
    write(
        f"""
        [__settings__]
        default_profile = other
        [other]
        token = {OTHER_TOKEN}
        [work]
        host = {HOST}
        token = {TOKEN}
        """
    )
    assert bearer(connector()) == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    "line",
    [
        "google_credentials = /home/me/key.json",
        'google_credentials = {"type": "service_account", "private_key": "-----BEGIN KEY"}',
        "metadata_service_url = http://169.254.169.254/metadata",
    ],
)
def test_what_the_sdk_hides_and_is_no_secret_is_not_judged_as_one(line: str) -> None:
    write(f"[work]\nhost = {HOST}\n{line}\n")
    assert connector().auth_method == "profile"


def test_the_name_of_a_file_with_credentials_is_no_secret() -> None:
    file = write('{"type": "service_account"}', "key-of-the-service.json")
    write(f"[work]\nhost = {HOST}\ngoogle_credentials = {file}\n")
    connector()
    assert redact(f"read {file}") == f"read {file}"
