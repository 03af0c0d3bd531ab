"""The page of the docs that says what was compared on Spark, made from a run's figures."""

from __future__ import annotations

import difflib
import re
import sys
from collections import Counter

from tests.spark.differences import DIFFERENCES, Difference
from tests.spark.random_known import REASONS
from tests.spark.tools import JARS, ROOT

PAGE = ROOT / "docs" / "spark.md"

_KINDS = {
    "corpus": "the local warehouse's corpus (`tests/warehouse/corpus/`)",
    "recorded": "what the suites, the examples and the demo send (`tests/spark/recorded/`)",
    "random": "random statements, seed {seed}",
}

_INTRODUCTION = """# What Apache Spark says of it

<!-- Made by `make spark-page` from the figures of a run; `make test-spark` checks it. -->

Apache Spark with Delta Lake is the open core of Databricks SQL. `make test-spark` runs on it what
the dialect sends and what the local warehouse is asked in its own tests, and compares: accepted or
refused, error class and SQLSTATE, names and types of columns, rows, and what tables hold after a
write. ANSI mode is on and the time zone is UTC. It needs Java 17 or newer; PySpark and Delta's jars
({jars}) are fetched. Where they cannot be had it says so and runs nothing.

The figures count what the run that wrote them compared, which may have been a part (without what
SQLAlchemy's own suite sends, and with fewer random statements).

Nothing here was run on a Databricks workspace. Where the documentation of Databricks says otherwise
than Spark answers, the documentation is followed, and the statement is listed below.
"""


def check(counts: dict[str, Counter[str]], *, write: bool) -> int:
    """Compare the page with a run's figures, or renew it; returns the exit code.

    Another Java may compare a few statements more or less, so that other figures alone are printed
    and are no failure.
    """
    made = text(counts)
    found = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    if write:
        PAGE.write_text(made, encoding="utf-8")
        return 0
    if made == found:
        return 0
    print(f"{PAGE.name} is not what this run says: run `make spark-page`", file=sys.stderr)
    lines = difflib.unified_diff(found.splitlines(), made.splitlines(), lineterm="", n=0)
    print("\n".join(lines), file=sys.stderr)
    return int(_without_figures(made) != _without_figures(found))


def text(counts: dict[str, Counter[str]]) -> str:
    """The page as Markdown."""
    jars = ", ".join(f"`{name}`" for name in JARS)
    return "\n".join(
        [
            _INTRODUCTION.format(jars=jars),
            "## What was compared\n",
            *_compared(counts),
            "\n## What was excused among the random statements\n",
            *_excused(counts),
            "\n## What open-source Spark has no statement for\n",
            *_left(counts),
            "\n## Where Databricks answers otherwise\n",
            *_differing(),
            "",
        ]
    )


def _compared(counts: dict[str, Counter[str]]) -> list[str]:
    lines = [
        "| what | statements | values | differences that are not explained |",
        "|---|--:|--:|--:|",
    ]
    for kind, name in _KINDS.items():
        found = counts.get(kind, Counter())
        text = name.format(seed=found["seed"])
        lines.append(
            f"| {text} | {found['statements']:,} | {found['values']:,} | {found['unexplained']:,} |"
        )
    return lines


def _excused(counts: dict[str, Counter[str]]) -> list[str]:
    lines = ["| reason | source | statements |", "|---|---|--:|"]
    found = counts.get("random", Counter())
    return lines + [
        f"| {reason} | {source} | {found[f'excused: {reason}']:,} |"
        for reason, source in sorted(REASONS.items())
    ]


def _left(counts: dict[str, Counter[str]]) -> list[str]:
    total: Counter[str] = Counter()
    for found in counts.values():
        for name, count in found.items():
            if name.startswith("left: "):
                total[name.removeprefix("left: ")] += count
    lines = ["| reason | statements not run |", "|---|--:|"]
    return lines + [f"| {reason} | {count:,} |" for reason, count in sorted(total.items())]


def _without_figures(page: str) -> str:
    return re.sub(r"\| [\d,]+ (?=\|)", "| 0 ", page)


def _differing() -> list[str]:
    cases: dict[Difference, list[str]] = {}
    for name, difference in DIFFERENCES.items():
        cases.setdefault(difference, []).append(name)
    lines = ["| what differs | source | where |", "|---|---|---|"]
    for difference, names in sorted(cases.items(), key=lambda item: item[1]):
        where = ", ".join(f"`{name}`" for name in sorted(names))
        lines.append(f"| {difference.reason} | {difference.source} | {where} |")
    return lines
