"""The settings of the fallback: what is read, what is refused, and who hears of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from vinci_code.core.config import ConfigurationError, DatabaseSettings, reload_settings
from vinci_code.database.databricks.failures import MEANWHILE, Failure, Kind, with_meanwhile
from vinci_code.database.databricks_connector import DatabricksConnector

COMPLETE = {
    "USE_DATABRICKS": "true",
    "DATABRICKS_SERVER_HOSTNAME": "adb-1234567890123456.7.azuredatabricks.net",
    "DATABRICKS_HTTP_PATH": "/sql/1.0/warehouses/0123456789abcdef",
    "DATABRICKS_ACCESS_TOKEN": "dapi" + "0123456789abcdef" * 2,
}


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Read:
    return Read(monkeypatch)


class Read:
    """Sets variables, and reads the settings."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def __call__(self, **variables: str) -> DatabaseSettings:
        for name, value in variables.items():
            self._monkeypatch.setenv(name, value)
        return reload_settings().database

    def refused(self, **variables: str) -> ConfigurationError:
        with pytest.raises(ConfigurationError) as caught:
            self(**variables)
        return caught.value


def test_it_is_off_by_default(settings: Read) -> None:
    found = settings(**COMPLETE)
    assert found.databricks_fallback == "off"
    assert found.databricks_fallback_file == Path("vinci-fallback.db")
    assert found.databricks_fallback_reads == "mirrored"


def test_it_is_read_in_any_case_and_with_the_home_folder(settings: Read) -> None:
    found = settings(
        **COMPLETE,
        DATABRICKS_FALLBACK="SQLite",
        DATABRICKS_FALLBACK_FILE="~/kept.db",
        DATABRICKS_FALLBACK_READS="Always",
    )
    assert found.databricks_fallback == "sqlite"
    assert found.databricks_fallback_file == Path("~/kept.db").expanduser()
    assert found.databricks_fallback_reads == "always"


def test_it_is_shown_with_where_it_comes_from(settings: Read) -> None:
    shown = {view.variable: view for view in settings(DATABRICKS_FALLBACK="sqlite").describe()}
    assert shown["DATABRICKS_FALLBACK"].value == "sqlite"
    assert shown["DATABRICKS_FALLBACK"].source == "DATABRICKS_FALLBACK (environment)"
    assert shown["DATABRICKS_FALLBACK_FILE"].value == "vinci-fallback.db"
    assert shown["DATABRICKS_FALLBACK_READS"].value == "mirrored"


@pytest.mark.parametrize(
    ("variable", "value", "accepted"),
    [
        ("DATABRICKS_FALLBACK", "true", "off or sqlite"),
        ("DATABRICKS_FALLBACK_READS", "sometimes", "mirrored or always or never"),
    ],
)
def test_anything_else_is_refused(settings: Read, variable: str, value: str, accepted: str) -> None:
    (problem,) = settings.refused(**COMPLETE, **{variable: value}).problems
    assert problem.variable == f"{variable} (environment)"
    assert problem.accepted == accepted


def test_without_databricks_it_is_harmless(settings: Read) -> None:
    found = settings(
        DATABRICKS_FALLBACK="sqlite",
        DATABRICKS_ATOMICITY="per_table",
        DATABRICKS_FALLBACK_READS="no such thing",
    )
    assert not found.use_databricks
    assert found.databricks_fallback == "sqlite"


def test_what_is_written_in_parts_cannot_be_kept(settings: Read) -> None:
    (problem,) = settings.refused(
        **COMPLETE, DATABRICKS_FALLBACK="sqlite", DATABRICKS_ATOMICITY="per_table"
    ).problems
    assert "DATABRICKS_FALLBACK (environment)" in problem.variable
    assert "DATABRICKS_ATOMICITY (environment)" in problem.variable
    assert "DATABRICKS_FALLBACK=off" in problem.fix
    assert settings(DATABRICKS_FALLBACK="off").databricks_atomicity == "per_table"


@pytest.mark.parametrize("choice", ["off", "sqlite"])
def test_who_cannot_reach_the_warehouse_hears_of_it(settings: Read, choice: str) -> None:
    connector = DatabricksConnector(settings(**COMPLETE, DATABRICKS_FALLBACK=choice))
    failure = connector.explain(ConnectionRefusedError(111, "Connection refused"))
    assert failure.kind is Kind.NETWORK
    assert (MEANWHILE in failure.next_step) == (choice == "off")


@pytest.mark.parametrize("kind", Kind)
def test_it_is_no_way_out_of_what_is_wrong(kind: Kind) -> None:
    next_step = with_meanwhile(Failure(kind, "It failed.", "mend it")).next_step
    may_be_over = {Kind.NAME, Kind.NETWORK, Kind.STARTING, Kind.TIMEOUT, Kind.SERVER}
    assert (MEANWHILE in next_step) == (kind in may_be_over)
