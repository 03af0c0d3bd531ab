"""What an engine has sent: counted, and reported while it goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from vinci_code.database.dialect.forking import renew_lock_in_child


@dataclass(frozen=True)
class Statistics:
    """What an engine of this dialect has sent to write rows.

    Attributes:
        units: Units of work that were committed with something to write.
        statements: Statements that wrote, BEGIN, COMMIT and ROLLBACK among them.
        rows: Rows that were sent.
        bytes: Bytes of the statements and their parameters.
        retries: Statements that were sent again after their answer was lost.
        parked: Units that were kept while the warehouse was away, and could not arrive.
    """

    units: int = 0
    statements: int = 0
    rows: int = 0
    bytes: int = 0
    retries: int = 0
    parked: int = 0


@dataclass(frozen=True)
class Progress:
    """How far the sending of a unit of work has come.

    Attributes:
        statements: Statements that were sent and executed.
        rows: Rows that they held.
        rows_in_all: Rows that the unit holds.
        bytes: Bytes that were sent.
    """

    statements: int
    rows: int
    rows_in_all: int
    bytes: int


OnProgress = Callable[[Progress], None]


class Counter:
    """Counts what an engine sends; used by several threads at once."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        renew_lock_in_child(self)
        self._units = self._statements = self._rows = self._bytes = 0
        self._retries = self._parked = 0

    def add(
        self,
        *,
        units: int = 0,
        statements: int = 0,
        rows: int = 0,
        size: int = 0,
        retries: int = 0,
        parked: int = 0,
    ) -> None:
        """Count something."""
        with self._lock:
            # Nothing is called meanwhile, so that a finaliser in this thread comes before or after.
            self._units += units
            self._statements += statements
            self._rows += rows
            self._bytes += size
            self._retries += retries
            self._parked += parked

    def read(self) -> Statistics:
        """What was counted so far."""
        with self._lock:
            return Statistics(
                self._units,
                self._statements,
                self._rows,
                self._bytes,
                self._retries,
                self._parked,
            )
