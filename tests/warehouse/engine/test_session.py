"""Sessions: namespace, parameters, interruption, results that are read later."""

# ruff: noqa: F401, F811 - pytest finds fixtures by the name they are imported under

from __future__ import annotations

import subprocess
import sys
import threading

import duckdb
import pyarrow as pa
import pytest

from tests.patience import PATIENCE_S, soon, wait_until
from tests.warehouse.engine.client import Client, db, engine
from vinci_code.warehouse.engine import select
from vinci_code.warehouse.engine.engine import Engine
from vinci_code.warehouse.engine.names import used_binds
from vinci_code.warehouse.sql.errors import SqlError

SLOW = (
    "SELECT count(*) AS n FROM big a, big b, big c "
    "WHERE (a.i + b.i) * (b.i + c.i) * (a.i + c.i) = 7"
)


def test_the_first_namespace(engine: Engine) -> None:
    client = Client(engine)
    assert client.run("SELECT current_catalog(), current_schema()") == [("main", "default")]
    client.script("CREATE CATALOG c", "CREATE SCHEMA c.s")
    inner = Client(engine, "C", "S")
    assert (inner.session.catalog, inner.session.schema) == ("c", "s")


def test_a_first_namespace_may_be_created_later(engine: Engine) -> None:
    client = Client(engine, "Later", "S")
    assert client.run("SELECT current_catalog(), current_schema()") == [("later", "s")]
    client.fails("CREATE TABLE t (a INT)", "NO_SUCH_CATALOG_EXCEPTION", "42704", "'later'")
    client.run("CREATE CATALOG later")
    client.fails("CREATE TABLE t (a INT)", "SCHEMA_NOT_FOUND", "42704", "`later`.`s`")
    client.fails("SHOW TABLES", "SCHEMA_NOT_FOUND", "42704", "`later`.`s`")
    client.fails("SELECT * FROM t", "TABLE_OR_VIEW_NOT_FOUND", "42P01")
    client.script("CREATE SCHEMA s", "CREATE TABLE t AS SELECT 1 AS a")
    assert client.run("SELECT a FROM later.s.t") == [(1,)]


@pytest.mark.parametrize(
    ("statements", "namespace"),
    [
        (["USE CATALOG c"], ("c", "default")),
        (["USE CATALOG 'c'"], ("c", "default")),
        (["SET CATALOG c"], ("c", "default")),
        (["USE c.s"], ("c", "s")),
        (["USE SCHEMA c.s"], ("c", "s")),
        (["USE CATALOG c", "USE s"], ("c", "s")),
        (["USE CATALOG c", "USE DATABASE `S`"], ("c", "s")),
        (["USE c.s", "USE CATALOG main"], ("main", "default")),
    ],
)
def test_use(db: Client, statements: list[str], namespace: tuple[str, str]) -> None:
    db.script("CREATE CATALOG c", "CREATE SCHEMA c.s", *statements)
    assert (db.session.catalog, db.session.schema) == namespace
    assert db.run("SELECT current_catalog(), current_schema()") == [namespace]


def test_use_of_what_is_not_there_changes_nothing(db: Client) -> None:
    db.fails("USE CATALOG nope", "NO_SUCH_CATALOG_EXCEPTION", "42704")
    db.fails("USE nope", "SCHEMA_NOT_FOUND", "42704")
    assert (db.session.catalog, db.session.schema) == ("main", "default")


def test_session_parameters(db: Client) -> None:
    assert db.run("SET TIMEZONE") == [("TIMEZONE", "UTC")]
    db.run("SET TIMEZONE = 'Europe/Paris'")
    assert db.run("SELECT current_timezone()") == [("Europe/Paris",)]
    for same in ("+00:00", "GMT+0", "Z", "UTC"):
        db.run(f"SET TIME ZONE '{same}'")
        assert db.run("SELECT current_timezone()") == [("Etc/UTC",)]
    db.run("RESET TIMEZONE")
    assert db.session.configuration["TIMEZONE"] == "UTC"
    assert dict(db.run("SET"))["ANSI_MODE"] == "true"
    db.run("SET spark.sql.session.timeZone = Asia/Tokyo")
    assert db.session.configuration["TIMEZONE"] == "Asia/Tokyo"


@pytest.mark.parametrize(
    ("statement", "error_class", "sqlstate"),
    [
        ("SET nope = 1", "CONFIG_NOT_AVAILABLE", "42K0I"),
        ("SET TIMEZONE = 'Mars/Base'", "INVALID_CONF_VALUE.TIME_ZONE", "22022"),
        ("SET TIME ZONE '+19:00'", "INVALID_CONF_VALUE.TIME_ZONE", "22022"),
        # A real warehouse takes these: after them every statement would fail here.
        ("SET TIME ZONE '+08:00'", "UNSUPPORTED_BY_LOCAL_WAREHOUSE", "0A000"),
        ("SET TIME ZONE '-08'", "UNSUPPORTED_BY_LOCAL_WAREHOUSE", "0A000"),
        ("SET TIME ZONE 'GMT+2'", "UNSUPPORTED_BY_LOCAL_WAREHOUSE", "0A000"),
        ("SET TIMEZONE = '+05:30'", "UNSUPPORTED_BY_LOCAL_WAREHOUSE", "0A000"),
        ("SET ANSI_MODE = false", "UNSUPPORTED_BY_LOCAL_WAREHOUSE", "0A000"),
        ("SET STATEMENT_TIMEOUT = soon", "INVALID_CONF_VALUE.OUT_OF_RANGE_OF_OPTIONS", "22022"),
        ("SET VAR x = 1", "UNSUPPORTED_BY_LOCAL_WAREHOUSE", "0A000"),
        ("", "PARSE_EMPTY_STATEMENT", "42617"),
        (" -- nothing\n ; ", "PARSE_SYNTAX_ERROR", "42601"),
        ("OPTIMIZE t", "UNSUPPORTED_BY_LOCAL_WAREHOUSE", "0A000"),
        ("GRANT SELECT ON t TO x", "UNSUPPORTED_BY_LOCAL_WAREHOUSE", "0A000"),
        ("FROBNICATE t", "PARSE_SYNTAX_ERROR", "42601"),
        ("CREATE FUNCTION f() RETURNS INT RETURN 1", "UNSUPPORTED_BY_LOCAL_WAREHOUSE", "0A000"),
        ("CREATE FROG f", "PARSE_SYNTAX_ERROR", "42601"),
        ("SHOW PARTITIONS t", "UNSUPPORTED_BY_LOCAL_WAREHOUSE", "0A000"),
        ("SELECT 1; SELECT 2", "PARSE_SYNTAX_ERROR", "42601"),
    ],
)
def test_refusals(db: Client, statement: str, error_class: str, sqlstate: str) -> None:
    db.fails(statement, error_class, sqlstate)
    assert db.run("SELECT 1") == [(1,)]


def test_duckdb_itself_is_out_of_reach(db: Client) -> None:
    for statement in (
        "SELECT * FROM wh.meta_object",
        "SELECT * FROM memory.s1",
        "SELECT * FROM duckdb_tables()",
        "SELECT * FROM read_csv('/etc/passwd')",
        "ATTACH 'x.db'",
        "PRAGMA database_list",
        "COPY t TO 'x.csv'",
        "INSTALL httpfs",
    ):
        with pytest.raises(SqlError):
            db.run(statement)


@pytest.fixture
def big(db: Client) -> Client:
    db.script("CREATE TABLE big (i BIGINT)", "INSERT INTO big SELECT id FROM range(5000) AS r(id)")
    return db


def interrupted(client: Client, statement: str) -> SqlError:
    """Interrupt a statement that runs; return what it answered."""
    found: list[SqlError] = []

    def run() -> None:
        try:
            client.run(statement)
        except SqlError as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    wait_until(lambda: client.session._running is not None, "the statement")
    client.session.interrupt()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert found, "the statement ended before it was interrupted"
    return found[0]


@pytest.mark.parametrize(
    "statement",
    [
        SLOW,
        f"INSERT INTO t {SLOW}",
        f"CREATE TABLE c AS {SLOW}",
        f"DELETE FROM t WHERE i = ({SLOW})",
    ],
)
def test_interrupt_stops_a_statement(big: Client, statement: str) -> None:
    db = big
    db.script("CREATE TABLE t (i BIGINT)", "INSERT INTO t VALUES (1)")
    error = interrupted(db, statement)
    assert (error.error_class, error.sqlstate) == ("OPERATION_CANCELED", "HY008")
    assert db.run("SELECT * FROM t") == [(1,)]
    assert db.run("SHOW TABLES LIKE 'c'") == []


def test_interrupt_without_a_statement_does_nothing(db: Client) -> None:
    db.session.interrupt()
    assert db.run("SELECT 1") == [(1,)]


def test_interrupt_aborts_an_open_transaction(big: Client) -> None:
    db = big
    db.run("BEGIN TRANSACTION")
    interrupted(db, SLOW)
    db.fails(
        "SELECT 1", "TRANSACTION_ROLLBACK_REQUIRED_AFTER_ABORT.PREVIOUS_QUERY_FAILURE", "40000"
    )
    db.run("ROLLBACK")


def test_results_are_read_while_other_statements_run(db: Client) -> None:
    db.script("CREATE TABLE t (i BIGINT)", "INSERT INTO t SELECT * FROM range(300000)")
    first = db.result("SELECT i FROM t")
    second = db.result("SELECT i FROM t WHERE i < 10")
    db.run("DELETE FROM t")
    db.run("DROP TABLE t")
    assert sum(batch.num_rows for batch in first.batches) == 300000
    assert sum(batch.num_rows for batch in second.batches) == 10


def test_closing_a_result_frees_it(db: Client) -> None:
    for _ in range(50):
        result = db.result("SELECT * FROM range(1000)")
        result.close()
        result.close()
        assert list(result.batches) == []


def test_a_long_query_is_read_late_closed_early_and_fails_like_a_short_one(
    db: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(select, "EAGER_BYTES", 0)
    monkeypatch.setattr(select, "BATCH_ROWS", 2_048)
    # Of two columns of one name, and one of no type.
    long = f"SELECT id AS a, id + 1 AS a, NULL AS n FROM range(%d) WHERE {'id >= 0 AND ' * 200} %s"
    for _ in range(3):
        unread = db.result(long % (100_000, "true"))
        assert [column.name for column in unread.columns] == ["a", "a", "n"]
        first = next(iter(unread.batches))
        assert first.num_rows < 100_000
        assert first.to_pylist()[0] == {"a": 1, "n": None}
        read = db.result(long % (10, "id > 7"))
        unread.close()
        rows = [
            row
            for batch in read.batches
            for row in zip(*map(pa.Array.to_pylist, batch), strict=True)
        ]
        assert rows == [(8, 9, None), (9, 10, None)]
        read.close()
        db.fails(long % (10, "1 / (id - id) > 0"), "DIVIDE_BY_ZERO", "22012")
    assert db.run("SELECT 1") == [(1,)]


def test_batches_have_exactly_the_declared_types(db: Client) -> None:
    db.script(
        "CREATE TABLE t (a TINYINT, b SMALLINT, c INT, d BIGINT, e FLOAT, f DOUBLE, "
        "g DECIMAL(5,2), h STRING, i BINARY, j BOOLEAN, k DATE, l TIMESTAMP, "
        "m TIMESTAMP_NTZ, n ARRAY<INT>, o MAP<STRING, INT>, p STRUCT<x: INT>, "
        "q VARCHAR(3), r VARIANT)",
        "INSERT INTO t (c) VALUES (1)",
    )
    result = db.result("SELECT * FROM t")
    batch = next(result.batches)
    assert [field.type for field in batch.schema] == [item.type.arrow() for item in result.columns]
    assert batch.schema.field("l").type == pa.timestamp("us", tz="Etc/UTC")
    empty = db.result("SELECT * FROM t WHERE c = 2")
    assert sum(item.num_rows for item in empty.batches) == 0


def test_columns_of_the_same_name(db: Client) -> None:
    assert db.names("SELECT 1 AS a, 2 AS a, 3 AS A") == ["a", "a", "A"]
    assert db.run("SELECT 1 AS a, 2 AS a, 3 AS A") == [(1, 2, 3)]


def test_two_hundred_sessions(engine: Engine) -> None:
    clients = [Client(engine) for _ in range(200)]
    clients[0].run("CREATE TABLE t (i INT)")
    for index, client in enumerate(clients[::20]):
        client.run(f"INSERT INTO t VALUES ({index})")
    assert clients[-1].run("SELECT count(*) FROM t") == [(10,)]
    for client in clients:
        client.session.close()


def test_temporary_views_belong_to_their_session(engine: Engine, db: Client) -> None:
    db.script(
        "CREATE TEMPORARY VIEW v AS SELECT 1 AS one",
        "CREATE OR REPLACE TEMP VIEW v AS SELECT 2 AS x",
    )
    assert db.run("SELECT * FROM v") == [(2,)]
    assert db.run("SHOW VIEWS") == [("", "v", True, False)]
    Client(engine).fails("SELECT * FROM v", "TABLE_OR_VIEW_NOT_FOUND", "42P01")
    db.fails("CREATE TEMP VIEW v AS SELECT 1", "TEMP_TABLE_OR_VIEW_ALREADY_EXISTS", "42P07")
    db.run("DROP VIEW v")
    db.fails("SELECT * FROM v", "TABLE_OR_VIEW_NOT_FOUND", "42P01")


def test_statement_timeout(big: Client) -> None:
    big.run("SET STATEMENT_TIMEOUT = 1")
    with soon():
        error = big.fails(SLOW, "STATEMENT_TIMEOUT", "57KD0")
    assert "STATEMENT_TIMEOUT = 1" in error.message
    assert big.run("SELECT 1") == [(1,)]


def test_a_query_reads_what_describe_answers(db: Client) -> None:
    db.script("CREATE TABLE t (i INT)", "INSERT INTO t VALUES (1)")
    rows = db.run("SELECT version, operation FROM (DESCRIBE HISTORY t) ORDER BY version")
    assert rows == [(0, "CREATE TABLE"), (1, "WRITE")]


def test_names_given_by_identifier(db: Client) -> None:
    db.script(
        "CREATE TABLE IDENTIFIER('main.default.t') (i INT)",
        "INSERT INTO IDENTIFIER('t') VALUES (1), (2)",
        "UPDATE IDENTIFIER('main.' || 'default.t') SET i = 3 WHERE i = 2",
        "DELETE FROM IDENTIFIER('t') WHERE i = 1",
    )
    assert db.run("SELECT * FROM IDENTIFIER('t')") == [(3,)]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM t WHERE rand() < 0.5",
        "UPDATE t SET i = 1 WHERE uuid() = 'x'",
        (
            "MERGE INTO t USING (SELECT 1 AS i) s ON t.i = s.i "
            "WHEN MATCHED AND rand() < 0.5 THEN DELETE"
        ),
        "ALTER TABLE t ADD CONSTRAINT c CHECK (rand() > 0)",
    ],
)
def test_conditions_are_not_left_to_chance(db: Client, statement: str) -> None:
    db.script("CREATE TABLE t (i INT)", "INSERT INTO t VALUES (1)")
    db.fails(statement, "DELTA_NON_DETERMINISTIC_FUNCTION_NOT_SUPPORTED", "0AKDC")


def test_only_parameters_that_occur_are_handed_over() -> None:
    binds = {"b1": 1, "b10": 2, "text": 3, "name": 4}
    sql = """SELECT $b10, '$text ''$text', "$name" FROM t"""
    assert used_binds(sql, binds) == {"b10": 2}


@pytest.mark.skipif(duckdb.__version__.startswith("1."), reason="DuckDB 1.5 imports it by itself")
def test_statements_do_not_import_pandas() -> None:
    program = """
import sys
from vinci_code.warehouse.engine.engine import Engine
engine = Engine()
session = engine.open_session()
for statement in (
    "CREATE TABLE t (i INT, s STRING)",
    "INSERT INTO t VALUES (1, 'a')",
    "UPDATE t SET i = 2",
    "SELECT * FROM t",
    "DELETE FROM t",
):
    for batch in session.execute(statement).batches:
        pass
print("pandas" in sys.modules)
engine.close()
"""
    found = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert found.stdout.strip() == "False"
