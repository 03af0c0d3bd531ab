"""INSERT INTO … REPLACE WHERE: rows that a condition holds for make room for new ones.

https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-dml-insert-into and
https://docs.databricks.com/aws/en/delta/selective-overwrite
"""
# ruff: noqa: S608 - the names and values in this SQL are made by the engine itself

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from vinci_code.warehouse.engine.names import duckdb_name
from vinci_code.warehouse.engine.rows import staged_action, staged_relation, table_relation
from vinci_code.warehouse.engine.transactions import ACTION, DELETE, ROW_ID, Effect
from vinci_code.warehouse.engine.work import Work
from vinci_code.warehouse.sql.errors import SqlError, unsupported

_OPERATION = "INSERT"


def replacing(work: Work, effect: Effect, condition: exp.Expression) -> Effect:
    """The effect of an INSERT, with the rows removed that a condition holds for.

    Raises:
        SqlError: ``DELTA_REPLACE_WHERE_MISMATCH`` where a new row does not meet the condition;
            ``UNSUPPORTED_BY_LOCAL_WAREHOUSE`` for a condition with a query.
    """
    if condition.find(exp.Query) is not None:
        raise unsupported("a query in REPLACE WHERE")
    _require_all(work, effect, condition)
    state, alias = effect.state, effect.state.name.name
    relation, rows = table_relation(work, state)
    where = work.condition(_OPERATION, condition.copy(), (alias, relation))
    removed = (
        f"SELECT {staged_action(DELETE, f'{duckdb_name(alias)}.{ROW_ID}')} "
        f"FROM ({rows}) AS {duckdb_name(alias)} WHERE {where}"
    )
    # A removed row has no new values: they are NULL.
    staged, count = work.stage(f"SELECT * FROM {effect.rows} UNION ALL BY NAME {removed}")
    predicate = condition.sql(dialect="databricks")
    return replace(
        effect,
        rows=staged,
        deleted=count - effect.inserted,
        read=True,
        parameters={"mode": "Overwrite", "predicate": predicate, "partitionBy": "[]"},
    )


def _require_all(work: Work, effect: Effect, condition: exp.Expression) -> None:
    alias = effect.state.name.name
    relation = staged_relation(effect.state, str(effect.rows))
    where = work.condition(_OPERATION, condition.copy(), (alias, relation))
    # As of a CHECK constraint, NULL is no.
    found = work.run(
        f"SELECT 1 FROM {effect.rows} AS {duckdb_name(alias)} "
        f"WHERE {ACTION} < {DELETE} AND NOT coalesce({where}, false) LIMIT 1"
    )
    if found:
        predicate = condition.sql(dialect="databricks")
        raise SqlError(
            "DELTA_REPLACE_WHERE_MISMATCH",
            "44000",
            "Written data does not conform to partial table overwrite condition or constraint "
            f"'{predicate}'.",
        )
