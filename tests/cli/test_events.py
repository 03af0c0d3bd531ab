"""`vinci events`: import, add, list, stats and export."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.cli.process import SAMPLE, Result, event_line, write_lines
from tests.full import part
from vinci_code.cli.app import app


def run(*arguments: str, stdin: str = "") -> Result:
    """Run a command in this process."""
    done = CliRunner().invoke(app, arguments, input=stdin)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Result(done.exit_code, done.stdout, done.stderr)


def keys() -> list[str]:
    """The stored keys, in the order in which they were stored."""
    found = run("events", "list", "--limit", "1000000", "--json").document()
    return [event["event_key"] for event in sorted(found, key=lambda event: event["id"])]


def events_file(name: str, numbers: Sequence[int]) -> Path:
    return write_lines(Path(name), [event_line(number) for number in numbers])


def test_import_stores_each_event_key_once() -> None:
    first = run("events", "import", str(SAMPLE))
    assert (first.code, first.err) == (0, "")
    assert first.out.startswith(f"Imported 1,707 new events from {SAMPLE} in ")
    assert first.out.endswith("0 already there.\n")
    second = run("events", "import", str(SAMPLE))
    assert second.code == 0
    assert second.out.startswith("Imported 0 new events")
    assert second.out.endswith("1,707 already there.\n")


def test_import_as_json_prints_one_document() -> None:
    found = run("events", "import", str(SAMPLE), "--json")
    assert found.err == ""
    document = found.document()
    assert document.pop("seconds") >= 0
    assert document == {
        "file": str(SAMPLE),
        "read": 1707,
        "inserted": 1707,
        "already_there": 0,
        "skipped": 0,
        "without_key": 0,
        "completed": True,
    }


def test_import_reads_standard_input() -> None:
    found = run("events", "import", "-", stdin=event_line(1) + event_line(2))
    assert (found.code, found.err) == (0, "")
    assert "2 new events from standard input" in found.out
    assert keys() == ["key-1", "key-2"]


def test_import_unpacks_gz() -> None:
    Path("events.jsonl.gz").write_bytes(gzip.compress(event_line(1).encode()))
    assert run("events", "import", "events.jsonl.gz").code == 0
    assert keys() == ["key-1"]


@pytest.mark.parametrize(
    ("name", "options"), [("events.csv", ()), ("events.txt", ("--format", "csv"))]
)
def test_import_reads_csv(name: str, options: tuple[str, ...]) -> None:
    header = "event_key,event_type,source,occurred_at,payload\n"
    row = 'key-1,test,tests,2018-01-31T00:00:00Z,"{""a"": ""b,c""}"\n'
    write_lines(Path(name), [header, row])
    assert run("events", "import", name, *options).code == 0
    (event,) = run("events", "list", "--json").document()
    assert event["payload"] == {"a": "b,c"}


def test_a_bad_line_stops_the_import_and_keeps_nothing_of_its_batch() -> None:
    lines = [event_line(number) for number in range(10)]
    lines[7] = "{nonsense\n"
    write_lines(Path("bad.jsonl"), lines)
    found = run("events", "import", "bad.jsonl", "--batch-size", "3")
    assert found.code == 65
    assert found.out == ""
    first, *rest = found.err.splitlines()
    assert first.startswith("Error: bad.jsonl, line 8: is not JSON: ")
    assert "6 new events" in rest[0]
    assert keys() == [f"key-{number}" for number in range(6)]


def test_a_stopped_import_as_json_tells_what_was_committed() -> None:
    write_lines(Path("bad.jsonl"), [event_line(1), event_line(2), "[]\n"])
    found = run("events", "import", "bad.jsonl", "--batch-size", "2", "--json")
    assert found.code == 65
    document = found.document()
    assert (document["inserted"], document["completed"]) == (2, False)
    assert document["error"]["type"] == "InputDataError"
    assert document["error"]["exit_code"] == 65
    assert "bad.jsonl, line 3" in document["error"]["message"]


def test_a_mended_file_goes_on_from_where_it_stopped() -> None:
    lines = [event_line(number) for number in range(4)]
    write_lines(Path("events.jsonl"), [*lines[:3], "nonsense\n"])
    assert run("events", "import", "events.jsonl", "--batch-size", "2").code == 65
    write_lines(Path("events.jsonl"), lines)
    found = run("events", "import", "events.jsonl")
    assert "2 new events" in found.out
    assert "2 already there" in found.out
    assert keys() == [f"key-{number}" for number in range(4)]


def test_skip_stores_the_rest_and_tells_the_count() -> None:
    lines = [event_line(number) if number % 2 else "nonsense\n" for number in range(60)]
    write_lines(Path("bad.jsonl"), lines)
    found = run("events", "import", "bad.jsonl", "--on-error", "skip", "--batch-size", "7")
    assert found.code == 0
    assert "30 new events" in found.out
    assert "30 bad lines skipped" in found.out
    shown = found.err.splitlines()
    assert [line.split(":")[1] for line in shown[:20]] == [
        f" bad.jsonl, line {number}" for number in range(1, 41, 2)
    ]
    assert shown[20:] == ["Further bad lines are counted and not shown."]
    assert len(keys()) == 30


def test_import_tells_about_events_without_a_key() -> None:
    write_lines(Path("events.jsonl"), [event_line(1, event_key=None), event_line(2)])
    found = run("events", "import", "events.jsonl")
    assert "1 event without an event_key" in found.out


def test_a_file_that_is_missing_leaves_no_database_behind() -> None:
    found = run("events", "import", "missing.jsonl")
    assert found.code == 65
    assert found.err == "Error: missing.jsonl: cannot be opened: No such file or directory\n"
    assert list(Path().iterdir()) == []


def test_add_prints_the_id_and_stores_every_field() -> None:
    fields = {
        "--type": "alarm",
        "--source": "door-7",
        "--event-key": "door-7/1",
        "--description": "opened — 開",
        "--occurred-at": "2018-01-31T02:49:59.65+01:00",
        "--payload": '{"level": 3, "digits": 123456789012345678901234567890}',
    }
    options = [word for pair in fields.items() for word in pair]
    added = run("events", "add", *options)
    assert (added.code, added.out, added.err) == (0, "1\n", "")
    (event,) = run("events", "list", "--json").document()
    assert event.pop("created_at").endswith("Z")
    assert event == {
        "id": 1,
        "event_key": "door-7/1",
        "event_type": "alarm",
        "source": "door-7",
        "description": "opened — 開",
        "payload": {"level": 3, "digits": 123456789012345678901234567890},
        "occurred_at": "2018-01-31T01:49:59.650000Z",
    }


def test_add_needs_only_type_and_source() -> None:
    assert run("events", "add", "--type", "t", "--source", "s", "--json").document() == {"id": 1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--type", ""), "event_type is missing or empty"),
        (("--payload", "{"), "--payload: is not JSON"),
        (("--payload", "[1]"), "payload is a JSON array; an object is wanted"),
        (("--payload", '{"a": NaN}'), "--payload: is not JSON: NaN"),
        (("--payload", '{"a": "\\ud800"}'), "no Unicode"),
        (("--occurred-at", "yesterday"), "occurred_at is 'yesterday'"),
        (("--occurred-at", "2018-01-31T00:00:00"), "with an offset"),
        (("--occurred-at", "0001-01-01T00:00:00+10:00"), "outside of the years"),
        (("--event-key", "taken"), "--event-key: an event 'taken' is stored already"),
        (("--description", "\udcff"), "holds bytes that are not UTF-8"),
    ],
)
def test_add_refuses_what_cannot_be_stored(options: tuple[str, str], message: str) -> None:
    run("events", "add", "--type", "t", "--source", "s", "--event-key", "taken")
    found = run("events", "add", "--type", "t", "--source", "s", *options)
    assert found.code == 65
    assert found.err.startswith("Error: ")
    assert message in found.err
    assert len(found.err.splitlines()) == 1
    assert keys() == ["taken"]


def test_list_filters_and_limits() -> None:
    lines = [
        event_line(number, event_type=f"type-{number % 2}", source=f"source-{number % 3}")
        for number in range(12)
    ]
    write_lines(Path("events.jsonl"), lines)
    run("events", "import", "events.jsonl")

    def numbers(*options: str) -> list[int]:
        found = run("events", "list", "--json", *options).document()
        return [int(event["event_key"].removeprefix("key-")) for event in found]

    assert numbers("--limit", "3") == [11, 10, 9]
    assert numbers("--type", "type-1") == [11, 9, 7, 5, 3, 1]
    assert numbers("--type", "type-1", "--source", "source-0") == [9, 3]
    assert numbers("--source", "nobody") == []


def test_list_for_people() -> None:
    run("events", "add", "--type", "t", "--source", "s", "--occurred-at", "2018-01-31T00:00:00Z")
    assert run("events", "list").out.splitlines() == [
        "id  occurred (UTC)       type  source  description",
        "1   2018-01-31 00:00:00  t     s",
    ]
    assert run("events", "list", "--type", "none").out == "No events.\n"


def test_list_cannot_steer_a_terminal() -> None:
    run("events", "add", "--type", "t", "--source", "s", "--description", "\x1b[2Jgone\nnext\u202e")
    found = run("events", "list")
    assert "\x1b" not in found.out
    assert r"\x1b[2Jgone\nnext\u202e" in found.out


def test_stats() -> None:
    run("events", "import", str(SAMPLE))
    document = run("events", "stats", "--json").document()
    assert document["total"] == 1707
    assert next(iter(document["by_type"].items())) == ("earthquake", 1679)
    assert sum(document["by_source"].values()) == 1707
    assert list(document["by_day"]) == sorted(document["by_day"])
    assert document["by_day"]["2018-02-04"] == 301
    text = run("events", "stats").out
    assert text.startswith("1,707 events\n")
    for line in text.splitlines():
        assert len(line) <= 80


def test_stats_of_many_names_and_days_stay_short() -> None:
    lines = [
        event_line(
            n,
            source=f"source-{n}" * 9,
            occurred_at=f"2018-{1 + n // 28:02}-{1 + n % 28:02}T00:00:00Z",
        )
        for n in range(100)
    ]
    write_lines(Path("events.jsonl"), lines)
    run("events", "import", "events.jsonl")
    text = run("events", "stats").out
    assert "and 85 of 85 others" in text
    assert "By day (UTC), the last 31" in text
    assert "and 69 on 69 earlier days" in text
    assert max(map(len, text.splitlines())) <= 80


def test_stats_of_nothing() -> None:
    assert run("events", "stats").out == "0 events\n"
    assert run("events", "stats", "--json").document()["total"] == 0


@part(2)
@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz", "out.csv", "out.csv.gz"])
def test_what_was_exported_imports_again(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run("events", "import", str(SAMPLE))
    found = run("events", "export", name)
    assert (found.code, found.err) == (0, "")
    assert found.out.startswith(f"Exported 1,707 events to {name} in ")
    before = without_storage(run("events", "list", "--limit", "9999", "--json").document())
    use_database(monkeypatch, "other.db")
    assert run("events", "import", name).code == 0
    assert without_storage(run("events", "list", "--limit", "9999", "--json").document()) == before


def test_export_as_json() -> None:
    run("events", "add", "--type", "t", "--source", "s")
    document = run("events", "export", "out.jsonl", "--json").document()
    assert document.pop("seconds") >= 0
    assert document == {"file": "out.jsonl", "exported": 1}


def test_export_refuses_to_replace_the_database() -> None:
    run("events", "add", "--type", "t", "--source", "s", "--event-key", "kept")
    Path("link.jsonl").symlink_to("vinci.db")
    Path("vinci.db-wal").touch()
    for name in ("vinci.db", "./vinci.db", "link.jsonl", "vinci.db-wal"):
        found = run("events", "export", name)
        assert found.code == 69
        assert f"{name} is a file of the database itself" in found.err
    assert keys() == ["kept"]


def test_export_of_events_to_standard_output_leaves_no_room_for_json() -> None:
    found = run("events", "export", "-", "--json")
    assert found.code == 2
    assert "standard output is for the events" in found.err


@pytest.mark.parametrize("command", ["import", "export"])
def test_an_empty_file_name_is_wrong_usage(command: str) -> None:
    assert run("events", command, "").code == 2


def test_a_secret_in_an_event_is_masked_in_what_people_see_and_kept_in_what_is_exported() -> None:
    token = "dapi" + "0123456789abcdef" * 2
    payload = {"header": f"Bearer {token}", "password": "hunter2", "list": [token], token: 1}
    run("events", "add", "--type", "t", "--source", "s", "--description", f"uses {token}",
        "--payload", json.dumps(payload))  # fmt: skip
    assert token not in run("events", "list").out
    listed = run("events", "list", "--json")
    assert token not in listed.out
    assert "hunter2" not in listed.out
    assert listed.document()[0]["payload"]["password"] == "**********"
    run("events", "export", "out.jsonl")
    assert json.loads(Path("out.jsonl").read_text())["payload"] == payload


def test_deeply_nested_payloads_are_shown() -> None:
    payload: dict[str, Any] = {}
    for _ in range(99):
        payload = {"a": payload}
    run("events", "add", "--type", "t", "--source", "s", "--payload", json.dumps(payload))
    assert run("events", "list", "--json").document()[0]["payload"] == payload


def without_storage(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in event.items() if key != "created_at"} for event in events]


def use_database(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    from vinci_code.core.config import reload_settings

    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{name}")
    reload_settings()
