"""What the columns of tables have in common, as far as it says what a value for them may be."""

from __future__ import annotations

from enum import Enum
from typing import Any

from sqlalchemy import types as sqltypes
from sqlalchemy.types import TypeDecorator, TypeEngine

from vinci_code.database.dialect.types.nested import ARRAY, MAP, STRUCT
from vinci_code.database.models.types import StrictText, UtcDateTime


class ColumnFamily(Enum):
    """A family of types; the value is what its columns hold, for messages."""

    INTEGER = "whole numbers"
    BOOLEAN = "truth values"
    FLOAT = "floats"
    NUMERIC = "decimal numbers"
    TEXT = "text"
    ENUM = "names of an Enum"
    UUID = "UUIDs"
    DOCUMENT = "JSON documents"
    BINARY = "bytes"
    DATE = "days"
    TIME = "times of day"
    MOMENT = "dates and times without a zone"
    INSTANT = "dates and times with a zone"
    INTERVAL = "lengths of time"
    NESTED = "lists, maps or structs"
    OTHER = "values of a type of the application's"


def family_of(kind: TypeEngine[Any]) -> ColumnFamily:
    """The family of a type.

    A ``TypeDecorator`` that makes other values of those that it is given is one of the
    application's; any other is of the family of the type that it is made of.
    """
    own = undecorated(kind)
    if own is None:
        return ColumnFamily.OTHER
    if isinstance(own, UtcDateTime):
        return ColumnFamily.INSTANT
    if isinstance(own, sqltypes.DateTime):
        return ColumnFamily.INSTANT if own.timezone else ColumnFamily.MOMENT
    return next((family for base, family in _FAMILIES if isinstance(own, base)), ColumnFamily.OTHER)


def undecorated(kind: TypeEngine[Any]) -> TypeEngine[Any] | None:
    """The type that takes the values of a type as they are; ``None`` where a decorator does."""
    own: Any = kind
    while isinstance(own, TypeDecorator) and not isinstance(own, _KNOWN):
        if any(
            getattr(type(own), name) is not getattr(TypeDecorator, name)
            for name in ("process_bind_param", "bind_processor", "bind_expression")
        ):
            return None
        own = own.impl_instance
    found: TypeEngine[Any] = own
    return found


_KNOWN = (sqltypes.Interval, StrictText, UtcDateTime)

# Enum is a String, and Float a Numeric, by their classes.
_FAMILIES: tuple[tuple[Any, ColumnFamily], ...] = (
    (sqltypes.Integer, ColumnFamily.INTEGER),
    (sqltypes.Boolean, ColumnFamily.BOOLEAN),
    (sqltypes.Float, ColumnFamily.FLOAT),
    (sqltypes.Numeric, ColumnFamily.NUMERIC),
    (sqltypes.Enum, ColumnFamily.ENUM),
    ((sqltypes.String, StrictText), ColumnFamily.TEXT),
    (sqltypes.Uuid, ColumnFamily.UUID),
    (sqltypes.JSON, ColumnFamily.DOCUMENT),
    (sqltypes.LargeBinary, ColumnFamily.BINARY),
    (sqltypes.Date, ColumnFamily.DATE),
    (sqltypes.Time, ColumnFamily.TIME),
    (sqltypes.Interval, ColumnFamily.INTERVAL),
    ((ARRAY, MAP, STRUCT, sqltypes.ARRAY), ColumnFamily.NESTED),
)
