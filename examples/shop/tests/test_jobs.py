"""What is done in the background."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from httpx import AsyncClient
from shop.database import Database
from shop.jobs import LEASE, STALE, close_stale_carts, send_confirmations
from shop.models import Confirmation, Order, now
from sqlalchemy import select

pytestmark = pytest.mark.anyio


class Mail:
    """Counts what was sent by the notes of the orders, and fails for those that it is told."""

    def __init__(self, *broken: str) -> None:
        self.sent: Counter[str | None] = Counter()
        self.broken = broken

    async def __call__(self, address: str, order: Order) -> None:
        await asyncio.sleep(0)  # others get their turn, as where something is really sent
        if order.note in self.broken:
            raise ConnectionResetError(address)
        assert address == "ada@example.com"
        self.sent[order.note] += 1


@pytest.fixture
def placed(make_user: Any, make_order: Any, place: Any) -> Any:
    """Makes orders that are placed; gives their notes."""

    async def make(count: int) -> list[str]:
        user = await make_user("ada@example.com")
        notes = [f"order {number}" for number in range(count)]
        for note in notes:
            await place(await make_order(user, note=note))
        return notes

    return make


async def test_a_mail_is_sent_once(client: AsyncClient, database: Database, placed: Any) -> None:
    notes = await placed(2)
    mail = Mail()
    assert await send_confirmations(database, mail) == 2
    assert await send_confirmations(database, mail) == 0
    assert mail.sent == dict.fromkeys(notes, 1)
    items = (await client.get("/orders")).json()["items"]
    assert {(order["state"], order["version"]) for order in items} == {("confirmed", 3)}


async def test_workers_at_once_do_not_do_the_same(
    client: AsyncClient, database: Database, placed: Any
) -> None:
    notes = await placed(5)
    mail = Mail()
    counts = await asyncio.gather(*(send_confirmations(database, mail, batch=2) for _ in range(2)))
    assert sum(counts) == 5
    assert mail.sent == dict.fromkeys(notes, 1)
    items = (await client.get("/orders", params={"state": "confirmed"})).json()["items"]
    assert len(items) == 5


@pytest.mark.slow
async def test_a_mail_that_was_not_sent_is_sent_later(database: Database, placed: Any) -> None:
    first, _ = await placed(2)
    assert await send_confirmations(database, Mail(first)) == 1
    mail = Mail()
    assert await send_confirmations(database, mail) == 0
    later = now() + LEASE + timedelta(seconds=1)
    assert await send_confirmations(database, mail, at=later) == 1
    assert mail.sent == {first: 1}
    async with database.sessions() as session:
        sent = (await session.scalars(select(Confirmation.sent_at))).all()
    assert None not in sent
    assert later in sent


@pytest.mark.slow
async def test_who_is_too_late_notes_nothing(database: Database, placed: Any) -> None:
    (note,) = await placed(1)
    mail = Mail()
    later = now() + LEASE + timedelta(seconds=1)

    async def slowly(address: str, order: Order) -> None:
        # Meanwhile the claim runs out, and another worker does it.
        assert await send_confirmations(database, mail, at=later) == 1

    assert await send_confirmations(database, slowly) == 0
    assert mail.sent == {note: 1}
    async with database.sessions() as session:
        assert (await session.scalars(select(Confirmation.sent_at))).all() == [later]


@pytest.mark.slow
async def test_carts_that_nobody_wants_are_closed(
    client: AsyncClient, database: Database, make_user: Any, make_order: Any, place: Any
) -> None:
    user = await make_user()
    cart = await make_order(user)
    placed = await place(await make_order(user))
    await database.run(close_stale_carts)
    assert (await client.get(f"/orders/{cart['id']}")).json() == cart
    later = now() + STALE + timedelta(seconds=1)
    await database.run(close_stale_carts, later)
    closed = (await client.get(f"/orders/{cart['id']}")).json()
    assert (closed["state"], closed["version"]) == ("expired", 2)
    assert (await client.get(f"/orders/{placed['id']}")).json() == placed
    late = await client.patch(f"/orders/{cart['id']}", json={"version": 1, "note": "still here"})
    assert late.status_code == 409
