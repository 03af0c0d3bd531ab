"""Read events from JSON lines, CSV or Parquet, record by record, in constant memory."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, datetime, timezone
from typing import IO, Any, TypedDict, cast

import orjson

from vinci_code.core.errors import InputDataError, ValueRefusedError
from vinci_code.database.dialect.driver.rows import require_pyarrow
from vinci_code.database.files.delimited import DelimitedError, DelimitedRows, Fields
from vinci_code.database.files.lines import numbered_lines, why_no_text
from vinci_code.database.files.names import FileNameError, Format, kind_of
from vinci_code.database.files.opening import opened, standard_input
from vinci_code.database.files.twice import TwiceError, names_once
from vinci_code.database.models.types import MAX_JSON_DEPTH, dump_json

MAX_LINE_BYTES = 16 * 1024 * 1024
"""A longer line is refused instead of being held in memory."""

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


Records = Generator["EventRow | InputDataError"]
"""Events in their order; an error in the place of a record that cannot be used."""


class UnusableRecordError(ValueError):
    """A record that cannot be used; the message is the reason."""


@contextmanager
def open_source(file: str, format: Format | None = None) -> Iterator[EventSource]:  # noqa: A002 - the option's name
    """Open a file of events; ``-`` is standard input, ``.gz`` and ``.zst`` are unpacked on the way.

    Args:
        file: The file's name.
        format: The file's form; by default by its name, as ``names.kind_of`` says, and else lines
            of JSON. Parquet is read from a file alone.

    Raises:
        InputDataError: The file cannot be opened, or its name is that of a form that is not read.
        MissingExtraError: It is Parquet, or packed with zstd, and pyarrow is not installed.
    """
    try:
        kind = kind_of(file, format)
    except FileNameError as error:
        raise InputDataError(file, None, f"{error}; {error.fix}") from None
    if kind.format == "parquet":
        require_pyarrow("Parquet")
    read = _READERS[kind.format or "jsonl"]
    opening = nullcontext(standard_input()) if file == "-" else opened(file, kind.codec)
    with opening as found, closing(read(found.name, found.stream)) as records:
        yield EventSource(found.name, found.total_bytes, records, found.position)


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


def _read_json_lines(name: str, stream: IO[bytes]) -> Records:
    for number, line in numbered_lines(name, stream, MAX_LINE_BYTES):
        if isinstance(line, InputDataError):
            yield line
            continue
        if not line.strip():
            continue
        try:
            yield checked_event(_load(line, MAX_JSON_DEPTH + 1))
        except UnusableRecordError as error:
            yield InputDataError(name, number, str(error))


# orjson reads an integer beyond 64 bits, which has 19 digits or more, as a float: digits would be
# lost without a word. Every digit becomes 0 and a search for text finds a long number, ten times as
# fast as a regular expression does.
_DIGITS_TO_ZERO = bytes(0x30 if 0x30 <= byte <= 0x39 else 0x20 for byte in range(256))
_LONG_NUMBER = b"0" * 19


def _load(line: bytes, max_depth: int) -> Any:
    try:
        value = orjson.loads(line)
        if _LONG_NUMBER in line.translate(_DIGITS_TO_ZERO):
            value = json.loads(line, object_pairs_hook=names_once)
            dump_json(value, max_depth)
            return value
        if line.count(b"[") + line.count(b"{") > MAX_JSON_DEPTH:
            dump_json(value, max_depth)
        # Of a name that stands there twice orjson keeps the last. A line that is written as orjson
        # writes it comes out as it was, if each stands there once.
        if orjson.dumps(value) != line.strip():
            json.loads(line, object_pairs_hook=names_once)
    except ValueRefusedError as error:
        raise UnusableRecordError(f"cannot be stored: {error}") from None
    except RecursionError:
        raise UnusableRecordError("is nested too deeply") from None
    except TwiceError as error:
        raise UnusableRecordError(f"has the name {error.name[:40]!r} twice in one object") from None
    except ValueError as error:
        raise UnusableRecordError(_why_no_json(line, error)) from None
    return value


def _why_no_json(line: bytes, error: ValueError) -> str:
    if why := why_no_text(line):
        return why
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


def _read_csv(name: str, stream: IO[bytes]) -> Records:
    # What is longer than a line may be was found by its bytes.
    reader = DelimitedRows(_Decoded(name, stream), MAX_LINE_BYTES + 1)
    try:
        header = next(reader.rows(), None)
    except DelimitedError as error:
        raise InputDataError(name, error.line, f"is not CSV: {error}") from None
    if header is None:
        return
    names = [cell or "" for cell in header]
    _require_header(name, names)
    while True:
        try:
            cells = reader.read()
        except DelimitedError as error:
            bad = InputDataError(name, error.line, f"is not CSV: {error}")
            if error.is_lost:
                raise bad from None
            yield bad
            continue
        if cells is None:
            return
        try:
            yield checked_event(_record(names, cells))
        except UnusableRecordError as error:
            yield InputDataError(name, reader.line, str(error))


class _Decoded:
    """The lines of a file as texts.

    Bytes that are no UTF-8 become lone surrogates, so that one bad cell costs one record and not
    the rest of the file.
    """

    def __init__(self, name: str, stream: IO[bytes]) -> None:
        self._lines = numbered_lines(name, stream, MAX_LINE_BYTES)

    def readline(self, _: int, /) -> str:
        """The next line; nothing at the end."""
        _, line = next(self._lines, (0, b""))
        if isinstance(line, InputDataError):
            # Where a record of CSV ends can no longer be known.
            raise line
        return line.decode("utf-8", "surrogateescape")


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


def _read_parquet(name: str, stream: IO[bytes]) -> Records:
    # Not at the top: pyarrow comes with an extra, and the other forms do without.
    from vinci_code.database.events.parquet import rows_of
    from vinci_code.database.files.parquet import ParquetBatches

    if not stream.seekable():
        raise InputDataError(name, None, "is no file: Parquet has its table of contents at its end")
    with ParquetBatches(name, stream) as file:
        _require_header(name, file.schema.names)
        for number, row in enumerate(rows_of(file), 1):
            try:
                yield checked_event(_with_payload(row))
            except UnusableRecordError as error:
                yield InputDataError(name, number, str(error))


def _with_payload(row: Mapping[str, Any]) -> dict[str, Any]:
    payload = row.get("payload")
    if type(payload) is not str:
        return dict(row)
    return {**row, "payload": _load(payload.encode(), MAX_JSON_DEPTH)}


def _record(header: list[str], cells: Fields) -> Mapping[str, Any]:
    if len(cells) != len(header):
        raise UnusableRecordError(f"has {len(cells)} cells, the header has {len(header)}")
    record: dict[str, Any] = {}
    for column, cell in zip(header, cells, strict=True):
        try:
            (cell or "").encode()
        except UnicodeEncodeError:
            raise UnusableRecordError(f"{column} holds bytes that are not UTF-8") from None
        record[column] = cell or None  # CSV has one form for "no value" and for "no text"
    if record.get("payload") is not None:
        record["payload"] = _load(record["payload"].encode(), MAX_JSON_DEPTH)
    return record


_READERS: Mapping[Format, Callable[[str, IO[bytes]], Records]] = {
    "csv": _read_csv,
    "jsonl": _read_json_lines,
    "parquet": _read_parquet,
}
