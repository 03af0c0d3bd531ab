"""Which warehouse the file of the fallback belongs to.

What waits in it would otherwise be sent to whatever the configuration names next: a unit that was
committed to the schema of production, to that of a test.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from vinci_code.core.errors import FallbackFileError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from vinci_code.database.fallback.journal import Journal

_TABLE = "vinci_fallback_belongs"
# One host may serve several workspaces, which the path tells apart.
_WORKSPACE = re.compile(r"[?&]o=(\w+)")


def require_same(journal: Journal, online: Engine) -> None:
    """Note for which data a file is used first, and refuse to use it for others.

    Which SQL warehouse of the workspace is asked for them does not matter, nor at which port.

    Raises:
        FallbackFileError: It is used for others, or cannot be used at all.
    """
    wanted = _place_of(online)
    with journal.explained(), closing(journal.connect()) as connection:
        found = _noted(connection) or _note(connection, wanted)
    if found != wanted:
        raise FallbackFileError(
            f"The file of the fallback {journal.path} is used for {found}, and not for {wanted}: "
            "what waits in it would be sent to the wrong place. It was left as it is. To fix it: "
            "name another file with DATABRICKS_FALLBACK_FILE; or remove it, once nothing is in it "
            "any more (vinci fallback status)."
        )


def _place_of(online: Engine) -> str:
    url = online.url
    workspace = _WORKSPACE.search(_one(url.query.get("http_path")))
    parts = [f"the workspace {url.host}{f' ({workspace.group(1)})' if workspace else ''}"]
    named = ((name, _one(url.query.get(name)).lower()) for name in ("catalog", "schema"))
    return ", ".join([*parts, *(f"{name} {value}" for name, value in named if value)])


def _one(value: str | tuple[str, ...] | None) -> str:
    return value if isinstance(value, str) else "".join(value or ())


def _noted(connection: sqlite3.Connection) -> str | None:
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (_TABLE,)).fetchone()
    if known is None:
        return None
    row = connection.execute(f"SELECT place FROM {_TABLE}").fetchone()  # noqa: S608 - a constant
    return None if row is None else str(row[0])


def _note(connection: sqlite3.Connection, place: str) -> str:
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = _noted(connection)  # another process may have been faster
        if found is None:
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS {_TABLE} (one INTEGER PRIMARY KEY, place TEXT)"
            )
            connection.execute(f"INSERT INTO {_TABLE} VALUES (1, ?)", (place,))  # noqa: S608
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.rollback()
        raise
    return found or place
