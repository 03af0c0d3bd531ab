"""What a row was loaded with, compared in the statement that changes it.

In a set of rows each has further parameters for it; in a statement of its own there are markers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy.schema import Column
from sqlalchemy.types import Float, Interval, Numeric, TypeDecorator

from vinci_code.database.dialect.types.base import innermost
from vinci_code.database.dialect.types.documents import VinciJSON
from vinci_code.database.dialect.types.nested import ARRAY, MAP, STRUCT
from vinci_code.database.dialect.types.texts import VinciEnum, VinciUuid
from vinci_code.database.dialect.types.times import VinciTime
from vinci_code.database.dialect.types.transports import BOOLEAN, STRING, Transport, transport_of
from vinci_code.database.dialect.writes.shapes import ROWS, Loaded, Shape, letters

LONGEST = 100
"""Characters, or bytes, of a value that is sent as it is; of a longer one its SHA-256 is sent."""

Expected = dict[str, Any]
"""What the columns of a row are to hold, by their names, in the form in which it is stored."""

_SEVERAL_FORMS = (VinciJSON, VinciUuid, VinciTime, ARRAY, MAP, STRUCT)
_HASHED = (str, bytes)


def comparable(column: Column[Any], dialect: Any) -> Transport | None:
    """How the values of a column travel to be compared; ``None`` where they cannot be."""
    kind = column.type
    # SQLAlchemy's own Interval is a TypeDecorator, too, and has one stored form.
    is_known = type(kind) is Interval or getattr(kind, "compare_and_set", False)
    if isinstance(kind, TypeDecorator) and not is_known:
        return None
    own = innermost(kind, dialect)
    if isinstance(own, _SEVERAL_FORMS) or _has_aliases(own):
        return None
    if isinstance(own, Numeric) and not isinstance(own, Float) and not own.asdecimal:
        return None
    return transport_of(kind, dialect)


def _has_aliases(kind: Any) -> bool:
    """Whether several names are read as one member, as of ``Enum(omit_aliases=False)``."""
    if not isinstance(kind, VinciEnum):
        return False
    members = kind._object_lookup.values()
    return len({id(member) for member in members}) < len(members)


# --- in a shape -----------------------------------------------------------------------------------


def with_loaded(shape: Shape, dialect: Any) -> Shape:
    """The shape of an UPDATE that checks what is stored in the columns that it writes."""
    transports = list(shape.transports)
    loaded = []
    for item in shape.values:
        kind = comparable(item.column, dialect) if item.is_plain else None
        if kind is None or item.column.primary_key:
            continue
        first = len(transports)
        hashed = not kind.kinds.isdisjoint(_HASHED)
        transports += [BOOLEAN, kind, *([STRING] * hashed)]
        loaded.append(Loaded(item.name, item.column.name, first, hashed))
    return shape.checking(tuple(loaded), tuple(transports))


def with_expected(
    shape: Shape, rows: Sequence[Sequence[Any]], expected: Iterable[Expected | None]
) -> list[tuple[Any, ...]]:
    """Rows with what is to be stored before; where nothing is known, everything is right."""
    checked = [(item.column, item.hashed) for item in shape.loaded]
    made = []
    for row, wanted in zip(rows, expected, strict=True):
        extra: list[Any] = []
        for name, hashed in checked:
            if wanted is None or name not in wanted:
                extra += (True, None, None) if hashed else (True, None)
                continue
            extra += (None, *sent(wanted[name], hashed))
        made.append((*row, *extra))
    return made


def sent(value: Any, hashed: bool) -> tuple[Any, ...]:
    """A value, or the SHA-256 of a long one, as it is sent to be compared."""
    if not hashed:
        return (value,)
    if value is not None and len(value) > LONGEST:
        return None, _digest(value)
    return value, None


def _digest(value: str | bytes) -> str:
    """The SHA-256 of a value as the warehouse's ``sha2`` gives it."""
    data = value.encode() if isinstance(value, str) else value
    return hashlib.sha256(data).hexdigest()


def conditions(shape: Shape) -> Iterator[str]:
    """The conditions under which what a row was loaded with is still stored."""
    for item in shape.loaded:
        column = f"{shape.target}.{item.name}"
        any_value, value = (f"{ROWS}.{letters(item.first + n)}" for n in (0, 1))
        other = f"{ROWS}.{letters(item.first + 2)}" if item.hashed else None
        yield condition(column, any_value, value, other)


def condition(column: str, any_value: str, value: str, other: str | None) -> str:
    """The condition that a column holds a value, as SQL.

    Args:
        column: The column.
        any_value: Whether any value is right.
        value: The value.
        other: The SHA-256 of a long one; ``None`` where none is so long.
    """
    same = f"{column} <=> {value}"
    if other is not None:
        same = f"CASE WHEN {other} IS NULL THEN {same} ELSE sha2({column}, 256) = {other} END"
    return f"({any_value} OR {same})"


def still_holds(item: Loaded, written: Any, row: Sequence[Any]) -> bool:
    """Whether what the same unit has written to a column is what a change of it expects."""
    if row[item.first]:
        return True
    if item.hashed and row[item.first + 2] is not None:
        return written is not None and _digest(written) == row[item.first + 2]
    expected = row[item.first + 1]
    # NaN is NaN on the warehouse, whichever object it is.
    same: bool = written is expected or written == expected
    return same or (written != written and expected != expected)


# --- in a statement that is no shape --------------------------------------------------------------


class Checked(NamedTuple):
    """A column that a statement for one row compares with what was loaded.

    Attributes:
        name: Its name as SQL.
        column: Its name.
        sql: The type that it is compared as.
        hashed: Whether of a long value its SHA-256 is sent.
    """

    name: str
    column: str
    sql: str
    hashed: bool


def checked(column: Column[Any], name: str, dialect: Any) -> Checked | None:
    """How a column that is set to a plain value is checked; ``None`` where it cannot be."""
    kind = comparable(column, dialect)
    if kind is None or column.primary_key:
        return None
    return Checked(name, column.name, kind.sql, not kind.kinds.isdisjoint(_HASHED))


def marked(item: Checked, target: str) -> str:
    """The condition that a column holds what it was loaded with, with markers for values."""
    other = "CAST(? AS STRING)" if item.hashed else None
    column = f"{target}.{item.name}"
    return condition(column, "CAST(? AS BOOLEAN)", f"CAST(? AS {item.sql})", other)


def marked_values(items: Iterable[Checked], expected: Expected | None) -> Iterator[Any]:
    """The values for the markers; where nothing is known, everything is right."""
    for item in items:
        known = expected is not None and item.column in expected
        compared = sent(expected[item.column] if expected and known else None, item.hashed)
        yield not known
        if item.hashed:
            # Of these the first stands in the condition twice.
            value, other = compared
            yield from (other, value, other)
        else:
            yield from compared
