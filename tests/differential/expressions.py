"""SQL expressions and conditions, as Python: what may stand for a value, and after WHERE."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from tests.differential.values import Source, domain, value_for, written

# Their keys are another on each side, so that no program may see one, or write a number for one.
GENERATED = frozenset({"note.id", "note.about"})


class Expressions:
    """Makes expressions.

    Args:
        chooser: What is chosen.
        tables: The tables that sub-selects may read.
    """

    def __init__(self, chooser: random.Random, tables: Sequence[sa.Table]) -> None:
        self.chooser = chooser
        self.tables = tables
        # What no sub-select of the condition that is being made may read.
        self._apart: frozenset[sa.Column[Any]] = frozenset()

    # --- columns --------------------------------------------------------------------------------

    def columns(self, table: sa.Table) -> list[sa.Column[Any]]:
        """The columns that programs may name."""
        return [c for c in table.columns if str(c) not in GENERATED]

    def writable(self, table: sa.Table) -> list[sa.Column[Any]]:
        """The columns that programs may write."""
        return [c for c in self.columns(table) if c.computed is None]

    def column(self, table: sa.Table, kind: type[Any] | None = None) -> sa.Column[Any] | None:
        """A column, of a kind."""
        found = [c for c in self.columns(table) if kind is None or is_plain(c, kind)]
        return self.chooser.choice(found) if found else None

    def number_or_text(self, table: sa.Table) -> sa.Column[Any]:
        """A column of numbers, or else of text."""
        found = self.column(table, sa.Integer)
        found = self.column(table, sa.String) if found is None else found
        assert found is not None
        return found

    # --- values ---------------------------------------------------------------------------------

    def value(self, column: sa.Column[Any]) -> Any:
        """A plain value."""
        return value_for(self.chooser, column)

    def row(self, table: sa.Table, *, some: bool = True) -> dict[str, Any]:
        """A row of plain values: the keys, and some of the rest."""
        return {
            c.key: self.value(c)
            for c in self.writable(table)
            if c.primary_key
            or (not c.nullable and c.default is None and c.server_default is None)
            or not some
            or self.chooser.random() < 0.6
        }

    def inserted(self, column: sa.Column[Any]) -> Source:
        """An expression for a value that is inserted."""
        forms = [
            self._literal(column),
            self._literal(column),
            self.scalar(column),
            f"bindparam('b_{column.name}', {written(self.value(column))}, {type_of(column)})",
        ]
        plain = written(self.value(column))
        small = self.chooser.randint(1, 6)
        if is_plain(column, sa.Integer):
            forms += [
                f"func.abs({plain if plain != 'None' else -3})",
                f"literal_column('{small}')",
                f"case(({self.exists(column.table)}, {small}), else_=2)",
                f"func.coalesce({self.scalar(column)}, 0) + 1",
                f"cast(literal('{small}'), Integer)",
                f"{self.chooser.randint(1, 3)} + literal(1)",
            ]
        if is_plain(column, sa.String):
            forms += [
                f"func.lower({written(self.chooser.choice('ABCD'))})",
                f"literal({written(self.chooser.choice('abcd'))}) + ''",
                f"func.coalesce(null(), {written(self.chooser.choice('abcd'))})",
            ]
        if column.nullable:
            forms.append("null()")
        return Source(self.chooser.choice(forms))

    def updated(self, column: sa.Column[Any], of: str) -> Source:
        """An expression for a value of an UPDATE, which may name the row's own columns."""
        own = f"{of}.{column.key}"
        if is_plain(column, sa.Integer) and self.chooser.random() < 0.7:
            other = self.column(column.table, sa.Integer)
            return Source(
                self.chooser.choice(
                    [
                        f"{own} + 1",
                        f"{own} - 1",
                        f"-{own}",
                        f"func.coalesce({own}, 0) + 10",
                        f"{of}.{other.key if other is not None else column.key}",
                        f"case(({own} > 2, 1), else_={own})",
                        f"func.abs({own})",
                        f"{own} * 2",
                    ]
                )
            )
        if is_plain(column, sa.String) and self.chooser.random() < 0.6:
            return Source(
                self.chooser.choice(
                    [
                        f"{own} + '!'",
                        f"func.upper({own})",
                        f"func.coalesce({own}, 'z')",
                        f"func.lower({own})",
                    ]
                )
            )
        return self.inserted(column)

    def _literal(self, column: sa.Column[Any]) -> str:
        value = self.value(column)
        return "null()" if value is None else f"literal({written(value)}, {type_of(column)})"

    def scalar(self, column: sa.Column[Any]) -> str:
        """A sub-select of one value of the same type."""
        if self.chooser.random() < 0.3:
            column = self.chooser.choice(self._alike(column) or [column])
        table = column.table
        of = f"{table.name}.c.{column.key}"
        if str(column) in GENERATED or not _ordered(column):
            return f"select({of}).where({key_condition(self, table)}).scalar_subquery()"
        function = self.chooser.choice(["max", "min"])
        where = ""
        if self.chooser.random() < 0.4:
            where = f".where({self._condition(table, f'{table.name}.c')})"
        return f"select(func.{function}({of})){where}.scalar_subquery()"

    # --- conditions -----------------------------------------------------------------------------

    def condition(
        self, table: sa.Table, of: str | None = None, *, apart: Iterable[sa.Column[Any]] = ()
    ) -> str:
        """A condition on the rows of a table.

        Args:
            table: The table.
            of: What its columns are attributes of; ``table.c`` by default.
            apart: What no sub-select may read, since the statement changes it: SQLite's would see
                what the same statement has changed before.
        """
        self._apart = frozenset(apart)
        try:
            return self._condition(table, of or f"{table.name}.c")
        finally:
            self._apart = frozenset()

    def _condition(self, table: sa.Table, of: str) -> str:
        roll = self.chooser.random()
        if roll < 0.4:
            return key_condition(self, table, of)
        if roll < 0.75:
            return self._atom(table, of)
        if roll < 0.9:
            joined = self.chooser.choice(["and_", "or_"])
            return f"{joined}({self._atom(table, of)}, {self._atom(table, of)})"
        return f"not_({self._atom(table, of)})"

    def exists(self, table: sa.Table) -> str:
        """EXISTS of rows of a table; without its FROM, ``SELECT *`` may have none."""
        return f"exists().select_from({table.name}).where({self.condition(table)})"

    def _atom(self, table: sa.Table, of: str) -> str:
        column = self.chooser.choice([c for c in self.columns(table) if _comparable(c)])
        own = f"{of}.{column.key}"
        value = self.chooser.choice(domain(column))
        others = ", ".join(written(self.value(column)) for _ in range(self.chooser.randint(0, 3)))
        bound = written(self.value(column))
        forms = [
            f"{own} == {written(value)}",
            f"{own} == {written(value)}",
            f"{own} != {written(value)}",
            f"{own}.in_([{others}])",
            f"{own}.not_in([{others}])",
            f"{own}.is_(None)",
            f"{own}.is_not(None)",
            f"{own} == bindparam('q_{column.key}', {bound}, {type_of(column)})",
            f"{own}.is_distinct_from({written(value)})",
            self._correlated(table, of),
        ]
        if self._alike(column):
            forms.append(f"{own}.in_({self._in_select(column)})")
        if _ordered(column):
            forms += [
                f"{own} > {written(value)}",
                f"{own} <= {written(value)}",
                f"{own}.between({written(value)}, {written(self.chooser.choice(domain(column)))})",
            ]
            forms += [f"{own} == {self.scalar(column)}"] * (column not in self._apart)
        if is_plain(column, sa.Integer):
            forms += [f"{own} == {str(value)!r}", f"{own} % 2 == 0", self._tuple(table, of)]
        if is_plain(column, sa.String):
            forms += [f"{own}.like('a%')", f"{own} == 9", f"func.length({own}) > 1"]
        return self.chooser.choice(forms)

    def _in_select(self, column: sa.Column[Any]) -> str:
        other = self.chooser.choice(self._alike(column))
        source = f"select({other.table.name}.c.{other.key})"
        return source + f".where({key_condition(self, other.table)})" * (
            self.chooser.random() < 0.5
        )

    def _alike(self, column: sa.Column[Any]) -> list[sa.Column[Any]]:
        """The columns of the program's tables that hold values of the same type."""
        return [
            c
            for table in self.tables
            for c in self.columns(table)
            if type(c.type) is type(column.type) and _comparable(c) and c not in self._apart
        ]

    def _correlated(self, table: sa.Table, of: str) -> str:
        """EXISTS of another row of the same table, or of one that points here."""
        number = self.column(table, sa.Integer)
        if number is None or number in self._apart:
            return key_condition(self, table, of)
        alias = f"{table.name}_2"
        column = f"{of}.{number.key}"
        return (
            f"select({alias}.c.{number.key}).where({alias}.c.{number.key} > {column})"
            f".correlate({of.removesuffix('.c')}).exists()"
        )

    def _tuple(self, table: sa.Table, of: str) -> str:
        first, second = self.column(table, sa.Integer), self.column(table, sa.Integer)
        assert first is not None
        assert second is not None
        operator = self.chooser.choice(["==", "!=", "<", "<=", ">", ">="])
        values = f"({written(self.value(first))}, {written(self.value(second))})"
        return f"tuple_({of}.{first.key}, {of}.{second.key}) {operator} {values}"


def key_condition(made: Expressions, table: sa.Table, of: str | None = None) -> str:
    """A condition by the key, or by the nearest thing to one that a program may name."""
    of = of or f"{table.name}.c"
    keys = [c for c in made.columns(table) if c.primary_key] or [
        c for c in made.columns(table) if c.unique
    ]
    tests = [f"{of}.{c.key} == {written(made.chooser.choice(domain(c)))}" for c in keys]
    return tests[0] if len(tests) == 1 else f"and_({', '.join(tests)})"


def is_plain(column: sa.Column[Any], kind: type[Any] | tuple[type[Any], ...]) -> bool:
    """Whether a column is of a kind, and not of one that only is kept so."""
    return isinstance(column.type, kind) and not isinstance(column.type, sa.Enum)


def type_of(column: sa.Column[Any]) -> str:
    """The type of a column, as Python."""
    return f"{column.table.name}.c.{column.key}.type"


def _comparable(column: sa.Column[Any]) -> bool:
    return not isinstance(column.type, (sa.JSON, sa.Float, sa.LargeBinary))


def _ordered(column: sa.Column[Any]) -> bool:
    return isinstance(
        column.type, (sa.Integer, sa.String, sa.Date, sa.DateTime)
    ) and not isinstance(column.type, sa.Enum)
