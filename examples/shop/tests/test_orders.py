"""Orders and tags over HTTP."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from httpx import AsyncClient

pytestmark = pytest.mark.anyio


SEARCHES: list[tuple[dict[str, Any], str]] = [
    ({}, "cba"),
    ({"q": "GRÜSSE"}, "a"),
    ({"q": "grüße"}, "a"),
    ({"q": "ЧАЙ"}, "b"),
    ({"q": "café"}, "c"),
    ({"q": "cafe\u0301"}, "c"),
    ({"q": "50%_"}, "b"),
    ({"q": "5_%"}, ""),
    ({"q": "käse"}, "ca"),
    ({"product": "Käse"}, "ca"),
    ({"product": "käse"}, ""),
    ({"tag": "eilig"}, "cb"),
    ({"tag": "eilig", "product": "Käse"}, "c"),
    ({"tag": "eilig' OR 1=1"}, ""),
    ({"state": "placed"}, "b"),
    ({"state": "expired"}, ""),
    ({"min_total": "4.35"}, "ca"),
    ({"min_total": "4.36"}, ""),
    ({"user_id": 2**50}, ""),
]
"""What is asked for, and how the notes of the orders begin that are found of ``three_orders``."""


@pytest.fixture
async def three_orders(client: AsyncClient, make_user: Any, make_order: Any, place: Any) -> None:
    """Three orders, whose notes begin with a, b, c."""
    for name in ("eilig", "gift"):
        await client.post("/tags", json={"name": name})
    user = await make_user()
    tea = {"product": "чай", "quantity": 1, "unit_price": "4.34"}
    await make_order(user, note="a Grüße", tags=["gift"])
    await place(await make_order(user, note="b 50%_", lines=[tea], tags=["eilig"]))
    await make_order(user, note="c Cafe\u0301", tags=["eilig", "gift"])


WRONG: list[dict[str, Any]] = [
    {"tags": ["unknown"]},
    {"lines": [{"product": "Wein", "quantity": 0, "unit_price": "1"}]},
    {"lines": [{"product": "Wein", "quantity": 1, "unit_price": "1.001"}]},
    {"lines": [{"product": "Wein", "quantity": 1, "unit_price": "-1"}]},
    {"lines": [{"product": "", "quantity": 1, "unit_price": "1"}]},
    {"total": "5.00"},
]


async def test_an_order_comes_back(client: AsyncClient, make_user: Any, make_order: Any) -> None:
    await client.post("/tags", json={"name": "gift"})
    await client.post("/tags", json={"name": "eilig"})
    made = await make_order(await make_user(), note="für Oma", tags=["gift", "eilig"])
    assert made["total"] == "4.35"
    assert made["lines"] == [
        {"product": "Käse", "quantity": 3, "unit_price": "0.10"},
        {"product": "Brot", "quantity": 1, "unit_price": "4.05"},
    ]
    assert made["tags"] == ["eilig", "gift"]
    assert (made["state"], made["version"], made["placed_at"]) == ("cart", 1, None)
    assert time(made["created_at"]).utcoffset() == timedelta(0)
    assert (await client.get(f"/orders/{made['id']}")).json() == made


async def test_money_is_exact(client: AsyncClient, make_user: Any, make_order: Any) -> None:
    await client.post("/tags", json={"name": "gift"})
    user = await make_user()
    prices = ["0.10", "19.99", "1000000.07", "0"]
    lines = [{"product": "Wein", "quantity": 7, "unit_price": price} for price in prices]
    made = [await make_order(user, lines=[line], tags=["gift"]) for line in lines]
    assert [order["total"] for order in made] == ["0.70", "139.93", "7000000.49", "0.00"]
    found = (await client.get("/orders", params={"min_total": "0.70"})).json()["items"]
    assert [order["total"] for order in found] == ["7000000.49", "139.93", "0.70"]
    assert [order["lines"][0]["unit_price"] for order in found] == prices[2::-1]
    (tag,) = (await client.get("/tags")).json()
    assert tag["total"] == "7000141.12"


@pytest.mark.slow
async def test_lines_are_replaced(client: AsyncClient, make_user: Any, make_order: Any) -> None:
    order = await make_order(await make_user())
    lines = [
        {"product": name, "quantity": 1, "unit_price": "1.00"} for name in ("Wein", "Tee", "Salz")
    ]
    for wanted in (lines, lines[2:], [], lines[:2]):
        body = {"version": order["version"], "lines": wanted}
        answer = await client.patch(f"/orders/{order['id']}", json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["version"] == order["version"] + 1
        order = answer.json()
        assert order["lines"] == wanted
        assert order["total"] == f"{len(wanted)}.00"
        assert (await client.get(f"/orders/{order['id']}")).json() == order


@pytest.mark.slow
async def test_what_is_left_out_of_a_change_stays(
    client: AsyncClient, make_user: Any, make_order: Any
) -> None:
    await client.post("/tags", json={"name": "gift"})
    made = await make_order(await make_user(), note="klingeln")
    body = {"version": 1, "tags": ["gift"]}
    changed = (await client.patch(f"/orders/{made['id']}", json=body)).json()
    # A change of the tags alone is one of the order, too.
    assert changed["version"] == 2
    assert time(changed["updated_at"]) > time(made["updated_at"])
    changes = {name: changed[name] for name in ("tags", "version", "updated_at")}
    assert changed == {**made, **changes}
    body = {"version": 2, "note": None}
    changed = (await client.patch(f"/orders/{made['id']}", json=body)).json()
    assert (changed["note"], changed["tags"]) == (None, ["gift"])


async def test_who_has_seen_another_version_changes_nothing(
    client: AsyncClient, make_user: Any, make_order: Any
) -> None:
    made = await make_order(await make_user())
    path = f"/orders/{made['id']}"
    assert (await client.patch(path, json={"version": 1, "note": "first"})).status_code == 200
    late = await client.patch(path, json={"version": 1, "note": "second"})
    assert late.status_code == 409
    assert "its version is 2" in late.json()["detail"]
    assert (await client.delete(path, params={"version": 1})).status_code == 409
    assert (await client.post(f"{path}/place", params={"version": 1})).status_code == 409
    assert (await client.get(path)).json()["note"] == "first"


async def test_of_changes_at_once_one_is_made(
    client: AsyncClient, make_user: Any, make_order: Any
) -> None:
    made = await make_order(await make_user())
    path = f"/orders/{made['id']}"
    for round_ in range(3):
        body = {"version": made["version"] + round_}
        answers = await asyncio.gather(
            *(client.patch(path, json={**body, "note": note}) for note in ("one", "two", "three"))
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
        (won,) = (answer.json() for answer in answers if answer.status_code == 200)
        assert (await client.get(path)).json() == won


async def test_an_order_that_is_placed_twice_at_once_is_placed_once(
    client: AsyncClient, make_user: Any, make_order: Any
) -> None:
    made = await make_order(await make_user())
    path = f"/orders/{made['id']}"
    answers = await asyncio.gather(
        *(client.post(f"{path}/place", params={"version": 1}) for _ in range(2))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    order = (await client.get(path)).json()
    assert (order["state"], order["version"]) == ("placed", 2)
    assert time(order["placed_at"]) > time(order["created_at"])
    assert (await client.patch(path, json={"version": 2, "note": "late"})).status_code == 409
    assert (await client.delete(path, params={"version": 2})).status_code == 409


@pytest.mark.slow
async def test_an_empty_order_is_not_placed(
    client: AsyncClient, make_user: Any, make_order: Any
) -> None:
    made = await make_order(await make_user(), lines=[])
    answer = await client.post(f"/orders/{made['id']}/place", params={"version": 1})
    assert (answer.status_code, made["total"]) == (409, "0.00")


async def test_a_deleted_order_is_gone(
    client: AsyncClient, make_user: Any, make_order: Any
) -> None:
    await client.post("/tags", json={"name": "gift"})
    made = await make_order(await make_user(), tags=["gift"])
    path = f"/orders/{made['id']}"
    assert (await client.delete(path, params={"version": 1})).status_code == 204
    assert (await client.get(path)).status_code == 404
    assert (await client.delete(path, params={"version": 2})).status_code == 404
    assert (await client.patch(path, json={"version": 2})).status_code == 404
    assert (await client.get("/orders")).json() == {"items": [], "next": None}
    assert (await client.get("/tags")).json() == [{"name": "gift", "orders": 0, "total": "0.00"}]


async def test_orders_are_searched(client: AsyncClient, three_orders: None) -> None:
    for wanted, expected in SEARCHES:
        items = (await client.get("/orders", params=wanted)).json()["items"]
        assert "".join(order["note"][0] for order in items) == expected, wanted


async def test_orders_of_a_time(client: AsyncClient, three_orders: None) -> None:
    newest, middle, _ = (await client.get("/orders")).json()["items"]
    # The same instants, as another time zone has them.
    since, before = (
        time(order["created_at"]).astimezone().isoformat() for order in (middle, newest)
    )
    found = await client.get("/orders", params={"since": since, "before": before})
    assert [order["id"] for order in found.json()["items"]] == [middle["id"]]
    naive = await client.get("/orders", params={"since": "2026-01-31T12:00:00"})
    assert naive.status_code == 422


async def test_pages_are_steady_while_orders_come_and_go(
    client: AsyncClient, make_user: Any, make_order: Any
) -> None:
    user = await make_user()
    made = [(await make_order(user, lines=[]))["id"] for _ in range(7)]
    seen: list[str] = []
    page: dict[str, Any] = {"next": None}
    while True:
        after = {"after": page["next"]} if page["next"] else {}
        page = (await client.get("/orders", params={"limit": 3, **after})).json()
        seen += [order["id"] for order in page["items"]]
        if page["next"] is None:
            break
        await make_order(user, lines=[])
        # Of the place where the page ended nothing is left.
        await client.delete(f"/orders/{seen[-1]}", params={"version": 1})
    assert seen == made[::-1]


async def test_a_page_that_is_none(client: AsyncClient) -> None:
    for mark in ("x", "YQ==", "MjAyNi0wMS0wMSAx"):
        answer = await client.get("/orders", params={"after": mark})
        assert answer.status_code == 422, mark


async def test_tags_are_counted(client: AsyncClient, make_user: Any, make_order: Any) -> None:
    for name in ("Ärger", "gift", "zuletzt"):
        assert (await client.post("/tags", json={"name": name})).status_code == 201
    assert (await client.post("/tags", json={"name": "gift"})).status_code == 409
    user = await make_user()
    for tags in (["gift"], ["gift", "zuletzt"], []):
        await make_order(user, tags=tags)
    assert (await client.get("/tags")).json() == [
        {"name": "gift", "orders": 2, "total": "8.70"},
        {"name": "zuletzt", "orders": 1, "total": "4.35"},
        {"name": "Ärger", "orders": 0, "total": "0.00"},
    ]


async def test_what_makes_no_order_is_refused(client: AsyncClient, make_user: Any) -> None:
    user = int((await make_user())["id"])
    for wrong in WRONG:
        answer = await client.post("/orders", json={"user_id": user, **wrong})
        assert answer.status_code == 422, wrong
    assert (await client.get("/orders")).json()["items"] == []


def time(text: str) -> datetime:
    """What a text of JSON says; Python 3.10 does not know the Z."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
