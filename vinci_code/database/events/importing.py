"""Store events that were read from a file, batch by batch, each event once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Engine
from sqlalchemy.dialects.sqlite import insert

from vinci_code.core.errors import InputDataError
from vinci_code.database.events.reading import EventRow
from vinci_code.database.models import Event
from vinci_code.database.models.types import utc_now

DEFAULT_BATCH_SIZE = 5_000


@dataclass
class ImportReport:
    """What an import has done so far; it only ever counts what is committed.

    Attributes:
        read: Records read, in batches that were committed.
        inserted: Events that were stored.
        already_there: Events that were left alone, since their ``event_key`` is stored already.
        skipped: Records that could not be used.
        without_key: Events stored without an ``event_key``: importing them again adds them again.
    """

    read: int = 0
    inserted: int = 0
    already_there: int = 0
    skipped: int = 0
    without_key: int = 0


def import_events(
    engine: Engine,
    records: Iterable[EventRow | InputDataError],
    *,
    report: ImportReport,
    batch_size: int = DEFAULT_BATCH_SIZE,
    on_error: Literal["stop", "skip"] = "stop",
    on_skip: Callable[[InputDataError], None] = lambda _: None,
    on_commit: Callable[[ImportReport], None] = lambda _: None,
) -> ImportReport:
    """Store the events; each batch is one transaction.

    An event whose ``event_key`` is stored already, or came earlier in the same file, is left as it
    is; so an import that was interrupted, or that runs twice at once, ends in the same rows as one
    that ran alone to its end.

    Args:
        engine: Where to store them; the tables are there.
        records: Events, and errors in the place of records that cannot be used.
        report: Counted up with each commit, so that it is right even if this function is left by an
            exception.
        batch_size: Records in a transaction.
        on_error: ``"stop"`` raises the error and keeps nothing of its batch; ``"skip"`` goes on.
        on_skip: Called with the error of each record that is skipped.
        on_commit: Called after each commit.

    Returns:
        ``report``.

    Raises:
        InputDataError: A record cannot be used, and ``on_error`` is ``"stop"``.
        ValueError: ``batch_size`` is less than 1.
    """
    if batch_size < 1:
        raise ValueError(
            f"batch_size is the number of records in a transaction, found {batch_size}"
        )
    batch: list[EventRow] = []
    skipped = 0
    for record in records:
        if not isinstance(record, InputDataError):
            batch.append(record)
        elif on_error == "stop":
            raise record
        else:
            skipped += 1
            on_skip(record)
        if len(batch) + skipped >= batch_size:
            _store(engine, batch, skipped, report)
            on_commit(report)
            batch, skipped = [], 0
    if batch or skipped:
        _store(engine, batch, skipped, report)
        on_commit(report)
    return report


def _store(engine: Engine, batch: list[EventRow], skipped: int, report: ImportReport) -> None:
    inserted = 0
    if batch:
        now = utc_now()
        rows: list[dict[str, Any]] = [{**row, "created_at": now} for row in batch]
        with engine.begin() as connection:
            inserted = connection.execute(_INSERT_NEW, rows).rowcount
    report.read += len(batch) + skipped
    report.inserted += inserted
    report.already_there += len(batch) - inserted
    report.skipped += skipped
    report.without_key += sum(row["event_key"] is None for row in batch)


_INSERT_NEW = insert(Event).on_conflict_do_nothing(index_elements=["event_key"])
