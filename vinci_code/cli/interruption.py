"""Ctrl-C and SIGTERM during an import: not between a commit and its being counted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from vinci_code.cli.failures import Interruption

_Record = TypeVar("_Record")
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Breaks:
    """Lets signals end the reading of records, and holds them back while records are stored."""

    def __init__(self) -> None:
        self._pending: int | None = None
        self._storing = False

    def between(self, records: Iterable[_Record]) -> Iterator[_Record]:
        """Hand the records on; a signal ends this while the next one is read.

        Reading may wait for ever (a pipe in which nothing comes), so a signal has to end it at
        once. While the taker works on a record, a signal waits: raised inside of a commit, it would
        leave it unclear whether that batch is stored.
        """
        iterator = iter(records)
        try:
            while True:
                self._storing = False
                self.check()
                try:
                    record = next(iterator)
                except StopIteration:
                    return
                finally:
                    self._storing = True
                yield record
        finally:
            self._storing = True

    def check(self) -> None:
        """Raise what was held back.

        Raises:
            Interruption: A signal came.
        """
        if self._pending is not None:
            raise Interruption(self._pending)

    @contextmanager
    def watched(self) -> Iterator[Breaks]:
        """Answer the signals for as long as this lasts; they are another's again afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield self  # only the main thread may set handlers, and only it is interrupted
            return
        # One that is ignored stays so: `nohup` and a shell's `&` mean it.
        watched = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        before = {number: signal.signal(number, self._note) for number in watched}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, signum: int, _: FrameType | None) -> None:
        again = self._pending is not None
        self._pending = signum
        # The second Ctrl-C of an impatient user ends it, whatever is going on.
        if again or not self._storing:
            raise Interruption(signum)
