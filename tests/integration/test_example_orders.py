"""The example of orders: whatever happens at whichever step, no order is there in part."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from examples import orders
from tests.cli.process import environment
from tests.full import full, part, some
from tests.patience import PATIENCE_S
from vinci_code.core.config import DatabaseSettings, reload_settings
from vinci_code.database import migrations
from vinci_code.database.dialect.dberrors import AmbiguousWriteError
from vinci_code.database.session import create_configured_engine, get_engine, session_scope
from vinci_code.warehouse import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse

ROOT = Path(__file__).parents[2]
LINES = [orders.Line("a", 2, 150), orders.Line("b", 1, 10)]

# Places an order in a process that kills itself just before or just after its Nth statement or
# commit.
KILLED = """
import os, signal, sys
from sqlalchemy import event
from examples import orders
from vinci_code.database.session import get_engine

step, left = sys.argv[1], int(sys.argv[2])
engine = get_engine()
with engine.connect() as connection:
    pass  # what opening a connection sends is none of the steps

def at(*_, **__):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

def committed(connection):
    engine.dialect.do_commit(connection.connection)
    at()

if step == "committed":
    event.listen(engine, "commit", committed)
else:
    event.listen(engine, step, at)
orders.place_order("Ada", [orders.Line("a", 2, 150)] * 3)
print("placed")
"""
STEPS = ("before_cursor_execute", "after_cursor_execute", "commit", "committed")

FAULTS = {
    "refused": lambda: Fault.http(400, operation="ExecuteStatement"),
    "broken": lambda: Fault.http(500, operation="ExecuteStatement"),
    "not sent": lambda: Fault.reset("before", operation="ExecuteStatement"),
    "reply lost": lambda: Fault.reset("after", operation="ExecuteStatement"),
    "reply cut": lambda: Fault.reset("mid_reply", operation="ExecuteStatement"),
    "session lost": lambda: Fault.session_lost(operation="ExecuteStatement"),
    "conflict": lambda: Fault.commit_conflict(),
}


@pytest.fixture
def configured(local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch) -> TestWarehouse:
    """The warehouse, with every table, as what this process is configured for."""
    for name, value in local_warehouse.env.items():
        monkeypatch.setenv(name, value)
    reload_settings()
    engine = create_configured_engine(DatabaseSettings())
    migrations.upgrade(engine)
    engine.dispose()
    orders.Base.metadata.create_all(get_engine())
    return local_warehouse


def found() -> tuple[int, list[int]]:
    """How many orders there are, and which of them are broken."""
    with session_scope() as session:
        count = session.scalar(select(func.count()).select_from(orders.Order)) or 0
        return count, orders.broken_orders(session)


def test_an_order_is_one_statement(configured: TestWarehouse) -> None:
    before = len(configured.statements)
    orders.place_order("Ada", LINES)
    assert len(configured.statements) - before == 1
    assert found() == (1, [])


@part(2)
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_leaves_no_order_in_part(configured: TestWarehouse, name: str) -> None:
    orders.place_order("first", LINES)
    configured.inject(FAULTS[name]())
    try:
        orders.place_order("second", LINES)
        expected = [2]
    except DBAPIError as error:
        expected = [1, 2] if isinstance(error.orig, AmbiguousWriteError) else [1]
    count, broken = found()
    assert count in expected
    assert broken == []


def test_a_broken_order_would_be_found(configured: TestWarehouse) -> None:
    with session_scope() as session:
        session.add(orders.Order(customer="nobody", total_cents=5))
    count, broken = found()
    assert count == len(broken) == 1


@pytest.mark.slow
@pytest.mark.parametrize("backend", [pytest.param("sqlite", marks=full), "warehouse"])
def test_killed_at_every_step(
    backend: str,
    configured: TestWarehouse,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = {"DATABASE_URL": f"sqlite:///{tmp_path / 'orders.db'}"}
    chosen = configured.env if backend == "warehouse" else {"USE_DATABRICKS": "false", **place}
    if backend == "sqlite":
        monkeypatch.setenv("USE_DATABRICKS", "false")
        monkeypatch.setenv("DATABASE_URL", place["DATABASE_URL"])
        reload_settings()
        orders.Base.metadata.create_all(get_engine())
    killed = 0
    for step in some(STEPS, few=STEPS[1::2]):
        for number in range(1, 20):
            child = subprocess.run(
                [sys.executable, "-c", KILLED, step, str(number)],
                env=environment(**chosen, PYTHONPATH=str(ROOT)),
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
            )
            assert found()[1] == []
            if child.returncode == 0:
                assert child.stdout == "placed\n"
                break
            assert child.returncode == -signal.SIGKILL, child.stderr
            killed += 1
        else:
            pytest.fail(f"{step} has no end")
    # On the warehouse an order is one statement, and each step of it comes once.
    assert killed >= (2 if backend == "warehouse" else 4)
    assert (tmp_path / "orders.db").exists() is (backend == "sqlite")
