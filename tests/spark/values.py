"""What Spark answers, in the notation of the corpus (``tests/warehouse/corpus/README.md``)."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import Any

from py4j.java_gateway import is_instance_of
from py4j.protocol import Py4JJavaError
from pyspark.errors.exceptions.captured import CapturedException
from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as f
from pyspark.sql import types as t

_WIDE = Context(prec=60)
_EPOCH = dt.datetime(1970, 1, 1)

# Errors of a task that writes come in one of these; what is meant is their cause.
_WRAPPERS = ("TASK_WRITE_FAILED",)


@dataclass(frozen=True)
class Answer:
    """What Spark answered: columns and rows, or an error.

    Attributes:
        columns: Names and types, the types in upper case.
        rows: The rows in the corpus's notation.
        error_class: The error's class with its subclass; ``None`` if the statement succeeded.
        sqlstate: The error's SQLSTATE.
        message: The error's whole text.
    """

    columns: list[tuple[str, str]] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)
    error_class: str | None = None
    sqlstate: str | None = None
    message: str = ""


def ask(session: SparkSession, sql: str) -> Answer:
    """Run a statement and read its result to the end."""
    try:
        frame = session.sql(sql)
        columns = [(item.name, type_text(item.dataType)) for item in frame.schema.fields]
        return Answer(columns, _rows(frame))
    except CapturedException as error:
        return _refusal(error._origin, session)
    except Py4JJavaError as error:
        return _refusal(error.java_exception, session)


def type_text(kind: t.DataType) -> str:
    """A type in Databricks' words, in upper case and without blanks."""
    return squeezed(kind.simpleString())


def squeezed(type_text: str) -> str:
    """A type's text in upper case and without blanks, to be compared."""
    text = re.sub(r"\s+", "", type_text.upper())
    # A result has no length: VARCHAR(10) and CHAR(3) come as STRING from both.
    return re.sub(r"\b(?:VAR)?CHAR\(\d+\)", "STRING", text)


def canonical(value: Any, kind: t.DataType) -> object:
    """One value in the corpus's notation."""
    if value is None:
        return None
    if isinstance(kind, t.ArrayType):
        return [canonical(item, kind.elementType) for item in value]
    if isinstance(kind, t.MapType):
        return [
            [canonical(key, kind.keyType), canonical(item, kind.valueType)]
            for key, item in value.items()
        ]
    if isinstance(kind, t.StructType):
        return {
            item.name: canonical(value[place], item.dataType)
            for place, item in enumerate(kind.fields)
        }
    return _scalar(value, kind)


def _rows(frame: DataFrame) -> list[list[Any]]:
    kinds = [item.dataType for item in frame.schema.fields]
    if not kinds:
        return []
    names = [f"c{place}" for place in range(len(kinds))]
    plain = frame.toDF(*names)
    readable = [_readable(plain[name], kind) for name, kind in zip(names, kinds, strict=True)]
    if any(column is not None for column in readable):
        plain = plain.select(
            *[
                plain[name] if column is None else column
                for name, column in zip(names, readable, strict=True)
            ]
        )
    # What has become text or a number is in its place already, and moments are counted.
    kinds = [
        kind if column is None or isinstance(kind, t.TimestampType) else t.StringType()
        for kind, column in zip(kinds, readable, strict=True)
    ]
    return [_row(row, kinds) for row in plain.collect()]


def _row(row: Row, kinds: list[t.DataType]) -> list[Any]:
    return [canonical(value, kind) for value, kind in zip(row, kinds, strict=True)]


def _readable(column: Column, kind: t.DataType) -> Column | None:
    """A column of a type that PySpark cannot read, as the text that a client of Databricks gets."""
    for kinds, as_text in _AS_TEXT:
        if isinstance(kind, kinds):
            return as_text(column)
    return None


def _micros(column: Column) -> Column:
    # As a datetime it fails at both ends: Python looks a day further for a fold.
    return f.unix_micros(column)


def _variant(column: Column) -> Column:
    return f.to_json(column)


def _year_month(column: Column) -> Column:
    # INTERVAL '-14' MONTH is read as -1-2.
    months = f.regexp_extract(column.cast("interval month").cast("string"), r"(-?\d+)", 1).cast(
        "bigint"
    )
    size = f.abs(months)
    return f.when(
        months.isNotNull(),
        f.concat(_sign(months), f.floor(size / 12).cast("string"), f.lit("-"), size % 12),
    )


def _day_time(column: Column) -> Column:
    # INTERVAL '1 02:03:04' DAY TO SECOND is read as 1 02:03:04.000000000.
    text = column.cast("interval second").cast("string")
    seconds = f.regexp_extract(text, r"'(-?[\d.]+)'", 1).cast("decimal(30,6)")
    size = f.abs(seconds)
    micros = (size * 1_000_000).cast("bigint") % 1_000_000
    clock = [f.floor(size / 3600) % 24, f.floor(size / 60) % 60, f.floor(size) % 60]
    hours, minutes, rest = (f.lpad(part.cast("string"), 2, "0") for part in clock)
    fraction = f.concat(f.lpad(micros.cast("string"), 6, "0"), f.lit("000"))
    return f.when(
        seconds.isNotNull(),
        f.concat(
            *[_sign(seconds), f.floor(size / 86400).cast("string"), f.lit(" "), hours, f.lit(":")],
            *[minutes, f.lit(":"), rest, f.lit("."), fraction],
        ),
    )


def _sign(number: Column) -> Column:
    return f.when(number < 0, "-").otherwise("")


_AS_TEXT: tuple[tuple[type[t.DataType], Callable[[Column], Column]], ...] = (
    (t.TimestampType, _micros),
    (t.VariantType, _variant),
    (t.YearMonthIntervalType, _year_month),
    (t.DayTimeIntervalType, _day_time),
)


def _scalar(value: Any, kind: t.DataType) -> object:
    if isinstance(kind, t.DecimalType):
        return f"{value.quantize(Decimal(1).scaleb(-kind.scale), context=_WIDE):f}"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, (bytes, bytearray)):
        return "0x" + bytes(value).hex().upper()
    if isinstance(kind, t.TimestampType) and isinstance(value, int):
        return str(_EPOCH + dt.timedelta(microseconds=value))
    return str(value) if isinstance(value, dt.date) else value


def _refusal(thrown: Any, session: SparkSession) -> Answer:
    gateway = session.sparkContext._gateway
    # Delta throws classes of which open-source Spark has no text: their SQLSTATE is not known then.
    nameless = re.search(r"Cannot find main error class '(\w+)'", thrown.toString())
    if nameless is not None:
        return Answer(error_class=nameless[1], message=thrown.toString())
    cause = thrown
    while cause is not None:
        if is_instance_of(gateway, cause, "org.apache.spark.SparkThrowable"):
            condition = cause.getCondition()
            if condition is not None and condition not in _WRAPPERS:
                return Answer(
                    error_class=condition, sqlstate=cause.getSqlState(), message=cause.toString()
                )
        cause = cause.getCause()
    return Answer(error_class=thrown.getClass().getName(), message=thrown.toString())
