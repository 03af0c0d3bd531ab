"""Values as JSON, of which the same values are made again: equal, and of the same types.

What JSON has is written as it is: ``None``, truth values, text, numbers of 64 bits. Values of
another type are written as what their name says in ``_SORTS``. All values of a column have one type
for the most part, so it is named once for the column; where they have several, for each value.
"""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import math
import uuid
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from vinci_code.database.dialect.dberrors import NotSupportedError
from vinci_code.database.dialect.text.binding import Struct, Typed

_PLAIN = frozenset({bool, int, float, str})
# Of which JSON holds every value.
_EXACT = frozenset({bool, str, type(None)})
_LEAST, _GREATEST = -(2**63), 2**63 - 1
_SORT, _VALUES = "sort", "values"
_ANY = "any"
# Behind a moment that is the second of its name, when the clock is put back.
_FOLD = "F"


def packed(values: Sequence[Any]) -> Any:
    """What a column of values is in JSON.

    Raises:
        NotSupportedError: A value is of a type that cannot be kept.
    """
    kinds = set(map(type, values))
    kinds.discard(type(None))
    if kinds <= _PLAIN and _is_plain(values, kinds):
        return values
    if len(kinds) > 1:
        return {_SORT: _ANY, _VALUES: [packed([value]) for value in values]}
    (kind,) = kinds
    sort = _BY_TYPE.get(kind)
    if sort is None and kind.__module__.partition(".")[0] == "numpy" and hasattr(kind, "item"):
        # Each knows the Python value that it is sent as.
        plain = [None if value is None else value.item() for value in values]
        if kind not in set(map(type, plain)):
            return packed(plain)
    if sort is None:
        raise NotSupportedError(
            "it cannot be kept while the warehouse is away: a value of the type "
            f"{kind.__module__}.{kind.__qualname__} is none that is made again of what is kept\n"
            "To fix it: convert it to one of bool, int, float, Decimal, str, bytes, date, "
            "datetime, time, timedelta, UUID, list or dict."
        )
    return {_SORT: sort.name, _VALUES: sort.pack(values)}


def packed_row(row: Sequence[Any]) -> list[Any]:
    """What the columns of one row are in JSON: most values are written as they are.

    Raises:
        NotSupportedError: A value is of a type that cannot be kept.
    """
    return [[value] if type(value) in _EXACT else packed([value]) for value in row]


def unpacked(column: Any) -> Sequence[Any]:
    """The values of a column.

    Raises:
        ValueError: It is none that ``packed`` has made; so do KeyError and TypeError say.
    """
    if isinstance(column, list):
        return column
    sort, values = column[_SORT], column[_VALUES]
    if sort == _ANY:
        return [value for item in values for value in unpacked(item)]
    return _BY_NAME[sort].unpack(values)


def _is_plain(values: Sequence[Any], kinds: set[type]) -> bool:
    """Whether JSON holds each of some values of its own types exactly."""
    if int in kinds:
        numbers = values if kinds == {int} and None not in values else _of(int, values)
        if min(numbers) < _LEAST or max(numbers) > _GREATEST:
            return False
    return float not in kinds or all(map(math.isfinite, _of(float, values)))


def _of(kind: type, values: Sequence[Any]) -> list[Any]:
    return [value for value in values if type(value) is kind]


class _Sort(NamedTuple):
    """How values of one type are written; ``None`` among them is ``null``.

    Attributes:
        name: What the type is called.
        pack: What they are in JSON.
        unpack: The values again.
    """

    name: str
    pack: Callable[[Sequence[Any]], Sequence[Any]]
    unpack: Callable[[Sequence[Any]], Sequence[Any]]


def _each(name: str, pack: Callable[[Any], Any], unpack: Callable[[Any], Any]) -> _Sort:
    def pack_all(values: Sequence[Any]) -> Sequence[Any]:
        return [None if value is None else pack(value) for value in values]

    def unpack_all(values: Sequence[Any]) -> Sequence[Any]:
        return [None if value is None else unpack(value) for value in values]

    return _Sort(name, pack_all, unpack_all)


def _as_written(name: str, unpack: Callable[[Any], Any]) -> _Sort:
    """Of values that the JSON encoder itself writes as texts of ISO 8601 or RFC 9562."""
    return _each(name, lambda value: value, unpack)._replace(pack=lambda values: values)


def _moments(values: Sequence[Any]) -> Sequence[Any]:
    zones = {value.tzinfo for value in values if value is not None}
    if zones <= {None, dt.timezone.utc} and not any(v.fold for v in values if v is not None):
        return values  # which the JSON encoder writes as isoformat() does
    return [None if value is None else _iso(value) for value in values]


def _iso(value: dt.datetime | dt.time) -> str:
    return f"{value.isoformat()}{_FOLD if value.fold else ''}"


def _moment(text: str) -> dt.datetime:
    if not text.endswith(_FOLD):
        return dt.datetime.fromisoformat(text)
    return dt.datetime.fromisoformat(text.removesuffix(_FOLD)).replace(fold=1)


def _time(text: str) -> dt.time:
    if not text.endswith(_FOLD):
        return dt.time.fromisoformat(text)
    return dt.time.fromisoformat(text.removesuffix(_FOLD)).replace(fold=1)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _span(value: dt.timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


def _pairs(value: dict[Any, Any]) -> list[Any]:
    return [packed(list(value.keys())), packed(list(value.values()))]


def _dict(pairs: list[Any]) -> dict[Any, Any]:
    keys, values = map(unpacked, pairs)
    return dict(zip(keys, values, strict=True))


_SORTS: dict[type, _Sort] = {
    # Those that JSON does not hold: longer than 64 bits, NaN and infinite.
    int: _each("int", hex, lambda text: int(text, 16)),
    float: _each("float", repr, float),
    decimal.Decimal: _each("decimal", str, decimal.Decimal),
    bytes: _each("bytes", _base64, _bytes),
    dt.date: _as_written("date", dt.date.fromisoformat),
    dt.datetime: _each("datetime", _iso, _moment)._replace(pack=_moments),
    dt.time: _each("time", _iso, _time),
    dt.timedelta: _each("timedelta", _span, lambda parts: dt.timedelta(*parts)),
    uuid.UUID: _as_written("uuid", uuid.UUID),
    list: _each("list", packed, lambda column: list(unpacked(column))),
    tuple: _each("tuple", packed, lambda column: tuple(unpacked(column))),
    dict: _each("dict", _pairs, _dict),
    Struct: _each("struct", _pairs, lambda pairs: Struct(_dict(pairs))),
    Typed: _each(
        "typed",
        lambda value: [packed([value.value]), value.type],
        lambda parts: Typed(unpacked(parts[0])[0], parts[1]),
    ),
}
_BY_TYPE = _SORTS
_BY_NAME = {sort.name: sort for sort in _SORTS.values()}
