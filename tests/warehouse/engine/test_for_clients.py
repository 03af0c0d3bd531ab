"""Statements that clients send and applications seldom: dbt's above all."""
# ruff: noqa: F401, F811 - pytest finds fixtures by the name they are imported under

from __future__ import annotations

import pytest

from tests.warehouse.engine.client import Client, db, engine


def test_replace_where_removes_what_the_condition_holds_for(db: Client) -> None:
    db.run("CREATE TABLE t (id INT, k STRING)")
    db.run("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, NULL)")
    assert db.run("INSERT INTO t BY NAME REPLACE WHERE k = 'a' SELECT 'a' AS k, 7 AS id") == [
        (1, 1)
    ]
    assert db.run("SELECT * FROM t ORDER BY id") == [(2, "b"), (3, None), (7, "a")]
    history = db.run("DESCRIBE HISTORY t")
    assert len(history) == 3, "removing and inserting are one version"
    db.run("CREATE TEMPORARY VIEW v AS SELECT 8 AS id, 'b' AS k")
    db.run("INSERT INTO t BY NAME REPLACE WHERE k = 'b' TABLE v")
    assert db.run("SELECT * FROM t ORDER BY id") == [(3, None), (7, "a"), (8, "b")]


@pytest.mark.parametrize("row", ["(9, 'b')", "(9, NULL)", "(9, 'a'), (10, 'b')"])
def test_a_row_beside_the_condition_is_refused(db: Client, row: str) -> None:
    db.run("CREATE TABLE t (id INT, k STRING)")
    db.run("INSERT INTO t VALUES (1, 'a')")
    statement = f"INSERT INTO t REPLACE WHERE k = 'a' VALUES {row}"
    db.fails(statement, "DELTA_REPLACE_WHERE_MISMATCH", "44000", "k = 'a'")
    assert db.run("SELECT * FROM t") == [(1, "a")]


def test_replace_where_with_a_query_is_refused(db: Client) -> None:
    db.run("CREATE TABLE t (id INT)")
    statement = "INSERT INTO t REPLACE WHERE id IN (SELECT 1) VALUES (1)"
    db.fails(statement, "UNSUPPORTED_BY_LOCAL_WAREHOUSE", "0A000", "a query in REPLACE WHERE")


def test_show_table_extended_tells_what_a_table_is(db: Client) -> None:
    db.run(
        "CREATE TABLE t (id INT NOT NULL, n DECIMAL(10,2), m MAP<STRING, BIGINT>, "
        "s STRUCT<a: ARRAY<SMALLINT>, b: DATE>) COMMENT 'of two'"
    )
    db.run("CREATE VIEW tv AS SELECT id FROM t")
    db.run("CREATE TABLE other (id INT)")
    rows = db.run("SHOW TABLE EXTENDED LIKE 't|tv'")
    assert [row[1:3] for row in rows] == [("t", False), ("tv", False)]
    table, view = (row[3] for row in rows)
    assert {"Type: MANAGED", "Provider: delta", "Comment: of two"} <= set(table.split("\n"))
    assert "Type: VIEW" in view.split("\n")
    assert table.partition("Schema: ")[2] == (
        "root\n"
        " |-- id: integer (nullable = false)\n"
        " |-- n: decimal(10,2) (nullable = true)\n"
        " |-- m: map (nullable = true)\n"
        " |    |-- key: string\n"
        " |    |-- value: long (valueContainsNull = true)\n"
        " |-- s: struct (nullable = true)\n"
        " |    |-- a: array (nullable = true)\n"
        " |    |    |-- element: short (containsNull = true)\n"
        " |    |-- b: date (nullable = true)\n"
        "\n"
    )


def test_show_table_extended_needs_a_pattern(db: Client) -> None:
    db.fails("SHOW TABLE EXTENDED", "PARSE_SYNTAX_ERROR", "42601", "")
    db.run("CREATE TABLE t (id INT)")
    partition = "SHOW TABLE EXTENDED LIKE 't' PARTITION (id = 1)"
    db.fails(partition, "UNSUPPORTED_BY_LOCAL_WAREHOUSE", "0A000", "PARTITION")


@pytest.mark.parametrize(
    "name",
    ["row_filters", "column_masks", "table_tags", "column_tags", "schema_tags", "catalog_tags"],
)
def test_what_cannot_be_made_is_listed_as_nothing(db: Client, name: str) -> None:
    assert db.run(f"SELECT * FROM information_schema.{name}") == []
    assert db.run(f"SELECT * FROM system.information_schema.{name}") == []
    assert (name,) in [row[1:2] for row in db.run("SHOW TABLES IN information_schema")]
