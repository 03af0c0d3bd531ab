"""An engine on an empty database, on SQLite and on the local warehouse."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.dialect.held import engine_on
from vinci_code.database.models.types import dump_json
from vinci_code.database.sqlite import create_sqlite_engine
from vinci_code.warehouse.pytest_plugin import TestWarehouse


@pytest.fixture
def engines(local_warehouse: TestWarehouse, tmp_path: Path) -> Iterator[tuple[sa.Engine, ...]]:
    """Both, SQLite first."""
    sqlite = create_sqlite_engine(f"sqlite:///{tmp_path / 'arrow.db'}")
    warehouse = engine_on(
        local_warehouse.warehouse, local_warehouse.schema, json_serializer=dump_json
    )
    made = sqlite, warehouse
    yield made
    for one in made:
        one.dispose()


@pytest.fixture(params=["sqlite", "warehouse"])
def engine(request: pytest.FixtureRequest, engines: tuple[sa.Engine, ...]) -> sa.Engine:
    """One after the other."""
    return engines[request.param == "warehouse"]
