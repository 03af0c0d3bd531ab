"""Files of Parquet, CSV and lines of JSON, one or many, packed or not, in constant memory."""

from __future__ import annotations

import contextlib
import glob
import io
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO, Any

import pyarrow as pa

from vinci_code.core.errors import InputDataError, LoadRefusedError
from vinci_code.database.files.delimited import LONGEST, DelimitedError, DelimitedRows
from vinci_code.database.files.lines import numbered_lines, why_no_text
from vinci_code.database.files.names import ENDINGS, Codec, FileNameError, Format, kind_of
from vinci_code.database.files.opening import DAMAGE, opened
from vinci_code.database.files.parquet import ParquetBatches
from vinci_code.database.files.twice import TwiceError, names_once
from vinci_code.database.loading.documents import ExactFloat, no_constant
from vinci_code.database.loading.portions import ROWS, Portion, Source, of_batch

FORMATS: tuple[Format, ...] = ("parquet", "csv", "jsonl")
"""What files can be: their names end so, or ``format=`` says it."""

_BATCH_ROWS = 65_536
_BLOCK_CHARACTERS = 1 << 24


@dataclass(frozen=True)
class _SourceFile:
    path: str
    format: Format
    codec: Codec | None

    @property
    def size(self) -> int:
        return Path(self.path).stat().st_size


def source_of_files(paths: list[str], wanted: str | None) -> Source:
    """The source of files; patterns such as ``part-*.parquet`` stand for those that fit.

    Raises:
        LoadRefusedError: There are none, their names do not tell what they are, or they have not
            the same columns.
    """
    if wanted is not None and wanted not in FORMATS:
        raise LoadRefusedError(
            f"format={wanted!r}", "it is no format that load() knows", f"pass one of {FORMATS}"
        )
    files = [_file(path, wanted) for given in paths for path in _found(given)]
    _require_once(files)
    told = files[0].path if len(files) == 1 else f"{len(files)} files"
    kinds = {file.format for file in files}
    if len(kinds) > 1:
        raise LoadRefusedError(told, f"they are {' and '.join(sorted(kinds))}", "load each kind")
    [kind] = kinds
    if kind == "parquet":
        return _of_parquet(files, told)
    if kind == "csv":
        return _of_csv(files, told)
    return Source(told, lambda: _json_portions(files), names=_first_names(files), is_text=True)


def _found(given: str) -> list[str]:
    if Path(given).exists():
        if Path(given).is_dir():
            raise LoadRefusedError(given, "it is a folder", f"name its files: {given}/*.parquet")
        return [given]
    pattern = _pattern(given)
    found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - it is a whole path
    files = [path for path in found if not Path(path).is_dir()]
    if not files:
        raise LoadRefusedError(given, "there is no such file", "check the path, or the pattern")
    return files


def _pattern(given: str) -> str:
    """A pattern, in which folders that are there, such as ``a[1]``, stand for themselves."""
    parts = PurePath(given).parts
    known = 0
    while known < len(parts) and Path(*parts[: known + 1]).exists():
        known += 1
    if not known:
        return given
    return str(PurePath(glob.escape(str(PurePath(*parts[:known]))), *parts[known:]))


def _require_once(files: list[_SourceFile]) -> None:
    seen: dict[Path, str] = {}
    for file in files:
        own = Path(file.path).resolve()
        if own in seen:
            raise LoadRefusedError(
                file.path,
                f"it is named twice, here and as {seen[own]}, and its rows would be loaded twice",
                "name each file once",
            )
        seen[own] = file.path


def _file(path: str, wanted: Format | None) -> _SourceFile:
    try:
        kind = kind_of(path, wanted)
    except FileNameError as error:
        raise LoadRefusedError(path, str(error), error.fix) from None
    if kind.format is None:
        raise LoadRefusedError(
            path,
            f"its name does not tell what it is; known are {', '.join(ENDINGS)}, and .gz or .zst "
            "behind",
            f"say it: format= one of {FORMATS}",
        )
    return _SourceFile(path, kind.format, kind.codec)


@contextlib.contextmanager
def _opened(file: _SourceFile) -> Iterator[IO[bytes]]:
    with contextlib.ExitStack() as stack:
        with _reading(file):
            found = stack.enter_context(opened(file.path, file.codec))
        yield found.stream


# --- Parquet --------------------------------------------------------------------------------------


def _of_parquet(files: list[_SourceFile], told: str) -> Source:
    schema: Any = None
    rows = 0
    for file in files:
        with _reading(file), ParquetBatches(file.path, file.path) as found:
            own = found.schema
            rows += found.rows
        schema = own if schema is None else schema
        _require_same(file, files[0], own.names, schema.names)
        if not own.equals(schema):
            raise LoadRefusedError(
                file.path,
                f"its columns are of other types than those of {files[0].path}",
                "load it by itself",
            )

    def portions() -> Iterator[Portion]:
        for file in files:
            with _reading(file), ParquetBatches(file.path, file.path) as found:
                share = file.size / max(found.rows, 1)
                for batch in found.batches(_BATCH_ROWS):
                    yield of_batch(batch, int(batch.num_rows * share))

    return Source(told, portions, schema, tuple(schema.names), rows)


# --- CSV ------------------------------------------------------------------------------------------


def _of_csv(files: list[_SourceFile], told: str) -> Source:
    names: list[str] = []
    for file in files:
        own = _header(file)
        names = names or own
        _require_same(file, files[0], own, names)
    schema = pa.schema([pa.field(name, pa.string()) for name in names])

    def portions() -> Iterator[Portion]:
        for file in files:
            yield from _csv_portions(file)

    return Source(told, portions, schema, tuple(names), is_text=True)


def _csv_portions(file: _SourceFile) -> Iterator[Portion]:
    with _opened(file) as stream, _decoded(stream) as text:
        reader = DelimitedRows(text)
        rows = reader.rows()
        with _reading(file, reader):
            names = [name or "" for name in next(rows)]
        schema = pa.schema([pa.field(name, pa.string()) for name in names])
        rows = reader.rows(len(names))
        while True:
            before = reader.size
            with _reading(file, reader):
                block = []
                for row in rows:
                    block.append(row)
                    if len(block) == ROWS or reader.size - before > _BLOCK_CHARACTERS:
                        break
            if not block:
                return
            columns = [pa.array(column, pa.string()) for column in zip(*block, strict=True)]
            part = of_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
            yield Portion(part.columns, part.rows, reader.size - before, texts=True)


def _header(file: _SourceFile) -> list[str]:
    with _opened(file) as stream, _decoded(stream) as text:
        reader = DelimitedRows(text)
        with _reading(file, reader):
            found = next(reader.rows(), None)
    if not found:
        raise LoadRefusedError(file.path, "it has no first line that names its columns", "add one")
    names = [name or "" for name in found]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise LoadRefusedError(
            file.path, f"two columns are called {twice[0]!r}", "rename one of them"
        )
    if len(names) == 1 and (other := next((mark for mark in ";\t|" if mark in names[0]), None)):
        raise LoadRefusedError(
            file.path,
            f"its first line names one column, with {other!r} in it; columns are separated by "
            "commas here",
            "write it with commas",
        )
    return names


@contextlib.contextmanager
def _decoded(stream: IO[bytes]) -> Iterator[io.TextIOWrapper]:
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    try:
        yield text
    finally:
        text.detach()


# --- lines of JSON --------------------------------------------------------------------------------


def _json_portions(files: list[_SourceFile]) -> Iterator[Portion]:
    names: tuple[str, ...] | None = None
    for file in files:
        with _opened(file) as stream:
            lines = _lines(file, stream)
            while block := list(itertools.islice(lines, ROWS)):
                if names is None:
                    names = tuple(block[0][1])
                wanted = set(names)
                yield _json_portion(file, block, names, wanted)


def _json_portion(
    file: _SourceFile, block: Any, names: tuple[str, ...], wanted: set[str]
) -> Portion:
    for number, row, _ in block:
        if row.keys() != wanted:
            other = sorted(row.keys() ^ wanted)
            raise InputDataError(
                file.path,
                number,
                f"{other[0]!r} is in this object or in the first one, and not in both; give each "
                "the same names, with null where it has no value; nothing was loaded",
            )
    columns = {name: [row[name] for _, row, _ in block] for name in names}
    return Portion(columns, len(block), sum(size for *_, size in block), texts=True)


def _lines(file: _SourceFile, stream: IO[bytes]) -> Iterator[tuple[int, dict[str, Any], int]]:
    with _reading(file):
        for number, line in numbered_lines(file.path, stream, LONGEST):
            if isinstance(line, InputDataError):
                raise line
            if line.strip():
                yield number, _object(file, number, line), len(line)


def _object(file: _SourceFile, number: int, line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(
            line.decode(),
            parse_float=ExactFloat,
            parse_constant=no_constant,
            object_pairs_hook=names_once,
        )
    except TwiceError as error:
        raise InputDataError(file.path, number, str(error)) from None
    except (ValueError, RecursionError):
        raise InputDataError(file.path, number, why_no_text(line) or "it is no JSON") from None
    if type(row) is not dict:
        raise InputDataError(file.path, number, "it is no JSON object")
    return row


def _first_names(files: list[_SourceFile]) -> tuple[str, ...]:
    for file in files:
        with _opened(file) as stream:
            first = next(_lines(file, stream), None)
        if first is not None:
            return tuple(first[1])
    return ()


def _require_same(
    file: _SourceFile, first: _SourceFile, names: list[str], wanted: list[str]
) -> None:
    if set(names) != set(wanted) or len(names) != len(wanted):
        other = sorted(set(names) ^ set(wanted))
        raise LoadRefusedError(
            file.path,
            f"{', '.join(map(repr, other))} is in it or in {first.path}, and not in both",
            "load it by itself",
        )


class _reading:  # noqa: N801 - used as a word
    """Says of which file it is what cannot be read, and in which line of CSV."""

    def __init__(self, file: _SourceFile, reader: DelimitedRows | None = None) -> None:
        self._file = file
        self._reader = reader

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, DelimitedError):
            error = InputDataError(self._file.path, error.line, str(error))
        if isinstance(error, InputDataError):
            raise InputDataError(
                error.source, error.line, f"{error.reason}; nothing was loaded"
            ) from None
        if isinstance(error, (*DAMAGE, UnicodeDecodeError)):
            line = self._reader.line if self._reader is not None else 0
            where = f" behind line {line}" if line else ""
            raise InputDataError(
                self._file.path,
                None,
                f"it cannot be read as {self._file.format}{where}: {self._why(error)}; nothing was "
                "loaded",
            ) from error

    def _why(self, error: BaseException | None) -> str:
        if isinstance(error, UnicodeDecodeError):
            return "it is no UTF-8; write it as UTF-8"
        if isinstance(error, OSError) and error.errno is not None:
            return error.strerror or str(error)
        return f"it is no whole {self._file.codec}, or was cut off"
