"""A URL that is all that ``sqlalchemy.create_engine`` needs for a local warehouse.

Token and certificate are no part of it: a URL is logged, and stands in tracebacks. It names a
plugin of SQLAlchemy's, which finds the warehouse in this process and hands both over as connect
arguments:
https://docs.sqlalchemy.org/en/20/core/connections.html#sqlalchemy.engine.CreateEnginePlugin
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from sqlalchemy import URL, CreateEnginePlugin
from sqlalchemy.dialects import plugins
from sqlalchemy.exc import ArgumentError

if TYPE_CHECKING:
    from vinci_code.warehouse.local import LocalWarehouse

_NAME = "vinci_local_warehouse"
# What connect arguments hold and the URL does not.
_BESIDE = ("access_token", "_tls_trusted_ca_file", "enable_telemetry")

_by_port: WeakValueDictionary[int, LocalWarehouse] = WeakValueDictionary()


def engine_url_of(warehouse: LocalWarehouse, catalog: str, schema: str) -> URL:
    """The URL for engines of this process on a schema of a warehouse that runs."""
    plugins.register(_NAME, __name__, GivesCredentials.__name__)
    _by_port[warehouse.port] = warehouse
    return URL.create(
        "databricks+vinci",
        host=warehouse.host,
        port=warehouse.port,
        query={
            "http_path": warehouse.http_path,
            "catalog": catalog,
            "schema": schema,
            "plugin": _NAME,
        },
    )


class GivesCredentials(CreateEnginePlugin):
    """Gives an engine the token of the warehouse that its URL names, and its certificate."""

    def __init__(self, url: URL, kwargs: dict[str, Any]) -> None:
        warehouse = _by_port.get(url.port or 0)
        if warehouse is None:
            raise ArgumentError(
                f"no local warehouse of this process listens on port {url.port}: its URL is good "
                "while it runs, in the process that started it"
            )
        given = warehouse.connect_args
        beside = {name: given[name] for name in _BESIDE}
        kwargs["connect_args"] = {**beside, **kwargs.get("connect_args", {})}

    def update_url(self, url: URL) -> URL:
        """The URL of the engine, which needs no plugin any more."""
        return url.difference_update_query(["plugin"])
