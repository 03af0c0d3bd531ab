"""Reading the words of a command, for the statements that have a grammar of their own.

sqlglot reads queries and DML. DDL, SHOW, DESCRIBE, SET and the like are read here word by word, so
that a clause which is not known is a syntax error and is never skipped.
"""

from __future__ import annotations

from vinci_code.warehouse.engine.names import TableName, object_name
from vinci_code.warehouse.sql.errors import SqlError, syntax_error, unsupported
from vinci_code.warehouse.sql.lexemes import (
    Lexeme,
    check_words,
    is_name,
    lexemes,
    name_of,
    parse_name,
    string_value,
)
from vinci_code.warehouse.sql.parse import DML_WORDS, QUERY_WORDS, first_word

_OPEN = {"(": ")", "[": "]"}


class Reader:
    """A cursor over the lexemes of one statement."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lexemes = list(check_words(lexemes(text)))
        while self.lexemes and self.lexemes[-1].text == ";":
            self.lexemes.pop()
        self.index = 0

    @property
    def done(self) -> bool:
        """Whether all was read."""
        return self.index >= len(self.lexemes)

    def peek(self, *words: str) -> bool:
        """Return whether these words come next."""
        following = self.lexemes[self.index : self.index + len(words)]
        return len(following) == len(words) and all(
            lexeme.kind in ("word", "symbol") and lexeme.text.upper() == word
            for lexeme, word in zip(following, words, strict=True)
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

    def next(self) -> Lexeme:
        """Read whatever comes next."""
        if self.done:
            raise self.error()
        lexeme = self.lexemes[self.index]
        self.index += 1
        return lexeme

    def error(self) -> SqlError:
        """Return a syntax error at the word that comes next."""
        if self.done:
            return syntax_error("", self.text, len(self.text))
        lexeme = self.lexemes[self.index]
        return syntax_error(lexeme.text, self.text, lexeme.start)

    def identifier(self) -> str:
        """Read an identifier, in backticks or plain."""
        lexeme = self.next()
        if not is_name(lexeme):
            self.index -= 1
            raise self.error()
        return name_of(lexeme)

    def name_parts(self) -> list[str]:
        """Read a name of one or more parts with dots between, or ``IDENTIFIER('name')``.

        Raises:
            SqlError: For anything but one literal in ``IDENTIFIER(…)``.
        """
        if self.accept("IDENTIFIER", "("):
            if not self.at_string:
                raise unsupported("IDENTIFIER(…) of anything but a literal in this statement")
            names = parse_name(self.string())
            self.expect(")")
            return names
        parts = [self.identifier()]
        while self.accept("."):
            parts.append(self.identifier())
        return parts

    def string(self) -> str:
        """Read a string; adjacent literals are one."""
        lexeme = self.next()
        if lexeme.kind not in ("string", "raw"):
            self.index -= 1
            raise self.error()
        value = string_value(lexeme)
        while not self.done and self.lexemes[self.index].kind in ("string", "raw"):
            value += string_value(self.next())
        return value

    @property
    def at_string(self) -> bool:
        """Whether a string comes next."""
        return not self.done and self.lexemes[self.index].kind in ("string", "raw")

    @property
    def at_name(self) -> bool:
        """Whether an identifier comes next."""
        return not self.done and is_name(self.lexemes[self.index])

    def integer(self) -> int:
        """Read an integer, with or without a sign."""
        sign = -1 if self.accept("-") else 1
        lexeme = self.next()
        if lexeme.kind != "number" or not lexeme.text.isdigit():
            self.index -= 1
            raise self.error()
        return sign * int(lexeme.text)

    def rest(self) -> str:
        """Read all that is left, as it was written."""
        if self.done:
            raise self.error()
        start = self.lexemes[self.index].start
        self.index = len(self.lexemes)
        return self.text[start : self.lexemes[-1].end]

    def enclosed(self) -> str:
        """Read ``( … )`` and return what is inside, as it was written."""
        self.expect("(")
        start, first = self.lexemes[self.index - 1].end, self.index
        self._skip_to_close(")")
        if self.index == first + 1:
            self.index -= 1
            raise self.error()
        return self.text[start : self.lexemes[self.index - 1].start].strip()

    def until(self, *stops: str) -> str:
        """Read up to one of these words or the end of the enclosing parentheses."""
        first = self.index
        while not self.done and not any(self.peek(stop) for stop in (*stops, ")")):
            lexeme = self.next()
            if lexeme.text in _OPEN:
                self._skip_to_close(_OPEN[lexeme.text])
        if self.index == first:
            raise self.error()
        return self.text[self.lexemes[first].start : self.lexemes[self.index - 1].end]

    def _skip_to_close(self, close: str) -> None:
        while True:
            lexeme = self.next()
            if lexeme.text == close and lexeme.kind == "symbol":
                return
            if lexeme.kind == "symbol" and lexeme.text in _OPEN:
                self._skip_to_close(_OPEN[lexeme.text])

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
        lexeme = self.next()
        is_number = lexeme.kind == "number" and not lexeme.text[-1].isalpha()
        if is_number or (not sign and lexeme.text.upper() in ("TRUE", "FALSE")):
            return sign + lexeme.text.lower()
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


def split_compound(text: str) -> list[str]:
    """Return the statements of ``BEGIN … END``, queries and DML, in order.

    Raises:
        SqlError: ``UNSUPPORTED_BY_LOCAL_WAREHOUSE`` for any other statement, such as DECLARE or IF;
            ``PARSE_SYNTAX_ERROR`` where a semicolon or the END is missing.
    """
    reader = Reader(text)
    reader.expect("BEGIN")
    found: list[str] = []
    while not reader.accept("END"):
        found.append(_block_statement(reader))
        word = first_word(found[-1])
        if not word:
            raise reader.error()
        if word not in QUERY_WORDS and word not in DML_WORDS:
            raise unsupported(f"{word} in a compound statement, BEGIN … END")
        reader.expect(";")
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
    return reader.text[reader.lexemes[first].start : reader.lexemes[reader.index - 1].end]
