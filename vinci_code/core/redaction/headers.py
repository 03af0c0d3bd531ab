"""Which headers of a request are credentials, and what of their values is the secret.

The headers that the SDK and the driver authenticate with are ``Authorization``,
``X-Databricks-Azure-SP-Management-Token`` and ``X-Databricks-GCP-SA-Access-Token``
(databricks-sdk, ``credentials_provider.py`` and ``azure.py``; databricks-sql-connector,
``auth/authenticators.py``). Beside them a provider may give a ``Content-Type``, the id of a request
or ``X-Databricks-Azure-Workspace-Resource-Id``, which are no secrets: a log in which they are
masked cannot be read, and each costs the masking of every line some time. ``Cookie`` and
``Proxy-Authorization`` are HTTP's own (RFC 6265, RFC 9110), and proxies have headers of their own
kind, so a header counts as a credential where a part of its name says so.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from vinci_code.core.redaction.registry import register_secret

_TELLING = frozenset(
    {
        "authorization",
        "auth",
        "token",
        "accesstoken",
        "jwt",
        "assertion",
        "cookie",
        "secret",
        "password",
        "passwd",
        "credential",
        "credentials",
        "signature",
        "apikey",
    }
)
# A key alone may be that of idempotency.
_TELLING_PAIRS = frozenset({("api", "key"), ("access", "key"), ("subscription", "key")})
_COOKIES = frozenset({"cookie", "set-cookie"})


def register_credentials(headers: Mapping[str, str]) -> None:
    """Mask what of the headers of a request is a secret, for as long as it is among the last ones.

    Credentials that were handed out for a request may be others for the next one; see
    ``register_secret`` for how many are kept.
    """
    for name, value in headers.items():
        if _is_credential(name):
            for secret in _secrets_in(name, value):
                register_secret(secret, rotates=True)


def _is_credential(name: str) -> bool:
    """Whether the header of this name holds credentials."""
    parts = name.lower().replace("_", "-").split("-")
    pairs = itertools.pairwise(parts)
    return not _TELLING.isdisjoint(parts) or not _TELLING_PAIRS.isdisjoint(pairs)


def _secrets_in(name: str, value: str) -> Iterator[str]:
    if name.lower() in _COOKIES:
        for cookie in value.split(";"):
            yield cookie.partition("=")[2].strip().strip('"')
        return
    # After the name of the scheme, where there is one: "Bearer eyJ…".
    yield value.strip().partition(" ")[2].strip() or value
