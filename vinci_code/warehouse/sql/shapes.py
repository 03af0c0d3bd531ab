"""Statements whose data is lifted out before they are read.

The long strings of a statement and the rows of its VALUES are its data, which is new every time,
while its shape is not. The shape is read, which the parser's cache makes cheap, and the data comes
back into what was read. Wherever that does not go through cleanly, the whole text is read as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from sqlglot import exp

from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.lexemes import STRING, lexemes, string_value, unescape
from vinci_code.warehouse.sql.parse import CACHED_TEXT, check_size, parse_statement

# Stands for data in a shape; a text that has it already is read whole.
_MARK = "\ue000"
# A string of this length is data, and so is Base64 of any length.
_LONG = 64
# Rows are lifted out of a text of this length, and begin within it.
_MANY = 20_000
_LITERAL = rf"{STRING}|-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|NULL|TRUE|FALSE"
_CELL = re.compile(_LITERAL, re.DOTALL | re.IGNORECASE)
_ROW = rf"\(\s*(?:{_LITERAL})(?:\s*,\s*(?:{_LITERAL}))*\s*\)"
_ROWS = re.compile(_ROW, re.DOTALL | re.IGNORECASE)
_VALUES = re.compile(r"\bVALUES\s*(?=\()", re.IGNORECASE)
_ALL_ROWS = re.compile(
    rf"(?P<rows>{_ROW}(?:\s*,\s*{_ROW})*)\s*(?:;\s*)?\Z", re.DOTALL | re.IGNORECASE
)


def own_expression(text: str) -> exp.Expression:
    """Return the expression of one query or DML statement, which the caller may change.

    Raises:
        SqlError: As ``parse_statement``.
    """
    check_size(text)
    if _MARK not in text:
        found = _with_rows(text) or _with_strings(text)
        if found is not None:
            return found
    expression = parse_statement(text)
    # What is not cached is the caller's alone.
    return expression.copy() if len(text) <= CACHED_TEXT else expression


def _with_strings(text: str) -> exp.Expression | None:
    shape, strings = (_lifted_before if len(text) <= CACHED_TEXT else _lifted)(text)
    expression = _shape(shape) if strings else None
    if expression is None:
        return None
    values = {f"{_MARK}{index}": value for index, value in enumerate(strings)}
    marked = [one for one in expression.find_all(exp.Literal) if one.this in values]
    # A mark may have become part of a comment, of two adjacent strings, or no string at all.
    if sorted(one.this for one in marked) != sorted(values):
        return None
    for literal in marked:
        literal.set("this", values[literal.this])
    return expression


@lru_cache(maxsize=256)
def _lifted_before(text: str) -> tuple[str, list[str]]:
    return _lifted(text)


def _lifted(text: str) -> tuple[str, list[str]]:
    """Return the text with a mark in place of each string that is data, and these strings."""
    strings: list[str] = []
    pieces, done = [], 0
    two_before, before = "", ""
    for lexeme in lexemes(text):
        is_long = len(lexeme.text) >= _LONG or (before == "(" and two_before == "UNBASE64")
        if lexeme.kind == "string" and is_long:
            pieces += [text[done : lexeme.start], f"'{_MARK}{len(strings)}'"]
            strings.append(string_value(lexeme))
            done = lexeme.end
        two_before, before = before, lexeme.text.upper() if len(lexeme.text) < _LONG else ""
    return "".join([*pieces, text[done:]]), strings


def _with_rows(text: str) -> exp.Expression | None:
    word = _VALUES.search(text, 0, _MANY) if len(text) > _MANY else None
    match = _ALL_ROWS.match(text, word.end()) if word else None
    expression = _shape(f"{text[: match.start()]}('{_MARK}')") if match else None
    if match is None or expression is None:
        return None
    for values in expression.find_all(exp.Values):
        if _is_marked(values):
            values.set("expressions", list(_rows(match["rows"])))
            return expression
    return None


def _is_marked(values: exp.Values) -> bool:
    # A parser may have taken the mark for something else; then it is not the only cell of a row.
    rows = values.expressions
    cells = rows[0].expressions if len(rows) == 1 and isinstance(rows[0], exp.Tuple) else []
    return len(cells) == 1 and isinstance(cells[0], exp.Literal) and cells[0].this == _MARK


def _rows(text: str) -> Iterator[exp.Tuple]:
    for row in _ROWS.finditer(text):
        yield exp.Tuple(expressions=[_literal(cell) for cell in _CELL.findall(row.group())])


def _literal(text: str) -> exp.Expression:
    if text[0] == "'":
        return exp.Literal.string(unescape(text[1:-1]))
    if text[0] == "-":
        return exp.Neg(this=exp.Literal.number(text[1:]))
    if text[0].isdigit():
        return exp.Literal.number(text)
    word = text.upper()
    return exp.Null() if word == "NULL" else exp.Boolean(this=word == "TRUE")


def _shape(text: str) -> exp.Expression | None:
    """Read a text without its data; an error is for the whole text to show, with its place."""
    try:
        return parse_statement(text).copy()
    except SqlError:
        return None
