"""Functions of numbers and text that Databricks has by the same name, and that give something else.

They are rendered so that they give what SQLite gives (https://www.sqlite.org/lang_corefunc.html,
https://www.sqlite.org/lang_mathfunc.html), or are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import type_coerce
from sqlalchemy import types as sqltypes
from sqlalchemy.exc import CompileError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import BindParameter

from vinci_code.database.dialect.sql.refusals import CHARACTERS, HEX_OF
from vinci_code.database.dialect.sql.value_texts import as_text
from vinci_code.database.dialect.types.numbers import VinciInteger
from vinci_code.database.dialect.types.texts import VinciString

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Dialect

    from vinci_code.database.dialect.types.base import Processor

# What ``hex`` makes text of before, by the affinity of its argument's type.
_HEX_FORMS = {
    sqltypes.String: "{}",
    sqltypes.LargeBinary()._type_affinity: "{}",
    sqltypes.Integer: "CAST({} AS STRING)",
    sqltypes.Boolean: "CAST(CAST({} AS INT) AS STRING)",
}


class ScalarFunctions(SQLCompiler):
    """Functions of numbers and text."""

    def visit_log_func(self, fn: Any, **kw: Any) -> str:
        """Render log(x) as the logarithm to the base 10; there it is that to the base e."""
        arguments = [self.process(item, **kw) for item in fn.clauses]
        name = "log10" if len(arguments) == 1 else "log"
        return f"{name}({', '.join(arguments)})"

    def visit_sqrt_func(self, fn: Any, **kw: Any) -> str:
        """Render a function that gives NULL where Databricks gives NaN."""
        arguments = ", ".join(self.process(item, **kw) for item in fn.clauses)
        return f"nullif({fn.name}({arguments}), CAST('NaN' AS DOUBLE))"

    visit_acos_func = visit_sqrt_func
    visit_acosh_func = visit_sqrt_func
    visit_asin_func = visit_sqrt_func
    visit_atanh_func = visit_sqrt_func
    visit_pow_func = visit_sqrt_func
    visit_power_func = visit_sqrt_func

    def visit_mod_func(self, fn: Any, **kw: Any) -> str:
        """Render the rest as SQLite gives it: a float, also of whole numbers, and NULL by zero."""
        left, right = (f"CAST({self.process(item, **kw)} AS DOUBLE)" for item in fn.clauses)
        return f"mod({left}, nullif({right}, 0))"

    def visit_round_func(self, fn: Any, **kw: Any) -> str:
        """Render round, which gives a float, and takes less than no digits for none."""
        number, *digits = fn.clauses
        text = f"CAST({self.process(number, **kw)} AS DOUBLE)"
        if not digits:
            return f"round({text})"
        if not isinstance(digits[0], BindParameter):
            return f"round({text}, greatest({self.process(digits[0], **kw)}, 0))"
        # They have to be a constant there.
        places = self.process(type_coerce(digits[0], _Places()), **{**kw, "literal_execute": True})
        return f"round({text}, {places})"

    def visit_substr_func(self, fn: Any, **kw: Any) -> str:
        """Render substr, for which 0 is the place before the first, and -n the n before a place."""
        text, *numbers = fn.clauses
        of = self.process(as_text(text), **kw)
        begin, *length = (self._int(item, **kw) for item in numbers)
        if not length:
            return f"substr({of}, {begin})"
        [count] = length
        place = (
            f"CASE WHEN {begin} > 0 THEN {begin} - 1 WHEN {begin} = 0 THEN 0 "
            f"ELSE length({of}) + {begin} END"
        )
        first = f"greatest({place} + {count}, 0)"
        return (
            f"CASE WHEN {count} < 0 THEN substr({of}, {first} + 1, {place} - {first}) "
            f"WHEN {begin} = 0 THEN substr({of}, 1, {count} - 1) "
            f"ELSE substr({of}, {begin}, {count}) END"
        )

    visit_substring_func = visit_substr_func

    def _int(self, element: Any, **kw: Any) -> str:
        return f"CAST({self.process(element, **kw)} AS INT)"

    def visit_char_func(self, fn: Any, **kw: Any) -> str:
        """Render the characters of code points, which are made here.

        Raises:
            CompileError: They are not given as values.
        """
        points = list(fn.clauses)
        if not all(isinstance(point, BindParameter) for point in points):
            raise CompileError(CHARACTERS)
        made = [self.process(type_coerce(point, _Character()), **kw) for point in points]
        return f"concat({', '.join(made)})" if made else "''"

    def visit_hex_func(self, fn: Any, **kw: Any) -> str:
        """Render the digits of bytes, or of a value's text; there those of a number itself.

        Raises:
            CompileError: It is not known what the text of the value is.
        """
        [value] = fn.clauses
        form = _HEX_FORMS.get(value.type._type_affinity)
        if form is None:
            raise CompileError(HEX_OF.format(value.type))
        return f"coalesce(hex({form.format(self.process(value, **kw))}), '')"


class _Places(VinciInteger):
    """How many digits are left after the point."""

    cache_ok = True

    def literal_processor(self, dialect: Dialect) -> Callable[[Any], str]:
        return lambda value: str(max(int(value), 0))


class _Character(VinciString):
    """A code point, which becomes its character as it is bound."""

    cache_ok = True

    def comparing(self, dialect: Dialect) -> Processor:
        return lambda value: "" if value is None else chr(value)
