"""Results on the wire: Arrow batches for clients that read Arrow, column sets for the others.

The shapes are those that the driver reads (``utils.py`` and ``backend/thrift_backend.py`` of
databricks-sql-connector) and that real servers send (the recorded traffic in databricks-jdbc,
``src/test/resources``): a bare IPC schema message beside the batches, each batch one IPC message
without schema or end mark, compressed as one LZ4 frame where the client offered it, and the Spark
type of every field in its metadata.
"""

from __future__ import annotations

import csv
import datetime as dt
import decimal
import io
import json
import zoneinfo
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import lz4.frame
import pyarrow as pa
import pyarrow.compute as pc
from databricks.sql.thrift_api.TCLIService import ttypes

from vinci_code.warehouse.engine.result import Column
from vinci_code.warehouse.sql.texts import java_float
from vinci_code.warehouse.sql.types import SqlType

SQL_NAME = b"Spark:DataType:SqlName"
JSON_TYPE = b"Spark:DataType:JsonType"

UTC_NAMES = frozenset({"utc", "etc/utc", "z", "gmt", "+00:00"})


@dataclass(frozen=True)
class ResultFormat:
    """How one statement's rows are to be sent.

    Attributes:
        arrow: As Arrow batches; otherwise as column sets.
        lz4: Compressed, for Arrow.
        download: As links to files where it is large, for Arrow.
        text: ``JSON_ARRAY`` or ``CSV`` where files hold text rather than Arrow.
        native_timestamps: Timestamps as Arrow timestamps rather than text.
        native_decimals: Decimals as Arrow decimals rather than text.
        native_complex: Arrays, maps and structs as Arrow types rather than JSON text.
        zone: The session's time zone, in which instants are shown.
    """

    arrow: bool = True
    lz4: bool = False
    download: bool = False
    text: str | None = None
    native_timestamps: bool = True
    native_decimals: bool = True
    native_complex: bool = True
    zone: str = "Etc/UTC"


COLUMNS = ResultFormat(arrow=False)

# What Arrow's to_pylist gives: which Python type it is depends on the SqlType beside it.
Value: TypeAlias = Any


class ResultRows:
    """A result's rows, read from the engine's batches as far as they are asked for.

    ``limit`` and ``max_bytes`` are those of the client, where it set them; ``tells`` reads on after
    them until it is known whether they left something out.
    """

    def __init__(
        self,
        batches: Iterator[pa.RecordBatch],
        limit: int | None = None,
        max_bytes: int | None = None,
        *,
        tells: bool = False,
    ) -> None:
        self._tells = tells
        self._source: Iterator[pa.RecordBatch] | None = batches
        self._limit = limit
        self._bytes_left = max_bytes
        self._waiting: list[pa.RecordBatch] = []
        self._offset = 0
        self._failure: Exception | None = None
        self.position = 0
        """How many rows were taken so far."""
        self.truncated = False
        """Whether rows were left out by what the client set, as far as was read."""

    @property
    def waiting_bytes(self) -> int:
        """The size of the rows that were read and not taken."""
        return sum(batch.nbytes for batch in self._waiting)

    def read_ahead(self, max_bytes: float) -> None:
        """Read from the engine until it has no more or ``max_bytes`` wait to be taken."""
        size = self.waiting_bytes
        while self._source is not None and size < max_bytes:
            batch = self._read()
            if batch is not None:
                size += batch.nbytes

    @property
    def count(self) -> int | None:
        """How many rows there are before the first is taken; ``None`` if not all were read."""
        if self._source is not None:
            return None
        rows: int = sum(batch.num_rows for batch in self._waiting)
        return rows

    def take(self, max_rows: int, max_bytes: int) -> list[pa.RecordBatch]:
        """The next rows: at most ``max_rows``, and at most ``max_bytes`` unless one row is more."""
        taken: list[pa.RecordBatch] = []
        rows, size = max_rows, max_bytes
        while rows > 0 and size > 0 and self._fill():
            batch = self._waiting[0]
            count = min(rows, batch.num_rows - self._offset)
            piece = batch.slice(self._offset, count)
            piece = _shorten(piece, size, at_least=0 if taken else 1)
            if piece.num_rows == 0:
                break
            taken.append(piece)
            rows -= piece.num_rows
            size -= piece.nbytes
            self._advance(piece.num_rows)
        return taken

    def put_back(self, batches: Sequence[pa.RecordBatch]) -> None:
        """Undo the last ``take``."""
        if self._offset:
            self._waiting[0] = self._waiting[0].slice(self._offset)
            self._offset = 0
        self._waiting[:0] = batches
        self.position -= sum(batch.num_rows for batch in batches)

    def has_more(self) -> bool:
        """Whether another row can be taken."""
        return self._fill()

    def close(self) -> None:
        """Forget what was not taken."""
        self._source = None
        self._waiting.clear()

    def _fill(self) -> bool:
        while not self._waiting and self._source is not None:
            self._read()
        if not self._waiting and self._failure is not None:
            raise self._failure
        return bool(self._waiting)

    def _read(self) -> pa.RecordBatch | None:
        try:
            batch = None if self._source is None else next(self._source, None)
        except Exception as error:
            # Kept: the iterator is finished now, and whoever asks again must not take that for the
            # end of the rows.
            self._source, self._failure = None, error
            raise
        if batch is not None:
            batch = self._cut(batch)
        if batch is None or self.truncated or (self._limit == 0 and not self._tells):
            self._source = None
        if batch is None or batch.num_rows == 0:
            return None
        self._waiting.append(batch)
        return batch

    def _cut(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """What the client's limits leave of a batch."""
        rows = batch.num_rows
        if self._limit is not None:
            batch = batch.slice(0, self._limit)
            self._limit -= batch.num_rows
        if self._bytes_left is not None:
            batch = _shorten(batch, self._bytes_left, at_least=0)
            self._bytes_left -= batch.nbytes
        self.truncated = batch.num_rows < rows
        return batch

    def _advance(self, count: int) -> None:
        self._offset += count
        self.position += count
        if self._offset == self._waiting[0].num_rows:
            del self._waiting[0]
            self._offset = 0


class Encoder:
    """Encodes one result's schema and rows.

    Args:
        columns: The result's columns.
        form: How to send it.
        empty_schema: Whether the statement has no result of its own. Its Thrift schema then names
            one column ``Result``, while its Arrow schema has no field, as Spark's thrift server
            answers (``SparkExecuteStatementOperation.getResultSetSchema``).
        staging: Whether its row tells the client to transfer a file.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        form: ResultFormat,
        *,
        empty_schema: bool = False,
        staging: bool = False,
    ) -> None:
        self._staging = staging
        self._columns = list(columns)
        self._form = form
        shown = [] if empty_schema else self._columns
        self._converters = [_converter(column.type, form) for column in shown]
        fields = [_field(column, form) for column in shown] if form.arrow else []
        self._schema = pa.schema(fields)

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of what is sent."""
        return self._schema

    @property
    def schema_message(self) -> bytes:
        """The same as an IPC message."""
        message: bytes = self._schema.serialize().to_pybytes()
        return message

    @property
    def lz4(self) -> bool:
        """Whether what is sent as Arrow is compressed."""
        return self._form.lz4

    def metadata(self, *, links: bool = False) -> ttypes.TGetResultSetMetadataResp:
        """The answer to GetResultSetMetadata; ``links`` where the rows are sent as links."""
        kind = ttypes.TSparkRowSetType
        arrow = kind.URL_BASED_SET if links else kind.ARROW_BASED_SET
        response = ttypes.TGetResultSetMetadataResp(
            status=ttypes.TStatus(statusCode=ttypes.TStatusCode.SUCCESS_STATUS),
            schema=table_schema(self._columns),
            resultFormat=arrow if self._form.arrow else kind.COLUMN_BASED_SET,
            lz4Compressed=self._form.arrow and self._form.lz4,
            isStagingOperation=self._staging,
        )
        if self._form.arrow:
            response.arrowSchema = self.schema_message
        return response

    def row_set(self, batches: Sequence[pa.RecordBatch], offset: int) -> ttypes.TRowSet:
        """The rows of one page; ``offset`` is the number of the first of them within the result."""
        row_set = ttypes.TRowSet(startRowOffset=offset, rows=[])
        if self._form.arrow:
            row_set.arrowBatches = [self._arrow_batch(batch) for batch in batches]
        else:
            row_set.columns = self._column_set(batches)
        return row_set

    @property
    def text(self) -> str | None:
        """The form of files that hold text; ``None`` where they hold Arrow."""
        return self._form.text

    def text_columns(self, batch: pa.RecordBatch) -> list[list[str | None]]:
        """The values of every column as the statement execution API writes them."""
        kinds = (column.type for column in self._columns)
        return [
            _api_texts(batch.column(index), kind, self._form) for index, kind in enumerate(kinds)
        ]

    def render(self, batches: Sequence[pa.RecordBatch], *, first: bool) -> bytes:
        """The text of a file; ``first`` for that of the first rows."""
        rows: list[Sequence[str | None]] = []
        for batch in batches:
            rows += zip(*self.text_columns(batch), strict=True)
        if self._form.text != "CSV":
            return json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()
        # RFC 4180 with the names before the first row, and NULL as the word null: as the reference
        # of the statement execution API says of the format CSV.
        text = io.StringIO()
        writer = csv.writer(text)
        if first:
            writer.writerow([column.name for column in self._columns])
        writer.writerows([["null" if value is None else value for value in row] for row in rows])
        return text.getvalue().encode()

    def convert(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The engine's rows as the client wants them."""
        arrays = [convert(batch.column(index)) for index, convert in enumerate(self._converters)]
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)

    def _arrow_batch(self, batch: pa.RecordBatch) -> ttypes.TSparkArrowBatch:
        message = self.convert(batch).serialize()
        content = _compressed(message) if self._form.lz4 else message.to_pybytes()
        return ttypes.TSparkArrowBatch(batch=content, rowCount=batch.num_rows)

    def _column_set(self, batches: Sequence[pa.RecordBatch]) -> list[ttypes.TColumn]:
        columns = []
        for index, column in enumerate(self._columns):
            values: list[Any] = []
            for batch in batches:
                values += _plain_values(batch.column(index), column.type, self._form)
            columns.append(_t_column(values, column.type))
        return columns


def _compressed(message: pa.Buffer) -> bytes:
    # Independent blocks: the LZ4 of databricks-jdbc reads no others.
    frame: bytes = lz4.frame.compress(message, block_linked=False)
    return frame


def table_schema(columns: Sequence[Column]) -> ttypes.TTableSchema:
    """The Thrift schema of a result."""
    return ttypes.TTableSchema(
        columns=[
            ttypes.TColumnDesc(
                columnName=column.name,
                typeDesc=ttypes.TTypeDesc(
                    types=[ttypes.TTypeEntry(primitiveEntry=_primitive(column.type))]
                ),
                position=position,
                comment=column.comment or "",
            )
            for position, column in enumerate(columns, 1)
        ]
    )


@lru_cache(maxsize=1024)
def json_type(kind: SqlType) -> str:
    """The type in Spark's JSON form, as ``DataType.json`` writes it."""
    return json.dumps(_json_type(kind), separators=(",", ":"))


def _json_type(kind: SqlType) -> object:
    if kind.element is not None:
        element = _json_type(kind.element)
        return {"type": "array", "elementType": element, "containsNull": True}
    if kind.key is not None and kind.value is not None:
        return {
            "type": "map",
            "keyType": _json_type(kind.key),
            "valueType": _json_type(kind.value),
            "valueContainsNull": True,
        }
    if kind.name == "STRUCT":
        inner = [
            {
                "name": item.name,
                "type": _json_type(item.type),
                "nullable": item.nullable,
                "metadata": {} if item.comment is None else {"comment": item.comment},
            }
            for item in kind.fields
        ]
        return {"type": "struct", "fields": inner}
    return _JSON_NAMES.get(kind.name, kind.text.lower())


# Spark's names where they differ from the SQL name in lower case (DataType.typeName).
_JSON_NAMES = {
    "TINYINT": "byte",
    "SMALLINT": "short",
    "INT": "integer",
    "BIGINT": "long",
    "CHAR": "string",
    "VARCHAR": "string",
}


def _sql_name(kind: SqlType) -> str:
    # VARCHAR columns report STRING (databricks-jdbc's recorded traffic).
    return "STRING" if kind.is_string else kind.text


def _field(column: Column, form: ResultFormat) -> pa.Field:
    metadata = {SQL_NAME: _sql_name(column.type), JSON_TYPE: json_type(column.type)}
    return pa.field(column.name, _wire_type(column.type, form), column.nullable, metadata)


def _wire_type(kind: SqlType, form: ResultFormat) -> pa.DataType:
    if _as_text(kind, form):
        return pa.string()
    return _in_zone(kind.arrow(), form.zone)


def _as_text(kind: SqlType, form: ResultFormat) -> bool:
    if kind.is_nested:
        return not form.native_complex
    if kind.name == "DECIMAL":
        return not form.native_decimals
    return kind.name in ("TIMESTAMP", "TIMESTAMP_NTZ") and not form.native_timestamps


def _in_zone(kind: pa.DataType, zone: str) -> pa.DataType:
    # The instants stay the same; only the zone in which a client shows them differs.
    if zone.lower() in UTC_NAMES or not pa.types.is_timestamp(kind) or kind.tz is None:
        return kind
    return pa.timestamp(kind.unit, tz=zone)


def _converter(kind: SqlType, form: ResultFormat) -> Callable[[pa.Array], pa.Array]:
    if _as_text(kind, form):
        return lambda array: pa.array(_texts(array, kind, form), pa.string())
    wanted = _wire_type(kind, form)
    return lambda array: array if array.type == wanted else array.cast(wanted)


def _shorten(batch: pa.RecordBatch, max_bytes: int, at_least: int) -> pa.RecordBatch:
    while batch.num_rows > at_least and batch.nbytes > max_bytes:
        count = int(batch.num_rows * max_bytes / batch.nbytes)
        batch = batch.slice(0, max(at_least, min(count, batch.num_rows - 1)))
    return batch


# --- Thrift types -------------------------------------------------------------------------------

_TYPE_IDS = {
    "BOOLEAN": ttypes.TTypeId.BOOLEAN_TYPE,
    "TINYINT": ttypes.TTypeId.TINYINT_TYPE,
    "SMALLINT": ttypes.TTypeId.SMALLINT_TYPE,
    "INT": ttypes.TTypeId.INT_TYPE,
    "BIGINT": ttypes.TTypeId.BIGINT_TYPE,
    "FLOAT": ttypes.TTypeId.FLOAT_TYPE,
    "DOUBLE": ttypes.TTypeId.DOUBLE_TYPE,
    "DECIMAL": ttypes.TTypeId.DECIMAL_TYPE,
    "STRING": ttypes.TTypeId.STRING_TYPE,
    "CHAR": ttypes.TTypeId.STRING_TYPE,
    "VARCHAR": ttypes.TTypeId.STRING_TYPE,
    # The driver makes it "variant" by the field's SqlName (thrift_backend.py, _col_to_description).
    "VARIANT": ttypes.TTypeId.STRING_TYPE,
    "BINARY": ttypes.TTypeId.BINARY_TYPE,
    "DATE": ttypes.TTypeId.DATE_TYPE,
    "TIMESTAMP": ttypes.TTypeId.TIMESTAMP_TYPE,
    "TIMESTAMP_NTZ": ttypes.TTypeId.TIMESTAMP_TYPE,
    "VOID": ttypes.TTypeId.NULL_TYPE,
    "ARRAY": ttypes.TTypeId.ARRAY_TYPE,
    "MAP": ttypes.TTypeId.MAP_TYPE,
    "STRUCT": ttypes.TTypeId.STRUCT_TYPE,
}


def type_id(kind: SqlType) -> int:
    """The Thrift type id of a Databricks type."""
    if kind.is_interval:
        ids = ttypes.TTypeId
        month = kind.is_month_interval
        return int(ids.INTERVAL_YEAR_MONTH_TYPE if month else ids.INTERVAL_DAY_TIME_TYPE)
    return int(_TYPE_IDS[kind.name])


_API_NAMES = {
    "TINYINT": "BYTE",
    "SMALLINT": "SHORT",
    "BIGINT": "LONG",
    "CHAR": "STRING",
    "VARCHAR": "STRING",
    "VOID": "NULL",
    "TIMESTAMP_NTZ": "TIMESTAMP",
}


def api_type(kind: SqlType) -> dict[str, object]:
    """A type as the statement execution API tells it (``ColumnInfo`` of databricks-sdk-py)."""
    told: dict[str, object] = {"type_text": _sql_name(kind)}
    if kind.is_interval:
        span = "YEAR TO MONTH" if kind.is_month_interval else "DAY TO SECOND"
        return told | {"type_name": "INTERVAL", "type_interval_type": span}
    told["type_name"] = _API_NAMES.get(kind.name, kind.name)
    if kind.name == "DECIMAL":
        told |= {"type_precision": kind.precision, "type_scale": kind.scale}
    return told


def _primitive(kind: SqlType) -> ttypes.TPrimitiveTypeEntry:
    entry = ttypes.TPrimitiveTypeEntry(type=type_id(kind))
    if kind.name == "DECIMAL":
        entry.typeQualifiers = ttypes.TTypeQualifiers(
            qualifiers={
                "precision": ttypes.TTypeQualifierValue(i32Value=kind.precision),
                "scale": ttypes.TTypeQualifierValue(i32Value=kind.scale),
            }
        )
    return entry


# --- column sets --------------------------------------------------------------------------------

_COLUMN_KINDS: dict[str, tuple[str, type, Any]] = {
    "BOOLEAN": ("boolVal", ttypes.TBoolColumn, False),
    "TINYINT": ("byteVal", ttypes.TByteColumn, 0),
    "SMALLINT": ("i16Val", ttypes.TI16Column, 0),
    "INT": ("i32Val", ttypes.TI32Column, 0),
    "BIGINT": ("i64Val", ttypes.TI64Column, 0),
    "FLOAT": ("doubleVal", ttypes.TDoubleColumn, 0.0),
    "DOUBLE": ("doubleVal", ttypes.TDoubleColumn, 0.0),
    "BINARY": ("binaryVal", ttypes.TBinaryColumn, b""),
}
_TEXT_COLUMN = ("stringVal", ttypes.TStringColumn, "")


def _t_column(values: list[Any], kind: SqlType) -> ttypes.TColumn:
    name, wrapper, placeholder = _COLUMN_KINDS.get(kind.name, _TEXT_COLUMN)
    nulls = bytearray((len(values) + 7) // 8)
    for index, value in enumerate(values):
        if value is None:
            nulls[index >> 3] |= 1 << (index & 7)
            values[index] = placeholder
    return ttypes.TColumn(**{name: wrapper(values=values, nulls=bytes(nulls))})


def _plain_values(array: pa.Array, kind: SqlType, form: ResultFormat) -> list[Any]:
    if kind.name == "FLOAT":
        # By way of the text, as Hive's ColumnBuffer does: 1.1 and not 1.10000002384.
        return [None if text is None else float(text) for text in _cast_text(array)]
    if kind.name in _COLUMN_KINDS:
        return list(array.to_pylist())
    return _texts(array, kind, form)


def _texts(array: pa.Array, kind: SqlType, form: ResultFormat) -> list[str | None]:
    if kind.is_nested:
        zone = form.zone
        values = array.to_pylist()
        return [None if value is None else _json_text(value, kind, zone) for value in values]
    if kind.name == "DECIMAL":
        return [None if value is None else format(value, "f") for value in array.to_pylist()]
    if kind.name == "TIMESTAMP":
        return [_trimmed(text) for text in _cast_text(_wall_clock(array, form.zone))]
    if kind.name == "TIMESTAMP_NTZ":
        return [_trimmed(text) for text in _cast_text(array)]
    return _cast_text(array)


def _api_texts(array: pa.Array, kind: SqlType, form: ResultFormat) -> list[str | None]:
    """Values as the statement execution API writes them.

    Instants are ISO 8601 in UTC with three digits of a second, or all six where it has them.
    Binary values are hexadecimal digits, as databricks-sql-connector reads them
    (``backend/sea/utils/conversion.py``).
    """
    if kind.name in ("FLOAT", "DOUBLE"):
        return [None if text is None else java_float(text) for text in _cast_text(array)]
    if kind.name in ("TIMESTAMP", "TIMESTAMP_NTZ"):
        zone = "Z" if kind.name == "TIMESTAMP" else ""
        texts = _cast_text(array.cast(pa.timestamp("us")))
        return [None if text is None else _iso(text) + zone for text in texts]
    if kind.name == "BINARY":
        return [None if value is None else value.hex() for value in array.to_pylist()]
    return _texts(array, kind, form)


def _iso(text: str) -> str:
    moment, _, fraction = text.replace(" ", "T").partition(".")
    fraction = fraction.ljust(6, "0")
    return f"{moment}.{fraction[:3] if fraction.endswith('000') else fraction}"


def _cast_text(array: pa.Array) -> list[str | None]:
    return list(array.cast(pa.string()).to_pylist())


def _wall_clock(array: pa.Array, zone: str) -> pa.Array:
    if zone.lower() in UTC_NAMES:
        return array.cast(pa.timestamp("us"))
    return pc.local_timestamp(array.cast(pa.timestamp("us", tz=zone)))


def _trimmed(text: str | None) -> str | None:
    # Spark prints no more digits of a second than it has: 12:34:56.789, 12:34:56.
    if text is None or "." not in text:
        return text
    return text.rstrip("0").rstrip(".")


def _json_text(value: Value, kind: SqlType, zone: str) -> str:
    """A nested value as Spark's thrift server writes it (``HiveResult.toHiveString``)."""
    if value is None:
        return "null"
    if kind.element is not None:
        return "[" + ",".join(_json_text(item, kind.element, zone) for item in value) + "]"
    if kind.key is not None and kind.value is not None:
        pairs = (
            _quoted(_json_text(key, kind.key, zone)) + ":" + _json_text(item, kind.value, zone)
            for key, item in value
        )
        return "{" + ",".join(pairs) + "}"
    if kind.name == "STRUCT":
        items = (
            json.dumps(field.name, ensure_ascii=False)
            + ":"
            + _json_text(value[field.name], field.type, zone)
            for field in kind.fields
        )
        return "{" + ",".join(items) + "}"
    return _json_scalar(value, zone)


def _json_scalar(value: Value, zone: str) -> str:
    if isinstance(value, dt.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(_zone_info(zone)).replace(tzinfo=None)
        return f'"{_trimmed(value.isoformat(" ", "microseconds"))}"'
    if isinstance(value, dt.date):
        return f'"{value.isoformat()}"'
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return json.dumps(value, ensure_ascii=False)


def _quoted(text: str) -> str:
    return text if text.startswith('"') else f'"{text}"'


def _zone_info(zone: str) -> dt.tzinfo:
    if zone.lower() in UTC_NAMES:
        return dt.timezone.utc
    if zone[0] in "+-":
        hours, minutes = zone[1:].split(":")
        offset = dt.timedelta(hours=int(hours), minutes=int(minutes))
        return dt.timezone(offset if zone[0] == "+" else -offset)
    return zoneinfo.ZoneInfo(zone)
