"""Random SQL: whatever it is, the answer is a result or an error with a class, and life goes on.

Every run tries the same examples (``derandomize``), and every statement has a deadline.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from databricks import sql
from databricks.sql import exc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.full import some
from tests.patience import PATIENCE_S
from tests.warehouse.driver import Connection
from vinci_code.warehouse import LocalWarehouse

SCHEMA = "random_sql"
ERROR = re.compile(r"\[[A-Z][A-Z0-9_]*(\.[A-Z0-9_]+)*\].*SQLSTATE: [0-9A-Z]{5}", re.DOTALL)

SEEDED = settings(
    derandomize=True,
    deadline=None,
    max_examples=some(200, few=40),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def connection(local_warehouse_server: LocalWarehouse) -> Iterator[Connection]:
    local_warehouse_server.sql(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    args = local_warehouse_server.connect_args_for(local_warehouse_server.catalog, SCHEMA)
    with sql.connect(
        **args, _socket_timeout=PATIENCE_S, _retry_stop_after_attempts_count=1
    ) as opened:
        with opened.cursor() as cursor:
            cursor.execute("CREATE OR REPLACE TABLE t (a INT, b DOUBLE, s STRING, d DATE)")
            cursor.execute(
                "INSERT INTO t VALUES (1, 1.5, 'x', DATE'2024-01-01'), (NULL, NULL, NULL, NULL)"
            )
        yield opened


def attempt(connection: Connection, statement: str) -> None:
    """The statement answers, or fails as statements fail; the session goes on either way."""
    failure = None
    with connection.cursor() as cursor:
        try:
            cursor.execute(statement)
            cursor.fetchall_arrow()
        except exc.DatabaseError as error:
            failure = str(error)
    if failure is not None:
        assert ERROR.search(failure), f"{statement!r}: {failure}"
        assert "INTERNAL_ERROR" not in failure, f"{statement!r}: {failure}"
    with connection.cursor() as cursor:
        # Hypothesis also tries the strings of the modules that are loaded, BEGIN among them.
        cursor.execute("ROLLBACK")
        cursor.execute("SELECT 41 + 1 AS answer")
        assert cursor.fetchone().answer == 42


WORDS = """
SELECT FROM WHERE GROUP BY HAVING ORDER LIMIT OFFSET QUALIFY WINDOW OVER PARTITION UNION EXCEPT ALL
DISTINCT JOIN LEFT ON USING LATERAL VIEW EXPLODE WITH AS RECURSIVE VALUES INSERT INTO UPDATE SET
DELETE MERGE MATCHED THEN WHEN CASE ELSE END CAST NULL TRUE INTERVAL DATE CREATE TABLE DESCRIBE
SHOW TABLES ( ) , . ; + - * / % || = <=> < > :: : ? -> [ ] @ 1 2.5 'x' "y" `z` a b s t 0
"""
TOKENS = WORDS.split()

NUMBERS = st.one_of(
    st.integers(-100, 100).map(str),
    st.sampled_from(
        ["2147483647", "9223372036854775807", "1.5", "0.0", "1e3", "1.5D", "2Y", "-0.5"]
    ),
)
STRINGS = st.one_of(
    st.text(max_size=8).map(
        lambda text: "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
    ),
    st.sampled_from(
        ["''", "'2024-01-01'", "'12'", "r'a\\d'", "'{\"a\": [1]}'", "'a INT'", "'%x_'"]
    ),
)
LEAVES = st.one_of(
    NUMBERS,
    STRINGS,
    st.sampled_from(["a", "b", "s", "d", "NULL", "true", "DATE'2024-02-29'", "INTERVAL 1 DAY"]),
    st.sampled_from(["array(1, 2)", "map('k', 1)", "named_struct('x', 1)", "X'CAFE'", "array()"]),
)
NAMES = """
abs ceil round length upper substring concat coalesce nullif if array size element_at map struct
explode from_json to_json get_json_object parse_json sum count avg min max collect_list date_add
datediff to_date to_timestamp date_format year hour split regexp_replace base64 hex sequence
array_sort array_contains greatest try_cast typeof sha2 decode instr lpad trim row_number rank
raise_error pmod transform date_trunc make_date conv format_string stack posexplode inline
"""
FUNCTIONS = NAMES.split()
TYPES = ["INT", "BIGINT", "STRING", "DECIMAL(5,2)", "DOUBLE", "DATE", "TIMESTAMP", "BOOLEAN"]
TYPES += ["BINARY", "ARRAY<INT>", "STRUCT<x: INT>", "MAP<STRING, INT>", "VARIANT", "NOPE"]
OPERATORS = ["+", "-", "*", "/", "%", "div", "||", "=", "<=>", "<", ">=", "&"]
OPERATORS += ["AND", "OR", "LIKE", "RLIKE", "IN"]


def wider(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Expressions made of expressions."""
    several = st.lists(inner, max_size=3).map(", ".join)
    return st.one_of(
        st.tuples(inner, st.sampled_from(OPERATORS), inner).map(lambda t: f"({' '.join(t)})"),
        st.tuples(st.sampled_from(FUNCTIONS), several).map(lambda t: f"{t[0]}({t[1]})"),
        st.tuples(inner, st.sampled_from(TYPES)).map(lambda t: f"CAST({t[0]} AS {t[1]})"),
        st.tuples(inner, inner, inner).map(
            lambda t: f"CASE WHEN {t[0]} THEN {t[1]} ELSE {t[2]} END"
        ),
        st.tuples(inner, inner).map(lambda t: f"{t[0]}[{t[1]}]"),
        inner.map(lambda e: f"sum({e}) OVER (PARTITION BY a ORDER BY b)"),
        inner.map(lambda e: f"(SELECT max({e}) FROM t)"),
        inner.map(lambda e: f"transform(array(1, 2), x -> {e})"),
    )


EXPRESSIONS = st.recursive(LEAVES, wider, max_leaves=6)
QUERIES = st.builds(
    lambda chosen, condition, group, order: (
        f"SELECT {', '.join(chosen)} FROM t"
        + (f" WHERE {condition}" if condition else "")
        + (f" GROUP BY {group}" if group else "")
        + (f" ORDER BY {order} LIMIT 3" if order else "")
    ),
    st.lists(EXPRESSIONS, min_size=1, max_size=3),
    st.one_of(st.none(), EXPRESSIONS),
    st.one_of(st.none(), st.none(), LEAVES),
    st.one_of(st.none(), LEAVES),
)
WRITES = st.one_of(
    st.lists(EXPRESSIONS, min_size=1, max_size=5).map(
        lambda values: f"INSERT INTO t VALUES ({', '.join(values)})"
    ),
    st.tuples(st.sampled_from(["a", "b", "s", "d", "zz"]), EXPRESSIONS, EXPRESSIONS).map(
        lambda t: f"UPDATE t SET {t[0]} = {t[1]} WHERE {t[2]}"
    ),
    EXPRESSIONS.map(lambda e: f"DELETE FROM t WHERE {e}"),
    st.tuples(EXPRESSIONS, EXPRESSIONS).map(
        lambda t: (
            f"MERGE INTO t USING (SELECT {t[0]} AS k) src ON t.a = src.k "
            f"WHEN MATCHED THEN UPDATE SET b = {t[1]} WHEN NOT MATCHED THEN INSERT (a) VALUES (k)"
        )
    ),
)


@SEEDED
@given(statement=st.text(max_size=60))
def test_random_text(connection: Connection, statement: str) -> None:
    attempt(connection, statement)


@SEEDED
@given(tokens=st.lists(st.sampled_from(TOKENS), min_size=1, max_size=14))
def test_random_tokens(connection: Connection, tokens: list[str]) -> None:
    attempt(connection, " ".join(tokens))


@SEEDED
@given(statement=QUERIES)
def test_random_queries(connection: Connection, statement: str) -> None:
    attempt(connection, statement)


@SEEDED
@given(statement=WRITES)
def test_random_writes(connection: Connection, statement: str) -> None:
    attempt(connection, statement)


@SEEDED
@given(value=st.text(max_size=50))
def test_any_text_survives_as_a_parameter(connection: Connection, value: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT :v AS v, length(:v) AS n", {"v": value})
        row = cursor.fetchone()
    assert (row.v, row.n) == (value, len(value))


@SEEDED
@given(value=st.text(max_size=50))
def test_any_text_survives_as_a_literal(connection: Connection, value: str) -> None:
    literal = value.replace("\\", "\\\\").replace("'", "\\'")
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT '{literal}' AS v")
        assert cursor.fetchone().v == value


@SEEDED
@given(
    value=st.decimals(
        allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20, places=6
    )
)
def test_any_decimal_survives(connection: Connection, value: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT CAST('{value:f}' AS DECIMAL(38,6)) AS v")
        assert cursor.fetchone().v == value
