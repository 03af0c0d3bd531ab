"""Reading a source as it was at one moment, while others go on writing to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine

from vinci_code.database.moving.databricks_side import DatabricksSide
from vinci_code.database.moving.other_side import OtherSide
from vinci_code.database.moving.places import CopyEnd
from vinci_code.database.moving.plans import TablePlan
from vinci_code.database.moving.sqlite_side import SqliteSide

Side = SqliteSide | DatabricksSide | OtherSide

# The isolation levels at which a transaction reads what was committed at its first statement.
# https://www.postgresql.org/docs/current/transaction-iso.html#XACT-REPEATABLE-READ
# https://dev.mysql.com/doc/refman/8.4/en/innodb-consistent-read.html
# https://docs.oracle.com/en/database/oracle/oracle-database/23/cncpt/data-concurrency-and-consistency.html
_LEVELS = {
    "postgresql": "REPEATABLE READ",
    "mysql": "REPEATABLE READ",
    "mariadb": "REPEATABLE READ",
    "oracle": "SERIALIZABLE",
}


def side_of(place: CopyEnd, *, is_target: bool) -> Side:
    """What reads and writes the tables of a database."""
    if place.backend == "sqlite":
        return SqliteSide(is_target=is_target)
    if place.backend == "other":
        return OtherSide(place.engine.dialect.name, is_target=is_target)
    return DatabricksSide(is_target=is_target)


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """A connection for reading: one transaction, which sees what was there at its start.

    https://www.sqlite.org/isolation.html. Of tables on Databricks, ``pin`` says which version. Of
    another database whose isolation is not known, ``told_of`` says so.
    """
    level = _LEVELS.get(engine.dialect.name)
    with engine.connect() as connection:
        if level is not None:
            connection.execution_options(isolation_level=level)
        if engine.dialect.name == "postgresql":
            connection.execution_options(postgresql_readonly=True)
        if engine.dialect.name == "sqlite":
            _begin_reading(connection)
        yield connection
        connection.rollback()


def _begin_reading(connection: Connection) -> None:
    """Begin the read transaction, which sees what is there at its first statement that reads.

    An engine that was made elsewhere sends no BEGIN before what only reads, as sqlite3 does not:
    each statement would be of its own moment.
    https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#serializable-isolation-savepoints-transactional-ddl
    """
    connection.exec_driver_sql("SELECT 1").scalar()  # our own engine sends BEGIN before it
    driver: Any = connection.connection.driver_connection
    if not driver.in_transaction:
        connection.exec_driver_sql("BEGIN")
    connection.exec_driver_sql("SELECT count(*) FROM main.sqlite_master").scalar()


def told_of(place: CopyEnd) -> list[str]:
    """What is to be told of how a source is read, where it is neither SQLite nor Databricks."""
    if place.backend != "other":
        return []
    name = place.engine.dialect.name
    level = _LEVELS.get(name)
    if level is None:
        told = (
            f"{name} is not known to read several tables as they were at one moment: each "
            "statement has read what was there as it began"
        )
        return [told]
    return [f"{name} was read in one transaction of the level {level}"]


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
