"""Whether a commit conflicts with those that came first since its snapshot.

Delta's optimistic concurrency (https://docs.databricks.com/aws/en/optimizations/isolation-level):
blind appends conflict with nothing; a change of metadata conflicts with every writer; UPDATE,
DELETE and MERGE conflict with each other. Outside of transactions row-level concurrency lets them
pass where they touch different rows of a table without partitions that has deletion vectors.
"""

# ruff: noqa: S608 - the names and values in this SQL are made by the engine itself

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from vinci_code.warehouse.engine import transaction_errors as errors
from vinci_code.warehouse.engine.model import Commit, Table, TableSchema, TableState
from vinci_code.warehouse.engine.store import ADDED, DATABASE, REMOVED

ISOLATION_LEVEL = "delta.isolationLevel"
_DELETION_VECTORS = "delta.enableDeletionVectors"


@dataclass(frozen=True)
class Attempt:
    """What is about to be committed to a table.

    Attributes:
        base: The state it was computed from.
        removed: A relation with the column ``rid`` of the rows it removes, or ``None``.
        read: Whether it depends on rows that it read from the table.
        scanned: Whether it read the table in a query, beyond finding the rows that it removes.
        inserted: Whether it adds rows that are not new versions of rows it removes.
        in_transaction: Whether it is part of an interactive or atomic transaction.
        appends_conflict: Whether two blind appends conflict.
    """

    base: TableState
    removed: str | None
    read: bool
    scanned: bool
    inserted: bool
    in_transaction: bool
    appends_conflict: bool = False

    @property
    def blind(self) -> bool:
        """Whether it only appends, without having read the table."""
        return self.removed is None and not self.read


def check(cursor: duckdb.DuckDBPyConnection, table: Table, attempt: Attempt) -> None:
    """Raise where the attempt conflicts with a commit after its snapshot.

    Raises:
        SqlError: ``DELTA_METADATA_CHANGED``, ``DELTA_PROTOCOL_CHANGED``,
            ``DELTA_CONCURRENT_APPEND`` or ``DELTA_CONCURRENT_DELETE_READ``, SQLSTATE 2D521.
    """
    base = attempt.base.version
    if table.state.version == base:
        return
    winners = [commit for commit in table.commits if commit.version > base]
    for winner in winners:
        if winner.protocol or winner.metadata:
            raise errors.description_changed(winner, table.name)
    for winner in winners:
        if winner.added or winner.removed:
            _check_rows(cursor, table, attempt, winner)


def isolation_level(schema: TableSchema) -> str:
    """Return a table's isolation level, as DESCRIBE HISTORY shows it."""
    return schema.properties.get(ISOLATION_LEVEL, "WriteSerializable")


def _check_rows(
    cursor: duckdb.DuckDBPyConnection, table: Table, attempt: Attempt, winner: Commit
) -> None:
    if attempt.blind:
        if attempt.appends_conflict and winner.blind_append:
            raise errors.concurrent_change(winner, table.name, "WITHOUT_HINT")
        return
    if winner.blind_append:
        if isolation_level(attempt.base.schema) == "Serializable":
            raise errors.concurrent_change(winner, table.name, "WHOLE_TABLE_READ")
        return
    if _same_rows(cursor, attempt, winner):
        raise errors.concurrent_change(winner, table.name, "ROW_LEVEL_CHANGES")
    if attempt.in_transaction or _same_files(cursor, attempt, winner):
        raise errors.concurrent_change(winner, table.name, "WITHOUT_HINT")
    if attempt.scanned or attempt.removed is None or (attempt.inserted and winner.inserted):
        # It read the table to decide what to write, and the winner's rows may belong to that.
        raise errors.concurrent_change(winner, table.name, "WHOLE_TABLE_READ")


def _same_rows(cursor: duckdb.DuckDBPyConnection, attempt: Attempt, winner: Commit) -> bool:
    if attempt.removed is None or not winner.removed:
        return False
    query = (
        f"SELECT 1 FROM {DATABASE}.{attempt.base.physical} WHERE {REMOVED} = {winner.version} "
        f"AND rowid IN (SELECT rid FROM {attempt.removed}) LIMIT 1"
    )
    return bool(cursor.execute(query).fetchall())


def _same_files(cursor: duckdb.DuckDBPyConnection, attempt: Attempt, winner: Commit) -> bool:
    """Whether both may have touched a file where row-level concurrency does not apply."""
    schema = attempt.base.schema
    if attempt.removed is None:
        return False
    if schema.partition_by:
        return _same_partition(cursor, attempt, winner)
    return not schema.enabled(_DELETION_VECTORS, default=True)


def _same_partition(cursor: duckdb.DuckDBPyConnection, attempt: Attempt, winner: Commit) -> bool:
    schema, table = attempt.base.schema, f"{DATABASE}.{attempt.base.physical}"
    keys = ", ".join(schema.column(name).physical for name in schema.partition_by)
    query = (
        f"SELECT {keys} FROM {table} WHERE rowid IN (SELECT rid FROM {attempt.removed}) "
        f"INTERSECT SELECT {keys} FROM {table} "
        f"WHERE {REMOVED} = {winner.version} OR {ADDED} = {winner.version} LIMIT 1"
    )
    return bool(cursor.execute(query).fetchall())
