"""`vinci queries` and `vinci check --watch`, as they are typed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner, Result

from tests.cli.process import COMMAND, environment
from tests.diagnostics.stopping import stopped
from tests.fakes.certificates import Authority
from tests.fakes.workspace import TOKEN, FakeWorkspace
from tests.full import full
from tests.patience import PATIENCE_S
from vinci_code.cli.app import app
from vinci_code.core.redaction import MASK
from vinci_code.database.databricks_connector import DatabricksConnector
from vinci_code.warehouse import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse

HISTORY = "/api/2.0/sql/history/queries"


def queries(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["queries", *arguments])


def listed(*arguments: str) -> list[dict[str, Any]]:
    done = queries("--json", *arguments)
    assert done.exit_code == 0, done.output
    found: list[dict[str, Any]] = json.loads(done.stdout)["statements"]
    return found


@pytest.fixture
def ran(
    local_warehouse: TestWarehouse, warehouse_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Three statements of one session that others of the run can be told from: its tag."""
    for name, value in local_warehouse.env.items():
        monkeypatch.setenv(name, value)
    tag = f"run={local_warehouse.schema}"
    with warehouse_engine.connect() as connection:
        name, _, value = tag.partition("=")
        connection.execute(text(f"SET QUERY_TAGS['{name}'] = '{value}'"))
        connection.execute(text("SELECT 'a value', 42 AS n FROM range(3)"))
        with pytest.raises(DBAPIError):
            connection.execute(text("SELECT 'another value' FROM nowhere"))
    return tag


@pytest.mark.usefixtures("ran")
def test_the_list_for_people(local_warehouse: TestWarehouse) -> None:
    done = queries("--limit", "2")
    assert done.exit_code == 0, done.output
    blocks = done.stdout.split("\n2")
    failed, read = blocks[0].splitlines(), blocks[1].splitlines()
    assert re.match(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d  FAILED  \d+ ms", failed[0])
    assert failed[1] == "  SELECT '…' FROM nowhere"
    assert failed[2].startswith("  error: [TABLE_OR_VIEW_NOT_FOUND]")
    of_unit, _, tags = failed[3].partition("; ")
    assert re.fullmatch(r"  unit [0-9a-f-]{36}", of_unit)
    assert tags == f"tags run={local_warehouse.schema}"
    assert re.fullmatch(r"  statement [0-9a-f-]{36} of local@warehouse", failed[4])
    statement = failed[4].split()[1]
    host = f"{local_warehouse.warehouse.host}:{local_warehouse.warehouse.port}"
    assert failed[5] == f"  https://{host}/sql/history?queryId={statement}"
    assert "3 rows" in read[0]
    assert read[1] == "  SELECT '…', … AS n FROM range(…)"
    assert "there are more since" in done.stdout.splitlines()[-1]
    assert "value" not in done.stdout.replace("Invalid value", "")


def test_the_list_can_be_narrowed(ran: str) -> None:
    mine = listed("--tag", ran)
    assert [one["status"] for one in mine] == ["FAILED", "FINISHED"]
    assert mine[0]["error_class"] == "TABLE_OR_VIEW_NOT_FOUND"
    assert mine[0]["sqlstate"] == "42P01"
    assert mine[1]["rows"] == 3
    assert mine[1]["tags"] == dict([ran.split("=")]) | {"vinci_unit": mine[1]["unit"]}
    assert mine[1]["text"] == "SELECT '…', … AS n FROM range(…)"
    assert listed("--tag", "run") == listed("--tag", "run", "--everyone")
    assert [one["status"] for one in listed("--tag", ran, "--failed")] == ["FAILED"]
    assert listed("--tag", f"{ran}x") == listed("--unit", "no such") == []
    assert listed("--tag", ran, "--slower-than", "600") == listed("--tag", ran, "--slow") == []
    assert len(listed("--tag", ran, "--slower-than", "0")) == 2


def test_a_unit_is_found_by_how_its_tag_begins(warehouse_engine: Engine, ran: str) -> None:
    from sqlalchemy import Column, MetaData, String, Table, insert

    table = Table("orders", MetaData(), Column("id", String(9), primary_key=True))
    table.create(warehouse_engine)
    with warehouse_engine.begin() as connection:
        connection.execute(insert(table), [{"id": "a"}])
    (newest,) = listed("--limit", "1")
    assert newest["kind"] == "INSERT"
    assert listed("--unit", newest["unit"][:13]) == [newest]
    assert f"unit {newest['unit']}" in queries("--unit", newest["unit"]).stdout


@pytest.mark.usefixtures("ran")
def test_what_kept_it_awake() -> None:
    done = queries("--awake", "--auto-stop", "10", "--since", "2h")
    assert done.exit_code == 0, done.output
    assert "with an auto-stop of 10.0 min" in done.stdout
    for group in ("hour (UTC)", "unit", "tag", "user", "client"):
        assert f"\nBy {group}\n" in done.stdout
    assert re.search(r"^local@warehouse +[\d,]+ ", done.stdout, re.MULTILINE)
    document = json.loads(queries("--awake", "--auto-stop", "10", "--json").stdout)
    assert document["wakes"] + document["resets"] + document["alongside"] == document["statements"]
    assert document["statements"] == sum(hour["statements"] for hour in document["hours"])
    assert document["awake_s"] == pytest.approx(
        sum(share["awake_s"] for share in document["by_user"].values()) + document["from_before_s"],
        abs=0.01,
    )
    assert document["share"] < 1


@pytest.mark.usefixtures("ran")
def test_a_warehouse_that_never_stops_is_said() -> None:
    done = queries("--awake")
    assert done.exit_code == 69
    assert "auto-stop is off" in done.stderr
    assert "--auto-stop 10" in done.stderr


@pytest.mark.usefixtures("ran")
@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_refusal_ends_in_one_line(local_warehouse: TestWarehouse, status: int) -> None:
    local_warehouse.inject(Fault.http(status, operation=f"GET {HISTORY}"))
    done = queries()
    assert done.exit_code == 69
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "To fix it: " in done.stderr


def test_on_sqlite_there_is_none() -> None:
    done = queries()
    assert done.exit_code == 78
    assert "USE_DATABRICKS" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--awake", "--failed"], "--failed does not go with --awake"),
        (["--awake", "--limit", "5"], "--limit does not go with --awake"),
        (["--auto-stop", "5"], "--auto-stop goes with --awake alone"),
        (["--since", "yesterday"], "--since takes 30m, 24h, 7d"),
        (["--since", "31d"], "too long ago"),
        (["--since", "999999w"], "too long ago"),
        (["--since", "2020-01-01"], "too long ago"),
        (["--since", "2999-01-01T00:00Z"], "lies in the future"),
        (["--tag", "=x"], "NAME=VALUE"),
        (["--limit", "0"], "Invalid value"),
        (["--slower-than", "-1"], "Invalid value"),
    ],
)
def test_what_cannot_be_asked_is_refused(arguments: list[str], said: str) -> None:
    done = queries(*arguments)
    assert done.exit_code == 2
    assert said in done.stderr


def test_what_is_shown_steers_no_terminal_and_tells_no_secret(
    workspace: FakeWorkspace, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = f"\x1b[2J\r\n\u202e{TOKEN} "
    names = (
        "query_id status query_text error_message user_name client_application statement_type "
        "session_id"
    ).split()
    entry: dict[str, Any] = dict.fromkeys(names, hostile * 3)
    entry["query_tags"] = [{"key": f"{hostile}{n}", "value": hostile} for n in range(99)]
    entry["query_tags"].append({"key": "vinci_unit", "value": hostile * 99})
    workspace.answers[HISTORY] = lambda _: (200, json.dumps({"res": [entry]}).encode(), {})
    for name, value in workspace.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATABRICKS_ACCESS_TOKEN", TOKEN)
    monkeypatch.setenv("DATABRICKS_CA_FILE", str(authority.file))
    for arguments in (["--everyone"], ["--everyone", "--json"]):
        done = queries(*arguments)
        assert done.exit_code == 0, done.output
        assert MASK in done.stdout
        assert TOKEN not in done.output
        # In JSON each control character is an escape, and the rest is for a machine.
        marks = "" if "--json" in arguments else "\u202e"
        assert not re.search(rf"[\x00-\x09\x0b-\x1f\x7f-\x9f{marks}]", done.stdout)
    assert len(done.stdout) < 100_000


# --- vinci check --watch --------------------------------------------------------------------------


def start_watching(env: dict[str, str], *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "check", "--watch", "--interval", "1", *more],
        env=environment(**env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
@pytest.mark.parametrize(
    "as_json", [pytest.param(False, id="text"), pytest.param(True, id="json", marks=full)]
)
def test_watching_tells_of_changes_until_it_is_interrupted(
    local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    for name, value in local_warehouse.env.items():
        monkeypatch.setenv(name, value)
    state: Callable[[str], str] = lambda line: (  # noqa: E731
        json.loads(line)["state"] if as_json else line.split()[2]
    )
    watching = start_watching(local_warehouse.env, *(["--json"] if as_json else []))
    assert watching.stdout is not None
    try:
        assert state(watching.stdout.readline()) == "RUNNING"
        with DatabricksConnector() as connector, stopped(connector):
            assert state(watching.stdout.readline()) == "STOPPED"
            assert local_warehouse.warehouse.state == "STOPPED"
        assert state(watching.stdout.readline()) == "RUNNING"
        watching.send_signal(signal.SIGINT)
        out, err = watching.communicate(timeout=PATIENCE_S)
    finally:
        watching.kill()
        watching.communicate()
    assert watching.returncode == 130
    assert err == "Interrupted.\n"
    assert "Traceback" not in out
    operations = {request.operation.split("/")[0] for request in local_warehouse.requests}
    assert operations == {"GET ", "POST "}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--watch", "--write"], "--write does not go with --watch"),
        (["--interval", "5"], "--interval goes with --watch alone"),
        (["--watch", "--interval", "0.1"], "Invalid value"),
    ],
)
def test_what_does_not_go_with_watching_is_refused(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["check", *arguments])
    assert done.exit_code == 2
    assert said in done.stderr


def test_on_sqlite_there_is_nothing_to_watch() -> None:
    done = CliRunner().invoke(app, ["check", "--watch"])
    assert done.exit_code == 78
