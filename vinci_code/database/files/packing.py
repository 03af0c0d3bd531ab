"""Text that is packed while it is written."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from vinci_code.database.dialect.driver.rows import require_pyarrow
from vinci_code.database.files.names import Codec


def require_packing(codec: Codec | None) -> None:
    """Refuse what cannot be packed here.

    Raises:
        MissingExtraError: It is zstd, and pyarrow is not installed.
    """
    if codec == "zstd":
        require_pyarrow("a file that is packed with zstd")


@contextmanager
def packed_text(raw: IO[bytes], codec: Codec | None) -> Iterator[IO[str]]:
    """Text in UTF-8, as it is written, packed into ``raw``, which stays open.

    Args:
        raw: Where to.
        codec: What to pack it with.

    Raises:
        OSError: It cannot be written.
    """
    sink: Any = _Sink(raw)
    stream = io.TextIOWrapper(_packer(sink, codec), encoding="utf-8", newline="")
    try:
        yield stream
        stream.close()
        raw.flush()
    except BaseException:
        sink.dropping = True
        stream.close()
        raise


def _packer(sink: Any, codec: Codec | None) -> Any:
    if codec is None:
        return sink
    if codec == "gzip":
        # No time and no name inside: the same text makes the same bytes.
        return gzip.GzipFile(filename="", fileobj=sink, mode="wb", mtime=0)
    require_packing(codec)
    import pyarrow as pa

    return io.BufferedWriter(pa.CompressedOutputStream(pa.PythonFile(sink, mode="w"), codec))


class _Sink(io.BufferedIOBase):
    """Hands bytes on, and stays open at the end, until it is told to drop them.

    After a full disk, what is left in the buffers above would otherwise be written once more by
    their finalisers, into a file that is closed by then: from Python 3.13 on, each tells so on
    standard error.
    """

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self.dropping = False

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return len(data) if self.dropping else self._raw.write(data)
