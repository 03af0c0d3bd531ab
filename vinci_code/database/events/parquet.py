"""Events as Parquet: a column for each field, the payload as the text of its document."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import IO, Any

import pyarrow as pa

from vinci_code.database.files.parquet import (
    ParquetBatches,
    groups_of,
    opened_writer,
    write_group,
)

ROWS_AT_A_TIME = 10_000
"""How many rows of Python's are held in memory at once."""


def rows_of(file: ParquetBatches) -> Iterator[Mapping[str, Any]]:
    """Read the rows of a file, in constant memory.

    Raises:
        InputDataError: It is damaged.
    """
    for batch in file.batches(ROWS_AT_A_TIME):
        for row in batch.to_pylist():
            yield {field: _plain(value) for field, value in row.items()}


def write_rows(sink: IO[bytes], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write events to a file, in constant memory.

    Args:
        sink: Where to.
        rows: The events: the fields of ``reading.COLUMNS``, the payload as text.
    """
    text = pa.string()
    schema = pa.schema(
        [
            pa.field("event_key", text),
            pa.field("event_type", text, nullable=False),
            pa.field("source", text, nullable=False),
            pa.field("description", text),
            pa.field("occurred_at", pa.timestamp("us", tz="UTC"), nullable=False),
            pa.field("payload", text),
        ]
    )
    with opened_writer(sink, schema) as writer:
        for group in groups_of(_batches(rows, schema), schema):
            write_group(writer, group)


def _batches(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    left = iter(rows)
    while waiting := list(itertools.islice(left, ROWS_AT_A_TIME)):
        yield pa.RecordBatch.from_pylist(waiting, schema=schema)


def _plain(value: Any) -> Any:
    """A moment as the text that files of lines have; a naive one stays without an offset."""
    return value.isoformat() if isinstance(value, datetime) else value
