"""What is sent through a proxy, which every connection of the driver goes through by CONNECT."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import Engine, Integer, String, insert, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.schema import Column, MetaData, Table

from tests.dialect.held import rows_of, wait_for_history
from vinci_code.database.dialect.driver import dbapi
from vinci_code.warehouse import Fault
from vinci_code.warehouse.faults import HISTORY
from vinci_code.warehouse.pytest_plugin import TestWarehouse

METADATA = MetaData()
LOG = Table("log", METADATA, Column("line", String))
KEYED = Table("keyed", METADATA, Column("id", Integer, primary_key=True), Column("v", Integer))


class Proxy:
    """A proxy on loopback that opens tunnels, or refuses to.

    Attributes:
        refused: How many tunnels are refused from now on.
    """

    def __init__(self) -> None:
        self.refused = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self._sockets = [self._server]
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.getsockname()[1]}"

    def cut(self) -> None:
        """End all tunnels."""
        for one in self._sockets:
            if one is not self._server:
                _end(one)

    def close(self) -> None:
        """End all tunnels, and wait for their threads."""
        self.cut()
        _end(self._server)
        for thread in self._threads:
            thread.join()
        for one in self._sockets:
            one.close()

    def _start(self, work: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                self._sockets.append(client)
                self._start(self._tunnel, client)

    def _tunnel(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        if self.refused:
            self.refused -= 1
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            _end(client)
            return
        host, port = head.split()[1].decode().rsplit(":", 1)
        server = socket.create_connection((host, int(port)))
        self._sockets.append(server)
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        self._start(_copy, server, client)
        _copy(client, server)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    _end(source)
    _end(target)


def _end(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy that the driver's connections go through."""
    proxy = Proxy()
    monkeypatch.setenv("https_proxy", proxy.url)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    yield proxy
    proxy.close()


@pytest.fixture
def engine(proxy: Proxy, connected: Callable[..., Engine]) -> Iterator[Engine]:
    """An engine behind the proxy, with the tables."""
    engine = connected()
    METADATA.create_all(engine)
    yield engine
    engine.dispose()


@pytest.mark.parametrize("when", ["after", "mid_reply"])
def test_a_write_that_was_executed_is_not_sent_again_behind_a_proxy(
    when: str, engine: Engine, local_warehouse: TestWarehouse
) -> None:
    wait_for_history(engine, when)
    local_warehouse.inject(
        Fault.reset(when, operation="ExecuteStatement", statement="INSERT"),
        Fault.reset(when, operation="ExecuteStatement", statement="^COMMIT"),
    )
    with engine.begin() as connection:
        connection.execute(insert(LOG), {"line": "once"})
    assert rows_of(engine, LOG) == [("once",)]
    with engine.begin() as connection:
        connection.execute(insert(KEYED), {"id": 1, "v": 1})
        connection.execute(text("SELECT * FROM keyed")).all()
    assert rows_of(engine, KEYED) == [(1, 1)]


def test_a_write_that_did_not_arrive_behind_a_proxy_is_not_known(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    local_warehouse.inject(
        Fault.http(403, operation=HISTORY),
        Fault.reset("before", operation="ExecuteStatement", statement="INSERT"),
    )
    with pytest.raises(OperationalError) as caught, engine.begin() as connection:
        connection.execute(insert(LOG), {"line": "lost"})
    assert isinstance(caught.value.orig, dbapi.AmbiguousWriteError)
    assert rows_of(engine, LOG) == []


@pytest.mark.parametrize(("refused", "rows"), [(1, [("a",)]), (2, [])])
def test_what_no_tunnel_was_opened_for_was_never_sent(
    refused: int,
    rows: list[tuple[Any, ...]],
    engine: Engine,
    proxy: Proxy,
) -> None:
    with engine.connect() as connection:
        connection.execute(text("SELECT 1")).all()
        connection.execute(insert(LOG), {"line": "a"})
        proxy.refused = refused
        proxy.cut()
        if rows:
            connection.commit()
        else:
            with pytest.raises(OperationalError, match="502") as caught:
                connection.commit()
            assert isinstance(caught.value.orig, dbapi.ConnectionLostError)
        proxy.refused = 0
    assert rows_of(engine, LOG) == rows


def test_a_refusal_says_nothing_of_what_is_sent_after_it(
    connected: Callable[..., Engine], local_warehouse: TestWarehouse
) -> None:
    engine = connected()
    METADATA.create_all(engine)
    starting = "Couldn't create directory /local_disk0/tmp"
    with engine.connect() as connection:
        connection.execute(insert(LOG), {"line": "a"})
        local_warehouse.inject(
            Fault.http(403, operation=HISTORY),
            Fault.session_lost(message=starting, operation="ExecuteStatement"),
            Fault.reset("before", operation="ExecuteStatement"),
        )
        with pytest.raises(OperationalError) as caught:
            connection.commit()
    assert isinstance(caught.value.orig, dbapi.AmbiguousWriteError)
