"""Reading the words of a command, for the statements that have a grammar of their own.

sqlglot reads queries and DML. DDL, SHOW, DESCRIBE, SET and the like are read here word by word, so
that a clause which is not known is a syntax error and is never skipped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vinci_code.warehouse.engine.names import TableName, object_name
from vinci_code.warehouse.sql.errors import SqlError, syntax_error, unsupported

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*)
  | (?P<comment>/\*)
  | (?P<raw>[rR](?:'[^']*'|"[^"]*"))
  | (?P<string>'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*")
  | (?P<quoted>`(?:[^`]|``)*`)
  | (?P<number>(?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?)
  | (?P<word>[^\W\d]\w*)
  | (?P<symbol><=>|<=|>=|<>|!=|==|\|\||::|->|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[0-7]{3}|.)", re.DOTALL)
_ESCAPES = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a"}
_OPEN = {"(": ")", "[": "]"}


@dataclass(frozen=True)
class Token:
    """A word, symbol, number or string of a statement, with its place in the text."""

    kind: str
    text: str
    start: int
    end: int


def tokenize(text: str) -> list[Token]:
    """Split a statement into tokens; comments and white space are left out.

    Raises:
        SqlError: ``PARSE_SYNTAX_ERROR`` for a string or a comment that does not end.
    """
    tokens, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:  # the last alternative takes any character
            raise syntax_error(text[position], text)
        kind = match.lastgroup or "symbol"
        if kind == "comment":
            position = _end_of_comment(text, position)
            continue
        if kind == "symbol" and match.group() in "'\"`":
            raise syntax_error(match.group(), text, *_place(text, position))
        if kind != "space":
            tokens.append(Token(kind, match.group(), position, match.end()))
        position = match.end()
    return tokens


def string_value(token: Token) -> str:
    """Return what a string token means, its escapes resolved.

    https://docs.databricks.com/aws/en/sql/language-manual/data-types/string-type
    """
    if token.kind == "raw":
        return token.text[2:-1]
    return _ESCAPE.sub(_unescape, token.text[1:-1])


def first_word(text: str) -> str:
    """Return the first word of a statement in upper case; empty where there is none."""
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            return ""
        if match.lastgroup == "comment":
            position = _end_of_comment(text, position)
        elif match.lastgroup == "space" or match.group() == "(":
            position = match.end()
        else:
            return match.group().upper()
    return ""


class Reader:
    """A cursor over the tokens of one statement."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokenize(text)
        while self.tokens and self.tokens[-1].text == ";":
            self.tokens.pop()
        self.index = 0

    @property
    def done(self) -> bool:
        """Whether all was read."""
        return self.index >= len(self.tokens)

    def peek(self, *words: str) -> bool:
        """Return whether these words come next."""
        following = self.tokens[self.index : self.index + len(words)]
        return len(following) == len(words) and all(
            token.kind in ("word", "symbol") and token.text.upper() == word
            for token, word in zip(following, words, strict=True)
        )

    def accept(self, *words: str) -> bool:
        """Read these words if they come next."""
        if not self.peek(*words):
            return False
        self.index += len(words)
        return True

    def accept_any(self, *words: str) -> str | None:
        """Read one of these words if it comes next, and return it."""
        return next((word for word in words if self.accept(word)), None)

    def expect(self, *words: str) -> None:
        """Read these words.

        Raises:
            SqlError: ``PARSE_SYNTAX_ERROR`` where something else comes.
        """
        for word in words:
            if not self.accept(word):
                raise self.error()

    def end(self) -> None:
        """Make sure that nothing is left over."""
        if not self.done:
            raise self.error()

    def next(self) -> Token:
        """Read whatever comes next."""
        if self.done:
            raise self.error()
        token = self.tokens[self.index]
        self.index += 1
        return token

    def error(self) -> SqlError:
        """Return a syntax error at the word that comes next."""
        if self.done:
            return syntax_error("", self.text, *_place(self.text, len(self.text)))
        token = self.tokens[self.index]
        return syntax_error(token.text, self.text, *_place(self.text, token.start))

    def identifier(self) -> str:
        """Read an identifier, in backticks or plain."""
        token = self.next()
        if token.kind == "quoted":
            return token.text[1:-1].replace("``", "`")
        if token.kind != "word":
            self.index -= 1
            raise self.error()
        return token.text

    def name_parts(self) -> list[str]:
        """Read a name of one or more parts with dots between, or ``IDENTIFIER('name')``.

        Raises:
            SqlError: For anything but one literal in ``IDENTIFIER(…)``.
        """
        if self.accept("IDENTIFIER", "("):
            if not self.at_string:
                raise unsupported("IDENTIFIER(…) of anything but a literal in this statement")
            inner = Reader(self.string())
            self.expect(")")
            names = inner.name_parts()
            inner.end()
            return names
        parts = [self.identifier()]
        while self.accept("."):
            parts.append(self.identifier())
        return parts

    def string(self) -> str:
        """Read a string; adjacent literals are one."""
        token = self.next()
        if token.kind not in ("string", "raw"):
            self.index -= 1
            raise self.error()
        value = string_value(token)
        while not self.done and self.tokens[self.index].kind in ("string", "raw"):
            value += string_value(self.next())
        return value

    @property
    def at_string(self) -> bool:
        """Whether a string comes next."""
        return not self.done and self.tokens[self.index].kind in ("string", "raw")

    @property
    def at_name(self) -> bool:
        """Whether an identifier comes next."""
        return not self.done and self.tokens[self.index].kind in ("word", "quoted")

    def integer(self) -> int:
        """Read an integer, with or without a sign."""
        sign = -1 if self.accept("-") else 1
        token = self.next()
        if token.kind != "number" or not token.text.isdigit():
            self.index -= 1
            raise self.error()
        return sign * int(token.text)

    def rest(self) -> str:
        """Read all that is left, as it was written."""
        if self.done:
            raise self.error()
        start = self.tokens[self.index].start
        self.index = len(self.tokens)
        return self.text[start : self.tokens[-1].end]

    def enclosed(self) -> str:
        """Read ``( … )`` and return what is inside, as it was written."""
        self.expect("(")
        start, first = self.tokens[self.index - 1].end, self.index
        self._skip_to_close(")")
        if self.index == first + 1:
            self.index -= 1
            raise self.error()
        return self.text[start : self.tokens[self.index - 1].start].strip()

    def until(self, *stops: str) -> str:
        """Read up to one of these words or the end of the enclosing parentheses."""
        first = self.index
        while not self.done and not any(self.peek(stop) for stop in (*stops, ")")):
            token = self.next()
            if token.text in _OPEN:
                self._skip_to_close(_OPEN[token.text])
        if self.index == first:
            raise self.error()
        return self.text[self.tokens[first].start : self.tokens[self.index - 1].end]

    def _skip_to_close(self, close: str) -> None:
        while True:
            token = self.next()
            if token.text == close and token.kind == "symbol":
                return
            if token.kind == "symbol" and token.text in _OPEN:
                self._skip_to_close(_OPEN[token.text])

    def identifier_list(self) -> list[str]:
        """Read ``(a, b, …)``."""
        self.expect("(")
        names = [self.identifier()]
        while self.accept(","):
            names.append(self.identifier())
        self.expect(")")
        return names

    def properties(self) -> dict[str, str]:
        """Read ``('key' = 'value', …)``; a key may be a name with dots."""
        self.expect("(")
        found: dict[str, str] = {}
        while True:
            key = self.property_key()
            self.accept("=")
            if key in found:
                raise SqlError("DUPLICATE_KEY", "23505", f"Found duplicate keys `{key}`.")
            found[key] = self.property_value()
            if not self.accept(","):
                break
        self.expect(")")
        return found

    def property_key(self) -> str:
        """Read the name of a property: a string, or a name with dots."""
        return self.string() if self.at_string else ".".join(self.name_parts())

    def property_value(self) -> str:
        """Read the value of a property: a string, a number, TRUE or FALSE."""
        if self.at_string:
            return self.string()
        sign = "-" if self.accept("-") else ""
        token = self.next()
        if token.kind == "number" or (not sign and token.text.upper() in ("TRUE", "FALSE")):
            return sign + token.text.lower()
        self.index -= 1
        raise self.error()

    def if_exists(self) -> bool:
        """Read ``IF EXISTS`` if it comes next."""
        return self.accept("IF", "EXISTS")

    def if_not_exists(self) -> bool:
        """Read ``IF NOT EXISTS`` if it comes next."""
        return self.accept("IF", "NOT", "EXISTS")


def qualify(parts: list[str], catalog: str, schema: str) -> TableName:
    """Return the full name of a table or view in the given namespace.

    Raises:
        SqlError: ``REQUIRES_SINGLE_PART_NAMESPACE`` for a name of more than three parts.
    """
    if len(parts) > 3:
        raise too_many_parts(parts)
    full = [catalog, schema][: 3 - len(parts)] + parts
    return TableName(full[0].lower(), full[1].lower(), object_name(full[2]))


def qualify_schema(parts: list[str], catalog: str) -> tuple[str, str]:
    """Return catalog and name of a schema."""
    if len(parts) > 2:
        raise too_many_parts(parts)
    full = [catalog, *parts][-2:]
    return full[0].lower(), object_name(full[1])


def too_many_parts(parts: list[str]) -> SqlError:
    """Return the error for a name with more parts than it can have."""
    listed = ".".join(f"`{part}`" for part in parts)
    return SqlError(
        "IDENTIFIER_TOO_MANY_NAME_PARTS",
        "42601",
        f"{listed} is not a valid identifier as it has more than {len(parts) - 1} name parts.",
    )


def _unescape(match: re.Match[str]) -> str:
    code = match.group(1)
    if code[0] in "uU" and len(code) > 1:
        return chr(int(code[1:], 16))
    if len(code) == 3:
        return chr(int(code, 8))
    if code in "%_":
        return "\\" + code
    return _ESCAPES.get(code, code)


def _end_of_comment(text: str, start: int) -> int:
    depth, position = 0, start
    while position < len(text):
        if text.startswith("/*", position):
            depth, position = depth + 1, position + 2
        elif text.startswith("*/", position):
            depth, position = depth - 1, position + 2
            if depth == 0:
                return position
        else:
            position += 1
    raise SqlError(
        "UNCLOSED_BRACKETED_COMMENT",
        "42601",
        "Found an unclosed bracketed comment. Please, append */ at the end of the comment.",
    )


def _place(text: str, offset: int) -> tuple[int, int]:
    line = text.count("\n", 0, offset) + 1
    return line, offset - (text.rfind("\n", 0, offset) + 1)


def split_atomic(text: str) -> list[str]:
    """Return the statements of ``BEGIN ATOMIC … END``, those of inner blocks included, in order.

    Raises:
        SqlError: ``PARSE_SYNTAX_ERROR`` where a semicolon or the END is missing.
    """
    reader = Reader(text)
    reader.expect("BEGIN", "ATOMIC")
    found = _block(reader)
    reader.end()
    return found


def _block(reader: Reader) -> list[str]:
    found: list[str] = []
    while not reader.accept("END"):
        if reader.accept("BEGIN", "ATOMIC"):
            found += _block(reader)
        else:
            found.append(_block_statement(reader))
        reader.expect(";")
    return found


def _block_statement(reader: Reader) -> str:
    first, depth = reader.index, 0
    while not reader.done and not (depth == 0 and reader.peek(";")):
        if reader.accept("CASE"):
            depth += 1
        elif reader.accept("END"):
            depth -= 1
            if depth < 0:
                reader.index -= 1
                raise reader.error()
        else:
            reader.next()
    if reader.index == first:
        raise reader.error()
    return reader.text[reader.tokens[first].start : reader.tokens[reader.index - 1].end]
