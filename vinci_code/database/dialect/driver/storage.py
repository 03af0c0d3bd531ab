"""What the storage answers that a link leads to, be it for a file of a result or of a volume."""

from __future__ import annotations

from typing import NamedTuple

from vinci_code.database.dialect.dberrors import Error
from vinci_code.database.dialect.driver.waiting import seconds_in

NOT_NOW = frozenset({408, 429, 500, 502, 503, 504})
"""The statuses by which storage says that it may be asked again."""


class StorageRefusedError(Exception):
    """The storage answered with a status that is none of success."""

    def __init__(self, status: int, retry_after: str | None) -> None:
        super().__init__(status)
        self.status = status
        self.retry_after = seconds_in(retry_after)


class TransferFailure(NamedTuple):
    """What has come of a request to a link.

    Attributes:
        error: What to report.
        again: Whether to try again.
        after: How many seconds the storage asked to wait first.
    """

    error: Error
    again: bool
    after: float | None = None
