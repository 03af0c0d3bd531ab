"""Random bytes and random Thrift messages: the server answers or hangs up, and serves the next one.

Every run tries the same examples (``derandomize``), and every read has a deadline.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
from databricks.sql.thrift_api.TCLIService import TCLIService
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.Thrift import TMessageType
from thrift.transport.TTransport import TMemoryBuffer

from tests.full import some
from tests.patience import PATIENCE_S
from tests.warehouse.driver import Connection, sql, ttypes
from vinci_code.warehouse import LocalWarehouse

DEADLINE = PATIENCE_S

SEEDED = settings(
    derandomize=True,
    deadline=None,
    max_examples=some(100, few=40),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Client:
    """A client that sends what it is told to, and knows whether the warehouse still works."""

    def __init__(self, warehouse: LocalWarehouse) -> None:
        self.warehouse = warehouse
        self._context = ssl.create_default_context(cafile=str(warehouse.ca_file))
        self._good: Connection = sql.connect(**warehouse.connect_args)
        self.session = self._good.session.session_id

    def close(self) -> None:
        """Close the good connection."""
        self._good.close()

    def post(self, body: bytes, **headers: str) -> tuple[int, bytes]:
        """Send a body to the Thrift endpoint, with a good token."""
        connection = http.client.HTTPSConnection(
            "localhost", self.warehouse.port, timeout=DEADLINE, context=self._context
        )
        sent = {
            "Authorization": f"Bearer {self.warehouse.access_token}",
            "Content-Type": "application/x-thrift",
        }
        try:
            connection.request("POST", self.warehouse.http_path, body, sent | headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def raw(self, data: bytes) -> bytes:
        """Send bytes that may not even be HTTP, say that no more will come, read to the end."""
        with (
            socket.create_connection(("localhost", self.warehouse.port), DEADLINE) as plain,
            self._context.wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            secure.settimeout(DEADLINE)
            try:
                secure.sendall(data)
                return secure.recv(65536)
            except (ConnectionError, ssl.SSLError):
                return b""

    def assert_alive(self) -> None:
        """The warehouse answers the next good request."""
        with self._good.cursor() as cursor:
            cursor.execute("SELECT 41 + 1 AS answer")
            assert cursor.fetchone().answer == 42


@pytest.fixture(scope="module")
def client(local_warehouse_server: LocalWarehouse) -> Iterator[Client]:
    opened = Client(local_warehouse_server)
    yield opened
    opened.close()


METHODS = sorted(name for name in vars(TCLIService.Iface) if not name.startswith("_"))


def frame(method: str, request: object) -> bytes:
    """A Thrift call as it stands in the body of a request."""
    buffer = TMemoryBuffer()
    protocol = TBinaryProtocol(buffer)
    protocol.writeMessageBegin(method, TMessageType.CALL, 7)
    arguments = getattr(TCLIService, f"{method}_args")(request)
    arguments.write(protocol)
    protocol.writeMessageEnd()
    value: bytes = buffer.getvalue()
    return value


def request_of(method: str) -> type:
    """The class of a method's one argument."""
    spec: Any = getattr(TCLIService, f"{method}_args").thrift_spec
    found: type = next(field[3][0] for field in spec if field)
    return found


identifiers = st.builds(
    lambda guid, secret: ttypes.THandleIdentifier(guid=guid, secret=secret),
    st.binary(max_size=20),
    st.binary(max_size=20),
)
operations = st.builds(
    lambda identifier, kind, has: ttypes.TOperationHandle(
        operationId=identifier, operationType=kind, hasResultSet=has
    ),
    identifiers,
    st.integers(0, 12),
    st.booleans(),
)
numbers = st.one_of(st.none(), st.integers(-5, 5), st.integers(-(2**63), 2**63 - 1))
texts = st.one_of(st.none(), st.text(max_size=30), st.sampled_from(["SELECT 1", "%", "main", ""]))


@SEEDED
@given(body=st.binary(max_size=400))
def test_random_bodies(client: Client, body: bytes) -> None:
    status, _ = client.post(body)
    assert 200 <= status < 600
    client.assert_alive()


@SEEDED
@given(data=st.binary(min_size=1, max_size=400).map(lambda b: b + b"\r\n\r\n"))
def test_random_bytes_instead_of_http(client: Client, data: bytes) -> None:
    client.raw(data)
    client.assert_alive()


@SEEDED
@given(
    path=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60),
    length=st.sampled_from(["-1", "x", "0", "5", "", "1e9"]),
)
def test_random_request_lines(client: Client, path: str, length: str) -> None:
    head = f"POST /{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
    client.raw(head.encode() + b"12345")
    client.assert_alive()


@SEEDED
@given(
    method=st.sampled_from(METHODS),
    cut=st.integers(0, 200),
    flips=st.lists(st.tuples(st.integers(0, 400), st.integers(1, 255)), max_size=4),
)
def test_broken_messages(
    client: Client, method: str, cut: int, flips: list[tuple[int, int]]
) -> None:
    whole = bytearray(frame(method, request_of(method)()))
    for position, mask in flips:
        whole[position % len(whole)] ^= mask
    status, _ = client.post(bytes(whole[: max(1, len(whole) - cut)]))
    assert 200 <= status < 600
    client.assert_alive()


@SEEDED
@given(method=st.sampled_from(METHODS))
def test_empty_requests_of_every_method(client: Client, method: str) -> None:
    status, _ = client.post(frame(method, request_of(method)()))
    assert 200 <= status < 600
    client.assert_alive()


@SEEDED
@given(
    handle=operations,
    method=st.sampled_from(
        ["FetchResults", "GetOperationStatus", "CloseOperation", "CancelOperation"]
    ),
    orientation=st.integers(-1, 9),
    rows=numbers,
)
def test_random_operation_handles(
    client: Client, handle: object, method: str, orientation: int, rows: int | None
) -> None:
    made: Any = request_of(method)
    request = made(operationHandle=handle)
    if method == "FetchResults":
        request.orientation = orientation
        request.maxRows = rows
        request.startRowOffset = rows
    status, _ = client.post(frame(method, request))
    assert 200 <= status < 600
    client.assert_alive()


@SEEDED
@given(identifier=identifiers, statement=texts)
def test_random_session_handles(client: Client, identifier: object, statement: str | None) -> None:
    request = ttypes.TExecuteStatementReq(
        sessionHandle=ttypes.TSessionHandle(sessionId=identifier), statement=statement
    )
    status, _ = client.post(frame("ExecuteStatement", request))
    assert 200 <= status < 600
    client.assert_alive()


@SEEDED
@given(
    catalog=texts,
    schema=texts,
    table=texts,
    method=st.sampled_from(["GetSchemas", "GetTables", "GetColumns", "GetCatalogs"]),
)
def test_random_metadata_requests(
    client: Client, catalog: str | None, schema: str | None, table: str | None, method: str
) -> None:
    made: Any = request_of(method)
    # The driver keeps the handle of its session as two parts (backend/types.py, SessionId).
    handle = client.session.to_thrift_handle()
    request = made(sessionHandle=handle)
    for name, value in (("catalogName", catalog), ("schemaName", schema), ("tableName", table)):
        if hasattr(request, name):
            setattr(request, name, value)
    status, _ = client.post(frame(method, request))
    assert 200 <= status < 600
    client.assert_alive()


@SEEDED
@given(
    statement=st.sampled_from(["SELECT ?", "SELECT :a", "SELECT 1"]),
    kind=st.one_of(
        st.none(),
        st.text(max_size=12),
        st.sampled_from(["INT", "ARRAY", "MAP", "DECIMAL(99,3)", "DATE"]),
    ),
    value=texts,
    name=st.one_of(st.none(), st.just("a"), st.text(max_size=5)),
)
def test_random_parameters(
    client: Client, statement: str, kind: str | None, value: str | None, name: str | None
) -> None:
    parameter = ttypes.TSparkParameter(
        ordinal=1,
        name=name,
        type=kind,
        value=ttypes.TSparkParameterValue(stringValue=value),
    )
    request = ttypes.TExecuteStatementReq(
        sessionHandle=client.session.to_thrift_handle(), statement=statement, parameters=[parameter]
    )
    status, _ = client.post(frame("ExecuteStatement", request))
    assert 200 <= status < 600
    client.assert_alive()
