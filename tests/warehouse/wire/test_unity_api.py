"""The lists of Unity Catalog and of warehouses, and who the user is, by the SDK."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import BadRequest, NotFound

from tests.warehouse.wire.client import WireClient
from vinci_code.warehouse import LocalWarehouse


@pytest.fixture(scope="module")
def warehouse() -> Iterator[LocalWarehouse]:
    with LocalWarehouse() as warehouse:
        warehouse.sql("CREATE SCHEMA s COMMENT 'mine'")
        warehouse.sql("CREATE TABLE s.t (a INT NOT NULL COMMENT 'first', b DECIMAL(10, 2))")
        warehouse.sql("CREATE VIEW s.v AS SELECT a FROM main.s.t")
        warehouse.sql("CREATE VOLUME s.files COMMENT 'kept'")
        yield warehouse


@pytest.fixture
def client(warehouse: LocalWarehouse, monkeypatch: pytest.MonkeyPatch) -> WorkspaceClient:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(warehouse.ca_file))
    host = f"https://{warehouse.host}:{warehouse.port}"
    return WorkspaceClient(host=host, token=warehouse.access_token)


def test_the_lists(client: WorkspaceClient) -> None:
    assert [item.name for item in client.catalogs.list()] == ["main", "system"]
    schemas = {item.name: item for item in client.schemas.list("main")}
    assert sorted(schemas) == ["default", "information_schema", "s"]
    assert schemas["s"].comment == "mine"
    tables = {item.name: item for item in client.tables.list("main", "s")}
    assert sorted(tables) == ["t", "v"]
    assert str(tables["v"].table_type) == "TableType.VIEW"
    columns = [
        (item.name, str(item.type_name), item.type_text, item.nullable, item.comment)
        for item in tables["t"].columns or ()
    ]
    assert columns == [
        ("a", "ColumnTypeName.INT", "int", False, "first"),
        ("b", "ColumnTypeName.DECIMAL", "decimal(10,2)", True, None),
    ]
    assert [item.full_name for item in client.volumes.list("main", "s")] == ["main.s.files"]


def test_one_by_its_name(client: WorkspaceClient) -> None:
    assert client.tables.get("main.s.t").full_name == "main.s.t"
    assert client.schemas.get("main.s").name == "s"
    assert client.catalogs.get("main").name == "main"
    for name in ("main.s.nope", "main.nope.t", "nope.s.t", "t"):
        with pytest.raises(NotFound, match="does not exist"):
            client.tables.get(name)
    with pytest.raises(NotFound, match="Catalog 'nope' does not exist"):
        list(client.schemas.list("nope"))


def test_pages(warehouse: LocalWarehouse) -> None:
    with WireClient(warehouse) as wire:
        path = "/api/2.1/unity-catalog/schemas?catalog_name=main&max_results=2"
        _, first = wire.json("GET", path)
        _, second = wire.json("GET", f"{path}&page_token={first['next_page_token']}")
    names = [item["name"] for item in first["schemas"] + second["schemas"]]
    assert names == ["default", "information_schema", "s"]
    assert "next_page_token" not in second


def test_what_is_only_done_in_sql_is_refused_by_name(client: WorkspaceClient) -> None:
    with pytest.raises(BadRequest, match=r"UNSUPPORTED_BY_LOCAL_WAREHOUSE.*Use SQL"):
        client.schemas.create("x", "main")
    with pytest.raises(BadRequest, match="UNSUPPORTED_BY_LOCAL_WAREHOUSE"):
        list(client.functions.list("main", "s"))
    with pytest.raises(NotFound, match=r"No API found for 'GET /api/2\.1/jobs/list'"):
        client.api_client.do("GET", "/api/2.1/jobs/list")


def test_a_parameter_that_is_not_known_is_refused(warehouse: LocalWarehouse) -> None:
    with WireClient(warehouse) as wire:
        for query in ("", "?catalog_name=main&colour=red", "?catalog_name=main&max_results=x"):
            status, answer = wire.json("GET", f"/api/2.1/unity-catalog/schemas{query}")
            assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


def test_who_the_user_is(client: WorkspaceClient, warehouse: LocalWarehouse) -> None:
    answer = client.statement_execution.execute_statement(
        "SELECT current_user()", warehouse.warehouse_id
    )
    assert answer.result is not None
    assert answer.result.data_array == [[client.current_user.me().user_name]]


def test_a_stopped_warehouse_is_rehearsed(
    client: WorkspaceClient, warehouse: LocalWarehouse
) -> None:
    (listed,) = client.warehouses.list()
    assert (listed.id, str(listed.state)) == (warehouse.warehouse_id, "State.RUNNING")
    client.warehouses.stop(warehouse.warehouse_id)
    assert [str(item.state) for item in client.warehouses.list()] == ["State.STOPPED"]
    client.warehouses.start(warehouse.warehouse_id).result()
    assert str(client.warehouses.get(warehouse.warehouse_id).state) == "State.RUNNING"


def test_the_history_has_statements_of_both_protocols(
    client: WorkspaceClient, warehouse: LocalWarehouse
) -> None:
    answer = client.statement_execution.execute_statement("SELECT 4711", warehouse.warehouse_id)
    found = client.query_history.list().res or []
    entry = next(item for item in found if item.query_id == answer.statement_id)
    assert (entry.query_text, str(entry.status)) == ("SELECT 4711", "QueryStatus.FINISHED")
