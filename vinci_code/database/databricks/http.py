"""One HTTPS request to a workspace: bounded, verified, and with nobody else's credentials.

The vendor's SDK sends its OAuth requests with no timeout and trusts the certificate bundle of
``requests`` alone (``retrieve_token`` in ``databricks/sdk/oauth.py``), and ``requests`` takes
credentials out of ``~/.netrc``. What has to end in time and to trust ``DATABRICKS_CA_FILE`` goes
through here instead. Redirects are not followed: they would carry credentials to another host.
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vinci_code.core.redaction import register_secret

MAX_REPLY_BYTES = 1024 * 1024
_DEFAULT_PROXY_PORT = 8080
_OK = 200


@dataclass(frozen=True)
class Proxy:
    """The proxy that requests to a host go through.

    Attributes:
        host: Name of the proxy.
        port: Its port.
        authorization: The value for ``Proxy-Authorization``, where the URL names a user.
    """

    host: str
    port: int
    authorization: str | None = None

    def __repr__(self) -> str:
        return f"Proxy({self})"

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class ProxyRefusedError(OSError):
    """The proxy answered, with an HTTP status, and did not let the request through."""

    def __init__(self, proxy: Proxy, status: int, reason: str) -> None:
        self.proxy = proxy
        self.status = status
        super().__init__(f"the proxy {proxy} answered {status} {reason}".rstrip())


@dataclass(frozen=True)
class Reply:
    """What a workspace answered.

    Attributes:
        status: The HTTP status.
        body: At most as many bytes of it as were asked for.
        headers: The headers, their names in lower case.
    """

    status: int
    body: bytes
    headers: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Reply(status={self.status}, {len(self.body)} bytes)"

    @property
    def ok(self) -> bool:
        """Whether the status says that all is well."""
        return self.status == _OK

    def json(self) -> dict[str, object]:
        """The body as a JSON object; empty where it is none."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    def message(self) -> str:
        """What the workspace says went wrong, or ``""``."""
        value = self.json()
        for key in ("message", "error_description", "error"):
            text = value.get(key)
            if isinstance(text, str) and text:
                return text
        return self.headers.get("x-databricks-reason-phrase", "")


def proxy_for(host: str) -> Proxy | None:
    """The proxy that the environment names for HTTPS to ``host``, or ``None``.

    Decides as the driver does (``detect_and_parse_proxy`` in its ``common/http_utils.py``):
    ``HTTPS_PROXY`` in either case, unless ``NO_PROXY`` covers the host. A password in the
    proxy's URL is a secret from here on.
    """
    url = urllib.request.getproxies().get("https")
    if not url or urllib.request.proxy_bypass(host):
        return None
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.hostname is None:
        return None
    authorization = None
    if parts.username:
        password = unquote(parts.password or "")
        if password:
            register_secret(password)
        pair = f"{unquote(parts.username)}:{password}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode("ascii")
    return Proxy(parts.hostname, parts.port or _DEFAULT_PROXY_PORT, authorization)


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """A context that verifies the chain and the name, trusting what the driver trusts.

    With a CA file the driver trusts that file alone, without one the system's store
    (``ca_certs`` in its ``auth/thrift_http_client.py``); a check that trusted more would pass where
    the driver then fails.
    """
    return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))


def open_socket(host: str, port: int, timeout: float) -> socket.socket:
    """Connect to ``host`` as the driver would: directly, or through a tunnel of the proxy.

    Raises:
        ProxyRefusedError: The proxy does not let us through.
        OSError: Nobody answers.
    """
    proxy = proxy_for(host)
    address = (host, port) if proxy is None else (proxy.host, proxy.port)
    connection = socket.create_connection(address, timeout)
    try:
        # The end of the TLS handshake and the request after it are two small segments.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if proxy is not None:
            _open_tunnel(connection, proxy, host, port)
    except BaseException:
        connection.close()
        raise
    return connection


def request(
    method: str,
    host: str,
    port: int,
    path: str,
    *,
    timeout: float,
    ca_file: Path | None = None,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    most: int = MAX_REPLY_BYTES,
) -> Reply:
    """Send one request and return the answer, whatever its status is.

    Args:
        method: ``"GET"`` or ``"POST"``.
        host: Name of the workspace.
        port: Its port.
        path: Path and query.
        timeout: Seconds that connecting and each read may take.
        ca_file: The CA bundle to trust instead of the system's.
        headers: Further headers.
        body: What to send.
        most: The most bytes that are read of the answer.

    Raises:
        OSError: No answer; ``ssl.SSLError`` where TLS failed.
        http.client.HTTPException: What came back is not HTTP.
    """
    context = tls_context(ca_file)
    raw = open_socket(host, port, timeout)
    try:
        secured = context.wrap_socket(raw, server_hostname=host)
    except BaseException:
        raw.close()
        raise
    connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
    connection.sock = secured
    try:
        connection.request(method, path, body=body, headers=dict(headers or {}))
        answer = connection.getresponse()
        received = answer.read(most)
        named = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, received, named)
    finally:
        connection.close()


def _open_tunnel(connection: socket.socket, proxy: Proxy, host: str, port: int) -> None:
    """Ask the proxy for a way to ``host`` (CONNECT, RFC 9110 section 9.3.6).

    Not by ``set_tunnel`` of ``http.client``, which urllib3 uses, too: there a proxy's refusal is an
    ``OSError`` that has its status in the text alone, and 407 needs another remedy than 403.
    """
    name = f"[{host}]" if ":" in host else host
    lines = [f"CONNECT {name}:{port} HTTP/1.1", f"Host: {name}:{port}"]
    if proxy.authorization is not None:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    connection.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
    answer = http.client.HTTPResponse(connection, method="CONNECT")
    try:
        answer.begin()
        if answer.status != _OK:
            raise ProxyRefusedError(proxy, answer.status, answer.reason)
    finally:
        answer.close()
