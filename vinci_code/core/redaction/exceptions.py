"""Masking exceptions: the whole chain, in place."""

from __future__ import annotations

import traceback
import types
from typing import Any

from vinci_code.core.redaction.text import redact
from vinci_code.core.redaction.values import mask_value, shown

_MEMBERS = (types.MemberDescriptorType, types.GetSetDescriptorType)
_LINKS = ("__cause__", "__context__")


class RedactedError(Exception):
    """Stands in for an exception that shows a secret and cannot be changed."""


def redact_exception(error: BaseException) -> BaseException:
    """Mask every secret in an exception and in all that it is linked to, and return it.

    In place, through ``__cause__``, ``__context__``, groups, notes, arguments and attributes; the
    locals of frames that have finished are cleared, so that no traceback can show them.
    """
    seen: dict[int, BaseException] = {}
    waiting = [error]
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen[id(current)] = current
        waiting.extend(_linked(current))
    for current in seen.values():
        traceback.clear_frames(current.__traceback__)
        _mask_fields(current)
    return error


def _linked(error: BaseException) -> list[BaseException]:
    candidates: list[object] = [error.__cause__, error.__context__]
    candidates += error.args
    candidates += vars(error).values()
    candidates += getattr(error, "exceptions", ())
    return [item for item in candidates if isinstance(item, BaseException)]


def _mask_fields(error: BaseException) -> None:
    error.args = tuple(_mask_field(item) for item in error.args)
    attributes = vars(error)
    for name, value in list(attributes.items()):
        attributes[name] = _mask_field(value)
    for kind in type(error).__mro__:
        for name, member in vars(kind).items():
            if isinstance(member, _MEMBERS) and not name.startswith("__"):
                _mask_member(error, member)


def _mask_field(value: Any) -> Any:  # noqa: ANN401
    return value if isinstance(value, BaseException) else mask_value(value)


def _mask_member(error: BaseException, member: Any) -> None:  # noqa: ANN401
    try:
        value = member.__get__(error, type(error))
        clean = _mask_field(value)
        if clean is not value:
            member.__set__(error, clean)
    except (AttributeError, TypeError):
        return  # a slot that was never set, or one that cannot be set


def is_clean(error: BaseException) -> bool:
    """Tell whether an exception's own text shows no secret."""
    return all(redact(text) == text for text in shown(error))
