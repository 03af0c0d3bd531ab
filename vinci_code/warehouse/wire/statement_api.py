"""The statement execution API: statements over JSON, for the SDK, and drivers that speak it.

``/api/2.0/sql/statements`` as
https://docs.databricks.com/api/workspace/statementexecution documents it, and
``/api/2.0/sql/sessions``, which databricks-jdbc, databricks-sql-kernel and the SEA backend of
databricks-sql-connector use; the shapes are those of the traffic recorded in databricks-jdbc
(``src/test/resources/sqlexecapi``). Sessions, statements, faults and records are the same as those
of Thrift, and each request has in the log the name of the Thrift call that does the same.

A result is kept until its statement or session is closed, as long as the API says (an hour), or
until as many others came after it as the warehouse keeps.
"""

from __future__ import annotations

import base64
import re
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from vinci_code.warehouse.engine.result import Column, Result
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.wire import parameters, statement_request, users
from vinci_code.warehouse.wire.operations import (
    ClientSession,
    Limits,
    Operation,
    OperationState,
)
from vinci_code.warehouse.wire.recording import RequestLog, RequestRecord
from vinci_code.warehouse.wire.rest import error_answer, json_answer
from vinci_code.warehouse.wire.result_files import (
    FileStore,
    NoSuchFileError,
    ResultFile,
    ResultFiles,
)
from vinci_code.warehouse.wire.results import ResultFormat, api_type
from vinci_code.warehouse.wire.server import HttpAnswer, Request
from vinci_code.warehouse.wire.statement_request import (
    ARROW_STREAM,
    EITHER,
    INLINE,
    LINKS,
    LZ4_FRAME,
    ApiError,
    StatementRequest,
)
from vinci_code.warehouse.wire.statements import ClosingError, Order, StatementService

INLINE_BYTES = 25 * 1024 * 1024
"""The most bytes of a result that is sent inline, says the reference."""

KEPT_SECONDS = 3600.0
"""How long a result can be fetched after its statement has ended, says the reference."""

KEPT_STATEMENTS = 1000
"""How many statements that have ended are kept at most."""

_PATH = re.compile(
    r"/api/2\.0/sql/(?P<kind>statements|sessions)"
    r"(?:/(?P<id>[^/]+)(?P<rest>/cancel|/result/chunks/(?P<chunk>[^/]+))?)?/?"
)
# Since its version 3.4, databricks-jdbc asks for sessions and their statements below the warehouse.
_PATH_OF_WAREHOUSE = re.compile(
    r"/api/2\.0/sql/warehouses/(?P<warehouse>[^/]+)/sessions"
    r"(?:/(?P<session>[^/]+)(?P<statements>/statements"
    r"(?:/(?P<id>[^/]+)(?P<rest>/cancel|/result/chunks/(?P<chunk>[^/]+))?)?)?)?/?"
)
# The Thrift call that does the same, by what is asked for.
_CALLS = {
    ("POST", "sessions", False, ""): "OpenSession",
    ("DELETE", "sessions", True, ""): "CloseSession",
    ("POST", "statements", False, ""): "ExecuteStatement",
    ("GET", "statements", True, ""): "GetOperationStatus",
    ("DELETE", "statements", True, ""): "CloseOperation",
    ("POST", "statements", True, "cancel"): "CancelOperation",
    ("GET", "statements", True, "chunk"): "FetchResults",
}
_STATES = {
    OperationState.INITIALIZED_STATE: "PENDING",
    OperationState.PENDING_STATE: "PENDING",
    OperationState.RUNNING_STATE: "RUNNING",
    OperationState.FINISHED_STATE: "SUCCEEDED",
    OperationState.ERROR_STATE: "FAILED",
    OperationState.CANCELED_STATE: "CANCELED",
    OperationState.TIMEDOUT_STATE: "CANCELED",
    OperationState.CLOSED_STATE: "CLOSED",
}


@dataclass
class ApiCall:
    """One request of the API.

    Attributes:
        name: The Thrift call that does the same.
        request: The HTTP request.
        identifier: The id of the statement or session that it names.
        chunk: The number of the chunk that it names.
        body: Its fields, once read.
        named: The fields that its path has.
        operation: The operation that it started or named, once known.
        hidden_until: Until when a statement that it starts is reported as running.
        client: The program that sent it, by its ``User-Agent``.
        shown_from: From when on the query history shows it.
    """

    name: str
    request: Request
    identifier: str | None
    chunk: str | None
    body: dict[str, Any] = field(default_factory=dict, repr=False)
    named: dict[str, str] = field(default_factory=dict)
    operation: Operation | None = None
    hidden_until: float = 0.0
    client: str = ""
    shown_from: float = 0.0

    @property
    def statement(self) -> str | None:
        """The SQL text, where it brings one."""
        text = self.body.get("statement")
        return text if isinstance(text, str) else None


def call_of(request: Request) -> ApiCall | None:
    """The call that a request is; ``None`` where the API has no such one."""
    match = _PATH.fullmatch(request.path)
    if match is not None:
        return _call(request, match, match["kind"], match["id"])
    match = _PATH_OF_WAREHOUSE.fullmatch(request.path)
    if match is None:
        return None
    if match["statements"] is None:
        call = _call(request, match, "sessions", match["session"])
    else:
        call = _call(request, match, "statements", match["id"])
    if call is not None:
        call.named = {"warehouse_id": match["warehouse"]}
        if match["statements"] is not None:
            call.named["session_id"] = match["session"]
    return call


def _call(
    request: Request, match: re.Match[str], kind: str, identifier: str | None
) -> ApiCall | None:
    is_rest = kind == "statements" and match["rest"]
    rest = "" if not is_rest else "chunk" if match["chunk"] else "cancel"
    name = _CALLS.get((request.method, kind, identifier is not None, rest))
    return None if name is None else ApiCall(name, request, identifier, match["chunk"])


@dataclass(eq=False)
class _Kept:
    """A statement whose result can be asked for."""

    operation: Operation
    request: StatementRequest
    session: ClientSession
    is_alone: bool
    ended: float | None = None
    files: ResultFiles | None = None
    truncated: bool = False
    failure: SqlError | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held by whoever sees first that it has ended, until its files are there."""


class StatementApi:
    """Answers the requests of the API.

    Args:
        statements: Keeps the sessions and runs the statements.
        store: Where the links to files come from.
        log: Masks credentials in what is written on the records.
        warehouse_id: The one warehouse that there is.
    """

    def __init__(
        self, statements: StatementService, store: FileStore, log: RequestLog, warehouse_id: str
    ) -> None:
        self._statements = statements
        self._store = store
        self._log = log
        self._warehouse_id = warehouse_id
        self._lock = threading.Lock()
        self._kept: dict[bytes, _Kept] = {}

    # --- what surrounds the calls ---------------------------------------------------------------

    def describe(self, call: ApiCall, record: RequestRecord) -> None:
        """Read the body, and write on the record what the call is about.

        Raises:
            ApiError: The body is no JSON object.
        """
        call.body = statement_request.read_body(call.request.body)
        for name, value in call.named.items():
            if call.body.setdefault(name, value) != value:
                raise ApiError(
                    400, "INVALID_PARAMETER_VALUE", f"Path and body name another {name}."
                )
        session = call.identifier if call.name == "CloseSession" else call.body.get("session_id")
        record.session_id = session if isinstance(session, str) else None
        if call.name == "OpenSession":
            given = call.body.get("session_confs")
            pairs = given.items() if isinstance(given, dict) else ()
            record.configuration = {key: self._log.scrub(str(value)) for key, value in pairs}
        elif call.name == "ExecuteStatement":
            record.executed = False
            record.statement = self._log.scrub(call.statement or "")
        elif call.name != "CloseSession":
            record.operation_id = call.identifier

    def serve(self, call: ApiCall, record: RequestRecord) -> HttpAnswer:
        """Answer a call, and complete the request's record."""
        try:
            return _HANDLERS[call.name](self, call, record)
        except ApiError as error:
            record.error = error.message
            return error_answer(error.status, error.code, error.message)
        except NoSuchFileError:
            record.error = "The result is gone: it was closed, or its session has ended."
            return error_answer(404, "NOT_FOUND", record.error)
        except ClosingError as error:
            record.error = str(error)
            return error_answer(503, "TEMPORARILY_UNAVAILABLE", str(error))
        except SqlError as error:
            record.error = str(error)
            return error_answer(400, "INVALID_PARAMETER_VALUE", str(error))

    def fail_statement(self, call: ApiCall, record: RequestRecord, error: SqlError) -> HttpAnswer:
        """Answer a statement as if it had failed, without running it."""

        def run() -> Result:
            raise error

        try:
            return self._run(call, record, run)
        except ApiError as refused:
            return error_answer(refused.status, refused.code, refused.message)

    def lose_session(self, call: ApiCall) -> HttpAnswer:
        """Forget the call's session, as a restarted server has."""
        text = call.body.get("session_id") or call.identifier
        session = self._statements.find(_guid(text))
        if session is not None:
            self._statements.end(session)
        return error_answer(404, "RESOURCE_DOES_NOT_EXIST", _no_session(str(text)).message)

    # --- sessions -------------------------------------------------------------------------------

    def _open_session(self, call: ApiCall, record: RequestRecord) -> HttpAnswer:
        request = statement_request.session_request(call.body)
        self._check_warehouse(request.warehouse_id)
        session = self._statements.open(
            request.catalog, request.schema, request.configuration, call.request.user
        )
        record.session_id = session.handle.text
        return json_answer({"session_id": session.handle.text})

    def _close_session(self, call: ApiCall, _record: RequestRecord) -> HttpAnswer:
        session = self._session(call.identifier or "", call)
        with self._lock:
            for guid in [guid for guid, kept in self._kept.items() if kept.session is session]:
                del self._kept[guid]
        self._statements.end(session)
        return json_answer({})

    def _session(self, text: str, call: ApiCall) -> ClientSession:
        session = self._statements.find(_guid(text))
        if session is None or session.closed:
            raise _no_session(text)
        _require_own(call, session, "session")
        return session

    def _check_warehouse(self, identifier: str) -> None:
        if not identifier:
            raise ApiError(
                400, "INVALID_PARAMETER_VALUE", "Invalid request: warehouse_id is required."
            )
        if identifier != self._warehouse_id:
            raise ApiError(
                404,
                "RESOURCE_DOES_NOT_EXIST",
                f"SQL warehouse {identifier[:100]!a} does not exist.",
            )

    # --- statements -----------------------------------------------------------------------------

    def _execute(self, call: ApiCall, record: RequestRecord) -> HttpAnswer:
        return self._run(call, record, None)

    def _run(
        self, call: ApiCall, record: RequestRecord, work: Callable[[], Result] | None
    ) -> HttpAnswer:
        request = statement_request.statement_request(call.body)
        record.parameters = self._log.scrub_parameters(parameters.plain(request.parameters))
        self._check_warehouse(request.warehouse_id)
        self._forget_old()
        if request.session_id is not None:
            session = self._session(request.session_id, call)
        else:
            session = self._statements.open(request.catalog, request.schema, {}, call.request.user)
        record.session_id = session.handle.text
        order = self._order(request, session, call)
        operation = call.operation = self._statements.run(session, order, record, work)
        kept = _Kept(operation, request, session, request.session_id is None)
        with self._lock:
            self._kept[operation.handle.guid] = kept
        if not operation.wait(request.wait) and request.cancels:
            operation.cancel()
        return self._answer(kept, record)

    def _order(self, request: StatementRequest, session: ClientSession, call: ApiCall) -> Order:
        arrow = request.format == ARROW_STREAM
        most = INLINE_BYTES if request.disposition == INLINE else None
        limits = Limits(request.row_limit, request.byte_limit, most, tells=True)
        form = ResultFormat(
            lz4=request.lz4,
            download=True,
            text=None if arrow else request.format,
            zone=session.engine.configuration.get("TIMEZONE", "Etc/UTC"),
        )
        return Order(
            request.text,
            form,
            request.parameters,
            limits,
            tags={
                self._log.scrub(key): None if value is None else self._log.scrub(value)
                for key, value in request.tags.items()
            },
            client=call.client,
            shown_from=call.shown_from,
            hidden_until=call.hidden_until,
            in_files=True,
        )

    def _poll(self, call: ApiCall, record: RequestRecord) -> HttpAnswer:
        kept = self._find(call)
        return self._answer(kept, record)

    def _cancel(self, call: ApiCall, _record: RequestRecord) -> HttpAnswer:
        self._find(call).operation.cancel()
        return json_answer({})

    def _close(self, call: ApiCall, _record: RequestRecord) -> HttpAnswer:
        kept = self._find(call)
        with self._lock:
            self._kept.pop(kept.operation.handle.guid, None)
        self._discard(kept)
        return json_answer({})

    def _chunk(self, call: ApiCall, record: RequestRecord) -> HttpAnswer:
        kept = self._find(call)
        text = call.chunk or ""
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise ApiError(
                400, "INVALID_PARAMETER_VALUE", "The chunk index must be a whole number."
            )
        state = self._settle(kept)
        if state != "SUCCEEDED":
            raise ApiError(
                404,
                "NOT_FOUND",
                f"The statement {kept.operation.handle.text} has no result: it is {state}.",
            )
        count = 0 if kept.files is None else len(kept.files)
        if int(text) >= count:
            raise ApiError(
                404,
                "NOT_FOUND",
                f"There is no chunk {int(text)}: the result of the statement "
                f"{kept.operation.handle.text} has {count} chunks.",
            )
        return json_answer(self._part(kept, int(text)))

    def _find(self, call: ApiCall) -> _Kept:
        with self._lock:
            kept = self._kept.get(_guid(call.identifier) or b"")
        if kept is None:
            raise ApiError(
                404,
                "RESOURCE_DOES_NOT_EXIST",
                f"The statement {(call.identifier or '')[:100]} was not found: there was none, it "
                "was closed, or its result is no longer kept.",
            )
        _require_own(call, kept.session, "statement")
        call.operation = kept.operation
        return kept

    def _forget_old(self) -> None:
        """Make room: what has ended long ago, and the oldest of too many."""
        with self._lock:
            running = [kept for kept in self._kept.values() if kept.ended is None]
        for kept in running:
            self._settle(kept)  # nobody may have asked for it since it has ended
        now = time.monotonic()
        with self._lock:
            ended = [
                (kept.ended, guid) for guid, kept in self._kept.items() if kept.ended is not None
            ]
            late = [guid for end, guid in ended if now - end > KEPT_SECONDS]
            many = [guid for _, guid in sorted(ended)[: max(0, len(ended) - KEPT_STATEMENTS)]]
            gone = [self._kept.pop(guid) for guid in {*late, *many}]
        for kept in gone:
            self._discard(kept)

    def _discard(self, kept: _Kept) -> None:
        kept.operation.close()
        if kept.is_alone:
            self._statements.end(kept.session)

    # --- answers --------------------------------------------------------------------------------

    def _settle(self, kept: _Kept) -> str:
        """The state of a statement; what has ended needs its session no longer, if it was alone."""
        operation = kept.operation
        state = _STATES[operation.state]
        if state in ("PENDING", "RUNNING"):
            return state
        with kept.lock:
            if kept.ended is None:
                self._take_over(kept, state)
                kept.ended = time.monotonic()
        return "FAILED" if kept.failure is not None else state

    def _take_over(self, kept: _Kept, state: str) -> None:
        """Keep the result of a statement that has ended, and let its session go."""
        operation = kept.operation
        if state == "SUCCEEDED" and operation.is_transfer:
            kept.failure = unsupported("PUT, GET and REMOVE over the statement execution API")
        elif state == "SUCCEEDED":
            self._read_all(kept)
        if kept.is_alone:
            kept.session.operations.pop(operation.handle.guid, None)
            self._statements.end(kept.session)

    def _read_all(self, kept: _Kept) -> None:
        try:
            kept.files, kept.truncated = kept.operation.in_files()
        except SqlError as error:
            kept.failure = error

    def _answer(self, kept: _Kept, record: RequestRecord) -> HttpAnswer:
        state = self._settle(kept)
        operation = kept.operation
        status: dict[str, Any] = {"state": state}
        answer: dict[str, Any] = {"statement_id": operation.handle.text, "status": status}
        error = kept.failure or operation.error
        if state == "FAILED" and error is not None:
            record.error = str(error)
            code = "INTERNAL_ERROR" if error.error_class == "INTERNAL_ERROR" else "BAD_REQUEST"
            status["error"] = {"error_code": code, "message": str(error)}
            status["sql_state"] = error.sqlstate
        if state == "SUCCEEDED":
            if operation.num_modified_rows is not None:
                status["num_modified_rows"] = operation.num_modified_rows
            answer["manifest"] = self._manifest(kept)
            answer["result"] = (
                self._part(kept, 0) if kept.files is not None and len(kept.files) else {}
            )
        return json_answer(answer)

    def _manifest(self, kept: _Kept) -> dict[str, Any]:
        columns, files = kept.operation.columns, kept.files
        schema: dict[str, Any] = {"column_count": len(columns)}
        if columns:
            schema["columns"] = [_column(column, place) for place, column in enumerate(columns)]
        chunks = [] if files is None else [files[number] for number in range(len(files))]
        manifest: dict[str, Any] = {
            "format": kept.request.format,
            "schema": schema,
            "total_chunk_count": len(chunks),
            "total_row_count": sum(chunk.rows for chunk in chunks),
            "total_byte_count": sum(chunk.size for chunk in chunks),
            "truncated": kept.truncated,
        }
        if chunks:
            manifest["chunks"] = [_place(chunk) | {"byte_count": chunk.size} for chunk in chunks]
        if kept.request.lz4:
            manifest["result_compression"] = LZ4_FRAME
        return manifest

    def _part(self, kept: _Kept, number: int) -> dict[str, Any]:
        """A chunk of a result, inline or as a link."""
        files = kept.files
        if files is None:
            return {}
        chunk = files[number]
        part: dict[str, Any] = dict(_place(chunk))
        if number + 1 < len(files):
            part["next_chunk_index"] = number + 1
            part["next_chunk_internal_link"] = (
                f"/api/2.0/sql/statements/{kept.operation.handle.text}/result/chunks/{number + 1}"
                f"?row_offset={chunk.start + chunk.rows}"
            )
        if self._is_linked(kept, files):
            link = files.link(chunk)
            until = datetime.fromtimestamp(link.expiryTime / 1000, timezone.utc)
            part["byte_count"] = chunk.size
            part["external_link"] = link.fileLink
            part["expiration"] = until.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
            return {"external_links": [part]}
        if kept.request.format == ARROW_STREAM:
            content = files.content(number)
            part["byte_count"] = len(content)
            part["attachment"] = base64.b64encode(content).decode()
        else:
            part["data_array"] = files.text_rows(number)
        return part

    def _is_linked(self, kept: _Kept, files: ResultFiles) -> bool:
        if kept.request.disposition != EITHER:
            return kept.request.disposition == LINKS
        above = self._statements.links_above
        size = sum(files[number].size for number in range(len(files)))
        return len(files) > 1 or (above is not None and size > above)


_HANDLERS: dict[str, Callable[[StatementApi, ApiCall, RequestRecord], HttpAnswer]] = {
    "OpenSession": StatementApi._open_session,
    "CloseSession": StatementApi._close_session,
    "ExecuteStatement": StatementApi._execute,
    "GetOperationStatus": StatementApi._poll,
    "CancelOperation": StatementApi._cancel,
    "CloseOperation": StatementApi._close,
    "FetchResults": StatementApi._chunk,
}


def _place(chunk: ResultFile) -> dict[str, int]:
    return {"chunk_index": chunk.number, "row_offset": chunk.start, "row_count": chunk.rows}


def _column(column: Column, position: int) -> dict[str, object]:
    return {"name": column.name, **api_type(column.type), "position": position}


def _guid(text: object) -> bytes | None:
    try:
        return uuid.UUID(text).bytes if isinstance(text, str) else None
    except ValueError:
        return None


def _require_own(call: ApiCall, session: ClientSession, kind: str) -> None:
    if call.request.user != session.user:
        raise ApiError(403, "PERMISSION_DENIED", users.not_yours(kind))


def _no_session(text: str) -> ApiError:
    return ApiError(
        404,
        "RESOURCE_DOES_NOT_EXIST",
        f"The session {text[:100]} was not found: there was none, or it has ended.",
    )
