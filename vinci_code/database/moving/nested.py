"""ARRAY, MAP and STRUCT as JSON: in the form in which ``to_json`` writes them, and back.

Taken are those whose parts have one form in JSON: whole numbers, decimals, truth values, text and
dates, and maps whose keys are text. A field of a STRUCT that is NULL is not written, and so what is
not there is NULL again. https://docs.databricks.com/aws/en/sql/language-manual/functions/to_json
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from sqlalchemy import types as sqltypes
from sqlalchemy.types import TypeEngine

from vinci_code.database.dialect.types.nested import ARRAY, MAP, STRUCT
from vinci_code.database.moving.errors import NoPlainValueError

NESTED = (ARRAY, MAP, STRUCT)

_Made = Callable[[Any], Any]


def inexact_part(kind: TypeEngine[Any]) -> str | None:
    """The first part of a nested type that JSON has no exact form for; ``None`` without one."""
    if isinstance(kind, ARRAY):
        return inexact_part(kind.item_type)
    if isinstance(kind, MAP):
        return inexact_part(kind.value_type) if kind.has_text_keys else "a MAP by other than text"
    if isinstance(kind, STRUCT):
        found = (inexact_part(one) for _, one in kind.fields)
        return next((one for one in found if one is not None), None)
    is_decimal = isinstance(kind, sqltypes.Numeric) and not isinstance(kind, sqltypes.Float)
    is_text = isinstance(kind, sqltypes.String) and not isinstance(kind, sqltypes.Enum)
    is_plain = isinstance(kind, (sqltypes.Integer, sqltypes.Boolean, sqltypes.Date))
    return None if is_decimal or is_text or is_plain else str(kind)


def value_of(kind: TypeEngine[Any]) -> _Made:
    """What makes the value of a nested type, as Arrow takes it, of its text.

    It raises ``NoPlainValueError`` for a text that is none of the type, or of which a part would be
    lost.
    """
    make = _part(kind)

    def read(text: str) -> Any:
        try:
            document = json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            raise NoPlainValueError("found a text that is no JSON document") from None
        return make(document)

    return read


def arrow_type(kind: TypeEngine[Any], pa: Any) -> Any:
    """The type of Arrow that a nested type is."""
    if isinstance(kind, ARRAY):
        return pa.list_(arrow_type(kind.item_type, pa))
    if isinstance(kind, MAP):
        return pa.map_(pa.string(), arrow_type(kind.value_type, pa))
    if isinstance(kind, STRUCT):
        return pa.struct([pa.field(name, arrow_type(one, pa)) for name, one in kind.fields])
    if isinstance(kind, sqltypes.Numeric):
        return pa.decimal128(kind.precision or 10, kind.scale or 0)
    for base, made in (
        (sqltypes.Integer, pa.int64()),
        (sqltypes.Boolean, pa.bool_()),
        (sqltypes.Date, pa.date32()),
    ):
        if isinstance(kind, base):
            return made
    return pa.string()


def _part(kind: TypeEngine[Any]) -> _Made:
    if isinstance(kind, ARRAY):
        return _list_of(_nullable(_part(kind.item_type)))
    if isinstance(kind, MAP):
        return _pairs_of(_nullable(_part(kind.value_type)))
    if isinstance(kind, STRUCT):
        return _fields_of({name: _nullable(_part(one)) for name, one in kind.fields})
    if isinstance(kind, sqltypes.Numeric):
        return _decimal
    if isinstance(kind, sqltypes.Date):
        return _date
    if isinstance(kind, sqltypes.Boolean):
        return _of_class(bool)
    return _of_class(int if isinstance(kind, sqltypes.Integer) else str)


def _nullable(make: _Made) -> _Made:
    return lambda value: None if value is None else make(value)


def _list_of(make: _Made) -> _Made:
    check = _of_class(list)
    return lambda value: [make(one) for one in check(value)]


def _pairs_of(make: _Made) -> _Made:
    check = _of_class(dict)
    return lambda value: [(key, make(one)) for key, one in check(value).items()]


def _fields_of(parts: dict[str, _Made]) -> _Made:
    check = _of_class(dict)

    def read(value: Any) -> Any:
        if set(check(value)) - set(parts):
            raise NoPlainValueError("found an object with a field that the STRUCT has not")
        return {name: make(value.get(name)) for name, make in parts.items()}

    return read


def _of_class(wanted: type) -> _Made:
    def read(value: Any) -> Any:
        if type(value) is not wanted:
            raise NoPlainValueError(
                f"found a {type(value).__name__} in a document where a {wanted.__name__} is wanted"
            )
        return value

    return read


def _decimal(value: Any) -> Decimal:
    if type(value) not in (int, Decimal):
        raise NoPlainValueError("found something else in a document where a number is wanted")
    return Decimal(value)


def _date(value: Any) -> dt.date:
    try:
        return dt.date.fromisoformat(value)
    except (TypeError, ValueError):
        raise NoPlainValueError("found no date in a document where one is wanted") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)
