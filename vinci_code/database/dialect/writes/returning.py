"""What RETURNING gives of a write that is held: queries over the rows that it writes.

The warehouse has no RETURNING. What an INSERT writes, or what an UPDATE or DELETE finds, is known
from the construct as ``afterwards`` knows what these leave; where the client has the values, nobody
is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from sqlalchemy.schema import Column, Table
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import ColumnClause

from vinci_code.database.dialect.types.base import innermost
from vinci_code.database.dialect.types.numbers import VinciBoolean, VinciInteger
from vinci_code.database.dialect.types.texts import VinciEnum, VinciString, VinciUuid
from vinci_code.database.dialect.types.times import VinciDate, VinciDateTime
from vinci_code.database.dialect.writes import afterwards
from vinci_code.database.dialect.writes.dml_rows import own_column
from vinci_code.database.dialect.writes.shapes import Row, Shape, WriteKind

# What is read of these is what was sent, digit by digit; of a Decimal it is the same number.
_READ_AS_SENT = (VinciBoolean, VinciDate, VinciDateTime, VinciEnum, VinciInteger, VinciString,
                 VinciUuid)  # fmt: skip


@dataclass(frozen=True)
class Returning:
    """What a write is to give of each of its rows.

    Attributes:
        table: The table that is written to.
        elements: What is given, each an expression over the columns of the table.
        columns: The columns that these read, by name.
    """

    table: Table
    elements: Sequence[Any]
    columns: frozenset[str]

    def query(self) -> Any:
        """The SELECT that gives it of all rows of the table."""
        return self.table.select().with_only_columns(*self.elements)

    def known(
        self, shape: Shape, rows: Sequence[Row], dialect: Any
    ) -> list[tuple[Any, ...]] | None:
        """What it gives of rows that are inserted; ``None`` where the client does not know it."""
        if shape.kind is not WriteKind.INSERT:
            return None
        given = {item.column.name: item for item in shape.values}
        places = []
        for element in self.elements:
            column = own_column(self.table, element)
            item = None if column is None else given.get(column.name)
            if item is None or not item.is_plain or not is_read_as_sent(item.column, dialect):
                return None
            places.append(item.first)
        return [tuple([row[place] for place in places]) for row in rows]


def returning(table: Any, elements: Sequence[Any]) -> Returning | None:
    """What a write is to give; ``None`` where it is not known to be a matter of its rows alone.

    Args:
        table: The table.
        elements: What stands in RETURNING.
    """
    if not isinstance(table, Table):
        return None
    found = set()
    for node in chain.from_iterable(map(visitors.iterate, elements)):
        if isinstance(node, ColumnClause):
            column = own_column(table, node)
            if column is None:
                return None
            found.add(column.name)
        elif not afterwards.is_scalar(node):
            return None
    return Returning(table, elements, frozenset(found))


def is_read_as_sent(column: Column[Any], dialect: Any) -> bool:
    """Whether what is read of a column is the very value that was sent."""
    if column.type.dialect_impl(dialect)._has_column_expression:
        return False  # what is read is made of it by the warehouse
    kind: Any = innermost(column.type, dialect)
    return isinstance(kind, _READ_AS_SENT) and kind.binds_stored
