"""What an engine has sent: counted, and told while it goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

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
    """

    units: int = 0
    statements: int = 0
    rows: int = 0
    bytes: int = 0
    retries: int = 0


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
        self._lock = threading.Lock()
        renew_lock_in_child(self)
        self._counted = Statistics()

    def add(
        self, *, units: int = 0, statements: int = 0, rows: int = 0, size: int = 0, retries: int = 0
    ) -> None:
        """Count something."""
        with self._lock:
            counted = self._counted
            self._counted = replace(
                counted,
                units=counted.units + units,
                statements=counted.statements + statements,
                rows=counted.rows + rows,
                bytes=counted.bytes + size,
                retries=counted.retries + retries,
            )

    def read(self) -> Statistics:
        """What was counted so far."""
        with self._lock:
            return self._counted
