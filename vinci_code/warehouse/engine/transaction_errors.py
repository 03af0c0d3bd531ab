"""The errors of transactions, with the texts of the Databricks documentation.

https://docs.databricks.com/aws/en/error-messages/transaction-not-supported-error-class
https://docs.databricks.com/aws/en/error-messages/delta-concurrent-append-error-class
https://docs.databricks.com/aws/en/error-messages/delta-concurrent-delete-read-error-class
"""

from __future__ import annotations

import re

import duckdb

from vinci_code.warehouse.engine.model import Commit
from vinci_code.warehouse.engine.names import TableName
from vinci_code.warehouse.sql.errors import SqlError, from_duckdb

_GONE = re.compile(r"Table with name t\d+ does not exist")
_CONFLICT_STATE = "2D521"
_AUTOCOMMIT_STATE = "25000"
_ISOLATION = "https://docs.databricks.com/delta/concurrency-control.html"
_REFER = f"Refer to {_ISOLATION} for more information."

_APPEND_DETAIL = {
    "ROW_LEVEL_CHANGES": (
        "The concurrent operation modified the same rows that this transaction attempted to "
        "modify. Please retry the operation."
    ),
    "WHOLE_TABLE_READ": (
        "This transaction attempted to read the entire table, conflicting with the concurrent "
        "modification. Consider adding filters to your query to narrow the data scope or retrying "
        "the operation."
    ),
    "WITHOUT_HINT": "Please retry the operation.",
}
_DELETE_DETAIL = {
    "ROW_LEVEL_CHANGES": (
        "The concurrent operation deleted rows that this transaction attempted to read. Please "
        "retry the operation."
    ),
    "WHOLE_TABLE_READ": (
        "This transaction attempted to read the entire table, conflicting with the concurrent "
        "deletion. Add filters to your query to narrow the data scope and retry the operation."
    ),
    "WITHOUT_HINT": "Please retry the operation.",
}


def concurrent_change(winner: Commit, name: TableName, detail: str) -> SqlError:
    """Return the conflict with a commit that changed rows, and that came first.

    ``detail`` is ``ROW_LEVEL_CHANGES``, ``WHOLE_TABLE_READ`` or ``WITHOUT_HINT``.
    """
    if winner.added:
        text = (
            f"Transaction conflict detected. A concurrent {winner.operation} added data to table "
            f"{name} committed at version {winner.version}. {_APPEND_DETAIL[detail]} {_REFER}"
        )
        return SqlError(f"DELTA_CONCURRENT_APPEND.{detail}", _CONFLICT_STATE, text)
    text = (
        f"Transaction conflict detected, a concurrent {winner.operation} deleted data from table "
        f"{name} (committed at version {winner.version}) that this transaction read. "
        f"{_DELETE_DETAIL[detail]} {_REFER}"
    )
    return SqlError(f"DELTA_CONCURRENT_DELETE_READ.{detail}", _CONFLICT_STATE, text)


def description_changed(winner: Commit, name: TableName) -> SqlError:
    """Return the conflict with a commit that changed the table's protocol or its metadata."""
    kind, part = ("Protocol", "protocol version") if winner.protocol else ("Metadata", "metadata")
    return SqlError(
        f"DELTA_{kind.upper()}_CHANGED",
        _CONFLICT_STATE,
        f"{kind}ChangedException: The {part} of the Delta table {name} has been changed by a "
        f"concurrent update ({winner.operation}, version {winner.version}). Please try the "
        f"operation again. Refer to {_ISOLATION} for more details.",
    )


def not_supported(detail: str, message: str) -> SqlError:
    """Return ``TRANSACTION_NOT_SUPPORTED`` with its subclass."""
    return SqlError(
        f"TRANSACTION_NOT_SUPPORTED.{detail}",
        "0A000",
        f"Failed to execute the statement. {message}",
    )


def command_not_supported(command: str) -> SqlError:
    """Return the refusal of a statement that may not stand in a transaction."""
    return not_supported(
        "COMMAND",
        f"Command {command} is not supported in a transaction. Only SELECT / INSERT / MERGE / "
        "UPDATE / DELETE / DESCRIBE TABLE are supported.",
    )


def metadata_not_supported() -> SqlError:
    """Return the refusal of a metadata call within a transaction."""
    return not_supported(
        "COMMAND", "Metadata calls are not supported within a multi-statement transaction."
    )


def preview_not_enabled() -> SqlError:
    """Return the refusal of transactions where the workspace does not have them."""
    return not_supported(
        "PREVIEW_NOT_ENABLED",
        "Transactions are not enabled for this workspace. Please contact your Databricks support "
        "representative to enable this feature.",
    )


def nested_transaction() -> SqlError:
    """Return the refusal of BEGIN within a transaction."""
    return not_supported("NESTED_TRANSACTION", "Nested transactions are not supported.")


def information_schema_table(name: TableName) -> SqlError:
    """Return the refusal of ``information_schema`` within a transaction."""
    return not_supported(
        "INFORMATION_SCHEMA_TABLE",
        f"Accessing tables from INFORMATION_SCHEMA ({name}) is not supported in a transaction.",
    )


def time_travel_query(name: TableName) -> SqlError:
    """Return the refusal of time travel within a transaction."""
    return not_supported(
        "TIME_TRAVEL_QUERY",
        "Time travel queries are not supported in a transaction. Please remove the temporal "
        f"specification when referring to table {name} and then retry the transaction.",
    )


def write_without_catalog_commits(name: TableName) -> SqlError:
    """Return the refusal to write to a table without catalog commits in a transaction."""
    return not_supported(
        "WRITE_NON_CATALOG_OWNED_TABLE",
        f"Table {name} does not have catalog commits enabled. Only tables with catalog commits can "
        "be written in a transaction. Please enable them with ALTER TABLE … SET TBLPROPERTIES "
        "('delta.feature.catalogManaged' = 'supported') and retry the transaction.",
    )


def from_engine(error: duckdb.Error, text: str) -> SqlError:
    """Translate what DuckDB raised while a statement ran."""
    if isinstance(error, duckdb.CatalogException) and _GONE.search(str(error)):
        return SqlError(
            "TABLE_OR_VIEW_NOT_FOUND",
            "42P01",
            "A table of the statement cannot be found: it was dropped while the statement began.",
        )
    return from_duckdb(error, text)


def no_active_transaction() -> SqlError:
    """Return the error of COMMIT without a transaction, by the name that the drivers know."""
    return SqlError(
        "MULTI_STATEMENT_TRANSACTION_NO_ACTIVE_TRANSACTION",
        _AUTOCOMMIT_STATE,
        "There is no active transaction.",
    )


def rollback_required() -> SqlError:
    """Return the error of any statement but ROLLBACK in an aborted transaction."""
    return SqlError(
        "TRANSACTION_ROLLBACK_REQUIRED_AFTER_ABORT.PREVIOUS_QUERY_FAILURE",
        "40000",
        "The current transaction has been aborted. Please run ROLLBACK TRANSACTION before "
        "continuing. Abort reason: a previous query in the transaction failed.",
    )


def autocommit_in_implicit_transaction() -> SqlError:
    """Return the error of ``SET AUTOCOMMIT = TRUE`` while its own transaction is open."""
    return SqlError(
        "AUTOCOMMIT_SET_TRUE_DURING_AUTOCOMMIT_TRANSACTION",
        _AUTOCOMMIT_STATE,
        "Cannot set AUTOCOMMIT to TRUE during an active implicit transaction started by SET "
        "AUTOCOMMIT=FALSE. Please COMMIT or ROLLBACK the transaction first.",
    )


def autocommit_in_transaction() -> SqlError:
    """Return the error of ``SET AUTOCOMMIT`` within ``BEGIN TRANSACTION``."""
    return SqlError(
        "AUTOCOMMIT_SET_DURING_ACTIVE_TRANSACTION",
        _AUTOCOMMIT_STATE,
        "Cannot set AUTOCOMMIT during an active transaction. Please COMMIT or ROLLBACK the "
        "transaction first.",
    )


def autocommit_already_disabled() -> SqlError:
    """Return the error of ``SET AUTOCOMMIT = FALSE`` where it is off."""
    return SqlError(
        "AUTOCOMMIT_SET_FALSE_ALREADY_DISABLED",
        _AUTOCOMMIT_STATE,
        "AUTOCOMMIT is already set to FALSE.",
    )
