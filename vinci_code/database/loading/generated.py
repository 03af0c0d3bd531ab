"""What a column gets that a source does not give: Python's defaults, and keys made here."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Column, Table

from vinci_code.database.dialect.sql.inserts import comes_from_block, generated_key, require_room
from vinci_code.database.dialect.sql.keys import next_key


class NotStageableError(ValueError):
    """Rows that cannot travel as files; the message is the reason."""


@dataclass(frozen=True)
class Generated:
    """A column that is not given.

    Attributes:
        column: The column.
        make: Makes the value of a row.
        ready: Values that were made already.
    """

    column: Column[Any]
    make: Callable[[], Any]
    ready: list[Any]

    def values(self, rows: int) -> list[Any]:
        """The values of so many rows."""
        make, taken = self.make, self.ready[:rows]
        del self.ready[:rows]
        return [*taken, *(make() for _ in range(rows - len(taken)))]


def generated_columns(
    table: Table, given: Collection[Column[Any]], dialect: Any
) -> list[Generated]:
    """The columns of a table that are not given, and have values all the same.

    What the warehouse fills by itself is left out.

    Raises:
        NotStageableError: A default looks at its row, or is SQL.
    """
    return [
        *_made(table, given, partial(key_maker, dialect=dialect)),
        *default_columns(table, given),
    ]


def default_columns(table: Table, given: Collection[Column[Any]]) -> list[Generated]:
    """The columns of a table that are not given, and have defaults of Python's.

    Raises:
        NotStageableError: A default looks at its row, or is SQL.
    """
    return _made(table, given, _default_of)


def _made(
    table: Table,
    given: Collection[Column[Any]],
    maker: Callable[[Column[Any]], Callable[[], Any] | None],
) -> list[Generated]:
    found = []
    for column in table.columns:
        if column in given or column.computed is not None:
            continue
        make = maker(column)
        if make is not None:
            # The first is made at once: a default that looks at its row says so then.
            found.append(Generated(column, make, [make()]))
    return found


def key_maker(column: Column[Any], dialect: Any) -> Callable[[], int] | None:
    """What makes keys of a column; ``None`` where it has none that are made here.

    Raises:
        NotStageableError: They are taken from ranges that the warehouse gives out.
    """
    table: Any = column.table
    if generated_key(table) is not column:
        return None
    if comes_from_block(column, dialect):
        raise NotStageableError(
            f"the keys of {column.name} are taken from ranges, by statement, with keys='blocks'"
        )
    require_room(column, dialect)
    return next_key


def _default_of(column: Column[Any]) -> Callable[[], Any] | None:
    default: Any = column.default
    if default is None or (default.is_sequence and default.optional):
        return None
    if default.is_scalar:
        return lambda: default.arg
    if default.is_callable:
        return lambda: default.arg(_NoRow(column))
    raise NotStageableError(f"the default of {column.name} is computed by the warehouse")


class _NoRow:
    """Stands for the row that a default may look at, and has none."""

    def __init__(self, column: Column[Any]) -> None:
        self._column = column

    def __getattr__(self, name: str) -> Any:
        raise NotStageableError(f"the default of {self._column.name} looks at its row")
