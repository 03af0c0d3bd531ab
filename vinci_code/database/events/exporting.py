"""Write the stored events to a file that can be imported again."""

from __future__ import annotations

import csv
import gzip
import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from vinci_code.core.errors import DatabaseFileError
from vinci_code.database.events.parquet import require_parquet, write_rows
from vinci_code.database.events.reading import COLUMNS, Format, format_of
from vinci_code.database.models import Event
from vinci_code.database.models.types import MAX_JSON_DEPTH, dump_json
from vinci_code.database.sqlite import file_of

_ROWS_AT_A_TIME = 1_000


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
        file: The file's name; ``-`` is standard output, ``.gz`` is packed on the way.
        format: The file's form; by default by its name, as ``reading.format_of`` says. Parquet is
            packed in itself.
        on_progress: Called with the number of events written so far.

    Raises:
        OSError: The file cannot be written.
        DatabaseFileError: The file is the very database that is exported.
        MissingExtraError: It is Parquet, and pyarrow is not installed.
    """
    _refuse_the_database(session, file)
    kind = format or format_of(file)
    if kind == "parquet":
        return _export_parquet(session, file, on_progress)
    write_row = _write_csv_row if kind == "csv" else _write_json_line
    count = 0
    with _destination(file) as stream:
        if kind == "csv":
            csv.writer(stream).writerow(COLUMNS)
        for count, row in enumerate(_rows(session), 1):
            write_row(stream, row)
            if count % _ROWS_AT_A_TIME == 0:
                on_progress(count)
    on_progress(count)
    return count


def _export_parquet(session: Session, file: str, on_progress: Callable[[int], None]) -> int:
    require_parquet()
    count = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal count
        for row in _rows(session):
            payload = None if row.payload is None else dump_json(row.payload)
            yield {**row._mapping, "payload": payload}
            count += 1
            if count % _ROWS_AT_A_TIME == 0:
                on_progress(count)

    if file == "-":
        write_rows(sys.stdout.buffer, rows())
    else:
        path = Path(file)
        with (_opened if path.exists() and not path.is_file() else _replacing)(path) as raw:
            write_rows(raw, rows())
            raw.flush()
    on_progress(count)
    return count


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


def _write_json_line(stream: IO[str], row: Row[Any]) -> None:
    record = {**row._mapping, "occurred_at": _instant(row.occurred_at)}
    # The record is one level around a payload that may have all of them.
    stream.write(dump_json(record, MAX_JSON_DEPTH + 1) + "\n")


def _write_csv_row(stream: IO[str], row: Row[Any]) -> None:
    record = {**row._mapping, "occurred_at": _instant(row.occurred_at)}
    if record["payload"] is not None:
        record["payload"] = dump_json(record["payload"])
    csv.writer(stream).writerow([record[name] for name in COLUMNS])


def _instant(value: datetime) -> str:
    return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


@contextmanager
def _destination(file: str) -> Iterator[IO[str]]:
    packed = file.endswith(".gz")
    path = Path(file)
    if file == "-":
        with _text(sys.stdout.buffer, packed=False) as stream:
            yield stream
    else:
        # A pipe or a device is written to, never replaced; a folder is an error of open().
        writing = _opened if path.exists() and not path.is_file() else _replacing
        with writing(path) as raw, _text(raw, packed=packed) as stream:
            yield stream


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    with path.open("wb") as raw:
        yield raw


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """Write beside ``path``, and put the result in its place when it is complete."""
    target = path.resolve()  # what a link points to is replaced, not the link
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.unfinished")
    try:
        raw = unfinished.open("wb")
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from error
    try:
        with raw:
            if target.exists():
                shutil.copymode(target, unfinished)  # what was closed to others stays closed
            yield raw
            os.fsync(raw.fileno())  # or a crash could leave the name without the content
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def _text(raw: IO[bytes], *, packed: bool) -> Iterator[IO[str]]:
    sink: Any = _Sink(raw)
    # No time and no name inside: the same events make the same bytes.
    binary = gzip.GzipFile(filename="", fileobj=sink, mode="wb", mtime=0) if packed else sink
    stream = io.TextIOWrapper(binary, encoding="utf-8", newline="")
    try:
        yield stream
        stream.close()
        raw.flush()
    except BaseException:
        sink.dropping = True
        stream.close()
        raise


class _Sink(io.BufferedIOBase):
    """Hands bytes on, and stays open at the end, until it is told to drop them.

    After a full disk, what is left in the buffers above would otherwise be written once more by
    their finalisers, into a file that is closed by then: from Python 3.13 on, each tells so on
    standard error.
    """

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self.dropping = False

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return len(data) if self.dropping else self._raw.write(data)
