"""What rows are loaded from, as portions of columns: told by its type, never by its content."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.engine import FilterResult, Result
from sqlalchemy.exc import ArgumentError, NoInspectionAvailable
from sqlalchemy.orm import InstanceState

from vinci_code.core.errors import LoadRefusedError
from vinci_code.database.dialect.driver.rows import require_pyarrow
from vinci_code.database.loading.mapped import FlushedParts
from vinci_code.database.loading.portions import ROWS, Portion, Source, of_rows


def source_of(given: Any, wanted: str | None = None, *, again: bool = False) -> Source:
    """The source that something is.

    Args:
        given: A frame, something of Arrow, one path or several, or an iterable of rows.
        wanted: The format of files whose names do not tell it.
        again: Whether it has to be there afterwards.

    Raises:
        ArgumentError: It can be read once only, and is wanted afterwards; none of it was taken.
        LoadRefusedError: It is of no known kind.
        MissingExtraError: pyarrow is not installed, and it takes that.
    """
    paths = _paths(given)
    if paths is not None:
        require_pyarrow("load() of files")
        # Not at the top: rows of Python are loaded into SQLite without pyarrow.
        from vinci_code.database.loading.files import source_of_files

        return source_of_files(paths, wanted)
    if wanted is not None:
        raise LoadRefusedError(
            f"format={wanted!r}", "it is that of files, and the source is none", "leave it out"
        )
    if again:
        _require_again(given)
    package = type(given).__module__.partition(".")[0]
    if package in {"pandas", "polars", "pyarrow"} or hasattr(given, "__arrow_c_stream__"):
        require_pyarrow(f"load() of {_named(given)}")
        from vinci_code.database.loading.frames import source_of_frame

        return source_of_frame(given)
    if isinstance(given, (Mapping, bytes, bytearray)) or not isinstance(given, Iterable):
        raise LoadRefusedError(f"{_named(given)}", "it is no source that load() knows", _KNOWN)
    return _of_items(given)


def _require_again(given: Any) -> None:
    """Refuse what may be empty after it has been read.

    Raises:
        ArgumentError: It may.
    """
    name = f"{type(given).__module__.partition('.')[0]}.{type(given).__name__}"
    if isinstance(given, Sequence) or name in _KEPT:
        return
    if not isinstance(given, Iterable) and not hasattr(given, "__arrow_c_stream__"):
        return
    raise ArgumentError(
        f"explain=True reads rows to see how large they are, and a {_named(given)} can be read "
        "once only; nothing was taken from it\nTo fix it: pass a list, a table or files."
    )


_KEPT = {"pandas.DataFrame", "polars.DataFrame", "pyarrow.Table", "pyarrow.RecordBatch"}


def _paths(given: Any) -> list[str] | None:
    """The paths that are given; ``None`` where it is something else."""
    if isinstance(given, (str, os.PathLike)):
        return [_path(given)]
    if not isinstance(given, (list, tuple)) or not given:
        return None
    if not all(isinstance(item, (str, os.PathLike)) for item in given):
        return None
    return [_path(item) for item in given]


def _path(given: Any) -> str:
    path = os.fspath(given)
    if not isinstance(path, str):
        raise LoadRefusedError("a path of bytes", "a path is a text here", "pass os.fsdecode(path)")
    return path


def _of_items(given: Iterable[Any]) -> Source:
    """The source of mappings, objects or batches, by the first of them."""
    told = f"{_named(given)} of rows"
    items = _Listed(given) if isinstance(given, Sequence) else _Passing(given)
    first = items.first
    if first is None and not items.rows:
        return Source(told, lambda: iter(()), names=(), rows=0, is_once=items.is_once)
    if type(first).__module__.partition(".")[0] == "pyarrow":
        require_pyarrow("load() of batches")
        from vinci_code.database.loading.frames import source_of_batches

        return source_of_batches(items.begin, first, is_once=items.is_once)
    read = _reader(first)
    return Source(
        told,
        lambda: read(items.begin()),
        names=_names_of(first),
        rows=items.rows,
        is_once=items.is_once,
        is_result=isinstance(given, (Result, FilterResult)),
    )


class _Listed:
    """Items that are all there."""

    is_once = False

    def __init__(self, items: Sequence[Any]) -> None:
        self._items = items
        self.rows: int | None = len(items)
        self.first = items[0] if items else None

    def begin(self) -> Iterator[Any]:
        """All of them."""
        return iter(self._items)


class _Passing:
    """Items that come by once."""

    is_once = True
    rows: int | None = None

    def __init__(self, items: Iterable[Any]) -> None:
        self._left = iter(items)
        self._taken = list(itertools.islice(self._left, 1))
        self.first = self._taken[0] if self._taken else None

    def begin(self) -> Iterator[Any]:
        """All of them."""
        taken, self._taken = self._taken, []
        return itertools.chain(taken, self._left)


def _names_of(first: Any) -> tuple[str, ...] | None:
    """The names of all rows; ``None`` where these differ."""
    if isinstance(first, Mapping):
        names = tuple(first)
        if not all(isinstance(name, str) for name in names):
            raise LoadRefusedError("row 1", "its names are no texts", "name its columns")
        return names
    if _state(first) is None:
        return tuple(field.name for field in dataclasses.fields(first))
    return None


def _reader(first: Any) -> Callable[[Iterator[Any]], Iterator[Portion]]:
    if isinstance(first, Mapping):
        return _of_mappings
    if dataclasses.is_dataclass(first) and not isinstance(first, type) and not _state(first):
        return _of_dataclasses
    if _state(first) is not None:
        return _of_mapped
    raise LoadRefusedError(
        f"an iterable whose first item is {_named(first)}", "it is no row that load() knows", _KNOWN
    )


def _of_mappings(rows: Iterator[Any]) -> Iterator[Portion]:
    """The portions of mappings, each of which has the names of the first."""
    names: tuple[str, ...] = ()
    before = 0
    while block := [_copied(row) for row in itertools.islice(rows, ROWS)]:
        names = names or tuple(block[0])
        wanted = set(names)
        for number, row in enumerate(block, before + 1):
            # Not of keys(): SQLAlchemy's are a sequence, which equals no set.
            if not isinstance(row, Mapping) or len(row) != len(wanted) or set(row) != wanted:
                found = ", ".join(map(repr, row)) if isinstance(row, Mapping) else _named(row)
                raise LoadRefusedError(
                    f"row {number:,}",
                    f"it has {found}, and row 1 has {', '.join(map(repr, names))}",
                    "give each row the same names, with None where it has no value",
                )
        before += len(block)
        yield of_rows(block, names)


def _copied(row: Any) -> Any:
    """A row as it is now: a generator may give one dict again and again, with other values."""
    return dict(row) if isinstance(row, Mapping) else row


def _of_dataclasses(rows: Iterator[Any]) -> Iterator[Portion]:
    kind: Any = None
    names: tuple[str, ...] = ()
    before = 0
    while block := list(itertools.islice(rows, ROWS)):
        if kind is None:
            kind = type(block[0])
            names = tuple(field.name for field in dataclasses.fields(kind))
        for number, row in enumerate(block, before + 1):
            _require_same(number, row, kind)
        before += len(block)
        yield Portion({name: [getattr(row, name) for row in block] for name in names}, len(block))


def _of_mapped(rows: Iterator[Any]) -> Iterator[Portion]:
    """The portions of objects of the ORM: neighbours that have set the same attributes.

    As a flush does, it leaves out an attribute that is not set, and one that is ``None`` where its
    column has a default.
    """
    kind: Any = None
    columns: dict[str, Any] = {}
    before = 0
    while block := list(itertools.islice(rows, ROWS)):
        if kind is None:
            kind = type(block[0])
            mapper: Any = inspect(kind)
            columns = {of.key: of.columns[0] for of in mapper.column_attrs}
            beside = FlushedParts(kind)
        for number, row in enumerate(block, before + 1):
            _require_same(number, row, kind)
            beside.require_none(number, row)
        before += len(block)
        given = [_set_attributes(row, columns) for row in block]
        for names, same in itertools.groupby(given, tuple):
            yield of_rows(list(same), names)


def _set_attributes(row: Any, columns: Mapping[str, Any]) -> dict[str, Any]:
    values = inspect(row).dict
    return {
        key: values[key]
        for key, column in columns.items()
        if key in values
        and (values[key] is not None or column.type.should_evaluate_none or _is_bare(column))
    }


def _is_bare(column: Any) -> bool:
    """Whether ``None`` is NULL there, and does not stand for a default."""
    return (
        getattr(column, "default", None) is None
        and getattr(column, "server_default", None) is None
        and not getattr(column, "primary_key", False)
    )


def _require_same(number: int, row: Any, kind: Any) -> None:
    if type(row) is not kind:
        raise LoadRefusedError(
            f"row {number:,}",
            f"it is {_named(row)}, and row 1 is {kind.__name__}",
            "load the objects of each class by themselves",
        )


def _state(item: Any) -> InstanceState[Any] | None:
    try:
        found = inspect(item)
    except NoInspectionAvailable:
        return None
    return found if isinstance(found, InstanceState) else None


def _named(item: Any) -> str:
    kind = type(item)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


_KNOWN = (
    "pass a frame of pandas or polars, a table, a reader or batches of Arrow, paths of Parquet, "
    "CSV or JSONL files, or an iterable of dicts, of dataclasses or of mapped objects"
)
