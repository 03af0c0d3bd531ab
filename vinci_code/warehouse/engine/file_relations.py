"""Files in FROM by their path: ``parquet.`/Volumes/…` ``."""

from __future__ import annotations

from collections.abc import Callable

from vinci_code.warehouse.engine import file_reading
from vinci_code.warehouse.engine.file_formats import format_of
from vinci_code.warehouse.engine.file_reading import StagedFiles
from vinci_code.warehouse.engine.text_options import TextReading
from vinci_code.warehouse.engine.transactions import Transaction
from vinci_code.warehouse.engine.volumes import Volumes
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.query_context import Relation


def by_path(
    volumes: Volumes,
    transaction: Transaction,
    name: str,
    text: str,
    check_interrupt: Callable[[], None],
) -> Relation:
    """Return the rows of ``format.`path` ``; ``check_interrupt`` is called now and then."""
    refuse_in_transaction(transaction)
    # Types of CSV are not inferred here, and those of JSON always: no zone comes into it.
    file_format = format_of(name, {}, TextReading(check_interrupt=check_interrupt))
    path = file_reading.locate(volumes, text)
    files = file_reading.discover(volumes, path, recursive=False)
    if not files:
        raise nothing_to_read(name)
    columns = file_reading.columns_of(volumes, file_format, files, merge=False)
    return relation_of(file_reading.stage(volumes, transaction, file_format, files, columns))


def refuse_in_transaction(transaction: Transaction) -> None:
    """Refuse to read files in a transaction: whether Databricks does is not documented."""
    if transaction.interactive:
        raise unsupported("reading files in a transaction")


def nothing_to_read(name: str) -> SqlError:
    """Return the error for a directory without a file."""
    return SqlError(
        "UNABLE_TO_INFER_SCHEMA",
        "42KD9",
        f"Unable to infer schema for {name.upper()}. It must be specified manually.",
    )


def relation_of(staged: StagedFiles) -> Relation:
    """Return staged files as a relation of a query."""
    return Relation(staged.relation, staged.columns, (), staged.physical)
