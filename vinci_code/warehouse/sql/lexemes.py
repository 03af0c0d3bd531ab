r"""The words of Databricks SQL, and what its string literals mean.

Whoever reads the text of a statement, of an expression or of a type reads it by these. The rules
are those of Spark's lexer (``SqlBaseLexer.g4``) and of its ``unescapeSQLString``, to which
https://docs.databricks.com/aws/en/sql/language-manual/data-types/string-type and
https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-syntax-comment add nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from vinci_code.warehouse.sql.errors import SqlError, syntax_error
from vinci_code.warehouse.sql.interruption import check_interrupt

# Letters, digits, the underscore, and whatever is neither ASCII nor a blank.
_LETTER = r"[^\x00-/:-@\[-^`{-\x7f\s]"
_DIGITS = "[0-9]+"
STRING = r"'[^'\\]*(?:\\.[^'\\]*)*'"
"""The pattern of a string in single quotes; ``.`` has to match a newline."""

_LEXEME = re.compile(
    rf"""
    (?P<space>\s+ | --(?:\\\n|[^\r\n])*)
  | (?P<comment>/\*)
  | (?P<raw>[rR](?:'[^']*'|"[^"]*"))
  | (?P<number>(?:{_DIGITS}\.[0-9]*|{_DIGITS}|(?<!{_LETTER})(?<![`)\]])\.{_DIGITS})
        (?:[eE][+-]?{_DIGITS})? (?:[bB][dD]|[lLsSyYdDfF])? (?!{_LETTER}))
  | (?P<word>{_LETTER}+)
  | (?P<string>{STRING} | "[^"\\]*(?:\\.[^"\\]*)*")
  | (?P<quoted>`(?:[^`]|``)*`)
  | (?P<stray>['"`\x00-\x1f\x7f])
  | (?P<symbol><=>|<=|>=|<>|!=|==|=>|\|\||\|>|\?::|::|:=|->|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
# The octal digits of an escape begin with 0 or 1: '\777' is '777'.
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([01][0-7]{2})|(.))", re.DOTALL)
_ESCAPES = {
    "0": "\0",
    "b": "\b",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "Z": "\x1a",
    # They keep their backslash, so that they can be written in the pattern of LIKE.
    "%": "\\%",
    "_": "\\_",
}
_HALF = re.compile("[\ud800-\udfff]")


class Lexeme(NamedTuple):
    """One word, number, string or symbol of a text, with its place there.

    Attributes:
        kind: ``word``, ``quoted`` (in backticks), ``string``, ``raw`` (``r'…'``), ``number`` or
            ``symbol``.
        text: As it was written.
        start: Where it begins.
        end: Where it has ended.
    """

    kind: str
    text: str
    start: int
    end: int


def lexemes(text: str) -> Iterator[Lexeme]:
    """Split a text into its lexemes; blanks, comments and hints are left out.

    Raises:
        SqlError: ``PARSE_SYNTAX_ERROR`` for a quote that is never closed, and for a control
            character; ``UNCLOSED_BRACKETED_COMMENT`` for such a comment; ``OPERATION_CANCELED``.
    """
    match, position = _LEXEME.match, 0
    while found := match(text, position):
        check_interrupt()
        kind, position = str(found.lastgroup), found.end()
        if kind == "comment":
            position = _end_of_comment(text, position)
        elif kind == "stray":
            raise syntax_error(found[0], text, found.start())
        elif kind != "space":
            yield Lexeme(kind, found[0], found.start(), position)


def _end_of_comment(text: str, position: int) -> int:
    depth = 1
    while depth:
        edge = _COMMENT_EDGE.search(text, position)
        if edge is None:
            raise SqlError(
                "UNCLOSED_BRACKETED_COMMENT",
                "42601",
                "Found an unclosed bracketed comment. Please, append */ at the end of the comment.",
            )
        depth += 1 if edge[0] == "/*" else -1
        position = edge.end()
    return position


def check_words(words: Iterable[Lexeme]) -> Iterator[Lexeme]:
    """Refuse what https://docs.databricks.com/aws/en/sql/language-manual/sql-ref-identifiers does.

    Raises:
        SqlError: ``INVALID_IDENTIFIER`` for a letter that only a delimited identifier may have.
    """
    for lexeme in words:
        if lexeme.kind == "word" and not lexeme.text.isascii():
            raise SqlError(
                "INVALID_IDENTIFIER",
                "42602",
                f"The unquoted identifier {lexeme.text} is invalid and must be back quoted as: "
                f"`{lexeme.text}`. Unquoted identifiers can only contain ASCII letters ('a' - 'z', "
                "'A' - 'Z'), digits ('0' - '9'), and underbar ('_').",
            )
        yield lexeme


def is_name(lexeme: Lexeme) -> bool:
    """Whether it can be a name: it is in backticks, or a word that begins with no digit."""
    return lexeme.kind == "quoted" or (lexeme.kind == "word" and not lexeme.text[0].isdigit())


def name_of(lexeme: Lexeme) -> str:
    """Return the name that a word means, in backticks or plain."""
    return lexeme.text[1:-1].replace("``", "`") if lexeme.kind == "quoted" else lexeme.text


def parse_name(text: str) -> list[str]:
    """Return the parts of a name with dots between.

    Raises:
        SqlError: ``PARSE_SYNTAX_ERROR`` where it is none.
    """
    found = list(check_words(lexemes(text)))
    parts, dots = found[::2], found[1::2]
    if len(parts) == len(dots) or any(dot.text != "." for dot in dots):
        raise syntax_error(text, text)
    if not all(map(is_name, parts)):
        raise syntax_error(text, text)
    return [name_of(part) for part in parts]


def string_value(lexeme: Lexeme) -> str:
    """Return what a string literal means."""
    return lexeme.text[2:-1] if lexeme.kind == "raw" else unescape(lexeme.text[1:-1])


def unescape(body: str) -> str:
    r"""Return what the body of a string literal means: ``\n`` is a newline, ``\x`` is ``x``."""
    if "\\" not in body:
        return body
    text = _ESCAPE.sub(_unescaped, body)
    return _whole_characters(text) if "\\u" in body or "\\U" in body else text


def _unescaped(match: re.Match[str]) -> str:
    short, long, octal, letter = match.groups()
    if octal:
        return chr(int(octal, 8))
    if letter:
        return _ESCAPES.get(letter, letter)
    code = int(short or long, 16)
    if code < 0x10000:
        return chr(code)
    high, low = divmod(code - 0x10000, 0x400)
    return chr(high + 0xD800 & 0xFFFF) + chr(low + 0xDC00)


def _whole_characters(text: str) -> str:
    # Java keeps the halves of UTF-16: two make one character, and one alone is written as "?".
    units = text.encode("utf-16-le", "surrogatepass")
    return _HALF.sub("?", units.decode("utf-16-le", "surrogatepass"))
