"""Query tags that an application gives its statements: checked before anything is sent.

The warehouse keeps them as plain text, in ``system.query.history`` and in the query history
(https://docs.databricks.com/aws/en/sql/user/queries/query-tags).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from vinci_code.database.dialect.dberrors import InterfaceError

MAX_TAGS = 18
"""Of an application: a statement has 20 at most, and two may be of the dialect."""

MAX_LENGTH = 128
"""Characters of a name, and of a value: the limits that dbt-databricks checks, with 20 tags
(``query_tags.py`` in databricks/dbt-databricks)."""

RESERVED = "vinci_"
"""What the names of the dialect's own tags begin with."""

# The driver sends "name:value,name:value" (``utils.py`` of databricks-sql-connector) and escapes
# what it has to in values alone.
_NAME = re.compile(r"[A-Za-z0-9_@](?:[A-Za-z0-9_@ ]*[A-Za-z0-9_@])?", re.ASCII)


def checked_tags(given: object) -> dict[str, str]:
    """Query tags, checked.

    Args:
        given: Names with values, both texts.

    Raises:
        InterfaceError: They cannot be sent as they are. The values are not in the message.
    """
    if not isinstance(given, Mapping):
        raise _refused(f"query_tags is a {type(given).__name__}", "names with values, as a dict")
    if len(given) > MAX_TAGS:
        raise _refused(f"{len(given)} query tags were given", f"{MAX_TAGS} at most")
    for name, value in given.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > MAX_LENGTH:
            raise _refused(
                f"{str(name)[:MAX_LENGTH]!r} is no name of a query tag",
                f"letters, digits, blanks, _ and @, {MAX_LENGTH} at most",
            )
        if name.lower().startswith(RESERVED):
            raise _refused(f"the query tag {name!r} is the dialect's own", "another name")
        if not isinstance(value, str):
            raise _refused(f"the query tag {name!r} is a {type(value).__name__}", "a text")
        if not value.isprintable() or value != value.strip() or not value:
            raise _refused(
                f"the value of the query tag {name!r} is empty, or has blanks around it, or "
                "characters that do not print",
                "a text of one line",
            )
        if len(value) > MAX_LENGTH:
            raise _refused(
                f"the value of the query tag {name!r} has {len(value)} characters",
                f"{MAX_LENGTH} at most",
            )
    return dict(given)


def _refused(found: str, wanted: str) -> InterfaceError:
    return InterfaceError(f"{found}; nothing was sent\nTo fix it: give {wanted}.")
