"""What may differ between the two sides, and why: nothing else may.

* Keys that a database, or the dialect, gives out: their order and what points at them are compared,
  and not the numbers (``comparing``); no program names one.
* The order of rows where no ORDER BY asks for one, and of the objects of a collection.
* The type of a number, and its last digits (``same_value``).
* Which of the rows that one INSERT … SELECT writes gets which of the keys that are given out.
* What a sub-select of an UPDATE or DELETE reads of the rows that this changes: SQLite's sees those
  that were changed before (``UPDATE t SET x = 9 WHERE EXISTS (… other.x > t.x)``), and the
  warehouse's, as the standard has it, none. No program asks for it.
* When an object is given what a default of the database has made: by RETURNING SQLite tells it with
  the INSERT, and the warehouse when it is read. No class has such a default read at once.
* ``upper``, ``lower`` and LIKE of letters beyond ASCII: SQLite's fold those of ASCII alone
  (https://www.sqlite.org/lang_corefunc.html#upper). No program holds one that has two cases.
* A value of another type than its column in ``text()``: the warehouse makes ``'true'`` of ``True``,
  and SQLite ``'1'``. No program passes one.
* That the warehouse refuses by name: SQLite then takes the unit back too, and both have to hold
  what they held before. Each refusal is counted.
* When and which error of a held write is reported, and what SQLite checks row by row (``_RULES``).
  What follows in the program is then not compared, since the sides hold different rows.
"""

from __future__ import annotations

import collections
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from tests.differential.programs import AUTOCOMMIT, ROLLBACK, Unit
from tests.differential.running import (
    COMMITTED,
    INTEGRITY,
    OTHER,
    ROLLED_BACK,
    STALE,
    Ended,
    Rows,
)
from tests.differential.tables import TABLES


@dataclass(frozen=True)
class Pair:
    """One unit on both sides.

    Attributes:
        number: The number of the unit.
        unit: The unit.
        here: How it went on SQLite.
        there: How it went on the warehouse.
        before: What both held before it.
        after: What the warehouse holds after it.
    """

    number: int
    unit: Unit
    here: Ended
    there: Ended
    before: Rows
    after: Rows


def same_value(one: Any, other: Any) -> bool:
    """Whether two values are the same.

    The type of a number is not compared: a sum of integers is an ``int`` on SQLite and a
    ``Decimal`` elsewhere, a condition 1 or ``True``; ``tests/parity`` is about types. Nor are the
    last digits: SQLite keeps a ``Numeric`` as a double.
    """
    if one is None or other is None:
        return one is other
    if isinstance(one, (int, float, Decimal)) and isinstance(other, (int, float, Decimal)):
        if isinstance(one, int) and isinstance(other, int):
            return one == other
        return math.isclose(float(one), float(other), rel_tol=1e-12, abs_tol=1e-12)
    return type(one) is type(other) and bool(one == other)


def listed(kind: str, pair: Pair, line: int | None) -> str | None:
    """The reason why a difference may be; ``None`` if there is none."""
    for name, rule in _RULES:
        if rule(kind, pair, line):
            return name
    return None


def _comes_with_the_commit(_: str, pair: Pair, line: int | None) -> bool:
    """A held write is checked by the commit; what is rolled back before is never checked."""
    if line is not None or pair.here.fate not in (INTEGRITY, STALE, OTHER):
        return False
    if pair.there.fate == ROLLED_BACK and pair.unit.ends == ROLLBACK:
        return True
    if pair.here.fate == OTHER:
        return False
    return pair.there.fate == COMMITTED and _taken_back(pair.unit, pair.here.line)


# What SQLAlchemy says of objects that a unit has lost, by the names of its classes; and what Python
# says of a program that asks a class for an attribute of another one that shares its table.
_OF_OBJECTS = frozenset(
    {
        "AttributeError",
        "DetachedInstanceError",
        "FlushError",
        "InvalidRequestError",
        "MultipleResultsFound",
        "ObjectDeletedError",
        "PendingRollbackError",
        "StatementError",
        "TypeError",
    }
)


def _first_error(_: str, pair: Pair, line: int | None) -> bool:
    """Of several errors of a unit SQLite reports the first, and the warehouse another.

    That of a held write comes with the commit, so a later line may fail before it; of two held
    writes that one is reported whose statement is sent first.
    """
    if line is not None or pair.here.fate not in (INTEGRITY, STALE, OTHER):
        return False
    if pair.there.fate in (INTEGRITY, STALE):
        return pair.there.line > pair.here.line
    if pair.here.fate == OTHER:
        return False
    # What a line flushes before its own work may fail on SQLite, and its own work here.
    flushes = "autoflush" in pair.here.message
    first = pair.here.line + (0 if flushes else 1)
    later = first <= pair.there.line < len(pair.unit.lines)
    return later and pair.there.error in _OF_OBJECTS


def _row_by_row(_: str, pair: Pair, line: int | None) -> bool:
    """SQLite checks after each row, and what is held is checked by its result.

    SQL's standard wants the latter of an UPDATE; https://www.sqlite.org/lang_update.html does not
    promise an order of the rows, so whether ``SET code = code + 1`` fails there depends on where
    they lie. Of several rows that one ``execute`` or upsert names, or that change one row twice,
    an early one may take a unique value that a later one gives back; and of an upsert that names
    one row twice, it may refer to what is not there. What is committed by the warehouse was checked
    to break no constraint before this is asked.
    """
    if line is not None or pair.here.fate != INTEGRITY or pair.there.fate != COMMITTED:
        return False
    text = "".join(pair.unit.lines[pair.here.line : pair.here.line + 1])
    if re.search("UNIQUE|CHECK", pair.here.message):
        # A flush of objects, too: what one holds at the commit counts.
        objects = any(re.search(r"\bo\d+\.\w+ = ", line) for line in pair.unit.lines)
        changes = r"\b(?:update|upsert|bulk_update_mappings)\("
        return objects or re.search(changes, text) is not None
    if "FOREIGN KEY" in pair.here.message and re.search(r"\bupdate\(", text):
        return True  # a key that goes away, and is there again at the end of the unit
    # What a row lacks counts, on SQLite, even where the row is there and it is left out.
    return "upsert(" in text and re.search("FOREIGN KEY|NOT NULL", pair.here.message) is not None


def _not_bound(_: str, pair: Pair, line: int | None) -> bool:
    """Python's ``sqlite3`` binds no ``Decimal``, where the column's type is none of numbers."""
    return line is None and "Error binding parameter" in pair.here.message


def _bound_as_first(_: str, pair: Pair, line: int | None) -> bool:
    """Of a list, ``id.in_([True, 2])``, SQLAlchemy takes the type of the first value for all.

    On SQLite it then refuses the 2; the dialect compares each value as what it is.
    """
    return line is None and "is not None, True, or False" in pair.here.message


def _in_part(_: str, pair: Pair, line: int | None) -> bool:
    """With AUTOCOMMIT, of several rows that a line writes, those before the one that fails stay.

    SQLite tells what the one has failed with, and the warehouse with that what was written.
    """
    return (
        line is None
        and pair.unit.isolation == AUTOCOMMIT
        and pair.here.fate == INTEGRITY
        and pair.there.error == "PartialCommitError"
    )


def _has_no_rows(_: str, pair: Pair, line: int | None) -> bool:
    """Of a condition whose only table is that around it, SQLite says that there is none."""
    return line is None and "no tables specified" in pair.here.message


def _circle(_: str, pair: Pair, line: int | None) -> bool:
    """Of rows of one table that point at each other, SQLAlchemy finds a circle or not by chance.

    It goes by the order of a set of objects, on the same database too.
    """
    return line is None and "CircularDependencyError" in (pair.here.error, pair.there.error)


_RULES: list[tuple[str, Callable[[str, Pair, int | None], bool]]] = [
    ("errors of held writes come with the commit", _comes_with_the_commit),
    ("which of several errors is reported", _first_error),
    ("SQLite checks row by row", _row_by_row),
    ("sqlite3 binds no Decimal", _not_bound),
    ("SQLAlchemy takes a list for what its first value is", _bound_as_first),
    ("what AUTOCOMMIT has written in part", _in_part),
    ("SQLite wants a table for *", _has_no_rows),
    ("SQLAlchemy finds a circle by chance", _circle),
]


def _taken_back(unit: Unit, line: int) -> bool:
    """Whether a line is within a savepoint that is rolled back."""
    lines = [text.partition("(")[0] for text in unit.lines]
    begins = [n for n, text in enumerate(lines) if text.endswith("begin_nested")]
    ends = [n for n, text in enumerate(lines) if text == "sp.rollback"]
    return any(begin < line <= end for begin, end in zip(begins, ends, strict=False))


# --- what no side may hold -----------------------------------------------------------------------


def broken_constraints(rows: Rows) -> list[str]:
    """The constraints of the tables that rows break, in words."""
    found: list[str] = []
    for name, held in rows.items():
        table = TABLES[name]
        columns = [column.name for column in table.columns]
        named = [dict(zip(columns, row, strict=True)) for row in held]
        for unique in _uniques(table):
            values = [tuple(row[c] for c in unique) for row in named]
            counts = collections.Counter(value for value in values if None not in value)
            found += [
                f"{name}: {unique} {v} is there {n} times" for v, n in counts.items() if n > 1
            ]
        found += _dangling(table, named, rows)
    found += [f"item: price {row[4]}" for row in rows.get("item", []) if (row[4] or 0) < 0]
    found += [f"part: qty {row[2]}" for row in rows.get("part", []) if row[2] < 0]
    present = [row[1] for row in rows.get("mail", []) if row[2] == 0 and row[1] is not None]
    found += [f"mail: {a} twice" for a, n in collections.Counter(present).items() if n > 1]
    return found


def _uniques(table: sa.Table) -> list[list[str]]:
    return [[column.name for column in table.primary_key.columns]] + [
        [column.name for column in constraint.columns]
        for constraint in table.constraints
        if isinstance(constraint, sa.UniqueConstraint)
    ]


def _dangling(table: sa.Table, named: list[dict[str, Any]], rows: Rows) -> list[str]:
    found: list[str] = []
    for foreign in table.foreign_keys:
        target, column = foreign.column.table.name, foreign.column.name
        if target not in rows:
            continue
        position = [c.name for c in TABLES[target].columns].index(column)
        there = {row[position] for row in rows[target]}
        values = {row[foreign.parent.name] for row in named} - {None}
        found += [
            f"{table.name}.{foreign.parent.name} {value!r} is no {target}.{column}"
            for value in values - there
        ]
    return found
