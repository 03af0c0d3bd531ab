"""Comparing a table of two databases by key: which rows are new, changed, or gone.

Both sides sum the numbers of their rows by buckets of keys (the number of a key, modulo the count
of buckets), so that only the rows of buckets which differ are looked at one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from vinci_code.database.moving.plans import TablePlan
from vinci_code.database.moving.snapshots import Side

BUCKETS = 1_024
"""How many buckets the keys of a table are in."""
_ROWS_AT_ONCE = 200_000


@dataclass
class Difference:
    """How a part of a table differs.

    Attributes:
        new: Keys, as the source has them, of rows that the target has not.
        changed: Keys, as the source has them, of rows that differ.
        replaced: Keys, as the target has them, of the rows that differ.
        gone: Keys, as the target has them, of rows that the source has not.
        shown: All of these keys, as people read them.
    """

    new: list[tuple[Any, ...]] = field(default_factory=list)
    changed: list[tuple[Any, ...]] = field(default_factory=list)
    replaced: list[tuple[Any, ...]] = field(default_factory=list)
    gone: list[tuple[Any, ...]] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)


def differences(
    table: TablePlan, source: tuple[Side, Connection], target: tuple[Side, Connection]
) -> Iterator[Difference]:
    """How a table differs, part by part, in constant memory."""
    (from_side, reading), (to_side, writing) = source, target
    theirs = from_side.buckets(reading, table, BUCKETS)
    ours = to_side.buckets(writing, table, BUCKETS)
    unlike = [one for one in sorted({*theirs, *ours}) if theirs.get(one) != ours.get(one)]
    wanted: set[int] = set()
    rows = 0
    for place, bucket in enumerate(unlike, 1):
        wanted.add(bucket)
        rows += max(theirs.get(bucket, (0, 0))[0], ours.get(bucket, (0, 0))[0])
        if rows >= _ROWS_AT_ONCE or place == len(unlike):
            some = frozenset(wanted)
            yield _compared(
                from_side.marks(reading, table, BUCKETS, some),
                to_side.marks(writing, table, BUCKETS, some),
            )
            wanted, rows = set(), 0


def _compared(theirs: dict[str, Any], ours: dict[str, Any]) -> Difference:
    found = Difference()
    for text in sorted({*theirs, *ours}):
        mark, other = theirs.get(text), ours.get(text)
        if mark is not None and other is not None and mark.number == other.number:
            continue
        known = ours[text] if mark is None else mark
        found.shown.append(", ".join(str(value) for value in known.key))
        if mark is None:
            found.gone.append(ours[text].key)
        elif other is None:
            found.new.append(mark.key)
        else:
            found.changed.append(mark.key)
            found.replaced.append(other.key)
    return found
