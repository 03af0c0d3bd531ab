"""Raw text: its structure decides what it is; a write in it is held, and undone by rollback."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, Table, insert, text
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.orm import Session

from tests.dialect.held import first_words, rows_of, sending
from vinci_code.database.dialect.dberrors import PendingWritesError
from vinci_code.database.dialect.migrations.progress import changes_rows, changes_tables
from vinci_code.database.dialect.text.scanning import (
    ANY_VIEW,
    describe,
    is_several,
    may_read_tables,
)
from vinci_code.warehouse.pytest_plugin import TestWarehouse

metadata = MetaData()
t = Table("t", metadata, Column("id", Integer, primary_key=True), Column("x", Integer))

WRITES = {
    "a name like a verb": "WITH list AS (SELECT 7 id) INSERT INTO t SELECT id FROM list",
    "a quoted name": "WITH `select` AS (SELECT 7 id) INSERT INTO t SELECT id FROM `select`",
    "columns": "WITH show (values) AS (SELECT 7) INSERT INTO t SELECT * FROM show",
    "quoted columns": "WITH x (`a(b`, c) AS (SELECT 7, 8) DELETE FROM t",
    "without AS": "WITH l (SELECT 7 id) MERGE INTO t USING l ON a = b WHEN MATCHED THEN DELETE",
    "columns without AS": "WITH list (id) (SELECT 7) UPDATE t SET x = 1",
    "two": "WITH a AS (SELECT 1), select AS (SELECT (2)) INSERT OVERWRITE t SELECT * FROM a",
    "recursive": "WITH RECURSIVE r (n) MAX RECURSION LEVEL 9 AS (SELECT 1) INSERT INTO t SELECT 1",
    "called recursive": "WITH recursive AS (SELECT 1) INSERT INTO t TABLE recursive",
    "a parenthesis in a string": "WITH a AS (SELECT ') SELECT') INSERT INTO t SELECT 1",
    "a comment": "/* SELECT */ -- SELECT\n WITH a AS (SELECT 1 /* ) */) INSERT INTO t SELECT 1",
    "a hint": "INSERT /*+ COALESCE(1) */ INTO t SELECT 1",
    "a nested list": "WITH a AS (WITH b AS (SELECT 1) SELECT * FROM b) INSERT INTO t SELECT 1",
    "from": "FROM list INSERT INTO t SELECT *",
    "from several": "FROM list INSERT INTO t SELECT a INSERT OVERWRITE u SELECT b",
    "from with a join": "FROM (SELECT 1) s JOIN list USING (a) INSERT INTO t SELECT *",
    "with and from": "WITH a AS (SELECT 1) FROM a INSERT INTO t SELECT *",
    "in parentheses": "(FROM a INSERT INTO t SELECT *)",
    "not closed": "WITH a AS (SELECT 1 INSERT INTO t SELECT 1",
    "not understood": "WITH 7 AS (SELECT 1) SELECT 1",
    "from nothing": "FROM t",
    "unknown behind WITH": "WITH a AS (SELECT 1) REPLACE INTO t SELECT 1",
}


@pytest.mark.parametrize("statement", WRITES.values(), ids=list(WRITES))
def test_a_write_is_recognised_by_what_follows_the_list(statement: str) -> None:
    traits = describe(statement)
    assert traits.writes_rows
    assert not traits.reads


READS = {
    "a name like a verb": "WITH insert AS (SELECT 7 id) SELECT id FROM insert",
    "columns": "WITH x (insert, into) AS (SELECT 7, 8) SELECT 1",
    "without AS": "WITH x (SELECT 7) (SELECT * FROM x)",
    "recursive": "WITH RECURSIVE r(n) AS (VALUES (1)) SELECT n FROM r",
    "called recursive": "WITH recursive (n) AS (SELECT 1) SELECT n FROM recursive",
    "parentheses": "((SELECT 1) UNION (SELECT 2)) ORDER BY 1",
    "a list in parentheses": "(WITH a AS (SELECT 1) SELECT * FROM a)",
    "from": "FROM t SELECT a",
    "from with a pipe": "FROM t |> WHERE a = 1",
    "with and from": "WITH a AS (SELECT 1) FROM a SELECT *",
    "a list behind parentheses": "WITH a AS (SELECT 1) (WITH b AS (SELECT 2) SELECT * FROM a, b)",
    "values": "VALUES (1), (2)",
    "table": "TABLE t",
    "explain": "EXPLAIN INSERT INTO t SELECT 1",
    "words in a string": "SELECT 'INSERT INTO t', `INSERT INTO` FROM t -- INSERT INTO t",
    "an ended one": "SELECT 1;",
}


@pytest.mark.parametrize("statement", READS.values(), ids=list(READS))
def test_a_query_is_recognised_by_what_follows_the_list(statement: str) -> None:
    assert describe(statement).reads
    assert not describe(statement).writes_rows


OTHERS = [
    "EXECUTE IMMEDIATE 'INSERT INTO t SELECT 1'",
    "CALL p(1)",
    "COPY INTO t FROM '/Volumes/a' FILEFORMAT = PARQUET",
    "TRUNCATE TABLE t",
    "REPLACE TABLE t (a INT)",
    "BEGIN ATOMIC INSERT INTO t SELECT 1; END",
    "BEGIN INSERT INTO t SELECT 1; SELECT 1; END",
    "label: BEGIN INSERT INTO t SELECT 1; END",
    "SELECT 1; INSERT INTO t TABLE u",
    "CREATE TABLE a AS SELECT 1",
    "/* nothing */",
]


@pytest.mark.parametrize("statement", OTHERS)
def test_what_is_neither_may_not_be_sent_again(statement: str) -> None:
    traits = describe(statement)
    assert not traits.reads
    assert not traits.begins_transaction


@pytest.mark.parametrize("statement", ["BEGIN", "BEGIN;", "BEGIN TRANSACTION", "START TRANSACTION"])
def test_a_transaction_is_begun(statement: str) -> None:
    assert describe(statement).begins_transaction


@pytest.mark.parametrize(
    ("statement", "changes"),
    [
        ("EXECUTE IMMEDIATE 'USE a'", True),
        ("CALL p()", True),
        ("BEGIN SET VAR a = 1; END", True),
        ("BEGIN ATOMIC INSERT INTO t SELECT 1; END", False),
        ("CREATE TABLE temp (a INT)", False),
        ("CREATE OR REPLACE GLOBAL TEMPORARY VIEW v AS SELECT 1", True),
        ("DROP TEMPORARY VARIABLE a", True),
        ("TRUNCATE TABLE t", False),
        ("SOMETHING NEW", True),
    ],
)
def test_whether_the_session_may_keep_something_is_known(statement: str, changes: bool) -> None:
    assert describe(statement).changes_session is changes


@pytest.mark.parametrize(
    ("statement", "view"),
    [
        ("CREATE TEMP VIEW V AS SELECT 1", "v"),
        ("CREATE OR REPLACE TEMPORARY VIEW v(a) AS SELECT 1", "v"),
        ("CREATE OR REPLACE GLOBAL TEMPORARY VIEW v AS SELECT 1", "v"),
        ("CREATE TEMP VIEW IF NOT EXISTS global_temp . `A ``b` AS SELECT 1", "a `b"),
        ("CREATE TEMP VIEW IDENTIFIER('v') AS SELECT 1", ANY_VIEW),
        ("EXECUTE IMMEDIATE 'CREATE TEMP VIEW v AS SELECT 1'", ANY_VIEW),
        ("CALL p()", ANY_VIEW),
        ("CACHE TABLE v AS SELECT 1", ANY_VIEW),
        ("BEGIN CREATE TEMP VIEW v AS SELECT 1; END", ANY_VIEW),
        ("CREATE VIEW v AS SELECT 1", None),
        ("CREATE TEMPORARY FUNCTION f() RETURN 1", None),
        ("USE SCHEMA a", None),
        ("SELECT 1", None),
    ],
)
def test_the_temporary_view_that_a_statement_makes_is_known(
    statement: str, view: str | None
) -> None:
    assert describe(statement).temporary_view == view


@pytest.mark.parametrize(
    ("fragment", "reads"),
    [
        ("a = 1", False),
        ("lower(a) IN ('x (SELECT', 'y')", False),
        ("CASE WHEN a THEN (b) END", False),
        ("CAST(a AS DECIMAL(3, 1))", False),
        ("a IN (SELECT 1)", True),
        ("my_function(a)", True),
        ("main.default.lower(a)", True),
        ("`my function` (a)", True),
        ("a + `lower`(b)", False),
        ("table_changes('t', 1)", True),
    ],
)
def test_a_fragment_that_may_read_tables_is_known(fragment: str, reads: bool) -> None:
    assert may_read_tables(fragment) is reads


@pytest.mark.parametrize(
    ("statement", "several"),
    [
        ("SELECT 1", False),
        ("SELECT 1;", False),
        ("SELECT 1; -- SELECT 2", False),
        ("SELECT ';SELECT 2'", False),
        ("SELECT 1;; ;", False),
        ("SELECT 1; SELECT 2", True),
        ("INSERT INTO t SELECT 1; COMMIT;", True),
    ],
)
def test_several_statements_are_known(statement: str, several: bool) -> None:
    assert is_several(statement) is several


@pytest.mark.parametrize(
    ("statement", "rows", "tables"),
    [
        ("WITH list AS (SELECT 1) INSERT INTO t SELECT * FROM list", True, False),
        ("FROM list INSERT INTO t SELECT *", True, False),
        ("-- DROP\nCOPY INTO t FROM '/Volumes/a' FILEFORMAT = CSV", True, False),
        ("EXECUTE IMMEDIATE 'DELETE FROM t'", True, False),
        ("CALL p()", True, False),
        ("BEGIN DELETE FROM t; END", True, False),
        ("/* INSERT */ ALTER TABLE t ADD COLUMN a INT", False, True),
        ("WITH insert AS (SELECT 1) SELECT * FROM insert", False, False),
        ("USE SCHEMA a", False, False),
        ("OPTIMIZE t", False, False),
    ],
)
def test_what_a_migration_must_not_repeat_is_known(
    statement: str, rows: bool, tables: bool
) -> None:
    assert (changes_rows(statement), changes_tables(statement)) == (rows, tables)


UNDONE = {
    "a list": "WITH list AS (SELECT 7 AS id) INSERT INTO t (id) SELECT id FROM list",
    "a list without AS": "WITH show (SELECT 7 AS id) INSERT INTO t (id) SELECT id FROM show",
    "a list with columns": "WITH desc (id) AS (SELECT 7) INSERT INTO t (id) SELECT id FROM desc",
}


@pytest.mark.parametrize("statement", UNDONE.values(), ids=list(UNDONE))
def test_a_rollback_undoes_it(
    engine: Engine, local_warehouse: TestWarehouse, statement: str
) -> None:
    metadata.create_all(engine)
    with sending(lambda: local_warehouse.statements) as sent, Session(engine) as session:
        session.execute(text(statement))
        session.rollback()
    assert sent == []
    assert rows_of(engine, t) == []
    with sending(lambda: local_warehouse.statements) as sent, Session(engine) as session:
        session.execute(text(statement))
        session.commit()
    assert first_words(sent) == ["WITH"]
    assert rows_of(engine, t) == [(7, None)]


@pytest.mark.parametrize("first", ["SELECT 1", "INSERT INTO t (id) VALUES (7)", "SHOW TABLES"])
def test_several_statements_in_one_text_are_refused_before_anything_is_sent(
    engine: Engine, local_warehouse: TestWarehouse, first: str
) -> None:
    metadata.create_all(engine)
    with sending(lambda: local_warehouse.statements) as sent, engine.connect() as connection:
        with pytest.raises(ProgrammingError, match=r"several statements(.|\n)*To fix it"):
            connection.execute(text(f"{first}; INSERT INTO t (id) VALUES (8)"))
        connection.rollback()
    assert sent == []


@pytest.mark.parametrize("statement", ["TRUNCATE TABLE t", "EXECUTE IMMEDIATE 'SELECT 1'"])
def test_what_takes_effect_at_once_is_refused_between_held_writes(
    connected: Callable[..., Engine], local_warehouse: TestWarehouse, statement: str
) -> None:
    engine = connected()
    metadata.create_all(engine)
    with sending(lambda: local_warehouse.statements) as sent, engine.connect() as connection:
        connection.execute(insert(t), {"id": 1, "x": 1})
        with pytest.raises(DBAPIError) as refused:
            connection.execute(text(statement))
        connection.rollback()
    assert isinstance(refused.value.orig, PendingWritesError)
    assert sent == []
