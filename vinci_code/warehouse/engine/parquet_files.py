"""Parquet files: their columns as Databricks types, exactly, and their rows as Arrow.

The types are those of Spark's ``ParquetToSparkSchemaConverter``: a type that it has no match for is
``PARQUET_TYPE_ILLEGAL``, and no value is ever cast to another type than its column's. The reader is
Arrow's, on a stream that is open already: no reader of DuckDB's, and no path, comes into it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from vinci_code.warehouse.sql.errors import SqlError, unsupported
from vinci_code.warehouse.sql.types import (
    BIGINT,
    BINARY,
    BOOLEAN,
    DATE,
    DOUBLE,
    FLOAT,
    INT,
    MAX_PRECISION,
    SMALLINT,
    STRING,
    TIMESTAMP,
    TIMESTAMP_NTZ,
    TIMESTAMP_ZONE,
    TINYINT,
    Column,
    SqlType,
    array,
    decimal,
    map_of,
    precision_exceeded,
    struct,
)

BATCH_ROWS = 64 * 1024


class ParquetFormat:
    """Reads Parquet; there is one option, ``mergeSchema``, which is the caller's affair."""

    name = "PARQUET"
    options: Mapping[str, str] = {}

    def columns(self, stream: BinaryIO, path: str) -> list[Column]:
        """Return the columns of a file.

        Raises:
            SqlError: ``FAILED_READ_FILE``, or a type that has no match.
        """
        file = _opened(stream, path)
        schema, old = file.schema_arrow, _old_timestamps(file)
        return [
            Column(field.name, TIMESTAMP if field.name in old else _type(field, path))
            for field in schema
        ]

    def combined(self, listed: Sequence[Sequence[Column]], *, merge: bool) -> list[Column]:
        """Return the columns of all files together.

        Raises:
            SqlError: ``CANNOT_MERGE_SCHEMAS`` where a column has two types; without ``merge``
                where they differ at all, since Spark takes the columns of any one of them.
        """
        return _merged(listed) if merge else _same(listed)

    def carried(self, columns: Sequence[Column]) -> pa.Schema:
        """Return the form in which rows are staged: as they are."""
        return pa.schema([(f"c{place}", item.type.arrow()) for place, item in enumerate(columns)])

    def relation(self, staged: str, columns: Sequence[Column]) -> str:
        """Return staged rows as columns ``c0``, ``c1`` and so on."""
        del columns
        return staged

    def batches(
        self, stream: BinaryIO, path: str, columns: Sequence[Column]
    ) -> Iterator[pa.RecordBatch]:
        """Return a file's rows as these columns: each one that it has not is NULL."""
        own = self.columns(stream, path)
        places = {item.name.lower(): index for index, item in enumerate(own)}
        schema = self.carried(columns)
        wanted = [places.get(item.name.lower()) for item in columns]
        try:
            for batch in _opened(stream, path).iter_batches(BATCH_ROWS):
                arrays = [
                    pa.nulls(batch.num_rows, field.type)
                    if place is None
                    else _converted(batch.column(place), own[place].type.arrow())
                    for place, field in zip(wanted, schema, strict=True)
                ]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)
        except (pa.ArrowException, OSError) as error:
            raise _unreadable("NO_HINT", path, str(error)) from error


def _merged(listed: Sequence[Sequence[Column]]) -> list[Column]:
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


def _same(listed: Sequence[Sequence[Column]]) -> list[Column]:
    first = listed[0]
    expected = {(item.name.lower(), item.type) for item in first}
    for columns in listed[1:]:
        if {(item.name.lower(), item.type) for item in columns} != expected:
            raise unsupported(
                "PARQUET files of different columns at one path without 'mergeSchema' = 'true' in "
                "the format's options"
            )
    return list(first)


def _opened(stream: BinaryIO, path: str) -> Any:
    stream.seek(0)
    try:
        # INT96 is nanoseconds by itself, which Spark reads as microseconds.
        return pq.ParquetFile(stream, coerce_int96_timestamp_unit="us")
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(
            "CANNOT_READ_FILE_FOOTER",
            path,
            "Could not read footer. Please ensure that the file is in Parquet format.",
        ) from error


def _unreadable(detail: str, path: str, reason: str) -> SqlError:
    return SqlError(
        f"FAILED_READ_FILE.{detail}",
        "KD001",
        f"Encountered error while reading file dbfs:{path}. {reason}",
    )


def _old_timestamps(file: Any) -> set[str]:
    """The columns of type INT96: instants, though nothing says so."""
    schema, found = file.schema, set()
    for index in range(len(schema.names)):
        column = schema.column(index)
        if column.physical_type == "INT96":
            if "." in column.path and column.path not in file.schema_arrow.names:
                raise unsupported(f"INT96 in the nested column {column.path} of a Parquet file")
            found.add(column.path)
    return found


_PLAIN: dict[pa.DataType, SqlType] = {
    pa.bool_(): BOOLEAN,
    pa.int8(): TINYINT,
    pa.int16(): SMALLINT,
    pa.int32(): INT,
    pa.int64(): BIGINT,
    pa.uint8(): SMALLINT,
    pa.uint16(): INT,
    pa.uint32(): BIGINT,
    pa.uint64(): decimal(20, 0),
    pa.float32(): FLOAT,
    pa.float64(): DOUBLE,
    pa.date32(): DATE,
    pa.string(): STRING,
    pa.large_string(): STRING,
    pa.string_view(): STRING,
    pa.binary(): BINARY,
    pa.large_binary(): BINARY,
    pa.binary_view(): BINARY,
}


def _type(field: pa.Field, path: str) -> SqlType:
    kind = field.type
    plain = _PLAIN.get(kind)
    if plain is not None:
        return plain
    if pa.types.is_dictionary(kind):
        return _type(field.with_type(kind.value_type), path)
    if pa.types.is_decimal(kind):
        return _decimal(kind)
    if pa.types.is_timestamp(kind) and kind.unit != "ns":
        return TIMESTAMP_NTZ if kind.tz is None else TIMESTAMP
    if pa.types.is_fixed_size_binary(kind):
        return BINARY
    if pa.types.is_duration(kind):
        return BIGINT  # what Parquet holds of it
    nested = _nested_type(kind, path)
    if nested is not None:
        return nested
    if pa.types.is_timestamp(kind) or pa.types.is_time(kind) or pa.types.is_float16(kind):
        raise SqlError(
            "PARQUET_TYPE_ILLEGAL",
            "42846",
            f"Illegal Parquet type: {kind} (column `{field.name}` of dbfs:{path}).",
        )
    raise unsupported(f"the type {kind} of the column `{field.name}` in the Parquet file {path}")


def _nested_type(kind: pa.DataType, path: str) -> SqlType | None:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return array(_type(kind.value_field, path))
    if pa.types.is_map(kind):
        return map_of(_type(kind.key_field, path), _type(kind.item_field, path))
    if pa.types.is_struct(kind) and kind.num_fields:
        fields = [kind.field(index) for index in range(kind.num_fields)]
        return struct(*((item.name, _type(item, path)) for item in fields))
    return None


def _decimal(kind: pa.DataType) -> SqlType:
    if kind.precision > MAX_PRECISION:
        raise precision_exceeded(kind.precision)
    if kind.scale < 0:
        raise unsupported(f"a Parquet column of type {kind}")
    return decimal(kind.precision, kind.scale)


def _converted(values: pa.Array, wanted: pa.DataType) -> pa.Array:
    """The same values in the form that the engine takes; the type allows for every one of them."""
    if values.type == wanted:
        return values
    if pa.types.is_timestamp(wanted) and wanted.tz == TIMESTAMP_ZONE and values.type.tz is None:
        values = values.cast(pa.timestamp("us"))
    return values.cast(wanted)
