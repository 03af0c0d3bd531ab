"""COPY INTO: each file once, all or nothing, with the columns and errors of Databricks."""

# ruff: noqa: F401, F811 - pytest finds fixtures by the name they are imported under

from __future__ import annotations

import datetime as dt
import threading
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from tests.patience import PATIENCE_S
from tests.warehouse.engine.client import MANAGED, Client, db, engine, other
from tests.warehouse.engine.test_parquet_files import V, store, volume
from vinci_code.warehouse.engine import copy_into
from vinci_code.warehouse.engine.engine import Engine
from vinci_code.warehouse.sql.errors import SqlError

FROM = f"COPY INTO t FROM '{V}/d' FILEFORMAT = PARQUET"
NO_FILES = ("COPY_INTO_SOURCE_SCHEMA_INFERENCE_FAILED", "42KD9")
NOTHING = [(0, 0, 0)]
REFUSED = ("UNSUPPORTED_BY_LOCAL_WAREHOUSE", "0A000")


@pytest.fixture
def table(engine: Engine, volume: Client) -> Client:
    """A session with a table and two files for it."""
    volume.run("CREATE TABLE t (id BIGINT, x STRING)")
    store(engine, "d/a", pa.table({"id": [1, 2], "x": ["a", "b"]}))
    store(engine, "d/b", pa.table({"X": ["c"], "ID": [3]}))
    return volume


def test_each_file_once(engine: Engine, table: Client) -> None:
    assert table.names(FROM) == [
        "num_affected_rows", "num_inserted_rows", "num_skipped_corrupt_files"
    ]  # fmt: skip
    assert table.column("SELECT id FROM t") == [1, 2, 3]
    assert table.run(FROM) == NOTHING
    store(engine, "d/c", pa.table({"id": [4], "x": ["d"]}))
    # A file is known by its path, also where it was changed.
    store(engine, "d/a", pa.table({"id": [9], "x": ["z"]}))
    result = table.result(FROM)
    assert (result.num_modified_rows, result.statement_kind) == (1, "COPY")
    result.close()
    assert table.column("SELECT id FROM t") == [1, 2, 3, 4]
    table.run("TRUNCATE TABLE t")
    assert table.run(FROM) == NOTHING
    assert table.run(f"{FROM} COPY_OPTIONS ('force' = 'true')") == [(3, 3, 0)]
    assert table.column("SELECT id FROM t") == [3, 4, 9]
    assert table.run(FROM) == NOTHING
    # Another table has loaded nothing; neither has one of the same name.
    table.script("DROP TABLE t", "CREATE TABLE t (id BIGINT, x STRING)")
    assert table.run(FROM) == [(3, 3, 0)]


def test_it_is_one_version(table: Client) -> None:
    table.run(FROM)
    operation = "SELECT version, operation, operationMetrics FROM (DESCRIBE HISTORY t) LIMIT 1"
    assert table.run(operation) == [(1, "COPY INTO", [("numFiles", "2"), ("numOutputRows", "3")])]
    table.run(FROM)
    assert table.run("SELECT max(version) FROM (DESCRIBE HISTORY t)") == [(1,)]
    assert table.column("SELECT id FROM t VERSION AS OF 0") == []


def test_files_and_pattern(engine: Engine, table: Client) -> None:
    store(engine, "d/deep/c1", pa.table({"id": [4], "x": ["d"]}))
    assert table.run(f"{FROM} FILES = ('b', 'b')") == [(1, 1, 0)]
    assert table.run(f"{FROM} PATTERN = '?'") == [(2, 2, 0)]
    assert table.run(f"{FROM} PATTERN = 'deep/c[0-9]'") == [(1, 1, 0)]
    assert table.run(f"{FROM} PATTERN = '[^d]*'") == NOTHING
    table.fails(f"{FROM} FILES = ('missing')", "PATH_NOT_FOUND", "42K03", f"dbfs:{V}/d/missing")
    table.fails(f"{FROM} PATTERN = '*.csv'", *NO_FILES, f"{V}/d")
    table.fails(f"{FROM} PATTERN = 'c[0-9]'", *NO_FILES)
    table.fails(f"{FROM} FILES = ('a') PATTERN = '*'", "PARSE_SYNTAX_ERROR", "42601")
    table.fails(f"{FROM} FILES = ('../x')", *REFUSED)


def test_a_pattern_is_a_glob_and_no_sign_of_it_is_taken_for_a_slash(
    engine: Engine, table: Client
) -> None:
    store(engine, "d/deep/c1", pa.table({"id": [4], "x": ["d"]}))
    for pattern in (
        "*",
        "deep*",
        "deep?c1",
        "[!a]",
        "[z-a]",
        "[a",
        "a]",
        "[]",
        "[a-]",
        "[--9]",
        "a{1}",
    ):
        table.fails(f"{FROM} PATTERN = '{pattern}'", *REFUSED)
    table.fails(f"{FROM} PATTERN = '{'*' * 1000}{'?' * 30}x'", *NO_FILES)
    table.fails(f"{FROM} PATTERN = '{'*a' * 3000}.x'", *NO_FILES)
    assert table.run(f"{FROM} PATTERN = '[c-z]eep/[^a]*'") == [(1, 1, 0)]
    assert table.run(f"{FROM} PATTERN = '[ab]'") == [(3, 3, 0)]


def test_all_or_nothing(engine: Engine, table: Client) -> None:
    table.run("ALTER TABLE t ADD CONSTRAINT small CHECK (id < 10)")
    store(engine, "d/c", pa.table({"id": [10], "x": ["d"]}))
    table.fails(FROM, "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES", "23001")
    store(engine, "d/c", b"no Parquet")
    table.fails(FROM, "FAILED_READ_FILE.CANNOT_READ_FILE_FOOTER", "KD001")
    assert table.run("SELECT * FROM t") == []
    engine.volumes.remove(engine.volumes.locate(f"{V}/d/c"))
    assert table.run(FROM) == [(3, 3, 0)]


def test_columns_that_differ(engine: Engine, table: Client) -> None:
    mismatch = ("COPY_INTO_SCHEMA_MISMATCH_WITH_TARGET_TABLE", "42KDG")
    store(engine, "e/a", pa.table({"id": [1], "y": [0.5]}))
    copy = f"COPY INTO t FROM '{V}/e' FILEFORMAT = PARQUET"
    table.fails(copy, *mismatch, "+ y: DOUBLE", "'mergeSchema' = 'true'")
    assert table.run(f"{copy} COPY_OPTIONS ('MERGESCHEMA' = 'true')") == [(1, 1, 0)]
    assert table.run("SELECT * FROM t") == [(1, None, 0.5)]
    assert [row[0] for row in table.run("DESCRIBE t")] == ["id", "x", "y"]
    # What fits into a wider column is of another type all the same.
    store(engine, "i/a", pa.table({"id": pa.array([1], pa.int32())}))
    narrow = f"COPY INTO t FROM '{V}/i' FILEFORMAT = PARQUET"
    table.fails(narrow, *mismatch, "id: BIGINT in the table, INT in files")
    table.fails(f"{narrow} COPY_OPTIONS ('mergeSchema' = 'true')", *mismatch)
    assert table.run(FROM) == [(3, 3, 0)]


def test_files_whose_columns_differ(engine: Engine, table: Client) -> None:
    store(engine, "d/c", pa.table({"id": [4]}))
    table.fails(FROM, *REFUSED, "different columns")
    assert table.run(f"{FROM} FORMAT_OPTIONS ('mergeSchema' = 'true')") == [(4, 4, 0)]
    assert (4, None) in table.run("SELECT * FROM t")


def test_what_a_table_fills_in(engine: Engine, volume: Client) -> None:
    store(engine, "d/a", pa.table({"x": ["a", "bb"]}))
    volume.run(
        "CREATE TABLE t (id BIGINT GENERATED ALWAYS AS IDENTITY, x VARCHAR(2) NOT NULL, "
        "n INT GENERATED ALWAYS AS (length(x)), d STRING DEFAULT 'd') "
        "TBLPROPERTIES ('delta.feature.allowColumnDefaults' = 'supported')"
    )
    assert volume.run(FROM) == [(2, 2, 0)]
    assert volume.run("SELECT * FROM t ORDER BY id") == [(1, "a", 1, "d"), (2, "bb", 2, "d")]
    store(engine, "d/b", pa.table({"x": ["ccc"]}))
    volume.fails(FROM, "DELTA_EXCEED_CHAR_VARCHAR_LIMIT", "22001")
    store(engine, "d/b", pa.table({"x": [None]}, pa.schema([("x", pa.string())])))
    volume.fails(FROM, "DELTA_NOT_NULL_CONSTRAINT_VIOLATED", "23502")
    store(engine, "e/a", pa.table({"id": [7], "x": ["a"]}))
    volume.fails(
        f"COPY INTO t FROM '{V}/e' FILEFORMAT = PARQUET",
        "DELTA_IDENTITY_COLUMNS_EXPLICIT_INSERT_NOT_SUPPORTED",
        "42808",
    )
    volume.run("CREATE TABLE strict (x STRING, must STRING NOT NULL)")
    volume.fails(FROM.replace(" t ", " strict "), "DELTA_INSERT_COLUMN_MISMATCH", "42802")


def test_validate_writes_nothing(engine: Engine, table: Client) -> None:
    validate = f"{FROM} VALIDATE 2 ROWS"
    assert table.names(validate) == ["id", "x"]
    assert table.run(validate) == [(1, "a"), (2, "b")]
    assert table.run("SELECT * FROM t") == []
    table.run("ALTER TABLE t ADD CONSTRAINT small CHECK (id < 2)")
    table.fails(validate, "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES", "23001")
    assert table.run(f"{FROM} VALIDATE 1 ROWS FILES = ('a')") == [(1, "a")]
    table.run("ALTER TABLE t DROP CONSTRAINT small")
    table.fails(f"{FROM} VALIDATE 0 ROWS", "COPY_INTO_SYNTAX_ERROR.VALIDATE_INVALID_ROWS", "42601")
    for rows in ("", "ALL", "50 ROWS"):
        table.fails(f"{FROM} VALIDATE {rows}", *REFUSED)
    table.run(FROM)
    assert table.run(validate) == NOTHING


@pytest.mark.parametrize(
    ("statement", "error_class", "sqlstate"),
    [
        (FROM.replace(" t ", " gone "), "DELTA_MISSING_DELTA_TABLE_COPY_INTO", "42P01"),
        (FROM.replace(" t ", " w "), "EXPECT_TABLE_NOT_VIEW.NO_ALTERNATIVE", "42809"),
        (FROM.replace("/v/", "/gone/"), "UC_VOLUME_NOT_FOUND", "42704"),
        (FROM.replace("/d'", "/gone'"), "PATH_NOT_FOUND", "42K03"),
        (FROM.replace("PARQUET", "DELTA"), "COPY_INTO_SOURCE_FILE_FORMAT_NOT_SUPPORTED", "0A000"),
        (FROM.replace("PARQUET", "AVRO"), *REFUSED),
        (FROM.replace(" t ", " t BY POSITION "), *REFUSED),
        (FROM.replace(" t ", " t (id) "), *REFUSED),
        (FROM.replace(f"'{V}/d'", f"(SELECT count(*) AS id FROM '{V}/d')"), *REFUSED),
        (FROM.replace(f"'{V}/d'", f"(SELECT DISTINCT id FROM '{V}/d')"), *REFUSED),
        (FROM.replace(f"'{V}/d'", f"(SELECT explode(array(id, id)) AS id FROM '{V}/d')"), *REFUSED),
        (
            FROM.replace(f"'{V}/d'", f"(SELECT (SELECT max(id) FROM t) AS id FROM '{V}/d')"),
            *REFUSED,
        ),
        (FROM.replace(f"'{V}/d'", f"(SELECT _metadata.file_name AS x FROM '{V}/d')"), *REFUSED),
        (
            FROM.replace(f"'{V}/d'", f"(SELECT * FROM '{V}/d' WHERE id = 1)"),
            "PARSE_SYNTAX_ERROR",
            "42601",
        ),
        (
            FROM.replace(f"'{V}/d'", f"(SELECT id, x AS ID FROM '{V}/d')"),
            "COLUMN_ALREADY_EXISTS",
            "42711",
        ),
        (
            FROM.replace(f"'{V}/d'", f"(SELECT nope FROM '{V}/d')"),
            "UNRESOLVED_COLUMN.WITH_SUGGESTION",
            "42703",
        ),
        (FROM.replace("/d'", "/d' WITH (CREDENTIAL c)"), *REFUSED),
        (f"{FROM} COPY_OPTIONS ('force' = 'perhaps')", *REFUSED),
        (f"{FROM} COPY_OPTIONS ('purge' = 'true')", *REFUSED),
        (f"{FROM} FORMAT_OPTIONS ('ignoreCorruptFiles' = 'true')", *REFUSED),
        (f"{FROM} FORMAT_OPTIONS ('a' = '1', 'A' = '2')", "DUPLICATE_KEY", "23505"),
        (f"{FROM} PATTERN = '{{a,b}}'", *REFUSED),
        (f"{FROM} COPY_OPTIONS ('force' = 'true') FILES = ('a')", "PARSE_SYNTAX_ERROR", "42601"),
        ("COPY t TO 'x.csv'", "PARSE_SYNTAX_ERROR", "42601"),
        ("COPY INTO t FROM", "PARSE_SYNTAX_ERROR", "42601"),
    ],
)
def test_refusals(table: Client, statement: str, error_class: str, sqlstate: str) -> None:
    table.run("CREATE VIEW w AS SELECT 1 AS id")
    table.fails(statement, error_class, sqlstate)
    assert table.run("SELECT * FROM t") == []


CSV = f"FROM '{V}/c.csv' FILEFORMAT = CSV"


def test_from_a_query(engine: Engine, table: Client) -> None:
    copy = f"COPY INTO t FROM (SELECT id * 10 AS id, upper(x) AS x, id > 2 AS big FROM '{V}/d')"
    copy += " FILEFORMAT = PARQUET"
    table.fails(copy, "COPY_INTO_SCHEMA_MISMATCH_WITH_TARGET_TABLE", "42KDG", "+ big: BOOLEAN")
    grown = f"{copy} COPY_OPTIONS ('mergeSchema' = 'true')"
    preview = grown.replace("COPY_OPTIONS", "VALIDATE 2 ROWS COPY_OPTIONS")
    assert table.run(preview) == [(10, "A", False), (20, "B", False)]
    assert table.run(grown) == [(3, 3, 0)]
    assert table.run("SELECT * FROM t ORDER BY id") == [
        (10, "A", False), (20, "B", False), (30, "C", True)
    ]  # fmt: skip
    assert table.run(grown) == NOTHING
    assert table.run(FROM) == NOTHING
    store(engine, "c.csv", b"7,seven\n8,eight\n")
    named = "SELECT _c0::bigint AS id, _c1 AS x"
    assert table.run(f"COPY INTO t FROM ({named} FROM '{V}/c.csv') FILEFORMAT = CSV") == [(2, 2, 0)]
    assert table.run("SELECT id, x FROM t WHERE id < 9 ORDER BY id") == [(7, "seven"), (8, "eight")]


def test_each_file_once_in_every_format(engine: Engine, table: Client) -> None:
    store(engine, "c.csv", b"id,x\n4,d\n")
    store(engine, "c.json", b'{"id": 5, "x": "e"}\n')
    header = f"COPY INTO t {CSV} FORMAT_OPTIONS ('header' = 'true')"
    # All of CSV is STRING unless types are inferred, and an INT is no BIGINT.
    mismatch = ("COPY_INTO_SCHEMA_MISMATCH_WITH_TARGET_TABLE", "42KDG")
    table.fails(header, *mismatch, "STRING in files")
    table.fails(header.replace("')", "', 'inferSchema' = 'true')"), *mismatch, "INT in files")
    named = header.replace(f"'{V}/c.csv'", f"(SELECT id::bigint AS id, x FROM '{V}/c.csv')")
    as_json = f"COPY INTO t FROM '{V}/c.json' FILEFORMAT = JSON"
    for copy, count in ((named, 1), (as_json, 1), (named, 0), (as_json, 0)):
        assert table.run(copy) == [(count, count, 0)]
    assert table.run(f"{as_json} COPY_OPTIONS ('force' = 'true')") == [(1, 1, 0)]
    assert table.column("SELECT id FROM t") == [4, 5, 5]
    assert table.run(
        f"INSERT INTO t SELECT id, x FROM read_files('{V}/c.json', format => 'json')"
    ) == [(1, 1)]


def test_by_position(engine: Engine, volume: Client) -> None:
    volume.run(
        "CREATE TABLE t (k BIGINT GENERATED ALWAYS AS IDENTITY, d DATE, n DECIMAL(5,2), "
        "x VARCHAR(3), twice DECIMAL(6,2) GENERATED ALWAYS AS (CAST(n * 2 AS DECIMAL(6,2))))"
    )
    store(engine, "c.csv", b"2024-02-29,1.5,abc\n,,\n")
    copy = f"COPY INTO t BY POSITION {CSV}"
    assert volume.run(copy) == [(2, 2, 0)]
    assert volume.run("SELECT d, n, x, twice FROM t ORDER BY k") == [
        (dt.date(2024, 2, 29), Decimal("1.50"), "abc", Decimal("3.00")), (None,) * 4,
    ]  # fmt: skip
    assert volume.run(copy) == NOTHING
    store(engine, "c.csv", b"1.5,xy\n")
    listed = f"COPY INTO t (n, X) {CSV} COPY_OPTIONS ('force' = 'true')"
    assert volume.run(listed) == [(1, 1, 0)]
    assert volume.run("SELECT d, n, x FROM t ORDER BY k DESC LIMIT 1") == [
        (None, Decimal("1.50"), "xy")
    ]
    force = "COPY_OPTIONS ('force' = 'true')"
    for wrong in ("(n)", "(n, x, d)", "(n, twice)", "(k, n)", "(n, d)", "BY POSITION"):
        volume.fails(f"COPY INTO t {wrong} {CSV} {force}", *REFUSED)
    volume.fails(f"COPY INTO t (n, N) {CSV} {force}", "COLUMN_ALREADY_EXISTS", "42711")
    for option in ("'header' = 'true'", "'inferSchema' = 'true'"):
        volume.fails(f"COPY INTO t (n, x) {CSV} FORMAT_OPTIONS ({option}) {force}", *REFUSED)
    store(engine, "c.csv", b"1.5,long\n")
    volume.fails(listed, "DELTA_EXCEED_CHAR_VARCHAR_LIMIT", "22001")
    store(engine, "c.csv", b"x,y\n")
    volume.fails(listed, *REFUSED, "does not fit")


def test_malformed_records(engine: Engine, volume: Client) -> None:
    volume.run("CREATE TABLE t (a STRING, b STRING)")
    store(engine, "c.csv", b"a,b\n1,2\n3\n4,5,6\n")
    for mode, rows in (
        ("DROPMALFORMED", [("1", "2")]),
        ("PERMISSIVE", [("1", "2"), ("3", None), ("4", "5")]),
    ):
        volume.run("TRUNCATE TABLE t")
        options = f"FORMAT_OPTIONS ('header' = 'true', 'mode' = '{mode}')"
        copy = f"COPY INTO t {CSV} {options} COPY_OPTIONS ('force' = 'true')"
        assert volume.run(copy) == [(len(rows), len(rows), 0)]
        assert volume.run("SELECT * FROM t ORDER BY a") == rows


def test_not_in_a_transaction(engine: Engine, volume: Client) -> None:
    volume.script(f"CREATE TABLE t (id BIGINT) {MANAGED}", "BEGIN TRANSACTION")
    volume.fails(FROM, "TRANSACTION_NOT_SUPPORTED.COMMAND", "0A000")
    volume.run("ROLLBACK")
    volume.fails(f"BEGIN ATOMIC {FROM}; END", "TRANSACTION_NOT_SUPPORTED.COMMAND", "0A000")


def test_two_at_once(
    engine: Engine, table: Client, other: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both find the files new; the second to commit has to say so."""
    stage, waiting = copy_into._stage, threading.Barrier(2, timeout=PATIENCE_S)

    def stage_together(*arguments: object) -> object:
        staged = stage(*arguments)  # type: ignore[arg-type]
        waiting.wait()
        return staged

    monkeypatch.setattr(copy_into, "_stage", stage_together)
    outcomes: list[object] = []

    def copy(client: Client) -> None:
        try:
            outcomes.append(client.run(FROM))
        except SqlError as error:
            outcomes.append(error.error_class)

    threads = [threading.Thread(target=copy, args=(client,)) for client in (table, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert sorted(outcomes, key=str) == [
        "COPY_INTO_DUPLICATED_FILES_COPY_NOT_ALLOWED", [(3, 3, 0)]
    ]  # fmt: skip
    assert table.column("SELECT id FROM t") == [1, 2, 3]


def test_a_change_of_the_table_meanwhile(
    engine: Engine, table: Client, other: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = copy_into._stage

    def stage_late(*arguments: object) -> object:
        staged = stage(*arguments)  # type: ignore[arg-type]
        other.run("ALTER TABLE t ADD COLUMN z INT")
        return staged

    monkeypatch.setattr(copy_into, "_stage", stage_late)
    table.fails(FROM, "DELTA_METADATA_CHANGED", "2D521")
    monkeypatch.setattr(copy_into, "_stage", stage)
    assert table.run(FROM) == [(3, 3, 0)]


def test_what_was_loaded_is_remembered_after_a_restart(tmp_path: Path) -> None:
    data = tmp_path / "tables.duckdb"
    for expected in ([(1, 1, 0)], NOTHING):
        engine = Engine(data)
        client = Client(engine)
        client.script("CREATE VOLUME IF NOT EXISTS v", "CREATE TABLE IF NOT EXISTS t (id BIGINT)")
        store(engine, "d/a", pa.table({"id": [1]}))
        assert client.run(FROM) == expected
        engine.close()
