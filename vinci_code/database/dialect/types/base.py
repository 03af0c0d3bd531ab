"""What all types have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vinci_code.database.dialect.binding import literal

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

Processor = Callable[[Any], Any]


class Rendered:
    """A type whose literals are what would have been bound, written out."""

    def bind_processor(self, dialect: Dialect) -> Processor | None:
        """Return what makes a value of this type one of the driver's."""
        return None

    def literal_processor(self, dialect: Dialect) -> Callable[[Any], str]:
        """Return what writes a value into the statement."""
        bind = self.bind_processor(dialect)
        if bind is None:
            return literal
        return lambda value: literal(bind(value))
