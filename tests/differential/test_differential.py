"""Random programs see and leave the same on SQLite and on the warehouse, or are refused by name.

Thousands of them, from the command line, and one that differs again:

    python -m tests.differential.run --programs 3000 --seed 7 [--no-transactions] [--replay FILE]

A side that is broken on purpose has to be found.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.differential.generating import generate
from tests.differential.programs import Program, read
from tests.differential.run import Folder, Found, Sides, replay, run_all, sides
from tests.full import part, some
from vinci_code.database.dialect.base import VinciDialect
from vinci_code.database.dialect.driver.dbapi import Connection

SEED = 12
PROGRAMS = some(60, few=20)
# Within how many programs a break is to be found.
BOUND = 60


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Keep the driver from telling pytest of each of many thousand requests."""
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


def _programs(count: int, *, transactions: bool) -> Iterator[Program]:
    print(f"seed {SEED}, {count} programs")
    return (generate(SEED, number, transactions=transactions) for number in range(count))


@pytest.mark.slow
@pytest.mark.parametrize("transactions", [True, False], ids=["transactions", "no-transactions"])
def test_no_program_differs_silently(transactions: bool) -> None:
    with sides(transactions=transactions) as on:
        report = run_all(on, _programs(PROGRAMS, transactions=transactions))
    print(report.as_text())
    for found in report.found.values():
        print(f"\n{found.first}: {found.finding.as_text()}\n{found.program.as_text()}")
    assert not report.found
    # It is a test only of what happens in it.
    assert report.counted["fate: committed"] > PROGRAMS
    assert report.counted["fate: IntegrityError"] > PROGRAMS / 10


def _lose_last_row(_: Any, construct: Any, several: Any, one: Any, __: Any) -> tuple[Any, ...]:
    return construct, several[:-1] if len(several) > 1 else several, one


def _without(method: str) -> Callable[[pytest.MonkeyPatch], None]:
    def broken(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(VinciDialect, method, lambda *_: None)
        # The pool gives no connection to the next one that still holds something.
        patch.setattr(Connection, "is_as_found", True)

    return broken


@part(2)
@pytest.mark.parametrize(
    ("options", "broken", "expected"),
    [
        ({"enforce_keys": False}, None, "a constraint is broken"),
        ({"enforce_foreign_keys": False}, None, "a constraint is broken|IntegrityError becomes"),
        ({}, "do_rollback", "rolled back|rows differ|shown something else|cannot be read"),
        ({}, "do_rollback_to_savepoint", "rows differ|becomes|shown something else"),
        ({}, "do_commit", "rows differ|shown something else|becomes"),
    ],
    ids=["no keys", "no foreign keys", "no rollback", "no way back to a savepoint", "no commit"],
)
def test_a_break_is_found(
    options: dict[str, Any], broken: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sides(transactions=True, **options) as on:
        # The tables are there.
        if broken is not None:
            _without(broken)(monkeypatch)
        finding = _first_finding(on, expected)
    assert finding is not None


def _first_finding(on: Sides, expected: str) -> str | None:
    for program in _programs(BOUND, transactions=True):
        finding = on.compare(program).finding
        if finding is not None and re.search(expected, finding.kind):
            return finding.as_text()
    return None


_TWO_ROWS = "# unit: core, commit\nconn.execute(insert(item), [{'id': 1}, {'id': 2}])\n"


def test_a_row_that_is_lost_is_found_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = read(
        _TWO_ROWS
        + "# unit: core, commit\nsee(conn.execute(select(tag.c.name)))\n"
        + "conn.execute(insert(item), [{'id': 3, 'x': 1}, {'id': 4, 'x': 2}, {'id': 5, 'x': 3}])\n"
    )
    with sides(transactions=True) as on:
        assert on.compare(program).finding is None
        engine = on.warehouse.engine
        sa.event.listen(engine, "before_execute", _lose_last_row, retval=True)
        finding = on.compare(program).finding
        assert finding is not None
        small, finding = on.shrunk(program, finding)
    assert finding.kind == "both commit, and rows differ"
    assert small.as_text().count("'id'") == 2
    assert small.as_text().count("\n") == 2
    found = Found(small, finding, "by hand")
    path = Folder(tmp_path).add(found, transactions=True)
    assert path is not None
    assert Folder(tmp_path).add(found, transactions=True) is None
    [(_, kind, again, transactions)] = Folder(tmp_path).programs()
    assert (kind, again.units, transactions) == (finding.mark, small.units, True)
    assert replay(again.as_text()) == 0
    assert "no difference" in capsys.readouterr().out


def test_a_program_is_the_same_for_the_same_seed_and_is_read_again() -> None:
    for number in range(50):
        program = generate(3, number, transactions=True)
        assert program == generate(3, number, transactions=True)
        assert read(program.as_text(), program.name) == program
        for unit in program.units:
            for line in unit.lines:
                compile(line, program.name, "exec")
