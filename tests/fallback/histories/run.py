"""Run random schedules of the fallback, check each, and make a failing one small.

    python -m tests.fallback.histories.run --schedules 1000 --seed 7 [--first K]
        [--no-transactions] [--kills] [--replay FILE] [--all]
    python -m tests.fallback.histories.run --breaks [WORD]

The exit code is 1 if a history cannot be explained; the schedule is printed as JSON, which
``--replay`` runs again. With ``--breaks``, rules of the product are broken one by one, and the exit
code is 1 if one is not found.
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
import time
from collections import Counter as Counts
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.certificates import trust_none_of_the_machine
from tests.fallback.histories.runner import History, Runner
from tests.fallback.histories.schedules import Schedule, generate, read, simpler

_LONGEST_SHRINKING = 150


@dataclass
class Report:
    """What a run came to."""

    schedules: int = 0
    counts: Counts[str] = field(default_factory=Counts)
    failing: list[History] = field(default_factory=list)
    seconds: float = 0.0

    def as_text(self) -> str:
        """The report in words."""
        counted = "\n    ".join(f"{count:6} {name}" for name, count in self.counts.most_common())
        rate = self.schedules / max(self.seconds, 1e-9)
        return (
            f"{self.schedules} schedules in {self.seconds:.1f} s ({rate:.1f}/s), "
            f"{len(self.failing)} failing\n    {counted}"
        )


def run_all(
    on: Runner, schedules: Iterable[Schedule], *, go_on: bool = False, seconds: float = math.inf
) -> Report:
    """Run schedules, until one fails unless they are to go on."""
    report = Report()
    begin = time.monotonic()
    for schedule in schedules:
        history = on.run(schedule)
        report.schedules += 1
        report.counts.update(history.counts)
        report.seconds = time.monotonic() - begin
        if history.violations:
            report.failing.append(history)
            if not go_on:
                break
        if report.seconds > seconds:
            break
    return report


def shrunk(on: Runner, failing: Schedule) -> History:
    """The smallest schedule that is found to fail, by leaving out what it fails without."""
    smallest = on.run(failing)
    tried = 0
    smaller = bool(smallest.violations)
    while smaller:
        smaller = False
        for candidate in simpler(smallest.schedule):
            tried += 1
            if tried > _LONGEST_SHRINKING:
                return smallest
            found = on.run(candidate)
            if found.violations:
                smallest, smaller = found, True
                break
    return smallest


def as_text(history: History) -> str:
    """A history in words."""
    return "\n".join([*history.log, "VIOLATION: " + "; ".join(history.violations)])


def main() -> int:
    """Run what the command line asks for."""
    trust_none_of_the_machine()
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--schedules", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--most-seconds", type=float, default=math.inf)
    parser.add_argument("--no-transactions", action="store_true")
    parser.add_argument("--kills", action="store_true")
    parser.add_argument("--replay", type=Path)
    parser.add_argument("--all", action="store_true", help="go on after a failure; shrink nothing")
    parser.add_argument("--breaks", nargs="?", const="")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    transactions = not given.no_transactions
    if given.breaks is not None:
        from tests.fallback.histories.breaks import find_all

        return find_all(given.breaks, given.seed, given.schedules)
    print(f"seed {given.seed}, {'with' if transactions else 'without'} transactions", flush=True)
    if given.replay is not None:
        schedule = read(given.replay.read_text(encoding="utf-8"))
        with Runner(transactions=schedule.transactions) as on:
            history = on.run(schedule)
        print(as_text(history))
        return int(bool(history.violations))
    with Runner(transactions=transactions) as on:
        numbers = range(given.first, given.first + given.schedules)
        report = run_all(
            on,
            (
                generate(given.seed, n, transactions=transactions, kills=given.kills)
                for n in numbers
            ),
            go_on=given.all,
            seconds=given.most_seconds,
        )
        print(report.as_text())
        if report.failing and given.all:
            for history in report.failing:
                print(history.schedule.name, history.violations)
        elif report.failing:
            (history,) = report.failing
            print("FAILED", history.schedule.name, *history.violations, sep="\n", flush=True)
            small = shrunk(on, history.schedule)
            history = small if small.violations else history
            print(as_text(history), history.schedule.as_json(), sep="\n")
    return int(bool(report.failing))


if __name__ == "__main__":
    sys.exit(main())
