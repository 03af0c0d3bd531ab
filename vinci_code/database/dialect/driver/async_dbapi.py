"""The module of PEP 249, as SQLAlchemy's asyncio wants it: nothing waits in the loop's thread.

Its connections and cursors have the methods of PEP 249, which are called within SQLAlchemy's
greenlets and wait there as a task waits. What they do is done by ``dbapi``, in the thread that each
connection has.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy.engine import AdaptedConnection
from sqlalchemy.exc import MissingGreenlet
from sqlalchemy.util.concurrency import await_only, in_greenlet

from vinci_code.database.dialect.dberrors import (
    AmbiguousWriteError,
    AtomicityError,
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
    PartialCommitError,
    PendingWritesError,
    PermissionDenied,
    ProgrammingError,
    ProtocolUnsupported,
    ResultExpired,
    SessionLostError,
    StatementTimeout,
    TooManyRequests,
    WarehouseStartTimeout,
    Warning,  # noqa: A004 - PEP 249 gives it this name
    WrittenAnyway,
)
from vinci_code.database.dialect.driver.dbapi import (
    Binary,
    Connection,
    Cursor,
    Date,
    Time,
    Timestamp,
    apilevel,
    paramstyle,
    threadsafety,
)
from vinci_code.database.dialect.driver.threads import ConnectionThread

if TYPE_CHECKING:
    from vinci_code.database.dialect.driver.rows import Row

__all__ = [
    "AmbiguousWriteError",
    "AtomicityError",
    "AuthenticationFailed",
    "Binary",
    "CancelledError",
    "ConflictError",
    "ConnectTimeout",
    "ConnectionLostError",
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
    "PartialCommitError",
    "PendingWritesError",
    "PermissionDenied",
    "ProgrammingError",
    "ProtocolUnsupported",
    "ResultExpired",
    "SessionLostError",
    "StatementTimeout",
    "Time",
    "Timestamp",
    "TooManyRequests",
    "WarehouseStartTimeout",
    "Warning",
    "WrittenAnyway",
    "apilevel",
    "connect",
    "paramstyle",
    "threadsafety",
]

_Given = TypeVar("_Given")
_ROWS_ALONE = (
    "the rows of this cursor were fetched as values of Python when its statement ran\n"
    "To fix it: use read_arrow_async(), or stream() and a cursor made with server_side=True."
)


def connect(**arguments: Any) -> ThreadedConnection:
    """Open a session on a SQL warehouse, in a thread of its own; see ``dbapi.connect``.

    Args:
        **arguments: As of ``dbapi.connect``; and ``note_thread``, which is called with the thread.

    Raises:
        MissingGreenlet: It was not called through SQLAlchemy's asyncio; nothing was contacted.
        Error: As of ``dbapi.connect``.
    """
    if arguments.pop("async_creator_fn", None) is not None:
        raise InterfaceError(
            "async_creator cannot be used with this dialect, whose connections are opened in a "
            "thread of their own; nothing was sent\n"
            "To fix it: give create_async_engine() connect_args instead."
        )
    if not in_greenlet():
        raise MissingGreenlet(
            "an engine of databricks+vinci_async was used outside of SQLAlchemy's asyncio; nothing "
            "was sent\nTo fix it: make it with create_async_engine() and await its methods, or use "
            "databricks+vinci with create_engine()."
        )
    noted = arguments.pop("note_thread", None)
    thread = ConnectionThread()
    if noted is not None:
        noted(thread)
    try:
        await_only(thread.run(lambda: thread.open(arguments)))
    except BaseException:
        thread.leave()
        raise
    return ThreadedConnection(thread)


class ThreadedConnection(AdaptedConnection):
    """A connection whose work is done in a thread of its own.

    Args:
        thread: The thread, whose connection is open.
    """

    __slots__ = ("__weakref__", "_thread")

    # Not one of asyncio's own, as SQLAlchemy has it declared.
    _connection: Any

    def __init__(self, thread: ConnectionThread) -> None:
        self._connection = thread.connection
        self._thread = thread
        # Nobody has to close it for the thread to end.
        weakref.finalize(self, thread.leave).atexit = False

    def call(self, work: Callable[[], _Given]) -> _Given:
        """What some work gives, done in the connection's thread while the task waits.

        Raises:
            MissingGreenlet: There is no task that could wait; nothing was done.
        """
        if self._thread.is_current:
            return work()
        return await_only(self._thread.run(work))

    def post(self, work: Callable[[], object]) -> None:
        """Have something done in the connection's thread that nobody waits for."""
        self._thread.post(work)

    @property
    def thread(self) -> ConnectionThread:
        """Its thread."""
        return self._thread

    @property
    def unit(self) -> Any:
        """The unit of work of SQLAlchemy's dialect; what may send is called by ``call``."""
        return self._connection.unit

    @unit.setter
    def unit(self, unit: Any) -> None:
        self._connection.unit = unit

    @property
    def sync_connection(self) -> Connection:
        """The connection that the thread uses."""
        return self._thread.connection

    @property
    def initial_schema(self) -> str:
        """The schema that a name without one meant when the session was opened."""
        return self.sync_connection.initial_schema

    @property
    def closed(self) -> bool:
        """Whether it is closed, also because a task was cancelled that had used it."""
        return self._thread.is_over or self.sync_connection.closed

    @property
    def is_foreign(self) -> bool:
        """Whether it belongs to another process, or to an event loop that has ended."""
        return self.sync_connection.is_foreign or self._thread.has_lost_its_loop

    @property
    def is_as_found(self) -> bool:
        """Whether it is as it was at ``begin_use``, for all that who comes next will see of it."""
        return not self._thread.is_over and self.sync_connection.is_as_found

    def begin_use(self) -> None:
        """Take what the session was changed to until now for what it is to be like."""
        self._connection.begin_use()

    def cursor(self, server_side: bool = False) -> ThreadedCursor:
        """A new cursor; its rows are all fetched at once, or, with ``server_side``, as asked for.

        Raises:
            InterfaceError: The connection is closed.
        """
        if self._thread.is_over:
            raise InterfaceError("the connection is closed")
        return ServerSideCursor(self) if server_side else ThreadedCursor(self)

    def commit(self) -> None:
        """End the unit of work; what is held is sent."""
        self.call(self._connection.commit)

    def rollback(self) -> None:
        """End the unit of work; what is held is dropped, as it is where the connection is gone."""
        if not self._thread.is_over:
            self.call(self._connection.rollback)

    def close(self) -> None:
        """Have its thread end the session, and itself; nobody waits for that."""
        self._thread.finish()

    def terminate(self) -> None:
        """Have its thread stop what it does, too."""
        self._thread.leave()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._connection!r}>"


class ThreadedCursor:
    """Runs statements in the connection's thread; all rows are there when a statement has run.

    Attributes:
        connection: The connection that it belongs to.
        arraysize, rowcount, description, statement_id, lastrowid, query_tags: As of
            ``dbapi.Cursor``.
    """

    lastrowid = None

    def __init__(self, connection: ThreadedConnection) -> None:
        self.connection = connection
        self.arraysize = 1
        # The deadline of its statements, and what has set it; ``None`` for the connection's own.
        self._limit: tuple[float | None, str] | None = None
        self.rowcount = -1
        self.description: Any = None
        self.statement_id: str | None = None
        self.query_tags: Mapping[str, str] = {}
        self._rows: deque[Row] = deque()

    @property
    def timeout(self) -> float | None:
        """Seconds after which a statement is cancelled; ``None`` lets it run."""
        return self.connection.sync_connection.timeout if self._limit is None else self._limit[0]

    @timeout.setter
    def timeout(self, seconds: float | None) -> None:
        self.limit_to(seconds, "'timeout' of the cursor")

    def limit_to(self, seconds: float | None, by: str) -> None:
        """Set ``timeout``, and what an error is to name as what has set it."""
        self._limit = seconds, by

    def run(self, work: Callable[[Cursor], object]) -> None:
        """Run something on a cursor in the connection's thread, and take its result."""
        self.connection.call(lambda: self._run(work))

    def execute(self, operation: str, parameters: Sequence[Any] = ()) -> ThreadedCursor:
        """Run a statement; see ``dbapi.Cursor``."""
        self.run(lambda cursor: cursor.execute(operation, parameters))
        return self

    def executemany(
        self, operation: str, seq_of_parameters: Sequence[Sequence[Any]]
    ) -> ThreadedCursor:
        """Run a statement once for each set of parameters, in order."""
        self.run(lambda cursor: cursor.executemany(operation, seq_of_parameters))
        return self

    def fetchone(self) -> Row | None:
        """The next row; ``None`` after the last."""
        return self._rows.popleft() if self._rows else None

    def fetchmany(self, size: int | None = None) -> list[Row]:
        """The next rows, at most ``size`` of them."""
        wanted = min(self.arraysize if size is None else size, len(self._rows))
        return [self._rows.popleft() for _ in range(wanted)]

    def fetchall(self) -> list[Row]:
        """All rows that are left."""
        rows = list(self._rows)
        self._rows.clear()
        return rows

    def fetchmany_arrow(self, size: int | None = None) -> Any:
        """Refuse it: the rows are there, as values of Python.

        Raises:
            NotSupportedError: Always; a cursor made with ``server_side`` has it.
        """
        raise NotSupportedError(_ROWS_ALONE)

    def fetchall_arrow(self) -> Any:
        """Refuse it: the rows are there, as values of Python.

        Raises:
            NotSupportedError: Always; a cursor made with ``server_side`` has it.
        """
        raise NotSupportedError(_ROWS_ALONE)

    def close(self) -> None:
        """Forget the rows."""
        self._rows.clear()

    async def _async_soft_close(self) -> None:
        """Do nothing: the warehouse holds nothing any more. SQLAlchemy's asyncio calls it."""

    def setinputsizes(self, sizes: object) -> None:
        """Do nothing, as PEP 249 allows."""

    def setoutputsize(self, size: int, column: int | None = None) -> None:
        """Do nothing, as PEP 249 allows."""

    def __iter__(self) -> Iterator[Row]:
        while (row := self.fetchone()) is not None:
            yield row

    def _run(self, work: Callable[[Cursor], object]) -> None:
        self._rows.clear()
        cursor = self._made()
        try:
            work(cursor)
            self._take(cursor)
        except BaseException:
            cursor.close()
            raise
        finally:
            self.statement_id = cursor.statement_id

    def _made(self) -> Cursor:
        cursor = self.connection.sync_connection.cursor()
        cursor.arraysize = self.arraysize
        cursor.query_tags = self.query_tags
        if self._limit is not None:
            cursor.limit_to(*self._limit)
        return cursor

    def _take(self, cursor: Cursor) -> None:
        self.rowcount, self.description = cursor.rowcount, cursor.description
        if self.description is not None:
            self._rows.extend(cursor.fetchall())
        cursor.close()


class ServerSideCursor(ThreadedCursor):
    """A cursor whose rows are fetched as they are asked for, as ``stream()`` does."""

    _cursor: Cursor | None = None

    def fetchone(self) -> Row | None:
        """The next row; ``None`` after the last."""
        cursor = self._opened()
        return self.connection.call(cursor.fetchone)

    def fetchmany(self, size: int | None = None) -> list[Row]:
        """The next rows, at most ``size`` of them."""
        cursor = self._opened()
        return self.connection.call(lambda: cursor.fetchmany(size))

    def fetchall(self) -> list[Row]:
        """All rows that are left."""
        cursor = self._opened()
        return self.connection.call(cursor.fetchall)

    def fetchmany_arrow(self, size: int | None = None) -> Any:
        """The next rows, at most ``size`` of them, as a ``pyarrow.Table``."""
        cursor = self._opened()
        return self.connection.call(lambda: cursor.fetchmany_arrow(size))

    def fetchall_arrow(self) -> Any:
        """All rows that are left, as a ``pyarrow.Table``."""
        cursor = self._opened()
        return self.connection.call(cursor.fetchall_arrow)

    def close(self) -> None:
        """Give the result back."""
        cursor, self._cursor = self._cursor, None
        if cursor is None or self.connection.closed:
            return
        if in_greenlet():
            self.connection.call(cursor.close)
        else:
            self.connection.post(cursor.close)

    def _take(self, cursor: Cursor) -> None:
        self.rowcount, self.description = cursor.rowcount, cursor.description
        self._cursor = cursor

    def _opened(self) -> Cursor:
        if self._cursor is None:
            raise InterfaceError("there are no rows: the cursor is closed")
        return self._cursor
