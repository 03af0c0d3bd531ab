"""How a column of a load is stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import Column


@dataclass(frozen=True)
class StoredColumn:
    """A column of a load.

    Attributes:
        column: The column of the target.
        arrow: The type of its values in the batches, and in a Parquet file.
        made: SQL over the file's column, ``{}`` standing for its name, that gives what a commit
            would store.
    """

    column: Column[Any]
    arrow: pa.DataType
    made: str
