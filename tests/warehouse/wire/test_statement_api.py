"""The statement execution API over raw HTTP: shapes, limits, refusals, faults and records."""

from __future__ import annotations

import base64
import csv
import io
import json
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import lz4.frame
import pyarrow as pa
import pytest

from tests.patience import wait_until
from tests.warehouse.wire.client import WireClient
from tests.warehouse.wire.engine import FakeWarehouse
from vinci_code.warehouse import Fault, LocalWarehouse
from vinci_code.warehouse.wire import statement_api

STATEMENTS = "/api/2.0/sql/statements"
SESSIONS = "/api/2.0/sql/sessions"


class ApiClient(WireClient):
    """Speaks the API to one warehouse."""

    def run(self, statement: str, **fields: object) -> dict[str, Any]:
        """Run a statement that is accepted."""
        status, answer = self.send(statement, **fields)
        assert status == 200, answer
        return answer

    def send(self, statement: str, **fields: object) -> tuple[int, dict[str, Any]]:
        """Send a statement."""
        body = {"statement": statement, "warehouse_id": self.warehouse.warehouse_id, **fields}
        return self.json("POST", STATEMENTS, json.dumps(body).encode())

    def open(self, **fields: object) -> str:
        """Open a session and return its id."""
        body = {"warehouse_id": self.warehouse.warehouse_id, **fields}
        status, answer = self.json("POST", SESSIONS, json.dumps(body).encode())
        assert status == 200, answer
        return str(answer["session_id"])

    def follow(self, link: str) -> bytes:
        """Fetch a file by its link, without a token."""
        parts = urllib.parse.urlsplit(link)
        status, _, content = self.request("GET", f"{parts.path}?{parts.query}", token=None)
        assert status == 200
        return content


@pytest.fixture
def api() -> Iterator[ApiClient]:
    with FakeWarehouse() as warehouse, ApiClient(warehouse) as client:
        yield client


def test_a_result_inline(api: ApiClient) -> None:
    answer = api.run("SELECT * FROM range(3)")
    assert answer["status"] == {"state": "SUCCEEDED"}
    manifest = answer["manifest"]
    assert manifest["format"] == "JSON_ARRAY"
    assert manifest["schema"] == {
        "column_count": 1,
        "columns": [{"name": "id", "type_text": "BIGINT", "type_name": "LONG", "position": 0}],
    }
    assert (manifest["total_chunk_count"], manifest["total_row_count"]) == (1, 3)
    assert manifest["truncated"] is False
    assert answer["result"] == {
        "chunk_index": 0,
        "row_offset": 0,
        "row_count": 3,
        "data_array": [["0"], ["1"], ["2"]],
    }


def test_what_has_no_result_and_what_changes_rows(api: ApiClient) -> None:
    answer = api.run("CREATE TABLE t (a INT)")
    assert answer["manifest"]["schema"] == {"column_count": 0}
    assert answer["manifest"]["total_chunk_count"] == 0
    assert answer["result"] == {}
    answer = api.run("INSERT INTO t VALUES (1), (2), (3)")
    assert answer["status"] == {"state": "SUCCEEDED", "num_modified_rows": 3}


@pytest.mark.parametrize(
    ("rows", "limit", "shown", "truncated"),
    [(10, 3, 3, True), (10, 10, 10, False), (1000, 1000, 1000, False), (2000, 1000, 1000, True)],
)
def test_a_row_limit_tells_whether_it_cut(
    api: ApiClient, rows: int, limit: int, shown: int, truncated: bool
) -> None:
    answer = api.run(f"SELECT * FROM range({rows})", row_limit=limit)
    assert answer["manifest"]["total_row_count"] == shown
    assert answer["manifest"]["truncated"] is truncated


def test_a_byte_limit_cuts(api: ApiClient) -> None:
    answer = api.run("SELECT * FROM range(5000)", byte_limit="800")
    assert answer["manifest"]["total_row_count"] == 100  # of eight bytes each
    assert answer["manifest"]["truncated"] is True


def test_an_inline_result_has_a_largest_size(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statement_api, "INLINE_BYTES", 800)
    assert api.run("SELECT * FROM range(100)")["status"]["state"] == "SUCCEEDED"
    status = api.run("SELECT * FROM range(101)")["status"]
    assert status["state"] == "FAILED"
    assert "EXTERNAL_LINKS" in status["error"]["message"]
    assert api.run("SELECT * FROM range(101)", disposition="EXTERNAL_LINKS")["result"]


def test_links_to_text_and_to_arrow(api: ApiClient) -> None:
    answer = api.run("SELECT * FROM range(3)", disposition="EXTERNAL_LINKS", format="CSV")
    (link,) = answer["result"]["external_links"]
    text = api.follow(link["external_link"]).decode()
    assert list(csv.reader(io.StringIO(text))) == [["id"], ["0"], ["1"], ["2"]]
    assert text.startswith("id\r\n")
    assert link["expiration"].endswith("Z")
    answer = api.run("SELECT * FROM range(3)", disposition="EXTERNAL_LINKS")
    (link,) = answer["result"]["external_links"]
    assert json.loads(api.follow(link["external_link"])) == [["0"], ["1"], ["2"]]
    answer = api.run(
        "SELECT * FROM range(3)",
        disposition="EXTERNAL_LINKS",
        format="ARROW_STREAM",
        result_compression="LZ4_FRAME",
    )
    (link,) = answer["result"]["external_links"]
    stream = lz4.frame.decompress(api.follow(link["external_link"]))
    assert pa.ipc.open_stream(stream).read_all().to_pydict() == {"id": [0, 1, 2]}


def test_a_small_result_is_attached_where_the_client_takes_either(api: ApiClient) -> None:
    answer = api.run(
        "SELECT * FROM range(3)",
        disposition="INLINE_OR_EXTERNAL_LINKS",
        format="ARROW_STREAM",
        result_compression="LZ4_FRAME",
    )
    assert answer["manifest"]["result_compression"] == "LZ4_FRAME"
    frame = base64.b64decode(answer["result"]["attachment"])
    assert pa.ipc.open_stream(lz4.frame.decompress(frame)).read_all()["id"].to_pylist() == [0, 1, 2]
    answer = api.run(
        "SELECT * FROM range(200000)", disposition="INLINE_OR_EXTERNAL_LINKS", format="ARROW_STREAM"
    )
    assert "external_links" in answer["result"]


def test_chunks_follow_each_other(api: ApiClient) -> None:
    answer = api.run("SELECT * FROM range(2500000)", disposition="EXTERNAL_LINKS")
    identifier, chunks = answer["statement_id"], answer["manifest"]["chunks"]
    assert len(chunks) == answer["manifest"]["total_chunk_count"] == 3
    seen, path = 0, None
    part = answer["result"]
    for number, chunk in enumerate(chunks):
        (link,) = part["external_links"]
        assert link["chunk_index"] == number
        assert link["row_offset"] == chunk["row_offset"] == seen
        seen += link["row_count"]
        path = link.get("next_chunk_internal_link")
        if path is not None:
            status, part = api.json("GET", path)
            assert status == 200
    assert (seen, path) == (2500000, None)
    status, refused = api.json("GET", f"{STATEMENTS}/{identifier}/result/chunks/3")
    assert (status, refused["error_code"]) == (404, "NOT_FOUND")


def test_an_error_has_its_class_and_state(api: ApiClient) -> None:
    status = api.run("SELECT 1/0")["status"]
    assert (status["state"], status["sql_state"]) == ("FAILED", "22012")
    assert status["error"]["error_code"] == "BAD_REQUEST"
    assert status["error"]["message"].startswith("[DIVIDE_BY_ZERO]")
    assert api.warehouse.requests[-1].error == status["error"]["message"]


def test_waiting_polling_and_cancelling(api: ApiClient) -> None:
    answer = api.run("SELECT sleep(60)", wait_timeout="0s")
    identifier = answer["statement_id"]
    assert answer["status"]["state"] in ("PENDING", "RUNNING")
    assert "manifest" not in answer
    assert api.json("POST", f"{STATEMENTS}/{identifier}/cancel")[1] == {}
    wait_until(lambda: _state(api, identifier) == "CANCELED")
    identifier = api.run("SELECT * FROM range(2)", wait_timeout="0s")["statement_id"]
    wait_until(lambda: _state(api, identifier) == "SUCCEEDED")
    _, answer = api.json("GET", f"{STATEMENTS}/{identifier}")
    assert answer["result"]["data_array"] == [["0"], ["1"]]
    assert api.json("DELETE", f"{STATEMENTS}/{identifier}")[1] == {}
    status, answer = api.json("GET", f"{STATEMENTS}/{identifier}")
    assert (status, answer["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


def _state(api: ApiClient, identifier: str) -> str:
    return str(api.json("GET", f"{STATEMENTS}/{identifier}")[1]["status"]["state"])


def test_what_takes_too_long_is_cancelled_on_request(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statement_api.statement_request, "_seconds", lambda _value: 0.05)
    answer = api.run("SELECT sleep(60)", on_wait_timeout="CANCEL")
    assert answer["status"]["state"] == "CANCELED"


def test_sessions_keep_their_state_and_end(api: ApiClient) -> None:
    session = api.open(catalog="Main", schema="S", session_confs={"timezone": "Europe/Paris"})
    assert api.run("SELECT namespace", session_id=session)["status"]["state"] == "SUCCEEDED"
    assert api.warehouse.session_count == 1
    status, answer = api.send("SELECT 1", session_id=session, schema="x")
    assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert api.json("DELETE", f"{SESSIONS}/{session}")[0] == 200
    assert api.warehouse.session_count == 0
    status, answer = api.send("SELECT 1", session_id=session)
    assert (status, answer["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_a_statement_alone_leaves_no_session(api: ApiClient) -> None:
    for _ in range(3):
        api.run("SELECT 1")
    assert api.warehouse.session_count == 0


def test_a_statement_that_nobody_asks_for_lets_its_session_go(api: ApiClient) -> None:
    identifier = api.run("SELECT 1", wait_timeout="0s")["statement_id"]
    wait_until(lambda: api.warehouse.requests[0].executed is True)
    api.run("SELECT 2")
    assert api.warehouse.session_count == 0
    assert api.json("GET", f"{STATEMENTS}/{identifier}")[1]["result"]["data_array"] == [["1"]]


def test_many_who_poll_at_once_see_the_whole_result(api: ApiClient) -> None:
    begun = api.run("SELECT * FROM range(300000)", wait_timeout="0s")
    path = f"{STATEMENTS}/{begun['statement_id']}"

    def rows(_number: int) -> int:
        with ApiClient(api.warehouse) as client:
            while True:
                answer = client.json("GET", path)[1]
                if answer["status"]["state"] == "SUCCEEDED":
                    return len(answer["result"]["data_array"])

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(rows, range(8))) == {300_000}


def test_a_setting_that_is_not_there_is_refused_by_name() -> None:
    with LocalWarehouse() as warehouse, ApiClient(warehouse) as client:
        body = {"warehouse_id": warehouse.warehouse_id, "session_confs": {"ANSI_MODE": "false"}}
        status, answer = client.json("POST", SESSIONS, json.dumps(body).encode())
        assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
        assert "[UNSUPPORTED_BY_LOCAL_WAREHOUSE]" in answer["message"]
        assert "ANSI_MODE = false" in answer["message"]
        refused = client.run("PUT '/tmp/x' INTO '/Volumes/main/default/v/x'")["status"]
        assert refused["state"] == "FAILED"


def test_results_are_kept_for_so_many_statements(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statement_api, "KEPT_STATEMENTS", 2)
    first, *_, last = [api.run("SELECT 1")["statement_id"] for _ in range(5)]
    assert api.json("GET", f"{STATEMENTS}/{first}")[0] == 404
    assert api.json("GET", f"{STATEMENTS}/{last}")[0] == 200
    monkeypatch.setattr(statement_api, "KEPT_SECONDS", -1.0)
    api.run("SELECT 1")
    assert api.json("GET", f"{STATEMENTS}/{last}")[0] == 404


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"wait_timeout": "3s"}, "wait_timeout"),
        ({"wait_timeout": "51s"}, "wait_timeout"),
        ({"on_wait_timeout": "STOP"}, "on_wait_timeout"),
        ({"disposition": "NOWHERE"}, "disposition"),
        ({"format": "ARROW_STREAM"}, "INLINE"),
        ({"format": "CSV"}, "INLINE"),
        ({"format": "CSV", "disposition": "INLINE_OR_EXTERNAL_LINKS"}, "CSV"),
        ({"row_limit": 0}, "row_limit"),
        ({"row_limit": "many"}, "row_limit"),
        ({"byte_limit": True}, "byte_limit"),
        ({"statement": ""}, "statement"),
        ({"warehouse_id": None}, "warehouse_id"),
        ({"parameters": {}}, "parameters"),
        ({"parameters": [{"value": "1"}]}, "name or an ordinal"),
        ({"parameters": [{"name": "a", "ordinal": 1}]}, "name or an ordinal"),
        ({"parameters": [{"name": "a", "value": 1}]}, "text or null"),
        ({"parameters": [{"name": "a"}, {"ordinal": 1}]}, "ordinals"),
        ({"parameters": [{"name": "a", "colour": "red"}]}, "colour"),
        ({"query_tags": {"a": "b"}}, "query_tags"),
    ],
)
def test_what_cannot_be_understood_is_refused(
    api: ApiClient, fields: dict[str, object], word: str
) -> None:
    status, answer = api.send(**{"statement": "SELECT 1", **fields})  # type: ignore[arg-type]
    assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert word in answer["message"]
    assert api.warehouse.engine.executed == []  # type: ignore[attr-defined]


def test_a_field_that_is_not_known_is_refused_by_name(api: ApiClient) -> None:
    status, answer = api.send("SELECT 1", rowlimit=3)
    assert (status, answer["error_code"]) == (400, "UNSUPPORTED_BY_LOCAL_WAREHOUSE")
    assert "'rowlimit'" in answer["message"]
    assert api.json("POST", STATEMENTS, b"[1]")[1]["error_code"] == "MALFORMED_REQUEST"
    assert api.json("POST", STATEMENTS, b"{")[1]["error_code"] == "MALFORMED_REQUEST"
    assert api.json("GET", STATEMENTS)[1]["error_code"] == "ENDPOINT_NOT_FOUND"


def test_parameters_reach_the_engine_and_the_log(api: ApiClient) -> None:
    api.run(
        "SELECT parameters",
        parameters=[
            {"ordinal": 2, "type": "INT", "value": "5"},
            {"ordinal": 1, "value": None},
        ],
    )
    assert api.warehouse.requests[-1].parameters == ((None, "STRING", None), (None, "INT", "5"))


def test_a_secret_is_masked(api: ApiClient) -> None:
    token = api.warehouse.access_token
    api.run(
        f"SELECT raise_error('{token}')",
        parameters=[{"name": "a", "value": token}],
        query_tags=[{"key": "k", "value": token}],
    )
    assert token not in str(api.warehouse.requests)
    _, history = api.json("GET", "/api/2.0/sql/history/queries")
    assert token not in str(history)
    assert history["res"][0]["query_tags"][0]["key"] == "k"


def test_without_a_token_nothing_is_read(api: ApiClient) -> None:
    body = json.dumps({"statement": "SELECT 1", "warehouse_id": api.warehouse.warehouse_id})
    assert api.request("POST", STATEMENTS, body.encode(), token=None)[0] == 401
    assert api.request("POST", STATEMENTS, body.encode(), token="wrong")[0] == 403
    status, answer = api.send("SELECT 1", warehouse_id="other")
    assert (status, answer["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_faults_and_records_have_the_names_of_thrift(api: ApiClient) -> None:
    api.warehouse.inject(
        Fault.http(429, operation="ExecuteStatement", retry_after=3),
        Fault.http(500, operation="ExecuteStatement", executed=True),
        Fault.commit_conflict(operation="ExecuteStatement"),
    )
    status, answer = api.send("SELECT 1")
    assert (status, answer["error_code"]) == (429, "REQUEST_LIMIT_EXCEEDED")
    assert api.warehouse.requests[-1].executed is False
    assert api.send("INSERT INTO t VALUES (1), (2), (3)")[0] == 500
    assert api.warehouse.requests[-1].executed is True
    status, answer = api.send("SELECT 1")
    assert answer["status"]["error"]["message"].startswith("[DELTA_CONCURRENT_APPEND")
    session = api.open()
    api.warehouse.inject(Fault.session_lost(operation="ExecuteStatement"))
    assert api.send("SELECT 1", session_id=session)[0] == 404
    assert api.warehouse.session_count == 0
    names = [record.operation for record in api.warehouse.requests]
    assert names == ["ExecuteStatement"] * 3 + ["OpenSession", "ExecuteStatement"]


def test_a_cold_start_refuses_and_then_serves(api: ApiClient) -> None:
    api.warehouse.inject(
        Fault.cold_start(stopped=60, seconds=60, retry_after=2, operation="ExecuteStatement")
    )
    status, headers, _ = api.request(
        "POST",
        STATEMENTS,
        json.dumps({"statement": "SELECT 1", "warehouse_id": api.warehouse.warehouse_id}).encode(),
    )
    assert (status, headers["retry-after"]) == (503, "2")
    assert api.warehouse.state == "STOPPED"


def test_sessions_below_the_warehouse(api: ApiClient) -> None:
    path = f"/api/2.0/sql/warehouses/{api.warehouse.warehouse_id}/sessions"
    session = api.json("POST", path, b"{}")[1]["session_id"]
    status, answer = api.json(
        "POST", f"{path}/{session}/statements", json.dumps({"statement": "SELECT 7"}).encode()
    )
    assert (status, answer["result"]["data_array"]) == (200, [["7"]])
    body = json.dumps({"statement": "SELECT 7", "warehouse_id": "other"}).encode()
    assert api.json("POST", f"{path}/{session}/statements", body)[0] == 400
    assert api.json("DELETE", f"{path}/{session}")[0] == 200
