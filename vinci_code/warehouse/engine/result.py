"""What a statement gives back: named, typed columns and Arrow batches that are made when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from vinci_code.warehouse.sql.types import SqlType


@dataclass(frozen=True)
class Column:
    """One column of a table or of a result.

    Attributes:
        name: The name as it was written; compared without regard to case.
        type: The Databricks type.
        nullable: Whether a NULL may appear in it.
        comment: The column's comment, where it has one.
    """

    name: str
    type: SqlType
    nullable: bool = True
    comment: str | None = None


@dataclass
class Result:
    """The outcome of one statement.

    Attributes:
        columns: The columns, in order. A statement without a result of its own (DDL) has the one
            column ``Result`` and no rows, as a warehouse answers.
        batches: Arrow record batches of the types ``SqlType.arrow()``, produced as they are read;
            a VARIANT is its JSON text. Reading may raise ``SqlError``.
        num_modified_rows: Rows that the statement changed; ``None`` unless it is DML.
        statement_kind: ``SELECT``, ``INSERT``, ``UPDATE``, ``DELETE``, ``MERGE``, ``DDL``, ``SHOW``,
            ``DESCRIBE``, ``SET``, ``USE`` or ``TRANSACTION``.
    """

    columns: list[Column]
    batches: Iterator[pa.RecordBatch]
    num_modified_rows: int | None
    statement_kind: str
    on_close: Callable[[], None] | None = field(default=None, repr=False)

    def close(self) -> None:
        """Free what the unread rows hold; further batches are not available."""
        self.batches = iter(())
        if self.on_close is not None:
            on_close, self.on_close = self.on_close, None
            on_close()
