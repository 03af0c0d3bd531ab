#!/usr/bin/env python
"""Check the connection to Databricks, step by step; every failure says what to do next.

The same checks as 'vinci check', for those who look for a script. Settings come from the
environment and from a .env file in the working directory.

  python scripts/test_databricks_connection.py            check, changing nothing
  python scripts/test_databricks_connection.py --write    also create and drop a scratch table
  python scripts/test_databricks_connection.py --json     one JSON object instead of text

Exit codes: 0 all is well, 1 a check failed, 78 the configuration is at fault.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# The name begins with "test_" because it tests the connection; it is no test of the code.
__test__ = False


def main(arguments: list[str] | None = None) -> int:
    """Run the checks and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--write", action="store_true", help="create, write, read and drop a scratch table"
    )
    parser.add_argument(
        "--start-budget",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="how long to wait for a stopped warehouse to start (default: 300)",
    )
    options = parser.parse_args(arguments)
    # So that it runs from any folder, and where the package is not installed.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from vinci_code.core.errors import MissingExtraError

    try:
        return _check(options)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "vinci_code"):
            raise
        problem = MissingExtraError("databricks", "This script", [missing])
    print(problem, file=sys.stderr)
    return problem.exit_code


def _check(options: argparse.Namespace) -> int:
    from vinci_code.diagnostics import main_check

    return main_check(
        json=options.json,
        write=options.write,
        require_databricks=True,
        start_budget=options.start_budget,
    )


if __name__ == "__main__":
    sys.exit(main())
