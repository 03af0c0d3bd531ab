"""Comparisons of values of different types, as SQLite makes them.

A truth value is compared with a number as 0 or 1, where Databricks refuses the pair. A text that is
compared with a column of numbers is the number that it tells, and greater than all of them if it
tells none, where Databricks would fail. A column of text is compared with a number as text, where
Databricks would read every text of the column as a number, and fail at the first that is none
(https://www.sqlite.org/datatype3.html, 4.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import cast, literal, literal_column
from sqlalchemy import types as sqltypes
from sqlalchemy.exc import CompileError
from sqlalchemy.sql import operators
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import (
    BinaryExpression,
    BindParameter,
    BooleanClauseList,
    CollectionAggregate,
    ColumnClause,
    False_,
    Grouping,
    True_,
)

from vinci_code.database.dialect.sql.refusals import COLLATION
from vinci_code.database.dialect.sql.value_texts import affinity, as_text
from vinci_code.database.dialect.types.numbers import VinciInteger, text_as_float, text_as_whole
from vinci_code.database.dialect.types.texts import (
    VinciString,
    number_as_text,
    sqlite_collation,
)
from vinci_code.database.dialect.types.times import VinciDate, VinciDateTime

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

    from vinci_code.database.dialect.types.base import Processor

_COMPARING = frozenset(
    {
        operators.eq,
        operators.ne,
        operators.lt,
        operators.le,
        operators.gt,
        operators.ge,
        operators.is_distinct_from,
        operators.is_not_distinct_from,
        operators.in_op,
        operators.not_in_op,
    }
)
_ARITHMETIC = frozenset(
    {
        operators.add,
        operators.sub,
        operators.mul,
        operators.truediv,
        operators.floordiv,
        operators.mod,
    }
)
_JOINING = frozenset({operators.and_, operators.or_})
_ASKING = frozenset({operators.inv, operators.is_true, operators.is_false})
_FRACTIONS = frozenset({sqltypes.Numeric, sqltypes.Float})
_NUMBERS = frozenset({sqltypes.Integer}) | _FRACTIONS


class Comparisons(SQLCompiler):
    """Comparisons."""

    def visit_binary(self, binary: BinaryExpression[Any], *args: Any, **kw: Any) -> str:
        """Render two operands, brought to one type where they are compared."""
        rendered: str = super().visit_binary(_of_one_type(binary), *args, **kw)  # type: ignore[no-untyped-call]
        return rendered

    def visit_expression_clauselist(self, clauselist: Any, **kw: Any) -> str:
        """Render operands of which there are more than two."""
        fit = _FITTING.get(clauselist.operator)
        # The AND of a BETWEEN joins no conditions.
        joins = clauselist.operator in _JOINING and not isinstance(clauselist, BooleanClauseList)
        if fit is not None and not joins:
            clauselist = clauselist._clone()
            clauselist.clauses = [fit(item) for item in clauselist.clauses]
        rendered: str = super().visit_expression_clauselist(clauselist, **kw)  # type: ignore[no-untyped-call]
        return rendered

    def visit_unary(self, unary: Any, *args: Any, **kw: Any) -> str:
        """Render one operand; NOT of a number asks whether it is 0."""
        if unary.operator in _ASKING and _counts(unary.element):
            unary = unary._clone()
            unary.element = Grouping(as_condition(unary.element))
        rendered: str = super().visit_unary(unary, *args, **kw)  # type: ignore[no-untyped-call]
        return rendered

    def visit_case(self, clause: Any, **kwargs: Any) -> str:
        """Render CASE, of which all results are of one type."""
        fit = as_condition if clause.value is None else _as_it_is
        results = [result for _, result in clause.whens]
        results += [] if clause.else_ is None else [clause.else_]
        results = alike(results, clause.type)
        made = clause._clone()
        made.whens = [(fit(asked), results[n]) for n, (asked, _) in enumerate(clause.whens)]
        made.else_ = None if clause.else_ is None else results[-1]
        rendered: str = super().visit_case(made, **kwargs)  # type: ignore[no-untyped-call]
        return rendered

    def _generate_delimited_and_list(self, clauses: Any, **kw: Any) -> str:
        parent: Any = super()
        rendered: str = parent._generate_delimited_and_list(list(map(as_condition, clauses)), **kw)
        return rendered


def alike(elements: Sequence[Any], kind: Any) -> list[Any]:
    """Elements of which one is to be chosen, brought to one type where theirs determine it.

    ``kind`` is the type that SQLAlchemy gives to the result.
    """
    if not (any(map(_is_truth, elements)) and any(map(_is_number, elements))):
        return list(elements)
    if kind._type_affinity is sqltypes.Boolean:
        return [cast(one, sqltypes.Boolean()) if _is_number(one) else one for one in elements]
    return [as_number(one) for one in elements]


def as_number(element: Any) -> Any:
    """An element that is computed with: a truth value is 1 or 0."""
    return cast(element, sqltypes.Integer()) if _is_truth(element) else element


def _as_it_is(element: Any) -> Any:
    return element


def as_condition(element: Any) -> Any:
    """An element that is a condition: of a number, that it is not 0."""
    if not _counts(element):
        return element
    return element.self_group(against=operators.ne).op("!=", is_comparison=True)(
        literal_column("0")
    )


def _counts(element: Any) -> bool:
    """Whether an element is a number on Databricks, if SQLAlchemy takes it for a truth value."""
    while isinstance(element, Grouping):
        element = element.element
    if isinstance(getattr(element, "operator", None), operators.custom_op):
        return False  # of ``column.op("<=>")(5)`` SQLAlchemy only guesses the type
    return _is_number(element) or (
        _is_truth(element) and getattr(element, "operator", None) in _ARITHMETIC
    )


_FITTING: dict[Any, Any] = {
    operators.concat_op: as_text,
    **dict.fromkeys(_ARITHMETIC, as_number),
    **dict.fromkeys(_JOINING, as_condition),
}


def _of_one_type(binary: BinaryExpression[Any]) -> BinaryExpression[Any]:
    if isinstance(binary.right, CollectionAggregate):
        return binary  # each value of an array is compared by itself
    if binary.operator in _COMPARING:
        left, right = binary.left, binary.right
        for side in (left, right):
            collation = sqlite_collation(getattr(side, "type", None))
            if collation is not None and isinstance(side, ColumnClause):
                raise CompileError(COLLATION.format(side, collation))
        if {_affinity(left), _affinity(right)} == {sqltypes.DateTime, sqltypes.Date}:
            return _moment_beside_day(binary)
        return _with(binary, _beside(left, right), _beside(right, left))
    fit = _FITTING.get(binary.operator)
    return binary if fit is None else _with(binary, fit(binary.left), fit(binary.right))


def _affinity(element: Any) -> Any:
    kind = getattr(element, "type", None)
    return None if kind is None else kind._type_affinity


# SQLite compares their texts: a day's is that of its midnight without the time, and so a little
# less than it, and equal to none.
_OF_MOMENT = {
    operators.lt: operators.lt,
    operators.le: operators.lt,
    operators.gt: operators.ge,
    operators.ge: operators.ge,
}
_OF_DAY = {
    operators.lt: operators.le,
    operators.le: operators.le,
    operators.gt: operators.gt,
    operators.ge: operators.gt,
}


def _moment_beside_day(binary: BinaryExpression[Any]) -> BinaryExpression[Any]:
    """A comparison of a moment with a day, as SQLite makes it."""
    by = _OF_MOMENT if _affinity(binary.left) is sqltypes.DateTime else _OF_DAY
    if binary.operator in by:
        made = binary._clone()
        # Not as texts: so the warehouse need not read what lies outside.
        made.operator = by[binary.operator]
        return made
    return _with(binary, _day_text(binary.left), _day_text(binary.right))


def _day_text(element: Any) -> Any:
    if not isinstance(element, BindParameter) or not element.expanding:
        return cast(element, sqltypes.String())
    made = element._clone(maintain_key=True)
    made.type = _DayAsText() if _affinity(element) is sqltypes.Date else _MomentAsText()
    return made


def _with(binary: BinaryExpression[Any], left: Any, right: Any) -> BinaryExpression[Any]:
    if left is binary.left and right is binary.right:
        return binary
    made = binary._clone()
    made.left, made.right = left, right
    return made


def _beside(operand: Any, other: Any) -> Any:
    """An operand as it is compared with another one."""
    if isinstance(operand, BindParameter):
        return _bound_beside(operand, other)
    if _is_truth(operand) and _is_number(other):
        return cast(operand, sqltypes.Integer())
    if isinstance(operand, (True_, False_)) and _is_text_column(other):
        return literal("1" if isinstance(operand, True_) else "0")
    return operand


def _bound_beside(operand: BindParameter[Any], other: Any) -> Any:
    """A parameter as it is compared with another operand: each value of it is made fit."""
    kind: Any = None
    if _is_text_column(other):
        if _is_number(operand) or _is_truth(operand):
            whole = operand.type._type_affinity not in _FRACTIONS
            kind = VinciString() if whole else _FloatAsText()
    elif _is_number(other):
        if _is_truth(operand):
            kind = _TruthAsNumber()
        elif _is_number_column(other) and operand.type._type_affinity is sqltypes.String:
            fractions = other.type._type_affinity in _FRACTIONS
            kind = _TextAsFloat() if fractions else _TextAsWhole()
    if kind is None:
        return operand
    # The same parameter, as the values of an IN have to be.
    made = operand._clone(maintain_key=True)
    made.type = kind
    return made


def _is_truth(element: Any) -> bool:
    return affinity(element) is sqltypes.Boolean


def _is_number(element: Any) -> bool:
    return getattr(element, "type", None) is not None and (element.type._type_affinity in _NUMBERS)


def _is_number_column(element: Any) -> bool:
    return isinstance(element, ColumnClause) and _is_number(element)


def _is_text_column(element: Any) -> bool:
    return isinstance(element, ColumnClause) and element.type._type_affinity is sqltypes.String


class _FloatAsText(VinciString):
    """Numbers with a fraction that are compared with a column of text; all of an IN are floats."""

    cache_ok = True

    def comparing(self, dialect: Dialect) -> Processor:
        return lambda value: None if value is None else number_as_text(float(value))


class _TruthAsNumber(VinciInteger):
    """Truth values that are compared with numbers; each of an IN is one."""

    cache_ok = True

    def comparing(self, dialect: Dialect) -> Processor:
        return lambda value: None if value is None else int(value)


class _TextAsWhole(VinciString):
    """Text that is compared with a column of whole numbers, which makes a number of it."""

    cache_ok = True
    binds_stored = False

    def comparing(self, dialect: Dialect) -> Processor:
        return text_as_whole


class _TextAsFloat(VinciString):
    """Text that is compared with a column of other numbers."""

    cache_ok = True
    binds_stored = False

    def comparing(self, dialect: Dialect) -> Processor:
        return text_as_float


class _DayAsText(VinciString):
    """Days that are compared with a moment's text."""

    cache_ok = True

    def comparing(self, dialect: Dialect) -> Processor:
        write = VinciDate().comparing(dialect)
        return lambda value: None if value is None else write(value).isoformat()


class _MomentAsText(VinciString):
    """Moments that are compared with a day's text."""

    cache_ok = True

    def comparing(self, dialect: Dialect) -> Processor:
        write = VinciDateTime().comparing(dialect)
        return lambda value: None if value is None else write(value).isoformat(" ", "microseconds")
