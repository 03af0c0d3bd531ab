"""Cases that repeat others: `make test` runs a part of them, `make test-full` all.

What takes minutes in all and finds, case by case, what its neighbours find.
"""

from __future__ import annotations

import os
from typing import TypeVar

import pytest

FULL = bool(os.environ.get("VINCI_FULL"))
"""Whether all of them run."""

full = pytest.mark.full
"""Marks a test, or one of its cases, that `make test` leaves out."""

_T = TypeVar("_T")


def some(every: _T, few: _T) -> _T:
    """What all cases take, or what a part of them does."""
    return every if FULL else few
