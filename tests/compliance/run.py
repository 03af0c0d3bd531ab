"""Runs SQLAlchemy's suite for dialects against a local warehouse, in a pytest of its own.

    python tests/compliance/run.py [--vendor] [--compare] [--no-transactions] [-- PYTEST'S OWN]

The vendor's dialect is run with the requirements that the vendor ships in it. On a warehouse
without transactions, a test is skipped that reads what its unit of work has written, and several
statements of a unit are sent one by one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vinci_code.warehouse import LocalWarehouse

ROOT = Path(__file__).parents[2]
SUITE = Path(__file__).parent / "suite"
OURS = "ours"
VENDOR = "vendor"

_VENDOR_REQUIREMENTS = "databricks.sqlalchemy.requirements:Requirements"


@dataclass(frozen=True)
class Outcome:
    """What a run of the suite came to.

    Attributes:
        status: Exit status of pytest.
        counts: How many tests passed, failed, were skipped, or failed as their list expects.
        failed: The names of those that failed.
        unknown: Entries of the lists that fit no test.
        seconds: Wall time.
        output: What pytest printed.
    """

    status: int
    counts: dict[str, int]
    failed: list[str]
    unknown: list[str]
    seconds: float
    output: str = field(repr=False)


def run(
    dialect: str,
    arguments: list[str] | None = None,
    *,
    show: bool = False,
    transactions: bool = True,
) -> Outcome:
    """Run the suite on one dialect, with a warehouse of its own.

    Args:
        dialect: ``ours`` or ``vendor``.
        arguments: More arguments for pytest.
        show: Let pytest print to the terminal instead of collecting what it prints.
        transactions: Whether the warehouse has transactions.
    """
    server = LocalWarehouse(record_limit=1, transactions=transactions)
    with server as warehouse, tempfile.TemporaryDirectory() as folder:
        for schema in ("test_schema", "test_schema_2"):
            warehouse.sql(f"CREATE SCHEMA {schema}")
        results = Path(folder) / "results.json"
        environment = os.environ | {
            "COMPLIANCE_CA_FILE": str(warehouse.ca_file),
            "COMPLIANCE_DIALECT": dialect,
            "COMPLIANCE_RESULTS": str(results),
            "COMPLIANCE_TOKEN": warehouse.access_token,
            "COMPLIANCE_TRANSACTIONS": "on" if transactions else "off",
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable, "-m", "pytest", "--dburi", _url(warehouse, dialect)]
        if dialect == VENDOR:
            command += ["--requirements", _VENDOR_REQUIREMENTS]
        started = time.monotonic()
        done = subprocess.run(
            [*command, *(arguments or [])],
            cwd=SUITE,
            env=environment,
            check=False,
            text=True,
            stdout=None if show else subprocess.PIPE,
            stderr=None if show else subprocess.STDOUT,
        )
        seconds = time.monotonic() - started
        found: dict[str, Any] = {"counts": {}, "outcomes": {}, "unknown": []}
        if results.exists():
            found = json.loads(results.read_text(encoding="utf-8"))
    failed = sorted(name for name, how in found["outcomes"].items() if how == "failed")
    return Outcome(
        done.returncode, found["counts"], failed, found["unknown"], seconds, done.stdout or ""
    )


def report(outcomes: dict[str, Outcome]) -> str:
    """The counts of several runs side by side."""
    rows = ["passed", "failed", "skipped", "expected"]
    meaning = {
        "passed": "passed",
        "failed": "failed",
        "skipped": "skipped: the dialect's requirements say no",
        "expected": "failed as listed, with the reason",
    }
    lines = [" " * 44 + "".join(f"{name:>10}" for name in outcomes)]
    lines += [
        f"{meaning[row]:<44}"
        + "".join(f"{outcome.counts.get(row, 0):>10}" for outcome in outcomes.values())
        for row in rows
    ]
    lines.append(f"{'seconds':<44}" + "".join(f"{o.seconds:>10.0f}" for o in outcomes.values()))
    return "\n".join(lines)


def _url(warehouse: LocalWarehouse, dialect: str) -> str:
    driver = {OURS: "vinci", VENDOR: "vendor"}[dialect]
    path = quote(warehouse.http_path, safe="")
    # Ours takes the token from the connect arguments.
    token = f"token:{warehouse.access_token}@" if dialect == VENDOR else ""
    return (
        f"databricks+{driver}://{token}{warehouse.host}:{warehouse.port}"
        f"?http_path={path}&catalog={warehouse.catalog}&schema={warehouse.schema}"
    )


def main() -> int:
    """Run what the command line asks for, and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vendor", action="store_true", help="the vendor's dialect, not ours")
    parser.add_argument("--compare", action="store_true", help="both, and only the counts")
    parser.add_argument("--no-transactions", action="store_true", help="of the warehouse")
    parser.add_argument("arguments", nargs="*", help="for pytest, after --")
    options = parser.parse_args()
    dialects = [OURS, VENDOR] if options.compare else [VENDOR if options.vendor else OURS]
    outcomes = {
        dialect: run(
            dialect,
            options.arguments,
            show=not options.compare,
            transactions=not options.no_transactions,
        )
        for dialect in dialects
    }
    print(report(outcomes))
    outcome = outcomes[dialects[0]]
    for entry in outcome.unknown:
        print(f"no test fits this entry of the lists, which is to be taken off: {entry}")
    return outcome.status or bool(outcome.unknown)


if __name__ == "__main__":
    sys.exit(main())
