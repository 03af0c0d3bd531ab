"""Which warehouse, and which application, the file of the fallback belongs to.

What waits in it would otherwise be sent to whatever the configuration names next: a unit that was
committed to the schema of production, to that of a test. And an application that does not know the
tables of another one would park each of its units.

Applications are told apart by their tables. They change with each release, and a process may have
loaded some models only; so the file notes every table that was ever declared, and an application is
another one where it has none of them.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection
from contextlib import closing
from typing import TYPE_CHECKING

from vinci_code.core.errors import FallbackFileError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from vinci_code.database.fallback.journal import Journal

_TABLE = "vinci_fallback_belongs"
_TABLES = "vinci_fallback_belongs_tables"
# One host may serve several workspaces, which the path tells apart.
_WORKSPACE = re.compile(r"[?&]o=(\w+)")


def require_same_place(journal: Journal, online: Engine) -> None:
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


def require_same_application(journal: Journal, tables: Collection[str]) -> None:
    """Note the tables of an application, and refuse a file that is used for those of another one.

    Args:
        journal: The file.
        tables: The full names of the application's tables.

    Raises:
        FallbackFileError: It is used for other tables, or cannot be used at all.
    """
    found = tables_of(journal) or _tables_of_units(journal)
    if found.isdisjoint(tables) and found:
        raise FallbackFileError(
            f"The file of the fallback {journal.path} is used for the tables {_names(found)}, and "
            f"not for {_names(tables) or 'none at all'}: it keeps what one application has "
            "written. It was left as it is. To fix it: name another file with "
            "DATABRICKS_FALLBACK_FILE."
        )
    if not found.issuperset(tables):
        with journal.explained(), closing(journal.connect()) as connection, connection:
            connection.execute(f"CREATE TABLE IF NOT EXISTS {_TABLES} (name TEXT PRIMARY KEY)")
            rows = [(name,) for name in sorted(tables)]
            connection.executemany(f"INSERT OR IGNORE INTO {_TABLES} VALUES (?)", rows)  # noqa: S608


def tables_of(journal: Journal) -> frozenset[str]:
    """The tables of the application that a file is used for, as far as they are noted.

    Raises:
        FallbackFileError: It cannot be used.
    """
    with journal.explained(), closing(journal.connect()) as connection:
        if not _is_there(connection, _TABLES):
            return frozenset()
        names = connection.execute(f"SELECT name FROM {_TABLES}")  # noqa: S608 - a constant
        return frozenset(name for (name,) in names)


def _tables_of_units(journal: Journal) -> frozenset[str]:
    """The tables of the units in a file that notes none: it is salvaged, or of an older release."""
    from vinci_code.database.fallback.telling import described

    writes = (write for entry in journal.entries() for write in described(entry).get("writes", ()))
    return frozenset(write["table"] for write in writes if write["table"])


def _names(tables: Collection[str]) -> str:
    most = 5
    names = sorted(tables)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _place_of(online: Engine) -> str:
    url = online.url
    workspace = _WORKSPACE.search(_one(url.query.get("http_path")))
    parts = [f"the workspace {url.host}{f' ({workspace.group(1)})' if workspace else ''}"]
    named = ((name, _one(url.query.get(name)).lower()) for name in ("catalog", "schema"))
    return ", ".join([*parts, *(f"{name} {value}" for name, value in named if value)])


def _one(value: str | tuple[str, ...] | None) -> str:
    return value if isinstance(value, str) else "".join(value or ())


def _noted(connection: sqlite3.Connection) -> str | None:
    if not _is_there(connection, _TABLE):
        return None
    row = connection.execute(f"SELECT place FROM {_TABLE}").fetchone()  # noqa: S608 - a constant
    return None if row is None else str(row[0])


def _is_there(connection: sqlite3.Connection, table: str) -> bool:
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    return known is not None


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
