"""Cases that repeat others: `make test` runs a part of them, `make test-full` all.

What takes minutes in all and finds, case by case, what its neighbours find.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import TypeVar

import pytest

FULL = bool(os.environ.get("VINCI_FULL"))
"""Whether all of them run."""

full = pytest.mark.full
"""Marks a test, or one of its cases, that `make test` leaves out."""

_T = TypeVar("_T")
_GOLDEN = 0.6180339887


def some(every: _T, few: _T) -> _T:
    """What all cases take, or what a part of them does."""
    return every if FULL else few


def part(of: int) -> pytest.MarkDecorator:
    """Marks a test, or the tests of a file, of whose cases `make test` runs one of so many.

    A test with one case runs. Which cases run is the same each time; they are spread by the golden
    ratio, since every third of two times three would be the same one of the three.
    """
    return pytest.mark.part(of)


def mark_the_rest(items: list[pytest.Item]) -> None:
    """Mark the cases of such tests that `make test` leaves out."""
    seen: Counter[str] = Counter()
    for item in items:
        marked = item.get_closest_marker("part")
        if marked is None:
            continue
        test = item.nodeid.partition("[")[0]
        if seen[test] * _GOLDEN % 1 >= 1 / marked.args[0]:
            item.add_marker(full)
        seen[test] += 1
