"""Programs from a seed: few rows, then units of work that write and read what they have written."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.differential.programs import COMMIT, CORE, ORM, ROLLBACK, Program, Unit
from tests.reads.selects import Selects
from tests.reads.tables import TABLES
from tests.reads.writes import Writes

_FAMILIES: list[tuple[str, ...]] = [
    ("author", "book"),
    ("author", "book"),
    ("author", "book", "stock"),
    ("node",),
    ("node", "author"),
    ("sample",),
    ("sample", "stock"),
    ("book", "stock"),
]


def generate(seed: int, number: int) -> Program:
    """A program.

    Args:
        seed: The seed of the run.
        number: Which program of the run.
    """
    chooser = random.Random(f"{seed}/{number}/reads")
    return _Generator(chooser).program(f"seed {seed}, program {number}")


class _Generator:
    def __init__(self, chooser: random.Random) -> None:
        self._chooser = chooser
        family = chooser.choice(_FAMILIES)
        self._tables = [name for name in TABLES if name in family]
        self._writes = Writes(chooser, self._tables)

    def program(self, name: str) -> Program:
        filled = [self._writes.fill(table) for table in self._tables]
        units = [Unit(CORE, tuple(filled))]
        units += [self._unit() for _ in range(self._chooser.choice((1, 1, 2)))]
        return Program(tuple(units), name)

    def _unit(self) -> Unit:
        kind = self._chooser.choice([CORE, CORE, ORM])
        on = "conn" if kind == CORE else "session"
        groups = []
        for _ in range(self._chooser.randint(2, 6)):
            groups.append(self._write(kind, on))
            groups += [self._read(kind, on) for _ in range(self._chooser.randint(0, 5))]
        groups.append(self._read(kind, on))
        # Savepoints end with what no read brings along.
        aside = any("aside(" in line for group in groups for line in group)
        if not aside and self._chooser.random() < 0.3:
            groups = self._with_savepoint(on, groups)
        ends = COMMIT if self._chooser.random() < 0.8 else ROLLBACK
        return Unit(kind, tuple(line for group in groups for line in group), ends)

    def _write(self, kind: str, on: str) -> list[str]:
        if kind == ORM and self._chooser.random() < 0.6:
            return self._writes.write_objects()
        return self._writes.write(on)

    def _read(self, kind: str, on: str) -> list[str]:
        if self._chooser.random() < 0.01:
            return self._writes.odd_read(on)
        selects = Selects(self._chooser, self._tables)
        if kind == ORM and self._chooser.random() < 0.5:
            return selects.read_objects()
        return selects.read(on)

    def _with_savepoint(self, on: str, groups: list[list[str]]) -> list[list[str]]:
        begin = self._chooser.randint(0, len(groups) - 1)
        end = self._chooser.randint(begin + 1, len(groups))
        does = self._chooser.choice(["commit", "rollback", "rollback"])
        return [
            *groups[:begin],
            [f"sp = {on}.begin_nested()"],
            *groups[begin:end],
            [f"sp.{does}()"],
            *groups[end:],
        ]


def reads_of(program: Program) -> Iterator[str]:
    """The lines that read."""
    for unit in program.units:
        yield from (line for line in unit.lines if line.startswith("see"))
