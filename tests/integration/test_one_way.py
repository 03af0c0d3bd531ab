"""The checks, the connector and the application go one and the same way to the warehouse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from vinci_code.core.config import DatabaseSettings, Settings
from vinci_code.database.databricks_connector import (
    DatabricksConnector,
    create_databricks_engine,
    validate_databricks_connection,
)
from vinci_code.diagnostics.runner import run_checks
from vinci_code.warehouse.pytest_plugin import TestWarehouse

TO_CONNECT = "OpenSession"


@pytest.fixture
def settings(local_warehouse: TestWarehouse) -> DatabaseSettings:
    served = local_warehouse.warehouse
    return DatabaseSettings(
        use_databricks=True,
        databricks_server_hostname=f"localhost:{served.port}",
        databricks_http_path=served.http_path,
        databricks_access_token=served.access_token,
        databricks_ca_file=served.ca_file,
        databricks_schema=local_warehouse.schema,
    )


def by_the_application(settings: DatabaseSettings) -> None:
    engine = create_databricks_engine(settings)
    try:
        with engine.connect() as connection:
            assert connection.scalar(select(1)) == 1
    finally:
        engine.dispose()


def by_the_checks(settings: DatabaseSettings) -> None:
    report = run_checks(lambda: Settings(database=settings))
    assert report.ok, report


def by_the_connector(settings: DatabaseSettings) -> None:
    with DatabricksConnector(settings) as connector, connector.connect().cursor() as cursor:
        assert cursor.execute("SELECT 1").fetchall() == [(1,)]


def by_validation(settings: DatabaseSettings) -> None:
    assert validate_databricks_connection(settings)


@pytest.mark.parametrize("way", [by_the_checks, by_the_connector, by_validation])
def test_the_requests_to_connect_are_those_of_the_application(
    way: Callable[[DatabaseSettings], None],
    settings: DatabaseSettings,
    local_warehouse: TestWarehouse,
) -> None:
    connecting = [
        requests_of(each, settings, local_warehouse) for each in (by_the_application, way)
    ]
    ((operation, *_),) = connecting[0]
    assert operation == TO_CONNECT
    # The checks look at the migrations over a connection of their own.
    assert connecting[1] == connecting[0] * (2 if way is by_the_checks else 1)


def test_the_arguments_are_those_of_the_application(
    settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, Any]] = []

    def note(**arguments: Any) -> None:
        given.append(arguments)
        raise ConnectionRefusedError("refused")

    monkeypatch.setattr("vinci_code.database.dialect.driver.dbapi.connect", note)
    for way in (by_the_application, by_the_connector):
        with pytest.raises(Exception, match=r"(?i)refused"):
            way(settings)
    ours, theirs = given[1], given[0]
    # What is waited for, and for how long, is the caller's affair.
    for name in ("timeout", "start_timeout", "on_waiting"):
        ours.pop(name, None)
    # Each has its own object that signs; it shows by what.
    assert str(ours.pop("credentials_provider")) == str(theirs.pop("credentials_provider"))
    assert {name: value for name, value in ours.items() if value is not None} == theirs


def requests_of(
    way: Callable[[DatabaseSettings], None],
    settings: DatabaseSettings,
    local_warehouse: TestWarehouse,
) -> list[tuple[Any, ...]]:
    """The requests to connect: what they ask for, with what, and how long they are."""
    local_warehouse.warehouse.clear_requests()
    way(settings)
    return [
        (record.operation, record.method, record.path, record.configuration, record.bytes_in)
        for record in local_warehouse.requests
        if record.operation == TO_CONNECT
    ]
