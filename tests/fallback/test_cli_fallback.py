"""``vinci fallback``, and what other commands say of units of work that wait."""

from __future__ import annotations

import json
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from tests.cli.process import Result, vinci
from tests.cli.test_events import run
from tests.fallback.outages import Outages
from tests.full import full
from vinci_code.cli.output import masked
from vinci_code.core.config import get_settings, reload_settings
from vinci_code.database.fallback.journal import Journal
from vinci_code.database.models import Event
from vinci_code.database.session import (
    create_configured_engine,
    database_state,
    dispose_engine,
    session_scope,
)

FILE = Path("vinci-fallback.db")
SECRET = "dapi" + "fedcba9876543210" * 2


def write(source: str, key: str | None = None, **fields: object) -> None:
    with session_scope() as session:
        session.add(Event(event_type="t", source=source, event_key=key, **fields))


def take(key: str) -> None:
    """Have somebody else store an event of this key on the warehouse."""
    engine = create_configured_engine(get_settings().database)
    with Session(engine) as session:
        session.add(Event(event_type="t", source="somebody else", event_key=key))
        session.commit()
    engine.dispose()


def parked(outages: Outages) -> None:
    """Unit 1 is parked, and 2 has arrived."""
    outages.begin()
    write("parked", "taken")
    write("arrives", "free")
    outages.end()
    take("taken")
    write("now")
    assert (database_state().parked, database_state().waiting) == (1, 0)


# --- status ---------------------------------------------------------------------------------------


def test_status_where_it_is_off() -> None:
    found = run("fallback", "status")
    assert found.code == 0
    assert found.out == "Fallback:  off\nNothing waits: there is no file yet.\n"
    document = run("fallback", "status", "--json").document()
    assert (document["fallback"], document["goes_to"], document["file"]) == ("off", "sqlite", None)
    assert list(Path().iterdir()) == []


def test_status_of_an_outage(outages: Outages) -> None:
    outages.begin()
    write("a")
    write("b")
    outages.pause(3600)
    before = outages.requests()
    found = run("fallback", "status")
    assert (found.code, found.err) == (0, "")
    lines = dict(line.split(":", 1) for line in found.out.splitlines())
    assert lines["Fallback"].strip() == f"on, {FILE.resolve()}"
    assert lines["State"].strip().startswith("away since 20")
    assert "2 waiting, 0 in doubt, 0 parked, 0 damaged; the oldest of 20" in lines["Units"]
    assert "vinci fallback refresh" in lines["Mirrored"]
    assert "Next try" in lines
    document = run("fallback", "status", "--json").document()
    assert (document["goes_to"], document["state"], document["waiting"]) == ("standby", "away", 2)
    assert document["missing"] == document["mirrors"] == []
    assert document["oldest"] is not None
    assert outages.requests() == before


def test_status_of_what_waits_for_a_fallback_that_is_off(
    outages: Outages, monkeypatch: pytest.MonkeyPatch
) -> None:
    outages.begin()
    write("a")
    monkeypatch.setenv("DATABRICKS_FALLBACK", "off")
    reload_settings()
    found = run("fallback", "status")
    assert "off" in found.out
    assert "1 waiting" in found.out
    assert "DATABRICKS_FALLBACK=sqlite sends what waits" in found.out
    document = run("fallback", "status", "--json").document()
    assert (document["goes_to"], document["waiting"]) == ("databricks", 1)


def test_a_file_that_is_none_of_ours_is_one_line(outages: Outages) -> None:
    FILE.write_text("nothing of ours")
    found = run("fallback", "status")
    assert (found.code, found.out) == (69, "")
    (line,) = found.err.splitlines()
    assert "DATABRICKS_FALLBACK_FILE" in line
    assert FILE.read_text() == "nothing of ours"


# --- list, show -----------------------------------------------------------------------------------


def test_list(outages: Outages) -> None:
    assert run("fallback", "list").out == "There is nothing that has not arrived.\n"
    assert run("fallback", "list", "--json").document() == {"units": [], "more": 0}
    parked(outages)
    outages.begin()
    dispose_engine()
    write("waits")
    found = run("fallback", "list")
    header, first, second = found.out.splitlines()
    assert header.split() == ["unit", "committed", "(UTC)", "rows", "state", "reason"]
    assert first.split()[0] == "1"
    assert "parked" in first
    assert "IntegrityError" in first
    assert "waiting" in second
    document = run("fallback", "list", "--json").document()
    assert [unit["state"] for unit in document["units"]] == ["parked", "waiting"]
    only = run("fallback", "list", "--state", "parked", "--json").document()
    assert [unit["unit"] for unit in only["units"]] == [1]
    short = run("fallback", "list", "--limit", "1", "--json").document()
    assert (len(short["units"]), short["more"]) == (1, 1)
    assert run("fallback", "list", "--limit", "1").out.endswith("and 1 more (--limit)\n")


def test_show(outages: Outages) -> None:
    outages.begin()
    write("sensor-7", "k", payload={"a": [1, None, "ü"]}, description=f"it is {SECRET}")
    with session_scope() as session:
        event = Event(event_type="t", source="changed")
        session.add(event)
        session.flush()
        kept = event.id
    with session_scope() as session:
        session.delete(event)
    found = run("fallback", "show", "1")
    assert found.code == 0
    assert "INSERT events, 1 row" in found.out
    assert '"source": "sensor-7"' in found.out
    assert SECRET not in found.out
    document = run("fallback", "show", "1", "--json").document()
    (write_,) = document["writes"]
    assert (write_["kind"], write_["table"]) == ("INSERT", "events")
    (row,) = write_["rows"]
    assert row["event_key"] == "k"
    assert json.loads(row["payload"]) == {"a": [1, None, "ü"]}
    assert SECRET not in json.dumps(document)
    deleted = run("fallback", "show", "3", "--json").document()["writes"][-1]
    assert deleted["kind"] == "DELETE"
    assert deleted["rows"][0]["where"]["id"] == kept


@pytest.mark.parametrize("command", ["show", "retry", "discard"])
def test_a_unit_that_is_not_there(outages: Outages, command: str) -> None:
    found = run("fallback", command, "7")
    assert (found.code, found.out) == (69, "")
    assert "There is no unit 7" in found.err
    assert not FILE.exists()
    outages.begin()
    write("a")
    found = run("fallback", command, "7", "--json")
    assert found.code == 69
    assert found.document()["error"]["type"] == "JournalError"


def test_a_number_that_is_none() -> None:
    assert run("fallback", "show", "0").code == 2
    assert run("fallback", "retry").code == 2


# --- retry ----------------------------------------------------------------------------------------


def test_retry_is_sent_at_once(outages: Outages) -> None:
    parked(outages)
    again = run("fallback", "retry", "1")
    assert again.code == 1
    assert again.out.startswith("Unit 1: parked: IntegrityError")
    outages.warehouse.sql(f"DELETE FROM {outages.schema}.events WHERE source = 'somebody else'")
    found = run("fallback", "retry", "1")
    assert (found.code, found.out, found.err) == (0, "Unit 1: arrived\n", "")
    assert database_state().parked == 0


def test_retry_as_json(outages: Outages) -> None:
    parked(outages)
    found = run("fallback", "retry", "1", "--json")
    assert found.code == 1
    (unit,) = found.document()["units"]
    assert (unit["unit"], unit["state"]) == (1, "parked")


def test_retry_while_the_warehouse_is_away(outages: Outages) -> None:
    parked(outages)
    outages.begin()
    found = run("fallback", "retry", "1")
    assert (found.code, found.out) == (0, "Unit 1: waiting\n")
    assert "away" in found.err


def test_retry_where_it_is_off(outages: Outages, monkeypatch: pytest.MonkeyPatch) -> None:
    parked(outages)
    monkeypatch.setenv("DATABRICKS_FALLBACK", "off")
    reload_settings()
    document = run("fallback", "retry", "1", "--json").document()
    assert document["units"][0]["state"] == "waiting"
    assert "DATABRICKS_FALLBACK=sqlite" in document["note"]


def test_what_waits_cannot_be_retried(outages: Outages) -> None:
    outages.begin()
    write("a")
    found = run("fallback", "retry", "1")
    assert found.code == 69
    assert "is waiting, and has to be parked" in found.err


# --- send, salvage --------------------------------------------------------------------------------


def test_send_where_nothing_waits(outages: Outages) -> None:
    assert (
        run("fallback", "send").out
        == "Arrived: 0; left: 0 waiting, 0 in doubt, 0 parked, 0 damaged.\n"
    )


def test_send_says_what_is_left(outages: Outages) -> None:
    outages.begin()
    write("a", "free")
    write("b", "taken")
    away = run("fallback", "send")
    assert away.code == 1
    assert away.out == "Arrived: 0; left: 2 waiting, 0 in doubt, 0 parked, 0 damaged.\n"
    assert "away" in away.err
    outages.end()
    take("taken")
    outcome = run("fallback", "send", "--json")
    assert outcome.code == 1
    left = {"arrived": 1, "waiting": 0, "in_doubt": 0, "parked": 1}
    assert outcome.document() == {**left, "damaged": 0, "note": None}
    assert (
        run("fallback", "send").out
        == "Arrived: 0; left: 0 waiting, 0 in doubt, 1 parked, 0 damaged.\n"
    )


def test_send_counts_what_is_damaged(outages: Outages) -> None:
    outages.begin()
    write("a")
    write("b")
    dispose_engine()
    with closing(sqlite3.connect(FILE)) as connection, connection:
        connection.execute("UPDATE vinci_journal_units SET record = 'text' WHERE seq = 2")
    outages.end()
    outcome = run("fallback", "send", "--json")
    assert outcome.code == 1
    assert (outcome.document()["arrived"], outcome.document()["damaged"]) == (1, 1)
    again = run("fallback", "send")
    assert again.code == 1
    assert again.out == "Arrived: 0; left: 0 waiting, 0 in doubt, 0 parked, 1 damaged.\n"


def test_send_where_it_is_off(outages: Outages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_FALLBACK", "off")
    reload_settings()
    found = run("fallback", "send")
    assert found.code == 78
    assert "DATABRICKS_FALLBACK" in found.err


def test_a_damaged_file_is_salvaged(outages: Outages) -> None:
    outages.begin()
    write("kept")
    dispose_engine()
    sound = run("fallback", "salvage")
    assert sound.code == 69
    assert "is not damaged; it was left as it is" in sound.err
    for part in FILE, FILE.with_name(f"{FILE}-wal"):
        if part.exists():
            part.write_bytes(b"x" * 100 + part.read_bytes()[100:])
    refused = run("fallback", "status")
    assert refused.code == 69
    assert "run `vinci fallback salvage` with its name" in refused.err

    outcome = run("fallback", "salvage", str(FILE), "--json")

    assert outcome.code == 0
    document = outcome.document()
    assert (document["units"], document["broken"], document["lost"]) == (1, 0, 0)
    assert Path(document["kept_as"]).read_bytes().startswith(b"x" * 100)
    (unit,) = run("fallback", "list", "--json").document()["units"]
    assert (unit["unit"], unit["state"]) == (1, "parked")
    assert unit["may_be_there"] is True
    outages.end()
    refused = run("fallback", "retry", "1")
    assert (refused.code, refused.out) == (69, "")
    assert "vinci fallback retry 1 --not-written" in refused.err
    assert run("fallback", "list", "--json").document()["units"] == [unit]
    assert run("fallback", "retry", "1", "--not-written").out == "Unit 1: arrived\n"


def test_what_is_lost_is_reported(outages: Outages) -> None:
    outages.begin()
    write("lost")
    dispose_engine()
    for part in FILE, FILE.with_name(f"{FILE}-wal"):
        part.unlink(missing_ok=True)
    found = run("fallback", "salvage")
    assert found.code == 1
    assert "units that are lost: 1." in found.out


# --- discard, export ------------------------------------------------------------------------------


def test_discard_asks_and_exports_first(outages: Outages) -> None:
    parked(outages)
    refused = run("fallback", "discard", "1", stdin="n\n")
    assert refused.code == 1
    assert "Give 1 unit of work (1 rows) up for good?" in refused.err
    assert database_state().parked == 1
    nobody = run("fallback", "discard", "1")
    assert nobody.code == 1
    assert database_state().parked == 1
    found = run("fallback", "discard", "1", stdin="y\n")
    assert found.code == 0
    (file,) = Path().glob("vinci-fallback.db.discarded-*.jsonl")
    assert str(file.resolve()) in found.out
    (line,) = file.read_text().splitlines()
    assert json.loads(line)["writes"][0]["rows"][0]["event_key"] == "taken"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert database_state().parked == 0


def test_discard_as_json(outages: Outages) -> None:
    parked(outages)
    document = run("fallback", "discard", "1", "--yes", "--export", "kept.jsonl", "--json")
    assert document.document() == {
        "discarded": [1],
        "file": "kept.jsonl",
        "exported": 1,
        "masked": 0,
    }
    assert json.loads(Path("kept.jsonl").read_text())["unit"] == 1


def test_what_cannot_be_exported_is_not_discarded(outages: Outages) -> None:
    parked(outages)
    found = run("fallback", "discard", "1", "--yes", "--export", "nowhere/kept.jsonl")
    assert found.code == 1
    assert "nowhere/kept.jsonl" in found.err
    assert database_state().parked == 1


def test_what_is_in_doubt_is_not_discarded(outages: Outages) -> None:
    outages.begin()
    write("a")
    journal = Journal(FILE)
    journal.prepare()
    journal.begin_batch("b", [1], verb="INSERT", began=0.0)
    journal.close()
    found = run("fallback", "discard", "1", "--yes")
    assert found.code == 69
    assert "in doubt" in found.err
    assert list(Path().glob("*.jsonl")) == []


def test_export(outages: Outages) -> None:
    outages.begin()
    write("a", payload={"token": SECRET})
    write("b")
    found = run("fallback", "export", "kept.jsonl")
    assert found.out == "Exported 2 units of work to kept.jsonl.\n"
    assert "1 units hold what looks like a secret" in found.err
    units = [json.loads(line) for line in Path("kept.jsonl").read_text().splitlines()]
    assert [unit["writes"][0]["rows"][0]["source"] for unit in units] == ["a", "b"]
    assert SECRET not in Path("kept.jsonl").read_text()
    assert masked(units) == units
    assert stat.S_IMODE(Path("kept.jsonl").stat().st_mode) == 0o600
    assert database_state().waiting == 2
    out = run("fallback", "export", "-").out
    assert [json.loads(line)["unit"] for line in out.splitlines()] == [1, 2]
    document = run("fallback", "export", "again.jsonl", "--json").document()
    assert document == {"file": "again.jsonl", "units": 2, "masked": 1}
    assert run("fallback", "export", "-", "--json").code == 2


def test_export_never_writes_onto_the_fallback(outages: Outages) -> None:
    outages.begin()
    write("a")
    Path("link.jsonl").symlink_to(FILE)
    for name in ("link.jsonl", f"{FILE}-wal", f"{FILE}.mark"):
        for command in ("fallback", "events"):
            found = run(command, "export", name)
            assert (found.code, "is a file of the fallback" in found.err) == (69, True), found.err
    assert database_state().waiting == 1


# --- other commands -------------------------------------------------------------------------------


def test_upgrade_says_what_waits(outages: Outages) -> None:
    outages.begin()
    write("a")
    outages.end()
    found = run("db", "upgrade")
    assert (found.code, found.out) == (0, "Nothing to apply.\n")
    assert found.err.startswith("1 unit of work waits that was committed")
    assert run("db", "upgrade", "--json").document() == {"applied": []}


def test_events_are_added_while_the_warehouse_is_away(outages: Outages) -> None:
    outages.begin()
    found = run("events", "add", "--type", "t", "--source", "s")
    assert found.code == 0, found.err
    dispose_engine()
    listed = run("events", "list")
    assert listed.code == 69
    assert ". To fix it: when the warehouse is back, run `vinci fallback refresh ev" in listed.err
    assert database_state().waiting == 1


@full
@pytest.mark.slow
def test_each_command_in_a_process_of_its_own(outages: Outages) -> None:
    def add(source: str) -> Result:
        return vinci("events", "add", "--type", "t", "--source", source)

    outages.begin()
    first = add("a")
    assert first.code == 0
    assert len(first.err.splitlines()) == 1
    assert "the warehouse is away" in first.err
    assert add("b").err == ""
    status = vinci("fallback", "status", "--json").document()
    assert (status["state"], status["waiting"]) == ("away", 2)
    outages.end()
    assert (add("c").code, add("d").err) == (0, "")
    assert database_state().waiting == 0
    listed = json.loads(vinci("events", "list", "--json").out)
    assert sorted(found["source"] for found in listed) == ["a", "b", "c", "d"]


def test_refresh_where_it_is_off() -> None:
    found = run("fallback", "refresh")
    assert found.code == 78
    assert "USE_DATABRICKS" in found.err


def test_refresh_copies_the_tables(outages: Outages) -> None:
    pytest.importorskip("vinci_code.database.fallback.mirror")
    write("a")
    write("b")
    found = run("fallback", "refresh", "events")
    assert found.code == 0, found.err
    assert found.out.startswith("events: 2 rows as of 20")
    (mirror,) = run("fallback", "refresh", "--json").document()["tables"]
    assert (mirror["table"], mirror["rows"]) == ("events", 2)
    assert "events (2 rows as of" in run("fallback", "status").out
    assert run("fallback", "refresh", "nothing").code != 0
    outages.begin()
    dispose_engine()
    assert "2" in run("events", "stats").out
