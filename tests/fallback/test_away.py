"""What counts as away: whatever may be over in a while, also where it is an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, String, event, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tests.fallback.circle import Circle, circle
from tests.full import part
from tests.patience import FOR_LONG_S, runs_again, wait_until
from vinci_code.warehouse import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse

pytestmark = part(2)


FOR_EVER = 10**6


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    text: Mapped[str] = mapped_column(String(50))


@pytest.fixture
def made(
    local_warehouse: TestWarehouse, connected: Callable[..., Engine], tmp_path: Path
) -> Iterator[Circle]:
    online = connected()
    with circle(local_warehouse, online, tmp_path / "standby.db", Base.metadata) as found:
        # Only now: what a busy machine connects for the tables may take its time.
        event.listen(online, "do_connect", _in_a_hurry)
        yield found
        runs_again(local_warehouse.warehouse)


def _in_a_hurry(*arguments: Any) -> None:
    arguments[-1].update(start_timeout=0.3, connect_timeout=3.0)


OUTAGES = {
    "cut off": lambda: Fault.reset("before", times=FOR_EVER),
    "an answer cut off": lambda: Fault.reset("mid_reply", operation="OpenSession", times=FOR_EVER),
    "500": lambda: Fault.http(500, times=FOR_EVER),
    "502": lambda: Fault.http(502, times=FOR_EVER),
    "503": lambda: Fault.http(503, times=FOR_EVER),
    "503 with Retry-After": lambda: Fault.http(503, retry_after=60, times=FOR_EVER),
    "504": lambda: Fault.http(504, times=FOR_EVER),
    "429": lambda: Fault.http(429, times=FOR_EVER),
    "429 with Retry-After": lambda: Fault.http(429, retry_after=60, times=FOR_EVER),
    "a cold start": lambda: Fault.cold_start(FOR_LONG_S),
    "no answer": lambda: Fault.delay(FOR_LONG_S, operation="OpenSession", times=FOR_EVER),
}


# Where a connection is there already, the commit of a unit is what finds it out. Without these
# words it is not known whether it was executed.
SAID_TO_WAIT = ("503 with Retry-After", "429 with Retry-After")


@pytest.mark.parametrize(
    ("outage", "is_connected"),
    [*((outage, False) for outage in OUTAGES), *((outage, True) for outage in SAID_TO_WAIT)],
)
def test_a_unit_of_work_goes_on_and_arrives_once(
    made: Circle, outage: str, is_connected: bool
) -> None:
    if not is_connected:
        made.online.dispose()
    made.of.inject(OUTAGES[outage]())

    made.run(lambda session: session.add(Note(id=1, text="kept")))
    with made.session() as session:
        found = session.scalars(select(Note.text)).all()
        assert "standby" in session.info
    state = made.fallback.state()

    assert (list(found), state.state, state.parked) == (["kept"], "away", 0)
    assert (state.waiting, state.in_doubt) == (1, 0)
    _end(made)
    assert made.rows(Note.__table__) == [(1, "kept")]
    assert made.fallback.state().state == "online"


@pytest.mark.parametrize("outage", OUTAGES)
def test_a_read_that_finds_it_out_is_answered(made: Circle, outage: str) -> None:
    made.online.dispose()
    made.of.inject(OUTAGES[outage]())
    with made.session() as session:
        assert session.execute(text("SELECT 1")).scalar() == 1
        assert "standby" in session.info
    assert made.fallback.state().state == "away"
    _end(made)


def _end(made: Circle) -> None:
    """Have the warehouse answer again, and wait until it is ready."""
    made.of.warehouse.faults.clear()
    runs_again(made.of.warehouse)

    def is_back() -> bool:
        made.wait_for(0.0)
        made.fallback.bring_back()
        return made.fallback.state().state == "online"

    wait_until(is_back)
