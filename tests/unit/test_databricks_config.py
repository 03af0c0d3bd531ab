"""The settings: what is read, what wins, what is refused, and in which words."""

from __future__ import annotations

import copy
import pickle
import string
import time
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from vinci_code.core import config
from vinci_code.core.config import (
    ConfigurationError,
    DatabaseSettings,
    Settings,
    get_settings,
    reload_settings,
)
from vinci_code.core.config import settings as settings_module
from vinci_code.core.config.normalise import NotUsableError, normalise_host, normalise_http_path
from vinci_code.core.config.placeholders import Kind, placeholder_reason
from vinci_code.core.errors import InsecureFileWarning

HOST = "adb-1234567890123456.7.azuredatabricks.net"
PATH = "/sql/1.0/warehouses/0123456789abcdef"
TOKEN = "dapi" + "0123456789abcdef" * 2
SECRET = "dose" + "fedcba9876543210" * 2
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBAzCBtqADAgECAgEBMAUGAytlcDAgMR4wHAYDVQQDDBVhbiBhdXRob3JpdHkg
b2YgdGVzdHMwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMCAxHjAc
BgNVBAMMFWFuIGF1dGhvcml0eSBvZiB0ZXN0czAqMAUGAytlcAMhAMUOtWpCO9CZ
65//9P4DQfduu/4vnomh74Xpu3QAHTiCoxMwETAPBgNVHRMBAf8EBTADAQH/MAUG
AytlcANBAOnhaUuLXBaLHvrltX69FyIy4R3/66y+PBaZ9v3EAtpBXWKIzevGa4j+
z1NUoNd3GBhokgVWPGeIns/Pbq+V/QM=
-----END CERTIFICATE-----
"""
"""Of an authority whose key is nowhere."""

COMPLETE = {
    "USE_DATABRICKS": "true",
    "DATABRICKS_SERVER_HOSTNAME": HOST,
    "DATABRICKS_HTTP_PATH": PATH,
    "DATABRICKS_ACCESS_TOKEN": TOKEN,
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> SetEnvironment:
    return SetEnvironment(monkeypatch)


class SetEnvironment:
    """Sets variables, and reads the settings again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def __call__(self, **variables: str | None) -> DatabaseSettings:
        for name, value in variables.items():
            if value is None:
                self._monkeypatch.delenv(name, raising=False)
            else:
                self._monkeypatch.setenv(name, value)
        return reload_settings().database

    def refused(self, **variables: str | None) -> str:
        with pytest.raises(ConfigurationError) as caught:
            self(**variables)
        return str(caught.value)


# --- defaults, and where values come from ---------------------------------------------------------


def test_without_any_variable_the_data_is_kept_in_sqlite() -> None:
    settings = get_settings().database
    assert settings.use_databricks is False
    assert settings.database_url == "sqlite:///vinci.db"
    assert settings.auth_method is None
    assert set(settings.provenance.values()) == {"default"}


def test_both_modules_export_the_same_names() -> None:
    for name in ("DatabaseSettings", "Settings", "get_settings", "reload_settings"):
        assert getattr(config, name) is getattr(settings_module, name)
    assert set(config.__all__) == {
        "ConfigurationError",
        "DatabaseSettings",
        "Settings",
        "get_settings",
        "reload_settings",
    }


def test_a_complete_environment_switches_databricks_on(environment: SetEnvironment) -> None:
    settings = environment(**COMPLETE)
    assert settings.use_databricks is True
    assert settings.databricks_server_hostname == HOST
    assert (settings.host, settings.port) == (HOST, 443)
    assert settings.databricks_http_path == PATH
    assert settings.databricks_access_token is not None
    assert settings.databricks_access_token.get_secret_value() == TOKEN
    assert settings.auth_method == "token"


def test_settings_are_built_once_and_rebuilt_on_demand(environment: SetEnvironment) -> None:
    first = get_settings()
    environment_before = first.database
    assert get_settings() is first
    environment(DATABASE_URL="sqlite:///other.db")
    assert get_settings() is not first
    assert get_settings().database.database_url == "sqlite:///other.db"
    assert environment_before.database_url == "sqlite:///vinci.db"


def test_settings_may_be_put_together_from_parts() -> None:
    part = DatabaseSettings(database_echo=True)
    assert Settings(database=part).database is part


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        get_settings().database.use_databricks = True  # type: ignore[misc]
    with pytest.raises(ValidationError):
        get_settings().database = DatabaseSettings()  # type: ignore[misc]


def test_precedence_environment_over_env_file(environment: SetEnvironment) -> None:
    Path(".env").write_text("DATABASE_URL=sqlite:///from_file.db\nDATABASE_ECHO=yes\n")
    settings = environment(DATABASE_URL="sqlite:///from_environment.db")
    assert settings.database_url == "sqlite:///from_environment.db"
    assert settings.database_echo is True
    assert settings.provenance["database_url"] == "DATABASE_URL (environment)"
    assert settings.provenance["database_echo"] == "DATABASE_ECHO (.env line 2)"
    assert settings.provenance["use_databricks"] == "default"


def test_precedence_argument_over_environment(environment: SetEnvironment) -> None:
    environment(DATABASE_ECHO="true")
    settings = DatabaseSettings(database_echo=False)
    assert settings.database_echo is False
    assert settings.provenance["database_echo"] == "database_echo (argument)"


def test_precedence_blank_variable_counts_as_not_set(environment: SetEnvironment) -> None:
    settings = environment(DATABASE_URL="  ", USE_DATABRICKS="")
    assert settings.database_url == "sqlite:///vinci.db"
    assert settings.use_databricks is False


def test_blank_environment_hides_the_file(environment: SetEnvironment) -> None:
    Path(".env").write_text("DATABASE_ECHO=true\n")
    assert environment(DATABASE_ECHO="").database_echo is False


def test_alias_is_read_where_the_name_is_not_set(environment: SetEnvironment) -> None:
    settings = environment(
        USE_DATABRICKS="true",
        DATABRICKS_HOST=f"https://{HOST}/",
        DATABRICKS_WAREHOUSE_ID="0123456789abcdef",
        DATABRICKS_TOKEN=TOKEN,
    )
    assert settings.databricks_http_path == PATH
    assert settings.provenance["databricks_server_hostname"] == "DATABRICKS_HOST (environment)"


def test_name_and_alias_that_agree_are_fine(environment: SetEnvironment) -> None:
    settings = environment(
        **COMPLETE, DATABRICKS_HOST=f"https://{HOST}/", DATABRICKS_WAREHOUSE_ID="0123456789abcdef"
    )
    assert settings.databricks_server_hostname == HOST


@pytest.mark.parametrize(
    ("name", "alias", "value"),
    [
        ("DATABRICKS_SERVER_HOSTNAME", "DATABRICKS_HOST", "dbc-1.cloud.databricks.com"),
        ("DATABRICKS_HTTP_PATH", "DATABRICKS_WAREHOUSE_ID", "fedcba9876543210"),
        ("DATABRICKS_ACCESS_TOKEN", "DATABRICKS_TOKEN", "dapi" + "ef" * 16),
    ],
)
def test_name_and_alias_that_disagree_are_refused_naming_both(
    environment: SetEnvironment, name: str, alias: str, value: str
) -> None:
    message = environment.refused(**COMPLETE, **{alias: value})
    assert f"{name} (environment) and {alias} (environment)" in message
    assert TOKEN not in message
    assert value not in message or "TOKEN" not in alias


def test_name_in_the_environment_and_alias_in_the_file_disagree(
    environment: SetEnvironment,
) -> None:
    Path(".env").write_text("DATABRICKS_HOST=dbc-1.cloud.databricks.com\n")
    message = environment.refused(**COMPLETE)
    assert "DATABRICKS_SERVER_HOSTNAME (environment) and DATABRICKS_HOST (.env line 1)" in message


@pytest.mark.parametrize("text", ["true", "TRUE", "1", "yes", "Yes", "on", " ON ", '"true"'])
def test_every_form_of_true(environment: SetEnvironment, text: str) -> None:
    assert environment(DATABASE_ECHO=text).database_echo is True


@pytest.mark.parametrize("text", ["false", "False", "0", "no", "off", "OFF"])
def test_every_form_of_false(environment: SetEnvironment, text: str) -> None:
    assert environment(USE_DATABRICKS=text).use_databricks is False


@pytest.mark.parametrize("text", ["2", "ture", "y", "enabled", "truefalse", "-1"])
def test_any_other_switch_is_refused(environment: SetEnvironment, text: str) -> None:
    message = environment.refused(USE_DATABRICKS=text)
    assert "USE_DATABRICKS (environment): found" in message
    assert "true/false, 1/0, yes/no or on/off" in message


def test_choices_are_read_in_any_case(environment: SetEnvironment) -> None:
    settings = environment(
        **COMPLETE, DATABRICKS_TRANSACTIONS="ON", DATABRICKS_ATOMICITY="Per_Table"
    )
    assert (settings.databricks_transactions, settings.databricks_atomicity) == ("on", "per_table")


def test_unknown_argument_is_refused_without_its_value() -> None:
    with pytest.raises(ConfigurationError) as caught:
        DatabaseSettings(token=TOKEN)  # type: ignore[call-arg]
    assert "token: found an argument of this name" in str(caught.value)
    assert TOKEN not in str(caught.value)


# --- the .env file --------------------------------------------------------------------------------


def test_env_file_is_not_expanded(environment: SetEnvironment) -> None:
    Path(".env").write_text("DATABRICKS_ACCESS_TOKEN=${OTHER}\n")
    Path(".env").chmod(0o600)
    message = environment.refused(**{**COMPLETE, "DATABRICKS_ACCESS_TOKEN": None}, OTHER=TOKEN)
    assert "DATABRICKS_ACCESS_TOKEN (.env line 1)" in message
    assert "a template that was not filled in" in message


def test_line_of_env_file_that_is_no_setting_is_reported_without_its_text() -> None:
    Path(".env").write_text(f"DATABASE_ECHO=true\n{TOKEN} nonsense here\n")
    with pytest.raises(ConfigurationError) as caught:
        reload_settings()
    assert ".env line 2: found a line that is not NAME=value" in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_env_file_that_is_not_utf8_is_reported() -> None:
    Path(".env").write_bytes(b"DATABASE_ECHO=true\n\xff\xfe\x00\n")
    with pytest.raises(ConfigurationError, match="bytes that are not UTF-8"):
        reload_settings()


def test_env_file_with_byte_order_mark_and_quotes_is_read() -> None:
    Path(".env").write_bytes(b"\xef\xbb\xbfexport DATABASE_URL='sqlite:///a b.db' # mine\r\n")
    assert reload_settings().database.database_url == "sqlite:///a b.db"


def test_folder_called_env_is_not_a_file_of_settings() -> None:
    Path(".env").mkdir()
    assert reload_settings().database.use_databricks is False


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o640])
def test_env_file_with_a_secret_that_others_can_read_is_a_warning(mode: int) -> None:
    Path(".env").write_text(f"DATABRICKS_TOKEN={TOKEN}\n")
    Path(".env").chmod(mode)
    with pytest.warns(InsecureFileWarning, match=r"chmod 600 \.env") as caught:
        reload_settings()
    assert TOKEN not in str(caught[0].message)


@pytest.mark.parametrize(
    ("text", "mode"), [(f"DATABRICKS_TOKEN={TOKEN}\n", 0o600), ("DATABASE_ECHO=1\n", 0o644)]
)
def test_closed_or_harmless_env_file_is_no_warning(text: str, mode: int) -> None:
    Path(".env").write_text(text)
    Path(".env").chmod(mode)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reload_settings()


# --- strict mode ----------------------------------------------------------------------------------


def test_all_problems_are_reported_together(environment: SetEnvironment) -> None:
    with pytest.raises(ConfigurationError) as caught:
        environment(
            USE_DATABRICKS="on",
            DATABRICKS_SERVER_HOSTNAME="your-workspace.cloud.databricks.com",
            DATABRICKS_CLIENT_ID="app",
            DATABRICKS_CATALOG="a.b",
            DATABRICKS_TRANSACTIONS="maybe",
            DATABRICKS_CA_FILE="missing.pem",
        )
    variables = [problem.variable for problem in caught.value.problems]
    assert variables == [
        "DATABRICKS_SERVER_HOSTNAME (environment)",
        "DATABRICKS_CATALOG (environment)",
        "DATABRICKS_TRANSACTIONS (environment)",
        "DATABRICKS_CA_FILE (environment)",
        "DATABRICKS_HTTP_PATH",
        "DATABRICKS_CLIENT_SECRET",
    ]
    for problem in caught.value.problems:
        assert problem.found
        assert problem.accepted
        assert problem.fix
    assert caught.value.exit_code == 78


def test_nothing_set_asks_for_host_path_and_credentials(environment: SetEnvironment) -> None:
    message = environment.refused(USE_DATABRICKS="true")
    assert "3 problems" in message
    for name in ("DATABRICKS_SERVER_HOSTNAME", "DATABRICKS_HTTP_PATH", "DATABRICKS_ACCESS_TOKEN"):
        assert name in message


@pytest.mark.parametrize(
    ("credentials", "method"),
    [
        ({"DATABRICKS_ACCESS_TOKEN": TOKEN}, "token"),
        ({"DATABRICKS_TOKEN": TOKEN}, "token"),
        ({"DATABRICKS_PROFILE": "work"}, "profile"),
        ({"DATABRICKS_CONFIG_PROFILE": "work"}, "profile"),
        ({"DATABRICKS_CLIENT_ID": "app-1", "DATABRICKS_CLIENT_SECRET": SECRET}, "oauth_m2m"),
    ],
)
def test_each_way_to_authenticate(
    environment: SetEnvironment, credentials: dict[str, str], method: str
) -> None:
    settings = environment(**{**COMPLETE, "DATABRICKS_ACCESS_TOKEN": None, **credentials})
    assert settings.auth_method == method


@pytest.mark.parametrize(
    "others",
    [
        {"DATABRICKS_PROFILE": "work"},
        {"DATABRICKS_CLIENT_ID": "app-1", "DATABRICKS_CLIENT_SECRET": SECRET},
        {"DATABRICKS_CLIENT_SECRET": SECRET},
    ],
)
def test_more_than_one_way_to_authenticate_is_refused_naming_the_sources(
    environment: SetEnvironment, others: dict[str, str]
) -> None:
    message = environment.refused(**COMPLETE, **others)
    assert "DATABRICKS_ACCESS_TOKEN (environment) and " in message
    assert "more than one way to authenticate" in message
    for name in others:
        assert f"{name} (environment)" in message
    assert TOKEN not in message
    assert SECRET not in message


def test_variables_of_databricks_do_not_matter_while_it_is_off(environment: SetEnvironment) -> None:
    settings = environment(
        DATABRICKS_HOST="not a host",
        DATABRICKS_TOKEN="<token>",
        DATABRICKS_PROFILE="work",
        DATABRICKS_CLIENT_SECRET=SECRET,
    )
    assert settings.use_databricks is False
    assert settings.databricks_server_hostname is None


def test_database_url_does_not_matter_while_databricks_is_on(environment: SetEnvironment) -> None:
    settings = environment(**COMPLETE, DATABASE_URL="postgresql://user:hunter22hunter@db/app")
    assert settings.use_databricks is True
    assert "hunter22hunter" not in repr(settings)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:hunter22hunter@db/app",
        "sqlite+aiosqlite:///x.db",
        "vinci.db",
        "sqlite://vinci.db",
        "",
    ],
)
def test_database_url_of_anything_but_sqlite_is_refused(
    environment: SetEnvironment, url: str
) -> None:
    if not url:
        assert environment(DATABASE_URL=url).database_url == "sqlite:///vinci.db"
        return
    message = environment.refused(DATABASE_URL=url)
    assert "sqlite:///FILE" in message
    assert "hunter22hunter" not in message


def test_unknown_cloud_domain_is_no_error(environment: SetEnvironment) -> None:
    settings = environment(**{**COMPLETE, "DATABRICKS_SERVER_HOSTNAME": "data.acme-corp.dev"})
    assert settings.host == "data.acme-corp.dev"


def test_whole_authorization_header_is_not_a_token(environment: SetEnvironment) -> None:
    message = environment.refused(**{**COMPLETE, "DATABRICKS_ACCESS_TOKEN": f"Bearer {TOKEN}"})
    assert "a whole Authorization header" in message
    assert TOKEN not in message


@pytest.mark.parametrize("token", ["dapi 1234", "tök3n-with-umlaut-9x", "a\tb7f93kq\x01"])
def test_token_that_no_header_can_carry_is_refused(environment: SetEnvironment, token: str) -> None:
    message = environment.refused(**{**COMPLETE, "DATABRICKS_ACCESS_TOKEN": token})
    assert "no HTTP header can carry" in message
    assert token not in message


def test_ca_file_has_to_hold_a_certificate(environment: SetEnvironment, tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text("no certificate")
    assert "no PEM certificate" in environment.refused(**COMPLETE, DATABRICKS_CA_FILE=str(ca_file))
    ca_file.write_text("-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n")
    message = environment.refused(**COMPLETE, DATABRICKS_CA_FILE=str(ca_file))
    assert "DATABRICKS_CA_FILE" in message
    assert "no certificate can be read" in message
    ca_file.write_text(CERTIFICATE)
    assert environment(**COMPLETE, DATABRICKS_CA_FILE=str(ca_file)).databricks_ca_file == ca_file


def test_local_warehouse_needs_its_ca_file(environment: SetEnvironment, tmp_path: Path) -> None:
    local = {**COMPLETE, "DATABRICKS_SERVER_HOSTNAME": "localhost:8443"}
    assert "DATABRICKS_CA_FILE" in environment.refused(**local)
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text(CERTIFICATE)
    settings = environment(**local, DATABRICKS_CA_FILE=str(ca_file))
    assert (settings.host, settings.port) == ("localhost", 8443)


@pytest.mark.parametrize("name", ["a.b", "a b", "a/b", "x" * 256, "a\tb"])
def test_names_that_unity_catalog_does_not_have(environment: SetEnvironment, name: str) -> None:
    assert "DATABRICKS_SCHEMA (environment)" in environment.refused(
        **COMPLETE, DATABRICKS_SCHEMA=name
    )


@pytest.mark.parametrize("name", ["main", "samples", "default", "with-hyphen", "é", "`quoted`"])
def test_names_that_unity_catalog_has(environment: SetEnvironment, name: str) -> None:
    assert environment(**COMPLETE, DATABRICKS_CATALOG=name).databricks_catalog == name.strip("`")


# --- secrets --------------------------------------------------------------------------------------


def test_secret_is_masked_wherever_the_settings_are_shown(environment: SetEnvironment) -> None:
    settings = environment(**COMPLETE)
    shown = [
        repr(settings),
        str(settings),
        repr(get_settings()),
        repr(settings.model_dump()),
        settings.model_dump_json(),
        repr(settings.describe()),
        repr(settings.provenance),
    ]
    for text in shown:
        assert TOKEN not in text
    assert isinstance(settings.databricks_access_token, SecretStr)


def test_settings_are_copied_with_their_secret_and_never_pickled(
    environment: SetEnvironment,
) -> None:
    settings = environment(**COMPLETE)
    for copied in (copy.deepcopy(settings), settings.model_copy(deep=True)):
        assert copied == settings
        assert copied.provenance == settings.provenance
    with pytest.raises(TypeError):
        pickle.dumps(settings)


def test_settings_without_a_secret_can_be_pickled(environment: SetEnvironment) -> None:
    settings = environment(DATABASE_ECHO="true")
    assert pickle.loads(pickle.dumps(settings)).provenance == settings.provenance


def test_secret_pasted_into_another_variable_is_not_repeated(environment: SetEnvironment) -> None:
    opaque = "Zx81-opaque-Secret-99"
    message = environment.refused(
        **{
            **COMPLETE,
            "DATABRICKS_ACCESS_TOKEN": opaque,
            "DATABRICKS_HTTP_PATH": f"/sql/{opaque}",
            "DATABRICKS_CATALOG": f"{opaque}.x",
            "DATABRICKS_SERVER_HOSTNAME": f"token:{opaque}@host",
        }
    )
    assert opaque not in message


# --- shapes ---------------------------------------------------------------------------------------

HOST_SHAPES = [
    HOST,
    HOST.upper(),
    f"https://{HOST}",
    f"https://{HOST}/",
    f"http://{HOST}",
    f"  https://{HOST}/  \n",
    f"{HOST}:443",
    f"https://{HOST}:443/",
    f"{HOST}/",
    f"{HOST}.",
    f'"{HOST}"',
    f"'https://{HOST}'",
    f"`{HOST}`",
    f"<https://{HOST}>",
    f"//{HOST}",
    f"https://{HOST}/?o=1234567890123456#setting/sqlEndpoints",
    f"https://{HOST}/sql/warehouses/0123456789abcdef?o=1",
    f"{HOST}/sql/1.0/warehouses/0123456789abcdef",
    f"jdbc:databricks://{HOST}:443/default;transportMode=http;ssl=1;httpPath={PATH}",
]


@pytest.mark.parametrize("text", HOST_SHAPES)
def test_pasted_shapes_of_a_host_become_one(text: str) -> None:
    assert normalise_host(text) == HOST


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "nothing"),
        ("https://", "no host"),
        ("my workspace.cloud.databricks.com", "spaces"),
        ("workspace_1.cloud.databricks.com", "characters"),
        ("-dbc.cloud.databricks.com", "characters"),
        ("dbc..databricks.com", "characters"),
        ("x" * 64 + ".databricks.com", "characters"),
        ("dbc-1", "without a domain"),
        (f"{HOST}:8443", "port 8443"),
        (f"{HOST}:https", "port"),
        ("localhost:0", "port"),
        ("localhost:65536", "port"),
        (f"https://token:{TOKEN}@{HOST}", "user name or token"),
        ("[::1", "brackets"),
        ("a:b:c", "IPv6"),
        ("bücher.databricks.com", "characters"),
    ],
)
def test_impossible_hosts_are_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(NotUsableError, match=reason) as caught:
        normalise_host(text)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("localhost:8443", "localhost:8443"),
        ("https://127.0.0.1:9000/", "127.0.0.1:9000"),
        ("https://[::1]:9000", "[::1]:9000"),
        ("::1", "::1"),
        ("LOCALHOST", "localhost"),
    ],
)
def test_own_machine_may_have_another_port(text: str, normalised: str) -> None:
    assert normalise_host(text) == normalised
    assert normalise_host(normalised) == normalised


PATH_SHAPES = [
    PATH,
    PATH[1:],
    f"{PATH}/",
    f"  {PATH}\n",
    f'"{PATH}"',
    f"/{PATH}",
    f"https://{HOST}{PATH}",
    f"{HOST}{PATH}",
    "/sql/1.0/endpoints/0123456789abcdef",
    "/SQL/1.0/Warehouses/0123456789abcdef",
    "%2Fsql%2F1.0%2Fwarehouses%2F0123456789abcdef",
    "0123456789abcdef",
    "warehouses/0123456789abcdef",
    "/sql/warehouses/0123456789abcdef",
    f"https://{HOST}/sql/warehouses/0123456789abcdef/monitoring",
    f"httpPath={PATH}",
    f"jdbc:databricks://{HOST}:443/default;transportMode=http;ssl=1;httpPath={PATH};AuthMech=3",
]


@pytest.mark.parametrize("text", PATH_SHAPES)
def test_pasted_shapes_of_a_path_become_one(text: str) -> None:
    assert normalise_http_path(text) == PATH
    assert normalise_http_path(normalise_http_path(text)) == PATH


def test_workspace_id_of_a_shared_host_is_kept() -> None:
    assert normalise_http_path(f"{PATH}?o=123456") == f"{PATH}?o=123456"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("sql/protocolv1/o/1234567890/0123-456789-abc", "cluster"),
        ("/sql/1.0/queries/12", "no '/sql/1.0/warehouses/<id>'"),
        ("/", "slashes"),
        ("not a path", "no '/sql/1.0/warehouses/<id>'"),
        ("/sql/1.0/warehouses/a$b", "characters"),
        ("/sql/1.0/warehouses/" + "a" * 65, "characters"),
        (f"https://{HOST}", "no '/sql/1.0/warehouses/<id>'"),
    ],
)
def test_impossible_paths_are_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(NotUsableError, match=reason):
        normalise_http_path(text)


@given(st.text(max_size=200))
def test_any_text_is_normalised_or_refused_and_normalising_twice_changes_nothing(
    text: str,
) -> None:
    for normalise in (normalise_host, normalise_http_path):
        try:
            once = normalise(text)
        except NotUsableError:
            continue
        assert normalise(once) == once


# --- placeholders ---------------------------------------------------------------------------------

PLACEHOLDERS: dict[Kind, list[str]] = {
    "secret": [
        "your-token", "YOUR_TOKEN_HERE", "yourtoken", "your token", "<token>", "<your-token>",
        "changeme", "change-me", "CHANGE_ME", "ChangeMe", "dapi***", "dapi****************",
        "dapixxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "dapi...", "dapi…", "dapiXXXX", "${TOKEN}",
        "$TOKEN", "{{ token }}", "{token}", "%TOKEN%", "[token]", "__TOKEN__", "mock_value",
        "mock-token", "fake-token", "dummy", "example-token", "placeholder", "PLACEHOLDER_TOKEN",
        "replace-me", "REPLACE_WITH_YOUR_TOKEN", "insert token here", "paste-your-token-here",
        "todo", "TBD", "FIXME", "xxx", "xxxxxxxx", "***", "••••••••", "my-token", "token",
        "access_token", "secret", "my-secret-token", "none", "null", "undefined", "test-token",
        "dapi-your-token", "dapiyourtoken", "enter_token", "databricks-token",
        "personal access token",
        "${env:DATABRICKS_TOKEN}", "{% token %}", "prefix-<token>", "password", "foo", "redacted",
    ],
    "host": [
        "your-workspace.cloud.databricks.com", "YOUR-WORKSPACE.cloud.databricks.com",
        "<workspace>.cloud.databricks.com", "adb-<workspace-id>.<n>.azuredatabricks.net",
        "my-workspace.cloud.databricks.com", "workspace.cloud.databricks.com", "example.com",
        "workspace.example.com", "databricks.invalid", "dbc-xxxxxxxx-xxxx.cloud.databricks.com",
        "${DATABRICKS_HOST}", "your-databricks-host", "mock-host.databricks.com",
        "example.cloud.databricks.com", "your-company.azuredatabricks.net", "<host>", "mock_value",
    ],
    "id": [
        "your-warehouse-id", "YOUR_WAREHOUSE_ID", "<warehouse-id>", "<id>", "${WAREHOUSE_ID}",
        "warehouse-id", "my-warehouse", "xxxxxxxxxxxxxxxx", "mock_value", "changeme", "{id}",
    ],
    "name": ["<catalog>", "${CATALOG}", "your_catalog", "your-schema", "{{ schema }}", "$NAME"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "value"), [(kind, value) for kind, values in PLACEHOLDERS.items() for value in values]
)
def test_placeholders_are_recognised(kind: Kind, value: str) -> None:
    assert placeholder_reason(value, kind) is not None


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("secret", TOKEN),
        ("secret", f"{TOKEN}-2"),
        ("secret", "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"),
        ("secret", "Q8~8Q.kdjf8sdfYOURjksdhf_kjsdhf-mockSDF83"),
        ("secret", "correct-horse-battery-staple-42"),
        ("host", HOST),
        ("host", "dbc-a1b2c3d4-e5f6.cloud.databricks.com"),
        ("host", "databricks.acme.com"),
        ("host", "acme.cloud.databricks.us"),
        ("host", "1234567890123456.7.gcp.databricks.com"),
        ("host", "localhost"),
        ("id", "0000000000000000"),
        ("id", "6a2f9d0c-0000-4000-8000-000000000000"),
        ("name", "samples"),
        ("name", "test"),
        ("name", "my-profile"),
        ("name", "DEFAULT"),
    ],
)
def test_real_looking_values_are_not_rejected(kind: Kind, value: str) -> None:
    assert placeholder_reason(value, kind) is None


_HEX = "0123456789abcdef"


def _is_mixed(text: str) -> bool:
    # One character 32 times is no secret of anybody's.
    return len(set(text)) > 1


@given(
    st.text(_HEX, min_size=32, max_size=32).filter(_is_mixed),
    st.sampled_from(["", "-1", "-2", "-17"]),
)
def test_no_real_token_is_ever_rejected(body: str, suffix: str) -> None:
    assert placeholder_reason(f"dapi{body}{suffix}", "secret") is None


@given(st.text("abcdefgh0123456789", min_size=32, max_size=32).filter(_is_mixed))
def test_no_real_client_secret_is_ever_rejected(body: str) -> None:
    assert placeholder_reason(f"dose{body}", "secret") is None


@given(st.text(_HEX, min_size=16, max_size=16))
def test_no_real_warehouse_id_is_ever_rejected(warehouse_id: str) -> None:
    assert placeholder_reason(warehouse_id, "id") is None


@given(
    st.one_of(
        st.tuples(st.text(_HEX, min_size=8, max_size=8), st.text(_HEX, min_size=4, max_size=4)).map(
            lambda parts: f"dbc-{parts[0]}-{parts[1]}.cloud.databricks.com"
        ),
        st.tuples(st.integers(10**14, 10**16 - 1), st.integers(0, 19)).map(
            lambda parts: f"adb-{parts[0]}.{parts[1]}.azuredatabricks.net"
        ),
        st.tuples(st.integers(10**14, 10**16 - 1), st.integers(0, 9)).map(
            lambda parts: f"{parts[0]}.{parts[1]}.gcp.databricks.com"
        ),
    )
)
def test_no_real_host_is_ever_rejected(host: str) -> None:
    assert placeholder_reason(host, "host") is None
    assert normalise_host(host) == host


_WORDS = st.sampled_from(
    ["token", "secret", "value", "key", "databricks", "access", "here", "name"]
)
_JOIN = st.sampled_from(["-", "_", " ", "."])


@given(
    st.sampled_from(["your", "changeme", "mock", "example", "dummy", "placeholder", "replace"]),
    st.lists(_WORDS, max_size=3),
    _JOIN,
    st.sampled_from([str.lower, str.upper, str.title]),
)
def test_words_for_something_else_are_always_rejected(
    first: str, rest: list[str], join: str, case: type[str]
) -> None:
    value = case(join.join([first, *rest]))
    assert placeholder_reason(value, "secret") is not None


@given(
    st.text(string.ascii_letters + string.digits + "_- ", max_size=30),
    st.sampled_from(["<{}>", "${{{}}}", "{{{{{}}}}}", "dapi<{}>"]),
)
def test_templates_are_always_rejected(name: str, template: str) -> None:
    for kind in ("secret", "host", "id", "name"):
        assert placeholder_reason(template.format("t" + name), kind) is not None


@given(st.text(max_size=400), st.sampled_from(["secret", "host", "id", "name"]))
def test_any_text_has_a_verdict_that_repeats_nothing_of_it(text: str, kind: Kind) -> None:
    reason = placeholder_reason(text, kind)
    # A value that is a word of the reason itself says nothing that another would not.
    assert (
        reason in (None, placeholder_reason("changeme", kind))
        or len(text) < 4
        or text not in reason
    )


@pytest.mark.parametrize("value", ["your-" * 20_000, "x" * 100_000, "<" * 100_000, "{{" * 50_000])
def test_verdict_on_huge_text_takes_no_time(value: str) -> None:
    started = time.process_time()
    for kind in ("secret", "host", "id", "name"):
        placeholder_reason(value, kind)
    # Less than 0.1 s of the processor; what is quadratic takes minutes.
    assert time.process_time() - started < 10


def test_placeholders_are_refused_within_milliseconds(environment: SetEnvironment) -> None:
    incomplete = {**COMPLETE, "DATABRICKS_ACCESS_TOKEN": "your-token"}
    environment.refused(**incomplete)
    started = time.process_time()
    for _ in range(10):
        environment.refused(**incomplete)
    # It is a little more than one: what asks a host, or loads a driver, takes longer than fifty.
    assert (time.process_time() - started) / 10 < 0.05
