"""``vinci fallback``: what was committed while the warehouse was away, and has not arrived yet."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from vinci_code.cli.group import MOST, AsJson, run_of
from vinci_code.cli.help import examples
from vinci_code.cli.output import line_width, masked, print_document, render, say, shown, tell
from vinci_code.core.errors import EXIT_FAILED

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Look at what waits while the warehouse is away, and decide about what cannot arrive.",
    epilog=examples(
        "vinci fallback status",
        "vinci fallback refresh events      a copy to be read from meanwhile",
        "vinci fallback list --state parked",
        "vinci fallback retry 17",
    ),
)

_SHOWN_ROWS = 20


class _Chosen(str, Enum):
    """The states that units can be listed by."""

    waiting = "waiting"
    in_doubt = "in-doubt"
    parked = "parked"
    damaged = "damaged"


_Units = Annotated[
    list[int],
    typer.Argument(metavar="N…", help="The units' numbers, as 'list' shows them.", min=1),
]


@app.command(
    "status",
    epilog=examples("vinci fallback status", "vinci fallback status --json | jq .waiting"),
)
def status(as_json: AsJson = False) -> None:
    """Say where units of work go now, and how many have not arrived; the warehouse is not asked."""
    from vinci_code.cli.keeping import status_document, status_lines

    document = status_document()
    if as_json:
        print_document(document)
        return
    for line in status_lines(document):
        say(shown(line))


@app.command(
    "list",
    epilog=examples("vinci fallback list", "vinci fallback list --state parked --limit 1000"),
)
def list_(
    state: Annotated[
        _Chosen | None,
        typer.Option("--state", help="Only units in this state.", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=MOST, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List the units of work that have not arrived, in the order of their commits."""
    from vinci_code.cli.keeping import listed
    from vinci_code.cli.tables import one_line_table

    units, more = listed(None if state is None else state.value.replace("-", " "), limit)
    if as_json:
        print_document({"units": units, "more": more})
        return
    if not units:
        say("There is nothing that has not arrived.")
        return
    header = ("unit", "committed (UTC)", "rows", "state", "reason")
    rows = [
        (u["unit"], u["committed_at"][:19], u["rows"], u["state"], u["reason"] or "") for u in units
    ]
    render(one_line_table(header, rows, line_width()), wide_if_piped=True)
    if more:
        say(f"and {more:,} more (--limit)")


@app.command("show", epilog=examples("vinci fallback show 17", "vinci fallback show 17 --json"))
def show(
    number: Annotated[int, typer.Argument(metavar="N", help="The unit's number.", min=1, max=MOST)],
    as_json: AsJson = False,
) -> None:
    """Show a unit of work and what it would write; what looks like a secret is masked."""
    from vinci_code.cli.keeping import one, unit_lines

    unit = one(number)
    if as_json:
        print_document(unit)
        return
    for line in unit_lines(masked(unit), _SHOWN_ROWS):
        say(shown(line))


@app.command(
    "retry",
    epilog=examples(
        "vinci fallback retry 17",
        "vinci fallback retry 17 18",
        "vinci fallback retry 17 --not-written",
    ),
)
def retry(
    numbers: _Units,
    not_written: Annotated[
        bool,
        typer.Option(
            "--not-written", help="You have looked: none of them is on the warehouse already."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Have parked units wait again, each at its place in the order, and send what waits now.

    If the warehouse is away, they go there when it is back. A later unit that is parked because of
    these has to be sent again, too. A unit that was sent before with an outcome that nobody knows
    is refused without --not-written: it would be written twice. Exit code 1 if one of them is
    parked again.
    """
    from vinci_code.cli.keeping import retried

    outcome = retried(sorted(set(numbers)), not_written=not_written)
    if as_json:
        print_document(outcome)
    else:
        for unit in outcome["units"]:
            reason = f": {unit['reason']}" if unit["reason"] else ""
            say(shown(f"Unit {unit['unit']}: {unit['state']}{reason}"))
        if outcome["note"]:
            tell(shown(outcome["note"]))
    if any(unit["state"] == "parked" for unit in outcome["units"]):
        raise typer.Exit(EXIT_FAILED)


@app.command(
    "discard",
    epilog=examples(
        "vinci fallback discard 17",
        "vinci fallback discard 17 18 --export given-up.jsonl --yes",
    ),
)
def discard(
    numbers: _Units,
    export_to: Annotated[
        str | None,
        typer.Option(
            "--export",
            metavar="FILE",
            help="Where they are exported to before.",
            show_default="a new file beside that of the fallback",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Give units of work up for good: they never arrive. They are exported to a file before.

    You are asked first; where nobody can answer, --yes is needed.
    """
    from vinci_code.cli.keeping import discarded, to_be_discarded

    chosen = sorted(set(numbers))
    rows = to_be_discarded(chosen)
    if not yes:
        what = f"{len(chosen)} unit{'s' * (len(chosen) > 1)} of work ({rows:,} rows)"
        typer.confirm(f"Give {what} up for good?", abort=True, err=True)
    outcome = discarded(chosen, export_to)
    if as_json:
        print_document(outcome)
        return
    say(f"Exported to {shown(outcome['file'])}, and discarded: {', '.join(map(str, chosen))}.")
    _tell_of_masks(outcome["masked"])


@app.command(
    "export",
    epilog=examples("vinci fallback export kept.jsonl", "vinci fallback export - | jq .unit"),
)
def export(
    ctx: typer.Context,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="The file; '-' is standard output.", show_default=False
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Write what has not arrived to a file, for people: one line of JSON for each unit of work.

    Each has the rows that it would write, by the columns' names; what looks like a secret is
    masked. The units stay where they are.
    """
    from vinci_code.cli.keeping import exported

    if as_json and file == "-":
        run_of(ctx).as_json = False
        raise typer.BadParameter(
            "standard output is for the units when FILE is '-'", param_hint="--json"
        )
    outcome = exported(file)
    if as_json:
        print_document(outcome)
    elif file != "-":
        say(f"Exported {outcome['units']:,} units of work to {shown(file)}.")
    if not as_json:
        _tell_of_masks(outcome["masked"])


@app.command("send", epilog=examples("vinci fallback send", "vinci fallback send --json"))
def send(as_json: AsJson = False) -> None:
    """Send what waits now, rather than with the next unit of work.

    Exit code 1 if something has not arrived: it waits, is in doubt, parked, or damaged.
    """
    from vinci_code.cli.keeping import sent

    outcome = sent()
    left = {word: outcome[word] for word in ("waiting", "in_doubt", "parked", "damaged")}
    if as_json:
        print_document(outcome)
    else:
        counts = ", ".join(f"{left[word]:,} {word.replace('_', ' ')}" for word in left)
        say(f"Arrived: {outcome['arrived']:,}; left: {counts}.")
        if outcome["note"]:
            tell(shown(outcome["note"]))
    if any(left.values()):
        raise typer.Exit(EXIT_FAILED)


@app.command(
    "salvage",
    epilog=examples("vinci fallback salvage", "vinci fallback salvage /var/lib/shop/fallback.db"),
)
def salvage(
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE]",
            help="The damaged file; that of DATABRICKS_FALLBACK_FILE, by default.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take what is whole out of a damaged file into a new one, where it is parked.

    End every process that uses it before. The damaged file is kept under another name. Exit code 1
    if something is lost or broken.
    """
    from vinci_code.cli.keeping import salvaged

    outcome = salvaged(file)
    if as_json:
        print_document(outcome)
    else:
        say(shown(f"The damaged file is kept as {outcome['kept_as']}."))
        say(
            f"Units found whole, and parked now: {outcome['units']:,}; records that are broken: "
            f"{outcome['broken']:,}; units that are lost: {outcome['lost']:,}."
        )
        if outcome["units"]:
            say("Decide about them: vinci fallback list, show, retry, discard")
    if outcome["broken"] or outcome["lost"]:
        raise typer.Exit(EXIT_FAILED)


@app.command(
    "refresh",
    epilog=examples("vinci fallback refresh", "vinci fallback refresh events"),
)
def refresh(
    tables: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TABLE …]", help="The tables; all, by default.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Copy tables from the warehouse, to be read from while it is away.

    Each is copied in one version, and what is read of it later tells as of when. It replaces the
    former copy when it is complete.
    """
    from vinci_code.cli.keeping import refreshed

    mirrors = refreshed(tables or None)
    if as_json:
        print_document({"tables": mirrors})
        return
    for mirror in mirrors:
        say(shown(f"{mirror['table']}: {mirror['rows']:,} rows as of {mirror['as_of']}"))


def _tell_of_masks(count: int) -> None:
    if count:
        tell(f"{count:,} units hold what looks like a secret; it is masked in the file.")
