"""While the warehouse is away, what the application's sessions load is kept, and arrives later."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from tests.dialect.held import wait_for_history
from tests.fallback.outages import Outages, configured
from vinci_code.core.config import reload_settings
from vinci_code.database import load
from vinci_code.database.loading import choosing
from vinci_code.database.models import Event
from vinci_code.database.session import SessionLocal, database_state
from vinci_code.warehouse.pytest_plugin import TestWarehouse

NOON = dt.datetime(2024, 2, 29, 12, tzinfo=dt.timezone.utc)
ROWS = pa.table(
    {
        "event_key": ["a", "b"],
        "event_type": ["t", "t"],
        "source": ["one", "two"],
        "occurred_at": pa.array([NOON, NOON], pa.timestamp("us", "UTC")),
        "payload": ['{"n": 1}', None],
    }
)


@pytest.fixture
def outages(local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch) -> Outages:
    """The application on a warehouse with tables, with the fallback on."""
    found = configured(local_warehouse, monkeypatch)
    reload_settings()
    found.migrate()
    return found


def test_it_arrives_when_the_warehouse_is_back(outages: Outages) -> None:
    outages.begin()
    with SessionLocal() as session:
        session.add(Event(event_key="own", event_type="t", source="own"))
        done = load(session, Event, ROWS)
        assert (done.read, done.way) == (2, "rows")
        load(session, Event, ROWS, mode="upsert", keys=["event_key"])
        session.commit()
        assert database_state().goes_to == "standby"
    outages.end()
    with SessionLocal() as session:
        found = session.scalars(select(Event).order_by(Event.source)).all()
        assert database_state().goes_to == "databricks"
        assert [event.source for event in found] == ["one", "own", "two"]
        assert (found[0].occurred_at, found[0].payload) == (NOON, {"n": 1})


def test_what_is_staged_is_not_kept(outages: Outages, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows lie in the volume of a warehouse that is away: the commit fails, and says so."""
    monkeypatch.setattr(choosing, "LARGE_JSON_BYTES", 0)
    monkeypatch.setenv("DATABRICKS_VOLUME", f"main.{outages.schema}.vinci_load")
    reload_settings()
    with SessionLocal() as session:
        session.connection().exec_driver_sql("CREATE VOLUME vinci_load")
        session.commit()
        assert load(session, Event, ROWS).way == "staged"
        wait_for_history(session.connection().engine, "before")
        outages.begin()
        with pytest.raises(DBAPIError):
            session.commit()
    outages.end()
    with SessionLocal() as session:
        assert session.scalars(select(Event)).all() == []
        assert load(session, Event, ROWS).way == "staged"
        session.commit()
        assert len(session.scalars(select(Event)).all()) == 2
