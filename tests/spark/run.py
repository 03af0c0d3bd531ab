"""Runs what is sent to Databricks on Apache Spark with Delta Lake, and lets Spark judge it.

    python tests/spark/run.py [--required] [--write] [-- PYTEST'S OWN]

Without Java 17, PySpark or Delta's jars, and where they cannot be fetched, nothing is run, which is
said and is no failure; with --required it is one. --write renews docs/spark.md from the figures;
otherwise it has to be as the figures say.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.spark import figures, page, tools

JARS = tools.ROOT / ".venv" / "spark-jars"
PROCESSES = "2"


def main(arguments: list[str] | None = None) -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--required", action="store_true", help="fail where Spark is not to be had")
    parser.add_argument("--write", action="store_true", help="renew docs/spark.md")
    parser.add_argument("pytest", nargs="*", help="arguments for pytest, after --")
    given = parser.parse_args(arguments)
    try:
        tools.require_java()
        tools.require_pyspark()
        jars = tools.require_jars(JARS)
    except tools.MissingError as missing:
        return _skipped(missing, given.required)
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "VINCI_SPARK_JARS": str(jars),
            figures.FOLDER_VARIABLE: folder,
            "TZ": "UTC",
        }
        command = [sys.executable, "-m", "pytest", str(Path(__file__).parent / "judged")]
        options = ["--numprocesses", PROCESSES, "--dist", "loadgroup", "--quiet"]
        done = subprocess.run(
            [*command, *options, *given.pytest], cwd=tools.ROOT, env=environment, check=False
        )
        if given.pytest or (done.returncode != 0 and not given.write):
            return done.returncode
        checked = page.check(figures.gather(Path(folder)), write=given.write)
        return done.returncode or checked


def _skipped(missing: tools.MissingError, required: bool) -> int:
    kind = "FAILED" if required else "SKIPPED"
    bar = "=" * 78
    print(
        f"{bar}\n{kind}: nothing was run on Apache Spark, so Spark has judged nothing.\n"
        f"  {missing}\n{bar}",
        file=sys.stderr,
    )
    return 1 if required else 0


if __name__ == "__main__":
    sys.exit(main())
