"""Asking a thread that waits for the warehouse to stop, from another thread.

The thread that was asked cancels its statement, sends nothing more, waits for no warehouse that
starts, and finds out what became of a write that it had sent.
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Iterator


class Stop:
    """What two threads tell each other: whether to stop, and whether something may be written.

    It is good for one piece of work. No lock is taken that a finaliser could want within itself:
    see ``forking``.

    Attributes:
        may_have_written: Whether a statement that may write was sent, so that its outcome is to be
            waited for.
    """

    def __init__(self) -> None:
        self.may_have_written = False
        self._asked = False
        self._settling = 0
        # To be rung: it wakes who pauses.
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()

    @property
    def asked(self) -> bool:
        """Whether to stop now; never while it is found out what became of a write."""
        return self._asked and not self._settling

    def ask(self) -> bool:
        """Ask to stop.

        Returns:
            Whether the outcome is to be waited for: something may have been written.
        """
        self._asked = True
        self._bell.put(None)
        return self.may_have_written

    def about_to_write(self) -> None:
        """Note that a statement which may write is sent, unless it is too late for that.

        Who asks looks at the note after having asked, and who notes looks at ``asked`` after that:
        so one of the two knows of the other.
        """
        self.may_have_written = True

    def pause(self, seconds: float) -> None:
        """Sleep, and wake up as soon as somebody asks to stop."""
        if self._settling:
            time.sleep(seconds)
        elif not self._asked:
            with contextlib.suppress(queue.Empty):
                self._bell.get(timeout=seconds)

    @contextlib.contextmanager
    def settling(self) -> Iterator[None]:
        """Find something out that has to be known, whoever asks to stop."""
        self._settling += 1
        try:
            yield
        finally:
            self._settling -= 1
