"""A stranger's application: its own tests on both databases, and what its requests cost."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.process import environment
from tests.full import some
from tests.patience import PATIENCE_S
from vinci_code.core.config import reload_settings
from vinci_code.database import create_configured_engine
from vinci_code.warehouse.pytest_plugin import TestWarehouse

ROOT = Path(__file__).parents[2]
SHOP = ROOT / "examples" / "shop"

TIMES = ("created_at", "updated_at", "placed_at", "next")
"""What is another value each time, if there is one."""

COSTS = {
    "register a user": (0, 1),
    "read a user": (1, 0),
    "change a user's settings": (1, 1),
    "make a tag": (0, 1),
    "count the tags": (1, 0),
    "make an order with 10 lines": (1, 1),
    "make an order with 10 lines and 2 tags": (2, 1),
    "read an order": (3, 0),
    "search orders, 2 on a page": (3, 0),
    "search orders, 20 on a page": (3, 0),
    "change the note, 10 lines and the tags": (4, 1),
    "place an order": (3, 1),
    "delete an order": (3, 1),
    "change what has been changed": (3, 0),
    "delete a user with the carts": (2, 1),
    "send 2 confirmations": (3, 3),
    "close stale carts": (1, 1),
}
"""Statements that read and that write of each request; an async UPDATE by a condition counts its
rows, which is a read."""


@pytest.mark.slow
def test_its_tests_are_answered_the_same_on_sqlite_and_on_the_warehouse(
    local_warehouse: TestWarehouse, tmp_path: Path
) -> None:
    on_sqlite = run_its_tests(
        {"DATABASE_URL": f"sqlite:///{tmp_path / 'shop.db'}"}, tmp_path / "sqlite.json"
    )
    on_warehouse = run_its_tests(local_warehouse.env, tmp_path / "warehouse.json")
    assert on_warehouse == on_sqlite
    assert len(on_sqlite) >= 20
    assert sum(len(answers) for answers in on_sqlite.values()) >= 150
    assert any("BEGIN ATOMIC" in statement for statement in local_warehouse.statements)


def test_its_code_knows_no_database() -> None:
    files = [file for file in SHOP.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    code = [file for file in files if file.suffix in (".py", ".ini", ".toml", ".mako")]
    assert len(code) > 15
    assert {file.name for file in files} - {file.name for file in code} == {"README.md"}
    naming = re.compile("databricks|sqlite|duckdb|warehouse|dialect|merge into", re.IGNORECASE)
    found = [
        f"{file.relative_to(SHOP)}:{number}: {line}"
        for file in code
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1)
        if naming.search(line)
    ]
    assert found == []


def test_what_its_requests_cost(
    local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in local_warehouse.env.items():
        monkeypatch.setenv(name, value)
    reload_settings()
    monkeypatch.syspath_prepend(str(SHOP))
    from shop.models import Base

    engine = create_configured_engine()
    Base.metadata.create_all(engine)
    engine.dispose()
    meter = Meter(local_warehouse)
    asyncio.run(use(meter))
    for what, (reads, writes) in meter.costs.items():
        print(f"{what:<40} {reads} reads, {writes} writes")
    assert meter.costs == COSTS


class Meter:
    """Counts the statements of each request."""

    def __init__(self, warehouse: TestWarehouse) -> None:
        self.costs: dict[str, tuple[int, int]] = {}
        self._warehouse = warehouse
        self._seen = 0

    def begin(self) -> None:
        """Leave out what came before."""
        self._seen = len(self._warehouse.statements)

    def note(self, what: str) -> None:
        """Note what came since."""
        sent = self._warehouse.statements[self._seen :]
        self.begin()
        reads = sum(statement.startswith("SELECT") for statement in sent)
        self.costs[what] = reads, len(sent) - reads


async def use(meter: Meter) -> None:
    """Do what the shop is there for, each once."""
    from shop.app import app
    from shop.jobs import close_stale_carts, send_confirmations

    lines = [{"product": f"p{n}", "quantity": n + 1, "unit_price": "1.50"} for n in range(10)]
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://shop") as client,
    ):

        async def call(what: str, method: str, path: str, status: int = 200, **rest: Any) -> Any:
            answer = await client.request(method, path, **rest)
            meter.note(what)
            assert answer.status_code == status, answer.text
            return answer.json() if answer.content else None

        await client.get("/tags")  # opens the connection
        meter.begin()
        body: dict[str, Any] = {"email": "ada@example.com", "name": "Ada"}
        user = await call("register a user", "POST", "/users", 201, json=body)
        account = f"/users/{user['id']}"
        await call("read a user", "GET", account)
        settings = f"{account}/settings"
        await call("change a user's settings", "PATCH", settings, json={"theme": "dark"})
        for name in ("gift", "urgent"):
            await call("make a tag", "POST", "/tags", 201, json={"name": name})
        await call("count the tags", "GET", "/tags")
        new: dict[str, Any] = {"user_id": int(user["id"]), "lines": lines}
        plain = await call("make an order with 10 lines", "POST", "/orders", 201, json=new)
        new["tags"] = ["gift", "urgent"]
        made = await call(
            "make an order with 10 lines and 2 tags", "POST", "/orders", 201, json=new
        )
        path = f"/orders/{made['id']}"
        await call("read an order", "GET", path)
        for limit in (2, 20):
            what = f"search orders, {limit} on a page"
            await call(what, "GET", "/orders", params={"q": "p9", "tag": "gift", "limit": limit})
        change = {"version": 1, "note": "n", "lines": lines[::-1], "tags": ["gift"]}
        what = "change the note, 10 lines and the tags"
        made = await call(what, "PATCH", path, json=change)
        await call("change what has been changed", "PATCH", path, 409, json=change)
        for order in (plain, made):
            place = f"/orders/{order['id']}/place"
            await call("place an order", "POST", place, params={"version": order["version"]})
        await send_confirmations(app.state.database, nowhere)
        meter.note("send 2 confirmations")
        carts = [(await client.post("/orders", json=new)).json() for _ in range(3)]
        meter.begin()
        path = f"/orders/{carts[0]['id']}"
        await call("delete an order", "DELETE", path, 204, params={"version": 1})
        await app.state.database.run(close_stale_carts)
        meter.note("close stale carts")
        await call("delete a user with the carts", "DELETE", account, 204)


async def nowhere(address: str, order: Any) -> None:
    """Send nothing."""


def run_its_tests(database: Mapping[str, str], answers: Path) -> dict[str, list[Any]]:
    """Run the tests of the shop; give what each of them was answered.

    A part of them, unless all cases of all tests are wanted.
    """
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("-p", "tests.integration.shop_answers", *some([], few=["-m", "not slow"])),
        ],
        cwd=SHOP,
        env=environment(
            **database,
            SHOP_ANSWERS=str(answers),
            PYTHONPATH=str(ROOT),
            PYTHONDONTWRITEBYTECODE="1",
        ),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    noted: dict[str, list[Any]] = json.loads(answers.read_text("utf-8"))
    return {
        test: sorted(one[2] for one in answers) if "at_once" in test else neutral(answers)
        for test, answers in noted.items()
    }


def neutral(answers: list[Any]) -> list[Any]:
    """Answers with keys numbered in the order of their coming, and without times."""
    seen: dict[tuple[str, str], str] = {}

    def key(kind: str, value: str) -> str:
        return seen.setdefault((kind, value), f"{kind} {len(seen)}")

    def plain(value: Any, kind: str) -> Any:
        if isinstance(value, list):
            return [plain(item, kind) for item in value]
        if not isinstance(value, dict):
            return value
        known = {name: inner and "(there)" for name, inner in value.items() if name in TIMES}
        if "id" in value:
            known["id"] = key(kind, value["id"])
        if "user_id" in value:
            known["user_id"] = key("user", value["user_id"])
        return {name: known.get(name, plain(inner, kind)) for name, inner in value.items()}

    def named(found: re.Match[str]) -> str:
        return f"{found[1]}{key(found[1].strip('/s '), found[2])}"

    found = []
    for method, path, status, text in answers:
        body = plain(json.loads(text), path.split("/")[1].rstrip("s")) if text else None
        if isinstance(body, dict) and isinstance(body.get("detail"), str):
            body["detail"] = re.sub(r"(user |order )(\d+)", named, body["detail"])
        found.append([method, re.sub(r"(/users/|/orders/)(\d+)", named, path), status, body])
    return found
