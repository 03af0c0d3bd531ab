"""Autogenerate for the properties and the clustering of tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from alembic.autogenerate import comparators
from alembic.operations import ops
from sqlalchemy import Table

from vinci_code.database.dialect.migrations.running import table_name_of
from vinci_code.database.dialect.reflection.information_schema import Details
from vinci_code.database.dialect.reflection.names import stored
from vinci_code.database.dialect.sql.ddl import table_properties
from vinci_code.database.dialect.text.literals import quote_text

# Both words switch a feature on.
_FEATURE_ON = ("supported", "enabled")


class LayoutOp(ops.ExecuteSQLOp):
    """A statement that changes a table's properties or clustering, and the one that undoes it."""

    def __init__(self, table: str, schema: str | None, sqltext: str, undo: str) -> None:
        super().__init__(sqltext)
        self._table = table
        self._schema = schema
        self._undo = undo

    def reverse(self) -> LayoutOp:
        """The statement that undoes this one."""
        return LayoutOp(self._table, self._schema, self._undo, str(self.sqltext))

    def to_diff_tuple(self) -> tuple[Any, ...]:
        """What ``compare_metadata`` shows of it."""
        return ("alter_table_layout", self._schema, self._table, self.sqltext)


# Alembic 1.14 looks for no comparators of a dialect here, so that this is one of all dialects.
@comparators.dispatch_for("table")
def _compare_layout(
    context: Any,
    changes: Any,
    schema: str | None,
    name: str,
    found: Table | None,
    wanted: Table | None,
) -> None:
    """Compare the properties and the clustering of a table that declares them."""
    is_ours = hasattr(context.dialect, "details_of")
    if is_ours and found is not None and wanted is not None:
        declared = wanted.dialect_kwargs
        properties = declared.get("databricks_tblproperties")
        cluster_by = declared.get("databricks_cluster_by")
        if properties is not None or cluster_by is not None:
            inspector = context.inspector
            details = context.dialect.details_of(
                inspector.bind, name, schema, info_cache=inspector.info_cache
            )
            table = table_name_of(context.dialect, name, schema)
            statements = [
                *_property_changes(
                    table, None if properties is None else table_properties(wanted), details
                ),
                *_cluster_changes(context.dialect, table, cluster_by, details),
            ]
            changes.ops += [LayoutOp(name, schema, *statement) for statement in statements]


def _property_changes(
    table: str, wanted: Mapping[str, str] | None, details: Details
) -> Iterator[tuple[str, str]]:
    """The statements that set and unset properties, each with the one that undoes it."""
    if wanted is None:
        return
    found = {**details.features, **details.properties}
    for key, value in wanted.items():
        before = found.get(key)
        if before == value or (key in details.features and value in _FEATURE_ON):
            continue
        undo = _unset(table, key) if before is None else _set(table, key, before)
        yield _set(table, key, value), undo
    for key, value in found.items():
        if key not in wanted and not key.lower().startswith("delta."):
            yield _unset(table, key), _set(table, key, value)


def _cluster_changes(
    dialect: Any, table: str, declared: Any, details: Details
) -> Iterator[tuple[str, str]]:
    """The statement that changes the clustering, with the one that undoes it."""
    if declared is None or str(declared).upper() == "AUTO":
        return
    compiler = dialect.ddl_compiler(dialect, None)
    wanted = compiler.cluster_clause(declared or "none")
    found = compiler.cluster_clause(list(details.cluster_by) or "none")
    if stored(wanted) != stored(found):
        yield f"ALTER TABLE {table} {wanted}", f"ALTER TABLE {table} {found}"


def _set(table: str, key: str, value: str) -> str:
    return f"ALTER TABLE {table} SET TBLPROPERTIES ({quote_text(key)} = {quote_text(value)})"


def _unset(table: str, key: str) -> str:
    return f"ALTER TABLE {table} UNSET TBLPROPERTIES IF EXISTS ({quote_text(key)})"
