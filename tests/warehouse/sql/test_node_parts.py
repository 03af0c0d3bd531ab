"""Every part of a parsed statement is looked at, or the statement is refused."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pytest
from sqlglot import exp

from tests.full import some
from tests.warehouse.corpus import reader
from vinci_code.warehouse.engine.engine import Engine
from vinci_code.warehouse.engine.session import EngineSession
from vinci_code.warehouse.sql import parse
from vinci_code.warehouse.sql.dialect import tokenize
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.node_parts import PARTS, require_known_parts
from vinci_code.warehouse.sql.rewrites import calls

SEED = 20_261_202
STATEMENTS = some(20_000, few=2_000)
# Longer statements of the suites differ in their data alone.
LONG = 2_000
# One of so many cases of the suites is walked every day, and each in the full run.
STEP = some(1, few=25)

# What sqlglot reads and Databricks has no such thing, or nothing here computes.
SYNTAX = "PARSE_SYNTAX_ERROR"
UNSUPPORTED = "UNSUPPORTED_BY_LOCAL_WAREHOUSE"
FOREIGN = {
    "INSERT OR IGNORE INTO t VALUES (9, 'x')": SYNTAX,
    "INSERT OR REPLACE INTO t VALUES (9, 'x')": SYNTAX,
    "INSERT OR FAIL INTO t VALUES (9, 'x')": SYNTAX,
    "INSERT INTO t AS x VALUES (9, 'x')": SYNTAX,
    "DELETE t FROM t": SYNTAX,
    "MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN UPDATE SET": SYNTAX,
    "DELETE FROM t USING u WHERE t.a = u.a": SYNTAX,
    "DELETE FROM t WHERE a = 1 RETURNING a": SYNTAX,
    "DELETE FROM t LIMIT 1": SYNTAX,
    "UPDATE t SET b = u.b FROM u WHERE t.a = u.a": SYNTAX,
    "UPDATE t SET a = 1 ORDER BY a": SYNTAX,
    "INSERT INTO t VALUES (9, 'x') RETURNING a": SYNTAX,
    "INSERT INTO t VALUES (9, 'x') ON CONFLICT DO NOTHING": SYNTAX,
    "MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE RETURNING *": SYNTAX,
    "SELECT * FROM t TIMESTAMP BETWEEN '2020-01-01' AND '2030-01-01'": SYNTAX,
    "SELECT count(DISTINCT *) FROM t": UNSUPPORTED,
    "SELECT count(DISTINCT * EXCEPT (a)) FROM t": UNSUPPORTED,
    "SELECT count(DISTINCT *) FILTER (WHERE a > 0) FROM t": UNSUPPORTED,
    "SELECT count(DISTINCT *) OVER () FROM t": UNSUPPORTED,
    "SELECT * FROM t TABLESAMPLE SYSTEM (10 PERCENT)": UNSUPPORTED,
    "SELECT * FROM t, LATERAL explode(array(1)) WITH ORDINALITY": UNSUPPORTED,
}
# The same, of which sqlglot makes the tree of another text.
LOST = [
    "SELECT a FROM t LIMIT 1, 1",
    "SELECT b FROM t GROUP BY DISTINCT b",
    "SELECT CAST(b AS VARCHAR(a)) FROM t",
    "SELECT CAST(b AS CHAR(1, 2)) FROM t",
    "INSERT INTO t SET a = 9",
    "SELECT * FROM t STRAIGHT_JOIN u",
    "SELECT * EXCLUDE (a) FROM t",
    "SELECT a FROM t, ",
    "SELECT a FROM t GROUP BY a,",
    "SELECT upper(b,) FROM t",
    "SELECT a IN (1,) FROM t",
    "SELECT * FROM t VERSION 0",
    "SELECT a FROM t*",
    "DELETE FROM t*",
    "UPDATE t* SET a = 9",
]

DIALECTS = (
    "databricks mysql sqlite postgres tsql clickhouse snowflake duckdb bigquery oracle hive trino "
    "redshift"
).split()

# Words that may stand or not, without a difference.
OPTIONAL = {"AS", "OUTER", "INNER", "CROSS", "JOIN", "ASC", "INTO", "TABLE", "ALL", "DISTINCT"}
OPTIONAL |= {"(", ")", ",", ";", "`", "NULLS", "FIRST", "LAST", "ROWS", "ROW", "LATERAL", "VIEW"}


@pytest.fixture(scope="module")
def session() -> Iterator[EngineSession]:
    engine = Engine()
    found = engine.open_session()
    for text in (
        "CREATE TABLE t (a INT, b STRING)",
        "INSERT INTO t VALUES (1, 'b'), (2, NULL)",
        "CREATE TABLE u (a INT, b STRING)",
        "INSERT INTO u VALUES (1, 'z')",
    ):
        found.execute(text).close()
    yield found
    found.close()
    engine.close()


def rows(session: EngineSession, text: str) -> list[dict[str, Any]]:
    result = session.execute(text)
    try:
        return [row for batch in result.batches for row in batch.to_pylist()]
    finally:
        result.close()


@pytest.mark.parametrize("text", [*FOREIGN, *LOST])
def test_what_databricks_has_not_is_refused_and_nothing_happens(
    session: EngineSession, text: str
) -> None:
    before = rows(session, "SELECT * FROM t ORDER BY a")
    with pytest.raises(SqlError) as caught:
        session.execute(text)
    assert caught.value.error_class == FOREIGN.get(text, SYNTAX)
    assert rows(session, "SELECT * FROM t ORDER BY a") == before


def test_a_word_of_another_dialect_is_a_name(session: EngineSession) -> None:
    assert rows(session, "SELECT a ISNULL, b GLOB FROM t ORDER BY 1 LIMIT 1") == [
        {"ISNULL": 1, "GLOB": "b"}
    ]
    with pytest.raises(SqlError) as caught:
        session.execute("SELECT a, FROM t")
    assert caught.value.error_class == "TRAILING_COMMA_IN_SELECT"


def test_a_text_type_has_its_length(session: EngineSession) -> None:
    for name in ("VARCHAR", "CHAR"):
        with pytest.raises(SqlError) as caught:
            session.execute(f"SELECT CAST(b AS {name}) FROM t")
        assert caught.value.error_class == "DATATYPE_MISSING_SIZE"
    assert rows(session, "SELECT CAST('abc' AS VARCHAR(2)) AS x") == [{"x": "abc"}]


# What is refused a second time, when it is computed, or was never executed.
TWICE = (
    "UPDATE t SET b = u.b FROM u WHERE t.a = u.a",
    "DELETE FROM t USING u WHERE t.a = u.a",
    "SELECT * FROM t TABLESAMPLE SYSTEM (10 PERCENT)",
    "SELECT * FROM t, LATERAL explode(array(1)) WITH ORDINALITY",
    "SELECT * FROM t TIMESTAMP BETWEEN '2020-01-01' AND '2030-01-01'",
    "SELECT count(DISTINCT * EXCEPT (a)) FROM t",
    "SELECT count(DISTINCT *) OVER () FROM t",
)


@pytest.mark.parametrize("text", [text for text in FOREIGN if text not in TWICE])
def test_without_the_table_of_parts_it_would_be_executed(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parse, "require_known_parts", lambda expression, text: None)
    monkeypatch.setattr(calls, "_refuse_lost", lambda call: None)
    engine = Engine()
    found = engine.open_session()
    for prepared in ("CREATE TABLE t (a INT, b STRING)", "CREATE TABLE u (a INT, b STRING)"):
        found.execute(prepared).close()
    parse._parse_cached.cache_clear()
    try:
        found.execute(text).close()
    finally:
        parse._parse_cached.cache_clear()
        found.close()
        engine.close()


def test_the_parts_are_those_of_the_installed_sqlglot() -> None:
    for name, parts in PARTS.items():
        known = getattr(exp, name).arg_types
        # It sets these also where it does not say so.
        assert parts <= known.keys() | {"joins", "sample", "with_"}, name


RECORDED = Path(__file__).parents[2] / "spark" / "recorded"


@cache
def trees() -> list[tuple[str, exp.Expression]]:
    """The statements that are read of the corpus, and of what the suites send: each once."""
    found: dict[str, exp.Expression] = {}
    for case in chain(reader.cases(), islice(reader.cases(RECORDED), 0, None, STEP)):
        for step in case.setup + case.steps:
            text = step.sql.replace("${catalog}", "main").replace("${schema}", "s")
            if step.error_class is None and text not in found and _is_read(text):
                found[text] = parse.parse_statement(text)
    return list(found.items())


def _is_read(text: str) -> bool:
    return len(text) < LONG and parse.first_word(text) in (*parse.QUERY_WORDS, *parse.DML_WORDS)


def values() -> list[Any]:
    """What may stand in a part that is not set."""
    column, name = exp.column("x"), exp.to_identifier("x")
    table = exp.Table(this=exp.to_identifier("t2"))
    return [
        True, "IGNORE", name, column, table, [column], [name], [table],
        exp.Literal.number(1), exp.Literal.string("x"), exp.Var(this="IGNORE"),
        exp.Tuple(expressions=[column]), exp.TableAlias(this=name), exp.Where(this=exp.true()),
        exp.Order(expressions=[exp.Ordered(this=column)]), exp.Limit(expression=column),
        exp.Returning(expressions=[exp.Star()]),
    ]  # fmt: skip


def test_each_part_that_sqlglot_knows_is_declared_or_refused() -> None:
    """Every node of every statement, with each of its other parts, one at a time."""
    refused: Counter[str] = Counter()
    seen: set[tuple[str, str]] = set()
    for text, tree in trees():
        for number, node in enumerate(tree.walk()):
            name = type(node).__name__
            for part in node.arg_types.keys() - PARTS[name]:
                if (name, part) in seen:
                    continue
                seen.add((name, part))
                changed = tree.copy()
                list(changed.walk())[number].set(part, exp.column("x"))
                with pytest.raises(SqlError):
                    require_known_parts(changed, text)
                refused[name] += 1
    assert refused.total() > 200, refused


def test_no_word_of_another_dialect_is_lost() -> None:
    """Random statements with a part more, in the words of any dialect.

    One that is accepted has another tree than without these words: nothing of them was passed over.
    """
    draw, known = random.Random(SEED), trees()
    made = accepted = 0
    lost = []
    while made < STATEMENTS:
        _, tree = draw.choice(known)
        nodes = list(tree.walk())
        number = draw.randrange(len(nodes))
        free = [part for part in nodes[number].arg_types if not nodes[number].args.get(part)]
        if not free:
            continue
        changed = tree.copy()
        list(changed.walk())[number].set(draw.choice(free), draw.choice(values()))
        dialect = draw.choice(DIALECTS)
        try:
            before, after = tree.sql(dialect=dialect), changed.sql(dialect=dialect)
        except Exception:  # noqa: BLE001 - sqlglot writes no text of what nobody would read
            continue
        if before == after:
            continue
        made += 1
        try:
            found = parse.parse_statement(after)
            without = parse.parse_statement(before)
        except SqlError:
            continue
        accepted += 1
        if found == without and words(after) != words(before):
            lost.append((dialect, after, before))
    assert not lost, f"seed {SEED}: {len(lost)} of {made}, such as {lost[0]}"
    assert accepted > made / 20, "or nothing was looked at"


def words(text: str) -> Counter[str]:
    """The words of a statement, without those that change nothing."""
    found = Counter(token.text.upper() for token in tokenize(text))
    return Counter({word: n for word, n in found.items() if word not in OPTIONAL})
