"""What the values of a write are as SQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy.schema import Column
from sqlalchemy.sql import visitors
from sqlalchemy.sql.selectable import SelectBase
from sqlalchemy.types import Boolean

from vinci_code.database.dialect.transports import transport_of

DEFAULT = "DEFAULT"
"""The word for a column's own default."""


class Rendered(str):
    """The text of an element, which it keeps.

    Attributes:
        element: The element.
    """

    __slots__ = ("element",)
    element: Any


def rendered(text: str, element: Any) -> Rendered:
    """The text of an element, with the element."""
    made = Rendered(text)
    made.element = element
    return made


def element_of(value: Any) -> Any:
    """What a value was rendered from; ``None`` where that is not known."""
    return value.element if isinstance(value, Rendered) else None


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
    affinity = getattr(element_of(value), "type", column.type)._type_affinity
    is_truth = affinity is Boolean and column.type._type_affinity is not Boolean
    if kind is None or not (always or is_truth):
        return str(value)
    return f"CAST({value} AS {kind.sql})"


def default_of(compiler: Any, column: Any) -> str:
    """What the warehouse stores where a column is left out."""
    dialect: Any = compiler.dialect
    return dialect.ddl_compiler(dialect, None).get_column_default_string(column) or "NULL"


def formatted(compiler: Any, item: Any) -> str:
    """The name of a table or column as SQL."""
    preparer = compiler.preparer
    made = preparer.format_column(item) if isinstance(item, Column) else preparer.format_table(item)
    return str(made)
