"""Units of work on Databricks that are all or nothing, by the warehouse's own transactions.

The first statement of a unit that writes rows is preceded by BEGIN TRANSACTION, so that a unit that
only reads costs nothing; COMMIT or ROLLBACK end it. In AUTOCOMMIT, as for migrations, each
statement stands for itself.

Where the workspace has no transactions, and ``DATABRICKS_TRANSACTIONS`` is ``auto``, units go
without, with a warning in the log; with ``on`` the first write is refused.
"""

from __future__ import annotations

import logging
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import PoolResetState

from vinci_code.database.dialect.dberrors import Error

_BEGUN = "vinci_transaction_begun"
_log = logging.getLogger(__name__)


def use_transactions(engine: Engine, *, required: bool) -> None:
    """Have the units of work of an engine be transactions of the warehouse.

    Args:
        engine: An engine of the dialect ``databricks+vinci``.
        required: Whether to refuse to write where the workspace has no transactions.
    """
    units = _Units(required=required)
    event.listen(engine, "before_cursor_execute", units.before_statement)
    event.listen(engine, "commit", units.commit)
    event.listen(engine, "rollback", units.roll_back)
    event.listen(engine, "reset", units.reset)


class _Units:
    def __init__(self, *, required: bool) -> None:
        self._required = required
        self._available = True

    def before_statement(
        self,
        connection: Connection,
        _cursor: object,
        _statement: str,
        _parameters: object,
        context: Any,
        _executemany: bool,
    ) -> None:
        """Begin before the first statement that writes rows."""
        writes = context is not None and (context.isinsert or context.isupdate or context.isdelete)
        if not writes or not self._available or _BEGUN in connection.info:
            return
        if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
            return
        try:
            connection.exec_driver_sql("BEGIN TRANSACTION")
        except DBAPIError as error:
            if self._required or not _says_unavailable(error):
                raise
            self._available = False
            _log.warning(
                "the workspace has no transactions (%s): what a unit of work has written stays "
                "where it is rolled back",
                error.orig,
            )
            return
        connection.info[_BEGUN] = True

    def commit(self, connection: Connection) -> None:
        """Commit what was begun."""
        if _BEGUN in connection.info:
            connection.exec_driver_sql("COMMIT")
            del connection.info[_BEGUN]

    def roll_back(self, connection: Connection) -> None:
        """Roll back what was begun; a session that cannot is ended, which does the same."""
        if connection.invalidated or connection.info.pop(_BEGUN, None) is None:
            return
        try:
            _run(connection.connection.dbapi_connection, "ROLLBACK")
        except Error as error:
            connection.invalidate(error)

    def reset(self, dbapi_connection: Any, record: Any, state: PoolResetState) -> None:
        """Roll back what a connection that nobody closed has left."""
        if record.info.pop(_BEGUN, None) is not None and not state.terminate_only:
            _run(dbapi_connection, "ROLLBACK")


def _run(dbapi_connection: Any, statement: str) -> None:
    cursor = dbapi_connection.cursor()
    try:
        cursor.execute(statement)
    finally:
        cursor.close()


def _says_unavailable(error: DBAPIError) -> bool:
    condition = getattr(error.orig, "error_class", None) or ""
    return "TRANSACTION_NOT_SUPPORTED" in condition or "PARSE_SYNTAX_ERROR" in condition
