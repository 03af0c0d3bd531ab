"""What a column gets that a source does not give: Python's defaults, and keys made here."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Column, ColumnDefault, Table

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
    """

    column: Column[Any]
    make: Callable[[], Any]

    def values(self, rows: int) -> list[Any]:
        """The values of so many rows."""
        make = self.make
        return [make() for _ in range(rows)]


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
            found.append(Generated(column, make))
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
        if not _is_wrapped(default.arg):
            raise NotStageableError(f"the default of {column.name} may look at its row")
        return lambda: default.arg(None)
    raise NotStageableError(f"the default of {column.name} is computed by the warehouse")


def _is_wrapped(function: Any) -> bool:
    """Whether a default's function is one of SQLAlchemy's, around one that takes no row.

    It is told without a call: to explain a load calls nothing.
    """
    return getattr(function, "__globals__", {}).get("__name__") == ColumnDefault.__module__
