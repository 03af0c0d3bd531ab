"""Reflection: what SQLAlchemy's ``Inspector`` and ``MetaData.reflect`` learn of a database.

:class:`ReflectionMixin` is the base of the dialect that answers them. Whatever is asked, at most
three questions are sent for each schema: its tables, their columns, their constraints. Few tables
are asked for by name; once a list of tables, or several of them, have been asked for, the rest of
the schema is fetched with them. An ``Inspector`` keeps every answer.

Names are compared without regard to case, as Unity Catalog does. They are given as they are stored
or, to whom compares them with those of an application, as that writes them (``spelling``).
``schema`` may be ``"catalog.schema"``; without one the session's own catalog and schema are meant.

``information_schema`` does not tell which columns are identity columns or computed (it has fields
for that, which are reserved for future use), nor the properties and the clustering of a table, nor,
on today's warehouses, the conditions of CHECK constraints. They are asked of the table itself, with
two more statements, where a single table is reflected by its name:
``Table("t", metadata, autoload_with=engine)``. ``Inspector.get_columns`` asks a table for its
identity columns and computed ones, ``Inspector.get_table_options`` for its properties and
clustering. Many tables at once, as ``MetaData.reflect()`` asks for, come without them: that would
be a statement for each.

Inside of an interactive transaction the warehouse refuses ``information_schema``: reflect before it
begins, or on another connection.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sqlalchemy import exc, util
from sqlalchemy.engine import Connection
from sqlalchemy.engine.interfaces import TableKey
from sqlalchemy.engine.reflection import ObjectKind
from sqlalchemy.types import NullType, TypeEngine

from vinci_code.database.dialect.reflection.information_schema import (
    Catalog,
    ColumnRow,
    Constraint,
)
from vinci_code.database.dialect.reflection.names import place_of
from vinci_code.database.dialect.reflection.reflected import (
    Knowledge,
    Subject,
    find,
    is_of,
    subjects,
)
from vinci_code.database.dialect.reflection.spelling import KEY as SPELLING
from vinci_code.database.dialect.reflection.spelling import SpellingInspector, spelling_of
from vinci_code.database.dialect.sql.key_blocks import KEY_TABLE
from vinci_code.database.dialect.types.typenames import UnknownTypeError, parse_type_name

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import (
        ReflectedCheckConstraint,
        ReflectedColumn,
        ReflectedForeignKeyConstraint,
        ReflectedIndex,
        ReflectedPrimaryKeyConstraint,
        ReflectedTableComment,
        ReflectedUniqueConstraint,
    )
    from sqlalchemy.sql.compiler import IdentifierPreparer

_T = TypeVar("_T")


def _columns(subject: Subject) -> list[ReflectedColumn]:
    generated = _generated(subject)
    return [
        cast("ReflectedColumn", {**_column(name, row), **generated.get(name, {})})
        for row in subject.columns()
        for name in [subject.column_name(row.name)]
    ]


def _column(name: str, row: ColumnRow) -> dict[str, Any]:
    return {
        "name": name,
        "type": _type(row),
        "nullable": row.nullable,
        "default": row.default,
        "comment": row.comment,
    }


def _generated(subject: Subject) -> dict[str, dict[str, Any]]:
    return {
        subject.column_name(name): {type(how).__name__.lower(): how._asdict()}
        for name, how in subject.generated().items()
    }


def _type(row: ColumnRow) -> TypeEngine[Any]:
    try:
        return parse_type_name(row.type)
    except UnknownTypeError:
        util.warn(f"Did not recognize type '{row.type}' of column '{row.name}'")
        return NullType()


def _primary_key(subject: Subject) -> ReflectedPrimaryKeyConstraint:
    for item in subject.constraints("PRIMARY KEY"):
        return {
            "constrained_columns": _names(subject, item),
            "name": subject.constraint_name(item.name),
        }
    return {"constrained_columns": [], "name": None}


def _foreign_keys(subject: Subject) -> list[ReflectedForeignKeyConstraint]:
    return [
        _foreign_key(subject, item)
        for item in subject.constraints("FOREIGN KEY")
        if item.parent is not None
    ]


def _foreign_key(subject: Subject, item: Constraint) -> ReflectedForeignKeyConstraint:
    schema, table = subject.parent_of(item)
    return {
        "name": subject.constraint_name(item.name),
        "constrained_columns": _names(subject, item),
        "referred_schema": schema,
        "referred_table": table,
        "referred_columns": subject.parent_column_names(item),
    }


def _uniques(subject: Subject) -> list[ReflectedUniqueConstraint]:
    return [
        {"name": subject.constraint_name(item.name), "column_names": _names(subject, item)}
        for item in subject.constraints("UNIQUE")
    ]


def _checks(subject: Subject) -> list[ReflectedCheckConstraint]:
    return [
        {"name": subject.constraint_name(name), "sqltext": text}
        for name, text in sorted(subject.checks().items())
    ]


def _names(subject: Subject, item: Constraint) -> list[str]:
    """The columns of a key."""
    return [subject.column_name(name) for name in item.columns]


def _no_indexes(_: Subject) -> list[ReflectedIndex]:
    """None: Databricks has no indexes."""
    return []


def _comment(subject: Subject) -> ReflectedTableComment:
    return {"text": subject.relation.comment}


# What the warehouse gives to every table: nothing that a copy of it would have to say.
_GIVEN_TO_ALL = {("delta.enableDeletionVectors", "true"), ("delta.enableRowTracking", "true")}


def _options(subject: Subject) -> dict[str, Any]:
    """Properties and clustering, as the arguments of ``Table`` that make them."""
    details = subject.details()
    options: dict[str, Any] = {}
    properties = dict(details.properties.items() - _GIVEN_TO_ALL)
    if properties:
        options["databricks_tblproperties"] = dict(sorted(properties.items()))
    if details.cluster_by:
        options["databricks_cluster_by"] = details.cluster_by
    return options


def _of_one(answer: Callable[[Subject], _T], *, detailed: bool = False) -> Callable[..., _T]:
    """The method that tells what ``answer`` says of one table."""

    def method(
        self: ReflectionMixin,
        connection: Connection,
        table_name: str,
        schema: str | None = None,
        **kw: Any,
    ) -> _T:
        subject = find(self._known(connection, kw), schema, table_name, detailed=detailed)
        if subject is None:
            raise exc.NoSuchTableError(_shown(schema, table_name))
        return answer(subject)

    return method


def _of_several(answer: Callable[[Subject], Any]) -> Callable[..., Any]:
    """The method that tells what ``answer`` says of each of several tables."""

    def method(
        self: ReflectionMixin, connection: Connection, **kw: Any
    ) -> Iterator[tuple[TableKey, Any]]:
        schema, names = kw["schema"], kw["filter_names"]
        found = subjects(
            self._known(connection, kw),
            schema,
            names,
            kw["kind"],
            kw["scope"],
            detailed=names is not None and len(names) == 1,
        )
        return (((schema, subject.asked), answer(subject)) for subject in found)

    return method


class ReflectionMixin:
    """The part of the dialect that reads what is in the database."""

    if TYPE_CHECKING:
        identifier_preparer: IdentifierPreparer

    inspector = SpellingInspector

    def __init__(self, *args: Any, **kw: Any) -> None:
        super().__init__(*args, **kw)
        self.register_migrations()

    @staticmethod
    def register_migrations() -> None:
        """Tell Alembic of this dialect, where it is loaded: nobody else should wait for it.

        An ``env.py`` creates its engine with Alembic loaded.
        """
        if "alembic.ddl.impl" in sys.modules:
            importlib.import_module("vinci_code.database.dialect.alembic").register()

    # --- names -----------------------------------------------------------------------------------

    def get_schema_names(
        self, connection: Connection, *, catalog: str | None = None, **kw: Any
    ) -> list[str]:
        """The schemas of the session's catalog; with ``catalog``, of that one: ``catalog.name``."""
        known = self._known(connection, kw)
        names = known.schemas(catalog)
        if catalog is None:
            return [known.spelling.schema(name) for name in names]
        return [f"{catalog}.{name}" for name in names]

    def has_schema(self, connection: Connection, schema_name: str, **kw: Any) -> bool:
        """Whether there is such a schema."""
        return self._known(connection, kw).has_schema(place_of(schema_name))

    def has_table(
        self, connection: Connection, table_name: str, schema: str | None = None, **kw: Any
    ) -> bool:
        """Whether there is such a table or view; ``False`` also where there is no such schema."""
        return self._known(connection, kw).has_table(place_of(schema), table_name)

    def get_table_names(
        self, connection: Connection, schema: str | None = None, **kw: Any
    ) -> list[str]:
        """The tables of a schema, but for the one that counts keys, which is no application's.

        So neither ``reflect()`` with ``drop_all()`` nor Alembic's autogenerate drops it.
        """
        found = self._names(connection, schema, kw, ObjectKind.TABLE)
        return [name for name in found if name.lower() != KEY_TABLE]

    def get_view_names(
        self, connection: Connection, schema: str | None = None, **kw: Any
    ) -> list[str]:
        """The views of a schema."""
        return self._names(connection, schema, kw, ObjectKind.VIEW)

    def get_materialized_view_names(
        self, connection: Connection, schema: str | None = None, **kw: Any
    ) -> list[str]:
        """The materialized views of a schema."""
        return self._names(connection, schema, kw, ObjectKind.MATERIALIZED_VIEW)

    def get_temp_table_names(self, connection: Connection, **kw: Any) -> list[str]:
        """None: a warehouse does not tell its temporary tables apart."""
        return []

    def get_temp_view_names(
        self, connection: Connection, schema: str | None = None, **kw: Any
    ) -> list[str]:
        """The temporary views of the session; they belong to no schema."""
        return [] if schema is not None else self._known(connection, kw).temporary_views()

    def get_view_definition(
        self, connection: Connection, view_name: str, schema: str | None = None, **kw: Any
    ) -> str:
        """The text of a view's query; empty where it may not be read."""
        known = self._known(connection, kw)
        definition = known.view_definition(place_of(schema), view_name)
        if definition is None:
            raise exc.NoSuchTableError(_shown(schema, view_name))
        return definition

    # --- one table -------------------------------------------------------------------------------

    get_columns = _of_one(_columns, detailed=True)
    get_pk_constraint = _of_one(_primary_key)
    get_foreign_keys = _of_one(_foreign_keys)
    get_unique_constraints = _of_one(_uniques)
    get_check_constraints = _of_one(_checks)
    get_indexes = _of_one(_no_indexes)
    get_table_comment = _of_one(_comment)
    get_table_options = _of_one(_options, detailed=True)

    # Properties, features and clustering; nothing of what is no Delta table.
    details_of = _of_one(Subject.details, detailed=True)
    # What get_columns says of identity columns and of computed ones beside, by their names.
    generated_of = _of_one(_generated, detailed=True)

    # --- many tables -----------------------------------------------------------------------------

    get_multi_columns = _of_several(_columns)
    get_multi_pk_constraint = _of_several(_primary_key)
    get_multi_foreign_keys = _of_several(_foreign_keys)
    get_multi_unique_constraints = _of_several(_uniques)
    get_multi_check_constraints = _of_several(_checks)
    get_multi_indexes = _of_several(_no_indexes)
    get_multi_table_comment = _of_several(_comment)
    get_multi_table_options = _of_several(_options)

    # --- how it is put together ------------------------------------------------------------------

    def _names(
        self, connection: Connection, schema: str | None, kw: dict[str, Any], kind: ObjectKind
    ) -> list[str]:
        known, place = self._known(connection, kw), place_of(schema)
        return [
            known.spelling.table(place, item.name)
            for item in known.relations(place, None).values()
            if item is not None
            and is_of(item, kind)
            and known.spelling.is_listed(schema, item.name)
        ]

    def _known(self, connection: Connection, kw: Mapping[str, Any]) -> Knowledge:
        catalog = Catalog(connection, self.identifier_preparer.quote_identifier)
        cache = kw.get("info_cache")
        if cache is None:
            return Knowledge(catalog, {}, spelling_of(self))
        spelling = cache.get(SPELLING) or spelling_of(self)
        return Knowledge(catalog, cache.setdefault(("vinci",), {}), spelling)


def _shown(schema: str | None, name: str) -> str:
    return name if schema is None else f"{schema}.{name}"
