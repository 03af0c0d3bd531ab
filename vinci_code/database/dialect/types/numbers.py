"""Numbers and truth values."""

from __future__ import annotations

import math
import re
import struct
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import TYPE_CHECKING, Any

from sqlalchemy import types as sqltypes

from vinci_code.core.errors import ValueRefusedError
from vinci_code.database.dialect.types.base import Processor, VinciType, named, plain

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

MAX_DIGITS = 38
UNBOUNDED = (38, 18)
"""The precision and scale of a ``Numeric`` that names none."""

_SMALLEST, _GREATEST = -(1 << 63), (1 << 63) - 1


class VinciInteger(VinciType, sqltypes.Integer):
    """A whole number of 64 bits; a truth value that is compared is 0 or 1, as on SQLite."""

    stored_as = int
    bits = 64

    def comparing(self, dialect: Dialect) -> Processor:
        """Let whole numbers of 64 bits pass."""
        return _integer

    def storing(self, dialect: Dialect) -> Processor:
        """Return what lets whole numbers within the range pass."""
        least, greatest = self._range

        def process(value: Any) -> int | None:
            if type(value) is int and least <= value <= greatest:
                return value
            return None if value is None else self.placed(self.keep, value)

        return process

    def keep(self, value: Any) -> int:
        """Return a whole number, of a float too that is one.

        Raises:
            ValueRefusedError: It is none, or one that is out of range.
        """
        number = _whole(plain(value))
        least, greatest = self._range
        if not least <= number <= greatest:
            raise ValueRefusedError(
                f"a whole number of {self.bits} bits is wanted here, from {least} to {greatest}; "
                f"found one that is {'smaller' if number < least else 'greater'}"
            )
        return number

    @property
    def _range(self) -> tuple[int, int]:
        return -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1


class VinciInt(VinciInteger):
    """INTEGER in capitals, which is the INT of Databricks: 32 bits."""

    bits = 32


class VinciSmallint(VinciInteger):
    """SMALLINT in capitals: 16 bits."""

    bits = 16


class TINYINT(VinciInteger):
    """A whole number from -128 to 127."""

    __visit_name__ = "TINYINT"
    bits = 8


class VinciBoolean(VinciType, sqltypes.Boolean):
    """A truth value."""

    stored_as = bool

    def comparing(self, dialect: Dialect) -> Processor | None:
        """Return SQLAlchemy's own, which takes 0 and 1 as well."""
        process: Processor | None = sqltypes.Boolean.bind_processor(self, dialect)  # type: ignore[no-untyped-call]
        return process

    def keep(self, value: Any) -> bool:
        """Return a truth value, of 0 and 1 too, which are equal to one.

        Raises:
            ValueRefusedError: It is none.
        """
        given = plain(value)
        if isinstance(given, (int, float)) and given in (0, 1):
            return bool(given)
        raise ValueRefusedError(f"True, False, 1 or 0 is wanted here, found {_described(given)}")

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor | None:
        """Give True and False back, also of an expression that is a number."""
        return _boolean


class VinciNumeric(VinciType, sqltypes.Numeric[Any]):
    """A decimal number, exact."""

    stored_as = Decimal

    def comparing(self, dialect: Dialect) -> Processor:
        """Make a Decimal of it."""
        scale = effective_scale(self)

        def process(value: Any) -> Decimal | None:
            return None if value is None else _as_decimal(value, scale)

        return process

    def storing(self, dialect: Dialect) -> Processor:
        """Return what lets numbers pass of which nothing is cut off."""
        unit = Decimal((0, (1,), -effective_scale(self)))
        # A number with more digits, before the point or after it, is an error here.
        context = Context(_effective_precision(self), traps=[Inexact, InvalidOperation])

        def process(value: Any) -> Decimal | None:
            if type(value) is Decimal:
                try:
                    kept = value.quantize(unit, None, context)
                    if kept == kept:  # no NaN
                        return value
                except (Inexact, InvalidOperation):
                    pass  # keep() says what is wrong
            return None if value is None else self.placed(self.keep, value)

        return process

    def keep(self, value: Any) -> Decimal:
        """Return a Decimal that fits the column.

        Of a float, the digits behind the scale are noise where SQLite does not show them either:
        with ``asdecimal=True``; else only those that a float cannot hold anyway.

        Raises:
            ValueRefusedError: It is no number, or one that has more digits.
        """
        given = plain(value)
        if isinstance(given, bool) or not isinstance(given, (Decimal, int, float)):
            raise ValueRefusedError(
                f"a number is wanted here, found {named(given)}; make it one: Decimal(value)"
            )
        scale = effective_scale(self)
        if isinstance(given, float) and not self.asdecimal:
            given = float.__float__(given)
            _fitting(_checked(Decimal(f"{given:.15g}")), scale)
        number = _fitting(_as_decimal(given, scale), scale)
        whole = _effective_precision(self) - scale
        if number and number.adjusted() >= whole:
            raise ValueRefusedError(
                f"a number with {number.adjusted() + 1} digits before the point; its column has "
                f"room for {whole}: make it Numeric({min(number.adjusted() + 1 + scale, 38)}, "
                f"{scale})"
            )
        return number

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor:
        """Give a Decimal, or a float where ``asdecimal=False``."""
        return _to_decimal if self.asdecimal else _to_float


class VinciFloat(VinciType, sqltypes.Float[Any]):
    """A binary number of 64 bits."""

    stored_as = float

    def comparing(self, dialect: Dialect) -> Processor:
        """Make a float of it."""
        return _to_float

    def keep(self, value: Any) -> float:
        """Return the float that is equal to a number.

        Raises:
            ValueRefusedError: It is no number, or there is no such float.
        """
        given = plain(value)
        if isinstance(given, bool) or not isinstance(given, (float, int, Decimal)):
            raise ValueRefusedError(
                f"a number is wanted here, found {named(given)}; make it one: float(value)"
            )
        if isinstance(given, float):
            return float.__float__(given)
        try:
            number = float(given)
        except (OverflowError, ValueError):
            raise ValueRefusedError("a number that no float can hold") from None
        if number != given and (isinstance(given, int) or Decimal(repr(number)) != given):
            raise ValueRefusedError(
                f"{named(given)} with more digits than a float has; make the column Numeric, or "
                "round the value first: float(value)"
            )
        return number

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor:
        """Give a float, or a Decimal where ``asdecimal=True``."""
        return _to_decimal if self.asdecimal else _to_float


class VinciSingle(VinciFloat):
    """REAL and FLOAT in capitals, which are the FLOAT of Databricks: 32 bits."""

    def storing(self, dialect: Dialect) -> Processor:
        """Return what lets numbers pass that 32 bits hold."""
        return lambda value: None if value is None else self.placed(self.keep, value)

    def keep(self, value: Any) -> float:
        """Return the float that is equal to a number.

        Raises:
            ValueRefusedError: It is no number, or no float of 32 bits.
        """
        number = super().keep(value)
        try:
            [single] = struct.unpack("f", struct.pack("f", number))
        except OverflowError:
            single = None
        if number == number and number != single:
            raise ValueRefusedError(
                "a number that a FLOAT of 32 bits cannot hold; make the column Float, which has 64 "
                "bits, or round the value first: struct.unpack('f', struct.pack('f', value))[0]"
            )
        return number


def _effective_precision(kind: sqltypes.Numeric[Any]) -> int:
    """Return how many digits the column of a type has."""
    return UNBOUNDED[0] if kind.precision is None else kind.precision


def effective_scale(kind: sqltypes.Numeric[Any]) -> int:
    """Return how many digits after the point the column of a type has."""
    if kind.precision is None:
        return UNBOUNDED[1] if kind.scale is None else kind.scale
    return kind.scale or 0


def _as_decimal(value: Any, scale: int) -> Decimal:
    """Return a number as a Decimal; a float as it prints with so many digits after the point.

    Raises:
        ValueRefusedError: It is no number, or one that DECIMAL cannot hold.
    """
    value = plain(value)
    if isinstance(value, float):
        # The digits of a float behind the scale are noise, and SQLite does not show them either.
        number = _checked(Decimal(float.__repr__(value)))
        return number if _places(number) <= scale else Decimal(f"{value:.{scale}f}")
    if isinstance(value, (Decimal, int, str)):
        return _checked(Decimal(value))
    raise TypeError(f"a number is wanted here, found a {type(value).__name__}")


def _fitting(number: Decimal, scale: int) -> Decimal:
    """Return a number that has no more digits after the point than a column.

    Raises:
        ValueRefusedError: It has more.
    """
    if _places(number) > scale:
        raise ValueRefusedError(
            f"{number} has more digits after the point than the {scale} of its column; round it "
            f"first, as with value.quantize(Decimal('1e-{scale}'))"
        )
    return number


def _checked(number: Decimal) -> Decimal:
    if not number.is_finite():
        raise ValueRefusedError(f"{number} is no number that a NUMERIC column can hold")
    if max(number.adjusted() + 1, 0) + max(_places(number), 0) > MAX_DIGITS:
        raise ValueRefusedError(
            f"{number} has more than the {MAX_DIGITS} digits that a NUMERIC column can hold"
        )
    return number


def _places(number: Decimal) -> int:
    """How many digits after the point it has, zeros at the end left out."""
    _, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int) or not any(digits):
        return 0
    zeros = next(index for index, digit in enumerate(reversed(digits)) if digit)
    return max(-exponent - zeros, 0)


def _whole(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__int__(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, float):
        raise ValueRefusedError(
            "a whole number is wanted here, found a float that is none; round it first: "
            "round(value)"
        )
    raise ValueRefusedError(
        f"a whole number is wanted here, found {named(value)}; make it one: int(value)"
    )


def text_as_whole(value: Any) -> Any:
    """Return a text as what SQLite compares with whole numbers; any other value as it is.

    A text that tells no number is greater than every number there. No float is given, beside which
    Databricks would make floats of all, and confuse keys of more than 53 bits.
    """
    if not isinstance(value, str):
        return value
    number = _number_in(value)
    if number is None or abs(number) > _BEYOND:
        return -_BEYOND if number is not None and number < 0 else _BEYOND
    whole = math.floor(number)
    # Which fraction it is decides nothing: none equals a whole number.
    return whole if whole == number else whole + Decimal("0.5")


def text_as_float(value: Any) -> Any:
    """Return a text as what SQLite compares with a column of numbers; any other value as it is.

    A text that tells no number is greater than every number there, and so is NaN on Databricks.
    """
    if not isinstance(value, str):
        return value
    number = _number_in(value)
    return float("nan") if number is None else float(number)


_SPACES = " \t\n\v\f\r"
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_BEYOND = 10**20


def _number_in(text: str) -> Decimal | None:
    """The number that a text tells, by SQLite's rules."""
    plain = str.__str__(text).strip(_SPACES)
    return Decimal(plain) if _NUMBER.fullmatch(plain) else None


def _described(value: Any) -> str:
    return "another number" if isinstance(value, (int, float)) else named(value)


def _integer(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str):
        return text_as_whole(value)
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
