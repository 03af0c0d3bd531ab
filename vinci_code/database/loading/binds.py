"""What rows are loaded on: an engine, whose transaction is the load's, or a unit of work."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, Table, delete, false
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session, scoped_session

from vinci_code.database.loading.targets import LoadTarget

Bind = Engine | Connection | Session


def checked_bind(bind: Any) -> Bind:
    """What rows are loaded on.

    Raises:
        ArgumentError: It is for asyncio, or something else.
    """
    if isinstance(bind, scoped_session):
        bind = bind()
    if isinstance(bind, (Engine, Connection, Session)):
        return bind
    if type(bind).__module__.startswith("sqlalchemy.ext.asyncio"):
        raise ArgumentError(
            f"load() takes an Engine, a Connection or a Session, found {type(bind).__name__}, "
            "which is for asyncio; nothing was loaded\nTo fix it: await load_async(…)."
        )
    raise ArgumentError(
        f"load() takes an Engine, a Connection or a Session first, found a {type(bind).__name__}; "
        "nothing was loaded"
    )


def connection_of(bind: Connection | Session, target: LoadTarget | None) -> Connection:
    """The connection of a unit of work, which is flushed as ``execute()`` flushes it.

    Raises:
        ArgumentError: It commits each statement by itself, so that a load could not be undone.
    """
    if isinstance(bind, Session):
        if bind.autoflush:
            bind.flush()
        wanted: dict[str, Any] = {}
        if target is not None:
            wanted = {"mapper": target.mapper, "clause": target.table}
        bind = bind.connection(bind_arguments={k: v for k, v in wanted.items() if v is not None})
    require_known(bind.dialect)
    require_transaction(bind)
    return bind


def require_known(dialect: Any) -> None:
    """Refuse a database for which it is not known how rows are loaded.

    Raises:
        ArgumentError: It is one.
    """
    if dialect.name != "sqlite" and not hasattr(dialect, "held_by"):
        raise ArgumentError(
            f"load() knows SQLite and databricks+vinci, found {dialect.name}+{dialect.driver}; "
            "nothing was loaded\nTo fix it: execute insert(table) with the rows."
        )


def require_transaction(connection: Connection) -> None:
    """Refuse a connection on which each statement is committed by itself.

    Raises:
        ArgumentError: It is one.
    """
    if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
        raise ArgumentError(
            "load() is all or nothing, and with isolation_level='AUTOCOMMIT' each statement is "
            "committed by itself; nothing was loaded\n"
            "To fix it: pass an engine or a connection with another isolation level."
        )


def begin_writing(connection: Connection, table: Table) -> None:
    """Begin a transaction of SQLite's as one that writes, where none is begun.

    Nobody else writes between what is counted and what is written then. And where sqlite3 begins
    transactions by itself, before a statement that writes, the end of a savepoint that comes first
    would commit.
    """
    if is_counted(connection.dialect):
        connection.execute(delete(table).where(false()))


def is_counted(dialect: Any) -> bool:
    """Whether a database says at once how many rows it has written: SQLite, and no standby of it.

    What a standby takes is written again by the warehouse, which has other rows.
    """
    return dialect.name == "sqlite" and not hasattr(dialect, "held_by")
