"""Runs a program on both sides, unit by unit, and says where they differ."""

from __future__ import annotations

import collections
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from tests.differential import differences
from tests.differential.differences import Pair
from tests.differential.expressions import GENERATED
from tests.differential.programs import AUTOCOMMIT, COMMIT, ORM, ROLLBACK, Program, Unit
from tests.differential.running import (
    COMMITTED,
    OTHER,
    REFUSED,
    ROLLED_BACK,
    Ended,
    Rows,
    Side,
    Unordered,
)
from tests.differential.tables import TABLES, Base

_WORD = re.compile(r"\w+")
_MAPPED: dict[str, set[str]] = {
    mapper.class_.__name__: {str(table) for table in mapper.tables}
    for mapper in Base.registry.mappers
}


@dataclass(frozen=True)
class Finding:
    """A difference that is in no list.

    Attributes:
        kind: What kind of difference.
        unit: The number of the unit.
        line: The number of the line, where it is one line's.
        sqlite: What SQLite says.
        warehouse: What the warehouse says.
    """

    kind: str
    unit: int
    line: int | None
    sqlite: str
    warehouse: str

    @property
    def mark(self) -> str:
        """What it has in common with others of its kind: the warehouse's words, without values."""
        if self.kind.startswith(("both commit", "a line is shown")):
            return self.kind
        condition = re.search(r"\[[A-Z_.]+\]", self.warehouse)
        if condition is not None:
            return f"{self.kind} {condition.group()}"
        words = re.sub(r"'[^']*'|\(.*?\)|-?\d+|\[.*", "", self.warehouse).split()
        return f"{self.kind} {' '.join(words[:14])}"

    def as_text(self) -> str:
        """The finding in words."""
        where = f"unit {self.unit + 1}" + (
            f", line {self.line + 1}" if self.line is not None else ""
        )
        return f"{self.kind} ({where})\nSQLite:    {self.sqlite}\nwarehouse: {self.warehouse}"


@dataclass
class Compared:
    """What came of a program.

    Attributes:
        finding: The first difference that is in no list.
        counted: How often which fates, refusals by name and listed differences were met.
        statements: How many lines were run on both sides.
    """

    finding: Finding | None = None
    counted: collections.Counter[str] = field(default_factory=collections.Counter)
    statements: int = 0


class _FoundError(Exception):
    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.kind)
        self.finding = finding


class _ApartError(Exception):
    """The sides differ as the list says, so that what follows cannot be compared."""


def compare(program: Program, sqlite: Side, warehouse: Side) -> Compared:
    """Run a program on both sides."""
    compared = Compared()
    used = tables_of(program)
    selected = "insert(note).from_select" in program.as_text()
    for side in (sqlite, warehouse):
        side.start(used)
    before: Rows = {name: [] for name in used}
    try:
        for number, unit in enumerate(program.units):
            last = unit is program.units[-1]
            # With an object, the ORM changes rows of tables that the unit does not name.
            all_read = last or unit.kind == ORM
            read = used if all_read else tables_of(program.with_units([unit]))
            pair = Pair(number, unit, *_run(unit, sqlite, warehouse, compared), before, {})
            pair.after.update(before)
            pair.after.update(_rows(warehouse, read, number))
            if pair.there.broken and not pair.here.broken:
                _differ(pair, compared, "rollback() fails", None, "it does not", pair.there.broken)
            _compare_seen(pair, compared)
            _compare_fates(pair, compared)
            if unit.isolation == AUTOCOMMIT and not (
                pair.here.ended_well and pair.there.ended_well
            ):
                # How much of it each side has committed before the error is that side's affair.
                raise _ApartError
            _compare_rows(pair, sqlite.rows(read), compared, ranked=not selected)
            before = pair.after
    except _FoundError as found:
        compared.finding = found.finding
    except _ApartError:
        pass
    finally:
        sqlite.end()
        warehouse.end()
    return compared


def tables_of(program: Program) -> list[str]:
    """The tables that a program names, parents first."""
    words = set(_WORD.findall(program.as_text()))
    named = {name for name in TABLES if {name, f"{name}_2"} & words}
    for class_name, of in _MAPPED.items():
        if class_name in words:
            named |= of
    if "courses" in words or "students" in words:
        named.add("enrolled")
    if "cheap" in words:
        named.add("item")
    return [name for name in TABLES if name in named]


def _run(unit: Unit, sqlite: Side, warehouse: Side, compared: Compared) -> tuple[Ended, Ended]:
    """Run a unit on the warehouse, and then on SQLite, which takes back what was refused there."""
    there = warehouse.run(unit)
    ends = ROLLBACK if there.fate == REFUSED else None
    here = sqlite.run(unit, ends=ends, skip=there.skipped)
    for name in (*there.skipped.values(), *[there.error] * (there.fate == REFUSED)):
        compared.counted[f"refused: {name}"] += 1
    compared.counted[f"fate: {here.fate if there.fate != REFUSED else there.fate}"] += 1
    compared.statements += len(unit.lines)
    return here, there


def _rows(side: Side, used: Collection[str], number: int) -> Rows:
    try:
        return side.rows(used)
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        finding = Finding("the rows cannot be read afterwards", number, None, "they can", text)
        raise _FoundError(finding) from error


def _compare_seen(pair: Pair, compared: Compared) -> None:
    for line in sorted(set(pair.here.seen) & set(pair.there.seen)):
        one, other = pair.here.seen[line], pair.there.seen[line]
        if not same(one, other):
            _differ(pair, compared, "a line is shown something else", line, one, other)


def _compare_fates(pair: Pair, compared: Compared) -> None:
    here, there = pair.here, pair.there
    broken = differences.broken_constraints(pair.after)
    if broken and not differences.broken_constraints(pair.before):
        raise _FoundError(
            Finding("a constraint is broken", pair.number, None, _fate(here), broken[0])
        )
    if there.fate == REFUSED or here.fate == there.fate:
        return
    if {here.fate, there.fate} == {COMMITTED, ROLLED_BACK}:
        raise AssertionError("a unit ends on both sides as it says")
    kind = f"{here.fate} becomes {there.fate}"
    if there.fate == OTHER and (here.ended_well or here.line > there.line):
        kind = f"{there.error} where SQLite goes on"
    _differ(pair, compared, kind, None, _fate(here), _fate(there))
    raise _ApartError


def _compare_rows(pair: Pair, here: Rows, compared: Compared, *, ranked: bool) -> None:
    if not pair.there.ended_well or pair.unit.ends != COMMIT:
        if not _same_tables(pair.before, pair.after):
            _differ(
                pair,
                compared,
                f"{pair.there.fate}, and rows are left behind",
                None,
                _rows_text(pair.before),
                _rows_text(pair.after),
            )
        return
    for name in here:
        one, other = _keyed(here, ranked)[name], _keyed(pair.after, ranked)[name]
        if not same(Unordered(tuple(one)), Unordered(tuple(other))):
            _differ(
                pair, compared, "both commit, and rows differ", None, here[name], pair.after[name]
            )
            raise _ApartError


def _differ(pair: Pair, compared: Compared, kind: str, line: int | None, *what: Any) -> None:
    """Count a difference that is in the list; raise one that is not."""
    listed = differences.listed(kind, pair, line)
    if listed is None:
        one, other = (item if isinstance(item, str) else _shown(item) for item in what)
        raise _FoundError(Finding(kind, pair.number, line, one, other))
    compared.counted[f"listed: {listed}"] += 1


def _fate(ended: Ended) -> str:
    if ended.ended_well:
        return ended.fate
    return f"{ended.fate} in line {ended.line + 1}: {ended.message}"


def _shown(value: Any) -> str:
    if isinstance(value, Unordered):
        return repr(sorted(value.rows, key=repr))
    return repr(sorted(value, key=repr) if isinstance(value, list) else value)


def _rows_text(rows: Rows) -> str:
    return "; ".join(f"{name}: {_shown(found)}" for name, found in rows.items() if found)


# --- equal or not --------------------------------------------------------------------------------


def same(one: Any, other: Any) -> bool:
    """Whether two sides say the same."""
    if isinstance(one, Unordered) and isinstance(other, Unordered):
        return _same_unordered(list(one.rows), list(other.rows))
    if isinstance(one, (tuple, list)) and isinstance(other, (tuple, list)):
        return len(one) == len(other) and all(map(same, one, other))
    return differences.same_value(one, other)


def _same_unordered(one: list[Any], other: list[Any]) -> bool:
    if len(one) != len(other):
        return False
    left = sorted(other, key=repr)
    for row in sorted(one, key=repr):
        at = next((n for n, candidate in enumerate(left) if same(row, candidate)), None)
        if at is None:
            return False
        del left[at]
    return True


def _same_tables(one: Rows, other: Rows) -> bool:
    return all(same(Unordered(tuple(one[n])), Unordered(tuple(other[n]))) for n in one)


def _keyed(rows: Rows, ranked: bool) -> Rows:
    """The rows with the rank of keys that were given out, or with "a key"."""
    if "note" not in rows:
        return rows
    keys = sorted(row[0] for row in rows["note"])
    ranks: dict[Any, Any] = {key: rank if ranked else "a key" for rank, key in enumerate(keys)}
    positions = [n for n, c in enumerate(TABLES["note"].columns) if str(c) in GENERATED]
    made = [
        tuple(
            ranks.get(value, value if value is None else "no row")
            if position in positions
            else value
            for position, value in enumerate(row)
        )
        for row in rows["note"]
    ]
    return {**rows, "note": made}
