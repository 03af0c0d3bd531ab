"""MERGE: every kind of clause, in the order written; the first that applies to a row decides.

https://docs.databricks.com/aws/en/sql/language-manual/delta-merge-into
"""

# ruff: noqa: S608 - the names and values in this SQL are made by the engine itself

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlglot import exp

from vinci_code.warehouse.engine.assignments import assignments, is_default
from vinci_code.warehouse.engine.dml import column_aliases, dml_target
from vinci_code.warehouse.engine.model import TableColumn, TableState
from vinci_code.warehouse.engine.names import backtick, duckdb_name
from vinci_code.warehouse.engine.result import Result, counts_result
from vinci_code.warehouse.engine.rows import (
    check_append_only,
    check_default_word,
    count_actions,
    default_value,
    null_of,
    refuse_identity,
    stage_rows,
    table_relation,
)
from vinci_code.warehouse.engine.transactions import (
    ACTION,
    DELETE,
    INSERT,
    ROW_ID,
    UPDATE,
    Effect,
)
from vinci_code.warehouse.engine.work import Work
from vinci_code.warehouse.sql.errors import SqlError, syntax_error, unsupported
from vinci_code.warehouse.sql.parse import SCHEMA_EVOLUTION
from vinci_code.warehouse.sql.query_context import Relation
from vinci_code.warehouse.sql.types import Column

_CLAUSE = "_merge_clause"
_PRESENT = "_merge_source"
_USAGE = "https://docs.databricks.com/delta/merge.html#upsert-into-a-table-using-merge"

MATCHED, NOT_MATCHED, BY_SOURCE = "MATCHED", "NOT MATCHED", "NOT MATCHED BY SOURCE"


@dataclass(frozen=True)
class Clause:
    """One WHEN clause.

    Attributes:
        kind: Which rows it is about.
        action: ``INSERT``, ``UPDATE`` or ``DELETE`` as a number.
        condition: The SQL of its condition; ``None`` where it has none.
        values: The SQL of the new values by physical name.
        fill: The generated columns, and for INSERT the identity columns, that it gives no value
        for.
        explicit: The generated columns that it gives a value for.
    """

    kind: str
    action: int
    condition: str | None
    values: Mapping[str, str | None]
    fill: tuple[TableColumn, ...] = ()
    explicit: tuple[TableColumn, ...] = ()


@dataclass(frozen=True)
class _Sides:
    state: TableState
    target: tuple[str, Relation]
    source: tuple[str, Relation]

    @property
    def both(self) -> tuple[tuple[str, Relation], tuple[str, Relation]]:
        return self.target, self.source


def merge(work: Work, expression: exp.Merge) -> Result:
    """Run MERGE INTO."""
    state, alias = dml_target(work, expression.this, "MERGE")
    relation, rows = table_relation(work, state)
    _refuse_hidden_tables(expression)
    source = _source(work, expression.args["using"], expression.args.get("with_"))
    if expression.meta.get(SCHEMA_EVOLUTION):
        _refuse_evolution(relation, source[1])
    if source[0].lower() == alias.lower():
        raise SqlError(
            "AMBIGUOUS_REFERENCE",
            "42704",
            f"Reference {backtick(alias)} is ambiguous: target and source of MERGE have one name.",
        )
    sides = _Sides(state, (alias, relation), source)
    whens = expression.args["whens"].expressions
    _check_order(whens)
    clauses = [_clause(work, sides, when) for when in whens]
    if any(clause.action != INSERT for clause in clauses):
        check_append_only(state)
    with _naming("search condition", sides.both):
        on = _condition(work, expression.args["on"], sides.both)
    select = _select(sides, rows, clauses, on)
    fill = {item.physical: item for clause in clauses for item in clause.fill}
    explicit = {item.physical: item for clause in clauses for item in clause.explicit}
    if set(fill) & set(explicit):
        raise unsupported("a generated column that only some clauses of a MERGE give a value for")
    _refuse_partial_identity(clauses, list(fill.values()))
    staged = stage_rows(work, state, select, list(fill.values()), list(explicit.values()))
    deletes_only = [item.action for item in clauses if item.kind == MATCHED] == [DELETE]
    unconditional = all(item.condition is None for item in clauses if item.kind == MATCHED)
    rows_name = _check_matches(work, staged.rows, deletes_only and unconditional)
    counts = count_actions(work, rows_name)
    inserted, updated, deleted = (counts.get(action, 0) for action in (INSERT, UPDATE, DELETE))
    work.transaction.apply(
        Effect(
            state,
            rows_name,
            inserted=inserted,
            updated=updated,
            deleted=deleted,
            read=True,
            operation="MERGE",
            parameters={"predicate": f'["{expression.args["on"].sql(dialect="databricks")}"]'},
            identity=staged.identity,
        )
    )
    return counts_result(
        "MERGE",
        [
            ("num_affected_rows", inserted + updated + deleted),
            ("num_updated_rows", updated),
            ("num_deleted_rows", deleted),
            ("num_inserted_rows", inserted),
        ],
    )


def _refuse_hidden_tables(expression: exp.Merge) -> None:
    """Common tables are read by the source alone: elsewhere the name would mean a stored table."""
    with_ = expression.args.get("with_")
    if with_ is None:
        return
    names = {table.alias.lower() for table in with_.expressions}
    clauses = [expression.args["on"], *expression.args["whens"].expressions]
    tables = [expression.this, *(one for node in clauses for one in node.find_all(exp.Table))]
    if any(not table.args.get("db") and table.name.lower() in names for table in tables):
        raise unsupported("a common table of a MERGE outside of its source")


def _refuse_evolution(target: Relation, source: Relation) -> None:
    """Where both have the same columns there is nothing to evolve."""
    sides = [
        {column.name.lower(): column.type for column in one.columns} for one in (target, source)
    ]
    if sides[0] != sides[1]:
        raise unsupported("MERGE WITH SCHEMA EVOLUTION of a source with other columns")


def _source(
    work: Work, using: exp.Expression, with_: exp.Expression | None
) -> tuple[str, Relation]:
    function = using.this if isinstance(using, exp.Table) else None
    if isinstance(function, exp.Anonymous) and function.name.lower() != "identifier":
        raise syntax_error("(", using.sql(dialect="databricks"))
    label = using.args.get("alias")
    if label is not None and label.args.get("columns"):
        raise column_aliases("MERGE")
    alias = using.alias
    if not alias and isinstance(using, exp.Table):
        alias = using.name
    alias = alias or "_merge_using"
    query = exp.select("*").from_(using.copy())
    if with_ is not None:
        query.set("with_", with_.copy())
    translated = work.translate(query)
    columns = tuple(
        Column(item.name, item.type, item.nullable, item.comment) for item in translated.columns
    )
    rows = f"({translated.duckdb_sql})"
    if with_ is not None or not isinstance(using, exp.Table):
        # DuckDB leaves out what cannot match, and with it the errors that it would have raised.
        rows, _ = work.stage(f"SELECT * FROM {rows}")
    return alias, Relation(rows, columns, (alias,), translated.physical)


def _clause(work: Work, sides: _Sides, when: exp.When) -> Clause:
    kind = _kind(when)
    relations = {
        MATCHED: sides.both,
        NOT_MATCHED: (sides.source,),
        BY_SOURCE: (sides.target,),
    }[kind]
    given = when.args.get("condition")
    then = when.args["then"]
    word = "DELETE" if isinstance(then, exp.Var) else then.key.upper()
    condition = None
    if given is not None:
        with _naming(f"{word} condition", relations):
            condition = _condition(work, given, relations)
    with _naming(f"{word} clause", relations):
        if isinstance(then, exp.Insert):
            if kind != NOT_MATCHED:
                raise syntax_error("INSERT", when.sql(dialect="databricks"))
            return _insert_clause(work, sides, condition, then)
        if kind == NOT_MATCHED:
            raise syntax_error(then.name or "UPDATE", when.sql(dialect="databricks"))
        if isinstance(then, exp.Update):
            return _update_clause(work, sides, kind, condition, then, relations)
    if isinstance(then, exp.Var) and then.name.upper() == "DELETE":
        return Clause(kind, DELETE, condition, {})
    raise unsupported(f"the MERGE clause {when.sql(dialect='databricks')}")


@contextmanager
def _naming(place: str, relations: Sequence[tuple[str, Relation]]) -> Iterator[None]:
    """Say of a name that cannot be resolved where it stands, as Delta does."""
    try:
        yield
    except SqlError as error:
        found = _UNRESOLVED.search(error.message)
        if found is None or not error.error_class.startswith("UNRESOLVED_COLUMN"):
            raise
        listed = ", ".join(
            f"{alias}.{item.name}" for alias, relation in relations for item in relation.columns
        )
        raise SqlError(
            "DELTA_MERGE_UNRESOLVED_EXPRESSION",
            "42601",
            f"Cannot resolve {found[1]} in {place} given columns {listed}.",
        ) from error


_UNRESOLVED = re.compile(r"with name (.+) cannot be resolved")


def _condition(work: Work, given: exp.Expression, relations: Sequence[tuple[str, Relation]]) -> str:
    if given.find(exp.Query):
        raise SqlError(
            "DELTA_UNSUPPORTED_SUBQUERY",
            "0AKDC",
            "Subqueries are not supported in the MERGE (condition = "
            f"{given.sql(dialect='databricks')}).",
        )
    return work.condition("MERGE", given.copy(), *relations)


def _kind(when: exp.When) -> str:
    if when.args.get("matched"):
        return MATCHED
    return BY_SOURCE if when.args.get("source") else NOT_MATCHED


def _update_clause(
    work: Work,
    sides: _Sides,
    kind: str,
    condition: str | None,
    then: exp.Update,
    relations: Sequence[tuple[str, Relation]],
) -> Clause:
    state, alias = sides.state, sides.target[0]
    if len(then.expressions) == 1 and isinstance(then.expressions[0], exp.Star):
        if kind != MATCHED:
            raise syntax_error("*", then.sql(dialect="databricks"))
        given = _star(work, sides, "UPDATE")
    else:
        given = assignments(work, state, then.expressions, (alias,), relations)
    values: dict[str, str | None] = dict(given)
    for column in state.schema.columns:
        values.setdefault(column.physical, f"{duckdb_name(alias)}.{column.physical}")
    generated = [item for item in state.schema.columns if item.generated is not None]
    return Clause(
        kind,
        UPDATE,
        condition,
        values,
        tuple(item for item in generated if item.physical not in given),
        tuple(item for item in generated if item.physical in given),
    )


def _insert_clause(work: Work, sides: _Sides, condition: str | None, then: exp.Insert) -> Clause:
    state = sides.state
    values: dict[str, str | None] = {}
    if isinstance(then.this, exp.Star):
        values.update(_star(work, sides, "INSERT"))
    else:
        values.update(_insert_values(work, sides, then))
    fill, explicit = [], []
    for column in state.schema.columns:
        if column.physical in values:
            refuse_identity([column])
            if column.generated is not None:
                explicit.append(column)
            continue
        values[column.physical] = default_value(work, column)
        if values[column.physical] is None:
            fill.append(column)
    return Clause(NOT_MATCHED, INSERT, condition, values, tuple(fill), tuple(explicit))


def _insert_values(work: Work, sides: _Sides, then: exp.Insert) -> dict[str, str | None]:
    if not isinstance(then.this, exp.Tuple) or not isinstance(then.expression, exp.Tuple):
        raise unsupported("INSERT in MERGE without a list of columns and one of values")
    names, given = then.this.expressions, then.expression.expressions
    if len(names) != len(given):
        raise SqlError(
            "MERGE_INSERT_VALUE_COUNT_MISMATCH",
            "21S01",
            f"The INSERT clause of MERGE has {len(names)} columns and {len(given)} values.",
        )
    values: dict[str, str | None] = {}
    for name, value in zip(names, given, strict=True):
        column = sides.state.schema.column(name.name)
        if column.physical in values:
            raise SqlError(
                "DELTA_DUPLICATE_COLUMNS_ON_INSERT",
                "42701",
                "Duplicate column names in INSERT clause",
            )
        if is_default(value):
            check_default_word(column)
            default = default_value(work, column)
            if default is not None:
                values[column.physical] = default
            continue
        translated = work.expression(value.copy(), sides.source)
        values[column.physical] = work.stored(translated.sql, translated.type, column)
    return values


def _star(work: Work, sides: _Sides, clause: str) -> dict[str, str | None]:
    alias, source = sides.source
    names = [item.name.lower() for item in source.columns]
    values: dict[str, str | None] = {}
    for column in sides.state.schema.columns:
        if column.name.lower() not in names:
            listed = ", ".join(f"{alias}.{item.name}" for item in source.columns)
            raise SqlError(
                "DELTA_MERGE_UNRESOLVED_EXPRESSION",
                "42601",
                f"Cannot resolve {column.name} in {clause} clause given columns {listed}.",
            )
        index = names.index(column.name.lower())
        sql = f"{duckdb_name(alias)}.{duckdb_name((source.physical or names)[index])}"
        values[column.physical] = work.stored(sql, source.columns[index].type, column)
    return values


def _refuse_partial_identity(clauses: Sequence[Clause], fill: Sequence[TableColumn]) -> None:
    for column in fill:
        inserts = [item for item in clauses if item.action == INSERT]
        if column.identity and not all(column in item.fill for item in inserts):
            raise unsupported("an identity column that only some INSERT clauses give a value for")


def _check_order(whens: Sequence[exp.When]) -> None:
    for kind, label in (
        (MATCHED, "MATCHED"),
        (NOT_MATCHED, "NOT_MATCHED_BY_TARGET"),
        (BY_SOURCE, "NOT_MATCHED_BY_SOURCE"),
    ):
        own = [when for when in whens if _kind(when) == kind]
        if any(when.args.get("condition") is None for when in own[:-1]):
            raise SqlError(
                f"NON_LAST_{label}_CLAUSE_OMIT_CONDITION",
                "42613",
                f"When there are more than one {kind} clauses in a MERGE statement, only the last "
                f"{kind} clause can omit the condition.",
            )


def _select(sides: _Sides, rows: str, clauses: Sequence[Clause], on: str) -> str:
    target, source = duckdb_name(sides.target[0]), duckdb_name(sides.source[0])
    decided = _decide(clauses, target, source)
    actions = " ".join(f"WHEN {index} THEN {clause.action}" for index, clause in enumerate(clauses))
    listed = [
        f"{decided} AS {_CLAUSE}",
        f"CAST(CASE {_CLAUSE} {actions} END AS TINYINT) AS {ACTION}",
        f"{target}.{ROW_ID} AS {ROW_ID}",
    ]
    for column in sides.state.schema.columns:
        branches = " ".join(
            f"WHEN {index} THEN {value}"
            for index, clause in enumerate(clauses)
            if (value := clause.values.get(column.physical)) is not None
        )
        value = f"CASE {_CLAUSE} {branches} END" if branches else null_of(column)
        listed.append(f"CAST({value} AS {column.type.duckdb()}) AS {column.physical}")
    join = _join({clause.kind for clause in clauses})
    return (
        f"SELECT {', '.join(listed)} FROM ({rows}) AS {target} {join} JOIN "
        f"(SELECT *, TRUE AS {_PRESENT} FROM {sides.source[1].sql}) AS {source} ON {on} "
        f"WHERE {_CLAUSE} IS NOT NULL"
    )


def _decide(clauses: Sequence[Clause], target: str, source: str) -> str:
    tests = {
        MATCHED: f"{target}.{ROW_ID} IS NOT NULL AND {source}.{_PRESENT}",
        NOT_MATCHED: f"{target}.{ROW_ID} IS NULL",
        BY_SOURCE: f"{source}.{_PRESENT} IS NULL",
    }
    branches = []
    for index, clause in enumerate(clauses):
        test = tests[clause.kind]
        if clause.condition is not None:
            test = f"{test} AND {clause.condition}"
        branches.append(f"WHEN {test} THEN {index}")
    return f"CASE {' '.join(branches)} END"


def _join(kinds: set[str]) -> str:
    if BY_SOURCE in kinds:
        return "FULL" if NOT_MATCHED in kinds else "LEFT"
    return "RIGHT" if NOT_MATCHED in kinds else "INNER"


def _check_matches(work: Work, rows: str, deletes_only: bool) -> str:
    """Refuse several source rows for one target row; return the rows to apply."""
    repeated = work.run(
        f"SELECT 1 FROM {rows} WHERE {ACTION} > {INSERT} GROUP BY {ROW_ID} "
        "HAVING count(*) > 1 LIMIT 1"
    )
    if not repeated:
        return rows
    if not deletes_only:
        raise SqlError(
            "DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW_IN_MERGE",
            "21506",
            "Cannot perform Merge as multiple source rows matched and attempted to modify the same "
            "target row in the Delta table in possibly conflicting ways. By SQL semantics of "
            "Merge, when multiple source rows match on the same target row, the result may be "
            "ambiguous as it is unclear which source row should be used to update or delete the "
            "matching target row. You can preprocess the source table to eliminate the "
            f"possibility of multiple matches. Please refer to {_USAGE}",
        )
    once, _ = work.stage(
        f"SELECT * FROM {rows} WHERE {ACTION} = {INSERT} UNION ALL "
        f"SELECT DISTINCT ON ({ROW_ID}) * FROM {rows} WHERE {ACTION} > {INSERT}"
    )
    return once
