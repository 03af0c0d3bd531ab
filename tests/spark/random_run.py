"""A run: which scripts, how many, and what is done about those on which the sides differ."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.spark.random_agreement import Comparison, Disagreement, case_text
from tests.spark.random_expressions import expression_script
from tests.spark.random_queries import query_script
from tests.spark.random_tables import table_script
from tests.spark.random_tree import Script

FOUND = Path(__file__).parent / "found"

_CHUNK = 200
# Of a thousand scripts: a table's costs a second on Delta, a query's a tenth of that.
_SHARES: tuple[tuple[Callable[[random.Random], Script], int], ...] = (
    (table_script, 10),
    (query_script, 150),
    (expression_script, 840),
)
_MOST_SHRUNK = 12


@dataclass(frozen=True)
class Plan:
    """How many scripts, from which seed, and where disagreements are written."""

    comparisons: int
    seed: int
    folder: Path

    @classmethod
    def of_environment(cls) -> Plan:
        """``VINCI_RANDOM_COMPARISONS``, ``VINCI_RANDOM_SEED`` and ``VINCI_RANDOM_FOUND``."""
        return cls(
            int(os.environ.get("VINCI_RANDOM_COMPARISONS", "5000")),
            int(os.environ.get("VINCI_RANDOM_SEED", "1")),
            Path(os.environ.get("VINCI_RANDOM_FOUND", str(FOUND))),
        )


def scripts(plan: Plan) -> list[Script]:
    """The scripts of a plan: the same for the same seed."""
    rng = random.Random(plan.seed)
    makers, shares = zip(*_SHARES, strict=True)
    return [maker(rng) for maker in rng.choices(makers, shares, k=plan.comparisons)]


def disagreements(plan: Plan, comparison: Comparison) -> list[Disagreement]:
    """Run a plan: every disagreement, the first ones made as small as can be, and written down."""
    drawn = scripts(plan)
    found: list[Disagreement] = []
    for start in range(0, len(drawn), _CHUNK):
        found += comparison.disagreements(drawn[start : start + _CHUNK])
    smallest = [comparison.smallest(one) for one in found[:_MOST_SHRUNK]]
    if smallest:
        plan.folder.mkdir(parents=True, exist_ok=True)
        cases = [case_text(one, f"seed_{plan.seed}_{n}") for n, one in enumerate(smallest, 1)]
        path = plan.folder / f"seed_{plan.seed}.case"
        path.write_text("\n".join(cases), encoding="utf-8")
    return smallest + found[_MOST_SHRUNK:]
