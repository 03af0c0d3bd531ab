"""Large results as files that a client fetches by presigned links (CloudFetch).

Each file is a whole Arrow IPC stream of some of the result's rows, in one LZ4 frame where the
client can read that. The blocks of that frame are stored as they are: on the loopback to compress
takes longer than what it saves, and so the parts of a file are sent from where they lie. A link
tells the file's first row, its rows and its size before compression (``TSparkArrowResultLink``). A
file is encoded when it is asked for, which may be several times; what it is made of is kept in
memory as long as that is not much, and on disk beyond. All of it goes when the result is closed.

Against what is not defended: the links of a result are good for whoever has them, as they are on a
cloud's storage.
"""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import lz4.frame
import pyarrow as pa
from databricks.sql.thrift_api.TCLIService import ttypes

from vinci_code.warehouse.wire import presigned
from vinci_code.warehouse.wire.results import Encoder

CLOUD_FETCH_BYTES = 1024 * 1024
"""From which size on a result is sent as links: beyond 1 MB, as Databricks says of its drivers
(https://docs.databricks.com/aws/en/integrations/odbc/capability, on Cloud Fetch)."""

LINK_LIFETIME = 900.0
"""Seconds that a link is good for: at most 15 minutes, says the reference of ``ExternalLink`` in
the statement execution API."""

FILE_BYTES = 8 * 1024 * 1024
"""How many bytes of rows are in a file, before compression."""

LINKS_PER_REPLY = 16

KEPT_BYTES = 64 * 1024 * 1024
"""How many bytes of a result's files are kept in memory; what is more is on disk."""

_PATH = re.compile(r"/result-files/([0-9a-f]{32})/([0-9a-f]{32})/(0|[1-9][0-9]{0,8})")
# The end mark of an Arrow IPC stream: a continuation mark and the length zero.
_END_OF_STREAM = 8
# Whole files are compressed at this level, which stores nearly everything as it is.
_FASTEST = -65537
# Of an LZ4 frame: how long a block may be, and the mark of one that is stored as it is
# (https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md).
_BLOCK = 4 * 1024 * 1024
_AS_IT_IS = 0x80000000
_NO_MORE_BLOCKS = bytes(4)
# Smaller parts are sent together: each that is sent alone is a record of TLS of its own.
_SMALL_PART = 256 * 1024


class NoSuchFileError(Exception):
    """A link names a file that is not, or no longer, there."""


@dataclass
class ResultFile:
    """One file of a result.

    Attributes:
        number: Its place in the result, from 0.
        start: The number of its first row within the result.
        rows: How many rows it has.
        size: Its bytes before compression.
    """

    number: int
    start: int
    rows: int
    size: int
    batches: list[pa.RecordBatch] | None = field(repr=False)
    on_disk: Path | None = None


class FileStore:
    """The files of all results of a warehouse, and what answers the links to them.

    Args:
        link_lifetime: Seconds that a link is good for.

    Attributes:
        base_url: The address that links begin with, ``https://localhost:PORT``; known once the
            warehouse listens.
    """

    def __init__(self, link_lifetime: float = LINK_LIFETIME) -> None:
        self.base_url = ""
        self._lifetime = link_lifetime
        self._key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._results: dict[tuple[str, str], ResultFiles] = {}
        self._folder: Path | None = None

    def open(self, session: str, statement: str, text: str | None, encoder: Encoder) -> ResultFiles:
        """Begin the files of a result.

        Args:
            session: The id of its session, 32 hexadecimal digits.
            statement: The id of its statement, likewise.
            text: The statement, for faults that are meant for it; ``None`` if it has none.
            encoder: Encodes its rows.
        """
        files = ResultFiles(self, session, statement, text, encoder)
        with self._lock:
            self._results[session, statement] = files
        return files

    def find(
        self, method: str, path: str, query: Sequence[tuple[str, str]]
    ) -> tuple[ResultFiles, int]:
        """The result, and the number of the file in it, that a link names.

        Raises:
            LinkError: The link was changed or has expired.
            NoSuchFileError: Its result was closed.
        """
        presigned.check(self._key, method, path, query, time.time() * 1000)
        match = _PATH.fullmatch(path)
        with self._lock:
            files = self._results.get((match.group(1), match.group(2))) if match else None
        if files is None or match is None:
            raise NoSuchFileError
        return files, int(match.group(3))

    def link(self, path: str) -> tuple[str, int]:
        """A link to a file, and until when it is good, in milliseconds since the epoch.

        Clients are told milliseconds, as by real servers: see TSparkArrowResultLink's use in
        databricks-jdbc. The vendor's driver for Python takes them for seconds.
        """
        expires = int((time.time() + self._lifetime) * 1000)
        query = presigned.sign(self._key, "GET", path, expires)
        return f"{self.base_url}{path}?{query}", expires

    def new_path(self) -> Path:
        """A new path in the store's own folder, which only its user can read."""
        with self._lock:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="vinci-warehouse-results-"))
            return self._folder / secrets.token_hex(16)

    def forget(self, session: str, statement: str) -> None:
        """Answer no link of a result any more."""
        with self._lock:
            self._results.pop((session, statement), None)

    @property
    def folder(self) -> Path | None:
        """Where files are that are not kept in memory; ``None`` before there was one."""
        with self._lock:
            return self._folder

    def close(self) -> None:
        """Remove every file."""
        with self._lock:
            results, folder = list(self._results.values()), self._folder
            self._folder = None
        for files in results:
            files.close()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


class ResultFiles:
    """The files of one result, in order, as far as links to them were asked for."""

    def __init__(
        self, store: FileStore, session: str, statement: str, text: str | None, encoder: Encoder
    ) -> None:
        self.session, self.statement, self.text = session, statement, text
        self._store = store
        self._encoder = encoder
        self._lock = threading.Lock()
        self._files: list[ResultFile] = []
        self._kept = 0
        self._closed = False

    def add(self, batches: Sequence[pa.RecordBatch], start: int) -> ResultFile:
        """Make a file of the next rows; ``start`` is the number of the first of them."""
        converted = [self._encoder.convert(batch) for batch in batches]
        rows = sum(batch.num_rows for batch in converted)
        size = self._size(converted)
        with self._lock:
            file = ResultFile(len(self._files), start, rows, size, converted)
            if not self._closed:
                self._files.append(file)
                self._keep(file)
        return file

    def since(self, row: int) -> int | None:
        """The number of the file that has a row; ``None`` where none has it so far."""
        with self._lock:
            for file in self._files:
                if file.start <= row < file.start + file.rows:
                    return file.number
        return None

    def __getitem__(self, number: int) -> ResultFile:
        with self._lock:
            if number >= len(self._files):
                raise NoSuchFileError
            return self._files[number]

    def __len__(self) -> int:
        with self._lock:
            return len(self._files)

    def link(self, file: ResultFile) -> ttypes.TSparkArrowResultLink:
        """A new link to a file."""
        address, expires = self._store.link(
            f"/result-files/{self.session}/{self.statement}/{file.number}"
        )
        return ttypes.TSparkArrowResultLink(
            fileLink=address,
            expiryTime=expires,
            startRowOffset=file.start,
            rowCount=file.rows,
            bytesNum=file.size,
            httpHeaders={},
        )

    def parts(self, number: int) -> list[memoryview]:
        """The bytes of a file, in parts that are one after another; none of them is a copy.

        Raises:
            NoSuchFileError: There is none of that number any more.
        """
        if self._encoder.text is not None:
            return [memoryview(self.text_of(number))]
        batches, stored = self._found(number)
        parts = [memoryview(stored)] if batches is None else self._in_parts(batches)
        return _joined(_framed(parts) if self._encoder.lz4 else parts)

    def content(self, number: int, *, without_last: bool = False) -> bytes:
        """The bytes of a file, with a checksum by which a client finds what is wrong with it.

        Args:
            number: Which.
            without_last: Leave its last batch of rows out, as no good file does.

        Raises:
            NoSuchFileError: There is none of that number any more.
        """
        if self._encoder.text is not None:
            return self.text_of(number, without_last=without_last)
        batches, stored = self._found(number)
        stream = stored if batches is None else self._stream(batches)
        if without_last:
            stream = _without_last(stream)
        return self._compressed(stream)

    def batches(self, number: int) -> list[pa.RecordBatch]:
        """The rows of a file.

        Raises:
            NoSuchFileError: There is none of that number any more.
        """
        batches, stored = self._found(number)
        if batches is not None:
            return batches
        with pa.ipc.open_stream(stored) as reader:
            return list(reader)

    def text_of(self, number: int, *, without_last: bool = False) -> bytes:
        """A file of text, where the result is sent as such.

        Raises:
            NoSuchFileError: There is none of that number any more.
        """
        batches = self.batches(number)
        if without_last:
            batches = [*batches[:-1], batches[-1].slice(0, batches[-1].num_rows - 1)]
        return self._encoder.render(batches, first=number == 0)

    def text_rows(self, number: int) -> list[list[str | None]]:
        """The rows of a file as texts.

        Raises:
            NoSuchFileError: There is none of that number any more.
        """
        rows: list[list[str | None]] = []
        for batch in self.batches(number):
            rows += map(list, zip(*self._encoder.text_columns(batch), strict=True))
        return rows

    def close(self) -> None:
        """Remove the files; closing twice does nothing."""
        with self._lock:
            self._closed = True
            files, self._files = self._files, []
            for file in files:
                if file.on_disk is not None:
                    file.on_disk.unlink(missing_ok=True)
        self._store.forget(self.session, self.statement)

    def _found(self, number: int) -> tuple[list[pa.RecordBatch] | None, bytes]:
        """The batches of a file, or what is on disk of it."""
        with self._lock:
            if self._closed or number >= len(self._files):
                raise NoSuchFileError
            file = self._files[number]
            return file.batches, b"" if file.on_disk is None else file.on_disk.read_bytes()

    def _keep(self, file: ResultFile) -> None:
        self._kept += file.size
        if self._kept <= KEPT_BYTES or file.batches is None:
            return
        self._kept -= file.size
        path = self._store.new_path()
        path.write_bytes(self._stream(file.batches))
        file.on_disk, file.batches = path, None

    def _size(self, batches: Sequence[pa.RecordBatch]) -> int:
        parts: int = sum(pa.ipc.get_record_batch_size(batch) for batch in batches)
        return len(self._encoder.schema_message) + parts + _END_OF_STREAM

    def _in_parts(self, batches: Sequence[pa.RecordBatch]) -> list[memoryview]:
        sink = _Parts()
        with pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), self._encoder.schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
        return sink.parts

    def _stream(self, batches: Sequence[pa.RecordBatch]) -> pa.Buffer:
        buffer = pa.allocate_buffer(self._size(batches))
        with (
            pa.FixedSizeBufferWriter(buffer) as sink,
            pa.ipc.new_stream(sink, self._encoder.schema) as writer,
        ):
            for batch in batches:
                writer.write_batch(batch)
        return buffer

    def _compressed(self, stream: pa.Buffer | bytes) -> bytes:
        if not self._encoder.lz4:
            return stream if isinstance(stream, bytes) else bytes(stream.to_pybytes())
        # The checksum makes a client's LZ4 find what was changed on the way.
        frame: bytes = lz4.frame.compress(
            stream,
            compression_level=_FASTEST,
            block_size=lz4.frame.BLOCKSIZE_MAX1MB,
            block_linked=False,
            content_checksum=True,
        )
        return frame


class _Parts:
    """Takes what Arrow writes: the buffers themselves."""

    closed = False

    def __init__(self) -> None:
        self.parts: list[memoryview] = []

    def write(self, data: pa.Buffer | bytes) -> int:
        """Keep a part."""
        part = memoryview(data).cast("B")
        if len(part):
            self.parts.append(part)
        return len(part)

    def flush(self) -> None:
        """Do nothing: all is here."""


def _framed(parts: Sequence[memoryview]) -> list[memoryview]:
    """An LZ4 frame that holds these parts as they are."""
    size = sum(map(len, parts))
    head = lz4.frame.compress_begin(
        lz4.frame.create_compression_context(),
        source_size=size,
        block_size=lz4.frame.BLOCKSIZE_MAX4MB,
        block_linked=False,
    )
    framed = [memoryview(head)]
    room = 0
    for part in parts:
        while part:
            if not room:
                room = min(_BLOCK, size)
                size -= room
                framed.append(memoryview((room | _AS_IT_IS).to_bytes(4, "little")))
            framed.append(part[:room])
            part = part[room:]
            room -= len(framed[-1])
    return [*framed, memoryview(_NO_MORE_BLOCKS)]


def _joined(parts: Sequence[memoryview]) -> list[memoryview]:
    """The same with small parts put together."""
    joined: list[memoryview] = []
    small: list[memoryview] = []
    for part in parts:
        if len(part) < _SMALL_PART:
            small.append(part)
            continue
        if small:
            joined.append(memoryview(b"".join(small)))
            small = []
        joined.append(part)
    return [*joined, memoryview(b"".join(small))] if small else joined


def _without_last(stream: pa.Buffer | bytes) -> pa.Buffer:
    with pa.ipc.open_stream(stream) as reader:
        batches, schema = list(reader), reader.schema
    last = batches.pop()
    # Where there is one alone, it loses its second half.
    batches.append(last.slice(0, last.num_rows // 2 if not batches else 0))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue()
