"""Names that are visible at a place in a query."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.scalars import levenshtein
from vinci_code.warehouse.sql.types import Column, SqlType
from vinci_code.warehouse.sql.values import Typed, quote

if TYPE_CHECKING:
    from sqlglot import exp

_SUGGESTIONS = 5


LAMBDA_VARIABLE = "namedlambdavariable()"
"""What a parameter of a lambda is called."""


@dataclass(frozen=True)
class BoundQuery:
    """A query in DuckDB SQL: its text, its columns, and their names in the text."""

    sql: str
    columns: tuple[Column, ...]
    physical: tuple[str, ...]


@dataclass(frozen=True)
class SourceColumn:
    """A column of something in FROM: the user's name, its type, and the SQL that reads it."""

    name: str
    type: SqlType
    sql: str
    nullable: bool = True


@dataclass(frozen=True)
class Source:
    """Something in FROM.

    Attributes:
        qualifier: What may stand before a column's name: ``(alias,)`` or the full table name.
        columns: Its columns, in order.
        hidden: Lower-case names left out by ``*`` and by unqualified names (merged by USING).
    """

    qualifier: tuple[str, ...]
    columns: tuple[SourceColumn, ...]
    hidden: frozenset[str] = frozenset()


@dataclass
class CommonTable:
    """A common table expression: how DuckDB names it, and its columns."""

    sql_name: str
    columns: tuple[Column, ...]
    physical: tuple[str, ...]
    recursive: bool = False


@dataclass
class Scope:
    """The names visible at a place, innermost first.

    Attributes:
        parent: The scope around a sub-query.
        sources: What is in FROM.
        merged: Columns made by USING, which win over those of the sources.
        aliases: Output columns that later items, HAVING, QUALIFY and ORDER BY can name.
        variables: Parameters of lambda functions.
        tables: Common table expressions.
        windows: Named windows.
        level: SQL of the recursion's level, in the step of a recursive query.
        queries: The sub-queries translated so far where there is a GROUP BY, so that the same one
            is the same SQL in SELECT.
        grouping: The SQL of what grouping sets are made of, in order; ``None`` where there are no
            grouping sets, and empty while they are not known.
    """

    parent: Scope | None = None
    sources: list[Source] = field(default_factory=list)
    merged: dict[str, SourceColumn] = field(default_factory=dict)
    aliases: dict[str, list[Typed]] = field(default_factory=dict)
    aliases_first: bool = False
    variables: dict[str, Typed] = field(default_factory=dict)
    tables: dict[str, CommonTable] = field(default_factory=dict)
    windows: dict[str, object] = field(default_factory=dict)
    level: str = ""
    queries: dict[exp.Expr, BoundQuery] | None = None
    grouping: list[str] | None = None

    def child(self) -> Scope:
        """Return a scope for a sub-query at this place."""
        return Scope(parent=self)

    def table(self, name: str) -> CommonTable | None:
        """Return the common table expression of that name, if one is visible."""
        for scope in self.chain():
            if name.lower() in scope.tables:
                return scope.tables[name.lower()]
        return None

    def chain(self) -> Iterator[Scope]:
        """Yield this scope and those around it."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent

    def resolve(self, parts: Sequence[str]) -> tuple[Typed, list[str]]:
        """Return the column that a dotted name means, and the field names left over.

        Raises:
            SqlError: ``UNRESOLVED_COLUMN`` or ``AMBIGUOUS_REFERENCE``.
        """
        for scope in self.chain():
            found = scope.find(parts)
            if found is not None:
                return found
        raise self._unresolved(parts)

    def find(self, parts: Sequence[str]) -> tuple[Typed, list[str]] | None:
        """Return what a dotted name means in this scope alone."""
        if parts[0].lower() in self.variables:
            return self.variables[parts[0].lower()], list(parts[1:])
        if self.aliases_first:
            found = self._alias(parts)
            if found is not None:
                return found
        for length in range(min(len(parts) - 1, 3), -1, -1):
            matches = self._matches(parts[:length], parts[length])
            if len(matches) > 1:
                raise _ambiguous(parts, matches)
            if matches:
                return matches[0][1], list(parts[length + 1 :])
        return None if self.aliases_first else self._alias(parts)

    def _alias(self, parts: Sequence[str]) -> tuple[Typed, list[str]] | None:
        found = self.aliases.get(parts[0].lower())
        if not found:
            return None
        if len(found) > 1 and len({one.sql for one in found}) > 1:
            raise SqlError(
                "AMBIGUOUS_REFERENCE",
                "42704",
                f"Reference `{parts[0]}` is ambiguous, could be: "
                f"[{', '.join(f'`{one.name}`' for one in found)}].",
            )
        return found[0], list(parts[1:])

    def _matches(self, qualifier: Sequence[str], name: str) -> list[tuple[tuple[str, ...], Typed]]:
        wanted = name.lower()
        matches: list[tuple[tuple[str, ...], Typed]] = []
        if not qualifier and wanted in self.merged:
            matches.append(((), column_value(self.merged[wanted])))
        for source in self.sources:
            if qualifier:
                if not qualifies(source.qualifier, qualifier):
                    continue
            elif wanted in source.hidden:
                continue
            matches += [
                (source.qualifier, column_value(column))
                for column in source.columns
                if column.name.lower() == wanted
            ]
        return matches

    def _unresolved(self, parts: Sequence[str]) -> SqlError:
        wanted = ".".join(f"`{part}`" for part in parts)
        names = [
            ".".join(f"`{part}`" for part in (*source.qualifier, column.name))
            for scope in self.chain()
            for source in scope.sources
            for column in source.columns
        ]
        text = f"A column, variable, or function parameter with name {wanted} cannot be resolved."
        if not names:
            return SqlError("UNRESOLVED_COLUMN.WITHOUT_SUGGESTION", "42703", text)
        last = parts[-1].lower()
        names.sort(key=lambda name: levenshtein(name.rsplit(".", 1)[-1].strip("`").lower(), last))
        return SqlError(
            "UNRESOLVED_COLUMN.WITH_SUGGESTION",
            "42703",
            f"{text} Did you mean one of the following? [{', '.join(names[:_SUGGESTIONS])}].",
        )


def column_value(column: SourceColumn) -> Typed:
    """Return the expression that reads a column."""
    return Typed(column.sql, column.type, column.name, column.nullable)


def make_source(
    qualifier: tuple[str, ...],
    columns: Sequence[Column],
    physical: Sequence[str],
    alias: str,
) -> Source:
    """Return the source for a relation that DuckDB sees under ``alias``."""
    return Source(
        qualifier,
        tuple(
            SourceColumn(column.name, column.type, f"{quote(alias)}.{quote(name)}", column.nullable)
            for column, name in zip(columns, physical, strict=True)
        ),
    )


def qualifies(full: Sequence[str], given: Sequence[str]) -> bool:
    """Return whether ``given`` is the end of the dotted name ``full``, in any case of letters."""
    tail = full[-len(given) :]
    return [part.lower() for part in tail] == [part.lower() for part in given]


def _ambiguous(parts: Sequence[str], matches: list[tuple[tuple[str, ...], Typed]]) -> SqlError:
    names = sorted(
        ".".join(f"`{part}`" for part in (*qualifier, value.name)) for qualifier, value in matches
    )
    return SqlError(
        "AMBIGUOUS_REFERENCE",
        "42704",
        f"Reference {'.'.join(f'`{part}`' for part in parts)} is ambiguous, could be: "
        f"[{', '.join(names)}].",
    )
