"""``vinci check`` and the health route of the example say where units of work go."""

from __future__ import annotations

import pytest

from tests.cli.test_events import run
from tests.fallback.outages import Outages
from tests.fallback.test_cli_fallback import FILE, parked, write
from tests.integration.test_example_fastapi import NEW, Client
from vinci_code.core.config import reload_settings
from vinci_code.database.session import dispose_engine


def check() -> dict[str, str]:
    """What the check of the fallback finds."""
    results = run("check", "--json").document()["checks"]
    (found,) = [result for result in results if result["name"] == "fallback"]
    return found  # type: ignore[no-any-return]


def test_the_check_of_one_that_is_off(outages: Outages, monkeypatch: pytest.MonkeyPatch) -> None:
    outages.begin()
    write("a")
    outages.end()
    monkeypatch.setenv("DATABRICKS_FALLBACK", "off")
    reload_settings()
    found = check()
    assert found["status"] == "warning"
    assert found["detail"].startswith("off, vinci-fallback.db; units of work go to databricks; 1 ")
    assert "DATABRICKS_FALLBACK=sqlite" in found["next_step"]
    FILE.unlink()
    found = check()
    assert (found["status"], found["detail"]) == ("skipped", "DATABRICKS_FALLBACK is off")


def test_the_check_says_what_waits_and_what_is_parked(outages: Outages) -> None:
    found = check()
    assert (found["status"], found["detail"]) == ("ok", "on; vinci-fallback.db does not exist yet")
    assert not FILE.exists()
    outages.begin()
    write("a")
    outages.end()
    found = check()
    assert found["status"] == "warning"
    assert "units of work go to standby; 1 wait" in found["detail"]
    write("b")
    found = check()
    assert (found["status"], "go to databricks; 0 wait" in found["detail"]) == ("ok", True)


def test_the_check_of_what_is_parked(outages: Outages) -> None:
    parked(outages)
    found = check()
    assert (found["status"], "1 parked" in found["detail"]) == ("warning", True)
    assert "vinci fallback list" in found["next_step"]


def test_the_check_says_it_while_the_warehouse_is_away(outages: Outages) -> None:
    outages.begin()
    write("a")
    assert "units of work go to standby; 1 wait" in check()["detail"]


def test_the_check_of_a_file_that_cannot_be_used(outages: Outages) -> None:
    FILE.write_text("nothing of ours")
    found = check()
    assert found["status"] == "failed"
    assert "not a file of the fallback" in found["cause"]
    assert "DATABRICKS_FALLBACK_FILE" in found["next_step"]


def test_the_health_route(outages: Outages) -> None:
    client = Client()
    found = client.call("GET", "/health")
    assert (found["backend"], found["goes_to"], found["waiting"]) == ("databricks", "databricks", 0)
    outages.begin()
    dispose_engine()
    client.call("POST", "/events", NEW)
    assert client.answers[-1][0] == 201
    found = client.call("GET", "/health")
    assert (found["goes_to"], found["state"], found["waiting"]) == ("standby", "away", 1)
    client.call("GET", "/events")
    assert client.answers[-1][0] == 503
    outages.end()
    assert len(client.call("GET", "/events")["items"]) == 1
    assert client.call("GET", "/health")["goes_to"] == "databricks"


def test_the_health_route_on_sqlite() -> None:
    found = Client().call("GET", "/health")
    assert (found["backend"], found["goes_to"]) == ("sqlite", "sqlite")
