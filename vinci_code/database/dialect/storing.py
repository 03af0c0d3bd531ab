"""What the values of an INSERT or UPDATE pass before they are held.

Which parameters are stored is known from the construct: SQLAlchemy marks those that it makes of
the values of a row, and a parameter of the application's own stands as such among the values of
the statement. All others are compared or computed with, and only the type of each binds them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sqlalchemy import util
from sqlalchemy.schema import Column
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import BindParameter

from vinci_code.database.dialect.types.base import (
    Processor,
    Rendered,
    exactly,
    innermost,
    stored_as,
    then,
    write_processor,
)

# Behind the name of a column: which row of ``values([…, …])`` it is.
_ROW = re.compile(r"_m\d+\Z")

# Types whose own values are what is stored, so that the check for one is good for the other.
_STORED_ITSELF = frozenset({"int", "bool", "float", "Decimal", "bytes", "date", "datetime"})


class StoredValues(SQLCompiler):
    """Statements whose stored values are checked by the types of their columns."""

    @util.memoized_property
    def _bind_processors(self) -> dict[str, Any]:
        """What values pass before they are bound; those to be stored are checked to fit."""
        processors: dict[str, Any] = dict(super()._bind_processors)
        given = dict(self._parameters_given())
        for parameter, name in self.bind_names.items():
            column = given.get(parameter.key)
            if parameter._is_crud:
                process = write_processor(
                    parameter.type, self.dialect, self._place(name, parameter)
                )
            elif column is not None:
                process = self._of_another(parameter, column)
            else:
                continue
            if process is not None:
                processors[name] = process
        return processors

    def _parameters_given(self) -> Iterator[tuple[str, Column[Any]]]:
        """The application's own parameters among the values, with the columns they are for."""
        state: Any = self.compile_state
        if not (self.isinsert or self.isupdate) or state is None:
            return
        rows = [state._dict_parameters, *(getattr(state, "_multi_parameters", None) or [])]
        for row in filter(None, rows):
            for key, value in row.items():
                column = key if isinstance(key, Column) else state.dml_table.c.get(key)
                if isinstance(value, BindParameter) and column is not None:
                    yield value.key, column

    def _of_another(self, parameter: Any, column: Column[Any]) -> Processor | None:
        """What a parameter passes that has a type of its own, which need not be the column's."""
        place = f"{column.table}.{column.name}"
        process = write_processor(parameter.type, self.dialect, place)
        kind = stored_as(column.type, self.dialect)
        if parameter.type is column.type or kind is None:
            return process
        stored = innermost(column.type, self.dialect)
        if not isinstance(stored, Rendered) or kind.__name__ not in _STORED_ITSELF:
            return then(process, exactly(kind, place))
        return then(process, write_processor(stored, self.dialect, place) or exactly(kind, place))

    def _place(self, name: str, parameter: Any) -> str | None:
        """The column that a parameter is for, as messages name it; ``None`` where it is unknown."""
        table: Any = getattr(self.compile_state, "dml_table", None)
        if table is None:
            return None
        for key in (name, _ROW.sub("", name)):
            column = table.c.get(key)
            if column is not None and column.type is parameter.type:
                return f"{table}.{column.name}"
        return None
