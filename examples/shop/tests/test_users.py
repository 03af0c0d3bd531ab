"""Users over HTTP."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from httpx import AsyncClient

pytestmark = pytest.mark.anyio

SETTINGS = {
    "theme": "dark",
    "größe": [1, 2.5, None, True, {"nested": ["ü", "\U0001f600", ""]}],
    "quote": 'it\'s \\ "so"; DROP TABLE users --',
    "big": 2**53 + 1,
    "empty": {},
}


WRONG: list[dict[str, Any]] = [
    {"email": "nobody", "name": "Ada"},
    {"email": "ä@example.com", "name": "Ada"},
    {"email": "ada@example.com", "name": " "},
    {"email": "ada@example.com"},
    {"email": "ada@example.com", "name": "Ada", "id": 5},
    {"email": "ada@example.com", "name": "Ada", "settings": {"n": float("nan")}},
    {"email": "ada@example.com", "name": "Ada", "settings": {"half": "\ud83d"}},
]


async def test_a_user_comes_back(client: AsyncClient, make_user: Any) -> None:
    before = datetime.now(timezone.utc)
    made = await make_user("Ada@Example.com", name="  Ada \U0001f600 ", settings=SETTINGS)
    assert made["email"] == "ada@example.com"
    assert made["name"] == "Ada \U0001f600"
    assert made["settings"] == SETTINGS
    assert (await client.get(f"/users/{made['id']}")).json() == made
    created = datetime.fromisoformat(made["created_at"].replace("Z", "+00:00"))
    assert created.utcoffset() == timedelta(0)
    assert before <= created <= datetime.now(timezone.utc)


async def test_an_address_is_taken(client: AsyncClient, make_user: Any) -> None:
    await make_user("ada@example.com")
    body = {"email": "ADA@example.com", "name": "another"}
    answer = await client.post("/users", json=body)
    assert (answer.status_code, answer.json()) == (409, {"detail": "It is there already."})


async def test_of_users_at_once_with_one_address_one_is_made(client: AsyncClient) -> None:
    body = {"email": "bob@example.com", "name": "Bob"}
    answers = await asyncio.gather(*(client.post("/users", json=body) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    assert len((await client.get("/users")).json()) == 1


@pytest.mark.slow
async def test_settings_are_merged(client: AsyncClient, make_user: Any) -> None:
    made = await make_user(settings={"a": 1, "b": {"c": [2]}})
    path = f"/users/{made['id']}"
    changed = await client.patch(f"{path}/settings", json={"b": None, "d": {"e": "ä"}})
    assert changed.json()["settings"] == {"a": 1, "d": {"e": "ä"}}
    assert (await client.get(path)).json()["settings"] == {"a": 1, "d": {"e": "ä"}}


async def test_settings_that_are_changed_at_once_are_all_kept(
    client: AsyncClient, make_user: Any
) -> None:
    path = f"/users/{(await make_user())['id']}"
    changes = [{"a": 1}, {"b": 2}, {"c": 3}]
    answers = await asyncio.gather(
        *(client.patch(f"{path}/settings", json=change) for change in changes)
    )
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert (await client.get(path)).json()["settings"] == {"a": 1, "b": 2, "c": 3}


async def test_users_are_searched(client: AsyncClient, make_user: Any) -> None:
    await make_user("a_b@example.com", name="Eva Müller")
    await make_user("axb@example.com", name="100% Wolle")
    await make_user("ada@example.com", name="it's Ada")
    wanted = {
        "": ["a_b", "ada", "axb"],
        "ADA@": ["ada"],
        "a_b": ["a_b"],
        "Müller": ["a_b"],
        "100%": ["axb"],
        "%": ["axb"],
        "it's": ["ada"],
        "\\": [],
        "nobody": [],
    }
    found = {
        words: [
            user["email"].removesuffix("@example.com")
            for user in (await client.get("/users", params={"q": words})).json()
        ]
        for words in wanted
    }
    assert found == wanted


@pytest.mark.slow
async def test_pages_of_users(client: AsyncClient, make_user: Any) -> None:
    emails = [f"{number}@example.com" for number in range(5)]
    for email in reversed(emails):
        await make_user(email)
    pages = [
        [user["email"] for user in (await client.get("/users", params=place)).json()]
        for place in ({"limit": 2}, {"limit": 2, "offset": 2}, {"limit": 2, "offset": 4})
    ]
    assert pages == [emails[:2], emails[2:4], emails[4:]]


async def test_a_deleted_user_is_gone_with_the_carts(
    client: AsyncClient, make_user: Any, make_order: Any, place: Any
) -> None:
    user, other = await make_user(), await make_user("bob@example.com")
    carts = [await make_order(user), await make_order(other)]
    placed = await place(await make_order(user))
    path = f"/users/{user['id']}"
    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path)).status_code == 404
    assert (await client.delete(path)).status_code == 404
    assert (await client.patch(f"{path}/settings", json={"a": 1})).status_code == 404
    assert [user["id"] for user in (await client.get("/users")).json()] == [other["id"]]
    assert (await client.get(f"/orders/{carts[0]['id']}")).status_code == 404
    left = (await client.get("/orders")).json()["items"]
    assert {order["id"] for order in left} == {carts[1]["id"], placed["id"]}
    body = {"user_id": int(user["id"])}
    assert (await client.post("/orders", json=body)).status_code == 404


async def test_what_makes_no_user_is_refused(client: AsyncClient) -> None:
    for body in WRONG:
        # Not "json=", which refuses NaN itself.
        answer = await client.post("/users", content=json.dumps(body))
        assert answer.status_code == 422, body
    assert (await client.get("/users")).json() == []


async def test_a_user_that_is_not_there(client: AsyncClient) -> None:
    assert (await client.get("/users/12345")).json() == {"detail": "There is no user 12345."}
    assert (await client.get(f"/users/{2**63}")).status_code == 422
