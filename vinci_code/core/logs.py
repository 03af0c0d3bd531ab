"""A handler for the logs of applications that have none: one line a record, on standard error.

Each line is masked (``core.redaction``), whoever logged it, and one JSON document stays one: a mask
never takes a quote with it.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from vinci_code.core.printable import in_lines, on_one_line
from vinci_code.core.redaction import MASK, masked_member, redact

# What every record has; the rest is what somebody has added with ``extra``.
_FIELDS = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})
_OWN = frozenset({"time", "level", "logger", "message", "exception", "stack"})
_PACKAGE = "vinci_code"


def set_up(*, as_json: bool, level: int | str) -> bool:
    """See ``vinci_code.core.logging_setup``."""
    root = logging.getLogger()
    ours = [handler for handler in root.handlers if isinstance(handler, _ToStandardError)]
    if not ours and any(map(_has_handlers, (root, logging.getLogger(_PACKAGE)))):
        return False
    handler = ours[0] if ours else _ToStandardError()
    # Of the handler, too: the driver has loggers that are always at DEBUG.
    handler.setLevel(level)
    handler.setFormatter(_JsonLine() if as_json else _ReadableLine())
    root.setLevel(level)
    if not ours:
        root.addHandler(handler)
    return True


def _has_handlers(logger: logging.Logger) -> bool:
    return any(not isinstance(handler, logging.NullHandler) for handler in logger.handlers)


class _ToStandardError(logging.StreamHandler[TextIO]):
    """Writes to what is standard error when it writes."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        """Standard error, which others may replace."""
        return sys.stderr


class _JsonLine(logging.Formatter):
    """A record as one JSON document on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, in which nothing is left that the mask would change."""
        entries = {name: masked_member(name, value) for name, value in self._entries(record)}
        # A value that ends with "Authorization" looks like the name of the entry after it, unless
        # the comma stands further away than in any header.
        for comma in (", ", f"{'':5}, "):
            line = json.dumps(entries, separators=(comma, ": "))
            if redact(line) == line:
                return line
        # Nothing is known that comes here; a line that is no document would say less.
        kept = {name: entries[name] for name in ("time", "level")}
        return json.dumps({**kept, "logger": MASK, "message": MASK})

    def _entries(self, record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
        yield "time", _time(record)
        yield "level", record.levelname
        yield "logger", record.name
        yield "message", record.getMessage()
        yield from (
            (f"extra_{name}" if name in _OWN else name, value) for name, value in _extra(record)
        )
        exception = _exception(self, record)
        if exception:
            yield "exception", exception
        if record.stack_info:
            yield "stack", record.stack_info


class _ReadableLine(logging.Formatter):
    """A record as one line for people; the lines of a traceback stand below it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, with nothing in it that would steer a terminal."""
        message = on_one_line(redact(record.getMessage()))
        entries = [
            f"{name}={json.dumps(masked_member(name, value))}" for name, value in _extra(record)
        ]
        head = f"{_time(record)} {record.levelname} {on_one_line(record.name)}: {message}"
        below = [text for text in (_exception(self, record), record.stack_info) if text]
        return redact("\n".join([" ".join([head, *entries]), *map(in_lines, below)]))


def _time(record: logging.LogRecord) -> str:
    moment = dt.datetime.fromtimestamp(record.created, dt.timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _extra(record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
    for name, value in vars(record).items():
        if name not in _FIELDS:
            yield on_one_line(redact(str(name))), value


def _exception(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    # Kept in the record, as ``logging.Formatter.format`` does for the handlers that come after.
    if record.exc_info and not record.exc_text:
        record.exc_text = redact(formatter.formatException(record.exc_info))
    return record.exc_text or ""
