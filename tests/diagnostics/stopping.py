"""A warehouse that is stopped by hand for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from vinci_code.core.config.normalise import warehouse_id_of
from vinci_code.database.databricks.http import request
from vinci_code.database.databricks_connector import DatabricksConnector


@contextmanager
def stopped(connector: DatabricksConnector) -> Iterator[None]:
    """Stop the warehouse over REST, and start it again at the end."""
    _send(connector, "stop")
    try:
        yield
    finally:
        _send(connector, "start")


def _send(connector: DatabricksConnector, action: str) -> None:
    reply = request(
        "POST",
        connector.host,
        connector.port,
        f"/api/2.0/sql/warehouses/{warehouse_id_of(connector.http_path)}/{action}",
        timeout=20.0,
        ca_file=connector.target.ca_file,
        headers=connector.credentials.headers(),
        body=b"{}",
    )
    assert reply.ok, reply.message()
