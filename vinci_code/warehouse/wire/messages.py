"""Thrift messages as bytes, and the structs that every answer is made of.

They are read and written with the driver's own generated classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from databricks.sql.thrift_api.TCLIService import TCLIService, ttypes
from thrift.protocol import TBinaryProtocol
from thrift.protocol.TProtocol import TProtocolException
from thrift.Thrift import TMessageType
from thrift.transport.TTransport import TMemoryBuffer, TTransportException

from vinci_code.warehouse.wire.operations import Operation, OperationState
from vinci_code.warehouse.wire.server import MAX_BODY

RPCS = frozenset(name for name in vars(TCLIService.Iface) if not name.startswith("_"))
"""The names of the service's calls."""

# A list or map may not claim more entries than this: the decoder allocates what is claimed.
_MAX_CONTAINER = 1_000_000

# A struct of the generated classes, which share no base and carry no types.
ThriftStruct: TypeAlias = Any


class MalformedMessageError(ValueError):
    """The bytes are not a Thrift message that this service can read."""


@dataclass
class ThriftCall:
    """One decoded call.

    Attributes:
        name: The name of the RPC.
        sequence: The message's number, which the answer repeats.
        request: Its request struct.
        operation: The operation that it started or named, once known.
        hidden_until: Until when, on the monotonic clock, a statement that it starts is reported as
            running whatever its state.
        client: The program that sent it, by its ``User-Agent``.
        shown_from: From when on the query history shows it, in seconds since the epoch.
        user: Whose token the request had.
    """

    name: str
    sequence: int
    request: ThriftStruct
    operation: Operation | None = None
    hidden_until: float = 0.0
    client: str = ""
    shown_from: float = 0.0
    user: str = ""

    @property
    def statement(self) -> str | None:
        """The SQL text, for ExecuteStatement."""
        return getattr(self.request, "statement", None)

    @property
    def session_guid(self) -> bytes | None:
        """The id of the session that it names."""
        return _guid(getattr(self.request, "sessionHandle", None), "sessionId")

    @property
    def operation_guid(self) -> bytes | None:
        """The id of the operation that it names."""
        return _guid(getattr(self.request, "operationHandle", None), "operationId")


def peek_name(body: bytes) -> str | None:
    """The name of the call in a message, before it is worth decoding; ``None`` if there is none."""
    if len(body) < 8 or body[:2] != b"\x80\x01":
        return None
    name = body[8 : 8 + min(int.from_bytes(body[4:8], "big"), 100)].decode("ascii", "replace")
    return name if name in RPCS else None


def decode(body: bytes) -> ThriftCall:
    """Read one call.

    Raises:
        MalformedMessageError: It is none, or not one of this service.
    """
    protocol = TBinaryProtocol.TBinaryProtocolAccelerated(
        TMemoryBuffer(body),
        string_length_limit=MAX_BODY,
        container_length_limit=_MAX_CONTAINER,
    )
    try:
        name, kind, sequence = protocol.readMessageBegin()
        arguments_class = getattr(TCLIService, f"{name}_args", None)
        if kind != TMessageType.CALL or name not in RPCS or arguments_class is None:
            raise MalformedMessageError(f"Invalid method name: '{name[:100]}'")
        arguments = arguments_class()
        arguments.read(protocol)
        if arguments.req is None:
            raise MalformedMessageError(f"{name} has no request")
        arguments.req.validate()
    except (
        TProtocolException,
        TTransportException,
        EOFError,
        ValueError,
        TypeError,
        OverflowError,
        MemoryError,
    ) as error:
        raise MalformedMessageError(str(error) or type(error).__name__) from error
    return ThriftCall(name, sequence, arguments.req)


def encode(call: ThriftCall, response: ThriftStruct) -> bytes:
    """Write the answer to a call."""
    buffer = TMemoryBuffer()
    protocol = TBinaryProtocol.TBinaryProtocolAccelerated(buffer)
    protocol.writeMessageBegin(call.name, TMessageType.REPLY, call.sequence)
    getattr(TCLIService, f"{call.name}_result")(success=response).write(protocol)
    protocol.writeMessageEnd()
    return bytes(buffer.getvalue())


def status() -> ttypes.TStatus:
    """Return the status of a call that went well."""
    return ttypes.TStatus(statusCode=ttypes.TStatusCode.SUCCESS_STATUS)


def operation_handle(operation: Operation) -> ttypes.TOperationHandle:
    """Return the handle of an operation."""
    return ttypes.TOperationHandle(
        operationId=operation.handle.thrift(), operationType=operation.kind, hasResultSet=True
    )


def operation_status(operation: Operation) -> ttypes.TGetOperationStatusResp:
    """Return the answer to GetOperationStatus."""
    state = operation.state
    response = ttypes.TGetOperationStatusResp(
        status=status(),
        operationState=state,
        operationStarted=int(operation.started * 1000),
        hasResultSet=True,
    )
    if operation.completed is not None and state != OperationState.RUNNING_STATE:
        response.operationCompleted = int(operation.completed * 1000)
    if state == OperationState.FINISHED_STATE:
        response.numModifiedRows = operation.num_modified_rows
    if state == OperationState.ERROR_STATE and operation.error is not None:
        response.sqlState = operation.error.sqlstate
        response.errorCode = 0
        response.errorMessage = f"Error running query: {operation.error}"
        response.displayMessage = str(operation.error)
    return response


def _guid(handle: ThriftStruct, name: str) -> bytes | None:
    identifier = getattr(handle, name, None)
    return getattr(identifier, "guid", None)


def uuid_text(guid: bytes | None) -> str:
    """A handle's id as text; what is no id of 16 bytes is shown in hexadecimal."""
    text = (guid or b"").hex()
    if len(text) != 32:
        return text
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def invalid_session(guid: bytes | None) -> str:
    """Return the text for a session that is not known."""
    return f"Invalid SessionHandle: SessionHandle [{uuid_text(guid)}]"


def invalid_operation(guid: bytes | None) -> str:
    """Return the text for an operation that is not known."""
    return (
        "Invalid OperationHandle: OperationHandle "
        f"[opType=UNKNOWN_OPERATION, getHandleIdentifier()={uuid_text(guid)}]"
    )
