"""The two databases, as an application would make its engines for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from vinci_code.warehouse import LocalWarehouse

BACKENDS = ("sqlite", "warehouse")


def sqlite_engine(path: Path) -> sa.Engine:
    """An engine on a SQLite file, with foreign keys as SQLite has them by default: not enforced."""
    return sa.create_engine(f"sqlite:///{path}")


def warehouse_engine(warehouse: LocalWarehouse, schema: str, **options: Any) -> sa.Engine:
    """An engine on a schema of the local warehouse, over TLS."""
    return sa.create_engine(
        sa.URL.create(
            "databricks+vinci",
            host=warehouse.host,
            port=warehouse.port,
            query={
                "http_path": warehouse.http_path,
                "catalog": warehouse.catalog,
                "schema": schema,
            },
        ),
        connect_args={
            "access_token": warehouse.access_token,
            "_tls_trusted_ca_file": str(warehouse.ca_file),
        },
        **options,
    )


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
