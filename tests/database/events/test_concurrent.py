"""Two processes import the same file at once."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cli.process import PATIENCE_S, SAMPLE, start, vinci
from tests.full import full


def content() -> list[tuple[Any, ...]]:
    """What is stored, but for the order and the time in which it was."""
    with closing(sqlite3.connect("vinci.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        query = (
            "SELECT event_key, event_type, source, description, payload, occurred_at "
            "FROM events ORDER BY event_key"
        )
        return connection.execute(query).fetchall()


def finish(running: subprocess.Popen[bytes]) -> dict[str, Any]:
    out, err = running.communicate(timeout=PATIENCE_S)
    assert (running.returncode, err) == (0, b"")
    report: dict[str, Any] = json.loads(out)
    return report


def expected() -> list[tuple[Any, ...]]:
    assert vinci("events", "import", str(SAMPLE)).code == 0
    alone = content()
    for path in Path().glob("vinci.db*"):
        path.unlink()
    assert len(alone) == 1707
    return alone


@full
def test_in_step_with_each_other() -> None:
    """Both get the same lines by turns, so that they store the same batches at the same time."""
    alone = expected()
    both = [start("events", "import", "-", "--batch-size", "10", "--json") for _ in range(2)]
    lines = SAMPLE.read_bytes().splitlines(keepends=True)
    for begin in range(0, len(lines), 10):
        for running in both if begin % 20 else reversed(both):
            assert running.stdin is not None
            running.stdin.write(b"".join(lines[begin : begin + 10]))
            running.stdin.flush()
    assert [running.poll() for running in both] == [None, None], "one was done before the other"
    reports = [finish(running) for running in both]
    assert content() == alone
    assert [report["read"] for report in reports] == [1707, 1707]
    assert sum(report["inserted"] for report in reports) == 1707
    assert sum(report["already_there"] for report in reports) == 1707


@pytest.mark.slow
def test_from_a_file_into_a_database_that_does_not_exist_yet() -> None:
    """Both create the file, switch it to write-ahead logging and migrate it, too."""
    alone = expected()
    for _ in range(3):
        options = ("--batch-size", "20", "--json")
        all_of_them = [start("events", "import", str(SAMPLE), *options) for _ in range(4)]
        reports = [finish(running) for running in all_of_them]
        assert content() == alone
        assert sum(report["inserted"] for report in reports) == 1707
        for path in Path().glob("vinci.db*"):
            path.unlink()
