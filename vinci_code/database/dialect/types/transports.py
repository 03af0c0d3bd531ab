"""How the values of a type travel in a payload: known from the type alone, never from the values.

So what is stored for one row depends on no other row: a ``Decimal`` keeps the digits that it has
beside one with more of them. A type of which nothing is known here has no transport.
"""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import types as sqltypes
from sqlalchemy.types import TypeEngine

from vinci_code.core.errors import ValueRefusedError
from vinci_code.database.dialect.text.binding import datetime_text, decimal_text, float_text
from vinci_code.database.dialect.types.base import innermost
from vinci_code.database.dialect.types.documents import VinciJSON
from vinci_code.database.dialect.types.nested import ARRAY, MAP, STRUCT
from vinci_code.database.dialect.types.numbers import (
    TINYINT,
    UNBOUNDED,
    VinciBoolean,
    VinciFloat,
    VinciInteger,
    VinciNumeric,
    effective_scale,
)
from vinci_code.database.dialect.types.texts import (
    VinciBinary,
    VinciEnum,
    VinciString,
    VinciUuid,
    as_text,
)
from vinci_code.database.dialect.types.times import (
    VinciDate,
    VinciDateTime,
    VinciInterval,
    VinciTime,
    plain_moment,
)

Column = Sequence[Any]
_Encode = Callable[[Column], Column]


class Transport(NamedTuple):
    """How the values of one type travel.

    Attributes:
        json: The type of the field in the JSON text.
        sql: The type of the column that is made of it.
        made: The expression that makes it, with ``{}`` for the field.
        kinds: The Python types that its values have.
        encode: Makes the JSON values of many; ``None`` where these are the values themselves.
        scale: How many digits after the point a value may have; ``None`` where that says nothing.
    """

    json: str
    sql: str
    made: str
    kinds: frozenset[type]
    encode: _Encode | None = None
    scale: int | None = None

    def holds(self, values: Column) -> bool:
        """Whether each of some values is one of the type, so that it is compared as it is."""
        if not set(map(type, values)) <= self.kinds:
            return False
        if self.scale is None:
            return True
        return all(value is None or _places(value) <= self.scale for value in values)

    def plain(self, value: Any) -> Any:
        """The value of the type that equals one of a subclass, or 2.0; any other as it is."""
        if type(value) in self.kinds:
            return value
        for kind, keep in _PLAIN:
            if kind in self.kinds:
                try:
                    return keep(value)
                except ValueRefusedError:
                    return value
        return value


def _plain_decimal(value: Any) -> Any:
    return decimal.Decimal(value) if isinstance(value, decimal.Decimal) else value


_PLAIN: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (int, VinciInteger().keep),
    (bool, VinciBoolean().keep),
    (float, VinciFloat().keep),
    (decimal.Decimal, _plain_decimal),
    (str, as_text),
    (bytes, VinciBinary().keep),
    (dt.date, VinciDate().keep),
    (dt.datetime, plain_moment),
)


def transport_of(kind: TypeEngine[Any], dialect: Any) -> Transport | None:
    """How values of a type travel, once its ``bind_processor`` has made them ready.

    Returns:
        The transport; ``None`` for a type of which that is not known, such as ``NullType`` or a
        ``UserDefinedType``, and for one of a comparison that makes numbers of text.
    """
    own = innermost(kind, dialect)
    if not getattr(own, "binds_stored", True):
        return None
    for base, made in _TRANSPORTS:
        if isinstance(own, base):
            return made if isinstance(made, Transport) else made(own)
    return None


def transport_named(sql: str) -> Transport | None:
    """The transport whose column has a type; ``None`` where there is none."""
    known = _NAMED.get(sql)
    if known is not None:
        return known
    found = _DECIMAL.fullmatch(sql)
    return None if found is None else _decimal_of(int(found[1]), int(found[2]))


def _kinds(*kinds: type) -> frozenset[type]:
    return frozenset({type(None), *kinds})


def _cast(kind: str, python: type, encode: _Encode | None = None) -> Transport:
    return Transport("string", kind, f"CAST({{}} AS {kind})", _kinds(python), encode)


def _decimals(values: Column) -> Column:
    return [None if value is None else decimal_text(value)[1] for value in values]


def _decimal(kind: sqltypes.Numeric[Any]) -> Transport:
    scale = effective_scale(kind)
    return _decimal_of(UNBOUNDED[0] if kind.precision is None else kind.precision, scale)


def _decimal_of(precision: int, scale: int) -> Transport:
    cast = _cast(f"DECIMAL({precision},{scale})", decimal.Decimal, _decimals)
    return cast._replace(scale=scale)


def _places(value: decimal.Decimal) -> int:
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        return 1 << 16  # NaN and infinity, which no DECIMAL is
    return max(0, -int(value.normalize().as_tuple().exponent)) if exponent < 0 else 0


def _floats(values: Column) -> Column:
    # The JSON encoder writes the shortest text that is read as the same number, as repr() does,
    # and null for what is no number.
    texts = orjson.dumps(values).decode("ascii")[1:-1].split(",")
    if "null" not in texts:
        return texts
    return [
        text if text != "null" else None if value is None else float_text(value)
        for text, value in zip(texts, values, strict=True)
    ]


def _instants(values: Column) -> Column:
    # What is in UTC is written by the JSON encoder as it is read again, and so is what has no zone.
    if {value.tzinfo for value in values if value is not None} <= {dt.timezone.utc}:
        return values
    return [None if value is None else _moment(value) for value in values]


def _moment(value: dt.datetime) -> str | None:
    rendered = datetime_text(value)
    return None if rendered is None else rendered[1]


def _base64(values: Column) -> Column:
    return [None if v is None else base64.b64encode(v).decode("ascii") for v in values]


BOOLEAN = Transport("boolean", "BOOLEAN", "{}", _kinds(bool))
BIGINT = Transport("bigint", "BIGINT", "{}", _kinds(int))
STRING = Transport("string", "STRING", "{}", _kinds(str))
_DOUBLE = _cast("DOUBLE", float, _floats)
_BINARY = Transport("string", "BINARY", "unbase64({})", _kinds(bytes), _base64)
_DATE = _cast("DATE", dt.date)
_WALL_CLOCK = _cast("TIMESTAMP_NTZ", dt.datetime)
_INSTANT = _cast("TIMESTAMP", dt.datetime, _instants)

_TRANSPORTS: tuple[tuple[Any, Any], ...] = (
    ((VinciInteger, TINYINT), BIGINT),
    (VinciBoolean, BOOLEAN),
    (VinciFloat, _DOUBLE),
    (VinciNumeric, _decimal),
    # A nested value is JSON text, too, of which the column's own expression makes the value.
    ((VinciString, VinciEnum, VinciUuid, VinciTime, VinciJSON, ARRAY, MAP, STRUCT), STRING),
    (VinciBinary, _BINARY),
    (VinciDate, _DATE),
    (VinciDateTime, lambda kind: _INSTANT if kind.timezone else _WALL_CLOCK),
    (VinciInterval, _WALL_CLOCK),
)

_NAMED = {
    kind.sql: kind
    for kind in (BIGINT, BOOLEAN, _DOUBLE, STRING, _BINARY, _DATE, _INSTANT, _WALL_CLOCK)
}
_DECIMAL = re.compile(r"DECIMAL\(([0-9]{1,3}),([0-9]{1,3})\)")
