"""Databricks SQL text, read into expressions: queries, DML, and parts of them."""

from __future__ import annotations

import logging
from functools import lru_cache
from itertools import pairwise

from sqlglot import exp
from sqlglot.errors import ParseError
from sqlglot.tokenizer_core import Token, TokenType

from vinci_code.warehouse.sql.dialect import UnexpectedTokenError, parse_tokens, tokenize
from vinci_code.warehouse.sql.errors import SqlError, syntax_error, too_complex
from vinci_code.warehouse.sql.lexemes import lexemes
from vinci_code.warehouse.sql.node_parts import require_known_parts

# https://docs.databricks.com/api/workspace/statementexecution: "query text ≤ 16 MiB".
MAX_STATEMENT_BYTES = 16 * 1024 * 1024
CACHED_TEXT = 20_000
# sqlglot warns when it falls back to an uninterpreted command; the fallback is seen by its type.
logging.getLogger("sqlglot").setLevel(logging.ERROR)
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
    _number_markers(tokens)
    return _read(tokens, text)


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
