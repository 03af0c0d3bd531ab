"""Files to and from volumes by links: sent whole, sent again, stopped in time, without a trace."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vinci_code.database.dialect.dberrors import CancelledError
from vinci_code.database.dialect.driver import dbapi, uploads
from vinci_code.database.dialect.driver.uploads import LinkRefusedError, SentFile, Uploads
from vinci_code.warehouse.faults import STAGING_PUT, STAGING_REMOVE, Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse

Connect = Callable[..., dbapi.Connection]
LINK = "https://storage.example/x?X-Amz-Signature=0123456789abcdef0123456789abcdef"


@pytest.fixture
def folder(local_warehouse: TestWarehouse) -> str:
    local_warehouse.warehouse.sql(f"CREATE VOLUME {local_warehouse.schema}.landing")
    return f"/Volumes/{local_warehouse.catalog}/{local_warehouse.schema}/landing"


def listed(connection: dbapi.Connection, folder: str) -> dict[str, int]:
    with connection.cursor() as cursor:
        return {row[1]: row[2] for row in cursor.execute(f"LIST '{folder}'").fetchall()}


def put(connection: dbapi.Connection, path: str, content: bytes) -> None:
    connection.put_file(path, io.BytesIO(content), len(content))


def test_a_file_is_sent_and_takes_the_place_of_what_is_there(connect: Connect, folder: str) -> None:
    connection = connect()
    put(connection, f"{folder}/a", b"x" * 3_000_000)
    put(connection, f"{folder}/it's", b"")
    assert listed(connection, folder) == {"a": 3_000_000, "it's": 0}
    put(connection, f"{folder}/a", b"y")
    assert listed(connection, folder)["a"] == 1
    connection.remove_file(f"{folder}/a", 10)
    connection.remove_file(f"{folder}/a", 10)  # it is gone: no error
    assert listed(connection, folder) == {"it's": 0}


def test_it_is_sent_from_its_beginning_each_time(
    connect: Connect, folder: str, local_warehouse: TestWarehouse, tmp_path: Path
) -> None:
    content = bytes(range(256)) * 5000
    source = tmp_path / "given"
    source.write_bytes(content)
    local_warehouse.inject(
        Fault.http(503, operation=STAGING_PUT, retry_after=0.01),
        Fault.reset("after", operation=STAGING_PUT),
        Fault.http(403, operation=STAGING_PUT),
    )
    arrived = tmp_path / "arrived"
    connection = connect(staging_allowed_local_path=str(tmp_path))
    with source.open("rb") as file:
        file.read(1000)
        connection.put_file(f"{folder}/a", file, len(content))
    with connection.cursor() as cursor:
        cursor.execute(f"GET '{folder}/a' TO '{arrived}'")
    assert arrived.read_bytes() == content


def test_an_application_sends_its_own_files_the_same_way(
    connect: Connect, folder: str, local_warehouse: TestWarehouse, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"mine")
    local_warehouse.inject(Fault.reset("before", operation=STAGING_PUT))
    connection = connect(staging_allowed_local_path=str(tmp_path))
    with connection.cursor() as cursor:
        cursor.execute(f"PUT '{tmp_path}/a' INTO '{folder}/a'")
    assert listed(connection, folder) == {"a": 4}


@pytest.mark.parametrize(
    ("local", "said"),
    [("/etc/hostname", "staging_allowed_local_path"), ("__input_stream__", "No input stream")],
)
def test_an_application_sends_nothing_that_it_has_not_allowed_and_is_told(
    connect: Connect, folder: str, local: str, said: str
) -> None:
    connection = connect()
    with connection.cursor() as cursor, pytest.raises(dbapi.ProgrammingError, match=said):
        cursor.execute(f"PUT '{local}' INTO '{folder}/a'")
    assert listed(connection, folder) == {}


def test_a_transfer_of_an_application_that_fails_is_told(
    connect: Connect, folder: str, local_warehouse: TestWarehouse, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"mine")
    connection = connect(staging_allowed_local_path=str(tmp_path))
    local_warehouse.inject(Fault.http(403, operation=STAGING_PUT))
    with connection.cursor() as cursor, pytest.raises(LinkRefusedError):
        cursor.execute(f"PUT '{tmp_path}/a' INTO '{folder}/a'")
    with connection.cursor() as cursor, pytest.raises(dbapi.OperationalError, match="404"):
        cursor.execute(f"GET '{folder}/a' TO '{tmp_path}/b'")
    assert not (tmp_path / "b").exists()


def test_a_storage_that_goes_on_refusing_is_told_of(
    connect: Connect,
    folder: str,
    local_warehouse: TestWarehouse,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(uploads, "_PAUSE", 0.01)
    connection = connect()
    for fault, said in (
        (Fault.http(503, operation=STAGING_PUT, times=4), "status 503, several times"),
        (Fault.http(403, operation=STAGING_PUT, times=3), "it answered with status 403"),
        (Fault.reset(operation=STAGING_PUT, times=4), "the connection broke"),
    ):
        local_warehouse.inject(fault)
        with pytest.raises(dbapi.OperationalError, match=said) as caught:
            put(connection, f"{folder}/a", b"x")
        assert "Signature" not in str(caught.value)
        assert listed(connection, folder) == {}
    local_warehouse.inject(Fault.http(500, operation=STAGING_REMOVE, times=4))
    with pytest.raises(dbapi.OperationalError, match="could not be removed by REMOVE"):
        connection.remove_file(f"{folder}/a", 10)


def test_a_deadline_ends_the_sending(
    connect: Connect, folder: str, local_warehouse: TestWarehouse
) -> None:
    connection = connect(timeout=0.5)
    local_warehouse.inject(Fault.delay(20, operation=STAGING_PUT))
    begin = time.monotonic()
    with pytest.raises(dbapi.Error) as caught:
        put(connection, f"{folder}/a", b"x")
    assert time.monotonic() - begin < 10
    assert "deadline" in str(caught.value)


def test_what_a_session_keeps_is_not_in_the_way(
    connect: Connect, folder: str, local_warehouse: TestWarehouse
) -> None:
    connection = connect()
    cursor = connection.cursor()
    cursor.execute("SELECT 1").fetchall()
    local_warehouse.inject(Fault.session_lost(operation="ExecuteStatement"))
    put(connection, f"{folder}/a", b"x")
    assert listed(connection, folder) == {"a": 1}


# --- what no warehouse of ours does ---------------------------------------------------------------


class Client:
    """Stands for the driver's client."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.asked: list[tuple[str, Any, bytes]] = []

    def transfer_by(self, transfer: object) -> None:
        self.transfer = transfer

    def timeout(self, connect: float, read: float) -> tuple[float, float]:
        return connect, read

    def ask_link(
        self, method: str, link: str, headers: Any, timeout: Any, written: Any, body: Any = None
    ) -> Any:
        del link, timeout
        written(None)
        self.asked.append((method, headers, b"".join(body or ())))
        return Response(self.statuses.pop(0))


class Response:
    """An answer of a storage."""

    headers: dict[str, str] = {}

    def __init__(self, status: int) -> None:
        self.status = status

    def read(self, size: int) -> bytes:
        return b"<secret>"[:size]

    def close(self) -> None:
        return


def made(client: Client, left: Callable[[], float] = lambda: float("inf")) -> Uploads:
    return Uploads(client, 5.0, left)  # type: ignore[arg-type]


def test_a_link_that_is_no_https_is_not_followed() -> None:
    client = Client(200)
    with pytest.raises(dbapi.OperationalError, match="no https, and was not followed"):
        made(client).transfer("PUT", LINK.replace("https", "http"), {}, b"x")
    assert client.asked == []


def test_a_redirect_is_not_followed() -> None:
    with pytest.raises(LinkRefusedError, match="status 307") as caught:
        made(Client(307)).transfer("PUT", LINK, {}, b"x")
    assert "secret" not in str(caught.value)
    assert "0123456789abcdef" not in str(caught.value)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_the_length_of_a_file_is_told(status: int) -> None:
    client = Client(status)
    file = SentFile(io.BytesIO(b"abc"), 3)
    assert made(client).transfer("PUT", LINK, {"x-ms": "1"}, file.read()).status == status
    assert client.asked == [("PUT", {"x-ms": "1", "Content-Length": "3"}, b"abc")]


def test_a_file_that_has_become_shorter_is_not_sent_as_whole() -> None:
    with pytest.raises(dbapi.OperationalError, match="1 bytes less than it had"):
        made(Client(200)).transfer("PUT", LINK, {}, SentFile(io.BytesIO(b"abc"), 4))


def test_a_file_that_is_not_there_counts_as_removed() -> None:
    assert made(Client(404)).transfer("DELETE", LINK, {}, None).status == 204
    with pytest.raises(LinkRefusedError):
        made(Client(404)).transfer("PUT", LINK, {}, b"x")


def test_who_asks_to_stop_is_heard_between_two_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_PIECE", 10)
    stop = threading.Event()
    seen: list[int] = []

    def left() -> float:
        seen.append(1)
        if len(seen) == 5:
            stop.set()
        if stop.is_set():
            raise CancelledError("stopped")
        return 60.0

    with pytest.raises(CancelledError):
        made(Client(200), left).transfer("PUT", LINK, {}, b"x" * 1000)
    assert len(seen) < 10
