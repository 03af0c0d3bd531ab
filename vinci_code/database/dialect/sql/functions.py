"""Functions, rendered so that they give on Databricks what they give on SQLite.

The functions of SQLite that applications call by name, such as ``func.group_concat``, are rendered
with those that Databricks has for them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import type_coerce
from sqlalchemy import types as sqltypes
from sqlalchemy.exc import CompileError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import quoted_name

from vinci_code.core.errors import ValueRefusedError
from vinci_code.database.dialect.sql.comparisons import alike, as_condition
from vinci_code.database.dialect.sql.refusals import DATE_MODIFIERS, SEQUENCE
from vinci_code.database.dialect.sql.value_texts import as_text
from vinci_code.database.dialect.types.base import Processor
from vinci_code.database.dialect.types.texts import VinciString

_EXTRACT = {
    "second": "second({0})",
    "doy": "dayofyear({0})",
    # Sunday is 0.
    "dow": "(dayofweek({0}) - 1)",
    # Monday begins a week; the days before the first Monday are week 0.
    "week": "((dayofyear({0}) + 6 - weekday({0})) DIV 7)",
    "epoch": "unix_seconds(CAST({0} AS TIMESTAMP))",
}

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


class FunctionCompiler(SQLCompiler):
    """Functions."""

    # Noted by ``TablesUsed``.
    tables_used: frozenset[str] | None

    def visit_function(self, func: Any, add_to_result_map: Any = None, **kw: Any) -> str:
        """Render a function of a schema by its own name, though one that is built in has it, too.

        SQLAlchemy looks for ``visit_upper_func`` for ``func.shop.upper`` as well.
        """
        if not func.packagenames:
            text: str = super().visit_function(func, add_to_result_map, **kw)
            return text
        # What it does is not known, so that it may read any table.
        self.tables_used = None
        if getattr(self, "_collect_params", False):
            self._add_to_params(func)
        if add_to_result_map is not None:
            add_to_result_map(func.name, func.name, (func.name,), func.type)
        kw["within_aggregate_function"] = True
        names = [self._function_name(name) for name in (*func.packagenames, func.name)]
        ordinality = " WITH ORDINALITY" * bool(func._with_ordinality)
        return f"{'.'.join(names)}{self.function_argspec(func, **kw)}{ordinality}"

    def _function_name(self, name: str) -> str:
        preparer: Any = self.preparer
        quoted = isinstance(name, quoted_name) or preparer._requires_quotes_illegal_chars(name)
        return str(preparer.quote(name)) if quoted else name

    # --- time -----------------------------------------------------------------------------------

    def visit_now_func(self, fn: Any, **kw: Any) -> str:
        """Render the present."""
        return "current_timestamp()"

    visit_current_timestamp_func = visit_now_func
    visit_localtimestamp_func = visit_now_func
    visit_sysdate_func = visit_now_func

    def visit_current_date_func(self, fn: Any, **kw: Any) -> str:
        """Render today."""
        return "current_date()"

    def visit_current_time_func(self, fn: Any, **kw: Any) -> str:
        """Render the time of day as text, as a Time is kept."""
        return "date_format(current_timestamp(), 'HH:mm:ss')"

    visit_localtime_func = visit_current_time_func

    def visit_extract(self, extract: Any, **kw: Any) -> str:
        """Render a part of a date, as the whole number that SQLite gives."""
        text = self.process(extract.expr, **kw)
        form = _EXTRACT.get(extract.field)
        return form.format(text) if form else f"EXTRACT({extract.field} FROM {text})"

    def visit_date_func(self, fn: Any, **kw: Any) -> str:
        """Render the day as text, as SQLite's function gives it."""
        return self._dated(fn, "yyyy-MM-dd", **kw)

    def visit_datetime_func(self, fn: Any, **kw: Any) -> str:
        """Render the day and the time as text, as SQLite's function gives them."""
        return self._dated(fn, "yyyy-MM-dd HH:mm:ss", **kw)

    def visit_time_func(self, fn: Any, **kw: Any) -> str:
        """Render the time as text, as SQLite's function gives it."""
        return self._dated(fn, "HH:mm:ss", **kw)

    def _dated(self, fn: Any, pattern: str, **kw: Any) -> str:
        arguments = list(fn.clauses)
        if len(arguments) != 1:
            raise CompileError(DATE_MODIFIERS.format(fn.name))
        return f"date_format({self._moment_of(arguments[0], **kw)}, '{pattern}')"

    def visit_strftime_func(self, fn: Any, **kw: Any) -> str:
        """Render date_format, with the pattern that means the same."""
        arguments = list(fn.clauses)
        if len(arguments) != 2:
            raise CompileError(DATE_MODIFIERS.format(fn.name))
        pattern = self.process(type_coerce(arguments[0], _DatePattern()), **kw)
        return f"date_format({self._moment_of(arguments[1], **kw)}, {pattern})"

    def _moment_of(self, element: Any, **kw: Any) -> str:
        # 'now' is what SQLite calls the present.
        if getattr(element, "value", None) == "now":
            element = type_coerce(element, _Moment())
            return self.process(element, **{**kw, "literal_execute": True})
        return self.process(element, **kw)

    # --- text -----------------------------------------------------------------------------------

    def visit_group_concat_func(self, fn: Any, **kw: Any) -> str:
        """Render listagg."""
        arguments = [self._text(item, **kw) for item in fn.clauses]
        return f"listagg({', '.join([*arguments[:1], *(arguments[1:] or [repr(',')])])})"

    def visit_aggregate_strings_func(self, fn: Any, **kw: Any) -> str:
        """Render listagg."""
        arguments = list(fn.clauses)
        order = getattr(fn.clauses, "aggregate_order_by", None)
        text = self._text(arguments[0], **kw)
        delimiter = self.process(arguments[1], **{**kw, "literal_execute": True})
        within = "" if order is None else f" WITHIN GROUP (ORDER BY {self.process(order, **kw)})"
        return f"listagg({text}, {delimiter}){within}"

    def visit_concat_func(self, fn: Any, **kw: Any) -> str:
        """Render concat; what is NULL counts as empty, as in SQLite's function."""
        return f"concat_ws('', {', '.join(self._text(item, **kw) for item in fn.clauses)})"

    def visit_length_func(self, fn: Any, **kw: Any) -> str:
        """Render a function of text, which SQLite makes of any value."""
        return f"{fn.name}({', '.join(self._text(item, **kw) for item in fn.clauses)})"

    visit_char_length_func = visit_length_func
    visit_concat_ws_func = visit_length_func
    visit_instr_func = visit_length_func
    visit_lower_func = visit_length_func
    visit_replace_func = visit_length_func
    visit_upper_func = visit_length_func

    def _text(self, element: Any, **kw: Any) -> str:
        return self.process(as_text(element), **kw)

    def visit_ltrim_func(self, fn: Any, **kw: Any) -> str:
        """Render ltrim, whose arguments are the other way round."""
        return self._trimmed(fn, "LEADING", **kw)

    def visit_rtrim_func(self, fn: Any, **kw: Any) -> str:
        """Render rtrim, whose arguments are the other way round."""
        return self._trimmed(fn, "TRAILING", **kw)

    def visit_trim_func(self, fn: Any, **kw: Any) -> str:
        """Render trim."""
        return self._trimmed(fn, "BOTH", **kw)

    def _trimmed(self, fn: Any, side: str, **kw: Any) -> str:
        text, *letters = (self._text(item, **kw) for item in fn.clauses)
        return f"trim({' '.join([side, *letters, 'FROM', text])})"

    # --- numbers and truth ----------------------------------------------------------------------

    def visit_avg_func(self, fn: Any, **kw: Any) -> str:
        """Render the average as SQLite gives it: a float, also of decimals."""
        return self._aggregate(fn, "avg", (sqltypes.Numeric, sqltypes.Boolean), "DOUBLE", **kw)

    def visit_sum_func(self, fn: Any, **kw: Any) -> str:
        """Render the sum, in which a truth value counts 1 or 0."""
        return self._aggregate(fn, "sum", (sqltypes.Boolean,), "BIGINT", **kw)

    def visit_total_func(self, fn: Any, **kw: Any) -> str:
        """Render the sum as a float, which is 0.0 of nothing."""
        return f"coalesce(sum(CAST({self._arguments(fn, **kw)} AS DOUBLE)), 0.0D)"

    def _aggregate(
        self, fn: Any, name: str, kinds: Sequence[type[Any]], cast: str, **kw: Any
    ) -> str:
        arguments = list(fn.clauses)
        distinct = ""
        argument = arguments[0]
        if getattr(getattr(argument, "operator", None), "__name__", "") == "distinct_op":
            distinct, argument = "DISTINCT ", argument.element
        text = self.process(argument, **kw)
        if argument.type._type_affinity in kinds:
            text = f"CAST({text} AS {cast})"
        return f"{name}({distinct}{text})"

    def visit_max_func(self, fn: Any, **kw: Any) -> str:
        """Render the greatest of a column, or of several values."""
        return self._extreme(fn, "max", "greatest", **kw)

    def visit_min_func(self, fn: Any, **kw: Any) -> str:
        """Render the least of a column, or of several values."""
        return self._extreme(fn, "min", "least", **kw)

    def _extreme(self, fn: Any, name: str, several: str, **kw: Any) -> str:
        texts = [self.process(item, **kw) for item in alike(list(fn.clauses), fn.type)]
        if len(texts) == 1:
            return f"{name}({texts[0]})"
        # SQLite gives NULL where any is; Databricks leaves it out.
        unknown = " OR ".join(f"{text} IS NULL" for text in texts)
        return f"CASE WHEN {unknown} THEN NULL ELSE {several}({', '.join(texts)}) END"

    def visit_iif_func(self, fn: Any, **kw: Any) -> str:
        """Render if()."""
        asked, *chosen = fn.clauses
        items = [as_condition(asked), *alike(chosen, fn.type)]
        return f"if({', '.join(self.process(item, **kw) for item in items)})"

    def visit_coalesce_func(self, fn: Any, **kw: Any) -> str:
        """Render a function that gives one of its arguments, brought to one type."""
        items = alike(list(fn.clauses), fn.type)
        return f"{fn.name}({', '.join(self.process(item, **kw) for item in items)})"

    visit_ifnull_func = visit_coalesce_func
    visit_nullif_func = visit_coalesce_func

    def visit_next_value_func(self, next_value: Any, **kw: Any) -> str:
        """Refuse it.

        Raises:
            CompileError: Databricks has no sequences.
        """
        raise CompileError(SEQUENCE)

    def visit_sequence(self, sequence: Any, **kw: Any) -> str:
        """Refuse it.

        Raises:
            CompileError: Databricks has no sequences.
        """
        raise CompileError(SEQUENCE)

    def _arguments(self, fn: Any, **kw: Any) -> str:
        return ", ".join(self.process(item, **kw) for item in fn.clauses)


class _DatePattern(VinciString):
    """A pattern of ``strftime``, which becomes one of ``date_format`` as it is bound."""

    cache_ok = True

    def bind_processor(self, dialect: Any) -> Processor:
        return date_pattern


class _Moment(VinciString):
    """The text ``now``, in place of which the present is written."""

    cache_ok = True

    def literal_processor(self, dialect: Any) -> Any:
        return lambda value: "current_timestamp()" if value == "now" else f"'{value}'"


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
    if code not in _STRFTIME:
        raise ValueRefusedError(
            f"strftime: '%{code}' has no counterpart on Databricks; there are "
            + ", ".join(f"%{known}" for known in _STRFTIME)
        )
    return _STRFTIME[code]
