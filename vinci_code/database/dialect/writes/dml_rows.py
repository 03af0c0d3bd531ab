"""What of a write can be sent as a set: rows of parameters, written or found by their keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.schema import Column, Table
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.elements import BindParameter, BooleanClauseList, ColumnClause, Grouping, Null
from sqlalchemy.sql.functions import FunctionElement

from vinci_code.database.dialect.sql.constructs import is_compiled_elsewhere, is_own_text
from vinci_code.database.dialect.types.transports import Transport, transport_of
from vinci_code.database.dialect.writes.dml_values import as_stored, rendered
from vinci_code.database.dialect.writes.shapes import (
    BEFORE,
    OWN,
    ROWS,
    Field,
    Shape,
    WriteKind,
    key_places,
    letters,
)

# Of these an expression may be made that is computed for each row of a set: none of them reads a
# table, and none makes one row of several.
_OF_ROWS = frozenset(
    {
        "binary", "bindparam", "case", "cast", "clauselist", "expression_clauselist", "extract",
        "false", "grouping", "null", "true", "type_coerce", "unary",
    }
)  # fmt: skip
SCALAR_FUNCTIONS = frozenset(
    {
        "abs", "ceil", "coalesce", "concat", "current_date", "current_timestamp", "floor",
        "greatest", "ifnull", "least", "length", "lower", "ltrim", "now", "nullif", "parse_json",
        "replace", "round", "rtrim", "sign", "substr", "substring", "trim", "upper",
    }
)  # fmt: skip
# Of these, another value comes out each time.
OF_A_MOMENT = frozenset({"current_date", "current_timestamp", "now"})


@dataclass(frozen=True)
class Plan:
    """A shape whose parameters have no positions yet: these are known when all is compiled."""

    kind: WriteKind
    table: Table
    target: str
    values: tuple[Field, ...]
    matches: tuple[Field, ...]
    transports: tuple[Transport | None, ...]
    rows: tuple[tuple[Any, ...], ...]

    def shape(self, names: dict[Any, str], positions: Sequence[str]) -> Shape:
        """The shape, once the names of parameters and their positions are known."""
        at: dict[str, int] = {}
        for position, name in enumerate(positions):
            at.setdefault(name, position)
        # By their keys: a type's bind_expression makes another parameter of the same key each time.
        called = {bind.key: name for bind, name in names.items()}
        places = tuple(
            tuple(None if isinstance(bind, Null) else at[called[bind.key]] for bind in row)
            for row in self.rows
        )
        fields = self.values if self.kind is WriteKind.INSERT else self.matches
        return Shape(
            self.kind,
            self.table,
            self.target,
            self.values,
            self.matches,
            self.transports,
            places,
            key_places(self.table, fields),
        )


class Fields:
    """Makes the fields of one row, as far as they can be computed for each row of a set."""

    def __init__(self, compiler: Any, table: Table, kind: WriteKind) -> None:
        self.binds: list[Any] = []
        self.transports: list[Transport | None] = []
        self._compiler = compiler
        self._table = table
        self._kind = kind

    def add(self, column: Any, name: str, element: Any) -> Field | None:
        """The field of a column; ``None`` where its value is none of a set's.

        ``name`` is SQL. ``element`` is what the value was rendered from; ``None`` if not known.
        """
        if element is None or not isinstance(column, Column):
            return None
        first = len(self.binds)
        if isinstance(element, Null):
            # Of several rows some have a value here: NULL is sent as one more.
            self.binds.append(element)
            self.transports.append(transport_of(column.type, self._compiler.dialect))
            made, own = (f"{rows}.{letters(first)}" for rows in (ROWS, OWN))
            return Field(column, name, made, own, (first,), True, made)
        if isinstance(element, BindParameter):
            if not self._takes(element, column):
                return None
        elif not self._may_be_of_rows(element):
            return None
        made, binds = self._compiler.over_rows(element, ROWS, first)
        if binds is None:
            return None
        own, _ = self._compiler.over_rows(element, OWN, first)
        if not isinstance(element, BindParameter):
            made, own = (
                as_stored(self._compiler, column, rendered(text, element)) for text in (made, own)
            )
        plain = isinstance(element, BindParameter) and made == f"{ROWS}.{letters(first)}"
        transports = [self._transport(bind) for bind in binds]
        if None in transports and not plain:
            return None  # such as a text beside a number, of which a number is made
        self.binds += binds
        self.transports += transports
        numbers = tuple(range(first, len(self.binds)))
        laid = made if plain else self._laid(column, element, first)
        return Field(column, name, made, own, numbers, plain, laid)

    def _laid(self, column: Column[Any], element: Any, first: int) -> str | None:
        if any(getattr(node, "name", None) in OF_A_MOMENT for node in visitors.iterate(element)):
            return None
        text, _ = self._compiler.over_rows(element, ROWS, first, {self._table: BEFORE})
        return as_stored(self._compiler, column, rendered(text, element))

    def _takes(self, bind: Any, column: Column[Any]) -> bool:
        """Whether a parameter is one of its column's type."""
        if bind.expanding or bind.literal_execute:
            return False
        return self._transport(bind) == transport_of(column.type, self._compiler.dialect)

    def _transport(self, bind: Any) -> Transport | None:
        return transport_of(bind.type, self._compiler.dialect)

    def _may_be_of_rows(self, element: Any) -> bool:
        return all(map(self._is_of_rows, visitors.iterate(element)))

    def _is_of_rows(self, node: Any) -> bool:
        if is_compiled_elsewhere(node) or is_own_text(node):
            return False
        if isinstance(node, BindParameter):
            if node.expanding or node.literal_execute:
                return False
            # What a number is that is computed with depends on its digits, not on a column.
            transport = self._transport(node)
            return transport is not None and transport.scale is None
        if isinstance(node, FunctionElement):
            name = str(getattr(node, "name", "")).lower()
            return not getattr(node, "packagenames", ()) and name in SCALAR_FUNCTIONS
        if isinstance(node, ColumnClause):
            return self._kind is WriteKind.UPDATE and own_column(self._table, node) is not None
        return node.__visit_name__ in _OF_ROWS


def own_column(table: Any, element: Any) -> Column[Any] | None:
    """The column of a table that an element of a statement is; ``None`` for anything else."""
    if not isinstance(element, ColumnClause) or getattr(element, "is_literal", False):
        return None
    found: Any = table.columns.get(element.key)
    if found is None or found not in element.base_columns:
        return None
    return found if element.table in {table, None} or element.table == table else None


def terms(criteria: Iterable[Any]) -> Iterator[Any]:
    """What a condition asks for all at once."""
    for item in criteria:
        if isinstance(item, BooleanClauseList) and item.operator is operators.and_:
            yield from terms(item.clauses)
        elif isinstance(item, Grouping):
            yield from terms([item.element])
        else:
            yield item
