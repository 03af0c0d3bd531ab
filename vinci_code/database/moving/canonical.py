"""The one form of each value that is counted in a proof, in Python and in Databricks SQL.

The number of a value is the first 60 bits of MD5 of the row's key and the value's canonical text;
the checksum of a column is the sum of the numbers of its values that are not NULL. A sum does not
depend on the order of the rows, and the key in it tells two rows apart that have exchanged values.
Both databases compute it with whole numbers alone, so that it is exact.

A float's canonical text is xxHash64 of its 64 bits (the functions ``xxhash64`` of Databricks, seed
42), since the decimal digits that are shown differ between releases of Java; a hash of 64 bits of
64 bits loses none. Zero, whose sign that hash leaves out, is ``0.0`` or ``-0.0``.
"""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Callable, Sequence
from decimal import Context, Decimal
from hashlib import md5
from typing import Any

from vinci_code.database.moving.kinds import ValueKind

Canonical = Callable[[Any], str]

EXACT = Context(prec=100)
"""Arithmetic with room for every decimal of 38 digits, whose own has 28."""

BITS = 60
"""How many bits the number of a value has: 15 hexadecimal digits, which every BIGINT holds."""


def canonical(kind: ValueKind) -> Canonical:
    """What makes the canonical text of a plain value."""
    if kind.name == "decimal":
        unit = Decimal(1).scaleb(-kind.scale)
        return lambda value: format(value.quantize(unit, context=EXACT), "f")
    return _FORMS[kind.name]


def as_stored(value: Any) -> str:
    """The canonical text of a value between two SQLite files: its storage class, and all of it."""
    if isinstance(value, str):
        return f"text {value}"
    if isinstance(value, bytes):
        return f"blob {value.hex()}"
    return f"real {value.hex()}" if isinstance(value, float) else f"integer {value}"


def number_of(text: str) -> int:
    """The number of a text: the first 60 bits of its MD5."""
    return int.from_bytes(md5(text.encode(), usedforsecurity=False).digest()[:8], "big") >> 4


def part(text: str) -> str:
    """A canonical text as a part of a longer one, from which it can be told apart."""
    return f"{len(text)}:{text}"


def sql_form(kind: ValueKind, column: str) -> str:
    """The canonical text of a column, in Databricks SQL.

    Args:
        kind: Its kind.
        column: Its name, quoted.
    """
    if kind.name == "decimal":
        return f"CAST(CAST({column} AS DECIMAL({kind.digits}, {kind.scale})) AS STRING)"
    return _SQL_FORMS[kind.name].format(column)


def sql_number(text: str) -> str:
    """``number_of`` in Databricks SQL."""
    return f"CAST(conv(substr(md5({text}), 1, {BITS // 4}), 16, 10) AS BIGINT)"


def sql_parts(texts: Sequence[str]) -> str:
    """``part`` of several columns, one after the other, in Databricks SQL; NULL is ``-``."""
    made = [f"coalesce(concat(CAST(length({text}) AS STRING), ':', {text}), '-')" for text in texts]
    return f"concat({', '.join(made)})" if made else "''"


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _double(value: float) -> str:
    if value == 0:
        return str(value)
    if value != value:
        return str(_xxhash64(0x7FF8000000000000))
    (bits,) = struct.unpack("<Q", struct.pack("<d", value))
    return str(_xxhash64(bits))


def _moment(value: dt.datetime) -> str:
    text = value.isoformat(" ")
    return text.rstrip("0") if value.microsecond else text


def _instant(value: dt.datetime) -> str:
    since = value - _EPOCH
    return str((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)


def _xxhash64(word: int) -> int:
    """xxHash64 of a number of 64 bits, with the seed 42, as a signed number.

    https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
    """
    value = 42 + _P5 + 8
    mixed = (word * _P2) & _M64
    mixed = ((mixed << 31) | (mixed >> 33)) & _M64
    value = (value ^ (mixed * _P1)) & _M64
    value = (((value << 27) | (value >> 37)) & _M64) * _P1 + _P4 & _M64
    value = ((value ^ (value >> 33)) * _P2) & _M64
    value = ((value ^ (value >> 29)) * _P3) & _M64
    value ^= value >> 32
    return value - 2**64 if value >= 2**63 else value


_M64 = 2**64 - 1
_P1, _P2, _P3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
_P4, _P5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)

_FORMS: dict[str, Canonical] = {
    "integer": str,
    "boolean": _boolean,
    "double": _double,
    "text": str,
    "json": str,
    "uuid": str,
    "binary": lambda value: value.hex().upper(),
    "date": dt.date.isoformat,
    "time": str,
    "moment": _moment,
    "instant": _instant,
}
_SQL_FORMS = {
    "integer": "CAST({0} AS STRING)",
    "boolean": "CAST({0} AS STRING)",
    "double": (
        "CASE WHEN {0} = 0 THEN CAST(CAST({0} AS DOUBLE) AS STRING) "
        # xxhash64 of NULL is no NULL, but the seed
        "WHEN {0} IS NOT NULL THEN CAST(xxhash64(CAST({0} AS DOUBLE)) AS STRING) END"
    ),
    "text": "{0}",
    "json": "{0}",
    "uuid": "{0}",
    "binary": "hex({0})",
    "date": "CAST({0} AS STRING)",
    "time": "{0}",
    "moment": "CAST({0} AS STRING)",
    "instant": "CAST(unix_micros({0}) AS STRING)",
}
