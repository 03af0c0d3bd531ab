"""The first commands that people run, in a checkout where the driver alone is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = "scripts/test_databricks_connection.py"
TESTS = "tests/unit/test_databricks_config.py"

# Everything that is installed with us, and not with the driver or with pytest.
OURS = (
    "alembic cryptography dotenv duckdb fastapi httpx hypothesis orjson pydantic pydantic_core "
    "pydantic_settings rich sqlalchemy sqlglot trustme typer typing_extensions"
).split()

WITHOUT = """
import sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
        return None

sys.meta_path.insert(0, NotInstalled())
"""


def run_without(
    hidden: list[str], folder: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    (folder / "sitecustomize.py").write_text(WITHOUT.format(hidden=hidden))
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            # That of our own distribution would be found missing first, and is not installed there.
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.mark.parametrize("hidden", [OURS, ["pydantic"], ["sqlalchemy"], ["dotenv"]])
def test_the_script_says_what_is_missing_in_one_line(hidden: list[str], tmp_path: Path) -> None:
    done = run_without(hidden, tmp_path, SCRIPT)
    assert done.returncode == 78, done.stdout + done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "is not installed. Install it: " in line
    assert "-m pip install " in line
    assert "[databricks]" in line
    assert any(name in line for name in hidden)


def test_the_script_explains_itself_where_nothing_is_installed(tmp_path: Path) -> None:
    done = run_without(OURS, tmp_path, SCRIPT, "--help")
    assert done.returncode == 0
    assert "--write" in done.stdout


@pytest.mark.parametrize("hidden", [OURS, ["hypothesis"], ["pydantic"], ["trustme"]])
def test_pytest_says_what_is_missing_in_one_line(hidden: list[str], tmp_path: Path) -> None:
    done = run_without(hidden, tmp_path, "-m", "pytest", TESTS, "-v", "-p", "no:cacheprovider")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, done.stdout + done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("pytest needs the 'dev' extra: ")
    assert "-m pip install " in line
    assert any(name in line for name in hidden)


def test_both_go_on_where_all_is_installed(tmp_path: Path) -> None:
    assert "USE_DATABRICKS" in run_without([], tmp_path, SCRIPT).stdout
    done = run_without(
        [], tmp_path, "-m", "pytest", TESTS, "-q", "-p", "no:cacheprovider", "-k", "frozen"
    )
    assert done.returncode == 0, done.stdout + done.stderr
