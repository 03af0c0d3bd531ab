"""Migrating SQLite, where many changes of a table are a copy of it, and the end of the first one.

SQLite takes ``DROP TABLE`` for a DELETE of all rows: rows of other tables that refer to them are
deleted, set to NULL, or forbid it, as their foreign keys say
(https://www.sqlite.org/lang_droptable.html). So foreign keys act on nothing while tables are
copied, and all are checked before the commit: https://www.sqlite.org/lang_altertable.html#otheralter
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.schema import DropTable

from vinci_code.core.errors import SchemaError

# How SQLite words it (https://www.sqlite.org/foreignkeys.html#fk_indexes); its error code is the
# unspecific SQLITE_ERROR.
_MISMATCH = "foreign key mismatch"


@contextmanager
def migrating(engine: Engine) -> Iterator[Connection]:
    """A connection to SQLite for the only process that migrates, in one transaction.

    The transaction holds the write lock from its start, and is committed at the end.

    Raises:
        SchemaError: Rows would be left that refer to rows which are not there; nothing was changed.
    """
    with engine.connect() as connection:
        connection = connection.execution_options(sqlite_begin="IMMEDIATE")
        with _without_foreign_keys(connection), connection.begin():
            before = _dangling(connection)
            yield connection
            _refuse(_dangling(connection) - before)


@contextmanager
def migrating_on(connection: Connection) -> Iterator[None]:
    """Migrate on a connection that the application brings, and whose transaction is its own.

    Raises:
        SchemaError: A table is dropped whose rows others refer to, and foreign keys act.
    """
    if not _enforces(connection):
        yield
        return
    event.listen(connection, "before_execute", _refuse_drop)
    try:
        yield
    finally:
        event.remove(connection, "before_execute", _refuse_drop)


@contextmanager
def _without_foreign_keys(connection: Connection) -> Iterator[None]:
    before = _enforces(connection)
    _pragma(connection, "foreign_keys = OFF")
    try:
        yield
    finally:
        _pragma(connection, f"foreign_keys = {'ON' if before else 'OFF'}")


def _enforces(connection: Connection) -> bool:
    (found,) = _pragma(connection, "foreign_keys")
    return bool(found)


def _pragma(connection: Connection, pragma: str) -> Any:
    """Run a PRAGMA without SQLAlchemy, which would begin a transaction.

    Within one a change of ``foreign_keys`` does nothing, and Alembic would not commit it.
    """
    cursor = connection.connection.cursor()
    try:
        cursor.execute(f"PRAGMA {pragma}")
        return cursor.fetchone()
    finally:
        cursor.close()


def _dangling(connection: Connection) -> Counter[tuple[str, str]]:
    """How many rows of a table refer to rows of another one that are not there."""
    found: Counter[tuple[str, str]] = Counter()
    for table in _tables(connection):
        try:
            rows = connection.exec_driver_sql(f"PRAGMA foreign_key_check({_quoted(table)})").all()
        except OperationalError as error:
            if _MISMATCH not in str(error.orig):
                raise
            # What it refers to is no key, so that none of its rows could ever be checked, with or
            # without a migration.
            continue
        found.update((row[0], row[2]) for row in rows)
    return found


def _refuse(dangling: Counter[tuple[str, str]]) -> None:
    if not dangling:
        return
    listed = ", ".join(
        f"{count} of {table} (to {parent})" for (table, parent), count in sorted(dangling.items())
    )
    raise SchemaError(
        f"The migration would leave rows that refer to rows which are not there: {listed}. Nothing "
        "was changed. To fix it: have the revision delete or change these rows, too."
    )


def _refuse_drop(connection: Connection, construct: Any, *_: Any) -> None:
    if not isinstance(construct, DropTable):
        return
    dropped = str(construct.element.name)
    referring = [table for table in _tables(connection) if _refers(connection, table, dropped)]
    if referring:
        raise SchemaError(
            f"The table {dropped} would be dropped, perhaps to put a copy in its place, and SQLite "
            f"would delete, change or miss the rows of {', '.join(referring)} that refer to it: "
            "foreign keys are enforced on the connection that was given to Alembic. To fix it: "
            'give none, or one with "PRAGMA foreign_keys = OFF" before its transaction begins.'
        )


def _refers(connection: Connection, table: str, dropped: str) -> bool:
    """Whether rows of a table refer to rows of another one."""
    if table.lower() == dropped.lower():
        return False
    keys = connection.exec_driver_sql(f"PRAGMA foreign_key_list({_quoted(table)})").all()
    columns = {row[3] for row in keys if row[2].lower() == dropped.lower()}
    return any(
        connection.exec_driver_sql(
            f"SELECT EXISTS (SELECT 1 FROM {_quoted(table)} WHERE {_quoted(column)} IS NOT NULL)"  # noqa: S608 - quoted
        ).scalar()
        for column in columns
    )


def _tables(connection: Connection) -> list[str]:
    found = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'")
    return sorted(found.scalars())


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
