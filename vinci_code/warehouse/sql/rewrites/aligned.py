"""Two sides that are compared, or stand one below the other, brought to the same types."""

# ruff: noqa: S608 - the SQL is made of translated parts only, user data is bound
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vinci_code.warehouse.sql.binder import Binder
from vinci_code.warehouse.sql.scope import BoundQuery
from vinci_code.warehouse.sql.values import Typed, quote


def aligned_query(
    binder: Binder, values: list[Typed], bound: BoundQuery
) -> tuple[list[Typed], str]:
    """Bring the left side of IN and its sub-query to common types."""
    kinds, left = [], []
    for value, column in zip(values, bound.columns, strict=True):
        pair, kind = binder.unify(
            [value, Typed("NULL", column.type, column.name)], f"in({value.name}, listquery())"
        )
        left.append(pair[0])
        kinds.append(kind)
    return left, retyped(binder, bound, kinds).sql


def retyped(binder: Binder, bound: BoundQuery, kinds: Sequence[object]) -> BoundQuery:
    """Cast a query's columns; left as it is where all types agree."""
    if all(column.type == kind for column, kind in zip(bound.columns, kinds, strict=True)):
        return bound
    name = binder.alias("rows")
    items, columns = [], []
    for column, physical, kind in zip(bound.columns, bound.physical, kinds, strict=True):
        value = Typed(f"{quote(name)}.{quote(physical)}", column.type, column.name, column.nullable)
        value = binder.cast(value, kind)  # type: ignore[arg-type]
        items.append(f"{value.sql} AS {quote(physical)}")
        columns.append(replace(column, type=value.type))
    sql = f"SELECT {', '.join(items)} FROM ({bound.sql}) AS {quote(name)}"
    return BoundQuery(sql, tuple(columns), bound.physical)
