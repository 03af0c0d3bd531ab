"""A warehouse with two users, and the settings of an application that acts for them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vinci_code.core.config import DatabaseSettings
from vinci_code.database.users.process import close_user_pools
from vinci_code.warehouse import LocalWarehouse

ADA, BOB = "ada@example.com", "bob@example.com"
ADAS, BOBS = "opaque/token/of/ada/0123456789", "opaque/token/of/bob/9876543210"


@pytest.fixture(scope="session")
def users_server() -> Iterator[LocalWarehouse]:
    with LocalWarehouse(tokens={ADAS: ADA, BOBS: BOB}) as warehouse:
        yield warehouse


@pytest.fixture
def served(users_server: LocalWarehouse) -> Iterator[LocalWarehouse]:
    """The warehouse; what a test revokes is good again for the next one."""
    users_server.clear_requests()
    yield users_server
    close_user_pools()
    users_server.faults.clear()
    users_server.credentials.reinstate()


@pytest.fixture
def settings(served: LocalWarehouse) -> DatabaseSettings:
    """What an application is configured with, whose own token is another one."""
    return DatabaseSettings(**served.env)
