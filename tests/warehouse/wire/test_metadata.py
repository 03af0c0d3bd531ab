"""The metadata calls, through the driver's cursor and through the generated client."""

from __future__ import annotations

import pytest
from databricks.sql import exc
from databricks.sql.client import Connection, Cursor
from databricks.sql.thrift_api.TCLIService import ttypes

from tests.warehouse.wire.client import WireClient
from tests.warehouse.wire.engine import FakeWarehouse
from vinci_code.warehouse.wire.metadata import like


def test_catalogs(cursor: Cursor) -> None:
    assert cursor.catalogs().fetchall() == [("main",), ("other_one",)]
    assert [item[0] for item in cursor.description or ()] == ["TABLE_CAT"]


@pytest.mark.parametrize(
    ("catalog", "schema", "expected"),
    [
        (None, None, [("default", "main"), ("information_schema", "main"), ("s", "other_one")]),
        ("main", None, [("default", "main"), ("information_schema", "main")]),
        ("MAIN", "DEF%", [("default", "main")]),
        ("other\\_one", None, [("s", "other_one")]),
        ("other_on_", "_", [("s", "other_one")]),
        ("nowhere", None, []),
    ],
)
def test_schemas(
    cursor: Cursor, catalog: str | None, schema: str | None, expected: list[tuple[str, str]]
) -> None:
    assert cursor.schemas(catalog, schema).fetchall() == expected
    assert [item[0] for item in cursor.description or ()] == ["TABLE_SCHEM", "TABLE_CATALOG"]


def test_tables(cursor: Cursor) -> None:
    rows = cursor.tables("main", "default").fetchall()
    nothing = (None,) * 5
    assert rows == [
        ("main", "default", "orders", "TABLE", "All orders", *nothing),
        ("main", "default", "recent", "VIEW", "", *nothing),
    ]
    assert [row.TABLE_NAME for row in cursor.tables(table_types=["VIEW"]).fetchall()] == ["recent"]
    assert cursor.tables(table_name="ord_rs").fetchone().TABLE_NAME == "orders"


def test_columns(cursor: Cursor) -> None:
    rows = cursor.columns("main", "default", "orders", None).fetchall()
    shown = [
        (
            row.COLUMN_NAME,
            row.DATA_TYPE,
            row.TYPE_NAME,
            row.COLUMN_SIZE,
            row.DECIMAL_DIGITS,
            row.NUM_PREC_RADIX,
            row.NULLABLE,
            row.IS_NULLABLE,
            row.REMARKS,
            row.ORDINAL_POSITION,
            row.IS_AUTO_INCREMENT,
        )
        for row in rows
    ]
    assert shown == [
        ("id", -5, "BIGINT", 8, 0, 10, 0, "NO", "the key", 0, "YES"),
        ("amount", 3, "DECIMAL(10,2)", 8, 2, 10, 1, "YES", "", 1, "NO"),
        ("tags", 2003, "ARRAY<STRING>", None, None, None, 1, "YES", "", 2, "NO"),
    ]
    assert len(cursor.description or ()) == 23
    assert [row.COLUMN_NAME for row in cursor.columns(column_name="a%").fetchall()] == [
        "amount",
        "amount",
    ]


def test_an_empty_listing_has_its_columns(cursor: Cursor) -> None:
    assert cursor.tables("main", "nothing").fetchall() == []
    assert len(cursor.description or ()) == 10


def test_metadata_is_refused_inside_a_transaction(wire: FakeWarehouse, cursor: Cursor) -> None:
    wire.engine.sessions[-1].in_transaction = True
    with pytest.raises(exc.DatabaseError, match=r"multi-statement transaction.*0A000"):
        cursor.tables("main", "default")
    wire.engine.sessions[-1].in_transaction = False
    assert len(cursor.tables("main", "default").fetchall()) == 2


def test_metadata_comes_as_a_column_set(wire: FakeWarehouse) -> None:
    with WireClient(wire) as client:
        response = client.call(
            "GetCatalogs",
            sessionHandle=client.open_session(),
            getDirectResults=ttypes.TSparkGetDirectResults(maxRows=10, maxBytes=1000),
        )
    direct = response.directResults
    assert direct.resultSetMetadata.resultFormat == ttypes.TSparkRowSetType.COLUMN_BASED_SET
    assert direct.resultSet.results.columns[0].stringVal.values == ["main", "other_one"]
    assert direct.closeOperation.status.statusCode == ttypes.TStatusCode.SUCCESS_STATUS


def test_the_calls_that_the_driver_has_no_method_for(wire: FakeWarehouse) -> None:
    with WireClient(wire) as client:
        session = client.open_session()
        table = {"catalogName": "main", "schemaName": "default", "tableName": "orders"}
        keys = client.rows("GetPrimaryKeys", sessionHandle=session, **table)
        assert keys == [("main", "default", "orders", "id", 1, "pk")]
        references = client.rows(
            "GetCrossReference",
            sessionHandle=session,
            foreignCatalogName="main",
            foreignSchemaName="default",
            foreignTableName="orders",
        )
        assert [(row[2], row[3], row[7], row[8], row[11]) for row in references] == [
            ("customers", "x", "a", 1, "fk"),
            ("customers", "y", "b", 2, "fk"),
        ]
        kinds = client.rows("GetTableTypes", sessionHandle=session)
        assert ("TABLE",) in kinds
        names = [row[0] for row in client.rows("GetTypeInfo", sessionHandle=session)]
        assert {"INT", "STRING", "DECIMAL", "TIMESTAMP"} <= set(names)
        assert client.rows("GetFunctions", sessionHandle=session, functionName="%") == []


def test_get_info(wire: FakeWarehouse) -> None:
    with WireClient(wire) as client:
        session = client.open_session()
        kind = ttypes.TGetInfoType
        response = client.call("GetInfo", sessionHandle=session, infoType=kind.CLI_DBMS_NAME)
        assert response.infoValue.stringValue == "Spark SQL"
        response = client.call("GetInfo", sessionHandle=session, infoType=kind.CLI_USER_NAME)
        assert response.status.statusCode == ttypes.TStatusCode.ERROR_STATUS


def test_every_type_as_a_column_set(wire: FakeWarehouse) -> None:
    with WireClient(wire) as client:
        response = client.call(
            "ExecuteStatement",
            sessionHandle=client.open_session(),
            statement="SELECT * FROM every_type",
            runAsync=True,
            canReadArrowResult=False,
            getDirectResults=ttypes.TSparkGetDirectResults(maxRows=10, maxBytes=100_000),
        )
    names = [
        column.columnName for column in response.directResults.resultSetMetadata.schema.columns
    ]
    values = dict(zip(names, client.columns(response.directResults.resultSet), strict=True))
    assert values["c_boolean"] == [True, None, False]
    assert values["c_bigint"] == [-(2**63), None, 2**63 - 1]
    assert values["c_double"] == [1.1, None, -0.0]
    assert values["c_decimal"] == ["1.10", None, "-99999999.99"]
    assert values["c_wide"] == ["0.0000000001", None, "1234567890.5000000000"]
    assert values["c_binary"] == [b"", None, b"\x00\xff"]
    assert values["c_date"] == ["0001-01-01", None, "2024-02-29"]
    assert values["c_timestamp"] == ["2021-06-15 12:34:56.789", None, "1969-12-31 23:59:59.999999"]
    assert values["c_timestamp_ntz"] == ["2021-06-15 12:34:56", None, "2021-01-01 00:00:00.000001"]
    assert values["c_array"] == ["[1,null,3]", None, "[]"]
    assert values["c_map"] == ['{"a":1}', None, "{}"]
    assert values["c_struct"] == ['{"a":1,"b":["x"]}', None, '{"a":null,"b":null}']
    assert values["c_void"] == [None, None, None]


def test_a_client_without_run_async_finds_the_error_in_the_status(wire: FakeWarehouse) -> None:
    with WireClient(wire) as client:
        response = client.call(
            "ExecuteStatement",
            sessionHandle=client.open_session(),
            statement="INSER",
            runAsync=False,
        )
    assert response.status.statusCode == ttypes.TStatusCode.ERROR_STATUS
    assert response.status.sqlState == "42601"
    assert response.status.errorMessage.startswith("Error running query: ")
    assert "[PARSE_SYNTAX_ERROR]" in response.status.displayMessage


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("a%", "abc", True),
        ("a_c", "abc", True),
        ("a_c", "abbc", False),
        (r"a\_c", "a_c", True),
        (r"a\_c", "abc", False),
        (r"a\%", "a%", True),
        ("A.C", "a.c", True),
        ("a.c", "abc", False),
        ("*", "abc", False),
    ],
)
def test_patterns(pattern: str, name: str, matches: bool) -> None:
    assert (like(pattern).fullmatch(name) is not None) is matches


def test_a_column_set_arrives_through_the_driver(connection: Connection) -> None:
    # The driver reads metadata as column sets even with pyarrow installed.
    with connection.cursor() as cursor:
        table = cursor.tables("main", "default").fetchall_arrow()
    assert table.column("TABLE_NAME").to_pylist() == ["orders", "recent"]
