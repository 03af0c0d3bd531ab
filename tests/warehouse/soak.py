"""``make soak``: a mixed load with hostile statements, and what the server keeps of it.

    python -m tests.warehouse.soak [--minutes N] [--clients N] [--seed N]

Clients write, read and move rows through the driver, over raw Thrift and over REST; others send
hostile statements, and cancel them, close their sessions or hang up. Memory, threads, open files
and temporary files of the server's process are counted meanwhile; they have to stay level from the
first third on, and ``SELECT 1`` has to be answered all the time.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from databricks import sql
from databricks.sql import exc

from tests.served_elsewhere import served_process
from tests.warehouse.test_hostile_statements import HOSTILE
from tests.warehouse.wire.client import WireClient

SAMPLE_S = 2.0
# What may come and go between two looks.
MEMORY_SLACK_MIB, SLACK = 96, 12

STATEMENTS = {
    **HOSTILE,
    "IN of 100,000": f"SELECT 5 IN ({', '.join(map(str, range(100_000)))})",
    "100,000 digits": f"SELECT {'9' * 100_000}",
    "digits that are cast": "SELECT CAST(concat(repeat('1', 100000), 'x') AS DOUBLE)",
    "nested lists": "SELECT " + "array(" * 2_000 + "1" + ")" * 2_000,
    "blanks": f"INSERT INTO nowhere VALUES (1){' ' * 100_000}x",
}


class Load:
    """The clients, and how often each of their steps was done."""

    def __init__(self, url: str, arguments: dict[str, Any], process: int, seed: int) -> None:
        parts = urlsplit(url)
        http_path = parse_qs(parts.query)["http_path"][0]
        self.process = process
        self.arguments = {
            "server_hostname": parts.hostname,
            "_port": parts.port,
            "http_path": http_path,
            "enable_telemetry": False,
            **arguments,
        }
        self.address: Any = SimpleNamespace(
            host=parts.hostname,
            port=parts.port,
            http_path=http_path,
            access_token=arguments["access_token"],
            ca_file=arguments["_tls_trusted_ca_file"],
        )
        self.done: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.slowest = 0.0
        self.stop = threading.Event()
        self._seed = seed

    def run(self, minutes: float, clients: int) -> list[dict[str, int]]:
        """Let them work, and return what was counted."""
        steps: list[Callable[[random.Random], None]] = [self._driver, self._thrift, self._rest]
        threads = [
            threading.Thread(target=self._work, args=(number, steps[number % len(steps)]))
            for number in range(clients)
        ]
        threads.append(threading.Thread(target=self._neighbour))
        for thread in threads:
            thread.start()
        samples = []
        end = time.monotonic() + minutes * 60
        while time.monotonic() < end:
            self.stop.wait(SAMPLE_S)
            samples.append(self.counted())
            print(samples[-1], flush=True)
        self.stop.set()
        for thread in threads:
            thread.join()
        return samples

    def counted(self) -> dict[str, int]:
        """What the server's process holds."""
        status = dict(
            line.split(":", 1)
            for line in Path(f"/proc/{self.process}/status").read_text().splitlines()
        )
        return {
            "MiB": int(status["VmRSS"].split()[0]) // 1024,
            "threads": int(status["Threads"]),
            "open files": len(list(Path(f"/proc/{self.process}/fd").iterdir())),
            "temporary files": sum(len(files) for _, _, files in os.walk(tempfile.gettempdir())),
        }

    def _work(self, number: int, step: Callable[[random.Random], None]) -> None:
        chance = random.Random(self._seed * 1000 + number)
        while not self.stop.is_set():
            try:
                step(chance)
                self.done[step.__name__.strip("_")] += 1
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told
                self.wrong.append(f"{step.__name__}: {type(error).__name__}: {str(error)[:300]}")

    def _neighbour(self) -> None:
        with sql.connect(**self.arguments) as connection, connection.cursor() as cursor:
            while not self.stop.wait(0.1):
                begun = time.monotonic()
                cursor.execute("SELECT 1")
                if [tuple(row) for row in cursor.fetchall()] != [(1,)]:
                    self.wrong.append("SELECT 1 is another number")
                self.slowest = max(self.slowest, time.monotonic() - begun)
                self.done["SELECT 1"] += 1

    def _driver(self, chance: random.Random) -> None:
        name = f"t{threading.get_ident()}"
        rows = chance.choice((10, 1_000, 300_000))
        with sql.connect(**self.arguments) as connection, connection.cursor() as cursor:
            cursor.execute(
                f"CREATE OR REPLACE TABLE {name} AS SELECT id, uuid() u FROM range({rows})"
            )
            cursor.execute(f"UPDATE {name} SET u = upper(u) WHERE id % 2 = 0")
            cursor.execute(
                f"MERGE INTO {name} t USING (SELECT id FROM range(5)) s ON t.id = s.id "
                "WHEN MATCHED THEN DELETE"
            )
            cursor.execute(f"SELECT * FROM {name}")
            found = cursor.fetchall_arrow().num_rows
            if found != rows - 5:
                self.wrong.append(f"{found} rows of {rows - 5}")
            with contextlib.suppress(exc.Error):
                cursor.execute(STATEMENTS[chance.choice(("brackets", "repeat", "100,000 digits"))])
            cursor.execute(f"DROP TABLE {name}")
        # The driver's pool of connections lies in a cycle, and keeps its sockets until then.
        gc.collect()

    def _thrift(self, chance: random.Random) -> None:
        statement = STATEMENTS[chance.choice(sorted(STATEMENTS))]
        with WireClient(self.address) as client:
            session = client.open_session()
            if chance.random() < 0.2:
                # Without a word more; its session is closed by another connection.
                client.send("ExecuteStatement", sessionHandle=session, statement=statement)
                time.sleep(chance.random())
                client.http.close()
                with WireClient(self.address) as other:
                    other.call("CloseSession", sessionHandle=session)
                return
            operation = client.call(
                "ExecuteStatement", sessionHandle=session, statement=statement, runAsync=True
            ).operationHandle
            time.sleep(chance.random())
            way = chance.choice(("CancelOperation", "CloseOperation", ""))
            if way:
                client.call(way, operationHandle=operation)
            client.call("CloseSession", sessionHandle=session)

    def _rest(self, chance: random.Random) -> None:
        statements = "/api/2.0/sql/statements"
        body = {
            "statement": STATEMENTS[chance.choice(sorted(STATEMENTS))],
            "warehouse_id": self.address.http_path.rpartition("/")[2],
            "wait_timeout": "0s",
            "disposition": chance.choice(("INLINE", "EXTERNAL_LINKS")),
            "format": "ARROW_STREAM" if chance.random() < 0.5 else "JSON_ARRAY",
        }
        if body["disposition"] == "INLINE":
            body["format"] = "JSON_ARRAY"
        with WireClient(self.address) as client:
            _, answer = client.json("POST", statements, json.dumps(body).encode())
            time.sleep(chance.random())
            path = f"{statements}/{answer['statement_id']}"
            client.request("POST", f"{path}/cancel", b"{}")
            client.request("DELETE", path)


def main(arguments: list[str]) -> int:
    """Run the load, and tell what was kept."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        with served_process() as (url, connect, process):
            load = Load(url, connect, process, given.seed)
            samples = load.run(given.minutes, given.clients)
            time.sleep(SAMPLE_S)
            after = load.counted()
    print(f"seed {given.seed}: {dict(load.done)}, SELECT 1 within {load.slowest:.2f} s")
    print(f"when all had gone: {after}")
    faults = [*sorted(set(load.wrong)), *_grown(samples)]
    for fault in faults:
        print(f"WRONG: {fault}")
    return int(bool(faults))


def _grown(samples: list[dict[str, int]]) -> list[str]:
    third = max(1, len(samples) // 3)
    faults = []
    for name in samples[0]:
        begun, ended = (
            statistics.median(sample[name] for sample in part)
            for part in (samples[third : 2 * third] or samples, samples[-third:])
        )
        slack = MEMORY_SLACK_MIB if name == "MiB" else SLACK
        print(f"{name}: {begun:.0f} in the second third, {ended:.0f} in the last one")
        if ended > begun + slack:
            faults.append(f"{name} grew from {begun:.0f} to {ended:.0f}")
    return faults


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
