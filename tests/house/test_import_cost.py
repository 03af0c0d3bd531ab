"""Importing the data layer opens nothing and loads nothing that is not needed to make a session."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.patience import PATIENCE_S

HEAVY = {
    "alembic",
    "databricks",
    "duckdb",
    "numpy",
    "pandas",
    "pyarrow",
    "rich",
    "sqlglot",
    "typer",
}
SESSION = "from vinci_code.database.session import SessionLocal"


FLOOR = "import sqlalchemy.orm, pydantic_settings"


def modules_of(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    return set(run.stdout.split())


def loaded_by(statement: str) -> set[str]:
    return {name.split(".")[0] for name in modules_of(statement)}


@pytest.mark.parametrize(
    "statement",
    [
        SESSION,
        "from vinci_code.database.models import Event",
        "import vinci_code.core.config, vinci_code.core.redaction",
        "import vinci_code.database.databricks_connector",
        "import vinci_code.diagnostics",
        "import vinci_code.database",
        "from vinci_code.database import read_arrow, read_batches, read_pandas, read_polars",
        "from vinci_code.database import LoadPlan, LoadProgress, LoadResult, load, load_async",
    ],
)
def test_no_heavy_module_is_loaded(statement: str) -> None:
    assert loaded_by(statement) & HEAVY == set()


def test_a_heavy_module_would_be_seen() -> None:
    assert "alembic" in loaded_by(f"{SESSION}\nSessionLocal().close()")


def test_import_makes_no_file() -> None:
    loaded_by(SESSION)
    assert list(Path().iterdir()) == []


def test_import_loads_little_more_than_what_it_stands_on() -> None:
    """A tenth more modules than the floor: our own, and what SQLAlchemy needs for SQLite."""
    floor, ours = modules_of(FLOOR), modules_of(SESSION)
    more = {name.split(".")[0] for name in ours - floor}
    assert more == {"vinci_code", "sqlalchemy"}
    assert len(ours) <= 1.15 * len(floor), f"{len(ours)} modules, and {len(floor)} of the floor"


@pytest.mark.soak
def test_import_costs_little_more_than_what_it_stands_on() -> None:
    """At most 1.4 times the floor; the least of many alternating runs, since machines are noisy."""
    floor = [seconds(FLOOR)]
    ours = [seconds(SESSION)]
    for _ in range(40):
        floor.append(seconds(FLOOR))
        ours.append(seconds(SESSION))
        if len(ours) >= 8 and min(ours) <= 1.4 * min(floor):
            break
    print(f"floor {min(floor):.3f} s, ours {min(ours):.3f} s, ratio {min(ours) / min(floor):.2f}")
    assert min(ours) <= 1.4 * min(floor)


def seconds(statement: str) -> float:
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", statement], check=True, timeout=PATIENCE_S, cwd=Path.cwd()
    )
    return time.perf_counter() - started
