"""Batches of Parquet, read and written in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from vinci_code.core.errors import InputDataError

GROUP_BYTES = 16 * 1024 * 1024
"""A group of rows is written when its columns have this many bytes in memory."""

GROUP_ROWS = 256 * 1024
"""The most rows of a group."""


class ParquetBatches:
    """A file of Parquet, to be closed; used in ``with``.

    Args:
        name: What it is called in messages.
        file: It, or its path. It has to be one that can be moved about in.

    Attributes:
        schema: Its columns.
        rows: How many rows it has.

    Raises:
        InputDataError: It is no Parquet, or is damaged.
    """

    def __init__(self, name: str, file: str | IO[bytes]) -> None:
        self._name = name
        with _telling(name):
            self._file = pq.ParquetFile(file, pre_buffer=False)
            self.schema: pa.Schema = self._file.schema_arrow.remove_metadata()
            self.rows: int = self._file.metadata.num_rows

    def __enter__(self) -> ParquetBatches:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def batches(self, rows: int) -> Iterator[pa.RecordBatch]:
        """Its rows, in batches of so many at most.

        Raises:
            InputDataError: It is damaged.
        """
        with _telling(self._name):
            found = self._file.iter_batches(batch_size=rows)
        while True:
            with _telling(self._name):
                batch = next(found, None)
            if batch is None:
                return
            yield batch


def opened_writer(sink: IO[bytes], schema: pa.Schema) -> pq.ParquetWriter:
    """What writes the groups of a file of Parquet, to be closed."""
    return pq.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        # It takes half of the time without, and zstd makes less of the values themselves.
        use_dictionary=False,
        # By its own types alone, as anybody else reads it.
        store_schema=False,
        version="2.6",
    )


def write_group(writer: pq.ParquetWriter, group: pa.Table) -> None:
    """Write a group of ``groups_of``."""
    writer.write_table(group, row_group_size=GROUP_ROWS)


def groups_of(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows of batches in groups, each of a bounded size.

    Args:
        batches: The batches, whose columns have the types of the schema.
        schema: The columns of the groups.

    Raises:
        TypeError: A batch has columns of other types.
    """
    held: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        if batch.schema.types != schema.types:
            found, wanted = (", ".join(map(str, one.types)) for one in (batch.schema, schema))
            raise TypeError(f"a batch has columns of {found}, where {wanted} are wanted")
        for begin in range(0, batch.num_rows, GROUP_ROWS):
            part = batch.slice(begin, GROUP_ROWS)
            if held and (rows + part.num_rows > GROUP_ROWS or size + part.nbytes > GROUP_BYTES):
                yield pa.Table.from_batches(held, schema)
                held, rows, size = [], 0, 0
            held.append(pa.RecordBatch.from_arrays(part.columns, schema=schema))
            rows, size = rows + part.num_rows, size + part.nbytes
    if held:
        yield pa.Table.from_batches(held, schema)


@contextmanager
def _telling(name: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        reason: Any = str(error).partition("\n")[0]
        raise InputDataError(name, None, f"cannot be read as Parquet: {reason}") from None
