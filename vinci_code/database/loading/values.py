"""The Python values of a column, as an application would give them to a commit.

``DOCUMENT`` and others take more than one type of Arrow: ``TAKEN`` has the table.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import types as sqltypes
from sqlalchemy.types import TypeEngine

from vinci_code.core.errors import LoadRefusedError, ValueRefusedError
from vinci_code.database.dialect.driver.rows import to_rows
from vinci_code.database.dialect.types.base import named
from vinci_code.database.dialect.types.numbers import VinciFloat, VinciNumeric
from vinci_code.database.loading.documents import document, require_finite
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
    elif _has_maps(own.type):
        _require_keys_once(own)
    values = [value for (value,) in to_rows(pa.table([own], ["value"]))]
    convert = converter(family, kind, own.type)
    return values if convert is None else converted(values, convert)


def _has_maps(kind: Any) -> bool:
    if pa.types.is_map(kind):
        return True
    if not pa.types.is_nested(kind):
        return False
    return any(_has_maps(kind.field(number).type) for number in range(kind.num_fields))


def _require_keys_once(column: Any) -> None:
    """Refuse a map that has a key twice, of which one value would be lost.

    Raises:
        BadValueError: There is one.
    """
    for index, value in enumerate(column.to_pylist()):
        if _has_a_key_twice(value, column.type):
            raise BadValueError(index, "a map that has one key twice")


def _has_a_key_twice(value: Any, kind: Any) -> bool:
    if value is None or not _has_maps(kind):
        return False
    if pa.types.is_struct(kind):
        return any(
            _has_a_key_twice(value[field.name], field.type)
            for field in (kind.field(number) for number in range(kind.num_fields))
        )
    if not pa.types.is_map(kind):
        return any(_has_a_key_twice(item, kind.value_type) for item in value)
    # A key may be a list or a struct, which has no hash.
    keys = [repr(key) for key, _ in value]
    return len(set(keys)) < len(keys) or any(
        _has_a_key_twice(item, kind.item_type) for _, item in value
    )


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


def null_of(kind: TypeEngine[Any]) -> Any:
    """What stands for NULL of Arrow, as JSON makes a document of ``None``."""
    own = undecorated(kind)
    if isinstance(own, sqltypes.JSON) and not own.none_as_null:
        from sqlalchemy import null

        return null()
    return None


def converter(family: ColumnFamily, kind: TypeEngine[Any], given: Any) -> Convert | None:
    """What is left to be done with the Python values that Arrow makes of a column.

    Args:
        family: The family of the table's column.
        kind: The type of the table's column.
        given: The type of Arrow.
    """
    own: Any = undecorated(kind)
    if family is ColumnFamily.UUID:
        if pa.types.is_binary(given):
            return lambda value: (
                uuid.UUID(bytes=value) if own.as_uuid else str(uuid.UUID(bytes=value))
            )
        return _uuid if own.as_uuid else lambda value: str(_uuid(value))
    if family is ColumnFamily.DOCUMENT:
        return document if pa.types.is_string(given) else require_finite
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
