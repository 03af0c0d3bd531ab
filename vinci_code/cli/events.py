"""``vinci events``: events in, events out, and what is there."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from vinci_code.cli.failures import CommandRun
from vinci_code.cli.group import MOST, AsJson, run_of
from vinci_code.cli.help import examples
from vinci_code.cli.output import line_width, print_document, render, say

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Import, add, list, count and export events.",
    epilog=examples(
        "vinci events import examples/earthquakes.jsonl",
        "vinci events list --limit 5",
        "vinci events export events.csv.gz",
    ),
)


class _FileForm(str, Enum):
    """The forms of a file of events."""

    jsonl = "jsonl"
    csv = "csv"
    parquet = "parquet"


class _OnError(str, Enum):
    """What a bad line does to an import."""

    stop = "stop"
    skip = "skip"


def _require_name(value: str) -> str:
    if not value:
        raise typer.BadParameter("the name of a file is empty")
    return value


_FORM_HELP = "The file's form; by default by its name: .csv, .parquet, else JSON lines."


@app.command(
    "import",
    epilog=examples(
        "vinci events import examples/earthquakes.jsonl",
        "vinci events import events.csv.gz --on-error skip",
        "curl -s https://example.org/events.jsonl | vinci events import -",
        "vinci events import events.jsonl --batch-size 500 --json",
    ),
)
def import_(
    ctx: typer.Context,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="The file; '-' is standard input, '.gz' and '.zst' are unpacked.",
            show_default=False,
            callback=_require_name,
        ),
    ],
    form: Annotated[
        _FileForm | None, typer.Option("--format", help=_FORM_HELP, show_default=False)
    ] = None,
    on_error: Annotated[
        _OnError,
        typer.Option(
            "--on-error",
            help="On a bad line: stop, keeping nothing of its batch, or skip it and go on.",
        ),
    ] = _OnError.stop,
    batch_size: Annotated[
        int | None,
        typer.Option(
            "--batch-size",
            min=1,
            max=MOST,
            help="Records in a transaction.",
            show_default="5000",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Store the events of a file, each event_key once.

    An event whose event_key is stored already is left as it is: importing a file again, or going on
    after an interruption, is harmless. Ctrl-C ends it and tells what was committed. A file that
    cannot be used, or a bad line with --on-error stop, ends in exit code 65.

    Every record has event_type, source and occurred_at (ISO 8601 with an offset), and may have
    event_key, description and payload (a JSON object).
    """
    from vinci_code.cli.importing import Order, run_import, summary

    order = Order(file, None if form is None else form.value, on_error.value, batch_size)
    run = run_of(ctx)
    outcome = run_import(order, run)
    lines = summary(outcome, order)
    run.committed += ["All of it is stored all the same:", *lines]
    if as_json:
        print_document(outcome.fields(order, completed=True))
    else:
        for line in lines:
            say(line)


@app.command(
    "add",
    epilog=examples(
        "vinci events add --type login --source web",
        "vinci events add --type alarm --source door-7 --event-key door-7/00815 \\",
        "    --occurred-at 2018-01-31T01:49:59Z --payload '{\"level\": 3}'",
    ),
)
def add(
    ctx: typer.Context,
    event_type: Annotated[
        str, typer.Option("--type", help="What kind of event it is.", show_default=False)
    ],
    source: Annotated[str, typer.Option("--source", help="Who reports it.", show_default=False)],
    event_key: Annotated[
        str | None,
        typer.Option(
            "--event-key", help="Its key where it comes from; unique.", show_default=False
        ),
    ] = None,
    description: Annotated[
        str | None,
        typer.Option("--description", help="The event in a few words.", show_default=False),
    ] = None,
    payload: Annotated[
        str | None,
        typer.Option(
            "--payload",
            metavar="JSON",
            help="Everything else, a JSON object.",
            show_default=False,
        ),
    ] = None,
    occurred_at: Annotated[
        str | None,
        typer.Option(
            "--occurred-at",
            metavar="TIME",
            help="When it happened, ISO 8601 with an offset.",
            show_default="now",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Store one event and print its id."""
    from vinci_code.cli.adding import NewEvent, add_event

    number = add_event(NewEvent(event_type, source, event_key, description, payload, occurred_at))
    run_of(ctx).committed.append(f"The event is stored all the same, with the id {number}.")
    if as_json:
        print_document({"id": number})
    else:
        say(str(number))


@app.command(
    "list",
    epilog=examples(
        "vinci events list --limit 5",
        "vinci events list --type earthquake --source usgs.uw",
        "vinci events list --json | jq '.[].description'",
    ),
)
def list_(
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=MOST, help="At most so many.")
    ] = 20,
    event_type: Annotated[
        str | None, typer.Option("--type", help="Only events of this type.", show_default=False)
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", help="Only events of this source.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the events that occurred last, the newest first."""
    from vinci_code.cli.showing import events_table, record_of
    from vinci_code.database.events import newest_events
    from vinci_code.database.session import session_scope

    with session_scope() as session:
        events = newest_events(session, limit, event_type=event_type, source=source)
    if as_json:
        print_document([record_of(event) for event in events])
    elif events:
        render(events_table(events, line_width()), wide_if_piped=True)
    else:
        say("No events.")


@app.command("stats", epilog=examples("vinci events stats", "vinci events stats --json"))
def stats(as_json: AsJson = False) -> None:
    """Count the events: in all, by type, by source, and by day (UTC)."""
    from vinci_code.cli.showing import show_statistics, statistics_record
    from vinci_code.database.events import statistics
    from vinci_code.database.session import session_scope

    with session_scope() as session:
        found = statistics(session)
    if as_json:
        print_document(statistics_record(found))
    else:
        show_statistics(found)


@app.command(
    "export",
    epilog=examples(
        "vinci events export events.jsonl.gz",
        "vinci events export - --format csv | head",
    ),
)
def export(
    ctx: typer.Context,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="The file; '-' is standard output, '.gz' and '.zst' are packed.",
            show_default=False,
            callback=_require_name,
        ),
    ],
    form: Annotated[
        _FileForm | None, typer.Option("--format", help=_FORM_HELP, show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write all events to a file that 'vinci events import' reads.

    The file appears under its name when it is complete; one that was there before is replaced then.
    """
    from vinci_code.cli.exporting import run_export

    if as_json and file == "-":
        _refuse_json(run_of(ctx))
    count, seconds = run_export(file, None if form is None else form.value)
    if as_json:
        print_document({"file": file, "exported": count, "seconds": round(seconds, 3)})
    elif file != "-":
        say(f"Exported {count:,} events to {file} in {seconds:.1f} s.")


def _refuse_json(run: CommandRun) -> None:
    run.as_json = False
    raise typer.BadParameter(
        "standard output is for the events when FILE is '-'", param_hint="--json"
    )
