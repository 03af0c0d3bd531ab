"""The way of every request: recorded, authenticated, hit by a fault or not, and answered."""

from __future__ import annotations

import logging
import math
import re
import threading
import time
import uuid
from collections.abc import Callable
from email.message import Message

from vinci_code.warehouse import faults
from vinci_code.warehouse.faults import Fault, FaultScript
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.wire import messages, rest, staging, statement_api
from vinci_code.warehouse.wire.messages import ThriftCall
from vinci_code.warehouse.wire.presigned import LinkError
from vinci_code.warehouse.wire.recording import RequestLog, RequestRecord
from vinci_code.warehouse.wire.rest import AcceptedCredentials, Refusal, Rest, WarehouseState
from vinci_code.warehouse.wire.result_files import FileStore, NoSuchFileError, ResultFiles
from vinci_code.warehouse.wire.server import HttpAnswer, Request
from vinci_code.warehouse.wire.staging import Staging
from vinci_code.warehouse.wire.statement_api import ApiCall, StatementApi
from vinci_code.warehouse.wire.statement_request import ApiError
from vinci_code.warehouse.wire.thrift_service import BadRequestError, ThriftService

_THRIFT_PATH = re.compile(r"/sql/1\.0/(?:warehouses|endpoints)/([^/]+)")
_THRIFT_HEADERS = {"Content-Type": "application/x-thrift"}
_FILES_PATH = "/result-files/"
_FILE_HEADERS = {"Content-Type": "application/octet-stream"}

# What another protocol than Thrift cannot meet.
_OF_THRIFT = frozenset({faults.PROTOCOL_UNSUPPORTED})

_EXECUTION_WAIT_SECONDS = 600.0

logger = logging.getLogger(__name__)


class Gateway:
    """Decides who answers a request, and what happens to it on the way.

    Args:
        service: Answers Thrift calls.
        api: Answers the requests of the statement execution API.
        endpoints: Answers the other requests.
        transfers: Answers what URLs of PUT, GET and REMOVE ask for.
        credentials: The tokens.
        state: Whether the warehouse runs.
        script: The faults to come.
        log: The request log.
        warehouse_id: The id in the warehouse's HTTP path.
        latency: Seconds that every request waits, as a network between would make it.
        files: Answers the links to files of large results.
    """

    def __init__(
        self,
        service: ThriftService,
        api: StatementApi,
        endpoints: Rest,
        transfers: Staging,
        credentials: AcceptedCredentials,
        state: WarehouseState,
        script: FaultScript,
        log: RequestLog,
        warehouse_id: str,
        latency: float = 0.0,
        files: FileStore | None = None,
    ) -> None:
        self._service = service
        self._statement_api = api
        self._endpoints = endpoints
        self._transfers = transfers
        self._credentials = credentials
        self._state = state
        self._script = script
        self._log = log
        self._warehouse_id = warehouse_id
        self._latency = latency
        self._files = FileStore() if files is None else files
        self._closing = threading.Event()

    def close(self) -> None:
        """End every wait, so that the requests that are under way come to their end."""
        self._closing.set()

    def __call__(self, request: Request) -> HttpAnswer:
        """Answer one request."""
        arrived = time.perf_counter()
        call = statement_api.call_of(request)
        record = self._log.open(
            _operation_of(request, call), request.method, request.path, len(request.body)
        )
        if self._latency:
            self._closing.wait(self._latency)
        try:
            answer = self._answer(request, call, record)
        except Exception as error:
            # The server's outermost boundary: whatever a request brings to light, its connection
            # gets an answer and the others go on.
            logger.exception("A request failed inside the warehouse")
            record.error = f"{type(error).__name__}: {error}"
            answer = rest.error_answer(500, "INTERNAL_ERROR", "The local warehouse failed.")
        if request.stream is not None:
            record.bytes_in = request.stream.received
        reset = answer.cut == "before"
        self._log.finish(
            record,
            lambda: time.perf_counter() - arrived,
            None if reset else answer.status,
            answer.sent,
        )
        return answer

    def _answer(self, request: Request, call: ApiCall | None, record: RequestRecord) -> HttpAnswer:
        match = _THRIFT_PATH.fullmatch(request.path)
        if match:
            return self._thrift(request, record, match.group(1))
        if call is not None:
            return self._api(call, request, record)
        if request.path.startswith(_FILES_PATH):
            return self._file(request, record)
        if staging.is_staging(request.path):
            refusal = self._transfers.check(request)
            return refusal or self._beside(request, record, self._transfers.answer)
        refusal = self._authenticate(request, record)
        return refusal or self._beside(request, record, self._endpoints.answer)

    def _authenticate(self, request: Request, record: RequestRecord) -> HttpAnswer | None:
        refusal = self._endpoints.authenticate(request)
        record.user = request.user or None
        return refusal

    # --- beside the statements --------------------------------------------------------------------

    def _beside(
        self, request: Request, record: RequestRecord, answer: Callable[[Request], HttpAnswer]
    ) -> HttpAnswer:
        """Answer a request beside the statements' protocol, unless a fault that names it does."""
        fault = self._script.draw(record.operation, None, by_name_only=True)
        if fault is None:
            return answer(request)
        record.fault = fault.name
        if fault.kind == faults.HTTP and not fault.executed:
            return _rest_refusal(fault)
        early = self._refuse_by(fault, request)
        return early or self._spoil(fault, None, answer(request))

    # --- files of results -----------------------------------------------------------------------

    def _file(self, request: Request, record: RequestRecord) -> HttpAnswer:
        """Answer a link, which needs no token: the client sends none to a cloud's storage."""
        try:
            files, number = self._files.find(request.method, request.path, request.query)
            record.session_id = str(uuid.UUID(files.session))
            record.operation_id = str(uuid.UUID(files.statement))
            fault = self._script.draw(faults.RESULT_FILE, files.text, by_name_only=True)
            if fault is not None:
                record.fault = fault.name
                return self._spoiled_file(fault, files, number)
            return HttpAnswer(200, headers=dict(_FILE_HEADERS), parts=files.parts(number))
        except LinkError as error:
            record.error = str(error)
            return rest.error_answer(403, "ACCESS_DENIED", record.error)
        except NoSuchFileError:
            record.error = "The file is gone: its result was closed, or its session has ended."
            return rest.error_answer(404, "NO_SUCH_FILE", record.error)

    def _spoiled_file(self, fault: Fault, files: ResultFiles, number: int) -> HttpAnswer:
        """What a fault makes of a file."""
        if fault.kind == faults.LINK_EXPIRED:
            raise LinkError("The link has expired.")
        if fault.kind == faults.HTTP:
            return _rest_refusal(fault)
        if fault.kind == faults.RESET and fault.when == faults.RESET_BEFORE:
            return HttpAnswer(cut="before")
        content = files.content(number, without_last=fault.kind == faults.MISSING_ROWS)
        if fault.kind == faults.SHORT_FILE:
            content = content[: len(content) // 2]
        elif fault.kind == faults.BROKEN_FILE:
            content = _flipped(content)
        return self._spoil(fault, None, HttpAnswer(200, content, dict(_FILE_HEADERS)))

    def admits(self, path: str, headers: Message) -> bool:
        """Whether a request has a good token, or the signature of a link in place of one."""
        request = Request("", path, (), headers, b"")
        token = rest.bearer_token(request)
        return token is not None and self._credentials.user_of(token) is not None

    # --- the statement execution API ------------------------------------------------------------

    def _api(self, call: ApiCall, request: Request, record: RequestRecord) -> HttpAnswer:
        refusal = self._authenticate(request, record)
        if refusal is not None:
            return refusal
        try:
            self._statement_api.describe(call, record)
        except ApiError as error:
            record.error = error.message
            return rest.error_answer(error.status, error.code, error.message)
        fault = self._script.draw(call.name, call.statement, without=_OF_THRIFT)
        if fault is not None:
            record.fault = fault.name
        call.client = request.headers.get("user-agent", "")
        self._hide_from_history(call, record)
        if fault is not None:
            early = self._refuse_api(fault, call, request, record)
            if early is not None:
                return early
        if self._state.wake() is not None:
            record.fault = faults.COLD_START
            return self._cold_api()
        if fault is not None and fault.kind == faults.SLOW_POLL:
            call.hidden_until = time.monotonic() + fault.seconds
        answer = self._statement_api.serve(call, record)
        return answer if fault is None else self._spoil_api(fault, call, answer)

    def _refuse_api(
        self, fault: Fault, call: ApiCall, request: Request, record: RequestRecord
    ) -> HttpAnswer | None:
        """What a fault answers in place of the API; ``None`` if it does not."""
        if fault.kind == faults.HTTP and not fault.executed:
            return _rest_refusal(fault)
        if fault.kind == faults.COLD_START:
            self._start_cold(fault)
            return None
        if fault.kind == faults.SESSION_LOST:
            answer = self._statement_api.lose_session(call)
            record.error = "The session was lost."
            return answer
        if fault.kind == faults.COMMIT_CONFLICT:
            return self._statement_api.fail_statement(call, record, _conflict_error(fault))
        return self._refuse_by(fault, request)

    def _cold_api(self) -> HttpAnswer:
        refusal = self._state.wake()
        answer = rest.error_answer(503, "TEMPORARILY_UNAVAILABLE", faults.UNAVAILABLE_TEXT)
        if refusal is not None and refusal.retry_after is not None:
            answer.headers["Retry-After"] = f"{refusal.retry_after:g}"
        return answer

    def _spoil_api(self, fault: Fault, call: ApiCall, answer: HttpAnswer) -> HttpAnswer:
        spoiled = self._spoil(fault, call, answer)
        return _rest_refusal(fault) if fault.kind == faults.HTTP else spoiled

    # --- Thrift ---------------------------------------------------------------------------------

    def _thrift(self, request: Request, record: RequestRecord, identifier: str) -> HttpAnswer:
        refusal = self._authenticate(request, record)
        if refusal is not None:
            return refusal
        if identifier != self._warehouse_id:
            return rest.no_such_warehouse(identifier)
        if request.method != "POST":
            return rest.error_answer(405, "METHOD_NOT_ALLOWED", "Thrift is spoken with POST.")
        try:
            call = messages.decode(request.body)
        except messages.MalformedMessageError as error:
            text = f"BAD_REQUEST: Malformed Thrift message: {error}"
            return _status_answer(400, text, None, record)
        self._service.describe(call, record)
        fault = self._script.draw(call.name, call.statement)
        if fault is not None:
            record.fault = fault.name
        call.client = request.headers.get("user-agent", "")
        call.user = request.user
        self._hide_from_history(call, record)
        try:
            return self._call(call, record, request, fault)
        except BadRequestError as error:
            return _status_answer(400, str(error), None, record)

    def _hide_from_history(self, call: ThriftCall | ApiCall, record: RequestRecord) -> None:
        fault = self._script.draw_for_history(call.name, call.statement)
        if fault is not None:
            record.fault = record.fault or fault.name
            late = fault.kind == faults.HISTORY_LATE
            call.shown_from = time.time() + fault.seconds if late else math.inf

    def _call(
        self, call: ThriftCall, record: RequestRecord, request: Request, fault: Fault | None
    ) -> HttpAnswer:
        if fault is not None:
            early = self._refuse_by(fault, request) or self._fail_by(fault, call, record)
            if early is not None:
                return early
        refusal = self._state.wake()
        if refusal is not None:
            cold = self._cold(refusal, call, record)
            if cold is not None:
                return cold
        answer = self._served(call, record, fault)
        return answer if fault is None else self._spoil(fault, call, answer)

    def _served(self, call: ThriftCall, record: RequestRecord, fault: Fault | None) -> HttpAnswer:
        if fault is not None and fault.kind == faults.SLOW_POLL:
            call.hidden_until = time.monotonic() + fault.seconds
        try:
            return _reply(call, self._service.serve(call, record))
        except BadRequestError:
            raise
        except Exception as error:
            # A defect behind a call becomes the call's error: as HTTP 500 the driver would send it
            # again and again, a minute apart.
            logger.exception("A call failed inside the warehouse")
            record.error = f"[INTERNAL_ERROR] {type(error).__name__}: {error} SQLSTATE: XX000"
            return _reply(call, self._service.failure(call, record.error, "XX000"))

    def _cold(self, refusal: Refusal, call: ThriftCall, record: RequestRecord) -> HttpAnswer | None:
        record.fault = faults.COLD_START
        if not refusal.on_sessions:
            return _status_answer(503, faults.UNAVAILABLE_TEXT, refusal.retry_after, record)
        if call.name == "OpenSession":
            return None
        text = (
            f"requirement failed: Session handle: SessionHandle [{record.session_id}] has not "
            "been initialized or had already closed."
        )
        record.error = text
        return _reply(call, self._service.failure(call, text))

    # --- faults ---------------------------------------------------------------------------------

    def _refuse_by(self, fault: Fault, request: Request) -> HttpAnswer | None:
        """What a fault answers before anybody looks at the request; ``None`` if it does not."""
        if fault.kind == faults.HTTP and not fault.executed:
            return _status_answer(fault.status, fault.message, fault.retry_after)
        if fault.kind == faults.RESET and fault.when == faults.RESET_BEFORE:
            return HttpAnswer(cut="before")
        if fault.kind == faults.TOKEN_EXPIRED:
            return rest.forbidden()
        if fault.kind == faults.TOKEN_REVOKED:
            token = rest.bearer_token(request)
            if token is not None:
                self._credentials.revoke(token)
            return rest.forbidden()
        return None

    def _fail_by(self, fault: Fault, call: ThriftCall, record: RequestRecord) -> HttpAnswer | None:
        """What a fault answers in place of the call's own answer; ``None`` if it does not."""
        failures: dict[str, Callable[[Fault, ThriftCall, RequestRecord], HttpAnswer | None]] = {
            faults.COLD_START: self._start_cold,
            faults.SESSION_LOST: self._lose_session,
            faults.COMMIT_CONFLICT: self._conflict,
            faults.PROTOCOL_UNSUPPORTED: self._refuse_protocol,
        }
        failure = failures.get(fault.kind)
        return None if failure is None else failure(fault, call, record)

    def _start_cold(
        self,
        fault: Fault,
        _call: ThriftCall | None = None,
        _record: RequestRecord | None = None,
    ) -> None:
        on_sessions = fault.style == faults.STYLE_SESSION
        refusal = Refusal(fault.retry_after, on_sessions)
        self._state.cold_start(fault.stopped, fault.seconds, refusal)

    def _lose_session(self, fault: Fault, call: ThriftCall, record: RequestRecord) -> HttpAnswer:
        text = self._service.lose_session(call)
        text = fault.message or text
        record.error = text
        return _reply(call, self._service.failure(call, text, "08000"))

    def _conflict(self, fault: Fault, call: ThriftCall, record: RequestRecord) -> HttpAnswer:
        error = _conflict_error(fault)
        return _reply(call, self._service.fail_statement(call, record, error))

    def _refuse_protocol(self, fault: Fault, call: ThriftCall, record: RequestRecord) -> HttpAnswer:
        text = fault.message or "This warehouse does not support the Thrift protocol."
        record.error = text
        return _reply(call, self._service.failure(call, text, "KP001"))

    def _spoil(
        self, fault: Fault, call: ThriftCall | ApiCall | None, answer: HttpAnswer
    ) -> HttpAnswer:
        """What becomes of an answer that is ready."""
        if fault.kind in (faults.HTTP, faults.RESET) and call is not None and call.operation:
            call.operation.wait(_EXECUTION_WAIT_SECONDS)
        if fault.kind == faults.DELAY:
            self._closing.wait(fault.seconds)
        elif fault.kind == faults.HTTP:
            answer.forget()
            return _status_answer(fault.status, fault.message, fault.retry_after)
        elif fault.kind == faults.RESET:
            answer.cut = "before" if fault.when == faults.RESET_AFTER else "mid"
        return answer


def _operation_of(request: Request, call: ApiCall | None) -> str:
    """What the request log, and a fault, calls a request."""
    operation = rest.operation_of(request.method, request.path)
    if call is not None:
        return call.name
    if _THRIFT_PATH.fullmatch(request.path):
        return messages.peek_name(request.body) or operation
    if request.path.startswith(_FILES_PATH):
        return faults.RESULT_FILE
    if staging.is_staging(request.path):
        return staging.operation_of(request.method)
    return operation


def _conflict_error(fault: Fault) -> SqlError:
    # https://docs.databricks.com/aws/en/error-messages/delta-concurrent-append-error-class
    text = fault.message or (
        "Transaction conflict detected. A concurrent WRITE added data to the table. "
        "Please try the operation again."
    )
    return SqlError("DELTA_CONCURRENT_APPEND.WITHOUT_HINT", "2D521", text)


def _reply(call: ThriftCall, response: object) -> HttpAnswer:
    return HttpAnswer(200, messages.encode(call, response), dict(_THRIFT_HEADERS))


def _flipped(content: bytes) -> bytes:
    """The bytes with one bit of the middle one changed."""
    changed = bytearray(content)
    changed[len(changed) // 2] ^= 0x10
    return bytes(changed)


def _rest_refusal(fault: Fault) -> HttpAnswer:
    code, usual = _REST_ERRORS.get(fault.status, ("TEMPORARILY_UNAVAILABLE", "A scripted fault."))
    answer = rest.error_answer(fault.status, code, fault.message or usual)
    if fault.retry_after is not None:
        answer.headers["Retry-After"] = f"{fault.retry_after:g}"
    return answer


# What a workspace says with an HTTP status, as databricks-sdk-py knows it (errors/platform.py).
_REST_ERRORS = {
    400: ("BAD_REQUEST", "A scripted fault."),
    401: ("UNAUTHENTICATED", "A scripted fault."),
    403: ("PERMISSION_DENIED", "The user has no permission for this."),
    404: ("NOT_FOUND", "A scripted fault."),
    429: ("REQUEST_LIMIT_EXCEEDED", "A scripted fault."),
    500: ("INTERNAL_ERROR", "A scripted fault."),
}


def _status_answer(
    status: int,
    text: str | None,
    retry_after: float | None,
    record: RequestRecord | None = None,
) -> HttpAnswer:
    # The driver takes the text of an HTTP error from these headers alone (thrift_backend.py,
    # _extract_error_message_from_headers); the body is never read.
    headers = {"Content-Type": "text/plain"}
    if text is None and status == 503:
        text = faults.UNAVAILABLE_TEXT
    if text is not None:
        headers[rest.ERROR_HEADER] = _header_text(text)
        if record is not None:
            record.error = text
    if retry_after is not None:
        headers["Retry-After"] = f"{retry_after:g}"
    return HttpAnswer(status, b"", headers)


def _header_text(text: str) -> str:
    """The text in one line of printable ASCII, which is all that a header can hold."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)[:4000]
