"""Which parts of each node of a statement are looked at: one with another part is refused.

sqlglot reads more than Databricks SQL. What of a node no rewrite asks for would be lost without a
word: ``INSERT OR IGNORE INTO t …`` would insert. So each class of nodes is named here, with the
parts that the translation computes or refuses by its own words; where a statement has a node of
another class, or another part, it is refused before anything is executed.

The parts are those that sqlglot names, in the trees that ``dialect.WarehouseParser`` makes. What
that parser is given no part for, since sqlglot makes the same tree of several texts, it refuses by
itself (``INSERT INTO t SET a = 1``).
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlglot import exp

from vinci_code.warehouse.sql.errors import SqlError, syntax_error, unsupported

_OF_TWO = "this expression"
_PARTS: dict[str, str] = {
    # --- statements
    "Select": (
        "expressions from_ joins laterals where group having qualify windows distinct order limit "
        "offset sort distribute cluster with_"
    ),
    "Union": "this expression distinct with_ order limit offset sort",
    "Intersect": "this expression distinct with_ order limit offset sort",
    "Except": "this expression distinct with_ order limit offset sort",
    "Values": "expressions alias order limit offset pivots",
    "Insert": "this expression by_name overwrite with_ where",
    "Update": "this expressions where",
    "Delete": "this where",
    "Merge": "this using on whens with_",
    "Whens": "expressions",
    "When": "matched source condition then",
    "Describe": "this style",
    # --- relations
    "From": "this",
    "Table": "this db catalog alias joins pivots sample version",
    "Subquery": "this alias joins pivots sample order limit offset sort distribute",
    "TableAlias": "this columns",
    "Schema": "this expressions",
    "Join": "this side kind on using method",
    "Lateral": "this alias view outer",
    "With": "expressions recursive",
    "CTE": "this alias",
    "TableSample": "percent size seed",
    "Version": "this kind expression",
    "Pivot": "expressions fields unpivot alias columns pivot_column_naming include_nulls",
    "PivotAlias": "this alias",
    # --- clauses
    "Where": "this",
    "Having": "this",
    "Qualify": "this",
    "Group": "expressions all rollup cube grouping_sets",
    "Rollup": "expressions",
    "Cube": "expressions",
    "GroupingSets": "expressions",
    "Order": "expressions",
    "Sort": "expressions",
    "Distribute": "expressions",
    "Cluster": "expressions",
    "Ordered": "this desc nulls_first",
    "Limit": "expression",
    "Offset": "expression",
    "Distinct": "expressions",
    # --- names, literals, types
    "Identifier": "this quoted",
    "Column": "this table db catalog",
    "Dot": _OF_TWO,
    "Star": "except_",
    "Alias": "this alias",
    "Aliases": "this expressions",
    "Var": "this",
    "Literal": "this is_string",
    "Null": "",
    "Boolean": "this",
    "HexString": "this",
    "Interval": "this unit",
    "IntervalSpan": _OF_TWO,
    "Placeholder": "this kind",
    "DataType": "this expressions nested",
    "DataTypeParam": "this",
    "ColumnDef": "this kind",
    # --- operators
    **dict.fromkeys(
        (
            "Add And BitwiseAnd BitwiseLeftShift BitwiseOr BitwiseRightShift BitwiseXor Div EQ "
            "Escape GT GTE IntDiv Is LT LTE Mod Mul NEQ NullSafeEQ NullSafeNEQ Or RegexpLike Sub"
        ).split(),
        _OF_TWO,
    ),
    "DPipe": "this expression safe",
    "Like": "this expression negate",
    "ILike": "this expression negate",
    "Any": "this",
    "All": "this",
    "Not": "this",
    "Neg": "this",
    "BitwiseNot": "this",
    "Paren": "this",
    "Tuple": "expressions",
    "Between": "this low high",
    "In": "this expressions query",
    "Exists": "this",
    "Case": "this ifs default",
    "If": "this true",
    "Cast": "this to safe",
    "TryCast": "this to safe",
    "Bracket": "this expressions json_access",
    "JSONExtract": "this expression variant_extract",
    "JSONPath": "expressions",
    "JSONPathRoot": "",
    "JSONPathWildcard": "",
    "JSONPathKey": "this quoted",
    "JSONPathSubscript": "this",
    # --- calls
    "Anonymous": "this expressions",
    "Kwarg": _OF_TWO,
    "Lambda": "this expressions",
    "CurrentDate": "",
    "CurrentTime": "",
    "CurrentTimestamp": "",
    "CurrentUser": "",
    "Localtimestamp": "",
    "SessionUser": "",
    "Filter": _OF_TWO,
    "WithinGroup": _OF_TWO,
    "IgnoreNulls": "this",
    "RespectNulls": "this",
    "Window": "this alias over partition_by order spec",
    "WindowSpec": "kind start start_side end end_side",
}
PARTS = {name: frozenset(parts.split()) for name, parts in _PARTS.items()}
"""The parts that are looked at, by the names of the classes of nodes."""

# What Databricks' grammar has no place for, as the words that are named in the error.
_FOREIGN = {
    ("Insert", "alternative"): "OR",
    ("Insert", "ignore"): "IGNORE",
    ("Insert", "default"): "DEFAULT",
    ("Insert", "conflict"): "ON",
    ("Insert", "exists"): "IF",
    ("Insert", "is_function"): "FUNCTION",
    ("Insert", "returning"): "RETURNING",
    ("Insert", "settings"): "SETTINGS",
    ("Insert", "stored"): "STORED",
    ("Delete", "tables"): "FROM",
    ("Delete", "cluster"): "ON",
    ("Delete", "limit"): "LIMIT",
    ("Delete", "order"): "ORDER",
    ("Delete", "returning"): "RETURNING",
    ("Delete", "using"): "USING",
    ("Update", "from_"): "FROM",
    ("Update", "limit"): "LIMIT",
    ("Update", "order"): "ORDER",
    ("Update", "returning"): "RETURNING",
    ("Merge", "returning"): "RETURNING",
    ("Merge", "using_cond"): "USING",
    ("Select", "into"): "INTO",
    ("Select", "locks"): "FOR",
    ("Select", "prewhere"): "PREWHERE",
    ("Select", "settings"): "SETTINGS",
    ("Select", "format"): "FORMAT",
    ("Select", "connect"): "CONNECT",
    ("Select", "match"): "MATCH_RECOGNIZE",
    ("Limit", "this"): ",",
    ("Limit", "offset"): ",",
    ("Limit", "expressions"): "BY",
    ("Star", "replace"): "REPLACE",
    ("Star", "rename"): "RENAME",
    ("Ordered", "with_fill"): "WITH",
    ("Distinct", "on"): "ON",
    ("Group", "totals"): "TOTALS",
}

# Of the parts that hold words, those that are looked at.
_WORDS = {
    ("Join", "side"): ("LEFT", "RIGHT", "FULL"),
    ("Join", "kind"): ("INNER", "CROSS", "OUTER", "SEMI", "ANTI"),
    ("Join", "method"): ("NATURAL",),
    ("Version", "this"): ("VERSION", "TIMESTAMP"),
    ("Version", "kind"): ("AS OF",),
    ("Window", "over"): ("OVER",),
    ("WindowSpec", "kind"): ("ROWS", "RANGE"),
    ("WindowSpec", "start_side"): ("PRECEDING", "FOLLOWING"),
    ("WindowSpec", "end_side"): ("PRECEDING", "FOLLOWING"),
}

# Of the table that a statement writes to. A name alone, for INSERT; with an alias, for the others.
_TARGETS = {"Insert": "this db catalog", **dict.fromkeys(("Update", "Delete", "Merge"), "")}
_TARGET_PARTS = {
    name: frozenset((parts or "this db catalog alias version").split())
    for name, parts in _TARGETS.items()
}


def require_known_parts(expression: exp.Expression, text: str) -> None:
    """Refuse a statement of which something is not looked at.

    Args:
        expression: The tree of it, as the parser has made it.
        text: The statement, for the place of the error.

    Raises:
        SqlError: ``PARSE_SYNTAX_ERROR`` where Databricks has no such thing;
            ``UNSUPPORTED_BY_LOCAL_WAREHOUSE`` otherwise.
    """
    for node in expression.walk():
        name = type(node).__name__
        parts = PARTS.get(name)
        if parts is None:
            raise unsupported(f"{_words(node)}, which it does not know")
        for key, value in node.args.items():
            if _is_nothing(value):
                continue
            if key not in parts:
                raise _refusal(node, key, text)
            words = _WORDS.get((name, key))
            if words is not None and str(value).upper() not in words:
                raise syntax_error(str(value).upper(), text)
        check = _CHECKS.get(name)
        if check is not None:
            check(node, text)


def _is_nothing(value: object) -> bool:
    return value is None or value is False or value == [] or value == ""


def _refusal(node: exp.Expr, part: str, text: str) -> SqlError:
    name = type(node).__name__
    word = _FOREIGN.get((name, part))
    if word is not None:
        return syntax_error(word, text)
    value = node.args[part]
    shown = _words(value) if isinstance(value, exp.Expr) else part.rstrip("_").upper()
    return unsupported(f"{name.upper()} with {shown} ({part.rstrip('_')})")


def _words(node: exp.Expr) -> str:
    return type(node).__name__.upper()


# --- where it stands ------------------------------------------------------------------------------


def _require_target(node: exp.Expr, text: str) -> None:
    """Refuse more of the table that is written to than its statement takes."""
    table = node.this.this if isinstance(node.this, exp.Schema) else node.this
    if not isinstance(table, exp.Table):
        return
    allowed = _TARGET_PARTS[type(node).__name__]
    for key, value in table.args.items():
        if key not in allowed and not _is_nothing(value):
            if key == "alias":
                raise syntax_error(table.alias, text)
            raise unsupported(f"{_words(node)} of a table with {key.rstrip('_').upper()}")


def _require_no_star(node: exp.Expr, _text: str) -> None:
    """``count(DISTINCT *)`` counts rows without NULL; nothing here makes columns of that star."""
    if _has_star(node.args.get("expressions") or ()):
        raise unsupported("a star behind DISTINCT in a function call")


def _has_star(nodes: Iterable[exp.Expr]) -> bool:
    return any(
        isinstance(node, exp.Star)
        or (isinstance(node, exp.Column) and isinstance(node.this, exp.Star))
        for node in nodes
    )


def _require_assignments(node: exp.Expr, text: str) -> None:
    then = node.args.get("then")
    if isinstance(then, exp.Update) and not then.args.get("expressions"):
        raise syntax_error("", text, len(text.rstrip()))


_CHECKS = {
    **dict.fromkeys(_TARGETS, _require_target),
    "Distinct": _require_no_star,
    "When": _require_assignments,
}
