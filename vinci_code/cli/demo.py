"""``vinci demo``: the main job from end to end, on the database that is configured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from vinci_code.cli.failures import CommandRun
from vinci_code.cli.group import run_of
from vinci_code.cli.help import examples
from vinci_code.cli.output import listing, page_width, render, say
from vinci_code.core.errors import VinciError

if TYPE_CHECKING:
    from vinci_code.core.config import DatabaseSettings

EXAMPLES = examples(
    "vinci demo",
    "DATABASE_URL=sqlite:////tmp/demo.db vinci demo",
)

_NEWEST = 5


def demo(ctx: typer.Context) -> None:
    """Show what the application does: migrate, import real events, roll back, report.

    It imports 1,707 earthquakes of one week (U.S. Geological Survey) into the database that is
    configured, vinci.db by default. Running it again changes nothing.
    """
    from vinci_code.core.config import get_settings

    settings = get_settings().database
    _show_database(settings)
    _show_import(run_of(ctx))
    _show_rollback()
    _show_content()


def _show_database(settings: DatabaseSettings) -> None:
    from vinci_code.cli.place import place_of
    from vinci_code.database import migrations
    from vinci_code.database.session import create_configured_engine

    _heading("1. The database")
    say(f"{place_of(settings)}")
    engine = create_configured_engine(settings)
    try:
        pending = migrations.status(engine).pending
        applied = migrations.upgrade(engine) if pending else ()
    finally:
        engine.dispose()
    say(f"Migrations applied: {listing(applied)}" if applied else "Migrations: nothing to apply")


def _show_import(run: CommandRun) -> None:
    from vinci_code.cli.importing import Order, run_import
    from vinci_code.cli.sample import sample_file

    say()
    _heading("2. Real events come in")
    path = sample_file()
    outcome = run_import(Order(str(path)), run)
    report = outcome.report
    say(
        f"Imported {report.inserted:,} events from {path.name}; "
        f"{report.already_there:,} were already there"
    )
    if not report.inserted:
        say("Every event_key is stored once: importing the same file again adds nothing")


def _show_rollback() -> None:
    say()
    _heading("3. A unit of work that fails leaves nothing behind")
    before = _count()
    say(f"{before:>6,} events before")
    added = _fail_in_the_middle()
    say(f"{'+' + str(added):>6} added in one session_scope(), which then fails: rolled back")
    after = _count()
    say(f"{after:>6,} events after")
    if after != before:
        raise VinciError(
            f"The rollback left {after - before} events behind: this database does not hold what "
            "vinci_code promises. Run 'vinci check', and please report it."
        )


class _DemoError(Exception):
    """What goes wrong in the middle of the demo's unit of work."""


def _fail_in_the_middle() -> int:
    from vinci_code.database.models import Event
    from vinci_code.database.session import session_scope

    events = [Event(event_type="demo", source="vinci demo") for _ in range(3)]
    try:
        with session_scope() as session:
            session.add_all(events)
            session.flush()
            raise _DemoError
    except _DemoError:
        return len(events)


def _count() -> int:
    from sqlalchemy import func, select

    from vinci_code.database.models import Event
    from vinci_code.database.session import session_scope

    with session_scope() as session:
        return session.scalar(select(func.count()).select_from(Event)) or 0


def _show_content() -> None:
    from vinci_code.cli.showing import events_table, show_statistics
    from vinci_code.database.events import newest_events, statistics
    from vinci_code.database.session import session_scope

    say()
    _heading("4. What is stored")
    with session_scope() as session:
        found = statistics(session)
        newest = newest_events(session, _NEWEST)
    show_statistics(found)
    say("\nThe newest")
    # Without the ids, which each database gives out in its own way: the rest is the same on both.
    render(events_table(newest, page_width(), with_ids=False))
    say("\nNext: vinci events list, vinci check, vinci --help")


def _heading(text: str) -> None:
    from rich.text import Text

    render(Text(text, style="bold"))
