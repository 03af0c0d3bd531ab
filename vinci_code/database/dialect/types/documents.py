"""JSON documents: as text in a STRING, or as VARIANT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func
from sqlalchemy import types as sqltypes

from vinci_code.core.errors import ValueRefusedError
from vinci_code.database.dialect.types.base import Processor, Rendered

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect
    from sqlalchemy.sql.elements import BindParameter, ColumnElement


class VinciJSON(Rendered, sqltypes.JSON[Any]):
    """A JSON document, kept as the text that it was written as, as on SQLite."""

    def bind_processor(self, dialect: Dialect) -> Processor | None:
        """Return SQLAlchemy's own, which knows ``JSON.NULL``."""
        process: Processor | None = sqltypes.JSON.bind_processor(self, dialect)  # type: ignore[no-untyped-call]
        return process


class VARIANT(VinciJSON):
    """A JSON document in Databricks' own binary form.

    Numbers and the order of keys are normalised by the warehouse; ``JSON`` keeps them as written.
    """

    __visit_name__ = "VARIANT"

    def bind_expression(self, bindvalue: BindParameter[Any]) -> ColumnElement[Any]:
        """Have the warehouse read the text."""
        return func.parse_json(bindvalue, type_=self)


class VinciJSONIndex(Rendered, sqltypes.JSON.JSONIndexType):
    """A key or a position in a JSON document, as a path."""

    def bind_processor(self, dialect: Dialect) -> Processor:
        """Write the path."""
        return lambda value: f"${_step(value)}"


class VinciJSONPath(Rendered, sqltypes.JSON.JSONPathType):
    """Several keys and positions, as a path."""

    def bind_processor(self, dialect: Dialect) -> Processor:
        """Write the path."""
        return lambda value: "$" + "".join(map(_step, value))


def _step(value: int | str) -> str:
    if isinstance(value, int):
        return f"[{value}]"
    if "'" not in value:
        return f"['{value}']"
    if '"' not in value:
        return f'["{value}"]'
    raise ValueRefusedError(
        f"the key {value!r} holds both kinds of quotes, for which Databricks' paths have no form"
    )
