"""Several sessions at once: conflicts outside of transactions, random transactions in threads."""

# ruff: noqa: F401, F811 - pytest finds fixtures by the name they are imported under

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable

import pytest

from tests.warehouse.engine.client import MANAGED, Client, db, engine, other
from vinci_code.warehouse.engine import create_table, transactions
from vinci_code.warehouse.engine.engine import Engine
from vinci_code.warehouse.engine.model import TableSchema
from vinci_code.warehouse.sql.errors import SqlError


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Run something once, between the work of the next statement and its commit."""

    def arrange(action: Callable[[], None]) -> None:
        original = transactions.Transaction.commit

        def commit(self: transactions.Transaction) -> None:
            monkeypatch.setattr(transactions.Transaction, "commit", original)
            action()
            original(self)

        monkeypatch.setattr(transactions.Transaction, "commit", commit)

    return arrange


Between = Callable[[Callable[[], None]], None]


@pytest.mark.parametrize(
    ("mine", "theirs", "error_class"),
    [
        ("UPDATE t SET n = 1 WHERE k = 1", "UPDATE t SET n = 2 WHERE k = 1",
         "DELTA_CONCURRENT_APPEND.ROW_LEVEL_CHANGES"),
        ("UPDATE t SET n = 1 WHERE k = 1", "DELETE FROM t WHERE k = 1",
         "DELTA_CONCURRENT_DELETE_READ.ROW_LEVEL_CHANGES"),
        ("DELETE FROM t WHERE k < 3", "UPDATE t SET n = 2 WHERE k = 2",
         "DELTA_CONCURRENT_APPEND.ROW_LEVEL_CHANGES"),
        ("INSERT INTO t SELECT k + 10, n, p FROM t", "DELETE FROM t WHERE k = 1",
         "DELTA_CONCURRENT_DELETE_READ.WHOLE_TABLE_READ"),
        ("INSERT INTO t VALUES (9, 9, 9)", "ALTER TABLE t ADD COLUMN c INT",
         "DELTA_METADATA_CHANGED"),
        ("INSERT OVERWRITE t VALUES (9, 9, 9)", "UPDATE t SET n = 2 WHERE k = 2",
         "DELTA_CONCURRENT_APPEND.ROW_LEVEL_CHANGES"),
        ("INSERT INTO t VALUES (9, 9, 9)", "DROP TABLE t", "TABLE_OR_VIEW_NOT_FOUND"),
    ],
)  # fmt: skip
def test_conflicting_statements(
    db: Client,
    other: Client,
    between: Between,
    mine: str,
    theirs: str,
    error_class: str,
) -> None:
    db.script("CREATE TABLE t (k INT, n INT, p INT)", "INSERT INTO t VALUES (1, 0, 0), (2, 0, 0)")
    between(lambda: other.script(theirs))
    with pytest.raises(SqlError) as caught:
        db.run(mine)
    assert caught.value.error_class == error_class
    # Nothing is left open: the statement can be tried again, as the message says.
    if "DROP" not in theirs and "ALTER" not in theirs:
        db.run(mine)


@pytest.mark.parametrize(
    ("mine", "theirs", "after"),
    [
        (
            "UPDATE t SET n = 1 WHERE k = 1",
            "UPDATE t SET n = 2 WHERE k = 2",
            [(1, 1, 0), (2, 2, 0)],
        ),
        (
            "UPDATE t SET n = 1 WHERE k = 1",
            "INSERT INTO t VALUES (1, 7, 0)",
            [(1, 1, 0), (1, 7, 0), (2, 0, 0)],
        ),
        ("DELETE FROM t WHERE k = 1", "DELETE FROM t WHERE k = 2", []),
        (
            "INSERT INTO t VALUES (9, 9, 9)",
            "INSERT INTO t VALUES (8, 8, 8)",
            [(1, 0, 0), (2, 0, 0), (8, 8, 8), (9, 9, 9)],
        ),
        ("INSERT INTO t VALUES (9, 9, 9)", "DELETE FROM t", [(9, 9, 9)]),
        ("DELETE FROM t", "INSERT INTO t VALUES (8, 8, 8)", [(8, 8, 8)]),
        ("TRUNCATE TABLE t", "INSERT INTO t VALUES (8, 8, 8)", [(8, 8, 8)]),
    ],
)
def test_statements_that_pass_each_other(
    db: Client,
    other: Client,
    between: Between,
    mine: str,
    theirs: str,
    after: list[tuple[int, ...]],
) -> None:
    db.script("CREATE TABLE t (k INT, n INT, p INT)", "INSERT INTO t VALUES (1, 0, 0), (2, 0, 0)")
    between(lambda: other.script(theirs))
    db.run(mine)
    assert db.run("SELECT * FROM t ORDER BY k, n") == after


def test_no_row_level_concurrency_without_deletion_vectors(
    db: Client,
    other: Client,
    between: Between,
) -> None:
    db.script(
        "CREATE TABLE t (k INT, n INT) TBLPROPERTIES ('delta.enableDeletionVectors' = 'false')",
        "INSERT INTO t VALUES (1, 0), (2, 0)",
    )
    between(lambda: other.script("UPDATE t SET n = 2 WHERE k = 2"))
    db.fails("UPDATE t SET n = 1 WHERE k = 1", "DELTA_CONCURRENT_APPEND.WITHOUT_HINT", "2D521")


@pytest.mark.parametrize(("partition", "conflict"), [(1, True), (2, False)])
def test_partitions_decide_where_rows_cannot(
    db: Client,
    other: Client,
    between: Between,
    partition: int,
    conflict: bool,
) -> None:
    db.script(
        "CREATE TABLE t (k INT, p INT) PARTITIONED BY (p)",
        "INSERT INTO t VALUES (1, 1), (2, 1), (3, 2)",
    )
    key = {1: 2, 2: 3}[partition]
    between(lambda: other.script(f"DELETE FROM t WHERE k = {key}"))
    if conflict:
        db.fails("DELETE FROM t WHERE k = 1", "DELTA_CONCURRENT_DELETE_READ.WITHOUT_HINT", "2D521")
    else:
        db.run("DELETE FROM t WHERE k = 1")


def test_two_merges_that_both_insert_conflict(
    db: Client,
    other: Client,
    between: Between,
) -> None:
    merge = (
        "MERGE INTO t USING (SELECT * FROM VALUES (1) AS v(k)) AS s ON t.k = s.k "
        "WHEN NOT MATCHED THEN INSERT (k) VALUES (s.k)"
    )
    db.run("CREATE TABLE t (k INT)")
    between(lambda: other.script(merge))
    db.fails(merge, "DELTA_CONCURRENT_APPEND.WHOLE_TABLE_READ", "2D521")
    assert db.run("SELECT k FROM t") == [(1,)]


def test_readers_see_whole_commits_of_several_tables(engine: Engine, db: Client) -> None:
    db.script(f"CREATE TABLE a (n INT) {MANAGED}", f"CREATE TABLE b (n INT) {MANAGED}")
    db.script("INSERT INTO a VALUES (0)", "INSERT INTO b VALUES (0)")
    wrong: list[object] = []
    stop = threading.Event()

    def read() -> None:
        reader = Client(engine)
        while not stop.is_set():
            row = reader.run("SELECT a.n, b.n FROM a, b")
            if len(row) != 1 or row[0][0] != row[0][1]:
                wrong.append(row)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(25):
        db.run("BEGIN ATOMIC UPDATE a SET n = n + 1; UPDATE b SET n = n + 1; END")
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_random_transactions_agree_with_a_model(engine: Engine, db: Client, seed: int) -> None:
    """Threads move amounts between accounts and add rows; what committed is what a model expects.

    A transfer reads both rows and writes both, so lost updates would change the total. Each thread
    notes what it committed; the sum of the notes is the state that must be found.
    """
    accounts = 6
    db.script(
        f"CREATE TABLE account (id INT, amount INT) {MANAGED}",
        f"CREATE TABLE journal (worker INT, n INT) {MANAGED}",
        "INSERT INTO account VALUES " + ", ".join(f"({i}, 100)" for i in range(accounts)),
    )
    committed: Counter[int] = Counter(dict.fromkeys(range(accounts), 100))
    entries: set[tuple[int, int]] = set()
    lock = threading.Lock()
    problems: list[BaseException] = []

    def work(worker: int) -> None:
        chance = random.Random(seed * 100 + worker)
        client = Client(engine)
        try:
            for number in range(12):
                source, target = chance.sample(range(accounts), 2)
                amount = chance.randrange(1, 20)
                end = chance.choice(["COMMIT", "COMMIT", "COMMIT", "ROLLBACK", "alone"])
                try:
                    done = transfer(client, (worker, number), (source, target, amount), end)
                except SqlError as error:
                    if error.sqlstate != "2D521":
                        raise
                    client.run("ROLLBACK")
                    continue
                if done:
                    with lock:
                        committed[source] -= amount
                        committed[target] += amount
                        if end != "alone":
                            entries.add((worker, number))
        except BaseException as error:  # noqa: BLE001 - reported by the main thread
            problems.append(error)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert dict(db.run("SELECT id, amount FROM account")) == dict(committed)
    assert set(db.run("SELECT worker, n FROM journal")) == entries
    assert db.run("SELECT sum(amount) FROM account") == [(100 * accounts,)]
    assert entries, "no transaction came through"


def transfer(client: Client, entry: tuple[int, int], move: tuple[int, int, int], end: str) -> bool:
    source, target, amount = move
    if end == "alone":
        client.run(
            f"UPDATE account SET amount = CASE WHEN id = {source} THEN amount - {amount} "
            f"ELSE amount + {amount} END WHERE id IN ({source}, {target})"
        )
        return True
    client.run("BEGIN TRANSACTION")
    before = dict(client.run("SELECT id, amount FROM account"))
    client.run(f"UPDATE account SET amount = {before[source] - amount} WHERE id = {source}")
    client.run(f"INSERT INTO journal VALUES {entry}")
    client.run(f"UPDATE account SET amount = amount + {amount} WHERE id = {target}")
    after = dict(client.run("SELECT id, amount FROM account"))
    assert after == {**before, source: before[source] - amount, target: before[target] + amount}
    client.run(end)
    return end == "COMMIT"


@pytest.mark.parametrize(
    ("statement", "meanwhile", "columns"),
    [
        (
            "CREATE OR REPLACE TABLE t AS SELECT 1 AS a, 2 AS b",
            "CREATE TABLE t (z INT)",
            ["a", "b"],
        ),
        (
            "CREATE OR REPLACE TABLE t AS SELECT 1 AS a, 2 AS b",
            "CREATE OR REPLACE TABLE t (y INT, z INT)",
            ["a", "b"],
        ),
        ("CREATE TABLE IF NOT EXISTS t AS SELECT 1 AS a", "CREATE TABLE t (z INT)", ["z"]),
    ],
)
def test_tables_made_in_the_meantime(
    db: Client,
    other: Client,
    monkeypatch: pytest.MonkeyPatch,
    statement: str,
    meanwhile: str,
    columns: list[str],
) -> None:
    if "REPLACE" in meanwhile:
        db.run("CREATE TABLE t (x INT)")
    original = create_table._Creation.stage

    def stage(self: create_table._Creation, schema: TableSchema) -> tuple[str, int] | None:
        monkeypatch.setattr(create_table._Creation, "stage", original)
        other.run(meanwhile)
        return original(self, schema)

    monkeypatch.setattr(create_table._Creation, "stage", stage)
    db.run(statement)
    assert db.names("SELECT * FROM t") == columns
