"""The text of files: unpacked, decoded and cut into lines, each of them within a bound.

A file whose name ends in ``.gz`` is unpacked, as Hadoop's codecs go by the end of a name. Lines end
with LF, CR LF or CR (Hadoop's ``LineReader``), and a byte order mark at the beginning is no part of
the text. What is no UTF-8 Spark reads with marks in its place; here it is refused.
"""

from __future__ import annotations

import codecs
import re
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from vinci_code.warehouse.sql.errors import SqlError, unsupported

MAX_TEXT = 1024 * 1024 * 1024
"""How many bytes of text a file may have, unpacked."""

MAX_RECORD = 16 * 1024 * 1024
"""How many characters one record may have."""

MAX_WHOLE = 64 * 1024 * 1024
"""How many characters a file may have that is read as a whole, with ``multiLine``."""

BLANK = "".join(map(chr, range(0x21)))
"""What Java's ``String.trim`` takes away."""

_PIECE = 1024 * 1024
_OTHER_CODECS = re.compile(r"\.(gz|bz2|deflate|lz4|snappy|zst|zstd)\Z", re.IGNORECASE)
_GZIP = 16 + zlib.MAX_WBITS


def blocks_of_lines(stream: BinaryIO, path: str) -> Iterator[list[str]]:
    """Yield the lines of a file, many at a time; a last line needs no end.

    Raises:
        SqlError: It cannot be unpacked, is no UTF-8, or has a line or more bytes than it may.
    """
    rest = ""
    for piece in _texts(stream, path):
        text = rest + piece
        # CR at the end may be the first half of CR LF.
        held = "\r" if text.endswith("\r") else ""
        lines = _unix(text[: len(text) - len(held)]).split("\n")
        rest = lines.pop() + held
        _check_record(lines, path)
        _check_record([rest], path)
        if lines:
            yield lines
    last = _unix(rest).split("\n")
    if not last[-1]:
        last.pop()
    if last:
        yield last


def whole_text(stream: BinaryIO, path: str) -> str:
    """Return the text of a file that is one record, or whose records span lines.

    Raises:
        SqlError: As for its lines, or it is too long.
    """
    parts, size = [], 0
    for piece in _texts(stream, path):
        size += len(piece)
        if size > MAX_WHOLE:
            raise unsupported(f"multiLine of {path}, a file of more than {MAX_WHOLE} characters")
        parts.append(piece)
    return "".join(parts)


def unreadable(path: str, reason: str) -> SqlError:
    """Return ``FAILED_READ_FILE`` of a file."""
    return SqlError(
        "FAILED_READ_FILE.NO_HINT",
        "KD001",
        f"Encountered error while reading file dbfs:{path}. {reason}",
    )


def excerpt(text: str) -> str:
    """Return the beginning of a record, for a message."""
    return text if len(text) <= _EXCERPT else text[:_EXCERPT] + "…"


_EXCERPT = 200


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _check_record(lines: list[str], path: str) -> None:
    if max(map(len, lines), default=0) > MAX_RECORD:
        raise unsupported(f"a record of more than {MAX_RECORD} characters, in {path}")


def _texts(stream: BinaryIO, path: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    size, first = 0, True
    for piece in _bytes(stream, path):
        size += len(piece)
        if size > MAX_TEXT:
            raise unsupported(f"the file {path}, which has more than {MAX_TEXT} bytes of text")
        text = _decoded(decoder, piece, path, final=False)
        if first and text:
            first = False
            text = text.removeprefix("\ufeff")
        yield text
    yield _decoded(decoder, b"", path, final=True)


def _decoded(decoder: codecs.IncrementalDecoder, piece: bytes, path: str, *, final: bool) -> str:
    try:
        return decoder.decode(piece, final)
    except UnicodeDecodeError:
        raise unsupported(f"the text of {path}, which is no UTF-8") from None


def _bytes(stream: BinaryIO, path: str) -> Iterator[bytes]:
    stream.seek(0)
    if path.endswith(".gz"):
        yield from _unpacked(stream, path)
        return
    codec = _OTHER_CODECS.search(path)
    if codec is not None:
        raise unsupported(f"a file that is packed as its name ends, {codec[0]}: {path}")
    while piece := stream.read(_PIECE):
        yield piece


def _unpacked(stream: BinaryIO, path: str) -> Iterator[bytes]:
    """Yield what a gzip file holds; it may have several members, one after another."""
    member = zlib.decompressobj(_GZIP)
    try:
        while packed := stream.read(_PIECE):
            while packed:
                if member.eof:
                    member = zlib.decompressobj(_GZIP)
                yield member.decompress(packed, _PIECE)
                packed = member.unused_data if member.eof else member.unconsumed_tail
    except zlib.error as error:
        raise unreadable(path, f"It is no gzip file: {error}.") from None
    if not member.eof:
        raise unreadable(path, "Unexpected end of input stream.")
