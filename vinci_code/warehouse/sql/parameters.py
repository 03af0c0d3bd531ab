"""Parameters of a statement: what the client sent, made into typed values.

A parameter's value is never spliced into SQL text: it is bound, and the translated query holds
``CAST($name AS <DuckDB type>)`` in its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation, localcontext
from typing import Protocol

from vinci_code.warehouse.sql.coercion import common_type, interval_units
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.texts import (
    java_float,
    parse_date,
    parse_interval,
    parse_timestamp,
    parse_timestamp_ntz,
)
from vinci_code.warehouse.sql.types import SqlType, array, map_of, parse_type
from vinci_code.warehouse.sql.values import MISSING, Typed

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


class Markers(Protocol):
    """Where the values of a statement are bound."""

    zone: str

    def bind_value(self, value: object) -> str:
        """Return the marker of a value."""


def bind_parameter(binder: Markers, parameter: Parameter) -> Typed:
    """Return the SQL that reads a parameter, its value bound.

    Raises:
        SqlError: ``INVALID_PARAMETER_MARKER_VALUE.INVALID_VALUE_FOR_DATA_TYPE`` where the text is
            no value of the type.
    """
    kind = _declared_type(parameter)
    value = _bound_value(parameter, kind, binder.zone)
    name = _shown(parameter, kind, value)
    if value is None:
        return Typed(f"CAST(NULL AS {kind.duckdb()})", kind, name, constant=None)
    constant: object = _constant(parameter, kind, value)
    marker = binder.bind_value(value)
    if kind.is_interval:
        function = "to_months" if kind.is_month_interval else "to_microseconds"
        width = "INTEGER" if kind.is_month_interval else "BIGINT"
        return Typed(f"{function}(CAST({marker} AS {width}))", kind, name, False)
    return Typed(f"CAST({marker} AS {kind.duckdb()})", kind, name, False, constant)


# Longer texts are data, whose names nobody reads.
_LONGEST_NAME = 255


def _shown(parameter: Parameter, kind: SqlType, value: object) -> str:
    """Return what a result column made of the parameter is named: as its literal would be."""
    marker = f":{parameter.name}" if parameter.name else "?"
    if parameter.value is None:
        return marker if kind.is_nested else "NULL"
    if kind.is_string:
        return parameter.value if len(parameter.value) <= _LONGEST_NAME else marker
    if kind.is_integral or kind.name in ("DECIMAL", "BOOLEAN"):
        return str(value)
    if kind.name in ("FLOAT", "DOUBLE"):
        return java_float(str(value))
    return f"DATE '{value}'" if kind.name == "DATE" else marker


def _constant(parameter: Parameter, kind: SqlType, value: object) -> object:
    """Return the value as a literal would have it: a parameter is one, but for where it stands."""
    if kind.is_string:
        return parameter.value
    if parameter.value is None:
        return MISSING
    if kind.is_integral:
        return int(parameter.value)
    if kind.name == "DECIMAL":
        return Decimal(str(value))
    if kind.name in ("FLOAT", "DOUBLE"):
        return float(str(value))
    return value == "true" if kind.name == "BOOLEAN" else MISSING


def _declared_type(parameter: Parameter) -> SqlType:
    name = parameter.type.strip().upper()
    if name == "ARRAY":
        return array(_element_type(parameter.arguments))
    if name == "MAP":
        return map_of(
            _element_type(parameter.arguments[::2]), _element_type(parameter.arguments[1::2])
        )
    return parse_type(parameter.type)


def _element_type(arguments: Sequence[Parameter]) -> SqlType:
    kind = common_type(_declared_type(argument) for argument in arguments)
    if kind is None:
        types = ", ".join(sorted({f'"{_declared_type(argument).text}"' for argument in arguments}))
        raise SqlError(
            "DATATYPE_MISMATCH.DATA_DIFF_TYPES",
            "42K09",
            'Cannot resolve "array" due to data type mismatch: Input to `array` should all be the '
            f"same type, but it's ({types}).",
        )
    return kind


def _bound_value(parameter: Parameter, kind: SqlType, zone: str) -> object:
    if kind.is_nested and not parameter.arguments and "<" in parameter.type:
        return None
    if kind.element is not None:
        element = kind.element
        return [_bound_value(argument, element, zone) for argument in parameter.arguments]
    if kind.key is not None and kind.value is not None:
        keys = [_bound_value(one, kind.key, zone) for one in parameter.arguments[::2]]
        values = [_bound_value(one, kind.value, zone) for one in parameter.arguments[1::2]]
        return {"key": keys, "value": values}
    if parameter.value is None or kind.name == "VOID":
        return None
    value = _scalar(parameter.value, kind, zone)
    if value is None:
        raise SqlError(
            "INVALID_PARAMETER_MARKER_VALUE.INVALID_VALUE_FOR_DATA_TYPE",
            "22023",
            "An invalid parameter mapping was provided: the value "
            f"'{parameter.value}' for parameter '{parameter.name or '?'}' cannot be cast to "
            f"{kind.text} because it is malformed.",
        )
    return value


def _scalar(text: str, kind: SqlType, zone: str) -> object:
    """Return a value that DuckDB casts to ``kind`` without loss, or ``None``."""
    if kind.is_string:
        return text
    if kind.is_interval:
        return parse_interval(text, *interval_units(kind))
    reader = _READERS.get("INTEGRAL" if kind.is_integral else kind.name)
    return None if reader is None else reader(text.strip(), kind, zone)


def _read_boolean(text: str, _kind: SqlType, _zone: str) -> str | None:
    lowered = text.lower()
    if lowered in ("true", "t", "yes", "y", "1"):
        return "true"
    return "false" if lowered in ("false", "f", "no", "n", "0") else None


def _read_integer(text: str, kind: SqlType, _zone: str) -> str | None:
    if not re.fullmatch(r"[+-]?\d+", text):
        return None
    bits = {"TINYINT": 7, "SMALLINT": 15, "INT": 31, "BIGINT": 63}[kind.name]
    return str(int(text)) if -(2**bits) <= int(text) < 2**bits else None


def _read_float(text: str, _kind: SqlType, _zone: str) -> str | None:
    try:
        return repr(float(text))
    except ValueError:
        return None


def _read_decimal(text: str, kind: SqlType, _zone: str) -> str | None:
    with localcontext() as context:
        context.prec = 100
        try:
            value = Decimal(text)
            if not value.is_finite():
                return None
            rounded = value.quantize(Decimal(1).scaleb(-(kind.scale or 0)), ROUND_HALF_UP)
        except InvalidOperation:
            return None
        # Within the context: abs() rounds to the digits of the one it is called in.
        if abs(rounded) >= Decimal(10) ** ((kind.precision or 10) - (kind.scale or 0)):
            return None
    return f"{rounded:f}"


def _read_date(text: str, _kind: SqlType, _zone: str) -> str | None:
    value = parse_date(text)
    return value.isoformat() if value else None


def _read_timestamp(text: str, _kind: SqlType, zone: str) -> str | None:
    value = parse_timestamp(text, zone)
    return f"{value.isoformat(' ')}+00" if value else None


def _read_ntz(text: str, _kind: SqlType, _zone: str) -> str | None:
    value = parse_timestamp_ntz(text)
    return value.isoformat(" ") if value else None


def _read_binary(text: str, _kind: SqlType, _zone: str) -> bytes:
    return text.encode()


_READERS: dict[str, Callable[[str, SqlType, str], object]] = {
    "BOOLEAN": _read_boolean,
    "INTEGRAL": _read_integer,
    "FLOAT": _read_float,
    "DOUBLE": _read_float,
    "DECIMAL": _read_decimal,
    "DATE": _read_date,
    "TIMESTAMP": _read_timestamp,
    "TIMESTAMP_NTZ": _read_ntz,
    "BINARY": _read_binary,
}
