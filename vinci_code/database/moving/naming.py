"""Names of tables and columns: when two of them are one, by the rules of the database they are in.

SQLite folds the letters A to Z alone: ``É`` and ``é`` are two tables.
https://www.sqlite.org/c3ref/stricmp.html

Databricks folds all letters. Of any other database SQLAlchemy tells the names as they are kept: the
same letters are the same name; in other letter case a name stands for another where it is the only
one, since what is written without quotes is kept in one case by each database.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vinci_code.core.errors import CopyRefusedError
from vinci_code.database.moving.places import CopyEnd


def folded(name: str, end: CopyEnd) -> str:
    """A name in the form in which a database compares it."""
    if end.backend == "sqlite":
        return "".join(one.lower() if one.isascii() else one for one in name)
    return name.lower()


def as_one(name: str, end: CopyEnd) -> str:
    """A name in a form that two of its database have in common only where they may be one."""
    return name if end.engine.dialect.name == "postgresql" else folded(name, end)


class KnownNames:
    """The names that a database has, of tables or of the columns of one."""

    def __init__(self, names: Iterable[str], end: CopyEnd) -> None:
        self._end = end
        self._all = list(names)
        self._known: dict[str, list[str]] = {}
        for name in self._all:
            self._known.setdefault(folded(name, end), []).append(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def find(self, name: str) -> str | None:
        """The name as the database has it; ``None`` where it has none.

        Raises:
            CopyRefusedError: It may be one of several, which differ in letter case alone.
        """
        found = self._known.get(folded(name, self._end), [])
        if name in found:
            return name
        if len(found) > 1:
            refusal = (
                f"{name}: {self._end.name} has {', '.join(sorted(found))}, and it is not known "
                "which of them is meant; to fix it: write it in the same letters, or rename one"
            )
            raise CopyRefusedError([refusal])
        return found[0] if found else None
