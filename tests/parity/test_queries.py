"""Whole queries (joins, groups, windows, CTEs, sets) give the same rows on both databases."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import func

from tests.parity import shop
from tests.parity.backends import same
from tests.parity.shop import METADATA, node, product, sale

pytestmark = pytest.mark.filterwarnings("ignore:Dialect sqlite.pysqlite does .not. support Decimal")

__all__ = ["METADATA"]

p, s, n = product.c, sale.c, node.c
D = Decimal


@pytest.fixture(scope="module")
def filled(engine: sa.Engine) -> sa.Engine:
    shop.fill(engine)
    return engine


def _tree() -> sa.Select[Any]:
    tree = (
        sa.select(n.id, n.label, sa.literal(0).label("depth"))
        .where(n.parent_id.is_(None))
        .cte("tree", recursive=True)
    )
    child = node.alias("child")
    tree = tree.union_all(
        sa.select(child.c.id, child.c.label, tree.c.depth + 1).where(child.c.parent_id == tree.c.id)
    )
    return sa.select(tree.c.label, tree.c.depth).order_by(tree.c.depth, tree.c.label)


def _counted() -> Any:
    numbers = sa.select(sa.literal(1).label("n")).cte("numbers", recursive=True)
    numbers = numbers.union_all(sa.select(numbers.c.n + 1).where(numbers.c.n < 5))
    return sa.select(func.sum(numbers.c.n), func.count())


sold = (
    sa.select(s.product_id, func.sum(s.quantity).label("total"))
    .where(s.product_id.is_not(None))
    .group_by(s.product_id)
)
sold_cte, sold_sub = sold.cte("sold"), sold.subquery("sold")
other = product.alias("other")
by_day: dict[str, Any] = {"partition_by": s.customer, "order_by": (s.day, s.id)}

ORDERING: dict[str, tuple[Any, list[Any]]] = {
    "names": (
        sa.select(p.name).order_by(p.name),
        ["", "50% off", "Anvil", "Crane", "bolt", "drill", "under_score", "Égout"],
    ),
    "names-down": (sa.select(p.id).order_by(p.name.desc()), [5, 7, 4, 2, 3, 1, 6, 8]),
    "nulls-are-least": (sa.select(p.id).order_by(p.stock, p.id), [4, 7, 3, 8, 1, 6, 5, 2]),
    "nulls-last-down": (sa.select(p.id).order_by(p.stock.desc(), p.id), [2, 5, 6, 1, 3, 8, 7, 4]),
    "nulls-last": (
        sa.select(p.id).order_by(p.stock.asc().nulls_last(), p.id),
        [7, 3, 8, 1, 6, 5, 2, 4],
    ),
    "nulls-first-down": (
        sa.select(p.id).order_by(p.stock.desc().nulls_first(), p.id),
        [4, 2, 5, 6, 1, 3, 8, 7],
    ),
    "booleans": (sa.select(p.id).order_by(p.active, p.id), [5, 3, 6, 8, 1, 2, 4, 7]),
    "dates": (sa.select(p.id).order_by(p.added, p.id), [5, 3, 1, 2, 6, 7, 4, 8]),
    "decimals": (sa.select(p.id).order_by(p.price.desc(), p.id), [3, 4, 1, 7, 6, 2, 8, 5]),
    "label": (sa.select((p.id * -1).label("m")).order_by("m").limit(3), [-8, -7, -6]),
    "expression": (sa.select(p.id).order_by(p.id % 3, p.id), [3, 6, 1, 4, 7, 2, 5, 8]),
    "case": (
        sa.select(p.id).order_by(sa.case((p.category == "misc", 0), else_=1), p.id),
        [7, 8, 1, 2, 3, 4, 5, 6],
    ),
    "not-selected": (sa.select(p.name).order_by(p.id).limit(2), ["Anvil", "bolt"]),
    "limit": (sa.select(p.id).order_by(p.id).limit(3), [1, 2, 3]),
    "limit-0": (sa.select(p.id).order_by(p.id).limit(0), []),
    "limit-too-many": (sa.select(p.id).order_by(p.id).limit(99), [1, 2, 3, 4, 5, 6, 7, 8]),
    "offset": (sa.select(p.id).order_by(p.id).offset(6), [7, 8]),
    "limit-offset": (sa.select(p.id).order_by(p.id).limit(2).offset(3), [4, 5]),
    "offset-past-end": (sa.select(p.id).order_by(p.id).limit(2).offset(99), []),
    "slice": (sa.select(p.id).order_by(p.id).slice(1, 4), [2, 3, 4]),
    "limit-expression": (sa.select(p.id).order_by(p.id).limit(sa.literal(1) + 1), [1, 2]),
    "distinct": (
        sa.select(p.category).distinct().order_by(p.category),
        [None, "misc", "parts", "tools"],
    ),
    "limit-in-subquery": (
        sa.select(func.sum(sa.select(p.id).order_by(p.id.desc()).limit(2).subquery().c.id)),
        [15],
    ),
    "pages-in-union": (
        sa.union_all(
            sa.select(sa.select(p.id).order_by(p.id).limit(1).subquery().c.id),
            sa.select(sa.select(p.id).order_by(p.id.desc()).limit(1).subquery().c.id),
        ),
        [1, 8],
    ),
}


@pytest.mark.parametrize("name", ORDERING)
def test_order_and_pages(filled: sa.Engine, name: str) -> None:
    query, expected = ORDERING[name]
    with filled.connect() as connection:
        found = connection.scalars(query).all()
    assert (sorted(found) if name == "pages-in-union" else found) == expected


QUERIES: dict[str, tuple[Any, list[tuple[Any, ...]]]] = {
    # aggregates
    "count": (sa.select(func.count()).select_from(product), [(8,)]),
    "count-column": (sa.select(func.count(p.stock), func.count(p.category)), [(7, 7)]),
    "count-distinct": (sa.select(func.count(sa.distinct(p.category))), [(3,)]),
    "sum": (sa.select(func.sum(p.stock)), [(10010,)]),
    "sum-decimal": (sa.select(func.sum(p.price)), [(D("15223.50"),)]),
    "min-max": (sa.select(func.min(p.stock), func.max(p.stock)), [(-5, 10000)]),
    "min-max-text": (sa.select(func.min(p.name), func.max(p.name)), [("", "Égout")]),
    "min-max-date": (
        sa.select(func.min(p.added), func.max(p.changed)),
        [(dt.date(2023, 12, 31), dt.datetime(2024, 3, 31, 23, 30, 15, 999999))],
    ),
    "average": (sa.select(func.avg(s.quantity, type_=sa.Float)).where(s.id < 3), [(1.5,)]),
    "aggregates-of-nothing": (
        sa.select(func.count(), func.sum(p.stock), func.max(p.name)).where(p.id > 99),
        [(0, None, None)],
    ),
    "filter": (
        sa.select(
            func.count().filter(p.active), func.sum(p.stock).filter(p.category == "parts")
        ).select_from(product),
        [(4, 10007)],
    ),
    "group": (
        sa.select(p.category, func.count()).group_by(p.category).order_by(p.category),
        [(None, 1), ("misc", 2), ("parts", 2), ("tools", 3)],
    ),
    "group-expression": (
        sa.select((p.id % 2).label("odd"), func.sum(p.id)).group_by(p.id % 2).order_by("odd"),
        [(0, 20), (1, 16)],
    ),
    "group-label": (
        sa.select(sa.extract("month", s.day).label("m"), func.count()).group_by("m").order_by("m"),
        [(3, 4), (4, 3), (12, 1)],
    ),
    "having": (
        sa.select(s.customer, func.sum(s.quantity))
        .group_by(s.customer)
        .having(func.count() > 1)
        .order_by(s.customer),
        [("ann", 505), ("bob", 5), ("cy", 10)],
    ),
    "group-two": (
        sa.select(p.category, p.active, func.count())
        .group_by(p.category, p.active)
        .order_by(p.category, p.active),
        [
            (None, False, 1),
            ("misc", False, 1),
            ("misc", True, 1),
            ("parts", None, 1),
            ("parts", True, 1),
            ("tools", False, 1),
            ("tools", True, 2),
        ],
    ),
    # joins
    "join": (
        sa.select(s.id, p.name).join_from(sale, product).where(s.id < 4).order_by(s.id),
        [(1, "Anvil"), (2, "Anvil"), (3, "bolt")],
    ),
    "left-join": (
        sa.select(p.id, func.count(s.id))
        .select_from(sa.outerjoin(product, sale))
        .group_by(p.id)
        .order_by(p.id),
        [(1, 2), (2, 2), (3, 0), (4, 2), (5, 0), (6, 0), (7, 1), (8, 0)],
    ),
    "left-join-missing": (
        sa.select(p.id).outerjoin_from(product, sale).where(s.id.is_(None)).order_by(p.id),
        [(3,), (5,), (6,), (8,)],
    ),
    "full-join": (
        sa.select(func.count()).select_from(sa.join(product, sale, full=True)),
        [(12,)],
    ),
    "self-join": (
        sa.select(p.id, other.c.id)
        .join_from(product, other, sa.and_(p.category == other.c.category, p.id < other.c.id))
        .order_by(p.id, other.c.id),
        [(1, 3), (1, 4), (2, 5), (3, 4), (7, 8)],
    ),
    "cross-join": (
        sa.select(func.count()).select_from(sa.join(product, node, sa.true())),
        [(48,)],
    ),
    "join-subquery": (
        sa.select(p.name, sold_sub.c.total)
        .join_from(product, sold_sub, p.id == sold_sub.c.product_id)
        .order_by(p.id),
        [("Anvil", 3), ("bolt", 750), ("drill", 5), ("under_score", 3)],
    ),
    "lateral-free-correlation": (
        sa.select(
            p.id,
            sa.select(func.max(s.quantity)).where(s.product_id == p.id).scalar_subquery(),
        )
        .where(p.id <= 3)
        .order_by(p.id),
        [(1, 2), (2, 500), (3, None)],
    ),
    # common table expressions
    "cte": (
        sa.select(p.name, sold_cte.c.total)
        .join_from(product, sold_cte, p.id == sold_cte.c.product_id)
        .where(sold_cte.c.total > 4)
        .order_by(p.id),
        [("bolt", 750), ("drill", 5)],
    ),
    "cte-twice": (
        sa.select(func.count()).select_from(sa.join(sold_cte, sold_cte.alias("again"), sa.true())),
        [(16,)],
    ),
    "recursive-cte": (_counted(), [(15, 5)]),
    "recursive-tree": (
        _tree(),
        [
            ("root", 0),
            ("left", 1),
            ("right", 1),
            ("left.a", 2),
            ("left.b", 2),
            ("left.a.x", 3),
        ],
    ),
    # windows
    "row-number": (
        sa.select(s.id, func.row_number().over(order_by=s.id.desc())).order_by(s.id).limit(3),
        [(1, 8), (2, 7), (3, 6)],
    ),
    "rank": (
        sa.select(s.id, func.rank().over(order_by=s.customer)).order_by(s.id),
        [(1, 2), (2, 5), (3, 2), (4, 1), (5, 7), (6, 5), (7, 7), (8, 2)],
    ),
    "dense-rank": (
        sa.select(s.id, func.dense_rank().over(order_by=s.customer)).order_by(s.id).limit(5),
        [(1, 2), (2, 3), (3, 2), (4, 1), (5, 4)],
    ),
    "partition-sum": (
        sa.select(s.id, func.sum(s.quantity).over(partition_by=s.customer)).order_by(s.id),
        [(1, 505), (2, 5), (3, 505), (4, 250), (5, 10), (6, 5), (7, 10), (8, 505)],
    ),
    "running-sum": (
        sa.select(s.id, func.sum(s.quantity).over(order_by=s.id)).order_by(s.id).limit(3),
        [(1, 2), (2, 3), (3, 503)],
    ),
    "rows-between": (
        sa.select(s.id, func.sum(s.quantity).over(order_by=s.id, rows=(-1, 0)))
        .order_by(s.id)
        .limit(4),
        [(1, 2), (2, 3), (3, 501), (4, 750)],
    ),
    "range-between": (
        sa.select(n.id, func.count().over(order_by=n.id, range_=(-2, 0))).order_by(n.id),
        [(1, 1), (2, 2), (3, 3), (4, 3), (5, 3), (6, 3)],
    ),
    "lag-lead": (
        sa.select(s.id, func.lag(s.id).over(**by_day), func.lead(s.id, 1, 0).over(**by_day))
        .where(s.customer == "ann")
        .order_by(s.id),
        [(1, 8, 3), (3, 1, 0), (8, None, 1)],
    ),
    "first-value": (
        sa.select(s.id, func.first_value(s.id).over(**by_day))
        .where(s.customer == "bob")
        .order_by(s.id),
        [(2, 2), (6, 2)],
    ),
    "ntile": (
        sa.select(n.id, func.ntile(2).over(order_by=n.id)).order_by(n.id),
        [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (6, 2)],
    ),
    # sets
    "union": (
        sa.union(sa.select(s.customer), sa.select(p.category)).order_by("customer"),
        [(None,), ("ann",), ("bob",), ("cy",), ("misc",), ("parts",), ("tools",)],
    ),
    "union-all": (
        sa.select(func.count()).select_from(
            sa.union_all(sa.select(p.id), sa.select(s.id)).subquery()
        ),
        [(16,)],
    ),
    "intersect": (
        sa.intersect(sa.select(p.id), sa.select(s.product_id)).order_by("id"),
        [(1,), (2,), (4,), (7,)],
    ),
    "except": (
        sa.except_(sa.select(p.id), sa.select(s.product_id)).order_by("id"),
        [(3,), (5,), (6,), (8,)],
    ),
    "union-page": (
        sa.union(sa.select(p.id), sa.select(s.id + 100)).order_by("id").limit(3).offset(7),
        [(8,), (101,), (102,)],
    ),
    # what comes with a row
    "same-column-twice": (sa.select(p.id, p.id).where(p.id == 1), [(1, 1)]),
    "two-tables-same-names": (
        sa.select(p.id, s.id).join_from(product, sale).where(s.id == 5),
        [(4, 5)],
    ),
    "documents": (
        sa.select(p.details["tags"], p.details["made"]).where(p.id < 3).order_by(p.id),
        [(None, {"in": "Graz"}), (["m", 8], None)],
    ),
    "document-values": (
        sa.select(p.details["rank"].as_integer(), p.details["ok"].as_boolean()).where(p.id == 6),
        [(10, True)],
    ),
    "group-by-document": (
        # SQLAlchemy 2.0 has SQLite give whole numbers as integers.
        sa.select((p.details["rank"].as_float() + 0.0).label("r"), func.count())
        .where(p.details["rank"].as_float().is_not(None))
        .group_by("r")
        .order_by("r"),
        [(1.5, 1), (2.0, 1), (10.0, 1)],
    ),
    "boolean-expressions": (
        sa.select(p.id, (p.stock > 5).label("many")).where(p.id.in_([1, 2, 4])).order_by(p.id),
        [(1, False), (2, True), (4, None)],
    ),
    "dates-and-times": (
        sa.select(p.added, p.changed).where(p.id == 2),
        [(dt.date(2024, 1, 15), dt.datetime(2024, 3, 1, 17, 30, 15, 5))],
    ),
    "text-query": (
        sa.text("SELECT name, stock FROM product WHERE id = :id AND name <> '\\:id?'").bindparams(
            id=1
        ),
        [("Anvil", 3)],
    ),
    "text-columns": (
        sa.text("SELECT added FROM product WHERE id = 1").columns(added=sa.Date),
        [(dt.date(2024, 1, 1),)],
    ),
    "table-sample-free-alias": (
        sa.select(other.c.name).where(other.c.id == 2),
        [("bolt",)],
    ),
}


@pytest.mark.parametrize("name", QUERIES)
def test_query(filled: sa.Engine, name: str) -> None:
    query, expected = QUERIES[name]
    with filled.connect() as connection:
        found = connection.execute(query).all()
    assert same(found, expected), f"found {found!r}"


@pytest.mark.skipif(
    not hasattr(sa.Values, "cte"), reason="SQLAlchemy has Values.cte() since 2.0.42"
)
def test_values(filled: sa.Engine) -> None:
    columns = sa.column("k", sa.Integer), sa.column("v", sa.String)
    given = sa.values(*columns, name="names").data([(1, "one"), (2, "it's two"), (4, "four")])
    names = given.cte("names")
    query = sa.select(names.c.v, p.name).join_from(names, product, p.id == names.c.k)
    with filled.connect() as connection:
        found = connection.execute(query.order_by(p.id)).all()
    assert same(found, [("one", "Anvil"), ("it's two", "bolt"), ("four", "drill")])


def test_rows_by_name(filled: sa.Engine) -> None:
    with filled.connect() as connection:
        row = connection.execute(sa.select(p.id, p.name.label("Label")).where(p.id == 1)).one()
        assert (row.id, row.Label) == (1, "Anvil")
        assert row._mapping == {"id": 1, "Label": "Anvil"}
        assert row._mapping[p.id] == 1


@pytest.mark.parametrize(
    "fetch", ["all", "one", "many", "partitions", "iterate", "mappings", "first"]
)
def test_ways_to_fetch(filled: sa.Engine, fetch: str) -> None:
    query = sa.select(n.id).order_by(n.id)
    with filled.connect() as connection:
        result = connection.execute(query)
        if fetch == "one":
            found = [result.fetchone(), result.fetchone()]
            assert found == [(1,), (2,)]
        elif fetch == "many":
            assert [len(result.fetchmany(4)), len(result.fetchmany(4))] == [4, 2]
            assert result.fetchmany(4) == []
        elif fetch == "partitions":
            assert [len(part) for part in result.partitions(5)] == [5, 1]
        elif fetch == "iterate":
            assert [row.id for row in result] == [1, 2, 3, 4, 5, 6]
        elif fetch == "mappings":
            assert result.mappings().all()[5] == {"id": 6}
        elif fetch == "first":
            assert result.first() == (1,)
        else:
            assert result.scalars().all() == [1, 2, 3, 4, 5, 6]


def test_streamed_rows(filled: sa.Engine) -> None:
    query = sa.select(n.id).order_by(n.id)
    with filled.connect() as connection:
        streaming = connection.execution_options(stream_results=True, max_row_buffer=2)
        assert [row.id for row in streaming.execute(query)] == [1, 2, 3, 4, 5, 6]
