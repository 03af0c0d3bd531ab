"""INSERT INTO, INSERT OVERWRITE and INSERT INTO … REPLACE WHERE."""
# ruff: noqa: S608 - the names and values in this SQL are made by the engine itself

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
from sqlglot import exp

from vinci_code.warehouse.engine.assignments import is_default
from vinci_code.warehouse.engine.model import TableColumn, TableState
from vinci_code.warehouse.engine.names import backtick, duckdb_name
from vinci_code.warehouse.engine.replace_where import replacing
from vinci_code.warehouse.engine.result import Result, counts_result
from vinci_code.warehouse.engine.rows import (
    check_append_only,
    check_default_word,
    default_value,
    needs_value,
    refuse_identity,
    row_count,
    select_list,
    stage_rows,
    staged_action,
)
from vinci_code.warehouse.engine.transactions import INSERT, Effect
from vinci_code.warehouse.engine.work import Work
from vinci_code.warehouse.sql import parse
from vinci_code.warehouse.sql.errors import SqlError, from_duckdb, unsupported
from vinci_code.warehouse.sql.query import TranslatedQuery

_OVERFLOWS = ("CAST_OVERFLOW", "NUMERIC_VALUE_OUT_OF_RANGE")


def insert(work: Work, expression: exp.Insert) -> Result:
    """Run INSERT INTO, INSERT OVERWRITE and INSERT INTO … REPLACE WHERE."""
    table, names = _insert_target(expression)
    state = work.transaction.target(work.name(work.table_parts(table)))
    overwrite = bool(expression.args.get("overwrite"))
    where = expression.args.get("where")
    if overwrite or where is not None:
        check_append_only(state)
    plan = _insert_plan(work, state, expression, names)
    count, effect = write_query(work, state, plan, overwrite=overwrite)
    if where is not None:
        effect = replacing(work, effect, where)
    work.transaction.apply(effect)
    return counts_result("INSERT", [("num_affected_rows", count), ("num_inserted_rows", count)])


@dataclass
class InsertPlan:
    """Which column of a query goes into which column of the table."""

    source: TranslatedQuery
    columns: list[TableColumn]
    order: list[int]


def write_query(
    work: Work, state: TableState, plan: InsertPlan, *, overwrite: bool = False
) -> tuple[int, Effect]:
    """Stage the rows of a query for a table; return their number and the effect."""
    given = {item.physical for item in plan.columns}
    values: dict[str, str | None] = {}
    fill = []
    for column in state.schema.columns:
        if column.physical in given:
            continue
        if needs_value(column):
            raise SqlError(
                "DELTA_INSERT_COLUMN_MISMATCH",
                "42802",
                f"Column {column.name} is not specified in INSERT",
            )
        values[column.physical] = default_value(work, column)
        if column.identity is not None or column.generated is not None:
            fill.append(column)
    for column, index in zip(plan.columns, plan.order, strict=True):
        source = plan.source.columns[index]
        sql = f'"_q".{duckdb_name(plan.source.physical[index])}'
        values[column.physical] = work.stored(sql, source.type, column)
    select = (
        f"SELECT {staged_action(INSERT)}, {select_list(state, values)} "
        f'FROM ({plan.source.duckdb_sql}) AS "_q"'
    )
    explicit = [item for item in plan.columns if item.generated is not None]
    binds = dict(work.binds)
    try:
        staged = stage_rows(work, state, select, fill, explicit)
    except duckdb.Error as error:
        raise _insert_error(work, plan, binds, error) from error
    count = staged.count
    effect = Effect(
        state,
        staged.rows,
        inserted=count,
        remove_all=overwrite,
        deleted=row_count(work, state) if overwrite else 0,
        read=work.transaction.has_read(state),
        operation="WRITE",
        parameters={"mode": "Overwrite" if overwrite else "Append", "partitionBy": "[]"},
        identity=staged.identity,
    )
    return count, effect


def _insert_error(
    work: Work, plan: InsertPlan, binds: dict[str, object], error: duckdb.Error
) -> SqlError:
    """Tell an overflow in the query itself from one in storing its values."""
    found = from_duckdb(error, "")
    if not found.error_class.startswith(_OVERFLOWS):
        return found
    for column, index in zip(plan.columns, plan.order, strict=True):
        source = plan.source.columns[index]
        if not (source.type.is_numeric and column.type.is_numeric):
            continue
        value = f'"_q".{duckdb_name(plan.source.physical[index])}'
        rows = f'FROM ({plan.source.duckdb_sql}) AS "_q"'
        if not _fails(work, f"SELECT max({value}) {rows}", binds) and _fails(
            work, f"SELECT max({work.stored(value, source.type, column)}) {rows}", binds
        ):
            return SqlError(
                "CAST_OVERFLOW_IN_TABLE_INSERT",
                "22003",
                f'Fail to assign a value of "{source.type.text}" type to the '
                f'"{column.type.text}" type column or variable {backtick(column.name)} due to an '
                "overflow. Use `try_cast` on the input value to tolerate overflow and return NULL "
                "instead.",
            )
    return found


def _fails(work: Work, sql: str, binds: dict[str, object]) -> bool:
    try:
        work.run(sql, binds)
    except duckdb.Error:
        return True
    return False


def by_position(state: TableState, source: TranslatedQuery) -> InsertPlan:
    """Match the columns of a query with those of the table, one by one.

    Raises:
        SqlError: Where their numbers differ.
    """
    columns = list(state.schema.columns)
    if len(source.columns) < len(columns):
        raise SqlError(
            "DELTA_INSERT_COLUMN_ARITY_MISMATCH",
            "42802",
            f"Cannot write to '{state.name}', not enough data columns; target table has "
            f"{len(columns)} column(s) but the inserted data has {len(source.columns)} column(s).",
        )
    if len(source.columns) > len(columns):
        raise SqlError(
            "DELTA_METADATA_MISMATCH",
            "42KDG",
            "A metadata mismatch was detected when writing to the Delta table.\n- A schema "
            f"mismatch detected when writing to the Delta table '{state.name}': it has "
            f"{len(columns)} column(s), and the data has {len(source.columns)}.",
        )
    refuse_identity(columns)
    return InsertPlan(source, columns, list(range(len(columns))))


def _insert_target(expression: exp.Insert) -> tuple[exp.Table, list[str] | None]:
    this = expression.this
    if isinstance(this, exp.Schema) and not this.expressions:
        raise SqlError("PARSE_SYNTAX_ERROR", "42601", "Syntax error at or near ')'.")
    if isinstance(this, exp.Schema) and not isinstance(this.expressions[0], exp.Identifier):
        # What looks like a list of columns is the argument of IDENTIFIER(…).
        call = exp.Anonymous(this=this.this.name, expressions=list(this.expressions))
        return exp.Table(this=call), None
    if isinstance(this, exp.Schema):
        names = [item.name for item in this.expressions]
        table = this.this
    else:
        names, table = None, this
    if not isinstance(table, exp.Table):
        raise unsupported("INSERT into anything but a table")
    return table, names


def _insert_plan(
    work: Work, state: TableState, expression: exp.Insert, names: list[str] | None
) -> InsertPlan:
    columns = None if names is None else _named_columns(state, names)
    source = _insert_source(expression)
    if isinstance(source, exp.Values) and _has_defaults(source):
        source, columns = _without_defaults(source, columns or list(state.schema.columns))
        if not columns:
            return InsertPlan(work.translate(source), [], [])
    translated = work.translate(source)
    if expression.args.get("by_name"):
        return _by_name(state, translated)
    if columns is None:
        return by_position(state, translated)
    if len(translated.columns) != len(columns):
        few = len(translated.columns) < len(columns)
        detail = "NOT_ENOUGH_DATA_COLUMNS" if few else "TOO_MANY_DATA_COLUMNS"
        reason = "not enough data columns" if few else "too many data columns"
        raise _arity(detail, reason, state, columns, translated)
    refuse_identity(columns)
    return InsertPlan(translated, columns, list(range(len(columns))))


def _insert_source(expression: exp.Insert) -> exp.Expression:
    source: exp.Expression | None = expression.args.get("expression")
    if source is None:
        raise unsupported("INSERT without a query")
    source = source.pop()  # it is a copy already, and may be long
    with_ = expression.args.get("with_")
    if with_ is not None:
        if source.args.get("with_") is not None:
            raise unsupported("INSERT with a WITH clause before and after it")
        source.set("with_", with_.copy())
    return source


def _named_columns(state: TableState, names: Sequence[str]) -> list[TableColumn]:
    columns = [state.schema.column(name) for name in names]
    _refuse_duplicates(columns)
    return columns


def _refuse_duplicates(columns: Sequence[TableColumn]) -> None:
    if len({item.physical for item in columns}) < len(columns):
        raise SqlError(
            "DELTA_DUPLICATE_COLUMNS_ON_INSERT", "42701", "Duplicate column names in INSERT clause"
        )


def _value_rows(values: exp.Values) -> list[list[exp.Expression]]:
    return [
        list(row.expressions) if isinstance(row, exp.Tuple) else [row] for row in values.expressions
    ]


def _has_defaults(values: exp.Values) -> bool:
    return any(is_default(item) for row in _value_rows(values) for item in row)


def _without_defaults(
    values: exp.Values, columns: list[TableColumn]
) -> tuple[exp.Expression, list[TableColumn]]:
    """Replace DEFAULT in VALUES: a column that has it in every row is left out."""
    rows = _value_rows(values)
    if any(len(row) != len(columns) for row in rows):
        raise SqlError(
            "INSERT_COLUMN_ARITY_MISMATCH.NOT_ENOUGH_DATA_COLUMNS",
            "21S01",
            "Cannot write to the table: each row of VALUES needs one value for each column.",
        )
    for index, column in enumerate(columns):
        if any(is_default(row[index]) for row in rows):
            check_default_word(column)
    kept = [i for i in range(len(columns)) if not all(is_default(row[i]) for row in rows)]
    for row in rows:
        for index in kept:
            if is_default(row[index]):
                row[index] = _default_expression(columns[index])
    if not kept:
        # The rows count, and their value does not.
        tuples = [exp.Tuple(expressions=[exp.Literal.number(1)]) for _ in rows]
        return exp.Values(expressions=tuples), []
    tuples = [exp.Tuple(expressions=[row[i].copy() for i in kept]) for row in rows]
    return exp.Values(expressions=tuples), [columns[i] for i in kept]


def _default_expression(column: TableColumn) -> exp.Expression:
    if column.identity is not None or column.generated is not None:
        raise unsupported(
            f"DEFAULT for the column {backtick(column.name)} in some rows of VALUES only"
        )
    return exp.Null() if column.default is None else parse.parse_expression(column.default).copy()


def _by_name(state: TableState, source: TranslatedQuery) -> InsertPlan:
    columns = []
    for item in source.columns:
        column = state.schema.find(item.name)
        if column is None:
            raise SqlError(
                "INCOMPATIBLE_DATA_FOR_TABLE.EXTRA_COLUMNS",
                "KD000",
                f"Cannot write incompatible data for the table {state.name.quoted}: Cannot write "
                f"extra columns {backtick(item.name)}.",
            )
        columns.append(column)
    _refuse_duplicates(columns)
    refuse_identity(columns)
    return InsertPlan(source, columns, list(range(len(columns))))


def _arity(
    detail: str,
    reason: str,
    state: TableState,
    columns: Sequence[TableColumn],
    source: TranslatedQuery,
) -> SqlError:
    table = ", ".join(backtick(item.name) for item in columns)
    data = ", ".join(backtick(item.name) for item in source.columns)
    return SqlError(
        f"INSERT_COLUMN_ARITY_MISMATCH.{detail}",
        "21S01",
        f"Cannot write to {state.name.quoted}, the reason is {reason}: Table columns: {table}. "
        f"Data columns: {data}.",
    )
