"""What is unique in a table, as it was declared.

PRIMARY KEY, UNIQUE and ``Index(unique=True)``: of columns, of expressions such as ``lower(mail)``,
for a part of the rows, without regard to the case of letters, with NULLs that equal each other.
What cannot be checked as it is meant is named by ``unchecked``, and checked as nothing else.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import func
from sqlalchemy.schema import Column, Index, Table, UniqueConstraint
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.elements import (
    BinaryExpression,
    CollationClause,
    ColumnClause,
    Grouping,
    Label,
    TextClause,
)
from sqlalchemy.sql.expression import FromClause

Render = Callable[[Any], str]
"""Renders an expression, with the names of columns alone."""

KEY = "vinci_key_"
"""What the keys are called in a SELECT of them, each with its number."""

# A condition of one database is taken where the one before it has none: SQLite's decides, since
# what is stored shall be as there.
_CONDITIONS = ("sqlite_where", "postgresql_where", "mssql_where")
_ORDERS = frozenset(
    {
        operators.asc_op,
        operators.desc_op,
        operators.nulls_first_op,
        operators.nulls_last_op,
    }
)
# What rows of one key do on SQLite which is no error there.
_OTHER_ENDS = frozenset({"IGNORE", "REPLACE"})


@dataclass(frozen=True, eq=False)
class Unique:
    """Values that may not come twice in a table, unless one of them is NULL.

    Attributes:
        table: The table.
        columns: Its columns: those whose values are unique, or that the expressions are made of.
        name: ``PRIMARY KEY``, or the name of the constraint or index.
        expressions: What is unique; empty where that is the columns as they are.
        where: The condition on rows that count; ``None`` for all.
        nulls_equal: Whether NULL equals NULL.
    """

    table: Table
    columns: tuple[Column[Any], ...]
    name: str
    expressions: tuple[Any, ...] = ()
    where: Any = None
    nulls_equal: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether the values of the columns themselves are unique, in all rows, but for NULL."""
        return not self.expressions and self.where is None and not self.nulls_equal

    @property
    def keys(self) -> tuple[Any, ...]:
        """What is unique: the expressions, or the columns."""
        return self.expressions or self.columns

    @property
    def concerned(self) -> tuple[Column[Any], ...]:
        """The columns whose values decide; those of the condition too."""
        if self.is_plain:
            return self.columns
        found = {*self.columns, *_columns_in(self.where, self.table)}
        return tuple(column for column in self.table.columns if column in found)

    @property
    def violation(self) -> str:
        """The message of a violation, in the words of SQLite."""
        what = ", ".join(f"{self.table.fullname}.{column.name}" for column in self.columns)
        if any(not isinstance(item, Column) for item in self.expressions):
            return f"UNIQUE constraint failed: index '{self.name}' on {self.table.fullname}"
        return f"UNIQUE constraint failed: {what} ({self.name})"

    def select(self, rows: str, render: Render, others: str = "") -> str:
        """The SELECT of the keys of rows that count, as ``vinci_key_0`` and so on.

        ``rows`` is a table, or a SELECT in parentheses, that has all columns under their names;
        ``others`` is what else is to be selected, with a comma behind it.
        """
        keys = ", ".join(f"{render(key)} AS {KEY}{n}" for n, key in enumerate(self.keys))
        where = "" if self.where is None else f" WHERE {render(self.where)}"
        return f"SELECT {others}{keys} FROM {rows}{where}"  # noqa: S608 - rendered


@dataclass(frozen=True)
class Unchecked:
    """Something unique that cannot be checked as it is meant, and why not."""

    name: str
    why: str


def uniques(table: FromClause) -> Iterator[Unique]:
    """The primary key of a table, its UNIQUE constraints and unique indexes.

    A ``table()`` has none: it is no more than names. What cannot be checked is left out.
    """
    seen: set[tuple[Column[Any], ...]] = set()
    for found in _declared(table):
        if isinstance(found, Unchecked) or (found.is_plain and found.columns in seen):
            continue
        if found.is_plain and found.name != PRIMARY_KEY:
            seen.add(found.columns)
        yield found


def changed(table: FromClause, assigned: Iterable[Column[Any]]) -> frozenset[Column[Any]]:
    """The columns that an assignment changes: those assigned, and what is computed of them."""
    found = frozenset(assigned)
    if not isinstance(table, Table):
        return found
    computed = [(column, column.computed) for column in table.columns if column.computed]
    return found.union(
        column for column, how in computed if not found.isdisjoint(_columns_in(how.sqltext, table))
    )


def row_key(table: Table) -> tuple[Column[Any], ...]:
    """The columns that tell the rows of a table apart; none where nothing is declared to."""
    for unique in uniques(table):
        never_null = unique.name == PRIMARY_KEY or not any(c.nullable for c in unique.columns)
        if unique.is_plain and never_null:
            return unique.columns
    return ()


def unchecked(table: FromClause) -> Sequence[Unchecked]:
    """What is declared unique in a table and cannot be checked as it is meant.

    Each write asks it, so that it is remembered for as long as nothing is declared anew.
    """
    if not isinstance(table, Table):
        return ()
    declared = (set(table.constraints), set(table.indexes), table.columns.keys())
    known = _unchecked.get(table)
    if known is None or known[0] != declared:
        found = tuple(found for found in _declared(table) if isinstance(found, Unchecked))
        known = _unchecked[table] = declared, found
    return known[1]


PRIMARY_KEY = "PRIMARY KEY"
"""The name of the primary key."""


def of_index(index: Index) -> Unique | Unchecked:
    """What a unique index makes unique."""
    table: Any = index.table
    expressions = [_without_order(item) for item in index.expressions]
    where = next(
        (index.dialect_kwargs[key] for key in _CONDITIONS if _given(index, key) is not None),
        None,
    )
    return _unique(table, expressions, str(index.name), where, index)


def is_declared(index: Index) -> bool:
    """Whether a unique index can be declared as UNIQUE: it is one of columns, for all rows."""
    unique = of_index(index)
    return (
        isinstance(unique, Unique)
        and unique.where is None
        and all(isinstance(_without_order(item), Column) for item in index.expressions)
    )


_unchecked: WeakKeyDictionary[Table, tuple[tuple[Any, ...], tuple[Unchecked, ...]]] = (
    WeakKeyDictionary()
)


def _declared(table: FromClause) -> Iterator[Unique | Unchecked]:
    if not isinstance(table, Table):
        return
    if table.primary_key.columns:
        columns = list(table.primary_key.columns)
        yield _unique(table, columns, PRIMARY_KEY, None, table.primary_key)
    for constraint in sorted(table.constraints, key=lambda item: str(item.name)):
        if isinstance(constraint, UniqueConstraint) and len(constraint.columns):
            columns = list(constraint.columns)
            yield _unique(table, columns, str(constraint.name or "UNIQUE"), None, constraint)
    for index in sorted(table.indexes, key=lambda item: str(item.name)):
        if index.unique:
            yield of_index(index)


def _unique(
    table: Table, items: list[Any], name: str, where: Any, declared: Any
) -> Unique | Unchecked:
    why = _other_meaning(declared)
    if why is not None:
        return Unchecked(name, why)
    keys = [_key(item) for item in items]
    for key in keys:
        if isinstance(key, str):
            return Unchecked(name, key)
    plain = all(isinstance(key, Column) for key in keys)
    columns: list[Column[Any]] = []
    for item in items:
        columns += [column for column in _columns_in(item, table) if column not in columns]
    nulls_equal = bool(_given(declared, "postgresql_nulls_not_distinct"))
    expressions = () if plain and len(columns) == len(keys) else tuple(keys)
    made = Unique(table, tuple(columns), name, expressions, where, nulls_equal)
    if made.is_plain:
        return made
    taken = [c.name for c in table.columns if str(c.name).lower().startswith(KEY)]
    if taken:
        return Unchecked(name, f"the statement needs names such as {taken[0]} for its own")
    return made


def _other_meaning(declared: Any) -> str | None:
    """Why something unique is none that is known here."""
    if not any(declared.dialect_kwargs):
        return None  # this is asked several times for each unit of work
    ends = str(_given(declared, "sqlite_on_conflict") or "").upper()
    if ends in _OTHER_ENDS:
        return f"sqlite_on_conflict={ends!r} is not what happens here: a second row is refused"
    if _given(declared, "mysql_length") is not None:
        return "mysql_length= makes the beginning of a text unique alone"
    return None


def _given(declared: Any, key: str) -> Any:
    # Asking dialect_kwargs for what was not given would import the dialect.
    return declared.dialect_kwargs[key] if key in set(declared.dialect_kwargs) else None


def _without_order(item: Any) -> Any:
    """An expression without DESC and NULLS FIRST, which change nothing of what is unique."""
    while isinstance(item, (Grouping, Label)) or getattr(item, "modifier", None) in _ORDERS:
        item = item.element
    return item


def _key(item: Any) -> Any:
    """What is compared of a column or an expression; a text that says why it cannot be known."""
    if isinstance(item, BinaryExpression) and item.operator is operators.collate:
        collation: Any = item.right
        name = collation.collation if isinstance(collation, CollationClause) else str(collation)
        return _collated(_without_order(item.left), name)
    name = getattr(getattr(item, "type", None), "collation", None)
    if name is None or not isinstance(item, Column):
        return item
    return _collated(item, name)


def _collated(item: Any, name: str) -> Any:
    known = name.strip('"').upper()
    if known == "BINARY":
        return item
    if known == "NOCASE":
        # As SQLite does, of the letters of ASCII alone.
        return func.translate(item, string.ascii_uppercase, string.ascii_lowercase)
    if known == "RTRIM":
        return func.rtrim(item)
    return f"the collation {name} is not one of SQLite's own: BINARY, NOCASE, RTRIM"


def _columns_in(item: Any, table: Table) -> list[Column[Any]]:
    """The columns of an expression; all of the table where a text may name any."""
    if item is None:
        return []
    if isinstance(item, Column):
        return [item] if item.table is table else []
    found: list[Column[Any]] = []
    for element in visitors.iterate(item):
        if isinstance(element, Column) and element.table is table:
            found.append(element)
        elif isinstance(element, (TextClause, ColumnClause)):
            return list(table.columns)
    return found
