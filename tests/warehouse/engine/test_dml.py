"""INSERT, UPDATE, DELETE, TRUNCATE: rows, counts, defaults, identity, constraints, casts."""

# ruff: noqa: F401, F811 - pytest finds fixtures by the name they are imported under

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.warehouse.engine.client import Client, db, engine
from vinci_code.warehouse.engine.engine import Engine
from vinci_code.warehouse.sql.parameters import Parameter


@pytest.fixture
def table(db: Client) -> Client:
    db.script("CREATE TABLE t (id INT NOT NULL, name STRING, d DECIMAL(10,2))")
    return db


def test_insert_answers_with_counts(table: Client) -> None:
    result = table.result("INSERT INTO t VALUES (1, 'a', 1.5), (2, 'b', NULL)")
    assert [column.name for column in result.columns] == ["num_affected_rows", "num_inserted_rows"]
    assert [column.type.text for column in result.columns] == ["BIGINT", "BIGINT"]
    assert result.num_modified_rows == 2
    assert result.statement_kind == "INSERT"
    assert table.run("SELECT * FROM t ORDER BY id") == [(1, "a", Decimal("1.50")), (2, "b", None)]


def test_update_and_delete_answer_with_one_count(table: Client) -> None:
    table.run("INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3)")
    update = table.result("UPDATE t SET name = upper(name), d = d + 1 WHERE id > 1")
    assert [column.name for column in update.columns] == ["num_affected_rows"]
    assert update.num_modified_rows == 2
    delete = table.result("DELETE FROM t AS x WHERE x.id = 1")
    assert (delete.num_modified_rows, delete.statement_kind) == (1, "DELETE")
    assert table.run("SELECT id, name FROM t ORDER BY id") == [(2, "B"), (3, "C")]


def test_columns_left_out_become_null_and_names_are_found_in_any_case(table: Client) -> None:
    table.run("INSERT INTO T (NAME, ID) VALUES ('a', 1)")
    assert table.run("SELECT id, name, d FROM t") == [(1, "a", None)]


def test_insert_by_name_matches_names(table: Client) -> None:
    table.run("INSERT INTO t BY NAME SELECT 'n' AS Name, 7 AS id")
    assert table.run("SELECT * FROM t") == [(7, "n", None)]
    table.fails(
        "INSERT INTO t BY NAME SELECT 1 AS id, 2 AS zz",
        "INCOMPATIBLE_DATA_FOR_TABLE.EXTRA_COLUMNS",
        "KD000",
        "`zz`",
    )


def test_insert_overwrite_replaces_what_it_reads(table: Client) -> None:
    table.script(
        "INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2)",
        "INSERT OVERWRITE t SELECT id + 10, name, d FROM t WHERE id = 2",
    )
    assert table.run("SELECT id FROM t") == [(12,)]
    assert table.run("SELECT id FROM t VERSION AS OF 1 ORDER BY id") == [(1,), (2,)]


def test_insert_with_cte_before_and_after(table: Client) -> None:
    table.run("WITH c AS (SELECT 1 AS i) INSERT INTO t (id) SELECT i FROM c")
    table.run("INSERT INTO t (id) WITH c AS (SELECT 2 AS i) SELECT i FROM c")
    assert table.column("SELECT id FROM t") == [1, 2]


def test_truncate_removes_everything(table: Client) -> None:
    table.run("INSERT INTO t VALUES (1, 'a', 1)")
    result = table.result("TRUNCATE TABLE t")
    assert [column.name for column in result.columns] == ["Result"]
    assert table.run("SELECT * FROM t") == []


@pytest.mark.parametrize(
    ("statement", "error_class", "sqlstate"),
    [
        ("INSERT INTO t VALUES (1)", "DELTA_INSERT_COLUMN_ARITY_MISMATCH", "42802"),
        ("INSERT INTO t VALUES (1, 'a', 2, 3)", "DELTA_METADATA_MISMATCH", "42KDG"),
        (
            "INSERT INTO t (id, name) VALUES (1)",
            "INSERT_COLUMN_ARITY_MISMATCH.NOT_ENOUGH_DATA_COLUMNS",
            "21S01",
        ),
        ("INSERT INTO t (id, id) VALUES (1, 2)", "DELTA_DUPLICATE_COLUMNS_ON_INSERT", "42701"),
        ("INSERT INTO t (nope) VALUES (1)", "UNRESOLVED_COLUMN.WITH_SUGGESTION", "42703"),
        ("INSERT INTO t (name) VALUES ('a')", "DELTA_INSERT_COLUMN_MISMATCH", "42802"),
        ("INSERT INTO t VALUES (NULL, 'a', 1)", "DELTA_NOT_NULL_CONSTRAINT_VIOLATED", "23502"),
        ("INSERT INTO t VALUES (99999999999, '', 1)", "CAST_OVERFLOW_IN_TABLE_INSERT", "22003"),
        ("INSERT INTO t VALUES ('x', '', 1)", "CAST_INVALID_INPUT", "22018"),
        ("INSERT INTO nope VALUES (1)", "TABLE_OR_VIEW_NOT_FOUND", "42P01"),
        ("UPDATE t SET id = NULL", "DELTA_NOT_NULL_CONSTRAINT_VIOLATED", "23502"),
        ("UPDATE t SET id = 1, id = 2", "DELTA_CONFLICT_SET_COLUMN", "42701"),
        ("UPDATE t SET nope = 1", "UNRESOLVED_COLUMN.WITH_SUGGESTION", "42703"),
        ("DELETE FROM t WHERE id", "DATATYPE_MISMATCH.FILTER_NOT_BOOLEAN", "42K09"),
        ("TRUNCATE TABLE nope", "TABLE_OR_VIEW_NOT_FOUND", "42P01"),
    ],
)
def test_refusals(table: Client, statement: str, error_class: str, sqlstate: str) -> None:
    table.run("INSERT INTO t VALUES (1, 'kept', 1)")
    table.fails(statement, error_class, sqlstate)
    assert table.run("SELECT * FROM t") == [(1, "kept", Decimal("1.00"))]
    assert len(table.run("DESCRIBE HISTORY t")) == 2


def test_a_failing_row_leaves_nothing_of_its_statement(table: Client) -> None:
    table.fails(
        "INSERT INTO t VALUES (1, 'a', 1), (NULL, 'b', 2)",
        "DELTA_NOT_NULL_CONSTRAINT_VIOLATED",
        "23502",
        "NOT NULL constraint violated for column: id.",
    )
    assert table.run("SELECT * FROM t") == []


def test_values_are_cast_to_the_columns_types(db: Client) -> None:
    db.run("CREATE TABLE c (i INT, s STRING, d DECIMAL(4,1), dt DATE, n TIMESTAMP_NTZ)")
    db.run(
        "INSERT INTO c VALUES ('12', 5, 1.26, '2024-02-29', TIMESTAMP '2024-01-02 03:04:05+00:00')"
    )
    row = db.run("SELECT i, s, d, CAST(dt AS STRING), CAST(n AS STRING) FROM c")[0]
    assert row == (12, "5", Decimal("1.3"), "2024-02-29", "2024-01-02 03:04:05")


def test_check_constraint_is_enforced_and_null_violates_it(table: Client) -> None:
    table.run("ALTER TABLE t ADD CONSTRAINT positive CHECK (d > 0)")
    error = table.fails(
        "INSERT INTO t VALUES (1, 'a', -1)",
        "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES",
        "23001",
        "CHECK constraint positive",
    )
    assert " - d : -1.00" in error.message
    table.fails(
        "INSERT INTO t VALUES (1, 'a', NULL)", "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES", "23001"
    )
    table.run("INSERT INTO t VALUES (1, 'a', 1)")
    table.fails("UPDATE t SET d = 0", "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES", "23001")


def test_keys_are_kept_and_never_enforced(db: Client) -> None:
    db.script(
        "CREATE TABLE p (id INT PRIMARY KEY, u STRING, UNIQUE (u))",
        "CREATE TABLE c (pid INT REFERENCES p(id))",
        "INSERT INTO p VALUES (1, 'x'), (1, 'x')",
        "INSERT INTO c VALUES (99)",
    )
    assert db.run("SELECT count(*) FROM p") == [(2,)]
    # A column of the primary key is NOT NULL by implication.
    db.fails("INSERT INTO p VALUES (NULL, 'y')", "DELTA_NOT_NULL_CONSTRAINT_VIOLATED", "23502")


@pytest.fixture
def defaults(db: Client) -> Client:
    db.run(
        "CREATE TABLE d (id BIGINT GENERATED ALWAYS AS IDENTITY (START WITH 10 INCREMENT BY 5), "
        "a INT DEFAULT 7, b STRING, g INT GENERATED ALWAYS AS (a + 1)) "
        "TBLPROPERTIES ('delta.feature.allowColumnDefaults' = 'enabled')"
    )
    return db


def test_defaults_identity_and_generated_columns(defaults: Client) -> None:
    defaults.run("INSERT INTO d (b) VALUES ('x'), ('y')")
    defaults.run("INSERT INTO d (a, b) VALUES (DEFAULT, 'z'), (3, 'w')")
    rows = defaults.run("SELECT * FROM d ORDER BY id")
    assert [row[0] for row in rows] == [10, 15, 20, 25]
    assert sorted(row[1:] for row in rows) == [
        (3, "w", 4),
        (7, "x", 8),
        (7, "y", 8),
        (7, "z", 8),
    ]
    defaults.run("UPDATE d SET a = DEFAULT WHERE b = 'w'")
    assert defaults.run("SELECT a, g FROM d WHERE b = 'w'") == [(7, 8)]


def test_insert_of_nothing_but_defaults(defaults: Client) -> None:
    defaults.run("INSERT INTO d (a) VALUES (DEFAULT), (DEFAULT)")
    assert defaults.run("SELECT id, a, g FROM d ORDER BY id") == [(10, 7, 8), (15, 7, 8)]


@pytest.mark.parametrize(
    ("statement", "error_class", "sqlstate"),
    [
        (
            "INSERT INTO d (id) VALUES (1)",
            "DELTA_IDENTITY_COLUMNS_EXPLICIT_INSERT_NOT_SUPPORTED",
            "42808",
        ),
        ("UPDATE d SET id = 1", "DELTA_IDENTITY_COLUMNS_UPDATE_NOT_SUPPORTED", "42808"),
        ("INSERT INTO d (a, g) VALUES (1, 5)", "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES", "23001"),
    ],
)
def test_generated_values_cannot_be_given(
    defaults: Client, statement: str, error_class: str, sqlstate: str
) -> None:
    defaults.fails(statement, error_class, sqlstate)


def test_identity_by_default_takes_values_and_syncs(db: Client) -> None:
    db.script(
        "CREATE TABLE i (id BIGINT GENERATED BY DEFAULT AS IDENTITY, s STRING)",
        "INSERT INTO i VALUES (41, 'given')",
        "INSERT INTO i (s) VALUES ('one')",
        "ALTER TABLE i ALTER COLUMN id SYNC IDENTITY",
        "INSERT INTO i (s) VALUES ('after')",
    )
    assert db.run("SELECT id, s FROM i ORDER BY id") == [(1, "one"), (41, "given"), (42, "after")]


def test_parameters_reach_every_part_of_a_statement(table: Client) -> None:
    table.run(
        "INSERT INTO t VALUES (:id, :name, 1.5)",
        [Parameter("id", "INT", "1"), Parameter("name", "STRING", "a'b")],
    )
    table.run(
        "UPDATE t SET name = concat(name, :more) WHERE id = :id",
        [Parameter("more", "STRING", "!"), Parameter("id", "INT", "1")],
    )
    assert table.run("SELECT name FROM t") == [("a'b!",)]
    table.run("DELETE FROM t WHERE id = ?", [Parameter(None, "INT", "1")])
    assert table.run("SELECT * FROM t") == []


def test_dml_reads_through_subqueries(table: Client) -> None:
    table.script(
        "CREATE TABLE s (k INT)",
        "INSERT INTO s VALUES (1), (3)",
        "INSERT INTO t (id) SELECT k FROM s UNION ALL SELECT 2",
        "DELETE FROM t WHERE id IN (SELECT k FROM s)",
    )
    assert table.run("SELECT id FROM t") == [(2,)]
    table.run("UPDATE t SET name = 'hit' WHERE EXISTS (SELECT 1 FROM s WHERE s.k = t.id + 1)")
    assert table.run("SELECT name FROM t") == [("hit",)]


def test_append_only_tables_refuse_changes(db: Client) -> None:
    db.script(
        "CREATE TABLE a (i INT) TBLPROPERTIES ('delta.appendOnly' = 'true')",
        "INSERT INTO a VALUES (1)",
    )
    for statement in ("DELETE FROM a", "UPDATE a SET i = 2", "TRUNCATE TABLE a"):
        db.fails(statement, "DELTA_CANNOT_MODIFY_APPEND_ONLY", "42809")


def test_nested_values_survive(db: Client) -> None:
    db.script(
        "CREATE TABLE n (a ARRAY<INT>, m MAP<STRING, INT>, s STRUCT<x: INT, y: STRING>, b BINARY)",
        "INSERT INTO n SELECT array(1, 2), map('k', 1), named_struct('x', 1, 'y', 'z'), X'00FF'",
        "UPDATE n SET a = array(3)",
    )
    assert db.run("SELECT * FROM n") == [([3], [("k", 1)], {"x": 1, "y": "z"}, b"\x00\xff")]


def test_no_dml_that_changes_nothing_makes_a_version(table: Client) -> None:
    table.run("DELETE FROM t WHERE id = 1")
    table.run("UPDATE t SET id = 2 WHERE id = 1")
    assert len(table.run("DESCRIBE HISTORY t")) == 1


def test_writing_to_a_view_is_refused(table: Client) -> None:
    table.run("CREATE VIEW v AS SELECT * FROM t")
    for statement in ("INSERT INTO v VALUES (1, 'a', 1)", "DELETE FROM v", "UPDATE v SET id = 1"):
        table.fails(statement, "EXPECT_TABLE_NOT_VIEW.NO_ALTERNATIVE", "42809")


def test_sessions_see_each_others_commits(engine: Engine, table: Client) -> None:
    table.run("INSERT INTO t VALUES (1, 'a', 1)")
    assert Client(engine).run("SELECT id FROM main.default.t") == [(1,)]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO t (id, name) SELECT 5, raise_error('stop')",
        "INSERT INTO t (id) SELECT raise_error('stop')",
        "UPDATE t SET name = raise_error('stop')",
        (
            "MERGE INTO t USING (SELECT 1 AS id) s ON t.id = s.id "
            "WHEN MATCHED THEN UPDATE SET name = raise_error('stop')"
        ),
        "INSERT INTO t (id) SELECT id + 1 FROM t WHERE raise_error('stop') IS NULL",
    ],
)
def test_a_guard_in_a_value_is_always_evaluated(table: Client, statement: str) -> None:
    table.run("INSERT INTO t VALUES (1, 'kept', 1)")
    table.fails(statement, "USER_RAISED_EXCEPTION", "P0001", "stop")
    assert table.run("SELECT id, name FROM t") == [(1, "kept")]


def test_null_goes_into_a_column_of_any_type(db: Client) -> None:
    db.script(
        "CREATE TABLE n (a ARRAY<INT>, m MAP<STRING, INT>, s STRUCT<x: INT>, d DATE, v VARCHAR(2))",
        "INSERT INTO n SELECT NULL, NULL, NULL, NULL, NULL",
        "INSERT INTO n VALUES (NULL, NULL, NULL, NULL, NULL)",
        "UPDATE n SET a = NULL, s = NULL",
    )
    assert db.run("SELECT * FROM n") == [(None,) * 5] * 2
    assert db.run("SELECT NULL AS n, array() AS a, array(NULL) AS b") == [(None, [], [None])]


def test_fields_of_a_struct_are_assigned_one_by_one(db: Client) -> None:
    db.script(
        "CREATE TABLE n (id INT, s STRUCT<a: INT, b: STRING, c: STRUCT<d: INT, e: INT>>)",
        "INSERT INTO n SELECT 1, named_struct('a', 1, 'b', 'x', 'c', named_struct('d', 2, 'e', 3))",
        "UPDATE n SET s.a = s.a + 10, s.c.e = '30'",
    )
    after = {"a": 11, "b": "x", "c": {"d": 2, "e": 30}}
    assert db.run("SELECT s FROM n") == [(after,)]
    db.run("UPDATE n AS q SET q.s.b = 'y' WHERE q.id = 1")
    assert db.run("SELECT s.b FROM n") == [("y",)]
    db.fails("UPDATE n SET s.a = 1, s = NULL", "DELTA_CONFLICT_SET_COLUMN", "42701")
    db.fails("UPDATE n SET s.zz = 1", "UNRESOLVED_COLUMN.WITH_SUGGESTION", "42703")
    db.fails("UPDATE n SET id.x = 1", "DELTA_UNSUPPORTED_FIELD_UPDATE_NON_STRUCT", "0AKDC")
