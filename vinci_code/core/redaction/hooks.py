"""The ways out that the interpreter has, and the mask in front of each."""

from __future__ import annotations

import functools
import inspect
import io
import logging
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, NamedTuple, cast

from vinci_code.core.redaction.exceptions import redact_exception
from vinci_code.core.redaction.logs import filtering, formatting, handle_error_masked
from vinci_code.core.redaction.reports import hides_something
from vinci_code.core.redaction.text import redact
from vinci_code.core.redaction.values import shown

_Hook = Callable[..., Any]


class _WayOut(NamedTuple):
    """One way out: the function that it goes through, by its owner and name.

    Attributes:
        owner: Whose attribute it is.
        name: The attribute.
        in_front: Makes the function that is put in front of it, from it and from another that says
            whether there is anything to mask.
    """

    owner: Any
    name: str
    in_front: Callable[[_Hook, Callable[[], bool]], _Hook]


class _Mask:
    """Stands in front of one function, and hands on to it."""

    def __init__(self, way_out: _WayOut) -> None:
        self._way_out = way_out
        self._previous = getattr(way_out.owner, way_out.name)
        self._active = True
        # A function, and no object that can be called: one in a class has to be a method.
        self._put = way_out.in_front(self._previous, lambda: self._active)
        functools.update_wrapper(self._put, self._previous)
        setattr(way_out.owner, way_out.name, self._put)

    def take_out(self) -> None:
        """Take it out; where another function was put in front of it, it stays, does nothing."""
        self._active = False
        owner, name = self._way_out.owner, self._way_out.name
        if getattr(owner, name) is self._put:
            setattr(owner, name, self._previous)


_lock = threading.RLock()


def _renew_lock() -> None:
    """In a forked child, where no thread is left that would release the old one."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)

_installed: list[_Mask] = []


def install() -> None:
    """Put the mask in front of every way out, once."""
    with _lock:
        if not _installed:
            _installed.extend(map(_Mask, _ways_out()))


def uninstall() -> None:
    """Take the masks out; one that another hook was put in front of stays, and does nothing."""
    with _lock:
        while _installed:
            _installed.pop().take_out()


def _masked_by(masked: _Hook) -> Callable[[_Hook, Callable[[], bool]], _Hook]:
    """What puts a function in front, which is given the one before it and its arguments."""

    def make(previous: _Hook, is_active: Callable[[], bool]) -> _Hook:
        def in_front(*args: Any, **kwargs: Any) -> Any:
            if is_active():
                return masked(previous, *args, **kwargs)
            return previous(*args, **kwargs)

        return in_front

    return make


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


def _show_warning(previous: _Hook, message: warnings.WarningMessage) -> None:
    message.message = cast("Warning", redact_exception(cast("Warning", message.message)))
    previous(message)


def _print_exception(previous: _Hook, *args: Any, **kwargs: Any) -> None:
    given = inspect.signature(previous).bind(*args, **kwargs)
    stream = given.arguments.get("file") or sys.stderr
    if stream is None:
        return
    given.arguments["file"] = text = io.StringIO()
    previous(*given.args, **given.kwargs)
    stream.write(redact(text.getvalue()))


def _show_in_ipython(
    previous: _Hook, kind: type[BaseException], error: BaseException, lines: list[str]
) -> None:
    # A notebook is sent the text of the exception beside the lines of its traceback.
    clean = redact_exception(error)
    previous(kind if clean is error else type(clean), clean, [redact(line) for line in lines])


def _text_that_hides(error: BaseException, trace: TracebackType | None) -> str | None:
    """Return the masked traceback, or ``None`` where the hook before ours may show it all."""
    return _formatted(type(error), error, trace) if hides_something(error, trace) else None


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


def _ways_out() -> Iterator[_WayOut]:
    yield _WayOut(sys, "excepthook", _masked_by(_excepthook))
    yield _WayOut(sys, "unraisablehook", _masked_by(_unraisablehook))
    yield _WayOut(threading, "excepthook", _masked_by(_thread_excepthook))
    # What multiprocessing reports a dead child with, and logging the failure of a handler.
    yield _WayOut(traceback, "print_exception", _masked_by(_print_exception))
    yield _WayOut(warnings, "formatwarning", _masked_by(_formatwarning))
    # Every warning comes here, and goes to whatever somebody has put in place of `showwarning`.
    if hasattr(warnings, "_showwarnmsg"):
        yield _WayOut(warnings, "_showwarnmsg", _masked_by(_show_warning))
    yield _WayOut(logging.Handler, "format", formatting)
    yield _WayOut(logging.Handler, "filter", filtering)
    yield _WayOut(logging.Handler, "handleError", _masked_by(handle_error_masked))
    shell = _ipython_shell()
    if shell is not None:
        yield _WayOut(shell, "_showtraceback", _masked_by(_show_in_ipython))


def _ipython_shell() -> Any:
    """The shell or notebook that this runs in: it shows tracebacks without any hook."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None
