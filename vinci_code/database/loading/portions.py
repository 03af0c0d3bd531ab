"""A source of rows, and its parts: columns of one length, of Arrow or of Python's values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Values = Any
"""The values of a column: a ``pyarrow.Array``, or a list of Python's values."""

ROWS = 10_000
"""How many rows a portion of Python's values has at most."""


@dataclass(frozen=True)
class Portion:
    """Some rows of a source, column by column.

    Attributes:
        columns: The values by the source's names.
        rows: How many rows there are.
        size: How many bytes were read for them.
        texts: Whether a text stands for the value that it says, as in CSV and JSON.
        objects: Whether lists are columns of objects of pandas: ``None`` is NULL there.
    """

    columns: Mapping[str, Values]
    rows: int
    size: int = 0
    texts: bool = False
    objects: bool = False


@dataclass(frozen=True)
class Source:
    """What rows come from.

    Attributes:
        told: What it is, for messages.
        portions: Reads it, from its beginning, portion by portion.
        schema: Its ``pyarrow.Schema``; ``None`` where it has none.
        names: The names of its columns; ``None`` where its rows tell them.
        rows: How many rows it has; ``None`` where only its end tells.
        is_once: Whether it can be read once only.
        is_text: Whether a text of it stands for the value that it says.
        is_result: Whether it is a result of SQLAlchemy's that is read while rows are written.
    """

    told: str
    portions: Callable[[], Iterator[Portion]]
    schema: Any = None
    names: tuple[str, ...] | None = None
    rows: int | None = None
    is_once: bool = False
    is_text: bool = False
    is_result: bool = False


def of_batch(batch: Any, size: int | None = None) -> Portion:
    """The portion of a ``pyarrow.RecordBatch``."""
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    return Portion(columns, batch.num_rows, batch.nbytes if size is None else size)


def of_rows(rows: Sequence[Mapping[str, Any]], names: Sequence[str], **more: Any) -> Portion:
    """The portion of mappings that have the same names."""
    return Portion({name: [row[name] for row in rows] for name in names}, len(rows), **more)


def is_arrow(values: Values) -> bool:
    """Whether values are those of a column of Arrow."""
    return not isinstance(values, list)
