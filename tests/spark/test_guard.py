"""The guard tells of a statement that was not recorded, whatever its values and its schema."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.spark.guard import NOT_OURS, Guard, guarding, recorded_with
from tests.spark.recorder import Recorder
from tests.spark.shapes import shape
from tests.spark.watching import quiet, watching
from tests.warehouse.engine.client import Client
from vinci_code.warehouse.engine.engine import Engine
from vinci_code.warehouse.sql.parameters import Parameter

SENT = (
    "CREATE TABLE t (id INT, price DECIMAL(9,2))",
    "SELECT id FROM {0}.t WHERE id IN (1, ?)",
    "SELECT CAST(id AS DECIMAL(9,2)) FROM {0}.t",
    "SELECT inline(from_json('[]', 'array<struct<a:string>>'))",
)


def run(schema: str, *more: str, value: str = "1") -> None:
    engine = Engine()
    with quiet():
        Client(engine).run(f"CREATE SCHEMA {schema}")
    client = Client(engine, schema=schema)
    for text in (*SENT, *more):
        parameters = [Parameter(None, "INT", value)] if "?" in text else []
        client.run(text.format(schema), parameters)
    engine.close()


@pytest.fixture
def guard(tmp_path: Path) -> Guard:
    recorder = Recorder()
    with watching(recorder):
        run("first")
    path = tmp_path / "some.case"
    path.write_text(recorder.text(["By a test."]), encoding="utf-8", newline="\n")
    return Guard(path)


def test_other_values_and_another_schema_are_the_same_statement(guard: Guard) -> None:
    with watching(guard):
        run("second", value="7")
    assert guard.complaint() == ""


@pytest.mark.parametrize(
    "text",
    [
        "SELECT id FROM {0}.t WHERE id IN (1, ?, 3)",
        "SELECT id FROM {0}.t WHERE id NOT IN (1, ?)",
        "SELECT CAST(id AS DECIMAL(9,3)) FROM {0}.t",
        "SELECT inline(from_json('[]', 'array<struct<a:bigint>>'))",
    ],
)
def test_another_statement_is_named(guard: Guard, text: str) -> None:
    with watching(guard):
        run("second", text)
    said = guard.complaint()
    assert text.format("${schema}") in said
    assert "make record" in said
    assert "test_another_statement_is_named" in said


def test_what_is_not_the_dialects_own_is_let_pass(
    guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NOT_OURS:
        monkeypatch.setenv("PYTEST_CURRENT_TEST", f"{name} (call)")
        with watching(guard):
            run("second", "SELECT 'of somebody else', id FROM t")
    assert guard.complaint() == ""


def test_it_looks_at_the_tests_of_one_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    # Not the parity suite's: where that runs in the same process, its own guard is watching too.
    folder = "tests/of_a_test/"
    with guarding(folder) as found:
        if found is None:
            pytest.skip(f"recorded with SQLAlchemy {recorded_with()}, which is another series")
        run("second", "SELECT 'another suite sends this', 1, 2")
        assert found.complaint() == ""
        monkeypatch.setenv("PYTEST_CURRENT_TEST", f"{folder}test_types.py::test_one (call)")
        run("second", "SELECT 'nobody sends this', 1")
    assert "SELECT 'nobody sends this', 1" in found.complaint()


def test_the_order_of_the_statements_of_a_unit_is_left_open() -> None:
    one, other = "INSERT INTO t VALUES (1)", "DELETE FROM u WHERE id IN (2, 3)"
    unit = "BEGIN ATOMIC\n{}\n;\n{}\n;\nEND"
    assert shape(unit.format(one, other), []) == shape(unit.format(other, one), [])
    assert shape(unit.format(one, one), []) != shape(unit.format(one, other), [])
