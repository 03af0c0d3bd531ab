"""A small shop: the tables and rows that the query tests read."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

METADATA = sa.MetaData()


def _key() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False)


product = sa.Table(
    "product",
    METADATA,
    _key(),
    sa.Column("name", sa.String(50), nullable=False),
    sa.Column("category", sa.String(20)),
    sa.Column("price", sa.Numeric(10, 2)),
    sa.Column("weight", sa.Double),
    sa.Column("stock", sa.Integer),
    sa.Column("active", sa.Boolean),
    sa.Column("added", sa.Date),
    sa.Column("changed", sa.DateTime),
    sa.Column("details", sa.JSON),
)

sale = sa.Table(
    "sale",
    METADATA,
    _key(),
    sa.Column("product_id", sa.BigInteger, sa.ForeignKey("product.id")),
    sa.Column("quantity", sa.Integer, nullable=False),
    sa.Column("day", sa.Date, nullable=False),
    sa.Column("customer", sa.String(20)),
)

node = sa.Table(
    "node",
    METADATA,
    _key(),
    sa.Column("parent_id", sa.BigInteger, sa.ForeignKey("node.id")),
    sa.Column("label", sa.String(20), nullable=False),
)


def _moment(day: int, hour: int, microsecond: int = 0) -> dt.datetime:
    return dt.datetime(2024, 3, day, hour, 30, 15, microsecond)


PRODUCTS: list[tuple[Any, ...]] = [
    (1, "Anvil", "tools", "99.95", 12.5, 3, True, (2024, 1, 1), (1, 9), {"made": {"in": "Graz"}}),
    (2, "bolt", "parts", "0.05", 0.01, 10000, True, (2024, 1, 15), (1, 17, 5), {"tags": ["m", 8]}),
    (3, "Crane", "tools", "15000.00", 950.0, 0, False, (2023, 12, 31), (2, 0), {"tags": []}),
    (4, "drill", "tools", "120.00", 2.25, None, True, (2024, 2, 29), (29, 23), None),
    (5, "Égout", "parts", None, None, 7, None, None, None, {"made": {"in": "Nîmes"}, "rank": 2}),
    (6, "50% off", None, "1.50", 0.5, 5, False, (2024, 2, 1), (15, 12), {"rank": 10, "ok": True}),
    (7, "under_score", "misc", "2.00", -0.5, -5, True, (2024, 2, 1), (15, 12), {"rank": 1.5}),
    (8, "", "misc", "0.00", 0.0, 0, False, (2024, 6, 30), (31, 23, 999999), {"ok": False}),
]

SALES: list[tuple[Any, ...]] = [
    (1, 1, 2, (2024, 3, 1), "ann"),
    (2, 1, 1, (2024, 3, 2), "bob"),
    (3, 2, 500, (2024, 3, 2), "ann"),
    (4, 2, 250, (2024, 3, 3), None),
    (5, 4, 1, (2024, 4, 1), "cy"),
    (6, 4, 4, (2024, 4, 1), "bob"),
    (7, None, 9, (2024, 4, 2), "cy"),
    (8, 7, 3, (2023, 12, 31), "ann"),
]

NODES = [
    (1, None, "root"),
    (2, 1, "left"),
    (3, 1, "right"),
    (4, 2, "left.a"),
    (5, 2, "left.b"),
    (6, 4, "left.a.x"),
]


def _product(row: tuple[Any, ...]) -> dict[str, Any]:
    identifier, name, category, price, weight, stock, active, added, changed, details = row
    return {
        "id": identifier,
        "name": name,
        "category": category,
        "price": None if price is None else Decimal(price),
        "weight": weight,
        "stock": stock,
        "active": active,
        "added": None if added is None else dt.date(*added),
        "changed": None if changed is None else _moment(*changed),
        "details": sa.null() if details is None else details,
    }


def fill(engine: sa.Engine) -> None:
    """Put the rows into the tables."""
    with engine.begin() as connection:
        connection.execute(sa.insert(product).values([_product(row) for row in PRODUCTS]))
        connection.execute(
            sa.insert(sale).values(
                [
                    {"id": i, "product_id": p, "quantity": q, "day": dt.date(*d), "customer": c}
                    for i, p, q, d, c in SALES
                ]
            )
        )
        connection.execute(
            sa.insert(node).values([{"id": i, "parent_id": p, "label": t} for i, p, t in NODES])
        )
