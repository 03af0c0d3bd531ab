"""Exceptions that say nothing of a request: raised by a signal handler, or by other foreign code.

A soft time limit is an exception that a signal handler raises wherever the program happens to be,
which is in the driver for most of the time. Taken for a failure of the request, it would begin the
recovery of a commit, or be reported as a lost connection, hidden from the application. So where an
exception comes from decides what it is about.
"""

from __future__ import annotations

import functools
import signal
import sys
from types import CodeType, MethodType
from typing import Any
from weakref import WeakSet

_SIGNALS = tuple(signal.valid_signals())

# The packages that a request goes through: ours, the driver, and what the driver requires
# (Requires-Dist of databricks-sql-connector). And SQLAlchemy, whose StaleDataError is raised for
# what a statement says that has found other rows than it wants.
_ON_THE_WAY = frozenset(
    {
        "vinci_code",
        "sqlalchemy",
        "databricks",
        "thrift",
        "urllib3",
        "pyarrow",
        "lz4",
        "numpy",
        "pandas",
        "oauthlib",
        "requests",
        "jwt",
        "pybreaker",
        "dateutil",
    }
)


def is_foreign(error: BaseException) -> bool:
    """Whether an exception comes from outside of what a request goes through.

    That is so where its class belongs to another package than ours, SQLAlchemy, the driver, what
    the driver requires and Python itself; and where a signal handler has raised it, whatever its
    class.
    """
    package = type(error).__module__.partition(".")[0]
    known = package in _ON_THE_WAY or package in sys.stdlib_module_names
    return not known or is_from_signal(error)


def note_handlers() -> None:
    """Remember which signal handlers are set; called before each request.

    One may take itself off before it raises: ``signal(SIGALRM, SIG_DFL); raise TimeoutError``.
    """
    _known.update(_codes_of_handlers())


def is_from_signal(error: BaseException) -> bool:
    """Whether a signal handler has raised it: one that is set, or was before a request."""
    handlers = _known | _codes_of_handlers()
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in handlers:
            return True
        trace = trace.tb_next
    return False


# Weakly: a handler may be made anew for each call.
_known: WeakSet[CodeType] = WeakSet()


def _codes_of_handlers() -> set[CodeType]:
    handlers = filter(callable, map(signal.getsignal, _SIGNALS))
    codes = map(_code_of, handlers)
    return {code for code in codes if code is not None}


def _code_of(handler: Any) -> CodeType | None:
    """The code that a handler runs; ``None`` of one that is not written in Python."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    if isinstance(handler, MethodType):
        handler = handler.__func__
    if not hasattr(handler, "__code__"):
        handler = type(handler).__call__
    code = getattr(handler, "__code__", None)
    return code if isinstance(code, CodeType) else None
