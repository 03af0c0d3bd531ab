"""Masking exceptions: the whole chain, in place."""

from __future__ import annotations

import builtins
import contextlib
import dis
import inspect
import sys
import types
from collections.abc import Iterator
from typing import Any, cast

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from vinci_code.core.redaction.text import redact
from vinci_code.core.redaction.values import mask_value, shown

_MEMBERS = (types.MemberDescriptorType, types.GetSetDescriptorType)
_RESUMABLE = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_YIELDS = frozenset({"YIELD_VALUE", "YIELD_FROM", "SEND"})
_LINKS = ("__cause__", "__context__")
# Python 3.11 and newer.
_GROUP: Any = getattr(builtins, "BaseExceptionGroup", ())


class RedactedError(Exception):
    """Stands in for an exception that shows a secret and cannot be changed."""


def redact_exception(error: BaseException) -> BaseException:
    """Mask every secret in an exception and in all that it is linked to.

    It works in place, through ``__cause__``, ``__context__``, groups, notes, arguments and
    attributes. The locals of frames that have finished are cleared, so that no traceback can show
    them; those of the frames that are still running, the caller's above all, cannot be.

    Returns:
        The same object. Only where its type permits no change (``pydantic.ValidationError``, a
        group with a secret in its message), a new exception that takes its place: raise or show
        what is returned, not what was given.
    """
    found = _reachable(error)
    # Children first: the text of an exception often quotes the one that it wraps.
    for current in reversed(found):
        _clear_frames(current.__traceback__)
        _mask_fields(current)
    stand_ins = _stand_ins(found)
    return stand_ins.get(id(error), error)


def _reachable(error: BaseException) -> list[BaseException]:
    found = {id(error): error}
    waiting = [error]
    while waiting:
        for linked in _linked(waiting.pop(0)):
            if id(linked) not in found:
                found[id(linked)] = linked
                waiting.append(linked)
    return list(found.values())


def _linked(error: BaseException) -> Iterator[BaseException]:
    yield from _exceptions_in([error.__cause__, error.__context__, *vars(error).values()])
    yield from _exceptions_in(error.args)
    if isinstance(error, _GROUP):
        yield from getattr(error, "exceptions", ())


def _exceptions_in(values: Any) -> Iterator[BaseException]:
    for value in values:
        if isinstance(value, BaseException):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from (item for item in value if isinstance(item, BaseException))


def _clear_frames(trace: types.TracebackType | None) -> None:
    while trace is not None:
        if not _is_suspended(trace):
            # A frame that is still running says so with a RuntimeError, and keeps its locals.
            with contextlib.suppress(RuntimeError):
                trace.tb_frame.clear()
        trace = trace.tb_next


def _is_suspended(trace: types.TracebackType) -> bool:
    """Tell whether a frame has caught the exception and waits at a ``yield`` or ``await`` since.

    Before Python 3.13, ``frame.clear()`` ends such a generator or coroutine without a word: a task
    that hands its exception to another task to report would never go on.
    """
    frame = trace.tb_frame
    if not frame.f_code.co_flags & _RESUMABLE or frame.f_lasti < 0:
        return False
    code, last = frame.f_code.co_code, frame.f_lasti
    opcode = dis.opname[code[last]]
    if sys.version_info < (3, 11) and last + 2 < len(code):
        # A frame that awaits stands before the instruction, to run it again.
        following = dis.opname[code[last + 2]]
        opcode = following if following == "YIELD_FROM" else opcode
    return opcode in _YIELDS and last != trace.tb_lasti


def _mask_fields(error: BaseException) -> None:
    """Mask the arguments, the attributes and the fields of types written in C."""
    _set(error, BaseException.args, tuple(_mask_field(item) for item in error.args))
    attributes = vars(error)
    for name, value in list(attributes.items()):
        attributes[name] = _mask_field(value)
    for kind in type(error).__mro__:
        for name, member in vars(kind).items():
            if isinstance(member, _MEMBERS) and not name.startswith("__"):
                _mask_member(error, member)


def _mask_field(value: Any) -> Any:
    return mask_value(value, keep=(BaseException,))


def _mask_member(error: BaseException, member: Any) -> None:
    try:
        value = member.__get__(error, type(error))
    except Exception:  # noqa: BLE001 (a slot that was never set, or a getter that raises anything)
        return
    clean = _mask_field(value)
    if clean is not value:
        _set(error, member, clean)


def _set(error: BaseException, member: Any, value: object) -> None:
    try:
        member.__set__(error, value)
    except (AttributeError, TypeError):
        return  # read-only: whether it shows is seen in the text of the exception, in _stand_ins


def _stand_ins(found: list[BaseException]) -> dict[int, BaseException]:
    """Put other exceptions in the place of those that still show a secret, by their id."""
    stand_ins: dict[int, BaseException] = {}
    while dirty := _dirty(found, stand_ins):
        # Innermost first: one that only quotes another is clean as soon as that one is.
        innermost = [
            error for error in dirty.values() if not any(id(x) in dirty for x in _linked(error))
        ]
        for error in innermost or list(dirty.values()):
            stand_ins[id(error)] = _stand_in(error, stand_ins)
        for error in (*found, *stand_ins.values()):
            _relink(error, stand_ins)
    return stand_ins


def _dirty(
    found: list[BaseException], stand_ins: dict[int, BaseException]
) -> dict[int, BaseException]:
    return {
        id(error): error
        for error in found
        if id(error) not in stand_ins and _is_dirty(error, stand_ins)
    }


def _is_dirty(error: BaseException, stand_ins: dict[int, BaseException]) -> bool:
    if isinstance(error, _GROUP) and any(
        id(child) in stand_ins for child in getattr(error, "exceptions", ())
    ):
        return True
    return any(redact(text) != text for text in shown(error))


def _stand_in(error: BaseException, stand_ins: dict[int, BaseException]) -> BaseException:
    text, representation = (redact(part) for part in shown(error))
    if isinstance(error, _GROUP):
        stand_in = _group_stand_in(error, stand_ins)
    elif isinstance(error, ValidationError):
        stand_in = _validation_stand_in(error)
    else:
        try:
            # A class of Python whose __str__ is its own: the same object shows the masked text.
            object.__setattr__(error, "__class__", _silenced(type(error), text, representation))
        except TypeError:
            stand_in = RedactedError(f"{type(error).__name__}: {text}")
        else:
            return error
    _copy_links(error, stand_in)
    return stand_in


def _silenced(kind: type[BaseException], text: str, representation: str) -> type[BaseException]:
    return type(
        kind.__name__,
        (kind,),
        {
            "__slots__": (),
            "__module__": kind.__module__,
            "__qualname__": kind.__qualname__,
            "__doc__": kind.__doc__,
            "__str__": lambda _self: text,
            "__repr__": lambda _self: representation,
        },
    )


def _group_stand_in(error: Any, stand_ins: dict[int, BaseException]) -> BaseException:
    children = [stand_ins.get(id(child), child) for child in error.exceptions]
    message = redact(error.message)
    try:
        stand_in = type(error)(message, children)
    except Exception:  # noqa: BLE001 (a subclass, whose constructor may want anything)
        stand_in = _GROUP(message, children)
    return cast("BaseException", stand_in)


def _validation_stand_in(error: ValidationError) -> ValidationError:
    problems: list[InitErrorDetails] = [
        {
            "type": PydanticCustomError(problem["type"], redact(problem["msg"])),
            "loc": tuple(mask_value(part) for part in problem["loc"]),
            "input": mask_value(problem["input"]),
        }
        for problem in error.errors(include_url=False, include_context=False)
    ]
    return ValidationError.from_exception_data(redact(error.title), problems)


def _copy_links(source: BaseException, target: BaseException) -> None:
    for name in ("__traceback__", *_LINKS, "__suppress_context__"):
        object.__setattr__(target, name, getattr(source, name))
    if notes := vars(source).get("__notes__"):
        vars(target)["__notes__"] = list(notes)


def _relink(error: BaseException, stand_ins: dict[int, BaseException]) -> None:
    """Let an exception point at the stand-ins instead of what they stand for."""

    def current(value: Any) -> Any:
        if isinstance(value, list):
            return [stand_ins.get(id(item), item) for item in value]
        return stand_ins.get(id(value), value)

    suppressed = error.__suppress_context__
    for name in _LINKS:
        object.__setattr__(error, name, current(getattr(error, name)))
    object.__setattr__(error, "__suppress_context__", suppressed)
    _set(error, BaseException.args, tuple(current(item) for item in error.args))
    attributes = vars(error)
    for name, value in list(attributes.items()):
        attributes[name] = current(value)
