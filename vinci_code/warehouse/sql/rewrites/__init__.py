"""Every rewrite from Databricks SQL to DuckDB SQL, with its reason.

A rewrite is one function. It gets the binder, a node as sqlglot read it and the names in scope, and
returns DuckDB SQL with the Databricks type. The list is the whole language of expressions: a node
that is not in it is refused. Functions have a list of their own (``sql/builtins``), and whole
queries are in ``queries.py``, ``relations.py``, ``grouping.py``, ``common_tables.py``,
``stars.py``, ``generators.py`` and ``pivots.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from vinci_code.warehouse.sql.binder import Rewriter
from vinci_code.warehouse.sql.rewrites import (
    calls,
    literals,
    operators,
    pivots,
    predicates,
)


@dataclass(frozen=True)
class Rewrite:
    """One rewrite: the nodes it takes, the function, and why it is needed."""

    nodes: tuple[type, ...]
    function: Rewriter
    reason: str


def _rewrite(function: object, reason: str, *nodes: type) -> Rewrite:
    return Rewrite(nodes, function, reason)  # type: ignore[arg-type]


REWRITES: tuple[Rewrite, ...] = (
    # Literals and parameters
    _rewrite(
        literals.rewrite_literal,
        "literals have Databricks types: 1 INT, 1.5 DECIMAL(2,1), 1e3 DOUBLE",
        exp.Literal,
    ),
    _rewrite(literals.rewrite_boolean, "TRUE and FALSE", exp.Boolean),
    _rewrite(literals.rewrite_null, "NULL is VOID until something gives it a type", exp.Null),
    _rewrite(literals.rewrite_hex, "X'41' is BINARY", exp.HexString),
    _rewrite(
        literals.rewrite_interval,
        "intervals are of months or of microseconds, never both",
        exp.Interval,
    ),
    _rewrite(literals.rewrite_parameter, "markers are bound values, never text", exp.Placeholder),
    _rewrite(
        literals.rewrite_paren, "every translated expression brings its own parentheses", exp.Paren
    ),
    # Casts
    _rewrite(
        literals.rewrite_cast, "ANSI casts: Databricks' text forms, truncation and errors", exp.Cast
    ),
    _rewrite(literals.rewrite_try_cast, "NULL where CAST raises", exp.TryCast),
    # Names
    _rewrite(
        predicates.rewrite_column,
        "names are resolved here, so that errors and types are Databricks'",
        exp.Column,
    ),
    _rewrite(predicates.rewrite_identifier, "a lambda's parameter", exp.Identifier),
    _rewrite(
        predicates.rewrite_dot, "fields of structs, of arrays of structs, and map values", exp.Dot
    ),
    _rewrite(
        predicates.rewrite_bracket, "arrays count from 0 and raise beyond the end", exp.Bracket
    ),
    _rewrite(
        predicates.rewrite_path, "the path operator on JSON text and on VARIANT", exp.JSONExtract
    ),
    _rewrite(predicates.rewrite_tuple, "a tuple is a struct", exp.Tuple),
    # Arithmetic
    _rewrite(operators.rewrite_add, "widening, decimals, dates and intervals", exp.Add),
    _rewrite(operators.rewrite_subtract, "widening, decimals, dates and intervals", exp.Sub),
    _rewrite(operators.rewrite_multiply, "decimal precision; an interval times a number", exp.Mul),
    _rewrite(
        operators.rewrite_divide,
        "fractional for integers, exact for decimals, raises on zero",
        exp.Div,
    ),
    _rewrite(operators.rewrite_integer_divide, "BIGINT, towards zero, raises on zero", exp.IntDiv),
    _rewrite(operators.rewrite_modulo, "sign of the dividend, raises on zero", exp.Mod),
    _rewrite(literals.rewrite_negative, "the smallest integer is one literal", exp.Neg),
    _rewrite(operators.rewrite_bitwise_not, "integers only", exp.BitwiseNot),
    _rewrite(
        operators.rewrite_bitwise,
        "DuckDB's ^ is a power",
        exp.BitwiseAnd,
        exp.BitwiseOr,
        exp.BitwiseXor,
    ),
    _rewrite(
        operators.rewrite_shift,
        "shifts wrap around as in Java",
        exp.BitwiseLeftShift,
        exp.BitwiseRightShift,
    ),
    _rewrite(operators.rewrite_concat, "strings, binaries and arrays; NULL gives NULL", exp.DPipe),
    # Comparison and logic
    _rewrite(
        operators.rewrite_compare, "implicit casts to the least common type", *operators.COMPARISONS
    ),
    _rewrite(
        operators.rewrite_null_safe, "<=> takes NULL for a value", exp.NullSafeEQ, exp.NullSafeNEQ
    ),
    _rewrite(operators.rewrite_logic, "BOOLEAN only", exp.And, exp.Or),
    _rewrite(operators.rewrite_not, "BOOLEAN only", exp.Not),
    _rewrite(predicates.rewrite_is, "IS NULL, IS TRUE, IS FALSE", exp.Is),
    _rewrite(predicates.rewrite_between, "each end by its own common type", exp.Between),
    _rewrite(predicates.rewrite_in, "lists and sub-queries, implicit casts", exp.In),
    _rewrite(predicates.rewrite_exists, "EXISTS", exp.Exists),
    _rewrite(predicates.rewrite_scalar_query, "one value; more rows are an error", exp.Subquery),
    _rewrite(predicates.rewrite_like, "backslash escapes by default", exp.Like, exp.ILike),
    _rewrite(predicates.rewrite_escape, "ESCAPE names another character", exp.Escape),
    _rewrite(predicates.rewrite_rlike, "finds the pattern anywhere", exp.RegexpLike),
    _rewrite(predicates.rewrite_case, "results in their least common type", exp.Case),
    # Calls
    _rewrite(
        calls.rewrite_call, "an allow-list: nothing of DuckDB's own is reachable", exp.Anonymous
    ),
    _rewrite(
        calls.rewrite_no_paren_call,
        "current_date and the like stand without parentheses",
        exp.CurrentDate,
        exp.CurrentTimestamp,
        exp.CurrentUser,
        exp.SessionUser,
    ),
    _rewrite(
        calls.rewrite_modified_call,
        "FILTER, IGNORE NULLS, WITHIN GROUP",
        exp.Filter,
        exp.IgnoreNulls,
        exp.RespectNulls,
        exp.WithinGroup,
    ),
    _rewrite(calls.rewrite_window, "NULLs come first in windows too", exp.Window),
    _rewrite(pivots.rewrite_raw, "a condition that PIVOT made", pivots.RAW),
)

REWRITERS: dict[type, Rewriter] = {
    node: rewrite.function for rewrite in REWRITES for node in rewrite.nodes
}
