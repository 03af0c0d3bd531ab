"""Numbers and truth values."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import types as sqltypes

from vinci_code.core.errors import ValueRefusedError
from vinci_code.database.dialect.types.base import Processor, Rendered

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

MAX_DIGITS = 38
UNBOUNDED = (38, 18)
"""The precision and scale of a ``Numeric`` that names none."""

_SMALLEST, _GREATEST = -(1 << 63), (1 << 63) - 1


class TINYINT(Rendered, sqltypes.Integer):
    """A whole number from -128 to 127."""

    __visit_name__ = "TINYINT"


class VinciInteger(Rendered, sqltypes.Integer):
    """A whole number; a truth value is 0 or 1, as on SQLite."""

    def bind_processor(self, dialect: Dialect) -> Processor:
        """Let whole numbers of 64 bits pass."""
        return _integer


class VinciBoolean(Rendered, sqltypes.Boolean):
    """A truth value."""

    def bind_processor(self, dialect: Dialect) -> Processor | None:
        """Return SQLAlchemy's own, which takes 0 and 1 as well."""
        process: Processor | None = sqltypes.Boolean.bind_processor(self, dialect)  # type: ignore[no-untyped-call]
        return process

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor | None:
        """Give True and False back, also of an expression that is a number."""
        return _boolean


class VinciNumeric(Rendered, sqltypes.Numeric[Any]):
    """A decimal number, exact."""

    def bind_processor(self, dialect: Dialect) -> Processor:
        """Make a Decimal of it."""
        scale = effective_scale(self)

        def process(value: Any) -> Decimal | None:
            return None if value is None else as_decimal(value, scale)

        return process

    def write_processor(self) -> Processor:
        """Return what a value passes that is to be stored: nothing of it may be cut off."""
        scale = effective_scale(self)

        def process(value: Any) -> Decimal | None:
            return None if value is None else _fitting(as_decimal(value, scale), scale)

        return process

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor:
        """Give a Decimal, or a float where ``asdecimal=False``."""
        return _to_decimal if self.asdecimal else _to_float


class VinciFloat(Rendered, sqltypes.Float[Any]):
    """A binary number of 64 bits."""

    def bind_processor(self, dialect: Dialect) -> Processor:
        """Make a float of it."""
        return _to_float

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor:
        """Give a float, or a Decimal where ``asdecimal=True``."""
        return _to_decimal if self.asdecimal else _to_float


def effective_scale(kind: sqltypes.Numeric[Any]) -> int:
    """Return how many digits after the point the column of a type has."""
    if kind.precision is None:
        return UNBOUNDED[1] if kind.scale is None else kind.scale
    return kind.scale or 0


def as_decimal(value: Any, scale: int) -> Decimal:
    """Return a number as a Decimal; a float as it prints with so many digits after the point.

    Raises:
        ValueRefusedError: It is no number, or one that DECIMAL cannot hold.
    """
    if isinstance(value, float):
        # The digits of a float behind the scale are noise, and SQLite does not show them either.
        number = _checked(Decimal(repr(value)))
        return number if _places(number) <= scale else Decimal(f"{value:.{scale}f}")
    if isinstance(value, (Decimal, int, str)):
        return _checked(Decimal(value))
    raise TypeError(f"a number is wanted here, found a {type(value).__name__}")


def _checked(number: Decimal) -> Decimal:
    if not number.is_finite():
        raise ValueRefusedError(f"{number} is no number that a NUMERIC column can hold")
    if max(number.adjusted() + 1, 0) + max(_places(number), 0) > MAX_DIGITS:
        raise ValueRefusedError(
            f"{number} has more than the {MAX_DIGITS} digits that a NUMERIC column can hold"
        )
    return number


def _fitting(number: Decimal, scale: int) -> Decimal:
    if _places(number) > scale:
        raise ValueRefusedError(
            f"{number} has more digits after the point than the {scale} of its column; round it "
            f"first, as with value.quantize(Decimal('1e-{scale}'))"
        )
    return number


def _places(number: Decimal) -> int:
    """How many digits after the point it has, zeros at the end left out."""
    _, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int) or not any(digits):
        return 0
    zeros = next(index for index, digit in enumerate(reversed(digits)) if digit)
    return max(-exponent - zeros, 0)


def _integer(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int) and not _SMALLEST <= value <= _GREATEST:
        raise OverflowError("Python int too large to convert to a BIGINT of 64 bits")
    return value


def _boolean(value: Any) -> bool | None:
    return None if value is None else bool(value)


def _to_float(value: Any) -> float | None:
    return None if value is None else float(value)


def _to_decimal(value: Any) -> Decimal | None:
    if value is None or isinstance(value, Decimal):
        return value
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
