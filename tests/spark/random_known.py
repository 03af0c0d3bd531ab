"""Differences that are no defect of the warehouse, each with its reason.

A reason is given where Databricks documents otherwise, where open-source Spark has no class for an
error, or where what is compared cannot be read on this side.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

from tests.spark.random_agreement import UNREADABLE, Outcome, Side
from tests.spark.random_tree import Node, Script

REFUSED = "the warehouse refuses by name what it cannot compute"
LEFT_OUT = "the order in which operands are computed is not defined: one that fails may be left out"


class Excuses:
    """Says why two outcomes may differ.

    Args:
        warehouse: Asked for the parts of a statement that Spark refuses for a value.
        judge: Asked for the parts of a statement that the warehouse refuses.
    """

    def __init__(self, warehouse: Side, judge: Side) -> None:
        self._warehouse = warehouse
        self._judge = judge

    def __call__(self, script: Script, ours: Outcome, judged: Outcome) -> str:
        """The reason; empty if there is none."""
        for reason, known in _KNOWN.items():
            if known.applies(script, ours, judged):
                return reason
        found = ""
        judged_fails = _fails_on_a_value(judged)
        if ours.error_class is not None and (judged_fails or judged.error_class is None):
            found = self._left_out(script, ours, self._judge)
        if not found and judged_fails and (_fails_on_a_value(ours) or _has_no_rows(script, ours)):
            found = self._left_out(script, judged, self._warehouse)
        return found

    def _left_out(self, script: Script, refused: Outcome, other: Side) -> str:
        """One side does not compute an operand beside one that is NULL, or fails, or is not needed.

        The operand alone fails on that side as the whole does on the other: with the same class,
        where both have one. What only one branch of a condition computes is never excused.
        """
        target = _TARGET.search(refused.message)
        for operand in chain.from_iterable(map(_operands, script.statements)):
            tried = [operand.sql]
            if target is not None:
                # The operand may fail as it is cast to the type of another.
                tried.append(f"CAST({operand.sql} AS {target[1]})")
            for text in tried:
                alone = Script(script.kind, (Node("query", ("SELECT ", text, " AS r")),))
                [[found]] = other.answers([alone])
                if _fails_alike(found, refused):
                    return LEFT_OUT
        return ""


_TARGET = re.compile(r'(?:cannot be cast to|to the) "([^"]+)"')


def _fails_on_a_value(outcome: Outcome) -> bool:
    # SQLSTATE 22 is of values, 42 of statements that are wrong as they stand, but for a pattern.
    of_values = (outcome.sqlstate or "").startswith(("22", "42K0B"))
    return of_values or _has_no_class(outcome)


def _has_no_rows(script: Script, outcome: Outcome) -> bool:
    """A query, or a write of no rows, or a MERGE that has a clause for which there were none.

    What would have been written was not computed then.
    """
    if outcome.error_class is not None:
        return False
    if len(script.statements) == 1:
        return True
    text = "".join(script.texts)
    counts = zip(outcome.columns, *outcome.rows, strict=True) if len(outcome.rows) == 1 else ()
    return any(
        count == 0 and name in _CLAUSES and _CLAUSES[name] in text for (name, _), count in counts
    )


_CLAUSES = {
    "num_affected_rows": "",
    "num_updated_rows": "THEN UPDATE",
    "num_deleted_rows": "THEN DELETE",
    "num_inserted_rows": "THEN INSERT",
}


def _has_no_class(outcome: Outcome) -> bool:
    name = outcome.error_class or ""
    return name.startswith("_LEGACY_ERROR_TEMP_") or name.endswith("Exception")


def _fails_alike(found: Outcome, refused: Outcome) -> bool:
    if found.error_class is not None and (_has_no_class(refused) or _has_no_class(found)):
        return True
    if "_IN_TABLE_" in (refused.error_class or ""):
        # A value that a column cannot hold; alone it is one that a type cannot hold.
        return found.sqlstate == refused.sqlstate
    return (found.error_class, found.sqlstate) == (refused.error_class, refused.sqlstate)


_LAZY = re.compile(r"\s*(?:CASE\b|(?:if|coalesce|nvl|nvl2|ifnull|decode)\()")


def _operands(node: Node) -> Iterator[Node]:
    if _LAZY.match(node.sql):
        return
    for part in node.parts:
        if isinstance(part, Node):
            yield part
            yield from _operands(part)


def _refused(script: Script, ours: Outcome, judged: Outcome) -> bool:
    return ours.error_class == "UNSUPPORTED_BY_LOCAL_WAREHOUSE"


def _unreadable(script: Script, ours: Outcome, judged: Outcome) -> bool:
    return UNREADABLE in (ours.error_class, judged.error_class)


def _without_class(script: Script, ours: Outcome, judged: Outcome) -> bool:
    """Open-source Spark fails with an exception of Java or of before there were classes."""
    broken = ours.error_class is None or "The engine failed" in ours.message
    return _has_no_class(judged) and not broken


_LIBRARY = re.compile(
    r"\b(?:ln|log|log2|log10|log1p|exp|expm1|pow|power|sin|cos|tan|asin|acos|atan|atan2|sinh|cosh|tanh"
    r"|asinh|acosh|atanh|cot|sec|csc|cbrt|hypot|degrees|radians|stddev\w*|std|var\w+|corr|covar\w+"
    r"|skewness|kurtosis|regr_\w+)\(",
)


def _last_digit(script: Script, ours: Outcome, judged: Outcome) -> bool:
    """Java's mathematics and C's may differ in the last of sixteen digits."""
    text = script.texts[0]
    # What is summed in another order, and what DuckDB sums powers of, where Spark sums those of
    # distances from the mean.
    summed = re.search(r"\b(?:skewness|kurtosis|regr_\w+|covar\w+|corr|var\w+|std\w*)\(", text)
    nearly = partial(_nearly, relative=1e-11, absolute=1e-12) if summed else _nearly
    ours_rows, judged_rows = (sorted(side.rows, key=_rounded) for side in (ours, judged))
    return _LIBRARY.search(text) is not None and nearly(ours_rows, judged_rows)


def _rounded(row: list[Any]) -> str:
    return str([round(item, 9) + 0.0 if isinstance(item, float) else item for item in row])


def _nearly(left: Any, right: Any, *, relative: float = 4e-15, absolute: float = 0.0) -> bool:
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(
            _nearly(one, other, relative=relative, absolute=absolute)
            for one, other in zip(left, right, strict=True)
        )
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=relative, abs_tol=absolute)
    return bool(left == right)


def _longer_float(script: Script, ours: Outcome, judged: Outcome) -> bool:
    """Java before 19 writes some floats with more digits than are needed to read them back."""
    if [len(row) for row in ours.rows] != [1] or [len(row) for row in judged.rows] != [1]:
        return False
    [left], [right] = ours.rows[0], judged.rows[0]
    if not (isinstance(left, str) and isinstance(right, str) and len(left) < len(right)):
        return False
    try:
        return struct.pack("f", float(left)) == struct.pack("f", float(right))
    except (ValueError, OverflowError):
        return False


def _saturated(script: Script, ours: Outcome, judged: Outcome) -> bool:
    """``ceil`` and ``floor`` of a double beyond BIGINT: Spark 4.3 raises."""
    rounds = re.search(r"\b(?:ceil|ceiling|floor)\(", script.texts[0]) is not None
    greatest = re.search(r"922337203685477580[78]", judged.message + str(judged.rows)) is not None
    infinite = (
        re.search(r"\b(?:ceil|ceiling|floor)\([^()]*\('-?Infinity'", script.texts[0]) is not None
    )
    return ours.error_class == "ARITHMETIC_OVERFLOW" and rounds and (greatest or infinite)


def _assigned(script: Script, ours: Outcome, judged: Outcome) -> bool:
    """Databricks' class for a value that a column cannot take; Delta 4.4 names the cast."""
    return (
        (ours.error_class or "").startswith("INCOMPATIBLE_DATA_FOR_TABLE.")
        and (judged.error_class or "").startswith("DATATYPE_MISMATCH.CAST_")
        and len(script.statements) > 1
    )


def _lexer(script: Script, ours: Outcome, judged: Outcome) -> bool:
    """The words begin a type for Spark's lexer, which then takes ``>>`` for the ends of two."""
    words = re.search(r"\b(?:array|map|struct)\b.*>>", script.texts[-1], re.IGNORECASE | re.DOTALL)
    return judged.error_class == "PARSE_SYNTAX_ERROR" and words is not None


def _not_assigned(script: Script, ours: Outcome, judged: Outcome) -> bool:
    """The manual's table of store assignment has none to Numeric from Boolean and Timestamp."""
    refused = ours.error_class == "INCOMPATIBLE_DATA_FOR_TABLE.CANNOT_SAFELY_CAST"
    pair = re.search(r'"(?:BOOLEAN|TIMESTAMP)" to "(?:INT|DECIMAL)', ours.message) is not None
    return refused and pair and (judged.error_class is None or _fails_on_a_value(judged))


def _twice(script: Script, ours: Outcome, judged: Outcome) -> bool:
    """Two source rows match a target row, but no clause changes it twice.

    Since Databricks Runtime 16.1 the condition of WHEN MATCHED has to hold too.
    """
    repeated = "DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW_IN_MERGE"
    always = re.search(r"\bWHEN MATCHED THEN\b", "".join(script.texts)) is not None
    return judged.error_class == repeated and ours.error_class is None and not always


def _default(script: Script, ours: Outcome, judged: Outcome) -> bool:
    """``UPDATE SET column = DEFAULT`` in a MERGE, of which Delta 4.4 fails to say what it lacks."""
    unresolved = judged.error_class == "DELTA_MERGE_UNRESOLVED_EXPRESSION"
    return unresolved and "= DEFAULT" in "".join(script.texts)


def _long_interval(script: Script, ours: Outcome, judged: Outcome) -> bool:
    """Spark 4.2 wraps the months of 9223372036854775807 years round: -1-0."""
    return (
        ours.error_class == "INVALID_INTERVAL_FORMAT.INTERVAL_PARSING"
        and judged.error_class is None
        and "'9223372036854775807'" in script.texts[0]
    )


def _halved(script: Script, ours: Outcome, judged: Outcome) -> bool:
    """Java finds matches inside of a character beyond U+FFFF, and writes ? for its halves."""
    expanded = re.search("[\U00010000-\U0010ffff]", str(ours.rows)) is not None
    pattern = re.search(r"\bregexp_\w+\(|\bsplit\(", script.texts[0]) is not None
    return expanded and pattern and "?" in str(judged.rows)


class _Known(NamedTuple):
    """A reason: who says so, and where it applies."""

    source: str
    applies: Callable[[Script, Outcome, Outcome], bool]


_MANUAL = "https://docs.databricks.com/aws/en/"
_KNOWN = {
    REFUSED: _Known("[the local warehouse](local_warehouse.md)", _refused),
    "PySpark cannot read the answer": _Known(
        "PySpark has no dates before the year 1 or after 9999, and no months inside of something",
        _unreadable,
    ),
    "open-source Spark's error has no class": _Known("it is an exception of Java", _without_class),
    "Java before 19 writes more digits of a FLOAT": _Known(
        "https://bugs.openjdk.org/browse/JDK-4511638", _longer_float
    ),
    "Delta names the cast where Databricks names the column": _Known(
        f"{_MANUAL}error-messages/incompatible-data-for-table-error-class", _assigned
    ),
    "Spark 4.2 cuts what ceil and floor cannot hold": _Known("Spark 4.3 raises", _saturated),
    "the last digit of Java's mathematics": _Known(
        "https://docs.oracle.com/en/java/javase/17/docs/api/java.base/java/lang/Math.html: what "
        "is within one unit of the last place is right",
        _last_digit,
    ),
    "Spark reads >> after ARRAY, MAP or STRUCT as the end of types": _Known(
        "Spark's grammar (SqlBaseLexer.g4) counts these words", _lexer
    ),
    "Databricks assigns no BOOLEAN and no TIMESTAMP to a number": _Known(
        f"{_MANUAL}sql/language-manual/sql-ref-ansi-compliance", _not_assigned
    ),
    "Databricks counts the matches for which WHEN MATCHED holds, Delta 4.4 all": _Known(
        "https://community.databricks.com/t5/technical-blog/"
        "improved-duplicate-match-handling-in-delta-merge-operations/ba-p/106537",
        _twice,
    ),
    "Databricks takes DEFAULT in the UPDATE of a MERGE, Delta 4.4 does not": _Known(
        f"{_MANUAL}sql/language-manual/delta-merge-into", _default
    ),
    "Spark 4.2 wraps round an interval of too many years": _Known(
        "it answers -1-0 for 9223372036854775807 years", _long_interval
    ),
    "Java finds matches inside of a character beyond U+FFFF": _Known(
        "its strings are of UTF-16, and ? stands for half of a character", _halved
    ),
}

REASONS = {reason: known.source for reason, known in _KNOWN.items()} | {
    LEFT_OUT: f"{_MANUAL}udf/python#evaluation-order-and-null-checking"
}
"""Every reason that there can be, with who says so."""
