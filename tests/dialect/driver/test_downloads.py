"""Large results by links to files (CloudFetch) through the dialect: whole, or an error by name."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from tests.full import part
from tests.patience import PATIENCE_S
from vinci_code.database.dialect.driver import dbapi, downloads
from vinci_code.database.dialect.driver.connecting import DOWNLOADS_AHEAD
from vinci_code.database.dialect.driver.downloads import Downloads, require_all
from vinci_code.warehouse import LocalWarehouse
from vinci_code.warehouse.faults import RESULT_FILE, Fault
from vinci_code.warehouse.wire import operations

ROWS = 30_000
# Less than a file is waited for where nothing ends the waiting.
PROMPT_S = 45
MANY = f"SELECT id, concat('name-', id) AS name FROM range({ROWS}) ORDER BY id"
EXPECTED = [(number, f"name-{number}") for number in range(ROWS)]
TYPES = """
SELECT id, CAST(id AS DECIMAL(38, 10)) / 7 AS amount, CAST(NULL AS INT) AS nothing, array(id) AS a,
       map('k', id) AS m, named_struct('x', id) AS s, timestamp_seconds(id) AS at,
       date_add(DATE'2000-01-01', CAST(id AS INT)) AS day, X'00FF' AS raw, id % 2 = 0 AS even
FROM range(3000) ORDER BY id
"""

Connect = Callable[..., dbapi.Connection]


@pytest.fixture(scope="module")
def server() -> Iterator[LocalWarehouse]:
    """A warehouse that sends every result as links."""
    with LocalWarehouse(cloud_fetch_bytes=0) as warehouse:
        yield warehouse


@pytest.fixture
def links(server: LocalWarehouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalWarehouse]:
    """The same, with small files, and without requests and faults."""
    monkeypatch.setattr(operations, "FILE_BYTES", 64 * 1024)
    monkeypatch.setattr(operations, "LINKS_PER_REPLY", 4)
    monkeypatch.setattr(downloads, "_PAUSE", 0.01)
    server.clear_requests()
    yield server
    server.faults.clear()


@pytest.fixture
def opened(links: LocalWarehouse) -> Iterator[Connect]:
    """Opens connections to it."""
    connections = []

    def connect(**arguments: Any) -> dbapi.Connection:
        given = {k: v for k, v in links.connect_args.items() if k != "enable_telemetry"}
        connections.append(dbapi.connect(**(given | arguments)))
        return connections[-1]

    yield connect
    links.faults.clear()
    for connection in connections:
        connection.close()


def read(connection: dbapi.Connection, statement: str = MANY) -> list[tuple[Any, ...]]:
    cursor = connection.cursor()
    try:
        return cursor.execute(statement).fetchall()
    finally:
        cursor.close()


@pytest.fixture
def only_the_first(links: LocalWarehouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Has all files but the first of a result wait, in whichever order they are asked for."""
    gateway, released = links._live.gateway, threading.Event()
    answer = gateway._file

    def waiting(request: Any, record: Any) -> Any:
        if not request.path.endswith("/0"):
            released.wait(PATIENCE_S)
        return answer(request, record)

    monkeypatch.setattr(gateway, "_file", waiting)
    yield
    released.set()


def files_asked(warehouse: LocalWarehouse) -> int:
    return sum(record.operation == RESULT_FILE for record in warehouse.requests)


@pytest.mark.parametrize("statement", [MANY, TYPES], ids=["many", "types"])
def test_rows_by_links_are_those_of_rows_inline(
    links: LocalWarehouse, opened: Connect, statement: str
) -> None:
    by_links = read(opened(), statement)
    asked = files_asked(links)
    assert asked >= 3
    assert by_links == read(opened(use_cloud_fetch=False), statement)
    assert files_asked(links) == asked
    assert statement != MANY or by_links == EXPECTED


def test_rows_one_by_one_and_many_by_many(links: LocalWarehouse, opened: Connect) -> None:
    cursor = opened().cursor().execute(MANY)
    found = [cursor.fetchone(), *cursor.fetchmany(4000), *cursor.fetchmany(1), *cursor]
    assert found == EXPECTED
    assert cursor.fetchall() == []
    cursor.close()
    assert not links._live.files._results


def test_two_results_of_one_connection_at_once(opened: Connect) -> None:
    connection = opened()
    first, second = connection.cursor().execute(MANY), connection.cursor().execute(MANY)
    assert first.fetchmany(5000) == EXPECTED[:5000]
    assert second.fetchmany(7000) == EXPECTED[:7000]
    first.close()
    assert second.fetchall() == EXPECTED[7000:]


@pytest.mark.usefixtures("only_the_first")
def test_closed_in_the_middle(opened: Connect) -> None:
    connection = opened()
    cursor = connection.cursor().execute(MANY)
    assert cursor.fetchmany(1) == EXPECTED[:1]
    found = connection._session.channel.downloads
    began = time.monotonic()
    assert found._flights
    cursor.close()
    assert not found._statement_of
    while found._flights and time.monotonic() - began < PATIENCE_S:
        time.sleep(0.01)
    assert time.monotonic() - began < PROMPT_S
    assert read(connection, "SELECT 1") == [(1,)]


SPOILED = {
    "expired": (Fault.link_expired, dbapi.ResultExpired, "answered with status 403"),
    "short": (Fault.short_file, dbapi.InternalError, "cannot be read: it is cut short"),
    "fewer rows": (Fault.missing_rows, dbapi.InternalError, "fewer rows than the warehouse"),
    "broken": (Fault.broken_file, dbapi.InternalError, "changed on the way"),
    "404": (
        lambda **scope: Fault.http(404, operation=RESULT_FILE, **scope),
        dbapi.ResultExpired,
        "answered with status 404",
    ),
    "503 for ever": (
        lambda **scope: Fault.http(503, operation=RESULT_FILE, times=999, **scope),
        dbapi.OperationalError,
        "status 503, several times",
    ),
    "cut for ever": (
        lambda **scope: Fault.reset("mid_reply", operation=RESULT_FILE, times=999, **scope),
        dbapi.OperationalError,
        "the connection broke",
    ),
}


@part(2)
@pytest.mark.parametrize("name", SPOILED)
@pytest.mark.parametrize("skip", [0, 2], ids=["first", "third"])
def test_a_spoiled_file_is_an_error_by_name(
    links: LocalWarehouse, opened: Connect, name: str, skip: int
) -> None:
    make, kind, words = SPOILED[name]
    connection = opened()
    links.inject(make(skip=skip))
    with pytest.raises(kind, match=words) as caught:
        read(connection)
    assert not isinstance(caught.value, dbapi.ConnectionLostError)
    text = str(caught.value)
    assert "To fix it:" in text
    assert "Signature" not in text
    links.faults.clear()
    # The session is as good as before, and what was spoiled once is not kept.
    assert read(connection) == EXPECTED
    assert sum(record.operation == "OpenSession" for record in links.requests) == 1
    del caught
    gc.collect()


@pytest.mark.parametrize(
    "fault",
    [
        Fault.http(503, operation=RESULT_FILE, skip=1),
        Fault.http(429, operation=RESULT_FILE, skip=1, retry_after=0.02),
        Fault.reset("before", operation=RESULT_FILE, skip=1),
        Fault.reset("mid_reply", operation=RESULT_FILE, times=3),
        Fault.delay(0.2, operation=RESULT_FILE, times=3),
    ],
    ids=["503", "429", "reset", "thrice", "slow"],
)
def test_a_file_is_asked_for_again(links: LocalWarehouse, opened: Connect, fault: Fault) -> None:
    links.inject(fault)
    assert read(opened()) == EXPECTED
    assert [r.fault for r in links.requests if r.fault] == [fault.name] * fault.times
    assert len(links.statements) == 1


@pytest.mark.parametrize("skip", [0, 2], ids=["first", "third"])
def test_a_deadline_holds_while_a_file_is_waited_for(
    links: LocalWarehouse, opened: Connect, skip: int
) -> None:
    connection = opened(timeout=2)
    links.inject(Fault.delay(PATIENCE_S, operation=RESULT_FILE, skip=skip, times=99))
    began = time.monotonic()
    with pytest.raises(dbapi.StatementTimeout, match="deadline of 2 s"):
        read(connection)
    assert time.monotonic() - began < PROMPT_S
    links.faults.clear()
    gc.collect()
    connection.timeout = None
    assert read(connection, "SELECT 1") == [(1,)]


@pytest.mark.usefixtures("only_the_first")
def test_the_end_of_the_connection_ends_what_is_fetched(opened: Connect) -> None:
    connection = opened()
    cursor = connection.cursor().execute(MANY)
    assert cursor.fetchmany(1) == EXPECTED[:1]
    found = connection._session.channel.downloads
    began = time.monotonic()
    connection.close()
    while found._flights and time.monotonic() - began < PATIENCE_S:
        time.sleep(0.01)
    assert time.monotonic() - began < PROMPT_S
    # The driver's connection keeps the cursor, and with that the threads.
    del cursor, connection
    gc.collect()


def test_a_lost_session_in_the_middle(links: LocalWarehouse, opened: Connect) -> None:
    cursor = opened().cursor().execute(MANY)
    assert cursor.fetchone() == EXPECTED[0]
    links.inject(Fault.session_lost(operation="FetchResults"))
    with pytest.raises(dbapi.SessionLostError):
        cursor.fetchall()
    with pytest.raises(dbapi.ResultExpired, match="rows were lost"):
        cursor.fetchall()


def test_streaming_and_cancelling_an_awaiting_task(links: LocalWarehouse) -> None:
    import asyncio

    url = f"databricks+vinci://{links.host}:{links.port}"
    arguments = {
        "http_path": links.http_path,
        "catalog": links.catalog,
        "schema": links.schema,
        "access_token": links.access_token,
        "_tls_trusted_ca_file": str(links.ca_file),
    }

    async def work() -> tuple[int, float]:
        engine = create_async_engine(url, connect_args=arguments)
        async with engine.connect() as connection:
            stream = await connection.stream(sa.text(MANY))
            count = sum([1 async for _ in stream])
        links.inject(Fault.delay(PATIENCE_S, operation=RESULT_FILE, skip=1, times=99))
        began = time.monotonic()
        async with engine.connect() as connection:
            with pytest.raises((asyncio.TimeoutError, TimeoutError)):
                await asyncio.wait_for(connection.execute(sa.text(MANY)), 1)
        links.faults.clear()
        await engine.dispose()
        return count, time.monotonic() - began

    count, seconds = asyncio.run(work())
    assert count == ROWS
    assert seconds < PROMPT_S
    gc.collect()


def test_yield_per_through_sqlalchemy(links: LocalWarehouse) -> None:
    engine = sa.create_engine(
        f"databricks+vinci://{links.host}:{links.port}",
        connect_args={
            "http_path": links.http_path,
            "access_token": links.access_token,
            "_tls_trusted_ca_file": str(links.ca_file),
        },
    )
    with engine.connect() as connection:
        streaming = connection.execution_options(yield_per=700)
        found: list[tuple[Any, ...]] = []
        for part in streaming.execute(sa.text(MANY)).partitions():
            found += map(tuple, part)
        assert found == EXPECTED
        result = streaming.execute(sa.text(MANY))
        assert result.fetchone() == EXPECTED[0]
        result.close()
        assert connection.scalar(sa.text("SELECT 2")) == 2
    engine.dispose()
    assert not links._live.files._results


def test_no_link_is_in_any_log(
    links: LocalWarehouse, opened: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    connection = opened()
    client: Any = connection._session.channel._client._web
    fetch: Any = client.fetch
    seen: list[str] = []

    def slow(link: str, headers: Any) -> Any:
        seen.append(link.partition("?")[2])
        file = fetch(link, headers)
        time.sleep(0.8)  # of 64 KB: slower than what the driver warns of, with the link
        return file

    client.fetch = slow
    links.inject(Fault.http(503, operation=RESULT_FILE))
    assert read(connection, f"{MANY} LIMIT 2000")[-1] == EXPECTED[1999]
    assert seen
    assert "slower than threshold" in caplog.text
    assert "urllib3.connectionpool" in {record.name for record in caplog.records}
    for query in seen:
        assert query not in caplog.text
        assert query.rpartition("=")[2] not in caplog.text


# --- what no warehouse of ours does ---------------------------------------------------------------


class Client:
    """Stands for the driver's client."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    def fetch_links_by(self, fetch: object) -> None:
        self.fetch = fetch

    def timeout(self, connect: float, read: float) -> tuple[float, float]:
        return connect, read

    def ask_link(self, method: str, link: str, headers: Any, timeout: Any, written: Any) -> Any:
        self.asked.append({"link": link, "headers": headers, "timeout": timeout})
        return self.answers.pop(0)


def page(*links: tuple[str, int, int], more: bool = False) -> Any:
    made = [SimpleNamespace(fileLink=a, startRowOffset=b, rowCount=c) for a, b, c in links]
    results = SimpleNamespace(resultLinks=made, columns=None, arrowBatches=None)
    return SimpleNamespace(results=results, hasMoreRows=more)


def made(client: Client) -> Downloads:
    return Downloads(client, 5.0, lambda _: float("inf"))  # type: ignore[arg-type]


@pytest.mark.parametrize("start", [0, 9, 11])
def test_links_that_do_not_follow_on_one_another_are_refused(start: int) -> None:
    found = made(Client())
    found.note("s", page(("https://a/1", 0, 10), more=True))
    with pytest.raises(dbapi.InternalError, match="some would be missing, or come twice"):
        found.note("s", page(("https://a/2", start, 10)))


def test_rows_are_told_when_all_links_are_there() -> None:
    found = made(Client())
    found.note("s", page(("https://a/1", 0, 10), more=True))
    assert found.rows_of("s") is None
    found.note("s", page(("https://a/2", 10, 5)))
    assert found.rows_of("s") == 15
    require_all(15, found.rows_of("s"), "s")
    for arrived in (14, 16):
        with pytest.raises(dbapi.InternalError, match=f"{arrived} rows .* has told of 15"):
            require_all(arrived, 15, "s")
    found.forget("s")
    assert found.rows_of("s") is None


@pytest.mark.parametrize("link", ["http://a/1?sig=x", "file:///etc/passwd", "ftp://a/1"])
def test_a_link_that_is_no_https_is_not_followed(link: str) -> None:
    client = Client()
    found = made(client)
    found.note("s", page((link, 0, 10)))
    with pytest.raises(dbapi.OperationalError, match="no https, and was not followed") as caught:
        found.fetch(link, {})
    assert client.asked == []
    assert "sig=x" not in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    answer = SimpleNamespace(status=status, headers={"Location": "https://b/1"}, close=lambda: None)
    client = Client(answer)
    found = made(client)
    found.note("s", page(("https://a/1?sig=x", 0, 10)))
    with pytest.raises(dbapi.ResultExpired, match=f"status {status}"):
        found.fetch("https://a/1?sig=x", {})
    assert len(client.asked) == 1


def test_no_token_goes_with_a_link(links: LocalWarehouse, opened: Connect) -> None:
    sent: list[dict[str, str]] = []
    answer = links._live.gateway._file

    def noting(request: Any, record: Any) -> Any:
        sent.append({name.lower(): value for name, value in request.headers.items()})
        return answer(request, record)

    links._live.gateway._file = noting  # type: ignore[method-assign]
    try:
        assert read(opened()) == EXPECTED
    finally:
        links._live.gateway._file = answer  # type: ignore[method-assign]
    assert len(sent) > 3
    assert not any("authorization" in headers for headers in sent)


def test_rows_are_counted_where_the_drivers_assert_is_left_out(
    links: LocalWarehouse, opened: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As with python -O: the driver gives fewer rows then, and says nothing.
    from databricks.sql import utils

    def without_assert(self: Any, offset: int) -> Any:
        file = self.download_manager.get_next_downloaded_file(offset)
        if not file:
            return None
        return utils.create_arrow_table_from_arrow_file(file.file_bytes, self.description)

    # Where the next reply begins is looked at by the driver; here there is one reply.
    monkeypatch.setattr(operations, "LINKS_PER_REPLY", 1000)
    monkeypatch.setattr(utils.CloudFetchQueue, "_create_table_at_offset", without_assert)
    links.inject(Fault.missing_rows(skip=1))
    with pytest.raises(dbapi.InternalError, match="the result is not whole"):
        read(opened())
    links.inject(Fault.missing_rows(skip=1))
    cursor = opened().cursor().execute(MANY)
    with pytest.raises(dbapi.InternalError, match="the result is not whole"):
        list(iter(lambda: cursor.fetchmany(1000), []))


def test_many_threads_read_at_once(links: LocalWarehouse, opened: Connect) -> None:
    connections = [opened() for _ in range(6)]
    found: list[bool] = []
    threads = [
        threading.Thread(target=lambda c=c: found.append(read(c) == EXPECTED)) for c in connections
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 6


def test_few_files_are_fetched_ahead_unless_more_are_asked_for(opened: Connect) -> None:
    # The driver's own 10 take more than 300 MB while rows are read in batches.
    def ahead(**arguments: Any) -> int:
        backend = opened(**arguments).driver_connection.session.backend
        return int(backend.max_download_threads)

    assert ahead() == DOWNLOADS_AHEAD < 10
    assert ahead(max_download_threads=7) == 7
