"""Documented statements are computed, or refused by name: never called a syntax error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from vinci_code.warehouse.engine.engine import Engine
from vinci_code.warehouse.engine.session import EngineSession
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.parameters import Parameter


@pytest.fixture
def session() -> Iterator[EngineSession]:
    engine = Engine()
    found = engine.open_session()
    for text in (
        "CREATE TABLE t (a INT, b STRING)",
        "INSERT INTO t VALUES (1, 'x'), (2, 'y')",
        "CREATE TABLE u (a INT, b STRING)",
        "INSERT INTO u VALUES (1, 'z')",
    ):
        found.execute(text).close()
    yield found
    found.close()
    engine.close()


def rows(
    session: EngineSession, text: str, *parameters: Parameter
) -> tuple[list[str], list[tuple[Any, ...]]]:
    result = session.execute(text, parameters)
    try:
        found = [tuple(row.values()) for batch in result.batches for row in batch.to_pylist()]
        return [column.name for column in result.columns], found
    finally:
        result.close()


# As Apache Spark 4.2 answers.
COMPUTED = [
    ("TABLE t ORDER BY a DESC LIMIT 1", [(2, "y")]),
    ("TABLE t UNION ALL TABLE u ORDER BY b", [(1, "x"), (2, "y"), (1, "z")]),
    ("SELECT b FROM (TABLE u) AS q", [("z",)]),
    ("WITH q AS (TABLE u) TABLE q", [(1, "z")]),
    ("WITH q AS (SELECT 1) VALUES (1), (2)", [(1,), (2,)]),
    ("SELECT x.b FROM (SELECT * FROM t) TABLESAMPLE (2 ROWS) AS x WHERE x.a = 1", [("x",)]),
    ("SELECT t.b, r.id FROM t JOIN range(2) AS r ON t.a = r.id", [("x", 1)]),
    ("SELECT a, n FROM t LEFT JOIN range(2) AS r(n) ON a = n ORDER BY a", [(1, 1), (2, None)]),
    ("SELECT a FROM t LEFT ANTI JOIN range(2) r ON a = id", [(2,)]),
    (r"""SELECT variant_get(parse_json('{"ab": 0, "a\\\\b": 1}'), '$["a\\b"]', 'int')""", [(1,)]),
    (r"""SELECT get_json_object('{"ab": 0, "a\\\\b": 1}', '$[\'a\\b\']')""", [("1",)]),
    (r"""SELECT json_tuple('{"ab": 0, "a\\\\b": 1, "c\'d": 2}', 'a\\b', 'c\'d')""", [("1", "2")]),
    ("""SELECT get_json_object('{"a": 1}', '$["a"]')""", [(None,)]),
    ("""SELECT get_json_object('{"A": 1}', "$[~'a']")""", [(None,)]),
    ("""SELECT variant_get(parse_json('{"*": 3}'), '$.*', 'int')""", [(3,)]),
]


@pytest.mark.parametrize(("text", "wanted"), COMPUTED)
def test_it_is_computed(session: EngineSession, text: str, wanted: list[Any]) -> None:
    assert rows(session, text)[1] == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("INSERT INTO t TABLE u LIMIT 1", [(1, "x"), (1, "z"), (2, "y")]),
        (
            (
                "WITH q AS (SELECT 1 AS a, 'q' AS b) MERGE INTO t USING q ON t.a = q.a "
                "WHEN MATCHED THEN UPDATE SET *"
            ),
            [(1, "q"), (2, "y")],
        ),
        (
            (
                "MERGE WITH SCHEMA EVOLUTION INTO t USING u ON t.a = u.a "
                "WHEN MATCHED THEN UPDATE SET b = u.b"
            ),
            [(1, "z"), (2, "y")],
        ),
        ("CREATE OR REPLACE TABLE t AS VALUES (1, 'a'), (3, 'b')", [(1, "a"), (3, "b")]),
        ("CREATE OR REPLACE TABLE t AS TABLE u", [(1, "z")]),
    ],
)
def test_it_writes(session: EngineSession, text: str, wanted: list[Any]) -> None:
    session.execute(text).close()
    assert sorted(rows(session, "TABLE t")[1]) == wanted


def test_a_view_of_values(session: EngineSession) -> None:
    session.execute("CREATE VIEW v AS VALUES (1, 'a'), (2, 'b')").close()
    assert rows(session, "SELECT * FROM v ORDER BY col1") == (
        ["col1", "col2"],
        [(1, "a"), (2, "b")],
    )


@pytest.mark.parametrize(
    "text",
    [
        (
            "MERGE WITH SCHEMA EVOLUTION INTO t USING (SELECT 1 AS a, 'x' AS b, 2 AS c) u "
            "ON t.a = u.a WHEN MATCHED THEN UPDATE SET *"
        ),
        (
            "WITH q AS (SELECT 1 AS a) MERGE INTO t USING u ON t.a = u.a "
            "WHEN MATCHED AND t.a IN (SELECT a FROM q) THEN DELETE"
        ),
        "INSERT WITH SCHEMA EVOLUTION INTO t SELECT 1, 'x'",
        "SELECT CAST('1 day' AS INTERVAL)",
        "DROP TEMPORARY VARIABLE IF EXISTS x",
        "DROP TEMPORARY FUNCTION x",
        "ALTER TABLE t ALTER COLUMN b SET MASK f",
        "ALTER TABLE t ALTER COLUMN b DROP MASK",
        "CREATE FLOW f AS INSERT INTO t BY NAME SELECT * FROM u",
        "SELECT * FROM main.information_schema.routines",
        "SELECT * FROM system.information_schema.metastores",
    ],
)
def test_it_is_refused_by_name(session: EngineSession, text: str) -> None:
    with pytest.raises(SqlError) as caught:
        session.execute(text)
    assert caught.value.error_class == "UNSUPPORTED_BY_LOCAL_WAREHOUSE"


@pytest.mark.parametrize(
    "text",
    ["TABLE t, u", "TABLE t WHERE a = 1", "TABLE t AS x", "TABLE (SELECT 1)", "TABLE range(3)",
     "TABLE", "SELECT upper(TABLE t)", "SELECT * FROM (SELECT 1) AS x TABLESAMPLE (1 ROWS)"],
)  # fmt: skip
def test_what_spark_calls_a_syntax_error(session: EngineSession, text: str) -> None:
    with pytest.raises(SqlError) as caught:
        session.execute(text)
    assert caught.value.error_class == "PARSE_SYNTAX_ERROR"


@pytest.mark.parametrize(
    ("text", "parameters", "names", "wanted"),
    [
        ("SELECT ?, ? + 1", [("INT", "5"), ("INT", "6")], ["5", "(6 + 1)"], [(5, 7)]),
        ("SELECT ?", [("VOID", None)], ["NULL"], [(None,)]),
        ("SELECT upper(?)", [("STRING", "x")], ["upper(x)"], [("X",)]),
        # A value that no marker takes is passed over.
        ("SELECT 1", [("INT", "5")], ["1"], [(1,)]),
        # A number is a position, as where it is written.
        ("SELECT a FROM t ORDER BY ? DESC", [("INT", "1")], ["a"], [(2,), (1,)]),
        (
            "SELECT percentile(a, ?) FROM t",
            [("DOUBLE", "0.5")],
            ["percentile(a, 0.5, 1)"],
            [(1.5,)],
        ),
        (
            "SELECT percentile_cont(?) WITHIN GROUP (ORDER BY a) FROM t",
            [("DECIMAL(2,1)", "0.5")],
            ["percentile_cont(0.5) WITHIN GROUP (ORDER BY a)"],
            [(1.5,)],
        ),
        (
            "SELECT percentile_approx(a, ?, ?) FROM t",
            [("DOUBLE", "0.5"), ("INT", "100")],
            ["percentile_approx(a, 0.5, 100)"],
            [(1,)],
        ),
        (
            "SELECT any_value(b, ?) FROM u",
            [("BOOLEAN", "true")],
            ["any_value(b)"],
            [("z",)],
        ),
    ],
)
def test_a_parameter_is_a_literal(
    session: EngineSession,
    text: str,
    parameters: list[tuple[str, str | None]],
    names: list[str],
    wanted: list[Any],
) -> None:
    given = [Parameter(None, kind, value) for kind, value in parameters]
    assert rows(session, text, *given) == (names, wanted)


def test_the_fields_of_what_a_query_made_take_null(session: EngineSession) -> None:
    session.execute("CREATE TABLE s AS SELECT named_struct('x', 1) AS p").close()
    shown = rows(session, "SHOW CREATE TABLE s")[1][0][0]
    assert "STRUCT<x: INT>" in shown
    session.execute("INSERT INTO s SELECT named_struct('x', CAST(NULL AS INT))").close()
    assert rows(session, "SELECT count(*) FROM s WHERE p.x IS NULL")[1] == [(1,)]
