"""The tables of every revision."""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal

import alembic.command
import pytest
from alembic.config import Config
from shop.models import Order, OrderLine, User
from sqlalchemy import Engine, Integer, Numeric, column, insert, inspect, select, table
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from vinci_code.database.models.types import INTEGER_KEY, JSON_VALUE, StrictText, UtcDateTime

USERS = table(
    "users",
    column("id", INTEGER_KEY),
    column("email", StrictText()),
    column("name", StrictText()),
    column("settings", JSON_VALUE),
    column("created_at", UtcDateTime()),
)
ORDERS = table(
    "orders",
    column("id", INTEGER_KEY),
    column("user_id", INTEGER_KEY),
    column("state", StrictText()),
    column("note", StrictText()),
    column("created_at", UtcDateTime()),
    column("updated_at", UtcDateTime()),
    column("version", Integer()),
)
LINES = table(
    "order_lines",
    column("id", INTEGER_KEY),
    column("order_id", INTEGER_KEY),
    column("position", Integer()),
    column("article", StrictText()),
    column("quantity", Integer()),
    column("unit_price", Numeric(12, 2)),
)
TAGS = table("tags", column("id", INTEGER_KEY), column("name", StrictText()))
ORDER_TAGS = table("order_tags", column("order_id", INTEGER_KEY), column("tag_id", INTEGER_KEY))
"""What the tests need of the tables as they were at revision 0002."""

NOW = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)


def columns(engine: Engine) -> dict[str, list[str]]:
    """The columns of every table."""
    inspector = inspect(engine)
    return {
        name: sorted(column["name"] for column in inspector.get_columns(name))
        for name in inspector.get_table_names()
    }


def test_the_tables_are_those_of_the_models(engine: Engine, alembic_config: Config) -> None:
    alembic.command.check(alembic_config)


def test_orders_of_before_get_their_totals(engine: Engine, alembic_config: Config) -> None:
    at_head = columns(engine)
    alembic.command.downgrade(alembic_config, "0002")
    before = columns(engine)
    fill(engine)
    for revision in ("0003", "0004", "0005"):
        alembic.command.upgrade(alembic_config, revision)
        after = columns(engine)
        assert after != before
        before = after
    assert before == at_head
    with Session(engine) as session:
        orders = session.scalars(select(Order).order_by(Order.id)).all()
        assert [(one.id, one.total, one.search_text, len(one.lines)) for one in orders] == [
            (1, Decimal("4.35"), "für oma\nkäse\nbrot", 2),
            (2, Decimal("0.00"), "", 0),
            (3, Decimal("19.99"), "wein", 1),
        ]
        assert [tag.name for tag in orders[0].tags] == ["gift"]
        user = session.scalars(select(User)).one()
        assert (user.version, user.settings, user.created_at) == (1, {"a": ["ü"]}, NOW)
        user.name = "Ada"
        session.commit()
        assert user.version == 2


def test_a_place_is_taken_once(engine: Engine) -> None:
    with Session(engine) as session:
        user = User(email="ada@example.com", name="Ada")
        order = Order(user=user, total=Decimal(0), search_text="")
        order.lines = [
            OrderLine(position=0, product=name, quantity=1, unit_price=Decimal(1))
            for name in ("Wein", "Tee")
        ]
        session.add(order)
        with pytest.raises(IntegrityError):
            session.commit()
    with Session(engine) as session:
        assert session.scalars(select(Order)).all() == []


def fill(engine: Engine) -> None:
    """Put orders into the tables of revision 0002."""
    user = {"id": 1, "email": "a@b", "name": "A", "settings": {"a": ["ü"]}, "created_at": NOW}
    order = {"user_id": 1, "state": "CART", "created_at": NOW, "updated_at": NOW, "version": 1}
    notes = {1: "für Oma", 2: None, 3: None}
    lines = [
        (1, 1, 0, "Käse", 3, Decimal("0.10")),
        (2, 1, 1, "Brot", 1, Decimal("4.05")),
        (3, 3, 0, "Wein", 1, Decimal("19.99")),
    ]
    with engine.begin() as connection:
        connection.execute(insert(USERS), user)
        rows = [{"id": key, "note": note, **order} for key, note in notes.items()]
        connection.execute(insert(ORDERS), rows)
        rows = [dict(zip(LINES.c.keys(), row, strict=True)) for row in lines]
        connection.execute(insert(LINES), rows)
        connection.execute(insert(TAGS), {"id": 1, "name": "gift"})
        connection.execute(insert(ORDER_TAGS), {"order_id": 1, "tag_id": 1})
