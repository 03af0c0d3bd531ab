"""The log of every request that a warehouse received, for tests that count and inspect them.

No secret enters it: request headers are not kept at all, and the warehouse's own credentials are
masked wherever they appear in a statement or a parameter.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

MASK = "********"


@dataclass
class RequestRecord:
    """One request, in the order of arrival.

    Attributes:
        operation: The Thrift call (``ExecuteStatement``) or, for the REST endpoints beside it, the
            HTTP method and path (``GET /api/2.0/sql/warehouses/abc``).
        method: The HTTP method.
        path: The HTTP path, without the query string.
        user: Whose token it had; ``None`` where it had none that is good, or needed none.
        statement: The SQL text, for ``ExecuteStatement``.
        parameters: The statement's parameters as ``(name, type, value)``, in order; the values are
            texts as they arrived, ``None`` for NULL, a tuple for an array or map.
        session_id: The session that it named or opened, as the driver prints it.
        operation_id: The operation that it named or started.
        configuration: ``confOverlay`` of a statement, ``configuration`` of ``OpenSession``.
        status: The HTTP status of the answer; ``None`` while it is not answered, and where the
            connection was cut without one.
        error: What the answer said went wrong, if anything.
        fault: The name of the scripted fault that hit it, if one did.
        executed: Whether its statement took effect: ``True`` once it has ended without an error,
            ``False`` where it failed, was canceled or was not run; ``None`` while it runs, and for
            requests that carry no statement.
        bytes_in: Size of the request's body.
        bytes_out: Size of the answer's body, as far as it was sent.
        duration: Seconds from the end of the request's arrival until the answer was ready.
        started: When it arrived, in seconds since the epoch.
    """

    operation: str
    method: str = "POST"
    path: str = ""
    user: str | None = None
    statement: str | None = None
    parameters: tuple[tuple[str | None, str, object], ...] = ()
    session_id: str | None = None
    operation_id: str | None = None
    configuration: dict[str, str] = field(default_factory=dict)
    status: int | None = None
    error: str | None = None
    fault: str | None = None
    executed: bool | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    duration: float | None = None
    started: float = 0.0


class RequestLog:
    """Keeps the last records, or all without a limit; safe to use from several threads."""

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._records: list[RequestRecord] = []
        # Replaced, never changed: it is read without the lock.
        self._secrets: tuple[str, ...] = ()

    def hide(self, secrets: Iterable[str]) -> None:
        """Mask these values in everything that is recorded from now on."""
        with self._lock:
            self._secrets += tuple(secret for secret in secrets if secret)

    def open(self, operation: str, method: str, path: str, bytes_in: int) -> RequestRecord:
        """Start a record: it is visible at once, and completed as the request proceeds."""
        record = RequestRecord(
            self.scrub(operation), method, self.scrub(path), bytes_in=bytes_in, started=time.time()
        )
        with self._lock:
            self._records.append(record)
            if self._limit is not None and len(self._records) > self._limit:
                del self._records[0]
        return record

    def snapshot(self) -> tuple[RequestRecord, ...]:
        """All records kept so far."""
        with self._lock:
            return tuple(self._records)

    def __len__(self) -> int:
        with self._lock:
            return len(self._records)

    def clear(self) -> None:
        """Forget what was recorded so far."""
        with self._lock:
            self._records.clear()

    def scrub(self, text: str) -> str:
        """The text without the warehouse's own credentials."""
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, MASK)
        return text

    def scrub_parameters(
        self, parameters: Iterable[tuple[str | None, str, object]]
    ) -> tuple[tuple[str | None, str, object], ...]:
        """The parameters without the warehouse's own credentials."""
        return tuple((name, kind, self._scrub_value(value)) for name, kind, value in parameters)

    def _scrub_value(self, value: object) -> object:
        if isinstance(value, str):
            return self.scrub(value)
        if isinstance(value, tuple):
            return tuple(self._scrub_value(item) for item in value)
        return value

    def finish(
        self,
        record: RequestRecord,
        clock: Callable[[], float],
        status: int | None,
        bytes_out: int,
    ) -> None:
        """Complete a record just before its answer leaves."""
        if record.error is not None:
            record.error = self.scrub(record.error)
        record.status = status
        record.bytes_out = bytes_out
        record.duration = clock()
