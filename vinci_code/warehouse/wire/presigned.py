"""Links that carry their own permission: one method on one path, until one moment.

A presigned URL needs no token, so whoever has it can use it. It is a secret: its query string never
stands in a record, a log or a message. The signature is HMAC-SHA256 (RFC 2104) over the method, the
path and the moment, with a key that never leaves the warehouse.
"""

from __future__ import annotations

import hashlib
import hmac
import urllib.parse
from collections.abc import Sequence

EXPIRES, SIGNATURE = "X-Vinci-Expires", "X-Amz-Signature"
"""The parameters of the query. The second has the name by which log filters know a signature."""


class LinkError(Exception):
    """A link gives no permission: it was changed, or it has expired."""


def sign(key: bytes, method: str, path: str, expires: int) -> str:
    """Make the query string that permits a request.

    Args:
        key: The secret of whoever checks it.
        method: The HTTP method.
        path: The path, without a query string.
        expires: Until when it is good, in milliseconds since the epoch.
    """
    signature = _signature(key, method, path, str(expires))
    return urllib.parse.urlencode({EXPIRES: str(expires), SIGNATURE: signature})


def check(key: bytes, method: str, path: str, query: Sequence[tuple[str, str]], now: float) -> None:
    """Return if a request is permitted by its query string.

    Args:
        key: The secret that it was signed with.
        method: The HTTP method of the request.
        path: The path of the request, without a query string.
        query: The parameters of the query string, in any order.
        now: The time, in milliseconds since the epoch.

    Raises:
        LinkError: It is not; the message is safe to send and to log.
    """
    found = dict(query)
    if len(query) != 2 or set(found) != {EXPIRES, SIGNATURE}:
        raise LinkError("The link has no signature of this warehouse, or more than one.")
    expires = found[EXPIRES]
    expected = _signature(key, method, path, expires)
    # Bytes: compare_digest takes no text beyond ASCII.
    if not hmac.compare_digest(expected.encode(), found[SIGNATURE].encode()):
        raise LinkError("The signature of the link does not match the request.")
    # Only what was signed is read as a number.
    if now >= int(expires):
        raise LinkError("The link has expired.")


def _signature(key: bytes, method: str, path: str, expires: str) -> str:
    # No method, path or number has a line break, so no two requests have the same text.
    text = "\n".join((method, path, expires))
    return hmac.new(key, text.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()
