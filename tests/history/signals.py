"""A signal whose handler raises an exception, as the time limit of an application does."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from vinci_code.database.dialect.driver import dbapi


class Soft(Exception):  # noqa: N818 - as Celery's
    """A time limit of the application."""


RAISED: tuple[type[Exception], ...] = (Soft, TimeoutError, dbapi.StatementTimeout)
"""What the handler of a signal raises; of the last two, only where they come from tells."""

_TIME_IS_UP = "time is up"


class TimeLimit:
    """A time limit, which ends a step where it is told to.

    Attributes:
        expired: Whether it has come to an end during the step.
    """

    def __init__(self) -> None:
        self.expired = False
        self._set: type[Exception] | None = None
        # What is to be raised when it expires, and what the handler is to raise now, once.
        self._raises: type[Exception] | None = None
        self._due: type[Exception] | None = None
        self._is_lifted = False

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Handle its signal within the block."""
        signal.signal(signal.SIGUSR1, self._on_signal)
        try:
            yield
        finally:
            # Not to what it was, which would end the process for a signal that comes late.
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)

    def set_to(self, number: int) -> None:
        """Set it.

        Args:
            number: Which of ``RAISED`` it raises.
        """
        self._set = self._raises = RAISED[number]

    def lift(self) -> None:
        """Raise nothing from here on, unless somebody else's has expired: see ``lifted``."""
        if not self._is_lifted:
            self._raises = self._due = None

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Expire not within the block; what expired before it may still be on its way."""
        raises, self._raises = self._raises, None
        before, self._is_lifted = self._is_lifted, True
        try:
            yield
        finally:
            self._raises, self._is_lifted = raises, before

    def expire(self) -> None:
        """Have the handler of the signal raise its exception in the thread that waits."""
        if self._raises is None:
            return
        self.expired = True
        self._due, self._raises = self._raises, None
        signal.pthread_kill(_main_thread(), signal.SIGUSR1)

    def has_raised(self, error: Exception) -> bool:
        """Whether an error is its own."""
        return self.expired and type(error) is self._set and str(error).startswith(_TIME_IS_UP)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        raises, self._due = self._due, None
        if raises is not None:
            raise raises(_TIME_IS_UP)


def _main_thread() -> int:
    identity = threading.main_thread().ident
    assert identity is not None
    return identity
