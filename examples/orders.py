"""An order with its items and its event: all of it, or nothing.

    python examples/orders.py                # SQLite, in the file of DATABASE_URL
    USE_DATABRICKS=true … python examples/orders.py

The same code runs on both databases. Three tables are written in one unit of work; whatever
happens in between, a crash, a lost connection, a conflict, there is never an order without its
items or its event. Where somebody else was faster the whole unit is run again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import ForeignKey, exists, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from vinci_code.database import run_unit
from vinci_code.database.models import Event
from vinci_code.database.models.types import INTEGER_KEY
from vinci_code.database.session import get_engine, session_scope


class Base(DeclarativeBase):
    """The tables of the shop; the events have their own."""


class Order(Base):
    """An order of a customer."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(INTEGER_KEY, primary_key=True)
    customer: Mapped[str]
    total_cents: Mapped[int]
    items: Mapped[list[OrderItem]] = relationship(back_populates="order")


class OrderItem(Base):
    """One line of an order."""

    __tablename__ = "order_items"

    id: Mapped[int] = mapped_column(INTEGER_KEY, primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    product: Mapped[str]
    quantity: Mapped[int]
    price_cents: Mapped[int]
    order: Mapped[Order] = relationship(back_populates="items")


@dataclass(frozen=True)
class Line:
    """What a customer wants of one product."""

    product: str
    quantity: int
    price_cents: int


def place_order(customer: str, lines: Sequence[Line]) -> int:
    """Store an order with its items and its event; return its key."""

    def unit(session: Session) -> int:
        total = sum(line.quantity * line.price_cents for line in lines)
        order = Order(customer=customer, total_cents=total)
        order.items = [OrderItem(**asdict(line)) for line in lines]
        session.add(order)
        session.flush()  # the key is known now, and nothing was sent to a warehouse yet
        session.add(
            Event(
                event_key=f"order-{order.id}",
                event_type="order placed",
                source="shop",
                payload={"order": order.id, "items": len(lines), "total_cents": total},
            )
        )
        return order.id

    return run_unit(unit)


def broken_orders(session: Session) -> list[int]:
    """The keys of orders that lack an item, their event, or a part of their total: none."""
    of_items = (
        select(func.coalesce(func.sum(OrderItem.quantity * OrderItem.price_cents), 0))
        .where(OrderItem.order_id == Order.id)
        .correlate(Order)
        .scalar_subquery()
    )
    totals = select(Order.id).where(Order.total_cents != of_items)
    no_items = select(Order.id).where(~exists().where(OrderItem.order_id == Order.id))
    broken = {*session.scalars(totals), *session.scalars(no_items)}
    known = set(session.scalars(select(Event.event_key).where(Event.source == "shop")))
    broken |= {key for key in session.scalars(select(Order.id)) if f"order-{key}" not in known}
    return sorted(broken)


def main() -> None:
    """Place some orders, and count what is there."""
    Base.metadata.create_all(get_engine())
    for customer, count in (("Ada", 2), ("Leonardo", 5), ("Lisa", 1)):
        lines = [Line(f"product {number}", number + 1, 1990) for number in range(count)]
        place_order(customer, lines)
    with session_scope() as session:
        orders = session.scalar(select(func.count()).select_from(Order))
        items = session.scalar(select(func.count()).select_from(OrderItem))
        broken = broken_orders(session)
    print(f"{orders} orders with {items} items; {len(broken)} of them are broken")


if __name__ == "__main__":
    main()
