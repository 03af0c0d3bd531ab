"""Engines on empty databases: SQLite, and the local warehouse with a volume for files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.dialect.held import engine_on
from vinci_code.database.loading import choosing
from vinci_code.database.models.types import dump_json
from vinci_code.database.sqlite import create_sqlite_engine
from vinci_code.warehouse.pytest_plugin import TestWarehouse


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[sa.Engine]:
    """One on SQLite."""
    engine = create_sqlite_engine(f"sqlite:///{tmp_path / 'load.db'}")
    yield engine
    engine.dispose()


@pytest.fixture
def online(local_warehouse: TestWarehouse) -> Iterator[sa.Engine]:
    """One on the local warehouse, where files can be staged."""
    engine = engine_on(local_warehouse.warehouse, local_warehouse.schema, json_serializer=dump_json)
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE VOLUME vinci_load")
    yield engine
    engine.dispose()


@pytest.fixture
def staged(online: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> sa.Engine:
    """One on the local warehouse, on which any rows are staged."""
    monkeypatch.setattr(choosing, "LARGE_JSON_BYTES", 0)
    return online


@pytest.fixture(params=["sqlite", "online", "staged"])
def engine(request: pytest.FixtureRequest) -> sa.Engine:
    """One after the other."""
    found: sa.Engine = request.getfixturevalue(request.param)
    return found
