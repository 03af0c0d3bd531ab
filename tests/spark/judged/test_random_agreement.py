"""Random statements get the same answers from the local warehouse and from Apache Spark.

``VINCI_RANDOM_COMPARISONS`` and ``VINCI_RANDOM_SEED`` say how many and which; what differs is made
as small as can be, printed, and written as a case into ``VINCI_RANDOM_FOUND``.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from tests.spark import figures
from tests.spark.random_agreement import Comparison
from tests.spark.random_known import REFUSED, Excuses
from tests.spark.random_run import Plan, disagreements
from tests.spark.random_sides import Warehouse
from tests.spark.random_spark import Spark

# Read before the test begins: tests run without any of our variables.
PLAN = Plan.of_environment()


@pytest.fixture
def warehouse() -> Iterator[Warehouse]:
    opened = Warehouse()
    yield opened
    opened.close()


def test_random_statements_agree(warehouse: Warehouse, spark: SparkSession) -> None:
    plan = PLAN
    print(f"seed {plan.seed}, {plan.comparisons} scripts")
    judge = Spark(spark)
    try:
        comparison = Comparison(warehouse, judge, Excuses(warehouse, judge))
        found = disagreements(plan, comparison)
    finally:
        judge.close()
    statements = sum(comparison.compared.values())
    counts = {
        "statements": statements,
        "values": comparison.values,
        "unexplained": len(found),
        "seed": plan.seed,
    }
    excused = {f"excused: {reason}": count for reason, count in comparison.excuses.items()}
    figures.keep("random", counts | excused)
    print(f"compared {dict(comparison.compared)}; excused {dict(comparison.excuses)}")
    if found:
        listed = "\n\n".join(one.report for one in found)
        pytest.fail(f"seed {plan.seed}: {len(found)} differ\n{listed}", pytrace=False)
    # A generator that draws little but what is refused compares nothing.
    assert comparison.excuses[REFUSED] < 0.05 * plan.comparisons
