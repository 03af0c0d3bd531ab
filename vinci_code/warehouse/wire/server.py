"""The HTTPS listener: one thread per connection, HTTP/1.1 with keep-alive, loopback only.

It knows nothing of Thrift or SQL: it reads a request within its deadline, asks an application for
the answer, and sends it, or cuts the connection where the answer says so.

``TCP_NODELAY`` is set on every connection: an answer leaves as two small segments, and without it
the second waits for the client's delayed acknowledgement, 40 ms later.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import selectors
import socket
import ssl
import struct
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, BinaryIO

from vinci_code.core.errors import EXIT_UNAVAILABLE, VinciError
from vinci_code.warehouse.wire import hangups

if TYPE_CHECKING:
    from typing_extensions import Buffer

HOST = "127.0.0.1"

IDLE_SECONDS = 900.0
"""How long a connection may stay idle between requests (the driver's own socket timeout)."""

STRANGER_SECONDS = 30.0
"""The same for a connection on which no request with a good token has come."""

MAX_STRANGERS = 256
"""How many such connections may be open; beyond them the oldest that waits is closed."""

STRANGER_BODY = 64 * 1024
"""The largest body of a request without a good token; a form of OAuth is far smaller."""

ARRIVAL_SECONDS = 30.0
"""How long a request may take to arrive once its first byte is there, and a TLS handshake."""

SEND_SECONDS = 300.0
"""How long a client may take to accept one answer."""

MAX_BODY = 64 * 1024 * 1024
"""The largest request body: a statement of 16 MiB and its parameters, with room to spare."""

PIECE = 1024 * 1024
"""How much of a body that is a file is read, or sent, at a time."""

_SMALL = 64 * 1024
_LONGEST_LINE = 4096
_BACKLOG = 512
# struct linger {on, seconds}: closing with zero seconds sends RST instead of FIN.
_LINGER_RESET = struct.pack("ii", 1, 0)

logger = logging.getLogger(__name__)


class IncompleteBodyError(ConnectionError):
    """The client went away, or broke the rules of HTTP, before a body was there."""


class FileBody:
    """A body that is a file, in pieces that can be read once.

    Reading may raise ``IncompleteBodyError`` or ``TimeoutError``.

    Attributes:
        received: How many bytes were read so far.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.received = 0
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.received += len(piece)
            yield piece


@dataclass(eq=False)
class Request:
    """One HTTP request, wholly read but for a body that is a file.

    Query and headers hold secrets, and are no part of what it prints.

    Attributes:
        stream: A body that is a file; ``None`` where ``body`` has it all.
        user: Whose token it has; empty until that is known, and where it needs none.
    """

    method: str
    path: str
    query: Sequence[tuple[str, str]] = field(repr=False)
    headers: Message = field(repr=False)
    body: bytes = field(repr=False)
    stream: FileBody | None = field(default=None, repr=False)
    user: str = ""


@dataclass
class HttpAnswer:
    """What to send back.

    Attributes:
        status: HTTP status.
        body: The body; its length becomes ``Content-Length``.
        parts: A body in parts, in place of ``body``.
        headers: Further headers.
        cut: Where to cut the connection with a reset instead of finishing the answer: ``None``
            (not at all), ``before`` (nothing is sent), ``mid`` (the headers and half of the body).
        file: A body that is a file, open where the body begins; it is closed when it was sent.
        file_size: How many bytes of it are the body.
        head_size: How many bytes the body would have, for the answer to HEAD.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: str | None = None
    parts: Sequence[memoryview] = ()
    file: BinaryIO | None = None
    file_size: int = 0
    head_size: int | None = None

    def forget(self) -> None:
        """Close what it would have sent: another answer takes its place."""
        if self.file is not None:
            self.file.close()

    @property
    def size(self) -> int:
        """How many bytes the body has."""
        if self.file is not None:
            return self.file_size
        return sum(map(len, self.parts)) if self.parts else len(self.body)

    @property
    def sent(self) -> int:
        """How many bytes of the body will reach the client."""
        if self.cut is None:
            return self.size
        return 0 if self.cut == "before" else self.size // 2


Application = Callable[[Request], HttpAnswer]

TakesFile = Callable[[str, str], bool]
"""Whether the body of a request, of this method and path, is a file: of any size, and streamed."""


Admits = Callable[[str, Message], bool]
"""Whether a request, of this path and these headers, has a good token."""


class PortError(VinciError, OSError):
    """A port cannot be listened on: another process has it, or it takes more rights."""

    exit_code = EXIT_UNAVAILABLE


class Server:
    """Listens on a port of the loopback address until it is closed.

    Args:
        application: Called in the connection's thread for each request; must not raise.
        context: The TLS context.
        port: The port, or 0 for a free one.
        takes_file: Which bodies are files.
        admits: Who is no stranger: their bodies may be large, and their connections idle for long.

    Raises:
        PortError: The port cannot be listened on.
    """

    def __init__(
        self,
        application: Application,
        context: ssl.SSLContext,
        port: int = 0,
        takes_file: TakesFile = lambda _method, _path: False,
        admits: Admits = lambda _path, _headers: True,
    ) -> None:
        self._application = application
        self._admits = admits
        # Oldest first; those that are being answered are left out.
        self._strangers: dict[threading.Thread, None] = {}
        self._takes_file = takes_file
        self._context = context
        self._lock = threading.Lock()
        self._connections: dict[threading.Thread, socket.socket] = {}
        self._closing = False
        self._listener = _listener(port)
        self.port: int = self._listener.getsockname()[1]
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._acceptor = threading.Thread(
            target=self._accept_all, name=f"warehouse-accept-{self.port}", daemon=True
        )

    def start(self) -> None:
        """Accept connections from now on; the port answered connection attempts already."""
        self._acceptor.start()

    def stop(self) -> None:
        """Stop listening, and end every connection as soon as its request is answered."""
        with self._lock:
            self._closing = True
        self._wake_sender.send(b"x")
        if self._acceptor.is_alive():
            self._acceptor.join()
        self._listener.close()
        self._wake_sender.close()
        self._wake_receiver.close()
        with self._lock:
            connections = list(self._connections.values())
        for connection in connections:
            _shut_down(connection)

    def join(self, grace: float = 10.0) -> None:
        """Wait for the connections' threads, after ``stop``.

        Requests that are being worked on have ``grace`` seconds.
        """
        with self._lock:
            threads = list(self._connections)
        deadline = time.monotonic() + grace
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    @property
    def connection_count(self) -> int:
        """How many connections are open."""
        with self._lock:
            return len(self._connections)

    def _accept_all(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._wake_receiver, selectors.EVENT_READ)
            while not self._closing:
                ready = {key.fileobj for key, _ in selector.select()}
                if self._listener in ready and not self._closing:
                    self._accept_one()

    def _accept_one(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError as error:
            # The client is gone again, or the process is out of file descriptors: neither may end
            # the listener. The pause keeps the second case from spinning.
            logger.warning("A connection could not be accepted: %s", error)
            time.sleep(0.05)
            return
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        thread = threading.Thread(
            target=self._serve, args=(connection,), name=f"warehouse-{self.port}", daemon=True
        )
        with self._lock:
            self._connections[thread] = connection
            self._strangers[thread] = None
            crowd = len(self._strangers) > MAX_STRANGERS
            oldest = self._connections.get(next(iter(self._strangers))) if crowd else None
            if crowd:
                del self._strangers[next(iter(self._strangers))]
        if oldest is not None:
            logger.warning(
                "More than %d connections without a token: the oldest is closed.", MAX_STRANGERS
            )
            _shut_down(oldest)
        thread.start()

    def _wait(self, stranger: bool) -> None:
        """Note that the connection of this thread waits for a request; a stranger may be closed."""
        if stranger:
            with self._lock:
                self._strangers[threading.current_thread()] = None

    def _work(self) -> None:
        """Note that a request of this thread's connection is being answered."""
        with self._lock:
            self._strangers.pop(threading.current_thread(), None)

    def _serve(self, plain: socket.socket) -> None:
        connection = plain
        try:
            plain.settimeout(ARRIVAL_SECONDS)
            connection = self._context.wrap_socket(plain, server_side=True)
            with self._lock:
                self._connections[threading.current_thread()] = connection
                closing = self._closing
            if not closing:
                _HttpConnection(
                    connection,
                    self._application,
                    self._takes_file,
                    _Door(self._admits, self._wait, self._work),
                )
        except OSError as error:
            # A client without the CA, one that speaks no TLS, one that went away, or a connection
            # that was shut down: its own affair, and no reason to end the server.
            logger.debug("A connection ended: %s", error)
        finally:
            with contextlib.suppress(OSError):
                connection.close()
            with self._lock:
                self._connections.pop(threading.current_thread(), None)
                self._strangers.pop(threading.current_thread(), None)


def _listener(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port), backlog=_BACKLOG)
    except OSError as error:
        # Python adds the address to the words of the system.
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise PortError(
            f"The local warehouse cannot listen on port {port} of {HOST}: {reason}\n"
            "To fix it: choose another port with --port (0 takes a free one), or end the process "
            "that listens there."
        ) from error


def _shut_down(connection: socket.socket) -> None:
    # Not SSLSocket.shutdown: it drops the TLS layer under the thread that reads, which would then
    # read the ciphertext. The plain shutdown wakes that thread with an end of file.
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


class _DeadlineReader(io.RawIOBase):
    """Reads a socket, each time allowing only what is left until a deadline."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._deadline = 0.0

    def allow(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request took too long to arrive")
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


@dataclass(frozen=True)
class _Door:
    """Who is a stranger, and what the server is told of one."""

    admits: Admits
    wait: Callable[[bool], None]
    work: Callable[[], None]


class _HttpConnection(BaseHTTPRequestHandler):
    """One connection's requests, one after another."""

    protocol_version = "HTTP/1.1"
    # What the base class assumes of a request that it cannot read: with its own "HTTP/0.9" it would
    # answer without a status line.
    default_request_version = "HTTP/1.1"
    server_version = "vinci-warehouse"
    sys_version = ""

    def __init__(
        self,
        connection: socket.socket,
        application: Application,
        takes_file: TakesFile,
        door: _Door,
    ) -> None:
        self._door = door
        self._stranger = True
        self._application = application
        self._takes_file = takes_file
        self._reader = _DeadlineReader(connection)
        super().__init__(connection, ("", 0), None)  # type: ignore[arg-type]

    def setup(self) -> None:
        self.connection = self.request
        self.rfile = self._input = io.BufferedReader(self._reader, buffer_size=_SMALL)
        # The base class writes its headers here; _send puts them before the body.
        self.wfile = self._head = io.BytesIO()

    def finish(self) -> None:
        self.rfile.close()

    def handle_one_request(self) -> None:
        self._door.wait(self._stranger)
        self._reader.allow(STRANGER_SECONDS if self._stranger else IDLE_SECONDS)
        if not self._input.peek(1):
            self.close_connection = True
            return
        self._reader.allow(ARRIVAL_SECONDS)
        self.raw_requestline = self.rfile.readline(65537)
        if len(self.raw_requestline) > 65536:
            self.requestline = self.request_version = self.command = ""
            self.send_error(414)
            self._flush()
            return
        if not self.parse_request():
            self._flush()
            self.close_connection = True
            return
        self._flush()  # "100 Continue", where the client waits for it
        self._exchange()

    def _exchange(self) -> None:
        try:
            target = urllib.parse.urlsplit(self.path)
        except ValueError:
            self.close_connection = True
            self._refuse(400, "the request's target is no URL")
            return
        admitted = self._door.admits(target.path, self.headers)
        self._stranger = self._stranger and not admitted
        query = urllib.parse.parse_qsl(target.query, keep_blank_values=True)
        if self._takes_file(self.command, target.path):
            self._door.work()
            self._exchange_file(target.path, query)
            return
        body = self._read_body(MAX_BODY if admitted else STRANGER_BODY)
        if body is None:
            self.close_connection = True
            return
        self._door.work()
        request = Request(self.command, target.path, query, self.headers, body)
        with hangups.watched(lambda: hangups.has_closed(self.connection)):
            answer = self._application(request)
        self._send(answer)

    def _exchange_file(self, path: str, query: list[tuple[str, str]]) -> None:
        pieces = self._pieces()
        if pieces is None:
            self.close_connection = True
            return
        request = Request(self.command, path, query, self.headers, b"", FileBody(pieces))
        answer = self._application(request)
        if answer.cut is None and not self._drain_pieces(pieces):
            self.close_connection = True
            answer.headers["Connection"] = "close"
        self._send(answer)

    def _drain_pieces(self, pieces: Iterator[bytes]) -> bool:
        """Read what nobody wanted, within limits; whether the next request can follow.

        A client that still sends would find a reset in place of the answer.
        """
        size = 0
        deadline = time.monotonic() + ARRIVAL_SECONDS
        try:
            for piece in pieces:
                size += len(piece)
                if size > MAX_BODY or time.monotonic() > deadline:
                    return False
        except OSError:
            return False
        return True

    def _pieces(self) -> Iterator[bytes] | None:
        """The body in pieces; ``None`` where the headers do not say how long it is."""
        encoding = self.headers.get("transfer-encoding")
        if encoding is not None:
            if encoding.strip().lower() == "chunked" and "content-length" not in self.headers:
                return self._chunks()
            self._refuse(411, "a request needs a Content-Length, or chunks and nothing else")
            return None
        length = self._length()
        return None if length is None else self._sized(length)

    def _sized(self, left: int) -> Iterator[bytes]:
        while left:
            piece = self._some(min(left, PIECE))
            left -= len(piece)
            yield piece

    def _chunks(self) -> Iterator[bytes]:
        # RFC 9112, 7.1: a size in hexadecimal, the bytes, an empty line; a size of 0 ends them.
        while size := self._chunk_size():
            yield from self._sized(size)
            if self._line():
                raise IncompleteBodyError("a chunk is longer than its size")
        while self._line():
            continue  # trailers

    def _chunk_size(self) -> int:
        text = self._line().partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9a-fA-F]{1,15}", text):
            raise IncompleteBodyError("a chunk has no size")
        return int(text, 16)

    def _line(self) -> bytes:
        self._reader.allow(ARRIVAL_SECONDS)
        line = self._input.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise IncompleteBodyError("the body ended too early")
        return line.strip()

    def _some(self, most: int) -> bytes:
        self._reader.allow(ARRIVAL_SECONDS)
        piece = self._input.read1(most)
        if not piece:
            raise IncompleteBodyError("the body ended too early")
        return piece

    def _read_body(self, most: int) -> bytes | None:
        if "transfer-encoding" in self.headers:
            self._refuse(411, "a request needs a Content-Length")
            return None
        length = self._length()
        if length is None:
            return None
        if length > MAX_BODY:
            self._refuse(413, f"a request may have {MAX_BODY} bytes, not {length}")
            return None
        if length > most:
            # Its answer is that it has no good token, whatever stands here.
            return b"" if self._drain_pieces(self._sized(length)) else None
        body = self.rfile.read(length)
        return body if len(body) == length else None

    def _length(self) -> int | None:
        text = self.headers.get("content-length", "0").strip()
        if not (text.isascii() and text.isdigit() and len(text) < _LONGEST_LINE):
            self._refuse(400, "the Content-Length is no number")
            return None
        return int(text)

    def _refuse(self, status: int, reason: str) -> None:
        headers = {"Content-Type": "text/plain", "Connection": "close"}
        self._send(HttpAnswer(status, reason.encode(), headers))

    def _send(self, answer: HttpAnswer) -> None:
        with answer.file or contextlib.nullcontext():
            self._send_open(answer)

    def _send_open(self, answer: HttpAnswer) -> None:
        if answer.cut == "before":
            self._reset()
            return
        self.send_response_only(answer.status)
        self.send_header("Date", self.date_time_string())
        for name, value in answer.headers.items():
            self.send_header(name, value)
        size = answer.size if answer.head_size is None else answer.head_size
        self.send_header("Content-Length", str(size))
        self.end_headers()
        head = self._drain()
        self.connection.settimeout(SEND_SECONDS)
        if answer.cut == "mid":
            self.connection.sendall(head + answer.body[: answer.sent])
            self._send_file(answer.file, answer.sent)
            self._reset()
        elif self.command == "HEAD":
            self.connection.sendall(head)
        elif answer.file is not None:
            self.connection.sendall(head)
            self._send_file(answer.file, answer.size)
        elif answer.parts:
            self.connection.sendall(head)
            for part in answer.parts:
                self.connection.settimeout(SEND_SECONDS)
                self.connection.sendall(part)
        elif len(answer.body) <= _SMALL:
            self.connection.sendall(head + answer.body)
        else:
            self.connection.sendall(head)
            self.connection.sendall(answer.body)

    def _send_file(self, file: BinaryIO | None, left: int) -> None:
        while file is not None and left:
            piece = file.read(min(left, PIECE))
            if not piece:
                # Fewer bytes than were promised: the client must not take them for all.
                self._reset()
                return
            self.connection.settimeout(SEND_SECONDS)
            self.connection.sendall(piece)
            left -= len(piece)

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)

    def _flush(self) -> None:
        pending = self._drain()
        if pending:
            self.connection.settimeout(SEND_SECONDS)
            self.connection.sendall(pending)

    def _drain(self) -> bytes:
        content = self._head.getvalue()
        self._head.seek(0)
        self._head.truncate()
        return content

    def __getattr__(self, name: str) -> Callable[[], None]:
        # http.server looks up do_GET, do_POST, …; which there are is the application's matter.
        if name.startswith("do_"):
            return self._exchange
        raise AttributeError(name)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        # Not the request's line: the query string of a presigned URL is a secret.
        logger.debug("A request was answered with %s", code)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        # What the base class says repeats a request's first line, where a URL may hold a secret.
        logger.debug("The HTTP server notes: %s", format)
