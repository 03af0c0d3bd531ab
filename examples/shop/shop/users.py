"""Users: registered, found, changed, deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from shop.errors import NotFoundError
from shop.models import Order, OrderState, User, now
from shop.schemas import UserIn


async def create_user(session: AsyncSession, new: UserIn) -> User:
    """Register a user; a user of the same address is an ``IntegrityError``."""
    user = User(**new.model_dump())
    session.add(user)
    await session.flush()
    return user


async def find_user(session: AsyncSession, user_id: int) -> User:
    """Give a user that is not deleted.

    Raises:
        NotFoundError: There is none.
    """
    user = await session.get(User, user_id)
    if user is None or user.deleted_at is not None:
        raise NotFoundError(f"There is no user {user_id}.")
    return user


async def search_users(
    session: AsyncSession, words: str, limit: int, offset: int
) -> Sequence[User]:
    """Give users, by their address: those with ``words`` in their address or name."""
    found = or_(
        User.email.icontains(words, autoescape=True), User.name.contains(words, autoescape=True)
    )
    query = select(User).where(User.deleted_at.is_(None), found)
    return (await session.scalars(query.order_by(User.email).limit(limit).offset(offset))).all()


async def change_settings(session: AsyncSession, user_id: int, changes: Mapping[str, Any]) -> User:
    """Set some of a user's settings; ``None`` takes one away."""
    user = await find_user(session, user_id)
    merged = {**user.settings, **changes}
    # A new document: SQLAlchemy does not see what happens within the old one.
    user.settings = {name: value for name, value in merged.items() if value is not None}
    return user


async def delete_user(session: AsyncSession, user_id: int) -> None:
    """Delete a user, and what the user has not ordered yet; what was ordered stays."""
    user = await find_user(session, user_id)
    user.deleted_at = now()
    carts = update(Order).where(
        Order.user_id == user.id, Order.state == OrderState.CART, Order.deleted_at.is_(None)
    )
    await session.execute(
        carts.values(deleted_at=user.deleted_at, version=Order.version + 1),
        execution_options={"synchronize_session": False},
    )
