"""Random tables and what is written to them: INSERT, UPDATE, DELETE, and MERGE with every clause."""

# ruff: noqa: E501 - tables of forms read best one list a line
from __future__ import annotations

import random
from collections.abc import Callable

from tests.spark.random_expressions import Expressions
from tests.spark.random_queries import CALM, CONSTANTS
from tests.spark.random_tree import Node, Script

KINDS = ("insert", "update", "delete", "merge")

_COLUMNS = {"k": "i", "s": "s", "n": "e", "d": "d"}
_TYPES = "k INT, s STRING, n DECIMAL(10,2), d DATE"
_POOLS = (
    ["1", "2", "3", "4", "NULL", "5"],
    ["'a'", "'b'", "'é'", "NULL", "''"],
    ["1.50", "2.25", "NULL", "-3.75", "0.00"],
    ["DATE'2024-02-29'", "DATE'2023-12-31'", "NULL"],
)
# What INSERT and UPDATE are given beyond what fits: it is cast to the column's type or refused.
_STORED = [
    "'12'", "1.005", "1.5D", "true", "3L", "2147483648L", "'x'", "12345678901.5", "DATE'2024-01-01'", "NULL",
    "TIMESTAMP'2024-02-29 12:00:00'", "'2024-02-30'", "array(1)", "X'61'", "1e3", "double('NaN')", "DEFAULT",
]  # fmt: skip


def table_script(rng: random.Random) -> Script:
    """A table with rows, one statement or two that change it, and what is in it then."""
    kind = rng.choice((*KINDS, "merge"))
    draw = _Tables(rng)
    made = f"CREATE TABLE t ({_TYPES}) USING DELTA"
    filled = Node("statement", ("INSERT INTO t VALUES ", draw.rows(1)))
    read = Node("statement", ("SELECT * FROM t",))
    return Script(f"table: {kind}", (Node("statement", (made,)), filled, draw.change(kind), read))


class _Tables:
    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._makers: dict[str, Callable[[], Node]] = {
            "insert": self._insert,
            "update": self._update,
            "delete": self._delete,
            "merge": self._merge,
        }

    def change(self, kind: str) -> Node:
        """A statement of a kind."""
        return self._makers[kind]()

    def rows(self, least: int) -> Node:
        """Rows for VALUES."""
        rows = [self._row() for _ in range(self._rng.randrange(least, 6))]
        return Node("list", tuple(rows), least=least, separator=", ")

    def _row(self) -> Node:
        return Node("row", ("(" + ", ".join(self._rng.choice(pool) for pool in _POOLS) + ")",))

    def _expressions(self, *aliases: str) -> Expressions:
        columns = {
            kind: [f"{alias}{name}" for alias in aliases or ("",)]
            for name, kind in _COLUMNS.items()
        }
        return Expressions(self._rng, columns, CALM, {**CONSTANTS, "f": ["0.5D"]})

    def _value(self, *aliases: str) -> Node:
        return self._expressions(*aliases).of(self._rng.choice("ised"), self._rng.randrange(3))

    def _condition(self, *aliases: str) -> Node:
        return self._expressions(*aliases).of("b", self._rng.choice((1, 2)))

    def _stored(self, name: str, *aliases: str) -> Node:
        rng = self._rng
        if rng.random() < 0.2:
            return Node(_COLUMNS[name], (rng.choice(_STORED),))
        return self._expressions(*aliases).of(_COLUMNS[name], rng.randrange(3))

    def _insert(self) -> Node:
        rng = self._rng
        way = rng.randrange(5)
        names = rng.sample(list(_COLUMNS), rng.randrange(1, 5))
        if way == 0:
            return Node("statement", ("INSERT INTO t VALUES ", self.rows(1)))
        if way == 1:
            values = tuple(self._constant(name) for name in names)
            listed = Node("list", values, least=len(values), separator=", ")
            return Node("statement", (f"INSERT INTO t ({', '.join(names)}) VALUES (", listed, ")"))
        if way == 2:
            values = tuple(self._constant(name) for name in _COLUMNS)
            listed = Node("list", values, least=4, separator=", ")
            return Node("statement", ("INSERT INTO t VALUES (", listed, ")"))
        values = tuple(self._stored_select(name) for name in names)
        listed = Node("list", values, least=len(values), separator=", ")
        into = f"INSERT INTO t ({', '.join(names)})" if way == 3 else "INSERT OVERWRITE t"
        if way == 4:
            return Node(
                "statement", ("INSERT OVERWRITE t SELECT k + 1, s, n, d FROM t", self._where())
            )
        return Node("statement", (f"{into} SELECT ", listed, " FROM t", self._where()))

    def _constant(self, name: str) -> Node:
        if self._rng.random() < 0.5:
            return Node(_COLUMNS[name], (self._rng.choice(_STORED),))
        return Node(_COLUMNS[name], (self._rng.choice(_POOLS[list(_COLUMNS).index(name)]),))

    def _stored_select(self, name: str) -> Node:
        while True:
            found = self._stored(name)
            if found.sql != "DEFAULT":
                return found

    def _where(self) -> str | Node:
        if self._rng.random() < 0.4:
            return ""
        return Node("where", (" WHERE ", self._condition()), removable=True)

    def _update(self) -> Node:
        names = self._rng.sample(list(_COLUMNS), self._rng.randrange(1, 4))
        return Node("statement", ("UPDATE t SET ", self._assignments(names), self._where()))

    def _assignments(self, names: list[str], *aliases: str) -> Node:
        sets = tuple(Node("set", (f"{name} = ", self._stored(name, *aliases))) for name in names)
        return Node("list", sets, least=1, separator=", ")

    def _delete(self) -> Node:
        return Node("statement", ("DELETE FROM t", self._where()))

    def _merge(self) -> Node:
        rng = self._rng
        source = Node(
            "relation", ("(SELECT * FROM VALUES ", self.rows(1), " AS v(k, s, n, d)) AS u")
        )
        on = rng.choice(
            (
                "t.k = u.k",
                "t.k = u.k",
                "t.k <=> u.k",
                "t.k = u.k AND t.s = u.s",
                "t.k = u.k AND u.n > 0",
                "false",
            )
        )
        clauses: list[Node] = []
        for when, makers, both in (
            ("MATCHED", (self._update_set, self._update_star, self._remove), ("t.", "u.")),
            ("NOT MATCHED", (self._insert_values, self._insert_star), ("u.",)),
            ("NOT MATCHED BY SOURCE", (self._update_own, self._remove), ("t.",)),
        ):
            for place in range(rng.choice((0, 1, 1, 2))):
                condition: str | Node = ""
                if place == 0 and rng.random() < 0.6:
                    condition = Node("where", (" AND ", self._condition(*both)), removable=True)
                clauses.append(
                    Node("clause", (f" WHEN {when}", condition, " THEN ", rng.choice(makers)()))
                )
        if not clauses:
            clauses.append(Node("clause", (" WHEN NOT MATCHED THEN INSERT *",)))
        listed = Node("list", tuple(clauses), least=1, separator="")
        return Node("statement", ("MERGE INTO t USING ", source, f" ON {on}", listed))

    def _update_set(self) -> Node:
        names = self._rng.sample(list(_COLUMNS), self._rng.randrange(1, 4))
        return Node("action", ("UPDATE SET ", self._assignments(names, "t.", "u.")))

    def _update_own(self) -> Node:
        names = self._rng.sample(list(_COLUMNS), self._rng.randrange(1, 3))
        return Node("action", ("UPDATE SET ", self._assignments(names, "t.")))

    def _update_star(self) -> Node:
        return Node("action", ("UPDATE SET *",))

    def _remove(self) -> Node:
        return Node("action", ("DELETE",))

    def _insert_star(self) -> Node:
        return Node("action", ("INSERT *",))

    def _insert_values(self) -> Node:
        names = self._rng.sample(list(_COLUMNS), self._rng.randrange(1, 5))
        values = tuple(self._stored(name, "u.") for name in names)
        listed = Node("list", values, least=len(values), separator=", ")
        return Node("action", (f"INSERT ({', '.join(names)}) VALUES (", listed, ")"))
