"""The ways out that the interpreter has, and the mask in front of each."""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from types import ModuleType, TracebackType
from typing import Any, NamedTuple

from vinci_code.core.redaction.exceptions import redact_exception
from vinci_code.core.redaction.logs import masking_factory
from vinci_code.core.redaction.text import redact
from vinci_code.core.redaction.values import shown

_Hook = Callable[..., Any]


class _Mask:
    """Stands in front of one hook of the interpreter, and hands on to the hook before it."""

    def __init__(self, previous: _Hook, masked: _Hook) -> None:
        self.previous = previous
        self.masked = masked
        self.active = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.active:
            return self.masked(self.previous, *args, **kwargs)
        return self.previous(*args, **kwargs)


class _WayOut(NamedTuple):
    """One hook: how it is read and set, and what stands in front of it."""

    read: Callable[[], _Hook]
    write: Callable[[_Hook], None]
    masked: _Hook


_lock = threading.RLock()


def _renew_lock() -> None:
    """In a forked child, where no thread is left that would release the old one."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)

_installed: list[tuple[_WayOut, _Mask]] = []


def install() -> None:
    """Put the mask in front of every way out, once."""
    with _lock:
        if _installed:
            return
        for way_out in _WAYS_OUT:
            mask = _Mask(way_out.read(), way_out.masked)
            way_out.write(mask)
            _installed.append((way_out, mask))


def uninstall() -> None:
    """Take the masks out; one that another hook was put in front of stays, and does nothing."""
    with _lock:
        while _installed:
            way_out, mask = _installed.pop()
            mask.active = False
            if way_out.read() is mask:
                way_out.write(mask.previous)


def _excepthook(
    previous: _Hook, _kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    clean = redact_exception(error)
    text = _text_that_hides(clean, trace)
    if text is None:
        previous(type(clean), clean, trace)
    else:
        _print(text)


def _thread_excepthook(previous: _Hook, args: threading.ExceptHookArgs) -> None:
    if args.exc_value is None or args.exc_type is SystemExit:
        previous(args)
        return
    clean = redact_exception(args.exc_value)
    text = _text_that_hides(clean, args.exc_traceback)
    if text is None:
        given = (type(clean), clean, args.exc_traceback, args.thread)
        previous(threading.ExceptHookArgs(given))
    else:
        name = args.thread.name if args.thread else "<unknown>"
        _print(f"Exception in thread {name}:\n{text}")


def _unraisablehook(previous: _Hook, unraisable: sys.UnraisableHookArgs) -> None:
    error = unraisable.exc_value
    clean = None if error is None else redact_exception(error)
    trace = unraisable.exc_traceback
    heading = f"{unraisable.err_msg or 'Exception ignored in'}: {shown(unraisable.object)[1]}\n"
    text = None if clean is None else _text_that_hides(clean, trace)
    if text is None and clean is error and redact(heading) == heading:
        previous(unraisable)
    else:
        _print(heading + _formatted(unraisable.exc_type, clean, trace))


def _formatwarning(previous: _Hook, *args: Any, **kwargs: Any) -> str:
    return redact(previous(*args, **kwargs))


def _text_that_hides(error: BaseException, trace: TracebackType | None) -> str | None:
    """Return the masked traceback, or ``None`` where the hook before ours may show it all.

    Masking the exception is not enough where a secret stands in a line of the source, or in a
    global of the module that was running: hooks like rich's show those too.
    """
    try:
        report = traceback.TracebackException(type(error), error, trace, capture_locals=True)
        everything = "".join(report.format())
    except Exception:  # noqa: BLE001 (a local whose __repr__ raises; it is not shown then)
        everything = None
    if everything is not None and redact(everything) == everything:
        return None
    return _formatted(type(error), error, trace)


def _formatted(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
) -> str:
    try:
        return "".join(traceback.format_exception(kind, error, trace))
    except ImportError:
        # As Python 3.13 ends, nobody reads the source of a line any more.
        return "".join(traceback.format_exception_only(kind, error))


def _print(text: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(redact(text))
        sys.stderr.flush()


def _attribute(module: ModuleType, name: str, masked: _Hook) -> _WayOut:
    return _WayOut(partial(getattr, module, name), partial(setattr, module, name), masked)


_WAYS_OUT = (
    _attribute(sys, "excepthook", _excepthook),
    _attribute(sys, "unraisablehook", _unraisablehook),
    _attribute(threading, "excepthook", _thread_excepthook),
    _attribute(warnings, "formatwarning", _formatwarning),
    _WayOut(logging.getLogRecordFactory, logging.setLogRecordFactory, masking_factory),
)
