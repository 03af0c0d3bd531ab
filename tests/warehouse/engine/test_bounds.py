"""How large a statement may be and what it makes: errors with a class, before it is made."""

from __future__ import annotations

import pytest

from tests.warehouse.engine.client import Client
from vinci_code.warehouse.engine import transactions
from vinci_code.warehouse.engine.engine import Engine

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
