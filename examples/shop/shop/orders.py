"""Orders and their tags: made, searched, changed, placed, deleted."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import ColumnElement, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from shop.errors import ConflictError, InvalidError, NotFoundError
from shop.models import Confirmation, Order, OrderLine, OrderState, Tag, now, order_tags
from shop.schemas import LineIn, OrderChange, OrderIn, TagIn, TagOut
from shop.users import find_user


@dataclass(frozen=True)
class Filter:
    """Which orders are wanted; what is ``None`` does not matter.

    Attributes:
        words: What the note, or a product, has in it; in any case.
        tag: The name of one of its tags.
        product: The whole name of one of its products.
        min_total: The least that it costs.
        since: When it was made at the earliest.
        before: When it was made at the latest, exclusively.
    """

    user_id: int | None = None
    state: OrderState | None = None
    words: str | None = None
    tag: str | None = None
    product: str | None = None
    min_total: Decimal | None = None
    since: datetime | None = None
    before: datetime | None = None


@dataclass(frozen=True)
class Place:
    """Where a page ended: the time and the key of its last order."""

    created_at: datetime
    order_id: int


async def create_tag(session: AsyncSession, new: TagIn) -> Tag:
    """Make a tag; one of the same name is an ``IntegrityError``."""
    tag = Tag(name=new.name)
    session.add(tag)
    await session.flush()
    return tag


async def count_tags(session: AsyncSession) -> list[TagOut]:
    """Give all tags by name, with the orders that are not deleted and have them."""
    orders = (
        select(Tag.name, func.count(Order.id), func.coalesce(func.sum(Order.total), Decimal(0)))
        .outerjoin(order_tags, order_tags.c.tag_id == Tag.id)
        .outerjoin(Order, (Order.id == order_tags.c.order_id) & Order.deleted_at.is_(None))
        .group_by(Tag.name)
        .order_by(Tag.name)
    )
    rows = await session.execute(orders)
    return [TagOut(name=name, orders=count, total=total) for name, count, total in rows]


async def create_order(session: AsyncSession, new: OrderIn) -> Order:
    """Make an order that is not placed yet.

    Raises:
        NotFoundError: There is no such user.
        InvalidError: There is no such tag.
    """
    user = await find_user(session, new.user_id)
    order = Order(user_id=user.id, note=new.note, lines=[], tags=await _tags(session, new.tags))
    _set_lines(order, new.lines)
    session.add(order)
    await session.flush()
    return order


async def find_order(session: AsyncSession, order_id: int) -> Order:
    """Give an order that is not deleted, with its lines and tags.

    Raises:
        NotFoundError: There is none.
    """
    query = select(Order).where(Order.id == order_id, Order.deleted_at.is_(None))
    order = await session.scalar(query.options(*_WHOLE))
    if order is None:
        raise NotFoundError(f"There is no order {order_id}.")
    return order


async def search_orders(
    session: AsyncSession, wanted: Filter, after: Place | None, limit: int
) -> Sequence[Order]:
    """Give orders, the newest first: those after a place, with their lines and tags."""
    query = select(Order).where(Order.deleted_at.is_(None), *_conditions(wanted))
    if after is not None:
        place = tuple_(Order.created_at, Order.id)
        query = query.where(place < (after.created_at, after.order_id))
    query = query.order_by(Order.created_at.desc(), Order.id.desc()).limit(limit)
    return (await session.scalars(query.options(*_WHOLE))).all()


async def change_order(session: AsyncSession, order_id: int, change: OrderChange) -> Order:
    """Change an order that is not placed yet.

    Raises:
        NotFoundError: There is no such order.
        ConflictError: Somebody else has changed it, or it was placed.
        InvalidError: There is no such tag.
    """
    order = await _cart(session, order_id, change.version)
    # Asked for first: a query would flush a part of the change as a version of its own.
    tags = await _tags(session, change.tags)
    if "tags" in change.model_fields_set:
        order.tags = tags
    if "note" in change.model_fields_set:
        order.note = change.note
    _set_lines(order, change.lines if "lines" in change.model_fields_set else None)
    await session.flush()
    return order


async def place_order(session: AsyncSession, order_id: int, version: int) -> Order:
    """Place an order; a mail that confirms it will be sent.

    Raises:
        NotFoundError: There is no such order.
        ConflictError: Somebody else has changed it, it was placed, or it has no lines.
    """
    order = await _cart(session, order_id, version)
    if not order.lines:
        raise ConflictError(f"The order {order_id} is empty.")
    order.state = OrderState.PLACED
    order.placed_at = order.updated_at = now()
    session.add(Confirmation(order_id=order.id))
    await session.flush()
    return order


async def delete_order(session: AsyncSession, order_id: int, version: int) -> None:
    """Delete an order that is not placed yet.

    Raises:
        NotFoundError: There is no such order.
        ConflictError: Somebody else has changed it, or it was placed.
    """
    order = await _cart(session, order_id, version)
    order.deleted_at = now()


def fold(*texts: str | None) -> str:
    """Texts as a search compares them.

    It is done here, since databases know the small letters of different alphabets.
    """
    folded = unicodedata.normalize("NFKC", "\n".join(text for text in texts if text)).casefold()
    return unicodedata.normalize("NFKC", folded)


_WHOLE = (selectinload(Order.lines), selectinload(Order.tags))


def _conditions(wanted: Filter) -> Iterable[ColumnElement[bool]]:
    if wanted.user_id is not None:
        yield Order.user_id == wanted.user_id
    if wanted.state is not None:
        yield Order.state == wanted.state
    if wanted.words is not None:
        yield Order.search_text.contains(fold(wanted.words), autoescape=True)
    if wanted.tag is not None:
        yield Order.tags.any(Tag.name == wanted.tag)
    if wanted.product is not None:
        yield Order.lines.any(OrderLine.product == wanted.product)
    if wanted.min_total is not None:
        yield Order.total >= wanted.min_total
    if wanted.since is not None:
        yield Order.created_at >= wanted.since
    if wanted.before is not None:
        yield Order.created_at < wanted.before


async def _cart(session: AsyncSession, order_id: int, version: int) -> Order:
    """An order that may be changed by who has seen this version of it."""
    order = await find_order(session, order_id)
    if order.version != version:
        raise ConflictError(
            f"The order {order_id} has been changed: its version is {order.version}."
        )
    if order.state is not OrderState.CART:
        raise ConflictError(f"The order {order_id} is {order.state.value}.")
    return order


async def _tags(session: AsyncSession, names: Iterable[str]) -> list[Tag]:
    wanted = set(names)
    if not wanted:
        return []
    query = select(Tag).where(Tag.name.in_(wanted)).order_by(Tag.name)
    found = list((await session.scalars(query)).all())
    if missing := wanted - {tag.name for tag in found}:
        raise InvalidError(f"There are no tags {', '.join(sorted(missing))}.")
    return found


def _set_lines(order: Order, wanted: Sequence[LineIn] | None) -> None:
    """Have an order these lines, and what follows from them."""
    if wanted is not None:
        # Rows are used again: a line that is deleted and one that is new would have one position.
        for line, new in zip(order.lines, wanted, strict=False):
            line.product, line.quantity, line.unit_price = new.product, new.quantity, new.unit_price
        del order.lines[len(wanted) :]
        for position, new in list(enumerate(wanted))[len(order.lines) :]:
            order.lines.append(OrderLine(position=position, **new.model_dump()))
    order.total = sum((line.quantity * line.unit_price for line in order.lines), Decimal("0.00"))
    order.search_text = fold(order.note, *(line.product for line in order.lines))
    # Always another value, so that a change of the tags alone counts as one of the order.
    order.updated_at = now()
