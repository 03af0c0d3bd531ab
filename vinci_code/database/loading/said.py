"""What texts of CSV and JSON say, and numbers of JSON, for columns of tables.

Values are kept as the dialect's types for Databricks keep them, so that SQLite, whose columns take
anything, is given no others.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa
from sqlalchemy import types as sqltypes
from sqlalchemy.types import TypeEngine

from vinci_code.core.errors import ValueRefusedError
from vinci_code.database.dialect.types.base import named
from vinci_code.database.dialect.types.nested import MAP, STRUCT
from vinci_code.database.dialect.types.numbers import (
    VinciBoolean,
    VinciFloat,
    VinciInteger,
    VinciNumeric,
)
from vinci_code.database.loading.documents import ExactFloat, kept_float
from vinci_code.database.loading.families import ColumnFamily, undecorated
from vinci_code.database.loading.values import Convert, converted, converter


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
        say = converter(family, kind, pa.string())
    keep = _keeper(family, kind)

    def convert(value: Any) -> Any:
        if type(value) is not str:
            value = _spoken(value, family, kind)
        elif say is not None:
            value = say(value)
        return value if keep is None else keep(value)

    return converted(values, convert)


def _keeper(family: ColumnFamily, kind: TypeEngine[Any]) -> Convert | None:
    own: Any = undecorated(kind)
    if family is ColumnFamily.INTEGER:
        return VinciInteger().keep
    if family is ColumnFamily.BOOLEAN:
        return VinciBoolean().keep
    if family is ColumnFamily.NUMERIC:
        return VinciNumeric(own.precision, own.scale, asdecimal=own.asdecimal).keep
    return _unicode if family is ColumnFamily.TEXT else None


def _unicode(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueRefusedError("text that is no Unicode") from None
    return text


def _spoken(value: Any, family: ColumnFamily, kind: TypeEngine[Any]) -> Any:
    """What JSON says by something else than a text."""
    if family in _TEXTS:
        raise ValueRefusedError(
            f"{named(_plain(value))}, and its column holds {family.value}, which JSON says as text"
        )
    if family is ColumnFamily.NESTED:
        return _nested(value, kind)
    if type(value) is not ExactFloat:
        if family is ColumnFamily.FLOAT:
            return _float_of(value)
        return _nested(value, None)
    if family is ColumnFamily.NUMERIC:
        return Decimal(value.text)
    if family is ColumnFamily.INTEGER:
        number = Decimal(value.text)
        is_whole = number.is_finite() and abs(number) < _BEYOND and number == int(number)
        if not is_whole:
            # Not its float, which may be whole where the number is none.
            raise ValueRefusedError("a whole number is wanted here, found one that is none")
        return int(number)
    if family is ColumnFamily.FLOAT:
        return _finite(float.__float__(value), value.text)
    return _nested(value, None)


def _float_of(value: Any) -> float:
    kept: float = VinciFloat().keep(value)
    return kept


def _plain(value: Any) -> Any:
    return float.__float__(value) if type(value) is ExactFloat else value


def _nested(value: Any, kind: TypeEngine[Any] | None) -> Any:
    """A value of JSON, with numbers that its parts take; of no known type are documents."""
    own: Any = None if kind is None else undecorated(kind)
    if type(value) is ExactFloat:
        is_exact = isinstance(own, sqltypes.Numeric) and not isinstance(own, sqltypes.Float)
        return Decimal(value.text) if is_exact else kept_float(value.text)
    if type(value) is list:
        return [_nested(item, _item_type(own, item)) for item in value]
    if type(value) is dict:
        fields = dict(own.fields) if isinstance(own, STRUCT) else {}
        item_type = own.value_type if isinstance(own, MAP) else None
        return {key: _nested(item, fields.get(key, item_type)) for key, item in value.items()}
    return value


def _item_type(own: Any, item: Any) -> TypeEngine[Any] | None:
    if not isinstance(own, sqltypes.ARRAY):
        return None
    # A list of several dimensions names the type of its innermost items.
    is_list = type(item) is list and not isinstance(own.item_type, sqltypes.ARRAY)
    found: TypeEngine[Any] = own if is_list else own.item_type
    return found


_BEYOND = 1 << 64
_TEXTS = frozenset(
    {
        ColumnFamily.TEXT,
        ColumnFamily.ENUM,
        ColumnFamily.UUID,
        ColumnFamily.BINARY,
        ColumnFamily.DATE,
        ColumnFamily.TIME,
        ColumnFamily.MOMENT,
        ColumnFamily.INSTANT,
        ColumnFamily.INTERVAL,
    }
)

# --- what texts say -------------------------------------------------------------------------------


def _said(read: Convert, wanted: str) -> Convert:
    def say(text: str) -> Any:
        try:
            return read(text)
        except ValueRefusedError:
            raise
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
    return dt.datetime.fromisoformat(_of_microseconds(text))


def _time(text: str) -> dt.time:
    value = dt.time.fromisoformat(_of_microseconds(text))
    if value.tzinfo is not None:
        raise ValueRefusedError("a time with a zone, and its column has none; leave the zone out")
    return value


def _of_microseconds(text: str) -> str:
    """A time as each version of Python reads it, which take 3 digits or 6, or cut what is behind.

    Raises:
        ValueRefusedError: It has more digits than microseconds have.
        ValueError: It has a point, and no digit behind it.
    """
    own = text[:-1] + "+00:00" if text[-1:] in {"Z", "z"} else text
    head, point, rest = own.replace(",", ".").partition(".")
    if not point:
        return own
    digits = len(rest) - len(rest.lstrip("0123456789"))
    if not digits:
        raise ValueError(text)
    kept, beyond = rest[:digits][:6], rest[:digits][6:]
    if beyond.strip("0"):
        raise ValueRefusedError("a time with nanoseconds, and microseconds are kept")
    return f"{head}.{kept.ljust(6, '0')}{rest[digits:]}"


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
    return _finite(float(text), text)


def _finite(number: float, text: str) -> float:
    """A float of a text, which is infinite only where the text says so."""
    if math.isinf(number) and "n" not in text.lower():
        raise ValueRefusedError("a number that is greater than each float")
    return number


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
    ColumnFamily.TIME: _said(_time, "time, as 23:59:59"),
    ColumnFamily.MOMENT: _said(_moment, "date and time, as 2026-01-31T12:00:00"),
    ColumnFamily.INSTANT: _said(_instant, "date and time, as 2026-01-31T12:00:00Z"),
    ColumnFamily.INTERVAL: _interval,
    ColumnFamily.BINARY: _bytes,
}
