"""Rows as one JSON text that the warehouse makes rows of again, without changing a bit of them.

``inline(from_json(text, 'array<struct<…>>', map('mode', 'FAILFAST')))`` gives the rows. Its fields
are BIGINT, BOOLEAN or STRING; a column of another type travels as the text that it is cast from.
The default mode of ``from_json`` would turn a bad row into NULLs or drop it; with FAILFAST the
statement fails.

The text is a bound parameter up to ``MAX_PARAMETER_BYTES``, and beyond that base64 in the
statement, where nothing needs to be escaped.
"""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import math
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

import orjson

from vinci_code.database.dialect.binding import (
    MAX_DIGITS,
    MAX_STATEMENT_BYTES,
    checked_text,
    datetime_text,
    decimal_text,
    float_text,
    literal,
)
from vinci_code.database.dialect.dberrors import LimitExceeded

Row = Sequence[Any]

MAX_JSON_BYTES = 11 * 1024 * 1024
"""Of one payload: base64 makes four bytes of three, and the statement has a text beside it."""

SPLIT_JSON_BYTES = 9 * 512 * 1024
"""Of each payload where rows take more than ``LARGE_JSON_BYTES``."""

LARGE_JSON_BYTES = 6 * 1024 * 1024
"""From here on rows are split: the driver copies a statement several times, so that a large one
takes several times its size in memory."""

_LEAST_BIGINT, _GREATEST_BIGINT = -(2**63), 2**63 - 1
# What is encoded at a time: a multiple of three, so that the pieces make one text.
_BASE64_BYTES = 3 * 256 * 1024
# How many rows are encoded at a time, and the size from which they are encoded one by one.
_BLOCK, _LARGE = 200, 1024 * 1024


class Transport(NamedTuple):
    """How the values of one column travel.

    Attributes:
        json: The type of the field in the JSON text; ``None`` where every value is NULL.
        type: The type of the column that is made of it.
        made: The expression that makes it, with ``{}`` for the field.
        encode: What makes the JSON value of one that is not NULL; ``None`` for the value itself.
    """

    json: str | None
    type: str
    made: str
    encode: Callable[[Any], Any] | None

    def written(self, values: Sequence[Any]) -> Sequence[Any]:
        """The JSON values of a column."""
        encode = self.encode
        if encode is None:
            return values
        return [None if value is None else encode(value) for value in values]


class Mixed(Exception):  # noqa: N818 - it is caught here, and is no error
    """The values of a column have no form in common."""


@dataclass(frozen=True)
class Payload:
    """Rows that are ready to be sent.

    Attributes:
        transports: How each column travels.
        rows: How many rows there are.
        json: The JSON text; ``None`` where values have none, and are written out.
        written: The rows written out as SQL, where ``json`` is ``None``.
    """

    transports: tuple[Transport, ...]
    rows: int
    json: bytes | None
    written: str = ""

    def reference(self, number: int) -> str:
        """What stands for a column, by its number, where the rows are called ``ROWS``."""
        return "NULL" if self.transports[number].json is None else f"{ROWS}.{_name(number)}"

    def select(self, source: str) -> str:
        """The SELECT that gives the rows.

        Args:
            source: What stands for the JSON text.
        """
        if self.json is None:
            return self.written
        fields = [(_name(n), kind) for n, kind in enumerate(self.transports) if kind.json] or [
            (_name(0), _ALL_NULL)
        ]
        struct = ",".join(f"{name}:{kind.json}" for name, kind in fields)
        made = ", ".join(
            name if kind.made == "{}" else f"{kind.made.format(name)} AS {name}"
            for name, kind in fields
        )
        return (
            f"SELECT {made} FROM (SELECT inline(from_json({source}, 'array<struct<{struct}>>', "
            "map('mode', 'FAILFAST'))))"
        )

    def literal(self) -> Iterator[str]:
        """The JSON text as an expression in which nothing can be misread, in pieces."""
        json = memoryview(self.json or b"")
        yield "decode(unbase64('"
        for begin in range(0, len(json), _BASE64_BYTES):
            yield base64.b64encode(json[begin : begin + _BASE64_BYTES]).decode("ascii")
        yield "'), 'UTF-8')"


ROWS = "vinci_rows"
"""What the rows of a payload are called in a statement."""


def payloads(rows: Sequence[Row], width: int, *, split: bool = True) -> Iterator[Payload]:
    """Make payloads of rows: one, unless they are too many or differ in the types of their values.

    Args:
        rows: The rows, each of ``width`` values as the driver would be given them.
        width: How many values a row has.
        split: Whether to make several where one would do, but would take much memory.

    Raises:
        DataError: A value cannot be held by any type that the warehouse has.
        LimitExceeded: One row alone is larger than a statement may be.
        ProgrammingError: A value is of a type that has no form in SQL.
    """
    try:
        transports = tuple(_transport(map(itemgetter(n), rows)) for n in range(width))
    except Mixed:
        if len(rows) == 1:
            yield _written_out(rows[0])
            return
        middle = len(rows) // 2
        yield from payloads(rows[:middle], width, split=split)
        yield from payloads(rows[middle:], width, split=split)
        return
    yield from _chunks(rows, transports, split)


def _chunks(
    rows: Sequence[Row], transports: tuple[Transport, ...], split: bool
) -> Iterator[Payload]:
    sample = sum(len(text) for _, text in _texts(rows[:_BLOCK], transports))
    large = sample * len(rows) > LARGE_JSON_BYTES * min(len(rows), _BLOCK)
    most = SPLIT_JSON_BYTES if split and large else MAX_JSON_BYTES
    written: list[bytes] = []
    count = size = 0
    for number, text in _texts(rows, transports):
        if written and size + len(text) > most:
            yield Payload(transports, count, b"[" + b",".join(written) + b"]")
            written, count, size = [], 0, 0
        written.append(text)
        count += number
        size += len(text) + 1
    if written:
        yield Payload(transports, count, b"[" + b",".join(written) + b"]")


def _texts(rows: Sequence[Row], transports: tuple[Transport, ...]) -> Iterator[tuple[int, bytes]]:
    """The rows as JSON objects with commas between, some at a time, and how many these are.

    Raises:
        LimitExceeded: One of them is larger than the limit.
    """
    for begin in range(0, len(rows), _BLOCK):
        block = rows[begin : begin + _BLOCK]
        text = _text(block, transports)
        if len(text) <= _LARGE:
            yield len(block), text
            continue
        for row in block:
            text = _text([row], transports)
            if len(text) + 2 > MAX_JSON_BYTES:
                raise LimitExceeded(
                    f"one row takes {len(text):,} bytes as JSON, and a statement takes "
                    f"{MAX_JSON_BYTES:,}; store large values in a volume, and their path in the "
                    "table"
                )
            yield 1, text


def _text(rows: Sequence[Row], transports: tuple[Transport, ...]) -> bytes:
    sent = [(n, _name(n), kind) for n, kind in enumerate(transports) if kind.json is not None]
    names = [name for _, name, _ in sent]
    columns = [kind.written(list(map(itemgetter(n), rows))) for n, _, kind in sent]
    objects = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
    try:
        return orjson.dumps(objects or [{}] * len(rows))[1:-1]
    except TypeError:
        for value in chain.from_iterable(columns):
            if isinstance(value, str):
                checked_text(value)  # says which half of a character it is
        raise


def _name(number: int) -> str:
    """``a`` to ``z``, ``aa`` and so on: each is in every row."""
    letters = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("a") + rest) + letters
    # A word such as ``as`` or ``is`` would not be taken for a name.
    return f"{letters}_" if len(letters) > 1 else letters


# --- how values travel ---------------------------------------------------------------------------


def _transport(values: Iterator[Any]) -> Transport:
    """How the values of one column travel.

    Raises:
        Mixed: They have no form in common.
    """
    column = list(values)
    kinds = set(map(type, column))
    if any(map(_is_numpy, kinds)):
        return _numpy_transport(column)
    families = {_family(kind) for kind in kinds if kind is not type(None)}
    if not families:
        return _NOTHING
    if len(families) > 1:
        raise Mixed
    return _TRANSPORTS[families.pop()](column)


def _is_numpy(kind: type) -> bool:
    # Its scalars are no subclasses of Python's, but for float64 and str_.
    return kind.__module__.partition(".")[0] == "numpy" and not issubclass(kind, (float, str))


def _numpy_transport(column: Sequence[Any]) -> Transport:
    """How values of numpy travel: as the Python values that they are."""
    transport = _transport(iter([_plain(value) for value in column]))
    encode = transport.encode
    return transport._replace(
        encode=_plain if encode is None else lambda value: encode(_plain(value))
    )


def _plain(value: Any) -> Any:
    return value.item() if _is_numpy(type(value)) else value


def _family(kind: type) -> type:
    for base in kind.__mro__:
        if base in _TRANSPORTS:
            return base
    raise Mixed


def _int_transport(values: Sequence[Any]) -> Transport:
    given = [value for value in values if value is not None]
    if min(given) >= _LEAST_BIGINT and max(given) <= _GREATEST_BIGINT:
        return _BIGINT
    return _decimal_transport([None if v is None else _whole(v) for v in values], _whole)


def _whole(value: int) -> decimal.Decimal:
    return decimal.Decimal(int(value))


def _decimal_transport(
    values: Sequence[Any], convert: Callable[[Any], Any] = lambda value: value
) -> Transport:
    whole = scale = 0
    for value in values:
        if value is not None:
            digits = decimal_text(value)[1].lstrip("-").partition(".")
            whole, scale = max(whole, len(digits[0].lstrip("0"))), max(scale, len(digits[2]))
    if whole + scale > MAX_DIGITS:
        raise Mixed
    kind = f"DECIMAL({max(whole + scale, 1)},{scale})"
    return Transport(
        "string", kind, f"CAST({{}} AS {kind})", lambda value: decimal_text(convert(value))[1]
    )


def _datetime_transport(values: Sequence[Any]) -> Transport:
    kinds = {
        "TIMESTAMP_NTZ" if value.tzinfo is None or value.utcoffset() is None else "TIMESTAMP"
        for value in values
        # Not pandas' NaT, which is a datetime too.
        if value is not None and value == value
    }
    if not kinds:
        return _NOTHING
    if len(kinds) > 1:
        raise Mixed
    kind = kinds.pop()
    native = {type(value) for value in values} <= _PLAIN_MOMENTS
    if native and {value.tzinfo for value in values if value is not None} <= _PLAIN_ZONES:
        return Transport("string", kind, f"CAST({{}} AS {kind})", None)
    return Transport("string", kind, f"CAST({{}} AS {kind})", _moment)


# What orjson writes as Spark reads it.
_PLAIN_MOMENTS = {dt.datetime, type(None)}
_PLAIN_ZONES = {None, dt.timezone.utc}


def _float_transport(values: Sequence[Any]) -> Transport:
    finite = all(map(math.isfinite, (value for value in values if value is not None)))
    encode = float.__repr__ if finite else float_text
    return Transport("string", "DOUBLE", "CAST({} AS DOUBLE)", encode)


def _moment(value: dt.datetime) -> str | None:
    told = datetime_text(value)
    return None if told is None else told[1]


def _as_base64(value: Any) -> str:
    return base64.b64encode(value).decode("ascii")


_NOTHING = Transport(None, "VOID", "NULL", None)
# A field has to be there for the rows to be counted.
_ALL_NULL = Transport("string", "STRING", "{}", None)
_BIGINT = Transport("bigint", "BIGINT", "{}", None)
_STRING = Transport("string", "STRING", "{}", None)
_ISO = Transport("string", "STRING", "{}", lambda value: value.isoformat())

_TRANSPORTS: dict[type, Callable[[Sequence[Any]], Transport]] = {
    bool: lambda _: Transport("boolean", "BOOLEAN", "{}", None),
    int: _int_transport,
    float: _float_transport,
    decimal.Decimal: _decimal_transport,
    str: lambda _: _STRING,
    bytes: lambda _: Transport("string", "BINARY", "unbase64({})", _as_base64),
    bytearray: lambda _: Transport("string", "BINARY", "unbase64({})", _as_base64),
    memoryview: lambda _: Transport("string", "BINARY", "unbase64({})", _as_base64),
    dt.datetime: _datetime_transport,
    dt.date: lambda _: Transport("string", "DATE", "CAST({} AS DATE)", dt.date.isoformat),
    dt.time: lambda _: _ISO,
    uuid.UUID: lambda _: Transport("string", "STRING", "{}", str),
}


def _written_out(row: Row) -> Payload:
    """A row with a value that JSON has no form for, such as an interval, as SQL."""
    columns = ", ".join(f"{literal(value)} AS {_name(n)}" for n, value in enumerate(row))
    written = f"SELECT {columns}"
    if len(written) > MAX_STATEMENT_BYTES:
        raise LimitExceeded(
            f"one row takes {len(written):,} bytes, and a statement {MAX_STATEMENT_BYTES:,}"
        )
    void = Transport("string", "", "{}", None)
    return Payload(tuple(void for _ in row), 1, None, written)
