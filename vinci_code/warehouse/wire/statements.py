"""Sessions and their statements, whatever protocol brings them.

Thrift and the statement execution API answer in different shapes; what a session is, how a
statement is started, what the query history keeps of it and what the request log says, is here,
once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

from databricks.sql.thrift_api.TCLIService import ttypes

from vinci_code.warehouse.engine import query_tags
from vinci_code.warehouse.engine.query_tags import QueryTags
from vinci_code.warehouse.engine.result import Result
from vinci_code.warehouse.sql.parameters import Parameter
from vinci_code.warehouse.wire.history import HistoryEntry, QueryHistory
from vinci_code.warehouse.wire.operations import (
    ClientSession,
    CloudFetch,
    EngineSessionLike,
    Limits,
    Operation,
)
from vinci_code.warehouse.wire.recording import RequestLog, RequestRecord
from vinci_code.warehouse.wire.results import ResultFormat

_TAGS = "QUERY_TAGS"

# Settings of the Thrift server itself, which the driver always sends and the engine has no use for.
_SERVER_SETTINGS = ("spark.thriftserver.",)


class ClosingError(Exception):
    """No session can be opened any more: the warehouse is shutting down."""

    def __init__(self) -> None:
        super().__init__("The local warehouse is shutting down.")


@dataclass(frozen=True)
class Order:
    """A statement that is to be run.

    Attributes:
        text: The statement.
        form: How its rows are to be sent.
        parameters: Its parameters, in order.
        limits: What its result is cut to.
        timeout: Seconds after which it is stopped; ``None`` lets it run.
        tags: Its query tags.
        client: The program that sent it, by its ``User-Agent``.
        shown_from: From when on the query history shows it, in seconds since the epoch.
        hidden_until: Until when, on the monotonic clock, it is reported as running.
        in_files: Whether its whole result is kept as files, whatever its size.
    """

    text: str
    form: ResultFormat
    parameters: Sequence[Parameter] = field(default=(), repr=False)
    limits: Limits = field(default_factory=Limits)
    timeout: float | None = None
    tags: QueryTags = field(default_factory=dict)
    client: str = ""
    shown_from: float = 0.0
    hidden_until: float = 0.0
    in_files: bool = False


class StatementService:
    """Keeps the sessions of all clients, and runs their statements.

    Args:
        open_session: Opens a session of the engine: ``(catalog, schema, configuration, user)``.
        executor: Runs the statements.
        log: Masks credentials in what is written on the records.
        history: Keeps an entry of every statement.
        transfers: Turns the result of PUT, GET or REMOVE into the row that the client reads.
        cloud_fetch: Which results are sent as links; ``None`` for none.
    """

    def __init__(
        self,
        open_session: Callable[[str | None, str | None, dict[str, str], str], EngineSessionLike],
        executor: Executor,
        log: RequestLog,
        history: QueryHistory,
        transfers: Callable[[Result], Result],
        cloud_fetch: CloudFetch,
    ) -> None:
        self._open_session = open_session
        self._executor = executor
        self._log = log
        self._history = history
        self._transfers = transfers
        self._cloud_fetch = cloud_fetch
        self._lock = threading.Lock()
        self._sessions: dict[bytes, ClientSession] = {}
        self._closed = False

    @property
    def session_count(self) -> int:
        """How many sessions are open."""
        with self._lock:
            return len(self._sessions)

    @property
    def links_above(self) -> float | None:
        """From how many bytes on a result is sent as links; ``None`` for never."""
        return self._cloud_fetch.above

    def close(self) -> None:
        """End every session, with the statements that run on them, and open no more."""
        with self._lock:
            self._closed = True
            sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            session.close()

    # --- sessions -------------------------------------------------------------------------------

    def open(
        self,
        catalog: str | None,
        schema: str | None,
        configuration: Mapping[str, str],
        user: str,
    ) -> ClientSession:
        """Open a session of a user; names are taken in lower case, as real servers take them.

        Raises:
            SqlError: A parameter of the configuration cannot be taken.
            ClosingError: The warehouse is shutting down.
        """
        kept = {
            key: value
            for key, value in configuration.items()
            if not key.lower().startswith(_SERVER_SETTINGS)
        }
        session = ClientSession(self._open_session(_lower(catalog), _lower(schema), kept, user))
        with self._lock:
            refused = self._closed
            if not refused:
                self._sessions[session.handle.guid] = session
        if refused:
            session.close()
            raise ClosingError
        return session

    def find(self, guid: bytes | None) -> ClientSession | None:
        """An open session by its id."""
        with self._lock:
            return None if guid is None else self._sessions.get(guid)

    def holder(self, operation: bytes | None) -> ClientSession | None:
        """The session that has an operation of this id."""
        with self._lock:
            for session in self._sessions.values():
                if operation in session.operations:
                    return session
        return None

    def end(self, session: ClientSession) -> None:
        """Close a session and forget it."""
        with self._lock:
            self._sessions.pop(session.handle.guid, None)
        session.close()

    # --- statements -----------------------------------------------------------------------------

    def run(
        self,
        session: ClientSession,
        order: Order,
        record: RequestRecord,
        work: Callable[[], Result] | None = None,
    ) -> Operation:
        """Start a statement, and note on the record how it ends; ``work`` may replace it."""

        def execute() -> Result:
            return self._transfers(session.engine.execute(order.text, order.parameters))

        operation = Operation(
            session,
            ttypes.TOperationType.EXECUTE_STATEMENT,
            order.form,
            work or execute,
            limits=order.limits,
            timeout=order.timeout,
            cloud_fetch=self._cloud_fetch,
            in_files=order.in_files,
        )
        operation.hidden_until = order.hidden_until
        record.executed = None
        record.operation_id = operation.handle.text

        def note(succeeded: bool) -> None:
            record.executed = succeeded

        operation.on_done = note
        operation.entry = self._entry(session, operation, order)
        operation.start(self._executor)
        return operation

    def start(self, operation: Operation) -> None:
        """Start an operation that is no statement."""
        operation.start(self._executor)

    def _entry(self, session: ClientSession, operation: Operation, order: Order) -> HistoryEntry:
        """Begin the statement's entry of the query history."""
        # Those of the statement are added to its session's, as SET QUERY_TAGS adds to them; what a
        # real warehouse does with a key that both have is not documented.
        tags = query_tags.parse(self._log.scrub(session.engine.configuration.get(_TAGS, "")))
        entry = HistoryEntry(
            operation.handle.text,
            self._log.scrub(order.text),
            tags | order.tags,
            session.handle.text,
            session.engine.user,
            self._log.scrub(order.client),
            order.shown_from,
        )
        self._history.begin(entry)
        return entry


def _lower(name: str | None) -> str | None:
    return name.lower() if name else None
