"""Columns as files of Parquet have them, of which one expression makes what a commit would store.

A file has the types whose values mean the same to every reader: what a date or a time of before
1900 means in a file depends on settings of the reader, so that these travel as numbers or as text.

==================  =======================  ====================================================
stored              in the file              made by
==================  =======================  ====================================================
whole numbers       ``int64``                itself
BOOLEAN, DOUBLE     ``bool``, ``float64``    itself
DECIMAL(p, s)       ``decimal128(p, s)``     itself
STRING, BINARY      ``string``, ``binary``   itself; VARIANT and nested by the type's expression
DATE                ``int32``                ``date_from_unix_date``
TIMESTAMP           ``int64``                ``timestamp_micros``
TIMESTAMP_NTZ       ``string``               a cast, as of the rows of a commit
==================  =======================  ====================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Context, Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Column, Table, literal_column

from vinci_code.core.errors import RowRefusedError
from vinci_code.database.dialect.types.base import innermost, write_processor
from vinci_code.database.dialect.types.numbers import VinciInteger, VinciSingle
from vinci_code.database.dialect.types.texts import VinciVarchar
from vinci_code.database.dialect.types.transports import Transport, transport_of
from vinci_code.database.dialect.writes.shapes import letters
from vinci_code.database.loading.families import ColumnFamily, family_of
from vinci_code.database.loading.generated import NotStageableError, generated_columns, key_maker
from vinci_code.database.loading.given import GivenColumn, values_of
from vinci_code.database.loading.plain import BadValueError, cast, first_true, plain
from vinci_code.database.loading.portions import Portion, is_arrow
from vinci_code.database.loading.processing import processed
from vinci_code.database.loading.stored import StoredColumn
from vinci_code.database.loading.values import NO_INTEGER, midnights

_MARK = "vinci_column_of_file"


class Storing:
    """Makes the batches of files of the portions of a source.

    Args:
        table: The table.
        given: The columns that the source gives.
        dialect: The dialect.

    Raises:
        NotStageableError: What a commit stores is known to the warehouse alone.
    """

    def __init__(self, table: Table, given: Sequence[GivenColumn], dialect: Any) -> None:
        own = dialect.held_by
        self._generated = generated_columns(table, [item.column for item in given], own)
        self._given = [_Way(item, own) for item in given]
        self._made = [_way_of(item.column, own) for item in self._generated]
        self.columns = [way.stored for way in (*self._given, *self._made)]
        self._names = [letters(number) for number in range(len(self.columns))]

    def batch(self, portion: Portion, before: int) -> Any:
        """The batch of a portion.

        Args:
            portion: The portion.
            before: How many rows the source had before it.

        Raises:
            RowRefusedError: A value cannot be stored.
        """
        columns = [way.column(portion, before) for way in self._given]
        columns += [
            way.of_python(item.values(portion.rows), 0)
            for way, item in zip(self._made, self._generated, strict=True)
        ]
        return pa.RecordBatch.from_arrays(columns, names=self._names)


class _Way:
    """The way of one column into a file."""

    def __init__(self, given: GivenColumn, dialect: Any) -> None:
        column = given.column
        transport = transport_of(column.type, dialect)
        if transport is None:
            raise NotStageableError(
                f"how values of {column.type!r} travel, of the column {column.name}, is known to "
                "the warehouse alone"
            )
        self._given = given
        self._transport = transport
        self._process = write_processor(column.type, dialect)
        self._innermost: Any = innermost(column.type, dialect)
        self._form = _form_of(transport)
        made = _expression(column, dialect).format(self._form.made)
        self.stored = StoredColumn(column, self._form.file, made)
        fast = family_of(self._innermost) is given.family
        self._fast = _FAST.get(given.family) if fast else None
        self._fill = key_maker(column, dialect)

    def column(self, portion: Portion, before: int) -> Any:
        """The file's column of a portion.

        Raises:
            RowRefusedError: A value cannot be stored.
        """
        values = portion.columns[self._given.name]
        try:
            if self._fast is not None and is_arrow(values) and not portion.texts:
                found = self._fast(plain(values), self)
                if found is not None and not (self._fill and found.null_count):
                    return self._form.written(found)
        except BadValueError as error:
            raise RowRefusedError(before + error.index + 1, self._given.name, str(error)) from None
        listed = values_of(portion, self._given, before)
        if self._fill is not None:
            fill = self._fill
            listed = [fill() if value is None else value for value in listed]
        return self.of_python(listed, before)

    def of_python(self, values: Sequence[Any], before: int) -> Any:
        """The file's column of values as an application gives them.

        Raises:
            RowRefusedError: A value cannot be stored.
        """
        kept = processed(values, self._process, self._given, before)
        found = set(map(type, kept))
        if not found <= self._transport.kinds:
            other = next(n for n, v in enumerate(kept) if type(v) not in self._transport.kinds)
            raise RowRefusedError(
                before + other + 1,
                self._given.name,
                f"its type gives a {type(kept[other]).__name__} for it, which is not stored as "
                f"{self._transport.sql}",
            )
        return self._form.written(self._form.array(kept))

    @property
    def innermost(self) -> Any:
        """The dialect's type of the column."""
        return self._innermost

    @property
    def arrow(self) -> Any:
        """The type in which the column's values are whole, before they are written."""
        return self._form.arrow


def _way_of(column: Column[Any], dialect: Any) -> _Way:
    return _Way(GivenColumn(column.name, column, family_of(column.type)), dialect)


# --- in the file ----------------------------------------------------------------------------------


class _StoredForm:
    """How the values of one type stand in the file.

    Attributes:
        arrow: The type in which the values are whole.
        file: The type in the file.
        made: SQL that makes the value.
    """

    def __init__(
        self,
        arrow: Any,
        file: Any = None,
        made: str = "{}",
        write: Callable[[Any], Any] | None = None,
        python: Callable[[Any], Any] | None = None,
    ) -> None:
        self.arrow = arrow
        self.file = arrow if file is None else file
        self.made = made
        self._write = write
        self._python = python

    def written(self, column: Any) -> Any:
        """A column as it stands in the file."""
        if pa.types.is_null(column.type):
            return pa.nulls(len(column), self.file)
        return column if self._write is None else self._write(column)

    def array(self, values: Sequence[Any]) -> Any:
        """A column of stored values of Python."""
        make = self._python
        given = values if make is None else [None if v is None else make(v) for v in values]
        return pa.array(given, type=self.arrow)


def _form_of(transport: Transport) -> _StoredForm:
    known = _FORMS.get(transport.sql)
    if known is not None:
        return known
    precision, scale = map(int, transport.sql[len("DECIMAL(") : -1].split(","))
    unit = Decimal((0, (1,), -scale))
    context = _CONTEXT
    return _StoredForm(
        pa.decimal128(precision, scale), python=lambda value: value.quantize(unit, None, context)
    )


def _wall_clock_texts(column: Any) -> Any:
    return column.cast(pa.string())


_CONTEXT = Context(prec=40)

_FORMS = {
    "BIGINT": _StoredForm(pa.int64()),
    "BOOLEAN": _StoredForm(pa.bool_()),
    "DOUBLE": _StoredForm(pa.float64()),
    "STRING": _StoredForm(pa.string()),
    "BINARY": _StoredForm(pa.binary()),
    "DATE": _StoredForm(
        pa.date32(), pa.int32(), "date_from_unix_date({})", lambda column: column.cast(pa.int32())
    ),
    "TIMESTAMP": _StoredForm(
        pa.timestamp("us", "UTC"),
        pa.int64(),
        "timestamp_micros({})",
        lambda column: column.cast(pa.int64()),
    ),
    "TIMESTAMP_NTZ": _StoredForm(
        pa.timestamp("us"), pa.string(), "CAST({} AS TIMESTAMP_NTZ)", _wall_clock_texts
    ),
}


def _expression(column: Column[Any], dialect: Any) -> str:
    """SQL that the column's type makes a stored value with, ``{}`` standing for what travels."""
    own: Any = column.type.dialect_impl(dialect)
    made = own.bind_expression(literal_column(_MARK, column.type))
    if made is None:
        return "{}"
    text = str(made.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    return text.replace("{", "{{").replace("}", "}}").replace(_MARK, "{}")


# --- without a value of Python --------------------------------------------------------------------


def _integer(column: Any, way: _Way) -> Any:
    if pa.types.is_null(column.type):
        return column
    found = cast(column, pa.int64(), NO_INTEGER)
    own = way.innermost
    if isinstance(own, VinciInteger) and own.bits < 64:
        least, greatest = -(1 << (own.bits - 1)), (1 << (own.bits - 1)) - 1
        outside = first_true(pc.or_(pc.less(found, least), pc.greater(found, greatest)))
        if outside is not None:
            raise BadValueError(
                outside,
                f"a whole number of {own.bits} bits is wanted here, from {least} to {greatest}",
            )
    return found


def _same(column: Any, way: _Way) -> Any:
    return column if column.type in (way.arrow, pa.null()) else None


def _float(column: Any, way: _Way) -> Any:
    if isinstance(way.innermost, VinciSingle):
        return None
    return _same(column, way)


def _numeric(column: Any, way: _Way) -> Any:
    kind, wanted = column.type, way.arrow
    if not pa.types.is_decimal(kind):
        return _same(column, way)
    room = kind.precision - kind.scale <= wanted.precision - wanted.scale
    if kind.scale <= wanted.scale and room:
        return column.cast(wanted)
    return None


def _text(column: Any, way: _Way) -> Any:
    own = way.innermost
    if isinstance(own, VinciVarchar) and own.length is not None:
        return None  # how long each is, is looked at in Python
    return _same(column, way)


def _enum(column: Any, way: _Way) -> Any:
    if pa.types.is_string(column.type):
        names = pa.array(way.innermost.enums, pa.string())
        if first_true(pc.invert(pc.is_in(column, names)).filter(column.is_valid())) is not None:
            return None
    return _same(column, way)


def _uuid(column: Any, way: _Way) -> Any:
    if not pa.types.is_string(column.type):
        return _same(column, way)
    if pc.all(pc.match_substring_regex(column, _UUID)).as_py() is False:
        return None
    return _same(column, way)


_UUID = r"\A[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\z"


def _date(column: Any, way: _Way) -> Any:
    return midnights(column) if pa.types.is_timestamp(column.type) else _same(column, way)


def _moment(column: Any, way: _Way) -> Any:
    if pa.types.is_date32(column.type):
        return column.cast(way.arrow)
    return _same(column, way)


_FAST: dict[ColumnFamily, Callable[[Any, _Way], Any]] = {
    ColumnFamily.INTEGER: _integer,
    ColumnFamily.BOOLEAN: _same,
    ColumnFamily.FLOAT: _float,
    ColumnFamily.NUMERIC: _numeric,
    ColumnFamily.TEXT: _text,
    ColumnFamily.ENUM: _enum,
    ColumnFamily.UUID: _uuid,
    ColumnFamily.BINARY: _same,
    ColumnFamily.DATE: _date,
    ColumnFamily.MOMENT: _moment,
    ColumnFamily.INSTANT: _same,
}
