"""What of Databricks SQL open-source Spark has no statement for, and what is run in its place.

Each rule has its reason; the reasons and how often each was used are in ``docs/spark.md``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlglot.tokenizer_core import Token, TokenType

from vinci_code.warehouse.engine.reader import split_atomic, split_compound
from vinci_code.warehouse.sql.dialect import tokenize

TRANSACTIONS = "multi-statement transactions are a part of Databricks, not of open-source Spark"
KEYS = "Delta's own catalog keeps no keys; on Databricks they are informational"
BEFORE = "it follows, in its case, a statement that differs as listed here, or could not be run"
CATALOGS = "catalogs are those of Unity Catalog"
INFORMATION_SCHEMA = "information_schema is a part of Unity Catalog"
SHOW = "open-source Spark names and chooses the columns of SHOW and DESCRIBE otherwise"
NOT_NULL = "open-source Delta cannot make an existing column NOT NULL"
STRING_PATHS = "the path operator on a STRING is a part of Databricks"

NAMES = "Unity Catalog takes names of tables that the open-source catalog does not"

SUBQUERIES = "the condition of an UPDATE or DELETE may hold sub-queries on Databricks"
CORRELATED = "an UPDATE may set a correlated sub-query, as Spark's own message says; Delta's cannot"

_SPECIAL_NAME = r"`(?:[^`]|``)*(?:[^\w`]|``|[^\x00-\x7f])(?:[^`]|``)*`"
# What the open-source catalog or Delta refuses, in which statements, and why that is no difference.
_REFUSED: tuple[tuple[str, str, str], ...] = (
    ("INVALID_SCHEMA_OR_RELATION_NAME", _SPECIAL_NAME, NAMES),
    # A name with a backtick is read again as SQL, one with a colon as the URI of a folder.
    ("INVALID_ATTRIBUTE_NAME_SYNTAX", _SPECIAL_NAME, NAMES),
    ("java.lang.IllegalArgumentException", _SPECIAL_NAME, NAMES),
    # Of a block each statement begins a line.
    ("DELTA_UNSUPPORTED_SUBQUERY", r"(^|\n)\s*(UPDATE|DELETE)\b", SUBQUERIES),
    (
        "UNSUPPORTED_SUBQUERY_EXPRESSION_CATEGORY.UNSUPPORTED_CORRELATED_SCALAR_SUBQUERY",
        r"(^|\n)\s*UPDATE\b",
        CORRELATED,
    ),
)

_LEFT: tuple[tuple[str, str], ...] = (
    (
        r"((BEGIN(\s+TRANSACTION)?|COMMIT|ROLLBACK)(\s+WORK)?|SET\s+AUTOCOMMIT.*)\s*;?\s*$",
        TRANSACTIONS,
    ),
    (r"(CREATE|DROP|USE|ALTER|DESCRIBE|COMMENT\s+ON)\s+CATALOG\b", CATALOGS),
    (r".*\bINFORMATION_SCHEMA\b", INFORMATION_SCHEMA),
    (
        r"SHOW\b|(DESC|DESCRIBE)\s+(DETAIL|HISTORY|EXTENDED|SCHEMA|DATABASE|TABLE\s+EXTENDED)\b",
        SHOW,
    ),
    (r"(DESC|DESCRIBE)\b.*\bAS\s+JSON\b|EXPLAIN\b|.*\(\s*DESCRIBE\b", SHOW),
    (r"ALTER\s+TABLE\b.*\b(PRIMARY|FOREIGN)\s+KEY\b", KEYS),
    (r"ALTER\s+TABLE\b.*\bUNIQUE\s*\(", KEYS),
    (r"ALTER\s+TABLE\b.*\bSET\s+NOT\s+NULL\b", NOT_NULL),
)
_LEFT_STATEMENTS = tuple((re.compile(p, re.IGNORECASE | re.DOTALL), reason) for p, reason in _LEFT)

# DDL answers with nothing here, with an empty column "Result" on Databricks; an INSERT with nothing
# here, with its counts there (docs.databricks.com/aws/en/delta/…, and the driver's rowcount).
_ANSWERS = re.compile(
    r"\s*(\(|SELECT|WITH|VALUES|FROM|TABLE|DESC|DESCRIBE|UPDATE|DELETE|MERGE)\b|\s*\(",
    re.IGNORECASE,
)
_KEY = r"(CONSTRAINT\s+(`([^`]|``)+`|\S+)\s+)?"
_KEY_OF_TABLE = re.compile(_KEY + r"(PRIMARY\s+KEY|FOREIGN\s+KEY|UNIQUE)\b", re.IGNORECASE)
_KEY_OF_COLUMN = re.compile(
    r"\s" + _KEY + r"(PRIMARY\s+KEY|(FOREIGN\s+KEY\s+)?REFERENCES\s.*)$", re.IGNORECASE | re.DOTALL
)


@dataclass(frozen=True)
class Adapted:
    """What is run on Spark for one statement.

    Attributes:
        statements: The statements, in order; the last one's answer counts.
        left: Why nothing is run; empty if something is.
        has_result: Whether the answer's columns and rows are to be those of Databricks.
        ends_case: Whether what follows in the case cannot be compared, once this has failed.
    """

    statements: tuple[str, ...] = ()
    left: str = ""
    has_result: bool = True
    ends_case: bool = False


def adapt(sql: str, *, plain: bool = False) -> Adapted:
    """Return what to run on Spark for a statement whose parameters are literals already.

    Args:
        sql: The statement.
        plain: Make tables of Parquet files, without constraints: a fraction of the time.
    """
    if plain and re.match(r"\s*ALTER\s+TABLE\b", sql, re.IGNORECASE):
        return Adapted()
    for pattern, reason in _LEFT_STATEMENTS:
        if pattern.match(sql.strip()):
            return Adapted(left=reason)
    if re.match(r"\s*BEGIN\s+ATOMIC\b", sql, re.IGNORECASE):
        return _atomic(sql)
    if re.match(r"\s*BEGIN\b", sql, re.IGNORECASE):
        # Spark has scripts of its own. What one without a query answers is not compared.
        return Adapted((sql,), has_result=_ANSWERS.match(split_compound(sql)[-1]) is not None)
    zone = re.fullmatch(r"\s*SET\s+TIMEZONE\s*=\s*('[^']*')\s*", sql, re.IGNORECASE)
    if zone:
        return Adapted((f"SET TIME ZONE {zone[1]}",), has_result=False)
    if re.match(r"\s*CREATE\s+(OR\s+REPLACE\s+)?TABLE\b", sql, re.IGNORECASE):
        return Adapted((_without_keys(sql, "USING parquet" if plain else ""),), has_result=False)
    return Adapted((sql,), has_result=_ANSWERS.match(sql) is not None)


def uses_transactions(sql: str) -> bool:
    """Whether a statement begins or ends an interactive transaction."""
    return _LEFT_STATEMENTS[0][0].match(sql.strip()) is not None


def _atomic(sql: str) -> Adapted:
    """The statements inside of BEGIN ATOMIC … END, one by one."""
    inner = [adapt(statement) for statement in split_atomic(sql)]
    return Adapted(
        tuple(text for adapted in inner for text in adapted.statements),
        has_result=bool(inner) and inner[-1].has_result,
        ends_case=True,
    )


def refused_here(sql: str, error_class: str) -> str:
    """Why open-source Spark refuses what Databricks takes; empty where that is not so."""
    return next(
        (
            reason
            for refused, pattern, reason in _REFUSED
            if refused == error_class and re.search(pattern, sql, re.IGNORECASE)
        ),
        "",
    )


def can_be_plain(sql: str) -> bool:
    """Whether a statement of a set-up needs nothing of Delta, if its tables are only read."""
    return re.search(r"\b(GENERATED|DEFAULT)\b", sql, re.IGNORECASE) is None


def _without_keys(sql: str, format_clause: str) -> str:
    """A CREATE TABLE without its keys, and without the feature that only Unity Catalog has."""
    tokens = tokenize(sql)
    opening = _opening(tokens)
    if opening is not None:
        closing = _closing(tokens, opening)
        columns = [_without_key(element, sql) for element in _elements(tokens, opening, closing)]
        listed = ", ".join(column for column in columns if column)
        before, after = sql[: tokens[opening].start], sql[tokens[closing].end + 1 :]
        if format_clause:
            after = re.sub(r"TBLPROPERTIES\s*\([^()]*\)", "", after)
        sql = f"{before}({listed}) {format_clause}{after}"
    sql = re.sub(r"'delta\.feature\.catalogManaged'\s*=\s*'supported'(\s*,\s*)?", "", sql)
    sql = re.sub(r",\s*\)\s*$", ")", sql)
    return re.sub(r"TBLPROPERTIES\s*\(\s*\)", "", sql)


def _opening(tokens: list[Token]) -> int | None:
    """Place of the parenthesis that opens the list of columns."""
    for place, token in enumerate(tokens):
        if token.token_type is TokenType.L_PAREN:
            return place
        if token.text.upper() in ("AS", "USING", "TBLPROPERTIES", "LIKE", "CLONE"):
            return None
    return None


def _closing(tokens: list[Token], opening: int) -> int:
    depth = 0
    for place in range(opening, len(tokens)):
        depth += tokens[place].token_type is TokenType.L_PAREN
        depth -= tokens[place].token_type is TokenType.R_PAREN
        if depth == 0:
            return place
    return len(tokens) - 1


def _elements(tokens: list[Token], opening: int, closing: int) -> list[list[Token]]:
    """The tokens of each column or constraint in the list."""
    elements: list[list[Token]] = [[]]
    depth = 0
    for token in tokens[opening + 1 : closing]:
        depth += token.token_type in (TokenType.L_PAREN, TokenType.LT)
        depth -= token.token_type in (TokenType.R_PAREN, TokenType.GT)
        if token.token_type is TokenType.COMMA and depth == 0:
            elements.append([])
        else:
            elements[-1].append(token)
    return [element for element in elements if element]


def _without_key(element: list[Token], sql: str) -> str:
    """A column without the key that stands at its end; nothing for a key of the table."""
    text = sql[element[0].start : element[-1].end + 1]
    return "" if _KEY_OF_TABLE.match(text) else _KEY_OF_COLUMN.sub("", text)
