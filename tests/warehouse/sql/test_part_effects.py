"""Each part of a node that is declared as looked at has an effect: without it the answer differs.

A part that the table of ``node_parts`` names, and that the translation passes over, would be lost
without a word. So each is taken out of a statement's tree, once, and what is left is executed: it
has to fail, or to answer something else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from sqlglot import exp

from vinci_code.warehouse.engine import dispatch
from vinci_code.warehouse.engine.engine import Engine
from vinci_code.warehouse.engine.session import EngineSession
from vinci_code.warehouse.sql import parse
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.node_parts import PARTS
from vinci_code.warehouse.sql.parameters import Parameter

TABLES = {
    "t": "(3, 'c', 7), (1, 'b', 1), (NULL, NULL, 1), (2, 'a', 7), (2, 'a', 2)",
    "u": "(1, 'z', 1), (4, 'y', 2)",
}

STATEMENTS = (
    # --- queries
    (
        "WITH q (n) AS (SELECT a FROM t WHERE a > 1) SELECT b, count(*) FROM t JOIN q ON t.a = q.n "
        "WHERE c > 2 GROUP BY b HAVING count(*) > 1 ORDER BY b DESC LIMIT 2 OFFSET 0"
    ),
    "SELECT a FROM t ORDER BY a NULLS LAST LIMIT 2 OFFSET 1",
    "SELECT DISTINCT b FROM t SORT BY b DESC",
    "SELECT b, c FROM t DISTRIBUTE BY c SORT BY b",
    "SELECT b FROM t CLUSTER BY b",
    "SELECT a, row_number() OVER w AS n FROM t QUALIFY n > 1 WINDOW w AS (ORDER BY c, a)",
    "SELECT a FROM t UNION SELECT a FROM u ORDER BY a DESC LIMIT 3 OFFSET 1",
    "WITH q AS (SELECT 1 AS a) SELECT a FROM t UNION ALL SELECT a FROM q SORT BY a",
    "SELECT b FROM t INTERSECT ALL SELECT b FROM t WHERE c = 7 ORDER BY b LIMIT 1",
    "SELECT b FROM t INTERSECT SELECT b FROM t ORDER BY b OFFSET 1",
    "WITH q AS (SELECT b FROM t) SELECT b FROM q INTERSECT SELECT b FROM t SORT BY b DESC",
    "SELECT b FROM t INTERSECT SELECT b FROM t",
    "SELECT b FROM t EXCEPT ALL SELECT b FROM t WHERE c = 2 ORDER BY b DESC LIMIT 1 OFFSET 1",
    "WITH q AS (SELECT 'a' AS b) SELECT b FROM t EXCEPT SELECT b FROM q SORT BY b DESC",
    "SELECT b FROM t EXCEPT SELECT 'x'",
    # Of so many rows none comes in this order by itself.
    "SELECT id FROM range(200) UNION SELECT 7L ORDER BY id DESC",
    "SELECT id FROM range(200) UNION SELECT 7L SORT BY id DESC",
    "SELECT id FROM range(200) EXCEPT SELECT 7L ORDER BY id DESC",
    "SELECT id FROM range(200) EXCEPT SELECT 7L SORT BY id DESC",
    "SELECT id FROM range(200) INTERSECT SELECT id FROM range(150) ORDER BY id DESC",
    "SELECT id FROM range(200) INTERSECT SELECT id FROM range(150) SORT BY id DESC",
    "VALUES (2, 'b'), (1, 'a'), (3, 'c') ORDER BY col1 DESC LIMIT 1 OFFSET 1",
    "SELECT * FROM VALUES (1, 'x'), (2, 'y') AS v(n, m) JOIN t ON t.a = v.n",
    (
        "SELECT * FROM VALUES (1, 'a', 5), (2, 'b', 6) AS v(n, k, w) "
        "PIVOT (sum(w) FOR k IN ('a', 'b'))"
    ),
    "FROM t SELECT b",
    "SELECT * FROM ((SELECT a FROM t) AS s JOIN u ON s.a = u.a)",
    "WITH q AS (SELECT 1 AS a) (SELECT a FROM q)",
    "SELECT * FROM (DESCRIBE HISTORY t)",
    "SELECT * FROM (DESCRIBE EXTENDED t)",
    # --- relations
    "SELECT x.n FROM t AS x(n, m, o) LEFT JOIN u ON x.n = u.a ORDER BY u.b, x.n",
    "SELECT * FROM t LEFT SEMI JOIN u ON t.a = u.a",
    "SELECT * FROM t LEFT ANTI JOIN u USING (a)",
    "SELECT * FROM t FULL JOIN u USING (a)",
    "SELECT * FROM t NATURAL JOIN u",
    "SELECT * FROM t CROSS JOIN u",
    "SELECT * FROM main.default.t",
    "SELECT * FROM nowhere.default.t",
    "SELECT nowhere.default.t.a FROM t",
    "SELECT * FROM t PIVOT (sum(c) FOR b IN ('a', 'b'))",
    "SELECT z.x FROM (SELECT b, c FROM t) PIVOT (sum(c) FOR b IN ('a' AS x)) AS z",
    "SELECT * FROM t TABLESAMPLE (2 ROWS)",
    "SELECT * FROM t TABLESAMPLE (0 PERCENT)",
    "SELECT * FROM t TABLESAMPLE (100 PERCENT) REPEATABLE (1)",
    "SELECT * FROM t VERSION AS OF 0",
    "SELECT * FROM t TIMESTAMP AS OF '2000-01-01'",
    "SELECT * FROM (SELECT a, c FROM t) AS s(x, y) JOIN u ON s.x = u.a",
    "SELECT * FROM (SELECT a FROM t) TABLESAMPLE (1 ROWS)",
    "SELECT * FROM (SELECT a FROM t ORDER BY a LIMIT 3) ORDER BY a DESC",
    "(WITH q AS (SELECT a FROM t) SELECT a FROM q) ORDER BY a DESC LIMIT 2 OFFSET 1",
    "(SELECT a, c FROM t) SORT BY a DESC, c",
    "(SELECT a FROM t) DISTRIBUTE BY a",
    "SELECT * FROM (t JOIN u ON t.a = u.a)",
    "SELECT * FROM t JOIN (u JOIN u AS w ON u.a = w.a) ON t.a = u.a",
    "SELECT * FROM (SELECT b, c FROM t) PIVOT (count(*) AS n FOR b IN ('a' AS x, 'b' AS y))",
    "SELECT * FROM (SELECT b, c FROM t) PIVOT (sum(c) AS s, max(c) AS m FOR b IN ('a', 'b')) AS z",
    "SELECT * FROM (SELECT a, c FROM t) UNPIVOT INCLUDE NULLS (v FOR n IN (a AS `one`, c)) AS z",
    "SELECT * FROM t, LATERAL (SELECT t.a + 1 AS n) AS l",
    "SELECT * FROM t LEFT JOIN LATERAL (SELECT c FROM u WHERE u.a = t.a) AS l",
    "SELECT a, x FROM t LATERAL VIEW OUTER explode(filter(array(a), y -> y > 1)) e AS x",
    "SELECT * FROM j, LATERAL explode(r) AS e(x) JOIN u ON u.a = e.x - 4",
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT * FROM r",
    "SELECT * FROM range(1, 4) AS g(n)",
    "SELECT * FROM IDENTIFIER('t') AS x JOIN u ON x.a = u.a",
    # --- clauses
    "SELECT b, count(*) FROM t GROUP BY ALL",
    "SELECT b, c, count(*) FROM t GROUP BY ROLLUP (b, c)",
    "SELECT b, c, count(*) FROM t GROUP BY CUBE (b, c)",
    "SELECT b, c, count(*) FROM t GROUP BY GROUPING SETS ((b), (c), ())",
    "SELECT b, c, count(*) FROM t GROUP BY b, c WITH ROLLUP",
    "SELECT b, c, count(*) FROM t GROUP BY b, c GROUPING SETS ((b), (c))",
    "SELECT b, c, count(*) FROM t GROUP BY b, c WITH CUBE",
    "SELECT a FROM t ORDER BY a DESC NULLS FIRST",
    "SELECT a FROM t LIMIT 1",
    # --- names, literals, types
    "SELECT named_struct('x', 1).x",
    "SELECT ?, 1",
    "SELECT `T`.`a`, j.p.x, default.t.c, main.default.t.b FROM t CROSS JOIN j",
    "SELECT `IDENTIFIER`('a') FROM t",
    "SELECT * EXCEPT (a) FROM t",
    "SELECT stack(2, 1, 'x', 2, 'y') AS (n, m)",
    "SELECT NULL, TRUE, X'41', 1.5, 'x', INTERVAL '2' DAY, INTERVAL '1-2' YEAR TO MONTH",
    "SELECT CAST(named_struct('a', '1', 'b', array('2')) AS STRUCT<x: INT, y: ARRAY<INT>>) AS s",
    "SELECT CAST(map('1', '2') AS MAP<INT, INT>) AS m, CAST('12345' AS VARCHAR(2)) AS v",
    "SELECT CAST(1.256 AS DECIMAL(5, 1)), TRY_CAST('x' AS INT), try_cast(b AS INT) FROM t",
    # --- operators
    *(
        f"SELECT a {sign} c FROM t"
        for sign in "+ - * / % & | ^ << >> = <> < > <= >= <=> DIV".split()
    ),
    "SELECT a FROM t WHERE a = 1 AND c = 1 OR a = 3",
    "SELECT a IS NULL, NOT (a = 1), -a, ~a, (a + 1) * 2, a BETWEEN 2 AND 3 FROM t",
    "SELECT a IS NOT NULL, a IS DISTINCT FROM c, a IS NOT DISTINCT FROM c FROM t",
    "SELECT b || 'x', b LIKE 'A' ESCAPE '/', b NOT LIKE 'a', b ILIKE 'A', b RLIKE 'a|b' FROM t",
    "SELECT b NOT ILIKE 'A', b ILIKE 'A%' ESCAPE '!' FROM t",
    "SELECT b LIKE ANY ('a', 'b'), b LIKE ALL ('a%', '%a'), b NOT LIKE ANY ('a', 'b') FROM t",
    "SELECT b ILIKE ANY ('A', 'B'), b ILIKE ALL ('A%', '%A') FROM t",
    "SELECT a IN (1, 2), a NOT IN (SELECT a FROM u), (1, 2) = (1, 2) FROM t",
    "SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.a = t.a)",
    "SELECT a FROM t WHERE EXISTS (WITH q AS (SELECT a FROM u) SELECT 1 FROM q WHERE q.a = t.a)",
    "SELECT CASE WHEN a = 1 THEN 'x' ELSE 'y' END, CASE a WHEN 2 THEN 'z' END FROM t",
    "SELECT s:['k'], s:`K` FROM j",
    "SELECT r[0], m['k'], s:k[1], v:k[0], v:['K 2'], s:k[*] FROM j",
    "SELECT v:k, v:`K 2`, v:k[1]::INT FROM j",
    # --- calls
    "SELECT upper(b), `lower`(b), transform(array(a, c), (x, i) -> x + i) FROM t",
    (
        "SELECT current_user, session_user, current_date = current_date(), "
        "current_timestamp IS NULL, count(DISTINCT a, b) FROM t"
    ),
    "SELECT * FROM read_files('/x', format => 'csv')",
    "SELECT sum(a) FILTER (WHERE c = 7), first(a) IGNORE NULLS, last(a) RESPECT NULLS FROM t",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FROM t",
    (
        "SELECT sum(a) OVER (PARTITION BY c ORDER BY b ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) "
        "FROM t"
    ),
    (
        "SELECT sum(c) OVER w, count(*) OVER (ORDER BY c RANGE 1 PRECEDING) FROM t "
        "WINDOW w AS (ORDER BY a, c ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
    ),
    # --- statements that write
    "INSERT INTO t BY NAME SELECT 9 AS c, 'n' AS b",
    "INSERT INTO t (b, a) VALUES ('x', 9)",
    "INSERT OVERWRITE t SELECT * FROM u",
    "INSERT INTO t TABLE u",
    "WITH q AS (SELECT 9, 'q', 9) INSERT INTO t SELECT * FROM q",
    "INSERT INTO t REPLACE WHERE c = 7 VALUES (9, 'x', 7)",
    "UPDATE t AS x SET x.b = 'n', c = a WHERE x.a = 1",
    "DELETE FROM t AS x WHERE x.a = 2",
    (
        "MERGE INTO t USING u ON t.a = u.a WHEN MATCHED AND u.c = 1 THEN UPDATE SET b = u.b "
        "WHEN NOT MATCHED THEN INSERT (a, b) VALUES (u.a, u.b) "
        "WHEN NOT MATCHED BY SOURCE AND t.a = 3 THEN DELETE"
    ),
    "WITH q AS (SELECT 1 AS a) MERGE INTO t USING q ON t.a = q.a WHEN MATCHED THEN DELETE",
    (
        "MERGE INTO t USING u ON t.a = u.a "
        "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    ),
)

# What is refused by its own words, which asks for the part as well.
REFUSED = (
    "UNSUPPORTED_BY_LOCAL_WAREHOUSE",
    "PARSE_SYNTAX_ERROR",
    "TABLE_OR_VIEW_NOT_FOUND",
    "UNRESOLVED_COLUMN.WITH_SUGGESTION",
    "UNBOUND_SQL_PARAMETER",
    "DELTA_TIMESTAMP_EARLIER_THAN_COMMIT_RETENTION",
)

# A part that no statement shows: why it is declared nevertheless.
WITHOUT_EFFECT = {
    ("Bracket", "json_access"): "what is read tells whether a path or an element is meant",
    ("DPipe", "safe"): "sqlglot's word for what || does in this dialect",
    ("TryCast", "safe"): "the class of the node tells it",
    ("Cast", "safe"): "it is never set",
    ("Distribute", "expressions"): "all rows are in one place",
    ("Select", "distribute"): "all rows are in one place",
    ("Subquery", "distribute"): "all rows are in one place",
    ("Identifier", "quoted"): "a name is the same in either form",
    ("Lateral", "view"): "where it stands tells it",
    ("Pivot", "columns"): "sqlglot's own names for what a PIVOT gives",
    ("Pivot", "pivot_column_naming"): "sqlglot's word for how this dialect names them",
    ("Version", "kind"): "no other word than AS OF is let through",
    ("Window", "over"): "no other word than OVER is let through",
}


@pytest.fixture(scope="module")
def session() -> Iterator[EngineSession]:
    engine = Engine()
    found = engine.open_session()
    for name in TABLES:
        found.execute(f"CREATE TABLE {name} (a INT, b STRING, c INT)").close()
    restore(found)
    found.execute(
        "CREATE TABLE j (v VARIANT, s STRING, m MAP<STRING, INT>, r ARRAY<INT>, p STRUCT<x: INT>)"
    ).close()
    found.execute(
        """INSERT INTO j SELECT parse_json('{"k": [1, 2], "K 2": 3}'), '{"k": [5, 6]}', """
        "map('k', 1), array(5, 6), named_struct('x', 9)"
    ).close()
    yield found
    found.close()
    engine.close()


def restore(session: EngineSession) -> None:
    for name, rows in TABLES.items():
        session.execute(f"INSERT OVERWRITE {name} VALUES {rows}").close()


# The parts of a query that give its rows an order.
ORDERS = {"cluster", "order", "sort"}


def outcome(
    session: EngineSession,
    text: str,
    tree: exp.Expression | None = None,
    *,
    writes: bool = False,
    is_ordered: bool = False,
) -> Any:
    """What a statement answers, with what the tables hold after it; the class of its error.

    Rows count by their order only where the statement gives them one. ``tree`` is executed in the
    place of the statement's own; what is stored is put back, and read, by statements as they are.
    """
    if writes:
        # Also after a tree that has failed, and may have written before that.
        restore(session)
    try:
        values = [Parameter(None, "STRING", "v")] if "?" in text else []
        with mock.patch.object(
            dispatch, "own_expression", dispatch.own_expression if tree is None else lambda _: tree
        ):
            result = session.execute(text, values)
        try:
            columns = [(column.name, column.type.text) for column in result.columns]
            answer = [repr(row) for batch in result.batches for row in batch.to_pylist()]
            answer = answer if is_ordered else sorted(answer)
        finally:
            result.close()
    except SqlError as error:
        return error.error_class
    except Exception as error:  # noqa: BLE001 - a tree that lacks what every node of its class has
        return type(error).__name__
    if not writes:
        return columns, answer
    stored = [outcome(session, f"SELECT * FROM {name}") for name in TABLES]
    restore(session)
    return answer, stored


def parts_of(tree: exp.Expression) -> Iterator[tuple[int, str, str]]:
    for number, node in enumerate(tree.walk()):
        for part, value in node.args.items():
            if value is not None and value is not False and value != [] and value != "":
                yield number, type(node).__name__, part


def test_each_declared_part_has_an_effect(session: EngineSession) -> None:
    wanted = {(name, part) for name, parts in PARTS.items() for part in parts}
    shown: set[tuple[str, str]] = set()
    for text in STATEMENTS:
        tree = parse.parse_statement(text)
        writes = not isinstance(tree, exp.Query)
        how = {"writes": writes, "is_ordered": ORDERS & tree.args.keys() != set()}
        before = outcome(session, text, **how)
        assert before in REFUSED or not isinstance(before, str), f"{text}: {before}"
        # An answer that changes by itself would count as the effect of any part.
        assert all(outcome(session, text, **how) == before for _ in range(5)), text
        for number, name, part in parts_of(tree):
            if (name, part) in shown:
                continue
            less = tree.copy()
            list(less.walk())[number].args.pop(part)
            if outcome(session, text, less, **how) != before:
                shown.add((name, part))
    assert wanted - shown == WITHOUT_EFFECT.keys()
