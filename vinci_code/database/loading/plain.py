"""Columns of Arrow in the few types that stand for all others: every value is the same, or refused.

================================================  ================================================
a column of                                       becomes one of
================================================  ================================================
dictionary (categorical), run-end encoded         the type of its values
large_string, string_view                         ``string``
large_binary, binary_view, fixed_size_binary      ``binary``
float16, float32                                  ``float64``
timestamp in s, ms, ns                            ``timestamp[us]``; its zone is UTC
time32, time64[ns]                                ``time64[us]``
date64                                            ``date32``
duration in s, ms, ns                             ``duration[us]``
large_list, fixed_size_list, list_view            ``list``
list, struct, map                                 the same of plain types
the extension ``arrow.uuid``, ``arrow.json``      ``binary`` of 16 bytes, ``string``
================================================  ================================================

What lies between two microseconds, or outside of the years 1 to 9999, is refused. Intervals of
months, unions and other extensions have no plain type.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


class NoPlainTypeError(ValueError):
    """A type of Arrow that no column of a table takes; the message is the reason."""


class BadValueError(ValueError):
    """A value of a column that cannot be stored; the message is the reason.

    Attributes:
        index: Where it stands in the column, from 0.
    """

    def __init__(self, index: int, reason: str) -> None:
        self.index = index
        super().__init__(reason)


def plain_type(kind: Any) -> Any:
    """The plain type that a type becomes.

    Raises:
        NoPlainTypeError: There is none.
    """
    t = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        if kind.extension_name not in {"arrow.uuid", "arrow.json"}:
            raise NoPlainTypeError(f"it is of the extension type {kind.extension_name}")
        return plain_type(kind.storage_type)
    if t.is_dictionary(kind) or t.is_run_end_encoded(kind):
        return plain_type(kind.value_type)
    if t.is_timestamp(kind):
        return pa.timestamp("us", None if kind.tz is None else "UTC")
    if any(accepts(kind) for accepts in _SAME):
        return kind
    found = next((made for accepts, made in _SIMPLE if accepts(kind)), None)
    return _nested_type(kind) if found is None else found


def _nested_type(kind: Any) -> Any:
    if pa.types.is_map(kind):
        return pa.map_(plain_type(kind.key_type), plain_type(kind.item_type))
    if pa.types.is_struct(kind):
        fields = [kind.field(number) for number in range(kind.num_fields)]
        names = [field.name for field in fields]
        for name in names:
            if names.count(name) > 1:
                raise NoPlainTypeError(f"it is a struct that has two fields called {name!r}")
        return pa.struct([pa.field(field.name, plain_type(field.type)) for field in fields])
    if any(accepts(kind) for accepts in _LISTS):
        return pa.list_(plain_type(kind.value_type))
    raise NoPlainTypeError(f"it is of Arrow's type {kind}")


def plain(column: Any) -> Any:
    """A column in its plain type.

    Raises:
        BadValueError: A value of it has no plain one.
        NoPlainTypeError: None has.
    """
    wanted = plain_type(column.type)
    found = column
    if isinstance(found.type, pa.BaseExtensionType):
        found = found.storage
    if pa.types.is_run_end_encoded(found.type):
        found = pc.run_end_decode(found)
    if pa.types.is_dictionary(found.type):
        found = found.dictionary_decode()
        return plain(found)
    return _within_years(_valid(cast(found, wanted)))


def cast(column: Any, wanted: Any, reason: str | None = None) -> Any:
    """A column in another type, every value of which is equal.

    Raises:
        BadValueError: A value has none that is equal.
    """
    if column.type == wanted:
        return column
    try:
        return column.cast(wanted)
    except pa.ArrowNotImplementedError:
        raise NoPlainTypeError(f"Arrow makes no {wanted} of its type {column.type}") from None
    except pa.ArrowInvalid:
        index = _first(column, lambda part: part.cast(wanted))
        raise BadValueError(index, reason or _reason(column.type, wanted)) from None


def first_true(flags: Any) -> int | None:
    """Where the first true value of a column stands."""
    found: int = pc.index(flags, value=True).as_py()
    return None if found < 0 else found


def _first(column: Any, attempt: Callable[[Any], object]) -> int:
    """Where the first value stands with which something fails."""
    begin, end = 0, len(column)
    while end - begin > 1:
        middle = (begin + end) // 2
        try:
            attempt(column.slice(begin, middle - begin))
        except pa.ArrowInvalid:
            end = middle
        else:
            begin = middle
    return begin


def _reason(kind: Any, wanted: Any) -> str:
    if pa.types.is_timestamp(kind) and kind.unit != "ns":
        return "a time outside of the years 1 to 9999"
    if pa.types.is_timestamp(kind):
        return (
            "a time with nanoseconds, and microseconds are kept; round it first, as with "
            "pyarrow.compute.round_temporal. INT96 of Parquet of before 1677 or after 2262 is read "
            "so, too: write it as TIMESTAMP_MICROS"
        )
    if pa.types.is_time(kind) or pa.types.is_duration(kind):
        return (
            "a time that microseconds do not hold, and microseconds are kept; round it first, as "
            "with pyarrow.compute.round_temporal"
        )
    if pa.types.is_date64(kind):
        return "a date64 with a time of day, which would be lost; load it as a timestamp"
    if pa.types.is_nested(kind):
        return "a list, map or struct with a value that microseconds do not hold"
    return f"a value that {wanted} does not hold"


def _valid(column: Any) -> Any:
    """Refuse text that is no UTF-8, which nobody has looked at in a file or a frame."""
    if not pa.types.is_string(column.type) and not pa.types.is_nested(column.type):
        return column
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        index = _first(column, lambda part: part.validate(full=True))
        raise BadValueError(index, "text that is no Unicode") from None
    return column


def _within_years(column: Any) -> Any:
    """Refuse what lies outside of the years 1 to 9999, where Python and SQL have no times."""
    if pa.types.is_timestamp(column.type):
        numbers, least, greatest = column.cast(pa.int64()), _FIRST_US, _LAST_US
    elif pa.types.is_date32(column.type):
        numbers, least, greatest = column.cast(pa.int32()), _FIRST_DAY, _LAST_DAY
    else:
        return column
    outside = pc.or_(pc.less(numbers, least), pc.greater(numbers, greatest))
    index = first_true(outside)
    if index is not None:
        raise BadValueError(index, "a time outside of the years 1 to 9999")
    return column


_FIRST_US, _LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896

_SIMPLE: tuple[tuple[Callable[[Any], bool], Any], ...] = (
    (pa.types.is_large_string, pa.string()),
    (pa.types.is_string_view, pa.string()),
    (pa.types.is_large_binary, pa.binary()),
    (pa.types.is_binary_view, pa.binary()),
    (pa.types.is_fixed_size_binary, pa.binary()),
    (pa.types.is_floating, pa.float64()),
    (pa.types.is_time, pa.time64("us")),
    (pa.types.is_date64, pa.date32()),
    (pa.types.is_duration, pa.duration("us")),
)
_SAME = (
    pa.types.is_null,
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_decimal,
    pa.types.is_string,
    pa.types.is_binary,
    pa.types.is_date32,
)
_LISTS = (
    pa.types.is_list,
    pa.types.is_large_list,
    pa.types.is_fixed_size_list,
    pa.types.is_list_view,
    pa.types.is_large_list_view,
)
