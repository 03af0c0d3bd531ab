"""``vinci check``: is everything between the settings and the first row in order?"""

from __future__ import annotations

from typing import Annotated

import typer

from vinci_code.cli.group import AsJson
from vinci_code.cli.help import examples

EXAMPLES = examples(
    "vinci check",
    "vinci check --write            may tables be created and written to?",
    "vinci check --watch            tell when the warehouse starts and stops",
    "vinci check --json | jq '.checks[] | select(.status == \"failed\")'",
)


def check(
    write: Annotated[
        bool,
        typer.Option(
            "--write", help="Also create a scratch table, write to it, read it, and drop it."
        ),
    ] = False,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Watch the warehouse's state instead, until Ctrl-C. It asks for the state alone: "
            "nothing is woken, nor kept awake. With --json, one document a line.",
        ),
    ] = False,
    interval: Annotated[
        float | None,
        typer.Option(
            "--interval",
            min=1.0,
            metavar="SECONDS",
            help="With --watch: how often the state is asked for. [default: 15]",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check the database step by step, from the settings to the first query.

    Each step tells its time and, if it fails, the cause and what to do next. Exit codes: 0 all in
    order, 1 a check failed, 78 the configuration is at fault.
    """
    if watch:
        if write:
            raise typer.BadParameter("--write does not go with --watch, which only looks")
        from vinci_code.cli.watching import watch_state

        watch_state(interval, as_json=as_json)
        return
    if interval is not None:
        raise typer.BadParameter("--interval goes with --watch alone")
    from vinci_code.diagnostics import main_check

    raise typer.Exit(main_check(json=as_json, write=write))
