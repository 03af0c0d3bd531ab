"""What the tests of the fallback share: engines as the dialect's, and the application's outages."""

from __future__ import annotations

import pytest

from tests.dialect.conftest import (
    connected,
    engine,
    engine_args,
    engine_url,
    server_without_transactions,
    without_transactions,
)
from tests.fallback.outages import Outages, configured
from vinci_code.core.config import reload_settings
from vinci_code.warehouse.pytest_plugin import TestWarehouse

__all__ = [
    "connected",
    "engine",
    "engine_args",
    "engine_url",
    "server_without_transactions",
    "without_transactions",
]


@pytest.fixture
def unmigrated(local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch) -> Outages:
    """The application on a warehouse without tables, with the fallback on."""
    found = configured(local_warehouse, monkeypatch)
    reload_settings()
    return found


@pytest.fixture
def outages(unmigrated: Outages) -> Outages:
    """The same, with tables."""
    unmigrated.migrate()
    return unmigrated
