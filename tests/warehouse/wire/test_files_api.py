"""The Files API, as the vendor's SDK asks for it."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.config import Config
from databricks.sdk.errors import AlreadyExists, BadRequest, NotFound, PermissionDenied

from tests.warehouse.wire.client import WireClient
from vinci_code.warehouse import LocalWarehouse
from vinci_code.warehouse.faults import Fault
from vinci_code.warehouse.wire import files_api, server

V = "/Volumes/main/default/v"
FILES, DIRECTORIES = f"{files_api.FILES}{V}", f"{files_api.DIRECTORIES}{V}"


@pytest.fixture(scope="module")
def shared() -> Iterator[LocalWarehouse]:
    """A warehouse."""
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
def workspace(warehouse: LocalWarehouse, monkeypatch: pytest.MonkeyPatch) -> WorkspaceClient:
    """The SDK's client, which trusts the local warehouse."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(warehouse.ca_file))
    for name in ("DATABRICKS_HOST", "DATABRICKS_TOKEN", "DATABRICKS_CONFIG_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    config = Config(
        host=f"https://{warehouse.host}:{warehouse.port}",
        token=warehouse.access_token,
        retry_timeout_seconds=1,
    )
    return WorkspaceClient(config=config)


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_a_file_goes_there_and_back(workspace: WorkspaceClient, size: int) -> None:
    path, sent = f"{V}/a dir/ü %2e%2e.bin", b"x" * size
    workspace.files.upload(path, io.BytesIO(sent), overwrite=False)
    metadata = workspace.files.get_metadata(path)
    assert metadata.content_length == size
    assert str(metadata.last_modified).endswith("GMT")
    received = workspace.files.download(path)
    assert received.contents is not None
    assert (received.content_length, received.contents.read()) == (size, sent)
    with pytest.raises(AlreadyExists):
        workspace.files.upload(path, io.BytesIO(b"y"), overwrite=False)
    workspace.files.upload(path, io.BytesIO(b"new"), overwrite=True)
    assert workspace.files.get_metadata(path).content_length == 3
    workspace.files.delete(path)
    for ask in (
        workspace.files.get_metadata,
        workspace.files.delete,
        workspace.files.download,
        workspace.files.get_directory_metadata,
    ):
        with pytest.raises(NotFound):
            ask(path)


def test_directories(workspace: WorkspaceClient, warehouse: LocalWarehouse) -> None:
    files = workspace.files
    files.create_directory(f"{V}/d/e")
    files.create_directory(f"{V}/d/e")
    files.get_directory_metadata(f"{V}/d")
    files.upload(f"{V}/d/a", io.BytesIO(b"123"))
    listed = list(files.list_directory_contents(f"{V}/d"))
    assert [(one.path, one.name, one.is_directory, one.file_size) for one in listed] == [
        (f"{V}/d/a", "a", False, 3),
        (f"{V}/d/e", "e", True, None),
    ]
    assert all(one.last_modified for one in listed)
    with pytest.raises(BadRequest, match="not empty"):
        files.delete_directory(f"{V}/d")
    with pytest.raises(AlreadyExists):
        files.create_directory(f"{V}/d/a")
    with pytest.raises(AlreadyExists):
        files.upload(f"{V}/d", io.BytesIO(b""))
    files.delete_directory(f"{V}/d/e")
    with pytest.raises(NotFound):
        files.delete_directory(f"{V}/d/e")
    with pytest.raises(NotFound):
        list(files.list_directory_contents(f"{V}/d/e"))
    with pytest.raises(NotFound):
        list(files.list_directory_contents("/Volumes/main/default/nowhere"))
    # What a request of this API is called says nothing of the file; its path does.
    asked = {r.operation for r in warehouse.requests if r.path.startswith("/api/")}
    assert asked == {
        f"{method} {files_api.DIRECTORIES}" for method in ("PUT", "HEAD", "GET", "DELETE")
    } | {f"PUT {files_api.FILES}"}


def test_pages(workspace: WorkspaceClient, warehouse: LocalWarehouse) -> None:
    volumes = warehouse._live.engine.volumes
    for number in range(7):
        with volumes.upload(volumes.locate(f"{V}/{number}")) as upload:
            upload.finish()
    for size in (1, 3, 7, None):
        listed = workspace.files.list_directory_contents(V, page_size=size)
        assert [one.name for one in listed] == [str(number) for number in range(7)]
    with WireClient(warehouse) as client:
        _, first = client.json("GET", f"{DIRECTORIES}/?page_size=2")
        token = first["next_page_token"]
        volumes.remove(volumes.locate(f"{V}/0"))
        _, second = client.json("GET", f"{DIRECTORIES}?page_size=2&page_token={token}")
    assert [one["name"] for one in second["contents"]] == ["2", "3"]


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", f"{FILES}/..%2fx", 400),
        ("GET", f"{FILES}/../../../../etc/passwd", 400),
        ("GET", f"{FILES}/%2e%2e/x", 400),
        ("PUT", f"{FILES}/a%00b", 400),
        ("PUT", f"{FILES}/%ff", 400),
        ("PUT", f"{FILES}/a%5cb", 400),
        ("PUT", f"{FILES}//a", 400),
        ("PUT", f"{files_api.FILES}/etc/passwd", 400),
        ("PUT", f"{files_api.FILES}/Volumes/main/default/nowhere/a", 404),
        ("PUT", f"{files_api.FILES}/Volumes/nowhere/default/v/a", 404),
        ("PUT", f"{FILES}/a?overwrite=perhaps", 400),
        ("PUT", f"{FILES}/a?unknown=1", 400),
        ("GET", f"{DIRECTORIES}?page_size=x", 400),
        ("GET", f"{DIRECTORIES}?page_token=%3d%3d%3d", 400),
        ("GET", f"{FILES}/a", 404),
        ("GET", FILES, 404),
        ("DELETE", DIRECTORIES, 400),
        ("POST", f"{FILES}/a?action=initiate-upload", 400),
        ("POST", "/api/2.0/fs/create-download-url?path=%2Fetc%2Fpasswd", 400),
    ],
)
def test_what_cannot_be_asked(
    warehouse: LocalWarehouse, method: str, target: str, status: int
) -> None:
    with WireClient(warehouse) as client:
        body = b"x" if method == "PUT" else None
        assert client.json(method, target, body)[0] == status
        assert client.json("GET", DIRECTORIES)[1] == {"contents": []}


def test_a_part_of_a_file_is_refused_by_name(warehouse: LocalWarehouse) -> None:
    with WireClient(warehouse) as client:
        client.request("PUT", f"{FILES}/a", b"12345")
        status, _, body = client.request("GET", f"{FILES}/a", headers={"Range": "bytes=1-"})
    assert status == 400
    assert b"UNSUPPORTED_BY_LOCAL_WAREHOUSE" in body


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE"])
def test_it_asks_for_the_token(warehouse: LocalWarehouse, method: str) -> None:
    with WireClient(warehouse) as client:
        for target in (f"{FILES}/a", f"{DIRECTORIES}/d"):
            assert client.request(method, target, token=None)[0] == 401
            assert client.request(method, target, token="wrong")[0] == 403
        assert client.json("GET", DIRECTORIES)[1] == {"contents": []}


def test_faults_by_name(workspace: WorkspaceClient, warehouse: LocalWarehouse) -> None:
    warehouse.inject(Fault.http(403, operation=f"PUT {files_api.FILES}"))
    with pytest.raises(PermissionDenied):
        workspace.files.upload(f"{V}/a", io.BytesIO(b"x"))
    assert list(workspace.files.list_directory_contents(V)) == []
    workspace.files.upload(f"{V}/a", io.BytesIO(b"x"))


def test_an_upload_is_streamed(warehouse: LocalWarehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_BODY", 1000)
    with WireClient(warehouse) as client:
        assert client.request("PUT", f"{FILES}/a", b"y" * 3_000_000)[0] == 204
        status, headers, body = client.request("HEAD", f"{FILES}/a")
    assert (status, headers["content-length"], body) == (200, "3000000", b"")
