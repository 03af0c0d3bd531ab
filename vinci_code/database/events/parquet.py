"""Events as Parquet: a column for each field, the payload as the text of its document."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import IO, Any

from vinci_code.core.errors import InputDataError, MissingExtraError

ROWS_AT_A_TIME = 10_000
"""How many rows are held in memory at once."""

SUFFIX = ".parquet"
"""What a name ends with that is one of such a file."""


def require_parquet() -> Any:
    """Return ``pyarrow.parquet``.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("databricks", "Parquet", ["pyarrow"]) from None
    return pyarrow.parquet


def read_rows(
    name: str, raw: IO[bytes], require_columns: Callable[[list[str]], None]
) -> Iterator[Mapping[str, Any]]:
    """Read the rows of a file, in constant memory.

    Args:
        name: What the file is called in messages.
        raw: The file, which has to be one that can be moved about in.
        require_columns: Refuses columns that are none of an event's.

    Raises:
        InputDataError: It is no Parquet, or is damaged.
    """
    parquet = require_parquet()
    import pyarrow as pa

    try:
        file = parquet.ParquetFile(raw)
        require_columns(list(file.schema_arrow.names))
        for batch in file.iter_batches(batch_size=ROWS_AT_A_TIME):
            for row in batch.to_pylist():
                yield {field: _plain(value) for field, value in row.items()}
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputDataError(name, None, f"cannot be read as Parquet: {error}") from None


def write_rows(sink: IO[bytes], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write events to a file, in constant memory.

    Args:
        sink: Where to.
        rows: The events: the fields of ``reading.COLUMNS``, the payload as text.
    """
    parquet = require_parquet()
    import pyarrow as pa

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
    with parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
        waiting: list[Mapping[str, Any]] = []
        for row in rows:
            waiting.append(row)
            if len(waiting) == ROWS_AT_A_TIME:
                writer.write_batch(pa.RecordBatch.from_pylist(waiting, schema=schema))
                waiting = []
        if waiting:
            writer.write_batch(pa.RecordBatch.from_pylist(waiting, schema=schema))


def _plain(value: Any) -> Any:
    """A moment as the text that files of lines have; a naive one stays without an offset."""
    return value.isoformat() if isinstance(value, datetime) else value
