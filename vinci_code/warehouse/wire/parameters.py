"""Statement parameters: from the Thrift structs of the wire to the engine's parameters.

What the driver really sends (its ``parameters/native.py``): a positional parameter has ordinal 1,
every one of them (Python's ``True`` in an i32 field), and a named one ordinal 0 and a name; so the
order of the list counts, not the ordinals. Other clients number their ordinals from 1 to n. A list
in which only some have names is sent as positional by the driver, which drops the names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from databricks.sql.thrift_api.TCLIService import ttypes

from vinci_code.warehouse.sql.parameters import Parameter

_MAX_DEPTH = 50

PlainValue: TypeAlias = "str | tuple[PlainValue, ...] | None"
"""A parameter's value without its type: a text, NULL, or the elements of an array or map."""


class ParameterError(ValueError):
    """A parameter on the wire is not one that can be understood."""


def from_thrift(parameters: Sequence[ttypes.TSparkParameter] | None) -> tuple[Parameter, ...]:
    """Read the parameters of one statement, in the order in which markers take them.

    Raises:
        ParameterError: One of them has no type, or a value that contradicts itself.
    """
    items = list(parameters or ())
    positional = [item for item in items if not item.name]
    if positional and _numbered(positional):
        items = sorted(items, key=lambda item: item.ordinal or 0)
    return tuple(_parameter(item) for item in items)


def plain(parameters: Sequence[Parameter]) -> tuple[tuple[str | None, str, object], ...]:
    """The parameters as ``(name, type, value)`` for the request log."""
    return tuple((item.name, item.type, _plain_value(item)) for item in parameters)


def _numbered(parameters: Sequence[ttypes.TSparkParameter]) -> bool:
    return sorted(item.ordinal or 0 for item in parameters) == list(range(1, len(parameters) + 1))


def _parameter(item: ttypes.TSparkParameter) -> Parameter:
    kind = item.type
    if not kind:
        # Spark's default for a parameter without a type.
        kind = "STRING"
    if kind.upper() == "VOID":
        return Parameter(item.name or None, "VOID")
    if item.arguments is not None:
        return Parameter(item.name or None, kind, None, _arguments(item.arguments, 1))
    return Parameter(item.name or None, kind, _value(item.value))


def _value(value: ttypes.TSparkParameterValue | None) -> str | None:
    if value is None:
        return None
    given = [
        item
        for item in (value.stringValue, value.doubleValue, value.booleanValue)
        if item is not None
    ]
    if len(given) > 1:
        raise ParameterError("a parameter has more than one value")
    if not given:
        return None
    if isinstance(given[0], bool):
        return "true" if given[0] else "false"
    return given[0] if isinstance(given[0], str) else repr(given[0])


def _arguments(
    arguments: Sequence[ttypes.TSparkParameterValueArg], depth: int
) -> tuple[Parameter, ...]:
    if depth > _MAX_DEPTH:
        raise ParameterError(f"a parameter is nested more than {_MAX_DEPTH} deep")
    return tuple(_argument(item, depth) for item in arguments)


def _argument(item: ttypes.TSparkParameterValueArg, depth: int) -> Parameter:
    kind = item.type or "STRING"
    if kind.upper() == "VOID":
        # The driver sends a NULL element as the text "None" (native.py, _tspark_value_arg).
        return Parameter(None, "VOID")
    if item.arguments is not None:
        return Parameter(None, kind, None, _arguments(item.arguments, depth + 1))
    return Parameter(None, kind, item.value)


def _plain_value(item: Parameter) -> PlainValue:
    if item.arguments or item.type.upper() in ("ARRAY", "MAP", "STRUCT"):
        return tuple(_plain_value(argument) for argument in item.arguments)
    return item.value
