"""Values as they are when they are given: what the application may change later is copied."""

from __future__ import annotations

import copy
import datetime as dt
import decimal
import uuid
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

from vinci_code.database.dialect.text.binding import Struct, Typed, parameter

_FIXED = frozenset(
    {
        type(None),
        bool,
        int,
        float,
        decimal.Decimal,
        str,
        bytes,
        dt.date,
        dt.datetime,
        dt.time,
        dt.timedelta,
        uuid.UUID,
    }
)


def settled(parameters: Sequence[Sequence[Any]]) -> list[Sequence[Any]]:
    """Return rows of parameters that nothing can change any more.

    Rows that hold nothing but values that cannot change are returned themselves.

    Raises:
        ProgrammingError: A value is of a type that has no form in SQL.
        DataError: No type of the warehouse can hold it.
    """
    rows = list(parameters)
    if _FIXED.issuperset(map(type, chain.from_iterable(rows))):
        return rows
    return [row if _FIXED.issuperset(map(type, row)) else tuple(map(_copied, row)) for row in rows]


def copied(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values, as an application gives them, that nothing can change any more."""
    return {
        key: value if type(value) in _FIXED else copy.deepcopy(value)
        for key, value in values.items()
    }


def _copied(value: Any) -> Any:
    """Return a value that is bound as this one is now, whatever happens to this one.

    A buffer becomes ``bytes``, and what is in a list, tuple or dictionary is copied as well;
    ``Struct`` and ``Typed`` stay what they are.

    Raises:
        ProgrammingError: It is of a type that has no form in SQL.
        DataError: No type of the warehouse can hold it.
    """
    if type(value) in _FIXED:
        return value
    for kind, make in _COPIES:
        if isinstance(value, kind):
            return make(value)
    # Of a type that cannot change, or that cannot be sent, which is better said now.
    parameter(value)
    return value


def _buffer(value: bytearray | memoryview) -> bytes:
    return memoryview(value).tobytes()


def _struct(value: Struct) -> Struct:
    return Struct(_dict(value))


def _dict(value: dict[Any, Any]) -> dict[Any, Any]:
    return {_copied(key): _copied(item) for key, item in value.items()}


def _list(value: list[Any]) -> list[Any]:
    return list(map(_copied, value))


def _tuple(value: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(map(_copied, value))


def _typed(value: Typed) -> Typed:
    return Typed(_copied(value.value), value.type)


_COPIES: tuple[tuple[type[Any], Callable[[Any], Any]], ...] = (
    (bytearray, _buffer),
    (memoryview, _buffer),
    (Struct, _struct),
    (dict, _dict),
    (list, _list),
    (tuple, _tuple),
    (Typed, _typed),
)
