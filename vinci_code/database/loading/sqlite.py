"""INSERT into SQLite column by column: SQLAlchemy's own statement, and its types' own processors.

What ``execute(insert(table), rows)`` does for each row, that is done once for a column here; it is
most of the time that many rows take.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table, insert, literal_column
from sqlalchemy.exc import InterfaceError, ProgrammingError

from vinci_code.core.errors import RowRefusedError
from vinci_code.database.dialect.types.base import named, write_processor
from vinci_code.database.loading.binds import is_counted
from vinci_code.database.loading.families import family_of
from vinci_code.database.loading.generated import Generated, NotStageableError, default_columns
from vinci_code.database.loading.given import GivenColumn, values_of
from vinci_code.database.loading.portions import Portion
from vinci_code.database.loading.processing import processed


class ColumnInsert:
    """INSERT of some columns of a table.

    Args:
        connection: The connection, to SQLite.
        given: The columns that are given.
        made: The columns whose defaults Python makes.
        text: The statement.
        places: For each of its parameters, which of these columns it is.
    """

    def __init__(
        self,
        connection: Connection,
        given: Sequence[GivenColumn],
        made: Sequence[Generated],
        text: str,
        places: Sequence[int],
    ) -> None:
        self._connection = connection
        self._given = [(item, _processor(item, connection)) for item in given]
        own = [
            GivenColumn(item.column.name, item.column, family_of(item.column.type)) for item in made
        ]
        self._made = [
            (item, column, _processor(column, connection))
            for item, column in zip(made, own, strict=True)
        ]
        self._text = text
        self._places = places

    def run(self, portion: Portion, before: int) -> None:
        """Write the rows of a portion.

        Args:
            portion: The portion.
            before: How many rows the source had before it.

        Raises:
            RowRefusedError: A value cannot be stored.
            DBAPIError: SQLite does not take the rows.
        """
        columns = [
            processed(values_of(portion, item, before), process, item, before)
            for item, process in self._given
        ]
        columns += [
            processed(item.values(portion.rows), process, column, before)
            for item, column, process in self._made
        ]
        ordered = [columns[place] for place in self._places]
        try:
            self._connection.exec_driver_sql(self._text, list(zip(*ordered, strict=True)))
        except (OverflowError, UnicodeError, InterfaceError, ProgrammingError) as error:
            # The columns that are given come first.
            for (item, _), values in zip(self._given, columns, strict=False):
                for number, value in enumerate(values, before + 1):
                    reason = unbound(value)
                    if reason is not None:
                        raise RowRefusedError(number, item.name, reason) from error
            raise


def column_insert(
    connection: Connection, table: Table, given: Sequence[GivenColumn]
) -> ColumnInsert | None:
    """The INSERT of columns; ``None`` where a row has to be looked at as a whole.

    That is so for a default that looks at its row or is SQL, for a type that makes SQL of its
    values, with ``schema_translate_map``, and on a standby.
    """
    if not is_counted(connection.dialect) or not given:
        return None
    if connection.get_execution_options().get("schema_translate_map"):
        return None
    try:
        made = default_columns(table, [item.column for item in given])
    except NotStageableError:
        return None
    columns = [*(item.column for item in given), *(item.column for item in made)]
    dialect = connection.dialect
    mark: Any = literal_column("value")
    if any(one.type.dialect_impl(dialect).bind_expression(mark) is not None for one in columns):
        return None
    compiled: Any = insert(table).compile(
        dialect=dialect, column_keys=[column.key for column in columns]
    )
    by_key = {column.key: place for place, column in enumerate(columns)}
    order = compiled.positiontup or ()
    if sorted(order) != sorted(by_key):
        return None
    return ColumnInsert(connection, given, made, str(compiled), [by_key[key] for key in order])


def unbound(value: Any) -> str | None:
    """Why sqlite3 binds no such value; ``None`` where it does."""
    if isinstance(value, int):
        fits = -(1 << 63) <= value < 1 << 63
        return None if fits else "a whole number that 64 bits do not hold"
    if isinstance(value, str):
        is_text = not any("\ud800" <= letter <= "\udfff" for letter in value)
        return None if is_text else "text that is no Unicode"
    if value is None or isinstance(value, (float, bytes, bytearray, memoryview)):
        return None
    return f"{named(value)}, which SQLite does not store"


def _processor(item: GivenColumn, connection: Connection) -> Any:
    return write_processor(item.column.type, connection.dialect)
