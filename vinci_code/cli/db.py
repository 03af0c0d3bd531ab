"""``vinci db``: the tables and their migrations."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vinci_code.cli.group import AsJson, run_of
from vinci_code.cli.help import examples
from vinci_code.cli.output import is_terminal, listing, print_document, say, shown, tell
from vinci_code.cli.place import backend_of, place_of

if TYPE_CHECKING:
    from vinci_code.core.config import DatabaseSettings
    from vinci_code.database.migrations import MigrationStatus
    from vinci_code.database.migrations.project import AlembicProject, ProjectStatus, Revision

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Create, change and look at the tables.",
    epilog=examples(
        "vinci db status",
        "vinci db upgrade",
        "vinci db upgrade --config alembic.ini    those of your own application",
    ),
)

_Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="ALEMBIC_INI",
        help="The alembic.ini of your own application, whose migrations are meant instead.",
        show_default="that of VINCI_ALEMBIC_CONFIG, if it is set",
    ),
]


@app.command(
    "upgrade",
    epilog=examples("vinci db upgrade            to the newest", "vinci db upgrade 0001"),
)
def upgrade(
    ctx: typer.Context,
    revision: Annotated[
        str, typer.Argument(metavar="[REVISION]", help="The revision to go up to.")
    ] = "head",
    config: _Config = None,
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
    project = _project(config, settings)
    engine = create_configured_engine(settings)
    try:
        done = (project or migrations).upgrade(engine, revision)
    finally:
        engine.dispose()
    applied = _identifiers(done)
    if applied:
        run_of(ctx).committed.append(f"Applied all the same: {listing(applied)}.")
    if as_json:
        print_document({"applied": applied})
    else:
        _say_each("Applied", done, "Nothing to apply.")
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
    config: _Config = None,
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
    project = _project(config, settings)
    if not yes and is_terminal(sys.stdin):
        place = shown(place_of(settings))
        typer.confirm(f"Take migrations of {place} back, with their data?", abort=True, err=True)
    engine = create_configured_engine(settings)
    try:
        done = (project or migrations).downgrade(engine, revision)
    finally:
        engine.dispose()
    taken_back = _identifiers(done)
    if taken_back:
        run_of(ctx).committed.append(f"Taken back all the same: {listing(taken_back)}.")
    if as_json:
        print_document({"taken_back": taken_back})
    else:
        _say_each("Taken back", done, "Nothing to take back.")


@app.command(
    "status",
    epilog=examples(
        "vinci db status", "vinci db status --json", "vinci db status --config alembic.ini"
    ),
)
def status(config: _Config = None, as_json: AsJson = False) -> None:
    """Say at which revision the tables are, changing nothing."""
    from vinci_code.core.config import get_settings

    settings = get_settings().database
    project = _project(config, settings)
    found, exists = _status(settings, project)
    if as_json:
        print_document(_document(settings, project, found))
        return
    current, pending = _current(found), _identifiers(found.pending)
    say(f"Database:  {place_of(settings)}{'' if exists else ' (does not exist yet)'}")
    if project is not None:
        say(shown(f"Project:   {project.path}"))
    say(f"Revision:  {listing(current)}{' (the newest)' if current and not pending else ''}")
    say(f"Pending:   {listing(pending)}")
    if pending:
        option = "" if config is None else f" --config {shlex.quote(str(config))}"
        say(shown(f"Apply what is pending: vinci db upgrade{option}"))


def _project(config: Path | None, settings: DatabaseSettings) -> AlembicProject | None:
    """The application's own project that is meant; ``None`` for the migrations of this package."""
    path = config or settings.alembic_config
    if path is None:
        return None
    from vinci_code.database.migrations.project import AlembicProject

    return AlembicProject(path.absolute())


def _identifiers(revisions: Iterable[str | Revision]) -> list[str]:
    return [one if isinstance(one, str) else one.revision for one in revisions]


def _say_each(done: str, revisions: Sequence[str | Revision], nothing: str) -> None:
    """Say what was done: our revisions in a line, and one line for each that has a message."""
    named = [one for one in revisions if not isinstance(one, str)]
    for one in named:
        say(shown(f"{done}: {one.revision}{f' ({one.message})' if one.message else ''}"))
    if not named:
        say(f"{done}: {listing(_identifiers(revisions))}." if revisions else nothing)


def _current(found: MigrationStatus | ProjectStatus) -> list[str]:
    """The revisions that a database is at."""
    if isinstance(found.current, tuple):
        return list(found.current)
    return [] if found.current is None else [found.current]


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


def _status(
    settings: DatabaseSettings, project: AlembicProject | None
) -> tuple[MigrationStatus | ProjectStatus, bool]:
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
        return (project or migrations).status(engine), exists
    finally:
        engine.dispose()


def _document(
    settings: DatabaseSettings,
    project: AlembicProject | None,
    found: MigrationStatus | ProjectStatus,
) -> dict[str, Any]:
    place = {"backend": backend_of(settings), "database": place_of(settings)}
    if project is not None:
        place["project"] = str(project.path)
    # A project may have several.
    heads = {"head": found.head} if hasattr(found, "head") else {"heads": list(found.heads)}
    return {
        **place,
        "current": found.current,
        **heads,
        "pending": _identifiers(found.pending),
        "is_current": found.is_current,
    }
