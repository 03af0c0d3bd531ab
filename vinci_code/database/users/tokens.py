"""The token of a user: what may be one, how it is told from others, and what is signed with it."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable
from datetime import datetime

from vinci_code.core.errors import UserTokenError
from vinci_code.core.redaction import MASK, HoldsSecret, Secret, hold_secret, release_secret
from vinci_code.database.dialect.dberrors import AuthenticationFailed

# RFC 6750, section 2.1.
_IS_TOKEN = re.compile(r"[!-~]+").fullmatch
_HAS_SCHEME = re.compile(r"(bearer|basic|token)(\s|$)", re.IGNORECASE).match
# Fewer characters are not masked in logs, since they would mask words.
_SHORTEST = 8
_HEADER = "X-Forwarded-Access-Token"


def checked_token(token: object) -> str:
    """The token, if it can be one; nothing in it is read, as nothing in it is proof.

    Raises:
        UserTokenError: It cannot; what was found is not repeated.
    """
    if not isinstance(token, str):
        raise _no_token(
            f"it has to be a text; found {type(token).__name__}",
            f"give the value of the header {_HEADER} as it is; a request without that header is "
            "of nobody, and is to be answered with 401",
        )
    if not token:
        raise _no_token(
            "it is empty", f"refuse a request without the header {_HEADER}, as with 401"
        )
    if _HAS_SCHEME(token):
        raise _no_token(
            "it begins with the name of a scheme, as the header Authorization does",
            f"give what follows 'Bearer ', or the value of the header {_HEADER}",
        )
    if not _IS_TOKEN(token):
        raise _no_token(
            "it has a blank, the end of a line or another character in it that no token has",
            "give the token alone",
        )
    if len(token) < _SHORTEST or not token.strip("*"):
        raise _no_token(
            f"it has fewer than {_SHORTEST} characters, or nothing but '*', so that no log could "
            "be kept free of it",
            "give the token that the user signed in with",
        )
    return token


def checked_end(expires_at: object) -> float | None:
    """When a token ends, in seconds since the epoch; ``None`` stands for itself.

    Raises:
        UserTokenError: It is no moment.
    """
    if expires_at is None:
        return None
    if not isinstance(expires_at, datetime) or expires_at.utcoffset() is None:
        found = "a datetime without" if isinstance(expires_at, datetime) else None
        raise UserTokenError(
            "'expires_at' has to be a datetime with a time zone; found "
            f"{f'{found} one' if found else type(expires_at).__name__}; nothing was contacted\n"
            "To fix it: datetime.fromtimestamp(seconds, timezone.utc), or leave it out."
        )
    return expires_at.timestamp()


class TokenDigests:
    """Tells tokens apart by keyed digests, from which nobody learns a token.

    The key is made anew for each object, so that digests of two processes cannot be compared.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def digest(self, token: str) -> bytes:
        """What stands for a token: 32 bytes, the same for the same token alone."""
        return hashlib.blake2b(token.encode(), key=self._key, digest_size=32).digest()

    def __repr__(self) -> str:
        return f"<TokenDigests, {MASK}>"


class UserCredentials(HoldsSecret):
    """What the requests of a user are signed with, until it is forgotten.

    It is what the driver calls a credentials provider: called, it gives a function that gives the
    headers of a request. While it holds the token, that is masked everywhere.
    """

    def __init__(self, token: str, user: str) -> None:
        self._token: Secret | None = Secret(token)
        self._user = user
        self._is_held = False

    def __call__(self, *_args: object, **_kwargs: object) -> Callable[[], dict[str, str]]:
        """Give the driver the function that it asks for headers."""
        return self.headers

    def auth_type(self) -> str:
        """The method's short name."""
        return "user-token"

    def headers(self) -> dict[str, str]:
        """The headers for one request.

        Raises:
            AuthenticationFailed: The token was forgotten.
        """
        token = self._token
        if token is None:
            raise AuthenticationFailed(
                f"the token of user {self._user} has ended, and was forgotten; nothing was sent"
            )
        return {"Authorization": f"Bearer {token.get_secret_value()}"}

    def hold(self) -> None:
        """Have the token masked, if it is not."""
        if self._token is not None and not self._is_held:
            self._is_held = True
            hold_secret(self._token.get_secret_value())

    def release(self) -> None:
        """Have the token masked no longer."""
        if self._token is not None and self._is_held:
            self._is_held = False
            release_secret(self._token.get_secret_value())

    def forget(self) -> None:
        """Forget the token: nothing is signed with it any more."""
        self.release()
        self._token = None

    def __repr__(self) -> str:
        return f"<UserCredentials of user {self._user}, {MASK}>"


def _no_token(found: str, fix: str) -> UserTokenError:
    return UserTokenError(
        f"what was given as a user's token is none: {found}; nothing was contacted\n"
        f"To fix it: {fix}."
    )
