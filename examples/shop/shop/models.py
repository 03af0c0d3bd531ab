"""The tables of the shop."""

from __future__ import annotations

import enum
from datetime import datetime, timezone
from decimal import Decimal
from typing import Annotated, Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    Enum,
    ForeignKey,
    Index,
    MetaData,
    Numeric,
    Table,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from vinci_code.database.models.types import INTEGER_KEY, JSON_VALUE, StrictText, UtcDateTime


def now() -> datetime:
    """The present, aware."""
    return datetime.now(timezone.utc)


class OrderState(enum.Enum):
    """How far an order has come."""

    CART = "cart"
    PLACED = "placed"
    CONFIRMED = "confirmed"
    EXPIRED = "expired"


Key = Annotated[int, mapped_column(INTEGER_KEY, primary_key=True)]
Money = Annotated[Decimal, mapped_column(Numeric(12, 2))]


class Base(DeclarativeBase):
    """What all tables have in common."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {
        str: StrictText,
        datetime: UtcDateTime,
        dict[str, Any]: JSON_VALUE,
        OrderState: Enum(OrderState, name="order_state", native_enum=False, length=20),
    }


class User(Base):
    """Somebody who buys.

    Attributes:
        version: Counts the changes: settings are changed by who has read them.
    """

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("email"),)

    id: Mapped[Key]
    email: Mapped[str]
    name: Mapped[str]
    settings: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime] = mapped_column(default=now)
    deleted_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(server_default="1")

    __mapper_args__ = {"version_id_col": version}

    orders: Mapped[list[Order]] = relationship(back_populates="user")


order_tags = Table(
    "order_tags",
    Base.metadata,
    Column("order_id", INTEGER_KEY, ForeignKey("orders.id"), primary_key=True),
    Column("tag_id", INTEGER_KEY, ForeignKey("tags.id"), primary_key=True),
)


class Tag(Base):
    """A word that orders are sorted by."""

    __tablename__ = "tags"
    __table_args__ = (UniqueConstraint("name"),)

    id: Mapped[Key]
    name: Mapped[str]


class Order(Base):
    """What a user buys at once.

    Attributes:
        total: What all lines cost.
        search_text: Note and products as ``services.fold`` has them, so that a search finds them
            in any case, in any alphabet.
        version: Counts the changes; a change of an order that has been changed meanwhile fails.
    """

    __tablename__ = "orders"
    __table_args__ = (Index("ix_orders_state_updated_at", "state", "updated_at"),)

    id: Mapped[Key]
    user_id: Mapped[int] = mapped_column(INTEGER_KEY, ForeignKey("users.id"), index=True)
    state: Mapped[OrderState] = mapped_column(default=OrderState.CART)
    note: Mapped[str | None]
    total: Mapped[Money]
    search_text: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now)
    placed_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column()

    __mapper_args__ = {"version_id_col": version}

    user: Mapped[User] = relationship(back_populates="orders")
    lines: Mapped[list[OrderLine]] = relationship(
        back_populates="order", cascade="all, delete-orphan", order_by="OrderLine.position"
    )
    tags: Mapped[list[Tag]] = relationship(secondary=order_tags, order_by=Tag.name)


class OrderLine(Base):
    """One product of an order."""

    __tablename__ = "order_lines"
    __table_args__ = (
        UniqueConstraint("order_id", "position"),
        CheckConstraint("quantity > 0", name="quantity"),
    )

    id: Mapped[Key]
    order_id: Mapped[int] = mapped_column(INTEGER_KEY, ForeignKey("orders.id"))
    position: Mapped[int]
    product: Mapped[str]
    quantity: Mapped[int]
    unit_price: Mapped[Money]

    order: Mapped[Order] = relationship(back_populates="lines")


class Confirmation(Base):
    """A mail that is to be sent, once, for an order that was placed.

    Attributes:
        claimed_by: The worker that sends it, or has sent it.
        claimed_until: When others may take it from that worker.
    """

    __tablename__ = "confirmations"
    __table_args__ = (UniqueConstraint("order_id"),)

    id: Mapped[Key]
    order_id: Mapped[int] = mapped_column(INTEGER_KEY, ForeignKey("orders.id"))
    claimed_by: Mapped[str | None]
    claimed_until: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]

    order: Mapped[Order] = relationship()
