"""How a column travels in a file: its type there, and what makes of it what is stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column


@dataclass(frozen=True)
class StoredColumn:
    """A column of the target, as files of Parquet have it.

    Attributes:
        column: The column of the table.
        arrow: The ``pyarrow.DataType`` of the column in the batches, and in the file.
        made: SQL over the file's column, ``{}`` standing for its name, that gives what a commit
            would store.
    """

    column: Column[Any]
    arrow: Any
    made: str
