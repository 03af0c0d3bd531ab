"""Tests of what a warehouse can do and the dialect does not yet: the reason, and the tests.

They are run all the same: one that passes is to be taken off the list. ``*`` stands for anything.
"""

from __future__ import annotations

NOT_YET: dict[str, list[str]] = {}
