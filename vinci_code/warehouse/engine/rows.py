"""From the values that a statement gives to whole rows: defaults, identity and generated columns.

A statement's new rows are a SELECT of ``_action``, ``_rid`` and one expression for each physical
column. What the statement does not give is filled in here, and the staged rows are checked before
they count.
"""

# ruff: noqa: S608 - the names and values in this SQL are made by the engine itself

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vinci_code.warehouse.engine.model import TableColumn, TableState
from vinci_code.warehouse.engine.names import backtick, duckdb_name
from vinci_code.warehouse.engine.transactions import ACTION, DELETE, INSERT, ROW_ID
from vinci_code.warehouse.engine.work import Work
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.query_context import Relation

_ROWS = "_rows"


@dataclass
class Staged:
    """Rows that a statement has staged and checked, their number and the identity values used."""

    rows: str
    count: int
    identity: dict[str, int] = field(default_factory=dict)


def table_relation(work: Work, state: TableState) -> tuple[Relation, str]:
    """Return a target table as a relation, and the SELECT of its rows with ``_rid`` first."""
    name = state.name
    sql = work.transaction.rows_sql(state, row_id=True)
    relation = Relation(
        f"({sql})",
        tuple(state.columns),
        (name.catalog, name.schema, name.name),
        tuple(item.physical for item in state.schema.columns),
    )
    return relation, sql


def default_value(work: Work, column: TableColumn) -> str | None:
    """Return the SQL of what a column gets where no value is given.

    Returns:
        The default, or a NULL; ``None`` for an identity or generated column, which is filled later.
    """
    if column.identity is not None or column.generated is not None:
        return None
    if column.default is not None:
        translated = work.text_expression(column.default)
        return work.stored(translated.sql, translated.type, column)
    return null_of(column)


def needs_value(column: TableColumn) -> bool:
    """Return whether a column takes no NULL and has nothing else where no value is given."""
    given = (column.identity, column.generated, column.default)
    return not column.nullable and all(item is None for item in given)


def check_default_word(column: TableColumn) -> None:
    """Refuse ``DEFAULT`` for a column that has none and takes no NULL.

    Raises:
        SqlError: ``NO_DEFAULT_COLUMN_VALUE_AVAILABLE``.
    """
    if needs_value(column):
        raise SqlError(
            "NO_DEFAULT_COLUMN_VALUE_AVAILABLE",
            "42608",
            f"Can't determine the default value for {backtick(column.name)} since it is not "
            "nullable and it has no default value.",
        )


def refuse_identity(columns: Sequence[TableColumn]) -> None:
    """Refuse values for columns that are always generated as an identity.

    Raises:
        SqlError: ``DELTA_IDENTITY_COLUMNS_EXPLICIT_INSERT_NOT_SUPPORTED``.
    """
    for column in columns:
        if column.identity is not None and column.identity.always:
            raise SqlError(
                "DELTA_IDENTITY_COLUMNS_EXPLICIT_INSERT_NOT_SUPPORTED",
                "42808",
                "Providing values for GENERATED ALWAYS AS IDENTITY column "
                f"{column.name} is not supported.",
            )


def null_of(column: TableColumn) -> str:
    """Return a NULL of a column's type."""
    return f"CAST(NULL AS {column.type.duckdb()})"


def select_list(state: TableState, values: Mapping[str, str | None]) -> str:
    """Return the expressions of a SELECT that gives all physical columns in order."""
    listed = []
    for column in state.schema.columns:
        value = values[column.physical]
        listed.append(f"{null_of(column) if value is None else value} AS {column.physical}")
    return ", ".join(listed)


def stage_rows(
    work: Work,
    state: TableState,
    select: str,
    fill: Sequence[TableColumn],
    given: Sequence[TableColumn] = (),
) -> Staged:
    """Stage the rows of a SELECT, fill in what the engine computes and check constraints.

    The SELECT is one of ``_action``, ``_rid`` and the physical columns. To be filled are the
    identity and generated columns that the statement gave no value for; ``given`` are the
    generated columns that it gave one for.

    Raises:
        SqlError: Where a constraint is violated.
    """
    identity = [item for item in fill if item.identity is not None]
    generated = [item for item in fill if item.generated is not None]
    starts = {item.physical: _next_value(work, state, item) for item in identity}
    for item in identity:
        select = _with_identity(select, item, starts[item.physical])
    if generated:
        select = _with_generated(work, state, select, generated)
    rows, count = work.stage(select)
    check_rows(work, state, rows)
    for item in given:
        _check_generated(work, state, rows, item)
    return Staged(rows, count, _after(work, rows, identity, starts))


def count_actions(work: Work, rows: str) -> dict[int, int]:
    """Return how many staged rows there are for each action."""
    found = work.run(f"SELECT {ACTION}, count(*) FROM {rows} GROUP BY ALL")
    return {int(action): int(count) for action, count in found}


def check_rows(work: Work, state: TableState, rows: str) -> None:
    """Enforce NOT NULL and CHECK on staged rows.

    Raises:
        SqlError: ``DELTA_NOT_NULL_CONSTRAINT_VIOLATED`` or
        ``DELTA_VIOLATE_CONSTRAINT_WITH_VALUES``.
    """
    required = [item for item in state.schema.columns if not item.nullable]
    if required:
        _check_required(work, rows, required)
    for check in state.schema.checks:
        _check_condition(work, state, rows, check.name, check.condition)


def staged_relation(state: TableState, rows: str) -> Relation:
    """Return staged rows as a relation with the table's columns."""
    name = state.name
    return Relation(
        rows,
        tuple(state.columns),
        (name.catalog, name.schema, name.name),
        tuple(item.physical for item in state.schema.columns),
    )


def _next_value(work: Work, state: TableState, column: TableColumn) -> int:
    start = column.identity.start if column.identity else 1
    return work.transaction.next_identity(state, column.physical, start)


def _with_identity(select: str, column: TableColumn, start: int) -> str:
    step = column.identity.step if column.identity else 1
    number = f"row_number() OVER (PARTITION BY {ACTION}) - 1"
    value = f"CAST({start}::HUGEINT + {step}::HUGEINT * ({number}) AS BIGINT)"
    return (
        f"SELECT * REPLACE (CASE WHEN {ACTION} = {INSERT} THEN {value} "
        f"ELSE {column.physical} END AS {column.physical}) FROM ({select})"
    )


def _with_generated(
    work: Work, state: TableState, select: str, columns: Sequence[TableColumn]
) -> str:
    relation = staged_relation(state, _ROWS)
    alias = state.name.name
    replaced = []
    for column in columns:
        value = work.text_expression(column.generated or "NULL", (alias, relation))
        stored = work.stored(value.sql, value.type, column)
        replaced.append(f"CASE WHEN {ACTION} < {DELETE} THEN {stored} END AS {column.physical}")
    return f"SELECT * REPLACE ({', '.join(replaced)}) FROM ({select}) AS {duckdb_name(alias)}"


def _after(
    work: Work, rows: str, columns: Sequence[TableColumn], starts: Mapping[str, int]
) -> dict[str, int]:
    if not columns:
        return {}
    count = work.run(f"SELECT count(*) FROM {rows} WHERE {ACTION} = {INSERT}")[0][0]
    if not count:
        return {}
    return {
        item.physical: starts[item.physical] + (item.identity.step if item.identity else 1) * count
        for item in columns
    }


def _check_required(work: Work, rows: str, required: Sequence[TableColumn]) -> None:
    missing = ", ".join(f"bool_or({item.physical} IS NULL)" for item in required)
    found = work.run(f"SELECT {missing} FROM {rows} WHERE {ACTION} < {DELETE}")[0]
    for column, violated in zip(required, found, strict=True):
        if violated:
            raise SqlError(
                "DELTA_NOT_NULL_CONSTRAINT_VIOLATED",
                "23502",
                f"NOT NULL constraint violated for column: {column.name}.",
            )


def _check_condition(work: Work, state: TableState, rows: str, name: str, condition: str) -> None:
    alias = state.name.name
    translated = work.text_expression(condition, (alias, staged_relation(state, rows)))
    listed = ", ".join(item.physical for item in state.schema.columns)
    # NULL violates a CHECK constraint of Delta, unlike one of standard SQL.
    found = work.run(
        f"SELECT {listed} FROM {rows} AS {duckdb_name(alias)} WHERE {ACTION} < {DELETE} "
        f"AND NOT coalesce({translated.sql}, false) LIMIT 1",
        translated.binds,
    )
    if found:
        values = "\n".join(
            f" - {column.name} : {'null' if value is None else value}"
            for column, value in zip(state.schema.columns, found[0], strict=True)
        )
        raise SqlError(
            "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES",
            "23001",
            f"CHECK constraint {name} {condition} violated by row with values:\n{values}",
        )


def _check_generated(work: Work, state: TableState, rows: str, column: TableColumn) -> None:
    name = f"`{column.name}`"
    condition = f"{name} <=> ({column.generated})"
    _check_condition(work, state, rows, "Generated Column", condition)


def staged_action(action: int, row_id: str = "CAST(NULL AS BIGINT)") -> str:
    """Return the first two expressions of a SELECT of staged rows."""
    return f"{action}::TINYINT AS {ACTION}, {row_id} AS {ROW_ID}"


APPEND_ONLY = "delta.appendOnly"


def check_append_only(state: TableState) -> None:
    """Refuse to change rows of a table that only takes new ones."""
    if state.schema.enabled(APPEND_ONLY):
        raise SqlError(
            "DELTA_CANNOT_MODIFY_APPEND_ONLY",
            "42809",
            "This table is configured to only allow appends. If you would like to permit updates "
            f"or deletes, use 'ALTER TABLE {state.name} SET TBLPROPERTIES ({APPEND_ONLY}=false)'.",
        )


def row_count(work: Work, state: TableState) -> int:
    """Return the number of a table's rows as the transaction sees them."""
    count: int = work.run(f"SELECT count(*) FROM ({work.transaction.rows_sql(state)})")[0][0]
    return count
