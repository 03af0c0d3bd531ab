"""Masking values: what log records and exceptions carry besides text."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from collections.abc import Mapping
from typing import Any

from vinci_code.core.redaction.text import MASK, redact

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

    __slots__ = ("_representation", "_text")

    def __init__(self, text: str, representation: str) -> None:
        self._text = text
        self._representation = representation

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return self._representation


# Log arguments and exception attributes are anything at all, hence Any.
def mask_value(value: Any, keep: tuple[type, ...] = ()) -> Any:
    """Return ``value`` itself where it shows no secret, otherwise a masked copy.

    Text, bytes and containers are copied; what is of a type in ``keep`` stays what it is, and any
    other object becomes a `MaskedObject`.
    """
    return _Masking(keep).mask(value)


def mask_entry(key: object, value: Any) -> Any:
    """Mask what stands under a name: of ``password="x"`` only the pair shows that "x" is one."""
    return _Masking(()).mask_entry(key, value)


def shown(value: object) -> tuple[str, str]:
    """Return ``str`` and ``repr`` of a value; what cannot be shown shows its type."""
    try:
        return str(value), repr(value)
    except Exception:  # noqa: BLE001 (code of others: any object's __str__ may raise anything)
        fallback = f"<{type(value).__name__} that cannot be shown>"
        return fallback, fallback


class _Masking:
    """One walk through a value, which may hold itself."""

    def __init__(self, keep: tuple[type, ...]) -> None:
        self._keep = keep
        self._done: dict[int, Any] = {}

    def mask(self, value: Any) -> Any:
        if isinstance(value, str):
            clean = redact(value)
            return value if clean == value else clean
        if isinstance(value, (bytes, bytearray)):
            return _mask_bytes(value)
        if isinstance(value, (*_NEVER_SECRET, *self._keep)) or _shows_nothing(value):
            return value
        if id(value) not in self._done:
            # Its own place holder while it is being walked, so that a cycle ends here.
            self._done[id(value)] = MASK
            self._done[id(value)] = self._mask_object(value)
        return self._done[id(value)]

    def _mask_object(self, value: Any) -> Any:
        text, representation = shown(value)
        clean_text = redact(text)
        clean_representation = clean_text if text == representation else redact(representation)
        if clean_text == text and clean_representation == representation:
            return value
        if isinstance(value, dict):
            return {self.mask(key): self.mask_entry(key, item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return self._mask_sequence(value)
        if isinstance(value, (set, frozenset)):
            return {self.mask(item) for item in value}
        return MaskedObject(clean_text, clean_representation)

    def mask_entry(self, key: object, item: Any) -> Any:
        masked = self.mask(item)
        if isinstance(key, str) and isinstance(masked, (str, bytes)):
            pair = repr({key: masked})
            if redact(pair) != pair:
                return MASK
        return masked

    def _mask_sequence(self, value: Any) -> Any:
        masked = [self.mask(item) for item in value]
        if all(old is new for old, new in zip(value, masked, strict=True)):
            return value
        if isinstance(value, list):
            return masked
        return value._make(masked) if hasattr(value, "_make") else tuple(masked)


def mask_arguments(arguments: Any) -> Any:
    """Mask the arguments of a log record one by one.

    ``%s`` formats each by ``str``, while the ``repr`` of all of them together hides what only their
    ``str`` tells.
    """
    if isinstance(arguments, Mapping):
        items = {key: mask_entry(key, item) for key, item in arguments.items()}
        return arguments if all(items[key] is arguments[key] for key in items) else items
    if isinstance(arguments, tuple):
        masked = tuple(mask_value(item) for item in arguments)
        same = all(old is new for old, new in zip(arguments, masked, strict=True))
        return arguments if same else masked
    return mask_value(arguments)


def _mask_bytes(value: bytes | bytearray) -> bytes | bytearray:
    text = value.decode("latin-1")
    clean = redact(text)
    if clean == text:
        return value
    octets = clean.encode("latin-1")
    return bytearray(octets) if isinstance(value, bytearray) else octets


def _shows_nothing(value: object) -> bool:
    """Tell whether an object shows no more than its type and address."""
    kind = type(value)
    return kind.__repr__ is object.__repr__ and kind.__str__ is object.__str__
