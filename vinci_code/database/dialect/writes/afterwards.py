"""The rows of a table as they are after a write that is no set of rows, as a query.

It is made of the elements that the write was made of: ``UPDATE t SET x = x + 1 WHERE x > 5`` leaves
``SELECT CASE WHEN x > 5 THEN x + 1 ELSE x END AS x FROM t``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import and_, case, cast, false, func, not_, select
from sqlalchemy.schema import Column, Table
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.selectable import GenerativeSelect

from vinci_code.database.dialect.sql.constructs import is_compiled_elsewhere, is_own_text
from vinci_code.database.dialect.writes.dml_rows import OF_A_MOMENT, SCALAR_FUNCTIONS
from vinci_code.database.dialect.writes.dml_values import element_of, is_word_default
from vinci_code.database.dialect.writes.layers import is_constant_default, is_peculiar

# What gives the same result each time, whatever the order of the rows.
_SCALAR = SCALAR_FUNCTIONS - OF_A_MOMENT
_REPEATABLE = _SCALAR | {"avg", "count", "max", "min", "sum"}
# What a query may be made of beside functions; what another construct does is not known.
_KNOWN = frozenset(
    {
        "alias", "binary", "bindparam", "case", "cast", "clauselist", "column", "compound_select",
        "cte", "element_list", "expression_clauselist", "extract", "false", "funcfilter",
        "grouping", "join", "label", "label_reference", "memoized_select_entities", "null",
        "order_by_list", "select", "select_statement_grouping", "subquery", "table", "true",
        "tuple", "type_coerce",
        "typeclause", "unary", "vinci_stored_default",
    }
)  # fmt: skip

Columns = Collection[str] | None
"""The names of some columns; ``None`` for all."""


class StoredDefault(ColumnElement[Any]):
    """What is stored in a column that is left out."""

    __visit_name__ = "vinci_stored_default"
    inherit_cache = False
    _traverse_internals = [  # noqa: RUF012 - declared by SQLAlchemy
        ("column", visitors.InternalTraversal.dp_clauseelement)
    ]

    def __init__(self, column: Column[Any]) -> None:
        self.column = column
        self.type = column.type


def changed(
    table: Any, given: Sequence[Any], criteria: Sequence[Any], *, found: Columns = None
) -> Any:
    """The rows of a table after an UPDATE.

    Args:
        table: The table.
        given: Each column that is set, its name, and what it is set to.
        criteria: Its conditions.
        found: Columns, by name: of the rows that it finds these are given, and of others nothing.

    Returns:
        The query; ``None`` where it is not known to give the same each time.
    """
    values = _values(given)
    if values is None:
        return None
    wanted = and_(*criteria) if criteria and found is None else None

    def of(column: Column[Any]) -> Any:
        if column.name not in values:
            return column
        value = values[column.name]
        made = value if wanted is None else case((wanted, value), else_=column)
        return made.label(column.name)

    query = select(*map(of, _some(table, found))).select_from(table)
    return _repeatable(table, query if found is None else query.where(*criteria))


def left(table: Any, criteria: Sequence[Any]) -> Any:
    """The rows of a table after a DELETE; see ``changed``."""
    wanted = func.coalesce(and_(*criteria), false()) if criteria else None
    kept = false() if wanted is None else not_(wanted)
    return _repeatable(table, select(*table.columns).where(kept))


def gone(table: Any, criteria: Sequence[Any], found: Columns) -> Any:
    """Some columns of the rows that a DELETE finds; see ``changed``."""
    query = select(*_some(table, found)).select_from(table)
    return _repeatable(table, query.where(*criteria) if criteria else query)


def inserted(table: Any, columns: Sequence[Any], chosen: Any, *, found: Columns = None) -> Any:
    """The rows of a table after an INSERT of what a query gives; see ``changed``.

    Args:
        table: The table.
        columns: The columns that are written.
        chosen: The query.
        found: Columns, by name: of the rows that it writes these are given, and of others nothing.
    """
    source = chosen.subquery("vinci_chosen")
    items = list(source.columns)
    if len(items) != len(columns):
        return None
    given = {c.name: cast(item, c.type) for c, item in zip(columns, items, strict=True)}
    made = _row(table, given, found)
    if made is None:
        return None
    query = select(*made).select_from(source)
    return _repeatable(
        table, query if found is not None else select(*table.columns).union_all(query)
    )


def added(table: Any, given: Sequence[Sequence[Any]]) -> Any:
    """The rows of a table after an INSERT of rows whose values are expressions; see ``changed``."""
    rows = [_added(table, row, None) for row in given]
    if any(row is None for row in rows):
        return None
    return _repeatable(table, select(*table.columns).union_all(*rows))


def each_added(table: Any, given: Sequence[Sequence[Any]], found: Columns) -> Any:
    """Some columns of the rows of such an INSERT, each row as a query; see ``changed``."""
    rows = [_added(table, row, found) for row in given]
    return None if any(_repeatable(table, row) is None for row in rows) else rows


def matched(table: Any, criteria: Sequence[Any]) -> Any:
    """How many rows an UPDATE or DELETE finds, as a query; see ``changed``."""
    query = select(func.count()).select_from(table)
    return _repeatable(table, query.where(*criteria) if criteria else query)


def chosen_rows(table: Any, chosen: Any) -> Any:
    """How many rows an INSERT of what a query gives writes, as a query; see ``changed``."""
    return _repeatable(table, select(func.count()).select_from(chosen.subquery("vinci_chosen")))


def _values(given: Iterable[Sequence[Any]]) -> Mapping[str, Any] | None:
    values = {}
    for column, _, value, *_ in given:
        element = element_of(value)
        if element is None or is_word_default(element):
            return None
        values[column.name] = cast(element, column.type)
    return values


def _some(table: Any, wanted: Columns) -> list[Column[Any]]:
    return [column for column in table.columns if wanted is None or column.name in wanted]


def _added(table: Any, row: Sequence[Any], found: Columns) -> Any:
    values = _values(row)
    made = None if values is None else _row(table, values, found)
    if made is None:
        return None
    query = select(*made)
    # A value that names a column outside of a sub-select has no row to take it from. As a query it
    # would be taken from each row of that column's table.
    return None if query.columns_clause_froms else query


def _row(table: Any, given: Mapping[str, Any], wanted: Columns) -> list[Any] | None:
    """A value for each column of a table; ``None`` where the warehouse computes one."""
    columns = _some(table, wanted)
    if any(c.name not in given and not is_constant_default(c) for c in columns):
        return None
    return [given.get(c.name, StoredDefault(c)).label(c.name) for c in columns]


def _repeatable(table: Any, query: Any) -> Any:
    if query is None or not isinstance(table, Table) or any(map(is_peculiar, table.columns)):
        return None
    return query if all(map(_is_repeatable, visitors.iterate(query))) else None


def is_scalar(node: Any) -> bool:
    """Whether an element is known to give one value for each row, the same each time."""
    if isinstance(node, (GenerativeSelect, FunctionElement)):
        return isinstance(node, FunctionElement) and _is_function(node, _SCALAR)
    return _is_repeatable(node)


def _is_repeatable(node: Any) -> bool:
    if is_compiled_elsewhere(node) or is_own_text(node):
        return False
    if isinstance(node, GenerativeSelect):
        # Which rows come first is not known where several are alike.
        some = (node._limit_clause, node._offset_clause, node._fetch_clause)
        if any(clause is not None for clause in some):
            return False
    if isinstance(node, FunctionElement):
        return _is_function(node, _REPEATABLE)
    return node.__visit_name__ in _KNOWN


def _is_function(node: Any, names: frozenset[str]) -> bool:
    if is_compiled_elsewhere(node) or bool(getattr(node, "packagenames", None)):
        return False
    return str(getattr(node, "name", "")).lower() in names
