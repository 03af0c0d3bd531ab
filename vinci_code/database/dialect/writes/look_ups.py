"""Queries for one row by its key, as of ``session.get`` and ``refresh``.

Of a row that the same unit of work has inserted, the client knows what such a query gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.schema import Column, Table
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BindParameter
from sqlalchemy.sql.selectable import Select

from vinci_code.database.dialect.types.base import innermost
from vinci_code.database.dialect.types.texts import VinciString
from vinci_code.database.dialect.types.transports import transport_of
from vinci_code.database.dialect.writes.dml_rows import own_column, terms
from vinci_code.database.dialect.writes.returning import is_read_as_sent
from vinci_code.database.dialect.writes.shapes import Row, Shape, WriteKind

_UNKNOWN: Any = object()


@dataclass(frozen=True)
class LookUp:
    """A query for columns of the row that has a key.

    Attributes:
        table: The table.
        columns: The columns, by name, in the order of the result.
        key: The names of the parameters that the primary key is compared with, in its order.
        defaults: What is stored in each column that is left out.
    """

    table: Table
    columns: tuple[str, ...]
    key: tuple[str, ...]
    defaults: Mapping[str, Any]

    def row(self, key: tuple[Any, ...], writes: Iterable[tuple[Shape, Sequence[Row]]]) -> Any:
        """The row that it gives, where the client knows all of it.

        Args:
            key: The values of the key.
            writes: All writes to the table, in order.

        Returns:
            The row; ``None`` where it is not known.
        """
        found: dict[str, Any] | None = None
        for shape, rows in writes:
            for row in rows:
                if tuple(row[place] for place in shape.key or ()) != key:
                    continue
                if shape.kind is WriteKind.INSERT and found is None:
                    found = dict(self.defaults)
                elif shape.kind is not WriteKind.UPDATE or found is None:
                    return None
                found |= {
                    item.column.name: row[item.first] if item.is_plain else _UNKNOWN
                    for item in shape.values
                }
        if found is None:
            return None
        values = tuple(found[name] for name in self.columns)
        return None if any(value is _UNKNOWN for value in values) else values


def look_up(compiled: Any, statement: Any, names: Mapping[str, str]) -> LookUp | None:
    """What a compiled query looks up; ``None`` where it does something else.

    Args:
        compiled: The query.
        statement: The construct that it was rendered from.
        names: The names of its parameters, by their keys.
    """
    if compiled.is_written_by_hand or compiled.tables_used is None or compiled.ctes:
        return None
    if len(compiled.tables_read) != 1:
        return None
    (table,) = compiled.tables_read
    if not isinstance(table, Table) or type(statement) is not Select or not _is_plain(statement):
        return None
    froms = statement.get_final_froms()
    if len(froms) != 1 or froms[0]._deannotate() is not table:
        return None
    key = _key(table, statement, compiled, names)
    columns = [own_column(table, item) for item in statement._raw_columns]
    dialect = compiled.dialect
    if key is None or any(c is None or not is_read_as_sent(c, dialect) for c in columns):
        return None
    wanted = tuple(column.name for column in columns if column is not None)
    defaults = {column.name: _stored_default(column, dialect) for column in table.columns}
    return LookUp(table, wanted, key, defaults)


def _key(
    table: Table, statement: Any, compiled: Any, names: Mapping[str, str]
) -> tuple[str, ...] | None:
    """The parameters that the primary key is compared with; ``None`` for another condition."""
    key = {}
    for term in terms(statement._where_criteria):
        column = own_column(table, getattr(term, "left", None))
        value = getattr(term, "right", None)
        if column is None or term.operator is not operators.eq or column.name in key:
            return None
        if not isinstance(value, BindParameter) or not _is_compared(column, value, compiled):
            return None
        if value.key not in names:
            return None  # a type's bind_expression has made another one of it
        key[column.name] = names[value.key]
    primary = [column.name for column in table.primary_key]
    if not primary or set(primary) != set(key):
        return None
    return tuple(key[name] for name in primary)


def _stored_default(column: Column[Any], dialect: Any) -> Any:
    """What the warehouse stores where a column is left out, where that is known here."""
    if column.identity is not None or column.computed is not None:
        return _UNKNOWN
    if column.server_default is None:
        return None
    default = getattr(column.server_default, "arg", None)
    is_text = isinstance(innermost(column.type, dialect), VinciString)
    return default if isinstance(default, str) and is_text else _UNKNOWN


def _is_plain(statement: Any) -> bool:
    return not (
        statement._distinct
        or statement._group_by_clauses
        or statement._having_criteria
        or statement._has_row_limiting_clause
        or statement._for_update_arg is not None
    )


def _is_compared(column: Column[Any], value: BindParameter[Any], compiled: Any) -> bool:
    """Whether a column is compared with a plain value of its type."""
    dialect = compiled.dialect
    impl = innermost(value.type, dialect)
    if value.expanding or value.literal_execute or impl._has_bind_expression:
        return False
    transport = transport_of(column.type, dialect)
    return transport is not None and transport == transport_of(value.type, dialect)
