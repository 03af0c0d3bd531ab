"""The ways to authenticate that are let in; nothing else about logging in reaches the driver.

Where the driver finds nothing better it logs in with a browser (``get_auth_provider`` in its
``auth/auth.py``): it listens on ports 8020 to 8024 of every address of this machine, and waits for
somebody at a screen. Of an argument that it does not know it takes no notice. So what may be given
is listed here, and the rest is refused by its name, before the driver is imported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from vinci_code.database.dialect.dberrors import InterfaceError

TOKEN, PROVIDER = "access_token", "credentials_provider"
_KIND, _CERTIFICATE = "auth_type", "_use_cert_as_auth"
_SERVICE_PRINCIPAL = "azure-sp-m2m"

# Each is a way of its own; of two the driver would take one, and not say which.
_WAYS = (TOKEN, PROVIDER, _KIND, _CERTIFICATE)
_NEEDED_BY_SERVICE_PRINCIPAL = ("azure_client_id", "azure_client_secret")
_TEXTS = (
    *_NEEDED_BY_SERVICE_PRINCIPAL,
    "azure_tenant_id",
    "azure_workspace_resource_id",
    "identity_federation_client_id",
)
_ALLOWED = frozenset(
    {
        *_WAYS,
        *_TEXTS,
        "_tls_client_cert_file",
        "_tls_client_cert_key_file",
        "_tls_client_cert_key_password",
    }
)
# Their names look as if they were about logging in to the workspace.
_OTHERWISE = frozenset({"user_agent_entry", "_user_agent_entry", "_proxy_auth_method"})
_SOUNDS_LIKE_IT = re.compile(
    r"auth|login|log_in|logon|sign_?in|browser|redirect_port|token|credential|secret|passw|"
    r"passphrase|user(?!_agent)|cert|key|jwt|sso|saml|oidc|kerberos|ident|principal|tenant|azure|"
    r"client_id|persist|pat$",
    re.IGNORECASE,
).search

_IS_SHORT = re.compile(r"[\w. -]{1,24}").fullmatch

_BY_BROWSER = (
    "it is for a login with a browser, for which the driver listens on a port of this machine and "
    "waits for somebody at its screen"
)
_WITHOUT_EFFECT = (
    "the driver takes no notice of it with the Thrift protocol, and would open a browser without "
    "something better"
)
_REASONS = {
    # AuthType of the driver's auth/common.py.
    (_KIND, "databricks-oauth"): _BY_BROWSER,
    (_KIND, "azure-oauth"): _BY_BROWSER,
    "experimental_oauth_persistence": _BY_BROWSER,
    "oauth_client_id": _BY_BROWSER,
    "oauth_redirect_port": _BY_BROWSER,
    "oauth_scopes": _BY_BROWSER,
    "oauth_token_cache_enabled": _BY_BROWSER,
    "oauth_client_secret": _WITHOUT_EFFECT,
    "oauth_jwt_algorithm": _WITHOUT_EFFECT,
    "oauth_jwt_key_file": _WITHOUT_EFFECT,
    "oauth_jwt_kid": _WITHOUT_EFFECT,
    "oauth_jwt_passphrase": _WITHOUT_EFFECT,
    "token_url": _WITHOUT_EFFECT,
    "username": "Databricks takes no passwords any more",
    "password": "Databricks takes no passwords any more",
}
_UNKNOWN_KIND = (
    f"the driver does not know it, and would open a browser; known are {_SERVICE_PRINCIPAL!r}, and "
    "none at all"
)
_UNKNOWN = "it is not known here, and the driver opens a browser where it understands nothing else"
_INSTEAD = (
    f"give {TOKEN!r} or {PROVIDER!r} in connect_args; OAuth with a service principal is such a "
    "provider"
)


def why_refused(name: str, value: object) -> str | None:
    """Why a connect argument is refused, as a whole sentence without its value's secret.

    Returns:
        ``None`` where it is not about logging in, or is allowed.
    """
    if value is None or (name == _KIND and value in ("", _SERVICE_PRINCIPAL)):
        return None
    if name == _KIND:
        reason = _REASONS.get((name, value)) if isinstance(value, str) else None
        return _sentence(f"{_KIND}{_shown(value)}", reason or _UNKNOWN_KIND)
    if name in _ALLOWED or name in _OTHERWISE or not _SOUNDS_LIKE_IT(name):
        return None
    return _sentence(repr(name), _REASONS.get(name, _UNKNOWN))


def the_way(arguments: Mapping[str, Any]) -> str:
    """The connect argument that says how to authenticate: one of four.

    Raises:
        InterfaceError: There is none, or more than one, or the driver would not take it.
    """
    for name, value in arguments.items():
        refusal = why_refused(name, value)
        if refusal is not None:
            raise InterfaceError(refusal)
    for name in _TEXTS:
        _require_text(name, arguments.get(name))
    ways = [name for name in _WAYS if _is_given(arguments.get(name))]
    if not ways:
        raise InterfaceError(
            "there are no credentials, and the driver would open a browser; nothing was opened\n"
            f"To fix it: {_INSTEAD}."
        )
    if len(ways) > 1:
        raise InterfaceError(
            f"{' and '.join(map(repr, ways))} are given, and one alone would be used; nothing was "
            "sent\nTo fix it: give one of them."
        )
    if ways == [_KIND]:
        _require_service_principal(arguments)
    elif ways == [_CERTIFICATE]:
        _require_certificate(arguments)
    return ways[0]


def _is_given(value: object) -> bool:
    return value is not None and value is not False and not (isinstance(value, str) and not value)


def _require_text(name: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, str):
        raise InterfaceError(
            f"{name!r} has to be a text; found {type(value).__name__}; nothing was sent\n"
            "To fix it: give a str."
        )
    if value != value.strip():
        raise InterfaceError(
            f"{name!r} begins or ends with a blank or the end of a line; nothing was sent\n"
            "To fix it: give it alone, as with str.strip() after it was read from a file."
        )


def _require_service_principal(arguments: Mapping[str, Any]) -> None:
    lacking = [name for name in _NEEDED_BY_SERVICE_PRINCIPAL if not arguments.get(name)]
    if lacking:
        raise InterfaceError(
            f"{_KIND}={_SERVICE_PRINCIPAL!r} needs {' and '.join(map(repr, lacking))}; nothing was "
            f"sent\nTo fix it: give the application id and the secret of the service principal."
        )


def _require_certificate(arguments: Mapping[str, Any]) -> None:
    if arguments[_CERTIFICATE] is not True:
        found = type(arguments[_CERTIFICATE]).__name__
        raise InterfaceError(
            f"{_CERTIFICATE!r} has to be True, or left out; found {found}; nothing was sent\n"
            f"To fix it: {_INSTEAD}."
        )
    if not arguments.get("_tls_client_cert_file"):
        raise InterfaceError(
            f"{_CERTIFICATE!r} needs a certificate, and the driver would open a browser without "
            "one; nothing was opened\nTo fix it: name it in '_tls_client_cert_file'."
        )


def _shown(kind: object) -> str:
    """A kind in words, unless it may be a secret that was pasted in its place."""
    if not isinstance(kind, str):
        return f" ({type(kind).__name__})"
    return f"={kind!r}" if _IS_SHORT(kind) else ""


def _sentence(what: str, why: str) -> str:
    return (
        f"{what} cannot be used with this dialect: {why}; nothing was opened, and nothing was sent"
        f"\nTo fix it: {_INSTEAD}."
    )
