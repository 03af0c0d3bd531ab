"""The query history, as the vendor's SDK asks for it, of what the vendor's driver has sent."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.config import Config
from databricks.sdk.errors import BadRequest, InternalError, NotFound, PermissionDenied
from databricks.sdk.service.sql import (
    ListQueriesResponse,
    QueryFilter,
    QueryInfo,
    QueryStatementType,
    QueryStatus,
    TimeRange,
)
from databricks.sql.utils import serialize_query_tags
from hypothesis import given
from hypothesis import strategies as st

from tests.patience import PATIENCE_S, hold_clock, wait_until
from tests.warehouse.driver import sql
from tests.warehouse.wire.client import WireClient
from vinci_code.warehouse import LocalWarehouse
from vinci_code.warehouse.engine import query_tags
from vinci_code.warehouse.faults import HISTORY, Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse
from vinci_code.warehouse.wire import gateway, history, operations
from vinci_code.warehouse.wire.history import HistoryEntry, QueryHistory

TAG = {"test": "history"}


@pytest.fixture
def workspace(local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch) -> WorkspaceClient:
    """The SDK's client, which trusts the local warehouse."""
    warehouse = local_warehouse.warehouse
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(warehouse.ca_file))
    for name in ("DATABRICKS_HOST", "DATABRICKS_TOKEN", "DATABRICKS_CONFIG_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    config = Config(
        host=f"https://{warehouse.host}:{warehouse.port}",
        token=warehouse.access_token,
        retry_timeout_seconds=1,
    )
    return WorkspaceClient(config=config)


@pytest.fixture
def cursor(local_warehouse: TestWarehouse) -> Iterator[Any]:
    """A cursor of the driver."""
    with sql.connect(**local_warehouse.connect_args) as connection, connection.cursor() as opened:
        yield opened


def entries(answer: ListQueriesResponse) -> list[QueryInfo]:
    return answer.res or []


def newest(workspace: WorkspaceClient) -> QueryInfo:
    """The entry of the statement before, once it is final."""
    found: list[QueryInfo] = []

    def is_final() -> bool:
        found[:] = entries(workspace.query_history.list(max_results=1))
        return bool(found[0].is_final)

    wait_until(is_final, "the end of the statement")
    return found[0]


def tags_of(entry: QueryInfo) -> dict[str, str | None]:
    return {tag.key: tag.value for tag in entry.query_tags or []}


def test_an_entry_says_what_a_statement_was_and_became(
    workspace: WorkspaceClient, cursor: Any, local_warehouse: TestWarehouse
) -> None:
    before = time.time() * 1000
    cursor.execute("SELECT * FROM range(3)")
    entry = newest(workspace)
    assert entry.query_id == cursor.query_id
    assert (entry.status, entry.is_final) == (QueryStatus.FINISHED, True)
    assert entry.query_text == "SELECT * FROM range(3)"
    assert entry.statement_type is QueryStatementType.SELECT
    assert entry.rows_produced == 3
    assert entry.error_message is None
    assert entry.warehouse_id == local_warehouse.warehouse.warehouse_id
    (sent,) = [r for r in local_warehouse.requests if r.statement == entry.query_text]
    assert entry.session_id == sent.session_id
    assert entry.user_name == "local@warehouse"
    assert "PyDatabricksSqlConnector" in str(entry.client_application)
    assert entry.query_start_time_ms is not None
    assert entry.execution_end_time_ms is not None
    assert before - 1 <= entry.query_start_time_ms <= entry.execution_end_time_ms
    assert entry.execution_end_time_ms <= time.time() * 1000 + 1


def test_what_a_client_closes_at_once_is_finished_all_the_same(
    workspace: WorkspaceClient, cursor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker may come to its end only when the client has closed what it was told of."""
    note, closed = operations.Operation._note_end, threading.Event()

    def note_late(self: operations.Operation, failure: str | None) -> None:
        # Not while it holds the lock: that is before the client is told.
        if not self._condition._is_owned():  # type: ignore[attr-defined]
            closed.wait(PATIENCE_S)
        note(self, failure)

    monkeypatch.setattr(operations.Operation, "_note_end", note_late)
    cursor.execute("SELECT 'closed at once'")
    cursor.close()
    closed.set()
    entry = newest(workspace)
    assert (entry.query_text, entry.status) == ("SELECT 'closed at once'", QueryStatus.FINISHED)


def test_what_failed_and_what_was_cancelled(workspace: WorkspaceClient, cursor: Any) -> None:
    with pytest.raises(sql.Error):
        cursor.execute("SELECT * FROM nowhere")
    entry = newest(workspace)
    assert (entry.status, entry.is_final) == (QueryStatus.FAILED, True)
    assert "TABLE_OR_VIEW_NOT_FOUND" in str(entry.error_message)
    cursor.execute_async("SELECT count(*) FROM range(30000000000) a WHERE sqrt(id) < 0")
    running = entries(workspace.query_history.list(max_results=1))[0]
    assert running.status in (QueryStatus.QUEUED, QueryStatus.RUNNING)
    assert not running.is_final
    cursor.cancel()
    entry = newest(workspace)
    assert entry.query_id == running.query_id
    assert (entry.status, entry.is_final) == (QueryStatus.CANCELED, True)


def test_the_end_of_a_session_is_in_the_history(
    workspace: WorkspaceClient, local_warehouse: TestWarehouse
) -> None:
    with sql.connect(**local_warehouse.connect_args) as connection:
        cursor = connection.cursor()
        cursor.execute_async("SELECT count(*) FROM range(30000000000) a WHERE sqrt(id) < 0")
    entry = newest(workspace)
    assert (entry.status, entry.is_final) == (QueryStatus.CANCELED, True)


def test_tags_of_the_session_and_of_the_statement(
    workspace: WorkspaceClient, local_warehouse: TestWarehouse
) -> None:
    hard = {"a": "x:y,z\\", "b": None, "c\\d": "e"}
    with sql.connect(**local_warehouse.connect_args, query_tags=hard) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT 1")
        assert tags_of(newest(workspace)) == hard
        cursor.execute("SELECT 1", query_tags={"a": "mine", "id": "7"})
        assert tags_of(newest(workspace)) == {**hard, "a": "mine", "id": "7"}
        cursor.execute("SELECT 1")
        assert tags_of(newest(workspace)) == hard


def test_set_query_tags(workspace: WorkspaceClient, cursor: Any) -> None:
    cursor.execute("SET QUERY_TAGS['team'] = 'it''s: a, b', QUERY_TAGS['cost_center'] = ' 701 '")
    cursor.execute("SET QUERY_TAGS['team'] = 'new', QUERY_TAGS['env'] = '', QUERY_TAGS['x'] = NULL")
    cursor.execute("SET QUERY_TAGS['x'] = UNSET")
    wanted = {"team": "new", "cost_center": "701", "env": None}
    cursor.execute("SET QUERY_TAGS")
    assert cursor.fetchall() == list(wanted.items())
    cursor.execute("SELECT 1")
    assert tags_of(newest(workspace)) == wanted
    for wrong in (
        "SET QUERY_TAGS['a'] 'b'",
        "SET QUERY_TAGS[a] = 'b'",
        "SET QUERY_TAGS['a'] = 'b',",
    ):
        with pytest.raises(sql.Error, match="PARSE_SYNTAX_ERROR"):
            cursor.execute(wrong)


@given(
    st.dictionaries(
        st.text(alphabet="ab\\ ", min_size=1).map(str.strip).filter(bool),
        st.none() | st.text(alphabet="ab:,\\").filter(bool),
        max_size=4,
    )
)
def test_tags_come_back_as_the_driver_writes_them(tags: dict[str, str | None]) -> None:
    text = serialize_query_tags(tags) or ""
    assert query_tags.parse(text) == tags
    assert query_tags.serialize(tags) == text


def test_filters(workspace: WorkspaceClient, cursor: Any, local_warehouse: TestWarehouse) -> None:
    ids = []
    moments = []
    for number in range(4):
        moments.append(int(time.time() * 1000))
        cursor.execute(f"SELECT {number}")
        ids.append(cursor.query_id)
        newest(workspace)
        time.sleep(0.003)
    with pytest.raises(sql.Error):
        cursor.execute("SELECT nothing")
    newest(workspace)

    def found(**filters: Any) -> list[str | None]:
        answer = workspace.query_history.list(filter_by=QueryFilter(**filters), max_results=20)
        return [entry.query_id for entry in entries(answer)]

    this = local_warehouse.warehouse.warehouse_id
    assert found(statement_ids=[ids[2], ids[0]]) == [ids[2], ids[0]]
    assert found(statement_ids=ids, statuses=[QueryStatus.FAILED]) == []
    assert len(found(statuses=[QueryStatus.FAILED, QueryStatus.CANCELED])) >= 1
    assert found(statement_ids=ids, warehouse_ids=["another", this]) == ids[::-1]
    assert found(statement_ids=ids, warehouse_ids=["another"]) == []
    assert found(statement_ids=ids, user_ids=[1]) == ids[::-1]
    assert found(statement_ids=ids, user_ids=[2]) == []
    since = TimeRange(start_time_ms=moments[2])
    assert found(statement_ids=ids, query_start_time_range=since) == [ids[3], ids[2]]
    until = TimeRange(start_time_ms=moments[0], end_time_ms=moments[1] - 1)
    assert found(statement_ids=ids, query_start_time_range=until) == [ids[0]]


def test_pages(workspace: WorkspaceClient, cursor: Any) -> None:
    for number in range(5):
        cursor.execute(f"SELECT {number} AS paged")
    texts: list[str | None] = []
    token = None
    while len(texts) < 5:
        answer = workspace.query_history.list(max_results=2, page_token=token)
        texts += [entry.query_text for entry in entries(answer)]
        token = answer.next_page_token
        # What comes meanwhile moves no page.
        cursor.execute("SELECT 'meanwhile'")
        if not answer.has_next_page:
            break
    assert texts[:5] == [f"SELECT {number} AS paged" for number in (4, 3, 2, 1, 0)]


@pytest.mark.parametrize(
    "query",
    [
        "max_results=0",
        "max_results=1000",
        "max_results=x",
        "page_token=%3D%3D",
        "page_token=QUJD",
        "filter_by.nothing=1",
        "filter_by.statuses=GONE",
        "&".join(
            f"filter_by.query_start_time_range.{end}_time_ms={moment}"
            for end, moment in (("start", 1), ("end", 2_592_000_002))
        ),
    ],
)
def test_what_cannot_be_asked(query: str, local_warehouse: TestWarehouse) -> None:
    with WireClient(local_warehouse.warehouse) as client:
        status, _, body = client.request("GET", f"/api/2.0/sql/history/queries?{query}")
    assert status == 400
    assert b"INVALID_PARAMETER_VALUE" in body


def test_it_asks_for_the_token(local_warehouse: TestWarehouse) -> None:
    with WireClient(local_warehouse.warehouse) as client:
        assert client.request("GET", "/api/2.0/sql/history/queries", token=None)[0] == 401
        assert client.request("GET", "/api/2.0/sql/history/queries")[0] == 200


@pytest.mark.parametrize(
    ("status", "error"),
    [(403, PermissionDenied), (404, NotFound), (500, InternalError), (400, BadRequest)],
)
def test_it_is_refused(
    status: int,
    error: type[Exception],
    workspace: WorkspaceClient,
    local_warehouse: TestWarehouse,
) -> None:
    local_warehouse.inject(Fault.http(status, operation=HISTORY))
    with pytest.raises(error):
        workspace.query_history.list()
    workspace.query_history.list()


@pytest.mark.parametrize(
    "fault",
    [Fault.history_late(0.6, statement="late"), Fault.history_hidden(statement="late")],
    ids=lambda fault: fault.kind,
)
def test_entries_that_come_late_or_never(
    fault: Fault,
    workspace: WorkspaceClient,
    cursor: Any,
    local_warehouse: TestWarehouse,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = hold_clock(monkeypatch, gateway, history)
    local_warehouse.inject(fault)
    cursor.execute("SELECT 'late'")
    assert local_warehouse.requests[-1].fault == fault.kind
    wanted = QueryFilter(statement_ids=[cursor.query_id])

    def is_shown() -> bool:
        return bool(entries(workspace.query_history.list(filter_by=wanted)))

    clock.move_on(0.5)
    assert not is_shown()
    clock.move_on(0.2)
    assert is_shown() == (fault.kind == "history_late")


def test_it_comes_beside_the_fault_that_a_request_is_hit_by(
    workspace: WorkspaceClient, cursor: Any, local_warehouse: TestWarehouse
) -> None:
    local_warehouse.inject(
        Fault.history_hidden(statement="both"), Fault.http(500, statement="both", executed=True)
    )
    with pytest.raises(sql.Error):
        cursor.execute("SELECT 'both'")
    assert not local_warehouse.warehouse.faults.pending
    assert entries(workspace.query_history.list(max_results=1))[0].query_text != "SELECT 'both'"


def test_what_never_arrived_is_not_in_it(
    workspace: WorkspaceClient, cursor: Any, local_warehouse: TestWarehouse
) -> None:
    local_warehouse.inject(Fault.http(500, statement="lost"))
    with pytest.raises(sql.Error):
        cursor.execute("SELECT 'lost'")
    assert entries(workspace.query_history.list(max_results=1))[0].query_text != "SELECT 'lost'"


def test_what_was_committed_is_finished_though_its_session_was_ended(
    workspace: WorkspaceClient, local_warehouse: TestWarehouse, cursor: Any
) -> None:
    """An answer that nobody gets, and a session that ends meanwhile, change nothing of it."""
    cursor.execute("CREATE TABLE t (a INT)")
    for number in range(5):
        with sql.connect(**local_warehouse.connect_args) as connection:
            connection.cursor().execute_async(f"INSERT INTO t VALUES ({number})")
        entry = newest(workspace)
        assert entry.query_text == f"INSERT INTO t VALUES ({number})"
        cursor.execute(f"SELECT count(*) FROM t WHERE a = {number}")
        there = cursor.fetchone()[0] == 1
        assert (entry.status is QueryStatus.FINISHED) == there
        newest(workspace)


def _entry(text: str) -> HistoryEntry:
    return HistoryEntry("id", text, {}, "session", "user", "client")


@pytest.mark.parametrize(
    ("sizes", "kept"),
    [([1] * 10, 4), ([60, 60, 60], 1), ([20, 20, 70], 2), ([200], 1), ([10, 200, 10], 1)],
)
def test_its_memory_is_bounded(sizes: list[int], kept: int) -> None:
    history = QueryHistory("w", entries=4, text_bytes=100)
    for size in sizes:
        history.begin(_entry("x" * size))
    assert len(history) == kept


def test_it_holds_no_token() -> None:
    with LocalWarehouse() as warehouse:
        token = warehouse.access_token
        with sql.connect(**warehouse.connect_args) as connection:
            connection.cursor().execute(f"SELECT '{token}'", query_tags={"t": token})
        with WireClient(warehouse) as client:
            _, _, body = client.request("GET", "/api/2.0/sql/history/queries")
    assert b"********" in body
    assert token.encode() not in body


TYPES = {
    "SELECT 1": "SELECT",
    "(VALUES (1)) LIMIT 1": "SELECT",
    "WITH a AS (SELECT 1) SELECT * FROM a": "SELECT",
    "/* first */ -- second\n insert INTO t VALUES (1)": "INSERT",
    "BEGIN": "OTHER",
    "/* never closed": "OTHER",
    "": "OTHER",
}


@pytest.mark.parametrize("text", TYPES)
def test_the_type_of_a_statement_is_what_its_first_word_says(text: str) -> None:
    assert _entry(text).as_json("w", metrics=False)["statement_type"] == TYPES[text]
