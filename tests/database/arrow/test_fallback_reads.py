"""While the warehouse is away, the application's sessions read as Arrow from the standby."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import select

from tests.fallback.outages import Outages, configured
from vinci_code.core.config import reload_settings
from vinci_code.core.errors import StandbyReadError
from vinci_code.database import read_arrow, read_batches
from vinci_code.database.models import Event
from vinci_code.database.session import SessionLocal, database_state, session_scope
from vinci_code.warehouse.pytest_plugin import TestWarehouse

NOON = dt.datetime(2024, 2, 29, 12, tzinfo=dt.timezone.utc)
QUERY = select(Event.source, Event.occurred_at, Event.payload).order_by(Event.source)


@pytest.fixture
def outages(local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch) -> Outages:
    """The application on a warehouse with tables, with the fallback on."""
    found = configured(local_warehouse, monkeypatch)
    reload_settings()
    found.migrate()
    return found


def write(source: str) -> None:
    with session_scope() as session:
        event = Event(event_type="t", source=source, occurred_at=NOON, payload={"a": [1]})
        session.add(event)


def test_it_is_the_same_table(outages: Outages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_FALLBACK_READS", "always")
    reload_settings()
    outages.begin()
    write("one")
    write("two")
    with SessionLocal() as session:
        away = read_arrow(session, QUERY)
        assert database_state().goes_to == "standby"
        with read_batches(session, QUERY, batch_rows=1) as batches:
            assert [batch.num_rows for batch in batches] == [1, 1]
        session.add(Event(event_type="t", source="three"))
        assert read_arrow(session, QUERY).num_rows == 3
        session.rollback()
    outages.end()
    with SessionLocal() as session:
        online = read_arrow(session, QUERY)
        assert database_state().goes_to == "databricks"
    assert away["source"].to_pylist() == ["one", "two"]
    assert away.equals(online)


def test_what_the_standby_cannot_answer_is_refused(outages: Outages) -> None:
    write("one")
    outages.begin()
    for read in (read_arrow, read_batches):
        with SessionLocal() as session, pytest.raises(StandbyReadError):
            read(session, QUERY)
    outages.end()
