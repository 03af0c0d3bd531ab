"""Writes ``tests/spark/recorded/*.case``: ``make record``.

Each file is made by a process of its own, of what reaches a local warehouse while something runs:
the parity suite, the tests of held writes of every form, the functions of SQLite, SQLAlchemy's
suite for dialects, the examples with their tests, ``vinci demo``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
import sqlalchemy as sa

from tests.spark import steady
from tests.spark.guard import NOT_OURS, WITH
from tests.spark.recorder import Recorder, kind_of
from tests.spark.watching import watching
from tests.warehouse.corpus import reader

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent / "recorded"
_DEMO_EVENTS = 40


def run_parity() -> None:
    """The parity suite, without SQLite."""
    skipped = [f"--deselect={name}" for name in NOT_OURS]
    _run_tests("tests/parity", "-k", "not sqlite", *skipped)


def run_held() -> None:
    """What writes of every form are checked by, and reads of what is held.

    Of the two warehouses of the first tests, the one with transactions.
    """
    names = (
        "writes/test_held_constructs",
        "units/test_held_loaded",
        "units/test_laid_over",
        "units/test_returning",
        "units/test_locking",
        "units/test_check_at",
    )
    # "another value each time" is another one each time.
    chosen = "not none and not another"
    _run_tests(*(f"tests/dialect/{name}.py" for name in names), "-k", chosen)


def run_alone() -> None:
    """Units of work where there are no transactions."""
    _run_tests("tests/dialect/units/test_as_one.py")


def run_functions() -> None:
    """The functions of SQLite, on hostile values, and Databricks' own by their full names."""
    chosen = "not random and not last_digits"
    _run_tests("tests/dialect/sql/test_functions_page.py", "-k", chosen)


def run_keys() -> None:
    """What reserves small keys."""
    chosen = "those_of_sqlite or another_process or such_keys or 63_bits or costs_a_question"
    _run_tests("tests/dialect/units/test_key_ranges.py", "-k", chosen)


def run_compliance() -> None:
    """SQLAlchemy's suite; its pytest is a child, its warehouse is here."""
    from tests.compliance.run import OURS, run

    outcome = run(OURS, ["-p", "tests.spark.steady"])
    if outcome.status:
        raise SystemExit(f"SQLAlchemy's suite failed:\n{outcome.output}")


def run_examples() -> None:
    """The examples, as their tests run them."""
    paths = sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("tests/integration/test_example_*"))
    _run_tests(*paths, "-m", "not slow", "-k", "not sqlite")


def run_demo() -> None:
    """``vinci demo`` twice, with some of the events alone: all would be too large a set-up."""
    from vinci_code.cli import main, sample
    from vinci_code.warehouse import LocalWarehouse

    lines = sample.sample_file().read_text(encoding="utf-8").splitlines(keepends=True)
    with LocalWarehouse() as warehouse, tempfile.TemporaryDirectory() as folder:
        short = Path(folder) / "events.jsonl"
        short.write_text("".join(lines[:_DEMO_EVENTS]), encoding="utf-8")
        os.environ.update(warehouse.env)
        os.chdir(folder)
        with (
            mock.patch.object(sample, "sample_file", return_value=short),
            mock.patch.object(sys, "argv", ["vinci", "demo"]),
        ):
            for _ in range(2):
                if status := main():
                    raise SystemExit(f"vinci demo failed with status {status}")
        os.chdir(ROOT)


RECORDINGS: dict[str, Callable[[], None]] = {
    "parity": run_parity,
    "held": run_held,
    "alone": run_alone,
    "functions": run_functions,
    "keys": run_keys,
    "compliance": run_compliance,
    "examples": run_examples,
    "demo": run_demo,
}


def record(name: str, folder: Path) -> str:
    """Write one file; return its summary."""
    started = time.monotonic()
    steady.apply()
    os.environ["VINCI_RECORDING"] = "on"
    before = list(RECORDINGS)[: list(RECORDINGS).index(name)]
    files = [folder / f"{one}.case" for one in before]
    known = {kind_of(case) for file in files if file.exists() for case in reader.read(file)}
    recorder = Recorder(frozenset(known))
    with watching(recorder):
        RECORDINGS[name]()
    head = [
        f"What {name} sends to a warehouse, and what the local warehouse answers.",
        "Written by `make record`, and not to be changed by hand.",
        f"{WITH} {sa.__version__}",
    ]
    path = folder / f"{name}.case"
    path.write_text(recorder.text(head), encoding="utf-8", newline="\n")
    seconds = time.monotonic() - started
    size = path.stat().st_size
    return f"{name}.case: {recorder.summary()}\n  {size:,} bytes in {seconds:.0f} s"


def main() -> int:
    """Record what the command line names, or everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *RECORDINGS])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    if len(options.names) == 1:
        print(record(options.names[0], options.folder))
        return 0
    for name in options.names or RECORDINGS:
        command = [sys.executable, "-m", "tests.spark.record", name, "--folder", options.folder]
        subprocess.run(command, cwd=ROOT, check=True)
    return 0


def _run_tests(*arguments: str) -> None:
    quiet = ["-q", "--no-header", "-p", "no:cacheprovider"]
    # This process has loaded what pytest would load for its own assertions.
    quiet += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    status = pytest.main([*quiet, *arguments])
    if status:
        raise SystemExit(f"the tests failed: {arguments}")


if __name__ == "__main__":
    sys.exit(main())
