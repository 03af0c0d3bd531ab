"""Values of a SQLite column, and the plain values that they are: exactly, or not at all."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
import zoneinfo
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from vinci_code.database.moving.canonical import EXACT
from vinci_code.database.moving.errors import NoPlainValueError
from vinci_code.database.moving.kinds import ValueKind

Form = Callable[[Any], Any]


def reader(kind: ValueKind) -> Form:
    """What makes the plain value of what SQLite has stored; ``NULL`` is not given to it.

    It raises ``NoPlainValueError`` for a value that would be changed by it.
    """
    if kind.name == "decimal":
        return _decimal_reader(kind)
    if kind.name == "instant":
        return _instant_reader(kind.zone or "UTC")
    return _READERS[kind.name]


def writer(kind: ValueKind) -> Form:
    """What makes of a plain value what SQLite is given to store.

    It raises ``NoPlainValueError`` for a value that SQLite would change.
    """
    if kind.name == "instant":
        return _instant_writer(kind.zone or "UTC")
    return _WRITERS[kind.name]


def zone_named(name: str) -> dt.tzinfo:
    """A time zone: ``UTC``, ``Europe/Berlin``, ``+02:00``.

    Raises:
        ValueError: There is none of that name.
    """
    found = re.fullmatch(r"([+-])(\d\d):(\d\d)", name)
    if found is not None:
        sign, hours, minutes = found.groups()
        offset = dt.timedelta(hours=int(hours), minutes=int(minutes))
        return dt.timezone(-offset if sign == "-" else offset)
    if name.upper() == "UTC":
        return dt.timezone.utc
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone that this machine knows") from None


def in_zone(name: str) -> Form:
    """What makes an instant, in UTC, of a moment on the clocks of a time zone.

    It raises ``NoPlainValueError`` for one that was twice, or never, as the clocks were changed.
    """
    zone = zone_named(name)
    is_fixed = isinstance(zone, dt.timezone)

    def convert(local: dt.datetime) -> dt.datetime:
        try:
            made = local.replace(tzinfo=zone).astimezone(dt.timezone.utc)
        except OverflowError:
            raise NoPlainValueError(
                "found a moment outside of the years 1 to 9999 in UTC"
            ) from None
        if is_fixed:
            return made
        again = made.astimezone(zone).replace(tzinfo=None, fold=0)
        later = local.replace(tzinfo=zone, fold=1).astimezone(dt.timezone.utc)
        if again != local or later != made:
            raise NoPlainValueError(
                f"found a moment that was twice in {name}, or never, as the clocks were changed"
            )
        return made

    return convert


def _of_type(wanted: type, word: str) -> Form:
    def read(value: Any) -> Any:
        if type(value) is not wanted:
            raise NoPlainValueError(f"found {_named(value)} where {word} is wanted")
        return value

    return read


def _boolean(value: Any) -> bool:
    if type(value) is int and value in (0, 1):
        return bool(value)
    raise NoPlainValueError(f"found {_named(value)} where 0 or 1 is wanted")


def _double(value: Any) -> float:
    if type(value) is float:
        return value
    if type(value) is int and int(float(value)) == value:
        return float(value)
    raise NoPlainValueError(f"found {_named(value)} where a number of 64 bits is wanted")


def _decimal_reader(kind: ValueKind) -> Form:
    unit = Decimal(1).scaleb(-kind.scale)
    most = Decimal(10) ** (kind.digits - kind.scale)

    def read(value: Any) -> Decimal:
        if type(value) not in (int, float) or (type(value) is float and not math.isfinite(value)):
            raise NoPlainValueError(f"found {_named(value)} where a number is wanted")
        number = Decimal(value) if type(value) is int else Decimal(repr(value))
        if abs(number) >= most:
            raise NoPlainValueError(f"found a number that {kind} has no room for")
        try:
            made = number.quantize(unit, context=EXACT)
        except ArithmeticError:
            made = None
        if made != number:
            raise NoPlainValueError(f"found a number with more digits than {kind} has")
        return made

    return read


def _document(value: Any) -> str:
    if type(value) is str:
        return value
    if type(value) in (int, float):
        return json.dumps(value)  # SQLite keeps a document that is a number as a number
    raise NoPlainValueError(f"found {_named(value)} where the text of a document is wanted")


def _uuid(value: Any) -> str:
    if type(value) is str and _HEX.fullmatch(value):
        return f"{value[:8]}-{value[8:12]}-{value[12:16]}-{value[16:20]}-{value[20:]}"
    raise NoPlainValueError(f"found {_named(value)} where 32 hexadecimal digits are wanted")


def _date(value: Any) -> dt.date:
    if type(value) is str and _DATE.fullmatch(value):
        try:
            return dt.date.fromisoformat(value)
        except ValueError:
            pass
    raise NoPlainValueError(f"found {_named(value)} where YYYY-MM-DD is wanted")


def _time(value: Any) -> str:
    if type(value) is str and _TIME.fullmatch(value):
        try:
            dt.time.fromisoformat(value)
        except ValueError:
            pass
        else:
            return value
    raise NoPlainValueError(f"found {_named(value)} where HH:MM:SS.ffffff is wanted")


def _moment(value: Any) -> dt.datetime:
    if type(value) is str and _MOMENT.fullmatch(value):
        text, point, fraction = value.partition(".")
        try:
            moment = dt.datetime.fromisoformat(text)
        except ValueError:
            pass
        else:
            return moment.replace(microsecond=int(fraction.ljust(6, "0"))) if point else moment
    raise NoPlainValueError(f"found {_named(value)} where YYYY-MM-DD HH:MM:SS.ffffff is wanted")


def _instant_reader(name: str) -> Form:
    convert = in_zone(name)
    return lambda value: convert(_moment(value))


def _same(value: Any) -> Any:
    return value


def _write_double(value: float) -> float:
    if math.isnan(value):
        raise NoPlainValueError("SQLite keeps NaN as NULL")
    if value == 0 and math.copysign(1, value) < 0:
        raise NoPlainValueError("SQLite keeps -0.0 as 0.0")
    return value


def _write_decimal(value: Decimal) -> float | int:
    if value == value.to_integral_value() and -_INT64 <= value < _INT64:
        return int(value)  # a column of numbers keeps it as such, with all of its digits
    if Decimal(repr(float(value))) != value:
        raise NoPlainValueError("SQLite keeps a number of 64 bits, which has not all of its digits")
    return float(value)


def _write_document(value: str) -> str | int | float:
    try:
        number = float(value)
    except ValueError:
        return value
    # The declared type JSON has SQLite make a number of text that looks like one.
    for kind in (int, float):
        try:
            made = kind(value)
        except ValueError:
            continue
        fits = made.is_integer() is False if isinstance(made, float) else abs(made) < _INT64
        if json.dumps(made) == value and fits and math.isfinite(number):
            return made
    raise NoPlainValueError("SQLite would keep the document's number in another form")


def _write_uuid(value: str) -> str:
    text = value.replace("-", "")
    if not _HEX.fullmatch(text) or _uuid(text) != value:
        raise NoPlainValueError("found a text that is no UUID in small letters, with hyphens")
    return text


def _write_moment(value: dt.datetime) -> str:
    return value.isoformat(" ", "microseconds")


def _write_date(value: dt.date) -> str:
    return value.isoformat()


def _write_boolean(value: bool) -> int:
    return int(value)


def _instant_writer(name: str) -> Form:
    zone = zone_named(name)
    read = _instant_reader(name)

    def write(value: dt.datetime) -> str:
        local = value.astimezone(zone).replace(tzinfo=None, fold=0)
        text = _write_moment(local)
        read(text)  # or it would not say which instant it is
        return text

    return write


def _named(value: Any) -> str:
    """What a stored value is, with none of what it says: it may be a secret."""
    if isinstance(value, str):
        return f"a text of {len(value):,} characters"
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    return "a whole number" if isinstance(value, int) else "a number with a fraction"


_INT64 = 2**63
_HEX = re.compile("[0-9a-f]{32}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME = re.compile(r"\d\d:\d\d:\d\d\.\d{6}", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?", re.ASCII)

_READERS: dict[str, Form] = {
    "integer": _of_type(int, "a whole number"),
    "boolean": _boolean,
    "double": _double,
    "text": _of_type(str, "text"),
    "json": _document,
    "uuid": _uuid,
    "binary": _of_type(bytes, "bytes"),
    "date": _date,
    "time": _time,
    "moment": _moment,
}
_WRITERS: dict[str, Form] = {
    "integer": _same,
    "boolean": _write_boolean,
    "double": _write_double,
    "decimal": _write_decimal,
    "text": _same,
    "json": _write_document,
    "uuid": _write_uuid,
    "binary": _same,
    "date": _write_date,
    "time": _time,
    "moment": _write_moment,
}
