"""UPDATE, DELETE and TRUNCATE."""
# ruff: noqa: S608 - the names and values in this SQL are made by the engine itself

from __future__ import annotations

from sqlglot import exp

from vinci_code.warehouse.engine.assignments import assigned_column, assignments
from vinci_code.warehouse.engine.model import TableState
from vinci_code.warehouse.engine.names import backtick, duckdb_name
from vinci_code.warehouse.engine.reader import Reader
from vinci_code.warehouse.engine.result import Result, counts_result, empty_result
from vinci_code.warehouse.engine.rows import (
    check_append_only,
    row_count,
    select_list,
    stage_rows,
    staged_action,
    table_relation,
)
from vinci_code.warehouse.engine.transactions import DELETE, ROW_ID, UPDATE, Effect
from vinci_code.warehouse.engine.work import Work
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.query_context import Relation


def update(work: Work, expression: exp.Update) -> Result:
    """Run UPDATE."""
    state, alias = dml_target(work, expression.this, "UPDATE")
    check_append_only(state)
    relation, rows = table_relation(work, state)
    values = assignments(work, state, expression.expressions, (alias,), [(alias, relation)])
    for column in state.schema.columns:
        values.setdefault(column.physical, f"{duckdb_name(alias)}.{column.physical}")
    condition = _where(work, expression, alias, relation)
    select = (
        f"SELECT {staged_action(UPDATE, f'{duckdb_name(alias)}.{ROW_ID}')}, "
        f"{select_list(state, values)} FROM ({rows}) AS {duckdb_name(alias)}{condition}"
    )
    changed = {
        assigned_column(state, item, (alias,))[0].physical for item in expression.expressions
    }
    generated = [
        item
        for item in state.schema.columns
        if item.generated is not None and item.physical not in changed
    ]
    explicit = [
        item
        for item in state.schema.columns
        if item.generated is not None and item.physical in changed
    ]
    staged = stage_rows(work, state, select, generated, explicit)
    count = staged.count
    predicate = _predicate(expression)
    work.transaction.apply(
        Effect(
            state, staged.rows, updated=count, read=True, operation="UPDATE", parameters=predicate
        )
    )
    return counts_result("UPDATE", [("num_affected_rows", count)])


def delete(work: Work, expression: exp.Delete) -> Result:
    """Run DELETE."""
    state, alias = dml_target(work, expression.this, "DELETE")
    check_append_only(state)
    relation, rows = table_relation(work, state)
    condition = _where(work, expression, alias, relation)
    select = (
        f"SELECT {staged_action(DELETE, f'{duckdb_name(alias)}.{ROW_ID}')} "
        f"FROM ({rows}) AS {duckdb_name(alias)}{condition}"
    )
    staged, count = work.stage(select)
    work.transaction.apply(
        Effect(
            state,
            staged,
            deleted=count,
            read=True,
            operation="DELETE",
            parameters=_predicate(expression),
        )
    )
    return counts_result("DELETE", [("num_affected_rows", count)])


def truncate(work: Work, reader: Reader) -> Result:
    """Run TRUNCATE TABLE."""
    reader.expect("TRUNCATE", "TABLE")
    name = work.name(reader.name_parts())
    if reader.peek("PARTITION"):
        raise SqlError(
            "DELTA_TRUNCATE_TABLE_PARTITION_NOT_SUPPORTED",
            "0AKDC",
            "Operation not allowed: TRUNCATE TABLE on Delta tables does not support partition "
            "predicates; use DELETE to delete specific partitions or rows.",
        )
    reader.end()
    state = work.transaction.target(name)
    check_append_only(state)
    work.transaction.apply(
        Effect(
            state,
            None,
            deleted=row_count(work, state),
            remove_all=True,
            read=True,
            operation="TRUNCATE",
        )
    )
    return empty_result()


def column_aliases(operation: str) -> SqlError:
    """Return ``COLUMN_ALIASES_NOT_ALLOWED``."""
    return SqlError(
        "COLUMN_ALIASES_NOT_ALLOWED",
        "42601",
        f"Column aliases are not allowed in {operation}.",
    )


def dml_target(work: Work, table: exp.Expression, operation: str) -> tuple[TableState, str]:
    """Return the table that UPDATE, DELETE or MERGE writes to, and its name in the statement."""
    if not isinstance(table, exp.Table):
        raise unsupported("DML on anything but a table")
    alias = table.args.get("alias")
    if alias is not None and alias.args.get("columns"):
        raise column_aliases(operation)
    if table.args.get("version") is not None:
        raise unsupported("DML on an old version of a table")
    parts = work.table_parts(table)
    if len(parts) == 1 and parts[0].lower() in work.temporary_views:
        raise SqlError(
            "EXPECT_TABLE_NOT_VIEW.NO_ALTERNATIVE",
            "42809",
            f"The operation expects a table but {backtick(parts[0])} is a view.",
        )
    state = work.transaction.target(work.name(parts))
    return state, table.alias or state.name.name


def _where(work: Work, expression: exp.Update | exp.Delete, alias: str, relation: Relation) -> str:
    where = expression.args.get("where")
    if where is None:
        return ""
    operation = type(expression).__name__.upper()
    return f" WHERE {work.condition(operation, where.this.copy(), (alias, relation))}"


def _predicate(expression: exp.Update | exp.Delete) -> dict[str, str]:
    where = expression.args.get("where")
    return {} if where is None else {"predicate": f'["{where.this.sql(dialect="databricks")}"]'}
