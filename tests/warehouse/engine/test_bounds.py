"""How large a statement may be and what it makes: errors with a class, before it is made."""

from __future__ import annotations

import threading

import pytest

from tests.patience import soon, wait_until
from tests.warehouse.engine.client import Client
from vinci_code.warehouse.engine import transactions
from vinci_code.warehouse.engine.engine import Engine
from vinci_code.warehouse.sql import dialect
from vinci_code.warehouse.sql.errors import SqlError

REFUSAL = "UNSUPPORTED_BY_LOCAL_WAREHOUSE"

TOO_LARGE = {
    "format_number": "SELECT format_number(1, 2000000000)",
    "format_string": "SELECT format_string('%999999999d', 1)",
    "repeat": "SELECT length(repeat('x', 2000000000))",
    "repeat of rows": "SELECT sum(length(repeat('x', 10000000 + id))) FROM range(2000)",
    "space": "SELECT length(space(2000000000))",
    "lpad": "SELECT length(lpad('x', 2000000000, 'ab'))",
    "rpad": "SELECT length(rpad('x', 2000000000))",
    "sequence": "SELECT size(sequence(1, 1000000000))",
    "sequence of days": "SELECT size(sequence(date'0001-01-01', date'9999-01-01', interval 1 day)),"
    " size(sequence(timestamp'2000-01-01', timestamp'2030-01-01', interval 1 second))",
    "array_repeat": "SELECT size(array_repeat(1, 1000000000))",
    "array_repeat of texts": "SELECT size(array_repeat(repeat('x', 1000000), 1000))",
    "explode": "SELECT count(*) FROM (SELECT explode(sequence(1, 1000000000)))",
    "transform": "SELECT size(transform(sequence(1, 30000), x -> sequence(1, 30000)))",
    "replace": "SELECT length(replace(repeat('a', 1000000), 'a', repeat('b', 1000000)))",
    "regexp_replace": "SELECT regexp_replace(repeat('a', 10000), 'a', repeat('b', 10000))",
    "steps of a pattern": "SELECT repeat('x', 1000000) RLIKE '(?:[ab]{0,30}[bx]{0,30}){10}z'",
    "levenshtein": "SELECT levenshtein(repeat('ab', 50000), repeat('ba', 50000))",
    "constant of rows": "SELECT repeat('x', 60000000) FROM range(2000)",
    "concat in a loop": "WITH RECURSIVE r(n, s) AS (SELECT 1, repeat('x', 1000) UNION ALL "
    "SELECT n + 1, concat(s, upper(s)) FROM r WHERE n < 40) SELECT max(length(s)) FROM r",
}


@pytest.fixture(scope="module")
def asked() -> Client:
    return Client(Engine(), "main", "default")


@pytest.mark.parametrize("name", TOO_LARGE)
def test_what_would_be_too_large_is_not_made(asked: Client, name: str) -> None:
    asked.fails(TOO_LARGE[name], REFUSAL, "0A000")


def test_a_list_that_spark_cannot_make_either_has_its_class(asked: Client) -> None:
    error = "COLLECTION_SIZE_LIMIT_EXCEEDED.PARAMETER"
    asked.fails("SELECT size(sequence(1L, 1000000000000L))", error, "54000", "`sequence`")


def test_what_is_within_bounds_is_as_before(asked: Client) -> None:
    row = asked.run(
        "SELECT length(repeat('x', 2000000)), repeat('ab', 3), repeat('ab', -1), repeat(NULL, 2), "
        "repeat('a', NULL), space(3), lpad('x', 5, 'ab'), rpad('x', 3), lpad('x', NULL), "
        "array_repeat(NULL, 2), array_repeat(array(1), 2), array_repeat(1, NULL), "
        "sequence(1, 10, 3), sequence(3, 1), sequence(NULL, 3), sequence(1, 1, 0), "
        "size(sequence(1, 100000))"
    )
    assert row == [
        (2_000_000, "ababab", "", None, None, "   ", "ababx", "x  ", None, [None, None],
         [[1], [1]], None, [1, 4, 7, 10], [3, 2, 1], None, [1], 100_000)
    ]  # fmt: skip
    assert asked.run(
        "SELECT concat(upper(x), lower(x), x), replace(x, 'a', y), replace(x, 'a', 'zz'), x || y, "
        "transform(array(1, 2), i -> concat(x, i)) "
        "FROM VALUES ('aB', 'q'), (NULL, 'q'), ('a', NULL) AS t(x, y)"
    ) == [
        ("ABabaB", "qB", "zzB", "aBq", ["aB1", "aB2"]),
        (None, None, None, None, [None, None]),
        ("Aaa", None, "zz", None, ["a1", "a2"]),
    ]


TOO_COMPLEX = {
    "brackets": "SELECT " + "(" * 10_000 + "1" + ")" * 10_000,
    "NOT": "SELECT " + "NOT " * 10_000 + "true",
    "CASE": "SELECT " + "CASE WHEN true THEN " * 3_000 + "1" + " END" * 3_000,
    "sub-queries": "SELECT * FROM (" * 3_000 + "SELECT 1" + ")" * 3_000,
    "arrays": "SELECT " + "array(" * 2_000 + "1" + ")" * 2_000,
    "UNION": " UNION ALL ".join(["SELECT 1"] * 3_000),
    "sums": "SELECT " + "+".join(["1"] * 5_000),
}


@pytest.mark.parametrize("name", TOO_COMPLEX)
def test_what_is_nested_too_deeply_has_its_class(asked: Client, name: str) -> None:
    asked.fails(TOO_COMPLEX[name], "FAILED_TO_PARSE_TOO_COMPLEX", "54001")
    assert asked.run("SELECT 1") == [(1,)]


def test_a_number_of_many_digits_is_no_failure_of_the_engine(asked: Client) -> None:
    error = "DECIMAL_PRECISION_EXCEEDS_MAX_PRECISION"
    for suffix in ("", "L", "BD"):
        asked.fails(f"SELECT {'9' * 100_000}{suffix}", error, "22003")
    asked.fails(f"SELECT CAST('{'9' * 100_000}' AS INT)", "CAST_INVALID_INPUT", "22018")
    asked.fails("SELECT conv(repeat('z', 5000), 36, 10)", "ARITHMETIC_OVERFLOW", "22003")
    assert asked.run("SELECT round(1.5, 2000000000), round(1.5D, -2000000000)")[0][1] == 0


def test_what_does_not_fit_into_memory_is_refused() -> None:
    small = Client(Engine(memory_limit=32 * 1024 * 1024), "main", "default")
    small.fails("SELECT size(collect_list(id)) FROM range(50000000)", REFUSAL, "0A000", "memory")
    assert small.run("SELECT 1") == [(1,)]


def test_removed_rows_are_reclaimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "KEPT_ROWS", 1000)
    engine = Engine()
    one, other = Client(engine, "main", "default"), Client(engine, "main", "default")
    one.script("CREATE TABLE t (a BIGINT) TBLPROPERTIES ('delta.feature.catalogManaged' = "
               "'supported')", "INSERT INTO t VALUES (-1)")  # fmt: skip
    (table,) = engine._room.catalog.all_tables()

    def kept() -> int:
        rows = engine._store.root.execute(f"SELECT count(*) FROM wh.{table.state.physical}")
        return int(rows.fetchall()[0][0])

    for _ in range(3):
        one.script("INSERT INTO t SELECT id FROM range(2000)", "DELETE FROM t WHERE a >= 0")
        assert kept() == 1
    assert one.run("SELECT * FROM t") == [(-1,)]
    assert one.run("SELECT count(*) FROM t VERSION AS OF 7") == [(1,)]
    one.fails("SELECT * FROM t VERSION AS OF 2", REFUSAL, "0A000", "reclaimed")
    # Who holds a version, and numbers of rows, keeps the rows until it ends.
    other.script("BEGIN TRANSACTION", "SELECT * FROM t")
    one.script("INSERT INTO t SELECT id FROM range(2000)", "DELETE FROM t WHERE a >= 0")
    assert kept() == 2001
    assert other.run("SELECT * FROM t") == [(-1,)]
    other.script("ROLLBACK")
    one.script("UPDATE t SET a = -2")
    assert kept() <= 2
    assert one.run("SELECT * FROM t") == [(-2,)]


def test_a_reopened_file_knows_what_was_reclaimed(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "KEPT_ROWS", 100)
    path = f"{tmp_path}/kept.duckdb"
    engine = Engine(path)
    Client(engine, "main", "default").script(
        "CREATE TABLE t (a BIGINT)", "INSERT INTO t SELECT id FROM range(500)", "DELETE FROM t"
    )
    engine.close()
    engine = Engine(path)
    again = Client(engine, "main", "default")
    assert again.run("SELECT count(*) FROM t") == [(0,)]
    again.fails("SELECT * FROM t VERSION AS OF 1", REFUSAL, "0A000", "reclaimed")
    engine.close()


# Each of them took the square of its length, or far more, in Python's regular expressions, which
# hold the interpreter: hours, in which no client of the server had an answer.
LONG = 200_000
DIGITS, BLANKS = "1" * LONG, " " * LONG
SLOW_FOR_RE = {
    "blanks behind VALUES": f"INSERT INTO t VALUES (1){BLANKS}x",
    "backslashes in a path": "SELECT variant_get(parse_json('{}'), '$[\"" + "\\\\" * 200 + "')",
    "digits in a path": f"SELECT get_json_object('{{}}', '$[{DIGITS}')",
    "DOUBLE": f"SELECT CAST(concat(repeat('1', {LONG}), 'x') AS DOUBLE)",
    "DECIMAL": f"SELECT CAST(concat(repeat('1', {LONG}), 'x') AS DECIMAL(10, 2))",
    "DECIMAL of JSON": f"SELECT from_json(concat('{{\"a\":\"', repeat('1', {LONG}), 'x\"}}'), "
    "'a DECIMAL(10, 2)', map('mode', 'FAILFAST'))",
    "interval": f"SELECT CAST('interval {BLANKS}x' AS INTERVAL DAY)",
    "interval of words": f"SELECT INTERVAL '{DIGITS}x days'",
    "interval of digits": f"SELECT CAST('{DIGITS}' AS INTERVAL DAY)",
    "format_string": f"SELECT format_string(concat('%', repeat('0', {LONG})), 1)",
    "name": "SELECT " + ".".join(["a"] * LONG) + " FROM t",
}


@pytest.mark.parametrize("name", SLOW_FOR_RE)
def test_a_long_text_is_answered_soon(asked: Client, name: str) -> None:
    asked.script("CREATE OR REPLACE TABLE t (a INT)")
    with soon():
        told = _told(asked, SLOW_FOR_RE[name])
    assert told != "INTERNAL_ERROR"


def _told(asked: Client, statement: str) -> str:
    try:
        asked.run(statement)
    except SqlError as error:
        return error.error_class
    return ""


def test_a_list_of_many_values(asked: Client) -> None:
    asked.script(
        "CREATE OR REPLACE TABLE t (a INT, s STRING)",
        "INSERT INTO t VALUES (5, '7'), (-1, ''), (20000000, 'x,y'), (NULL, NULL)",
    )
    numbers = ", ".join(map(str, range(20_000)))
    texts = ", ".join(f"'{number}'" for number in range(20_000))
    assert asked.run(
        f"SELECT a, a IN ({numbers}), a NOT IN (-1, {numbers}), a IN ({numbers}, 5000000000), "
        f"a IN ({numbers}, NULL), s IN ('', {texts}), s IN ('x,y', {texts}, 'a\\u001fb') "
        f"FROM t ORDER BY a"
    ) == [
        (None, None, None, None, None, None, None),
        (-1, False, False, False, None, True, False),
        (5, True, False, True, True, True, True),
        (20_000_000, False, True, False, None, False, True),
    ]
    # The same list is the same expression, and may stand in a lambda.
    assert asked.run(
        f"SELECT a IN ({numbers}) AS x, count(*), max(filter(array(1, -5), y -> y IN ({numbers}))) "
        f"FROM t GROUP BY a IN ({numbers}) ORDER BY x"
    ) == [(None, 1, [1]), (False, 2, [1]), (True, 1, [1])]
    with soon():
        assert asked.run(f"SELECT 5 IN ({', '.join(map(str, range(100_000)))})") == [(True,)]


def test_a_statement_of_too_many_words_is_refused(
    asked: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialect, "MAX_LEXEMES", 5_000)
    numbers = ", ".join(map(str, range(3_000)))
    asked.fails(f"SELECT 5 IN ({numbers})", REFUSAL, "0A000", "words and signs")
    # Rows of literals are not read as expressions.
    asked.script("CREATE OR REPLACE TABLE t (a INT)")
    rows = ", ".join(f"({number})" for number in range(9_000))
    asked.run(f"INSERT INTO t VALUES {rows}")
    assert asked.run("SELECT count(*) FROM t") == [(9_000,)]


def test_a_cancel_ends_the_reading_of_a_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Engine().open_session("main", "default", {})
    read: list[int] = []

    def parse(*given: object, **named: object) -> object:
        read.append(1)
        if len(read) == 50:
            threading.Thread(target=session.interrupt, name="test: cancels").start()
            wait_until(lambda: session._running is not None and session._running.interrupted)
        return original(*given, **named)

    original = dialect.WarehouseParser._parse_type
    monkeypatch.setattr(dialect.WarehouseParser, "_parse_type", parse)
    with pytest.raises(SqlError) as caught:
        session.execute(f"SELECT 5 IN ({', '.join(map(str, range(9_000)))})")
    assert caught.value.error_class == "OPERATION_CANCELED"
    assert len(read) == 50
    session.close()
