"""Parquet files in FROM: which type each column gets, and that nothing else is read."""

# ruff: noqa: F401, F811 - pytest finds fixtures by the name they are imported under

from __future__ import annotations

import datetime as dt
import io
import random
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.warehouse.engine.client import Client, db, engine
from vinci_code.warehouse.engine.engine import Engine
from vinci_code.warehouse.sql.parameters import Parameter

V = "/Volumes/main/default/v"
UTC = dt.timezone.utc


def store(engine: Engine, name: str, content: bytes | pa.Table, **options: Any) -> None:
    """Store a file, or a table as Parquet."""
    if isinstance(content, pa.Table):
        buffer = io.BytesIO()
        pq.write_table(content, buffer, **options)
        content = buffer.getvalue()
    with engine.volumes.upload(engine.volumes.locate(f"{V}/{name}")) as upload:
        upload.write(content)
        upload.finish()


@pytest.fixture
def volume(db: Client) -> Client:
    """A session whose schema has the volume."""
    db.run("CREATE VOLUME v")
    return db


def read(path: str) -> str:
    return f"SELECT * FROM parquet.`{V}/{path}`"


TYPES: dict[str, tuple[pa.DataType, list[Any], str, list[Any] | None]] = {
    "boolean": (pa.bool_(), [True, None], "boolean", None),
    "tinyint": (pa.int8(), [-128, None], "tinyint", None),
    "smallint": (pa.int16(), [-(2**15), None], "smallint", None),
    "int": (pa.int32(), [-(2**31), None], "int", None),
    "bigint": (pa.int64(), [2**63 - 1, None], "bigint", None),
    "unsigned byte": (pa.uint8(), [255, None], "smallint", None),
    "unsigned short": (pa.uint16(), [2**16 - 1, None], "int", None),
    "unsigned int": (pa.uint32(), [2**32 - 1, None], "bigint", None),
    "unsigned long": (
        pa.uint64(), [2**64 - 1, None], "decimal(20,0)", [Decimal(2**64 - 1), None],
    ),
    "float": (pa.float32(), [1.5, float("inf")], "float", None),
    "double": (pa.float64(), [0.1, None], "double", None),
    "decimal": (pa.decimal128(10, 2), [Decimal("1.10"), None], "decimal(10,2)", None),
    "wide": (pa.decimal128(38, 0), [Decimal(10**37), None], "decimal(38,0)", None),
    "string": (pa.string(), ["ü\0'", None], "string", None),
    "large string": (pa.large_string(), ["a", None], "string", None),
    "dictionary": (pa.dictionary(pa.int32(), pa.string()), ["a", None], "string", None),
    "binary": (pa.binary(), [b"\x00\xff", None], "binary", None),
    "fixed": (pa.binary(2), [b"ab", None], "binary", None),
    "date": (pa.date32(), [dt.date(1, 1, 1), None], "date", None),
    "timestamp": (
        pa.timestamp("us", tz="Europe/Vienna"), [dt.datetime(2024, 2, 29, 1, 2, 3, 4, UTC), None],
        "timestamp", None,
    ),
    "milliseconds": (
        pa.timestamp("ms", tz="UTC"), [dt.datetime(2024, 2, 29, tzinfo=UTC), None], "timestamp",
        None,
    ),
    "wall clock": (
        pa.timestamp("us"), [dt.datetime.fromisoformat("2024-02-29 01:02:03.000004"), None],
        "timestamp_ntz", None,
    ),
    "duration": (pa.duration("us"), [dt.timedelta(seconds=1), None], "bigint", [1_000_000, None]),
    "array": (pa.list_(pa.int32()), [[1, None], None], "array<int>", None),
    "map": (pa.map_(pa.string(), pa.int64()), [[("a", 1)], None], "map<string,bigint>", None),
    "struct": (
        pa.struct([("A", pa.int8()), ("b", pa.list_(pa.string()))]), [{"A": 1, "b": ["x"]}, None],
        "struct<A:tinyint,b:array<string>>", None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TYPES)
def test_a_column_is_of_exactly_its_type(engine: Engine, volume: Client, name: str) -> None:
    kind, values, expected, shown = TYPES[name]
    store(engine, "f", pa.table({"c": pa.array(values, kind)}))
    (column,) = volume.result(read("f")).columns
    assert column.type.simple == expected
    found = [row[0] for row in volume.run(read("f"))]
    assert found == (values if shown is None else shown)
    # COPY INTO takes it for a column of this type, and for no other.
    other = "BINARY" if expected == "string" else "STRING"
    volume.script(f"CREATE TABLE t (c {expected})", f"CREATE TABLE other (c {other})")
    assert volume.run(f"COPY INTO t FROM '{V}/f' FILEFORMAT = PARQUET") == [(2, 2, 0)]
    assert volume.run("SELECT c FROM t") == volume.run(read("f"))
    volume.fails(
        f"COPY INTO other FROM '{V}/f' FILEFORMAT = PARQUET",
        "COPY_INTO_SCHEMA_MISMATCH_WITH_TARGET_TABLE",
        "42KDG",
    )


def test_an_old_timestamp_is_an_instant(engine: Engine, volume: Client) -> None:
    moment = dt.datetime.fromisoformat("2024-02-29 01:02:03.000004")
    table = pa.table({"c": pa.array([moment, None], pa.timestamp("us"))})
    store(engine, "f", table, use_deprecated_int96_timestamps=True)
    (column,) = volume.result(read("f")).columns
    assert column.type.simple == "timestamp"
    assert volume.run(read("f")) == [(moment.replace(tzinfo=UTC),), (None,)]
    nested = pa.table({"s": pa.array([{"c": moment}], pa.struct([("c", pa.timestamp("us"))]))})
    store(engine, "n", nested, use_deprecated_int96_timestamps=True)
    volume.fails(read("n"), "UNSUPPORTED_BY_LOCAL_WAREHOUSE", "0A000", "INT96")


@pytest.mark.parametrize(
    ("kind", "error_class", "sqlstate"),
    [
        (pa.timestamp("ns"), "PARQUET_TYPE_ILLEGAL", "42846"),
        (pa.time64("us"), "PARQUET_TYPE_ILLEGAL", "42846"),
        (pa.float16(), "PARQUET_TYPE_ILLEGAL", "42846"),
        (pa.list_(pa.timestamp("ns")), "PARQUET_TYPE_ILLEGAL", "42846"),
        (pa.decimal256(60, 2), "DECIMAL_PRECISION_EXCEEDS_MAX_PRECISION", "22003"),
        (pa.null(), "UNSUPPORTED_BY_LOCAL_WAREHOUSE", "0A000"),
    ],
    ids=str,
)
def test_types_without_a_match(
    engine: Engine, volume: Client, kind: pa.DataType, error_class: str, sqlstate: str
) -> None:
    store(engine, "f", pa.table({"c": pa.array([None], kind)}))
    volume.fails(read("f"), error_class, sqlstate)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"x" * 100 + b"PAR1", b"a,b\n1,2\n"])
def test_what_is_no_parquet(engine: Engine, volume: Client, content: bytes) -> None:
    store(engine, "f", content)
    volume.fails(read("f"), "FAILED_READ_FILE.CANNOT_READ_FILE_FOOTER", "KD001", f"dbfs:{V}/f")


def test_a_damaged_page(engine: Engine, volume: Client) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"c": [f"text {i}" for i in range(1000)]}), buffer)
    content = bytearray(buffer.getvalue())
    content[10:600] = random.Random(7).randbytes(590)
    store(engine, "f", bytes(content))
    volume.fails(read("f"), "FAILED_READ_FILE.NO_HINT", "KD001")


def test_read_files(engine: Engine, volume: Client) -> None:
    store(engine, "d/a", pa.table({"id": [1], "x": ["a"]}))
    store(engine, "d/deep/b", pa.table({"X": ["b"], "y": [0.5]}))
    store(engine, "d/_hidden", b"no Parquet")
    store(engine, "d/.hidden/c", b"no Parquet")
    call = f"read_files('{V}/d', format => 'parquet')"
    assert volume.names(f"SELECT * FROM {call}") == ["id", "x", "y", "_rescued_data"]
    assert volume.run(f"SELECT * FROM {call} ORDER BY id NULLS LAST") == [
        (1, "a", None, None),
        (None, "b", 0.5, None),
    ]
    joined = f"SELECT l.x, f.y FROM VALUES ('b') AS l(x) JOIN {call} AS f ON f.X = l.x"
    assert volume.run(joined) == [("b", 0.5)]
    volume.run(f"CREATE TABLE t AS SELECT id, x FROM {call}")
    volume.run(f"INSERT INTO t SELECT id + 1, x FROM {call} WHERE id IS NOT NULL")
    assert volume.column("SELECT id FROM t") == [1, 2, None]
    result = volume.run(
        "SELECT count(*) FROM read_files(:p, format => :f)",
        [Parameter("p", "STRING", f"{V}/d"), Parameter("f", "STRING", "PARQUET")],
    )
    assert result == [(2,)]


def test_files_by_path_lie_immediately_there(engine: Engine, volume: Client) -> None:
    store(engine, "d/a", pa.table({"id": [1]}))
    store(engine, "d/b", pa.table({"id": [2]}))
    store(engine, "d/deep/c", pa.table({"other": [3]}))
    assert volume.run(f"SELECT d.id FROM PARQUET.`dbfs:{V}/d/` AS d ORDER BY 1") == [(1,), (2,)]
    volume.run(f"CREATE VIEW w AS SELECT id FROM parquet.`{V}/d`")
    assert volume.column("SELECT id FROM w") == [1, 2]
    store(engine, "d/e", pa.table({"other": [3]}))
    volume.fails(read("d"), "UNSUPPORTED_BY_LOCAL_WAREHOUSE", "0A000", "different columns")


def test_files_that_do_not_fit_together(engine: Engine, volume: Client) -> None:
    store(engine, "d/a", pa.table({"id": [1]}))
    store(engine, "d/b", pa.table({"ID": ["1"]}))
    call = f"SELECT * FROM read_files('{V}/d', format => 'parquet')"
    volume.fails(call, "CANNOT_MERGE_SCHEMAS", "42KD9", "BIGINT", "STRING")
    store(engine, "two", pa.table([[1], [2]], ["a", "A"]))
    volume.fails(read("two"), "COLUMN_ALREADY_EXISTS", "42711")
    store(engine, "p/k=1/a", pa.table({"id": [1]}))
    volume.fails(read("p"), "UNSUPPORTED_BY_LOCAL_WAREHOUSE", "0A000", "key=value")
    volume.fails(read("nothing"), "PATH_NOT_FOUND", "42K03")
    engine.volumes.make_directory(engine.volumes.locate(f"{V}/empty"))
    volume.fails(read("empty"), "UNABLE_TO_INFER_SCHEMA", "42KD9")


OUTSIDE = [
    "SELECT * FROM parquet.`{there}`",
    "SELECT * FROM parquet.`file://{there}`",
    "SELECT * FROM parquet.`/Volumes/main/default/v/../../../..{there}`",
    "SELECT * FROM parquet.`/Volumes/main/default/v/{there}`",
    "SELECT * FROM parquet.`/Volumes/main/default/v/*`",
    "SELECT * FROM parquet.`s3://bucket/a`",
    "SELECT * FROM parquet.`https://localhost/a`",
    "SELECT * FROM read_files('{there}', format => 'parquet')",
    "SELECT * FROM read_files('{there}')",
    "SELECT * FROM read_files('/Volumes/main/default/v/..{there}', format => 'parquet')",
    "SELECT * FROM read_parquet('{there}')",
    "SELECT * FROM parquet_scan('{there}')",
    "SELECT * FROM `{there}`",
    "SELECT * FROM '{there}'",
    "COPY INTO t FROM '{there}' FILEFORMAT = PARQUET",
    "COPY INTO t FROM '/Volumes/main/default/v' FILEFORMAT = PARQUET FILES = ('../..{there}')",
    "COPY INTO t FROM '/Volumes/main/default/v' FILEFORMAT = PARQUET PATTERN = '../*'",
    "COPY INTO parquet.`{there}` FROM '/Volumes/main/default/v' FILEFORMAT = PARQUET",
    "LIST '{there}'",
]


@pytest.mark.parametrize("statement", OUTSIDE)
def test_nothing_outside_is_read(
    engine: Engine, volume: Client, tmp_path: Any, statement: str
) -> None:
    there = tmp_path / "outside.parquet"
    pq.write_table(pa.table({"id": [1]}), there)
    volume.run("CREATE TABLE t (id BIGINT)")
    with pytest.raises(Exception, match=r"^\s*\[[A-Z_.]+\]") as caught:
        volume.run(statement.format(there=there))
    assert "INTERNAL_ERROR" not in str(caught.value)
    assert volume.run("SELECT * FROM t") == []


@pytest.mark.parametrize(
    "statement",
    [
        f"SELECT * FROM read_files('{V}/f', format => 'parquet', schema => 'id INT')",
        f"SELECT * FROM read_files('{V}/f', format => 'avro')",
        f"SELECT * FROM read_files('{V}/f', 'parquet')",
        f"SELECT * FROM read_files('{V}/f')",
        "SELECT * FROM read_files(format => 'parquet')",
        f"SELECT * FROM text.`{V}/f`",
        f"SELECT * FROM delta.`{V}/f`",
        f"SELECT * FROM parquet.`{V}/f` VERSION AS OF 1",
        f"CREATE VIEW w AS SELECT * FROM read_files('{V}/f', format => 'parquet')",
    ],
)
def test_refused_by_name(engine: Engine, volume: Client, statement: str) -> None:
    store(engine, "f", pa.table({"id": [1]}))
    volume.fails(statement, "UNSUPPORTED_BY_LOCAL_WAREHOUSE", "0A000")


def test_files_are_not_read_in_a_transaction(engine: Engine, volume: Client) -> None:
    store(engine, "f", pa.table({"id": [1]}))
    for statement in (read("f"), f"SELECT * FROM read_files('{V}/f', format => 'parquet')"):
        volume.run("BEGIN TRANSACTION")
        volume.fails(statement, "UNSUPPORTED_BY_LOCAL_WAREHOUSE", "0A000", "in a transaction")
        volume.run("ROLLBACK")
