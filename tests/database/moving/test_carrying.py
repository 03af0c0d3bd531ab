"""What a table has beside its columns and keys is taken over as it is, or named."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.database.moving.samples import execute
from vinci_code.core.errors import CopyRefusedError
from vinci_code.database import copy_database
from vinci_code.database.moving import writing

_TABLE = """CREATE TABLE t (
  id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT DEFAULT 'x:y' COLLATE NOCASE,
  b INTEGER DEFAULT (1 + 1) CHECK (b > 0), g INTEGER GENERATED ALWAYS AS (b * 2) STORED,
  h TEXT AS (a || ':'), CONSTRAINT "so: named" CHECK (b < 100), UNIQUE (a, b)
)"""
_MORE = (
    "CREATE INDEX plain ON t (b)",
    "CREATE INDEX some ON t (b) WHERE b > 1",
    "CREATE INDEX lowered ON t (lower(a))",
    "CREATE INDEX down ON t (b DESC)",
    "CREATE UNIQUE INDEX folded ON t (a, id)",
    "CREATE TRIGGER fires AFTER INSERT ON t BEGIN UPDATE t SET b = 9; END",
    "CREATE VIEW seen AS SELECT 1",
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.db"
    execute(path, _TABLE)
    execute(path, "INSERT INTO t (id, a) VALUES (1, 'q'), (2, 'r')")
    for statement in _MORE:
        execute(path, statement)
    return path


def statements(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(
            "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite%'"
        )
        return sorted(row[0] for row in rows)


def test_a_file_has_the_same_tables(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    report = copy_database(source, target)
    assert report.is_proved, report.lines()
    assert statements(target) == sorted([_TABLE, *_MORE[:5]])
    assert report.left_out == ["t: the trigger fires"]
    assert report.views == ["seen"]
    (table,) = report.tables
    assert [one.name for one in table.plan.columns] == ["id", "a", "b"]
    with closing(sqlite3.connect(target)) as connection:
        assert connection.execute("SELECT g, h FROM t").fetchall() == [(4, "q:"), (4, "r:")]
    execute(source, "UPDATE t SET b = 7 WHERE id = 2")
    assert copy_database(source, target, sync=True).is_proved


def test_a_column_that_only_the_target_computes_is_refused(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    execute(target, _TABLE.replace("b * 2", "b * 3"))
    with pytest.raises(CopyRefusedError, match=r"t\.g: it is computed by the target"):
        copy_database(source, target)


def test_what_refers_to_a_table_that_is_not_copied_is_made_without_it(tmp_path: Path) -> None:
    source = tmp_path / "source.db"
    execute(source, "CREATE TABLE p (id INTEGER PRIMARY KEY)")
    execute(source, "CREATE TABLE c (id INTEGER PRIMARY KEY, p REFERENCES p, b INT DEFAULT 3)")
    execute(source, "INSERT INTO c VALUES (1, NULL, 1)")
    report = copy_database(source, tmp_path / "copy.db", tables=["c"], kinds={"c.p": "integer"})
    assert report.is_proved, report.lines()
    assert report.left_out == [
        "c.b: its DEFAULT",
        "c: the foreign key (p) to p, which is not copied",
    ]


def test_a_warehouse_has_the_values_and_the_rest_is_named(
    source: Path, warehouse: sa.Engine
) -> None:
    report = copy_database(source, warehouse)
    assert report.is_proved, report.lines()
    assert sorted(report.left_out) == [
        "t.a: its DEFAULT",
        "t.a: its collation NOCASE",
        "t.b: its DEFAULT",
        "t.g: that it is computed",
        "t.h: that it is computed",
        "t: AUTOINCREMENT, and its last number 2",
        "t: CHECK (b < 100)",
        "t: CHECK (b > 0)",
        "t: the index down",
        "t: the index folded",
        "t: the index lowered",
        "t: the index plain",
        "t: the index some",
        "t: the trigger fires",
    ]
    with warehouse.connect() as connection:
        rows = connection.execute(sa.text("SELECT g, h FROM t ORDER BY id")).all()
    assert [tuple(row) for row in rows] == [(4, "q:"), (4, "r:")]


def test_many_rows_without_a_key_go_as_one_file(
    tmp_path: Path, warehouse: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "KEYLESS_MOST", 10)
    source = tmp_path / "source.db"
    execute(source, "CREATE TABLE k (a INTEGER, s TEXT)")
    execute(source, "CREATE TABLE b (id INTEGER PRIMARY KEY)")
    execute(source, f"INSERT INTO k VALUES (1, 'x'){', (1, NULL)' * 20}")
    with pytest.raises(CopyRefusedError, match="21 rows, which are written as one file, and no"):
        copy_database(source, warehouse)
    assert set(sa.inspect(warehouse).get_table_names()) == set(), "or something was written before"
    with warehouse.begin() as connection:
        connection.execute(sa.text("CREATE VOLUME vinci_load"))
    report = copy_database(source, warehouse, chunk_rows=6)
    assert report.is_proved, report.lines()
    assert report.rows == 21
