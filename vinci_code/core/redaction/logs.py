"""Masking log records, where every logger's records are made.

A filter on a logger does not see the records of its children (``logging.Logger.callHandlers`` asks
the handlers of the parents, not their filters), and a filter on a handler does not see the handlers
that come later. The record factory sees every record of every logger.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any

from vinci_code.core.redaction.text import redact
from vinci_code.core.redaction.values import mask_value, shown

_Factory = Callable[..., logging.LogRecord]


class _MaskingFields(dict[str, Any]):
    """The ``__dict__`` of a record: ``extra=`` is put there after the factory has run."""

    def __setitem__(self, key: str, value: Any) -> None:  # noqa: ANN401
        super().__setitem__(key, mask_value(value))

    def update(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Set several fields, as `logging.makeLogRecord` does, masked like one."""
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        return dict, (dict(self),)


class _MaskingFactory:
    """A record factory that masks what the factory before it made."""

    def __init__(self, previous: _Factory) -> None:
        self.previous = previous
        self.active = True

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:  # noqa: ANN401
        record = self.previous(*args, **kwargs)
        if self.active:
            _mask_record(record)
        return record


_installed: list[_MaskingFactory] = []


def install() -> None:
    """Put the mask behind the record factory in force, once."""
    if not _installed:
        factory = _MaskingFactory(logging.getLogRecordFactory())
        _installed.append(factory)
        logging.setLogRecordFactory(factory)


def uninstall() -> None:
    """Take the mask out; where another factory has been put on top, it stays, and does nothing."""
    while _installed:
        factory = _installed.pop()
        factory.active = False
        if logging.getLogRecordFactory() is factory:
            logging.setLogRecordFactory(factory.previous)


def _mask_record(record: logging.LogRecord) -> None:
    _mask_message(record)
    if isinstance(record.exc_info, tuple) and record.exc_info[1] is not None:
        _mask_exc_info(record)
    if record.stack_info:
        record.stack_info = redact(record.stack_info)
    record.__dict__ = _MaskingFields(record.__dict__)


def _mask_message(record: logging.LogRecord) -> None:
    message = _message(record)
    if message is None or not record.args:
        record.msg = mask_value(record.msg)
        record.args = mask_value(record.args)
        return
    record.args = mask_value(record.args)
    clean = _message(record)
    if clean is None or redact(clean) != clean:
        record.msg, record.args = redact(message), ()


def _message(record: logging.LogRecord) -> str | None:
    """Return the formatted message, or ``None`` where formatting fails."""
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 (arguments of others; the handler reports it when it formats)
        return None


def _mask_exc_info(record: logging.LogRecord) -> None:
    error_type, error, trace = record.exc_info  # type: ignore[misc]
    text = "".join(traceback.format_exception(error_type, error, trace)).rstrip("\n")
    clean = redact(text)
    if clean != text or any(redact(part) != part for part in shown(error)):
        record.exc_text, record.exc_info = clean, None
