"""What goes wrong during a step, as the faults of the warehouse that bring it about."""

from __future__ import annotations

from collections.abc import Callable

from tests.history.schedules import (
    AWAY,
    CONFLICT,
    FORBIDDEN,
    HIDDEN,
    LOST_AFTER,
    LOST_BEFORE,
    LOST_MIDDLE,
    TOO_LATE,
    Mishap,
)
from vinci_code.warehouse.faults import HISTORY, Fault

# For as long as a step may last.
_TIMES = 1000

_WRITES = r"^\s*(INSERT|MERGE|UPDATE|DELETE|BEGIN ATOMIC)"


def fault_of(mishap: Mishap, *, late: bool) -> Fault:
    """The fault of a mishap.

    Args:
        mishap: The mishap.
        late: Whether the statement that it hits arrives after all, and so has to be a write.
    """
    return _FAULTS[mishap.kind](
        operation=mishap.operation,
        statement=_WRITES if late else None,
        skip=mishap.skip,
        times=mishap.times,
    )


_FAULTS: dict[str, Callable[..., Fault]] = {
    LOST_BEFORE: lambda **scope: Fault.reset("before", **scope),
    LOST_AFTER: lambda **scope: Fault.reset("after", **scope),
    LOST_MIDDLE: lambda **scope: Fault.reset("mid_reply", **scope),
    "503": lambda **scope: Fault.http(503, **scope),
    "503 executed": lambda **scope: Fault.http(503, executed=True, **scope),
    "504 executed": lambda **scope: Fault.http(504, executed=True, **scope),
    "429": lambda **scope: Fault.http(429, retry_after=0.01, **scope),
    "session lost": Fault.session_lost,
    CONFLICT: Fault.commit_conflict,
    "delayed": lambda **scope: Fault.delay(0.01, **scope),
    "slow": lambda **scope: Fault.slow_poll(0.01, **scope),
    HIDDEN: lambda **_: Fault.history_hidden(times=_TIMES),
    TOO_LATE: lambda **_: Fault.history_late(1000.0, times=_TIMES),
    FORBIDDEN: lambda **_: Fault.http(403, operation=HISTORY, times=_TIMES),
    AWAY: lambda **_: Fault.http(503, operation=HISTORY, times=_TIMES),
    "history late": lambda **_: Fault.history_late(0.03, times=_TIMES),
    "history busy": lambda **_: Fault.http(429, operation=HISTORY, retry_after=0.01, times=2),
    "history away once": lambda **_: Fault.http(500, operation=HISTORY),
    "history cut": lambda **_: Fault.reset("before", operation=HISTORY),
}
