"""Tests of what a Databricks SQL warehouse cannot do: the fact, its source, and the tests.

They are run all the same: one that passes is to be taken off the list.
"""

from __future__ import annotations

UNSUPPORTED: dict[str, list[str]] = {}
