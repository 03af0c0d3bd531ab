"""An import that is killed at any moment loses nothing that it cannot make up for."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cli.process import SAMPLE, environment
from tests.full import some

KILLS = some(50, few=20)
COMMITS = 35  # 1,707 records in batches of 50; those of the migrations come before

# Imports in a process of their own, and kills them. Each is a fork of one that has loaded
# everything: the moments lie in the import, and not in Python's start. It reads
# "NUMBER COMMITS SECONDS" (die so long after so many commits began) or "NUMBER - -" (run to the
# end), and answers with the wait status and the seconds that it took.
#
# The moment is counted in commits, for a machine that is busy takes an import many times longer
# than the one before. SIGALRM ends a process as SIGKILL does: no handler of Python's runs.
FORKS = """
import os, signal, sys, time
import alembic.command, alembic.config, sqlalchemy, sqlalchemy.dialects.sqlite, sqlalchemy.orm
import vinci_code.cli.app, vinci_code.database.events, vinci_code.database.session

def die_after(commits, seconds):
    left = [commits]

    def count(connection):
        left[0] -= 1
        if left[0] == 0:
            signal.setitimer(signal.ITIMER_REAL, seconds)

    if commits:
        sqlalchemy.event.listen(sqlalchemy.Engine, "commit", count)
    else:
        signal.setitimer(signal.ITIMER_REAL, seconds)

for line in sys.stdin:
    number, commits, seconds = line.split()
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        if commits != "-":
            die_after(int(commits), float(seconds))
        os.environ["DATABASE_URL"] = f"sqlite:///{number}.db"
        sys.argv = ["vinci", "events", "import", FILE, "--batch-size", "50"]
        sys.stdout = sys.stderr = open(f"{number}.log", "a")
        code = vinci_code.cli.main()
        sys.stdout.flush()
        os._exit(code)
    _, status = os.waitpid(child, 0)
    print(status, time.monotonic() - started, flush=True)
"""


class Forks:
    """The process that forks the imports."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, number: int, kill_after: tuple[int, float] | None = None) -> tuple[int, float]:
        """Import into ``NUMBER.db``; return the exit code or minus the signal, and the seconds.

        Args:
            number: Of the database.
            kill_after: How many commits have begun by then, and the seconds since the last of them.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        commits, delay = ("-", "-") if kill_after is None else kill_after
        self._process.stdin.write(f"{number} {commits} {delay!r}\n")
        self._process.stdin.flush()
        status, seconds = self._process.stdout.readline().split()
        killed = int(status) & 0x7F
        return (-killed if killed else int(status) >> 8), float(seconds)


@pytest.fixture
def forks() -> Iterator[Forks]:
    with subprocess.Popen(
        [sys.executable, "-c", FORKS.replace("FILE", repr(str(SAMPLE)))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        yield Forks(process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


def table(database: Path) -> list[tuple[Any, ...]]:
    """Everything that is stored but for the time of storing."""
    with closing(sqlite3.connect(database)) as connection:
        query = (
            "SELECT id, event_key, event_type, source, description, payload, occurred_at "
            "FROM events ORDER BY id"
        )
        return connection.execute(query).fetchall()


def rows_in(database: Path) -> int:
    """How many rows there are; 0 where a kill came before the tables."""
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        has_table = "SELECT count(*) FROM sqlite_master WHERE name = 'events'"
        if connection.execute(has_table).fetchone() == (0,):
            return 0
        (count,) = connection.execute("SELECT count(*) FROM events").fetchone()
        return int(count)


@pytest.mark.slow
def test_killed_at_many_moments_and_run_again(forks: Forks) -> None:
    # Twice: the first one warms the caches of the file system.
    forks.run(9998)
    code, seconds = forks.run(9999)
    assert code == 0
    expected = table(Path("9999.db"))
    assert len(expected) == 1707

    rng = random.Random(50)
    left = []
    for number in range(KILLS):
        moment = (rng.randint(0, COMMITS), rng.uniform(0, 2 * seconds / COMMITS))
        code, _ = forks.run(number, moment)
        assert code in {0, -signal.SIGALRM}
        database = Path(f"{number}.db")
        left.append(rows_in(database))
        assert left[-1] % 50 == 0 or left[-1] == len(expected), "a part of a batch was kept"
        assert forks.run(number)[0] == 0, Path(f"{number}.log").read_text()
        assert table(database) == expected
    # The moments have to lie inside of the import, or nothing was shown.
    assert sum(0 < rows < len(expected) for rows in left) >= KILLS // 5, left


@pytest.mark.slow
def test_killed_again_and_again_it_still_gets_there(forks: Forks) -> None:
    _, seconds = forks.run(9999)
    rng = random.Random(51)
    before = 0
    for _ in range(15):
        forks.run(0, (rng.randint(0, 5), rng.uniform(0, seconds / COMMITS)))
        rows = rows_in(Path("0.db"))
        assert rows >= before, "what was committed is gone"
        before = rows
    assert forks.run(0)[0] == 0
    assert table(Path("0.db")) == table(Path("9999.db"))
