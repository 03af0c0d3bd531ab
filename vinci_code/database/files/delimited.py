"""The rows of CSV, as RFC 4180 has it, read strictly and in constant memory.

Fields are separated by commas, and one that has a comma, a quote or the end of a line in it stands
in double quotes, of which each within is doubled. A quote at any other place is an error: it may be
what is left of a file that was cut off, and with it two rows would be read as one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

LONGEST = 1 << 27
"""How many characters a line, or a field in quotes, may have."""

Fields = list[str | None]


class DelimitedError(ValueError):
    """A line that is no CSV; the message is the reason.

    Attributes:
        line: Its number, from 1; of a row of several lines, where the row begins.
        is_lost: Whether it is not known where the next row begins.
    """

    def __init__(self, line: int, reason: str, *, is_lost: bool = False) -> None:
        self.line = line
        self.is_lost = is_lost
        super().__init__(reason)


class Text(Protocol):
    """What gives lines with their ends, and nothing at its end."""

    def readline(self, size: int, /) -> str:
        """The next line, or as many characters of it."""


class DelimitedRows:
    """The rows of a text of CSV.

    Args:
        text: The text, opened with ``newline=""``, or with lines that end with a line feed.
        longest: How many characters a line, or a field in quotes, may have; ``LONGEST`` if not
            given.

    Attributes:
        line: In which line the row begins that was read last, from 1.
        size: How many characters were read.
    """

    def __init__(self, text: Text, longest: int | None = None) -> None:
        self._text = text
        self._longest = LONGEST if longest is None else longest
        self._read = 0
        self.line = 0
        self.size = 0

    def rows(self, wanted: int | None = None) -> Iterator[Fields]:
        """The rows that are left; an empty field is ``None``, and ``""`` a text.

        A line with nothing in it is a row where rows have one field, and else none.

        Args:
            wanted: How many fields each row has to have.

        Raises:
            DelimitedError: A line is no CSV, or has another number of fields.
        """
        while (row := self.read(wanted)) is not None:
            yield row

    def read(self, wanted: int | None = None) -> Fields | None:
        """The next row, as of ``rows``; ``None`` at the end.

        After an error, the next call goes on with the line behind the one where the error is.
        """
        while line := self._next():
            self.line = self._read
            bare = line.rstrip("\r\n")
            if not bare and wanted != 1:
                continue
            if '"' in line:
                row = self._quoted_row(line)
            elif "\r" in bare:
                raise DelimitedError(self.line, _RETURN)
            else:
                row = [one or None for one in bare.split(",")]
            if wanted is not None and len(row) != wanted:
                raise DelimitedError(
                    self.line,
                    f"it has {len(row)} fields, and the line that names the columns has {wanted}",
                )
            return row
        return None

    def _next(self) -> str:
        """The next line with its end; nothing at the end of the text."""
        line = self._text.readline(self._longest)
        self._read += 1
        self.size += len(line)
        if len(line) == self._longest:
            raise DelimitedError(
                self._read, f"it is longer than {self._longest:,} characters", is_lost=True
            )
        return line

    def _quoted_row(self, line: str) -> Fields:
        row: Fields = []
        at = 0
        while True:
            if line.startswith('"', at):
                field, line, at = self._quoted_field(line, at + 1)
                row.append(field)
            else:
                end = line.find(",", at)
                plain = (line[at:] if end < 0 else line[at:end]).rstrip("\r\n")
                if "\r" in plain:
                    raise DelimitedError(self._read, _RETURN)
                if '"' in plain:
                    raise DelimitedError(
                        self._read,
                        'a quote stands within a field that begins without one; write "a ""b"" c" '
                        'for a "b" c',
                    )
                row.append(plain or None)
                at = len(line) if end < 0 else end
            if not line[at : at + 1].strip("\r\n"):
                return row
            at += 1

    def _quoted_field(self, line: str, at: int) -> tuple[str, str, int]:
        """A field that begins behind its quote, the line that it ends in, and where."""
        pieces: list[str] = []
        begin, before = self._read, self.size
        while True:
            end = line.find('"', at)
            if end < 0:
                pieces.append(line[at:])
                line, at = self._next(), 0
                if not line:
                    raise DelimitedError(
                        begin, "a quote that opens in this line is closed nowhere behind it"
                    )
                if self.size - before > self._longest:
                    raise DelimitedError(
                        begin,
                        f"a quote that opens in this line is not closed within {self._longest:,} "
                        "characters",
                        is_lost=True,
                    )
                continue
            pieces.append(line[at:end])
            if line.startswith('"', end + 1):
                pieces.append('"')
                at = end + 2
                continue
            behind = line[end + 1 : end + 2]
            if behind not in {"", ",", "\r", "\n"} or (
                behind == "\r" and line[end + 1 :].strip("\r\n")
            ):
                raise DelimitedError(
                    self._read,
                    "text stands behind a quote that closes a field; within a field a quote is "
                    "doubled, and the quote before it may be missing"
                    + ("" if begin == self._read else f"; the field begins in line {begin}"),
                )
            return "".join(pieces), line, end + 1


_RETURN = (
    "a carriage return stands within a field; put the field in quotes, or end each line with a "
    "line feed"
)
