"""One migration at a time: the claim that a process lays to a schema while it migrates it.

A warehouse has no lock that could be held, and does not enforce the primary key of Alembic's
version table: two processes that migrate at once would run each other's statements, and leave a
revision there twice. What it does is to create a table for one only of two that ask for it. So
whoever migrates creates a table first, and drops it at the end; the others wait for that.
"""

from __future__ import annotations

import logging
import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

from sqlalchemy import MetaData, Table
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError

from vinci_code.core.errors import VinciError
from vinci_code.database.dialect.dberrors import AmbiguousWriteError
from vinci_code.database.dialect.sql.constructs import TRAITS
from vinci_code.database.dialect.text.literals import quote_text
from vinci_code.database.dialect.text.scanning import DEFINITION, LOOK, StatementTraits

_WAIT = 60.0
"""Seconds that the migration of somebody else is waited for."""

_PROPERTY = "vinci.migration"
_PAUSE = 1.0

_log = logging.getLogger(__name__)


class MigrationRunningError(VinciError):
    """Another process migrates the schema, or has died while it did."""


@contextmanager
def claimed(
    engine: Engine,
    *,
    version_table: str = "alembic_version",
    schema: str | None = None,
    wait: float = _WAIT,
) -> Iterator[None]:
    """Keep others that ask for it from migrating a schema meanwhile.

    In an ``env.py``::

        with claimed(connectable), connectable.connect() as connection:
            context.configure(connection=connection, target_metadata=target_metadata)
            with context.begin_transaction():
                context.run_migrations()

    A process that dies without a word leaves its claim behind: the table named after the version
    table with ``_claim`` at the end. It has to be dropped then.

    Args:
        engine: The database. The claim has connections of its own, so that it can be taken back
            where that of the migration is broken, as after Ctrl-C.
        version_table: The name of Alembic's version table.
        schema: The schema that it is in, if that is not the engine's.
        wait: Seconds that the migration of somebody else is waited for.

    Raises:
        MigrationRunningError: It was not over by then. The message says whose it is.
    """
    table = Table(f"{version_table}_claim", MetaData(), schema=schema)
    name = engine.dialect.identifier_preparer.format_table(table)
    _take(engine, name, wait)
    try:
        yield
    finally:
        _give_up(engine, name)


def _take(engine: Engine, name: str, wait: float) -> None:
    began = datetime.now(timezone.utc).isoformat(timespec="seconds")
    mine = f"process {os.getpid()} on {socket.gethostname()} since {began}, claim {uuid.uuid4()}"
    until = time.monotonic() + wait
    while (holder := _create(engine, name, mine)) != mine:
        if holder is None:
            continue  # it was dropped just now
        if time.monotonic() >= until:
            raise MigrationRunningError(
                f"These tables are being migrated by {holder}; it was waited for {wait:g} s. To "
                "fix it: wait for that process to end, and try again. If it is known to be dead, "
                f"drop its claim first: DROP TABLE {name}"
            )
        _log.info("waiting for the migration by %s", holder)
        time.sleep(_PAUSE)


def _give_up(engine: Engine, name: str) -> None:
    try:
        _run(engine, f"DROP TABLE IF EXISTS {name}", DEFINITION)
    except DBAPIError as error:
        # What the migration itself has ended with is of more interest.
        _log.warning("the claim of this migration is still there (%s): DROP TABLE %s", error, name)


def _create(engine: Engine, name: str, mine: str) -> str | None:
    """Create the table; return whose it is, or ``None`` where it is not there."""
    property_ = f"'{_PROPERTY}' = {quote_text(mine)}"
    try:
        _run(engine, f"CREATE TABLE {name} (note STRING) TBLPROPERTIES ({property_})", DEFINITION)
    except DBAPIError as error:
        # Where the answer was lost, the table may be there all the same, and be ours.
        if not (_is(error, "ALREADY_EXISTS") or isinstance(error.orig, AmbiguousWriteError)):
            raise
        return _holder(engine, name)
    return mine


def _holder(engine: Engine, name: str) -> str | None:
    try:
        rows = _run(engine, f"SHOW TBLPROPERTIES {name}", LOOK)
    except DBAPIError as error:
        if _is(error, "NOT_FOUND"):
            return None
        raise
    return next((value for key, value in rows if key == _PROPERTY), "somebody who left no name")


def _run(engine: Engine, statement: str, traits: StatementTraits) -> list[Any]:
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        result = connection.exec_driver_sql(statement, execution_options={TRAITS: traits})
        return list(result) if result.returns_rows else []


def _is(error: DBAPIError, condition: str) -> bool:
    return condition in str(getattr(error.orig, "error_class", None) or "")
