"""The root of the commands: it turns the failures of all of them into a line and an exit code."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from vinci_code.cli.failures import CommandRun, Interruption, is_known, report


class ReportingGroup(TyperGroup):
    """A group whose commands may raise what they like."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was chosen."""
        run = ctx.obj = CommandRun()
        try:
            return super().invoke(ctx)
        except (Exception, KeyboardInterrupt, Interruption) as error:
            # Typer would answer Ctrl-C and a closed pipe itself, without what was committed. Its
            # own errors, and mistakes of ours, are reported further out.
            if not is_known(error):
                raise
            raise typer.Exit(report(error, run)) from None


def run_of(ctx: typer.Context) -> CommandRun:
    """What this run knows about itself."""
    return ctx.find_object(CommandRun) or CommandRun()


def _remember(ctx: typer.Context, value: bool) -> bool:
    run_of(ctx).as_json = value
    return value


AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document and nothing else.", callback=_remember),
]
"""The option of every command whose result a machine may read."""
