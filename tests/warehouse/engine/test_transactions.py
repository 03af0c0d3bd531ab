"""Transactions: SET AUTOCOMMIT, BEGIN TRANSACTION, BEGIN ATOMIC, what they allow and how they end.

The expectations are those of the driver's own tests (``tests/e2e/test_transactions.py`` of
databricks-sql-python) and of https://docs.databricks.com/aws/en/transactions/.
"""

# ruff: noqa: F401, F811 - pytest finds fixtures by the name they are imported under

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.full import part
from tests.warehouse.engine.client import MANAGED, Client, db, engine, other
from vinci_code.warehouse.engine.engine import Engine
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.parameters import Parameter

pytestmark = part(2)


ABORTED = "TRANSACTION_ROLLBACK_REQUIRED_AFTER_ABORT.PREVIOUS_QUERY_FAILURE"
COMMAND = "TRANSACTION_NOT_SUPPORTED.COMMAND"
NO_TRANSACTION = "MULTI_STATEMENT_TRANSACTION_NO_ACTIVE_TRANSACTION"


@pytest.fixture
def tables(db: Client) -> Client:
    db.script(
        f"CREATE TABLE m (id INT, value STRING) {MANAGED}",
        f"CREATE TABLE m2 (id INT, value STRING) {MANAGED}",
        "CREATE TABLE plain (id INT, value STRING)",
        "INSERT INTO m VALUES (1, 'initial'), (2, 'second')",
    )
    return db


def begin(client: Client, way: str) -> None:
    client.run("BEGIN TRANSACTION" if way == "begin" else "SET AUTOCOMMIT = FALSE")


@pytest.fixture(params=["begin", "autocommit"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_commit_shows_all_tables_at_once(tables: Client, other: Client, way: str) -> None:
    begin(tables, way)
    tables.run("INSERT INTO m VALUES (3, 'x')")
    tables.run("INSERT INTO m2 VALUES (1, 'y')")
    assert other.column("SELECT id FROM m") == [1, 2]
    assert other.run("SELECT * FROM m2") == []
    tables.run("COMMIT")
    assert other.column("SELECT id FROM m") == [1, 2, 3]
    assert other.run("SELECT * FROM m2") == [(1, "y")]


def test_rollback_leaves_nothing(tables: Client, other: Client, way: str) -> None:
    begin(tables, way)
    tables.run("DELETE FROM m")
    tables.run("INSERT INTO m2 VALUES (1, 'y')")
    tables.run("ROLLBACK")
    assert other.column("SELECT id FROM m") == [1, 2]
    assert tables.run("SELECT * FROM m2") == []


def test_own_writes_are_seen(tables: Client, way: str) -> None:
    begin(tables, way)
    tables.run("UPDATE m SET value = 'changed' WHERE id = 1")
    tables.run("INSERT INTO m VALUES (3, 'new')")
    tables.run("UPDATE m SET value = concat(value, '!')")
    tables.run("DELETE FROM m WHERE id = 2")
    tables.run(
        "MERGE INTO m USING "
        "(SELECT * FROM VALUES (3, 'merged'), (4, 'added') AS v(id, value)) AS s ON m.id = s.id "
        "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    )
    expected = [(1, "changed!"), (3, "merged"), (4, "added")]
    assert tables.run("SELECT * FROM m ORDER BY id") == expected
    tables.run("COMMIT")
    assert tables.run("SELECT * FROM m ORDER BY id") == expected


def test_overwrite_and_then_more(tables: Client) -> None:
    tables.run("BEGIN TRANSACTION")
    tables.run("INSERT INTO m VALUES (3, 'gone too')")
    tables.run("INSERT OVERWRITE m SELECT id + 100, value FROM m WHERE id = 1")
    tables.run("INSERT INTO m VALUES (5, 'five')")
    tables.run("COMMIT")
    assert tables.run("SELECT * FROM m ORDER BY id") == [(5, "five"), (101, "initial")]


def test_reads_are_repeatable_from_first_access(tables: Client, other: Client, way: str) -> None:
    begin(tables, way)
    assert tables.run("SELECT value FROM m WHERE id = 1") == [("initial",)]
    other.run("UPDATE m SET value = 'modified' WHERE id = 1")
    other.run("INSERT INTO m2 VALUES (9, 'before first access')")
    assert tables.run("SELECT value FROM m WHERE id = 1") == [("initial",)]
    assert tables.column("SELECT id FROM m2") == [9]
    other.run("INSERT INTO m2 VALUES (10, 'after')")
    assert tables.column("SELECT id FROM m2") == [9]
    # Only reading is no conflict.
    tables.run("COMMIT")
    assert tables.column("SELECT id FROM m2") == [9, 10]


def test_a_view_in_a_transaction_reads_its_snapshot(tables: Client, other: Client) -> None:
    tables.run("CREATE VIEW v AS SELECT id FROM m")
    tables.run("BEGIN TRANSACTION")
    tables.run("INSERT INTO m VALUES (3, 'own')")
    other.run("DELETE FROM m WHERE id = 1")
    assert tables.column("SELECT id FROM v") == [1, 2, 3]
    tables.run("ROLLBACK")


@pytest.mark.parametrize(
    ("mine", "theirs", "error_class"),
    [
        (
            "UPDATE m SET value = 'a' WHERE id = 1",
            "UPDATE m SET value = 'b' WHERE id = 1",
            "DELTA_CONCURRENT_APPEND.ROW_LEVEL_CHANGES",
        ),
        (
            "UPDATE m SET value = 'a' WHERE id = 1",
            "UPDATE m SET value = 'b' WHERE id = 2",
            "DELTA_CONCURRENT_APPEND.WITHOUT_HINT",
        ),
        (
            "DELETE FROM m WHERE id = 1",
            "DELETE FROM m WHERE id = 1",
            "DELTA_CONCURRENT_DELETE_READ.ROW_LEVEL_CHANGES",
        ),
        (
            "INSERT INTO m SELECT id + 10, value FROM m",
            "DELETE FROM m WHERE id = 1",
            "DELTA_CONCURRENT_DELETE_READ.WITHOUT_HINT",
        ),
        (
            "UPDATE m SET value = 'a' WHERE id = 1",
            "ALTER TABLE m SET TBLPROPERTIES ('a' = 'b')",
            "DELTA_METADATA_CHANGED",
        ),
        ("INSERT INTO m VALUES (9, 'z')", "ALTER TABLE m ADD COLUMN c INT",
         "DELTA_METADATA_CHANGED"),
        (
            "INSERT INTO m VALUES (9, 'z')",
            "ALTER TABLE m SET TBLPROPERTIES ('delta.feature.allowColumnDefaults' = 'supported')",
            "DELTA_PROTOCOL_CHANGED",
        ),
    ],
)  # fmt: skip
def test_conflicts_surface_at_commit(
    tables: Client,
    other: Client,
    mine: str,
    theirs: str,
    error_class: str,
) -> None:
    tables.run("BEGIN TRANSACTION")
    tables.run(mine)
    other.run(theirs)
    after = other.run("SELECT * FROM m ORDER BY id")
    tables.fails("COMMIT", error_class, "2D521")
    assert other.run("SELECT * FROM m ORDER BY id") == after
    tables.fails("SELECT 1", ABORTED, "40000")
    tables.fails("COMMIT", ABORTED, "40000")
    tables.run("ROLLBACK")
    assert tables.run("SELECT 1") == [(1,)]


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ("INSERT INTO m VALUES (7, 'a')", "INSERT INTO m VALUES (8, 'b')"),
        ("UPDATE m SET value = 'a' WHERE id = 1", "INSERT INTO m VALUES (8, 'b')"),
        ("INSERT INTO m VALUES (7, 'a')", "DELETE FROM m WHERE id = 2"),
        ("INSERT INTO m2 SELECT * FROM m", "UPDATE m SET value = 'b' WHERE id = 2"),
    ],
)
def test_what_delta_lets_pass(tables: Client, other: Client, mine: str, theirs: str) -> None:
    tables.run("BEGIN TRANSACTION")
    tables.run(mine)
    other.run(theirs)
    tables.run("COMMIT")


def test_blind_appends_may_be_made_to_conflict() -> None:
    engine = Engine(appends_conflict=True)
    one, two = Client(engine), Client(engine)
    one.run(f"CREATE TABLE m (id INT) {MANAGED}")
    one.run("BEGIN TRANSACTION")
    one.run("INSERT INTO m VALUES (1)")
    two.run("INSERT INTO m VALUES (2)")
    one.fails("COMMIT", "DELTA_CONCURRENT_APPEND.WITHOUT_HINT", "2D521")
    engine.close()


def test_serializable_tables_conflict_with_blind_appends(tables: Client, other: Client) -> None:
    tables.run("ALTER TABLE m SET TBLPROPERTIES ('delta.isolationLevel' = 'Serializable')")
    tables.run("BEGIN TRANSACTION")
    tables.run("UPDATE m SET value = 'x' WHERE id = 1")
    other.run("INSERT INTO m VALUES (3, 'y')")
    tables.fails("COMMIT", "DELTA_CONCURRENT_APPEND.WHOLE_TABLE_READ", "2D521")


@pytest.mark.parametrize(
    ("statement", "error_class", "sqlstate"),
    [
        ("SELECT * FROM nowhere", "TABLE_OR_VIEW_NOT_FOUND", "42P01"),
        ("SELLECT 1", "PARSE_SYNTAX_ERROR", "42601"),
        ("SELECT FROM WHERE", "PARSE_SYNTAX_ERROR", "42601"),
        ("SELECT 1/0", "DIVIDE_BY_ZERO", "22012"),
        ("SHOW TABLES", COMMAND, "0A000"),
        ("SHOW SCHEMAS", COMMAND, "0A000"),
        ("SHOW CATALOGS", COMMAND, "0A000"),
        ("SHOW FUNCTIONS", COMMAND, "0A000"),
        ("DESCRIBE TABLE EXTENDED m", COMMAND, "0A000"),
        ("DESCRIBE HISTORY m", COMMAND, "0A000"),
        ("CREATE TABLE x (a INT)", COMMAND, "0A000"),
        ("DROP TABLE m", COMMAND, "0A000"),
        ("ALTER TABLE m ADD COLUMN c INT", COMMAND, "0A000"),
        ("TRUNCATE TABLE m", COMMAND, "0A000"),
        ("CREATE TEMP VIEW x AS SELECT 1", COMMAND, "0A000"),
        (
            "SELECT * FROM information_schema.columns",
            "TRANSACTION_NOT_SUPPORTED.INFORMATION_SCHEMA_TABLE",
            "0A000",
        ),
        ("SELECT * FROM m VERSION AS OF 0", "TRANSACTION_NOT_SUPPORTED.TIME_TRAVEL_QUERY", "0A000"),
        (
            "INSERT INTO plain VALUES (1, 'a')",
            "TRANSACTION_NOT_SUPPORTED.WRITE_NON_CATALOG_OWNED_TABLE",
            "0A000",
        ),
    ],
)
def test_a_failing_or_blocked_statement_aborts(
    tables: Client, way: str, statement: str, error_class: str, sqlstate: str
) -> None:
    begin(tables, way)
    tables.run("INSERT INTO m VALUES (50, 'before')")
    tables.fails(statement, error_class, sqlstate)
    tables.fails("INSERT INTO m VALUES (51, 'after')", ABORTED, "40000", "ROLLBACK TRANSACTION")
    tables.fails("COMMIT", ABORTED, "40000")
    tables.run("ROLLBACK")
    assert tables.column("SELECT id FROM m") == [1, 2]


@pytest.mark.parametrize(
    "statement",
    [
        "DESCRIBE TABLE m",
        "DESCRIBE m",
        "SHOW COLUMNS IN m",
        "DESCRIBE QUERY SELECT * FROM m",
        "SELECT * FROM plain",
        "SELECT current_catalog()",
    ],
)
def test_what_is_allowed(tables: Client, statement: str) -> None:
    tables.run("BEGIN TRANSACTION")
    tables.run("INSERT INTO m VALUES (3, 'x')")
    tables.run(statement)
    tables.run("COMMIT")
    assert tables.column("SELECT id FROM m") == [1, 2, 3]


def test_metadata_calls_are_refused_and_abort_nothing(tables: Client) -> None:
    tables.run("BEGIN TRANSACTION")
    tables.run("INSERT INTO m VALUES (3, 'x')")
    with pytest.raises(SqlError, match="multi-statement transaction"):
        tables.session.catalog_view()
    tables.run("COMMIT")
    assert tables.column("SELECT id FROM m") == [1, 2, 3]


def test_control_without_a_transaction(db: Client) -> None:
    db.fails("COMMIT", NO_TRANSACTION, "25000")
    db.run("ROLLBACK")
    db.run("ROLLBACK WORK")
    db.fails("COMMIT TRANSACTION", NO_TRANSACTION, "25000")


@pytest.mark.parametrize("word", ["TRANSACTION", "WORK"])
def test_the_words_transaction_and_work(tables: Client, word: str) -> None:
    tables.run(f"begin {word}")
    tables.run("INSERT INTO m VALUES (3, 'x')")
    tables.run(f"Commit {word};")
    assert tables.column("SELECT id FROM m") == [1, 2, 3]


def test_nesting_is_refused(tables: Client) -> None:
    tables.run("BEGIN TRANSACTION")
    tables.fails("BEGIN TRANSACTION", "TRANSACTION_NOT_SUPPORTED.NESTED_TRANSACTION", "0A000")
    tables.fails("SELECT 1", ABORTED, "40000")


def test_autocommit_answers_and_refuses(tables: Client) -> None:
    assert tables.run("SET AUTOCOMMIT") == [("true",)]
    tables.run("SET AUTOCOMMIT = TRUE")
    tables.run("SET AUTOCOMMIT = FALSE")
    assert tables.run("SET AUTOCOMMIT") == [("false",)]
    tables.fails("SET AUTOCOMMIT = FALSE", "AUTOCOMMIT_SET_FALSE_ALREADY_DISABLED", "25000")
    tables.run("INSERT INTO m VALUES (3, 'x')")
    tables.fails(
        "SET AUTOCOMMIT = TRUE",
        "AUTOCOMMIT_SET_TRUE_DURING_AUTOCOMMIT_TRANSACTION",
        "25000",
        "implicit transaction started by SET AUTOCOMMIT=FALSE",
    )


def test_autocommit_within_an_explicit_transaction(tables: Client) -> None:
    tables.run("BEGIN TRANSACTION")
    tables.fails("SET AUTOCOMMIT = FALSE", "AUTOCOMMIT_SET_DURING_ACTIVE_TRANSACTION", "25000")


def test_implicit_transactions_follow_one_another(tables: Client, other: Client) -> None:
    tables.run("SET AUTOCOMMIT = FALSE")
    tables.run("INSERT INTO m VALUES (3, 'one')")
    tables.run("COMMIT")
    tables.run("INSERT INTO m VALUES (4, 'two')")
    tables.run("ROLLBACK")
    tables.run("INSERT INTO m VALUES (5, 'three')")
    tables.run("COMMIT")
    tables.run("SET AUTOCOMMIT = TRUE")
    tables.run("INSERT INTO m VALUES (6, 'alone')")
    assert other.column("SELECT id FROM m") == [1, 2, 3, 5, 6]


def test_closing_the_session_discards(engine: Engine, tables: Client) -> None:
    mine = Client(engine)
    mine.run("BEGIN TRANSACTION")
    mine.run("INSERT INTO m VALUES (3, 'pending')")
    mine.session.close()
    assert tables.column("SELECT id FROM m") == [1, 2]


def test_atomic_block_commits_together(tables: Client) -> None:
    result = tables.result(
        "BEGIN ATOMIC\n"
        "  INSERT INTO m VALUES (3, 'x;y');\n"
        "  BEGIN ATOMIC UPDATE m SET value = CASE WHEN id = 3 THEN 'z' ELSE value END; END;\n"
        "  INSERT INTO m2 SELECT * FROM m WHERE id = 3;\n"
        "END;"
    )
    assert result.num_modified_rows == 1
    assert tables.run("SELECT * FROM m2") == [(3, "z")]
    assert tables.column("SELECT id FROM m") == [1, 2, 3]
    assert len(tables.run("DESCRIBE HISTORY m")) == 3


@pytest.mark.parametrize(
    ("statement", "error_class", "sqlstate"),
    [
        ("SELECT 1/0", "DIVIDE_BY_ZERO", "22012"),
        ("INSERT INTO plain VALUES (1, 'a')",
         "TRANSACTION_NOT_SUPPORTED.WRITE_NON_CATALOG_OWNED_TABLE", "0A000"),
        ("CREATE TABLE x (a INT)", COMMAND, "0A000"),
        ("COMMIT", COMMAND, "0A000"),
    ],
)  # fmt: skip
def test_atomic_block_fails_as_a_whole(
    tables: Client, statement: str, error_class: str, sqlstate: str
) -> None:
    tables.fails(
        f"BEGIN ATOMIC INSERT INTO m VALUES (3, 'x'); {statement}; END", error_class, sqlstate
    )
    assert tables.column("SELECT id FROM m") == [1, 2]
    # It ends with its statement: there is nothing to roll back.
    assert tables.run("SELECT 1") == [(1,)]


@pytest.mark.parametrize(
    "text", ["BEGIN ATOMIC SELECT 1 END", "BEGIN ATOMIC SELECT 1;", "BEGIN ATOMIC ; END"]
)
def test_malformed_atomic_blocks(db: Client, text: str) -> None:
    db.fails(text, "PARSE_SYNTAX_ERROR", "42601")


def test_a_compound_statement_answers_its_query(tables: Client, other: Client) -> None:
    assert tables.run(
        "BEGIN\n  UPDATE m SET value = CASE WHEN id = 1 THEN 'x;y' END WHERE id = :id;\n"
        "  INSERT INTO m2 SELECT * FROM m WHERE id = 1;\n  SELECT id, value FROM m2;\nEND;",
        [Parameter("id", "INT", "1")],
    ) == [(1, "x;y")]
    assert other.run("SELECT * FROM m WHERE id = 1") == [(1, "x;y")]
    # Without a query it answers nothing, also not the number of rows.
    result = tables.result("BEGIN DELETE FROM m; END")
    assert result.num_modified_rows is None
    assert other.column("SELECT id FROM m") == []


def test_each_statement_of_a_compound_statement_commits_by_itself(tables: Client) -> None:
    tables.fails(
        "BEGIN DELETE FROM m WHERE id = 1; UPDATE m SET id = 1/0; END", "DIVIDE_BY_ZERO", "22012"
    )
    assert tables.column("SELECT id FROM m") == [2]


@pytest.mark.parametrize(
    ("inner", "found"),
    [
        ("DECLARE x INT; SELECT 1;", "DECLARE"),
        ("DELETE FROM m; IF 1 = 1 THEN DELETE FROM m; END IF;", "IF"),
        ("DELETE FROM m; WHILE TRUE DO DELETE FROM m; END WHILE;", "WHILE"),
        ("DELETE FROM m; CASE WHEN TRUE THEN DELETE FROM m; END CASE;", "CASE"),
        ("DELETE FROM m; BEGIN DELETE FROM m; END;", "BEGIN"),
        ("DELETE FROM m; CREATE TABLE x (a INT);", "CREATE"),
        ("DELETE FROM m; COMMIT;", "COMMIT"),
        ("DELETE FROM m; SELECT 1; SELECT 2;", "a query before the end"),
        ("SELECT 1; DELETE FROM m;", "a query before the end"),
    ],
)
def test_what_a_compound_statement_may_not_have_here_is_refused_by_name(
    inner: str, found: str, tables: Client
) -> None:
    refused = ("UNSUPPORTED_BY_LOCAL_WAREHOUSE", "0A000", found)
    tables.fails(f"BEGIN {inner} END", *refused)
    assert tables.column("SELECT id FROM m") == [1, 2]


@pytest.mark.parametrize("begun", ["DELETE FROM m", ""])
@pytest.mark.parametrize("begin", ["BEGIN TRANSACTION", "SET AUTOCOMMIT = FALSE"])
def test_a_compound_statement_in_a_transaction_is_refused(
    tables: Client, begin: str, begun: str
) -> None:
    tables.run(begin)
    if begun:
        tables.run(begun)
    tables.fails(
        "BEGIN DELETE FROM m; SELECT 1; END",
        "UNSUPPORTED_BY_LOCAL_WAREHOUSE",
        "0A000",
        "in a transaction",
    )
    tables.run("ROLLBACK")
    assert tables.column("SELECT id FROM m") == [1, 2]


@pytest.mark.parametrize(
    "text", ["BEGIN DELETE FROM m; SELECT 1 END", "BEGIN DELETE FROM m;", "BEGIN ; END", "BEGIN (;"]
)
def test_malformed_compound_statements(tables: Client, text: str) -> None:
    tables.fails(text, "PARSE_SYNTAX_ERROR", "42601")
    assert tables.column("SELECT id FROM m") == [1, 2]


@pytest.fixture
def without() -> Iterator[Client]:
    engine = Engine(transactions=False)
    yield Client(engine)
    engine.close()


@pytest.mark.parametrize(
    "statement",
    ["BEGIN TRANSACTION", "SET AUTOCOMMIT = FALSE", "BEGIN ATOMIC SELECT 1; END", "COMMIT"],
)
def test_a_workspace_without_transactions(without: Client, statement: str) -> None:
    without.fails(
        statement,
        "TRANSACTION_NOT_SUPPORTED.PREVIEW_NOT_ENABLED",
        "0A000",
        "not enabled for this workspace",
    )
    assert without.run("SET AUTOCOMMIT") == [("true",)]


def test_identity_continues_within_a_transaction(db: Client) -> None:
    db.run(f"CREATE TABLE i (id BIGINT GENERATED ALWAYS AS IDENTITY, s STRING) {MANAGED}")
    db.run("BEGIN TRANSACTION")
    db.run("INSERT INTO i (s) VALUES ('a'), ('b')")
    db.run("INSERT INTO i (s) VALUES ('c')")
    db.run("COMMIT")
    db.run("INSERT INTO i (s) VALUES ('d')")
    assert db.column("SELECT id FROM i") == [1, 2, 3, 4]


def test_tables_with_identity_take_no_concurrent_writers(db: Client, other: Client) -> None:
    db.run(f"CREATE TABLE i (id BIGINT GENERATED ALWAYS AS IDENTITY, s STRING) {MANAGED}")
    db.run("BEGIN TRANSACTION")
    db.run("INSERT INTO i (s) VALUES ('a')")
    other.run("INSERT INTO i (s) VALUES ('b')")
    db.fails("COMMIT", "DELTA_METADATA_CHANGED", "2D521")
    assert other.column("SELECT id FROM i") == [1]
