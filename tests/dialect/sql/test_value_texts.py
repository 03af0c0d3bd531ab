"""The text of values: that which SQLite makes of them, wherever text is wanted."""

from __future__ import annotations

import datetime as dt
import operator
import uuid
import warnings
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import func

from tests.dialect.held import engine_on
from tests.dialect.sides import Sides, sides_of
from vinci_code.database.models.types import UtcDateTime
from vinci_code.warehouse import LocalWarehouse

pytestmark = [
    pytest.mark.filterwarnings("ignore:Dialect sqlite.pysqlite does .not. support Decimal"),
    # SQLAlchemy 2.1 would rather not have LIKE of a date, or a sum of truth values.
    pytest.mark.filterwarnings("ignore:Type object .* does not include operator"),
]

METADATA = sa.MetaData()
T = sa.Table(
    "texts",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("ok", sa.Boolean),
    sa.Column("at", sa.DateTime),
    sa.Column("instant", UtcDateTime),
    sa.Column("day", sa.Date),
    sa.Column("clock", sa.Time),
    sa.Column("token", sa.Uuid),
    sa.Column("length", sa.Interval),
    sa.Column("whole", sa.Integer),
    sa.Column("ratio", sa.Float),
    sa.Column("price", sa.Numeric(10, 2)),
    sa.Column("s", sa.String),
)
TARGET = sa.Table(
    "target", METADATA, sa.Column("id", sa.Integer, primary_key=True), sa.Column("s", sa.Text)
)
C = T.c
MOMENT = dt.datetime(2024, 2, 29, 12)
FINE = MOMENT.replace(year=1, day=28, microsecond=120)
ROWS: list[dict[str, Any]] = [
    {
        "id": number,
        "ok": ok,
        "at": at,
        "instant": at and at.replace(tzinfo=dt.timezone.utc),
        "day": at and at.date(),
        "clock": at and at.time(),
        "token": at and uuid.UUID(int=number),
        "length": at and dt.timedelta(days=number, microseconds=number % 2),
        "whole": at and number - 2,
        "ratio": at and (number - 2) * 2.5,
        "price": at and Decimal("7.25") * (number - 2),
        "s": at and "x",
    }
    for number, ok, at in [(1, True, MOMENT), (2, False, FINE), (3, None, None), (4, True, MOMENT)]
]
VALUES = [C.ok, C.at, C.instant, C.day, C.clock, C.token, C.length, C.whole, C.whole > 0, C.s]


@pytest.fixture(scope="module")
def sides(local_warehouse_server: LocalWarehouse, tmp_path_factory: Any) -> Iterator[Sides]:
    server = local_warehouse_server
    server.sql("CREATE SCHEMA test_texts")
    engine = engine_on(server, "test_texts")
    with sides_of(engine, Path(tmp_path_factory.mktemp("texts")), METADATA) as made:
        made.write(sa.insert(T), ROWS)
        yield made
    engine.dispose()
    server.sql("DROP SCHEMA test_texts CASCADE")


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_the_text_of_a_value_is_that_of_sqlite(sides: Sides, value: Any) -> None:
    text = sa.cast(value, sa.String)
    made: list[Any] = [
        text,
        sa.cast(value, sa.Text),
        C.s.concat(value),
        sa.literal("a").concat(value).concat(value),
        func.length(value),
        func.upper(value),
        func.lower(value),
        func.trim(value, "0"),
        func.substr(value, 1, 4),
        func.replace(value, "0", "o"),
        func.instr(value, "0"),
        value.like(sa.literal("%0%", sa.String)),
    ]
    for expression in made:
        sides.rows(sa.select(C.id, expression).order_by(C.id))
    sides.rows(
        sa.select(C.id)
        .where(text == sa.select(text).where(C.id == 1).scalar_subquery())
        .order_by(C.id)
    )


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_the_texts_of_a_group_are_those_of_sqlite(sides: Sides, value: Any) -> None:
    one = sa.select(func.group_concat(value), func.aggregate_strings(value, "; "))
    sides.rows(one.where(C.id == 1))
    # One text, met four times: the order of different ones is nobody's promise.
    four_times = sa.select(func.group_concat(sa.distinct(value))).join(T.alias(), sa.true())
    sides.rows(four_times.where(C.id == 1))


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_what_a_column_of_text_is_given_is_the_text_of_sqlite(sides: Sides, value: Any) -> None:
    sides.write(sa.delete(TARGET))
    sides.write(sa.insert(TARGET).from_select(["id", "s"], sa.select(C.id, value)))
    first = sides.rows(sa.select(TARGET).order_by(TARGET.c.id))
    sides.write(sa.update(TARGET).values(s=None))
    chosen = sa.select(value).where(C.id == TARGET.c.id).scalar_subquery()
    sides.write(sa.update(TARGET).values(s=chosen))
    assert sides.rows(sa.select(TARGET).order_by(TARGET.c.id)) == first
    chosen = sa.select(value).where(C.id == 1).scalar_subquery()
    sides.write(sa.insert(TARGET).values(id=9, s=chosen))
    sides.rows(sa.select(TARGET).order_by(TARGET.c.id))
    sides.write(sa.update(T).where(C.id == 1).values(s=value))
    assert sides.rows(sa.select(C.s).where(C.id == 1)) == [(first[0][1],)]
    sides.write(sa.update(T).where(C.id == 1).values(s="x"))


def test_the_text_of_the_present_has_no_fractions(sides: Sides) -> None:
    assert sides.value(sa.select(func.length(sa.cast(func.now(), sa.String)))) == 19


@pytest.mark.parametrize(
    "expression",
    [C.ratio % 2, C.ratio % 2.9, C.whole % 2.5, C.price % 2, C.ratio % 0, C.ratio % 0.5],
    ids=str,
)
def test_the_rest_of_floats_is_that_of_their_whole_parts(sides: Sides, expression: Any) -> None:
    sides.rows(sa.select(C.id, expression).order_by(C.id))


@pytest.mark.parametrize("expression", [func.mod(C.whole, 2), func.mod(C.whole, 0)], ids=str)
def test_the_function_mod_gives_floats(sides: Sides, expression: Any) -> None:
    sides.rows(sa.select(C.id, expression).order_by(C.id))


# --- truth values that are computed with, and numbers that are conditions ------------------------

POSITIVE, LARGE = C.whole > 0, C.whole > 1
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # see above
    BOTH = POSITIVE + LARGE
    ALL = POSITIVE + LARGE + C.ok
    PRODUCT = C.ok * C.whole


@pytest.mark.parametrize(
    "expression",
    [
        func.avg(C.ok),
        func.avg(C.ok.distinct()),
        func.sum(C.ok),
        func.sum(BOTH),
    ],
    ids=str,
)
def test_truth_values_are_put_together(sides: Sides, expression: Any) -> None:
    sides.rows(sa.select(expression))


@pytest.mark.parametrize(
    "expression",
    [
        BOTH,
        ALL,
        PRODUCT,
        C.whole - C.ok,
        BOTH == 2,
        sa.not_(BOTH),
        func.coalesce(C.ok, 0),
        func.coalesce(C.ok, 0, 1) == 1,
        func.coalesce(C.whole, C.ok),
        func.ifnull(C.ok, 7),
        func.nullif(C.whole, C.ok),
        func.iif(C.whole, C.ok, 3),
        func.max(C.ok, 0),
        sa.case((C.whole, "yes"), else_="no"),
        sa.case((POSITIVE, C.ok), else_=0),
        sa.case((POSITIVE, 2), else_=C.ok),
        sa.case((POSITIVE, 2)),
        sa.case({1: C.ok}, value=C.whole, else_=5),
        sa.not_(C.whole),
    ],
    ids=str,
)
def test_truth_values_beside_numbers(sides: Sides, expression: Any) -> None:
    sides.rows(sa.select(C.id, expression).order_by(C.id))


@pytest.mark.parametrize(
    "condition",
    [
        C.whole,
        C.ratio,
        C.price,
        C.whole + 1,
        BOTH,
        sa.not_(C.whole),
        sa.and_(C.whole, C.ratio),
        sa.or_(C.whole, C.ok),
        sa.or_(sa.not_(C.whole), C.ok, C.price),
        func.coalesce(C.whole, 1),
        func.coalesce(C.ok, 0),
        C.whole.op("<")(5),
        sa.or_(C.whole.op("IS NOT")(sa.null()), sa.not_(C.whole.op("<")(1))),
    ],
    ids=str,
)
def test_a_number_is_a_condition(sides: Sides, condition: Any) -> None:
    sides.rows(sa.select(C.id).where(condition).order_by(C.id))
    sides.rows(sa.select(C.id).where(C.id > 0, condition).order_by(C.id))
    grouped = sa.select(C.id).group_by(C.id, *VALUES[:8], C.ratio, C.price, C.s)
    sides.rows(grouped.having(condition).order_by(C.id))


# --- a moment beside a day -----------------------------------------------------------------------

DAYS = sa.Table(
    "days",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.DateTime),
    sa.Column("day", sa.Date),
)
DAY = dt.date(2024, 2, 29)
MOMENTS = [
    dt.datetime(2024, 2, 28, 23, 59, 59, 999999),
    dt.datetime(2024, 2, 29),
    dt.datetime(2024, 2, 29, 0, 0, 0, 1),
    dt.datetime(2024, 3, 1),
    None,
]


@pytest.fixture(scope="module")
def days(sides: Sides) -> Sides:
    rows = [
        {"id": n, "at": at, "day": day}
        for n, (at, day) in enumerate((at, day) for at in MOMENTS for day in (DAY, None))
    ]
    sides.write(sa.insert(DAYS), rows)
    return sides


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("other", [DAYS.c.day, sa.literal(DAY)])
@pytest.mark.parametrize("compared", ["eq", "ne", "lt", "le", "gt", "ge", "distinct", "same", "in"])
def test_a_moment_beside_a_day(days: Sides, compared: str, other: Any, turned: bool) -> None:
    left, right = (other, DAYS.c.at) if turned else (DAYS.c.at, other)
    condition: Any
    if compared == "in":
        condition = DAYS.c.day.in_(MOMENTS[1:2]) if turned else DAYS.c.at.in_([DAY])
    elif compared in ("distinct", "same"):
        asked = {"distinct": left.is_distinct_from, "same": left.is_not_distinct_from}
        condition = asked[compared](right)
    else:
        condition = getattr(operator, compared)(left, right)
    days.rows(sa.select(DAYS.c.id, condition).order_by(DAYS.c.id))
    days.rows(sa.select(DAYS.c.id).where(condition).order_by(DAYS.c.id))
