"""One rewrite, one test: Databricks SQL in, DuckDB SQL out."""

from __future__ import annotations

import pytest

from tests.warehouse.sql.support import translate
from vinci_code.warehouse.sql.parameters import Parameter
from vinci_code.warehouse.sql.rewrites import REWRITES

# The rewrite's function, the expression, and the SQL that DuckDB gets for it.
CASES = [
    ("rewrite_literal", "1.5", "CAST('1.5' AS DECIMAL(2,1))"),
    ("rewrite_literal", "1L", "CAST(1 AS BIGINT)"),
    ("rewrite_literal", "1e3", "CAST('1000.0' AS DOUBLE)"),
    ("rewrite_literal", r"'a\tb' 'c'", "'a\tbc'"),
    ("rewrite_boolean", "true", "TRUE"),
    ("rewrite_null", "NULL", "NULL"),
    ("rewrite_hex", "X'4a'", "unhex('4A')"),
    ("rewrite_interval", "INTERVAL '1-2' YEAR TO MONTH", "to_months(14)"),
    ("rewrite_interval", "INTERVAL 1 DAY", "to_microseconds(86400000000)"),
    ("rewrite_paren", "(a)", '"t_1"."a"'),
    ("rewrite_negative", "-2147483648", "CAST(-2147483648 AS INTEGER)"),
    ("rewrite_cast", "CAST(a AS BIGINT)", 'CAST("t_1"."a" AS BIGINT)'),
    ("rewrite_cast", "g::INT", None),
    ("rewrite_cast", "DATE '2020-01-05'", "DATE '2020-01-05'"),
    ("rewrite_try_cast", "TRY_CAST(g AS INT)", 'TRY_CAST("t_1"."g" AS INTEGER)'),
    ("rewrite_column", "t.A", '"t_1"."a"'),
    ("rewrite_dot", "(struct(a AS x)).x", '({"x": "t_1"."a"})."x"'),
    ("rewrite_add", "a + g", 'add(CAST("t_1"."a" AS BIGINT), "t_1"."g")'),
    ("rewrite_add", "d + 1", 'CAST("t_1"."d" + CAST(1 AS INTEGER) AS DATE)'),
    ("rewrite_subtract", "a - 1", 'subtract("t_1"."a", 1)'),
    ("rewrite_multiply", "a * a", 'multiply("t_1"."a", "t_1"."a")'),
    ("rewrite_divide", "a / 2", '(CAST("t_1"."a" AS DOUBLE) / CAST(2 AS DOUBLE))'),
    ("rewrite_integer_divide", "a DIV 2", '(CAST("t_1"."a" AS BIGINT) // CAST(2 AS BIGINT))'),
    ("rewrite_modulo", "a % 2", '("t_1"."a" % 2)'),
    ("rewrite_bitwise_not", "~a", '(~("t_1"."a"))'),
    ("rewrite_bitwise", "a ^ 1", 'xor("t_1"."a", 1)'),
    (
        "rewrite_shift",
        "a << 1",
        'CAST(vinci_shift(CAST("t_1"."a" AS BIGINT), 1, \'<<\', 32) AS INTEGER)',
    ),
    (
        "rewrite_concat",
        "b || 'x'",
        (
            '((CASE WHEN (strlen("t_1"."b")) <= 32768 OR vinci_room_bytes(\'concat\', '
            'CAST(strlen("t_1"."b") AS DOUBLE)) THEN "t_1"."b" END) || \'x\')'
        ),
    ),
    ("rewrite_compare", "a = 1", '("t_1"."a" = 1)'),
    ("rewrite_compare", "a <> g", '(CAST("t_1"."a" AS BIGINT) <> "t_1"."g")'),
    ("rewrite_null_safe", "a <=> 1", '("t_1"."a" IS NOT DISTINCT FROM 1)'),
    ("rewrite_logic", "h AND h OR h", '(("t_1"."h" AND "t_1"."h") OR "t_1"."h")'),
    ("rewrite_not", "NOT h", '(NOT "t_1"."h")'),
    ("rewrite_is", "a IS NULL", '("t_1"."a" IS NULL)'),
    ("rewrite_is", "h IS TRUE", '("t_1"."h" IS NOT DISTINCT FROM TRUE)'),
    ("rewrite_between", "a BETWEEN 1 AND 2", '(("t_1"."a" >= 1) AND ("t_1"."a" <= 2))'),
    ("rewrite_in", "a IN (1, 2)", '("t_1"."a" IN (1, 2))'),
    ("rewrite_exists", "EXISTS (SELECT 1)", 'EXISTS (SELECT 1 AS "1")'),
    ("rewrite_scalar_query", "(SELECT 1)", '(SELECT 1 AS "1")'),
    ("rewrite_like", "b LIKE 'a%'", "(\"t_1\".\"b\" LIKE 'a%' ESCAPE '\\')"),
    ("rewrite_escape", "b LIKE 'a!%' ESCAPE '!'", "(\"t_1\".\"b\" LIKE 'a!%' ESCAPE '!')"),
    ("rewrite_rlike", "b RLIKE 'x+'", 'regexp_matches("t_1"."b", \'x+\')'),
    ("rewrite_case", "CASE WHEN h THEN 1 END", '(CASE WHEN "t_1"."h" THEN 1 END)'),
    ("rewrite_path", "b:x.y", "vinci_json_path(\"t_1\".\"b\", '$[~''x''][~''y'']')"),
    ("rewrite_path", "b:['x']", None),
    ("rewrite_bracket", "map('k', a)['k']", None),
    ("rewrite_tuple", "(a, 2)", '{"a": "t_1"."a", "col2": 2}'),
    ("rewrite_call", "trim(b)", 'trim("t_1"."b", \' \')'),
    ("rewrite_no_paren_call", "current_user", "'local@warehouse'"),
    ("rewrite_modified_call", "count(*) FILTER (WHERE h)", 'count(*) FILTER (WHERE "t_1"."h")'),
    (
        "rewrite_window",
        "sum(f) OVER (PARTITION BY b ORDER BY a)",
        (
            'sum(CAST("t_1"."f" AS DOUBLE)) OVER (PARTITION BY "t_1"."b" '
            'ORDER BY "t_1"."a" ASC NULLS FIRST)'
        ),
    ),
]


@pytest.mark.parametrize(
    ("rewrite", "given", "expected"),
    [case for case in CASES if case[2] is not None],
    ids=[f"{case[0]}: {case[1]}" for case in CASES if case[2] is not None],
)
def test_rewrite(rewrite: str, given: str, expected: str) -> None:
    query = translate(f"SELECT {given} AS x FROM t")
    assert query.duckdb_sql == f'SELECT {expected} AS "x" FROM "t" AS "t_1"'


def test_parameter_is_bound() -> None:
    query = translate("SELECT :x AS x", Parameter("x", "STRING", "'; DROP TABLE t --"))
    assert query.duckdb_sql == 'SELECT CAST($b1 AS VARCHAR) AS "x"'
    assert query.binds == {"b1": "'; DROP TABLE t --"}


def test_lambda_parameter() -> None:
    query = translate("SELECT transform(array(1), y -> y + 1) AS x")
    assert query.duckdb_sql.startswith("SELECT list_transform(CAST([1] AS INTEGER[]), lambda ")


def test_every_rewrite_has_a_test_and_a_reason() -> None:
    tested = {case[0] for case in CASES} | {
        "rewrite_parameter",
        "rewrite_identifier",
        "rewrite_raw",
    }
    assert {rewrite.function.__name__ for rewrite in REWRITES} == tested
    assert all(rewrite.reason for rewrite in REWRITES)


# Whole queries.
QUERIES = {
    "star": ("SELECT * FROM t", None),
    "order": (
        "SELECT a FROM t ORDER BY b DESC",
        'SELECT "t_1"."a" AS "a" FROM "t" AS "t_1" ORDER BY "t_1"."b" DESC NULLS LAST',
    ),
    "order by ordinal": (
        "SELECT a FROM t ORDER BY 1 LIMIT 3",
        'SELECT "t_1"."a" AS "a" FROM "t" AS "t_1" ORDER BY 1 ASC NULLS FIRST LIMIT 3',
    ),
    "group by alias": (
        "SELECT a AS k, count(*) AS n FROM t GROUP BY k",
        'SELECT "t_1"."a" AS "k", count(*) AS "n" FROM "t" AS "t_1" GROUP BY "t_1"."a"',
    ),
    "using": (
        "SELECT a FROM t JOIN t AS u USING (a)",
        (
            'SELECT "t_1"."a" AS "a" FROM "t" AS "t_1" INNER JOIN "t" AS "u_2" '
            'ON ("t_1"."a" = "u_2"."a")'
        ),
    ),
    "with": (
        "WITH q AS (SELECT 1 AS x) SELECT x FROM q",
        'WITH "q_1" AS (SELECT 1 AS "x") SELECT "q_2"."x" AS "x" FROM "q_1" AS "q_2"',
    ),
    "same name twice": (
        "SELECT 1 AS a, 2 AS A",
        'SELECT 1 AS "a", 2 AS "A:1"',
    ),
}


@pytest.mark.parametrize("name", [name for name in QUERIES if QUERIES[name][1]])
def test_query(name: str) -> None:
    given, expected = QUERIES[name]
    assert translate(given).duckdb_sql == expected
