"""Waiting for a warehouse that starts, or that is busy: as long as it asks, within one budget."""

from __future__ import annotations

import email.utils
import logging
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from vinci_code.database.dialect.dberrors import (
    ADVICE,
    Error,
    LimitExceeded,
    WarehouseStartTimeout,
)
from vinci_code.database.dialect.driver.stopping import Stop

START_TIMEOUT = 300.0
"""Seconds that a warehouse is waited for, unless something else is asked for."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0
_JITTER = 0.1

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Waiting:
    """What a callback is given before each pause.

    Attributes:
        warehouse: The warehouse that is waited for.
        waited: Seconds since the first refusal.
        pause: Seconds until the next try.
        budget: Seconds that are waited altogether.
        reason: What the warehouse said.
    """

    warehouse: str
    waited: float
    pause: float
    budget: float
    reason: str


@dataclass
class Patience:
    """What is left of the time that one call of the application may spend with waiting.

    Attributes:
        warehouse: The warehouse that is waited for, in words.
        budget: Seconds that are waited altogether.
        on_waiting: Called before each pause.
        deadline: The monotonic time after which nothing is waited for, whatever the budget.
        stop: Who may ask for the waiting to end; ``None`` where nobody can.
        waits: How many pauses were made.
        slept: Seconds of these.
    """

    warehouse: str
    budget: float = START_TIMEOUT
    on_waiting: Callable[[Waiting], object] | None = None
    deadline: float | None = None
    stop: Stop | None = None
    waits: int = field(default=0, init=False)
    slept: float = field(default=0.0, init=False)
    _began: float | None = field(default=None, init=False)
    _tries: int = field(default=0, init=False)

    def wait(self, refusal: Error, retry_after: float | None = None) -> None:
        """Pause before the next try, or until somebody asks to stop.

        Args:
            refusal: What the warehouse was asked and could not do yet.
            retry_after: The seconds that it asked for.

        Raises:
            WarehouseStartTimeout: The budget is spent, or would be before the next try.
            LimitExceeded: The same, where the warehouse is busy; of the class of the refusal.
        """
        now = time.monotonic()
        is_first = self._began is None
        began = self._began = now if self._began is None else self._began
        waited = now - began
        pause = self._pause(retry_after)
        left = min(self.budget - waited, (self.deadline or float("inf")) - now)
        if left <= 0 or (retry_after is not None and retry_after > left):
            raise self._spent(refusal, waited, retry_after) from refusal
        if is_first:
            _log.info("%s is not ready; waiting for up to %.0f s", self.warehouse, self.budget)
        pause = min(pause, left)
        if self.on_waiting is not None:
            reason = refusal.happened
            self.on_waiting(Waiting(self.warehouse, waited, pause, self.budget, reason))
        self.waits += 1
        try:
            if self.stop is None:
                time.sleep(pause)
            else:
                self.stop.pause(pause)
        finally:
            self.slept += time.monotonic() - now

    def forget(self) -> None:
        """Forget what was waited, since it was counted."""
        self.waits, self.slept = 0, 0.0

    def _pause(self, retry_after: float | None) -> float:
        self._tries += 1
        pause = retry_after
        if pause is None:
            pause = min(_FIRST_PAUSE * 2 ** (self._tries - 1), _LONGEST_PAUSE)
        # Not all of those who were refused together shall come back together.
        return pause + random.uniform(0, min(max(pause, 1.0) * _JITTER, 1.0))  # noqa: S311 - jitter

    def _spent(self, refusal: Error, waited: float, retry_after: float | None) -> Error:
        asked = "" if retry_after is None else f", and asked for {retry_after:.0f} s more"
        said = refusal.happened
        known = {"sqlstate": refusal.sqlstate, "error_class": refusal.error_class}
        if isinstance(refusal, LimitExceeded):
            return type(refusal)(
                f"{self.warehouse} took no request for {waited:.0f} s{asked}. "
                f"It said: {said}{ADVICE}"
                "send fewer statements at once, or raise 'start_timeout' in connect_args (now "
                f"{self.budget:.0f} s).",
                **known,
            )
        return WarehouseStartTimeout(
            f"{self.warehouse} was not ready within {waited:.0f} s{asked}. It said: {said}{ADVICE}"
            "start it under SQL Warehouses in the workspace, or ask its owner; or raise "
            f"'start_timeout' in connect_args (now {self.budget:.0f} s).",
            **known,
        )


def seconds_in(retry_after: str | None) -> float | None:
    """The seconds that a ``Retry-After`` header asks for, given as a number or as a date."""
    if not retry_after:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        pass
    else:
        return None if math.isnan(seconds) else max(seconds, 0.0)
    try:
        moment = email.utils.parsedate_to_datetime(retry_after)
    except (TypeError, ValueError):
        return None
    return max(moment.timestamp() - time.time(), 0.0)
