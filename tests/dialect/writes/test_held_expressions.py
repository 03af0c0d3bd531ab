"""Computed values are written as SQLite writes them: of one row, of many, and by a flush."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Engine,
    Float,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    and_,
    bindparam,
    case,
    delete,
    exists,
    false,
    func,
    insert,
    literal,
    select,
    true,
    type_coerce,
    update,
)
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.orm import Session, registry

from tests.dialect.sides import Sides
from tests.full import part

pytestmark = part(3)


METADATA = MetaData()
THING = Table(
    "thing",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("x", Integer),
    Column("u", Integer, unique=True),
    Column("s", String),
    Column("f", Boolean),
    Column("n", Numeric(10, 2)),
    Column("r", Float),
    Column("doc", JSON),
)
T = THING.c
ROWS: list[dict[str, Any]] = [
    {"id": 1, "x": 7, "u": 1, "s": "abc", "f": True, "n": Decimal("1.25"), "r": 2.567},
    {"id": 2, "x": 0, "u": 2, "s": "7", "f": False, "n": Decimal(0), "r": 0.0},
    {"id": 3, "x": None, "u": None, "s": None, "f": None, "n": None, "r": None},
]


class Thing:
    pass


registry().map_imperatively(Thing, THING)

# Parameters that are made while the statement is rendered, or that are of another type than what
# they bind.
RENDERED: dict[str, dict[str, Any]] = {
    "round": {"r": func.round(T.r, 2)},
    "round within": {"r": func.coalesce(func.round(T.r + 1, 1), 0.5)},
    "round of a value": {"r": func.round(literal(2.345), 2)},
    "substr": {"s": func.substr(T.s, 2, 1)},
    "JSON": {"x": T.doc["a"].as_integer()},
    "text beside a number": {"f": T.x == "7"},
    "text beside a fraction": {"f": T.r < "1"},
    "text beside a number in CASE": {"x": case((T.x == "7", 1), else_=0)},
    "no number beside a number": {"f": T.x > "abc"},
    "truth beside text": {"f": T.s == true()},
    "IN": {"f": T.x.in_([7, 8])},
}
# Truth values for other columns, and numbers for columns of truth values.
OTHERS: dict[str, dict[str, Any]] = {
    "BETWEEN": {"x": T.x.between(0, 9)},
    "NOT BETWEEN": {"n": ~T.x.between(1, 9)},
    "BETWEEN in brackets": {"r": T.x.between(0, 9).self_group()},
    "BETWEEN as text": {"s": T.x.between(0, 9)},
    "BETWEEN as what is unique": {"u": case((T.id == 1, T.u), else_=T.x.between(1, 9))},
    "LIKE": {"x": T.s.like("a%")},
    "AND": {"x": and_(T.f, T.x > 1)},
    "EXISTS": {"x": exists(select(1).where(T.x == 1).correlate(None))},
    "truth": {"x": true(), "n": false()},
    "column of truth": {"x": T.f, "r": T.f},
    "taken for a number": {"x": type_coerce(T.f, Integer)},
    "sub-select": {
        "x": select(T.x.between(1, 9)).where(T.id == 1).correlate(None).scalar_subquery()
    },
    "number": {"f": T.x},
    "sum": {"f": T.x + 1},
    "fraction": {"f": T.r},
    "decimal": {"f": T.n},
    "CASE": {"f": case((T.x > 1, 1), else_=0)},
    "taken for truth": {"f": type_coerce(T.x, Boolean)},
    "count": {"f": select(func.count(T.x)).correlate(None).scalar_subquery()},
}


@pytest.fixture
def sides(engine: Engine, tmp_path: Path) -> Any:
    """SQLite and the warehouse, with the same rows."""
    made = Sides(engine, tmp_path, METADATA)
    fill(made)
    yield made
    made.sqlite.dispose()


def fill(sides: Sides) -> None:
    """Have the rows as they were."""
    for engine in sides.engines:
        with engine.begin() as connection:
            connection.execute(delete(THING))
            connection.execute(insert(THING), ROWS)
            connection.execute(update(THING).values(doc={"a": 5}))


def same(sides: Sides) -> list[Any]:
    """The rows, which have to be the same on both."""
    columns = [column for column in THING.c if column is not T.doc]
    return sides.rows(select(*columns).order_by(T.id))


@pytest.mark.parametrize("values", [*RENDERED.values(), *OTHERS.values()], ids=[*RENDERED, *OTHERS])
def test_a_computed_value_is_written_as_on_sqlite(sides: Sides, values: dict[str, Any]) -> None:
    sides.write(update(THING).values(values))
    same(sides)
    fill(sides)
    for number in (1, 2, 3):
        sides.write(update(THING).where(T.id == number).values(values))
    same(sides)
    fill(sides)
    for engine in sides.engines:
        with Session(engine) as session:
            for number in (1, 2):
                thing = session.get_one(Thing, number)
                for name, value in values.items():
                    setattr(thing, name, value)
            session.commit()
    same(sides)


@pytest.mark.parametrize("values", OTHERS.values(), ids=OTHERS)
def test_a_selected_value_is_inserted_as_on_sqlite(sides: Sides, values: dict[str, Any]) -> None:
    if "u" in values:
        values = {"u": T.x.between(1, 9) + 40}
    chosen = select(T.id + 10, *values.values()).where(T.id == 1)
    sides.write(insert(THING).from_select(["id", *values], chosen))
    assert len(same(sides)) == 4


def test_rows_that_are_computed_keep_a_value_of_another_type(sides: Sides) -> None:
    by_key = update(THING).where(T.id == bindparam("key")).values(x=T.x + bindparam("more"))
    sides.write(by_key, [{"key": 1, "more": 3}, {"key": 2, "more": "4"}])
    assert [row[1] for row in same(sides)] == [10, 4, None]
    with sides.warehouse.begin() as connection:
        # 7 + 0.5 is no whole number: it is refused at the latest by the warehouse.
        connection.execute(update(THING).values(r=T.x + bindparam("more")), {"more": 0.5})
    with sides.warehouse.connect() as connection:
        assert connection.scalar(select(T.r).where(T.id == 1)) == 10.5


def test_what_is_unique_is_not_computed_of_a_value_of_another_type(sides: Sides) -> None:
    by_key = update(THING).where(T.id == 1).values(u=T.u + bindparam("more"))
    refused = pytest.raises(DBAPIError, match="or that is computed with")
    with sides.warehouse.connect() as connection, refused:
        connection.execute(by_key, {"more": 0.5})


def test_a_constant_of_round_takes_one_row_at_a_time(sides: Sides) -> None:
    rounded = insert(THING).values(id=bindparam("key"), r=func.round(bindparam("v", 1.0), 2))
    sides.write(rounded, {"key": 7, "v": 1.239})
    same(sides)
    refused = pytest.raises(StatementError, match="executemany")
    with sides.warehouse.connect() as connection, refused:
        connection.execute(rounded, [{"key": 8, "v": 1.239}, {"key": 9, "v": 1.0}])
