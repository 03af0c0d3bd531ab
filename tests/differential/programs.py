"""A program: units of work, each a list of lines of Python, which is also how it is written down.

::

    # unit: core, commit
    conn.execute(insert(item), [{'id': 1, 'x': 2}])
    see(conn.execute(select(item.c.x)))
    # unit: orm, same session, no autoflush, rollback
    o1 = session.get(Item, 1)
    if o1: o1.x = 5

``conn`` is a ``Connection`` and ``session`` a ``Session``; ``see`` notes what the program is shown.
What is run is this text and nothing else, so that what is printed is what was run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

CORE, ORM = "core", "orm"
COMMIT, ROLLBACK = "commit", "rollback"
_HEAD = "# unit: "
_SAME, _NO_AUTOFLUSH = "same session", "no autoflush"
DEFAULT, AUTOCOMMIT, REPEATABLE_READ = "", "autocommit", "repeatable read"


@dataclass(frozen=True)
class Unit:
    """A unit of work.

    Attributes:
        kind: ``CORE`` or ``ORM``: whether it has ``conn``, or ``session`` as well.
        lines: Its statements, a line each.
        ends: ``COMMIT`` or ``ROLLBACK``.
        same_session: Whether it goes on with the session of the unit before, if that is alive.
        autoflush: Whether the session flushes before a query.
        isolation: ``DEFAULT``, ``AUTOCOMMIT``, or ``REPEATABLE_READ`` on the warehouse alone.
    """

    kind: str
    lines: tuple[str, ...]
    ends: str = COMMIT
    same_session: bool = False
    autoflush: bool = True
    isolation: str = DEFAULT

    def as_text(self) -> str:
        """The unit as text."""
        words = [self.kind]
        words += [self.isolation] * bool(self.isolation)
        words += [_SAME] * self.same_session
        words += [_NO_AUTOFLUSH] * (not self.autoflush)
        return "\n".join([_HEAD + ", ".join([*words, self.ends]), *self.lines])


@dataclass(frozen=True)
class Program:
    """A program.

    Attributes:
        units: Its units of work, one after the other.
        name: Where it comes from: a seed and a number.
    """

    units: tuple[Unit, ...]
    name: str = "by hand"

    @property
    def statements(self) -> int:
        """How many lines it has."""
        return sum(len(unit.lines) for unit in self.units)

    def as_text(self) -> str:
        """The program as text, which ``read`` reads again."""
        return "\n".join(unit.as_text() for unit in self.units) + "\n"

    def with_units(self, units: Iterable[Unit]) -> Program:
        """The program with other units."""
        return replace(self, units=tuple(units))


def read(text: str, name: str = "by hand") -> Program:
    """A program from its text.

    Raises:
        ValueError: It does not begin with the head of a unit.
    """
    units: list[Unit] = []
    for line in filter(str.strip, text.splitlines()):
        if line.startswith(_HEAD):
            units.append(_unit(line.removeprefix(_HEAD).split(", ")))
        elif not units:
            raise ValueError(f"a program begins with {_HEAD!r}, found {line!r}")
        else:
            units[-1] = replace(units[-1], lines=(*units[-1].lines, line))
    return Program(tuple(units), name)


def _unit(words: list[str]) -> Unit:
    kind, *rest, ends = words
    if kind not in (CORE, ORM) or ends not in (COMMIT, ROLLBACK):
        raise ValueError(f"a unit is core or orm and ends with commit or rollback, found {words}")
    isolation = next((word for word in rest if word in (AUTOCOMMIT, REPEATABLE_READ)), DEFAULT)
    return Unit(kind, (), ends, _SAME in rest, _NO_AUTOFLUSH not in rest, isolation)
