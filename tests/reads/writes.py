"""Random writes, as Python: by rows, by conditions, by queries, and of objects.

What SQLite does otherwise stands within ``wide()``: a sub-query of an UPDATE or DELETE on its own
table sees, there, the rows that the same statement has changed before. What no read can bring along
stands within ``aside()``, with the reason.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from typing import Any

from tests.differential.values import Source, written
from tests.reads.selects import From, Selects
from tests.reads.tables import FIRST, TABLES, kinds, values_of

_KEYS = {name: [c.name for c in table.primary_key] for name, table in TABLES.items()}
_UNIQUE = {"author": ["name"], "node": ["label"]}
# Which columns point at rows, and at what.
_POINTS = {("book", "author_id"): "author", ("node", "parent_id"): "node"}
# The tables whose rows nothing points at.
_LEAVES = ("book", "stock", "sample")
CLASS_OF = {name: name.capitalize() for name in TABLES}


class Writes:
    """Makes writes.

    Args:
        chooser: What is chosen.
        tables: The names of the tables that they may write and read.
    """

    def __init__(self, chooser: random.Random, tables: Sequence[str]) -> None:
        self._chooser = chooser
        self._tables = list(tables)
        self._fresh = itertools.count(10)
        self._added: dict[str, list[int]] = {name: [*FIRST] for name in TABLES}

    def fill(self, table: str) -> str:
        """The rows that a table begins with."""
        names = [n for n in kinds(table) if n in _KEYS[table] or self._chooser.random() < 0.85]
        names += ["qty"] * (table == "stock" and "qty" not in names)
        rows = [self._row(table, names, key=number) for number in FIRST]
        return f"conn.execute(insert({table}), [{', '.join(map(written, rows))}])"

    def write(self, on: str) -> list[str]:
        """One write, of one or more lines."""
        forms: list[tuple[int, Callable[[str, str], list[str] | None]]] = [
            (5, self._insert_row), (3, self._insert_rows), (3, self._insert_expressions),
            (3, self._insert_query), (6, self._update_key), (7, self._update),
            (2, self._update_many), (2, self._update_nested), (4, self._delete), (4, self._upsert),
            (2, self._move_key), (1, self._own), (1, self._odd),
        ]  # fmt: skip
        while True:
            form = self._chooser.choices([f for _, f in forms], [n for n, _ in forms])[0]
            lines = form(on, self._chooser.choice(self._tables))
            if lines is not None:
                return lines

    def write_objects(self) -> list[str]:
        """One write of the ORM."""
        table = self._chooser.choice(self._tables)
        name, key = CLASS_OF[table], self._key(table)
        row = ", ".join(f"{n}={written(v)}" for n, v in self._new_row(table).items())
        changed = self._changed(table, 0.4)
        values = ", ".join(f"{n}={written(v)}" for n, v in changed.items())
        identity = written(tuple(key.values()) if len(key) > 1 else next(iter(key.values())))
        forms = [f"session.add({name}({row}))", f"session.add({name}({row}))"]
        forms += [f"session.add({name}({row})); session.flush()"]
        if values:
            forms += [f"change(session, {name}, {identity}, {values})"] * 3
            condition = self._condition(From(name, kinds(table), of=name), table)
            forms.append(
                f"session.execute(update({name}).where({condition}).values({values}),"
                " execution_options={'synchronize_session': False})"
            )
        if table in _LEAVES:
            forms += [f"remove(session, {name}, {identity})"] * 2
        if table == "author" and "book" in self._tables:
            book = ", ".join(
                f"{n}={written(v)}" for n, v in self._new_row("book").items() if n != "author_id"
            )
            forms.append(f"attach(session, Author, {identity}, 'books', Book({book}))")
        return [self._chooser.choice(forms)]

    # --- rows -----------------------------------------------------------------------------------

    def _insert_row(self, on: str, table: str) -> list[str]:
        row = self._new_row(table)
        return [f"{on}.execute(insert({table}), [{written(row)}])"]

    def _insert_rows(self, on: str, table: str) -> list[str]:
        names = list(self._new_row(table))
        rows = [self._new_row(table, names) for _ in range(self._chooser.randint(2, 4))]
        listed = ", ".join(map(written, rows))
        if self._chooser.random() < 0.3:
            return [f"{on}.execute(insert({table}).values([{listed}]))"]
        return [f"{on}.execute(insert({table}), [{listed}])"]

    def _insert_expressions(self, on: str, table: str) -> list[str]:
        row = self._new_row(table)
        made = Selects(self._chooser, self._tables)
        for name, kind in kinds(table).items():
            if name in _KEYS[table] or (table, name) in _POINTS or name in _UNIQUE.get(table, ()):
                continue
            if kind in "isdf" and self._chooser.random() < 0.4:
                text = made.value(kind, [], 2) if kind in "isd" else made.scalar([], kind)
                row[name] = Source(self._fit(table, name, text))
        values = ", ".join(f"{name}={written(value)}" for name, value in row.items())
        return [f"{on}.execute(insert({table}).values({values}))"]

    def _insert_query(self, on: str, table: str) -> list[str] | None:
        """Rows of a table, itself or another one, with other keys."""
        if table == "stock":
            return None
        origin = self._chooser.choice([name for name in self._tables if name != "stock"] or ["x"])
        if origin == "x":
            return None
        source = From(origin, kinds(origin), ("id",))
        made = Selects(self._chooser, self._tables)
        names, values = ["id"], [f"{origin}.c.id + {next(self._fresh) * 10}"]
        for name, kind in kinds(table).items():
            pointed = (table, name) in _POINTS or name in _UNIQUE.get(table, ())
            if name == "id" or pointed or self._chooser.random() < 0.5:
                continue
            if kind in source.columns.values() or kind in "isdf":
                names.append(name)
                values.append(self._fit(table, name, made.value(kind, [source], 1)))
        where = f".where({made.condition([source])})" * (self._chooser.random() < 0.7)
        query = f"select({', '.join(values)}).select_from({origin}){where}"
        return [f"{on}.execute(insert({table}).from_select({names!r}, {query}))"]

    # --- changes --------------------------------------------------------------------------------

    def _update_key(self, on: str, table: str) -> list[str] | None:
        values: dict[str, Any] = self._changed(table, 0.4)
        own = From(table, kinds(table), tuple(_KEYS[table]))
        made = Selects(self._chooser, self._tables, apart=table)
        for name in list(values):
            kind = kinds(table)[name]
            apart = (table, name) in _POINTS or name in _UNIQUE.get(table, ())
            if kind in "isd" and not apart and self._chooser.random() < 0.4:
                text = made.value(kind, [own], 1)
                values[name] = Source(self._fit(table, name, text))
        if not values:
            return None
        where = ", ".join(f"{table}.c.{n} == {written(v)}" for n, v in self._key(table).items())
        return self._counted(on, f"update({table}).where({where}).values({self._keywords(values)})")

    def _update(self, on: str, table: str) -> list[str] | None:
        values: dict[str, Any] = self._changed(table, 0.3, unique=False)
        own = From(table, kinds(table), tuple(_KEYS[table]))
        made = Selects(self._chooser, self._tables, apart=table)
        for name in list(values):
            kind = kinds(table)[name]
            if kind in "isdfgo" and (table, name) not in _POINTS and self._chooser.random() < 0.6:
                values[name] = Source(self._fit(table, name, made.value(kind, [own], 2)))
        if not values:
            return None
        where = f".where({self._condition(own, table)})" * (self._chooser.random() < 0.9)
        return self._counted(on, f"update({table}){where}.values({self._keywords(values)})")

    def _update_many(self, on: str, table: str) -> list[str] | None:
        names = list(self._changed(table, 0.4, unique=False))
        if not names:
            return None
        keys = _KEYS[table]
        where = ", ".join(f"{table}.c.{key} == bindparam('k_{key}')" for key in keys)
        values = ", ".join(f"{name}=bindparam('v_{name}')" for name in names)
        rows = []
        for _ in range(self._chooser.randint(2, 3)):
            row = {f"k_{name}": value for name, value in self._key(table).items()}
            rows.append(row | {f"v_{name}": self._value(table, name) for name in names})
        text = f"update({table}).where({where}).values({values})"
        return [f"{on}.execute({text}, [{', '.join(map(written, rows))}])"]

    def _update_nested(self, on: str, table: str) -> list[str] | None:
        """A value that a sub-query gives, which refers to the row, and may read its own table."""
        names = [
            n
            for n, kind in kinds(table).items()
            if kind in "isd" and n not in _KEYS[table] and (table, n) not in _POINTS
        ]
        name = self._chooser.choice([n for n in names if n not in _UNIQUE.get(table, ())])
        own = From(table, kinds(table), tuple(_KEYS[table]))
        made = Selects(self._chooser, self._tables)
        made._taken.add(table)
        text = made.scalar([own], kinds(table)[name])
        where = f".where({made.condition([own])})" * (self._chooser.random() < 0.6)
        return [f"{on}.execute(wide(update({table}){where}.values({name}={text})))"]

    def _move_key(self, on: str, table: str) -> list[str]:
        fresh, key = next(self._fresh), self._key(table)
        column = "book_id" if table == "stock" else "id"
        own = f"{table}.c.{column}"
        if self._chooser.random() < 0.6:
            where = ", ".join(f"{table}.c.{n} == {written(v)}" for n, v in key.items())
            self._added[table].append(fresh)
            return [f"{on}.execute(update({table}).where({where}).values({column}={fresh}))"]
        low = self._chooser.choice(self._added[table])
        text = f"update({table}).where({own} > {low}).values({column}={own} + {fresh * 100})"
        return [f"{on}.execute({text})"]

    def _delete(self, on: str, table: str) -> list[str]:
        own = From(table, kinds(table), tuple(_KEYS[table]))
        if table not in _LEAVES:
            if table == "author" and "book" in self._tables:
                free = "~exists().where(book.c.author_id == author.c.id)"
                text = f"delete(author).where({free}, {self._condition(own, table)})"
                return self._counted(on, text)
            key = self._chooser.choice(self._added[table])
            return [f"{on}.execute(delete({table}).where({table}.c.id == {key}))"]
        if self._chooser.random() < 0.5:
            where = ", ".join(f"{table}.c.{n} == {written(v)}" for n, v in self._key(table).items())
            return self._counted(on, f"delete({table}).where({where})")
        return self._counted(on, f"delete({table}).where({self._condition(own, table)})")

    def _own(self, on: str, table: str) -> list[str] | None:
        """A DELETE whose condition reads its own table."""
        if table not in _LEAVES:
            return None
        made = Selects(self._chooser, [table])
        made._taken.add(table)
        own = From(table, kinds(table), tuple(_KEYS[table]))
        return [f"{on}.execute(wide(delete({table}).where({made.condition([own])})))"]

    def _upsert(self, on: str, table: str) -> list[str] | None:
        keys = _KEYS[table]
        if table in _UNIQUE and self._chooser.random() < 0.25:
            keys = _UNIQUE[table]
        names = list(dict.fromkeys([*keys, *_KEYS[table], *self._new_row(table)]))
        names = [name for name in names if (table, name) not in _POINTS]
        rows = []
        for _ in range(self._chooser.randint(1, 3)):
            row = self._new_row(table, names)
            if keys == _KEYS[table] and self._chooser.random() < 0.6:
                row |= self._key(table)
            rows.append({name: row[name] for name in names})
        rest = [n for n in names if n not in keys and n not in _KEYS[table]]
        update = f", update={self._chooser.sample(rest, len(rest) // 2)!r}"
        update *= self._chooser.random() < 0.5 or keys != _KEYS[table]
        listed = ", ".join(map(written, rows))
        return [f"{on}.execute(upsert({table}, [{listed}], keys={keys!r}{update}))"]

    # --- what goes another way ------------------------------------------------------------------

    def _odd(self, on: str, table: str) -> list[str] | None:
        """What is not brought along."""
        if table not in ("book", "author", "node"):
            return None
        column = {"book": "pages", "author": "size", "node": "rank"}[table]
        fresh = next(self._fresh) * 10
        one = f"select({table}.c.id + {fresh}).order_by({table}.c.id).limit(1)"
        forms = {
            "a text writes": f"text('UPDATE {table} SET {column} = 3 WHERE id = 2')",
            "a limit": f"insert({table}).from_select(['id'], {one})",
            "a text within": f"update({table}).where(text('id = 1')).values({column}=8)",
        }
        why = self._chooser.choice(list(forms))
        return [f"{on}.execute(aside({why!r}, {forms[why]}))"]

    def odd_read(self, on: str) -> list[str]:
        """A read that brings nothing along."""
        table = self._chooser.choice(self._tables)
        forms = {
            "a text reads": f"text('SELECT count(*) FROM {table}')",
            "a literal column": f"select(literal_column('count(1)')).select_from({table})",
        }
        why = self._chooser.choice(list(forms))
        return [f"see({on}.execute(aside({why!r}, {forms[why]})))"]

    # --- values ---------------------------------------------------------------------------------

    def _counted(self, on: str, text: str) -> list[str]:
        if self._chooser.random() < 0.08:
            return [f"see({on}.execute({text}).rowcount)"]
        return [f"{on}.execute({text})"]

    def _condition(self, own: From, table: str) -> str:
        return Selects(self._chooser, self._tables, apart=table).condition([own])

    def _keywords(self, values: dict[str, Any]) -> str:
        return ", ".join(f"{name}={written(value)}" for name, value in values.items())

    def _fit(self, table: str, name: str, text: str) -> str:
        """A value that is small, so that it can be stored: what is too large is an error there."""
        kind = kinds(table)[name]
        if kind == "i":
            return f"({text}) % 100"
        if kind == "s":
            return f"func.substr({text}, 1, 9)"
        if kind == "d":
            return f"case((func.abs({text}) < 100, {text}))"
        return text

    def _key(self, table: str) -> dict[str, Any]:
        """A key that a row may have."""
        # The last one is no row's.
        number = self._chooser.choice([*self._added[table] * 2, 99])
        if table == "stock":
            shops = values_of("stock", "shop")
            return {"shop": shops[number % len(shops)], "book_id": number}
        return {"id": number}

    def _new_row(self, table: str, names: Sequence[str] = ()) -> dict[str, Any]:
        if not names:
            names = [n for n in kinds(table) if n in _KEYS[table] or self._chooser.random() < 0.5]
            names += ["qty"] * (table == "stock" and "qty" not in names)
        if self._chooser.random() < 0.03:
            return self._row(table, names, key=self._chooser.choice(self._added[table]))
        key = next(self._fresh)
        row = self._row(table, names, key=key)
        self._added[table].append(key)
        return row

    def _row(self, table: str, names: Sequence[str], key: int) -> dict[str, Any]:
        row = {name: self._value(table, name, key) for name in names}
        if table == "stock":
            shops = values_of("stock", "shop")
            return row | {"shop": shops[key % len(shops)], "book_id": key}
        return row | {"id": key}

    def _changed(self, table: str, share: float, *, unique: bool = True) -> dict[str, Any]:
        """Columns that are set, beside the key."""
        return {
            name: self._value(table, name)
            for name in kinds(table)
            if name not in _KEYS[table]
            and (unique or name not in _UNIQUE.get(table, ()))
            and self._chooser.random() < share
        }

    def _value(self, table: str, name: str, key: int | None = None) -> Any:
        if name == "qty":
            return self._chooser.choice(values_of(table, name))
        if name in _UNIQUE.get(table, ()):
            if self._chooser.random() < 0.2:
                return None
            return f"{name[0]}{next(self._fresh) if key is None else key}"
        if self._chooser.random() < 0.15:
            return None
        parent = _POINTS.get((table, name))
        if parent is not None:
            if parent not in self._tables:
                return None
            # A row of a tree points at one with a smaller key.
            known = [n for n in self._added[parent] if parent != table or n < (key or 0)]
            return self._chooser.choice(known) if known else None
        return self._chooser.choice(values_of(table, name))
