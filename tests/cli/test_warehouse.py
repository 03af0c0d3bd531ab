"""`vinci warehouse`: statements, the prompt, a command with a warehouse of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.process import COMMAND, Result, environment, in_a_terminal, vinci
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.skipif(os.name != "posix", reason="terminals and signals are POSIX")

ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[a-zA-Z]|[=>]|\][^\x07]*\x07)")


def warehouse(*arguments: str, stdin: str = "") -> Result:
    return vinci("warehouse", *arguments, stdin=stdin.encode())


def python(code: str) -> tuple[str, ...]:
    return ("run", "--", sys.executable, "-c", code)


# --- sql


def test_statements_are_run_in_order_and_shown() -> None:
    ended = warehouse(
        "sql", "CREATE TABLE t (i INT, s STRING); INSERT INTO t VALUES (1, 'a;b'), (2, NULL)",
        "SELECT * FROM t ORDER BY i",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[-3:] == ["i  s", "1  a;b", "2  NULL"]
    assert ended.err.splitlines() == ["OK", "1 row", "2 rows"]


def test_statements_that_are_piped_in_give_one_document() -> None:
    ended = warehouse(
        "sql", "--json", "--max-rows", "2", stdin="SELECT 1 AS a;\nSELECT * FROM range(5)"
    )
    first, second = ended.document()["results"]
    assert (first["columns"], first["rows"]) == ([{"name": "a", "type": "int"}], [[1]])
    assert (second["rows"], second["more"]) == ([[0], [1]], True)


def test_the_first_statement_that_fails_ends_it() -> None:
    ended = warehouse("sql", "SELECT 1 AS a", "SELECT nope", "SELECT 2 AS never")
    assert ended.code == 1
    assert ended.err.splitlines()[-1].startswith("Error: [UNRESOLVED_COLUMN")
    assert "never" not in ended.out


def test_a_quote_that_is_not_closed_runs_nothing() -> None:
    ended = warehouse("sql", "CREATE TABLE t (i INT); SELECT 'a")
    assert (ended.code, ended.out) == (1, "")
    assert "PARSE_SYNTAX_ERROR" in ended.err


def test_tables_of_a_file_stay_and_another_process_is_told(tmp_path: Path) -> None:
    data, init = tmp_path / "dev.warehouse", tmp_path / "init.sql"
    init.write_text("CREATE TABLE t (i INT); -- the first\nINSERT INTO t VALUES (7);\n")
    asked = ("--data", str(data), "SELECT i FROM t")
    assert warehouse("sql", "--init", str(init), *asked).out.split() == ["i", "7"]
    assert warehouse("sql", *asked).out.split() == ["i", "7"]
    inner = [*COMMAND, "warehouse", "sql", *asked]
    code = f"import subprocess, sys; sys.exit(subprocess.run({inner!r}).returncode)"
    ended = vinci("warehouse", "run", "--data", str(data), "--", sys.executable, "-c", code)
    assert ended.code == 69
    assert f"cannot be kept in {data}: DuckDB says: " in ended.err
    assert "end the process that uses it" in ended.err


def test_a_statement_of_a_file_that_fails_is_named_with_its_line(tmp_path: Path) -> None:
    init = tmp_path / "init.sql"
    init.write_text("CREATE TABLE t (i INT);\n\nINSERT INTO nowhere VALUES (7);\n")
    ended = warehouse("sql", "--init", str(init), "SELECT 1")
    assert (ended.code, ended.out) == (1, "")
    assert f"{init}, line 3: [TABLE_OR_VIEW_NOT_FOUND]" in ended.err


# --- the prompt


def typed(*lines: str, arguments: tuple[str, ...] = ()) -> list[str]:
    """What a terminal shows in which these lines are typed, without what moves its cursor."""
    answer = "".join(f"{line}\r" for line in lines).encode()
    text = in_a_terminal("warehouse", "sql", *arguments, columns=100, answer=answer)
    return [line.rstrip() for line in ESCAPES.sub("", text).replace("\r", "\n").split("\n")]


def test_the_prompt_runs_statements_of_several_lines_and_commands(tmp_path: Path) -> None:
    history = tmp_path / "state" / "history"
    lines = typed(
        "CREATE TABLE t (id INT);",
        "SELECT 1 AS a,",
        "  2 AS b;",
        "\\d t",
        "SELECT nope;",
        "\\timing",
        "SELECT 3 AS c;",
        "\\q",
        arguments=("--history", str(history)),
    )
    assert "1  2" in lines
    assert "id        int        NULL" in lines
    assert any(line.startswith("Error: [UNRESOLVED_COLUMN") for line in lines)
    assert any(re.fullmatch(r"1 row \(\d+ ms\)", line) for line in lines)
    assert "1 row" in lines
    kept = history.read_text()
    assert "+SELECT 1 AS a,\n+  2 AS b;\n" in kept
    assert history.stat().st_mode & 0o077 == 0


# --- run


def test_the_command_has_what_clients_read_and_its_exit_code_is_ours() -> None:
    code = (
        "import os, ssl, sys, urllib.request as u;"
        "host = os.environ['DATABRICKS_HOST'];"
        "print(u.urlopen(host + '/oidc/.well-known/oauth-authorization-server').status);"
        "sys.exit(7)"
    )
    ended = warehouse(*python(code))
    assert (ended.code, ended.out) == (7, "200\n"), ended.err


def test_the_application_finds_its_warehouse() -> None:
    ended = vinci("warehouse", "run", "--", *COMMAND, "check", "--json")
    assert json.loads(ended.out)["backend"] == "databricks", ended.err


def test_the_certificate_and_the_roots_of_before_are_in_one_file() -> None:
    code = (
        "import os, pathlib; e = os.environ; f = pathlib.Path(e['SSL_CERT_FILE']).read_text();"
        "ours = pathlib.Path(e['NODE_EXTRA_CA_CERTS']).read_text();"
        "print(ours in f, f.count('BEGIN CERTIFICATE') > 50)"
    )
    assert warehouse(*python(code)).out == "True True\n"


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [("no-such-program", 127, "No such file"), ("/", 126, "Permission denied")],
)
def test_a_command_that_cannot_be_started(command: str, code: int, said: str) -> None:
    ended = warehouse("run", "--", command)
    assert ended.code == code
    assert f"The command {command} cannot be started: {said}" in ended.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_is_passed_on(number: signal.Signals) -> None:
    code = (
        "import signal, sys\n"
        f"signal.signal({int(number)}, lambda *_: sys.exit(9))\n"
        "print('ready', flush=True)\n"
        "signal.pause()"
    )
    with subprocess.Popen(
        [*COMMAND, "warehouse", *python(code)],
        stdout=subprocess.PIPE,
        env=environment(),
        start_new_session=True,
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"ready\n"
        running.send_signal(number)
        assert running.wait(PATIENCE_S) == 9


def test_a_command_that_a_signal_ended() -> None:
    ended = warehouse(*python("import os; os.kill(os.getpid(), 9)"))
    assert ended.code == 128 + 9
