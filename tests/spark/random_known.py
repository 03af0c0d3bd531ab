"""Differences that are no defect of the warehouse, each with its reason.

A reason is given where Databricks documents otherwise, where open-source Spark has no class for an
error, or where what is compared cannot be read on this side.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.spark.random_agreement import UNREADABLE, Outcome
from tests.spark.random_tree import Script

REFUSED = "the warehouse refuses by name what it cannot compute"


def excused(script: Script, ours: Outcome, judged: Outcome) -> str:
    """The reason why two outcomes may differ; empty if there is none."""
    for reason, applies in _KNOWN.items():
        if applies(script, ours, judged):
            return reason
    return ""


def _refused(script: Script, ours: Outcome, judged: Outcome) -> bool:
    return ours.error_class == "UNSUPPORTED_BY_LOCAL_WAREHOUSE"


def _unreadable(script: Script, ours: Outcome, judged: Outcome) -> bool:
    return judged.error_class == UNREADABLE or "fromInternal is not implemented" in judged.message


def _without_class(script: Script, ours: Outcome, judged: Outcome) -> bool:
    """Open-source Spark fails with an exception of Java or of before there were classes."""
    name = judged.error_class or ""
    nameless = name.startswith("_LEGACY_ERROR_TEMP_") or name.endswith("Exception")
    broken = ours.error_class in (None, "INTERNAL_ERROR")
    return nameless and not broken


def _count_unknown(script: Script, ours: Outcome, judged: Outcome) -> bool:
    """Delta without statistics does not count the rows of a table that is emptied."""
    return judged.columns == (("num_affected_rows", "BIGINT"),) and judged.rows == [[-1]]


_KNOWN: dict[str, Callable[[Script, Outcome, Outcome], bool]] = {
    REFUSED: _refused,
    "PySpark cannot read the answer": _unreadable,
    "open-source Spark's error has no class": _without_class,
    "Delta without statistics counts no rows when it empties a table": _count_unknown,
}
