"""``vinci db``: the tables and their migrations."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vinci_code.cli.group import AsJson, run_of
from vinci_code.cli.help import examples
from vinci_code.cli.output import is_terminal, listing, print_document, say, shown, tell
from vinci_code.cli.place import backend_of, place_of

if TYPE_CHECKING:
    from vinci_code.core.config import DatabaseSettings
    from vinci_code.database.migrations import MigrationStatus

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Create, change and look at the tables.",
    epilog=examples("vinci db status", "vinci db upgrade"),
)


@app.command(
    "upgrade",
    epilog=examples("vinci db upgrade            to the newest", "vinci db upgrade 0001"),
)
def upgrade(
    ctx: typer.Context,
    revision: Annotated[
        str, typer.Argument(metavar="[REVISION]", help="The revision to go up to.")
    ] = "head",
    as_json: AsJson = False,
) -> None:
    """Apply the migrations that are pending.

    On SQLite this happens by itself when the application first uses the database; on Databricks
    only this command, and 'vinci demo', do it.
    """
    from vinci_code.core.config import get_settings
    from vinci_code.database import migrations
    from vinci_code.database.session import create_configured_engine

    settings = get_settings().database
    engine = create_configured_engine(settings)
    try:
        applied = migrations.upgrade(engine, revision)
    finally:
        engine.dispose()
    if applied:
        run_of(ctx).committed.append(f"Applied all the same: {listing(applied)}.")
    if as_json:
        print_document({"applied": list(applied)})
    else:
        say(f"Applied: {listing(applied)}." if applied else "Nothing to apply.")
    if settings.use_databricks:
        _tell_of_what_waits(settings)


@app.command(
    "downgrade",
    # Alembic's relative revisions, such as -1, look like options.
    context_settings={"ignore_unknown_options": True},
    epilog=examples(
        "vinci db downgrade -1            the last one",
        "vinci db downgrade base --yes    all of them, without being asked",
    ),
)
def downgrade(
    ctx: typer.Context,
    revision: Annotated[
        str,
        typer.Argument(
            metavar="REVISION", help="The revision to go down to; 'base' is before the first."
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take migrations back. The data in the tables that they created is lost.

    In a terminal you are asked first.
    """
    from vinci_code.core.config import get_settings
    from vinci_code.database import migrations
    from vinci_code.database.session import create_configured_engine

    settings = get_settings().database
    if not yes and is_terminal(sys.stdin):
        place = shown(place_of(settings))
        typer.confirm(f"Take migrations of {place} back, with their data?", abort=True, err=True)
    engine = create_configured_engine(settings)
    try:
        taken_back = migrations.downgrade(engine, revision)
    finally:
        engine.dispose()
    if taken_back:
        run_of(ctx).committed.append(f"Taken back all the same: {listing(taken_back)}.")
    if as_json:
        print_document({"taken_back": list(taken_back)})
    else:
        say(f"Taken back: {listing(taken_back)}." if taken_back else "Nothing to take back.")


@app.command("status", epilog=examples("vinci db status", "vinci db status --json"))
def status(as_json: AsJson = False) -> None:
    """Say at which revision the tables are, changing nothing."""
    from vinci_code.core.config import get_settings

    settings = get_settings().database
    found, exists = _status(settings)
    if as_json:
        print_document(_document(settings, found))
        return
    say(f"Database:  {place_of(settings)}{'' if exists else ' (does not exist yet)'}")
    say(f"Revision:  {found.current or 'none'}{' (the newest)' if found.is_current else ''}")
    say(f"Pending:   {listing(found.pending)}")
    if found.pending:
        say("Apply what is pending: vinci db upgrade")


def _tell_of_what_waits(settings: DatabaseSettings) -> None:
    """Say that units of work wait that were committed to the tables as they were."""
    from vinci_code.cli.keeping import waiting_in

    if waiting := waiting_in(settings):
        units = "unit of work waits that was" if waiting == 1 else "units of work wait that were"
        tell(
            f"{waiting:,} {units} committed while the warehouse was away (vinci fallback status). "
            "What waits is sent with the columns that it names; what does not fit the tables any "
            "more is parked, and told there."
        )


def _status(settings: DatabaseSettings) -> tuple[MigrationStatus, bool]:
    from vinci_code.database import migrations
    from vinci_code.database.session import create_configured_engine
    from vinci_code.database.sqlite import create_sqlite_engine, file_of

    engine = create_configured_engine(settings)
    path = None if settings.use_databricks else file_of(settings.database_url)
    exists = path is None or path.exists()
    if not exists:
        # Looking at a SQLite file that is not there would create it.
        engine = create_sqlite_engine("sqlite:///:memory:")
    try:
        return migrations.status(engine), exists
    finally:
        engine.dispose()


def _document(settings: DatabaseSettings, found: MigrationStatus) -> dict[str, Any]:
    return {
        "backend": backend_of(settings),
        "database": place_of(settings),
        "current": found.current,
        "head": found.head,
        "pending": list(found.pending),
        "is_current": found.is_current,
    }
