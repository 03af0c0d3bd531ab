"""What stands in and behind the parentheses of a call changes its answer, or the call is refused.

``corr(DISTINCT a, b)`` and ``sum(a) WITHIN GROUP (ORDER BY b)`` were once computed as if these
words were not there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from vinci_code.warehouse.engine.engine import Engine
from vinci_code.warehouse.engine.session import EngineSession
from vinci_code.warehouse.sql.builtins.registry import FUNCTIONS, FunctionCall, Modifiers
from vinci_code.warehouse.sql.errors import SqlError

CALLED = sorted(name for name, one in FUNCTIONS.items() if one.kind in ("aggregate", "window"))

# Every argument that is not (x, x, …).
ARGUMENTS = {
    **dict.fromkeys(("max_by", "min_by"), "x, y"),
    **dict.fromkeys(("percentile", "approx_percentile", "percentile_approx"), "x, 0.5"),
    **dict.fromkeys(("percentile_cont", "percentile_disc"), "0.5"),
    **dict.fromkeys(("bool_and", "bool_or", "any", "some", "every", "count_if"), "x > 1"),
    **dict.fromkeys(("row_number", "rank", "dense_rank", "percent_rank", "cume_dist"), ""),
    **dict.fromkeys(("grouping", "grouping_id"), "g"),
    "ntile": "2",
    "nth_value": "x, 2",
    "mode": "x",
    "listagg": "x",
    "string_agg": "x",
}

MODIFIERS = ("DISTINCT", "FILTER", "WITHIN GROUP", "IGNORE NULLS", "RESPECT NULLS")

# Where an accepted word changes nothing, because of what the function is.
NO_DIFFERENCE = {
    **{
        (name, "DISTINCT"): "an equal value more changes nothing"
        for name in (
            "max min bit_and bit_or bool_and bool_or any some every collect_set "
            "approx_count_distinct"
        ).split()
    },
    **{
        (name, "IGNORE NULLS"): "it never takes NULLs"
        for name in ("collect_list", "array_agg", "collect_set")
    },
    **{(name, "RESPECT NULLS"): "it is the default" for name in CALLED},
}

ROWS = (
    "('a', NULL, 9), ('a', 1, 8), ('a', 1, 7), ('b', NULL, 6), ('a', 3, 5), ('a', 0, 4), "
    "('b', 7, 3), ('b', 4, 1), ('a', NULL, 0)"
)


@pytest.fixture(scope="module")
def session() -> Iterator[EngineSession]:
    engine = Engine()
    found = engine.open_session()
    for text in (
        "CREATE TABLE t (g STRING, x INT, y INT)",
        f"INSERT INTO t VALUES {ROWS}",
    ):
        found.execute(text).close()
    yield found
    found.close()
    engine.close()


def statement(name: str, word: str = "") -> str:
    """Return a call with a modifier, and without one."""
    one = FUNCTIONS[name]
    given = ARGUMENTS.get(name, "x, y" if one.low == 2 else "x")
    within = "ORDER BY x" if name in ("percentile_cont", "percentile_disc") else ""
    if word == "WITHIN GROUP":
        within = "ORDER BY x DESC" if within else "ORDER BY y"
    call = f"{name}({'DISTINCT ' if word == 'DISTINCT' else ''}{given})"
    call += f" WITHIN GROUP ({within})" if within else ""
    kept = 1 if name in ("any", "some", "bool_or") else 4
    call += f" FILTER (WHERE x = {kept})" if word == "FILTER" else ""
    call += f" {word}" if word.endswith("NULLS") else ""
    call += " OVER (ORDER BY y DESC)" if one.kind == "window" else ""
    grouped = " GROUP BY ROLLUP (g)" if name in ("grouping", "grouping_id") else ""
    return f"SELECT {call} AS v FROM t{grouped}"


@pytest.mark.parametrize("word", MODIFIERS)
@pytest.mark.parametrize("name", CALLED)
def test_a_modifier_changes_the_answer_or_is_refused(
    session: EngineSession, name: str, word: str
) -> None:
    plain = answer(session, statement(name))
    try:
        modified = answer(session, statement(name, word))
    except SqlError as error:
        if error.error_class == "INTERNAL_ERROR":
            raise
        return
    assert (modified == plain) == ((name, word) in NO_DIFFERENCE), modified


def answer(session: EngineSession, text: str) -> list[str]:
    return [repr(row) for row in fetch(session, text)]


def fetch(session: EngineSession, text: str) -> list[tuple[Any, ...]]:
    result = session.execute(text)
    try:
        return [tuple(row.values()) for batch in result.batches for row in batch.to_pylist()]
    finally:
        result.close()


def test_what_a_builder_does_not_ask_for_is_left_over() -> None:
    given = Modifiers(distinct="DISTINCT ", filter="TRUE", over=" OVER ()", order="x")
    call = FunctionCall(None, "f", [], None, given, _args=[])  # type: ignore[arg-type]
    assert call.lost == {"DISTINCT", "FILTER", "OVER", "WITHIN GROUP"}
    assert (call.shown, call.lost) == ("f(DISTINCT )", call.lost), "a name asks for nothing"
    assert call.suffix == " FILTER (WHERE TRUE) OVER ()"
    assert call.lost == {"DISTINCT", "WITHIN GROUP"}
    assert (call.distinct, call.order) == ("DISTINCT ", "x")
    assert not call.lost


SYNTAX = "INVALID_SQL_SYNTAX.FUNCTION_WITH_UNSUPPORTED_SYNTAX"
WITHIN = "INVALID_WITHIN_GROUP_EXPRESSION"


@pytest.mark.parametrize(
    ("text", "error_class"),
    [
        # As Apache Spark 4.2 answers.
        ("SELECT sum(x) IGNORE NULLS FROM t", SYNTAX),
        ("SELECT sum(x) WITHIN GROUP (ORDER BY y) FROM t", SYNTAX),
        ("SELECT upper(g) FILTER (WHERE x = 1) FROM t", SYNTAX),
        ("SELECT upper(DISTINCT g) FROM t", SYNTAX),
        ("SELECT lag(DISTINCT x) OVER (ORDER BY x) FROM t", SYNTAX),
        ("SELECT rank() FILTER (WHERE x = 1) OVER (ORDER BY x) FROM t", SYNTAX),
        ("SELECT count(DISTINCT x) OVER () FROM t", "DISTINCT_WINDOW_FUNCTION_UNSUPPORTED"),
        ("SELECT mode(DISTINCT x) FROM t", f"{WITHIN}.DISTINCT_UNSUPPORTED"),
        ("SELECT mode() FROM t", f"{WITHIN}.WITHIN_GROUP_MISSING"),
        ("SELECT mode() WITHIN GROUP (ORDER BY x, y) FROM t", f"{WITHIN}.WRONG_NUM_ORDERINGS"),
        ("SELECT median(x) OVER (ORDER BY x) FROM t", "INVALID_WINDOW_SPEC_FOR_AGGREGATION_FUNC"),
        (
            "SELECT listagg(DISTINCT g) WITHIN GROUP (ORDER BY x) FROM t",
            f"{WITHIN}.MISMATCH_WITH_DISTINCT_INPUT",
        ),
        ("SELECT grouping(g) FROM t GROUP BY g", "UNSUPPORTED_GROUPING_EXPRESSION"),
        ("SELECT grouping(g) FROM t", "UNSUPPORTED_GROUPING_EXPRESSION"),
        ("SELECT g FROM t GROUP BY g HAVING grouping(g) = 0", "UNSUPPORTED_GROUPING_EXPRESSION"),
        ("SELECT grouping(x) FROM t GROUP BY ROLLUP (g)", "GROUPING_COLUMN_MISMATCH"),
        ("SELECT grouping_id(g) FROM t GROUP BY ROLLUP (g, x)", "GROUPING_ID_COLUMN_MISMATCH"),
        ("SELECT percentile_approx(x, 0.5, y) FROM t", "DATATYPE_MISMATCH.NON_FOLDABLE_INPUT"),
        ("SELECT percentile_approx(x, 0.5, 0) FROM t", "DATATYPE_MISMATCH.VALUE_OUT_OF_RANGE"),
        ("SELECT percentile(x, NULL) FROM t", "DATATYPE_MISMATCH.UNEXPECTED_NULL"),
        ("SELECT lag(x, x) OVER (ORDER BY x) FROM t", "DATATYPE_MISMATCH.NON_FOLDABLE_INPUT"),
        ("SELECT nth_value(x, 0) OVER (ORDER BY x) FROM t", "DATATYPE_MISMATCH.VALUE_OUT_OF_RANGE"),
        # Computed by Spark, and not here.
        ("SELECT count(* EXCEPT (x)) FROM t", "UNSUPPORTED_BY_LOCAL_WAREHOUSE"),
        ("SELECT count(*, x) FROM t", "UNSUPPORTED_BY_LOCAL_WAREHOUSE"),
        ("SELECT corr(DISTINCT x, y) FROM t", "UNSUPPORTED_BY_LOCAL_WAREHOUSE"),
        ("SELECT collect_list(x) RESPECT NULLS FROM t", "UNSUPPORTED_BY_LOCAL_WAREHOUSE"),
        ("SELECT max(grouping(g)) FROM t GROUP BY ROLLUP (g)", "UNSUPPORTED_BY_LOCAL_WAREHOUSE"),
        ("SELECT percentile(x, 0.25 + 0.25) FROM t", "UNSUPPORTED_BY_LOCAL_WAREHOUSE"),
    ],
)
def test_a_call_is_refused_with_the_class_of_its_fault(
    session: EngineSession, text: str, error_class: str
) -> None:
    with pytest.raises(SqlError) as caught:
        session.execute(text)
    assert caught.value.error_class == error_class


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        # As Apache Spark 4.2 answers.
        ("SELECT mode() WITHIN GROUP (ORDER BY y) AS v FROM t", [0]),
        ("SELECT mode() WITHIN GROUP (ORDER BY g DESC) AS v FROM t WHERE x IN (3, 4)", ["b"]),
        ("SELECT mode() WITHIN GROUP (ORDER BY g) AS v FROM t WHERE x IN (3, 4)", ["a"]),
        ("SELECT mode(g, true) AS v FROM t WHERE x IN (3, 4)", ["a"]),
        ("SELECT grouping_id() AS v FROM t GROUP BY CUBE (g, x) HAVING g = 'b' AND x = 7", [0]),
        ("SELECT grouping_id() AS v FROM t GROUP BY GROUPING SETS ((g), ()) ORDER BY v", [0, 0, 1]),
        ("SELECT grouping_id() AS v FROM t GROUP BY GROUPING SETS ((x), (g)) HAVING g = 'b'", [2]),
        ("SELECT grouping(g) AS v, g FROM t GROUP BY ROLLUP (2) ORDER BY v DESC, 2", [1, 0, 0]),
        ("SELECT DISTINCT g AS v FROM t ORDER BY concat(v, 'z') DESC", ["b", "a"]),
        ("SELECT DISTINCT t.g AS g FROM t ORDER BY concat(t.g, 'z') DESC LIMIT 1", ["b"]),
        ("SELECT DISTINCT x AS v FROM t ORDER BY v % 2, v LIMIT 3 OFFSET 1", [0, 4, 1]),
    ],
)
def test_a_call_is_computed_as_by_spark(session: EngineSession, text: str, rows: list[Any]) -> None:
    assert [row[0] for row in fetch(session, text)] == rows


@pytest.mark.parametrize(
    "text",
    [
        "SELECT DISTINCT g FROM t ORDER BY lower(x)",
        "SELECT DISTINCT g AS v FROM t ORDER BY lower(g)",
        "SELECT DISTINCT a.g FROM t a JOIN t b ON a.x = b.x ORDER BY lower(b.g)",
    ],
)
def test_distinct_rows_are_ordered_by_their_columns_alone(
    session: EngineSession, text: str
) -> None:
    with pytest.raises(SqlError) as caught:
        session.execute(text)
    assert caught.value.error_class == "UNRESOLVED_COLUMN.WITH_SUGGESTION"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("listagg(g, ',') WITHIN GROUP (ORDER BY x DESC, y)",
         "listagg(g, ,) WITHIN GROUP (ORDER BY x DESC NULLS LAST, y ASC NULLS FIRST)"),
        ("mode() WITHIN GROUP (ORDER BY x)", "mode() WITHIN GROUP (ORDER BY x DESC)"),
        ("mode() WITHIN GROUP (ORDER BY x DESC)", "mode() WITHIN GROUP (ORDER BY x)"),
        ("mode(x, true)", "mode() WITHIN GROUP (ORDER BY x DESC)"),
        ("mode(x, false)", "mode(x)"),
        ("percentile(DISTINCT x, 0.5)", "percentile(DISTINCT x, 0.5, 1)"),
        ("first_value(x) IGNORE NULLS", "first(x)"),
        ("any_value(x) IGNORE NULLS", "any_value(x)"),
    ],
)  # fmt: skip
def test_a_call_is_named_as_by_spark(session: EngineSession, text: str, name: str) -> None:
    result = session.execute(f"SELECT {text} FROM t")
    try:
        assert [column.name for column in result.columns] == [name]
    finally:
        result.close()
