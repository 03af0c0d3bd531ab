"""What ``vinci check`` says about each problem, provoked on this machine as far as it can be."""

from __future__ import annotations

import io
import json
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.certificates import Authority
from tests.fakes.dead_ends import (
    black_hole,
    closed_port,
    plain_text_server,
    proxy_server,
    silent_server,
)
from tests.fakes.workspace import CLIENT_ID, CLIENT_SECRET, TOKEN, FakeWorkspace
from tests.patience import FOR_LONG_S, PATIENCE_S, SHORT_S, hold_clock, soon
from vinci_code.core.config import Settings, get_settings, reload_settings
from vinci_code.diagnostics import (
    Report,
    Status,
    databricks_checks,
    main_check,
    network,
    run_checks,
    runner,
)
from vinci_code.warehouse import Fault
from vinci_code.warehouse.pytest_plugin import TestWarehouse

NAMES = [
    "settings",
    "driver",
    "name_resolution",
    "tcp",
    "tls",
    "authentication",
    "warehouse",
    "select_1",
    "namespace",
    "migrations",
    "scratch_table",
    "fallback",
]
WRONG_TOKEN = "dapi" + "1" * 30 + "ab"


@pytest.fixture
def check(workspace: FakeWorkspace, authority: Authority) -> Callable[..., Report]:
    """Run the checks on the workspace, with settings that differ from its own."""

    def run(*, write: bool = False, start_budget: float = 3.0, **arguments: object) -> Report:
        database = workspace.settings(authority, **arguments)
        return run_checks(
            lambda: Settings(database=database),
            write=write,
            start_budget=start_budget,
        )

    return run


def the_failure(report: Report, name: str) -> tuple[str, str]:
    """Cause and next step of the one check that failed; later ones that need it were skipped."""
    failed = [result.name for result in report.results if result.status is Status.FAILED]
    assert failed == [name], report.as_text()
    position = NAMES.index(name)
    for result in report.results:
        expected = Status.SKIPPED if NAMES.index(result.name) > position else None
        assert expected is None or result.status is expected
    finding = report.result(name).finding
    assert finding.cause
    assert finding.next_step
    return finding.cause, finding.next_step


def test_everything_is_checked_in_order(
    check: Callable[..., Report], workspace: FakeWorkspace
) -> None:
    report = check(write=True)
    assert [result.name for result in report.results] == NAMES
    assert {result.status for result in report.results[:-1]} == {Status.OK}, report.as_text()
    assert report.result("fallback").status is Status.SKIPPED
    assert report.exit_code == 0
    assert report.backend == "databricks"
    assert "databricks-sql-connector 4." in report.result("driver").finding.detail
    assert "127.0.0.1" in report.result("name_resolution").finding.detail
    assert "certificate for localhost" in report.result("tls").finding.detail
    assert "issuer Fake workspace CA" in report.result("tls").finding.detail
    assert "signed in as ada@example.com" in report.result("authentication").finding.detail
    assert "is running" in report.result("warehouse").finding.detail
    assert "5 calls: min" in report.result("select_1").finding.detail
    assert "main.default" in report.result("namespace").finding.detail
    assert workspace.sql.sessions_open == 0
    assert workspace.sql.tables == {}


def test_without_write_nothing_is_written(
    check: Callable[..., Report], workspace: FakeWorkspace
) -> None:
    report = check()
    assert report.result("scratch_table").status is Status.SKIPPED
    assert report.exit_code == 0
    assert {sql.split()[0] for sql in workspace.sql.statements} == {
        "SELECT",
        "DESCRIBE",
        "SHOW",
    }


def test_wrong_token(check: Callable[..., Report]) -> None:
    report = check(databricks_access_token=WRONG_TOKEN)
    cause, step = the_failure(report, "authentication")
    assert "did not accept the personal access token (status 403)" in cause
    assert "Invalid access token" in cause
    assert "create a new one" in step
    assert report.exit_code == 1
    assert WRONG_TOKEN not in report.as_text() + report.as_json()


def test_wrong_client_secret(check: Callable[..., Report]) -> None:
    report = check(
        databricks_access_token=None,
        databricks_client_id=CLIENT_ID,
        databricks_client_secret="dose" + "3" * 30 + "ab",
    )
    cause, step = the_failure(report, "authentication")
    assert "gave no OAuth token" in cause
    assert "Client authentication failed" in cause
    assert "new OAuth secret" in step


def test_an_address_that_the_workspace_does_not_let_in(
    check: Callable[..., Report], workspace: FakeWorkspace
) -> None:
    workspace.rest_status = 403
    _, step = the_failure(check(), "authentication")
    assert "create a new one" in step


def test_wrong_path(check: Callable[..., Report]) -> None:
    report = check(databricks_http_path="/sql/1.0/warehouses/ffffffffffffffff")
    cause, step = the_failure(report, "warehouse")
    assert "knows no warehouse at /sql/1.0/warehouses/ffffffffffffffff" in cause
    assert "does not exist" in cause
    assert "copy the HTTP path again" in step


def test_no_permission_on_the_warehouse(
    check: Callable[..., Report], workspace: FakeWorkspace
) -> None:
    workspace.warehouse_status = 403
    workspace.warehouse_message = "PERMISSION_DENIED: You do not have permission to use this."
    cause, step = the_failure(check(), "warehouse")
    assert "may not use" in cause
    assert "CAN USE" in step


def test_a_deleted_warehouse(check: Callable[..., Report], workspace: FakeWorkspace) -> None:
    workspace.state = "DELETED"
    cause, step = the_failure(check(), "warehouse")
    assert "the warehouse is DELETED" in cause
    assert "copy the HTTP path again" in step


def test_a_stopped_warehouse_that_does_not_start(
    check: Callable[..., Report], workspace: FakeWorkspace
) -> None:
    workspace.state = "STOPPED"
    cause, step = the_failure(check(start_budget=1.0), "warehouse")
    assert "was STOPPED and did not start within 1 s" in cause
    assert "start it under SQL Warehouses" in step


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault.http(429, operation="OpenSession", times=2), "answered with status 429"),
        (Fault.cold_start(2), "answered with status 503: TEMPORARILY_UNAVAILABLE"),
    ],
)
def test_a_warehouse_that_runs_and_takes_no_session_says_why(
    fault: Fault, said: str, local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in local_warehouse.env.items():
        monkeypatch.setenv(name, value)
    reload_settings()
    local_warehouse.inject(fault)
    messages: list[str] = []
    report = run_checks(get_settings, start_budget=60, on_progress=messages.append)
    assert "is running; a session opened" in str(report.result("warehouse").finding.detail)
    (message,) = messages
    assert message.startswith("No session yet, waiting up to 60 s for it: the SQL warehouse ")
    assert said in message
    assert "RUNNING" not in message


def test_a_warehouse_that_runs_and_takes_no_session_is_given_up(
    local_warehouse: TestWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in local_warehouse.env.items():
        monkeypatch.setenv(name, value)
    reload_settings()
    local_warehouse.inject(Fault.http(429, operation="OpenSession", times=1000))
    finding = run_checks(get_settings, start_budget=1).result("warehouse").finding
    assert "has taken no session within 1 s" in str(finding.cause)
    assert "did not start" not in str(finding.cause)
    assert "start it" not in str(finding.next_step)
    assert "give it more clusters" in str(finding.next_step)


@pytest.mark.slow
def test_a_stopped_warehouse_is_waited_for(workspace: FakeWorkspace, authority: Authority) -> None:
    workspace.state, workspace.starts_after = "STOPPED", 3
    messages: list[str] = []
    database = workspace.settings(authority)
    report = run_checks(
        lambda: Settings(database=database),
        start_budget=60,
        on_progress=messages.append,
    )
    assert report.ok, report.as_text()
    assert "was STOPPED and started in" in report.result("warehouse").finding.detail
    assert len(messages) == 1
    assert "waiting up to" in messages[0]


def test_a_workspace_that_knows_no_current_user_is_asked_for_the_warehouse(
    check: Callable[..., Report], workspace: FakeWorkspace
) -> None:
    workspace.knows_users = False
    report = check()
    assert report.result("authentication").status is Status.OK, report.as_text()
    assert "accepts the personal access token" in report.result("authentication").finding.detail
    wrong = check(databricks_access_token=WRONG_TOKEN)
    the_failure(wrong, "authentication")


def test_a_workspace_without_rest_is_no_failure(
    check: Callable[..., Report], workspace: FakeWorkspace
) -> None:
    workspace.rest_status = 404
    report = check()
    assert report.result("authentication").status is Status.WARNING
    assert report.result("select_1").status is Status.OK
    assert report.exit_code == 0
    assert "with a warning" in report.summary()


def test_a_schema_that_is_not_there(check: Callable[..., Report], workspace: FakeWorkspace) -> None:
    workspace.sql.fail_statements["DESCRIBE SCHEMA"] = (
        "[SCHEMA_NOT_FOUND] The schema `main`.`default` cannot be found. SQLSTATE: 42704"
    )
    cause, step = the_failure(check(), "namespace")
    assert "SCHEMA_NOT_FOUND" in cause
    assert "DATABRICKS_SCHEMA" in step


@pytest.mark.parametrize(
    "said",
    [
        ("[NO_SUCH_CATALOG_EXCEPTION] Catalog 'mian' was not found. SQLSTATE: 42704", "42704"),
        ("[INSUFFICIENT_PERMISSIONS] User does not have USE CATALOG. SQLSTATE: 42501", "42501"),
    ],
)
def test_a_catalog_that_refuses_the_session_is_told_as_the_catalog(
    said: tuple[str, str], check: Callable[..., Report], workspace: FakeWorkspace
) -> None:
    workspace.sql.namespace_error = said
    report = check(databricks_catalog="mian", write=True)
    cause, step = the_failure(report, "namespace")
    assert report.result("warehouse").status is Status.OK
    assert report.result("select_1").status is Status.OK
    assert said[0] in cause
    assert "DATABRICKS_CATALOG" in step or "USE CATALOG" in step
    assert workspace.sql.sessions_open == 0


def test_pending_migrations_are_a_warning_with_the_command(
    check: Callable[..., Report], workspace: FakeWorkspace
) -> None:
    workspace.sql.revision = None
    report = check()
    result = report.result("migrations")
    assert result.status is Status.WARNING
    assert "at none, 1 to be applied" in result.finding.detail
    assert "run 'vinci db upgrade'" in (result.finding.next_step or "")
    assert report.exit_code == 0
    assert report.summary() == "All checks passed, with a warning: Migrations."
    assert workspace.sql.sessions_open == 0


def test_tables_of_another_release_are_a_failure(
    check: Callable[..., Report], workspace: FakeWorkspace
) -> None:
    workspace.sql.revision = "9999"
    cause, step = the_failure(check(), "migrations")
    assert "revision 9999" in cause
    assert "DATABRICKS_SCHEMA" in step


def test_a_session_in_another_schema_than_asked_for(check: Callable[..., Report]) -> None:
    cause, _ = the_failure(check(databricks_schema="gold"), "namespace")
    assert "main.default and not in main.gold" in cause


def test_no_right_to_create_a_table(check: Callable[..., Report], workspace: FakeWorkspace) -> None:
    workspace.sql.fail_statements["CREATE TABLE"] = (
        "[INSUFFICIENT_PERMISSIONS] User does not have CREATE TABLE on Schema. SQLSTATE: 42501"
    )
    cause, step = the_failure(check(write=True), "scratch_table")
    assert "does not have CREATE TABLE" in cause
    assert "CREATE TABLE" in step


@pytest.mark.parametrize("broken", ["INSERT", "SELECT id"])
def test_the_scratch_table_is_dropped_whatever_happens(
    check: Callable[..., Report], workspace: FakeWorkspace, broken: str
) -> None:
    workspace.sql.fail_statements[broken] = "[INTERNAL_ERROR] no"
    the_failure(check(write=True), "scratch_table")
    assert workspace.sql.statements[-1].startswith("DROP TABLE IF EXISTS `vinci_check_")
    assert workspace.sql.tables == {}


def test_the_scratch_table_is_dropped_when_the_line_breaks(
    check: Callable[..., Report], workspace: FakeWorkspace
) -> None:
    workspace.sql.hang_up_on = "INSERT"
    the_failure(check(write=True), "scratch_table")
    inserts = [sql for sql in workspace.sql.statements if sql.startswith("INSERT")]
    assert len(inserts) == 1
    assert workspace.sql.tables == {}


def test_a_scratch_table_that_cannot_be_dropped_is_named(
    check: Callable[..., Report], workspace: FakeWorkspace
) -> None:
    workspace.sql.fail_statements["DROP"] = "[INTERNAL_ERROR] no"
    cause, step = the_failure(check(write=True), "scratch_table")
    (table,) = workspace.sql.tables
    assert f"The scratch table {table} could not be dropped" in cause
    assert f"DROP TABLE IF EXISTS {table}" in step


def test_a_name_that_does_not_resolve(check: Callable[..., Report]) -> None:
    report = check(databricks_server_hostname="no-such-host.localhost:1")
    names = {result.name: result.status for result in report.results}
    if names["name_resolution"] is Status.OK:
        pytest.skip("this resolver answers for every name below localhost")
    cause, step = the_failure(report, "name_resolution")
    assert "does not resolve" in cause
    assert "typing errors" in step


@pytest.mark.parametrize(
    ("dead_end", "name", "expected", "advice"),
    [
        (closed_port, "tcp", "the connection was refused", "firewall"),
        pytest.param(
            black_hole,
            "tcp",
            "nothing answered within",
            "outbound",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="kernels differ in this"),
        ),
        (silent_server, "tls", "did not answer in time", "firewall"),
        (plain_text_server, "tls", "not with TLS that can be used", "proxy or firewall"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_blocked_network(
    check: Callable[..., Report],
    monkeypatch: pytest.MonkeyPatch,
    dead_end: Callable[[], AbstractContextManager[int]],
    name: str,
    expected: str,
    advice: str,
) -> None:
    monkeypatch.setattr(network, "SOCKET_TIMEOUT", SHORT_S)
    with dead_end() as port, soon():
        cause, step = the_failure(check(databricks_server_hostname=f"localhost:{port}"), name)
    assert expected in cause
    assert advice in step


def test_a_ca_that_is_not_trusted_names_the_issuer(
    workspace: FakeWorkspace, tmp_path: Path, check: Callable[..., Report]
) -> None:
    trusted = Authority(tmp_path, "Another CA")
    cause, step = the_failure(check(databricks_ca_file=trusted.file), "tls")
    assert "signed by a CA that is not in the CA file" in cause
    assert "by the issuer Fake workspace CA" in cause
    assert "DATABRICKS_CA_FILE" in step
    assert workspace.requests == [], "no request, hence no credentials, was sent"


def test_a_proxy_that_inspects_tls_is_recognised(
    authority: Authority, tmp_path: Path, check: Callable[..., Report]
) -> None:
    inspector = Authority(tmp_path, "Zscaler Intermediate Root CA")
    with FakeWorkspace(inspector.issue()) as between:
        report = check(databricks_server_hostname=between.host)
    cause, step = the_failure(report, "tls")
    assert "Zscaler Intermediate Root CA. That looks like a proxy." in cause
    assert "set DATABRICKS_CA_FILE" in step


def test_a_certificate_that_expires_soon_is_a_warning(
    authority: Authority, check: Callable[..., Report]
) -> None:
    with FakeWorkspace(authority.issue(days=3)) as soon:
        report = check(databricks_server_hostname=soon.host)
    assert report.result("tls").status is Status.WARNING
    assert "expires in" in (report.result("tls").finding.cause or "")


def test_an_expired_certificate(authority: Authority, check: Callable[..., Report]) -> None:
    with FakeWorkspace(authority.issue(days=-1)) as expired:
        cause, step = the_failure(check(databricks_server_hostname=expired.host), "tls")
    assert "out of date" in cause
    assert "clock" in step


def test_a_proxy_is_gone_through_and_named(
    check: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    with proxy_server(seen=seen) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://ada:Tr0ub4dor-and-3@127.0.0.1:{port}")
        report = check()
        monkeypatch.delenv("HTTPS_PROXY")
    assert report.ok, report.as_text()
    assert f"the proxy 127.0.0.1:{port}" in report.result("tcp").finding.detail
    # One each for TCP, TLS, two questions, and the session of the driver.
    assert len(seen) >= 5
    assert all(
        "Proxy-Authorization: Basic " in head or "proxy-authorization" in head for head in seen
    )
    assert "Tr0ub4dor" not in report.as_json()


@pytest.mark.parametrize(
    ("status", "reason", "advice"),
    [
        (407, "Proxy Authentication Required", "user name and password"),
        (403, "Forbidden", "allow localhost"),
    ],
)
def test_a_proxy_that_refuses(
    check: Callable[..., Report],
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    reason: str,
    advice: str,
) -> None:
    with proxy_server(status, reason) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        cause, step = the_failure(check(), "tcp")
        monkeypatch.delenv("HTTPS_PROXY")
    assert f"the proxy 127.0.0.1:{port} answered {status} {reason}" in cause
    assert advice in step


def test_a_proxy_that_is_not_there(
    check: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    with closed_port() as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        cause, step = the_failure(check(), "tcp")
        monkeypatch.setenv("NO_PROXY", "localhost")
        assert check().ok
    assert f"The proxy 127.0.0.1:{port} from HTTPS_PROXY cannot be used" in cause
    assert "NO_PROXY" in step


def test_a_slow_workspace_does_not_hang_the_checks(
    check: Callable[..., Report], workspace: FakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vinci_code.diagnostics.databricks_checks.SOCKET_TIMEOUT", SHORT_S)
    workspace.delay = FOR_LONG_S
    with soon():
        cause, _ = the_failure(check(), "authentication")
    assert "did not answer in time" in cause


def test_the_deadline_for_all_ends_a_statement_that_never_does(
    workspace: FakeWorkspace, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.sql.pause_before["SELECT 1"] = FOR_LONG_S
    clock = hold_clock(monkeypatch, runner)
    # What comes before the statement takes no time, and leaves a second and a half to it.
    clock.move_on(PATIENCE_S - 1.5, once=lambda: workspace.sql.sessions_open)
    with soon():
        report = run_checks(
            lambda: Settings(database=workspace.settings(authority)), deadline=PATIENCE_S
        )
    cause, _ = the_failure(report, "select_1")
    assert "did not finish within" in cause


def test_the_command_prints_each_result_and_a_summary(
    workspace: FakeWorkspace, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in workspace.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATABRICKS_TOKEN", TOKEN)
    monkeypatch.setenv("DATABRICKS_CA_FILE", str(authority.file))
    reload_settings()
    out, log = io.StringIO(), io.StringIO()
    assert main_check(write=True, stdout=out, stderr=log) == 0
    lines = out.getvalue().splitlines()
    assert [line.split()[0] for line in lines[: len(NAMES)]] == [
        *["ok"] * (len(NAMES) - 1),
        "skipped",  # the fallback is off
    ]
    assert lines[-1] == "All checks passed."
    assert log.getvalue() == ""
    assert TOKEN not in out.getvalue()
    out = io.StringIO()
    assert main_check(json=True, stdout=out, stderr=log) == 0
    (line,) = out.getvalue().splitlines()
    document = json.loads(line)
    assert document["ok"] is True
    assert [entry["name"] for entry in document["checks"]] == NAMES
    assert TOKEN not in line


def test_no_thread_but_daemons_is_left(check: Callable[..., Report]) -> None:
    before = {thread for thread in threading.enumerate() if not thread.daemon}
    check(databricks_access_token=None, databricks_client_id=CLIENT_ID,
          databricks_client_secret=CLIENT_SECRET)  # fmt: skip
    after = {thread for thread in threading.enumerate() if not thread.daemon}
    # The workspace's own threads end with its connections.
    assert all("process_request_thread" in thread.name for thread in after - before)


@pytest.mark.parametrize(
    ("module", "name", "step"),
    [
        ("vinci_code.database.databricks.profile", "resolve_profile", "settings"),
        ("vinci_code.database.dialect.driver.adapter", "load", "driver"),
    ],
)
def test_what_is_slow_to_load_is_not_taken_for_the_network(
    module: str,
    name: str,
    step: str,
    check: Callable[..., Report],
    workspace: FakeWorkspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded = threading.Event()

    def load(*_: object) -> None:
        loaded.wait(FOR_LONG_S)
        raise RuntimeError("nobody waits for it any more")

    monkeypatch.setattr(f"{module}.{name}", load)
    monkeypatch.setattr(runner, "_SETTINGS", replace(runner._SETTINGS, deadline=SHORT_S))
    steps = [
        replace(each, deadline=SHORT_S) if each.name == "driver" else each
        for each in databricks_checks.CHECKS
    ]
    monkeypatch.setattr(databricks_checks, "CHECKS", steps)
    profile = {"databricks_access_token": None, "databricks_profile": "work"}
    try:
        report = check(**(profile if step == "settings" else {}))
    finally:
        loaded.set()
    finding = report.result(step).finding
    assert finding.status is Status.FAILED
    assert "did not finish within" in (finding.cause or "")
    assert "loads Python packages slowly" in (finding.next_step or "")
    assert "network between" not in (finding.next_step or "")
    assert workspace.requests == []
