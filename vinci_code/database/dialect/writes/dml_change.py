"""UPDATE and DELETE: the statement as it is, the rows that it changes, and it with guards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from sqlalchemy import literal_column
from sqlalchemy.schema import Column, Table
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.elements import BinaryExpression, BindParameter, Null
from sqlalchemy.sql.selectable import AliasedReturnsRows, Exists, ScalarSelect

from vinci_code.database.dialect.dberrors import NotSupportedError
from vinci_code.database.dialect.sql.refusals import NO_ROW_KEY, WRITE_BY_ALIAS
from vinci_code.database.dialect.sql.uniques import changed, row_key
from vinci_code.database.dialect.types.transports import transport_of
from vinci_code.database.dialect.writes import afterwards
from vinci_code.database.dialect.writes.compared import Checked, checked, marked
from vinci_code.database.dialect.writes.dml_rows import Fields, Plan, own_column
from vinci_code.database.dialect.writes.dml_values import (
    as_stored,
    default_of,
    element_of,
    formatted,
    is_word_default,
    reads_rows,
    rendered,
)
from vinci_code.database.dialect.writes.guards import checked_columns, referring
from vinci_code.database.dialect.writes.sets import Checks, SetWriter
from vinci_code.database.dialect.writes.shapes import OWN, ROWS, Field, Shape, WriteKind


@dataclass(frozen=True)
class ChangeForms:
    """The forms of one UPDATE or DELETE."""

    compiler: Any
    kind: WriteKind
    statement: Any
    table: Any
    target: str
    given: list[Any]
    sources: list[str]
    terms: list[Any]
    where: str
    prefixes: str

    def text(self) -> str:
        """The statement as it is."""
        sets = ", ".join(
            f"{name}={as_stored(self.compiler, column, value)}"
            for column, name, value, _ in self.given
        )
        if self.sources:
            action = "DELETE" if self.kind is WriteKind.DELETE else f"UPDATE SET {sets}"
            source = ", ".join(self.sources)
            return (
                f"MERGE INTO {self.target} USING {source} ON {self.where or 'TRUE'} "
                f"WHEN MATCHED THEN {action}"
            )
        where = f" WHERE {self.where}" if self.where else ""
        if self.kind is WriteKind.DELETE:
            return f"DELETE {self.prefixes}FROM {self.target}{where}"
        return f"UPDATE {self.prefixes}{self.target} SET {sets}{where}"

    @property
    def has_conditions(self) -> bool:
        """Whether it is ``execute(update(Model).where(…), [{…}, …])``, by which rows may be missed.

        That is executed as a flush is. The ORM puts the key behind the application's conditions,
        and does not look then at how many rows there were. What stands behind the key was added by
        a listener (``before_execute``), and the ORM does not know of it.
        """
        if "_emit_update_table" not in self.statement._annotations:
            return False
        return not self._given([self.statement._where_criteria[0]])

    @property
    def asks_more(self) -> bool:
        """Whether its condition asks for more than that the primary key is what is given."""
        return not all(map(self._is_key, self.terms))

    def _is_key(self, term: Any) -> bool:
        column = own_column(self.table, getattr(term, "left", None))
        if column is None or column not in set(getattr(self.table, "primary_key", ())):
            return False
        value = getattr(term, "right", None)
        given = isinstance(value, BindParameter) and value.required
        return given and getattr(term, "operator", None) is operators.eq

    @property
    def keys(self) -> tuple[tuple[str, str], ...]:
        """The columns that the ORM tells a row by, each with the key of its parameter."""
        return tuple(sorted(self._given(self.terms).items()))

    def _given(self, terms: Iterable[Any]) -> dict[str, str]:
        """The columns whose value is given for each row, under the name that the ORM gives it.

        However a column compares itself with it: that of a type of its own may do so otherwise.
        """
        names = {column._label: column.name for column in self.table.columns}
        nodes = chain.from_iterable(map(visitors.iterate, terms))
        return {
            names[node.key]: node.key
            for node in nodes
            if isinstance(node, BindParameter) and node.required and node.key in names
        }

    @property
    def assigned(self) -> tuple[tuple[str, str | None], ...]:
        """The columns that it sets, each with the key of its parameter.

        None for an expression. What only the ``onupdate`` of a column sets is left out.
        """
        found: list[tuple[str, str | None]] = []
        prefetched = {column.name for column in self.compiler.update_prefetch}
        for column, _, value, _ in self.given:
            element = element_of(value)
            if isinstance(element, BindParameter):
                if column.name not in prefetched:
                    found.append((column.name, element.key))
            elif getattr(column, "onupdate", None) is None or isinstance(element, Null):
                found.append((column.name, None))
        return tuple(found)

    def after(self) -> Any:
        """The rows of its table as they are afterwards, as a query; ``None`` if not known."""
        if self.sources:
            return None  # which may find a row several times
        criteria = self.statement._where_criteria
        if self.kind is WriteKind.DELETE:
            return afterwards.left(self.table, criteria)
        return afterwards.changed(self.table, self.given, criteria)

    def found(self) -> Any:
        """A query that counts the rows which it finds; ``None`` if not known."""
        if self.sources:
            return None
        return afterwards.matched(self.table, self.statement._where_criteria)

    def touched(self, found: frozenset[str]) -> Any:
        """Columns of the rows that it changes, as they are then, or deletes; see ``after``."""
        if self.sources:
            return None
        criteria = self.statement._where_criteria
        if self.kind is WriteKind.DELETE:
            return afterwards.gone(self.table, criteria, found)
        return afterwards.changed(self.table, self.given, criteria, found=found)

    def checked(self, checks: Checks) -> tuple[Checked, ...]:
        """The columns that it compares with what an object was loaded with, if it is a flush's."""
        dialect: Any = self.compiler.dialect
        if not checks.matched or self.kind is not WriteKind.UPDATE or not dialect.compare_and_set:
            return ()
        if not isinstance(self.table, Table) or not self.keys:
            return ()
        names = {name for name, _ in self.assigned}
        items = (
            checked(column, self._format(column), dialect)
            for column, _, value, _ in self.given
            if column.name in names and self._is_plain(column, element_of(value))
        )
        return tuple(item for item in items if item is not None)

    def _is_plain(self, column: Any, element: Any) -> bool:
        """Whether a column is set to one value, and nothing is computed from it."""
        if isinstance(element, Null):
            return True
        if not isinstance(element, BindParameter) or element.expanding or element.literal_execute:
            return False
        dialect: Any = self.compiler.dialect
        if element.type.dialect_impl(dialect)._has_bind_expression:
            return False
        return transport_of(element.type, dialect) == transport_of(column.type, dialect)

    def planned(self) -> Plan | None:
        """The rows that it changes, identified by their keys; ``None`` for any other condition."""
        if not isinstance(self.table, Table) or self.sources or not self.terms:
            return None
        made = Fields(self.compiler, self.table, self.kind)
        values = [
            made.add(column, name, element_of(value)) for column, name, value, _ in self.given
        ]
        matches = [self._match(made, term) for term in self.terms]
        fields: list[Any] = [*values, *matches]
        names = [item and item.name for item in matches]
        if None in fields or len(set(names)) < len(names):
            return None
        matched = {item.column.name for item in fields[len(values) :]}
        key = {column.name for column in self.table.primary_key}
        # Rows without a key, as a many-to-many relation may have, are found by their columns.
        if not (key <= matched if key else self.kind is WriteKind.DELETE):
            return None
        return Plan(
            self.kind,
            self.table,
            self.target,
            tuple(fields[: len(values)]),
            tuple(fields[len(values) :]),
            tuple(made.transports),
            (tuple(made.binds),),
        )

    def _match(self, made: Fields, term: Any) -> Field | None:
        """The column of a condition ``column = parameter``."""
        if not isinstance(term, BinaryExpression) or term.operator is not operators.eq:
            return None
        column = own_column(self.table, term.left)
        if column is None or not isinstance(term.right, BindParameter):
            return None
        name = formatted(self.compiler, column)
        found = made.add(column, name, term.right)
        return found if found is not None and found.is_plain else None

    def guarded(self, checks: Checks) -> str:
        """The statement with guards: a MERGE with the rows that it changes, and what they become.

        Raises:
            NotSupportedError: Nothing tells its rows apart, or it names its table otherwise.
        """
        if not isinstance(self.table, Table):
            self._refuse_other_name(checks)
            return self.text()
        shape, columns, joins = self._shape(self._row_key(checks))
        writer = SetWriter(shape, checks, self.compiler.dialect, self._format)
        wanted = writer.guards()
        if not wanted:
            return self.text()
        if not shape.matches:
            raise NotSupportedError(NO_ROW_KEY.format(self.kind.value, self.table.fullname))
        froms = ", ".join([self.target, *self.sources])
        # Behind all other parameters. A row that does not hold what was loaded is not found then.
        kept = [marked(item, self.target) for item in self.checked(checks)]
        where = " AND ".join([*([self.where] if self.where else []), *kept])
        where = f" WHERE {where}" if where else ""
        beside = "".join(f" LEFT JOIN {join} ON TRUE" for join in joins)
        source = f"SELECT {', '.join(columns)} FROM {froms}{beside}{where}"
        return writer.merge(source, wanted)

    def _refuse_other_name(self, checks: Checks) -> None:
        """Refuse what would need guards of a table that goes by another name."""
        table = getattr(self.table, "element", None)
        while isinstance(table, AliasedReturnsRows):
            table = table.element
        if not isinstance(table, Table):
            return  # table(…), which is no more than names
        checked = checked_columns(table, checks.keys, checks.foreign_keys)
        written = {table.columns.get(column.key) for column, _, _, _ in self.given}
        if self.kind is WriteKind.DELETE:
            concerned = checks.foreign_keys and bool(referring(table))
        else:
            concerned = None in written or not changed(table, written).isdisjoint(checked)
        if concerned:
            raise NotSupportedError(WRITE_BY_ALIAS.format(self.kind.value, table.fullname))

    def _row_key(self, checks: Checks) -> Sequence[Column[Any]]:
        """The columns that tell rows apart; for a flush those that it asks for, if none do."""
        declared = row_key(self.table)
        if declared or not checks.matched:
            return declared
        # Of a class with the mapper argument ``primary_key``. That there is one row is checked.
        return [self.table.columns[name] for name, _ in self.keys]

    def _shape(self, key: Sequence[Column[Any]]) -> tuple[Shape, list[str], list[str]]:
        """What becomes of each row, and the columns and joins of the SELECT that tells it."""
        columns: list[str] = []
        joins: list[str] = []

        def field(column: Any, name: str, text: str) -> Field:
            called = f"vinci_{len(columns)}"
            columns.append(f"{text} AS {called}")
            return Field(column, name, f"{ROWS}.{called}", f"{OWN}.{called}")

        values = tuple(
            field(column, name, self._value(column, value, joins))
            for column, name, value, _ in self.given
        )
        matches = tuple(
            field(column, self._format(column), f"{self.target}.{self._format(column)}")
            for column in key
        )
        return Shape(self.kind, self.table, self.target, values, matches), columns, joins

    def _value(self, column: Any, value: Any, joins: list[str]) -> str:
        element = element_of(value)
        if is_word_default(element):
            return default_of(self.compiler, column)
        if element is not None and reads_rows(element):
            value = self._beside(element, joins)
        return as_stored(self.compiler, column, value)

    def _beside(self, element: Any, joins: list[str]) -> Any:
        """A value whose sub-selects are joined to the rows.

        Delta does not let a scalar sub-select in the source of a MERGE read the table that it
        writes to ("Table does not support reads"); a join may. What is correlated stays.
        """

        def replaced(node: Any, **_: Any) -> Any:
            select = node.element if isinstance(node, Exists) else node
            if not isinstance(select, ScalarSelect) or not self._stands_alone(select):
                return None
            text = self.compiler.process(select)
            if isinstance(node, Exists):
                # Beside the rows stands whether there is one, and not what it holds.
                text = f"(SELECT count(*) > 0 FROM {text} AS vinci_found)"
            joins.append(f"{text} AS vinci_of_{len(joins)} (v)")
            return literal_column(f"vinci_of_{len(joins) - 1}.v", node.type)

        traverse: Any = visitors.replacement_traverse
        made = traverse(element, {}, replaced)
        return rendered(self.compiler.process(made), element)

    def _stands_alone(self, select: ScalarSelect[Any]) -> bool:
        """Whether a sub-select is the same wherever it stands, and refers to nothing around it."""
        compiler: Any = self.compiler
        within = compiler.process(select)
        around, compiler.stack = (
            compiler.stack,
            [{"correlate_froms": set(), "asfrom_froms": set(), "selectable": select}],
        )
        try:
            return bool(compiler.process(select) == within)
        finally:
            compiler.stack = around

    def _format(self, item: Any) -> str:
        return formatted(self.compiler, item)
