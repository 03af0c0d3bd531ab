"""``vinci check``: is everything between the settings and the first row in order?"""

from __future__ import annotations

from typing import Annotated

import typer

from vinci_code.cli.group import AsJson
from vinci_code.cli.help import examples

EXAMPLES = examples(
    "vinci check",
    "vinci check --write            may tables be created and written to?",
    "vinci check --json | jq '.checks[] | select(.status == \"failed\")'",
)


def check(
    write: Annotated[
        bool,
        typer.Option(
            "--write", help="Also create a scratch table, write to it, read it, and drop it."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check the database step by step, from the settings to the first query.

    Each step tells its time and, if it fails, the cause and what to do next. Exit codes: 0 all in
    order, 1 a check failed, 78 the configuration is at fault.
    """
    from vinci_code.diagnostics import main_check

    raise typer.Exit(main_check(json=as_json, write=write))
