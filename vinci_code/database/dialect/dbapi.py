"""PEP 249 over the vendor's driver."""

from __future__ import annotations

import datetime as dt
import importlib
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from vinci_code.core.redaction import redact_exception
from vinci_code.database.dialect import dberrors
from vinci_code.database.dialect.dberrors import (
    AmbiguousWriteError,
    AuthenticationFailed,
    CancelledError,
    ConflictError,
    ConnectionLostError,
    ConnectTimeout,
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    LimitExceeded,
    NotSupportedError,
    OperationalError,
    PermissionDenied,
    ProgrammingError,
    ProtocolUnsupported,
    SessionLostError,
    StatementTimeout,
    WarehouseStartTimeout,
    Warning,  # noqa: A004 - PEP 249 gives it this name
)

__all__ = [
    "AmbiguousWriteError",
    "AuthenticationFailed",
    "Binary",
    "CancelledError",
    "ConflictError",
    "ConnectTimeout",
    "Connection",
    "ConnectionLostError",
    "Cursor",
    "DataError",
    "DatabaseError",
    "Date",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "LimitExceeded",
    "NotSupportedError",
    "OperationalError",
    "PermissionDenied",
    "ProgrammingError",
    "ProtocolUnsupported",
    "SessionLostError",
    "StatementTimeout",
    "Time",
    "Timestamp",
    "WarehouseStartTimeout",
    "Warning",
    "apilevel",
    "connect",
    "paramstyle",
    "threadsafety",
]

apilevel = "2.0"
threadsafety = 1
paramstyle = "qmark"

Binary = bytes
Date = dt.date
Time = dt.time
Timestamp = dt.datetime


def connect(**arguments: Any) -> Connection:
    """Open a session; the arguments are the driver's own."""
    driver = importlib.import_module("databricks.sql")
    try:
        return Connection(driver.connect(**{"enable_telemetry": False, **arguments}))
    except Exception as error:  # noqa: BLE001
        _reraise(error)


class Connection:
    """A session of a SQL warehouse."""

    def __init__(self, driver_connection: Any) -> None:
        self.driver_connection = driver_connection

    def cursor(self) -> Cursor:
        """A new cursor."""
        try:
            return Cursor(self, self.driver_connection.cursor())
        except Exception as error:  # noqa: BLE001
            _reraise(error)

    def commit(self) -> None:
        """Nothing: each statement is committed as it runs."""

    def rollback(self) -> None:
        """Nothing: each statement is committed as it runs."""

    def close(self) -> None:
        """Close the session."""
        self.driver_connection.close()


class Cursor:
    """Runs statements and gives their rows."""

    arraysize = 1

    def __init__(self, connection: Connection, driver_cursor: Any) -> None:
        self.connection = connection
        self._cursor = driver_cursor

    @property
    def description(self) -> list[tuple[Any, ...]] | None:
        """The columns of the result."""
        described: list[tuple[Any, ...]] | None = self._cursor.description
        return described

    @property
    def rowcount(self) -> int:
        """How many rows the last write affected; -1 where that is not known."""
        return int(self._cursor.rowcount)

    @property
    def lastrowid(self) -> None:
        """Never known."""
        return None

    def execute(self, operation: str, parameters: Sequence[Any] = ()) -> Cursor:
        """Run a statement."""
        try:
            self._cursor.execute(operation, list(parameters) or None)
        except Exception as error:  # noqa: BLE001
            _reraise(error)
        return self

    def executemany(self, operation: str, rows: Sequence[Sequence[Any]]) -> Cursor:
        """Run a statement once for each row."""
        for row in rows:
            self.execute(operation, row)
        return self

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row."""
        try:
            row = self._cursor.fetchone()
        except Exception as error:  # noqa: BLE001
            _reraise(error)
        return None if row is None else tuple(row)

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        """The next rows."""
        try:
            return [tuple(row) for row in self._cursor.fetchmany(size or self.arraysize)]
        except Exception as error:  # noqa: BLE001
            _reraise(error)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All remaining rows."""
        try:
            return [tuple(row) for row in self._cursor.fetchall()]
        except Exception as error:  # noqa: BLE001
            _reraise(error)

    def close(self) -> None:
        """Forget the result."""
        self._cursor.close()

    def setinputsizes(self, sizes: object) -> None:
        """Nothing."""

    def setoutputsize(self, size: int, column: int | None = None) -> None:
        """Nothing."""

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        while (row := self.fetchone()) is not None:
            yield row


def _reraise(error: Exception) -> NoReturn:
    if isinstance(error, Error):
        raise error
    kind: Any = getattr(dberrors, type(error).__name__, OperationalError)
    raise kind(str(error)) from redact_exception(error)
