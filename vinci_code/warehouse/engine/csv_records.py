"""CSV text cut into fields, as the parser that Spark uses (univocity) cuts it.

A field in quotes may hold separators, and with ``multiLine`` ends of lines; before a quote in it
stands the escape. Where that parser guesses (a quote that nothing closes, a quote in quotes that is
not escaped, text after quotes) a record is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from vinci_code.warehouse.engine.text_files import BLANK, MAX_RECORD, excerpt
from vinci_code.warehouse.sql.errors import SqlError, unsupported

MAX_COLUMNS = 20_480
"""How many fields a record may have (``maxColumns``)."""


class CsvDialect:
    """How fields are told apart.

    Args:
        separator: One character.
        quote: One character; empty for none.
        escape: One character, which may be the quote itself.
        null: The text that stands for NULL, and that an empty field without quotes is taken for.
    """

    def __init__(self, separator: str, quote: str, escape: str, null: str) -> None:
        self.separator = separator
        self.null = null
        self.quote = quote
        self.escape = escape
        mark, other = re.escape(quote), re.escape(escape)
        if escape == quote:
            body = f"[^{mark}]*(?:{mark}{mark}[^{mark}]*)*"
        else:
            body = f"[^{mark}{other}]*(?:{other}.[^{mark}{other}]*)*"
        self._quoted = re.compile(f"{mark}({body}){mark}", re.DOTALL)
        self._plain = re.compile(f"[^{re.escape(separator)}\n]*")

    def fields(self, line: str) -> list[str]:
        """Return the fields of a line.

        Raises:
            SqlError: It is not known what they are.
        """
        if not self.quote or self.quote not in line:
            return self._checked(self._nulls(line.split(self.separator)), line)
        found, end = self._scanned(line, 0, "multiLine => true reads fields that span lines")
        if end != len(line):
            raise self._refused(line, 0, "it has an end of line")
        return self._checked(found, line)

    def records(self, text: str) -> Iterator[list[str]]:
        """Yield the fields of each record of a text, in which fields in quotes may span lines.

        Raises:
            SqlError: It is not known what they are.
        """
        text = self._unix(text)
        position = 0
        while position < len(text):
            if text[position] == "\n":
                position += 1
                continue
            found, end = self._scanned(text, position, "nothing closes its quote")
            record = text[position:end]
            if len(record) > MAX_RECORD:
                raise unsupported(f"a record of more than {MAX_RECORD} characters in CSV")
            if not record.strip(BLANK):
                raise unsupported("a line of blanks in a CSV file with multiLine")
            yield self._checked(found, record)
            position = end + 1

    def _scanned(self, text: str, start: int, unclosed: str) -> tuple[list[str], int]:
        """Return the fields of the record that begins at a place, and where it ends."""
        found: list[str] = []
        position = start
        while True:
            if self.quote and text.startswith(self.quote, position):
                match = self._quoted.match(text, position)
                if match is None:
                    raise self._refused(text, start, unclosed)
                found.append(self._unescaped(match[1], text, start))
                position = match.end()
                if position < len(text) and text[position] not in (self.separator, "\n"):
                    raise self._refused(text, start, "text or a quote follows a field in quotes")
            else:
                plain = self._plain.match(text, position)
                value = plain[0] if plain else ""
                if self.quote and value.lstrip(BLANK).startswith(self.quote):
                    raise self._refused(text, start, "blanks stand before a quote")
                found.append(value or self.null)
                position += len(value)
            if position >= len(text) or text[position] == "\n":
                return found, position
            position += 1

    def _unescaped(self, value: str, text: str, start: int) -> str:
        if self.escape not in value:
            return value
        if self.escape == self.quote:
            return value.replace(self.quote * 2, self.quote)
        if self.escape * 2 in value:
            raise self._refused(text, start, "it has two escapes in a row")
        return value.replace(self.escape + self.quote, self.quote)

    def _nulls(self, found: list[str]) -> list[str]:
        return [value or self.null for value in found] if self.null else found

    def _checked(self, found: list[str], record: str) -> list[str]:
        if len(found) > MAX_COLUMNS:
            raise unsupported(f"a CSV record of more than {MAX_COLUMNS} fields")
        if "\0" in record:
            raise unsupported("a CSV record with the character U+0000")
        return found

    def _unix(self, text: str) -> str:
        """Return a text whose lines end with LF; those of a file all end alike."""
        if "\r" not in text:
            return text
        if len(re.findall(r"\r\n", text)) != text.count("\r") or re.search(r"(?<!\r)\n", text):
            raise unsupported("a CSV file with multiLine whose lines end in several ways")
        if self.quote in text:
            # Within quotes the parser makes LF of what ends the lines.
            raise unsupported("a CSV file with multiLine that has both CR LF and quotes")
        return text.replace("\r\n", "\n")

    def _refused(self, text: str, start: int, reason: str) -> SqlError:
        return unsupported(
            f"a CSV record that begins with {excerpt(text[start : start + 300])!r}: {reason}"
        )
