"""Comparisons of values of different types, as SQLite makes them.

A truth value is compared with a number as 0 or 1, where Databricks refuses the pair. A text that is
compared with a column of numbers is the number that it tells, and greater than all of them if it
tells none, where Databricks would fail. A column of text is compared with a number as text, where Databricks would read every text of the column as a
number, and fail at the first that is none (https://www.sqlite.org/datatype3.html, 4.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import cast, literal
from sqlalchemy import types as sqltypes
from sqlalchemy.exc import CompileError
from sqlalchemy.sql import operators
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import BinaryExpression, BindParameter, ColumnClause, False_, True_

from vinci_code.database.dialect.refusals import COLLATION
from vinci_code.database.dialect.types.numbers import VinciInteger, text_as_float, text_as_whole
from vinci_code.database.dialect.types.texts import (
    VinciString,
    number_as_text,
    sqlite_collation,
)

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
_FRACTIONS = frozenset({sqltypes.Numeric, sqltypes.Float})
_NUMBERS = frozenset({sqltypes.Integer}) | _FRACTIONS


class Comparisons(SQLCompiler):
    """Comparisons."""

    def visit_binary(self, binary: BinaryExpression[Any], *args: Any, **kw: Any) -> str:
        """Render two operands, brought to one type where they are compared."""
        rendered: str = super().visit_binary(_of_one_type(binary), *args, **kw)  # type: ignore[no-untyped-call]
        return rendered


def _of_one_type(binary: BinaryExpression[Any]) -> BinaryExpression[Any]:
    if binary.operator in _COMPARING:
        left, right = binary.left, binary.right
        for side in (left, right):
            collation = sqlite_collation(getattr(side, "type", None))
            if collation is not None and isinstance(side, ColumnClause):
                raise CompileError(COLLATION.format(side, collation))
        return _with(binary, _beside(left, right), _beside(right, left))
    return binary


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
    return getattr(element, "type", None) is not None and (
        element.type._type_affinity is sqltypes.Boolean
    )


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

    def comparing(self, dialect: Dialect) -> Processor:
        return text_as_whole


class _TextAsFloat(VinciString):
    """Text that is compared with a column of other numbers."""

    cache_ok = True

    def comparing(self, dialect: Dialect) -> Processor:
        return text_as_float
