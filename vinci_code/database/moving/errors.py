"""What is raised of one value, before it is known in which row and column it stands."""

from __future__ import annotations


class NoPlainValueError(ValueError):
    """A stored value is none of its column's kind, or could not be stored; the message says why."""
