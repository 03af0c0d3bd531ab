"""ALTER TABLE: adding, renaming, dropping and changing columns."""
# ruff: noqa: S608 - the names and values in this SQL are made by the engine itself

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlglot import exp

from vinci_code.warehouse.engine.alteration import Alteration
from vinci_code.warehouse.engine.columns import (
    check_columns,
    check_default,
    invalid_key,
    read_column,
    read_type,
)
from vinci_code.warehouse.engine.model import (
    TableColumn,
    TableSchema,
)
from vinci_code.warehouse.engine.names import backtick
from vinci_code.warehouse.engine.reader import Reader
from vinci_code.warehouse.engine.store import Change, select_rows
from vinci_code.warehouse.sql import parse
from vinci_code.warehouse.sql.coercion import precision_scale
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.types import SqlType

_WIDER = {
    "TINYINT": ("SMALLINT", "INT", "BIGINT", "DOUBLE"),
    "SMALLINT": ("INT", "BIGINT", "DOUBLE"),
    "INT": ("BIGINT", "DOUBLE"),
    "FLOAT": ("DOUBLE",),
    "DATE": ("TIMESTAMP_NTZ",),
}
# Of a DECIMAL that an integer is widened to, the least digits before the point.
_DIGITS = {"TINYINT": 10, "SMALLINT": 10, "INT": 10, "BIGINT": 20}


def add_columns(change: Alteration) -> None:
    """Run ADD COLUMN."""
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


def rename_column(change: Alteration) -> None:
    """Run RENAME COLUMN."""
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


def drop_columns(change: Alteration) -> None:
    """Run DROP COLUMN."""
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


def alter_column(change: Alteration) -> None:
    """Run ALTER COLUMN."""
    reader = change.reader
    column = change.schema.column(reader.identifier())
    if reader.peek("."):
        raise unsupported("altering a field of a STRUCT")
    for words, action in _COLUMN_ACTIONS:
        if reader.accept(*words):
            action(change, column)
            return
    raise reader.error()


def _column_comment(change: Alteration, column: TableColumn) -> None:
    altered = replace(column, comment=change.reader.string())
    change.commit(change.schema.with_column(altered), "CHANGE COLUMN")


def _column_set_default(change: Alteration, column: TableColumn) -> None:
    altered = replace(column, default=change.reader.rest())
    changed = change.schema.with_column(altered)
    check_default(change.work, changed, altered)
    change.commit(changed, "CHANGE COLUMN")


def _column_drop_default(change: Alteration, column: TableColumn) -> None:
    change.commit(change.schema.with_column(replace(column, default=None)), "CHANGE COLUMN")


def _column_set_not_null(change: Alteration, column: TableColumn) -> None:
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


def _column_drop_not_null(change: Alteration, column: TableColumn) -> None:
    key = change.schema.primary_key
    if key is not None and column.name.lower() in {name.lower() for name in key.columns}:
        raise invalid_key(
            f"Cannot drop NOT NULL of the column {backtick(column.name)} of the primary key "
            f"{backtick(key.name)}."
        )
    change.commit(change.schema.with_column(replace(column, nullable=True)), "CHANGE COLUMN")


def _column_move(change: Alteration, column: TableColumn, *, first: bool) -> None:
    columns = [item for item in change.schema.columns if item.physical != column.physical]
    position = 0
    if not first:
        after = change.schema.column(change.reader.identifier())
        if after.physical == column.physical:
            return
        position = columns.index(after) + 1
    columns.insert(position, column)
    change.commit(replace(change.schema, columns=tuple(columns)), "CHANGE COLUMN")


def _column_type(change: Alteration, column: TableColumn) -> None:
    wanted = read_type(change.reader)
    if wanted == column.type:
        return
    widens = _widens(column.type, wanted)
    if not widens and column.type.name == wanted.name == "DECIMAL":
        # Spark refuses it before Delta sees it.
        raise SqlError(
            "NOT_SUPPORTED_CHANGE_COLUMN",
            "0A000",
            f"ALTER TABLE ALTER/CHANGE COLUMN is not supported for changing {change.table.name}'s "
            f'column {backtick(column.name)} with type "{column.type.text}" to '
            f'{backtick(column.name)} with type "{wanted.text}".',
        )
    if not change.schema.enabled("delta.enableTypeWidening") or not widens:
        raise SqlError(
            "DELTA_UNSUPPORTED_ALTER_TABLE_CHANGE_COL_OP",
            "0AKDC",
            "ALTER TABLE ALTER COLUMN is not supported for changing column "
            f"{change.table.name}.{column.name} from {column.type.text} to {wanted.text}",
        )
    _refuse_dependent(change.schema, column)
    if column.identity is not None:
        raise SqlError(
            "DELTA_IDENTITY_COLUMNS_ALTER_COLUMN_NOT_SUPPORTED",
            "429BQ",
            "ALTER TABLE ALTER COLUMN is not supported for IDENTITY columns.",
        )
    # Into a column of its own: the versions before have the narrow one.
    schema = change.schema
    wider = replace(column, type=wanted, physical=f"c{schema.next_physical}")
    columns = tuple(wider if item is column else item for item in schema.columns)
    changed = replace(schema, columns=columns, next_physical=schema.next_physical + 1)
    check_columns(change.work, change.table.name, changed)
    change.new_columns.append(wider)
    change.copied[wider.physical] = f"CAST({column.physical} AS {wider.type.duckdb()})"
    change.commit(changed, "CHANGE COLUMN")


def _widens(before: SqlType, after: SqlType) -> bool:
    if after.name != "DECIMAL":
        return after.name in _WIDER.get(before.name, ())
    (precision, scale) = precision_scale(after)
    if before.name == "DECIMAL":
        before_precision, before_scale = precision_scale(before)
        return scale >= before_scale and precision - scale >= before_precision - before_scale
    return precision - scale >= _DIGITS.get(before.name, precision + 1)


def _sync_identity(change: Alteration, column: TableColumn) -> None:
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


def _commit_identity(change: Alteration, column: TableColumn, value: int) -> None:
    room = change.work.room
    commit = replace(room.next_commit(change.table, change.state, "SYNC IDENTITY"), metadata=True)
    changes = [Change(change.state, commit, identity={column.physical: value})]
    with change.work.session.shielded():
        room.publish(change.work.cursor, changes)


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


def _refuse_mask(_change: Alteration, _column: TableColumn) -> None:
    raise unsupported("column masks")


def _refuse_tags(_change: Alteration, _column: TableColumn) -> None:
    raise unsupported("tags of a column")


_COLUMN_ACTIONS: tuple[tuple[tuple[str, ...], Callable[[Alteration, TableColumn], None]], ...] = (
    (("COMMENT",), _column_comment),
    (("SET", "DEFAULT"), _column_set_default),
    (("DROP", "DEFAULT"), _column_drop_default),
    (("SET", "MASK"), _refuse_mask),
    (("DROP", "MASK"), _refuse_mask),
    (("SET", "TAGS"), _refuse_tags),
    (("UNSET", "TAGS"), _refuse_tags),
    (("SET", "NOT", "NULL"), _column_set_not_null),
    (("DROP", "NOT", "NULL"), _column_drop_not_null),
    (("FIRST",), lambda change, column: _column_move(change, column, first=True)),
    (("AFTER",), lambda change, column: _column_move(change, column, first=False)),
    (("TYPE",), _column_type),
    (("SYNC", "IDENTITY"), _sync_identity),
)
