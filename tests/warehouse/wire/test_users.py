"""Whose requests they are: tokens of users, what each sees, and what is refused to all others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from databricks import sql
from databricks.sql.exc import Error

from tests.warehouse.wire.client import WireClient
from vinci_code.warehouse import LocalWarehouse
from vinci_code.warehouse.wire.users import user_id

ADA, BOB = "ada@example.com", "bob@example.com"
TOKENS = {"token-of-ada": ADA, "token-of-bob": BOB, "another-of-ada": ADA}
OWNER = "local@warehouse"


@pytest.fixture(scope="module")
def server() -> Iterator[LocalWarehouse]:
    with LocalWarehouse(tokens=TOKENS) as warehouse:
        yield warehouse


@pytest.fixture
def warehouse(server: LocalWarehouse) -> Iterator[LocalWarehouse]:
    server.clear_requests()
    yield server
    server.credentials.reinstate()
    server.faults.clear()


def connected(warehouse: LocalWarehouse, token: str) -> Any:
    return sql.connect(**{**warehouse.connect_args, "access_token": token})


def ask(
    warehouse: LocalWarehouse, token: str, method: str, path: str, body: Any = None
) -> tuple[int, Any]:
    with WireClient(warehouse, token) as client:
        return client.json(method, path, None if body is None else json.dumps(body).encode())


def asked(connection: Any, statement: str) -> Any:
    with connection.cursor() as cursor:
        return cursor.execute(statement).fetchall()


def test_each_statement_is_recorded_with_its_user(warehouse: LocalWarehouse) -> None:
    for token, user in {**TOKENS, warehouse.access_token: OWNER}.items():
        with connected(warehouse, token) as connection:
            (row,) = asked(connection, "SELECT current_user(), session_user(), user()")
        assert tuple(row) == (user, user, user)
        sent = [found for found in warehouse.requests if found.statement is not None]
        assert [found.user for found in sent] == [user]
        assert {found.user for found in warehouse.requests} == {user}
        warehouse.clear_requests()


def test_what_a_user_creates_is_theirs(warehouse: LocalWarehouse) -> None:
    with connected(warehouse, "token-of-ada") as connection:
        asked(connection, "CREATE TABLE of_ada (a INT)")
        (row,) = asked(
            connection,
            "SELECT table_owner FROM information_schema.tables WHERE table_name = 'of_ada'",
        )
        asked(connection, "DROP TABLE of_ada")
    assert row[0] == ADA


class Crossed:
    """A session of Ada's with a statement that has run, for which Bob asks."""

    def __init__(self, ada: WireClient, bob: WireClient) -> None:
        self.ada, self.bob = ada, bob
        self.session = self.ada.open_session()
        self.statement = self.ada.call(
            "ExecuteStatement", sessionHandle=self.session, statement="SELECT 1", runAsync=True
        ).operationHandle


@pytest.fixture
def crossed(warehouse: LocalWarehouse) -> Iterator[Crossed]:
    with (
        WireClient(warehouse, "token-of-ada") as ada,
        WireClient(warehouse, "token-of-bob") as bob,
    ):
        found = Crossed(ada, bob)
        yield found
        ada.call("CloseSession", sessionHandle=found.session)


@pytest.mark.parametrize(
    ("call", "fields"),
    [
        ("ExecuteStatement", {"statement": "CREATE TABLE crossed (a INT)"}),
        ("GetInfo", {"infoType": 13}),
        ("GetCatalogs", {}),
        ("CloseSession", {}),
    ],
)
def test_a_session_is_refused_to_others(
    warehouse: LocalWarehouse, crossed: Crossed, call: str, fields: dict[str, Any]
) -> None:
    status = crossed.bob.call(call, sessionHandle=crossed.session, **fields).status
    assert (status.statusCode, status.sqlState) == (3, "42501")
    assert "belongs to another user" in status.errorMessage
    refused = warehouse.requests[-1]
    assert (refused.user, refused.executed in (None, False)) == (BOB, True)
    info = crossed.ada.call("GetInfo", sessionHandle=crossed.session, infoType=13)
    assert info.status.statusCode == 0
    with connected(warehouse, "token-of-ada") as connection:
        assert asked(connection, "SHOW TABLES LIKE 'crossed'") == []


@pytest.mark.parametrize(
    "call",
    [
        "GetOperationStatus",
        "GetResultSetMetadata",
        "FetchResults",
        "CancelOperation",
        "CloseOperation",
    ],
)
def test_a_statement_is_refused_to_others(crossed: Crossed, call: str) -> None:
    more = {"orientation": 0, "maxRows": 10} if call == "FetchResults" else {}
    status = crossed.bob.call(call, operationHandle=crossed.statement, **more).status
    assert (status.statusCode, status.sqlState) == (3, "42501")
    status = crossed.ada.call("GetOperationStatus", operationHandle=crossed.statement)
    assert status.operationState == 2


def test_two_tokens_of_one_user_share_what_is_theirs(
    warehouse: LocalWarehouse, crossed: Crossed
) -> None:
    with WireClient(warehouse, "another-of-ada") as other:
        info = other.call("GetInfo", sessionHandle=crossed.session, infoType=13)
    assert info.status.statusCode == 0


def test_a_revoked_token_is_refused_from_then_on(warehouse: LocalWarehouse) -> None:
    with connected(warehouse, "token-of-bob") as bob:
        with connected(warehouse, "token-of-ada") as ada:
            warehouse.credentials.revoke("token-of-ada")
            with pytest.raises(Error, match="Invalid access token"):
                asked(ada, "SELECT 1")
            refused = warehouse.requests[-1]
            assert (refused.status, refused.user, refused.statement) == (403, None, None)
        assert asked(bob, "SELECT current_user()")[0][0] == BOB
    warehouse.credentials.reinstate()


def test_a_token_is_added_while_it_runs(warehouse: LocalWarehouse) -> None:
    with pytest.raises(Error, match="Invalid access token"):
        connected(warehouse, "token-of-eve").close()
    warehouse.credentials.add("token-of-eve", "eve@example.com")
    with connected(warehouse, "token-of-eve") as connection:
        asked(connection, "SELECT 'token-of-eve'")
    assert warehouse.statements == ["SELECT '********'"]


def test_the_history_shows_users_their_own_and_the_owner_all(warehouse: LocalWarehouse) -> None:
    for token in ("token-of-ada", "token-of-bob"):
        with connected(warehouse, token) as connection:
            asked(connection, "SELECT current_user() AS seen_in_history")

    def seen(token: str, of: str | None = None) -> set[tuple[str, int]]:
        wanted = "" if of is None else f"?filter_by.user_ids={user_id(of)}"
        _, found = ask(warehouse, token, "GET", f"/api/2.0/sql/history/queries{wanted}")
        return {
            (entry["user_name"], entry["user_id"])
            for entry in found["res"]
            if "seen_in_history" in entry["query_text"]
        }

    ada, bob = (ADA, user_id(ADA)), (BOB, user_id(BOB))
    assert seen("token-of-ada") == {ada}
    assert seen("token-of-bob") == {bob}
    assert seen(warehouse.access_token) == {ada, bob}
    assert seen(warehouse.access_token, BOB) == {bob}
    assert seen("token-of-ada", BOB) == set()


def test_the_statement_api_tells_users_apart(warehouse: LocalWarehouse) -> None:
    ada, bob = "token-of-ada", "token-of-bob"
    statements, sessions = "/api/2.0/sql/statements", "/api/2.0/sql/sessions"
    body = {
        "warehouse_id": warehouse.warehouse_id,
        "statement": "SELECT current_user()",
        "wait_timeout": "30s",
    }
    status, answer = ask(warehouse, ada, "POST", statements, body)
    assert (status, answer["result"]["data_array"]) == (200, [[ADA]])
    assert warehouse.requests[-1].user == ADA
    path = f"{statements}/{answer['statement_id']}"
    for method, suffix in (("GET", ""), ("GET", "/result/chunks/0"), ("POST", "/cancel")):
        status, refused = ask(warehouse, bob, method, path + suffix)
        assert (status, refused["error_code"]) == (403, "PERMISSION_DENIED"), suffix
    assert ask(warehouse, ada, "GET", path)[0] == 200
    _, opened = ask(warehouse, ada, "POST", sessions, {"warehouse_id": warehouse.warehouse_id})
    status, refused = ask(warehouse, bob, "POST", statements, {**body, **opened})
    assert (status, refused["error_code"]) == (403, "PERMISSION_DENIED")
    session = f"{sessions}/{opened['session_id']}"
    assert ask(warehouse, bob, "DELETE", session)[0] == 403
    assert ask(warehouse, ada, "DELETE", session)[0] == 200


def test_who_one_is_can_be_asked(warehouse: LocalWarehouse) -> None:
    path = "/api/2.0/preview/scim/v2/Me"
    _, me = ask(warehouse, "token-of-bob", "GET", path)
    assert (me["userName"], me["id"]) == (BOB, str(user_id(BOB)))
    _, me = ask(warehouse, warehouse.access_token, "GET", path)
    assert (me["userName"], me["id"]) == (OWNER, "1")


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        ({"": ADA}, "cannot be sent in a header"),
        ({"short": ADA}, "8 or more"),
        ({"with a blank": ADA}, "without blanks"),
        ({"a-line\nand-another": ADA}, "without blanks"),
        ({"token-of-ada": ""}, "names no user"),
        ({"token-of-ada": "ada lovelace"}, "names no user"),
    ],
)
def test_what_is_no_token_or_no_user_is_refused(tokens: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        LocalWarehouse(tokens=tokens)
    assert not any(token and token in str(caught.value) for token in tokens)


def test_a_token_is_of_one_user() -> None:
    warehouse = LocalWarehouse(tokens=TOKENS)
    warehouse.credentials.add("token-of-ada", ADA)
    for token in ("token-of-ada", warehouse.access_token, warehouse.credentials.issue()):
        with pytest.raises(ValueError, match="another user's already"):
            warehouse.credentials.add(token, BOB)
