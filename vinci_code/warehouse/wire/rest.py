"""What a workspace offers over HTTPS beside Thrift, as far as clients of a warehouse need it.

* OIDC discovery and the token endpoint for OAuth machine-to-machine: the paths, the Basic
  authentication and the fields are those that databricks-sdk-py uses (``oauth.py``).
* The warehouse's state: https://docs.databricks.com/api/workspace/warehouses/get and ``/start``.
* The query history, which ``history`` answers, the Files API, which ``files_api`` does, and the
  lists of Unity Catalog, which ``unity_api`` does; who the user is.
* The feature flags and telemetry of databricks-sql-connector (``common/feature_flag.py``,
  ``telemetry/``): answered and recorded, so that a test can assert that none was asked for.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
import secrets
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vinci_code.warehouse.sql.query_context import USER
from vinci_code.warehouse.wire import users
from vinci_code.warehouse.wire.server import HttpAnswer, Request

FORBIDDEN_TEXT = "Invalid access token."
UNAUTHENTICATED_TEXT = "Credential was not sent or was of an unsupported type for this API."
REASON_HEADER = "x-databricks-reason-phrase"
ERROR_HEADER = "x-thriftserver-error-message"

RUNNING, STARTING, STOPPED = "RUNNING", "STARTING", "STOPPED"

HISTORY_PATH = "/api/2.0/sql/history/queries"

UNITY_PREFIX = "/api/2.1/unity-catalog/"

_WAREHOUSES = "/api/2.0/sql/warehouses"
_ME = "/api/2.0/preview/scim/v2/Me"
_DISCOVERY = "/oidc/.well-known/oauth-authorization-server"
_OPENID = "/oidc/.well-known/openid-configuration"
_HOST_METADATA = "/.well-known/databricks-config"
_TOKEN = "/oidc/v1/token"  # noqa: S105 (a path)
_OPEN_PATHS = frozenset({_DISCOVERY, _OPENID, _HOST_METADATA, _TOKEN, "/telemetry-unauth"})

_WAREHOUSE = re.compile(r"/api/2\.0/sql/warehouses/([^/]+)(/start|/stop)?")
_FEATURE_FLAGS = re.compile(r"/api/2\.0/connector-service/feature-flags/[^/]+/[^/]+")
# Those of the Files API are named without the file, which the record's path has.
_FILES = re.compile(r"(/api/2\.0/fs/(?:files|directories))(?:/.*)?", re.DOTALL)


class AcceptedCredentials:
    """The tokens that the warehouse accepts, and the service principal that can ask for more.

    Args:
        token_lifetime: Seconds that a token from the token endpoint is good for.
        tokens: Tokens of users, and whose they are.

    Raises:
        ValueError: One of them is no token, or names no user.
    """

    def __init__(
        self, token_lifetime: float = 3600.0, tokens: Mapping[str, str] | None = None
    ) -> None:
        # The shapes of a personal access token and of an OAuth secret, known to secret scanners.
        self.access_token = "dapi" + secrets.token_hex(16)
        self.client_id = str(_random_uuid())
        self.client_secret = "dose" + secrets.token_hex(16)
        self.token_lifetime = token_lifetime
        self._lock = threading.Lock()
        self._revoked: set[str] = set()
        self._issued: dict[str, float] = {}
        self.on_secret: Callable[[str], None] | None = None
        """Called with every new secret, so that it can be kept out of the request log."""
        self._of_users: dict[str, str] = {}
        for token, user in (tokens or {}).items():
            self.add(token, user)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret made so far."""
        with self._lock:
            return (self.access_token, self.client_secret, *self._issued, *self._of_users)

    def add(self, token: str, user: str) -> None:
        """Accept a token of a user from now on.

        Raises:
            ValueError: It is no token, it is another user's, or there can be no such user.
        """
        users.checked(token, user)
        with self._lock:
            taken = token == self.access_token or token in self._issued
            if taken or self._of_users.get(token, user) != user:
                raise ValueError("the token is another user's already")
            self._of_users[token] = user
        if self.on_secret is not None:
            self.on_secret(token)

    def issue(self) -> str:
        """Make a token of the set lifetime."""
        # Opaque: a JWT would send the driver to another host for an exchange (token_federation.py).
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._issued[token] = time.monotonic() + self.token_lifetime
        if self.on_secret is not None:
            self.on_secret(token)
        return token

    def user_of(self, token: str) -> str | None:
        """Whose bearer token it is, if it opens the warehouse now."""
        with self._lock:
            if token in self._revoked:
                return None
            if _same(token, self.access_token):
                return USER
            expires = self._issued.get(token)
            if expires is not None:
                return USER if time.monotonic() < expires else None
            return self._of_users.get(token)

    def revoke(self, token: str) -> None:
        """Refuse a token from now on."""
        with self._lock:
            self._revoked.add(token)

    def reinstate(self) -> None:
        """Accept again what was revoked."""
        with self._lock:
            self._revoked.clear()

    def is_service_principal(self, client_id: str, client_secret: str) -> bool:
        """Whether these are the service principal's id and secret."""
        return _same(client_id, self.client_id) and _same(client_secret, self.client_secret)


@dataclass(frozen=True)
class Refusal:
    """Why the warehouse serves no statement now.

    Attributes:
        retry_after: Seconds for the ``Retry-After`` header, if one is sent.
        on_sessions: Whether it shows on the calls of a session rather than as HTTP 503.
    """

    retry_after: float | None
    on_sessions: bool


class WarehouseState:
    """Whether the warehouse runs: it does, unless it was stopped or a cold start was scripted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stopped_until = 0.0
        self._running_from = 0.0
        self._start_seconds = 0.0
        self._refusal = Refusal(None, on_sessions=False)

    @property
    def state(self) -> str:
        """``RUNNING``, ``STARTING`` or ``STOPPED``."""
        now = time.monotonic()
        with self._lock:
            if now < self._stopped_until:
                return STOPPED
            return STARTING if now < self._running_from else RUNNING

    def cold_start(self, stopped: float, seconds: float, refusal: Refusal) -> None:
        """Be stopped for a while, then starting for a while, then run."""
        with self._lock:
            self._stopped_until = time.monotonic() + stopped
            self._running_from = self._stopped_until + seconds
            self._start_seconds = seconds
            self._refusal = refusal

    def stop(self) -> None:
        """Stop, until something is asked of the warehouse."""
        with self._lock:
            self._stopped_until = self._running_from = float("inf")
            self._start_seconds = 0.0
            self._refusal = Refusal(None, on_sessions=False)

    def start(self) -> None:
        """Begin to start at once, if stopped."""
        with self._lock:
            now = time.monotonic()
            if now < self._stopped_until:
                self._stopped_until = now
                self._running_from = now + self._start_seconds

    def wake(self) -> Refusal | None:
        """Note that something is asked of the warehouse; why it cannot be served yet, if so.

        A warehouse that was stopped by hand starts by itself when it is asked for something.
        """
        with self._lock:
            by_hand = self._stopped_until == float("inf")
        if by_hand:
            self.start()
        return None if self.state == RUNNING else self._refusal


class Rest:
    """Answers the requests that are not Thrift.

    Args:
        credentials: Who may ask.
        state: The warehouse's state.
        warehouse_id: Its id.
        history: Answers who asks for the query history.
        files: Answers what begins with ``/api/2.0/fs/``.
        unity: Answers what begins with ``/api/2.1/unity-catalog/``.

    Attributes:
        base_url: The workspace's address, ``https://localhost:PORT``; known once it listens.
    """

    def __init__(
        self,
        credentials: AcceptedCredentials,
        state: WarehouseState,
        warehouse_id: str,
        history: Callable[[Request], HttpAnswer],
        files: Callable[[Request], HttpAnswer],
        unity: Callable[[Request], HttpAnswer],
    ) -> None:
        self._credentials = credentials
        self._state = state
        self._warehouse_id = warehouse_id
        self._history = history
        self._files = files
        self._unity = unity
        self.base_url = ""

    def authenticate(self, request: Request) -> HttpAnswer | None:
        """The refusal of a request without a good token; ``None`` lets it pass, as its user's.

        Discovery and the token endpoint are open, as they must be for a client that has no token
        yet; the token endpoint asks for the service principal's secret instead.
        """
        if request.path in _OPEN_PATHS:
            return None
        token = bearer_token(request)
        if token is None:
            return unauthenticated()
        user = self._credentials.user_of(token)
        if user is None:
            return forbidden()
        request.user = user
        return None

    def answer(self, request: Request) -> HttpAnswer:
        """Answer an authenticated request."""
        path, method = request.path, request.method
        fixed = {
            ("GET", _DISCOVERY): self._discovery,
            ("GET", _OPENID): self._discovery,
            ("GET", _HOST_METADATA): self._host_metadata,
            ("POST", _TOKEN): self._token,
            ("GET", HISTORY_PATH): self._history,
            ("GET", _WAREHOUSES): self._warehouses,
            ("GET", _ME): self._me,
            ("POST", "/telemetry-ext"): self._telemetry,
            ("POST", "/telemetry-unauth"): self._telemetry,
        }.get((method, path))
        if fixed is not None:
            return fixed(request)
        if method == "GET" and _FEATURE_FLAGS.fullmatch(path):
            return json_answer({"flags": [], "ttl_seconds": 900})
        for prefix, part in (("/api/2.0/fs/", self._files), (UNITY_PREFIX, self._unity)):
            if path.startswith(prefix):
                return part(request)
        match = _WAREHOUSE.fullmatch(path)
        if match:
            return self._warehouse(method, match.group(1), match.group(2))
        return error_answer(
            404,
            "ENDPOINT_NOT_FOUND",
            f"No API found for '{method} {path}': the local warehouse has those parts of the REST "
            "API that clients of a SQL warehouse need.",
        )

    def _discovery(self, _request: Request) -> HttpAnswer:
        issuer = f"{self.base_url}/oidc"
        return json_answer(
            {
                "issuer": issuer,
                "authorization_endpoint": f"{issuer}/v1/authorize",
                "token_endpoint": f"{issuer}/v1/token",
                "grant_types_supported": ["client_credentials"],
                "response_types_supported": ["token"],
                "scopes_supported": ["all-apis", "sql"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            }
        )

    def _host_metadata(self, _request: Request) -> HttpAnswer:
        return json_answer({"oidc_endpoint": f"{self.base_url}/oidc"})

    def _token(self, request: Request) -> HttpAnswer:
        form = urllib.parse.parse_qs(request.body.decode("utf-8", "replace"))
        if form.get("grant_type") != ["client_credentials"]:
            return _oauth_error(400, "unsupported_grant_type", "only client_credentials is known")
        pair = _basic_credentials(request)
        if pair is None or not self._credentials.is_service_principal(*pair):
            return _oauth_error(401, "invalid_client", "Client authentication failed")
        return json_answer(
            {
                "access_token": self._credentials.issue(),
                "token_type": "Bearer",
                "scope": form.get("scope", ["all-apis"])[0],
                "expires_in": int(self._credentials.token_lifetime),
            }
        )

    def _telemetry(self, request: Request) -> HttpAnswer:
        # The driver reads these fields of the answer (telemetry/models/endpoint_models.py).
        try:
            logs = json.loads(request.body or b"{}").get("protoLogs", [])
        except (ValueError, AttributeError):
            return error_answer(400, "MALFORMED_REQUEST", "The body is no JSON object")
        count = len(logs) if isinstance(logs, list) else 0
        return json_answer({"errors": [], "numSuccess": count, "numProtoSuccess": count})

    def _me(self, request: Request) -> HttpAnswer:
        # The user of databricks-sdk-py's current_user.me (service/iam.py, User).
        return json_answer(
            {
                "id": str(users.user_id(request.user)),
                "userName": request.user,
                "displayName": request.user,
                "active": True,
                "emails": [{"value": request.user, "type": "work", "primary": True}],
            }
        )

    def _warehouses(self, _request: Request) -> HttpAnswer:
        return json_answer({"warehouses": [self._description()]})

    def _warehouse(self, method: str, identifier: str, action: str | None) -> HttpAnswer:
        if identifier != self._warehouse_id:
            return no_such_warehouse(identifier)
        if action is None and method == "GET":
            return json_answer(self._description())
        if action is not None and method == "POST":
            if action == "/start":
                self._state.start()
            else:
                self._state.stop()
            return json_answer({})
        return error_answer(405, "METHOD_NOT_ALLOWED", f"{method} is not allowed here")

    def _description(self) -> dict[str, object]:
        host, _, port = self.base_url.removeprefix("https://").partition(":")
        running = self._state.state == RUNNING
        return {
            "id": self._warehouse_id,
            "name": "vinci local warehouse",
            "cluster_size": "2X-Small",
            "min_num_clusters": 1,
            "max_num_clusters": 1,
            "num_clusters": 1 if running else 0,
            "auto_stop_mins": 0,
            "warehouse_type": "PRO",
            "enable_serverless_compute": False,
            "state": self._state.state,
            "health": {"status": "HEALTHY"} if running else {},
            "odbc_params": {
                "hostname": host,
                "path": f"/sql/1.0/warehouses/{self._warehouse_id}",
                "protocol": "https",
                "port": int(port or 443),
            },
        }


def operation_of(method: str, path: str) -> str:
    """What the request log, and a fault, calls a request."""
    match = _FILES.fullmatch(path)
    return f"{method} {match.group(1) if match else path}"


def bearer_token(request: Request) -> str | None:
    """The token of a request, if it has one of the right kind."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    token = token.strip()
    return token if scheme.lower() == "bearer" and token else None


def json_answer(content: object, status: int = 200) -> HttpAnswer:
    """An answer with a JSON body."""
    return HttpAnswer(status, json.dumps(content).encode(), {"Content-Type": "application/json"})


def error_answer(status: int, code: str | int, message: str) -> HttpAnswer:
    """An error in the shape of the REST API, with the header that the driver reads."""
    answer = json_answer({"error_code": code, "message": message}, status)
    answer.headers[REASON_HEADER] = message
    return answer


def unauthenticated() -> HttpAnswer:
    """A request without a credential (recorded in databricks-jdbc's tests)."""
    answer = error_answer(401, 401, UNAUTHENTICATED_TEXT)
    answer.headers["WWW-Authenticate"] = 'Bearer realm="DatabricksRealm"'
    return answer


def forbidden() -> HttpAnswer:
    """A request with a credential that is not good (recorded in databricks-jdbc's tests)."""
    return error_answer(403, 403, FORBIDDEN_TEXT)


def no_such_warehouse(identifier: str) -> HttpAnswer:
    """A request for another warehouse."""
    return error_answer(
        404, "RESOURCE_DOES_NOT_EXIST", f"SQL warehouse {identifier[:100]!a} does not exist."
    )


def refused(name: str) -> HttpAnswer:
    """Something that a real workspace has and the local warehouse does not, not to be retried."""
    return error_answer(
        400,
        "UNSUPPORTED_BY_LOCAL_WAREHOUSE",
        f"[UNSUPPORTED_BY_LOCAL_WAREHOUSE] The local warehouse does not have {name}. "
        "SQLSTATE: 0A000",
    )


def _oauth_error(status: int, code: str, description: str) -> HttpAnswer:
    return json_answer({"error": code, "error_description": description}, status)


def _basic_credentials(request: Request) -> tuple[str, str] | None:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    name, colon, secret = text.partition(":")
    if not colon:
        return None
    # RFC 6749, 2.3.1: both are form-encoded before they are joined.
    return urllib.parse.unquote_plus(name), urllib.parse.unquote_plus(secret)


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _random_uuid() -> str:
    text = secrets.token_hex(16)
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
