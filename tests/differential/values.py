"""Values for columns, few of each type, so that keys collide; and how Python writes them."""

from __future__ import annotations

import datetime as dt
import enum
import random
import uuid
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from tests.differential.tables import Colour

_IDS = [1, 2, 3, 4, 5, 6, 7, 8]
_NUMBERS = [0, 1, 2, 3, 4, 5, 7, -1, 9]
_NAMES = ["a", "b", "c", "d", "A", "e", "f"]
# None beyond ASCII has two cases: upper, lower and LIKE of SQLite fold the letters of ASCII alone.
_TEXTS = ["a", "b", "A", "", "x y", "日", "it's", "9", "new", "%", "😀"]
_UUIDS = [uuid.UUID(int=n) for n in (1, 2, 3, 0xABCDEF << 100)]

_BY_TYPE: list[tuple[type[Any], list[Any]]] = [
    (sa.Enum, list(Colour)),
    (sa.Boolean, [True, False]),
    (sa.Interval, [dt.timedelta(seconds=5), dt.timedelta(days=2, microseconds=7)]),
    (sa.JSON, [{"a": 1}, [1, "b", None], "text", 5, 1.5, {}, {"k": {"é": [True]}}]),
    (sa.LargeBinary, [b"", b"a", b"\x00\xff", b"longer than a few"]),
    (
        sa.DateTime,
        [dt.datetime(2024, 1, 2, 3, 4, 5), dt.datetime(1999, 12, 31, 23, 59, 59, 999999)],
    ),
    (sa.Date, [dt.date(2024, 2, 29), dt.date(1970, 1, 1)]),
    (sa.Time, [dt.time(1, 2, 3), dt.time(23, 59, 59, 5)]),
    (sa.Uuid, _UUIDS),
    (sa.Float, [0.5, -1.25, 3.0, 1e10, 0.1]),
    (sa.Numeric, [Decimal("1.10"), Decimal(0), Decimal("2.5"), Decimal("99.99"), Decimal(7)]),
    (sa.BigInteger, [1, 2, -5, 2**53 + 1, 2**62]),
    (sa.Integer, _NUMBERS),
    (sa.String, _TEXTS),
]
# What a column holds that says more than its type.
_SPECIAL: dict[str, list[Any]] = {
    "animal.kind": ["animal", "dog", "cat"],
    "person.kind": ["person"],
    "mail.gone": [0, 0, 1],
    "account.version": [1, 1, 2],
    "item.price": [Decimal("1.10"), Decimal(0), Decimal("20.00"), Decimal(-1)],
    "part.qty": [0, 1, 2, 3, 3, 4, 5, 6, -1],
}


FILLED = 3
"""How many of the values of a key a filled table holds at least: the first ones."""


def value_for(chooser: random.Random, column: sa.Column[Any]) -> Any:
    """A value for a column, sometimes ``None`` where it may be missing."""
    if chooser.random() < 0.004 and not column.foreign_keys:
        return _odd(chooser, column)
    if column.nullable and chooser.random() < (0.4 if column.foreign_keys else 0.15):
        return None
    values = domain(column)
    if column.foreign_keys and chooser.random() < 0.8:
        values = values[:FILLED]
    return chooser.choice(values)


def _odd(chooser: random.Random, column: sa.Column[Any]) -> Any:
    """A value of another type, which SQLite keeps as it pleases, and the warehouse may refuse."""
    if isinstance(column.type, sa.Integer):
        return chooser.choice(["5", True, Decimal(4)])
    if isinstance(column.type, sa.String) and not isinstance(column.type, sa.Enum):
        return chooser.choice([5, True, 2.5])
    if isinstance(column.type, (sa.Numeric, sa.Float)):
        return chooser.choice([3, True])
    return chooser.choice(domain(column))


def domain(column: sa.Column[Any]) -> list[Any]:
    """The values that a column may be given."""
    special = _SPECIAL.get(str(column))
    if special is not None:
        return special
    for foreign in column.foreign_keys:
        return domain(foreign.column)
    keyed = column.primary_key or column.unique
    if isinstance(column.type, sa.Integer) and keyed and not isinstance(column.type, sa.BigInteger):
        return _IDS
    if isinstance(column.type, sa.String) and keyed and not isinstance(column.type, sa.Enum):
        return _NAMES
    return next(values for kind, values in _BY_TYPE if isinstance(column.type, kind))


def written(value: Any) -> str:
    """A value as Python."""
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Source):
        return value.text
    return repr(value)


class Source:
    """A piece of Python that stands where a value may stand.

    Args:
        text: The Python.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text
