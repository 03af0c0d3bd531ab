"""Masking log records, where every logger's records are made.

A filter on a logger does not see the records of its children (`logging.Logger.callHandlers` asks
the parents' handlers, not the parents' filters), and a filter on a handler does not see the
handlers that come later. The record factory sees every record of every logger.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any

from vinci_code.core.redaction.text import redact
from vinci_code.core.redaction.values import mask_arguments, mask_entry, mask_value, shown

_STANDARD_FIELDS = logging.LogRecord("", 0, "", 0, "", (), None).__dict__.keys()
_RecordFactory = Callable[..., logging.LogRecord]


def masking_factory(previous: _RecordFactory, *args: Any, **kwargs: Any) -> logging.LogRecord:
    """Make a record with the factory that was in force before, and mask it."""
    record = previous(*args, **kwargs)
    _mask_message(record)
    _mask_exc_info(record)
    if record.stack_info:
        record.stack_info = redact(record.stack_info)
    record.__dict__ = fields = _MaskingFields(record.__dict__)
    for name in fields.keys() - _STANDARD_FIELDS:
        fields[name] = fields[name]
    return record


class _MaskingFields(dict[str, Any]):
    """The ``__dict__`` of a record: ``extra=`` is put there after the factory has run."""

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, mask_entry(key, value))

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set several fields, as `logging.makeLogRecord` does, each masked."""
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        """Pickle as a plain dict: a record may go to a process that has no vinci_code."""
        return dict, (dict(self),)


def _mask_message(record: logging.LogRecord) -> None:
    """Mask the template and its arguments, and leave both alone where nothing is to be hidden.

    Arguments are masked one by one where that is enough, since formatters may take them apart. It
    is not where a secret shows only in the finished text ("password=%s"): then the finished text
    becomes the message.
    """
    message = _format(record)
    if message is None or not record.args:
        # Without arguments the template is the text. With ones that do not fit it, logging reports
        # both of them on standard error.
        record.msg = mask_value(record.msg)
        record.args = mask_arguments(record.args)
        return
    masked = mask_arguments(record.args)
    if masked is not record.args:
        record.args = masked
        message_now = _format(record)
    else:
        message_now = message
    if message_now is None or redact(message_now) != message_now:
        record.msg, record.args = redact(message), ()


def _format(record: logging.LogRecord) -> str | None:
    """Return the finished message, or ``None`` where the arguments do not fit."""
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 (the arguments' own code may raise anything; the handler that
        # formats the record meets the same error and reports it, as logging always does)
        return None


def _mask_exc_info(record: logging.LogRecord) -> None:
    """Replace the exception by its masked text, where that text has something to hide."""
    if not isinstance(record.exc_info, tuple) or record.exc_info[1] is None:
        return
    kind, error, trace = record.exc_info
    try:
        text = "".join(traceback.format_exception(kind, error, trace)).rstrip("\n")
    except Exception:  # noqa: BLE001 (an exception of others that cannot be shown; not our error)
        text = f"{kind.__name__}: the traceback cannot be shown"
        record.exc_text, record.exc_info = text, None
        return
    clean = redact(text)
    if clean != text or any(redact(part) != part for part in shown(error)):
        record.exc_text, record.exc_info = clean, None
