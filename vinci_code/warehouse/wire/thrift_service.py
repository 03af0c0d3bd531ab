"""The Thrift service: sessions, statements, results, metadata.

What is answered follows the driver's expectations (``backend/thrift_backend.py`` of
databricks-sql-connector) and the traffic of real servers recorded in databricks-jdbc under
``src/test/resources``.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence

from databricks.sql.thrift_api.TCLIService import ttypes

from vinci_code.warehouse.engine import query_tags
from vinci_code.warehouse.engine.result import Result
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.parameters import Parameter
from vinci_code.warehouse.wire import messages, metadata, parameters, users
from vinci_code.warehouse.wire.messages import ThriftCall, ThriftStruct
from vinci_code.warehouse.wire.operations import (
    ClientSession,
    Limits,
    Operation,
    OperationState,
)
from vinci_code.warehouse.wire.recording import RequestLog, RequestRecord
from vinci_code.warehouse.wire.results import COLUMNS, ResultFormat
from vinci_code.warehouse.wire.statements import ClosingError, Order, StatementService

SERVER_PROTOCOL = ttypes.TProtocolVersion.SPARK_CLI_SERVICE_PROTOCOL_V8
"""What a real server answers, whatever the client offers (recorded traffic)."""

DIRECT_RESULTS_SECONDS = 0.5
"""How long ExecuteStatement waits for a result to send along.

Before its answer the driver knows of no operation that it could cancel (``Cursor.cancel``).
"""

LONG_POLL_SECONDS = 0.1
"""How long GetOperationStatus waits for news: the driver polls without a pause, but holds a lock
meanwhile, so that a cancel from another thread waits for this long, and again where the thread that
polls is the quicker one to take the lock."""

DEFAULT_PAGE_ROWS = 100_000
DEFAULT_PAGE_BYTES = 100 * 1024 * 1024

_TAGS = "QUERY_TAGS"

logger = logging.getLogger(__name__)


class BadRequestError(Exception):
    """The request is refused as a whole, with HTTP status 400."""


class StatusError(Exception):
    """A call fails with an error in its ``TStatus``."""

    def __init__(self, message: str, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.sqlstate = sqlstate


class ThriftService:
    """Answers calls on the sessions that it keeps.

    Args:
        statements: Keeps the sessions and runs the statements.
        log: Masks credentials in what is written on the records.
    """

    def __init__(self, statements: StatementService, log: RequestLog) -> None:
        self._statements = statements
        self._log = log

    # --- what surrounds the calls ---------------------------------------------------------------

    def describe(self, call: ThriftCall, record: RequestRecord) -> None:
        """Write on the record what the call is about."""
        record.session_id = self._session_text(call)
        if call.operation_guid is not None:
            record.operation_id = messages.uuid_text(call.operation_guid)
        if call.name == "ExecuteStatement":
            record.executed = False
            record.statement = self._log.scrub(call.request.statement)
            record.configuration = self._plain_map(call.request.confOverlay)
            # Those that cannot be read are refused when the statement is run.
            with contextlib.suppress(parameters.ParameterError):
                bound = parameters.plain(parameters.from_thrift(call.request.parameters))
                record.parameters = self._log.scrub_parameters(bound)
        elif call.name == "OpenSession":
            record.configuration = self._plain_map(call.request.configuration)

    def serve(self, call: ThriftCall, record: RequestRecord) -> ThriftStruct:
        """Answer a call, and complete the request's record.

        Raises:
            BadRequestError: It goes beyond a limit that a real server answers with HTTP 400.
        """
        try:
            return _HANDLERS[call.name](self, call, record)
        except StatusError as error:
            record.error = error.message
            return self.failure(call, error.message, error.sqlstate)
        except SqlError as error:
            record.error = str(error)
            return self.failure(call, str(error), error.sqlstate)

    def failure(self, call: ThriftCall, message: str, sqlstate: str | None = None) -> ThriftStruct:
        """The answer to a call that failed, with the error in its status."""
        status = ttypes.TStatus(
            statusCode=ttypes.TStatusCode.ERROR_STATUS,
            sqlState=sqlstate,
            errorCode=0,
            errorMessage=message,
            displayMessage=message,
        )
        response = getattr(ttypes, f"T{call.name}Resp")(status=status)
        if call.name == "OpenSession":
            response.serverProtocolVersion = SERVER_PROTOCOL
        return response

    def fail_statement(
        self, call: ThriftCall, record: RequestRecord, error: SqlError
    ) -> ThriftStruct:
        """Answer ExecuteStatement as if its statement had failed, without running it."""

        def run() -> Result:
            # A statement that fails by itself first: inside a transaction it aborts it, as the
            # scripted failure would.
            with contextlib.suppress(SqlError):
                for _ in session.engine.execute("SELECT raise_error('scripted')").batches:
                    continue
            raise error

        try:
            session = self._session(call)
        except StatusError as lost:
            return self.failure(call, lost.message, lost.sqlstate)
        return self._run_statement(call, record, session, (), run)

    def lose_session(self, call: ThriftCall) -> str:
        """Forget the call's session, as a restarted server has; returns the text that says so."""
        session = self._find_session(call)
        if session is None:
            return messages.invalid_session(call.session_guid)
        self._statements.end(session)
        return messages.invalid_session(session.handle.guid)

    def _session_text(self, call: ThriftCall) -> str | None:
        guid = call.session_guid
        if guid is None:
            session = self._find_session(call)
            return None if session is None else session.handle.text
        return messages.uuid_text(guid)

    def _find_session(self, call: ThriftCall) -> ClientSession | None:
        if call.session_guid is not None:
            return self._statements.find(call.session_guid)
        return self._statements.holder(call.operation_guid)

    def _session(self, call: ThriftCall) -> ClientSession:
        session = self._find_session(call)
        handle = call.request.sessionHandle
        identifier = None if handle is None else handle.sessionId
        if session is None or session.closed or not _owns(identifier, session.handle.secret):
            raise StatusError(messages.invalid_session(call.session_guid), "08000")
        _require_own(call, session, "session")
        return session

    def _operation(self, call: ThriftCall) -> Operation:
        session = self._find_session(call)
        guid = call.operation_guid
        operation = session.operations.get(guid) if session and guid is not None else None
        handle = call.request.operationHandle
        if operation is None or not _owns(handle.operationId, operation.handle.secret):
            raise StatusError(messages.invalid_operation(guid), "08000")
        _require_own(call, operation.session, "statement")
        call.operation = operation
        return operation

    def _plain_map(self, values: dict[str, str] | None) -> dict[str, str]:
        return {key: self._log.scrub(value) for key, value in (values or {}).items()}

    # --- sessions -------------------------------------------------------------------------------

    def _open(self, call: ThriftCall, record: RequestRecord) -> ThriftStruct:
        request = call.request
        namespace = request.initialNamespace or ttypes.TNamespace()
        try:
            session = self._statements.open(
                namespace.catalogName,
                namespace.schemaName,
                request.configuration or {},
                call.user,
            )
        except ClosingError as error:
            raise StatusError(str(error), "08004") from error
        record.session_id = session.handle.text
        return ttypes.TOpenSessionResp(
            status=messages.status(),
            serverProtocolVersion=SERVER_PROTOCOL,
            sessionHandle=ttypes.TSessionHandle(
                sessionId=session.handle.thrift(), serverProtocolVersion=SERVER_PROTOCOL
            ),
            configuration=dict(request.configuration or {}),
            initialNamespace=ttypes.TNamespace(
                catalogName=session.engine.catalog, schemaName=session.engine.schema
            ),
            canUseMultipleCatalogs=True,
        )

    def _close_session(self, call: ThriftCall, _record: RequestRecord) -> ThriftStruct:
        session = self._session(call)
        self._statements.end(session)
        return ttypes.TCloseSessionResp(status=messages.status())

    def _get_info(self, call: ThriftCall, _record: RequestRecord) -> ThriftStruct:
        self._session(call)
        value = _INFO.get(call.request.infoType)
        if value is None:
            raise StatusError(f"Unrecognized GetInfoType value: {call.request.infoType}")
        return ttypes.TGetInfoResp(
            status=messages.status(), infoValue=ttypes.TGetInfoValue(stringValue=value)
        )

    # --- statements -----------------------------------------------------------------------------

    def _execute_statement(self, call: ThriftCall, record: RequestRecord) -> ThriftStruct:
        session = self._session(call)
        request = call.request
        try:
            bound = parameters.from_thrift(request.parameters)
        except parameters.ParameterError as error:
            raise BadRequestError(f"BAD_REQUEST: {error}") from error

        return self._run_statement(call, record, session, bound)

    def _run_statement(
        self,
        call: ThriftCall,
        record: RequestRecord,
        session: ClientSession,
        bound: Sequence[Parameter],
        work: Callable[[], Result] | None = None,
    ) -> ThriftStruct:
        request = call.request
        overlay = {key.upper(): value for key, value in (request.confOverlay or {}).items()}
        order = Order(
            request.statement,
            _format(request, session),
            bound,
            Limits(rows=_unless_negative(request.resultRowLimit)),
            timeout=_unless_negative(request.queryTimeout) or None,
            tags=query_tags.parse(self._log.scrub(overlay.get(_TAGS, ""))),
            client=call.client,
            shown_from=call.shown_from,
            hidden_until=call.hidden_until,
        )
        operation = self._statements.run(session, order, record, work)
        call.operation = operation
        if not request.runAsync:
            operation.wait()
            return self._synchronous(call, record, operation)
        if request.getDirectResults is not None:
            operation.wait(DIRECT_RESULTS_SECONDS)
        return self._started(call, record, operation)

    def _synchronous(
        self, call: ThriftCall, record: RequestRecord, operation: Operation
    ) -> ThriftStruct:
        # A client that does not ask for runAsync finds the error in the status of the call.
        error = operation.error
        if error is not None:
            operation.close()
            _check_limits(error)
            record.error = str(error)
            response = self.failure(call, f"Error running query: {error}", error.sqlstate)
            response.status.displayMessage = str(error)
            return response
        return self._started(call, record, operation)

    def _started(
        self, call: ThriftCall, record: RequestRecord, operation: Operation
    ) -> ThriftStruct:
        """The answer that names an operation, with direct results if they are asked for."""
        response = getattr(ttypes, f"T{call.name}Resp")(
            status=messages.status(), operationHandle=messages.operation_handle(operation)
        )
        wanted = call.request.getDirectResults
        if wanted is not None:
            response.directResults = self._direct_results(operation, wanted, record)
        return response

    def _direct_results(
        self, operation: Operation, wanted: ttypes.TSparkGetDirectResults, record: RequestRecord
    ) -> ttypes.TSparkDirectResults:
        direct = ttypes.TSparkDirectResults(operationStatus=messages.operation_status(operation))
        if operation.state == OperationState.ERROR_STATE and operation.error is not None:
            _check_limits(operation.error)
            record.error = str(operation.error)
        if operation.state != OperationState.FINISHED_STATE:
            return direct
        direct.resultSetMetadata = operation.metadata()
        direct.resultSet = _page(operation, wanted)
        if not direct.resultSet.hasMoreRows and not operation.has_links:
            # Recorded traffic: everything was delivered, so the server has closed the operation;
            # a later CloseOperation finds an unknown handle. Where links were
            # delivered, the client closes it when it has followed them.
            operation.close()
            direct.closeOperation = ttypes.TCloseOperationResp(status=messages.status())
        return direct

    # --- operations -----------------------------------------------------------------------------

    def _get_operation_status(self, call: ThriftCall, record: RequestRecord) -> ThriftStruct:
        operation = self._operation(call)
        operation.wait(LONG_POLL_SECONDS)
        if operation.error is not None and operation.state == OperationState.ERROR_STATE:
            record.error = str(operation.error)
        return messages.operation_status(operation)

    def _cancel_operation(self, call: ThriftCall, _record: RequestRecord) -> ThriftStruct:
        self._operation(call).cancel()
        return ttypes.TCancelOperationResp(status=messages.status())

    def _close_operation(self, call: ThriftCall, _record: RequestRecord) -> ThriftStruct:
        self._operation(call).close()
        return ttypes.TCloseOperationResp(status=messages.status())

    def _get_result_set_metadata(self, call: ThriftCall, _record: RequestRecord) -> ThriftStruct:
        return self._finished(call).metadata()

    def _fetch_results(self, call: ThriftCall, _record: RequestRecord) -> ThriftStruct:
        request = call.request
        operation = self._finished(call)
        if not _is_next(request.orientation, operation):
            raise StatusError(
                "The fetch type is not supported: a forward-only result is read with FETCH_NEXT, "
                "or with FETCH_FIRST before anything was read of it.",
                "HYC00",
            )
        if request.fetchType:
            raise StatusError("Query logs are not kept by this server.", "HYC00")
        response = _page(operation, request)
        if request.includeResultSetMetadata:
            response.resultSetMetadata = operation.metadata()
        return response

    def _finished(self, call: ThriftCall) -> Operation:
        operation = self._operation(call)
        operation.wait(LONG_POLL_SECONDS)
        state = operation.state
        if state == OperationState.ERROR_STATE and operation.error is not None:
            raise StatusError(f"Error running query: {operation.error}", operation.error.sqlstate)
        if state != OperationState.FINISHED_STATE:
            # The text of Spark's thrift server (Operation.assertState).
            found = OperationState._VALUES_TO_NAMES[state].removesuffix("_STATE")
            raise StatusError(f"Expected states: [FINISHED], but found {found}", "HY010")
        return operation

    # --- metadata -------------------------------------------------------------------------------

    def _metadata(self, call: ThriftCall, record: RequestRecord) -> ThriftStruct:
        session = self._session(call)
        if session.engine.in_transaction:
            # The transaction stays usable (databricks-sql-python, tests/e2e/test_transactions.py).
            raise StatusError(
                f"[TRANSACTION_NOT_SUPPORTED.COMMAND] Command {call.name} is not supported in a "
                "multi-statement transaction. SQLSTATE: 0A000",
                "0A000",
            )
        kind, listing = metadata.CALLS[call.name]

        def run() -> Result:
            return listing(session.engine, call.request)

        operation = Operation(session, kind, COLUMNS, run)
        call.operation = operation
        record.operation_id = operation.handle.text
        self._statements.start(operation)
        operation.wait()
        if operation.error is not None:
            operation.close()
            raise StatusError(str(operation.error), operation.error.sqlstate)
        return self._started(call, record, operation)

    def _no_delegation(self, _call: ThriftCall, _record: RequestRecord) -> ThriftStruct:
        raise StatusError(
            "Delegation token only supported over remote client with kerberos authentication"
        )


_HANDLERS: dict[str, Callable[[ThriftService, ThriftCall, RequestRecord], ThriftStruct]] = {
    "OpenSession": ThriftService._open,
    "CloseSession": ThriftService._close_session,
    "GetInfo": ThriftService._get_info,
    "ExecuteStatement": ThriftService._execute_statement,
    "GetOperationStatus": ThriftService._get_operation_status,
    "CancelOperation": ThriftService._cancel_operation,
    "CloseOperation": ThriftService._close_operation,
    "GetResultSetMetadata": ThriftService._get_result_set_metadata,
    "FetchResults": ThriftService._fetch_results,
    "GetDelegationToken": ThriftService._no_delegation,
    "CancelDelegationToken": ThriftService._no_delegation,
    "RenewDelegationToken": ThriftService._no_delegation,
    **dict.fromkeys(metadata.CALLS, ThriftService._metadata),
}

# What Spark's thrift server says of itself (SparkSQLCLIService.getInfo).
_INFO = {
    ttypes.TGetInfoType.CLI_SERVER_NAME: "Spark SQL",
    ttypes.TGetInfoType.CLI_DBMS_NAME: "Spark SQL",
    ttypes.TGetInfoType.CLI_DBMS_VER: "3.5.0",
}


def _format(request: ttypes.TExecuteStatementReq, session: ClientSession) -> ResultFormat:
    native = request.useArrowNativeTypes or ttypes.TSparkArrowTypes(
        timestampAsArrow=True, decimalAsArrow=True, complexTypesAsArrow=True
    )
    return ResultFormat(
        arrow=bool(request.canReadArrowResult),
        lz4=bool(request.canReadArrowResult and request.canDecompressLZ4Result),
        download=bool(request.canReadArrowResult and request.canDownloadResult),
        native_timestamps=bool(native.timestampAsArrow),
        native_decimals=bool(native.decimalAsArrow),
        native_complex=bool(native.complexTypesAsArrow),
        zone=session.engine.configuration.get("TIMEZONE", "Etc/UTC"),
    )


def _check_limits(error: SqlError) -> None:
    # Beyond the limits of a request a real server answers with HTTP 400, not with a failed
    # statement (databricks-sqlalchemy issue 24, databricks-sql-nodejs issue 308).
    if error.error_class == "BAD_REQUEST":
        raise BadRequestError(f"BAD_REQUEST: {error.message}")


def _page(
    operation: Operation, wanted: ttypes.TSparkGetDirectResults | ttypes.TFetchResultsReq
) -> ttypes.TFetchResultsResp:
    row_set, more = operation.fetch(
        _at_least_one(wanted.maxRows, DEFAULT_PAGE_ROWS),
        _at_least_one(wanted.maxBytes, DEFAULT_PAGE_BYTES),
        _unless_negative(getattr(wanted, "startRowOffset", None)),
    )
    return ttypes.TFetchResultsResp(status=messages.status(), hasMoreRows=more, results=row_set)


def _is_next(orientation: int, operation: Operation) -> bool:
    """Whether the rows that are asked for are those that come next."""
    first = orientation == ttypes.TFetchOrientation.FETCH_FIRST
    return orientation == ttypes.TFetchOrientation.FETCH_NEXT or (first and not operation.was_read)


def _at_least_one(value: int | None, default: int) -> int:
    return value if value is not None and value > 0 else default


def _unless_negative(value: int | None) -> int | None:
    return None if value is None or value < 0 else value


def _owns(identifier: ttypes.THandleIdentifier | None, secret: bytes) -> bool:
    return identifier is not None and identifier.secret == secret


def _require_own(call: ThriftCall, session: ClientSession, kind: str) -> None:
    if call.user != session.user:
        raise StatusError(users.not_yours(kind), users.NOT_YOURS_STATE)
