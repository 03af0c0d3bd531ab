"""Servers that refuse, swallow, or stand in the way."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def closed_port() -> Iterator[int]:
    """A port of this machine on which nobody listens."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


@contextmanager
def silent_server() -> Iterator[int]:
    """A port on which connections are accepted and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield server.getsockname()[1]


@contextmanager
def black_hole() -> Iterator[int]:
    """A port on which nothing answers at all, as behind a firewall that drops packets.

    The kernel drops the first packet of a connection while the queue of the listener is full.
    """
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(3):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(server.getsockname())
        yield server.getsockname()[1]


@contextmanager
def plain_text_server() -> Iterator[int]:
    """A port that answers TLS with plain HTTP."""
    with _serving(
        lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    ) as port:
        yield port


@contextmanager
def proxy_server(
    status: int = 200, reason: str = "OK", seen: list[str] | None = None
) -> Iterator[int]:
    """An HTTP proxy that answers CONNECT with ``status`` and, if that is 200, opens the tunnel.

    Args:
        status: What it answers.
        reason: The text beside it.
        seen: The head of each request is added to it.
    """

    def serve(connection: socket.socket) -> None:
        head = _read_head(connection)
        if seen is not None:
            seen.append(head)
        if status != 200:
            answer = f"HTTP/1.1 {status} {reason}\r\nContent-Length: 0\r\n\r\n"
            connection.sendall(answer.encode())
            return
        host, _, port = head.split()[1].rpartition(":")
        with socket.create_connection((host, int(port)), 10) as upstream:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pump, args=(upstream, connection))
            back.start()
            _pump(connection, upstream)
            back.join()

    with _serving(serve) as port:
        yield port


@contextmanager
def _serving(serve: object) -> Iterator[int]:
    assert callable(serve)
    open_now: list[socket.socket] = []
    workers: list[threading.Thread] = []

    def work(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, IndexError):
            serve(connection)

    def accept() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            open_now.append(connection)
            worker = threading.Thread(target=work, args=(connection,))
            workers.append(worker)
            worker.start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            acceptor.join()
            for connection in open_now:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            for worker in workers:
                worker.join()


def _read_head(connection: socket.socket) -> str:
    head = b""
    while b"\r\n\r\n" not in head:
        received = connection.recv(4096)
        if not received:
            break
        head += received
    return head.decode("latin-1")


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
