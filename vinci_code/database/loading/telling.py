"""Counting the rows of a load, and telling how far it is."""

from __future__ import annotations

import time

from vinci_code.database.loading.results import LoadProgress, Report


class Telling:
    """Counts rows, and tells of them after each portion.

    Args:
        report: Is told; ``None`` for nobody.
        total: How many rows there are; ``None`` where that is not known.

    Attributes:
        rows: How many rows were taken.
    """

    def __init__(self, report: Report | None, total: int | None) -> None:
        self.rows = 0
        self._bytes = 0
        self._report = report
        self._total = total
        self._begun = time.monotonic()

    @property
    def seconds(self) -> float:
        """The time since the load began."""
        return time.monotonic() - self._begun

    def add(self, rows: int, size: int) -> None:
        """Note a portion, and tell."""
        self.rows += rows
        self._bytes += size
        if self._report is not None:
            self._report(LoadProgress(self.rows, self._bytes, self.seconds, self._total))
