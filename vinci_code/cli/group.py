"""The root of the commands: it turns the failures of all of them into a line and an exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from vinci_code.cli.failures import CommandRun, Interruption, is_known, report
from vinci_code.cli.output import flush, to_output

# The base of all that is wrong with a command line, wherever this version of typer has it from.
_UsageError: Any = typer.BadParameter.__base__


class ReportingGroup(TyperGroup):
    """A group whose commands may raise what they like."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Read the options that stand before the command; --help and --version print."""
        with _masked_usage(), to_output():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was chosen."""
        run = ctx.obj = CommandRun()
        try:
            with _masked_usage():
                result = super().invoke(ctx)
            # Here, where it is known what was committed.
            flush()
            return result
        except (Exception, KeyboardInterrupt, Interruption) as error:
            # Typer would answer Ctrl-C and a closed pipe itself, without what was committed. Its
            # own errors, and mistakes of ours, are reported further out.
            if not is_known(error):
                raise
            raise typer.Exit(report(error, run)) from None


@contextmanager
def _masked_usage() -> Iterator[None]:
    """Mask what is wrong with a command line: it repeats what was typed, or pasted."""
    try:
        yield
    except _UsageError as error:
        text = str(error.format_message())
        error.format_message = lambda: _masked(text)
        raise


def _masked(text: str) -> str:
    from vinci_code.core.config import get_settings
    from vinci_code.core.errors import ConfigurationError
    from vinci_code.core.redaction import redact

    # A secret that has no known shape is known from the settings, however wrong the rest of them.
    with suppress(ConfigurationError):
        get_settings()
    return redact(text)


def run_of(ctx: typer.Context) -> CommandRun:
    """What this run knows about itself."""
    return ctx.find_object(CommandRun) or CommandRun()


def _remember(ctx: typer.Context, value: bool) -> bool:
    run_of(ctx).as_json = value
    return value


MOST = 2**63 - 1
"""The largest number that a command takes: no database has a larger one."""

AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document and nothing else.", callback=_remember),
]
"""The option of every command whose result a machine may read."""
