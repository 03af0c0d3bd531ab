"""All commands, put together."""

from __future__ import annotations

from typing import Annotated

import typer

from vinci_code import __version__
from vinci_code.cli import (
    check,
    config,
    copy,
    db,
    demo,
    events,
    fallback,
    queries,
    report,
    warehouse,
)
from vinci_code.cli.group import ReportingGroup
from vinci_code.cli.help import examples

app = typer.Typer(
    name="vinci",
    cls=ReportingGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "vinci demo                                  see it work, on SQLite",
        "vinci check                                 is the database in order?",
        "vinci events import examples/earthquakes.jsonl",
        "vinci events stats",
        "DATABASE_URL=sqlite:///other.db vinci db status",
        "vinci copy shop.db databricks --dry-run     move a database, and prove it",
        "vinci queries --failed                      what the warehouse refused",
        "vinci warehouse serve                       a SQL warehouse, on this machine",
        "vinci --install-completion                  complete commands in your shell",
    ),
)
app.command("demo", epilog=demo.EXAMPLES)(demo.demo)
app.command("check", epilog=check.EXAMPLES)(check.check)
app.command("copy", epilog=copy.EXAMPLES)(copy.copy)
app.command("queries", epilog=queries.EXAMPLES)(queries.queries)
app.command("report", epilog=report.EXAMPLES)(report.report)
app.add_typer(config.app, name="config")
app.add_typer(db.app, name="db")
app.add_typer(events.app, name="events")
app.add_typer(fallback.app, name="fallback")
app.add_typer(warehouse.app, name="warehouse")


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"vinci {__version__}")
        raise typer.Exit


@app.callback()
def vinci(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """One application on SQLite and on Databricks SQL, switched by configuration alone.

    The environment (or a .env file in the working directory) says which database is used: a SQLite
    file, vinci.db, unless USE_DATABRICKS is true. 'vinci config show' tells what is in force.

    Exit codes: 0 done; 1 failed; 2 wrong usage; 65 bad input data; 69 database not reachable; 70 a
    mistake in vinci; 78 configuration; 130 Ctrl-C; 143 terminated.
    """
