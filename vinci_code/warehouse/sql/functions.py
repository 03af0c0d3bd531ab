"""Python functions that the translated SQL calls, registered on a DuckDB database.

Those that return numbers and dates take whole columns as Arrow arrays; those that return texts are
called row by row, since DuckDB 1.5 frees the texts of an Arrow array that a function has returned
while ``coalesce`` still reads them. The names begin with ``vinci_``: no statement can reach them,
since function names are looked up in the allow-list of ``sql/builtins`` first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, AnyStr

import duckdb
import pyarrow as pa

from vinci_code.warehouse.sql import (
    bounds,
    casts,
    documents,
    hashes,
    json_schemas,
    patterns,
    scalars,
    texts,
)
from vinci_code.warehouse.sql.coercion import interval_units
from vinci_code.warehouse.sql.errors import SqlError, encode
from vinci_code.warehouse.sql.types import SqlType

_ARROW: dict[str, pa.DataType] = {
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
}


@dataclass(frozen=True)
class PythonFunction:
    """A function of one row, and its DuckDB types.

    Attributes:
        name: As the SQL calls it.
        call: Of one row.
        arguments: DuckDB types, separated by blanks.
        result: DuckDB type.
        nulls: Whether it is called for NULL arguments; otherwise NULL gives NULL.
    """

    name: str
    call: Callable[..., Any]
    arguments: str
    result: str
    nulls: bool = False


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the functions known to a database; every cursor of it then has them."""
    for item in PYTHON_FUNCTIONS:
        kind = _ARROW.get(item.result)
        arguments = item.arguments.split()
        run = _by_row(item) if kind is None else _by_column(item, kind)
        connection.create_function(  # type: ignore[call-overload]  # the stubs lack these strings
            item.name,
            # DuckDB counts the parameters of the function that it is given.
            _fixed(run, len(arguments)),
            arguments,
            item.result,
            type="native" if kind is None else "arrow",
            null_handling="special",
        )
    for name, call in (("bytes", bounds.room_bytes), ("items", bounds.room_items)):
        connection.create_function(  # type: ignore[call-overload]  # the stubs lack these strings
            f"vinci_room_{name}",
            _by_vector(call),
            ["VARCHAR", "DOUBLE"],
            "BOOLEAN",
            type="arrow",
            null_handling="special",
        )
    connection.create_function(  # type: ignore[call-overload]  # the stubs lack these strings
        "vinci_room_result",
        _by_vector(bounds.room_bytes),
        ["VARCHAR", "DOUBLE"],
        "BOOLEAN",
        type="arrow",
        null_handling="special",
        side_effects=True,  # else DuckDB would ask once for a column that is constant
    )


def _by_vector(call: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def run(functions: Any, sizes: Any) -> Any:
        try:
            return call(functions, sizes)
        except SqlError as error:
            raise ValueError(encode(error)) from None

    return run


def _by_column(item: PythonFunction, kind: pa.DataType) -> Callable[..., Any]:
    one = _by_row(item)

    def run(*columns: pa.ChunkedArray) -> pa.Array:
        return pa.array(map(one, *(column.to_pylist() for column in columns)), type=kind)

    return run


def _by_row(item: PythonFunction) -> Callable[..., Any]:
    def run(*values: Any) -> Any:
        if None in values and not item.nulls:
            return None
        try:
            return item.call(*values)
        except SqlError as error:
            # DuckDB keeps only the text of an exception.
            raise ValueError(encode(error)) from None

    return run


def _fixed(run: Callable[..., Any], count: int) -> Callable[..., Any]:
    wrappers: dict[int, Callable[..., Any]] = {
        1: lambda a: run(a),
        2: lambda a, b: run(a, b),
        3: lambda a, b, c: run(a, b, c),
        4: lambda a, b, c, d: run(a, b, c, d),
        5: lambda a, b, c, d, e: run(a, b, c, d, e),
        6: lambda a, b, c, d, e, f: run(a, b, c, d, e, f),
    }
    return wrappers[count]


def _units(name: str) -> tuple[str, str]:
    return interval_units(SqlType(name))


def _parse_interval(text: str, name: str) -> int | None:
    units = _units(name)
    count = texts.parse_interval(text, *units)
    most = 2**31 if units[0] in ("YEAR", "MONTH") else 2**63
    return count if count is None or abs(count) < most else None


def _number_json(text: str) -> str:
    return f'"{text}"' if text in ("NaN", "Infinity", "-Infinity") else text


def _zone_offset(minutes: int) -> str:
    if not minutes:
        return "Z"
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


def _parse_timestamp(text: str, pattern: str, mode: str, zone: str) -> Any:
    found = patterns.parse_datetime(text, pattern, zone)
    if found is None and mode != "try":
        raise SqlError(
            "CANNOT_PARSE_TIMESTAMP",
            "22007",
            f"Text '{text}' could not be parsed at index 0. Use `{mode}` to tolerate invalid input "
            "string and return NULL instead.",
        )
    return found


def _slice(data: bytes, start: int, length: int) -> bytes:
    return data[start : start + length]


def _lpad(text: AnyStr, length: int, fill: AnyStr) -> AnyStr:
    return scalars.pad(text, length, fill, left=True)


def _rpad(text: AnyStr, length: int, fill: AnyStr) -> AnyStr:
    return scalars.pad(text, length, fill, left=False)


def _functions(rows: Sequence[tuple[Any, ...]]) -> tuple[PythonFunction, ...]:
    return tuple(PythonFunction(f"vinci_{name}", *rest) for name, *rest in rows)


PYTHON_FUNCTIONS = _functions(
    [
        # Text forms of values
        ("java_float", texts.java_float, "VARCHAR", "VARCHAR"),
        ("number_json", _number_json, "VARCHAR", "VARCHAR"),
        (
            "interval_text",
            lambda n, t: texts.interval_text(n, *_units(t)),
            "BIGINT VARCHAR",
            "VARCHAR",
        ),
        ("hive_interval", texts.hive_interval_text, "BIGINT BOOLEAN", "VARCHAR"),
        ("zone_offset", _zone_offset, "INTEGER", "VARCHAR"),
        ("date", texts.parse_date, "VARCHAR", "DATE"),
        ("timestamp", texts.parse_timestamp, "VARCHAR VARCHAR", "TIMESTAMP"),
        ("timestamp_ntz", texts.parse_timestamp_ntz, "VARCHAR", "TIMESTAMP"),
        ("interval", _parse_interval, "VARCHAR VARCHAR", "BIGINT"),
        # Casts of text
        ("reject", casts.reject_text, "VARCHAR VARCHAR", "VARCHAR"),
        ("number_text", casts.number_text, "VARCHAR", "VARCHAR"),
        # Numbers
        (
            "decimal",
            scalars.decimal_arithmetic,
            "VARCHAR VARCHAR VARCHAR INTEGER INTEGER",
            "VARCHAR",
        ),
        ("round_text", scalars.round_text, "VARCHAR INTEGER VARCHAR", "VARCHAR"),
        ("shift", scalars.shift, "BIGINT INTEGER VARCHAR INTEGER", "BIGINT"),
        ("math", scalars.math_function, "VARCHAR DOUBLE", "DOUBLE"),
        ("hypot", math.hypot, "DOUBLE DOUBLE", "DOUBLE"),
        ("width_bucket", scalars.width_bucket, "DOUBLE DOUBLE DOUBLE BIGINT", "BIGINT"),
        ("conv", scalars.conv, "VARCHAR INTEGER INTEGER", "VARCHAR"),
        ("bin", scalars.binary_digits, "BIGINT", "VARCHAR"),
        ("hex", scalars.hex_digits, "BIGINT", "VARCHAR"),
        # Text
        ("upper", str.upper, "VARCHAR", "VARCHAR"),
        ("initcap", scalars.initcap, "VARCHAR", "VARCHAR"),
        ("levenshtein", scalars.levenshtein, "VARCHAR VARCHAR", "INTEGER"),
        ("near_levenshtein", scalars.near_levenshtein, "VARCHAR VARCHAR INTEGER", "INTEGER"),
        ("to_binary", scalars.to_binary, "VARCHAR VARCHAR BOOLEAN", "BLOB"),
        ("soundex", scalars.soundex, "VARCHAR", "VARCHAR"),
        ("reverse", lambda text: text[::-1], "VARCHAR", "VARCHAR"),
        ("substring_index", scalars.substring_index, "VARCHAR VARCHAR INTEGER", "VARCHAR"),
        ("find_in_set", scalars.find_in_set, "VARCHAR VARCHAR", "INTEGER"),
        ("format_number", scalars.format_number, "VARCHAR INTEGER", "VARCHAR"),
        ("format_string", scalars.format_string, "VARCHAR VARCHAR[] VARCHAR", "VARCHAR"),
        ("split_part", scalars.split_part, "VARCHAR VARCHAR INTEGER", "VARCHAR"),
        ("split", scalars.split, "VARCHAR VARCHAR INTEGER", "VARCHAR[]"),
        ("lpad", _lpad, "VARCHAR INTEGER VARCHAR", "VARCHAR"),
        ("rpad", _rpad, "VARCHAR INTEGER VARCHAR", "VARCHAR"),
        ("locate", scalars.locate, "VARCHAR VARCHAR INTEGER", "INTEGER"),
        ("overlay", scalars.overlay, "VARCHAR VARCHAR INTEGER INTEGER", "VARCHAR"),
        ("elt", scalars.element, "INTEGER VARCHAR[]", "VARCHAR"),
        ("luhn", scalars.luhn, "VARCHAR", "BOOLEAN"),
        ("url_encode", scalars.url_encode, "VARCHAR", "VARCHAR"),
        ("url_decode", scalars.url_decode, "VARCHAR", "VARCHAR"),
        ("str_to_map", scalars.str_to_map, "VARCHAR VARCHAR VARCHAR", "MAP(VARCHAR, VARCHAR)"),
        # Regular expressions
        ("rlike", scalars.rlike, "VARCHAR VARCHAR", "BOOLEAN"),
        ("regexp_replace", scalars.regexp_replace, "VARCHAR VARCHAR VARCHAR INTEGER", "VARCHAR"),
        ("regexp_extract", scalars.regexp_extract, "VARCHAR VARCHAR INTEGER", "VARCHAR"),
        ("regexp_extract_all", scalars.regexp_extract_all, "VARCHAR VARCHAR INTEGER", "VARCHAR[]"),
        ("regexp_count", scalars.regexp_count, "VARCHAR VARCHAR", "INTEGER"),
        ("regexp_substr", scalars.regexp_substr, "VARCHAR VARCHAR", "VARCHAR"),
        ("regexp_instr", scalars.regexp_instr, "VARCHAR VARCHAR", "INTEGER"),
        # Bytes
        ("unbase64", scalars.unbase64, "VARCHAR", "BLOB"),
        ("unhex", scalars.unhex, "VARCHAR", "BLOB"),
        ("binary_contains", lambda data, part: part in data, "BLOB BLOB", "BOOLEAN"),
        ("binary_reverse", lambda data: data[::-1], "BLOB", "BLOB"),
        ("decode_utf8", scalars.decode_utf8, "BLOB", "VARCHAR"),
        ("decode", scalars.decode, "BLOB VARCHAR", "VARCHAR"),
        ("encode", scalars.encode, "VARCHAR VARCHAR", "BLOB"),
        ("binary_slice", _slice, "BLOB BIGINT BIGINT", "BLOB"),
        ("binary_left", lambda data, count: data[:count], "BLOB BIGINT", "BLOB"),
        ("binary_lpad", _lpad, "BLOB INTEGER BLOB", "BLOB"),
        ("binary_rpad", _rpad, "BLOB INTEGER BLOB", "BLOB"),
        ("binary_overlay", scalars.overlay, "BLOB BLOB INTEGER INTEGER", "BLOB"),
        ("sha2", scalars.sha2, "BLOB INTEGER", "VARCHAR"),
        ("crc32", scalars.crc32, "BLOB", "BIGINT"),
        ("murmur3", hashes.murmur3, "BLOB VARCHAR INTEGER", "INTEGER", True),
        ("xxhash64", hashes.xxhash64, "BLOB VARCHAR BIGINT", "BIGINT", True),
        # Dates
        ("months_between", scalars.whole_months, "TIMESTAMP TIMESTAMP", "BIGINT"),
        ("months_fraction", scalars.fractional_months, "TIMESTAMP TIMESTAMP BOOLEAN", "DOUBLE"),
        ("next_day", scalars.next_day, "DATE VARCHAR", "DATE"),
        ("make_date", scalars.make_date, "INTEGER INTEGER INTEGER", "DATE"),
        (
            "make_timestamp",
            scalars.make_timestamp,
            "INTEGER INTEGER INTEGER INTEGER INTEGER VARCHAR",
            "TIMESTAMP",
        ),
        ("date_format", patterns.format_datetime, "TIMESTAMP VARCHAR VARCHAR", "VARCHAR"),
        ("parse_timestamp", _parse_timestamp, "VARCHAR VARCHAR VARCHAR VARCHAR", "TIMESTAMP"),
        # JSON and VARIANT
        ("get_json_object", documents.get_json_object, "VARCHAR VARCHAR", "VARCHAR"),
        ("json_path", documents.json_path, "VARCHAR VARCHAR", "VARCHAR"),
        ("json_array_length", documents.json_array_length, "VARCHAR", "INTEGER"),
        ("json_object_keys", documents.json_object_keys, "VARCHAR", "VARCHAR[]"),
        ("from_json", documents.from_json, "VARCHAR VARCHAR VARCHAR VARCHAR", "VARCHAR"),
        ("parse_json", documents.parse_json, "VARCHAR BOOLEAN", "VARCHAR"),
        ("variant_get", documents.variant_get, "VARCHAR VARCHAR", "VARCHAR"),
        ("variant_path", documents.variant_path, "VARCHAR VARCHAR", "VARCHAR"),
        ("variant_cast", documents.variant_cast, "VARCHAR VARCHAR VARCHAR VARCHAR", "VARCHAR"),
        ("variant_text", documents.variant_text, "VARCHAR", "VARCHAR"),
        ("variant_entries", documents.variant_entries, "VARCHAR", "VARCHAR"),
        ("schema_of_variant", json_schemas.schema_of_variant, "VARCHAR", "VARCHAR"),
    ]
)
