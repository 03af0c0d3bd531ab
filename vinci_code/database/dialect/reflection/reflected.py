"""What reflection has learned so far: each question is asked once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.engine.reflection import ObjectKind, ObjectScope
from sqlalchemy.exc import DBAPIError

from vinci_code.database.dialect.reflection.generated import Computed, Identity
from vinci_code.database.dialect.reflection.information_schema import (
    MAX_NAMES,
    Catalog,
    ColumnRow,
    Constraint,
    Details,
    Relation,
    plain_condition,
)
from vinci_code.database.dialect.reflection.names import Namespace, place_of, stored
from vinci_code.database.dialect.reflection.spelling import Spelling

_SMALL_SCHEMA = 1_000
"""Tables of a schema that are fetched with the first one of them, once they are listed."""

_SINGLE_QUESTIONS = 3
"""How often single tables are asked for before the whole schema is."""

_TEMPORARY = "TEMPORARY VIEW"

# What the warehouse says where a schema, or its catalog, does not exist.
_NOT_THERE = frozenset(
    {
        "CATALOG_NOT_FOUND",
        "NO_SUCH_CATALOG_EXCEPTION",
        "NO_SUCH_NAMESPACE_EXCEPTION",
        "SCHEMA_NOT_FOUND",
        "TABLE_OR_VIEW_NOT_FOUND",
    }
)


def _is_not_there(error: DBAPIError) -> bool:
    """Whether an error says that a table, schema or catalog does not exist."""
    return getattr(error.orig, "error_class", None) in _NOT_THERE


@dataclass
class _Part:
    """The answers to one question about one schema, by the name of the table.

    Attributes:
        known: The answers; ``None`` for a table that is not there.
        complete: Whether all of the schema's tables are among them.
        questions: How often it was asked for some of them.
    """

    known: dict[str, Any] = field(default_factory=dict)
    complete: bool = False
    questions: int = 0


class Knowledge:
    """Asks the catalog what is not known yet.

    Answers are kept in ``cache``; an ``Inspector`` brings the same one each time. They have the
    names that are stored, and ``spelling`` those that are shown.
    """

    def __init__(self, catalog: Catalog, cache: dict[Any, Any], spelling: Spelling) -> None:
        self._catalog = catalog
        self._cache = cache
        self.spelling = spelling

    def schemas(self, catalog: str | None) -> list[str]:
        """The schemas of a catalog."""
        found = self._once(("schemas", catalog), lambda: self._catalog.schemas(catalog))
        return list(found)

    def has_schema(self, place: Namespace) -> bool:
        """Whether there is such a schema."""
        listed = self._cache.get(("schemas", place.catalog))
        if listed is not None:
            return place.schema in listed
        key = ("has schema", place)
        return bool(self._once(key, lambda: self._there(self._catalog.has_schema, place)))

    def has_table(self, place: Namespace, name: str) -> bool:
        """Whether there is such a table or view, temporary views included."""
        if self.known_relation(place, name) is not None:
            return True
        key = ("has table", place, stored(name))
        return bool(self._once(key, lambda: self._there(self._catalog.has_table, place, name)))

    def known_relation(self, place: Namespace, name: str) -> Relation | None:
        """A table that has been asked for already."""
        part = self._cache.get((Catalog.relations, place))
        return None if part is None else part.known.get(stored(name))

    def relations(
        self, place: Namespace, names: Collection[str] | None
    ) -> dict[str, Relation | None]:
        """Tables and views by name in lower case."""
        return self._fetch(Catalog.relations, place, names)

    def columns(self, place: Namespace, names: Collection[str]) -> dict[str, list[ColumnRow]]:
        """Columns by the name of the table."""
        return self._fetch(Catalog.columns, place, names)

    def constraints(self, place: Namespace, names: Collection[str]) -> dict[str, list[Constraint]]:
        """Constraints by the name of the table."""
        return self._fetch(Catalog.constraints, place, names)

    def temporary_views(self) -> list[str]:
        """The names of the session's temporary views."""
        return list(self._once("temporary", self._catalog.temporary_views))

    def temporary_view_columns(self, name: str) -> list[ColumnRow]:
        """The columns of a temporary view."""
        key = ("temporary", name)
        found = self._once(key, lambda: self._catalog.temporary_view_columns(name))
        return list(found)

    def view_definition(self, place: Namespace, name: str) -> str | None:
        """The text of a view's query; ``None`` where there is no such view."""
        try:
            found = self._catalog.view_definition(place, name)
        except DBAPIError as error:
            if not _is_not_there(error):
                raise
            return None  # no such catalog
        if found is None and place.schema is None and stored(name) in self.temporary_views():
            return self._catalog.temporary_view_definition(name)
        return found

    def details(self, place: Namespace, name: str) -> Details:
        """Properties, clustering and CHECK constraints of one table."""
        key = ("details", place, stored(name))
        found: Details = self._once(key, lambda: self._catalog.details(place, name))
        return found

    def generated(self, place: Namespace, name: str) -> dict[str, Identity | Computed]:
        """The identity columns and the computed ones of one table."""
        key = ("generated", place, stored(name))
        found: dict[str, Identity | Computed] = self._once(
            key, lambda: self._catalog.generated(place, name)
        )
        return found

    def _once(self, key: object, ask: Callable[[], Any]) -> Any:
        if key not in self._cache:
            self._cache[key] = ask()
        return self._cache[key]

    def _there(self, ask: Callable[..., bool], *arguments: Any) -> bool:
        try:
            return ask(*arguments)
        except DBAPIError as error:
            if not _is_not_there(error):
                raise
            return False

    def _fetch(
        self,
        question: Callable[[Catalog, Namespace, Collection[str] | None], dict[str, Any]],
        place: Namespace,
        names: Collection[str] | None,
    ) -> dict[str, Any]:
        part: _Part = self._cache.setdefault((question, place), _Part())
        if part.complete:
            return part.known
        wanted = None if names is None else [name for name in names if name not in part.known]
        if wanted == []:
            return part.known
        if wanted is None or self._is_better_whole(part, place, wanted):
            part.known, part.complete = self._answer(question, place, None), True
        else:
            part.questions += 1
            found = self._answer(question, place, wanted)
            part.known.update({name: found.get(name) for name in wanted})
        return part.known

    def _is_better_whole(self, part: _Part, place: Namespace, wanted: list[str]) -> bool:
        if len(wanted) > MAX_NAMES or part.questions >= _SINGLE_QUESTIONS:
            return True
        listed: _Part | None = self._cache.get((Catalog.relations, place))
        return listed is not None and listed.complete and len(listed.known) <= _SMALL_SCHEMA

    def _answer(
        self,
        question: Callable[[Catalog, Namespace, Collection[str] | None], dict[str, Any]],
        place: Namespace,
        names: Collection[str] | None,
    ) -> dict[str, Any]:
        try:
            return question(self._catalog, place, names)
        except DBAPIError as error:
            # No such catalog: then it has no such tables either.
            if not _is_not_there(error):
                raise
            return {}


@dataclass(frozen=True)
class Subject:
    """A table or view that is being reflected.

    Attributes:
        known: What is known of it, and where the rest is asked.
        schema: Its schema as it was asked for.
        asked: Its name as it was asked for.
        relation: What it is.
        detailed: Whether the table itself is asked for what information_schema does not tell.
    """

    known: Knowledge
    schema: str | None
    asked: str
    relation: Relation
    detailed: bool

    @property
    def place(self) -> Namespace:
        """Its catalog and schema."""
        return place_of(self.schema)

    def columns(self) -> list[ColumnRow]:
        """Its columns."""
        name = self.relation.name
        if self.relation.type == _TEMPORARY:
            return self.known.temporary_view_columns(name)
        return self.known.columns(self.place, [name]).get(name) or []

    def constraints(self, kind: str) -> list[Constraint]:
        """Its constraints of one kind."""
        name = self.relation.name
        if not self.relation.is_table:
            return []
        found = self.known.constraints(self.place, [name]).get(name) or []
        return [item for item in found if item.kind == kind]

    def generated(self) -> dict[str, Identity | Computed]:
        """Its identity columns and the computed ones, as far as they are asked for."""
        if not (self.detailed and self.relation.is_delta):
            return {}
        # Neither has another default.
        if all(row.default is not None for row in self.columns()):
            return {}
        return self.known.generated(self.place, self.relation.name)

    def details(self) -> Details:
        """Its properties and clustering, as far as they are asked for."""
        if not (self.detailed and self.relation.is_delta):
            return Details()
        return self.known.details(self.place, self.relation.name)

    def checks(self) -> dict[str, str]:
        """The conditions of its CHECK constraints by name."""
        listed = self.constraints("CHECK")
        found = {item.name: item.condition for item in listed if item.condition is not None}
        if len(found) < len(listed):
            conditions = self.known.details(self.place, self.relation.name).checks
        else:
            conditions = self.details().checks
        names = {stored(item.name): item.name for item in listed}
        known = {**{names.get(name, name): text for name, text in conditions.items()}, **found}
        return {name: plain_condition(text) for name, text in known.items()}

    # --- names as the application writes them ----------------------------------------------------

    def column_name(self, name: str) -> str:
        """The name of one of its columns."""
        return self.known.spelling.column(self.place, self.relation.name, name)

    def constraint_name(self, name: str) -> str:
        """The name of one of its constraints."""
        return self.known.spelling.constraint(self.place, self.relation.name, name)

    def parent_of(self, constraint: Constraint) -> tuple[str | None, str]:
        """Schema and name of the table that a foreign key refers to; this one as asked for."""
        assert constraint.parent is not None  # noqa: S101 - asked of foreign keys alone
        schema, name = self._schema_of(constraint), constraint.parent[2]
        if name == self.relation.name and schema == self.schema:
            return schema, self.asked
        return self.known.spelling.referred(_parent_place(constraint), schema, name)

    def parent_column_names(self, constraint: Constraint) -> list[str]:
        """The columns that a foreign key refers to."""
        assert constraint.parent is not None  # noqa: S101 - asked of foreign keys alone
        place, name = _parent_place(constraint), constraint.parent[2]
        spelling = self.known.spelling
        return [spelling.column(place, name, column) for column in constraint.parent_columns]

    def _schema_of(self, constraint: Constraint) -> str | None:
        """The schema that a foreign key refers to, as it is stored; the own one as asked for."""
        assert constraint.parent is not None  # noqa: S101 - asked of foreign keys alone
        catalog, schema, _ = constraint.parent
        own = self.place
        same_catalog = constraint.in_catalog if own.catalog is None else own.catalog == catalog
        if same_catalog and own.schema == schema:
            return self.schema
        if constraint.in_schema:
            return None
        return schema if constraint.in_catalog and own.catalog is None else f"{catalog}.{schema}"


def _parent_place(constraint: Constraint) -> Namespace:
    assert constraint.parent is not None  # noqa: S101 - asked of foreign keys alone
    catalog, schema, _ = constraint.parent
    return Namespace(None if constraint.in_catalog else catalog, schema)


def find(
    known: Knowledge, schema: str | None, name: str, *, detailed: bool = False
) -> Subject | None:
    """The table or view of this name, if there is one."""
    found = subjects(known, schema, [name], ObjectKind.ANY, ObjectScope.ANY, detailed=detailed)
    return next(found, None)


def subjects(
    known: Knowledge,
    schema: str | None,
    names: Collection[str] | None,
    kind: ObjectKind,
    scope: ObjectScope,
    *,
    detailed: bool,
) -> Iterator[Subject]:
    """The tables and views that are asked for, as far as they are there."""
    asked = None if names is None else {stored(name): name for name in names}
    relations: dict[str, Relation | None] = {}
    if ObjectScope.DEFAULT in scope:
        relations = known.relations(place_of(schema), asked)
    for name in relations if asked is None else asked:
        relation = relations.get(name)
        if relation is not None and is_of(relation, kind):
            shown = asked[name] if asked else known.spelling.table(place_of(schema), name)
            yield Subject(known, schema, shown, relation, detailed)
    missing = None if asked is None else {name for name in asked if relations.get(name) is None}
    if schema is not None or missing == set() or ObjectScope.TEMPORARY not in scope:
        return
    for name in known.temporary_views() if ObjectKind.VIEW in kind else ():
        if missing is None or stored(name) in missing:
            shown = asked[stored(name)] if asked else name
            yield Subject(known, None, shown, Relation(name, _TEMPORARY, None, None), detailed)


def is_of(relation: Relation, kind: ObjectKind) -> bool:
    """Whether a relation is of one of the kinds."""
    if relation.is_view:
        return ObjectKind.VIEW in kind
    if relation.is_materialized:
        return ObjectKind.MATERIALIZED_VIEW in kind
    return ObjectKind.TABLE in kind
