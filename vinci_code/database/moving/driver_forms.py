"""Values as a driver gives and takes them, and the plain values that they are: exactly."""

from __future__ import annotations

import datetime as dt
import re
import struct
import uuid
from decimal import Decimal
from typing import Any

from sqlalchemy import types as sqltypes

from vinci_code.database.moving.canonical import EXACT
from vinci_code.database.moving.errors import NoPlainValueError
from vinci_code.database.moving.forms import Form, in_zone
from vinci_code.database.moving.kinds import ValueKind


def driver_reader(kind: ValueKind) -> Form:
    """What makes the plain value of what a driver has given; ``None`` is not given to it.

    It raises ``NoPlainValueError`` for a value of another class than its kind has, or one that the
    kind has no room for: nothing is converted that could change it.
    """
    if kind.name == "decimal":
        return _decimal_reader(kind)
    if kind.name == "instant":
        return _instant_reader(kind.zone)
    return _READERS[kind.name]


def driver_writer(kind: ValueKind, stored: sqltypes.TypeEngine[Any], dialect: str) -> Form:
    """What makes of a plain value what a driver is given.

    Args:
        kind: The kind of the column.
        stored: Its type, as it was reflected.
        dialect: The name of the dialect.

    It raises ``NoPlainValueError`` for a value that the column is known to change, or to refuse.
    """
    if kind.name == "uuid" and isinstance(stored, sqltypes.Uuid):
        return uuid.UUID if stored.as_uuid else _same
    if kind.name == "time" and isinstance(stored, sqltypes.Time):
        return dt.time.fromisoformat
    if kind.name == "double" and isinstance(stored, sqltypes.REAL) and dialect != "sqlite":
        return _write_real
    if dialect == "postgresql" and kind.name in ("text", "json"):
        return _without_nul
    return _same


def _integer(value: Any) -> int:
    if type(value) is int and -_INT64 <= value < _INT64:
        return value
    raise _other(value, "a whole number of 64 bits")


def _boolean(value: Any) -> bool:
    if type(value) is bool:
        return value
    raise _other(value, "true or false")


def _double(value: Any) -> float:
    if type(value) is float:
        return value
    raise _other(value, "a number of 64 bits")


def _decimal_reader(kind: ValueKind) -> Form:
    unit = Decimal(1).scaleb(-kind.scale)
    most = Decimal(10) ** (kind.digits - kind.scale)

    def read(value: Any) -> Decimal:
        if type(value) is not Decimal or not value.is_finite():
            raise _other(value, "a decimal number")
        if abs(value) >= most:
            raise NoPlainValueError(f"found a number that {kind} has no room for")
        try:
            made = value.quantize(unit, context=EXACT)
        except ArithmeticError:
            made = None
        if made != value:
            raise NoPlainValueError(f"found a number with more digits than {kind} has")
        return made

    return read


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    raise _other(value, "text")


def _uuid(value: Any) -> str:
    if type(value) is uuid.UUID:
        return str(value)
    if type(value) is str and _UUID.fullmatch(value):
        return value
    raise _other(value, "a UUID")


def _binary(value: Any) -> bytes:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise _other(value, "bytes")


def _date(value: Any) -> dt.date:
    if type(value) is dt.date:
        return value
    raise _other(value, "a date")


def _time(value: Any) -> str:
    if type(value) is dt.time and value.tzinfo is None:
        return value.isoformat(timespec="microseconds")
    if type(value) is str and _TIME.fullmatch(value):
        return value
    raise _other(value, "a time without a zone")


def _moment(value: Any) -> dt.datetime:
    if isinstance(value, dt.datetime) and value.tzinfo is None:
        return value
    raise _other(value, "a moment without a zone")


def _instant_reader(zone: str | None) -> Form:
    convert = None if zone is None else in_zone(zone)

    def read(value: Any) -> dt.datetime:
        if isinstance(value, dt.datetime):
            if value.tzinfo is not None:
                return value.astimezone(dt.timezone.utc)
            if convert is not None:
                return convert(value)  # type: ignore[no-any-return]
        raise _other(value, "a moment with a zone")

    return read


def _write_real(value: float) -> float:
    try:
        (kept,) = struct.unpack("<f", struct.pack("<f", value))
    except OverflowError:
        kept = None
    if kept == value or value != value:
        return value
    raise NoPlainValueError("a REAL has 32 bits, which do not hold this number of 64")


def _without_nul(value: str) -> str:
    # https://www.postgresql.org/docs/current/datatype-character.html
    if "\x00" in value:
        raise NoPlainValueError("PostgreSQL keeps no character of code zero in a text")
    return value


def _same(value: Any) -> Any:
    return value


def _other(value: Any, wanted: str) -> NoPlainValueError:
    # Its class alone: what it says may be a secret.
    return NoPlainValueError(f"the driver gave a {type(value).__name__} where {wanted} is wanted")


_INT64 = 2**63
_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{6}", re.ASCII)
_READERS: dict[str, Form] = {
    "integer": _integer,
    "boolean": _boolean,
    "double": _double,
    "text": _text,
    "json": _text,
    "uuid": _uuid,
    "binary": _binary,
    "date": _date,
    "time": _time,
    "moment": _moment,
}
