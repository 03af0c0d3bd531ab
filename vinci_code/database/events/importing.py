"""Store events that were read from a file, batch by batch, each event once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from sqlalchemy import Connection, Engine, select

from vinci_code.core.errors import InputDataError
from vinci_code.database.events.reading import EventRow
from vinci_code.database.models import Event
from vinci_code.database.models.types import utc_now
from vinci_code.database.upserts import upsert

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
    that ran alone to its end. On Databricks the keys are asked for first, to count what is new; of
    two imports that run at once there, both may count an event that one of them has stored.

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
    batch = _ImportBatch(engine, report, on_commit)
    try:
        for record in records:
            if not isinstance(record, InputDataError):
                batch.rows.append(record)
            elif on_error == "stop":
                raise record
            else:
                batch.skipped += 1
                on_skip(record)
            if len(batch.rows) + batch.skipped >= batch_size:
                batch.commit()
    except InputDataError:
        # The file ends in the middle of nothing, as a damaged .gz does: what came before is good.
        if on_error == "skip":
            batch.commit()
        raise
    batch.commit()
    return report


class _ImportBatch:
    """The records of one transaction."""

    def __init__(
        self, engine: Engine, report: ImportReport, on_commit: Callable[[ImportReport], None]
    ) -> None:
        self.rows: list[EventRow] = []
        self.skipped = 0
        self._engine = engine
        self._report = report
        self._on_commit = on_commit

    def commit(self) -> None:
        """Store the rows and start anew; nothing happens without any."""
        if not self.rows and not self.skipped:
            return
        inserted = self._insert() if self.rows else 0
        report = self._report
        report.read += len(self.rows) + self.skipped
        report.inserted += inserted
        report.already_there += len(self.rows) - inserted
        report.skipped += self.skipped
        report.without_key += sum(row["event_key"] is None for row in self.rows)
        self.rows, self.skipped = [], 0
        self._on_commit(report)

    def _insert(self) -> int:
        now = utc_now()
        rows = cast("list[dict[str, Any]]", self.rows)
        for row in rows:
            row["created_at"] = now
        with self._engine.begin() as connection:
            new = _count_new(connection, rows)
            stored = connection.execute(upsert(Event, rows, keys=["event_key"], update=[]))
            # What was inserted is known of SQLite alone; it is exact where two imports run at once.
            return stored.rowcount if connection.dialect.name == "sqlite" else new


def _count_new(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
    """How many rows have a key that is not stored, each counted once, or none."""
    if connection.dialect.name == "sqlite":
        return len(rows)
    # In the order of the rows, so that the same import always sends the same text.
    keys = list(dict.fromkeys(row["event_key"] for row in rows if row["event_key"] is not None))
    known = select(Event.event_key).where(Event.event_key.in_(keys))
    stored = set(connection.scalars(known)) if keys else set()
    return sum(row["event_key"] is None for row in rows) + len(set(keys) - stored)
