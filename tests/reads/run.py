"""Read over random held writes, and compare with a transaction and with SQLite.

    python -m tests.reads.run --reads 20000 --seed 7 [--first N] [--seconds N]
        [--no-foreign-keys] [--replay FILE]

The seed is printed first, and each program that differs, made small, as Python that can be run. The
exit code is 1 if any differs.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import logging
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.certificates import trust_none_of_the_machine
from tests.differential.comparing import Finding
from tests.differential.programs import Program, read
from tests.differential.running import quiet
from tests.differential.shrinking import shrunk
from tests.reads.comparing import Compared, compare
from tests.reads.generating import generate
from tests.reads.running import Sides, sides

_SHRUNK = 3


@dataclass
class Report:
    """What a run came to.

    Attributes:
        programs: How many programs were run.
        reads: How many reads were the same with what is held, and in a transaction.
        on_sqlite: How many reads were the same on SQLite.
        counted: How reads were answered, and units ended.
        found: The programs that differ, made small, with how they do.
        alike: How many programs differ in which way.
        seconds: How long it took, shrinking apart.
    """

    programs: int = 0
    reads: int = 0
    on_sqlite: int = 0
    counted: collections.Counter[str] = field(default_factory=collections.Counter)
    found: list[tuple[Program, Finding]] = field(default_factory=list)
    alike: collections.Counter[str] = field(default_factory=collections.Counter)
    seconds: float = 0.0

    @property
    def differing(self) -> int:
        """How many programs differ."""
        return sum(self.alike.values())

    def add(self, compared: Compared) -> None:
        """Count a program."""
        self.programs += 1
        self.reads += compared.reads
        self.on_sqlite += compared.on_sqlite
        self.counted += compared.counted

    def as_text(self) -> str:
        """The report in words."""
        lines = [*sorted(self.counted.items())]
        lines += [(f"differs: {name}", count) for name, count in self.alike.most_common()]
        counted = "\n".join(f"  {count:7,}  {name}" for name, count in lines)
        return (
            f"{self.programs:,} programs, {self.reads:,} reads as in a transaction, "
            f"{self.on_sqlite:,} of them as on SQLite, {self.seconds:.0f} s; "
            f"{self.differing} programs differ\n{counted}"
        )


def compared(program: Program, on: Sides) -> Compared:
    """Run a program on all sides, without SQLAlchemy's warnings of what it does on purpose."""
    with quiet():
        return compare(program, on)


def run_all(
    on: Sides,
    seed: int,
    reads: int,
    *,
    first: int = 0,
    seconds: float = math.inf,
    shrink: bool = True,
    new: Callable[[Program, Finding], None] | None = None,
    after: Callable[[Report], None] | None = None,
) -> Report:
    """Run programs until so many reads were compared.

    Args:
        on: The sides.
        seed: The seed.
        reads: How many reads.
        first: The number of the first program.
        seconds: After which time to stop in any case.
        shrink: Whether those that differ are made small.
        new: Is given each program that differs, and how.
        after: Is given the report after each program.
    """
    report = Report()
    for number in itertools.count(first):
        program = generate(seed, number)
        begin = time.monotonic()
        found = compared(program, on)
        report.seconds += time.monotonic() - begin
        report.add(found)
        if found.finding is not None:
            small, finding = program, found.finding
            report.alike[finding.mark] += 1
            if shrink and report.alike[finding.mark] <= _SHRUNK:
                small, finding = shrunk(program, finding, lambda less: compared(less, on).finding)
                report.found.append((small, finding))
                if new is not None:
                    new(small, finding)
        if after is not None:
            after(report)
        if report.reads >= reads or report.seconds > seconds:
            return report
    raise AssertionError("there is always one more program")


def replay(text: str) -> int:
    """Run the text of a program on all sides, and print how it differs.

    Returns:
        1 if it does.
    """
    with sides() as on:
        found = compared(read(text), on)
    print(text.strip())
    for name, count in sorted(found.counted.items()):
        print(f"# {name}: {count}")
    print(f"# {'no difference' if found.finding is None else found.finding.as_text()}")
    return int(found.finding is not None)


def main() -> int:
    """Run what the command line asks for."""
    trust_none_of_the_machine()
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--reads", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the number of the first program")
    parser.add_argument("--seconds", type=float, default=math.inf, help="after which to stop")
    parser.add_argument("--no-foreign-keys", action="store_true")
    parser.add_argument("--replay", type=Path, help="a file with the text of a program")
    given = parser.parse_args()
    logging.disable(logging.ERROR)
    if given.replay is not None:
        return replay(given.replay.read_text(encoding="utf-8"))
    print(f"seed {given.seed}", flush=True)

    def new(program: Program, finding: Finding) -> None:
        print(f"\n# {finding.as_text()}\n# {program.name}\n{program.as_text()}", flush=True)

    def after(report: Report) -> None:
        if report.programs % 100 == 0:
            print(
                f"# {report.programs} programs, {report.reads} reads in {report.seconds:.0f} s",
                flush=True,
            )

    with sides(enforce_foreign_keys=not given.no_foreign_keys) as on:
        report = run_all(
            on,
            given.seed,
            given.reads,
            first=given.first,
            seconds=given.seconds,
            new=new,
            after=after,
        )
    print(report.as_text())
    return int(report.differing > 0)


if __name__ == "__main__":
    sys.exit(main())
