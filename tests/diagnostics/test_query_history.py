"""The list of what the warehouse ran, against the local warehouse and against hostile answers."""

from __future__ import annotations

import datetime as dt
import json
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import BigInteger, Column, Engine, MetaData, String, Table, insert, select, text
from sqlalchemy.exc import DBAPIError

from tests.diagnostics.stopping import stopped
from tests.fakes.certificates import Authority
from tests.fakes.workspace import WAREHOUSE_ID, FakeWorkspace
from vinci_code.core.config import Settings
from vinci_code.core.errors import AuthenticationError, DatabricksConnectionError
from vinci_code.database.databricks_connector import DatabricksConnector
from vinci_code.diagnostics import asking, query_history
from vinci_code.diagnostics.query_history import (
    Found,
    HistoryQuestion,
    list_statements,
    own_user_id,
)
from vinci_code.diagnostics.ran import RanStatement, page_of, read_entry, shown_error, shown_text
from vinci_code.warehouse import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse

PATH = "/api/2.0/sql/history/queries"
NOW = dt.datetime(2026, 11, 30, 12, tzinfo=dt.timezone.utc)
TOKEN = "dapi" + "0f1e2d3c" * 4


def milliseconds(moment: dt.datetime) -> int:
    return int(moment.timestamp() * 1000)


# --- against the local warehouse ------------------------------------------------------------------


@pytest.fixture
def connector(
    local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DatabricksConnector]:
    for name, value in local_warehouse.env.items():
        monkeypatch.setenv(name, value)
    with DatabricksConnector() as opened:
        yield opened


@pytest.fixture
def orders(warehouse_engine: Engine) -> Table:
    columns = Column("id", BigInteger, primary_key=True), Column("customer", String)
    table = Table("orders", MetaData(), *columns)
    table.create(warehouse_engine)
    return table


def since_now() -> HistoryQuestion:
    return HistoryQuestion(dt.datetime.now(dt.timezone.utc) - dt.timedelta(milliseconds=1))


def test_the_list_agrees_with_the_record(
    connector: DatabricksConnector,
    local_warehouse: TestWarehouse,
    warehouse_engine: Engine,
    orders: Table,
) -> None:
    question = since_now()
    local_warehouse.warehouse.clear_requests()
    with warehouse_engine.begin() as connection:
        connection.execute(insert(orders), [{"customer": "Ada"}, {"customer": "Grace"}])
    with warehouse_engine.connect() as connection:
        assert len(connection.execute(select(orders)).all()) == 2
    with warehouse_engine.connect() as connection, pytest.raises(DBAPIError) as caught:
        connection.execute(text("SELECT * FROM nowhere"))
    record = [request for request in local_warehouse.requests if request.statement]
    found = list_statements(connector, question)
    assert found.is_whole
    listed = [ran for ran in found.statements if ran.session_id in {r.session_id for r in record}]
    # Newest first.
    assert [ran.text for ran in reversed(listed)] == [request.statement for request in record]
    assert [ran.statement_id for ran in reversed(listed)] == [r.operation_id for r in record]
    failed, read, written = listed
    assert (written.kind, read.kind, failed.kind) == ("INSERT", "SELECT", "SELECT")
    assert [ran.status for ran in listed] == ["FAILED", "FINISHED", "FINISHED"]
    assert all(ran.is_final and ran.user == "local@warehouse" for ran in listed)
    assert (read.rows, failed.rows) == (2, None)
    assert failed.statement_id == caught.value.orig.statement_id  # type: ignore[union-attr]
    assert (failed.error_class, failed.sqlstate) == ("TABLE_OR_VIEW_NOT_FOUND", "42P01")
    tagged = [request.configuration.get("query_tags") for request in record]
    assert [
        f"vinci_unit:{ran.unit}" in (tags or "")
        for ran, tags in zip(reversed(listed), tagged, strict=True)
    ] == [True] * 3
    assert len({written.unit, read.unit, failed.unit}) == 3
    for ran, request in zip(reversed(listed), record, strict=True):
        assert ran.duration_ms is not None
        assert ran.execution_ms is not None
        assert ran.duration_ms <= request.duration * 1000 + 2
        assert ran.execution_ms <= ran.duration_ms + 1
        assert ran.started is not None
        assert abs(ran.started.timestamp() - request.started) < 1
        assert ran.compute_wait_ms is None


def test_it_can_be_narrowed(
    connector: DatabricksConnector, warehouse_engine: Engine, orders: Table
) -> None:
    question = since_now()
    with warehouse_engine.begin() as connection:
        connection.execute(insert(orders), [{"customer": "Ada"}])
    with warehouse_engine.connect() as connection, pytest.raises(DBAPIError):
        connection.execute(text("SELECT * FROM nowhere"))
    (failed,) = list_statements(
        connector, HistoryQuestion(question.since, statuses=("FAILED",))
    ).statements
    assert failed.error_class == "TABLE_OR_VIEW_NOT_FOUND"
    everything = list_statements(connector, question).statements
    (newest,) = list_statements(connector, HistoryQuestion(question.since, limit=1)).statements
    assert newest == everything[0]
    (unit,) = {ran.unit for ran in everything if ran.kind == "INSERT"}
    of_unit = HistoryQuestion(question.since, keep=lambda ran: ran.unit == unit)
    assert [ran.kind for ran in list_statements(connector, of_unit).statements] == ["INSERT"]
    own = HistoryQuestion(question.since, user_id=own_user_id(connector))
    assert list_statements(connector, own).statements == everything
    others = HistoryQuestion(question.since, user_id="999")
    assert list_statements(connector, others).statements == ()
    earlier = HistoryQuestion(question.since, until=question.since)
    assert list_statements(connector, earlier).statements == ()


def test_a_warehouse_that_is_stopped_stays_so(
    connector: DatabricksConnector, local_warehouse: TestWarehouse
) -> None:
    with stopped(connector):
        list_statements(connector, since_now())
        own_user_id(connector)
        assert local_warehouse.warehouse.state == "STOPPED"


def test_it_is_waited_for_where_the_workspace_is_busy(
    connector: DatabricksConnector, local_warehouse: TestWarehouse
) -> None:
    local_warehouse.inject(Fault.http(429, retry_after=0, operation=f"GET {PATH}", times=1))
    list_statements(connector, since_now())
    asked = [request.status for request in local_warehouse.requests if PATH in request.operation]
    assert asked == [429, 200]


REFUSALS = {
    401: (AuthenticationError, "did not accept the personal access token", "create a new one"),
    403: (AuthenticationError, "does not show the query history", "CAN MONITOR"),
    404: (DatabricksConnectionError, "status 404", "DATABRICKS_SERVER_HOSTNAME"),
    400: (DatabricksConnectionError, "status 400", "DATABRICKS_HTTP_PATH"),
    429: (DatabricksConnectionError, "takes no question", "try again in 3600 s"),
    503: (DatabricksConnectionError, "takes no question", "try again in 3600 s"),
    500: (DatabricksConnectionError, "the error 500", "try again in a few minutes"),
}


@pytest.mark.parametrize("status", REFUSALS)
def test_a_refusal_says_what_to_do(
    connector: DatabricksConnector, local_warehouse: TestWarehouse, status: int
) -> None:
    fault = Fault.http(
        status, retry_after=3600, message=f"because of {TOKEN}", operation=f"GET {PATH}", times=1
    )
    local_warehouse.inject(fault)
    kind, happened, step = REFUSALS[status]
    with pytest.raises(kind) as caught:
        list_statements(connector, since_now())
    message = str(caught.value)
    assert happened in message
    assert step in message
    assert type(caught.value) is kind
    assert TOKEN not in message


def test_a_wrong_token_is_told_from_a_missing_right(
    connector: DatabricksConnector, local_warehouse: TestWarehouse
) -> None:
    local_warehouse.warehouse.credentials.revoke(local_warehouse.warehouse.access_token)
    with pytest.raises(AuthenticationError, match="did not accept the personal access token"):
        list_statements(connector, since_now())


# --- against what no workspace should answer ------------------------------------------------------


class History:
    """A history of entries, in pages, as a workspace answers it."""

    def __init__(self, entries: list[Any], page: int = 100) -> None:
        self.entries = entries
        self.page = page
        self.questions: list[dict[str, list[str]]] = []

    def __call__(self, query: str) -> tuple[int, bytes, dict[str, str]]:
        asked = urllib.parse.parse_qs(query)
        self.questions.append(asked)
        begin = int(asked.get("page_token", ["0"])[0])
        end = begin + min(self.page, int(asked["max_results"][0]))
        answer: dict[str, Any] = {"res": self.entries[begin:end]}
        if end < len(self.entries):
            answer.update(next_page_token=str(end), has_next_page=True)
        return 200, json.dumps(answer).encode(), {}


Asks = Callable[..., Found]


@pytest.fixture
def ask(workspace: FakeWorkspace, authority: Authority) -> Asks:
    """Ask a workspace that answers with whatever is given: an object, or bytes."""

    def run(answer: Any, **question: Any) -> Found:
        given = answer
        if not callable(answer):
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            given = lambda _: (200, body, {})  # noqa: E731
        workspace.answers[PATH] = given
        connector = DatabricksConnector(Settings(database=workspace.settings(authority)))
        with connector:
            return list_statements(
                connector, HistoryQuestion(NOW - dt.timedelta(hours=1), **question)
            )

    return run


def entry(number: int, **more: Any) -> dict[str, Any]:
    started = milliseconds(NOW) - 1000 * number
    return {"query_id": f"q{number}", "status": "FINISHED", "is_final": True,
            "query_start_time_ms": started, **more}  # fmt: skip


def test_pages_are_read_to_the_end_and_no_further(ask: Asks) -> None:
    history = History([entry(n) for n in range(25)], page=10)
    found = ask(history)
    assert [ran.statement_id for ran in found.statements] == [f"q{n}" for n in range(25)]
    assert (found.looked_at, found.is_whole, len(history.questions)) == (25, True, 3)
    assert found.reached == NOW - dt.timedelta(seconds=24)
    history = History([entry(n) for n in range(25)], page=10)
    found = ask(history, limit=10)
    # Whether there are more is known when the next page is seen.
    assert (len(found.statements), found.is_whole, len(history.questions)) == (10, False, 2)
    assert ask(History([entry(n) for n in range(10)]), limit=10).is_whole


def test_the_workspace_is_asked_by_the_documented_names(ask: Asks) -> None:
    history = History([])
    ask(history, until=NOW, user_id="7", statuses=("FAILED",), limit=5)
    assert history.questions == [
        {
            "filter_by.warehouse_ids": [WAREHOUSE_ID],
            "filter_by.query_start_time_range.start_time_ms": [str(milliseconds(NOW) - 3_600_000)],
            "filter_by.query_start_time_range.end_time_ms": [str(milliseconds(NOW))],
            "filter_by.user_ids": ["7"],
            "filter_by.statuses": ["FAILED"],
            "include_metrics": ["true"],
            "max_results": ["100"],
        }
    ]


def test_what_was_not_asked_for_is_not_shown(ask: Asks) -> None:
    strangers = [
        entry(1, warehouse_id="another"),
        entry(2, user_id=8),
        entry(3, status="RUNNING"),
        entry(4000),
        entry(5, user_id=7, warehouse_id=WAREHOUSE_ID),
    ]
    found = ask({"res": strangers}, user_id="7", statuses=("FINISHED",), until=NOW)
    assert [ran.statement_id for ran in found.statements] == ["q5"]


def test_an_entry_that_comes_twice_is_one(ask: Asks) -> None:
    found = ask({"res": [entry(1), entry(2), entry(1)]})
    assert [ran.statement_id for ran in found.statements] == ["q1", "q2"]


def test_how_much_is_looked_at_is_bounded(workspace: FakeWorkspace, authority: Authority) -> None:
    workspace.answers[PATH] = History([entry(n) for n in range(300)])
    with DatabricksConnector(Settings(database=workspace.settings(authority))) as connector:
        question = HistoryQuestion(NOW - dt.timedelta(hours=1), keep=lambda _: False)
        found = list_statements(connector, question, most=150)
    assert (found.looked_at, found.is_whole, found.statements) == (150, False, ())


def test_a_page_that_is_too_large_is_asked_for_in_parts(
    ask: Asks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query_history, "_LARGEST_ANSWER", 20_000)
    history = History([entry(n, query_text="x" * 1000) for n in range(25)])
    found = ask(history, limit=50)
    assert [ran.statement_id for ran in found.statements] == [f"q{n}" for n in range(25)]
    assert [asked["max_results"] for asked in history.questions] == [["100"], *[["10"]] * 3]
    with pytest.raises(DatabricksConnectionError, match="larger than any can be"):
        ask(History([entry(1, query_text="x" * 30_000)]))


HOSTILE: dict[str, tuple[Any, str]] = {
    "a page of a proxy": (b"<html>sign in</html>", "no JSON"),
    "nothing": (b"", "no JSON"),
    "half a document": (b'{"res": [{"query_id"', "no JSON"),
    "no UTF-8": (b'{"res": "\xff"}', "no JSON"),
    "a list": ([], "JSON that is no object, but list"),
    "a list within lists": (b"[" * 100_000, "no JSON"),
    "a number of many digits": (b'{"res": ' + b"9" * 100_000 + b"}", "no JSON"),
    "entries that are none": ({"res": "all"}, "'res' that is no list, but str"),
    "an entry that is none": ({"res": [entry(1), 7]}, "an entry that is no object, but int"),
    "a token that is none": ({"res": [], "next_page_token": {"a": 1}}, "'next_page_token'"),
    "the same page for ever": ({"res": [], "next_page_token": "a"}, "the same page again"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_history_is_said(ask: Asks, name: str) -> None:
    answer, said = HOSTILE[name]
    with pytest.raises(DatabricksConnectionError) as caught:
        ask(answer)
    message = str(caught.value)
    assert said in message
    assert "check that DATABRICKS_SERVER_HOSTNAME is the workspace itself" in message
    assert len(message) < 400


def test_a_redirection_is_not_followed(ask: Asks) -> None:
    with pytest.raises(DatabricksConnectionError, match=r"with status 302\. .*no proxy answers"):
        ask(lambda _: (302, b"", {"Location": "https://elsewhere.example.com"}))


def test_a_history_that_takes_too_long_is_given_up(
    ask: Asks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query_history, "_SECONDS", -1.0)
    with pytest.raises(DatabricksConnectionError, match="a shorter --since"):
        ask(History([entry(n) for n in range(200)]))


STRANGE: list[Any] = [None, True, -1, 10**30, 1.5, "x", [], {}, [1], {"a": "b"}, "\x1b[31m"]


@pytest.mark.parametrize("value", STRANGE, ids=repr)
def test_a_field_that_is_not_what_it_should_be_is_not_known(value: Any) -> None:
    names = (
        "query_id status is_final query_start_time_ms query_end_time_ms duration metrics user_id "
        "rows_produced query_tags query_text error_message user_name execution_end_time_ms "
        "client_application warehouse_id endpoint_id session_id statement_type"
    ).split()
    ran = read_entry(dict.fromkeys(names, value))
    for name, found in vars(ran).items():
        expected = (None, value) if isinstance(value, str) else (None,)
        known = {"is_final": (False, True), "tags": ({},)}.get(name, expected)
        assert found in known, name
    assert read_entry({"metrics": dict.fromkeys(("read_bytes", "execution_time_ms"), value)}) == (
        RanStatement()
    )
    tags = read_entry({"query_tags": [value, {"key": value}]}).tags
    assert list(tags.items()) == ([(value, None)] if isinstance(value, str) else [])


def test_times_that_no_calendar_has_are_not_known() -> None:
    ran = read_entry({"query_start_time_ms": 2**62, "query_end_time_ms": 2**62 + 5})
    assert (ran.started, ran.ended, ran.duration_ms) == (None, None, 5)


def test_where_the_time_went() -> None:
    metrics = {
        "provisioning_queue_start_timestamp": 1_000,
        "overloading_queue_start_timestamp": 6_000,
        "query_compilation_start_timestamp": 6_400,
        "execution_time_ms": 250,
        "read_bytes": 12,
        "rows_produced_count": 3,
    }
    ran = read_entry({"query_start_time_ms": 1_000, "duration": 5_700, "metrics": metrics})
    assert (ran.compute_wait_ms, ran.queued_ms, ran.execution_ms) == (5_000, 400, 250)
    assert (ran.duration_ms, ran.bytes_read, ran.rows) == (5_700, 12, 3)
    del metrics["overloading_queue_start_timestamp"]
    ran = read_entry({"metrics": metrics})
    assert (ran.compute_wait_ms, ran.queued_ms) == (5_400, None)


def test_whose_a_statement_is_has_to_be_told(
    workspace: FakeWorkspace, authority: Authority
) -> None:
    with DatabricksConnector(Settings(database=workspace.settings(authority))) as connector:
        # This one names nobody's id.
        with pytest.raises(DatabricksConnectionError, match="--everyone"):
            own_user_id(connector)
        workspace.answers[asking.WHO_AM_I] = lambda _: (200, b'{"id": "42"}', {})
        assert own_user_id(connector) == "42"
        workspace.answers[asking.WHO_AM_I] = lambda _: (403, b"{}", {})
        with pytest.raises(AuthenticationError, match="--everyone"):
            own_user_id(connector)


# --- what is shown --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("SELECT a,\n  b FROM t WHERE c='x' AND d=4", "SELECT a, b FROM t WHERE c = '…' AND d = …"),
        ("SELECT 'it\\'s', r'\\', \"two\", 1e5 -- and 'three'\n", "SELECT '…', '…', '…', …"),
        ("SELECT `a '1'` /* 'x' */ FROM t", "SELECT `a '1'` FROM t"),
        ("SELECT 'not closed, and 42", "SELECT '…'"),
        ("SELECT \x1b[31m red", "SELECT \\x1b [ … red"),
        ("", ""),
        (None, ""),
    ],
)  # fmt: skip
def test_a_text_is_shown_without_values(given: str | None, shown: str) -> None:
    assert shown_text(given) == shown


def test_a_text_is_shown_short_and_without_secrets() -> None:
    long = shown_text("SELECT a" + ", a" * 10**6)
    assert len(long) == 100
    assert long.endswith("…")
    # One that ends within a comment, or a text: there is more.
    assert shown_text("SELECT a /* " + "x" * 1000).endswith("…")
    assert TOKEN not in shown_text(f"SELECT {TOKEN} FROM `{TOKEN}`")
    assert TOKEN[:20] not in shown_text("SELECT " + "a" * 80 + f" {TOKEN}")
    assert shown_error(f"no\n\x1b[31m {TOKEN}").count("\x1b") == 0
    assert TOKEN not in shown_error(f"with {TOKEN}")
    assert TOKEN[:20] not in shown_error("a" * 280 + f" {TOKEN}")
    assert len(shown_error("a" * 10**6)) == 300


def test_the_page_of_a_statement() -> None:
    assert page_of("h.example.com", "01f0-a") == "https://h.example.com/sql/history?queryId=01f0-a"
    hostile = page_of("h:8443", "../x?&o=\n\x1b", "7")
    assert hostile == "https://h:8443/sql/history?queryId=..%2Fx%3F%26o%3D%0A%1B&o=7"
