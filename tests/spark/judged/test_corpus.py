"""Every case of the corpus, and every recorded statement, on Apache Spark with Delta Lake."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.spark import figures
from tests.spark.differences import DIFFERENCES
from tests.spark.replay import Replay, writes
from tests.warehouse.corpus import reader
from tests.warehouse.corpus.reader import Case

RECORDED = Path(__file__).parents[1] / "recorded"
CASES = {"corpus": list(reader.cases()), "recorded": list(reader.cases(RECORDED))}

# Cases that share their tables stay together, and each process gets its part of the others.
_TOGETHER = 40
# What SQLAlchemy's own suite sends takes as long as all the rest; each odd name has its own tables,
# and so has each form of a change that checks what was loaded.
_SLOW = ("compliance::", "parity::names_", "held::held_loaded")
# Where time is short, one of so many is run: of what writes, each case has tables of its own.
_WRITING, _READING = 10, 5
# Of the reads that bring held writes along each has several of the same forms.
_MANY, _EACH = "held::laid_over", 30


def _parameters() -> Iterator[object]:
    for kind, cases in CASES.items():
        # Those that only read come first: they share the tables of their set-up.
        ordered = sorted(cases, key=lambda case: (case.setup_name or "", writes(case)))
        for place, case in enumerate(ordered):
            group = case.setup_name or f"{case.subject}-{place // _TOGETHER}"
            marks = [pytest.mark.xdist_group(f"{kind}-{group}")]
            marks += [pytest.mark.slow] if _is_slow(case) else []
            yield pytest.param(kind, case, id=case.id, marks=marks)


def _is_slow(case: Case) -> bool:
    number = zlib.crc32(case.id.encode())
    each = _WRITING if writes(case) else _READING
    each = _EACH if case.id.startswith(_MANY) else each
    return case.id.startswith(_SLOW) or number % each != 0


@pytest.fixture(scope="session")
def replays(spark: SparkSession) -> Iterator[dict[str, Replay]]:
    made = {kind: Replay(spark) for kind in CASES}
    yield made
    for kind, replay in made.items():
        replay.close()
        figures.keep(kind, replay.figures())


@pytest.mark.parametrize(("kind", "case"), list(_parameters()))
def test_case(kind: str, case: Case, replays: dict[str, Replay]) -> None:
    trouble = replays[kind].trouble(case)
    if trouble:
        replays[kind].unexplained += 1
        pytest.fail(trouble, pytrace=False)


def test_what_is_listed_exists() -> None:
    steps = {
        f"{case.id}#{place}"
        for cases in CASES.values()
        for case in cases
        for place in range(1, len(case.steps) + 1)
    }
    assert set(DIFFERENCES) <= steps
    assert all(difference.reason and difference.source for difference in DIFFERENCES.values())
