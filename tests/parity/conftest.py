"""One switch: every test of this folder runs on a SQLite file and on the local warehouse.

And on both through SQLAlchemy's asyncio: a test, with all of its fixtures, runs in a greenlet of an
event loop then, as what is given to ``run_sync()`` does. `make test` runs a part of these.

``VINCI_PARITY_TRANSACTIONS=off pytest tests/parity`` runs them on a warehouse without transactions.
There a unit that takes several statements is sent one by one, and one that reads what it has
written is refused: such tests are skipped, with the error as the reason.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from _pytest.runner import runtestprotocol
from sqlalchemy import orm
from sqlalchemy.util.concurrency import greenlet_spawn

from tests.full import full
from tests.parity.backends import (
    ASYNC,
    BACKENDS,
    async_sqlite_engine,
    async_warehouse_engine,
    sqlite_engine,
    warehouse_engine,
)
from tests.spark.guard import Guard, guarding
from vinci_code.database.dialect import dberrors
from vinci_code.warehouse import LocalWarehouse

# What is not the same yet, and why: each is run, and is to be taken off here once it passes.
NOT_YET: dict[str, str] = {}

RECORDING = os.environ.get("VINCI_RECORDING") == "on"
TRANSACTIONS = os.environ.get("VINCI_PARITY_TRANSACTIONS", "on") != "off"
ATOMICITY = "unit" if TRANSACTIONS else "per_table"

_schemas = itertools.count(1)

# Of so many tests through asyncio `make test` runs one.
_ASYNC_PART = 12
_loops: list[asyncio.AbstractEventLoop] = []


def backend_of(item: pytest.Item) -> str | None:
    """What a test runs on; ``None`` where it says that itself."""
    called = getattr(item, "callspec", None)
    return None if called is None else called.params.get("backend")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a test through asyncio, where that is its backend."""
    if backend_of(item) not in ASYNC:
        return None
    if not _loops:
        _loops.append(asyncio.new_event_loop())
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    _loops[0].run_until_complete(greenlet_spawn(runtestprotocol, item, nextitem=nextitem))
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_sessionfinish() -> None:
    """Close the event loop, which ends the threads of connections that were not closed."""
    while _loops:
        _loops.pop().close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is not the same yet, and what only a full run repeats through asyncio."""
    through_asyncio = [item for item in items if backend_of(item) in ASYNC]
    for number, item in enumerate(through_asyncio):
        if number % _ASYNC_PART:
            item.add_marker(full)
    for item in items:
        reason = NOT_YET.get(item.nodeid.rpartition("/")[2])
        if reason is not None:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test that asks for an engine both of them, one after the other by module."""
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", BACKENDS, scope="module")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Skip what cannot be had without transactions."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        if TRANSACTIONS or not isinstance(error.orig, dberrors.PendingWritesError):
            raise
        pytest.skip("reads what it has written, which needs a transaction")


@pytest.fixture(scope="session")
def guard() -> Iterator[Guard | None]:
    """Who looks at every statement; nobody where others are sent than were recorded."""
    if RECORDING or not TRANSACTIONS:
        yield None
        return
    with guarding() as found:
        yield found
    if found is not None and (complaint := found.complaint()):
        pytest.fail(complaint, pytrace=False)


@pytest.fixture(scope="session")
def parity_warehouse(guard: Guard | None) -> Iterator[LocalWarehouse]:
    """The warehouse of the whole run."""
    with LocalWarehouse(transactions=TRANSACTIONS) as warehouse:
        yield warehouse


@pytest.fixture(scope="module")
def engine(
    backend: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[sa.Engine]:
    """An engine on an empty database, which the module's tests share."""
    made: sa.Engine
    if backend.startswith("sqlite"):
        path = Path(tmp_path_factory.mktemp("parity")) / "parity.db"
        made = async_sqlite_engine(path).sync_engine if backend in ASYNC else sqlite_engine(path)
    else:
        warehouse: LocalWarehouse = request.getfixturevalue("parity_warehouse")
        schema = f"parity_{next(_schemas)}"
        warehouse.sql(f"CREATE SCHEMA {schema}")
        if backend in ASYNC:
            made = async_warehouse_engine(warehouse, schema, atomicity=ATOMICITY).sync_engine
        else:
            made = warehouse_engine(warehouse, schema, atomicity=ATOMICITY)
    metadata: sa.MetaData | None = getattr(request.module, "METADATA", None)
    if metadata is not None:
        metadata.create_all(made)
    yield made
    made.dispose()


@pytest.fixture
def connection(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection; what it did not commit is gone afterwards, where the backend can do that."""
    with engine.connect() as opened:
        yield opened


@pytest.fixture
def session(engine: sa.Engine) -> Iterator[orm.Session]:
    """An ORM session."""
    with orm.Session(engine) as opened:
        yield opened


_keys = itertools.count(1)


@pytest.fixture
def key() -> int:
    """A key that no other test uses."""
    return next(_keys)


@pytest.fixture
def rows_gone(engine: sa.Engine, request: pytest.FixtureRequest) -> Iterator[None]:
    """Empty the module's tables after the test."""
    yield
    metadata: Any = request.module.METADATA
    with engine.begin() as opened:
        for table in reversed(metadata.sorted_tables):
            opened.execute(sa.delete(table))
