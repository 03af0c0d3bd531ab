"""SQLite's functions of dates and times, which give text or numbers.

Each takes a moment, and modifiers that change it one after the other
(https://www.sqlite.org/lang_datefunc.html). Modifiers, and moments and patterns that are given as
text, are constants of the statement: what each means decides what is sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import type_coerce
from sqlalchemy import types as sqltypes
from sqlalchemy.exc import CompileError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import BindParameter

from vinci_code.core.errors import ValueRefusedError
from vinci_code.database.dialect.sql.refusals import (
    DATE_MODIFIER,
    DATE_MODIFIER_VALUE,
    DATE_OF_NUMBER,
    DATE_OF_TIME,
    DATE_PATTERN,
    DATE_TEXT,
)
from vinci_code.database.dialect.text.literals import quote_text
from vinci_code.database.dialect.types.base import Processor
from vinci_code.database.dialect.types.texts import VinciString

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

_STRFTIME = {
    "Y": "yyyy",
    "m": "MM",
    "d": "dd",
    "H": "HH",
    "M": "mm",
    "S": "ss",
    "j": "DDD",
    "F": "yyyy-MM-dd",
    "T": "HH:mm:ss",
    "R": "HH:mm",
}
_MOMENTS = frozenset({sqltypes.DateTime, sqltypes.Date, sqltypes.String, sqltypes.Interval})
_OF_TIMES = frozenset({"time", "strftime"})
_NUMBERS = frozenset({sqltypes.Integer, sqltypes.Numeric, sqltypes.Float, sqltypes.Boolean})

# SQLite counts thousandths of a second since noon of the day -4713-11-24, rounded half up.
_THOUSANDTHS = "((unix_micros({}) + 210866760000000500) DIV 1000)"
_ROUNDED = f"timestamp_millis({_THOUSANDTHS} - 210866760000000)"
_IT = "vinci_moment"

# Parts of a pattern that are none of ``date_format``.
_COMPUTED = {
    # SQLite rounds half up, but not to the next minute.
    "f": (
        f"date_format(if(date_format({_IT}, 'ss.SSSSSS') < '59.9995', "
        f"{_IT} + INTERVAL '0.0005' SECOND, {_IT}), 'ss.SSS')"
    ),
    "s": f"CAST({_THOUSANDTHS.format(_IT)} DIV 1000 - 210866760000 AS STRING)",
    "w": f"CAST(dayofweek({_ROUNDED.format(_IT)}) - 1 AS STRING)",
    "W": (
        f"lpad(CAST((dayofyear({_IT}) + 6 - weekday({_ROUNDED.format(_IT)})) DIV 7 AS STRING), "
        "2, '0')"
    ),
}

_Form = Callable[[str], tuple[str, str]]
"""Gives what stands before a moment and behind it, for a constant."""


class DateFunctions(SQLCompiler):
    """Functions of dates and times."""

    def visit_date_func(self, fn: Any, **kw: Any) -> str:
        """Render the day as text."""
        return f"date_format({self._moment_given(fn, fn.clauses, **kw)}, 'yyyy-MM-dd')"

    def visit_datetime_func(self, fn: Any, **kw: Any) -> str:
        """Render the day and the time as text."""
        return f"date_format({self._moment_given(fn, fn.clauses, **kw)}, 'yyyy-MM-dd HH:mm:ss')"

    def visit_time_func(self, fn: Any, **kw: Any) -> str:
        """Render the time as text."""
        return f"date_format({self._moment_given(fn, fn.clauses, **kw)}, 'HH:mm:ss')"

    def visit_strftime_func(self, fn: Any, **kw: Any) -> str:
        """Render date_format, with the pattern that means the same."""
        pattern, *of = fn.clauses
        moment = self._moment_given(fn, of, **kw)
        if _is_constant(pattern):
            return self._around(moment, pattern, strftime, **kw)
        if not isinstance(pattern, BindParameter):
            raise CompileError(DATE_PATTERN)
        written = self.process(type_coerce(pattern, _DatePattern()), **kw)
        return f"date_format({moment}, {written})"

    def visit_julianday_func(self, fn: Any, **kw: Any) -> str:
        """Render the days since noon of the day -4713-11-24, by the division that SQLite makes."""
        moment = f"to_timestamp({self._moment_given(fn, fn.clauses, **kw)})"
        return f"({_THOUSANDTHS.format(moment)} / 86400000.0D)"

    def visit_unixepoch_func(self, fn: Any, **kw: Any) -> str:
        """Render the whole seconds since 1970."""
        moment = f"to_timestamp({self._moment_given(fn, fn.clauses, **kw)})"
        return f"({_THOUSANDTHS.format(moment)} DIV 1000 - 210866760000)"

    def render_literal_value(self, value: Any, type_: Any, *args: Any, **kw: Any) -> str:
        """Write a constant of the statement; what is wrong with one of these is said as it is."""
        if isinstance(type_, _Text) and str(value).lower() == "now":
            return self.present_moment()
        if isinstance(type_, _WrittenAsSql):
            return type_.written(value)
        text: str = super().render_literal_value(value, type_, *args, **kw)
        return text

    def present_moment(self) -> str:
        """Render the present."""
        return "current_timestamp()"

    def _moment_given(self, fn: Any, arguments: Any, **kw: Any) -> str:
        """The moment that a function is of, with its modifiers."""
        of, *modifiers = list(arguments) or [None]
        text = self.present_moment() if of is None else self._stated(fn, of, modifiers, **kw)
        number = of is not None and of.type._type_affinity in _NUMBERS
        for place, modifier in enumerate(modifiers):
            if not _is_constant(modifier):
                raise CompileError(DATE_MODIFIER.format(fn.name))
            form = modified if place else (seconds_of if number else first_modified)
            text = self._around(text, modifier, form, **kw)
        return text

    def _around(self, text: str, constant: Any, form: _Form, **kw: Any) -> str:
        """A text within what a constant, which is known when the statement is sent, makes of it."""
        constant_kw = {**kw, "literal_execute": True}
        before, behind = (
            self.process(type_coerce(constant, _Around(form, place)), **constant_kw)
            for place in (0, 1)
        )
        return f"{before}{text}{behind}"

    def _stated(self, fn: Any, of: Any, modifiers: Any, **kw: Any) -> str:
        kind = of.type._type_affinity
        if isinstance(of, BindParameter) and kind is sqltypes.String:
            if of.required:
                return f"to_timestamp({self.process(type_coerce(of, _BoundText()), **kw)})"
            return self.process(type_coerce(of, _Text()), **{**kw, "literal_execute": True})
        text = self.process(of, **kw)
        if kind is sqltypes.Time:
            if str(fn.name).lower() not in _OF_TIMES:
                raise CompileError(DATE_OF_TIME.format(fn.name))
            return f"to_timestamp(concat('2000-01-01 ', {text}))"
        if kind in _NUMBERS:
            if modifiers:
                return f"({text})"
            raise CompileError(DATE_OF_NUMBER.format(fn.name))
        # Of an unknown type it is not cast: a number would become seconds.
        return f"to_timestamp({text})" if modifiers or kind not in _MOMENTS else text


class _DatePattern(VinciString):
    """A pattern of ``strftime``, which becomes one of ``date_format`` as it is bound."""

    cache_ok = True

    def bind_processor(self, dialect: Any) -> Processor:
        return date_pattern


class _WrittenAsSql(VinciString):
    """A text that decides what is sent, in whose place SQL is written."""

    cache_ok = True

    def written(self, value: Any) -> str:
        """Return the SQL for a value."""
        raise NotImplementedError


class _Text(_WrittenAsSql):
    """A moment given as text; ``now`` is the present."""

    def written(self, value: Any) -> str:
        if value is None:
            return "CAST(NULL AS TIMESTAMP)"
        return f"TIMESTAMP {quote_text(moment_text(value))}"


class _BoundText(VinciString):
    """A moment given as text that is known only when many sets of parameters are bound."""

    cache_ok = True

    def comparing(self, dialect: Dialect) -> Processor:
        return lambda value: None if value is None else moment_text(value)


class _Around(_WrittenAsSql):
    """What stands before a moment, or behind it, for a constant."""

    def __init__(self, form: _Form, place: int) -> None:
        super().__init__()
        self.form, self.place = form, place

    def written(self, value: Any) -> str:
        return self.form(str(value))[self.place]


def _is_constant(element: Any) -> bool:
    """Whether an element is a value of this statement; one with a name may get another one."""
    return isinstance(element, BindParameter) and element.unique


def strftime(pattern: str) -> tuple[str, str]:
    """Return what stands around a moment, for a pattern of ``strftime``.

    Raises:
        ValueRefusedError: It has a part for which there is none.
    """
    if not any(f"%{code}" in pattern for code in _COMPUTED):
        return "date_format(", f", {quote_text(date_pattern(pattern))})"
    parts = [
        _COMPUTED[code] if code in _COMPUTED else f"date_format({_IT}, {quote_text(other)})"
        for code, other in _computed_parts(pattern)
    ]
    before, behind = _computed(f"concat({', '.join(parts)})")
    return f"{before}to_timestamp(", f"){behind}"


def _computed_parts(pattern: str) -> Iterator[tuple[str, str]]:
    for part in re.findall(r"%.|[^%]+|%", pattern, re.DOTALL):
        code = part[1:] if part.startswith("%") else ""
        yield code, "" if code in _COMPUTED else date_pattern(part)


def date_pattern(text: str) -> str:
    """Return the pattern of ``date_format`` that means what one of ``strftime`` does.

    Raises:
        ValueRefusedError: It has a part for which ``date_format`` has none.
    """
    parts = []
    for code, words, other in _PATTERN_PARTS.findall(text):
        if code:
            parts.append(_date_code(code))
        elif words:
            # Letters stand for parts of a date, unless they are quoted.
            quoted = words.replace("'", "''")
            parts.append(f"'{quoted}'")
        else:
            parts.append(other)
    return "".join(parts)


_PATTERN_PARTS = re.compile(r"%(.|\Z)|([A-Za-z']+)|([^%A-Za-z']+)", re.DOTALL)


def _date_code(code: str) -> str:
    if code == "%":
        return "%"
    if code in _COMPUTED:
        raise ValueRefusedError(
            f"strftime: '%{code}' has no counterpart in a pattern that is a parameter with a name; "
            "write the pattern itself: func.strftime('%Y-%m', x)"
        )
    if code not in _STRFTIME:
        raise ValueRefusedError(
            f"strftime: '%{code}' has no counterpart on Databricks; there are "
            + ", ".join(f"%{known}" for known in (*_STRFTIME, *_COMPUTED))
        )
    return _STRFTIME[code]


def moment_text(value: str) -> str:
    """Return a text that Databricks reads as the moment that SQLite reads in it.

    Raises:
        ValueRefusedError: SQLite reads none in it, or a number of days.
    """
    if _DAY.fullmatch(value):
        return value
    if _TIME_ALONE.fullmatch(value):
        return f"2000-01-01 {value}"
    raise ValueRefusedError(DATE_TEXT.format(value))


_CLOCK = r"\d\d:\d\d(:\d\d(\.\d{1,6})?)?"
_DAY = re.compile(rf"\d{{4}}-\d\d-\d\d([ T]{_CLOCK}(Z|[+-]\d\d:\d\d)?)?", re.ASCII)
_TIME_ALONE = re.compile(_CLOCK, re.ASCII)


def first_modified(modifier: str) -> tuple[str, str]:
    """Return what stands around a moment that may have less than thousandths of a second.

    SQLite rounds them when it has added months, and before it looks for the day of the week.

    Raises:
        ValueRefusedError: The modifier has no counterpart.
    """
    before, behind = modified(modifier)
    rounded_before, rounded_behind = _ROUNDED.split("{}")
    if _START.fullmatch(modifier.lower()):
        return before, behind
    if _WEEKDAY.fullmatch(modifier.lower()):
        return f"{before}{rounded_before}", f"{rounded_behind}{behind}"
    return f"{rounded_before}{before}", f"{behind}{rounded_behind}"


def modified(modifier: str) -> tuple[str, str]:
    """Return what stands around a moment, for a modifier.

    Raises:
        ValueRefusedError: It has no counterpart.
    """
    text = modifier.lower()
    if found := _ADDED.fullmatch(text):
        return _added(Decimal(found["number"]), found["unit"], modifier)
    if found := _START.fullmatch(text):
        return f"date_trunc('{found['unit'].upper()}', ", ")"
    if found := _WEEKDAY.fullmatch(text):
        ahead = f"pmod({found['day']} + 1 - dayofweek({_IT}), 7)"
        return _computed(f"{_IT} + make_dt_interval({ahead})")
    raise ValueRefusedError(DATE_MODIFIER_VALUE.format(modifier))


def seconds_of(modifier: str) -> tuple[str, str]:
    """Return what stands around a number, for the modifier that says what it counts.

    Raises:
        ValueRefusedError: It does not count seconds since 1970.
    """
    if modifier.lower() != "unixepoch":
        raise ValueRefusedError(DATE_MODIFIER_VALUE.format(modifier))
    return "timestamp_millis(CAST(round(", " * 1000D) AS BIGINT))"


def _computed(expression: str) -> tuple[str, str]:
    # The moment is computed once, and named more than once.
    return "element_at(transform(array(", f"), {_IT} -> {expression}), 1)"


_ADDED = re.compile(
    r"(?P<number>[+-]?\d{1,9}(\.\d{1,3})?) *(?P<unit>second|minute|hour|day|month|year)s?", re.ASCII
)
_START = re.compile(r"start of (?P<unit>day|month|year)")
_WEEKDAY = re.compile(r"weekday (?P<day>[0-6])", re.ASCII)
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


def _added(number: Decimal, unit: str, modifier: str) -> tuple[str, str]:
    if unit in _SECONDS:
        return "(", f" + INTERVAL '{number * _SECONDS[unit]:f}' SECOND)"
    if number != int(number):
        raise ValueRefusedError(DATE_MODIFIER_VALUE.format(modifier))
    # A day that the month has not is one of the next month: 31 January and a month is 2 March.
    begin = f"date_trunc('MONTH', {_IT})"
    added = f"timestampadd({unit.upper()}, {int(number)}, {begin})"
    return _computed(f"{added} + ({_IT} - {begin})")
