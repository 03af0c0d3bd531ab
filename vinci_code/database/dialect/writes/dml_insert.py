"""INSERT: the statement as it is, its rows, and the statement with guards."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy.schema import Table

from vinci_code.database.dialect.writes import guards
from vinci_code.database.dialect.writes.dml_rows import Fields, Plan
from vinci_code.database.dialect.writes.dml_values import (
    DEFAULT,
    as_stored,
    default_of,
    element_of,
    formatted,
    is_word_default,
    reads_rows,
)
from vinci_code.database.dialect.writes.sets import Checks, SetWriter
from vinci_code.database.dialect.writes.shapes import OWN, ROWS, Field, Shape, WriteKind


class InsertForms:
    """The forms of one INSERT."""

    def __init__(
        self,
        compiler: Any,
        table: Any,
        given: list[list[Any]],
        source: str | None,
        with_list: str,
        prefixes: str,
    ) -> None:
        self._compiler = compiler
        self._table = table
        self._target = compiler.preparer.format_table(table)
        self._given = given
        self._source = source
        self._with = with_list
        self._prefixes = prefixes

    def text(self) -> str:
        """The statement as it is."""
        head = f"INSERT {self._prefixes}INTO {self._target}"
        if self._source is None and not self._given[0]:
            columns = self._defaulted()
            defaults = ", ".join([DEFAULT] * len(columns))
            return f"{head} ({self._names(columns)}) VALUES ({defaults})"
        names = ", ".join(name for _, name, _, _ in self._given[0])
        if self._source is not None:
            return f"{head} ({names}) {self._with}{self._source}"
        values = (element_of(value) for row in self._given for _, _, value, _ in row)
        # VALUES takes no sub-select ([SCALAR_SUBQUERY_IN_VALUES]).
        if self._with or any(map(reads_rows, values)):
            return f"{head} ({names}) {self._with}{self._selected()}"
        rows = ", ".join(
            f"({', '.join(as_stored(self._compiler, column, v) for column, _, v, _ in row)})"
            for row in self._given
        )
        return f"{head} ({names}) VALUES {rows}"

    def planned(self) -> Plan | None:
        """The rows that it writes; ``None`` where it has to be a statement of its own."""
        if not isinstance(self._table, Table) or not self._given[0]:
            return None
        rows, kept = [], None
        for row in self._given:
            made = Fields(self._compiler, self._table, WriteKind.INSERT)
            fields = [made.add(column, name, element_of(value)) for column, name, value, _ in row]
            if None in fields or (kept is not None and fields != kept[0]):
                return None
            if kept is not None and made.transports != kept[1]:
                return None
            kept = fields, made.transports
            rows.append(tuple(made.binds))
        assert kept is not None  # noqa: S101 - there is a row
        values: Any = tuple(kept[0])
        return Plan(
            WriteKind.INSERT, self._table, self._target, values, (), tuple(kept[1]), tuple(rows)
        )

    def guarded(self, checks: Checks) -> str:
        """The statement with guards, over the rows that its SELECT or its values give."""
        if not isinstance(self._table, Table):
            return self.text()
        given = self._given[0] or [
            (column, self._format(column), None, ()) for column in self._defaulted()
        ]
        fields = tuple(
            Field(column, name, f"{ROWS}.{name}", f"{OWN}.{name}") for column, name, _, _ in given
        )
        shape = Shape(WriteKind.INSERT, self._table, self._target, fields, ())
        writer = SetWriter(shape, checks, self._compiler.dialect, self._format)
        wanted = writer.guards()
        if not wanted:
            return self.text()
        names = ", ".join(name for _, name, _, _ in given)
        separator = f"{self._with.rstrip()}, " if self._with else "WITH "
        source = self._source or self._selected()
        rows = f"{separator}{ROWS} ({names}) AS ({source})"
        made = ", ".join(item.made for item in fields)
        return (
            f"INSERT INTO {self._target} ({names}) {rows} "
            f"SELECT {made} {guards.unless_raised(wanted)}"
        )

    def _selected(self) -> str:
        """Its values as a SELECT."""
        if not self._given[0]:
            return f"SELECT {', '.join(map(self._default, self._defaulted()))}"
        several = len(self._given) > 1
        rows = []
        for row in self._given:
            made = [self._computed(column, value, several) for column, _, value, _ in row]
            rows.append(f"SELECT {', '.join(made)}")
        return " UNION ALL ".join(rows)

    def _computed(self, column: Any, value: Any, several: bool) -> str:
        if is_word_default(element_of(value)):
            return self._default(column)
        # Or the types of the other rows would decide what becomes of this one.
        return as_stored(self._compiler, column, value, always=several)

    def _defaulted(self) -> list[Any]:
        # Identity and computed columns take no value.
        return [c for c in self._table.columns if c.identity is None and c.computed is None]

    def _default(self, column: Any) -> str:
        return default_of(self._compiler, column)

    def _names(self, columns: Iterable[Any]) -> str:
        return ", ".join(map(self._format, columns))

    def _format(self, item: Any) -> str:
        return formatted(self._compiler, item)
