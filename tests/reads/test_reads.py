"""Random reads over random held writes show what a transaction shows, and what SQLite shows.

Thousands of them, from the command line, and one that differs again:

    python -m tests.reads.run --reads 20000 --seed 7 [--no-foreign-keys] [--replay FILE]

A side that is broken on purpose has to be found.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import and_, not_

from tests.differential.programs import read
from tests.full import full, some
from tests.reads.generating import generate
from tests.reads.run import Report, compared, run_all
from tests.reads.running import CARRIED, sides
from vinci_code.database.dialect.writes import afterwards, layers
from vinci_code.database.dialect.writes.shapes import WriteKind

SEED = 12
READS = some(200, few=40)
# Within how many reads a break is to be found.
BOUND = 400


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Keep the driver from telling pytest of each of many thousand requests."""
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.slow
def test_no_read_differs() -> None:
    print(f"seed {SEED}, {READS} reads")
    with sides() as on:
        report = run_all(on, SEED, READS)
    print(report.as_text())
    for program, finding in report.found:
        print(f"\n{program.name}: {finding.as_text()}\n{program.as_text()}")
    assert not report.found
    # It is a test only of what happens in it.
    assert report.counted[f"read: {CARRIED}"] > READS * 0.6
    assert report.on_sqlite > READS * 0.5


def _without_null(original: Any) -> Any:
    def left(table: Any, criteria: Any) -> Any:
        return original(table, ()).where(not_(and_(*criteria)))

    return left


def _without_defaults(original: Any) -> Any:
    return lambda layer, column: f"CAST(NULL AS {layer._type(column)})"


def _without_deletes(original: Any) -> Any:
    def text(layer: Any, rows: str, upsert: Any) -> Any:
        kept = layer._shape.kind is WriteKind.DELETE
        return layer._passed() if kept else original(layer, rows, upsert)

    return text


@full
@pytest.mark.parametrize(
    ("of", "name", "broken"),
    [
        (afterwards, "left", _without_null),
        (layers._Layer, "_default", _without_defaults),
        (layers._Layer, "text", _without_deletes),
    ],
    ids=["NULL of a condition", "defaults", "deletes"],
)
def test_a_break_is_found(
    of: Any, name: str, broken: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of, name, broken(getattr(of, name)))
    print(f"seed {SEED}, {BOUND} reads")

    def found(report: Report) -> None:
        if report.differing:
            raise StopIteration

    with sides() as on, pytest.raises(StopIteration):
        run_all(on, SEED, BOUND, shrink=False, after=found)


def test_a_program_is_the_same_for_the_same_seed_and_is_read_again() -> None:
    for number in range(50):
        program = generate(3, number)
        assert program == generate(3, number)
        assert read(program.as_text(), program.name) == program
        for unit in program.units:
            for line in unit.lines:
                compile(line, program.name, "exec")


def test_a_read_that_begins_a_transaction_has_a_reason() -> None:
    write = "# unit: core, commit\nconn.execute({}text('UPDATE node SET rank = 1'){})\n"
    seen = "see(conn.execute(select(node.c.id)))\n"
    with sides() as on:
        finding = compared(read(write.format("", "") + seen), on).finding
        assert finding is not None
        assert finding.kind == "a read takes a transaction"
        known = compared(read(write.format("aside('a text writes', ", ")") + seen), on)
    assert known.finding is None
    assert known.counted["read: begins one: a text writes"] == 1
