"""What sort of statement a construct of SQLAlchemy is, so that nobody has to look at its text."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import DDL, CreateTable, ExecutableDDLElement
from sqlalchemy.sql.elements import Cast, Extract
from sqlalchemy.sql.operators import custom_op
from sqlalchemy.sql.selectable import SelectBase, TextualSelect
from sqlalchemy.types import UserDefinedType

from vinci_code.database.dialect.text.scanning import DEFINITION, QUERY, StatementTraits

TRAITS = "vinci_traits"
"""The execution option by which a text of this package's own comes with what it is."""


_OPERATOR_SIGNS = frozenset("+-*/%<>=!|&^~")
_OPERATOR_WORDS = frozenset({"AND", "OR", "NOT", "IS", "LIKE", "ILIKE", "RLIKE", "REGEXP", "DIV"})


class RenderedDDL(ExecutableDDLElement):
    """DDL that is rendered already; it is not ``described`` where only its text is known."""

    def __init__(self, text: str, described: StatementTraits | None) -> None:
        self.text = text
        self.described = described


@compiles(RenderedDDL)
def _render(element: RenderedDDL, _: Any, **__: Any) -> str:
    return element.text


def is_compiled_elsewhere(element: Any) -> bool:
    """Whether an application may render an element with text of its own (``@compiles``)."""
    kind = type(element)
    return hasattr(kind, "_compiler_dispatcher") and not kind.__module__.startswith("vinci_code.")


def is_own_text(element: Any) -> bool:
    """Whether a text of the application's own stands in an element, which may be any SQL.

    Such as the operator of ``column.op("IN (SELECT id FROM t) AND 1 =")``.
    """
    if isinstance(element, Extract):
        return not element.field.isidentifier()
    if isinstance(element, Cast):
        own = type(element.type).__module__.startswith("vinci_code.")
        return isinstance(element.type, UserDefinedType) and not own
    used = (getattr(element, name, None) for name in ("operator", "modifier"))
    return any(isinstance(item, custom_op) and not _is_operator(item) for item in used)


def is_own_of_databricks(func: Any) -> bool:
    """Whether a function is called as one that is built in: ``func.system.builtin.log(x)``."""
    packages = [str(name).lower() for name in getattr(func, "packagenames", None) or ()]
    return packages == ["system", "builtin"]


def is_own_name(name: str) -> bool:
    """Whether a name that is not to be quoted may be more than a name."""
    return getattr(name, "quote", None) is False and not name.isidentifier()


def _is_operator(operator: Any) -> bool:
    """Whether an operator of the application's own is known to be one, and nothing else."""
    text = operator.opstring.strip()
    return _OPERATOR_SIGNS.issuperset(text) or text.upper() in _OPERATOR_WORDS


def described(construct: Any) -> StatementTraits | None:
    """What a query or a DDL construct is; ``None`` where its text is written by the application."""
    if isinstance(construct, RenderedDDL):
        return construct.described
    kind = type(construct)
    if not kind.__module__.startswith("sqlalchemy.") or is_compiled_elsewhere(construct):
        return None
    if isinstance(construct, (DDL, TextualSelect)):
        return None
    if isinstance(construct, SelectBase):
        return QUERY
    if not isinstance(construct, ExecutableDDLElement):
        return None
    if isinstance(construct, CreateTable) and construct.element._prefixes:
        return None  # TEMPORARY, or what else the application writes there
    if getattr(construct, "temporary", False):
        # A view, or a table made of a query.
        table: Any = getattr(construct, "table", construct.target)
        return StatementTraits(
            "CREATE", changes_session=True, temporary_view=str(table.name).lower()
        )
    return DEFINITION
