"""Operators, rendered so that they give on Databricks what they give on SQLite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import and_, column, or_
from sqlalchemy import types as sqltypes
from sqlalchemy.exc import CompileError
from sqlalchemy.sql import operators
from sqlalchemy.sql.compiler import OPERATORS, SQLCompiler
from sqlalchemy.sql.elements import BinaryExpression, CollectionAggregate, Grouping, Slice, Tuple

from vinci_code.database.dialect.sql.refusals import (
    ANY_OF_QUERY,
    MATCH,
    ROW_IS,
    ROW_LENGTHS,
    ROW_WITH_OTHER,
    SLICE,
)
from vinci_code.database.dialect.sql.refused_functions import refuse_operator
from vinci_code.database.dialect.sql.value_texts import as_text
from vinci_code.database.dialect.types.documents import VARIANT
from vinci_code.database.dialect.types.nested import STRUCT

# Where no escape character is given, SQLite has none, and Databricks the backslash. This one stands
# in no text; a pattern that has it all the same is refused by the warehouse.
_NO_ESCAPE = "\x01"

# An Interval is kept as the moment that lies so long after this one, as on SQLite.
_EPOCH = "TIMESTAMP_NTZ '1970-01-01 00:00:00'"

# A value of an ARRAY, while all of them are looked at.
_ITEM = "vinci_item"

_MOMENTS = (sqltypes.DateTime, sqltypes.Date)


class OperatorCompiler(SQLCompiler):
    """Operators."""

    # --- patterns -------------------------------------------------------------------------------

    def visit_like_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Render LIKE, which does not tell ``a`` from ``A``, unless the engine shall."""
        return self._like(binary, "", **kw)

    def visit_not_like_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Render NOT LIKE."""
        return self._like(binary, "NOT ", **kw)

    def visit_ilike_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Render ILIKE."""
        return self._like(binary, "", "ILIKE", **kw)

    def visit_not_ilike_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Render NOT ILIKE."""
        return self._like(binary, "NOT ", "ILIKE", **kw)

    def visit_ilike_case_insensitive_operand(self, element: Any, **kw: Any) -> str:
        """Render the operand as it is: ILIKE does the rest."""
        rendered: str = element.element._compiler_dispatch(self, **kw)
        return rendered

    def _like(self, binary: Any, negation: str, word: str | None = None, **kw: Any) -> str:
        sensitive = getattr(self.dialect, "case_sensitive_like", False)
        word = word or ("LIKE" if sensitive else "ILIKE")
        left = as_text(binary.left)._compiler_dispatch(self, **kw)
        right = binary.right._compiler_dispatch(self, **kw)
        escape = binary.modifiers.get("escape") or _NO_ESCAPE
        written = self.render_literal_value(escape, sqltypes.STRINGTYPE)
        return f"{left} {negation}{word} {right} ESCAPE {written}"

    def visit_regexp_match_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Render RLIKE, which finds the expression anywhere in the text."""
        pattern = self._flagged(binary.right, binary, **kw)
        return f"{self.process(binary.left, **kw)} RLIKE {pattern}"

    def visit_not_regexp_match_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Render NOT RLIKE."""
        pattern = self._flagged(binary.right, binary, **kw)
        return f"{self.process(binary.left, **kw)} NOT RLIKE {pattern}"

    def visit_regexp_replace_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Render regexp_replace, of every place that matches."""
        pattern, replacement = binary.right.clauses
        text = self.process(binary.left, **kw)
        by = self.process(replacement, **kw)
        return f"regexp_replace({text}, {self._flagged(pattern, binary, **kw)}, {by})"

    def _flagged(self, pattern: Any, binary: Any, **kw: Any) -> str:
        text = self.process(pattern, **kw)
        flags = binary.modifiers.get("flags")
        if flags is None:
            return text
        prefix = self.render_literal_value(f"(?{flags})", sqltypes.STRINGTYPE)
        return f"concat({prefix}, {text})"

    def visit_match_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Refuse it.

        Raises:
            CompileError: Databricks has no full-text search.
        """
        raise CompileError(MATCH)

    # --- rows of values -------------------------------------------------------------------------

    # Databricks has no rows of values: what stands in parentheses is a STRUCT, of which NULL equals
    # NULL, and whose fields have to be of the same types to the letter. So they are compared column
    # by column, which gives NULL where that is not decided, as on SQLite:
    # https://www.sqlite.org/rowvalue.html#row_value_comparisons

    def visit_eq_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Render a comparison, that of two rows column by column."""
        if _is_row(binary.left, binary.right):
            return self.process(_row_compared(binary.left, binary.right, operator), **kw)
        return self._generate_generic_binary(binary, OPERATORS[operator], **kw)

    visit_ne_binary = visit_eq_binary
    visit_lt_binary = visit_eq_binary
    visit_le_binary = visit_eq_binary
    visit_gt_binary = visit_eq_binary
    visit_ge_binary = visit_eq_binary
    visit_is_distinct_from_binary = visit_eq_binary
    visit_is_not_distinct_from_binary = visit_eq_binary

    def visit_between_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Render BETWEEN."""
        if _is_row(binary.left):
            return self.process(_between(binary), **kw)
        text: str = super().visit_between_op_binary(binary, operator, **kw)  # type: ignore[no-untyped-call]
        return text

    def visit_not_between_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Render NOT BETWEEN."""
        if _is_row(binary.left):
            return f"NOT {self.process(_between(binary), **kw)}"
        text: str = super().visit_not_between_op_binary(binary, operator, **kw)  # type: ignore[no-untyped-call]
        return text

    def visit_is__binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Render IS or IS NOT, which asks of no row of values."""
        if _is_row(binary.left, binary.right):
            raise CompileError(ROW_IS)
        return self._generate_generic_binary(binary, OPERATORS[operator], **kw)

    visit_is_not_binary = visit_is__binary

    # --- any and all of an array -----------------------------------------------------------------

    def visit_binary(self, binary: Any, *args: Any, **kw: Any) -> str:
        """Render two operands, of which the second may be each value of an ARRAY.

        Raises:
            CompileError: It is each value of a query.
        """
        each = binary.right
        if not isinstance(each, CollectionAggregate):
            text: str = super().visit_binary(binary, *args, **kw)  # type: ignore[no-untyped-call]
            return text
        array = _ungrouped(each.element)
        if not _is(array, sqltypes.ARRAY):
            raise CompileError(ANY_OF_QUERY)
        name = "exists" if each.operator is operators.any_op else "forall"
        item = column(_ITEM, array.type.item_type)
        compared = binary._clone()
        compared.left, compared.right = binary.left.self_group(against=binary.operator), item
        return f"{name}({self.process(array, **kw)}, {_ITEM} -> {self.process(compared, **kw)})"

    def visit_custom_op_binary(self, element: Any, operator: Any, **kw: Any) -> str:
        """Render an operator of the application's own.

        Raises:
            CompileError: It is one that only SQLite has.
        """
        refuse_operator(operator.opstring)
        text: str = super().visit_custom_op_binary(element, operator, **kw)  # type: ignore[no-untyped-call]
        return text

    # --- lists ----------------------------------------------------------------------------------

    # A list of pairs has to have the types of the columns to the letter; those of a table of VALUES
    # are brought together column by column. So what SQLAlchemy writes into the parentheses behind
    # IN becomes a subquery of it.

    def _literal_execute_expanding_parameter(
        self, name: str, parameter: Any, values: Any, **kw: Any
    ) -> Any:
        parent: Any = super()
        made = parent._literal_execute_expanding_parameter(name, parameter, values, **kw)
        if parameter.literal_execute:
            return made  # by the method below
        return made[0], _of_values(made[1], parameter, values)

    def _literal_execute_expanding_parameter_literal_binds(
        self, parameter: Any, values: Any, *args: Any, **kw: Any
    ) -> Any:
        parent: Any = super()
        render = parent._literal_execute_expanding_parameter_literal_binds
        parameters, text = render(parameter, values, *args, **kw)
        return parameters, _of_values(text, parameter, values)

    def visit_empty_set_op_expr(self, type_: Any, expand_op: Any, **kw: Any) -> str:
        """Render a list of nothing."""
        if len(type_) > 1:
            nothing: str = self.visit_empty_set_expr(type_)  # type: ignore[no-untyped-call]
            return nothing
        text: str = super().visit_empty_set_op_expr(type_, expand_op, **kw)  # type: ignore[no-untyped-call]
        return text

    # --- arithmetic -----------------------------------------------------------------------------

    def visit_truediv_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Render a division, whose result has digits after the point, and is NULL by zero."""
        return f"{self.process(binary.left, **kw)} / {self._divisor(binary, **kw)}"

    def visit_floordiv_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Render the division of whole numbers, cut towards zero; of others, rounded down."""
        left, right = self.process(binary.left, **kw), self._divisor(binary, **kw)
        if all(_is(side, sqltypes.Integer) for side in (binary.left, binary.right)):
            return f"{left} DIV {right}"
        return f"FLOOR({left} / {right})"

    def visit_mod_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Render the rest, which is NULL by zero; of floats SQLite takes the whole parts."""
        left, right = binary.left, binary.right
        if not any(_is(side, sqltypes.Float, sqltypes.Numeric) for side in (left, right)):
            return f"{self.process(left, **kw)} % {self._divisor(binary, **kw)}"
        texts = [f"CAST({self.process(side, **kw)} AS BIGINT)" for side in (left, right)]
        return f"CAST({texts[0]} % nullif({texts[1]}, 0) AS DOUBLE)"

    def _divisor(self, binary: Any, **kw: Any) -> str:
        # The warehouse raises DIVIDE_BY_ZERO where SQLite gives NULL.
        return f"nullif({self.process(binary.right, **kw)}, 0)"

    def visit_add_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Render a sum, of which one part may be an interval."""
        left, right = binary.left, binary.right
        if _is(left, sqltypes.Interval) and _is(right, *_MOMENTS):
            left, right = right, left
        if _is(right, sqltypes.Interval) and _is(left, sqltypes.Interval, *_MOMENTS):
            return f"{self._moment(left, **kw)} + {self._length(right, **kw)}"
        if _is(left, sqltypes.Date) and _is(right, sqltypes.Integer):
            return f"date_add({self.process(left, **kw)}, CAST({self.process(right, **kw)} AS INT))"
        return self._generate_generic_binary(binary, " + ", **kw)

    def visit_sub_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Render a difference, which may be one of moments."""
        left, right = binary.left, binary.right
        if _is(right, sqltypes.Interval) and _is(left, *_MOMENTS):
            return f"{self._moment(left, **kw)} - {self._length(right, **kw)}"
        if _is(left, sqltypes.Date) and _is(right, sqltypes.Date):
            return f"datediff({self.process(left, **kw)}, {self.process(right, **kw)})"
        if _is(left, sqltypes.Interval, *_MOMENTS) and _is(right, sqltypes.Interval, *_MOMENTS):
            return f"{_EPOCH} + ({self._moment(left, **kw)} - {self._moment(right, **kw)})"
        if _is(left, sqltypes.Date) and _is(right, sqltypes.Integer):
            return f"date_sub({self.process(left, **kw)}, CAST({self.process(right, **kw)} AS INT))"
        return self._generate_generic_binary(binary, " - ", **kw)

    def _moment(self, element: Any, **kw: Any) -> str:
        text = self.process(element, **kw)
        return f"CAST({text} AS TIMESTAMP_NTZ)" if _is(element, sqltypes.Date) else text

    def _length(self, element: Any, **kw: Any) -> str:
        return f"({self.process(element, **kw)} - {_EPOCH})"

    # --- parts of values ------------------------------------------------------------------------

    def visit_json_getitem_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Render what stands at a key, or at a path, of a JSON document."""
        document = self.process(binary.left, **kw)
        if not isinstance(binary.left.type, VARIANT):
            document = f"parse_json({document})"
        # A path has to be a constant, so it is written into the statement.
        path = self.process(binary.right, **{**kw, "literal_execute": True})
        kind = binary.type
        if kind._type_affinity is sqltypes.JSON:
            # SQLite gives the text null for what is not there.
            return f"coalesce(to_json(variant_get({document}, {path})), 'null')"
        name = self.dialect.type_compiler_instance.process(kind).lower()
        # What is of another type matches no condition, as on SQLite; but where it is to be read,
        # it is better refused than given as NULL.
        lenient = "" if kw.get("within_columns_clause") else "try_"
        return f"{lenient}variant_get({document}, {path}, '{name}')"

    visit_json_path_getitem_op_binary = visit_json_getitem_op_binary

    def visit_getitem_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Render an item of an ARRAY or MAP, which is NULL where there is none; a field."""
        holder = self.process(binary.left, **kw)
        if isinstance(binary.left.type, STRUCT):
            return f"{holder}.{self.preparer.quote(binary.right.name)}"
        if isinstance(binary.right, Slice):
            raise CompileError(SLICE)
        item = self.process(binary.right, **kw)
        if _is(binary.right, sqltypes.Integer):
            item = f"CAST({item} AS INT)" if _is(binary.left, sqltypes.ARRAY) else item
        return f"try_element_at({holder}, {item})"


def _of_values(text: str, parameter: Any, values: Any) -> str:
    """A list as rendered; one of rows as a subquery, unless there are none."""
    kind = parameter.type
    of_rows = kind._is_tuple_type or (
        kind._isnull
        and len(values) > 0
        and isinstance(values[0], Sequence)
        and not isinstance(values[0], (str, bytes))
    )
    return f"SELECT * FROM VALUES {text}" if of_rows and values else text  # noqa: S608 - rendered


def _is_row(*elements: Any) -> bool:
    """Whether one of some elements is a row of values."""
    return any(isinstance(_ungrouped(element), Tuple) for element in elements)


def _ungrouped(element: Any) -> Any:
    while isinstance(element, Grouping):
        element = element.element
    return element


def _between(binary: Any) -> Any:
    low, high = binary.right.clauses
    within = _both(binary.left, low, high)
    if not binary.modifiers.get("symmetric", False):
        return within
    return _grouped(or_, [within, _both(binary.left, high, low)])


def _both(row: Any, low: Any, high: Any) -> Any:
    return _grouped(
        and_, [_row_compared(row, low, operators.ge), _row_compared(row, high, operators.le)]
    )


def _row_compared(left: Any, right: Any, operator: Any) -> Any:
    """The comparison of two rows of values, column by column.

    Raises:
        CompileError: One is no row of values, or they are of different lengths.
    """
    pairs = list(_pairs(left, right))
    if operator in (operators.eq, operators.is_not_distinct_from):
        return _grouped(and_, [_one_compared(a, b, operator) for a, b in pairs])
    if operator in (operators.ne, operators.is_distinct_from):
        return _grouped(or_, [_one_compared(a, b, operator) for a, b in pairs])
    # What decides is the first pair that is not equal; the last one may be.
    strict = operators.lt if operator in (operators.lt, operators.le) else operators.gt
    *firsts, (left, right) = pairs
    compared = _one_compared(left, right, operator)
    for left, right in reversed(firsts):
        equal = _grouped(and_, [_one_compared(left, right, operators.eq), compared])
        compared = _grouped(or_, [_one_compared(left, right, strict), equal])
    return compared


def _one_compared(left: Any, right: Any, operator: Any) -> Any:
    if _is_row(left, right):
        return _row_compared(left, right, operator)
    # Not left == right: beside NULL that would become IS NULL, which is never undecided.
    return BinaryExpression(
        left.self_group(against=operator),
        right.self_group(against=operator),
        operator,
        type_=sqltypes.Boolean(),
    )


def _pairs(left: Any, right: Any) -> Iterator[tuple[Any, Any]]:
    rows = [_ungrouped(side) for side in (left, right)]
    if not all(isinstance(row, Tuple) for row in rows):
        raise CompileError(ROW_WITH_OTHER)
    lengths = [len(row.clauses) for row in rows]
    if lengths[0] != lengths[1] or not lengths[0]:
        raise CompileError(ROW_LENGTHS.format(*lengths))
    return zip(rows[0].clauses, rows[1].clauses, strict=True)


def _grouped(join: Any, conditions: Sequence[Any]) -> Any:
    # Within parentheses, whatever stands around it.
    return Grouping(join(*conditions)) if len(conditions) > 1 else conditions[0]


def _is(element: Any, *kinds: type[Any]) -> bool:
    affinity = element.type._type_affinity
    return affinity is not None and affinity in kinds
