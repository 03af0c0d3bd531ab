"""Reading a source as it was at one moment, while others go on writing to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine

from vinci_code.database.moving.databricks_side import DatabricksSide
from vinci_code.database.moving.places import CopyEnd
from vinci_code.database.moving.plans import TablePlan
from vinci_code.database.moving.sqlite_side import SqliteSide

Side = SqliteSide | DatabricksSide


def side_of(place: CopyEnd, *, is_target: bool) -> Side:
    """What reads and writes the tables of a database."""
    if place.backend == "sqlite":
        return SqliteSide(is_target=is_target)
    return DatabricksSide(is_target=is_target)


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """A connection for reading: on SQLite one transaction, which sees what was there at its start.

    https://www.sqlite.org/isolation.html. Of tables on Databricks, ``pin`` says which version.
    """
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            # The read transaction begins with the first statement that reads.
            connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar()
        yield connection
        connection.rollback()


def pin(side: Side, connection: Connection, table: TablePlan, version: int | None) -> None:
    """Say which version of a table is read: that of a copy before, or the newest."""
    if isinstance(side, DatabricksSide):
        table.version = side.version(connection, table) if version is None else version


@contextmanager
def unchecked(engine: Engine) -> Iterator[Connection]:
    """A connection for writing, on which SQLite checks no foreign keys: rows come in any order."""
    with engine.connect() as connection:
        if engine.dialect.name != "sqlite":
            yield connection
            return
        before = _pragma(connection, "foreign_keys")
        _pragma(connection, "foreign_keys = OFF")
        try:
            yield connection
        finally:
            connection.rollback()
            _pragma(connection, f"foreign_keys = {'ON' if before else 'OFF'}")


def _pragma(connection: Connection, pragma: str) -> Any:
    # Without SQLAlchemy, which would begin a transaction, in which this PRAGMA does nothing.
    cursor = connection.connection.cursor()
    try:
        cursor.execute(f"PRAGMA {pragma}")
        row = cursor.fetchone()
        return row[0] if row else None
    finally:
        cursor.close()
