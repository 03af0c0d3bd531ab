"""Rows as one JSON text that the warehouse makes rows of again, without changing a bit of them.

``inline(from_json(text, 'array<struct<…>>', map('mode', 'FAILFAST')))`` gives the rows. Its fields
are BIGINT, BOOLEAN or STRING; a column of another type travels as the text that it is cast from.
The default mode of ``from_json`` would turn a bad row into NULLs or drop it; with FAILFAST the
statement fails.

The text is a bound parameter up to ``MAX_PARAMETER_BYTES``, and beyond that base64 in the
statement, where nothing needs to be escaped.

Of a type that has no transport, such as that of ``column("x")`` in a lightweight ``table()``, each
value is written as a literal, which says by itself what it is.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

import orjson

from vinci_code.database.dialect.dberrors import DataError, LimitExceeded
from vinci_code.database.dialect.text.binding import (
    MAX_STATEMENT_BYTES,
    byte_length,
    checked_text,
    literal,
    parameter,
)
from vinci_code.database.dialect.types.transports import Column, Transport
from vinci_code.database.dialect.writes.shapes import Row, letters

MAX_JSON_BYTES = 11 * 1024 * 1024
"""Of one payload: base64 makes four bytes of three, and the statement has a text beside it."""

SPLIT_JSON_BYTES = 9 * 512 * 1024
"""Of each payload where rows take more than ``LARGE_JSON_BYTES``."""

LARGE_JSON_BYTES = 6 * 1024 * 1024
"""From here on rows are split: the driver copies a statement several times, so that a large one
takes several times its size in memory."""

_NULL = {type(None)}
# What is encoded at a time: a multiple of three, so that the pieces make one text.
_BASE64_BYTES = 3 * 256 * 1024
# How many rows are encoded at a time, which fit into a processor's cache, and the size from which
# they are encoded one by one.
_BLOCK, _LARGE = 250, 1024 * 1024
# Of rows that are written out: as large as a statement may be, with room for the text beside it.
_MAX_WRITTEN_BYTES = MAX_STATEMENT_BYTES - 256 * 1024


@dataclass(frozen=True)
class Payload:
    """Rows that are ready to be sent.

    Attributes:
        transports: How each column travels.
        rows: How many rows there are.
        json: The JSON text; ``None`` where the rows are written out.
        written: The rows written out as SQL, where ``json`` is ``None``.
    """

    transports: tuple[Transport | None, ...]
    rows: int
    json: bytes | None
    written: str = ""

    def around(self) -> tuple[str, str]:
        """What of the SELECT that gives the rows stands before what they are sent as, and after."""
        if self.json is None:
            return "", ""
        kinds = [kind for kind in self.transports if kind is not None]
        fields = ",".join(f"{letters(n)}:{kind.json}" for n, kind in enumerate(kinds))
        made = ", ".join(
            letters(n) if kind.made == "{}" else f"{kind.made.format(letters(n))} AS {letters(n)}"
            for n, kind in enumerate(kinds)
        )
        # A field has to be there for the rows to be counted.
        struct = fields or f"{letters(0)}:string"
        return (
            f"SELECT {made or letters(0)} FROM (SELECT inline(from_json(",
            f", 'array<struct<{struct}>>', map('mode', 'FAILFAST'))))",
        )

    def literal(self) -> Iterator[str]:
        """The JSON text as an expression in which nothing can be misread, in pieces."""
        json = memoryview(self.json or b"")
        yield "decode(unbase64('"
        for begin in range(0, len(json), _BASE64_BYTES):
            yield base64.b64encode(json[begin : begin + _BASE64_BYTES]).decode("ascii")
        yield "'), 'UTF-8')"


def payloads(
    rows: Sequence[Row], transports: Sequence[Transport | None], *, split: bool = True
) -> Iterator[Payload]:
    """Make payloads of rows: one, unless they are too many.

    A row has as many values as there are transports. If ``split``, there are several where one
    would do, but would take much memory.

    Raises:
        DataError: A value cannot be held by its type.
        LimitExceeded: One row alone is larger than a statement may be.
        ProgrammingError: A value is of a type that has no form in SQL.
    """
    known = [kind for kind in transports if kind is not None]
    if len(known) == len(transports):
        yield from _chunks(rows, tuple(known), split)
    else:
        yield from _written_out(rows, tuple(transports))


# --- as JSON --------------------------------------------------------------------------------------


def _chunks(rows: Sequence[Row], kinds: tuple[Transport, ...], split: bool) -> Iterator[Payload]:
    texts = _texts(rows, kinds)
    first = next(texts, None)
    if first is None:
        return
    # The first rows show how much all of them take.
    large = len(first[1]) * len(rows) > LARGE_JSON_BYTES * first[0]
    most = SPLIT_JSON_BYTES if split and large else MAX_JSON_BYTES
    written: list[bytes] = []
    count = size = 0
    for number, text in chain([first], texts):
        if written and size + len(text) > most:
            yield Payload(kinds, count, b"[" + b",".join(written) + b"]")
            written, count, size = [], 0, 0
        written.append(text)
        count += number
        size += len(text) + 1
    if written:
        yield Payload(kinds, count, b"[" + b",".join(written) + b"]")


def _texts(rows: Sequence[Row], kinds: tuple[Transport, ...]) -> Iterator[tuple[int, bytes]]:
    """The rows as JSON objects with commas between, some at a time, and how many these are.

    Raises:
        LimitExceeded: One of them is larger than the limit.
    """
    for begin in range(0, len(rows), _BLOCK):
        block = rows[begin : begin + _BLOCK]
        text = _text(block, kinds)
        if len(text) <= _LARGE:
            yield len(block), text
            continue
        for row in block:
            text = _text([row], kinds)
            if len(text) + 2 > MAX_JSON_BYTES:
                raise LimitExceeded(
                    f"one row takes {len(text):,} bytes as JSON, and a statement takes "
                    f"{MAX_JSON_BYTES:,}; store large values in a volume, and their path in the "
                    "table"
                )
            yield 1, text


def _text(rows: Sequence[Row], kinds: tuple[Transport, ...]) -> bytes:
    names, columns = [], []
    given = list(zip(*rows, strict=True))
    if len(given) != len(kinds):
        raise AssertionError(f"rows of {len(given)} values each, where {len(kinds)} travel")
    for number, (values, kind) in enumerate(zip(given, kinds, strict=True)):
        column = _column(values, kind)
        if column is not None:
            names.append(letters(number))
            columns.append(column)
    if not columns:
        return b",".join([b"{}"] * len(rows))
    try:
        if len(columns) == 1:
            return _objects_of_one(names[0], columns[0])
        return orjson.dumps(_objects_of(tuple(names))(columns))[len(b"[") : -len(b"]")]
    except TypeError:
        for value in chain.from_iterable(columns):
            if isinstance(value, str):
                checked_text(value)  # says which half of a character it is
        raise


def _objects_of_one(name: str, values: Column) -> bytes:
    """Rows of one value, such as the keys of a DELETE: these take a sixth of the time as text."""
    begin = f'{{"{name}":'.encode()
    # What an indented array has between its elements is in none of them: a newline is escaped.
    text = orjson.dumps(values, option=orjson.OPT_INDENT_2)[len(b"[\n  ") : -len(b"\n]")]
    return begin + text.replace(b",\n  ", b"}," + begin) + b"}"


@lru_cache
def _objects_of(names: tuple[str, ...]) -> Callable[[Sequence[Column]], list[dict[str, Any]]]:
    """Makes the rows of some columns, each as a dict of values by these names.

    A display of a dict that is written out takes half the time of ``dict(zip(names, row))``, and
    this is most of what a commit of many rows takes. What is written are names of our own.
    """
    variables = [f"value_{number}" for number in range(len(names))]
    pairs = ", ".join(f"{n!r}: {v}" for n, v in zip(names, variables, strict=True))
    text = f"lambda columns: [{{{pairs}}} for {', '.join(variables)}, in zip(*columns)]"
    made: Callable[[Sequence[Column]], list[dict[str, Any]]] = eval(text)  # noqa: S307
    return made


def _column(values: Sequence[Any], kind: Transport) -> Sequence[Any] | None:
    """The JSON values of a column; ``None`` where all are NULL, as what JSON lacks is read.

    Raises:
        DataError: A value is none of the column's type.
    """
    found = set(map(type, values))
    if found == _NULL:
        return None
    if not found <= kind.kinds:
        wanted = " or ".join(sorted(item.__name__ for item in kind.kinds))
        other = ", ".join(sorted(item.__qualname__ for item in found - kind.kinds))
        raise DataError(
            f"a value that is to be sent as {kind.sql} is {other}, where {wanted} is wanted\n"
            "To fix it: convert it, or give the column the type of the value."
        )
    return values if kind.encode is None else kind.encode(values)


# --- as SQL ---------------------------------------------------------------------------------------


def _written_out(
    rows: Sequence[Row], transports: tuple[Transport | None, ...]
) -> Iterator[Payload]:
    """Rows as SQL. Those whose values differ in what they say they are, are not sent together.

    In one SELECT, the types of its neighbours would decide what becomes of a value.
    """
    written: list[str] = []
    size = 0
    sort: list[str | None] = []
    for row in rows:
        columns = ", ".join(
            f"{_literal(value, kind)} AS {letters(number)}"
            for number, (value, kind) in enumerate(zip(row, transports, strict=True))
        )
        text = f"SELECT {columns}"
        length = byte_length(text)
        if length > _MAX_WRITTEN_BYTES:
            raise LimitExceeded(
                f"one row takes {length:,} bytes, and a statement {MAX_STATEMENT_BYTES:,}"
            )
        own = [None if kind else _sort(value) for value, kind in zip(row, transports, strict=True)]
        both = _common(sort, own) if written else own
        if both is None or size + length > _MAX_WRITTEN_BYTES:
            yield Payload(transports, len(written), None, " UNION ALL ".join(written))
            written, size, both = [], 0, own
        written.append(text)
        size += length + len(" UNION ALL ")
        sort = both
    if written:
        yield Payload(transports, len(written), None, " UNION ALL ".join(written))


def _literal(value: Any, kind: Transport | None) -> str:
    return literal(value) if kind is None else f"CAST({literal(value)} AS {kind.sql})"


def _sort(value: Any) -> str | None:
    """What the literal of a value says that it is; ``None`` for NULL, which may be anything."""
    if value is None:
        return None
    bound = parameter(value)
    if bound is None:
        # A list or a dict: only a literal of the very same type is like it.
        return f"{type(value).__name__}:{id(value)}"
    return f"{'BIGINT' if bound.type == 'INT' else bound.type} {bound.form}"


def _common(one: Sequence[str | None], other: Sequence[str | None]) -> list[str | None] | None:
    """The sorts of rows that may stand together; ``None`` where they may not."""
    pairs = list(zip(one, other, strict=True))
    if any(a != b and None not in (a, b) for a, b in pairs):
        return None
    return [a or b for a, b in pairs]
