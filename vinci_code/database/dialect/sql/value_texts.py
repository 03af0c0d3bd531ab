"""The text that SQLite makes of a value, known from its type.

SQLite keeps a truth value as 1 or 0, a moment as text with six digits of a second, and a UUID as 32
digits; Databricks has forms of its own for the text of each. That of floats with an exponent, and
of decimals, has no form here: ``docs/sqlite_to_databricks.md`` tells what differs.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import cast
from sqlalchemy import types as sqltypes
from sqlalchemy.sql import functions, operators
from sqlalchemy.sql.elements import Grouping, Label, UnaryExpression
from sqlalchemy.sql.selectable import ScalarSelect

_MOMENT = "date_format({}, 'yyyy-MM-dd HH:mm:ss.SSSSSS')"
_FORMS: dict[Any, str] = {
    # Not CAST(… AS STRING) at once, which is 'true'.
    sqltypes.Boolean: "CAST(CAST({} AS INT) AS STRING)",
    sqltypes.DateTime: _MOMENT,
    sqltypes.Interval: _MOMENT,
    sqltypes.Uuid: "replace({}, '-', '')",
}
# These have no fractions of a second there.
_PRESENT = (functions.now, functions.current_timestamp)
_CONDITIONS = frozenset(
    {
        operators.between_op,
        operators.not_between_op,
        operators.regexp_match_op,
        operators.not_regexp_match_op,
    }
)


def text_form(element: Any) -> str | None:
    """What makes SQLite's text of an element, with ``{}`` for it; ``None`` if a cast does."""
    while isinstance(element, Grouping):
        element = element.element
    if isinstance(element, _PRESENT):
        return "date_format({}, 'yyyy-MM-dd HH:mm:ss')"
    return _FORMS.get(affinity(element))


def affinity(element: Any) -> Any:
    """The sort of an element's type; ``None`` where it has none.

    SQLAlchemy gives no type to some conditions, such as a BETWEEN.
    """
    while isinstance(element, (Grouping, Label)):
        element = element.element
    if isinstance(element, ScalarSelect):
        return affinity(element.element.selected_columns[0])
    if getattr(element, "operator", None) in _CONDITIONS:
        return sqltypes.Boolean
    kind = getattr(element, "type", None)
    return None if kind is None else kind._type_affinity


def as_text(element: Any) -> Any:
    """An element where text is wanted: made text as on SQLite, if its type needs that."""
    if isinstance(element, UnaryExpression) and element.operator is operators.distinct_op:
        made: Any = as_text(element.element)
        return element if made is element.element else made.distinct()
    return element if text_form(element) is None else cast(element, sqltypes.String())


def is_text(kind: Any) -> bool:
    """Whether a type is one of text."""
    return kind._type_affinity is sqltypes.String
