"""Read events from JSON lines or CSV, line by line, in constant memory."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import stat
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, datetime, timezone
from pathlib import Path
from typing import IO, Any, Literal, TypedDict, cast

import orjson

from vinci_code.core.errors import InputDataError, ValueRefusedError
from vinci_code.database.events.parquet import SUFFIX, read_rows, require_parquet
from vinci_code.database.models.types import MAX_JSON_DEPTH, dump_json

Format = Literal["jsonl", "csv", "parquet"]
"""The forms of a file of events."""

MAX_LINE_BYTES = 16 * 1024 * 1024
"""A longer line is refused instead of being held in memory."""

ENDLESS_BYTES = 1024 * 1024 * 1024
"""A line that is still longer is that of a device such as /dev/zero, or of no file of lines."""

COLUMNS = ("event_key", "event_type", "source", "description", "occurred_at", "payload")
_REQUIRED = ("event_type", "source", "occurred_at")


class EventRow(TypedDict):
    """One event as it was read, checked and ready to be stored."""

    event_key: str | None
    event_type: str
    source: str
    description: str | None
    occurred_at: datetime
    payload: dict[str, Any] | None


@dataclass
class EventSource:
    """An open file of events.

    Attributes:
        name: What the file is called in messages.
        total_bytes: The size of the file, ``None`` where it is not known (standard input, a pipe).
        records: The events in their order; an ``InputDataError`` stands in the place of a record
            that cannot be used. To be iterated over once.
        position: The number of bytes read from the file so far, to be compared with
            ``total_bytes``; 0 where that is not known.
    """

    name: str
    total_bytes: int | None
    records: Iterator[EventRow | InputDataError]
    position: Callable[[], int]


class UnusableRecordError(ValueError):
    """A record that cannot be used; the message is the reason."""


@contextmanager
def open_source(file: str, format: Format | None = None) -> Iterator[EventSource]:  # noqa: A002 - the option's name
    """Open a file of events; ``-`` is standard input, ``.gz`` is unpacked on the way.

    Args:
        file: The file's name.
        format: The file's form; by default by its name, as ``format_of`` says. Parquet is read from
            a file alone.

    Raises:
        InputDataError: The file cannot be opened.
        MissingExtraError: It is Parquet, and pyarrow is not installed.
    """
    kind = format or format_of(file)
    if kind == "parquet":
        require_parquet()
    if file == "-":
        name, raw, total = "<stdin>", cast("IO[bytes]", sys.stdin.buffer), None
    else:
        name = file
        raw, total = _open_file(file)
    stream: IO[bytes] = raw
    if file.endswith(".gz"):
        stream = cast("IO[bytes]", io.BufferedReader(_Unpacked(raw)))
    read = _READERS[kind]
    try:
        yield EventSource(name, total, read(name, stream), raw.tell if total is not None else int)
    finally:
        if file != "-":
            raw.close()


def format_of(file: str) -> Format:
    """The form that a file has by its name: ``.csv``, ``.csv.gz``, ``.parquet``, else lines."""
    name = file.lower()
    if name.endswith(SUFFIX):
        return "parquet"
    return "csv" if name.removesuffix(".gz").endswith(".csv") else "jsonl"


def checked_event(record: Any) -> EventRow:
    """Check the fields of one event, as they stand in a JSON object.

    Raises:
        ValueError: A field is missing, unknown or of the wrong kind; the message is the reason.
    """
    if type(record) is not dict:
        raise UnusableRecordError(
            f"is a JSON {_kind(record)}; an object with the event's fields is wanted"
        )
    if not _FIELDS.issuperset(record):
        unknown = sorted(set(record) - _FIELDS)
        raise UnusableRecordError(
            f"has the unknown field {unknown[0]!r}; known: {', '.join(COLUMNS)}"
        )
    get = record.get
    payload = get("payload")
    if payload is not None and type(payload) is not dict:
        raise UnusableRecordError(f"payload is a JSON {_kind(payload)}; an object is wanted")
    return {
        "event_key": _text(get("event_key"), "event_key", required=False),
        "event_type": cast("str", _text(get("event_type"), "event_type", required=True)),
        "source": cast("str", _text(get("source"), "source", required=True)),
        "description": _text(get("description"), "description", required=False),
        "occurred_at": _instant(get("occurred_at")),
        "payload": payload,
    }


def parse_instant(text: str) -> datetime:
    """Read an ISO 8601 date and time with its offset, such as ``2018-01-31T01:49:59.650Z``.

    Raises:
        ValueError: It is something else; the message says what is missing.
    """
    match = _INSTANT.fullmatch(text)
    if match is None:
        raise ValueError(
            "no date and time with an offset, such as 2018-01-31T01:49:59.650Z or "
            "2018-01-31T02:49:59+01:00"
        )
    clock, fraction, offset = match.groups()
    if fraction is not None:
        if len(fraction) > 6 and fraction[6:].strip("0"):
            raise ValueError("a time finer than a microsecond, which cannot be stored unchanged")
        clock = f"{clock}.{fraction[:6]:0<6}"
    # Python 3.10 knows neither "Z" nor fractions of other than three or six digits.
    instant = datetime.fromisoformat(clock + ("+00:00" if offset in "Zz" else offset))
    if instant.year in {MINYEAR, MAXYEAR}:
        try:
            instant.astimezone(timezone.utc)
        except OverflowError:
            raise ValueError("an instant outside of the years 1 to 9999 in UTC") from None
    return instant


# The minutes of the offset are checked here: fromisoformat reads +00:99 as +01:39.
_INSTANT = re.compile(
    r"(\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2})(?:[.,](\d+))?(Z|z|[+-]\d{2}:[0-5]\d)", re.ASCII
)


def _open_file(file: str) -> tuple[IO[bytes], int | None]:
    path = Path(file)
    try:
        if path.is_dir():
            raise InputDataError(
                file, None, "is a folder; name a file in it, or - for standard input"
            )
        raw = path.open("rb")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputDataError(file, None, f"cannot be opened: {reason}") from error
    found = os.fstat(raw.fileno())
    # A pipe, as `<(…)` of a shell is one, has neither a size nor a position.
    return raw, found.st_size if stat.S_ISREG(found.st_mode) else None


class _Unpacked(io.RawIOBase):
    """What a ``.gz`` holds, in pieces: what stands before a damaged place is read before it."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._file = gzip.GzipFile(fileobj=raw, mode="rb")

    def readable(self) -> bool:
        """It is there to be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the next piece."""
        piece = self._file.read1(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


def _read_json_lines(name: str, stream: IO[bytes]) -> Iterator[EventRow | InputDataError]:
    for number, line in _lines(name, stream):
        if isinstance(line, InputDataError):
            yield line
            continue
        if not line.strip():
            continue
        try:
            yield checked_event(_load(line, MAX_JSON_DEPTH + 1))
        except UnusableRecordError as error:
            yield InputDataError(name, number, str(error))


def _lines(name: str, stream: IO[bytes]) -> Iterator[tuple[int, bytes | InputDataError]]:
    """The lines with their numbers; an error in the place of one that is too long."""
    number = 0
    try:
        while line := stream.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                length = len(line)
                while not line.endswith(b"\n") and (line := stream.readline(MAX_LINE_BYTES)):
                    length += len(line)
                    if length > ENDLESS_BYTES:
                        raise InputDataError(
                            name,
                            number,
                            f"does not end within {ENDLESS_BYTES:,} bytes, so the rest is not read",
                        )
                yield (
                    number,
                    InputDataError(name, number, f"is longer than {MAX_LINE_BYTES:,} bytes"),
                )
                continue
            if number == 1:
                if line.startswith(_WIDE):
                    raise InputDataError(name, 1, f"is text in UTF-16 or UTF-32; {_CONVERT}")
                line = line.removeprefix(b"\xef\xbb\xbf")
            yield number, line
    except (OSError, EOFError, zlib.error) as error:
        # A damaged or cut-off .gz ends here; there is nothing after it that could be read.
        raise InputDataError(name, number + 1, f"cannot be read on: {error}") from error


# The byte order marks of UTF-16 and of UTF-32, one of which begins as the other.
_WIDE = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_CONVERT = "convert the file to UTF-8, as of `iconv -f UTF-16 -t UTF-8`"

# orjson reads an integer beyond 64 bits, which has 19 digits or more, as a float: digits would be
# lost without a word. Every digit becomes 0 and a search for text finds a long number, ten times as
# fast as a regular expression does.
_DIGITS_TO_ZERO = bytes(0x30 if 0x30 <= byte <= 0x39 else 0x20 for byte in range(256))
_LONG_NUMBER = b"0" * 19


def _load(line: bytes, max_depth: int) -> Any:
    try:
        value = orjson.loads(line)
        if _LONG_NUMBER in line.translate(_DIGITS_TO_ZERO):
            value = json.loads(line, object_pairs_hook=_each_once)
            dump_json(value, max_depth)
            return value
        if line.count(b"[") + line.count(b"{") > MAX_JSON_DEPTH:
            dump_json(value, max_depth)
        # Of a name that stands there twice orjson keeps the last. A line that is written as orjson
        # writes it comes out as it was, if each stands there once.
        if orjson.dumps(value) != line.strip():
            json.loads(line, object_pairs_hook=_each_once)
    except ValueRefusedError as error:
        raise UnusableRecordError(f"cannot be stored: {error}") from None
    except RecursionError:
        raise UnusableRecordError("is nested too deeply") from None
    except UnusableRecordError:
        raise
    except ValueError as error:
        raise UnusableRecordError(_why_no_json(line, error)) from None
    return value


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise UnusableRecordError(f"has the name {twice[:40]!r} twice in one object")
    return made


def _why_no_json(line: bytes, error: ValueError) -> str:
    try:
        line.decode()
    except UnicodeDecodeError as found:
        return f"is no text in UTF-8: byte {found.start + 1} of it is 0x{line[found.start]:02x}"
    wide = "; it has NUL bytes, as text in UTF-16 has" if b"\0" in line else ""
    return f"is not JSON: {error}{wide}"


_FIELDS = frozenset(COLUMNS)


def _text(value: Any, field: str, *, required: bool) -> str | None:
    if type(value) is str and (value or not required):
        return value
    if value is None and not required:
        return None
    if value is None or value == "":
        raise UnusableRecordError(f"{field} is missing or empty")
    raise UnusableRecordError(f"{field} is a JSON {_kind(value)}; text is wanted")


def _instant(value: Any) -> datetime:
    if value is None:
        raise UnusableRecordError("occurred_at is missing")
    if type(value) is not str:
        raise UnusableRecordError(f"occurred_at is a JSON {_kind(value)}; text is wanted")
    try:
        return parse_instant(value)
    except ValueError as error:
        raise UnusableRecordError(f"occurred_at is {value[:40]!r}: {error}") from None


def _kind(value: Any) -> str:
    kinds = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    return kinds.get(type(value), "number")


def _read_csv(name: str, stream: IO[bytes]) -> Iterator[EventRow | InputDataError]:
    # Bytes that are no UTF-8 become lone surrogates, so that one bad cell costs one record and not
    # the rest of the file.
    lines = (
        line if isinstance(line, InputDataError) else line.decode("utf-8", "surrogateescape")
        for _, line in _lines(name, stream)
    )
    # A cell may hold what a line may; the default of 128 KiB is less than what is exported.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE_BYTES))
    reader = csv.reader(_no_errors(lines), strict=True)
    try:
        header = next(reader, None)
    except csv.Error as error:
        raise InputDataError(name, 1, f"is not CSV: {error}") from None
    if header is None:
        return
    _require_header(name, header)
    while True:
        # Where the record begins: a quote that is never closed ends on the last line of the file.
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield InputDataError(name, number, f"is not CSV: {error}")
            continue
        if not cells:  # a blank line
            continue
        try:
            yield checked_event(_record(header, cells))
        except UnusableRecordError as error:
            yield InputDataError(name, number, str(error))


def _no_errors(lines: Iterator[str | InputDataError]) -> Iterator[str]:
    for line in lines:
        if isinstance(line, InputDataError):
            # Where a record of CSV ends can no longer be known.
            raise line
        yield line


def _require_header(name: str, header: list[str]) -> None:
    missing = [column for column in _REQUIRED if column not in header]
    unknown = [column for column in header if column not in _FIELDS]
    if missing or unknown or len(set(header)) != len(header):
        raise InputDataError(
            name,
            1,
            f"the header has to name the columns, among {', '.join(COLUMNS)}, each once, with at "
            f"least {', '.join(_REQUIRED)}; missing: {', '.join(missing) or 'none'}; unknown: "
            f"{', '.join(map(repr, unknown)) or 'none'}",
        )


def _read_parquet(name: str, stream: IO[bytes]) -> Iterator[EventRow | InputDataError]:
    if not stream.seekable():
        raise InputDataError(name, None, "is no file: Parquet has its table of contents at its end")
    rows = read_rows(name, stream, lambda header: _require_header(name, header))
    for number, row in enumerate(rows, 1):
        try:
            yield checked_event(_with_payload(row))
        except UnusableRecordError as error:
            yield InputDataError(name, number, str(error))


def _with_payload(row: Mapping[str, Any]) -> dict[str, Any]:
    payload = row.get("payload")
    if type(payload) is not str:
        return dict(row)
    return {**row, "payload": _load(payload.encode(), MAX_JSON_DEPTH)}


def _record(header: list[str], cells: list[str]) -> Mapping[str, Any]:
    if len(cells) != len(header):
        raise UnusableRecordError(f"has {len(cells)} cells, the header has {len(header)}")
    record: dict[str, Any] = {}
    for column, cell in zip(header, cells, strict=True):
        try:
            cell.encode()
        except UnicodeEncodeError:
            raise UnusableRecordError(f"{column} holds bytes that are not UTF-8") from None
        record[column] = cell or None  # CSV has one form for "no value" and for "no text"
    if record.get("payload") is not None:
        record["payload"] = _load(record["payload"].encode(), MAX_JSON_DEPTH)
    return record


_READERS: Mapping[Format, Callable[[str, IO[bytes]], Iterator[EventRow | InputDataError]]] = {
    "csv": _read_csv,
    "jsonl": _read_json_lines,
    "parquet": _read_parquet,
}
