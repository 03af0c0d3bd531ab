"""SQLite's functions of dates and times, which give text or numbers.

Each takes a moment, and modifiers that change it one after the other
(https://www.sqlite.org/lang_datefunc.html). Modifiers, and moments and patterns that are given as
text, are constants of the statement: what each means decides what is sent.
"""

from __future__ import annotations

import re
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
    "f": "ss.SSS",
    "j": "DDD",
    "F": "yyyy-MM-dd",
    "T": "HH:mm:ss",
    "R": "HH:mm",
}
_ELSEWHERE = {
    "w": "extract('dow', x)",
    "W": "extract('week', x)",
    "s": "func.unixepoch(x)",
    "J": "func.julianday(x)",
}
_MOMENTS = frozenset({sqltypes.DateTime, sqltypes.Date, sqltypes.String, sqltypes.Interval})
_NUMBERS = frozenset({sqltypes.Integer, sqltypes.Numeric, sqltypes.Float, sqltypes.Boolean})

# SQLite counts thousandths of a second since noon of the day -4713-11-24. It rounds to one, half up.
_THOUSANDTHS = "((unix_micros({}) + 210866760000000500) DIV 1000)"
_IT = "vinci_moment"


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
        if not isinstance(pattern, BindParameter):
            raise CompileError(DATE_PATTERN)
        written = self.process(type_coerce(pattern, _DatePattern()), **kw)
        return f"date_format({self._moment_given(fn, of, **kw)}, {written})"

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
        if isinstance(type_, _Constant):
            return type_.written(value)
        text: str = super().render_literal_value(value, type_, *args, **kw)  # type: ignore[no-untyped-call]
        return text

    def _moment_given(self, fn: Any, arguments: Any, **kw: Any) -> str:
        """The moment that a function is of, with its modifiers."""
        of, *modifiers = list(arguments) or [None]
        text = "current_timestamp()" if of is None else self._stated(fn, of, modifiers, **kw)
        number = of is not None and of.type._type_affinity in _NUMBERS
        for place, modifier in enumerate(modifiers):
            if not isinstance(modifier, BindParameter):
                raise CompileError(DATE_MODIFIER.format(fn.name))
            kind = _OfNumber() if number and place == 0 else _Modifier()
            constant = {**kw, "literal_execute": True}
            change = self.process(type_coerce(modifier, kind), **constant)
            # Its form is not known before the statement is sent, and it may name the moment twice.
            text = f"element_at(transform(array({text}), {_IT} -> {change}), 1)"
        return text

    def _stated(self, fn: Any, of: Any, modifiers: Any, **kw: Any) -> str:
        kind = of.type._type_affinity
        if isinstance(of, BindParameter) and kind is sqltypes.String:
            if of.required:
                return f"to_timestamp({self.process(type_coerce(of, _BoundText()), **kw)})"
            return self.process(type_coerce(of, _Text()), **{**kw, "literal_execute": True})
        text = self.process(of, **kw)
        if kind is sqltypes.Time:
            return f"to_timestamp(concat('2000-01-01 ', {text}))"
        if kind in _NUMBERS:
            if modifiers:
                return text
            raise CompileError(DATE_OF_NUMBER.format(fn.name))
        # Of an unknown type it is not cast: a number would become seconds.
        return f"to_timestamp({text})" if modifiers or kind not in _MOMENTS else text


class _DatePattern(VinciString):
    """A pattern of ``strftime``, which becomes one of ``date_format`` as it is bound."""

    cache_ok = True

    def bind_processor(self, dialect: Any) -> Processor:
        return date_pattern


class _Constant(VinciString):
    """A text that decides what is sent, in whose place SQL is written."""

    cache_ok = True

    def written(self, value: Any) -> str:
        """Return the SQL for a value."""
        raise NotImplementedError


class _Text(_Constant):
    """A moment given as text; ``now`` is the present."""

    def written(self, value: Any) -> str:
        if value is None:
            return "CAST(NULL AS TIMESTAMP)"
        if str(value).lower() == "now":
            return "current_timestamp()"
        return f"TIMESTAMP {quote_text(moment_text(value))}"


class _BoundText(VinciString):
    """A moment given as text that is known only when many sets of parameters are bound."""

    cache_ok = True

    def comparing(self, dialect: Dialect) -> Processor:
        return lambda value: None if value is None else moment_text(value)


class _Modifier(_Constant):
    """A modifier, which becomes what it makes of a moment."""

    def written(self, value: Any) -> str:
        return modified(value)


class _OfNumber(_Constant):
    """The first modifier behind a number, which says what the number counts."""

    def written(self, value: Any) -> str:
        if str(value).lower() != "unixepoch":
            raise ValueRefusedError(DATE_MODIFIER_VALUE.format(value))
        return f"timestamp_millis(CAST(round({_IT} * 1000D) AS BIGINT))"


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
    if code in _ELSEWHERE:
        raise ValueRefusedError(
            f"strftime: '%{code}' has no counterpart in a pattern of Databricks; "
            f"write {_ELSEWHERE[code]} in its place"
        )
    if code not in _STRFTIME:
        raise ValueRefusedError(
            f"strftime: '%{code}' has no counterpart on Databricks; there are "
            + ", ".join(f"%{known}" for known in _STRFTIME)
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


def modified(modifier: Any) -> str:
    """Return what a modifier makes of a moment, as SQL.

    Raises:
        ValueRefusedError: It has no counterpart.
    """
    text = str(modifier).lower()
    if found := _ADDED.fullmatch(text):
        return _added(Decimal(found["number"]), found["unit"], modifier)
    if found := _START.fullmatch(text):
        return f"date_trunc('{found['unit'].upper()}', {_IT})"
    if found := _WEEKDAY.fullmatch(text):
        ahead = f"pmod({found['day']} + 1 - dayofweek({_IT}), 7)"
        return f"{_IT} + make_dt_interval({ahead})"
    raise ValueRefusedError(DATE_MODIFIER_VALUE.format(modifier))


_ADDED = re.compile(
    r"(?P<number>[+-]?\d{1,9}(\.\d{1,6})?) *(?P<unit>second|minute|hour|day|month|year)s?", re.ASCII
)
_START = re.compile(r"start of (?P<unit>day|month|year)")
_WEEKDAY = re.compile(r"weekday (?P<day>[0-6])", re.ASCII)
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


def _added(number: Decimal, unit: str, modifier: Any) -> str:
    if unit in _SECONDS:
        return f"{_IT} + INTERVAL '{number * _SECONDS[unit]:f}' SECOND"
    if number != int(number):
        raise ValueRefusedError(DATE_MODIFIER_VALUE.format(modifier))
    # A day that the month has not is one of the next month: 31 January and a month is 2 March.
    begin = f"date_trunc('MONTH', {_IT})"
    return f"timestampadd({unit.upper()}, {int(number)}, {begin}) + ({_IT} - {begin})"
