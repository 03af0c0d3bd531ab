"""Names as an application writes them, where the warehouse stores them in another case.

Unity Catalog keeps the names of schemas, tables and constraints in small letters, and finds a
column in any case. SQLAlchemy and Alembic compare names letter by letter: to them a table
``UserAccount`` is missing, and ``useraccount`` is one that no model has. So where they compare what
is reflected with names that the application has given, what is reflected is given by those names:

- in ``MetaData.reflect()``, by those of its tables and those in ``only=``;
- when a ``Table`` is reflected, by those of the other tables of its ``MetaData``;
- in autogenerate, by those of all models (``migrations.names``).

Elsewhere names are given as they are stored.
"""

from __future__ import annotations

import functools
import inspect as signatures
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import event, inspect, text
from sqlalchemy.engine import Connection
from sqlalchemy.engine.reflection import Inspector
from sqlalchemy.exc import CompileError
from sqlalchemy.schema import Column, Computed, Index, MetaData, Table
from sqlalchemy.sql.elements import TextClause

from vinci_code.database.dialect.reflection.names import Namespace, place_of, stored

KEY = ("vinci", "spelling")
"""Where an ``Inspector`` keeps the names that the application writes, in its ``info_cache``."""

_Place = tuple[str | None, str | None, str]


class Spelling:
    """How an application writes names; a name that it does not write is given as it is stored."""

    def __init__(
        self,
        default_schema: str | None,
        format_name: Callable[[Any], str | None],
        *,
        apart: bool = False,
    ) -> None:
        """Know no name yet.

        Args:
            default_schema: The schema of tables without one.
            format_name: Gives the name of a constraint or index as it is sent; ``None`` where it
                has none.
            apart: Whether a table may be listed in one schema only, however that is written.
        """
        self.apart = apart
        self._default = default_schema
        self._format_name = format_name
        self._schemas: dict[str, str] = {}
        self._tables: dict[_Place, tuple[str | None, str]] = {}
        self._columns: dict[_Place, dict[str, str]] = {}
        self._constraints: dict[_Place, dict[str, str]] = {}

    def add(self, schema: str | None, name: str) -> None:
        """Write a table so."""
        if schema is not None:
            self._schemas.setdefault(stored(schema), schema)
        self._tables.setdefault(self._key(place_of(schema), name), (schema, name))

    def add_table(self, table: Table) -> None:
        """Write a table, its columns and its constraints as they are declared."""
        self.add(table.schema, table.name)
        key = self._key(place_of(table.schema), table.name)
        columns = self._columns.setdefault(key, {})
        for column in table.columns:
            columns.setdefault(stored(column.name), column.name)
        constraints = self._constraints.setdefault(key, {})
        for item in (*table.constraints, *table.indexes):
            name = self._format_name(item)
            if name is not None:
                constraints.setdefault(stored(name), name)

    @property
    def schemas(self) -> dict[str, str]:
        """The schemas that the application names, by how they are stored."""
        return self._schemas

    def schema(self, name: str) -> str:
        """How a schema is written."""
        return self._schemas.get(stored(name), name)

    def table(self, place: Namespace, name: str) -> str:
        """How a table is written."""
        return self._tables.get(self._key(place, name), (None, name))[1]

    def is_listed(self, schema: str | None, name: str) -> bool:
        """Whether a table belongs to a schema as the application writes that.

        Who compares all schemas (``apart``) would find a table of the default schema twice where
        the application writes that schema in another case: without a schema, and with it.
        """
        if not self.apart or (place_of(schema).schema or self._default) != self._default:
            return True
        written, _ = self._tables.get(self._key(place_of(schema), name), (None, name))
        return self._without_default(written) == self._without_default(schema)

    def _without_default(self, schema: str | None) -> str | None:
        return None if schema == self._default else schema

    def referred(self, place: Namespace, schema: str | None, name: str) -> tuple[str | None, str]:
        """How the schema and the name of a table that a foreign key refers to are written.

        Args:
            place: Where it is.
            schema: Its schema as it is stored; ``None`` is the default one.
            name: Its name as it is stored.
        """
        written, known = self._tables.get(self._key(place, name), (schema, name))
        if schema is not None:
            return self.schema(schema), known
        return self._without_default(written), known

    def column(self, place: Namespace, table: str, name: str) -> str:
        """How a column of a table is written."""
        return self._columns.get(self._key(place, table), {}).get(stored(name), name)

    def constraint(self, place: Namespace, table: str, name: str) -> str:
        """How a constraint of a table is written."""
        return self._constraints.get(self._key(place, table), {}).get(stored(name), name)

    def _key(self, place: Namespace, name: str) -> _Place:
        return place.catalog, place.schema or self._default, stored(name)


def spelling_of(dialect: Any, tables: Iterable[Table] = (), *, apart: bool = False) -> Spelling:
    """The names of some tables, as they are declared."""

    def format_name(item: Any) -> str | None:
        # As sent, and not as declared: one that is too long is cut.
        preparer = dialect.identifier_preparer
        if item.name is None:
            return None
        formatted = (
            preparer.format_index(item)
            if isinstance(item, Index)
            else preparer.format_constraint(item)
        )
        return None if formatted is None else ".".join(preparer.unformat_identifiers(formatted))

    known = Spelling(dialect.default_schema_name, format_name, apart=apart)
    for table in tables:
        known.add_table(table)
    return known


def refuse_same_names(tables: Iterable[Table], default_schema: str | None) -> None:
    """Refuse two tables that the warehouse could not tell apart.

    Raises:
        CompileError: Their names differ in case only.
    """
    seen: dict[_Place, Table] = {}
    for table in tables:
        place = place_of(table.schema)
        key = place.catalog, place.schema or default_schema, stored(table.name)
        other = seen.setdefault(key, table)
        if other.fullname != table.fullname and other.name != table.name:
            raise CompileError(
                f"The tables {other.fullname!r} and {table.fullname!r} have names that differ in "
                "case only, and Databricks stores the names of tables in small letters: both would "
                f"be {key[-1]!r}. Nothing was created. To fix it: give one of them another name."
            )


class SpellingInspector(Inspector):
    """Reflects tables by the names of the ``MetaData`` that they belong to."""

    def reflect_table(self, table: Table, *args: Any, **kw: Any) -> None:
        """Fill a table with what is reflected."""
        given = self.info_cache.get(KEY)
        if given is None:
            self.info_cache[KEY] = spelling_of(self.dialect, table.metadata.tables.values())
        before = {id(column.server_default) for column in table.columns}
        try:
            super().reflect_table(table, *args, **kw)
        finally:
            if given is None:
                self.info_cache.pop(KEY, None)
        for column in table.columns:
            if id(column.server_default) not in before:
                _take_literally(column)


def listen() -> None:
    """Have ``MetaData`` know that the warehouse stores names in small letters.

    ``create_all`` refuses names that are one there. ``reflect(only=…)`` compares the names that it
    is given with those that the database lists, and shows them to nobody before: no event, no
    dialect. So the method itself is wrapped, once; for other databases it does what it did.
    """
    if not event.contains(MetaData, "before_create", _before_create):
        event.listen(MetaData, "before_create", _before_create)
    if not hasattr(MetaData.reflect, _WRAPPED):
        MetaData.reflect = _reflecting(MetaData.reflect)  # type: ignore[method-assign]


_WRAPPED = "_vinci_names"


def _reflecting(original: Callable[..., None]) -> Callable[..., None]:
    signature = signatures.signature(original)

    @functools.wraps(original)
    def reflect(self: MetaData, bind: Any, *args: Any, **kw: Any) -> None:
        if not _is_ours(bind):
            original(self, bind, *args, **kw)
            return
        given = signature.bind(self, bind, *args, **kw).arguments
        inspector: Any = inspect(bind)
        known = spelling_of(bind.dialect)
        only = given.get("only")
        for name in only if isinstance(only, Sequence) else ():
            known.add(given.get("schema") or self.schema, name)
        for table in self.tables.values():
            known.add_table(table)
        inspector.info_cache[KEY] = known
        try:
            original(self, inspector, *args, **kw)
        finally:
            inspector.info_cache.pop(KEY, None)

    setattr(reflect, _WRAPPED, True)
    return reflect


def _is_ours(bind: Any) -> bool:
    return getattr(getattr(bind, "dialect", None), "inspector", None) is SpellingInspector


def _before_create(target: MetaData, connection: Connection, **_: Any) -> None:
    if _is_ours(connection):
        refuse_same_names(target.tables.values(), connection.dialect.default_schema_name)


def _take_literally(column: Column[Any]) -> None:
    """Have a default, or an expression, that was reflected mean what it says.

    SQLAlchemy makes a ``text()`` of it, in which ``:x`` is a parameter, also within a literal.
    """
    default: Any = column.server_default
    attribute = "sqltext" if isinstance(default, Computed) else "arg"
    argument = getattr(default, attribute, None)
    if isinstance(argument, TextClause) and ":" in argument.text:
        setattr(default, attribute, text(argument.text.replace(":", "\\:")))
