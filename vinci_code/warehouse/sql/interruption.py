"""Whether the statement that this thread translates was interrupted.

DuckDB looks for itself while it computes; what Python does before is asked here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_local = threading.local()


@contextmanager
def checked_by(check: Callable[[], None]) -> Iterator[None]:
    """Let ``check`` raise where this thread asks, while the body runs."""
    before = getattr(_local, "check", None)
    _local.check = check
    try:
        yield
    finally:
        _local.check = before


def check_interrupt() -> None:
    """Stop here if the statement was interrupted.

    Raises:
        SqlError: ``OPERATION_CANCELED``.
    """
    check = getattr(_local, "check", None)
    if check is not None:
        check()
