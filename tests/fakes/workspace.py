"""A workspace on this machine: TLS, bearer tokens, OAuth, one warehouse.

What it answers to wrong credentials is what a workspace was recorded to answer (public test data
of databricks-jdbc, ``src/test/resources``): 403 "Invalid access token." for a wrong token, 401 for
none.
"""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from tests.fakes.certificates import Authority, ServerCertificate
from tests.fakes.sql_service import HangUp, SqlService
from vinci_code.core.config import DatabaseSettings

WAREHOUSE_ID = "1a2b3c4d5e6f7a8b"
HTTP_PATH = f"/sql/1.0/warehouses/{WAREHOUSE_ID}"
TOKEN = "dapi0f1e2d3c4b5a69788796a5b4c3d2e1f0"
CLIENT_ID = "6f1c0d9e-52b7-4a3c-8e1d-7b9a0c2e4f68"
CLIENT_SECRET = "dose9f8e7d6c5b4a39281706f5e4d3c2b1a0"


class FakeWorkspace:
    """Serves until the ``with`` block ends; its attributes say how it answers.

    Attributes:
        tokens: Bearer tokens that are accepted.
        clients: OAuth client ids and their secrets.
        state: What the warehouse is doing: ``RUNNING``, ``STOPPED``, ``STARTING`` …
        starts_after: How many connection attempts a stopped warehouse needs until it runs;
            ``None`` means that it never does.
        knows_users: Whether it answers the question for the current user.
        rest_status: Status with which every path but the warehouse's is answered, or ``None``.
        rest_message: What is said with it.
        warehouse_status: Status with which the warehouse's own path is answered, or ``None``.
        delay: Seconds to wait before any answer.
        answers: By path, what gives status, body and headers for a query; only with a good token.
        requests: Method and path of every request.
        user_agents: The ``User-Agent`` headers seen.
    """

    def __init__(self, certificate: ServerCertificate, *, warehouse_id: str = WAREHOUSE_ID) -> None:
        self.warehouse_id = warehouse_id
        self.http_path = f"/sql/1.0/warehouses/{warehouse_id}"
        self.sql = SqlService()
        self.tokens = {TOKEN}
        self.clients = {CLIENT_ID: CLIENT_SECRET}
        self.issued = 0
        self.token_lifetime = 3600
        self.state = "RUNNING"
        self.starts_after: int | None = None
        self.knows_users = True
        self.rest_status: int | None = None
        self.rest_message = "as the test wants it"
        self.warehouse_status: int | None = None
        self.warehouse_message = ""
        self.delay = 0.0
        self.answers: dict[str, Callable[[str], tuple[int, bytes, dict[str, str]]]] = {}
        self.requests: list[str] = []
        self.user_agents: set[str] = set()
        self.organizations: set[str] = set()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.file)
        handler = type("Handler", (_Handler,), {"workspace": self})
        self._server = _Server(("127.0.0.1", 0), handler, context)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}
        )

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point an application at it, without credentials."""
        return {
            "USE_DATABRICKS": "true",
            "DATABRICKS_SERVER_HOSTNAME": self.host,
            "DATABRICKS_HTTP_PATH": self.http_path,
        }

    def __enter__(self) -> FakeWorkspace:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.sql.closing.set()
        self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()
        self._thread.join()

    def settings(self, authority: Authority, **arguments: object) -> DatabaseSettings:
        """Settings for it, with the token unless the arguments say how else to authenticate."""
        given: dict[str, Any] = {
            "use_databricks": True,
            "databricks_server_hostname": self.host,
            "databricks_http_path": self.http_path,
            "databricks_ca_file": authority.file,
            "databricks_access_token": TOKEN,
            **arguments,
        }
        return DatabaseSettings(**{name: v for name, v in given.items() if v is not None})

    def attempt(self) -> bool:
        """Whether the warehouse runs, after one more attempt to connect to it."""
        if self.state != "RUNNING" and self.starts_after is not None:
            self.state = "STARTING"
            self.starts_after -= 1
            if self.starts_after <= 0:
                self.state = "RUNNING"
        return self.state == "RUNNING"


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True

    def __init__(
        self, address: tuple[str, int], handler: type[_Handler], context: ssl.SSLContext
    ) -> None:
        super().__init__(address, handler)
        self._context = context
        self._open: set[socket.socket] = set()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        # The handshake waits for the thread of the connection: a client that says nothing must not
        # keep others out.
        secured = self._context.wrap_socket(
            connection, server_side=True, do_handshake_on_connect=False
        )
        self._open.add(secured)
        return secured, address

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet: clients that refuse the certificate or hang up are what is tested."""

    def hang_up(self) -> None:
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the client was quicker


class _Handler(BaseHTTPRequestHandler):
    workspace: ClassVar[FakeWorkspace]
    protocol_version = "HTTP/1.1"
    timeout = 30
    wbufsize = -1  # headers and body in one segment; two would wait for each other for 40 ms

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def _answer(self, body: bytes) -> None:
        workspace = self.workspace
        workspace.requests.append(f"{self.command} {self.path}")
        workspace.user_agents.add(self.headers.get("User-Agent", ""))
        workspace.organizations.add(self.headers.get("x-databricks-org-id", ""))
        workspace.sql.closing.wait(workspace.delay)
        path = urlsplit(self.path).path
        if path.startswith("/sql/1.0/"):
            self._answer_sql(path, body)
        elif workspace.rest_status is not None:
            self._json(workspace.rest_status, {"message": workspace.rest_message})
        elif path == "/oidc/.well-known/oauth-authorization-server":
            base = f"https://{workspace.host}"
            self._json(200, {"issuer": f"{base}/oidc", "token_endpoint": f"{base}/oidc/v1/token"})
        elif path == "/oidc/v1/token":
            self._answer_token(body)
        elif path.startswith("/api/"):
            self._answer_api(path)
        else:
            self._json(404, {"error_code": "ENDPOINT_NOT_FOUND", "message": "No API found"})

    def _answer_token(self, body: bytes) -> None:
        workspace = self.workspace
        scheme, _, pair = self.headers.get("Authorization", "").partition(" ")
        client, _, secret = base64.b64decode(pair).decode().partition(":")
        form = parse_qs(body.decode())
        if scheme != "Basic" or workspace.clients.get(client) != secret:
            description = "Client authentication failed"
            self._json(401, {"error": "invalid_client", "error_description": description})
        elif form.get("grant_type") != ["client_credentials"]:
            self._json(400, {"error": "unsupported_grant_type"})
        else:
            workspace.issued += 1
            token = f"opaque-oauth-token-number-{workspace.issued}"
            workspace.tokens.add(token)
            self._json(
                200,
                {
                    "access_token": token,
                    "token_type": "Bearer",
                    "expires_in": workspace.token_lifetime,
                    "scope": form["scope"][0],
                },
            )

    def _answer_api(self, path: str) -> None:
        if not self._let_in():
            return
        answer = self.workspace.answers.get(path)
        if answer is not None:
            self._send(*answer(urlsplit(self.path).query))
        elif path == "/api/2.0/preview/scim/v2/Me" and self.workspace.knows_users:
            self._json(200, {"userName": "ada@example.com", "active": True})
        elif path == f"/api/2.0/sql/warehouses/{self.workspace.warehouse_id}":
            self._json(200, {"name": "Small one", "state": self.workspace.state})
        else:
            message = f"SQL warehouse {path.rpartition('/')[2]} does not exist."
            self._json(404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": message})

    def _answer_sql(self, path: str, body: bytes) -> None:
        workspace = self.workspace
        if not self._let_in():
            return
        if path != workspace.http_path:
            reason = f"Endpoint {path.rpartition('/')[2]} does not exist."
            self._json(404, {}, {"x-databricks-error-or-redirect-message": reason})
        elif workspace.warehouse_status is not None:
            said = {"x-databricks-reason-phrase": workspace.warehouse_message}
            self._json(workspace.warehouse_status, {}, said if workspace.warehouse_message else {})
        elif not workspace.attempt():
            reason = "TEMPORARILY_UNAVAILABLE: Cluster 1123-fake is temporarily unavailable"
            self._json(503, {}, {"x-thriftserver-error-message": reason, "Retry-After": "1"})
        else:
            self._answer_thrift(body)

    def _answer_thrift(self, body: bytes) -> None:
        try:
            reply = self.workspace.sql.answer(body)
        except HangUp:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self._send(200, reply, {"Content-Type": "application/x-thrift"})

    def _let_in(self) -> bool:
        header = self.headers.get("Authorization", "")
        if not header:
            text = "Credential was not sent or was of an unsupported type for this API."
            self._json(401, {"error_code": 401, "message": text})
            return False
        if header.removeprefix("Bearer ") not in self.workspace.tokens:
            text = "Invalid access token."
            said = {"x-databricks-reason-phrase": text}
            self._json(403, {"error_code": 403, "message": text}, said)
            return False
        return True

    def _json(self, status: int, value: object, headers: dict[str, str] | None = None) -> None:
        kind = {"Content-Type": "application/json"}
        self._send(status, json.dumps(value).encode(), {**kind, **(headers or {})})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
