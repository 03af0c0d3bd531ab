"""`vinci report`, as it is typed."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.cli.process import in_a_terminal
from vinci_code.cli.app import app
from vinci_code.diagnostics.support import CONTENT, planned


def report(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["report", *arguments])


def names(file: str = "a.zip") -> list[str]:
    with zipfile.ZipFile(file) as packed:
        return packed.namelist()


def test_it_is_written_and_told() -> None:
    done = report("a.zip", "--yes")
    assert done.exit_code == 0, done.output
    assert names() == planned()
    for name in planned():
        assert f"\n{name}  " in f"\n{done.stdout}".replace("   ", "  ").replace("   ", "  ")
    assert "Written to a.zip." in done.stdout
    again = report("a.zip", "--yes")
    assert again.exit_code == 1
    assert "is there already. To fix it: name another file" in again.stderr
    assert report("a.zip", "--yes", "--force", "--no-checks").exit_code == 0
    assert names() == planned(checks=False)


def test_only_listed_nothing_is_written() -> None:
    done = report("a.zip", "--list")
    assert done.exit_code == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == planned()
    document = json.loads(report("a.zip", "--list", "--json").stdout)
    assert document["written"] is False
    assert [one["what"] for one in document["members"]] == [CONTENT[name] for name in planned()]
    assert not Path("a.zip").exists()


def test_for_machines() -> None:
    document = json.loads(report("a.zip", "--yes", "--json", "--no-checks").stdout)
    assert document["written"] is True
    with zipfile.ZipFile("a.zip") as packed:
        assert [(one["name"], one["bytes"]) for one in document["members"]] == [
            (entry.filename, entry.file_size) for entry in packed.infolist()
        ]


def test_where_nobody_can_be_asked_it_is_refused() -> None:
    for more in ([], ["--json"]):
        done = report("a.zip", *more)
        assert done.exit_code == 2
        assert "add --yes" in done.stderr
    assert not Path("a.zip").exists()


def test_a_log_is_looked_at() -> None:
    Path("app.log").write_text(
        '{"level": "ERROR", "time": "2026-11-30T08:00:00Z", "logger": "a", "message": "private"}\n'
    )
    assert report("a.zip", "--yes", "--no-checks", "--log", "app.log").exit_code == 0
    with zipfile.ZipFile("a.zip") as packed:
        (error,) = json.loads(packed.read("log.json"))["errors"]
    assert error["logger"] == "a"
    assert "private" not in str(error)
    done = report("b.zip", "--yes", "--no-checks", "--log", "none.log")
    assert done.exit_code == 1
    assert "none.log: No such file or directory" in done.stderr
    assert not Path("b.zip").exists()


@pytest.mark.skipif(os.name != "posix", reason="terminals are POSIX")
@pytest.mark.parametrize(("answer", "written"), [(b"y\n", True), (b"n\n", False)])
def test_in_a_terminal_it_asks(answer: bytes, written: bool) -> None:
    output = in_a_terminal("report", "a.zip", "--no-checks", answer=answer)
    assert "errors.json" in output
    assert "Collect this, and write it to a.zip?" in output
    assert Path("a.zip").exists() is written
