"""Databricks SQL text, read into statements."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlglot import exp


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
    """

    kind: str
    text: str
    expression: exp.Expression | None = None
    body: tuple[Statement, ...] = field(default=())


def parse_statement(text: str) -> Statement:
    """Read one statement (a trailing semicolon is allowed), cached by text.

    The expression is shared between callers: copy it before changing it.

    Raises:
        SqlError: ``PARSE_SYNTAX_ERROR`` (42601), ``PARSE_EMPTY_STATEMENT`` (42617), or a limit.
    """
    raise NotImplementedError


def parse_expression(text: str) -> exp.Expression:
    """Read one scalar expression, for example the text of a CHECK constraint or of a DEFAULT."""
    raise NotImplementedError
