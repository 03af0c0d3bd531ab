"""What the tests of the dialect share: a warehouse, and ways to it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import URL, Engine, create_engine

from tests.dialect.held import engine_on
from vinci_code.database.dialect.driver import dbapi
from vinci_code.warehouse import LocalWarehouse
from vinci_code.warehouse.pytest_plugin import TestWarehouse


@pytest.fixture
def connect_args(local_warehouse: TestWarehouse) -> dict[str, Any]:
    """Arguments for ``dbapi.connect``, with an empty schema for this test alone."""
    return local_warehouse.connect_args


@pytest.fixture
def connect(connect_args: dict[str, Any]) -> Iterator[Callable[..., dbapi.Connection]]:
    """Opens connections of the DB-API module, and closes them after the test."""
    opened: list[dbapi.Connection] = []

    def open_connection(**arguments: Any) -> dbapi.Connection:
        opened.append(dbapi.connect(**{**connect_args, **arguments}))
        return opened[-1]

    yield open_connection
    for connection in opened:
        connection.close()


@pytest.fixture
def connection(connect: Callable[..., dbapi.Connection]) -> dbapi.Connection:
    """A connection of the DB-API module."""
    return connect()


@pytest.fixture
def engine_url(local_warehouse: TestWarehouse) -> URL:
    """The URL of the test's schema; it holds no token."""
    warehouse = local_warehouse.warehouse
    return URL.create(
        "databricks+vinci",
        host=warehouse.host,
        port=warehouse.port,
        query={
            "http_path": warehouse.http_path,
            "catalog": local_warehouse.catalog,
            "schema": local_warehouse.schema,
        },
    )


@pytest.fixture
def engine_args(local_warehouse: TestWarehouse) -> dict[str, Any]:
    """The ``connect_args`` that go with ``engine_url``."""
    warehouse = local_warehouse.warehouse
    return {
        "access_token": warehouse.access_token,
        "_tls_trusted_ca_file": str(warehouse.ca_file),
    }


@pytest.fixture
def engine(engine_url: URL, engine_args: dict[str, Any]) -> Iterator[Engine]:
    """An engine on an empty schema for this test alone."""
    engine = create_engine(engine_url, connect_args=engine_args)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def server_without_transactions() -> Iterator[LocalWarehouse]:
    """A local warehouse that knows no transactions, for the whole run."""
    with LocalWarehouse(transactions=False) as warehouse:
        yield warehouse


@pytest.fixture
def without_transactions(
    server_without_transactions: LocalWarehouse,
) -> Iterator[TestWarehouse]:
    """The warehouse that knows no transactions, with an empty schema for this test alone."""
    schema = f"test_{secrets.token_hex(6)}"
    server_without_transactions.sql(f"CREATE SCHEMA {schema}")
    yield TestWarehouse(server_without_transactions, schema)
    server_without_transactions.faults.clear()
    server_without_transactions.sql(f"DROP SCHEMA {schema} CASCADE")


@pytest.fixture
def connected(
    local_warehouse: TestWarehouse,
) -> Iterator[Callable[..., Engine]]:
    """Makes engines on the test's schema, with the arguments of ``create_engine`` given to it."""
    made: list[Engine] = []

    def connect(warehouse: TestWarehouse = local_warehouse, **options: Any) -> Engine:
        made.append(engine_on(warehouse.warehouse, warehouse.schema, **options))
        return made[-1]

    yield connect
    for engine in made:
        engine.dispose()
