"""What a statement gives back: named, typed columns and Arrow batches."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from vinci_code.warehouse.engine.volume_paths import VolumePath
from vinci_code.warehouse.sql.types import BIGINT, STRING, Column, SqlType

__all__ = ["Column", "Result"]


@dataclass(frozen=True)
class StagingRequest:
    """A file that the client shall transfer, or have removed.

    Attributes:
        operation: ``PUT``, ``GET`` or ``REMOVE``.
        path: The file in the volume.
        local_file: The file of the client's, as it was written; ``None`` for ``REMOVE``.
    """

    operation: str
    path: VolumePath
    local_file: str | None


@dataclass
class Result:
    """The outcome of one statement.

    Attributes:
        columns: The columns, in order. A statement without a result of its own (DDL) has the one
            column ``Result`` and no rows, as a warehouse answers.
        batches: Arrow record batches of the types ``SqlType.arrow()``, produced as they are read;
            a VARIANT is its JSON text. Reading may raise ``SqlError``.
        num_modified_rows: Rows that the statement changed; ``None`` unless it is DML.
        statement_kind: ``SELECT``, ``INSERT``, ``UPDATE``, ``DELETE``, ``MERGE``, ``COPY``,
            ``DDL``, ``SHOW``, ``DESCRIBE``, ``SET``, ``USE``, ``STAGING`` or ``TRANSACTION``.
        on_close: What to do when the result is closed.
        on_interrupt: What ends a computation of rows that another thread reads.
        staging: What the client shall do with a file, for ``STAGING``; only who serves files can
            turn it into rows, and the batches are an error.
    """

    columns: list[Column]
    batches: Iterator[pa.RecordBatch]
    num_modified_rows: int | None
    statement_kind: str
    on_close: Callable[[], None] | None = field(default=None, repr=False)
    staging: StagingRequest | None = None
    on_interrupt: Callable[[], None] | None = field(default=None, repr=False)

    def interrupt(self) -> None:
        """Make another thread that reads rows stop with an error, soon."""
        if self.on_interrupt is not None:
            self.on_interrupt()

    def close(self) -> None:
        """Free what the unread rows hold; further batches are not available."""
        self.batches = iter(())
        if self.on_close is not None:
            on_close, self.on_close = self.on_close, None
            on_close()


def empty_result(kind: str = "DDL") -> Result:
    """Return what a warehouse answers to DDL: the column ``Result`` and no rows."""
    return Result([Column("Result", STRING)], iter(()), None, kind)


def counts_result(kind: str, counts: Sequence[tuple[str, int]]) -> Result:
    """Return the one row of a DML statement; its first count is the number of affected rows."""
    columns = [Column(name, BIGINT) for name, _ in counts]
    # Not pa.array(): its first call imports pandas, which takes longer than the statement.
    arrays = [
        pa.Array.from_buffers(pa.int64(), 1, [None, pa.py_buffer(struct.pack("=q", count))])
        for _, count in counts
    ]
    batch = pa.RecordBatch.from_arrays(arrays, names=[name for name, _ in counts])
    return Result(columns, iter((batch,)), counts[0][1], kind)


def rows_result(kind: str, columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> Result:
    """Return rows that are at hand as Python values."""
    listed = list(rows)
    schema = pa.schema([pa.field(column.name, column.type.arrow()) for column in columns])
    arrays = [
        pa.array([row[index] for row in listed], type=field.type)
        for index, field in enumerate(schema)
    ]
    batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
    return Result(list(columns), iter((batch,)), None, kind)


def text_columns(*names: str) -> list[Column]:
    """Return columns of type STRING."""
    return [Column(name, STRING) for name in names]


def typed_columns(*columns: tuple[str, SqlType]) -> list[Column]:
    """Return nullable columns of the given names and types."""
    return [Column(name, kind) for name, kind in columns]
