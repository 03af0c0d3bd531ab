"""The Python values of a column, as an application would give them to a commit.

``DOCUMENT`` and others take more than one type of Arrow: ``TAKEN`` has the table.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import types as sqltypes
from sqlalchemy.types import TypeEngine

from vinci_code.core.errors import LoadRefusedError, ValueRefusedError
from vinci_code.database.dialect.driver.rows import to_rows
from vinci_code.database.dialect.types.base import named
from vinci_code.database.dialect.types.numbers import VinciFloat, VinciNumeric
from vinci_code.database.loading.families import ColumnFamily, undecorated
from vinci_code.database.loading.plain import (
    BadValueError,
    NoPlainTypeError,
    cast,
    first_true,
    plain,
    plain_type,
)

Convert = Callable[[Any], Any]


def require_taken(name: str, kind: Any, family: ColumnFamily) -> None:
    """Refuse a column of Arrow that no value of fits a column of a table.

    Raises:
        LoadRefusedError: It is one.
    """
    what = f"the column {name!r}"
    try:
        own = plain_type(kind)
    except NoPlainTypeError as error:
        raise LoadRefusedError(what, str(error), _CAST) from None
    if pa.types.is_null(own) or any(accepts(own) for accepts in TAKEN[family]):
        return
    if family is ColumnFamily.OTHER:
        return
    zones = {ColumnFamily.INSTANT: _NAIVE, ColumnFamily.MOMENT: _AWARE, ColumnFamily.DATE: _AWARE}
    fix = zones.get(family, _CAST) if pa.types.is_timestamp(own) else _CAST
    raise LoadRefusedError(what, f"it is {kind}, and its column holds {family.value}", fix)


def python_values(column: Any, family: ColumnFamily, kind: TypeEngine[Any]) -> list[Any]:
    """What an application would give to a commit for the values of a column of Arrow.

    Args:
        column: The column, of a type that ``require_taken`` lets pass.
        family: The family of the table's column.
        kind: The type of the table's column.

    Raises:
        BadValueError: A value of it cannot be stored.
    """
    is_wall_clock = family is ColumnFamily.DATE and pa.types.is_timestamp(plain_type(column.type))
    own = plain(column)
    if family is ColumnFamily.INTEGER and not pa.types.is_null(own.type):
        own = cast(own, pa.int64(), NO_INTEGER)
    elif family is ColumnFamily.FLOAT and pa.types.is_integer(own.type):
        own = cast(own, pa.float64(), "a whole number with more digits than a float has")
    elif is_wall_clock:
        own = midnights(own)
    values = [value for (value,) in to_rows(pa.table([own], ["value"]))]
    convert = _converter(family, kind, own.type)
    return values if convert is None else converted(values, convert)


def midnights(column: Any) -> Any:
    """The days of moments, all of which are midnights.

    Raises:
        BadValueError: One is none.
    """
    days = column.cast(pa.date32(), safe=False)
    index = first_true(pc.not_equal(days.cast(column.type), column))
    if index is not None:
        raise BadValueError(index, "a time of day, which a column of days would lose")
    return days


def said_values(values: Sequence[Any], family: ColumnFamily, kind: TypeEngine[Any]) -> list[Any]:
    """What texts of CSV and JSON say, for a column of a table.

    Args:
        values: The texts; what is none is what JSON says by itself.
        family: The family of the table's column.
        kind: The type of the table's column.

    Raises:
        BadValueError: A text says nothing that can be stored.
    """
    say = _SAID.get(family)
    if family is ColumnFamily.UUID or family is ColumnFamily.ENUM:
        say = _converter(family, kind, pa.string())

    def convert(value: Any) -> Any:
        if type(value) is str and say is not None:
            return say(value)
        return plain_number(value, family)

    return converted(values, convert)


def converted(values: Sequence[Any], convert: Convert) -> list[Any]:
    """Other values than NULL, made other ones.

    Raises:
        BadValueError: One cannot be; with its index.
    """
    made: list[Any] = []
    try:
        for value in values:
            made.append(None if value is None else convert(value))
    except ValueRefusedError as error:
        raise BadValueError(len(made), str(error)) from None
    except (ValueError, TypeError, ArithmeticError, LookupError) as error:
        # What these say has the value in it.
        raise BadValueError(
            len(made), f"{named(value)} that its column does not hold ({type(error).__name__})"
        ) from None
    return made


class ExactFloat(float):
    """A number of JSON with a point, and the text that it was written as."""

    text: str

    def __new__(cls, text: str) -> ExactFloat:
        """Make it of its text."""
        made = super().__new__(cls, text)
        made.text = text
        return made


def plain_number(value: Any, family: ColumnFamily) -> Any:
    """What JSON says, with numbers that the column takes."""
    if type(value) is ExactFloat:
        if family is ColumnFamily.NUMERIC:
            return Decimal(value.text)
        return float.__float__(value)
    if type(value) is list:
        return [plain_number(item, family) for item in value]
    if type(value) is dict:
        return {key: plain_number(item, family) for key, item in value.items()}
    return value


def null_of(kind: TypeEngine[Any]) -> Any:
    """What stands for NULL of Arrow, as JSON makes a document of ``None``."""
    own = undecorated(kind)
    if isinstance(own, sqltypes.JSON) and not own.none_as_null:
        from sqlalchemy import null

        return null()
    return None


def _converter(family: ColumnFamily, kind: TypeEngine[Any], given: Any) -> Convert | None:
    """What is left to be done with the Python values that Arrow makes of a column."""
    own: Any = undecorated(kind)
    if family is ColumnFamily.UUID:
        if pa.types.is_binary(given):
            return lambda value: (
                uuid.UUID(bytes=value) if own.as_uuid else str(uuid.UUID(bytes=value))
            )
        return _uuid if own.as_uuid else lambda value: str(_uuid(value))
    if family is ColumnFamily.DOCUMENT and pa.types.is_string(given):
        return document
    if family is ColumnFamily.ENUM:
        return _one_of(frozenset(own.enums))
    if family is ColumnFamily.BOOLEAN and pa.types.is_integer(given):
        return _truth
    if family is ColumnFamily.NUMERIC and not _has_room(given, own):
        keep = VinciNumeric(own.precision, own.scale, asdecimal=own.asdecimal).keep
        if pa.types.is_floating(given):
            # Its digits are those by which it is known from other floats.
            return lambda value: keep(Decimal(repr(value)))
        return keep
    if family is ColumnFamily.FLOAT and pa.types.is_decimal(given):
        return VinciFloat().keep
    return None


def _has_room(given: Any, kind: Any) -> bool:
    """Whether each number of a type of Arrow's is one of a column."""
    if not pa.types.is_decimal(given) or kind.precision is None:
        return False
    scale = kind.scale or 0
    return bool(given.scale <= scale and given.precision - given.scale <= kind.precision - scale)


def document(text: str) -> Any:
    """The JSON document that a text is.

    Raises:
        ValueRefusedError: It is none.
    """
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise ValueRefusedError(
            "a text that is no JSON document; a text within one stands in quotes: json.dumps(text)"
        ) from None


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _one_of(names: frozenset[str]) -> Convert:
    def known(name: str) -> str:
        if name not in names:
            raise ValueRefusedError(
                f"one of {', '.join(map(repr, sorted(names)))} is wanted here, found a text that "
                "is none of them"
            )
        return name

    return known


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise ValueRefusedError("a text that is no UUID") from None


def _truth(value: int) -> bool:
    if value not in (0, 1):
        raise ValueRefusedError("True, False, 1 or 0 is wanted here, found another number")
    return bool(value)


# --- what texts say -------------------------------------------------------------------------------


def _said(read: Convert, wanted: str) -> Convert:
    def say(text: str) -> Any:
        try:
            return read(text)
        except (ValueError, ArithmeticError, KeyError):
            raise ValueRefusedError(f"a text that is no {wanted}") from None

    return say


def _moment(text: str) -> dt.datetime:
    value = _iso(text)
    if value.tzinfo is not None:
        raise ValueRefusedError(
            "a date and time with a zone, and its column has none; load it into TIMESTAMP, or "
            "leave the zone out"
        )
    return value


def _instant(text: str) -> dt.datetime:
    value = _iso(text)
    if value.tzinfo is None:
        raise ValueRefusedError(
            "a date and time without a zone, and its column names instants; write it with one, as "
            "in 2026-01-31T12:00:00Z"
        )
    return value.astimezone(dt.timezone.utc)


def _iso(text: str) -> dt.datetime:
    own = text[:-1] + "+00:00" if text[-1:] in {"Z", "z"} else text
    head, point, rest = own.partition(".")
    digits = len(rest) - len(rest.lstrip("0123456789"))
    if point:
        # Python before 3.11 takes three digits or six, and later ones cut what is behind them.
        kept, beyond = rest[:digits][:6], rest[:digits][6:]
        if beyond.strip("0"):
            raise ValueRefusedError("a time with nanoseconds, and microseconds are kept")
        own = f"{head}.{kept.ljust(6, '0')}{rest[digits:]}"
    return dt.datetime.fromisoformat(own)


def _whole(text: str) -> int:
    if not text.lstrip("+-").isascii() or not text.lstrip("+-").isdigit():
        raise ValueError(text)
    return int(text)


def _decimal(text: str) -> Decimal:
    value = Decimal(text)
    if "_" in text:
        raise InvalidOperation
    return value


def _float(text: str) -> float:
    if "_" in text:
        raise ValueError(text)
    return float(text)


def _interval(_text: str) -> Any:
    raise ValueRefusedError("a length of time, for which texts have no form; load it as a duration")


def _bytes(_text: str) -> Any:
    raise ValueRefusedError("bytes, for which texts have no form; load them from Parquet")


_TRUTH = {"true": True, "false": False, "1": True, "0": False}

_SAID: dict[ColumnFamily, Convert] = {
    ColumnFamily.INTEGER: _said(_whole, "whole number"),
    ColumnFamily.BOOLEAN: _said(lambda text: _TRUTH[text.lower()], "true, false, 1 or 0"),
    ColumnFamily.FLOAT: _said(_float, "number"),
    ColumnFamily.NUMERIC: _said(_decimal, "number"),
    ColumnFamily.DATE: _said(lambda text: dt.date.fromisoformat(text), "date, as 2026-01-31"),
    ColumnFamily.TIME: _said(lambda text: dt.time.fromisoformat(text), "time, as 23:59:59"),
    ColumnFamily.MOMENT: _said(_moment, "date and time, as 2026-01-31T12:00:00"),
    ColumnFamily.INSTANT: _said(_instant, "date and time, as 2026-01-31T12:00:00Z"),
    ColumnFamily.INTERVAL: _interval,
    ColumnFamily.BINARY: _bytes,
}

NO_INTEGER = "a number that is no whole number of 64 bits; make the column Numeric, or round it"
_CAST = "cast the column to a type that the table's column takes, or change the table's"
_NAIVE = (
    "say which zone it is in: pyarrow.compute.assume_timezone, dt.tz_localize of pandas, or "
    "dt.replace_time_zone of polars"
)
_AWARE = (
    "say whose clock is meant: pyarrow.compute.local_timestamp, dt.tz_localize(None) of pandas, or "
    "dt.replace_time_zone(None) of polars; or pass a model or a Table in which "
    "the column is a TIMESTAMP"
)


def _naive_moment(kind: Any) -> bool:
    return bool(pa.types.is_timestamp(kind) and kind.tz is None)


def _aware_moment(kind: Any) -> bool:
    return bool(pa.types.is_timestamp(kind) and kind.tz is not None)


TAKEN: dict[ColumnFamily, tuple[Callable[[Any], bool], ...]] = {
    ColumnFamily.INTEGER: (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal),
    ColumnFamily.BOOLEAN: (pa.types.is_boolean, pa.types.is_integer),
    ColumnFamily.FLOAT: (pa.types.is_floating, pa.types.is_integer, pa.types.is_decimal),
    ColumnFamily.NUMERIC: (pa.types.is_decimal, pa.types.is_integer, pa.types.is_floating),
    ColumnFamily.TEXT: (pa.types.is_string,),
    ColumnFamily.ENUM: (pa.types.is_string,),
    ColumnFamily.UUID: (pa.types.is_string, pa.types.is_binary),
    ColumnFamily.DOCUMENT: (
        pa.types.is_string,
        pa.types.is_nested,
        pa.types.is_boolean,
        pa.types.is_integer,
        pa.types.is_floating,
    ),
    ColumnFamily.BINARY: (pa.types.is_binary,),
    ColumnFamily.DATE: (pa.types.is_date32, _naive_moment),
    ColumnFamily.TIME: (pa.types.is_time,),
    ColumnFamily.MOMENT: (_naive_moment, pa.types.is_date32),
    ColumnFamily.INSTANT: (_aware_moment,),
    ColumnFamily.INTERVAL: (pa.types.is_duration,),
    ColumnFamily.NESTED: (pa.types.is_nested,),
    ColumnFamily.OTHER: (),
}
"""Which plain types of Arrow each family takes; ``null`` goes into every column, and values of a
type of the application's are refused by that type alone."""
