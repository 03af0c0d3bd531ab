"""`vinci` as a process: what it loads, signals, pipes, full disks, terminals, warnings, crashes."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.process import (
    PATIENCE_S,
    SAMPLE,
    environment,
    event_line,
    in_a_terminal,
    shell,
    start,
    vinci,
    waiting_in,
    write_lines,
)
from tests.full import part
from tests.patience import wait_until
from vinci_code import __version__

pytestmark = part(6)


COMMANDS: tuple[tuple[str, ...], ...] = (
    (),
    ("demo",),
    ("check",),
    ("config",),
    ("config", "show"),
    ("db",),
    ("db", "upgrade"),
    ("db", "downgrade"),
    ("db", "status"),
    ("events",),
    ("events", "import"),
    ("events", "add"),
    ("events", "list"),
    ("events", "stats"),
    ("events", "export"),
    ("fallback",),
    *(("fallback", name) for name in ("status", "list", "show", "retry", "discard", "export")),
    ("fallback", "refresh"),
    ("warehouse",),
    ("warehouse", "serve"),
)

HEAVY = ("sqlalchemy", "alembic", "databricks", "pandas", "pyarrow", "numpy", "rich", "orjson")


def loaded_by(*arguments: str) -> set[str]:
    """The packages that a command has loaded when it ends."""
    program = (
        "import sys, vinci_code.cli\n"
        f"sys.argv = ['vinci', *{arguments!r}]\n"
        "code = vinci_code.cli.main()\n"
        "print('LOADED', *sorted({name.split('.')[0] for name in sys.modules}))\n"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=PATIENCE_S,
        check=True,
    )
    return set(done.stdout.rpartition("LOADED")[2].split())


def test_version() -> None:
    found = vinci("--version")
    assert (found.code, found.out, found.err) == (0, f"vinci {__version__}\n", "")


@pytest.mark.parametrize(
    "arguments", [("--version",), ("--help",), ("events", "import", "--help")], ids=" ".join
)
def test_help_and_version_load_nothing_heavy(arguments: tuple[str, ...]) -> None:
    loaded = loaded_by(*arguments)
    assert "typer" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_the_search_for_loaded_packages_finds_them() -> None:
    assert {"sqlalchemy", "rich"} <= loaded_by("config", "show")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command) or "vinci")
def test_every_command_has_help_with_examples_in_80_columns(command: tuple[str, ...]) -> None:
    found = vinci(*command, "--help")
    assert (found.code, found.err) == (0, "")
    assert found.out.startswith("Usage: ")
    examples = found.out.partition("Examples:\n")[2]
    assert "vinci" in examples
    # Read as `vinci` prints it: the name of the module is longer.
    lines = found.out.replace("python -m vinci_code", "vinci").splitlines()
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in found.out


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("events", "import"), ("events", "list", "--limit", "none")]
)
def test_wrong_usage_ends_in_2(arguments: tuple[str, ...]) -> None:
    found = vinci(*arguments)
    assert (found.code, found.out) == (2, "")
    assert "Error: " in found.err


def completed(words: str) -> list[str]:
    """What a shell offers behind words that were typed."""
    program = "import sys, vinci_code.cli; sys.argv = ['vinci']; sys.exit(vinci_code.cli.main())"
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=environment(_VINCI_COMPLETE="complete_bash", **asked),
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_the_shell_completes_commands_options_and_choices() -> None:
    assert completed("vinci ") == [
        *("demo", "check", "copy", "queries", "report"),
        *("config", "db", "events", "fallback", "warehouse"),
    ]
    assert completed("vinci events ex") == ["export"]
    assert completed("vinci events import --on") == ["--on-error"]
    assert completed("vinci events import --on-error ") == ["stop", "skip"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_a_signal_ends_an_import_and_tells_what_was_committed(
    number: signal.Signals, as_json: bool
) -> None:
    options = ("--json",) if as_json else ()
    running = start("events", "import", "-", "--batch-size", "2", *options)
    assert running.stdin is not None
    # Five records are two batches and a half: the import waits for the sixth.
    running.stdin.write("".join(event_line(n) for n in range(5)).encode())
    running.stdin.flush()
    wait_until(lambda: stored() == 4)
    running.send_signal(number)
    out, err = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 128 + number
    lines = err.decode().splitlines()
    assert lines[0] == ("Interrupted." if number == signal.SIGINT else "Terminated.")
    assert "4 new events" in lines[1]
    assert (b'"inserted": 4' in out) is as_json
    assert stored() == 4


def test_ctrl_c_before_anything_was_committed() -> None:
    running = start("events", "import", "-")
    wait_until(lambda: Path("vinci.db").exists() and stored() == 0)
    # The tables are there; the import begins to read a moment later.
    time.sleep(0.3)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=PATIENCE_S)
    assert (running.returncode, out) == (130, b"")
    assert err.decode().splitlines()[0] == "Interrupted."


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_a_signal_while_another_process_holds_the_database(number: signal.Signals) -> None:
    """Nothing is in the middle of a commit then, and nobody waits for the lock any longer."""
    import sqlite3

    assert vinci("db", "upgrade").code == 0
    holder = sqlite3.connect("vinci.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    running = start("events", "import", "-", "--batch-size", "1")
    pipe = running.stdin
    assert pipe is not None
    pipe.write(event_line(1).encode())
    pipe.flush()
    # It has taken the record, and goes to wait for the lock.
    wait_until(lambda: waiting_in(pipe) == 0)
    time.sleep(0.2)
    running.send_signal(number)
    time.sleep(0.2)
    holder.execute("ROLLBACK")
    holder.close()
    running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 128 + number
    assert stored() in {0, 1}


def test_a_closed_pipe_ends_an_export_quietly() -> None:
    assert vinci("events", "import", str(SAMPLE)).code == 0
    found = shell('$VINCI events export - | head -1; echo "${PIPESTATUS[@]}"')
    first, codes = found.out.splitlines()
    assert first.startswith('{"event_key":"uw61345682"')
    assert codes == "141 0"
    assert found.err == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    "command",
    ["--version", "--help", "events list", "events stats --json", "config show", "events export -"],
)
def test_a_full_disk_is_one_line(command: str) -> None:
    assert vinci("events", "add", "--type", "t", "--source", "s").code == 0
    found = shell(f"$VINCI {command} > /dev/full")
    assert found.code == 1
    assert found.err == "Error: standard output: No space left on device\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_says_what_is_stored_all_the_same() -> None:
    full = "Error: standard output: No space left on device\n"
    for command, told in (
        (f"events import {SAMPLE}", "Imported 1,707 new events from "),
        (f"events import {SAMPLE} --json", "Imported 0 new events from "),
        ("events add --type t --source s", "The event is stored all the same, with the id 1708."),
        ("db downgrade base --yes", "Taken back all the same: 0001."),
        ("db upgrade", "Applied all the same: 0001."),
    ):
        found = shell(f"$VINCI {command} > /dev/full")
        assert found.code == 1
        assert found.err.startswith(full)
        assert told in found.err


@pytest.mark.parametrize(
    "command",
    [
        "events list --limit",
        "events import missing --batch-size",
        "fallback show",
        "fallback list --limit",
    ],
)
def test_a_number_that_no_database_has_is_a_usage_error(command: str) -> None:
    found = vinci(*command.split(), "9223372036854775808")
    assert found.code == 2
    assert "9223372036854775807" in found.err
    assert vinci(*command.split(), "9223372036854775807").code not in (2, 70)


@pytest.mark.parametrize("command", ["events import missing", "check", "events list"])
def test_standard_error_that_is_full_changes_no_exit_code(command: str) -> None:
    expected = shell(f"$VINCI {command}").code
    assert shell(f"$VINCI {command} 2> /dev/full").code == expected
    assert shell(f"$VINCI {command} 2>&-").code == expected


def test_streams_that_are_closed() -> None:
    assert shell("$VINCI events list >&-").code == 0
    closed_in = shell("$VINCI events import - <&-")
    assert (closed_in.code, closed_in.err) == (65, "Error: <stdin>: is closed\n")
    closed_out = shell("$VINCI events export - >&-")
    assert (closed_out.code, closed_out.err) == (1, "Error: standard output: it is closed\n")


def test_an_output_that_is_not_utf_8() -> None:
    fields = ("--type", "t", "--source", "s", "--description", "Señor 開")
    assert vinci("events", "add", *fields).code == 0
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    assert r"Se\xf1or \u958b" in vinci("events", "list", env=ascii_only).out
    listed = vinci("events", "list", "--json", env=ascii_only)
    assert listed.document()[0]["description"] == "Señor 開"
    exported = vinci("events", "export", "-", env=ascii_only)
    assert exported.document()["description"] == "Señor 開"
    assert vinci("events", "stats", env=ascii_only).out.isascii()


def test_sql_that_is_logged_does_not_stand_in_the_document() -> None:
    found = vinci("events", "stats", "--json", env={"DATABASE_ECHO": "true"})
    assert found.document()["total"] == 0
    assert "SELECT count" in found.err


def test_an_insecure_file_is_one_plain_line() -> None:
    token = "dapi" + "0123456789abcdef" * 2
    Path(".env").write_text(f"DATABRICKS_TOKEN={token}\n")
    Path(".env").chmod(0o644)
    found = vinci("config", "show", "--json")
    assert found.code == 0
    (line,) = found.err.splitlines()
    assert line.startswith("Warning: .env holds DATABRICKS_TOKEN")
    assert "chmod 600" in line
    assert token not in found.out + found.err


CRASH = """
import sys
import vinci_code.database.events as events

def broken(session):
    secret = "dapi" + "0123456789abcdef" * 2
    raise RuntimeError("the wheels came off: " + secret)

events.statistics = broken
import vinci_code.cli
sys.argv = ["vinci", "events", "stats"]
sys.exit(vinci_code.cli.main())
"""


@pytest.mark.parametrize("debug", ["", "1"])
def test_a_mistake_of_ours_is_one_line_and_its_traceback_at_request(debug: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CRASH],
        capture_output=True,
        text=True,
        env=environment(VINCI_DEBUG=debug),
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 70
    *traceback, line = done.stderr.splitlines()
    assert line.startswith(
        "Error: this is a mistake in vinci_code: RuntimeError: the wheels came off: **********."
    )
    assert "dapi0123" not in done.stderr
    assert (traceback != []) is bool(debug)
    assert ("Set VINCI_DEBUG=1" in line) is not bool(debug)
    if debug:
        assert traceback[0] == "Traceback (most recent call last):"


CLEANS_UP = """
import os, signal, sys, threading
from vinci_code.cli import process

class Cleaned:
    def __del__(self):
        os.kill(os.getpid(), signal.{signal})

def command():
    Cleaned()
    threading.Event().wait({seconds})

process.app = command
sys.exit(process.run())
"""


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_that_comes_while_python_cleans_up_is_not_lost(name: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CLEANS_UP.format(signal=name, seconds=2 * PATIENCE_S)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr == {143: "Terminated.\n", 130: "Interrupted.\n"}[code]


def test_progress_is_silent_where_nobody_looks() -> None:
    found = vinci("events", "import", str(SAMPLE))
    assert (found.code, found.err) == (0, "")


def test_a_terminal_sees_progress_with_rows_and_rate() -> None:
    text = in_a_terminal("events", "import", str(SAMPLE))
    assert "Importing" in text
    assert "1,707 rows" in text
    assert "/s" in text
    assert "left" in text
    assert text.rstrip().endswith("0 already there.")


def test_a_terminal_sees_skipped_lines_beside_the_progress() -> None:
    write_lines(Path("bad.jsonl"), [event_line(1), "nonsense\n", event_line(3)])
    text = in_a_terminal("events", "import", "bad.jsonl", "--on-error", "skip")
    assert "Skipped: bad.jsonl, line 2: is not JSON" in text
    assert "2 new events" in text


def test_a_terminal_is_asked_before_a_downgrade() -> None:
    assert vinci("events", "add", "--type", "t", "--source", "s").code == 0
    assert "Aborted" in in_a_terminal("db", "downgrade", "base", answer=b"n\n")
    assert stored() == 1
    assert "Taken back: 0001." in in_a_terminal("db", "downgrade", "base", answer=b"y\n")


def test_colours_stay_in_the_terminal_and_leave_with_no_color() -> None:
    escape = "\x1b["
    assert vinci("demo").out.count(escape) == 0
    assert in_a_terminal("events", "stats").count(escape) > 0
    assert in_a_terminal("events", "stats", env={"NO_COLOR": "1"}).count(escape) == 0
    plain = in_a_terminal("demo", env={"NO_COLOR": "1"})
    # A progress bar moves the cursor; that is no colour.
    assert re.findall(r"\x1b\[[0-9;]*m", plain) == []


def stored() -> int:
    """How many events there are, asked beside the process that stores them."""
    import sqlite3

    try:
        connection = sqlite3.connect("file:vinci.db?mode=ro", uri=True)
    except sqlite3.OperationalError:
        return -1
    try:
        return int(connection.execute("SELECT count(*) FROM events").fetchone()[0])
    except sqlite3.OperationalError:
        return -1
    finally:
        connection.close()
