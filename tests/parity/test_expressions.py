"""Expressions have the same value, of the same type, on both databases."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import func

from tests.parity import shop
from tests.parity.backends import same
from tests.parity.shop import METADATA, product

pytestmark = pytest.mark.filterwarnings("ignore:Dialect sqlite.pysqlite does .not. support Decimal")

__all__ = ["METADATA"]

p = product.c
D = Decimal


@pytest.fixture(scope="module")
def filled(engine: sa.Engine) -> sa.Engine:
    shop.fill(engine)
    return engine


# Expressions on one row each.
VALUES: dict[str, tuple[Any, Any]] = {
    "integer-addition": (sa.literal(2) + 3, 5),
    "integer-division": (sa.literal(7) / 2, D("3.5")),
    "floor-division": (sa.literal(7) // 2, 3),
    "floor-division-even": (sa.literal(8) // 2, 4),
    "modulo": (sa.literal(7) % 3, 1),
    "modulo-negative": (sa.literal(-7) % 3, -1),
    "product": (sa.literal(6) * 7, 42),
    "big-product": (sa.literal(2**40, sa.BigInteger) * 4, 2**42),
    "double-sum": (sa.literal(0.1) + sa.literal(0.2), 0.30000000000000004),
    "double-division": (sa.literal(1.0) / sa.literal(4.0), 0.25),
    "negation": (-sa.literal(5), -5),
    "abs": (func.abs(sa.literal(-5)), 5),
    "abs-double": (func.abs(sa.literal(-2.5)), 2.5),
    "round": (func.round(sa.literal(2.567), 2), 2.57),
    "concat": (sa.literal("a") + "b" + "c", "abc"),
    "concat-null": (sa.literal("a") + sa.null(), None),
    "upper-ascii": (func.upper("abc-1"), "ABC-1"),
    "lower-ascii": (func.lower("ABC-1"), "abc-1"),
    "length": (func.length("naïve😀"), 6),
    "char_length": (func.char_length(sa.literal("naïve😀")), 6),
    "trim": (func.trim("  a b "), "a b"),
    "ltrim": (func.ltrim("  a "), "a "),
    "rtrim": (func.rtrim("  a "), "  a"),
    "substr": (func.substr("abcdef", 2, 3), "bcd"),
    "substr-to-end": (func.substr("abcdef", 4), "def"),
    "substr-negative": (func.substr("abcdef", -2), "ef"),
    "replace": (func.replace("banana", "an", "<>"), "b<><>a"),
    "instr": (func.instr("banana", "nan"), 3),
    "instr-none": (func.instr("banana", "x"), 0),
    "coalesce": (func.coalesce(sa.null(), sa.null(), 3), 3),
    "nullif-equal": (func.nullif("a", "a"), None),
    "nullif-unequal": (func.nullif("a", "b"), "a"),
    "case": (sa.case((sa.literal(1) > 2, "x"), else_="y"), "y"),
    "case-none": (sa.case((sa.literal(1) > 2, "x")), None),
    "case-value": (sa.case({"a": 1, "b": 2}, value=sa.literal("b"), else_=0), 2),
    "cast-text-to-integer": (sa.cast(sa.literal("42"), sa.Integer), 42),
    "cast-integer-to-text": (sa.cast(sa.literal(42), sa.String), "42"),
    "cast-integer-to-double": (sa.cast(sa.literal(42), sa.Double), 42.0),
    "cast-double-to-integer": (sa.cast(sa.literal(3.9), sa.Integer), 3),
    "cast-null": (sa.cast(sa.null(), sa.Integer), None),
    "type-coerce": (sa.type_coerce(sa.literal("x"), sa.String), "x"),
    "true": (sa.literal(True), True),
    "false": (sa.literal(False), False),
    "comparison": (sa.literal(1) < 2, True),
    "and": (sa.and_(sa.literal(True), sa.literal(False)), False),
    "null": (sa.null(), None),
    "max-of-two": (sa.case((sa.literal(2) > 1, 2), else_=1), 2),
    "quote": (sa.literal("it's"), "it's"),
    "literal-column": (sa.literal_column("1 + 1", sa.Integer), 2),
    "literal-quote": (sa.literal("it's \\ `x`", literal_execute=True), "it's \\ `x`"),
    "percent": (sa.literal("100%"), "100%"),
    "colon": (sa.text("'a:b'"), "a:b"),
    "question-mark": (sa.text("'a?b'"), "a?b"),
    "bitwise-not": (sa.literal(5).bitwise_not(), -6),
    "right-shift": (sa.literal(20).bitwise_rshift(2), 5),
    "year": (sa.extract("year", sa.literal(dt.date(2024, 2, 29))), 2024),
    "month": (sa.extract("month", sa.literal(dt.date(2024, 2, 29))), 2),
    "hour": (sa.extract("hour", sa.literal(dt.datetime(2024, 2, 29, 13, 5, 6))), 13),
    "minute": (sa.extract("minute", sa.literal(dt.datetime(2024, 2, 29, 13, 5, 6))), 5),
    "day-of-year": (sa.extract("doy", sa.literal(dt.date(2024, 3, 1))), 61),
    "day-of-week": (sa.extract("dow", sa.literal(dt.date(2024, 3, 3))), 0),
    "day-of-week-saturday": (sa.extract("dow", sa.literal(dt.date(2024, 3, 2))), 6),
    "epoch": (sa.extract("epoch", sa.literal(dt.datetime(1970, 1, 2))), 86400),
    "in": (sa.literal(2).in_([1, 2]), True),
    "not-in": (sa.literal(2).not_in([1, 2]), False),
    "like": (sa.literal("abc").like("a%"), True),
    "ilike": (sa.literal("abc").ilike("A%"), True),
    "like-backslash": (sa.literal("a\\b").like("a\\b"), True),
    "contains-backslash": (sa.literal("a\\b").contains("\\", autoescape=True), True),
    "scalar-subquery": (sa.select(func.count()).select_from(product).scalar_subquery(), 8),
    "empty-scalar-subquery": (
        sa.select(p.id).where(p.id == 99).scalar_subquery(),
        None,
    ),
    "exists": (sa.exists().where(p.id == 1), True),
    "not-exists": (~sa.exists().where(p.id == 1), False),
    "date-literal": (sa.literal(dt.date(2024, 2, 29)), dt.date(2024, 2, 29)),
    "sum-of-nothing": (
        sa.select(func.sum(p.stock)).where(p.id > 99).scalar_subquery(),
        None,
    ),
    "count-of-nothing": (
        sa.select(func.count(p.stock)).where(p.id > 99).scalar_subquery(),
        0,
    ),
    "hex-literal-bytes": (sa.literal(b"\x00\xff"), b"\x00\xff"),
}


@pytest.mark.parametrize("name", VALUES)
def test_expression(filled: sa.Engine, name: str) -> None:
    expression, expected = VALUES[name]
    with filled.connect() as connection:
        found = connection.scalar(sa.select(expression))
    assert same(found, expected), f"found {found!r}, expected {expected!r}"
