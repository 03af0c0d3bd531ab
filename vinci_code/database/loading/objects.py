"""Columns of objects of pandas: what Arrow would refuse of their values is refused of them, too."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

from vinci_code.core.errors import ValueRefusedError
from vinci_code.database.dialect.types.base import named
from vinci_code.database.dialect.types.numbers import VinciBoolean, VinciInteger
from vinci_code.database.loading.families import ColumnFamily
from vinci_code.database.loading.values import converted


def object_values(values: Sequence[Any], family: ColumnFamily) -> list[Any]:
    """The values of a column of objects, for a column of a table.

    Args:
        values: The values.
        family: The family of the table's column.

    Raises:
        BadValueError: One loses something there.
    """
    check = _CHECKS.get(family)
    return list(values) if check is None else converted(values, check)


def _text(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueRefusedError(f"{named(value)}, and its column holds text; make it one")
    return value


def _moment(value: Any) -> Any:
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        raise ValueRefusedError(
            "a date and time with a zone, and its column has none; say whose clock is meant: "
            "tz_localize(None)"
        )
    return _whole(value)


def _instant(value: Any) -> Any:
    if isinstance(value, dt.datetime) and value.tzinfo is None:
        raise ValueRefusedError(
            "a date and time without a zone, and its column names instants; say which zone it is "
            "in: tz_localize"
        )
    return _whole(value)


def _day(value: Any) -> Any:
    if not isinstance(value, dt.datetime):
        return value
    if value.tzinfo is not None or _whole(value).time() != dt.time():
        raise ValueRefusedError("a time of day, or a zone, which a column of days would lose")
    return value.date()


def _whole(value: Any) -> Any:
    """Refuse what pandas has between two microseconds."""
    if getattr(value, "nanosecond", 0) or getattr(value, "nanoseconds", 0):
        raise ValueRefusedError("a time with nanoseconds, and microseconds are kept; round it")
    return value


_CHECKS: dict[ColumnFamily, Callable[[Any], Any]] = {
    ColumnFamily.INTEGER: VinciInteger().keep,
    ColumnFamily.BOOLEAN: VinciBoolean().keep,
    ColumnFamily.TEXT: _text,
    ColumnFamily.DATE: _day,
    ColumnFamily.MOMENT: _moment,
    ColumnFamily.INSTANT: _instant,
    ColumnFamily.INTERVAL: _whole,
}
