"""Statements that would freeze or fill a server, each beside a client that asks ``SELECT 1``."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from databricks import sql
from databricks.sql import exc

from tests.full import part
from tests.patience import PATIENCE_S
from tests.served_elsewhere import served_process

MEMORY_BOUND = 1024  # MiB
# How long each may run before it is cancelled; `SELECT 1` has to be answered meanwhile.
RUN_S = 1.0
PAUSE_S = 0.1

HOSTILE = {
    "regular expression": "SELECT concat(repeat('a', 5000), '!') RLIKE '^(a+)+$'",
    "regular expression of rows": "SELECT count(*) FROM range(200000) WHERE "
    "concat(repeat('ab', 40), id) RLIKE '^([ab]|a)+[b]{3}$'",
    "pattern of dates": "SELECT try_to_timestamp(concat(repeat('1', 60), 'x'), "
    "'dHdHdHdHdHdHdHdHdHdHdHdHdHdHdHdHdHdHdHdH')",
    "SHOW LIKE": "SHOW TABLES LIKE '" + "*a" * 40 + "b'",
    "format_number": "SELECT format_number(1, 2000000000)",
    "repeat": "SELECT length(repeat('x', 2000000000))",
    "repeat of rows": "SELECT sum(length(repeat('x', 10000000 + id))) FROM range(2000)",
    "sequence": "SELECT size(sequence(1, 1000000000))",
    "explode": "SELECT count(*) FROM (SELECT explode(sequence(1, 1000000000000L)))",
    "transform": "SELECT size(flatten(transform(sequence(1, 30000), x -> sequence(1, 30000))))",
    "range": "SELECT sum(id) FROM range(1000000000000000)",
    "range of rows": "SELECT id FROM range(1000000000000000)",
    "rows, and then none": "SELECT id FROM range(1000000000000000) WHERE id < 12000000 OR id = -1",
    "cross join": "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.id * b.id = 7",
    "recursion": "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r, range(1000) "
    "WHERE n < 100) SELECT count(*) FROM r",
    "concat in a loop": "WITH RECURSIVE r(n, s) AS (SELECT 1, repeat('x', 1000) UNION ALL "
    "SELECT n + 1, concat(s, s) FROM r WHERE n < 40) SELECT max(length(s)) FROM r",
    "ordered aggregate": "SELECT length(listagg(CAST(id AS STRING), ',') "
    "WITHIN GROUP (ORDER BY id DESC)) FROM range(300000000)",
    "collect_list": "SELECT size(collect_list(id)) FROM range(2000000000)",
    "window": "SELECT max(a) FROM (SELECT row_number() OVER (ORDER BY hash(id)) a "
    "FROM range(1000000000))",
    "brackets": "SELECT " + "(" * 10_000 + "1" + ")" * 10_000,
    "IN": "SELECT 5 IN (" + ",".join(map(str, range(20_000))) + ")",
}


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[dict[str, Any], int]]:
    with served_process() as (url, arguments, process):
        parts = urlsplit(url)
        yield (
            {
                "server_hostname": parts.hostname,
                "_port": parts.port,
                "http_path": parse_qs(parts.query)["http_path"][0],
                "enable_telemetry": False,
                **arguments,
            },
            process,
        )


class _Neighbour:
    """A client that asks ``SELECT 1`` ten times a second, and counts the answers."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self.answers = 0
        self.slowest = 0.0
        self._stop = threading.Event()
        self._connection = sql.connect(**arguments)
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._connection.close()

    def _ask(self) -> None:
        with self._connection.cursor() as cursor:
            while not self._stop.wait(PAUSE_S):
                begun = time.monotonic()
                cursor.execute("SELECT 1")
                assert [tuple(row) for row in cursor.fetchall()] == [(1,)]
                self.slowest = max(self.slowest, time.monotonic() - begun)
                self.answers += 1


@part(5)
@pytest.mark.parametrize("name", HOSTILE)
def test_it_freezes_for_nobody(server: tuple[dict[str, Any], int], name: str) -> None:
    arguments, process = server
    ended = threading.Event()
    outcome: list[object] = []
    with contextlib.closing(_Neighbour(arguments)) as neighbour, sql.connect(**arguments) as mine:
        cursor = mine.cursor()

        def run() -> None:
            try:
                cursor.execute(HOSTILE[name])
                outcome.append(cursor.fetchmany(1))
            except exc.Error as error:
                outcome.append(str(error))
            finally:
                ended.set()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        before = neighbour.answers
        running = not ended.wait(RUN_S)
        deadline = time.monotonic() + PATIENCE_S
        while neighbour.answers <= before and time.monotonic() < deadline:
            time.sleep(PAUSE_S)
        assert neighbour.answers > before, "SELECT 1 was not answered while it ran"
        begun = time.monotonic()
        deadline = begun + PATIENCE_S
        # The driver sends nothing before the server has told it which operation it is.
        while running and not ended.wait(PAUSE_S) and time.monotonic() < deadline:
            cursor.cancel()
        assert ended.wait(PATIENCE_S), "the cancel did not end it"
        took = time.monotonic() - begun
        thread.join()
        with contextlib.suppress(exc.Error):
            cursor.close()
        slowest = neighbour.slowest
    peak = _peak_memory(process)
    print(f"{name}: SELECT 1 within {slowest:.2f} s, cancel {took:.2f} s, at most {peak} MiB")
    assert "INTERNAL_ERROR" not in str(outcome[0]), outcome
    assert peak < MEMORY_BOUND


def _peak_memory(process: int) -> int:
    """The most memory that a process has had, in MiB; 0 where the system does not say."""
    status = Path(f"/proc/{process}/status")
    if not status.exists():
        return 0
    line = next(one for one in status.read_text().splitlines() if one.startswith("VmHWM"))
    return int(line.split()[1]) // 1024
