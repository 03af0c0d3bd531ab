"""Whether headers can be sent as they are.

``http.client`` would say it as well, at the first request, in an error that has the value in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from vinci_code.core.redaction import register_credentials
from vinci_code.database.dialect.dberrors import InterfaceError

# RFC 9110, sections 5.1 and 5.5; the driver sends values as Latin-1.
_IS_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}").fullmatch
_IS_VALUE = re.compile(r"[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?").fullmatch


def checked_headers(found: Iterable[tuple[object, object]], giver: str) -> dict[str, str]:
    """The headers among these names and values, which is all of them; secrets are masked from then.

    Args:
        found: Names and values.
        giver: Who gives them, in words.

    Raises:
        InterfaceError: One cannot be sent; its value is not told.
    """
    headers: dict[str, str] = {}
    for name, value in found:
        if not isinstance(name, str) or not _IS_NAME(name):
            raise InterfaceError(
                f"a name among the headers that {giver} gives cannot be sent: {_no_name(name)}; "
                "nothing was sent\nTo fix it: give names of headers, such as 'Authorization'."
            )
        if not isinstance(value, str):
            raise InterfaceError(
                f"the value that {giver} gives for the header {name} cannot be sent: it has to be "
                f"a text; found {type(value).__name__}; nothing was sent\n"
                "To fix it: give a str, as of bytes.decode()."
            )
        headers[name] = value
    # What has just been handed out is a secret in use from here on.
    register_credentials(headers)
    for name, value in headers.items():
        if not _IS_VALUE(value):
            raise InterfaceError(
                f"the value that {giver} gives for the header {name} cannot be sent: "
                f"{what_is_wrong(value)}; nothing was sent\n"
                "To fix it: give the value alone, without the end of its line."
            )
    return headers


def what_is_wrong(value: str) -> str:
    """Why a value cannot be sent in a header, without repeating it."""
    if value != value.strip():
        return "it begins or ends with a blank or the end of a line"
    if not value:
        return "it is empty"
    return "it has a blank, the end of a line or another character in it that no token has"


def _no_name(name: object) -> str:
    if not isinstance(name, str):
        return f"it has to be a text; found {type(name).__name__}"
    return "it has characters that no name has"
