"""Who asks: the users of the warehouse, by the token of their requests.

One user is there always, ``USER``, whose tokens are the warehouse's own and those of its service
principal; it may see everything, as the owner of a warehouse. Others come with tokens of their own.
"""

from __future__ import annotations

import hashlib
import re

from vinci_code.warehouse.sql.query_context import USER

FIRST_ID = 1
"""The id of the user that is there always."""

NOT_YOURS_STATE = "42501"
"""The SQLSTATE of a refusal that is about whose something is: insufficient privilege."""

# RFC 6750, section 2.1. Shorter ones would mask words in the request log.
_IS_TOKEN = re.compile(r"[!-~]{8,}").fullmatch
_IS_USER = re.compile(r"[!-~]{1,255}").fullmatch


def is_owner(user: str) -> bool:
    """Whether a user owns the warehouse, and may see what others have run."""
    return user == USER


def user_id(user: str) -> int:
    """The number of a user, which is the same in every process."""
    if is_owner(user):
        return FIRST_ID
    return FIRST_ID + 1 + int.from_bytes(hashlib.sha256(user.encode()).digest()[:6], "big")


def not_yours(kind: str) -> str:
    """What is told to who names a session or a statement of another user.

    No public source records Databricks' words for it: it is refused, and not to be retried.
    """
    return (
        f"[PERMISSION_DENIED] The {kind} belongs to another user: its handle is good with a token "
        f"of the user who opened it, and nothing was done. SQLSTATE: {NOT_YOURS_STATE}"
    )


def checked(token: object, user: object) -> None:
    """Refuse what can be no token, or no user.

    Raises:
        ValueError: Says which; a token is not repeated.
    """
    if not isinstance(token, str) or not _IS_TOKEN(token):
        raise ValueError(
            "a token of a user cannot be sent in a header: wanted are 8 or more printable "
            "characters of ASCII without blanks"
        )
    if not isinstance(user, str) or not _IS_USER(user):
        raise ValueError(
            f"{user!r} names no user: wanted is a text of printable ASCII without blanks, such as "
            "ada@example.com"
        )
