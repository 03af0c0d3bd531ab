"""JSON in volumes: records, values and inferred columns as Spark's reader has them."""

# ruff: noqa: F401, F811 - pytest finds fixtures by the name they are imported under

from __future__ import annotations

import datetime as dt
import gzip
import json
import random
from decimal import Decimal
from typing import Any

import pytest

from tests.full import full
from tests.warehouse.engine.client import Client, db, engine
from tests.warehouse.engine.test_csv_files import REFUSED, UTC, typed
from tests.warehouse.engine.test_parquet_files import V, store, volume
from vinci_code.warehouse.engine import text_files
from vinci_code.warehouse.engine.engine import Engine


def reading(name: str = "f.json", **options: object) -> str:
    listed = "".join(f", {key} => {value!r}" for key, value in options.items())
    return f"SELECT * FROM read_files('{V}/{name}', format => 'json'{listed})"


def read(
    engine: Engine, client: Client, text: str | bytes, schema: str, **options: object
) -> list[tuple[Any, ...]]:
    store(engine, "f.json", text.encode() if isinstance(text, str) else text)
    return client.run(reading(schema=schema, **options))


def test_lines_are_records(engine: Engine, volume: Client) -> None:
    text = (
        '\ufeff{"n": 1, "s": "ü"}\r\n\n  \n{"s": null, "n": 2, "x": []}\n[{"n": 3}, {"s": "c"}]\n{}'
    )
    rows = [(1, "ü"), (2, None), (3, None), (None, "c"), (None, None)]
    assert read(engine, volume, text, "n INT, s STRING") == rows
    store(engine, "g.json.gz", gzip.compress(text.encode()))
    assert volume.run(reading("g.json.gz", schema="n INT, s STRING")) == rows


def test_a_file_is_a_record(engine: Engine, volume: Client) -> None:
    text = '[\n  {"n": 1},\n  {"n": 2}\n]\n'
    assert read(engine, volume, text, "n INT", multiLine="true") == [(1,), (2,)]
    assert read(engine, volume, '{\n"n":\n1}', "n INT", multiLine="true") == [(1,)]
    for bad in ('{"n": 1}\n{"n": 2}', "{'n': 1}", '{"n": 1', "7"):
        store(engine, "f.json", bad.encode())
        volume.fails(reading(schema="n INT", multiLine="true"), *REFUSED)


VALUES: list[tuple[str, str, Any]] = [
    ("TINYINT", "-128", -128),
    ("BIGINT", str(2**63 - 1), 2**63 - 1),
    ("DOUBLE", "1e3", 1000.0),
    ("DOUBLE", '"NaN"', None),
    ("DECIMAL(5,2)", "1.005", Decimal("1.01")),
    ("DECIMAL(5,2)", '"1.5"', Decimal("1.50")),
    ("BOOLEAN", "true", True),
    ("STRING", "1.50", "1.5"),
    ("STRING", '{"a": [1, 2.0]}', '{"a":[1,2.0]}'),
    ("STRING", '"\\ud83d\\ude00"', "😀"),
    ("DATE", '"2024-02-29"', dt.date(2024, 2, 29)),
    ("TIMESTAMP", '"2024-02-29T01:02:03.5+01:00"', dt.datetime(2024, 2, 29, 0, 2, 3, 500_000, UTC)),
    ("TIMESTAMP", "1", dt.datetime(1970, 1, 1, 0, 0, 1, 0, UTC)),
    ("TIMESTAMP_NTZ", '"2024-02-29"', dt.datetime.fromisoformat("2024-02-29")),
    ("BINARY", '"YWI="', b"ab"),
    ("ARRAY<INT>", "[1, null]", [1, None]),
    ("MAP<STRING, INT>", '{"a": 1}', [("a", 1)]),
    ("STRUCT<a: INT, b: STRING>", '{"b": "x", "A": 2}', {"a": None, "b": "x"}),
]


@pytest.mark.parametrize(("kind", "text", "value"), VALUES)
def test_values_of_a_type(engine: Engine, volume: Client, kind: str, text: str, value: Any) -> None:
    found = read(engine, volume, f'{{"c": {text}}}', f"c {kind}")
    if text == '"NaN"':
        assert str(found) == "[(nan,)]"
    else:
        assert found == [(value,)]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("TINYINT", "128"), ("INT", '"1"'), ("INT", "1.0"), ("BIGINT", "true"),
        ("BOOLEAN", '"true"'),
        ("DOUBLE", '"1.5"'), ("DECIMAL(3,2)", "10"), ("DATE", '"x"'), ("ARRAY<INT>", "{}"),
        ("BINARY", '"%"'),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_null(
    engine: Engine, volume: Client, kind: str, text: str
) -> None:
    schema = f"c {kind}, s STRING"
    assert read(engine, volume, f'{{"c": {text}, "s": "x"}}', schema) == [(None, "x")]
    volume.fails(reading(schema=schema, mode="FAILFAST"), "FAILED_READ_FILE.NO_HINT", "KD001")
    volume.fails(reading(schema=schema, mode="DROPMALFORMED"), *REFUSED, "DROPMALFORMED")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("DATE", "2024-2-29"), ("DATE", "2024-02-29T00:00:00"), ("TIMESTAMP", "2024"),
        ("TIMESTAMP_NTZ", "2024-02-29 01:02:03Z"), ("TIMESTAMP", "2024-02-30 00:00:00"),
    ],
)  # fmt: skip
def test_a_value_that_parsers_read_in_two_ways_is_refused(
    engine: Engine, volume: Client, kind: str, text: str
) -> None:
    store(engine, "f.json", f'{{"c": "{text}"}}'.encode())
    volume.fails(reading(schema=f"c {kind}"), *REFUSED, text)


@pytest.mark.parametrize("record", ["{", "5", "null", '"x"', "[1]", "nothing"])
def test_a_record_that_is_none(engine: Engine, volume: Client, record: str) -> None:
    store(engine, "f.json", f'{{"n": 1}}\n{record}\n'.encode())
    failed = ("FAILED_READ_FILE.NO_HINT", "KD001")
    volume.fails(reading(schema="n INT", mode="FAILFAST"), *failed, record)
    volume.fails(reading(mode="FAILFAST"), *failed)
    volume.fails(reading(), *REFUSED, "a record that is none")
    if record == "[1]":
        volume.fails(reading(schema="n INT"), *REFUSED, "array")
    else:
        assert volume.run(reading(schema="n INT")) == [(1,), (None,)]
    volume.run("CREATE TABLE t (n BIGINT)")
    copy = f"COPY INTO t FROM '{V}/f.json' FILEFORMAT = JSON FORMAT_OPTIONS ('mode' = 'FAILFAST')"
    volume.fails(copy, *failed)
    assert volume.run("SELECT * FROM t") == []


def test_columns_are_inferred_as_spark_does(engine: Engine, volume: Client) -> None:
    lines = [
        '{"n": 1, "d": 1, "m": 1, "z": null, "e": "", "o": {"b": 1}, "a": [1, null], "B": "x"}',
        '{"n": 3000000000,"d":1.5, "m": "x", "o": {"a": true}, "h":99999999999999999999,"x":{}}',
    ]
    store(engine, "d/a.json", lines[0].encode())
    store(engine, "d/b.json", lines[1].encode())
    expected = [
        ("B", "string"), ("a", "array<bigint>"), ("d", "double"), ("e", "string"),
        ("h", "decimal(20,0)"), ("m", "string"), ("n", "bigint"),
        ("o", "struct<a:boolean,b:bigint>"), ("z", "string"),
    ]  # fmt: skip
    assert typed(volume, reading("d")) == [*expected, ("_rescued_data", "string")]
    assert typed(volume, f"SELECT * FROM json.`{V}/d`") == expected
    found = volume.run(f"SELECT a, d, m, n, o, h FROM json.`{V}/d`")
    assert found[0] == ([1, None], 1.0, "1", 1, {"a": None, "b": 1}, None)
    assert found[1] == (
        None, 1.5, "x", 3_000_000_000, {"a": True, "b": None}, Decimal(99999999999999999999),
    )  # fmt: skip
    # An empty text is no BIGINT: with a column of rescued data it is not known where it goes.
    store(engine, "d/c.json", b'{"n": ""}')
    assert volume.run(f"SELECT n FROM json.`{V}/d/c.json`") == [("",)]
    assert volume.run(f"SELECT n FROM json.`{V}/d`")[2] == (None,)
    volume.fails(reading("d"), *REFUSED, "rescued")


def test_names_that_differ_by_case(engine: Engine, volume: Client) -> None:
    for text in ('{"a": 1, "A": 2}', '{"a": 1, "a": 2}', '{"s": [{"x": 1, "X": 2}]}'):
        store(engine, "f.json", text.encode())
        volume.fails(f"SELECT * FROM json.`{V}/f.json`", "COLUMN_ALREADY_EXISTS", "42711")
        volume.fails(reading(), *REFUSED, "names alike")
    store(engine, "d/a.json", b'{"a": 1}\n{"b": 1}\n')
    store(engine, "d/b.json", b'{"A": 1}')
    volume.fails(f"SELECT * FROM json.`{V}/d`", "COLUMN_ALREADY_EXISTS", "42711")
    volume.fails(reading("d"), *REFUSED, "names alike")
    assert read(engine, volume, '{"a": 1, "A": 2}', "A INT") == [(2,)]


def test_hints_of_types(engine: Engine, volume: Client) -> None:
    store(engine, "f.json", b'{"d": "2024-01-01", "n": 1}')
    assert volume.run(reading(schemaHints="d DATE")) == [(dt.date(2024, 1, 1), 1, None)]
    volume.fails(reading(schemaHints="n BOOLEAN"), *REFUSED, "rescued")


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ("primitivesAsString => true", "primitivesasstring"),
        ("allowComments => true", "allowcomments"),
        ("inferColumnTypes => false", "inferColumnTypes"),
        ("schema => 'n INT', rescuedDataColumn => 'r'", "rescuedDataColumn"),
        ("encoding => 'UTF-16'", "encoding"),
        ("schema => 'n INT, _CORRUPT_RECORD STRING'", "_CORRUPT_RECORD"),
        ("lineSep => ';'", "linesep"),
        ("readerCaseSensitive => false", "readercasesensitive"),
    ],
)
def test_other_options_are_refused_by_name(
    engine: Engine, volume: Client, options: str, part: str
) -> None:
    store(engine, "f.json", b'{"n": 1}')
    statement = f"SELECT * FROM read_files('{V}/f.json', format => 'json', {options})"
    volume.fails(statement, *REFUSED, part)


# ---- hostile files


@pytest.mark.parametrize("schema", [{}, {"schema": "a STRING"}])
def test_deep_and_long_records(engine: Engine, volume: Client, schema: dict[str, str]) -> None:
    for deep in ("[" * 10_000, '{"a":' * 10_000 + "1" + "}" * 10_000, "[" * 101 + "]" * 101):
        store(engine, "f.json", deep.encode())
        volume.fails(reading(**schema), *REFUSED, "nested so deeply")
    # Brackets in a text are none.
    store(engine, "f.json", json.dumps({"a": "[" * 10_000}).encode())
    assert volume.run(f"SELECT length(a) FROM ({reading(**schema)})") == [(10_000,)]
    store(engine, "f.json", b'{"a": "' + b"x" * text_files.MAX_RECORD + b'"}')
    volume.fails(reading(**schema), *REFUSED, "a record of more than")
    store(engine, "f.json", gzip.compress(b"0" * 1_000_000))
    volume.fails(reading(**schema), *REFUSED, "UTF-8")


def test_a_text_that_nothing_closes_is_looked_through_once(engine: Engine, volume: Client) -> None:
    store(engine, "f.json", b'{"a": "' + b'\\"' * 500_000)
    assert read(engine, volume, '{"a": "' + '\\"' * 500_000, "a STRING") == [(None,)]
    assert read(engine, volume, "{'a': '" + "\\'" * 500_000 + '"' * 9, "a STRING") == [(None,)]


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=[] if seed < 1 else full) for seed in range(10)]
)
def test_random_records_come_back(engine: Engine, volume: Client, seed: int) -> None:
    print(f"seed {seed}")
    source = random.Random(seed)
    rows = [
        {
            "b": source.choice([True, False]),
            "f": source.uniform(-1e9, 1e9),
            "i": source.randrange(-(2**63), 2**63),
            "l": [source.choice("aü😀\"'\\\n,") for _ in range(source.randrange(4))] or None,
            "s": {"x": source.randrange(9), "y": "".join(source.choices('ab"\\/\t{[', k=9))},
        }
        for _ in range(500)
    ]
    text = "\n".join(json.dumps(row, ensure_ascii=source.random() < 0.5) for row in rows)
    store(engine, "f.json", text.encode())
    assert volume.run(f"SELECT * FROM json.`{V}/f.json`") == [tuple(row.values()) for row in rows]
