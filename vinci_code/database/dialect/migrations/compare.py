"""What ``alembic revision --autogenerate`` finds different, and how it writes types."""

from __future__ import annotations

from typing import Any, Literal, cast

from alembic.autogenerate import render
from alembic.ddl.impl import DefaultImpl
from sqlalchemy import Column, Identity
from sqlalchemy.types import NullType

from vinci_code.database.dialect import types
from vinci_code.database.dialect.migrations.defaults import same_default
from vinci_code.database.dialect.migrations.names import model_of
from vinci_code.database.dialect.sql.uniques import is_declared


class ComparingImpl(DefaultImpl):
    """Compares what is in the database with what the models say."""

    def render_type(self, type_obj: Any, autogen_context: Any) -> str | Literal[False]:
        """Write the types of Databricks by the names that this package exports."""
        name = type(type_obj).__name__
        if type(type_obj) is not getattr(types, name, None):
            return False
        autogen_context.imports.add(f"from vinci_code.database.dialect import {name}")

        def inner(kind: Any) -> str:
            return str(render._repr_type(kind, autogen_context))

        if isinstance(type_obj, types.ARRAY):
            dimensions = f", dimensions={type_obj.dimensions}" if type_obj.dimensions else ""
            return f"ARRAY({inner(type_obj.item_type)}{dimensions})"
        if isinstance(type_obj, types.MAP):
            return f"MAP({inner(type_obj.key_type)}, {inner(type_obj.value_type)})"
        if isinstance(type_obj, types.STRUCT):
            fields = (f"({field!r}, {inner(kind)})" for field, kind in type_obj.fields)
            return f"STRUCT({', '.join(fields)})"
        return f"{name}()"

    def compare_type(self, inspector_column: Column[Any], metadata_column: Column[Any]) -> bool:
        """Whether the types would be written differently in DDL."""
        return not same_type(self.dialect, inspector_column.type, metadata_column.type)

    def compare_server_default(
        self,
        inspector_column: Any,
        metadata_column: Any,
        rendered_metadata_default: str | None,
        rendered_inspector_default: str | None,
    ) -> bool:
        """Whether the defaults mean something else, or may."""
        compiler = cast("Any", self.dialect).ddl_compiler(self.dialect, None)
        wanted = compiler.get_column_default_string(metadata_column)
        found = compiler.get_column_default_string(inspector_column)
        kind = self.dialect.type_compiler_instance.process(metadata_column.type)
        return not same_default(wanted, found, str(kind))

    def autogen_column_reflect(self, inspector: Any, table: Any, column_info: Any) -> None:
        """Ask how values are made, in a table of which a model says that some are."""
        model = model_of(inspector, table)
        if model is None or not any(
            column.identity is not None or column.computed is not None for column in model.c
        ):
            return
        found = self.dialect.generated_of(  # type: ignore[attr-defined]
            inspector.bind, table.name, table.schema, info_cache=inspector.info_cache
        )
        column_info.update(found.get(column_info["name"], {}))

    def _compare_identity_default(
        self, metadata_identity: Identity | None, inspector_identity: Identity | None
    ) -> Any:
        """Compare how identity columns count: from 1, in ones, where a model does not say."""
        wanted = metadata_identity
        if wanted is not None and inspector_identity is not None:
            start = 1 if wanted.start is None else wanted.start
            increment = 1 if wanted.increment is None else wanted.increment
            wanted = Identity(always=wanted.always, start=start, increment=increment)
        compare: Any = super()._compare_identity_default
        return compare(wanted, inspector_identity)

    def correct_for_autogen_constraints(
        self,
        conn_uniques: set[Any],
        conn_indexes: set[Any],
        metadata_unique_constraints: set[Any],
        metadata_indexes: set[Any],
    ) -> None:
        """Compare unique indexes with the UNIQUE constraints that they are, if they are any."""
        by_name = {item.name: item for item in conn_uniques if item.name}
        for index in list(metadata_indexes):
            constraint = by_name.get(index.name)
            if not index.unique or not is_declared(index):
                metadata_indexes.discard(index)
            elif constraint is not None and _column_names(constraint) == _column_names(index):
                metadata_indexes.discard(index)
                conn_uniques.discard(constraint)


def same_type(dialect: Any, one: Any, other: Any) -> bool:
    """Whether two types are written the same in DDL; also where one of them is not known."""
    if other is None:
        return False
    if isinstance(one, NullType) or isinstance(other, NullType):
        return True  # nobody knows
    names = [str(dialect.type_compiler_instance.process(kind)).upper() for kind in (one, other)]
    return names[0] == names[1]


def _column_names(constraint: Any) -> list[str]:
    return [column.name for column in constraint.columns]
