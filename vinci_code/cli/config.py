"""``vinci config``: which settings are in force, and where each comes from."""

from __future__ import annotations

import typer

from vinci_code.cli.group import AsJson
from vinci_code.cli.help import examples
from vinci_code.cli.output import print_document, say
from vinci_code.cli.place import backend_of, place_of

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Show the settings that are in force.",
    epilog=examples("vinci config show"),
)


@app.callback()
def _config() -> None:
    """Keep ``show`` a command of its own, though it is the only one."""


@app.command(
    "show",
    epilog=examples(
        "vinci config show",
        "USE_DATABRICKS=true vinci config show      what is still missing?",
        "vinci config show --json | jq '.settings[] | select(.source != \"default\")'",
    ),
)
def show(as_json: AsJson = False) -> None:
    """Show every setting with its value and where it comes from; secrets are masked.

    If anything is wrong, all of it is listed instead, and the exit code is 78.
    """
    from vinci_code.core.config import get_settings

    database = get_settings().database
    views = database.describe()
    if as_json:
        print_document(
            {
                "backend": backend_of(database),
                "settings": [view.model_dump() for view in views],
            }
        )
        return
    from vinci_code.cli.tables import print_table

    say(f"The data is stored on {place_of(database)}.")
    say()
    rows = [(view.variable, view.value or "(not set)", view.source) for view in views]
    print_table(("variable", "value", "from"), rows)
