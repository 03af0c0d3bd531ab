"""PUT, GET and REMOVE by the vendor's driver, and what else their URLs let anybody do: nothing."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import logging
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.patience import hold_clock, wait_until
from tests.warehouse.driver import sql
from tests.warehouse.wire.client import WireClient
from vinci_code.warehouse import LocalWarehouse
from vinci_code.warehouse.engine.result import StagingRequest
from vinci_code.warehouse.engine.volume_files import Upload, VolumeFiles
from vinci_code.warehouse.engine.volume_paths import parse
from vinci_code.warehouse.faults import (
    RESULT_FILE,
    STAGING_GET,
    STAGING_PUT,
    STAGING_REMOVE,
    Fault,
)
from vinci_code.warehouse.wire import server, staging
from vinci_code.warehouse.wire.presigned import EXPIRES, SIGNATURE

V = "/Volumes/main/default/v"


@pytest.fixture(scope="module")
def shared() -> Iterator[LocalWarehouse]:
    """A warehouse with a volume."""
    with LocalWarehouse() as warehouse:
        yield warehouse


@pytest.fixture
def warehouse(shared: LocalWarehouse) -> Iterator[LocalWarehouse]:
    """The warehouse with an empty volume, and nothing recorded."""
    shared.sql("DROP VOLUME IF EXISTS v")
    shared.sql("CREATE VOLUME v")
    shared.clear_requests()
    yield shared
    shared.faults.clear()


@pytest.fixture
def cursor(warehouse: LocalWarehouse, tmp_path: Path) -> Iterator[Any]:
    """A cursor of the driver, which may transfer what is in a folder of the test."""
    arguments = {**warehouse.connect_args, "staging_allowed_local_path": str(tmp_path)}
    arguments |= {"_retry_delay_min": 0.01, "_retry_delay_max": 0.02}
    with sql.connect(**arguments) as connection, connection.cursor() as opened:
        yield opened


def put(cursor: Any, path: str, content: bytes, overwrite: str = "OVERWRITE") -> None:
    statement = f"PUT '__input_stream__' INTO '{path}' {overwrite}"
    cursor.execute(statement, input_stream=io.BytesIO(content))


def names(cursor: Any) -> list[str]:
    cursor.execute(f"LIST '{V}'")
    return [row.name for row in cursor.fetchall()]


def content(warehouse: LocalWarehouse, path: str) -> bytes:
    with warehouse._live.engine.volumes.open(parse(path)) as stream:
        return stream.read()


def url(warehouse: LocalWarehouse, operation: str, path: str) -> str:
    """The path and query of a URL, as a statement gives it."""
    transfers = warehouse._live.gateway._transfers
    whole = transfers._url(StagingRequest(operation, parse(path), None))
    return whole.removeprefix(f"https://{warehouse.host}:{warehouse.port}")


# ---- the driver


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_a_file_goes_there_and_back(cursor: Any, tmp_path: Path, size: int) -> None:
    here, back = tmp_path / "it's here.bin", tmp_path / "back.bin"
    here.write_bytes(bytes(range(256)) * (size // 256) + b"x" * (size % 256))
    local = str(here).replace("'", "\\'")
    cursor.execute(f"PUT '{local}' INTO '{V}/a dir/ü %41.bin'")
    cursor.execute(f"GET '{V}/a dir/ü %41.bin' TO '{back}'")
    assert back.read_bytes() == here.read_bytes()
    cursor.execute(f"REMOVE '{V}/a dir/ü %41.bin'")
    assert names(cursor) == []
    with pytest.raises(sql.Error, match="over HTTP was unsuccessful: 404"):
        cursor.execute(f"GET '{V}/a dir/ü %41.bin' TO '{back}'")
    with pytest.raises(sql.Error, match="over HTTP was unsuccessful: 404"):
        cursor.execute(f"REMOVE '{V}/a dir/ü %41.bin'")


def test_a_stream_and_overwrite(warehouse: LocalWarehouse, cursor: Any) -> None:
    put(cursor, f"{V}/a", b"first", "")
    with pytest.raises(sql.Error, match="FILE_IN_STAGING_PATH_ALREADY_EXISTS"):
        put(cursor, f"{V}/a", b"second", "")
    assert content(warehouse, f"{V}/a") == b"first"
    put(cursor, f"dbfs:{V}/a", b"third")
    assert content(warehouse, f"{V}/a") == b"third"


def test_the_row_with_the_url_is_in_no_file_of_a_result() -> None:
    with LocalWarehouse(cloud_fetch_bytes=0) as linking:
        linking.sql("CREATE VOLUME v")
        arguments = {**linking.connect_args, "staging_allowed_local_path": "/"}
        with sql.connect(**arguments) as connection, connection.cursor() as opened:
            put(opened, f"{V}/a", b"x")
            assert content(linking, f"{V}/a") == b"x"
            assert RESULT_FILE not in [request.operation for request in linking.requests]
            assert names(opened) == ["a"]
            assert RESULT_FILE in [request.operation for request in linking.requests]


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (f"PUT '' INTO '{V}/a'", "EMPTY_LOCAL_FILE_IN_STAGING_ACCESS_QUERY"),
        (f"GET '{V}/a' TO ''", "EMPTY_LOCAL_FILE_IN_STAGING_ACCESS_QUERY"),
        ("PUT 'a' INTO 'stageRANDOM://tmp/a'", "INVALID_STAGING_PATH_IN_STAGING_ACCESS_QUERY"),
        (f"PUT 'a' INTO '{V}/../../a'", "INVALID_STAGING_PATH_IN_STAGING_ACCESS_QUERY"),
        (f"REMOVE '{V}'", "INVALID_STAGING_PATH_IN_STAGING_ACCESS_QUERY"),
        (f"REMOVE '{V}/d/'", "INVALID_STAGING_PATH_IN_STAGING_ACCESS_QUERY"),
        ("GET '/Volumes/NoSuch/default/v/a' TO 'a'", "NOT_FOUND: Catalog 'NoSuch'"),
        ("GET '/Volumes/main/nowhere/v/a' TO 'a'", "SCHEMA_NOT_FOUND"),
        ("GET '/Volumes/main/default/nowhere/a' TO 'a'", "UC_VOLUME_NOT_FOUND"),
        (f"PUT 'a' INTO '{V}/a' NOW", "PARSE_SYNTAX_ERROR"),
        (f"PUT 'a' TO '{V}/a'", "PARSE_SYNTAX_ERROR"),
        (f"PUT '/etc/hosts' INTO '{V}/a'", "restricted to paths within"),
    ],
)
def test_what_is_refused(cursor: Any, statement: str, said: str) -> None:
    with pytest.raises(sql.Error, match=said):
        cursor.execute(statement)
    assert names(cursor) == []


def test_without_a_client_it_is_refused(warehouse: LocalWarehouse) -> None:
    with pytest.raises(Exception, match="without a client that transfers"):
        warehouse.sql(f"PUT 'a' INTO '{V}/a'")


def test_faults_by_name(warehouse: LocalWarehouse, cursor: Any, tmp_path: Path) -> None:
    put(cursor, f"{V}/a", b"here")
    warehouse.inject(
        Fault.http(403, operation=STAGING_PUT),
        Fault.http(403, operation=STAGING_GET),
        Fault.http(403, operation=STAGING_REMOVE),
    )
    for statement in (f"GET '{V}/a' TO '{tmp_path}/a'", f"REMOVE '{V}/a'"):
        with pytest.raises(sql.Error, match="unsuccessful: 403"):
            cursor.execute(statement)
    with pytest.raises(sql.Error, match="unsuccessful: 403"):
        put(cursor, f"{V}/a", b"new")
    assert content(warehouse, f"{V}/a") == b"here"
    assert [r.fault for r in warehouse.requests if r.path.startswith("/staging")][1:] == [
        "http:403"
    ] * 3
    # A fault for "any request" means the statements.
    warehouse.inject(Fault.http(403))
    with WireClient(warehouse) as client:
        assert client.request("GET", url(warehouse, "GET", f"{V}/a"), token=None)[2] == b"here"


@pytest.mark.parametrize(
    "fault",
    [
        Fault.http(403, operation=STAGING_GET, executed=True),
        Fault.reset("after", operation=STAGING_GET),
        Fault.reset("mid_reply", operation=STAGING_GET),
    ],
    ids=lambda fault: fault.name,
)
def test_an_answer_that_is_lost_leaves_no_file_open(
    warehouse: LocalWarehouse, cursor: Any, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    put(cursor, f"{V}/a", b"x" * 100_000)
    opened: list[Any] = []
    files = warehouse._live.engine.volumes.files
    monkeypatch.setattr(files, "open", lambda *of: opened.append(open_file(*of)) or opened[-1])
    open_file = VolumeFiles.open.__get__(files)
    warehouse.inject(fault)
    with WireClient(warehouse) as client:
        target = url(warehouse, "GET", f"{V}/a")
        if fault.kind == "http":
            assert client.request("GET", target, token=None)[0] == 403
        else:
            with pytest.raises((http.client.HTTPException, OSError)):
                client.request("GET", target, token=None)
    wait_until(lambda: bool(opened) and all(one.closed for one in opened), "the file's closing")


def test_a_put_that_is_cut_leaves_nothing_and_can_be_repeated(
    warehouse: LocalWarehouse, cursor: Any
) -> None:
    warehouse.inject(Fault.reset("before", operation=STAGING_PUT))
    # By how the cut shows, the driver sends it again by itself, or does not.
    with contextlib.suppress(sql.Error):
        put(cursor, f"{V}/a", b"old")
    put(cursor, f"{V}/a", b"new")
    found = [r for r in warehouse.requests if r.operation == STAGING_PUT]
    assert (found[0].fault, found[0].status, found[0].bytes_in) == ("reset:before", None, 0)
    assert (found[-1].fault, found[-1].status, found[-1].bytes_in) == (None, 200, 3)
    assert content(warehouse, f"{V}/a") == b"new"


# ---- the URL


def test_a_url_is_bound_to_its_method_and_path(warehouse: LocalWarehouse) -> None:
    warehouse.sql("CREATE VOLUME IF NOT EXISTS w")
    with WireClient(warehouse) as client:

        def ask(method: str, target: str, body: bytes | None = None) -> int:
            # The token gives nothing here.
            return client.request(method, target, body)[0]

        put_it, get_it = url(warehouse, "PUT", f"{V}/a"), url(warehouse, "GET", f"{V}/a")
        assert ask("PUT", put_it, b"one") == 200
        assert ask("PUT", put_it, b"two") == 200
        path, _, query = get_it.partition("?")
        signature = query.rpartition("=")[2]
        wrong = [
            ("GET", put_it),
            ("DELETE", get_it),
            ("HEAD", get_it),
            ("POST", put_it),
            ("PUT", get_it),
            ("GET", path),
            ("GET", f"{path}?{query}&x=1"),
            ("GET", f"{path}?{query}&{query}"),
            ("GET", f"{path}?{EXPIRES}=99999999999999&{SIGNATURE}={signature}"),
            ("GET", get_it.replace(f"{EXPIRES}=1", f"{EXPIRES}=2")),
            ("GET", get_it[:-1] + ("0" if get_it[-1] != "0" else "1")),
            ("GET", get_it.replace("/v/a?", "/v/b?")),
            ("GET", get_it.replace("/v/a?", "/v/./a?")),
            ("GET", get_it.replace("/v/a?", "/v/%61?")),
            ("GET", get_it.replace("/v/a?", "/w/../v/a?")),
            ("GET", get_it.replace("/v/a?", "/v/a%00?")),
            ("GET", get_it.replace(f"{SIGNATURE}={signature}", f"{SIGNATURE}=")),
            ("GET", get_it.replace(f"{SIGNATURE}={signature}", f"{SIGNATURE}=%C3%BC")),
            ("GET", get_it.replace("/v/a?", "/V/a?")),
        ]
        for method, target in wrong:
            assert ask(method, target, b"bad" if method in ("PUT", "POST") else None) == 403, target
        assert client.request("GET", get_it, token=None)[2] == b"two"
        assert ask("DELETE", url(warehouse, "REMOVE", f"{V}/a")) == 204
        assert ask("GET", get_it) == 404
        # Nothing but a file can be asked for by it.
        assert client.request("GET", f"/api/2.0/sql/history/queries?{query}", token=None)[0] == 401


def test_a_url_expires(warehouse: LocalWarehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = hold_clock(monkeypatch, staging)
    with WireClient(warehouse) as client:
        target = url(warehouse, "PUT", f"{V}/a")
        clock.move_on(staging.LIFETIME_SECONDS - 2)
        assert client.request("PUT", target, b"x", token=None)[0] == 200
        clock.move_on(2)
        status, _, body = client.request("PUT", target, b"y", token=None)
        assert (status, body) == (403, b"The link has expired.")
    assert content(warehouse, f"{V}/a") == b"x"


def test_a_url_of_another_warehouse_is_none(warehouse: LocalWarehouse) -> None:
    with LocalWarehouse() as other:
        other.sql("CREATE VOLUME v")
        with WireClient(other) as client:
            target = url(warehouse, "PUT", f"{V}/a")
            assert client.request("PUT", target, b"x", token=None)[0] == 403


def test_a_url_outlives_its_volume_and_gives_nothing(warehouse: LocalWarehouse) -> None:
    put_it, get_it = url(warehouse, "PUT", f"{V}/a"), url(warehouse, "GET", f"{V}/a")
    warehouse.sql("DROP VOLUME v")
    with WireClient(warehouse) as client:
        for method, target in (("PUT", put_it), ("GET", get_it)):
            status, _, body = client.request(method, target, token=None)
            assert status == 404
            assert b"does not exist" in body


def test_the_query_of_a_url_stands_nowhere(
    warehouse: LocalWarehouse, cursor: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="vinci_code")
    put(cursor, f"{V}/a", b"x")
    cursor.execute(f"GET '{V}/a' TO '{tmp_path}/a'")
    with WireClient(warehouse) as client:
        target = url(warehouse, "GET", f"{V}/missing")
        _, _, missing = client.request("GET", target, token=None)
        _, _, tampered = client.request("GET", target + "0", token=None)
    # What the base class of the HTTP server cannot read, it writes to its log.
    _send_raw(warehouse, f"GET {target} HTTP/9.9\r\n\r\n".encode())
    _send_raw(warehouse, f"GET {target} a b c\r\n\r\n".encode())
    signature = target.rpartition("=")[2]
    with WireClient(warehouse) as client:
        _, _, history = client.request("GET", "/api/2.0/sql/history/queries")
    # The driver's own log of what it receives is its own affair.
    ours = [r.getMessage() for r in caplog.records if r.name.startswith("vinci_code")]
    assert any(line.startswith("The HTTP server notes") for line in ours)
    for text in (repr(warehouse.requests), *ours, (missing + tampered + history).decode()):
        assert signature not in text
        assert f"{SIGNATURE}=" not in text


def _send_raw(warehouse: LocalWarehouse, sent: bytes) -> bytes:
    context = ssl.create_default_context(cafile=str(warehouse.ca_file))
    with (
        socket.create_connection((warehouse.host, warehouse.port)) as plain,
        context.wrap_socket(plain, server_hostname=warehouse.host) as connection,
    ):
        connection.sendall(sent)
        received = b""
        while piece := connection.recv(65536):
            received += piece
        return received


# ---- bodies


def _put_raw(warehouse: LocalWarehouse, headers: str, body: bytes) -> bytes:
    target = url(warehouse, "PUT", f"{V}/a")
    head = f"PUT {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n\r\n"
    return _send_raw(warehouse, head.encode() + body)


@pytest.mark.parametrize(
    ("body", "stored"),
    [
        (b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: x\r\n\r\n", b"abcde"),
        (b"0\r\n\r\n", b""),
        (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    ],
)
def test_chunks(warehouse: LocalWarehouse, body: bytes, stored: bytes) -> None:
    answer = _put_raw(warehouse, "Transfer-Encoding: chunked", body)
    assert answer.startswith(b"HTTP/1.1 200")
    assert content(warehouse, f"{V}/a") == stored


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ("Transfer-Encoding: chunked", b"3\r\nabcd\r\n0\r\n\r\n", 400),
        ("Transfer-Encoding: chunked", b"-1\r\nabcd\r\n0\r\n\r\n", 400),
        ("Transfer-Encoding: chunked", b"zz\r\n", 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 3", b"3\r\nabc\r\n0\r\n\r\n", 411),
        ("Transfer-Encoding: gzip", b"abc", 411),
        ("Content-Length: -3", b"abc", 400),
        ("Content-Length: 3x", b"abc", 400),
        ("Content-Length: " + "9" * 5000, b"abc", 400),
    ],
)
def test_bodies_that_break_the_rules(
    warehouse: LocalWarehouse, headers: str, body: bytes, status: int
) -> None:
    assert _put_raw(warehouse, headers, body).startswith(b"HTTP/1.1 %d" % status)
    warehouse.sql(f"LIST '{V}'")
    with pytest.raises(Exception, match="does not exist"):
        content(warehouse, f"{V}/a")


def test_a_client_that_goes_away_leaves_nothing(warehouse: LocalWarehouse) -> None:
    target = url(warehouse, "PUT", f"{V}/a")
    with WireClient(warehouse) as client:
        client.http.putrequest("PUT", target)
        client.http.putheader("Content-Length", "1000")
        client.http.endheaders(b"x" * 500)
    wait_until(
        lambda: [r.status for r in warehouse.requests if r.operation == STAGING_PUT] == [400],
        "the end of the request",
    )
    files = warehouse._live.engine.volumes.files
    assert list(files._folder.iterdir()) == []


def test_a_large_file_is_streamed(
    warehouse: LocalWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than a request may have otherwise, in pieces that are never one."""
    monkeypatch.setattr(server, "MAX_BODY", 1000)
    size = 3 * server.PIECE + 5
    write, pieces = Upload.write, []

    def note(upload: Upload, piece: bytes) -> None:
        pieces.append(len(piece))
        write(upload, piece)

    monkeypatch.setattr(Upload, "write", note)
    with WireClient(warehouse) as client:
        target = url(warehouse, "PUT", f"{V}/a")
        assert client.request("PUT", target, b"y" * size, token=None)[0] == 200
        assert sum(pieces) == size
        assert max(pieces) <= server.PIECE
        get_it = url(warehouse, "GET", f"{V}/a")
        _, headers, received = client.request("GET", get_it, token=None)
        assert headers["content-length"] == str(size)
        assert received == b"y" * size
        # What nobody wants is read within limits, then the connection ends.
        status, headers, _ = client.request("PUT", f"{target}0", b"z" * 2000, token=None)
        assert (status, headers.get("connection")) == (403, "close")


def test_the_rows_that_the_driver_reads(warehouse: LocalWarehouse) -> None:
    """In the order of columns and with the mark that every driver goes by."""
    session = warehouse._live.engine.open_session("main", "default", {})
    transfers = warehouse._live.gateway._transfers
    for statement, columns in (
        (f"PUT 'l' INTO '{V}/a'", ["operation", "presignedUrl", "headers", "localFile"]),
        (f"GET '{V}/a' TO 'l'", ["operation", "presignedUrl", "headers", "localFile"]),
        (f"REMOVE '{V}/a'", ["operation", "presignedUrl", "headers"]),
    ):
        result = transfers.rows(session.execute(statement))
        assert [column.name for column in result.columns] == columns
        (row,) = [row for batch in result.batches for row in batch.to_pylist()]
        assert row["operation"] == statement.partition(" ")[0]
        assert row.get("localFile", "l") == "l"
        assert isinstance(json.loads(row["headers"]), dict)
    session.close()
