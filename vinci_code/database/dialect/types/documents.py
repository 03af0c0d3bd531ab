"""JSON documents: as text in a STRING, or as VARIANT."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import func
from sqlalchemy import types as sqltypes

from vinci_code.core.errors import ValueRefusedError
from vinci_code.database.dialect.types.base import Processor, VinciType
from vinci_code.database.dialect.types.numbers import MAX_DIGITS
from vinci_code.database.dialect.types.texts import as_text

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect
    from sqlalchemy.sql.elements import BindParameter, ColumnElement


class VinciJSON(VinciType, sqltypes.JSON[Any]):
    """A JSON document, kept as the text that it was written as, as on SQLite."""

    stored_as = str
    takes_stored = False

    def comparing(self, dialect: Dialect) -> Processor | None:
        """Return SQLAlchemy's own, which knows ``JSON.NULL``."""
        process: Processor | None = sqltypes.JSON.bind_processor(self, dialect)  # type: ignore[no-untyped-call]
        return process

    def storing(self, dialect: Dialect) -> Processor:
        """Return what writes the document, by the engine's ``json_serializer``."""
        write: Any = sqltypes.JSON.bind_processor(self, dialect)  # type: ignore[no-untyped-call]

        def process(value: Any) -> Any:
            try:
                text = write(value)
            except ValueRefusedError:
                raise  # the serializer's own words, which are the same on SQLite
            except (TypeError, ValueError, RecursionError) as error:
                return self.placed(_no_document, error)
            return None if text is None else self.placed(self.keep, text)

        return process

    def keep(self, value: Any) -> str:
        """Return a document's text.

        Raises:
            ValueRefusedError: The serializer gave something else than text.
        """
        return self.checked(as_text(value))

    def checked(self, text: str) -> str:
        """Return a document's text that can be stored."""
        return text


class VARIANT(VinciJSON):
    """A JSON document in Databricks' own binary form.

    Numbers and the order of keys are normalised by the warehouse; ``JSON`` keeps them as written.
    """

    __visit_name__ = "VARIANT"

    def bind_expression(self, bindvalue: BindParameter[Any]) -> ColumnElement[Any]:
        """Have the warehouse read the text."""
        return func.parse_json(bindvalue, type_=self)

    def checked(self, text: str) -> str:
        """Return a document's text.

        Raises:
            ValueRefusedError: A VARIANT cannot hold it: NaN, infinities, integers of more than 38
                digits, half of a character.
        """
        document = json.loads(text, parse_constant=_no_number, parse_int=_short_integer)
        as_text(json.dumps(document, ensure_ascii=False))
        return text


class VinciJSONIndex(VinciType, sqltypes.JSON.JSONIndexType):
    """A key or a position in a JSON document, as a path."""

    def bind_processor(self, dialect: Dialect) -> Processor:
        """Write the path."""
        return lambda value: f"${_step(value)}"


class VinciJSONPath(VinciType, sqltypes.JSON.JSONPathType):
    """Several keys and positions, as a path."""

    def bind_processor(self, dialect: Dialect) -> Processor:
        """Write the path."""
        return lambda value: "$" + "".join(map(_step, value))


def _no_document(error: Exception) -> Any:
    raise ValueRefusedError(f"a value that JSON cannot hold: {error}") from None


def _no_number(name: str) -> Any:
    raise ValueRefusedError(f"a VARIANT has no {name}; write it as a text, or as None")


def _short_integer(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_DIGITS:
        raise ValueRefusedError(
            f"an integer of more than {MAX_DIGITS} digits, which a VARIANT would round; use JSON, "
            "which keeps it as it is written"
        )
    return int(digits)


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
