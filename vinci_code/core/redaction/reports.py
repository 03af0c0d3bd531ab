"""What reports of an exception show beside its text: the locals of frames, and lines of source."""

from __future__ import annotations

import traceback
from types import TracebackType

from vinci_code.core.redaction.text import redact
from vinci_code.core.redaction.values import shown


def hides_something(error: BaseException, trace: TracebackType | None) -> bool:
    """Whether a report of an exception could show a secret, with all that reports show.

    Masking the exception is not enough where a secret stands in a local of a frame, in a line of
    the source, or in a global of the module that was running: rich and others show those too.
    """
    try:
        report = traceback.TracebackException(type(error), error, trace, capture_locals=True)
        everything = "".join(report.format())
    except Exception:  # noqa: BLE001 (a local whose __repr__ raises; it is not shown then)
        return True
    return any(redact(text) != text for text in (everything, *shown(error)))
