"""A pytest plugin: a local warehouse for the whole run, and a schema of its own for each test.

    def test_something(local_warehouse):
        with databricks.sql.connect(**local_warehouse.connect_args) as connection:
            ...

Nothing is started, and nothing heavy is imported, until a test asks for it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from vinci_code.warehouse.faults import Fault
    from vinci_code.warehouse.local import LocalWarehouse
    from vinci_code.warehouse.wire.recording import RequestRecord


class TestWarehouse:
    """The run's warehouse as one test sees it: its own schema, and its own requests.

    Attributes:
        warehouse: The warehouse itself, which other tests use too.
        catalog: The catalog of the test's schema.
        schema: The test's schema, empty when the test begins and dropped when it ends.
    """

    # Not a class of tests, whatever its name.
    __test__ = False

    def __init__(self, warehouse: LocalWarehouse, schema: str) -> None:
        self.warehouse = warehouse
        self.catalog = warehouse.catalog
        self.schema = schema
        warehouse.clear_requests()

    @property
    def connect_args(self) -> dict[str, Any]:
        """Arguments for ``databricks.sql.connect``, with the test's schema."""
        return self.warehouse.connect_args_for(self.catalog, self.schema)

    @property
    def env(self) -> dict[str, str]:
        """Environment variables for the application, with the test's schema."""
        return self.warehouse.env_for(self.catalog, self.schema)

    @property
    def requests(self) -> tuple[RequestRecord, ...]:
        """The requests since the test began."""
        return self.warehouse.requests

    @property
    def statements(self) -> list[str]:
        """The texts of the statements since the test began."""
        return self.warehouse.statements

    def inject(self, *faults: Fault) -> None:
        """Script faults; those that have not fired when the test ends are taken back."""
        self.warehouse.inject(*faults)


@pytest.fixture(scope="session")
def local_warehouse_server() -> Iterator[LocalWarehouse]:
    """A local warehouse, in memory, for the whole run."""
    from vinci_code.warehouse import LocalWarehouse

    with LocalWarehouse() as warehouse:
        yield warehouse


@pytest.fixture
def local_warehouse(local_warehouse_server: LocalWarehouse) -> Iterator[TestWarehouse]:
    """The run's warehouse, with an empty schema for this test alone."""
    schema = f"test_{secrets.token_hex(6)}"
    local_warehouse_server.sql(f"CREATE SCHEMA {schema}")
    try:
        yield TestWarehouse(local_warehouse_server, schema)
    finally:
        local_warehouse_server.faults.clear()
        local_warehouse_server.credentials.reinstate()
        local_warehouse_server.sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
