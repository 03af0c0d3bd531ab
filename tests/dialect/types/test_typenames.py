"""Type names of Databricks and the SQLAlchemy types that they mean."""

from __future__ import annotations

import pytest
from sqlalchemy.types import (
    BIGINT,
    BOOLEAN,
    CHAR,
    DATE,
    DECIMAL,
    DOUBLE,
    FLOAT,
    INTEGER,
    SMALLINT,
    VARCHAR,
    LargeBinary,
    NullType,
    String,
    Time,
)

from vinci_code.database.dialect.base import VinciDialect
from vinci_code.database.dialect.types import (
    ARRAY,
    MAP,
    STRUCT,
    TIMESTAMP,
    TIMESTAMP_NTZ,
    TINYINT,
    VARIANT,
)
from vinci_code.database.dialect.types.typenames import AnyType, UnknownTypeError, parse_type_name

CASES: dict[str, AnyType] = {
    "bigint": BIGINT(),
    "LONG": BIGINT(),
    "binary": LargeBinary(),
    "boolean": BOOLEAN(),
    "char(3)": CHAR(3),
    "date": DATE(),
    "decimal(10,2)": DECIMAL(10, 2),
    "decimal( 38 , 0 )": DECIMAL(38, 0),
    "decimal(5)": DECIMAL(5, 0),
    "DECIMAL": DECIMAL(10, 0),
    "numeric(4,1)": DECIMAL(4, 1),
    "double": DOUBLE(),
    "float": FLOAT(),
    "real": FLOAT(),
    "int": INTEGER(),
    "Integer": INTEGER(),
    " int ": INTEGER(),
    "smallint": SMALLINT(),
    "string": String(),
    "string collate UTF8_LCASE": String(collation="UTF8_LCASE"),
    "time": Time(),
    "time(6)": Time(),
    "timestamp": TIMESTAMP(),
    "timestamp_ltz": TIMESTAMP(),
    "timestamp_ntz": TIMESTAMP_NTZ(),
    "tinyint": TINYINT(),
    "varchar(10)": VARCHAR(10),
    "variant": VARIANT(),
    "void": NullType(),
    "array<int>": ARRAY(INTEGER()),
    "array<array<decimal(3,1)>>": ARRAY(DECIMAL(3, 1), dimensions=2),
    "map<string,array<bigint>>": MAP(String(), ARRAY(BIGINT())),
    "MAP<STRING, INT>": MAP(String(), INTEGER()),
    "struct<a:int,b:string>": STRUCT(("a", INTEGER()), ("b", String())),
    "STRUCT<a: INT NOT NULL COMMENT 'it\\'s, <odd>', b STRING>": STRUCT(
        ("a", INTEGER()), ("b", String())
    ),
    "struct<`a:b``c>`: int>": STRUCT(("a:b`c>", INTEGER())),
    "struct<a b:int,Straße:date>": STRUCT(("a b", INTEGER()), ("Straße", DATE())),
    "struct<not null:int>": STRUCT(("not null", INTEGER())),
    "struct<>": STRUCT(),
    "array<struct<m:map<int,struct<v:variant>>,t:timestamp>>": ARRAY(
        STRUCT(("m", MAP(INTEGER(), STRUCT(("v", VARIANT())))), ("t", TIMESTAMP()))
    ),
}


def shape(kind: AnyType) -> object:
    """A type with everything in it, in a form that can be compared."""
    if isinstance(kind, ARRAY):
        return ARRAY, kind.dimensions or 1, shape(kind.item_type)
    if isinstance(kind, MAP):
        return MAP, shape(kind.key_type), shape(kind.value_type)
    if isinstance(kind, STRUCT):
        return STRUCT, [(name, shape(part)) for name, part in kind.fields]
    return type(kind), repr(kind)


@pytest.mark.parametrize(("name", "expected"), CASES.items(), ids=CASES.keys())
def test_it_is_the_type_that_is_meant(name: str, expected: AnyType) -> None:
    assert shape(parse_type_name(name)) == shape(expected)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "geography(4326)",
        "object",
        "interval day to second",
        "array<",
        "array<int",
        "array<int>>",
        *[
            "map<int>",
            "struct<a>",
            "struct<a:>",
            "decimal(1,2,3)",
            "decimal(x)",
            "int int",
            "<int>",
        ],
    ],
)
def test_what_is_no_type_is_refused(name: str) -> None:
    with pytest.raises(UnknownTypeError) as refused:
        parse_type_name(name)
    assert refused.value.name == name


@pytest.mark.parametrize(
    "name", [name for name in CASES if not name.startswith(("char", "time", "void", "string "))]
)
def test_the_ddl_of_a_type_is_read_back_as_the_same_type(name: str) -> None:
    dialect = VinciDialect()
    kind = parse_type_name(name)
    written = dialect.type_compiler_instance.process(kind)
    assert dialect.type_compiler_instance.process(parse_type_name(written)) == written
    assert shape(parse_type_name(written)) == shape(kind)
