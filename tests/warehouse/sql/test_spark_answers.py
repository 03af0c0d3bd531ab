"""Statements with the answers of Apache Spark 4.3 (ANSI mode, UTC), recorded once.

``test_spark_answers.json`` holds for every statement the types and rows that Spark gave, the
names of the columns where they are to be the same, or the error class.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from _pytest.mark.structures import ParameterSet

from tests.warehouse.sql.support import Database, plain
from vinci_code.warehouse.sql.builtins import FUNCTIONS
from vinci_code.warehouse.sql.errors import SqlError

ANSWERS: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("test_spark_answers.json").read_text(encoding="utf-8")
)


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    database = Database()
    yield database
    database.close()


# There is no DuckDB 2.0 for Python 3.10, and earlier releases answer these otherwise: a sum of
# decimals beyond its type is no error, and -0.0 among NaN and NULL differs.
OTHERWISE_BEFORE_DUCKDB_2 = (
    "SELECT sum(a) FROM VALUES (9999999",
    "SELECT a FROM VALUES (double('nan'))",
)


def case(answer: dict[str, Any]) -> ParameterSet:
    sql = answer["sql"]
    before = duckdb.__version__.startswith("1.") and sql.startswith(OTHERWISE_BEFORE_DUCKDB_2)
    marks = [pytest.mark.xfail(reason="DuckDB before 2.0")] if before else []
    return pytest.param(answer, id=sql[:70], marks=marks)


@pytest.mark.parametrize("answer", [case(answer) for answer in ANSWERS])
def test_answers_as_spark(database: Database, answer: dict[str, Any]) -> None:
    if "error" in answer:
        with pytest.raises(SqlError) as caught:
            database.run(answer["sql"])
        assert caught.value.error_class == answer["error"]
        return
    found = database.run(answer["sql"])
    kinds = [column.type for column in found.query.columns]
    rows = [[plain(v, k) for v, k in zip(row, kinds, strict=True)] for row in found.rows]
    assert [kind.simple for kind in kinds] == answer["types"]
    if "ORDER BY" in answer["sql"]:
        assert rows == answer["rows"]
    else:
        assert sorted(map(str, rows)) == sorted(map(str, answer["rows"]))
    assert found.names == answer.get("names", found.names)


def test_every_function_is_answered_somewhere() -> None:
    text = " ".join(answer["sql"] for answer in ANSWERS).lower()
    # Spark lacks these, or answers otherwise than Databricks documents.
    elsewhere = {
        "all_match", "any_match", "charindex", "current_timezone", "current_version", "getdate",
    }  # fmt: skip
    missing = {name for name in FUNCTIONS if f"{name}(" not in text and name not in elsewhere}
    assert missing == set()


def test_functions_that_spark_lacks(database: Database) -> None:
    assert database.value("any_match(array(1, 2), x -> x > 1)") is True
    assert database.value("all_match(array(1, 2), x -> x > 1)") is False
    assert database.value("charindex('c', 'abc')") == 3
    assert database.value("current_timezone()") == "Etc/UTC"
    assert database.value("getdate() = current_timestamp()") is True
    assert database.value("current_version().dbsql_version IS NOT NULL") is True
