"""The vendor's driver; the only module that imports it, and that names what is private in it.

The dialect decides when a request is sent, and what becomes of a session (``transport``,
``sessions``), for which the driver offers no way of its own. What is taken from its inside is all
here, and is looked for when the driver is loaded: a release that lacks something of it is refused
before anything is sent.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import logging
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

from vinci_code.database.dialect.borrowed import Used, missing
from vinci_code.database.dialect.dberrors import InterfaceError
from vinci_code.database.dialect.forking import in_child, undisturbed

if TYPE_CHECKING:
    from vinci_code.database.dialect.text.binding import Parameter

DISTRIBUTION = "databricks-sql-connector"
SUPPORTED = ">=4.9,<5"
"""The releases of the driver that this was written for, as the extra ``databricks`` has them."""

_CLIENT = "databricks.sql.client"
_BACKEND = "databricks.sql.backend.thrift_backend"
_HTTP = "databricks.sql.auth.thrift_http_client"
_TELEMETRY = "databricks.sql.telemetry.telemetry_client"
_WEB = "databricks.sql.common.unified_http_client"
_TTYPES = "databricks.sql.thrift_api.TCLIService.ttypes"

# By module and class: what is called, read or replaced of it that the driver's users are not shown.
USED: Used = {
    (_CLIENT, "Connection"): (
        "_open_session_with_reyden_fallback",
        "_cursors",
        "http_client",
        "session",
        "open",
    ),
    (_CLIENT, "Cursor"): ("active_command_id", "fetchall_arrow", "fetchmany_arrow"),
    ("databricks.sql.session", "Session"): ("backend", "is_open", "open"),
    (_BACKEND, "ThriftDatabricksClient"): (
        "make_request",
        "cancel_command",
        "get_query_state",
        "retry_policy",
        "_request_lock",
        "_transport",
        "_auth_provider",
        "_client",
    ),
    (_HTTP, "THttpClient"): (
        "_THttpClient__timeout",
        "_THttpClient__pool",
        "_THttpClient__resp",
        "_THttpClient__wbuf",
        "_headers",
        "code",
        "headers",
    ),
    ("databricks.sql.auth.retry", "DatabricksRetryPolicy"): ("total", "read", "raise_on_status"),
    ("databricks.sql.parameters.native", "DbsqlParameterBase"): (
        "_tspark_param_value",
        "CAST_EXPR",
    ),
    (_TELEMETRY, "TelemetryClientFactory"): ("_lock", "_initialized", "_flush_event"),
    (_TTYPES, "TCloseSessionReq"): ("sessionHandle",),
    (_TTYPES, "TSparkArrowResultLink"): ("fileLink", "startRowOffset", "rowCount"),
    (_TTYPES, "TSparkArrowBatch"): ("rowCount",),
    (_TTYPES, "TRowSet"): ("resultLinks", "arrowBatches", "columns"),
    (_WEB, "UnifiedHttpClient"): (
        "request_context",
        "_get_pool_manager_for_url",
        "_prepare_headers",
        "request",
    ),
}

_SILENT = logging.NullHandler()
# Where the driver logs every request and answer whole, at DEBUG, to nobody by default: a commit of
# 10,000 rows took ten times as long for it, most of that to mask the secrets in it.
_EVERYTHING = "databricks.sql.unsafe"
_ATTACH = "_vinci_attach"
_TIMEOUT, _POOL = "_THttpClient__timeout", "_THttpClient__pool"
_WRITTEN, _ANSWER = "_THttpClient__wbuf", "_THttpClient__resp"

# The methods of the links that PUT and REMOVE are answered with.
_TRANSFERS = frozenset({"PUT", "DELETE"})

Transfer = Callable[[str, str, Mapping[str, str], Any], Any]
"""Sends a file to a link, or removes it: given a method, the link, headers and the file."""

Attach = Callable[["ThriftClient"], contextlib.AbstractContextManager[None]]
"""Is given the client of a session before anything is sent; its context is open meanwhile."""


def load() -> None:
    """Import the driver, which takes a second and a half, and look for what is used of it.

    Raises:
        InterfaceError: It lacks something.
    """
    _loaded()


def connect(attach: Attach, arguments: Mapping[str, Any]) -> Any:
    """Open a connection of the driver, and give its client to ``attach``.

    Raises:
        InterfaceError: The driver is not one that can be used safely.
        Exception: Whatever the driver lets through.
    """
    # What goes wrong is raised, and reported once: without this, the driver's own ERROR lines would
    # go to standard error where nobody has configured logging.
    logging.getLogger("databricks").addHandler(_SILENT)
    driver = _loaded()
    _log_no_contents()  # the backend's module sets the level as it is imported
    return driver.connection(**arguments, **{_ATTACH: attach})


def parameter(of: Parameter) -> Any:
    """The driver's parameter of one of ours."""
    return _loaded().parameter(of)


def client_of(connection: Any) -> Any:
    """The driver's Thrift client of one of its connections."""
    return connection.session.backend


def forget_cursor(connection: Any, cursor: Any) -> None:
    """Let a connection forget a cursor of its own: it keeps each until it is closed."""
    with contextlib.suppress(ValueError):
        connection._cursors.remove(cursor)


def forget_cursors(connection: Any) -> None:
    """Let a connection forget all of its cursors, so that it ends none of their results."""
    connection._cursors.clear()


def connect_undisturbed(connection: Any) -> None:
    """Have no fork come while a lost socket of a connection's session is opened again."""
    pool = getattr(client_of(connection)._transport, _POOL)
    opened: Any = pool.ConnectionCls

    class Undisturbed(opened):  # type: ignore[misc]
        """A connection of the pool's own class."""

        def connect(self) -> None:
            with undisturbed():
                super().connect()

    pool.ConnectionCls = Undisturbed


def cut(connection: Any) -> None:
    """Cut a connection of urllib3's off, so that whoever reads from it in another thread goes on.

    To close it would leave the reader waiting: only the end of both directions wakes it.
    """
    opened = getattr(connection, "sock", None)
    opened = getattr(opened, "socket", opened)  # TLS within TLS, to a proxy
    if isinstance(opened, socket.socket):
        with contextlib.suppress(OSError):
            # Not the method of ssl's own class, which takes the reader's session from it.
            socket.socket.shutdown(opened, socket.SHUT_RDWR)


class _Web:
    """The driver's client for all that is not Thrift, but for links to files, which go otherwise.

    It is put in the place of the driver's own, of which it has everything else.
    """

    def __init__(self, own: Any) -> None:
        self.own = own
        self.fetch: Callable[[str, Mapping[str, str]], Any] | None = None
        self.transfer: Transfer | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.own, name)

    @contextlib.contextmanager
    def request_context(
        self, method: Any, url: str, headers: Mapping[str, str] | None = None, **options: Any
    ) -> Iterator[Any]:
        """Answer a request; of the driver, only what fetches a file sets a time limit."""
        if self.fetch is not None and "timeout" in options:
            yield self.fetch(url, headers or {})
        else:
            with self.own.request_context(method, url, headers, **options) as response:
                yield response

    def request(
        self, method: Any, url: str, headers: Mapping[str, str] | None = None, **options: Any
    ) -> Any:
        """Answer a request; of the driver, only PUT and REMOVE have these methods."""
        if self.transfer is not None and method.value in _TRANSFERS:
            return self.transfer(method.value, url, headers or {}, options.get("body"))
        return self.own.request(method, url, headers, **options)


class ThriftClient:
    """The driver's Thrift client of one session, with what the dialect does to it.

    Args:
        backend: It, before it has sent anything.
        web: What the driver fetches files with.

    Raises:
        InterfaceError: It is none that can be used safely.
    """

    def __init__(self, backend: Any, web: _Web) -> None:
        self._backend = backend
        self._web = web
        self._transport = backend._transport
        self._send = backend.make_request
        self._watched: Any = None
        _send_once(backend)

    def send_by(self, request: Callable[..., Any]) -> None:
        """Have each request go through a function, which is given a method and the request."""
        self._backend.make_request = request

    @property
    def lock(self) -> contextlib.AbstractContextManager[Any]:
        """The driver's lock: another thread may be cancelling over the same transport."""
        lock: contextlib.AbstractContextManager[Any] = self._backend._request_lock
        return lock

    def prepare(self, timeout: Any) -> None:
        """Make ready for the next request: nothing of the one before is taken for its own.

        Args:
            timeout: One of ``timeout``.
        """
        self._transport.code, self._transport.headers = None, {}
        # The only way to bound connecting and reading apart; setTimeout takes one number.
        setattr(self._transport, _TIMEOUT, timeout)
        # What is there of a request whose writing was interrupted would be sent before this.
        setattr(self._transport, _WRITTEN, BytesIO())

    def send(self, method: Any, request: Any) -> Any:
        """Send a request as the driver does."""
        return self._send(method, request)

    @property
    def status(self) -> int | None:
        """The HTTP status of the last answer; ``None`` where there was none."""
        code = self._transport.code
        return code if isinstance(code, int) else None

    @property
    def received(self) -> int:
        """How many bytes of an answer's body came over the network, before it is closed."""
        answer = getattr(self._transport, _ANSWER)
        return 0 if answer is None else int(answer.tell())

    def header(self, name: str) -> str | None:
        """A header of the last answer."""
        found: str | None = self._transport.headers.get(name)
        return found

    def sent_authorization(self) -> str | None:
        """What the last request was signed with."""
        headers = self._transport._headers
        return next((v for k, v in headers.items() if k.lower() == "authorization"), None)

    def get(self, path: str, timeout: Any) -> tuple[str | None, Any]:
        """Ask the workspace for a path, on the way of the driver's own requests.

        Returns:
            What the request was signed with, and urllib3's response, not read yet.
        """
        unsigned = self._transport._headers.items()
        headers = {name: value for name, value in unsigned if name.lower() != "authorization"}
        self._backend._auth_provider.add_headers(headers)
        response = getattr(self._transport, _POOL).request(
            "GET",
            path,
            headers=headers,
            timeout=timeout,
            retries=False,
            redirect=False,
            preload_content=False,
        )
        sent = (value for name, value in headers.items() if name.lower() == "authorization")
        return next(sent, None), response

    def fetch_links_by(self, fetch: Callable[[str, Mapping[str, str]], Any]) -> None:
        """Have files of a result fetched by a function, which is given a link and headers."""
        self._web.fetch = fetch

    def transfer_by(self, transfer: Transfer) -> None:
        """Have files sent to volumes, and removed, by a function."""
        self._web.transfer = transfer

    def ask_link(
        self,
        method: str,
        link: str,
        headers: Mapping[str, str],
        timeout: Any,
        written: Callable[[Any], None],
        body: Any = None,
    ) -> Any:
        """Send a request to a link, once, over connections that the driver uses for nothing else.

        No token goes with it, and no redirect is followed.

        Args:
            method: GET, PUT or DELETE.
            link: The address.
            headers: What the link says is to be sent.
            timeout: One of ``timeout``.
            written: Is given urllib3's connection before the request is written to it.
            body: What is sent: pieces of bytes, with their length among the headers.

        Returns:
            urllib3's response, not read yet.
        """
        manager = self._web.own._get_pool_manager_for_url(link)
        if manager is None:
            raise InterfaceError("the connection is closed")
        pool = manager.connection_from_url(link)
        if not hasattr(pool.ConnectionCls, _NOTED):
            pool.ConnectionCls = _noting(pool.ConnectionCls)
        _asking.written = written
        return manager.request(
            method,
            link,
            body=body,
            headers=self._web.own._prepare_headers(dict(headers)),
            timeout=timeout,
            retries=False,
            redirect=False,
            preload_content=False,
        )

    def closing(self, handle: Any) -> tuple[Any, Any]:
        """The method that ends a session, and the request for one, by its handle."""
        return self._backend._client.CloseSession, _loaded().closing(sessionHandle=handle)

    def hang_up(self) -> None:
        """Close the sockets, which the driver leaves to the garbage collector."""
        getattr(self._transport, _POOL).close()

    def watch(self, written: Callable[[Any], None]) -> None:
        """Have it called when a request begins to be written, which is after connecting.

        No exception tells: where the connection to a proxy breaks, urllib3 says ProxyError, be it
        before the request or after its execution.

        Args:
            written: Is given urllib3's connection. It must not hold the client, which holds the
                pool: with its sockets that would stay until the garbage collector comes.
        """
        pool = getattr(self._transport, _POOL)
        if pool is self._watched:
            return
        self._watched = pool  # the driver makes another one as it opens a session
        opened: Any = pool.ConnectionCls

        class Watched(opened):  # type: ignore[misc]
            """A connection of the pool's own class."""

            def __repr__(self) -> str:
                # As of urllib3's own: its errors say it.
                return f"{opened.__name__}(host={self.host!r}, port={self.port!r})"

            def request(self, *arguments: Any, **named: Any) -> None:
                written(self)
                super().request(*arguments, **named)

        pool.ConnectionCls = Watched

    @staticmethod
    def timeout(connect: float, read: float) -> Any:
        """How long connecting, and each part of an answer, may take, in seconds."""
        return _loaded().timeout(connect=connect, read=read)


_NOTED = "_vinci_noted"
_asking = threading.local()


def _noting(opened: Any) -> Any:
    """A class of connections that note themselves as a request is written, for their thread."""

    class Noting(opened):  # type: ignore[misc]
        """A connection of the pool's own class."""

        _vinci_noted = True

        def __repr__(self) -> str:
            return f"{opened.__name__}(host={self.host!r}, port={self.port!r})"

        def connect(self) -> None:
            with undisturbed():
                super().connect()

        def request(self, *arguments: Any, **named: Any) -> None:
            _asking.written(self)
            super().request(*arguments, **named)

    return Noting


class _Driver(NamedTuple):
    """What is made of the driver's classes."""

    connection: Any
    parameter: Any
    timeout: Any
    closing: Any


@functools.cache
def _loaded() -> _Driver:
    from databricks.sql.client import Connection as DriverConnection
    from databricks.sql.parameters.native import DbsqlParameterBase
    from databricks.sql.session import Session as DriverSession
    from databricks.sql.telemetry.telemetry_client import TelemetryClientFactory
    from databricks.sql.thrift_api.TCLIService.ttypes import TCloseSessionReq
    from urllib3 import Timeout

    _require_all()
    in_child(TelemetryClientFactory, _renew_telemetry)

    class Attached(DriverConnection):
        """The driver's connection, without its detour over another backend."""

        # Asked for as it is collected, also where its arguments did not even make a session.
        session: Any = None

        @property
        def open(self) -> bool:
            """Whether it has an open session."""
            return self.session is not None and super().open

        def _open_session_with_reyden_fallback(
            self,
            server_hostname: str,
            http_path: str,
            http_headers: Any,
            session_configuration: Any,
            catalog: Any,
            schema: Any,
            complex_types: Any,
            kwargs: dict[str, Any],
        ) -> Any:
            attach = kwargs.pop(_ATTACH)
            web: Any = _Web(self.http_client)
            self.http_client = web
            # Also on the connection if opening fails: the driver's own clean-up looks for it.
            self.session = DriverSession(
                server_hostname,
                http_path,
                self.http_client,
                http_headers,
                session_configuration,
                catalog,
                schema,
                complex_types,
                **kwargs,
            )
            in_child(self, _disown)
            with attach(ThriftClient(self.session.backend, web)):
                self.session.open()
            return self.session

    class Exact(DbsqlParameterBase):
        """A parameter whose type and text are settled."""

        name = None

        def __init__(self, parameter: Parameter) -> None:
            self.value = parameter.value
            self.CAST_EXPR = parameter.type

        def __str__(self) -> str:
            # The driver logs what it is given.
            return f"<{self.CAST_EXPR}>"

        def _tspark_param_value(self) -> Any:
            if self.value is None:
                return None
            return super()._tspark_param_value()  # type: ignore[no-untyped-call]

    return _Driver(Attached, Exact, Timeout, TCloseSessionReq)


def _require_all() -> None:
    lacks = missing(USED)
    if lacks:
        found = importlib.metadata.version(DISTRIBUTION)
        raise InterfaceError(
            f"{DISTRIBUTION} {found} is installed, and {DISTRIBUTION}{SUPPORTED} is supported: "
            f"it lacks {', '.join(lacks)}; nothing was sent. To fix it: python -m pip install "
            f"'{DISTRIBUTION}{SUPPORTED}'"
        )


def _send_once(backend: Any) -> None:
    """Have every request sent once by what lies below, and answered with whatever comes."""
    policy = backend.retry_policy
    policy.total = 0
    policy.read = False
    # A status is an answer: its headers say how long to wait.
    policy.raise_on_status = False


def _log_no_contents() -> None:
    """Have requests and answers not logged whole, unless somebody has asked for that."""
    logger = logging.getLogger(_EVERYTHING)
    if all(isinstance(handler, logging.NullHandler) for handler in logger.handlers):
        logger.setLevel(logging.CRITICAL + 1)


def _disown(connection: Any) -> None:
    """Have a child send nothing through a connection of its parent's.

    Neither on purpose nor as it is collected, which would end the parent's session.
    """
    session = connection.session
    session.is_open = False
    session.backend.make_request = _refuse
    connection._cursors = []


def _refuse(method: Any, *_: object, **__: object) -> Any:
    raise ConnectionError(
        f"{method.__name__} was not sent: the session was opened before this process was forked, "
        "and is its parent's\nTo fix it: open a connection in the child."
    )


def _renew_telemetry(factory: Any) -> None:
    """Have the driver's telemetry, of which nothing is sent, begin anew in a child.

    Each connection that is opened or closed takes its lock.
    """
    factory._lock = threading.RLock()
    factory._initialized = False
    factory._flush_event = threading.Event()
