"""The few Thrift calls of a SQL warehouse that a connection check makes.

Built on the classes that the vendor's driver generates from its own protocol definition; replies
are column sets, which need no Arrow. It knows the statements of the checks and refuses others.
"""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable
from typing import Any

from databricks.sql.thrift_api.TCLIService import TCLIService
from databricks.sql.thrift_api.TCLIService import ttypes as generated_types
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.transport.TTransport import TMemoryBuffer

Rows = list[list[Any]]
ttypes: Any = generated_types  # generated, without types
_V8 = ttypes.TProtocolVersion.SPARK_CLI_SERVICE_PROTOCOL_V8


class SqlError(Exception):
    """A statement fails, with the text that the server shows."""


class HangUp(BaseException):
    """The server goes away without an answer; Thrift would turn an Exception into a reply."""


class SqlService:
    """Sessions, statements, and what scratch tables hold."""

    def __init__(self) -> None:
        self.closing = threading.Event()
        """Ends every pause."""
        self.statements: list[str] = []
        self.sessions_open = 0
        self.namespaces: list[Any] = []
        self.tables: dict[str, Rows] = {}
        self.catalog = "main"
        self.schema = "default"
        self.revision: str | None = "0001"
        """What the table of our own migrations holds; ``None``: there is none."""
        self.open_session_error: tuple[str, str] | None = None
        """Message and SQLSTATE with which a session is refused, in a reply with HTTP 200."""
        self.namespace_error: tuple[str, str] | None = None
        """The same for a session that is to begin in a catalog and schema."""
        self.fail_statements: dict[str, str] = {}
        """Beginning of a statement → the error it ends with."""
        self.pause_before: dict[str, float] = {}
        """Beginning of a statement → seconds to wait before it is answered."""
        self.hang_up_on: str | None = None
        """Beginning of the statement that is executed and never answered."""
        self._lock = threading.Lock()
        service: Any = TCLIService  # generated, without types
        self._processor = service.Processor(_Handler(self))

    def answer(self, body: bytes) -> bytes:
        """The reply to one request."""
        reply = TMemoryBuffer()
        self._processor.process(TBinaryProtocol(TMemoryBuffer(body)), TBinaryProtocol(reply))
        return bytes(reply.getvalue())

    def run(self, sql: str) -> tuple[list[str], Rows]:
        """Column names and rows for a statement."""
        with self._lock:
            self.statements.append(sql)
        for beginning, seconds in self.pause_before.items():
            if sql.startswith(beginning):
                self.closing.wait(seconds)
        for beginning, message in self.fail_statements.items():
            if sql.startswith(beginning):
                raise SqlError(message)
        for pattern, function in _STATEMENTS:
            match = re.fullmatch(pattern, sql, re.DOTALL)
            if match:
                answer = function(self, match)
                if self.hang_up_on is not None and sql.startswith(self.hang_up_on):
                    raise HangUp
                return answer
        raise SqlError(f"[PARSE_SYNTAX_ERROR] the fake knows no such statement: {sql}")


def _select_one(_service: SqlService, _match: re.Match[str]) -> tuple[list[str], Rows]:
    return ["1"], [[1]]


def _current(service: SqlService, _match: re.Match[str]) -> tuple[list[str], Rows]:
    return ["current_catalog()", "current_schema()"], [[service.catalog, service.schema]]


def _describe(service: SqlService, match: re.Match[str]) -> tuple[list[str], Rows]:
    if match.group(1).replace("`", "").rpartition(".")[2] != service.schema:
        raise SqlError(f"[SCHEMA_NOT_FOUND] The schema {match.group(1)} cannot be found.")
    return ["database_description_item"], [["Namespace Name"]]


def _show_tables(service: SqlService, match: re.Match[str]) -> tuple[list[str], Rows]:
    there = match.group(1) == "vinci_code_version" and service.revision is not None
    rows: Rows = [[service.schema, match.group(1), "false"]] if there else []
    return ["database", "tableName", "isTemporary"], rows


def _version(service: SqlService, _match: re.Match[str]) -> tuple[list[str], Rows]:
    return ["version_num"], [[service.revision]]


def _create(service: SqlService, match: re.Match[str]) -> tuple[list[str], Rows]:
    service.tables[match.group(1)] = []
    return ["Result"], []


def _insert(service: SqlService, match: re.Match[str]) -> tuple[list[str], Rows]:
    service.tables[match.group(1)].append([int(match.group(2)), match.group(3)])
    return ["num_affected_rows"], [[1]]


def _select(service: SqlService, match: re.Match[str]) -> tuple[list[str], Rows]:
    return ["id", "note"], service.tables[match.group(1)]


def _drop(service: SqlService, match: re.Match[str]) -> tuple[list[str], Rows]:
    service.tables.pop(match.group(1), None)
    return ["Result"], []


_STATEMENTS: list[tuple[str, Callable[[SqlService, re.Match[str]], tuple[list[str], Rows]]]] = [
    (r"SELECT 1", _select_one),
    (r"SELECT current_catalog\(\), current_schema\(\)", _current),
    (r"DESCRIBE SCHEMA (\S+)", _describe),
    (r"SHOW TABLES LIKE '(\w+)'", _show_tables),
    (r"SELECT version_num FROM vinci_code_version", _version),
    (r"CREATE TABLE (\S+) \(id BIGINT, note STRING\)", _create),
    (r"INSERT INTO (\S+) VALUES \((\d+), '([^']*)'\)", _insert),
    (r"SELECT id, note FROM (\S+)", _select),
    (r"DROP TABLE IF EXISTS (\S+)", _drop),
]


class _Handler(TCLIService.Iface):
    def __init__(self, service: SqlService) -> None:
        self._service = service

    def OpenSession(self, request: Any) -> Any:  # noqa: N802
        refusal = self._service.open_session_error
        if refusal is None and request.initialNamespace is not None:
            refusal = self._service.namespace_error
        if refusal is not None:
            message, state = refusal
            return ttypes.TOpenSessionResp(
                status=_failed(message, state), serverProtocolVersion=_V8
            )
        self._service.sessions_open += 1
        self._service.namespaces.append(request.initialNamespace)
        return ttypes.TOpenSessionResp(
            status=_success(),
            serverProtocolVersion=_V8,
            sessionHandle=ttypes.TSessionHandle(sessionId=_identifier(), serverProtocolVersion=_V8),
            canUseMultipleCatalogs=True,
            initialNamespace=request.initialNamespace,
        )

    def CloseSession(self, request: Any) -> Any:  # noqa: N802
        self._service.sessions_open -= 1
        return ttypes.TCloseSessionResp(status=_success())

    def ExecuteStatement(self, request: Any) -> Any:  # noqa: N802
        operation = ttypes.TOperationHandle(
            operationId=_identifier(),
            operationType=ttypes.TOperationType.EXECUTE_STATEMENT,
            hasResultSet=True,
        )
        try:
            names, rows = self._service.run(request.statement)
        except SqlError as error:
            return ttypes.TExecuteStatementResp(
                status=_success(),
                operationHandle=operation,
                directResults=ttypes.TSparkDirectResults(
                    operationStatus=ttypes.TGetOperationStatusResp(
                        status=_success(),
                        operationState=ttypes.TOperationState.ERROR_STATE,
                        errorMessage=str(error),
                        displayMessage=str(error),
                    )
                ),
            )
        return ttypes.TExecuteStatementResp(
            status=_success(), operationHandle=operation, directResults=_direct(names, rows)
        )


def _direct(names: list[str], rows: Rows) -> Any:
    columns = [[row[index] for row in rows] for index in range(len(names))]
    return ttypes.TSparkDirectResults(
        operationStatus=ttypes.TGetOperationStatusResp(
            status=_success(), operationState=ttypes.TOperationState.FINISHED_STATE
        ),
        resultSetMetadata=ttypes.TGetResultSetMetadataResp(
            status=_success(),
            schema=ttypes.TTableSchema(
                columns=[
                    _description(name, values, position)
                    for position, (name, values) in enumerate(zip(names, columns, strict=True), 1)
                ]
            ),
            resultFormat=ttypes.TSparkRowSetType.COLUMN_BASED_SET,
            lz4Compressed=False,
            isStagingOperation=False,
        ),
        resultSet=ttypes.TFetchResultsResp(
            status=_success(),
            hasMoreRows=False,
            results=ttypes.TRowSet(
                startRowOffset=0, rows=[], columns=[_column(values) for values in columns]
            ),
        ),
        closeOperation=ttypes.TCloseOperationResp(status=_success()),
    )


def _is_number(values: list[Any]) -> bool:
    return bool(values) and isinstance(values[0], int)


def _description(name: str, values: list[Any], position: int) -> Any:
    kind = ttypes.TTypeId.BIGINT_TYPE if _is_number(values) else ttypes.TTypeId.STRING_TYPE
    entry = ttypes.TTypeEntry(primitiveEntry=ttypes.TPrimitiveTypeEntry(type=kind))
    return ttypes.TColumnDesc(
        columnName=name, typeDesc=ttypes.TTypeDesc(types=[entry]), position=position, comment=""
    )


def _column(values: list[Any]) -> Any:
    if _is_number(values):
        return ttypes.TColumn(i64Val=ttypes.TI64Column(values=values, nulls=b"\x00"))
    return ttypes.TColumn(stringVal=ttypes.TStringColumn(values=values, nulls=b"\x00"))


def _identifier() -> Any:
    return ttypes.THandleIdentifier(guid=uuid.uuid4().bytes, secret=uuid.uuid4().bytes)


def _success() -> Any:
    return ttypes.TStatus(statusCode=ttypes.TStatusCode.SUCCESS_STATUS)


def _failed(message: str, state: str) -> Any:
    return ttypes.TStatus(
        statusCode=ttypes.TStatusCode.ERROR_STATUS, errorMessage=message, sqlState=state
    )
