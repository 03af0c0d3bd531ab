"""A warehouse that goes away and comes back, and the application that is configured for it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from vinci_code.core.config import get_settings
from vinci_code.database import migrations
from vinci_code.database.fallback import fallback as module
from vinci_code.database.fallback.journal import Journal
from vinci_code.database.session import create_configured_engine
from vinci_code.warehouse import Fault, LocalWarehouse
from vinci_code.warehouse.pytest_plugin import TestWarehouse


@dataclass
class Outages:
    """Has the warehouse of a test go away and come back.

    Attributes:
        of: The warehouse as the test sees it.
    """

    of: TestWarehouse

    @property
    def warehouse(self) -> LocalWarehouse:
        """The warehouse itself."""
        return self.of.warehouse

    @property
    def schema(self) -> str:
        """The schema of the test."""
        return self.of.schema

    def begin(self) -> None:
        """Cut every request off before it arrives."""
        self.of.inject(Fault.reset(when="before", times=10**6))

    def end(self, file: Path | None = None) -> None:
        """Answer again; the next unit of work tries it."""
        self.warehouse.faults.clear()
        self.pause(0, file)

    def pause(self, seconds: float, file: Path | None = None) -> None:
        """Have the warehouse be tried after so many seconds, if it is known to be away."""
        file = file or get_settings().database.databricks_fallback_file
        if not file.exists():
            return
        journal = Journal(file)
        journal.prepare()
        standing = journal.state()
        if standing is not None and standing.next_try is not None:
            journal.set_state(replace(standing, next_try=time.time() + seconds))
        journal.close()

    def requests(self) -> int:
        """How many requests there were."""
        return len(self.of.requests)

    def migrate(self) -> None:
        """Make the tables of the application."""
        engine = create_configured_engine(get_settings().database)
        migrations.upgrade(engine)
        engine.dispose()


def configured(warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch) -> Outages:
    """The outages of a warehouse that this process is configured for, with the fallback on."""
    for name, value in {**warehouse.env, "DATABRICKS_FALLBACK": "sqlite"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(module, "_FRESH", 0.0)
    return Outages(warehouse)
