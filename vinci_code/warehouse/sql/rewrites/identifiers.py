"""``IDENTIFIER(text)``: a name that is given as a constant text."""

from __future__ import annotations

from sqlglot import exp

from vinci_code.warehouse.sql.binder import Binder, refused
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.lexemes import parse_name
from vinci_code.warehouse.sql.scope import Scope


def identifier_parts(binder: Binder, call: exp.Anonymous) -> list[str]:
    """Return the parts of the name in ``IDENTIFIER(text)``.

    Raises:
        SqlError: ``NOT_A_CONSTANT_STRING`` or ``PARSE_SYNTAX_ERROR``.
    """
    if len(call.expressions) != 1:
        raise refused(call)
    value = binder.expression(call.expressions[0], Scope())
    if not isinstance(value.constant, str):
        raise SqlError(
            "NOT_A_CONSTANT_STRING.NOT_CONSTANT",
            "42601",
            f'The expression "{value.name}" used for the routine or clause `IDENTIFIER` must be a '
            "constant STRING which is NOT NULL. To be considered constant the expression must not "
            "depend on any columns, contain a subquery, or invoke a non deterministic function.",
        )
    return parse_name(value.constant)
