"""Databricks SQL text, read into statements."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from functools import lru_cache

from sqlglot import exp
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from vinci_code.warehouse.sql.dialect import UnexpectedTokenError, parse_tokens, tokenize
from vinci_code.warehouse.sql.errors import SqlError, syntax_error

# https://docs.databricks.com/api/workspace/statementexecution: "query text ≤ 16 MiB".
MAX_STATEMENT_BYTES = 16 * 1024 * 1024
_CACHED_TEXT = 20_000
# sqlglot warns when it falls back to an uninterpreted command; the fallback is seen by its type.
logging.getLogger("sqlglot").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Statement:
    """One statement.

    Attributes:
        kind: ``SELECT``, ``INSERT``, ``UPDATE``, ``DELETE``, ``MERGE``, ``TRUNCATE``, ``CREATE``,
            ``DROP``, ``ALTER``, ``COMMENT``, ``USE``, ``SET``, ``SHOW``, ``DESCRIBE``, ``EXPLAIN``,
            ``BEGIN`` (interactive), ``BEGIN_ATOMIC``, ``COMMIT``, ``ROLLBACK``, or the first word.
        text: The statement's own text, without a trailing semicolon.
        expression: What sqlglot read. ``None`` for the kinds that sqlglot does not read (SHOW, SET,
            DESCRIBE, USE, transaction control, some ALTERs …): read ``tokens`` instead.
        body: The statements of a ``BEGIN ATOMIC … END``.
        tokens: The tokens of the statement, string literals decoded and adjacent ones joined.
    """

    kind: str
    text: str
    expression: exp.Expression | None = None
    body: tuple[Statement, ...] = field(default=())
    tokens: tuple[Token, ...] = field(default=(), repr=False)


def parse_statement(text: str) -> Statement:
    """Read one statement (a trailing semicolon is allowed), cached by text.

    The expression is shared between callers: copy it before changing it.

    Raises:
        SqlError: ``PARSE_SYNTAX_ERROR`` (42601), ``PARSE_EMPTY_STATEMENT`` (42617), or a limit.
    """
    if len(text) <= _CACHED_TEXT:
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
    expression = parse_statement(f"SELECT {text}").expression
    if not isinstance(expression, exp.Select) or len(expression.expressions) != 1:
        raise syntax_error(text, text)
    if any(value for key, value in expression.args.items() if key != "expressions"):
        raise syntax_error(text, text)
    inner: exp.Expression = expression.expressions[0]
    return inner


def parse_name(text: str) -> list[str]:
    """Return the parts of a dotted name; backticks delimit."""
    parts = re.findall(r"`((?:[^`]|``)*)`|([^.`\s]+)", text)
    names = [(quoted or plain).replace("``", "`") for quoted, plain in parts]
    rebuilt = re.fullmatch(
        r"\s*(?:`(?:[^`]|``)*`|[^.`\s]+)(?:\.(?:`(?:[^`]|``)*`|[^.`\s]+))*\s*", text
    )
    if not names or rebuilt is None:
        raise syntax_error(text, text)
    return names


@lru_cache(maxsize=2048)
def _parse_cached(text: str) -> Statement:
    return _parse(text)


def _parse(text: str) -> Statement:
    tokens = _tokens(text)
    while tokens and tokens[-1].token_type == TokenType.SEMICOLON:
        tokens.pop()
    if not tokens:
        if text.strip():
            raise _unexpected(None, text)
        raise SqlError(
            "PARSE_EMPTY_STATEMENT", "42617", "Syntax error, unexpected empty statement."
        )
    _number_markers(tokens)
    return _statement(tokens, text)


def _tokens(text: str) -> list[Token]:
    try:
        tokens = tokenize(text)
    except TokenError as error:
        start = _open_quote(text)
        line, column = _position(text, start)
        raise syntax_error(text[start : start + 1], text, line, column) from error
    if not text.isascii():
        _check_names(tokens)
    return tokens


def _check_names(tokens: list[Token]) -> None:
    """Refuse what https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-identifiers does.

    Only a delimited identifier may have other characters than ASCII letters, digits and ``_``.
    """
    for token in tokens:
        if token.token_type is TokenType.VAR and not token.text.isascii():
            raise SqlError(
                "INVALID_IDENTIFIER",
                "42602",
                f"The unquoted identifier {token.text} is invalid and must be back quoted as: "
                f"`{token.text}`. Unquoted identifiers can only contain ASCII letters ('a' - 'z', "
                "'A' - 'Z'), digits ('0' - '9'), and underbar ('_').",
            )


_QUOTED = re.compile(
    r"""--[^\n]*|/\*.*?\*/|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`(?:[^`]|``)*`|(?P<open>['"`])|.""",
    re.DOTALL,
)


def _open_quote(text: str) -> int:
    """Return where a quote is opened and never closed, 0 where there is none."""
    return next((m.start() for m in _QUOTED.finditer(text) if m["open"]), 0)


def _number_markers(tokens: list[Token]) -> None:
    """Give every ``?`` its number; the parser reads it from the token's text."""
    number = 0
    for token in tokens:
        if token.token_type == TokenType.PLACEHOLDER:
            token.text = str(number)
            number += 1


def _statement(tokens: list[Token], text: str) -> Statement:
    words = tuple(token.text.upper() for token in tokens[:2])
    own = text[tokens[0].start : tokens[-1].end + 1]
    if words[0] == "BEGIN" and words[1:] == ("ATOMIC",):
        return Statement("BEGIN_ATOMIC", own, body=_body(tokens, text), tokens=tuple(tokens))
    stray = next((t for t in tokens if t.token_type == TokenType.SEMICOLON), None)
    if stray is not None:
        following = tokens[tokens.index(stray) + 1]
        line, column = _position(text, following.start)
        raise syntax_error(following.text, text, line, column)
    kind = _KINDS.get(words[0], "")
    if kind and kind not in _READ:
        return Statement(kind, own, tokens=tuple(tokens))
    expression = _read(tokens, text)
    kind = _kind(expression, words[0])
    if isinstance(expression, exp.Command):
        return Statement(kind, own, tokens=tuple(tokens))
    return Statement(kind, own, expression, tokens=tuple(tokens))


_KINDS = {
    word: word
    for word in [
        "SHOW",
        "SET",
        "RESET",
        "USE",
        "COMMIT",
        "ROLLBACK",
        "EXPLAIN",
        "COMMENT",
        "OPTIMIZE",
        "VACUUM",
        "ANALYZE",
        "REFRESH",
        "CACHE",
        "UNCACHE",
        "CLEAR",
        "GRANT",
        "REVOKE",
        "DENY",
        "PUT",
        "GET",
        "REMOVE",
        "LIST",
        "COPY",
        "CALL",
        "DECLARE",
        "EXECUTE",
        "RESTORE",
        "MSCK",
        "CONVERT",
        "FSCK",
        "UNDROP",
        "SYNC",
        "LOAD",
        "ADD",
        "REPAIR",
        "CREATE",
        "DROP",
        "ALTER",
        "TRUNCATE",
        "INSERT",
        "UPDATE",
        "DELETE",
        "MERGE",
    ]
}
_KINDS |= {
    "DESC": "DESCRIBE",
    "DESCRIBE": "DESCRIBE",
    "BEGIN": "BEGIN",
    "START": "BEGIN",
    "END": "END",
}
_READ = ("CREATE", "DROP", "ALTER", "TRUNCATE", "INSERT", "UPDATE", "DELETE", "MERGE")

_EXPRESSION_KINDS: tuple[tuple[type, str], ...] = (
    (exp.Insert, "INSERT"),
    (exp.Update, "UPDATE"),
    (exp.Delete, "DELETE"),
    (exp.Merge, "MERGE"),
    (exp.Query, "SELECT"),
    (exp.Values, "SELECT"),
)
_STARTERS = ("SELECT", "WITH", "VALUES", "FROM", "TABLE", "(", *_READ)


def _kind(expression: exp.Expr, word: str) -> str:
    for node, kind in _EXPRESSION_KINDS:
        if isinstance(expression, node):
            return kind
    return word


def _read(tokens: list[Token], text: str) -> exp.Expression:
    first = tokens[0]
    if first.text.upper() not in _STARTERS:
        line, column = _position(text, first.start)
        raise syntax_error(first.text, text, line, column)
    try:
        found = [one for one in parse_tokens(tokens, text) if one is not None]
    except UnexpectedTokenError as error:
        raise _unexpected(error.token, text) from None
    except (ParseError, RecursionError) as error:
        raise syntax_error("", text) from error
    if len(found) != 1 or not isinstance(found[0], _ACCEPTED):
        raise _unexpected(tokens[-1] if len(tokens) == 1 else tokens[1], text)
    expression = found[0]
    if not isinstance(expression, exp.Expression) or (
        isinstance(expression, exp.Select) and not expression.expressions
    ):
        raise _unexpected(None, text)
    return expression


_ACCEPTED = (
    exp.Query,
    exp.Values,
    exp.Insert,
    exp.Update,
    exp.Delete,
    exp.Merge,
    exp.Create,
    exp.Drop,
    exp.Alter,
    exp.TruncateTable,
    exp.Command,
)


def _unexpected(token: Token | None, text: str) -> SqlError:
    if token is None or token.token_type == TokenType.SENTINEL or not token.text:
        line, column = _position(text, len(text.rstrip()))
        return syntax_error("", text, line, column)
    line, column = _position(text, token.start)
    return syntax_error(text[token.start : token.end + 1], text, line, column)


def _position(text: str, offset: int) -> tuple[int, int]:
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1)


def _body(tokens: list[Token], text: str) -> tuple[Statement, ...]:
    """Return the statements between BEGIN ATOMIC and END; inner ATOMIC blocks are flattened."""
    if len(tokens) < 3 or tokens[-1].text.upper() != "END":
        raise _unexpected(None, text)
    statements: list[Statement] = []
    current: list[Token] = []
    for token in tokens[2:-1]:
        if token.token_type == TokenType.SEMICOLON:
            _add_inner(statements, current, text)
            current = []
            continue
        current.append(token)
        if len(current) == 2 and [t.text.upper() for t in current] == ["BEGIN", "ATOMIC"]:
            current = []
    if current and [t.text.upper() for t in current] != ["END"]:
        raise _unexpected(tokens[-1], text)
    return tuple(statements)


def _add_inner(statements: list[Statement], current: list[Token], text: str) -> None:
    # The END of an inner block stands alone before its semicolon.
    if not current or [token.text.upper() for token in current] == ["END"]:
        return
    statements.append(_statement(current, text))
