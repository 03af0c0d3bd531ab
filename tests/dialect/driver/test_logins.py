"""Which ways to authenticate are let in; above all, nothing listens, and no browser opens."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, exc

from tests.patience import PATIENCE_S, soon
from vinci_code.database.dialect.driver import dbapi
from vinci_code.database.dialect.driver.credentials import take_credentials

ROOT = Path(__file__).resolve().parents[3]
HOST = "example.cloud.databricks.com"
PATH = "/sql/1.0/warehouses/1a2b3c4d5e6f7a8b"
TOKEN = "dapi0f1e2d3c4b5a69788796a5b4c3d2e1f0"
SECRET = "Xy7-of-entra-id"

# What the driver would log in by a browser for, or take no notice of and then do that.
REFUSED: list[tuple[str, Any]] = [
    ("auth_type", "databricks-oauth"),
    ("auth_type", "azure-oauth"),
    ("auth_type", "DATABRICKS-OAUTH"),
    ("auth_type", "external-browser"),
    ("auth_type", "databricks-cli"),
    ("auth_type", "pat"),
    ("auth_type", 7),
    ("browser_login", True),
    ("experimental_oauth_persistence", object()),
    ("oauth_client_id", "databricks-sql-python"),
    ("oauth_client_secret", "dose9f8e7d6c5b4a39281706f5e4d3c2b1a0"),
    ("oauth_redirect_port", 8020),
    ("oauth_scopes", ["sql"]),
    ("oauth_token_cache_enabled", True),
    ("oauth_jwt_key_file", "key.pem"),
    ("oauth_jwt_passphrase", "Xy7-passphrase"),
    ("token_url", "https://example.com/token"),
    ("username", "ada"),
    ("password", "lovelace-and-babbage"),
    ("acces_token", TOKEN),
    ("oidc_token_filepath", "/run/oidc"),
    ("use_sso", True),
    ("login_timeout", 5),
    ("pat", TOKEN),
]


def by_connect(name: str, value: Any) -> None:
    dbapi.connect(server_hostname=HOST, http_path=PATH, **{name: value})


def beside_a_token(name: str, value: Any) -> None:
    dbapi.connect(server_hostname=HOST, http_path=PATH, access_token=TOKEN, **{name: value})


def by_connect_args(name: str, value: Any) -> None:
    url = f"databricks+vinci://{HOST}?http_path={PATH}"
    create_engine(url, connect_args={name: value}).connect()


def by_url(name: str, value: Any) -> None:
    create_engine(f"databricks+vinci://{HOST}?http_path={PATH}&{name}={value}").connect()


@pytest.fixture
def nothing_listens(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every attempt to listen, or to open a browser, is noted; there is none."""
    noted: list[str] = []
    monkeypatch.setattr(socket.socket, "bind", lambda *_: noted.append("bind"))
    monkeypatch.setattr(socket.socket, "listen", lambda *_: noted.append("listen"))
    monkeypatch.setattr(socket.socket, "connect", lambda *_: noted.append("connect"))
    monkeypatch.setattr("webbrowser.open", lambda *_: noted.append("browser"))
    monkeypatch.setattr("webbrowser.open_new", lambda *_: noted.append("browser"))
    yield
    assert noted == []


@pytest.mark.usefixtures("nothing_listens")
@pytest.mark.parametrize("way_in", [by_connect, beside_a_token, by_connect_args, by_url])
@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_every_other_way_is_refused_by_its_name(
    name: str, value: Any, way_in: Callable[[str, Any], None]
) -> None:
    with soon(), pytest.raises((dbapi.InterfaceError, exc.DBAPIError, exc.ArgumentError)) as caught:
        way_in(name, value)
    said = str(caught.value)
    assert name in said
    assert "nothing was opened" in said
    assert "To fix it: give 'access_token' or 'credentials_provider' in connect_args" in said
    if isinstance(value, str) and name != "auth_type":
        assert value not in said


@pytest.mark.usefixtures("nothing_listens")
@pytest.mark.parametrize("way_in", [by_connect, by_connect_args, by_url])
@pytest.mark.parametrize("kind", ["databricks-oauth", "azure-oauth"])
def test_a_login_with_a_browser_says_why(kind: str, way_in: Callable[[str, Any], None]) -> None:
    with pytest.raises((dbapi.InterfaceError, exc.DBAPIError, exc.ArgumentError)) as caught:
        way_in("auth_type", kind)
    assert f"auth_type={kind!r}" in str(caught.value)
    assert "listens on a port of this machine" in str(caught.value)


@pytest.mark.usefixtures("nothing_listens")
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, "no credentials"),
        ({"access_token": ""}, "no credentials"),
        ({"_use_cert_as_auth": True}, "open a browser without"),
        ({"_use_cert_as_auth": True, "_tls_client_cert_file": ""}, "open a browser without"),
        ({"_use_cert_as_auth": "true", "_tls_client_cert_file": "own.pem"}, "has to be True"),
        ({"auth_type": "azure-sp-m2m"}, "needs 'azure_client_id' and 'azure_client_secret'"),
        (
            {"auth_type": "azure-sp-m2m", "azure_client_id": "a", "azure_client_secret": b"b"},
            "'azure_client_secret' has to be a text; found bytes",
        ),
        (
            {"auth_type": "azure-sp-m2m", "azure_client_id": "a", "azure_client_secret": "b\n"},
            "'azure_client_secret' begins or ends with",
        ),
        ({"auth_type": "azure-sp-m2m", "access_token": TOKEN}, "give one of them"),
        ({"access_token": TOKEN, "credentials_provider": dict}, "give one of them"),
        ({"access_token": TOKEN, "_use_cert_as_auth": True}, "give one of them"),
    ],
)
def test_a_way_that_is_none_alone_is_refused(arguments: dict[str, Any], expected: str) -> None:
    with soon(), pytest.raises(dbapi.InterfaceError, match=expected) as caught:
        dbapi.connect(server_hostname=HOST, http_path=PATH, **arguments)
    assert "To fix it" in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {
            "auth_type": "azure-sp-m2m",
            "azure_client_id": "6f1c0d9e-52b7-4a3c-8e1d-7b9a0c2e4f68",
            "azure_client_secret": SECRET,
        },
        {"_use_cert_as_auth": True, "_tls_client_cert_file": "own.pem"},
    ],
)
def test_a_way_without_a_browser_is_the_drivers_affair(arguments: dict[str, Any]) -> None:
    given = dict(arguments)
    assert take_credentials(given, HOST) is None
    assert given == arguments


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("auth_type", None),
        ("username", None),
        ("oauth_client_id", None),
        ("_use_cert_as_auth", False),
        ("user_agent_entry", "an application"),
        ("_proxy_auth_method", "basic"),
        ("query_tags", {"team": "a"}),
        ("use_cloud_fetch", True),
        ("_use_arrow_native_decimals", True),
        ("_tls_client_cert_key_password", "Xy7-password"),
        ("identity_federation_client_id", "a"),
    ],
)
def test_what_opens_no_browser_stands_beside_a_token(name: str, value: Any) -> None:
    given = {"access_token": "dapi" + secrets.token_hex(16), name: value}
    assert take_credentials(given, HOST) is not None


def test_a_token_in_the_place_of_a_kind_is_not_shown() -> None:
    with pytest.raises(dbapi.InterfaceError) as caught:
        by_connect("auth_type", "Qx7_of_no_known_shape_but_a_secret")
    assert "Qx7" not in str(caught.value)


def test_the_driver_is_not_even_imported(tmp_path: Path) -> None:
    code = f"""
import sys, time
from vinci_code.database.dialect.driver import dbapi
for name, value in [
    ("auth_type", "databricks-oauth"), ("_use_cert_as_auth", True), ("oauth_redirect_port", 8020)
]:
    try:
        dbapi.connect(server_hostname={HOST!r}, http_path={PATH!r}, **{{name: value}})
    except dbapi.InterfaceError:
        print("refused")
print([name for name in sys.modules if name.partition(".")[0] in ("databricks", "webbrowser")])
print("http.server" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.stdout.split("\n")[:5] == ["refused", "refused", "refused", "[]", "False"], done
    assert done.stderr == ""
