"""What of Databricks SQL open-source Spark has no statement for, and what is run in its place.

Each rule has its reason; the reasons and how often each was used are in ``docs/spark.md``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.warehouse.corpus.reader import Step


@dataclass(frozen=True)
class Adapted:
    """What is run on Spark for one step.

    Attributes:
        statements: The statements, in order; the last one's answer counts.
        left: Why nothing is run; empty if something is.
        has_result: Whether the answer's columns and rows are to be those of the step.
    """

    statements: tuple[str, ...] = ()
    left: str = ""
    has_result: bool = True


def adapt(step: Step) -> Adapted:
    """Return what to run on Spark for a step."""
    return Adapted((step.sql,))
