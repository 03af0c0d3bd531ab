"""Where Databricks answers otherwise than open-source Spark: each step, with its reason and source.

A step is listed as ``subject::case#n``, the n-th statement of its case. A listed step that agrees
after all fails the test until its line is taken out.
"""

from __future__ import annotations

from dataclasses import dataclass

_MANUAL = "https://docs.databricks.com/aws/en/sql/language-manual/"


@dataclass(frozen=True)
class Difference:
    """One difference that is meant.

    Attributes:
        reason: What differs, in a sentence.
        source: Where Databricks says so, or what open-source Spark says.
    """

    reason: str
    source: str


DIFFERENCES: dict[str, Difference] = {}
