"""Credentials: a token, or the tokens that a service principal gets.

Whatever they are, the driver gets a :class:`CredentialsProvider` and never a token as text, so a
printed or pickled dictionary of connect arguments gives nothing away.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from vinci_code.core.redaction import (
    MASK,
    HoldsSecret,
    Secret,
    redact_exception,
    register_credentials,
    register_secret,
)
from vinci_code.database.databricks.failures import ExplainedError, Failure, Kind, Target
from vinci_code.database.databricks.http import Reply, request
from vinci_code.database.deadlines import run_with_deadline
from vinci_code.database.dialect.forking import renew_lock_in_child

HeaderFactory = Callable[[], dict[str, str]]

CREDENTIALS_TIMEOUT = 30.0
"""Seconds that getting a token may take, whoever is asked for it."""

_REQUEST_TIMEOUT = 10.0
# Azure Databricks rejects tokens with 30 s left or less (Token.expired in databricks/sdk/oauth.py).
_RENEW_BEFORE_EXPIRY = 40.0
# Of the lifetime; a token that lives for less than 40 s would be got anew for every request.
_RENEW_BEFORE_AT_MOST = 0.2
_DISCOVERY = "/oidc/.well-known/oauth-authorization-server"
_OK = 200


class CredentialsProvider(HoldsSecret):
    """What the driver calls a credentials provider: an object that gives it request headers.

    The driver calls it once for a header factory and that factory for the headers of a request
    (``ExternalAuthProvider`` in ``databricks/sql/auth/authenticators.py``). The factory asks for
    the headers anew at every call, so a token that was renewed is the one that is sent.
    """

    def __init__(
        self,
        auth_type: str,
        description: str,
        headers: HeaderFactory,
        forget: Callable[[], None] = lambda: None,
    ) -> None:
        self._auth_type = auth_type
        self._description = description
        self._headers = headers
        self._forget = forget

    def __call__(self, *_args: object, **_kwargs: object) -> HeaderFactory:
        """Give the driver the function that it asks for headers."""
        return self.headers

    def auth_type(self) -> str:
        """The method's short name, as the SDK names it: ``pat``, ``oauth-m2m`` or ``profile``."""
        return self._auth_type

    def invalidate(self) -> None:
        """Get another token for the next request, if that can be had: this one was rejected."""
        self._forget()

    @property
    def description(self) -> str:
        """The method in the words of a message: "the personal access token"."""
        return self._description

    def headers(self) -> dict[str, str]:
        """The headers for one request.

        Raises:
            ExplainedError: They could not be got, with the reason.
            DeadlineExceededError: They were not got in time.
        """
        try:
            headers = self._headers()
        except Exception as error:  # noqa: BLE001 - it goes on, without the locals of its frames
            # They hold the client secret and the header: a report that shows locals would too.
            raise redact_exception(error)  # noqa: B904 - the same object
        # A token that OAuth has just handed out is a secret in use from here on.
        register_credentials(headers)
        return headers

    def __repr__(self) -> str:
        return f"<CredentialsProvider: {self._description}, {MASK}>"


def token_credentials(token: Secret, description: str) -> CredentialsProvider:
    """Credentials that are one token, which does not change."""
    register_secret(token.get_secret_value())

    def headers() -> dict[str, str]:
        return {"Authorization": f"Bearer {token.get_secret_value()}"}

    return CredentialsProvider("pat", description, headers)


class OAuthTokens:
    """Access tokens for a service principal, got with its client id and secret, kept while good.

    The flow is that of ``oauth_service_principal`` in ``databricks/sdk/credentials_provider.py``:
    discovery at ``/oidc/.well-known/oauth-authorization-server``, then the grant
    ``client_credentials`` with HTTP Basic and the scope ``all-apis``. The SDK's own code cannot be
    used for it, since it sends the request for a token without a timeout and takes no CA file.

    A token is renewed 40 s before it ends, or, where it lives for a short time only, when a fifth
    of that is left. Of many threads one asks for it, and the others wait for what it gets.
    """

    def __init__(
        self,
        target: Target,
        client_id: str,
        client_secret: Secret,
        scopes: str = "all-apis",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        register_secret(client_secret.get_secret_value())
        self._target = target
        self._client_id = client_id
        self._client_secret = client_secret
        self._scopes = scopes
        self._clock = clock
        self._lock = threading.RLock()
        renew_lock_in_child(self)
        self._header: str | None = None
        self._good_until = 0.0

    def headers(self) -> dict[str, str]:
        """The headers for one request, with a token that is good for a while yet."""
        with self._lock:
            if self._header is None or self._clock() >= self._good_until:
                # From here, since it may have been on its way back for long.
                asked = self._clock()
                self._header, lifetime = run_with_deadline(
                    self._fetch, CREDENTIALS_TIMEOUT, "getting an OAuth token"
                )
                margin = min(_RENEW_BEFORE_EXPIRY, lifetime * _RENEW_BEFORE_AT_MOST)
                self._good_until = asked + lifetime - margin
            return {"Authorization": self._header}

    def forget(self) -> None:
        """Keep the token that there is no longer."""
        with self._lock:
            self._header = None

    def __repr__(self) -> str:
        return f"<OAuthTokens of {self._client_id}, {MASK}>"

    def _fetch(self) -> tuple[str, float]:
        endpoint = self._token_endpoint()
        secret = self._client_secret.get_secret_value()
        pair = base64.b64encode(f"{self._client_id}:{secret}".encode()).decode("ascii")
        register_secret(pair)
        form = {"grant_type": "client_credentials", "scope": self._scopes}
        reply = request(
            "POST",
            endpoint.host,
            endpoint.port,
            endpoint.path,
            timeout=_REQUEST_TIMEOUT,
            ca_file=self._target.ca_file,
            headers={
                "Authorization": f"Basic {pair}",
                "Content-Type": "application/x-www-form-urlencoded",
                "Accept": "application/json",
            },
            body=urlencode(form).encode("ascii"),
        )
        return self._token_in(reply)

    def _token_endpoint(self) -> _Endpoint:
        reply = request(
            "GET",
            self._target.host,
            self._target.port,
            _DISCOVERY,
            timeout=_REQUEST_TIMEOUT,
            ca_file=self._target.ca_file,
        )
        url = reply.json().get("token_endpoint")
        if not reply.ok or not isinstance(url, str) or urlsplit(url).scheme != "https":
            raise ExplainedError(
                Failure(
                    Kind.AUTHENTICATION,
                    f"{self._target} does not say where it hands out OAuth tokens "
                    f"(GET {_DISCOVERY} was answered with status {reply.status}).",
                    "check that DATABRICKS_SERVER_HOSTNAME is the workspace itself",
                )
            )
        parts = urlsplit(url)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        return _Endpoint(parts.hostname or self._target.host, parts.port or 443, path)

    def _token_in(self, reply: Reply) -> tuple[str, float]:
        value = reply.json()
        token, lifetime = value.get("access_token"), value.get("expires_in")
        if reply.ok and isinstance(token, str) and isinstance(lifetime, int | float):
            return f"{value.get('token_type') or 'Bearer'} {token}", float(lifetime)
        said = reply.message()
        raise ExplainedError(
            Failure(
                Kind.AUTHENTICATION,
                f"{self._target} gave no OAuth token for {self._target.auth} (status "
                f"{reply.status}{': ' + json.dumps(said) if said else ''}).",
                "check DATABRICKS_CLIENT_ID (the service principal's application id) and create a "
                "new OAuth secret for it, and check that it is a member of this workspace",
            )
        )


@dataclass(frozen=True)
class _Endpoint:
    host: str
    port: int
    path: str
