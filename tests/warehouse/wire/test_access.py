"""Who gets in: TLS, tokens, OAuth, and the endpoints beside Thrift."""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import stat
import urllib.parse
from typing import Any

import pytest
from databricks import sql
from databricks.sql import exc

from tests.patience import hold_clock
from tests.warehouse.wire.client import TIMEOUT, WireClient, message
from tests.warehouse.wire.engine import FakeWarehouse
from vinci_code.warehouse.wire import rest

FEATURE_FLAGS = "/api/2.0/connector-service/feature-flags/PYTHON/4.9.0"
TOKEN = "/oidc/v1/token"

# --- TLS ----------------------------------------------------------------------------------------


def test_it_listens_on_loopback_alone(wire: FakeWarehouse) -> None:
    listener = wire._live.server._listener
    assert listener.getsockname()[0] == "127.0.0.1"
    assert listener.family is socket.AF_INET


def test_every_connection_is_sent_without_delay(wire: FakeWarehouse) -> None:
    with WireClient(wire) as client:
        client.request("GET", FEATURE_FLAGS)
        connections = list(wire._live.server._connections.values())
        assert connections
        assert all(item.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for item in connections)


def test_a_client_without_the_ca_is_refused(wire: FakeWarehouse) -> None:
    context = ssl.create_default_context()
    with (
        socket.create_connection(("127.0.0.1", wire.port), TIMEOUT) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(plain, server_hostname="localhost")
    with WireClient(wire) as client:
        assert client.request("GET", FEATURE_FLAGS)[0] == 200


def test_the_ca_of_another_warehouse_is_refused(wire: FakeWarehouse) -> None:
    with FakeWarehouse() as other:
        context = ssl.create_default_context(cafile=str(other.ca_file))
    with (
        socket.create_connection(("127.0.0.1", wire.port), TIMEOUT) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(plain, server_hostname="localhost")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_certificate_is_for_both_names_of_the_host(wire: FakeWarehouse, host: str) -> None:
    context = ssl.create_default_context(cafile=str(wire.ca_file))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with (
        socket.create_connection((host, wire.port), TIMEOUT) as plain,
        context.wrap_socket(plain, server_hostname=host) as secure,
    ):
        assert secure.version() in ("TLSv1.2", "TLSv1.3")


def test_plain_http_gets_no_answer(wire: FakeWarehouse) -> None:
    with socket.create_connection(("127.0.0.1", wire.port), TIMEOUT) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        try:
            answer = plain.recv(1000)
        except ConnectionResetError:
            answer = b""
    assert b"HTTP/" not in answer


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_the_files_are_private_and_hold_no_key() -> None:
    with FakeWarehouse() as warehouse:
        directory = warehouse.ca_file.parent
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert [path.name for path in directory.iterdir()] == ["ca.pem"]
        assert stat.S_IMODE(warehouse.ca_file.stat().st_mode) == 0o600
        assert b"PRIVATE KEY" not in warehouse.ca_file.read_bytes()
    assert not directory.exists()


def test_every_warehouse_has_secrets_of_its_own() -> None:
    first, second = FakeWarehouse(), FakeWarehouse()
    assert first.access_token != second.access_token
    assert first.credentials.client_secret != second.credentials.client_secret
    assert len(first.access_token) == len("dapi") + 32


# --- tokens -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", None),
        ("GET", FEATURE_FLAGS),
        ("POST", "/telemetry-ext"),
        ("GET", "/api/2.0/sql/warehouses/x"),
        ("POST", "/api/2.0/sql/statements"),
        ("GET", "/"),
        ("DELETE", "/anything"),
    ],
)
def test_every_endpoint_asks_for_the_token(
    wire: FakeWarehouse, method: str, path: str | None
) -> None:
    path = path or wire.http_path
    with WireClient(wire) as client:
        status, headers, body = client.request(method, path, b"", token=None)
        assert status == 401
        text = "Credential was not sent or was of an unsupported type for this API."
        assert json.loads(body) == {"error_code": 401, "message": text}
        assert headers["x-databricks-reason-phrase"] == text
        status, headers, body = client.request(method, path, b"", token="dapi" + "0" * 32)
        assert status == 403
        assert json.loads(body) == {"error_code": 403, "message": "Invalid access token."}
        assert headers["x-databricks-reason-phrase"] == "Invalid access token."


@pytest.mark.parametrize(
    "value", ["Basic dXNlcjpwYXNz", "Bearer", "Bearer ", "", "Bearer\t", "Token x", "Bearer \xff"]
)
def test_other_credentials_are_refused(wire: FakeWarehouse, value: str) -> None:
    with WireClient(wire) as client:
        headers = {"Authorization": value}
        status, _, _ = client.request("GET", FEATURE_FLAGS, headers=headers, token=None)
    assert status in (401, 403)


def test_the_driver_sees_the_wrong_token(wire: FakeWarehouse) -> None:
    with pytest.raises(exc.RequestError, match="Invalid access token"):
        sql.connect(**wire.connect_args | {"access_token": "dapi" + "0" * 32})
    assert [(record.operation, record.status) for record in wire.requests] == [("OpenSession", 403)]


def test_another_warehouse_s_path_is_not_found(wire: FakeWarehouse) -> None:
    with pytest.raises(exc.RequestError, match="does not exist"):
        sql.connect(**wire.connect_args | {"http_path": "/sql/1.0/warehouses/0000000000000000"})
    assert wire.requests[-1].status == 404


def test_thrift_is_posted(wire: FakeWarehouse) -> None:
    with WireClient(wire) as client:
        assert client.request("GET", wire.http_path)[0] == 405


# --- OAuth machine-to-machine -------------------------------------------------------------------


def _ask_for_token(
    client: WireClient, identifier: str, secret: str, **form: str
) -> tuple[int, dict[str, Any]]:
    pair = f"{urllib.parse.quote(identifier)}:{urllib.parse.quote(secret)}"
    headers = {
        "Authorization": "Basic " + base64.b64encode(pair.encode()).decode(),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    body = urllib.parse.urlencode({"grant_type": "client_credentials"} | form).encode()
    status, _, content = client.request("POST", TOKEN, body, headers, token=None)
    return status, json.loads(content)


def test_discovery_names_the_token_endpoint(wire: FakeWarehouse) -> None:
    with WireClient(wire) as client:
        for path in (
            "/oidc/.well-known/oauth-authorization-server",
            "/oidc/.well-known/openid-configuration",
        ):
            status, _, content = client.request("GET", path, token=None)
            assert status == 200
            base = f"https://localhost:{wire.port}/oidc"
            assert json.loads(content)["token_endpoint"] == f"{base}/v1/token"
        status, _, content = client.request("GET", "/.well-known/databricks-config", token=None)
        assert (status, json.loads(content)) == (200, {"oidc_endpoint": base})


def test_a_service_principal_gets_a_token_that_opens_the_warehouse(wire: FakeWarehouse) -> None:
    principal = wire.credentials
    with WireClient(wire) as client:
        status, answer = _ask_for_token(
            client, principal.client_id, principal.client_secret, scope="sql"
        )
        assert status == 200
        assert answer["token_type"] == "Bearer"
        assert answer["expires_in"] == 3600
        assert answer["scope"] == "sql"
        token = answer["access_token"]
    with sql.connect(**wire.connect_args | {"access_token": token}) as connection:
        assert connection.open
    assert token not in repr(wire.requests)


def test_a_token_ends_with_its_lifetime(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = hold_clock(monkeypatch, rest)
    with FakeWarehouse(token_lifetime=0.3) as wire, WireClient(wire) as client:
        principal = wire.credentials
        _, answer = _ask_for_token(client, principal.client_id, principal.client_secret)
        token = answer["access_token"]
        assert client.request("GET", FEATURE_FLAGS, token=token)[0] == 200
        clock.move_on(0.35)
        assert client.request("GET", FEATURE_FLAGS, token=token)[0] == 403
        _, answer = _ask_for_token(client, principal.client_id, principal.client_secret)
        assert client.request("GET", FEATURE_FLAGS, token=answer["access_token"])[0] == 200


def test_wrong_secrets_and_grants_get_no_token(wire: FakeWarehouse) -> None:
    principal = wire.credentials
    with WireClient(wire) as client:
        status, answer = _ask_for_token(client, principal.client_id, "wrong")
        assert (status, answer["error"]) == (401, "invalid_client")
        status, answer = _ask_for_token(
            client, principal.client_id, principal.client_secret, grant_type="password"
        )
        assert (status, answer["error"]) == (400, "unsupported_grant_type")
        for header in ("Basic ", "Basic %%%", "Basic " + base64.b64encode(b"nocolon").decode()):
            body = b"grant_type=client_credentials"
            status, _, _ = client.request(
                "POST", TOKEN, body, {"Authorization": header}, token=None
            )
            assert status == 401


def test_the_sdk_s_service_principal_login_works(
    wire: FakeWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = pytest.importorskip("databricks.sdk.core")
    for name in [name for name in os.environ if name.startswith("DATABRICKS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(wire.ca_file))
    config = core.Config(
        host=f"https://localhost:{wire.port}",
        client_id=wire.credentials.client_id,
        client_secret=wire.credentials.client_secret,
    )
    with sql.connect(
        **{key: value for key, value in wire.connect_args.items() if key != "access_token"},
        credentials_provider=lambda: config.authenticate,
    ) as connection:
        assert connection.open


# --- the other endpoints ------------------------------------------------------------------------


def test_feature_flags_and_telemetry_are_answered_and_recorded(wire: FakeWarehouse) -> None:
    with WireClient(wire) as client:
        flags = client.json("GET", FEATURE_FLAGS)
        assert flags == (200, {"flags": [], "ttl_seconds": 900})
        body = json.dumps({"protoLogs": ["a", "b"], "items": []}).encode()
        status, answer = client.json("POST", "/telemetry-ext", body)
        assert (status, answer["numProtoSuccess"], answer["errors"]) == (200, 2, [])
        assert client.request("POST", "/telemetry-unauth", body, token=None)[0] == 200
        assert client.request("POST", "/telemetry-ext", b"[1]")[0] == 400
    assert [record.operation for record in wire.requests] == [
        f"GET {FEATURE_FLAGS}",
        "POST /telemetry-ext",
        "POST /telemetry-unauth",
        "POST /telemetry-ext",
    ]


def test_the_driver_with_these_arguments_calls_neither(wire: FakeWarehouse) -> None:
    with sql.connect(**wire.connect_args) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1").fetchall()
    assert [record.operation for record in wire.requests] == [
        "OpenSession",
        "ExecuteStatement",
        "CloseSession",
    ]


def test_the_warehouse_s_state(wire: FakeWarehouse) -> None:
    path = f"/api/2.0/sql/warehouses/{wire.warehouse_id}"
    with WireClient(wire) as client:
        status, answer = client.json("GET", path)
        assert (status, answer["state"], answer["num_clusters"]) == (200, "RUNNING", 1)
        assert answer["odbc_params"] == {
            "hostname": "localhost",
            "path": wire.http_path,
            "protocol": "https",
            "port": wire.port,
        }
        assert client.json("POST", path + "/stop") == (200, {})
        assert client.json("GET", path)[1]["state"] == "STOPPED"
        assert client.json("POST", path + "/start") == (200, {})
        assert client.json("GET", path)[1]["state"] == "RUNNING"
        status, answer = client.json("GET", "/api/2.0/sql/warehouses/other")
        assert (status, answer["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
        assert client.request("GET", path + "/start")[0] == 405


def test_a_stopped_warehouse_starts_when_it_is_asked_for_something(wire: FakeWarehouse) -> None:
    with WireClient(wire) as client:
        client.json("POST", f"/api/2.0/sql/warehouses/{wire.warehouse_id}/stop")
    assert wire.state == "STOPPED"
    with sql.connect(**wire.connect_args):
        assert wire.state == "RUNNING"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/api/2.0/fs/files/Volumes/main/default/v/f", "volumes"),
    ],
)
def test_what_is_not_there_is_refused_by_name(wire: FakeWarehouse, path: str, name: str) -> None:
    with WireClient(wire) as client:
        status, answer = client.json("POST", path, b"{}")
    assert status == 400
    assert answer["error_code"] == "UNSUPPORTED_BY_LOCAL_WAREHOUSE"
    assert name in answer["message"]
    assert "SQLSTATE: 0A000" in answer["message"]


def test_an_unknown_path_is_not_found(wire: FakeWarehouse) -> None:
    with WireClient(wire) as client:
        status, answer = client.json("GET", "/api/2.0/nothing")
    assert (status, answer["error_code"]) == (404, "ENDPOINT_NOT_FOUND")


def test_a_handle_is_worth_nothing_without_its_secret(wire: FakeWarehouse) -> None:
    with WireClient(wire) as client:
        session = client.open_session()
        session.sessionId.secret = b"\x00" * 16
        response = client.call("ExecuteStatement", sessionHandle=session, statement="SELECT 1")
    assert response.status.statusCode == 3
    assert response.status.errorMessage.startswith("Invalid SessionHandle: SessionHandle [")
    assert wire.engine.executed == []


def test_keep_alive_serves_many_requests_on_one_connection(wire: FakeWarehouse) -> None:
    with WireClient(wire) as client:
        for _ in range(5):
            assert client.post(message("OpenSession", client_protocol_i64=42247))[0] == 200
        assert wire._live.server.connection_count >= 1
        assert client.http.sock is not None
