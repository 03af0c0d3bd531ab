"""JSON documents of a load: each number keeps its digits, and each name stands once."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from vinci_code.core.errors import ValueRefusedError
from vinci_code.database.files.twice import TwiceError, names_once


class ExactFloat(float):
    """A number of JSON with a point or an exponent, and the text that it was written as."""

    text: str

    def __new__(cls, text: str) -> ExactFloat:
        """Make it of its text."""
        made = super().__new__(cls, text)
        made.text = text
        return made


def no_constant(name: str) -> Any:
    """Refuse ``NaN`` and ``Infinity``, which are no JSON; for ``parse_constant``.

    Raises:
        ValueError: Always.
    """
    raise ValueError(name)


def document(text: str) -> Any:
    """The JSON document that a text is.

    Raises:
        ValueRefusedError: It is none, has one name twice in an object, or a number that no float
            keeps.
    """
    try:
        return json.loads(
            text, parse_float=kept_float, parse_constant=no_constant, object_pairs_hook=names_once
        )
    except ValueRefusedError:
        raise
    except TwiceError:
        raise ValueRefusedError("a JSON document, an object of which has one name twice") from None
    except (ValueError, RecursionError):
        raise ValueRefusedError(
            "a text that is no JSON document; a text within one stands in quotes: json.dumps(text)"
        ) from None


def kept_float(text: str) -> float:
    """The float that a number of JSON is, printed with as many digits.

    Raises:
        ValueRefusedError: A float is too small for it, or has fewer digits.
    """
    number = float(text)
    if math.isinf(number):
        raise ValueRefusedError("a number that is greater than each float; say it as text")
    if len(text) <= _ALWAYS_KEPT and number:
        return number
    mantissa = text.lower().partition("e")[0].lstrip("-").replace(".", "").lstrip("0")
    digits = len(mantissa)
    if not digits:
        return number
    if digits > _MOST_DIGITS or Decimal(f"{number:.{digits - 1}e}") != Decimal(text):
        raise ValueRefusedError(
            "a number of JSON with more digits than a float keeps, which would be lost; say it as "
            "text"
        )
    return number


def require_finite(value: Any) -> Any:
    """A value of Python that is a document, as it is given.

    Raises:
        ValueRefusedError: It has a NaN or an infinity, for which JSON has no form.
    """
    if type(value) in _PLAIN:
        return value
    if any(isinstance(item, float) and not math.isfinite(item) for item in _parts(value)):
        raise ValueRefusedError(
            "a document with NaN or an infinity, for which JSON has no form; give None"
        )
    return value


def stranger(value: Any) -> Any:
    """The first part of a document that JSON has no form for; ``None`` where it has one for all."""
    known = (str, int, float, type(None), Mapping, list, tuple)
    return next((item for item in _parts(value) if not isinstance(item, known)), None)


def _parts(value: Any) -> Iterator[Any]:
    """A value and all that is in it, each once."""
    left, seen = [value], set()
    while left:
        item = left.pop()
        yield item
        if isinstance(item, (Mapping, list, tuple)) and id(item) not in seen:
            seen.add(id(item))
            left.extend(item.values() if isinstance(item, Mapping) else item)


_ALWAYS_KEPT = 15
_MOST_DIGITS = 1_100
"""No float has more digits, all of them written out."""
_PLAIN = (str, int, bool, type(None))
