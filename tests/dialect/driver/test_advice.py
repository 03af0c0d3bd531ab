"""What an engine's error says where the warehouse cannot be used: what, on what, what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, create_engine, text
from sqlalchemy.exc import DBAPIError

from tests.fakes.certificates import Authority
from tests.fakes.dead_ends import (
    black_hole,
    closed_port,
    plain_text_server,
    proxy_server,
    silent_server,
)
from tests.fakes.workspace import HTTP_PATH, TOKEN, FakeWorkspace
from tests.patience import soon
from vinci_code.core.config import Settings
from vinci_code.database.databricks_connector import create_databricks_engine
from vinci_code.database.dialect import dberrors
from vinci_code.database.dialect.driver import dbapi

WRONG_TOKEN = "dapi" + "1" * 30 + "ab"
PROXY_PASSWORD = "Tr0ub4dor-and-3"


@pytest.fixture
def error_on(authority: Authority) -> Callable[..., dberrors.Error]:
    """The error of an engine's first connection to a port of this machine."""

    def connect(
        port: int,
        *,
        host: str = "localhost",
        path: str = HTTP_PATH,
        token: str = TOKEN,
        query: dict[str, str] | None = None,
        **arguments: Any,
    ) -> dberrors.Error:
        named = {"_tls_trusted_ca_file": str(authority.file), "access_token": token, **arguments}
        engine = create_engine(
            URL.create(
                "databricks+vinci", host=host, port=port, query={"http_path": path, **(query or {})}
            ),
            connect_args={name: value for name, value in named.items() if value is not None},
        )
        with soon(), pytest.raises(DBAPIError) as caught, engine.connect() as connection:
            connection.execute(text("SELECT 1"))
        engine.dispose()
        found = caught.value.orig
        assert isinstance(found, dberrors.Error)
        assert TOKEN not in str(caught.value)
        return found

    return connect


def parts(error: dberrors.Error) -> tuple[str, str]:
    """What happened, and what to do; there is one advice."""
    happened, *advice = str(error).split(dberrors.ADVICE)
    assert len(advice) == 1, str(error)
    assert advice[0].endswith(".")
    assert error.happened == happened
    return happened, advice[0]


@pytest.mark.parametrize("file", [None, "Another CA"])
def test_a_ca_that_is_not_trusted(
    file: str | None,
    workspace: FakeWorkspace,
    error_on: Callable[..., dberrors.Error],
    tmp_path: Path,
) -> None:
    trusted = None if file is None else str(Authority(tmp_path, file).file)
    error = error_on(workspace.port, _tls_trusted_ca_file=trusted)
    happened, step = parts(error)
    assert isinstance(error, dbapi.ConnectionLostError)
    assert f"the SQL warehouse {HTTP_PATH} of localhost:{workspace.port}: " in happened
    where = "the system's CA store" if trusted is None else f"the file {trusted}"
    assert f"signed by a CA that is not in {where}" in happened
    assert "'_tls_trusted_ca_file' of connect_args or in DATABRICKS_CA_FILE" in step
    assert workspace.requests == [], "no request, hence no credentials, was sent"


def test_the_same_of_an_engine_out_of_the_settings(
    workspace: FakeWorkspace, authority: Authority, tmp_path: Path
) -> None:
    trusted = Authority(tmp_path, "Another CA").file
    database = workspace.settings(authority, databricks_ca_file=trusted)
    engine = create_databricks_engine(Settings(database=database))
    with pytest.raises(DBAPIError) as caught, engine.connect():
        pass
    engine.dispose()
    assert isinstance(caught.value.orig, dberrors.Error)
    happened, step = parts(caught.value.orig)
    assert f"not in the file {trusted}" in happened
    assert "DATABRICKS_CA_FILE" in step


@pytest.mark.parametrize(
    ("host", "days", "expected", "advice"),
    [
        ("localhost", -1, "is out of date (certificate has expired)", "this machine's clock"),
        ("elsewhere.example", 30, "is for another name", "DATABRICKS_SERVER_HOSTNAME"),
    ],
)
def test_a_certificate_that_is_none_of_this_host_and_day(
    host: str,
    days: int,
    expected: str,
    advice: str,
    authority: Authority,
    error_on: Callable[..., dberrors.Error],
) -> None:
    with FakeWorkspace(authority.issue(host, days=days)) as server:
        happened, step = parts(error_on(server.port))
    assert f"the certificate that localhost:{server.port} shows {expected}" in happened
    assert advice in step


@pytest.mark.parametrize(
    ("dead_end", "expected", "advice"),
    [
        (closed_port, "cannot be reached: Connection refused", "outbound connections to localhost"),
        pytest.param(
            black_hole,
            "did not answer in time",
            "raise 'connect_timeout' in connect_args",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="kernels differ in this"),
        ),
        (silent_server, "did not answer in time", "raise 'connect_timeout' in connect_args"),
        (plain_text_server, "not with TLS that can be used", "the workspace itself"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_way_that_leads_nowhere(
    dead_end: Callable[[], AbstractContextManager[int]],
    expected: str,
    advice: str,
    error_on: Callable[..., dberrors.Error],
) -> None:
    with dead_end() as port:
        happened, step = parts(error_on(port, connect_timeout=1.0))
    assert str(port) in happened
    assert expected in happened
    assert "Watched" not in happened
    assert advice in step


def test_a_name_that_does_not_resolve(error_on: Callable[..., dberrors.Error]) -> None:
    happened, step = parts(error_on(443, host="no-such-host.invalid"))
    assert "the name no-such-host.invalid does not resolve to an address" in happened
    assert "typing errors" in step


@contextmanager
def a_proxy_that_is_not_there() -> Iterator[int]:
    with closed_port() as port:
        yield port


@pytest.mark.parametrize(
    ("proxy", "expected"),
    [
        (lambda: proxy_server(407, "Proxy Authentication Required"), "407 Proxy Authentication"),
        (lambda: proxy_server(403, "Forbidden"), "403 Forbidden"),
        (a_proxy_that_is_not_there, "Connection refused"),
    ],
    ids=["wants a password", "refuses", "is not there"],
)
def test_a_proxy_that_opens_no_way(
    proxy: Callable[[], AbstractContextManager[int]],
    expected: str,
    workspace: FakeWorkspace,
    error_on: Callable[..., dberrors.Error],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with proxy() as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://ada:{PROXY_PASSWORD}@127.0.0.1:{port}")
        error = error_on(workspace.port)
        monkeypatch.delenv("HTTPS_PROXY")
    happened, step = parts(error)
    assert "the proxy that HTTPS_PROXY names cannot be used" in happened
    assert expected in happened
    assert "correct HTTPS_PROXY" in step
    assert "NO_PROXY" in step
    assert PROXY_PASSWORD not in str(error)


@pytest.mark.parametrize(
    ("status", "message", "kind", "advice"),
    [
        (404, "It was deleted", dbapi.OperationalError, "copy the HTTP path again"),
        (400, "Malformed", dbapi.OperationalError, "copy the HTTP path again"),
        (403, "You do not have permission to use it", dbapi.PermissionDenied, "CAN USE"),
        (403, "Blocked by IP access list", dbapi.PermissionDenied, "IP access list"),
        (302, "To the login", dbapi.OperationalError, "the workspace itself"),
        (500, "Broken", dbapi.ConnectionLostError, "status page"),
        (503, "Stopped", dbapi.WarehouseStartTimeout, "start it under SQL Warehouses"),
        (429, "Busy", dbapi.TooManyRequests, "raise 'start_timeout' in connect_args"),
    ],
)
def test_an_answer_that_refuses_the_session(
    status: int,
    message: str,
    kind: type[dberrors.Error],
    advice: str,
    workspace: FakeWorkspace,
    error_on: Callable[..., dberrors.Error],
) -> None:
    workspace.warehouse_status, workspace.warehouse_message = status, message
    error = error_on(workspace.port, start_timeout=0.1)
    happened, step = parts(error)
    assert type(error) is kind
    assert f"the SQL warehouse {HTTP_PATH} of localhost:{workspace.port}" in happened
    assert message in happened
    assert advice in step


def test_a_path_that_is_wrong(
    workspace: FakeWorkspace, error_on: Callable[..., dberrors.Error]
) -> None:
    happened, step = parts(error_on(workspace.port, path="/sql/1.0/warehouses/ffffffffffffffff"))
    assert "the SQL warehouse /sql/1.0/warehouses/ffffffffffffffff of localhost" in happened
    assert "Connection details > HTTP path" in step
    assert "'http_path' of the engine's URL or DATABRICKS_HTTP_PATH" in step


def test_a_token_that_is_wrong(
    workspace: FakeWorkspace, error_on: Callable[..., dberrors.Error]
) -> None:
    error = error_on(workspace.port, token=WRONG_TOKEN)
    happened, step = parts(error)
    assert isinstance(error, dbapi.AuthenticationFailed)
    assert "Invalid access token" in happened
    assert "belong to this workspace" in step
    assert WRONG_TOKEN not in str(error)


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        (("[NO_SUCH_CATALOG_EXCEPTION] It. SQLSTATE: 42704", "42704"), "DATABRICKS_CATALOG"),
        (("[SCHEMA_NOT_FOUND] It. SQLSTATE: 42704", "42704"), "DATABRICKS_SCHEMA"),
        (("[INSUFFICIENT_PERMISSIONS] It. SQLSTATE: 42501", "42501"), "USE CATALOG"),
        (("It is real-time. SQLSTATE: KP001", "KP001"), "serverless, pro or classic"),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
def test_a_session_that_the_warehouse_refuses(
    said: tuple[str, str],
    advice: str,
    workspace: FakeWorkspace,
    error_on: Callable[..., dberrors.Error],
) -> None:
    workspace.sql.open_session_error = said
    happened, step = parts(error_on(workspace.port, query={"catalog": "nope", "schema": "nope"}))
    assert said[0] in happened
    assert advice in step


def test_a_request_that_was_refused_within_an_open_session_is_not_about_the_path(
    workspace: FakeWorkspace, authority: Authority
) -> None:
    connection = dbapi.connect(
        server_hostname="localhost",
        _port=workspace.port,
        http_path=HTTP_PATH,
        access_token=TOKEN,
        _tls_trusted_ca_file=str(authority.file),
    )
    workspace.warehouse_status, workspace.warehouse_message = 400, "What is that?"
    with pytest.raises(dbapi.OperationalError) as caught, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    workspace.warehouse_status = None
    connection.close()
    assert "What is that?" in str(caught.value)
    assert "HTTP path" not in str(caught.value)
