"""The time of commits: in UTC, and never the same twice."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone


class Clock:
    """Gives timestamps in milliseconds that always grow, as Delta's commit timestamps do."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = datetime.fromtimestamp(0, timezone.utc)

    def now(self) -> datetime:
        """Return the current time, or a millisecond after the one returned last."""
        with self._lock:
            moment = datetime.now(timezone.utc)
            moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
            self._last = max(moment, self._last + timedelta(milliseconds=1))
            return self._last

    def advance(self, moment: datetime) -> None:
        """Make sure that later timestamps are after this one."""
        with self._lock:
            self._last = max(self._last, moment)
