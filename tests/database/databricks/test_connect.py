"""The connector against a workspace on this machine, with the vendor's driver over real TLS."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.fakes.certificates import Authority
from tests.fakes.dead_ends import black_hole, closed_port, plain_text_server, silent_server
from tests.fakes.workspace import CLIENT_ID, CLIENT_SECRET, TOKEN, FakeWorkspace
from tests.patience import PATIENCE_S, SHORT_S, soon
from vinci_code.core.errors import (
    AuthenticationError,
    DatabricksConnectionError,
    DeadlineExceededError,
)
from vinci_code.core.redaction import MASK, redact
from vinci_code.database.databricks_connector import (
    DatabricksConnector,
    validate_databricks_connection,
)

OAUTH = {
    "databricks_access_token": None,
    "databricks_client_id": CLIENT_ID,
    "databricks_client_secret": CLIENT_SECRET,
}
WRONG_TOKEN = "dapi" + "1" * 30 + "ab"
WRONG_SECRET = "dose" + "2" * 30 + "cd"


def test_a_token_opens_a_session(workspace: FakeWorkspace, authority: Authority) -> None:
    with DatabricksConnector(workspace.settings(authority)) as connector:
        with connector.connect().cursor() as cursor:
            cursor.execute("SELECT 1")
            assert cursor.fetchall()[0][0] == 1
        assert workspace.sql.sessions_open == 1
    assert workspace.sql.sessions_open == 0


def test_the_client_id_and_secret_open_a_session(
    workspace: FakeWorkspace, authority: Authority
) -> None:
    result = DatabricksConnector(workspace.settings(authority, **OAUTH)).validate()
    assert result.ok, result
    assert result.auth_method == "oauth-m2m"
    assert workspace.issued == 1, "one token serves the check and the driver"


def test_an_oauth_token_that_has_ended_is_replaced(
    workspace: FakeWorkspace, authority: Authority
) -> None:
    workspace.token_lifetime = 0
    credentials = DatabricksConnector(workspace.settings(authority, **OAUTH)).credentials
    header_factory = credentials()
    assert header_factory() != header_factory()
    assert workspace.issued == 2


def test_catalog_and_schema_are_asked_for_at_connect(
    workspace: FakeWorkspace, authority: Authority
) -> None:
    settings = workspace.settings(authority, databricks_catalog="main", databricks_schema="default")
    with DatabricksConnector(settings) as connector:
        connector.connect()
    (namespace,) = workspace.sql.namespaces
    assert (namespace.catalogName, namespace.schemaName) == ("main", "default")


def test_nothing_but_the_warehouse_is_asked(workspace: FakeWorkspace, authority: Authority) -> None:
    assert DatabricksConnector(workspace.settings(authority)).validate()
    assert set(workspace.requests) == {f"POST {workspace.http_path}"}, "no telemetry, no flags"
    (agent,) = workspace.user_agents
    assert "(vinci_code/" in agent


def test_netrc_never_overrides_our_credentials(
    workspace: FakeWorkspace, authority: Authority
) -> None:
    netrc = Path.home() / ".netrc"
    netrc.write_text("machine localhost login somebody password else\n")
    netrc.chmod(0o600)
    assert DatabricksConnector(workspace.settings(authority)).validate()
    assert DatabricksConnector(workspace.settings(authority, **OAUTH)).validate()


def test_a_statement_that_was_cut_off_is_not_sent_again(
    workspace: FakeWorkspace, authority: Authority
) -> None:
    workspace.sql.tables["`t`"] = []
    workspace.sql.hang_up_on = "INSERT"
    with DatabricksConnector(workspace.settings(authority)) as connector:
        cursor = connector.connect().cursor()
        with pytest.raises(Exception, match=r"(?i)connection|remote"):
            cursor.execute("INSERT INTO `t` VALUES (1, 'once')")
    assert workspace.sql.tables["`t`"] == [[1, "once"]]


@pytest.mark.parametrize(
    "credentials",
    [
        {"databricks_access_token": WRONG_TOKEN},
        {**OAUTH, "databricks_client_secret": WRONG_SECRET},
    ],
    ids=["token", "oauth"],
)
def test_wrong_credentials_are_reported_at_once(
    workspace: FakeWorkspace, authority: Authority, credentials: dict[str, str | None]
) -> None:
    connector = DatabricksConnector(workspace.settings(authority, **credentials))
    DatabricksConnector(workspace.settings(authority)).validate()  # the driver is loaded now
    with soon(), pytest.raises(AuthenticationError, match=r"create a new") as caught:
        connector.connect()
    shown = "".join(traceback.format_exception(caught.value))
    assert caught.value.__cause__ is not None
    assert WRONG_TOKEN not in shown
    assert WRONG_SECRET not in shown


def test_a_wrong_path_is_distinguished_from_wrong_credentials(
    workspace: FakeWorkspace, authority: Authority
) -> None:
    settings = workspace.settings(
        authority, databricks_http_path="/sql/1.0/warehouses/ffffffffffffffff"
    )
    with pytest.raises(DatabricksConnectionError, match="copy the HTTP path again") as caught:
        DatabricksConnector(settings).connect()
    assert not isinstance(caught.value, AuthenticationError)


def test_a_stopped_warehouse_is_reported(workspace: FakeWorkspace, authority: Authority) -> None:
    workspace.state = "STOPPED"
    # The driver waits 5 s once, and not for 15 minutes.
    with soon(), pytest.raises(DatabricksConnectionError, match="stopped or starting"):
        DatabricksConnector(workspace.settings(authority)).connect()


def test_a_warehouse_without_thrift_is_reported_each_time(authority: Authority) -> None:
    # An id of its own: the driver remembers it for the life of the process.
    with FakeWorkspace(authority.issue(), warehouse_id="00000000feedbeef") as workspace:
        workspace.sql.open_session_error = ("Thrift is not supported here", "KP001")
        for _ in range(2):
            with pytest.raises(DatabricksConnectionError, match="not a real-time one"):
                DatabricksConnector(workspace.settings(authority)).connect()


def test_an_unknown_catalog_is_reported(workspace: FakeWorkspace, authority: Authority) -> None:
    workspace.sql.open_session_error = (
        "[NO_SUCH_CATALOG_EXCEPTION] Catalog 'mian' was not found. SQLSTATE: 42704",
        "42704",
    )
    with pytest.raises(DatabricksConnectionError, match="DATABRICKS_CATALOG"):
        DatabricksConnector(workspace.settings(authority)).connect()


def test_a_certificate_of_another_ca_is_refused(workspace: FakeWorkspace, tmp_path: Path) -> None:
    other = Authority(tmp_path, "Another CA")
    with pytest.raises(DatabricksConnectionError, match="verification is never switched off"):
        DatabricksConnector(workspace.settings(other)).connect()
    assert workspace.requests == []


def test_a_certificate_for_another_name_is_refused(authority: Authority) -> None:
    with (
        FakeWorkspace(authority.issue("elsewhere.test")) as workspace,
        pytest.raises(DatabricksConnectionError, match="is for another name"),
    ):
        DatabricksConnector(workspace.settings(authority)).connect()


def test_an_expired_certificate_is_refused(authority: Authority) -> None:
    with (
        FakeWorkspace(authority.issue(days=-1)) as workspace,
        pytest.raises(DatabricksConnectionError, match="out of date"),
    ):
        DatabricksConnector(workspace.settings(authority)).connect()


@pytest.mark.parametrize(
    ("dead_end", "kind", "advice"),
    [
        (closed_port, DatabricksConnectionError, "refused"),
        (silent_server, DeadlineExceededError, "did not answer in time"),
        (plain_text_server, DatabricksConnectionError, "not with TLS that can be used"),
        pytest.param(
            black_hole,
            DatabricksConnectionError,
            "nothing answers",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="kernels differ in this"),
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_dead_end_is_left_within_the_connect_timeout(
    workspace: FakeWorkspace,
    authority: Authority,
    dead_end: Callable[[], AbstractContextManager[int]],
    kind: type[DatabricksConnectionError],
    advice: str,
) -> None:
    DatabricksConnector(workspace.settings(authority)).validate()  # the driver is loaded now
    with dead_end() as port:
        settings = workspace.settings(authority, databricks_server_hostname=f"localhost:{port}")
        connector = DatabricksConnector(settings, connect_timeout=SHORT_S)
        with soon(), pytest.raises(kind, match=advice):
            connector.connect()


def test_validation_returns_what_it_found(workspace: FakeWorkspace, authority: Authority) -> None:
    good = validate_databricks_connection(workspace.settings(authority))
    assert good
    assert good.host == workspace.host
    assert good.http_path == workspace.http_path
    assert good.auth_method == "pat"
    assert good.latency_ms is not None
    assert 0 < good.latency_ms < PATIENCE_S * 1000
    assert (good.error, good.next_step) == (None, None)
    bad = validate_databricks_connection(
        workspace.settings(authority, databricks_access_token=WRONG_TOKEN)
    )
    assert not bad
    assert bad.latency_ms is None
    assert bad.error is not None
    assert "Invalid access token" in bad.error
    assert bad.next_step is not None
    assert "create a new one" in bad.next_step
    assert workspace.sql.sessions_open == 0


def test_validation_does_not_raise_for_a_statement_that_fails(
    workspace: FakeWorkspace, authority: Authority
) -> None:
    workspace.sql.fail_statements["SELECT 1"] = "[INTERNAL_ERROR] something broke"
    result = validate_databricks_connection(workspace.settings(authority))
    assert not result
    assert result.error is not None
    assert "something broke" in result.error


def test_nothing_is_written_to_standard_error(
    workspace: FakeWorkspace, authority: Authority
) -> None:
    # In a process of its own: here, pytest's log handlers keep Python's last resort quiet.
    code = (
        "from vinci_code.core.config import get_settings;"
        "from vinci_code.database.databricks_connector import DatabricksConnector;"
        "connector = DatabricksConnector(get_settings().database, "
        f"connect_timeout={PATIENCE_S});"
        "print(connector.validate().error)"
    )
    environment = {
        **os.environ,
        **workspace.environment,
        "DATABRICKS_TOKEN": WRONG_TOKEN,
        "DATABRICKS_CA_FILE": str(authority.file),
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert "Invalid access token" in done.stdout
    assert done.stderr == ""


def test_no_secret_is_in_the_log(
    workspace: FakeWorkspace, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    DatabricksConnector(workspace.settings(authority)).validate()
    DatabricksConnector(workspace.settings(authority, **OAUTH)).validate()
    assert len(caplog.records) > 10
    assert TOKEN not in caplog.text
    assert CLIENT_SECRET not in caplog.text


def test_an_oauth_token_is_a_secret_as_soon_as_it_is_handed_out(
    workspace: FakeWorkspace, authority: Authority
) -> None:
    assert redact("opaque-oauth-token-number-1") != MASK
    DatabricksConnector(workspace.settings(authority, **OAUTH)).credentials.headers()
    assert redact("opaque-oauth-token-number-1") == MASK


def test_threads_share_one_connector(workspace: FakeWorkspace, authority: Authority) -> None:
    connector = DatabricksConnector(workspace.settings(authority, **OAUTH))
    results: list[bool] = []
    threads = [
        threading.Thread(target=lambda: results.append(connector.validate().ok)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 4
    assert workspace.issued == 1
