"""Batches of Arrow as files of Parquet of bounded size, each given as soon as it is whole."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

FILE_BYTES = 128 * 1024 * 1024
"""A file is whole when it has this many bytes; its last group of rows is the most beyond."""

GROUP_BYTES = 16 * 1024 * 1024
"""A group of rows is written when its columns have this many bytes in memory."""

GROUP_ROWS = 256 * 1024
"""The most rows of a group."""

COMPRESSION = "zstd"


class WholeFile(NamedTuple):
    """A file of Parquet.

    Attributes:
        file: It, open; it has no name on the disk, and is gone when it is closed.
        size: Its bytes.
        rows: Its rows.
    """

    file: BinaryIO
    size: int
    rows: int


def whole_files(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[WholeFile]:
    """Write batches to files. A file is closed when the next one is asked for.

    Args:
        batches: The batches, whose columns have the types of the schema.
        schema: The columns of the files.

    Raises:
        TypeError: A batch has columns of other types.
    """
    groups = _groups(batches, schema)
    group = next(groups, None)
    while group is not None:
        with tempfile.TemporaryFile(prefix="vinci-load-") as file:
            rows = 0
            with pq.ParquetWriter(
                file,
                schema,
                compression=COMPRESSION,
                # It takes half of the time without, and zstd makes less of the values themselves.
                use_dictionary=False,
                # By its own types alone, as anybody else reads it.
                store_schema=False,
                version="2.6",
            ) as writer:
                while group is not None and (not rows or file.tell() < FILE_BYTES):
                    writer.write_table(group, row_group_size=GROUP_ROWS)
                    rows += group.num_rows
                    group = next(groups, None)
            yield WholeFile(file, file.tell(), rows)


def _groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        if batch.schema.types != schema.types:
            found, wanted = (", ".join(map(str, one.types)) for one in (batch.schema, schema))
            raise TypeError(f"a batch of a load has columns of {found}, where {wanted} are wanted")
        for begin in range(0, batch.num_rows, GROUP_ROWS):
            part = batch.slice(begin, GROUP_ROWS)
            if held and (rows + part.num_rows > GROUP_ROWS or size + part.nbytes > GROUP_BYTES):
                yield pa.Table.from_batches(held, schema)
                held, rows, size = [], 0, 0
            held.append(pa.RecordBatch.from_arrays(part.columns, schema=schema))
            rows, size = rows + part.num_rows, size + part.nbytes
    if held:
        yield pa.Table.from_batches(held, schema)
