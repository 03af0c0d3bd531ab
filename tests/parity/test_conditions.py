"""Conditions in a WHERE clause choose the same rows on both databases."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import func

from tests.full import part
from tests.parity import shop
from tests.parity.shop import METADATA, product, sale

pytestmark = [
    pytest.mark.filterwarnings("ignore:Dialect sqlite.pysqlite does .not. support Decimal"),
    part(3),
]

__all__ = ["METADATA"]

p, s = product.c, sale.c
D = Decimal


@pytest.fixture(scope="module")
def filled(engine: sa.Engine) -> sa.Engine:
    shop.fill(engine)
    return engine


def ids(*conditions: Any) -> sa.Select[Any]:
    return sa.select(p.id).where(*conditions).order_by(p.id)


# Conditions on products, and the ids of those that fulfil them.
CONDITIONS: dict[str, tuple[Any, list[int]]] = {
    "equal": (p.name == "Anvil", [1]),
    "equal-other-case": (p.name == "anvil", []),
    "equal-empty": (p.name == "", [8]),
    "unequal": (p.category != "tools", [2, 5, 7, 8]),
    "less": (p.stock < 5, [1, 3, 7, 8]),
    "less-equal": (p.stock <= 5, [1, 3, 6, 7, 8]),
    "decimal": (p.price > D("2.00"), [1, 3, 4]),
    "decimal-equal": (p.price == D("0.05"), [2]),
    "double": (p.weight >= 0.5, [1, 3, 4, 6]),
    "date": (p.added >= dt.date(2024, 2, 1), [4, 6, 7, 8]),
    "moment": (p.changed < dt.datetime(2024, 3, 2), [1, 2]),
    "moment-microsecond": (p.changed == dt.datetime(2024, 3, 1, 17, 30, 15, 5), [2]),
    "between": (p.stock.between(0, 7), [1, 3, 5, 6, 8]),
    "not-between": (~p.stock.between(0, 7), [2, 7]),
    "between-dates": (p.added.between(dt.date(2024, 1, 1), dt.date(2024, 2, 1)), [1, 2, 6, 7]),
    "null": (p.category.is_(None), [6]),
    "equal-none": (p.category == None, [6]),  # noqa: E711
    "unequal-none": (p.stock != None, [1, 2, 3, 5, 6, 7, 8]),  # noqa: E711
    "not-null": (p.price.is_not(None), [1, 2, 3, 4, 6, 7, 8]),
    "true": (p.active, [1, 2, 4, 7]),
    "not": (~p.active, [3, 6, 8]),
    "is-true": (p.active.is_(True), [1, 2, 4, 7]),
    "is-false": (p.active.is_(False), [3, 6, 8]),
    "is-not-true": (p.active.is_not(True), [3, 5, 6, 8]),
    "equal-true": (p.active == True, [1, 2, 4, 7]),  # noqa: E712
    "constant-true": (sa.true(), [1, 2, 3, 4, 5, 6, 7, 8]),
    "constant-false": (sa.false(), []),
    "and": (p.active & (p.stock > 0), [1, 2]),
    "or": (p.active | (p.stock > 4), [1, 2, 4, 5, 6, 7]),
    "or-null": (sa.or_(p.stock.is_(None), p.stock < 0), [4, 7]),
    "and-nothing": (sa.and_(sa.true()), [1, 2, 3, 4, 5, 6, 7, 8]),
    "not-and": (sa.not_(sa.and_(p.active, p.category == "tools")), [2, 3, 5, 6, 7, 8]),
    "distinct-from": (p.category.is_distinct_from("tools"), [2, 5, 6, 7, 8]),
    "not-distinct-from-null": (p.category.is_not_distinct_from(None), [6]),
    "in": (p.id.in_([1, 3, 99]), [1, 3]),
    "in-text": (p.name.in_(["bolt", "50% off", "it's"]), [2, 6]),
    "in-nothing": (p.id.in_([]), []),
    "not-in": (p.id.not_in([1, 2, 3]), [4, 5, 6, 7, 8]),
    "not-in-nothing": (p.id.not_in([]), [1, 2, 3, 4, 5, 6, 7, 8]),
    "not-in-null-column": (p.category.not_in(["tools"]), [2, 5, 7, 8]),
    "in-5000": (p.id.in_(range(2, 5002)), [2, 3, 4, 5, 6, 7, 8]),
    "not-in-5000": (p.id.not_in(range(2, 5002)), [1]),
    "in-2000-texts": (p.name.in_([f"x{i}'" for i in range(2000)] + ["bolt"]), [2]),
    "in-decimals": (p.price.in_([D("0.05"), D("1.50")]), [2, 6]),
    "in-dates": (p.added.in_([dt.date(2024, 2, 29)]), [4]),
    "in-subquery": (p.id.in_(sa.select(s.product_id).where(s.customer == "bob")), [1, 4]),
    "not-in-subquery": (
        p.id.not_in(sa.select(s.product_id).where(s.product_id.is_not(None))),
        [3, 5, 6, 8],
    ),
    "tuple-in": (sa.tuple_(p.category, p.stock).in_([("tools", 3), ("parts", 7)]), [1, 5]),
    "tuple-in-text": (
        sa.text("(category, stock) IN :pairs").bindparams(
            sa.bindparam("pairs", [("tools", 3), ("parts", 7)], expanding=True)
        ),
        [1, 5],
    ),
    "tuple-in-literals": (
        sa.tuple_(p.category, p.stock).in_(
            sa.bindparam("pairs", [("tools", 3), ("parts", 7)], literal_execute=True)
        ),
        [1, 5],
    ),
    "exists": (sa.exists().where(s.product_id == p.id, s.quantity > 100), [2]),
    "not-exists": (~sa.exists().where(s.product_id == p.id), [3, 5, 6, 8]),
    "greater-than-subquery": (
        p.price > sa.select(func.avg(p.price)).scalar_subquery(),
        [3],
    ),
    "like": (p.name.like("%r%"), [3, 4, 7]),
    "like-start": (p.name.like("d%"), [4]),
    "like-one": (p.name.like("b_lt"), [2]),
    "like-escape": (p.name.like("%#%%", escape="#"), [6]),
    "like-escape-underscore": (p.name.like("%!_%", escape="!"), [7]),
    "not-like": (p.name.not_like("%r%"), [1, 2, 5, 6, 8]),
    "ilike": (p.name.ilike("%R%"), [3, 4, 7]),
    "ilike-start": (p.name.ilike("c%"), [3]),
    "not-ilike": (p.name.not_ilike("a%"), [2, 3, 4, 5, 6, 7, 8]),
    "startswith": (p.name.startswith("C"), [3]),
    "startswith-percent": (p.name.startswith("50%", autoescape=True), [6]),
    "endswith": (p.name.endswith("ll"), [4]),
    "contains": (p.name.contains("_", autoescape=True), [7]),
    "contains-percent": (p.name.contains("%", autoescape=True), [6]),
    "icontains": (p.name.icontains("ANE"), [3]),
    "istartswith": (p.name.istartswith("D"), [4]),
    "iendswith": (p.name.iendswith("ANE"), [3]),
    "lower": (func.lower(p.name) == "crane", [3]),
    "length": (func.length(p.name) == 5, [1, 3, 4, 5]),
    "arithmetic": (p.stock * 2 + 1 == 7, [1]),
    "modulo": (p.id % 3 == 0, [3, 6]),
    "modulo-negative": (p.stock % 3 == -2, [7]),
    "negative": (-p.stock > 0, [7]),
    "concat": (p.name + "!" == "bolt!", [2]),
    "case": (sa.case((p.stock > 5, "many"), else_="few") == "many", [2, 5]),
    "coalesce": (func.coalesce(p.category, "none") == "none", [6]),
    "nullif": (func.nullif(p.stock, 0).is_(None), [3, 4, 8]),
    "cast": (sa.cast(p.id, sa.String) == "7", [7]),
    "year": (sa.extract("year", p.added) == 2023, [3]),
    "month": (sa.extract("month", p.added) == 2, [4, 6, 7]),
    "day": (sa.extract("day", p.added) == 29, [4]),
    "hour": (sa.extract("hour", p.changed) == 23, [4, 8]),
    "json-path": (p.details["made"]["in"].as_string() == "Graz", [1]),
    "json-path-tuple": (p.details[("made", "in")].as_string() == "Nîmes", [5]),
    "json-integer": (p.details["rank"].as_integer() == 2, [5]),
    "json-float": (p.details["rank"].as_float() > 1.75, [5, 6]),
    "json-boolean": (p.details["ok"].as_boolean() == sa.true(), [6]),
    "json-index": (p.details["tags"][1].as_integer() == 8, [2]),
    "json-missing": (p.details["nothing"].as_string().is_(None), [1, 2, 3, 4, 5, 6, 7, 8]),
    "json-null": (p.details.is_(None), [4]),
    "text": (sa.text("stock = :x").bindparams(x=5), [6]),
    "regexp": (p.name.regexp_match("^[A-C]"), [1, 3]),
    "not-regexp": (~p.name.regexp_match("[a-z]"), [8]),
    "bitwise-and": (p.id.bitwise_and(1) == 1, [1, 3, 5, 7]),
    "bitwise-or": (p.id.bitwise_or(1) == 3, [2, 3]),
    "bitwise-shift": (p.id.bitwise_lshift(1) == 6, [3]),
    "collate-none": (sa.literal("a") < sa.literal("B"), []),
    "self-compare": (p.stock == p.stock, [1, 2, 3, 5, 6, 7, 8]),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_condition(filled: sa.Engine, name: str) -> None:
    condition, expected = CONDITIONS[name]
    with filled.connect() as connection:
        assert connection.scalars(ids(condition)).all() == expected
