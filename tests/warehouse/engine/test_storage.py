"""What lasts: restarts, kill -9, time travel, history."""

# ruff: noqa: F401, F811 - pytest finds fixtures by the name they are imported under

from __future__ import annotations

import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from tests.full import part
from tests.warehouse.engine.client import MANAGED, Client, db, engine
from vinci_code.warehouse.engine.engine import Engine


def test_everything_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "data.duckdb"
    first = Engine(path)
    client = Client(first)
    client.script(
        "CREATE CATALOG c1 COMMENT 'the catalog'",
        "CREATE SCHEMA c1.s1 COMMENT 'the schema' WITH DBPROPERTIES ('a' = 'b')",
        "CREATE TABLE c1.s1.t (id BIGINT GENERATED ALWAYS AS IDENTITY, v STRING DEFAULT 'd' "
        "COMMENT 'the column', PRIMARY KEY (id)) COMMENT 'the table' "
        "TBLPROPERTIES ('delta.feature.allowColumnDefaults' = 'supported', 'x' = 'y')",
        "INSERT INTO c1.s1.t (v) VALUES ('a'), (DEFAULT)",
        "ALTER TABLE c1.s1.t ADD CONSTRAINT ok CHECK (id > 0)",
        "UPDATE c1.s1.t SET v = 'b' WHERE id = 1",
        "CREATE VIEW c1.s1.w AS SELECT v FROM c1.s1.t",
        "CREATE TABLE dropped (a INT)",
        "DROP TABLE dropped",
    )
    questions = (
        "SELECT * FROM c1.s1.t ORDER BY id",
        "SELECT * FROM c1.s1.t VERSION AS OF 1 ORDER BY id",
        "SELECT * FROM c1.s1.w ORDER BY v",
        "SHOW CREATE TABLE c1.s1.t",
        "DESCRIBE HISTORY c1.s1.t",
        "DESCRIBE TABLE EXTENDED c1.s1.t",
        "DESCRIBE SCHEMA EXTENDED c1.s1",
        "DESCRIBE CATALOG c1",
        "SHOW TABLES IN main.default",
        "SELECT * FROM system.information_schema.columns ORDER BY table_name, ordinal_position",
    )
    before = [client.run(question) for question in questions]
    first.close()

    second = Engine(path)
    client = Client(second)
    assert [client.run(question) for question in questions] == before
    client.run("INSERT INTO c1.s1.t (v) VALUES ('c')")
    assert client.column("SELECT id FROM c1.s1.t") == [1, 2, 3]
    second.close()


WRITER = """
import sys
from vinci_code.warehouse.engine.engine import Engine
engine = Engine(sys.argv[1])
session = engine.open_session()
properties = "TBLPROPERTIES ('delta.feature.catalogManaged' = 'supported')"
for name in ("a", "b"):
    session.execute(f"CREATE TABLE {name} (n INT, filler STRING) {properties}")
print("ready", flush=True)
number = 0
while True:
    number += 1
    session.execute("BEGIN TRANSACTION")
    for name in ("a", "b"):
        session.execute(
            f"INSERT INTO {name} SELECT {number}, '{'x' * 2000}' FROM (VALUES (1), (2), (3))"
        )
        session.execute(f"DELETE FROM {name} WHERE n = {number - 3}")
    session.execute("COMMIT")
    print(number, flush=True)
"""


@part(3)
@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(3))
def test_kill_9_leaves_whole_commits_only(tmp_path: Path, attempt: int) -> None:
    path = tmp_path / "data.duckdb"
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline().strip() == "ready"
        process.stdout.readline()
        time.sleep(0.3 + 0.17 * attempt)
        process.send_signal(signal.SIGKILL)
        printed = process.stdout.read().split("\n")
    process.wait()
    acknowledged = max((int(line) for line in printed if line.strip().isdigit()), default=1)

    engine = Engine(path)
    client = Client(engine)
    found = {}
    for name in ("a", "b"):
        found[name] = dict(client.run(f"SELECT n, count(*) FROM {name} GROUP BY n"))
        history = client.run(f"DESCRIBE HISTORY {name}")
        assert [row[0] for row in history] == list(range(len(history) - 1, -1, -1))
        last = max(found[name])
        assert len(history) == last + 1
        assert found[name] == dict.fromkeys(range(max(1, last - 2), last + 1), 3)
    assert found["a"] == found["b"]
    # What was acknowledged is there; at most the commit under way came on top.
    assert max(found["a"]) in (acknowledged, acknowledged + 1)
    client.run("INSERT INTO a VALUES (0, 'after')")
    engine.close()


@pytest.fixture
def versions(db: Client) -> Client:
    db.script(
        "CREATE TABLE t (a INT) TBLPROPERTIES ('delta.columnMapping.mode' = 'name')",
        "INSERT INTO t VALUES (1)",
        "INSERT INTO t VALUES (2)",
        "UPDATE t SET a = a * 10",
        "ALTER TABLE t ADD COLUMN b STRING",
        "INSERT INTO t VALUES (30, 'x')",
        "ALTER TABLE t RENAME COLUMN a TO aa",
        "ALTER TABLE t DROP COLUMN b",
        "DELETE FROM t WHERE aa = 10",
    )
    return db


@pytest.mark.parametrize(
    ("version", "columns", "rows"),
    [
        (0, ["a"], []),
        (1, ["a"], [(1,)]),
        (2, ["a"], [(1,), (2,)]),
        (3, ["a"], [(10,), (20,)]),
        (4, ["a", "b"], [(10, None), (20, None)]),
        (5, ["a", "b"], [(10, None), (20, None), (30, "x")]),
        (6, ["aa", "b"], [(10, None), (20, None), (30, "x")]),
        (7, ["aa"], [(10,), (20,), (30,)]),
        (8, ["aa"], [(20,), (30,)]),
    ],
)
def test_every_version_can_be_read(
    versions: Client, version: int, columns: list[str], rows: list[tuple[object, ...]]
) -> None:
    query = f"SELECT * FROM t VERSION AS OF {version} ORDER BY 1"
    assert versions.names(query) == columns
    assert versions.run(query) == rows


def test_time_travel_by_timestamp(versions: Client) -> None:
    history = versions.run("DESCRIBE HISTORY t")
    stamps = {row[0]: row[1] for row in history}
    exact = stamps[3].strftime("%Y-%m-%d %H:%M:%S.%f")
    assert versions.run(f"SELECT * FROM t TIMESTAMP AS OF '{exact}' ORDER BY a") == [(10,), (20,)]
    before = (stamps[3] - timedelta(microseconds=1)).strftime("%Y-%m-%d %H:%M:%S.%f")
    assert versions.run(f"SELECT * FROM t TIMESTAMP AS OF '{before}' ORDER BY a") == [(1,), (2,)]
    assert list(stamps.values()) == sorted(stamps.values(), reverse=True)


@pytest.mark.parametrize(
    ("clause", "error_class", "sqlstate"),
    [
        ("VERSION AS OF 9", "DELTA_VERSION_NOT_FOUND", "22003"),
        (
            "TIMESTAMP AS OF '2001-01-01'",
            "DELTA_TIMESTAMP_EARLIER_THAN_COMMIT_RETENTION",
            "42816",
        ),
        ("TIMESTAMP AS OF '2101-01-01'", "DELTA_TIMESTAMP_GREATER_THAN_COMMIT", "42816"),
    ],
)
def test_versions_that_are_not_there(
    versions: Client, clause: str, error_class: str, sqlstate: str
) -> None:
    versions.fails(f"SELECT * FROM t {clause}", error_class, sqlstate)


def test_history_tells_what_happened(db: Client) -> None:
    db.script(
        f"CREATE TABLE t (a INT) {MANAGED}",
        "INSERT INTO t VALUES (1), (2)",
        "UPDATE t SET a = 3 WHERE a = 1",
        "DELETE FROM t WHERE a = 3",
        "MERGE INTO t USING (SELECT 9 AS a) AS s ON t.a = s.a WHEN NOT MATCHED THEN INSERT *",
        "CREATE OR REPLACE TABLE t (b STRING)",
    )
    rows = db.run("DESCRIBE HISTORY t")
    assert [row[4] for row in reversed(rows)] == [
        "CREATE TABLE",
        "WRITE",
        "UPDATE",
        "DELETE",
        "MERGE",
        "CREATE OR REPLACE TABLE",
    ]
    assert [row[9] for row in rows] == [4, 3, 2, 1, 0, None]
    assert dict(rows[3][5])["predicate"] == '["a = 1"]'
    assert dict(rows[4][12]) == {"numOutputRows": "2"}
    assert len(db.run("DESCRIBE HISTORY t LIMIT 2")) == 2
    assert db.run("SELECT a FROM t VERSION AS OF 4 ORDER BY a") == [(2,), (9,)]


def test_an_engine_may_be_closed_twice_over_and_holds_no_file(tmp_path: Path) -> None:
    path = tmp_path / "data.duckdb"
    for _ in range(2):
        engine = Engine(path)
        session = engine.open_session()
        session.close()
        session.close()
        engine.close()
    assert not (tmp_path / "data.duckdb.wal").exists()
