"""Which names are views: a SELECT from one has to see what is held for the tables below it.

A name counts as a view until it is known to be a table. Only that is remembered, and that it is a
view: a name that was not there may be made a view by somebody else at any time. No question finds a
temporary view: the session that made it knows it (``StatementTraits.temporary_view`` of
``scanning``), and as it hides a table of the same name, it counts whatever that name is known to
be.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from vinci_code.database.dialect.forking import renew_lock_in_child
from vinci_code.database.dialect.sql.identifiers import schema_parts

# What has rows of its own: https://docs.databricks.com/aws/en/sql/language-manual/
# information-schema/tables. Any other table_type may read tables that are written to.
_TABLES = frozenset({"MANAGED", "EXTERNAL", "MANAGED_SHALLOW_CLONE", "EXTERNAL_SHALLOW_CLONE"})


class Name(NamedTuple):
    """A table or view that a statement reads.

    Attributes:
        schema: Its schema as SQLAlchemy has it, perhaps with a catalog; ``None`` for the session's.
        table: Its name in lower case, as Unity Catalog keeps it.
    """

    schema: str | None
    table: str

    @property
    def catalog(self) -> str | None:
        """The catalog; ``None`` for the session's own."""
        parts = [] if self.schema is None else schema_parts(self.schema)
        return parts[-2] if len(parts) > 1 else None

    def translated(self, schemas: Mapping[str | None, str | None] | None) -> Name:
        """The name that is meant where schemas stand for others."""
        return self._replace(schema=(schemas or {}).get(self.schema, self.schema))


class KnownViews:
    """What an engine has found out about names; used by several threads at once."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        renew_lock_in_child(self)
        self._views: dict[Name, bool] = {}

    def forget(self) -> None:
        """Know nothing any more, after DDL."""
        with self._lock:
            self._views = {}

    def unknown(self, names: Iterable[Name]) -> list[Name]:
        """The names of which it is not known what they are."""
        known = self._views
        return [name for name in names if name not in known]

    def note(self, found: Mapping[Name, bool]) -> None:
        """Keep which of some names are views, and which are tables."""
        with self._lock:
            self._views = {**self._views, **found}

    def any_of(self, names: Iterable[Name]) -> bool:
        """Whether one of the names is a view, or is not known to be a table."""
        views = self._views
        return any(views.get(name, True) for name in names)


class Question(NamedTuple):
    """A SELECT that tells what names of one catalog are."""

    text: str
    parameters: list[str]
    names: list[Name]

    def answer(self, rows: Iterable[Sequence[Any]]) -> dict[Name, bool]:
        """Whether each of the names is a view; without those that are not there."""
        kinds = {}
        for schema, table, kind, current in rows:
            kinds[schema, table] = kind not in _TABLES
            if schema == current:
                kinds[None, table] = kinds[schema, table]
        places = {
            name: (None if name.schema is None else schema_parts(name.schema)[-1].lower())
            for name in self.names
        }
        return {
            name: kinds[place, name.table]
            for name, place in places.items()
            if (place, name.table) in kinds
        }


def questions(names: Collection[Name], quote: Callable[[str], str]) -> Iterator[Question]:
    """The questions that tell what names are, one for each catalog."""
    ordered = sorted(
        set(names), key=lambda name: (name.catalog or "", name.schema or "", name.table)
    )
    for catalog, group in groupby(ordered, key=lambda name: name.catalog):
        of_catalog = list(group)
        where = "" if catalog is None else f"{quote(catalog)}."
        tables = sorted({name.table for name in of_catalog})
        markers = ", ".join("?" for _ in tables)
        text = (
            "SELECT lower(table_schema), lower(table_name), table_type, lower(current_schema()) "  # noqa: S608
            f"FROM {where}information_schema.tables WHERE lower(table_name) IN ({markers})"
        )
        yield Question(text, tables, of_catalog)
