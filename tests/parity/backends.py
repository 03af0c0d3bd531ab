"""The two databases, as an application would make its engines for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

import vinci_code.database.dialect  # noqa: F401 - registers databricks+vinci_async
from vinci_code.warehouse import LocalWarehouse

ASYNC = ("sqlite-async", "warehouse-async")
"""The same two, through SQLAlchemy's asyncio."""

BACKENDS = ("sqlite", "warehouse", *ASYNC)


def sqlite_engine(path: Path) -> sa.Engine:
    """An engine on a SQLite file, with foreign keys as SQLite has them by default: not enforced."""
    return sa.create_engine(f"sqlite:///{path}")


def async_sqlite_engine(path: Path) -> AsyncEngine:
    """The same, for asyncio."""
    return create_async_engine(f"sqlite+aiosqlite:///{path}")


def warehouse_engine(warehouse: LocalWarehouse, schema: str, **options: Any) -> sa.Engine:
    """An engine on a schema of the local warehouse, over TLS."""
    url = warehouse_url(warehouse, schema, "databricks+vinci")
    return sa.create_engine(url, connect_args=warehouse_args(warehouse), **options)


def async_warehouse_engine(warehouse: LocalWarehouse, schema: str, **options: Any) -> AsyncEngine:
    """The same, for asyncio; rows are counted when they are asked for, so that as much is sent."""
    url = warehouse_url(warehouse, schema, "databricks+vinci_async")
    return create_async_engine(
        url,
        connect_args=warehouse_args(warehouse),
        execution_options={"preserve_rowcount": False},
        **options,
    )


def warehouse_url(warehouse: LocalWarehouse, schema: str, drivername: str) -> sa.URL:
    """The URL of a schema; it holds no token."""
    query = {
        "http_path": warehouse.http_path,
        "catalog": warehouse.catalog,
        "schema": schema,
    }
    return sa.URL.create(drivername, host=warehouse.host, port=warehouse.port, query=query)


def warehouse_args(warehouse: LocalWarehouse) -> dict[str, Any]:
    """The ``connect_args`` that go with it."""
    return {
        "access_token": warehouse.access_token,
        "_tls_trusted_ca_file": str(warehouse.ca_file),
    }


def same(found: object, expected: object) -> bool:
    """Equal, and of the same type: ``True`` is not 1 here, ``1.0`` is not 1, a NaN is a NaN."""
    if isinstance(expected, tuple) and isinstance(found, sa.Row):
        found = tuple(found)
    if type(found) is not type(expected):
        return False
    if isinstance(expected, (list, tuple)):
        assert isinstance(found, (list, tuple))
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, dict):
        assert isinstance(found, dict)
        return found.keys() == expected.keys() and all(
            same(found[name], expected[name]) for name in expected
        )
    return bool(found == expected) or (found != found and expected != expected)
