"""Every case of the corpus through the unmodified driver; the format is in ``corpus/README.md``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

import pyarrow as pa
import pytest
from databricks import sql

from tests.full import part
from tests.warehouse.corpus import compare, reader
from tests.warehouse.corpus.binding import driver_parameters
from tests.warehouse.corpus.reader import Case, Step
from tests.warehouse.driver import Connection, Cursor
from vinci_code.warehouse.pytest_plugin import TestWarehouse

CASES = list(reader.cases())
REFUSED = reader.refused()
UNSUPPORTED = "[UNSUPPORTED_BY_LOCAL_WAREHOUSE]"


class Sessions:
    """The driver's connections of one case, opened when the case first names them."""

    def __init__(self, warehouse: TestWarehouse) -> None:
        self._warehouse = warehouse
        self._open: dict[str, Connection] = {}

    def fill(self, text: str) -> str:
        """Put the case's namespace into a text."""
        return text.replace("${catalog}", self._warehouse.catalog).replace(
            "${schema}", self._warehouse.schema
        )

    def cursor(self, name: str) -> Cursor:
        """A new cursor on the named session."""
        if name not in self._open:
            self._open[name] = sql.connect(**self._warehouse.connect_args)
        return self._open[name].cursor()

    def close(self) -> None:
        """Close them all."""
        for connection in self._open.values():
            connection.close()


@pytest.fixture
def sessions(local_warehouse: TestWarehouse) -> Iterator[Sessions]:
    opened = Sessions(local_warehouse)
    yield opened
    opened.close()


@part(3)
@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_case(case: Case, sessions: Sessions) -> None:
    trouble = _trouble(case, sessions)
    if case.id in REFUSED:
        assert UNSUPPORTED in trouble, f"not refused: {REFUSED[case.id]}"
        assert "SQLSTATE: 0A000" in trouble
    elif trouble:
        pytest.fail(trouble, pytrace=False)


def test_the_corpus_is_whole() -> None:
    assert len(CASES) >= 300
    assert all(case.steps for case in CASES)
    assert set(REFUSED) <= {case.id for case in CASES}
    assert all(REFUSED.values())
    repeated = [name for name, n in Counter(case.id for case in CASES).items() if n > 1]
    assert repeated == []


def _trouble(case: Case, sessions: Sessions) -> str:
    """What is wrong at the first step that goes wrong; nothing if all is well."""
    for step in case.setup + case.steps:
        if problems := _problems(step, sessions):
            return "\n".join([f"{case.subject}.case:{step.line}: {step.sql}", *problems])
    return ""


def _problems(step: Step, sessions: Sessions) -> list[str]:
    parameters = step.parameters
    if parameters is not None:
        parameters = driver_parameters(json.loads(sessions.fill(json.dumps(parameters))))
    with sessions.cursor(step.session) as cursor:
        try:
            cursor.execute(sessions.fill(step.sql), parameters)
            table = cursor.fetchall_arrow()
        except sql.Error as error:
            if step.error_class is None:
                return ["expected success", f"got {error}"]
            wanted = f"{step.error_class} {step.sqlstate} {step.error_text}"
            matches = compare.error_matches(step, str(error))
            return [] if matches else [f"expected {wanted}", f"got {error}"]
        if step.error_class is not None:
            return [f"expected {step.error_class}", f"got {compare.table_rows(table)}"]
        return _answer_problems(step, cursor, table, sessions)


def _answer_problems(step: Step, cursor: Cursor, table: pa.Table, sessions: Sessions) -> list[str]:
    problems = []
    if step.rowcount is not None and cursor.rowcount != step.rowcount:
        problems.append(f"rowcount: expected {step.rowcount}, got {cursor.rowcount}")
    if step.columns is None:
        return problems
    step.rows = json.loads(sessions.fill(json.dumps(step.rows)))
    problems += compare.column_problems(step.columns, cursor.description or [], table)
    return problems + compare.row_problems(step, compare.table_rows(table))
