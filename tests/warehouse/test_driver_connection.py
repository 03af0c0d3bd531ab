"""The unmodified driver connects, is refused, and executes; limits are those of a warehouse."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from databricks.sql import exc
from urllib3.exceptions import HTTPError

from tests.patience import soon
from tests.warehouse.driver import Connection, Cursor, sql
from vinci_code.warehouse.pytest_plugin import TestWarehouse

# The driver tries again for up to 15 minutes unless it is told otherwise (auth/retry.py).
ONE_ATTEMPT = {"_retry_stop_after_attempts_count": 1, "_retry_stop_after_attempts_duration": 5}


@pytest.fixture
def connection(local_warehouse: TestWarehouse) -> Iterator[Connection]:
    with sql.connect(**local_warehouse.connect_args) as opened:
        yield opened


@pytest.fixture
def cursor(connection: Connection) -> Iterator[Cursor]:
    with connection.cursor() as opened:
        yield opened


def test_a_session_opens_and_closes(local_warehouse: TestWarehouse) -> None:
    connection = sql.connect(**local_warehouse.connect_args)
    assert connection.open
    assert connection.get_session_id_hex()
    connection.close()
    assert not connection.open
    with pytest.raises(exc.Error):
        connection.cursor()


def test_the_initial_namespace_is_taken(local_warehouse: TestWarehouse, cursor: Cursor) -> None:
    cursor.execute("SELECT current_catalog(), current_schema()")
    assert tuple(cursor.fetchone()) == (local_warehouse.catalog, local_warehouse.schema)


def test_without_a_namespace_the_defaults_hold(local_warehouse: TestWarehouse) -> None:
    args = local_warehouse.connect_args
    del args["catalog"], args["schema"]
    with sql.connect(**args) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT current_catalog(), current_schema()")
        assert cursor.fetchone()[1] == "default"


def test_the_session_configuration_holds(local_warehouse: TestWarehouse) -> None:
    configuration = {"TIMEZONE": "Asia/Tokyo"}
    with (
        sql.connect(**local_warehouse.connect_args, session_configuration=configuration) as opened,
        opened.cursor() as cursor,
    ):
        cursor.execute("SELECT hour(TIMESTAMP'2024-01-01 00:00:00Z') AS h")
        assert cursor.fetchone().h == 9


def test_sessions_do_not_share_their_namespace(local_warehouse: TestWarehouse) -> None:
    with (
        sql.connect(**local_warehouse.connect_args) as one,
        sql.connect(**local_warehouse.connect_args) as other,
        one.cursor() as first,
        other.cursor() as second,
    ):
        first.execute("USE SCHEMA default")
        second.execute("SELECT current_schema()")
        assert second.fetchone()[0] == local_warehouse.schema


def test_a_wrong_token_is_refused(local_warehouse: TestWarehouse) -> None:
    args = local_warehouse.connect_args | {"access_token": "dapi" + "0" * 32}
    with soon(), pytest.raises(exc.Error, match=r"(?i)token"):
        sql.connect(**args, **ONE_ATTEMPT)


def test_a_client_without_the_certificate_is_refused(local_warehouse: TestWarehouse) -> None:
    args = local_warehouse.connect_args
    del args["_tls_trusted_ca_file"]
    with pytest.raises((exc.Error, HTTPError)) as caught:
        sql.connect(**args, **ONE_ATTEMPT)
    assert "CERTIFICATE_VERIFY_FAILED" in str(caught.value) + str(caught.value.__context__)


def test_an_error_leaves_the_session_usable(cursor: Cursor) -> None:
    with pytest.raises(exc.ServerOperationError, match="TABLE_OR_VIEW_NOT_FOUND"):
        cursor.execute("SELECT * FROM nope")
    cursor.execute("SELECT 1 AS one")
    assert cursor.fetchall()[0].one == 1


def test_two_cursors_of_one_session_are_read_side_by_side(connection: Connection) -> None:
    with connection.cursor() as first, connection.cursor() as second:
        first.execute("SELECT id FROM range(10) ORDER BY id")
        second.execute("SELECT id * 100 AS id FROM range(10) ORDER BY id")
        pairs = [(first.fetchone().id, second.fetchone().id) for _ in range(10)]
    assert pairs == [(n, n * 100) for n in range(10)]


def test_executemany_inserts_every_row(cursor: Cursor) -> None:
    cursor.execute("CREATE TABLE t (id INT, name STRING)")
    cursor.executemany(
        "INSERT INTO t VALUES (:id, :name)", [{"id": n, "name": f"n{n}"} for n in (1, 2, 3)]
    )
    cursor.execute("SELECT id, name FROM t ORDER BY id")
    assert [tuple(row) for row in cursor.fetchall()] == [(1, "n1"), (2, "n2"), (3, "n3")]


def test_inline_parameters(local_warehouse: TestWarehouse) -> None:
    with (
        sql.connect(**local_warehouse.connect_args, use_inline_params="silent") as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT %(a)s AS a, %(b)s AS b", {"a": 'it\'s \\ "x"', "b": 5})
        assert tuple(cursor.fetchone()) == ('it\'s \\ "x"', 5)


def test_255_parameters_are_accepted_and_more_refused(cursor: Cursor) -> None:
    values = list(range(255))
    cursor.execute(f"SELECT size(array({', '.join('?' * 255)}))", values)
    assert cursor.fetchone()[0] == 255
    with pytest.raises(exc.Error, match="too many parameters: 2000 parameters were given"):
        cursor.execute(f"SELECT array({', '.join('?' * 2000)})", list(range(2000)))
    cursor.execute("SELECT 1")


def test_one_megabyte_of_parameter_values(cursor: Cursor) -> None:
    cursor.execute("SELECT length(:s) AS n", {"s": "x" * 900_000})
    assert cursor.fetchone().n == 900_000
    with pytest.raises(exc.Error):
        cursor.execute("SELECT length(:s) AS n", {"s": "x" * 1_200_000})
    cursor.execute("SELECT 1")


def test_sixteen_mebibytes_of_statement(cursor: Cursor) -> None:
    cursor.execute(f"SELECT length('{'x' * (15 * 1024 * 1024)}') AS n")
    assert cursor.fetchone().n == 15 * 1024 * 1024
    with pytest.raises(exc.Error):
        cursor.execute(f"SELECT length('{'x' * (16 * 1024 * 1024)}') AS n")
    cursor.execute("SELECT 1")


def test_rowcount_and_description_of_dml_and_ddl(cursor: Cursor) -> None:
    cursor.execute("CREATE TABLE t (id INT)")
    assert [column[:2] for column in cursor.description or []] == [("Result", "string")]
    assert cursor.fetchall() == []
    assert cursor.rowcount == -1
    cursor.execute("INSERT INTO t VALUES (1), (2)")
    assert cursor.rowcount == 2
    assert cursor.fetchone().num_inserted_rows == 2
    cursor.execute("DELETE FROM t WHERE id = 1")
    assert (cursor.rowcount, cursor.fetchone().num_affected_rows) == (1, 1)
    cursor.execute("SELECT * FROM t")
    assert cursor.rowcount == -1
