"""What is taken of sqlglot beyond ``exp``: one list, checked before anything uses it.

Names that begin with ``_`` may go with any release of sqlglot. ``dialect`` uses those that are
listed here and no others, so that one line reports a release without them.
"""

from __future__ import annotations

from importlib.metadata import version

from sqlglot import exp
from sqlglot.parser import Parser

from vinci_code.core.errors import EXIT_UNAVAILABLE, VinciError, install_command

# Before, PIVOT is read otherwise; 30.24 takes UNION before an INTERSECT behind it, and 30.20 loses
# LIMIT ALL: wrong answers, with every name in its place.
OLDEST = (30, 29)

# What the parser keeps of its place among the tokens, and what moves it.
PLACE = ("_advance", "_curr", "_index", "_next", "_prev", "_retreat", "_tokens")
MATCHING = ("_match", "_match_set", "_match_text_seq", "_match_texts")
# What it reads parts of an expression with.
READING = (
    "_parse_bitwise",
    "_parse_case",
    "_parse_column",
    "_parse_csv",
    "_parse_lambda",
    "_parse_primary",
    "_parse_unary",
    "_parse_wrapped_csv",
)
# What is overridden: sqlglot calls it by this name.
OVERRIDDEN = (
    "_parse_function_args",
    "_parse_group",
    "_parse_insert_table",
    "_parse_interval",
    "_parse_limit",
    "_parse_placeholder",
    "_parse_star_op",
    "_parse_subquery",
    "_parse_table_alias",
    "_parse_table_parts",
    "_parse_type",
    "_parse_types",
    "_parse_version",
    "raise_error",
)
TABLES = (
    "ARRAY_CONSTRUCTORS",
    "FUNCTIONS",
    "FUNCTIONS_WITH_ALIASED_ARGS",
    "FUNCTION_PARSERS",
    "NO_PAREN_FUNCTION_PARSERS",
    "STATEMENT_PARSERS",
    "UNARY_PARSERS",
)
PARSER = (*PLACE, *MATCHING, *READING, *OVERRIDDEN, *TABLES)
# Classes of expressions that modules use as they are loaded.
EXPRESSIONS = ("DType", "Expr")


class UnsupportedSqlglotError(VinciError):
    """The sqlglot that is installed is too old, or lacks what the local warehouse takes of it."""

    exit_code = EXIT_UNAVAILABLE


def check() -> None:
    """Make sure that sqlglot is not too old, and that it has every name that is listed here.

    Raises:
        UnsupportedSqlglotError: Where that is not so.
    """
    lacking = [f"Parser.{name}" for name in PARSER if not hasattr(Parser, name)]
    lacking += [f"exp.{name}" for name in EXPRESSIONS if not hasattr(exp, name)]
    found = version("sqlglot")
    if not lacking and tuple(map(int, found.split(".")[:2])) >= OLDEST:
        return
    lacks = f", which lacks {', '.join(lacking)}" if lacking else ""
    raise UnsupportedSqlglotError(
        f"The local warehouse needs sqlglot {'.'.join(map(str, OLDEST))} or later; found "
        f"{found}{lacks}. "
        f"Install one that is supported: {install_command('warehouse')}"
    )
