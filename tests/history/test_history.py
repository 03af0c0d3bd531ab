"""Random schedules of concurrent units of work, with faults: every history can be explained.

Thousands of them, from the command line, and a failing one again:

    python -m tests.history.run --schedules 3000 --seed 7 [--no-transactions] [--replay FILE]

The checker is tested by code that is broken on purpose: each break has to be found. All of them:

    python -m tests.history.run --breaks
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import pytest

from tests.full import full, part, some
from tests.history.breaks import BREAKS, Break
from tests.history.checker import check
from tests.history.model import SETTING
from tests.history.run import run_all, runner, shrunk
from tests.history.runner import Runner
from tests.history.schedules import (
    COMMIT,
    LOST_AFTER,
    LOST_BEFORE,
    PER_TABLE,
    RESEND,
    UNIT,
    Mishap,
    Schedule,
    Step,
    generate,
    read,
)
from vinci_code.database.dialect.units import unit as units
from vinci_code.database.dialect.units.held import HeldWrites
from vinci_code.database.dialect.units.recovery import CommitFinding, CommitOutcome
from vinci_code.database.dialect.writes import guards
from vinci_code.warehouse.engine import conflicts

SEED = 20
SCHEDULES = some(80, few=50)
# Within how many schedules a break is to be found.
BOUND = 60


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Keep the driver from telling pytest of each of many thousand requests."""
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module", params=[True, False], ids=["transactions", "no-transactions"])
def on(request: pytest.FixtureRequest) -> Iterator[Runner]:
    """A runner on a warehouse with transactions, and on one without."""
    with runner(transactions=request.param) as made:
        yield made


def _schedules(on: Runner, seed: int, count: int) -> Iterator[Schedule]:
    print(f"seed {seed}, {count} schedules")
    return (generate(seed, number, transactions=on.transactions) for number in range(count))


@part(2)
def test_every_history_can_be_explained(on: Runner) -> None:
    report = run_all(on, _schedules(on, SEED, SCHEDULES))
    print(report.as_text())
    if report.failing is not None:
        schedule, violations = shrunk(on, report.failing[0])
        pytest.fail(f"{'; '.join(violations or report.failing[1])}\n{schedule.as_json()}")
    # It is a test only of what happens in it.
    for outcome in ("acknowledged", "ambiguous AmbiguousWriteError", "failed IntegrityError"):
        assert report.outcomes[outcome] > 5, report.outcomes
    assert report.outcomes["failed ConflictError"] > 0, report.outcomes
    for outcome in (
        "lost answer: committed",
        "lost answer: unknown, without the history",
        "run again by run_unit",
        "in a child process",
    ):
        assert report.outcomes[outcome] > 0, report.outcomes
    assert any(name.startswith("interrupted") for name in report.outcomes), report.outcomes


_LOST_BEFORE = (Mishap(LOST_BEFORE),)
# For as long as somebody asks what became of it.
_LOST_AFTER = (Mishap(LOST_AFTER, times=2),)


@pytest.mark.parametrize(
    ("on", "atomicity", "steps"),
    [
        pytest.param(
            True,
            UNIT,
            [
                Step(0, "put", (1,)),
                Step(0, "read", (1,), table=SETTING),
                Step(0, COMMIT, mishaps=_LOST_BEFORE),
            ],
            id="lost COMMIT",
        ),
        pytest.param(
            True,
            UNIT,
            [
                Step(0, "savepoint"),
                Step(0, "savepoint"),
                Step(0, "set", (0,)),
                Step(0, "count", (1,)),
                Step(0, "back"),
                Step(1, "put", (1,)),
                Step(1, COMMIT),
            ],
            id="savepoint that was sent",
        ),
        pytest.param(
            True,
            UNIT,
            [
                Step(0, "remove", (0,)),
                Step(1, "remove", (0,)),
                Step(0, COMMIT),
                Step(1, COMMIT, mishaps=_LOST_AFTER),
            ],
            id="row that somebody else has deleted",
        ),
        pytest.param(
            False,
            PER_TABLE,
            [
                Step(0, "add", (3,)),
                Step(0, "put", (3,)),
                Step(0, "open", (3,)),
                Step(0, "open", (3,)),
                Step(0, COMMIT),
            ],
            id="key that the unit writes twice",
        ),
        pytest.param(
            False,
            PER_TABLE,
            [
                Step(0, "send", (8,)),
                Step(0, "pay", (0,)),
                Step(1, "pay", (0,)),
                Step(1, COMMIT),
                Step(0, COMMIT),
            ],
            id="stale row after a table that was written",
        ),
        pytest.param(
            True,
            UNIT,
            [
                Step(0, "open", (2,)),
                Step(0, COMMIT, mishaps=(Mishap(LOST_AFTER),), signal=RESEND, raises=2),
            ],
            id="signal while the query history is asked",
        ),
    ],
    indirect=["on"],
)
def test_what_was_found_once_is_mended(on: Runner, atomicity: str, steps: list[Step]) -> None:
    assert not check(on.run(Schedule("by hand", atomicity, steps=tuple(steps))))


# --- what is broken on purpose is found ----------------------------------------------------------


def _always_sent_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(units, "find_out", lambda *_: CommitFinding(CommitOutcome.ABSENT))
    patch.setattr(guards, "insert_guards", lambda *_: iter(()))


def _no_conflicts(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(conflicts, "check", lambda *_: None)


# What each of them is reported as, where it is found first.
_FOUND = {
    "inserted keys are not checked": "a key that is there already|two rows",
    "changed keys are not checked": "a key that is there already|the unique code",
    "rows to be changed may be gone": "a row that is not as it was read",
    "what was loaded is not compared": "a row that is not as it was read",
    "what was changed otherwise is compared": "never met",
    "savepoints keep what is held": "afterwards there is|acknowledged|has read",
    "views hide what lies beneath": "afterwards there is",
    "reads miss what is held": "has read",
    "signals are taken for answers": "a signal handler has raised|swallowed",
}


@part(5)
@pytest.mark.slow
@pytest.mark.parametrize("broken", [b for b in BREAKS if b.name in _FOUND], ids=lambda b: b.name)
def test_a_break_is_found(broken: Break) -> None:
    with runner(transactions=broken.transactions) as on, broken.broken():
        report = run_all(on, broken.schedules(SEED, BOUND))
    print(report.as_text())
    assert report.failing is not None
    assert re.search(_FOUND[broken.name], report.failing[1][0], re.DOTALL)


def test_breaks_are_the_rules_that_there_are() -> None:
    names = [broken.name for broken in BREAKS]
    assert len(names) == len(set(names)) >= 12
    assert set(_FOUND) <= set(names)


@pytest.mark.parametrize("broken", BREAKS, ids=lambda b: b.name)
def test_what_a_break_replaces_is_there(broken: Break) -> None:
    # A rule that has another name now would be found missing by the long runs alone.
    with broken.broken():
        pass


@pytest.mark.parametrize("on", [True], indirect=True, ids=["transactions"])
def test_a_warehouse_without_conflicts_is_found(
    on: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    _no_conflicts(monkeypatch)
    report = run_all(on, _schedules(on, SEED, BOUND))
    assert report.failing is not None


@pytest.mark.parametrize("on", [True], indirect=True, ids=["transactions"])
@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (Step(0, "add", (3,)), "two rows of item with the key 3"),
        (Step(0, "touch", (0, 1)), "setting 0 = .*u0.0.u0.0.* instead of .*u0.0"),
    ],
)
def test_what_is_doubled_is_found(
    on: Runner, step: Step, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = Step(0, COMMIT, mishaps=(Mishap(LOST_AFTER),))
    schedule = Schedule("by hand", steps=(step, lost))
    assert not check(on.run(schedule))
    _always_sent_again(monkeypatch)
    (violation,) = check(on.run(schedule))
    assert re.search(expected, violation)


@full
@pytest.mark.parametrize("on", [True], indirect=True, ids=["transactions"])
def test_a_failing_schedule_is_made_small_and_written(
    on: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HeldWrites, "back_to", lambda *_: None)
    report = run_all(on, _schedules(on, SEED, BOUND))
    assert report.failing is not None
    small, violations = shrunk(on, report.failing[0])
    assert violations
    assert {"savepoint", "back"} <= {step.does for step in small.steps}
    assert len(small.steps) < len(report.failing[0].steps)
    assert read(small.as_json()) == small
