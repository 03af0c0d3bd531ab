"""Reflection: what SQLAlchemy's ``Inspector`` and ``MetaData.reflect`` learn of a database.

:class:`ReflectionMixin` is the base of the dialect that answers them. Whatever is asked, at most
three questions are sent for each schema: its tables, their columns, their constraints. Few tables
are asked for by name; once a list of tables, or several of them, have been asked for, the rest of
the schema is fetched with them. An ``Inspector`` keeps every answer.

Names are compared without regard to case, as Unity Catalog does; ``schema`` may be
``"catalog.schema"``, and without one the session's own catalog and schema are meant.

``information_schema`` does not tell which columns are identity columns (it has fields for that,
which are reserved for future use), nor the properties and the clustering of a table, nor, on
today's warehouses, the conditions of CHECK constraints. They are asked of the table itself, with
two more statements, where a single table is reflected by its name:
``Table("t", metadata, autoload_with=engine)``. ``Inspector.get_columns`` asks a table that has a
BIGINT column without a default for its identity columns, ``Inspector.get_table_options`` any table
for its properties and clustering. Many tables at once, as ``MetaData.reflect()`` asks for, come
without them: that would be a statement for each.

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
    Identity,
)
from vinci_code.database.dialect.reflection.reflected import (
    Knowledge,
    Subject,
    find,
    is_of,
    place_of,
    subjects,
)
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
    identities = subject.identities()
    return [_column(row, identities.get(row.name)) for row in subject.columns()]


def _column(row: ColumnRow, identity: Identity | None) -> ReflectedColumn:
    column: dict[str, Any] = {
        "name": row.name,
        "type": _type(row),
        "nullable": row.nullable,
        "default": row.default,
        "comment": row.comment,
    }
    if identity is not None:
        column["identity"] = identity._asdict()
    return cast("ReflectedColumn", column)


def _identities(subject: Subject) -> dict[str, dict[str, Any]]:
    return {name: identity._asdict() for name, identity in subject.identities().items()}


def _type(row: ColumnRow) -> TypeEngine[Any]:
    try:
        return parse_type_name(row.type)
    except UnknownTypeError:
        util.warn(f"Did not recognize type '{row.type}' of column '{row.name}'")
        return NullType()


def _primary_key(subject: Subject) -> ReflectedPrimaryKeyConstraint:
    for item in subject.constraints("PRIMARY KEY"):
        return {"constrained_columns": list(item.columns), "name": item.name}
    return {"constrained_columns": [], "name": None}


def _foreign_keys(subject: Subject) -> list[ReflectedForeignKeyConstraint]:
    return [
        {
            "name": item.name,
            "constrained_columns": list(item.columns),
            "referred_schema": subject.schema_of(item),
            "referred_table": subject.table_of(item),
            "referred_columns": list(item.parent_columns),
        }
        for item in subject.constraints("FOREIGN KEY")
        if item.parent is not None
    ]


def _uniques(subject: Subject) -> list[ReflectedUniqueConstraint]:
    return [
        {"name": item.name, "column_names": list(item.columns)}
        for item in subject.constraints("UNIQUE")
    ]


def _checks(subject: Subject) -> list[ReflectedCheckConstraint]:
    return [{"name": name, "sqltext": text} for name, text in sorted(subject.checks().items())]


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
        names = self._known(connection, kw).schemas(catalog)
        return names if catalog is None else [f"{catalog}.{name}" for name in names]

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
    # How the identity columns count, by the name of the column.
    identities_of = _of_one(_identities, detailed=True)

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
        found = self._known(connection, kw).relations(place_of(schema), None)
        return [item.name for item in found.values() if item is not None and is_of(item, kind)]

    def _known(self, connection: Connection, kw: Mapping[str, Any]) -> Knowledge:
        catalog = Catalog(connection, self.identifier_preparer.quote_identifier)
        cache = kw.get("info_cache")
        if cache is None:
            return Knowledge(catalog, {})
        return Knowledge(catalog, cache.setdefault(("vinci",), {}))


def _shown(schema: str | None, name: str) -> str:
    return name if schema is None else f"{schema}.{name}"
