"""Texts of several statements: a file of them, and what somebody types."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from vinci_code.core.errors import VinciError
from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.lexemes import Lexeme, lexemes

if TYPE_CHECKING:
    from vinci_code.warehouse.local import LocalWarehouse


class ScriptError(VinciError, ValueError):
    """A file of statements cannot be read, or a statement of it failed."""


def run_script(warehouse: LocalWarehouse, path: Path) -> None:
    """Run the statements of a file in a warehouse, in order, up to the first that fails.

    Each is run in a session of its own, in the warehouse's catalog and schema.

    Raises:
        ScriptError: The file cannot be read or split, or a statement failed: its line, and why.
    """
    text = read_script(path)
    try:
        found = list(statements(text))
    except SqlError as error:
        raise ScriptError(
            f"{path} cannot be split into statements: {error}\nTo fix it: correct that place."
        ) from error
    for start, statement in found:
        try:
            warehouse.sql(statement)
        except SqlError as error:
            line = text.count("\n", 0, start) + 1
            raise ScriptError(
                f"{path}, line {line}: {error}\n"
                "To fix it: correct the statement; those before it were run."
            ) from error


def read_script(path: Path) -> str:
    """The text of a file of statements.

    Raises:
        ScriptError: It is not UTF-8.
        OSError: It cannot be read.
    """
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ScriptError(
            f"{path} is not UTF-8: byte {error.start} is no part of a character\n"
            "To fix it: save it as UTF-8."
        ) from error


def statements(text: str) -> Iterator[tuple[int, str]]:
    """The statements of a text, each with the place where it begins, without its semicolon.

    A semicolon ends a statement, except between the BEGIN and END of a compound one.

    Raises:
        SqlError: A quote or comment is not closed.
    """
    for words in _split(text):
        if words:
            yield words[0].start, text[words[0].start : words[-1].end]


def is_whole(text: str) -> bool:
    """Whether all statements of a text have their semicolon: nothing is left to be typed."""
    try:
        *_, last = _split(text)
    except SqlError:
        return False
    return not last


def _split(text: str) -> Iterator[list[Lexeme]]:
    """The words of each statement; the last are what stands behind the last semicolon."""
    words: list[Lexeme] = []
    depth = 0
    for lexeme in lexemes(text):
        if lexeme.kind == "symbol" and lexeme.text == ";" and (depth == 0 or _is_plain(words)):
            yield words
            words, depth = [], 0
            continue
        words.append(lexeme)
        word = lexeme.text.upper() if lexeme.kind == "word" else ""
        if words[0].text.upper() == "BEGIN":
            depth += (word in {"BEGIN", "CASE"}) - (word == "END")
    yield words


def _is_plain(words: list[Lexeme]) -> bool:
    """Whether BEGIN is all that it says: the beginning of a transaction, not of a block."""
    return [word.text.upper() for word in words] in (["BEGIN"], ["BEGIN", "TRANSACTION"])
