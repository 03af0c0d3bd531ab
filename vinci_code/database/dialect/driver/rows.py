"""From what the driver fetched to the rows of PEP 249: tuples of plain Python values.

The driver's own rows go through pandas, which turns a NaN into NULL, lists into arrays of numpy,
and 100,000 rows into as many objects of a class made for them. Its Arrow tables have none of that.

A TIMESTAMP is a datetime in UTC, a TIMESTAMP_NTZ one without a time zone; an ARRAY is a list, a MAP
and a STRUCT are dictionaries.
"""

from __future__ import annotations

import datetime as dt
import importlib.util
import itertools
import operator
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from vinci_code.core.errors import MissingExtraError
from vinci_code.database.dialect.dberrors import NotSupportedError, ResultExpired

Row = tuple[Any, ...]
_Given = TypeVar("_Given")

CHUNK_ROWS = 10_000
"""How many rows are turned into Python values at a time, where they are asked for one by one."""


class ResultRows:
    """The rows of a cursor that the driver has executed, as far as they were not given out yet."""

    def __init__(self, driver_cursor: Any) -> None:
        self._cursor = driver_cursor
        self._ready: Iterator[Row] = iter(())
        # The Arrow table whose last rows are those that are ready; ``None`` before there is one.
        self._chunk: Any = None
        # From the beginning of a fetch to its good end.
        self._broken = False

    def ready(self) -> Row | None:
        """The next row, if that takes no fetching."""
        return next(self._ready, None)

    def one(self) -> Row | None:
        """The next row."""
        row = self.ready()
        if row is None:
            self._chunk, rows = self._fetch(CHUNK_ROWS, lambda table: (table, _rows(table)))
            self._ready = iter(rows)
            row = self.ready()
        return row

    def many(self, count: int) -> list[Row]:
        """The next rows, at most ``count`` of them."""
        found = list(itertools.islice(self._ready, count))
        if len(found) < count:
            found += self._fetch(count - len(found), _rows)
        return found

    def all(self) -> list[Row]:
        """All rows that are left."""
        return [*self._ready, *self._fetch(None, _rows)]

    def many_arrow(self, count: int) -> Any:
        """The next rows, at most ``count`` of them, as an Arrow table.

        Raises:
            NotSupportedError: The warehouse did not send them as Arrow.
        """
        left = self._take_ready(count)
        if left is not None and left.num_rows == count:
            return left
        missing = count - (0 if left is None else left.num_rows)
        return self._fetch(missing, lambda table: _joined(left, table))

    def all_arrow(self) -> Any:
        """All rows that are left, as an Arrow table.

        Raises:
            NotSupportedError: The warehouse did not send them as Arrow.
        """
        left = self._take_ready(None)
        return self._fetch(None, lambda table: _joined(left, table))

    def _take_ready(self, count: int | None) -> Any:
        """The rows that are ready, as they were fetched: at most ``count``; ``None`` for none."""
        there = operator.length_hint(self._ready)
        if there == 0:
            return None
        wanted = there if count is None else min(there, count)
        _require_arrow(self._chunk)
        left = self._chunk.slice(self._chunk.num_rows - there, wanted)
        next(itertools.islice(self._ready, wanted, wanted), None)
        return left

    def _fetch(self, count: int | None, give: Callable[[Any], _Given]) -> _Given:
        if self._broken:
            raise ResultExpired(
                "rows were lost when the last fetch failed, and the next ones would not follow on "
                "those before\nTo fix it: run the query again."
            )
        self._broken = True
        given = give(self._cursor.fetchall_arrow() if count is None else self._arrow(count))
        self._broken = False
        return given

    def _arrow(self, count: int) -> Any:
        return self._cursor.fetchmany_arrow(count)


def require_pyarrow(wanted_by: str) -> None:
    """Refuse to go on without pyarrow.

    Raises:
        MissingExtraError: It is not installed; with the command that installs it.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise MissingExtraError("databricks", wanted_by, ["pyarrow"])


def _rows(table: Any) -> list[Row]:
    """The rows of what the driver has fetched."""
    if _is_arrow(table):
        return to_rows(table)
    # Without Arrow, the driver has tables of its own.
    columns = getattr(table, "column_table", [])
    return list(zip(*columns, strict=True))


def _is_arrow(table: Any) -> bool:
    return hasattr(table, "itercolumns")


def _require_arrow(table: Any) -> None:
    if not _is_arrow(table):
        raise NotSupportedError(
            "the warehouse has sent the rows of this result in columns of Thrift, and not as Arrow"
            "\nTo fix it: fetch them as rows, with fetchall() or fetchmany()."
        )


def _joined(left: Any, fetched: Any) -> Any:
    """The rows of two Arrow tables of one result."""
    _require_arrow(fetched)
    if left is None:
        return fetched
    # The schema of a table without rows may be a placeholder of the driver's.
    if fetched.num_rows == 0:
        return left
    import pyarrow as pa

    return pa.concat_tables([left, fetched])


def to_rows(table: Any) -> list[Row]:
    """The rows of an Arrow table."""
    if table.num_columns == 0:
        return []
    return list(zip(*map(_values, table.itercolumns()), strict=True))


def _values(column: Any) -> list[Any]:
    """The values of a column, by the fastest way that is exact."""
    kind = str(column.type)
    if column.null_count == 0 and kind in _NUMBERS:
        numbers: list[Any] = column.to_numpy().tolist()
        return numbers
    if kind in _TEXTS:
        texts: list[Any] = column.to_numpy(zero_copy_only=False).tolist()
        return texts
    if kind.startswith("timestamp["):
        return _moments(column, "tz=" in kind)
    values: list[Any] = column.to_pylist()
    convert = _converter(column.type)
    return values if convert is None else [None if v is None else convert(v) for v in values]


_NUMBERS = frozenset({"int8", "int16", "int32", "int64", "float", "double", "bool"})
_TEXTS = frozenset({"string", "large_string"})


def _moments(column: Any, aware: bool) -> list[Any]:
    # numpy makes datetimes of whole columns, and None of NaT; it knows no time zones.
    moments: list[Any] = column.cast("timestamp[us]", safe=False).to_numpy().tolist()
    if not aware:
        return moments
    return [None if moment is None else moment.replace(tzinfo=_UTC) for moment in moments]


_UTC = dt.timezone.utc


def _converter(kind: Any) -> Callable[[Any], Any] | None:
    """What is left to be done with the Python values that Arrow makes of a type."""
    name = str(kind)
    if name.startswith("timestamp["):
        return _in_utc if "tz=" in name else None
    if name.startswith(("list<", "large_list<", "fixed_size_list<")):
        inner = _converter(kind.value_type)
        return None if inner is None else lambda value: [_applied(inner, item) for item in value]
    if name.startswith("map<"):
        return _map_converter(kind)
    if name.startswith("struct<"):
        return _struct_converter(kind)
    return None


def _map_converter(kind: Any) -> Callable[[Any], Any]:
    key, item = _converter(kind.key_type), _converter(kind.item_type)
    # Arrow makes a list of pairs of it.
    return lambda value: {_applied(key, k): _applied(item, v) for k, v in value}


def _struct_converter(kind: Any) -> Callable[[Any], Any] | None:
    fields = [kind.field(number) for number in range(kind.num_fields)]
    inner = {field.name: _converter(field.type) for field in fields}
    if not any(inner.values()):
        return None
    return lambda value: {name: _applied(inner[name], item) for name, item in value.items()}


def _applied(convert: Callable[[Any], Any] | None, value: Any) -> Any:
    return value if convert is None or value is None else convert(value)


def _in_utc(moment: dt.datetime) -> dt.datetime:
    return moment.astimezone(_UTC)
