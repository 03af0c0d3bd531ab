"""Be back by a deadline from calls that know none.

``socket.getaddrinfo`` takes no timeout, the vendor's OAuth code sends requests without one, and a
command-line tool that hands out tokens may wait for input. None of them can be interrupted from
outside, so they run in a daemon thread that is left behind when its time is up.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from vinci_code.core.errors import DeadlineExceededError

T = TypeVar("T")

_log = logging.getLogger(__name__)


def run_with_deadline(work: Callable[[], T], seconds: float, what: str) -> T:
    """Return what ``work`` returns or raise what it raises, in no more than ``seconds``.

    Args:
        work: Called once, in a daemon thread of its own.
        seconds: How long to wait.
        what: What is being done, for the message: "opening a session".

    Raises:
        DeadlineExceededError: ``work`` was not done in time; it is left behind.
    """
    outcome: _Outcome[T] = _Outcome(what)
    thread = threading.Thread(target=outcome.run, args=(work,), name=f"vinci: {what}", daemon=True)
    thread.start()
    try:
        outcome.done.wait(max(seconds, 0.0))
    finally:
        # Also when Ctrl-C ends the wait: what comes after it is taken by nobody.
        in_time = outcome.take()
    if not in_time:
        raise DeadlineExceededError(f"{what} did not finish within {seconds:.3g} s")
    if outcome.error is not None:
        raise outcome.error
    return outcome.results[0]


@dataclass
class _Outcome(Generic[T]):
    what: str
    done: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    results: list[T] = field(default_factory=list)
    error: BaseException | None = None
    abandoned: bool = False

    def run(self, work: Callable[[], T]) -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - handed over to the thread that waits
            self._hand_over(error=error)
        else:
            self._hand_over(result)

    def take(self) -> bool:
        """Whether the outcome is there; if not, it is dropped when it comes."""
        with self.lock:
            self.abandoned = not self.done.is_set()
            return not self.abandoned

    def _hand_over(self, *results: T, error: BaseException | None = None) -> None:
        with self.lock:
            if not self.abandoned:
                self.results.extend(results)
                self.error = error
                self.done.set()
                return
        if error is not None:
            _log.debug("%s failed after its deadline: %s", self.what, type(error).__name__)
