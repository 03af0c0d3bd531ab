"""Sessions and their operations: running, waiting, canceling, fetching.

A statement runs in a worker thread while the request that brought it waits a little; one that
takes longer is polled for. Statements of one session run one after another. An operation is done
when its whole result was computed, so that what goes wrong in a row is the statement's error and
not a surprise in a later page; only results of more than ``READ_AHEAD_BYTES`` are read on while
the client fetches, each from a connection of its own that the next statement leaves alone.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa
from databricks.sql.thrift_api.TCLIService import ttypes

from vinci_code.warehouse.engine.result import Column, Result
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.parameters import Parameter
from vinci_code.warehouse.wire import hangups, history
from vinci_code.warehouse.wire.result_files import (
    FILE_BYTES,
    LINKS_PER_REPLY,
    FileStore,
    ResultFile,
    ResultFiles,
)
from vinci_code.warehouse.wire.results import Encoder, ResultFormat, ResultRows

if TYPE_CHECKING:
    from vinci_code.warehouse.engine.catalog_view import CatalogView

ABANDONED_SECONDS = 10.0
"""How long after its client has hung up a query still runs, unless somebody asks for it.

The vendor's driver asks again for the state of a statement after 5 seconds where its connection
broke (``_retry_delay_default``, ``thrift_backend.py``), and finds it running, as on Databricks.
What writes is not ended: on Databricks it goes on, and whoever lost its answer has to look.
"""

READ_AHEAD_BYTES = 256 * 1024 * 1024

_FIRST_PAUSE, _LAST_PAUSE = 0.05, 10.0
_LOOK_SECONDS = 0.25  # between two looks whether the client is still there

OperationState = ttypes.TOperationState

_DONE = frozenset(
    {
        OperationState.FINISHED_STATE,
        OperationState.CANCELED_STATE,
        OperationState.CLOSED_STATE,
        OperationState.ERROR_STATE,
        OperationState.TIMEDOUT_STATE,
    }
)

logger = logging.getLogger(__name__)


class EngineSessionLike(Protocol):
    """What the wire needs of a session of the engine."""

    catalog: str
    schema: str
    configuration: dict[str, str]
    user: str

    def execute(self, text: str, parameters: Sequence[Parameter] = ()) -> Result:
        """Run one statement."""

    def interrupt(self) -> None:
        """Stop the running statement, from another thread."""

    def close(self) -> None:
        """End the session; an open transaction is discarded."""

    @property
    def in_transaction(self) -> bool:
        """Whether an interactive transaction is open, aborted or not."""

    @property
    def only_reads(self) -> bool:
        """Whether the statement that runs is known to change nothing."""

    def catalog_view(self) -> CatalogView:
        """The read-only listing of catalogs, schemas, tables and columns."""


@dataclass(frozen=True)
class CloudFetch:
    """Which results are sent as links, and where their files are.

    Attributes:
        store: Keeps the files.
        above: Results of more bytes than this are sent as links, where the client can follow them;
            ``None`` for none.
    """

    store: FileStore
    above: float | None


@dataclass(frozen=True)
class Limits:
    """What a result is cut to.

    Attributes:
        rows: At most this many rows; ``None`` for all.
        bytes: At most this many bytes of rows; ``None`` for all.
        most_bytes: A result of more bytes than this is an error; ``None`` for none.
        tells: Whether it shall be known if something was cut, for which one more row is read.
    """

    rows: int | None = None
    bytes: int | None = None
    most_bytes: int | None = None
    tells: bool = False


@dataclass(frozen=True)
class Handle:
    """The identity of a session or operation: a public id, and a secret only its owner knows."""

    guid: bytes = field(default_factory=lambda: uuid.uuid4().bytes)
    secret: bytes = field(default_factory=lambda: uuid.uuid4().bytes, repr=False)

    @property
    def text(self) -> str:
        """As the driver prints it."""
        return str(uuid.UUID(bytes=self.guid))

    def thrift(self) -> ttypes.THandleIdentifier:
        """As it travels."""
        return ttypes.THandleIdentifier(guid=self.guid, secret=self.secret)


class ClientSession:
    """A client's session: the engine's session, and the operations started on it.

    Attributes:
        user: Who opened it; with a token of another user its handle is good for nothing.
    """

    def __init__(self, engine_session: EngineSessionLike) -> None:
        self.handle = Handle()
        self.engine = engine_session
        self.user = engine_session.user
        self.operations: dict[bytes, Operation] = {}
        # Held while the engine's session is in use; taken before any operation's own lock.
        self._turn = threading.Lock()
        # Guards which operation the engine works for, so that a cancel never hits the next one.
        self._guard = threading.Lock()
        self._current: Operation | None = None
        self.closed = False

    @contextlib.contextmanager
    def turn(self, operation: Operation | None = None) -> Iterator[None]:
        """Use the engine's session alone, on behalf of an operation that may be canceled."""
        with self._turn:
            with self._guard:
                self._current = operation
            try:
                yield
            finally:
                with self._guard:
                    self._current = None
                if operation is not None:
                    operation.left.set()

    def stop(self, operation: Operation) -> None:
        """Make the engine stop working for an operation.

        An interrupt that comes between two steps of the engine is lost, so it is repeated, ever
        more rarely, until the operation has left the engine.
        """
        pause = _FIRST_PAUSE
        while pause < _LAST_PAUSE:
            with self._guard:
                if self._current is not operation:
                    return
                self.engine.interrupt()
            if operation.left.wait(pause):
                return
            pause *= 2
        logger.warning("The engine did not stop working for operation %s", operation.handle.text)

    def runs_query(self, operation: Operation) -> bool:
        """Whether the engine works for an operation that is known to change nothing."""
        with self._guard:
            return self._current is operation and self.engine.only_reads

    def close(self) -> None:
        """End the session with everything on it."""
        self.closed = True
        for operation in list(self.operations.values()):
            operation.close()
        with self.turn():
            self.engine.close()


class Operation:
    """One statement or metadata call, from its start to its closing.

    Args:
        session: The session that it runs on.
        kind: A ``TOperationType``.
        form: How its result is to be sent.
        run: Computes the result; called in a worker thread, in the session's turn.
        limits: What its result is cut to.
        timeout: Seconds after which it is stopped; ``None`` lets it run.
        cloud_fetch: Which results are sent as links; ``None`` for none.
        in_files: Whether its whole result is kept as files, whatever its size and its client.
    """

    def __init__(
        self,
        session: ClientSession,
        kind: int,
        form: ResultFormat,
        run: Callable[[], Result],
        *,
        limits: Limits | None = None,
        timeout: float | None = None,
        cloud_fetch: CloudFetch | None = None,
        in_files: bool = False,
    ) -> None:
        self.session = session
        self.kind = kind
        self.handle = Handle()
        self.error: SqlError | None = None
        self.num_modified_rows: int | None = None
        self.columns: list[Column] = []
        """The columns of its result, once it is finished; none where it has no result of its own.
        """
        self.is_transfer = False
        """Whether its row tells the client to transfer a file, once it is finished."""
        self.started = time.time()
        self.completed: float | None = None
        self.hidden_until = 0.0
        """Until when (on the monotonic clock) it is reported as running whatever its state."""
        self.on_done: Callable[[bool], None] | None = None
        """Called, when it ends, with whether it succeeded."""
        self.entry: history.HistoryEntry | None = None
        """Where the query history keeps what became of it."""
        self.left = threading.Event()
        """Set when the engine has done with it."""
        self._form = form
        self._run = run
        self._limits = limits or Limits()
        self._timeout = timeout
        self._condition = threading.Condition()
        # How often somebody has waited for it.
        self._asked = 0
        self._state: int = OperationState.PENDING_STATE
        self._result: Result | None = None
        self._rows = ResultRows(iter(()))
        # Two fetches at once take their pages one after the other; taken before _rows_lock.
        self._fetch_lock = threading.Lock()
        self._rows_lock = threading.Lock()
        self._executor: Executor | None = None
        self._has_written = False
        self._row_count: int | None = None
        # The next page, encoded while the client still reads the last one.
        self._ahead: _Ahead | None = None
        self._encoder = Encoder((), form)
        self._cloud_fetch = cloud_fetch if in_files or (form.arrow and form.download) else None
        self._in_files = in_files
        # Where its rows are sent as links; and the number of the file whose link comes next.
        self._files: ResultFiles | None = None
        self._next_file = 0

    # --- its life -------------------------------------------------------------------------------

    def start(self, executor: Executor) -> None:
        """Begin in a worker thread."""
        self.session.operations[self.handle.guid] = self
        self._executor = executor
        executor.submit(self.execute)

    def execute(self) -> None:
        """Run to the end in this thread."""
        timer = self._start_timer()
        try:
            with self.session.turn(self):
                if self._advance(OperationState.RUNNING_STATE):
                    self._compute()
        except SqlError as error:
            self._fail(error)
        except Exception as error:
            # The boundary between a client's statement and the server: a defect in the engine
            # must reach the client as an error, not leave it polling for ever.
            if self._was_stopped():
                # Whatever an interruption breaks in the engine is no defect of it.
                logger.debug("A statement failed after it was stopped", exc_info=True)
            else:
                logger.exception("A statement failed inside the engine")
            self._fail(SqlError("INTERNAL_ERROR", "XX000", f"{type(error).__name__}: {error}"))
        finally:
            self._run = _done  # it holds the statement's text, which may be large
            self._note_end(None)
            if timer is not None:
                timer.cancel()

    def wait(self, seconds: float = threading.TIMEOUT_MAX) -> bool:
        """Wait until it is done, at most ``seconds``; whether it is.

        Where the client that waits for it hangs up, a query is ended a little later, unless
        somebody else waits for it.
        """
        deadline = time.monotonic() + seconds
        with self._condition:
            self._asked += 1
            asked = self._asked
        while not self._wait_a_little(deadline):
            if hangups.has_hung_up():
                return self._wait_without_client(asked)
            if time.monotonic() >= deadline:
                return False
        return True

    def _wait_a_little(self, deadline: float) -> bool:
        with self._condition:
            now = time.monotonic()
            until = min(deadline, now + _LOOK_SECONDS)
            while not self._is_visible_done():
                left = until - now
                if left <= 0:
                    return False
                hidden = self.hidden_until - now
                self._condition.wait(min(left, hidden) if hidden > 0 else left)
                now = time.monotonic()
            return True

    def _wait_without_client(self, asked: int) -> bool:
        """Stay until it is done or others ask for it, and end a query that nobody asks for."""
        abandoned = time.monotonic() + ABANDONED_SECONDS
        while not self._wait_a_little(math.inf):
            with self._condition:
                if self._asked != asked:
                    return False
            if time.monotonic() >= abandoned and self.session.runs_query(self):
                logger.debug("The client of operation %s is gone", self.handle.text)
                self.cancel()
        return True

    @property
    def state(self) -> int:
        """Its state as a client may see it."""
        with self._condition:
            if self._state in _DONE and not self._is_visible_done():
                return int(OperationState.RUNNING_STATE)
            return self._state

    def cancel(self, state: int = OperationState.CANCELED_STATE) -> None:
        """Stop it if it still runs; the engine's work on it ends."""
        if self._finish(state):
            self.session.stop(self)
        elif self._rows_lock.locked():
            self._stop_reading()

    def close(self) -> None:
        """Stop it, free its result and forget it."""
        self.cancel(OperationState.CLOSED_STATE)
        self.session.operations.pop(self.handle.guid, None)
        # Rows beyond those that were read ahead may take for ever.
        while not self._rows_lock.acquire(timeout=_FIRST_PAUSE):
            self._stop_reading()
        try:
            self._rows.close()
            self._ahead = None
            result, self._result = self._result, None
            files = self._files
        finally:
            self._rows_lock.release()
        if files is not None:
            files.close()
        if result is not None:
            result.close()

    def _stop_reading(self) -> None:
        result = self._result
        if result is not None:
            result.interrupt()

    # --- its result -----------------------------------------------------------------------------

    def metadata(self) -> ttypes.TGetResultSetMetadataResp:
        """Its schema; only when finished."""
        return self._encoder.metadata(links=self._files is not None)

    @property
    def was_read(self) -> bool:
        """Whether a page of its rows was taken."""
        with self._rows_lock:
            return self._rows.position > 0

    @property
    def has_links(self) -> bool:
        """Whether its rows are sent as links, which are good until it is closed; when finished."""
        return self._files is not None

    def fetch(
        self, max_rows: int, max_bytes: int, start: int | None = None
    ) -> tuple[ttypes.TRowSet, bool]:
        """The next page, and whether there is another one; only when finished.

        Args:
            max_rows: The most rows, except of links: a file has the rows that it has.
            max_bytes: The most bytes, unless one row, or one file, is more.
            start: Of links, the row from which on they are wanted, also again; ``None`` goes on
                where the last page ended.

        Raises:
            SqlError: A row that was not read ahead could not be computed.
        """
        with self._fetch_lock:
            if self._files is not None:
                return self._links(self._files, max_bytes, start)
            page = self._next_page((max_rows, max_bytes))
        return page.row_set, page.more

    def in_files(self) -> tuple[ResultFiles, bool]:
        """Its whole result as files, and whether it was cut; only of one that is kept in files.

        Raises:
            SqlError: A row that was not read ahead could not be computed.
        """
        with self._fetch_lock:
            files = self._files
            if files is None:
                raise RuntimeError("the result is not kept in files")
            while self._file(files, len(files)) is not None:
                continue
            with self._rows_lock:
                return files, self._rows.truncated

    def _links(
        self, files: ResultFiles, max_bytes: int, start: int | None
    ) -> tuple[ttypes.TRowSet, bool]:
        if start is not None:
            self._next_file = self._file_of(files, start)
        given: list[ResultFile] = []
        size = 0
        while len(given) < LINKS_PER_REPLY and (not given or size < max_bytes):
            file = self._file(files, self._next_file)
            if file is None or (given and size + file.size > max_bytes):
                break
            given.append(file)
            size += file.size
            self._next_file += 1
        with self._rows_lock:
            more = self._next_file < len(files) or self._rows.has_more()
            offset = given[0].start if given else self._rows.position
        links = [files.link(file) for file in given]
        return ttypes.TRowSet(startRowOffset=offset, rows=[], resultLinks=links), more

    def _file_of(self, files: ResultFiles, row: int) -> int:
        """The number of the file that has a row, or of the one after the last."""
        while (number := files.since(row)) is None:
            if self._file(files, len(files)) is None:
                return len(files)
        return number

    def _file(self, files: ResultFiles, number: int) -> ResultFile | None:
        """A file by its number, which is at most that of the next one; ``None`` after the last."""
        if number < len(files):
            return files[number]
        with self._rows_lock:
            offset = self._rows.position
            batches = self._rows.take(_ALL_ROWS, FILE_BYTES)
        return files.add(batches, offset) if batches else None

    def _next_page(self, size: tuple[int, int]) -> _Page:
        with self._rows_lock:
            ahead, self._ahead = self._ahead, None
        if ahead is None:
            page = self._take(size)
        elif ahead.size == size:
            page = ahead.page.result()
        else:
            # Waited for before the lock is taken: whoever encodes the page ahead needs it too.
            unwanted = ahead.page.result().batches
            with self._rows_lock:
                self._rows.put_back(unwanted)
            page = self._take(size)
        if page.more and self._executor is not None:
            with self._rows_lock:
                self._ahead = _Ahead(size, self._executor.submit(self._take, size))
        return page

    def _take(self, size: tuple[int, int]) -> _Page:
        with self._rows_lock:
            offset = self._rows.position
            batches = self._rows.take(*size)
            more = self._rows.has_more()
        return _Page(batches, self._encoder.row_set(batches, offset), more)

    def _note_end(self, failure: str | None) -> None:
        """Tell the query history, before anybody else."""
        if self.entry is None or self.entry.ended is not None:
            return
        with self._condition:
            finished = self._state == OperationState.FINISHED_STATE
            cancelled = self._state in (OperationState.CANCELED_STATE, OperationState.CLOSED_STATE)
        # What has written, has: also where somebody cancelled it in the last moment.
        if finished or self._has_written:
            self.entry.end(history.FINISHED, rows=self._row_count)
        else:
            status = history.CANCELED if cancelled else history.FAILED
            self.entry.end(status, error=failure)

    def _compute(self) -> None:
        if self.entry is not None:
            self.entry.running()
        result = self._run()
        self._has_written = result.statement_kind in _WRITES
        limits = self._limits
        rows = ResultRows(result.batches, limits.rows, limits.bytes, tells=limits.tells)
        try:
            rows.read_ahead(READ_AHEAD_BYTES)
            _check_size(rows, self._limits.most_bytes)
        except BaseException:
            result.close()
            raise
        self._row_count = rows.count
        if self._has_written:
            self._note_end(None)
        self._encoder = Encoder(
            result.columns,
            self._form,
            empty_schema=_has_no_result(result),
            staging=result.staging is not None,
        )
        self.num_modified_rows = result.num_modified_rows
        self.is_transfer = result.staging is not None
        self.columns = [] if _has_no_result(result) else list(result.columns)
        with self._rows_lock:
            self._rows, self._result = rows, result
            # What asks for a transfer is one row with a secret, and is no result to be downloaded.
            self._files = None if self.is_transfer else self._files_for(rows)
        if not self._finish(OperationState.FINISHED_STATE):
            # Canceled or closed in the last moment: nobody will fetch it.
            with self._rows_lock:
                self._rows.close()
            if self._files is not None:
                self._files.close()
            result.close()

    def _files_for(self, rows: ResultRows) -> ResultFiles | None:
        cloud_fetch = self._cloud_fetch
        if cloud_fetch is None:
            return None
        above = cloud_fetch.above
        if not self._in_files and (above is None or rows.waiting_bytes <= above):
            return None
        return cloud_fetch.store.open(
            self.session.handle.guid.hex(),
            self.handle.guid.hex(),
            None if self.entry is None else self.entry.text,
            self._encoder,
        )

    # --- states ---------------------------------------------------------------------------------

    def _advance(self, state: int) -> bool:
        with self._condition:
            if self._state in _DONE:
                return False
            self._state = state
            return True

    def _finish(self, state: int) -> bool:
        with self._condition:
            if self._state in _DONE:
                if state == OperationState.CLOSED_STATE:
                    self._state = state
                return False
            self._state = state
            self.completed = time.time()
            if state == OperationState.FINISHED_STATE:
                # The client may close it at once, and what is closed looks as if it was cancelled.
                self._note_end(None)
            self._tell(state == OperationState.FINISHED_STATE)
            self._condition.notify_all()
            return True

    def _fail(self, error: SqlError) -> None:
        self._note_end(str(error))
        with self._condition:
            if self._state not in _DONE:
                self.error = error
        self._finish(OperationState.ERROR_STATE)

    def _tell(self, succeeded: bool) -> None:
        if self.on_done is not None:
            self.on_done(succeeded)

    def _was_stopped(self) -> bool:
        with self._condition:
            return self._state in _DONE

    def _is_visible_done(self) -> bool:
        return self._state in _DONE and time.monotonic() >= self.hidden_until

    def _start_timer(self) -> threading.Timer | None:
        if self._timeout is None:
            return None
        seconds = min(self._timeout, threading.TIMEOUT_MAX)
        timer = threading.Timer(seconds, self.cancel, args=(OperationState.TIMEDOUT_STATE,))
        timer.daemon = True
        timer.start()
        return timer


@dataclass(frozen=True)
class _Page:
    batches: list[pa.RecordBatch]
    row_set: ttypes.TRowSet
    more: bool


@dataclass(frozen=True)
class _Ahead:
    size: tuple[int, int]
    page: Future[_Page]


def _check_size(rows: ResultRows, most: int | None) -> None:
    if most is not None and rows.waiting_bytes > most:
        raise SqlError(
            "BAD_REQUEST",
            "54000",
            f"Inline byte limit exceeded: a result that is sent inline has at most {most} bytes. "
            "Ask for it with the disposition EXTERNAL_LINKS, or limit it with row_limit or "
            "byte_limit.",
        )


def _done() -> Result:
    raise RuntimeError("an operation runs once")


_ALL_ROWS = 2**62
_WRITES = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE", "COPY", "DDL", "TRANSACTION"})
_WITH_RESULT = frozenset(
    {"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "COPY", "SHOW", "DESCRIBE", "STAGING"}
)
NO_RESULT_COLUMN = "Result"


def _has_no_result(result: Result) -> bool:
    columns: list[Column] = result.columns
    return (
        result.statement_kind not in _WITH_RESULT
        and len(columns) == 1
        and columns[0].name == NO_RESULT_COLUMN
    )
