"""What clients without a good token can take of the server: bounded bodies, connections, times."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator

import pytest

from tests.patience import soon
from tests.warehouse.wire.client import TIMEOUT, WireClient
from tests.warehouse.wire.engine import FakeWarehouse
from vinci_code.warehouse.wire import server

SHORT_S = 0.2


@contextlib.contextmanager
def connected(wire: FakeWarehouse) -> Iterator[ssl.SSLSocket]:
    """A connection without any request yet."""
    context = ssl.create_default_context(cafile=str(wire.ca_file))
    with (
        socket.create_connection((wire.host, wire.port), TIMEOUT) as plain,
        context.wrap_socket(plain, server_hostname=wire.host) as secure,
    ):
        secure.settimeout(TIMEOUT)
        yield secure


def test_ten_gigabytes_are_refused_unread(wire: FakeWarehouse) -> None:
    with connected(wire) as secure:
        secure.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\n\r\n")
        assert secure.recv(1000).startswith(b"HTTP/1.1 413")


def test_a_large_body_without_a_token_is_passed_over(
    wire: FakeWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    whole = server._HttpConnection._read_body

    def noted(self: server._HttpConnection, most: int) -> bytes | None:
        body = whole(self, most)
        read.append(len(body or b""))
        return body

    monkeypatch.setattr(server._HttpConnection, "_read_body", noted)
    body = b"x" * (server.STRANGER_BODY + 1)
    with WireClient(wire) as client:
        # The answer is the one of a bad token, and the connection goes on.
        assert client.request("POST", wire.http_path, body, token="nonsense")[0] == 403
        assert client.request("POST", wire.http_path, body, token=None)[0] == 401
        assert client.request("POST", wire.http_path, body)[0] == 400  # no Thrift
    assert read == [0, 0, len(body)]


def test_a_stranger_may_not_idle_for_long(
    wire: FakeWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "STRANGER_SECONDS", SHORT_S)
    with connected(wire) as secure, soon(), contextlib.suppress(ConnectionError, ssl.SSLError):
        assert secure.recv(1000) == b""


def test_who_has_a_token_may_idle(wire: FakeWarehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "STRANGER_SECONDS", SHORT_S)
    path = f"/api/2.0/sql/warehouses/{wire.warehouse_id}"
    with WireClient(wire) as client:
        assert client.request("GET", path)[0] == 200
        held = client.http.sock
        held.settimeout(3 * SHORT_S)
        with pytest.raises(TimeoutError):  # not closed
            held.recv(1)
        held.settimeout(TIMEOUT)
        assert client.request("GET", path)[0] == 200
        assert client.http.sock is held


def test_strangers_push_each_other_out(
    wire: FakeWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_STRANGERS", 5)
    path = f"/api/2.0/sql/warehouses/{wire.warehouse_id}"
    with WireClient(wire) as client, contextlib.ExitStack() as stack:
        assert client.request("GET", path)[0] == 200
        strangers = [stack.enter_context(connected(wire)) for _ in range(20)]
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            assert strangers[0].recv(1000) == b""
        assert client.request("GET", path)[0] == 200
        assert len(wire._live.server._strangers) <= 5
        strangers[-1].sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert strangers[-1].recv(1000).startswith(b"HTTP/1.1 4")


def test_a_file_that_nobody_wants_is_not_waited_for(
    wire: FakeWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "ARRIVAL_SECONDS", SHORT_S)
    with WireClient(wire) as client, soon():
        connection = client.http
        connection.putrequest("PUT", "/api/2.0/fs/files/Volumes/a/b/c/d")
        connection.putheader("Content-Length", "1000000")
        connection.endheaders()
        answered = False
        while not answered:
            # A byte now and then, for as long as the server takes them.
            with contextlib.suppress(TimeoutError):
                connection.send(b"x")
                connection.sock.settimeout(SHORT_S / 4)
                with contextlib.suppress(ConnectionError, ssl.SSLEOFError):
                    connection.sock.recv(1)
                answered = True
