"""A strict program of a user's: no error, no ``Any``, and it runs on both databases."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.full import full

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("user_program.py")
# A class is an expression with Any where its constructor takes values of any type. SQLAlchemy's
# models, errors and dialects do.
OPEN = {f"type[{name}]" for name in ("Base", "Event", "Order", "SQLAlchemyError", "VinciDialect")}
STRICT = (
    "--strict",
    "--config-file=",
    "--python-version=3.10",
    "--disallow-any-expr",
    "--disallow-any-explicit",
    "--disallow-any-unimported",
    "--disallow-any-decorated",
    # What is checked is the program; our own modules have `make lint`.
    "--follow-imports=silent",
    "--no-error-summary",
)


def complaints(program: Path) -> list[str]:
    """What mypy says of a program, but for the constructors that are open."""
    # A cache of its own: the options are others than those of `make lint`.
    cache = ROOT / ".mypy_cache" / "user_program"
    run = subprocess.run(
        [sys.executable, "-m", "mypy", *STRICT, f"--cache-dir={cache}", str(program)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.stderr == ""
    return [
        line
        for line in run.stdout.splitlines()
        if not (found := re.search(r'contains "Any" \(has type "(.+?)"\)', line))
        or found.group(1) not in OPEN
    ]


@full
@pytest.mark.slow
def test_mypy_finds_no_error_and_no_any() -> None:
    assert complaints(PROGRAM) == []


@full
@pytest.mark.slow
def test_an_any_and_a_name_that_is_not_there_would_be_seen(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from vinci_code.database.dialect import NoDialect, VinciDialect\n"
        "dialect = VinciDialect()\n"
        "print(dialect.loaded_plans)\n"
        "print(dialect.statistics.read().lost)\n"
    )
    found = "\n".join(complaints(program))
    assert 'has no attribute "NoDialect"' in found
    assert 'contains "Any" (has type "WeakKeyDictionary[Any, Any]")' in found
    assert '"Statistics" has no attribute "lost"' in found


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pyright") is None, reason="`make typing` fetches pyright")
def test_pyright_finds_no_error() -> None:
    project = ["--project", str(PROGRAM.parent), "--pythonpath", sys.executable]
    run = subprocess.run(["pyright", *project], capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stdout


@pytest.mark.slow
def test_it_runs_on_sqlite_and_on_a_warehouse() -> None:
    sqlite, warehouse = printed(), printed("databricks")
    assert sqlite["where"] == ["sqlite"]
    assert warehouse["where"] == ["databricks"]
    assert warehouse["statistics"] == ["True"]
    assert warehouse["own"] == ["2"]
    same = ("amount", "error", "orders", "events", "types")
    assert [sqlite[word] for word in same] == [warehouse[word] for word in same]


def printed(*arguments: str) -> dict[str, list[str]]:
    """What the program prints, by the first word of each line."""
    run = subprocess.run(
        [sys.executable, str(PROGRAM), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    return {word: rest for word, *rest in map(str.split, run.stdout.splitlines())}
