"""Histories with outages: some of those that `python -m tests.fallback.histories.run` runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.fallback.histories import free
from tests.fallback.histories.breaks import BREAKS, Break, found
from tests.fallback.histories.run import as_text, run_all
from tests.fallback.histories.runner import Runner
from tests.fallback.histories.schedules import generate, read
from tests.full import part, some

SEED = 7


@pytest.fixture(autouse=True)
def silent() -> Iterator[None]:
    """Have the driver tell nothing of each request that fails."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(params=[True, False], ids=["transactions", "without"])
def on(request: pytest.FixtureRequest) -> Iterator[Runner]:
    with Runner(transactions=request.param) as runner:
        yield runner


@pytest.mark.slow
@pytest.mark.parametrize("kills", [False, True], ids=["outages", "kills"])
def test_what_is_acknowledged_arrives_once_or_is_kept(on: Runner, kills: bool) -> None:
    numbers = range(some(4, few=2) if kills else some(10, few=5))
    report = run_all(
        on, (generate(SEED, n, transactions=on.transactions, kills=kills) for n in numbers)
    )
    print(report.as_text())
    for history in report.failing:
        pytest.fail(as_text(history) + "\n" + history.schedule.as_json())


@pytest.mark.slow
def test_processes_that_run_freely_lose_nothing() -> None:
    report = free.run(15, SEED)
    print(report.as_text())
    assert report.wrong == []
    # Where an outage cuts a replay, all of it may be in doubt.
    assert any(name.startswith("did: ") for name in report.counts)


def test_a_schedule_is_read_as_it_was_written() -> None:
    for number in range(50):
        schedule = generate(SEED, number, transactions=True, kills=bool(number % 2))
        assert (
            read(schedule.as_json())
            == schedule
            == generate(SEED, number, transactions=True, kills=bool(number % 2))
        )


# At which schedule of a seed each is found, so that the others need not be run.
_FOUND = {
    "silence counts as arrived": (5, 0),
    "what touches the same rows is not parked": (5, 1),
    "what waits goes in reverse": (5, 2),
    "new units go before those that wait": (5, 1),
    "a unit that was lost is acknowledged and not kept": (5, 0),
    "a found commit is sent again": (5, 3),
}


@part(6)
@pytest.mark.slow
@pytest.mark.parametrize("broken", [b for b in BREAKS if b.name in _FOUND], ids=lambda b: b.name)
def test_a_break_is_found(broken: Break) -> None:
    seed, number = _FOUND[broken.name]
    with Runner(transactions=broken.transactions) as runner:
        assert found(runner, broken, seed, 8, first=number)
