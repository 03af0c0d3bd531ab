"""The command behind ``vinci check`` and ``scripts/test_databricks_connection.py``."""

from __future__ import annotations

import shutil
import sys
from typing import TextIO

from vinci_code.core.printable import in_lines
from vinci_code.diagnostics.report import CheckResult
from vinci_code.diagnostics.runner import START_BUDGET, run_checks


def main_check(
    *,
    json: bool = False,
    write: bool = False,
    require_databricks: bool = False,
    deadline: float | None = None,
    start_budget: float = START_BUDGET,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
) -> int:
    """Run the checks and print what they find, line by line as it is known.

    Args:
        json: Print one JSON object instead of text.
        write: Create, write, read and drop a scratch table as well.
        require_databricks: Treat it as a configuration error if Databricks is switched off.
        deadline: Seconds for all checks together.
        start_budget: Seconds that a warehouse which is stopped is given to start.
        stdout: Where the report goes; standard output by default.
        stderr: Where it says what is being waited for; standard error by default.

    Returns:
        The exit code: 0 if no check failed, 78 if the configuration is at fault, 1 otherwise.
    """
    out = sys.stdout if stdout is None else stdout
    log = sys.stderr if stderr is None else stderr

    room = shutil.get_terminal_size().columns if out.isatty() else None

    def show(result: CheckResult) -> None:
        if not json:
            print(result.as_text(room), file=out, flush=True)

    def tell(line: str) -> None:
        print(in_lines(line), file=log, flush=True)

    report = run_checks(
        write=write,
        require_databricks=require_databricks,
        deadline=deadline,
        start_budget=start_budget,
        on_result=show,
        on_progress=tell,
    )
    print(report.as_json() if json else f"\n{report.summary()}", file=out)
    return report.exit_code
