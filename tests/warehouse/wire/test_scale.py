"""Many clients, quick starts, clean ends."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from databricks import sql
from databricks.sql import exc

from tests.patience import FOR_LONG_S, PATIENCE_S, soon, wait_until
from tests.warehouse.wire.client import WireClient, message
from tests.warehouse.wire.engine import FakeWarehouse
from vinci_code.warehouse import LocalWarehouse
from vinci_code.warehouse.pytest_plugin import TestWarehouse

SESSIONS = 200
CLIENTS = 16
READY = """
from vinci_code.warehouse import LocalWarehouse
with LocalWarehouse() as warehouse:
    warehouse.sql("SELECT 1")
    print("ready", flush=True)
    input()
"""
IMPORTS = """
import duckdb, pyarrow, databricks.sql.client
print("ready", flush=True)
input()
"""


@pytest.mark.slow
def test_200_sessions_are_open_at_once(local_warehouse: TestWarehouse) -> None:
    warehouse = local_warehouse.warehouse
    before = warehouse.session_count

    def connect(_: int) -> sql.client.Connection:
        return sql.connect(**local_warehouse.connect_args)

    with ThreadPoolExecutor(CLIENTS) as pool:
        connections = list(pool.map(connect, range(SESSIONS)))
        assert warehouse.session_count == before + SESSIONS

        def ask(connection: sql.client.Connection) -> int:
            with connection.cursor() as cursor:
                return int(cursor.execute("SELECT 6 * 7").fetchone()[0])

        assert list(pool.map(ask, connections)) == [42] * SESSIONS
        list(pool.map(lambda connection: connection.close(), connections))
    assert warehouse.session_count == before


def test_16_clients_work_at_once_and_none_waits_for_another(wire: FakeWarehouse) -> None:
    def work(number: int) -> list[int]:
        with sql.connect(**wire.connect_args) as connection, connection.cursor() as cursor:
            with pytest.raises(exc.Error):
                cursor.execute(f"SELECT sleep({FOR_LONG_S})")
            return [int(cursor.execute(f"SELECT {number}").fetchone()[0]) for _ in range(5)]

    def all_go_on() -> bool:
        for session in wire.engine.sessions:
            session.interrupt()
        return all(answer.done() for answer in answers)

    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = [pool.submit(work, number) for number in range(CLIENTS)]
        try:
            # All of them work at one time: none ends before it is told to.
            wait_until(lambda: len(wire.engine.executed) == CLIENTS)
        finally:
            wait_until(all_go_on)
    assert [answer.result() for answer in answers] == [[n] * 5 for n in range(CLIENTS)]


def test_the_end_leaves_no_thread_and_no_socket() -> None:
    before = _threads()
    warehouse = FakeWarehouse().start()
    port, directory = warehouse.port, warehouse.ca_file.parent
    idle = WireClient(warehouse)
    idle.open_session()
    busy = sql.connect(**warehouse.connect_args)
    busy.cursor().execute_async(f"SELECT sleep({FOR_LONG_S})")
    with soon():
        warehouse.close()
    assert _threads() <= before
    assert not directory.exists()
    assert warehouse.engine.closed
    assert [session.closed for session in warehouse.engine.sessions] == [True, True]
    with pytest.raises(OSError, match="refused"):
        idle.http.connect()
    idle.http.close()
    FakeWarehouse(port=port).start().close()  # the port is free again
    _forget(busy)


def test_closing_twice_does_nothing_and_a_closed_warehouse_says_so() -> None:
    warehouse = FakeWarehouse()
    with warehouse, pytest.raises(RuntimeError, match="runs already"):
        warehouse.start()
    warehouse.close()
    with pytest.raises(RuntimeError, match="does not run"):
        _ = warehouse.connect_args


def test_a_port_that_is_taken_is_an_error_and_leaves_nothing(wire: FakeWarehouse) -> None:
    before = _threads()
    warehouse = FakeWarehouse(port=wire.port)
    with pytest.raises(OSError, match="in use"):
        warehouse.start()
    assert warehouse.engine.closed
    assert _threads() <= before


def test_latency_delays_every_request() -> None:
    with FakeWarehouse(latency=0.2) as warehouse, WireClient(warehouse) as client:
        started = time.monotonic()
        client.post(message("OpenSession", client_protocol_i64=42247))
        assert time.monotonic() - started >= 0.2


def test_the_log_can_be_bounded() -> None:
    with FakeWarehouse(record_limit=3) as warehouse, WireClient(warehouse) as client:
        for number in range(5):
            client.request("GET", f"/{number}")
        assert [record.path for record in warehouse.requests] == ["/2", "/3", "/4"]


@pytest.mark.soak
def test_it_is_ready_within_one_and_a_half_times_the_bare_imports(tmp_path: Path) -> None:
    for program in (READY, IMPORTS):
        _until_ready(
            program, tmp_path
        )  # compiles the modules: an installed package has that behind it
    pairs = [(_until_ready(READY, tmp_path), _until_ready(IMPORTS, tmp_path)) for _ in range(5)]
    ready, imports = min(pair[0] for pair in pairs), min(pair[1] for pair in pairs)
    assert ready / imports < 1.5, f"{ready:.2f} s against {imports:.2f} s"


def test_importing_the_package_loads_nothing_heavy() -> None:
    program = (
        "import sys, vinci_code.warehouse, vinci_code.warehouse.pytest_plugin\n"
        "print([name for name in ('duckdb', 'pyarrow', 'sqlglot', 'databricks') "
        "if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["duckdb", "cryptography", "databricks.sql"])
def test_without_the_extra_one_line_says_what_to_install(name: str) -> None:
    program = (
        f"import sys; sys.modules[{name!r}] = None\n"
        "from vinci_code.core.errors import MissingExtraError\n"
        "try:\n    from vinci_code.warehouse import LocalWarehouse\n"
        "except MissingExtraError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    assert done.stdout.count("\n") == 1
    assert "python -m pip install 'vinci-code[warehouse]'" in done.stdout


def test_it_answers_the_driver_with_the_real_engine(tmp_path: Path) -> None:
    data = tmp_path / "warehouse.db"
    for expected in ([], [(1, "a")]):
        with LocalWarehouse(data) as warehouse:
            connection = sql.connect(**warehouse.connect_args)
            with connection, connection.cursor() as cursor:
                cursor.execute("CREATE TABLE IF NOT EXISTS kept (id INT, name STRING)")
                assert cursor.execute("SELECT * FROM kept").fetchall() == expected
                if not expected:
                    cursor.execute("INSERT INTO kept VALUES (1, 'a')")


def _threads() -> set[threading.Thread]:
    """The warehouses' threads; the driver starts and keeps some of its own."""
    return {thread for thread in threading.enumerate() if thread.name.startswith("warehouse")}


def _until_ready(program: str, bytecode: Path) -> float:
    """The seconds until a program is ready; it keeps compiled modules in ``bytecode``."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(bytecode)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    started = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        taken = time.perf_counter() - started
        process.communicate("\n", timeout=PATIENCE_S)
    return taken


def _forget(connection: sql.client.Connection) -> None:
    """Close a connection whose server is gone, without the driver's retries."""
    connection.session.is_open = False
