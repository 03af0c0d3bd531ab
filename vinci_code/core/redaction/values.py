"""Masking values: what logs and exceptions carry besides text."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from vinci_code.core.redaction.text import MASK, redact

_DEEPEST = 8
_NEVER_SECRET = (
    type(None),
    bool,
    int,
    float,
    complex,
    decimal.Decimal,
    dt.date,
    dt.time,
    dt.timedelta,
    uuid.UUID,
    type,
)


class MaskedObject:
    """Stands in for an object whose text held a secret; it keeps the masked text and no more."""

    __slots__ = ("_repr", "_str")

    def __init__(self, text: str, representation: str) -> None:
        self._str = text
        self._repr = representation

    def __str__(self) -> str:
        return self._str

    def __repr__(self) -> str:
        return self._repr


def mask_value(
    value: Any,  # noqa: ANN401 (a log record takes any argument)
    depth: int = 0,
) -> Any:  # noqa: ANN401
    """Return ``value`` itself where it shows no secret, otherwise a masked copy.

    Containers are copied with their items masked; any other object becomes a `MaskedObject`.
    """
    if isinstance(value, str):
        clean = redact(value)
        return value if clean == value else clean
    if isinstance(value, (bytes, bytearray)):
        text = value.decode("latin-1")
        clean = redact(text)
        return value if clean == text else type(value)(clean.encode("latin-1", "replace"))
    if isinstance(value, _NEVER_SECRET):
        return value
    if depth < _DEEPEST:
        for kind, mask_items in _CONTAINERS:
            if isinstance(value, kind):
                return mask_items(value, depth + 1)
    return _mask_object(value)


def shown(value: object) -> tuple[str, str]:
    """Return ``str`` and ``repr`` of a value; what cannot be shown shows its type."""
    try:
        return str(value), repr(value)
    except Exception:  # noqa: BLE001 (code of others: any object's __str__ may raise anything)
        fallback = f"<{type(value).__name__} that cannot be shown>"
        return fallback, fallback


def _mask_object(value: object) -> object:
    kind = type(value)
    if kind.__repr__ is object.__repr__ and kind.__str__ is object.__str__:
        return value
    text, representation = shown(value)
    clean_text, clean_representation = redact(text), redact(representation)
    if (clean_text, clean_representation) == (text, representation):
        return value
    return MaskedObject(clean_text, clean_representation)


def _mask_mapping(value: Mapping[Any, Any], depth: int) -> object:
    masked = {mask_value(key, depth): _mask_item(key, item, depth) for key, item in value.items()}
    same = all(
        old_key is new_key and old is new
        for (old_key, old), (new_key, new) in zip(value.items(), masked.items(), strict=False)
    )
    return value if same and len(masked) == len(value) else masked


def _mask_item(key: object, item: object, depth: int) -> object:
    """Mask one entry; ``{"password": "x"}`` is a known shape although "x" by itself is not."""
    masked = mask_value(item, depth)
    if isinstance(key, str) and isinstance(masked, str) and masked:
        pair = f"{key!r}: {masked!r}"
        if redact(pair) != pair and masked != MASK:
            return MASK
    return masked


def _mask_sequence(value: Any, depth: int) -> object:  # noqa: ANN401
    masked = [mask_value(item, depth) for item in value]
    if all(old is new for old, new in zip(value, masked, strict=True)):
        return value
    if hasattr(value, "_make"):
        return value._make(masked)
    return tuple(masked) if isinstance(value, tuple) else masked


def _mask_set(value: Any, depth: int) -> object:  # noqa: ANN401
    masked = {item: mask_value(item, depth) for item in value}
    if all(old is new for old, new in masked.items()):
        return value
    return set(masked.values())


_CONTAINERS: tuple[tuple[type, Callable[[Any, int], object]], ...] = (
    (dict, _mask_mapping),
    (tuple, _mask_sequence),
    (list, _mask_sequence),
    (set, _mask_set),
    (frozenset, _mask_set),
)
