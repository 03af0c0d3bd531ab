"""An application that nobody uses sends nothing, however long, and has nothing that could."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.patience import wait_until
from vinci_code.core.config import reload_settings
from vinci_code.database import migrations
from vinci_code.database.databricks_connector import DatabricksConnector, create_databricks_engine
from vinci_code.database.dialect.driver.pooling import SessionPool
from vinci_code.database.session import SessionLocal, database_state, get_engine, session_scope
from vinci_code.diagnostics.watching import state_of_warehouse
from vinci_code.warehouse.pytest_plugin import TestWarehouse

HOUR_S = 3600.0
LOOKS_FOR_IDLE_SESSIONS = "vinci: idle sessions"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that pools go by, as the only element."""
    now = [1000.0]
    monkeypatch.setattr(SessionPool, "_now", lambda _: now[0])
    return now


def ours(before: set[threading.Thread]) -> list[str]:
    """The names of the threads of this process that came since, but for the warehouse's own."""
    names = [thread.name for thread in threading.enumerate() if thread not in before]
    return [name for name in names if not name.startswith(("warehouse", "Thread-", "Dummy-"))]


def test_an_hour_in_which_nobody_comes(
    local_warehouse: TestWarehouse,
    monkeypatch: pytest.MonkeyPatch,
    clock: list[float],
    tmp_path: Path,
) -> None:
    for name, value in local_warehouse.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATABRICKS_FALLBACK", "sqlite")
    monkeypatch.setenv("DATABRICKS_FALLBACK_FILE", str(tmp_path / "fallback.db"))
    settings = reload_settings()
    made = create_databricks_engine(settings)
    migrations.upgrade(made)
    made.dispose()
    threads = set(threading.enumerate())

    # An engine with a pool, sessions, the fallback, and somebody who has looked at the state.
    with session_scope() as session:
        assert session.execute(text("SELECT 1")).scalar_one() == 1
    with DatabricksConnector(settings) as connector:
        assert state_of_warehouse(connector).state == "RUNNING"
    assert database_state().state
    pool = get_engine().pool
    assert isinstance(pool, SessionPool)
    assert pool.checkedin() == 1
    # One timer waits, which is to give the session back.
    assert ours(threads) == [LOOKS_FOR_IDLE_SESSIONS]

    local_warehouse.warehouse.clear_requests()
    timer = pool._timer
    assert timer is not None
    timer.cancel()
    clock[0] += HOUR_S
    timer.function()  # what it does when its time has come
    assert [request.operation for request in local_warehouse.requests] == ["CloseSession"]
    wait_until(lambda: ours(threads) == [], "the end of the timer")
    assert pool._timer is None

    # There is nothing left that could send: the record stays as it is, whatever the time.
    local_warehouse.warehouse.clear_requests()
    for _ in range(3):
        clock[0] += HOUR_S
        time.sleep(0.2)
        assert database_state().state
    assert local_warehouse.requests == ()
    assert ours(threads) == []
    with SessionLocal() as session:
        assert session.execute(text("SELECT 1")).scalar_one() == 1
