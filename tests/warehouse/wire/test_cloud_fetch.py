"""Large results as links to files, through the unmodified driver and by hand (CloudFetch)."""

from __future__ import annotations

import gc
import io
import logging
import random
import threading
import time
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import lz4.frame
import pyarrow as pa
import pytest

from tests.full import part
from tests.patience import PATIENCE_S
from tests.warehouse.driver import sql, ttypes
from tests.warehouse.wire.client import Struct, WireClient
from tests.warehouse.wire.engine import FakeWarehouse
from vinci_code.warehouse import LocalWarehouse
from vinci_code.warehouse.faults import RESULT_FILE, Fault
from vinci_code.warehouse.wire import operations, result_files, thrift_service
from vinci_code.warehouse.wire.presigned import SIGNATURE

MANY = "SELECT * FROM range(20000)"
EVERY = "SELECT * FROM every_type"


@pytest.fixture(autouse=True)
def _answered_at_once() -> Iterator[None]:
    """Have the first answer hold the links, however long a busy machine takes for them."""
    with mock.patch.object(thrift_service, "DIRECT_RESULTS_SECONDS", PATIENCE_S):
        yield


@pytest.fixture(scope="module")
def server() -> Iterator[FakeWarehouse]:
    """A warehouse that sends every result as links."""
    with FakeWarehouse(cloud_fetch_bytes=0) as warehouse:
        yield warehouse


@pytest.fixture
def links(server: FakeWarehouse) -> Iterator[FakeWarehouse]:
    """The same, without requests and faults."""
    server.clear_requests()
    yield server
    server.faults.clear()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files, so that a small result has several, and several replies."""
    monkeypatch.setattr(operations, "FILE_BYTES", 16 * 1024)
    monkeypatch.setattr(operations, "LINKS_PER_REPLY", 4)


def fetched(warehouse: LocalWarehouse, statement: str, **arguments: Any) -> pa.Table:
    args = warehouse.connect_args | arguments
    with sql.connect(**args) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        table: pa.Table = cursor.fetchall_arrow()
        return table


def files_asked(warehouse: LocalWarehouse) -> int:
    return sum(record.operation == RESULT_FILE for record in warehouse.requests)


def execute(client: WireClient, statement: str = MANY, **fields: object) -> Struct:
    wanted = {
        "runAsync": True,
        "getDirectResults": ttypes.TSparkGetDirectResults(maxRows=10, maxBytes=10**8),
        "canReadArrowResult": True,
        "canDownloadResult": True,
        "canDecompressLZ4Result": True,
    }
    if "sessionHandle" not in fields:
        wanted["sessionHandle"] = client.open_session()
    return client.call("ExecuteStatement", statement=statement, **(wanted | fields))


def first_links(answer: Struct) -> list[Struct]:
    found: list[Struct] = answer.directResults.resultSet.results.resultLinks
    return found


def get(client: WireClient, link: Struct | str) -> tuple[int, bytes]:
    address = urllib.parse.urlsplit(link if isinstance(link, str) else link.fileLink)
    target = f"{address.path}?{address.query}" if address.query else address.path
    status, _, body = client.request("GET", target, token=None)
    return status, body


# --- what arrives ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"enable_query_result_lz4_compression": False},
        {"_use_arrow_native_complex_types": False},
        {"_use_arrow_native_decimals": False, "_use_arrow_native_timestamps": False},
        {"session_configuration": {"TIMEZONE": "Asia/Kathmandu"}},
    ],
    ids=["native", "plain", "complex as text", "all as text", "zone"],
)
def test_every_type_in_files_equals_the_inline_one(
    links: FakeWarehouse, arguments: dict[str, Any]
) -> None:
    by_links = fetched(links, EVERY, **arguments)
    assert files_asked(links) == 1
    inline = fetched(links, EVERY, use_cloud_fetch=False, **arguments)
    assert files_asked(links) == 1
    assert by_links.schema.equals(inline.schema, check_metadata=True)
    assert by_links.equals(inline)
    assert by_links.num_rows == 3


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_sizes_around_the_limits_of_files_and_replies(
    links: FakeWarehouse, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    print(f"seed {seed}")
    dice = random.Random(seed)
    per_file = fetched_file_rows(links)
    monkeypatch.setattr(result_files, "KEPT_BYTES", dice.choice([0, 20_000, 10**9]))
    for _ in range(4):
        files = dice.choice([1, 3, 4, 5, 8])
        rows = max(1, files * per_file + dice.choice([-1, 0, 1, dice.randrange(1000)]))
        table = fetched(links, f"SELECT * FROM range({rows})")
        assert table.column(0).to_pylist() == list(range(rows)), rows


def fetched_file_rows(links: FakeWarehouse) -> int:
    with WireClient(links) as client:
        rows: int = first_links(execute(client))[0].rowCount
    return rows


def test_rows_by_ones_and_by_hundreds(links: FakeWarehouse) -> None:
    with sql.connect(**links.connect_args) as connection, connection.cursor() as cursor:
        cursor.execute(MANY)
        found = [cursor.fetchone()[0] for _ in range(3)]
        found += [row[0] for row in cursor.fetchmany(700)]
        found += cursor.fetchmany_arrow(5000).column(0).to_pylist()
        found += [row[0] for row in cursor.fetchall()]
        assert cursor.fetchone() is None
    assert found == list(range(20_000))


def test_an_asynchronous_statement(links: FakeWarehouse) -> None:
    with sql.connect(**links.connect_args) as connection, connection.cursor() as cursor:
        cursor.execute_async(MANY)
        cursor.get_async_execution_result()
        assert cursor.fetchall_arrow().num_rows == 20_000


def test_a_small_result_and_an_empty_one_stay_inline() -> None:
    with FakeWarehouse() as warehouse, WireClient(warehouse) as client:
        for statement in (EVERY, "SELECT * FROM range(0)"):
            answer = execute(client, statement).directResults
            assert answer.resultSetMetadata.resultFormat == ttypes.TSparkRowSetType.ARROW_BASED_SET
            assert answer.resultSet.results.resultLinks is None
            assert answer.closeOperation is not None


@pytest.mark.parametrize("field", ["canDownloadResult", "canReadArrowResult"])
def test_a_client_that_cannot_follow_links_is_given_none(links: FakeWarehouse, field: str) -> None:
    with WireClient(links) as client:
        assert first_links(execute(client, EVERY, **{field: False})) is None


def test_a_warehouse_without_cloud_fetch_gives_none() -> None:
    with FakeWarehouse(cloud_fetch_bytes=None) as warehouse, WireClient(warehouse) as client:
        assert first_links(execute(client)) is None


# --- the links ------------------------------------------------------------------------------------


@pytest.mark.parametrize("lz4_wanted", [True, False])
def test_a_link_tells_what_its_file_is(links: FakeWarehouse, lz4_wanted: bool) -> None:
    before = time.time()
    with WireClient(links) as client:
        answer = execute(client, canDecompressLZ4Result=lz4_wanted).directResults
        assert answer.resultSetMetadata.resultFormat == ttypes.TSparkRowSetType.URL_BASED_SET
        assert answer.resultSetMetadata.lz4Compressed == lz4_wanted
        assert answer.resultSet.hasMoreRows
        assert answer.closeOperation is None
        found = answer.resultSet.results.resultLinks
        assert len(found) == 4
        row = 0
        for link in found:
            assert link.startRowOffset == row
            assert before + 890 < link.expiryTime / 1000 < time.time() + 910
            status, body = get(client, link)
            assert status == 200
            stream = lz4.frame.decompress(body) if lz4_wanted else body
            assert len(stream) == link.bytesNum
            table = pa.ipc.open_stream(io.BytesIO(stream)).read_all()
            assert table.column(0).to_pylist() == list(range(row, row + link.rowCount))
            row += link.rowCount


@pytest.mark.parametrize("lz4_wanted", [False, True])
def test_files_larger_than_a_block(
    links: FakeWarehouse, monkeypatch: pytest.MonkeyPatch, lz4_wanted: bool
) -> None:
    """The frame of a file has several blocks, and a block holds parts of several buffers."""
    monkeypatch.setattr(operations, "FILE_BYTES", 2**30)
    for statement in (MANY, EVERY):
        wanted = fetched(links, statement, use_cloud_fetch=False)
        for block, small in ((4 * 1024 * 1024, 1), (1000, 10**9), (4096, 4096), (997, 0)):
            monkeypatch.setattr(result_files, "_BLOCK", block)
            monkeypatch.setattr(result_files, "_SMALL_PART", small)
            found = fetched(links, statement, enable_query_result_lz4_compression=lz4_wanted)
            assert found.equals(wanted)
    monkeypatch.undo()
    monkeypatch.setattr(operations, "FILE_BYTES", 2**30)
    with WireClient(links) as client:
        large = "SELECT * FROM range(1200000)"
        (link,) = first_links(execute(client, large, canDecompressLZ4Result=lz4_wanted))
        _, body = get(client, link)
    file = lz4.frame.decompress(body) if lz4_wanted else body
    assert len(file) == link.bytesNum > 2 * result_files._BLOCK
    assert pa.ipc.open_stream(file).read_all().num_rows == 1_200_000


def test_links_are_given_again_from_a_row(links: FakeWarehouse) -> None:
    with WireClient(links) as client:
        answer = execute(client)
        given = first_links(answer)

        def fetch(**fields: object) -> Struct:
            return client.call(
                "FetchResults", operationHandle=answer.operationHandle, maxRows=10, **fields
            )

        third = fetch(startRowOffset=given[2].startRowOffset + 1).results
        assert third.startRowOffset == given[2].startRowOffset
        assert third.resultLinks[0].rowCount == given[2].rowCount
        assert get(client, third.resultLinks[0]) == get(client, given[2])
        last = fetch(startRowOffset=19_999)
        assert not last.hasMoreRows
        (link,) = last.results.resultLinks
        assert link.startRowOffset + link.rowCount == 20_000
        beyond = fetch(startRowOffset=20_000)
        assert beyond.results.resultLinks == []
        assert not beyond.hasMoreRows
        # As where nothing was asked for again: the rows after those that were given last.
        assert fetch(startRowOffset=0).results.resultLinks[0].startRowOffset == 0
        following = fetch().results
        assert following.startRowOffset == given[-1].startRowOffset + given[-1].rowCount


def test_a_changed_link_opens_nothing(links: FakeWarehouse) -> None:
    with WireClient(links) as client:
        link = first_links(execute(client))[0].fileLink
        address = urllib.parse.urlsplit(link)
        head, _, number = address.path.rpartition("/")
        query = dict(urllib.parse.parse_qsl(address.query))
        later = urllib.parse.urlencode(query | {"X-Vinci-Expires": "99999999999999"})
        other = urllib.parse.urlencode(query | {SIGNATURE: "0" * 64})
        for target in (
            address.path,
            f"{address.path}?{later}",
            f"{address.path}?{other}",
            f"{head}/{int(number) + 1}?{address.query}",
            f"{address.path}?{address.query}&more=1",
            f"/result-files/?{address.query}",
        ):
            assert client.request("GET", target, token=None)[0] == 403, target
        for method in ("PUT", "POST", "DELETE", "HEAD"):
            target = f"{address.path}?{address.query}"
            assert client.request(method, target, token=None)[0] == 403, method
        assert client.request("GET", f"{address.path}?{address.query}", token="wrong")[0] == 200


def test_a_link_expires() -> None:
    with FakeWarehouse(cloud_fetch_bytes=0, link_lifetime=0.0) as warehouse:
        with WireClient(warehouse) as client:
            status, body = get(client, first_links(execute(client))[0])
        assert (status, b"has expired" in body) == (403, True)


@pytest.mark.parametrize("end", ["CloseOperation", "CloseSession", "SESSION_LOST"])
def test_what_was_closed_is_gone(
    links: FakeWarehouse, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_files, "KEPT_BYTES", 20_000)
    with WireClient(links) as client:
        session = client.open_session()
        answer = execute(client, sessionHandle=session)
        given = first_links(answer)
        assert get(client, given[3])[0] == 200
        folder = links._live.files.folder
        assert folder is not None
        assert len(list(folder.iterdir())) == 3
        assert folder.stat().st_mode & 0o077 == 0
        if end == "CloseOperation":
            client.call(end, operationHandle=answer.operationHandle)
        elif end == "CloseSession":
            client.call(end, sessionHandle=session)
        else:
            links.inject(Fault.session_lost(operation="GetOperationStatus"))
            client.call("GetOperationStatus", operationHandle=answer.operationHandle)
        assert list(folder.iterdir()) == []
        assert get(client, given[0])[0] == 404
        closed = answer.operationHandle.operationId.guid.hex()
        assert closed not in {statement for _, statement in links._live.files._results}


def test_a_client_that_closes_early_leaves_no_file(
    links: FakeWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_files, "KEPT_BYTES", 0)
    with sql.connect(**links.connect_args) as connection:
        with connection.cursor() as cursor:
            cursor.execute(MANY)
            assert cursor.fetchone()[0] == 0
            folder = links._live.files.folder
            assert folder is not None
            assert len(list(folder.iterdir())) == 4
        assert list(folder.iterdir()) == []


def test_nothing_is_left_when_the_warehouse_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result_files, "KEPT_BYTES", 0)
    with FakeWarehouse(cloud_fetch_bytes=0) as warehouse, WireClient(warehouse) as client:
        execute(client)
        folder = warehouse._live.files.folder
        assert folder is not None
        assert list(folder.iterdir()) != []
    assert not folder.exists()


def test_a_link_of_another_warehouse_opens_nothing(tmp_path: Path) -> None:
    data = tmp_path / "tables.duckdb"
    statement = "SELECT id, name FROM kept ORDER BY id"
    with LocalWarehouse(data, cloud_fetch_bytes=0) as before, WireClient(before) as client:
        before.sql("CREATE TABLE kept AS SELECT id, concat('n', id) AS name FROM range(5000)")
        link = first_links(execute(client, statement))[0].fileLink
        assert get(client, link)[0] == 200
        table = fetched(before, statement)
    with LocalWarehouse(data, cloud_fetch_bytes=0) as after:
        with WireClient(after) as client:
            assert get(client, link)[0] == 403
        assert fetched(after, statement).equals(table)


def test_a_link_is_in_no_record_and_no_log(
    links: FakeWarehouse, caplog: pytest.LogCaptureFixture
) -> None:
    # Of the warehouse: the vendor's driver and urllib3 log links, see test_downloads.
    caplog.set_level(logging.DEBUG, "vinci_code")
    with WireClient(links) as client:
        link = first_links(execute(client))[0].fileLink
        query = urllib.parse.urlsplit(link).query
        signature = dict(urllib.parse.parse_qsl(query))[SIGNATURE]
        assert get(client, link)[0] == 200
        client.request("GET", link[: link.index("?")] + f"?{query}0", token=None)
        # Not a request at all: the base class would quote it.
        client.http._http_vsn_str = f"HTTP/x?{query}"  # type: ignore[attr-defined]
        status, _, _ = client.request("GET", f"/x?{query}", token=None)
        assert status == 400
    records = [record for record in links.requests if record.operation == RESULT_FILE]
    assert [record.status for record in records] == [200, 403]
    assert records[0].session_id
    assert records[0].operation_id
    assert signature not in repr(links.requests)
    assert signature not in caplog.text


# --- faults ---------------------------------------------------------------------------------------

SPOILED = {
    "expired": (Fault.link_expired(), "HTTP 403"),
    "short": (Fault.short_file(), "Frame incomplete"),
    "fewer rows": (Fault.missing_rows(), "AssertionError"),
    "broken": (Fault.broken_file(), "ERROR_contentChecksum_invalid"),
}


def failure(warehouse: LocalWarehouse) -> str:
    """What the driver says where it reads many rows and fails."""
    text = "nothing"
    try:
        fetched(warehouse, MANY)
    except Exception as error:  # noqa: BLE001 - the driver lets anything through
        text = repr(error)
    # Where the first file fails, the driver leaves its threads to the garbage collector.
    gc.collect()
    return text


@part(2)
@pytest.mark.parametrize("name", SPOILED)
@pytest.mark.parametrize("skip", [0, 2], ids=["first", "third"])
def test_a_spoiled_file_is_an_error_of_the_unmodified_driver(
    links: FakeWarehouse, name: str, skip: int
) -> None:
    fault, text = SPOILED[name]
    links.inject(Fault(fault.kind, skip=skip))
    assert text in failure(links)
    assert any(record.fault == fault.kind for record in links.requests)


@pytest.mark.parametrize(
    "fault",
    [
        Fault.http(503, operation=RESULT_FILE, skip=1),
        Fault.reset("before", operation=RESULT_FILE, skip=1),
        Fault.reset("mid_reply", operation=RESULT_FILE, skip=1),
        Fault.delay(0.3, operation=RESULT_FILE, skip=1),
    ],
    ids=["503", "reset before", "reset within", "slow"],
)
def test_a_file_is_asked_for_again(links: FakeWarehouse, fault: Fault) -> None:
    links.inject(fault)
    # The driver waits at least so long before it asks again.
    table = fetched(links, MANY, _retry_delay_max=0.05, _retry_delay_min=0.01)
    assert table.column(0).to_pylist() == list(range(20_000))
    assert [record.fault for record in links.requests if record.fault] == [fault.name]


def test_faults_of_statements_and_of_files_keep_apart(links: FakeWarehouse) -> None:
    links.inject(Fault.delay(0.0, times=2), Fault.missing_rows(statement="no such"))
    assert fetched(links, MANY).num_rows == 20_000
    hit = [record.operation for record in links.requests if record.fault]
    assert hit == ["OpenSession", "ExecuteStatement"]
    links.faults.clear()
    links.inject(Fault.link_expired(statement=r"range\(20000\)"))
    fetched(links, EVERY)
    assert "HTTP 403" in failure(links)


# --- many at once ---------------------------------------------------------------------------------


def test_twenty_clients_at_once(links: FakeWarehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result_files, "KEPT_BYTES", 30_000)
    together = threading.Barrier(20)

    def read(number: int) -> bool:
        together.wait(PATIENCE_S)
        rows = 5000 + number
        table = fetched(links, f"SELECT * FROM range({rows})")
        return bool(table.column(0).to_pylist() == list(range(rows)))

    with ThreadPoolExecutor(20) as pool:
        assert all(pool.map(read, range(20)))
    folder = links._live.files.folder
    assert folder is not None
    assert list(folder.iterdir()) == []


def test_memory_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    # What is read ahead waits in memory; of what is in files, only so much.
    monkeypatch.setattr(operations, "READ_AHEAD_BYTES", 100_000)
    monkeypatch.setattr(result_files, "KEPT_BYTES", 50_000)
    with FakeWarehouse(cloud_fetch_bytes=0) as warehouse, WireClient(warehouse) as client:
        answer = execute(client, "SELECT * FROM range(100000)")
        given = first_links(answer)
        while given[-1].startRowOffset + given[-1].rowCount < 100_000:
            page = client.call("FetchResults", operationHandle=answer.operationHandle, maxRows=10)
            given += page.results.resultLinks
        (files,) = warehouse._live.files._results.values()
        kept = sum(f.size for f in files._files if f.batches is not None)
        assert 0 < kept <= 50_000
        assert sum(f.on_disk is not None for f in files._files) > 10
        with pa.ipc.open_stream(lz4.frame.decompress(get(client, given[-1])[1])) as reader:
            assert reader.read_all().column(0)[-1].as_py() == 99_999
