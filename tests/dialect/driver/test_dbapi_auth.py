"""Credentials at work: short-lived tokens, revoked ones, and where none of them may appear."""

from __future__ import annotations

import base64
import io
import json
import logging
import pickle
import ssl
import threading
import time
import traceback
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, exc, text
from sqlalchemy.engine import URL

from tests.dialect.held import run_and_commit
from tests.patience import HeldClock, hold_clock, in_rounds, soon
from vinci_code.database.dialect.driver import dbapi
from vinci_code.database.dialect.driver.credentials import RequestCredentials, take_credentials
from vinci_code.database.dialect.driver.pooling import SessionPool
from vinci_code.warehouse import LocalWarehouse
from vinci_code.warehouse.faults import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse
from vinci_code.warehouse.wire import rest

Connect = Callable[..., dbapi.Connection]


class ServicePrincipal:
    """A credentials provider: OAuth machine-to-machine, a new token when the last one is old."""

    def __init__(
        self, warehouse: LocalWarehouse, clock: HeldClock, *, renewed_before: float = 0.0
    ) -> None:
        self._warehouse = warehouse
        self._clock = clock
        self._renewed_before = renewed_before
        self._token = ""
        self._good_until = 0.0
        self._asking = 0
        self.fetched = 0
        self.together = 0
        self.working = True

    def __call__(self) -> Callable[[], dict[str, str]]:
        return self.headers

    def auth_type(self) -> str:
        return "oauth-m2m"

    def headers(self) -> dict[str, str]:
        if self._clock.monotonic() >= self._good_until:
            self._fetch()
        return {"Authorization": f"Bearer {self._token}"}

    def invalidate(self) -> None:
        if self.working:
            self._good_until = 0.0

    def _fetch(self) -> None:
        self._asking += 1
        self.together = max(self.together, self._asking)
        time.sleep(0.05)  # so that threads would meet here if they could
        identity = self._warehouse.credentials
        pair = base64.b64encode(f"{identity.client_id}:{identity.client_secret}".encode())
        request = urllib.request.Request(
            f"https://localhost:{self._warehouse.port}/oidc/v1/token",
            data=b"grant_type=client_credentials&scope=all-apis",
            headers={"Authorization": f"Basic {pair.decode()}"},
        )
        context = ssl.create_default_context(cafile=str(self._warehouse.ca_file))
        with urllib.request.urlopen(request, context=context) as answer:
            granted = json.load(answer)
        self._token = granted["access_token"]
        self._good_until = self._clock.monotonic() + granted["expires_in"] - self._renewed_before
        self.fetched += 1
        self._asking -= 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HeldClock:
    """The clock of the warehouse's tokens, and of who asks for them."""
    return hold_clock(monkeypatch, rest)


@pytest.fixture
def principal(
    local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch, clock: HeldClock
) -> ServicePrincipal:
    monkeypatch.setattr(local_warehouse.warehouse.credentials, "token_lifetime", 1.0)
    return ServicePrincipal(local_warehouse.warehouse, clock)


def test_tokens_that_live_for_a_second_carry_on_for_many(
    principal: ServicePrincipal, connect: Connect, clock: HeldClock
) -> None:
    connection = connect(access_token=None, credentials_provider=principal)
    cursor = connection.cursor()
    for _ in range(20):
        assert cursor.execute("SELECT 1").fetchall() == [(1,)]
        connection.commit()
        clock.move_on(0.3)
    # One is good for four statements.
    assert principal.fetched == 5


def test_twenty_threads_renew_one_at_a_time(
    principal: ServicePrincipal, connect_args: dict[str, Any], clock: HeldClock
) -> None:
    connect_args = {**connect_args, "access_token": None, "credentials_provider": principal}
    opened = threading.local()

    def ask() -> object:
        if not hasattr(opened, "connection"):
            opened.connection = dbapi.connect(**connect_args)
        answer = opened.connection.cursor().execute("SELECT 1").fetchall()
        connections.append(opened.connection)
        return answer

    connections: list[dbapi.Connection] = []
    answers = in_rounds(ask, clock, rounds=12, seconds=0.3)
    fetched = principal.fetched  # closing asks for another one
    for connection in set(connections):
        connection.close()
    assert answers == [[(1,)]] * 240
    assert principal.together == 1
    assert fetched == 3


@pytest.mark.slow
def test_tokens_that_live_for_five_seconds(
    engine_url: URL,
    engine_args: dict[str, Any],
    local_warehouse: TestWarehouse,
    monkeypatch: pytest.MonkeyPatch,
    clock: HeldClock,
) -> None:
    monkeypatch.setattr(local_warehouse.warehouse.credentials, "token_lifetime", 5.0)
    principal = ServicePrincipal(local_warehouse.warehouse, clock, renewed_before=1.0)
    arguments = {**engine_args, "credentials_provider": principal}
    del arguments["access_token"]
    engine = create_engine(engine_url, connect_args=arguments, pool_size=20)

    def ask() -> object:
        with engine.connect() as connection:
            return connection.scalar(text("SELECT 1"))

    answers = in_rounds(ask, clock, rounds=20, seconds=1.0)
    fetched = principal.fetched  # closing asks for another one
    engine.dispose()
    assert answers == [1] * 400
    assert principal.together == 1
    # One every four seconds, whoever waited for it.
    assert fetched == 5
    assert [record for record in local_warehouse.requests if record.status in (401, 403)] == []


def test_a_revoked_token_is_renewed_once(
    principal: ServicePrincipal, connect: Connect, local_warehouse: TestWarehouse
) -> None:
    local_warehouse.warehouse.credentials.token_lifetime = 3600.0
    connection = connect(access_token=None, credentials_provider=principal)
    connection.cursor().execute("CREATE TABLE t (a INT)")
    local_warehouse.inject(Fault.token_revoked(statement="INSERT"))
    connection.cursor().execute("INSERT INTO t VALUES (1)")
    assert principal.fetched == 2
    assert connection.cursor().execute("SELECT * FROM t").fetchall() == [(1,)]


def test_a_principal_that_gets_no_other_token_fails_at_once(
    principal: ServicePrincipal, connect: Connect, local_warehouse: TestWarehouse
) -> None:
    local_warehouse.warehouse.credentials.token_lifetime = 3600.0
    connection = connect(access_token=None, credentials_provider=principal)
    principal.working = False
    local_warehouse.inject(Fault.token_revoked(statement="SELECT 7"))
    with soon(), pytest.raises(dbapi.AuthenticationFailed, match="expired nor been revoked"):
        connection.cursor().execute("SELECT 7")
    assert len([s for s in local_warehouse.statements if s == "SELECT 7"]) == 1
    assert principal.fetched == 1


def test_a_provider_without_a_way_to_forget_is_asked_for_another_factory(
    connect: Connect, local_warehouse: TestWarehouse
) -> None:
    tokens = ["dapi" + "1" * 32, local_warehouse.warehouse.access_token]
    factories = iter([lambda: bearer(tokens[0]), lambda: bearer(tokens[1])])
    connection = connect(access_token=None, credentials_provider=lambda: next(factories))
    assert connection.cursor().execute("SELECT 1").fetchall() == [(1,)]


def test_a_provider_that_fails_is_an_error_of_ours(
    connect: Connect, local_warehouse: TestWarehouse
) -> None:
    password = "-".join(["hunter2"] * 2)

    def provider() -> Callable[[], dict[str, str]]:
        raise OSError(f"no metadata service, password={password}")

    with pytest.raises(dbapi.AuthenticationFailed, match="no metadata service") as caught:
        connect(access_token=None, credentials_provider=provider)
    assert password not in "".join(traceback.format_exception(caught.value))
    assert local_warehouse.requests == ()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def token_of(issuer: str) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"iss": issuer}).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJub25lIn0.{claims}.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("token", "kept"),
    [
        ("an-opaque-token", False),
        (token_of("https://example.cloud.databricks.com/oidc"), False),
        (token_of("https://sts.windows.net/1234/"), False),
        (token_of("https://identity.example.org"), True),
        ("not.a.token", False),
    ],
)
def test_the_driver_keeps_only_what_it_has_to_exchange(token: str, kept: bool) -> None:
    credentials = RequestCredentials(lambda: lambda: bearer(token), "example.cloud.databricks.com")
    assert list(credentials()()) == ["Authorization" if kept else "authorization"]


def test_connections_with_one_provider_share_its_credentials() -> None:
    def provider() -> Callable[[], dict[str, str]]:
        return lambda: bearer("a-token-of-somebody")

    first = take_credentials({"credentials_provider": provider}, "host")
    assert take_credentials({"credentials_provider": provider}, "host") is first
    assert take_credentials({"credentials_provider": provider}, "other") is not first


# --- nobody else's credentials, and nothing sent that was not asked for --------------------------


def test_a_netrc_file_changes_nothing(
    connect: Connect,
    local_warehouse: TestWarehouse,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login mallory password wrong\ndefault login a password b\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    (Path.home() / ".netrc").write_text(netrc.read_text())
    connection = connect()
    # More than the driver takes along, so that it fetches too.
    connection.cursor().execute("SELECT id FROM range(250000)").fetchall()
    assert {record.status for record in local_warehouse.requests} == {200}


def test_nothing_but_the_protocol_is_sent(connect: Connect, local_warehouse: TestWarehouse) -> None:
    connection = connect()
    cursor = connection.cursor()
    cursor.execute("SELECT 1").fetchall()
    cursor.close()
    connection.close()
    assert [record.operation for record in local_warehouse.requests] == [
        "OpenSession",
        "ExecuteStatement",
        "CloseSession",
    ]


# --- secrets -------------------------------------------------------------------------------------

FAILURES: dict[str, Fault] = {
    "refused": Fault.http(403),
    "reset": Fault.reset("before", times=20),
    "server error": Fault.http(500, times=20),
    "unavailable": Fault.http(503, times=20),
}


def shown(error: BaseException) -> str:
    """All that a report may show of an exception, the locals of its frames included."""
    parts = [repr(error), str(error)]
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        current = waiting.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        waiting += [current.__cause__, current.__context__]
        trace = traceback.TracebackException.from_exception(current, capture_locals=False)
        parts += [*trace.format(), repr(vars(current)), repr(current.args)]
        for frame, _ in traceback.walk_tb(current.__traceback__):
            if not frame.f_code.co_filename.endswith("test_dbapi_auth.py"):
                parts.append(repr(frame.f_locals))
    return "\n".join(parts)


@pytest.mark.parametrize("fault", FAILURES.values(), ids=list(FAILURES))
@pytest.mark.parametrize("operation", ["OpenSession", "ExecuteStatement"])
def test_no_failure_shows_the_token(
    fault: Fault,
    operation: str,
    engine_url: URL,
    engine_args: dict[str, Any],
    local_warehouse: TestWarehouse,
) -> None:
    token = local_warehouse.warehouse.access_token
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logging.getLogger().addHandler(handler)
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.DEBUG)
    engine = create_engine(
        engine_url.update_query_dict({"start_timeout": "0.2"}),
        connect_args=engine_args,
        poolclass=SessionPool,
        history_timeout=0.2,
    )
    local_warehouse.inject(Fault(**{**vars(fault), "operation": operation}))
    try:
        with pytest.raises(exc.DBAPIError) as caught, engine.connect() as connection:
            run_and_commit(connection, text("INSERT INTO nowhere VALUES (1)"))
        assert token not in shown(caught.value)
        assert token not in repr(caught.value.orig)
        assert token not in stream.getvalue()
        assert token not in repr(engine) + str(engine.url) + repr(vars(engine.pool))
    finally:
        local_warehouse.warehouse.faults.clear()
        engine.dispose()
        logging.getLogger().removeHandler(handler)
        logging.getLogger().setLevel(level)


def test_nothing_that_is_printed_shows_the_token(
    connection: dbapi.Connection, local_warehouse: TestWarehouse
) -> None:
    token = local_warehouse.warehouse.access_token
    assert token not in repr(connection)
    assert token not in repr(connection._arguments)
    assert token not in repr(connection._arguments.for_driver)
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(connection._arguments.credentials)


def test_an_error_can_be_pickled_and_stays_what_it_is(connection: dbapi.Connection) -> None:
    with pytest.raises(dbapi.ProgrammingError) as caught:
        connection.cursor().execute("SELECT * FROM nowhere")
    copied = pickle.loads(pickle.dumps(caught.value))
    assert type(copied) is type(caught.value)
    assert str(copied) == str(caught.value)
    assert (copied.sqlstate, copied.error_class) == ("42P01", "TABLE_OR_VIEW_NOT_FOUND")


def test_an_engine_answers(engine: Engine) -> None:
    with engine.connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1
