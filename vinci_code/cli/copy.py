"""``vinci copy``: the tables of one database into another, and the proof that they are equal."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vinci_code.cli.failures import CommandRun
from vinci_code.cli.group import AsJson, run_of
from vinci_code.cli.help import examples
from vinci_code.cli.output import masked, print_document, say

if TYPE_CHECKING:
    from sqlalchemy.exc import DBAPIError

    from vinci_code.database.moving.reports import CopyReport

EXAMPLES = examples(
    "vinci copy shop.db databricks --dry-run",
    "vinci copy shop.db databricks --timezone Europe/Berlin --report copy.html",
    "vinci copy databricks backup.db --table customers --table orders",
    "vinci copy shop.db databricks --sync --delete",
    "vinci copy shop.db databricks --verify-only --json",
)


_SQLITE = b"SQLite format 3\x00"
_REPORTS = (".html", ".json", ".txt")


def copy(
    ctx: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A SQLite file, 'databricks' for that of the settings, or a URL of SQLAlchemy's.",
            show_default=False,
        ),
    ],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The same.", show_default=False)],
    table: Annotated[
        list[str] | None,
        typer.Option("--table", help="Only this table; may be given several times."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done, and write nothing.")
    ] = False,
    timezone: Annotated[
        str | None,
        typer.Option(
            "--timezone",
            metavar="ZONE",
            help="The zone of SQLite's moments where they become instants: Europe/Berlin, UTC.",
            show_default=False,
        ),
    ] = None,
    kinds: Annotated[
        list[str] | None,
        typer.Option(
            "--as",
            metavar="TABLE.COLUMN=KIND",
            help="What a column holds, where its type does not say: orders.token=uuid.",
        ),
    ] = None,
    sync: Annotated[
        bool, typer.Option("--sync", help="Bring over, by key, what is new or has changed.")
    ] = False,
    delete: Annotated[
        bool,
        typer.Option("--delete", help="With --sync: delete rows that the source has not."),
    ] = False,
    verify_only: Annotated[
        bool, typer.Option("--verify-only", help="Compare both, and write nothing.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the table vinci_copy_progress in the target.")
    ] = False,
    chunk_rows: Annotated[
        int | None,
        typer.Option(
            "--chunk-rows",
            min=1,
            max=1_000_000,
            help="Rows in one transaction (50000 to Databricks, 10000 to others).",
            show_default=False,
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="FILE",
            help="Write the report to a file too: .html, .json or .txt.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Copy tables from one database into another, and prove that they are equal.

    Tables that the target has not are made. After a failure the same command goes on from where it
    was. At the end both databases compute counts and checksums: exit code 0 says that all is equal.
    """
    _require_one_of(dry_run=dry_run, sync=sync, verify_only=verify_only)
    if delete and not sync:
        raise typer.BadParameter("it needs --sync", param_hint="--delete")
    if report is not None:
        _require_place(report, source, target)
    options: dict[str, Any] = {
        "tables": table or (),
        "kinds": _named(kinds or []),
        "timezone": timezone,
        "dry_run": dry_run,
        "sync": sync,
        "delete": delete,
        "verify_only": verify_only,
        "keep": keep,
    }
    if chunk_rows is not None:
        options["chunk_rows"] = chunk_rows
    done = _run(source, target, options, run_of(ctx))
    if as_json:
        print_document(done.fields())
    else:
        for line in done.lines():
            say(line)
    if report is not None:
        _write(report, done, source, target)
    if done.refusals or (not dry_run and not done.is_proved):
        from vinci_code.core.errors import EXIT_DATA, EXIT_FAILED

        raise typer.Exit(EXIT_DATA if done.refusals else EXIT_FAILED)


def _require_one_of(**modes: bool) -> None:
    chosen = [f"--{name.replace('_', '-')}" for name, is_on in modes.items() if is_on]
    if len(chosen) > 1:
        raise typer.BadParameter("only one of them at a time", param_hint=", ".join(chosen))


def _require_place(report: Path, source: str, target: str) -> None:
    """Refuse a report that cannot be written, or would take the place of a database, at once."""
    if report.suffix.lower() not in _REPORTS:
        reason = f"found {str(report)!r}; the name of a report ends with {', '.join(_REPORTS)}"
    elif report.is_dir() or not report.parent.is_dir():
        reason = f"{str(report)!r} is a folder, or lies in none; name a file in a folder"
    else:
        found = _database_of(report, source, target)
        if found is None:
            return
        reason = f"{str(report)!r} is {found}, which it would overwrite; name another file"
    raise typer.BadParameter(f"{reason}; nothing was copied", param_hint="--report")


def _database_of(report: Path, source: str, target: str) -> str | None:
    """Which database a report would be written over, also through a link; ``None`` over none."""
    from vinci_code.database.moving.places import are_one, files_of

    for word, given in (("source", source), ("target", target)):
        if any(are_one(report, one) for one in files_of(given)):
            return f"a file of the {word}"
    if report.is_file():
        with report.open("rb") as stream:
            # https://www.sqlite.org/fileformat.html#magic_header_string
            if stream.read(len(_SQLITE)) == _SQLITE:
                return "a SQLite database"
    return None


def _named(given: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        name, equals, kind = text.rpartition("=")
        if not equals or "." not in name:
            raise typer.BadParameter(
                f"found {text!r}; write it as orders.token=uuid", param_hint="--as"
            )
        found[name] = kind
    return found


def _run(source: str, target: str, options: dict[str, Any], run: CommandRun) -> CopyReport:
    from sqlalchemy.exc import DBAPIError

    from vinci_code.cli.interruption import Breaks
    from vinci_code.cli.progress import meter
    from vinci_code.core.errors import DatabaseFileError, VinciError
    from vinci_code.database.moving.copying import copy_database

    moved = 0
    with meter("Copying", None) as bar, Breaks().watched():

        def note(rows: int, _: int) -> None:
            nonlocal moved
            moved = rows
            bar.moved(rows, rows)

        try:
            return copy_database(source, target, on_progress=note, **options)
        except BaseException as error:
            # Reported and passed on, whatever it is: what was committed stays.
            if moved:
                run.committed.append(
                    f"Committed before it, and kept: {moved:,} rows. The same command goes on "
                    "from there."
                )
                run.fields["rows"] = moved
            from vinci_code.database.moving.places import shown

            if isinstance(error, DBAPIError) and not isinstance(error.orig, VinciError):
                raise DatabaseFileError(
                    f"A database has failed while {shown(source)} was copied to {shown(target)}: "
                    f"{_told(error)}. Check both of them, and run the same command again"
                ) from error
            raise


def _told(error: DBAPIError) -> str:
    """What a driver says; of other databases than SQLite nothing that may be a value of a row."""
    from sqlite3 import Error as SqliteError

    from sqlalchemy.exc import OperationalError

    if isinstance(error.orig, SqliteError) or isinstance(error, OperationalError):
        return str(error.orig)
    state = getattr(error.orig, "sqlstate", None)
    return f"{type(error.orig).__name__}{f', SQLSTATE {state}' if state else ''}"


def _write(file: Path, report: CopyReport, source: str, target: str) -> None:
    from vinci_code.core.redaction import redact

    if file.suffix.lower() == ".html":
        from vinci_code.database.moving.pages import page

        text = redact(page(report))
    elif file.suffix.lower() == ".json":
        import json

        text = json.dumps(masked(report.fields()), indent=2) + "\n"
    else:
        text = redact("\n".join(report.lines())) + "\n"
    found = _database_of(file, source, target)  # it may have become one meanwhile
    if found is not None:
        raise OSError(errno.EEXIST, f"it is {found} by now; the report was not written", str(file))
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        told = f"the copy is done, and its report was not written: {error.strerror}"
        raise OSError(error.errno, told, str(file)) from error
