"""PEP 249 over the vendor's driver, made safe.

What is different from ``databricks.sql``:

* every error is one of ``dberrors``, also where urllib3, ssl or thrift raised it;
* values are bound exactly, also more than 255 of them (``binding``);
* a write is never sent again unless it certainly was not executed (``transport``, ``execution``);
* a session that the warehouse has lost is replaced, where nothing that it kept would be missed;
* a warehouse that starts is waited for, a wrong token is not;
* rows are tuples of plain Python values (``rows``).

Each statement is committed as it runs, unless BEGIN was run before. What a connection of
SQLAlchemy's dialect writes belongs to its unit of work, also by a cursor of the application's own.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from vinci_code.core.redaction import redact_exception
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
from vinci_code.database.dialect.driver.announcing import (
    Observer,
    SentStatement,
    StatementKind,
    kind_of,
    size_of,
)
from vinci_code.database.dialect.driver.connecting import Arguments, initial_schema, settle
from vinci_code.database.dialect.driver.execution import Execution, Outcome, given_up
from vinci_code.database.dialect.driver.rows import ResultRows, Row, require_pyarrow
from vinci_code.database.dialect.driver.sessions import Session
from vinci_code.database.dialect.driver.stopping import Stop
from vinci_code.database.dialect.driver.translation import Evidence, cleaned
from vinci_code.database.dialect.driver.transport import (
    CONNECT_ARGUMENT,
    Answer,
    Call,
    DeadlinePassed,
    within,
)
from vinci_code.database.dialect.driver.uploads import LinkRefusedError, SentFile
from vinci_code.database.dialect.driver.waiting import Patience
from vinci_code.database.dialect.interruptions import is_foreign, note_handlers
from vinci_code.database.dialect.text import raw
from vinci_code.database.dialect.text.binding import Parameter, bind
from vinci_code.database.dialect.text.literals import quote_text
from vinci_code.database.dialect.text.scanning import (
    COMMIT,
    ROLLBACK,
    TRANSFER,
    TRANSFERS,
    StatementTraits,
    describe,
)

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "AmbiguousWriteError",
    "AtomicityError",
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

apilevel = "2.0"
threadsafety = 1
paramstyle = "qmark"

Binary = bytes
Date = dt.date
Time = dt.time
Timestamp = dt.datetime

_NO_RESULT_COLUMN = "Result"
_Opened = TypeVar("_Opened", bound="Connection")
_log = logging.getLogger(__name__)
# The seconds that a statement may take, and what has said so.
_Limit = tuple[float | None, str]


def connect(**arguments: Any) -> Connection:
    """Open a session on a SQL warehouse.

    Args:
        **arguments: What ``databricks.sql.connect`` takes, by its own names, and beside that:

            * ``connect_timeout``: seconds after which a host that does not answer is given up (20);
            * ``timeout``: seconds after which a statement is cancelled (never);
            * ``start_timeout``: seconds that a warehouse is waited for that starts or takes no
              requests (300);
            * ``on_waiting``: called with a ``waiting.Waiting`` before each pause.

    Raises:
        InterfaceError: The arguments cannot be used; nothing was contacted.
        AuthenticationFailed: The workspace did not accept the credentials.
        WarehouseStartTimeout: The warehouse did not start in time.
        OperationalError: The session could not be opened for another reason.
    """
    return opened(arguments, Connection)


def opened(arguments: dict[str, Any], make: Callable[[Arguments], _Opened]) -> _Opened:
    """Open a session as ``connect`` does, on a connection of another class.

    Raises:
        Error: As of ``connect``. The dictionary is empty afterwards.
    """
    try:
        return make(settle(arguments))
    except Exception as error:  # noqa: BLE001 - it goes on as one of ours
        raise cleaned(error)  # noqa: B904 - its cause is set


class Connection:
    """A session of a SQL warehouse, replaced by another one where it is lost and nothing with it.

    It belongs to the process that has opened it: a forked child can only close it, which does
    nothing there.

    Attributes:
        timeout: Seconds after which a statement is cancelled; ``None`` lets it run.
        autocommit: Whether every statement is a unit of work of its own. It decides only whether a
            lost session may be replaced.
        unit: The unit of work of SQLAlchemy's dialect; ``None`` without it.
        observer: Who is told of what is sent; ``None`` for nobody.
        stop: By what another thread asks to stop what runs; ``None`` where none can.
    """

    def __init__(self, arguments: Arguments, stop: Stop | None = None) -> None:
        self.stop = stop
        self.timeout = arguments.timeout
        self.autocommit = False
        self.unit: Any = None
        self.observer: Observer | None = None
        self._arguments = arguments
        self._process = os.getpid()
        self._closed = False
        # Whether there is no session any more, so that the next statement opens one; and whether it
        # has taken a transaction with it that the unit of work does not know to be gone.
        self._ended = False
        self._transaction_lost = False
        # Whether statements have been run since the last commit or rollback, and whether the
        # session holds something that a new one would not.
        self._in_unit = False
        self._session_changed = False
        self._changed_in_use = False
        self._in_transaction = False
        # What was waited until now, before anybody could be told.
        self._opening = self._call(True)
        self._session = self._open(self._opening)

    @property
    def driver_connection(self) -> Any:
        """The driver's own connection; another one after a session was replaced."""
        return self._session.driver_connection

    @property
    def initial_schema(self) -> str:
        """The schema that a name without one meant when the session was opened."""
        return initial_schema(self._arguments.for_driver)

    @property
    def session_id(self) -> str:
        """The session, as the warehouse's query history names it."""
        return str(self._session.driver_connection.get_session_id_hex())

    @property
    def http_path(self) -> str:
        """The path of the warehouse, or of the cluster."""
        return str(self._arguments.for_driver["http_path"])

    def ask_workspace(self, path: str, seconds: float) -> Answer:
        """Ask the workspace for a path, as the session's requests go; also after its end.

        Raises:
            Error: There was no answer.
        """
        channel = self._session.channel
        try:
            return channel.get(path, seconds)
        finally:
            if self.observer is not None:
                received = channel.take_received()
                self.observer.count(waits=0, waited=0.0, received=received, opened=0, replaced=0)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction was begun by a statement, and not ended."""
        return self._in_transaction

    @property
    def session_changed(self) -> bool:
        """Whether the session may have been changed, by USE, SET or temporary objects."""
        return self._session_changed

    @property
    def temporary_views(self) -> Collection[str]:
        """The bare names, in lower case, of the temporary views that may be in the session.

        ``scanning.ANY_VIEW`` is among them where there may be any.
        """
        return self._session.temporary_views

    @property
    def closed(self) -> bool:
        """Whether it was closed, or is the parent's of this process."""
        return self._closed or self.is_foreign

    @property
    def is_foreign(self) -> bool:
        """Whether another process has opened it, of which this one was forked."""
        return self._process != os.getpid()

    @property
    def is_as_found(self) -> bool:
        """Whether it is as it was at ``begin_use``, for all that who comes next will see of it."""
        gone = self._transaction_lost or (self._ended and self._session_changed)
        # SQLAlchemy rolls back nothing where a commit was stopped before it began, be it by a
        # listener of "commit" or by a signal: what is held would be the next one's.
        is_open = self.unit is not None and self.unit.is_open
        return not (gone or self._changed_in_use or self._in_transaction or is_open)

    def begin_use(self) -> None:
        """Take what the session was changed to until now for what it is to be like."""
        self._changed_in_use = False

    def settling(self) -> contextlib.AbstractContextManager[None]:
        """Find out what became of a write, whoever asks to stop meanwhile."""
        return contextlib.nullcontext() if self.stop is None else self.stop.settling()

    def cut(self) -> None:
        """Cut off the request that waits for its answer, from another thread: the answer is lost.

        What follows is as where the network has lost it.
        """
        self._session.channel.cut()

    def observe(self, observer: Observer) -> None:
        """Tell somebody of what is sent from now on, and of what was done to connect."""
        self.observer = observer
        self._count(self._opening, opened=1)

    def put_file(self, path: str, file: BinaryIO, size: int) -> None:
        """Send a file to a volume, in the place of what is there.

        It belongs to no unit of work: the session may be another one afterwards. A link that the
        storage takes no more is asked for again.

        Args:
            path: Where to, ``/Volumes/…``.
            file: The file, open for reading.
            size: How many bytes it has.

        Raises:
            Error: It could not be sent; whether it lies there is not known.
        """
        text = f"PUT '__input_stream__' INTO {quote_text(path)} OVERWRITE"
        self._transfer(text, file, size, self.timeout)

    def remove_file(self, path: str, seconds: float) -> None:
        """Remove a file from a volume, within so many seconds; that it is not there is no error.

        Raises:
            Error: It could not be removed.
        """
        self._transfer(f"REMOVE {quote_text(path)}", None, 0, seconds)

    def cursor(self) -> Cursor:
        """A new cursor.

        Raises:
            InterfaceError: The connection is closed.
        """
        self._require_open()
        return Cursor(self)

    def commit(self) -> None:
        """End the unit of work; what is held, and a transaction that was begun, are committed.

        Raises:
            SessionLostError: A transaction was begun by a statement, and lost with its session.
        """
        self._require_open()
        self.require_transaction()
        if self.unit is not None and self.unit.is_open:
            self.unit.commit()  # which comes back here
            return
        if self._in_transaction:
            self.cursor().execute("COMMIT", described=COMMIT)
        self._in_unit = False

    def rollback(self) -> None:
        """End the unit of work; of its statements, those of a transaction are taken back."""
        self._require_open()
        if self.unit is not None and self.unit.is_open:
            self.unit.rollback()  # which comes back here
            return
        if self._in_transaction:
            self.cursor().execute("ROLLBACK", described=ROLLBACK)
        self._in_unit = self._transaction_lost = False

    def give_up(self) -> None:
        """End the session, and with it what runs in it; the next statement opens another one.

        A transaction is rolled back by it, which is taken to be what the caller wants.
        """
        self._require_open()
        self._end_session(None)
        self._transaction_lost = False

    def renew(self) -> None:
        """End the session, and open another one.

        Raises:
            SessionLostError: The session had been changed, by USE or SET, and is lost with that.
            OperationalError: No session could be opened.
        """
        self.give_up()
        self._open_another(self._call(True))

    def close(self) -> None:
        """End the session; closing twice does nothing, nor does closing it in a forked child."""
        if self.unit is not None and not self.closed:
            self.unit.close()
        closed, self._closed = self.closed, True
        if closed:
            return
        try:
            if not self._ended:
                self._session.close()
        finally:
            self._session.hang_up()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open"
        return f"<Connection to {self._arguments.address}, {state}>"

    def _run(
        self,
        text: str,
        parameters: list[Parameter],
        statement: StatementTraits,
        limit: _Limit,
        query_tags: Mapping[str, str] | None = None,
        once: bool = False,
        sent: SentFile | None = None,
        told: SentStatement | None = None,
    ) -> Outcome:
        self._require_open()
        self.require_transaction()
        _refuse_autocommit(statement)
        call = self._call(statement.reads, limit)
        try:
            return self._run_call(call, text, parameters, statement, query_tags, once, sent)
        finally:
            if told is not None:
                told.note(call)
            self._count(call)

    def _run_call(
        self,
        call: Call,
        text: str,
        parameters: list[Parameter],
        statement: StatementTraits,
        query_tags: Mapping[str, str] | None,
        once: bool,
        sent: SentFile | None,
    ) -> Outcome:
        if self.stop is not None and not statement.reads:
            self.stop.about_to_write()
        if self._ended:
            self._open_another(call)
            call.again()
        call.once, call.transfers = once, statement.keyword in TRANSFERS
        # A transfer depends on nothing that a session keeps, nor does anything on its session.
        first = self.autocommit or not self._in_unit or statement is TRANSFER
        self._in_unit |= statement is not TRANSFER
        kept = self._session_changed or self._in_transaction
        replace = self._replace_session if first and not kept and not once else None
        # Before it runs: whether it had an effect is not known where its answer is lost.
        self._session_changed |= statement.changes_session
        self._changed_in_use |= statement.changes_session
        before = self._in_transaction
        self._in_transaction |= statement.begins_transaction

        def send(call: Call) -> Any:
            if statement.temporary_view is not None:
                # Of the session that it is sent to: another one than before, where that was lost.
                self._session.temporary_views.add(statement.temporary_view)
            return self._session.execute(text, parameters, call, query_tags, sent)

        try:
            outcome = Execution(call, lambda: self._session, send, replace, self._end_session).run()
        except AmbiguousWriteError as error:
            if (before or statement.begins_transaction) and not statement.ends_transaction:
                raise self._without_transaction(error, begun=before) from error
            raise
        except BaseException:
            if not self._ended:
                self._in_transaction = before  # it was not begun by what has failed
            raise
        if statement.ends_transaction:
            self._in_transaction = False
        return outcome

    def _transfer(self, text: str, file: BinaryIO | None, size: int, seconds: float | None) -> None:
        try:
            for last in (False, False, True):
                sent = None if file is None else SentFile(file, size)
                limit = (seconds, CONNECT_ARGUMENT)
                cursor = Cursor(self)
                told = cursor._told_of(text, (), TRANSFER, StatementKind.FILE)
                if told is not None:
                    told.bytes += size
                try:
                    changed = cursor._tell_before(told, ()) or text
                    with cursor._telling(told, ()):
                        outcome = self._run(changed, [], TRANSFER, limit, sent=sent, told=told)
                except LinkRefusedError:
                    if last:
                        raise
                    continue
                self._session.release(outcome.driver_cursor, outcome.statement_id)
                return
        except Exception as error:  # noqa: BLE001 - it goes on as one of ours
            raise cleaned(error)  # noqa: B904 - its cause is set

    def _without_transaction(self, error: Error, *, begun: bool) -> OperationalError:
        """End the session, so that it is known what became of a transaction in it.

        ``error`` says that an answer was lost, ``begun`` that it was one to a statement within the
        transaction, and not to the one that begins it.
        """
        self._end_session(None)
        # What follows is refused until a rollback, unless there was nothing to be lost.
        self._transaction_lost = begun
        what = "a statement within a transaction" if begun else "BEGIN"
        return OperationalError(
            f"the answer to {what} was lost; its session was ended, and with it the transaction, "
            "so nothing was written\nTo fix it: call rollback(), and repeat the unit of work.",
            statement_id=error.statement_id,
        )

    def _call(self, repeatable: bool, limit: _Limit = (None, CONNECT_ARGUMENT)) -> Call:
        note_handlers()
        timeout, limited_by = limit
        deadline = None if timeout is None else time.monotonic() + timeout
        settled = self._arguments
        where, budget = str(settled.address), settled.start_timeout
        patience = Patience(where, budget, settled.on_waiting, deadline, self.stop)
        return Call(patience, repeatable, deadline=deadline, seconds=timeout, limited_by=limited_by)

    def _open(self, call: Call) -> Session:
        return Session(self._arguments, call)

    def _count(self, call: Call, *, opened: int = 0, replaced: int = 0) -> None:
        """Tell of what a call has waited for and received, and of sessions."""
        patience = call.patience
        if patience.waits:
            _log.info(
                "%s: waited for %.1f s, after %d refusals",
                patience.warehouse,
                patience.slept,
                patience.waits,
            )
        if self.observer is None:
            return
        self.observer.count(
            waits=patience.waits,
            waited=patience.slept,
            received=self._session.channel.take_received(),
            opened=opened,
            replaced=replaced,
        )
        patience.forget()

    def _replace_session(self, call: Call) -> None:
        """Put another session in the place of a lost one, in which nothing was done before.

        What is noted of it comes from the very statement that was refused and is sent again, such
        as BEGIN or USE.
        """
        begun, changed = self._in_transaction, self._session_changed
        self._end_session(None)
        self._transaction_lost = self._session_changed = False
        self._open_another(call)
        self._in_transaction, self._session_changed = begun, changed
        _log.info(
            "%s: the session was lost, and is replaced by %s; nothing was lost with it",
            self._arguments.address,
            self.session_id,
        )

    def _open_another(self, call: Call) -> None:
        """Open a session in place of one that has ended; if that fails, the next use tries again.

        Raises:
            SessionLostError: The session had been changed, and is lost with that.
        """
        if self._session_changed:
            raise SessionLostError(
                "the session was ended, and with it what was set in it by USE, SET or temporary "
                "objects\nTo fix it: run the unit of work again on another connection."
            )
        before, self._session = self._session, self._open(call)
        # Until here the workspace could be asked through it.
        before.hang_up()
        self._ended = False
        if self.observer is not None:
            self.observer.count(waits=0, waited=0.0, received=0, opened=1, replaced=1)

    def _end_session(self, seconds: float | None) -> None:
        """End the session; what takes longer than so many seconds goes on by itself."""
        if self._ended:
            return
        # Before anything is sent: that may be interrupted.
        self._ended = True
        self._transaction_lost, self._in_transaction = self._in_transaction, False
        self._session.abandon()
        if seconds is None:
            self._session.close()
        else:
            within(seconds, self._session.close)

    def _require_open(self) -> None:
        if self._closed:
            raise InterfaceError("the connection is closed")
        if self.is_foreign:
            raise SessionLostError(
                "the connection was opened before this process was forked, and is its parent's; "
                "nothing was sent\n"
                "To fix it: open a connection in the child; an engine does that by itself, for "
                "each connection that is not in use while it is forked."
            )

    def require_transaction(self) -> None:
        """Refuse to go on after the loss of a transaction.

        Raises:
            SessionLostError: It was lost with its session, and there was no rollback since.
        """
        if self._transaction_lost:
            raise SessionLostError(
                "the session was ended, and with it the transaction that was begun in it; nothing "
                "of it was written, and nothing was sent now\n"
                "To fix it: call rollback(), and repeat the unit of work."
            )


class Cursor:
    """Runs statements and gives their rows.

    Attributes:
        connection: The connection that it belongs to.
        arraysize: How many rows ``fetchmany`` returns.
        rowcount: How many rows the last statement changed; -1 where that is not known.
        description: The columns of the result, as PEP 249 describes them; ``None`` where the
            statement returns no rows. The type is the driver's name for it.
        statement_id: The last statement, as the warehouse's query history names it.
        lastrowid: Always ``None``: the warehouse generates no keys to report.
        keeps_counts: Whether ``counts`` is kept.
        counts: What the warehouse has said of the rows that the last write has changed, by its
            names: ``num_inserted_rows`` and so on.
        query_tags: The tags of what it runs, beside those of the unit of work.
    """

    lastrowid = None

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.arraysize = 1
        self._timeout = connection.timeout
        self._limited_by = CONNECT_ARGUMENT
        self.rowcount = -1
        self.description: list[tuple[Any, ...]] | None = None
        self.statement_id: str | None = None
        self._driver_cursor: Any = None
        self._session: Session | None = None
        self._rows: ResultRows | None = None
        self._closed = False
        self.keeps_counts = False
        self.counts: dict[str, int] = {}
        self.query_tags: Mapping[str, str] = {}

    @property
    def timeout(self) -> float | None:
        """Seconds after which a statement of this cursor is cancelled; ``None`` lets it run."""
        return self._timeout

    @timeout.setter
    def timeout(self, seconds: float | None) -> None:
        self.limit_to(seconds, "'timeout' of the cursor")

    def limit_to(self, seconds: float | None, by: str) -> None:
        """Set ``timeout``, and what an error is to name as what has set it."""
        self._timeout, self._limited_by = seconds, by

    def execute(
        self,
        operation: str,
        parameters: Sequence[Any] = (),
        *,
        query_tags: Mapping[str, str] | None = None,
        described: StatementTraits | None = None,
        once: bool = False,
        kind: StatementKind | None = None,
        rows: int | None = None,
        writes: Callable[[], str] | None = None,
        is_told: bool = False,
    ) -> Self:
        """Run a statement.

        Args:
            operation: The statement, with ``?`` where parameters go.
            parameters: Their values, in order.
            query_tags: Tags that the query history keeps of this statement, beside those of its
                session.
            described: What the statement is, where that is known; otherwise its text is looked at.
            once: Whether it is given up where the warehouse has refused it for now, so that the
                query history has one entry of it at most.
            kind: What it is sent for, for those who are told; by default what it is says it.
            rows: How many rows it is to write, for them.
            writes: Says in words what it writes, for them.
            is_told: Whether SQLAlchemy tells its own listeners of it.

        Raises:
            Error: It was not executed, or failed.
            AmbiguousWriteError: It writes, and whether it was executed is not known.
        """
        self._require_open()
        self._forget()
        try:
            text, bound = bind(operation, parameters)
            statement = describe(operation) if described is None else described
            unit = self.connection.unit
            # The application's own: the dialect says of each statement what it is.
            is_raw = described is None and unit is not None
            if described is None and not statement.reads:
                raw.about_to_write()
            if is_raw and unit.hold_raw(operation, parameters, statement, self):
                return self
            limit = (self._timeout, self._limited_by)
            tags = self._tags(query_tags)
            told = self._told_of(operation, parameters, statement, kind)
        except Exception as error:  # noqa: BLE001 - it goes on as one of ours
            raise self._cleaned(error)  # noqa: B904 - its cause is set
        if told is not None:
            told.rows, told.writes, told.is_told, told.tags = rows, writes, is_told, tags or {}
        # What a listener raises goes on as it is.
        changed = self._tell_before(told, parameters)
        try:
            with self._telling(told, parameters):
                if changed is not None:
                    text, bound = bind(changed, parameters)
                outcome = self.connection._run(text, bound, statement, limit, tags, once, told=told)
                self._take(outcome, statement)
        except Exception as error:  # noqa: BLE001 - it goes on as one of ours
            raise self._cleaned(error)  # noqa: B904 - its cause is set
        except BaseException as interruption:
            redact_exception(interruption)
            raise
        return self

    def executemany(
        self,
        operation: str,
        seq_of_parameters: Sequence[Sequence[Any]],
        *,
        described: StatementTraits | None = None,
    ) -> Self:
        """Run a statement once for each set of parameters, in order; see ``execute``."""
        self._require_open()
        total = 0
        for parameters in seq_of_parameters:
            self.execute(operation, parameters, described=described)
            total = -1 if -1 in (total, self.rowcount) else total + self.rowcount
        self.rowcount = total
        return self

    def fetchone(self) -> Row | None:
        """The next row; ``None`` after the last."""
        self._require_open()
        if self._rows is not None and (row := self._rows.ready()) is not None:
            return row
        with self._fetching() as rows:
            return rows.one()

    def fetchmany(self, size: int | None = None) -> list[Row]:
        """The next rows, at most ``size`` of them."""
        with self._fetching() as rows:
            return rows.many(self.arraysize if size is None else size)

    def fetchall(self) -> list[Row]:
        """All rows that are left."""
        with self._fetching() as rows:
            return rows.all()

    def fetchmany_arrow(self, size: int | None = None) -> Any:
        """The next rows, at most ``size`` of them, as a ``pyarrow.Table``; as ``fetchmany``.

        The types are those that the warehouse sends: a TIMESTAMP has a time zone, a VARIANT is the
        text of its document.

        Raises:
            MissingExtraError: pyarrow is not installed; nothing was fetched.
        """
        require_pyarrow("fetchmany_arrow()")
        with self._fetching() as rows:
            return rows.many_arrow(self.arraysize if size is None else size)

    def fetchall_arrow(self) -> Any:
        """All rows that are left, as a ``pyarrow.Table``; as ``fetchall``.

        Raises:
            MissingExtraError: pyarrow is not installed; nothing was fetched.
        """
        require_pyarrow("fetchall_arrow()")
        with self._fetching() as rows:
            return rows.all_arrow()

    def cancel(self) -> None:
        """Cancel the statement that runs, from another thread."""
        session = self.connection._session
        command = session.running()
        if command is not None:
            session.cancel(command)

    def close(self) -> None:
        """Forget the result; closing twice does nothing."""
        self._closed = True
        self._forget()

    def setinputsizes(self, sizes: object) -> None:
        """Do nothing, as PEP 249 allows."""

    def setoutputsize(self, size: int, column: int | None = None) -> None:
        """Do nothing, as PEP 249 allows."""

    def __iter__(self) -> Iterator[Row]:
        while (row := self.fetchone()) is not None:
            yield row

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _tags(self, own: Mapping[str, str] | None) -> Mapping[str, str] | None:
        """The query tags of a statement: of the unit, of the cursor, and its own."""
        unit = self.connection.unit
        of_unit: Mapping[str, str] = {} if unit is None else unit.tags
        return {**of_unit, **self.query_tags, **(own or {})} or None

    def _told_of(
        self,
        text: str,
        parameters: Sequence[Any],
        statement: StatementTraits,
        kind: StatementKind | None,
    ) -> SentStatement | None:
        """A statement, for who is told of it; ``None`` where nobody is."""
        if self.connection.observer is None:
            return None
        unit = self.connection.unit
        return SentStatement(
            kind or kind_of(statement),
            text,
            statement.keyword,
            None if unit is None else unit.begun(),
            bytes=size_of(text, parameters),
        )

    def _tell_before(self, told: SentStatement | None, parameters: Sequence[Any]) -> str | None:
        """Tell of a statement before it is sent; its text, where that is another one now."""
        observer = self.connection.observer
        if told is None or observer is None:
            return None
        text = observer.before(told, self, parameters)
        return None if text == told.text else text

    @contextlib.contextmanager
    def _telling(self, told: SentStatement | None, parameters: Sequence[Any]) -> Iterator[None]:
        """Tell of a statement when it was executed, or has failed."""
        observer = self.connection.observer
        if told is None or observer is None:
            yield
            return
        try:
            yield
        except BaseException as error:
            told.end(error)
            observer.after(told, self, parameters)
            raise
        told.rowcount = self.rowcount
        told.statement_id = self.statement_id or told.statement_id
        told.end()
        observer.after(told, self, parameters)

    def _take(self, outcome: Outcome, statement: StatementTraits) -> None:
        self.statement_id = outcome.statement_id
        self.rowcount = outcome.rowcount
        self._driver_cursor = outcome.driver_cursor
        self._session = self.connection._session
        described = None if self._driver_cursor is None else self._driver_cursor.description
        if described and _returns_rows(statement, described):
            self.description = described
            downloads, statement_id = self._session.channel.downloads, self.statement_id
            self._rows = ResultRows(
                self._driver_cursor, lambda: downloads.rows_of(statement_id), statement_id
            )
        else:
            # Only counts, which rowcount tells, or nothing at all.
            if self.keeps_counts and described:
                self.counts = _counts(self._driver_cursor)
            self._release()

    def _forget(self) -> None:
        self._release()
        self._rows = None
        self.description = None
        self.rowcount = -1
        self.counts = {}

    def _release(self) -> None:
        driver_cursor, self._driver_cursor = self._driver_cursor, None
        if driver_cursor is None or self._session is None or self.connection.is_foreign:
            return
        self._session.release(driver_cursor, self.statement_id)

    @contextlib.contextmanager
    def _fetching(self) -> Iterator[ResultRows]:
        self._require_open()
        if self._rows is None or self._session is None:
            raise InterfaceError("there are no rows: the last statement returned none")
        call = self.connection._call(True, (self._timeout, self._limited_by))
        call.statement_id = self.statement_id
        try:
            try:
                with self._session.channel.on_behalf_of(call):
                    yield self._rows
            finally:
                self.connection._count(call)
        except DeadlinePassed as passed:
            raise given_up(passed, call) from passed
        except Exception as error:  # noqa: BLE001 - it goes on as one of ours
            raise self._cleaned(error)  # noqa: B904 - its cause is set

    def _cleaned(self, error: Exception) -> Exception:
        return cleaned(error, Evidence(statement_id=self.statement_id))

    def _require_open(self) -> None:
        if self._closed:
            raise InterfaceError("the cursor is closed")
        self.connection._require_open()


def _refuse_autocommit(statement: StatementTraits) -> None:
    if statement.sets_autocommit:
        raise NotSupportedError(
            "SET AUTOCOMMIT was given: with it the warehouse begins a transaction by itself, and "
            "what was told as committed would end with the session; nothing was sent\n"
            "To fix it: leave it out; a unit of work is committed as a whole without it, and "
            "isolation_level='AUTOCOMMIT' commits each statement."
        )


def _counts(driver_cursor: Any) -> dict[str, int]:
    """The counts that a write was answered with; none where they have not come with its answer."""
    try:
        row = driver_cursor.fetchone()
    except Exception as error:
        # It was executed, and only what is told of it is lost.
        if is_foreign(error):
            raise
        return {}
    names = [column[0] for column in driver_cursor.description]
    pairs = zip(names, row or (), strict=False)
    return {name: value for name, value in pairs if isinstance(value, int)}


def _returns_rows(statement: StatementTraits, description: list[tuple[Any, ...]]) -> bool:
    if statement.writes_rows:
        return False
    return statement.reads or [column[0] for column in description] != [_NO_RESULT_COLUMN]
