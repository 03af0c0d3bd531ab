"""``vinci events export``: run an export and show how far it is."""

from __future__ import annotations

import errno
import io
import sys
import time
from pathlib import Path
from typing import Literal

from vinci_code.cli.output import is_terminal
from vinci_code.cli.progress import meter


def run_export(file: str, kind: Literal["jsonl", "csv"] | None) -> tuple[int, float]:
    """Write all events to a file; return their number and the seconds that it took.

    Raises:
        OSError: The file cannot be written, or is the database itself.
    """
    from sqlalchemy import func, select

    from vinci_code.database.events import export_events
    from vinci_code.database.models import Event
    from vinci_code.database.session import session_scope

    if file == "-":
        _prepare_output()
    else:
        _require_a_file(file)
    started = time.monotonic()
    # Where the events go to the terminal themselves, a bar would stand among them.
    silent = file == "-" and is_terminal(sys.stdout)
    with session_scope() as session:
        total = session.scalar(select(func.count()).select_from(Event)) or 0
        with meter("Exporting", total, silent=silent) as bar:
            count = export_events(
                session, file, format=kind, on_progress=lambda rows: bar.moved(rows, rows)
            )
    return count, time.monotonic() - started


def _prepare_output() -> None:
    """Make standard output take the text of the events as it is, whatever its encoding was."""
    if sys.stdout is None:
        raise OSError(errno.EBADF, "it is closed", "standard output")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="strict", newline="")


def _require_a_file(file: str) -> None:
    """A slip of the hand (`export vinci.db`) is not to replace the database by its events."""
    from vinci_code.core.config import get_settings
    from vinci_code.database.sqlite import file_of

    settings = get_settings().database
    database = None if settings.use_databricks else file_of(settings.database_url)
    target = Path(file)
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "this is a folder; name a file in it", file)
    if database is None:
        return
    for path in (database, *(Path(f"{database}{end}") for end in ("-wal", "-shm", "-journal"))):
        if target.exists() and path.exists() and target.samefile(path):
            reason = "this is the database itself; name another file"
            raise FileExistsError(errno.EEXIST, reason, file)
