"""Tests of what a warehouse can do and the dialect does not yet: the reason, and the tests."""

from __future__ import annotations

NOT_YET: dict[str, list[str]] = {}
