"""Masking what handlers of logs give away, where it leaves.

A mask where records are made would miss what a filter sets afterwards, what a formatter adds, and
the records that a logger makes in a way of its own. So it stands in front of `logging.Handler`: its
text is masked when it is finished, and a handler that takes records apart gets a masked record.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import traceback
from collections.abc import Callable
from typing import Any

from vinci_code.core.redaction.reports import hides_something
from vinci_code.core.redaction.shapes import may_hold_one
from vinci_code.core.redaction.text import cleaned, exact_values, redact
from vinci_code.core.redaction.values import mask_arguments, mask_entry, mask_value

# What handlers of `logging` write that write the text which `Handler.format` gives, and nothing
# beside it. Every other, such as rich's, Sentry's and those for queues and sockets, counts as one
# that takes the record apart.
_WRITE_TEXT = frozenset(
    {
        "logging.StreamHandler.emit",
        "logging.FileHandler.emit",
        "logging.handlers.BaseRotatingHandler.emit",
        "logging.handlers.WatchedFileHandler.emit",
        "logging.handlers.SysLogHandler.emit",
        "logging.handlers.SMTPHandler.emit",
        "logging.handlers.NTEventLogHandler.emit",
    }
)
_PLAIN_FORMAT: Callable[..., str] = logging.Handler.format
_PLAIN_FILTER: Callable[..., Any] = logging.Filterer.filter


def formatting(previous: Callable[..., str], is_active: Callable[[], bool]) -> Callable[..., str]:
    """What stands in front of `logging.Handler.format`: it masks the text of a record.

    Where that is the one of `logging`, what it does is done here: one call less for each line.
    """
    is_plain = previous is _PLAIN_FORMAT

    def in_front(handler: logging.Handler, record: logging.LogRecord) -> str:
        formatter = handler.formatter if is_plain else None
        text = formatter.format(record) if formatter else previous(handler, record)
        # What `redact` does, without one call more for each line.
        if (exact_values.may_be_in(text) or may_hold_one(text.lower())) and is_active():
            return cleaned(text)
        return text

    return in_front


def filtering(previous: Callable[..., Any], is_active: Callable[[], bool]) -> Callable[..., Any]:
    """What stands in front of `logging.Handler.filter`: it masks records that are taken apart.

    `logging.Handler.handle` asks the filters, and emits right afterwards. A handler that has none
    need not be asked; see `formatting`.
    """
    is_plain = previous is _PLAIN_FILTER

    def in_front(handler: logging.Handler, record: logging.LogRecord) -> Any:
        passed = True if is_plain and not handler.filters else previous(handler, record)
        kind = type(handler)
        if passed and not (_known.get(kind) or _writes_text(kind)) and is_active():
            # From Python 3.12 on, a filter may give another record.
            mask_record(passed if isinstance(passed, logging.LogRecord) else record)
        return passed

    return in_front


def handle_error_masked(
    previous: Callable[..., Any], handler: logging.Handler, record: logging.LogRecord
) -> None:
    """Mask the report of a handler's failure, which is written to standard error."""
    stream = sys.stderr
    if stream is None:
        previous(handler, record)
        return
    # What other threads write there meanwhile is kept back for that long, and comes with it.
    sys.stderr = report = io.StringIO()
    try:
        previous(handler, record)
    finally:
        if sys.stderr is report:
            sys.stderr = stream
        # As logging itself has it: where nobody can be told, the failure is passed over.
        with contextlib.suppress(OSError):
            stream.write(redact(report.getvalue()))


def mask_record(record: logging.LogRecord) -> None:
    """Mask every field of a record, and leave alone what has nothing to hide."""
    _mask_message(record)
    _mask_exc_info(record)
    fields = vars(record)
    for name, value in list(fields.items()):
        if name not in _MASKED_APART:
            fields[name] = mask_entry(name, value)


_MASKED_APART = frozenset({"msg", "args", "exc_info"})
_known: dict[type[logging.Handler], bool] = {}


def _writes_text(kind: type[logging.Handler]) -> bool:
    """Whether all that a handler gives away is what `logging.Handler.format` gives it."""
    known = _known.get(kind)
    if known is None:
        emit = kind.emit
        known = _known[kind] = (
            f"{emit.__module__}.{emit.__qualname__}" in _WRITE_TEXT
            and kind.format is logging.Handler.format
        )
    return known


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
    """Replace the exception by its masked text, where it or its frames have something to hide.

    A handler may show the locals of each frame, as rich's does, and cut them short: then the mask
    would not know the rest of a secret.
    """
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
    if clean != text or hides_something(error, trace):
        record.exc_text, record.exc_info = clean, None
