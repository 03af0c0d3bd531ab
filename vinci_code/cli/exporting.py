"""``vinci events export``: run an export and show how far it is."""

from __future__ import annotations

import errno
import sys
import time
from contextlib import nullcontext
from typing import Literal

from vinci_code.cli.output import is_terminal, to_output
from vinci_code.cli.progress import meter


def run_export(file: str, kind: Literal["jsonl", "csv", "parquet"] | None) -> tuple[int, float]:
    """Write all events to a file; return their number and the seconds that it took.

    Raises:
        OSError: The file cannot be written.
        DatabaseFileError: It is the database itself.
    """
    from sqlalchemy import func, select

    from vinci_code.cli.keeping import refuse_the_fallback
    from vinci_code.core.config import get_settings
    from vinci_code.database.events import export_events
    from vinci_code.database.models import Event
    from vinci_code.database.session import session_scope

    if file == "-" and sys.stdout is None:
        raise OSError(errno.EBADF, "it is closed", "standard output")
    refuse_the_fallback(get_settings().database.databricks_fallback_file, file)
    started = time.monotonic()
    # Where the events go to the terminal themselves, a bar would stand among them.
    silent = file == "-" and is_terminal(sys.stdout)
    with session_scope() as session:
        total = session.scalar(select(func.count()).select_from(Event)) or 0
        named = to_output() if file == "-" else nullcontext()
        with named, meter("Exporting", total, silent=silent) as bar:
            count = export_events(
                session, file, format=kind, on_progress=lambda rows: bar.moved(rows, rows)
            )
    return count, time.monotonic() - started
