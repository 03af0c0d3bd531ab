"""ALTER TABLE: which form it is; and properties, layout, name and owner of a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from vinci_code.warehouse.engine import (
    alter_columns,
    alter_constraints,
    properties,
)
from vinci_code.warehouse.engine.alteration import Alteration
from vinci_code.warehouse.engine.catalog import already_exists
from vinci_code.warehouse.engine.columns import (
    column_names,
)
from vinci_code.warehouse.engine.model import (
    COLUMN_MAPPING,
    Table,
)
from vinci_code.warehouse.engine.namespace import full_name
from vinci_code.warehouse.engine.namespaces import change_catalog
from vinci_code.warehouse.engine.reader import Reader, qualify
from vinci_code.warehouse.engine.result import Result, empty_result
from vinci_code.warehouse.engine.work import Work
from vinci_code.warehouse.sql.errors import SqlError, unsupported


def alter_table(work: Work, reader: Reader) -> Result:
    """Run ALTER TABLE."""
    parts = reader.name_parts()
    name = full_name(parts, work.session.catalog, work.session.schema)
    with work.room.store.commit_lock:
        alteration = Alteration(work, work.catalogs.table(name), reader)
        for words, action in _ACTIONS:
            if reader.accept(*words):
                action(alteration)
                reader.end()
                return empty_result()
    for words in _REFUSED:
        if reader.peek(*words):
            raise unsupported(f"ALTER TABLE … {' '.join(words)}")
    raise reader.error()


def _set_properties(change: Alteration) -> None:
    added = properties.checked(change.reader.properties())
    before = change.schema.properties
    old_mode, new_mode = before.get(COLUMN_MAPPING, "none"), added.get(COLUMN_MAPPING)
    if new_mode is not None and (old_mode, new_mode) not in (
        ("none", "none"),
        ("none", "name"),
        ("name", "name"),
        ("id", "id"),
    ):
        raise SqlError(
            "DELTA_UNSUPPORTED_COLUMN_MAPPING_MODE_CHANGE",
            "0AKDC",
            f"Changing column mapping mode from '{old_mode}' to '{new_mode}' is not supported.",
        )
    changed = replace(change.schema, properties={**before, **added})
    change.commit(changed, "SET TBLPROPERTIES", {"properties": str(added)})


def _unset_properties(change: Alteration) -> None:
    reader = change.reader
    tolerant = reader.if_exists()
    reader.expect("(")
    keys = [reader.property_key()]
    while reader.accept(","):
        keys.append(reader.property_key())
    reader.expect(")")
    kept = dict(change.schema.properties)
    for key in keys:
        if key.lower().startswith(properties.FEATURE):
            raise unsupported(f"removing the table feature {key}")
        if kept.pop(key, None) is None and not tolerant:
            raise SqlError(
                "DELTA_UNSET_NON_EXISTENT_PROPERTY",
                "42616",
                f"Attempted to unset non-existent property '{key}' in table {change.table.name}",
            )
    change.commit(replace(change.schema, properties=kept), "UNSET TBLPROPERTIES")


def _cluster(change: Alteration) -> None:
    reader, schema = change.reader, change.schema
    if schema.partition_by:
        raise SqlError(
            "DELTA_ALTER_TABLE_CLUSTER_BY_ON_PARTITIONED_TABLE_NOT_ALLOWED",
            "42000",
            "ALTER TABLE CLUSTER BY cannot be applied to a partitioned table.",
        )
    auto, names = False, []
    if reader.accept("AUTO"):
        auto = True
    elif not reader.accept("NONE"):
        names = reader.identifier_list()
    changed = replace(schema, cluster_by=column_names(schema, names), cluster_auto=auto)
    change.commit(changed, "CLUSTER BY")


def _rename_table(change: Alteration) -> None:
    old = change.table.name
    new = qualify(change.reader.name_parts(), old.catalog, old.schema)
    work, table = change.work, change.table
    schema = work.catalogs.schema(new.catalog, new.schema)
    if new.name in schema.tables or new.name in schema.views:
        raise already_exists(new)

    def persist() -> None:
        work.room.store.remove(work.cursor, "table", str(old))
        work.catalogs.write_table(
            work.cursor, Table(replace(table.state, name=new), table.created, table.owner)
        )

    def show() -> None:
        del work.catalogs.schema(old.catalog, old.schema).tables[old.name]
        table.state = replace(table.state, name=new)
        schema.tables[new.name] = table

    change_catalog(work, persist, show)


def _owner(change: Alteration) -> None:
    owner = change.reader.identifier()
    work, table = change.work, change.table

    def persist() -> None:
        work.catalogs.write_table(work.cursor, Table(table.state, table.created, owner))

    def show() -> None:
        table.owner = owner

    change_catalog(work, persist, show)


_ACTIONS: tuple[tuple[tuple[str, ...], Callable[[Alteration], None]], ...] = (
    (("ADD", "COLUMNS"), alter_columns.add_columns),
    (("ADD", "COLUMN"), alter_columns.add_columns),
    (("ADD", "CONSTRAINT"), alter_constraints.add_constraint),
    (("ADD", "PRIMARY"), alter_constraints.add_constraint),
    (("ADD", "FOREIGN"), alter_constraints.add_constraint),
    (("ADD", "UNIQUE"), alter_constraints.add_constraint),
    (("RENAME", "COLUMN"), alter_columns.rename_column),
    (("RENAME", "TO"), _rename_table),
    (("DROP", "COLUMNS"), alter_columns.drop_columns),
    (("DROP", "COLUMN"), alter_columns.drop_columns),
    (("DROP", "CONSTRAINT"), alter_constraints.drop_constraint),
    (("DROP", "PRIMARY", "KEY"), lambda change: alter_constraints.drop_key(change, "PRIMARY KEY")),
    (("DROP", "FOREIGN", "KEY"), lambda change: alter_constraints.drop_key(change, "FOREIGN KEY")),
    (("ALTER", "COLUMN"), alter_columns.alter_column),
    (("CHANGE", "COLUMN"), alter_columns.alter_column),
    (("SET", "TBLPROPERTIES"), _set_properties),
    (("UNSET", "TBLPROPERTIES"), _unset_properties),
    (("SET", "OWNER", "TO"), _owner),
    (("OWNER", "TO"), _owner),
    (("CLUSTER", "BY"), _cluster),
)

_REFUSED = (
    ("ADD", "PARTITION"),
    ("DROP", "PARTITION"),
    ("DROP", "FEATURE"),
    ("PARTITION",),
    ("RECOVER", "PARTITIONS"),
    ("REPLACE", "COLUMNS"),
    ("SET", "LOCATION"),
    ("SET", "ROW"),
    ("SET", "TAGS"),
    ("UNSET", "TAGS"),
    ("SET", "MANAGED"),
    ("SET", "SERDE"),
    ("DROP", "ROW"),
    ("ENABLE",),
    ("DISABLE",),
    ("DEFAULT", "COLLATION"),
)
