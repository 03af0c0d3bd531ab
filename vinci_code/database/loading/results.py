"""What a load has done, how far it is, and what it would do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Mode = Literal["append", "replace", "upsert", "insert_missing"]
"""What becomes of rows: beside those that are there, in their place, changing those of the same
key, or only where their key is missing."""

MODES: tuple[Mode, ...] = ("append", "replace", "upsert", "insert_missing")

Way = Literal["rows", "staged"]
"""How rows travel: as those of a commit, or as files of Parquet in a volume."""


@dataclass(frozen=True)
class LoadProgress:
    """How far a load is.

    Attributes:
        rows: How many rows were taken from the source and sent, or held for the commit.
        bytes: How many bytes were read of the source: of files as they lie on the disk, of Arrow
            and frames those of the columns; 0 for rows of Python, whose size is not known.
        seconds: The time since the load began.
        total_rows: How many rows the source has; ``None`` where only its end tells.
    """

    rows: int
    bytes: int
    seconds: float
    total_rows: int | None = None

    @property
    def rate(self) -> float:
        """Rows per second."""
        return self.rows / self.seconds if self.seconds > 0 else 0.0

    @property
    def time_left(self) -> float | None:
        """The seconds until the last row at this rate; ``None`` where that is not known."""
        if self.total_rows is None or self.rate == 0.0:
            return None
        return max(self.total_rows - self.rows, 0) / self.rate


Report = Callable[[LoadProgress], object]
"""Is given how far a load is, after each portion of rows."""


@dataclass(frozen=True)
class LoadPlan:
    """What a load would do.

    Attributes:
        table: The table, with its schema.
        mode: What becomes of the rows.
        keys: The columns that say which row it is, where the mode asks for that.
        way: How the rows would travel.
        why: The reason.
        rows: How many rows the source has; ``None`` where only its end tells.
        columns: The columns that are given, by their names in the database.
    """

    table: str
    mode: Mode
    keys: tuple[str, ...]
    way: Way
    why: str
    rows: int | None
    columns: tuple[str, ...]

    def __str__(self) -> str:
        count = (
            "rows, of which the end of the source tells how many"
            if self.rows is None
            else (f"{self.rows:,} rows")
        )
        keys = f" by {', '.join(self.keys)}" if self.keys else ""
        return f"{self.mode}{keys} into {self.table}: {count}, {self.way}: {self.why}"


@dataclass(frozen=True)
class LoadOutcome:
    """What became of the rows; ``None`` stands for what the database has not told.

    Attributes:
        written: How many rows were inserted or changed.
        inserted: How many of these are new.
        changed: How many were there and have been changed.
        skipped: How many were there and were left as they are.
        bytes: How many bytes of files were sent.
        requests: How many requests that took.
    """

    written: int | None = None
    inserted: int | None = None
    changed: int | None = None
    skipped: int | None = None
    bytes: int | None = None
    requests: int | None = None


@dataclass(frozen=True)
class LoadResult:
    """What a load has done; ``None`` stands for what the database does not tell cheaply.

    With a connection or a session nothing is committed yet; on Databricks the rows may be held, so
    that of an upsert nobody knows yet how many were there.

    Attributes:
        table: The table, with its schema.
        mode: What became of the rows.
        read: How many rows the source had.
        written: How many rows were inserted or changed.
        inserted: How many of these are new.
        changed: How many rows were there and have been changed.
        skipped: How many rows were there and were left as they are.
        way: How the rows travelled.
        why: Why that way was chosen.
        seconds: The time that it took.
        bytes: How many bytes of files were sent; ``None`` where none were.
        requests: How many requests that took; ``None`` where nobody counted them.
    """

    table: str
    mode: Mode
    read: int
    written: int | None
    inserted: int | None
    changed: int | None
    skipped: int | None
    way: Way
    why: str
    seconds: float
    bytes: int | None = None
    requests: int | None = None


def left_over(read: int, inserted: int, changed: int, *, is_checked: bool) -> int | None:
    """How many of the rows that were read were left out; ``None`` where that is not known.

    Args:
        read: How many rows the source had.
        inserted: How many rows are new.
        changed: How many rows of the table are changed.
        is_checked: Whether each key stands for one row. Else one row of the source may have changed
            several of the table.
    """
    found = read - inserted - changed
    return None if found < 0 or (changed and not is_checked) else found
