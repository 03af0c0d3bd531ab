"""Every recorded case answers on the local warehouse's engine what was recorded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.full import part
from tests.spark.local import Replay
from tests.spark.record import FOLDER, RECORDINGS
from tests.warehouse.corpus import reader
from tests.warehouse.corpus.reader import Case
from vinci_code.warehouse.engine.engine import Engine

pytestmark = part(4)


CASES = list(reader.cases(FOLDER))


@pytest.fixture(scope="module")
def replay() -> Iterator[Replay]:
    engine = Engine()
    yield Replay(engine)
    engine.close()


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_case(case: Case, replay: Replay) -> None:
    if problems := replay.problems(case):
        pytest.fail("\n".join(problems), pytrace=False)


def test_every_recording_is_there() -> None:
    assert {case.subject for case in CASES} == set(RECORDINGS)
    assert all(case.steps for case in CASES)


def test_another_answer_would_be_seen(replay: Replay) -> None:
    case = next(case for case in CASES if case.subject == "parity" and case.steps[0].rows)
    step = case.steps[0]
    answered, step.rows = step.rows, []
    try:
        assert any("rows: expected" in line for line in replay.problems(case))
    finally:
        step.rows = answered
