"""Files of volumes as rows of a query: which files a path means, and their rows, staged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import duckdb
import pyarrow as pa

from vinci_code.warehouse.engine.transactions import Transaction
from vinci_code.warehouse.engine.volume_files import Entry
from vinci_code.warehouse.engine.volume_paths import VolumePath, VolumePathError
from vinci_code.warehouse.engine.volumes import Volumes
from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.types import Column, SqlType


class FileFormat(Protocol):
    """A format that files can be read in."""

    @property
    def name(self) -> str:
        """Its name, as ``FILEFORMAT`` has it."""

    def columns(self, stream: BinaryIO, path: str) -> list[Column]:
        """Return the columns of a file."""

    def combined(self, listed: Sequence[Sequence[Column]], *, merge: bool) -> list[Column]:
        """Return the columns of all files together; ``merge`` is their ``mergeSchema``."""

    def carried(self, columns: Sequence[Column]) -> pa.Schema:
        """Return the form in which rows of these columns are staged."""

    def relation(self, staged: str, columns: Sequence[Column]) -> str:
        """Return staged rows as columns ``c0``, ``c1`` and so on."""

    def batches(
        self, stream: BinaryIO, path: str, columns: Sequence[Column]
    ) -> Iterator[pa.RecordBatch]:
        """Return a file's rows as these columns, in the form of ``carried``."""


@dataclass(frozen=True)
class StagedFiles:
    """The rows of files.

    Attributes:
        relation: The staged relation, as it can stand in FROM.
        columns: Its columns.
        physical: Their names in it.
        count: The number of its rows.
    """

    relation: str
    columns: tuple[Column, ...]
    physical: tuple[str, ...]
    count: int


def locate(volumes: Volumes, text: str) -> VolumePath:
    """Read the path of files to read.

    Raises:
        SqlError: ``UNSUPPORTED_BY_LOCAL_WAREHOUSE`` for what is no path of a volume, or has a
            pattern in it; ``UC_VOLUME_NOT_FOUND``.
    """
    if any(sign in text for sign in "*?[{"):
        raise unsupported(f"a pattern in the path of files: '{text}'")
    try:
        return volumes.locate(text)
    except VolumePathError as error:
        raise unsupported(f"reading files at '{text}': of the path of a volume, {error}") from error


def discover(volumes: Volumes, path: VolumePath, *, recursive: bool) -> list[VolumePath]:
    """Return the files that a path means: itself, or what lies in a directory, by path.

    Like Spark, it leaves out what begins with ``_`` or ``.``.

    Raises:
        SqlError: ``PATH_NOT_FOUND``, or a directory that Databricks would make a column of.
    """
    if volumes.file(path) is not None:
        return [path]
    if not volumes.is_directory(path):
        raise SqlError("PATH_NOT_FOUND", "42K03", f"Path does not exist: dbfs:{path}.")
    start = len(path.inner) + 1 if path.inner else 0
    found = []
    for entry in volumes.all_files(path):
        *above, name = entry.path[start:].split("/")
        if any(part.startswith(("_", ".")) for part in (*above, name)):
            continue
        if any("=" in part for part in above):
            raise unsupported(f"directories that are columns (key=value), as in {entry.path}")
        if recursive or not above:
            found.append(_path(path, entry))
    return found


def columns_of(
    volumes: Volumes, file_format: FileFormat, files: Sequence[VolumePath], *, merge: bool
) -> list[Column]:
    """Return the columns of all files together; ``merge`` is their ``mergeSchema``.

    Raises:
        SqlError: A file cannot be read or has two columns of one name, or the columns of the files
            do not go together.
    """
    listed = []
    for path in files:
        with volumes.open(path) as stream:
            columns = file_format.columns(stream, str(path))
        refuse_repeated(columns)
        listed.append(columns)
    found = file_format.combined(listed, merge=merge)
    refuse_repeated(found)
    return found


def stage(
    volumes: Volumes,
    transaction: Transaction,
    file_format: FileFormat,
    files: Sequence[VolumePath],
    columns: Sequence[Column],
    *,
    limit: int | None = None,
) -> StagedFiles:
    """Stage the rows of files, in order, at most ``limit`` of them.

    Raises:
        SqlError: A row cannot be read.
    """
    rows = _Rows(volumes, file_format, files, columns, limit)
    reader = pa.RecordBatchReader.from_batches(file_format.carried(columns), iter(rows))
    try:
        staged = transaction.stage_arrow(reader)
    except (duckdb.Error, pa.ArrowException):
        # What the reader has raised comes back through DuckDB as text.
        if rows.failure is not None:
            raise rows.failure from None
        raise
    physical = tuple(f"c{index}" for index in range(len(columns)))
    return StagedFiles(file_format.relation(staged, columns), tuple(columns), physical, rows.count)


class _Rows:
    """The batches of files; what went wrong is kept."""

    def __init__(
        self,
        volumes: Volumes,
        file_format: FileFormat,
        files: Sequence[VolumePath],
        columns: Sequence[Column],
        limit: int | None,
    ) -> None:
        self.count = 0
        self.failure: BaseException | None = None
        self._volumes = volumes
        self._format = file_format
        self._files = files
        self._columns = columns
        self._left = limit

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            for path in self._files:
                for batch in self._of(path):
                    taken = batch if self._left is None else batch.slice(0, self._left)
                    self.count += taken.num_rows
                    if self._left is not None:
                        self._left -= taken.num_rows
                    yield taken
                    if self._left == 0:
                        return
        except GeneratorExit:
            raise
        except BaseException as error:
            self.failure = error
            raise

    def _of(self, path: VolumePath) -> Iterator[pa.RecordBatch]:
        with self._volumes.open(path) as stream:
            yield from self._format.batches(stream, str(path), self._columns)


def _path(above: VolumePath, entry: Entry) -> VolumePath:
    return VolumePath(above.volume, entry.path)


def refuse_repeated(columns: Sequence[Column]) -> None:
    """Refuse columns whose names differ by their case at most, in what is nested too.

    Raises:
        SqlError: ``COLUMN_ALREADY_EXISTS``.
    """
    _refuse_names([(column.name, column.type) for column in columns])


def _refuse_names(fields: Sequence[tuple[str, SqlType]]) -> None:
    seen: set[str] = set()
    for name, kind in fields:
        if name.lower() in seen:
            raise SqlError(
                "COLUMN_ALREADY_EXISTS",
                "42711",
                f"The column `{name.lower()}` already exists. Choose another name or rename "
                "the existing column.",
            )
        seen.add(name.lower())
        inner: SqlType | None = kind
        while inner is not None and inner.name != "STRUCT":
            inner = inner.element or inner.value
        _refuse_names([(item.name, item.type) for item in inner.fields] if inner else [])
