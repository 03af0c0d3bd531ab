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
from sqlalchemy.sql.elements import BindParameter, Grouping, Label, TypeCoerce

from vinci_code.database.dialect.types.base import (
    Processor,
    exactly,
    innermost,
    stored_as,
    then,
    write_processor,
)

# Behind the name of a column: which row of ``values([…, …])`` it is.
_ROW = re.compile(r"_m\d+\Z")


class StoredValues(SQLCompiler):
    """Statements whose stored values are checked by the types of their columns."""

    @util.memoized_property
    def _bind_processors(self) -> dict[str, Any]:
        """What values pass before they are bound; those to be stored are checked to fit."""
        processors: dict[str, Any] = dict(super()._bind_processors)
        given: dict[str, list[Column[Any]]] = {}
        for label, column in self._parameters_given():
            given.setdefault(label, []).append(column)
        # Of ``values([…, …])`` each row has parameters of its own, for the same columns.
        made: dict[tuple[int, str], Processor | None] = {}
        for parameter, name in self.bind_names.items():
            columns = given.get(parameter.key, ())
            if not parameter._is_crud and not columns:
                continue
            key = id(parameter.type), self._without_row(name)
            if key not in made:
                place = _named(columns[0]) if columns else self._place(name, parameter)
                made[key] = write_processor(parameter.type, self.dialect, place)
            process = made[key]
            for column in columns:
                process = self._checked_by(column, parameter.type, process)
            if process is not None:
                processors[name] = process
        return processors

    def render_literal_bindparam(self, bindparam: Any, *args: Any, **kw: Any) -> str:
        """Render a value into the statement, as where no parameters are taken."""
        if bindparam._is_crud:
            name = self.truncated_names.get(("bindparam", bindparam.key), bindparam.key)
            place = self._place(name, bindparam)
            process = write_processor(bindparam.type, self.dialect, place)
            if process is not None and not bindparam.required:
                process(bindparam.effective_value)
        rendered: str = super().render_literal_bindparam(bindparam, *args, **kw)  # type: ignore[no-untyped-call]
        return rendered

    def _parameters_given(self) -> Iterator[tuple[str, Column[Any]]]:
        """The application's own parameters among the values, with the columns they are for."""
        state: Any = self.compile_state
        if not (self.isinsert or self.isupdate) or state is None:
            return
        for key, value in self._values_given(state):
            parameter = _bare(value)
            if parameter is None:
                continue
            column = key if isinstance(key, Column) else state.dml_table.c.get(key)
            if column is not None:
                yield parameter.key, column

    def _values_given(self, state: Any) -> Iterator[tuple[Any, Any]]:
        """What is written to which column: of rows, and of the columns of INSERT … SELECT."""
        for row in (state._dict_parameters, *(getattr(state, "_multi_parameters", None) or [])):
            yield from (row or {}).items()
        query = getattr(state.statement, "select", None) if self.isinsert else None
        if query is not None:
            for select in getattr(query, "selects", [query]):
                yield from zip(state.statement._select_names, select.selected_columns, strict=False)

    def _checked_by(
        self, column: Column[Any], given: Any, process: Processor | None
    ) -> Processor | None:
        """What a parameter passes that has a type of its own, which need not be the column's."""
        kind = stored_as(column.type, self.dialect)
        if given is column.type or kind is None:
            return process
        place = _named(column)
        stored: Any = innermost(column.type, self.dialect)
        check = write_processor(stored, self.dialect, place) if stored.takes_stored else None
        return then(process, check or exactly(kind, place))

    def _place(self, name: str, parameter: Any) -> str | None:
        """The column that a parameter is for, as messages name it; ``None`` where it is unknown."""
        table: Any = getattr(self.compile_state, "dml_table", None)
        if table is None:
            return None
        column = table.c.get(self._without_row(name))
        if column is None or column.type is not parameter.type:
            return None
        return _named(column)

    def _without_row(self, name: str) -> str:
        several = getattr(self.compile_state, "_has_multi_parameters", False)
        return _ROW.sub("", name) if several else name


def _bare(value: Any) -> BindParameter[Any] | None:
    """The parameter that a value is, if it is nothing else, whatever it is called."""
    while isinstance(value, (TypeCoerce, Label, Grouping)):
        value = value.typed_expression if isinstance(value, TypeCoerce) else value.element
    return value if isinstance(value, BindParameter) else None


def _named(column: Column[Any]) -> str:
    return f"{column.table}.{column.name}"
