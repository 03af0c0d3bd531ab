"""One process, and one thread of it, that migrates a database."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from vinci_code.database.dialect.forking import renew_lock_in_child
from vinci_code.database.table_copies import migrating

# Alembic keeps the migration that runs in the modules alembic.context and alembic.op: two threads,
# each with a database of its own, would migrate one of the two twice.
_lock = threading.RLock()
renew_lock_in_child(sys.modules[__name__])


@contextmanager
def only_thread() -> Iterator[None]:
    """Keep other threads from using Alembic meanwhile."""
    with _lock:
        yield


@contextmanager
def alone(engine: Engine, *, version_table: str, schema: str | None = None) -> Iterator[Connection]:
    """A connection for the only process that migrates: the others wait until it is done.

    On SQLite it is in a transaction; Databricks has none around DDL.

    Raises:
        SchemaError: On SQLite rows would be left that refer to rows which are not there.
        MigrationRunningError: Another process migrates tables on Databricks, and is not done in
            time, or is dead.
    """
    if engine.dialect.name == "sqlite":
        with migrating(engine) as connection:
            yield connection
        return
    from vinci_code.database.dialect.migrations.claim import claimed

    claim = claimed(engine, version_table=version_table, schema=schema)
    with claim, engine.connect() as connection:
        yield connection


@contextmanager
def writing(
    engine: Engine, *, version_table: str, schema: str | None = None
) -> Iterator[Connection]:
    """The same, for revisions of which nothing that they write on Databricks is held.

    Raises:
        SchemaError: See ``alone``.
        MigrationRunningError: See ``alone``.
    """
    with alone(engine, version_table=version_table, schema=schema) as connection:
        if engine.dialect.name == "sqlite":
            yield connection
            return
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        with connection.begin():
            yield connection
