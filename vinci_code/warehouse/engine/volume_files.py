"""The files of volumes: bytes in a folder of the warehouse's own, names in its store.

No text of a user ever becomes the name of a file on disk: each file lies under a random name, and a
record says which path of which volume it is. So nothing outside of the folder can be reached by a
path, whatever the path holds, and no two paths are one file on a disk that ignores case.

A file appears whole or not at all: its bytes are written under a temporary name, which is changed
when all of them are there, and the record is written last. What a crash leaves without a record is
removed at the next start.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import tempfile
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import duckdb

from vinci_code.core.errors import DatabaseFileError, VinciError
from vinci_code.warehouse.engine.store import Store

if TYPE_CHECKING:
    from typing_extensions import Self

MAX_FILE_BYTES = 5 * 1024**3
"""The largest file: 5 GiB (https://docs.databricks.com/api/workspace/files/upload)."""

NOT_FOUND, ALREADY_EXISTS, NOT_EMPTY, TOO_LARGE = (
    "NOT_FOUND", "ALREADY_EXISTS", "NOT_EMPTY", "TOO_LARGE",
)  # fmt: skip

_FOLDER_SUFFIX = ".volumes"
_UNFINISHED = ".part"
_OWN_NAME = re.compile(rf"[0-9a-f]{{32}}(?:{re.escape(_UNFINISHED)})?")
_FILE, _DIRECTORY = "volume_file", "volume_directory"
# A link is never followed. Windows has no such flag, and no links without a privilege.
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class VolumeFileError(VinciError):
    """A file or directory of a volume cannot be what was asked for.

    Attributes:
        reason: ``NOT_FOUND``, ``ALREADY_EXISTS``, ``NOT_EMPTY`` or ``TOO_LARGE``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Entry:
    """A file or directory of a volume.

    Attributes:
        path: Its path within the volume.
        size: Bytes; 0 for a directory.
        modified: When it was written, in milliseconds since the epoch; 0 for a directory that is
            there only by what lies in it.
        is_directory: Whether it is a directory.
    """

    path: str
    size: int
    modified: int
    is_directory: bool = False

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class _Kept:
    """A file's record: the name of its bytes on disk, their number, and when they were written."""

    stored: str
    size: int
    modified: int


class VolumeFiles:
    """The files of every volume, by the volume's id; safe to use from several threads."""

    def __init__(self, store: Store, data: Path | None) -> None:
        """Open the folder beside the file ``data``; without one, a temporary one is made.

        Raises:
            DatabaseFileError: The folder beside the file is none, or leads elsewhere.
        """
        self._store = store
        self._lock = threading.RLock()
        self._files: dict[str, dict[str, _Kept]] = {}
        self._directories: dict[str, dict[str, int]] = {}
        self._forget: weakref.finalize[..., Any] | None = None
        if data is None:
            self._folder = Path(tempfile.mkdtemp(prefix="vinci-volumes-"))
            # Also where nobody closes it.
            self._forget = weakref.finalize(self, _remove, str(self._folder), os.getpid())
        else:
            self._folder = data.with_name(data.name + _FOLDER_SUFFIX)
            _require_own_folder(self._folder)
        self._load()

    # ---- looking

    def file(self, volume: str, path: str) -> Entry | None:
        """Return a file, or ``None``."""
        with self._lock:
            kept = self._files.get(volume, {}).get(path)
        return None if kept is None else Entry(path, kept.size, kept.modified)

    def is_directory(self, volume: str, path: str) -> bool:
        """Return whether a path is that of a directory: one was made, or something lies in it."""
        with self._lock:
            return (
                not path or path in self._directories.get(volume, {}) or self._holds(volume, path)
            )

    def entries(self, volume: str, path: str) -> list[Entry]:
        """Return what lies immediately in a directory, by name."""
        found: dict[str, Entry] = {}
        with self._lock:
            files, directories = self._below(volume, path)
        start = len(path) + 1 if path else 0
        for inner, modified in directories.items():
            found[_first(inner, start)] = Entry(_first(inner, start), 0, 0, is_directory=True)
            if inner in found:
                found[inner] = Entry(inner, 0, modified, is_directory=True)
        for inner, kept in files.items():
            first = _first(inner, start)
            if first == inner:
                found[inner] = Entry(inner, kept.size, kept.modified)
            else:
                found.setdefault(first, Entry(first, 0, 0, is_directory=True))
        return [found[name] for name in sorted(found)]

    def all_files(self, volume: str, path: str) -> list[Entry]:
        """Return every file below a directory, however deep, by path."""
        with self._lock:
            files, _ = self._below(volume, path)
        return [Entry(inner, kept.size, kept.modified) for inner, kept in sorted(files.items())]

    def open(self, volume: str, path: str) -> BinaryIO:
        """Open a file for reading; it stays readable while another one takes its place.

        Raises:
            VolumeFileError: ``NOT_FOUND``.
        """
        with self._lock:
            kept = self._files.get(volume, {}).get(path)
            if kept is None:
                raise VolumeFileError(NOT_FOUND, "The file does not exist.")
            number = os.open(self._folder / kept.stored, os.O_RDONLY | _NO_LINKS)
        return os.fdopen(number, "rb")

    # ---- changing

    def upload(self, volume: str, path: str, still_there: Callable[[], object]) -> Upload:
        """Begin a file, which takes the place of one that is there.

        ``still_there`` raises where the volume has been dropped meanwhile.

        Raises:
            VolumeFileError: ``ALREADY_EXISTS`` where a directory has this path, or a file that of
                one of its directories.
        """
        with self._lock:
            self._check_place(volume, path)
        return Upload(self, volume, path, still_there)

    def remove(self, volume: str, path: str) -> None:
        """Remove a file.

        Raises:
            VolumeFileError: ``NOT_FOUND``.
        """
        with self._store.commit_lock, self._lock:
            kept = self._files.get(volume, {}).get(path)
            if kept is None:
                raise VolumeFileError(NOT_FOUND, "The file does not exist.")
            with self._writing() as cursor:
                self._store.remove(cursor, _FILE, f"{volume}/{path}")
            del self._files[volume][path]
        self._unlink(kept.stored)

    def make_directory(self, volume: str, path: str, still_there: Callable[[], object]) -> None:
        """Make a directory; where there is one already, nothing happens.

        Raises:
            VolumeFileError: ``ALREADY_EXISTS`` where a file has this path, or that of one of its
                directories.
        """
        with self._store.commit_lock, self._lock:
            still_there()
            if self.is_directory(volume, path):
                return
            self._check_place(volume, path)
            if self.file(volume, path) is not None:
                raise VolumeFileError(ALREADY_EXISTS, "A file has the path of the directory.")
            modified = _now()
            with self._writing() as cursor:
                self._store.put(cursor, _DIRECTORY, f"{volume}/{path}", {"modified": modified})
            self._directories.setdefault(volume, {})[path] = modified

    def remove_directory(self, volume: str, path: str) -> None:
        """Remove an empty directory.

        Raises:
            VolumeFileError: ``NOT_FOUND``, or ``NOT_EMPTY``.
        """
        with self._store.commit_lock, self._lock:
            if not self.is_directory(volume, path):
                raise VolumeFileError(NOT_FOUND, "The directory does not exist.")
            if self._holds(volume, path) or not path:
                raise VolumeFileError(NOT_EMPTY, "The directory is not empty.")
            with self._writing() as cursor:
                self._store.remove(cursor, _DIRECTORY, f"{volume}/{path}")
            del self._directories[volume][path]

    def forget_records(self, cursor: duckdb.DuckDBPyConnection, volume: str) -> None:
        """Remove the records of a volume that is dropped, in the transaction that drops it."""
        with self._lock:
            for path in self._files.get(volume, {}):
                self._store.remove(cursor, _FILE, f"{volume}/{path}")
            for path in self._directories.get(volume, {}):
                self._store.remove(cursor, _DIRECTORY, f"{volume}/{path}")

    def forget(self, volume: str) -> None:
        """Remove the bytes of a volume whose records are gone."""
        with self._lock:
            files = self._files.pop(volume, {})
            self._directories.pop(volume, None)
        for kept in files.values():
            self._unlink(kept.stored)

    def close(self) -> None:
        """Remove the folder if it is a temporary one."""
        if self._forget is not None:
            self._forget()

    # ---- within

    def _load(self) -> None:
        for name, data in self._store.objects(_FILE):
            volume, _, path = name.partition("/")
            self._files.setdefault(volume, {})[path] = _Kept(**data)
        for name, data in self._store.objects(_DIRECTORY):
            volume, _, path = name.partition("/")
            self._directories.setdefault(volume, {})[path] = int(data["modified"])
        wanted = {kept.stored for files in self._files.values() for kept in files.values()}
        if self._folder.exists():
            for item in self._folder.iterdir():
                if _OWN_NAME.fullmatch(item.name) and item.name not in wanted:
                    self._unlink(item.name)

    def _below(self, volume: str, path: str) -> tuple[dict[str, _Kept], dict[str, int]]:
        start = f"{path}/" if path else ""
        files, directories = self._files.get(volume, {}), self._directories.get(volume, {})
        return (
            {inner: kept for inner, kept in files.items() if inner.startswith(start)},
            {inner: moment for inner, moment in directories.items() if inner.startswith(start)},
        )

    def _holds(self, volume: str, path: str) -> bool:
        return any(self._below(volume, path))

    def _check_place(self, volume: str, path: str) -> None:
        if self.is_directory(volume, path):
            raise VolumeFileError(ALREADY_EXISTS, "A directory has the path of the file.")
        above = path
        while above := above.rpartition("/")[0]:
            if above in self._files.get(volume, {}):
                raise VolumeFileError(ALREADY_EXISTS, "A file has the path of a directory above.")

    def _begin(self) -> tuple[str, BinaryIO]:
        """Make the file that an upload is written to; return its later name."""
        if self._forget is None:
            self._folder.mkdir(mode=0o700, exist_ok=True)
        stored = uuid.uuid4().hex
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINKS
        number = os.open(self._folder / (stored + _UNFINISHED), flags, 0o600)
        return stored, os.fdopen(number, "wb")

    def _appear(self, upload: Upload, stored: str, size: int) -> Entry:
        """Give a whole file its path."""
        with self._store.commit_lock, self._lock:
            upload.still_there()
            self._check_place(upload.volume, upload.path)
            (self._folder / (stored + _UNFINISHED)).replace(self._folder / stored)
            kept = _Kept(stored, size, _now())
            try:
                with self._writing() as cursor:
                    name = f"{upload.volume}/{upload.path}"
                    self._store.put(cursor, _FILE, name, vars(kept))
            except BaseException:
                self._unlink(stored)
                raise
            files = self._files.setdefault(upload.volume, {})
            before = files.get(upload.path)
            files[upload.path] = kept
        if before is not None:
            self._unlink(before.stored)
        return Entry(upload.path, size, kept.modified)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        cursor = self._store.cursor()
        try:
            with self._store.transaction(cursor):
                yield cursor
        finally:
            self._store.give_back(cursor)

    def _unlink(self, stored: str) -> None:
        # Windows keeps a file that is being read; it goes at the next start.
        with contextlib.suppress(OSError):
            (self._folder / stored).unlink()


class Upload:
    """A file that is being received; use it in a ``with`` block.

    What was not finished at the block's end leaves nothing.
    """

    def __init__(
        self, files: VolumeFiles, volume: str, path: str, still_there: Callable[[], object]
    ) -> None:
        self.volume = volume
        self.path = path
        self.still_there = still_there
        self._files = files
        self._size = 0
        self._stored, self._stream = files._begin()

    def write(self, piece: bytes) -> None:
        """Take the next bytes.

        Raises:
            VolumeFileError: ``TOO_LARGE``.
        """
        self._size += len(piece)
        if self._size > MAX_FILE_BYTES:
            raise VolumeFileError(
                TOO_LARGE, f"A file may have {MAX_FILE_BYTES} bytes; this one has more."
            )
        self._stream.write(piece)

    def finish(self) -> Entry:
        """Let the file appear, whole.

        Raises:
            SqlError: The volume is gone.
            VolumeFileError: ``ALREADY_EXISTS``: a directory has taken its path meanwhile.
        """
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        return self._files._appear(self, self._stored, self._size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()
        self._files._unlink(self._stored + _UNFINISHED)


def _require_own_folder(folder: Path) -> None:
    try:
        mode = folder.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(mode):
        raise DatabaseFileError(
            f"The files of the local warehouse's volumes cannot be kept in {folder}: it is no "
            "folder of its own\nTo fix it: move it away, or name another file with --data."
        )


def _first(inner: str, start: int) -> str:
    """The part of a path up to its first name behind ``start``."""
    end = inner.find("/", start)
    return inner if end < 0 else inner[:end]


def _now() -> int:
    return time.time_ns() // 1_000_000


def _remove(folder: str, process: int) -> None:
    """Remove a folder; a forked child leaves that of its parent."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)
