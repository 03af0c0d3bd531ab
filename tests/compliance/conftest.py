"""SQLAlchemy's own suite needs a pytest of its own: see ``run.py``."""

from __future__ import annotations

# Its plugin takes over the collection of every test in the process.
collect_ignore = ["suite"]
