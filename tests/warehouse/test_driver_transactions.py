"""The transactions of the unmodified driver (``ignore_transactions=False``)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from databricks import sql
from databricks.sql import exc

from tests.warehouse.driver import Connection
from vinci_code.warehouse import LocalWarehouse
from vinci_code.warehouse.pytest_plugin import TestWarehouse

CATALOG_COMMITS = "TBLPROPERTIES ('delta.feature.catalogManaged' = 'supported')"


class Pair:
    """Two connections with transactions, and a table that supports them."""

    def __init__(self, one: Connection, other: Connection) -> None:
        self.one = one
        self.other = other
        run(one, f"CREATE TABLE t (id INT, v INT) {CATALOG_COMMITS}")


@pytest.fixture
def pair(local_warehouse: TestWarehouse) -> Iterator[Pair]:
    with ExitStack() as stack:
        args = local_warehouse.connect_args | {"ignore_transactions": False}
        opened = [stack.enter_context(sql.connect(**args)) for _ in range(2)]
        yield Pair(*opened)


def run(connection: Connection, statement: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return [tuple(row) for row in cursor.fetchall()]


def count(connection: Connection) -> object:
    return run(connection, "SELECT count(*) FROM t")[0][0]


def test_by_default_the_driver_ignores_transactions(local_warehouse: TestWarehouse) -> None:
    with sql.connect(**local_warehouse.connect_args) as connection:
        connection.autocommit = False
        connection.commit()
        with pytest.raises(exc.NotSupportedError):
            connection.rollback()
    assert not any("AUTOCOMMIT" in text for text in local_warehouse.statements)


def test_commit(pair: Pair) -> None:
    pair.one.autocommit = False
    run(pair.one, "INSERT INTO t VALUES (1, 1)")
    assert count(pair.other) == 0
    pair.one.commit()
    assert count(pair.other) == 1


def test_rollback(pair: Pair) -> None:
    pair.one.autocommit = False
    run(pair.one, "INSERT INTO t VALUES (1, 1)")
    assert count(pair.one) == 1
    pair.one.rollback()
    assert count(pair.one) == 0


def test_a_new_transaction_begins_by_itself(pair: Pair) -> None:
    pair.one.autocommit = False
    run(pair.one, "INSERT INTO t VALUES (1, 1)")
    pair.one.commit()
    run(pair.one, "INSERT INTO t VALUES (2, 2)")
    assert count(pair.other) == 1
    pair.one.rollback()
    assert count(pair.one) == 1


def test_autocommit_from_the_server(local_warehouse: TestWarehouse) -> None:
    args = local_warehouse.connect_args
    with sql.connect(
        **args, ignore_transactions=False, fetch_autocommit_from_server=True
    ) as connection:
        assert connection.autocommit is True
        connection.autocommit = False
        assert connection.autocommit is False
        connection.rollback()
        connection.autocommit = True
        assert connection.autocommit is True


def test_commit_in_autocommit_mode_fails(pair: Pair) -> None:
    with pytest.raises(sql.TransactionError, match="NO_ACTIVE_TRANSACTION"):
        pair.one.commit()


def test_rollback_in_autocommit_mode_does_nothing(pair: Pair) -> None:
    pair.one.rollback()
    assert count(pair.one) == 0


def test_a_conflict_shows_at_commit(pair: Pair) -> None:
    run(pair.one, "INSERT INTO t VALUES (1, 0)")
    pair.one.autocommit = False
    pair.other.autocommit = False
    run(pair.one, "UPDATE t SET v = 1 WHERE id = 1")
    run(pair.other, "UPDATE t SET v = 2 WHERE id = 1")
    pair.other.commit()
    with pytest.raises(sql.TransactionError, match="CONCURRENT"):
        pair.one.commit()
    with pytest.raises(exc.ServerOperationError, match="TRANSACTION_ROLLBACK_REQUIRED_AFTER_ABORT"):
        run(pair.one, "SELECT 1")
    pair.one.rollback()
    assert run(pair.one, "SELECT v FROM t") == [(2,)]


def test_a_closed_connection_discards_its_transaction(local_warehouse: TestWarehouse) -> None:
    args = local_warehouse.connect_args | {"ignore_transactions": False}
    with sql.connect(**args) as connection:
        run(connection, f"CREATE TABLE t (id INT) {CATALOG_COMMITS}")
        connection.autocommit = False
        run(connection, "INSERT INTO t VALUES (1)")
    with sql.connect(**args) as connection:
        assert count(connection) == 0


def test_autocommit_cannot_be_switched_on_within_a_transaction(pair: Pair) -> None:
    pair.one.autocommit = False
    run(pair.one, "INSERT INTO t VALUES (1, 1)")
    with pytest.raises(sql.TransactionError, match="AUTOCOMMIT_SET_TRUE_DURING_AUTOCOMMIT"):
        pair.one.autocommit = True


def test_metadata_calls_are_refused_and_the_transaction_goes_on(
    local_warehouse: TestWarehouse, pair: Pair
) -> None:
    pair.one.autocommit = False
    run(pair.one, "INSERT INTO t VALUES (1, 1)")
    with pair.one.cursor() as cursor, pytest.raises(exc.Error, match=r"(?i)multi-statement tran"):
        cursor.tables(local_warehouse.catalog, local_warehouse.schema)
    pair.one.commit()
    assert count(pair.other) == 1


def test_isolation_level(pair: Pair) -> None:
    assert pair.one.get_transaction_isolation() == "REPEATABLE_READ"
    pair.one.set_transaction_isolation("REPEATABLE_READ")


def test_many_appends_from_two_sessions_all_arrive(pair: Pair) -> None:
    for connection in (pair.one, pair.other):
        connection.autocommit = False
    for n in range(10):
        run(pair.one, f"INSERT INTO t VALUES ({n}, 1)")
        run(pair.other, f"INSERT INTO t VALUES ({n}, 2)")
        pair.one.commit()
        pair.other.commit()
    pair.one.rollback()
    assert count(pair.one) == 20


def test_a_warehouse_without_transactions() -> None:
    with (
        LocalWarehouse(transactions=False) as warehouse,
        sql.connect(**warehouse.connect_args) as connection,
        pytest.raises(exc.ServerOperationError, match=r"TRANSACTION_NOT_SUPPORTED.*0A000"),
    ):
        run(connection, "BEGIN TRANSACTION")
