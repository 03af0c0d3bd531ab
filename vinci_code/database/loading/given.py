"""The columns of a source as those of a table, and its rows as an application gives them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column

from vinci_code.core.errors import RowRefusedError, ValueRefusedError
from vinci_code.database.loading.documents import require_finite
from vinci_code.database.loading.families import ColumnFamily, family_of
from vinci_code.database.loading.portions import Portion, is_arrow
from vinci_code.database.loading.targets import LoadTarget, columns_of

Row = dict[str, Any]


@dataclass(frozen=True)
class GivenColumn:
    """A column that a source gives.

    Attributes:
        name: The source's name for it.
        column: The column of the table.
        family: What the column holds.
    """

    name: str
    column: Column[Any]
    family: ColumnFamily


def given_columns(target: LoadTarget, names: Iterable[str], schema: Any) -> tuple[GivenColumn, ...]:
    """The columns that a source gives.

    Args:
        target: The table.
        names: The source's names for them.
        schema: The source's ``pyarrow.Schema``; ``None`` where it has none.

    Raises:
        ArgumentError: As of ``columns_of``.
        LoadRefusedError: The type of one does not fit the table's column.
    """
    found = tuple(
        GivenColumn(name, column, family_of(column.type))
        for name, column in columns_of(target, list(names)).items()
    )
    if schema is not None:
        from vinci_code.database.loading.values import require_taken

        for given in found:
            require_taken(given.name, schema.field(given.name).type, given.family)
    return found


def rows_of(portion: Portion, columns: Iterable[GivenColumn], before: int) -> list[Row]:
    """The rows of a portion as an application gives them, by the keys of the table's columns.

    Args:
        portion: The portion.
        columns: The columns that it has.
        before: How many rows the source had before it.

    Raises:
        RowRefusedError: A value cannot be stored.
    """
    made = {given.column.key: values_of(portion, given, before) for given in columns}
    keys = list(made)
    return [dict(zip(keys, row, strict=True)) for row in zip(*made.values(), strict=True)]


def values_of(portion: Portion, given: GivenColumn, before: int) -> list[Any]:
    """The values of a column as an application gives them.

    Args:
        portion: The portion.
        given: The column.
        before: How many rows the source had before it.

    Raises:
        RowRefusedError: One cannot be stored.
    """
    values = portion.columns[given.name]
    if not is_arrow(values) and not portion.texts and not portion.objects:
        return _python_documents(values, given, before)
    # Not at the top: rows of Python are loaded into SQLite without pyarrow.
    from vinci_code.database.loading.plain import BadValueError
    from vinci_code.database.loading.said import said_values
    from vinci_code.database.loading.values import null_of, python_values

    kind = given.column.type
    try:
        if portion.objects and not is_arrow(values):
            from vinci_code.database.loading.objects import object_values

            made = object_values(values, given.family)
        elif not portion.texts or (is_arrow(values) and given.family is ColumnFamily.DOCUMENT):
            made = python_values(values, given.family, kind)
        else:
            texts = values.to_pylist() if is_arrow(values) else values
            made = said_values(texts, given.family, kind)
    except BadValueError as error:
        raise RowRefusedError(before + error.index + 1, given.name, str(error)) from None
    null = null_of(kind)
    return made if null is None else [null if value is None else value for value in made]


def _python_documents(values: Any, given: GivenColumn, before: int) -> list[Any]:
    """Values of Python as they are, in which no document has what JSON has no form for."""
    if given.family is ColumnFamily.DOCUMENT:
        for index, value in enumerate(values):
            try:
                require_finite(value)
            except ValueRefusedError as error:
                raise RowRefusedError(before + index + 1, given.name, str(error)) from None
    return list(values)


def names_of(portion: Portion) -> tuple[str, ...]:
    """The source's names for the columns of a portion."""
    return tuple(portion.columns)


def portions_within(portions: Iterable[Portion], rows: int) -> Iterator[Portion]:
    """Portions of at most so many rows each."""
    for portion in portions:
        if portion.rows <= rows:
            yield portion
            continue
        for begin in range(0, portion.rows, rows):
            end = min(begin + rows, portion.rows)
            columns = {
                name: values.slice(begin, end - begin) if is_arrow(values) else values[begin:end]
                for name, values in portion.columns.items()
            }
            size = portion.size * (end - begin) // portion.rows
            yield Portion(columns, end - begin, size, portion.texts, portion.objects)
