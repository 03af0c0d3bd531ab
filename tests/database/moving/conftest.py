"""A SQLite file with every kind of value, and engines on empty databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.database.moving.samples import make
from tests.dialect.held import engine_on
from vinci_code.database.models.types import dump_json
from vinci_code.warehouse.pytest_plugin import TestWarehouse


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """The file: 200 rows of every type."""
    return make(tmp_path / "sample.db", 200)


@pytest.fixture
def warehouse(local_warehouse: TestWarehouse) -> Iterator[sa.Engine]:
    """The local warehouse."""
    engine = engine_on(local_warehouse.warehouse, local_warehouse.schema, json_serializer=dump_json)
    yield engine
    engine.dispose()
