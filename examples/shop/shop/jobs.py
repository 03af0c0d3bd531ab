"""What is done in the background: mails are sent, and carts that nobody wants are closed.

    python -m shop.jobs

does it once; as many as wanted may run at the same time.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import contains_eager

from shop.database import Database
from shop.models import Confirmation, Order, OrderState, now

LEASE = timedelta(minutes=10)
"""How long a worker has a mail for itself; longer than sending takes."""

STALE = timedelta(days=30)
"""How long a cart is kept that nobody changes."""

BATCH = 50

Send = Callable[[str, Order], Awaitable[None]]
"""Sends the mail for an order to an address."""

_log = logging.getLogger(__name__)


async def send_confirmations(
    database: Database, send: Send, *, batch: int = BATCH, at: datetime | None = None
) -> int:
    """Send the mails that wait, until there are none.

    A mail is claimed before it is sent, and nobody else sends it while the claim lasts. A worker
    that dies between sending and noting it has its mail sent again when the claim has run out.

    Args:
        database: Where the mails wait.
        send: Sends one; a mail whose sending fails waits until its claim has run out.
        batch: How many are claimed at once.
        at: The present, for tests.

    Returns:
        How many it has sent while its claim lasted.
    """
    sent = 0
    while True:
        claim = uuid.uuid4().hex
        await database.run(_claim, claim, at or now(), batch)
        async with database.sessions() as session:
            mine = await _claimed(session, claim)
        if not mine:
            return sent
        done = [one.id for one in mine if await _try(send, one)]
        sent += await database.run(_note, claim, done, at or now())


async def close_stale_carts(session: AsyncSession, at: datetime | None = None) -> None:
    """Expire the carts that nobody has changed for long."""
    at = at or now()
    stale = update(Order).where(
        Order.state == OrderState.CART,
        Order.deleted_at.is_(None),
        Order.updated_at < at - STALE,
    )
    await session.execute(
        stale.values(state=OrderState.EXPIRED, updated_at=at, version=Order.version + 1),
        execution_options={"synchronize_session": False},
    )


async def _claim(session: AsyncSession, claim: str, at: datetime, batch: int) -> None:
    free = or_(Confirmation.claimed_until.is_(None), Confirmation.claimed_until < at)
    waiting = (
        select(Confirmation.id)
        .where(Confirmation.sent_at.is_(None), free)
        .order_by(Confirmation.id)
        .limit(batch)
    )
    await session.execute(
        update(Confirmation)
        .where(Confirmation.id.in_(waiting))
        .values(claimed_by=claim, claimed_until=at + LEASE),
        execution_options={"synchronize_session": False},
    )


async def _claimed(session: AsyncSession, claim: str) -> Sequence[Confirmation]:
    query = (
        select(Confirmation)
        .join(Confirmation.order)
        .join(Order.user)
        .where(Confirmation.claimed_by == claim)
        .order_by(Confirmation.id)
    )
    loaded = query.options(contains_eager(Confirmation.order).contains_eager(Order.user))
    return (await session.scalars(loaded)).all()


async def _try(send: Send, mail: Confirmation) -> bool:
    try:
        await send(mail.order.user.email, mail.order)
    except OSError:
        _log.exception("the mail for the order %d was not sent", mail.order_id)
        return False
    return True


async def _note(session: AsyncSession, claim: str, done: Sequence[int], at: datetime) -> int:
    """Note what was sent, where nobody has claimed it since."""
    mine = select(Confirmation).where(Confirmation.id.in_(done), Confirmation.claimed_by == claim)
    query = mine.join(Confirmation.order).options(contains_eager(Confirmation.order))
    mails = (await session.scalars(query)).all()
    for mail in mails:
        mail.sent_at = at
        mail.order.state = OrderState.CONFIRMED
    return len(mails)


async def _print(address: str, order: Order) -> None:
    print(f"to {address}: thank you for your order {order.id} of {order.total}")


async def _main() -> None:
    database = Database()
    try:
        await database.run(close_stale_carts)
        print(f"{await send_confirmations(database, _print)} mails were sent")
    finally:
        await database.dispose()


if __name__ == "__main__":
    asyncio.run(_main())
