"""Databricks SQL text, read into expressions: queries, DML, and parts of them."""

from __future__ import annotations

import logging
from functools import lru_cache
from itertools import pairwise

from sqlglot import exp
from sqlglot.errors import ParseError
from sqlglot.tokenizer_core import Token, TokenType

from vinci_code.warehouse.sql.dialect import UnexpectedTokenError, parse_tokens, tokenize
from vinci_code.warehouse.sql.errors import SqlError, syntax_error, too_complex, unsupported
from vinci_code.warehouse.sql.lexemes import lexemes
from vinci_code.warehouse.sql.node_parts import require_known_parts

# https://docs.databricks.com/api/workspace/statementexecution: "query text ≤ 16 MiB".
MAX_STATEMENT_BYTES = 16 * 1024 * 1024
CACHED_TEXT = 20_000
# sqlglot warns when it falls back to an uninterpreted command; the fallback is seen by its type.
logging.getLogger("sqlglot").setLevel(logging.ERROR)
# Of a MERGE: told among what is known of its node.
SCHEMA_EVOLUTION = "schema_evolution"
QUERY_WORDS = ("SELECT", "WITH", "VALUES", "FROM", "TABLE")
DML_WORDS = ("INSERT", "UPDATE", "DELETE", "MERGE")


def first_word(text: str) -> str:
    """Return the word in upper case that identifies a kind of statement; empty without one.

    Raises:
        SqlError: As ``lexemes``, for what stands before the word.
    """
    return next((one.text.upper() for one in lexemes(text) if one.text != "("), "")


def parse_statement(text: str) -> exp.Expression:
    """Read one query or DML statement (a trailing semicolon is allowed), cached by text.

    The expression is shared between callers: copy it before changing it.

    Raises:
        SqlError: ``PARSE_SYNTAX_ERROR`` (42601), ``PARSE_EMPTY_STATEMENT`` (42617), or a limit.
    """
    if len(text) <= CACHED_TEXT:
        return _parse_cached(text)
    check_size(text)
    return _parse(text)


def check_size(text: str) -> None:
    """Refuse a statement of more than 16 MiB.

    Raises:
        SqlError: ``BAD_REQUEST``.
    """
    size = len(text.encode())
    if size > MAX_STATEMENT_BYTES:
        raise SqlError(
            "BAD_REQUEST",
            "54000",
            f"The statement is too large: {size} bytes were given but the limit is "
            f"{MAX_STATEMENT_BYTES} bytes.",
        )


def parse_expression(text: str) -> exp.Expression:
    """Read one scalar expression, for example the text of a CHECK constraint or of a DEFAULT."""
    expression = parse_statement(f"SELECT {text}")
    if not isinstance(expression, exp.Select) or len(expression.expressions) != 1:
        raise syntax_error(text, text)
    if any(value for key, value in expression.args.items() if key != "expressions"):
        raise syntax_error(text, text)
    inner: exp.Expression = expression.expressions[0]
    return inner


@lru_cache(maxsize=2048)
def _parse_cached(text: str) -> exp.Expression:
    return _parse(text)


def _parse(text: str) -> exp.Expression:
    tokens = tokenize(text)
    while tokens and tokens[-1].token_type == TokenType.SEMICOLON:
        tokens.pop()
    if not tokens:
        if text.strip():
            raise _unexpected(None, text)
        raise SqlError(
            "PARSE_EMPTY_STATEMENT", "42617", "Syntax error, unexpected empty statement."
        )
    if tokens[0].text.upper() not in ("(", *QUERY_WORDS, *DML_WORDS):
        raise _unexpected(tokens[0], text)
    for token, following in pairwise(tokens):
        if token.token_type == TokenType.SEMICOLON:
            raise _unexpected(following, text)
        if token.token_type == TokenType.COMMA:
            _require_item(following, text)
    if tokens[-1].token_type == TokenType.COMMA:
        raise _unexpected(None, text)
    _number_markers(tokens)
    evolves = _takes_schema_evolution(tokens)
    expression = _read(_with_selects(tokens, text), text)
    if evolves:
        expression.meta[SCHEMA_EVOLUTION] = True
    return expression


# What no item of a list begins with; sqlglot passes over the comma before it.
_NO_ITEM = (
    TokenType.COMMA,
    TokenType.R_PAREN,
    TokenType.WHERE,
    TokenType.GROUP_BY,
    TokenType.ORDER_BY,
    TokenType.HAVING,
    TokenType.JOIN,
    TokenType.UNION,
)


def _require_item(token: Token, text: str) -> None:
    """Refuse a comma behind the last item of a list."""
    if token.token_type == TokenType.FROM:
        raise SqlError(
            "TRAILING_COMMA_IN_SELECT",
            "42601",
            "Trailing comma detected in SELECT clause. Remove the trailing comma before the FROM "
            "clause.",
        )
    if token.token_type in _NO_ITEM:
        raise _unexpected(token, text)


def _takes_schema_evolution(tokens: list[Token]) -> bool:
    """Take ``WITH SCHEMA EVOLUTION`` out of a MERGE; sqlglot does not know it."""
    words = [token.text.upper() for token in tokens[:4]]
    if words[1:] != ["WITH", "SCHEMA", "EVOLUTION"] or words[0] not in ("MERGE", "INSERT"):
        return False
    if words[0] == "INSERT":
        raise unsupported("INSERT WITH SCHEMA EVOLUTION")
    del tokens[1:4]
    return True


# Behind which a query begins.
_BEFORE_A_QUERY = (
    TokenType.UNION,
    TokenType.EXCEPT,
    TokenType.INTERSECT,
    TokenType.ALL,
    TokenType.DISTINCT,
)
_NAMES = (TokenType.VAR, TokenType.IDENTIFIER)


def _with_selects(tokens: list[Token], text: str) -> list[Token]:
    """Write ``TABLE t`` as ``SELECT * FROM t``, and the same before VALUES behind WITH.

    sqlglot has no node for either; both are queries of Databricks:
    https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-qry-query
    """
    first = tokens[0].token_type
    if not any(token.token_type in (TokenType.TABLE, TokenType.VALUES) for token in tokens):
        return tokens
    found: list[Token] = []
    depth = 0
    for index, token in enumerate(tokens):
        kind = token.token_type
        depth += (kind == TokenType.L_PAREN) - (kind == TokenType.R_PAREN)
        main = (
            depth == 0
            and first == TokenType.WITH
            and tokens[index - 1].token_type == TokenType.R_PAREN
        )
        if kind == TokenType.TABLE and (main or _begins_query(tokens, index)):
            _require_name_alone(tokens, index + 1, text)
            found += _select_star(token)
        elif kind == TokenType.VALUES and main and not _writes(tokens):
            found += [*_select_star(token), token]
        else:
            found.append(token)
    return found


def _begins_query(tokens: list[Token], index: int) -> bool:
    if index == 0:
        return True
    before = tokens[index - 1].token_type
    if before == TokenType.L_PAREN:
        return index < 2 or tokens[index - 2].token_type not in _NAMES
    if before in _BEFORE_A_QUERY:
        return True
    # INSERT INTO t TABLE u, with a list of columns or without, also behind the condition of REPLACE
    # WHERE, and not INSERT INTO TABLE t.
    return tokens[0].token_type == TokenType.INSERT and before in (*_NAMES, *_ENDS)


_ENDS = (
    TokenType.R_PAREN,
    TokenType.STRING,
    TokenType.NUMBER,
    TokenType.NULL,
    TokenType.TRUE,
    TokenType.FALSE,
)

# What may stand behind ``TABLE t``: no alias, no condition and no join.
_BEHIND_A_TABLE = (
    TokenType.R_PAREN,
    TokenType.UNION,
    TokenType.EXCEPT,
    TokenType.INTERSECT,
    TokenType.ORDER_BY,
    TokenType.SORT_BY,
    TokenType.CLUSTER_BY,
    TokenType.DISTRIBUTE_BY,
    TokenType.LIMIT,
    TokenType.OFFSET,
)


def _require_name_alone(tokens: list[Token], index: int, text: str) -> None:
    while index < len(tokens):
        if tokens[index].token_type in (TokenType.L_PAREN, TokenType.STRING, TokenType.NUMBER):
            raise _unexpected(tokens[index], text)
        index += 1
        if index == len(tokens) or tokens[index].token_type in _BEHIND_A_TABLE:
            return
        if tokens[index].token_type != TokenType.DOT:
            raise _unexpected(tokens[index], text)
        index += 1
    raise _unexpected(None, text)


def _writes(tokens: list[Token]) -> bool:
    return any(token.token_type in (TokenType.INSERT, TokenType.MERGE) for token in tokens)


def _select_star(place: Token) -> list[Token]:
    words = ((TokenType.SELECT, "SELECT"), (TokenType.STAR, "*"), (TokenType.FROM, "FROM"))
    return [Token(kind, word, start=place.start, end=place.end) for kind, word in words]


def _number_markers(tokens: list[Token]) -> None:
    """Give every ``?`` its number; the parser reads it from the token's text."""
    number = 0
    for token in tokens:
        if token.token_type == TokenType.PLACEHOLDER:
            token.text = str(number)
            number += 1


def _read(tokens: list[Token], text: str) -> exp.Expression:
    try:
        found = [one for one in parse_tokens(tokens, text) if one is not None]
    except UnexpectedTokenError as error:
        raise _unexpected(error.token, text) from None
    except RecursionError:
        raise too_complex() from None
    except ParseError as error:
        raise syntax_error("", text) from error
    if len(found) != 1 or not isinstance(found[0], _ACCEPTED):
        raise _unexpected(tokens[-1] if len(tokens) == 1 else tokens[1], text)
    expression = found[0]
    if not isinstance(expression, exp.Expression) or (
        isinstance(expression, exp.Select) and not expression.expressions
    ):
        raise _unexpected(None, text)
    require_known_parts(expression, text)
    _refuse_mixed_markers(expression)
    _forget_places(expression)
    return expression


def _refuse_mixed_markers(expression: exp.Expression) -> None:
    """Refuse named markers beside unnamed ones: which value is whose would be a guess.

    https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-parameter-marker
    """
    kinds = {node.args.get("kind") for node in expression.find_all(exp.Placeholder)}
    if len(kinds) > 1:
        raise SqlError(
            "INVALID_QUERY_MIXED_QUERY_PARAMETERS",
            "42613",
            "Parameterized query must either use positional, or named parameters, but not both.",
        )


def _forget_places(expression: exp.Expression) -> None:
    """Drop where each name stands, which nobody asks for: half of what a copy costs."""
    for node in expression.walk():
        if node.meta_get("line") is not None:
            for name in _PLACE:
                node.meta.pop(name, None)


_PLACE = ("line", "col", "start", "end")

_ACCEPTED = (exp.Query, exp.Values, exp.Insert, exp.Update, exp.Delete, exp.Merge)


def _unexpected(token: Token | None, text: str) -> SqlError:
    if token is None or token.token_type == TokenType.SENTINEL or not token.text:
        return syntax_error("", text, len(text.rstrip()))
    return syntax_error(text[token.start : token.end + 1], text, token.start)
