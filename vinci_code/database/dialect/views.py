"""Which names are views: a SELECT from one has to see what is held for the tables below it."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import NamedTuple

from vinci_code.database.dialect.forking import renew_lock_in_child


class Name(NamedTuple):
    """A table or view that a statement reads.

    Attributes:
        catalog: The catalog as it is written in the statement; ``None`` for the session's own.
        table: Its name in lower case, as Unity Catalog keeps it, without the schema.
    """

    catalog: str | None
    table: str


class KnownViews:
    """What an engine has found out about names; used by several threads at once.

    Views are known by their bare names: a table is taken for a view if one of that name is in
    another schema of the catalog, which costs a statement and is never wrong.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        renew_lock_in_child(self)
        self._views: dict[Name, bool] = {}

    def forget(self) -> None:
        """Know nothing any more, after DDL."""
        with self._lock:
            self._views = {}

    def unknown(self, names: Iterable[Name]) -> list[Name]:
        """The names of which it is not known whether they are views, in order."""
        return sorted(set(names) - set(self._views), key=lambda name: (name[0] or "", name[1]))

    def note(self, names: Iterable[Name], views: Iterable[Name]) -> None:
        """Keep which of some names are views."""
        found = set(views)
        with self._lock:
            self._views = {**self._views, **{name: name in found for name in names}}

    def any_of(self, names: Iterable[Name]) -> bool:
        """Whether one of the names is a view, as far as is known."""
        views = self._views
        return any(views.get(name, False) for name in names)


def question(catalog: str | None, names: Iterable[Name]) -> str:
    """The SELECT that tells which of some names of a catalog are views, with a marker for each."""
    where = "" if catalog is None else f"{catalog}."
    markers = ", ".join("?" for _ in names)
    return (
        f"SELECT DISTINCT lower(table_name) FROM {where}information_schema.views "  # noqa: S608
        f"WHERE lower(table_name) IN ({markers})"
    )
