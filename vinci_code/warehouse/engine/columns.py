"""Column definitions and table constraints, as CREATE TABLE and ALTER TABLE spell them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from vinci_code.warehouse.engine.model import (
    Identity,
    KeyConstraint,
    TableColumn,
    TableSchema,
    unresolved_column,
)
from vinci_code.warehouse.engine.names import TableName, backtick
from vinci_code.warehouse.engine.reader import Reader, qualify
from vinci_code.warehouse.engine.work import Work
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.query_context import Relation
from vinci_code.warehouse.sql.types import SqlType, parse_type

_OPTIONS = (
    "NOT",
    "COMMENT",
    "DEFAULT",
    "GENERATED",
    "CONSTRAINT",
    "PRIMARY",
    "UNIQUE",
    "REFERENCES",
    "FOREIGN",
    "CHECK",
    "MASK",
    "COLLATE",
    "FIRST",
    "AFTER",
    ",",
)
_FORBIDDEN = frozenset(" ,;{}()\n\t=")


@dataclass
class ColumnSpec:
    """A column as it was defined, with the constraints in its definition."""

    column: TableColumn
    keys: list[KeySpec] = field(default_factory=list)


@dataclass(frozen=True)
class KeySpec:
    """A key as it was defined, before its parent is looked up."""

    kind: str
    columns: tuple[str, ...]
    name: str | None = None
    rely: bool = False
    parent: tuple[str, ...] = ()
    parent_columns: tuple[str, ...] = ()


def read_column(reader: Reader, physical: str) -> ColumnSpec:
    """Read one column definition."""
    name = reader.identifier()
    spec = ColumnSpec(TableColumn(name, read_type(reader), physical))
    while not reader.done and not reader.peek(",") and not reader.peek(")"):
        if reader.peek("FIRST") or reader.peek("AFTER"):
            break
        _read_option(reader, spec)
    return spec


def read_type(reader: Reader) -> SqlType:
    """Read a type, nested ones included."""
    first = reader.index
    word = reader.identifier().upper()
    if word == "INTERVAL":
        units = ("YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND", "TO")
        while any(reader.accept(unit) for unit in units):
            continue
    if reader.peek("("):
        reader.enclosed()
    elif reader.accept("<"):
        _skip_angles(reader)
    if reader.accept("COLLATE"):
        raise unsupported("COLLATE")
    text = reader.text[reader.lexemes[first].start : reader.lexemes[reader.index - 1].end]
    return parse_type(text)


def _skip_angles(reader: Reader) -> None:
    depth = 1
    while depth:
        lexeme = reader.next()
        if lexeme.kind == "symbol":
            depth += lexeme.text.count("<") - lexeme.text.count(">")


def _read_option(reader: Reader, spec: ColumnSpec) -> None:
    column = spec.column
    if reader.accept("NOT", "NULL"):
        spec.column = replace(column, nullable=False)
    elif reader.accept("COMMENT"):
        spec.column = replace(column, comment=reader.string())
    elif reader.accept("DEFAULT"):
        spec.column = replace(column, default=reader.until(*_OPTIONS))
    elif reader.accept("GENERATED"):
        spec.column = _read_generated(reader, column)
    elif reader.accept("MASK"):
        raise unsupported("column masks")
    elif reader.accept("COLLATE"):
        raise unsupported("COLLATE")
    else:
        key = read_key(reader, column.name)
        spec.keys.append(key)


def _read_generated(reader: Reader, column: TableColumn) -> TableColumn:
    always = reader.accept("ALWAYS")
    if not always:
        reader.expect("BY", "DEFAULT")
    reader.expect("AS")
    if not reader.accept("IDENTITY"):
        if not always:
            raise reader.error()
        return replace(column, generated=reader.enclosed())
    start, step = 1, 1
    if reader.accept("("):
        while not reader.accept(")"):
            if reader.accept("START", "WITH") or reader.accept("START"):
                start = reader.integer()
            elif reader.accept("INCREMENT", "BY") or reader.accept("INCREMENT"):
                step = reader.integer()
            else:
                raise reader.error()
    return replace(column, identity=Identity(always, start, step), nullable=False)


def read_key(reader: Reader, own_column: str | None = None) -> KeySpec:
    """Read a key, at CONSTRAINT, PRIMARY, UNIQUE, FOREIGN or REFERENCES.

    It is part of the definition of ``own_column``, or else of a table or ALTER TABLE … ADD.
    """
    name = reader.identifier() if reader.accept("CONSTRAINT") else None
    columns: tuple[str, ...] = () if own_column is None else (own_column,)
    if reader.peek("CHECK"):
        raise reader.error()
    if reader.accept("PRIMARY", "KEY"):
        kind = "PRIMARY KEY"
    elif reader.accept("UNIQUE"):
        kind = "UNIQUE"
    else:
        return _read_foreign_key(reader, name, columns)
    if own_column is None:
        columns = _key_columns(reader)
    return KeySpec(kind, columns, name, _read_key_options(reader))


def _key_columns(reader: Reader) -> tuple[str, ...]:
    reader.expect("(")
    names = [reader.identifier()]
    reader.accept("TIMESERIES")
    while reader.accept(","):
        names.append(reader.identifier())
        reader.accept("TIMESERIES")
    reader.expect(")")
    return tuple(names)


def _read_foreign_key(reader: Reader, name: str | None, columns: tuple[str, ...]) -> KeySpec:
    if reader.accept("FOREIGN", "KEY"):
        if not columns or reader.peek("("):
            columns = tuple(reader.identifier_list())
    elif not columns:
        raise reader.error()
    reader.expect("REFERENCES")
    parent = tuple(reader.name_parts())
    parent_columns = tuple(reader.identifier_list()) if reader.peek("(") else ()
    rely = _read_key_options(reader)
    return KeySpec("FOREIGN KEY", columns, name, rely, parent, parent_columns)


def _read_key_options(reader: Reader) -> bool:
    rely = False
    while True:
        if reader.accept("NOT", "ENFORCED") or reader.accept_any("DEFERRABLE", "NORELY"):
            continue
        if reader.accept("INITIALLY", "DEFERRED") or reader.accept("MATCH", "FULL"):
            continue
        if reader.accept("ON", "UPDATE") or reader.accept("ON", "DELETE"):
            reader.expect("NO", "ACTION")
        elif reader.accept("RELY"):
            rely = True
        else:
            return rely


def resolve_key(work: Work, table: TableName, schema: TableSchema, spec: KeySpec) -> KeyConstraint:
    """Return a key with its columns and its parent looked up.

    Raises:
        SqlError: Where a column or the parent is not there, or the parent has no such primary key.
    """
    names = tuple(schema.column(name).name for name in spec.columns)
    if spec.kind != "FOREIGN KEY":
        suffix = "pk" if spec.kind == "PRIMARY KEY" else "unique"
        name = spec.name or f"{table.name}_{suffix}"
        return KeyConstraint(_free_name(schema, name, spec.name), spec.kind, names, spec.rely)
    parent = qualify(list(spec.parent), work.session.catalog, work.session.schema)
    parent_schema = schema if parent == table else work.catalogs.table(parent).state.schema
    columns = _parent_columns(parent, parent_schema, spec)
    if len(columns) != len(names):
        raise invalid_key(
            f"The foreign key has {len(names)} columns and its parent key {len(columns)}."
        )
    name = spec.name or f"{table.name}_{parent.name}_fk"
    return KeyConstraint(
        _free_name(schema, name, spec.name), spec.kind, names, spec.rely, parent, columns
    )


def _parent_columns(parent: TableName, schema: TableSchema, spec: KeySpec) -> tuple[str, ...]:
    primary = schema.primary_key
    if primary is None:
        raise invalid_key(f"The parent table {parent} has no primary key.")
    if not spec.parent_columns:
        return primary.columns
    columns = tuple(schema.column(name).name for name in spec.parent_columns)
    if sorted(primary.columns) != sorted(columns):
        raise invalid_key(
            f"The referenced columns ({', '.join(columns)}) of {parent} are not its primary key."
        )
    return columns


def invalid_key(message: str) -> SqlError:
    """Return the error for a key that Unity Catalog refuses."""
    return SqlError("INVALID_PARAMETER_VALUE", "22023", message)


def _free_name(schema: TableSchema, name: str, asked: str | None) -> str:
    """Return the stored form of a constraint's name, which is in small letters."""
    taken = {key.name for key in schema.keys} | {check.name for check in schema.checks}
    wanted = name.lower()
    if wanted not in taken:
        return wanted
    if asked is not None:
        raise SqlError(
            "DELTA_CONSTRAINT_ALREADY_EXISTS",
            "42710",
            f"Constraint '{name}' already exists. Please delete the old constraint first.",
        )
    number = 1
    while f"{wanted}_{number}" in taken:
        number += 1
    return f"{wanted}_{number}"


# ---- what a table's columns have to be like


def check_columns(work: Work, table: TableName, schema: TableSchema) -> None:
    """Check the columns of a table that is to be.

    Raises:
        SqlError: For repeated names, types that Delta cannot store, and defaults, identity and
            generated columns that are not possible.
    """
    _check_names(schema)
    for column in schema.columns:
        _check_type(column)
        if column.default is not None:
            check_default(work, schema, column)
        if column.identity is not None:
            _check_identity(schema, column)
        if column.generated is not None:
            _check_generated(work, table, schema, column)
    for name in (*schema.partition_by, *schema.cluster_by):
        schema.column(name)


def _check_names(schema: TableSchema) -> None:
    seen: set[str] = set()
    for column in schema.columns:
        if column.name.lower() in seen:
            raise SqlError(
                "COLUMN_ALREADY_EXISTS",
                "42711",
                f"The column {backtick(column.name.lower())} already exists. Choose another name "
                "or rename the existing column.",
            )
        seen.add(column.name.lower())
        if _FORBIDDEN & set(column.name) and not schema.column_mapping:
            raise SqlError(
                "DELTA_INVALID_CHARACTERS_IN_COLUMN_NAMES",
                "42K05",
                "Found invalid character(s) among ' ,;{}()\\n\\t=' in the column names of your "
                f"schema. Invalid column names: {column.name}. Please use other characters and try "
                "again. Alternatively, enable Column Mapping to keep using these characters.",
            )


def _check_type(column: TableColumn) -> None:
    if column.type.is_interval:
        raise SqlError(
            "DELTA_UNSUPPORTED_DATA_TYPES",
            "0AKDC",
            f"Found columns using unsupported data types: [{column.name}: {column.type.text}].",
        )
    if column.type.name == "VOID":
        raise unsupported(f"a column of type VOID: {backtick(column.name)}")


def check_default(work: Work, schema: TableSchema, column: TableColumn) -> None:
    """Check a column's default.

    Raises:
        SqlError: ``WRONG_COLUMN_DEFAULTS_FOR_DELTA_FEATURE_NOT_ENABLED``,
        ``INVALID_DEFAULT_VALUE``.
    """
    if not schema.column_defaults:
        raise SqlError(
            "WRONG_COLUMN_DEFAULTS_FOR_DELTA_FEATURE_NOT_ENABLED",
            "0AKDE",
            "Failed to execute CREATE TABLE command because it assigned a column DEFAULT value, "
            "but the corresponding table feature was not enabled. Please retry the command "
            "again after executing ALTER TABLE tableName SET TBLPROPERTIES"
            "('delta.feature.allowColumnDefaults' = 'supported').",
        )
    try:
        value = work.text_expression(column.default or "NULL")
    except SqlError as error:
        if not error.error_class.startswith("UNRESOLVED_COLUMN"):
            raise
        raise _invalid_default("UNRESOLVED_EXPRESSION", column) from error
    work.binds.clear()
    try:
        work.stored(value.sql, value.type, column)
    except SqlError as error:
        raise _invalid_default("DATA_TYPE", column) from error


def _invalid_default(detail: str, column: TableColumn) -> SqlError:
    reason = {
        "UNRESOLVED_EXPRESSION": "which fails to resolve as a valid expression",
        "DATA_TYPE": f'which requires "{column.type.text}" type, but the statement provided a '
        "value of an incompatible type",
    }[detail]
    return SqlError(
        f"INVALID_DEFAULT_VALUE.{detail}",
        "42623",
        f"Failed to execute the command because the destination column or variable "
        f"{backtick(column.name)} has a DEFAULT value {column.default}, {reason}.",
    )


def _check_identity(schema: TableSchema, column: TableColumn) -> None:
    if column.type.name != "BIGINT":
        raise SqlError(
            "DELTA_IDENTITY_COLUMNS_UNSUPPORTED_DATA_TYPE",
            "428H2",
            f"DataType {column.type.text} is not supported for IDENTITY columns.",
        )
    if column.identity is not None and column.identity.step == 0:
        raise SqlError(
            "DELTA_IDENTITY_COLUMNS_ILLEGAL_STEP", "42611", "IDENTITY column step cannot be 0."
        )
    if column.default is not None or column.generated is not None:
        raise SqlError(
            "DELTA_IDENTITY_COLUMNS_WITH_GENERATED_EXPRESSION",
            "42613",
            "IDENTITY column cannot be specified with a generated column expression.",
        )
    if column.name.lower() in {name.lower() for name in schema.partition_by}:
        raise SqlError(
            "DELTA_IDENTITY_COLUMNS_PARTITION_NOT_SUPPORTED",
            "42601",
            f"PARTITIONED BY IDENTITY column {column.name} is not supported.",
        )


def _check_generated(
    work: Work, table: TableName, schema: TableSchema, column: TableColumn
) -> None:
    plain = [item for item in schema.columns if item.generated is None]
    relation = Relation(
        "_rows",
        tuple(item.column for item in plain),
        (table.catalog, table.schema, table.name),
        tuple(item.physical for item in plain),
    )
    try:
        value = work.text_expression(column.generated or "NULL", (table.name, relation))
    except SqlError as error:
        if not error.error_class.startswith("UNRESOLVED_COLUMN"):
            raise
        raise SqlError(
            "DELTA_INVALID_GENERATED_COLUMN_REFERENCES",
            "42621",
            "A generated column cannot use a non-existent column or another generated column",
        ) from error
    if value.type != column.type and not (value.type.is_string and column.type.is_string):
        raise SqlError(
            "DELTA_GENERATED_COLUMNS_EXPR_TYPE_MISMATCH",
            "42K09",
            f"The expression type of the generated column {column.name} is {value.type.text}, but "
            f"the column type is {column.type.text}",
        )


def column_names(schema: TableSchema, names: Sequence[str]) -> tuple[str, ...]:
    """Return column names as the table spells them.

    Raises:
        SqlError: ``UNRESOLVED_COLUMN`` for one that is not there.
    """
    found = []
    for name in names:
        column = schema.find(name)
        if column is None:
            raise unresolved_column(name, [item.name for item in schema.columns])
        found.append(column.name)
    return tuple(found)
