"""From Python values to what a warehouse receives, without changing a bit of them.

The driver's own inference cannot be used for that: it binds ``Decimal('1E-10')`` as 0, bytes as an
array of integers, integers beyond 64 bits as BIGINT, and refuses UUIDs and times (``parameters/
native.py`` of databricks-sql-connector 4.9). Each family of values is one entry of ``_FAMILIES``,
with both of its forms side by side: a bound parameter, and a literal.

A statement takes at most 255 parameters of 1 MB together; beyond that, all of them are written into
its text as literals.
"""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from vinci_code.database.dialect.dberrors import DataError, LimitExceeded, ProgrammingError
from vinci_code.database.dialect.text.scanning import markers

MAX_PARAMETERS = 255
"""https://github.com/databricks/databricks-sql-python/blob/main/docs/parameters.md"""

MAX_PARAMETER_BYTES = 900_000
"""Below the documented 1 MB, since nothing says what else is counted."""

MAX_STATEMENT_BYTES = 16 * 1024 * 1024
"""Of a statement's text (``StatementExecutionAPI`` in databricks-sdk-py)."""

_MAX_DIGITS = 38
"""Of a DECIMAL."""

_MARKER = "?"
_LEAST_INT, _GREATEST_INT = -(2**31), 2**31 - 1
_LEAST_BIGINT, _GREATEST_BIGINT = -(2**63), 2**63 - 1
# Above this, base64 is shorter by enough to be worth a call: 4 characters for 3 bytes, not 6.
_MAX_HEX_BYTES = 4096
_BYTES_FORM = "unbase64(?)"


class Parameter(NamedTuple):
    """One bound parameter.

    Attributes:
        type: The name of its type, as the warehouse knows it.
        value: Its value as the text that the warehouse casts to the type; ``None`` for NULL.
        form: What has to stand in the statement in place of its marker.
    """

    type: str
    value: str | None
    form: str = _MARKER


@dataclass(frozen=True)
class Typed:
    """A value that is to arrive as a certain type: ``Typed([], "ARRAY<BIGINT>")``.

    The type's name is put into the statement as it is.
    """

    value: Any
    type: str


class Struct(dict[str, Any]):
    """A STRUCT, where a plain dictionary would be a MAP."""


def bind(operation: str, values: Sequence[Any]) -> tuple[str, list[Parameter]]:
    """Prepare a statement with positional markers for sending.

    Returns:
        The text to send, and the parameters that go with it.

    Raises:
        ProgrammingError: A value is of a type that has no form in SQL, or the number of values is
            not that of the markers.
        DataError: A value cannot be held by any type that the warehouse has.
        LimitExceeded: The statement is longer than a warehouse takes.
    """
    if isinstance(values, (Mapping, str, bytes)):
        raise ProgrammingError(
            f"parameters have to be a sequence of values, one for each '?'; found "
            f"{type(values).__name__}"
        )
    parameters = [_at(position, parameter, value) for position, value in enumerate(values, 1)]
    bound = [item for item in parameters if item is not None]
    too_many = len(bound) > MAX_PARAMETERS or _size(bound) > MAX_PARAMETER_BYTES
    if not too_many and len(bound) == len(parameters) and all(p.form == _MARKER for p in bound):
        return _checked(operation), bound
    if too_many:
        parameters, bound = [None] * len(parameters), []
    return _checked(_rendered(operation, values, parameters)), bound


def written_out(operation: str, values: Sequence[Any]) -> str:
    """A statement with its values written into it, for where no parameters are taken.

    Raises:
        ProgrammingError: As of ``bind``.
        DataError: As of ``bind``.
    """
    return _rendered(operation, values, [None] * len(values)) if values else operation


def byte_length(text: str) -> int:
    """How many bytes a text takes where it is sent."""
    # Base64, of which long statements are made, need not be copied to be measured.
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def parameter(value: Any) -> Parameter | None:
    """The parameter for a value; ``None`` where it has to be written as a literal."""
    if value is None:
        return _NULL
    return _family(value).parameter(value)


def literal(value: Any) -> str:
    """The literal for a value, which means the same wherever an operand may stand.

    Raises:
        ProgrammingError: The value's type has no form in SQL.
        DataError: No type of the warehouse can hold it.
    """
    if value is None:
        return "NULL"
    return _family(value).literal(value)


_NULL = Parameter("VOID", None)


class _Family(NamedTuple):
    """How values of one sort are sent; each function takes the value."""

    parameter: Callable[[Any], Parameter | None]
    literal: Callable[[Any], str]


def _family(value: Any) -> _Family:
    for kind in type(value).__mro__:
        family = _FAMILIES.get(kind)
        if family is not None:
            return family
    if type(value).__module__.partition(".")[0] == "numpy" and hasattr(value, "item"):
        return _NUMPY
    raise ProgrammingError(
        f"a value of type {type(value).__module__}.{type(value).__qualname__} cannot be sent to "
        "the warehouse; convert it to one of bool, int, float, Decimal, str, bytes, date, "
        "datetime, time, timedelta, UUID, list or dict first"
    )


def _at(position: int, convert: Callable[[Any], Parameter | None], value: Any) -> Parameter | None:
    try:
        return convert(value)
    except (DataError, ProgrammingError) as error:
        raise type(error)(f"parameter {position}: {error}") from None


def _size(parameters: Sequence[Parameter]) -> int:
    # Four bytes are the longest character: only what might be too much is counted exactly.
    characters = sum(len(item.value or "") for item in parameters)
    if characters * 4 <= MAX_PARAMETER_BYTES:
        return characters
    return sum(len((item.value or "").encode()) for item in parameters)


def _rendered(operation: str, values: Sequence[Any], parameters: Sequence[Parameter | None]) -> str:
    places = markers(operation)
    if len(places) != len(parameters):
        raise ProgrammingError(
            f"the statement has {len(places)} parameter markers, and {len(parameters)} values "
            "were given"
        )
    parts, begin = [], 0
    for place, value, bound in zip(places, values, parameters, strict=True):
        parts += [operation[begin:place], literal(value) if bound is None else bound.form]
        begin = place + len(_MARKER)
    return "".join([*parts, operation[begin:]])


def _checked(text: str) -> str:
    if len(text) * 4 <= MAX_STATEMENT_BYTES:
        return text
    size = byte_length(text)
    if size > MAX_STATEMENT_BYTES:
        raise LimitExceeded(
            f"the statement is {size:,} bytes long, and a warehouse takes "
            f"{MAX_STATEMENT_BYTES:,}; send fewer or smaller values at a time"
        )
    return text


# --- one pair of functions for each family -------------------------------------------------------


def _bool_parameter(value: bool) -> Parameter:
    return Parameter("BOOLEAN", "true" if value else "false")


def _bool_literal(value: bool) -> str:
    return "TRUE" if value else "FALSE"


def _int_parameter(value: int) -> Parameter:
    number = int(value)
    # INT where it fits, since LIMIT and the lengths of strings take nothing longer.
    if _LEAST_INT <= number <= _GREATEST_INT:
        return Parameter("INT", str(number))
    if _LEAST_BIGINT <= number <= _GREATEST_BIGINT:
        return Parameter("BIGINT", str(number))
    return _decimal_parameter(_as_decimal(number))


def _int_literal(value: int) -> str:
    number = int(value)
    if not _LEAST_BIGINT <= number <= _GREATEST_BIGINT:
        return _decimal_literal(_as_decimal(number))
    # In parentheses: 'a -?' would become a comment.
    return str(number) if number >= 0 else f"({number})"


def float_text(value: float) -> str:
    """A float's text, from which the same float is read again."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return float.__repr__(value)


def _float_parameter(value: float) -> Parameter:
    return Parameter("DOUBLE", float_text(value))


def _float_literal(value: float) -> str:
    text = float_text(value)
    if not math.isfinite(value) or text.startswith("-"):
        return f"CAST('{text}' AS DOUBLE)"
    # Without an exponent it would be a DECIMAL.
    return text.upper() if "e" in text else f"{text}E0"


def decimal_text(value: decimal.Decimal) -> tuple[str, str]:
    """A decimal's type and its digits, in full.

    Raises:
        DataError: No DECIMAL can hold it.
    """
    if not value.is_finite():
        raise DataError(f"DECIMAL has no {value}; use a float for it, which is sent as DOUBLE")
    exponent = int(value.as_tuple().exponent)
    # Before it is written out: 1E+1000000 would be a text of a million digits.
    if value and value.adjusted() >= _MAX_DIGITS:
        raise _too_long(value.adjusted() + 1)
    if not value:
        value = decimal.Decimal((0, (0,), min(max(exponent, -_MAX_DIGITS), 0)))
    elif exponent < -_MAX_DIGITS:
        value = _without_zeros(value, exponent)
    text = f"{value:f}"
    whole, _, fraction = text.lstrip("-").partition(".")
    whole = whole.lstrip("0")
    if len(whole) + len(fraction) > _MAX_DIGITS:
        kept = fraction.rstrip("0")
        # Zeros at the end that no DECIMAL has room for say nothing.
        room = max(_MAX_DIGITS - len(whole), len(kept))
        text, fraction = text[: len(text) - len(fraction) + room], fraction[:room]
    precision = max(len(whole) + len(fraction), 1)
    if precision > _MAX_DIGITS:
        raise _too_long(precision)
    return f"DECIMAL({precision},{len(fraction)})", text.rstrip(".")


def _without_zeros(value: decimal.Decimal, exponent: int) -> decimal.Decimal:
    """The same number without the zeros at its end, if it has digits so far down."""
    sign, digits, _ = value.as_tuple()
    kept = len(digits)
    while kept > 1 and digits[kept - 1] == 0:
        kept -= 1
    exponent += len(digits) - kept
    if exponent < -_MAX_DIGITS:
        raise DataError(
            f"a number with digits after the {_MAX_DIGITS}th decimal place is finer than DECIMAL "
            "can be"
        )
    return decimal.Decimal((sign, digits[:kept], exponent))


def _too_long(digits: int) -> DataError:
    return DataError(f"a number of {digits} digits is longer than DECIMAL can be ({_MAX_DIGITS})")


def _as_decimal(number: int) -> decimal.Decimal:
    if abs(number) >= 10**_MAX_DIGITS:
        raise DataError(
            f"an integer of more than {_MAX_DIGITS} digits is longer than DECIMAL can be"
        )
    return decimal.Decimal(number)


def _decimal_parameter(value: decimal.Decimal) -> Parameter:
    kind, text = decimal_text(value)
    return Parameter(kind, text)


def _decimal_literal(value: decimal.Decimal) -> str:
    kind, text = decimal_text(value)
    return f"CAST('{text}' AS {kind})"


def checked_text(value: str) -> str:
    """A string as it is sent.

    Raises:
        DataError: It holds half of a character.
    """
    plain = str.__str__(value)
    try:
        plain.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"a string holds half of a surrogate pair (at position {error.start}), which is no "
            "character and cannot be sent"
        ) from None
    return plain


def _string_parameter(value: str) -> Parameter:
    return Parameter("STRING", checked_text(value))


def _string_literal(value: str) -> str:
    # A doubled quote would be read as the end of one literal and the beginning of the next.
    escaped = checked_text(value).replace("\\", "\\\\").replace("'", "\\'").replace("\0", "\\u0000")
    return f"'{escaped}'"


def _bytes_parameter(value: bytes | bytearray | memoryview) -> Parameter:
    # A BINARY parameter would be the cast of a text, which cannot hold every byte.
    return Parameter("STRING", base64.b64encode(value).decode("ascii"), _BYTES_FORM)


def _bytes_literal(value: bytes | bytearray | memoryview) -> str:
    plain = bytes(value)
    if len(plain) <= _MAX_HEX_BYTES:
        return f"X'{plain.hex().upper()}'"
    return f"unbase64('{base64.b64encode(plain).decode('ascii')}')"


def _date_parameter(value: dt.date) -> Parameter:
    return Parameter("DATE", value.isoformat())


def _date_literal(value: dt.date) -> str:
    return f"DATE'{value.isoformat()}'"


def datetime_text(value: dt.datetime) -> tuple[str, str] | None:
    """A moment's type and text; ``None`` for pandas' NaT, which is a datetime too.

    Raises:
        DataError: It has nanoseconds, or lies outside of the years that there are.
    """
    if value != value:  # as NaN does
        return None
    if getattr(value, "nanosecond", 0):
        raise DataError(
            "a timestamp with nanoseconds would lose them, since the warehouse keeps microseconds; "
            "round it first"
        )
    if value.tzinfo is None or value.utcoffset() is None:
        return "TIMESTAMP_NTZ", value.replace(tzinfo=None).isoformat(sep=" ")
    try:
        instant = value.astimezone(dt.timezone.utc)
    except OverflowError:
        raise DataError("a datetime lies, in UTC, outside of the years 1 to 9999") from None
    return "TIMESTAMP", instant.isoformat(sep=" ")


def _datetime_parameter(value: dt.datetime) -> Parameter:
    rendered = datetime_text(value)
    return _NULL if rendered is None else Parameter(*rendered)


def _datetime_literal(value: dt.datetime) -> str:
    rendered = datetime_text(value)
    return "NULL" if rendered is None else f"{rendered[0]}'{rendered[1]}'"


def _iso_parameter(value: dt.time) -> Parameter:
    return Parameter("STRING", value.isoformat())


def _iso_literal(value: dt.time) -> str:
    return f"'{value.isoformat()}'"


def _interval_literal(value: dt.timedelta) -> str:
    sign = "-" if value < dt.timedelta() else ""
    size = abs(value)
    minutes, seconds = divmod(size.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours:02}:{minutes:02}:{seconds:02}.{size.microseconds:06}"
    return f"INTERVAL '{sign}{size.days} {clock}' DAY TO SECOND"


def _uuid_parameter(value: uuid.UUID) -> Parameter:
    return Parameter("STRING", str(value))


def _uuid_literal(value: uuid.UUID) -> str:
    return f"'{value}'"


def _as_literal(value: Any) -> Parameter | None:
    """No parameter: what the driver makes of NULL and of mixed numbers in a list is not exact."""
    literal(value)  # what cannot be sent is refused here, where its position is known
    return None


def _array_literal(value: Sequence[Any]) -> str:
    return f"array({', '.join(map(literal, value))})"


def _map_literal(value: Mapping[Any, Any]) -> str:
    return f"map({', '.join(literal(item) for pair in value.items() for item in pair)})"


def _struct_literal(value: Mapping[str, Any]) -> str:
    return f"named_struct({', '.join(literal(item) for pair in value.items() for item in pair)})"


def _typed_parameter(value: Typed) -> Parameter | None:
    bound = parameter(value.value)
    if bound is None:
        return None
    return bound._replace(form=f"CAST({bound.form} AS {value.type})")


def _typed_literal(value: Typed) -> str:
    return f"CAST({literal(value.value)} AS {value.type})"


_FAMILIES: dict[type, _Family] = {
    bool: _Family(_bool_parameter, _bool_literal),
    int: _Family(_int_parameter, _int_literal),
    float: _Family(_float_parameter, _float_literal),
    decimal.Decimal: _Family(_decimal_parameter, _decimal_literal),
    str: _Family(_string_parameter, _string_literal),
    bytes: _Family(_bytes_parameter, _bytes_literal),
    bytearray: _Family(_bytes_parameter, _bytes_literal),
    memoryview: _Family(_bytes_parameter, _bytes_literal),
    dt.datetime: _Family(_datetime_parameter, _datetime_literal),
    dt.date: _Family(_date_parameter, _date_literal),
    dt.time: _Family(_iso_parameter, _iso_literal),
    dt.timedelta: _Family(_as_literal, _interval_literal),
    uuid.UUID: _Family(_uuid_parameter, _uuid_literal),
    list: _Family(_as_literal, _array_literal),
    tuple: _Family(_as_literal, _array_literal),
    dict: _Family(_as_literal, _map_literal),
    Struct: _Family(_as_literal, _struct_literal),
    Typed: _Family(_typed_parameter, _typed_literal),
}

# Its scalars are no subclasses of Python's, but for float64; each knows the Python value it is.
_NUMPY = _Family(lambda value: parameter(value.item()), lambda value: literal(value.item()))
