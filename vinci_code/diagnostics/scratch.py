"""Whether tables can be made, written, read and dropped; the scratch table never stays."""

from __future__ import annotations

import secrets

from vinci_code.core.redaction import redact_exception
from vinci_code.database.databricks.failures import ExplainedError, Failure, Kind
from vinci_code.database.deadlines import run_with_deadline
from vinci_code.diagnostics.checks import Context
from vinci_code.diagnostics.report import Finding, Status, in_one_piece

_USE_TIMEOUT = 90.0
_DROP_TIMEOUT = 40.0
_NOTE = "written by vinci check"


def check_scratch_table(context: Context) -> Finding:
    """Create, write, read and drop a table with a name of its own in the session's schema."""
    table = f"`vinci_check_{secrets.token_hex(6)}`"
    try:
        run_with_deadline(lambda: _use(context, table), _USE_TIMEOUT, "using a scratch table")
    finally:
        # Whatever happened, Ctrl-C included, and over a new connection: the other one may still be
        # waiting for an answer.
        left_behind = _drop(context, table)
    if left_behind is not None:
        return left_behind
    return Finding(Status.OK, f"{table} was created, written, read and dropped")


def _use(context: Context, table: str) -> None:
    with context.the_connection().cursor() as cursor:
        cursor.execute(f"CREATE TABLE {table} (id BIGINT, note STRING)")
        cursor.execute(f"INSERT INTO {table} VALUES (1, '{_NOTE}')")  # noqa: S608 - our own name
        cursor.execute(f"SELECT id, note FROM {table}")  # noqa: S608 - our own name
        rows = [tuple(row) for row in cursor.fetchall()]
    if rows != [(1, _NOTE)]:
        raise ExplainedError(
            Failure(
                Kind.SERVER,
                f"The scratch table held {rows!r} after one row had been written.",
                "report this, with the versions that the check of the driver shows above",
            )
        )


def _drop(context: Context, table: str) -> Finding | None:
    """Drop the table; a finding if that did not work."""
    statement = f"DROP TABLE IF EXISTS {table}"

    def drop() -> None:
        connection = context.the_connector().open(statement_timeout=_DROP_TIMEOUT / 2)
        with connection.cursor() as cursor:
            cursor.execute(statement)

    try:
        run_with_deadline(drop, _DROP_TIMEOUT, "dropping the scratch table")
    except Exception as error:  # noqa: BLE001 - explained, whatever the driver lets through
        failure = context.the_connector().explain(redact_exception(error))
        return Finding(
            Status.FAILED,
            cause=f"The scratch table {table} could not be dropped. {failure.cause}",
            next_step=f"drop it in the SQL editor: {in_one_piece(statement)}",
        )
    return None
