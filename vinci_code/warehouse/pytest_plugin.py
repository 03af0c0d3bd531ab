"""A pytest plugin: a local warehouse for the whole run, and a schema of its own for each test.

    def test_something(local_warehouse):
        with databricks.sql.connect(**local_warehouse.connect_args) as connection:
            ...

    def test_something_else(warehouse_engine):
        Base.metadata.create_all(warehouse_engine)
        ...

Nothing is started, and nothing is imported beside pytest, until a test asks for it. Each process of
pytest-xdist has a warehouse of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

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
    def engine_url(self) -> URL:
        """What ``sqlalchemy.create_engine`` takes in this process, with the test's schema.

        There is no token in it.
        """
        from vinci_code.warehouse.urls import engine_url_of

        return engine_url_of(self.warehouse, self.catalog, self.schema)

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
    import secrets

    schema = f"test_{secrets.token_hex(6)}"
    local_warehouse_server.sql(f"CREATE SCHEMA {schema}")
    try:
        yield TestWarehouse(local_warehouse_server, schema)
    finally:
        local_warehouse_server.faults.clear()
        local_warehouse_server.credentials.reinstate()
        local_warehouse_server.sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


@pytest.fixture
def warehouse_engine(local_warehouse: TestWarehouse) -> Iterator[Engine]:
    """An engine of SQLAlchemy's on an empty schema of the run's warehouse, for this test alone."""
    from sqlalchemy import create_engine

    engine = create_engine(local_warehouse.engine_url)
    yield engine
    engine.dispose()


@pytest.fixture
def engine_url(request: pytest.FixtureRequest) -> URL:
    """The URL of an empty database for this test alone, for ``sqlalchemy.create_engine``.

    It is a schema of the run's warehouse. A test that is to run on SQLite as well asks for both::

        @pytest.mark.parametrize("engine_url", ["sqlite", "warehouse"], indirect=True)
    """
    database = getattr(request, "param", "warehouse")
    if database == "warehouse":
        found: TestWarehouse = request.getfixturevalue("local_warehouse")
        return found.engine_url
    if database != "sqlite":
        raise pytest.UsageError(f"engine_url is of sqlite or warehouse, and not of {database!r}")
    from sqlalchemy import URL

    return URL.create("sqlite", database=str(request.getfixturevalue("tmp_path") / "test.db"))
