"""Lines with their numbers, in constant memory; a line that is too long is an item of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from vinci_code.core.errors import InputDataError
from vinci_code.database.files.opening import DAMAGE

ENDLESS_BYTES = 1024 * 1024 * 1024
"""A line that is still longer is that of a device such as /dev/zero, or of no file of lines."""


def numbered_lines(
    name: str, stream: IO[bytes], longest: int
) -> Iterator[tuple[int, bytes | InputDataError]]:
    """The lines with their numbers, from 1; an error in the place of one that is too long.

    A byte order mark of UTF-8 at the beginning is left out.

    Args:
        name: What the file is called in messages.
        stream: The file; its lines end with a line feed.
        longest: How many bytes a line may have.

    Raises:
        InputDataError: What follows cannot be read: the file is damaged, is text in UTF-16, or has
            a line without an end.
    """
    number = 0
    try:
        while line := stream.readline(longest + 1):
            number += 1
            if len(line) > longest:
                _pass_over(name, stream, number, line)
                yield number, InputDataError(name, number, f"is longer than {longest:,} bytes")
                continue
            if number == 1:
                if line.startswith(_WIDE):
                    raise InputDataError(name, 1, f"is text in UTF-16 or UTF-32; {_CONVERT}")
                line = line.removeprefix(b"\xef\xbb\xbf")
            yield number, line
    except DAMAGE as error:
        # A damaged or cut-off .gz ends here; there is nothing after it that could be read.
        raise InputDataError(name, number + 1, f"cannot be read on: {error}") from error


def why_no_text(line: bytes) -> str | None:
    """Why a line is no text in UTF-8; ``None`` where it is."""
    try:
        line.decode()
    except UnicodeDecodeError as found:
        return f"is no text in UTF-8: byte {found.start + 1} of it is 0x{line[found.start]:02x}"
    return None


def _pass_over(name: str, stream: IO[bytes], number: int, line: bytes) -> None:
    length, piece = len(line), len(line)
    while not line.endswith(b"\n") and (line := stream.readline(piece)):
        length += len(line)
        if length > ENDLESS_BYTES:
            raise InputDataError(
                name,
                number,
                f"does not end within {ENDLESS_BYTES:,} bytes, so the rest is not read",
            )


# The byte order marks of UTF-16 and of UTF-32, one of which begins as the other.
_WIDE = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_CONVERT = "convert the file to UTF-8, as of `iconv -f UTF-16 -t UTF-8`"
