"""Column types that hold the same values on SQLite and on Databricks.

What one of the two cannot hold unchanged is refused on both, with a ``ValueRefusedError``, before
anything is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Integer, String
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from vinci_code.core.errors import ValueRefusedError

# SQLite gives out keys for a column of exactly the type INTEGER; its integers have 64 bits as well.
INTEGER_KEY = BigInteger().with_variant(Integer(), "sqlite")

MAX_JSON_DEPTH = 100
"""How many levels a JSON document may have; what a parser manages depends on its stack."""

# None is stored as SQL's NULL, so that `IS NULL` finds it; JSON's own null only stands inside.
JSON_VALUE = JSON(none_as_null=True)


class StrictText(TypeDecorator[str]):
    """Text, and nothing that a database would quietly turn into text.

    SQLite stores the number 5 in a column of text as ``'5'`` and bytes as they are, which then read
    back as something else.
    """

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Hand text on.

        Raises:
            ValueRefusedError: The value is no ``str``, or holds a lone surrogate, which no
                database can store.
        """
        if value is None:
            return None
        if not isinstance(value, str):
            raise ValueRefusedError(f"text is wanted here, found a {type(value).__name__}")
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise ValueRefusedError(f"text that is no Unicode: {error.reason}") from None
        return value


def utc_now() -> datetime:
    """The present instant, aware, in UTC."""
    return datetime.now(timezone.utc)


class UtcDateTime(TypeDecorator[datetime]):
    """An instant, to the microsecond: aware on the way in, aware in UTC on the way out.

    A naive value is refused: which instant it means depends on who reads it. On SQLite it is kept
    as text in UTC, ``2018-01-31 01:49:59.650000``, which sorts in the order of time; elsewhere as a
    timestamp with time zone.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Use SQLite's text form there, a timestamp with time zone elsewhere."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sqlite.DATETIME())  # type: ignore[no-untyped-call]
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Bring an aware value to UTC; refuse anything else.

        Raises:
            ValueRefusedError: The value is naive, no ``datetime``, has nanoseconds, or lies outside
                of the years 1 to 9999 in UTC.
        """
        if value is None:
            return None
        if not isinstance(value, datetime):
            raise ValueRefusedError(
                f"a date and time is wanted here, found a {type(value).__name__}; "
                "pass an aware datetime, such as datetime.now(timezone.utc)"
            )
        if getattr(value, "nanosecond", 0):
            raise ValueRefusedError(
                f"{value.isoformat()} has nanoseconds, and microseconds are kept; round it first"
            )
        if value.utcoffset() is None:
            raise ValueRefusedError(
                f"{value.isoformat()} has no time zone, so it names no instant; "
                "pass an aware datetime, such as value.replace(tzinfo=timezone.utc)"
            )
        try:
            in_utc = value.astimezone(timezone.utc)
        except OverflowError:
            raise ValueRefusedError(
                f"{value.isoformat()} lies outside of the years 1 to 9999 in UTC"
            ) from None
        return in_utc.replace(tzinfo=None) if dialect.name == "sqlite" else in_utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the instant back, aware, in UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            return value.replace(tzinfo=timezone.utc)
        return value.astimezone(timezone.utc)


def dump_json(value: object, max_depth: int = MAX_JSON_DEPTH) -> str:
    """Write a JSON document that reads back equal; the engines' ``json_serializer``.

    Args:
        value: What ``json`` reads: dict, list, str, int, float, bool and None.
        max_depth: How many levels it may have.

    Raises:
        ValueRefusedError: The value is nested too deeply, or holds something that JSON has no form
            for, and that other writers change silently: NaN and infinities, keys that are not text,
            tuples, dates.
    """
    _require_json(value, max_depth)
    try:
        text = _encode(value)
        # A lone surrogate cannot be stored as UTF-8, and is better refused here than by the driver.
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueRefusedError(
            f"a JSON value with text that is no Unicode: {error.reason}"
        ) from None
    except ValueError as error:
        raise ValueRefusedError(f"a JSON value that JSON cannot hold: {error}") from None
    return text


_encode = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=True, separators=(",", ":")
).encode

_SCALARS = frozenset({str, int, float, bool, type(None)})


def _require_json(value: object, max_depth: int) -> None:
    """Refuse what json.dumps would change: a key 1 becomes "1", a tuple becomes a list."""
    pending = [(value, 1)]
    while pending:
        item, depth = pending.pop()
        # A subclass, such as a MutableDict, reads back as the dict that it is equal to.
        if isinstance(item, dict):
            for key in item:
                if type(key) is not str:
                    raise ValueRefusedError(
                        f"a JSON object with a key that is a {type(key).__name__}; keys are text"
                    )
            inner: Iterable[object] = item.values()
        elif isinstance(item, list):
            inner = item
        elif type(item) in _SCALARS:
            continue
        else:
            raise ValueRefusedError(
                f"a JSON value that holds a {type(item).__name__}; "
                "it may hold dict, list, str, int, float, bool and None"
            )
        if depth > max_depth:
            raise ValueRefusedError(f"a JSON value with more than {max_depth} levels")
        pending += [(part, depth + 1) for part in inner if type(part) not in _SCALARS]
