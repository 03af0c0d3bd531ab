"""Batches of Arrow as files of Parquet of bounded size, each given as soon as it is whole."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

import pyarrow as pa

from vinci_code.database.files.parquet import groups_of, opened_writer, write_group

FILE_BYTES = 128 * 1024 * 1024
"""A file is whole when it has this many bytes; its last group of rows is the most beyond."""


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
    groups = groups_of(batches, schema)
    group = next(groups, None)
    while group is not None:
        with tempfile.TemporaryFile(prefix="vinci-load-") as file:
            rows = 0
            with opened_writer(file, schema) as writer:
                while group is not None and (not rows or file.tell() < FILE_BYTES):
                    write_group(writer, group)
                    rows += group.num_rows
                    group = next(groups, None)
            yield WholeFile(file, file.tell(), rows)
