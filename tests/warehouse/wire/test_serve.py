"""The warehouse in the foreground, as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from databricks import sql

from tests.cli.process import shell, vinci
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")

TIMEOUT = PATIENCE_S


@contextmanager
def served(arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that serves with these arguments, and the first line that it printed."""
    program = f"from vinci_code.warehouse.serve import serve; serve({arguments})"
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        watchdog = threading.Timer(TIMEOUT, process.kill)
        watchdog.start()
        try:
            yield process, process.stdout.readline()
        finally:
            watchdog.cancel()
            watchdog.join()
            if process.poll() is None:
                process.kill()


def stop(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
    """Send a signal; the exit code and what was printed on standard error."""
    process.send_signal(number)
    _, errors = process.communicate(timeout=TIMEOUT)
    return process.returncode, errors


def connect_args(found: dict[str, str]) -> dict[str, object]:
    return {
        "server_hostname": found["host"],
        "_port": found["port"],
        "http_path": found["http_path"],
        "access_token": found["token"],
        "_tls_trusted_ca_file": found["ca_file"],
        "enable_telemetry": False,
    }


def test_json_tells_how_to_reach_it_and_sigterm_leaves_a_whole_file(tmp_path: Path) -> None:
    data = tmp_path / "data" / "warehouse.db"
    data.parent.mkdir()
    arguments = f"as_json=True, data={str(data)!r}"
    for number, expected in ((signal.SIGTERM, []), (signal.SIGINT, [(7,)])):
        with served(arguments) as (process, line):
            found = json.loads(line)
            assert set(found) >= {"host", "port", "http_path", "token", "ca_file", "env"}
            assert found["env"]["DATABRICKS_SERVER_HOSTNAME"] == f"localhost:{found['port']}"
            connection = sql.connect(**connect_args(found))
            with connection.cursor() as cursor:
                cursor.execute("CREATE TABLE IF NOT EXISTS t (a INT)")
                assert cursor.execute("SELECT * FROM t").fetchall() == expected
                if not expected:
                    cursor.execute("INSERT INTO t VALUES (7)")
            connection.close()
            assert stop(process, number) == (0, "")
            assert not Path(found["ca_file"]).exists()
    assert [path.name for path in data.parent.iterdir()] == ["warehouse.db"]


def test_a_signal_ends_it_while_a_statement_runs() -> None:
    with served("as_json=True") as (process, line):
        connection = sql.connect(**connect_args(json.loads(line)))
        connection.cursor().execute_async(
            "SELECT count(*) FROM range(100000000) a CROSS JOIN range(100000) b"
        )
        assert stop(process, signal.SIGTERM) == (0, "")
        connection.session.is_open = False


def test_shell_lines_set_the_environment(tmp_path: Path) -> None:
    with served("") as (process, first):
        assert process.stdout is not None
        lines = [first] + [process.stdout.readline() for _ in range(6)]
        script = "".join(lines) + "env"
        done = subprocess.run(
            ["/bin/sh", "-c", script], capture_output=True, text=True, check=True, timeout=TIMEOUT
        )
        found = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
        assert found["USE_DATABRICKS"] == "true"
        assert found["DATABRICKS_HTTP_PATH"].startswith("/sql/1.0/warehouses/")
        assert Path(found["DATABRICKS_CA_FILE"]).exists()
        assert found["DATABRICKS_CATALOG"] == "main"
        assert stop(process, signal.SIGTERM)[0] == 0


def test_faults_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    path.write_text('[{"kind": "http", "status": 500, "operation": "ExecuteStatement"}]')
    with served(f"as_json=True, faults={str(path)!r}") as (process, line):
        with (
            sql.connect(**connect_args(json.loads(line))) as connection,
            connection.cursor() as cursor,
        ):
            with pytest.raises(sql.exc.RequestError):
                cursor.execute("SELECT 1")
            assert cursor.execute("SELECT 1").fetchall() == [(1,)]
        assert stop(process, signal.SIGTERM)[0] == 0


def test_a_bad_fault_file_is_an_error_before_anything_starts(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    path.write_text("{}")
    with served(f"faults={str(path)!r}") as (process, line):
        assert line == ""
        _, errors = process.communicate(timeout=TIMEOUT)
        assert "must hold a JSON list" in errors
        assert process.returncode == 1


def test_a_port_that_is_taken_is_told_with_another_way(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = vinci("warehouse", "serve", "--port", str(port), "--json")
    assert ended.code == 69
    assert ended.document()["error"]["type"] == "PortError"
    assert f"cannot listen on port {port} of 127.0.0.1: " in ended.err
    assert "--port (0 takes a free one)" in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device here")
@pytest.mark.parametrize("output", [">/dev/full", ">&-"])
def test_nobody_who_could_learn_the_token_ends_it(output: str) -> None:
    ended = shell(f"$VINCI warehouse serve {output}")
    assert ended.code == 1
    assert ended.err.startswith("Error: standard output: ")
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize("client", ["jdbc", "dbt", "node", "python", "env"])
def test_each_client_is_told_where_it_is(client: str) -> None:
    with served(f"show={client!r}") as (process, first):
        assert process.stdout is not None
        lines = first
        while f"{LAST_WORDS[client]}" not in lines:
            lines += process.stdout.readline()
        assert "localhost" in lines
        assert stop(process, signal.SIGTERM) == (0, "")


LAST_WORDS = {
    "jdbc": "UseThriftClient=1;CheckCertRevocation=0",
    "dbt": "enable_telemetry: false",
    "node": "initialSchema: 'default'",
    "python": "'default',\n)",
    "env": "export NODE_EXTRA_CA_CERTS=",
}


def test_what_is_told_for_python_connects() -> None:
    with served("show='python'") as (process, first):
        assert process.stdout is not None
        program = first
        while not program.endswith("\n)\n"):
            program += process.stdout.readline()
        program += "cursor = connection.cursor()\nprint(cursor.execute('SELECT 1').fetchall())\n"
        program += "cursor.close()\nconnection.close()\n"
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            capture_output=True, text=True, timeout=TIMEOUT, check=False,
        )  # fmt: skip
        assert (done.stdout, done.stderr) == ("[Row(1=1)]\n", "")
        assert stop(process, signal.SIGTERM)[0] == 0


def test_statements_are_run_before_it_is_told_where(tmp_path: Path) -> None:
    init = tmp_path / "init.sql"
    init.write_text("CREATE TABLE t (i INT); INSERT INTO t VALUES (1), (2)")
    with served(f"as_json=True, init={str(init)!r}") as (process, line):
        with (
            sql.connect(**connect_args(json.loads(line))) as connection,
            connection.cursor() as cursor,
        ):
            assert cursor.execute("SELECT count(*) FROM t").fetchall() == [(2,)]
        assert stop(process, signal.SIGTERM)[0] == 0
