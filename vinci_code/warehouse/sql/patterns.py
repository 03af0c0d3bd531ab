"""Dates and timestamps by patterns of Java's ``DateTimeFormatter``.

https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-datetime-pattern lists the letters.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from vinci_code.warehouse.sql import regular_expressions
from vinci_code.warehouse.sql.errors import SqlError, unsupported

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_QUARTERS = ("1st quarter", "2nd quarter", "3rd quarter", "4th quarter")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_LETTERS = re.compile(r"([A-Za-z])\1*|'(?:[^']|'')*'|\[|\]|[^A-Za-z'\[\]]+")


@lru_cache(maxsize=512)
def _pieces(pattern: str) -> tuple[str, ...]:
    return tuple(match.group(0) for match in _LETTERS.finditer(pattern))


# How often a letter may stand, and the letters that the formatter of before Spark 3 knew.
_WIDTHS = {"y": 6, "M": 4, "L": 4, "E": 4, "Q": 4, "q": 4, "G": 4, "D": 3, "S": 9, "F": 1, "a": 1}
_WIDTHS |= dict.fromkeys("dHhKkms", 2) | dict.fromkeys("xXZ", 5) | dict.fromkeys("zO", 4)
_LEGACY = set("GyYMLwWDdFEuaHkKhmsSzZX")


@lru_cache(maxsize=512)
def _check(pattern: str, parsing: bool) -> None:
    """Refuse what Java's ``DateTimeFormatter`` has and Spark forbids.

    Raises:
        SqlError: ``INCONSISTENT_BEHAVIOR_CROSS_VERSION`` where Spark 2 took the pattern, else
            ``INVALID_DATETIME_PATTERN``.
    """
    letters = [piece for piece in _pieces(pattern) if piece[0].isalpha()]
    for piece in letters:
        letter = piece[0]
        if letter == "V" and len(piece) == 2:
            continue
        unread = parsing and letter in "EFqQ"
        if not unread and len(piece) <= _WIDTHS.get(letter, 0):
            continue
        if {one[0] for one in letters} <= _LEGACY:
            raise _other_version("DATETIME_PATTERN_RECOGNITION", pattern)
        if letter in "YWwuec":
            raise _other_version("DATETIME_WEEK_BASED_PATTERN", pattern)
        kind = "ILLEGAL_CHARACTER" if letter in "AnNBpEFqQ" else "WITH_SUGGESTION"
        raise SqlError(
            f"INVALID_DATETIME_PATTERN.{kind}",
            "22007",
            f"Unrecognized datetime pattern: {pattern}. The letter '{letter}' cannot stand in it "
            "so. Please provide a pattern of legal characters.",
        )


def _other_version(kind: str, pattern: str) -> SqlError:
    return SqlError(
        f"INCONSISTENT_BEHAVIOR_CROSS_VERSION.{kind}",
        "42K0B",
        "You may get a different result due to the upgrading to Spark >= 3.0: Fail to recognize "
        f"'{pattern}' pattern in the DateTimeFormatter.",
    )


def format_datetime(value: datetime, pattern: str, zone: str) -> str:
    """Return a wall clock formatted by a pattern."""
    _check(pattern, False)
    result = ""
    for piece in _pieces(pattern):
        letter, width = piece[0], len(piece)
        if letter == "'":
            result += "'" if piece == "''" else piece[1:-1].replace("''", "'")
        elif letter.isalpha():
            result += _format_letter(value, letter, width, zone)
        elif letter not in "[]":
            result += piece
    return result


def _format_letter(value: datetime, letter: str, width: int, zone: str) -> str:
    if letter == "y":
        return f"{value.year % 100:02d}" if width == 2 else f"{value.year:0{width}d}"
    if letter in "ML":
        return _format_month(value, width)
    if letter == "E":
        name = _DAYS[value.weekday()]
        return name if width == 4 else name[:3]
    if letter == "G":
        return "Anno Domini" if width == 4 else "AD"
    if letter in "qQ" and width > 2:
        number = (value.month + 2) // 3
        return f"Q{number}" if width == 3 else _QUARTERS[number - 1]
    if letter == "a":
        return "AM" if value.hour < 12 else "PM"
    if letter == "S":
        return f"{value.microsecond:06d}000"[:width]
    if letter in "xXZVzO":
        return _format_zone(value, letter, width, zone)
    return f"{_numbers(value)[letter]:0{width}d}"


def _numbers(value: datetime) -> dict[str, int]:
    return {
        "d": value.day,
        "D": value.timetuple().tm_yday,
        "H": value.hour,
        "h": value.hour % 12 or 12,
        "K": value.hour % 12,
        "k": value.hour or 24,
        "m": value.minute,
        "s": value.second,
        "q": (value.month + 2) // 3,
        "Q": (value.month + 2) // 3,
        "F": (value.day - 1) % 7 + 1,
    }


def _format_month(value: datetime, width: int) -> str:
    name = _MONTHS[value.month - 1]
    if width == 3:
        return name[:3]
    return name if width == 4 else f"{value.month:0{width}d}"


def _format_zone(value: datetime, letter: str, width: int, zone: str) -> str:
    where = value.replace(tzinfo=ZoneInfo(zone))
    if letter == "V":
        return "Etc/UTC" if zone == "UTC" else zone
    if letter == "z" and width == 4:
        raise unsupported("the long name of a time zone, zzzz in a pattern")
    if letter == "z":
        return where.tzname() or zone
    offset = where.utcoffset() or timedelta()
    minutes = int(offset.total_seconds() // 60)
    sign, hours, rest = "-" if minutes < 0 else "+", abs(minutes) // 60, abs(minutes) % 60
    if letter == "O":
        return "GMT" if not minutes else f"GMT{sign}{hours}" + (f":{rest:02d}" if rest else "")
    if letter == "X" and not minutes:
        return "Z"
    if letter == "Z":
        return f"{sign}{hours:02d}{rest:02d}" if width < 4 else f"GMT{sign}{hours:02d}:{rest:02d}"
    if width == 1:
        return f"{sign}{hours:02d}" + (f"{rest:02d}" if rest else "")
    return f"{sign}{hours:02d}{rest:02d}" if width in (2, 4) else f"{sign}{hours:02d}:{rest:02d}"


@lru_cache(maxsize=512)
def _regex(pattern: str) -> tuple[Any, tuple[str, ...]]:
    text, names = "", []
    for piece in _pieces(pattern):
        letter, width = piece[0], len(piece)
        if letter == "'":
            text += re.escape("'" if piece == "''" else piece[1:-1].replace("''", "'"))
        elif letter == "[":
            text += "(?:"
        elif letter == "]":
            text += ")?"
        elif letter.isalpha():
            text += f"({_read_letter(letter, width)})"
            names.append(f"{letter}{width}")
        else:
            text += re.escape(piece)
    # RE2 does not go back over what it has read: a client made this pattern.
    return regular_expressions.compiled(text), tuple(names)


def _read_letter(letter: str, width: int) -> str:
    if letter == "y":
        return (
            r"\d{2}"
            if width == 2
            else r"[+-]?\d{" + f"{min(width, 4)},{max(width, 7)}" + "}"
            if width != 4
            else r"\d{4}"
        )
    if letter in "ML" and width >= 3:
        return "|".join(name[:3] if width == 3 else name for name in _MONTHS)
    if letter == "a":
        return "AM|PM|am|pm"
    if letter == "S":
        return r"\d{" + str(width) + "}"
    if letter in "xXZ":
        return r"Z|[+-]\d{2}:?(?:\d{2})?"
    if letter in "VzO":
        return r"[A-Za-z][\w/+:-]*"
    if letter == "G":
        raise unsupported("an era in a text that is read by a pattern")
    if letter == "D" and width < 3:
        return r"\d{" + f"{width},3" + "}"
    return r"\d{1,2}" if width == 1 else r"\d{" + str(width) + "}"


def parse_datetime(text: str, pattern: str, zone: str) -> datetime | None:
    """Return the wall clock in UTC of a text read by a pattern, or ``None``.

    ``zone`` is that of a text that names none.
    """
    _check(pattern, True)
    regex, names = _regex(pattern)
    match = regex.fullmatch(text)
    if match is None:
        return None
    fields: dict[str, str] = {}
    for name, found in zip(names, match.groups(), strict=True):
        if found is not None:
            fields[name[0]] = found
    try:
        return _assembled(fields, zone)
    except (ValueError, OverflowError):
        return None


def _assembled(fields: dict[str, str], zone: str) -> datetime | None:
    year = fields.get("y", "1970")
    number = int(year) + 2000 if len(year) == 2 else int(year)
    clock = datetime(  # noqa: DTZ001 - the zone is applied below
        number,
        _month(fields),
        int(fields.get("d", 1)),
        _hour(fields),
        int(fields.get("m", 0)),
        int(fields.get("s", 0)),
        int((fields.get("S", "") + "000000")[:6]),
    )
    if "D" in fields:
        clock = clock.replace(month=1, day=1) + timedelta(days=int(fields["D"]) - 1)
    where = _read_zone(fields, zone)
    return clock.replace(tzinfo=where).astimezone(timezone.utc).replace(tzinfo=None)


def _month(fields: dict[str, str]) -> int:
    text = fields.get("M", fields.get("L", "1"))
    if text.isdigit():
        return int(text)
    return [name[:3] for name in _MONTHS].index(text[:3]) + 1


def _hour(fields: dict[str, str]) -> int:
    if "H" in fields:
        return int(fields["H"])
    if "k" in fields:
        return int(fields["k"]) % 24
    if "h" not in fields and "K" not in fields:
        return 0
    half = int(fields.get("h", fields.get("K", "0")))
    if half > 12:
        raise ValueError(half)
    return half % 12 + (12 if fields.get("a", "AM").upper() == "PM" else 0)


def _read_zone(fields: dict[str, str], zone: str) -> ZoneInfo | timezone:
    offset = next((fields[letter] for letter in "xXZ" if letter in fields), None)
    if offset == "Z":
        return timezone.utc
    if offset is not None:
        digits = offset[1:].replace(":", "")
        shift = timedelta(hours=int(digits[:2]), minutes=int(digits[2:4] or 0))
        return timezone(-shift if offset[0] == "-" else shift)
    named = next((fields[letter] for letter in "Vz" if letter in fields), None)
    try:
        return ZoneInfo(named or zone)
    except (KeyError, OSError):
        raise ValueError(named) from None
