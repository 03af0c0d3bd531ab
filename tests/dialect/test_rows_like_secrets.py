"""Rows come back as they are stored, and an application's own words are no secrets."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import (
    JSON,
    Column,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    create_engine,
    insert,
    select,
    text,
)

from vinci_code.core.redaction import MASK, forget_secrets, redact, register_secret
from vinci_code.database.dialect.driver import dbapi
from vinci_code.warehouse.pytest_plugin import TestWarehouse

OTHER = "dapi" + "0f1e2d3c4b5a6978" * 2
ITEM = Table(
    "item",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("name", String),
    Column("document", JSON),
    Column("data", LargeBinary),
)
WORDS = {
    "X-Environment": "production",
    "Content-Language": "application/json",
    "Accept-Language": "gzip, deflate",
    "X-Databricks-Org-Id": "1234567890123456",
    "X-Forwarded-Host": "adb-1234567890123456.7.azuredatabricks.net",
}
"""What a client may send in headers that is no credential."""


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    """A secret in use, besides the token of the warehouse."""
    register_secret(OTHER)
    yield
    forget_secrets()


@pytest.fixture
def sqlite() -> Iterator[Engine]:
    """A database of SQLite with the table."""
    engine = create_engine("sqlite://")
    yield engine
    engine.dispose()


def _spellings(secret: str) -> list[str]:
    return [secret, f"Bearer {secret}", base64.b64encode(secret.encode()).decode(), secret[::-1]]


def _stored_and_read(engine: Engine, secret: str) -> None:
    rows: list[dict[str, Any]] = [
        {"id": n, "name": value, "document": {value: [value]}, "data": value.encode()}
        for n, value in enumerate([*_spellings(secret), *WORDS.values()], 1)
    ]
    ITEM.drop(engine, checkfirst=True)
    ITEM.create(engine)
    wanted = [tuple(row.values()) for row in rows]
    with engine.connect() as connection:
        connection.execute(insert(ITEM), rows)
        # Brought along by the read, and once it is stored.
        assert list(map(tuple, connection.execute(select(ITEM).order_by(ITEM.c.id)))) == wanted
        connection.commit()
        assert list(map(tuple, connection.execute(select(ITEM).order_by(ITEM.c.id)))) == wanted
        by_value = select(ITEM.c.id).where(ITEM.c.name == secret)
        assert connection.scalars(by_value).all() == [1]
        assert connection.scalar(text("SELECT name FROM item WHERE id = 1")) == secret
        assert connection.scalar(text("SELECT :own"), {"own": secret}) == secret


def test_a_row_that_is_a_secret_is_read_as_it_is(
    engine: Engine, local_warehouse: TestWarehouse
) -> None:
    token = local_warehouse.warehouse.access_token
    with engine.connect():
        assert redact(f"found {token}") == f"found {MASK}"
    for secret in (token, OTHER):
        _stored_and_read(engine, secret)
    with engine.connect() as connection:
        # By the DB-API as well, whichever way the rows are fetched.
        cursor = connection.connection.cursor()
        for fetch in ("fetchone", "fetchall", "fetchmany"):
            cursor.execute("SELECT name FROM item WHERE id = 1")
            found = getattr(cursor, fetch)()
            assert (found if fetch == "fetchone" else found[0])[0] == OTHER
        cursor.close()


def test_a_row_that_is_a_secret_is_read_as_it_is_on_sqlite(sqlite: Engine) -> None:
    _stored_and_read(sqlite, OTHER)


def test_words_that_a_client_sends_in_its_headers_are_no_secrets(
    connect: Callable[..., dbapi.Connection], caplog: pytest.LogCaptureFixture
) -> None:
    cursor = connect(http_headers=list(WORDS.items()), user_agent_entry="production").cursor()
    cursor.execute("SELECT 1")
    cursor.close()
    with caplog.at_level(logging.INFO, "application"):
        for word in WORDS.values():
            logging.getLogger("application").info("in %s", word)
    said = [item.getMessage() for item in caplog.records if item.name == "application"]
    assert said == [f"in {word}" for word in WORDS.values()]
    assert [redact(word) for word in WORDS.values()] == list(WORDS.values())
