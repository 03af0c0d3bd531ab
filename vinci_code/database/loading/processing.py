"""The values of a whole column, each made what its database stores of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from vinci_code.core.errors import RowRefusedError, ValueRefusedError
from vinci_code.database.dialect.types.base import named
from vinci_code.database.loading.documents import stranger
from vinci_code.database.loading.families import ColumnFamily
from vinci_code.database.loading.given import GivenColumn


def processed(
    values: Sequence[Any], process: Callable[[Any], Any] | None, given: GivenColumn, before: int
) -> list[Any]:
    """What a column's type makes of values.

    Args:
        values: The values, as an application gives them.
        process: What the type does; ``None`` for nothing.
        given: The column.
        before: How many rows the source had before them.

    Raises:
        RowRefusedError: It does not take one of them.
    """
    if process is None:
        return list(values)
    kept: list[Any] = []
    try:
        kept.extend(map(process, values))
    except Exception as error:  # whatever a type of the application's raises
        # What others say may have the value in it.
        value = values[len(kept)]
        reason = (
            str(error)
            if isinstance(error, ValueRefusedError)
            else f"{named(value)}, which {given.column.type!r} does not take{_within(value, given)}"
        )
        raise RowRefusedError(before + len(kept) + 1, given.name, reason) from error
    return kept


def _within(value: Any, given: GivenColumn) -> str:
    """What is in a document that the JSON of Python has no form for."""
    if given.family is not ColumnFamily.DOCUMENT:
        return ""
    other = stranger(value)
    return "" if other is None else f": it has {named(other)} in it; make it a text or a number"
