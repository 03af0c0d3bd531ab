"""What a copy is going to do: tables, columns, decisions, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from vinci_code.core.errors import CopyRefusedError
from vinci_code.database.moving.kinds import ValueKind

CHUNK_BYTES = 32_000_000
"""How much text, or how many bytes, are in a chunk, where it is not one row that has more."""


@dataclass(frozen=True)
class Refusal:
    """Something that cannot be copied.

    Attributes:
        place: The table, or the column as ``table.column``.
        reason: Why it cannot.
        fix: What to do about it.
    """

    place: str
    reason: str
    fix: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}; to fix it: {self.fix}"


@dataclass(frozen=True)
class ColumnPlan:
    """A column and what becomes of it.

    Attributes:
        name: Its name in the source.
        target_name: Its name in the target.
        kind: What its values are.
        source_type: Its type as the source declares it.
        target_type: Its type as the target declares it, or will.
        nullable: Whether it may be NULL.
        notes: Decisions that a reader would want to know.
        made: The SQLAlchemy type that the target makes it with, where it makes it.
        nested: The ARRAY, MAP or STRUCT that it is in the source, and in the target.
        as_stored: Whether both are SQLite files whose columns keep values alike, so that these
            travel, and are compared, as they are stored: with their storage class, and a text in
            its own letters.
    """

    name: str
    target_name: str
    kind: ValueKind
    source_type: str
    target_type: str
    nullable: bool = True
    notes: tuple[str, ...] = ()
    made: Any = None
    nested: tuple[Any, Any] = (None, None)
    as_stored: bool = False


@dataclass
class TablePlan:
    """A table and what becomes of it.

    Attributes:
        name: Its name in the source.
        target_name: Its name in the target.
        columns: Its columns.
        key: The names of the columns of its primary key that it is copied by; none without one.
        exists: Whether the target has it.
        rows: How many rows the source has.
        version: Of a table on Databricks, the version that is read.
        notes: Decisions that a reader would want to know.
        made: The table as the target is to make it, of SQLAlchemy's.
        statements: The statements that make it instead, between two SQLite files.
        last_number: Of a table with AUTOINCREMENT in both files, the last number that it gave.
        state: ``new``, or ``copying`` and ``copied`` where the target says so.
    """

    name: str
    target_name: str
    columns: Sequence[ColumnPlan]
    key: tuple[str, ...]
    exists: bool = False
    rows: int = 0
    version: int | None = None
    notes: list[str] = field(default_factory=list)
    made: Any = None
    statements: Sequence[str] = ()
    last_number: int | None = None
    state: str = "new"

    @property
    def keys(self) -> list[int]:
        """Where the columns of the key stand among all."""
        names = [column.name for column in self.columns]
        return [names.index(name) for name in self.key]

    def names(self, *, on_target: bool) -> list[str]:
        """The names of the columns, on one side."""
        return [one.target_name if on_target else one.name for one in self.columns]

    def named(self, *, on_target: bool) -> str:
        """The name of the table, on one side."""
        return self.target_name if on_target else self.name


@dataclass
class CopyPlan:
    """All that a copy is going to do.

    Attributes:
        tables: The tables, those first that others refer to.
        views: Views of the source, which are left out.
        cycles: Tables that refer to each other in a circle.
        left_out: What of the tables is not taken over, such as CHECK constraints.
        only_there: Tables of the target that the source has not, where both are compared whole.
        refusals: What cannot be copied; with one of them nothing is.
    """

    tables: list[TablePlan] = field(default_factory=list)
    views: list[str] = field(default_factory=list)
    cycles: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    only_there: list[str] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    def require(self) -> None:
        """Go on only where nothing is refused.

        Raises:
            CopyRefusedError: Something is; nothing was written.
        """
        if self.refusals:
            raise CopyRefusedError([str(one) for one in self.refusals])


@dataclass
class Chunk:
    """Some rows, column by column, as plain values.

    Attributes:
        columns: For each column of the plan its values.
        last: What the side that has read it goes on behind; ``None`` without a key.
    """

    columns: list[list[Any]]
    last: list[Any] | None = None

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return len(self.columns[0]) if self.columns else 0


@dataclass(frozen=True)
class TableProof:
    """Counts and checksums of a table, which do not depend on the order of its rows.

    Attributes:
        rows: How many rows it has.
        values: For each column how many values are not NULL.
        sums: For each column the sum of the numbers of its values; see ``canonical``.
        whole: Of a table without a key, the sum of the numbers of its rows.
    """

    rows: int
    values: tuple[int, ...]
    sums: tuple[int, ...]
    whole: int | None = None


@dataclass(frozen=True)
class RowMark:
    """A row as it is compared: the number of what it holds, and its key as its side has it."""

    number: int
    key: tuple[Any, ...]
