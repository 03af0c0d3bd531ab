"""Masking what becomes a JSON document: as one text it could not be masked and stay one.

A mask that takes a quote or a backslash with it would leave something that no machine can read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from vinci_code.core.redaction.text import MASK, redact

_DEEPEST = 12
# What other readers of JSON take for a whole number.
_LARGEST = 2**63


def masked_document(value: Any, deep: int = _DEEPEST) -> Any:
    """Any value as JSON has it, with no secret in it.

    What JSON has nothing for is the text that ``str`` gives, and so is what lies deeper than
    ``deep`` containers.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, int) and abs(value) < _LARGEST:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if deep and isinstance(value, Mapping):
        named = ((redact(_text(key)), item) for key, item in value.items())
        return {name: masked_member(name, item, deep - 1) for name, item in named}
    if deep and isinstance(value, (list, tuple, set, frozenset)):
        return [masked_document(item, deep - 1) for item in value]
    return redact(_text(value))


def masked_member(name: str, value: Any, deep: int = _DEEPEST) -> Any:
    """The same, of what stands under a name: some secrets show only beside theirs."""
    plain = masked_document(value, deep)
    pair = json.dumps({name: plain})
    if redact(pair) == pair:
        return plain
    return MASK


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - code of others: any object's __str__ may raise anything
        return f"<{type(value).__name__} that cannot be shown>"
