"""The random statements themselves: no Spark, no Java, a planted judge in its place."""

from __future__ import annotations

import dataclasses
import random
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import pytest

from tests.full import full
from tests.spark import random_queries, random_tables
from tests.spark.random_agreement import Comparison, Outcome, case_text, difference
from tests.spark.random_expressions import FORMS, split_forms
from tests.spark.random_known import LEFT_OUT as NOT_DEFINED
from tests.spark.random_known import Excuses
from tests.spark.random_run import Plan, disagreements, scripts
from tests.spark.random_sides import Warehouse
from tests.spark.random_tree import Node, Script, shrink
from tests.warehouse.corpus import reader
from vinci_code.warehouse.sql.builtins import FUNCTIONS

# Spark lacks them, or their answers depend on the moment, the session or chance.
LEFT_OUT = {
    "all_match", "any_match", "charindex", "corr", "curdate", "current_catalog", "current_database",
    "current_date", "current_schema", "current_timestamp", "current_timezone", "current_user",
    "current_version", "getdate", "iff", "localtimestamp", "now", "raise_error", "rand", "random",
    "session_user", "user", "uuid", "version",
}  # fmt: skip
# Tables and grouping: the queries have some of them in words of their own.
ELSEWHERE = {
    "explode", "explode_outer", "grouping", "grouping_id", "inline", "inline_outer", "json_tuple",
    "posexplode", "posexplode_outer", "range", "stack", "variant_explode", "variant_explode_outer",
}  # fmt: skip


@pytest.fixture(scope="module")
def warehouse() -> Iterator[Warehouse]:
    opened = Warehouse()
    yield opened
    opened.close()


class Planted:
    """A judge that agrees with the warehouse, but for statements that match a pattern."""

    def __init__(self, warehouse: Warehouse, pattern: str) -> None:
        self._warehouse = warehouse
        self._pattern = re.compile(pattern)

    def answers(
        self, scripts: Sequence[Script], doubtful: Collection[int] = ()
    ) -> list[list[Outcome]]:
        found = self._warehouse.answers(scripts, doubtful)
        for script, outcomes in zip(scripts, found, strict=True):
            for place, text in enumerate(script.texts[: len(outcomes)]):
                if self._pattern.search(text) and outcomes[place].error_class is None:
                    rows = [["planted"] * len(row) for row in outcomes[place].rows]
                    outcomes[place] = dataclasses.replace(outcomes[place], rows=rows)
        return found


def plan(folder: Path, comparisons: int, seed: int = 3) -> Plan:
    return Plan(comparisons, seed, folder)


def test_the_same_seed_draws_the_same(tmp_path: Path) -> None:
    drawn = [[script.texts for script in scripts(plan(tmp_path, 400))] for _ in range(2)]
    assert drawn[0] == drawn[1]
    other = [script.texts for script in scripts(plan(tmp_path, 400, seed=4))]
    assert other != drawn[0]
    assert len(set(drawn[0])) > 390


def test_every_kind_is_drawn(tmp_path: Path) -> None:
    drawn = scripts(plan(tmp_path, 2000))
    counts = Counter(script.kind for script in drawn)
    assert counts["expression"] > 1500
    assert all(counts[f"query: {kind}"] >= 15 for kind in random_queries.KINDS)
    assert all(counts[f"table: {kind}"] >= 1 for kind in random_tables.KINDS)
    rng = random.Random(3)
    drawn += [random_queries.query_script(rng) for _ in range(1500)]
    text = "\n".join(text for script in drawn for text in script.texts)
    for words in ("ROLLUP(", "CUBE(", "GROUPING SETS(", "HAVING", "FILTER (WHERE", "DISTINCT",
                  "LEFT SEMI JOIN", "LEFT ANTI JOIN", "FULL", "CROSS JOIN", "NATURAL", "USING (",
                  "EXCEPT ALL", "INTERSECT", "MINUS", "NULLS FIRST", "OFFSET", "RECURSIVE",
                  "LATERAL VIEW", "PIVOT", "QUALIFY", "ROWS BETWEEN", "RANGE BETWEEN", "NOT IN (",
                  "EXISTS (", "TRY_CAST(", "<=>", "ESCAPE", "RLIKE", "from_json(",
                  "parse_json("):  # fmt: skip
        assert words in text, words


def test_every_function_is_drawn() -> None:
    forms = " ".join([*FORMS.values(), *random_queries.CALM.values(), random_queries.AGGREGATES])
    forms += random_queries.WINDOWS + random_queries.FRAMED
    missing = {name for name in FUNCTIONS if not re.search(rf"\b{name}\b", forms)}
    assert missing == LEFT_OUT | ELSEWHERE


def test_every_form_has_its_slots_filled(tmp_path: Path) -> None:
    assert sum(len(split_forms(text)) for text in FORMS.values()) > 600
    for script in scripts(plan(tmp_path, 1000)):
        assert not re.search(
            r"\{=?\w+\}(?!['\"\\])", re.sub(r"'[^']*'|\"[^\"]*\"", "", script.texts[-1])
        )


@full
def test_shrinks_to_the_smallest_statement(warehouse: Warehouse, tmp_path: Path) -> None:
    comparison = Comparison(warehouse, Planted(warehouse, r"\blength\("), lambda *_: "")
    found = disagreements(plan(tmp_path, 400), comparison)
    assert found
    assert all(one.way == "other rows" for one in found)
    texts = {one.script.texts for one in found if one.script.kind == "expression"}
    assert min(len(text) for [text] in texts) <= len("SELECT length('a') AS r")


def test_shrinks_a_script_of_several_statements() -> None:
    rows = tuple(Node("row", (f"({n})",)) for n in range(5))
    filled = Node(
        "statement", ("INSERT INTO t VALUES ", Node("list", rows, least=1, separator=", "))
    )
    whole = Script(
        "table",
        (
            Node("statement", ("CREATE TABLE t (k INT)",)),
            filled,
            Node("statement", ("DELETE FROM t",)),
        ),
    )
    smallest = shrink(whole, _still_inserts)
    assert smallest.texts == ("CREATE TABLE t (k INT)", "INSERT INTO t VALUES (3)", "DELETE FROM t")


def _still_inserts(script: Script) -> bool:
    return len(script.texts) == 3 and "(3)" in script.texts[1]


def test_a_run_without_disagreements_writes_nothing(warehouse: Warehouse, tmp_path: Path) -> None:
    comparison = Comparison(warehouse, warehouse, lambda *_: "")
    assert disagreements(plan(tmp_path / "found", 300), comparison) == []
    assert not (tmp_path / "found").exists()
    assert sum(comparison.compared.values()) >= 300


@full
def test_what_is_found_is_a_case_of_the_corpus(warehouse: Warehouse, tmp_path: Path) -> None:
    comparison = Comparison(warehouse, Planted(warehouse, r"\bupper\("), lambda *_: "")
    found = disagreements(plan(tmp_path, 600), comparison)
    [path] = tmp_path.glob("*.case")
    cases = reader.read(path)
    assert len(cases) == min(len(found), 12)
    assert [step.sql for step in cases[0].steps] == list(found[0].script.texts)
    assert cases[0].steps[-1].rows[0][0] == "planted"
    # The warehouse fails the case as it stands, and passes it with its own answer.
    own = dataclasses.replace(found[0], judged=found[0].ours)
    path.write_text(case_text(own, "own"), encoding="utf-8")
    [again] = reader.read(path)
    [answers] = warehouse.answers([found[0].script])
    assert again.steps[-1].rows == answers[-1].rows != cases[0].steps[-1].rows


def test_differences_have_their_ways() -> None:
    one = Outcome((("r", "INT"),), [[1], [2]])
    refused = Outcome(error_class="DIVIDE_BY_ZERO", sqlstate="22012")
    assert difference(one, one, ordered=True) == ""
    turned = dataclasses.replace(one, rows=[[2], [1]])
    assert difference(one, turned, ordered=True) == "other rows"
    assert difference(one, turned, ordered=False) == ""
    assert (
        difference(one, dataclasses.replace(one, columns=(("r", "BIGINT"),)), ordered=False)
        == "other types"
    )
    assert (
        difference(one, dataclasses.replace(one, columns=(("s", "INT"),)), ordered=False)
        == "other names"
    )
    assert (
        difference(refused, one, ordered=False) == "the warehouse has DIVIDE_BY_ZERO, Spark answers"
    )
    assert difference(refused, refused, ordered=False) == ""
    zero = dataclasses.replace(one, rows=[[0.0]])
    assert difference(zero, dataclasses.replace(one, rows=[[-0.0]]), ordered=False) == "other rows"


def test_an_operand_that_a_branch_computes_is_not_excused(warehouse: Warehouse) -> None:
    failing = Node("n", ("(1 / 0)",))
    ours = Outcome(error_class="DIVIDE_BY_ZERO", sqlstate="22012")
    answered = Outcome((("r", "DOUBLE"),), [[None]])
    excuses = Excuses(warehouse, warehouse)
    eager = Script(
        "expression", (Node("q", ("SELECT ", Node("any", ("(NULL + ", failing, ")")), " AS r")),)
    )
    lazy = Script(
        "expression",
        (Node("q", ("SELECT ", Node("any", ("if(true, NULL, ", failing, ")")), " AS r")),),
    )
    assert excuses(eager, ours, answered) == NOT_DEFINED
    assert excuses(lazy, ours, answered) == ""
