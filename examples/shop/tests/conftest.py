"""The shop on an empty database: the one that the environment names."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import alembic.command
import pytest
from alembic.config import Config
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from shop.app import create_app
from shop.database import Database
from shop.models import Base
from sqlalchemy import Engine, delete, inspect

from vinci_code.database import create_configured_engine

Json = Any
Make = Callable[..., Awaitable[Json]]

LINES = [
    {"product": "Käse", "quantity": 3, "unit_price": "0.10"},
    {"product": "Brot", "quantity": 1, "unit_price": "4.05"},
]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run async tests by asyncio alone."""
    return "asyncio"


@pytest.fixture(scope="session")
def alembic_config() -> Config:
    """Alembic's configuration, of the shop."""
    return Config(Path(__file__).parents[1] / "alembic.ini")


@pytest.fixture(scope="session")
def engine(alembic_config: Config) -> Iterator[Engine]:
    """An engine on the database, whose tables are made now and dropped in the end."""
    engine = create_configured_engine()
    try:
        if tables := set(inspect(engine).get_table_names()) - {"alembic_version"}:
            # Of a database that is in use nothing would be left.
            pytest.exit(f"The tests want an empty database; this one has {sorted(tables)}.", 4)
        alembic.command.upgrade(alembic_config, "head")
        yield engine
        alembic.command.downgrade(alembic_config, "base")
        assert inspect(engine).get_table_names() == ["alembic_version"]
    finally:
        engine.dispose()


@pytest.fixture(autouse=True)
def empty_tables(engine: Engine) -> Iterator[None]:
    """Leave the tables to the next test as they were found."""
    yield
    with engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(delete(table))


@pytest.fixture(scope="session")
async def app(engine: Engine) -> AsyncIterator[FastAPI]:
    """The application as it runs."""
    app = create_app()
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture(scope="session")
def database(app: FastAPI) -> Database:
    """The database of the application."""
    database: Database = app.state.database
    return database


@pytest.fixture(scope="session")
async def client(app: FastAPI) -> AsyncIterator[AsyncClient]:
    """Somebody who calls it."""
    # What the application does not handle is to be an answer, as it is for its users.
    transport = ASGITransport(app, raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url="http://shop") as client:
        yield client


@pytest.fixture
def make_user(client: AsyncClient) -> Make:
    """Registers users."""

    async def make(email: str = "ada@example.com", **values: Any) -> Json:
        body = {"email": email, "name": "Ada", **values}
        return (await client.post("/users", json=body)).raise_for_status().json()

    return make


@pytest.fixture
def make_order(client: AsyncClient) -> Make:
    """Makes orders of a user."""

    async def make(user: Json, **values: Any) -> Json:
        body = {"user_id": int(user["id"]), "lines": LINES, **values}
        return (await client.post("/orders", json=body)).raise_for_status().json()

    return make


@pytest.fixture
def place(client: AsyncClient) -> Make:
    """Places orders."""

    async def send(order: Json) -> Json:
        path = f"/orders/{order['id']}/place"
        answer = await client.post(path, params={"version": order["version"]})
        return answer.raise_for_status().json()

    return send
