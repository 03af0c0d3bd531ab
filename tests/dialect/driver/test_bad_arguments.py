"""Connect arguments that cannot be used: one clear error at once, and nothing on standard error."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.certificates import Authority
from tests.patience import PATIENCE_S, soon
from vinci_code.database.dialect.driver import dbapi
from vinci_code.database.dialect.driver.connecting import settle
from vinci_code.database.dialect.driver.translation import translate

ROOT = Path(__file__).resolve().parents[3]
HOST = "example.cloud.databricks.com"
PATH = "/sql/1.0/warehouses/1a2b3c4d5e6f7a8b"
TOKEN = "dapi0f1e2d3c4b5a69788796a5b4c3d2e1f0"

GOOD = {"server_hostname": HOST, "http_path": PATH, "access_token": TOKEN}

# By name, an expression for the value, and what is said of it.
BAD = [
    ("access_token", "TOKEN + '\\n'", "'access_token' cannot be sent in a header"),
    ("access_token", "TOKEN + '\\N{CYRILLIC SMALL LETTER A}'", "'access_token' cannot be sent"),
    ("access_token", "TOKEN.encode()", "'access_token' has to be a text; found bytes"),
    ("access_token", "7", "'access_token' has to be a text; found int"),
    ("server_hostname", "'exa mple.com'", "'server_hostname' is not the name of a host"),
    ("server_hostname", "'example.com\\nx'", "'server_hostname' is not the name of a host"),
    ("server_hostname", "'localhost:8443'", "give the port in '_port'"),
    ("server_hostname", "'https://example.com/?o=1'", "'server_hostname' is not the name"),
    ("server_hostname", "b'example.com'", "'server_hostname' has to be a text; found bytes"),
    ("server_hostname", "None", "'server_hostname' is missing"),
    ("http_path", "'/sql/1.0/warehouses/a b'", "'http_path' has a character that no path has"),
    ("http_path", "'/sql/1.0/warehouses/\\N{GREEK SMALL LETTER MU}'", "'http_path' has a"),
    ("http_path", "b'/sql'", "'http_path' has to be a text; found bytes"),
    ("_port", "'443x'", "'_port' has to be a number from 1 to 65535"),
    ("_port", "0", "'_port' has to be a number from 1 to 65535"),
    ("_port", "65536", "'_port' has to be a number from 1 to 65535"),
    ("_port", "True", "'_port' has to be a number from 1 to 65535"),
    ("catalog", "b'main'", "'catalog' has to be a text; found bytes"),
    ("schema", "7", "'schema' has to be a text; found int"),
    ("user_agent_entry", "'an app\\n'", "for the header User-Agent cannot be sent"),
    ("user_agent_entry", "b'an app'", "for the header User-Agent cannot be sent"),
    ("http_headers", "{'a': 'b'}", "'http_headers' has to be a list of pairs"),
    ("http_headers", "['ab', 'c']", "'http_headers' has to be a list of pairs"),
    ("http_headers", "[('X-Key', TOKEN + '\\n')]", "for the header X-Key cannot be sent"),
    ("http_headers", "[('X-Key', TOKEN.encode())]", "for the header X-Key cannot be sent"),
    ("http_headers", "[('X\\nKey', 'a')]", "a name among the headers that 'http_headers' gives"),
    ("http_headers", "[('authorization', 'Bearer ' + TOKEN)]", "'http_headers' has the header"),
    ("_tls_trusted_ca_file", "'missing.pem'", "names the file 'missing.pem', which cannot be read"),
    ("_tls_trusted_ca_file", "'.'", "names the file '.', which cannot be read"),
    ("_tls_trusted_ca_file", "'pipe'", "names the file 'pipe', which cannot be read"),
    ("_tls_trusted_ca_file", "'empty.pem'", "names the file 'empty.pem', which holds no"),
    ("_tls_trusted_ca_file", "7", "'_tls_trusted_ca_file' has to be the path of a file; found int"),
    ("_tls_client_cert_file", "'missing.pem'", "names the file 'missing.pem', which cannot"),
    ("_tls_client_cert_file", "'empty.pem'", "names empty.pem, which hold no certificate with"),
    ("_tls_client_cert_key_file", "'empty.pem'", "is given without '_tls_client_cert_file'"),
    ("connect_timeout", "'soon'", "'connect_timeout' has to be a number of seconds"),
    ("credentials_provider", "7", "'credentials_provider' has to be callable"),
]
PROVIDED = [
    ("lambda: lambda: {'Authorization': TOKEN.encode()}", "found bytes"),
    ("lambda: lambda: {'Authorization': None}", "found NoneType"),
    ("lambda: lambda: {'Authorization': TOKEN + '\\n'}", "the end of a line"),
    ("lambda: lambda: {'Authorization': TOKEN + '\\N{CYRILLIC SMALL LETTER A}'}", "cannot be sent"),
    ("lambda: lambda: {b'Authorization': TOKEN}", "a name among the headers"),
    ("lambda: lambda: {'Authorization\\n': TOKEN}", "a name among the headers"),
    ("lambda: lambda: {'Authorization': ''}", "it is empty"),
    ("lambda: {'Authorization': TOKEN}", "it returned dict"),
    ("lambda: lambda: TOKEN", "what that returned is str"),
]


@pytest.fixture(autouse=True)
def files() -> None:
    Path("empty.pem").touch(0o600)
    if hasattr(os, "mkfifo"):
        os.mkfifo("pipe", 0o600)


@pytest.mark.parametrize(("name", "value", "expected"), BAD)
def test_each_is_told_by_name(name: str, value: str, expected: str) -> None:
    if "pipe" in value and not hasattr(os, "mkfifo"):
        pytest.skip("there are no pipes in folders here")
    given = {**GOOD, name: eval(value, {"TOKEN": TOKEN})}
    if name == "credentials_provider":
        del given["access_token"]
    with soon(), pytest.raises(dbapi.InterfaceError) as caught:
        dbapi.connect(**given)
    said = str(caught.value)
    assert expected in said
    assert TOKEN not in said
    assert name in said


@pytest.mark.parametrize(("provider", "expected"), PROVIDED)
def test_so_is_what_a_provider_gives(
    provider: str, expected: str, connect: Callable[..., dbapi.Connection]
) -> None:
    with pytest.raises(dbapi.InterfaceError) as caught:
        connect(access_token=None, credentials_provider=eval(provider, {"TOKEN": TOKEN}))
    said = str(caught.value)
    assert expected in said
    assert "the credentials provider" in said
    assert "To fix it" in said
    assert TOKEN not in said


def test_none_of_them_says_anything_on_standard_error(tmp_path: Path) -> None:
    cases = [(name, value) for name, value, _ in BAD if "pipe" not in value]
    cases += [("credentials_provider", value) for value, _ in PROVIDED]
    code = f"""
import gc, time
from vinci_code.database.dialect.driver import dbapi
TOKEN = {TOKEN!r}
adapter_needed = []
for name, value in {cases!r}:
    given = {{**{GOOD!r}, "connect_timeout": 5, name: eval(value)}}
    if name == "credentials_provider":
        del given["access_token"]
    try:
        dbapi.connect(**given)
    except dbapi.InterfaceError as error:
        assert type(error) is dbapi.InterfaceError
        print(name)
    gc.collect()
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.split() == [name for name, _ in cases]


def test_a_key_with_a_password_is_not_asked_for_at_the_terminal(
    authority: Authority, tmp_path: Path
) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"Xy7-password"),
    )
    own = tmp_path / "own.pem"
    own.touch(0o600)
    own.write_bytes(authority.file.read_bytes() + key)
    with soon(), pytest.raises(dbapi.InterfaceError, match="'_tls_client_cert_key_password'"):
        settle({**GOOD, "_tls_client_cert_file": str(own)})


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (FileNotFoundError(2, "No such file or directory"), dbapi.InterfaceError),
        (IsADirectoryError(21, "Is a directory"), dbapi.InterfaceError),
        (UnicodeEncodeError("latin-1", "a", 0, 1, "no"), dbapi.InterfaceError),
        (ConnectionResetError(104, "Connection reset"), dbapi.ConnectionLostError),
        (BrokenPipeError(32, "Broken pipe"), dbapi.ConnectionLostError),
    ],
)
def test_a_connection_that_was_never_made_is_not_lost(
    error: Exception, kind: type[dbapi.Error]
) -> None:
    assert type(translate(error)) is kind


def test_good_ones_are_taken(authority: Authority) -> None:
    given: dict[str, Any] = {
        **GOOD,
        "server_hostname": f" https://{HOST}/ ",
        "http_path": f"{PATH}?o=1234567890 ",
        "_port": 8443,
        "_tls_trusted_ca_file": authority.file,
        "http_headers": (("X-Request-Id", "a"),),
        "user_agent_entry": "an application/1.0 (über)",
        "catalog": "main",
        "schema": None,
    }
    settled = settle(given)
    assert settled.for_driver["server_hostname"] == HOST
    assert settled.for_driver["http_path"] == f"{PATH}?o=1234567890"
    assert settled.for_driver["http_headers"] == [("X-Request-Id", "a")]
    assert given == {}


@pytest.mark.parametrize("entry", ["", "sqlalchemy + ", " an app", "an app (and more)"])
def test_a_user_agent_may_have_blanks_around_it(entry: str, authority: Authority) -> None:
    # It stands in brackets.
    given = {**GOOD, "_tls_trusted_ca_file": authority.file, "user_agent_entry": entry}
    assert settle(given).for_driver["user_agent_entry"] == entry
