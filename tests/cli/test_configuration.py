"""`vinci config`, `vinci db` and `vinci check`, and what they say of a wrong configuration."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cli.test_events import run
from tests.full import some
from vinci_code.core.config import settings as settings_module
from vinci_code.core.redaction import forget_secrets

TOKEN = "dapi" + "fedcba9876543210" * 2


def databricks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USE_DATABRICKS", "true")
    monkeypatch.setenv("DATABRICKS_HOST", "https://dbc-a1b2c3d4-e5f6.cloud.databricks.com/")
    monkeypatch.setenv("DATABRICKS_WAREHOUSE_ID", "1a2b3c4d5e6f7a8b")
    monkeypatch.setenv("DATABRICKS_TOKEN", TOKEN)


def test_config_show_tells_value_and_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_ECHO", "off")
    found = run("config", "show")
    assert (found.code, found.err) == (0, "")
    lines = {line.split()[0]: line for line in found.out.splitlines() if line}
    assert found.out.startswith("The data is stored on SQLite, ")
    assert lines["DATABASE_URL"].split() == ["DATABASE_URL", "sqlite:///vinci.db", "default"]
    assert "environment" in lines["DATABASE_ECHO"]


def test_config_show_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    databricks(monkeypatch)
    found = run("config", "show", "--json")
    assert (found.code, found.err) == (0, "")
    assert TOKEN not in found.out
    document = found.document()
    assert document["backend"] == "databricks"
    views = {view["variable"]: view for view in document["settings"]}
    assert views["DATABRICKS_ACCESS_TOKEN"]["value"] == "**********"
    host = views["DATABRICKS_SERVER_HOSTNAME"]
    assert host["value"] == "dbc-a1b2c3d4-e5f6.cloud.databricks.com"
    assert "DATABRICKS_HOST" in host["source"]


@pytest.mark.parametrize(
    "command",
    [
        ("config", "show"),
        ("db", "status"),
        ("db", "upgrade"),
        ("db", "downgrade", "base", "--yes"),
        ("events", "list"),
        ("events", "stats"),
        ("events", "add", "--type", "t", "--source", "s"),
        ("events", "export", "out.jsonl"),
        ("demo",),
        ("fallback", "status"),
        ("fallback", "retry", "1"),
        ("fallback", "refresh"),
    ],
)
def test_every_command_lists_all_that_is_wrong(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USE_DATABRICKS", "true")
    monkeypatch.setenv("DATABRICKS_ACCESS_TOKEN", "your-token")
    found = run(*command)
    assert (found.code, found.out) == (78, "")
    assert found.err.startswith("Error: The configuration has 3 problems; nothing was contacted.\n")
    for variable in (
        "DATABRICKS_SERVER_HOSTNAME",
        "DATABRICKS_HTTP_PATH",
        "DATABRICKS_ACCESS_TOKEN",
    ):
        assert variable in found.err
    assert list(Path().iterdir()) == []


def test_a_wrong_configuration_as_json_is_one_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USE_DATABRICKS", "perhaps")
    error = run("events", "stats", "--json").document()["error"]
    assert error["type"] == "ConfigurationError"
    assert error["exit_code"] == 78
    (problem,) = error["problems"]
    assert "USE_DATABRICKS" in problem["variable"]
    assert problem["found"] == "'perhaps'"


def test_status_of_a_file_that_does_not_exist_creates_nothing() -> None:
    found = run("db", "status")
    assert found.code == 0
    assert "(does not exist yet)" in found.out
    assert "Pending:   0001" in found.out
    assert list(Path().iterdir()) == []


def test_upgrade_status_downgrade() -> None:
    assert run("db", "upgrade").out == "Applied: 0001.\n"
    assert run("db", "upgrade").out == "Nothing to apply.\n"
    status = run("db", "status", "--json").document()
    assert status.pop("database").endswith("vinci.db")
    assert status == {
        "backend": "sqlite",
        "current": "0001",
        "head": "0001",
        "pending": [],
        "is_current": True,
    }
    assert run("db", "downgrade", "-1").out == "Taken back: 0001.\n"
    assert run("db", "downgrade", "base").out == "Nothing to take back.\n"
    # Looking does not migrate.
    assert run("db", "status", "--json").document()["pending"] == ["0001"]
    assert run("db", "status", "--json").document()["pending"] == ["0001"]
    assert run("db", "upgrade", "--json").document() == {"applied": ["0001"]}
    assert run("db", "downgrade", "base", "--json").document() == {"taken_back": ["0001"]}


@pytest.mark.parametrize("command", [("upgrade", "9999"), ("downgrade", "9999", "--yes")])
def test_a_revision_that_does_not_exist(command: tuple[str, ...]) -> None:
    found = run("db", *command)
    assert (found.code, found.out) == (1, "")
    (line,) = found.err.splitlines()
    assert line.startswith("Error: ")
    assert "9999" in line


def test_tables_of_another_application_are_left_alone() -> None:
    with sqlite3.connect("vinci.db") as connection:
        connection.execute("CREATE TABLE events (what TEXT)")
    connection.close()
    found = run("db", "upgrade")
    assert found.code == 1
    (line,) = found.err.splitlines()
    assert "already exists" in line
    assert "Nothing was changed" in line


def test_check_of_a_sound_database() -> None:
    run("db", "upgrade")
    found = run("check")
    assert (found.code, found.err) == (0, "")
    assert "All checks passed." in found.out
    document = run("check", "--json").document()
    assert (document["ok"], document["exit_code"], document["backend"]) == (True, 0, "sqlite")


def test_check_of_a_file_that_is_no_database() -> None:
    Path("vinci.db").write_text("no database" * 1000)
    found = run("check")
    assert found.code == 1
    assert "FAILED" in found.out
    assert "Traceback" not in found.out + found.err


def test_check_of_a_wrong_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USE_DATABRICKS", "true")
    found = run("check", "--json")
    assert found.code == 78
    assert found.document()["exit_code"] == 78


VALUES = st.one_of(
    st.sampled_from(
        (
            *("", " ", "true", "false", "ON", "maybe", "your-token", "<token>", "changeme", TOKEN),
            *("https://x.azuredatabricks.net/?o=1", "localhost:8443", "dbc-1.cloud.databricks.com"),
            *("/sql/1.0/warehouses/abcdef0123456789", "abcdef0123456789", "main", "DEFAULT"),
            *("sqlite:///other.db", "sqlite://", "postgresql://u:p4ssw0rd@h/d", "sqlite:///.."),
        )
    ),
    # What an environment can hold: no NUL; bytes that are no UTF-8 are lone surrogates.
    st.binary(max_size=40).map(lambda value: os.fsdecode(value.replace(b"\0", b""))),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40),
)
NAMES = (
    "USE_DATABRICKS DATABRICKS_SERVER_HOSTNAME DATABRICKS_HOST DATABRICKS_HTTP_PATH "
    "DATABRICKS_WAREHOUSE_ID DATABRICKS_ACCESS_TOKEN DATABRICKS_TOKEN DATABRICKS_PROFILE "
    "DATABRICKS_CONFIG_FILE DATABRICKS_CLIENT_ID DATABRICKS_CLIENT_SECRET DATABRICKS_CATALOG "
    "DATABRICKS_SCHEMA DATABRICKS_TRANSACTIONS DATABRICKS_ATOMICITY DATABRICKS_HIDE_KEYS "
    "DATABRICKS_SLOW_STATEMENT "
    "DATABRICKS_KEYS DATABRICKS_VOLUME "
    "DATABRICKS_CA_FILE "
    "DATABRICKS_FALLBACK DATABRICKS_FALLBACK_FILE DATABRICKS_FALLBACK_READS "
    "DATABASE_URL DATABASE_ECHO VINCI_ALEMBIC_CONFIG"
).split()
SECRETS = st.text("0123456789abcdefghijklmnopqrstuvwxyz", min_size=24, max_size=40)


@settings(
    max_examples=some(200, few=60), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    environment=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=8),
    secret=SECRETS,
    holder=st.sampled_from(["DATABRICKS_ACCESS_TOKEN", "DATABRICKS_CLIENT_SECRET", None]),
)
def test_whatever_the_environment_holds_there_is_a_verdict_and_no_secret(
    environment: dict[str, str],
    secret: str,
    holder: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        for name in NAMES:
            patch.delenv(name, raising=False)
        for name, value in environment.items():
            patch.setenv(name, value)
        if holder is not None:
            patch.setenv(holder, secret)
        settings_module.forget_settings()
        found = run("config", "show", "--json")
        text = found.out + found.err
        forget_secrets()
    assert found.code in {0, 78}
    document = json.loads(found.out)
    assert ("settings" in document) == (found.code == 0)
    assert ("error" in document) == (found.code == 78)
    assert "Traceback" not in text
    assert holder is None or secret not in text
    assert TOKEN not in text
    assert os.environ.get("USE_DATABRICKS") is None
