"""How long tests wait, however busy the machine is, and a clock that a test holds.

A bound on time only tells "soon" from "for minutes". What a test has to measure, it measures on a
``HeldClock``, or it counts.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from vinci_code.warehouse import LocalWarehouse

PATIENCE_S = 240.0
"""What is to come soon has come by then: on a quiet machine it comes within milliseconds.

With five busy processes to a core a command of ours took more than a minute to begin.
"""

FOR_LONG_S = 900.0
"""How long that takes whose end nobody is to wait for: the patience of a test has ended by then."""

SHORT_S = 3.0
"""A time limit that is to pass: all that comes before it fits in, on a busy machine too."""

_PAUSE_S = 0.005
_AGAIN_S = 1.0


def wait_until(happened: Callable[[], object], what: str = "what is waited for") -> None:
    """Wait for something as long as it takes, within the patience of a test."""
    end = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < end, f"{what} has not come within {PATIENCE_S:.0f} s"
        time.sleep(_PAUSE_S)


@contextlib.contextmanager
def soon() -> Iterator[None]:
    """Check that what is done within ends soon, and does not wait for minutes."""
    began = time.monotonic()
    try:
        yield
    finally:
        took = time.monotonic() - began
        assert took < PATIENCE_S, f"it took {took:.0f} s"


@contextlib.contextmanager
def signal_once(happened: Callable[[], object], number: int) -> Iterator[None]:
    """Send this process's main thread a signal as soon as something has happened.

    A timer would do that too early or too late on a machine that is busy. It is sent again until
    its handler has run: one that comes right before the thread waits in the system ends no waiting,
    and its handler would run when that is over.
    """
    main = threading.main_thread().ident
    assert main is not None
    over, late, handled = threading.Event(), threading.Event(), threading.Event()
    end = time.monotonic() + PATIENCE_S
    handler = signal.getsignal(number)
    assert callable(handler)

    def handle(number: int, frame: FrameType | None) -> None:
        if not handled.is_set():
            handled.set()
            handler(number, frame)

    def watch() -> None:
        while not over.is_set():
            if time.monotonic() > end:
                late.set()  # and the signal comes all the same, so that nothing hangs
            if late.is_set() or happened():
                break
            over.wait(_PAUSE_S)
        while not (over.is_set() or handled.is_set()):
            signal.pthread_kill(main, number)
            handled.wait(_AGAIN_S)

    signal.signal(number, handle)
    watcher = threading.Thread(target=watch, name="test: watches")
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        signal.signal(number, handler)
        # Here, since the signal raises in what is done within: nothing that comes behind would run.
        late_s = f"what the signal waits for has not come within {PATIENCE_S:.0f} s"
        assert not late.is_set(), late_s


class HeldClock:
    """A clock that moves as a test says: by what is slept on it, and when something has happened.

    It stands in for the module ``time`` in the modules that it is held in. It begins at the time
    of the real one, for a time of one may meet a time of the other.

    Attributes:
        now: Its monotonic time.
        pauses: What was slept on it, in seconds each.
    """

    def __init__(self) -> None:
        self._began = self.now = time.monotonic()
        self._time = time.time()
        self._lock = threading.Lock()
        self._jumps: list[tuple[Callable[[], object], float]] = []
        self.pauses: list[float] = []

    @property
    def passed(self) -> float:
        """Seconds that have passed on it."""
        return self.now - self._began

    def move_on(self, seconds: float, once: Callable[[], object] | None = None) -> None:
        """Move it on, now or as soon as something has happened."""
        if once is not None:
            self._jumps.append((once, seconds))
        else:
            with self._lock:
                self.now += seconds

    def monotonic(self) -> float:
        for jump in list(self._jumps):
            happened, seconds = jump
            if happened():
                self._jumps.remove(jump)
                self.move_on(seconds)
        return self.now

    def time(self) -> float:
        return self._time + self.monotonic() - self._began

    def perf_counter(self) -> float:
        return self.monotonic()

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.move_on(seconds)


def hold_clock(monkeypatch: pytest.MonkeyPatch, *modules: ModuleType | Any) -> HeldClock:
    """Have modules that ``import time`` take their time from a clock that the test holds."""
    clock = HeldClock()
    for module in modules:
        assert module.time is time, f"{module} takes its time from elsewhere"
        monkeypatch.setattr(module, "time", clock)
    return clock


def in_rounds(
    work: Callable[[], object], clock: HeldClock, *, rounds: int, seconds: float, threads: int = 20
) -> list[object]:
    """What threads are answered that ask at one time, again and again.

    Between two rounds the clock moves on, and never while somebody is under way: a token that is
    good when a request is sent is good when it arrives, however long that takes.
    """
    answers: list[object] = []
    meeting = threading.Barrier(threads, lambda: clock.move_on(seconds), PATIENCE_S)

    def ask() -> None:
        for _ in range(rounds):
            try:
                answers.append(work())
            except Exception as error:  # noqa: BLE001 - whatever it is, it is no answer
                answers.append(error)
            meeting.wait()

    running = [threading.Thread(target=ask) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return answers


def runs_again(warehouse: LocalWarehouse) -> None:
    """End a cold start: a warehouse that other tests use too runs at once."""
    state = warehouse._state
    state._stopped_until = state._running_from = 0.0
