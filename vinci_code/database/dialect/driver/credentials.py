"""The credentials of requests: asked for anew each time, renewed by one at a time.

The driver keeps what a credentials provider returned, for an hour where the token is opaque
(``auth/token_federation.py``), so one that lives for less, or was revoked, would be sent on. It
keeps nothing where it finds no header spelled ``Authorization``; and the names of HTTP headers know
no case. So ``RequestCredentials`` hands it ``authorization``, and is asked for every request.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import sys
import threading
import weakref
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from vinci_code.core.redaction import (
    MASK,
    HoldsSecret,
    redact_exception,
    register_credentials,
    register_secret,
)
from vinci_code.database.dialect.dberrors import AuthenticationFailed, Error, InterfaceError
from vinci_code.database.dialect.forking import renew_lock_in_child
from vinci_code.database.dialect.interruptions import is_from_signal

Headers = dict[str, str]

SECRET_ARGUMENTS = (
    "access_token",
    "azure_client_secret",
    "oauth_client_secret",
    "oauth_jwt_passphrase",
    "_tls_client_cert_key_password",
)
"""The connect arguments that are secrets themselves."""

BROWSER_ARGUMENT = "browser_login"
"""The connect argument that allows the driver to log in with a browser."""

# AuthType of the driver's auth/common.py.
_BY_BROWSER = ("databricks-oauth", "azure-oauth")
_SERVICE_PRINCIPAL = "azure-sp-m2m"
# RFC 6750, section 2.1, and RFC 9110, section 5.5; the driver sends headers as Latin-1.
_IS_TOKEN = re.compile(r"[!-~]+").fullmatch
_IS_HEADER = re.compile(r"[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?").fullmatch
_SPELLED_OUT, _UNKEPT = "Authorization", "authorization"
# Both kinds of workspace take the tokens of Entra ID as they are.
_ENTRA_ISSUERS = ("sts.windows.net", "login.microsoftonline.com", "login.microsoftonline.us")


class RequestCredentials(HoldsSecret):
    """A credentials provider around another one.

    Args:
        provider: What the application gave: called without arguments, it returns a function that
            returns the headers for a request.
        host: The workspace.
        exchanged: Whether the driver is to exchange tokens of other issuers for the workspace's
            own, which it does only with what it keeps.
    """

    def __init__(
        self, provider: Callable[[], Callable[[], Headers]], host: str, *, exchanged: bool = False
    ) -> None:
        self._provider = provider
        self._host = host
        self._exchanged = exchanged
        self._lock = threading.RLock()
        renew_lock_in_child(self)
        self._factory: Callable[[], Headers] | None = None
        self._rejected: str | None = None

    def __call__(self, *_args: object, **_kwargs: object) -> Callable[[], Headers]:
        """Give the driver the function that it asks for headers."""
        return self.headers

    def auth_type(self) -> str:
        """The method's name, where the provider has one."""
        method = getattr(self._provider, "auth_type", None)
        return str(method()) if callable(method) else "external"

    def headers(self) -> Headers:
        """The headers for one request.

        Raises:
            AuthenticationFailed: The provider could not get any.
        """
        with self._lock:
            found = self._ask()
        return {self._spelling(name, value): value for name, value in found.items()}

    def renew(self, rejected: str | None) -> bool:
        """See to it that the next request has other credentials than those that were rejected.

        Of many threads whose credentials were rejected together, one asks the provider.

        Args:
            rejected: The value of the header that the workspace did not accept.

        Returns:
            Whether there are others.
        """
        with self._lock:
            if rejected is None:
                return False
            if _authorization(self._ask()) != rejected:
                return True
            if self._rejected == rejected:
                return False
            self._rejected = rejected
            forget = getattr(self._provider, "invalidate", None)
            if callable(forget):
                forget()
            self._factory = None
            return _authorization(self._ask()) != rejected

    def current(self) -> str | None:
        """The value of the header that the next request would have."""
        with self._lock:
            return _authorization(self._ask())

    def _ask(self) -> Headers:
        try:
            if self._factory is None:
                self._factory = self._provider()
            found = self._factory()
        except Error:
            raise
        except Exception as error:
            # The provider may be anything, and so may the classes of what it raises.
            if is_from_signal(error):
                raise
            raise AuthenticationFailed(
                f"the credentials provider for {self._host} failed: {type(error).__name__}: {error}"
            ) from redact_exception(error)
        if not isinstance(found, Mapping):
            raise InterfaceError(
                "the credentials provider has to return a function that returns the headers of a "
                f"request; that returned {type(found).__name__}"
            )
        headers = {str(name): str(value) for name, value in found.items()}
        # What has just been handed out is a secret in use from here on.
        register_credentials(headers)
        for name, value in headers.items():
            _require_header(name, value)
        return headers

    def _spelling(self, name: str, value: str) -> str:
        if name.lower() != _UNKEPT:
            return name
        kept = self._exchanged or _is_foreign(value, self._host)
        return _SPELLED_OUT if kept else _UNKEPT

    def __repr__(self) -> str:
        return f"<RequestCredentials for {self._host}, {MASK}>"


class _Token:
    """A provider whose token never changes."""

    def __init__(self, token: str) -> None:
        register_secret(token)
        self._headers = {_SPELLED_OUT: f"Bearer {token}"}

    def __call__(self) -> Callable[[], Headers]:
        return lambda: self._headers

    def auth_type(self) -> str:
        return "pat"


_shared: weakref.WeakValueDictionary[tuple[object, str, bool], RequestCredentials] = (
    weakref.WeakValueDictionary()
)
_lock = threading.RLock()
renew_lock_in_child(sys.modules[__name__])


def take_credentials(arguments: MutableMapping[str, Any], host: str) -> RequestCredentials | None:
    """Take the credentials out of connect arguments, and mask every secret among them.

    Connections with the same provider share one object, so that it is asked by one at a time.

    Returns:
        ``None`` where the arguments name another way to authenticate, which is the driver's own.

    Raises:
        InterfaceError: They name none: the driver would open a browser then.
    """
    _reveal_secrets(arguments)
    exchanged = bool(arguments.get("identity_federation_client_id"))
    token = arguments.pop("access_token", None)
    provider = arguments.pop("credentials_provider", None)
    if provider is not None:
        return _shared_credentials(provider, host, exchanged)
    if _sees_driver_to_it(arguments):
        if token:
            raise InterfaceError(
                "'access_token' is given and 'auth_type' or '_use_cert_as_auth' beside it, so that "
                "it would not be used; nothing was sent\nTo fix it: give one of them."
            )
        return None
    if not token:
        raise InterfaceError(
            f"there are no credentials for {host}: give 'access_token' or 'credentials_provider' "
            "in connect_args, or name another way with 'auth_type'"
        )
    if not isinstance(token, str):
        raise InterfaceError(f"'access_token' has to be a text; found {type(token).__name__}")
    if not _IS_TOKEN(token):
        raise InterfaceError(
            f"'access_token' cannot be sent in a header: {_what_is_wrong(token)}; nothing was "
            "sent\nTo fix it: give the token alone, as with str.strip() after it was read from a "
            "file."
        )
    return RequestCredentials(_Token(token), host, exchanged=exchanged)


def _sees_driver_to_it(arguments: MutableMapping[str, Any]) -> bool:
    """Whether the driver authenticates by itself, in a way that was plainly asked for.

    Of an ``auth_type`` that it does not know it takes no notice, and logs in with a browser where
    it finds no token (``get_auth_provider`` in ``auth/auth.py``): it listens on a port of this
    machine, and waits for somebody at a screen.

    Raises:
        InterfaceError: It would do that without having been asked to, or could not do it.
    """
    wanted = arguments.get("auth_type")
    by_browser = arguments.pop(BROWSER_ARGUMENT, False)
    if wanted in _BY_BROWSER:
        if by_browser is True:
            return True
        raise InterfaceError(
            f"auth_type={wanted!r} opens a browser and listens on a port of this machine, which a "
            "program that nobody watches waits for in vain; nothing was opened\n"
            "To fix it: give 'access_token', or a 'credentials_provider' for OAuth with a service "
            f"principal. If somebody sits at the screen, add {BROWSER_ARGUMENT}=True to "
            "connect_args."
        )
    if wanted == _SERVICE_PRINCIPAL:
        return True
    if wanted:
        raise InterfaceError(
            f"auth_type={wanted!r} is none that the driver knows, and it would open a browser; "
            f"expected is {_SERVICE_PRINCIPAL!r}, or {' or '.join(map(repr, _BY_BROWSER))} with "
            f"{BROWSER_ARGUMENT}=True\nTo fix it: leave it out, and give 'access_token' or "
            "'credentials_provider'."
        )
    if not arguments.get("_use_cert_as_auth"):
        return False
    if not arguments.get("_tls_client_cert_file"):
        raise InterfaceError(
            "'_use_cert_as_auth' needs a certificate, and the driver would open a browser without "
            "one\nTo fix it: name it in '_tls_client_cert_file'."
        )
    return True


def _require_header(name: str, value: str) -> None:
    """Refuse what cannot be sent as it is; the errors of ``http.client`` have the value in them."""
    if not _IS_HEADER(value):
        raise InterfaceError(
            f"the value that the credentials provider gives for the header {name} cannot be sent: "
            f"{_what_is_wrong(value)}; nothing was sent\n"
            "To fix it: have the provider give the token alone, without the end of its line."
        )


def _what_is_wrong(value: str) -> str:
    if value != value.strip():
        return "it begins or ends with a blank or the end of a line"
    return "it has a blank, the end of a line or another character in it that no token has"


def _reveal_secrets(arguments: MutableMapping[str, Any]) -> None:
    for name in SECRET_ARGUMENTS:
        value = arguments.get(name)
        reveal = getattr(value, "get_secret_value", None)
        if callable(reveal):
            value = arguments[name] = reveal()
        if isinstance(value, str):
            register_secret(value)


def _shared_credentials(provider: Any, host: str, exchanged: bool) -> RequestCredentials:
    if not callable(provider):
        raise InterfaceError(
            "'credentials_provider' has to be callable: it returns a function that returns the "
            f"headers of a request; found {type(provider).__name__}"
        )
    try:
        hash(provider)
    except TypeError:
        return RequestCredentials(provider, host, exchanged=exchanged)
    key = (provider, host, exchanged)
    with _lock:
        found = _shared.get(key)
        if found is None:
            found = _shared[key] = RequestCredentials(provider, host, exchanged=exchanged)
        return found


def _authorization(headers: Headers) -> str | None:
    return next((value for name, value in headers.items() if name.lower() == _UNKEPT), None)


def _is_foreign(header: str, host: str) -> bool:
    """Whether a token names an issuer that the workspace may not know."""
    parts = header.rpartition(" ")[2].split(".")
    if len(parts) != 3:
        return False
    try:
        padded = parts[1] + "=" * (-len(parts[1]) % 4)
        claims = json.loads(base64.urlsafe_b64decode(padded))
    except (ValueError, binascii.Error):
        return False
    issuer = claims.get("iss") if isinstance(claims, dict) else None
    issued_by = urlsplit(issuer).hostname if isinstance(issuer, str) else None
    return issued_by is not None and issued_by not in (host.lower(), *_ENTRA_ISSUERS)
