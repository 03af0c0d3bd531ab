"""Where a table is, and how Unity Catalog stores its name."""

from __future__ import annotations

from typing import NamedTuple

from vinci_code.database.dialect.sql.identifiers import schema_parts


class Namespace(NamedTuple):
    """A schema, and its catalog; ``None`` is the one that the session is in."""

    catalog: str | None
    schema: str | None


def place_of(schema: str | None) -> Namespace:
    """The catalog and schema that a ``schema`` argument of SQLAlchemy names."""
    if schema is None:
        return Namespace(None, None)
    parts = schema_parts(schema)
    return Namespace(stored(parts[-2]) if len(parts) > 1 else None, stored(parts[-1]))


def stored(name: str) -> str:
    """A name as Unity Catalog stores it; of a column, what tells it from others.

    Small letters of the root locale, as Java and Python make them: ``ß`` stays, and ``İ`` becomes
    two characters.
    """
    return name.lower()
