"""What the values of a write are as SQL."""

from __future__ import annotations

import operator
from typing import Any

from sqlalchemy import cast
from sqlalchemy.schema import Column
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import BindParameter, TypeCoerce
from sqlalchemy.sql.selectable import Select, SelectBase
from sqlalchemy.types import Boolean, Float, Integer, Numeric

from vinci_code.database.dialect.sql.value_texts import affinity, as_text, is_text, text_form
from vinci_code.database.dialect.types.transports import transport_of

DEFAULT = "DEFAULT"
"""The word for a column's own default."""

_NUMBERS = frozenset({Integer, Numeric, Float})
_SORTS = _NUMBERS | {Boolean}


class RenderedElement(str):
    """The text of an element, which it keeps."""

    __slots__ = ("element",)
    element: Any


def rendered(text: str, element: Any) -> RenderedElement:
    """The text of an element, with the element."""
    made = RenderedElement(text)
    made.element = element
    return made


def element_of(value: Any) -> Any:
    """What a value was rendered from; ``None`` where that is not known."""
    return value.element if isinstance(value, RenderedElement) else None


def reads_rows(element: Any) -> bool:
    """Whether a value is, or holds, a sub-select; what is not known may be one."""
    if element is None:
        return True
    return any(isinstance(node, SelectBase) for node in visitors.iterate(element))


def is_word_default(element: Any) -> bool:
    """Whether a value is the word for its column's own default, written as text."""
    text = getattr(element, "text", None) or (
        element.name if getattr(element, "is_literal", False) else ""
    )
    return str(text).strip().upper() == DEFAULT


def as_stored(compiler: Any, column: Any, value: Any, *, always: bool = False) -> str:
    """A value as one of its column's type: a truth value is 1 or 0 in a number, as on SQLite."""
    kind = transport_of(column.type, compiler.dialect)
    form = text_form(element_of(value)) if is_text(column.type) else None
    if form is not None:
        return form.format(value)
    if kind is None or not (always or _is_of_other_sort(column, element_of(value))):
        return str(value)
    return f"CAST({value} AS {kind.sql})"


def _is_of_other_sort(column: Any, element: Any) -> bool:
    """Whether a value is a truth value for another column, or a number for one of truth values."""
    found, wanted = _sort(element), column.type._type_affinity
    if wanted is Boolean:
        return found in _NUMBERS and not isinstance(element, BindParameter)
    return found is Boolean


def _sort(element: Any) -> Any:
    """The sort of what a value is on the warehouse, whatever it is taken for."""
    if isinstance(element, TypeCoerce) and not isinstance(element.clause, BindParameter):
        found = _sort(element.clause)
        return found if found in _SORTS else affinity(element)
    return affinity(element)


def selected_as_stored(query: Any, columns: Any) -> Any:
    """A query of which rows are inserted, with what its columns hold: text, truth values, numbers.

    Of a query that is joined of several (``UNION``) the types of the first decide, as written.
    """
    if not isinstance(query, Select):
        return query
    chosen = list(query.selected_columns)
    made = [_for_column(column, item) for column, item in zip(columns, chosen, strict=False)]
    if len(made) < len(chosen) or all(map(operator.is_, made, chosen)):
        return query
    return query.with_only_columns(*made, maintain_column_froms=True)


def _for_column(column: Any, item: Any) -> Any:
    if is_text(column.type):
        return as_text(item)
    if not _is_of_other_sort(column, item):
        return item
    is_truth = column.type._type_affinity is Boolean
    return cast(item, Boolean() if is_truth else Integer())


def default_of(compiler: Any, column: Any) -> str:
    """What the warehouse stores where a column is left out."""
    dialect: Any = compiler.dialect
    return dialect.ddl_compiler(dialect, None).get_column_default_string(column) or "NULL"


def formatted(compiler: Any, item: Any) -> str:
    """The name of a table or column as SQL."""
    preparer = compiler.preparer
    made = preparer.format_column(item) if isinstance(item, Column) else preparer.format_table(item)
    return str(made)
