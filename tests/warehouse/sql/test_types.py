"""Types: text, DuckDB and Arrow, both ways."""

from __future__ import annotations

import pyarrow as pa
import pytest

from vinci_code.warehouse.sql.errors import SqlError
from vinci_code.warehouse.sql.parse import parse_expression
from vinci_code.warehouse.sql.types import (
    from_duckdb_type,
    from_sqlglot,
    parse_row_type,
    parse_type,
)

# As it is written, as Databricks prints it, as DESCRIBE prints it, in DuckDB, in Arrow.
TYPES = {
    "int": ("INT", "int", "INTEGER", pa.int32()),
    "integer": ("INT", "int", "INTEGER", pa.int32()),
    "long": ("BIGINT", "bigint", "BIGINT", pa.int64()),
    "byte": ("TINYINT", "tinyint", "TINYINT", pa.int8()),
    "real": ("FLOAT", "float", "FLOAT", pa.float32()),
    "decimal": ("DECIMAL(10,0)", "decimal(10,0)", "DECIMAL(10,0)", pa.decimal128(10, 0)),
    "numeric(5)": ("DECIMAL(5,0)", "decimal(5,0)", "DECIMAL(5,0)", pa.decimal128(5, 0)),
    "DECIMAL(38, 10)": (
        "DECIMAL(38,10)",
        "decimal(38,10)",
        "DECIMAL(38,10)",
        pa.decimal128(38, 10),
    ),
    "string": ("STRING", "string", "VARCHAR", pa.string()),
    "varchar(10)": ("VARCHAR(10)", "varchar(10)", "VARCHAR", pa.string()),
    "timestamp": (
        "TIMESTAMP",
        "timestamp",
        "TIMESTAMP WITH TIME ZONE",
        pa.timestamp("us", "Etc/UTC"),
    ),
    "timestamp_ntz": ("TIMESTAMP_NTZ", "timestamp_ntz", "TIMESTAMP", pa.timestamp("us")),
    "binary": ("BINARY", "binary", "BLOB", pa.binary()),
    "variant": ("VARIANT", "variant", "VARCHAR", pa.string()),
    "void": ("VOID", "void", "INTEGER", pa.null()),
    "interval day to second": (
        "INTERVAL DAY TO SECOND",
        "interval day to second",
        "INTERVAL",
        pa.string(),
    ),
    "array<map<string,int>>": (
        "ARRAY<MAP<STRING, INT>>",
        "array<map<string,int>>",
        "MAP(VARCHAR, INTEGER)[]",
        pa.list_(pa.field("element", pa.map_(pa.string(), pa.int32()))),
    ),
    "struct<a int, `b c`: string>": (
        "STRUCT<a: INT, `b c`: STRING>",
        "struct<a:int,b c:string>",
        'STRUCT("a" INTEGER, "b c" VARCHAR)',
        pa.struct([("a", pa.int32()), ("b c", pa.string())]),
    ),
}


@pytest.mark.parametrize("text", TYPES)
def test_type(text: str) -> None:
    kind = parse_type(text)
    assert (kind.text, kind.simple, kind.duckdb(), kind.arrow()) == TYPES[text]
    assert parse_type(kind.text) == kind


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("foo", "UNSUPPORTED_DATATYPE"),
        ("decimal(39,0)", "DECIMAL_PRECISION_EXCEEDS_MAX_PRECISION"),
        ("decimal(5,6)", "DECIMAL_SCALE_EXCEEDS_PRECISION"),
        ("varchar", "DATATYPE_MISSING_SIZE"),
        ("struct", "INCOMPLETE_TYPE_DEFINITION.STRUCT"),
        ("array<int", "PARSE_SYNTAX_ERROR"),
        ("int int", "PARSE_SYNTAX_ERROR"),
        ("geography", "UNSUPPORTED_BY_LOCAL_WAREHOUSE"),
        ("string collate utf8_lcase", "UNSUPPORTED_BY_LOCAL_WAREHOUSE"),
        ("interval day to month", "PARSE_SYNTAX_ERROR"),
        ("int; drop", "PARSE_SYNTAX_ERROR"),
    ],
)
def test_no_type(text: str, error: str) -> None:
    with pytest.raises(SqlError) as caught:
        parse_type(text)
    assert caught.value.error_class == error


def test_row_type_takes_a_list_of_columns_or_a_type() -> None:
    assert parse_row_type("a INT, b ARRAY<STRING>").text == "STRUCT<a: INT, b: ARRAY<STRING>>"
    assert parse_row_type("array<int>").text == "ARRAY<INT>"


@pytest.mark.parametrize("text", [text for text in TYPES if text not in ("void", "variant")])
def test_sqlglot_and_back(text: str) -> None:
    node = parse_expression(f"CAST(x AS {text})").args["to"]
    wanted = parse_type("STRING") if text.startswith("varchar") else parse_type(text)
    assert from_sqlglot(node) == wanted


@pytest.mark.parametrize("text", ["uuid", "hugeint", "json", "ubigint", "bit", "time"])
def test_types_of_other_dialects_are_refused(text: str) -> None:
    with pytest.raises(SqlError):
        from_sqlglot(parse_expression(f"CAST(x AS {text})").args["to"])


@pytest.mark.parametrize(
    ("duckdb_type", "text"),
    [
        ("INTEGER", "INT"),
        ("HUGEINT", "DECIMAL(38,0)"),
        ("VARCHAR", "STRING"),
        ("DECIMAL(5,2)[]", "ARRAY<DECIMAL(5,2)>"),
        ('STRUCT(a INTEGER, "b c" DECIMAL(3,1)[])', "STRUCT<a: INT, `b c`: ARRAY<DECIMAL(3,1)>>"),
        ("MAP(VARCHAR, STRUCT(x DATE))", "MAP<STRING, STRUCT<x: DATE>>"),
        ("TIMESTAMP WITH TIME ZONE", "TIMESTAMP"),
    ],
)
def test_from_duckdb(duckdb_type: str, text: str) -> None:
    assert from_duckdb_type(duckdb_type).text == text


def test_duckdb_types_that_databricks_lacks_are_refused() -> None:
    with pytest.raises(SqlError, match="UNSUPPORTED_BY_LOCAL_WAREHOUSE"):
        from_duckdb_type("UBIGINT")
