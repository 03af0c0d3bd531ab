"""ALTER TABLE and COMMENT ON: changes of a table's metadata, each a version of the table."""

# ruff: noqa: S608 - the names and values in this SQL are made by the engine itself

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlglot import exp

from vinci_code.warehouse.engine import namespaces, properties, views
from vinci_code.warehouse.engine.catalog import already_exists, table_not_found
from vinci_code.warehouse.engine.columns import (
    check_columns,
    check_default,
    column_names,
    invalid_key,
    read_column,
    read_key,
    read_type,
    resolve_key,
)
from vinci_code.warehouse.engine.model import (
    COLUMN_MAPPING,
    Check,
    Table,
    TableColumn,
    TableSchema,
    TableState,
)
from vinci_code.warehouse.engine.names import backtick, duckdb_name
from vinci_code.warehouse.engine.namespace import full_name
from vinci_code.warehouse.engine.namespaces import change_catalog
from vinci_code.warehouse.engine.reader import Reader, qualify
from vinci_code.warehouse.engine.result import Result, empty_result
from vinci_code.warehouse.engine.rows import staged_relation
from vinci_code.warehouse.engine.store import Change, select_rows
from vinci_code.warehouse.engine.work import Work
from vinci_code.warehouse.sql import parse
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.types import SqlType

_WIDER = {
    "TINYINT": ("SMALLINT", "INT", "BIGINT", "DOUBLE"),
    "SMALLINT": ("INT", "BIGINT", "DOUBLE"),
    "INT": ("BIGINT", "DOUBLE"),
    "FLOAT": ("DOUBLE",),
    "DATE": ("TIMESTAMP_NTZ",),
}


class _Alteration:
    """One ALTER TABLE statement on one table; the commit lock is held."""

    def __init__(self, work: Work, table: Table, reader: Reader) -> None:
        self.work = work
        self.table = table
        self.reader = reader
        self.new_columns: list[TableColumn] = []

    @property
    def state(self) -> TableState:
        return self.table.state

    @property
    def schema(self) -> TableSchema:
        return self.table.state.schema

    def commit(
        self, schema: TableSchema, operation: str, details: dict[str, str] | None = None
    ) -> None:
        """Make the changed metadata a version of the table."""
        room, base = self.work.room, self.state
        commit = replace(
            room.next_commit(self.table, base, operation),
            parameters=details or {},
            metadata=True,
            protocol=properties.changes_protocol(base.schema.properties, schema.properties),
        )
        change = Change(base, commit, schema=schema, new_columns=self.new_columns)
        with self.work.session.shielded():
            room.publish(self.work.cursor, [change])


def alter_table(work: Work, reader: Reader) -> Result:
    """Run ALTER TABLE."""
    parts = reader.name_parts()
    name = full_name(parts, work.session.catalog, work.session.schema)
    with work.room.store.commit_lock:
        alteration = _Alteration(work, work.catalogs.table(name), reader)
        for words, action in _ACTIONS:
            if reader.accept(*words):
                action(alteration)
                reader.end()
                return empty_result()
    for words in _REFUSED:
        if reader.peek(*words):
            raise unsupported(f"ALTER TABLE … {' '.join(words)}")
    raise reader.error()


# ---- columns


def _add_columns(change: _Alteration) -> None:
    reader, schema = change.reader, change.schema
    several = reader.accept("(")
    columns = list(schema.columns)
    number = schema.next_physical
    while True:
        if reader.peek("IF", "NOT", "EXISTS"):
            raise reader.error()
        spec = read_column(reader, f"c{number}")
        _check_added(spec.column, bool(spec.keys))
        _place(reader, columns, spec.column)
        change.new_columns.append(spec.column)
        number += 1
        if not several or not reader.accept(","):
            break
    if several:
        reader.expect(")")
    changed = replace(schema, columns=tuple(columns), next_physical=number)
    check_columns(change.work, change.table.name, changed)
    change.commit(changed, "ADD COLUMNS")


def _check_added(column: TableColumn, has_keys: bool) -> None:
    if column.default is not None:
        raise SqlError(
            "WRONG_COLUMN_DEFAULTS_FOR_DELTA_ALTER_TABLE_ADD_COLUMN_NOT_SUPPORTED",
            "0AKDC",
            "Failed to execute the command because DEFAULT values are not supported when adding "
            "new columns to previously existing Delta tables; please add the column without a "
            "default value first, then run a second ALTER TABLE ALTER COLUMN SET DEFAULT command "
            "to apply for future inserted rows instead.",
        )
    if not column.nullable and column.identity is None:
        raise unsupported(
            f"ADD COLUMN with NOT NULL ({backtick(column.name)}): add it first, then SET NOT NULL"
        )
    if column.identity is not None or column.generated is not None:
        raise unsupported("adding an identity or generated column to a table")
    if has_keys:
        raise unsupported("adding a column together with a constraint")


def _place(reader: Reader, columns: list[TableColumn], column: TableColumn) -> None:
    if reader.accept("FIRST"):
        columns.insert(0, column)
    elif reader.accept("AFTER"):
        name = reader.identifier().lower()
        names = [item.name.lower() for item in columns]
        if name not in names:
            raise SqlError(
                "DELTA_COLUMN_NOT_FOUND_IN_SCHEMA", "42703", f"Couldn't find column {name}."
            )
        columns.insert(names.index(name) + 1, column)
    else:
        columns.append(column)


def _rename_column(change: _Alteration) -> None:
    reader, schema = change.reader, change.schema
    old = schema.column(reader.identifier())
    reader.expect("TO")
    new = reader.identifier()
    if not schema.column_mapping:
        raise SqlError(
            "DELTA_UNSUPPORTED_RENAME_COLUMN",
            "0AKDC",
            f"Column rename is not supported for your Delta table. {_MAPPING_ADVICE}",
        )
    if schema.find(new) is not None and new.lower() != old.name.lower():
        raise _column_exists(new)
    _refuse_dependent(schema, old)
    renamed = schema.with_column(replace(old, name=new))
    changed = replace(
        renamed,
        partition_by=_renamed(schema.partition_by, old.name, new),
        cluster_by=_renamed(schema.cluster_by, old.name, new),
        keys=tuple(
            replace(key, columns=_renamed(key.columns, old.name, new)) for key in schema.keys
        ),
    )
    check_columns(change.work, change.table.name, changed)
    change.commit(changed, "RENAME COLUMN", {"oldColumnPath": old.name, "newColumnPath": new})


def _renamed(names: Sequence[str], old: str, new: str) -> tuple[str, ...]:
    return tuple(new if name.lower() == old.lower() else name for name in names)


def _drop_columns(change: _Alteration) -> None:
    reader, schema = change.reader, change.schema
    tolerant = reader.if_exists()
    names = reader.identifier_list() if reader.peek("(") else [reader.identifier()]
    if not schema.column_mapping:
        raise SqlError(
            "DELTA_UNSUPPORTED_DROP_COLUMN",
            "0AKDC",
            f"DROP COLUMN is not supported for your Delta table. {_MAPPING_ADVICE}",
        )
    gone = [schema.find(name) if tolerant else schema.column(name) for name in names]
    dropped = [column for column in gone if column is not None]
    if not dropped:
        return
    if len(dropped) == len(schema.columns):
        raise SqlError(
            "DELTA_DROP_COLUMN_ON_SINGLE_FIELD_SCHEMA",
            "0AKDC",
            "Cannot drop column from a schema with a single column.",
        )
    for column in dropped:
        _refuse_dependent(schema, column)
        _refuse_layout(schema, column)
    physical = {column.physical for column in dropped}
    kept = tuple(column for column in schema.columns if column.physical not in physical)
    listed = ", ".join(column.name for column in dropped)
    change.commit(replace(schema, columns=kept), "DROP COLUMNS", {"columns": listed})


def _refuse_layout(schema: TableSchema, column: TableColumn) -> None:
    lowered = column.name.lower()
    if lowered in {name.lower() for name in schema.partition_by}:
        raise SqlError(
            "DELTA_UNSUPPORTED_DROP_PARTITION_COLUMN",
            "0AKDC",
            f"Dropping partition columns ({column.name}) is not allowed.",
        )
    if lowered in {name.lower() for name in schema.cluster_by}:
        raise SqlError(
            "DELTA_UNSUPPORTED_DROP_CLUSTERING_COLUMN",
            "0AKDC",
            f"Dropping clustering columns ({column.name}) is not allowed.",
        )
    if any(lowered in {name.lower() for name in key.columns} for key in schema.keys):
        raise invalid_key(
            f"Cannot drop the column {backtick(column.name)} because a key constraint uses it. "
            "Drop the constraint first."
        )


def _refuse_dependent(schema: TableSchema, column: TableColumn) -> None:
    """Refuse to change a column that a CHECK constraint or a generated column uses."""
    used = [check for check in schema.checks if _mentions(check.condition, column.name)]
    if used:
        listed = "\n".join(f"{check.name} -> {check.condition}" for check in used)
        raise SqlError(
            "DELTA_CONSTRAINT_DEPENDENT_COLUMN_CHANGE",
            "42K09",
            f"Cannot alter column {column.name} because this column is referenced by the following "
            f"check constraint(s):\n{listed}",
        )
    users = [
        item
        for item in schema.columns
        if item.generated is not None and _mentions(item.generated, column.name)
    ]
    if users:
        listed = "\n".join(f"{item.name} -> {item.generated}" for item in users)
        raise SqlError(
            "DELTA_GENERATED_COLUMNS_DEPENDENT_COLUMN_CHANGE",
            "42K09",
            f"Cannot alter column {column.name} because this column is referenced by the following "
            f"generated column(s):\n{listed}",
        )


def _mentions(text: str, name: str) -> bool:
    lowered = name.lower()
    return any(
        part.name.lower() == lowered
        for column in parse.parse_expression(text).find_all(exp.Column)
        for part in column.parts
    )


def _alter_column(change: _Alteration) -> None:
    reader = change.reader
    column = change.schema.column(reader.identifier())
    if reader.peek("."):
        raise unsupported("altering a field of a STRUCT")
    for words, action in _COLUMN_ACTIONS:
        if reader.accept(*words):
            action(change, column)
            return
    raise reader.error()


def _column_comment(change: _Alteration, column: TableColumn) -> None:
    altered = replace(column, comment=change.reader.string())
    change.commit(change.schema.with_column(altered), "CHANGE COLUMN")


def _column_set_default(change: _Alteration, column: TableColumn) -> None:
    altered = replace(column, default=change.reader.rest())
    changed = change.schema.with_column(altered)
    check_default(change.work, changed, altered)
    change.commit(changed, "CHANGE COLUMN")


def _column_drop_default(change: _Alteration, column: TableColumn) -> None:
    change.commit(change.schema.with_column(replace(column, default=None)), "CHANGE COLUMN")


def _column_set_not_null(change: _Alteration, column: TableColumn) -> None:
    rows = select_rows(change.state)
    count = change.work.run(f"SELECT count(*) FROM ({rows}) WHERE {column.physical} IS NULL")[0][0]
    if count:
        raise SqlError(
            "DELTA_NEW_NOT_NULL_VIOLATION",
            "23512",
            f"{count} rows in {change.table.name} violate the new NOT NULL constraint on "
            f"{column.name}",
        )
    change.commit(change.schema.with_column(replace(column, nullable=False)), "CHANGE COLUMN")


def _column_drop_not_null(change: _Alteration, column: TableColumn) -> None:
    key = change.schema.primary_key
    if key is not None and column.name.lower() in {name.lower() for name in key.columns}:
        raise invalid_key(
            f"Cannot drop NOT NULL of the column {backtick(column.name)} of the primary key "
            f"{backtick(key.name)}."
        )
    change.commit(change.schema.with_column(replace(column, nullable=True)), "CHANGE COLUMN")


def _column_move(change: _Alteration, column: TableColumn, *, first: bool) -> None:
    columns = [item for item in change.schema.columns if item.physical != column.physical]
    position = 0
    if not first:
        after = change.schema.column(change.reader.identifier())
        if after.physical == column.physical:
            return
        position = columns.index(after) + 1
    columns.insert(position, column)
    change.commit(replace(change.schema, columns=tuple(columns)), "CHANGE COLUMN")


def _column_type(change: _Alteration, column: TableColumn) -> None:
    wanted = read_type(change.reader)
    if wanted == column.type:
        return
    if not change.schema.enabled("delta.enableTypeWidening") or not _widens(column.type, wanted):
        raise SqlError(
            "DELTA_UNSUPPORTED_ALTER_TABLE_CHANGE_COL_OP",
            "0AKDC",
            "ALTER TABLE ALTER COLUMN is not supported for changing column "
            f"{change.table.name}.{column.name} from {column.type.text} to {wanted.text}",
        )
    raise unsupported("ALTER COLUMN … TYPE with type widening")


def _widens(before: SqlType, after: SqlType) -> bool:
    return after.name in _WIDER.get(before.name, ())


def _sync_identity(change: _Alteration, column: TableColumn) -> None:
    if column.identity is None:
        raise SqlError(
            "DELTA_IDENTITY_ALTER_COLUMN_NOT_IDENTITY",
            "429BQ",
            f"ALTER TABLE ALTER COLUMN SYNC IDENTITY is only supported by Delta: the column "
            f"{column.name} is not an IDENTITY column.",
        )
    step = column.identity.step
    best = "max" if step > 0 else "min"
    rows = select_rows(change.state)
    found = change.work.run(f"SELECT {best}({column.physical}) FROM ({rows})")[0][0]
    if found is not None:
        key = (change.state.id, column.physical)
        current = change.work.catalogs.identity.get(key, column.identity.start)
        after = found + step
        newest = max(current, after) if step > 0 else min(current, after)
        _commit_identity(change, column, newest)


def _commit_identity(change: _Alteration, column: TableColumn, value: int) -> None:
    room = change.work.room
    commit = replace(room.next_commit(change.table, change.state, "SYNC IDENTITY"), metadata=True)
    changes = [Change(change.state, commit, identity={column.physical: value})]
    with change.work.session.shielded():
        room.publish(change.work.cursor, changes)


# ---- properties, layout, name


def _set_properties(change: _Alteration) -> None:
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


def _unset_properties(change: _Alteration) -> None:
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


def _cluster(change: _Alteration) -> None:
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


def _rename_table(change: _Alteration) -> None:
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


def _owner(change: _Alteration) -> None:
    owner = change.reader.identifier()
    work, table = change.work, change.table

    def persist() -> None:
        work.catalogs.write_table(work.cursor, Table(table.state, table.created, owner))

    def show() -> None:
        table.owner = owner

    change_catalog(work, persist, show)


# ---- constraints


def _add_constraint(change: _Alteration) -> None:
    reader = change.reader
    named = reader.tokens[reader.index - 1].text.upper() == "CONSTRAINT"
    first = reader.index
    name = reader.identifier() if named else None
    if named and reader.accept("CHECK"):
        _add_check(change, name or "", reader.enclosed())
        return
    reader.index = first - 1
    spec = read_key(reader)
    schema = change.schema
    if spec.kind == "PRIMARY KEY":
        if schema.primary_key is not None:
            raise invalid_key(f"The table {change.table.name} has a primary key already.")
        loose = [item for item in spec.columns if schema.column(item).nullable]
        if loose:
            raise invalid_key(
                f"Cannot create the primary key {backtick(spec.name or 'primary key')} because its "
                f"child column(s) {', '.join(backtick(item) for item in loose)} is nullable. "
                "Please change the column nullability and retry."
            )
    key = resolve_key(change.work, change.table.name, schema, spec)
    change.commit(replace(schema, keys=(*schema.keys, key)), "ADD CONSTRAINT", {"name": key.name})


def _add_check(change: _Alteration, name: str, condition: str) -> None:
    schema, work, state = change.schema, change.work, change.state
    for check in schema.checks:
        if check.name.lower() == name.lower():
            raise SqlError(
                "DELTA_CONSTRAINT_ALREADY_EXISTS",
                "42710",
                f"Constraint '{name}' already exists. Please delete the old constraint first. Old "
                f"constraint: {check.condition}",
            )
    alias = state.name.name
    rows = select_rows(state)
    translated = work.text_expression(condition, (alias, staged_relation(state, f"({rows})")))
    work.binds.clear()
    if translated.type.name != "BOOLEAN":
        raise SqlError(
            "DELTA_NON_BOOLEAN_CHECK_CONSTRAINT",
            "42621",
            f"CHECK constraint '{name}' ({condition}) should be a boolean expression.",
        )
    count = work.run(
        f"SELECT count(*) FROM ({rows}) AS {duckdb_name(alias)} "
        f"WHERE NOT coalesce({translated.sql}, false)",
        translated.binds,
    )[0][0]
    if count:
        raise SqlError(
            "DELTA_NEW_CHECK_CONSTRAINT_VIOLATION",
            "23512",
            f"{count} rows in {change.table.name} violate the new CHECK constraint ({condition})",
        )
    changed = replace(schema, checks=(*schema.checks, Check(name, condition)))
    change.commit(changed, "ADD CONSTRAINT", {"name": name, "expr": condition})


def _drop_constraint(change: _Alteration) -> None:
    reader, schema = change.reader, change.schema
    tolerant = reader.if_exists()
    name = reader.identifier()
    reader.accept_any("RESTRICT", "CASCADE")
    lowered = name.lower()
    keys = tuple(key for key in schema.keys if key.name.lower() != lowered)
    checks = tuple(check for check in schema.checks if check.name.lower() != lowered)
    if len(keys) == len(schema.keys) and len(checks) == len(schema.checks):
        if tolerant:
            return
        raise SqlError(
            "DELTA_CONSTRAINT_DOES_NOT_EXIST",
            "42704",
            f"Cannot drop nonexistent constraint {name} from table {change.table.name}. To avoid "
            "throwing an error, provide the parameter IF EXISTS.",
        )
    change.commit(replace(schema, keys=keys, checks=checks), "DROP CONSTRAINT", {"name": name})


def _drop_key(change: _Alteration, kind: str) -> None:
    reader, schema = change.reader, change.schema
    tolerant = reader.if_exists()
    columns = reader.identifier_list() if reader.peek("(") else None
    reader.accept_any("RESTRICT", "CASCADE")

    def matches(columns_of_key: tuple[str, ...]) -> bool:
        wanted = [item.lower() for item in columns or columns_of_key]
        return [item.lower() for item in columns_of_key] == wanted

    keys = tuple(key for key in schema.keys if not (key.kind == kind and matches(key.columns)))
    if len(keys) == len(schema.keys):
        if tolerant:
            return
        raise SqlError(
            "DELTA_CONSTRAINT_DOES_NOT_EXIST",
            "42704",
            f"Cannot drop nonexistent constraint {kind} from table {change.table.name}.",
        )
    change.commit(replace(schema, keys=keys), "DROP CONSTRAINT")


# ---- COMMENT ON


def comment_on(work: Work, reader: Reader) -> Result:
    """Run COMMENT ON."""
    reader.expect("COMMENT", "ON")
    kind = reader.accept_any("CATALOG", "SCHEMA", "DATABASE", "TABLE", "VIEW", "COLUMN")
    if kind is None:
        if reader.accept_any("CONNECTION", "PROVIDER", "RECIPIENT", "SHARE", "VOLUME"):
            raise unsupported("COMMENT ON this kind of object")
        raise reader.error()
    parts = reader.name_parts()
    reader.expect("IS")
    comment = None if reader.accept("NULL") else reader.string()
    reader.end()
    if kind == "CATALOG":
        namespaces.comment_catalog(work, parts[0], comment)
    elif kind in ("SCHEMA", "DATABASE"):
        namespaces.comment_schema(work, parts, comment)
    elif kind == "COLUMN":
        _comment_on_column(work, parts, comment)
    else:
        _comment_on_table(work, parts, comment)
    return empty_result()


def _comment_on_table(work: Work, parts: list[str], comment: str | None) -> None:
    name = full_name(parts, work.session.catalog, work.session.schema)
    view = work.catalogs.find_view(name)
    if view is not None:
        views.comment_view(work, view, comment)
        return
    with work.room.store.commit_lock:
        change = _Alteration(work, work.catalogs.table(name), Reader(""))
        change.commit(replace(change.schema, comment=comment), "SET TBLPROPERTIES")


def _comment_on_column(work: Work, parts: list[str], comment: str | None) -> None:
    if len(parts) < 2:
        raise table_not_found(parts[0])
    name = full_name(parts[:-1], work.session.catalog, work.session.schema)
    with work.room.store.commit_lock:
        change = _Alteration(work, work.catalogs.table(name), Reader(""))
        column = replace(change.schema.column(parts[-1]), comment=comment)
        change.commit(change.schema.with_column(column), "CHANGE COLUMN")


def _column_exists(name: str) -> SqlError:
    return SqlError(
        "COLUMN_ALREADY_EXISTS",
        "42711",
        f"The column {backtick(name.lower())} already exists. Choose another name or rename the "
        "existing column.",
    )


_MAPPING_ADVICE = (
    "Please enable Column Mapping on your Delta table with mapping mode 'name'. You can use one of "
    "the following commands: ALTER TABLE <table_name> SET TBLPROPERTIES "
    "('delta.columnMapping.mode' = 'name')"
)

_ACTIONS: tuple[tuple[tuple[str, ...], Callable[[_Alteration], None]], ...] = (
    (("ADD", "COLUMNS"), _add_columns),
    (("ADD", "COLUMN"), _add_columns),
    (("ADD", "CONSTRAINT"), _add_constraint),
    (("ADD", "PRIMARY"), _add_constraint),
    (("ADD", "FOREIGN"), _add_constraint),
    (("ADD", "UNIQUE"), _add_constraint),
    (("RENAME", "COLUMN"), _rename_column),
    (("RENAME", "TO"), _rename_table),
    (("DROP", "COLUMNS"), _drop_columns),
    (("DROP", "COLUMN"), _drop_columns),
    (("DROP", "CONSTRAINT"), _drop_constraint),
    (("DROP", "PRIMARY", "KEY"), lambda change: _drop_key(change, "PRIMARY KEY")),
    (("DROP", "FOREIGN", "KEY"), lambda change: _drop_key(change, "FOREIGN KEY")),
    (("ALTER", "COLUMN"), _alter_column),
    (("CHANGE", "COLUMN"), _alter_column),
    (("SET", "TBLPROPERTIES"), _set_properties),
    (("UNSET", "TBLPROPERTIES"), _unset_properties),
    (("SET", "OWNER", "TO"), _owner),
    (("OWNER", "TO"), _owner),
    (("CLUSTER", "BY"), _cluster),
)

_COLUMN_ACTIONS: tuple[tuple[tuple[str, ...], Callable[[_Alteration, TableColumn], None]], ...] = (
    (("COMMENT",), _column_comment),
    (("SET", "DEFAULT"), _column_set_default),
    (("DROP", "DEFAULT"), _column_drop_default),
    (("SET", "NOT", "NULL"), _column_set_not_null),
    (("DROP", "NOT", "NULL"), _column_drop_not_null),
    (("FIRST",), lambda change, column: _column_move(change, column, first=True)),
    (("AFTER",), lambda change, column: _column_move(change, column, first=False)),
    (("TYPE",), _column_type),
    (("SYNC", "IDENTITY"), _sync_identity),
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
