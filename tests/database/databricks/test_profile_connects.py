"""Profiles whose credentials have to be fetched: by OAuth, or from a command-line tool."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.fakes.certificates import Authority
from tests.fakes.workspace import CLIENT_ID, CLIENT_SECRET, TOKEN, FakeWorkspace
from tests.patience import FOR_LONG_S, soon, wait_until
from vinci_code.core.errors import AuthenticationError, DeadlineExceededError
from vinci_code.database.databricks import profile as databricks_profile
from vinci_code.database.databricks_connector import DatabricksConnector


def connector(workspace: FakeWorkspace, authority: Authority, profile: str) -> DatabricksConnector:
    file = Path.home() / ".databrickscfg"
    file.write_text(f"[work]\nhost = https://{workspace.host}\n{profile}")
    file.chmod(0o600)
    settings = workspace.settings(
        authority, databricks_access_token=None, databricks_profile="work"
    )
    return DatabricksConnector(settings)


def test_a_service_principal_in_a_profile(workspace: FakeWorkspace, authority: Authority) -> None:
    made = connector(
        workspace, authority, f"client_id = {CLIENT_ID}\nclient_secret = {CLIENT_SECRET}\n"
    )
    assert made.validate()
    assert workspace.issued == 1


def command_line_tool(folder: Path, answer_to_token: str) -> str:
    """Lines of a profile that gets its tokens from a tool, which is written into ``folder``."""
    tool = folder / "databricks"
    tool.write_text(
        f"""#!/bin/sh
if [ "$1" = version ]; then
    echo '{{"Major": 0, "Minor": 300, "Patch": 0}}'
else
    {answer_to_token}
fi
"""
    )
    tool.chmod(0o755)
    return f"auth_type = databricks-cli\ndatabricks_cli_path = {tool}\n"


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch, authority: Authority) -> None:
    """What the SDK's own requests trust."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.file))


@pytest.mark.usefixtures("trusted")
def test_building_the_connector_contacts_nobody(
    workspace: FakeWorkspace, authority: Authority
) -> None:
    connector(workspace, authority, f"client_id = {CLIENT_ID}\nclient_secret = {CLIENT_SECRET}\n")
    connector(workspace, authority, "auth_type = databricks-cli\n")
    assert workspace.requests == []


@pytest.mark.usefixtures("trusted")
def test_a_kind_that_asks_a_command_line_tool(
    workspace: FakeWorkspace, authority: Authority, tmp_path: Path
) -> None:
    token = (
        f'{{"access_token": "{TOKEN}", "token_type": "Bearer", "expiry": "2099-01-01 00:00:00"}}'
    )
    made = connector(workspace, authority, command_line_tool(tmp_path, f"echo '{token}'"))
    result = made.validate()
    assert result.ok, result
    assert result.auth_method == "profile"


@pytest.mark.usefixtures("trusted")
def test_a_tool_that_fails_is_reported(
    workspace: FakeWorkspace, authority: Authority, tmp_path: Path
) -> None:
    tool = command_line_tool(tmp_path, "echo 'refresh token is invalid' >&2; exit 1")
    made = connector(workspace, authority, tool)
    with pytest.raises(AuthenticationError, match="refresh token is invalid") as caught:
        made.connect()
    assert "databricks auth login --profile work" in str(caught.value)


@pytest.mark.usefixtures("trusted")
def test_a_tool_that_hangs_is_left_by_the_deadline(
    workspace: FakeWorkspace,
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(databricks_profile, "CREDENTIALS_TIMEOUT", 1.0)
    started = tmp_path / "started"
    tool = command_line_tool(tmp_path, f"echo $$ >{started}; exec sleep {FOR_LONG_S:.0f}")
    made = connector(workspace, authority, tool)
    try:
        with soon(), pytest.raises(DeadlineExceededError):
            made.connect()
    finally:
        wait_until(lambda: started.exists() and started.read_text().endswith("\n"))
        os.kill(int(started.read_text()), signal.SIGKILL)


def test_a_host_that_the_sdk_cannot_ask_is_left_in_time(
    workspace: FakeWorkspace, authority: Authority, tmp_path: Path
) -> None:
    # Without REQUESTS_CA_BUNDLE the SDK does not trust this host; it would try for five minutes.
    token = (
        f'{{"access_token": "{TOKEN}", "token_type": "Bearer", "expiry": "2099-01-01 00:00:00"}}'
    )
    made = connector(workspace, authority, command_line_tool(tmp_path, f"echo '{token}'"))
    with soon():
        assert made.validate()
