"""Parameters of a statement: what the client sent, made into typed values.

A parameter's value is never spliced into SQL text: it is bound, and the translated query holds
``CAST($name AS <DuckDB type>)`` in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vinci_code.warehouse.sql.errors import SqlError

# https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-parameter-marker gives 255 markers
# and 1 MB; the text of the server says 256.
MAX_PARAMETERS = 255
MAX_PARAMETER_BYTES = 1_048_576


@dataclass(frozen=True)
class Parameter:
    """One parameter as it came over the wire.

    Attributes:
        name: The name of a named parameter; ``None`` for a positional one.
        type: The type's text, for example ``DECIMAL(10,2)``, ``VOID``, ``ARRAY``.
        value: The value as text; ``None`` is SQL NULL.
        arguments: The elements of an ARRAY; the keys and values of a MAP in turn.
    """

    name: str | None
    type: str
    value: str | None = None
    arguments: tuple[Parameter, ...] = ()


def check_limits(parameters: Sequence[Parameter]) -> None:
    """Refuse more parameters, or more bytes in them, than a warehouse takes.

    Raises:
        SqlError: ``BAD_REQUEST``. A real warehouse answers with HTTP status 400 and this text.
    """
    if len(parameters) > MAX_PARAMETERS:
        raise SqlError(
            "BAD_REQUEST",
            "54023",
            f"Parameterized query has too many parameters: {len(parameters)} parameters were "
            "given but the limit is 256.",
        )
    size = sum(_size(parameter) for parameter in parameters)
    if size > MAX_PARAMETER_BYTES:
        raise SqlError(
            "BAD_REQUEST",
            "54000",
            f"Parameterized query has too large parameters: {size} bytes were given but the limit "
            f"is {MAX_PARAMETER_BYTES} bytes.",
        )


def _size(parameter: Parameter) -> int:
    own = 0 if parameter.value is None else len(parameter.value.encode())
    return own + sum(_size(argument) for argument in parameter.arguments)
