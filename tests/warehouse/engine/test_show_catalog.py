"""SHOW TABLES and SHOW COLUMNS of a catalog, which drivers send for their metadata."""

# ruff: noqa: F401, F811 - pytest finds fixtures by the name they are imported under

from __future__ import annotations

import pytest

from tests.warehouse.engine.client import Client, db, engine


@pytest.fixture
def filled(db: Client) -> Client:
    db.script(
        "CREATE SCHEMA s COMMENT 'x'",
        "CREATE TABLE s.t (a INT NOT NULL, b DECIMAL(10, 2) COMMENT 'money')",
        "CREATE VIEW s.v AS SELECT a FROM main.s.t",
        "CREATE TABLE t2 (c STRING)",
        "CREATE CATALOG other",
        "CREATE TABLE other.default.t (z DATE)",
    )
    return db


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SHOW TABLES IN CATALOG `main`", [("default", "t2"), ("s", "t"), ("s", "v")]),
        ("SHOW TABLES IN CATALOG main SCHEMA LIKE 's'", [("s", "t"), ("s", "v")]),
        ("SHOW TABLES IN CATALOG MAIN SCHEMA LIKE '*' LIKE 't*'", [("default", "t2"), ("s", "t")]),
        ("SHOW TABLES IN ALL CATALOGS LIKE 't'", [("s", "t"), ("default", "t")]),
    ],
)
def test_tables(filled: Client, statement: str, expected: list[tuple[str, str]]) -> None:
    assert [row[:2] for row in filled.run(statement)] == expected
    assert filled.names(statement)[4:6] == ["catalogName", "tableType"]


def test_columns(filled: Client) -> None:
    statement = "SHOW COLUMNS IN CATALOG `main` SCHEMA LIKE 's' TABLE LIKE 't' LIKE '*'"
    names = filled.names(statement)
    rows = [dict(zip(names, row, strict=True)) for row in filled.run(statement)]
    shown = [
        (row["col_name"], row["columnType"], row["isNullable"], row["remarks"]) for row in rows
    ]
    assert shown == [("a", "INT", "false", ""), ("b", "DECIMAL(10,2)", "true", "money")]
    assert [row["ordinalPosition"] for row in rows] == [0, 1]
    assert filled.run("SHOW COLUMNS IN CATALOG main TABLE LIKE 'nope'") == []


def test_what_is_called_catalog_is_found_as_before(filled: Client) -> None:
    filled.script("CREATE SCHEMA catalog", "CREATE TABLE catalog.x (q INT)")
    assert [row[1] for row in filled.run("SHOW TABLES IN catalog")] == ["x"]
    assert [row[1] for row in filled.run("SHOW TABLES IN catalog LIKE 'y'")] == []


def test_refusals(filled: Client) -> None:
    filled.fails("SHOW TABLES IN CATALOG nope", "NO_SUCH_CATALOG_EXCEPTION", "42704", "'nope'")
    filled.fails("SHOW TABLES IN CATALOG main SCHEMA s", "PARSE_SYNTAX_ERROR", "42601")
    filled.fails("SHOW COLUMNS IN CATALOG main LIKE 'a' x", "PARSE_SYNTAX_ERROR", "42601")
