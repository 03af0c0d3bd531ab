"""Bytes that mean harm: the server answers or hangs up, stays within its deadline, and goes on."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
import struct
from collections.abc import Iterator

import pytest
from databricks.sql.thrift_api.TCLIService import TCLIService, ttypes

from tests.full import part
from tests.patience import SHORT_S, soon
from tests.warehouse.wire.client import TIMEOUT, WireClient, header, message
from tests.warehouse.wire.engine import FakeWarehouse
from vinci_code.warehouse.wire import messages, server, thrift_service

pytestmark = part(3)


NAMES = sorted(name for name in vars(TCLIService.Iface) if not name.startswith("_"))
STRUCT, LIST, MAP, STRING, I32, STOP = b"\x0c", b"\x0f", b"\x0d", b"\x0b", b"\x08", b"\x00"


@pytest.fixture
def client(wire: FakeWarehouse) -> Iterator[WireClient]:
    with WireClient(wire) as opened:
        yield opened
    with WireClient(wire) as next_one:
        session = next_one.open_session()
        response = next_one.call("ExecuteStatement", sessionHandle=session, statement="SELECT 1")
        assert response.status.statusCode == ttypes.TStatusCode.SUCCESS_STATUS
        next_one.call("CloseSession", sessionHandle=session)


def field(kind: bytes, number: int) -> bytes:
    return kind + struct.pack("!h", number)


BOMBS = {
    "nested structs": header("OpenSession") + field(STRUCT, 99) * 1_000_000,
    "nested lists": header("OpenSession")
    + field(STRUCT, 1)
    + field(LIST, 99)
    + (LIST + struct.pack("!i", 1)) * 1_000_000,
    "a map of two billion": header("OpenSession")
    + field(STRUCT, 1)
    + field(MAP, 4)
    + STRING
    + STRING
    + struct.pack("!i", 2**31 - 1),
    "a list of two billion": header("GetTables")
    + field(STRUCT, 1)
    + field(LIST, 5)
    + STRING
    + struct.pack("!i", 2**31 - 1),
    "a string of two gigabytes": header("ExecuteStatement")
    + field(STRUCT, 1)
    + field(STRING, 2)
    + struct.pack("!i", 2**31 - 1),
    "a negative length": header("ExecuteStatement")
    + field(STRUCT, 1)
    + field(STRING, 2)
    + struct.pack("!i", -1),
    "no UTF-8": header("ExecuteStatement")
    + field(STRUCT, 1)
    + field(STRING, 2)
    + struct.pack("!i", 2)
    + b"\xff\xfe"
    + STOP * 2,
    "nothing": b"",
    "a name of two gigabytes": struct.pack("!Ii", 0x80010001, 2**31 - 1),
    "an unknown name": header("DropEverything") + STOP,
    "a reply": struct.pack("!Ii", 0x80010002, 11) + b"OpenSession" + b"\x00\x00\x00\x01" + STOP,
    "no request": header("OpenSession") + STOP,
    "a request without its fields": header("ExecuteStatement") + field(STRUCT, 1) + STOP + STOP,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_message_that_cannot_be_read_is_a_bad_request(client: WireClient, name: str) -> None:
    with soon():
        status, headers, _ = client.post(BOMBS[name])
        assert status == 400
        assert headers["x-thriftserver-error-message"].startswith("BAD_REQUEST: ")


@pytest.mark.parametrize("name", NAMES)
def test_a_call_cut_short_anywhere_is_answered(client: WireClient, name: str) -> None:
    body = message("OpenSession", client_protocol_i64=1) if name == "OpenSession" else _empty(name)
    for length in range(len(body)):
        assert client.post(body[:length])[0] in (200, 400)


def test_calls_with_flipped_bytes_are_answered(client: WireClient) -> None:
    session = client.open_session()
    direct = ttypes.TSparkGetDirectResults(maxRows=10, maxBytes=1000)
    body = message(
        "ExecuteStatement",
        sessionHandle=session,
        statement="SELECT parameters",
        runAsync=True,
        getDirectResults=direct,
        parameters=[
            ttypes.TSparkParameter(
                ordinal=1,
                name="a",
                type="ARRAY",
                arguments=[ttypes.TSparkParameterValueArg(type="INT", value="1")],
            )
        ],
    )
    seeded = random.Random(20240229)
    for _ in range(400):
        broken = bytearray(body)
        for _ in range(seeded.randint(1, 4)):
            broken[seeded.randrange(len(broken))] = seeded.randrange(256)
        status, _, _ = client.post(bytes(broken))
        assert status in (200, 400)


@pytest.mark.parametrize("value", [-(2**63), -1, 0, 2**31 - 1, 2**63 - 1])
def test_numbers_beyond_sense_are_taken_with_sense(client: WireClient, value: int) -> None:
    session = client.open_session()
    response = client.call(
        "ExecuteStatement",
        sessionHandle=session,
        statement="SELECT * FROM range(3)",
        runAsync=True,
        queryTimeout=value,
        resultRowLimit=None if value == 0 else value,
        getDirectResults=ttypes.TSparkGetDirectResults(maxRows=value, maxBytes=value),
    )
    direct = response.directResults
    assert direct.operationStatus.operationState == ttypes.TOperationState.FINISHED_STATE
    assert client.columns(direct.resultSet) == [[0, 1, 2]]
    client.call("CloseSession", sessionHandle=session)


@pytest.mark.parametrize(
    "request_line",
    [
        b"\r\n\r\n",
        b"GARBAGE\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
        b"GET http://[::1 HTTP/1.1\r\n\r\n",
        b"GET //[ HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n\xff\xfe: \x00\r\n\r\n",
        bytes(range(256)) * 50,
    ],
)
def test_what_is_no_http_is_refused(
    wire: FakeWarehouse, client: WireClient, request_line: bytes
) -> None:
    context = ssl.create_default_context(cafile=str(wire.ca_file))
    with (
        socket.create_connection((wire.host, wire.port), TIMEOUT) as plain,
        context.wrap_socket(plain, server_hostname=wire.host) as secure,
    ):
        secure.settimeout(TIMEOUT)
        try:
            secure.sendall(request_line)
            answer = secure.recv(1000)
        except (ConnectionError, ssl.SSLError):
            return  # hung up while it was still arriving
    assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 505", b"HTTP/1.0 4"))


def test_a_client_that_stalls_is_hung_up_on(
    wire: FakeWarehouse, client: WireClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "ARRIVAL_SECONDS", SHORT_S)
    context = ssl.create_default_context(cafile=str(wire.ca_file))
    for begun in (b"POST / HT", b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc"):
        with (
            socket.create_connection((wire.host, wire.port), TIMEOUT) as plain,
            context.wrap_socket(plain, server_hostname=wire.host) as secure,
        ):
            secure.settimeout(TIMEOUT)
            secure.sendall(begun)
            with soon(), contextlib.suppress(ConnectionError, ssl.SSLError):
                assert secure.recv(1000) == b""


def test_a_client_that_speaks_no_tls_is_hung_up_on(
    wire: FakeWarehouse, client: WireClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "ARRIVAL_SECONDS", SHORT_S)
    with (
        socket.create_connection((wire.host, wire.port), TIMEOUT) as silent,
        soon(),
        contextlib.suppress(ConnectionError),
    ):
        assert silent.recv(1000) == b""


def test_a_body_beyond_the_limit_is_refused_unread(wire: FakeWarehouse, client: WireClient) -> None:
    client.http.putrequest("POST", wire.http_path)
    client.http.putheader("Authorization", f"Bearer {wire.access_token}")
    client.http.putheader("Content-Length", str(server.MAX_BODY + 1))
    client.http.endheaders()
    with contextlib.suppress(ConnectionError):
        assert client.http.getresponse().status == 413


def test_requests_can_be_sent_before_the_answers_are_read(
    wire: FakeWarehouse, client: WireClient
) -> None:
    one = (
        f"GET /api/2.0/sql/warehouses/{wire.warehouse_id} HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {wire.access_token}\r\n\r\n"
    ).encode()
    context = ssl.create_default_context(cafile=str(wire.ca_file))
    with (
        socket.create_connection((wire.host, wire.port), TIMEOUT) as plain,
        context.wrap_socket(plain, server_hostname=wire.host) as secure,
    ):
        secure.settimeout(TIMEOUT)
        secure.sendall(one * 3)
        received = b""
        while received.count(b'"state"') < 3:
            received += secure.recv(65536)
    assert received.count(b"HTTP/1.1 200") == 3


def test_every_rpc_of_the_service_has_an_answer() -> None:
    assert frozenset(thrift_service._HANDLERS) == messages.RPCS == frozenset(NAMES)


_TEXTS = ("statement", "functionName", "owner", "renewer", "delegationToken")


def _empty(name: str) -> bytes:
    handle = ttypes.THandleIdentifier(guid=b"g" * 16, secret=b"s" * 16)
    fields: dict[str, object] = {}
    specification = getattr(ttypes, f"T{name}Req").thrift_spec
    for item in specification:
        if item and item[2] == "sessionHandle":
            fields["sessionHandle"] = ttypes.TSessionHandle(sessionId=handle)
        elif item and item[2] == "operationHandle":
            fields["operationHandle"] = ttypes.TOperationHandle(operationId=handle)
        elif (item and item[2] in ("statement", "functionName", "owner", "renewer")) or (
            item and item[2] == "delegationToken"
        ):
            fields[item[2]] = "x"
    return message(name, **fields)
