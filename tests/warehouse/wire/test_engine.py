"""What the wire and the real engine do together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from databricks import sql
from databricks.sql import exc

from tests.patience import PATIENCE_S, soon
from vinci_code.warehouse import Fault, LocalWarehouse
from vinci_code.warehouse.pytest_plugin import TestWarehouse

TRANSACTIONAL = "TBLPROPERTIES ('delta.feature.catalogManaged' = 'supported')"


def test_each_test_has_an_empty_schema_of_its_own(local_warehouse: TestWarehouse) -> None:
    with (
        sql.connect(**local_warehouse.connect_args) as connection,
        connection.cursor() as cursor,
    ):
        assert cursor.execute("SHOW TABLES").fetchall() == []
        row = cursor.execute("SELECT current_catalog(), current_schema()").fetchone()
        assert tuple(row) == ("main", local_warehouse.schema)
    assert local_warehouse.env["DATABRICKS_SCHEMA"] == local_warehouse.schema
    assert local_warehouse.statements[0] == "SHOW TABLES"


def test_a_scripted_conflict_at_commit_aborts_the_transaction(
    local_warehouse: TestWarehouse,
) -> None:
    local_warehouse.inject(Fault.commit_conflict(statement=r"^\s*COMMIT"))
    arguments = local_warehouse.connect_args | {"ignore_transactions": False}
    with sql.connect(**arguments) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE t (a INT) {TRANSACTIONAL}")
        connection.autocommit = False
        cursor.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(exc.TransactionError, match="DELTA_CONCURRENT_APPEND"):
            connection.commit()
        with pytest.raises(exc.ServerOperationError, match="ROLLBACK_REQUIRED_AFTER_ABORT"):
            cursor.execute("SELECT * FROM t")
        connection.rollback()
        assert cursor.execute("SELECT * FROM t").fetchall() == []
        cursor.execute("INSERT INTO t VALUES (2)")
        connection.commit()
        assert cursor.execute("SELECT * FROM t").fetchall() == [(2,)]
        connection.rollback()
        connection.autocommit = True


def test_metadata_calls_are_refused_in_a_transaction_which_stays_usable(
    local_warehouse: TestWarehouse,
) -> None:
    with (
        sql.connect(**local_warehouse.connect_args) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(f"CREATE TABLE t (a INT) {TRANSACTIONAL}")
        cursor.execute("BEGIN TRANSACTION")
        cursor.execute("INSERT INTO t VALUES (1)")
        for call in (cursor.catalogs, cursor.schemas, cursor.tables, cursor.columns):
            with pytest.raises(exc.DatabaseError, match="multi-statement transaction"):
                call()
        assert cursor.execute("SELECT * FROM t").fetchall() == [(1,)]
        cursor.execute("COMMIT")
        names = [row.TABLE_NAME for row in cursor.tables(schema_name=local_warehouse.schema)]
        assert names == ["t"]


def test_a_lost_session_discards_its_transaction(local_warehouse: TestWarehouse) -> None:
    with sql.connect(**local_warehouse.connect_args) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE t (a INT) {TRANSACTIONAL}")
        cursor.execute("BEGIN TRANSACTION")
        cursor.execute("INSERT INTO t VALUES (1)")
        local_warehouse.inject(Fault.session_lost(statement="COMMIT"))
        with pytest.raises(exc.DatabaseError, match="Invalid SessionHandle"):
            cursor.execute("COMMIT")
    with sql.connect(**local_warehouse.connect_args) as connection, connection.cursor() as cursor:
        assert cursor.execute("SELECT count(*) FROM t").fetchall() == [(0,)]


def test_a_write_whose_reply_was_lost_is_there(local_warehouse: TestWarehouse) -> None:
    arguments = local_warehouse.connect_args | {"_enable_v3_retries": False}
    with sql.connect(**arguments) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (a INT)")
        local_warehouse.inject(Fault.reset("after", statement="INSERT"))
        with pytest.raises(Exception, match=r".+"):
            cursor.execute("INSERT INTO t VALUES (1)")
        local_warehouse.inject(Fault.reset("before", statement="INSERT"))
        with pytest.raises(Exception, match=r".+"):
            cursor.execute("INSERT INTO t VALUES (2)")
        executed = [item.executed for item in local_warehouse.requests if item.fault is not None]
        assert executed == [True, False]
        assert cursor.execute("SELECT a FROM t").fetchall() == [(1,)]


def test_cancel_stops_a_long_query(local_warehouse: TestWarehouse) -> None:
    with sql.connect(**local_warehouse.connect_args) as connection, connection.cursor() as cursor:
        cursor.execute_async("SELECT sum(a.id * b.id) FROM range(1000000) a, range(1000000) b")
        with soon():
            cursor.cancel()
            with connection.cursor() as other:
                assert other.execute("SELECT 1").fetchall() == [(1,)]
    assert local_warehouse.requests[1].executed is False


def test_a_statement_beyond_16_mib_is_a_bad_request(local_warehouse: TestWarehouse) -> None:
    with sql.connect(**local_warehouse.connect_args) as connection, connection.cursor() as cursor:
        with pytest.raises(exc.RequestError, match="BAD_REQUEST"):
            cursor.execute("SELECT '" + "x" * (16 * 1024 * 1024) + "'")
        assert local_warehouse.requests[-1].status == 400
        assert cursor.execute("SELECT 1").fetchall() == [(1,)]


def test_a_warehouse_without_transactions() -> None:
    with (
        LocalWarehouse(transactions=False) as warehouse,
        sql.connect(**warehouse.connect_args) as connection,
        connection.cursor() as cursor,
        pytest.raises(exc.ServerOperationError, match="TRANSACTION_NOT_SUPPORTED"),
    ):
        cursor.execute("BEGIN TRANSACTION")


def test_writers_of_one_table_at_once_lose_nothing(local_warehouse: TestWarehouse) -> None:
    with sql.connect(**local_warehouse.connect_args) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (writer INT, number INT)")
        failures: list[BaseException] = []

        def write(writer: int) -> None:
            try:
                with sql.connect(**local_warehouse.connect_args) as own, own.cursor() as hand:
                    for number in range(5):
                        hand.execute("INSERT INTO t VALUES (?, ?)", [writer, number])
            except exc.Error as error:
                failures.append(error)

        threads = [threading.Thread(target=write, args=(writer,)) for writer in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        rows = cursor.execute("SELECT writer, number FROM t ORDER BY 1, 2").fetchall()
        assert rows == [(writer, number) for writer in range(8) for number in range(5)]


def test_the_plugin_works_for_somebody_else_s_tests(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        from databricks import sql
        from vinci_code.warehouse import Fault

        SEEN = []

        def use(warehouse):
            SEEN.append(warehouse.schema)
            assert warehouse.requests == ()
            assert warehouse.warehouse.faults.pending == ()
            with sql.connect(**warehouse.connect_args) as connection:
                with connection.cursor() as cursor:
                    cursor.execute("CREATE TABLE t (a INT)")
            warehouse.inject(Fault.http(500, times=9))

        def test_one(local_warehouse):
            use(local_warehouse)

        def test_two(local_warehouse):
            use(local_warehouse)

        def test_both_ran_in_schemas_of_their_own(local_warehouse_server):
            assert len(set(SEEN)) == 2
        """
    )
    (tmp_path / "test_it.py").write_text(program, encoding="utf-8")
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [
            sys.executable,
            *("-m", "pytest", "-q", "-p", "vinci_code.warehouse.pytest_plugin"),
            *("-p", "no:cacheprovider", "-W", "error", str(tmp_path)),
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        cwd=tmp_path,
        env=environment,
        check=False,
    )
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_the_environment_names_what_an_application_needs(local_warehouse: TestWarehouse) -> None:
    environment = local_warehouse.env
    assert set(environment) == {
        "USE_DATABRICKS",
        "DATABRICKS_SERVER_HOSTNAME",
        "DATABRICKS_HTTP_PATH",
        "DATABRICKS_ACCESS_TOKEN",
        "DATABRICKS_CA_FILE",
        "DATABRICKS_CATALOG",
        "DATABRICKS_SCHEMA",
    }
    host, _, port = environment["DATABRICKS_SERVER_HOSTNAME"].partition(":")
    with sql.connect(
        server_hostname=host,
        _port=int(port),
        http_path=environment["DATABRICKS_HTTP_PATH"],
        access_token=environment["DATABRICKS_ACCESS_TOKEN"],
        _tls_trusted_ca_file=environment["DATABRICKS_CA_FILE"],
        enable_telemetry=False,
    ) as connection:
        assert connection.open
    assert json.loads(json.dumps(environment)) == environment
