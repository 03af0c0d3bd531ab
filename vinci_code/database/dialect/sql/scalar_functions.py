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
from sqlalchemy.sql.elements import BindParameter, Null

from vinci_code.database.dialect.sql.comparisons import as_number
from vinci_code.database.dialect.sql.refusals import (
    ARGUMENTS,
    CHARACTERS,
    HEX_OF,
    INSTR_OF_BYTES,
    LIKE_FUNCTION,
    ROUND_DIGITS,
    TYPE_OF,
)
from vinci_code.database.dialect.sql.value_texts import affinity, as_text
from vinci_code.database.dialect.types.numbers import VinciInteger
from vinci_code.database.dialect.types.texts import VinciString

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Dialect

    from vinci_code.database.dialect.types.base import Processor

_BYTES = sqltypes.LargeBinary()._type_affinity
# What ``hex`` makes text of before, by the affinity of its argument's type.
_HEX_FORMS = {
    sqltypes.String: "{}",
    _BYTES: "{}",
    sqltypes.Integer: "CAST({} AS STRING)",
    sqltypes.Boolean: "CAST(CAST({} AS INT) AS STRING)",
}


# What ``typeof`` says of a value that is not NULL, by the affinity of its type. Not of a Numeric or
# a JSON: SQLite keeps whole numbers of them as integers, and others as something else.
_KINDS = {
    sqltypes.Integer: "integer",
    sqltypes.Boolean: "integer",
    sqltypes.Float: "real",
    sqltypes.String: "text",
    sqltypes.Uuid: "text",
    sqltypes.Date: "text",
    sqltypes.DateTime: "text",
    sqltypes.Time: "text",
    sqltypes.Interval: "text",
    _BYTES: "blob",
}
# Beyond it every DOUBLE is whole.
_ALL_WHOLE = 1 << 52


class ScalarFunctions(SQLCompiler):
    """Functions of numbers and text."""

    # --- numbers --------------------------------------------------------------------------------

    def visit_abs_func(self, fn: Any, **kw: Any) -> str:
        """Render a function of numbers, for which a truth value is 1 or 0."""
        arguments = (self.process(as_number(item), **kw) for item in fn.clauses)
        return f"{fn.name}({', '.join(arguments)})"

    visit_asinh_func = visit_abs_func
    visit_atan_func = visit_abs_func
    visit_atan2_func = visit_abs_func
    visit_cosh_func = visit_abs_func
    visit_degrees_func = visit_abs_func
    visit_exp_func = visit_abs_func
    visit_ln_func = visit_abs_func
    visit_log10_func = visit_abs_func
    visit_log2_func = visit_abs_func
    visit_radians_func = visit_abs_func
    visit_sinh_func = visit_abs_func
    visit_tanh_func = visit_abs_func

    def visit_sqrt_func(self, fn: Any, **kw: Any) -> str:
        """Render a function that gives NULL where Databricks gives NaN."""
        return f"nullif({self.visit_abs_func(fn, **kw)}, CAST('NaN' AS DOUBLE))"

    visit_acos_func = visit_sqrt_func
    visit_acosh_func = visit_sqrt_func
    visit_asin_func = visit_sqrt_func
    visit_atanh_func = visit_sqrt_func
    visit_cos_func = visit_sqrt_func
    visit_pow_func = visit_sqrt_func
    visit_power_func = visit_sqrt_func
    visit_sin_func = visit_sqrt_func
    visit_tan_func = visit_sqrt_func

    def visit_log_func(self, fn: Any, **kw: Any) -> str:
        """Render log(x) as the logarithm to the base 10; there it is that to the base e."""
        base, *number = (self.process(as_number(item), **kw) for item in fn.clauses)
        if not number:
            return f"log10({base})"
        # SQLite gives NULL to a base of 1 or less. Of a NULL, greatest() gives 1.
        return f"log(nullif(greatest(CAST({base} AS DOUBLE), 1.0D), 1.0D), {', '.join(number)})"

    def visit_mod_func(self, fn: Any, **kw: Any) -> str:
        """Render the rest as SQLite gives it: a float, also of whole numbers, and NULL by zero."""
        left, right = (f"CAST({self.process(item, **kw)} AS DOUBLE)" for item in fn.clauses)
        return f"nullif(mod({left}, nullif({right}, 0)), CAST('NaN' AS DOUBLE))"

    def visit_round_func(self, fn: Any, **kw: Any) -> str:
        """Render round, which gives a float, and takes less than no digits for none.

        Raises:
            CompileError: How many digits is not given as a value.
        """
        number, *digits = fn.clauses
        text = f"CAST({self.process(number, **kw)} AS DOUBLE)"
        if not digits:
            return f"round({text})"
        if isinstance(digits[0], Null):
            return f"round({text}, NULL)"
        # They have to be a constant there.
        if not isinstance(digits[0], BindParameter):
            raise CompileError(ROUND_DIGITS)
        places = self.process(type_coerce(digits[0], _Places()), **{**kw, "literal_execute": True})
        return f"round({text}, {places})"

    def visit_sign_func(self, fn: Any, **kw: Any) -> str:
        """Render the sign as a whole number; there it is a float."""
        return f"CAST({self.visit_abs_func(fn, **kw)} AS INT)"

    def visit_ceil_func(self, fn: Any, **kw: Any) -> str:
        """Render ceil, which gives a number of the kind that it is given; there a whole one."""
        if len(fn.clauses) != 1:
            return self.visit_abs_func(fn, **kw)
        return self._without_fraction(fn, "ceil({})", **kw)

    visit_ceiling_func = visit_ceil_func

    def visit_floor_func(self, fn: Any, **kw: Any) -> str:
        """Render floor as SQLAlchemy gives it on SQLite: a whole number, or an error."""
        if len(fn.clauses) != 1:
            return self.visit_abs_func(fn, **kw)
        # What is greater than a BIGINT the cast refuses.
        return f"CAST({self._without_fraction(fn, 'floor({})', **kw)} AS BIGINT)"

    def visit_trunc_func(self, fn: Any, **kw: Any) -> str:
        """Render a number without its fraction; there it is a function of dates, with a unit."""
        if len(fn.clauses) != 1:
            return self.visit_abs_func(fn, **kw)
        return self._without_fraction(fn, "CAST({} AS BIGINT)", **kw)

    def _without_fraction(self, fn: Any, form: str, **kw: Any) -> str:
        [number] = fn.clauses
        text = self.process(as_number(number), **kw)
        if number.type._type_affinity in (sqltypes.Integer, sqltypes.Boolean):
            return f"({text})"
        text = f"CAST({text} AS DOUBLE)"
        whole = f"CAST({form.format(text)} AS DOUBLE)"
        return f"CASE WHEN abs({text}) < {_ALL_WHOLE} THEN {whole} ELSE {text} END"

    def visit_random_func(self, fn: Any, **kw: Any) -> str:
        """Render a whole number of 64 bits; there it is a float between 0 and 1."""
        return "xxhash64(uuid())"

    # --- any value ------------------------------------------------------------------------------

    def visit_likely_func(self, fn: Any, **kw: Any) -> str:
        """Render the argument: only SQLite's planner takes the hint."""
        value, *_ = fn.clauses
        return f"({self.process(value, **kw)})"

    visit_likelihood_func = visit_likely_func
    visit_unlikely_func = visit_likely_func

    def visit_typeof_func(self, fn: Any, **kw: Any) -> str:
        """Render the name that SQLite has for the kind of a value.

        Raises:
            CompileError: It is not known from the type.
        """
        [value] = fn.clauses
        kind = _KINDS.get(affinity(value))
        if kind is None:
            raise CompileError(TYPE_OF.format(f"a {value.type!r}"))
        text = self.process(value, **kw)
        return f"CASE WHEN ({text}) IS NULL THEN 'null' ELSE '{kind}' END"

    # --- text and bytes -------------------------------------------------------------------------

    def visit_like_func(self, fn: Any, **kw: Any) -> str:
        """Render LIKE; the function takes the pattern first, and there the text.

        Raises:
            CompileError: It has an escape character.
        """
        pattern, text, *escape = fn.clauses
        if escape:
            raise CompileError(LIKE_FUNCTION)
        return f"({self.process(text.like(pattern), **kw)})"

    def visit_instr_func(self, fn: Any, **kw: Any) -> str:
        """Render instr.

        Raises:
            CompileError: It counts bytes.
        """
        if any(affinity(item) is _BYTES for item in fn.clauses):
            raise CompileError(INSTR_OF_BYTES)
        return f"instr({', '.join(self.process(as_text(item), **kw) for item in fn.clauses)})"

    def visit_unicode_func(self, fn: Any, **kw: Any) -> str:
        """Render the code point of the first character."""
        return f"nullif(ascii({self._text_of(fn, **kw)}), 0)"

    def visit_unhex_func(self, fn: Any, **kw: Any) -> str:
        """Render the bytes of digits; of an odd number of them SQLite gives NULL.

        Raises:
            CompileError: It names characters that are to be left out.
        """
        if len(fn.clauses) != 1:
            raise CompileError(
                ARGUMENTS.format(
                    "unhex", "one text", len(fn.clauses), "Take others out by replace()."
                )
            )
        text = self._text_of(fn, **kw)
        return f"CASE WHEN length({text}) % 2 = 0 THEN unhex({text}) END"

    def visit_zeroblob_func(self, fn: Any, **kw: Any) -> str:
        """Render so many bytes of zero."""
        [count] = fn.clauses
        return f"unhex(repeat('00', coalesce({self._int(count, **kw)}, 0)))"

    def visit_json_array_length_func(self, fn: Any, **kw: Any) -> str:
        """Render the number of items, which is 0 of what is no array; there it is NULL.

        Raises:
            CompileError: It names a path.
        """
        if len(fn.clauses) != 1:
            raise CompileError(
                ARGUMENTS.format(
                    "json_array_length",
                    "one document",
                    len(fn.clauses),
                    "Take the part first: func.json_array_length(column['a']).",
                )
            )
        text = self._text_of(fn, **kw)
        # What is no JSON is an error.
        return f"coalesce(json_array_length({text}), 0 * length(to_json(parse_json({text}))))"

    def _text_of(self, fn: Any, **kw: Any) -> str:
        [value] = fn.clauses
        return self.process(as_text(value), **kw)

    def visit_substr_func(self, fn: Any, **kw: Any) -> str:
        """Render substr, for which 0 is the place before the first, and -n the n before a place."""
        text, *numbers = fn.clauses
        of = self.process(as_text(text), **kw)
        if affinity(text) is _BYTES:
            of = f"nullif({of}, CAST('' AS BINARY))"  # of which SQLite gives NULL
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
        return lambda value: "NULL" if value is None else str(max(int(value), 0))


class _Character(VinciString):
    """A code point, which becomes its character as it is bound."""

    cache_ok = True

    def comparing(self, dialect: Dialect) -> Processor:
        return lambda value: "" if value is None else chr(value)
