"""Runs a program on all sides, unit by unit, and says where they differ."""

from __future__ import annotations

import collections
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.differential.comparing import Finding, same
from tests.differential.programs import COMMIT, Program, Unit
from tests.differential.running import INTEGRITY, OTHER, REFUSED, ROLLED_BACK, STALE, Unordered
from tests.reads.running import BEGUN, Ended, Rows, Sides, counted
from tests.reads.tables import CLASSES, COPIES, TABLES

_WORD = re.compile(r"\w+")
_ONLY_HERE = "UNSUPPORTED_BY_LOCAL_WAREHOUSE"
# SQLite checks an UPDATE row by row, and a foreign key at each statement.
_BY_ROW = ("update(", "upsert(", "change(", "delete(", "remove(")


@dataclass
class Compared:
    """What came of a program.

    Attributes:
        finding: The first difference.
        counted: How often reads were answered how, and units ended how.
        reads: How many reads were the same with what is held, and in a transaction.
        on_sqlite: How many reads were the same on SQLite.
    """

    finding: Finding | None = None
    counted: collections.Counter[str] = field(default_factory=collections.Counter)
    reads: int = 0
    on_sqlite: int = 0


class _FoundError(Exception):
    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.kind)
        self.finding = finding


class _ApartError(Exception):
    """What follows cannot be compared, since an error is reported at another place."""


def compare(program: Program, on: Sides) -> Compared:
    """Run a program on all sides."""
    compared = Compared()
    used = tables_of(program)
    on.empty(used)
    asks_sqlite = True
    try:
        for number, unit in enumerate(program.units):
            back, marks = rolled_back(unit)
            held = on.held.run(unit)
            other = on.transaction.run(unit, back | marks)
            sqlite = on.sqlite.run(unit) if asks_sqlite else None
            pair = _Unit(number, unit, back, held, other, sqlite, compared)
            pair.compare_seen()
            pair.compare_errors()
            asks_sqlite = pair.compare_with_sqlite()
            rows = on.held.rows(used)
            pair.compare_rows(rows, on.transaction.rows(used), "in a transaction", strict=True)
            if asks_sqlite:
                pair.compare_rows(rows, on.sqlite.rows(used), "on SQLite", strict=False)
    except _FoundError as found:
        compared.finding = found.finding
    except _ApartError:
        pass
    return compared


def tables_of(program: Program) -> list[str]:
    """The tables that a program names, and those that their keys and relations lead to."""
    words = set(_WORD.findall(program.as_text()))
    named = {
        name for name in TABLES if {name, *(f"{name}_{n}" for n in range(2, COPIES + 1))} & words
    }
    named |= {name.lower() for name in CLASSES if name in words}
    if named & {"author", "book"}:
        named |= {"author", "book"}
    return [name for name in TABLES if name in named]


def rolled_back(unit: Unit) -> tuple[frozenset[int], frozenset[int]]:
    """The lines within a savepoint that is rolled back, and those of savepoints themselves."""
    begins = [n for n, line in enumerate(unit.lines) if "begin_nested" in line]
    ends = [n for n, line in enumerate(unit.lines) if line in ("sp.commit()", "sp.rollback()")]
    if not begins or not ends:
        return frozenset(), frozenset([*begins, *ends])
    (begin,), (end,) = begins, ends
    back = range(begin, end) if unit.lines[end] == "sp.rollback()" else ()
    return frozenset(back), frozenset((begin, end))


@dataclass(frozen=True)
class _Unit:
    """One unit on all sides; ``back`` are the lines within a savepoint that is rolled back."""

    number: int
    unit: Unit
    back: Collection[int]
    held: Ended
    other: Ended
    sqlite: Ended | None
    compared: Compared

    def compare_seen(self) -> None:
        """Compare what the lines were shown."""
        self.compared.counted += counted(self.held)
        for line, how in self.held.answered.items():
            if how == f"{BEGUN}: ":
                raise self._found(
                    "a read takes a transaction", line, "is carried", self._line(line)
                )
        for line, value in sorted(self.held.seen.items()):
            if line in self.other.seen:
                if not exactly(value, self.other.seen[line]):
                    kind = "a line is shown something else than in a transaction"
                    raise self._found(kind, line, self.other.seen[line], value)
                self.compared.reads += 1
            if self.sqlite is not None and line in self.sqlite.seen:
                if not alike(value, self.sqlite.seen[line]):
                    kind = "a line is shown something else than on SQLite"
                    raise self._found(kind, line, self.sqlite.seen[line], value)
                self.compared.on_sqlite += 1

    def compare_errors(self) -> None:
        """Compare how the unit has ended with how it ends in a transaction."""
        held, other = self.held, self.other
        if held.ended_well and other.ended_well:
            self._count(f"unit: {held.fate}")
            return
        why = f"{other.fate} becomes {held.fate}"
        kinds = {held.error, other.error} - {""}
        if _ONLY_HERE in other.message:
            # It cannot make a write, and may answer the query that is made of it.
            self._count("unit: the local warehouse cannot")
            raise _ApartError
        if _ONLY_HERE in held.message:
            # In a transaction it makes no write that breaks a constraint, or finds no row.
            self._count("unit: the local warehouse cannot read what is held")
            raise _ApartError
        if held.line in self.back and held.fate in (OTHER, REFUSED):
            # In a transaction nobody has asked for it.
            self._count(f"unit: {held.error} in what is taken back: {_words(held.message)}")
            raise _ApartError
        if INTEGRITY in (held.fate, other.fate):
            if not self._is_the_same_violation():
                raise self._found(why, None, _fate(other), _fate(held))
            self._count(f"unit: {INTEGRITY}")
        elif held.fate != other.fate or len(kinds) != 1 or held.line < other.line:
            raise self._found(why, None, _fate(other), _fate(held))
        else:
            self._count(f"unit: {held.error} on both: {_words(held.message)}")
        if held.ended_well or other.ended_well:
            raise _ApartError

    def _is_the_same_violation(self) -> bool:
        held, other = self.held, self.other
        if other.fate == INTEGRITY and held.fate == INTEGRITY:
            return (
                held.line >= other.line
                or held.line in self.back
                or self._releases(held.line)
                or self._sqlite_finds_it_before()
            )
        if other.fate == INTEGRITY:
            # What a condition breaks is found by the commit alone.
            return held.fate == ROLLED_BACK and self.unit.ends != COMMIT
        # No transaction has seen what was taken back, or what was checked as it was released.
        within = held.line in self.back or (self._releases(held.line) and other.fate == ROLLED_BACK)
        if self.sqlite is None or self.sqlite.stopped:
            return within
        return within and self._sqlite_finds_it_before()

    def _sqlite_finds_it_before(self) -> bool:
        here = self.sqlite
        if here is None or here.stopped:
            return False
        return here.fate == INTEGRITY and here.line <= self.held.line

    def _releases(self, line: int) -> bool:
        return self._line(line) == "sp.commit()"

    def compare_with_sqlite(self) -> bool:
        """Compare how it has ended with how it ends on SQLite; whether to go on with SQLite."""
        here, held = self.sqlite, self.held
        if here is None or here.stopped:
            return False
        if here.ended_well and held.ended_well:
            return True
        if here.fate == OTHER and "sqlite3.OperationalError" in here.message:
            self._count(f"SQLite cannot: {_words(here.message)}")
            return False
        why = f"{here.fate} on SQLite becomes {held.fate}"
        if here.fate == INTEGRITY:
            self._count(f"SQLite: {INTEGRITY}, and here {held.fate}")
            if held.fate in (INTEGRITY, OTHER, STALE):
                return True
            late = held.fate == ROLLED_BACK and self.unit.ends != COMMIT
            by_row = any(word in self._line(here.line) for word in _BY_ROW)
            if late or by_row or here.line in self.back:
                return late
        elif here.ended_well and held.fate not in (INTEGRITY, STALE):
            self._count(f"SQLite: {here.fate}, and here {held.error}")
            return False
        elif here.fate == held.fate:
            return True
        raise self._found(why, None, _fate(here), _fate(held))

    def compare_rows(self, held: Rows, other: Rows, where: str, *, strict: bool) -> None:
        """Compare what is stored."""
        for name, rows in held.items():
            one, two = Unordered(tuple(rows)), Unordered(tuple(other[name]))
            if not (exactly if strict else alike)(one, two):
                raise self._found(
                    f"both commit, and rows differ from those {where}", None, two, one
                )

    def _line(self, number: int) -> str:
        return "".join(self.unit.lines[number : number + 1])

    def _count(self, name: str) -> None:
        self.compared.counted[name] += 1

    def _found(self, kind: str, line: int | None, expected: Any, held: Any) -> _FoundError:
        return _FoundError(Finding(kind, self.number, line, _shown(expected), _shown(held)))


def _fate(ended: Ended) -> str:
    if ended.ended_well:
        return ended.fate
    return f"{ended.fate} in line {ended.line + 1}: {ended.message}"


def _words(message: str) -> str:
    found = re.search(r"\[[A-Z_.]+\]", message)
    return found.group() if found else message[:120]


def _shown(value: Any) -> str:
    if isinstance(value, Unordered):
        return repr(sorted(value.rows, key=repr))
    return value if isinstance(value, str) else repr(value)


# --- equal or not --------------------------------------------------------------------------------


def exactly(one: Any, other: Any) -> bool:
    """Whether two sides say the same, with the same types and digits."""
    if isinstance(one, Unordered) and isinstance(other, Unordered):
        return collections.Counter(map(_exact, one.rows)) == collections.Counter(
            map(_exact, other.rows)
        )
    return _exact(one) == _exact(other)


def _exact(value: Any) -> str:
    """A value as text; an object of JSON has no order.

    The last digits of a sum of doubles depend on the order of its rows, which nobody promises.
    """
    if isinstance(value, float):
        return f"{value:.12g}, a float"
    if isinstance(value, Mapping):
        return repr(sorted((name, _exact(item)) for name, item in value.items()))
    if isinstance(value, (tuple, list)):
        return repr(list(map(_exact, value)))
    return repr(value)


def alike(one: Any, other: Any) -> bool:
    """Whether the warehouse and SQLite say the same; see ``tests.differential.differences``.

    Of a Numeric without a scale, such as SQLAlchemy makes of ``percent_rank``, SQLite gives ten
    digits, and the warehouse all that a DOUBLE has.
    """
    return (
        exactly(one, other) or same(one, other) or same(_in_ten_digits(one), _in_ten_digits(other))
    )


def _in_ten_digits(value: Any) -> Any:
    if isinstance(value, Unordered):
        return Unordered(tuple(map(_in_ten_digits, value.rows)))
    if isinstance(value, tuple):
        return tuple(map(_in_ten_digits, value))
    return Decimal(f"{value:.10f}") if isinstance(value, Decimal) else value
