"""Statements of SQLAlchemy's Core, as Python."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from tests.differential.expressions import Expressions, is_plain, key_condition, type_of
from tests.differential.values import FILLED, domain, written

# Columns that are unique by what is no constraint of theirs alone.
_APART = frozenset({"part.qty", "mail.address", "login.name"})
# Tables that no foreign key points at.
_LEAVES = frozenset(
    {"part", "doc", "account", "animal", "enrolled", "mail", "login", "rank", "kind"}
)


class CoreStatements:
    """Makes statements for a ``Connection``, or for a ``Session``.

    Args:
        chooser: What is chosen.
        on: What executes them: ``conn`` or ``session``.
        tables: The tables that sub-selects may read.
    """

    def __init__(self, chooser: random.Random, on: str, tables: Sequence[sa.Table]) -> None:
        self._chooser = chooser
        self._made = Expressions(chooser, tables)
        self._on = on
        self._writes: list[tuple[int, Callable[[sa.Table], str | None]]] = [
            (5, self._insert_rows),
            (2, self.insert_many),
            (3, self._insert_values),
            (4, self._insert_expressions),
            (2, self._insert_select),
            (7, self._update),
            (2, self._update_many),
            (3, self._move_keys),
            (2, self._update_from),
            (5, self._delete),
            (4, self._upsert),
            (1, self._raw_insert),
            (1, self._raw_change),
            (1, self._update_joined),
        ]

    def write(self, table: sa.Table) -> list[str]:
        """One write, sometimes with its rowcount."""
        choices = [form for _, form in self._writes]
        weights = [weight for weight, _ in self._writes]
        while True:
            found = self._chooser.choices(choices, weights)[0](table)
            if found is not None:
                return found.split("\n")

    def read(self, table: sa.Table) -> list[str]:
        """One read."""
        forms = [self._read_rows, self._read_rows, self._read_ordered, self._read_aggregate]
        forms += [self._read_grouped, self._read_exists, self._read_joined, self._read_raw]
        forms += [self._read_nested]
        if table.name == "item":
            forms += [lambda table: self._see("select(cheap)")] * 2
        return [self._chooser.choice(forms)(table)]

    # --- writes ---------------------------------------------------------------------------------

    def _insert_rows(self, table: sa.Table) -> str:
        rows = [self._made.row(table)]
        if self._chooser.random() < 0.5:
            text = f"insert({table.name}).values({self._values(rows[0])})"
        else:
            text = f"insert({table.name}), [{written(rows[0])}]"
        return self._run(text, counted=0.1)

    def fill(self, table: sa.Table) -> str:
        """Some rows, whose keys are the first ones, and no value of a unique column twice."""
        columns = [
            c for c in self._made.writable(table) if c.unique or self._chooser.random() < 0.8
        ]
        columns += [c for c in self._made.writable(table) if c.primary_key or not c.nullable]
        rows = [
            {c.key: self._filled(c, n) for c in dict.fromkeys(columns)}
            for n in range(self._chooser.randint(FILLED, 4))
        ]
        return f"conn.execute(insert({table.name}), [{', '.join(map(written, rows))}])"

    def _filled(self, column: sa.Column[Any], number: int) -> Any:
        if not (column.primary_key or column.unique or str(column) in _APART):
            value = self._made.value(column)
            return value if value != -1 else 0
        values = domain(column)
        return values[number % len(values)]

    def insert_many(self, table: sa.Table) -> str:
        names = list(self._made.row(table))
        rows = [
            {name: self._made.value(table.columns[name]) for name in names}
            for _ in range(self._chooser.randint(2, 4))
        ]
        return self._run(f"insert({table.name}), [{', '.join(map(written, rows))}]", counted=0.1)

    def _insert_values(self, table: sa.Table) -> str:
        """Several rows in one VALUES, of which each column may be a value or an expression."""
        names = list(self._made.row(table) or self._made.row(table, some=False))
        rows = []
        for _ in range(self._chooser.randint(2, 3)):
            row: dict[str, Any] = {name: self._made.value(table.columns[name]) for name in names}
            if self._chooser.random() < 0.5:
                name = self._chooser.choice(names)
                row[name] = self._made.inserted(table.columns[name])
            rows.append(row)
        return self._run(f"insert({table.name}).values([{', '.join(map(written, rows))}])")

    def _insert_expressions(self, table: sa.Table) -> str:
        row = self._made.row(table) or self._made.row(table, some=False)
        for name in self._chooser.sample(list(row), self._chooser.randint(1, min(2, len(row)))):
            row[name] = self._made.inserted(table.columns[name])
        prefix = ".prefix_with('/* job */')" if self._chooser.random() < 0.1 else ""
        return self._run(f"insert({table.name}){prefix}.values({self._values(row)})")

    def _insert_select(self, table: sa.Table) -> str | None:
        """From the table itself, with other keys, or from the view."""
        columns = self._made.writable(table)
        if table.name == "note":
            source = "select(note.c.body + '+')"
            names = ["body"]
        elif self._chooser.random() < 0.4:
            return self._insert_from_other(table)
        elif any(c.primary_key and not is_plain(c, sa.Integer) for c in columns):
            return None
        else:
            names = [c.key for c in columns if c.primary_key or self._chooser.random() < 0.5]
            names += [
                c.key
                for c in columns
                if c.key not in names
                and not (c.nullable or c.default is not None or c.server_default is not None)
            ]
            source = f"select({', '.join(map(self._moved(table), names))})"
        where = f".where({self._made.condition(table)})" * (self._chooser.random() < 0.7)
        return self._run(f"insert({table.name}).from_select({names!r}, {source}{where})")

    def _insert_from_other(self, table: sa.Table) -> str | None:
        """From the view, or from another table of the program."""
        others = [t for t in self._made.tables if t is not table and t.name != "note"]
        origin, key, number = "cheap", "cheap.c.id", "cheap.c.x"
        if others and self._chooser.random() < 0.6:
            other = self._chooser.choice(others)
            column = self._made.column(other, sa.Integer)
            keys = [c for c in other.primary_key.columns if is_plain(c, sa.Integer)]
            if column is None or not keys:
                return None
            origin, key = other.name, f"{other.name}.c.{keys[0].key}"
            number = f"{other.name}.c.{column.key}"
        names, source = [], []
        for column in self._made.writable(table):
            optional = column.nullable or column.default is not None or column.server_default
            if optional and self._chooser.random() < 0.7:
                continue
            names.append(column.key)
            if is_plain(column, sa.Integer):
                source.append(key if column.primary_key else number)
            else:
                source.append(f"literal({written(self._made.value(column))}, {type_of(column)})")
        where = f".select_from({origin})"
        where += f".where({key} < {self._chooser.randint(2, 5)})" * (self._chooser.random() < 0.5)
        return self._run(
            f"insert({table.name}).from_select({names!r}, select({', '.join(source)}){where})"
        )

    def _moved(self, table: sa.Table) -> Callable[[str], str]:
        distance = self._chooser.choice([1, 3, 10])

        def moved(name: str) -> str:
            column = table.columns[name]
            own = f"{table.name}.c.{name}"
            if is_plain(column, sa.Integer) and (column.primary_key or column.unique):
                return f"{own} + {distance}"
            if column.unique and is_plain(column, sa.String):
                return f"{own} + '+'"
            return own

        return moved

    def _update(self, table: sa.Table) -> str | None:
        names = self._changed(table)
        values = {
            name: (
                self._made.updated(table.columns[name], f"{table.name}.c")
                if self._chooser.random() < 0.5
                else self._made.value(table.columns[name])
            )
            for name in names
        }
        apart = _changing(table, names)
        where = f".where({self._made.condition(table, apart=apart)})"
        where *= self._chooser.random() < 0.9
        text = f"update({table.name}){where}.values({self._values(values)})"
        return self._run(text, counted=0.25) if names else None

    def _update_many(self, table: sa.Table) -> str | None:
        """By bound keys, of which two may be the same."""
        keys = [c for c in self._made.columns(table) if c.primary_key]
        names = [name for name in self._changed(table) if not table.columns[name].primary_key]
        if not keys or not names:
            return None
        where = ", ".join(f"{table.name}.c.{c.key} == bindparam('k_{c.key}')" for c in keys)
        values = ", ".join(f"{name!r}: bindparam('v_{name}')" for name in names)
        rows = [
            {f"k_{c.key}": self._chooser.choice(domain(c)) for c in keys}
            | {f"v_{name}": self._made.value(table.columns[name]) for name in names}
            for _ in range(self._chooser.randint(2, 4))
        ]
        text = f"update({table.name}).where({where}).values({{{values}}})"
        return self._run(f"{text}, [{', '.join(map(written, rows))}]", counted=0.25)

    def _move_keys(self, table: sa.Table) -> str | None:
        """Change a key or a unique value, or swap two by way of a third."""
        columns = [
            c
            for c in self._made.writable(table)
            if (c.primary_key or c.unique) and is_plain(c, sa.Integer)
        ]
        if not columns:
            return None
        column = self._chooser.choice(columns)
        own, test = f"{table.name}.c.{column.key}", key_condition(self._made, table)
        if self._chooser.random() < 0.4:
            one, two = self._chooser.sample(domain(column), 2)
            steps = [(one, 77), (two, one), (77, two)]
            return "\n".join(
                self._run(f"update({table.name}).where({own} == {a}).values({column.key}={b})")
                for a, b in steps
            )
        sign = self._chooser.choice(["+ 1", "- 1", "+ 10", "* -1"])
        where = f".where({test})" * (self._chooser.random() < 0.4)
        return self._run(f"update({table.name}){where}.values({column.key}={own} {sign})")

    def _update_from(self, table: sa.Table) -> str | None:
        """Correlated: the value comes from another column of other rows of the table."""
        number, source = self._made.column(table, sa.Integer), self._made.column(table, sa.Integer)
        keys = [c for c in self._made.columns(table) if c.primary_key and is_plain(c, sa.Integer)]
        if number is None or source is None or not keys:
            return None
        # SQLite's sub-select would see the rows that the same UPDATE has changed already.
        if number.primary_key or number.computed is not None or number is source:
            return None
        if source.onupdate is not None:
            return None
        other, apart = f"{table.name}_2", _changing(table, [number.key])
        return self._run(
            f"update({table.name}).values({number.key}=select(func.max({other}.c.{source.key}))"
            f".where({other}.c.{keys[0].key} < {table.name}.c.{keys[0].key}).scalar_subquery())"
            + f".where({self._made.condition(table, apart=apart)})"
            * (self._chooser.random() < 0.5)
        )

    def _delete(self, table: sa.Table) -> str:
        where = f".where({self._made.condition(table, apart=table.columns)})"
        where *= self._chooser.random() < 0.95
        return self._run(f"delete({table.name}){where}", counted=0.25)

    def _upsert(self, table: sa.Table) -> str | None:
        keys = [c.key for c in self._made.columns(table) if c.primary_key]
        unique = [[c.key] for c in self._made.writable(table) if c.unique]
        choices = [keys] * bool(keys) + unique
        if not choices or not keys:
            return None
        chosen = self._chooser.choice(choices)
        names = list(dict.fromkeys([*chosen, *self._made.row(table)]))
        rows = [
            {name: self._made.value(table.columns[name]) for name in names}
            for _ in range(self._chooser.randint(1, 3))
        ]
        rest = [name for name in names if name not in chosen]
        update = self._chooser.choice(
            ["", f", update={self._chooser.sample(rest, len(rest) // 2)!r}"]
        )
        if self._chooser.random() < 0.1:
            others = [c.key for c in self._made.writable(table) if c.key not in chosen]
            update = f", update={others[:1]!r}"
        return self._run(
            f"upsert({table.name}, [{', '.join(map(written, rows))}], keys={chosen!r}{update})"
        )

    def _raw_insert(self, table: sa.Table) -> str:
        row = {
            name: value
            for name, value in self._made.row(table).items()
            if is_plain(table.columns[name], (sa.Integer, sa.String))
            and not table.columns[name].foreign_keys
        }
        # A text says nothing of its columns, so each value goes as what it is: True as 'true'.
        for name, value in row.items():
            wanted = int if is_plain(table.columns[name], sa.Integer) else str
            if value is not None and type(value) is not wanted:
                row[name] = self._chooser.choice(domain(table.columns[name]))
        # Keys that are given out are made by SQLAlchemy's INSERT, and not by text.
        if table.name == "note" or set(self._needed(table)) - set(row):
            return self._insert_rows(table)
        marks = ", ".join(f":{name}" for name in row)
        # Raw text has no guards: a key that nothing else gives.
        declared: Iterable[Any] = (*table.constraints, *table.indexes)
        together = {
            column
            for item in declared
            if isinstance(item, sa.UniqueConstraint) or getattr(item, "unique", False)
            for column in item.columns
        }
        together |= {
            table.columns[word]
            for column in together
            if column.computed is not None
            for word in re.findall(r"\w+", str(column.computed.sqltext))
            if word in table.columns
        }
        for column in table.columns:
            if (column.primary_key or column in together) and column.key in row:
                row[column.key] = self._fresh(column)
        text = f"INSERT INTO {table.name} ({', '.join(row)}) VALUES ({marks})"
        return self._run(f"text({text!r}), {written(row)}")

    def _raw_change(self, table: sa.Table) -> str | None:
        """UPDATE or DELETE as text, of what no other row points at."""
        columns = [
            c
            for c in self._made.writable(table)
            if is_plain(c, sa.Integer)
            and not (c.primary_key or c.unique or c.foreign_keys or str(c) in _APART)
        ]
        keys = [c for c in self._made.columns(table) if c.primary_key and is_plain(c, sa.Integer)]
        if not keys:
            return None
        key = keys[0]
        bound: dict[str, Any] = {"k": self._chooser.choice(domain(key))}
        if table.name in _LEAVES and self._chooser.random() < 0.4:
            text = f"DELETE FROM {table.name} WHERE {key.name} = :k"
        elif columns:
            column = self._chooser.choice(columns)
            bound["v"] = self._chooser.choice([1, 2, 5])
            text = f"UPDATE {table.name} SET {column.name} = :v WHERE {key.name} >= :k"
        else:
            return None
        return self._run(f"text({text!r}), {written(bound)}")

    def _update_joined(self, table: sa.Table) -> str | None:
        """UPDATE … FROM a table that a foreign key points at, so that one row is met at most."""
        number = self._made.column(table, sa.Integer)
        foreign = [f for f in table.foreign_keys if f.column.table is not table]
        if number is None or not foreign or number.primary_key or number.foreign_keys:
            return None
        key = min(foreign, key=str)
        other = key.column.table
        source = self._made.column(other, sa.Integer)
        if source is None:
            return None
        on = f"{table.name}.c.{key.parent.key} == {other.name}.c.{key.column.key}"
        value = f"{other.name}.c.{source.key}"
        return self._run(f"update({table.name}).where({on}).values({number.key}={value})")

    def _fresh(self, column: sa.Column[Any]) -> Any:
        number = self._chooser.randint(1000, 999999)
        return number if isinstance(column.type, sa.Integer) else f"raw{number}"

    def _needed(self, table: sa.Table) -> list[str]:
        return [
            c.key
            for c in self._made.writable(table)
            if c.primary_key
            or not (c.nullable or c.default is not None or c.server_default is not None)
        ]

    # --- reads ----------------------------------------------------------------------------------

    def _read_rows(self, table: sa.Table) -> str:
        columns = self._made.columns(table)
        some = self._chooser.sample(columns, self._chooser.randint(1, len(columns)))
        shown = ", ".join(f"{table.name}.c.{c.key}" for c in some)
        where = f".where({self._made.condition(table)})" * (self._chooser.random() < 0.7)
        return self._see(f"select({shown}){where}")

    def _read_ordered(self, table: sa.Table) -> str:
        keys = [c for c in self._made.columns(table) if c.primary_key or c.unique]
        order = ", ".join(f"{table.name}.c.{c.key}" for c in keys)
        descending = f"{table.name}.c.{keys[0].key}.desc(), {order}"
        chosen = self._chooser.choice([order, descending])
        limit = f".limit({self._chooser.randint(1, 3)})" * (self._chooser.random() < 0.5)
        return self._see(f"select({order}).order_by({chosen}){limit}", "see_ordered")

    def _read_aggregate(self, table: sa.Table) -> str:
        number = self._made.column(table, sa.Integer)
        parts = ["func.count()"]
        if number is not None:
            own = f"{table.name}.c.{number.key}"
            parts += [f"func.max({own})", f"func.sum({own})", f"func.count({own})"]
        where = f".where({self._made.condition(table)})" * (self._chooser.random() < 0.5)
        return self._see(f"select({', '.join(parts)}).select_from({table.name}){where}")

    def _read_grouped(self, table: sa.Table) -> str:
        column = self._made.number_or_text(table)
        own = f"{table.name}.c.{column.key}"
        return self._see(f"select({own}, func.count()).group_by({own})")

    def _read_exists(self, table: sa.Table) -> str:
        return self._see(f"select({self._made.exists(table)})")

    def _read_joined(self, table: sa.Table) -> str:
        foreign = sorted(table.foreign_keys, key=str)
        if not foreign or table.name == "note":
            return self._read_rows(table)
        key = self._chooser.choice(foreign)
        other = key.column.table.name
        if other == table.name:
            other += "_2"
        shown = [f"{table.name}.c.{c.key}" for c in list(self._made.columns(table))[:2]]
        shown.append(f"{other}.c.{key.column.key}")
        join = self._chooser.choice(["join", "outerjoin"])
        on = f"{table.name}.c.{key.parent.key} == {other}.c.{key.column.key}"
        return self._see(
            f"select({', '.join(shown)}).select_from({table.name}.{join}({other}, {on}))"
        )

    def _read_nested(self, table: sa.Table) -> str:
        """By way of a CTE, a sub-query, or a UNION."""
        column = self._made.number_or_text(table)
        own = f"{table.name}.c.{column.key}"
        inner = f"select({own}.label('v')).where({self._made.condition(table)})"
        other = f"select({own}.label('v'))"
        forms = [
            f"select(func.count()).select_from({inner}.cte('c'))",
            f"select({inner}.subquery('s'))",
            f"union_all({inner}, {other})",
            f"union({inner}, {other})",
            f"select({own}).where({own} == {self._made.scalar(column)}).distinct()",
        ]
        return self._see(self._chooser.choice(forms))

    def _read_raw(self, table: sa.Table) -> str:
        column = self._made.number_or_text(table)
        return self._see(f"text('SELECT {column.name} FROM {table.name}')")

    # --- how ------------------------------------------------------------------------------------

    def _changed(self, table: sa.Table) -> list[str]:
        columns = [
            c
            for c in self._made.writable(table)
            if not c.primary_key or self._chooser.random() < 0.25
        ]
        columns = [c for c in columns if str(c) not in ("animal.kind", "person.kind")]
        return [
            c.key
            for c in self._chooser.sample(columns, min(len(columns), self._chooser.randint(1, 2)))
        ]

    @staticmethod
    def _values(row: dict[str, Any]) -> str:
        return ", ".join(f"{name}={written(value)}" for name, value in row.items())

    def _run(self, text: str, counted: float = 0.0) -> str:
        if self._chooser.random() < counted:
            return f"see({self._on}.execute({text}).rowcount)"
        return f"{self._on}.execute({text})"

    def _see(self, text: str, how: str = "see") -> str:
        return f"{how}({self._on}.execute({text}))"


def _changing(table: sa.Table, names: Iterable[str]) -> list[sa.Column[Any]]:
    """The columns that an UPDATE of some columns changes."""
    named = set(names)
    return [
        column
        for column in table.columns
        if column.key in named or column.onupdate is not None or column.computed is not None
    ]
