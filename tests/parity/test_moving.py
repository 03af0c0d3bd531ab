"""The table of the documentation: each line, measured on the same warehouse with both dialects."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.parity.backends import sqlite_engine, warehouse_engine
from tests.parity.moving import ROWS, Row, outcome, shown
from vinci_code.warehouse import LocalWarehouse

DOCUMENT = Path(__file__).parents[2] / "docs" / "sqlite_to_databricks.md"
IDS = [re.sub(r"[^A-Za-z0-9]+", "-", row.what).strip("-") for row in ROWS]

_schemas = itertools.count(1)


@pytest.fixture
def schema(parity_warehouse: LocalWarehouse) -> Iterator[str]:
    name = f"moving_{next(_schemas)}"
    parity_warehouse.sql(f"CREATE SCHEMA {name}")
    yield name
    parity_warehouse.sql(f"DROP SCHEMA {name} CASCADE")


def vendor_engine(warehouse: LocalWarehouse, schema: str) -> sa.Engine:
    """The vendor's dialect; its URL's port is ignored, so the driver is told."""
    arguments = warehouse.connect_args_for(warehouse.catalog, schema)
    url = sa.URL.create(
        "databricks",
        username="token",
        password=arguments.pop("access_token"),
        host=arguments.pop("server_hostname"),
        query={name: arguments.pop(name) for name in ("http_path", "catalog", "schema")},
    )
    return sa.create_engine(url, connect_args=arguments)


def measured(
    make: Callable[[LocalWarehouse, str], sa.Engine],
    warehouse: LocalWarehouse,
    schema: str,
    row: Row,
) -> object:
    engine = make(warehouse, schema)
    try:
        return outcome(engine, warehouse, row.run)
    finally:
        engine.dispose()


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_ours(parity_warehouse: LocalWarehouse, schema: str, row: Row) -> None:
    assert measured(warehouse_engine, parity_warehouse, schema, row) == row.ours


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_vendor(parity_warehouse: LocalWarehouse, schema: str, row: Row) -> None:
    pytest.importorskip("databricks.sqlalchemy")
    assert measured(vendor_engine, parity_warehouse, schema, row) == row.vendor


@pytest.mark.parametrize("row", [r for r in ROWS if r.sqlite is not None], ids=lambda row: row.what)
def test_sqlite(parity_warehouse: LocalWarehouse, tmp_path: Path, row: Row) -> None:
    engine = sqlite_engine(tmp_path / "moving.db")
    try:
        assert outcome(engine, parity_warehouse, row.run) == row.sqlite
    finally:
        engine.dispose()


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_documented(row: Row) -> None:
    line = f"| {row.what} | {shown(row.sqlite)} | {shown(row.vendor)} | {shown(row.ours)} |"
    assert line in DOCUMENT.read_text(encoding="utf-8").splitlines()
