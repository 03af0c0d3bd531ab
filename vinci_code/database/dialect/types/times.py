"""Dates and times."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from sqlalchemy import types as sqltypes
from sqlalchemy.dialects import sqlite

from vinci_code.core.errors import ValueRefusedError
from vinci_code.database.dialect.types.base import Processor, VinciType, named

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect


class VinciDate(VinciType, sqltypes.Date):
    """A day."""

    stored_as = dt.date

    def comparing(self, dialect: Dialect) -> Processor:
        """Take a date; of a date and time the date, as SQLite does."""
        return _date

    def keep(self, value: Any) -> dt.date | None:
        """Return a date, of a date and time too where it is midnight.

        Raises:
            ValueRefusedError: It is no date, or has a time of day or a time zone that would be
                lost.
        """
        if isinstance(value, dt.datetime):
            moment: dt.datetime | None = plain_moment(value)
            if moment is None:
                return None
            if moment.tzinfo is not None or moment.time() != dt.time():
                raise ValueRefusedError(
                    "a date is wanted here, found a datetime with a time of day or a time zone, "
                    "which would be lost; pass value.date()"
                )
            return moment.date()
        if isinstance(value, dt.date):
            return dt.date(value.year, value.month, value.day)
        raise ValueRefusedError(f"a date is wanted here, found {named(value)}")

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor:
        """Give a date, also of an expression that is text or a timestamp."""
        return _to_date


class VinciTime(VinciType, sqltypes.Time):
    """A time of day, stored as text: ``23:59:59.999999``, which sorts in the order of time."""

    stored_as = str
    takes_stored = False

    def comparing(self, dialect: Dialect) -> Processor:
        """Write it with all its digits."""
        return _time_text

    def keep(self, value: Any) -> str | None:
        """Return its text.

        Raises:
            ValueRefusedError: It is no time, or has a time zone.
        """
        if not isinstance(value, dt.time):
            raise ValueRefusedError(f"a time is wanted here, found {named(value)}")
        return _time_text(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor:
        """Give a time."""
        return _to_time


class VinciDateTime(VinciType, sqltypes.DateTime):
    """A date and time: of a clock on the wall, or an instant where ``timezone=True``."""

    stored_as = dt.datetime

    def comparing(self, dialect: Dialect) -> Processor:
        """Refuse a value that would have to be guessed at or cut."""
        return _instant if self.timezone else _wall_clock

    def storing(self, dialect: Dialect) -> Processor:
        """Return what lets naive values pass, or aware ones, as values in UTC."""
        zone = dt.timezone.utc if self.timezone else None

        def process(value: Any) -> dt.datetime | None:
            if type(value) is dt.datetime and value.tzinfo is zone:
                return value
            return None if value is None else self.placed(self.keep, value)

        return process

    def keep(self, value: Any) -> dt.datetime | None:
        """Return a date and time; of a date its midnight, as SQLite does.

        Raises:
            ValueRefusedError: It is none, has nanoseconds, or a time zone where none can be kept,
                or has none where there has to be one.
        """
        if isinstance(value, dt.datetime):
            value = plain_moment(value)
        elif not isinstance(value, dt.date):
            raise ValueRefusedError(f"a date and time is wanted here, found {named(value)}")
        return _instant(value) if self.timezone else _wall_clock(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor:
        """Give a naive value, or an aware one in UTC."""
        return _to_instant if self.timezone else _to_wall_clock


class VinciInterval(VinciType, sqltypes.Interval):
    """A length of time, kept as the moment that lies so long after 1970, as on SQLite."""

    stored_as = dt.datetime
    takes_stored = False

    def bind_processor(self, dialect: Dialect) -> Processor:
        """Return what makes the moment."""
        return self.storing(dialect) if self._stores else self.comparing(dialect)

    def comparing(self, dialect: Dialect) -> Processor:
        """Return SQLAlchemy's own."""
        return sqltypes.Interval.bind_processor(self, dialect)

    def keep(self, value: Any) -> dt.datetime | None:
        """Return the moment.

        Raises:
            ValueRefusedError: It is no length of time, has nanoseconds, or ends outside of the
                years 1 to 9999.
        """
        if not isinstance(value, dt.timedelta):
            raise ValueRefusedError(f"a timedelta is wanted here, found {named(value)}")
        if value != value:  # pandas' NaT
            return None
        if getattr(value, "nanoseconds", 0):
            raise ValueRefusedError(
                "a length of time with nanoseconds, and microseconds are kept; round it first"
            )
        try:
            return self.epoch + dt.timedelta(value.days, value.seconds, value.microseconds)
        except OverflowError:
            raise ValueRefusedError(
                "a length of time that ends, counted from 1970, outside of the years 1 to 9999"
            ) from None


class TIMESTAMP(VinciDateTime, sqltypes.TIMESTAMP):
    """An instant, as ``DateTime(timezone=True)``."""

    __visit_name__ = "TIMESTAMP"

    def __init__(self, timezone: bool = True) -> None:
        super().__init__(timezone=timezone)

    def adapt(self, cls: Any, **kw: Any) -> Any:
        """Return what keeps an instant on a database whose own type would drop the time zone."""
        if issubclass(cls, sqlite.DATETIME):
            return _SqliteInstant()  # type: ignore[no-untyped-call]
        return super().adapt(cls, **kw)


class TIMESTAMP_NTZ(VinciDateTime):  # noqa: N801 - the database's own name
    """A date and time of a clock on the wall, as ``DateTime()``."""

    __visit_name__ = "TIMESTAMP_NTZ"

    def __init__(self, timezone: bool = False) -> None:
        super().__init__(timezone=timezone)

    def adapt(self, cls: Any, **kw: Any) -> Any:
        """Return what refuses a time zone on a database whose own type would drop it."""
        if issubclass(cls, sqlite.DATETIME):
            return _SqliteInstant() if self.timezone else _SqliteWallClock()  # type: ignore[no-untyped-call]
        return super().adapt(cls, **kw)


class _SqliteWallClock(sqlite.DATETIME):
    """A date and time of a clock on the wall, on SQLite."""

    def bind_processor(self, dialect: Dialect) -> Processor:
        write: Any = super().bind_processor(dialect)
        return lambda value: write(_wall_clock(plain_moment(value)))


class _SqliteInstant(sqlite.DATETIME):
    """An instant on SQLite: text in UTC, which sorts in the order of time."""

    def bind_processor(self, dialect: Dialect) -> Processor:
        write: Any = super().bind_processor(dialect)

        def process(value: Any) -> Any:
            checked = _instant(plain_moment(value))
            return write(None if checked is None else checked.replace(tzinfo=None))

        return process

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor:
        read: Any = super().result_processor(dialect, coltype)
        return lambda value: _to_instant(read(value))


def plain_moment(value: Any) -> Any:
    """A date and time as a plain ``datetime``; ``None`` for pandas' NaT; others as they are.

    Raises:
        ValueRefusedError: It has nanoseconds.
    """
    if not isinstance(value, dt.datetime) or type(value) is dt.datetime:
        return value
    if value != value:  # as NaN does
        return None
    if getattr(value, "nanosecond", 0):
        raise ValueRefusedError(
            "a date and time with nanoseconds, and microseconds are kept; round it first, as with "
            "value.round('us')"
        )
    return dt.datetime(
        value.year,
        value.month,
        value.day,
        value.hour,
        value.minute,
        value.second,
        value.microsecond,
        value.tzinfo,
        fold=value.fold,
    )


def _date(value: Any) -> dt.date | None:
    if isinstance(value, dt.datetime):
        return value.date()
    if value is None or isinstance(value, dt.date):
        return value
    raise TypeError(f"a date is wanted here, found a {type(value).__name__}")


def _to_date(value: Any) -> dt.date | None:
    if isinstance(value, str):
        return dt.date.fromisoformat(value)
    return value.date() if isinstance(value, dt.datetime) else value


def _time_text(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, dt.time):
        raise TypeError(f"a time is wanted here, found a {type(value).__name__}")
    if value.tzinfo is not None:
        raise ValueRefusedError(
            f"{value.isoformat()} has a time zone, which a time of day cannot keep"
        )
    return value.isoformat("microseconds")


def _to_time(value: Any) -> dt.time | None:
    if isinstance(value, str):
        return dt.time.fromisoformat(value)
    return value.time() if isinstance(value, dt.datetime) else value


def _datetime(value: Any) -> dt.datetime | None:
    if isinstance(value, dt.datetime):
        return value
    if isinstance(value, dt.date):
        return dt.datetime(value.year, value.month, value.day)  # noqa: DTZ001 - a day has no zone
    if value is None:
        return None
    raise TypeError(f"a date and time is wanted here, found a {type(value).__name__}")


def _wall_clock(value: Any) -> dt.datetime | None:
    checked = _datetime(value)
    if checked is not None and checked.tzinfo is not None:
        raise ValueRefusedError(
            f"{checked.isoformat()} has a time zone, which a column of type DateTime cannot keep; "
            "make it DateTime(timezone=True), or pass value.replace(tzinfo=None)"
        )
    return checked


def _instant(value: Any) -> dt.datetime | None:
    checked = _datetime(value)
    if checked is None:
        return None
    if checked.utcoffset() is None:
        raise ValueRefusedError(
            f"{checked.isoformat()} has no time zone, so it names no instant; pass an aware "
            "datetime, such as value.replace(tzinfo=timezone.utc)"
        )
    try:
        return checked.astimezone(dt.timezone.utc)
    except OverflowError:
        raise ValueRefusedError(
            f"{checked.isoformat()} lies outside of the years 1 to 9999 in UTC"
        ) from None


def _to_wall_clock(value: Any) -> Any:
    if isinstance(value, str):
        value = dt.datetime.fromisoformat(value)
    if isinstance(value, dt.datetime):
        if value.tzinfo is not None:
            # An instant, such as current_timestamp(): SQLite gives it in UTC.
            return value.astimezone(dt.timezone.utc).replace(tzinfo=None)
        return value
    return _datetime(value)


def _to_instant(value: Any) -> Any:
    if isinstance(value, str):
        value = dt.datetime.fromisoformat(value)
    checked = _datetime(value)
    if checked is None:
        return None
    if checked.tzinfo is None:
        return checked.replace(tzinfo=dt.timezone.utc)
    return checked.astimezone(dt.timezone.utc)
