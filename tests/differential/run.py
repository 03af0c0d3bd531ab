"""Run random programs on SQLite and on a local warehouse, and make those that differ small.

    python -m tests.differential.run --programs 1000 --seed 7 [--no-transactions]
        [--first N] [--findings FOLDER] [--replay FILE] [--again FOLDER]

The seed is printed first, and each program that differs as Python that can be run. The exit code is
1 if any differs in a way that ``differences`` does not list.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import logging
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.certificates import trust_none_of_the_machine
from tests.differential.comparing import Compared, Finding, compare
from tests.differential.generating import generate
from tests.differential.programs import Program, read
from tests.differential.running import Side, quiet, sqlite_side, warehouse_side
from tests.differential.shrinking import shrunk
from tests.differential.tables import TABLES, Base

# A number, a text, a table, a column or a class.
_COLUMNS = {name for table in TABLES.values() for name in (table.name, *table.columns.keys())}
_CLASSES = {mapper.class_.__name__ for mapper in Base.registry.mappers}
_NAME = re.compile(rf"'[^']*'|-?\b\d+(\.\d+)?\b|\b({'|'.join(sorted(_COLUMNS | _CLASSES))})(_2)?\b")
# How many programs that differ in the same way are made small, which takes 100 runs or more.
_SHRUNK = 4


@dataclass
class Found:
    """A program that differs, made small.

    Attributes:
        program: The program.
        finding: How it differs.
        first: The name of the first program that differed so.
        times: How many programs came down to the same but for the values.
    """

    program: Program
    finding: Finding
    first: str
    times: int = 1


@dataclass
class Report:
    """What a run came to.

    Attributes:
        programs: How many programs were run.
        statements: How many lines of theirs.
        counted: How often which fate, refusal and listed difference was met.
        found: The programs that differ, by what they have in common.
        alike: How many programs differ in which way, before they are made small.
        seconds: How long it took, shrinking apart.
    """

    programs: int = 0
    statements: int = 0
    counted: collections.Counter[str] = field(default_factory=collections.Counter)
    found: dict[str, Found] = field(default_factory=dict)
    alike: collections.Counter[str] = field(default_factory=collections.Counter)
    seconds: float = 0.0

    @property
    def differing(self) -> int:
        """How many programs differ."""
        return sum(found.times for found in self.found.values())

    def as_text(self) -> str:
        """The report in words."""
        speed = self.programs / self.seconds if self.seconds else 0.0
        lines = [*sorted(self.counted.items())]
        lines += [(f"differs: {name}", count) for name, count in self.alike.most_common()]
        counted = "\n".join(f"  {count:7,}  {name}" for name, count in lines)
        return (
            f"{self.programs:,} programs, {self.statements:,} statements, {self.seconds:.1f} s "
            f"({speed:.1f} programs/s); {self.differing} differ, in {len(self.found)} ways\n"
            f"{counted}"
        )


class Sides:
    """SQLite and a warehouse, for many programs."""

    def __init__(self, sqlite: Side, warehouse: Side) -> None:
        self.sqlite = sqlite
        self.warehouse = warehouse

    def compare(self, program: Program) -> Compared:
        """Run a program on both."""
        with quiet():
            return compare(program, self.sqlite, self.warehouse)

    def shrunk(self, program: Program, finding: Finding) -> tuple[Program, Finding]:
        """Make a program small that differs."""
        return shrunk(program, finding, lambda smaller: self.compare(smaller).finding)


@contextmanager
def sides(*, transactions: bool, **options: Any) -> Iterator[Sides]:
    """Both sides, on a warehouse of their own; options are those of its engine."""
    with ExitStack() as stack:
        sqlite = stack.enter_context(sqlite_side())
        warehouse = stack.enter_context(warehouse_side(transactions=transactions, **options))
        yield Sides(sqlite, warehouse)


def run_all(
    on: Sides,
    programs: Iterable[Program],
    *,
    shrink: bool = True,
    new: Callable[[Found], None] | None = None,
    after: Callable[[Report], None] | None = None,
) -> Report:
    """Run programs.

    Args:
        on: The sides.
        programs: The programs.
        shrink: Whether those that differ are made small.
        new: Is given each finding that is like none before.
        after: Is given the report after each program.
    """
    report = Report()
    for program in programs:
        begin = time.monotonic()
        compared = on.compare(program)
        report.seconds += time.monotonic() - begin
        report.programs += 1
        report.statements += compared.statements
        report.counted += compared.counted
        if after is not None:
            after(report)
        if compared.finding is None:
            continue
        small, finding = program, compared.finding
        alike = _NAME.sub("_", finding.mark)
        report.alike[alike] += 1
        if shrink and report.alike[alike] <= _SHRUNK:
            small, finding = on.shrunk(program, finding)
        mark = mark_of(finding.mark, small)
        if mark in report.found:
            report.found[mark].times += 1
        else:
            report.found[mark] = Found(small, finding, program.name)
            if new is not None and report.alike[alike] <= _SHRUNK:
                new(report.found[mark])
    return report


def mark_of(finding: str, program: Program) -> str:
    """What findings have in common that differ in their values, tables and columns alone."""
    return f"{_NAME.sub('_', finding)}\n{_NAME.sub('_', program.as_text())}"


class Folder:
    """The files of programs that differ, one each: ``001.py``, which can be run.

    Args:
        path: The folder; it is made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._path = path

    def add(self, found: Found, *, transactions: bool) -> Path | None:
        """Write a program, unless one is there that differs from it in values alone."""
        mark = mark_of(found.finding.mark, found.program)
        if any(mark == mark_of(kind, program) for _, kind, program, _ in self.programs()):
            return None
        text = _SCRIPT.format(
            kind=found.finding.mark,
            first=found.first,
            transactions=transactions,
            finding="\n".join(line.rstrip() for line in found.finding.as_text().splitlines()),
            program=found.program.as_text(),
        )
        numbers = (self._path / f"{number:03}.py" for number in itertools.count(1))
        for free in numbers:
            try:
                with free.open("x", encoding="utf-8") as file:
                    file.write(text)
            except FileExistsError:
                continue
            return free
        raise AssertionError("there is always one more number")

    def programs(self) -> Iterator[tuple[Path, str, Program, bool]]:
        """Each file, the mark of its finding, the program, and whether with transactions."""
        for path in sorted(self._path.glob("*.py")):
            found = _WRITTEN.search(path.read_text(encoding="utf-8"))
            if found is not None:
                program = read(found["program"], path.name)
                yield path, found["kind"], program, found["transactions"] == "True"


_SCRIPT = '''r"""{kind}

{first}
{finding}
"""

import sys

from tests.differential.run import replay

TRANSACTIONS = {transactions}
PROGRAM = r"""
{program}"""

if __name__ == "__main__":
    sys.exit(replay(PROGRAM, transactions=TRANSACTIONS))
'''
_WRITTEN = re.compile(
    r'\Ar"""(?P<kind>[^\n]*)\n.*^TRANSACTIONS = (?P<transactions>\w+)$.*^PROGRAM = r"""\n'
    r'(?P<program>.*?)"""',
    re.DOTALL | re.MULTILINE,
)


def replay(text: str, *, transactions: bool = True) -> int:
    """Run the text of a program on both sides, and print how it differs.

    Returns:
        1 if it differs in a way that is not listed.
    """
    with sides(transactions=transactions) as on:
        compared = on.compare(read(text))
    print(text.strip())
    for name, count in sorted(compared.counted.items()):
        print(f"# {name}: {count}")
    print(f"# {'no difference' if compared.finding is None else compared.finding.as_text()}")
    return int(compared.finding is not None)


def again(folder: Path, *, transactions: bool) -> int:
    """Run the programs of a folder again, and say of each whether it still differs.

    Returns:
        How many do.
    """
    left = 0
    with sides(transactions=transactions) as on:
        for path, kind, program, of in Folder(folder).programs():
            if of != transactions:
                continue
            finding = on.compare(program).finding
            left += finding is not None
            print(
                f"{path.name}: {kind} → {'well' if finding is None else finding.kind}", flush=True
            )
    return left


def main() -> int:
    """Run what the command line asks for."""
    trust_none_of_the_machine()
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the number of the first program")
    parser.add_argument("--no-transactions", action="store_true")
    parser.add_argument("--findings", type=Path, help="a folder for the programs that differ")
    parser.add_argument("--replay", type=Path, help="a file with the text of a program")
    parser.add_argument("--again", type=Path, help="a folder whose programs are to be run again")
    given = parser.parse_args()
    transactions = not given.no_transactions
    logging.disable(logging.ERROR)
    if given.replay is not None:
        return replay(given.replay.read_text(encoding="utf-8"), transactions=transactions)
    if given.again is not None:
        return min(again(given.again, transactions=transactions), 1)
    print(f"seed {given.seed}, {'with' if transactions else 'without'} transactions", flush=True)
    folder = None if given.findings is None else Folder(given.findings)

    def new(found: Found) -> None:
        path = folder and folder.add(found, transactions=transactions)
        print(f"\n# {found.finding.as_text()}\n# {found.first} {path or ''}")
        print(found.program.as_text())
        sys.stdout.flush()

    def after(report: Report) -> None:
        if report.programs % 500 == 0:
            print(f"# {report.programs} programs in {report.seconds:.0f} s", flush=True)

    programs = (
        generate(given.seed, number, transactions=transactions)
        for number in range(given.first, given.first + given.programs)
    )
    with sides(transactions=transactions) as on:
        report = run_all(on, programs, new=new, after=after)
    print(report.as_text())
    return int(bool(report.found))


if __name__ == "__main__":
    sys.exit(main())
