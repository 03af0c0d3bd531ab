"""A copy that is killed at any moment goes on, and copies nothing twice."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.cli.process import environment
from tests.database.moving.samples import KINDS, content, make
from tests.full import some
from vinci_code.database import copy_database
from vinci_code.database.moving import marks
from vinci_code.warehouse.pytest_plugin import TestWarehouse

SEED = 20_261_130
KILLS = some(150, few=8)
KILLS_ON_A_WAREHOUSE = some(50, few=3)
CHUNK_ROWS = 20
# In the least: of 120, 60 and 10 rows with a key, by 20, and of all tables without one.
COMMITS = 12

# Copies in a process of their own, and kills them. Each is a fork of one that has loaded
# everything: the moments lie in the copy, and not in Python's start. It reads a line of JSON, and
# answers with the wait status. SIGALRM ends a process as SIGKILL does: no handler of Python's runs.
# The moment is counted in commits, for a machine that is busy takes a copy many times longer than
# the one before.
FORKS = """
import json, os, signal, sys
import sqlalchemy, vinci_code.database.moving.copying as copying
import pyarrow, databricks.sql, vinci_code.database.loading.loading

def die_after(commits, seconds):
    left = [commits]

    def count(connection):
        left[0] -= 1
        if left[0] == 0:
            signal.setitimer(signal.ITIMER_REAL, seconds)

    sqlalchemy.event.listen(sqlalchemy.Engine, "commit", count)

for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if child == 0:
        target = order["target"]
        if order["connect_args"]:
            target = sqlalchemy.create_engine(target, connect_args=order["connect_args"])
        if order["kill"]:
            die_after(*order["kill"])
        report = copying.copy_database(
            order["source"], target, kinds=order["kinds"], chunk_rows=order["chunk_rows"]
        )
        os._exit(0 if report.is_proved else 3)
    _, status = os.waitpid(child, 0)
    print(status, flush=True)
"""


class Copies:
    """The process that forks the copies."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, source: Path, target: Any, kill: tuple[int, float] | None) -> int:
        """Copy; return the exit code, or minus the signal."""
        url, arguments = target
        order = {
            "source": str(source),
            "target": url,
            "connect_args": arguments,
            "kinds": KINDS,
            "chunk_rows": CHUNK_ROWS,
            "kill": kill,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        killed = status & 0x7F
        return -killed if killed else status >> 8


@pytest.fixture
def copies() -> Iterator[Copies]:
    with subprocess.Popen(
        [sys.executable, "-c", FORKS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        yield Copies(process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return make(tmp_path / "small.db", 120)


@pytest.mark.slow
def test_killed_at_many_moments_between_files(copies: Copies, small: Path, tmp_path: Path) -> None:
    draw, killed, halves = random.Random(SEED), 0, 0
    wanted = content(small)
    for number in range(KILLS):
        path = tmp_path / f"copy-{number}.db"
        target = (f"sqlite:///{path}", None)
        kills = [
            (draw.randrange(1, COMMITS), draw.random() * 0.01)
            for _ in range(draw.choice([1, 1, 3]))
        ]
        for kill in kills:
            status = copies.run(small, target, kill)
            assert status in (0, -signal.SIGALRM), f"seed {SEED}, copy {number}, {kill}"
            killed += status != 0
        halves += path.exists() and marks.NAME in content(path)
        assert copies.run(small, target, None) == 0, f"seed {SEED}, copy {number}, {kills}"
        assert content(path) == wanted, f"seed {SEED}, copy {number}, {kills}"
        path.unlink()
    assert killed > KILLS / 2, "or it was not in the middle"
    assert halves > KILLS / 3


@pytest.mark.slow
def test_killed_on_the_way_to_a_warehouse(
    copies: Copies, small: Path, warehouse: sa.Engine, local_warehouse: TestWarehouse
) -> None:
    draw, killed = random.Random(SEED), 0
    url = warehouse.url.render_as_string(hide_password=False)
    arguments = {
        "access_token": local_warehouse.warehouse.access_token,
        "_tls_trusted_ca_file": str(local_warehouse.warehouse.ca_file),
    }
    for number in range(KILLS_ON_A_WAREHOUSE):
        kill = (draw.randrange(2, COMMITS), draw.random() * 0.2)
        status = copies.run(small, (url, arguments), kill)
        assert status in (0, -signal.SIGALRM), f"seed {SEED}, copy {number}, {kill}"
        killed += status != 0
        report = copy_database(small, warehouse, kinds=KINDS, chunk_rows=CHUNK_ROWS)
        assert report.is_proved, (f"seed {SEED}, copy {number}, {kill}", report.lines())
        names = sa.inspect(warehouse).get_table_names()
        assert marks.NAME not in names
        with warehouse.begin() as connection:
            for name in names:
                connection.execute(sa.text(f"DROP TABLE {name}"))
    assert killed, "or none was in the middle"
