"""Write the stored events to a file that can be imported again."""

from __future__ import annotations

import csv
import errno
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any, TypeVar

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from vinci_code.core.errors import DatabaseFileError
from vinci_code.core.replacing import written_whole
from vinci_code.database.dialect.driver.rows import require_pyarrow
from vinci_code.database.events.reading import COLUMNS
from vinci_code.database.files.names import FileKind, FileNameError, Format, kind_of
from vinci_code.database.files.packing import packed_text, require_packing
from vinci_code.database.models import Event
from vinci_code.database.models.types import MAX_JSON_DEPTH, dump_json
from vinci_code.database.sqlite import file_of

_ROWS_AT_A_TIME = 1_000
_Item = TypeVar("_Item")


def export_events(
    session: Session,
    file: str,
    *,
    format: Format | None = None,  # noqa: A002 - the option's name
    on_progress: Callable[[int], None] = lambda _: None,
) -> int:
    """Write every event, in the order of their ids; return their number.

    A file is written beside its final name and put in place when it is complete: an interrupted
    export leaves what was there before. A pipe or device is written to as it is.

    CSV has one form for "no value" and for an empty text; JSON lines keep the difference.

    Args:
        session: Where to read; read in portions, so that memory does not grow with the table.
        file: The file's name; ``-`` is standard output, ``.gz`` and ``.zst`` are packed on the way.
        format: The file's form; by default by its name, as ``names.kind_of`` says, and else lines
            of JSON. Parquet is packed in itself.
        on_progress: Called with the number of events written so far.

    Raises:
        OSError: The file cannot be written, or its name is that of a form that is not written.
        DatabaseFileError: The file is the very database that is exported.
        MissingExtraError: It is Parquet, or packed with zstd, and pyarrow is not installed.
    """
    kind = _kind(file, format)
    _refuse_the_database(session, file)
    counted = _Counted(on_progress)
    if kind.format == "parquet":
        # Not at the top: pyarrow comes with an extra, and the other forms do without.
        from vinci_code.database.events.parquet import write_rows

        with _destination(file) as raw:
            write_rows(raw, counted.each(map(_with_text, _rows(session))))
    else:
        write = _write_csv if kind.format == "csv" else _write_json_lines
        with _destination(file) as raw, packed_text(raw, kind.codec) as stream:
            write(stream, counted.each(_rows(session)))
    on_progress(counted.count)
    return counted.count


class _Counted:
    """Counts what passes by, and tells of it now and then."""

    def __init__(self, on_progress: Callable[[int], None]) -> None:
        self.count = 0
        self._on_progress = on_progress

    def each(self, items: Iterable[_Item]) -> Iterator[_Item]:
        """The items; each is counted when the next one is asked for, and was written."""
        for item in items:
            yield item
            self.count += 1
            if self.count % _ROWS_AT_A_TIME == 0:
                self._on_progress(self.count)


def _kind(file: str, wanted: Format | None) -> FileKind:
    try:
        kind = kind_of(file, wanted)
    except FileNameError as error:
        raise OSError(errno.EINVAL, f"{error}; {error.fix}", file) from None
    if kind.format == "parquet":
        require_pyarrow("Parquet")
    require_packing(kind.codec)
    return kind


def _refuse_the_database(session: Session, file: str) -> None:
    engine = session.get_bind().engine
    database = file_of(engine.url) if engine.dialect.name == "sqlite" else None
    if file == "-" or database is None or not Path(file).exists():
        return
    for suffix in ("", "-wal", "-shm", "-journal"):
        part = database.with_name(database.name + suffix)
        if part.exists() and part.samefile(file):
            raise DatabaseFileError(
                f"{file} is a file of the database itself; exporting onto it would destroy it. "
                "Name another file."
            )


def _rows(session: Session) -> Iterator[Row[Any]]:
    columns = [getattr(Event, name) for name in COLUMNS]
    query = select(*columns).order_by(Event.id)
    yield from session.execute(query, execution_options={"yield_per": _ROWS_AT_A_TIME})


def _write_json_lines(stream: IO[str], rows: Iterable[Row[Any]]) -> None:
    for row in rows:
        record = {**row._mapping, "occurred_at": _instant(row.occurred_at)}
        # The record is one level around a payload that may have all of them.
        stream.write(dump_json(record, MAX_JSON_DEPTH + 1) + "\n")


def _write_csv(stream: IO[str], rows: Iterable[Row[Any]]) -> None:
    writer = csv.writer(stream)
    writer.writerow(COLUMNS)
    for row in rows:
        record = {**_with_text(row), "occurred_at": _instant(row.occurred_at)}
        writer.writerow([record[name] for name in COLUMNS])


def _with_text(row: Row[Any]) -> dict[str, Any]:
    """A row with the text of its payload."""
    return {**row._mapping, "payload": None if row.payload is None else dump_json(row.payload)}


def _instant(value: datetime) -> str:
    return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


@contextmanager
def _destination(file: str) -> Iterator[IO[bytes]]:
    if file == "-":
        yield sys.stdout.buffer
        return
    with written_whole(file) as raw:
        yield raw
