"""Masking text: exact values first, then known shapes."""

from __future__ import annotations

from vinci_code.core.redaction.exact import ExactValues
from vinci_code.core.redaction.shapes import mask_shapes, may_hold_one

MASK = "**********"

exact_values = ExactValues()


def redact(text: str) -> str:
    """Return ``text`` with every known secret replaced by `MASK`.

    It never raises, takes time linear in the text, leaves text without a secret as it is, and
    changes nothing in text that it has already been through.
    """
    return cleaned(text) if exact_values.may_be_in(text) or may_hold_one(text.lower()) else text


def cleaned(text: str) -> str:
    """What ``redact`` makes of a text, without a look at whether there is anything to do."""
    return mask_shapes(exact_values.mask(text, MASK), MASK)
