"""``vinci report``: a file for support, without secrets and without data."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vinci_code.cli.group import AsJson
from vinci_code.cli.help import examples
from vinci_code.cli.output import is_terminal, print_document, say, shown, tell

if TYPE_CHECKING:
    from vinci_code.diagnostics.support import Member

EXAMPLES = examples(
    "vinci report trouble.zip",
    "vinci report trouble.zip --list                what would be in it? nothing is written",
    "vinci report trouble.zip --yes --log app.log   with the errors of a log file, unasked",
    "vinci report trouble.zip --no-checks           starts no warehouse",
)


def report(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.zip", help="Where to write it; readable by you alone.")
    ],
    list_only: Annotated[
        bool, typer.Option("--list", help="Only tell what would be in it; nothing is collected.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    checks: Annotated[
        bool,
        typer.Option(
            "--checks/--no-checks",
            help="Run 'vinci check' for it, which starts a warehouse that is stopped.",
        ),
    ] = True,
    log: Annotated[
        Path | None,
        typer.Option(
            "--log",
            metavar="FILE",
            help="A log file, as logging_setup() writes it: its errors, without their messages.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace FILE.zip if it is an earlier report.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a report for support: versions, settings, checks, the last statements that failed.

    What is in it is told first, and you are asked. No secret is in it, no text of a statement, no
    message of an error and no data; names of the host, the catalog, the user and of files are.
    """
    from vinci_code.diagnostics.support import CONTENT, collect, planned
    from vinci_code.diagnostics.support_file import refuse_file, write_report

    names = planned(checks=checks, log=log is not None)
    if list_only:
        if as_json:
            listed = [{"name": name, "what": CONTENT[name]} for name in names]
            print_document({"file": str(file), "written": False, "members": listed})
        else:
            _list({name: CONTENT[name] for name in names})
        return
    asks = not yes
    if asks and (as_json or not is_terminal(sys.stdin)):
        raise typer.BadParameter("nobody can be asked here: add --yes, or look first with --list")
    refuse_file(file, replace=force)
    if asks:
        _list({name: CONTENT[name] for name in names})
        typer.confirm(f"Collect this, and write it to {shown(file)}?", abort=True, err=True)
    members = collect(checks=checks, log=log, on_progress=tell)
    write_report(file, members, replace=force)
    _tell_written(file, members, as_json=as_json, listed=asks)


def _list(members: dict[str, str]) -> None:
    width = max(map(len, members))
    for name, what in members.items():
        say(f"{name:<{width}}  {what}")


def _tell_written(file: Path, members: tuple[Member, ...], *, as_json: bool, listed: bool) -> None:
    if as_json:
        sizes = [
            {"name": member.name, "what": member.what, "bytes": len(member.content)}
            for member in members
        ]
        print_document({"file": str(file), "written": True, "members": sizes})
        return
    if not listed:
        _list({member.name: member.what for member in members})
    say(f"Written to {shown(file)}. Look into it before you send it: unzip -p {shown(file)}")
