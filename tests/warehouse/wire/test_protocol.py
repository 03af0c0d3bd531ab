"""The unmodified driver against the wire: sessions, statements, results, errors."""

from __future__ import annotations

import datetime as dt
import decimal
import functools
import itertools
import threading
import uuid

import pytest
from databricks import sql
from databricks.sql import exc
from databricks.sql.client import Connection, Cursor
from databricks.sql.parameters.native import (
    BigIntegerParameter,
    DecimalParameter,
    StringParameter,
    TimestampNTZParameter,
)
from databricks.sql.thrift_api.TCLIService import ttypes

from tests.patience import FOR_LONG_S, PATIENCE_S, wait_until
from tests.warehouse.wire.client import WireClient
from tests.warehouse.wire.engine import EVERY_TYPE, FakeWarehouse
from vinci_code.warehouse.wire import thrift_service

# --- sessions -----------------------------------------------------------------------------------


def test_the_namespace_is_lower_cased_and_answered(wire: FakeWarehouse) -> None:
    arguments = wire.connect_args | {"catalog": "MAIN", "schema": "Default"}
    with sql.connect(**arguments) as connection, connection.cursor() as cursor:
        row = cursor.execute("SELECT namespace").fetchone()
    assert (row.catalog, row.schema) == ("main", "default")


def test_the_session_configuration_reaches_the_engine_without_the_server_s_own(
    wire: FakeWarehouse,
) -> None:
    arguments = wire.connect_args | {"session_configuration": {"TIMEZONE": "Asia/Tokyo"}}
    with sql.connect(**arguments) as connection, connection.cursor() as cursor:
        row = cursor.execute("SELECT namespace").fetchone()
    assert row.configuration == "{'TIMEZONE': 'Asia/Tokyo'}"
    assert wire.requests[0].configuration["TIMEZONE"] == "Asia/Tokyo"


def test_the_server_answers_protocol_version_8(wire: FakeWarehouse) -> None:
    version = ttypes.TProtocolVersion.SPARK_CLI_SERVICE_PROTOCOL_V9
    with WireClient(wire) as client:
        response = client.call("OpenSession", client_protocol_i64=version)
    assert response.serverProtocolVersion == 42248
    assert response.sessionHandle.serverProtocolVersion == 42248
    assert response.canUseMultipleCatalogs is True


def test_a_missing_catalog_fails_the_connection_attempt(wire: FakeWarehouse) -> None:
    with pytest.raises(exc.DatabaseError, match=r"\[NO_SUCH_CATALOG_EXCEPTION\].*42704"):
        sql.connect(**wire.connect_args | {"catalog": "missing"})


def test_closing_the_connection_closes_the_engine_s_session(wire: FakeWarehouse) -> None:
    connection = sql.connect(**wire.connect_args)
    engine_session = wire.engine.sessions[-1]
    count = wire.session_count
    connection.close()
    assert engine_session.closed
    assert wire.session_count == count - 1


def test_a_closed_session_is_an_invalid_handle(wire: FakeWarehouse) -> None:
    connection = sql.connect(**wire.connect_args)
    cursor = connection.cursor()
    session_id = connection.get_session_id_hex()
    service = wire._live.service
    service.close()
    service._closed = False
    with pytest.raises(exc.DatabaseError) as caught:
        cursor.execute("SELECT 1")
    assert str(caught.value) == f"Invalid SessionHandle: SessionHandle [{session_id}]"
    assert type(caught.value) is exc.DatabaseError
    connection.close()


# --- results ------------------------------------------------------------------------------------


def test_a_small_result_comes_in_one_request_and_needs_no_closing(
    wire: FakeWarehouse, cursor: Cursor
) -> None:
    assert cursor.execute("SELECT 7").fetchall() == [(7,)]
    assert [record.operation for record in wire.requests] == ["ExecuteStatement"]


def test_every_type_arrives_as_its_python_value(cursor: Cursor) -> None:
    rows = cursor.execute("SELECT * FROM every_type").fetchall()
    assert rows[1] == tuple(None for _ in EVERY_TYPE)
    for index, (name, _, values) in enumerate(EVERY_TYPE):
        if name in ("c_array", "c_struct"):  # the driver makes these numpy arrays
            continue
        assert (rows[0][index], rows[2][index]) == (values[0], values[2]), name


def test_every_type_arrives_as_its_arrow_value(cursor: Cursor) -> None:
    table = cursor.execute("SELECT * FROM every_type").fetchall_arrow()
    for name, kind, values in EVERY_TYPE:
        assert table.column(name).to_pylist() == values, name
        assert table.schema.field(name).type == kind.arrow(), name


def test_every_type_is_described(cursor: Cursor) -> None:
    cursor.execute("SELECT * FROM every_type")
    described = {item[0]: (item[1], item[4], item[5]) for item in cursor.description or ()}
    assert described["c_decimal"] == ("decimal", 10, 2)
    assert described["c_wide"] == ("decimal", 38, 10)
    assert {name: kind for name, (kind, _, _) in described.items()} == {
        "c_boolean": "boolean",
        "c_tinyint": "tinyint",
        "c_smallint": "smallint",
        "c_int": "int",
        "c_bigint": "bigint",
        "c_float": "float",
        "c_double": "double",
        "c_decimal": "decimal",
        "c_wide": "decimal",
        "c_string": "string",
        "c_binary": "binary",
        "c_date": "date",
        "c_timestamp": "timestamp",
        "c_timestamp_ntz": "timestamp",
        "c_array": "array",
        "c_map": "map",
        "c_struct": "struct",
        "c_variant": "variant",
        "c_void": "null",
    }


def test_fields_carry_the_spark_types(cursor: Cursor) -> None:
    schema = cursor.execute("SELECT * FROM every_type").fetchall_arrow().schema
    metadata = {field.name: field.metadata for field in schema}
    assert metadata["c_decimal"] == {
        b"Spark:DataType:SqlName": b"DECIMAL(10,2)",
        b"Spark:DataType:JsonType": b'"decimal(10,2)"',
    }
    assert metadata["c_map"][b"Spark:DataType:JsonType"] == (
        b'{"type":"map","keyType":"string","valueType":"integer","valueContainsNull":true}'
    )
    assert metadata["c_variant"][b"Spark:DataType:SqlName"] == b"VARIANT"


def test_without_native_types_the_values_come_as_text(wire: FakeWarehouse) -> None:
    arguments = wire.connect_args | {
        "_use_arrow_native_complex_types": False,
        "_use_arrow_native_timestamps": False,
        "_use_arrow_native_decimals": False,
    }
    with sql.connect(**arguments) as connection, connection.cursor() as cursor:
        row = cursor.execute("SELECT * FROM every_type").fetchone()
    assert row.c_timestamp == "2021-06-15 12:34:56.789"
    assert row.c_timestamp_ntz == "2021-06-15 12:34:56"
    assert row.c_decimal == decimal.Decimal("1.10")
    assert row.c_array == "[1,null,3]"
    assert row.c_map == '{"a":1}'
    assert row.c_struct == '{"a":1,"b":["x"]}'


@pytest.mark.parametrize("lz4", [True, False])
def test_results_come_with_and_without_compression(wire: FakeWarehouse, lz4: bool) -> None:
    arguments = wire.connect_args | {"enable_query_result_lz4_compression": lz4}
    with sql.connect(**arguments) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM range(5000)")
        sent = wire.requests[-1].bytes_out
        assert cursor.fetchall_arrow().column("id").to_pylist() == list(range(5000))
    assert (sent < 5000 * 8) is lz4


def test_the_session_s_time_zone_is_the_zone_of_its_timestamps(wire: FakeWarehouse) -> None:
    arguments = wire.connect_args | {"session_configuration": {"TIMEZONE": "Asia/Tokyo"}}
    with sql.connect(**arguments) as connection, connection.cursor() as cursor:
        table = cursor.execute("SELECT * FROM every_type").fetchall_arrow()
    assert table.schema.field("c_timestamp").type.tz == "Asia/Tokyo"
    instant = table.column("c_timestamp").to_pylist()[0]
    assert instant == dt.datetime(2021, 6, 15, 12, 34, 56, 789000, dt.timezone.utc)


def test_a_large_result_is_fetched_in_pages(wire: FakeWarehouse) -> None:
    with (
        sql.connect(**wire.connect_args) as connection,
        connection.cursor(arraysize=1000) as cursor,
    ):
        cursor.execute("SELECT * FROM range(3500)")
        assert [row.id for row in cursor.fetchall()] == list(range(3500))
        pages = [record for record in wire.requests if record.operation == "FetchResults"]
        assert len(pages) == 3


def test_a_page_is_bounded_in_bytes(wire: FakeWarehouse) -> None:
    with (
        sql.connect(**wire.connect_args) as connection,
        connection.cursor(buffer_size_bytes=8000) as cursor,
    ):
        cursor.execute("SELECT * FROM range(5000)")
        assert [row.id for row in cursor.fetchall()] == list(range(5000))
        pages = [record for record in wire.requests if record.operation == "FetchResults"]
        assert len(pages) == 4  # 1000 rows of 8 bytes each, one page came with the statement


def test_pages_of_changing_sizes_lose_and_repeat_nothing(wire: FakeWarehouse) -> None:
    with WireClient(wire) as client:
        response = client.call(
            "ExecuteStatement",
            sessionHandle=client.open_session(),
            statement="SELECT * FROM range(5000)",
            runAsync=True,
        )
        seen: list[object] = []
        for rows in itertools.cycle((7, 7, 1500, 1, 640, 640)):
            page = client.call(
                "FetchResults",
                operationHandle=response.operationHandle,
                orientation=ttypes.TFetchOrientation.FETCH_NEXT,
                maxRows=rows,
                maxBytes=100_000,
            )
            assert page.results.startRowOffset == len(seen)
            seen += client.columns(page)[0]
            if not page.hasMoreRows:
                break
    assert seen == list(range(5000))


def test_the_first_rows_are_the_next_ones_before_anything_was_read(wire: FakeWarehouse) -> None:
    with WireClient(wire) as client:
        response = client.call(
            "ExecuteStatement",
            sessionHandle=client.open_session(),
            statement="SELECT * FROM range(20)",
            runAsync=True,
        )
        fetch = functools.partial(
            client.call,
            "FetchResults",
            operationHandle=response.operationHandle,
            orientation=ttypes.TFetchOrientation.FETCH_FIRST,
            maxRows=10,
            maxBytes=100_000,
        )
        assert client.columns(fetch())[0] == list(range(10))
        refused = fetch()
        assert refused.status.sqlState == "HYC00"
        assert "before anything was read" in refused.status.errorMessage
        last = fetch(orientation=ttypes.TFetchOrientation.FETCH_NEXT)
        assert client.columns(last)[0] == list(range(10, 20))


def test_a_reply_has_several_batches(wire: FakeWarehouse) -> None:
    with WireClient(wire) as client:
        response = client.call(
            "ExecuteStatement",
            sessionHandle=client.open_session(),
            statement="SELECT * FROM range(3000)",
            runAsync=False,
            canReadArrowResult=True,
            getDirectResults=ttypes.TSparkGetDirectResults(maxRows=10**6, maxBytes=10**8),
        )
        batches = response.directResults.resultSet.results.arrowBatches
    assert [batch.rowCount for batch in batches] == [1000, 1000, 1000]


def test_a_row_limit_cuts_the_result(wire: FakeWarehouse) -> None:
    with (
        sql.connect(**wire.connect_args) as connection,
        connection.cursor(row_limit=1234) as cursor,
    ):
        assert len(cursor.execute("SELECT * FROM range(5000)").fetchall()) == 1234


def test_ddl_has_a_description_and_no_rows(cursor: Cursor) -> None:
    cursor.execute("CREATE TABLE t (a INT)")
    assert [item[:2] for item in cursor.description or ()] == [("Result", "string")]
    assert cursor.fetchall() == []
    assert cursor.rowcount == -1


def test_dml_reports_the_rows_it_changed(cursor: Cursor) -> None:
    cursor.execute("INSERT INTO t VALUES (1), (2), (3)")
    assert cursor.rowcount == 3
    assert cursor.fetchall() == [(3, 3)]


def test_two_open_results_of_one_session_do_not_disturb_each_other(
    connection: Connection,
) -> None:
    with connection.cursor(arraysize=10) as first, connection.cursor(arraysize=10) as second:
        first.execute("SELECT * FROM range(3000)")
        second.execute("SELECT * FROM range(2500)")
        assert len(first.fetchall()) == 3000
        assert len(second.fetchall()) == 2500


def test_closing_an_operation_twice_is_an_invalid_handle(
    wire: FakeWarehouse, cursor: Cursor
) -> None:
    cursor.execute("SELECT 1")
    assert cursor.active_command_id is not None
    with pytest.raises(exc.DatabaseError) as caught:
        cursor.backend.close_command(cursor.active_command_id)
    identifier = wire.requests[0].operation_id
    assert str(caught.value) == (
        "Invalid OperationHandle: OperationHandle "
        f"[opType=UNKNOWN_OPERATION, getHandleIdentifier()={identifier}]"
    )


# --- errors -------------------------------------------------------------------------------------


def test_a_failed_statement_is_a_server_operation_error(cursor: Cursor) -> None:
    with pytest.raises(exc.ServerOperationError) as caught:
        cursor.execute("INSER INTO t")
    assert str(caught.value).startswith(
        "\n[PARSE_SYNTAX_ERROR] Syntax error at or near 'INSER'. SQLSTATE: 42601 (line 1, pos 0)"
    )
    assert uuid.UUID(caught.value.context["operation-id"]).version == 4


def test_an_error_in_a_late_row_fails_the_statement_and_not_a_page(cursor: Cursor) -> None:
    with pytest.raises(exc.ServerOperationError, match=r"\[DIVIDE_BY_ZERO\].*SQLSTATE: 22012"):
        cursor.execute("SELECT 1/0")


def test_a_defect_of_the_engine_is_an_internal_error(
    cursor: Cursor, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(exc.ServerOperationError, match=r"\[INTERNAL_ERROR\].*a defect.*XX000"):
        cursor.execute("SELECT defect")
    assert "A statement failed inside the engine" in caplog.text
    assert cursor.execute("SELECT 2").fetchall() == [(2,)]


def test_volumes_are_refused_by_name(cursor: Cursor) -> None:
    with pytest.raises(exc.ServerOperationError, match=r"UNSUPPORTED_BY_LOCAL_WAREHOUSE.*0A000"):
        cursor.execute("REMOVE '/Volumes/main/default/v/f'")


def test_more_than_255_parameters_are_a_bad_request(wire: FakeWarehouse, cursor: Cursor) -> None:
    assert len(cursor.execute("SELECT parameters", [1] * 255).fetchall()) == 255
    with pytest.raises(exc.RequestError) as caught:
        cursor.execute("SELECT parameters", [1] * 256)
    assert "256 parameters were given but the limit is 256" in str(caught.value)
    assert wire.requests[-1].status == 400
    assert wire.requests[-1].executed is False
    assert len(wire.requests) == 2


def test_too_large_parameters_are_a_bad_request(wire: FakeWarehouse, cursor: Cursor) -> None:
    with pytest.raises(exc.RequestError, match="BAD_REQUEST"):
        cursor.execute("SELECT parameters", ["x" * 1_100_000])
    assert wire.requests[-1].status == 400


# --- parameters ---------------------------------------------------------------------------------


def test_positional_parameters_keep_their_order(cursor: Cursor) -> None:
    # The driver gives every positional parameter the ordinal 1.
    rows = cursor.execute("SELECT parameters ?, ?, ?", ["b", "a", "c"]).fetchall()
    assert [(row.name, row.value) for row in rows] == [(None, "b"), (None, "a"), (None, "c")]


def test_parameters_of_every_kind_arrive_as_the_driver_sends_them(cursor: Cursor) -> None:
    values = {
        "string": "x",
        "boolean": True,
        "int": 5,
        "bigint": 2**40,
        "double": 0.5,
        "date": dt.date(2024, 2, 29),
        "timestamp": dt.datetime(2024, 2, 29, 1, 2, 3, 4, dt.timezone.utc),
        "decimal": decimal.Decimal("1234.5678"),
        "void": None,
        "array": [1, None],
        "map": {"k": 1},
        "empty": [],
    }
    rows = cursor.execute("SELECT parameters", values).fetchall()
    assert {row.name: (row.type, row.value, row.arguments) for row in rows} == {
        "string": ("STRING", "x", ""),
        "boolean": ("BOOLEAN", "True", ""),
        "int": ("INT", "5", ""),
        "bigint": ("BIGINT", str(2**40), ""),
        "double": ("DOUBLE", "0.5", ""),
        "date": ("DATE", "2024-02-29", ""),
        "timestamp": ("TIMESTAMP", "2024-02-29 01:02:03.000004+00:00", ""),
        "decimal": ("DECIMAL(8,4)", "1234.5678", ""),
        "void": ("VOID", None, ""),
        "array": ("ARRAY", None, "INT:1,VOID:None"),
        "map": ("MAP", None, "STRING:k,INT:1"),
        "empty": ("ARRAY", None, ""),
    }


def test_typed_parameters_keep_their_types(cursor: Cursor) -> None:
    rows = cursor.execute(
        "SELECT parameters",
        [
            BigIntegerParameter(1, "a"),
            StringParameter("1", "b"),
            DecimalParameter(decimal.Decimal("1.5"), "c", scale=10, precision=2),
            TimestampNTZParameter(dt.datetime.fromisoformat("2024-01-01"), "d"),
        ],
    ).fetchall()
    assert [row.type for row in rows] == ["BIGINT", "STRING", "DECIMAL(10,2)", "TIMESTAMP_NTZ"]


def test_parameters_are_recorded(wire: FakeWarehouse, cursor: Cursor) -> None:
    cursor.execute("SELECT parameters", {"a": 1, "b": None, "c": [1, [2]]})
    assert wire.requests[-1].parameters == (
        ("a", "INT", "1"),
        ("b", "VOID", None),
        ("c", "ARRAY", ("1", ("2",))),
    )


# --- asynchronous statements --------------------------------------------------------------------


def test_an_asynchronous_statement_is_polled_and_fetched(
    wire: FakeWarehouse, cursor: Cursor
) -> None:
    cursor.ASYNC_DEFAULT_POLLING_INTERVAL = 0  # seconds
    cursor.execute_async("SELECT sleep(0.2)")
    cursor.get_async_execution_result()
    assert cursor.fetchall() == [("0.2",)]
    names = [record.operation for record in wire.requests]
    assert names[0] == "ExecuteStatement"
    assert set(names[1:]) == {"GetOperationStatus", "FetchResults"}


def test_polling_waits_on_the_server(
    wire: FakeWarehouse, cursor: Cursor, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It is polled for from the beginning, and each poll but the last takes so long or longer.
    monkeypatch.setattr(thrift_service, "DIRECT_RESULTS_SECONDS", 0.0)
    cursor.execute("SELECT sleep(2.5)")
    polls = [record for record in wire.requests if record.operation == "GetOperationStatus"]
    assert 1 <= len(polls) <= 2.5 / thrift_service.LONG_POLL_SECONDS + 1
    assert cursor.fetchall() == [("2.5",)]


def test_an_asynchronous_statement_s_error_comes_with_its_status(cursor: Cursor) -> None:
    cursor.execute_async("SELEC")
    with pytest.raises(exc.ServerOperationError, match="PARSE_SYNTAX_ERROR"):
        cursor.get_async_execution_result()


def test_cancel_stops_the_statement(wire: FakeWarehouse, connection: Connection) -> None:
    with connection.cursor() as cursor:
        failures: list[BaseException] = []

        def run() -> None:
            try:
                cursor.execute(f"SELECT sleep({FOR_LONG_S})")
            except exc.Error as error:
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        _await_operation(wire, "GetOperationStatus")  # only then does the driver know the handle
        cursor.cancel()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
        assert "found CANCELED" in str(failures[0])
        assert wire.requests[0].executed is False
        assert cursor.execute("SELECT 3").fetchall() == [(3,)]


def test_what_a_cancel_breaks_in_the_engine_is_no_defect(
    connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    with connection.cursor() as cursor:
        cursor.execute_async("SELECT broken_by_stopping")
        cursor.cancel()
        # Statements of a session run one after the other, so the first has ended then.
        assert cursor.execute("SELECT 2").fetchall() == [(2,)]
    assert "failed inside the engine" not in caplog.text


def test_canceling_one_statement_leaves_the_next_alone(
    wire: FakeWarehouse, connection: Connection
) -> None:
    with connection.cursor() as first, connection.cursor() as second:
        first.execute_async(f"SELECT sleep({FOR_LONG_S})")
        second.execute_async("SELECT sleep(0.3)")
        first.cancel()
        second.get_async_execution_result()
        assert second.fetchall() == [("0.3",)]


def test_a_client_s_own_timeout_stops_the_statement(wire: FakeWarehouse) -> None:
    with WireClient(wire) as client:
        session = client.open_session()
        response = client.call(
            "ExecuteStatement",
            sessionHandle=session,
            statement=f"SELECT sleep({FOR_LONG_S})",
            runAsync=True,
            queryTimeout=1,
        )
        handle, state = response.operationHandle, ttypes.TOperationState.RUNNING_STATE
        while state == ttypes.TOperationState.RUNNING_STATE:
            state = client.call("GetOperationStatus", operationHandle=handle).operationState
        assert state == ttypes.TOperationState.TIMEDOUT_STATE
        response = client.call("GetResultSetMetadata", operationHandle=handle)
        assert response.status.errorMessage == "Expected states: [FINISHED], but found TIMEDOUT"
        client.call("CloseSession", sessionHandle=session)


def test_closing_a_session_stops_its_statement(wire: FakeWarehouse) -> None:
    connection = sql.connect(**wire.connect_args)
    connection.cursor().execute_async(f"SELECT sleep({FOR_LONG_S})")
    connection.close()
    assert wire.engine.sessions[-1].closed


# --- the log ------------------------------------------------------------------------------------


def test_a_request_is_recorded_with_its_size_and_duration(
    wire: FakeWarehouse, connection: Connection
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    record = wire.requests[0]
    assert record.statement == "SELECT 1"
    assert record.session_id == connection.get_session_id_hex()
    assert record.status == 200
    assert record.executed is True
    assert record.fault is None
    assert record.bytes_in > 100
    assert record.bytes_out > 100
    assert record.duration is not None
    assert 0 < record.duration < PATIENCE_S


def test_no_secret_is_recorded(wire: FakeWarehouse, cursor: Cursor) -> None:
    token = wire.access_token
    cursor.execute("SELECT parameters", {"p": f"Bearer {token}", "q": [token]})
    with pytest.raises(exc.ServerOperationError):
        cursor.execute(f"SELEC '{token}'")
    assert len(wire.requests) == 2
    assert token not in repr(wire.requests)
    assert wire.requests[1].statement == "SELEC '********'"


def _await_operation(wire: FakeWarehouse, name: str) -> None:
    wait_until(lambda: any(record.operation == name for record in wire.requests), name)
