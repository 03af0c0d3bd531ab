"""What is wrong with a profile is named, and what is said about it helps when it is done."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.database.databricks.test_profile import (
    ELSEWHERE,
    HOST,
    PATH,
    TOKEN,
    WAREHOUSE,
    bearer,
    connector,
    problem_of,
    write,
)
from vinci_code.core.config.settings import reload_settings
from vinci_code.core.errors import ConfigurationError
from vinci_code.database.databricks_connector import DatabricksConnector

ALIASES = {
    "host": ("DATABRICKS_SERVER_HOSTNAME", "DATABRICKS_HOST"),
    "path": ("DATABRICKS_HTTP_PATH", "DATABRICKS_WAREHOUSE_ID"),
    "profile": ("DATABRICKS_PROFILE", "DATABRICKS_CONFIG_PROFILE"),
}


class Place:
    """Where variables are set: the environment, or the file ``.env``."""

    def __init__(self, in_file: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        self._in_file = in_file
        self._monkeypatch = monkeypatch
        self._variables: dict[str, str] = {}

    def set(self, **variables: str) -> None:
        self._variables.update(variables)
        if self._in_file:
            lines = (f"{name}={value}\n" for name, value in self._variables.items())
            Path(".env").write_text("".join(lines))
            return
        for name, value in variables.items():
            self._monkeypatch.setenv(name, value)


@pytest.fixture(params=[False, True], ids=["environment", "file"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(request.param, monkeypatch)


def connect() -> DatabricksConnector:
    return DatabricksConnector(reload_settings())


def fix() -> str:
    with pytest.raises(ConfigurationError) as caught:
        connect()
    (problem,) = caught.value.problems
    return problem.fix


@pytest.mark.parametrize("alias", [0, 1])
def test_the_host_of_another_workspace(alias: int, place: Place) -> None:
    write(f"[work]\nhost = https://{ELSEWHERE}\ntoken = {TOKEN}\n[right]\ntoken = {TOKEN}\n")
    place.set(
        USE_DATABRICKS="true",
        **{
            ALIASES["host"][alias]: HOST,
            ALIASES["path"][alias]: PATH,
            ALIASES["profile"][alias]: "work",
        },
    )
    told = re.fullmatch(
        rf"set (\w+)=(\S+), or name the profile of {re.escape(HOST)} in (\w+)", fix()
    )
    assert told is not None
    name, value, other = told.groups()
    place.set(**{other: "right"})
    assert connect().host == HOST
    place.set(**{other: "work", name: value})
    assert connect().host == ELSEWHERE


@pytest.mark.parametrize("alias", [0, 1])
def test_another_warehouse(alias: int, place: Place) -> None:
    text = f"[work]\nhost = https://{HOST}\ntoken = {TOKEN}\nwarehouse_id = ffffffffffffffff\n"
    write(text)
    place.set(
        USE_DATABRICKS="true",
        DATABRICKS_PROFILE="work",
        DATABRICKS_HOST=HOST,
        **{ALIASES["path"][alias]: WAREHOUSE},
    )
    told = re.fullmatch(r"set (\w+)=(\S+), or take warehouse_id out of the profile", fix())
    assert told is not None
    write(text.replace("warehouse_id = ffffffffffffffff\n", ""))
    assert connect().http_path == PATH
    write(text)
    place.set(**{told.group(1): told.group(2)})
    assert connect().http_path == "/sql/1.0/warehouses/ffffffffffffffff"


@pytest.mark.parametrize(
    ("begin", "end"), [('"', '"'), ("'", "'"), ("`", "`"), ("\u201c", "\u201d")]
)
@pytest.mark.parametrize("key", ["host", "token", "auth_type"])
def test_a_value_in_quotes(key: str, begin: str, end: str) -> None:
    values = {"host": f"https://{HOST}", "token": TOKEN, "auth_type": "pat"}
    quoted = {**values, key: f"{begin}{values[key]}{end}"}
    file = write("[work]\n" + "".join(f"{k} = {v}\n" for k, v in quoted.items()))
    problem = problem_of()
    assert f"profile 'work' of {file}, {key}" in problem
    assert "the quotes" in problem or "in quotes, which are part of the value" in problem
    assert f"take the quotes off {key} in the section [work] of {file}" in problem
    assert TOKEN not in problem
    write("[work]\n" + "".join(f"{k} = {v}\n" for k, v in values.items()))
    assert bearer(connector()) == f"Bearer {TOKEN}"


def test_quotes_in_another_section_are_in_nobodys_way() -> None:
    write(f"[work]\nhost = {HOST}\ntoken = {TOKEN}\n[other]\ntoken = 'x'\n")
    assert bearer(connector()) == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    ("encoding", "said", "told"),
    [
        ("utf-8-sig", "byte order mark", "as UTF-8 without a byte order mark"),
        ("utf-16", "UTF-16", "as UTF-8"),
    ],
)
def test_another_encoding_is_named(encoding: str, said: str, told: str) -> None:
    file = write(f"[work]\nhost = {HOST}\ntoken = {TOKEN}\n")
    text = file.read_text()
    file.write_bytes(text.encode(encoding))
    problem = problem_of()
    assert said in problem
    assert f"save {file} {told}" in problem
    assert TOKEN not in problem
    file.write_bytes(text.encode())
    assert bearer(connector()) == f"Bearer {TOKEN}"


def test_a_folder_in_its_place_is_named(tmp_path: Path) -> None:
    (Path.home() / ".databrickscfg").mkdir()
    problem = problem_of()
    assert "found a folder" in problem
    assert "name the file with the profiles in DATABRICKS_CONFIG_FILE" in problem
    file = write(f"[work]\nhost = {HOST}\ntoken = {TOKEN}\n", "profiles")
    assert bearer(connector(databricks_config_file=file)) == f"Bearer {TOKEN}"


def test_a_file_that_is_missing_is_made() -> None:
    file = Path.home() / ".databrickscfg"
    problem = problem_of()
    assert "found no such file" in problem
    assert f"make {file} with the section [work]" in problem
    write(f"[work]\nhost = {HOST}\ntoken = {TOKEN}\n")
    assert bearer(connector()) == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    "kind", ["external-browser", "External-Browser", "databricks-oauth", "of-the-future"]
)
def test_a_kind_that_may_open_a_browser_is_refused(kind: str) -> None:
    write(f"[work]\nhost = {HOST}\nauth_type = {kind}\n")
    problem = problem_of()
    assert kind in problem
    assert "a kind that needs no browser: pat, oauth-m2m, databricks-cli" in problem
    assert "databricks auth login --profile work" in problem
    write(f"[work]\nhost = {HOST}\nauth_type = databricks-cli\n")
    assert connector().auth_method == "profile"


def test_every_kind_of_the_sdk_is_known_or_opens_a_browser() -> None:
    from databricks.sdk.credentials_provider import DefaultCredentials

    from vinci_code.database.databricks.profile import KINDS

    known = {strategy.auth_type() for strategy in DefaultCredentials()._auth_providers}
    assert set(KINDS) == known - {"external-browser"}
