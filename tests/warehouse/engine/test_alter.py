"""ALTER TABLE and COMMENT ON."""

# ruff: noqa: F401, F811 - pytest finds fixtures by the name they are imported under

from __future__ import annotations

import pytest

from tests.warehouse.engine.client import Client, db, engine

MAPPED = "TBLPROPERTIES ('delta.columnMapping.mode' = 'name')"


@pytest.fixture
def table(db: Client) -> Client:
    db.script("CREATE TABLE t (a INT, b STRING)", "INSERT INTO t VALUES (1, 'x'), (2, NULL)")
    return db


@pytest.fixture
def mapped(db: Client) -> Client:
    db.script(
        f"CREATE TABLE t (a INT, b STRING, c INT) {MAPPED}", "INSERT INTO t VALUES (1, 'x', 3)"
    )
    return db


def test_add_columns(table: Client) -> None:
    table.run("ALTER TABLE t ADD COLUMN c INT COMMENT 'new'")
    table.run("ALTER TABLE t ADD COLUMNS (d STRING FIRST, e DOUBLE AFTER a)")
    assert table.names("SELECT * FROM t") == ["d", "a", "e", "b", "c"]
    table.run("INSERT INTO t VALUES ('d', 3, 0.5, 'b', 9)")
    assert table.run("SELECT * FROM t ORDER BY a") == [
        (None, 1, None, "x", None),
        (None, 2, None, None, None),
        ("d", 3, 0.5, "b", 9),
    ]


def test_rename_and_drop_need_column_mapping(table: Client) -> None:
    table.fails("ALTER TABLE t RENAME COLUMN a TO z", "DELTA_UNSUPPORTED_RENAME_COLUMN", "0AKDC",
                "delta.columnMapping.mode")  # fmt: skip
    table.fails("ALTER TABLE t DROP COLUMN a", "DELTA_UNSUPPORTED_DROP_COLUMN", "0AKDC")
    table.run("ALTER TABLE t SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')")
    table.run("ALTER TABLE t RENAME COLUMN a TO z")
    assert table.column("SELECT z FROM t") == [1, 2]
    table.fails("SELECT a FROM t", "UNRESOLVED_COLUMN.WITH_SUGGESTION", "42703")
    table.fails(
        "ALTER TABLE t SET TBLPROPERTIES ('delta.columnMapping.mode' = 'none')",
        "DELTA_UNSUPPORTED_COLUMN_MAPPING_MODE_CHANGE",
        "0AKDC",
    )


def test_a_dropped_column_that_comes_back_is_empty(mapped: Client) -> None:
    mapped.script(
        "ALTER TABLE t DROP COLUMNS (b, c)",
        "ALTER TABLE t ADD COLUMN b STRING",
    )
    assert mapped.run("SELECT * FROM t") == [(1, None)]
    assert mapped.run("SELECT * FROM t VERSION AS OF 1") == [(1, "x", 3)]


def test_names_can_be_swapped(mapped: Client) -> None:
    mapped.script(
        "ALTER TABLE t RENAME COLUMN a TO tmp",
        "ALTER TABLE t RENAME COLUMN c TO a",
        "ALTER TABLE t RENAME COLUMN tmp TO c",
    )
    assert mapped.run("SELECT a, c FROM t") == [(3, 1)]


@pytest.mark.parametrize(
    ("action", "error_class", "sqlstate"),
    [
        ("ADD COLUMN a INT", "COLUMN_ALREADY_EXISTS", "42711"),
        ("ADD COLUMN z INT DEFAULT 1",
         "WRONG_COLUMN_DEFAULTS_FOR_DELTA_ALTER_TABLE_ADD_COLUMN_NOT_SUPPORTED", "0AKDC"),
        ("RENAME COLUMN nope TO z", "UNRESOLVED_COLUMN.WITH_SUGGESTION", "42703"),
        ("RENAME COLUMN a TO B", "COLUMN_ALREADY_EXISTS", "42711"),
        ("DROP COLUMN nope", "UNRESOLVED_COLUMN.WITH_SUGGESTION", "42703"),
        ("DROP COLUMNS (a, b, c)", "DELTA_DROP_COLUMN_ON_SINGLE_FIELD_SCHEMA", "0AKDC"),
        ("ALTER COLUMN a TYPE STRING", "DELTA_UNSUPPORTED_ALTER_TABLE_CHANGE_COL_OP", "0AKDC"),
        ("ALTER COLUMN a SET DEFAULT 3",
         "WRONG_COLUMN_DEFAULTS_FOR_DELTA_FEATURE_NOT_ENABLED", "0AKDE"),
        ("UNSET TBLPROPERTIES ('nope')", "DELTA_UNSET_NON_EXISTENT_PROPERTY", "42616"),
        ("DROP CONSTRAINT nope", "DELTA_CONSTRAINT_DOES_NOT_EXIST", "42704"),
        ("ADD CONSTRAINT k PRIMARY KEY (a)", "INVALID_PARAMETER_VALUE", "22023"),
        ("ADD CONSTRAINT k CHECK (a + 1)", "DELTA_NON_BOOLEAN_CHECK_CONSTRAINT", "42621"),
        ("ADD CONSTRAINT k CHECK (nope > 1)", "UNRESOLVED_COLUMN.WITH_SUGGESTION", "42703"),
        ("ADD CONSTRAINT k CHECK (a > 1)", "DELTA_NEW_CHECK_CONSTRAINT_VIOLATION", "23512"),
        ("SET LOCATION 'x'", "UNSUPPORTED_BY_LOCAL_WAREHOUSE", "0A000"),
        ("FROB", "PARSE_SYNTAX_ERROR", "42601"),
        ("ADD COLUMN z INT FROB", "PARSE_SYNTAX_ERROR", "42601"),
    ],
)  # fmt: skip
def test_refusals(mapped: Client, action: str, error_class: str, sqlstate: str) -> None:
    mapped.fails(f"ALTER TABLE t {action}", error_class, sqlstate)
    assert mapped.run("SELECT * FROM t") == [(1, "x", 3)]
    assert len(mapped.run("DESCRIBE HISTORY t")) == 2


def test_defaults_after_the_feature_is_on(table: Client) -> None:
    table.script(
        "ALTER TABLE t SET TBLPROPERTIES ('delta.feature.allowColumnDefaults' = 'supported')",
        "ALTER TABLE t ALTER COLUMN b SET DEFAULT 'dd'",
        "INSERT INTO t (a) VALUES (3)",
        "ALTER TABLE t ALTER COLUMN b DROP DEFAULT",
        "INSERT INTO t (a) VALUES (4)",
    )
    assert table.run("SELECT b FROM t WHERE a > 2 ORDER BY a") == [("dd",), (None,)]
    table.fails(
        "ALTER TABLE t ALTER COLUMN a SET DEFAULT zz",
        "INVALID_DEFAULT_VALUE.UNRESOLVED_EXPRESSION",
        "42623",
    )


def test_not_null(table: Client) -> None:
    table.fails(
        "ALTER TABLE t ALTER COLUMN b SET NOT NULL", "DELTA_NEW_NOT_NULL_VIOLATION", "23512"
    )
    table.run("ALTER TABLE t ALTER COLUMN a SET NOT NULL")
    table.fails("INSERT INTO t VALUES (NULL, 'x')", "DELTA_NOT_NULL_CONSTRAINT_VIOLATED", "23502")
    table.run("ALTER TABLE t ALTER COLUMN a DROP NOT NULL")
    table.run("INSERT INTO t VALUES (NULL, 'x')")


def test_columns_move(table: Client) -> None:
    table.run("ALTER TABLE t ALTER COLUMN b FIRST")
    assert table.names("SELECT * FROM t") == ["b", "a"]
    table.run("ALTER TABLE t ALTER COLUMN b AFTER a")
    assert table.run("SELECT * FROM t ORDER BY a") == [(1, "x"), (2, None)]


def test_constraints_come_and_go(table: Client) -> None:
    table.script(
        "ALTER TABLE t ALTER COLUMN a SET NOT NULL",
        "ALTER TABLE t ADD CONSTRAINT k PRIMARY KEY (a)",
        "ALTER TABLE t ADD CONSTRAINT ok CHECK (a < 10 AND b IS NOT NULL OR a < 5)",
        "CREATE TABLE c (x INT)",
        "ALTER TABLE c ADD CONSTRAINT f FOREIGN KEY (x) REFERENCES t",
    )
    table.fails("INSERT INTO t VALUES (10, 'x')", "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES", "23001")
    table.script("ALTER TABLE t DROP CONSTRAINT ok", "INSERT INTO t VALUES (10, 'x')")
    table.script(
        "ALTER TABLE t DROP PRIMARY KEY CASCADE", "ALTER TABLE c DROP CONSTRAINT IF EXISTS f"
    )
    assert table.run("SELECT * FROM information_schema.table_constraints") == []


def test_columns_that_constraints_use_hold_still(mapped: Client) -> None:
    mapped.run("ALTER TABLE t ADD CONSTRAINT ok CHECK (c > 0)")
    for action in ("RENAME COLUMN c TO d", "DROP COLUMN c"):
        mapped.fails(
            f"ALTER TABLE t {action}",
            "DELTA_CONSTRAINT_DEPENDENT_COLUMN_CHANGE",
            "42K09",
            "ok -> c > 0",
        )


def test_properties(table: Client) -> None:
    table.run("ALTER TABLE t SET TBLPROPERTIES (my.key = 'v', 'n' = 3, b = true)")
    found = dict(table.run("SHOW TBLPROPERTIES t"))
    assert (found["my.key"], found["n"], found["b"]) == ("v", "3", "true")
    table.run("ALTER TABLE t UNSET TBLPROPERTIES IF EXISTS ('n', 'nope')")
    assert "n" not in dict(table.run("SHOW TBLPROPERTIES t"))
    assert table.run("SHOW TBLPROPERTIES t ('my.key')") == [("my.key", "v")]


def test_rename_table(table: Client) -> None:
    table.script("CREATE SCHEMA s", "ALTER TABLE t RENAME TO s.u")
    assert table.column("SELECT a FROM s.u") == [1, 2]
    table.fails("SELECT * FROM t", "TABLE_OR_VIEW_NOT_FOUND", "42P01")
    table.run("INSERT INTO s.u VALUES (3, 'y')")
    assert len(table.run("DESCRIBE HISTORY s.u")) == 3


def test_clustering_and_partitions(table: Client) -> None:
    table.run("ALTER TABLE t CLUSTER BY (a, b)")
    assert ("# Clustering Information", "", "") in table.run("DESCRIBE t")
    table.run("ALTER TABLE t CLUSTER BY NONE")
    assert len(table.run("DESCRIBE t")) == 2
    table.run("CREATE TABLE p (a INT, b INT) PARTITIONED BY (b)")
    table.fails(
        "ALTER TABLE p CLUSTER BY (a)",
        "DELTA_ALTER_TABLE_CLUSTER_BY_ON_PARTITIONED_TABLE_NOT_ALLOWED",
        "42000",
    )


def test_comments(table: Client) -> None:
    table.script(
        "COMMENT ON TABLE t IS 'it\\'s'",
        "COMMENT ON COLUMN main.default.t.a IS 'aa'",
        "ALTER TABLE t ALTER COLUMN b COMMENT 'bb'",
        "COMMENT ON SCHEMA default IS 'dd'",
        "COMMENT ON CATALOG main IS NULL",
    )
    assert table.run("DESCRIBE t") == [("a", "int", "aa"), ("b", "string", "bb")]
    assert ("Comment", "it's", "") in table.run("DESCRIBE EXTENDED t")
    assert dict(table.run("DESCRIBE SCHEMA default"))["Comment"] == "dd"
    table.run("COMMENT ON TABLE t IS NULL")
    assert not any(row[0] == "Comment" for row in table.run("DESCRIBE EXTENDED t"))
