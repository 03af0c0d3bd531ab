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
    register_secret,
)
from vinci_code.database.dialect.dberrors import AuthenticationFailed, Error, InterfaceError
from vinci_code.database.dialect.driver import logins
from vinci_code.database.dialect.driver.headers import checked_headers, what_is_wrong
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

# RFC 6750, section 2.1.
_IS_TOKEN = re.compile(r"[!-~]+").fullmatch
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
                self._factory = _callable_factory(self._provider())
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
            raise _no_provider(f"what that returned is {type(found).__name__}")
        return checked_headers(found.items(), "the credentials provider")

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
        InterfaceError: They name none that is let in (``logins``), or one that cannot be sent.
    """
    _reveal_secrets(arguments)
    way = logins.the_way(arguments)
    exchanged = bool(arguments.get("identity_federation_client_id"))
    token = arguments.pop(logins.TOKEN, None)
    provider = arguments.pop(logins.PROVIDER, None)
    if way == logins.PROVIDER:
        return _shared_credentials(provider, host, exchanged)
    if way == logins.TOKEN:
        return RequestCredentials(_Token(_checked_token(token)), host, exchanged=exchanged)
    return None


def _checked_token(token: object) -> str:
    if not isinstance(token, str):
        raise InterfaceError(
            f"'access_token' has to be a text; found {type(token).__name__}; nothing was sent\n"
            "To fix it: give a str, as of bytes.decode()."
        )
    if not _IS_TOKEN(token):
        raise InterfaceError(
            f"'access_token' cannot be sent in a header: {what_is_wrong(token)}; nothing was "
            "sent\nTo fix it: give the token alone, as with str.strip() after it was read from a "
            "file."
        )
    return token


def _callable_factory(returned: Any) -> Callable[[], Headers]:
    if not callable(returned):
        raise _no_provider(f"it returned {type(returned).__name__}")
    factory: Callable[[], Headers] = returned
    return factory


def _no_provider(found: str) -> InterfaceError:
    return InterfaceError(
        "the credentials provider has to return a function that returns the headers of a request; "
        f"{found}; nothing was sent\n"
        "To fix it: credentials_provider=lambda: lambda: {'Authorization': 'Bearer …'}"
    )


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
