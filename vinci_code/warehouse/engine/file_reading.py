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
from vinci_code.warehouse.sql.types import Column


class FileFormat(Protocol):
    """A format that files can be read in."""

    @property
    def name(self) -> str:
        """Its name, as ``FILEFORMAT`` has it."""

    def columns(self, stream: BinaryIO, path: str) -> list[Column]:
        """Return the columns of a file."""

    def batches(
        self, stream: BinaryIO, path: str, columns: Sequence[Column]
    ) -> Iterator[pa.RecordBatch]:
        """Return its rows, in the columns that it has."""


@dataclass(frozen=True)
class StagedFiles:
    """The rows of files.

    Attributes:
        relation: The staged relation.
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
    volumes: Volumes, file_format: FileFormat, files: Sequence[VolumePath]
) -> list[list[Column]]:
    """Return the columns of each file.

    Raises:
        SqlError: A file cannot be read, or has two columns of one name.
    """
    listed = []
    for path in files:
        with volumes.open(path) as stream:
            columns = file_format.columns(stream, str(path))
        _refuse_repeated(columns)
        listed.append(columns)
    return listed


def merged(listed: Sequence[Sequence[Column]]) -> list[Column]:
    """Return the columns of all files together.

    Raises:
        SqlError: ``CANNOT_MERGE_SCHEMAS`` where a column has two types.
    """
    found: dict[str, Column] = {}
    for columns in listed:
        for column in columns:
            known = found.setdefault(column.name.lower(), column)
            if known.type != column.type:
                raise SqlError(
                    "CANNOT_MERGE_SCHEMAS",
                    "42KD9",
                    f"Failed merging schemas: the column `{column.name}` is {known.type.text} in "
                    f"one file and {column.type.text} in another.",
                )
    return list(found.values())


def same(listed: Sequence[Sequence[Column]], file_format: FileFormat) -> list[Column]:
    """Return the columns that all files have.

    Raises:
        SqlError: They differ: without ``mergeSchema`` Spark takes the columns of any one of them.
    """
    first = listed[0]
    expected = {(item.name.lower(), item.type) for item in first}
    for columns in listed[1:]:
        if {(item.name.lower(), item.type) for item in columns} != expected:
            raise unsupported(
                f"{file_format.name} files of different columns at one path without "
                "'mergeSchema' = 'true' in the format's options"
            )
    return list(first)


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
    physical = tuple(f"c{index}" for index in range(len(columns)))
    schema = pa.schema(
        [pa.field(name, item.type.arrow()) for name, item in zip(physical, columns, strict=True)]
    )
    rows = _Rows(volumes, file_format, files, columns, schema, limit)
    reader = pa.RecordBatchReader.from_batches(schema, iter(rows))
    try:
        relation = transaction.stage_arrow(reader)
    except (duckdb.Error, pa.ArrowException):
        # What the reader has raised comes back through DuckDB as text.
        if rows.failure is not None:
            raise rows.failure from None
        raise
    return StagedFiles(relation, tuple(columns), physical, rows.count)


class _Rows:
    """The batches of files; what went wrong is kept."""

    def __init__(
        self,
        volumes: Volumes,
        file_format: FileFormat,
        files: Sequence[VolumePath],
        columns: Sequence[Column],
        schema: pa.Schema,
        limit: int | None,
    ) -> None:
        self.count = 0
        self.failure: BaseException | None = None
        self._volumes = volumes
        self._format = file_format
        self._files = files
        self._columns = columns
        self._schema = schema
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
            own = self._format.columns(stream, str(path))
            places = {item.name.lower(): index for index, item in enumerate(own)}
            for batch in self._format.batches(stream, str(path), own):
                arrays = []
                for column, field in zip(self._columns, self._schema, strict=True):
                    place = places.get(column.name.lower())
                    arrays.append(
                        pa.nulls(batch.num_rows, field.type)
                        if place is None
                        else batch.column(place)
                    )
                yield pa.RecordBatch.from_arrays(arrays, schema=self._schema)


def _path(above: VolumePath, entry: Entry) -> VolumePath:
    return VolumePath(above.volume, entry.path)


def _refuse_repeated(columns: Sequence[Column]) -> None:
    seen: set[str] = set()
    for column in columns:
        if column.name.lower() in seen:
            raise SqlError(
                "COLUMN_ALREADY_EXISTS",
                "42711",
                f"The column `{column.name.lower()}` already exists. Choose another name or rename "
                "the existing column.",
            )
        seen.add(column.name.lower())
