"""Fixtures of the warehouse's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from databricks import sql
from databricks.sql.client import Connection, Cursor

from tests.warehouse.wire.engine import FakeWarehouse


@pytest.fixture(scope="session")
def wire_server() -> Iterator[FakeWarehouse]:
    """A warehouse with the fake engine, for the whole run."""
    warehouse = FakeWarehouse()
    with warehouse:
        yield warehouse


@pytest.fixture
def wire(wire_server: FakeWarehouse) -> Iterator[FakeWarehouse]:
    """The fake warehouse with an empty request log and no faults."""
    wire_server.clear_requests()
    wire_server.engine.executed.clear()
    yield wire_server
    wire_server.faults.clear()
    wire_server.credentials.reinstate()


@pytest.fixture
def connection(wire: FakeWarehouse) -> Iterator[Connection]:
    """The driver's connection to the fake warehouse."""
    opened = sql.connect(**wire.connect_args)
    wire.clear_requests()
    yield opened
    wire.faults.clear()
    opened.close()


@pytest.fixture
def cursor(connection: Connection) -> Iterator[Cursor]:
    """A cursor on it."""
    with connection.cursor() as opened:
        yield opened
