"""COPY INTO: each file once, all or nothing, with the columns and errors of Databricks."""

# ruff: noqa: F401, F811 - pytest finds fixtures by the name they are imported under

from __future__ import annotations

import threading
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
    nothing = ("COPY_INTO_SOURCE_SCHEMA_INFERENCE_FAILED", "42KD9")
    table.fails(f"{FROM} PATTERN = '*.csv'", *nothing, f"{V}/d")
    table.fails(f"{FROM} PATTERN = 'c[0-9]'", *nothing)
    table.fails(f"{FROM} FILES = ('a') PATTERN = '*'", "PARSE_SYNTAX_ERROR", "42601")
    table.fails(f"{FROM} FILES = ('../x')", *REFUSED)


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
        (FROM.replace(f"'{V}/d'", f"(SELECT * FROM '{V}/d')"), *REFUSED),
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
