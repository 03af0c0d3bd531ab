"""What a SQLite file says of its tables that SQLAlchemy does not reflect."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import Inspector

# https://www.sqlite.org/pragma.html#pragma_table_list
TELLS_TABLES = (3, 37)
ANY = "ANY"
"""The affinity of a column that keeps what it is given: ANY in a STRICT table."""

_NONE = "BLOB"


def affinity_of(declared: str, *, is_strict: bool = False) -> str:
    """Which class a column prefers, by the rules for its declared type.

    https://www.sqlite.org/datatype3.html#determination_of_column_affinity
    """
    text = declared.upper()
    if is_strict and text == ANY:
        return ANY
    if "INT" in text:
        return "INTEGER"
    if re.search("CHAR|CLOB|TEXT", text):
        return "TEXT"
    if "BLOB" in text or not text:
        return _NONE
    return "REAL" if re.search("REAL|FLOA|DOUB", text) else "NUMERIC"


def affinities(source: Inspector, table: str) -> Mapping[str, str]:
    """The affinities of a table's columns, by their names."""
    is_strict = False
    if sqlite3.sqlite_version_info >= TELLS_TABLES:
        wanted = "SELECT strict FROM pragma_table_list(?) WHERE schema = 'main'"
        is_strict = any(row[0] for row in asked(source, wanted, table))
    rows = asked(source, "SELECT name, type FROM pragma_table_xinfo(?, 'main')", table)
    return {str(name): affinity_of(str(type_), is_strict=is_strict) for name, type_ in rows}


def virtual_tables(source: Inspector) -> tuple[set[str], set[str]]:
    """The names of virtual tables, and of the shadow tables in which these keep what they have.

    A virtual table has no page of the file. https://www.sqlite.org/schematab.html. Which tables
    belong to one is not told before SQLite 3.37: these are tables as others then.
    """
    rows = asked(
        source,
        "SELECT name FROM main.sqlite_master WHERE type = 'table' AND coalesce(rootpage, 0) = 0",
    )
    virtual = {str(row[0]) for row in rows}
    if sqlite3.sqlite_version_info < TELLS_TABLES:
        return virtual, set()
    listed = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow'"
    return virtual, {str(row[0]) for row in asked(source, listed)}


def what_has(target: Inspector, name: str) -> str | None:
    """What in a file has a name already: a table, an index, a view; ``None`` where nothing has."""
    wanted = (
        "SELECT type FROM main.sqlite_master WHERE name = ? COLLATE NOCASE AND type != 'trigger'"
    )
    found = asked(target, wanted, name)
    return str(found[0][0]) if found else None


def index_names(source: Inspector, table: str) -> list[str]:
    """The names of the indexes that a table has by statements of their own."""
    wanted = "SELECT name FROM pragma_index_list(?, 'main') WHERE origin = 'c' ORDER BY name"
    return [str(row[0]) for row in asked(source, wanted, table)]


def last_number(source: Inspector, table: str) -> int | None:
    """The last number that AUTOINCREMENT has given; ``None`` of a table without it.

    https://www.sqlite.org/autoinc.html
    """
    if what_has(source, "sqlite_sequence") is None:
        return None
    wanted = "SELECT seq FROM main.sqlite_sequence WHERE name = ? COLLATE NOCASE"
    rows = asked(source, wanted, table)
    return int(rows[0][0]) if rows else None


def set_last_number(target: Connection, table: str, number: int) -> None:
    """Have AUTOINCREMENT go on behind a number, unless it is behind it already."""
    name = "name = ? COLLATE NOCASE"
    target.exec_driver_sql(
        f"INSERT INTO main.sqlite_sequence (name, seq) SELECT ?, 0 WHERE NOT EXISTS "  # noqa: S608
        f"(SELECT 1 FROM main.sqlite_sequence WHERE {name})",
        (table, table),
    )
    target.exec_driver_sql(
        f"UPDATE main.sqlite_sequence SET seq = max(seq, ?) WHERE {name}",  # noqa: S608
        (number, table),
    )


def collations_of_keys(source: Inspector, table: str) -> list[str]:
    """The columns of keys and of UNIQUE that do not tell all texts apart, each with its collation.

    Of other columns SQLite does not tell it. https://www.sqlite.org/pragma.html#pragma_index_xinfo
    """
    wanted = (
        "SELECT DISTINCT x.name, x.coll FROM pragma_index_list(?, 'main') AS i "
        "JOIN pragma_index_xinfo(i.name, 'main') AS x "
        "WHERE i.origin IN ('pk', 'u') AND x.key AND x.coll != 'BINARY' ORDER BY 1, 2"
    )
    return [
        f"{name}: its collation {collation}" for name, collation in asked(source, wanted, table)
    ]


def own_numbers(source: Inspector) -> list[str]:
    """What an application has set in the file's header, each with its name."""
    found = []
    for name in ("application_id", "user_version"):
        ((number,),) = asked(source, f"PRAGMA main.{name}")
        if number:
            found.append(f"{name} {number}")
    ((encoding,),) = asked(source, "PRAGMA main.encoding")
    if encoding != "UTF-8":
        found.append(f"encoding {encoding}")
    return found


def asked(source: Inspector, statement: str, *values: str) -> Sequence[Any]:
    """The rows of a statement that SQLite is asked as it is."""
    connection: Any = source.bind
    found: Sequence[Any] = connection.exec_driver_sql(statement, values).all()
    return found
