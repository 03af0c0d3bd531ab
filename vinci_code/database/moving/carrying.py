"""What of a table is taken over beside its columns and keys: DEFAULT, CHECK, indexes, expressions.

Between two SQLite files a table is made by its own statement, as ``sqlite_schema`` has it, so that
all that it says is taken over with the meaning that it has. https://www.sqlite.org/schematab.html

To another database go columns, keys and indexes of columns, which SQLAlchemy reflects as what they
are. Of a DEFAULT, a CHECK or a computed column it reflects the text alone, whose meaning elsewhere
is not known: these are left out, and named.
"""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Index, MetaData, Table
from sqlalchemy.engine import Inspector
from sqlalchemy.exc import SAWarning

from vinci_code.database.moving.files import TELLS_TABLES, asked, index_names

_WITH_INDEXES = ("sqlite", "postgresql")


def own_statements(source: Inspector, name: str) -> list[str]:
    """The statements of a SQLite file that have made a table and its indexes.

    Returns:
        The table's first; nothing of a virtual table, of what belongs to one, or where SQLite is
        too old to tell (before 3.37).
    """
    if sqlite3.sqlite_version_info < TELLS_TABLES:
        return []
    found = asked(source, "SELECT type FROM pragma_table_list(?) WHERE schema = 'main'", name)
    if [row[0] for row in found] != ["table"]:
        return []
    rows = asked(
        source,
        "SELECT sql FROM main.sqlite_master WHERE tbl_name = ? COLLATE NOCASE AND sql IS NOT NULL "
        "AND type IN ('table', 'index') ORDER BY type = 'index', name",
        name,
    )
    return [str(row[0]) for row in rows]


def triggers_of(source: Inspector, name: str) -> list[str]:
    """The names of a table's triggers in a SQLite file."""
    wanted = (
        "SELECT name FROM main.sqlite_master WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE"
    )
    return [str(row[0]) for row in asked(source, wanted, name)]


def carry_indexes(
    source: Inspector, name: str, made: Table, names: Mapping[str, str]
) -> Iterator[str]:
    """Give a table the indexes that it has in the source.

    Args:
        source: The inspector of the source.
        name: The table there.
        made: The table as the target makes it.
        names: The target's names of columns, by those of the source.

    Yields:
        What is left out.
    """
    carried = set()
    with no_warnings():
        reflected: Sequence[Any] = source.get_indexes(name)
    for found in reflected:
        carried.add(found["name"])
        if found.get("duplicates_constraint"):
            continue  # the constraint makes it
        columns = [names.get(str(one)) for one in found["column_names"]]
        if _is_plain(found) and _is_binary(source, found["name"]) and all(columns):
            listed = [made.c[one] for one in columns if one is not None]
            Index(found["name"], *listed, unique=bool(found["unique"]))
        else:
            yield f"{name}: the index {found['name']}"
    if source.dialect.name == "sqlite":
        others = index_names(source, name)
        yield from (f"{name}: the index {one}" for one in others if one not in carried)


def left_out(source: Inspector, name: str, *, indexes: bool) -> Iterator[str]:
    """What of a table is not taken over.

    Args:
        source: The inspector of the source.
        name: The table there.
        indexes: Whether its indexes are left out too.
    """
    for column in source.get_columns(name):
        if column.get("default") is not None and column.get("computed") is None:
            yield f"{name}.{column['name']}: its DEFAULT"
        if column.get("computed") is not None:
            yield f"{name}.{column['name']}: that it is computed"
    if source.dialect.name == "databricks":
        return
    for check in source.get_check_constraints(name):
        yield f"{name}: CHECK ({check['sqltext']})"
    if indexes:
        yield from carry_indexes(source, name, Table(name, MetaData()), {})


def takes_indexes(source: str, target: str) -> bool:
    """Whether an index of columns is the same in both dialects."""
    return {source, target} <= set(_WITH_INDEXES)


@contextmanager
def no_warnings() -> Iterator[None]:
    """Without SQLAlchemy's warning of indexes that it cannot reflect: these are named here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Skipped unsupported reflection", SAWarning)
        yield


def _is_plain(index: Mapping[str, Any]) -> bool:
    """Whether an index is one of columns in their order, and of all rows.

    What else SQLAlchemy reflects stands in its options, such as ``sqlite_where``: with any that
    says something it is another index.
    """
    options = index.get("dialect_options", {})
    others = set(index) - {"name", "column_names", "unique", "dialect_options", "comment"}
    said = [*options.values(), *(index[name] for name in others)]
    # Conditions are elements of SQL, which are neither true nor false.
    return all(one is None or one is False or (isinstance(one, list) and not one) for one in said)


def _is_binary(source: Inspector, name: str) -> bool:
    """Whether an index of a SQLite file sorts upwards, and tells all texts apart.

    SQLAlchemy reflects neither. https://www.sqlite.org/pragma.html#pragma_index_xinfo
    """
    if source.dialect.name != "sqlite":
        return True
    wanted = 'SELECT "desc", coll FROM pragma_index_xinfo(?) WHERE key'
    return all(tuple(row) == (0, "BINARY") for row in asked(source, wanted, name))
