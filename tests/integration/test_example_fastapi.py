"""The example application: the same calls on both databases, by the environment alone."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError
from sqlalchemy.orm import Session

from examples.fastapi_app import app
from vinci_code.core.config import reload_settings
from vinci_code.database.migrations import upgrade
from vinci_code.database.session import create_configured_engine, dispose_engine, get_engine
from vinci_code.warehouse.pytest_plugin import TestWarehouse

NEW = {
    "event_key": "sensor-7/1",
    "event_type": "temperature",
    "source": "sensor-7",
    "description": "it's \\ \U0001f600",
    "payload": {"celsius": 21.5, "tags": ["a", None, "ü"]},
    "occurred_at": "2026-01-31T12:00:00.123456+02:00",
}
HOSTILE = 'a\x00"b"; DROP TABLE events --'


@dataclass
class Client:
    """Sends requests to the application, and notes what it answers."""

    answers: list[tuple[int, Any]] = field(default_factory=list)

    def call(self, method: str, path: str, body: Any = None, **parameters: Any) -> Any:
        """The JSON of the answer."""

        async def send() -> httpx.Response:
            # What the application does not handle is to be an answer, as it is for its users.
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
                # Not "json=", which refuses to send NaN; the application has to.
                content = None if body is None else json.dumps(body).encode()
                headers = {"Content-Type": "application/json"}
                return await client.request(
                    method, path, content=content, params=parameters, headers=headers
                )

        reply = asyncio.run(send())
        is_json = reply.headers.get("Content-Type") == "application/json"
        self.answers.append(
            (reply.status_code, reply.json() if is_json and reply.content else reply.text)
        )
        return self.answers[-1][1]

    @property
    def status(self) -> int:
        """The status of the last answer."""
        return self.answers[-1][0]


@pytest.fixture
def sqlite() -> Client:
    """The application as it is without any settings."""
    reload_settings()
    return Client()


@pytest.fixture
def warehouse(local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch) -> Client:
    """The application with the environment of a warehouse."""
    for name, value in local_warehouse.env.items():
        monkeypatch.setenv(name, value)
    engine = create_configured_engine(reload_settings().database)
    upgrade(engine)
    engine.dispose()
    return Client()


@pytest.fixture(params=["sqlite", "warehouse"])
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    yield request.getfixturevalue(request.param)
    dispose_engine()


def use(client: Client) -> list[tuple[int, Any]]:
    """Call everything that there is, and return the answers without what cannot be the same."""
    made = client.call("POST", "/events", NEW)
    client.call("GET", f"/events/{made['id']}")
    client.call("PATCH", f"/events/{made['id']}", {"payload": None, "description": "changed"})
    client.call("GET", f"/events/{made['id']}")
    for number in range(4):
        client.call("POST", "/events", {**NEW, "event_key": f"more-{number}", "payload": None})
    client.call("POST", "/events", NEW)  # its key is taken
    page = client.call("GET", "/events", limit=2)
    while page["next"] is not None:
        page = client.call("GET", "/events", limit=2, after=page["next"])
    client.call("GET", "/events", limit=5)
    client.call("DELETE", f"/events/{made['id']}")
    for method in ("GET", "DELETE"):
        client.call(method, f"/events/{made['id']}")
    client.call("PATCH", f"/events/{made['id']}", {"source": "nobody"})
    other = page["items"][-1]["id"]
    client.call("PATCH", f"/events/{other}", {"source": None})
    client.call("PATCH", f"/events/{other}", {"id": 5})
    client.call("POST", "/events", {**NEW, "payload": {"number": float("nan")}})
    client.call("POST", "/events", {**NEW, "occurred_at": "2026-01-31T12:00:00"})
    client.call("POST", "/events", {"event_type": "no source"})
    client.call("POST", "/events", {**NEW, "event_key": None, "description": HOSTILE})
    client.call("GET", f"/events/{2**63}")
    client.call("GET", "/events", limit=0)
    client.call("GET", "/events")
    return neutral(client.answers)


def neutral(answers: list[tuple[int, Any]]) -> list[tuple[int, Any]]:
    """Answers with keys numbered in the order of their coming, and without the time of storing."""
    text = re.sub(r'"created_at": "[^"]+"', '"created_at": "(now)"', json.dumps(answers))
    keys: dict[str, str] = {}

    def number(found: re.Match[str]) -> str:
        return found[1] + keys.setdefault(found[2], f"({len(keys) + 1})") + found[3]

    text = re.sub(r'("(?:id|next)": ")(\d+)(")', number, text)
    text = re.sub(r"(no event )(\d+)(\.)", number, text)
    return [(status, answer) for status, answer in json.loads(text)]


def test_both_databases_give_the_same_answers(
    sqlite: Client, request: pytest.FixtureRequest
) -> None:
    here = use(sqlite)
    dispose_engine()
    there = use(request.getfixturevalue("warehouse"))
    assert there == here
    assert [status for status, _ in here] == (
        [201, 200, 200, 200] + [201] * 4 + [409] + [200] * 4 + [204, 404, 404, 404]
        + [409, 422, 422, 422, 422, 201, 422, 422, 200]
    )  # fmt: skip


def test_what_was_stored_comes_back(client: Client) -> None:
    made = client.call("POST", "/events", NEW)
    assert {name: made[name] for name in NEW} == {
        **NEW,
        "occurred_at": "2026-01-31T10:00:00.123456Z",
    }
    assert client.call("GET", f"/events/{made['id']}") == made
    # As text, since JavaScript would round it.
    assert isinstance(made["id"], str)


def test_pages_hold_every_event_once(client: Client) -> None:
    made = [client.call("POST", "/events", {**NEW, "event_key": str(n)})["id"] for n in range(7)]
    seen: list[str] = []
    page: dict[str, Any] = {"next": "0"}
    while page["next"] is not None:
        page = client.call("GET", "/events", after=page["next"], limit=3)
        seen += [item["id"] for item in page["items"]]
    assert seen == sorted(made, key=int)
    assert len(client.answers) == 7 + 3


def test_a_key_that_is_taken_is_a_conflict(client: Client) -> None:
    client.call("POST", "/events", NEW)
    answer = client.call("POST", "/events", {**NEW, "source": "another"})
    assert client.status == 409
    assert "event_key has to be new" in answer["detail"]
    assert "INSERT" not in answer["detail"]
    assert len(client.call("GET", "/events")["items"]) == 1


def test_an_event_that_is_gone_at_the_last_moment_is_a_conflict(client: Client) -> None:
    made = client.call("POST", "/events", NEW)

    def delete(session: Session, *_: Any) -> None:
        session.connection().exec_driver_sql("DELETE FROM events")

    event.listen(Session, "before_flush", delete, once=True)
    answer = client.call("PATCH", f"/events/{made['id']}", {"source": "late"})
    assert client.status == 409
    assert "deleted" in answer["detail"]


@pytest.mark.parametrize(
    ("kind", "status", "said"),
    [(OperationalError, 503, "Try again"), (ProgrammingError, 500, "Internal Server Error")],
)
def test_trouble_with_the_database_tells_nothing_of_it(
    kind: type[DBAPIError], status: int, said: str, client: Client
) -> None:
    def fail(*_: Any) -> None:
        raise kind("SELECT hidden", {}, Exception("hidden"))

    client.call("GET", "/events")
    event.listen(get_engine(), "before_cursor_execute", fail)
    answer = str(client.call("GET", "/events"))
    assert client.status == status
    assert said in answer
    assert "hidden" not in answer
