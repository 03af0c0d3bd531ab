"""CSV in volumes: records, fields, values and types as Spark's reader has them."""

# ruff: noqa: F401, F811 - pytest finds fixtures by the name they are imported under

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import random
import string
from decimal import Decimal
from typing import Any

import pytest

from tests.full import full
from tests.warehouse.engine.client import Client, db, engine
from tests.warehouse.engine.test_parquet_files import V, store, volume
from vinci_code.warehouse.engine import csv_files, json_files, text_files
from vinci_code.warehouse.engine.engine import Engine

REFUSED = ("UNSUPPORTED_BY_LOCAL_WAREHOUSE", "0A000")
UTC = dt.timezone.utc


def reading(name: str = "f.csv", **options: object) -> str:
    listed = "".join(f", {key} => {value!r}" for key, value in options.items())
    return f"SELECT * FROM read_files('{V}/{name}', format => 'csv'{listed})"


def read(
    engine: Engine, client: Client, text: str | bytes, schema: str, **options: object
) -> list[tuple[Any, ...]]:
    store(engine, "f.csv", text.encode() if isinstance(text, str) else text)
    return client.run(reading(schema=schema, **options))


def refuses(
    engine: Engine, client: Client, text: str | bytes, schema: str, *parts: str, **options: object
) -> None:
    store(engine, "f.csv", text.encode() if isinstance(text, str) else text)
    client.fails(reading(schema=schema, **options), *REFUSED, *parts)


# ---- records and fields


@pytest.mark.parametrize(
    "text",
    [
        "1,a\n2,b\n",
        "1,a\r\n2,b",
        "1,a\r2,b\r",
        "\ufeff1,a\n\n  \n2,b\n\n",
        '"1","a"\n2,b',
    ],
)
def test_lines_and_ends_of_lines(engine: Engine, volume: Client, text: str) -> None:
    assert read(engine, volume, text, "n INT, s STRING") == [(1, "a"), (2, "b")]


def test_empty_fields_are_null_in_quotes_too(engine: Engine, volume: Client) -> None:
    assert read(engine, volume, '1,,""\n2, ,x\n', "n INT, a STRING, b STRING") == [
        (1, None, None), (2, " ", "x"),
    ]  # fmt: skip
    # Beside another text for NULL, an empty text in quotes is one.
    text = '1,,""\nNA,"NA",x\n'
    assert read(engine, volume, text, "n INT, a STRING, b STRING", nullValue="NA") == [
        (1, None, ""), (None, None, "x"),
    ]  # fmt: skip


def test_quotes_and_escapes(engine: Engine, volume: Client) -> None:
    text = '"a,b","say \\"hi\\"",5" pipe\n"c:\\dir",\'x\',back\\slash\n'
    assert read(engine, volume, text, "a STRING, b STRING, c STRING") == [
        ("a,b", 'say "hi"', '5" pipe'), ("c:\\dir", "'x'", "back\\slash"),
    ]  # fmt: skip
    doubled = '"say ""hi""",""""\n'
    assert read(engine, volume, doubled, "a STRING, b STRING", escape='"') == [('say "hi"', '"')]
    assert read(engine, volume, "'a;b';\"\n", "a STRING, b STRING", sep=";", quote="'") == [
        ("a;b", '"')
    ]
    assert read(engine, volume, '"a"\t"\n', "a STRING, b STRING", delimiter="\\t", quote="") == [
        ('"a"', '"')
    ]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('"say ""hi""",x\n', "follows a field in quotes"),
        ('"a" ,x\n', "follows a field in quotes"),
        (' "a",x\n', "blanks stand before a quote"),
        ('"a,x\n', "multiLine"),
        ('"a\\\\",x\n', "two escapes in a row"),
        ("a\0,x\n", "U+0000"),
        ("a," + "x" * (text_files.MAX_RECORD + 1), "a record of more than"),
        (",".join("x" * 20_481), "20480 fields"),
    ],
)
def test_what_a_parser_guesses_is_refused(
    engine: Engine, volume: Client, text: str, part: str
) -> None:
    refuses(engine, volume, text, "a STRING, b STRING", part)


def test_fields_that_span_lines(engine: Engine, volume: Client) -> None:
    text = 'n,s\n1,"a\nb"\n\n2,c'
    assert read(engine, volume, text, "n INT, s STRING", header="true", multiLine="true") == [
        (1, "a\nb"), (2, "c"),
    ]  # fmt: skip
    crlf = "1,a\r\n2,b\r\n"
    assert read(engine, volume, crlf, "n INT, s STRING", multiLine="true") == [(1, "a"), (2, "b")]
    for bad in ('1,"a\r\nb"\r\n', "1,a\n2,b\r\n", "1,a\r2,b", '1,"a', "1,a\n  \n"):
        refuses(engine, volume, bad, "n INT, s STRING", multiLine="true")


def test_records_that_have_other_numbers_of_fields(engine: Engine, volume: Client) -> None:
    text = "1,a,x\n2\n3,c\n"
    rows = [(1, "a"), (2, None), (3, "c")]
    assert read(engine, volume, text, "n INT, s STRING") == rows
    volume.fails(
        reading(schema="n INT, s STRING", mode="failfast"),
        "FAILED_READ_FILE.NO_HINT", "KD001", "MALFORMED_RECORD_IN_PARSING", f"dbfs:{V}/f.csv",
    )  # fmt: skip
    # Which records a query drops depends on the columns that it reads.
    volume.fails(reading(schema="n INT, s STRING", mode="DROPMALFORMED"), *REFUSED, "malformed")
    assert read(engine, volume, "3,c\n", "n INT, s STRING", mode="DROPMALFORMED") == [(3, "c")]
    # What is too much would go to the column of rescued data.
    store(engine, "f.csv", b"n,s\n1,a,x\n")
    volume.fails(reading(header=True), *REFUSED, "rescued data")
    volume.fails(reading(schema="n INT, s STRING", rescuedDataColumn="r"), *REFUSED)


# ---- values

GOOD: dict[str, list[tuple[str, Any]]] = {
    "INT": [("007", 7), ("-2147483648", -(2**31)), ("+5", 5), ("-0", 0)],
    "BIGINT": [("9223372036854775807", 2**63 - 1), ("0" * 30 + "1", 1)],
    "TINYINT": [("-128", -128)],
    "DOUBLE": [
        ("1.5", 1.5), (" 2 ", 2.0), ("1e3", 1000.0), (".5", 0.5), ("5.", 5.0), ("1d", 1.0),
        ("Inf", float("inf")), ("-Infinity", float("-inf")), ("1e999", float("inf")),
        ("0.1", 0.1), ("123456789012345.678", 123456789012345.678),
    ],
    "FLOAT": [("0.1", 0.10000000149011612), ("16777217", 16777216.0)],
    "DECIMAL(5,2)": [
        ("1.005", Decimal("1.01")), ("-1.5", Decimal("-1.50")), ("1e2", Decimal("100.00")),
        ("999.994", Decimal("999.99")),
    ],
    "BOOLEAN": [("true", True), ("FALSE", False)],
    "DATE": [("2024-02-29", dt.date(2024, 2, 29)), ("0001-01-01", dt.date(1, 1, 1))],
    "TIMESTAMP": [
        ("2024-02-29", dt.datetime(2024, 2, 29, tzinfo=UTC)),
        ("2024-02-29T01:02:03.5", dt.datetime(2024, 2, 29, 1, 2, 3, 500_000, UTC)),
        ("0001-01-01 00:00:00.000001", dt.datetime(1, 1, 1, 0, 0, 0, 1, UTC)),
        ("2024-02-29 01:02:03+02:00", dt.datetime(2024, 2, 28, 23, 2, 3, 0, UTC)),
        ("2024-02-29 01:02:03Z", dt.datetime(2024, 2, 29, 1, 2, 3, 0, UTC)),
    ],
    "TIMESTAMP_NTZ": [
        ("2024-02-29T01:02:03", dt.datetime.fromisoformat("2024-02-29 01:02:03")),
        ("2024-02-29 01:02:03.000004", dt.datetime.fromisoformat("2024-02-29 01:02:03.000004")),
    ],
    "STRING": [(" x ", " x "), ("null", "null")],
}  # fmt: skip

MALFORMED = {
    "INT": ["2147483648", " 1", "1.0", "x", "1e3", "-"],
    "TINYINT": ["128"],
    "BIGINT": ["9223372036854775808", "9" * 5000],
    "DOUBLE": ["x", "1,5", "inf", "nan", "1 2"],
    "DECIMAL(5,2)": ["1000", "x", " 1", "1e999999"],
    "BOOLEAN": ["1", "t", "yes", " true"],
    "DATE": ["x", "today"],
    "TIMESTAMP": ["now"],
}

UNSURE = {
    "INT": ["\u0661"],
    "DOUBLE": ["0x1p3"],
    "DATE": ["2024-2-29", "2023-02-29", "2024-02-29T00:00:00", "20240229", "0000-01-01"],
    "TIMESTAMP": [
        "2024",
        "0000-01-01 00:00:00",
        "01:02",
        "2024-02-29 1:02",
        "2024-02-29 01:02:03 UTC",
    ],
    "TIMESTAMP_NTZ": ["2024-02-29 01:02:03Z"],
}


@pytest.mark.parametrize("kind", GOOD)
def test_values_of_a_type(engine: Engine, volume: Client, kind: str) -> None:
    texts, values = zip(*GOOD[kind], strict=True)
    quoted = "".join(f'"{text}"\n' for text in texts)
    assert [row[0] for row in read(engine, volume, quoted, f"c {kind}")] == list(values)
    for text, value in GOOD[kind]:
        assert read(engine, volume, f'"{text}"\n', f"c {kind}") == [(value,)]


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_value_of_another_type_is_null(engine: Engine, volume: Client, kind: str) -> None:
    for text in MALFORMED[kind]:
        content = f'"{text}",x\n'
        assert read(engine, volume, content, f"c {kind}, s STRING") == [(None, "x")], text
        store(engine, "d/f", content.encode())
        volume.fails(
            reading("d/f", schema=f"c {kind}, s STRING", mode="FAILFAST"),
            "FAILED_READ_FILE.NO_HINT", "KD001",
        )  # fmt: skip


@pytest.mark.parametrize("kind", UNSURE)
def test_a_value_that_parsers_read_in_two_ways_is_refused(
    engine: Engine, volume: Client, kind: str
) -> None:
    for text in UNSURE[kind]:
        refuses(engine, volume, f'"{text}"\n', f"c {kind}")


def test_patterns_of_dates_and_times(engine: Engine, volume: Client) -> None:
    volume.run("SET TIME ZONE 'Europe/Vienna'")
    text = "29.02.2024,29.02.2024 01:02\n"
    assert read(
        engine, volume, text, "d DATE, t TIMESTAMP",
        dateFormat="dd.MM.yyyy", timestampFormat="dd.MM.yyyy HH:mm",
    ) == [(dt.date(2024, 2, 29), dt.datetime(2024, 2, 29, 0, 2, tzinfo=UTC))]  # fmt: skip
    refuses(engine, volume, "2024-02-29\n", "d DATE", dateFormat="dd.MM.yyyy")


@pytest.mark.parametrize(
    "kind", ["ARRAY<INT>", "STRUCT<a: INT>", "VARIANT", "INTERVAL DAY", "BINARY"]
)
def test_types_that_csv_has_no_values_of(engine: Engine, volume: Client, kind: str) -> None:
    refuses(engine, volume, "1\n", f"c {kind}")


# ---- columns


def typed(client: Client, statement: str) -> list[tuple[str, str]]:
    result = client.result(statement)
    result.close()
    return [(column.name, column.type.simple) for column in result.columns]


def test_types_are_inferred_as_spark_does(engine: Engine, volume: Client) -> None:
    names = "i,l,d,f,b,s,n,m,q,a"
    rows = [
        "1,1,1,1,true,x,,1,2024-01-01,10.0.0.1",
        "2,3000000000,99999999999999999999,0.5,FALSE,1,,true,5,1.2.3",
    ]
    store(engine, "f.csv", "\n".join([names, *rows]).encode())
    assert typed(volume, reading(header="true")) == [
        ("i", "int"), ("l", "bigint"), ("d", "decimal(20,0)"), ("f", "double"), ("b", "boolean"),
        ("s", "string"), ("n", "string"), ("m", "string"), ("q", "string"),
        ("a", "string"), ("_rescued_data", "string"),
    ]  # fmt: skip
    assert volume.run(reading(header="true"))[1][:5] == (
        2, 3_000_000_000, Decimal(99999999999999999999), 0.5, False,
    )  # fmt: skip
    everything = typed(volume, reading(header="true", inferColumnTypes="false"))
    assert {kind for _, kind in everything} == {"string"}


@pytest.mark.parametrize("value", ["2024-01-01", "2024-01-01 10:00:00", "10:00", '"1,000"', "0x10"])
def test_what_may_be_a_date_is_not_inferred(engine: Engine, volume: Client, value: str) -> None:
    store(engine, "f.csv", f"c\n{value}\n".encode())
    volume.fails(reading(header="true"), *REFUSED, "`c`")
    store(engine, "f.csv", f"c\n{value}\nabc\n".encode())
    assert typed(volume, reading(header="true"))[0] == ("c", "string")


def test_hints_of_types(engine: Engine, volume: Client) -> None:
    store(engine, "f.csv", b"d,n\n2024-01-01,1\n")
    assert volume.run(reading(header="true", schemaHints="d DATE, n BIGINT")) == [
        (dt.date(2024, 1, 1), 1, None)
    ]
    volume.fails(reading(header="true", schemaHints="d DATE, x INT"), *REFUSED, "x")
    store(engine, "f.csv", b"d,n\nx,1\n")
    volume.fails(reading(header="true", schemaHints="d DATE"), *REFUSED, "rescued")


def test_names_of_columns(engine: Engine, volume: Client) -> None:
    store(engine, "f.csv", b"a,,A,b c\n1,2,3,4\n")
    assert volume.names(f"SELECT * FROM csv.`{V}/f.csv`") == ["_c0", "_c1", "_c2", "_c3"]
    assert len(volume.run(f"SELECT * FROM csv.`{V}/f.csv`")) == 2
    volume.fails(reading(header="true"), *REFUSED, "repeated names")
    volume.run("CREATE TABLE t (a0 INT, _c1 INT, A2 INT)")
    store(engine, "f.csv", b"a,,A\n1,2,3\n")
    copy = f"COPY INTO t FROM '{V}/f.csv' FILEFORMAT = CSV FORMAT_OPTIONS "
    assert volume.run(copy + "('header' = 'true', 'inferSchema' = 'true')") == [(1, 1, 0)]
    assert volume.run("SELECT * FROM t") == [(1, 2, 3)]


def test_a_header_has_the_names_of_a_schema(engine: Engine, volume: Client) -> None:
    assert read(engine, volume, "n,s\n1,a\n", "n INT, s STRING", header="true") == [(1, "a")]
    for other in ("s,n\n1,a\n", "N,s\n1,a\n", "n\n1\n"):
        refuses(engine, volume, other, "n INT, s STRING", "header", header="true")


def test_files_together(engine: Engine, volume: Client) -> None:
    store(engine, "d/a.csv", b"n,s\n1,a\n")
    store(engine, "d/b.csv.gz", gzip.compress(b"n,s\n3000000000,b\n"))
    store(engine, "d/c.csv", b"")
    both = reading("d", header="true")
    assert volume.run(both) == [(1, "a", None), (3_000_000_000, "b", None)]
    store(engine, "d/e.csv", b"s,n\nc,2\n")
    volume.fails(both, *REFUSED, "different columns")
    volume.fails(reading("d/c.csv", header="true"), *REFUSED, "empty")
    assert volume.run(reading("d/c.csv", header="true", schema="n INT")) == []


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ("comment => '#'", "'comment' = '#'"),
        ("ignoreLeadingWhiteSpace => true", "ignoreleadingwhitespace"),
        ("sep => '||'", "one character"),
        ("encoding => 'latin1'", "encoding"),
        ("mode => 'BEST'", "mode"),
        ("multiLine => 'perhaps'", "multiline"),
        ("sep => ',', delimiter => ';'", "together"),
        ("inferSchema => true", "inferColumnTypes"),
        ("lineSep => ';'", "linesep"),
        ("header => true, dateFormat => 'dd.MM.yyyy'", "dateformat"),
        ("badRecordsPath => '/x'", "badrecordspath"),
        ("columnNameOfCorruptRecord => 'x'", "columnnameofcorruptrecord"),
        ("header => true, schema => 'n INT NOT NULL'", "NOT NULL"),
        ("schema => 'n VARCHAR(3)'", "VARCHAR(3)"),
        ("schema => 'n INT, _corrupt_record STRING'", "_corrupt_record"),
        ("schema => 'n INT', schemaHints => 'n INT'", "schemaHints"),
        ("header => true, `_metadata.x` => 1", "_metadata"),
    ],
)
def test_other_options_are_refused_by_name(
    engine: Engine, volume: Client, options: str, part: str
) -> None:
    store(engine, "f.csv", b"n\n1\n")
    volume.fails(
        f"SELECT * FROM read_files('{V}/f.csv', format => 'csv', {options})", *REFUSED, part
    )


def test_the_hidden_column_is_refused(engine: Engine, volume: Client) -> None:
    store(engine, "f.csv", b"1\n")
    volume.fails(f"SELECT _metadata.file_path FROM csv.`{V}/f.csv`", *REFUSED, "_metadata")
    statement = reading(schema="n INT").replace("*", "*, _metadata")
    volume.fails(statement, *REFUSED, "_metadata")


@pytest.mark.parametrize(
    "statement",
    [
        f"SELECT * FROM read_files('{V}/f.csv', format => 'csv', schema => 'n INT')",
        f"SELECT * FROM csv.`{V}/f.csv`",
        f"SELECT * FROM json.`{V}/f.csv`",
        f"COPY INTO t FROM '{V}/f.csv' FILEFORMAT = CSV FORMAT_OPTIONS ('inferSchema' = 'true')",
        f"COPY INTO t BY POSITION FROM '{V}/f.csv' FILEFORMAT = CSV",
    ],
)
def test_reading_is_cancelled(
    engine: Engine, volume: Client, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    volume.run("CREATE TABLE t (_c0 INT)")
    store(engine, "f.csv", b"{}\n" * 10)
    blocks = text_files.blocks_of_lines

    def cancelled(*arguments: Any) -> Any:
        for block in blocks(*arguments):
            volume.session.interrupt()
            yield block

    for module in (csv_files, json_files):
        monkeypatch.setattr(module, "blocks_of_lines", cancelled)
    volume.fails(statement, "OPERATION_CANCELED", "HY008")
    monkeypatch.undo()
    assert volume.run("SELECT * FROM t") == []


# ---- hostile files


def test_packed_files(engine: Engine, volume: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = gzip.compress(b"1\n2\n")
    unreadable = ("FAILED_READ_FILE.NO_HINT", "KD001")
    store(engine, "a.csv.gz", packed + gzip.compress(b"3\n"))
    assert volume.run(reading("a.csv.gz", schema="n INT")) == [(1,), (2,), (3,)]
    for content in (packed[:-4], b"", b"plain\n", packed + b"x"):
        store(engine, "b.csv.gz", content)
        volume.fails(reading("b.csv.gz", schema="n INT"), *unreadable)
    for name in ("c.csv.zst", "c.csv.GZ", "c.bz2"):
        store(engine, name, packed)
        volume.fails(reading(name, schema="n INT"), *REFUSED)
    store(engine, "d.csv", packed)
    volume.fails(reading("d.csv", schema="n INT"), *REFUSED, "UTF-8")
    # What unpacks to more than a file may have.
    monkeypatch.setattr(text_files, "MAX_TEXT", 1024 * 1024 - 1)
    store(engine, "e.csv.gz", gzip.compress(b"1\n" * 1024 * 1024))
    volume.fails(reading("e.csv.gz", schema="n INT"), *REFUSED, "e.csv.gz")
    bomb = gzip.compress(b"x" * (text_files.MAX_RECORD + 2**21))
    monkeypatch.undo()
    store(engine, "f.csv.gz", bomb)
    volume.fails(reading("f.csv.gz", schema="s STRING"), *REFUSED, "a record of more than")
    monkeypatch.setattr(text_files, "MAX_WHOLE", 1024 * 1024)
    volume.fails(reading("f.csv.gz", schema="s STRING", multiLine="true"), *REFUSED, "multiLine")


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=[] if seed < 1 else full) for seed in range(10)]
)
def test_random_files_agree_with_pythons_reader(engine: Engine, volume: Client, seed: int) -> None:
    print(f"seed {seed}")
    source = random.Random(seed)
    letters = string.ascii_letters + " ,;\"'\\\täöü€😀"
    rows = [
        ["".join(source.choices(letters, k=source.randint(1, 12))) for _ in range(4)]
        for _ in range(300)
    ]
    buffer = io.StringIO()
    csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    content = buffer.getvalue()
    schema = "a STRING, b STRING, c STRING, d STRING"
    wanted = [tuple(row) for row in rows]
    for multi_line in ("false", "true"):
        found = read(engine, volume, content, schema, escape='"', multiLine=multi_line)
        assert found == wanted
