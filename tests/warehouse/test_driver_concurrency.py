"""Many clients of the unmodified driver at once: nothing is lost, nothing is done twice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from databricks import sql
from databricks.sql import exc

from tests.full import full
from tests.patience import PATIENCE_S
from tests.warehouse.driver import Connection
from vinci_code.warehouse.pytest_plugin import TestWarehouse

CATALOG_COMMITS = "TBLPROPERTIES ('delta.feature.catalogManaged' = 'supported')"
CONFLICT = "SQLSTATE: 2D521"


def run(connection: Connection, statement: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return [tuple(row) for row in cursor.fetchall()]


def at_once(warehouse: TestWarehouse, clients: int, work: Callable[[Connection, int], int]) -> int:
    """Run ``work`` in that many clients that start together; the sum of what they return."""
    together = threading.Barrier(clients)

    def client(number: int) -> int:
        with sql.connect(**warehouse.connect_args) as connection:
            together.wait(timeout=PATIENCE_S)
            return work(connection, number)

    with ThreadPoolExecutor(clients) as executor:
        return sum(executor.map(client, range(clients)))


def succeeds(connection: Connection, *statements: str) -> bool:
    """Whether the statements went through; a conflict is the one error that may stop them."""
    try:
        for statement in statements:
            run(connection, statement)
    except exc.ServerOperationError as error:
        if CONFLICT not in str(error):
            raise
        return False
    return True


def test_sixteen_clients_read(local_warehouse: TestWarehouse) -> None:
    def read(connection: Connection, number: int) -> int:
        rows = run(connection, f"SELECT sum(id) FROM range({number + 1})")
        return int(rows == [(number * (number + 1) // 2,)])

    assert at_once(local_warehouse, 16, read) == 16


@pytest.mark.slow
def test_two_hundred_sessions_stay_open(local_warehouse: TestWarehouse) -> None:
    with ExitStack() as stack:
        opened = [
            stack.enter_context(sql.connect(**local_warehouse.connect_args)) for _ in range(200)
        ]
        assert {run(connection, "SELECT 1")[0] for connection in opened} == {(1,)}
    with sql.connect(**local_warehouse.connect_args) as connection:
        assert run(connection, "SELECT 1") == [(1,)]


def test_concurrent_appends_all_arrive(local_warehouse: TestWarehouse) -> None:
    with sql.connect(**local_warehouse.connect_args) as connection:
        run(connection, "CREATE TABLE t (client INT, n INT)")

        def append(client: Connection, number: int) -> int:
            for n in range(5):
                run(client, f"INSERT INTO t VALUES ({number}, {n})")
            return 5

        assert at_once(local_warehouse, 8, append) == 40
        assert run(connection, "SELECT count(*), count(DISTINCT client, n) FROM t") == [(40, 40)]


def test_no_update_is_lost(local_warehouse: TestWarehouse) -> None:
    with sql.connect(**local_warehouse.connect_args) as connection:
        run(connection, "CREATE TABLE t (id INT, v INT)")
        run(connection, "INSERT INTO t VALUES (1, 0)")

        def increment(client: Connection, number: int) -> int:
            return sum(succeeds(client, "UPDATE t SET v = v + 1 WHERE id = 1") for _ in range(6))

        done = at_once(local_warehouse, 8, increment)
        assert done >= 1
        assert run(connection, "SELECT v FROM t") == [(done,)]


def test_no_merge_is_lost_or_doubled(local_warehouse: TestWarehouse) -> None:
    upsert = (
        "MERGE INTO t USING (SELECT 1 AS id) s ON t.id = s.id "
        "WHEN MATCHED THEN UPDATE SET v = v + 1 WHEN NOT MATCHED THEN INSERT (id, v) VALUES (1, 1)"
    )
    with sql.connect(**local_warehouse.connect_args) as connection:
        run(connection, "CREATE TABLE t (id INT, v INT)")

        def merge(client: Connection, number: int) -> int:
            return sum(succeeds(client, upsert) for _ in range(4))

        done = at_once(local_warehouse, 6, merge)
        assert done >= 1
        assert run(connection, "SELECT id, v FROM t") == [(1, done)]


def test_transfers_keep_the_sum(local_warehouse: TestWarehouse) -> None:
    with sql.connect(**local_warehouse.connect_args) as connection:
        run(connection, f"CREATE TABLE a (v INT) {CATALOG_COMMITS}")
        run(connection, f"CREATE TABLE b (v INT) {CATALOG_COMMITS}")
        run(connection, "INSERT INTO a VALUES (100)")
        run(connection, "INSERT INTO b VALUES (0)")

        def transfer(client: Connection, number: int) -> int:
            done = 0
            for _ in range(4):
                run(client, "BEGIN TRANSACTION")
                if succeeds(client, "UPDATE a SET v = v - 1", "UPDATE b SET v = v + 1", "COMMIT"):
                    done += 1
                else:
                    run(client, "ROLLBACK")
            return done

        done = at_once(local_warehouse, 6, transfer)
        assert done >= 1
        assert run(connection, "SELECT a.v, b.v FROM a, b") == [(100 - done, done)]


def test_a_reader_sees_whole_commits(local_warehouse: TestWarehouse) -> None:
    with sql.connect(**local_warehouse.connect_args) as connection:
        run(connection, f"CREATE TABLE a (v INT) {CATALOG_COMMITS}")
        run(connection, "INSERT INTO a VALUES (0)")
        stop = threading.Event()

        def work(client: Connection, number: int) -> int:
            if number == 0:
                for n in range(1, 15):
                    run(client, f"BEGIN ATOMIC DELETE FROM a; INSERT INTO a VALUES ({n}); END")
                stop.set()
                return 0
            broken = 0
            while not stop.is_set():
                broken += run(client, "SELECT count(*) FROM a") != [(1,)]
            return broken

        assert at_once(local_warehouse, 3, work) == 0


@full
@pytest.mark.slow
def test_many_clients_for_a_while(local_warehouse: TestWarehouse) -> None:
    with sql.connect(**local_warehouse.connect_args) as connection:
        run(connection, "CREATE TABLE t (id INT, v INT)")
        run(connection, "INSERT INTO t SELECT id, 0 FROM range(16)")

        def work(client: Connection, number: int) -> int:
            done = 0
            for n in range(20):
                done += succeeds(client, f"UPDATE t SET v = v + 1 WHERE id = {number}")
                run(client, f"SELECT v FROM t WHERE id = {(number + n) % 16}")
            return done

        done = at_once(local_warehouse, 16, work)
        assert run(connection, "SELECT sum(v), count(*) FROM t") == [(done, 16)]
