"""Rows of values are compared column by column, with SQL's rule for NULL, as on SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    BigInteger,
    Column,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    and_,
    any_,
    bindparam,
    case,
    delete,
    insert,
    not_,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import CompileError

from tests.dialect.sides import Sides, sides_of
from tests.full import part
from vinci_code.database.dialect.base import VinciDialect

pytestmark = part(2)


metadata = MetaData()
t = Table(
    "t",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("n", Integer),
    Column("m", BigInteger),
    Column("s", String(9)),
)

VALUES = (None, 1, 2)
ROWS = [
    {"id": number, "n": n, "m": m, "s": s}
    for number, (n, m, s) in enumerate(product(VALUES, VALUES, (None, "a", "b")))
]


@pytest.fixture
def sides(engine: Engine, tmp_path: Path) -> Iterator[Sides]:
    with sides_of(engine, tmp_path, metadata) as sides:
        sides.write(insert(t), ROWS)
        yield sides


pair = tuple_(t.c.n, t.c.m)
other = t.alias("other")

# Databricks' own rows, which are structs, would have NULL equal NULL.
CONDITIONS = {
    "=": pair == (1, 2),
    "!=": pair != (1, 2),
    "<": pair < (1, 2),
    "<=": pair <= (1, 2),
    ">": pair > (1, 2),
    ">=": pair >= (1, 2),
    "the other way round": tuple_(bindparam("a", 1), bindparam("b", 2)) < pair,
    "= NULL": pair == (1, None),
    "!= NULL": pair != (1, None),
    "> NULL": pair > (1, None),
    "NULL first": pair >= (None, 2),
    "INT and BIGINT": tuple_(t.c.n, t.c.id) > (1, 7),
    "of columns": tuple_(t.c.n, t.c.m) == tuple_(t.c.m, t.c.n),
    "of columns, less": tuple_(t.c.n, t.c.id) < tuple_(t.c.m, t.c.id),
    "three": tuple_(t.c.n, t.c.m, t.c.s) >= (1, 2, "a"),
    "three, less": tuple_(t.c.n, t.c.m, t.c.s) < (2, 1, "b"),
    "one": tuple_(t.c.n) > tuple_(1),
    "not": not_(pair >= (1, 2)),
    "not of a group": not_(or_(pair >= (1, 2), pair == (1, 1))),
    "with and": and_(pair > (1, 1), t.c.s == "a"),
    "with or": or_(pair < (1, 2), t.c.s == "a"),
    "between": pair.between((1, 1), (2, 1)),
    "not between": ~pair.between((1, 1), (2, 1)),
    "between with NULL": pair.between((1, None), (2, 1)),
    "is distinct": pair.is_distinct_from((1, None)),
    "is not distinct": pair.is_not_distinct_from((None, None)),
    "within a sub-select": t.c.id.in_(
        select(other.c.id).where(tuple_(other.c.n, other.c.m) > (1, 1))
    ),
    "in": pair.in_([(1, 2), (2, 1)]),
    "in a sub-select": pair.in_(select(other.c.n, other.c.m).where(other.c.s == "a")),
}


@pytest.mark.parametrize("condition", CONDITIONS.values(), ids=list(CONDITIONS))
def test_the_same_rows_as_on_sqlite(sides: Sides, condition: Any) -> None:
    sides.rows(select(t.c.id).where(condition).order_by(t.c.id))


@pytest.mark.parametrize("name", ["=", "!=", "<", "<=", ">", ">=", "is distinct", "between"])
def test_what_is_not_decided_is_null(sides: Sides, name: str) -> None:
    condition = CONDITIONS[name]
    decision = case((condition, "yes"), (not_(condition), "no"), else_="undecided")
    found = {row[1] for row in sides.rows(select(t.c.id, decision).order_by(t.c.id))}
    assert found >= {"yes", "no"}
    assert ("undecided" in found) is (name != "is distinct")


def test_nested_ones(sides: Sides) -> None:
    nested = tuple_(t.c.n, tuple_(t.c.m, t.c.s))
    flat = tuple_(t.c.n, t.c.m, t.c.s)
    for one, same in (
        (nested > tuple_(1, tuple_(2, "a")), flat > (1, 2, "a")),
        (nested == tuple_(1, tuple_(2, "a")), flat == (1, 2, "a")),
        (nested != tuple_(1, tuple_(2, "a")), flat != (1, 2, "a")),
    ):
        ids = select(t.c.id).order_by(t.c.id)
        with sides.warehouse.connect() as connection:
            found = [tuple(row) for row in connection.execute(ids.where(one))]
        assert found == sides.rows(ids.where(same))


def test_between_in_either_order(engine: Engine) -> None:
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(t), ROWS)
        ids = select(t.c.id).order_by(t.c.id)
        low, high = (1, 1), (2, 1)
        expected = connection.execute(ids.where(pair.between(low, high))).all()
        found = connection.execute(ids.where(pair.between(high, low, symmetric=True))).all()
    assert expected
    assert found == expected


def test_pages_of_two_columns(sides: Sides) -> None:
    wanted = sides.rows(select(t.c.n, t.c.id).where(t.c.n.is_not(None)).order_by(t.c.n, t.c.id))
    found: list[tuple[Any, ...]] = []
    page = select(t.c.n, t.c.id).where(t.c.n.is_not(None)).order_by(t.c.n, t.c.id).limit(5)
    after: Any = page
    while rows := sides.rows(after):
        found += rows
        after = page.where(tuple_(t.c.n, t.c.id) > rows[-1])
    assert found == wanted


def test_parameters_that_come_twice_are_given_twice(sides: Sides) -> None:
    condition = tuple_(t.c.n, t.c.m, t.c.s) > tuple_(bindparam("n"), bindparam("m"), bindparam("s"))
    statement = select(t.c.id).where(condition, t.c.id < bindparam("id")).order_by(t.c.id)
    for values in product(VALUES, VALUES, (None, "a")):
        given = dict(zip(("n", "m", "s"), values, strict=True))
        sides.rows(statement, {**given, "id": 20})


def test_conditions_of_writes(sides: Sides) -> None:
    sides.write(update(t).where(pair > (1, 1)).values(s="changed"))
    sides.write(delete(t).where(tuple_(t.c.n, t.c.m) == tuple_(t.c.m, t.c.n)))
    sides.rows(select(t).order_by(t.c.id))


REFUSED: dict[str, tuple[Any, str]] = {
    "lengths": (pair > tuple_(1, 2, 3), "of 2 is compared with one of 3"),
    "nested lengths": (
        tuple_(t.c.n, pair) > tuple_(1, tuple_(1)),
        "of 2 is compared with one of 1",
    ),
    "nested and not": (tuple_(t.c.n, pair) > tuple_(1, t.c.n), "with a tuple_"),
    "a sub-select": (pair == select(t.c.n, t.c.m).scalar_subquery(), "sub-query write .in_"),
    "any of a sub-select": (pair == any_(select(t.c.n, t.c.m).scalar_subquery()), "exists"),
    "a parameter": (pair == bindparam("p"), "a tuple_.. of parameters"),
    "a column": (t.c.n == tuple_(t.c.n, t.c.m), "with a tuple_"),
    "is null": (pair.is_(None), "Ask each column"),
    "is not null": (pair.is_not(None), "Ask each column"),
}


@pytest.mark.parametrize(("condition", "message"), REFUSED.values(), ids=list(REFUSED))
def test_what_cannot_be_compared_is_refused(condition: Any, message: str) -> None:
    # As a condition, it can be compiled elsewhere.
    assert str(select(t.c.id).where(condition).compile(dialect=sqlite.dialect()))
    with pytest.raises(CompileError, match=message):
        select(t.c.id).where(condition).compile(dialect=VinciDialect())
