"""Databricks' text forms of values: read and written in Python.

The forms are those of Spark's ``DateTimeUtils``, ``IntervalUtils`` and of Java's
``Double.toString``: https://docs.databricks.com/aws/en/sql/language-manual/functions/cast.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from zoneinfo import ZoneInfo

from vinci_code.warehouse.sql.errors import unsupported

_DATE = re.compile(r"([+-]?\d{4,7})(?:-(\d{1,2})(?:-(\d{1,2})(?:[ T].*)?)?)?\Z", re.DOTALL)
_TIMESTAMP = re.compile(
    r"([+-]?\d{4,6})(?:-(\d{1,2})(?:-(\d{1,2})"
    r"(?:[ T](\d{1,2})(?::(\d{1,2})(?::(\d{1,2})(?:\.(\d*))?)?)?)?)?)?\s*(.*)\Z",
    re.DOTALL,
)
_TIME_ONLY = re.compile(r"T?\d{1,2}:\d{1,2}(?::\d{1,2}(?:\.\d*)?.*)?\Z", re.DOTALL)
_OFFSET = re.compile(
    r"(?:UTC|GMT|UT)?(?P<sign>[+-])(?:(?P<h>\d{1,2})(?::(?P<m>\d{1,2}))?|"
    r"(?P<hh>\d\d)(?P<mm>\d\d)(?P<ss>\d\d)?|(?P<hour>\d{1,2}):(?P<minute>\d\d):(?P<second>\d\d))\Z",
    re.ASCII,
)
# Java's ZoneId.SHORT_IDS, without those that Python's zones have by the same name.
_SHORT_ZONES = {
    "ACT": "Australia/Darwin",
    "AET": "Australia/Sydney",
    "AGT": "America/Argentina/Buenos_Aires",
    "ART": "Africa/Cairo",
    "AST": "America/Anchorage",
    "BET": "America/Sao_Paulo",
    "BST": "Asia/Dhaka",
    "CAT": "Africa/Harare",
    "CNT": "America/St_Johns",
    "CST": "America/Chicago",
    "CTT": "Asia/Shanghai",
    "EAT": "Africa/Addis_Ababa",
    "ECT": "Europe/Paris",
    "IET": "America/Indiana/Indianapolis",
    "IST": "Asia/Kolkata",
    "JST": "Asia/Tokyo",
    "MIT": "Pacific/Apia",
    "NET": "Asia/Yerevan",
    "NST": "Pacific/Auckland",
    "PLT": "Asia/Karachi",
    "PNT": "America/Phoenix",
    "PRT": "America/Puerto_Rico",
    "PST": "America/Los_Angeles",
    "SST": "Pacific/Guadalcanal",
    "VST": "Asia/Ho_Chi_Minh",
}
_BLANK = "".join(map(chr, range(0x21)))
MICROS = {
    "WEEK": 7 * 86_400_000_000,
    "DAY": 86_400_000_000,
    "HOUR": 3_600_000_000,
    "MINUTE": 60_000_000,
    "SECOND": 1_000_000,
    "MILLISECOND": 1_000,
    "MICROSECOND": 1,
}
MONTHS = {"YEAR": 12, "MONTH": 1}
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a wall clock, as TIMESTAMP_NTZ is


def parse_date(text: str) -> date | None:
    """Return the date a text stands for, or ``None``.

    Raises:
        SqlError: The refusal of a year before 1 or after 9999, which no Python client can read.
    """
    match = _DATE.match(text.strip(_BLANK))
    if match is None:
        return None
    year, month, day = match.groups()
    moment = _moment(int(year), int(month or 1), int(day or 1))
    return moment.date() if moment else None


def _moment(
    year: int,
    month: int,
    day: int,
    hour: int = 0,
    minute: int = 0,
    second: int = 0,
    micros: int = 0,
) -> datetime | None:
    in_range = 1 <= year <= 9999
    # Every fourth year has the days of 2000, and the others those of 2001.
    near = year if in_range else 2001 - (year % 4 == 0)
    try:
        found = datetime(near, month, day, hour, minute, second, micros)  # noqa: DTZ001
    except ValueError:
        return None
    if not in_range:
        raise unsupported(f"the year {year}")
    return found


def parse_timestamp(text: str, zone: str) -> datetime | None:
    """Return the instant a text stands for, as a wall clock in UTC, or ``None``.

    A zone in the text wins over ``zone``.

    Raises:
        SqlError: The refusal of a year before 1 or after 9999, or of a time alone.
    """
    found = _wall_clock(text)
    if found is None:
        if _TIME_ONLY.match(text.strip(_BLANK)):
            raise unsupported("a time without a date as TIMESTAMP")
        return None
    local, rest = found
    where = _zone(rest) if rest else ZoneInfo(zone)
    if where is None:
        return None
    try:
        return local.replace(tzinfo=where).astimezone(timezone.utc).replace(tzinfo=None)
    except OverflowError:
        return None


def parse_timestamp_ntz(text: str) -> datetime | None:
    """Return the wall clock a text stands for, whatever zone it names, or ``None``.

    Raises:
        SqlError: The refusal of a year before 1 or after 9999.
    """
    found = _wall_clock(text)
    if found is None or (found[1] and _zone(found[1]) is None):
        return None
    return found[0]


def _wall_clock(text: str) -> tuple[datetime, str] | None:
    match = _TIMESTAMP.match(text.strip(_BLANK))
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, rest = match.groups()
    if rest and second is None:
        return None
    local = _moment(
        int(year),
        int(month or 1),
        int(day or 1),
        int(hour or 0),
        int(minute or 0),
        int(second or 0),
        int(((fraction or "") + "000000")[:6]),
    )
    return None if local is None else (local, rest)


def _zone(text: str) -> tzinfo | None:
    text = text.strip()
    if text in ("Z", "UTC", "GMT", "UT"):
        return timezone.utc
    match = _OFFSET.match(text)
    if match:
        return _offset(match)
    try:
        return ZoneInfo(_SHORT_ZONES.get(text, text))
    except (ValueError, OSError, KeyError):
        return None


def _offset(match: re.Match[str]) -> timezone | None:
    hours, minutes, seconds = (
        int(next((match[name] for name in names if match[name]), 0))
        for names in (("h", "hh", "hour"), ("m", "mm", "minute"), ("ss", "second"))
    )
    shift = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if minutes > 59 or seconds > 59 or shift > timedelta(hours=18):
        return None
    return timezone(-shift if match["sign"] == "-" else shift)


# Java prints two digits at least, and for the smallest floats the second one is exact.
_SMALLEST = {"5e-324": "4.9E-324", "1e-45": "1.4E-45"}


def java_float(text: str) -> str:
    """Return a float as Java's ``Double.toString`` prints it, from its shortest decimal form."""
    lowered = text.lower()
    if "nan" in lowered:
        return "NaN"
    if "inf" in lowered:
        return "-Infinity" if lowered.startswith("-") else "Infinity"
    if lowered.lstrip("-") in _SMALLEST:
        return lowered.replace(lowered.lstrip("-"), _SMALLEST[lowered.lstrip("-")])
    sign, digits, exponent = Decimal(text).as_tuple()
    number = "".join(map(str, digits)).lstrip("0")
    if not number:
        return "-0.0" if sign else "0.0"
    power = len(number) + int(exponent) - 1
    number = number.rstrip("0") or "0"
    prefix = "-" if sign else ""
    if -3 <= power < 7:
        return prefix + _plain(number, power)
    return f"{prefix}{number[0]}.{number[1:] or '0'}E{power}"


def _plain(number: str, power: int) -> str:
    if power < 0:
        return f"0.{'0' * (-power - 1)}{number}"
    whole = number[: power + 1].ljust(power + 1, "0")
    return f"{whole}.{number[power + 1 :] or '0'}"


_YEAR_MONTH = re.compile(r"([+-])?(\d{1,99})-(\d{1,99})\Z")
_DAY_TIME = {
    ("DAY", "HOUR"): re.compile(r"([+-])?(\d{1,99}) (\d{1,2})\Z"),
    ("DAY", "MINUTE"): re.compile(r"([+-])?(\d{1,99}) (\d{1,2}):(\d{1,2})\Z"),
    ("DAY", "SECOND"): re.compile(r"([+-])?(\d{1,99}) (\d{1,2}):(\d{1,2}):(\d{1,2})(\.\d{1,9})?\Z"),
    ("HOUR", "MINUTE"): re.compile(r"([+-])?(\d{1,99}):(\d{1,2})\Z"),
    ("HOUR", "SECOND"): re.compile(r"([+-])?(\d{1,99}):(\d{1,2}):(\d{1,2})(\.\d{1,9})?\Z"),
    ("MINUTE", "SECOND"): re.compile(r"([+-])?(\d{1,99}):(\d{1,2})(\.\d{1,9})?\Z"),
}
_UNITS = ("DAY", "HOUR", "MINUTE", "SECOND")
_SINGLE = re.compile(r"([+-])?(\d{1,99})(\.\d{1,9})?\Z")
_WRAPPED = re.compile(
    r"\s*interval\s+(?:([+-])\s*)?'([^']*)'\s+(\w+)(?:\s+to\s+(\w+))?\s*\Z", re.IGNORECASE
)


def parse_interval(text: str, first: str, last: str) -> int | None:
    """Return months (YEAR, MONTH) or microseconds of an interval's text, or ``None``.

    It is ``1-2``, ``1 02:03:04``, or ``INTERVAL '1-2' YEAR TO MONTH``.
    """
    sign = 1
    wrapped = _WRAPPED.match(text)
    if wrapped:
        sign = -1 if wrapped.group(1) == "-" else 1
        text = wrapped.group(2)
        unit = wrapped.group(3).upper()
        if (first in MONTHS) != (unit in MONTHS):
            return None
        first = unit
        last = (wrapped.group(4) or first).upper()
    text = text.strip(_BLANK)
    value = _months(text) if (first, last) == ("YEAR", "MONTH") else _day_time(text, first, last)
    return None if value is None else sign * value


def _months(text: str) -> int | None:
    match = _YEAR_MONTH.match(text)
    if match is None or int(match.group(3)) > 11:
        return None
    total = int(match.group(2)) * 12 + int(match.group(3))
    return -total if match.group(1) == "-" else total


def _day_time(text: str, first: str, last: str) -> int | None:
    if first == last:
        match = _SINGLE.match(text)
        if match is None or (match.group(3) and first != "SECOND"):
            return None
        scale = MONTHS.get(first) or MICROS.get(first)
        if scale is None:
            return None
        total = int(match.group(2)) * scale + _fraction(match.group(3))
        return -total if match.group(1) == "-" else total
    pattern = _DAY_TIME.get((first, last))
    match = pattern.match(text) if pattern else None
    if match is None:
        return None
    return _sum_units(match, first, last)


def _sum_units(match: re.Match[str], first: str, last: str) -> int | None:
    units = _UNITS[_UNITS.index(first) : _UNITS.index(last) + 1]
    total = 0
    for index, unit in enumerate(units):
        number = int(match.group(index + 2))
        if index and number > (23 if unit == "HOUR" else 59):
            return None
        total += number * MICROS[unit]
    if last == "SECOND":
        total += _fraction(match.group(len(units) + 2))
    return -total if match.group(1) == "-" else total


def _fraction(text: str | None) -> int:
    return int((text[1:] + "000000")[:6]) if text else 0


def interval_text(count: int, first: str, last: str) -> str:
    """Return ``INTERVAL '1 02:03:04' DAY TO SECOND`` for months or microseconds."""
    sign = "-" if count < 0 else ""
    label = first if first == last else f"{first} TO {last}"
    if first in MONTHS:
        body = _month_body(abs(count), first, last)
    else:
        body = _day_body(abs(count), first, last)
    return f"INTERVAL '{sign}{body}' {label}"


def _month_body(months: int, first: str, last: str) -> str:
    if first == last:
        return str(months // 12 if first == "YEAR" else months)
    return f"{months // 12}-{months % 12}"


def _day_body(micros: int, first: str, last: str) -> str:
    units = _UNITS[_UNITS.index(first) : _UNITS.index(last) + 1]
    text = ""
    for index, unit in enumerate(units):
        number, micros = divmod(micros, MICROS[unit])
        padded = f"{number:02d}" if index or unit in ("HOUR", "SECOND") else str(number)
        if unit == "MINUTE" and not index:
            padded = f"{number:02d}"
        separator = "" if not index else " " if units[index - 1] == "DAY" else ":"
        text += separator + padded
    if last == "SECOND" and micros:
        text += f".{micros:06d}".rstrip("0")
    return text


def hive_interval_text(count: int, months: bool) -> str:
    """Return an interval as the Thrift server writes it: ``1-2`` or ``1 02:03:04.000000000``."""
    sign = "-" if count < 0 else ""
    count = abs(count)
    if months:
        return f"{sign}{count // 12}-{count % 12}"
    days, rest = divmod(count, MICROS["DAY"])
    hours, rest = divmod(rest, MICROS["HOUR"])
    minutes, rest = divmod(rest, MICROS["MINUTE"])
    seconds, micros = divmod(rest, MICROS["SECOND"])
    return f"{sign}{days} {hours:02d}:{minutes:02d}:{seconds:02d}.{micros:06d}000"


_WORDS = re.compile(r"([+-]?(?<!\d)\d+(?:\.\d+)?)\s+([a-zA-Z]+)")


def parse_interval_words(text: str) -> dict[str, Decimal] | None:
    """Return the units of ``1 day 2 hours``, or ``None`` where the text is not of that shape."""
    body = re.sub(r"\A\s*interval\s+", "", text, flags=re.IGNORECASE).strip()
    found: dict[str, Decimal] = {}
    for number, word in _WORDS.findall(body):
        unit = word.upper().removesuffix("S")
        if unit not in MICROS and unit not in MONTHS:
            return None
        found[unit] = found.get(unit, Decimal(0)) + Decimal(number)
    leftover = _WORDS.sub("", body).strip()
    return found if found and not leftover else None
