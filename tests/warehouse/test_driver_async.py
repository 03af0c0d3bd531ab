"""Statements that run while the unmodified driver does something else, and their cancelling."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from databricks.sql import exc
from databricks.sql.backend.types import CommandState

from tests.patience import soon, wait_until
from tests.warehouse.driver import Connection, Cursor, sql
from vinci_code.warehouse.pytest_plugin import TestWarehouse

# Minutes of work on any machine, if nobody stops it.
ENDLESS = (
    "SELECT count(*) AS n FROM range(1000000) a CROSS JOIN range(1000000) b "
    "WHERE (a.id * 31 + b.id * 17) % 1000003 = 5"
)


@pytest.fixture
def connection(local_warehouse: TestWarehouse) -> Iterator[Connection]:
    with sql.connect(**local_warehouse.connect_args) as opened:
        yield opened


def test_async_result(connection: Connection) -> None:
    with connection.cursor() as cursor:
        cursor.execute_async("SELECT id FROM range(5) ORDER BY id")
        cursor.get_async_execution_result()
        assert [row.id for row in cursor.fetchall()] == [0, 1, 2, 3, 4]


def test_async_parameters(connection: Connection) -> None:
    with connection.cursor() as cursor:
        cursor.execute_async("SELECT :a AS a", {"a": "x"})
        cursor.get_async_execution_result()
        assert cursor.fetchone().a == "x"


def test_async_error_is_a_failed_state(connection: Connection) -> None:
    with connection.cursor() as cursor:
        cursor.execute_async("SELECT 1 / 0")
        with pytest.raises(exc.Error):
            cursor.get_async_execution_result()


def test_async_returns_before_the_statement_is_done(connection: Connection) -> None:
    with connection.cursor() as cursor:
        with soon():
            cursor.execute_async(ENDLESS)
        assert cursor.is_query_pending()
        cursor.cancel()
        assert _settled(cursor.get_query_state) == CommandState.CANCELLED


def test_cancel_from_another_thread_stops_the_statement(connection: Connection) -> None:
    done = threading.Event()

    def cancel_until_done(cursor: Cursor) -> None:
        # The driver knows what to cancel only after the server's first answer (client.py, cancel).
        while not done.wait(0.3):
            cursor.cancel()

    with connection.cursor() as cursor:
        canceller = threading.Thread(target=cancel_until_done, args=(cursor,))
        canceller.start()
        with soon():
            try:
                # The driver takes a cancelled statement for a finished one and asks for its result.
                with pytest.raises(exc.Error):
                    cursor.execute(ENDLESS)
            finally:
                done.set()
                canceller.join()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 AS one")
        assert cursor.fetchone().one == 1


def test_cancel_leaves_a_table_as_it_was(connection: Connection) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (n BIGINT)")
        cursor.execute_async(f"INSERT INTO t {ENDLESS}")
        wait_until(lambda: cursor.get_query_state() == CommandState.RUNNING)
        cursor.cancel()
        assert _settled(cursor.get_query_state) == CommandState.CANCELLED
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) AS n FROM t")
        assert cursor.fetchone().n == 0


def test_a_long_statement_does_not_hold_up_other_sessions(
    local_warehouse: TestWarehouse, connection: Connection
) -> None:
    with connection.cursor() as busy:
        busy.execute_async(ENDLESS)
        with (
            sql.connect(**local_warehouse.connect_args) as other,
            other.cursor() as cursor,
            soon(),
        ):
            cursor.execute("SELECT 1 AS one")
            assert cursor.fetchone().one == 1
        busy.cancel()


def test_closing_the_session_stops_its_statement(local_warehouse: TestWarehouse) -> None:
    connection = sql.connect(**local_warehouse.connect_args)
    connection.cursor().execute_async(ENDLESS)
    with soon():
        connection.close()


def _settled(state: object) -> CommandState:
    assert callable(state)
    wait_until(lambda: state() not in (CommandState.PENDING, CommandState.RUNNING))
    found: CommandState = state()
    return found
