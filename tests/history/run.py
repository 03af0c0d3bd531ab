"""Run random schedules, check each history, and make a failing schedule small.

    python -m tests.history.run --schedules 3000 --seed 7 [--no-transactions] [--replay FILE]
    python -m tests.history.run --breaks [WORD] [--schedules 400] [--seed 7]

The seed is printed first, and a failing schedule as JSON, which ``--replay`` runs again. The exit
code is 1 if a history cannot be explained. With ``--breaks``, rules of the product are broken one
by one (those with a word in their names), and the exit code is 1 if one is not found.
"""

from __future__ import annotations

import argparse
import collections
import logging
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.certificates import trust_none_of_the_machine
from tests.history.breaks import BREAKS, WITHIN, Break
from tests.history.checker import check
from tests.history.events import Began, Ended, Event, History
from tests.history.runner import Runner
from tests.history.schedules import FORK, REPEAT, Schedule, generate, read, simpler
from vinci_code.warehouse import LocalWarehouse

_log = logging.getLogger(__name__)

_LOGGED_EACH = 500
"""After how many schedules a report is logged."""

_LONGEST_SHRINKING = 120
"""How many schedules are run at most to make a failing one smaller."""


@dataclass
class Report:
    """What a run came to.

    Attributes:
        schedules: How many schedules were run.
        outcomes: How often units had which outcome, with which error.
        failing: The first failing schedule, and what is wrong with its history.
        seconds: How long it took.
    """

    schedules: int = 0
    outcomes: collections.Counter[str] = field(default_factory=collections.Counter)
    failing: tuple[Schedule, list[str]] | None = None
    seconds: float = 0.0

    def as_text(self) -> str:
        """The report in words."""
        counted = ", ".join(f"{name}: {count}" for name, count in self.outcomes.most_common())
        text = f"{self.schedules} schedules in {self.seconds:.1f} s; {counted}"
        if self.failing is not None:
            schedule, violations = self.failing
            text += f"\nFAILED: {'; '.join(violations)}\n{schedule.as_json()}"
        return text


@contextmanager
def runner(*, transactions: bool) -> Iterator[Runner]:
    """A runner on a warehouse of its own."""
    with (
        LocalWarehouse(transactions=transactions, record_limit=64) as warehouse,
        Runner(warehouse, transactions=transactions) as made,
    ):
        yield made


def run_all(
    on: Runner,
    schedules: Iterable[Schedule],
    *,
    keep_going: Callable[[Report], bool] | None = None,
    seconds: float = math.inf,
) -> Report:
    """Run schedules until one fails.

    Args:
        on: The runner.
        schedules: The schedules.
        keep_going: Asked after a failing one whether to go on; never by default.
        seconds: After how long no further one is begun.
    """
    report = Report()
    begin = time.monotonic()
    for schedule in schedules:
        history = on.run(schedule)
        report.schedules += 1
        for ended in (item for item in _all(history.events) if isinstance(item, Ended)):
            error = "" if ended.error is None else f" {type(ended.error).__name__}"
            during = "" if ended.during is None else f" in {ended.during}"
            report.outcomes[f"{ended.outcome}{error}{during}"] += 1
        report.outcomes.update(f"lost answer: {found}" for found in history.found_out)
        report.outcomes.update(_units_of_one_step(history))
        violations = check(history)
        report.seconds = time.monotonic() - begin
        if report.schedules % _LOGGED_EACH == 0:
            _log.info("%s", report.as_text())
        if violations:
            report.failing = (schedule, violations)
            if keep_going is None or not keep_going(report):
                break
        if report.seconds > seconds:
            break
    return report


def shrunk(on: Runner, failing: Schedule) -> tuple[Schedule, list[str]]:
    """The smallest schedule that is found to fail, by leaving out what it fails without."""
    smallest, violations = failing, check(on.run(failing))
    tried = 0
    smaller = True
    while smaller and violations:
        smaller = False
        for candidate in simpler(smallest):
            tried += 1
            if tried > _LONGEST_SHRINKING:
                return smallest, violations
            found = check(on.run(candidate))
            if found:
                smallest, violations, smaller = candidate, found, True
                break
    return smallest, violations


def _units_of_one_step(history: History) -> Iterator[str]:
    """The units that ``run_unit`` has run again, and those of child processes."""
    begun = collections.Counter(
        event.unit for event in _all(history.events) if isinstance(event, Began)
    )
    for step in history.schedule.steps:
        if step.does == REPEAT and begun[step.unit] > 1:
            yield "run again by run_unit"
        if step.does == FORK and begun[step.unit]:
            yield "in a child process"


def _all(events: Iterable[Event]) -> Iterator[Event]:
    for event in events:
        if isinstance(event, Ended):
            yield from _all(event.meanwhile)
        yield event


def as_text(history: History) -> str:
    """A history in words, one event a line."""
    return "\n".join(map(str, [*history.events, *history.rows]))


def find(broken: Break, seed: int, count: int) -> bool:
    """Whether a break is found within so many schedules; tells at which, and what."""
    with runner(transactions=broken.transactions) as on, broken.broken():
        report = run_all(on, broken.schedules(seed, count))
    if report.failing is None:
        print(f"NOT FOUND in {report.schedules} schedules: {broken.name}", flush=True)
        return False
    violation = report.failing[1][0].replace("\n", " ")
    print(
        f"found at schedule {report.schedules}, after {report.seconds:.0f} s: {broken.name}\n"
        f"    {report.failing[0].name}: {violation[:300]}",
        flush=True,
    )
    return True


def main() -> int:
    """Run what the command line asks for."""
    trust_none_of_the_machine()
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--schedules", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the number of the first schedule")
    parser.add_argument(
        "--most-seconds", type=float, default=math.inf, help="begin no schedule after so long"
    )
    parser.add_argument("--no-transactions", action="store_true")
    parser.add_argument("--breaks", nargs="?", const="", help="break rules, and find each of them")
    parser.add_argument("--replay", type=Path, help="a schedule as JSON")
    parser.add_argument("--all", action="store_true", help="go on after a failure; shrink nothing")
    given = parser.parse_args()
    transactions = not given.no_transactions
    # The driver tells of each request that fails, and the warehouse of each that it fails.
    logging.basicConfig(level=logging.CRITICAL, format="%(message)s")
    _log.setLevel(logging.INFO)
    if given.breaks is not None:
        print(f"seed {given.seed}", flush=True)
        chosen = [item for item in BREAKS if given.breaks in item.name]
        found = [find(item, given.seed, given.schedules or WITHIN) for item in chosen]
        print(f"{sum(found)} of {len(chosen)} breaks were found")
        return int(not (chosen and all(found)))
    print(f"seed {given.seed}, {'with' if transactions else 'without'} transactions", flush=True)
    with runner(transactions=transactions) as on:
        if given.replay is not None:
            history = on.run(read(given.replay.read_text(encoding="utf-8")))
            violations = check(history)
            print(as_text(history), *violations, sep="\n")
            return int(bool(violations))
        numbers = range(given.first, given.first + (given.schedules or 1000))
        schedules = (generate(given.seed, n, transactions=transactions) for n in numbers)

        def go_on(report: Report) -> bool:
            print(report.failing and f"{report.failing[0].name}: {report.failing[1]}", flush=True)
            return bool(given.all)

        report = run_all(on, schedules, keep_going=go_on, seconds=given.most_seconds)
        if report.failing is not None and not given.all:
            report.failing = shrunk(on, report.failing[0])
        print(report.as_text())
    return int(report.failing is not None)


if __name__ == "__main__":
    sys.exit(main())
