"""What a file is by its name, in capitals or not: its form, and what it is packed with."""

from __future__ import annotations

from pathlib import PurePath
from typing import Literal, NamedTuple

Format = Literal["jsonl", "csv", "parquet"]
"""The forms of a file of rows."""

Codec = Literal["gzip", "zstd"]
"""What a file is packed with as a whole."""

ENDINGS: dict[str, Format] = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
"""The endings that tell a form."""


class FileKind(NamedTuple):
    """What a file is.

    Attributes:
        format: Its form; ``None`` where its name does not tell.
        codec: What it is packed with; ``None`` for nothing.
    """

    format: Format | None
    codec: Codec | None


class FileNameError(ValueError):
    """A name of a file that is neither read nor written; the message is the reason.

    Attributes:
        fix: What to do about it.
    """

    def __init__(self, reason: str, fix: str) -> None:
        self.fix = fix
        super().__init__(reason)


def kind_of(name: str, wanted: Format | None = None) -> FileKind:
    """What a file is by its name.

    Args:
        name: Its name, with or without folders.
        wanted: The form that was said, which counts more than the name's.

    Raises:
        FileNameError: It is packed with something that is not known here, or it is Parquet that is
            packed once more.
    """
    last = PurePath(name).name.lower()
    other = next((ending for ending in _OTHERS if last.endswith(ending)), None)
    if other is not None:
        raise FileNameError(
            f"it is packed as {other} by its name, and known are {' and '.join(_CODECS)}",
            "unpack it, or pack it with gzip",
        )
    packed = next((ending for ending in _CODECS if last.endswith(ending)), "")
    inner = last.removesuffix(packed)
    told = next((known for ending, known in ENDINGS.items() if inner.endswith(ending)), None)
    form = wanted or told
    if packed and form == "parquet":
        raise FileNameError(
            "Parquet is packed within, column by column, and cannot be read so",
            f"leave {packed} out",
        )
    return FileKind(form, _CODECS.get(packed))


_CODECS: dict[str, Codec] = {".gz": "gzip", ".zst": "zstd"}
# Text under one of these names would be taken for what it is not.
_OTHERS = (".bz2", ".xz", ".lzma", ".lz4", ".zip", ".7z", ".tar", ".tgz")
