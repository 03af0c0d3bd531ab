"""From an engine's URL to the arguments of ``dbapi.connect``."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import URL

from vinci_code.core.redaction import register_secret
from vinci_code.database.dialect.dberrors import InterfaceError

FORM = (
    "databricks+vinci://HOST[:PORT]?http_path=/sql/1.0/warehouses/ID&catalog=CATALOG&schema=SCHEMA"
)


def create_connect_args(url: URL) -> dict[str, Any]:
    """The connect arguments that a URL names, by the driver's own names."""
    arguments: dict[str, Any] = {"server_hostname": url.host}
    if url.port is not None:
        arguments["_port"] = url.port
    for name in ("http_path", "catalog", "schema"):
        if name in url.query:
            arguments[name] = url.query[name]
    if url.password is not None:
        register_secret(str(url.password))
        arguments["access_token"] = str(url.password)
    return arguments
