"""Programs from a seed: the same seed and number give the same program, on each Python."""

from __future__ import annotations

import random

import sqlalchemy as sa

from tests.differential.core_statements import CoreStatements
from tests.differential.orm_statements import OrmStatements
from tests.differential.programs import (
    AUTOCOMMIT,
    COMMIT,
    CORE,
    DEFAULT,
    ORM,
    REPEATABLE_READ,
    ROLLBACK,
    Program,
    Unit,
)
from tests.differential.tables import TABLES

# Tables that know of each other.
_FAMILIES: list[tuple[str, ...]] = [
    ("item",),
    ("item", "tag"),
    ("part",),
    ("item", "part"),
    ("tag", "doc"),
    ("note",),
    ("account",),
    ("animal",),
    ("person", "employee"),
    ("student", "course", "enrolled"),
    ("node",),
    ("mail",),
    ("login",),
    ("rank",),
    ("item", "rank"),
    ("kind",),
]
_LIMIT = 9


def generate(seed: int, number: int, *, transactions: bool) -> Program:
    """A program.

    Args:
        seed: The seed of the run.
        number: Which program of the run.
        transactions: Whether there are some; without, most units write one table and read first,
            since the rest is refused.
    """
    chooser = random.Random(f"{seed}/{number}/{transactions}")
    return _Generator(chooser, transactions).program(f"seed {seed}, program {number}")


class _Generator:
    def __init__(self, chooser: random.Random, transactions: bool) -> None:
        self._chooser = chooser
        self._transactions = transactions
        self._tables = [TABLES[name] for name in chooser.choice(_FAMILIES)]

    def program(self, name: str) -> Program:
        units = [self._filling(table) for table in self._tables if self._chooser.random() < 0.85]
        units += [self._unit(number) for number in range(self._chooser.randint(1, 4))]
        return Program(tuple(units), name)

    def _filling(self, table: sa.Table) -> Unit:
        """Plain rows to begin with."""
        return Unit(CORE, (CoreStatements(self._chooser, "conn", self._tables).fill(table),))

    def _unit(self, number: int) -> Unit:
        kind = self._chooser.choice([CORE, ORM])
        ends = COMMIT if self._chooser.random() < 0.9 else ROLLBACK
        same = number > 0 and kind == ORM and self._chooser.random() < 0.4
        autoflush = kind == CORE or self._chooser.random() < 0.85
        isolation = DEFAULT
        if kind == CORE and self._chooser.random() < 0.1:
            isolation, ends = AUTOCOMMIT, COMMIT
        elif self._transactions and not same and self._chooser.random() < 0.1:
            isolation = REPEATABLE_READ
        lines = self._lines(kind, savepoints=isolation != AUTOCOMMIT)
        return Unit(kind, tuple(lines), ends, same, autoflush, isolation)

    def _lines(self, kind: str, *, savepoints: bool) -> list[str]:
        on = "conn" if kind == CORE else "session"
        core = CoreStatements(self._chooser, on, self._tables)
        orm = OrmStatements(self._chooser, self._tables)
        tables = self._tables
        if not self._transactions and self._chooser.random() < 0.8:
            tables = [self._chooser.choice(tables)]
        reads = 0.35 if self._transactions else 0.12
        lines: list[str] = []
        wanted = self._chooser.randint(1, _LIMIT)
        if self._chooser.random() < (0.25 if self._transactions else 0.6):
            wanted = self._chooser.randint(1, 2)
        while len(lines) < wanted:
            table = self._chooser.choice(tables)
            made = orm if kind == ORM and self._chooser.random() < 0.75 else core
            if self._chooser.random() < reads:
                lines += made.read(table)
            else:
                lines += made.write(table)
        if not self._transactions and self._chooser.random() < 0.5:
            lines[:0] = core.read(self._chooser.choice(self._tables))
        if savepoints and self._chooser.random() < 0.2:
            lines = self._with_savepoint(on, lines)
        return lines

    def _with_savepoint(self, on: str, lines: list[str]) -> list[str]:
        begin = self._chooser.randint(0, len(lines) - 1)
        end = self._chooser.randint(begin + 1, len(lines))
        does = self._chooser.choice(["commit", "rollback", "rollback"])
        return [
            *lines[:begin],
            f"sp = {on}.begin_nested()",
            *lines[begin:end],
            f"sp.{does}()",
            *lines[end:],
        ]
